"""Open accepted rows as wide frames: every fact beside the columns it is broken down by."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import narwhals as nw

from cxreport.config import MAPPINGS, Dataset, FactName, Project, Report, load_yaml
from cxreport.engine import Engine, Frame, collect, in_memory
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure import facts
from cxreport.measure.reduce import row_count
from cxreport.periods import Period, PeriodKind, kept_by
from cxreport.schema import INSTANT, TABLES, TableName
from cxreport.sources.mapping import Battery
from cxreport.sources.registry import find_adapter

_IN_MEMORY = 1_000_000  # facts of so many rows are held by pandas: each KPI would have the engine read them again
# Where a row came from matters to the validator only.
_TRACE = ("source", "source_row", "updated_at", "typing_fault")
_ASKED_OFTEN: tuple[TableName, ...] = ("customers", "subscriptions", "orders", "tickets")
_INSTANTS = {name for table in TABLES.values() for name, kind in table.columns.items() if kind == INSTANT}


def accepted_parts(project: Project, dataset: str, kind: PeriodKind) -> list[Period]:
    """Return the months that have accepted rows, for weekly reports the weeks, in order."""
    folder = project.accepted(dataset)
    found = (path for path in folder.iterdir() if any(path.glob("*.parquet"))) if folder.is_dir() else ()
    return sorted(part for path in found if (part := Period.parse(path.name)).kind == kept_by(kind))


def whole_periods(project: Project, dataset: str, kind: PeriodKind) -> list[Period]:
    """Return the periods of a kind of which every month, or the week, has accepted rows, in order."""
    parts = accepted_parts(project, dataset, kind)
    periods = dict.fromkeys(Period.containing(part.start, kind) for part in parts)
    return [period for period in periods if set(period.parts) <= set(parts)]


def latest_period(project: Project, report: Report) -> Period:
    """Return the newest period of the report's kind that has accepted rows; raises `UsageError` when none has."""
    periods = whole_periods(project, report.dataset, report.period_kind)
    if not periods:
        raise UsageError(
            found=f"no accepted rows of the dataset `{report.dataset}`",
            expected=f"accepted rows of at least one {report.period_kind}",
            do="run `cxreport validate` first",
        )
    return periods[-1]


def open_facts(
    project: Project, dataset: Dataset, period: Period, wanted: Collection[FactName], engine: Engine
) -> dict[FactName, Frame]:
    """Open the facts that KPIs read, up to the end of the reported period, wide.

    An answer carries its response's columns (touchpoint, stage, channel, language, weight and the segments); every
    fact of a customer carries the columns named by `Dataset.segments_from_customers`, as the last month (or
    the week) of the reported period knows them. The column `period` holds the report's own periods. Facts without rows
    are left out.

    Raises `UsageError` when the reported period has no accepted rows, `DefinitionError` for customer columns that
    are not there.
    """
    parts = [part for part in accepted_parts(project, dataset.id, period.kind) if part.end <= period.end]
    if not parts or parts[-1].end <= period.start:
        raise UsageError(
            found=f"no accepted rows of {period.id} in the dataset `{dataset.id}`",
            expected="accepted rows of the reported period",
            do=f"run `cxreport validate` for {period.id}",
        )
    dated = {
        name: engine.scan(paths).with_columns(_report_period(period.kind))
        for name, table in TABLES.items()
        if table.dated_by
        and (paths := [path for part in parts if (path := _file(project, dataset, part, name)).is_file()])
    }
    states = {
        name: engine.scan([path]).drop("period")
        for name, table in TABLES.items()
        if not table.dated_by and (path := _file(project, dataset, parts[-1], name)).is_file()
    }
    # Engines read files anew for every period that rows are asked for.
    tables = dated | states
    tables |= {name: engine.keep(tables[name], f"all_{name}") for name in _ASKED_OFTEN if name in tables}
    periods = list(dict.fromkeys(Period.containing(part.start, period.kind) for part in parts))
    build = _Builder(dataset, periods, tables, engine)
    # Each fact is computed before the next one is described: a new table makes DuckDB look at every description again.
    found = {name: build.kept(name) for name in sorted(wanted)}
    return {name: frame for name, frame in found.items() if frame is not None}


