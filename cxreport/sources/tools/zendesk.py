"""Zendesk Support: account CSV exports, full JSON exports, and the API's tickets, ticket metrics and ratings.

Durations are minutes, except the CSV's `Resolution time`, which is rounded hours and is not used. CSV dates are local
times of the account, JSON dates are UTC. A ticket is resolved while it is solved or closed (which archives it); one
that was reopened is open again, whatever its last solution says. A company's own fields, such as `Customer ID [txt]`
or `custom_fields.<id>`, are placed by the feed's mapping, and so is all of a view's or an Explore export, whose labels
are localised.

Ratings are responses on a scale of 0 (bad) to 1 (good), or of 1 to 5 where the account uses stars; `offered` is an
invitation that nobody answered, not a bad rating. Tickets do not say when they were rated: the time of the solution
stands for it, or the last update of a ticket that was reopened. Ratings of their own (`satisfaction_ratings`) do, and
also say when they were offered. Metrics without their ticket know neither customer nor channel: export tickets with
`include=metric_sets` where you can.
"""

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from cxreport.config import Scale
from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import first_objects, later, text_of, with_columns, with_notes, with_whole_ids
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_objects
from cxreport.sources.formats.records import Records, from_objects, read_csv
from cxreport.sources.mapping import Battery, Fields, FileForm, Mapping, Origin, Question
from cxreport.sources.tables import Tables

_SIGNATURE = frozenset({"Id", "Requester id", "Created at", "Full resolution time in minutes"})
_VIEW_LABELS = frozenset({"Requester", "Assignee", "Group", "Subject", "Status", "Priority", "Requested", "Updated"})
_EXPLORE = "Zendesk-Support_"  # how names of Explore's files begin
_LISTS = ("tickets", "ticket_metrics", "satisfaction_ratings")
_WRAPPERS = ("ticket", "ticket_metric", "satisfaction_rating")
_KINDS = {
    "tickets": frozenset({"id", "status", "via", "created_at"}),
    "ticket metrics": frozenset({"ticket_id", "reply_time_in_minutes"}),
    "satisfaction ratings": frozenset({"ticket_id", "score", "requester_id"}),
}
_OPEN = ("new", "open", "pending", "hold", "on-hold")
_SOLVED = ("solved", "closed")
_RESOLUTION = ["resolved_at", "resolution_minutes", "resolution_business_minutes"]

_LOCAL = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
_UTC = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]
_GOOD_OR_BAD = {"good": 1.0, "good_with_comment": 1.0, "bad": 0.0, "bad_with_comment": 0.0}
_STARS = ("1", "2", "3", "4", "5")
_UNANSWERED = frozenset({"offered", "unoffered", "not offered"})
_RESPONSE = "zendesk-{%s}"  # so that a ticket's number cannot be taken for another tool's response

# Columns that are derived below.
_RESOLVED_AT, _RATED_AT, _RATING, _ANSWERED_BY = "resolved at", "rated at", "rating", "answered by"


def _metrics(before: str) -> dict[str, Origin]:
    """Return where a metric set belongs, whose keys stand after `before`."""
    paths = {
        "reopens": "reopens",
        "replies": "replies",
        "reply_minutes": "reply_time_in_minutes.calendar",
        "reply_business_minutes": "reply_time_in_minutes.business",
        "resolution_minutes": "full_resolution_time_in_minutes.calendar",
        "resolution_business_minutes": "full_resolution_time_in_minutes.business",
    }
    return {column: Origin(column=before + path, optional=True) for column, path in paths.items()}


_ACCOUNT_CSV = Fields(
    columns={
        "ticket_id": Origin(column="Id"),
        "customer_id": Origin(column="Requester external id"),
        "created_at": Origin(column="Created at", formats=_LOCAL),
        "resolved_at": Origin(column="Solved at", formats=_LOCAL),
        "channel": Origin(column="Via"),
        "team": Origin(column="Group"),
        "priority": Origin(column="Priority"),
        "status": Origin(column="Status"),
        "reopens": Origin(column="Reopens"),
        "replies": Origin(column="Replies"),
        "reply_minutes": Origin(column="First reply time in minutes"),
        "reply_business_minutes": Origin(column="First reply time in minutes within business hours"),
        "resolution_minutes": Origin(column="Full resolution time in minutes"),
        "resolution_business_minutes": Origin(column="Full resolution time in minutes within business hours"),
    },
    updated=Origin(column="Updated at", formats=_LOCAL, optional=True),
)
_LABELS = frozenset(column for origin in _ACCOUNT_CSV.columns.values() for column in origin.columns)
_TICKETS = Fields(
    columns={
        "ticket_id": Origin(column="id"),
        "customer_id": Origin(column="requester.external_id", optional=True),
        "created_at": Origin(column="created_at", formats=_UTC),
        "resolved_at": Origin(column=_RESOLVED_AT, formats=_UTC),
        "channel": Origin(column="via.channel", optional=True),
        "team": Origin(column="group_id", optional=True),
        "priority": Origin(column="priority", optional=True),
        "status": Origin(column="status"),
        **_metrics("metric_set."),
    },
    updated=Origin(column="updated_at", formats=_UTC, optional=True),
)
_TICKET_METRICS = Fields(
    columns={
        "ticket_id": Origin(column="ticket_id"),
        "created_at": Origin(column="created_at", formats=_UTC),
        "resolved_at": Origin(column="solved_at", formats=_UTC, optional=True),
        **_metrics(""),
    },
    updated=Origin(column="updated_at", formats=_UTC, optional=True),
)


