"""Figures are rounded, signed, masked and marked in one way."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxreport.config import Project
from cxreport.present import tables
from cxreport.present.words import MINUS, Words

ENGLISH = Words.open(Project(Path(__file__).resolve().parents[2]), "en")
NUMBERS = st.floats(min_value=-1e7, max_value=1e7, allow_nan=False)


def read_back(text):
    """Return the number that a formatted number says."""
    return float(text.replace(MINUS, "-").replace(",", ""))


@given(NUMBERS, st.integers(0, 4))
def test_number_reads_back_within_half_a_unit(value, digits):
    """A formatted number lies at most half of its last digit from the value, and has exactly its digits."""
    text = ENGLISH.number(value, digits)
    assert read_back(text) == pytest.approx(value, abs=0.5 * 10**-digits * (1 + 1e-6) + 1e-9)
    assert len(text.partition(".")[2]) == digits


@given(NUMBERS, st.integers(0, 4), st.booleans())
def test_number_never_shows_a_signed_zero_nor_loses_a_sign(value, digits, signed):
    """Zero carries no sign; a negative that does not round to zero keeps a real minus sign."""
    text = ENGLISH.number(value, digits, signed=signed)
    assert "-" not in text
    shown = read_back(text.removeprefix("+"))
    if shown == 0:
        assert text[0].isdigit()
    else:
        assert (shown < 0) == (value < 0)
        assert text.startswith("+") == (signed and value > 0)


def test_halves_round_away_from_zero():
    """12.5% is 13%, and -0.5 is -1, whatever binary fractions do."""
    assert ENGLISH.percent(0.125) == "13%"
    assert ENGLISH.percent(0.285) == "29%"
    assert ENGLISH.number(-0.5) == f"{MINUS}1"


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_duration_reads_back(minutes):
    """Hours and minutes are exact to the minute, days to a tenth; 60 minutes never stand beside an hour."""
    text = tables.duration(minutes, ENGLISH)
    if found := re.fullmatch(r"([\d,.]+) days?", text):
        assert float(found[1].replace(",", "")) * 1440 == pytest.approx(minutes, abs=73)
    else:
        hours, rest = (int(m[1]) if (m := re.search(rf"(\d+) {unit}", text)) else 0 for unit in ("h", "min"))
        assert hours < 24
        assert rest < 60
        assert 60 * hours + rest == pytest.approx(minutes, abs=0.5 + 1e-9)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (0, "0 min"),
        (0.4, "0 min"),
        (52, "52 min"),
        (112, "1 h 52 min"),
        (120, "2 h"),
        (1439.7, "1 day"),
        (3312, "2.3 days"),
    ],
)
def test_durations_as_said(minutes, text):
    """Durations read as a person says them."""
    assert tables.duration(minutes, ENGLISH) == text


def test_units_each_have_their_form(monthly):
    """Points are whole, shares percent, scores two decimals, and intervals say "to"."""
    kpis = monthly.kpis
    assert tables.value_text(-22.4, kpis["nps"]) == f"{MINUS}22"
    assert tables.value_text(39.8398, kpis["nps"], 2) == "39.84"
    assert tables.value_text(0.8149, kpis["csat"]) == "81%"
    assert tables.value_text(5.305, kpis["ces_v2"]) == "5.31"
    assert tables.interval_text(27.2, 33.4, kpis["nps"]) == "27 to 33"
    assert tables.interval_text(1500, 1900, kpis["resolution_time"]) == "1 to 1.3 days"
    assert tables.interval_text(None, None, kpis["nps"]) == "no interval"


def test_small_change_gains_a_decimal(monthly):
    """A change that whole points would hide is shown with one decimal, or two."""
    kpi = monthly.kpis["csat"]
    assert tables.size_text(-0.25, kpi, long=True) == "25 percentage points"
    assert tables.size_text(0.003, kpi) == "0.3 points"
    assert tables.size_text(0.0004, kpi) == "0.04 points"
    assert tables.size_text(0.01, kpi) == "1 point"


@pytest.mark.parametrize("reason", ["small base", "complementary", "a reason not yet invented"])
@pytest.mark.parametrize("name", ["nps", "csat", "ces_v2", "first_response_time", "service_cost", "backlog"])
def test_hidden_figure_shows_no_number_of_its_own(monthly, reason, name):
    """Even when a hidden figure still holds numbers, no format lets one out; only the limit is named."""
    kpi = monthly.kpis[name]
    figure = replace(
        monthly.total(name),
        suppressed=reason,
        value=77.77,
        change=66.66,
        n=5555,
        verdict="fell",
        history_percentile=0.44,
    )
    shown = [
        tables.figure_text(figure, kpi),
        tables.base_text(figure, kpi),
        tables.change_text(figure, kpi),
        tables.change_text(figure, kpi, year=True),
        tables.change_interval_text(figure, kpi),
        tables.target_text(figure, kpi),
        tables.benchmark_text(monthly, figure, kpi),
        tables.gap_interval_text(figure, kpi),
        tables.past_text(monthly, figure),
        tables.history_text(monthly, figure),
        tables.peers_text(monthly, replace(figure, peer_percentile=0.33)),
    ]
    digits = re.findall(r"\d+", " ".join(shown))
    assert set(digits) <= {str(kpi.minimum_base.suppress)}
    assert not figure.is_shown


def test_low_base_is_marked(monthly):
    """A figure on few answers is shown with a mark."""
    figure = replace(monthly.total("nps"), n=17, low_base=True)
    assert tables.base_text(figure, monthly.kpis["nps"]) == "17 answers, low base"
    assert tables.base_text(replace(figure, n=1, low_base=False), monthly.kpis["nps"]) == "1 answer"


def test_direction_of_good_decides_what_is_worse(monthly):
    """A falling score is worse, a falling waiting time better."""
    assert tables.is_worse(monthly.kpis["nps"], "fell")
    assert tables.is_better(monthly.kpis["first_response_time"], "fell")
    assert not tables.is_worse(monthly.kpis["nps"], "no detectable change")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("service_cost", 12.4, "USD 12.40"),
        ("lifetime_value", 1234.4, "USD 1,234"),
        ("historic_value", -3.5, f"USD {MINUS}3.50"),
        ("purchase_frequency", 1.044, "1.04"),
        ("backlog", 1234.0, "1,234 cases"),
        ("backlog", 1.0, "1 case"),
        ("retention", 0.98342, "98.3%"),
        ("retention", 1.0, "100%"),
        ("logo_churn", 0.0166, "1.7%"),
        ("logo_churn", 0.0, "0%"),
        ("upsell_rate", 0.0003, "0.03%"),
        ("net_revenue_retention", 1.0134, "101.3%"),
        ("net_revenue_retention", 1.5, "150%"),
        ("retention_12_months", 0.72, "72%"),
        ("public_rating", 3.456, "3.46"),
        ("net_sentiment", -12.0, f"{MINUS}12"),
    ],
)
def test_every_unit_has_its_form(monthly, name, value, text):
    """Money carries the dataset's currency, counts what they count, and shares near their ends a decimal."""
    assert tables.value_text(value, monthly.kpis[name]) == text


