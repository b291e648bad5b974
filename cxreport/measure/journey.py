"""Customer journeys: who goes on from stage to stage, how each touchpoint scores, where it hurts, and across channels.

All functions take plain frames and return frames; shares are 0-1 and nets are points.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats
from statsmodels.stats.meta_analysis import combine_effects

from cxreport.config import Kpi
from cxreport.errors import UsageError, listed, nearest
from cxreport.measure.compare import benjamini_hochberg, mean_change
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL
from cxreport.measure.intervals import Array, share_interval
from cxreport.measure.kpis import estimate

DIFFER, ALIKE, TOO_FEW = "channels differ beyond chance", "no detectable difference", "too few channels"

_TOP = 3


# --- from stage to stage -------------------------------------------------------------------------


def stage_funnel(
    events: pd.DataFrame,
    stages: Sequence[str],
    *,
    journey: str = "customer_id",
    window: pd.Timedelta | None = None,
    as_of: pd.Timestamp | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Count the journeys that reach each stage and those that go on to a later one.

    A journey goes on when, at or after its first event of a stage, it has an event of any later stage; stages may be
    skipped. With a window, later means within it, and journeys whose window is not over by `as_of` are counted apart:
    whoever only just arrived has not dropped off.

    Parameters
    ----------
    events
        One row per event: `stage`, `occurred_at` and the journey's id. Rows without a stage are left out.
    stages
        All stages in journey order.
    journey
        Column of the journey's id: a customer or a session.
    window, as_of
        How long a journey has to go on, and the instant up to which events are known (the last one when not given).

    Returns
    -------
    DataFrame
        One row per stage, in order: `stage`, `n` (journeys with a first event there), `n_open` (their window is not
        over), `n_continued`, `drop_off` with `ci_low` and `ci_high` (share of the others that did not go on, Wilson;
        null at the last stage and where no window is over), `n_unidentified` and `n_undated` (events without an id,
        or with an id but without an instant, which are in no other column).

    Raises
    ------
    UsageError
        For missing columns, repeated or unknown stages, and for `as_of` without a window.

    >>> at = pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-01", "2026-01-03", "2026-01-05"])
    >>> events = pd.DataFrame({"customer_id": ["a", "a", "b", "c", None], "occurred_at": at,
    ...                        "stage": ["browse", "buy", "browse", "browse", "buy"]})
    >>> funnel = stage_funnel(events, ["browse", "buy"])
    >>> funnel["n"].tolist(), funnel["n_continued"].tolist(), funnel["n_unidentified"].tolist()
    ([3, 1], [1, 0], [0, 1])
    """
    _check_columns(events, [journey, "stage", "occurred_at"])
    _check_stages(events["stage"], stages)
    if as_of is not None and window is None:
        raise UsageError(found="`as_of` without a window", expected="both or neither", do="give the `window`")
    staged = events[events["stage"].notna()]
    is_identified, is_dated = staged[journey].notna(), staged["occurred_at"].notna()
    usable = staged[is_identified & is_dated]
    first = usable.groupby([journey, "stage"], observed=True)["occurred_at"].min()
    known_until = as_of if as_of is not None else staged["occurred_at"].max()
    rows = []
    for position, stage in enumerate(stages):
        arrived = first[first.index.get_level_values("stage") == stage].droplevel("stage")
        later = usable[usable["stage"].isin(list(stages[position + 1 :])) & usable[journey].isin(arrived.index)]
        wait = later["occurred_at"] - arrived.reindex(later[journey]).set_axis(later.index)
        goes_on = (wait >= pd.Timedelta(0)) & (wait <= window if window is not None else True)
        is_open = arrived + window > known_until if window is not None else pd.Series(False, index=arrived.index)
        continued = arrived.index.isin(later.loc[goes_on, journey])
        rows.append((stage, len(arrived), int(is_open.sum()), int((continued & ~is_open).sum())))
    table = pd.DataFrame(rows, columns=["stage", "n", "n_open", "n_continued"])
    base = (table["n"] - table["n_open"]).to_numpy(dtype=float)
    is_last = table["stage"] == stages[-1]
    table = table.join(_wilson(base - table["n_continued"], np.where(is_last, 0, base), "drop_off", confidence))
    for name, chosen in (("n_unidentified", ~is_identified), ("n_undated", is_identified & ~is_dated)):
        table[name] = table["stage"].map(staged.loc[chosen, "stage"].value_counts()).fillna(0).astype("int64")
    return table


