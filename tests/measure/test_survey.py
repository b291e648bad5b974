"""Design-based figures: published examples, hand examples, identities and degenerate samples."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cxreport.errors import UsageError
from cxreport.measure import estimate, survey
from cxreport.measure.survey import Design, Estimate, kish

STRATIFIED = Design(weight="pw", stratum="stype", population="fpc")
CLUSTERED = Design(weight="pw", cluster="dnum", population="fpc")


@pytest.fixture(scope="module")
def schools(shared) -> pd.DataFrame:
    rows = pd.read_csv(shared / "methods" / "data" / "apistrat.csv")
    rows["signed"] = np.select([rows["api00"] >= 720, rows["api00"] < 620], [100.0, -100.0], 0.0)
    return rows.assign(met=rows["sch.wide"] == "Yes")


@pytest.fixture(scope="module")
def districts(shared) -> pd.DataFrame:
    return pd.read_csv(shared / "methods" / "data" / "apiclus1.csv")


def sampled(seed: int, n: int = 60) -> pd.DataFrame:
    """Draw scores with weights, three strata of four accounts each, and a segment."""
    random = np.random.default_rng(seed)
    rows = pd.DataFrame({"stratum": random.permutation(np.arange(n) % 3), "account": random.integers(0, 4, n)})
    rows["weight"] = random.uniform(0.5, 3, n)
    rows["score"] = random.integers(0, 11, n).astype(float)
    rows["segment"] = random.choice(["a", "b"], n)
    return rows.assign(solved=rows["score"] > 4)


FULL = Design(weight="weight", stratum="stratum", cluster="account")


# --- published examples --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "design"),
    [
        ("svymean_apistrat_api00", "schools", STRATIFIED),
        ("svymean_weights_only", "schools", Design(weight="pw")),
        ("svymean_apiclus1", "districts", CLUSTERED),
    ],
)
def test_means_equal_svymean(name, data, design, examples, request):
    """Stratified, weighted and clustered samples of schools, with design effects and intervals."""
    expected, tolerance = examples[name]["expected"], examples[name]["abs_tolerance"]
    found = survey.mean(request.getfixturevalue(data), "api00", design)
    numbers = {"mean": found.value, "se": found.se, "deff": found.deff}
    assert {key: numbers[key] for key in numbers if key in expected} == pytest.approx(
        {key: expected[key] for key in numbers if key in expected}, abs=tolerance
    )
    if "t_ci_df197" in expected:
        assert found.df == 197
        assert [found.ci_low, found.ci_high] == pytest.approx(expected["t_ci_df197"], abs=tolerance)


def test_good_strata_make_a_sample_worth_more_than_its_rows(schools):
    """Enrolment depends on the type of school: the handbook's design effect is .362."""
    found = survey.mean(schools, "enroll", STRATIFIED)
    assert found.deff == pytest.approx(0.362, abs=5e-4)
    assert found.n_eff > found.n == 200


def test_domain_keeps_the_design_of_all_rows(examples, schools):
    """Subsetting first gives another, wrong error."""
    expected = examples["svy_domain_awards_yes"]["expected"]
    is_awarded = schools["awards"] == "Yes"
    found = survey.mean(schools, "api00", STRATIFIED, domain=is_awarded)
    assert [found.value, found.se] == pytest.approx([expected["mean"], expected["se"]], abs=1e-6)
    assert found.n == is_awarded.sum()
    subset = survey.mean(schools[is_awarded], "api00", STRATIFIED)
    assert subset.se == pytest.approx(expected["wrong_subset_se"], abs=1e-6)


def test_net_equals_svymean_of_signed_scores(examples, schools):
    """With its interval, and without the correction for the finite population."""
    expected, tolerance = (examples["weighted_nps_design"][key] for key in ("expected", "abs_tolerance"))
    found = survey.net(schools, "signed", [100], [-100], STRATIFIED)
    assert [found.value, found.se] == pytest.approx([expected["nps"], expected["se"]], abs=tolerance)
    assert [found.ci_low, found.ci_high] == pytest.approx(expected["ci_df197"], abs=tolerance)
    infinite = survey.net(schools, "signed", [100], [-100], Design(weight="pw", stratum="stype"))
    assert infinite.se == pytest.approx(expected["se_nofpc"], abs=tolerance)
    plain = survey.net(schools, "signed", [100], [-100], Design())
    assert plain.value == pytest.approx(expected["unweighted"])


