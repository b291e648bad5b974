"""Every rule on rows of every suite: a good row passes it, and a row made to break it is found."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from cxreport.schema import TABLES
from cxreport.validate.suites import PROFILES

Day = pd.Timedelta
FUTURE = pd.Timestamp("2027-01-01", tz="UTC")
OLD = pd.Timestamp("1970-01-01", tz="UTC")

# (table, rule): what one row is overwritten with, a time relative to another one, or how else it is spoilt.
BREAKS: dict[tuple[str, str], Any] = {
    ("responses", "response_id_present"): {"response_id": None},
    ("responses", "response_id_unique"): "repeat",
    ("responses", "response_date_present"): {"responded_at": pd.NaT},
    ("responses", "response_date_not_in_future"): {"responded_at": FUTURE},
    ("responses", "response_readable"): {"typing_fault": "not a real answer: test; weight: not a number"},
    ("responses", "response_real"): {"typing_fault": "not a real answer: preview"},
    ("responses", "kind_known"): {"kind": "unheard of"},
    ("responses", "answered_after_invited"): {"invited_at": ("responded_at", Day(hours=1))},
    ("responses", "answered_within_30_days"): {"invited_at": ("responded_at", -Day(days=30, seconds=1))},
    ("responses", "weight_not_negative"): {"weight": -0.5},
    ("responses", "customer_known"): {"customer_id": "C-nobody"},
    ("responses", "comment_without_personal_data"): {"comment": "write to [e-mail] please"},
    ("responses", "channel_known"): {"channel": "fax"},
    ("responses", "stage_known"): {"stage": "dream"},
    ("responses", "language_known"): {"language": "xx"},
    ("answers", "answer_response_id_present"): {"response_id": None},
    ("answers", "question_present"): {"question": None},
    ("answers", "answer_unique"): "repeat",
    ("answers", "answer_date_present"): {"responded_at": pd.NaT},
    ("answers", "answer_date_not_in_future"): {"responded_at": FUTURE},
    ("answers", "answer_readable"): {
        "typing_fault": "score: not a number",
        "score": None,
        "missing_reason": "unreadable",
    },
    ("answers", "response_delivered"): {"response_id": "R-never"},
    ("answers", "metric_known"): {"metric": "happiness"},
    ("answers", "scale_good_known"): {"scale_good": "middle"},
    ("answers", "score_or_reason"): {"missing_reason": "skipped"},
    ("answers", "score_whole"): {"score": 3.5},
    ("answers", "score_not_below_scale"): {"score": -1.0},
    ("answers", "score_not_above_scale"): {"score": 11.0},
    ("answers", "response_accepted"): "parent",
    ("invitations", "invitation_id_present"): {"invitation_id": None},
    ("invitations", "invitation_id_unique"): "repeat",
    ("invitations", "invitation_date_present"): {"sent_at": pd.NaT},
    ("invitations", "invitation_date_not_in_future"): {"sent_at": FUTURE},
    ("invitations", "invitation_readable"): {"typing_fault": "sent_at: not a date"},
    ("invitations", "customer_known"): {"customer_id": "C-nobody"},
    ("invitations", "answer_delivered"): {"response_id": "R-never"},
    ("invitations", "channel_known"): {"channel": "fax"},
    ("invitations", "status_known"): {"status": "lost in the post"},
    ("tickets", "ticket_id_present"): {"ticket_id": None},
    ("tickets", "ticket_id_unique"): "repeat",
    ("tickets", "ticket_date_present"): {"created_at": pd.NaT},
    ("tickets", "ticket_date_not_in_future"): {"created_at": FUTURE},
    ("tickets", "ticket_readable"): {"typing_fault": "replies: not a whole number", "replies": None},
    ("tickets", "reply_not_before_creation"): {"first_replied_at": ("created_at", -Day(minutes=1))},
    ("tickets", "resolution_not_before_creation"): {"resolved_at": ("created_at", -Day(minutes=1))},
    ("tickets", "reply_minutes_not_negative"): {"reply_minutes": -1.0},
    ("tickets", "reply_business_minutes_not_negative"): {"reply_business_minutes": -1.0},
    ("tickets", "resolution_minutes_not_negative"): {"resolution_minutes": -1.0},
    ("tickets", "resolution_business_minutes_not_negative"): {"resolution_business_minutes": -1.0},
    ("tickets", "replies_not_negative"): {"replies": -1},
    ("tickets", "reopens_not_negative"): {"reopens": -1},
    ("tickets", "cost_not_negative"): {"cost": -8.0},
    ("tickets", "customer_known"): {"customer_id": "C-nobody"},
    ("tickets", "channel_known"): {"channel": "fax"},
    ("tickets", "priority_known"): {"priority": "Immediate"},
    ("tickets", "status_known"): {"status": "Lost"},
    ("customers", "customer_id_present"): {"customer_id": None},
    ("customers", "customer_id_unique"): "repeat",
    ("customers", "customer_readable"): {"typing_fault": "monthly_value: not a number", "monthly_value": None},
    ("customers", "start_not_in_future"): {"started_at": FUTURE},
    ("customers", "end_not_before_start"): {"ended_at": pd.Timestamp("2019-01-01", tz="UTC")},
    ("customers", "monthly_value_not_negative"): {"monthly_value": -45.0},
    ("customers", "region_known"): {"region": "moon"},
    ("customers", "plan_known"): {"plan": "gold"},
    ("orders", "order_id_present"): {"order_id": None},
    ("orders", "order_id_unique"): "repeat",
    ("orders", "order_date_present"): {"ordered_at": pd.NaT},
    ("orders", "order_date_not_in_future"): {"ordered_at": FUTURE},
    ("orders", "order_readable"): {"typing_fault": "amount: not a number", "kind": "refund"},
    ("orders", "kind_known"): {"kind": "gift"},
    ("orders", "amount_present"): {"amount": None},
    ("orders", "sale_amount_not_negative"): {"amount": -20.0},
    ("orders", "currency_coded"): {"currency": "dollars"},
    ("orders", "customer_known"): {"customer_id": "C-nobody"},
    ("subscriptions", "subscription_id_present"): {"subscription_id": None},
    ("subscriptions", "subscription_id_unique"): "repeat",
    ("subscriptions", "subscription_readable"): {"typing_fault": "ended_at: not a date"},
    ("subscriptions", "subscription_customer_present"): {"customer_id": None},
    ("subscriptions", "subscription_start_present"): {"started_at": pd.NaT},
    ("subscriptions", "subscription_value_present"): {"monthly_value": None},
    ("subscriptions", "subscription_start_not_in_future"): {"started_at": FUTURE},
    ("subscriptions", "subscription_end_not_before_start"): {"ended_at": pd.Timestamp("2019-01-01", tz="UTC")},
    ("subscriptions", "subscription_value_not_negative"): {"monthly_value": -45.0},
    ("subscriptions", "customer_known"): {"customer_id": "C-nobody"},
    ("events", "event_id_present"): {"event_id": None},
    ("events", "event_id_unique"): "repeat",
    ("events", "event_date_present"): {"occurred_at": pd.NaT},
    ("events", "event_date_not_in_future"): {"occurred_at": FUTURE},
    ("events", "event_readable"): {"typing_fault": "occurred_at: not a date"},
    ("events", "event_name_present"): {"name": None},
    ("events", "customer_known"): {"customer_id": "C-nobody"},
    ("events", "event_name_known"): {"name": "blinked"},
    ("events", "stage_known"): {"stage": "dream"},
    ("events", "channel_known"): {"channel": "fax"},
    ("mentions", "mention_id_present"): {"mention_id": None},
    ("mentions", "mention_id_unique"): "repeat",
    ("mentions", "mention_date_present"): {"posted_at": pd.NaT},
    ("mentions", "mention_date_not_in_future"): {"posted_at": FUTURE},
    ("mentions", "mention_readable"): {"typing_fault": "rating: not a number", "rating": None},
    ("mentions", "rating_on_scale"): {"rating": 6.0},
    ("mentions", "text_without_personal_data"): {"text": "write to [e-mail] please"},
    ("mentions", "network_known"): {"network": "billboard"},
    ("mentions", "language_known"): {"language": "xx"},
    ("employees", "employee_answer_id_present"): {"response_id": None},
    ("employees", "employee_answer_id_unique"): "repeat",
    ("employees", "employee_answer_date_present"): {"responded_at": pd.NaT},
    ("employees", "employee_answer_date_not_in_future"): {"responded_at": FUTURE},
    ("employees", "employee_answer_readable"): {
        "typing_fault": "score: not a number",
        "score": None,
        "missing_reason": "unreadable",
    },
    ("employees", "question_present"): {"question": None},
    ("employees", "metric_known"): {"metric": "happiness"},
    ("employees", "scale_good_known"): {"scale_good": "middle"},
    ("employees", "score_or_reason"): {"missing_reason": "skipped"},
    ("employees", "score_whole"): {"score": 3.5},
    ("employees", "score_not_below_scale"): {"score": -1.0},
    ("employees", "score_not_above_scale"): {"score": 11.0},
    ("employees", "team_known"): {"team": "Board"},
    ("actions", "action_id_present"): {"action_id": None},
    ("actions", "action_id_unique"): "repeat",
    ("actions", "action_start_present"): {"started_at": pd.NaT},
    ("actions", "action_start_not_in_future"): {"started_at": FUTURE},
    ("actions", "action_readable"): {"typing_fault": "cost: not a number", "cost": None},
    ("actions", "action_described"): {"description": None},
    ("actions", "action_cost_not_negative"): {"cost": -100.0},
    ("aggregates", "aggregate_id_present"): {"aggregate_id": None},
    ("aggregates", "aggregate_id_unique"): "repeat",
    ("aggregates", "aggregate_date_present"): {"started_at": pd.NaT},
    ("aggregates", "aggregate_date_not_in_future"): {"started_at": FUTURE},
    ("aggregates", "aggregate_readable"): {"typing_fault": "value: not a number", "value": None},
    ("aggregates", "aggregate_named"): {"name": None},
    ("aggregates", "aggregate_ends_after_start"): {"ended_at": ("started_at", Day(0))},
}
DATED = {
    "responses": "response",
    "answers": "answer",
    "invitations": "invitation",
    "tickets": "ticket",
    "orders": "order",
    "events": "event",
    "mentions": "mention",
    "employees": "employee_answer",
    "aggregates": "aggregate",
}
BREAKS |= {(table, f"{one}_date_plausible"): {TABLES[table].dated_by: OLD} for table, one in DATED.items()}
BREAKS |= {
    (table, rule): {"typing_fault": rule.replace("_", " ")}
    for table in dict.fromkeys(table for table, _ in BREAKS)
    for rule in ("delivered_again", "superseded")
}
PLACE = ["source", "source_row"]


@dataclass(frozen=True)
class Spoilt:
    """The company with one broken row per rule, and where that row stands."""

    company: Any
    verdict: Any
    places: dict[tuple[str, str], tuple[str, int]]


@pytest.fixture(scope="session")
def spoilt(tmp_path_factory, make_company):
    """Break each rule in a row of its own, then validate once."""
    company = make_company(tmp_path_factory.mktemp("spoilt"))
    # Enough customers that one broken row lies within the tolerance of a critical rule.
    more = pd.concat([company.tables["customers"]] * 5, ignore_index=True)
    company.tables["customers"] = more.assign(
        customer_id=[f"C{number}" for number in range(len(more))], source_row=range(1, len(more) + 1)
    )
    places = {}
    for table in TABLES:
        rows = company.rows(table) if TABLES[table].dated_by else company.tables[table].index[50:]
        cases = [(rule, change) for (of_table, rule), change in BREAKS.items() if of_table == table]
        # Answers break from the month's end on, so that theirs are not the responses broken at its start.
        labels = list(rows[::-1] if table == "answers" else rows)
        for label, (rule, change) in zip(labels, cases, strict=False):
            places[table, rule] = _break(company, table, label, change)
    frame = company.tables["responses"]
    broken = frame[frame["kind"] == "unheard of"].iloc[0]
    places["answers", "response_accepted"] = (broken["source"], int(broken["source_row"]))
    return Spoilt(company, company.validate(), places)


def _break(company, table, label, change):
    frame = company.tables[table]
    source, row = frame.loc[label, PLACE]
    if change == "repeat":
        company.repeat(table, [label])
        return source, int(row) + 100_000
    if change != "parent":
        values = {
            column: frame.loc[label, value[0]] + value[1] if isinstance(value, tuple) else value
            for column, value in change.items()
        }
        company.spoil_row(table, label, **values)
    return source, int(row)


def test_every_committed_rule_on_rows_has_a_case(root):
    """No rule of a table's suite goes untested."""
    committed = {
        (path.stem.removesuffix("_sample"), expectation["meta"]["rule"])
        for path in (root / "expectations" / "suites").glob("*.json")
        if not path.stem.startswith(PROFILES)
        for expectation in json.loads(path.read_text())["expectations"]
    }
    assert committed == set(BREAKS)


