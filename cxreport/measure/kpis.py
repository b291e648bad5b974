"""The figures of one KPI: from rows of its table to estimates, in total and by segment, for all periods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxreport.config import Dataset, Kpi, Report, Segment
from cxreport.engine import Frame, collect, wrap
from cxreport.errors import UsageError
from cxreport.measure.cohorts import survival_by_group
from cxreport.measure.compare import SERIES, correlate, differ_from_rest
from cxreport.measure.intervals import infer
from cxreport.measure.reduce import level_overlap, overlap, reduce, survival_counts
from cxreport.measure.rollup import NOT_STATED
from cxreport.measure.value import BgNbd, GammaGamma, clv, fit_interval, rfm
from cxreport.periods import Period
from cxreport.schema import TOTAL


def estimate(frame: pd.DataFrame | Frame, kpi: Kpi, by: Sequence[str] = (), confidence: float = 0.95) -> pd.DataFrame:
    """Compute one KPI from rows of its table, for example in a notebook.

    Parameters
    ----------
    frame
        Rows of `kpi.table` with the columns that the KPI names: a DataFrame, or a lazy Narwhals frame on any engine.
        Scores that are missing are left out and counted in `n_missing`. Without the KPI's `cluster` column every row
        counts as a customer of its own.
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
    rows = wrap(frame) if isinstance(frame, pd.DataFrame) else frame
    if kpi.cluster not in {None, *rows.columns} and not kpi.parts:
        kpi = kpi.model_copy(update={"cluster": None})
    reduced = _reduced(rows, kpi, by, confidence)
    keys = [name for name in reduced.columns if name in {*by, "question"}]
    order = ["n", "n_missing", "n_eff", "n_top", "n_bottom", "value", "ci_low", "ci_high", "se", "method", "note"]
    inferred = infer(reduced, kpi, confidence).assign(n_missing=reduced["n_missing"])
    return reduced[keys].join(inferred[order])


@dataclass(frozen=True)
class Scope:
    """What all KPIs of a report are measured for."""

    report: Report
    dataset: Dataset
    segments: dict[str, Segment]
    period: Period

    @property
    def earlier(self) -> tuple[Period, Period]:
        """The periods that the reported one is compared with."""
        return self.period.previous, self.period.year_ago

    def columns(self, kpi: Kpi) -> dict[str, str]:
        """Return the column of each segment that the KPI's table carries."""
        return {segment.id: segment.column for segment in self.segments.values() if kpi.table in segment.tables}


class Measured(NamedTuple):
    """Unprotected estimates of one KPI for all periods, and how its periods are correlated (`compare.correlate`)."""

    figures: pd.DataFrame
    correlations: pd.DataFrame


class _Sums(NamedTuple):
    """What the figures of a KPI are made from; `shared` and `overlaps` of clustered KPIs only."""

    reduced: pd.DataFrame
    shared: pd.DataFrame | None
    overlaps: list[pd.DataFrame]  # with each of the periods that the reported one is compared with

    def of(self, column: str, value: str) -> "_Sums":
        """Return the sums of one value of a column that they are grouped by."""

        def part(sums: pd.DataFrame) -> pd.DataFrame:
            return sums[sums[column] == value].drop(columns=column).reset_index(drop=True)

        shared = None if self.shared is None else part(self.shared)
        return _Sums(part(self.reduced), shared, [part(both) for both in self.overlaps])


def measure_kpi(frame: Frame, kpi: Kpi, scope: Scope) -> Measured:
    """Measure one KPI in total and for every level of every segment.

    Customers with answers in two periods make the figures of these periods alike; the correlations say how much, for
    the comparisons of the reported period.
    """
    if kpi.type == "value":
        counted, figures = _lifetime_values(frame, kpi, scope)
        return _measured(_Sums(counted, None, []), kpi, scope, figures)
    return _measured(_summed(frame, kpi, scope), kpi, scope)


def measure_parts(frame: Frame, kpi: Kpi, scope: Scope, column: str) -> dict[str, Measured]:
    """Measure one KPI among the rows of each value of a column, as if there were no others, from one set of sums.

    A lifetime value has no parts, because one model is fitted to everybody.
    """
    if kpi.type == "value":
        return {}
    sums = _summed(frame, kpi, scope, [column])
    return {str(value): _measured(sums.of(column, value), kpi, scope) for value in sums.reduced[column].unique()}


def _summed(frame: Frame, kpi: Kpi, scope: Scope, by: Sequence[str] = ()) -> _Sums:
    columns, period = scope.columns(kpi), scope.period.id
    reduced = _reduced(frame, kpi, ["period", *by], scope.report.confidence, segments=columns)
    is_stated = (reduced["segment"] == TOTAL) | (reduced["level"] != NOT_STATED)
    has_levels = is_stated.groupby(reduced["segment"]).transform("any")
    reduced = reduced[has_levels].reset_index(drop=True)
    if not (kpi.cluster and kpi.is_per_answer):
        return _Sums(reduced, None, [])
    shared = level_overlap(frame, kpi, period, columns, by=by)
    return _Sums(reduced, shared, [overlap(frame, kpi, period, each.id, columns, by=by) for each in scope.earlier])


