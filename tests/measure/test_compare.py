"""Changes get the words that the statistics allow."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.engine import wrap
from cxreport.measure.compare import add_changes, net_change, share_change
from cxreport.measure.disclosure import suppress
from cxreport.measure.intervals import infer
from cxreport.measure.reduce import reduce
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

    def compare(levels: dict[str, dict[str, list[float]]], kpi: str = "nps") -> pd.DataFrame:
        rows = pd.DataFrame(
            [
                {"period": month, "level": level, "score": score, "metric": kpis[kpi].where["metric"]}
                for level, months in levels.items()
                for month, scores in months.items()
                for score in scores
            ]
        )
        reduced = reduce(wrap(rows), kpis[kpi], ["period", "level"], 0.95)
        figures = infer(reduced, kpis[kpi], 0.95).join(reduced[["period", "level"]])
        figures = figures.assign(kpi=kpi, question="", period_kind="month")
        figures["segment"] = np.where(figures["level"] == TOTAL, TOTAL, "region")
        chosen = {kpi: kpis[kpi]}
        return add_changes(suppress(figures, chosen), chosen, SEPTEMBER, 0.95).set_index(["period", "level"])

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
    compared = add_changes(suppress(figures, {kpi.id: kpi}), {kpi.id: kpi}, SEPTEMBER, 0.95).set_index("period")
    assert compared.loc["2026-09", ["value", "previous", "verdict"]].tolist() == [2, 1, "too few answers"]
    assert compared.loc["2026-09", ["change", "change_ci_low", "p_value"]].isna().all()


def test_equal_answers_on_both_sides_are_not_tested(compared):
    """Two months of identical scores have no spread to judge a difference of means by."""
    rows = compared({"a": {"2026-08": [5.0] * 40, "2026-09": [6.0] * 40}}, kpi="ces_v2")
    assert rows.loc[("2026-09", "a"), "verdict"] == "too few answers"
    assert np.isnan(rows.loc[("2026-09", "a"), "change"])


def test_totals_and_levels_are_two_families(compared):
    """Many quiet levels do not drown a clear move of the total, and the total lends them nothing."""
    quiet = {month: [9.0] * 50 + [3.0] * 50 for month in ("2026-08", "2026-09")}
    moved = {"2026-08": [9.0] * 60 + [3.0] * 40, "2026-09": [9.0] * 40 + [3.0] * 60}
    levels = {f"level {i}": quiet for i in range(60)}
    rows = compared({TOTAL: moved, "moved": moved, **levels}).loc["2026-09"]
    assert rows["p_value"][TOTAL] == rows["p_value"]["moved"]
    assert rows["q_value"][TOTAL] == pytest.approx(rows["p_value"][TOTAL])
    assert rows["q_value"]["moved"] == pytest.approx(61 * rows["p_value"]["moved"])
    assert (rows["verdict"][TOTAL], rows["verdict"]["moved"]) == ("fell", "no detectable change")
