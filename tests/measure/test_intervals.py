"""Properties that every interval must have, whatever the counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cxreport.measure.intervals import (
    bounded_mean_interval,
    mean_interval,
    net_interval,
    quantile_ranks,
    share_interval,
    skewed_mean_interval,
)

counts = st.integers(0, 5000)
confidences = st.floats(0.8, 0.999)


def net(top: int, middle: int, bottom: int, confidence: float = 0.95) -> tuple[float, float]:
    low, high = net_interval(*(np.array([float(x)]) for x in (top, bottom, top + middle + bottom)), confidence)
    return low.item(), high.item()


def share(top: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    low, high = share_interval(np.array([float(top)]), np.array([float(n)]), stats.norm.ppf((1 + confidence) / 2))
    return low.item(), high.item()


@given(counts, counts, counts, confidences)
def test_net_interval_holds_the_net_within_its_range(top, middle, bottom, confidence):
    """From -100 to 100, never of zero width."""
    n = top + middle + bottom
    if n < 2:
        return
    low, high = net(top, middle, bottom, confidence)
    assert -100 <= low <= 100 * (top - bottom) / n + 1e-9
    assert 100 * (top - bottom) / n - 1e-9 <= high <= 100
    assert high - low > 0


@given(counts, counts, counts)
def test_net_interval_mirrors_when_classes_swap(top, middle, bottom):
    """The good and the poor end are treated alike."""
    if top + middle + bottom < 2:
        return
    low, high = net(top, middle, bottom)
    assert net(bottom, middle, top) == pytest.approx((-high, -low), abs=1e-6)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_net_interval_shrinks_with_more_of_the_same(top, middle, bottom):
    """Four times the answers narrow it, whether or not a class is empty."""
    if top + middle + bottom < 5:
        return
    narrow_low, narrow_high = net(4 * top, 4 * middle, 4 * bottom)
    low, high = net(top, middle, bottom)
    assert narrow_high - narrow_low < high - low


@given(counts, counts, counts, confidences)
def test_net_interval_grows_with_confidence(top, middle, bottom, confidence):
    """More confidence never gives a narrower interval."""
    if top + middle + bottom < 2:
        return
    low, high = net(top, middle, bottom, confidence)
    wider_low, wider_high = net(top, middle, bottom, (1 + confidence) / 2)
    assert wider_low <= low + 1e-9
    assert wider_high >= high - 1e-9


@given(counts, st.integers(1, 5000), confidences)
def test_share_interval_holds_the_share_within_its_range(top, more, confidence):
    """From 0 to 1, never of zero width."""
    low, high = share(top, top + more, confidence)
    assert 0 <= low <= top / (top + more) <= high <= 1
    assert high > low


@given(st.floats(1, 7), st.floats(0.001, 3), st.integers(2, 1000))
def test_mean_interval_is_symmetric_and_shrinks(mean, spread, n):
    """With the square root of the base and with the degrees of freedom."""
    (low, high), (narrow_low, narrow_high) = (
        mean_interval(np.array([mean]), np.array([spread / m**0.5]), np.array([m - 1.0]), 0.95) for m in (n, 4 * n)
    )
    assert (low + high).item() / 2 == pytest.approx(mean)
    assert (narrow_high - narrow_low).item() < (high - low).item()


def bounded(scores, limits, confidence: float = 0.95) -> tuple[float, float]:
    x = np.asarray(scores, dtype=float)
    arrays = (np.array([number]) for number in (x.mean(), stats.sem(x), len(x), len(x) - 1))
    low, high = bounded_mean_interval(*arrays, confidence, limits=limits)
    return low.item(), high.item()


scores = st.lists(st.integers(1, 5), min_size=2, max_size=60)


@given(scores, confidences)
def test_bounded_mean_interval_holds_the_mean_within_the_scale(scores, confidence):
    """Never of zero width, not even for equal answers."""
    low, high = bounded(scores, (1, 5), confidence)
    assert 1 - 1e-9 <= low <= np.mean(scores) + 1e-9
    assert np.mean(scores) - 1e-9 <= high <= 5 + 1e-9
    assert high - low > 0


@given(scores)
def test_bounded_mean_interval_mirrors_and_moves_with_its_scale(scores):
    """Counting from the other end, or in other units, changes nothing else."""
    low, high = bounded(scores, (1, 5))
    assert bounded([6 - x for x in scores], (1, 5)) == pytest.approx((6 - high, 6 - low))
    assert bounded([10 * x for x in scores], (10, 50)) == pytest.approx((10 * low, 10 * high))


def test_share_interval_equals_statsmodels():
    """And it stands where the normal tail of its critical value is too small for a double."""
    top, n = np.array([0.0, 1, 40, 99.5, 100]), np.full(5, 100.0)
    expected = proportion_confint(top, n, method="wilson")
    np.testing.assert_allclose(share_interval(top, n, stats.norm.ppf(0.975)), expected, atol=1e-12)
    low, high = share_interval(top, n, stats.t.ppf(0.995, 1))
    assert ((low <= top / n) & (top / n <= high) & (high - low > 0.9)).all()


def test_bounded_mean_of_yes_and_no_is_nearly_wilsons_share():
    """The dispersion of two values is the greatest there is; Student's t widens it a little."""
    low, high = bounded([1.0] * 81 + [0.0] * 182, (0, 1))
    assert (low, high) == pytest.approx(share(81, 263), abs=1e-3)
    base = 262
    z = stats.t.ppf(0.975, 262)
    assert (low, high) == pytest.approx(
        [end.item() for end in share_interval(np.array([81 * base / 263]), np.array([float(base)]), z)], abs=1e-9
    )


