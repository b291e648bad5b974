"""How long customers stay: Kaplan-Meier, log-rank and cohorts, with those who have not left yet."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from cxreport.errors import UsageError
from cxreport.measure.cohorts import (
    cohort_retention,
    log_rank,
    restricted_mean,
    survival_at,
    survival_by_group,
    survival_curve,
    survival_quantile,
)

CASES = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=40)


@pytest.fixture(scope="module")
def lung(shared) -> pd.DataFrame:
    rows = pd.read_csv(shared / "methods" / "data" / "lung.csv")
    return rows.assign(died=rows["status"] == 2)


def curve_of(cases) -> pd.DataFrame:
    return survival_curve([time for time, _ in cases], [ended for _, ended in cases])


def counted(rows: pd.DataFrame, keys: list[str], event: str) -> pd.DataFrame:
    """Return counts of events and censored cases per group and time."""
    both = rows.assign(events=rows[event].astype(int), censored=(~rows[event]).astype(int))
    return both.groupby([*keys, "time"], as_index=False)[["events", "censored"]].sum()


# --- against published and independent figures -------------------------------------------------------


def test_survival_of_lung_patients_equals_the_published_one(lung, examples):
    """Median, four points, the log-log interval and the restricted mean with its error, as R's survival gives them."""
    expected, tolerance = examples["km_lung"]["expected"], examples["km_lung"]["abs_tolerance"]
    curve = survival_curve(lung["time"], lung["died"])
    assert survival_quantile(curve, 0.5).value == expected["median"]
    assert survival_quantile(curve, 0.5)[2:4] == (284, 361)
    for day, share in expected["S"].items():
        assert survival_at(curve, int(day[1:])).value == pytest.approx(share, abs=1e-9)
    assert survival_at(curve, 365)[2:4] == pytest.approx(expected["loglog_ci_365"], abs=1e-9)
    mean = restricted_mean(curve, 365)
    assert mean.value == pytest.approx(expected["rmst365"], abs=tolerance)
    assert mean.se == pytest.approx(7.799, abs=5e-4)


def test_naive_churn_brackets_the_true_one(lung, examples):
    """Lost over all says too little, dropping who is still there too much; the curve is neither."""
    expected = examples["km_naive_trap"]["expected"]
    churned = 1 - survival_at(survival_curve(lung["time"], lung["died"]), 365).value
    lost = lung["died"] & (lung["time"] <= 365)
    is_known = lost | (lung["time"] > 365)
    assert churned == pytest.approx(expected["km_churn"], abs=1e-8)
    assert lost.mean() == pytest.approx(expected["naive_all"], abs=1e-8)
    assert lost[is_known].mean() == pytest.approx(expected["naive_drop_censored"], abs=1e-8)
    assert lost.mean() < churned < lost[is_known].mean()


def test_log_rank_of_lung_patients_equals_the_published_one(lung, examples):
    """Women live longer; the same from cases and from counts per day."""
    expected = examples["logrank_lung_sex"]["expected"]
    found = log_rank(lung["time"], lung["died"], lung["sex"])
    assert (found.statistic, found.p_value) == pytest.approx((expected["chisq"], expected["p"]), abs=1e-6)
    counts = lung.groupby(["time", "died", "sex"], as_index=False).size()
    again = log_rank(counts["time"], counts["died"], counts["sex"], counts["size"])
    assert again == pytest.approx(found, rel=1e-12)


@settings(max_examples=15)
@given(CASES)
def test_curve_equals_that_of_statsmodels(cases):
    """Shares, risk sets and Greenwood's errors at every event."""
    curve = curve_of(cases).query("events > 0")
    if curve.empty:
        return
    with np.errstate(all="ignore"):
        other = SurvfuncRight([time + 1 for time, _ in cases], [int(ended) for _, ended in cases])
    is_event = other.n_events > 0
    assert curve["survival"].tolist() == pytest.approx(other.surv_prob[is_event].tolist())
    assert curve["at_risk"].tolist() == other.n_risk[is_event].tolist()
    inside = curve["survival"].to_numpy() > 0
    assert curve["se"][inside].tolist() == pytest.approx(other.surv_prob_se[is_event][inside].tolist())


