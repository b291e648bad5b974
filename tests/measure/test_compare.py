"""Changes get the words that the statistics allow."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cxreport.config import Kpi
from cxreport.engine import wrap
from cxreport.measure.compare import (
    add_changes,
    benjamini_hochberg,
    correlate,
    judge_changes,
    mean_change,
    net_change,
    share_change,
    shares_of_error,
)
from cxreport.measure.disclosure import suppress
from cxreport.measure.intervals import infer
from cxreport.measure.reduce import overlap, reduce
from cxreport.periods import Period
from cxreport.schema import TOTAL

SEPTEMBER = Period.parse("2026-09")


def share_frame(top: int, n: int) -> pd.DataFrame:
    return pd.DataFrame({"p_top": [top / n], "base": [float(n)]})


@given(st.integers(0, 400), st.integers(1, 400), st.integers(0, 400), st.integers(1, 400))
def test_share_interval_excludes_zero_exactly_when_the_test_detects(top, rest, earlier_top, earlier_rest):
    """One decision, whichever of the two a reader looks at."""
    change = share_change(share_frame(top, top + rest), share_frame(earlier_top, earlier_top + earlier_rest), 0.95)
    low, high, p_value = (part.item() for part in change)
    if abs(p_value - 0.05) > 1e-6:
        assert (low > 0 or high < 0) == (p_value < 0.05)
    assert 0 <= p_value <= 1


def test_equal_shares_have_p_value_one():
    """No difference is no evidence, also at the ends of the range."""
    for top in (0, 5, 20):
        assert share_change(share_frame(top, 20), share_frame(top, 20), 0.95).p_value.item() == pytest.approx(1)


def test_net_change_is_antisymmetric():
    """Swapping the periods changes signs and nothing else."""
    now = pd.DataFrame({"p_top": [0.5], "p_bottom": [0.2], "base": [40.0]})
    before = pd.DataFrame({"p_top": [1.0], "p_bottom": [0.0], "base": [15.0]})
    change, back = net_change(now, before, 0.9), net_change(before, now, 0.9)
    assert (change.low.item(), change.high.item()) == pytest.approx((-back.high.item(), -back.low.item()))
    assert change.p_value.item() == pytest.approx(back.p_value.item())


@pytest.fixture
def compared(kpis):
    """Compare levels of one segment: level to its scores by month."""

    def compare(
        levels: dict[str, dict[str, list[float]]], kpi: str = "nps", headline: tuple[str, ...] = ()
    ) -> pd.DataFrame:
        rows = pd.DataFrame(
            [
                {"period": month, "level": level, "score": score, "metric": kpis[kpi].where["metric"]}
                for level, months in levels.items()
                for month, scores in months.items()
                for score in scores
            ]
        )
        reduced = reduce(wrap(rows.assign(customer_id=None)), kpis[kpi], ["period", "level"], 0.95)
        figures = infer(reduced, kpis[kpi], 0.95).join(reduced[["period", "level"]])
        figures = figures.assign(kpi=kpi, question="", period_kind="month")
        figures["segment"] = np.where(figures["level"] == TOTAL, TOTAL, "region")
        chosen = {kpi: kpis[kpi]}
        figures = figures.assign(apart_p_value=np.nan, apart_sign=0.0)
        changes = add_changes(suppress(figures, chosen), chosen, SEPTEMBER, 0.95)
        return judge_changes(changes, 0.95, headline).set_index(["period", "level"])

    return compare


def test_verdicts_follow_the_evidence(compared):
    """A clear rise, a clear fall, nothing to see, too little on either side, and no earlier figure."""
    good, poor = [9.0] * 150 + [3.0] * 50, [9.0] * 50 + [3.0] * 150
    rows = compared(
        {
            "up": {"2026-08": poor, "2026-09": good},
            "down": {"2026-08": good, "2026-09": poor},
            "same": {"2026-08": good, "2026-09": good},
            "small before": {"2026-08": good[:5], "2026-09": good},
            "low base before": {"2026-08": poor[-20:], "2026-09": good},
            "low base now": {"2026-08": poor, "2026-09": good[:20]},
            "new": {"2026-07": good, "2026-09": good},
        }
    )
    verdicts = rows.loc["2026-09", "verdict"]
    assert verdicts.to_dict() == {
        "up": "rose",
        "down": "fell",
        "same": "no detectable change",
        "small before": "too few answers",
        "low base before": "too few answers",
        "low base now": "too few answers",
        "new": "no earlier figure",
    }
    assert (rows.loc["2026-09", "year_verdict"] == "no earlier figure").all()
    assert rows.loc[("2026-09", "up"), ["previous", "change"]].tolist() == [-50, 100]
    hidden = rows.loc[("2026-09", "small before"), ["previous", "change", "change_ci_low", "p_value"]]
    assert hidden.isna().all()
    untested = rows.loc[("2026-09", "low base now")]
    assert untested["change_ci_low"] > 0
    assert np.isnan(untested["p_value"])


def test_history_has_figures_but_no_comparisons(compared):
    """Only the reported period's rows are tested."""
    scores = [9.0] * 80 + [3.0] * 40
    rows = compared({"a": dict.fromkeys(("2026-07", "2026-08", "2026-09"), scores)})
    history = rows.loc[["2026-07", "2026-08"]]
    assert history["value"].notna().all()
    assert history[["previous", "change", "p_value", "q_value", "verdict", "year_verdict"]].isna().all(axis=None)


