"""Protect small groups: hide small bases, and whatever would let a reader work them out by subtraction."""

import pandas as pd

from cxreport.config import Kpi
from cxreport.schema import TOTAL

SHOWN, SMALL, COMPLEMENTARY = "no", "small base", "complementary"


def suppress(rows: pd.DataFrame, kpis: dict[str, Kpi]) -> pd.DataFrame:
    """Mark rows that must be hidden, remove everything that was computed for them, and mark low bases.

    A row on fewer answers than its KPI's `suppress` is hidden as "small base". The levels of a segment add up to the
    total, so further levels are hidden as "complementary", smallest first, until at least two are hidden and
    together they hold at least `suppress` answers. `low_base` marks shown rows below the KPI's `warn`.

    Parameters
    ----------
    rows
        One row per `kpi`, `question`, `period`, `segment`, `level`, with `n` and any figures.
    """
    limit = rows["kpi"].map({kpi_id: kpi.minimum_base.suppress for kpi_id, kpi in kpis.items()})
    warn = rows["kpi"].map({kpi_id: kpi.minimum_base.warn for kpi_id, kpi in kpis.items()})
    reason = pd.Series(SHOWN, index=rows.index, dtype=object).mask(rows["n"] < limit, SMALL)
    breakdown = ["kpi", "question", "period", "segment"]
    is_level = rows["segment"] != TOTAL
    needs_care = (reason != SHOWN).groupby([rows[name] for name in breakdown]).transform("any") & is_level
    for _, levels in rows[needs_care].groupby(breakdown, sort=False):
        reason[levels.index] = _complement(levels, reason[levels.index], int(limit[levels.index[0]]))
    is_hidden = reason != SHOWN
    named = ["kpi", "question", "period", "period_kind", "segment", "level"]
    protected = rows.assign(**rows.drop(columns=named, errors="ignore").mask(is_hidden))
    return protected.assign(suppressed=reason, low_base=~is_hidden & (rows["n"] < warn))


def _complement(levels: pd.DataFrame, reason: pd.Series, limit: int) -> pd.Series:
    """Hide further levels until the hidden ones cannot be told apart from the total."""
    reason = reason.copy()
    for row in levels.sort_values(["n", "level"]).index:
        hidden = reason != SHOWN
        if hidden.sum() > 1 and levels.loc[hidden, "n"].sum() >= limit:
            break
        if not hidden[row]:
            reason[row] = COMPLEMENTARY
    return reason
