"""A verdict as Markdown, for the validation notebook and the data-quality page that is made of it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from cxreport.config import Dataset, Project
from cxreport.periods import Period
from cxreport.validate.deliveries import described
from cxreport.validate.verdict import Page, Verdict

# What a table cell holds: a number, a text, or a text with a second line.
Cell = str | int | tuple[str, str]

_DECISIONS = {
    "publish": ("note", "Publish"),
    "publish with footnotes": ("warning", "Publish with footnotes"),
    "stop": ("important", "Stop: nothing of this {kind} is published"),
}
_DONE = {
    "publish": "There is nothing that readers must be told.",
    "publish with footnotes": "Readers are told, on the page that it concerns:",
    "stop": "Were it published, readers would be told:",
}
# What readers find at the top of each page.
_PAGES: dict[Page, str] = {
    "executive": "Summary",
    "kpis": "KPIs",
    "segments": "Groups",
    "journey": "Journey",
    "voice": "Voice",
    "loyalty": "Loyalty",
    "actions": "Actions",
    "method": "Method",
}
# The count of a note stands at its beginning or its end.
_COUNT = re.compile(r"^\d[\d,]*|\d[\d,]*$")
_MARK = "\0"
# What can be structure, at the beginning of a line or anywhere; several hyphens or dots become other signs.
_MARKUP = re.compile(r"[^\w\s,.;:%()/-]|_|^[:-]|[.-](?=[.-])|(?<=[.-])[.-]")
# Control characters, and marks that turn the direction of reading.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MOST_ROWS = 50
_MOST_LINES = 8


def heading(dataset: str, verdict: Verdict) -> str:
    """Return what was judged and how it ended, in one line."""
    return f"{escape(dataset)}, {Period.parse(verdict.period).label}: **{verdict.decision}**"


def decision(verdict: Verdict, dataset: Dataset) -> str:
    """Return the decision as a callout: what stops the month and what to do, then its footnotes with their pages."""
    kind, title = _DECISIONS[verdict.decision]
    period = Period.parse(verdict.period)
    parts = [f"## {title.format(kind=period.kind)}"]
    if verdict.decision == "stop":
        parts += ["Stopped by:", "\n".join(_stopped(verdict, dataset)), _to_do(dataset, period)]
    rejected, rows_in = (
        sum(getattr(count, name) for count in verdict.tables.values()) for name in ("rejected", "rows_in")
    )
    parts.append(f"{rejected:,} of the {rows_in:,} rows of the {period.kind} are rejected.")
    notes = [f"- {escape(note)} (page {_PAGES[page]})" for page, notes in verdict.pages.items() for note in notes]
    if notes or verdict.decision == "publish":
        parts.append(_DONE[verdict.decision])
    parts.append("\n".join(notes))
    return "\n\n".join([f"::: {{.callout-{kind}}}", *filter(None, parts), ":::"])


def _stopped(verdict: Verdict, dataset: Dataset) -> Iterable[str]:
    for rule in verdict.rules:
        if rule.outcome == "stopped":
            yield f"- Rule {escape(rule.rule)} of {rule.table}: broken by {rule.rows:,} of {rule.checked:,} rows."
    owners = {feed.id: feed.owner for feed in dataset.feeds}
    for gate in verdict.gates:
        if gate.outcome == "stopped":
            where = f"{escape(gate.feed)}{f', {escape(gate.thing)}' if gate.thing else ''}"
            found = f"{escape(gate.found)}; expected: {escape(gate.expected).rstrip('.')}"
            yield f"- Rule {escape(gate.rule)} of the feed {where}: {found}. Ask {escape(owners[gate.feed])}."


def _to_do(dataset: Dataset, period: Period) -> str:
    return (
        "What to do: have the owner of the feed deliver the file again, then run the report again. Where somebody who "
        "knows the data holds it to be right, a reviewed waiver in "
        f"{escape(f'expectations/waivers/{dataset.id}.yml')} lets one rule count for less in one "
        f"{period.parts[0].kind}. The last issue stays as it was."
    )


def counts(verdict: Verdict) -> str:
    """Return rows in, accepted and rejected by table."""
    return table(
        ["Table", "Rows in", "Accepted", "Rejected", "Later, left out"],
        [
            [name, count.rows_in, count.accepted, count.rejected, verdict.left_out.get(name, 0)]
            for name, count in verdict.tables.items()
        ],
    )


def broken_rules(verdict: Verdict) -> str:
    """Return the rules on rows that some row breaks."""
    return table(
        ["Rule", "Rows", "Outcome", "Why the rule stands"],
        [
            [
                (_words(rule.rule), rule.table),
                (f"{rule.rows:,}", f"of {rule.checked:,}"),
                (rule.outcome, rule.severity),
                rule.reason,
            ]
            for rule in verdict.rules
            if rule.rows
        ],
    )


def deliveries(project: Project, dataset: Dataset) -> str:
    """Return every feed: who delivers it, as what its files were read, and what was left out or masked."""
    about = described(project, dataset)
    return table(
        ["Feed", "Rows", "Noted on reading", "Personal data masked"],
        [_delivery(feed.id, feed.owner, about[feed.id]) for feed in dataset.feeds if feed.id in about],
    )


def _delivery(feed: str, owner: str, about: Mapping[str, Any]) -> list[Cell]:
    files = len(about["files"])
    return [
        (feed, owner),
        (f"{about['rows']:,}", f"{files:,} {about['adapter']} file{'' if files == 1 else 's'}"),
        _summed(note for file in about["files"] for note in file["notes"]),
        _said(f"{count:,} {kind}" for kind, count in sorted(about.get("scrubbed", {}).items())),
    ]


def files(project: Project, dataset: Dataset, verdict: Verdict) -> str:
    """Return the newest file of each feed and every file that a rule speaks of."""
    spoken = {(gate.feed, gate.thing) for gate in verdict.gates if gate.outcome != "passed"}
    lines = [
        [(file["name"], feed), file["rows"], len(file["columns"]), _said(file["notes"])]
        for feed, about in described(project, dataset).items()
        for file in about["files"]
        if file["name"] == max(other["name"] for other in about["files"]) or (feed, file["name"]) in spoken
    ]
    return table(["File", "Rows", "Columns", "Noted on reading"], lines)


def rejected(project: Project, dataset: Dataset, verdict: Verdict) -> str:
    """Return rejected rows by file and rule, with their lines and whom to ask, most rows first."""
    asked = {feed.id: f"ask {feed.owner}" for feed in dataset.feeds}
    reasons = {(rule.table, rule.rule): rule.reason for rule in verdict.rules}
    found = sorted(_rejected_lines(project, verdict).items(), key=lambda item: (-len(item[1]), item[0]))
    shown = table(
        ["File", "Rule", "Rows"],
        [
            [
                (source, asked.get(source.partition("/")[0], "")),
                (f"{name}: {_words(rule)}", reasons.get((name, rule), "")),
                (f"{len(lines):,}", _lines(lines)),
            ]
            for (source, name, rule), lines in found[:_MOST_ROWS]
        ],
    )
    more = len(found) - _MOST_ROWS
    return shown if more <= 0 else f"{shown}\n\nFiles and rules with fewer rows, not shown: {more:,}."


def _rejected_lines(project: Project, verdict: Verdict) -> dict[tuple[str, str, str], list[int]]:
    """Return the lines of the period's rejected rows by source, table and rule."""
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    folders = [project.rejected(verdict.dataset, part) for part in Period.parse(verdict.period).parts]
    for path in (path for folder in folders for path in sorted(folder.glob("*.parquet"))):
        rows = pd.read_parquet(path, columns=["source", "rule", "source_row"])
        for source, rule, line in rows.itertuples(index=False, name=None):
            found[source, path.stem, rule].append(line)
    return found


