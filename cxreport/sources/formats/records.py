"""Delivered files as text: every cell exactly as the tool wrote it, so that leading zeros and codes survive."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cxreport.sources.formats.delimited import ArrowRows, Row, csv_rows, refuse_endless
from cxreport.sources.formats.files import UTF_8, DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.workbooks import as_text, read_sheet, trimmed
from cxreport.sources.privacy import is_name
from cxreport.sources.values import stripped

_LONG_NUMBER = re.compile(r"\d{4}")


@dataclass(frozen=True)
class Records:
    """The data records of one file.

    Attributes
    ----------
    header
        Column names in the order of the file; names may repeat.
    cells
        One sequence of cells per column.
    lines
        Where each record begins: the line of a text file, the row of a sheet, the number of an object; the
        `source_row` of what is made of it.
    ragged
        Position to reason, for records whose cells do not line up with the header; their cells are all blank.
    zones
        Time zones that the file itself states, by column.
    titles
        What the file says a column asks, by column, for drafts of mappings.
    notes
        What was left out of the records and why, for example the lines of a report's footer; no data.
    missing
        Codes that the file itself declares to be no values, by column, each with its reason.
    derived
        Columns that the tool made from other ones, such as groups of scores; no question may be read from them.
    """

    header: tuple[str, ...]
    cells: tuple[Sequence[str | None], ...]
    lines: Sequence[int]
    ragged: dict[int, str] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: dict[str, dict[str, str]] = field(default_factory=dict)
    derived: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """How many records there are."""
        return len(self.lines)

    def text(self, column: str) -> "pd.Series[str]":
        """Return a column as stripped text with nulls for blanks."""
        return stripped(self.cells[self.header.index(column)])

    @cached_property
    def is_ragged(self) -> npt.NDArray[np.bool_]:
        """Which records do not line up with the header."""
        found = np.zeros(self.rows, dtype=bool)
        found[list(self.ragged)] = True
        return found

    def parts(self, rows: int) -> "Iterator[Records]":
        """Yield the records in their order, so many at a time."""
        if self.rows <= rows:
            yield self
            return
        for first in range(0, self.rows, rows):
            part = slice(first, first + rows)
            yield replace(
                self,
                cells=tuple(cells[part] for cells in self.cells),
                lines=self.lines[part],
                ragged={at - first: why for at, why in self.ragged.items() if first <= at < first + rows},
            )

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


def from_rows(header: Sequence[str], rows: Sequence[Row]) -> Records:
    """Turn rows into records; cells of a record that is longer or shorter than the header are blanked, not guessed."""
    names = tuple(name.strip() for name in header)
    width = len(names)
    if isinstance(rows, ArrowRows) and rows.width == width:
        return Records(names, rows.columns, rows.lines)
    lines = [line for line, _ in rows]
    lined_up = [row for _, row in rows]
    ragged = {
        at: f"record has {len(row)} cells where the header has {width}"
        for at, row in enumerate(lined_up)
        if len(row) != width
    }
    for at in ragged:
        lined_up[at] = [""] * width
    cells = tuple(zip(*lined_up, strict=True)) if lined_up else ((),) * width
    return Records(names, cells, lines, ragged)


# --- delimited text ------------------------------------------------------------------------------


def read_csv(file: DeliveredFile, encoding: str = UTF_8, delimiter: str = ",") -> Records:
    """Read a delimited file with one header row; raises `UnreadableFileError`."""
    return headed(csv_rows(file, encoding, delimiter))


# --- workbooks, Parquet, JSON --------------------------------------------------------------------


def sheet_rows(file: DeliveredFile, sheet: str | None = None) -> list[Row]:
    """Read all rows of a sheet that hold anything, each with its row number; raises `UnreadableFileError`."""
    rows = trimmed(read_sheet(file, sheet))
    return [(number, row) for number, row in enumerate(rows, start=1) if any(row)]


def read_workbook(file: DeliveredFile, sheet: str | None = None) -> Records:
    """Read one sheet (the first when none is named) with one header row; raises `UnreadableFileError`."""
    return headed(sheet_rows(file, sheet))


def table_rows(
    file: DeliveredFile, encoding: str = UTF_8, delimiter: str = ",", sheet: str | None = None
) -> Sequence[Row]:
    """Read the rows of a tool's table, delivered as delimited text or as a workbook; raises `UnreadableFileError`."""
    return sheet_rows(file, sheet) if kind_of(file) == "workbook" else csv_rows(file, encoding, delimiter)


def read_table(file: DeliveredFile, encoding: str = UTF_8, delimiter: str = ",", sheet: str | None = None) -> Records:
    """Read a table with one header row, delivered as delimited text or as a workbook; raises `UnreadableFileError`."""
    return headed(table_rows(file, encoding, delimiter, sheet))


def read_parquet(file: DeliveredFile) -> Records:
    """Read a Parquet file, every value rendered as text; raises `UnreadableFileError`."""
    try:
        found = pq.ParquetFile(pa.BufferReader(file.content()))
        refuse_endless(found.metadata.num_rows, found.metadata.num_columns)
        table = found.read()
        cells = tuple([as_text(value) for value in column.to_pylist()] for column in table.columns)
    except (pa.ArrowException, OSError, MemoryError, ValueError, OverflowError):
        raise UnreadableFileError("the file is no Parquet file, or a broken one") from None
    if table.num_rows != found.metadata.num_rows:
        raise UnreadableFileError("the parts of the Parquet file hold other numbers of rows than the file states")
    return Records(tuple(table.column_names), cells, range(1, table.num_rows + 1))


def from_objects(objects: Sequence[dict[str, Any]]) -> Records:
    """Turn JSON objects into records: nested keys are joined by a point, lists stay JSON text, null is blank.

    >>> from_objects([{"id": 7, "via": {"channel": "web"}, "tags": ["a"]}]).header
    ('id', 'via.channel', 'tags')
    """
    flat = [dict(_flattened(found)) for found in objects]
    names = tuple(dict.fromkeys(name for found in flat for name in found))
    refuse_endless(len(flat), len(names))
    cells = tuple([found.get(name, "") for found in flat] for name in names)
    return Records(names, cells, range(1, len(flat) + 1))


def _flattened(found: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield prefix + key, json.dumps(value, ensure_ascii=False)
        else:
            yield prefix + key, as_text(value)


def headed(rows: Sequence[Row]) -> Records:
    """Turn rows into records, the first one being the header; raises `UnreadableFileError` when there is none."""
    if not rows:
        raise UnreadableFileError("the file is empty, it has not even a header")
    return from_rows(rows[0][1], rows[1:])


def _nearest(wanted: str, present: Sequence[str]) -> str:
    """Like `errors.nearest`, but for names whose case varies: `QID1` and `qid_1` are close.

    Only what can be a name is suggested: a damaged header may hold data, which no message may quote.
    """
    names = [name for name in present if is_name(name) and not _LONG_NUMBER.search(name)]
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), by_lower, n=1, cutoff=0.6)
    return f", did you mean `{by_lower[close[0]]}`?" if close else ""
