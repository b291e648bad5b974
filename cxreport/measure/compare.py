"""Changes between two periods: the test of a difference, its interval, and the words the statistics allow."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cxreport.config import Kpi
from cxreport.measure.disclosure import SHOWN
from cxreport.measure.intervals import Array, adjusted_net, halve, infer, share_interval
from cxreport.measure.reduce import SUMS
from cxreport.periods import Period
from cxreport.schema import TOTAL

# A normal deviate beyond which p-values are no longer told apart; its tail is about 1e-299.
_LARGEST_DEVIATE = 37.0

# Which rows follow each other over time.
SERIES = ["kpi", "question", "segment", "level"]


class Change(NamedTuple):
    """A tested difference, in the unit of the figures: ends of its interval and the two-sided p-value."""

    low: Array
    high: Array
    p_value: Array


def net_change(now: pd.DataFrame, before: pd.DataFrame, confidence: float) -> Change:
    """Compare two nets by their adjusted counts (Lewis and Sauro, measuringu.com/nps-significance-test), in points.

    Needs `p_top`, `p_bottom` (class shares) and `base`. The interval is centred on the difference of the adjusted
    nets, not on the raw one that readers see.
    """
    net, variance = _adjusted(now)
    earlier_net, earlier_variance = _adjusted(before)
    difference, se = 100 * (net - earlier_net), 100 * np.sqrt(variance + earlier_variance)
    half = stats.norm.ppf((1 + confidence) / 2) * se
    low, high = np.clip(difference - half, -200, 200), np.clip(difference + half, -200, 200)
    return Change(low, high, 2 * stats.norm.sf(np.abs(difference) / se))


def _adjusted(figures: pd.DataFrame) -> tuple[Array, Array]:
    top, bottom, base = (figures[name].to_numpy(dtype=float) for name in ("p_top", "p_bottom", "base"))
    return adjusted_net(top * base, bottom * base, base)


def share_change(now: pd.DataFrame, before: pd.DataFrame, confidence: float) -> Change:
    """Compare two shares by Newcombe's hybrid score interval (1998, Statistics in Medicine 17:873-890, method 10).

    Needs `p_top` and `base`. The p-value is the error at which the interval just reaches zero, so test and interval
    always agree.
    """
    (p, base), (earlier_p, earlier_base) = ((f["p_top"].to_numpy(), f["base"].to_numpy()) for f in (now, before))
    difference = p - earlier_p

    def distances(z: Array | float) -> tuple[Array, Array]:
        low, high = share_interval(p * base, base, z)
        earlier_low, earlier_high = share_interval(earlier_p * earlier_base, earlier_base, z)
        return np.hypot(p - low, earlier_high - earlier_p), np.hypot(high - p, earlier_p - earlier_low)

    def excludes_zero(z: Array) -> npt.NDArray[np.bool_]:
        below, above = distances(z)
        excluded: npt.NDArray[np.bool_] = np.abs(difference) > np.where(difference > 0, below, above)
        return excluded

    below, above = distances(stats.norm.ppf((1 + confidence) / 2))
    z = halve(excludes_zero, inside=np.zeros_like(p), outside=np.full_like(p, _LARGEST_DEVIATE))
    return Change(difference - below, difference + above, np.minimum(2 * stats.norm.sf(z), 1))


def mean_change(now: pd.DataFrame, before: pd.DataFrame, confidence: float) -> Change:
    """Compare two means by Welch's t (1947, Biometrika 34:28-35); needs `value`, `se` and `df`."""
    variance, earlier_variance = now["se"].to_numpy() ** 2, before["se"].to_numpy() ** 2
    total = variance + earlier_variance
    df = total**2 / (variance**2 / now["df"].to_numpy() + earlier_variance**2 / before["df"].to_numpy())
    difference, se = now["value"].to_numpy() - before["value"].to_numpy(), np.sqrt(total)
    half = stats.t.ppf((1 + confidence) / 2, df) * se
    return Change(difference - half, difference + half, 2 * stats.t.sf(np.abs(difference) / se, df))


