"""Which days and periods the staged rows of a dataset cover."""

import json
from collections.abc import Iterator
from datetime import date, timedelta

import pandas as pd
import pyarrow.parquet as pq

from cxreport.config import FEEDS_FILE, Dataset, Project
from cxreport.errors import GateError, UsageError, listed
from cxreport.periods import Period, PeriodKind
from cxreport.schema import TABLES, TableName


def delivered_files(project: Project, dataset: str) -> dict[str, str]:
    """Return the SHA-256 of every delivered file, as ingest recorded it, by `<feed>/<file>`; none where it did not."""
    path = project.staged(dataset) / FEEDS_FILE
    feeds = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {f"{feed}/{file['name']}": file["sha256"] for feed, about in feeds.items() for file in about["files"]}


def covered_periods(project: Project, dataset: Dataset, kind: PeriodKind) -> list[Period]:
    """Return the periods of a kind in which any staged response was given, in the dataset's time zone, sorted.

    Raises `UsageError` when nothing is staged.
    """
    return sorted({Period.containing(day, kind) for day in _days(project, dataset)})


def last_complete_period(project: Project, dataset: Dataset, kind: PeriodKind, as_of: date | None = None) -> Period:
    """Return the latest period of a kind that was over when the data were delivered, whose end responses must cover.

    The data are known to reach to the latest row of any dated table, and to the day before `as_of` (by default
    `Dataset.as_of`) where that is known; rows dated after `as_of` do not count, because they cannot be true.
    Raises `UsageError` when nothing is staged, `GateError` when no covered period is complete or when the last month
    (or the week) of the latest complete one has no responses: the period before must not appear in its place.
    """
    taken = as_of or dataset.as_of
    days = {table: [day for day in found if not taken or day <= taken] for table, found in _dated(project, dataset)}
    reached = max(
        [*(max(found) for found in days.values() if found), *([taken - timedelta(days=1)] if taken else [])],
        default=date.min,
    )
    if not any(Period.containing(day, kind).end <= reached + timedelta(days=1) for day in days["responses"]):
        raise GateError(
            found=f"no complete {kind} of responses in dataset `{dataset.id}`",
            expected=f"responses up to the last day of a {kind}, or `as_of` after its end",
            do=f"wait for the rest of the {kind}'s data, state `as_of` in the dataset, or name the period to report",
        )
    period = Period.containing(reached + timedelta(days=1), kind).previous
    newest = period.parts[-1]
    covered = {Period.containing(day, newest.kind) for day in days["responses"]}
    if newest not in covered:
        feeds = listed(_response_feeds(project, dataset))
        others = [table for table, found in days.items() if any(newest.start <= day < newest.end for day in found)]
        raise GateError(
            found=f"the feed {feeds} has no responses in {newest}"
            + (f" while there are {' and '.join(others)} of that {newest.kind}" if others else ""),
            expected=f"responses up to {newest}, the last {newest.kind} that is over; they end with {max(covered)}",
            do=f"have the feed's owner deliver that {newest.kind}, or name the period to report with --period",
        )
    return period


def _days(project: Project, dataset: Dataset, table: TableName = "responses") -> list[date]:
    """Return the distinct days on which a table has rows, in the dataset's time zone, sorted."""
    by = TABLES[table].dated_by
    dated = _staged(project, dataset, table, str(by)).dropna()
    return sorted(set(dated.dt.tz_convert(dataset.time_zone).dt.date.unique()))


def _dated(project: Project, dataset: Dataset) -> Iterator[tuple[TableName, list[date]]]:
    """Yield the days of the responses and of every other staged table with dates of its own."""
    for name, table in TABLES.items():
        path = project.staged(dataset.id) / f"{name}.parquet"
        if name == "responses" or (table.dated_by and not table.parent and path.is_file()):
            yield name, _days(project, dataset, name)


def _response_feeds(project: Project, dataset: Dataset) -> list[str]:
    """Return the feeds that delivered responses: `source` is feed/file."""
    return sorted({source.partition("/")[0] for source in _staged(project, dataset, "responses", "source").unique()})


def _staged(project: Project, dataset: Dataset, table: TableName, column: str) -> pd.Series:
    path = project.staged(dataset.id) / f"{table}.parquet"
    if not path.is_file():
        raise UsageError(
            found=f"no staged {table} of dataset `{dataset.id}`",
            expected=f"`{table}.parquet` in its staged folder",
            do="run `cxreport ingest` first",
        )
    values: pd.Series = pq.read_table(path, columns=[column])[column].to_pandas()
    return values