def _measured(sums: _Sums, kpi: Kpi, scope: Scope, figures: pd.DataFrame | None = None) -> Measured:
    """Return the figures that sums make, unless they are known, with what the comparisons need."""
    period, confidence, reduced = scope.period, scope.report.confidence, sums.reduced
    figures = infer(reduced, kpi, confidence) if figures is None else figures
    apart = differ_from_rest(reduced, figures, kpi, period, confidence, shared=sums.shared)
    figures = figures.join([apart, reduced[["period", "segment", "level"]]])
    question = reduced["question"] if kpi.per_question else ""
    figures = figures.assign(kpi=kpi.id, question=question, period_kind=period.kind)
    figures["weight_sum"] = reduced.get("w", reduced["n"])
    figures["note"] = _noted(figures["note"], reduced)
    base = figures.groupby(["question", "period", "segment"])["n"].transform("sum")
    figures = figures.assign(share=figures["n"] / base)
    correlations = [
        correlate(both, figures, kpi, period.id, earlier.id)
        for both, earlier in zip(sums.overlaps, scope.earlier, strict=False)
    ]
    columns = [*SERIES, "period", "rho"]
    return Measured(figures, pd.concat(correlations) if correlations else pd.DataFrame(columns=columns))


def _reduced(
    frame: Frame, kpi: Kpi, by: Sequence[str], confidence: float, segments: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return the sufficient statistics of a KPI; of survival, the figures themselves."""
    if kpi.type != "survival" and kpi.open_cases != "censored":
        return reduce(frame, kpi, by, confidence, segments=segments)
    counts = survival_counts(frame, kpi, by, segments=segments)
    is_curve = kpi.type == "survival"
    at, quantiles = ([kpi.at or 0.0], []) if is_curve else ([], [kpi.quantile or 0.0])
    keys = [name for name in counts.columns if name not in {"duration", "events", "censored", "n_missing"}]
    figures = survival_by_group(counts, keys, at=at, quantiles=quantiles, confidence=confidence)
    missing = counts.groupby(keys, dropna=False, as_index=False)["n_missing"].first() if keys else counts.head(1)
    figures = (
        figures.merge(missing[[*keys, "n_missing"]], how="left", on=keys)
        if keys
        else figures.assign(n_missing=missing["n_missing"].sum())
    )
    return figures.assign(n_open=figures["n"] - figures["n_events"])


def _lifetime_values(orders: Frame, kpi: Kpi, scope: Scope) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return base and mean lifetime value of all buyers for the reported period and those it is compared with.

    One model is fitted to everybody, so levels of segments have none of their own. A customer's first order starts the
    observation: in a subscription company the activation (`new`). Of who joined before the data begin it is the first
    order on file, and a note counts them. A period whose orders are too few for the models has a base and a note.
    """
    rows = collect(orders.select("customer_id", "ordered_at", "amount", "kind"))
    rows["ordered_at"] = rows["ordered_at"].dt.tz_convert(scope.dataset.time_zone).dt.tz_localize(None)
    rows["amount"] = rows["amount"].abs().where(rows["kind"] != "refund", -rows["amount"].abs())
    first_day = rows["ordered_at"].min()
    figures = [
        {"period": period.id} | _lifetime_value(rows, kpi, period, scope)
        for period in sorted({scope.period, *scope.earlier})
        if pd.Timestamp(period.start) >= first_day
    ]
    table = pd.DataFrame(figures).assign(segment=TOTAL, level=TOTAL)
    return table[["period", "segment", "level", "n", "n_missing"]], table.drop(columns=["period", "segment", "level"])


def _lifetime_value(orders: pd.DataFrame, kpi: Kpi, period: Period, scope: Scope) -> dict[str, object]:
    buyers = rfm(orders, period.end - timedelta(days=1))

    def mean_value(customers: pd.DataFrame, bgnbd: BgNbd, gamma_gamma: GammaGamma) -> float:
        assert kpi.months is not None
        assert kpi.discount_rate is not None
        values = clv(
            customers,
            bgnbd,
            gamma_gamma,
            months=kpi.months,
            discount_rate_per_year=kpi.discount_rate,
            margin=scope.dataset.margin,
        )
        return float(values["clv"].mean())

    unknown = dict.fromkeys(("value", "se", "ci_low", "ci_high"), np.nan)
    try:
        fitted = fit_interval(buyers, mean_value, confidence=scope.report.confidence)._asdict()
    except UsageError as error:
        fitted = unknown | {"note": f"no figure: {error.found}"}
    nothing = dict.fromkeys(("n_top", "n_bottom", "p_top", "p_bottom", "df"), np.nan)
    method = "BG/NBD and Gamma-Gamma, jackknife" if not np.isnan(fitted["se"]) else "no interval"
    n = len(buyers)
    has_start = buyers["customer_id"].isin(orders.loc[orders["kind"] == "new", "customer_id"])
    fitted["note"] = joined(
        fitted["note"], _counted(int((~has_start).sum()), "who joined earlier, from their first order")
    )
    return fitted | nothing | {"n": n, "n_missing": 0, "n_eff": float(n), "base": float(n), "method": method}


def _noted(notes: pd.Series, reduced: pd.DataFrame) -> list[str | None]:
    """Add what was left out, and what is still open, to the notes of totals."""
    is_total = reduced["segment"] == TOTAL
    left_out = reduced["n_missing"].where(is_total, 0)
    still_open = reduced["n_open"].where(is_total, 0) if "n_open" in reduced else left_out * 0
    longest = "still open, taken as longest" if "value" not in reduced else "still open, counted up to their age"
    return [
        joined(note, _counted(int(without), "without an answer left out"), _counted(int(still), longest))
        for note, without, still in zip(notes, left_out, still_open, strict=True)
    ]


def _counted(n: int, what: str) -> str | None:
    return f"{n} {what}" if n else None


def joined(*notes: str | None) -> str | None:
    """Join the notes that are there."""
    return "; ".join(note for note in notes if isinstance(note, str)) or None
