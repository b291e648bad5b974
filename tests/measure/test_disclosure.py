"""Small groups stay hidden, also from subtraction."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.config import Project, load_kpis
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL, suppress

KEYS = {"kpi": "nps", "question": "", "period": "2026-09", "period_kind": "month"}


def suppressed(bases: dict[str, int], kpis) -> pd.DataFrame:
    """Suppress one segment with these bases, its total first."""
    rows = [{"segment": "all", "level": "all", "n": sum(bases.values())}]
    rows += [{"segment": "language", "level": level, "n": n} for level, n in bases.items()]
    frame = pd.DataFrame(rows).assign(**KEYS, value=1.0, note="a note", method="t")
    return suppress(frame, kpis).set_index("level")


@pytest.mark.parametrize(
    ("bases", "small", "complementary"),
    [
        ({"en": 500, "es": 60, "zh": 20}, [], []),
        ({"en": 500, "es": 60, "zh": 20, "vi": 6}, ["vi"], ["zh"]),
        ({"en": 500, "es": 8, "vi": 6}, ["es", "vi"], []),
        ({"en": 500, "zh": 20, "es": 2, "vi": 3}, ["es", "vi"], ["zh"]),
        ({"en": 500, "vi": 9}, ["vi"], ["en"]),
        ({"en": 4, "vi": 3}, ["all", "en", "vi"], []),
    ],
)
def test_small_levels_and_their_complements_are_hidden(bases, small, complementary, kpis):
    """At least two levels and ten answers together are out of reach of a subtraction."""
    marks = suppressed(bases, kpis)["suppressed"]
    assert sorted(marks.index[marks == SMALL]) == small
    assert sorted(marks.index[marks == COMPLEMENTARY]) == complementary


def test_hidden_rows_keep_nothing_but_their_name(kpis):
    """Base, figure, method and note are gone; the shown rows keep theirs."""
    rows = suppressed({"en": 500, "es": 25, "zh": 12, "vi": 6}, kpis)
    assert rows.loc[["vi", "zh"], ["n", "value", "method", "note"]].isna().all(axis=None)
    assert rows.loc["en", ["n", "value", "method", "note"]].tolist() == [500, 1.0, "t", "a note"]
    assert rows["low_base"].to_dict() == {"all": False, "en": False, "es": True, "zh": False, "vi": False}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_no_subtraction_reaches_a_small_base(root, bases):
    """What the shown levels leave of the total is either nothing or at least ten answers of two levels."""
    kpis = load_kpis(Project(root), ["nps"])
    rows = suppressed({f"level {i}": n for i, n in enumerate(bases)}, kpis)
    levels, total = rows.drop(index="all"), rows.loc["all"]
    if total["suppressed"] != SHOWN:
        assert (levels["suppressed"] != SHOWN).all()
        return
    hidden = levels["suppressed"] != SHOWN
    assert hidden.sum() == 0 or (hidden.sum() > 1 and total["n"] - levels["n"].sum() >= 10)
