"""Verdicts as they are read: of a month or week from its file, of a quarter or year from its months."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import get_args

from cxreport.config import VERDICT_FILE, Project
from cxreport.errors import UsageError
from cxreport.periods import Period
from cxreport.schema import TableName
from cxreport.validate.verdict import (
    NOUNS,
    Decision,
    MissingCount,
    Page,
    RuleOutcome,
    TableCount,
    Verdict,
    left_out,
    stopped_note,
)

_OUTCOMES = ("passed", "noted", "rows rejected", "stopped")  # the gravest last


def read_verdict(project: Project, dataset_id: str, period: Period) -> Verdict:
    """Read the verdict of a month or week, or make that of a quarter or year from its months.

    A quarter or year has the gravest decision of its months, and their counts together. What is said of single months
    names them. Months before the data begin are named; one that was stopped in the quarter or year before, or a year
    before, leaves a footnote. Raises `UsageError` when the period was not validated.
    """
    if period.parts == [period]:
        return _read(project, dataset_id, period)
    parts = period.parts
    first = next((part for part in parts if _is_validated(project, dataset_id, part)), parts[-1])
    months = [_read(project, dataset_id, part) for part in parts if part >= first]
    begins = [f"The data of {period.label} begin with {first.label}."] if first > parts[0] else []
    stopped = [
        stopped_note(earlier)
        for earlier in dict.fromkeys((period.previous, period.year_ago))
        if any(_is_stopped(project, dataset_id, part) for part in earlier.parts)
    ]
    return combine(period, months, begins + stopped)


def _is_validated(project: Project, dataset_id: str, month: Period) -> bool:
    return (project.accepted(dataset_id, month) / VERDICT_FILE).is_file()


def _is_stopped(project: Project, dataset_id: str, month: Period) -> bool:
    return _is_validated(project, dataset_id, month) and _read(project, dataset_id, month).decision == "stop"


def _read(project: Project, dataset_id: str, period: Period) -> Verdict:
    path = project.accepted(dataset_id, period) / VERDICT_FILE
    if not path.is_file():
        raise UsageError(
            found=f"no verdict for `{dataset_id}` {period}",
            expected=f"a {period.kind} that was validated",
            do=f"run `cxreport validate` for this {period.kind} or a later one",
        )
    return Verdict.model_validate_json(path.read_text(encoding="utf-8"))


def combine(period: Period, months: Sequence[Verdict], notes: Sequence[str] = ()) -> Verdict:
    """Return the verdict of a longer period from those of its months, in order, and what else its readers are told."""
    footnotes = [*_counted_together(months), *_named(months), *(("executive", note) for note in notes)]
    pages: dict[Page, list[str]] = {}
    for page, text in footnotes:
        pages.setdefault(page, []).append(text)
    decisions: set[Decision] = {month.decision for month in months}
    decisions |= {"publish with footnotes"} if notes else set()
    return Verdict(
        dataset=months[0].dataset,
        period=period.id,
        decision=max(decisions, key=get_args(Decision).index),
        tables={name: _together(months, name) for name in dict.fromkeys(chain(*(month.tables for month in months)))},
        rules=list(_rules(months)),
        gates=[
            gate if gate.outcome == "passed" else gate.model_copy(update={"found": _of(month, gate.found)})
            for month in months
            for gate in month.gates
        ],
        missing=_missing(months),
        footnotes=[text for _, text in footnotes],
        left_out=months[-1].left_out,
        late=sum(month.late for month in months),
        waivers=[
            waiver.model_copy(update={"reason": _of(month, waiver.reason)})
            for month in months
            for waiver in month.waivers
        ],
        pages=pages,
    )


def _of(month: Verdict, text: str) -> str:
    return f"{Period.parse(month.period).label}: {text}"


def _together(months: Iterable[Verdict], table: str) -> TableCount:
    counts = [month.tables[table] for month in months if table in month.tables]
    return TableCount(
        **{name: sum(getattr(count, name) for count in counts) for name in ("rows_in", "accepted", "rejected")}
    )


def _rules(months: Iterable[Verdict]) -> Iterator[RuleOutcome]:
    """Yield the gravest outcome of each rule on rows, with the rows of all months."""
    found: dict[tuple[str, str], list[tuple[Verdict, RuleOutcome]]] = {}
    for month in months:
        for rule in month.rules:
            found.setdefault((rule.table, rule.rule), []).append((month, rule))
    for outcomes in found.values():
        month, gravest = max(outcomes, key=lambda pair: _OUTCOMES.index(pair[1].outcome))
        counts = {name: sum(getattr(rule, name) for _, rule in outcomes) for name in ("rows", "checked")}
        reason = _of(month, gravest.reason) if gravest.outcome == "stopped" else gravest.reason
        yield gravest.model_copy(update=counts | {"reason": reason})


def _missing(months: Iterable[Verdict]) -> list[MissingCount]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for month in months:
        for each in month.missing:
            counts[each.question, each.metric, each.reason] += each.n
    return [
        MissingCount(question=question, metric=metric, reason=reason, n=n)
        for (question, metric, reason), n in sorted(counts.items())
    ]


def _counted_together(months: Iterable[Verdict]) -> Iterator[tuple[Page, str]]:
    """Yield the footnotes on rejected rows, with the rows of all months that were rejected alike."""
    counts: Counter[tuple[Page, TableName, str]] = Counter()
    for month in months:
        for page, note in _notes(month):
            if told := _LEFT_OUT.fullmatch(note):
                counts[page, _TABLES[told["noun"]], told["phrase"]] += int(told["rows"].replace(",", ""))
    for (page, table, phrase), rows in counts.items():
        yield page, left_out(rows, table, phrase)


def _named(months: Iterable[Verdict]) -> Iterator[tuple[Page, str]]:
    """Yield all other footnotes with their months."""
    for month in months:
        for page, note in _notes(month):
            if not _LEFT_OUT.fullmatch(note):
                yield page, _of(month, note)


def _notes(month: Verdict) -> Iterator[tuple[Page, str]]:
    return ((page, note) for page, notes in month.pages.items() for note in notes)


_TABLES = {noun: table for table, nouns in NOUNS.items() for noun in nouns}
# What `left_out` writes; the longer of two nouns is looked for first.
_LEFT_OUT = re.compile(
    rf"(?P<rows>[\d,]+) (?P<noun>{'|'.join(sorted(_TABLES, key=len, reverse=True))}) (?P<phrase>.+) "
    r"and (?:is|are) left out\."
)
