"""Qualtrics response exports: CSV, TSV and XLSX of three generations, and SPSS.

- since 2017: three header rows (names, question texts, JSON with the ImportId)
- 2015 to 2017 ("Insights"): the same with ImportIds as Python writes them, `{'ImportId': 'QID2-1'}`
- before ("legacy"): two header rows (`V1` to `V10` and tags, names and texts) and an empty last column
- SPSS: variables under their tags

Columns are known by their ImportId where there is one: the second row is translated, and survey authors rename what
stands in the first. What tells columns of one question apart follows it, as in `QID4_2` for the second choice. Answers
are codes or words, as the export was made; worded ones are scored by `labels` in the mapping. JSON and XML exports are
not read.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cxreport.sources.formats.delimited import Row
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, from_rows, table_rows
from cxreport.sources.formats.spss import read_spss, spss_names
from cxreport.sources.mapping import FileForm, Mapping, Origin, RealValues, known_zone
from cxreport.sources.surveys import SurveyAdapter, delimiter_of, readable, responses_mapping

_HEADER_ROWS, _LEGACY_HEADER_ROWS = 3, 2
_ZONE = "timeZone"
_PARTS = ("ImportId", "choiceId", "point", "coord")
_PYTHON_STYLE = re.compile(r"'(\w+)': '([^']*)'")
_METADATA = re.compile(r"V\d+")
_SPSS_SIGNATURE = frozenset({"ResponseId", "RecordedDate"})

# Groups of the score, what Text iQ found in comments, and the order in which choices were shown.
_DERIVED = re.compile(
    r"_NPS_GROUP$|\s-\s(?:Parent )?Topics$|\s-\s(?:Topic )?Sentiment\b.*$|_DO(?:_(?:Q|QID|FL_)?\d+)?$|^DO-"
)

_NO_ZONE = ("the file does not state the time zone of its dates",)
_FORMATS = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
# The same columns by ImportId, and by tag where there is none; the first that a file has is taken.
_IDS = ("_recordId", "responseId", "ResponseId", "ResponseID")
_DATES = ("recordedDate", "RecordedDate", "endDate", "EndDate")
# Codes as the numeric export writes them, words as the choice text export does; only 0 to 2 have been seen in files.
_STATUS = RealValues(
    real=["0", "IP Address"],
    others={"1": "preview", "Survey Preview": "preview", "2": "test", "Survey Test": "test"},
)
_FINISHED = RealValues(
    real=["1", "True", "true", "TRUE"],
    others=dict.fromkeys(["0", "False", "false", "FALSE"], "unfinished"),
)


class Qualtrics(SurveyAdapter):
    """Reads response exports; the feed's mapping says which ImportId is which question."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the header rows of each generation, and the variables of SPSS files."""
        if glimpse.kind == "spss":
            return _sniffed_spss(glimpse)
        rows = glimpse.rows
        third = rows[_HEADER_ROWS - 1][0].strip() if len(rows) >= _HEADER_ROWS and rows[_HEADER_ROWS - 1] else ""
        if third.startswith('{"ImportId"'):
            return Recognised("responses since 2017", "ImportIds in the third row")
        if third.startswith("{'ImportId'"):
            return Recognised("responses of 2015 to 2017", "ImportIds in the third row, as Python writes them")
        if _is_legacy([(0, row) for row in rows]):
            return Recognised("legacy responses", "V1 over ResponseID in the header")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export; dates are in the zone that the third header row states, where it does."""
        if kind_of(file) == "spss":
            return replace(_marked(read_spss(file, form.encoding)), notes=_NO_ZONE)
        if kind_of(file) == "json" or file.start.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<"):
            raise UnreadableFileError("JSON and XML exports are not read; export as CSV, TSV, XLSX or SPSS")
        rows = table_rows(file, form.encoding, delimiter_of(file, form), form.sheet)
        return _legacy(rows) if _is_legacy(rows) else _with_import_ids(rows)

    def standard(self, records: Records) -> Mapping:
        """Return where the metadata belong, as far as the export has them."""
        dates = _first(_DATES, records)
        columns = {
            "response_id": _first(_IDS, records),
            "responded_at": dates and dates.model_copy(update={"formats": _FORMATS}),
            "language": _first(("userLanguage", "UserLanguage"), records),
        }
        states = {"status": _STATUS, "Status": _STATUS, "finished": _FINISHED, "Finished": _FINISHED}
        return responses_mapping(columns, states, records)


def _first(names: Sequence[str], records: Records) -> Origin | None:
    return next((Origin(column=name) for name in names if name in records.header), None)


def _sniffed_spss(glimpse: Glimpse) -> Recognised | None:
    if spss_names(glimpse.file) >= _SPSS_SIGNATURE:
        return Recognised("responses, SPSS", "the names of the metadata variables")
    return None


# --- since 2015 ----------------------------------------------------------------------------------


def _with_import_ids(rows: Sequence[Row]) -> Records:
    described = [_description(cell) for cell in rows[2][1]] if len(rows) >= _HEADER_ROWS else []
    if not any(described):
        raise UnreadableFileError(
            "no third header row with ImportIds, and no first one with V1 as in legacy exports; "
            "export the responses as CSV, TSV, XLSX or SPSS"
        )
    tags, texts = _padded(rows[0][1], len(described)), _padded(rows[1][1], len(described))
    names = [_name(about) or tag.strip() for about, tag in zip(described, tags, strict=True)]
    try:
        zones = {
            name: known_zone(str(about[_ZONE])) for name, about in zip(names, described, strict=True) if _ZONE in about
        }
    except ValueError:
        raise UnreadableFileError("the third header row states a time zone that is not known") from None
    records = replace(from_rows(names, rows[_HEADER_ROWS:]), zones=zones, titles=_titles(names, texts))
    ids = [str(about.get("ImportId", "")) for about in described]
    return replace(_marked(records, tags, ids), notes=() if zones else _NO_ZONE)


def _description(cell: str) -> dict[str, Any]:
    """Return what the third header row says about a column."""
    if cell.startswith("{'"):
        return dict(_PYTHON_STYLE.findall(cell))
    try:
        content = json.loads(cell)
    except (ValueError, RecursionError):  # not JSON, a number of thousands of digits, endless nesting
        return {}
    return content if isinstance(content, dict) else {}


def _name(about: dict[str, Any]) -> str:
    """Return the ImportId with what tells columns that share it apart, such as the choice."""
    return "_".join(str(about[part]) for part in _PARTS if part in about)


def _padded(cells: list[str], width: int) -> list[str]:
    return (cells + [""] * width)[:width]


# --- before 2015 ---------------------------------------------------------------------------------


def _is_legacy(rows: Sequence[Row]) -> bool:
    return len(rows) >= _LEGACY_HEADER_ROWS and [row[0].strip() for _, row in rows[:2]] == ["V1", "ResponseID"]


def _legacy(rows: Sequence[Row]) -> Records:
    """Name metadata by the second header row, questions by their tags in the first."""
    tags, texts = rows[0][1], _padded(rows[1][1], len(rows[0][1]))
    names = [text if _METADATA.fullmatch(tag) else tag for tag, text in zip(tags, texts, strict=True)]
    while names and not names[-1].strip():
        names.pop()
    data = [(line, _cut(row, len(names))) for line, row in rows[_LEGACY_HEADER_ROWS:]]
    records = replace(from_rows(names, data), titles=_titles(names, texts))
    return replace(_marked(records), notes=_NO_ZONE)


def _cut(row: list[str], width: int) -> list[str]:
    """Leave out the empty cells beyond the header."""
    return row if any(row[width:]) else row[:width]


# --- all generations -----------------------------------------------------------------------------


def _titles(names: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
    return {name.strip(): readable(text) for name, text in zip(names, texts, strict=False)}


def _marked(records: Records, *others: Sequence[str]) -> Records:
    """Mark what Qualtrics derived, which a column's name, or what else it is called, tells."""
    called = zip(records.header, *others, strict=True)
    derived = frozenset(names[0] for names in called if any(_DERIVED.search(name.strip()) for name in names))
    return replace(records, derived=derived)


ADAPTER = Qualtrics()
