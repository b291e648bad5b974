"""Gates: rules on what was delivered as a whole, run over profiles of files, feeds, questions and numbers."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from cxreport.config import Dataset, Feed
from cxreport.periods import PeriodKind
from cxreport.schema import TableName
from cxreport.validate import profiles
from cxreport.validate.deliveries import profile_files
from cxreport.validate.rows import Calendar, Judged
from cxreport.validate.suites import PROFILES, Rule, Suites
from cxreport.validate.verdict import GateOutcome
from cxreport.validate.waivers import Waivers

# How a measure is written, and what follows one and several; `{period}` is a month, or a week of weekly reports.
_WORDS = {
    "n_rows": ("{:,.0f}", "row", "rows"),
    "share_of_usual": ("{:.0%}", "of the rows of a usual {period}"),
    "days_covered_share": ("{:.0%}", "of the days of the {period}"),
    "accepted_share": ("{:.1%}", "accepted rows"),
    "known_customer_share": ("{:.1%}", "rows of known customers"),
    "period": ("{}", ""),
    "columns_added": ("{:.0f}", "column that no file before had", "columns that no file before had"),
    "columns_gone": ("{:.0f}", "column fewer than the files before", "columns fewer than the files before"),
    "columns_renamed": ("{:.0f}", "column under another name", "columns under other names"),
    "columns_moved": ("{:.0f}", "change of the columns' order", "changes of the columns' order"),
    "header_rows": ("{:.0f}", "header among the records", "headers among the records"),
    "known_keys_share": ("{:.1%}", "records that stand in files before"),
    "more_months": ("{:.0f}", "month more than usual", "months more than usual"),
    "early_days_share": ("{:.0%}", "of the dates on days that could be months"),
    "mojibake_share": ("{:.1%}", "of the texts beyond ASCII in a wrong encoding"),
    "last_record_short": ("{:.0f}", "last record cut off", "last records cut off"),
    "survey_columns_added": ("{:.0f}", "new column of a survey", "new columns of a survey"),
    "months_missing": (
        "{:.0f}",
        "{period} without rows in the year before",
        "{period}s without rows in the year before",
    ),
    "answers_known_share": ("{:.1%}", "of the answered invitations with a delivered answer"),
    "damaged_ids_share": ("{:.1%}", "of the rows with an id that a spreadsheet turned into a number"),
    "ids_filled_moved": ("{:+.0%}", "of the cells filled in, beyond chance"),
    "filled_moved": ("{:+.0%}", "of the cells filled in, beyond chance"),
    "hours_moved": (
        "{:.0f}",
        "hour between its times of day and the usual ones",
        "hours between its times of day and the usual ones",
    ),
    "straight_jump": ("{:.0%}", "more responses than usual with one score all along, beyond chance"),
    "response_rate_of_usual": ("{:.0%}", "of the usual response rate, beyond chance"),
    "option_jump": ("{:.0%}", "of the answers on another option than usual, beyond chance"),
    "flipped_gain": ("{:.0%}", "of the answers back in place when the scale is turned round"),
    "shifted_gain": ("{:.0%}", "of the answers back in place when the scale is moved by one"),
    "absent_share": ("{:.0%}", "of the usual answers on options that nobody chose"),
    "n_options": ("{:.0f}", "different answer", "different answers"),
    "missing_jump": ("{:.0%}", "more missing answers than usual, beyond chance"),
    "outside_share": ("{:.0%}", "of the answers outside the scale"),
    "mean_moved": ("{:.0%}", "of the scale between the mean and the usual one, beyond chance"),
    "times_usual": ("{:.2f}", "times the usual size, beyond chance"),
    "mean_times_usual": ("{:.2f}", "times the usual mean, beyond chance"),
    "never_met_share": ("{:.1%}", "of the values far beyond any of the {period}s before"),
    "beyond_usual_share": ("{:.0%}", "of the values outside the usual range, beyond chance"),
    "whole_jump": ("{:.0%}", "more whole numbers than usual, beyond chance"),
    "new_share": ("{:.0%}", "of the rows with a code that was never met before"),
}


def judge_feeds(
    dataset: Dataset,
    described: Mapping[str, Any],
    judged: Mapping[TableName, Judged],
    calendar: Calendar,
    *,
    suites: Suites,
    waivers: Waivers,
) -> dict[int, list[GateOutcome]]:
    """Return the outcomes of all gates by month number, feeds in the order of the dataset.

    A measure that is empty, such as the usual month of a feed without history, has no outcome, and `uncompared` feeds
    have those of their files only. `described` is what
    ingestion wrote about the files.
    """
    framed = {name: frame for name, frame in _profiles(dataset, described, judged, calendar).items() if len(frame)}
    # All rules are evaluated in one go: of Great Expectations' work, most is done per call and per rule.
    whole = pd.concat([frame.assign(profile=name) for name, frame in framed.items()], ignore_index=True)
    periods = {month: calendar.month(month) for month in whole["month"].unique()}
    whole["period"] = [periods[month].id for month in whole["month"]]
    left_out = {feed.id for feed in uncompared(dataset, calendar.period.kind)}
    rules = [
        (feed.id, name, rule)
        for feed in dataset.feeds
        for name in framed
        if feed.id not in left_out or name == "files"
        for rule in suites.of_feed(feed.id, name)
    ]
    broken = suites.run([rule for *_, rule in rules], whole, calendar.as_of_end, "gates")
    positions = whole.groupby(["feed", "profile"]).indices
    columns = {name: whole[name].to_list() for name in whole}
    outcomes: dict[int, list[GateOutcome]] = defaultdict(list)
    for (feed, name, rule), found in zip(rules, broken, strict=True):
        failed, values = set(found.tolist()), columns[rule.columns[0]]
        for at in positions.get((feed, name), ()):
            if pd.notna(values[at]):
                month = columns["month"][at]
                waiver = waivers.waiver(rule.id, periods[month], feed=feed)
                counted = waiver.applied_to(rule) if waiver else rule
                outcome = _outcome(
                    feed, columns["thing"][at], counted, values[at], at in failed, kind=calendar.period.kind
                )
                outcomes[month].append(outcome)
    return dict(outcomes)


def uncompared(dataset: Dataset, kind: PeriodKind) -> list[Feed]:
    """Return the feeds of which only the files are judged: weeks of a feed that comes once a month are not alike."""
    return [feed for feed in dataset.feeds if kind == "week" and feed.arrives == "monthly"]


def _profiles(
    dataset: Dataset, described: Mapping[str, Any], judged: Mapping[TableName, Judged], calendar: Calendar
) -> dict[str, pd.DataFrame]:
    # A short list of customers matters only where answers take their segments from it.
    customers = judged.get("customers") if dataset.segments_from_customers else None
    feeds = [profiles.profile_feed(feed.id, judged, calendar, customers=customers) for feed in dataset.feeds]
    known = {feed.id for feed in dataset.feeds}
    framed = (
        pd.concat(feeds, ignore_index=True),
        profile_files(described, judged, calendar),
        profiles.profile_months(judged, calendar),
        profiles.profile_questions(judged, calendar),
        profiles.profile_numbers(judged, calendar),
        profiles.profile_levels(judged, calendar),
    )
    return {name: frame[frame["feed"].isin(known)] for name, frame in zip(PROFILES, framed, strict=True)}


def _outcome(feed: str, thing: str, rule: Rule, value: float | str, failed: bool, *, kind: PeriodKind) -> GateOutcome:
    outcome: Literal["passed", "noted", "stopped"] = "passed"
    if failed:
        outcome = "stopped" if rule.severity == "critical" else "noted"
    column = rule.columns[0]
    return GateOutcome(
        feed=feed,
        thing=thing,
        rule=rule.id,
        severity=rule.severity,
        page=rule.page,
        found=_said(column, value, kind),
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


def _said(column: str, value: float | str, kind: PeriodKind) -> str:
    number, one, *many = _WORDS[column]
    text = number.format(value)
    what = one if text == "1" or not many else many[0]
    return f"{text} {what.format(period=kind)}".strip()
