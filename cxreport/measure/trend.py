"""Whether a figure is within what its own past makes usual: limits and rules of the XmR chart."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxreport.config import Kpi
from cxreport.measure.compare import SERIES
from cxreport.measure.intervals import Array
from cxreport.periods import Period

# NHS England, "Making data count": limits from at least 12 points; runs and trends of 7.
MINIMUM_BASELINE = 12
RUN = 7
# From the mean moving range to three standard deviations (3 / d2), and to the range beyond which a jump is an outlier.
_TO_LIMIT = 3 / 1.128
_TO_OUTLIER = 3.267


class Limits(NamedTuple):
    """Natural process limits and their centre."""

    low: float
    mid: float
    high: float


def xmr_limits(baseline: Sequence[float] | Array, *, screen: bool = True) -> Limits:
    """Return the limits mean +- 2.66 times the mean moving range (Montgomery, Statistical Quality Control, 6.4).

    Parameters
    ----------
    baseline
        At least two figures in time order.
    screen
        Leave moving ranges above 3.267 times their mean out of the second mean, so that one jump does not widen the
        limits that should reveal it (the default of NHS "Making data count").

    >>> limits = xmr_limits([1.0, 2.0, 1.0, 2.0])
    >>> round(limits.low, 2), limits.mid, round(limits.high, 2)
    (-1.16, 1.5, 4.16)
    """
    values = np.asarray(baseline, dtype=float)
    ranges = np.abs(np.diff(values))
    if screen:
        ranges = ranges[ranges <= _TO_OUTLIER * ranges.mean()]
    mid, half = float(values.mean()), _TO_LIMIT * float(ranges.mean())
    return Limits(mid - half, mid, mid + half)


def signals(values: Sequence[float] | Array, limits: Limits) -> list[str | None]:
    """Name the rule that fires at each point, or `None`.

    The NHS "Making data count" rules, the first that holds: beyond the limits; the seventh or later point in a row
    on one side of the mean; the seventh or later in a row rising or falling; a point in the outer third when two of
    three in a row lie there, all three on one side of the mean.
    """
    x = np.asarray(values, dtype=float)
    side = np.sign(x - limits.mid)
    third = (limits.high - limits.mid) / 3
    in_outer_third = (np.abs(x - limits.mid) > 2 * third) & (x >= limits.low) & (x <= limits.high)
    rules: list[tuple[str, npt.NDArray[np.bool_]]] = []
    for sign, beyond, half, course, end in (
        (1, "above the usual range", "above", "rising", "upper"),
        (-1, "below the usual range", "below", "falling", "lower"),
    ):
        on_side = side == sign
        near = in_outer_third & on_side
        rules += [
            (beyond, x > limits.high if sign > 0 else x < limits.low),
            (f"{RUN} in a row {half} the usual middle", _window(on_side, RUN, all)),
            (f"{RUN} in a row {course}", _window(np.r_[False, np.sign(np.diff(x)) == sign], RUN - 1, all)),
            (f"2 of 3 near the {end} limit", _two_of_three(near, on_side)),
        ]
    # Both directions of a rule before the next rule.
    ranked = [rules[i] for pair in zip(range(4), range(4, 8), strict=True) for i in pair]
    return [next((name for name, fires in ranked if fires[i]), None) for i in range(len(x))]


def add_limits(rows: pd.DataFrame, kpis: dict[str, Kpi], period: Period) -> pd.DataFrame:
    """Add `usual_low`, `usual_mid`, `usual_high` and `signal` to every row of a series.

    The baseline is every shown figure before the reported period; a series with fewer than 12 has no limits.
    Limits are cut at the ends of the KPI's range.
    """
    added = pd.DataFrame({"usual_low": np.nan, "usual_mid": np.nan, "usual_high": np.nan, "signal": None}, rows.index)
    shown = rows[rows["value"].notna()].sort_values("period")
    for _, series in shown.groupby(SERIES, sort=False):
        baseline = series.loc[series["period"] < period.id, "value"]
        if len(baseline) < MINIMUM_BASELINE:
            continue
        limits = xmr_limits(baseline.to_numpy())
        low, high = value_range(kpis[series["kpi"].iloc[0]])
        added.loc[series.index, "usual_low"] = max(limits.low, low)
        added.loc[series.index, "usual_mid"] = limits.mid
        added.loc[series.index, "usual_high"] = min(limits.high, high)
        added.loc[series.index, "signal"] = signals(series["value"].to_numpy(), limits)
    return rows.join(added)


def value_range(kpi: Kpi) -> tuple[float, float]:
    """Return the lowest and highest figure a KPI can take."""
    if kpi.type == "mean":
        return (kpi.scale.low, kpi.scale.high) if kpi.scale else (-np.inf, np.inf)
    return {"net": (-100.0, 100.0), "share": (0.0, 1.0), "quantile": (0.0, np.inf)}[kpi.type]


def _window(
    flags: npt.NDArray[np.bool_], width: int, test: Callable[[npt.NDArray[np.bool_]], bool]
) -> npt.NDArray[np.bool_]:
    """Say for each point whether a test holds for the window of that width that ends there."""
    ends = range(1, len(flags) + 1)
    return np.array([end >= width and test(flags[end - width : end]) for end in ends], dtype=bool)


def _two_of_three(near: npt.NDArray[np.bool_], on_side: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return near & _window(on_side, 3, all) & _window(near, 3, lambda flags: int(flags.sum()) > 1)
