"""Properties that every interval must have, whatever the counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cxreport.measure.intervals import mean_interval, net_interval, quantile_ranks, share_interval

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
