"""What is measured of delivered files: each against those of its feed that came before it, in the order of names."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.config import Dataset, Project
from cxreport.schema import TABLES, TEXT, TableName
from cxreport.sources.staging import FEEDS_FILE
from cxreport.validate.history import MONTHS
from cxreport.validate.profiles import PLACE
from cxreport.validate.rows import Calendar, Judged

FILE = (
    *("columns_added", "survey_columns_added", "columns_gone", "columns_renamed", "columns_moved", "header_rows"),
    *("known_keys_share", "more_months", "early_days_share", "mojibake_share", "last_record_short"),
)
_BEFORE = 2  # a column is new, or gone, against so many files before: one odd file is not noted twice
_STRAY = 0.02  # of a file's rows on either side may lie outside the months that it holds
_FEW = 30  # rows whose days of the month say something
_SHORT = r"^record has [0-9]+ cells"  # as `typing_fault` says it
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
    digests = _digests(judged, calendar)
    measured = [
        file.placed(calendar) for feed, about in feeds.items() for file in _files(feed, about["files"], digests)
    ]
    return pd.DataFrame(measured, columns=[*PLACE, *FILE]).astype(dict.fromkeys(FILE, "float64"))


@dataclass(frozen=True)
class _File:
    feed: str
    name: str
    months: pd.Series
    is_newest: bool
    measures: dict[str, float | None]

    def placed(self, calendar: Calendar) -> dict[str, Any]:
        month = calendar.reported if self.is_newest or self.months.empty else _span(self.months)[1]
        return {"feed": self.feed, "thing": self.name, "month": month, **self.measures}


Tables = Mapping[TableName, pd.DataFrame]


def _digests(judged: Mapping[TableName, Judged], calendar: Calendar) -> dict[str, dict[TableName, pd.DataFrame]]:
    """Return what files are judged by, by source and table: `_digest` of each row."""
    found: dict[str, dict[TableName, pd.DataFrame]] = defaultdict(dict)
    for name, table in judged.items():
        digest = _digest(name, table, calendar)
        for source, positions in table.frame.groupby("source", sort=False).indices.items():
            found[str(source)][name] = digest.iloc[positions]
    return found


def _digest(name: TableName, table: Judged, calendar: Calendar) -> pd.DataFrame:
    """Return of each row: `line`; `is_short`, cells lacking; `beyond` ASCII and `damaged`, numbers of such texts.

    Of records with a date also `key`, `month` and `day`; answers have those of their responses.
    """
    frame, by = table.frame, TABLES[name].dated_by
    beyond, damaged = _texts(name, frame)
    is_short = pc.match_substring_regex(pa.array(frame["typing_fault"], pa.string()), _SHORT).fill_null(False)
    digest = pd.DataFrame(
        {"line": frame["source_row"], "is_short": np.asarray(is_short), "beyond": beyond, "damaged": damaged}
    )
    if not by or TABLES[name].parent:
        return digest
    is_dated = calendar.is_dated(frame[by])
    return digest.assign(
        key=frame[TABLES[name].key[0]].astype("object"),
        month=pd.Series(table.months, frame.index).where(is_dated),
        day=calendar.days(frame[by]).where(is_dated),
    )


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


def _files(
    feed: str, files: Sequence[Mapping[str, Any]], digests: Mapping[str, Mapping[TableName, pd.DataFrame]]
) -> Iterator[_File]:
    """Yield the files of a feed in the order of their names."""
    ordered = sorted(files, key=lambda file: str(file["name"]))
    held: list[Tables] = [digests.get(f"{feed}/{file['name']}", {}) for file in ordered]
    within = [at for at, found in enumerate(held) if found or not ordered[at]["rows"]]
    known: dict[TableName, set[str]] = {}
    months_back: list[int] = []
    for at in within:
        file, tables = ordered[at], held[at]
        keys = _keys(tables)
        dates = _dates(tables)
        months = dates["month"]
        oldest, newest = _span(months)
        layout = _layout(file["columns"], [ordered[other]["columns"] for other in within if other < at][-_BEFORE:])
        yield _File(
            feed=feed,
            name=str(file["name"]),
            months=months,
            is_newest=at == within[-1],
            measures={
                **layout,
                "survey_columns_added": layout.get("columns_added") if "responses" in tables else None,
                "header_rows": _header_rows(keys, set(file["columns"])),
                "known_keys_share": _known_share(keys, known),
                "more_months": float(newest - oldest - max(months_back[-MONTHS:]))
                if len(months_back) >= _BEFORE
                else None,
                "early_days_share": _early_days(dates),
                "mojibake_share": _mojibake_share(tables),
                "last_record_short": _last_short(tables),
            },
        )
        months_back.append(newest - oldest)
        for name, found in keys.items():
            known.setdefault(name, set()).update(found)


def _dates(tables: Tables) -> pd.DataFrame:
    """Return month and day of the month of all dated records."""
    dated = [digest[["month", "day"]].dropna().astype("int64") for digest in tables.values() if "key" in digest]
    return pd.concat(dated) if dated else pd.DataFrame({"month": [], "day": []}, dtype="int64")


def _span(months: pd.Series) -> tuple[int, int]:
    """Return the first and the last month that dated rows hold, stray ones aside."""
    if months.empty:
        return 0, 0
    first, last = months.quantile([_STRAY, 1 - _STRAY], interpolation="nearest")
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


def _keys(tables: Tables) -> dict[TableName, set[str]]:
    """Return the keys of the records."""
    return {name: set(digest["key"].dropna()) for name, digest in tables.items() if "key" in digest}


def _header_rows(keys: Mapping[TableName, set[str]], columns: set[str]) -> float:
    """Count the records whose key is the name of a column: a header that stands among the records."""
    named = [{key for key in found if key in columns or key.startswith('{"ImportId"')} for found in keys.values()]
    return float(max(map(len, named), default=0))


def _known_share(keys: Mapping[TableName, set[str]], known: Mapping[TableName, set[str]]) -> float | None:
    shares = [len(found & known[name]) / len(found) for name, found in keys.items() if found and name in known]
    return min(shares, default=None)


def _early_days(dates: pd.DataFrame) -> float | None:
    """Return the share (0-1) of days that could be months, of files whose rows are spread over many months."""
    if len(dates) < _FEW or dates["month"].nunique() < _MANY_MONTHS:
        return None
    return float((dates["day"] <= _EARLY).mean())


def _mojibake_share(tables: Tables) -> float | None:
    """Return the share (0-1) of texts beyond ASCII that look damaged."""
    beyond = sum(int(digest["beyond"].sum()) for digest in tables.values())
    return sum(int(digest["damaged"].sum()) for digest in tables.values()) / beyond if beyond else None


def _last_short(tables: Tables) -> float | None:
    """Return 1 where the last record alone has another number of cells than the header, as where a file was cut off."""
    if not tables:
        return None
    last = max(int(digest["line"].max()) for digest in tables.values())
    short = {int(line) for digest in tables.values() for line in digest.loc[digest["is_short"], "line"]}
    return float(short == {last})
