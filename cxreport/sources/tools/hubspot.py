"""HubSpot: feedback submissions (API JSON, or exports with internal names) and CRM exports (CSV, XLSX, XLS).

Feedback is one column of values for surveys of all types, so it is split by type: `hs_value NPS`, `hs_value CSAT` and
so on. Only NPS has a scale of its own; those of the others are set per survey and are for the feed's mapping to state.
`hs_response_group` is not trusted: it was seen calling a satisfaction score of 2 a promoter.

CRM exports have the columns of whatever view was exported, under labels in the exporting user's language, with local
times of the account, so the feed's mapping places all of them. Where ids of several records are joined by `;`, the
column `<name> (one)` holds those that stand alone. Feedback that was exported with labels was not seen in a file.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd

from cxreport.config import Scale
from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import first_objects, with_columns, with_notes, with_whole_ids
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_objects
from cxreport.sources.formats.records import Records, from_objects, read_table
from cxreport.sources.mapping import Battery, Fields, FileForm, Mapping, Origin, Question

_FEEDBACK = frozenset({"hs_survey_type", "hs_value"})
_FEEDBACK_LABELS = frozenset({"Survey Type", "Sentiment"})
_INTERNAL = "hs_object_id"
_LABELS = frozenset(
    {
        "Associated Company",
        "Company owner",
        "Contact owner",
        "Deal Stage",
        "Deal owner",
        "Lead Status",
        "Lifecycle Stage",
        "Ticket owner",
    }
)
_TYPES = ("NPS", "CSAT", "CES", "KNOWLEDGE", "CUSTOM")
_PAGES = ("results",)
_ONE_ID = r"\d+;?"
_IDS = r"\d+(?:;\s*\d+)*;?"
_FORMATS = ["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z", "unix_ms"]
_STANDARD = Mapping(
    tables={
        "responses": Fields(
            columns={
                "response_id": Origin(template="hubspot-{hs_object_id}"),
                "survey": Origin(column="hs_survey_name", optional=True),
                "channel": Origin(column="hs_survey_channel", optional=True),
                "responded_at": Origin(column="hs_submission_timestamp", formats=_FORMATS),
                "comment": Origin(column="hs_content", optional=True),
            },
            updated=Origin(column="hs_lastmodifieddate", formats=_FORMATS, optional=True),
        )
    },
    batteries=[
        Battery(
            metric="nps",
            scale=Scale(low=0, high=10, good="high"),
            asked_when={"hs_survey_type": ["NPS"]},
            questions={"nps": Question(column="hs_value NPS", title="How likely are you to recommend us?")},
        )
    ],
)


class HubSpot(Adapter):
    """Reads feedback by itself, CRM exports with a mapping."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise HubSpot's internal names; labels are only a hint, and are in any language."""
        if found := first_objects(glimpse, _PAGES):
            properties = found[0].get("properties")
            if isinstance(properties, dict) and any(name.startswith("hs_") for name in properties):
                return Recognised("API objects, JSON", "internal names in `properties`")
            return None
        if glimpse.header >= _FEEDBACK or _INTERNAL in glimpse.header:
            return Recognised("export with internal names", "names that begin with `hs_`")
        if glimpse.header >= _FEEDBACK_LABELS or ("Record ID" in glimpse.header and glimpse.header & _LABELS):
            return Recognised("export with labels", "labels of its views", certain=False)
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export; the values of feedback are split by survey type."""
        if kind_of(file) == "json":
            records = _objects(file, form)
        else:
            delimiter = form.delimiter or Glimpse(file).delimiter
            records = read_table(file, form.encoding, delimiter, form.sheet)
        records = with_whole_ids(records, ["Record ID", "Contact ID", _INTERNAL])
        return _by_type(records) if set(records.header) >= _FEEDBACK else _with_single_ids(records)

    def standard(self, records: Records) -> Mapping | None:
        """Return where the properties of feedback belong; `None` for CRM exports."""
        return _STANDARD if set(records.header) >= _FEEDBACK else None


def _objects(file: DeliveredFile, form: FileForm) -> Records:
    """Read objects of the API with their properties under the names that exports give them."""
    found = read_objects(file, _PAGES, form.encoding)
    flat = from_objects([_properties(own) for _, own in found])
    return replace(flat, lines=[at for at, _ in found])


def _properties(found: dict[str, Any]) -> dict[str, Any]:
    properties = found.get("properties")
    if not isinstance(properties, dict):
        raise UnreadableFileError("an object has no `properties`")
    return {_INTERNAL: found.get("id"), **properties}


def _by_type(records: Records) -> Records:
    """Give each survey type a column of its own values: they are on different scales."""
    kinds, values = records.text("hs_survey_type"), records.text("hs_value")
    split = with_columns(records, {f"hs_value {kind}": values.where(kinds.eq(kind)) for kind in _TYPES})
    unscaled = {
        f"{{n}} values of type {kind} are scores only where the mapping states their scale": int(kinds.eq(kind).sum())
        for kind in _TYPES[1:]
    }
    other = {"{n} values are of a survey type that is not known": int((kinds.notna() & ~kinds.isin(_TYPES)).sum())}
    return with_notes(replace(split, derived=split.derived | {"hs_response_group"}), unscaled | other)


def _with_single_ids(records: Records) -> Records:
    """Add to each column of joined ids one of those that stand alone."""
    single: dict[str, pd.Series[str]] = {}
    several: dict[str, int] = {}
    for column in _joined(records):
        ids = records.text(column)
        alone = ids.where(ids.str.fullmatch(_ONE_ID, na=False))
        single[f"{column} (one)"] = alone.str.rstrip(";")
        several[f"{{n}} records have several ids in `{column}`"] = int((ids.notna() & alone.isna()).sum())
    return with_notes(with_columns(records, single), several)


def _joined(records: Records) -> Iterable[str]:
    for column in dict.fromkeys(records.header):
        ids = records.text(column).dropna()
        if ids.str.contains(";").any() and ids.str.fullmatch(_IDS).all():
            yield column


ADAPTER = HubSpot()
