"""What is measured of delivered files: each against those of its feed that came before it, in the order of names.

How far a file reaches is measured in calendar months, of weekly reports too.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.config import FEEDS_FILE, Dataset, Project
from cxreport.schema import TABLES, TEXT, TableName
from cxreport.validate.history import MONTHS
from cxreport.validate.profiles import PLACE
from cxreport.validate.rows import Calendar, Flags, Judged
from cxreport.validate.suites import Positions

FILE = (
    *("columns_added", "survey_columns_added", "columns_gone", "columns_renamed", "columns_moved", "header_rows"),
    *("known_keys_share", "more_months", "early_days_share", "mojibake_share", "last_record_short"),
)
_BEFORE = 2  # a column is new, or gone, against so many files before: one odd file is not noted twice
_STRAY = 0.02  # of a file's rows on either side may lie outside the months that it holds
_FEW = 30  # rows whose days of the month say something
_SHORT = r"^record has [0-9]+ cells"  # as `typing_fault` says it
_IMPORT_ID = '{"ImportId"'  # so begin the cells of Qualtrics' third header row
_MANY_MONTHS = 4
_EARLY = 12  # the last day that is a month as well
# UTF-8 read as a Western encoding shows two or three characters for one; U+FFFD stands for what could not be read.
_MOJIBAKE = (
    r"[\x{c2}-\x{df}][\x{80}-\x{bf}]|[\x{c2}\x{c3}][\x{a0}-\x{bf}\x{152}\x{153}\x{160}\x{161}\x{178}\x{17d}\x{17e}\x{192}"
    r"\x{2c6}\x{2dc}\x{2013}-\x{203a}\x{20ac}\x{2122}]|\x{e2}\x{20ac}|\x{fffd}"
)

Counts = npt.NDArray[np.int64]


def described(project: Project, dataset: Dataset) -> dict[str, Any]:
    """Return what ingestion wrote about each feed; nothing where it wrote nothing."""
    path = project.staged(dataset.id) / FEEDS_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def profile_files(feeds: Mapping[str, Any], judged: Mapping[TableName, Judged], calendar: Calendar) -> pd.DataFrame:
    """Measure every delivered file; its month is the last one that it holds, and the newest file's the reported one.

    Files whose rows are all of later months are left out. `feeds` is what `described` returns.
    """
    columns = {column for about in feeds.values() for file in about["files"] for column in file["columns"]}
    digests = _digests(judged, calendar, sorted(columns))
    measured = [
        file.placed(calendar) for feed, about in feeds.items() for file in _files(feed, about["files"], digests)
    ]
    return pd.DataFrame(measured, columns=[*PLACE, *FILE]).astype(dict.fromkeys(FILE, "float64"))


@dataclass(frozen=True)
class _File:
    feed: str
    name: str
    newest: int | None
    measures: dict[str, float | None]

    def placed(self, calendar: Calendar) -> dict[str, Any]:
        month = calendar.reported if self.newest is None else self.newest
        return {"feed": self.feed, "thing": self.name, "month": month, **self.measures}


@dataclass(frozen=True)
class _Digest:
    """What a file is judged by, of each row of a table: the line, whether cells are lacking, and its texts.

    `beyond` ASCII and `damaged` are numbers of such texts. Of records with a date also `key`, a number below `n_keys`,
    `kept_in` (the month, or the week, of the record), `month` and `day`, all negative where they are missing or
    impossible; answers have those of their responses.
    `like_columns` are the keys that may be a header's.
    """

    line: Counts
    is_short: Flags
    beyond: Counts
    damaged: Counts
    key: Counts
    kept_in: Counts
    month: Counts
    day: Counts
    n_keys: int
    like_columns: Mapping[int, str]

    def named_like_columns(self) -> list[str]:
        """Return those of the keys that may be a header's."""
        present = self.keys()
        return [name for key, name in self.like_columns.items() if present[key]]

    def keys(self) -> Flags:
        """Return which of the table's keys there are."""
        present = np.zeros(self.n_keys, dtype=np.bool_)
        present[self.key[self.key >= 0]] = True
        return present

    def of(self, rows: Positions) -> "_Digest":
        """Return it of some rows."""
        names = ("line", "is_short", "beyond", "damaged", "key", "kept_in", "month", "day")
        chosen = {name: values[rows] for name in names if len(values := getattr(self, name))}
        return replace(self, **chosen)


