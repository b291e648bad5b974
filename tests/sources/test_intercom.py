"""Intercom: conversations in Unix seconds, ratings that were only asked for, and reports."""

import json
from typing import Any

import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "intercom", "adapter": "intercom", "files": "export.*"}
START = 1_788_267_600  # 2026-09-01 13:00 UTC
HOUR = 3_600


def conversation(number: str = "1", **changes: Any) -> dict[str, Any]:
    return {
        "type": "conversation",
        "id": number,
        "created_at": START,
        "updated_at": START + 50 * HOUR,
        "state": "closed",
        "open": False,
        "priority": "not_priority",
        "team_assignee_id": "77",
        "source": {
            "type": "email",
            "delivered_as": "customer_initiated",
            "author": {"type": "user", "name": "Ann Example", "email": "ann@example.com"},
            "body": "<p>Call 312-<b>555</b>-0147</p>",
        },
        "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "5bc8", "external_id": "C1"}]},
        "statistics": {
            "time_to_admin_reply": 1_800,
            "time_to_first_close": 7_200,
            "time_to_last_close": 36_000,
            "first_contact_reply_at": START + 60,
            "first_admin_reply_at": START + 60 + 2 * HOUR,
            "last_close_at": START + 60 + 48 * HOUR,
            "count_reopens": 1,
            "count_conversation_parts": 9,
        },
        "conversation_rating": {
            "rating": 4,
            "remark": "Fine, mail ann@example.com",
            "created_at": START + 48 * HOUR,
            "updated_at": START + 49 * HOUR,
        },
        "conversation_parts": {"conversation_parts": [{"body": "<p>secret</p>"}], "total_count": 1},
        **changes,
    }


def lines(*objects: dict[str, Any]) -> str:
    return "".join(json.dumps(found) + "\n" for found in objects)


def notes(company) -> list[str]:
    feeds = json.loads((company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8"))
    return feeds["intercom"]["files"][0]["notes"]


def test_durations_are_business_time_and_seconds(company) -> None:
    """Intercom's durations leave out closed hours, so they are not the calendar's minutes."""
    company.deliver("export.json", lines(conversation()))
    company.ingest(FEED)
    ticket = company.staged("tickets").iloc[0]
    assert (ticket["ticket_id"], ticket["customer_id"], ticket["channel"], ticket["team"]) == ("1", "C1", "email", "77")
    assert ticket["created_at"] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert ticket["resolved_at"] == pd.Timestamp("2026-09-03 13:01", tz="UTC")
    assert (ticket["reply_business_minutes"], ticket["resolution_business_minutes"]) == (30, 600)
    assert (ticket["reply_minutes"], ticket["resolution_minutes"], ticket["reopens"]) == (120, 2_880, 1)
    assert not ticket.astype(str).str.contains("Ann|secret|555").any()


def test_a_rating_is_dated_when_it_was_given(company) -> None:
    """What was asked at one time and answered at another is placed at the answer."""
    company.deliver("export.json", json.dumps({"type": "conversation.list", "conversations": [conversation()]}))
    company.ingest(FEED)
    response, answer = company.staged("responses").iloc[0], company.staged("answers").iloc[0]
    assert response["invited_at"] == pd.Timestamp("2026-09-03 13:00", tz="UTC")
    assert response["responded_at"] == pd.Timestamp("2026-09-03 14:00", tz="UTC")
    assert response["comment"] == "Fine, mail [e-mail]"
    assert (answer["score"], answer["scale_low"], answer["scale_high"], answer["metric"]) == (4, 1, 5, "csat")


def test_a_rating_that_was_only_asked_for_is_an_invitation(company) -> None:
    """The object is there although nobody rated: no response, and no score of zero."""
    asked = {"rating": None, "remark": None, "created_at": START + 48 * HOUR}
    found = [conversation(), conversation("2", conversation_rating=asked), conversation("3", conversation_rating=None)]
    company.deliver("export.json", lines(*found))
    company.ingest(FEED)
    assert company.staged("invitations")["response_id"].tolist() == ["intercom-1", None]
    assert company.staged("responses")["response_id"].tolist() == ["intercom-1"]
    assert company.staged("answers")["score"].tolist() == [4]
    naive = pd.json_normalize(found)["conversation_rating.created_at"]
    assert naive.notna().sum() == 2


def test_an_undated_rating_is_said_to_be_one(company) -> None:
    """Without its own time a rating stands where it was asked for, and that is noted."""
    company.deliver("export.json", lines(conversation(conversation_rating={"rating": 5, "created_at": START})))
    company.ingest(FEED)
    assert company.staged("responses")["responded_at"].iloc[0] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert "1 ratings do not say when they were given, when they were asked for stands for it" in notes(company)


def test_messages_that_nobody_answered_are_no_cases(company) -> None:
    """What Intercom sent by itself, or an admin began, counts only once the contact writes."""
    source = {"type": "conversation", "delivered_as": "automated", "body": "<p>Hi</p>"}
    silent = conversation("2", source=source, statistics={"first_contact_reply_at": None}, conversation_rating=None)
    company.deliver("export.json", lines(conversation(source=source), silent))
    company.ingest(FEED)
    assert company.staged("tickets")["ticket_id"].tolist() == ["1"]
    assert "records that are no rows of tickets: 1" in notes(company)


def test_nulls_all_over_are_read(company) -> None:
    """A conversation without statistics, rating or contacts is an open case without times."""
    bare = conversation(state="open", statistics=None, conversation_rating=None, contacts=None)
    company.deliver("export.json", lines(bare))
    company.ingest(FEED)
    ticket = company.staged("tickets").iloc[0]
    assert [ticket[column] for column in ("customer_id", "resolved_at", "reply_minutes", "typing_fault")] == [None] * 4


def test_a_snoozed_conversation_is_not_resolved(company) -> None:
    """One that was closed and is open or snoozed again has no resolution."""
    company.deliver("export.json", lines(conversation(state="snoozed")))
    company.ingest(FEED)
    ticket = company.staged("tickets").iloc[0]
    assert (ticket["resolved_at"], ticket["resolution_minutes"], ticket["resolution_business_minutes"]) == (None,) * 3


def test_reports_need_a_mapping(company) -> None:
    """The attributes were picked by somebody, so the feed says what they are."""
    report = "Conversation ID,Conversation started at,Channel\r\n0012,2026-09-01 08:00:00,Email\r\n"
    assert not company.taken_for("report.csv", report)["intercom"].certain
    company.deliver("export.csv", report)
    with pytest.raises(GateError, match="nothing says what its columns mean"):
        company.ingest(FEED)
    created = {"column": "Conversation started at", "formats": ["%Y-%m-%d %H:%M:%S"]}
    columns = {"ticket_id": "Conversation ID", "created_at": created}
    company.map("intercom.yml", {"tables": {"tickets": {"columns": columns}}})
    company.ingest(FEED | {"mapping": "intercom.yml"})
    assert company.staged("tickets")["ticket_id"].tolist() == ["0012"]


def test_other_objects_are_refused(company) -> None:
    """A file of something else is not half read."""
    company.deliver("export.json", lines(conversation(), {"type": "admin", "id": "1"}))
    with pytest.raises(GateError, match="not all objects are conversations"):
        company.ingest(FEED)


@pytest.mark.parametrize(
    "content",
    [lines(conversation()), json.dumps({"type": "conversation.list", "conversations": [conversation()] * 400})],
)
def test_exports_are_recognised(company, content: str) -> None:
    """Keys tell, even where a page is longer than the first look."""
    assert company.recognised("a.json", content) == ["intercom"]
