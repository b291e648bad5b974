"""The journey page says where it hurts only where a corrected test does, and shows nothing that is hidden."""

import re
from dataclasses import replace

import pytest

from cxreport.present import actions, drivers, journey, next_steps, voice
from cxreport.present.markup import Markdown, Picture

CELLS = [("join", "Order", 200, 0.80), ("install", "Visit", 300, 0.48), ("use", "Line", 8, None)]
STAGES = [("join", 200, 0.80, 0.10, 0.001), ("install", 300, 0.48, -0.20, 0.0001), ("use", 150, 0.70, 0.02, 0.4)]


def cell(stage, touchpoint, n, value, **more):
    """Return a row of the map, hidden where it has no value."""
    if value is None:
        return {"kpi": "csat", "stage": stage, "touchpoint": touchpoint, "suppressed": "small base"}
    ends = {"ci_low": value - 0.05, "ci_high": value + 0.05}
    row = {"kpi": "csat", "stage": stage, "touchpoint": touchpoint, "n": n, "value": value, "suppressed": "no"}
    return row | ends | {"low_base": n < 30, "share": 0.3} | more


def stage(place, name, n, value, *judged, **more):
    """Return a row of the curve; `judged` is its distance to all and the q-value of that."""
    relative, q_value = judged
    row = {"kpi": "csat", "place": place, "stage": name, "n": n, "value": value, "overall": 0.7, "suppressed": "no"}
    row |= {"ci_low": value - 0.05, "ci_high": value + 0.05, "relative": relative, "q_value": q_value}
    return row | {"relative_ci_low": relative - 0.04, "relative_ci_high": relative + 0.04, "low_base": False} | more


def pain(name, touchpoint, value, impact, *, is_pain_point=True):
    """Return a row of the pain points."""
    row = {"kpi": "csat", "stage": name, "touchpoint": touchpoint, "n": 300, "value": value, "impact": impact}
    row |= {"impact_ci_low": impact - 0.01, "impact_ci_high": impact + 0.01, "top3_probability": 0.999}
    return row | {"q_value": 0.001 if is_pain_point else 0.6, "is_pain_point": is_pain_point, "suppressed": "no"}


def funnel(place, name, n, n_open, drop_off):
    """Return a row of the funnel."""
    followed = {"n": n, "n_open": n_open, "drop_off": drop_off, "suppressed": "no"}
    return {"place": place, "stage": name} | followed | {"ci_low": drop_off and 0.08, "ci_high": drop_off and 0.12}


@pytest.fixture
def pack(analysed):
    """A journey of three stages, of which one hurts and one touchpoint is too small to show."""
    return analysed(
        journey=[cell(*each) for each in CELLS],
        curve=[stage(place, *each) for place, each in enumerate(STAGES, start=1)],
        pain_points=[pain("install", "Visit", 0.48, 0.052), pain("join", "Order", 0.80, 0.001, is_pain_point=False)],
        funnel=[funnel(1, "join", 1000, 200, 0.1), funnel(2, "install", 700, 0, None)],
        switching=[
            {"base": "all journeys", "n": 900, "share": 0.24, "ci_low": 0.2, "ci_high": 0.28, "suppressed": "no"},
            {"base": "journeys of two or more contacts", "suppressed": "complementary"},
        ],
        consistency=[
            {"kpi": "nps", "segment": "channel", "n_levels": 4, "range": 42.0, "tau": 22.0, "tau_low": 12.0}
            | {"tau_high": 80.0, "p_value": 0.0001},
            {"kpi": "csat", "segment": "channel", "n_levels": 4, "range": 0.02, "tau": 0.0, "tau_low": 0.0}
            | {"tau_high": 0.04, "p_value": 0.6},
        ],
    )


def test_strip_says_what_tests_found(pack):
    """Stages above and below all of them are named so, with value and base; others show no detectable difference."""
    strip = journey.strip(pack)
    assert isinstance(strip, Picture)
    assert "Install 48% (300 answers, below all stages)" in strip.alt
    assert "Join 80% (200 answers, above all stages)" in strip.alt
    assert "Use 70% (150 answers, no detectable difference)" in strip.alt
    assert strip.data.count("\n|") == 2 + len(STAGES)


