"""How long customers stay and how long cases last, where some have not ended yet: Kaplan-Meier and log-rank.

Everything works on counts per distinct duration, so that any engine can deliver them. Who has not ended is censored:
known to have lasted that long, and neither counted as lost nor left out.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cxreport.errors import UsageError, listed
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL, complement
from cxreport.periods import Period

# The curve is a product of rounded factors; this near, it counts as having reached a level.
_TOLERANCE = 1e-9
_UNFOLLOWED = "nobody was followed that long"
_NOT_REACHED = "no figure: too few have ended by the end of observation"
_OPEN_END = "its upper end lies beyond the end of observation"
_NO_SPREAD = "none has ended by then: no standard error"
_SINGLE = "one case: no interval"

Values = Sequence[Any] | npt.NDArray[Any] | pd.Series
Flags = npt.NDArray[np.bool_] | pd.Series


class Survival(NamedTuple):
    """A figure of one survival curve; NaN where it cannot be told, and `note` says why."""

    value: float
    se: float
    ci_low: float
    ci_high: float
    note: str | None


class LogRank(NamedTuple):
    """Test of equal survival: chi-square statistic, degrees of freedom, p-value."""

    statistic: float
    df: int
    p_value: float


# --- one curve -----------------------------------------------------------------------------------


def survival_curve(
    duration: Values,
    event: Values,
    counts: Values | None = None,
    *,
    entry: Values | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate the share that lasts longer than each time (Kaplan and Meier 1958, JASA 53:457-481).

    Parameters
    ----------
    duration
        Time from the start to the end, or to the end of observation; any unit, 0 or more.
    event
        Whether it ended (true) or is still going on (false, censored).
    counts
        How many cases each row stands for; 1 without it.
    entry
        Time at which a case came under observation, below its duration (delayed entry, left truncation); the curve
        then holds for cases that last until the earliest entry.
    confidence
        Confidence of the intervals (0-1).

    Returns
    -------
    DataFrame
        One row for the start (time 0) and for each time at which someone leaves or enters: `time`, `at_risk` (under
        observation just before), `events`, `censored`, `survival` (0-1), `se` (Greenwood 1926), `ci_low`, `ci_high`
        (log-log, Kalbfleisch and Prentice). While none has ended, the lower end is the exact binomial one of those at
        risk; where all have, the upper end is the lower of the end before and the exact binomial one of those who were
        at risk. No case gives no row.

    Raises
    ------
    UsageError
        For missing or negative durations, counts that are not whole, or an entry that is not before the duration.

    >>> curve = survival_curve([1, 2, 2, 3], [True, True, False, False])
    >>> curve[["time", "at_risk", "survival"]].to_numpy().tolist()
    [[0.0, 4.0, 1.0], [1.0, 4.0, 0.75], [2.0, 3.0, 0.5], [3.0, 1.0, 0.5]]
    """
    frame = _counted(duration, event, counts, entry)
    curves = _curves(frame, np.zeros(len(frame), dtype=np.int64))
    low, high = _band(curves, confidence)
    return curves.assign(ci_low=low, ci_high=high).drop(columns="group")


def survival_at(curve: pd.DataFrame, time: float, *, confidence: float = 0.95) -> Survival:
    """Return the share that lasts longer than a time, from a `survival_curve`; NaN beyond the end of observation."""
    return _only(_at(_as_group(curve), time, 1, confidence))


def survival_quantile(curve: pd.DataFrame, q: float, *, confidence: float = 0.95) -> Survival:
    """Return the time by which the share `q` has ended, e.g. the median for 0.5.

    The interval holds the times that the log-log test does not refuse (Brookmeyer and Crowley 1982, Biometrics
    38:29-41). Where the curve runs level at `1 - q`, the value is the middle of that stretch, so that it equals the
    usual median where all have ended. A curve that does not fall that far gives NaN; a band that does not,
    no `ci_high`.
    """
    return _only(_quantile(_as_group(curve), q, 1, confidence))