def _lines(places: Iterable[int]) -> str:
    """Return the first line numbers, as many as fit a cell."""
    numbers = sorted(set(places))
    more = len(numbers) - _MOST_LINES
    shown = ", ".join(map(str, numbers[:_MOST_LINES])) + (f" and {more:,} more" if more > 0 else "")
    return f"{'line' if len(numbers) == 1 else 'lines'} {shown}"


def _words(rule: str) -> str:
    """Return a rule's id as words, which a narrow column can break."""
    return rule.replace("_", " ")


def _summed(notes: Iterable[str]) -> str:
    """Return the notes of several files; those that differ in their count only are said once, with its sum."""
    sums: dict[str, int] = defaultdict(int)
    for note in notes:
        count = _COUNT.search(note)
        sums[_COUNT.sub(_MARK, note, count=1)] += int(count[0].replace(",", "")) if count else 0
    return _said(words.replace(_MARK, f"{count:,}") for words, count in sums.items())


def _said(notes: Iterable[str]) -> str:
    return "; ".join(sorted(notes)) or "nothing"


def gates(verdict: Verdict) -> str:
    """Return the rules on whole feeds that do not hold, what stops the period first."""
    broken = [gate for gate in verdict.gates if gate.outcome != "passed"]
    return table(
        ["Feed", "Rule", "Found", "Outcome"],
        [
            [
                (gate.feed, gate.thing),
                _words(gate.rule),
                (gate.found, f"expected: {gate.expected}"),
                (gate.outcome, gate.severity),
            ]
            for gate in sorted(broken, key=lambda gate: gate.outcome != "stopped")
        ],
    )


