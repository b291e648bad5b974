"""The archive: every issue of every report as pages that need no server, and what a pack is made of.

Packs are never touched. What changes with later issues (the list, next issues, the search, the feed) stands in pages
beside them, which are written anew after every run: `index.html`, `feed.xml`, and `<report>/<period>.html` and
`<report>/latest.html` for each report.
"""

from cxreport.publish.archive.files import (
    ESTIMATES,
    EXECUTIVE,
    HTML,
    INDEX,
    NOTEBOOKS,
    PAGE,
    PDF,
    PRINT,
    QUALITY,
    SLIDES,
    WORKBOOK,
)
from cxreport.publish.archive.issues import Edition, Failure, Issue, find_issue, read_issues, record_failure
from cxreport.publish.archive.site import write_site

__all__ = [
    "ESTIMATES",
    "EXECUTIVE",
    "HTML",
    "INDEX",
    "NOTEBOOKS",
    "PAGE",
    "PDF",
    "PRINT",
    "QUALITY",
    "SLIDES",
    "WORKBOOK",
    "Edition",
    "Failure",
    "Issue",
    "find_issue",
    "read_issues",
    "record_failure",
    "write_site",
]
