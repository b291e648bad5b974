"""The link of score and retention holds the planted effect, sheds confounding, and never claims a cause."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from cxreport.errors import UsageError
from cxreport.measure.roi import ASSOCIATION, CLASSES, NO_EFFECT, Uncertain, _adjusted, classes_of, roi, score_link

EFFECTS = np.array([1.2, 0.5, 0.0])  # log odds of staying: promoter, passive, detractor


def company(random, n=600, effects=EFFECTS, confounding=0.8):
    """Customers whose class goes with their tenure, who stay by class and tenure."""
    tenure = random.lognormal(2.5, 0.8, n)
    longer = (np.log1p(tenure) - 2.5) / 0.8
    utilities = longer[:, None] * np.array([1.0, 0.3, -1.0]) * confounding + random.gumbel(size=(n, 3))
    which = utilities.argmax(axis=1)
    region = random.choice(["north", "south"], n)
    log_odds = 0.6 + confounding * longer + effects[which] + np.where(region == "north", 0.4, 0.0)
    # What staying would be in each class, for the truth.
    possible = special.expit((log_odds - effects[which])[:, None] + effects)
    people = pd.DataFrame({"customer_id": np.arange(n), "score_class": np.array(CLASSES)[which], "tenure": tenure})
    people["region"], people["retained"] = region, random.random(n) < special.expit(log_odds)
    people["revenue"] = np.where(people["retained"], random.lognormal(4, 0.5, n), 10.0)
    return people, possible


@pytest.fixture(scope="module")
def truth():
    """The average marginal difference of promoters and detractors among very many customers."""
    _, possible = company(np.random.default_rng(0), 300_000)
    return (possible[:, 0] - possible[:, 2]).mean()


def shares(draws, truth, **options):
    """How often the adjusted interval holds the truth."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(draws):
        people, _ = company(random, **options)
        row = _adjusted(people, ["region"], 0.95)[0].iloc[1]
        held += row["adjusted_ci_low"] <= truth <= row["adjusted_ci_high"]
    return held


# --- the link ------------------------------------------------------------------------------------


def test_retention_is_counted_by_class():
    """By hand, with Wilson intervals, those without an answer last, and unfinished customers left out."""
    people = pd.DataFrame({"score": [10, 9, 8, 6, 0, None, None, 9], "tenure": 5.0, "revenue": 1.0})
    people["customer_id"] = range(8)
    people["retained"] = [True, True, True, False, True, False, False, None]
    link = score_link(people)
    table = link.retention.set_index("score_class")
    assert list(table.index) == [*CLASSES, "no answer"]
    assert table["n"].tolist() == [2, 1, 2, 2]
    assert table["n_retained"].tolist() == [2, 1, 1, 0]
    assert table["value"].tolist() == [1, 1, 0.5, 0]
    assert table.loc["promoter", "ci_low"] == pytest.approx(0.3424, abs=1e-4)
    assert link.response_bias["value"].item() == pytest.approx(0.8)
    assert "1 customers left out: whether they stay is not known yet" in link.notes
    assert link.retention_differences["adjusted"].isna().all()
    assert link.wording == ASSOCIATION


def test_classes_follow_the_scale():
    """0-6, 7-8, 9-10; other numbers are refused, not put into a class."""
    assert classes_of(pd.Series(range(11))).value_counts().to_dict() == {"detractor": 7, "passive": 2, "promoter": 2}
    for wrong in (11, -1, 8.5):
        with pytest.raises(UsageError, match="0 to 10"):
            classes_of(pd.Series([9, wrong]))


def test_adjustment_agrees_with_standardisation_over_cells():
    """With one segment only and all interactions absent, predictions averaged over everybody are the difference."""
    import statsmodels.formula.api as smf

    people, _ = company(np.random.default_rng(3), 3000)
    people["tenure"] = 5.0
    value = score_link(people, ["region"]).retention_difference().value
    fitted = smf.logit("kept ~ score_class + region", people.assign(kept=people["retained"].astype(float))).fit(disp=0)
    promoters, detractors = (
        fitted.predict(people.assign(score_class=name)).mean() for name in ("promoter", "detractor")
    )
    assert value == pytest.approx(promoters - detractors, abs=1e-6)


def test_adjusted_interval_is_that_of_the_bootstrap():
    """The delta method gives the error that resampling customers gives."""
    random = np.random.default_rng(14)
    people, _ = company(random, 800)
    estimate = score_link(people).retention_difference()
    resampled = [people.iloc[random.integers(800, size=800)] for _ in range(60)]
    values = [_adjusted(rows, [], 0.95)[0]["adjusted"].iloc[1] for rows in resampled]
    assert (estimate.ci_high - estimate.ci_low) / 2 / 1.96 == pytest.approx(np.std(values, ddof=1), rel=0.35)


def test_interval_holds_the_planted_difference(truth):
    """In about 95 % of samples, under confounding by tenure."""
    assert stats.binom.cdf(shares(50, truth), 50, 0.95) > 0.001


