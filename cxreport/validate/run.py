"""Validate a dataset: split staged rows into accepted and rejected ones by month or week, with a verdict for each."""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal, Self

import pandas as pd
import pyarrow as pa

from cxreport.config import VERDICT_FILE, Dataset, Project
from cxreport.engine import read_table, write_arrow
from cxreport.errors import RunError, UsageError
from cxreport.periods import Period
from cxreport.schema import TABLES, TEXT, TableName
from cxreport.sources import covered_periods
from cxreport.validate.combine import read_verdict
from cxreport.validate.data_docs import write_data_docs
from cxreport.validate.deliveries import described
from cxreport.validate.gates import judge_feeds, uncompared
from cxreport.validate.rows import Calendar, Flags, Judged, judge, number_of
from cxreport.validate.suites import Positions, Rule, Suites
from cxreport.validate.verdict import (
    Decision,
    GateOutcome,
    MissingCount,
    Page,
    RuleOutcome,
    TableCount,
    Verdict,
    WaiverOutcome,
    left_out,
    stopped_note,
)
from cxreport.validate.waivers import Waiver, Waivers

# Tables whose rows are judged by other tables' rows come after them.
_ORDER: tuple[TableName, ...] = (
    *("customers", "subscriptions", "responses", "answers", "invitations"),
    *("tickets", "orders", "events", "mentions", "aggregates", "employees", "actions"),
)
_PERIOD = pa.field("period", TEXT)  # stored with accepted rows
_ROUNDING = 1e-9  # 1 - 0.98 is a little more than 0.02


def validate(
    project: Project, dataset: Dataset, period: Period, as_of: date, *, data_docs: Path | None = None
) -> Verdict:
    """Judge all staged rows up to a period and write accepted rows, rejected keys and a verdict for every month.

    A row that breaks a critical or warning rule is rejected. A month stops, and its accepted rows are not written, when
    a critical rule is broken by a larger share of its rows than the rule tolerates, or when a critical rule on a feed
    fails. Rows whose date is missing or after `as_of` belong to no month and are rejected within the reported one; the
    lists of customers and of what they pay, which have no date, are judged there too. Rows of later months are left
    out and counted.
    A stopped month before, or a year before, the reported one leaves a footnote there.

    For a week, all of this is done by weeks in place of months, beside what was written by month. For a quarter or a
    year, its last month is the reported one, and all its months make the verdict, see `read_verdict`.

    Parameters
    ----------
    period
        The reported period.
    as_of
        The day the exports were taken; its end, in the dataset's zone, is the latest time a row may carry.
    data_docs
        A folder for Great Expectations' own pages, which load scripts from the network; by default none are written.

    Returns
    -------
    The verdict of the reported period. A stop is a verdict, not an error: see `require_publishable`.

    Raises
    ------
    UsageError
        When the staged responses do not reach to the period's last month, or nothing is staged.
    DefinitionError
        When a suite is wrong.
    """
    _require_covered(project, dataset, period, as_of)
    calendar = Calendar(dataset.time_zone, period.parts[-1], as_of)
    with ThreadPoolExecutor() as reader:  # while the library is imported, which takes as long
        reading = reader.submit(_read_staged, project, dataset)
        suites = Suites.open(project, dataset.id, documented=data_docs is not None)
        staged = reading.result()
    waivers = Waivers.open(project, dataset, suites, as_of)
    judged: dict[TableName, Judged] = {}
    for table in staged:
        judged[table] = judge(table, staged, judged, calendar, suites, waivers=waivers)
    gates = judge_feeds(dataset, described(project, dataset), judged, calendar, suites=suites, waivers=waivers)
    months = [_Month.of(number, judged, calendar) for number in _numbers(period, judged)]
    verdicts = [_verdict(dataset, month, gates.get(month.number, []), waivers) for month in months]
    if calendar.period == period:
        verdicts[-1] = _with_stopped_history(verdicts[-1], verdicts[:-1])
    verdicts = [_with_late(project, verdict, month) for month, verdict in zip(months, verdicts, strict=True)]
    _assert_all_rows_judged(staged, judged)
    if data_docs:
        write_data_docs(suites.results, data_docs)
    _remove_stale(project, dataset, calendar.period, {month.period.id for month in months})
    with ThreadPoolExecutor() as writer:
        list(writer.map(partial(_write_month, project, dataset), months, verdicts))
    return read_verdict(project, dataset.id, period)


