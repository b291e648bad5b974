"""Whether an action worked: the arithmetic of the comparison, its calibration, and what is said of each action."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cxreport.config import Analyses, Kpi, Report, load_report
from cxreport.errors import UsageError
from cxreport.measure import actions, measure
from cxreport.measure.analyses import read_analyses
from cxreport.periods import Period

SEPTEMBER = Period.parse("2026-09")
CELLS = ["before", "after", "rest_before", "rest_after"]


def rows(kpi: Kpi, cells: dict[str, list[float]], customers: dict[str, list[int]] | None = None) -> pd.DataFrame:
    """Return answers of the four cells; everyone is a customer of their own unless said otherwise."""
    scale = {"scale_low": kpi.scale.low, "scale_high": kpi.scale.high, "scale_good": "high"}
    parts = [
        pd.DataFrame({"score": scores}).assign(
            in_group=not name.startswith("rest"),
            is_after=name.endswith("after"),
            customer_id=[f"{name}{i}" for i in range(len(scores))]
            if customers is None
            else [f"c{i}" for i in customers[name]],
        )
        for name, scores in cells.items()
    ]
    where = {name: value for name, value in kpi.where.items() if isinstance(value, str)}
    return pd.concat(parts, ignore_index=True).assign(**scale, **where)


def shares(top: dict[str, int], n: int = 100) -> dict[str, list[float]]:
    """Return as many fives as said among `n` answers, the others ones."""
    return {name: [5.0] * count + [1.0] * (n - count) for name, count in top.items()}


# --- arithmetic ----------------------------------------------------------------------------------


def test_effect_is_the_change_less_the_change_of_everyone_else(kpis):
    """From 50 to 80 of 100 is 30 points; everyone else gained 5; the interval is made of four Wilson intervals."""
    found = actions.effect(
        rows(kpis["csat"], shares({"before": 50, "after": 80, "rest_before": 60, "rest_after": 65})), kpis["csat"]
    )
    assert found.value == pytest.approx(0.25)
    ends = found.cells[["ci_low", "ci_high"]]
    down, up = found.cells["value"] - ends["ci_low"], ends["ci_high"] - found.cells["value"]
    below = np.sqrt(down["after"] ** 2 + up["before"] ** 2 + up["rest_after"] ** 2 + down["rest_before"] ** 2)
    above = np.sqrt(up["after"] ** 2 + down["before"] ** 2 + down["rest_after"] ** 2 + up["rest_before"] ** 2)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.25 - below, 0.25 + above))
    assert found.cells["n"].tolist() == [100] * 4
    assert found.p_value < 0.05


def test_nothing_is_found_where_everybody_moves_alike(kpis):
    """A season that lifts all by 20 points is no effect, whatever the action."""
    cells = shares({"before": 50, "after": 70, "rest_before": 60, "rest_after": 80})
    found = actions.effect(rows(kpis["csat"], cells), kpis["csat"])
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.p_value == pytest.approx(1)
    assert found.ci_low < 0 < found.ci_high


def test_the_other_side_has_the_opposite_effect(kpis):
    """Exchanging group and everybody else turns the effect and its interval round."""
    cells = shares({"before": 50, "after": 80, "rest_before": 60, "rest_after": 65})
    answers = rows(kpis["csat"], cells)
    one, other = (
        actions.effect(each, kpis["csat"]) for each in (answers, answers.assign(in_group=~answers["in_group"]))
    )
    assert one.value == pytest.approx(-other.value)
    assert (one.ci_low, one.ci_high) == pytest.approx((-other.ci_high, -other.ci_low))
    assert one.p_value == pytest.approx(other.p_value)


@pytest.mark.parametrize("kpi_id", ["csat", "csat_mean", "nps"])
def test_plain_pandas_gives_the_same_effect_and_nearly_the_same_error(kpis, kpi_id):
    """Influences summed by customer make the textbook's clustered standard error of the difference in differences."""
    kpi, random = kpis[kpi_id], np.random.default_rng(3)
    top = 10 if kpi_id == "nps" else 5
    people = {name: random.integers(0, 700, n).tolist() for name, n in zip(CELLS, (400, 300, 900, 1000), strict=True)}
    mood = random.normal(size=700)
    cells = {
        name: np.clip(np.round(0.7 * top + 1.2 * mood[ids] + random.normal(size=len(ids))), kpi.scale.low, top).tolist()
        for name, ids in people.items()
    }
    answers = rows(kpi, cells, people)
    points = {
        "csat": lambda score: (score >= 4).astype(float),
        "csat_mean": lambda score: score,
        "nps": lambda score: 100.0 * ((score >= 9).astype(float) - (score <= 6).astype(float)),
    }[kpi_id]
    x = points(answers["score"])
    by_cell = x.groupby([answers["in_group"], answers["is_after"]])
    means = by_cell.mean()
    value = means[True, True] - means[True, False] - means[False, True] + means[False, False]
    sign = np.where(answers["in_group"] == answers["is_after"], 1, -1)
    influence = sign * (x - by_cell.transform("mean")) / by_cell.transform("size")
    se = np.sqrt((influence.groupby(answers["customer_id"]).sum() ** 2).sum())
    found = actions.effect(answers, kpi)
    assert found.value == pytest.approx(value)
    assert (found.ci_high - found.ci_low) / (2 * stats.norm.ppf(0.975)) == pytest.approx(se, rel=0.02)


