"""Mixpanel: the raw event export (JSON lines, seconds or milliseconds) as `events`.

`time` is UTC in projects created since 2023; in older ones it counts the seconds of the project's local time, so a feed
of such a project states that zone as its mapping's `time_zone`. The export is not free of repeats: an event is known by
its name, `distinct_id`, `time` and `$insert_id`. `$user_id` is the id that the company gave; `distinct_id`, which may
be the tool's own, is left to the mapping (`keep: hash`). Profiles need a mapping; their form was not seen in a file.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cxreport.sources.adapter import Adapter
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_objects
from cxreport.sources.formats.records import Records, from_objects
from cxreport.sources.formats.workbooks import as_text
from cxreport.sources.identifiers import company_id, digest
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_END = 10**11  # the year 5138 in seconds, 1973 in milliseconds
_KEYS = ("distinct_id", "time", "$insert_id")


class Mixpanel(Adapter):
    """Reads raw events; a mapping names stages and touchpoints, and an old project's time zone."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise an event's properties, or a profile's."""
        for found in glimpse.objects[:1]:
            properties = found.get("properties")
            if isinstance(found.get("event"), str) and isinstance(properties, dict) and "time" in properties:
                return Recognised("raw events, JSON lines", "`event` beside `properties` with a `time`")
            if {"$distinct_id", "$properties"} <= found.keys():
                return Recognised("profiles, JSON lines", "`$distinct_id` beside `$properties`")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read events or profiles, their properties as columns; `event_key` and `clock` are added to events."""
        objects = read_objects(file, ("results",), form.encoding)
        flat = [_with_key(found) if "event" in found else found for _, found in objects]
        return replace(from_objects(flat), lines=[at for at, _ in objects])

    def standard(self, records: Records) -> Mapping | None:
        """Return where events belong; nothing for profiles."""
        if "event_key" not in records.header:
            return None
        columns = {
            "event_id": Origin(column="event_key"),
            "occurred_at": Origin(column="clock", formats=["%Y-%m-%d %H:%M:%S.%f"]),
            "name": Origin(column="event"),
        }
        columns |= company_id(records, "properties.$user_id")
        return Mapping(time_zone="UTC", tables={"events": Fields(columns=columns)})


def _with_key(event: dict[str, Any]) -> dict[str, Any]:
    properties = event.get("properties")
    if not isinstance(properties, dict):
        raise UnreadableFileError("an event has no `properties`")
    key = digest(as_text(event["event"]), *(as_text(properties.get(name)) for name in _KEYS))
    return {**event, "event_key": key, "clock": _clock(properties.get("time"))}


def _clock(time: object) -> str:
    """Return what a clock shows so many seconds, or milliseconds, after 1970; anything else as it is.

    >>> _clock(1602611311), _clock(1602611311250)
    ('2020-10-13 17:48:31.000000', '2020-10-13 17:48:31.250000')
    """
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < _SECONDS_END * 1_000:
        return as_text(time)
    passed = timedelta(seconds=time) if time < _SECONDS_END else timedelta(milliseconds=time)
    return (_EPOCH + passed).strftime("%Y-%m-%d %H:%M:%S.%f")


ADAPTER = Mixpanel()
