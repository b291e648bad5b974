"""Adobe Analytics: Analysis Workspace CSV as `aggregates`, one row per figure.

Every visualisation is a block under a title, with two or more header rows whose first cells are blank, a row with the
dimension's name and its totals, and a row per value; breakdowns repeat that within a value, or begin again under it.
The delimiter is what the first header row begins with; a mapping may state it as `file: delimiter`. Decimal and
grouping marks are those with which every number of the file can be read; where two ways fit, the numbers are refused
until a mapping reads the column `value` with `decimal` and `grouping`. Shares are fractions as exported, or percent
after a spreadsheet program. Structure after others' readers; no file of Adobe's own was seen.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from cxreport.sources.adapter import Adapter
from cxreport.sources.figures import Figure, duration, figure_mapping, figure_records, in_minutes, number_form, plain
from cxreport.sources.formats.delimited import Row, csv_rows
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import FileForm, Mapping

_DELIMITERS = ',;\t|:. "'  # a quote where blank cells are quoted
_RULE = re.compile(r"#[=#]{3,}")
_FIRST_CELL = re.compile(r"^#{4,}[^\n]*\n#[^\n]*\n#{4,}[^\n]*\n\s*?(?:\"\")?([^\w\s]|[ \t])", re.MULTILINE)
_DATES = re.compile(r"# Date: (.+) - (.+)")
_SUITE = "# Report suite: "
_DAY_FORMS = ("%b %d, %Y", "%B %d, %Y", "%Y-%m-%d")
_ZEROS = frozenset({"", "0"})


class AdobeAnalytics(Adapter):
    """Reads Workspace exports; a mapping may state the delimiter, and how numbers are written."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the project's name and report suite between rules."""
        start = glimpse.text.lstrip("\ufeff")
        if start.startswith("#===") and _SUITE in start[:2_000]:
            return Recognised("Workspace CSV", "a report suite between rules above its blocks")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read every figure of every block."""
        delimiter = form.delimiter or _delimiter(file.text(form.encoding))
        blocks = _blocks(csv_rows(file, form.encoding, delimiter), delimiter)
        cells = [cell for block in blocks for _, row in block.rows for cell in row[block.dimensions :]]
        marks = number_form([cell for cell in cells if cell.strip()])
        found = [figure for block in blocks for figure in _figures_of(block, marks)]
        return figure_records(found, _notes(blocks, unsure=marks is None))

    def standard(self, records: Records) -> Mapping:  # noqa: ARG002 - the same for every export
        """Return where figures belong."""
        return figure_mapping(["%Y-%m-%d"], segments=["report suite"])


def _delimiter(text: str) -> str:
    found = _FIRST_CELL.search(text.replace("\r\n", "\n"))
    if found is None or found[1] not in _DELIMITERS:
        raise UnreadableFileError(
            "no header row that begins with a blank cell follows a block's title, so the delimiter is not known:"
            " state it as `file: delimiter`"
        )
    return found[1]


# --- blocks --------------------------------------------------------------------------------------


@dataclass
class _Block:
    """One visualisation, with what the comments so far say."""

    title: str
    suite: str
    first: date
    last: date
    dimensions: int = 0
    names: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    heads: int = 0  # rows of totals


def _blocks(rows: Sequence[Row], delimiter: str) -> list[_Block]:
    """Split a file at its rules: what stands between two of them is a comment, everything else a block's."""
    said: dict[str, str] = {}
    dates: tuple[date, date] | None = None
    blocks: list[_Block] = []
    body: list[Row] = []
    is_comment = False
    for line, row in rows:
        text = delimiter.join(row).rstrip(delimiter + " ")
        if _RULE.fullmatch(text):
            _place(blocks, body)
            body, is_comment = [], not is_comment
            if not is_comment and text.startswith("##"):
                blocks.append(_block(said, dates))
        elif not is_comment:
            body.append((line, row))
        elif text.startswith(_SUITE):
            said["suite"] = text.removeprefix(_SUITE).strip()
        elif match := _DATES.fullmatch(text):
            dates = _day(match[1]), _day(match[2])
        else:
            said["title"] = text.lstrip("#").strip()
    _place(blocks, body)
    if not any(block.rows for block in blocks):
        raise UnreadableFileError("the file holds no block with figures")
    return blocks


def _block(said: dict[str, str], dates: tuple[date, date] | None) -> _Block:
    if dates is None:
        raise UnreadableFileError("no line `# Date:` with a first and a last day, such as `Jul 27, 2026 - Aug 2, 2026`")
    return _Block(said.get("title", ""), said.get("suite", ""), *dates)