def _numbers(period: Period, judged: Mapping[TableName, Judged]) -> list[int]:
    """Return the months that have rows, and those of the reported period that lack them though the data had begun."""
    own = [number_of(part) for part in period.parts]
    found = {own[-1]}.union(*(table.months.tolist() for table in judged.values()))
    return sorted(found | {number for number in own if number > min(found)})


@dataclass(frozen=True)
class _Month:
    """The tables of a month, or of a week, and the positions of their rows that belong to it."""

    number: int
    period: Period
    tables: dict[TableName, Judged]
    rows: dict[TableName, Positions]
    left_out: dict[str, int]

    @classmethod
    def of(cls, number: int, judged: Mapping[TableName, Judged], calendar: Calendar) -> Self:
        reported = number == calendar.reported
        # Lists that describe a state have no date, and months of history need no copy of the same list.
        tables = {name: table for name, table in judged.items() if reported or TABLES[name].dated_by}
        return cls(
            number=number,
            period=calendar.month(number),
            tables=tables,
            rows={name: table.of_month(number) for name, table in tables.items()},
            left_out={name: table.left_out for name, table in judged.items()} if reported else {},
        )


# --- before ----------------------------------------------------------------------------------------


def _require_covered(project: Project, dataset: Dataset, period: Period, as_of: date) -> None:
    last = period.parts[-1]
    covered = [each for each in covered_periods(project, dataset, last.kind) if each.start <= as_of]
    if covered and covered[0].start < period.end and last.start <= covered[-1].start:
        return
    first, newest = (
        (Period.containing(day, period.kind) for day in (covered[0].start, covered[-1].end))
        if covered
        else (period, period)
    )
    raise UsageError(
        found=f"period `{period}`",
        expected=f"a {period.kind} from {first} to {newest.previous}, which `{dataset.id}` covers up to {as_of}"
        if covered
        else f"responses of `{dataset.id}` dated up to {as_of}",
        do=f"choose a covered {period.kind}, or add the missing export and ingest",
    )


def _read_staged(project: Project, dataset: Dataset) -> dict[TableName, pd.DataFrame]:
    folder = project.staged(dataset.id)
    paths = {table: folder / f"{table}.parquet" for table in _ORDER}
    staged = {table: read_table(path) for table, path in paths.items() if path.is_file()}
    if missing := [table for table in ("responses", "answers") if table not in staged]:
        raise UsageError(
            found=f"no staged {' and no staged '.join(missing)} of `{dataset.id}`",
            expected="a dataset with responses and answers",
            do="run `cxreport ingest` first",
        )
    return staged


# --- the verdict of one month ----------------------------------------------------------------------


def _verdict(dataset: Dataset, month: _Month, gates: list[GateOutcome], waivers: Waivers) -> Verdict:
    rules = [
        outcome
        for name, table in month.tables.items()
        for outcome in _outcomes(table, month.rows[name], month.period, waivers)
    ]
    waived = [_waived(waiver, rules, gates, waivers) for waiver in waivers.every if waiver.period == month.period.id]
    footnotes = [note for name, table in month.tables.items() for note in _footnotes(table, month.rows[name])]
    footnotes += _gate_footnotes(gates)
    footnotes += [("executive", text) for outcome in waived for text in _waiver_footnote(outcome)]
    pages: dict[Page, list[str]] = {}
    for page, text in footnotes:
        pages.setdefault(page, []).append(text)
    return Verdict(
        dataset=dataset.id,
        period=month.period.id,
        decision=_decide(rules, gates, waived),
        tables={name: _count(table, month.rows[name]) for name, table in month.tables.items()},
        rules=rules,
        gates=gates,
        missing=_missing(month.tables["answers"], month.rows["answers"]),
        footnotes=[text for _, text in footnotes],
        left_out=month.left_out,
        waivers=waived,
        pages=pages,
        uncompared=[feed.id for feed in uncompared(dataset, month.period.kind)],
    )