def test_difference_of_nets_keeps_the_covariance(schools):
    """The handbook's 37.65 with error 14.90, of schools that met their target and the others."""
    found = survey.difference(schools, "signed", STRATIFIED, schools["met"], ~schools["met"])
    assert [found.value, found.se] == pytest.approx([37.65, 14.90], abs=0.006)
    assert found.p_value == pytest.approx(2 * stats.t.sf(found.value / found.se, 197))


@pytest.mark.parametrize(
    ("interval", "key"), [("logit", "logit"), ("beta", "korn_graubard"), ("wilson", "wilson_neff_t")]
)
def test_share_intervals_equal_svyciprop(interval, key, examples, schools):
    """Three intervals of one share, and its effective base."""
    expected, tolerance = (examples["weighted_proportion_ci"][name] for name in ("expected", "abs_tolerance"))
    found = survey.proportion(schools, "met", STRATIFIED, interval=interval)
    assert [found.value, found.se] == pytest.approx([expected["p"], expected["se"]], abs=tolerance)
    assert found.n_eff == pytest.approx(expected["n_eff"], abs=tolerance)
    assert [found.ci_low, found.ci_high] == pytest.approx(expected[key], abs=tolerance)


def test_kish_base_equals_the_published_one(examples, schools):
    """Of the school sample and of a hand example."""
    for name, weights in (("kish_apistrat", schools["pw"]), ("kish_toy", examples["kish_toy"]["inputs"]["weights"])):
        expected = examples[name]["expected"]
        assert kish(np.asarray(weights)) == pytest.approx(
            (expected["n_eff"], expected["deff_w"]), abs=examples[name]["abs_tolerance"]
        )


def test_independence_test_equals_svychisq(examples, districts):
    """The unadjusted statistic would be highly significant."""
    expected, tolerance = (examples["rao_scott_apiclus1"][name] for name in ("expected", "abs_tolerance"))
    found = survey.rao_scott(districts, "sch.wide", "stype", CLUSTERED)
    assert [found.f, found.ndf, found.ddf, found.p_value] == pytest.approx(
        [expected[name] for name in ("F", "ndf", "ddf", "p")], abs=tolerance
    )


# --- hand examples and identities ----------------------------------------------------------------


def test_simple_sample_gives_the_t_interval():
    """Without a design, the error is s / sqrt(n) and the sample is worth its rows."""
    rows = pd.DataFrame({"score": [3.0, 4.0, 4.0, 5.0, 1.0]})
    found = survey.mean(rows, "score", Design())
    ends = stats.t.interval(0.95, 4, rows["score"].mean(), stats.sem(rows["score"]))
    assert [found.ci_low, found.ci_high] == pytest.approx(ends)
    assert [found.n_eff, found.deff] == pytest.approx([5, 1])


def test_stratified_error_by_hand():
    """Two strata of weights 10 and 20: V = (20^2 * 2 / 2 + 60^2 * 8 / 3) / 80^2."""
    rows = pd.DataFrame({"stratum": list("aabbb"), "weight": [10, 10, 20, 20, 20], "score": [1, 3, 2, 4, 6]})
    found = survey.mean(rows, "score", Design(weight="weight", stratum="stratum"))
    assert found.value == pytest.approx((10 * 4 + 20 * 12) / 80)
    assert found.se**2 == pytest.approx((400 * 2 / 2 + 3600 * 4 / 3) / 6400)
    assert found.df == 3