def test_stage_on_a_low_base_is_not_judged(analysed):
    """However small its q-value, a stage on a low base is neither above nor below."""
    pack = analysed(curve=[stage(1, "join", 20, 0.4, -0.3, 0.0001, low_base=True)])
    assert "no detectable difference" in journey.strip(pack).alt


def test_hidden_touchpoint_shows_a_mark_and_no_number(pack):
    """A touchpoint under the smallest base stands as words, in chart, alternative text and table."""
    picture = journey.touchpoints(pack)
    line = next(line for line in picture.data.splitlines() if "Line" in line)
    assert "too few answers" in line
    assert not re.search(r"\d", line.replace("(under 10)", "").replace("&#40;under 10&#41;", ""))
    assert "Line too few answers" in picture.alt


def test_pain_points_are_those_that_a_test_finds(pack):
    """Sentences and table hold the touchpoint that falls short beyond chance, with interval and base, and no other."""
    said, table = journey.pain_points(pack).text, journey.pain_points_table(pack).text
    assert "**Visit** (Install): CSAT 48% (43% to 53%; 300 answers)" in said
    assert "target of 80%" in said
    assert "5 percentage points better (4.2 to 6.2)" in said
    assert "over 99%" in table
    assert "Order" not in said + table


def test_no_pain_point_is_said_in_a_line(analysed):
    """Where nothing falls short beyond chance, both forms say so."""
    pack = analysed(
        journey=[cell("join", "Order", 200, 0.8)], pain_points=[pain("join", "Order", 0.8, 0.001, is_pain_point=False)]
    )
    assert journey.pain_points(pack).text == journey.pain_points_table(pack).text
    assert "No touchpoint falls short" in journey.pain_points(pack).text


def test_drop_off_counts_those_who_could_be_followed(pack):
    """The share stands beside the customers who were followed long enough; the last stage has none."""
    lines = [line for line in journey.stages_table(pack).text.splitlines() if line.startswith("|")]
    rows = {line.split("|")[1].strip(): line for line in lines[2:]}
    assert "10.0%" in rows["Join"]
    assert "800 customers" in rows["Join"]
    assert "last stage" in rows["Install"]
    assert "no events" in rows["Use"]
    assert "**Join**: 10.0%" in journey.funnel_note(pack).text


def test_consistency_is_told_in_words(pack):
    """A spread beyond chance names its size and interval; otherwise the largest that would fit is named."""
    differ, same = journey.consistency(pack).text.splitlines()
    assert "**NPS** differs by channel beyond chance" in differ
    assert "22 points" in differ
    assert "no detectable difference" in same
    assert "4 points" in same


def test_hidden_switching_is_not_told(pack):
    """The sentence on all journeys stands alone when that on several contacts is hidden."""
    assert "24% (20% to 28%) of 900" in journey.switching(pack).text
    assert "two or more" not in journey.switching(pack).text


@pytest.mark.parametrize(
    "emit",
    [journey.touchpoints, journey.stages_table, journey.funnel_note, journey.pain_points,
     journey.pain_points_table, journey.consistency, journey.switching, journey.visits],
)  # fmt: skip
def test_absent_data_are_said_in_a_line(passengers, emit):
    """A report without the analysis says so in one line, and fails nowhere."""
    found = emit(passengers)
    assert isinstance(found, Markdown)
    assert found.text
    assert "\n" not in found.text


@pytest.mark.parametrize(
    ("part", "analysis"),
    [
        (journey.strip, "journey"),
        (next_steps.ranked, "journey"),
        (voice.themes_said, "themes"),
        (drivers.said, "drivers"),
        (actions.for_executive, "actions"),
    ],
)
def test_first_page_leaves_out_what_the_definition_leaves_out(monthly, analysed, part, analysis):
    """An analysis that is asked for and empty is told in a line; one that is not asked for is not told at all."""
    empty = analysed(curve=[], pain_points=[], themes=[], drivers=[], actions=[])
    assert part(empty).text
    asked = monthly.report.analyses.model_copy(update={analysis: None})
    assert part(replace(empty, report=monthly.report.model_copy(update={"analyses": asked}))).text == ""


def test_same_pack_gives_the_same_bytes(pack):
    """Charts have no chance in them."""
    assert journey.strip(pack) == journey.strip(pack)
    assert journey.touchpoints(pack) == journey.touchpoints(pack)