def test_curve_with_delayed_entry_equals_that_of_statsmodels():
    """Who enters late is not at risk before, and not at the very moment of entry."""
    random = np.random.default_rng(3)
    entry = random.integers(0, 6, 200)
    time = entry + random.integers(1, 12, 200)
    event = random.random(200) < 0.6
    curve = survival_curve(time, event, entry=entry)
    other = SurvfuncRight(time, event, entry=entry)
    at_events = curve[curve["events"] > 0]
    shares = dict(zip(other.surv_times.tolist(), other.surv_prob.tolist(), strict=True))
    assert at_events["survival"].tolist() == pytest.approx([shares[t] for t in at_events["time"]])


# --- by hand, and identities -------------------------------------------------------------------------


def test_curve_of_four_cases_equals_the_hand_example():
    """Of 4 at risk one ends, of 3 one ends while one leaves unended: 3/4, then 3/4 times 2/3."""
    curve = survival_curve([1, 2, 2, 3], [True, True, False, False])
    assert curve["survival"].tolist() == pytest.approx([1, 0.75, 0.5, 0.5])
    assert curve["se"].iloc[2] == pytest.approx(0.5 * np.sqrt(1 / (4 * 3) + 1 / (3 * 2)))


@settings(max_examples=15)
@given(st.lists(st.integers(0, 50), min_size=2, max_size=30))
def test_without_censoring_the_curve_is_the_plain_share(times):
    """Share, its binomial error, the median and the mean are those of the cases."""
    curve = survival_curve(times, [True] * len(times))
    for t in (0, 10, 25):
        share = np.mean(np.array(times) > t)
        found = survival_at(curve, t)
        assert found.value == pytest.approx(share)
        if 0 < share < 1:
            assert found.se == pytest.approx(np.sqrt(share * (1 - share) / len(times)))
    assert survival_quantile(curve, 0.5).value == pytest.approx(np.median(times))
    assert restricted_mean(curve, 100).value == pytest.approx(np.mean(times))
    if len(set(times)) > 1:
        # All but the last step of the variance: the mean's own error with n instead of n - 1.
        assert restricted_mean(curve, 100).se == pytest.approx(np.std(times) / np.sqrt(len(times)))


@settings(max_examples=15)
@given(CASES)
def test_curve_falls_and_its_interval_holds_it(cases):
    """From 1, never rising, whatever is censored."""
    curve = curve_of(cases)
    assert curve["survival"].iloc[0] <= 1
    assert (curve["survival"].diff().dropna() <= 1e-12).all()
    assert (curve["ci_low"] <= curve["survival"] + 1e-12).all()
    assert (curve["survival"] <= curve["ci_high"] + 1e-12).all()
    assert np.all((curve[["ci_low", "ci_high"]] >= 0) & (curve[["ci_low", "ci_high"]] <= 1))


def test_figures_do_not_depend_on_row_order_or_how_counts_are_split():
    """Cases, counts and shuffled counts give one curve."""
    random = np.random.default_rng(5)
    rows = pd.DataFrame({"time": random.integers(0, 30, 300), "died": random.random(300) < 0.5})
    plain = survival_curve(rows["time"], rows["died"])
    counts = rows.groupby(["died", "time"], as_index=False).size().sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(plain, survival_curve(counts["time"], counts["died"], counts["size"]))


def test_delayed_entry_at_the_start_changes_nothing():
    """Entering at time 0 is having been there."""
    plain = survival_curve([2, 3, 5], [True, False, True])
    late = survival_curve([2, 3, 5], [True, False, True], entry=[0, 0, 0])
    assert late["survival"].tolist() == plain["survival"].tolist()
    assert late["at_risk"].tolist()[1:] == plain["at_risk"].tolist()[1:]


def test_curve_stops_where_nobody_is_under_observation():
    """Who enters after all others have left says nothing about the share that lasts from the start."""
    curve = survival_curve([2, 3, 9], [True, False, True], entry=[0, 0, 5])
    assert survival_at(curve, 3).value == pytest.approx(0.5)
    assert np.isnan(survival_at(curve, 6).value)
    assert np.isnan(survival_at(curve, 9).value)
    assert np.isnan(restricted_mean(curve, 9).value)


# --- many groups -------------------------------------------------------------------------------------