Tables = Mapping[TableName, _Digest]


def _digests(
    judged: Mapping[TableName, Judged], calendar: Calendar, columns: Collection[str]
) -> dict[str, dict[TableName, _Digest]]:
    """Return what files are judged by, by source and table; `columns` are all that the files have."""
    found: dict[str, dict[TableName, _Digest]] = defaultdict(dict)
    for name, table in judged.items():
        digest = _digest(name, table, calendar, columns)
        codes, sources = pd.factorize(table.frame["source"])
        positions = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
        for source, rows in zip(sources, positions, strict=False):  # without rows there is one part, and no source
            found[str(source)][name] = digest.of(rows)
    return found


def _digest(name: TableName, table: Judged, calendar: Calendar, columns: Collection[str]) -> _Digest:
    frame, by = table.frame, TABLES[name].dated_by
    beyond, damaged = _texts(name, frame)
    is_short = pc.match_substring_regex(pa.array(frame["typing_fault"], pa.string()), _SHORT).fill_null(False)
    none = np.array([], dtype=np.int64)
    key, keys, kept_in, month, day, like_columns = none, pd.Index([]), none, none, none, {}
    if by and not TABLES[name].parent:
        is_dated = calendar.is_dated(frame[by]).to_numpy()
        key, keys = pd.factorize(frame[TABLES[name].key[0]])
        kept_in = np.where(is_dated, table.months, -1)
        month = np.where(is_dated, calendar.calendar_months(frame[by]).fillna(-1), -1).astype(np.int64)
        day = np.where(is_dated, calendar.days(frame[by]).fillna(-1), -1).astype(np.int64)
        like_columns = _like_columns(pa.array(keys, pa.string()), columns)
    return _Digest(
        line=frame["source_row"].to_numpy(),
        is_short=np.asarray(is_short),
        beyond=beyond,
        damaged=damaged,
        key=key,
        kept_in=kept_in,
        month=month,
        day=day,
        n_keys=len(keys),
        like_columns=like_columns,
    )


def _like_columns(keys: pa.Array, columns: Collection[str]) -> dict[int, str]:
    """Return the keys that are the name of a column, or begin like Qualtrics' third header, by their numbers."""
    alike = pc.or_(pc.is_in(keys, pa.array(columns, pa.string())), pc.starts_with(keys, _IMPORT_ID))
    return {at: keys[at].as_py() for at in np.flatnonzero(np.asarray(alike)).tolist()}


def _texts(name: TableName, frame: pd.DataFrame) -> tuple[Counts, Counts]:
    """Count, row by row, texts beyond ASCII and those that look like UTF-8 read as something else."""
    beyond, damaged = np.zeros(len(frame), dtype=np.int64), np.zeros(len(frame), dtype=np.int64)
    for column in frame.columns:
        if TABLES[name].columns.get(column, TEXT) == TEXT and column != "source":
            texts = pa.array(frame[column], pa.string())
            foreign = np.flatnonzero(np.asarray(pc.invert(pc.string_is_ascii(texts)).fill_null(False)))
            beyond[foreign] += 1
            damaged[foreign] += np.asarray(pc.match_substring_regex(texts.take(pa.array(foreign)), _MOJIBAKE))
    return beyond, damaged


