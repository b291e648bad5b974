"""Why a figure moved: did the groups change, or how many answers each of them gave."""

import numpy as np
import pandas as pd

from cxreport.config import Kpi
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL
from cxreport.periods import Period
from cxreport.schema import TOTAL

_SIDES = ["share_before", "share_after", "value_before", "value_after"]
EFFECTS = ["rate_effect", "mix_effect", "entered_left_effect"]


def kitagawa(shares_and_values: pd.DataFrame) -> pd.DataFrame:
    """Split the change of a pooled figure into rate and mix (Kitagawa 1955, JASA 50:1168-1194, symmetric weights).

    Parameters
    ----------
    shares_and_values
        One row per level: `share_before`, `share_after` (0-1, each adding up to 1) and `value_before`, `value_after`;
        share 0 and a missing value where a level is absent.

    Returns
    -------
    DataFrame
        `rate_effect`, `mix_effect` and `entered_left_effect` per level. The sum of all three over all levels is
        the change of the pooled figure exactly. A level on one side only has no rate on the other, so all of its
        part stands under entered or left. Mix parts are centred on the mean of both pooled figures: a level that
        grows adds only as far as it differs from that.

    >>> levels = pd.DataFrame({"share_before": [0.7, 0.3], "value_before": [0.9, 0.4],
    ...                        "share_after": [0.6, 0.4], "value_after": [0.9, 0.4]})
    >>> kitagawa(levels).sum().round(6).tolist()
    [0.0, -0.05, 0.0]
    """
    share_1, share_2, value_1, value_2 = (shares_and_values[name] for name in _SIDES)
    part_1, part_2 = (share_1 * value_1).fillna(0), (share_2 * value_2).fillna(0)
    centre = (part_1.sum() + part_2.sum()) / 2
    stays = (share_1 > 0) & (share_2 > 0)
    moved = (share_2 - share_1) * ((value_1 + value_2) / 2 - centre)
    crossed = part_2 - share_2 * centre - (part_1 - share_1 * centre)
    return pd.DataFrame(
        {
            "rate_effect": ((share_1 + share_2) / 2 * (value_2 - value_1)).where(stays, 0.0),
            "mix_effect": moved.where(stays, 0.0),
            "entered_left_effect": crossed.where(~stays, 0.0),
        }
    )


def decompose(rows: pd.DataFrame, marks: pd.Series, kpi: Kpi, segments: list[str], period: Period) -> pd.DataFrame:
    """Return the rows of `schema.MIX` for the change of one KPI since the previous period.

    Parameters
    ----------
    rows
        Unprotected estimates of the KPI with `weight_sum`, the answers' total weight.
    marks
        `suppressed` of the same rows; rows without it are left out. A level hidden on either side shows nothing but
        its mark here, and the totals count all hidden levels as one, so that they tell no more than a subtraction.

    A quantile is no mean of its parts, so it has no rows; neither has a total that is hidden or that has no previous
    figure.
    """
    rows = rows.assign(suppressed=marks.reindex(rows.index)).dropna(subset="suppressed")
    is_compared = rows["period"].isin([period.previous.id, period.id])
    hides_total = (rows.loc[is_compared & (rows["segment"] == TOTAL), "suppressed"] != SHOWN).any()
    if kpi.type == "quantile" or hides_total:
        return pd.DataFrame()
    pooled = rows[rows["question"] == ""]
    totals = pooled[pooled["segment"] == TOTAL].set_index("period")
    parts = []
    for segment in segments:
        chosen = pooled[pooled["segment"] == segment]
        sides = [chosen[chosen["period"] == which.id].set_index("level") for which in (period.previous, period)]
        if not any(side.empty for side in sides):
            parts.append(_decompose_segment(sides, totals.loc[[period.previous.id, period.id]], segment))
    if not parts:
        return pd.DataFrame()
    return pd.concat(parts, ignore_index=True).assign(kpi=kpi.id, period=period.id)


def _decompose_segment(sides: list[pd.DataFrame], totals: pd.DataFrame, segment: str) -> pd.DataFrame:
    levels = sides[0].index.union(sides[1].index)
    marks = pd.concat([side["suppressed"] for side in sides])
    is_small, is_complementary = (levels.isin(marks.index[marks == mark]) for mark in (SMALL, COMPLEMENTARY))
    is_hidden = is_small | is_complementary
    table = pd.DataFrame(index=levels)
    total: dict[str, float] = {}
    for name, side, whole in zip(("before", "after"), sides, totals.to_dict("records"), strict=True):
        table[f"share_{name}"] = (side["weight_sum"] / whole["weight_sum"]).reindex(levels, fill_value=0.0)
        table[f"value_{name}"] = side["value"].reindex(levels)
        total |= {f"share_{name}": 1.0, f"value_{name}": whole["value"]}
    table.loc[is_hidden, _SIDES] = np.nan
    # The hidden levels count as one: effects within it would tell of the levels that make it up.
    rest = _rest(table[~is_hidden], total) if is_hidden.any() else pd.DataFrame()
    effects = kitagawa(pd.concat([table[~is_hidden], rest]))
    table = table.join(effects)
    table["suppressed"] = np.select([is_small, is_complementary], [SMALL, COMPLEMENTARY], SHOWN)
    pooled = pd.DataFrame([total], index=[TOTAL]).assign(**effects.sum(), suppressed=SHOWN)
    return pd.concat([table, pooled]).rename_axis("level").reset_index().assign(segment=segment)


def _rest(shown: pd.DataFrame, total: dict[str, float]) -> pd.DataFrame:
    """Return what the shown levels leave of the total, as one level."""
    rest = {}
    for name in ("before", "after"):
        share, value = shown[f"share_{name}"], shown[f"value_{name}"]
        left = 1 - share.sum()
        is_left = left > 1e-12  # noqa: PLR2004 - rounding
        rest[f"share_{name}"] = left if is_left else 0.0
        rest[f"value_{name}"] = (total[f"value_{name}"] - (share * value).sum()) / left if is_left else np.nan
    return pd.DataFrame([rest], index=["the rest"])