# --- scores along the journey --------------------------------------------------------------------


def touchpoint_scores(
    answers: pd.DataFrame,
    kpi: Kpi,
    stages: Sequence[str],
    *,
    by: Sequence[str] = ("touchpoint",),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Score every touchpoint of every stage.

    Parameters
    ----------
    answers
        Rows of the KPI's table with `stage` and the columns of `by`. Rows without a stage are left out.
    stages
        All stages in journey order.
    by
        What to divide a stage by: touchpoints, or touchpoints and channels.

    Returns
    -------
    DataFrame
        One row per stage and touchpoint that has answers, in journey order: `stage`, the columns of `by`, `share` (of
        all answers with a stage, 0-1) and the figures of `estimate`. Nothing is suppressed.

    Raises
    ------
    UsageError, DefinitionError
        For missing columns, and repeated or unknown stages; as `estimate` does.
    """
    _check_columns(answers, ["stage", *by])
    _check_stages(answers["stage"], stages)
    scores = estimate(answers[answers["stage"].notna()], kpi, ["stage", *by], confidence)
    scores.insert(1 + len(by), "share", scores["n"] / scores["n"].sum())
    return _in_order(scores, stages, by)


def emotional_curve(
    answers: pd.DataFrame, kpi: Kpi, stages: Sequence[str], *, confidence: float = 0.95
) -> pd.DataFrame:
    """Follow the score through the stages, relative to the score of all of them.

    A stage is part of the whole that it is compared with. Its distance from the whole is its distance from the other
    stages times their weight, exactly; so are the interval of that distance and its test (Welch, on the standard errors
    of `estimate`). Customers who answer at several stages make the interval wider than it need be.

    Returns
    -------
    DataFrame
        One row per stage that has answers, in journey order: `stage`, `share` (of the answers, 0-1), `n`, `value`,
        `ci_low`, `ci_high`, `overall`, `relative` (value minus overall) with `relative_ci_low` and `relative_ci_high`,
        `p_value` and `q_value` (Benjamini-Hochberg over the stages). Nothing is suppressed.

    Raises
    ------
    UsageError
        For a KPI that is no mean over answers (a quantile, say) or one per question, and as `touchpoint_scores`.
    """
    if kpi.type not in {"net", "share", "mean"} or kpi.per_question:
        raise UsageError(
            found=f"the KPI `{kpi.id or kpi.short}`, a {kpi.type}{' per question' if kpi.per_question else ''}",
            expected="a net, a share or a mean over all questions",
            do="choose another KPI for the curve",
        )
    _check_columns(answers, ["stage"])
    _check_stages(answers["stage"], stages)
    staged = answers[answers["stage"].notna()]
    own = estimate(staged, kpi, ["stage"], confidence)
    figures = ["n", "value", "se"]
    others = pd.concat(
        [pd.DataFrame(columns=figures, dtype=float)]
        + [estimate(staged[staged["stage"] != stage], kpi, (), confidence)[figures] for stage in own["stage"]],
    )
    curve = own[["stage", "n", "value", "ci_low", "ci_high"]]
    if len(others) < 2:  # noqa: PLR2004 - a single stage is the whole
        others = pd.DataFrame(np.nan, index=own.index, columns=figures)
    others = others.set_axis(own.index).astype(float)
    overall = estimate(staged, kpi, (), confidence)["value"].iloc[0] if len(own) else np.nan
    relative, apart = own["value"] - overall, own["value"] - others["value"]
    weight = (relative / apart.where(apart != 0)).fillna(1 - own["n"] / own["n"].sum())
    low, high, p_value = mean_change(own.assign(df=own["n"] - 1), others.assign(df=others["n"] - 1), confidence)
    curve.insert(1, "share", own["n"] / own["n"].sum())
    curve = curve.assign(
        overall=overall, relative=relative, relative_ci_low=low * weight, relative_ci_high=high * weight
    ).assign(p_value=p_value)
    curve["q_value"] = benjamini_hochberg(curve["p_value"])
    return _in_order(curve, stages, [])


# --- where it hurts ------------------------------------------------------------------------------


def pain_points(
    touchpoints: pd.DataFrame,
    kpi: Kpi,
    *,
    target: float | None = None,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank touchpoints by how far they fall short times how many answers they hold.

    The shortfall is the distance to the target or, without one, to the score of all touchpoints together, on the bad
    side; the impact is the shortfall times the touchpoint's share: by so much would the overall score gain if the
    touchpoint reached the mark. A touchpoint is called a pain point only when its shortfall differs from zero after
    Benjamini-Hochberg over all touchpoints that are ranked.

    Impact intervals and the chances of being among the top three come from draws of all scores from normal
    distributions with the standard deviations that their intervals imply; shares are taken as known.

    Parameters
    ----------
    touchpoints
        Rows as `touchpoint_scores` returns them, for one question: columns up to `share`, and `n`, `value`, `ci_low`,
        `ci_high` at the same confidence.
    kpi
        Says which end is good, below which base a row is hidden (`suppress`) or marked and not ranked (`warn`).
    target
        In the KPI's unit.

    Returns
    -------
    DataFrame
        The touchpoints by impact, largest first, those without a rank last: the columns up to `share`, `n`, `value`,
        `shortfall` (never negative), `impact` with `impact_ci_low`, `impact_ci_high`, `top3_probability` (0-1),
        `p_value`, `q_value`, `is_pain_point`, `suppressed`, `low_base`. Of hidden rows everything but the names is
        null; levels of a stage add up to it, so that a further one may be hidden as "complementary".

    Raises
    ------
    UsageError
        For missing columns.
    """
    figures = ["share", "n", "value", "ci_low", "ci_high"]
    _check_columns(touchpoints, ["stage", *figures])
    names = touchpoints.columns[: touchpoints.columns.get_loc("share")].tolist()
    rows = touchpoints[[*names, *figures]].sort_values(names, ignore_index=True)
    sign = 1.0 if kpi.higher_is_better else -1.0
    weight = (rows["share"] / rows["share"].sum()).to_numpy(dtype=float)
    # How much each score moves each distance to the mark.
    moves = -np.eye(len(rows)) + (weight if target is None else 0.0)
    values = rows["value"].to_numpy(dtype=float)
    distance = sign * (moves @ values + (0.0 if target is None else target))
    z = stats.norm.ppf((1 + confidence) / 2)
    sd = ((rows["ci_high"] - rows["ci_low"]) / (2 * z)).to_numpy(dtype=float)
    # A lone answer has no interval; it counts in the overall score, and is hidden.
    noise = np.nan_to_num(sd)
    se = np.sqrt(moves**2 @ noise**2)
    suppressed = _hidden(rows, kpi)
    low_base = (suppressed == SHOWN) & (rows["n"] < kpi.minimum_base.warn)
    is_ranked = ((suppressed == SHOWN) & ~low_base & ~np.isnan(sd) & (se > 0)).to_numpy(dtype=bool)
    random = np.random.default_rng(seed)
    drawn = distance + random.standard_normal((draws, len(rows))) * noise @ (sign * moves).T
    impacts = np.maximum(drawn, 0)[:, is_ranked] * weight[is_ranked]
    rows = rows.assign(shortfall=np.maximum(distance, 0), impact=np.maximum(distance, 0) * weight)
    chosen = rows.index[is_ranked]
    error = 1 - confidence
    rows[["impact_ci_low", "impact_ci_high", "top3_probability", "p_value"]] = np.nan
    if len(chosen):
        rows.loc[chosen, ["impact_ci_low", "impact_ci_high"]] = np.quantile(
            impacts, [error / 2, 1 - error / 2], axis=0
        ).T
        rows.loc[chosen, "top3_probability"] = _top_probability(impacts)
        rows.loc[chosen, "p_value"] = 2 * stats.norm.sf(np.abs(distance[is_ranked]) / se[is_ranked])
    rows["q_value"] = benjamini_hochberg(rows["p_value"])
    rows["is_pain_point"] = (rows["q_value"] < error) & (rows["shortfall"] > 0)
    computed = [name for name in rows.columns if name not in {*names, "is_pain_point"}]
    rows[computed] = rows[computed].mask(suppressed != SHOWN)
    rows = rows.drop(columns=["ci_low", "ci_high"]).assign(suppressed=suppressed, low_base=low_base)
    order = rows["impact"].where(is_ranked)
    return (
        rows.assign(order=order)
        .sort_values(["order", *names], ascending=[False, *[True] * len(names)], na_position="last", ignore_index=True)
        .drop(columns="order")
    )


def _top_probability(impacts: Array) -> Array:
    """Return how often each column is among the three largest of its row and above zero."""
    place = min(_TOP, impacts.shape[1])
    bar = -np.partition(-impacts, place - 1, axis=1)[:, place - 1 : place]
    among: Array = ((impacts >= bar) & (impacts > 0)).mean(axis=0)
    return among


def _hidden(rows: pd.DataFrame, kpi: Kpi) -> pd.Series:
    """Hide small bases, and further touchpoints of the stage, smallest first, until none follows by subtraction."""
    limit = kpi.minimum_base.suppress
    marks = pd.Series(SHOWN, index=rows.index, dtype=object).mask(rows["n"] < limit, SMALL)
    for _, touchpoints in rows.groupby("stage", sort=False):
        for row in touchpoints["n"].sort_values(kind="stable").index:
            hidden = touchpoints.index[marks[touchpoints.index] != SHOWN]
            if not len(hidden) or (len(hidden) > 1 and rows.loc[hidden, "n"].sum() >= limit):
                break
            if marks[row] == SHOWN:
                marks[row] = COMPLEMENTARY
    return marks


# --- across channels -----------------------------------------------------------------------------


class Consistency(NamedTuple):
    """How far channels lie apart once the noise of their samples is taken off, in the unit of the scores.

    `tau` is the standard deviation of the true scores between channels, `tau2` its square (0 when the observed
    variance is no larger than sampling noise), with a Q-profile interval (`tau_low`, `tau_high`); `range` and
    `observed_sd` are those of the scores as they are; `q` is Cochran's statistic on `df` degrees of freedom.
    """

    n_channels: int
    range: float
    observed_sd: float
    tau2: float
    tau: float
    tau_low: float
    tau_high: float
    q: float
    df: int
    p_value: float
    verdict: str


def consistency(channels: pd.DataFrame, *, confidence: float = 0.95, minimum: int = 10) -> Consistency:
    """Say whether channels score alike, beyond the noise of their samples.

    tau2 is the variance of the scores less the mean of their squared standard errors, floored at 0 (method of moments:
    Hedges and Olkin 1985, Statistical Methods for Meta-Analysis, ch. 9). The test is Cochran's Q (1954, Biometrics
    10:101-129); the interval inverts its generalised form (Viechtbauer 2007, Statistics in Medicine 26:37-52).

    Parameters
    ----------
    channels
        One row per channel: `value`, `se` (above zero) and `n`. Channels with fewer than `minimum` answers or without a
        standard error are left out.

    Returns
    -------
    Consistency
        With fewer than two channels left, NaN and "too few channels".

    >>> channels = pd.DataFrame({"value": [40.0, 20.0], "se": [2.0, 4.0], "n": [400, 100]})
    >>> result = consistency(channels)
    >>> result.tau2, result.q, result.verdict
    (190.0, 20.0, 'channels differ beyond chance')
    """
    _check_columns(channels, ["value", "se", "n"])
    kept = channels[(channels["n"] >= minimum) & (channels["se"] > 0) & channels["value"].notna()]
    # One order, so that sums do not depend on the order of the rows.
    kept = kept.sort_values(["value", "se"])
    value, variance = kept["value"].to_numpy(dtype=float), kept["se"].to_numpy(dtype=float) ** 2
    if len(kept) < 2:  # noqa: PLR2004 - nothing to compare
        unknown = dict.fromkeys(("range", "observed_sd", "tau2", "tau", "tau_low", "tau_high", "q", "p_value"), np.nan)
        return Consistency(n_channels=len(kept), df=0, verdict=TOO_FEW, **unknown)
    combined = combine_effects(value, variance)
    df = len(kept) - 1
    p_value = float(stats.chi2.sf(combined.q, df))
    observed = float(value.var(ddof=1))
    tau2 = max(observed - float(variance.mean()), 0.0)
    error = 1 - confidence
    low, high = (_q_profile(value, variance, stats.chi2.isf(tail, df)) for tail in (error / 2, 1 - error / 2))
    return Consistency(
        n_channels=len(kept),
        range=float(np.ptp(value)),
        observed_sd=float(np.sqrt(observed)),
        tau2=tau2,
        tau=float(np.sqrt(tau2)),
        tau_low=float(np.sqrt(low)),
        tau_high=float(np.sqrt(high)),
        q=float(combined.q),
        df=df,
        p_value=p_value,
        verdict=DIFFER if p_value < error else ALIKE,
    )


def _q_profile(value: Array, variance: Array, critical: float) -> float:
    """Return the variance between channels at which the generalised Q equals a critical value; 0 when none does."""

    def excess(tau2: float) -> float:
        weight = 1 / (variance + tau2)
        centre = np.sum(weight * value) / np.sum(weight)
        return float(np.sum(weight * (value - centre) ** 2) - critical)

    if excess(0.0) <= 0:
        return 0.0
    # Q is at most the sum of squares over the variance between channels.
    return float(optimize.brentq(excess, 0.0, np.square(value - value.mean()).sum() / critical + 1.0))


def channel_switching(
    contacts: pd.DataFrame, *, journey: str = "customer_id", channel: str = "channel", confidence: float = 0.95
) -> pd.DataFrame:
    """Return the share of journeys that use more than one channel, of all journeys and of those that could switch.

    Parameters
    ----------
    contacts
        One row per contact. Contacts without a journey or a channel are left out and counted.

    Returns
    -------
    DataFrame
        Rows "all journeys" and "journeys of two or more contacts": `base`, `n` (journeys), `n_switched`, `share` with
        `ci_low` and `ci_high` (0-1, Wilson; null without journeys) and `n_left_out` (contacts).

    Raises `UsageError` for missing columns.

    >>> contacts = pd.DataFrame({"customer_id": ["a", "a", "b", "c", "c"],
    ...                          "channel": ["web", "phone", "web", "app", "app"]})
    >>> channel_switching(contacts)[["n", "n_switched"]].to_numpy().tolist()
    [[3, 1], [2, 1]]
    """
    _check_columns(contacts, [journey, channel])
    known = contacts[contacts[journey].notna() & contacts[channel].notna()]
    journeys = known.groupby(journey, observed=True)[channel].agg(["size", "nunique"])
    switched = journeys["nunique"] > 1
    counts = [
        ("all journeys", len(journeys), int(switched.sum())),
        ("journeys of two or more contacts", int((journeys["size"] > 1).sum()), int(switched.sum())),
    ]
    table = pd.DataFrame(counts, columns=["base", "n", "n_switched"])
    return table.join(_wilson(table["n_switched"], table["n"], "share", confidence)).assign(
        n_left_out=len(contacts) - len(known)
    )


# --- small parts ---------------------------------------------------------------------------------


def _wilson(top: pd.Series, n: pd.Series | npt.NDArray[np.float64], name: str, confidence: float) -> pd.DataFrame:
    """Return a share and its Wilson interval; null where the base is empty."""
    base = np.asarray(n, dtype=float)
    base = np.where(base > 0, base, np.nan)
    count = np.asarray(top, dtype=float)
    low, high = share_interval(count, base, float(stats.norm.ppf((1 + confidence) / 2)))
    return pd.DataFrame({name: count / base, "ci_low": low, "ci_high": high})


def _in_order(rows: pd.DataFrame, stages: Sequence[str], by: Sequence[str]) -> pd.DataFrame:
    place = rows["stage"].map({stage: i for i, stage in enumerate(stages)})
    return rows.assign(place=place).sort_values(["place", *by], ignore_index=True).drop(columns="place")


def _check_columns(frame: pd.DataFrame, needed: Sequence[str]) -> None:
    known = list(map(str, frame.columns))
    if missing := [name for name in needed if name not in known]:
        raise UsageError(
            found=f"no columns {listed(missing)}{nearest(missing[0], known)}",
            expected=f"columns of the frame: {listed(known)}",
            do="rename the columns, or name those of the frame",
        )


def _check_stages(found: pd.Series, stages: Sequence[str]) -> None:
    unknown = set(found.dropna()) - set(stages)
    if unknown or not len(stages) or len(set(stages)) < len(stages):
        raise UsageError(
            found=f"{len(unknown)} stages that are not listed" if unknown else "no stages, or one of them twice",
            expected="every stage of the rows once, in journey order",
            do="complete `stages`, or leave out the rows of other stages first",
        )