def test_bounded_mean_interval_by_hand():
    """Scores 5, 5, 5, 4, 1 of 1 to 5: their dispersion on 5.2 answers, then Wilson's formula."""
    p, variance = 0.75, (3 * 1 + 0.75**2) / 5 - 0.75**2
    middle = (5 * p + 0.1) / 5.2
    dispersion = ((5 * (variance + p**2) + 0.1) / 5.2 - middle**2) / (middle * (1 - middle))
    base, t = 4 / dispersion, 2.7764451
    centre, half = p + t**2 / (2 * base), t * np.sqrt(p * (1 - p) / base + t**2 / (4 * base**2))
    ends = [1 + 4 * (centre + sign * half) / (1 + t**2 / base) for sign in (-1, 1)]
    assert bounded([5, 5, 5, 4, 1], (1, 5)) == pytest.approx(ends)


def test_bounded_mean_of_many_answers_is_students():
    """Away from the ends the two agree."""
    x = np.random.default_rng(1).choice([1, 2, 3, 4, 5], 20_000)
    assert bounded(x, (1, 5)) == pytest.approx(stats.t.interval(0.95, 19_999, x.mean(), stats.sem(x)), abs=1e-4)


def test_mean_outside_its_limits_has_no_interval():
    """Rounding is no offence."""
    arrays = [np.array([number]) for number in (0.1, 30.0, 29.0)]
    assert np.isnan(bounded_mean_interval(np.array([1.2]), *arrays, 0.95, limits=(0, 1))).all()
    _, high = bounded_mean_interval(np.array([1 + 1e-15]), *arrays, 0.95, limits=(0, 1))
    assert high.item() == 1


@given(st.floats(-4, 4), st.integers(2, 300), confidences)
def test_skewed_mean_interval_leans_to_the_skew(skewness, n, confidence):
    """It mirrors with the sign, and without skewness it is the t interval."""
    size = [np.array([number]) for number in (n - 1.0,)]
    mean, se = np.array([7.0]), np.array([0.5])
    low, high = skewed_mean_interval(mean, se, np.array([skewness]), *size, confidence)
    mirrored = skewed_mean_interval(-mean, se, np.array([-skewness]), *size, confidence)
    assert (-mirrored[1].item(), -mirrored[0].item()) == pytest.approx((low.item(), high.item()))
    assert low.item() < high.item()
    plain = mean_interval(mean, se, *size, confidence)
    none = skewed_mean_interval(mean, se, np.array([0.0]), *size, confidence)
    assert [end.item() for end in none] == pytest.approx([end.item() for end in plain])
    nearly = skewed_mean_interval(mean, se, np.array([1e-6]), *size, confidence)
    assert [end.item() for end in nearly] == pytest.approx([end.item() for end in plain], rel=1e-3)


def test_skewed_mean_interval_inverts_halls_polynomial():
    """At each end T + G T^2 / 3 + G^2 T^3 / 27 + G / 6 is the critical value, G being the skewness over root n."""
    mean, se, n, g = 10.0, 1.5, 25, 1.8 / 5
    ends = skewed_mean_interval(*(np.array([number]) for number in (mean, se, 1.8, n - 1.0)), 0.95)
    t = stats.t.ppf(0.975, n - 1)
    for end, critical in zip(ends, (t, -t), strict=True):
        deviate = (mean - end.item()) / se
        assert deviate + g * deviate**2 / 3 + g**2 * deviate**3 / 27 + g / 6 == pytest.approx(critical)


@given(st.integers(1, 20000), st.floats(0.02, 0.98), confidences)
def test_quantile_ranks_are_the_tightest_with_both_tails_covered(n, q, confidence):
    """Each tail outside holds at most half of the error; one rank further in holds more."""
    ranks = quantile_ranks(np.array([float(n)]), q, confidence).iloc[0]
    error = (1 - confidence) / 2
    assert 1 <= ranks["below"] <= ranks["above"] <= n
    if ranks["low"] == 0:
        assert stats.binom.cdf(0, n, q) > error or stats.binom.sf(n - 1, n, q) > error
        return
    assert stats.binom.cdf(ranks["low"] - 1, n, q) <= error < stats.binom.cdf(ranks["low"], n, q) + 1e-12
    assert stats.binom.sf(ranks["high"] - 1, n, q) <= error < stats.binom.sf(ranks["high"] - 2, n, q) + 1e-12
