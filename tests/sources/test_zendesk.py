"""Zendesk: account exports, JSON of tickets, metrics and ratings, and what a naive reader makes of them."""

import io
import json

import pandas as pd
import pytest

from cxreport import sources
from cxreport.errors import GateError

# All columns of the account export, with one ticket.
TICKET = {
    "Summation column": "1",
    "Id": "000123",
    "Requester": "Ann Example",
    "Requester id": "900000000001",
    "Requester external id": "",
    "Requester email": "ann@example.com",
    "Requester domain": "example.com",
    "Submitter": "Ann Example",
    "Assignee": "Bo Agent",
    "Group": "Billing",
    "Subject": "My bill",
    "Tags": "billing refund",
    "Status": "Solved",
    "Priority": "High",
    "Via": "Web form",
    "Ticket type": "Question",
    "Created at": "2026-09-01 08:00",
    "Updated at": "2026-09-03 10:00",
    "Assigned at": "2026-09-01 08:05",
    "Organization": "",
    "Due date": "",
    "Initially assigned at": "2026-09-01 08:05",
    "Solved at": "2026-09-02 09:30",
    "Resolution time": "26",
    "Satisfaction Score": "Not Offered",
    "Group stations": "1",
    "Assignee stations": "1",
    "Reopens": "1",
    "Replies": "2",
    "First reply time in minutes": "45",
    "First reply time in minutes within business hours": "30",
    "First resolution time in minutes": "1500",
    "First resolution time in minutes within business hours": "590",
    "Full resolution time in minutes": "1530",
    "Full resolution time in minutes within business hours": "600",
    "Agent wait time in minutes": "10",
    "Agent wait time in minutes within business hours": "10",
    "Requester wait time in minutes": "1520",
    "Requester wait time in minutes within business hours": "590",
    "On hold time in minutes": "0",
    "On hold time in minutes within business hours": "0",
    "Customer ID [txt]": "C1",
}
FEED = {"id": "tickets", "adapter": "zendesk", "files": "tickets.*"}
MAPPED = FEED | {"mapping": "tickets.yml"}
MAPPING = {
    "tables": {
        "tickets": {
            "columns": {"customer_id": "Customer ID [txt]", "channel": {"column": "Via", "labels": {"Web form": "web"}}}
        }
    }
}
API_TICKET = {
    "id": 7700000000123,
    "external_id": None,
    "via": {"channel": "web", "source": {"from": {}, "to": {}}},
    "created_at": "2026-09-01T13:00:00Z",
    "updated_at": "2026-09-05T00:00:00Z",
    "status": "solved",
    "priority": None,
    "requester_id": 900000000001,
    "group_id": 360001,
    "custom_fields": [{"id": 4400, "value": "C1"}, {"id": 4401, "value": None}],
    "satisfaction_rating": None,
}
METRICS = {
    "id": 5500000000001,
    "ticket_id": 7700000000123,
    "created_at": "2026-09-01T13:00:00Z",
    "updated_at": "2026-09-05T00:00:00Z",
    "solved_at": "2026-09-02T14:30:00Z",
    "reopens": 0,
    "replies": 2,
    "reply_time_in_minutes": {"calendar": 45, "business": 30},
    "full_resolution_time_in_minutes": {"calendar": 1530, "business": 600},
    "on_hold_time_in_minutes": {"calendar": 0, "business": 0},
}
RATING = {
    "id": 8800000000001,
    "ticket_id": 7700000000123,
    "requester_id": 900000000001,
    "assignee_id": 12,
    "score": "good",
    "comment": "Thanks, call me on 312-555-0147",
    "created_at": "2026-09-03T00:00:00Z",
    "updated_at": "2026-09-04T06:00:00Z",
}


def export(*rows: dict[str, str]) -> str:
    tickets = [TICKET | row for row in rows or ({},)]
    return "\r\n".join(",".join(cells) for cells in [list(TICKET), *(row.values() for row in tickets)]) + "\r\n"


def lines(*objects: object) -> str:
    return "".join(json.dumps(found) + "\n" for found in objects)