@pytest.mark.soak
def test_interval_holds_the_planted_difference_in_long_runs(truth):
    """Between 93 and 97 %, for large and for small companies."""
    for n in (800, 2000):
        assert 0.93 < shares(1000, truth, n=n) / 1000 < 0.97


def test_confounding_by_tenure_is_removed():
    """Classes that differ only through tenure differ raw and not adjusted."""
    people, _ = company(np.random.default_rng(17), 20_000, effects=np.zeros(3))
    pair = score_link(people, ["region"]).retention_differences.set_index(["higher", "lower"])
    row = pair.loc[("promoter", "detractor")]
    assert row["raw_ci_low"] > 0.1
    assert row["adjusted_ci_low"] < 0 < row["adjusted_ci_high"]
    assert abs(row["adjusted"]) < 0.03


def test_no_effect_is_rarely_significant():
    """No more often than the rate of the test."""
    assert stats.binom.cdf(shares(50, 0.0, effects=np.zeros(3)), 50, 0.95) > 0.001


@pytest.mark.soak
def test_no_effect_is_rarely_significant_in_long_runs():
    """Between 3 and 7 %."""
    assert 0.93 < shares(1000, 0.0, effects=np.zeros(3)) / 1000 < 0.97


def test_link_does_not_depend_on_row_order():
    """Nor on the index."""
    people, _ = company(np.random.default_rng(2), 500)
    one, other = score_link(people, ["region"]), score_link(people.sample(frac=1, random_state=1), ["region"])
    for name in ("retention", "retention_differences", "revenue", "revenue_differences", "response_bias"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def test_revenue_difference_is_welchs():
    """Against the formula."""
    people, _ = company(np.random.default_rng(8), 800)
    row = score_link(people).revenue_differences.set_index(["higher", "lower"]).loc[("promoter", "detractor")]
    a, b = (people.loc[people["score_class"] == name, "revenue"] for name in ("promoter", "detractor"))
    se = np.sqrt(a.var() / len(a) + b.var() / len(b))
    df = se**4 / ((a.var() / len(a)) ** 2 / (len(a) - 1) + (b.var() / len(b)) ** 2 / (len(b) - 1))
    half = stats.t.ppf(0.975, df) * se
    assert row["value"] == pytest.approx(a.mean() - b.mean())
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((row["value"] - half, row["value"] + half))


def test_small_levels_and_duplicate_controls_do_no_harm():
    """A level where everybody stays, a segment said twice, equal tenure and missing values leave the rest as it is."""
    people, _ = company(np.random.default_rng(23), 1000)
    plain = score_link(people, ["region"]).retention_difference()
    odd = people.assign(again=people["region"], lone="one")
    odd.loc[odd.index[odd["retained"]][:3], "lone"] = "tiny"
    link = score_link(odd, ["region", "again", "lone"])
    assert link.retention_difference() == pytest.approx(plain, abs=1e-6)
    assert any("`lone`" in note for note in link.notes)
    unknown = people.assign(region=people["region"].where(people.index % 3 > 0, None), tenure=7.0)
    assert np.isfinite(score_link(unknown, ["region"]).retention_difference()).all()


def test_lost_causes_have_notes_instead_of_figures():
    """A class that all stayed, unknown tenure, nobody at all."""
    people, _ = company(np.random.default_rng(29), 600)
    loyal = people.assign(retained=people["retained"] | (people["score_class"] == "promoter"))
    link = score_link(loyal)
    assert "promoters: too few left or stayed for an adjusted difference" in link.notes
    with pytest.raises(UsageError, match="no adjusted difference"):
        link.retention_difference()
    assert np.isfinite(link.retention_difference("passive", "detractor").value)
    blank = people.assign(tenure=people["tenure"].where(people.index > 9))
    assert "10 customers of unknown tenure are not in the adjusted differences" in score_link(blank).notes
    nobody = score_link(people.head(0))
    assert nobody.retention["value"].isna().all()
    assert nobody.retention_differences[["raw", "adjusted"]].isna().all(axis=None)
    assert nobody.revenue_differences["value"].isna().all()
    assert nobody.response_bias.empty
    separated = score_link(people.assign(retained=people["tenure"] > 10))
    assert "tenure or segments tell perfectly who stays: no adjusted difference" in separated.notes
    same = score_link(people.assign(revenue=5.0))
    assert same.revenue_differences["ci_low"].isna().all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda people: people.drop(columns="tenure"), "`tenure`"),
        (lambda people: pd.concat([people] * 2), "several rows"),
        (lambda people: people.assign(score_class="fan"), "unknown class"),
    ],
)
def test_unfit_people_are_refused(change, word):
    """A missing column, repeated customers, unknown classes."""
    people, _ = company(np.random.default_rng(1), 50)
    with pytest.raises(UsageError, match=word):
        score_link(change(people))


# --- the sum -------------------------------------------------------------------------------------


