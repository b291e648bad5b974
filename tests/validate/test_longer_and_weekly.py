"""Verdicts on quarters and years, made of their months, and on weeks, which are judged among weeks."""

import json
from datetime import date
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.errors import GateError, UsageError
from cxreport.periods import Period
from cxreport.validate import read_verdict, require_publishable, show
from cxreport.validate.rows import Calendar, number_of

QUARTER, WEEK = Period.parse("2026-Q3"), Period.parse("2026-W39")
JULY, AUGUST, SEPTEMBER = QUARTER.parts
ZONE = "America/Chicago"
WAIVER = """
waivers:
  - rule: volume_not_collapsed
    feed: orders
    period: {period}
    downgrade_to: warning
    reason: The shop was closed.
    by: Ada Example
    reviewed: 2026-10-01
    until: 2026-12-31
"""


def five_of_six(rows):
    return [row for at, row in enumerate(rows) if at % 6]


def rows_of(company, table, week):
    """Return the labels of a table's rows in a week."""
    by = {"orders": "ordered_at", "responses": "responded_at", "tickets": "created_at"}[table]
    start, end = week.bounds(ZONE)
    at = company.tables[table][by]
    return company.tables[table].index[(at >= start) & (at < end)]


def moved(rows, steps):
    """Return rows of May under other ids, so many times four weeks earlier."""
    back = pd.Timedelta(weeks=4 * steps)
    ids = {name: rows[name] + f"-{steps}" for name in rows if name.endswith("_id") and name != "customer_id"}
    at = {name: rows[name] - back for name in rows if rows[name].dtype.kind == "M"}
    source = rows["source"].str.replace("2026-05", f"2026-0{5 - steps}")
    return rows.assign(**ids, **at, source=source)


# --- quarters and years ------------------------------------------------------------------------------


def test_quarter_of_good_months_adds_their_rows(company):
    """Rows of its months are counted together, lists once, and nothing is noted."""
    verdict = company.validate(QUARTER)
    months = [read_verdict(company.project, "sample", month) for month in QUARTER.parts]
    assert (verdict.period, verdict.decision, verdict.footnotes) == ("2026-Q3", "publish", [])
    for table, count in verdict.tables.items():
        own = [month.tables[table] for month in months if table in month.tables]
        assert count.rows_in == sum(each.rows_in for each in own) == count.accepted + count.rejected
    assert verdict.tables["responses"].rows_in == len(company.tables["responses"].iloc[-92 * 4 :])
    assert verdict.tables["customers"].rows_in == 50
    assert read_verdict(company.project, "sample", QUARTER) == verdict


def test_rows_left_out_for_one_reason_are_counted_together(company):
    """Readers see one sentence for the quarter, and its plural is right."""
    company.spoil("responses", "responded_at", pd.NaT, 1, JULY)
    for month, n in ((JULY, 1), (SEPTEMBER, 2)):
        company.spoil("tickets", "reply_minutes", -5.0, n, month)
    verdict = company.validate(QUARTER)
    note = next(each for each in verdict.footnotes if "support cases" in each)
    assert note.startswith("3 support cases ")
    assert note.endswith(" and are left out.")
    assert verdict.decision == "publish with footnotes"
    assert sum(rule.rows for rule in verdict.rules if rule.table == "tickets") == 3


def test_stopped_month_stops_its_quarter_and_is_named(company):
    """The gravest decision is that of the quarter; the message says which month and where to look."""
    company.drop("orders", five_of_six(company.rows("orders", AUGUST)))
    verdict = company.validate(QUARTER)
    assert verdict.decision == "stop"
    [gate] = [gate for gate in verdict.gates if gate.rule == "volume_not_collapsed" and gate.outcome == "stopped"]
    assert gate.found.startswith("August 2026: ")
    with pytest.raises(
        GateError, match=r"sample 2026-Q3 is stopped by .*August 2026: .* of the rows of a usual month"
    ) as stop:
        require_publishable(verdict)
    assert "data/rejected/sample/2026-07/ to data/rejected/sample/2026-09/" in stop.value.do
    assert "Stop: nothing of this quarter is published" in show.decision(verdict, company.dataset)


def test_waived_month_is_named_with_its_waiver(company):
    """A waiver of a month lets its quarter appear, and readers learn of both."""
    company.drop("orders", five_of_six(company.rows("orders", AUGUST)))
    path = company.project.expectations / "waivers" / "sample.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(WAIVER.format(period=AUGUST))
    verdict = company.validate(QUARTER)
    assert verdict.decision == "publish with footnotes"
    assert any(note.startswith("August 2026: The rule “volume not collapsed”") for note in verdict.pages["executive"])
    assert [waiver.reason for waiver in verdict.waivers] == ["August 2026: The shop was closed."]


def test_month_without_any_row_stops_its_quarter(company):
    """A month that nobody delivered is judged like any other, not passed over."""
    for table, frame in company.tables.items():
        company.drop(table, frame.index[frame["source"].str.contains(AUGUST.id)])
    verdict = company.validate(QUARTER)
    assert verdict.decision == "stop"
    assert {gate.found for gate in verdict.gates if gate.rule == "month_has_rows" and gate.outcome == "stopped"} == {
        "August 2026: 0 rows"
    }


def test_quarter_in_which_the_data_begin_says_so(company):
    """What a quarter lacks before its first month with rows is no fault, and no secret."""
    verdict = company.validate(Period.parse("2026-Q2"))
    assert verdict.decision == "publish with footnotes"
    assert verdict.pages["executive"] == ["The data of quarter 2 of 2026 begin with May 2026."]