def test_finite_population_shrinks_the_error_of_each_stratum():
    """Half of each stratum was drawn: the variance halves; all of it: none is left, and that is said."""
    rows = sampled(1).assign(drawn=4, twice=8)
    whole = survey.mean(rows, "score", FULL)
    half = survey.mean(rows, "score", dataclasses.replace(FULL, population="twice"))
    census = survey.mean(rows, "score", dataclasses.replace(FULL, population="drawn"))
    assert half.se**2 == pytest.approx(whole.se**2 / 2)
    assert census.se == 0
    assert census.ci_low == census.value == census.ci_high
    assert "whole population" in census.note


def test_stratum_of_one_counts_nothing_where_it_was_measured_completely():
    """It has no sampling error, so it is no reason to refuse."""
    rows = pd.DataFrame({"stratum": list("abbb"), "accounts": [1, 90, 90, 90], "score": [9.0, 1.0, 2.0, 3.0]})
    found = survey.total(rows, "score", Design(stratum="stratum", population="accounts"))
    assert found.se == pytest.approx(np.sqrt(3 * (1 - 3 / 90)))


def test_cluster_labels_count_within_their_stratum():
    """Account 1 in the north is another one than account 1 in the south."""
    rows = sampled(2)
    distinct = rows.assign(account=rows["stratum"].astype(str) + "-" + rows["account"].astype(str))
    assert survey.mean(rows, "score", FULL) == survey.mean(distinct, "score", FULL)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_identities_of_linearised_figures(seed):
    """Scale of weights, order of rows, ratio to one, complement and sum of domains change what they should."""
    rows = sampled(seed)
    is_a = rows["segment"] == "a"
    found = survey.mean(rows, "score", FULL, domain=is_a)
    scaled = survey.mean(rows.assign(weight=7 * rows["weight"]), "score", FULL, domain=is_a)
    shuffled = rows.sample(frac=1, random_state=seed)
    reordered = survey.mean(shuffled, "score", FULL, domain=shuffled["segment"] == "a")
    as_ratio = survey.ratio(rows.assign(one=1.0), "score", "one", FULL, domain=is_a)
    missing = survey.mean(rows.assign(score=rows["score"].where(is_a)), "score", FULL)
    for other in (scaled, reordered, as_ratio, missing):
        assert _numbers(other) == pytest.approx(_numbers(found), rel=1e-9)
    none = survey.difference(rows, "score", FULL, is_a, is_a)
    assert none.value == 0
    assert np.isnan(none.se)
    forth, back = (survey.difference(rows, "score", FULL, *pair) for pair in ((is_a, ~is_a), (~is_a, is_a)))
    assert [forth.value, forth.se] == pytest.approx([-back.value, back.se])
    parts = [survey.total(rows, "score", FULL, domain=mask).value for mask in (is_a, ~is_a)]
    assert sum(parts) == pytest.approx(survey.total(rows, "score", FULL).value)


@given(st.integers(0, 10_000), st.sampled_from(["logit", "beta", "wilson"]))
@settings(max_examples=15)
def test_share_interval_lies_within_0_and_1_and_mirrors(seed, interval):
    """The share of what did not happen has the mirrored interval."""
    rows = sampled(seed, n=24)
    rows = rows.assign(failed=~rows["solved"])
    design = Design(weight="weight", cluster="account")
    found, mirrored = (survey.proportion(rows, name, design, interval=interval) for name in ("solved", "failed"))
    assert 0 <= found.ci_low < found.value < found.ci_high <= 1
    assert [mirrored.ci_low, mirrored.ci_high] == pytest.approx([1 - found.ci_high, 1 - found.ci_low])


def test_rows_of_weight_zero_are_not_in_the_sample():
    """They change nothing, not even the number of PSUs."""
    rows = sampled(3)
    extra = sampled(4).assign(weight=0.0, account=lambda extra: extra["account"] + 100, stratum=7)
    both = pd.concat([rows, extra], ignore_index=True)
    assert survey.mean(both, "score", FULL) == survey.mean(rows, "score", FULL)
    assert kish(both["weight"]) == kish(rows["weight"])


