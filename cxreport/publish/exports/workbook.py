"""The tables of a pack as a workbook: a sheet of contents, then a sheet a table, with real numbers and no formula."""

import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate, chain, takewhile
from math import ceil
from typing import Any

import xlsxwriter

from cxreport.present.markup import one_line
from cxreport.present.pack import Pack
from cxreport.publish.brand import Brand
from cxreport.publish.exports import sheets, zips
from cxreport.publish.exports.cells import AS_WRITTEN, Cell, Number, Sheet

_READING = ("numbers", "shares", "interval", "changes", "hidden", "association")
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\]")
_MOST_LETTERS, _MOST_IN_NAME = 32_767, 31  # of a cell and of a sheet's name
_QUOTED = re.compile(r'"[^"]*"')
_NARROW, _WIDE, _MOST_ON_A4 = 9, 60, 160  # letters
_LINE, _HIGHEST = 15, 409  # points
_MOST_KEPT = 80  # letters of the columns that stay in sight
_A4, _A3 = 9, 8


def as_xlsx(pack: Pack, *, title: str, provenance: dict[str, str], at: datetime) -> bytes:
    """Return a workbook; the same pack gives the same bytes.

    Parameters
    ----------
    title
        What the first sheet is headed by, and the file's title.
    provenance
        What the first sheet says of the report's making, term to plain text.
    at
        The date that the file states.
    """
    found = sheets.of_pack(pack)
    names = _names([pack.words("exports.sheet.contents.name"), *(_said(pack, sheet, "name") for sheet in found)])
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, AS_WRITTEN)
    book.set_properties({"title": one_line(title), "author": one_line(pack.report.organisation), "created": at})
    writer = _Writer(book, Brand.of(pack.project))
    about = [_said(pack, sheet, "about") for sheet in found]
    writer.write_contents(names, _contents(pack, title, provenance), about, pack)
    for name, sheet in zip(names[1:], found, strict=True):
        writer.write(name, sheet)
    book.close()
    return zips.settled(stream.getvalue(), at=at, language=pack.words.language)


def _said(pack: Pack, sheet: Sheet, part: str) -> str:
    return pack.words(f"exports.sheet.{sheet.key}.{part}")


def _contents(pack: Pack, title: str, provenance: dict[str, str]) -> list[tuple[str, str]]:
    """Return what stands before the list of sheets: what the report is, what its data are, how to read it."""
    words = pack.words
    notes = [pack.words.text(note) for note in pack.verdict.footnotes]
    return [
        (words("exports.contents.title"), title),
        (words("exports.contents.organisation"), pack.report.organisation),
        (words("exports.contents.audience"), pack.audience.title if pack.audience else words("tables.all")),
        (words("exports.contents.period"), words.period(pack.period)),
        *provenance.items(),
        *((words("exports.contents.note"), note) for note in notes),
        *(
            (words("exports.contents.reading"), words(f"exports.reading.{part}", confidence=pack.confidence))
            for part in _READING
        ),
    ]


def _names(wanted: Iterable[str]) -> list[str]:
    """Return legal names of sheets, each of which is there once, whatever its case.

    >>> _names(["Base: n/N", "base  n n", "'"])
    ['Base n N', 'base n n 2', 'Sheet']
    """
    found: list[str] = []
    for name in wanted:
        legal = " ".join(_NOT_IN_NAMES.sub(" ", one_line(name)).split()).strip("'")[:_MOST_IN_NAME] or "Sheet"
        taken = {each.casefold() for each in found} | {"history"}  # which Excel keeps for itself
        candidates = (f"{legal[: _MOST_IN_NAME - 3]} {number}" for number in range(2, len(taken) + 3))
        found.append(next(name for name in chain([legal], candidates) if name.casefold() not in taken))
    return found


