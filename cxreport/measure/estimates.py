"""From accepted rows and definitions to the one table of estimates that every report reads."""

from functools import cache

import narwhals as nw
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from cxreport.config import (
    ESTIMATES_FILE,
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
from cxreport.measure.analyses import Company, check_analyses, make_analyses
from cxreport.measure.benchmarks import add_ranks, gap_interval, judge_benchmarks, read_benchmarks
from cxreport.measure.compare import add_changes, judge_changes
from cxreport.measure.disclosure import SHOWN, Margin, Margins, apply_issued, find_margins, suppress
from cxreport.measure.frames import asked_metrics, open_facts
from cxreport.measure.kpis import Scope, joined, measure_kpi
from cxreport.measure.mix import decompose
from cxreport.measure.rollup import NOT_STATED
from cxreport.measure.targets import check_targets, status
from cxreport.measure.trend import add_limits
from cxreport.periods import Period
from cxreport.schema import ESTIMATES, ESTIMATES_KEY, MIX, TOTAL


def measure(project: Project, report: Report, period: Period) -> pd.DataFrame:
    """Measure a report's KPIs up to a period; write `estimates.parquet`, `mix.parquet` and the report's analyses.

    Returns the estimates (`schema.ESTIMATES`): every KPI of the report for every period with accepted rows up to the
    reported one, in total and for each level of the report's segments. Past periods keep the figures of the issues that
    published them, see `disclosure.apply_issued`. A KPI that was not asked in a period has no row
    for it, and a segment that no answer of a KPI states has none for that KPI. Comparisons, benchmarks, targets and
    verdicts stand on the rows of the reported period; targets and benchmarks on its totals.

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
    with open_engine(load_engine(project)) as engine:
        facts = open_facts(project, dataset, period, {kpi.table for kpi in kpis.values()}, engine)
        _check_tables(facts, kpis, segments)
        _check_values(facts, kpis, asked_metrics(project, dataset))
        scope = Scope(report, dataset, segments, period)
        measured = [measure_kpi(facts[kpi.table], kpi, scope) for kpi in kpis.values()]
        estimates = _written(measured, _margins(facts, kpis, segments), kpis, project, scope)
        kept = {name: segments[name] for name in report.segments}
        make_analyses(Company(project, report, dataset, kpis, kept, period, estimates, engine, facts))
    return read_estimates(project, report.id, period)


def _written(
    measured: list[tuple[pd.DataFrame, pd.DataFrame]],
    margins: Margins,
    kpis: dict[str, Kpi],
    project: Project,
    scope: Scope,
) -> pd.DataFrame:
    """Protect, compare and judge what was measured; write the estimates and the mix, and return the estimates."""
    report, period = scope.report, scope.period
    issued = [read_table(path) for path in project.issued(report.id, period)]
    raw = apply_issued(pd.concat([figures for figures, _ in measured], ignore_index=True), kpis, issued)
    correlations = pd.concat([rho for _, rho in measured], ignore_index=True)
    protected = suppress(raw, kpis, margins)
    shown = protected[protected["segment"].isin([TOTAL, *report.segments])].reset_index(drop=True)
    rows = add_changes(shown, kpis, period, report.confidence, correlations)
    rows = judge_changes(rows, report.confidence, report.headline, report.headline_weight)
    rows = add_limits(rows, kpis, period)
    rows = _add_targets(rows, kpis, report, period)
    rows = _add_benchmarks(rows, kpis, project, scope.dataset, period)
    rows = add_ranks(rows, kpis, period, report.confidence)
    leading = raw["kpi"] == report.headline[0]
    mix = decompose(raw[leading], protected["suppressed"], kpis[report.headline[0]], report.mix_segments, period)
    folder = project.measured(report.id, period)
    estimates = rows.assign(question=rows["question"].replace("", None)).reindex(columns=ESTIMATES.names)
    write_table(mix.reindex(columns=MIX.names), folder / "mix.parquet", MIX, ("kpi", "period", "segment", "level"))
    write_table(estimates, folder / ESTIMATES_FILE, ESTIMATES, ESTIMATES_KEY)
    return estimates


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


def _margins(facts: dict[FactName, Frame], kpis: dict[str, Kpi], segments: dict[str, Segment]) -> Margins:
    """Return how the segments of each table nest and cross, by table and period."""
    found: dict[tuple[str, str], list[Margin]] = {}
    for table in dict.fromkeys(kpi.table for kpi in kpis.values()):
        columns = {segment.id: segment.column for segment in segments.values() if table in segment.tables}
        if len(columns) > 1:
            levels = [nw.col(column).alias(name) for name, column in columns.items()]
            occurring = collect(facts[table].select("period", *levels).unique())
            stated = occurring.fillna(dict.fromkeys(columns, NOT_STATED))
            for period, combinations in stated.groupby("period"):
                found[table, str(period)] = find_margins(combinations.drop(columns="period"))
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