def test_groups_equal_the_curves_of_each(lung):
    """One row per group and figure, equal to what each group gives alone."""
    counts = counted(lung, ["sex"], "died").rename(columns={"time": "days"})
    rows = survival_by_group(counts, ["sex"], "days", at=[365], quantiles=[0.5, 0.9], restricted=[365])
    assert rows[["sex", "statistic", "at"]].drop_duplicates().shape == (8, 3)
    for sex, cases in lung.groupby("sex"):
        curve = survival_curve(cases["time"], cases["died"])
        alone = [
            survival_at(curve, 365),
            *(survival_quantile(curve, q) for q in (0.5, 0.9)),
            restricted_mean(curve, 365),
        ]
        found = rows.loc[rows["sex"] == sex, ["value", "se", "ci_low", "ci_high"]].to_numpy()
        np.testing.assert_allclose(found, [each[:4] for each in alone], rtol=1e-12)
    assert rows["n"].unique().tolist() == [138, 90]
    assert rows.loc[rows["statistic"] == "survival", "at_risk"].tolist() == [35, 30]


def test_empty_groups_and_missing_keys_are_groups_of_their_own():
    """A group whose counts are 0 has no figure, and a null key is a group."""
    frame = pd.DataFrame({"plan": ["a", None, "c"], "duration": [1, 2, 3], "events": [5, 5, 0], "censored": [5, 0, 0]})
    rows = survival_by_group(frame, ["plan"], at=[1])
    assert rows["n"].tolist() == [10, 0, 5]
    assert rows["value"].fillna(-1).tolist() == [0.5, -1, 1]
    assert rows["note"].iloc[1] == "no case"
    assert survival_by_group(frame.iloc[:0], ["plan"], at=[1]).empty
    assert len(survival_by_group(frame, at=[1])) == 1


# --- degenerate data ---------------------------------------------------------------------------------


def test_no_case_and_one_case_have_no_interval():
    """Neither a curve of nothing nor one of a single case pretends to know."""
    assert survival_curve([], []).empty
    assert survival_at(survival_curve([], []), 1).note == "no case"
    single = survival_at(survival_curve([3], [True]), 3)
    assert (single.value, single.note) == (0, "one case: no interval")
    assert np.isnan(single.ci_high)


def test_while_none_has_ended_the_interval_is_the_exact_binomial_one():
    """Of 50 followed for 10 days none left: at least 92.9 % stay, not 100 %; later, fewer are followed."""
    curve = survival_curve([10] * 50 + [20] * 50, [False] * 100)
    assert survival_at(curve, 10).ci_low == pytest.approx(0.025 ** (1 / 100))
    assert survival_at(curve, 11)[:4] == pytest.approx((1, np.nan, 0.025 ** (1 / 50), 1), nan_ok=True)
    assert np.isnan(restricted_mean(curve, 10).se)


def test_where_all_have_ended_the_interval_still_has_an_upper_end():
    """50 of 50 gone at once leave room for 7.1 %; with steps before, for no more than the step before."""
    assert survival_at(survival_curve([1] * 50, [True] * 50), 1)[2:4] == pytest.approx((0, 1 - 0.025 ** (1 / 50)))
    curve = survival_curve(range(1, 51), [True] * 50)
    assert survival_at(curve, 60).ci_high == survival_at(curve, 49).ci_high < 0.15


def test_beyond_the_end_of_observation_there_is_no_figure():
    """A curve that does not fall far enough has no median, and nobody knows what nobody was followed to."""
    curve = survival_curve([1, 5, 5, 5], [True, False, False, False])
    assert survival_at(curve, 5).value == 0.75
    assert np.isnan(survival_at(curve, 5.1).value)
    assert np.isnan(survival_quantile(curve, 0.5).value)
    assert np.isnan(restricted_mean(curve, 6).value)
    assert "upper end" in survival_quantile(survival_curve([1, 2, 3, 4], [True, True, True, False]), 0.7).note