def notes(company) -> list[str]:
    feeds = json.loads((company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8"))
    return feeds["tickets"]["files"][0]["notes"]


# --- account CSV ---------------------------------------------------------------------------------


def test_tickets_carry_minutes_and_utc(company) -> None:
    """Hours are not taken for minutes, local times are placed, the first reply is dated from its minutes."""
    company.map("tickets.yml", MAPPING)
    company.deliver("tickets.csv", export())
    company.ingest(MAPPED)
    ticket = company.staged("tickets").iloc[0]
    assert (ticket["ticket_id"], ticket["source_row"]) == ("000123", 2)
    assert (ticket["customer_id"], ticket["channel"], ticket["team"]) == ("C1", "web", "Billing")
    assert ticket["created_at"] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert ticket["first_replied_at"] == pd.Timestamp("2026-09-01 13:45", tz="UTC")
    assert ticket["updated_at"] == pd.Timestamp("2026-09-03 15:00", tz="UTC")
    assert (ticket["resolution_minutes"], ticket["resolution_business_minutes"], ticket["reopens"]) == (1530, 600, 1)
    assert not {"Ann Example", "ann@example.com", "My bill"} & set(ticket.astype(str))


def test_open_tickets_have_no_resolution(company) -> None:
    """Blank durations are missing, not zero."""
    company.deliver("tickets.csv", export({"Solved at": "", "Full resolution time in minutes": "", "Status": "Open"}))
    company.ingest(FEED)
    ticket = company.staged("tickets").iloc[0]
    assert ticket["resolved_at"] is None
    assert ticket["resolution_minutes"] is None
    assert ticket["typing_fault"] is None


def test_closed_is_resolved_and_reopened_is_not(company) -> None:
    """Archiving does not undo a solution; the last solution of a reopened ticket is none."""
    company.deliver("tickets.csv", export({"Id": "1", "Status": "Closed"}, {"Id": "2", "Status": "Open"}))
    company.ingest(FEED)
    closed, reopened = company.staged("tickets").to_dict("records")
    assert closed["resolved_at"] == pd.Timestamp("2026-09-02 14:30", tz="UTC")
    assert (reopened["resolved_at"], reopened["resolution_minutes"]) == (None, None)
    naive = pd.read_csv(io.StringIO(export({"Id": "2", "Status": "Open"})))
    assert naive["Solved at"].notna().all()


def test_only_good_and_bad_are_ratings(company) -> None:
    """An offer that nobody took up is not a bad rating, and no answer at all."""
    scores = ["Good", "Bad", "Offered", "Not Offered", "Good"]
    content = export(*({"Id": str(number), "Satisfaction Score": score} for number, score in enumerate(scores)))
    company.map("tickets.yml", MAPPING)
    company.deliver("tickets.csv", content)
    company.ingest(MAPPED)
    answers, responses = company.staged("answers"), company.staged("responses")
    assert answers["score"].tolist() == [1, 0, 1]
    assert set(answers["metric"]) == {"item"}
    assert (answers["scale_low"].max(), answers["scale_high"].min()) == (0, 1)
    assert responses["response_id"].tolist() == ["zendesk-0", "zendesk-1", "zendesk-4"]
    assert (set(responses["customer_id"]), set(responses["channel"])) == ({"C1"}, {"web"})
    assert responses["responded_at"].iloc[0] == pd.Timestamp("2026-09-02 14:30", tz="UTC")
    assert notes(company) == ["records that are no rows of responses: 2"]
    naive = pd.read_csv(io.StringIO(content))["Satisfaction Score"].eq("Good").mean()
    assert naive == pytest.approx(2 / 5)
    assert answers["score"].mean() == pytest.approx(2 / 3)


def test_stars_are_on_their_own_scale(company) -> None:
    """An account that rates from 1 to 5 is not squeezed into good and bad."""
    company.deliver("tickets.csv", export({"Satisfaction Score": "4"}, {"Id": "2", "Satisfaction Score": "Offered"}))
    company.ingest(FEED)
    answer = company.staged("answers").iloc[0]
    assert (answer["score"], answer["scale_low"], answer["scale_high"]) == (4, 1, 5)
    assert len(company.staged("answers")) == 1


def test_a_feed_may_leave_ratings_out(company) -> None:
    """Where another feed brings the ratings, this one keeps to its tickets."""
    company.map("tickets.yml", {"tables": {"responses": {"only_if": {"rating": ["none"]}}}})
    company.deliver("tickets.csv", export({"Satisfaction Score": "Good"}))
    company.ingest(MAPPED)
    assert len(company.staged("tickets")) == 1
    assert len(company.staged("responses")) == 0
    assert sources.question_titles(company.project, company.dataset(MAPPED)) == {}


def test_an_unknown_rating_is_found_out(company) -> None:
    """A word that no rating has is a typing fault, not silence."""
    company.deliver("tickets.csv", export({"Satisfaction Score": "Splendid"}))
    company.ingest(FEED)
    answer = company.staged("answers").iloc[0]
    assert (answer["score"], answer["typing_fault"]) == (None, "score: not a number")


def test_a_channel_without_a_label_is_a_typing_fault(company) -> None:
    """A new channel is noticed, and its name is not repeated."""
    company.map("tickets.yml", MAPPING)
    company.deliver("tickets.csv", export({"Via": "Telepathy", "Reopens": "few"}))
    company.ingest(MAPPED)
    ticket = company.staged("tickets").iloc[0]
    assert ticket["channel"] is None
    assert ticket["typing_fault"] == "channel: a code without a label; reopens: not a whole number"


def test_ids_that_became_floats_are_whole_again(company) -> None:
    """What a loader wrote as a floating-point number is recovered exactly, and noted."""
    company.deliver("tickets.csv", export({"Id": "7700000000123.0"}, {"Id": "7700000000124"}))
    company.ingest(FEED)
    assert company.staged("tickets")["ticket_id"].tolist() == ["7700000000123", "7700000000124"]
    assert "1 ids in `Id` were floating-point numbers and are whole again" in notes(company)


@pytest.mark.parametrize("damaged", ["7.70E+12", "77000000001234567.0", "7,7E+12"])
def test_rounded_ids_are_refused(company, damaged: str) -> None:
    """Digits that are gone are not invented."""
    company.deliver("tickets.csv", export({"Id": f'"{damaged}"'}))
    with pytest.raises(GateError, match="ids in `Id` were rounded to floating-point numbers") as caught:
        company.ingest(FEED)
    assert damaged not in str(caught.value)


def test_a_view_needs_a_mapping(company) -> None:
    """Labels of views and Explore are localised: nothing is guessed from them."""
    view = "ID,Requester,Assignee,Group,Subject,Status,Priority,Requested\r\n7,A,B,C,D,Open,High,2026-09-01 08:00\r\n"
    company.deliver("tickets.csv", view)
    with pytest.raises(GateError, match="nothing says what its columns mean"):
        company.ingest(FEED)
    created = {"column": "Requested", "formats": ["%Y-%m-%d %H:%M"]}
    company.map("tickets.yml", {"tables": {"tickets": {"columns": {"ticket_id": "ID", "created_at": created}}}})
    company.ingest(MAPPED)
    assert company.staged("tickets")["ticket_id"].tolist() == ["7"]


# --- JSON ----------------------------------------------------------------------------------------


def test_a_full_export_is_lines_and_not_an_array(company) -> None:
    """Each line is one ticket in a wrapper; dates are UTC, custom fields have their ids as names."""
    content = lines(
        {"ticket": API_TICKET | {"metric_set": METRICS}}, {"ticket": API_TICKET | {"id": 9, "status": "open"}}
    )
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(content)
    company.map("tickets.yml", {"tables": {"tickets": {"columns": {"customer_id": "custom_fields.4400"}}}})
    company.deliver("tickets.json", content)
    company.ingest(MAPPED)
    ticket, other = company.staged("tickets").to_dict("records")
    assert (ticket["ticket_id"], ticket["customer_id"], ticket["channel"]) == ("7700000000123", "C1", "web")
    assert ticket["created_at"] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert ticket["resolved_at"] == pd.Timestamp("2026-09-02 14:30", tz="UTC")
    assert (ticket["reply_minutes"], ticket["reply_business_minutes"], ticket["resolution_minutes"]) == (45, 30, 1530)
    assert ticket["first_replied_at"] == pd.Timestamp("2026-09-01 13:45", tz="UTC")
    assert (other["source_row"], other["resolved_at"], other["reply_minutes"]) == (2, None, None)


def test_pages_of_the_api_are_read(company) -> None:
    """The members of a page are the tickets; deleted ones are left out, and a stand-in for a time is noted."""
    tickets = [API_TICKET | {"id": 1, "status": "closed"}, API_TICKET | {"id": 2, "status": "deleted"}]
    company.deliver("tickets.json", json.dumps({"tickets": tickets, "end_of_stream": True}))
    company.ingest(FEED)
    ticket = company.staged("tickets").iloc[0]
    assert len(company.staged("tickets")) == 1
    assert ticket["resolved_at"] == pd.Timestamp("2026-09-05", tz="UTC")
    assert ticket["resolution_minutes"] is None
    assert notes(company)[:2] == [
        "1 deleted tickets were left out",
        "1 tickets do not say when they were solved, their last update stands for it",
    ]


def test_a_ticket_carries_its_rating(company) -> None:
    """A rating with a comment is the same rating; null and offered are none; the comment is masked."""
    ratings = [{"score": "good_with_comment", "comment": "Write to ann@example.com"}, {"score": "offered"}, None]
    tickets = [API_TICKET | {"id": number, "satisfaction_rating": own} for number, own in enumerate(ratings)]
    company.deliver("tickets.json", lines(*tickets))
    company.ingest(FEED)
    response = company.staged("responses").iloc[0]
    assert company.staged("answers")["score"].tolist() == [1]
    assert (response["response_id"], response["comment"]) == ("zendesk-0", "Write to [e-mail]")


def test_ids_that_are_floats_in_json(company) -> None:
    """A loader's `7700000000123.0` is the ticket, and it is said that it was one."""
    company.deliver("tickets.json", lines(API_TICKET | {"id": 7700000000123.0}))
    company.ingest(FEED)
    assert company.staged("tickets")["ticket_id"].tolist() == ["7700000000123"]
    assert "1 ids in `id` were floating-point numbers and are whole again" in notes(company)


def test_metrics_keep_null_and_zero_apart(company) -> None:
    """What has not happened has no minutes; zero minutes are zero."""
    open_one = METRICS | {"ticket_id": 2, "solved_at": None, "full_resolution_time_in_minutes": {"calendar": None}}
    company.deliver("tickets.json", json.dumps([METRICS | {"reply_time_in_minutes": {"calendar": 0}}, open_one]))
    company.ingest(FEED)
    done, waiting = company.staged("tickets").to_dict("records")
    assert (done["ticket_id"], done["reply_minutes"], done["resolution_business_minutes"]) == ("7700000000123", 0, 600)
    assert done["reply_business_minutes"] is None
    assert (waiting["resolved_at"], waiting["resolution_minutes"]) == (None, None)


def test_ratings_tell_offers_from_answers(company) -> None:
    """Every offer is an invitation, only good and bad are responses, and nobody was invited who was not."""
    scores = ["good", "bad", "offered", "unoffered"]
    ratings = [RATING | {"ticket_id": number, "score": score} for number, score in enumerate(scores)]
    company.deliver("tickets.json", json.dumps({"satisfaction_ratings": ratings}))
    company.ingest(FEED)
    invitations, responses = company.staged("invitations"), company.staged("responses")
    assert invitations["response_id"].tolist() == ["zendesk-0", "zendesk-1", None]
    assert invitations["sent_at"].iloc[0] == pd.Timestamp("2026-09-03", tz="UTC")
    assert responses["responded_at"].iloc[0] == pd.Timestamp("2026-09-04 06:00", tz="UTC")
    assert responses["comment"].iloc[0] == "Thanks, call me on [phone]"
    assert company.staged("answers")["score"].tolist() == [1, 0]


def test_absurd_durations_date_nothing(company) -> None:
    """A number of minutes that no calendar holds leaves the first reply undated."""
    company.deliver("tickets.csv", export({"First reply time in minutes": "9" * 25}))
    company.ingest(FEED)
    assert company.staged("tickets")["first_replied_at"].tolist() == [None]


@pytest.mark.parametrize("content", [lines(API_TICKET, METRICS), lines({"id": 1}), "[1]", '{"tickets": [7]}'])
def test_other_objects_are_refused(company, content: str) -> None:
    """A file of something else, or of several kinds, is not half read."""
    company.deliver("tickets.json", content)
    with pytest.raises(GateError):
        company.ingest(FEED)


# --- recognition ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("export.csv", export()),
        ("a.json", lines({"ticket": API_TICKET})),
        ("b.json", json.dumps([METRICS])),
        ("c.json", json.dumps({"satisfaction_ratings": [RATING]})),
        ("d.json", json.dumps({"tickets": [API_TICKET] * 2_000, "count": 2_000})),
        ("Zendesk-Support_Tickets_2026-09.csv", "Ticket-ID,Erstellt\r\n1,2026-09-01\r\n"),
    ],
)
def test_exports_are_recognised(company, name: str, content: str) -> None:
    """Labels, keys and names tell, even where a page is longer than the first look."""
    assert company.recognised(name, content) == ["zendesk"]


def test_a_file_of_another_tool_is_named_as_such(company) -> None:
    """Delivering to the wrong folder is said plainly, not as twenty missing columns."""
    company.deliver("tickets.csv", "Id,IsDeleted,CreatedDate\n001A00000000001AAA,false,2024-07-11T21:22:07.000Z\n")
    company.map("tickets.yml", MAPPING)
    with pytest.raises(GateError) as caught:
        company.ingest(MAPPED)
    assert caught.value.found == (
        "feed `tickets`, tickets.csv: the file looks like an export for the adapter `salesforce`, not `zendesk`"
    )


def test_the_tool_s_own_question_has_a_title_once_it_is_staged(company) -> None:
    """A report can name a question that no mapping names."""
    company.deliver("tickets.csv", export({"Satisfaction Score": "Good"}))
    company.ingest(FEED)
    titles = sources.question_titles(company.project, company.dataset(FEED))
    assert titles == {"ticket_satisfaction": "How would you rate the support you received?"}
