"""Bootstrap intervals: the exact limit, coverage, clusters and degenerate samples."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from cxreport.errors import UsageError
from cxreport.measure.bootstrap import bootstrap_mean, net_bootstrap_exact

SKEWED = [0.03, 0.04, 0.08, 0.2, 0.65]


def signed(promoters: int, passives: int, detractors: int) -> np.ndarray:
    return np.repeat([100.0, 0.0, -100.0], [promoters, passives, detractors])


def test_exact_limit_equals_the_worked_example(examples):
    """20, 30 and 50 of 100 answers."""
    example = examples["nps_bootstrap_exact"]
    found = net_bootstrap_exact(**example["inputs"])
    assert [end / 100 for end in found] == pytest.approx(example["expected"]["percentile"], abs=1e-9)


def test_exact_limit_equals_enumeration():
    """All ways to draw seven answers from shares 4, 2 and 1 of 7."""
    chances: dict[int, float] = {}
    for top, middle in itertools.product(range(8), repeat=2):
        if (bottom := 7 - top - middle) >= 0:
            ways = math.factorial(7) / math.prod(map(math.factorial, (top, middle, bottom)))
            chance = ways * (4 / 7) ** top * (2 / 7) ** middle * (1 / 7) ** bottom
            chances[top - bottom] = chances.get(top - bottom, 0) + chance
    nets = sorted(chances)
    cumulated = np.cumsum([chances[net] for net in nets])
    low, high = (100 * nets[int(np.argmax(cumulated >= at))] / 7 for at in (0.05, 0.95))
    assert net_bootstrap_exact(4, 2, 1, 0.9) == pytest.approx((low, high))


def test_exact_limit_mirrors_and_holds_for_large_bases():
    """Swapping the classes mirrors the interval; for many answers it is the normal one."""
    low, high = net_bootstrap_exact(50, 30, 20)
    assert net_bootstrap_exact(20, 30, 50) == pytest.approx((-high, -low), abs=1)
    half = 100 * stats.norm.ppf(0.975) * math.sqrt((0.7 - 0.3**2) / 1e6)
    assert net_bootstrap_exact(500_000, 300_000, 200_000) == pytest.approx((30 - half, 30 + half), abs=1e-3)


def test_seeded_percentiles_land_beside_the_exact_limit():
    """Within one answer of a hundred."""
    found = bootstrap_mean(signed(50, 30, 20), seed=4, draws=5000, method="percentile")
    assert [found.ci_low, found.ci_high] == pytest.approx(net_bootstrap_exact(50, 30, 20), abs=1.01)


@pytest.mark.parametrize("method", ["t", "bca", "percentile"])
def test_large_normal_sample_gives_the_t_interval(method):
    """Where the normal theory holds, every bootstrap agrees with it."""
    x = np.random.default_rng(2).normal(50, 10, 800)
    found = bootstrap_mean(x, seed=3, method=method)
    ends = stats.t.interval(0.95, 799, x.mean(), stats.sem(x))
    assert [found.ci_low, found.ci_high] == pytest.approx(ends, abs=0.1)


def test_seed_decides_and_order_does_not():
    """Same seed, same interval for shuffled rows; another seed, another one."""
    random = np.random.default_rng(5)
    x, accounts = random.choice([1.0, 2, 3, 4, 5], 40, p=SKEWED), random.integers(0, 9, 40)
    order = random.permutation(40)
    for method in ("t", "bca", "percentile"):
        found = bootstrap_mean(x, seed=1, clusters=accounts, method=method)
        assert bootstrap_mean(x[order], seed=1, clusters=accounts[order], method=method) == found
        assert bootstrap_mean(x, seed=2, clusters=accounts, method=method) != found


@pytest.mark.parametrize("method", ["t", "bca", "percentile"])
def test_clusters_that_agree_widen_the_interval(method):
    """Five equal answers of each account are worth one: the interval is that of the accounts' means."""
    x = np.random.default_rng(6).normal(size=30)
    repeated, accounts = np.repeat(x, 5), np.repeat(np.arange(30), 5)
    found = bootstrap_mean(repeated, seed=1, clusters=accounts, method=method)
    alone = bootstrap_mean(x, seed=1, method=method)
    assert [found.value, found.ci_low, found.ci_high] == pytest.approx([alone.value, alone.ci_low, alone.ci_high])
    assert (found.n, found.m) == (150, 30)


def test_studentised_interval_covers_skewed_scores():
    """Of 30 scores from 1 to 5 at 95 %; a seeded slice of the table in the docstring."""
    random, truth = np.random.default_rng(8), float(np.dot(SKEWED, range(1, 6)))
    covered = 0
    for seed in range(400):
        x = random.choice([1.0, 2, 3, 4, 5], 30, p=SKEWED)
        found = bootstrap_mean(x, seed=seed, draws=400, limits=(1, 5))
        covered += found.ci_low <= truth <= found.ci_high
    assert 0.925 <= covered / 400 <= 0.985


def test_degenerate_samples_have_no_interval():
    """No rows, one row, one account, equal answers, and a resample that could lie anywhere."""
    cases = {
        "no rows": bootstrap_mean(np.array([]), seed=1),
        "one unit": bootstrap_mean(np.array([3.0, np.nan]), seed=1),
        "one unit: no": bootstrap_mean(np.array([3.0, 4.0]), seed=1, clusters=np.array(["a", "a"])),
        "all units are equal": bootstrap_mean(np.full(9, 0.1), seed=1),
        "too little spread": bootstrap_mean(np.array([5.0, 5.0, 5.0, 1.0]), seed=1),
    }
    for note, found in cases.items():
        assert note in found.note
        assert found.method == "no interval"
        assert np.isnan([found.ci_low, found.ci_high]).all()
    bounded = bootstrap_mean(np.array([5.0, 5.0, 5.0, 1.0]), seed=1, limits=(1, 5))
    assert 1 <= bounded.ci_low < 4 < bounded.ci_high == 5
    assert np.isnan(net_bootstrap_exact(0, 9, 0)).all()
    assert np.isnan(net_bootstrap_exact(0, 0, 0)).all()


def test_wrong_counts_and_clusters_are_refused():
    """Negative counts, labels that are missing or too few."""
    with pytest.raises(UsageError, match="below zero"):
        net_bootstrap_exact(-1, 3, 3)
    for clusters in (np.array(["a", None, "b"], dtype=object), np.array(["a", "b"])):
        with pytest.raises(UsageError, match="cluster labels"):
            bootstrap_mean(np.array([1.0, 2.0, 3.0]), seed=1, clusters=clusters)