class _Writer:
    """Writes sheets of one look into a workbook."""

    def __init__(self, book: Any, brand: Brand) -> None:
        self.book = book
        self.top = book.add_format(
            {"bold": True, "font_color": "#ffffff", "bg_color": brand.light.masthead}
            | {"text_wrap": True, "valign": "top"}
        )
        self.text = book.add_format({"text_wrap": True, "align": "left", "valign": "top", "indent": 1})
        self.link = book.add_format({"font_color": brand.light.accent, "underline": 1, "valign": "top"})
        self.forms: dict[str, Any] = {}
        self.widths: Sequence[int] = ()  # of the sheet that is being written

    def write(self, name: str, sheet: Sheet) -> None:
        """Write a table with its header."""
        columns = list(zip(sheet.head, *sheet.rows, strict=True))
        widths = [_width(column) for column in columns]
        page = self._page(name, sheet.head, widths, _names_first(columns, widths))
        for row, cells in enumerate(sheet.rows, start=1):
            self._put(page, row, cells)
        page.autofilter(0, 0, len(sheet.rows), len(sheet.head) - 1)

    def write_contents(
        self, names: Sequence[str], lines: Sequence[tuple[str, str]], about: Iterable[str], pack: Pack
    ) -> None:
        """Write the first sheet: lines on the report, then a link to every other sheet."""
        page = self._page(names[0], [pack.words(f"exports.contents.{part}") for part in ("item", "content")], [30, 100])
        for row, line in enumerate(lines, start=1):
            self._put(page, row, line)
        for row, (name, text) in enumerate(zip(names[1:], about, strict=True), start=len(lines) + 1):
            quoted = name.replace("'", "''")
            self._put(page, row, ("", text))
            page.write_url(row, 0, f"internal:'{quoted}'!A1", self.link, string=name)

    def _page(self, name: str, head: Sequence[str], widths: Sequence[int], kept: int = 0) -> Any:
        """Return an empty sheet with its header; that and so many columns stay in sight."""
        page = self.book.add_worksheet(name)
        for column, (title, width) in enumerate(zip(head, widths, strict=True)):
            page.write_string(0, column, title, self.top)
            page.set_column(column, column, width)
        self.widths = widths
        page.set_row(0, 2 * _LINE)
        page.freeze_panes(1, kept)
        page.repeat_rows(0)
        page.fit_to_pages(1, 0)
        page.set_landscape()
        page.set_paper(_A4 if sum(widths) <= _MOST_ON_A4 else _A3)
        page.set_footer("&L&A&R&P / &N")
        return page

    def _put(self, page: Any, row: int, cells: Sequence[Cell]) -> None:
        """Write a row, as high as its longest text needs; not every program finds that out by itself."""
        lines = 1
        for column, cell in enumerate(cells):
            if isinstance(cell, Number):
                page.write_number(row, column, cell.value, self._form(cell.form))
            elif cell:
                text = one_line(cell)[:_MOST_LETTERS]
                page.write_string(row, column, text, self.text)
                lines = max(lines, ceil(1.15 * len(text) / (self.widths[column] - 2)))
        if lines > 1:
            page.set_row(row, min(lines * _LINE, _HIGHEST))

    def _form(self, form: str) -> Any:
        if form not in self.forms:
            self.forms[form] = self.book.add_format({"num_format": form, "valign": "top"})
        return self.forms[form]


def _width(column: Sequence[Cell]) -> int:
    """Return how wide a column is in letters: its longest text or amount, or its title over two lines."""
    title, *cells = column
    longest = max((round(1.15 * len(_text(cell))) for cell in cells if cell), default=0)
    return min(max(_NARROW, longest, len(str(title)) // 2 + 4), _WIDE) + 2


def _text(cell: str | Number) -> str:
    """Return a text, or about what a number looks like: the words of its format, and two decimals as most have."""
    if isinstance(cell, str):
        return cell
    return "".join(_QUOTED.findall(cell.form)[:1]) + f"{cell.value:+,.2f}"


def _names_first(columns: Sequence[Sequence[Cell]], widths: Sequence[int]) -> int:
    """Return how many columns of names come first and leave room for the numbers beside them."""
    are_names = takewhile(lambda column: not any(isinstance(cell, Number) for cell in column), columns)
    reach = accumulate(widths)
    return sum(1 for _, end in zip(are_names, reach, strict=False) if end <= _MOST_KEPT)
