"""SurveyMonkey responses: "All responses data" as CSV or XLSX, the Audience variant, and JSON of the bulk API.

Tables have two header rows: the question, over the first of its columns only, and the choice or row of each column. A
column is called `question > choice`, and by the question alone where it has one column. Audience files may have both in
one row already. Which columns describe the response varies; ids are text of 11 or 12 digits. Dates state no zone. `N/A`
is an answer that someone chose, and not a blank. Exports of codes in place of labels were not seen in a file.

The API gives ids of choices: they become `choice 4711`, which `labels` in the mapping turn into scores, taken from the
survey's details. The weight of an NPS choice (-100, 0, 100) is its group, a derived column; other weights can be read.
Summaries and cross-tabulations hold no single responses and are refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cxreport.sources.formats.delimited import Row
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_objects
from cxreport.sources.formats.records import Records, from_objects, from_rows, table_rows
from cxreport.sources.formats.workbooks import as_text, sheet_names
from cxreport.sources.mapping import FileForm, Mapping, Origin, RealValues
from cxreport.sources.surveys import (
    MONTH_FIRST,
    SurveyAdapter,
    delimiter_of,
    possible_orders,
    readable,
    responses_mapping,
    unique,
)

_ID, _AUDIENCE_ID, _ENDED = "Respondent ID", "RespondentID", "End Date"
_ALONE = frozenset({"", "Response", "Open-Ended Response"})
_TOP = 20  # rows in which a summary shows its first block
_SUMMARY = ["Answer Choices", "Response Percent", "Responses"]
_CROSS_TAB_SHEET = re.compile(r"Question \d+")
_USE_RESPONSES = "export `All responses data` as CSV or XLSX instead"
_DATE_FORMATS = ["%m/%d/%Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S"]
_NOT_APPLICABLE = {"N/A": "not applicable"}

_API_DATE = Origin(column="date_modified", formats=["%Y-%m-%dT%H:%M:%S%z"])
_API_KEYS = (
    "id",
    "collector_id",
    "collection_mode",
    "response_status",
    "custom_variables",
    "date_created",
    "date_modified",
    "total_time",
)
_STATES = {"response_status": RealValues(real=["completed"], others={"partial": "unfinished"})}
_WEIGHT = " > weight"
_NPS_WEIGHTS = frozenset({"-100", "0", "100"})
_JOINT = "; "


class SurveyMonkey(SurveyAdapter):
    """Reads responses; the feed's mapping says which column is which question."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the id's header, the blocks of a summary, the sheets of a cross-tabulation and the API's keys."""
        if glimpse.kind == "json":
            return _sniffed_api(glimpse)
        if glimpse.kind == "workbook" and _is_cross_tab(glimpse.file):
            return Recognised("cross-tabulation, no single responses", "one sheet per question", certain=False)
        if _SUMMARY in [row[:3] for row in glimpse.rows]:
            return Recognised("summary, no single responses", "blocks of answer choices with their percentages")
        header = [cell.strip() for cell in glimpse.rows[0]] if glimpse.rows else []
        if (at := _id_at(header)) is None:
            return None
        if len(glimpse.rows) > 1 and not glimpse.rows[1][at].strip():
            return Recognised(f"all responses, {header[at]}", "the id's header above a blank cell")
        return Recognised(f"all responses in one header row, {header[at]}", "the id's header", certain=False)

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read the responses of one table, or of the pages of the API."""
        if kind_of(file) == "json":
            return _from_api(file, form)
        if kind_of(file) == "workbook" and form.sheet is None and _is_cross_tab(file):
            raise UnreadableFileError(f"a cross-tabulation holds no single responses; {_USE_RESPONSES}")
        rows = table_rows(file, form.encoding, delimiter_of(file, form), form.sheet)
        if any(row[:3] == _SUMMARY for _, row in rows[:_TOP]):
            raise UnreadableFileError(f"a summary holds no single responses; {_USE_RESPONSES}")
        return _table(rows)

    def standard(self, records: Records) -> Mapping:
        """Return where ids and dates belong; dates that cannot all begin with the month are left to the mapping."""
        if _ID in records.header or _AUDIENCE_ID in records.header:
            identity = Origin(column=_ID if _ID in records.header else _AUDIENCE_ID)
            columns = {"response_id": identity, "responded_at": _ended(records)}
            return responses_mapping(columns, {}, records, missing=_NOT_APPLICABLE)
        columns = {"response_id": Origin(column="id"), "responded_at": _API_DATE}
        return responses_mapping(columns, _STATES, records, updated=_API_DATE)


def _ended(records: Records) -> Origin | None:
    if _ENDED not in records.header or MONTH_FIRST not in possible_orders(records.text(_ENDED)):
        return None
    return Origin(column=_ENDED, formats=_DATE_FORMATS)


def _sniffed_api(glimpse: Glimpse) -> Recognised | None:
    if all(key in glimpse.text for key in ('"response_status"', '"collection_mode"', '"pages"')):
        return Recognised("responses of the API", "`response_status`, `collection_mode` and `pages` of every response")
    return None


def _is_cross_tab(file: DeliveredFile) -> bool:
    try:
        names = sheet_names(file)
    except UnreadableFileError:
        return False
    return bool(names) and all(map(_CROSS_TAB_SHEET.fullmatch, names))


# --- tables --------------------------------------------------------------------------------------


def _id_at(header: Sequence[str]) -> int | None:
    return next((at for at, name in enumerate(header) if name in {_ID, _AUDIENCE_ID}), None)


def _table(rows: Sequence[Row]) -> Records:
    header = [readable(cell) for cell in rows[0][1]] if rows else []
    at = _id_at(header)
    if at is None:
        raise UnreadableFileError(f"no column `{_ID}`; {_USE_RESPONSES}")
    labelled = len(rows) > 1 and not "".join(rows[1][1][at : at + 1]).strip()
    called = _called(header, rows[1][1]) if labelled else header
    names = unique(called)
    return replace(from_rows(names, rows[2 if labelled else 1 :]), titles=dict(zip(names, called, strict=True)))


def _called(questions: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Return what the columns are called; a question stands over the first of its columns only."""
    called = []
    question = ""
    for at, above in enumerate(questions):
        question = above or question
        label = readable("".join(labels[at : at + 1]))
        called.append(question if label in _ALONE else f"{question} > {label}")
    return called