def test_one_family_covers_both_comparisons(compared):
    """The q-values of both comparisons come from one ranking of all their p-values."""
    months = {"2025-09": [9.0] * 90 + [3.0] * 60, "2026-08": [9.0] * 85 + [3.0] * 65}
    rows = compared(
        {f"level {i}": {**months, "2026-09": [9.0] * (70 + 3 * i) + [3.0] * (80 - 3 * i)} for i in range(8)}
    ).loc["2026-09"]
    family = pd.concat([rows["p_value"], rows["year_p_value"]]).to_numpy()
    order = np.argsort(family)
    ranked = family[order] * len(family) / np.arange(1, len(family) + 1)
    expected = np.empty(len(family))
    expected[order] = np.minimum.accumulate(ranked[::-1])[::-1]
    assert rows["q_value"].to_numpy() == pytest.approx(expected[: len(rows)])
    year_detected = rows["year_verdict"] != "no detectable change"
    assert rows["year_q_value"].to_numpy() == pytest.approx(expected[len(rows) :])
    assert year_detected.tolist() == (rows["year_q_value"] < 0.05).tolist()


def test_many_null_comparisons_rarely_speak(compared):
    """A hundred and twenty segments without any change: the family keeps chance findings out of the words."""
    random = np.random.default_rng(2)
    rows = compared(
        {
            f"level {i}": {month: random.choice([3.0, 7.0, 9.0], 100).tolist() for month in ("2026-08", "2026-09")}
            for i in range(120)
        }
    ).loc["2026-09"]
    assert (rows["p_value"] < 0.05).any()
    assert (rows["verdict"] == "no detectable change").all()


def test_tied_quantiles_have_no_change_without_interval(kpis):
    """Replies that all take one minute give no standard error, so no change is claimed."""
    kpi = kpis["first_response_time"]
    rows = pd.DataFrame({"period": ["2026-08"] * 50 + ["2026-09"] * 50, "reply_minutes": [1.0] * 50 + [2.0] * 50})
    reduced = reduce(wrap(rows.assign(level="all")), kpi, ["period", "level"], 0.95)
    figures = infer(reduced, kpi, 0.95).join(reduced[["period", "level"]])
    figures = figures.assign(kpi=kpi.id, question="", period_kind="month", segment=TOTAL)
    figures = figures.assign(apart_p_value=np.nan, apart_sign=0.0)
    changes = add_changes(suppress(figures, {kpi.id: kpi}), {kpi.id: kpi}, SEPTEMBER, 0.95)
    compared = judge_changes(changes, 0.95).set_index("period")
    assert compared.loc["2026-09", ["value", "previous", "verdict"]].tolist() == [2, 1, "too few answers"]
    assert compared.loc["2026-09", ["change", "change_ci_low", "p_value"]].isna().all()


def test_equal_answers_on_both_sides_are_not_tested(compared):
    """Two months of identical scores have no spread to judge a difference of means by."""
    rows = compared({"a": {"2026-08": [5.0] * 40, "2026-09": [6.0] * 40}}, kpi="ces_v2")
    assert rows.loc[("2026-09", "a"), "verdict"] == "too few answers"
    assert np.isnan(rows.loc[("2026-09", "a"), "change"])


