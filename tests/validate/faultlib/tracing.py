"""Whether all delivered rows are accounted for, and every rejected one is found again in its file."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cxreport.periods import Period
from cxreport.validate import read_verdict
from faultlib.company import RAW, Trial
from faultlib.export import FILES, Export

_TABLES = {"survey": "responses", "reviews": "mentions", "pulse": "employees"}  # where it is not called like the feed


def unaccounted(trial: Trial) -> Iterator[str]:
    """Say where rows were lost between the files, the staged tables and the verdicts of all months."""
    folder = trial.project.staged("sample")
    staged = {path.stem: pd.read_parquet(path, columns=["source"])["source"] for path in folder.glob("*.parquet")}
    described = json.loads((folder / "feeds.json").read_text(encoding="utf-8"))
    for feed, about in described.items():
        delivered = {path.name: _records(feed, path) for path in _files(trial, feed)}
        if delivered != {file["name"]: file["rows"] for file in about["files"]}:
            yield f"{feed}: the files hold other numbers of records than were read"
        sources = staged[_TABLES.get(feed, feed)]
        found = Counter(source for source in sources if source.startswith(f"{feed}/"))
        if found != Counter({f"{feed}/{name}": n for name, n in delivered.items() if n}):
            yield f"{feed}: the files hold other numbers of records than were staged"
    verdicts = [read_verdict(trial.project, "sample", Period.parse(path.name)) for path in _months(trial)]
    for table, rows in staged.items():
        counts = [verdict.tables[table] for verdict in verdicts if table in verdict.tables]
        if any(count.rows_in != count.accepted + count.rejected for count in counts):
            yield f"{table}: rows in are not rows accepted and rejected"
        if sum(count.rows_in for count in counts) + trial.verdict.left_out[table] != len(rows):
            yield f"{table}: staged rows are in no verdict, or in two"


def untraced(trial: Trial) -> Iterator[str]:
    """Name the rejected rows that do not stand in the line which they are said to stand in."""
    lines: dict[str, list[str]] = {}
    for path in trial.project.rejected("sample").glob("*/*.parquet"):
        rejected = pd.read_parquet(path, columns=["row_key", "source", "source_row"])
        for key, source, row in rejected.itertuples(index=False):
            text = lines.get(source) or lines.setdefault(source, _lines(trial, source))
            if not 1 <= row <= len(text) or key.partition("|")[0] not in text[row - 1]:
                yield f"{path.stem}: {key} does not stand in line {row} of {source}"


def _months(trial: Trial) -> list[Path]:
    """Return the folders of all months that were judged."""
    return sorted(trial.project.accepted("sample").iterdir())


def _files(trial: Trial, feed: str) -> list[Path]:
    return sorted((trial.project.root / RAW).glob(FILES[feed].format("*")))


def _records(feed: str, path: Path) -> int:
    return sum(any(row) for row in Export.of(feed, path).rows)


def _lines(trial: Trial, source: str) -> list[str]:
    feed, _, name = source.partition("/")
    folder = Path(FILES[feed]).parent
    return (trial.project.root / RAW / folder / name).read_bytes().decode("utf-8-sig").split("\n")
