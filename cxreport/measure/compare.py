"""Changes between two periods: the test of a difference, its interval, and the words the statistics allow."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cxreport.config import Kpi
from cxreport.measure.disclosure import SHOWN
from cxreport.measure.intervals import Array, adjusted_net, halve, infer, net_variance, share_interval
from cxreport.measure.reduce import SUMS
from cxreport.periods import Period
from cxreport.schema import TOTAL

# A normal deviate beyond which p-values are no longer told apart; its tail is about 1e-299.
_LARGEST_DEVIATE = 37.0
# Two figures of the same customers are never taken as one and the same.
_CLOSEST = 0.99

# Which rows follow each other over time.
SERIES = ["kpi", "question", "segment", "level"]


class Change(NamedTuple):
    """A tested difference, in the unit of the figures: ends of its interval and the two-sided p-value."""

    low: Array
    high: Array
    p_value: Array


def net_change(
    now: pd.DataFrame, before: pd.DataFrame, confidence: float, rho: Array | float = 0.0, *, adjusted: bool = True
) -> Change:
    """Compare two nets by their adjusted counts (Lewis and Sauro, measuringu.com/nps-significance-test), in points.

    Needs `p_top`, `p_bottom` (class shares) and `base`. `rho` is the correlation of the two figures, of customers who
    stand in both. The interval is centred on the difference of the adjusted nets, not on the raw one that readers see;
    without adjustment it is Wald's, which is too narrow for few or one-sided answers and serves comparison with others.
    """
    net, variance = _net(now, adjusted=adjusted)
    earlier_net, earlier_variance = _net(before, adjusted=adjusted)
    difference = 100 * (net - earlier_net)
    se = 100 * _se_of_difference(np.sqrt(variance), np.sqrt(earlier_variance), rho)
    half = stats.norm.ppf((1 + confidence) / 2) * se
    low, high = np.clip(difference - half, -200, 200), np.clip(difference + half, -200, 200)
    return Change(low, high, 2 * stats.norm.sf(np.abs(difference) / se))


def _net(figures: pd.DataFrame, *, adjusted: bool) -> tuple[Array, Array]:
    top, bottom, base = (figures[name].to_numpy(dtype=float) for name in ("p_top", "p_bottom", "base"))
    if adjusted:
        return adjusted_net(top * base, bottom * base, base)
    return top - bottom, net_variance(top, bottom) / base


def _se_of_difference(se: Array, earlier_se: Array, rho: Array | float) -> Array:
    result: Array = np.sqrt(np.maximum(se**2 + earlier_se**2 - 2 * rho * se * earlier_se, 0))
    return result


def share_change(now: pd.DataFrame, before: pd.DataFrame, confidence: float, rho: Array | float = 0.0) -> Change:
    """Compare two shares by Newcombe's hybrid score interval.

    Independent ones by method 10 of Newcombe (1998, Statistics in Medicine 17:873-890); correlated ones with the term
    in the correlation `rho` of his interval for paired shares (1998, Statistics in Medicine 17:2635-2650). Needs
    `p_top` and `base`. The p-value is the error at which the interval just reaches zero, so test and interval always
    agree.
    """
    (p, base), (earlier_p, earlier_base) = ((f["p_top"].to_numpy(), f["base"].to_numpy()) for f in (now, before))
    difference = p - earlier_p

    def distances(z: Array | float) -> tuple[Array, Array]:
        low, high = share_interval(p * base, base, z)
        earlier_low, earlier_high = share_interval(earlier_p * earlier_base, earlier_base, z)
        return (
            _se_of_difference(p - low, earlier_high - earlier_p, rho),
            _se_of_difference(high - p, earlier_p - earlier_low, rho),
        )

    def excludes_zero(z: Array) -> npt.NDArray[np.bool_]:
        below, above = distances(z)
        excluded: npt.NDArray[np.bool_] = np.abs(difference) > np.where(difference > 0, below, above)
        return excluded

    below, above = distances(stats.norm.ppf((1 + confidence) / 2))
    z = halve(excludes_zero, inside=np.zeros_like(p), outside=np.full_like(p, _LARGEST_DEVIATE))
    return Change(difference - below, difference + above, np.minimum(2 * stats.norm.sf(z), 1))


def mean_change(now: pd.DataFrame, before: pd.DataFrame, confidence: float, rho: Array | float = 0.0) -> Change:
    """Compare two means or ratios by Welch's t (1947, Biometrika 34:28-35); needs `value`, `se` and `df`.

    With the correlation `rho` of customers who stand in both, the variance loses twice the covariance.
    """
    se, earlier_se = now["se"].to_numpy(dtype=float), before["se"].to_numpy(dtype=float)
    together = se**2 + earlier_se**2
    df = together**2 / (se**4 / now["df"].to_numpy() + earlier_se**4 / before["df"].to_numpy())
    difference = now["value"].to_numpy() - before["value"].to_numpy()
    error = _se_of_difference(se, earlier_se, rho)
    error = np.where(error > 0, error, np.nan)
    half = stats.t.ppf((1 + confidence) / 2, df) * error
    return Change(difference - half, difference + half, 2 * stats.t.sf(np.abs(difference) / error, df))


def quantile_change(now: pd.DataFrame, before: pd.DataFrame, confidence: float, rho: Array | float = 0.0) -> Change:
    """Compare two figures with a standard error each, such as quantiles; needs `value` and `se`.

    Bonett and Price (2002, Psychological Methods 7:370-383) for medians, applied to any quantile, to Kaplan-Meier
    survival and to customer value. It assumes nothing about the shape of the distributions.
    """
    difference = now["value"].to_numpy() - before["value"].to_numpy()
    se = _se_of_difference(now["se"].to_numpy(dtype=float), before["se"].to_numpy(dtype=float), rho)
    half = stats.norm.ppf((1 + confidence) / 2) * se
    return Change(difference - half, difference + half, 2 * stats.norm.sf(np.abs(difference) / se))


_TESTS = {
    "net": net_change,
    "share": share_change,
    "mean": mean_change,
    "ratio": mean_change,
    "quantile": quantile_change,
    "survival": quantile_change,
    "value": quantile_change,
}


def test_of(kpi: Kpi) -> Callable[[pd.DataFrame, pd.DataFrame, float, Array | float], Change]:
    """Return the test of a difference that fits a KPI; the mean of several nets is compared as a mean."""
    return mean_change if kpi.parts else _TESTS[kpi.type]


# Estimate column by what it holds, for the comparison with the period before and with the year before.
_COLUMNS = (
    {name: name for name in ("previous", "change", "change_ci_low", "change_ci_high", "p_value", "q_value", "verdict")},
    {"previous": "year_ago"}
    | {name: f"year_{name}" for name in ("change", "change_ci_low", "change_ci_high", "p_value", "q_value", "verdict")},
)


def add_changes(
    rows: pd.DataFrame,
    kpis: dict[str, Kpi],
    period: Period,
    confidence: float,
    correlations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Add both comparisons of the reported period to its rows, without verdicts; earlier rows get nulls.

    A comparison needs an interval on both sides and a figure that was shown before. Figures on a low base get their
    change and its interval, but no test. `judge_changes` turns the p-values of a whole report into verdicts.

    Parameters
    ----------
    rows
        Estimates of all periods after disclosure control, with what `infer` adds for comparisons.
    correlations
        `correlate` of the KPIs whose customers may stand in both periods; figures without one count as independent.
    """
    now = rows[rows["period"] == period.id]
    for earlier, names in zip((period.previous, period.year_ago), _COLUMNS, strict=True):
        comparison = _compare(now, rows[rows["period"] == earlier.id], kpis, confidence, correlations)
        comparison[_has_earlier(names)] = comparison.pop("has_earlier")
        rows = rows.join(comparison.rename(columns=names))
    return rows


