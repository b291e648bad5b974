"""Delivered files as text: every cell exactly as the tool wrote it, so that leading zeros and codes survive."""

import csv
import difflib
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cxreport.sources.values import stripped

_LONG_NUMBER = re.compile(r"\d{4}")
UTF_8 = "utf-8-sig"  # reads UTF-8 with and without a byte order mark


class UnreadableFileError(Exception):
    """A delivered file cannot be used; `ingest` gathers these of all files into one `GateError`.

    `problems` are sentences without the file's name, raw values or personal data.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class Records:
    """The data records of one file.

    Attributes
    ----------
    header
        Column names in the order of the file; names may repeat.
    cells
        One sequence of cells per column; the position in it plus 1 is the `source_row`.
    ragged
        Position to reason, for records whose cells do not line up with the header; their cells are all blank.
    zones
        Time zones that the file itself states, by column.
    """

    header: tuple[str, ...]
    cells: tuple[Sequence[str | None], ...]
    rows: int
    ragged: dict[int, str] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)

    def text(self, column: str) -> "pd.Series[str]":
        """Return a column as stripped text with nulls for blanks."""
        return stripped(self.cells[self.header.index(column)])

    def problems_with(self, wanted: Iterable[str], optional: Iterable[str] = ()) -> list[str]:
        """Say which columns are missing, with the nearest unclaimed one, and which stand twice."""
        needed = list(dict.fromkeys(wanted))
        claimed = list(dict.fromkeys([*needed, *optional]))
        spare = [name for name in self.header if name and name not in claimed]
        problems = [f"no column `{name}`{_nearest(name, spare)}" for name in needed if name not in self.header]
        if problems and len(self.header) == 1:
            problems = ["the header is a single cell, so the delimiter is probably another one"]
        return problems + [f"column `{name}` stands twice" for name in claimed if self.header.count(name) > 1]

    def require(self, wanted: Iterable[str], optional: Iterable[str] = ()) -> None:
        """Raise `UnreadableFileError` with all `problems_with` the columns."""
        if problems := self.problems_with(wanted, optional):
            raise UnreadableFileError(*problems)


# --- delimited text ------------------------------------------------------------------------------


def csv_rows(path: Path, encoding: str = UTF_8, delimiter: str = ",") -> list[list[str]]:
    """Read all records of a delimited file; a record may span lines, and lines without any text are no records.

    Raises `UnreadableFileError` for a wrong encoding or broken quotes.
    """
    try:
        text = path.read_bytes().decode(encoding)
    except UnicodeDecodeError:
        raise UnreadableFileError(f"the text is not encoded in `{_plain(encoding)}`") from None
    return _split(text, delimiter)


def first_rows(path: Path, count: int) -> list[list[str]]:
    """Return the first records of what may be a comma-separated file, for recognising it; never raises."""
    try:
        with path.open("rb") as file:
            start = file.read(262_144).decode(UTF_8, errors="replace")
        return [row for row, _ in zip(csv.reader(io.StringIO(start, newline="")), range(count), strict=False)]
    except (OSError, csv.Error):
        return []


def from_rows(header: Sequence[str], rows: Sequence[list[str]]) -> Records:
    """Turn rows into records; cells of a record that is longer or shorter than the header are blanked, not guessed."""
    names = tuple(name.strip() for name in header)
    width = len(names)
    ragged = {
        at: f"record has {len(row)} cells where the header has {width}"
        for at, row in enumerate(rows)
        if len(row) != width
    }
    blank = [""] * width
    lined_up = [blank if at in ragged else row for at, row in enumerate(rows)] if ragged else rows
    cells = tuple(zip(*lined_up, strict=True)) if lined_up else ((),) * width
    return Records(names, cells, len(rows), ragged)


def read_csv(path: Path, encoding: str = UTF_8, delimiter: str = ",") -> Records:
    """Read a delimited file with one header row; raises `UnreadableFileError`."""
    rows = csv_rows(path, encoding, delimiter)
    if not rows:
        raise UnreadableFileError("the file is empty, it has not even a header")
    return from_rows(rows[0], rows[1:])


def _split(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [row for row in reader if any(row)]
    except csv.Error:
        raise UnreadableFileError(f"the quotes do not close properly, see line {reader.line_num}") from None


# --- workbooks and Parquet -----------------------------------------------------------------------


def read_xlsx(path: Path, sheet: str | None = None) -> Records:
    """Read one sheet (the first when none is named) with one header row; raises `UnreadableFileError`."""
    try:
        book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()), read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError):
        raise UnreadableFileError("the file is no XLSX workbook") from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise UnreadableFileError(f"no sheet `{sheet}`{_nearest(sheet, book.sheetnames)}")
        page = book[sheet] if sheet is not None else book.worksheets[0]
        rows = [[as_text(value) for value in row] for row in page.iter_rows(values_only=True)]
    finally:
        book.close()
    filled = [row for row in rows if any(row)]
    if not filled:
        raise UnreadableFileError("the sheet is empty, it has not even a header")
    # Cells have addresses, so a row that ends early is not ragged.
    width = max(map(len, filled))
    header, *data = [row + [""] * (width - len(row)) for row in filled]
    return from_rows(header, data)


def read_parquet(path: Path) -> Records:
    """Read a Parquet file, every value rendered as text; raises `UnreadableFileError`."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        raise UnreadableFileError("the file is no Parquet file") from None
    cells = tuple([as_text(value) for value in column.to_pylist()] for column in table.columns)
    return Records(tuple(table.column_names), cells, table.num_rows)


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
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _nearest(wanted: str, present: Sequence[str]) -> str:
    """Like `errors.nearest`, but for names whose case varies: `QID1` and `qid_1` are close.

    Only what can be a name is suggested: a damaged header may hold data, which no message may quote.
    """
    names = [name for name in present if name.isprintable() and not _LONG_NUMBER.search(name)]
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), by_lower, n=1, cutoff=0.6)
    return f", did you mean `{by_lower[close[0]]}`?" if close else ""


def _plain(encoding: str) -> str:
    return "utf-8" if encoding == UTF_8 else encoding