def restricted_mean(curve: pd.DataFrame, time: float, *, confidence: float = 0.95) -> Survival:
    """Return the mean duration up to a time: the area under the curve until then.

    `se` is the error of this estimate, not the spread of the durations (Klein and Moeschberger 2003, 4.5). NaN where
    observation ends before.

    >>> curve = survival_curve([1, 2, 3, 4], [True] * 4)
    >>> restricted_mean(curve, 4).value
    2.5
    """
    return _only(_restricted(_as_group(curve), time, 1, confidence))


# --- many groups ---------------------------------------------------------------------------------


def survival_by_group(
    frame: pd.DataFrame,
    keys: Sequence[str] = (),
    duration: str = "duration",
    events: str = "events",
    censored: str = "censored",
    *,
    at: Sequence[float] = (),
    quantiles: Sequence[float] = (),
    restricted: Sequence[float] = (),
    entry: str | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate survival, quantiles and restricted means of many groups from counts per duration.

    Parameters
    ----------
    frame
        One or more rows per group and distinct duration (and entry): how many `events` ended and how many `censored`
        were still going on at that duration.
    keys
        Columns that make the groups; nulls are a group. Without any, all rows are one.
    at, quantiles, restricted
        Times of `survival_at`, shares of `survival_quantile` and times of `restricted_mean`.
    entry
        Column with the time of delayed entry, if any.

    Returns
    -------
    DataFrame
        One row per group and figure asked for, sorted by group: the keys, `statistic` (`survival`, `quantile` or
        `restricted_mean`), `at` (the time or share), `n`, `n_events`, `at_risk` (under observation at that time),
        `value`, `se`, `ci_low`, `ci_high`, `note`. The share that has ended by a time is 1 minus its survival, its
        ends likewise and swapped. Nothing is suppressed.

    Raises
    ------
    UsageError
        For missing columns, missing or negative durations, counts that are not whole numbers, or nothing asked for.
    """
    names = [*keys, duration, events, censored, *([entry] if entry else [])]
    check_columns(frame, names)
    if not (at or quantiles or restricted):
        raise UsageError(
            found="no figure asked for",
            expected="at least one of `at`, `quantiles`, `restricted`",
            do="name the times or shares to estimate",
        )
    groups = frame.groupby(list(keys), dropna=False).ngroup() if keys else pd.Series(0, index=frame.index)
    number = groups.to_numpy(dtype=np.int64)
    labels = frame[list(keys)].iloc[np.unique(number, return_index=True)[1]].reset_index(drop=True)
    columns = {"duration": duration, "events": events, "censored": censored} | ({"entry": entry} if entry else {})
    counted = pd.DataFrame({name: frame[column].to_numpy() for name, column in columns.items()})
    curves = _curves(_checked(counted), number)
    asked = [("survival", at), ("quantile", quantiles), ("restricted_mean", restricted)]
    figures = [
        labels.join(_FIGURES[statistic](curves, target, len(labels), confidence).assign(statistic=statistic, at=target))
        for statistic, targets in asked
        for target in map(float, targets)
    ]
    rows = pd.concat(figures).sort_index(kind="stable").reset_index(drop=True)
    return rows[[*keys, "statistic", "at", *_COLUMNS]]


def log_rank(
    duration: Values,
    event: Values,
    group: Values,
    counts: Values | None = None,
    *,
    entry: Values | None = None,
) -> LogRank:
    """Test whether all groups last equally long (log-rank; Mantel 1966, Cancer Chemotherapy Reports 50:163-170).

    Takes what `survival_curve` takes, and the group of each row. NaN where no event can tell the groups apart, for
    example where a group is never under observation together with another one. Raises `UsageError` for fewer than
    two groups and for what `survival_curve` refuses.

    >>> log_rank([1, 2, 3, 4], [True] * 4, ["a", "a", "b", "b"]).df
    1
    """
    from statsmodels.duration.survfunc import survdiff

    counted = _counted(duration, event, counts, entry)
    number = pd.factorize(np.asarray(group), use_na_sentinel=False)[0]
    times = counted["events"] + counted["censored"]
    cases = counted.loc[counted.index.repeat(times)]
    df = len(np.unique(number[cases.index])) - 1
    if df < 1:
        raise UsageError(
            found=f"{df + 1} group(s) with cases",
            expected="at least two groups to compare",
            do="name a grouping with two or more levels",
        )
    late = cases["entry"].to_numpy() if "entry" in cases else None
    ended = (cases["events"] > 0).to_numpy(dtype=float)
    try:
        statistic = float(survdiff(cases["duration"].to_numpy(), ended, number[cases.index], entry=late)[0])
    except np.linalg.LinAlgError:
        statistic = np.nan
    return LogRank(statistic, df, float(stats.chi2.sf(statistic, df)))


# --- cohorts of customers ------------------------------------------------------------------------


def cohort_retention(
    customers: pd.DataFrame,
    as_of: date,
    *,
    cohort: Literal["month", "quarter", "year"] = "quarter",
    horizons: Sequence[int] = (30, 90, 180, 365),
    confidence: float = 0.95,
    minimum_base: int = 10,
) -> pd.DataFrame:
    """Estimate which share of each starting cohort is still there after so many days.

    Parameters
    ----------
    customers
        One row per customer: `customer_id`, `started_at`, `ended_at` (null while active), as days or local times.
    as_of
        The day until which ends are known. Who is active on it, or ends later, is censored on it; who starts later is
        no customer yet.
    cohort
        Calendar period of the start.
    horizons
        Days since the start.
    minimum_base
        Below it a cohort is hidden, and its curve stops where fewer customers are still under observation. With a small
        cohort goes the next smallest, as the number of customers of all cohorts is no secret.

    Returns
    -------
    DataFrame
        One row per cohort and horizon, in order: `cohort` (ISO period), `days`, `n` (customers that started),
        `at_risk` (under observation and active just before), `survival` (share still there, 0-1), `ci_low`, `ci_high`,
        `suppressed` (`small base`, or `complementary` for whole cohorts that would tell of small ones; figures are
        hidden), `note` (where no customer was followed that long).

    Raises
    ------
    UsageError
        For missing columns, customers without an id or a start, a customer given twice, or an end before its start.
    """
    check_columns(customers, ["customer_id", "started_at", "ended_at"])
    started, ended = local_days(customers["started_at"]), local_days(customers["ended_at"])
    _check_spells(customers["customer_id"], started, ended)
    today = pd.Timestamp(as_of)
    known = started <= today
    started, ended = started[known], ended[known]
    has_ended = ended <= today
    spells = pd.DataFrame(
        {
            "start": started.map({day: Period.containing(day.date(), cohort) for day in started.unique()}),
            "duration": (ended.where(has_ended, today) - started).dt.days,
            "events": has_ended.astype(np.int64),
            "censored": (~has_ended).astype(np.int64),
        }
    )
    counted = spells.groupby(["start", "duration"], as_index=False).sum()
    rows = survival_by_group(counted, ["start"], at=sorted(set(horizons)), confidence=confidence)
    rows = rows.assign(cohort=[period.id for period in rows["start"]], days=rows["at"].astype(np.int64))
    is_out = _hidden_cohorts(rows.groupby("cohort")["n"].first(), minimum_base).reindex(rows["cohort"]).to_numpy()
    is_small = rows["n"] < minimum_base
    is_hidden = is_out | ((rows["at_risk"] < minimum_base) & rows["value"].notna())
    rows["note"] = rows["note"].mask(is_hidden, None)
    rows["n"] = rows["n"].astype(float).mask(is_out)
    figures = ["at_risk", "value", "ci_low", "ci_high"]
    rows[figures] = rows[figures].astype(float).mask(is_hidden)
    rows["suppressed"] = np.select([is_out & ~is_small, is_hidden], [COMPLEMENTARY, SMALL], SHOWN)
    order = ["cohort", "days", "n", "at_risk", "survival", "ci_low", "ci_high", "suppressed", "note"]
    return rows.rename(columns={"value": "survival"})[order]


def _hidden_cohorts(n: pd.Series, minimum_base: int) -> pd.Series:
    """Flag the cohorts that are small, and those that would tell of them by subtraction."""
    hidden = complement(n, (n < minimum_base).to_numpy(), float(n.sum()), minimum_base)
    return pd.Series(hidden, index=n.index, dtype=bool)


def local_days(values: pd.Series) -> pd.Series:
    """Return local days; a time zone is dropped without moving the clock."""
    times = pd.to_datetime(values)
    local: pd.Series = times.dt.tz_localize(None).dt.normalize()
    return local


def _check_spells(ids: pd.Series, started: pd.Series, ended: pd.Series) -> None:
    faults = {
        "without an id": ids.isna(),
        "given twice": ids.notna() & ids.duplicated(),
        "without a start": started.isna(),
        "that end before they start": ended < started,
    }
    refuse(
        faults,
        "customers",
        expected="one row per customer with an id, a start, and an end on or after it or none",
    )


# --- the estimator -------------------------------------------------------------------------------


def _counted(duration: Values, event: Values, counts: Values | None, entry: Values | None) -> pd.DataFrame:
    """Turn cases into counts of ended and censored ones per row."""
    times = np.asarray(duration, dtype=float)
    ended = pd.Series(event).reset_index(drop=True)
    refuse(
        {"that neither ended nor go on": ~ended.isin([False, True])},
        "cases",
        expected="true or false for each case",
    )
    size = np.ones(len(times)) if counts is None else np.asarray(counts, dtype=float)
    is_over = ended.to_numpy(dtype=bool)
    counted = pd.DataFrame(
        {"duration": times, "events": np.where(is_over, size, 0), "censored": np.where(is_over, 0, size)}
    )
    return _checked(counted if entry is None else counted.assign(entry=np.asarray(entry, dtype=float)))


def _checked(counted: pd.DataFrame) -> pd.DataFrame:
    """Return durations as floats and counts as whole numbers, or say what is wrong with them."""
    values = counted.apply(pd.to_numeric, errors="coerce").astype(float)
    counts = values[["events", "censored"]].to_numpy()
    duration, entry = values["duration"], values.get("entry", pd.Series(-1.0, values.index))
    faults = {
        "without a finite duration of 0 or more": ~(np.isfinite(duration) & (duration >= 0)),
        "whose counts are no whole numbers of 0 or more": ~is_whole(counts).all(axis=1),
        "whose entry is missing or not before the duration": ~(entry < duration) & (duration >= 0),
    }
    refuse(
        faults,
        "rows",
        expected="durations of 0 or more, whole counts, and entries before the duration",
    )
    whole: pd.DataFrame = values.astype({"events": np.int64, "censored": np.int64})
    return whole


def is_whole(counts: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Say which numbers count something: whole, finite and not negative."""
    numbers = np.asarray(counts, dtype=float)
    flags: npt.NDArray[np.bool_] = np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers))
    return flags