class Zendesk(Adapter):
    """Reads tickets and their ratings; a mapping may place custom fields and give channels their names."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the labels of the account export and the keys of the API's objects."""
        if found := first_objects(glimpse, _LISTS):
            kind = _kind(_unwrapped(found[0]))
            return Recognised(f"{kind}, JSON", "the keys of its objects") if kind else None
        if glimpse.header >= _SIGNATURE:
            return Recognised("account CSV export", "the labels of its header")
        if PurePosixPath(glimpse.file.name).name.startswith(_EXPLORE) or _is_view(glimpse.header):
            return Recognised("view or Explore export", "its name, or labels of a view", certain=False)
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export; deleted tickets are left out and counted."""
        if kind_of(file) == "json":
            return _objects(file, form)
        records = with_whole_ids(read_csv(file, form.encoding, form.delimiter or ","), ["Id"])
        if "Satisfaction Score" not in records.header:
            return records
        return _rated(records, text_of(records, "Satisfaction Score"), "Solved at", "Updated at")

    def standard(self, records: Records) -> Mapping | None:
        """Return where the export's columns belong; `None` for views and Explore."""
        present = frozenset(records.header)
        if {name.partition(".")[0] for name in present} >= _KINDS["ticket metrics"]:
            return Mapping(tables={"tickets": _TICKET_METRICS})
        if present >= {"ticket_id", _ANSWERED_BY}:
            return _of_ratings(records)
        if _RESOLVED_AT in present:
            return _with_responses(_TICKETS, "id", _UTC, records)
        if len(present & _LABELS) > len(_LABELS) / 2:
            return _with_responses(_ACCOUNT_CSV, "Id", _LOCAL, records)
        return None

    def refine(self, tables: Tables, records: Records) -> Tables:  # noqa: ARG002 - needs the tables only
        """Open reopened tickets again, date first replies from their minutes, and give ratings their customers."""
        if (tickets := tables.get("tickets")) is None:
            return tables
        tickets.loc[tickets["status"].str.lower().isin(_OPEN), _RESOLUTION] = None
        replied = later(tickets["created_at"], tickets["reply_minutes"])
        tickets["first_replied_at"] = tickets["first_replied_at"].fillna(replied)
        if (responses := tables.get("responses")) is not None:
            by_row = tickets.drop_duplicates("source_row").set_index("source_row")
            for column in ("customer_id", "channel"):
                of_ticket = responses["source_row"].map(by_row[column])
                responses[column] = responses[column].fillna(of_ticket).astype("str")
        return tables


# --- JSON ----------------------------------------------------------------------------------------


def _unwrapped(found: dict[str, Any]) -> dict[str, Any]:
    inner = next(iter(found.values())) if len(found) == 1 and next(iter(found)) in _WRAPPERS else None
    return inner if isinstance(inner, dict) else found


def _kind(found: dict[str, Any]) -> str | None:
    return next((kind for kind, keys in _KINDS.items() if keys <= found.keys()), None)


def _is_view(header: frozenset[str]) -> bool:
    return {"Requester", "Assignee"} <= header and len(header & _VIEW_LABELS) > len(_VIEW_LABELS) / 2


def _objects(file: DeliveredFile, form: FileForm) -> Records:
    found = [(at, _unwrapped(own)) for at, own in read_objects(file, _LISTS, form.encoding)]
    kinds = {_kind(own) for _, own in found}
    if found and (len(kinds) > 1 or None in kinds):
        raise UnreadableFileError("not all objects are tickets, or ticket metrics, or satisfaction ratings")
    kept = [(at, own) for at, own in found if own.get("status") != "deleted"]
    flat = from_objects([_prepared(own) for _, own in kept])
    records = with_notes(
        replace(flat, lines=[at for at, _ in kept]),
        {"{n} deleted tickets were left out": len(found) - len(kept)},
    )
    records = with_whole_ids(records, filter(_is_id, records.header))
    if kinds == {"tickets"}:
        return _of_tickets(records)
    return _offered(records) if kinds == {"satisfaction ratings"} else records