def test_linearised_takes_the_influence_of_any_figure():
    """That of the mean gives the mean's estimate."""
    rows = sampled(5)
    plain = survey.mean(rows, "score", FULL)
    influence = ((rows["score"] - plain.value) / rows["weight"].sum()).to_numpy()
    found = survey.linearised(rows, plain.value, influence, FULL, size=10, spread=influence)
    assert _numbers(found) == pytest.approx(_numbers(plain))


def test_independence_is_pearsons_for_a_simple_sample():
    """A table that is exactly independent has p 1; a large one has nearly the statistic and p of chi-square."""
    rows = pd.DataFrame({"a": list("xxyy") * 30, "b": list("pq") * 60})
    assert survey.rao_scott(rows, "a", "b", Design()).p_value == pytest.approx(1)
    random = np.random.default_rng(1)
    rows = pd.DataFrame({"a": random.choice(list("xyz"), 4000), "b": random.choice(list("pq"), 4000)})
    found = survey.rao_scott(rows, "a", "b", Design())
    chi2 = stats.chi2_contingency(pd.crosstab(rows["a"], rows["b"]), correction=False)
    assert found.f * 2 == pytest.approx(chi2.statistic, rel=0.02)
    assert found.p_value == pytest.approx(chi2.pvalue, abs=0.01)


def test_interval_covers_the_truth_as_often_as_it_says():
    """Of a mean over accounts that differ, 95 % within simulation error; ignoring the accounts covers far less."""
    random = np.random.default_rng(11)
    covered = {"account": 0, None: 0}
    for _ in range(300):
        account = np.repeat(np.arange(25), random.integers(1, 8, 25))
        rows = pd.DataFrame(
            {"account": account, "score": random.normal(size=25)[account] + random.normal(size=len(account))}
        )
        for cluster in covered:
            found = survey.mean(rows, "score", Design(cluster=cluster))
            covered[cluster] += found.ci_low <= 0 <= found.ci_high
    assert 0.91 <= covered["account"] / 300 <= 0.98
    assert covered[None] / 300 < 0.85


# --- degenerate samples --------------------------------------------------------------------------


def test_no_rows_and_one_row_give_notes():
    """An empty frame, an empty domain, one answer, one account."""
    rows = sampled(6)
    nothing = [survey.mean(rows.iloc[:0], "score", FULL), survey.mean(rows, "score", FULL, domain=rows["score"] > 99)]
    for found in nothing:
        assert np.isnan([found.value, found.se, found.ci_low, found.n_eff]).all()
        assert (found.n, found.method) == (0, "no interval")
        assert "no rows" in found.note
    for found in (
        survey.mean(rows.iloc[:1], "score", Design()),
        survey.mean(rows, "score", Design(cluster="segment"), domain=rows["segment"] == "a"),
        survey.proportion(rows.iloc[:1], "solved", Design()),
        survey.net(rows.iloc[:1], "score", [9, 10], range(7), Design()),
    ):
        assert np.isfinite(found.value)
        assert np.isnan([found.se, found.ci_low, found.ci_high, found.p_value]).all()
        assert "no interval" in found.note


def test_difference_from_an_empty_domain_has_no_figure():
    """And says which reason."""
    rows = sampled(6)
    found = survey.difference(rows, "score", FULL, rows["segment"] == "a", rows["segment"] == "c")
    assert np.isnan([found.value, found.se, found.ci_low]).all()
    assert "without rows" in found.note


def test_equal_answers_have_no_error():
    """Whatever rounding leaves of it."""
    rows = sampled(7).assign(score=0.1)
    found = survey.mean(rows, "score", FULL)
    assert found.value == pytest.approx(0.1)
    assert np.isnan([found.se, found.ci_low, found.deff]).all()
    assert "no spread" in found.note


