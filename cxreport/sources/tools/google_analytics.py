"""Google Analytics 4: report and exploration CSV as `aggregates`, the BigQuery export as `events`.

A report file stacks tables under comments, each with dates and columns of its own; an exploration has one table, whose
first line is a grand total with one cell more than the header. Columns are told by what stands in them, because
headers are in the language of whoever exported. Durations become minutes where the header is English; `Nth week` and
`Nth month` stay dimensions, because nothing says on which day they begin. User explorers (one row per visitor) and
tables without their comments need a mapping. The BigQuery columns follow the published schema; `user_id` is the
company's own id. The CSV of Universal Analytics, the predecessor, was not seen in a file and is refused.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from cxreport.sources.adapter import Adapter
from cxreport.sources.figures import Figure, figure_mapping, figure_records, in_minutes, plain
from cxreport.sources.formats.delimited import Row, csv_rows
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_objects
from cxreport.sources.formats.records import Records, from_objects, from_rows
from cxreport.sources.identifiers import company_id, digest
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin

_RULE = re.compile(r"# ?-{8,}")
_DATE_LINE = re.compile(r"#[^:]+: ?(\d{8})")
_RANGE_LINE = re.compile(r"# ?(\d{8})-(\d{8})")
_INDEX = re.compile(r"\d{4}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_VISITOR = re.compile(r"\d{6,}\.\d{9,}|[0-9A-Fa-f]{32}")  # client ids of the web, and instance ids of apps
_VISITORS = frozenset({"App-instance ID", "Effective user ID", "User ID", "Device ID", "Client ID"})
_NTH_DAY = "Nth day"
_NUMBERED = frozenset({_NTH_DAY, "Nth week", "Nth month", "Nth hour", "Date", "Day", "Week", "Month", "Year", "Hour"})
_SECONDS = re.compile(r"Average engagement time|Average session duration|User engagement$", re.IGNORECASE)
_METRICS = frozenset(
    {
        "Active users",
        "Average engagement time",
        "Conversions",
        "Engaged sessions",
        "Engagement rate",
        "Event count",
        "Key events",
        "New users",
        "Sessions",
        "Total revenue",
        "Total users",
        "Users",
        "Views",
    }
)
_EVENT_KEYS = ("event_timestamp", "event_name", "user_pseudo_id")
_EVENT_PARTS = (
    *("user_pseudo_id", "event_timestamp", "event_name"),
    *("event_bundle_sequence_id", "batch_page_id", "batch_ordering_id", "batch_event_index"),
)


class GoogleAnalytics(Adapter):
    """Reads reports, explorations and BigQuery events; a mapping says what a bare table's columns mean."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the comments above a table, the fields of an event, or, uncertainly, names of metrics."""
        if glimpse.kind == "text":
            return _recognised_text(glimpse)
        if glimpse.kind == "json":
            names = set(glimpse.objects[0]) if glimpse.objects else set()
        else:
            names = _parquet_names(glimpse.file) if glimpse.kind == "parquet" else set()
        if names.issuperset(_EVENT_KEYS):
            return Recognised("BigQuery events", "the fields `event_timestamp` and `user_pseudo_id`")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export: figures of reports and explorations one by one, events and bare tables row by row."""
        kind = kind_of(file)
        if kind in {"json", "parquet"}:
            return _event_records(file)
        tables = _tables(list(csv_rows(file, form.encoding, form.delimiter or ",")))
        if not tables:
            raise UnreadableFileError("the file is empty, it has not even a header")
        if tables[0].first is None:
            return _bare(tables)
        if tables[0].is_ranged and len(tables) > 1:
            raise UnreadableFileError(
                "two tables under one range of dates are a report of Universal Analytics, whose form is not known here"
            )
        if tables[0].is_ranged and _has_visitors(tables[0]):
            return _bare(tables)
        return _figures(tables)

    def standard(self, records: Records) -> Mapping | None:
        """Return where figures and events belong; nothing for tables whose columns their author chose."""
        if "aggregate_id" in records.header:
            return figure_mapping(["%Y-%m-%d"], segments=["property"])
        return _events(records) if "event_key" in records.header else None


# --- recognising ---------------------------------------------------------------------------------


def _recognised_text(glimpse: Glimpse) -> Recognised | None:
    comments = [line.strip() for line in glimpse.text.lstrip("\ufeff").splitlines()[:40] if line.startswith("#")]
    dated = sum(_DATE_LINE.fullmatch(line) is not None for line in comments)
    if dated > 1 and any(map(_RULE.fullmatch, comments)):
        return Recognised("report CSV", "the comments with start and end date above its tables")
    if any(map(_RANGE_LINE.fullmatch, comments)):
        return Recognised("exploration CSV", "the comments with a range of dates above its table")
    if len(glimpse.header & _METRICS) > 1 or (_NTH_DAY in glimpse.header and glimpse.header & _METRICS):
        return Recognised("table without its comments", "names of metrics in its header", certain=False)
    return None


def _parquet_names(file: DeliveredFile) -> set[str]:
    try:
        with file.stream() as stream:
            return set(pq.read_schema(stream).names)
    except (pa.ArrowException, OSError):
        return set()


# --- tables under comments -----------------------------------------------------------------------


@dataclass
class _Table:
    """One table of a file, with what the comments above it say."""

    report: str
    owner: str  # the property
    first: date | None
    last: date | None
    is_ranged: bool  # dates in one line, as explorations and Universal Analytics write them
    header: list[str]
    totals: list[str] | None = None
    rows: list[Row] = field(default_factory=list)

    @property
    def width(self) -> int:
        return len(self.header)

    def column(self, at: int) -> list[str]:
        return [row[at].strip() for _, row in self.rows if at < len(row)]


@dataclass
class _Said:
    """What the comments so far say."""

    title: str = ""
    owner: str = ""
    report: str = ""
    first: date | None = None
    last: date | None = None
    is_ranged: bool = False


def _tables(rows: Sequence[Row]) -> list[_Table]:
    """Split a file into its tables: a new one begins after comments, and after blank lines."""
    said, tables = _Said(), list[_Table]()
    comments = _comment_runs(rows)
    at, follows = 0, 0
    while at < len(rows):
        line, row = rows[at]
        if end := comments.get(at):
            said = _read_comments([",".join(cells).strip() for _, cells in rows[at:end]], said)
            at, follows = end, 0
            continue
        if line > follows:  # a gap, or the first line after comments
            tables.append(_headed(row, line, said))
        elif _is_total(tables[-1], row):
            tables[-1].totals = row
        else:
            tables[-1].rows.append((line, row))
        follows = line + 1 + sum(cell.count("\n") for cell in row)
        at += 1
    return tables


def _comment_runs(rows: Sequence[Row]) -> dict[int, int]:
    """Return where runs of comments begin and end; a run that states no dates is a table's rows, of `#fragments`."""
    runs: dict[int, int] = {}
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and rows[end][1][0].startswith("#"):
            end += 1
        while at and at < end and _is_data(rows[at][1]):
            at += 1
        if end > at and (at == 0 or any(_DATE_LINE.fullmatch(row[0].strip()) for _, row in rows[at:end])):
            runs[at] = end
        at = max(end, at + 1)
    return runs


