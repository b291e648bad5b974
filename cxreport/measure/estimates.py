"""From accepted rows and definitions to the one table of estimates that every report reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from cxreport.config import (
    AUDIENCE_FILE,
    ESTIMATES_FILE,
    VERDICT_FILE,
    WHOLE_FILE,
    Dataset,
    FactName,
    Kpi,
    Project,
    Report,
    Segment,
    load_dataset,
    load_kpis,
    load_segments,
)
from cxreport.engine import Frame, collect, load_engine, open_engine, read_table, write_table
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure.accounts import read_accounts
from cxreport.measure.analyses import Company, check_analyses, make_analyses
from cxreport.measure.audiences import (
    Audience,
    Levels,
    add_places,
    as_cells,
    check_audiences,
    cross_margins,
    find_audiences,
    measure_crossings,
    of_audience,
    rank_audiences,
    read_issued,
    remove_audiences,
)
from cxreport.measure.benchmarks import add_ranks, gap_interval, judge_benchmarks, read_benchmarks
from cxreport.measure.compare import add_changes, judge_changes
from cxreport.measure.disclosure import SHOWN, Margin, Margins, apply_issued, find_margins, suppress
from cxreport.measure.frames import asked_metrics, open_facts, whole_periods
from cxreport.measure.kpis import Measured, Scope, joined, measure_kpi
from cxreport.measure.mix import decompose
from cxreport.measure.other_kinds import hide_beside, read_beside
from cxreport.measure.revisions import (
    Past,
    benchmark_revisions,
    find_revisions,
    read_revised,
    read_statements,
    write_revisions,
)
from cxreport.measure.rollup import NOT_STATED
from cxreport.measure.targets import check_targets, status
from cxreport.measure.trend import add_limits
from cxreport.periods import Period
from cxreport.schema import ESTIMATES, ESTIMATES_KEY, MIX, TOTAL
from cxreport.validate import read_verdict


def measure(project: Project, report: Report, period: Period) -> pd.DataFrame:
    """Measure a report's KPIs up to a period; write `estimates.parquet`, `mix.parquet` and the report's analyses.

    Returns the estimates (`schema.ESTIMATES`): every KPI of the report for every period up to the reported one of which
    all months, or the week, have accepted rows, in total and for each level of the report's segments. Past periods keep
    the figures of the issues that published them, see `disclosure.apply_issued`, and nothing is shown that would tell
    of a small group beside reports of other periods, see `other_kinds`. Every audience of the report gets such files in
    a folder of its own; all are protected together. A KPI that was not asked in a period has no row for it, and a
    segment that no answer of a KPI states has none for that KPI. Comparisons, benchmarks, targets and verdicts stand on
    the rows of the reported period; targets and benchmarks on its totals.

    Raises
    ------
    UsageError
        When the period has no accepted rows, or accepted scores do not fit a KPI's scale.
    DefinitionError
        When definitions name columns, tables or benchmarks that are not there or values that no row has, or a target
        is out of range.
    """
    # Sums of several threads differ in their last digits from run to run.
    with threadpool_limits(limits=1):
        return _measure(project, report, period)


def _measure(project: Project, report: Report, period: Period) -> pd.DataFrame:
    kpis = load_kpis(project, report.kpis)
    segments = load_segments(project, dict.fromkeys([*report.segments, *report.mix_segments]))
    dataset = load_dataset(project, report.dataset)
    check_targets(report, kpis)
    check_analyses(project, report)
    groups = check_audiences(project, report, kpis, segments)
    with open_engine(load_engine(project)) as engine:
        facts = open_facts(project, dataset, period, {kpi.table for kpi in kpis.values()}, engine)
        _check_tables(facts, kpis, segments)
        _check_values(facts, kpis, asked_metrics(project, dataset))
        scope = Scope(report, dataset, segments, period)
        measured = [measure_kpi(facts[kpi.table], kpi, scope) for kpi in kpis.values()]
        audiences = find_audiences(report, groups, segments, [figures for figures, _ in measured])
        crossings = measure_crossings(facts, kpis, scope, audiences)
        together = _together(measured, crossings, audiences)
        # A quarter that lacks a month is no quarter to compare with; the reported one says so itself.
        whole = {each.id for each in (*whole_periods(project, dataset.id, period.kind), period)}
        raw = apply_issued(together[together["period"].isin(whole)], kpis, read_issued(project, report.id, period))
        raw = hide_beside(raw, kpis, read_beside(project, dataset.id, period))
        figures = _Figures(raw, suppress(raw, kpis, _margins(facts, kpis, segments, audiences)))
        past = _past(project, report, period)
        ranks = rank_audiences(figures.protected, audiences, kpis, scope)
        remove_audiences(project, report.id, period)
        everybody = pd.DataFrame()
        for reader in (_Reader(None, scope, kpis, measured), *_readers(audiences, scope, kpis, crossings)):
            estimates = _written(reader, figures, ranks, project)
            _write_revisions(reader, together[together["period"].isin(whole)], past, estimates, project)
            if reader.audience:
                _write_whole(everybody, reader, project)
            else:
                everybody = estimates
            own = reader.scope.report
            kept = {name: segments[name] for name in own.segments}
            make_analyses(
                Company(project, own, dataset, reader.kpis, kept, period, estimates, engine, facts, reader.folder)
            )
    return read_estimates(project, report.id, period)


class _Reader(NamedTuple):
    """Whom a pack is for, everybody or an audience: the report with what there are figures of, and the figures."""

    audience: Audience | None
    scope: Scope
    kpis: dict[str, Kpi]
    measured: Sequence[Measured]

    @property
    def folder(self) -> str:
        return self.audience.id if self.audience else ""

    def own(self, rows: pd.DataFrame, segments: Sequence[str]) -> pd.DataFrame:
        """Return what the pack holds of the figures of all packs, in total and by segments, on their index."""
        if self.audience:
            return of_audience(rows[rows["kpi"].isin(list(self.kpis))], self.audience, segments)
        return rows[rows["segment"].isin([TOTAL, *segments])]


def _readers(
    audiences: Sequence[Audience],
    scope: Scope,
    kpis: dict[str, Kpi],
    crossings: Mapping[Levels, Sequence[Measured]],
) -> Iterator[_Reader]:
    for audience in audiences:
        report = audience.narrow(scope.report, kpis, scope.segments)
        own = {kpi: kpis[kpi] for kpi in report.kpis}
        yield _Reader(audience, replace(scope, report=report), own, crossings[audience.levels])


class _Figures(NamedTuple):
    """The figures of all packs, before and after protection, on one index; protected ones may lack rows."""

    raw: pd.DataFrame
    protected: pd.DataFrame


def _together(
    measured: Sequence[Measured], crossings: Mapping[Levels, Sequence[Measured]], audiences: Sequence[Audience]
) -> pd.DataFrame:
    """Return the figures of everybody and, as cells of the whole company, those of audiences and single levels."""
    rows = pd.concat([figures for figures, _ in measured], ignore_index=True)
    if not audiences:
        return rows
    by, have_packs = audiences[0].by, {audience.levels for audience in audiences}
    cells = [
        as_cells(figures, by, levels).assign(is_seen=levels in have_packs)
        for levels, parts in crossings.items()
        for figures, _ in parts
    ]
    return pd.concat([rows.assign(is_seen=True), *cells], ignore_index=True)


def _written(reader: _Reader, figures: _Figures, ranks: pd.DataFrame, project: Project) -> pd.DataFrame:
    """Compare and judge the figures of a pack; write the estimates and the mix, and return the estimates."""
    report, period, kpis = reader.scope.report, reader.scope.period, reader.kpis
    correlations = pd.concat([each.correlations for each in reader.measured], ignore_index=True)
    shown = reader.own(figures.protected, report.segments).reset_index(drop=True)
    rows = add_changes(shown, kpis, period, report.confidence, correlations)
    rows = judge_changes(rows, report.confidence, report.headline, report.headline_weight)
    rows = add_limits(rows, kpis, period)
    rows = _add_targets(rows, kpis, report, period)
    rows = _add_benchmarks(rows, kpis, project, reader.scope.dataset, period)
    rows = add_ranks(rows, kpis, period, report.confidence)
    rows = add_places(rows, reader.audience, ranks, period) if reader.audience else rows
    leading = kpis[report.headline[0]]
    raw = reader.own(figures.raw[figures.raw["kpi"] == leading.id], report.mix_segments)
    mix = decompose(raw, figures.protected["suppressed"], leading, report.mix_segments, period)
    folder = project.measured(report.id, period, reader.folder)
    estimates = rows.assign(question=rows["question"].replace("", None)).reindex(columns=ESTIMATES.names)
    write_table(mix.reindex(columns=MIX.names), folder / "mix.parquet", MIX, ("kpi", "period", "segment", "level"))
    write_table(estimates, folder / ESTIMATES_FILE, ESTIMATES, ESTIMATES_KEY)
    if reader.audience:
        reader.audience.write(folder / AUDIENCE_FILE)
    return estimates


def _past(project: Project, report: Report, period: Period) -> Past:
    """Read what was issued before, and what bears on what may be told of it."""
    issued = read_accounts(project, report.id, report.dataset, period)
    told = sorted({name for issue in issued for name in issue.figures["period"]})
    return Past(
        issued=issued,
        revised=read_revised(project, report.id, period),
        beside=read_beside(project, report.dataset, period),
        late={name: late for name in told if (late := _late(project, report.dataset, Period.parse(name)))},
        statements=read_statements(project),
    )


def _late(project: Project, dataset: str, period: Period) -> int:
    """Return how many answers of a period came in late, as far as its months have verdicts."""
    validated = (part for part in period.parts if (project.accepted(dataset, part) / VERDICT_FILE).is_file())
    return sum(read_verdict(project, dataset, part).late for part in validated)


def _write_revisions(
    reader: _Reader, today: pd.DataFrame, past: Past, estimates: pd.DataFrame, project: Project
) -> None:
    """Write what the pack tells of issued figures that are others today; raises where one has no cause."""
    report, period, segments = reader.scope.report, reader.scope.period, reader.scope.report.segments
    told = [reader.own(issue.figures, segments) for issue in past.issued]
    is_everybody = reader.audience is None
    figures = find_revisions(reader.own(today, segments), told, past, reader.kpis, period, is_everybody=is_everybody)
    found = [figures, benchmark_revisions(estimates, [issue.figures for issue in past.issued], period)]
    write_revisions(project, report.id, period, reader.folder, found)


def _write_whole(estimates: pd.DataFrame, reader: _Reader, project: Project) -> None:
    """Write what a pack shows of everybody beside an audience, so that it needs no other pack's files."""
    period = reader.scope.period
    is_shown = (estimates["segment"] == TOTAL) & (estimates["period"] == period.id) & estimates["question"].isna()
    rows = estimates[is_shown & estimates["kpi"].isin(list(reader.kpis))]
    folder = project.measured(reader.scope.report.id, period, reader.folder)
    write_table(rows, folder / WHOLE_FILE, ESTIMATES, ESTIMATES_KEY)