@pytest.mark.parametrize(
    ("name", "change", "short", "long"),
    [
        ("service_cost", -0.3, "USD 0.30", "USD 0.30"),
        ("service_cost", 0.0004, "USD 0.0004", "USD 0.0004"),
        ("lifetime_value", 250.2, "USD 250", "USD 250"),
        ("purchase_frequency", 0.012, "0.01", "0.01"),
        ("net_revenue_retention", 0.014, "1.4 points", "1.4 percentage points"),
        ("retention", -0.01, "1 point", "1 percentage point"),
        ("retention_12_months", 0.12, "12 points", "12 percentage points"),
        ("enps", -8.2, "8 points", "8 points"),
        ("backlog", -1, "1 case", "1 case"),
        ("first_response_time", 75, "1 h 15 min", "1 h 15 min"),
    ],
)
def test_every_change_is_in_its_unit(monthly, name, change, short, long):
    """Shares and ratios change by percentage points, nets by points, money by money."""
    kpi = monthly.kpis[name]
    assert tables.size_text(change, kpi) == short
    assert tables.size_text(change, kpi, long=True) == long


@pytest.mark.parametrize(
    ("name", "low", "high", "text"),
    [
        ("service_cost", 12.1, 12.7, "USD 12.10 to 12.70"),
        ("lifetime_value", 95.0, 104.0, "USD 95.00 to 104.00"),
        ("retention", 0.88, 0.92, "88.0% to 92.0%"),
        ("csat", 0.8, 0.83, "80% to 83%"),
        ("resolution_time", 1673.0, 1773.0, "1.16 to 1.23 days"),
        ("retention", 0.98801, 0.98808, "98.80% to 98.81%"),
        ("resolution_time", 1673.0, 1673.0, "1.2 to 1.2 days"),
        ("backlog", None, None, ""),
        ("service_cost", None, None, "no interval"),
    ],
)
def test_ends_of_an_interval_have_the_same_digits(monthly, name, low, high, text):
    """Both ends of an interval are rounded alike, and name their currency once."""
    assert tables.interval_text(low, high, monthly.kpis[name]) == text


