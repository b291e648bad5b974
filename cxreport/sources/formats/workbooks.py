"""Workbooks (XLSX, XLS, ODS) as text, read by calamine: no formulas, links or external entities are followed.

A broken or hostile workbook can take all memory or end the process that reads it, so that one is started for each.
"""

import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from cxreport.errors import nearest
from cxreport.sources.formats import workbook_reader
from cxreport.sources.formats.files import BROKEN_ARCHIVE, DeliveredFile, UnreadableFileError, refuse_bomb
from cxreport.sources.formats.workbook_reader import MOST_SECONDS, as_text

_DOCTYPE, _PROLOGUE = b"<!DOCTYPE", 1_024  # where it stands, in bytes

__all__ = ["as_text", "first_rows", "read_sheet", "sheet_names", "trimmed"]


def sheet_names(file: DeliveredFile) -> list[str]:
    """Return the names of all sheets in their order; raises `UnreadableFileError`."""
    return _read(file, None, 1)[0]


def read_sheet(file: DeliveredFile, sheet: str | None = None) -> list[list[str]]:
    """Return the rows of a sheet (the first when none is named) as text, row 1 first, blank ones included.

    Raises `UnreadableFileError` for no workbook, a broken or oversized one, and an unknown sheet.
    """
    names, *rows = _read(file, sheet, 0)
    if sheet is not None and sheet not in names:
        raise UnreadableFileError(f"no sheet `{sheet}`{nearest(sheet, names)}")
    return rows


def first_rows(file: DeliveredFile, count: int) -> list[list[str]]:
    """Return the first rows of the first sheet that hold anything; empty where they cannot be read."""
    try:
        _, *rows = _read(file, None, 10 * count)
    except UnreadableFileError:
        return []
    return [row for row in rows if any(row)][:count]


def _read(file: DeliveredFile, sheet: str | None, most: int) -> list[list[str]]:
    """Return the sheets' names, and under them rows of one, up to a number of them, 0 for all."""
    _refuse_bomb(file)
    with file.stream() as stream:
        found = _run([sheet or "", str(most)], stream.read())
    lines = found.stdout.split(b"\n")[:-1]
    if found.returncode or not lines:
        opened = (
            "the sheet is broken or too large" if lines else "the file is no workbook, or a broken or protected one"
        )
        raise UnreadableFileError(opened)
    return [json.loads(line) for line in lines]


def _run(arguments: Sequence[str], content: bytes) -> subprocess.CompletedProcess[bytes]:

    try:
        return subprocess.run(  # noqa: S603 - this interpreter, and no shell
            _command(arguments),
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the message of a panic may quote the file
            timeout=2 * MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnreadableFileError("the workbook takes too long to read") from None


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-I", str(Path(workbook_reader.__file__)), *arguments]


def _refuse_bomb(file: DeliveredFile) -> None:
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as archive:
            refuse_bomb(archive)
            declares = any(_DOCTYPE in archive.open(member).read(_PROLOGUE) for member in archive.infolist())
    except BROKEN_ARCHIVE:
        return  # an old XLS is no archive; anything else is calamine's to refuse
    if declares:
        raise UnreadableFileError("the workbook declares entities, which no program that makes workbooks does")


def trimmed(rows: Sequence[list[str]]) -> list[list[str]]:
    """Return rows filled up to the width of the widest: cells have addresses, so one that ends early is not ragged."""
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]
