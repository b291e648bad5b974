"""Whether an improvement worked: the change of a KPI where it was made, less the change everywhere else.

Difference in differences (Card and Krueger 1994, American Economic Review 84:772-793; Angrist and Pischke 2009, Mostly
Harmless Econometrics, chapter 5.2). What moves everybody alike, such as a season or a price, drops out. It is a fair
comparison, not an experiment, with these limits:

- both sides must have moved alike without the action; that they did before it is checked, that they would have after it
  is assumed
- whatever else began at the same place and time is counted with the action, and actions among everybody else against
  it (those known are left out, see `analyses.improvements`)
- a group that was chosen because it scored badly gets better by itself (regression to the mean; Barnett, van der Pols
  and Dobson 2005, International Journal of Epidemiology 34:215-220)
- customers who hear of an action, or of several, may change everywhere
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from cxreport.config import Kpi
from cxreport.engine import wrap
from cxreport.errors import UsageError
from cxreport.measure.compare import benjamini_hochberg, correlate
from cxreport.measure.intervals import infer
from cxreport.measure.reduce import overlap, reduce

IMPROVED, WORSENED, NO_CHANGE = "improved", "worsened", "no detectable change"
TOO_EARLY, TOO_FEW, NOT_COMPARED = "too early", "too few answers", "not compared"

# The four cells, and how each counts in the effect.
_SIGNS = {"before": -1.0, "after": 1.0, "rest_before": 1.0, "rest_after": -1.0}


class Effect(NamedTuple):
    """The effect of an action in the KPI's unit (shares 0-1), and what it is made of.

    `cells` has the rows `before`, `after`, `rest_before` and `rest_after` with the columns of `intervals.infer`; a cell
    without answers is null and has the base 0. Without an interval in each of them there is no effect, and all is NaN.
    """

    cells: pd.DataFrame
    value: float
    ci_low: float
    ci_high: float
    p_value: float


def effect(answers: pd.DataFrame, kpi: Kpi, *, confidence: float = 0.95) -> Effect:
    """Compare the change of a KPI in one group with its change in everybody else.

    Each of the four figures is the KPI's own, with its own interval. The interval of the effect is put together from
    these four (MOVER: Zou and Donner 2008, Statistics in Medicine 27:1693-1702), which for a single difference of
    shares is Newcombe's. Customers who answered in several of the four make them alike; their correlations, of answers
    clustered by customer, are those of `compare.correlate`. The p-value is that of a normal distribution as wide as
    the interval's side towards zero, so that at this confidence test and interval agree.

    Parameters
    ----------
    answers
        Rows of the KPI's table with the flags `in_group` and `is_after`.
    kpi
        A net, share or mean over answers.

    Raises
    ------
    UsageError
        For missing flags; as `reduce` does.

    >>> kpi = Kpi(title="CSAT", short="CSAT", answers="?", type="share", table="answers", top=[1], unit="percent",
    ...           scale={"low": 0, "high": 1, "good": "high"}, numerator="n", denominator="d", interval="wilson",
    ...           higher_is_better=True, owner="o", checker="c", reviewed="2026-01-01", next_review="2027-01-01")
    >>> scores = [1] * 50 + [0] * 50 + [1] * 80 + [0] * 20 + [1] * 60 + [0] * 40 + [1] * 65 + [0] * 35
    >>> answers = pd.DataFrame({"score": scores, "in_group": [True] * 200 + [False] * 200,
    ...                         "is_after": ([False] * 100 + [True] * 100) * 2, "scale_low": 0, "scale_high": 1,
    ...                         "scale_good": "high"})
    >>> round(effect(answers, kpi).value, 3)
    0.25
    """
    if missing := [name for name in ("in_group", "is_after") if name not in answers]:
        raise UsageError(
            found=f"answers without {' and '.join(missing)}",
            expected="both flags",
            do="say who is in the group, and when",
        )
    sides = np.where(answers["in_group"], "", "rest_")
    rows = answers.assign(period=sides + np.where(answers["is_after"], "after", "before").astype(object))
    if kpi.cluster not in {None, *rows.columns}:
        kpi = kpi.model_copy(update={"cluster": None})
    reduced = reduce(wrap(rows), kpi, ["period"], confidence)
    figures = infer(reduced, kpi, confidence).assign(weight_sum=reduced["w"], period=reduced["period"])
    cells = figures.set_index("period").reindex(list(_SIGNS))
    cells["n"] = cells["n"].fillna(0).astype("int64")
    if cells["ci_low"].isna().any():
        return Effect(cells, np.nan, np.nan, np.nan, np.nan)
    value = float((cells["value"] * pd.Series(_SIGNS)).sum())
    below, above = _distances(cells, _correlations(rows, figures, kpi))
    towards_zero = below if value > 0 else above
    deviate = stats.norm.ppf((1 + confidence) / 2) * abs(value) / towards_zero if towards_zero > 0 else np.nan
    return Effect(cells, value, value - below, value + above, float(2 * stats.norm.sf(deviate)))


def _correlations(rows: pd.DataFrame, figures: pd.DataFrame, kpi: Kpi) -> pd.DataFrame:
    """Return how much the four figures are alike because the same customers answered."""
    rho = pd.DataFrame(np.eye(len(_SIGNS)), index=list(_SIGNS), columns=list(_SIGNS))
    if kpi.cluster is None:
        return rho
    # Each pair of cells is a level of its own, with two periods, so that one pass serves all of them.
    pairs = {f"{one} {other}": {"one": one, "other": other} for one, other in combinations(_SIGNS, 2)}
    cells = [(pair, side, cell) for pair, sides in pairs.items() for side, cell in sides.items()]
    apart = [rows[rows["period"] == cell].assign(period=side, pair=pair) for pair, side, cell in cells]
    known = [figures[figures["period"] == cell].assign(period=side, level=pair) for pair, side, cell in cells]
    shared = overlap(wrap(pd.concat(apart, ignore_index=True)), kpi, "one", "other", {"pair": "pair"})
    keyed = pd.concat(known, ignore_index=True).assign(question="", segment="pair")
    found = correlate(shared, keyed, kpi, "one", "other")
    for pair, value in zip(found["level"], found["rho"], strict=True):
        one, other = pairs[pair].values()
        rho.loc[one, other] = rho.loc[other, one] = value
    return rho


def _distances(cells: pd.DataFrame, rho: pd.DataFrame) -> tuple[float, float]:
    """Return how far the interval of the effect reaches below and above it."""
    sign = np.array(list(_SIGNS.values()))
    value, low, high = (cells[name].to_numpy(dtype=float) for name in ("value", "ci_low", "ci_high"))
    # An interval need not hold its value: adjusted Wald is centred elsewhere.
    down, up = np.maximum(value - low, 0), np.maximum(high - value, 0)
    below, above = sign * np.where(sign > 0, down, up), sign * np.where(sign > 0, up, down)
    reach = [float(np.sqrt(max(end @ rho.to_numpy() @ end, 0))) for end in (below, above)]
    return reach[0], reach[1]


def judge(rows: pd.DataFrame, kpi: Kpi, *, confidence: float = 0.95) -> pd.DataFrame:
    """Add `q_value` (Benjamini-Hochberg over all actions that were tested) and the verdicts on tested actions.

    Parameters
    ----------
    rows
        One row per action: `effect`, `ci_low`, `ci_high`, `p_value` (null where it was not tested) and `verdict`, which
        rows without a test keep.
    """
    error = 1 - confidence
    q_value = benjamini_hochberg(rows["p_value"])
    detected = (q_value < error) & ((rows["ci_low"] > 0) | (rows["ci_high"] < 0))
    is_good = (rows["effect"] > 0) == kpi.higher_is_better
    word = np.where(detected, np.where(is_good, IMPROVED, WORSENED), NO_CHANGE)
    return rows.assign(q_value=q_value, verdict=rows["verdict"].astype(object).mask(rows["p_value"].notna(), word))
