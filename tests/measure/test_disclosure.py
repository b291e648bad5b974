"""Small groups stay hidden, also from subtraction."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxreport.config import Base
from cxreport.measure.disclosure import (
    COMPLEMENTARY,
    SHOWN,
    SMALL,
    Margin,
    apply_issued,
    complement,
    find_margins,
    suppress,
)

KEYS = {"kpi": "nps", "question": "", "period": "2026-09", "period_kind": "month"}
PERIOD = ("answers", "2026-09")


def bases(segments: dict[str, dict[str, int]], **columns) -> pd.DataFrame:
    """Return rows of some segments with these bases, their total first."""
    cells = {("all", "all"): sum(next(iter(segments.values())).values())}
    cells |= {(segment, level): n for segment, levels in segments.items() for level, n in levels.items()}
    rows = [{"segment": segment, "level": level, "n": n} for (segment, level), n in cells.items()]
    return pd.DataFrame(rows).assign(**KEYS, value=1.0, note="a note", method="t").assign(**columns)


def marked(rows: pd.DataFrame, kpis, margins=None) -> dict[str, str]:
    """Return the marks of what is hidden, by level."""
    found = suppress(rows, kpis, margins).set_index("level")["suppressed"]
    return found[found != SHOWN].to_dict()


@pytest.mark.parametrize(
    ("levels", "small", "complementary"),
    [
        ({"en": 500, "es": 60, "zh": 20}, [], []),
        ({"en": 500, "es": 60, "zh": 20, "vi": 6}, ["vi"], ["zh"]),
        ({"en": 500, "es": 8, "vi": 6}, ["es", "vi"], []),
        ({"en": 500, "zh": 20, "es": 2, "vi": 3}, ["es", "vi"], ["zh"]),
        ({"en": 4, "vi": 3}, ["all", "en", "vi"], []),
    ],
)
def test_small_levels_and_their_complements_are_hidden(levels, small, complementary, kpis):
    """At least two levels and ten answers together are out of reach of a subtraction."""
    marks = marked(bases({"language": levels}), kpis)
    assert sorted(level for level, mark in marks.items() if mark == SMALL) == small
    assert sorted(level for level, mark in marks.items() if mark == COMPLEMENTARY) == complementary


@pytest.mark.parametrize(
    ("levels", "hidden"),
    [
        # Three bases below 10 that add up to 27 are 9 each, and those that add up to 26 are hardly less certain.
        ({"en": 500, "es": 60, "zh": 9, "vi": 9, "ko": 9}, {"zh", "vi", "ko", "es"}),
        ({"en": 500, "es": 60, "zh": 9, "vi": 9, "ko": 8}, {"zh", "vi", "ko", "es"}),
        ({"en": 500, "es": 60, "zh": 9, "vi": 8, "ko": 8}, {"zh", "vi", "ko"}),
        # The smallest shown group is no smaller than the hidden one beside it: of 16, ten and six.
        ({"en": 500, "es": 10, "zh": 10, "vi": 6}, {"vi", "es", "zh"}),
    ],
)
def test_marks_do_not_pin_a_base(levels, hidden, kpis):
    """What the marks and the order of hiding tell still leaves three bases possible."""
    assert set(marked(bases({"language": levels}), kpis)) == hidden


def test_segment_hidden_altogether_has_one_mark(kpis):
    """Otherwise two small groups of nine would be told by the mark and the total."""
    assert marked(bases({"language": {"en": 9, "vi": 9}}), kpis) == {"en": COMPLEMENTARY, "vi": COMPLEMENTARY}
    assert marked(bases({"language": {"en": 500, "vi": 9}}), kpis) == {"en": COMPLEMENTARY, "vi": COMPLEMENTARY}


def test_total_goes_where_its_levels_would_tell_each_other(kpis):
    """Ten levels of ten answers are one each, whatever is hidden of them."""
    levels = {f"level {i}": 1 for i in range(10)}
    assert len(marked(bases({"language": levels}), kpis)) == 11


def test_hidden_rows_keep_nothing_but_their_name(kpis):
    """Base, figure, method and note are gone; the shown rows keep theirs."""
    rows = bases({"language": {"en": 500, "es": 25, "zh": 12, "vi": 6}})
    rows = suppress(rows, kpis).set_index("level")
    assert rows.loc[["vi", "zh"], ["n", "value", "method", "note"]].isna().all(axis=None)
    assert rows.loc["en", ["n", "value", "method", "note"]].tolist() == [500, 1.0, "t", "a note"]
    assert rows["low_base"].to_dict() == {"all": False, "en": False, "es": True, "zh": False, "vi": False}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_no_subtraction_reaches_a_small_base(kpis, levels):
    """What the shown levels leave of the total is either nothing or at least ten answers of two levels."""
    rows = suppress(bases({"language": {f"level {i}": n for i, n in enumerate(levels)}}), kpis).set_index("level")
    levels, total = rows.drop(index="all"), rows.loc["all"]
    if total["suppressed"] != SHOWN:
        assert (levels["suppressed"] != SHOWN).all()
        return
    hidden = levels["suppressed"] != SHOWN
    assert hidden.sum() == 0 or (hidden.sum() > 1 and total["n"] - levels["n"].sum() >= 10)


# --- nested, crossed and partly equal segments ---------------------------------------------------


JOURNEY = {"stage": {"use": 120, "pay": 80}, "touchpoint": {"app": 70, "site": 44, "visit": 6, "bill": 30, "call": 50}}
STAGE_OF = {"app": "use", "site": "use", "visit": "use", "bill": "pay", "call": "pay"}


def journey_margins() -> list[Margin]:
    return find_margins(pd.DataFrame({"stage": STAGE_OF.values(), "touchpoint": STAGE_OF.keys()}))


def test_nested_levels_are_found():
    """Each stage is the sum of its touchpoints; a segment that shares all its levels with another adds nothing."""
    use, pay = (("stage", "use"),), (("stage", "pay"),)
    assert journey_margins() == [
        Margin(pay, (("touchpoint", "bill"), ("touchpoint", "call"))),
        Margin(use, (("touchpoint", "app"), ("touchpoint", "site"), ("touchpoint", "visit"))),
    ]
    mixed = pd.DataFrame({"region": ["north", "north", "south"], "plan": ["basic", "plus", "plus"]})
    assert find_margins(mixed) == []


def test_groups_that_are_equal_in_part_are_found():
    """Who has no record has neither region nor plan."""
    levels = pd.DataFrame({"region": ["north", "south", "none"], "plan": ["basic", "basic", "none"]})
    assert Margin((("region", "none"),), (("plan", "none"),)) in find_margins(levels)


def test_touchpoint_is_not_told_by_its_stage(kpis):
    """The smallest other touchpoint would do for the total, but not for the stage."""
    assert set(marked(bases(JOURNEY), kpis)) == {"visit", "bill"}
    assert set(marked(bases(JOURNEY), kpis, {PERIOD: journey_margins()})) == {"visit", "site"}


def test_equal_groups_are_hidden_together(kpis):
    """The region of those without a record is no secret while their plan shows."""
    rows = bases({"region": {"north": 60, "east": 40, "none": 5}, "plan": {"basic": 70, "plus": 30, "none": 5}})
    margins = [Margin((("region", "none"),), (("plan", "none"),))]
    hidden = suppress(rows, kpis, {PERIOD: margins}).query("suppressed != 'no'")
    assert set(zip(hidden["segment"], hidden["level"], strict=True)) == {
        *(("region", "none"), ("region", "east"), ("plan", "none"), ("plan", "plus"))
    }


def test_crossing_hides_whole_rectangles(kpis):
    """One small cell of a crossing takes a second one in its row, in its column, and the corner between them."""
    n = {"n | web": 60, "n | app": 40, "n | fax": 5, "e | web": 70, "e | app": 50, "e | fax": 30, "s | web": 80}
    n |= {"s | app": 90, "s | fax": 75}
    pairs = pd.DataFrame([cell.split(" | ") for cell in n], columns=["region", "channel"])
    sizes = pd.Series(list(n.values()))
    rows = bases(
        {"region*channel": n} | {name: sizes.groupby(pairs[name]).sum().to_dict() for name in ("region", "channel")}
    )
    margins = {PERIOD: find_margins(pairs.assign(**{"region*channel": list(n)}))}
    assert set(marked(rows, kpis, margins)) == {"n | fax", "n | app", "e | fax", "e | app"}


def test_sum_that_does_not_hold_is_left_out(kpis):
    """A margin of the table need not be one of each KPI on it."""
    margins = [Margin((("stage", "use"),), (("touchpoint", "visit"),))]
    assert marked(bases(JOURNEY), kpis, {PERIOD: margins}) == marked(bases(JOURNEY), kpis)


# --- figures -------------------------------------------------------------------------------------


def test_hidden_groups_are_not_all_of_one_mind(kpis):
    """Where all the rest are promoters, a level with other answers goes too; a total of promoters says so itself."""
    levels = {"en": 500, "es": 60, "zh": 20, "vi": 6}
    top = {"all": 500, "en": 420, "es": 54, "zh": 20, "vi": 6}
    rows = bases({"language": levels}, n_bottom=0)
    assert set(marked(rows.assign(n_top=rows["level"].map(top)), kpis)) == {"vi", "zh", "es"}
    assert set(marked(rows.assign(n_top=rows["n"]), kpis)) == {"vi", "zh"}


def test_kpis_on_the_same_answers_are_hidden_together(kpis):
    """The base of one would be the base of the other; the stricter limit holds."""
    strict = kpis["nps"].model_copy(update={"id": "strict", "minimum_base": Base(suppress=25, warn=30)})
    rows = bases({"language": {"en": 500, "es": 60, "zh": 20}})
    both = pd.concat([rows, rows.assign(kpi="strict")], ignore_index=True)
    protected = suppress(both, kpis | {"strict": strict})
    hidden = protected[protected["suppressed"] != SHOWN]
    assert hidden.groupby("kpi")["level"].agg(set).to_dict() == {"nps": {"zh", "es"}, "strict": {"zh", "es"}}


def test_order_of_rows_does_not_matter(kpis):
    """The same rows in another order get the same marks."""
    rows = bases(JOURNEY)
    margins = {PERIOD: journey_margins()}
    shuffled = suppress(rows.sample(frac=1, random_state=1), kpis, margins).sort_index()
    pd.testing.assert_frame_equal(shuffled, suppress(rows, kpis, margins))


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=4))
def test_no_hidden_touchpoint_is_alone_in_its_stage(kpis, stages):
    """In a shown stage either no touchpoint is hidden or several, of ten answers or more."""
    parts = {f"{i}.{j}": n for i, several in enumerate(stages) for j, n in enumerate(several)}
    rows = bases({"stage": {str(i): sum(several) for i, several in enumerate(stages)}, "touchpoint": parts})
    margins = find_margins(pd.DataFrame({"stage": [name[0] for name in parts], "touchpoint": list(parts)}))
    protected = suppress(rows, kpis, {PERIOD: margins}).assign(true=rows["n"])
    hidden = protected[(protected["segment"] == "touchpoint") & (protected["suppressed"] != SHOWN)]
    shown = protected[(protected["segment"] == "stage") & (protected["suppressed"] == SHOWN)]["level"]
    for _, group in hidden[hidden["level"].str[0].isin(shown)].groupby(hidden["level"].str[0]):
        assert len(group) > 1
        assert group["true"].sum() >= 10


# --- earlier issues ------------------------------------------------------------------------------


@pytest.fixture
def issued(kpis) -> pd.DataFrame:
    """An issue that hides two of three languages."""
    return suppress(bases({"language": {"en": 500, "es": 20, "vi": 6}}), kpis)


def test_first_issue_stays_as_it_is(kpis):
    """Without an earlier issue nothing changes."""
    rows = bases({"language": {"en": 500, "vi": 30}})
    pd.testing.assert_frame_equal(apply_issued(rows, kpis, []).drop(columns="issued"), rows)


def test_late_answers_leave_issued_figures_alone(kpis, issued):
    """One more answer would be the difference of two issues."""
    late = bases({"language": {"en": 501, "es": 20, "vi": 6}, "region": {"north": 300, "south": 227}})
    protected = suppress(apply_issued(late, kpis, [issued]), kpis)
    columns = ["segment", "level", "n", "suppressed", "low_base"]
    pd.testing.assert_frame_equal(protected[columns], issued[columns], check_dtype=False)


def test_answers_that_only_hidden_groups_gained_leave_issued_figures_alone(kpis, issued):
    """They show in the total."""
    late = bases({"language": {"en": 500, "es": 21, "vi": 6}})
    assert apply_issued(late, kpis, [issued]).set_index("level")["n"].to_dict() == pytest.approx(
        {"all": 526, "en": 500, "es": np.nan, "vi": np.nan}, nan_ok=True
    )


def test_hidden_stays_hidden_while_new_segments_join(kpis, issued):
    """Unchanged figures keep their marks, even where the limit is lower now, and new levels are protected with them."""
    now = bases({"language": {"en": 500, "es": 20, "vi": 6}, "region": {"north": 300, "south": 222, "east": 4}})
    lower = {"nps": kpis["nps"].model_copy(update={"minimum_base": Base(suppress=5, warn=30)})}
    assert marked(apply_issued(now, lower, [issued]), lower) == {
        "es": COMPLEMENTARY,
        "vi": SMALL,
        "east": SMALL,
        "south": COMPLEMENTARY,
    }


def test_shown_cells_are_not_hidden_again(kpis):
    """What was shown is out; the new cells that it would tell of must do without it."""
    stage = suppress(bases({"stage": JOURNEY["stage"]}), kpis)
    now = apply_issued(bases(JOURNEY), kpis, [stage])
    assert set(marked(now, kpis, {PERIOD: journey_margins()})) == {"visit", "site"}


def test_new_periods_join_beside_issued_ones(kpis, issued):
    """Only the issued period is kept back."""
    late = bases({"language": {"en": 501, "es": 20, "vi": 6}})
    now = pd.concat([late, late.assign(period="2026-10")], ignore_index=True)
    kept = apply_issued(now, kpis, [issued])
    assert kept[kept["level"] == "en"].set_index("period")["n"].to_dict() == {"2026-09": 500, "2026-10": 501}


def test_group_that_appears_late_stays_out(kpis, issued):
    """A new level of an issued segment is a late answer too, whatever it does to the total."""
    now = bases({"language": {"en": 500, "es": 20, "vi": 5, "zh": 1}})
    assert "zh" not in set(apply_issued(now, kpis, [issued])["level"])


def test_kpi_that_joins_on_issued_answers_waits_where_they_changed(kpis, issued):
    """Its base would tell how many answers were late."""
    late = bases({"language": {"en": 501, "es": 20, "vi": 6}})
    both = pd.concat([late, late.assign(kpi="nps_weighted")], ignore_index=True)
    assert set(apply_issued(both, kpis, [issued])["kpi"]) == {"nps"}
    unchanged = bases({"language": {"en": 500, "es": 20, "vi": 6}})
    both = pd.concat([unchanged, unchanged.assign(kpi="nps_weighted")], ignore_index=True)
    protected = suppress(apply_issued(both, kpis, [issued]), kpis).query("suppressed != 'no'")
    assert protected.groupby("kpi")["level"].agg(set).to_dict() == {k: {"es", "vi"} for k in ("nps", "nps_weighted")}


def test_what_issued_figures_would_tell_is_left_out(kpis):
    """An issued stage of promoters only would tell the figure of each of its touchpoints; the shown stage stays."""
    scored = {"n_top": 200, "n_bottom": 0}
    stages = bases({"stage": {"use": 120, "pay": 80}}, **scored)
    stages["n_top"] = stages["level"].map({"all": 150, "use": 120, "pay": 30})
    first = suppress(stages, kpis)
    now = bases(JOURNEY, **scored)
    now["n_top"] = now["n"].where(~now["level"].isin(["all", "pay", "bill", "call"]), now["n"] - 50)
    now["n_top"] = now["n_top"].mask(now["level"] == "bill", 15).mask(now["level"] == "call", 15)
    protected = suppress(apply_issued(now, kpis, [first]), kpis, {PERIOD: journey_margins()})
    assert protected[["level", "n", "suppressed"]].to_numpy().tolist() == [
        ["all", 200, SHOWN],
        ["use", 120, SHOWN],
        ["pay", 80, SHOWN],
    ]


# --- KPIs on part of the answers of others -------------------------------------------------------


@pytest.fixture
def parts(kpis):
    """A KPI of three metrics, and one of each."""
    metrics = {"all three": ["a", "b", "c"], "only a": "a", "only b": "b", "only c": "c"}
    return {name: kpis["nps"].model_copy(update={"id": name, "where": {"metric": of}}) for name, of in metrics.items()}


def counted(languages: dict[str, dict[str, int]]) -> pd.DataFrame:
    """Return rows of several KPIs with these bases by language."""
    return pd.concat([bases({"language": n}).assign(kpi=kpi) for kpi, n in languages.items()], ignore_index=True)


def marks_of(rows: pd.DataFrame, kpis) -> dict[str, set[str]]:
    """Return what is hidden, by KPI."""
    hidden = suppress(rows, kpis).query("suppressed != 'no'")
    return hidden.groupby("kpi")["level"].agg(set).to_dict()


def test_rest_of_a_wider_kpi_is_not_small(parts):
    """Spanish answers to other questions would be 4: the narrower base goes, and a second one beside it."""
    rows = counted({"all three": {"en": 500, "es": 64, "zh": 90}, "only a": {"en": 200, "es": 60, "zh": 50}})
    assert marks_of(rows, parts) == {"only a": {"es", "zh"}}
    enough = counted({"all three": {"en": 500, "es": 70, "zh": 90}, "only a": {"en": 200, "es": 60, "zh": 50}})
    assert marks_of(enough, parts) == {}


def test_rest_of_a_total_is_not_small(parts):
    """Four answers to other questions in all: the narrower KPI is not shown at all."""
    rows = counted({"all three": {"en": 500, "es": 64}, "only a": {"en": 497, "es": 63}})
    assert marks_of(rows, parts) == {"only a": {"all", "en", "es"}}


def test_last_part_of_a_wider_kpi_is_no_subtraction(parts):
    """Where three KPIs add up to a fourth, a hidden base of one takes a second KPI with it."""
    rows = counted(
        {
            "all three": {"en": 600, "es": 126, "zh": 150},
            "only a": {"en": 200, "es": 60, "zh": 50},
            "only b": {"en": 200, "es": 60, "zh": 50},
            "only c": {"en": 200, "es": 6, "zh": 50},
        }
    )
    hidden = marks_of(rows, parts)
    assert "es" in hidden["only c"]
    assert sum("es" in levels for levels in hidden.values()) > 1


def test_kpis_that_only_share_a_table_do_not_touch_each_other(parts):
    """What one metric hides says nothing of another one without a KPI of both."""
    rows = counted({"only a": {"en": 500, "es": 64, "zh": 30}, "only b": {"en": 200, "es": 60, "zh": 6}})
    assert set(marks_of(rows, parts)) == {"only b"}


def test_order_of_kpis_does_not_matter(parts):
    """Rows of several KPIs in another order get the same marks."""
    rows = counted({"all three": {"en": 500, "es": 64, "zh": 90}, "only a": {"en": 200, "es": 60, "zh": 50}})
    shuffled = suppress(rows.sample(frac=1, random_state=2), parts).sort_index()
    pd.testing.assert_frame_equal(shuffled, suppress(rows, parts))


def test_narrower_kpi_joins_issued_figures_only_where_it_leaves_no_few(parts):
    """The wider figure is out: the narrower one must do without the level, or is left out."""
    wide = counted({"all three": {"en": 500, "es": 64, "zh": 90}})
    both = counted({"all three": {"en": 500, "es": 64, "zh": 90}, "only a": {"en": 200, "es": 60, "zh": 50}})
    issue = suppress(wide, parts)
    assert marks_of(apply_issued(both, parts, [issue]), parts) == {"only a": {"es", "zh"}}


def test_complement_leaves_several_and_no_few():
    """One part alone is a subtraction, and so are two that hold few."""
    n = pd.Series([50.0, 3, 4, 12])
    assert complement(n, (n < 5).to_numpy(), 69, 10).tolist() == [False, True, True, True]
    assert complement(n, np.zeros(4, dtype=bool), 69, 10).tolist() == [False] * 4
