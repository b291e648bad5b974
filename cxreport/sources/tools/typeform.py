"""Typeform responses: CSV or XLSX of the results panel, and JSON of the responses API.

The first column of a table is called `#` and holds the response's token. Every choice of a multiple choice question is
a column that is named by the choice alone: where names repeat, the column's number tells them apart, as in
`Other [column 7]`, and only its place tells which question it belongs to. Dates are UTC, as their headers say; a file
that was saved again by a spreadsheet needs `formats` in the mapping. The values of `Response Type` but `completed`, the
XLSX form and the placeholder date of unfinished API responses were not seen in a file. Several choices in one cell stay
one text. Answers of the API are columns under the field's `ref`; addresses of respondents' networks are left out.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_objects
from cxreport.sources.formats.records import Records, from_objects, from_rows, table_rows
from cxreport.sources.formats.workbooks import as_text
from cxreport.sources.mapping import FileForm, Mapping, Origin, RealValues
from cxreport.sources.surveys import SurveyAdapter, delimiter_of, readable, responses_mapping, unique

_TOKEN, _SUBMITTED, _TYPE = "#", "Submit Date (UTC)", "Response Type"
_SIGNATURE = frozenset({_SUBMITTED, "Network ID"})
_COMPLETED, _PARTIAL = "completed", "partial"
_NEVER = "0001-"  # begins the date of what was not submitted
_SCORE = "calculated.score"
_STATES = RealValues(real=[_COMPLETED], others={_PARTIAL: "unfinished", "started": "unfinished"})
_TABLE_COLUMNS = {
    "response_id": Origin(column=_TOKEN),
    "responded_at": Origin(column=_SUBMITTED, formats=["%Y-%m-%d %H:%M:%S"]),
}
_API_COLUMNS = {
    "response_id": Origin(column="response_id"),
    "responded_at": Origin(column="submitted_at", formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]),
}


class Typeform(SurveyAdapter):
    """Reads responses; the feed's mapping says which header, or field, is which question."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the token's header beside the tail of the table, and the keys of the API."""
        if glimpse.rows and glimpse.rows[0][0].strip() == _TOKEN and glimpse.header >= _SIGNATURE:
            variant = "responses with their type" if _TYPE in glimpse.header else "responses of 2016 to 2018"
            return Recognised(variant, "`#` before, `Submit Date (UTC)` and `Network ID` behind the questions")
        if glimpse.kind == "json" and all(key in glimpse.text for key in ('"landed_at"', '"submitted_at"')):
            return Recognised("responses of the API", "`landed_at` and `submitted_at` of every response")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one table, or the responses of the API in pages, an array or lines."""
        return _from_api(file, form) if kind_of(file) == "json" else _table(file, form)

    def standard(self, records: Records) -> Mapping:
        """Return where token, date and state belong."""
        columns = _TABLE_COLUMNS if _TOKEN in records.header else _API_COLUMNS
        return responses_mapping(dict(columns), {_TYPE: _STATES}, records)


def _table(file: DeliveredFile, form: FileForm) -> Records:
    rows = table_rows(file, form.encoding, delimiter_of(file, form), form.sheet)
    header = [readable(cell) for cell in rows[0][1]] if rows else []
    if _TOKEN not in header[:1]:
        raise UnreadableFileError("the first column is not `#`, so these are no responses as Typeform exports them")
    names = unique(header)
    zones = {name: "UTC" for name in names if name.endswith("(UTC)")}
    titles = dict(zip(names, header, strict=True))
    return replace(from_rows(names, rows[1:]), zones=zones, titles=titles)


# --- the API -------------------------------------------------------------------------------------


def _from_api(file: DeliveredFile, form: FileForm) -> Records:
    found = read_objects(file, ["items"], form.encoding)
    records = from_objects([_flat(response) for _, response in found])
    return replace(records, lines=[at for at, _ in found], derived=frozenset({_SCORE}))


def _flat(response: dict[str, Any]) -> dict[str, Any]:
    submitted = as_text(response.get("submitted_at"))
    unfinished = not submitted or submitted.startswith(_NEVER)
    return {
        "response_id": response.get("response_id") or response.get("token"),
        "landed_at": response.get("landed_at"),
        "submitted_at": "" if unfinished else submitted,
        _TYPE: response.get("response_type") or (_PARTIAL if unfinished else _COMPLETED),
        "hidden": _object(response.get("hidden")),
        "calculated": {"score": _object(response.get("calculated")).get("score")},
        **dict(_answers(response.get("answers"))),
    }


def _answers(answers: Any) -> Iterator[tuple[str, str]]:
    for answer in answers if isinstance(answers, list) else []:
        field = _object(_object(answer).get("field"))
        if name := as_text(field.get("ref") or field.get("id")):
            yield name, _answered(answer.get(as_text(answer.get("type"))))


def _answered(value: Any) -> str:
    """Return an answer as a table shows it: yes and no as 1 and 0, choices by their labels."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, dict):
        several = value.get("labels")
        chosen = [*(several if isinstance(several, list) else []), value.get("label"), value.get("other")]
        return "; ".join(as_text(label) for label in chosen if label is not None)
    return as_text(value)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


ADAPTER = Typeform()