@pytest.mark.parametrize(
    ("times", "events", "more"),
    [
        ([-1, 2], [True, True], {}),
        ([np.nan, 2], [True, True], {}),
        ([np.inf, 2], [True, True], {}),
        ([1, 2], [True, None], {}),
        ([1, 2], ["yes", "no"], {}),
        ([1, 2], [True, True], {"counts": [np.inf, 2]}),
        ([1, 2], [True, True], {"counts": [1.5, 2]}),
        ([1, 2], [True, True], {"counts": [-1, 2]}),
        ([1, 2], [True, True], {"entry": [1, 0]}),
        ([1, 2], [True, True], {"confidence": 1.0}),
    ],
)
def test_impossible_cases_are_refused(times, events, more):
    """Durations, counts and entries that cannot be stop the estimate and are counted, not shown."""
    with pytest.raises(UsageError) as error:
        survival_curve(times, events, **more)
    assert error.value.found
    assert error.value.do


def test_wrong_calls_are_refused():
    """A missing column, nothing asked for, one group only, a share or time out of range."""
    frame = pd.DataFrame({"duration": [1], "events": [1], "censored": [0]})
    curve = survival_curve([1, 2], [True, True])
    for call in (
        lambda: survival_by_group(frame.drop(columns="events"), at=[1]),
        lambda: survival_by_group(frame),
        lambda: log_rank([1, 2], [True, True], ["a", "a"]),
        lambda: survival_quantile(curve, 1.0),
        lambda: survival_at(curve, -1),
    ):
        with pytest.raises(UsageError):
            call()


def test_groups_never_observed_together_cannot_be_compared():
    """The log-rank test then has no figure instead of a false one."""
    assert np.isnan(log_rank([1, 2, 9, 9], [False, False, True, True], ["a", "a", "b", "b"]).p_value)
    assert np.isnan(log_rank([1, 2], [False, False], ["a", "b"]).statistic)


# --- cohorts -----------------------------------------------------------------------------------------


def customers(starts, ends) -> pd.DataFrame:
    frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(len(starts))]})
    return frame.assign(started_at=pd.to_datetime(starts), ended_at=pd.to_datetime(pd.Series(ends, dtype=object)))


def test_retention_of_a_complete_cohort_is_the_share_still_there():
    """Of 20 that started on a day 5 left within 30 days; leaving on the very day is leaving."""
    starts = ["2026-01-10"] * 20
    table = customers(starts, ["2026-01-10"] + ["2026-01-20"] * 4 + ["2026-03-01"] * 3 + [None] * 12)
    rows = cohort_retention(table, date(2026, 6, 30), horizons=(30, 90))
    assert rows["cohort"].tolist() == ["2026-Q1"] * 2
    assert rows["survival"].tolist() == pytest.approx([15 / 20, 12 / 20])
    assert rows["at_risk"].tolist() == [15, 12]
    assert rows["n"].tolist() == [20, 20]


def test_ends_after_the_day_of_the_export_are_not_known_yet():
    """Who leaves later is active on that day, whoever starts later is no customer, and both change nothing."""
    starts, ends = ["2026-01-10"] * 20, ["2026-02-01"] * 5 + ["2026-05-01"] * 15
    early = cohort_retention(customers(starts, ends), date(2026, 4, 1), horizons=(30, 60))
    later = customers([*starts, "2026-04-02"], [*ends[:5], *[None] * 15, None])
    pd.testing.assert_frame_equal(early, cohort_retention(later, date(2026, 4, 1), horizons=(30, 60)))


def test_latest_cohort_is_censored_and_not_counted_as_staying():
    """Customers that cannot have lasted 60 days yet say nothing about day 60."""
    starts = ["2026-01-01"] * 30 + ["2026-03-15"] * 30
    ends = ["2026-01-31"] * 15 + [None] * 45
    rows = cohort_retention(customers(starts, ends), date(2026, 3, 31), horizons=(10, 60, 365)).set_index("days")
    assert rows.loc[60, "survival"] == pytest.approx(15 / 30)
    assert rows.loc[60, "at_risk"] == 15
    assert (np.isnan(rows.loc[365, "survival"]), rows.loc[365, "suppressed"]) == (True, "no")
    assert rows.loc[365, "note"] == "nobody was followed that long"


