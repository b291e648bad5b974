"""Ways to spoil delivered files; each function returns what does it to a folder."""

import csv
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

from faultlib.export import EARLIER, MONTH, Export, Raw, Record, Spoil, put

Test = Callable[[Record], bool]


def each(feed: str, change: Callable[[Record], None], share: float = 1.0, only: Test | None = None) -> Spoil:
    """Change a random share of the records of the reported month, or of a list."""

    def spoil(raw: Raw) -> None:
        export = raw.export(feed)
        for record in raw.chosen(filter(only, export.records), share):
            change(record)
        export.write()

    return spoil


def cells(
    feed: str, column: str, change: str | Callable[[str], str], share: float = 1.0, only: Test | None = None
) -> Spoil:
    """Change a random share of the filled cells of a column."""

    def put_in(record: Record) -> None:
        record[column] = change(record[column]) if callable(change) else change

    return each(feed, put_in, share, lambda record: record[column] != "" and (only is None or only(record)))


def together(*spoils: Spoil) -> Spoil:
    """Do one after another."""

    def spoil(raw: Raw) -> None:
        for one in spoils:
            one(raw)

    return spoil


def where(column: str, *values: str) -> Test:
    """Return whether a record's cell is one of the values."""
    return lambda record: record[column] in values


def day_of(column: str, first: int, last: int) -> Test:
    """Return whether a record's date lies between two days of its month, both included."""
    return lambda record: first <= int(record[column][8:10]) <= last


# --- whole files -----------------------------------------------------------------------------------


def gone(feed: str, month: str = "") -> Spoil:
    """Take away a feed's file of a month, or all its files."""

    def spoil(raw: Raw) -> None:
        for path in [raw.path(feed, month)] if month else raw.paths(feed):
            path.unlink()

    return spoil


def content(feed: str, change: Callable[[str], str | bytes], month: str = MONTH) -> Spoil:
    """Change the text of a file as a whole."""

    def spoil(raw: Raw) -> None:
        path = raw.path(feed, month)
        changed = change(path.read_bytes().decode())
        put(path, changed if isinstance(changed, bytes) else changed.encode())

    return spoil


def table(feed: str, change: Callable[[Export], None], month: str = MONTH) -> Spoil:
    """Change a file's rows as a whole."""

    def spoil(raw: Raw) -> None:
        export = raw.export(feed, month)
        change(export)
        export.write()

    return spoil


def written(feed: str, *, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, month: str = MONTH) -> Spoil:
    """Write a file in another form."""

    def spoil(raw: Raw) -> None:
        export = raw.export(feed, month)
        export.put(export.text(delimiter, quoting).encode())

    return spoil