def test_headline_totals_keep_their_part_of_the_error(compared):
    """Many quiet levels do not drown a clear move of a headline total, in one family with declared weights."""
    quiet = {month: [9.0] * 50 + [3.0] * 50 for month in ("2026-08", "2026-09")}
    moved = {"2026-08": [9.0] * 60 + [3.0] * 40, "2026-09": [9.0] * 40 + [3.0] * 60}
    levels = {TOTAL: moved, "moved": moved} | {f"level {i}": quiet for i in range(60)}
    rows = compared(levels, headline=("nps",)).loc["2026-09"]
    assert rows["p_value"][TOTAL] == rows["p_value"]["moved"]
    assert rows["q_value"][TOTAL] == pytest.approx(2 * rows["p_value"][TOTAL])
    assert rows["q_value"]["moved"] == pytest.approx(61 * rows["p_value"]["moved"])
    assert (rows["verdict"][TOTAL], rows["verdict"]["moved"]) == ("fell", "no detectable change")
    assert compared(levels).loc[("2026-09", TOTAL), "q_value"] == pytest.approx(31 * rows["p_value"][TOTAL])


def test_weights_of_tests_average_to_one():
    """What the leading tests gain the others lose; tests that were not made have no part in it."""
    p_values = pd.Series([0.01, 0.2, None, 0.5, 0.9])
    weights = shares_of_error(p_values, pd.Series([True, False, True, False, False]), 0.5)
    assert weights[p_values.notna()].mean() == pytest.approx(1)
    assert weights[0] == pytest.approx(2)
    assert benjamini_hochberg(p_values, weights)[0] == pytest.approx(0.02)


@pytest.fixture
def waves():
    """The same fifty customers in two months, whose second answer follows their first."""
    random = np.random.default_rng(4)
    first = random.integers(1, 8, 50)
    second = np.clip(first + random.integers(-1, 2, 50), 1, 7)
    return pd.DataFrame(
        {
            "period": ["2026-08"] * 50 + ["2026-09"] * 50,
            "score": np.r_[first, second].astype(float),
            "metric": "ces_v2",
            "customer_id": [f"c{i}" for i in range(50)] * 2,
        }
    )


def measured(rows: pd.DataFrame, kpi: Kpi) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return unprotected figures of both months and their correlation."""
    reduced = reduce(wrap(rows), kpi, ["period"], 0.95, segments={})
    figures = infer(reduced, kpi, 0.95).join(reduced[["period", "segment", "level"]])
    figures = figures.assign(kpi=kpi.id, question="", weight_sum=reduced["w"])
    shared = overlap(wrap(rows), kpi, "2026-09", "2026-08", {})
    return figures.set_index("period"), correlate(shared, figures, kpi, "2026-09", "2026-08")


def test_change_of_the_same_customers_is_paired(kpis, waves):
    """With everybody in both months the error of the change is that of the mean difference."""
    figures, correlations = measured(waves, kpis["ces_v2"])
    now, before = figures.loc[["2026-09"]], figures.loc[["2026-08"]]
    change = mean_change(now, before, 0.95, correlations["rho"].to_numpy())
    scores = waves["score"].to_numpy()
    differences = scores[50:] - scores[:50]
    half = stats.t.ppf(0.975, 2 * 49) * differences.std(ddof=1) / 50**0.5
    welch = mean_change(now, before, 0.95)
    assert correlations["rho"].item() == pytest.approx(np.corrcoef(scores[:50], scores[50:])[0, 1])
    assert change.high.item() - differences.mean() == pytest.approx(half, rel=0.01)
    assert change.high.item() < welch.high.item()


def test_change_of_other_customers_is_not_paired(kpis, waves):
    """Strangers in the second month leave nothing that is common to both."""
    strangers = waves.assign(customer_id=[f"c{i}" for i in range(100)])
    assert measured(strangers, kpis["ces_v2"])[1].empty


def test_paired_shares_are_newcombes(kpis):
    """A customer's own change counts: 20 of 25 stay satisfied, 4 turn, 1 recovers."""
    del kpis
    both, lost, won, neither = 12, 4, 1, 8
    n = both + lost + won + neither
    p, earlier = (both + won) / n, (both + lost) / n
    rho = (both * neither - lost * won) / np.sqrt((both + lost) * (won + neither) * (both + won) * (lost + neither))
    sides = [pd.DataFrame({"p_top": [share], "base": [float(n)]}) for share in (p, earlier)]
    change = share_change(*sides, 0.95, np.array([rho]))
    free = share_change(*sides, 0.95)
    assert change.low.item() < p - earlier < change.high.item()
    assert change.high.item() - change.low.item() < 0.7 * (free.high.item() - free.low.item())
