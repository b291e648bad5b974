"""The feed of new issues: Atom (RFC 4287), the same bytes for the same issues."""

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime, time
from urllib.parse import urljoin

from cxreport.present.words import Words
from cxreport.publish.archive import files
from cxreport.publish.archive.frame import path
from cxreport.publish.archive.issues import Issue
from cxreport.publish.archive.series import Series

_ATOM = "http://www.w3.org/2005/Atom"
# Names that stay when the archive moves; drawn once.
_NAMES = uuid.UUID("5f2b1c52-0d0e-5c1a-9a35-7f6f4d1f1a90")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def write(reports: Sequence[Series], words: Words, address: str) -> str:
    """Return the feed, newest first; links are relative to it without an address of the archive."""
    found = [(_updated(issue), series, issue) for series in reports for issue in series.issues]
    found.sort(key=lambda each: (each[0], each[2].period, each[1].report), reverse=True)
    organisations = sorted({series.organisation for series in reports})
    feed = ET.Element("feed", {"xmlns": _ATOM, "xml:lang": words.language})
    _add(feed, "id", _id(*organisations))
    _add(feed, "title", words("archive.title"))
    _add(feed, "updated", _stamp(max((updated for updated, _, _ in found), default=_NEVER)))
    _add(_add(feed, "author"), "name", words.joined([name for name in organisations if name]) or words("archive.title"))
    _add(feed, "link", rel="self", type="application/atom+xml", href=urljoin(address, files.FEED))
    _add(feed, "link", rel="alternate", type="text/html", href=urljoin(address, files.INDEX))
    for updated, series, issue in found:
        _entry(feed, series, issue, updated, address)
    ET.indent(feed)
    return ET.tostring(feed, encoding="unicode", xml_declaration=True) + "\n"


def _entry(feed: ET.Element, series: Series, issue: Issue, updated: datetime, address: str) -> None:
    entry = _add(feed, "entry", **{"xml:lang": issue.language})
    _add(entry, "id", _id(issue.organisation, issue.report, issue.period.id))
    title = issue.everybody.summary.title or series.title
    _add(entry, "title", f"{title}, {series.words.period(issue.period)}")
    _add(entry, "updated", _stamp(updated))
    _add(
        entry,
        "link",
        rel="alternate",
        type="text/html",
        href=urljoin(address, f"{path(issue.report, issue.period.id)}.html"),
    )
    if headline := " ".join(issue.everybody.summary.headline):
        _add(entry, "summary", headline)


def _add(parent: ET.Element, name: str, text: str = "", /, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, name, attributes)
    child.text = text or None
    return child


def _id(*names: str) -> str:
    return uuid.uuid5(_NAMES, "\n".join(names)).urn


def _updated(issue: Issue) -> datetime:
    """Return when an issue was made, by its record; the end of its period where that says nothing."""
    try:
        made = datetime.fromisoformat(str(issue.record.get("finished")))
    except ValueError:
        made = datetime.combine(issue.period.end, time(), UTC)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