def refuse(faults: Mapping[str, Flags], things: str, *, expected: str) -> None:
    """Raise `UsageError` with the number of rows that each fault flags, if any does."""
    counts = {fault: int(flags.sum()) for fault, flags in faults.items()}
    if found := [f"{count} {things} {fault}" for fault, count in counts.items() if count]:
        raise UsageError(found=", ".join(found), expected=expected, do="correct these rows or leave them out")


def check_columns(frame: pd.DataFrame, wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in frame]:
        raise UsageError(
            found=f"no column {listed(missing)}",
            expected=f"the columns {listed(wanted)}",
            do="deliver or rename them",
        )


def _curves(counted: pd.DataFrame, group: npt.NDArray[Any]) -> pd.DataFrame:
    """Return the life table of every group, a row for time 0 and for each time at which cases enter or leave."""
    size = counted["events"] + counted["censored"]
    is_late = "entry" in counted
    enters = counted["entry"] if is_late else 0.0
    leaving = counted[["events", "censored"]].assign(group=group, time=counted["duration"], entered=0)
    entering = pd.DataFrame({"group": group, "time": enters, "entered": size, "events": 0, "censored": 0})
    starting = pd.DataFrame({"group": np.unique(group), "time": 0.0, "entered": 0, "events": 0, "censored": 0})
    table = pd.concat([leaving, entering, starting]).groupby(["group", "time"], as_index=False).sum()
    entered, left = table["entered"], table["events"] + table["censored"]
    of_group = table["group"]
    # Who enters late is at risk only after the moment of entry; who was there from the start, at time 0 too.
    entered_before = entered.groupby(of_group).cumsum() - (entered if is_late else 0)
    left_before = left.groupby(of_group).cumsum() - left
    table["at_risk"] = entered_before - left_before
    survival = (1 - table["events"] / table["at_risk"].clip(lower=1)).groupby(of_group).cumprod()
    # Where all who came have left, what follows is not the same curve.
    is_gap = (table["at_risk"] == 0) & (left_before > 0) & (survival > 0)
    is_broken = is_gap.groupby(of_group).cummax()
    table["survival"] = survival.mask(is_broken)
    spread = np.sqrt(_greenwood(table).groupby(of_group).cumsum())
    table["se"] = (survival * spread).where((survival > 0) & (survival < 1) & ~is_broken)
    return table[["group", "time", "at_risk", "events", "censored", "survival", "se"]]