@pytest.mark.parametrize(("table", "rule"), BREAKS)
def test_rule_passes_good_rows(good, table, rule):
    """A rule finds nothing in the good company, and it does look at rows unless the column is empty throughout."""
    company, verdict = good
    outcome = company.rule_of(verdict, table, rule)
    assert (outcome.rows, outcome.outcome) == (0, "passed")
    empty = {
        *("stage_known", "comment_without_personal_data"),
        *("end_not_before_start", "subscription_end_not_before_start"),
    }
    assert (outcome.checked > 0) != (rule in empty)


@pytest.mark.parametrize(("table", "rule"), BREAKS)
def test_rule_finds_the_row_that_breaks_it(spoilt, table, rule):
    """The broken row is counted, and rejected under the rule's name unless the rule only informs."""
    outcome = spoilt.company.rule_of(spoilt.verdict, table, rule)
    assert outcome.rows >= 1
    rejected = spoilt.company.rejected(table)
    source, row = spoilt.places[table, rule]
    found = rejected[(rejected["source"] == source) & (rejected["source_row"] == row)]
    if outcome.severity == "info" and rule not in {"delivered_again", "superseded"}:
        assert outcome.outcome == "noted"
        assert found.empty
    else:
        assert outcome.outcome == "rows rejected"
        named = {name for names in found["rule"] + "; " + found["other_rules"] for name in names.split("; ")}
        assert rule in named