def read_estimates(project: Project, report: str, period: Period) -> pd.DataFrame:
    """Read the estimates of a measured period; raises `UsageError` when it was not measured."""
    path = project.measured(report, period) / ESTIMATES_FILE
    if not path.is_file():
        raise UsageError(
            found=f"no estimates of `{report}` for {period.id}",
            expected="a measured period",
            do="run `cxreport measure` for it",
        )
    return read_table(path)


def _check_tables(facts: dict[FactName, Frame], kpis: dict[str, Kpi], segments: dict[str, Segment]) -> None:
    problems = [
        f"KPI `{kpi_id}` reads `{kpi.table}`, of which nothing was accepted"
        for kpi_id, kpi in kpis.items()
        if kpi.table not in facts
    ]
    known = {table: frame.columns for table, frame in facts.items()}
    problems += [
        f"segment `{segment.id}` needs column `{segment.column}` of `{table}`{nearest(segment.column, known[table])}"
        for table in dict.fromkeys(kpi.table for kpi in kpis.values() if kpi.table in facts)
        for segment in segments.values()
        if table in segment.tables and segment.column not in known[table]
    ]
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected=f"KPIs of {listed(facts)}, and segments by their columns",
            do="correct the report or reports/segments.yml, or deliver the feed",
        )


