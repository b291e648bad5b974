"""The page of one period: what its issue holds and says, what changed, and the issues before and after it."""

from collections.abc import Iterable, Sequence
from datetime import date

from cxreport.config import RECORD_FILE
from cxreport.present.markup import escape_html
from cxreport.present.words import Words
from cxreport.publish.archive import files, making
from cxreport.publish.archive.frame import Frame, language, link, path, phrase
from cxreport.publish.archive.issues import Edition, Issue
from cxreport.publish.archive.series import Series, Slot
from cxreport.publish.summary import Move

_TOP = f"../{files.INDEX}"
_MOST_GROUPS = 6  # shown at once; further ones open
_FILES = {
    "report": files.PAGE,
    "pdf": files.PRINT,
    "executive": files.EXECUTIVE,
    "slides": files.SLIDES,
    "workbook": files.WORKBOOK,
    "estimates": files.ESTIMATES,
    "quality": "data-quality.html",
}


def write(frame: Frame, series: Series, slot: Slot) -> str:
    """Return the page of a period, which says so where there is no issue."""
    words, issue = series.words, slot.issue
    period = words.period(slot.period)
    title = (issue.everybody.summary.title if issue else "") or series.title
    if issue is None:
        main = _absent(series, slot)
    else:
        main = "\n".join(part for part in (_again(series, slot), *_parts(series, issue)) if part)
    return frame.page(
        words,
        title=f"{title}, {period}",
        masthead=f"<h1>{escape_html(title)}</h1>\n<p>{escape_html(_subtitle(series, issue, period))}</p>",
        main=f"{_neighbours(series, slot)}\n{main}",
        top=f"{_TOP}#report-{path(series.report)}",
    )


def latest(frame: Frame, series: Series, newest: Issue) -> str:
    """Return the page that leads to the newest issue."""
    words, address = series.words, f"{path(newest.period.id)}.html"
    said = words("archive.latest", period=words.period(newest.period))
    return frame.page(
        words,
        title=series.title,
        masthead=f"<h1>{escape_html(series.title)}</h1>",
        main=f'<section class="card"><p>{link(address, said)}</p></section>',
        top=f"{_TOP}#report-{path(series.report)}",
        head=f'<meta http-equiv="refresh" content="0; url={escape_html(address)}">\n',
    )


def day(text: str, words: Words) -> str:
    """Return a day of a record in words; the text itself where it is none."""
    try:
        return words.day(date.fromisoformat(text))
    except ValueError:
        return text


def decision(issue: Issue, words: Words) -> str:
    """Return the verdict on an issue's data in words; plain text."""
    key = f"document.decision.{issue.decision.replace(' ', '_')}"
    return words(key) if key in words.sentences else issue.decision


def instead(series: Series, slot: Slot, words: Words) -> str:
    """Return what readers have instead of what a failed run would have published; plain text."""
    if slot.issue:
        return words("archive.instead.stands", day=day(slot.issue.as_of, words))
    if series.newest:
        return words("archive.instead.newest", period=words.period(series.newest.period))
    return words("archive.instead.none")


def state(slot: Slot, words: Words) -> str:
    """Return why a period has no issue, or no newer one; plain text."""
    if slot.failure is None:
        return words("archive.state.unpublished")
    return words(f"archive.state.{slot.failure.outcome}", day=day(slot.failure.as_of, words))


def again(series: Series, slot: Slot, words: Words) -> str:
    """Return what became of the last run for a period, and what readers have instead; plain text."""
    said = words("archive.last_run", period=words.period(slot.period), state=state(slot, words))
    return f"{said} {instead(series, slot, words)}"


def _subtitle(series: Series, issue: Issue | None, period: str) -> str:
    organisation = issue.organisation if issue else series.organisation
    return series.words("document.subtitle", organisation=organisation, period=period) if organisation else period


def _neighbours(series: Series, slot: Slot) -> str:
    """Return links to the issues before and after."""
    words = series.words
    found = (("previous", series.before(slot.period)), ("next", series.after(slot.period)))
    links = [
        f'<li class="{way}"><a rel="{"prev" if way == "previous" else way}" href="{path(issue.period.id)}.html">'
        f"<span>{phrase(words, f'archive.{way}')}</span> {escape_html(words.period(issue.period))}</a></li>"
        for way, issue in found
        if issue
    ]
    return f'<nav aria-label="{phrase(words, "archive.issues")}"><ul>{"".join(links)}</ul></nav>' if links else ""


def _absent(series: Series, slot: Slot) -> str:
    words, newest = series.words, series.newest
    lead = words("archive.absent", period=words.period(slot.period), state=state(slot, words))
    way = instead(series, slot, words)
    told = link(f"{path(newest.period.id)}.html", way) if newest else escape_html(way)
    return f'<section class="card"><p class="notice">{escape_html(lead)}</p>\n<p>{told}</p></section>'


def _again(series: Series, slot: Slot) -> str:
    """Say that a later run of a published period failed."""
    if slot.failure is None:
        return ""
    lead = again(series, slot, series.words)
    return f'<section class="card"><p class="notice">{escape_html(lead)}</p></section>'


def _parts(series: Series, issue: Issue) -> Iterable[str]:
    words = series.words
    yield _overview(issue, words)
    if issue.everybody.summary.since:
        yield f'<section class="card">\n{_changes(series, issue, issue.everybody, "h2")}\n</section>'
    if issue.audiences:
        yield _audiences(series, issue)
    yield _made(series, issue)


