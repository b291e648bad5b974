"""A first look at a delivered file, shared by all adapters that are asked whether it is theirs."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cxreport.sources.formats.files import DeliveredFile, kind_of, marked_encoding
from cxreport.sources.formats.workbooks import first_rows as first_workbook_rows

_ROWS = 60  # enough to pass titles and notes above a header
_OBJECTS = 5
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Recognised:
    """What a file was taken for.

    Attributes
    ----------
    variant
        Which of the tool's exports it is, for example `responses, three header rows`.
    why
        What in the file says so, without any of its data, for example `ImportIds in the third row`.
    certain
        Whether only this tool writes such files; otherwise a feed must name the adapter before the file is read.
    """

    variant: str
    why: str
    certain: bool = True


@dataclass(frozen=True)
class Glimpse:
    """The start of a file as its kind allows to read it; nothing here raises."""

    file: DeliveredFile

    @cached_property
    def kind(self) -> str:
        """What it is by its first bytes, as `files.kind_of` says."""
        return kind_of(self.file)

    @cached_property
    def text(self) -> str:
        """The start of a text; unreadable bytes are replaced. Empty for other kinds."""
        if self.kind not in {"text", "json"}:
            return ""
        return self.file.start.decode(marked_encoding(self.file.start) or "utf-8", errors="replace")

    @cached_property
    def delimiter(self) -> str:
        """The delimiter that stands most often outside quotes in the first lines, a comma when none does."""
        unquoted = "".join(self.text[:50_000].split('"')[::2])
        return max(_DELIMITERS, key=lambda mark: (unquoted.count(mark), -_DELIMITERS.index(mark)))

    @cached_property
    def rows(self) -> list[list[str]]:
        """The first records of a delimited file, or of a workbook's first sheet, without the blank ones."""
        if self.kind == "workbook":
            return first_workbook_rows(self.file, _ROWS)
        return [row for row, _ in zip(self._records(), range(_ROWS), strict=False)]

    @cached_property
    def header(self) -> frozenset[str]:
        """The stripped cells of the first record."""
        return frozenset(cell.strip() for cell in self.rows[0]) if self.rows else frozenset()

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The first objects of JSON lines, of an array, or the one object that is the whole file."""
        return list(self._objects()) if self.kind == "json" else []

    def _records(self) -> Iterator[list[str]]:
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.delimiter)
        try:
            yield from (row for row in reader if any(row))
        except csv.Error:
            return

    def _objects(self) -> Iterator[dict[str, Any]]:
        """Decode one value after another; the last one may be cut off."""
        decoder, text = json.JSONDecoder(), self.text.lstrip("\ufeff \t\r\n")
        at = 1 if text.startswith("[") else 0
        for _ in range(_OBJECTS):
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
            try:
                found, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                return
            if isinstance(found, dict):
                yield found
