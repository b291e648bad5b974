"""Intercom: conversations (API JSON, pages or one object a line) and reporting exports (CSV).

Times are Unix seconds, durations seconds from which the time out of office hours is taken off, so they are business
minutes here; calendar minutes are counted between the instants, from the contact's first message. A conversation that
Intercom or the company began and nobody answered is no case. A rating that was asked for and not given is an invitation
without a response; its `created_at` is when it was asked for, its `updated_at`, where there is one, when it was given.
Intercom's own ids of contacts are not used: the customer is the contact's `external_id`.

Reporting exports hold the attributes that somebody picked, under display names; their exact header and dates were not
seen in a file, so the feed's mapping places all columns. The export of message data holds no conversations.
"""

from dataclasses import replace
from typing import Any

from cxreport.config import Scale
from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import at_rows, first_objects, plain, text_of, with_columns, with_notes
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_objects
from cxreport.sources.formats.records import Records, from_objects, read_csv
from cxreport.sources.mapping import Battery, Fields, FileForm, Mapping, Origin, Question
from cxreport.sources.tables import Tables
from cxreport.sources.values import instants

_PAGES = ("conversations", "data")
_KEYS = frozenset({"id", "state", "created_at", "statistics"})
_REPORT = frozenset({"Conversation ID", "Conversation started at"})
_UNREAD = ("conversation_parts", "tags", "teammates", "linked_objects")  # long, and nothing is taken from them
_BEGUN_BY_US = ("automated", "admin_initiated", "campaigns_initiated", "operator_initiated")
_FIRST_MESSAGE = "statistics.first_contact_reply_at"
_UNIX = ["unix"]

# Columns that are derived below.
_IS_CASE, _CLOSED_AT, _EXTERNAL_ID = "is a case", "closed at", "contact.external_id"
_RATED, _RATED_AT, _ASKED_AT = "rated as", "rated at", "rating asked at"


def _seconds(column: str) -> Origin:
    return Origin(column=column, unit="seconds", optional=True)


_TICKETS = Fields(
    columns={
        "ticket_id": Origin(column="id"),
        "customer_id": Origin(column=_EXTERNAL_ID),
        "created_at": Origin(column="created_at", formats=_UNIX),
        "first_replied_at": Origin(column="statistics.first_admin_reply_at", formats=_UNIX, optional=True),
        "resolved_at": Origin(column=_CLOSED_AT, formats=_UNIX),
        "channel": Origin(column="source.type", optional=True),
        "team": Origin(column="team_assignee_id", optional=True),
        "priority": Origin(column="priority", optional=True),
        "status": Origin(column="state"),
        "reopens": Origin(column="statistics.count_reopens", optional=True),
        "reply_business_minutes": _seconds("statistics.time_to_admin_reply"),
        "resolution_business_minutes": _seconds("statistics.time_to_last_close"),
    },
    only_if={_IS_CASE: ["true"]},
    updated=Origin(column="updated_at", formats=_UNIX, optional=True),
)
_RESPONSES = Fields(
    columns={
        "response_id": Origin(column=_RATED),
        "customer_id": Origin(column=_EXTERNAL_ID),
        "survey": Origin(constant="Intercom conversation rating"),
        "kind": Origin(constant="transactional"),
        "channel": Origin(column="source.type", optional=True),
        "invited_at": Origin(column=_ASKED_AT, formats=_UNIX),
        "responded_at": Origin(column=_RATED_AT, formats=_UNIX),
        "comment": Origin(column="conversation_rating.remark", optional=True),
    },
    only_if={_RATED: []},
    updated=_TICKETS.updated,
)
_INVITATIONS = Fields(
    columns={
        "invitation_id": Origin(template="intercom-{id}"),
        "customer_id": Origin(column=_EXTERNAL_ID),
        "sent_at": Origin(column=_ASKED_AT, formats=_UNIX),
        "channel": Origin(column="source.type", optional=True),
        "response_id": Origin(column=_RATED),
    },
    only_if={_ASKED_AT: []},
    updated=_TICKETS.updated,
)
_STANDARD = Mapping(
    tables={"tickets": _TICKETS, "responses": _RESPONSES, "invitations": _INVITATIONS},
    batteries=[
        Battery(
            metric="csat",
            scale=Scale(low=1, high=5, good="high"),
            questions={
                "conversation_rating": Question(
                    column="conversation_rating.rating", title="How would you rate this conversation?"
                )
            },
        )
    ],
)