def _files(feed: str, files: Sequence[Mapping[str, Any]], digests: Mapping[str, Tables]) -> Iterator[_File]:
    """Yield the files of a feed in the order of their names."""
    ordered = sorted(files, key=lambda file: str(file["name"]))
    held: list[Tables] = [digests.get(f"{feed}/{file['name']}", {}) for file in ordered]
    within = [at for at, found in enumerate(held) if found or not ordered[at]["rows"]]
    known: dict[TableName, Flags] = {}
    months_back: list[int] = []
    for at in within:
        file, tables = ordered[at], held[at]
        keys = _keys(tables)
        months, days, kept_in = (_dated(tables, name) for name in ("month", "day", "kept_in"))
        oldest, newest = _span(months)
        layout = _layout(file["columns"], [ordered[other]["columns"] for other in within if other < at][-_BEFORE:])
        yield _File(
            feed=feed,
            name=str(file["name"]),
            newest=_span(kept_in)[1] if len(months) and at != within[-1] else None,
            measures={
                **layout,
                "survey_columns_added": layout.get("columns_added") if "responses" in tables else None,
                "header_rows": _header_rows(tables, set(file["columns"])),
                "known_keys_share": _known_share(keys, known),
                "more_months": float(newest - oldest - max(months_back[-MONTHS:]))
                if len(months_back) >= _BEFORE
                else None,
                "early_days_share": _early_days(months, days),
                "mojibake_share": _mojibake_share(tables),
                "last_record_short": _last_short(tables),
            },
        )
        months_back.append(newest - oldest)
        for name, found in keys.items():
            known[name] = found | known.get(name, found)


def _dated(tables: Tables, name: str) -> Counts:
    """Return a column of all dated records."""
    none = np.array([], dtype=np.int64)
    values = np.concatenate([none, *(getattr(digest, name) for digest in tables.values())])
    return values[values >= 0]


def _span(months: Counts) -> tuple[int, int]:
    """Return the first and the last month that dated rows hold, stray ones aside."""
    if not len(months):
        return 0, 0
    first, last = np.quantile(months, [_STRAY, 1 - _STRAY], method="nearest")
    return int(first), int(last)


def _layout(columns: Sequence[str], before: Sequence[Sequence[str]]) -> dict[str, float | None]:
    """Compare a file's columns with those of the files before; the last of them has the order."""
    if not before:
        return {}
    last = before[-1]
    added = set(columns).difference(*before)
    gone = set(last).intersection(*before) - set(columns)
    renamed = 0
    if len(columns) == len(last):
        renamed = sum(old in gone and new in added for old, new in zip(last, columns, strict=True))
    kept = [column for column in last if column in columns]
    moved = kept != [column for column in columns if column in last]
    return {
        "columns_added": float(len(added) - renamed),
        "columns_gone": float(len(gone) - renamed),
        "columns_renamed": float(renamed),
        "columns_moved": float(moved),
    }


def _keys(tables: Tables) -> dict[TableName, Flags]:
    """Return which keys the records have, of tables that have dates."""
    return {name: digest.keys() for name, digest in tables.items() if len(digest.month)}


def _header_rows(tables: Tables, columns: set[str]) -> float:
    """Count the records whose key is the name of a column: a header that stands among the records."""
    counts = [
        sum(name in columns or name.startswith(_IMPORT_ID) for name in digest.named_like_columns())
        for digest in tables.values()
    ]
    return float(max(counts, default=0))


def _known_share(keys: Mapping[TableName, Flags], known: Mapping[TableName, Flags]) -> float | None:
    shares = [float(known[name][found].mean()) for name, found in keys.items() if found.any() and name in known]
    return min(shares, default=None)


def _early_days(months: Counts, days: Counts) -> float | None:
    """Return the share (0-1) of days that could be months, of files whose rows are spread over many months."""
    if len(months) < _FEW or len(np.unique(months)) < _MANY_MONTHS:
        return None
    return float((days <= _EARLY).mean())


def _mojibake_share(tables: Tables) -> float | None:
    """Return the share (0-1) of texts beyond ASCII that look damaged."""
    beyond = sum(int(digest.beyond.sum()) for digest in tables.values())
    return sum(int(digest.damaged.sum()) for digest in tables.values()) / beyond if beyond else None


def _last_short(tables: Tables) -> float | None:
    """Return 1 where the last record alone has another number of cells than the header, as where a file was cut off."""
    if not tables:
        return None
    last = max(int(digest.line.max()) for digest in tables.values())
    short = {int(line) for digest in tables.values() for line in digest.line[digest.is_short]}
    return float(short == {last})