def checked(verdict: Verdict) -> str:
    """Return how many rules were checked on each feed as a whole, and how many hold."""
    feeds = dict.fromkeys(gate.feed for gate in verdict.gates)
    outcomes = {feed: [gate.outcome for gate in verdict.gates if gate.feed == feed] for feed in feeds}
    held = table(
        ["Feed", "Checks", "Passed", "Noted", "Stopped"],
        [
            [feed, len(found), *(found.count(outcome) for outcome in ("passed", "noted", "stopped"))]
            for feed, found in outcomes.items()
        ],
    )
    notes = [
        f"Of the feed {escape(feed)} only the files are checked: it comes once a month, so its weeks are not compared."
        for feed in verdict.uncompared
    ]
    return "\n\n".join([held, *notes])


def waivers(verdict: Verdict) -> str:
    """Return what came of the period's waivers."""
    return table(
        ["Rule", "Waiver", "Reviewed by", "Reason"],
        [
            [
                (_words(waiver.rule), waiver.scope),
                (waiver.outcome, f"counts as {waiver.downgrade_to}"),
                (waiver.by, f"on {waiver.reviewed}, until {waiver.until}"),
                waiver.reason,
            ]
            for waiver in verdict.waivers
        ],
    )


def missing_answers(verdict: Verdict) -> str:
    """Return missing answers by question and reason."""
    return table(
        ["Question", "Metric", "Reason", "Missing answers"],
        [[count.question, count.metric, count.reason, count.n] for count in verdict.missing],
    )


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a pipe table; whole-number columns are right-aligned; a table without rows says so."""
    lines = list(rows)
    if not lines:
        return "None."
    rule = ["---:" if isinstance(cell, int) else ":---" for cell in lines[0]]
    shown = [list(header), rule, *([_cell(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in shown)


def _cell(cell: Cell) -> str:
    if isinstance(cell, int):
        return f"{cell:,}"
    first, second = cell if isinstance(cell, tuple) else (cell, "")
    return escape(first) + (f" [({escape(second)})]{{.cx-second}}" if second else "")


def escape(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line, without what turns the direction of reading.

    >>> escape("a|b <b> *c* 2-1 ...")
    'a\\|b \\<b\\> \\*c\\* 2-1 \\.\\.\\.'
    """
    return _MARKUP.sub(r"\\\g<0>", _UNSEEN.sub("", " ".join(text.split())))
