"""Delimited text as rows, each with the line on which it begins.

Two readers give the same rows. The strict one is Python's. The fast one is Arrow's, and keeps the cells in Arrow.
It forgives broken quotes, so that it is used only where every quote of a file is seen to open, close
or double, and where every record has as many cells as the first.

Cells are text and nothing in them is ever carried out; whatever writes them into a file for a spreadsheet must see to
those that begin with `=`, `+`, `-` or `@`.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from typing import cast, overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.sources.formats.files import UTF_8, DeliveredFile, UnreadableFileError, marked_encoding

MOST_COLUMNS = 16_384  # as in the widest sheet; every column costs memory before it holds anything
MOST_ROWS = 20_000_000  # each takes some 200 bytes in Python beside its cells
MOST_CELLS = 200_000_000  # blank ones included; each takes eight bytes at least
_LONGEST_CELL = 16 << 20
_BLOCK = 8 << 20  # bytes read at once; a record that is longer goes to the strict reader
_MOST_IN_BLOCK = 10_000  # rows turned into Python at once
_UTF_8 = frozenset({"utf-8", "utf-8-sig"})
_MARKS = '"\n\r'
_QUOTE, _LINE_FEED, _RETURN = _MARKS.encode()

Row = tuple[int, list[str]]  # the line on which a record begins, and its cells
Cells = Sequence[str | None]
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

csv.field_size_limit(_LONGEST_CELL)  # a whole article in one cell is usual for mentions


class ArrowRows(Sequence[Row]):
    """Rows of equal width whose cells lie in Arrow, column by column."""

    def __init__(self, table: pa.Table, lines: Numbers) -> None:
        self._table, self._lines = table, lines

    @property
    def width(self) -> int:
        """How many cells every row has."""
        return int(self._table.num_columns)

    @property
    def lines(self) -> list[int]:
        """The line on which each row begins."""
        lines: list[int] = self._lines.tolist()
        return lines

    @property
    def columns(self) -> tuple[Cells, ...]:
        """The cells of each column, still in Arrow."""
        return tuple(cast(Cells, pd.array(column, dtype="str")) for column in self._table.columns)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> "ArrowRows": ...
    def __getitem__(self, at: int | slice) -> "Row | ArrowRows":
        if isinstance(at, slice):
            first, end, step = at.indices(len(self))
            if step != 1:
                return ArrowRows(self._table.take(np.arange(first, end, step)), self._lines[at])
            return ArrowRows(self._table.slice(first, max(end - first, 0)), self._lines[at])
        number = range(len(self))[at]
        return int(self._lines[number]), [column[number].as_py() for column in self._table.columns]

    def __iter__(self) -> Iterator[Row]:
        for first in range(0, len(self), _MOST_IN_BLOCK):
            block = self._table.slice(first, _MOST_IN_BLOCK)
            rows = zip(*(column.to_pylist() for column in block.columns), strict=True)
            lines = self._lines[first : first + _MOST_IN_BLOCK].tolist()
            yield from ((line, list(row)) for line, row in zip(lines, rows, strict=True))


def csv_rows(file: DeliveredFile, encoding: str = UTF_8, delimiter: str = ",") -> Sequence[Row]:
    """Read all records of a delimited file; a record may span lines, and lines without any text are no records.

    Raises `UnreadableFileError` for a wrong encoding, broken quotes and endless columns.
    """
    return _fast_rows(file, encoding, delimiter) or strict_rows(file, encoding, delimiter)


def strict_rows(file: DeliveredFile, encoding: str = UTF_8, delimiter: str = ",") -> list[Row]:
    """Read as `csv_rows` does, any file, slowly."""
    reader = csv.reader(io.StringIO(file.text(encoding), newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    line = 1
    try:
        for row in reader:
            refuse_endless(len(rows), len(row))
            if any(row):
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error:
        raise UnreadableFileError(f"the quotes do not close properly, see line {reader.line_num}") from None
    return rows


def refuse_endless(rows: int, columns: int) -> None:
    """Raise `UnreadableFileError` for more rows, columns or cells than there is room for."""
    if columns > MOST_COLUMNS:
        raise UnreadableFileError(f"a record has more than {MOST_COLUMNS:,} cells, so this is no table")
    if rows > MOST_ROWS or rows * columns > MOST_CELLS:
        raise UnreadableFileError(
            f"there are more than {MOST_ROWS:,} records or {MOST_CELLS:,} cells; export shorter periods"
        )


class _UnusualError(Exception):
    """Only the strict reader knows what to make of a file."""


def _fast_rows(file: DeliveredFile, encoding: str, delimiter: str) -> ArrowRows | None:
    """Return the rows where Arrow can be trusted with them, or `None`."""
    stated = marked_encoding(file.start) or encoding
    if stated.lower().replace("_", "-") not in _UTF_8 or not delimiter.isascii() or delimiter in _MARKS:
        return None
    names = [str(number) for number in range(_first_width(file, delimiter))]
    if not 0 < len(names) <= MOST_COLUMNS:
        return None
    try:
        with file.stream() as stream:
            parts = list(_parts(stream, names, delimiter))
    except _UnusualError:
        return None
    if not parts:
        return None
    table, lines = pa.concat_tables(table for table, _ in parts), np.concatenate([lines for _, lines in parts])
    blank = _blank(table)
    return ArrowRows(table.filter(pa.array(~blank)), lines[~blank]) if blank.any() else ArrowRows(table, lines)


def _parts(stream: io.BufferedIOBase, names: list[str], delimiter: str) -> Iterator[tuple[pa.Table, Numbers]]:
    read = 0
    for text, lines in _chunks(stream, delimiter):
        read += len(lines)
        refuse_endless(read, len(names))
        yield _parsed(text, len(lines), names, delimiter), lines


def _first_width(file: DeliveredFile, delimiter: str) -> int:
    text = file.start.decode(UTF_8, errors="replace")
    return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))


def _chunks(stream: io.BufferedIOBase, delimiter: str) -> Iterator[tuple[bytes, Numbers]]:
    """Yield some whole records after another, with the line on which each of them begins.

    Raises `_UnusualError` for everything that readers take in different ways.
    """
    line, rest = 1, b""
    block = stream.read(_BLOCK).removeprefix(codecs.BOM_UTF8)
    while block:
        text = rest + block
        block = stream.read(_BLOCK)
        if not block and not text.endswith(b"\n"):
            text += b"\n"
        content = np.frombuffer(text, dtype=np.uint8)
        quotes, breaks = np.flatnonzero(content == _QUOTE), np.flatnonzero(content == _LINE_FEED)
        ends = np.flatnonzero(np.searchsorted(quotes, breaks) % 2 == 0)  # breaks outside quotes
        done = int(breaks[ends[-1]]) + 1 if len(ends) else 0
        _require_plain(text[:done], quotes[quotes < done], delimiter)
        if done:
            starts = np.concatenate([[0], ends[:-1] + 1])
            yield text[:done], starts + line
            line += int(ends[-1]) + 1
        rest = text[done:]
        if len(rest) > _BLOCK:
            raise _UnusualError
    if rest:
        raise _UnusualError


def _require_plain(text: bytes, quotes: Numbers, delimiter: str) -> None:
    """Raise `_UnusualError` for zero bytes, lone carriage returns and quotes that neither open, close nor double.

    Counted from the start of a record, every second quote opens a cell, or continues it after a doubled quote; the ones
    between close it, or begin a doubled quote. Where the neighbours of all quotes agree with that, it is so.
    """
    content = np.frombuffer(text, dtype=np.uint8)
    returns = np.flatnonzero(content == _RETURN) if b"\r" in text else quotes[:0]
    behind = content[quotes[::2][quotes[::2] > 0] - 1]  # nothing stands before the first byte
    if not (
        b"\0" not in text
        and (content[returns + 1] == _LINE_FEED).all()
        and _among(content[quotes[1::2] + 1], delimiter, *_MARKS)
        and _among(behind, delimiter, '"', "\n")
    ):
        raise _UnusualError


def _among(content: Bytes, *allowed: str) -> bool:
    table = np.zeros(256, dtype=bool)
    table[[ord(mark) for mark in allowed]] = True
    return bool(table[content].all())


def _parsed(text: bytes, records: int, names: list[str], delimiter: str) -> pa.Table:
    """Return the cells of a chunk as text; raises `_UnusualError` for records of unequal length, and for no UTF-8."""
    from pyarrow import csv as arrow_csv

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            # One block, because at the border of two a line break within quotes loses its second half.
            arrow_csv.ReadOptions(column_names=names, block_size=len(text) + 1),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False, null_values=[]
            ),
        )
    except (pa.ArrowException, OSError):
        raise _UnusualError from None
    if table.num_rows != records or text.startswith(codecs.BOM_UTF8):
        raise _UnusualError
    return table


def _blank(table: pa.Table) -> Flags:
    """Return which rows hold no text at all."""
    blank = np.ones(table.num_rows, dtype=bool)
    for column in table.columns:
        if not blank.any():
            break
        blank &= pc.equal(pc.binary_length(column), 0).to_numpy()
    return blank