def _has_earlier(names: dict[str, str]) -> str:
    return f"has_{names['previous']}"


def correlate(overlap: pd.DataFrame, figures: pd.DataFrame, kpi: Kpi, now: str, earlier: str) -> pd.DataFrame:
    """Return the correlation of a clustered KPI's figures of two periods, per question, segment and level.

    The covariance of two ratio means is the sum, over the customers who stand in both, of the product of their
    linearised contributions; answers of a customer are alike, so an increase counts for more than between strangers.

    Parameters
    ----------
    overlap
        What `cxreport.measure.reduce.overlap` returned for the two periods.
    figures
        Unprotected estimates of the KPI with `weight_sum`.
    """
    keys = ["question", "segment", "level"]
    sides = [figures[figures["period"] == period].set_index(keys) for period in (now, earlier)]
    shared = overlap.assign(question=overlap["question"] if kpi.per_question else "").set_index(keys)
    shared = shared[shared.index.isin(sides[0].index) & shared.index.isin(sides[1].index)]
    one, other = (side.reindex(shared.index) for side in sides)
    rho = _correlation(shared, one, other, kpi)
    return pd.DataFrame({"kpi": kpi.id, "period": earlier, "rho": rho}, index=shared.index).reset_index()


def _correlation(sums: pd.DataFrame, one: pd.DataFrame, other: pd.DataFrame, kpi: Kpi) -> Array:
    """Return the correlation of two ratio means from the cross sums `xx`, `xw`, `wx`, `ww` of their clusters."""
    unit = 100.0 if kpi.type == "net" else 1.0
    mean, other_mean = one["value"].to_numpy() / unit, other["value"].to_numpy() / unit
    xx, xw, wx, ww = (sums[name].to_numpy(dtype=float) for name in ("xx", "xw", "wx", "ww"))
    cross = xx - other_mean * xw - mean * wx + mean * other_mean * ww
    # The factor m / (m - 1) of both variances, m clusters each, so that the same answers correlate fully.
    df, other_df = (side["df"].clip(lower=1).to_numpy(dtype=float) for side in (one, other))
    factor = np.sqrt((1 + 1 / df) * (1 + 1 / other_df))
    covariance = factor * unit**2 * cross / (one["weight_sum"].to_numpy() * other["weight_sum"].to_numpy())
    errors = one["se"].to_numpy(dtype=float) * other["se"].to_numpy(dtype=float)
    rho: Array = np.where(errors > 0, covariance / np.where(errors > 0, errors, 1), 0.0)
    return np.clip(rho, -_CLOSEST, _CLOSEST)