def _is_data(row: list[str]) -> bool:
    return len(row) > 1 and _NUMBER.fullmatch(row[-1]) is not None


def _read_comments(lines: list[str], before: _Said) -> _Said:
    """Return what a run of comments says; what a later run of a report leaves out still holds."""
    ranged = next((match for line in lines if (match := _RANGE_LINE.fullmatch(line))), None)
    if ranged:  # property, exploration and tab, dates
        names = [_text(line) for line in lines if not _RULE.fullmatch(line) and not _RANGE_LINE.fullmatch(line)]
        title = " / ".join(filter(None, names[1:]))
        return _Said(title, names[0] if names else "", title, _day(ranged[1]), _day(ranged[2]), is_ranged=True)
    dates = [match[1] for line in lines if (match := _DATE_LINE.fullmatch(line))]
    if len(dates) < 2:  # noqa: PLR2004 - a start and an end
        raise UnreadableFileError("the comments above a table do not state its dates")
    rules = [at for at, line in enumerate(lines) if _RULE.fullmatch(line)]
    own_from = rules[-1] + 1 if len(rules) > 1 else 0
    head = [_text(line) for line in lines[:own_from] if not _RULE.fullmatch(line)]
    own = [_text(line) for line in lines[own_from:] if not _DATE_LINE.fullmatch(line)]
    title = head[0] if head else before.title
    owner = head[-1].partition(":")[2].strip() if len(head) > 1 else before.owner
    return _Said(title, owner, " / ".join(filter(None, [title, *own])), _day(dates[-2]), _day(dates[-1]))


