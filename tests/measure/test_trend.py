"""What series say over time: published examples, stated error rates, and silence where there is too little."""

import numpy as np
import pandas as pd
import pytest
import ruptures

from cxreport.config import Baseline
from cxreport.errors import UsageError
from cxreport.measure.control import xmr_limits
from cxreport.measure.trend import (
    DESCRIPTION,
    add_limits,
    change_points,
    describe_series,
    forecast_next,
    mann_kendall,
    seasonality,
    single_change,
)
from cxreport.periods import Period

SEPTEMBER = Period.parse("2026-09")


def series(values: list[float], last: str = "2026-09", kpi: str = "csat", question: str | None = "") -> pd.DataFrame:
    periods = [Period.parse(last).shift(step).id for step in range(1 - len(values), 1)]
    keys = {"kpi": kpi, "question": question, "segment": "all", "level": "all"}
    return pd.DataFrame({"period": periods, "value": values}).assign(**keys)


def noise(n: int, seed: int = 1, middle: float = 0.8, sd: float = 0.01) -> np.ndarray:
    return np.random.default_rng(seed).normal(middle, sd, n)


def autocorrelated(n: int, phi: float, random: np.random.Generator) -> np.ndarray:
    values = random.normal(size=n + 50)
    for i in range(1, n + 50):
        values[i] += phi * values[i - 1]
    return values[50:]


@pytest.fixture
def nile(shared) -> np.ndarray:
    return pd.read_csv(shared / "methods" / "data" / "nile.csv")["flow"].to_numpy(float)


# --- usual ranges --------------------------------------------------------------------------------


def test_limits_need_twelve_earlier_points(kpis):
    """The reported month is judged by the past and does not shape its own limits."""
    values = [0.8, 0.81] * 6
    assert add_limits(series(values), kpis, SEPTEMBER)["usual_mid"].isna().all()
    rows = add_limits(series([*values, 0.5]), kpis, SEPTEMBER)
    assert rows["usual_mid"].tolist() == pytest.approx([0.805] * 13)
    assert rows["signal"].isna().tolist() == [True] * 12 + [False]
    assert rows["signal"].iloc[-1] == "below the usual range"


def test_limits_stay_within_the_range_of_the_figure(kpis):
    """A share cannot usually be above one."""
    rows = add_limits(series([0.99, 0.9] * 7), kpis, SEPTEMBER)
    assert rows["usual_high"].eq(1).all()


def test_hidden_figures_take_no_part(kpis):
    """A suppressed month leaves no trace in limits or signals."""
    values = [0.8, 0.81] * 7
    rows = add_limits(series([*values, np.nan, 0.8]), kpis, SEPTEMBER)
    assert rows["usual_low"].isna().tolist() == [False] * 14 + [True, False]
    assert rows["usual_low"].iloc[0] == pytest.approx(xmr_limits(values).low)


def test_limits_are_locked_after_two_years(kpis):
    """A later shift moves no limits, and the next issue draws the same ones."""
    values = [*noise(24), *noise(12, seed=2, middle=0.83)]
    issues = [
        add_limits(series(values[:n], last), kpis, Period.parse(last)) for n, last in ((30, "2026-03"), (36, "2026-09"))
    ]
    expected = list(xmr_limits(values[:24]))
    for rows in issues:
        assert rows[["usual_low", "usual_mid", "usual_high"]].iloc[-1].tolist() == pytest.approx(expected)
    assert issues[1]["signal"].iloc[-1] in {"above the usual range", "7 in a row above the usual middle"}


@pytest.mark.parametrize(("first", "last"), [("2025-01", "2025-12"), ("2025", "2025"), ("2025-Q1", "2025-Q4")])
def test_declared_baseline_takes_the_place_of_the_first_figures(first, last, kpis):
    """Limits stand from the first month of the declared window on, and earlier months are not judged."""
    declared = kpis["csat"].model_copy(update={"baseline": Baseline(first=first, last=last)})
    values = [*noise(16), *noise(21, seed=2, middle=0.7)]
    rows = add_limits(series(values), {"csat": declared}, SEPTEMBER).set_index("period")
    assert rows["usual_mid"].isna().sum() == 16
    assert rows.loc["2025-01", "usual_mid"] == pytest.approx(np.mean(values[16:28]))
    assert rows["signal"].iloc[:16].isna().all()