def _prepared(found: dict[str, Any]) -> dict[str, Any]:
    """Key custom fields by their id, and keep ids that arrive as floating-point numbers as they were written."""
    prepared = {key: repr(own) if _is_id(key) and isinstance(own, float) else own for key, own in found.items()}
    fields = prepared.pop("custom_fields", None)
    if isinstance(fields, list):
        prepared["custom_fields"] = {
            str(field["id"]): field.get("value") for field in fields if isinstance(field, dict) and "id" in field
        }
    return prepared


def _is_id(key: str) -> bool:
    return key == "id" or key.endswith("_id")


def _of_tickets(records: Records) -> Records:
    """Add when tickets were resolved; without a metric set the last update of a solved one stands for it."""
    solved = text_of(records, "status").isin(_SOLVED)
    stated = text_of(records, "metric_set.solved_at").where(solved)
    resolved = stated.fillna(text_of(records, "updated_at").where(solved))
    records = with_notes(
        with_columns(records, {_RESOLVED_AT: resolved}),
        {
            "{n} tickets do not say when they were solved, their last update stands for it": int(
                (solved & stated.isna()).sum()
            )
        },
    )
    rating = text_of(records, "satisfaction_rating.score")
    return _rated(records, rating, "metric_set.solved_at", "updated_at")


# --- ratings -------------------------------------------------------------------------------------


def _rated(records: Records, rating: "pd.Series[str]", solved: str, updated: str) -> Records:
    """Add a ticket's rating, and the time that stands for when it was given."""
    given = text_of(records, solved).fillna(text_of(records, updated))
    return with_columns(records, {_RATING: rating.str.lower(), _RATED_AT: given})


def _offered(records: Records) -> Records:
    """Add to ratings the response that answered each offer."""
    rating = text_of(records, "score").str.lower()
    answered = ("zendesk-" + text_of(records, "ticket_id")).where(rating.notna() & ~rating.isin(_UNANSWERED))
    return with_columns(records, {_RATING: rating, _ANSWERED_BY: answered})


def _battery(records: Records) -> Battery:
    """Return the question that tickets are rated by: stars where the account uses them, else good or bad.

    Good or bad is an item, not `csat`: it has two points where the scores of a survey have five.
    """
    title = "How would you rate the support you received?"
    if records.text(_RATING).isin(_STARS).any():
        question = {"ticket_stars": Question(column=_RATING, title=title)}
        return Battery(metric="csat", scale=Scale(low=1, high=5, good="high"), questions=question)
    question = {"ticket_satisfaction": Question(column=_RATING, title=title)}
    return Battery(metric="item", scale=Scale(low=0, high=1, good="high"), labels=_GOOD_OR_BAD, questions=question)


def _answers(records: Records) -> list[str]:
    """Return all ratings of the file that are answers; unknown words too, so that they are found out."""
    return sorted({*_GOOD_OR_BAD, *records.text(_RATING).dropna()} - _UNANSWERED)


def _with_responses(tickets: Fields, key: str, formats: list[str], records: Records) -> Mapping:
    """Return the mapping of tickets with the ratings they carry, if the export has them."""
    if _RATING not in records.header:
        return Mapping(tables={"tickets": tickets})
    responses = Fields(
        columns={
            "response_id": Origin(template=_RESPONSE % key),
            "survey": Origin(constant="Zendesk satisfaction rating"),
            "kind": Origin(constant="transactional"),
            "responded_at": Origin(column=_RATED_AT, formats=formats),
            "comment": Origin(column="satisfaction_rating.comment", optional=True),
        },
        only_if={_RATING: _answers(records)},
        updated=tickets.updated,
    )
    return Mapping(tables={"tickets": tickets, "responses": responses}, batteries=[_battery(records)])


def _of_ratings(records: Records) -> Mapping:
    updated = Origin(column="updated_at", formats=_UTC)
    responses = Fields(
        columns={
            "response_id": Origin(column=_ANSWERED_BY),
            "survey": Origin(constant="Zendesk satisfaction rating"),
            "kind": Origin(constant="transactional"),
            "invited_at": Origin(column="created_at", formats=_UTC),
            "responded_at": updated,
            "comment": Origin(column="comment", optional=True),
        },
        only_if={_RATING: _answers(records)},
        updated=updated,
    )
    invitations = Fields(
        columns={
            "invitation_id": Origin(template=_RESPONSE % "ticket_id"),
            "sent_at": Origin(column="created_at", formats=_UTC),
            "response_id": Origin(column=_ANSWERED_BY),
        },
        only_if={_RATING: ["offered", *_answers(records)]},
        updated=updated,
    )
    tables: dict[Any, Fields] = {"responses": responses, "invitations": invitations}
    return Mapping(tables=tables, batteries=[_battery(records)])


ADAPTER = Zendesk()
