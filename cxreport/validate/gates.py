"""Gates: rules on whole feeds, run over one row per month of the feed."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from cxreport.config import Dataset
from cxreport.schema import TABLES, TableName
from cxreport.validate.rows import Calendar, Flags, Judged, known_customers
from cxreport.validate.suites import Rule, Suites
from cxreport.validate.verdict import GateOutcome

_USUAL_MONTHS = 6  # long enough for a stable median, short enough to follow growth
_USUAL_LEAST = 3
_WORDS = {  # how a number is written, and what follows one and several
    "n_rows": ("{:,.0f}", "row", "rows"),
    "share_of_usual": ("{:.0%}", "of the rows of a usual month", "of the rows of a usual month"),
    "days_covered_share": ("{:.0%}", "of the days of the month", "of the days of the month"),
    "accepted_share": ("{:.1%}", "accepted rows", "accepted rows"),
    "known_customer_share": ("{:.1%}", "rows of known customers", "rows of known customers"),
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
    # A short list of customers matters only where answers take their segments from it.
    customers = judged.get("customers") if dataset.segments_from_customers else None
    for feed in dataset.feeds:
        profile = profile_feed(feed.id, judged, calendar, customers=customers)
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


def profile_feed(
    feed: str, judged: Mapping[TableName, Judged], calendar: Calendar, *, customers: Judged | None = None
) -> pd.DataFrame:
    """Measure a feed: one row per month from its first delivery to the reported month, by month number.

    Columns: `period`; `n_rows`, the accepted rows; `share_of_usual`, these over their median in up to six months
    before, empty with fewer than three; `days_covered_share`, the share (0-1) of the month's days with at least one of
    them; `accepted_share`, their share (0-1) of the delivered rows, empty without any; `known_customer_share`, the
    share (0-1) of accepted rows with a customer that stands in the accepted `customers`, empty without such rows or
    list. A feed of a table without dates has the reported month, without usual month and days; one that never
    delivered has no row at all. Answers are not counted, because their responses are.
    """
    of_feed = {name: table.feeds == feed for name, table in judged.items() if not TABLES[name].parent}
    delivered = [name for name, chosen in of_feed.items() if chosen.any()]
    dated = [name for name in delivered if TABLES[name].dated_by]
    parts = [_rows(name, judged[name], of_feed[name], customers) for name in dated or delivered]
    if not parts:
        return _framed([], {})
    rows = pd.concat(parts, ignore_index=True)
    return _profile(rows, calendar) if dated else _framed([calendar.reported], _counts(rows, [calendar.reported]))


def _rows(name: TableName, table: Judged, of_feed: Flags, customers: Judged | None) -> pd.DataFrame:
    """Return what a profile counts of each row: month, instant, whether accepted, whether its customer is known."""
    frame, by = table.frame[of_feed], TABLES[name].dated_by
    with_customer = customers is not None and name != "customers" and "customer_id" in frame
    return pd.DataFrame(
        {
            "month": table.months[of_feed],
            "at": frame[by] if by else pd.NaT,
            "accepted": ~table.rejected[of_feed],
            "known": known_customers(frame["customer_id"], customers) if with_customer else np.nan,
        },
        index=frame.index,
    )


def _profile(rows: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    is_dated = calendar.is_dated(rows["at"])
    if not is_dated.any():
        return _framed([], {})
    months = list(range(int(rows.loc[is_dated, "month"].min()), calendar.reported + 1))
    counts = _counts(rows, months)
    n_rows = counts["n_rows"]
    usual = n_rows.shift(1).rolling(_USUAL_MONTHS, min_periods=_USUAL_LEAST).median()
    kept = rows[is_dated & rows["accepted"]]
    days = calendar.days(kept["at"]).groupby(kept["month"]).nunique().reindex(months, fill_value=0)
    lengths = [(period.end - period.start).days for period in map(calendar.month, months)]
    return _framed(
        months, counts | {"share_of_usual": n_rows / usual.mask(usual == 0), "days_covered_share": days / lengths}
    )


def _counts(rows: pd.DataFrame, months: list[int]) -> dict[str, pd.Series]:
    """Return the measures that need no dates, by month number."""
    accepted = rows[rows["accepted"]].groupby("month")
    return {
        "n_rows": accepted.size().reindex(months, fill_value=0).astype("float64"),
        "accepted_share": rows.groupby("month")["accepted"].mean().reindex(months),
        "known_customer_share": accepted["known"].mean().reindex(months),
    }


def _framed(months: list[int], measures: Mapping[str, pd.Series]) -> pd.DataFrame:
    columns = {name: measures.get(name, np.nan) for name in _WORDS if name not in {"period", ""}}
    profile = pd.DataFrame(columns, index=months, dtype="float64")
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