def test_declared_baseline_that_is_too_short_gives_no_limits(kpis):
    """Eleven months of a window lie before the reported one: there are no limits yet, from whatever came before."""
    declared = kpis["csat"].model_copy(update={"baseline": Baseline(first="2025-10", last="2026-12")})
    assert add_limits(series(list(noise(36))), {"csat": declared}, SEPTEMBER)["usual_mid"].isna().all()


def test_equal_figures_have_no_signal(kpis):
    """Fourteen months at 0.81 are no run on one side of 0.81."""
    assert add_limits(series([0.81] * 14), kpis, SEPTEMBER)["signal"].isna().all()


# --- change points -------------------------------------------------------------------------------


def test_single_change_of_the_nile_equals_the_published_one(examples, nile):
    """The level falls after 1898; chance does not explain it."""
    example = examples["changepoint_nile"]
    found, expected = single_change(nile), example["expected"]
    assert found.first_after == expected["last_index_before"]
    for name in ("mean_before", "mean_after", "rss0", "rss1"):
        assert getattr(found, name) == pytest.approx(expected[name], abs=example["abs_tolerance"])
    assert found.p_value == 0.0001
    assert change_points(nile)["first_after"].tolist() == [28]


@pytest.mark.parametrize("seed", range(8))
def test_single_change_is_the_least_squares_split(seed):
    """The same split as an exhaustive search of another library, and its residuals add up."""
    values = noise(30, seed) + np.where(np.arange(30) < 11, 0, 0.01)
    found = single_change(values, draws=9)
    assert [found.first_after, 30] == ruptures.Dynp(model="l2", min_size=4, jump=1).fit(values).predict(n_bkps=1)
    parts = (values[: found.first_after], values[found.first_after :])
    assert found.rss1 == pytest.approx(sum(((part - part.mean()) ** 2).sum() for part in parts))
    assert found.rss0 == pytest.approx(((values - values.mean()) ** 2).sum())


def test_equal_figures_have_no_change():
    """No order of equal figures is better than another."""
    assert single_change([0.81] * 13).p_value == 1
    assert change_points([0.81] * 13).empty


def test_change_points_find_both_ends_of_an_episode():
    """Down and up again, with the means of the levels."""
    values = noise(36) - np.where((np.arange(36) >= 12) & (np.arange(36) < 20), 0.08, 0)
    found = change_points(values)
    assert found["first_after"].tolist() == [12, 20]
    assert found["mean_after"].tolist() == pytest.approx([values[12:20].mean(), values[20:].mean()])
    assert found["mean_before"].tolist() == pytest.approx([values[:12].mean(), values[12:20].mean()])


def test_steps_without_noise_are_found():
    """Moving ranges screened of the one jump are zero; the penalty still keeps rounding whole."""
    assert change_points([0.1 + 0.2] * 6 + [0.9] * 6)["first_after"].tolist() == [6]


def false_changes(n: int, phi: float, series: int) -> float:
    """Return how often the test at 5 % fires without a change; other random orders for each series."""
    random = np.random.default_rng(1000 + n)
    found = [single_change(autocorrelated(n, phi, random), draws=199, seed=seed) for seed in range(series)]
    return np.mean([each.p_value <= 0.05 for each in found])


def test_noise_rarely_has_a_change_point():
    """The test at 5 % fires on some 5 % of noise."""
    assert 0.02 < false_changes(24, 0.0, 300) < 0.085


@pytest.mark.soak
@pytest.mark.parametrize(
    ("n", "phi", "low", "high"),
    [(12, 0.0, 0.035, 0.065), (48, 0.0, 0.035, 0.065), (24, 0.3, 0.12, 0.21), (24, 0.5, 0.28, 0.4)],
)
def test_rate_of_false_changes_is_the_stated_one(n, phi, low, high):
    """5 % of noise; one in six and one in three where neighbours correlate by 0.3 and 0.5."""
    assert low < false_changes(n, phi, 2500) < high