def test_small_cohorts_and_thin_ends_are_hidden():
    """Nine customers show nothing, and a curve stops where nine are left."""
    small = cohort_retention(customers(["2026-01-01"] * 9, [None] * 9), date(2026, 6, 1), horizons=(30,)).iloc[0]
    assert small["suppressed"] == "small base"
    assert small[["n", "at_risk", "survival", "ci_low", "ci_high"]].isna().all()
    table = customers(["2026-01-01"] * 20, ["2026-02-15"] * 11 + [None] * 9)
    rows = cohort_retention(table, date(2026, 6, 1), horizons=(30, 60)).set_index("days")
    assert rows.loc[30, "survival"] == 1
    assert rows.loc[60, "suppressed"] == "small base"
    assert np.isnan(rows.loc[60, "survival"])
    assert rows.loc[60, "n"] == 20


@pytest.mark.parametrize("kind", ["month", "quarter", "year"])
def test_cohorts_are_calendar_periods_in_order(kind):
    """Whatever the order of rows, with ISO names."""
    starts = ["2025-12-31"] * 12 + ["2026-01-01"] * 12
    rows = cohort_retention(
        customers(starts, [None] * 24).sample(frac=1, random_state=2), date(2026, 3, 1), cohort=kind, horizons=(30,)
    )
    names = {"month": ["2025-12", "2026-01"], "quarter": ["2025-Q4", "2026-Q1"], "year": ["2025", "2026"]}
    assert rows["cohort"].tolist() == names[kind]


def test_no_customers_give_no_cohorts():
    """An empty table has the columns and no rows."""
    rows = cohort_retention(customers([], []), date(2026, 3, 1))
    assert rows.empty
    assert "survival" in rows


def test_impossible_customers_are_refused():
    """An end before the start, no start, no id, or a customer given twice: all counted in one message."""
    table = customers(["2026-01-10", None, "2026-01-10", "2026-01-10"], ["2026-01-09", None, None, None])
    table["customer_id"] = ["a", "b", "a", None]
    with pytest.raises(UsageError) as error:
        cohort_retention(table, date(2026, 3, 1))
    for fault in ("end before they start", "without a start", "without an id", "given twice"):
        assert fault in error.value.found


# --- coverage ----------------------------------------------------------------------------------------


def covered(draws: int, n: int, seed: int) -> pd.DataFrame:
    """Draw censored exponential durations; say how often share, median and mean lie in their intervals."""
    random = np.random.default_rng(seed)
    times, ends = random.exponential(1, (draws, n)), random.uniform(0.3, 3, (draws, n))
    seen = np.minimum(times, ends).round(3)
    frame = pd.DataFrame({"draw": np.repeat(np.arange(draws), n), "duration": seen.ravel()})
    frame["events"] = (times <= ends).ravel().astype(int)
    frame["censored"] = 1 - frame["events"]
    rows = survival_by_group(frame, ["draw"], at=[0.1, 1.0], quantiles=[0.5], restricted=[1.0])
    truth = {0.1: np.exp(-0.1), 1.0: np.exp(-1), 0.5: np.log(2)}
    rows["truth"] = rows["at"].map(truth).mask(rows["statistic"] == "restricted_mean", 1 - np.exp(-1))
    low, high = rows["ci_low"].fillna(-np.inf), rows["ci_high"].fillna(np.inf)
    rows["held"] = (low <= rows["truth"]) & (rows["truth"] <= high)
    return rows.groupby(["statistic", "at"])["held"].mean()


def test_intervals_hold_the_truth():
    """Share early and late, median and restricted mean of 60 censored cases, in a seeded slice."""
    held = covered(draws=400, n=60, seed=1)
    assert held.between(0.92, 0.985).all(), held


@pytest.mark.soak
@pytest.mark.parametrize("n", [20, 60, 300])
def test_intervals_hold_the_truth_at_any_size(n):
    """At least 93 % of 95 % intervals, and 90 % of those of the restricted mean on 20 cases."""
    held = covered(draws=6000, n=n, seed=n)
    assert held["survival"].between(0.93, 0.99).all(), held
    assert held["quantile"].between(0.93, 0.985).all(), held
    assert held["restricted_mean"].between(0.90 if n == 20 else 0.93, 0.965).all(), held


def test_equal_groups_rarely_look_different():
    """The log-rank test keeps its level under censoring."""
    random = np.random.default_rng(11)
    p_values = []
    for _ in range(300):
        times, ends = random.exponential(1, 80), random.uniform(0.2, 2, 80)
        p_values.append(log_rank(np.minimum(times, ends), times <= ends, np.arange(80) % 2).p_value)
    assert (np.array(p_values) < 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