def _greenwood(curves: pd.DataFrame) -> pd.Series:
    """Return the terms d / (n (n - d)); the last step to 0 adds none."""
    staying = curves["at_risk"] - curves["events"]
    return curves["events"] / (curves["at_risk"] * staying).where(staying > 0, np.inf)


def _band(curves: pd.DataFrame, confidence: float) -> tuple[pd.Series, pd.Series]:
    """Return the ends of the pointwise interval: log-log, and exact binomial where the curve is 1 or 0."""
    z, tail = float(stats.norm.isf(_tail(confidence))), _tail(confidence)
    survival, of_group = curves["survival"], curves["group"]
    inside = survival.where((survival > 0) & (survival < 1))
    spread = z * curves["se"] / (inside * -np.log(inside))
    low, high = inside ** np.exp(spread), inside ** np.exp(-spread)
    exact = _none_of(curves["at_risk"], tail)
    low = low.mask(survival == 1, exact).mask(survival == 0, 0.0)
    high = high.mask(survival == 1, 1.0)
    # The share cannot be more than before the last step, nor than of those who took it.
    before = high.groupby(of_group).shift(1).fillna(1.0)
    at_end = np.minimum(before, 1 - exact).where((survival == 0) & (curves["events"] > 0))
    return low, high.mask(survival == 0, at_end.groupby(of_group).ffill())


