"""Delivered files as rows of cells, so that a fault can be put into them."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

MONTH, EARLIER, LONG_AGO = "2026-08", "2026-07", "2026-05"  # the month that is reported, and two before it

FILES = {  # feed to its file of a month, or to its one list
    "survey": "qualtrics/survey_{}.csv",
    "invitations": "invitations/invitations_{}.csv",
    "tickets": "zendesk/tickets_{}.csv",
    "customers": "salesforce/accounts.csv",
    "orders": "orders/orders_{}.csv",
    "subscriptions": "billing/subscriptions.csv",
    "events": "web/events_{}.csv",
    "reviews": "reviews/reviews_{}.csv",
    "pulse": "people/pulse_{}.csv",
    "actions": "actions/actions.csv",
}
_HEADS = {"survey": 3}  # header rows
_BOM = "\ufeff"


class Record:
    """One data row, its cells by column name."""

    def __init__(self, columns: list[str], cells: list[str]) -> None:
        self.columns, self.cells = columns, cells

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns.index(column)]

    def __setitem__(self, column: str, value: str) -> None:
        self.cells[self.columns.index(column)] = value


@dataclass
class Export:
    """One delivered file; written unchanged it is the same bytes."""

    path: Path
    mark: str  # byte order mark
    end: str  # of lines
    head: list[list[str]]
    rows: list[list[str]]

    @classmethod
    def of(cls, feed: str, path: Path) -> "Export":
        text, heads = path.read_bytes().decode(), _HEADS.get(feed, 1)
        rows = list(csv.reader(io.StringIO(text.removeprefix(_BOM), newline=""), strict=True))
        mark, end = _BOM * text.startswith(_BOM), "\r\n" if "\r\n" in text else "\n"
        return cls(path, mark, end, rows[:heads], rows[heads:])

    @property
    def columns(self) -> list[str]:
        return self.head[0]

    @property
    def records(self) -> list[Record]:
        return [Record(self.columns, row) for row in self.rows]

    def text(self, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator=self.end, quoting=quoting).writerows(self.head + self.rows)
        return self.mark + out.getvalue()

    def write(self) -> None:
        self.put(self.text().encode())

    def put(self, content: bytes) -> None:
        put(self.path, content)


def put(path: Path, content: bytes) -> None:
    """Write a file anew: the old one may be a link to the clean company's."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


@dataclass(frozen=True)
class Raw:
    """A folder of delivered files, and the chance by which a fault chooses its rows."""

    folder: Path
    chance: Random

    def path(self, feed: str, month: str = MONTH) -> Path:
        return self.folder / FILES[feed].format(month)

    def paths(self, feed: str) -> list[Path]:
        return sorted(self.folder.glob(FILES[feed].format("*")))

    def export(self, feed: str, month: str = MONTH) -> Export:
        return Export.of(feed, self.path(feed, month))

    def chosen(self, records: Iterable[Record], share: float) -> list[Record]:
        """Return a random share of records, at least one, in their order."""
        pool = list(records)
        picked = set(self.chance.sample(range(len(pool)), max(1, round(share * len(pool)))))
        return [record for at, record in enumerate(pool) if at in picked]


Spoil = Callable[[Raw], None]