def quantile_change(now: pd.DataFrame, before: pd.DataFrame, confidence: float) -> Change:
    """Compare two quantiles by standard errors from order statistics; needs `value` and `se`.

    Bonett and Price (2002, Psychological Methods 7:370-383) for medians, applied to any quantile. It assumes
    nothing about the shape of the distributions.
    """
    difference = now["value"].to_numpy() - before["value"].to_numpy()
    se = np.hypot(now["se"].to_numpy(), before["se"].to_numpy())
    half = stats.norm.ppf((1 + confidence) / 2) * se
    return Change(difference - half, difference + half, 2 * stats.norm.sf(np.abs(difference) / se))


_TESTS = {"net": net_change, "share": share_change, "mean": mean_change, "quantile": quantile_change}
# Estimate column by what it holds, for the comparison with the period before and with the year before.
_COLUMNS = (
    {name: name for name in ("previous", "change", "change_ci_low", "change_ci_high", "p_value", "q_value", "verdict")},
    {"previous": "year_ago"}
    | {name: f"year_{name}" for name in ("change", "change_ci_low", "change_ci_high", "p_value", "q_value", "verdict")},
)


def add_changes(rows: pd.DataFrame, kpis: dict[str, Kpi], period: Period, confidence: float) -> pd.DataFrame:
    """Add both comparisons of the reported period to its rows; earlier rows get nulls.

    A comparison needs an interval on both sides; without one, or where the earlier figure is suppressed, the verdict
    is "too few answers" and no change is given. Figures on a low base get their change and its interval, but no
    test. Suppressed rows have no verdict.

    A verdict follows the Benjamini-Hochberg q-value over both comparisons, in two declared families: the totals, which
    the report sets out to judge, and the levels of all segments, which it searches. In one family, hundreds of levels
    would drown a clear move of a total. `add_apart` declares the third family: levels against everybody else.

    Parameters
    ----------
    rows
        Estimates of all periods after disclosure control, with what `infer` adds for comparisons.
    """
    now = rows[rows["period"] == period.id]
    compared = [
        _compare(now, rows[rows["period"] == earlier.id], kpis, confidence)
        for earlier in (period.previous, period.year_ago)
    ]
    p_values = pd.concat([comparison["p_value"] for comparison in compared], keys=[0, 1])
    is_total = np.tile(now["segment"] == TOTAL, len(compared))
    q_values = benjamini_hochberg(p_values[is_total]).combine_first(benjamini_hochberg(p_values[~is_total]))
    for number, (comparison, names) in enumerate(zip(compared, _COLUMNS, strict=True)):
        comparison["q_value"] = q_values.xs(number)
        comparison["verdict"] = _verdicts(comparison, now["suppressed"] != "no", 1 - confidence)
        rows = rows.join(comparison[list(names)].rename(columns=names))
    return rows


def differ_from_rest(
    reduced: pd.DataFrame, figures: pd.DataFrame, kpi: Kpi, period: Period, confidence: float
) -> pd.DataFrame:
    """Compare each level of the reported period with everybody else in the total of its question.

    The sums of a level taken from those of the total are the sums of everybody else; the two share no answer, so the
    tests of a change fit. A level needs a rest of at least the KPI's `minimum_base.warn`. Quantiles are not
    additive and get nulls.

    Parameters
    ----------
    reduced
        What `reduce` returned by period, segment and level, the totals among them.
    figures
        What `infer` made of it, on the same index.

    Returns
    -------
    DataFrame
        On the same index: `apart_p_value`, and `apart_sign` (1 above, -1 below, 0 where adjusted and raw figures point
        different ways). Neither is protected yet.
    """
    apart = pd.DataFrame({"apart_p_value": np.nan, "apart_sign": 0.0}, index=reduced.index)
    if kpi.type == "quantile":
        return apart
    now = reduced[reduced["period"] == period.id].assign(question=reduced["question"] if kpi.per_question else "")
    is_total = now["segment"] == TOTAL
    sums = list(SUMS)
    levels = now[~is_total]
    totals = now[is_total].set_index("question")[sums].reindex(levels["question"]).set_index(levels.index)
    rest = totals - levels[sums]
    rest = rest[rest["n"] >= kpi.minimum_base.warn]
    others, own = infer(rest, kpi, confidence), figures.loc[rest.index]
    low, high, p_value = _TESTS[kpi.type](own, others, confidence)
    has_both = own["ci_low"].notna() & others["ci_low"].notna()
    raw, centre = np.sign(own["value"] - others["value"]), np.sign(low + high)
    apart.loc[rest.index, "apart_p_value"] = np.where(has_both, p_value, np.nan)
    apart.loc[rest.index, "apart_sign"] = np.where(raw == centre, raw, 0.0)
    return apart