def test_quarter_after_a_stopped_one_says_that_nothing_is_compared(company):
    """One stopped month takes its whole quarter out of the comparison."""
    company.drop("orders", five_of_six(company.rows("orders", Period.parse("2026-06"))))
    for table, frame in company.tables.items():  # three months of history before the one that is stopped
        earlier = frame[frame["source"].str.contains("2026-05")]
        for step in (1, 2):
            company.tables[table] = pd.concat([company.tables[table], moved(earlier, step)], ignore_index=True)
    verdict = company.validate(QUARTER)
    assert verdict.pages["executive"] == [
        "quarter 2 of 2026 was stopped by the checks, so nothing is compared with it."
    ]


@pytest.mark.parametrize("period", ["2026", "2026-Q4", "2025-Q3", "2027-W01"])
def test_period_that_is_not_covered_to_its_end_is_refused(company, period):
    """A year of nine months is no year."""
    with pytest.raises(UsageError, match=f"`{period}`"):
        company.validate(Period.parse(period))


# --- weeks -------------------------------------------------------------------------------------------


def test_good_week_is_judged_among_weeks_and_kept_beside_months(company):
    """Weeks have folders of their own, with the rows of the week in the dataset's zone; months stay as they were."""
    company.validate()
    months = {path.name for path in company.project.accepted("sample").iterdir()}
    verdict = company.validate(WEEK)
    assert (verdict.decision, verdict.footnotes) == ("publish", [])
    assert verdict.tables["responses"].accepted == 7 * 4
    at = company.accepted("responses", WEEK)["responded_at"].dt.tz_convert(ZONE).dt.date
    assert (at.min(), at.max()) == (WEEK.start, date(2026, 9, 27))
    assert months < {path.name for path in company.project.accepted("sample").iterdir()}
    assert read_verdict(company.project, "sample", WEEK) == verdict


def test_collapsed_week_stops(company):
    """A week is compared with the six weeks before it, and its words say so."""
    company.drop("orders", five_of_six(rows_of(company, "orders", WEEK)))
    verdict = company.validate(WEEK)
    gate = company.gate_of(verdict, "orders", "volume_not_collapsed")
    assert (gate.outcome, gate.found) == ("stopped", "18% of the rows of a usual week")


def test_weeks_of_a_monthly_feed_are_not_compared(company):
    """A survey of one round a month has empty weeks, and none of them failed; the page says what is not checked."""
    feeds = [
        feed.model_copy(update={"arrives": "monthly"} if feed.id == "orders" else {}) for feed in company.dataset.feeds
    ]
    company.dataset = company.dataset.model_copy(update={"feeds": feeds})
    company.drop("orders", rows_of(company, "orders", WEEK))
    verdict = company.validate(WEEK)
    assert (verdict.decision, verdict.uncompared) == ("publish", ["orders"])
    assert "Of the feed orders only the files are checked" in show.checked(verdict)
    monthly = verdict.model_copy(update={"uncompared": []})
    assert "uncompared" in json.loads(verdict.to_json())
    assert "uncompared" not in json.loads(monthly.to_json())


def test_answers_given_after_the_week_belong_to_its_invitations(company):
    """Whoever was asked on Sunday and answered on Monday did answer, though the response is of the next week."""
    invitations = company.tables["invitations"]
    last = rows_of(company, "responses", WEEK.previous)[-4:]
    asked = invitations.index[invitations["response_id"].isin(company.tables["responses"].loc[last, "response_id"])]
    start, _ = WEEK.bounds(ZONE)
    company.tables["responses"].loc[last, "responded_at"] = pd.Timestamp(start) + pd.Timedelta(hours=15)
    same = company.tables["answers"]["response_id"].isin(company.tables["responses"].loc[last, "response_id"])
    company.tables["answers"].loc[same, "responded_at"] = pd.Timestamp(start) + pd.Timedelta(hours=15)
    assert len(asked) > 0
    verdict = company.validate(WEEK.previous)
    assert company.gate_of(verdict, "invitations", "answers_known").outcome == "passed"


def test_waiver_of_a_week_is_one_of_its_own(company):
    """What was waived for the month, or for the week before, says nothing of a week."""
    company.drop("orders", five_of_six(rows_of(company, "orders", WEEK)))
    path = company.project.expectations / "waivers" / "sample.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(WAIVER.format(period=WEEK.previous) + WAIVER.format(period=SEPTEMBER).partition("waivers:\n")[2])
    assert company.validate(WEEK).decision == "stop"
    verdict = read_verdict(company.project, "sample", WEEK.previous)
    assert [waiver.outcome for waiver in verdict.waivers] == ["not needed"]


@given(
    st.datetimes(pd.Timestamp("2000-02-01"), pd.Timestamp("2026-09-20"), timezones=st.just(ZoneInfo("UTC"))),
    st.sampled_from(["month", "week"]),
)
def test_instant_lies_in_the_period_of_its_local_day(instant, kind):
    """Months and weeks are those of the dataset's zone, at the ends of years and of summer time too."""
    calendar = Calendar(ZONE, Period.containing(date(2026, 9, 21), kind), date(2026, 10, 2))
    [number] = calendar.months(pd.Series([pd.Timestamp(instant)]))
    period = Period.containing(instant.astimezone(ZoneInfo(ZONE)).date(), kind)
    assert calendar.month(int(number)) == period
    assert number_of(period) == number