# --- the API -------------------------------------------------------------------------------------


def _from_api(file: DeliveredFile, form: FileForm) -> Records:
    found = read_objects(file, ["data"], form.encoding)
    records = from_objects([_flat(response) for _, response in found])
    return replace(records, lines=[at for at, _ in found], derived=_nps_groups(records))


def _flat(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response without what names the respondent, with one key per question, or row of one."""
    answers: dict[str, list[str]] = {}
    for name, answer in _answers(response):
        answers.setdefault(name, []).append(answer)
    return {key: response.get(key) for key in _API_KEYS} | {name: _JOINT.join(given) for name, given in answers.items()}


def _answers(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for page in _objects(response.get("pages")):
        for question in _objects(page.get("questions")):
            for answer in _objects(question.get("answers")):
                yield from _answered(f"question {as_text(question.get('id'))}", answer)


def _answered(name: str, answer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for part in ("row", "col"):
        if identity := as_text(answer.get(f"{part}_id")):
            name += f" > {part} {identity}"
    if choice := as_text(answer.get("choice_id")):
        yield name, f"choice {choice}"
        about = answer.get("choice_metadata")
        if isinstance(about, dict) and "weight" in about:
            yield name + _WEIGHT, as_text(about["weight"])
    elif text := as_text(answer.get("text")):
        yield f"{name} > other" if answer.get("other_id") else name, text


def _objects(value: Any) -> list[dict[str, Any]]:
    return [found for found in value if isinstance(found, dict)] if isinstance(value, list) else []


def _nps_groups(records: Records) -> frozenset[str]:
    weights = {
        name: {weight for cell in cells if cell for weight in cell.split(_JOINT)}
        for name, cells in zip(records.header, records.cells, strict=True)
        if name.endswith(_WEIGHT)
    }
    return frozenset(name for name, found in weights.items() if found <= _NPS_WEIGHTS)


ADAPTER = SurveyMonkey()
