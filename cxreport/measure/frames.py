"""Open accepted rows as wide frames: every fact beside the columns it is broken down by."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import narwhals as nw

from cxreport.config import Dataset, Project, Report, load_yaml
from cxreport.engine import Frame, scan
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.periods import Period, PeriodKind
from cxreport.schema import INSTANT, TABLES, TableName
from cxreport.sources.registry import find_adapter
from cxreport.sources.staging import MAPPINGS

# Where a row came from matters to the validator only.
_TRACE = ("source", "source_row", "typing_fault")
FACTS: tuple[TableName, ...] = ("answers", "invitations", "tickets")


def accepted_months(project: Project, dataset: str) -> list[Period]:
    """Return the months that have accepted rows, in order."""
    folder = project.accepted(dataset)
    names = sorted(path.name for path in folder.iterdir() if any(path.glob("*.parquet"))) if folder.is_dir() else []
    return [Period.parse(name) for name in names]


def latest_period(project: Project, report: Report) -> Period:
    """Return the newest period of the report's kind that has accepted rows; raises `UsageError` when none has."""
    months = accepted_months(project, report.dataset)
    if not months:
        raise UsageError(
            found=f"no accepted rows of the dataset `{report.dataset}`",
            expected="accepted rows of at least one month",
            do="run `cxreport validate` first",
        )
    return Period.containing(months[-1].start, report.period_kind)


def open_facts(
    project: Project, dataset: Dataset, period: Period, connection: duckdb.DuckDBPyConnection
) -> dict[TableName, Frame]:
    """Open answers, invitations and tickets of all months up to the reported period, wide.

    An answer carries its response's columns (touchpoint, stage, channel, language, weight and the segments); every
    fact carries the customer columns named by `Dataset.segments_from_customers`, as the last month of the reported
    period knows them. The column `period` holds the report's own periods. Tables without rows are left out.

    Raises `UsageError` when the reported period has no accepted rows, `DefinitionError` for customer columns that
    are not there.
    """
    months = [month for month in accepted_months(project, dataset.id) if month.end <= period.end]
    if not months or months[-1].end <= period.start:
        raise UsageError(
            found=f"no accepted rows of {period.id} in the dataset `{dataset.id}`",
            expected="accepted rows of the reported period",
            do=f"run `cxreport validate` for {period.id}",
        )
    tables = {
        name: scan(paths, connection)
        for name in TABLES
        if (paths := [path for month in months if (path := _file(project, dataset, month, name)).is_file()])
    }
    facts: dict[TableName, Frame] = {name: tables[name] for name in FACTS if name in tables}
    if "answers" in facts and "responses" in tables:
        facts["answers"] = _with_responses(facts["answers"], tables["responses"])
    if wanted := dataset.segments_from_customers:
        file = _file(project, dataset, months[-1], "customers")
        customers = scan([file] if file.is_file() else [], connection)
        _check(wanted, customers.collect_schema().names())
        facts = {name: _with_customers(frame, customers, wanted) for name, frame in facts.items()}
    return {name: _kept(frame, period.kind, name, connection) for name, frame in facts.items()}


def asked_metrics(project: Project, dataset: Dataset) -> set[str]:
    """Return the metrics that the mappings of a dataset's feeds ask for, in whichever months."""
    mappings = [
        load_yaml(project.datasets / MAPPINGS / feed.mapping, find_adapter(feed.adapter).mapping_model, project)
        for feed in dataset.feeds
        if feed.mapping
    ]
    return {battery.metric for mapping in mappings for battery in mapping.batteries}


def _file(project: Project, dataset: Dataset, month: Period, table: str) -> Path:
    return project.accepted(dataset.id, month) / f"{table}.parquet"


def _with_responses(answers: Frame, responses: Frame) -> Frame:
    own = set(answers.collect_schema().names()) - {"response_id", "period"}
    kept = [name for name in responses.collect_schema().names() if name not in own | {"comment", "invited_at"}]
    return answers.join(responses.select(kept), on=["response_id", "period"], how="left")


def _with_customers(facts: Frame, customers: Frame, wanted: list[str]) -> Frame:
    names = facts.collect_schema().names()
    if "customer_id" not in names:
        return facts
    return facts.drop([name for name in wanted if name in names]).join(
        customers.select("customer_id", *wanted), on="customer_id", how="left"
    )


def _kept(frame: Frame, kind: PeriodKind, name: TableName, connection: duckdb.DuckDBPyConnection) -> Frame:
    """Join once, and keep what reductions may need for the many of them that follow."""
    stored = TABLES[name].columns
    unused = [column for column, held in stored.items() if held == INSTANT or column in _TRACE]
    frame.drop(unused, strict=False).with_columns(_report_period(kind)).to_native().create(name)
    return nw.from_native(connection.table(name))


def _report_period(kind: PeriodKind) -> nw.Expr:
    """Turn the month of a row into the report's period."""
    month = nw.col("period")
    year = month.str.slice(0, 4)
    if kind == "month":
        return month
    if kind == "year":
        return year.alias("period")
    if kind == "quarter":
        quarter = (month.str.slice(5, 2).cast(nw.Int64) + 2) // 3
        return nw.concat_str([year, nw.lit("-Q"), quarter.cast(nw.String)]).alias("period")
    raise UsageError(
        found="a weekly report",
        expected="a report by month, quarter or year, because accepted rows are kept by month",
        do="change `period_kind` in the report definition",
    )


def _check(wanted: list[str], known: Iterable[str]) -> None:
    names = list(known)
    if missing := [name for name in wanted if name not in names]:
        raise DefinitionError(
            found=f"`segments_from_customers` names {listed(missing)}",
            expected=f"columns of `customers`: {listed(names)}",
            do=f"correct the dataset definition{nearest(missing[0], names)}, or deliver the column",
        )