@pytest.mark.soak
@pytest.mark.parametrize(("n", "highest"), [(12, 0.085), (24, 0.07), (36, 0.045)])
def test_penalty_leaves_noise_whole(n, highest):
    """A change in 6, 5 and 3 % of series of noise."""
    random = np.random.default_rng(n)
    assert np.mean([len(change_points(random.normal(size=n))) > 0 for _ in range(600)]) < highest


# --- trend ---------------------------------------------------------------------------------------


def test_mann_kendall_of_the_nile_equals_the_published_one(examples, nile):
    """Score, deviate, both p-values and the slope."""
    example = examples["mann_kendall_nile"]
    found, expected = mann_kendall(nile), example["expected"]
    names = {"s": "s", "z": "z", "p": "p_value", "hamed_rao_p": "p_corrected", "sen_slope": "slope"}
    for theirs, ours in names.items():
        assert getattr(found, ours) == pytest.approx(expected[theirs], abs=example["abs_tolerance"])


def test_mann_kendall_of_hand_countable_figures():
    """Of 28 pairs, two fall: 26 - 2; the median slope of all pairs is one."""
    found = mann_kendall([1, 3, 2, 4, 5, 7, 6, 8])
    assert (found.s, found.slope) == (24, 1)
    assert mann_kendall([8, 6, 7, 5, 4, 2, 3, 1]).z == -found.z


def test_flat_and_alternating_figures_have_no_trend():
    """No warning, no p-value below one for equal figures, and none that is not a number."""
    assert mann_kendall([0.81] * 12) == (0, 0, 1, 1, 0)
    assert mann_kendall([1.0, 2.0] * 8).p_corrected > 0.05


@pytest.mark.soak
@pytest.mark.parametrize("n", [12, 24, 60])
def test_larger_of_both_p_values_holds_its_level(n):
    """Independent noise shows a trend in 3 to 6 % of series."""
    random = np.random.default_rng(n)
    found = [mann_kendall(random.normal(size=n)) for _ in range(1500)]
    assert 0.025 < np.mean([max(each.p_value, each.p_corrected) < 0.05 for each in found]) < 0.065


# --- seasons -------------------------------------------------------------------------------------


def test_stl_equals_r(examples, shared):
    """All three components of every month of the Nottingham temperatures."""
    example = examples["stl_nottem_periodic"]
    found = seasonality(pd.read_csv(shared / "methods" / "data" / "nottem.csv")["y"])
    for name in ("seasonal", "trend"):
        assert getattr(found, name)[:12] == pytest.approx(example["expected"][f"{name}12"], abs=5e-6)
    theirs = pd.read_csv(shared / "methods" / "data" / "nottem_stl_R_per.csv")
    for name in ("seasonal", "trend", "remainder"):
        assert getattr(found, name) == pytest.approx(theirs[name].to_numpy(), abs=5e-6)
    assert found.strength > 0.9


def test_components_add_up_and_a_pure_pattern_is_of_full_strength():
    """A pattern without noise leaves no remainder."""
    values = np.tile([0.7, 0.8, 0.9, 0.75], 5) + np.arange(20) * 0.01
    found = seasonality(values, 4)
    assert found.seasonal + found.trend + found.remainder == pytest.approx(values)
    assert found.strength == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "period", "note"),
    [
        ([], 12, "fewer than two years"),
        ([0.8] * 23, 12, "fewer than two years"),
        (list(range(30)), 1, "one figure per year has no seasons"),
        ([0.81] * 24, 12, "all figures are equal: no seasons"),
    ],
)
def test_no_seasons_for_a_stated_reason(values, period, note):
    """Strength is missing, not zero."""
    found = seasonality(values, period)
    assert (found.note, np.isnan(found.strength), len(found.seasonal)) == (note, True, len(values))


def test_noise_has_the_stated_seasonal_strength():
    """Two years of noise look half seasonal, three a third."""
    for n, stated in ((24, 0.53), (36, 0.34)):
        strengths = [seasonality(noise(n, seed)).strength for seed in range(150)]
        assert np.mean(strengths) == pytest.approx(stated, abs=0.035)


# --- forecast ------------------------------------------------------------------------------------


