"""The page of all reports: the newest issue of each, every earlier one by year, and a search over all of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cxreport.config import EVERYBODY
from cxreport.present.markup import escape_html
from cxreport.present.words import Words
from cxreport.publish.archive import files, issue_page
from cxreport.publish.archive.frame import Frame, asset, language, link, path, phrase
from cxreport.publish.archive.issues import Issue
from cxreport.publish.archive.series import Series, Slot

_SCRIPT = "search.js"


def write(frame: Frame, reports: Sequence[Series], words: Words) -> str:
    """Return the page; without a script it lists everything, with it there is a search besides."""
    sections = "\n".join(_section(series, words) for series in reports) or f"<p>{phrase(words, 'archive.empty')}</p>"
    feed = f'<p class="soft feed">{link(files.FEED, words("archive.feed"))}</p>'
    is_searched = any(series.issues for series in reports)
    return frame.page(
        words,
        title=words("archive.title"),
        masthead=f"<h1>{phrase(words, 'archive.title')}</h1>",
        main=f"{_search(reports, words) if is_searched else ''}\n{sections}\n{feed}",
        script=asset(_SCRIPT) if is_searched else "",
        head=f'<link rel="alternate" type="application/atom+xml" href="{files.FEED}">\n',
    )


# --- one report ----------------------------------------------------------------------------------


def _section(series: Series, words: Words) -> str:
    own = language(series.words.language, words)
    newest = _newest(series, words) if series.newest else ""
    return f"""<section class="card" id="report-{escape_html(series.report)}">
<h2{own}>{escape_html(series.title)}</h2>
<p class="soft">{escape_html(series.organisation)}</p>
{_behind(series, words)}{newest}
{_years(series, words)}
</section>"""


def _behind(series: Series, words: Words) -> str:
    """Say that the newest period is not there because its last run failed."""
    slot = series.is_behind
    if slot is None:
        return ""
    said = issue_page.again(series, slot, words)
    return f'<p class="notice">{escape_html(said)}</p>\n'


def _newest(series: Series, words: Words) -> str:
    issue = series.newest
    assert issue is not None
    label = words.period(issue.period)
    told = "".join(f"<p>{escape_html(text)}</p>" for text in issue.everybody.summary.headline)
    way = link(f"{_base(issue)}.html", words("archive.open", period=label), series.title, is_main=True)
    return f"""<div class="newest">
<div class="headline"{language(issue.language, words)}>{told}</div>
<ul class="files">{"".join(f"<li>{each}</li>" for each in (way, *_files(issue, words)))}</ul>
</div>"""


def _years(series: Series, words: Words) -> str:
    """Return all periods in tables by year, of which the newest is open."""
    parts: list[str] = []
    for year, slots in groupby(series.slots, key=lambda slot: slot.period.start.year):
        rows = "\n".join(_rows(series, list(slots), words))
        heads = "".join(
            f'<th scope="col">{phrase(words, f"archive.head.{name}")}</th>'
            for name in ("period", "as_of", "verdict", "files")
        )
        caption = phrase(words, "archive.issues_of", title=series.title, year=year)
        parts.append(f"""<details{"" if parts else " open"}>
<summary>{year}</summary>
<table>
<caption class="unseen">{caption}</caption>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</details>""")
    return "\n".join(parts)


def _rows(series: Series, slots: Iterable[Slot], words: Words) -> Iterator[str]:
    """Yield a row for each issue and failed run, and one for each stretch of periods that were not published."""
    for is_gap, group in groupby(slots, key=lambda slot: not (slot.issue or slot.failure)):
        found = list(group)
        if is_gap:
            yield _gap(found, words)
        else:
            yield from (_row(series, slot, words) for slot in found)


def _gap(slots: Sequence[Slot], words: Words) -> str:
    first, last = words.period(slots[-1].period), words.period(slots[0].period)
    label = first if len(slots) == 1 else words("archive.range", first=first, last=last)
    said = words("archive.state.unpublished")
    return f'<tr class="gap"><th scope="row">{escape_html(label)}</th><td colspan="3">{escape_html(said)}</td></tr>'


def _row(series: Series, slot: Slot, words: Words) -> str:
    label, issue = words.period(slot.period), slot.issue
    head = f'<th scope="row">{link(f"{path(series.report, slot.period.id)}.html", label)}</th>'
    if issue is None:
        said = issue_page.state(slot, words)
        return f'<tr class="gap">{head}<td colspan="3">{escape_html(said)}</td></tr>'
    note = f'<p class="notice">{escape_html(issue_page.again(series, slot, words))}</p>' if slot.failure else ""
    audiences = (
        f" <span>{phrase(words, 'archive.audience_count', len(issue.audiences))}</span>" if issue.audiences else ""
    )
    told = {"as_of": issue_page.day(issue.as_of, words), "verdict": issue_page.decision(issue, words)}
    cells = "".join(
        f'<td data-head="{phrase(words, f"archive.head.{name}")}">{escape_html(text)}</td>'
        for name, text in told.items()
    )
    return f"<tr>{head}{cells}<td>{' '.join(_files(issue, words))}{audiences}{note}</td></tr>"


def _files(issue: Issue, words: Words) -> list[str]:
    label = words.period(issue.period)
    named = (("report", files.HTML), ("pdf", files.PDF))
    return [link(f"{_base(issue)}/{path(file)}", words(f"archive.file.{name}"), label) for name, file in named]


def _base(issue: Issue) -> str:
    return path(issue.report, issue.period.id)


# --- the search ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Once:
    """Lists that many issues share, each kept once."""

    kept: dict[tuple[str, ...], int]

    def place(self, texts: Iterable[str]) -> int:
        return self.kept.setdefault(tuple(texts), len(self.kept))


def _search(reports: Sequence[Series], words: Words) -> str:
    """Return the form, which the script shows, and the data that it searches."""
    # No `<` in it, so nothing can end the element; the script puts texts in place as texts.
    data = json.dumps(_index(reports, words), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<search hidden id="search">
<label for="query">{phrase(words, "archive.search.label")}</label>
<input id="query" type="search" autocomplete="off" spellcheck="false" aria-describedby="hint">
<p class="soft" id="hint">{phrase(words, "archive.search.hint")}</p>
<p id="count" role="status"></p>
<ol id="found"></ol>
</search>
<script type="application/json" id="index">{data}</script>"""


def _index(reports: Sequence[Series], words: Words) -> dict[str, Any]:
    """Return what can be found: reports, their issues, and the packs of each issue."""
    kpis = _Once({})
    found = [
        {
            "id": series.report,
            "title": series.title,
            "organisation": series.organisation,
            "issues": [_indexed(series, issue, kpis, words) for issue in series.issues],
        }
        for series in reports
    ]
    # The script fills in the names.
    left = {name: f"{{{name}}}" for name in ("count", "shown", "kpi")}
    said = {name: words(f"archive.search.{name}", **left) for name in ("found", "many", "none", "kpi")}
    return {"words": said, "kpis": list(map(list, kpis.kept)), "reports": found}


def _indexed(series: Series, issue: Issue, kpis: _Once, words: Words) -> dict[str, Any]:
    own = series.words.period(issue.period)
    packs = [
        ["" if each.id == EVERYBODY else each.id, each.title, " ".join(each.summary.headline)]
        for each in (issue.everybody, *issue.audiences)
    ]
    label = words.period(issue.period)
    return {
        "period": issue.period.id,
        "label": label,
        "also": own if own != label else "",
        "kpis": kpis.place(issue.everybody.summary.kpis.values()),
        "packs": packs,
    }
