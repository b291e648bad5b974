"""From accepted rows and definitions to the one table of estimates that every report reads."""

from collections.abc import Sequence

import narwhals as nw
import numpy as np
import pandas as pd

from cxreport.config import Dataset, Kpi, Project, Report, Segment, load_dataset, load_kpis, load_segments
from cxreport.engine import Frame, collect, connect, read_table, wrap, write_table
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure.benchmarks import judge, read_benchmarks
from cxreport.measure.compare import add_apart, add_changes, differ_from_rest
from cxreport.measure.disclosure import SHOWN, suppress
from cxreport.measure.frames import asked_metrics, open_facts
from cxreport.measure.intervals import infer
from cxreport.measure.mix import decompose
from cxreport.measure.reduce import reduce
from cxreport.measure.targets import check_targets, status
from cxreport.measure.trend import add_limits
from cxreport.periods import Period
from cxreport.schema import ESTIMATES, ESTIMATES_KEY, MIX, TOTAL, TableName

NOT_STATED = "(not stated)"


def estimate(frame: pd.DataFrame | Frame, kpi: Kpi, by: Sequence[str] = (), confidence: float = 0.95) -> pd.DataFrame:
    """Compute one KPI from rows of its table, for example in a notebook.

    Parameters
    ----------
    frame
        Rows of `kpi.table` with the columns that the KPI names: a DataFrame, or a lazy Narwhals frame on any engine.
        Scores that are missing are left out and counted in `n_missing`.
    by
        Columns to break the KPI down by; nulls are a group. A KPI per question is also grouped by `question`.
    confidence
        Confidence of the intervals (0-1).

    Returns
    -------
    DataFrame
        One row per group that has answers: the group columns, `n`, `n_missing`, `n_eff`, `n_top`, `n_bottom`, `value`,
        `ci_low`, `ci_high`, `se`, `method`, `note`; nets in points, shares 0-1. Nothing is suppressed.

    Raises
    ------
    DefinitionError
        When a needed column is missing.
    UsageError
        When scores lie off the KPI's scale or weights are negative.
    """
    reduced = reduce(wrap(frame) if isinstance(frame, pd.DataFrame) else frame, kpi, by, confidence)
    keys = [name for name in reduced.columns if name in {*by, "question"}]
    order = ["n", "n_missing", "n_eff", "n_top", "n_bottom", "value", "ci_low", "ci_high", "se", "method", "note"]
    inferred = infer(reduced, kpi, confidence).assign(n_missing=reduced["n_missing"])
    return reduced[keys].join(inferred[order])