def cut_mid_row(share: float) -> Callable[[str], str]:
    """Cut a text off within the record that stands at this share of it."""

    def cut(text: str) -> str:
        start = text.rfind("\n", 0, int(len(text) * share)) + 1
        return text[: start + (text.index("\n", start) - start) // 2]

    return cut


def kept(feed: str, share: float, only: Test | None = None, month: str = MONTH) -> Spoil:
    """Keep a random share of the records, or of those that `only` chooses beside all others."""

    def spoil(raw: Raw) -> None:
        export = raw.export(feed, month)
        pool = list(filter(only, export.records))
        stay = {id(record.cells) for record in raw.chosen(pool, share)} if share else set()
        lost = {id(record.cells) for record in pool} - stay
        export.rows = [row for row in export.rows if id(row) not in lost]
        export.write()

    return spoil


def first_rows(share: float) -> Callable[[Export], None]:
    """Keep the first rows."""

    def keep(export: Export) -> None:
        export.rows = export.rows[: round(len(export.rows) * share)]

    return keep


def more(feed: str, times: float, new: Callable[[Record, int], None] | None = None, share: float = 1.0) -> Spoil:
    """Append copies of rows, `times` as many as the chosen share has; `new` changes the n-th copy of a record."""

    def spoil(raw: Raw) -> None:
        export = raw.export(feed)
        pool = [record.cells for record in raw.chosen(export.records, share)]
        for number in range(round(len(pool) * times)):
            copy = Record(export.columns, list(pool[number % len(pool)]))
            if new:
                new(copy, number)
            export.rows.append(copy.cells)
        export.write()

    return spoil


def copied(feed: str, name: str, *, source: str = EARLIER, end: str = "") -> Spoil:
    """Deliver a month's file under another name as well, or in another's place, perhaps with other line ends."""

    def spoil(raw: Raw) -> None:
        text = raw.path(feed, source).read_bytes()
        put(raw.path(feed, name), text.replace(b"\r\n", end.encode()) if end else text)

    return spoil


def glued(feed: str, *, reverse: bool) -> Spoil:
    """Append the month before with its header, perhaps with its columns in reverse order and one less."""

    def spoil(raw: Raw) -> None:
        export, earlier = raw.export(feed), raw.export(feed, EARLIER)
        added = earlier.head + earlier.rows
        export.rows += [row[:0:-1] for row in added] if reverse else added
        export.write()

    return spoil


def renamed(feed: str, names: dict[str, str]) -> Spoil:
    """Rename columns, in every header row that holds the name."""

    def rename(export: Export) -> None:
        for old, new in names.items():
            export.head = [[re.sub(rf"\b{re.escape(old)}\b", new, cell) for cell in row] for row in export.head]

    return table(feed, rename)


def reordered(feed: str, order: Callable[[list[int]], list[int]]) -> Spoil:
    """Put columns, with their headers, into another order."""

    def move(export: Export) -> None:
        places = order(list(range(len(export.columns))))
        export.head = [[row[at] for at in places] for row in export.head]
        export.rows = [[row[at] for at in places] for row in export.rows]

    return table(feed, move)


def added(feed: str, names: list[str], value: Callable[[int], str]) -> Spoil:
    """Append columns, whose n-th row is filled by `value`; the survey tool gives each an ImportId as well."""

    def add(export: Export) -> None:
        forms = ["{}", "{}", '{{"ImportId":"{}"}}'][: len(export.head)]
        export.head = [[*row, *map(form.format, names)] for form, row in zip(forms, export.head, strict=True)]
        export.rows = [[*row, *[value(at)] * len(names)] for at, row in enumerate(export.rows)]

    return table(feed, add)


def dropped(feed: str, *names: str) -> Spoil:
    """Take columns away."""

    def drop(export: Export) -> None:
        gone = {export.columns.index(name) for name in names}
        export.head, export.rows = (
            [[cell for at, cell in enumerate(row) if at not in gone] for row in part]
            for part in (export.head, export.rows)
        )

    return table(feed, drop)


def headers_swapped(feed: str, one: str, other: str) -> Spoil:
    """Let two headers stand over each other's data."""

    def swap(export: Export) -> None:
        first, second = export.columns.index(one), export.columns.index(other)
        for row in export.head:
            row[first], row[second] = row[second], row[first]

    return table(feed, swap)


# --- cells -----------------------------------------------------------------------------------------


def mojibake(text: str) -> str:
    """Return text that was read in the wrong encoding."""
    return text.encode().decode("cp1252", errors="replace")


def flipped(low: int, high: int) -> Callable[[str], str]:
    """Turn a scale round."""
    return lambda score: str(low + high - int(score))


def plus(step: int, most: int = 10**9) -> Callable[[str], str]:
    """Add to a score, up to a limit."""
    return lambda score: str(min(int(score) + step, most))


def times(factor: float, form: str = "{:.2f}") -> Callable[[str], str]:
    """Multiply a number."""
    return lambda number: form.format(float(number) * factor)


def later(hours: float) -> Callable[[str], str]:
    """Move a time."""
    return lambda at: str(datetime.fromisoformat(at) + timedelta(hours=hours))


def day_for_month(at: str) -> str:
    """Swap day and month of an ISO date."""
    return f"{at[:5]}{at[8:10]}-{at[5:7]}{at[10:]}"


def serial(at: str) -> str:
    """Return a date as the number that a spreadsheet stores."""
    return str((date.fromisoformat(at) - date(1899, 12, 30)).days)