def drawn(kind: str, n: int, random: np.random.Generator) -> np.ndarray:
    errors, time = random.normal(size=n), np.arange(n)
    return {
        "noise": errors,
        "walk": errors.cumsum(),
        "line": 0.3 * time + errors,
        "seasons": errors + 2 * np.sin(time * np.pi / 6),
    }[kind]


def coverage(kind: str, n: int, draws: int) -> float:
    random = np.random.default_rng(n)
    held = []
    for _ in range(draws):
        values = drawn(kind, n + 1, random)
        forecast = forecast_next(values[:-1])
        held.append(forecast.low <= values[-1] <= forecast.high)
    return np.mean(held)


@pytest.mark.parametrize("kind", ["noise", "walk", "line"])
def test_intervals_hold_the_next_figure(kind):
    """A small slice of the campaign below."""
    assert coverage(kind, 18, 30) > 0.85


@pytest.mark.soak
@pytest.mark.parametrize("n", [12, 24])
@pytest.mark.parametrize("kind", ["noise", "walk", "line"])
def test_95_percent_intervals_hold_95_percent_of_next_figures(kind, n):
    """Where the model holds, from 93 to 97 %."""
    assert 0.93 < coverage(kind, n, 800) < 0.97


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["noise", "seasons"])
def test_seasons_cost_no_coverage(kind):
    """Choosing whether to fit seasons leaves the intervals honest."""
    assert 0.92 < coverage(kind, 36, 500) < 0.98


def test_forecast_of_a_line_goes_on():
    """A line with little noise is extended, by the season too."""
    values = np.arange(36) * 1.0 + np.tile([0, 3, 0, -3], 9)
    found = forecast_next(values + noise(36, 3, 0, 0.1), 4)
    assert found.value == pytest.approx(36, abs=0.3)
    assert found.low < 36 < found.high < 37


def test_forecast_keeps_its_unit_and_its_bounds():
    """Figures a hundred times as large have a forecast a hundred times as large; shares stay shares."""
    values = noise(24, sd=0.1)
    found, scaled = forecast_next(values), forecast_next(100 * values)
    assert np.array(scaled[:3]) == pytest.approx(100 * np.array(found[:3]), rel=1e-4)
    assert forecast_next(values, bounds=(0, 0.9)).high == 0.9 < found.high