def _overview(issue: Issue, words: Words) -> str:
    facts = ((words("archive.as_of"), day(issue.as_of, words)), (words("archive.verdict"), decision(issue, words)))
    told = "".join(f"<div><dt>{escape_html(term)}</dt><dd>{escape_html(text)}</dd></div>" for term, text in facts)
    return f"""<section class="card">
{_headline(issue, issue.everybody, words)}
{_files(issue.everybody, words, words("archive.of_everybody") if issue.audiences else "")}
<dl>{told}</dl>
</section>"""


def _headline(issue: Issue, edition: Edition, words: Words) -> str:
    said = [f"<p>{escape_html(text)}</p>" for text in edition.summary.headline]
    return f'<div class="headline"{language(issue.language, words)}>{"".join(said)}</div>' if said else ""


def _files(edition: Edition, words: Words, unseen: str) -> str:
    found = {name: file for name, file in _FILES.items() if (edition.folder / file).is_file()}
    base = (edition.folder.parent.name, edition.id)
    links = (
        link(path(*base, file), words(f"archive.file.{name}"), unseen, is_main=name == "report")
        for name, file in found.items()
    )
    return f'<ul class="files">{"".join(f"<li>{each}</li>" for each in links)}</ul>'


def _changes(series: Series, issue: Issue, edition: Edition, heading: str) -> str:
    """Return what moved since the period before, which is the issue before unless that one was not published."""
    words, told = series.words, edition.summary
    before = series.before(issue.period)
    is_since_issue = before is not None and before.period.id == told.since
    since = words.period(issue.period.previous)
    title = words("archive.changes.since_issue" if is_since_issue else "archive.changes.since", period=since)
    parts = [_moves([each for each in told.moves if not each.is_group], words, heading)]
    parts.append(_groups([each for each in told.moves if each.is_group], words, heading))
    parts.append(f'<p class="soft">{escape_html(told.unchanged)}</p>' if told.unchanged else "")
    body = "\n".join(part for part in parts if part) or f"<p>{phrase(words, 'archive.changes.nothing')}</p>"
    if before and not is_since_issue:
        gap = words("archive.changes.gap", before=words.period(before.period), since=since)
        body = f'<p class="soft">{escape_html(gap)}</p>\n{body}'
    return f"<{heading}>{escape_html(title)}</{heading}>\n<div{language(issue.language, words)}>\n{body}\n</div>"


def _moves(moves: Sequence[Move], words: Words, heading: str) -> str:
    """Return totals that moved, under what it means for customers."""
    looks = ("worse", "better", "counted")
    below = _below(heading)
    lists = [
        f"<{below}>{phrase(words, f'archive.changes.{look}')}</{below}>\n{_list(each)}"
        for look in looks
        if (each := [move for move in moves if move.look == look])
    ]
    return "\n".join(lists)


def _groups(moves: Sequence[Move], words: Words, heading: str) -> str:
    if not moves:
        return ""
    below = _below(heading)
    shown, more = moves[:_MOST_GROUPS], moves[_MOST_GROUPS:]
    rest = (
        f"<details><summary>{phrase(words, 'archive.changes.more', len(more))}</summary>{_list(more)}</details>"
        if more
        else ""
    )
    return f"<{below}>{phrase(words, 'archive.changes.groups')}</{below}>\n{_list(shown)}{rest}"


def _list(moves: Iterable[Move]) -> str:
    return f'<ul class="moves">{"".join(f"<li>{escape_html(move.text)}</li>" for move in moves)}</ul>'


def _below(heading: str) -> str:
    return f"h{int(heading[1]) + 1}"


def _audiences(series: Series, issue: Issue) -> str:
    words = series.words
    items = "\n".join(_audience(series, issue, each) for each in issue.audiences)
    return f'<section class="card">\n<h2>{phrase(words, "archive.audiences")}</h2>\n{items}\n</section>'


def _audience(series: Series, issue: Issue, edition: Edition) -> str:
    """Return an audience as a part that opens, also by its address."""
    words = series.words
    changes = _changes(series, issue, edition, "h3") if edition.summary.since else ""
    return f"""<details>
<summary>{escape_html(edition.title or edition.id)}</summary>
<div id="for-{escape_html(edition.id)}">
{_headline(issue, edition, words)}
{_files(edition, words, edition.title or edition.id)}
{changes}
</div>
</details>"""


def _made(series: Series, issue: Issue) -> str:
    """Return what differs in the making from the issue before, and the record of it all."""
    words, before = series.words, series.before(issue.period)
    said = making.differences(before, issue, words) if before else []
    lines = "".join(f"<li>{escape_html(text)}</li>" for text in said)
    lead = ""
    if before:
        key = "archive.made.differs" if said else "archive.made.same"
        lead = f"<p>{phrase(words, key, period=words.period(before.period))}</p>"
    record = link(path(issue.period.id, RECORD_FILE), words("archive.file.record"))
    return f"""<section class="card">
<h2>{phrase(words, "archive.made.title")}</h2>
{lead}{f"<ul>{lines}</ul>" if lines else ""}
<ul class="files"><li>{record}</li></ul>
</section>"""