def _check_values(facts: dict[FactName, Frame], kpis: dict[str, Kpi], metrics: set[str]) -> None:
    """Refuse a `where` that picks what the data never have: a KPI must not vanish over a misspelt code.

    `metrics` are those that the dataset's feeds ask for; one that was not asked in the months at hand is no error.
    """

    @cache
    def known_values(table: FactName, column: str) -> set[str]:
        known = set(collect(facts[table].select(column).unique())[column].dropna().astype(str))
        return known | metrics if column == "metric" else known

    problems = []
    for kpi_id, kpi in kpis.items():
        for column, allowed in kpi.where.items():
            if column not in facts[kpi.table].columns:
                continue  # reduce names all missing columns
            known = known_values(kpi.table, column)
            problems += [
                f"KPI `{kpi_id}`: no row of `{kpi.table}` has the {column} `{value}`{nearest(value, known)}"
                for value in ([allowed] if isinstance(allowed, str) else allowed)
                if value not in known
            ]
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected="values of `where` that occur in the dataset, in some period",
            do="correct `where` in the KPI's file, or take the KPI out of the report if the dataset never asks for it",
        )


def _margins(
    facts: dict[FactName, Frame], kpis: dict[str, Kpi], segments: dict[str, Segment], audiences: Sequence[Audience]
) -> Margins:
    """Return how the segments of each table nest and cross, those of audiences too, by table and period."""
    found: dict[tuple[str, str], list[Margin]] = {}
    for table in dict.fromkeys(kpi.table for kpi in kpis.values()):
        columns = {segment.id: segment.column for segment in segments.values() if table in segment.tables}
        if len(columns) > 1:
            levels = [nw.col(column).alias(name) for name, column in columns.items()]
            occurring = collect(facts[table].select("period", *levels).unique())
            stated = occurring.fillna(dict.fromkeys(columns, NOT_STATED))
            for period, combinations in stated.groupby("period"):
                levels_together = combinations.drop(columns="period")
                found[table, str(period)] = [*find_margins(levels_together), *cross_margins(levels_together, audiences)]
    return found


