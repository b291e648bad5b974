"""The loyalty page tells who stays and who may leave with intervals, names nobody, and claims no cause."""

import re

import pytest

from cxreport.present import loyalty
from cxreport.present.markup import Markdown


def cohort(name, days, survival, **more):
    """Return a row of the cohorts, not followed so long where it has no value."""
    row = {"cohort": name, "days": days, "n": 400, "survival": survival, "suppressed": "no"}
    return row | ({} if survival is None else {"ci_low": survival - 0.02, "ci_high": survival + 0.015}) | more


def judged(figure, value, low, high):
    """Return a row of the model's judgement."""
    return {"figure": figure, "value": value, "ci_low": low, "ci_high": high, "n": 22758}


def stayed(score_class, value, n=1000, **more):
    """Return a row of retention by class."""
    row = {"figure": "class", "score_class": score_class, "n": n, "value": value, "suppressed": "no"}
    return row | {"ci_low": value - 0.01, "ci_high": value + 0.01} | more


def apart(value, p_value, **more):
    """Return the difference of the best class and the worst, one of three that are compared."""
    row = {"figure": "difference", "score_class": "promoter", "other_class": "detractor", "value": value}
    row |= {"ci_low": value * 0.6, "ci_high": value * 1.4, "p_value": p_value, "suppressed": "no"}
    others = [row | {"score_class": one, "other_class": other} for one, other in [("promoter", "passive")] * 2]
    return [row | more, *others]


ROI = [("customers_kept", 31, 18, 44), ("value", 17679, 10410, 24932), ("cost", 10000, 10000, 10000)]


@pytest.fixture
def pack(analysed):
    """Two cohorts, a usable model, classes of scores with revenue, and groups of which one is confirmed."""
    group = {"kpi": "nps", "description": "x", "n": 300, "value": 0.0, "rest_value": 32.0, "difference": -32.0}
    group |= {"ci_low": -39.0, "ci_high": -24.0, "q_value": 0.001, "suppressed": "no", "direction": "below"}
    return analysed(
        cohorts=[
            *(cohort("2025-Q1", *each) for each in [(90, 0.96), (365, 0.80)]),
            *(cohort("2025-Q2", *each) for each in [(90, 0.95), (365, None)]),
            {"cohort": "2025-Q3", "days": 90, "suppressed": "small base"},
        ],
        churn_judgement=[
            judged("auc", 0.668, 0.649, 0.686),
            judged("observed_to_expected", 0.951, 0.889, 1.017),
            judged("capture", 0.225, 0.198, 0.255),
        ],
        churn_reliability=[
            {"bin": 1, "n": 2276, "expected": 0.014, "observed": 0.009, "ci_low": 0.006, "ci_high": 0.014}
            | {"suppressed": "no"},
            {"bin": 2, "suppressed": "small base"},
        ],
        churn_drivers=[
            {"feature": "last_nps", "odds_ratio": 0.79, "ci_low": 0.76, "ci_high": 0.83},
            {"feature": "days_since_order_missing", "odds_ratio": 1.4, "ci_low": 1.2, "ci_high": 1.6},
            {"feature": "orders", "odds_ratio": 1.0, "ci_low": 0.9, "ci_high": 1.1},
        ],
        link=[stayed("promoter", 0.89), stayed("detractor", 0.82), *apart(0.067, 0.0001)],
        link_revenue=[stayed("promoter", 920.0, ci_low=906.0, ci_high=933.0), *apart(114.0, 0.03)],
        roi=[
            {"figure": figure, "value": value, "ci_low": low, "ci_high": high}
            for figure, value, low, high in [*ROI, ("net", 7679, 410, 14932)]
        ],
        subgroups=[
            group | {"status": "confirmed", "column": "channel", "level": "phone"},
            group | {"status": "not confirmed", "column": "region", "level": "north"},
            {"kpi": "nps", "column": "plan", "level": "basic", "suppressed": "complementary"},
        ],
        personas=[{"persona": 1, "name": "newcomers", "n": 900, "share": 0.3, "stability": 0.91, "suppressed": "no"}],
        persona_traits=[
            {"persona": 1, "place": 1, "feature": "tenure_days", "value": 120.4, "rest_value": 1500.0},
        ],
    )


def test_curves_speak_of_the_cohort_followed_longest(pack):
    """The caption names it, the table holds both with intervals and bases, and a hidden cohort appears nowhere."""
    curves = loyalty.retention_curves(pack)
    assert "In colour: 2025-Q1" in curves.caption
    assert "80.0%" in curves.data
    assert "78.0% to 81.5%" in curves.data
    assert "400 customers" in curves.data
    assert "Q3" not in curves.data + curves.alt + curves.svg


def test_cohorts_are_set_side_by_side(pack, analysed):
    """One line for each number of days; a single cohort is no series."""
    assert "2025-Q2: 95% after 90 days" in loyalty.retention_by_cohort(pack).alt
    alone = analysed(cohorts=[cohort("2025-Q1", 90, 0.96)])
    assert isinstance(loyalty.retention_by_cohort(alone), Markdown)