def add_apart(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Add `apart_p_value`, `apart_q_value` and `apart`: which levels of the reported period differ from all others.

    The levels of all segments and KPIs of the report are one family of their own, the third beside the two of
    `add_changes`. Suppressed levels and those on a low base are not tested. "above" and "below" speak of the figure,
    whichever direction is good.

    Parameters
    ----------
    rows
        Estimates after disclosure control, with what `differ_from_rest` adds.
    """
    is_tested = (rows["suppressed"] == SHOWN) & ~rows["low_base"]
    p_values = rows["apart_p_value"].where(is_tested)
    q_values = benjamini_hochberg(p_values)
    sign = rows["apart_sign"].where(q_values < 1 - confidence)
    return rows.assign(
        apart_p_value=p_values, apart_q_value=q_values, apart=sign.map({1.0: "above", -1.0: "below"}).astype(object)
    )


def benjamini_hochberg(p_values: pd.Series) -> pd.Series:
    """Return q-values (Benjamini and Hochberg 1995, JRSS-B 57:289-300) over the p-values that are not null."""
    tested = p_values.dropna()
    return pd.Series(stats.false_discovery_control(tested), index=tested.index, dtype=float).reindex(p_values.index)


def _compare(now: pd.DataFrame, earlier: pd.DataFrame, kpis: dict[str, Kpi], confidence: float) -> pd.DataFrame:
    """Return the comparison of each row with its earlier one, without q-value and verdict."""
    before = earlier.set_index(SERIES).reindex(pd.MultiIndex.from_frame(now[SERIES])).set_index(now.index)
    comparison = pd.DataFrame(
        {"previous": before["value"].where(now["suppressed"] == "no"), "has_earlier": before["suppressed"].notna()}
    ).assign(change=np.nan, change_ci_low=np.nan, change_ci_high=np.nan, p_value=np.nan)
    is_comparable = now["ci_low"].notna() & before["ci_low"].notna()
    is_tested = is_comparable & ~now["low_base"] & before["low_base"].eq(False)
    for kpi_id, kpi in kpis.items():
        chosen = now.index[is_comparable & (now["kpi"] == kpi_id)]
        low, high, p_value = _TESTS[kpi.type](now.loc[chosen], before.loc[chosen], confidence)
        change = now.loc[chosen, "value"] - before.loc[chosen, "value"]
        comparison.loc[chosen, "change"] = change.where(~np.isnan(low))
        comparison.loc[chosen, "change_ci_low"] = low
        comparison.loc[chosen, "change_ci_high"] = high
        comparison.loc[chosen, "p_value"] = np.where(is_tested[chosen], p_value, np.nan)
    return comparison


def _verdicts(comparison: pd.DataFrame, is_suppressed: pd.Series, error: float) -> pd.Series:
    detected = comparison["q_value"] < error
    centre = comparison["change_ci_low"] + comparison["change_ci_high"]
    cases = [
        (is_suppressed, None),
        (~comparison["has_earlier"], "no earlier figure"),
        (comparison["p_value"].isna(), "too few answers"),
        # Adjusted figures decide, raw ones are shown: a word needs both to point the same way.
        (detected & (comparison["change"] > 0) & (centre > 0), "rose"),
        (detected & (comparison["change"] < 0) & (centre < 0), "fell"),
    ]
    verdicts = np.select(
        [case.to_numpy(dtype=bool) for case, _ in cases],
        [np.array(word, dtype=object) for _, word in cases],
        np.array("no detectable change", dtype=object),
    )
    return pd.Series(verdicts, index=comparison.index, dtype=object)