def measure(project: Project, report: Report, period: Period) -> pd.DataFrame:
    """Measure a report's KPIs up to a period; write `estimates.parquet` and `mix.parquet`.

    Returns the estimates (`schema.ESTIMATES`): every KPI of the report for every period with accepted rows up to the
    reported one, in total and for each level of the report's segments. A KPI that was not asked in a period has no row
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
    kpis = load_kpis(project, report.kpis)
    segments = load_segments(project, dict.fromkeys([*report.segments, *report.mix_segments]))
    dataset = load_dataset(project, report.dataset)
    check_targets(report, kpis)
    with connect() as connection:
        if any(kpi.weight for kpi in kpis.values()):
            # Sums of weights depend on their order in the last digits; one thread keeps the order.
            connection.execute("SET threads = 1")
        facts = open_facts(project, dataset, period, connection)
        _check_tables(facts, kpis, segments)
        _check_values(facts, kpis, asked_metrics(project, dataset))
        figures = [_figures(facts[kpi.table], kpi, segments, report, period) for kpi in kpis.values()]
    raw = pd.concat(figures, ignore_index=True)
    protected = suppress(raw, kpis)
    shown = protected[protected["segment"].isin([TOTAL, *report.segments])].reset_index(drop=True)
    rows = add_changes(shown, kpis, period, report.confidence)
    rows = add_apart(rows, report.confidence)
    rows = add_limits(rows, kpis, period)
    rows = _add_targets(rows, kpis, report, period)
    rows = _add_benchmarks(rows, kpis, project, dataset, period)
    leading = raw["kpi"] == report.headline[0]
    mix = decompose(raw[leading], protected["suppressed"], kpis[report.headline[0]], report.mix_segments, period)
    folder = project.measured(report.id, period)
    estimates = rows.assign(question=rows["question"].replace("", None)).reindex(columns=ESTIMATES.names)
    write_table(mix.reindex(columns=MIX.names), folder / "mix.parquet", MIX, ("kpi", "period", "segment", "level"))
    write_table(estimates, folder / "estimates.parquet", ESTIMATES, ESTIMATES_KEY)
    return read_estimates(project, report.id, period)


def read_estimates(project: Project, report: str, period: Period) -> pd.DataFrame:
    """Read the estimates of a measured period; raises `UsageError` when it was not measured."""
    path = project.measured(report, period) / "estimates.parquet"
    if not path.is_file():
        raise UsageError(
            found=f"no estimates of `{report}` for {period.id}",
            expected="a measured period",
            do="run `cxreport measure` for it",
        )
    return read_table(path)


def _check_tables(facts: dict[TableName, Frame], kpis: dict[str, Kpi], segments: dict[str, Segment]) -> None:
    problems = [
        f"KPI `{kpi_id}` reads `{kpi.table}`, of which nothing was accepted"
        for kpi_id, kpi in kpis.items()
        if kpi.table not in facts
    ]
    known = {table: frame.collect_schema().names() for table, frame in facts.items()}
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


def _check_values(facts: dict[TableName, Frame], kpis: dict[str, Kpi], metrics: set[str]) -> None:
    """Refuse a `where` that picks what the data never have: a KPI must not vanish over a misspelt code.

    `metrics` are those that the dataset's feeds ask for; one that was not asked in the months at hand is no error.
    """
    problems = []
    for kpi_id, kpi in kpis.items():
        columns = facts[kpi.table].collect_schema().names()
        for column, allowed in kpi.where.items():
            if column not in columns:
                continue  # reduce names all missing columns
            known = set(collect(facts[kpi.table].select(column).unique())[column].dropna().astype(str))
            known |= metrics if column == "metric" else set()
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


def _figures(frame: Frame, kpi: Kpi, segments: dict[str, Segment], report: Report, period: Period) -> pd.DataFrame:
    """Return unprotected estimates of one KPI for all periods: the total and every level of every segment."""
    divisions = {TOTAL: nw.lit(TOTAL)} | {
        segment.id: nw.col(segment.column).fill_null(NOT_STATED)
        for segment in segments.values()
        if kpi.table in segment.tables
    }
    divided = [
        frame.with_columns(nw.lit(segment_id).alias("segment"), level.alias("level"))
        for segment_id, level in divisions.items()
    ]
    by = ["period", "segment", "level"]
    reduced = reduce(nw.concat(divided, how="vertical"), kpi, by, report.confidence)
    is_stated = (reduced["segment"] == TOTAL) | (reduced["level"] != NOT_STATED)
    reduced = reduced[is_stated.groupby(reduced["segment"]).transform("any")].reset_index(drop=True)
    question = reduced["question"] if kpi.per_question else ""
    figures = infer(reduced, kpi, report.confidence)
    figures = figures.join([differ_from_rest(reduced, figures, kpi, period, report.confidence), reduced[by]])
    figures = figures.assign(kpi=kpi.id, question=question, period_kind=report.period_kind)
    figures["weight_sum"] = reduced.get("w", reduced["n"])
    left_out = reduced["n_missing"].where(reduced["segment"] == TOTAL, 0)
    still_open = reduced.get("n_open", left_out * 0).where(reduced["segment"] == TOTAL, 0)
    figures["note"] = [
        _joined(
            note, _counted(without, "without an answer left out"), _counted(longest, "still open, taken as longest")
        )
        for note, without, longest in zip(figures["note"], left_out, still_open, strict=True)
    ]
    base = figures.groupby(["question", "period", "segment"])["n"].transform("sum")
    return figures.assign(share=figures["n"] / base)


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
    rows = rows.assign(benchmark=None, benchmark_value=np.nan, gap=np.nan)
    named = {kpi_id: kpi for kpi_id, kpi in kpis.items() if kpi.benchmarks}
    benchmarks = read_benchmarks(project) if named else pd.DataFrame()
    for kpi_id, kpi in named.items():
        totals = _totals(rows, kpi_id, period)
        judged = judge(kpi, dataset, period, benchmarks)
        notes = [f"benchmark {one.id} refused: {one.reason}" for one in judged if not one.fits]
        if fitting := sorted((one for one in judged if one.fits), key=lambda one: one.is_stale):
            best = fitting[0]
            rows.loc[totals, "benchmark"] = best.id
            rows.loc[totals, "benchmark_value"] = best.value
            rows.loc[totals, "gap"] = rows.loc[totals, "value"] - best.value
            notes += [f"benchmark {best.id} is stale"] if best.is_stale else []
        rows.loc[totals, "note"] = [_joined(note, *notes) for note in rows.loc[totals, "note"]]
    return rows


def _counted(n: int, what: str) -> str | None:
    return f"{n} {what}" if n else None


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if isinstance(note, str)) or None
