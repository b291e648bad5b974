"""Rate and mix add up to the change, and small groups stay out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.measure.mix import decompose, kitagawa
from cxreport.periods import Period

SEPTEMBER = Period.parse("2026-09")
levels = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 500), st.floats(-100, 100), st.floats(-100, 100)),
    min_size=1,
    max_size=6,
).filter(lambda rows: sum(row[0] for row in rows) > 0 and sum(row[1] for row in rows) > 0)


@given(levels)
def test_effects_add_up_to_the_change(rows):
    """Whatever enters or leaves."""
    n_1, n_2, value_1, value_2 = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    value_1[n_1 == 0], value_2[n_2 == 0] = np.nan, np.nan
    frame = pd.DataFrame(
        {"share_before": n_1 / n_1.sum(), "value_before": value_1, "share_after": n_2 / n_2.sum()}
        | {"value_after": value_2}
    )
    change = np.nansum(frame["share_after"] * value_2) - np.nansum(frame["share_before"] * value_1)
    effects = kitagawa(frame)
    assert effects.to_numpy().sum() == pytest.approx(change, abs=1e-9)
    crossed = (n_1 == 0) | (n_2 == 0)
    assert (effects.loc[crossed, ["rate_effect", "mix_effect"]] == 0).all(axis=None)
    assert (effects.loc[~crossed, "entered_left_effect"] == 0).all()


def test_simpsons_fall_is_mix():
    """The pooled net falls by 42.5 points while no segment falls: -44.2 mix, +1.7 rate."""
    frame = pd.DataFrame(
        {"share_before": [0.8, 0.2], "value_before": [50.0, -30.0], "share_after": [0.2, 0.8]}
        | {"value_after": [50.0, -25.0]}
    )
    effects = kitagawa(frame).sum()
    assert effects["mix_effect"] == pytest.approx(-0.6 * (50 + 27.5))
    assert effects["rate_effect"] == pytest.approx(0.5 * 5)


def estimates(bases: dict[str, tuple[int, int]]) -> pd.DataFrame:
    rows = [
        {"period": month, "segment": "channel", "level": level, "weight_sum": n[i], "n": n[i], "value": 10.0 * i + n[0]}
        for i, month in enumerate(("2026-08", "2026-09"))
        for level, n in bases.items()
        if n[i]
    ]
    totals = [
        {"period": month, "segment": "all", "level": "all", "weight_sum": sum(n[i] for n in bases.values())}
        | {"value": sum(n[i] * (10.0 * i + n[0]) for n in bases.values()) / sum(n[i] for n in bases.values())}
        for i, month in enumerate(("2026-08", "2026-09"))
        if any(n[i] for n in bases.values())
    ]
    return pd.DataFrame([*totals, *rows]).assign(question="")


def test_hidden_levels_show_only_their_mark(kpis):
    """A level that is hidden on either side gives away neither share, figure nor effect."""
    rows = estimates({"web": (100, 80), "app": (60, 70), "fax": (5, 40)})
    marks = pd.Series("no", index=rows.index)
    marks[(rows["level"] == "fax") & (rows["period"] == "2026-08")] = "small base"
    marks[(rows["level"] == "app") & (rows["period"] == "2026-08")] = "complementary"
    table = decompose(rows, marks, kpis["nps"], ["channel"], SEPTEMBER).set_index("level")
    assert table["suppressed"].to_dict() == {"app": "complementary", "fax": "small base", "web": "no", "all": "no"}
    figures = table.drop(columns=["kpi", "period", "segment", "suppressed"])
    assert figures.loc[["app", "fax"]].isna().all(axis=None)
    effects = table.loc["all", ["rate_effect", "mix_effect", "entered_left_effect"]]
    assert effects.sum() == pytest.approx(table.loc["all", "value_after"] - table.loc["all", "value_before"])


def test_totals_tell_nothing_that_a_subtraction_does_not(kpis):
    """However the hidden answers fall on the hidden levels, what is shown stays the same."""
    tables = []
    for app, fax in (((60, 70), (5, 40)), ((61, 60), (4, 50))):
        rows = estimates({"web": (100, 80), "app": app, "fax": fax})
        is_total, is_hidden = rows["segment"] == "all", rows["level"].isin(["app", "fax"])
        rows.loc[is_total, "value"] = 75.0
        marks = pd.Series(np.where(is_hidden, "small base", "no"), index=rows.index)
        tables.append(decompose(rows, marks, kpis["nps"], ["channel"], SEPTEMBER))
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(("kpi", "hidden"), [("nps", True), ("resolution_time", False)])
def test_nothing_is_split_without_a_shown_total_that_is_a_mean(kpi, hidden, kpis):
    """A hidden total and a median have no rows."""
    rows = estimates({"web": (4, 3), "app": (2, 3)})
    marks = pd.Series("small base" if hidden else "no", index=rows.index)
    assert decompose(rows, marks, kpis[kpi], ["channel"], SEPTEMBER).empty


def test_first_period_has_nothing_to_split(kpis):
    """Without a previous period there is no change."""
    rows = estimates({"web": (40, 30)}).query("period == '2026-09'")
    assert decompose(rows, pd.Series("no", index=rows.index), kpis["nps"], ["channel"], SEPTEMBER).empty