def test_same_customers_before_and_after_are_no_strangers(kpis):
    """Customers who keep their opinion say more about a change than as many others: the interval is narrower."""
    ids = {name: list(range(200 * ("rest" in name), 200 * ("rest" in name) + 200)) for name in CELLS}
    cells = shares({"before": 100, "after": 120, "rest_before": 100, "rest_after": 100}, 200)
    paired = actions.effect(rows(kpis["csat"], cells, ids), kpis["csat"])
    apart = actions.effect(rows(kpis["csat"], cells), kpis["csat"])
    assert paired.value == apart.value
    assert paired.ci_high - paired.ci_low < 0.5 * (apart.ci_high - apart.ci_low)


def test_a_cell_without_answers_has_no_effect(kpis):
    """Nothing is guessed of a group that nobody answered for."""
    answers = rows(kpis["csat"], shares({"before": 50, "rest_before": 60, "rest_after": 65}))
    found = actions.effect(answers, kpis["csat"])
    assert np.isnan([found.value, found.ci_low, found.ci_high, found.p_value]).all()
    assert found.cells["n"].tolist() == [100, 0, 100, 100]


def test_answers_need_both_flags(kpis):
    """What is missing is named."""
    with pytest.raises(UsageError, match="without in_group and is_after"):
        actions.effect(pd.DataFrame({"score": [1]}), kpis["csat"])


def test_verdicts_allow_for_all_actions_and_for_the_good_end(kpis):
    """A p-value of 0.04 alone among five convinces nobody; a rise of waiting is no improvement."""
    ends = {"effect": 0.1, "ci_low": 0.01, "ci_high": 0.19}
    table = pd.DataFrame([ends | {"p_value": p, "verdict": None} for p in (0.0001, 0.04, 0.5, 0.6, 0.7)])
    table.loc[len(table)] = [np.nan, np.nan, np.nan, np.nan, actions.TOO_EARLY]
    judged = actions.judge(table, kpis["csat"])
    assert judged["verdict"].tolist() == [actions.IMPROVED, *[actions.NO_CHANGE] * 4, actions.TOO_EARLY]
    assert judged["q_value"].tolist()[:2] == pytest.approx([0.0005, 0.1])
    worse = kpis["csat"].model_copy(update={"higher_is_better": False})
    assert actions.judge(table, worse)["verdict"].iloc[0] == actions.WORSENED


# --- calibration ---------------------------------------------------------------------------------


def simulated(kpi: Kpi, seed: int, lift: float) -> actions.Effect:
    """Return the effect found in a company whose customers answer repeatedly, with a season and a true lift."""
    random = np.random.default_rng(seed)
    people = {name: random.integers(0, 900, n).tolist() for name, n in zip(CELLS, (120, 90, 800, 700), strict=True)}
    mood, season = random.uniform(-0.2, 0.2, 900), random.uniform(-0.1, 0.1)
    chance = {"before": 0.5, "after": 0.5 + season + lift, "rest_before": 0.6, "rest_after": 0.6 + season}
    cells = {
        name: np.where(random.random(len(ids)) < chance[name] + mood[ids], 5.0, 1.0).tolist()
        for name, ids in people.items()
    }
    return actions.effect(rows(kpi, cells, people), kpi)


def assert_calibrated(kpi: Kpi, seeds: range) -> None:
    """Assert that 95 % of the intervals hold the truth and 5 % of the companies without a lift have a finding."""
    truths = {0.0: [simulated(kpi, seed, 0.0) for seed in seeds], 0.12: [simulated(kpi, seed, 0.12) for seed in seeds]}
    for lift, found in truths.items():
        held = sum(each.ci_low <= lift <= each.ci_high for each in found)
        low, high = stats.binom.ppf([0.0005, 0.9995], len(seeds), 0.95)
        assert low <= held <= high, lift
    false = sum(each.p_value < 0.05 for each in truths[0.0])
    assert false <= stats.binom.ppf(0.9995, len(seeds), 0.05)
    excluded = sum(not each.ci_low <= 0 <= each.ci_high for each in truths[0.0])
    assert false == excluded


def test_intervals_hold_the_truth_as_often_as_stated(kpis):
    """A small slice of the campaign below."""
    assert_calibrated(kpis["csat"], range(16))


@pytest.mark.soak
def test_intervals_hold_the_truth_as_often_as_stated_in_many_companies(kpis):
    """Over 1,000 companies with a lift and as many without, coverage and false findings are those stated."""
    assert_calibrated(kpis["csat"], range(1_000))