def test_wider_confidence_is_wider():
    """99 % intervals contain 80 % intervals."""
    narrow, wide = (forecast_next(noise(24), confidence=each) for each in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high


def test_no_forecast_for_a_stated_reason():
    """Eleven figures are too few, and equal ones show no spread."""
    assert forecast_next(noise(11)).note == "fewer than 12 figures: no forecast"
    flat = forecast_next([0.81] * 12)
    assert (flat.value, np.isnan(flat.low), flat.note) == (0.81, True, "all figures are equal: no interval")


@pytest.mark.parametrize("function", [single_change, change_points, mann_kendall, seasonality, forecast_next])
def test_missing_figures_are_refused(function):
    """A gap is the caller's to cut out."""
    with pytest.raises(UsageError, match="1 of them missing"):
        function([*noise(30), np.nan])


@pytest.mark.parametrize("function", [single_change, change_points, mann_kendall])
def test_too_few_figures_are_refused(function):
    """Seven are too few for two levels of four and for a normal score."""
    with pytest.raises(UsageError, match="at least 8"):
        function(noise(7))


# --- all series ----------------------------------------------------------------------------------


def test_series_with_a_step_is_described(kpis):
    """The first month of the new level, both means, and the next month."""
    values = [*noise(18), *noise(12, seed=2, middle=0.7)]
    found = describe_series(series(values), kpis, SEPTEMBER).iloc[0]
    assert (found["change_period"], found["next_period"], found["n_points"]) == ("2025-10", "2026-10", 30)
    assert found["mean_before"] == pytest.approx(np.mean(values[:18]))
    assert found["mean_after"] == pytest.approx(np.mean(values[18:]))
    assert found["forecast_low"] < found["forecast"] < found["forecast_high"] <= 1
    assert "the trend may be the step" in found["note"]


def test_series_with_a_slope_is_described(kpis):
    """It rises by a point a month, and the best step is named no better than the line."""
    found = describe_series(series(list(noise(24, sd=0.002, middle=0.5) + np.arange(24) / 100)), kpis, SEPTEMBER).iloc[
        0
    ]
    assert found["trend"] == "rising"
    assert found["slope"] == pytest.approx(0.01, abs=0.001)
    assert "a straight line fits better than the step" in found["note"]


def test_series_of_noise_has_nothing_to_describe(kpis):
    """No change point, no means of levels, no trend; p-values stay."""
    found = describe_series(series(list(noise(24, 5))), kpis, SEPTEMBER).iloc[0]
    assert found[["change_period", "mean_before", "mean_after", "note"]].isna().all()
    assert found["trend"] == "no detectable trend"
    assert found["change_p_value"] > 0.05


def test_only_the_unbroken_part_up_to_the_period_counts(kpis):
    """Later months, and what lies before the last gap, change nothing but the note."""
    values = list(noise(16))
    whole = describe_series(series(values), kpis, SEPTEMBER)
    rows = series([*([0.1] * 9), np.nan, *values, 0.2, 0.2], last="2026-11")
    broken = describe_series(rows.sample(frac=1, random_state=1), kpis, SEPTEMBER)
    assert broken["note"].tolist() == ["interrupted before 2025-06: earlier figures are left out; fewer than two years"]
    assert whole["note"].tolist() == ["fewer than two years"]
    pd.testing.assert_frame_equal(broken.drop(columns="note"), whole.drop(columns="note"))
    missing = describe_series(rows[rows["period"] != "2025-05"], kpis, SEPTEMBER)
    pd.testing.assert_frame_equal(missing, broken)


def test_series_that_say_nothing_are_listed_with_the_reason(kpis):
    """Too few months, no figure for the month, equal figures: a row each, with nothing read from it."""
    rows = pd.concat(
        [
            series([0.8] * 5, kpi="csat"),
            series([0.8] * 20, last="2026-08", kpi="response_rate"),
            series([10.0] * 24, kpi="nps"),
        ]
    )
    found = describe_series(rows, kpis, SEPTEMBER).set_index("kpi")
    assert list(found.index) == ["csat", "nps", "response_rate"]
    assert found["n_points"].tolist() == [5, 24, 0]
    assert found["change_period"].isna().all()
    assert found.loc["csat", "note"] == "fewer than 12 figures: nothing is read from them"
    assert found.loc["response_rate", "note"] == "no figure for the period"
    assert found.loc["nps", "trend"] == "no detectable trend"
    assert found.loc["nps", "forecast"] == 10


def test_description_has_fixed_columns_and_order(kpis):
    """Sorted by KPI and question, whatever the order of rows; without rows the same columns."""
    rows = pd.concat([series(list(noise(13, i)), question=each) for i, each in enumerate(["q2", "q1", None])])
    found = describe_series(rows, kpis, SEPTEMBER)
    assert list(found.columns) == list(DESCRIPTION)
    assert found["question"].tolist()[1:] == ["q1", "q2"]
    assert found["question"].isna().tolist() == [True, False, False]
    pd.testing.assert_frame_equal(found, describe_series(rows.sample(frac=1, random_state=3), kpis, SEPTEMBER))
    empty = describe_series(rows.iloc[:0], kpis, SEPTEMBER)
    assert empty.empty
    assert list(empty.columns) == list(DESCRIPTION)


def test_many_series_of_noise_are_one_family(kpis):
    """Of twenty series of noise, none has a change point or trend, though some p-values are below 5 %."""
    rows = pd.concat([series(list(noise(24, 100 + i)), question=f"q{i:02}") for i in range(20)])
    found = describe_series(rows, kpis, SEPTEMBER)
    assert (found[["change_p_value", "trend_p_value"]] < 0.05).any(axis=None)
    assert found["change_period"].isna().all()
    assert found["trend"].eq("no detectable trend").all()


def test_quarters_have_seasons_of_four(kpis):
    """Two years of quarters suffice, and the next period is a quarter."""
    rows = series(list(noise(13)), last="2026-Q3")
    found = describe_series(rows, kpis, Period.parse("2026-Q3")).iloc[0]
    assert found["next_period"] == "2026-Q4"
    assert 0 <= found["seasonal_strength"] <= 1