class Intercom(Adapter):
    """Reads conversations by itself, reporting exports with a mapping."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise conversations by their keys; the header of a report is only a hint."""
        if found := first_objects(glimpse, _PAGES):
            typed = found[0].get("type", "conversation") == "conversation" and found[0].keys() >= _KEYS
            return Recognised("conversations, JSON", "the keys of its objects") if typed else None
        if glimpse.header >= _REPORT:
            return Recognised("reporting export", "display names of its attributes", certain=False)
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export; the messages of conversations are not read."""
        if kind_of(file) != "json":
            return read_csv(file, form.encoding, form.delimiter or ",")
        found = read_objects(file, _PAGES, form.encoding)
        if any(not own.keys() >= {"id", "state", "created_at"} for _, own in found):
            raise UnreadableFileError("not all objects are conversations")
        flat = from_objects([_prepared(own) for _, own in found])
        return _derived(replace(flat, lines=[at for at, _ in found]))

    def standard(self, records: Records) -> Mapping | None:
        """Return where the keys of conversations belong; `None` for reporting exports."""
        return _STANDARD if _IS_CASE in records.header else None

    def refine(self, tables: Tables, records: Records) -> Tables:
        """Count calendar minutes, from the contact's first message."""
        if (tickets := tables.get("tickets")) is None or _IS_CASE not in records.header:
            return tables
        first, _ = instants(text_of(records, _FIRST_MESSAGE), _UNIX, "UTC")
        began = at_rows(first, records, tickets["source_row"])
        for minutes, until in (("reply_minutes", "first_replied_at"), ("resolution_minutes", "resolved_at")):
            tickets[minutes] = tickets[minutes].fillna((tickets[until] - began).dt.total_seconds() / 60)
        tickets.loc[tickets["resolved_at"].isna(), "resolution_business_minutes"] = None
        return tables


def _prepared(found: dict[str, Any]) -> dict[str, Any]:
    """Return a conversation without its messages, and with the company's id of its first contact."""
    contacts = found.get("contacts")
    listed = contacts.get("contacts") if isinstance(contacts, dict) else contacts
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    kept = {key: own for key, own in found.items() if key not in {"contacts", *_UNREAD}}
    return kept | {_EXTERNAL_ID: first.get("external_id")}


def _derived(records: Records) -> Records:
    state, rating = text_of(records, "state"), text_of(records, "conversation_rating.rating")
    asked, updated = (
        text_of(records, "conversation_rating.created_at"),
        text_of(records, "conversation_rating.updated_at"),
    )
    unanswered = text_of(records, "source.delivered_as").isin(_BEGUN_BY_US) & text_of(records, _FIRST_MESSAGE).isna()
    columns = {
        _IS_CASE: (~unanswered).astype("str").str.lower(),
        _CLOSED_AT: text_of(records, "statistics.last_close_at").where(state.eq("closed")),
        _ASKED_AT: asked,
        _RATED: ("intercom-" + text_of(records, "id")).where(rating.notna()),
        _RATED_AT: updated.fillna(asked).where(rating.notna()),
        "conversation_rating.rating": rating,
        "source.body": plain(text_of(records, "source.body")),
    }
    undated = int((rating.notna() & updated.isna()).sum())
    return with_notes(
        with_columns(records, columns),
        {"{n} ratings do not say when they were given, when they were asked for stands for it": undated},
    )


ADAPTER = Intercom()
