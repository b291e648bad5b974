"""What the exports of survey tools share: headers that people wrote, and dates that hide which part is the month."""

import csv
import html
import io
import re
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import pandas as pd

from cxreport.sources.adapter import Adapter
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin, RealValues
from cxreport.sources.tables import Tables

MONTH_FIRST, DAY_FIRST = "%m/%d/%Y", "%d/%m/%Y"
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>")
_BREAK = re.compile(r"</?(?:br|p|div|li)\b[^<>]*>", re.IGNORECASE)
_SLASHED = r"^(\d{1,2})/(\d{1,2})/\d{4}\b"
_MONTHS = 12
_TABBED = frozenset({".tsv", ".tab"})
_DELIMITERS = ",\t;"
_UNPLACED = {
    "response_id": "the file does not tell its responses apart: state the `column` of `response_id` in the mapping",
    "responded_at": "the file does not tell when the responses were given, or whether its dates begin with the month: "
    "state the `column` and `formats` of `responded_at` in the mapping",
}


class SurveyAdapter(Adapter):
    """Reads one survey tool; it knows ids, dates and states, and a feed's mapping says what the questions measure."""

    needs_mapping: ClassVar[bool] = True

    def refine(self, tables: Tables, records: Records) -> Tables:  # noqa: ARG002 - needs the tables only
        """Raise `UnreadableFileError` where neither file nor mapping says which responses these are, and when given."""
        responses = tables["responses"]
        sound = responses["typing_fault"].isna()
        if unplaced := [
            said for column, said in _UNPLACED.items() if sound.any() and responses.loc[sound, column].isna().all()
        ]:
            raise UnreadableFileError(*unplaced)
        return tables


def responses_mapping(
    columns: dict[str, Origin | None],
    states: dict[str, RealValues],
    records: Records,
    *,
    missing: dict[str, str] | None = None,
    updated: Origin | None = None,
) -> Mapping:
    """Return a standard mapping of `responses`, without the origins and states whose columns the file lacks."""
    present = set(records.header)
    placed = {name: origin for name, origin in columns.items() if origin and present.issuperset(origin.columns)}
    return Mapping(
        tables={"responses": Fields(columns=placed, updated=updated)},
        real_answers={column: values for column, values in states.items() if column in present},
        missing=missing or {},
    )


def delimiter_of(file: DeliveredFile, form: FileForm) -> str:
    """Return the delimiter that the mapping states, else the one that the ending or the first record shows.

    Answers may hold any mark unquoted, so later records are no guide.
    """
    if form.delimiter:
        return form.delimiter
    if file.suffix in _TABBED:
        return "\t"
    text = Glimpse(file).text
    return max(_DELIMITERS, key=lambda mark: _first_width(text, mark))


def _first_width(text: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))
    except csv.Error:
        return 0


def readable(text: str) -> str:
    """Return a header without markup, with one space for every run of white space.

    >>> readable("How likely<br>is it&nbsp; <strong>really</strong>?")
    'How likely is it really?'
    """
    return " ".join(html.unescape(_MARKUP.sub("", _BREAK.sub(" ", text))).split())


def unique(names: Iterable[str]) -> list[str]:
    """Return names with the column's number, from 1, behind those that are blank or stand more than once.

    >>> unique(["age", "Other", "", "Other"])
    ['age', 'Other [column 2]', '[column 3]', 'Other [column 4]']
    """
    listed = list(names)
    times = Counter(listed)
    return [
        name if name and times[name] == 1 else f"{name} [column {number}]".strip()
        for number, name in enumerate(listed, start=1)
    ]


def possible_orders(dates: "pd.Series[str]") -> list[str]:
    """Return how all dates such as 9/18/2017 can be read: `MONTH_FIRST`, `DAY_FIRST`, both or neither.

    >>> possible_orders(pd.Series(["9/18/2017", "9/1/2017"])), possible_orders(pd.Series(["9/1/2017"]))
    (['%m/%d/%Y'], ['%m/%d/%Y', '%d/%m/%Y'])
    """
    parts = dates.str.extract(_SLASHED).dropna().astype("int64")
    fits = {MONTH_FIRST: parts[0].le(_MONTHS).all(), DAY_FIRST: parts[1].le(_MONTHS).all()}
    return [order for order, possible in fits.items() if possible]
