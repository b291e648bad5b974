"""Google Forms responses: the CSV that Forms itself downloads (zipped), and the linked sheet as CSV, TSV or XLSX.

Both have one header row of question texts and begin with the timestamp, under a name in the form's language. Forms
writes it with its offset, `2026/02/05 10:54:08 PM GMT+5:30`; a sheet writes its own local time in its own layout.
Slashed dates are read only where all of them fit one order of day and month, else the mapping must state `formats`;
layouts but the American one, and abbreviated zones, were not seen in a file. Neither holds ids, so a response is known
by its timestamp. Several choices in one cell (joined by a comma or semicolon, which options may hold too) stay one
text. Scores and feedback of a quiz are derived columns.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, from_rows, table_rows
from cxreport.sources.mapping import FileForm, Mapping, Origin
from cxreport.sources.surveys import (
    SurveyAdapter,
    delimiter_of,
    possible_orders,
    readable,
    responses_mapping,
    unique,
)

KEY = "Response key"  # a column that the adapter adds
_TIMESTAMPS = frozenset(
    {
        "Timestamp",
        "Zeitstempel",
        "Horodateur",
        "Marca temporal",
        "Informazioni cronologiche",
        "Carimbo de data/hora",
        "Tijdstempel",
        "Zaman damgası",  # noqa: RUF001 - Turkish
        "Отметка времени",
        "タイムスタンプ",
        "타임스탬프",
        "时间戳记",
    }
)
_FORMS = re.compile(
    r"(\d{4}/\d{1,2}/\d{1,2})\s(\d{1,2}:\d{2}:\d{2})\s([AP]M)\s"
    r"(?:(?:GMT|UTC)(?:(?P<sign>[+\-\u2212])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?)?|(?P<zone>[ECMP][SD]T))"
)
_SCRIPT = re.compile(r"(\w{3} \w{3} \d{2} \d{4} \d{2}:\d{2}:\d{2} GMT[+-]\d{4})(?: \([^()]*\))?")
_SHEET = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4} \d{1,2}:\d{2}:\d{2}")
_HOURS_WEST = {"E": 5, "C": 6, "M": 7, "P": 8}  # of the American zones in standard time, RFC 5322
_OFFSET_FORMATS = ["%Y/%m/%d %I:%M:%S %p GMT%z", "%a %b %d %Y %H:%M:%S GMT%z"]
_LOCAL_FORMATS = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S"]
_QUIZ = ("[Score]", "[Feedback]")
_TOTAL = re.compile(r"(?:--|[\d.]+) / [\d.]+")


class GoogleForms(SurveyAdapter):
    """Reads responses; the feed's mapping says which header is which question."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the timestamps; only Forms itself writes them with an offset by hand."""
        if len(glimpse.rows) < 2:  # noqa: PLR2004 - a header and a response
            return None
        header, first = (row[0].strip() for row in glimpse.rows[:2])
        if _FORMS.fullmatch(first):
            return Recognised("responses downloaded from Forms", "timestamps such as 2026/02/05 10:54:08 PM GMT+5:30")
        if header in _TIMESTAMPS and (_SHEET.match(first) or _SCRIPT.fullmatch(first)):
            return Recognised("responses in a sheet", "a first column of timestamps", certain=False)
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one table; offsets are padded so that they can be read, and a key of each response is added."""
        rows = table_rows(file, form.encoding, delimiter_of(file, form), form.sheet)
        if not rows:
            raise UnreadableFileError("the file is empty, it has not even a header")
        header = [readable(cell) for cell in rows[0][1]]
        names = unique(header)
        table = from_rows(names, rows[1:])
        stamps = [_with_padded_offset((cell or "").strip()) for cell in table.cells[0]]
        return replace(
            table,
            header=(*table.header, KEY),
            cells=(stamps, *table.cells[1:], _keys(stamps)),
            titles=dict(zip(names, header, strict=True)),
            notes=("responses have no ids: they are known by their timestamp, and by their order within one second",),
            derived=_derived(table),
        )

    def standard(self, records: Records) -> Mapping:
        """Return where key and timestamp belong; without the latter where its layout cannot be told."""
        stamp = records.header[0]
        formats = _formats(records)
        return responses_mapping(
            {
                "response_id": Origin(column=KEY),
                "responded_at": Origin(column=stamp, formats=formats) if formats else None,
            },
            {},
            records,
        )


def _with_padded_offset(stamp: str) -> str:
    """Write an offset as `strptime` reads it, and leave out a zone's name behind one."""
    if script := _SCRIPT.fullmatch(stamp):
        return script[1]
    found = _FORMS.fullmatch(stamp)
    if not found:
        return stamp
    sign, hours = "+" if found["sign"] in {"+", None} else "-", int(found["hours"] or 0)
    if zone := found["zone"]:
        sign, hours = "-", _HOURS_WEST[zone[0]] - (zone[1] == "D")
    return f"{found[1]} {found[2]} {found[3]} GMT{sign}{hours:02d}:{found['minutes'] or '00'}"


def _keys(stamps: Sequence[str]) -> list[str]:
    """Return each timestamp with the response's number within that second, from the second one on."""
    seen: Counter[str] = Counter()
    keys = []
    for stamp in stamps:
        seen[stamp] += 1
        keys.append(stamp if not stamp or seen[stamp] == 1 else f"{stamp} #{seen[stamp]}")
    return keys


def _formats(records: Records) -> list[str]:
    """Return the layouts that the timestamps can have; none where day and month cannot be told apart."""
    stamps = records.text(records.header[0])
    formats = [*_OFFSET_FORMATS, *_LOCAL_FORMATS]
    if not stamps.str.match(r"\d{1,2}/\d{1,2}/\d{4}", na=False).any():
        return formats
    orders = possible_orders(stamps)
    return [*formats, f"{orders[0]} %H:%M:%S"] if len(orders) == 1 else []


def _derived(table: Records) -> frozenset[str]:
    scores = {name for name in table.header if name.endswith(_QUIZ)}
    totals = {
        name
        for name, cells in zip(table.header, table.cells, strict=True)
        if name == "Score" and any(cells) and all(_TOTAL.fullmatch(cell.strip()) for cell in cells if cell)
    }
    return frozenset(scores | totals)


ADAPTER = GoogleForms()