def test_net_and_share_without_spread_have_an_interval_that_says_so():
    """All promoters, nothing solved: the score interval on the base that the accounts leave."""
    rows = sampled(8).assign(score=10.0, solved=False)
    base = kish(rows.groupby(["stratum", "account"])["weight"].sum()).n_eff
    found = survey.net(rows, "score", [9, 10], range(7), FULL)
    assert found.value == pytest.approx(100)
    assert found.ci_low < 80 < found.ci_high == 100
    assert "no spread" in found.note
    assert "score" in found.method
    for interval in ("logit", "beta", "wilson"):
        share = survey.proportion(rows, "solved", FULL, interval=interval)
        assert share.value == share.ci_low == 0
        assert 0.2 < share.ci_high < 0.5
        assert share.n_eff == pytest.approx(base)
        assert "no spread" in share.note


def test_ratio_to_a_total_of_zero_is_refused_by_a_note():
    """No visits at all."""
    rows = sampled(9).assign(visits=0.0)
    found = survey.ratio(rows, "score", "visits", FULL)
    assert np.isnan([found.value, found.se]).all()
    assert "zero" in found.note


@pytest.mark.parametrize(
    ("change", "design", "found"),
    [
        ({"weight": -1.0}, FULL, "60 rows with a negative weight"),
        ({"weight": np.nan}, FULL, "60 rows without a finite weight"),
        ({"weight": 0.0}, FULL, "all zero"),
        ({"stratum": range(60)}, FULL, "60 strata with a single primary sampling unit"),
        ({"account": None}, FULL, "60 rows without a value in design column `account`"),
        ({}, dataclasses.replace(FULL, weight="wieght"), "no column `wieght`, did you mean `weight`?"),
        ({"accounts": 3}, dataclasses.replace(FULL, population="accounts"), "3 strata whose `accounts`"),
        ({"accounts": range(60)}, dataclasses.replace(FULL, population="accounts"), "differs between rows"),
        ({"accounts": np.nan}, dataclasses.replace(FULL, population="accounts"), "missing"),
    ],
)
def test_wrong_designs_are_refused(change, design, found):
    """The message counts what is wrong."""
    with pytest.raises(UsageError) as caught:
        survey.mean(sampled(10).assign(**change), "score", design)
    assert found in caught.value.found


def test_wrong_domains_events_classes_and_tables_are_refused():
    """A mask of numbers, of another length or order; an event that is a score; overlapping classes; one level."""
    rows = sampled(11)
    for domain in (rows["score"], rows["solved"].to_numpy()[:5], rows["solved"].iloc[::-1]):
        with pytest.raises(UsageError, match="domain of"):
            survey.mean(rows, "score", FULL, domain=domain)
    with pytest.raises(UsageError, match="other values than 0 and 1"):
        survey.proportion(rows, "score", FULL)
    with pytest.raises(UsageError, match="both in `top` and in `bottom`"):
        survey.net(rows, "score", [9, 10], [0, 9], FULL)
    with pytest.raises(UsageError, match="2 by 1 levels"):
        survey.rao_scott(rows.assign(one="x"), "segment", "one", FULL)
    with pytest.raises(UsageError, match="merge levels"):
        survey.rao_scott(rows.assign(same=rows["stratum"]), "stratum", "same", FULL)


def _numbers(estimate: Estimate) -> list[float]:
    return [number for number in dataclasses.astuple(estimate) if isinstance(number, float)]


def test_mean_between_limits_has_the_interval_of_the_kpi(kpis):
    """Weighted answers of accounts, by either way to it; equal answers leave a width and no standard error."""
    random = np.random.default_rng(3)
    rows = pd.DataFrame({"score": random.choice([1.0, 4, 5, 5], 60), "customer_id": np.arange(60) // 2})
    rows["weight"] = random.choice([0.5, 1, 2], 60)
    kpi = kpis["csat_mean"].model_copy(update={"where": {}, "weight": "weight"})
    for frame in (rows, rows.assign(score=5.0)):
        expected = estimate(frame, kpi).iloc[0]
        found = survey.mean(frame, "score", Design(weight="weight", cluster="customer_id"), limits=(1, 5))
        assert (found.ci_low, found.ci_high) == pytest.approx((expected["ci_low"], expected["ci_high"]))
        assert found.method == expected["method"]
    assert np.isnan(found.se)
    assert found.ci_low < 4.9