def test_model_is_judged_in_words(pack):
    """Pairs told apart, fit of the risks and share of leavers in the highest tenth stand with their intervals."""
    said = loyalty.churn(pack).text
    assert "in 67% of all cases (65% to 69%; 22,758 customers" in said
    assert "Its risks fit" in said
    assert "held 23% of all who left (20% to 26%)" in said


@pytest.mark.parametrize(("ratio", "words"), [((1.5, 1.2, 1.8), "too low"), ((0.7, 0.6, 0.8), "too high")])
def test_risks_that_do_not_fit_are_said_to(analysed, ratio, words):
    """An interval of observed to expected that leaves out one is named."""
    pack = analysed(churn_judgement=[judged("observed_to_expected", *ratio)])
    assert f"Its risks are {words}" in loyalty.churn(pack).text


def test_call_list_is_named_and_never_shown(pack, analysed):
    """The page says where the list lies; a model that does not hold has none."""
    assert "call_list.parquet" in loyalty.churn(pack).text
    without = analysed(churn_judgement=[judged("auc", 0.51, 0.48, 0.54)])
    assert "no list of whom to call" in loyalty.churn(without).text


def test_hidden_tenth_is_not_drawn(pack):
    """A tenth of few customers stands neither in the chart's words nor in its table."""
    picture = loyalty.churn_by_risk(pack)
    assert "tenth 1: 0.9%" in picture.alt
    assert "tenth 2" not in picture.alt
    assert picture.data.count("\n|") == 3


def test_only_sure_drivers_are_named(pack):
    """Odds whose interval holds one are left out; the others say in which direction."""
    table = loyalty.churn_drivers(pack).text
    assert "| NPS, latest answer | lower risk | 0.79" in table
    assert "| No days since the last order known | higher risk | 1.40" in table
    assert "orders |" not in table


def test_link_is_told_as_association(pack):
    """Retention differs beyond chance and is told so; revenue does not after correcting for three pairs."""
    said = loyalty.link(pack).text
    assert "Promoters stayed more often than Detractors, by 6.7 percentage points (4.0 to 9.4)" in said
    assert "no detectable difference in revenue" in said
    assert "USD 920" in said


def test_hidden_class_and_difference_are_not_told(analysed):
    """A class that protects a small group shows its mark; its difference is not told."""
    hidden = {"figure": "class", "score_class": "detractor", "suppressed": "small base"}
    pack = analysed(
        link=[stayed("promoter", 0.89), hidden, *apart(0.067, 0.0001, suppressed="complementary")], link_revenue=[]
    )
    said = loyalty.link(pack).text
    assert "too few answers" in said
    assert "stayed more often" not in said


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ((7679, 410, 14932), "more than it costs"),
        ((-900, -1500, -90), "less than"),
        ((0, -9, 9), "not distinguishable"),
    ],
)
def test_return_is_judged_by_its_interval(analysed, net, words):
    """What is left is more or less than nothing only where the interval leaves out nought."""
    rows = [*ROI, ("net", *net)]
    pack = analysed(roi=[{"figure": name, "value": v, "ci_low": low, "ci_high": high} for name, v, low, high in rows])
    said = loyalty.returns(pack).text
    assert words in said
    assert "31 (18 to 44)" in said
    assert "USD 10,000 that" in said
    assert "association" in said


def test_only_confirmed_groups_are_shown(pack):
    """A group found and not confirmed is not named, nor is a hidden one."""
    table = loyalty.subgroups(pack).text
    assert "Channel Phone" in table
    assert "32 points below" in table
    assert not re.search("North|Basic", table)


def test_personas_say_what_sets_them_apart(pack):
    """Each kind has its share, its measures beside those of others, and how often it was found again."""
    table = loyalty.personas(pack).text
    assert "days as a customer 120&#46;4 &#40;others 1,500&#46;0&#41;" in table
    assert "900 customers" in table
    assert "0.91" in table


def test_value_of_customers_is_a_table(monthly, passengers):
    """Values to date and to come stand with intervals; a report without them says so."""
    assert "Customer lifetime value" in loyalty.value_table(monthly).text
    assert "no value of customers" in loyalty.value_table(passengers).text


@pytest.mark.parametrize(
    "emit",
    [loyalty.retention_curves, loyalty.retention_by_cohort, loyalty.churn, loyalty.churn_by_risk,
     loyalty.churn_drivers, loyalty.link, loyalty.returns, loyalty.personas],
)  # fmt: skip
def test_what_a_definition_leaves_out_is_not_mentioned(passengers, emit):
    """A report that asks for no analysis of customers says nothing of it, so that its section goes."""
    found = emit(passengers)
    assert isinstance(found, Markdown)
    assert found.text == ""


def test_what_was_looked_for_and_not_found_is_said_in_a_line(passengers):
    """A report that asks for groups that score apart says so when none is confirmed."""
    found = loyalty.subgroups(passengers).text
    assert found.startswith("Groups that score apart")
    assert "\n" not in found


def test_why_an_analysis_failed_is_told(analysed):
    """What the analysis noted stands in brackets, escaped."""
    note = "no `events`; needed: accepted rows of <it>"
    pack = analysed(analyses=[{"analysis": "churn", "status": "not possible", "note": note}])
    assert "not possible with these data" in loyalty.churn(pack).text
    assert "&#60;it&#62;" in loyalty.churn(pack).text