def _none_of(n: pd.Series, tail: float) -> pd.Series:
    """Return the exact lower end of a share of 1 among `n` (Clopper and Pearson 1934); 0 where there is none."""
    return (tail ** (1 / n.clip(lower=1))).where(n > 0, 0.0)


def _at(curves: pd.DataFrame, time: float, n_groups: int, confidence: float) -> pd.DataFrame:
    time = _time(time)
    low, high = _band(curves, confidence)
    rows = curves.assign(ci_low=low, ci_high=high)
    figures = _totals(curves, n_groups)
    figures["at_risk"] = _at_risk(curves, time, n_groups)
    latest = rows[rows["time"] <= time].groupby("group").tail(1).set_index("group").reindex(range(n_groups))
    figures = figures.join(latest[["survival", "se", "ci_low", "ci_high"]].rename(columns={"survival": "value"}))
    is_full = figures["value"] == 1
    # Since the last row above, some may have come under observation or left it.
    figures["ci_low"] = figures["ci_low"].mask(is_full, _none_of(figures["at_risk"], _tail(confidence)))
    is_followed = (figures["end"] >= time) | (figures["value"] == 0)
    return _noted(figures, is_followed, {_NO_SPREAD: is_full}, _UNFOLLOWED)


def _quantile(curves: pd.DataFrame, q: float, n_groups: int, confidence: float) -> pd.DataFrame:
    level = 1 - _share(q)
    low, high = _band(curves, confidence)

    def first(flags: pd.Series) -> pd.Series:
        return curves["time"][flags].groupby(curves["group"]).min().reindex(range(n_groups))

    reached = first(curves["survival"] <= level + _TOLERANCE)
    passed = first(curves["survival"] < level - _TOLERANCE)
    is_level = passed > reached
    figures = _totals(curves, n_groups)
    figures["value"] = reached.mask(is_level, (reached + passed) / 2)
    figures["ci_low"] = first(low <= level + _TOLERANCE)
    figures["ci_high"] = first(high <= level + _TOLERANCE)
    width = figures["ci_high"] - figures["ci_low"]
    figures["se"] = (width / (2 * stats.norm.isf(_tail(confidence)))).where(width > 0)
    figures["at_risk"] = np.nan
    return _noted(figures, reached.notna(), {_OPEN_END: figures["ci_high"].isna()}, _NOT_REACHED)