def _gate_footnotes(gates: Iterable[GateOutcome]) -> list[tuple[Page, str]]:
    """Return what readers are told of feeds; of two rules on one measure, what the first expects."""
    notes: dict[tuple[str, str, str], tuple[Page, str]] = {}
    for gate in gates:
        if gate.outcome == "noted" and gate.severity == "warning":
            what = f"{gate.feed}, {gate.thing}:" if gate.thing else f"{gate.feed} holds"
            note = f"The feed {what} {gate.found}; expected: {gate.expected}."
            notes.setdefault((gate.feed, gate.thing, gate.found), (gate.page, note))
    return list(notes.values())


def _waived(
    waiver: Waiver, rules: Iterable[RuleOutcome], gates: Iterable[GateOutcome], waivers: Waivers
) -> WaiverOutcome:
    broken = any(rule.rows for rule in rules if (rule.table, rule.rule) == (waiver.table, waiver.rule))
    broken |= any(gate.outcome != "passed" for gate in gates if (gate.feed, gate.rule) == (waiver.feed, waiver.rule))
    return WaiverOutcome(
        scope=waiver.scope,
        outcome="not needed" if not broken else "expired" if waivers.has_expired(waiver) else "applied",
        **waiver.model_dump(include={"rule", "downgrade_to", "reason", "by", "reviewed", "until"}),
    )


def _waiver_footnote(waived: WaiverOutcome) -> Iterable[str]:
    rule = f"rule “{waived.rule.replace('_', ' ')}” of {waived.scope}"
    if waived.outcome == "applied":
        yield f"The {rule} was waived by {waived.by} on {waived.reviewed}: {waived.reason.rstrip('.')}."
    if waived.outcome == "expired":
        yield f"The waiver of the {rule} by {waived.by} ended on {waived.until} and no longer applies."


def _with_stopped_history(verdict: Verdict, earlier: Iterable[Verdict]) -> Verdict:
    """Say which of the months that a report compares with have no accepted rows because they were stopped."""
    stopped = {month.period for month in earlier if month.decision == "stop"}
    period = Period.parse(verdict.period)
    footnotes = [stopped_note(month) for month in (period.previous, period.year_ago) if month.id in stopped]
    if not footnotes:
        return verdict
    decision = "stop" if verdict.decision == "stop" else "publish with footnotes"
    pages = verdict.pages | {"executive": [*verdict.pages.get("executive", []), *footnotes]}
    return verdict.model_copy(update={"decision": decision, "footnotes": verdict.footnotes + footnotes, "pages": pages})


def _with_late(project: Project, verdict: Verdict, month: _Month) -> Verdict:
    """Count the responses that an earlier validation of the month did not have; those counted before stay counted."""
    folder = project.accepted(verdict.dataset, month.period)
    if not (folder / VERDICT_FILE).is_file():
        return verdict
    earlier = read_verdict(project, verdict.dataset, month.period)
    late, path = earlier.late, folder / "responses.parquet"
    if path.is_file():
        responses = month.tables["responses"]
        accepted = responses.frame["response_id"].iloc[responses.accepted(month.rows["responses"])]
        late += len(set(accepted) - set(read_table(path)["response_id"]))
    return verdict.model_copy(update={"late": late})


def _decide(rules: Iterable[RuleOutcome], gates: Iterable[GateOutcome], waived: Iterable[WaiverOutcome]) -> Decision:
    outcomes = {rule.outcome for rule in rules if rule.severity != "info"}
    outcomes |= {gate.outcome for gate in gates if gate.severity != "info"}
    if "stopped" in outcomes:
        return "stop"
    needed = any(waiver.outcome != "not needed" for waiver in waived)
    return "publish" if outcomes <= {"passed"} and not needed else "publish with footnotes"


def _count(table: Judged, rows: Positions) -> TableCount:
    return TableCount(rows_in=len(rows), accepted=len(table.accepted(rows)), rejected=int(table.rejected[rows].sum()))


def _outcomes(table: Judged, month: Positions, period: Period, waivers: Waivers) -> Iterable[RuleOutcome]:
    broken, judged = (_sums(flags, month) for flags in (table.broken, table.checked))
    for own, rows, checked in zip(table.rules, broken, judged, strict=True):
        waiver = waivers.waiver(own.id, period, table=table.table)
        rule = waiver.applied_to(own) if waiver else own
        yield RuleOutcome(
            table=table.table,
            suite=rule.suite,
            rule=rule.id,
            severity=rule.severity,
            reason=rule.reason,
            rows=rows,
            checked=checked,
            outcome=_outcome(rule, rows, checked),
            page=rule.page,
        )