def test_sum_is_that_by_hand():
    """1000 customers, 10 points more retention, 200 a head, 8000 spent."""
    figures = roi(1000, Uncertain(0.1, 0.06, 0.14), 200.0, 8000.0).figures
    assert figures["value"].to_dict() == pytest.approx(
        {"customers_kept": 100, "value": 20_000, "cost": 8000, "net": 12_000, "ratio": 1.5, "payback_months": 4.8}
    )
    assert figures.loc["value", ["ci_low", "ci_high"]].tolist() == pytest.approx([12_000, 28_000], rel=0.002)
    assert figures.loc["net", ["ci_low", "ci_high"]].tolist() == pytest.approx([4000, 20_000], rel=0.005)
    assert figures.loc["payback_months", ["ci_low", "ci_high"]].tolist() == pytest.approx([96 / 28, 8], rel=0.002)
    assert figures.loc["cost", ["ci_low", "ci_high"]].tolist() == [8000, 8000]


def test_interval_of_a_product_is_that_of_the_lognormal():
    """Two independent small relative errors add as squares."""
    figures = roi(1000, Uncertain(0.5, 0.49, 0.51), Uncertain(100, 97, 103), 1.0).figures.loc["value"]
    half = 1.96 * np.hypot(0.02, 0.03) / 1.96
    assert (figures["ci_high"] - figures["ci_low"]) / 2 / figures["value"] == pytest.approx(half, rel=0.02)


@pytest.mark.parametrize(
    ("difference", "cost", "status"),
    [
        (Uncertain(0.05, -0.01, 0.11), 100.0, NO_EFFECT),
        (Uncertain(0.1, 0.06, 0.14), 8000.0, "associated value above the cost"),
        (Uncertain(0.1, 0.06, 0.14), 40_000.0, "associated value below the cost"),
        (Uncertain(0.1, 0.06, 0.14), 20_000.0, "associated value not distinguishable from the cost"),
        (Uncertain(-0.1, -0.14, -0.06), 10.0, "associated value below the cost"),
    ],
)
def test_status_follows_the_intervals(difference, cost, status):
    """No word of gain where the link or the net may be nothing."""
    result = roi(1000, difference, 200.0, cost)
    assert result.status == status
    assert result.wording == ASSOCIATION


def test_uncertain_link_shows_an_interval_with_zero():
    """And a payback without end."""
    figures = roi(1000, Uncertain(0.05, -0.01, 0.11), 200.0, 100.0).figures
    assert figures.loc["value", "ci_low"] < 0 < figures.loc["value", "ci_high"]
    assert figures.loc["payback_months", "ci_high"] == np.inf


def test_sum_without_cost_has_no_ratio():
    """Division by nothing is unknown, not infinite."""
    figures = roi(10, Uncertain(0.1, 0.06, 0.14), 200.0, 0.0).figures
    assert figures.loc["ratio"].isna().all()
    assert figures.loc["payback_months", "value"] == 0


def test_sum_is_reproducible():
    """The seed decides; another seed moves the ends by less than a hundredth."""
    inputs = (Uncertain(900, 700, 1000), Uncertain(0.1, 0.06, 0.14), Uncertain(200, 150, 260), 8000.0)
    one, again, other = roi(*inputs), roi(*inputs), roi(*inputs, seed=4)
    pd.testing.assert_frame_equal(one.figures, again.figures)
    assert other.figures.loc["value"].tolist() == pytest.approx(one.figures.loc["value"].tolist(), rel=0.02)


@settings(max_examples=25)
@given(st.floats(0, 5000), st.floats(-0.5, 0.5), st.floats(0.001, 0.3), st.floats(0, 500), st.floats(1, 10_000))
def test_intervals_hold_their_values(moved, difference, half, margin, cost):
    """Whatever goes in, and value and net differ by the cost."""
    result = roi(moved, Uncertain(difference, difference - half, difference + half), margin, cost, draws=500)
    figures = result.figures
    slack = 1e-9 * figures["value"].abs().where(np.isfinite(figures["value"]), 0)
    assert (figures["ci_low"] - slack <= figures["value"]).all()
    assert (figures["value"] <= figures["ci_high"] + slack).all()
    assert figures.loc["net", "value"] == pytest.approx(figures.loc["value", "value"] - cost)


@pytest.mark.parametrize(
    "inputs",
    [
        (-1, Uncertain(0.1, 0.0, 0.2), 1.0, 1.0),
        (1, Uncertain(0.1, 0.2, 0.3), 1.0, 1.0),
        (1, Uncertain(0.1, np.nan, 0.3), 1.0, 1.0),
        (1, Uncertain(1.5, 1.4, 1.6), 1.0, 1.0),
        (1, Uncertain(0.1, 0.0, 0.2), -1.0, 1.0),
        (1, Uncertain(0.1, 0.0, 0.2), 1.0, -1.0),
    ],
)
def test_impossible_inputs_are_refused(inputs):
    """Negative amounts, differences beyond 1, intervals beside their value."""
    with pytest.raises(UsageError):
        roi(*inputs)
