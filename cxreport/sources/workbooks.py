"""Workbooks (XLSX, XLS, ODS) as text, read by calamine: no formulas, links or external entities are followed."""

import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from cxreport.errors import nearest
from cxreport.sources.files import DeliveredFile, UnreadableFileError, refuse_bomb


def sheet_names(file: DeliveredFile) -> list[str]:
    """Return the names of all sheets in their order; raises `UnreadableFileError`."""
    return list(_opened(file).sheet_names)


def read_sheet(file: DeliveredFile, sheet: str | None = None) -> list[list[str]]:
    """Return the rows of a sheet (the first when none is named) as text, row 1 first, blank ones included.

    Raises `UnreadableFileError` for no workbook, a broken or oversized one, and an unknown sheet.
    """
    book = _opened(file)
    names = list(book.sheet_names)
    if sheet is not None and sheet not in names:
        raise UnreadableFileError(f"no sheet `{sheet}`{nearest(sheet, names)}")
    try:
        page = book.get_sheet_by_name(sheet) if sheet is not None else book.get_sheet_by_index(0)
        return [[as_text(value) for value in row] for row in page.to_python(skip_empty_area=False)]
    except _errors():
        raise UnreadableFileError("the workbook is broken") from None


def first_rows(file: DeliveredFile, count: int) -> list[list[str]]:
    """Return the first rows of the first sheet that hold anything; empty where they cannot be read."""
    try:
        rows = read_sheet(file)
    except UnreadableFileError:
        return []
    return [row for row in rows if any(row)][:count]


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


def _opened(file: DeliveredFile) -> Any:
    from python_calamine import CalamineWorkbook

    _refuse_bomb(file)
    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(file.content()))
    except _errors():
        raise UnreadableFileError("the file is no workbook, or a broken or protected one") from None


def _refuse_bomb(file: DeliveredFile) -> None:
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as archive:
            refuse_bomb(archive)
    except (zipfile.BadZipFile, OSError, ValueError):
        return  # an old XLS is no archive; anything else is calamine's to refuse


def _errors() -> tuple[type[BaseException], ...]:
    from python_calamine import CalamineError

    return (CalamineError, OSError, ValueError, IndexError, RuntimeError)


def trimmed(rows: Sequence[list[str]]) -> list[list[str]]:
    """Return rows filled up to the width of the widest: cells have addresses, so one that ends early is not ragged."""
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]
