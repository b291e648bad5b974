"""The archive page: `reports/output/index.html`, one line for every issue."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from cxreport.config import AUDIENCE_FILE, EVERYBODY
from cxreport.errors import UsageError, listed
from cxreport.measure.audiences import Audience
from cxreport.periods import Period
from cxreport.publish import atomic, fonts, manifest

# What the folder of everybody and that of each audience hold.
PAGE, PRINT, NOTEBOOKS = "report.html", "report.pdf", "notebooks"
HTML = f"{EVERYBODY}/{PAGE}"
PDF = f"{EVERYBODY}/{PRINT}"
QUALITY = f"{EVERYBODY}/data-quality.html"


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
<style>{fonts.style_sheet()}{_STYLE}</style>
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
        _link(f"{base}/{path}", name, label)
        for name, path in files
        if (issue.folder / path).is_file()  # issues of earlier versions have no data-quality page
    )
    return (
        f'<tr><th scope="row">{label}</th><td>{escape(issue.as_of)}</td>'
        f"<td>{escape(issue.decision)}</td><td>{links}{_audiences(issue, base, label)}</td></tr>"
    )


def _link(address: str, name: str, label: str) -> str:
    return f'<a href="{address}">{name}<span class="unseen"> of {label}</span></a>'


def _audiences(issue: Issue, base: str, label: str) -> str:
    """Return the packs of the audiences of an issue as a list that opens; empty where it has none."""
    audiences = sorted(map(Audience.read, issue.folder.glob(f"*/{AUDIENCE_FILE}")), key=lambda each: each.title)
    if not audiences:
        return ""
    items = (
        f"<li>{escape(each.title)}: "
        + " ".join(
            _link(f"{base}/{each.id}/{file}", name, f"{escape(each.title)}, {label}")
            for name, file in (("Report", PAGE), ("PDF", PRINT))
        )
        + "</li>"
        for each in audiences
    )
    return f"<details><summary>Audiences</summary><ul>{''.join(items)}</ul></details>"


# In the colours of reports/theme/report.css.
_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2730; --muted: #515d68; --line: #d9e0e6; --paper: #ffffff; --ground: #f4f6f8; --accent: #0f4c75;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --muted: #aab7c3; --line: #36424d; --paper: #182028; --ground: #10161c; --accent: #7fc1ee;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0;
  color: var(--ink);
  background: var(--ground);
  font: 1.0625rem/1.5 Lato, system-ui, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1, h2 { margin: 0; line-height: 1.25; }
h1 { font-size: 1.75rem; }
h2 { font-size: 1.25rem; }
section {
  margin-top: 1.5rem;
  padding: 1.25rem;
  background: var(--paper);
  border: 1px solid var(--line);
  border-radius: 10px;
}
section > p { margin: 0.15rem 0 1rem; color: var(--muted); }
table { width: 100%; border-collapse: collapse; font-size: 0.9625rem; }
caption { padding-bottom: 0.5rem; color: var(--muted); text-align: left; }
th, td {
  padding: 0.6rem 0.75rem 0.6rem 0;
  text-align: left;
  vertical-align: baseline;
  border-bottom: 1px solid var(--line);
}
thead th { color: var(--muted); font-size: 0.875rem; }
tbody tr:last-child > * { border-bottom: 0; }
a { display: inline-block; min-height: 1.5rem; margin-right: 1rem; color: var(--accent); }
a:focus-visible { outline: 3px solid #b86e00; outline-offset: 2px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 40rem) {
  main { padding: 1.25rem 1rem 3rem; }
  section { padding: 1rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: block; padding: 0.75rem 0; border-bottom: 1px solid var(--line); }
  tbody tr:last-child { border-bottom: 0; }
  th, td { display: block; padding: 0.1rem 0; border: 0; }
}
@media print {
  body { background: none; font-size: 10.5pt; }
  section { padding: 0; border: 0; }
  tr { break-inside: avoid; }
  h2, caption { break-after: avoid; }
}
"""
