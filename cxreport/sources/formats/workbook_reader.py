"""Read a workbook in a process of its own, which may use up its memory or crash without harm: no module to import.

Standard input is the workbook. The arguments are the sheet (empty for the first) and the most rows wanted (0 for all).
Standard output is JSON lines: the names of the sheets, then one list of texts per row, blank rows included.
"""

import io
import itertools
import json
import sys
import zipfile
from datetime import date, datetime, time, timedelta
from string import ascii_uppercase
from typing import Any
from xml.parsers.expat import ParserCreate

MOST_MEMORY = 4 << 30  # bytes; a sheet of a million rows and 25 columns takes about half
MOST_SECONDS = 300  # of CPU time; such a sheet takes a tenth
MOST_CELLS = (
    50_000_000  # of a sheet's rectangle, blank ones included: a cell in the last row and column makes 17 billion
)


def as_text(value: Any) -> str:
    """Render a typed cell exactly; whole numbers without `.0`, times as ISO with a space.

    >>> as_text(7.0), as_text(0.1), as_text(datetime(2026, 9, 1, 8, 30)), as_text(None)
    ('7', '0.1', '2026-09-01 08:30:00', '')
    """
    if value is None or value != value:  # noqa: PLR0124 - a float that is no number is a blank
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def main() -> None:
    """Write what is asked for to standard output; every failure is an exit code."""
    from python_calamine import CalamineWorkbook

    _limit()
    name, most = sys.argv[1], int(sys.argv[2])
    content = io.BytesIO(sys.stdin.buffer.read())
    book = CalamineWorkbook.from_filelike(content)
    _write(book.sheet_names)
    sys.stdout.flush()  # so that it is known how far the reading came
    if name and name not in book.sheet_names:
        return
    sheet = book.get_sheet_by_name(name) if name else book.get_sheet_by_index(0)
    if sheet.end is None:
        return
    height, width = sheet.end[0] + 1, sheet.end[1] + 1
    if height * width > MOST_CELLS:
        sys.exit(1)
    if not most:
        _require_well_formed(content)
    indent = [""] * (sheet.start[1] if sheet.start else 0)
    for row in itertools.islice(sheet.iter_rows(), most or None):
        _write(indent + [as_text(value) for value in row])


def _require_well_formed(content: io.BytesIO) -> None:
    """Raise for a part that is no XML, or a row that holds cells of another.

    calamine reads on behind what is broken, and loses the rows between.
    """
    if not zipfile.is_zipfile(content):  # an old XLS
        return
    with zipfile.ZipFile(content) as archive:
        for name in archive.namelist():
            if name.endswith(".xml"):
                parser = ParserCreate()
                if "/worksheets/" in name:
                    parser.StartElementHandler = _Rows().start
                with archive.open(name) as part:
                    parser.ParseFile(part)


class _Rows:
    """Follows a sheet from row to row."""

    def __init__(self) -> None:
        self._row: str | None = None

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """Raise `ValueError` for a cell with the address of another row than the one that holds it."""
        kind = element.rpartition(":")[2]
        if kind == "row":
            self._row = attributes.get("r")
        elif (
            kind == "c" and self._row and (place := attributes.get("r")) and place.lstrip(ascii_uppercase) != self._row
        ):
            raise ValueError(element)


def _write(texts: list[str]) -> None:
    line = json.dumps(texts, ensure_ascii=False) + "\n"
    sys.stdout.buffer.write(line.encode())


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where only the size of the file is bounded
        return
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
