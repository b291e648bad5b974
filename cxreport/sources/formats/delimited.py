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
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.sources.formats.files import UTF_8, DeliveredFile, UnreadableFileError, marked_encoding
from cxreport.sources.threads import in_order

MOST_COLUMNS = 16_384  # as in the widest sheet; every column costs memory before it holds anything
MOST_ROWS = 20_000_000  # each takes some 200 bytes in Python beside its cells
MOST_CELLS = 200_000_000  # blank ones included; each takes eight bytes at least
_LONGEST_CELL = 16 << 20
_BLOCK = 2 << 20  # bytes read at once; a record that is longer goes to the strict reader
_MOST_IN_BLOCK = 10_000  # rows turned into Python at once
_UTF_8 = frozenset({"utf-8", "utf-8-sig"})
_MARKS = '"\n\r'
_QUOTE, _LINE_FEED, _RETURN = _MARKS.encode()
_NONE = np.array([], dtype=np.int64)

Row = tuple[int, list[str]]  # the line on which a record begins, and its cells
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

csv.field_size_limit(_LONGEST_CELL)  # a whole article in one cell is usual for mentions


class ArrowCells(Sequence[str]):
    """The cells of one column that lie in Arrow."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> "ArrowCells": ...
    def __getitem__(self, at: int | slice) -> "str | ArrowCells":
        if isinstance(at, slice):
            return ArrowCells(self._column[at])
        cell: str = self._column[range(len(self))[at]].as_py()
        return cell

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _MOST_IN_BLOCK):
            yield from self._column.slice(first, _MOST_IN_BLOCK).to_pylist()

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.ChunkedArray:  # noqa: A002 - Arrow's name
        """Lend the cells to Arrow, without copies where they have the wanted type."""
        return self._column if type is None else self._column.cast(type)


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
    def columns(self) -> tuple[ArrowCells, ...]:
        """The cells of each column, still in Arrow."""
        return tuple(map(ArrowCells, self._table.columns))

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
        for line, row in zip(self._lines.tolist(), zip(*self.columns, strict=True), strict=True):
            yield line, list(row)


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
    """Yield the records of chunk after chunk, each with the line on which it begins."""
    read, line = 0, 1
    for table, starts, breaks in in_order(lambda text: _parsed(text, names, delimiter), _chunks(stream)):
        read += len(starts)
        refuse_endless(read, len(names))
        yield table, starts + line
        line += breaks


def _first_width(file: DeliveredFile, delimiter: str) -> int:
    text = file.start.decode(UTF_8, errors="replace")
    return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))


def _chunks(stream: io.BufferedIOBase) -> Iterator[bytes]:
    """Yield some whole records after another.

    Raises `_UnusualError` for quotes that never close, and for an endless record.
    """
    rest = b""
    block = stream.read(_BLOCK).removeprefix(codecs.BOM_UTF8)
    while block:
        text = rest + block
        block = stream.read(_BLOCK)
        if not block and not text.endswith(b"\n"):
            text += b"\n"
        done = _end_of_records(text)
        if done:
            yield text[:done]
        rest = text[done:]
        if len(rest) > _BLOCK:
            raise _UnusualError
    if rest:
        raise _UnusualError


def _end_of_records(text: bytes) -> int:
    """Return where the last whole record of a text ends that begins with a record: at a break outside quotes."""
    quotes_before, end = text.count(_QUOTE), len(text)
    while (found := text.rfind(_LINE_FEED, 0, end)) >= 0:
        quotes_before -= text.count(_QUOTE, found, end)
        if quotes_before % 2 == 0:
            return found + 1
        end = found
    return 0


def _require_plain(text: bytes, quotes: Numbers, delimiter: str) -> None:
    """Raise `_UnusualError` for zero bytes, lone carriage returns and quotes that neither open, close nor double.

    Counted from the start of a record, every second quote opens a cell, or continues it after a doubled quote; the ones
    between close it, or begin a doubled quote. Where the neighbours of all quotes agree with that, it is so.
    """
    content = np.frombuffer(text, dtype=np.uint8)
    returns = np.flatnonzero(content == _RETURN) if _RETURN in text else _NONE
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


def _parsed(text: bytes, names: list[str], delimiter: str) -> tuple[pa.Table, Numbers, int]:
    """Return the cells of some whole records, the line on which each begins, from 0, and how many lines there are.

    Raises `_UnusualError` for everything that readers take in different ways, for records of unequal length, and for
    what is no UTF-8.
    """
    from pyarrow import csv as arrow_csv

    content = np.frombuffer(text, dtype=np.uint8)
    quotes = np.flatnonzero(content == _QUOTE) if _QUOTE in text else _NONE
    breaks = np.flatnonzero(content == _LINE_FEED)
    _require_plain(text, quotes, delimiter)
    ends = np.flatnonzero(np.searchsorted(quotes, breaks) % 2 == 0)  # breaks outside quotes
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            # One block, because at the border of two a line break within quotes loses its second half.
            arrow_csv.ReadOptions(column_names=names, block_size=len(text) + 1, use_threads=False),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, null_values=[]
            ),
        )
    except (pa.ArrowException, OSError):
        raise _UnusualError from None
    if table.num_rows != len(ends) or text.startswith(codecs.BOM_UTF8):
        raise _UnusualError
    return table, np.concatenate([[0], ends[:-1] + 1]), len(breaks)


def _blank(table: pa.Table) -> Flags:
    """Return which rows hold no text at all."""
    blank = np.ones(table.num_rows, dtype=bool)
    for column in table.columns:
        if not blank.any():
            break
        blank &= pc.equal(pc.binary_length(column), 0).to_numpy()
    return blank
