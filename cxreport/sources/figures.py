"""Figures that a tool had already added up: one record each, for the canonical table `aggregates`."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cxreport.sources import values
from cxreport.sources.formats.files import UnreadableFileError
from cxreport.sources.formats.records import Records
from cxreport.sources.identifiers import digest
from cxreport.sources.mapping import Fields, Mapping, Origin
from cxreport.sources.privacy import mask

_ADDRESS_MARKS = ("@", "%40")
_NOT_APPLICABLE = ["N/A", "n/a"]
_UNIT = re.compile(r"\((milli)?seconds\)", re.IGNORECASE)
_PART = re.compile(r"([/?&=#;:])")
_NUMBER_FORMS = ((".", ","), (",", "."), (",", " "))  # decimal and grouping mark
_COLUMNS = ("aggregate_id", "started", "ended", "report", "dimension", "level", "channel", "name", "value", "number")


@dataclass(frozen=True)
class Figure:
    """One figure, everything as text.

    Attributes
    ----------
    line
        Where its record begins in the file.
    started, ended
        First instant of the time it covers, and the first one after; blank where the tool does not tell.
    value
        As delivered.
    number
        As `plain` writes it: shares 0-1, durations in minutes.
    more
        Further columns that tell it apart, such as a property's name; a mapping can use them as segments.
    """

    line: int
    report: str
    name: str
    value: str
    number: str
    started: str = ""
    ended: str = ""
    dimension: str = ""
    level: str = ""
    channel: str = ""
    more: dict[str, str] = field(default_factory=dict)


def figure_records(figures: Iterable[Figure], notes: Iterable[str] = ()) -> Records:
    """Return one record per figure; ids depend on what a figure is of, not on the file or its value.

    E-mail addresses in levels, which come from addresses of pages, are masked. A figure that stands twice is kept
    once; where the values differ, nobody can tell which is meant, and neither is used.
    """
    found = list(figures)
    extra = tuple(dict.fromkeys(name for figure in found for name in figure.more))
    rows = [_row(figure, extra) for figure in found]
    values_of: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        values_of[row[0]].add(row[-1 - len(extra)])
    first = list({row[0]: at for at, row in reversed(list(enumerate(rows)))}.values())
    kept = sorted({*first, *(at for at, row in enumerate(rows) if len(values_of[row[0]]) > 1)})
    ragged = {
        position: "another figure of the file has the same report, dates and dimensions"
        for position, at in enumerate(kept)
        if len(values_of[rows[at][0]]) > 1
    }
    blank = ("",) * (len(_COLUMNS) + len(extra))
    lined_up = [blank if position in ragged else rows[at] for position, at in enumerate(kept)]
    repeated = len(rows) - len(kept)
    said = (*notes, *([f"{repeated} figures that stand twice were read once"] if repeated else []))
    cells = tuple(zip(*lined_up, strict=True)) if lined_up else ((),) * len(blank)
    return Records(_COLUMNS + extra, cells, [found[at].line for at in kept], ragged, notes=said)


def figure_mapping(formats: Sequence[str], segments: Iterable[str] = (), time_zone: str | None = None) -> Mapping:
    """Return where the columns of `figure_records` belong; `formats` are those of the times."""
    text = ("aggregate_id", "report", "dimension", "level", "channel", "name")
    dated = {"started_at": "started", "ended_at": "ended"}
    columns = {name: Origin(column=name) for name in text} | {"value": Origin(column="number")}
    columns |= {name: Origin(column=column, formats=list(formats)) for name, column in dated.items()}
    fields = Fields(
        columns=columns,
        segments={name.lower().replace(" ", "_"): Origin(column=name, optional=True) for name in segments},
    )
    return Mapping(time_zone=time_zone, tables={"aggregates": fields})


def plain(cells: Sequence[str], decimal: str = ".", grouping: str | None = None) -> list[str]:
    """Return numbers in the one form that needs no telling; `6.5%` becomes 0.065, what is no number gets a `?`.

    >>> plain(["1,234", "6.5%", "", "n.a."], grouping=",")
    ['1234.0', '0.065', '', 'n.a.?']
    """
    text = values.stripped([cell.replace("\u00a0", " ").replace("\u202f", " ") for cell in cells])
    number, _ = values.numbers(text, decimal, grouping)
    share, _ = values.numbers(text, decimal, grouping, percent=True)
    read = number.fillna(share)
    return [
        repr(value) if known else f"{cell}?" if cell.strip() else ""
        for value, known, cell in zip(read.tolist(), read.notna(), cells, strict=True)
    ]


def number_form(cells: Sequence[str]) -> tuple[str, str] | None:
    """Return the decimal and the grouping mark with which all cells are numbers; `None` when that is not certain.

    >>> number_form(["1.234,5", "7"]), number_form(["1.234"]), number_form(["0.127"])
    ((',', '.'), None, ('.', ','))
    """
    readings: dict[tuple[str, str], list[str]] = {}
    for decimal, grouping in _NUMBER_FORMS:
        read = plain(cells, decimal, grouping)
        if not any(
            value.endswith("?") or cell.startswith("0" + grouping) for value, cell in zip(read, cells, strict=True)
        ):
            readings[decimal, grouping] = read
    distinct = {tuple(read) for read in readings.values()}
    return next(iter(readings)) if len(distinct) == 1 else None


def in_minutes(number: str, per_minute: float = 60) -> str:
    """Return a plain number of seconds, or of another unit, in minutes.

    >>> in_minutes("90.0"), in_minutes("n.a.?")
    ('1.5', 'n.a.?')
    """
    return number if not number or number.endswith("?") else repr(float(number) / per_minute)


def duration(name: str) -> tuple[str, float]:
    """Return a figure's name, with minutes for its unit, and how many of what it counts are one.

    >>> duration("Average Video Time (Seconds)"), duration("Views")
    (('Average Video Time (minutes)', 60.0), ('Views', 1.0))
    """
    said = _UNIT.search(name)
    return (_UNIT.sub("(minutes)", name), 60_000.0 if said[1] else 60.0) if said else (name, 1.0)


def wide_figures(
    records: Records,
    report: str,
    *,
    labels: Collection[str],
    started: str,
    channel: str,
    dimension: str | None = None,
    more: Sequence[str] = (),
    of_a_day: str | None = None,
    notes: Iterable[str] = (),
) -> Records:
    """Turn records with a column per metric into figures; commas group thousands, `%` marks shares.

    Parameters
    ----------
    records
        One post, or one day of a profile, per record.
    report
        What the tool calls the table.
    labels
        Columns that are no metrics; nor is a column in which no cell is a number.
    started, channel, dimension
        Columns with the time, the network and, where there is one, the id of what was measured.
    more
        Further columns that tell records apart.
    of_a_day
        The `strptime` form of the time where a record covers a whole day.
    notes
        What was left out so far.

    Raises `UnreadableFileError` for records that do not line up with the header.
    """
    if records.ragged:
        first = records.lines[min(records.ragged)]
        raise UnreadableFileError(f"{len(records.ragged)} records do not line up with the header, see line {first}")
    wanted = [name for name in (started, channel, dimension, *more) if name and name in records.header]
    records.require(wanted)
    known = {name: records.text(name).fillna("").tolist() for name in wanted}
    blank = [""] * records.rows
    figures: list[Figure] = []
    left_out = 0
    for name, cells, numbers in _metrics(records, labels):
        said, per_minute = duration(name)
        left_out += numbers.count("")
        figures += [
            Figure(
                line=records.lines[at],
                report=report,
                name=said,
                value=cells[at],
                number=in_minutes(number, per_minute),
                started=known[started][at],
                ended=_next_day(known[started][at], of_a_day) if of_a_day else "",
                dimension=dimension or "",
                level=known.get(dimension or "", blank)[at],
                channel=known[channel][at],
                more={other: known[other][at].removeprefix("'") for other in more if other in known},
            )
            for at, number in enumerate(numbers)
            if number
        ]
    said_so = [f"cells of metrics that do not apply: {left_out}"] if left_out else []
    return figure_records(figures, [*notes, *said_so])


def _metrics(records: Records, labels: Collection[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield name, cells and plain numbers of every column in which any cell is a number."""
    for name, column in zip(records.header, records.cells, strict=True):
        text = values.stripped(column)
        cells = text.mask(text.isin(_NOT_APPLICABLE)).fillna("").tolist()
        numbers = [] if name in labels else plain(cells, grouping=",")
        if any(number and not number.endswith("?") for number in numbers):
            yield name, cells, numbers


def _next_day(day: str, form: str) -> str:
    try:
        return (datetime.strptime(day, form) + timedelta(days=1)).strftime(form)  # noqa: DTZ007 - a day
    except ValueError:
        return ""


def _row(figure: Figure, extra: tuple[str, ...]) -> tuple[str, ...]:
    level = _masked(figure.level)
    more = tuple(figure.more.get(name, "") for name in extra)
    what = (figure.started, figure.ended, figure.report, figure.dimension, level, figure.channel, figure.name)
    return (digest(*what, *(text for text in more if text)), *what, figure.value, figure.number, *more)


def _masked(level: str) -> str:
    """Mask addresses part by part: a page's own words before `=` stay."""
    if not any(mark in level for mark in _ADDRESS_MARKS):
        return level
    return "".join(mask(part) if "@" in part else part for part in _PART.split(level.replace("%40", "@")))
