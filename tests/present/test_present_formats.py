"""Figures are rounded, signed, masked and marked in one way."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.present import tables

NUMBERS = st.floats(min_value=-1e7, max_value=1e7, allow_nan=False)


def read_back(text):
    """Return the number that a formatted number says."""
    return float(text.replace(tables.MINUS, "-").replace(",", ""))


@given(NUMBERS, st.integers(0, 4))
def test_number_reads_back_within_half_a_unit(value, digits):
    """A formatted number lies at most half of its last digit from the value, and has exactly its digits."""
    text = tables.number(value, digits)
    assert read_back(text) == pytest.approx(value, abs=0.5 * 10**-digits * (1 + 1e-6) + 1e-9)
    assert len(text.partition(".")[2]) == digits


@given(NUMBERS, st.integers(0, 4), st.booleans())
def test_number_never_shows_a_signed_zero_nor_loses_a_sign(value, digits, signed):
    """Zero carries no sign; a negative that does not round to zero keeps a real minus sign."""
    text = tables.number(value, digits, signed=signed)
    assert "-" not in text
    shown = read_back(text.removeprefix("+"))
    if shown == 0:
        assert text[0].isdigit()
    else:
        assert (shown < 0) == (value < 0)
        assert text.startswith("+") == (signed and value > 0)


def test_halves_round_away_from_zero():
    """12.5% is 13%, and -0.5 is -1, whatever binary fractions do."""
    assert tables.share_text(0.125) == "13%"
    assert tables.share_text(0.285) == "29%"
    assert tables.number(-0.5) == f"{tables.MINUS}1"


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_duration_reads_back(minutes):
    """Hours and minutes are exact to the minute, days to a tenth; 60 minutes never stand beside an hour."""
    text = tables.duration(minutes)
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
    assert tables.duration(minutes) == text


def test_units_each_have_their_form(monthly):
    """Points are whole, shares percent, scores two decimals, and intervals say "to"."""
    kpis = monthly.kpis
    assert tables.value_text(-22.4, kpis["nps"]) == f"{tables.MINUS}22"
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
@pytest.mark.parametrize("name", ["nps", "csat", "ces_v2", "first_response_time"])
def test_hidden_figure_shows_no_number_of_its_own(monthly, reason, name):
    """Even when a hidden figure still holds numbers, no format lets one out; only the limit is named."""
    kpi = monthly.kpis[name]
    figure = replace(monthly.total(name), suppressed=reason, value=77.77, change=66.66, n=5555, verdict="fell")
    shown = [
        tables.figure_text(figure, kpi),
        tables.base_text(figure, kpi),
        tables.change_text(figure, kpi),
        tables.change_text(figure, kpi, year=True),
        tables.change_interval_text(figure, kpi),
        tables.target_text(figure, kpi),
        tables.benchmark_text(monthly, figure, kpi),
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