def _day(text: str) -> date:
    for form in _DAY_FORMS:
        try:
            return datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 - a day
        except ValueError:
            continue
    raise UnreadableFileError("the line `# Date:` holds no days such as `Jul 27, 2026`")


def _place(blocks: list[_Block], body: list[Row]) -> None:
    """Give a block its header and rows."""
    if not body:
        return
    if not blocks:
        raise UnreadableFileError(f"figures before the first block's title, in line {body[0][0]}")
    block = blocks[-1]
    headers = _headers(body)
    block.dimensions = next((at for at, cell in enumerate(headers[0]) if cell.strip()), 0) if headers else 0
    if not block.dimensions:
        raise UnreadableFileError(f"no header row that begins with a blank cell, in line {body[0][0]}")
    width = len(headers[0])
    if broken := next((line for line, row in body if len(row) != width), None):
        raise UnreadableFileError(f"a row does not line up with the header of its block, in line {broken}")
    if nameless := next((line for line, row in body[len(headers) :] if not row[0].strip()), None):
        raise UnreadableFileError(f"a header within the figures of a block, in line {nameless}")
    block.names = _names(headers, block.dimensions)
    block.rows = body[len(headers) :]


def _headers(body: Sequence[Row]) -> list[list[str]]:
    end = next((at for at, (_, row) in enumerate(body) if row[0].strip()), len(body))
    return [row for _, row in body[:end]]


def _names(headers: Sequence[list[str]], dimensions: int) -> list[str]:
    """Join what stands above a column, once each; a name that returns is numbered."""
    found = [" / ".join(dict.fromkeys(filter(None, map(str.strip, column)))) for column in zip(*headers, strict=True)]
    said = found[dimensions:]
    return [f"{name} ({said[: at + 1].count(name)})" if name in said[:at] else name for at, name in enumerate(said)]


# --- figures -------------------------------------------------------------------------------------


def _figures_of(block: _Block, marks: tuple[str, str] | None) -> Iterable[Figure]:
    """Yield the figures of a block; the first row within each value names the dimension, beside its totals.

    So does a later row with the same totals: there another breakdown begins.
    """
    heads: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    after_head = False
    for line, row in block.rows:
        path = tuple(cell.strip() for cell in row[: block.dimensions])
        depth = max((at for at, cell in enumerate(path) if cell), default=0)
        parent, values = path[:depth], row[block.dimensions :]
        head = heads.get(parent)
        if head is None or (not after_head and values == head[1] and not _ZEROS.issuperset(values)):
            heads[parent] = path[depth], values
            block.heads += 1
            after_head = True
            continue
        after_head = False
        dimensions = [heads[path[:at]][0] for at in range(depth + 1) if path[:at] in heads]
        yield from _row_figures(block, line, dimensions, path[: depth + 1], values=values, marks=marks)


def _row_figures(
    block: _Block,
    line: int,
    dimensions: list[str],
    levels: tuple[str, ...],
    *,
    values: list[str],
    marks: tuple[str, str] | None,
) -> Iterable[Figure]:
    first, last, dated = _covered(block, dimensions, levels)
    kept = [at for at in range(len(levels)) if at != dated]
    numbers = plain(values, *marks) if marks else [f"{cell}?" if cell.strip() else "" for cell in values]
    for column, value, number in zip(block.names, values, numbers, strict=True):
        name, per_minute = duration(column)
        if number:
            yield Figure(
                line=line,
                started=first.isoformat(),
                ended=(last + timedelta(days=1)).isoformat(),
                report=block.title,
                dimension=" / ".join(dimensions[at] for at in kept if at < len(dimensions)),
                level=" / ".join(levels[at] for at in kept),
                name=name,
                value=value,
                number=in_minutes(number, per_minute),
                more={"report suite": block.suite},
            )


def _covered(block: _Block, dimensions: list[str], levels: tuple[str, ...]) -> tuple[date, date, int | None]:
    """Return the first and last day of a row, within those of the file, and the dimension that says so."""
    for at, (dimension, level) in enumerate(zip(dimensions, levels, strict=False)):
        if dimension in {"Day", "Week", "Month"} and (day := _maybe_day(level)):
            end = {"Day": day, "Week": day + timedelta(days=6), "Month": _month_end(day)}[dimension]
            return max(day, block.first), min(end, block.last), at
    return block.first, block.last, None


def _maybe_day(text: str) -> date | None:
    try:
        return _day(text)
    except UnreadableFileError:
        return None


def _month_end(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _notes(blocks: Sequence[_Block], *, unsure: bool) -> list[str]:
    notes = [f"rows of totals left out: {sum(block.heads for block in blocks)}"]
    if unsure:
        notes.append("a point or comma could mark decimals or thousands: read the column `value` in a mapping")
    return notes


ADAPTER = AdobeAnalytics()