@given(st.floats(min_value=1e-6, max_value=1e6), st.sampled_from(["csat", "nps", "service_cost", "ces_v2", "backlog"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_change_never_reads_as_none(monthly, change, name):
    """However small, a change of a size that its unit can show is never told as zero."""
    kpi = monthly.kpis[name]
    smallest = {"percent": 5e-5, "points": 5e-3, "money": 5e-5, "score": 5e-5, "cases": 0.5}[kpi.unit]
    told = tables.size_text(change, kpi)
    if change > smallest:
        assert re.search(r"[1-9]", told)
    assert MINUS not in told


@pytest.mark.parametrize(
    ("verdict", "change", "text"),
    [
        ("rose", 0.5, "rose USD 0.50"),
        ("fell", -0.5, "fell USD 0.50"),
        ("no detectable change", 0.5, "no detectable change"),
        ("too few answers", 0.5, "too few cases"),
        ("too few answers", None, "cannot be compared"),
        ("no earlier figure", None, "no earlier figure"),
        (None, None, "no earlier figure"),
    ],
)
@pytest.mark.parametrize("year", [False, True])
def test_every_verdict_has_its_words(monthly, verdict, change, text, year):
    """The words of a change are those of its verdict, with the size only where something moved."""
    prefix = "year_" if year else ""
    figure = replace(
        monthly.total("service_cost"),
        **{f"{prefix}verdict": verdict, f"{prefix}change": change},
    )
    assert tables.change_text(figure, monthly.kpis["service_cost"], year=year) == text


@pytest.mark.parametrize(("change", "text"), [(3.0, "3 more"), (-1200.0, "1,200 fewer"), (0.0, "the same number")])
def test_complete_counts_change_by_number(monthly, change, text):
    """A count that was not tested is told by how much it differs, never as a rise or fall."""
    figure = replace(monthly.total("backlog"), verdict="complete count: not tested", change=change)
    assert tables.change_text(figure, monthly.kpis["backlog"]) == text


def test_target_of_a_count_is_compared_exactly(monthly):
    """A count stands above or below its target by a number; other figures without an interval cannot be judged."""
    count = replace(monthly.total("backlog"), target=1200.0, status=None)
    assert tables.target_text(count, monthly.kpis["backlog"]) == "target 1,200 cases: 37 cases above"
    assert tables.target_text(replace(count, target=1237.0), monthly.kpis["backlog"]).endswith("reached")
    single = replace(monthly.total("service_cost"), target=8.0, status=None, ci_low=None, ci_high=None)
    assert tables.target_text(single, monthly.kpis["service_cost"]) == "target USD 8.00: no interval to judge by"


def test_bases_say_what_they_count(monthly):
    """Each kind of base has its own word, in the singular too."""
    words = {name: tables.base_text(monthly.total(name), kpi) for name, kpi in monthly.kpis.items() if name != "ces_v1"}
    assert words["retention"] == "3,000 customers"
    assert words["conversion"] == "3,000 visits"
    assert words["lifetime_value"] == "2,100 buyers"
    assert words["public_rating"] == "900 mentions"
    assert words["enps"] == "900 answers"
    assert words["backlog"] == "complete count"
    assert tables.base_text(replace(monthly.total("conversion"), n=1), monthly.kpis["conversion"]).startswith("1 visit")


def test_without_a_currency_money_is_a_number(monthly):
    """A dataset that states no currency has plain amounts."""
    kpi = monthly.kpis["service_cost"].model_copy(update={"currency": ""})
    assert tables.value_text(12.4, kpi) == "12.40"
    assert tables.interval_text(12.1, 12.7, kpi) == "12.10 to 12.70"
