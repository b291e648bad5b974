"""Mixpanel: raw events in seconds or milliseconds, repeated, and in old projects in local time."""

import gzip
import json

import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "app", "adapter": "mixpanel", "files": "app*"}


def event(name: str = "Order placed", **properties: object) -> str:
    base = {
        "time": 1793516400,
        "distinct_id": "13b20239a29335",
        "$insert_id": "a1b2",
        "$user_id": "C0001",
        "$city": "Springfield",
        "mp_processing_time_ms": 1793516401000,
    }
    return json.dumps({"event": name, "properties": base | properties}, ensure_ascii=False) + "\n"


def staged(company, content: str, **feed: str) -> pd.DataFrame:
    company.deliver("app.jsonl.gz", gzip.compress(content.encode()))
    company.ingest(FEED | feed)
    return company.staged("events")


def test_events_are_staged_with_utc_times(company) -> None:
    """Seconds are UTC, nulls are no ids, and what the tool knows of a person stays out."""
    found = staged(company, event() + event("Visit", **{"$user_id": None, "time": 1793516401}))
    assert found["name"].tolist() == ["Order placed", "Visit"]
    assert found["customer_id"].tolist() == ["C0001", None]
    assert found["occurred_at"].tolist() == [
        pd.Timestamp("2026-11-01 07:00:00", tz="UTC"),
        pd.Timestamp("2026-11-01 07:00:01", tz="UTC"),
    ]
    assert found["source_row"].tolist() == [1, 2]
    assert not found.astype(str).isin(["13b20239a29335", "Springfield"]).any().any()


def test_milliseconds_are_told_from_seconds(company) -> None:
    """`time_in_ms=true` changes the unit and not the column; read as seconds they are no date."""
    found = staged(company, event(time=1793516400250))
    assert found["occurred_at"].tolist() == [pd.Timestamp("2026-11-01 07:00:00.250", tz="UTC")]
    assert pd.to_datetime(1793516400250, unit="s").year == 58804


def test_old_projects_state_their_zone(company) -> None:
    """Seconds of local time are moved to UTC, each by its own offset of the year."""
    company.map("app.yml", {"time_zone": "America/Chicago"})
    found = staged(company, event() + event(time=1780297200), mapping="app.yml")
    assert found["occurred_at"].tolist() == [
        pd.Timestamp("2026-11-01 13:00:00", tz="UTC"),
        pd.Timestamp("2026-06-01 12:00:00", tz="UTC"),
    ]


@pytest.mark.parametrize(
    "change", [{"time": 1793516401}, {"distinct_id": "other"}, {"$insert_id": "c3"}, {"$insert_id": None}]
)
def test_repeated_events_have_one_id(company, change: dict[str, object]) -> None:
    """The four parts of the documented key, and nothing else, tell events apart."""
    ids = staged(company, event() + event(mp_processing_time_ms=1) + event(**change))["event_id"]
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)


def test_separators_within_texts_are_no_ends_of_lines(company) -> None:
    """U+2028 and next-line characters in a property leave a line whole."""
    assert len(staged(company, event(note="a\u2028b\u0085c") + event())) == 2


def test_properties_are_columns_for_a_mapping(company) -> None:
    """A mapping names stages and touchpoints, and may keep the tool's own ids as hashes."""
    columns = {"touchpoint": {"column": "properties.screen", "optional": True}}
    company.map("app.yml", {"tables": {"events": {"columns": columns, "only_if": {"event": ["Order placed"]}}}})
    found = staged(company, event(screen="cart") + event("Visit"), mapping="app.yml")
    assert found["touchpoint"].tolist() == ["cart"]


def test_an_event_without_a_readable_time_is_a_fault(company) -> None:
    """What is no time is said, and the row is kept to be rejected."""
    found = staged(company, event(time="yesterday"))
    assert found["occurred_at"].tolist() == [None]
    assert found["typing_fault"][0].startswith("occurred_at: not a date")


def test_profiles_need_a_mapping(company) -> None:
    """Profiles are persons, and what of them is kept is for a company to say."""
    company.deliver("app.jsonl", '{"$distinct_id": "a", "$properties": {"$email": "ann@example.com", "plan": "pro"}}\n')
    with pytest.raises(GateError, match="mapping"):
        company.ingest(FEED)


def test_exports_are_recognised(company) -> None:
    """Events and profiles are this tool's; other objects are not."""
    assert company.recognised("a.jsonl", event()) == ["mixpanel"]
    assert company.recognised("b.jsonl", '{"$distinct_id": "a", "$properties": {}}\n') == ["mixpanel"]
    assert company.recognised("c.jsonl", '{"event": 1, "properties": {"time": 1}}\n') == []