def _sums(flags: Flags, rows: Positions) -> list[int]:
    """Count, line by line, the flags of the rows."""
    counts: list[int] = flags.take(rows, axis=1).sum(axis=1).tolist()
    return counts


def _outcome(rule: Rule, rows: int, checked: int) -> Literal["passed", "rows rejected", "noted", "stopped"]:
    if rows == 0:
        return "passed"
    if rule.severity == "critical" and rows > checked * rule.tolerance + _ROUNDING:
        return "stopped"
    return "rows rejected" if rule.rejects else "noted"


def _footnotes(table: Judged, month: Positions) -> Iterable[tuple[Page, str]]:
    for rule, rows in zip(table.rules, _sums(table.refusing, month), strict=True):
        if rows and rule.rejects and rule.footnote:
            yield rule.page, left_out(rows, table.table, rule.footnote)


def _missing(answers: Judged, month: Positions) -> list[MissingCount]:
    accepted = answers.accepted(month)
    without = accepted[answers.frame["missing_reason"].notna().to_numpy()[accepted]]
    named = answers.frame[["question", "metric", "missing_reason"]].iloc[without]
    keys = named.fillna("").itertuples(index=False, name=None)
    return [
        MissingCount(question=question, metric=metric, reason=reason, n=n)
        for (question, metric, reason), n in sorted(Counter(keys).items())
    ]


# --- writing ---------------------------------------------------------------------------------------


def _write_month(project: Project, dataset: Dataset, month: _Month, verdict: Verdict) -> None:
    """Build a month's folders aside and swap them in, so that readers meet the old month or the new one."""
    accepted, rejected = project.accepted(dataset.id, month.period), project.rejected(dataset.id, month.period)
    for target in (rejected, accepted):
        shutil.rmtree(_aside(target), ignore_errors=True)  # left by a run that was cut off
        _aside(target).mkdir(parents=True)
    for name, table in month.tables.items():
        refused = table.rejections(month.rows[name])
        kept = table.stored.take(table.accepted(month.rows[name]))
        _assert_accounted(verdict, name, len(kept), len(refused))
        write_arrow(refused, _aside(rejected) / f"{name}.parquet", ["source", "source_row", "row_key"])
        if verdict.decision != "stop":
            dated = kept.append_column(_PERIOD, pa.repeat(month.period.id, len(kept)))
            order = ["source", "source_row", *TABLES[name].key]
            write_arrow(dated, _aside(accepted) / f"{name}.parquet", order)
    (_aside(accepted) / VERDICT_FILE).write_text(verdict.to_json(), encoding="utf-8")
    for target in (rejected, accepted):
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        _aside(target).rename(target)


def _aside(target: Path) -> Path:
    """Return where a month is built: outside the dataset's folder, which others list."""
    return target.parents[1] / f".{target.parent.name}-{target.name}"


def _remove_stale(project: Project, dataset: Dataset, period: Period, months: set[str]) -> None:
    """Remove months up to the reported one of which nothing is staged any more."""
    for parent in (project.accepted(dataset.id), project.rejected(dataset.id)):
        for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
            kept = Period.parse(folder.name)
            if kept.id not in months and kept.kind == period.kind and kept <= period:
                shutil.rmtree(folder)


def _assert_accounted(verdict: Verdict, table: TableName, accepted: int, rejected: int) -> None:
    count = verdict.tables[table]
    if (accepted, rejected) != (count.accepted, count.rejected) or count.rows_in != accepted + rejected:
        raise _lost_rows(f"{table} of {verdict.period}", count.rows_in, accepted + rejected)


def _assert_all_rows_judged(staged: Mapping[TableName, pd.DataFrame], judged: Mapping[TableName, Judged]) -> None:
    for name, table in judged.items():
        if len(staged[name]) != len(table.frame) + table.left_out:
            raise _lost_rows(name, len(staged[name]), len(table.frame) + table.left_out)


def _lost_rows(what: str, rows_in: int, rows_out: int) -> RunError:
    return RunError(
        found=f"{rows_in:,} rows of {what} in, {rows_out:,} out",
        expected="rows in = accepted + rejected",
        do="report this as a defect of cxreport; nothing was published",
    )