def _text(line: str) -> str:
    return line.lstrip("#").strip()


def _day(digits: str) -> date:
    try:
        return datetime.strptime(digits, "%Y%m%d").date()  # noqa: DTZ007 - a day
    except ValueError:
        raise UnreadableFileError("the comments above a table state a date that is none") from None


def _headed(row: list[str], line: int, said: _Said) -> _Table:
    header = [cell.strip() for cell in row]
    if not all(header) or any(map(_NUMBER.fullmatch, header[1:])):
        raise UnreadableFileError(f"no header where a table begins, in line {line}")
    return _Table(said.report, said.owner, said.first, said.last, said.is_ranged, header)


def _is_total(table: _Table, row: list[str]) -> bool:
    """Say whether a row is the grand total: the first of its table, blank dimensions, and one cell too many."""
    return table.totals is None and not table.rows and len(row) == table.width + 1 and bool(row[-1]) and not row[0]


# --- figures -------------------------------------------------------------------------------------


def _figures(tables: Sequence[_Table]) -> Records:
    notes = _notes(tables)
    broken = [line for table in tables for line, row in table.rows if len(row) != table.width]
    if broken:
        raise UnreadableFileError(
            f"{len(broken)} rows do not line up with the header of their table, the first in line {broken[0]}"
        )
    return figure_records((figure for table in tables for figure in _figures_of(table)), notes)


def _notes(tables: Sequence[_Table]) -> list[str]:
    totals = sum(table.totals is not None for table in tables)
    notes = [f"lines of grand totals left out: {totals}"] if totals else []
    if not any(_METRICS.intersection(table.header) for table in tables):
        notes.append("no figure has a known English name, so durations, if there are any, are in seconds as delivered")
    return notes


def _figures_of(table: _Table) -> Iterable[Figure]:
    wide = _dimensions(table)
    calendar = _calendar(table, wide)
    others = [column for column in range(wide) if calendar is None or column != calendar[0]]
    numbers = {column: plain(table.column(column)) for column in range(wide, table.width)}
    for position, (line, row) in enumerate(table.rows):
        first, last = (calendar[1](row[calendar[0]].strip()),) * 2 if calendar else _dates(table)
        for column, read in numbers.items():
            name = table.header[column]
            number = in_minutes(read[position]) if _SECONDS.match(name) else read[position]
            if number:
                yield Figure(
                    line=line,
                    started=first.isoformat(),
                    ended=(last + timedelta(days=1)).isoformat(),
                    report=table.report,
                    dimension=" / ".join(table.header[column] for column in others),
                    level=" / ".join(row[column].strip() for column in others),
                    name=name,
                    value=row[column],
                    number=number,
                    more={"property": table.owner},
                )


def _dimensions(table: _Table) -> int:
    """Count the leading columns that are dimensions.

    They are blank in the totals; where there are none, they are the first and those with anything but numbers.
    """
    if table.totals is not None:
        return next((at for at, cell in enumerate(table.totals) if cell), table.width)
    return next((at for at in range(1, table.width) if not _is_dimension(table, at)), table.width)


def _is_dimension(table: _Table, at: int) -> bool:
    name = table.header[at]
    is_worded = not all(map(_NUMBER.fullmatch, filter(None, table.column(at))))
    return name in _NUMBERED or (is_worded and name not in _METRICS)


