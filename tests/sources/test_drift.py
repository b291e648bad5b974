"""Drift: milliseconds, figures without names, messages in HTML."""

import json

import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "drift", "adapter": "drift", "mapping": "drift.yml", "files": "export.json"}
START = 1_788_267_600_000  # 2026-09-01 13:00 UTC
REPORT = {
    "count": 2,
    "data": [
        {"conversationId": 16344778575, "metrics": [START, 90_000, 5_400_000, START + 90_000]},
        {"conversationId": 16344778576, "metrics": [START, 0, None, None]},
    ],
}
MAPPING = {
    "tables": {
        "tickets": {
            "columns": {
                "ticket_id": "conversationId",
                "created_at": {"column": "metric 1", "formats": ["unix_ms"]},
                "reply_minutes": {"column": "metric 2", "unit": "milliseconds"},
                "resolution_minutes": {"column": "metric 3", "unit": "milliseconds"},
                "first_replied_at": {"column": "metric 4", "formats": ["unix_ms"]},
            }
        }
    }
}
CONTACT = {
    "id": 16344770001,
    "createdAt": START,
    "attributes": {"email": "ann@example.com", "name": "Ann", "customer_number": "00001046", "tags": []},
}
MESSAGE = {
    "id": 1,
    "conversationId": 2,
    "author": {"id": 3, "type": "contact", "bot": False},
    "type": "chat",
    "createdAt": START,
    "body": "<p>Call 312-<b>555</b>-0147 &amp; ask</p><script>x()</script>",
}


def test_figures_are_told_by_their_place(company) -> None:
    """The mapping says what each bare number is: milliseconds become minutes, zero is not missing."""
    company.map("drift.yml", MAPPING)
    company.deliver("export.json", json.dumps(REPORT))
    company.ingest(FEED)
    closed, waiting = company.staged("tickets").to_dict("records")
    assert (closed["ticket_id"], closed["reply_minutes"], closed["resolution_minutes"]) == ("16344778575", 1.5, 90)
    assert closed["created_at"] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert closed["first_replied_at"] == pd.Timestamp("2026-09-01 13:01:30", tz="UTC")
    assert closed["resolved_at"] == pd.Timestamp("2026-09-01 14:30", tz="UTC")
    assert (waiting["reply_minutes"], waiting["resolved_at"], waiting["first_replied_at"]) == (0, None, None)


def test_a_list_of_another_length_is_a_fault(company) -> None:
    """Figures that are not as many as those of the first conversation shift nothing."""
    company.map("drift.yml", MAPPING)
    company.deliver("export.json", json.dumps({"data": [*REPORT["data"], {"conversationId": 3, "metrics": [START]}]}))
    company.ingest(FEED)
    ticket = company.staged("tickets").iloc[2]
    assert ticket["typing_fault"] == "record has 2 cells where the header has 5"
    assert (ticket["ticket_id"], ticket["created_at"]) == (None, None)


def test_a_report_that_asked_for_less_is_refused(company) -> None:
    """A mapping of four figures does not read a report of three."""
    company.map("drift.yml", MAPPING)
    company.deliver("export.json", json.dumps({"data": [{"conversationId": 3, "metrics": [START, 1, 2]}]}))
    with pytest.raises(GateError, match="no column `metric 4`"):
        company.ingest(FEED)


def test_contacts_are_placed_by_their_mapping(company) -> None:
    """The company's own number is the customer; Drift's number, name and address are not stored."""
    started = {"column": "createdAt", "formats": ["unix_ms"]}
    columns = {"customer_id": "attributes.customer_number", "started_at": started}
    company.map("drift.yml", {"tables": {"customers": {"columns": columns}}})
    company.deliver("export.json", json.dumps({"data": [CONTACT]}))
    company.ingest(FEED)
    customer = company.staged("customers").iloc[0]
    assert customer["customer_id"] == "00001046"
    assert customer["started_at"] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert not customer.astype(str).str.contains("Ann|ann@|16344770001").any()


def test_markup_does_not_hide_personal_data(company) -> None:
    """A number that is split by a tag is masked once the tag is gone."""
    posted = {"column": "createdAt", "formats": ["unix_ms"]}
    columns = {"response_id": "id", "responded_at": posted, "comment": "body"}
    company.map("drift.yml", {"tables": {"responses": {"columns": columns}}})
    company.deliver("export.json", json.dumps({"data": {"messages": [MESSAGE]}}))
    company.ingest(FEED)
    assert company.staged("responses")["comment"].tolist() == ["Call [phone] & ask"]


@pytest.mark.parametrize(
    "content", ['{"data": [7]}', '{"data": {"id": 1}}', json.dumps([CONTACT, MESSAGE]), "a,b\r\n1,2"]
)
def test_other_files_are_refused(company, content: str) -> None:
    """A file of something else, or of several kinds, is not half read."""
    company.map("drift.yml", MAPPING)
    company.deliver("export.json", content)
    with pytest.raises(GateError):
        company.ingest(FEED)


@pytest.mark.parametrize("content", [REPORT, {"data": CONTACT}, {"data": [CONTACT] * 3_000}, MESSAGE])
def test_exports_are_recognised(company, content: object) -> None:
    """Keys tell, also of a single object."""
    assert company.recognised("a.json", json.dumps(content)) == ["drift"]
