"""Check that every chart and table of a pack is its own: before it is rendered, and once more in what came out.

Charts and tables carry marks from the notebook on (`cxreport.present.identity`). In the page they are read back as
they are. A PDF keeps those of charts; its tables are compared with the page's, cell by cell.
"""

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote_to_bytes

from cxreport.config import EVERYBODY
from cxreport.errors import RunError
from cxreport.present.identity import ATTRIBUTE, MARK, ON_PICTURE, Mark
from cxreport.publish import document as documents
from cxreport.publish import pdf

_TABLE = re.compile(rf'{{\.cx-table {ATTRIBUTE}="({MARK.pattern})"}}', re.ASCII)
_IN_PAGE = re.compile(
    rf'<(?P<tag>svg|table|div)\b[^<>]*?\s{ATTRIBUTE}="(?P<attribute>{MARK.pattern})"'
    rf'|<text class="cx-mark"[^<>]*>(?P<text>{MARK.pattern})</text>',
    re.ASCII,
)
_IMAGE = re.compile(r"""<img\b[^<>]*?\ssrc=["']data:image/svg\+xml(?P<coding>[^,"']*),(?P<data>[^"']*)["']""")
# A table between blank lines: its head, the line below that, and rows.
_PIPE_TABLE = re.compile(r"(?:\A\n*|(?<=\n\n))[^\n]*\|[^\n]*\n\|?[ :]*-+:?[ ]*\|[^\n]*(?:\n[^\n]+)*")
_PAGE_ONLY = re.compile(r'<details class="cx-data">.*?</details>', re.DOTALL)
_TABLE_IN_PAGE = re.compile(r"<table\b.*?</table>", re.DOTALL)
_CELL = re.compile(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_NO_FIGURE = re.compile(r"[^0-9]+")  # a hyphen before a digit becomes a minus in a PDF
# What figures and their words are written with. Of other texts, such as comments and names with marks on letters or
# signs that turn the direction, more comes out of a PDF, or less, than went in.
_PLAIN = re.compile(r"[\s\u00a0A-Za-z\u00c0-\u024f0-9.,:;%()+\-\u2010-\u2014\u2019\u2212$\u20ac\u00a3]*", re.ASCII)
_MOST_TOLD = 1000  # letters
_PARAMETERS = ("report", "period", "audience")


# --- before --------------------------------------------------------------------------------------


def require_own(notebooks: Sequence[Path], mark: Mark) -> None:
    """Check executed notebooks of a pack: parameters, and the marks of all that they show.

    Raises `RunError` with all that is another pack's, and all charts that a notebook shows twice.
    """
    problems = [problem for path in notebooks for problem in _strangers(path, mark)]
    if problems:
        raise RunError(
            found="; ".join(problems),
            expected=f"pages whose charts and tables are all made once, in a pack of the mark `{mark}`",
            do="open the pack in each notebook with its own parameters; if they are right, run again with `--force`",
        )


def _strangers(path: Path, mark: Mark) -> Iterator[str]:
    notebook = documents.read(path)
    given = notebook.metadata.get("papermill", {}).get("parameters", {})
    for name in _PARAMETERS:
        told = given.get(name, getattr(mark, name)) or EVERYBODY  # an empty text for everybody
        if told != getattr(mark, name):
            yield f"{path.name} was executed with the {name} `{told}`"
    charts: Counter[str] = Counter()
    for number, cell in enumerate(notebook.cells, start=1):
        for text in _texts(cell):
            drawn = ON_PICTURE.findall(text)
            charts.update(drawn)
            for found in drawn + _TABLE.findall(text):
                if not mark.is_on(found):
                    yield f"{path.name}, cell {number} shows what is marked `{found}`"
    yield from (f"{path.name} shows the chart `{chart}` {times} times" for chart, times in charts.items() if times > 1)


def _texts(cell: documents.Cell) -> Iterator[str]:
    """Yield all that an executed cell shows, with the tables of numbers of its charts."""
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield from (output.get("data", {}).get(kind, "") for kind in (documents.SVG, documents.MARKDOWN))
        yield output.get("metadata", {}).get("cxreport", {}).get("data", "")


def complete(document: documents.Cell, mark: Mark) -> None:
    """Mark the charts and tables of a document that are not made by `cxreport.present`, such as an analyst's own."""
    for output in (output for cell in document.cells for output in cell.get("outputs", [])):
        if output.output_type == "stream":
            output["text"] = _with_mark(output.text, mark)
        elif documents.MARKDOWN in output.data:
            output.data[documents.MARKDOWN] = _with_mark(output.data[documents.MARKDOWN], mark)
        elif not ON_PICTURE.search(output.data[documents.SVG]):
            output.data[documents.SVG] = mark.on_picture(output.data[documents.SVG])


def _with_mark(text: str, mark: Mark) -> str:
    if _TABLE.search(text):
        return text
    return _PIPE_TABLE.sub(lambda table: mark.on_table(table[0].strip()), text)


# --- after ---------------------------------------------------------------------------------------


def check(document: documents.Cell, html: Path, print_: Path | None) -> None:
    """Compare a page, and its PDF if there is one, with the document that they were rendered from.

    Raises `RunError` that names the first chart or table which is missing, another one, or there once too often.
    """
    page = _without_images(html.read_text(encoding="utf-8"))
    _require_equal(html, "chart or table", list(_of_document(document)), list(_of_page(page)))
    if print_:
        shown = pdf.read(print_.read_bytes())
        drawn = [mark[0] if (mark := MARK.match(text)) else "one without a mark" for text in shown.pictures]
        _require_equal(print_, "chart", list(_of_document(document, ON_PICTURE)), drawn)
        wanted = _tables_of(page)
        found: list[list[str | None]] = [[_figures(cell) for cell in table] for table in shown.tables]
        known = [_where_known(*pair) for pair in zip(wanted, found, strict=False)]
        _require_equal(print_, "table", wanted, known + found[len(known) :])


def _require_equal(path: Path, kind: str, wanted: Sequence[object], found: Sequence[object]) -> None:
    for number, (own, other) in enumerate(zip_longest(wanted, found), start=1):
        if own != other:
            raise RunError(
                found=f"{path.name} shows as {kind} {number} of {len(found)} {_told(other)}",
                expected=f"{_told(own)}, which is number {number} of {len(wanted)} in the executed notebooks",
                do="run again with `--force`; if it comes back, compare the theme and the renderer with those of the "
                "last issue",
            )


def _told(content: object) -> str:
    if content is None:
        return "none"
    text = " | ".join(cell or "" for cell in content) if isinstance(content, list) else str(content)
    return f"`{text[:_MOST_TOLD]}`"


def _of_document(document: documents.Cell, *patterns: re.Pattern[str]) -> Iterator[str]:
    """Yield the marks of a document in reading order: those of charts, of tables, or of both."""
    for cell in document.cells:
        contents = [text for _, text in documents.shown(cell)] if cell.cell_type == "code" else [cell.source]
        for text in contents:
            for pattern in patterns or (ON_PICTURE, _TABLE):
                yield from pattern.findall(text)


def _of_page(page: str) -> Iterator[str]:
    return (found["attribute"] or found["text"] for found in _IN_PAGE.finditer(page))


def _without_images(page: str) -> str:
    """Return a page with the text of the SVG images that it holds as addresses."""

    def drawn(image: re.Match[str]) -> str:
        data = unquote_to_bytes(unescape(image["data"]))
        return (b64decode(data) if "base64" in image["coding"] else data).decode("utf-8", errors="replace")

    return _IMAGE.sub(drawn, page)


def _tables_of(page: str) -> list[list[str | None]]:
    """Return the figures of the tables that a PDF shows too, by cell; none of cells that a PDF may set otherwise."""
    tables = _TABLE_IN_PAGE.findall(_PAGE_ONLY.sub("", page))
    cells = ([unescape(_TAG.sub("", cell)) for cell in _CELL.findall(table)] for table in tables)
    return [[_figures(cell) if _PLAIN.fullmatch(cell) else None for cell in table] for table in cells]


def _figures(text: str) -> str:
    """Return the digits of a cell, which a page and a PDF set alike."""
    return _NO_FIGURE.sub("", text)


def _where_known(wanted: Sequence[str | None], found: Sequence[str | None]) -> list[str | None]:
    """Return the figures found, without those that are not known on the other side."""
    if len(wanted) != len(found):
        return list(found)
    return [None if own is None else other for own, other in zip(wanted, found, strict=True)]
