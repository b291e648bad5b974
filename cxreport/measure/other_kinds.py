"""Protect small groups beside reports of other periods: a quarter less two of its months is the third.

Looked at are, for each group of a KPI that counts its rows in one period each, a published period and those published
within it: months, quarters and years, and whole weeks of a month. What follows from weeks that two months share is not
looked at, nor what audiences are told.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from cxreport.config import FactName, Kpi, Project
from cxreport.engine import read_table
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN
from cxreport.periods import Period

# Facts whose rows belong to one period, so that bases add up over time.
_ADD_UP: set[FactName] = {"answers", "invitations", "tickets", "orders", "mentions", "employees", "sessions"}
_GROUP = ["kpi", "question", "segment", "level"]


def _period_of(file: Path) -> Period:
    return Period.parse(file.parents[1].name)


def read_beside(project: Project, dataset: str, period: Period) -> pd.DataFrame:
    """Read what these issues show: `kpi`, `question`, `segment`, `level`, `period` and `n`, newest issues first."""
    columns = [*_GROUP, "period", "n"]
    files = sorted(project.issued_beside(dataset, period), key=_period_of, reverse=True)
    issues = [read_table(file) for file in files]
    shown = [issue.loc[issue["suppressed"] == SHOWN, columns].fillna({"question": ""}) for issue in issues]
    if not shown:
        return pd.DataFrame(columns=columns)
    return pd.concat(shown, ignore_index=True).drop_duplicates([*_GROUP, "period"])


def hide_beside(rows: pd.DataFrame, kpis: Mapping[str, Kpi], beside: pd.DataFrame) -> pd.DataFrame:
    """Mark what must be hidden because of what reports of other kinds of period show.

    Parameters
    ----------
    rows
        Unprotected estimates with the column `issued` of `apply_issued`.
    beside
        What `read_beside` returns.

    Returns
    -------
    DataFrame
        The rows; of those never issued, `issued` is "complementary" where the period less periods within it, or a
        period around it less others, would leave a small group. `suppress` then hides whatever else it takes.
    """
    if beside.empty:
        return rows
    told = {group: dict(zip(found["period"], found["n"], strict=True)) for group, found in beside.groupby(_GROUP)}
    hidden = [
        row
        for group, found in rows[rows["kpi"].isin(_adding_up(kpis))].groupby(_GROUP)
        if group in told
        for row in _to_hide(found, told[group], kpis[str(found["kpi"].iloc[0])].minimum_base.suppress)
    ]
    return rows.assign(issued=rows["issued"].mask(rows.index.isin(hidden), COMPLEMENTARY)) if hidden else rows


def _adding_up(kpis: Mapping[str, Kpi]) -> list[str]:
    return [kpi_id for kpi_id, kpi in kpis.items() if kpi.table in _ADD_UP]


def _to_hide(rows: pd.DataFrame, told: Mapping[str, float], limit: int) -> Iterator[int]:
    """Yield the rows of one group, oldest first, that would give a small group away beside what is shown."""
    shown = {Period.parse(period): float(n) for period, n in told.items()}
    was_shown = rows["issued"] == SHOWN
    shown |= {Period.parse(each): float(n) for each, n in rows.loc[was_shown, ["period", "n"]].itertuples(index=False)}
    new = rows[rows["issued"].isna() & (rows["n"] >= limit)].sort_values("period")
    for row, period, n in new[["period", "n"]].itertuples(name=None):
        with_it = shown | {Period.parse(period): float(n)}
        if _leaves_few(Period.parse(period), with_it, limit):
            yield row
        else:
            shown = with_it


def _leaves_few(period: Period, shown: Mapping[Period, float], limit: int) -> bool:
    around = [other for other in shown if _holds(other, period)]
    return any(
        0 < shown[whole] - sum(shown[part] for part in parts) < limit
        for whole in around
        for parts in _divisions(whole, shown)
    )


def _holds(whole: Period, part: Period) -> bool:
    return whole.start <= part.start and part.end <= whole.end


def _divisions(whole: Period, shown: Iterable[Period]) -> Iterator[list[Period]]:
    """Yield shown periods within a whole that do not overlap: the longest ones first, then the shortest ones first."""
    within = sorted(
        (part for part in shown if part != whole and _holds(whole, part)), key=lambda part: part.end - part.start
    )
    for ordered in (within, within[::-1]):
        chosen: list[Period] = []
        for part in ordered:
            if all(part.end <= other.start or other.end <= part.start for other in chosen):
                chosen.append(part)
        yield chosen