# --- what is said of each action -----------------------------------------------------------------


@pytest.fixture
def report(project) -> Report:
    return load_report(project, "monthly").model_copy(
        update={
            "kpis": ["csat"],
            "headline": ["csat"],
            "segments": ["region", "touchpoint"],
            "mix_segments": [],
            "targets": {},
            "analyses": Analyses.model_validate({"trend": False, "actions": {}}),
        }
    )


@pytest.fixture
def judged(project, write, report) -> Callable[..., pd.DataFrame]:
    """Return what is said of actions, in a company of ten months whose visits get better in June 2026."""

    def judge(*log: dict[str, object], n: int = 400, last: Period = SEPTEMBER) -> pd.DataFrame:
        random = np.random.default_rng(11)
        for month in (last.shift(step) for step in range(-9, 1)):
            at = datetime(month.start.year, month.start.month, 10, tzinfo=UTC)
            responses = pd.DataFrame(
                {"response_id": [f"{month}-{i}" for i in range(n)], "customer_id": [f"c{i}" for i in range(n)]}
            )
            responses = responses.assign(
                touchpoint=random.choice(["Visit", "Call", "Bill", "Fax"], n, p=[0.3, 0.3, 0.36, 0.04]),
                kind="transactional",
                responded_at=at,
            )
            lift = 0.3 * ((responses["touchpoint"] == "Visit") & (month.id >= "2026-06"))
            score = np.where(random.random(n) < 0.5 + lift, 5.0, 1.0)
            write(month.id, "responses", responses)
            asked = responses[["response_id", "responded_at"]].assign(question="csat", metric="csat", score=score)
            write(month.id, "answers", asked.assign(scale_low=1, scale_high=5, scale_good="high"))
            people = responses[["customer_id"]].assign(
                region=np.where(np.arange(n) % 2, "north", "south"), plan="basic"
            )
            write(month.id, "customers", people)
        rows = pd.DataFrame(log).assign(action_id=[f"A{i}" for i in range(len(log))], cost=100.0, owner="Field")
        rows["started_at"] = pd.to_datetime(rows["started_at"], utc=True)
        write(last.id, "actions", rows)
        measure(project, report, last)
        return read_analyses(project, report.id, last)["actions"].set_index("action")

    return judge


def test_each_action_gets_the_verdict_it_can_have(judged):
    """What worked, what did nothing, what is too new, what has no answers so far back, and what concerns everybody."""
    found = judged(
        {"started_at": "2026-06-03", "touchpoint": "Visit", "description": "Map"},
        {"started_at": "2026-06-20", "touchpoint": "Call", "description": "Call back"},
        {"started_at": "2026-08-01", "touchpoint": "Bill", "description": "Shorter"},
        {"started_at": "2026-01-20", "touchpoint": "Bill", "description": "Longer"},
        {"started_at": "2026-05-05", "touchpoint": None, "description": "New shop"},
    )
    assert found["verdict"].to_dict() == {
        "A0": actions.IMPROVED,
        "A1": actions.NO_CHANGE,
        "A2": actions.TOO_EARLY,
        "A3": actions.TOO_FEW,
        "A4": actions.NOT_COMPARED,
    }
    worked = found.loc["A0"]
    assert (worked["before_first"], worked["before_last"]) == ("2026-03", "2026-05")
    assert (worked["after_first"], worked["after_last"]) == ("2026-07", "2026-09")
    assert worked["ci_low"] < 0.3 < worked["ci_high"]
    assert worked["moved_before"] is False
    assert worked["note"] == "everybody else without `Bill`, `Call`"
    assert found.loc["A4", "note"] == "it concerns everybody"
    assert found.loc[["A2", "A3", "A4"], ["effect", "q_value"]].isna().all(axis=None)


def test_an_action_for_a_part_of_a_touchpoint_is_judged_there(judged):
    """Touchpoint and region together make the group; everyone else is all others, those at the touchpoint included."""
    found = judged({"started_at": "2026-06-03", "touchpoint": "Visit", "description": "Map", "region": "north"}).loc[
        "A0"
    ]
    assert (found["column"], found["level"], found["other_column"], found["other_level"]) == (
        "touchpoint",
        "Visit",
        "region",
        "north",
    )
    assert 100 < found["n_after"] < 250
    assert found["n_after"] + found["rest_n_after"] == 3 * 400
    assert found["verdict"] == actions.IMPROVED


def test_a_small_group_is_hidden(judged):
    """What the estimates hide month by month is not told for three months together, and keeps its name only."""
    found = judged({"started_at": "2026-06-03", "touchpoint": "Fax", "description": "Paper"}, n=120).loc["A0"]
    assert found["suppressed"] != "no"
    assert found[["n_before", "n_after", "effect", "ci_low", "q_value", "verdict", "was_low"]].isna().all()
    assert not found["low_base"]
    assert found["description"] == "Paper"