def differ_from_rest(
    reduced: pd.DataFrame,
    figures: pd.DataFrame,
    kpi: Kpi,
    period: Period,
    confidence: float,
    *,
    shared: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare each level of the reported period with everybody else in the total of its question.

    The sums of a level taken from those of the total are the sums of everybody else. Without clusters the two share
    nobody; with clusters, customers may have answers on either side, and their covariance counts. A level needs a rest
    of at least the KPI's `minimum_base.warn`. Figures whose sums do not add up, such as quantiles, get nulls.

    Parameters
    ----------
    reduced
        What `reduce` returned by period, segment and level, the totals among them.
    figures
        What `infer` made of it, on the same index.
    shared
        What `level_overlap` returned, for clustered KPIs.

    Returns
    -------
    DataFrame
        On the same index: `apart_p_value`, and `apart_sign` (1 above, -1 below, 0 where adjusted and raw figures point
        different ways). Neither is protected yet.
    """
    apart = pd.DataFrame({"apart_p_value": np.nan, "apart_sign": 0.0}, index=reduced.index)
    if not kpi.is_per_answer:
        return apart
    now = reduced[reduced["period"] == period.id].assign(question=reduced["question"] if kpi.per_question else "")
    is_total = now["segment"] == TOTAL
    sums = [*SUMS, "clusters"]
    levels = now[~is_total]
    totals = now[is_total].set_index("question")[sums].reindex(levels["question"]).set_index(levels.index)
    rest = totals - levels[sums]
    if shared is not None:
        keys = ["question", "segment", "level"]
        cross = shared.assign(question=shared["question"] if kpi.per_question else "").set_index(keys)
        cross = cross.reindex(pd.MultiIndex.from_frame(levels[keys])).set_index(levels.index)
        # Sums over clusters of products with everybody else: with the total, less with the level itself.
        cross = pd.DataFrame(
            {
                "xx": cross["xx"] - levels["w2x2"],
                "xw": cross["xw"] - levels["w2x"],
                "wx": cross["wx"] - levels["w2x"],
                "ww": cross["ww"] - levels["w2"],
            }
        )
        rest["w2x2"] -= 2 * cross["xx"]
        rest["w2x"] -= cross["xw"] + cross["wx"]
        rest["w2"] -= 2 * cross["ww"]
    rest = rest[(rest["n"] >= kpi.minimum_base.warn) & (rest["clusters"] > 0)]
    others, own = infer(rest, kpi, confidence), figures.loc[rest.index]
    rho: Array | float = 0.0
    if shared is not None:
        weighted = (own.assign(weight_sum=levels["w"].loc[own.index]), others.assign(weight_sum=rest["w"]))
        rho = _correlation(cross.loc[rest.index], *weighted, kpi)
    low, high, p_value = test_of(kpi)(own, others, confidence, rho)
    has_both = own["ci_low"].notna() & others["ci_low"].notna()
    raw, centre = np.sign(own["value"] - others["value"]), np.sign(low + high)
    apart.loc[rest.index, "apart_p_value"] = np.where(has_both, p_value, np.nan)
    apart.loc[rest.index, "apart_sign"] = np.where(raw == centre, raw, 0.0)
    return apart


def judge_changes(
    rows: pd.DataFrame, confidence: float, headline: Sequence[str] = (), headline_weight: float = 0.5
) -> pd.DataFrame:
    """Add the q-values and verdicts of all tests of a report, which are one family.

    The family holds both comparisons of every figure and every level against everybody else. Its false discovery rate
    is 1 - `confidence`, controlled by the weighted procedure of Genovese, Roeder and Wasserman (2006, Biometrika
    93:509-524): `headline_weight` of the error is kept for the comparisons of the headline KPIs' totals, which the
    report sets out to judge; the rest is for what it searches. Weights are declared before any figure is seen.

    A comparison without an interval on both sides, or where the earlier figure is hidden, is "too few answers"; hidden
    rows have no verdict. "above" and "below" speak of the figure, whichever direction is good.

    Parameters
    ----------
    rows
        What `add_changes` returned, with what `differ_from_rest` adds.
    """
    is_shown = rows["suppressed"] == SHOWN
    rows = rows.assign(apart_p_value=rows["apart_p_value"].where(is_shown & ~rows["low_base"].fillna(value=False)))
    names = [columns["p_value"] for columns in _COLUMNS]
    family = pd.concat([rows[name] for name in (*names, "apart_p_value")], keys=range(3))
    is_headline = (rows["kpi"].isin(headline) & (rows["segment"] == TOTAL)).to_numpy()
    leads = pd.Series(np.r_[is_headline, is_headline, np.zeros(len(rows), dtype=bool)], index=family.index)
    q_values = benjamini_hochberg(family, shares_of_error(family, leads, headline_weight))
    error = 1 - confidence
    for number, columns in enumerate(_COLUMNS):
        q_value = q_values.xs(number)
        rows[columns["q_value"]] = q_value
        # Declared weights may carry a test further than its own interval does; a word needs both.
        rows[columns["verdict"]] = _verdicts(rows, columns, (q_value < error) & (rows[columns["p_value"]] < error))
    apart = q_values.xs(2)
    sign = rows["apart_sign"].where((apart < error) & (rows["apart_p_value"] < error))
    words = sign.map({1.0: "above", -1.0: "below"}).astype(object)
    return rows.assign(apart_q_value=apart, apart=words.where(words.notna(), None))


def shares_of_error(p_values: pd.Series, is_leading: pd.Series, weight: float) -> pd.Series:
    """Return each test's weight, 1 on average over the tests that were made: the leading ones share `weight` of all."""
    was_made = p_values.notna()
    tests, leading = int(was_made.sum()), int((was_made & is_leading).sum())
    if leading in (0, tests):
        return pd.Series(1.0, index=p_values.index)
    ahead, behind = weight * tests / leading, (1 - weight) * tests / (tests - leading)
    return pd.Series(np.where(is_leading, ahead, behind), index=p_values.index)


def benjamini_hochberg(p_values: pd.Series, weights: pd.Series | None = None) -> pd.Series:
    """Return q-values (Benjamini and Hochberg 1995, JRSS-B 57:289-300) over the p-values that are not null.

    With `weights`, which are 1 on average, each p-value is first divided by its weight (Genovese, Roeder and Wasserman
    2006, Biometrika 93:509-524); a test of weight 0 is never a finding.
    """
    tested = p_values.dropna()
    if weights is not None:
        weight = weights.loc[tested.index]
        tested = (tested / weight.where(weight > 0)).fillna(1.0).clip(upper=1.0)
    q_values = stats.false_discovery_control(tested) if len(tested) else []
    return pd.Series(q_values, index=tested.index, dtype=float).reindex(p_values.index)


def _compare(
    now: pd.DataFrame,
    earlier: pd.DataFrame,
    kpis: dict[str, Kpi],
    confidence: float,
    correlations: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return the comparison of each row with its earlier one, without q-value and verdict."""
    series = pd.MultiIndex.from_frame(now[SERIES])
    before = earlier.set_index(SERIES).reindex(series).set_index(now.index)
    rho = pd.Series(0.0, index=now.index)
    if correlations is not None and not earlier.empty:
        known = correlations[correlations["period"] == earlier["period"].iloc[0]].set_index(SERIES)["rho"]
        rho = known.astype(float).reindex(series).set_axis(now.index).fillna(0.0)
    comparison = pd.DataFrame(
        {"previous": before["value"].where(now["suppressed"] == SHOWN), "has_earlier": before["suppressed"].notna()}
    ).assign(change=np.nan, change_ci_low=np.nan, change_ci_high=np.nan, p_value=np.nan)
    is_comparable = now["ci_low"].notna() & before["ci_low"].notna()
    is_tested = is_comparable & ~now["low_base"] & before["low_base"].eq(False)
    for kpi_id, kpi in kpis.items():
        if kpi.type == "count":  # a complete count changes exactly; nothing is to be tested
            is_kpi = now.index[now["kpi"] == kpi_id]
            comparison.loc[is_kpi, "change"] = now.loc[is_kpi, "value"] - before.loc[is_kpi, "value"]
            continue
        chosen = now.index[is_comparable & (now["kpi"] == kpi_id)]
        alike: Array = np.asarray(rho[chosen], dtype=np.float64)
        low, high, p_value = test_of(kpi)(now.loc[chosen], before.loc[chosen], confidence, alike)
        change = now.loc[chosen, "value"] - before.loc[chosen, "value"]
        comparison.loc[chosen, "change"] = change.where(~np.isnan(low))
        comparison.loc[chosen, "change_ci_low"] = low
        comparison.loc[chosen, "change_ci_high"] = high
        comparison.loc[chosen, "p_value"] = np.where(is_tested[chosen], p_value, np.nan)
    return comparison


def _verdicts(rows: pd.DataFrame, columns: dict[str, str], detected: pd.Series) -> pd.Series:
    """Return the verdicts of one comparison; rows that it does not compare have none."""
    change = rows[columns["change"]]
    centre = rows[columns["change_ci_low"]] + rows[columns["change_ci_high"]]
    has_earlier = rows[_has_earlier(columns)]
    cases = [
        (has_earlier.isna() | (rows["suppressed"] != SHOWN), None),
        (has_earlier.eq(False), "no earlier figure"),
        (change.notna() & centre.isna(), "complete count: not tested"),
        (rows[columns["p_value"]].isna(), "too few answers"),
        # Adjusted figures decide, raw ones are shown: a word needs both to point the same way.
        (detected & (change > 0) & (centre > 0), "rose"),
        (detected & (change < 0) & (centre < 0), "fell"),
    ]
    verdicts = np.select(
        [case.to_numpy(dtype=bool) for case, _ in cases],
        [np.array(word, dtype=object) for _, word in cases],
        np.array("no detectable change", dtype=object),
    )
    return pd.Series(verdicts, index=rows.index, dtype=object)