def _totals(rows: pd.DataFrame, kpi_id: str, period: Period) -> "pd.Index[int]":
    is_total = (rows["kpi"] == kpi_id) & (rows["period"] == period.id) & (rows["segment"] == TOTAL)
    return rows.index[is_total & (rows["suppressed"] == SHOWN)]


def _add_targets(rows: pd.DataFrame, kpis: dict[str, Kpi], report: Report, period: Period) -> pd.DataFrame:
    """Add target and status to the totals of the reported period."""
    rows = rows.assign(target=np.nan, status=None)
    for kpi_id, target in report.targets.items():
        totals = _totals(rows, kpi_id, period)
        rows.loc[totals, "target"] = target
        rows.loc[totals, "status"] = status(rows.loc[totals], kpis[kpi_id], target)
    return rows


def _add_benchmarks(
    rows: pd.DataFrame, kpis: dict[str, Kpi], project: Project, dataset: Dataset, period: Period
) -> pd.DataFrame:
    """Add the first benchmark that fits, fresh ones first, and the gap to the totals of the reported period."""
    unknown = ("benchmark_value", "benchmark_low", "benchmark_high", "gap", "gap_ci_low", "gap_ci_high")
    rows = rows.assign(benchmark=None, **dict.fromkeys(unknown, np.nan))
    named = {kpi_id: kpi for kpi_id, kpi in kpis.items() if kpi.benchmarks}
    benchmarks = read_benchmarks(project) if named else pd.DataFrame()
    for kpi_id, kpi in named.items():
        totals = _totals(rows, kpi_id, period)
        judged = judge_benchmarks(kpi, dataset, period, benchmarks)
        notes = [f"benchmark {one.id} refused: {one.reason}" for one in judged if not one.fits]
        if fitting := sorted((one for one in judged if one.fits), key=lambda one: one.is_stale):
            best = fitting[0]
            rows.loc[totals, "benchmark"] = best.id
            rows.loc[totals, "benchmark_value"] = best.value
            rows.loc[totals, "gap"] = rows.loc[totals, "value"] - best.value
            rows.loc[totals, ["benchmark_low", "benchmark_high"]] = (
                best.value - best.half_width,
                best.value + best.half_width,
            )
            figures = rows.loc[totals, ["ci_low", "ci_high", "value"]].to_numpy(dtype=float)
            gaps = [gap_interval((low, high), value, best.value, best.half_width) for low, high, value in figures]
            rows.loc[totals, ["gap_ci_low", "gap_ci_high"]] = np.reshape(gaps, (len(totals), 2))
            notes += [f"benchmark {best.id} is stale"] if best.is_stale else []
        rows.loc[totals, "note"] = [joined(note, *notes) for note in rows.loc[totals, "note"]]
    return rows