def _restricted(curves: pd.DataFrame, time: float, n_groups: int, confidence: float) -> pd.DataFrame:
    of_group, time = curves["group"], _time(time)
    until = curves["time"].clip(upper=time)
    width = until - until.groupby(of_group).shift(1).fillna(0.0)
    area = (width * curves["survival"].groupby(of_group).shift(1).fillna(1.0)).groupby(of_group).cumsum()
    figures = _totals(curves, n_groups)
    # Beyond the last row only a curve that has reached 0 goes on, and adds no area.
    figures["value"] = (
        area.groupby(of_group).tail(1).set_axis(of_group[~of_group.duplicated(keep="last")]).reindex(range(n_groups))
    )
    beyond = figures["value"].reindex(of_group).to_numpy() - area
    variance = (_greenwood(curves) * beyond**2)[curves["time"] <= time].groupby(of_group).sum()
    figures["se"] = np.sqrt(variance.reindex(range(n_groups)))
    figures["se"] = figures["se"].where(figures["se"] > 0)
    half = stats.norm.isf(_tail(confidence)) * figures["se"]
    figures["ci_low"] = (figures["value"] - half).clip(lower=0)
    figures["ci_high"] = (figures["value"] + half).clip(upper=time)
    figures["at_risk"] = _at_risk(curves, time, n_groups)
    at_end = _at(curves, time, n_groups, confidence)["value"]
    return _noted(figures, at_end.notna(), {_NO_SPREAD: figures["se"].isna()}, _UNFOLLOWED)


_FIGURES = {"survival": _at, "quantile": _quantile, "restricted_mean": _restricted}
_COLUMNS = ["n", "n_events", "at_risk", "value", "se", "ci_low", "ci_high", "note"]


def _totals(curves: pd.DataFrame, n_groups: int) -> pd.DataFrame:
    """Return cases, events and the end of observation per group."""
    size = curves["events"] + curves["censored"]
    by_group = curves.assign(n=size).groupby("group")
    totals = pd.DataFrame(
        {"n": by_group["n"].sum(), "n_events": by_group["events"].sum(), "end": by_group["time"].max()}
    )
    totals = totals.reindex(range(n_groups))
    return totals.fillna({"n": 0, "n_events": 0}).astype({"n": np.int64, "n_events": np.int64})


def _at_risk(curves: pd.DataFrame, time: float, n_groups: int) -> pd.Series:
    """Return how many are under observation just before a time: nobody enters or leaves until the next row."""
    following = curves[curves["time"] >= time]
    return following.groupby("group")["at_risk"].first().reindex(range(n_groups), fill_value=0)


def _noted(figures: pd.DataFrame, is_known: pd.Series, notes: dict[str, pd.Series], otherwise: str) -> pd.DataFrame:
    """Remove figures that cannot be told and intervals of single cases, and say why."""
    is_known = is_known & (figures["n"] > 0)
    is_single = figures["n"] == 1
    ends = ["se", "ci_low", "ci_high"]
    figures["value"] = figures["value"].where(is_known)
    figures[ends] = figures[ends].where(is_known & ~is_single)
    reasons = {"no case": figures["n"] == 0, otherwise: ~is_known, _SINGLE: is_single, **notes}
    found = np.select(list(reasons.values()), list(reasons), default="")
    figures["note"] = pd.Series([note or None for note in found.tolist()], index=figures.index, dtype=object)
    return figures[_COLUMNS]


def _as_group(curve: pd.DataFrame) -> pd.DataFrame:
    return curve.assign(group=0)


def _only(figures: pd.DataFrame) -> Survival:
    return Survival(*next(figures[list(Survival._fields)].itertuples(index=False, name=None)))


def _share(q: float) -> float:
    return _within(q, "share `q`", 0, 1)


def _tail(confidence: float) -> float:
    return (1 - _within(confidence, "confidence", 0, 1)) / 2


def _time(time: float) -> float:
    return _within(time, "time", -np.nextafter(0, 1), np.inf)


def _within(value: float, name: str, low: float, high: float) -> float:
    if not low < value < high:
        raise UsageError(
            found=f"{name} {value:g}",
            expected=f"a number between {max(low, 0):g} and {high:g}",
            do="correct it in the call",
        )
    return float(value)