def test_first_rule_is_the_most_severe_one(spoilt):
    """A rejected row names a critical rule before any warning, whatever their order in the suite."""
    severities = {(rule.table, rule.rule): rule.severity for rule in spoilt.verdict.rules}
    several = 0
    for table in TABLES:
        for row in spoilt.company.rejected(table).itertuples():
            others = [severities[table, rule] for rule in row.other_rules.split("; ") if rule]
            assert row.severity == severities[table, row.rule]
            assert row.severity == "critical" or "critical" not in others
            several += bool(others)
    assert several > 2


def test_spoilt_company_is_published_with_footnotes(spoilt):
    """Within tolerance the month appears, and readers are told in plain words what was left out."""
    assert spoilt.verdict.decision == "publish with footnotes"
    notes = spoilt.verdict.footnotes
    assert "1 response belonged to no known kind of survey and is left out." in notes
    assert "2 responses arrived more than 30 days after the invitation and are left out." in notes  # one lies in future
    assert "1 answer had a score above the scale of the question and is left out." in notes
    assert not [note for note in notes if "_" in note or "None" in note]


def test_rejected_rows_keep_no_bad_value(spoilt):
    """Rejected files hold keys, places and rules, never the cells that were wrong."""
    text = "".join(spoilt.company.rejected(table).to_csv() for table in TABLES)
    for value in ("unheard of", "fax", "happiness", "gold", "dollars", "[e-mail]", "Immediate", "-20", "2027"):
        assert value not in text


def test_every_rule_that_rejects_has_a_reason_and_a_neutral_footnote(root):
    """Footnotes fit one row and several: past tense without was, were, has or have."""
    for path in (root / "expectations" / "suites").glob("*.json"):
        for expectation in json.loads(path.read_text())["expectations"]:
            assert expectation["notes"].endswith(".")
            footnote = expectation["meta"].get("footnote", "")
            assert not {"was", "were", "has", "have", "are"} & set(footnote.split())
            silent = expectation["severity"] == "info" or path.stem.startswith(PROFILES)
            assert bool(footnote) != (silent or expectation["meta"]["rule"] == "response_accepted")


def test_days_are_counted_to_the_second(company):
    """An answer exactly 30 days after its invitation is in time."""
    (row,) = company.spoil("responses", "weight", 1.0)
    company.spoil_row("responses", row, invited_at=company.tables["responses"].loc[row, "responded_at"] - Day(days=30))
    assert company.rule_of(company.validate(), "responses", "answered_within_30_days").rows == 0
