"""Gates: rules on whole feeds, run over one row per month of the feed."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from cxreport.config import Dataset
from cxreport.schema import TABLES, TableName
from cxreport.validate.rows import Calendar, Judged
from cxreport.validate.suites import Rule, Suites
from cxreport.validate.verdict import GateOutcome

_USUAL_MONTHS = 6  # long enough for a stable median, short enough to follow growth
_USUAL_LEAST = 3
_WORDS = {  # how a number is written, and what follows one and several
    "n_rows": ("{:,.0f}", "row", "rows"),
    "share_of_usual": ("{:.0%}", "of the rows of a usual month", "of the rows of a usual month"),
    "days_covered_share": ("{:.0%}", "of the days of the month", "of the days of the month"),
    "period": ("{}", "", ""),
    "": ("{:,.0f}", "month since the first delivery", "months since the first delivery"),
}


def judge_feeds(
    dataset: Dataset, judged: Mapping[TableName, Judged], calendar: Calendar, suites: Suites
) -> dict[int, list[GateOutcome]]:
    """Return the outcomes of all gates by month number, feeds in the order of the dataset.

    A measure that is empty in a month, such as the usual month of a feed without history, has no outcome there.
    """
    outcomes: dict[int, list[GateOutcome]] = {}
    for feed in dataset.feeds:
        profile = profile_feed(feed.id, judged, calendar)
        rules = suites.of_feed(feed.id)
        findings = suites.run(rules, profile, calendar.as_of_end)
        for rule in rules:
            if not rule.columns:
                failed = rule.id in findings.failed
                outcomes.setdefault(calendar.reported, []).append(_outcome(feed.id, rule, len(profile), failed))
                continue
            broken = set(findings.rows[rule.id])
            for position, (month, value) in enumerate(zip(profile.index, profile[rule.columns[0]], strict=True)):
                if pd.notna(value):
                    outcomes.setdefault(month, []).append(_outcome(feed.id, rule, value, position in broken))
    return outcomes


def profile_feed(feed: str, judged: Mapping[TableName, Judged], calendar: Calendar) -> pd.DataFrame:
    """Measure a feed: one row per month from its first delivery to the reported month, by month number.

    Columns: `period`; `n_rows`; `share_of_usual`, the rows over the median of up to six months before, empty with
    fewer than three; `days_covered_share`, the share (0-1) of the month's days with at least one row. A feed of a table
    without dates has the reported month and its number of rows only; one that never delivered has no row at all.
    Answers are not counted, because their responses are.
    """
    rows = {name: table.feeds == feed for name, table in judged.items() if not TABLES[name].parent}
    delivered = [name for name, of_feed in rows.items() if of_feed.any()]
    dated = [judged[name].frame.loc[rows[name], by] for name in delivered if (by := TABLES[name].dated_by)]
    if dated:
        return _profile(pd.concat(dated, ignore_index=True), calendar)
    total = float(sum(rows[name].sum() for name in delivered))
    return _framed([calendar.reported] if delivered else [], [total] if delivered else [], None, None)


def _profile(instants: pd.Series, calendar: Calendar) -> pd.DataFrame:
    instants = instants[calendar.is_dated(instants)]
    by_month = calendar.days(instants).groupby(calendar.months(instants))
    counted = by_month.size()
    if counted.empty:
        return _framed([], [], None, None)
    months = range(int(counted.index.min()), calendar.reported + 1)
    n_rows = counted.reindex(months, fill_value=0).astype("float64")
    usual = n_rows.shift(1).rolling(_USUAL_MONTHS, min_periods=_USUAL_LEAST).median()
    lengths = [(period.end - period.start).days for period in map(calendar.month, months)]
    covered = by_month.nunique().reindex(months, fill_value=0) / lengths
    return _framed(list(months), n_rows.to_list(), (n_rows / usual.mask(usual == 0)).to_list(), covered.to_list())


def _framed(
    months: list[int], n_rows: list[float], share_of_usual: list[float] | None, covered: list[float] | None
) -> pd.DataFrame:
    measures = {"n_rows": n_rows, "share_of_usual": share_of_usual, "days_covered_share": covered}
    profile = pd.DataFrame(
        {name: np.asarray(np.nan if values is None else values, "float64") for name, values in measures.items()},
        index=months,
    )
    profile.insert(0, "period", pd.Series([Calendar.month(month).id for month in months], index=months, dtype="str"))
    return profile


def _outcome(feed: str, rule: Rule, value: float | str, failed: bool) -> GateOutcome:
    outcome: Literal["passed", "noted", "stopped"] = "passed"
    if failed:
        outcome = "stopped" if rule.severity == "critical" else "noted"
    column = rule.columns[0] if rule.columns else ""
    return GateOutcome(
        feed=feed,
        rule=rule.id,
        severity=rule.severity,
        found=_said(column, value),
        expected=_expected(column, rule),
        outcome=outcome,
    )


def _expected(column: str, rule: Rule) -> str:
    number = _WORDS[column][0]
    if rule.least is not None and rule.most is not None:
        return f"{number.format(rule.least)} to {number.format(rule.most)}"
    if rule.least is not None:
        return f"at least {number.format(rule.least)}"
    if rule.most is not None:
        return f"at most {number.format(rule.most)}"
    return rule.reason


def _said(column: str, value: float | str) -> str:
    number, one, many = _WORDS[column]
    text = number.format(value)
    return f"{text} {one if text == '1' else many}".strip()