@dataclass(frozen=True)
class _Builder:
    """The canonical tables of a dataset, and how each fact is made of them."""

    dataset: Dataset
    periods: list[Period]
    tables: Mapping[TableName, Frame]
    engine: Engine

    def kept(self, name: FactName) -> Frame | None:
        """Return a fact, computed once; what fits into memory goes there, for there is much to ask of it."""
        fact = self.fact(name)
        if fact is None:
            return None
        wide = self.with_customers(fact) if self.dataset.segments_from_customers else fact
        # Lifetime value is computed from the days of orders; no other measure needs instants.
        rows = self.engine.keep(wide if name == "orders" else _lean(wide), name)
        return in_memory(rows) if row_count(rows) <= _IN_MEMORY else rows

    def fact(self, name: FactName) -> Frame | None:
        """Return a fact, or `None` where the tables it is made of have no rows."""
        makers: dict[FactName, tuple[TableName, Callable[[Frame], Frame]]] = {
            "answers": ("answers", self._answers),
            "tickets": ("tickets", lambda rows: facts.tickets(rows, self.dataset.contacts, facts.seen_by(rows))),
            "open_cases": ("tickets", lambda rows: facts.open_cases(rows, self.periods, self.dataset.time_zone)),
            "customer_periods": ("customers", self._customer_periods),
            "tenures": ("customers", lambda rows: facts.tenures(rows, self.periods, self.dataset.time_zone)),
            "sessions": ("events", facts.sessions),
            "mentions": ("mentions", lambda rows: self.engine.load(facts.with_sentiment(collect(rows)))),
        }
        source, make = makers.get(name, (name, lambda rows: rows))
        rows = self.tables.get(cast(TableName, source))
        return None if rows is None else make(rows)

    def _answers(self, answers: Frame) -> Frame:
        if "responses" not in self.tables:
            return answers
        responses = self.tables["responses"]
        own = set(answers.columns) - {"response_id", "period"}
        kept = [name for name in responses.columns if name not in own | {"comment", "invited_at"}]
        return answers.join(responses.select(kept), on=["response_id", "period"], how="left")

    def _customer_periods(self, customers: Frame) -> Frame:
        subscriptions, orders = self.tables.get("subscriptions"), self.tables.get("orders")
        return facts.customer_periods(
            customers, subscriptions, orders, self.periods, self.dataset, keep=self.engine.keep
        )

    def with_customers(self, fact: Frame) -> Frame:
        """Put the customers' columns on a fact of customers."""
        wanted, names = self.dataset.segments_from_customers, fact.columns
        if "customers" not in self.tables or "customer_id" not in names:
            return fact
        customers = self.tables["customers"]
        _check(wanted, customers.columns)
        return fact.drop([name for name in wanted if name in names]).join(
            customers.select("customer_id", *wanted), on="customer_id", how="left"
        )


def _lean(frame: Frame) -> Frame:
    """Drop what reductions never need."""
    return frame.select(name for name in frame.columns if name not in _INSTANTS | {*_TRACE, "text"})


def asked_metrics(project: Project, dataset: Dataset) -> set[str]:
    """Return the metrics that the mappings of a dataset's feeds ask for, in whichever months."""
    return {battery.metric for battery in _batteries(project, dataset)}


def asked_questions(project: Project, dataset: Dataset) -> set[str]:
    """Return the questions that the mappings ask, and their metrics."""
    questions = {question for battery in _batteries(project, dataset) for question in battery.questions}
    return questions | asked_metrics(project, dataset)


def _batteries(project: Project, dataset: Dataset) -> list[Battery]:
    mappings = [
        load_yaml(project.datasets / MAPPINGS / feed.mapping, find_adapter(feed.adapter).mapping_model, project)
        for feed in dataset.feeds
        if feed.mapping
    ]
    return [battery for mapping in mappings for battery in mapping.batteries]


def _file(project: Project, dataset: Dataset, part: Period, table: str) -> Path:
    return project.accepted(dataset.id, part) / f"{table}.parquet"


def _report_period(kind: PeriodKind) -> nw.Expr:
    """Turn the month of a row into the report's period; weeks are kept as such."""
    part = nw.col("period")
    if kept_by(kind) == kind:
        return part
    year = part.str.slice(0, 4)
    if kind == "year":
        return year.alias("period")
    quarter = (part.str.slice(5, 2).cast(nw.Int64) + 2) // 3
    return nw.concat_str([year, nw.lit("-Q"), quarter.cast(nw.String)]).alias("period")


def _check(wanted: list[str], known: Iterable[str]) -> None:
    names = list(known)
    if missing := [name for name in wanted if name not in names]:
        raise DefinitionError(
            found=f"`segments_from_customers` names {listed(missing)}",
            expected=f"columns of `customers`: {listed(names)}",
            do=f"correct the dataset definition{nearest(missing[0], names)}, or deliver the column",
        )