def _calendar(table: _Table, wide: int) -> tuple[int, Callable[[str], date]] | None:
    """Return the dimension that says on which day a row's figures arose, and how it is read."""
    for at in range(wide):
        cells = table.column(at)
        if cells and _counts_days(table, at):
            return at, partial(_nth, _dates(table)[0])
        if cells and all(_is_within(cell, *_dates(table)) for cell in cells):
            return at, _day
    return None


def _dates(table: _Table) -> tuple[date, date]:
    if table.first is None or table.last is None:
        raise UnreadableFileError("the comments above a table do not state its dates")
    return table.first, table.last


def _nth(first: date, index: str) -> date:
    return first + timedelta(days=int(index))


def _counts_days(table: _Table, at: int) -> bool:
    """Say whether an index runs over the days of the table's dates, whatever language its header is in."""
    cells = table.column(at)
    if table.header[at] == _NTH_DAY:
        return all(map(str.isdecimal, cells))
    first, last = _dates(table)
    days = (last - first).days + 1
    return all(map(_INDEX.fullmatch, cells)) and {int(cell) for cell in cells} == set(range(days))


def _is_within(cell: str, first: date, last: date) -> bool:
    if len(cell) != len("20260101") or not cell.isdecimal():
        return False
    try:
        return first <= _day(cell) <= last
    except UnreadableFileError:
        return False


# --- tables whose columns their author chose -----------------------------------------------------


def _has_visitors(table: _Table) -> bool:
    """Say whether a dimension tells visitors apart; such rows are no aggregates, and its ids need `keep`."""
    return any(
        table.header[at] in _VISITORS or any(map(_VISITOR.fullmatch, table.column(at)))
        for at in range(_dimensions(table))
    )


def _bare(tables: Sequence[_Table]) -> Records:
    if len(tables) > 1:
        raise UnreadableFileError("several tables, and no comments that state their dates: deliver the file unchanged")
    table = tables[0]
    return replace(from_rows(table.header, table.rows), notes=tuple(_notes(tables)))


# --- BigQuery events -----------------------------------------------------------------------------


def _event_records(file: DeliveredFile) -> Records:
    objects = list(enumerate(_parquet_objects(file), 1)) if kind_of(file) == "parquet" else read_objects(file)
    records = from_objects([_flat(found) for _, found in objects])
    return replace(records, lines=[at for at, _ in objects])


def _parquet_objects(file: DeliveredFile) -> list[dict[str, object]]:
    try:
        return list(pq.read_table(pa.BufferReader(file.content())).to_pylist())
    except (pa.ArrowException, OSError):
        raise UnreadableFileError("the file is no Parquet file") from None


def _flat(event: dict[str, object]) -> dict[str, object]:
    """Give every parameter a column of its own, and the event and its session an id: the export has neither."""
    found = {name: value for name, value in event.items() if name not in {"event_params", "user_properties"}}
    for name in ("event_params", "user_properties"):
        found |= {f"{name}.{key}": value for key, value in _parameters(event.get(name))}
    found["event_key"] = digest(*(_as_key(event.get(part)) for part in _EVENT_PARTS))
    session = found.get("event_params.ga_session_id")
    found["session_key"] = digest(_as_key(event.get("user_pseudo_id")), _as_key(session)) if session else ""
    return found


def _parameters(listed: object) -> Iterable[tuple[str, object]]:
    if isinstance(listed, str):  # a flattened table keeps the list as JSON text
        try:
            listed = json.loads(listed)
        except (ValueError, RecursionError):
            return
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and entry.get("key"):
            value = entry.get("value")
            given = value.values() if isinstance(value, dict) else [value]
            yield str(entry["key"]), next((one for one in given if one is not None), None)


def _as_key(value: object) -> str | None:
    return None if value is None else str(value)


def _events(records: Records) -> Mapping:
    columns = {
        "event_id": Origin(column="event_key"),
        "session_id": Origin(column="session_key"),
        "occurred_at": Origin(column="event_timestamp", formats=["unix_us"]),
        "name": Origin(column="event_name"),
    }
    return Mapping(tables={"events": Fields(columns=columns | company_id(records, "user_id"))})


ADAPTER = GoogleAnalytics()
