"""The archive page: `reports/output/index.html`, one line for every issue."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from cxreport.errors import UsageError, listed
from cxreport.periods import Period
from cxreport.publish import atomic, manifest

HTML = "all/report.html"
PDF = "all/report.pdf"
QUALITY = "all/data-quality.html"


@dataclass(frozen=True)
class Issue:
    """A published pack: its folder and what its `run.json` says of it."""

    folder: Path
    report: str
    title: str
    organisation: str
    period: Period
    as_of: str
    decision: str

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read `<report>/<period>/`; None when the folder is no complete issue of that report and period."""
        try:
            record: dict[str, Any] = json.loads((folder / manifest.NAME).read_text(encoding="utf-8"))
            period = Period.parse(folder.name)
            told = {name: str(record[name]) for name in ("report", "title", "organisation", "as_of", "decision")}
            is_whole = record["period"] == folder.name and record["report"] == folder.parent.name
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            return None
        is_whole = is_whole and (folder / HTML).is_file() and (folder / PDF).is_file()
        return cls(folder=folder, period=period, **told) if is_whole else None


def read_issues(output: Path) -> list[Issue]:
    """Return every issue, by report and newest first; hidden and foreign folders are ignored."""
    found = (Issue.read(folder) for folder in output.glob("[!.]*/[!.]*") if folder.is_dir())
    issues = sorted((issue for issue in found if issue), key=lambda issue: issue.period, reverse=True)
    return sorted(issues, key=lambda issue: issue.report)


def find_issue(output: Path, report: str, period: str = "") -> Issue:
    """Return the newest issue of a report, or that of a period; raises `UsageError` when there is none."""
    issues = {issue.period.id: issue for issue in read_issues(output) if issue.report == report}
    wanted = period or next(iter(issues), "")
    if wanted not in issues:
        raise UsageError(
            found=f"no published issue of `{report}`" + (f" for `{period[:20]}`" if period else ""),
            expected=f"one of {listed(issues)}" if issues else "at least one published issue",
            do="name one of these" if issues else f"publish it with `cxreport run --report {report}`",
        )
    return issues[wanted]


def write_index(output: Path) -> None:
    """Write the archive page in one step; the same issues give the same bytes."""
    atomic.write_text(output / "index.html", _page(read_issues(output)))


def _page(issues: Iterable[Issue]) -> str:
    sections = "\n".join(_section(list(group)) for _, group in groupby(issues, key=lambda issue: issue.report))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reports</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Reports</h1>
{sections or "<p>No report has been published yet.</p>"}
</main>
</body>
</html>
"""


def _section(issues: list[Issue]) -> str:
    newest = issues[0]
    rows = "\n".join(_row(issue) for issue in issues)
    return f"""<section>
<h2>{escape(newest.title)}</h2>
<p>{escape(newest.organisation)}</p>
<table>
<caption>Issues of {escape(newest.title)}, newest first</caption>
<thead><tr><th scope="col">Period</th><th scope="col">Data as of</th><th scope="col">Verdict on the data</th>\
<th scope="col">Files</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</section>"""


def _row(issue: Issue) -> str:
    label = escape(issue.period.label)
    base = f"{quote(issue.report)}/{quote(issue.period.id)}"
    files = (("Report", HTML), ("PDF", PDF), ("Data quality", QUALITY), ("Record", manifest.NAME))
    links = " ".join(
        f'<a href="{base}/{path}">{name}<span class="unseen"> of {label}</span></a>'
        for name, path in files
        if (issue.folder / path).is_file()  # issues of earlier versions have no data-quality page
    )
    return (
        f'<tr><th scope="row">{label}</th><td>{escape(issue.as_of)}</td>'
        f"<td>{escape(issue.decision)}</td><td>{links}</td></tr>"
    )


_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; font: 1rem/1.5 Lato, system-ui, sans-serif; color: #1d2733; background: #fff; }
main { max-width: 56rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1, h2 { line-height: 1.2; }
h2 { margin: 2rem 0 0; }
section > p { margin: .25rem 0 1rem; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; padding-bottom: .5rem; color: #4a5866; }
th, td { padding: .6rem .75rem .6rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #c9d1d9; }
a { display: inline-block; min-height: 1.5rem; margin-right: 1rem; color: #0b5394; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 34rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: block; padding: .75rem 0; border-bottom: 1px solid #c9d1d9; }
  th, td { display: block; padding: .1rem 0; border: 0; }
}
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #12181f; }
  caption { color: #a8b4c0; }
  a { color: #8ec5ff; }
  th, td, tr { border-color: #3a4652; }
}
"""
