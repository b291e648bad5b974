"""Chart rules fire where they should and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from cxreport.measure.trend import Limits, add_limits, signals, xmr_limits
from cxreport.periods import Period

LIMITS = Limits(-3.0, 0.0, 3.0)
SEPTEMBER = Period.parse("2026-09")


@pytest.mark.parametrize(
    ("values", "last"),
    [
        ([0, 0, 3.1], "above the usual range"),
        ([0, 0, -3.1], "below the usual range"),
        ([0, 1, 1, 1, 1, 1, 1], None),
        ([1, 0.5, 1, 0.5, 1, 0.5, 1], "7 in a row above the usual middle"),
        ([-1, -0.5, -1, -0.5, -1, -0.5, -1], "7 in a row below the usual middle"),
        ([-1.5, -1, -0.5, 0.1, 0.5, 1, 1.5], "7 in a row rising"),
        ([1.5, 1, 0.5, -0.1, -0.5, -1, -1.5], "7 in a row falling"),
        ([-1, -0.5, 0.1, 0.5, 1, 1.5], None),
        ([2.5, 1, 2.5], "2 of 3 near the upper limit"),
        ([-2.5, -1, -2.5], "2 of 3 near the lower limit"),
        ([2.5, -1, 2.5], None),
        ([2.5, 2.5, 1], None),
        ([2.0, 1, 2.0], None),
    ],
)
def test_each_rule_fires_on_the_point_that_completes_it(values, last):
    """Beyond the limits, seven on one side, seven rising or falling, two of three in the outer third."""
    assert signals(values, LIMITS)[-1] == last
    assert not any(signals(values[:-1], LIMITS))


def series(values: list[float], last: str = "2026-09") -> pd.DataFrame:
    months = [Period.parse(last).shift(step).id for step in range(1 - len(values), 1)]
    keys = {"kpi": "csat", "question": "", "segment": "all", "level": "all"}
    return pd.DataFrame({"period": months, "value": values}).assign(**keys)


def test_limits_need_twelve_earlier_points(kpis):
    """The reported month is judged by the past and does not shape its own limits."""
    values = [0.8, 0.81] * 6
    assert add_limits(series(values), kpis, SEPTEMBER)["usual_mid"].isna().all()
    rows = add_limits(series([*values, 0.5]), kpis, SEPTEMBER)
    assert rows["usual_mid"].tolist() == pytest.approx([0.805] * 13)
    assert rows["signal"].isna().tolist() == [True] * 12 + [False]
    assert rows["signal"].iloc[-1] == "below the usual range"


def test_limits_stay_within_the_range_of_the_figure(kpis):
    """A share cannot usually be above one."""
    rows = add_limits(series([0.99, 0.9] * 7), kpis, SEPTEMBER)
    assert rows["usual_high"].eq(1).all()


def test_hidden_figures_take_no_part(kpis):
    """A suppressed month leaves no trace in limits or signals."""
    values = [0.8, 0.81] * 7
    rows = add_limits(series([*values, np.nan, 0.8]), kpis, SEPTEMBER)
    assert rows["usual_low"].isna().tolist() == [False] * 14 + [True, False]
    assert rows["usual_low"].iloc[0] == pytest.approx(xmr_limits(values).low)


def test_flat_series_signals_any_other_value():
    """Without any moving range every departure is unusual, and nothing divides by zero."""
    limits = xmr_limits([5.0] * 12)
    assert limits == (5, 5, 5)
    assert signals([5.0, 5.1], limits) == [None, "above the usual range"]
