"""Control charts: the range that a figure's own past makes usual, and the rules that tell signal from noise."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from cxreport.errors import UsageError, listed, nearest
from cxreport.measure.intervals import Array

Flags = npt.NDArray[np.bool_]

# NHS England, "Making data count": limits need 12 points; Wheeler, "Understanding Variation": 24 are enough.
MINIMUM_BASELINE = 12
LOCKED_AFTER = 24
# The mean moving range of two normal figures is 1.128 standard deviations; a range beyond 3.267 means is an outlier.
_D2 = 1.128
_D4 = 3.267
_SIGMAS = 3
# Differences below this part of the largest figure are what rounding leaves of equal figures.
_ROUNDING = 1e-12
# A point on a line is not beyond it, whatever rounding makes of either.
_EDGE = 1 + 1e-9


class Limits(NamedTuple):
    """Natural process limits three standard deviations off their centre: one for all points, or one per point."""

    low: float | Array
    mid: float | Array
    high: float | Array

    def within(self, low: float, high: float) -> Self:
        """Return the limits cut at the ends of what the figure can be."""
        return self._replace(low=np.maximum(self.low, low)[()], high=np.minimum(self.high, high)[()])


# --- limits --------------------------------------------------------------------------------------


def xmr_limits(baseline: Sequence[float] | Array, *, screen: bool = True) -> Limits:
    """Return the limits mean +- 2.66 times the mean moving range (Montgomery, Statistical Quality Control, 6.4).

    Parameters
    ----------
    baseline
        At least two figures in time order.
    screen
        Leave moving ranges above 3.267 times their mean out of the second mean, so that one jump does not widen the
        limits that should reveal it (the default of NHS "Making data count").

    Raises
    ------
    UsageError
        When there are fewer than two figures, or one is missing.

    >>> limits = xmr_limits([1.0, 2.0, 1.0, 2.0])
    >>> round(limits.low, 2), limits.mid, round(limits.high, 2)
    (-1.16, 1.5, 4.16)
    """
    values = np.asarray(baseline, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():  # noqa: PLR2004 - a moving range needs two figures
        raise UsageError(
            found=f"{np.isfinite(values).sum()} figures and {(~np.isfinite(values)).sum()} missing ones",
            expected="a baseline of at least two figures, none missing",
            do="drop the missing figures, or wait for more periods",
        )
    ranges = np.abs(np.diff(values))
    if screen:
        ranges = ranges[ranges <= _D4 * ranges.mean()]
    mid, half = float(values.mean()), _SIGMAS / _D2 * float(ranges.mean())
    return Limits(mid - half, mid, mid + half)


def p_limits(
    counts: Sequence[float] | Array, bases: Sequence[float] | Array, in_baseline: Flags | None = None
) -> Limits:
    """Return the limits of a p chart, per point and cut to 0-1 (Montgomery, Statistical Quality Control, 7.2).

    They hold where counts are binomial: answers independent, one probability for all periods. On bases of thousands
    the probability itself moves by more than sampling does and nearly every point is outside; use `laney_limits`,
    or `xmr_limits` of the shares.

    Parameters
    ----------
    counts, bases
        Answers that count and all answers, by point in time order; a point without answers has no limits.
    in_baseline
        Which points set the centre; all by default.

    Raises
    ------
    UsageError
        When a count is not between 0 and its base, or no point of the baseline has answers.

    >>> limits = p_limits([10, 10, 40], [100, 100, 400])
    >>> limits.low.round(3).tolist(), limits.high.round(3).tolist()
    ([0.01, 0.01, 0.055], [0.19, 0.19, 0.145])
    """
    _, n, centre, sigma, _ = _binomial(counts, bases, in_baseline)
    return _around(centre, sigma, n)


def laney_limits(
    counts: Sequence[float] | Array, bases: Sequence[float] | Array, in_baseline: Flags | None = None
) -> Limits:
    """Return the limits of a Laney p' chart, per point and cut to 0-1 (Laney 2002, Quality Engineering 14:531-537).

    The binomial standard deviation of each point times that of the standardised shares, which their moving ranges
    give: more than sampling lets the shares vary (or less) shows in the width. With equal bases it is the XmR chart
    of the shares.

    Parameters
    ----------
    counts, bases, in_baseline
        As for `p_limits`; the baseline needs two points with answers.

    Raises
    ------
    UsageError
        As `p_limits`, and when fewer than two points of the baseline have answers.

    >>> limits = laney_limits([50, 60, 50, 60], [100, 100, 100, 100])
    >>> limits.low.round(3).tolist()[0], limits.high.round(3).tolist()[0]  # p chart: 0.401 and 0.699
    (0.284, 0.816)
    """
    share, n, centre, sigma, used = _binomial(counts, bases, in_baseline)
    if used.sum() < 2:  # noqa: PLR2004 - a moving range needs two points
        raise UsageError(
            found="one point with answers in the baseline",
            expected="at least two",
            do="widen the baseline, or use a p chart",
        )
    z = (share[used] - centre) / np.where(sigma[used] > 0, sigma[used], 1)
    return _around(centre, sigma * float(np.abs(np.diff(z)).mean()) / _D2, n)


def _binomial(
    counts: Sequence[float] | Array, bases: Sequence[float] | Array, in_baseline: Flags | None
) -> tuple[Array, Array, float, Array, Flags]:
    """Return shares, bases, their centre, each share's binomial standard deviation, and which points set the centre."""
    x, n = np.asarray(counts, dtype=float), np.asarray(bases, dtype=float)
    if x.shape != n.shape or not ((x >= 0) & (x <= n)).all():
        raise UsageError(
            found="a count below 0, above its base or without a base",
            expected="one base per count, and counts from 0 to their base",
            do="correct the counts or the bases",
        )
    used = (n > 0) & (np.ones_like(n, dtype=bool) if in_baseline is None else np.asarray(in_baseline, dtype=bool))
    if not used.any():
        raise UsageError(
            found="no answers in the baseline", expected="a point with answers", do="widen the baseline or wait"
        )
    answered = np.where(n > 0, n, np.nan)
    centre = float(x[used].sum() / n[used].sum())
    return x / answered, n, centre, np.sqrt(centre * (1 - centre) / answered), used


