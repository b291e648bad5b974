"""Seeded simulations: intervals hold the truth, and tests raise false alarms, as often as they say."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cxreport.config import Kpi
from cxreport.measure import estimate
from cxreport.measure.compare import net_change, quantile_change, share_change
from cxreport.measure.intervals import net_interval, quantile_ranks, quantile_se

DRAWS = 4000


def nets(n: int, p: list[float], random: np.random.Generator) -> pd.DataFrame:
    counts = random.multinomial(n, p, DRAWS)
    return pd.DataFrame({"p_top": counts[:, 0] / n, "p_bottom": counts[:, 2] / n, "base": float(n)})


def quantiles(n: int, q: float, random: np.random.Generator) -> pd.DataFrame:
    """Quantiles of right-skewed waiting times, with the ends of their intervals and their errors."""
    times = np.sort(random.lognormal(5, 1, (DRAWS, n)), axis=1)
    ranks = quantile_ranks(np.array([float(n)]), q, 0.95).iloc[0]
    low, high = times[:, ranks["low"] - 1], times[:, ranks["high"] - 1]
    se = quantile_se(low, high, np.full(DRAWS, float(n)), q, 0.95)
    return pd.DataFrame({"value": np.quantile(times, q, axis=1), "low": low, "high": high, "se": se})


@pytest.mark.parametrize(("n", "p"), [(10, [0.7, 0.2, 0.1]), (30, [0.9, 0.08, 0.02]), (200, [0.4, 0.3, 0.3])])
def test_net_intervals_hold_the_true_net(n, p):
    """At least 94 % of 95 % intervals, where plain Wald falls to 84 %."""
    drawn = nets(n, p, np.random.default_rng(n)) * n
    low, high = net_interval(
        drawn["p_top"].to_numpy(), drawn["p_bottom"].to_numpy(), np.full(DRAWS, float(n)), confidence=0.95
    )
    truth = 100 * (p[0] - p[2])
    assert 0.94 < ((low <= truth) & (truth <= high)).mean() < 0.99


@pytest.mark.parametrize(("n", "q"), [(10, 0.5), (30, 0.5), (40, 0.9), (400, 0.9)])
def test_quantile_intervals_hold_the_true_quantile(n, q):
    """Without assuming a distribution, for medians and 90th percentiles alike."""
    drawn = quantiles(n, q, np.random.default_rng(n))
    truth = np.exp(5 + stats.norm.ppf(q))
    assert 0.94 < ((drawn["low"] <= truth) & (truth <= drawn["high"])).mean() < 0.995


@pytest.mark.parametrize("sizes", [(30, 30), (200, 100), (400, 400)])
@pytest.mark.parametrize("q", [0.5, 0.9])
def test_equal_quantiles_rarely_look_different(sizes, q):
    """The test of two quantiles keeps its level on skewed times; on small bases it is cautious."""
    if q == 0.9:
        sizes = tuple(max(size, 40) for size in sizes)
    random = np.random.default_rng(sum(sizes))
    change = quantile_change(*(quantiles(size, q, random) for size in sizes), 0.95)
    assert (change.p_value < 0.05).mean() < 0.065
    assert ((change.low <= 0) & (change.high >= 0)).mean() > 0.935


def test_moved_quantile_is_detected():
    """Half an hour more at the median of some two and a half hours shows on 400 cases each."""
    random = np.random.default_rng(1)
    now, before = quantiles(400, 0.5, random), quantiles(400, 0.5, random)
    change = quantile_change(now.assign(value=now["value"] + 30), before, 0.95)
    assert ((change.low <= 30) & (change.high >= 30)).mean() > 0.935
    assert (change.p_value < 0.05).mean() > 0.6


@pytest.mark.parametrize(("n", "p"), [(30, 0.9), (100, 0.8), (300, 0.4)])
def test_equal_shares_and_nets_rarely_look_different(n, p):
    """Newcombe's and the adjusted test keep their level."""
    random = np.random.default_rng(n)
    now, before = (pd.DataFrame({"p_top": random.binomial(n, p, DRAWS) / n, "base": float(n)}) for _ in range(2))
    assert (share_change(now, before, 0.95).p_value < 0.05).mean() < 0.065
    classes = [p, (1 - p) / 2, (1 - p) / 2]
    assert (net_change(*(nets(n, classes, random) for _ in range(2)), 0.95).p_value < 0.05).mean() < 0.065


@pytest.fixture
def ratings(kpis) -> Kpi:
    """The mean of independent scores 1 to 5."""
    return kpis["item_mean"].model_copy(update={"where": {}, "per_question": False})


def skewed_scores(samples: int, n: int, seed: int) -> pd.DataFrame:
    """Scores of which most stand at the end of the scale."""
    random = np.random.default_rng(seed)
    score = random.choice([1.0, 2, 3, 4, 5], samples * n, p=[0.03, 0.04, 0.08, 0.25, 0.6])
    return pd.DataFrame({"sample": np.repeat(np.arange(samples), n), "score": score})


def test_bounded_mean_is_held_where_t_falls_short(ratings):
    """30 scores each, from rows to intervals; both keep the same standard error."""
    rows, truth = skewed_scores(2000, 30, seed=3), 4.35
    bounded, by_t = (
        estimate(rows, ratings.model_copy(update={"interval": interval}), by=["sample"]) for interval in ("wilson", "t")
    )
    held = [((found["ci_low"] <= truth) & (truth <= found["ci_high"])).mean() for found in (bounded, by_t)]
    assert bounded["se"].equals(by_t["se"])
    assert 0.935 < held[0] < 0.975
    assert held[1] < held[0]


def test_skewed_mean_is_held_where_t_falls_short(kpis):
    """30 log-normal amounts each, from rows to intervals, alone or three to a customer who pays alike."""
    random = np.random.default_rng(4)
    amount = random.lognormal(3, 0.9, (2000, 30))
    rows = pd.DataFrame({"sample": np.repeat(np.arange(2000), 30), "cost": amount.ravel()})
    rows["customer_id"] = rows.index
    truth = np.exp(3 + 0.9**2 / 2)
    for frame in (rows, rows.loc[rows.index.repeat(3)]):
        found, by_t = (
            estimate(frame, kpis["service_cost"].model_copy(update={"interval": interval}), by=["sample"])
            for interval in ("hall", "t")
        )
        held = [((one["ci_low"] <= truth) & (truth <= one["ci_high"])).mean() for one in (found, by_t)]
        assert held[0] > 0.92
        assert held[1] < held[0] - 0.02


@pytest.mark.parametrize("interval", ["wilson", "hall"])
def test_interval_does_not_depend_on_rows_order_or_on_where_sums_are_made(ratings, interval, monkeypatch):
    """Nor on other groups."""
    scale = {"scale": None, "column": "score"} if interval == "hall" else {}
    kpi = ratings.model_copy(update={"interval": interval, "cluster": "customer_id"} | scale)
    rows = skewed_scores(20, 25, seed=5).assign(customer_id=lambda rows: rows.index // 2 % 300)
    found = estimate(rows, kpi, by=["sample"])
    shuffled = rows.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(estimate(shuffled, kpi, by=["sample"]), found)
    alone = estimate(rows[rows["sample"] == 7], kpi)
    assert alone["ci_low"].item() == found.set_index("sample").loc[7, "ci_low"]
    monkeypatch.setattr("cxreport.measure.reduce.IN_MEMORY", 0)
    pd.testing.assert_frame_equal(estimate(rows, kpi, by=["sample"]), found)