def _around(centre: float, sigma: Array, n: Array) -> Limits:
    mid = np.where(n > 0, centre, np.nan)
    return Limits(mid - _SIGMAS * sigma, mid, mid + _SIGMAS * sigma).within(0, 1)


# --- rules ---------------------------------------------------------------------------------------


class Zone(NamedTuple):
    """So many of so many points in a row lie on one side of the middle and beyond a number of standard deviations."""

    above: str  # what the rule is called on either side
    below: str
    needed: int
    of: int
    beyond: float
    within: float | None = None  # points further off do not count
    all_on_side: bool = False  # the points that are not needed lie on the same side of the middle too

    def fires(self, offsets: Array, sigma: Array) -> Flags:
        """Say which points complete the rule above, from their offsets from the middle."""
        is_near = offsets > self.beyond * sigma * _EDGE
        if self.within is not None:
            is_near &= offsets <= self.within * sigma * _EDGE
        fired: Flags = is_near & (_counted(is_near, self.of) >= self.needed)
        return fired & (_counted(offsets > 0, self.of) == self.of) if self.all_on_side else fired


class Course(NamedTuple):
    """So many points in a row rise, or fall."""

    above: str
    below: str
    points: int

    def fires(self, offsets: Array, _: Array) -> Flags:
        """Say which points complete a rise."""
        is_rise = np.r_[False, np.diff(offsets) > 0][: len(offsets)]
        rises: Flags = _counted(is_rise, self.points - 1) == self.points - 1
        return rises


def _counted(flags: Flags, width: int) -> npt.NDArray[np.int64]:
    """Count the flags in the window of that width that ends at each point; 0 while the window is not full."""
    total = np.r_[0, np.cumsum(flags)]
    counts = total[width:] - total[:-width]
    counted: npt.NDArray[np.int64] = np.r_[np.zeros(len(flags) - len(counts), dtype=np.int64), counts]
    return counted


Rules = tuple[Zone | Course, ...]
_BEYOND = Zone("above the usual range", "below the usual range", 1, 1, 3)

# NHS England, "Making data count". At one point in 50 some rule fires by chance.
NHS: Rules = (
    _BEYOND,
    Zone("7 in a row above the usual middle", "7 in a row below the usual middle", 7, 7, 0),
    Course("7 in a row rising", "7 in a row falling", 7),
    Zone("2 of 3 near the upper limit", "2 of 3 near the lower limit", 2, 3, 2, within=3, all_on_side=True),
)
# Western Electric, Statistical Quality Control Handbook (1956). At one point in 60 some rule fires by chance.
WESTERN_ELECTRIC: Rules = (
    _BEYOND,
    Zone("2 of 3 near or above the upper limit", "2 of 3 near or below the lower limit", 2, 3, 2),
    Zone("4 of 5 well above the usual middle", "4 of 5 well below the usual middle", 4, 5, 1),
    Zone("8 in a row above the usual middle", "8 in a row below the usual middle", 8, 8, 0),
)
RULES: Mapping[str, Rules] = MappingProxyType({"nhs": NHS, "western electric": WESTERN_ELECTRIC})


def signals(values: Sequence[float] | Array, limits: Limits, rules: str = "nhs") -> list[str | None]:
    """Name the rule that fires at each point, or `None`.

    Of several rules at a point the first of its set counts. A signal stands at the point that completes it.

    Parameters
    ----------
    values
        Figures in time order. Where a figure or its limits are missing, nothing fires.
    limits
        One triple, or one per point. The standard deviation is a third of the wider side, because cutting at the
        range of the figure narrows the other. A figure that only rounding parts from the middle lies on it.
    rules
        `nhs`: beyond the limits; the seventh or later point in a row on one side of the middle; the seventh or later
        in a row rising or falling; a point in the outer third when two of three in a row lie there, all three on one
        side of the middle. `western electric`: beyond three standard deviations; two of three beyond two; four of
        five beyond one; the eighth or later in a row on one side.

    Raises
    ------
    UsageError
        When there is no such set of rules.
    """
    if rules not in RULES:
        raise UsageError(
            found=f"chart rules `{rules}`{nearest(rules, RULES)}", expected=listed(RULES), do="name one of these sets"
        )
    offsets, sigma = _offsets(np.asarray(values, dtype=float), limits)
    fired = [
        (name, rule.fires(sign * offsets, sigma))
        for rule in RULES[rules]
        for name, sign in ((rule.above, 1), (rule.below, -1))
    ]
    return [next((name for name, fires in fired if fires[i]), None) for i in range(len(offsets))]


def _offsets(x: Array, limits: Limits) -> tuple[Array, Array]:
    """Return each point's offset from the middle and its standard deviation; what only rounding leaves is zero."""
    low, mid, high = (np.broadcast_to(np.asarray(limit, dtype=float), x.shape) for limit in limits)
    offsets = x - mid
    is_rounding = np.abs(offsets) <= _ROUNDING * np.maximum(np.abs(x), np.abs(mid))
    return np.where(is_rounding, 0, offsets), np.maximum(high - mid, mid - low) / _SIGMAS
