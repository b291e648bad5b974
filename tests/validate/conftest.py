"""A tiny good company, staged: five months, every day of which has rows of every table with dates."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from cxreport.config import Dataset, Project, load_dataset
from cxreport.engine import write_table
from cxreport.periods import Period
from cxreport.schema import TABLES
from cxreport.validate import GateOutcome, RuleOutcome, Verdict, validate

PERIOD = Period.parse("2026-09")
MONTHS = [PERIOD.shift(step) for step in range(-4, 1)]
AS_OF = date(2026, 10, 2)
ZONE = "America/Chicago"
PER_DAY = 4
FEEDS = ("survey", "invitations", "tickets", "orders", "customers")
SEGMENTS = {"responses": ["region", "plan"], "invitations": ["region", "plan"], "tickets": ["region", "plan"]}


@dataclass
class Company:
    """A project whose staged tables can be spoilt before they are validated."""

    project: Project
    dataset: Dataset
    tables: dict[str, pd.DataFrame]

    def rows(self, table: str, month: Period = PERIOD) -> pd.Index:
        """Return the labels of a table's rows delivered in a month's file, in delivered order."""
        return self.tables[table].index[self.tables[table]["source"].str.contains(month.id)]

    def spoil(self, table: str, column: str, value: Any, n: int = 1, month: Period = PERIOD) -> list[int]:
        """Overwrite a column in the first rows of a month (of all rows where the table has no months)."""
        rows = self.rows(table, month) if TABLES[table].dated_by else self.tables[table].index
        chosen = list(rows[:n])
        self.tables[table].loc[chosen, column] = value
        return chosen

    def spoil_row(self, table: str, label: int, **values: Any) -> None:
        """Overwrite some columns of one row."""
        for column, value in values.items():
            self.tables[table].loc[label, column] = value

    def drop(self, table: str, labels: Any) -> None:
        """Remove rows."""
        self.tables[table] = self.tables[table].drop(labels)

    def repeat(self, table: str, labels: Any) -> None:
        """Deliver rows a second time, later in the same files."""
        again = self.tables[table].loc[labels].assign(source_row=lambda rows: rows["source_row"] + 100_000)
        self.tables[table] = pd.concat([self.tables[table], again], ignore_index=True)

    def stage(self) -> None:
        """Write the staged tables."""
        for name, frame in self.tables.items():
            schema = TABLES[name].schema(tuple(SEGMENTS.get(name, ())))
            write_table(frame, self.project.staged("sample") / f"{name}.parquet", schema, ["source", "source_row"])

    def validate(self, period: Period = PERIOD, as_of: date = AS_OF) -> Verdict:
        """Stage and validate."""
        self.stage()
        return validate(self.project, self.dataset, period, as_of)

    def accepted(self, table: str, month: Period = PERIOD) -> pd.DataFrame:
        """Read accepted rows."""
        return pd.read_parquet(self.project.accepted("sample", month) / f"{table}.parquet")

    def rejected(self, table: str, month: Period = PERIOD) -> pd.DataFrame:
        """Read rejected keys."""
        return pd.read_parquet(self.project.rejected("sample", month) / f"{table}.parquet")

    @staticmethod
    def rule_of(verdict: Verdict, table: str, rule: str) -> RuleOutcome:
        """Return the one outcome of a rule."""
        (outcome,) = [found for found in verdict.rules if (found.table, found.rule) == (table, rule)]
        return outcome

    @staticmethod
    def gate_of(verdict: Verdict, feed: str, rule: str) -> GateOutcome:
        """Return the one outcome of a gate."""
        (outcome,) = [found for found in verdict.gates if (found.feed, found.rule) == (feed, rule)]
        return outcome


def good_tables() -> dict[str, pd.DataFrame]:
    """Return staged tables in which every rule holds."""
    days = [day for month in MONTHS for day in pd.date_range(month.start, month.end, inclusive="left")]
    times = [day + pd.Timedelta(hours=9 + 3 * turn) for day in days for turn in range(PER_DAY)]
    at = pd.Series(times).dt.tz_localize(ZONE).dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    number = pd.Series(range(len(at)))
    month = at.dt.tz_convert(ZONE).dt.strftime("%Y-%m")
    line = number.groupby(month).cumcount() + 1
    customer = "C" + (number % 50).astype("str")
    nothing = pd.Series([None] * len(at), dtype="str")
    never = pd.Series(pd.NaT, index=at.index, dtype="datetime64[us, UTC]")
    segments = {"region": "north", "plan": "basic"}

    def traced(feed: str) -> dict[str, Any]:
        return {
            "source": feed + "/" + feed + "_" + month + ".csv",
            "source_row": line,
            "updated_at": never,
            "typing_fault": nothing,
        }

    responses = pd.DataFrame(
        {
            "response_id": "R" + number.astype("str"),
            "customer_id": customer,
            "survey": "main",
            "kind": "relational",
            "touchpoint": nothing,
            "stage": nothing,
            "channel": "web",
            "language": "en",
            "invited_at": at - pd.Timedelta(days=2),
            "responded_at": at,
            "weight": 1.0,
            "comment": nothing,
            **traced("survey"),
            **segments,
        }
    )
    asked = {"nps": (9.0, 0.0, 10.0), "csat": (4.0, 1.0, 5.0)}
    answers = pd.concat(
        [
            responses[["response_id", "responded_at", "source", "source_row", "updated_at", "typing_fault"]].assign(
                question=metric,
                metric=metric,
                score=score,
                scale_low=low,
                scale_high=high,
                scale_good="high",
                missing_reason=None,
            )
            for metric, (score, low, high) in asked.items()
        ],
        ignore_index=True,
    )
    invitations = pd.DataFrame(
        {
            "invitation_id": "I" + number.astype("str"),
            "customer_id": customer,
            "sent_at": at,
            "channel": "web",
            "status": pd.Series("sent", index=number.index).mask(number % 2 == 0, "finished"),
            "response_id": ("R" + number.astype("str")).where(number % 2 == 0),
            **traced("invitations"),
            **segments,
        }
    )
    tickets = pd.DataFrame(
        {
            "ticket_id": "T" + number.astype("str"),
            "customer_id": customer,
            "created_at": at,
            "first_replied_at": at + pd.Timedelta(minutes=30),
            "resolved_at": at + pd.Timedelta(hours=5),
            "channel": "web",
            "team": "Billing",
            "priority": "Normal",
            "status": "Solved",
            "reopens": 0,
            "replies": 1,
            "reply_minutes": 30.0,
            "reply_business_minutes": 30.0,
            "resolution_minutes": 300.0,
            "resolution_business_minutes": 300.0,
            "cost": 8.0,
            **traced("tickets"),
            **segments,
        }
    )
    orders = pd.DataFrame(
        {
            "order_id": "O" + number.astype("str"),
            "customer_id": customer,
            "ordered_at": at,
            "amount": 20.0,
            "currency": "USD",
            "kind": "repeat",
            **traced("orders"),
        }
    )
    events = pd.DataFrame(
        {
            "event_id": "E" + number.astype("str"),
            "customer_id": customer,
            "session_id": "S" + number.astype("str"),
            "occurred_at": at,
            "stage": nothing,
            "touchpoint": nothing,
            "channel": "web",
            "name": "visit",
            **traced("events"),
        }
    )
    mentions = pd.DataFrame(
        {
            "mention_id": "M" + number.astype("str"),
            "posted_at": at,
            "network": "app store",
            "language": "en",
            "rating": 4.0,
            "sentiment": nothing,
            "text": "Fine.",
            **traced("reviews"),
        }
    )
    employees = pd.DataFrame(
        {
            "response_id": "P" + number.astype("str"),
            "team": "Billing",
            "question": "enps",
            "metric": "enps",
            "score": 8.0,
            "scale_low": 0.0,
            "scale_high": 10.0,
            "scale_good": "high",
            "missing_reason": nothing,
            "responded_at": at,
            **traced("pulse"),
        }
    )
    aggregates = pd.DataFrame(
        {
            "aggregate_id": "A" + number.astype("str"),
            "started_at": at,
            "ended_at": at + pd.Timedelta(days=1),
            "report": "Traffic",
            "dimension": nothing,
            "level": nothing,
            "channel": "web",
            "name": "Visits",
            "value": 20.0,
            **traced("web"),
        }
    )
    start = pd.Timestamp("2020-01-01", tz="UTC").as_unit("us")
    customers = pd.DataFrame(
        {
            "customer_id": [f"C{number}" for number in range(50)],
            "started_at": start,
            "ended_at": pd.Series([pd.NaT] * 50, dtype="datetime64[us, UTC]"),
            "plan": "basic",
            "region": "north",
            "persona": "family",
            "monthly_value": 45.0,
            "source": "customers/accounts.csv",
            "source_row": range(1, 51),
            "updated_at": pd.Series([pd.NaT] * 50, dtype="datetime64[us, UTC]"),
            "typing_fault": pd.Series([None] * 50, dtype="str"),
        }
    )
    spells = 300
    subscriptions = pd.DataFrame(
        {
            "subscription_id": [f"B{number}" for number in range(spells)],
            "customer_id": [f"C{number % 50}" for number in range(spells)],
            "started_at": start,
            "ended_at": pd.Series([pd.NaT] * spells, dtype="datetime64[us, UTC]"),
            "monthly_value": 45.0,
            "source": "subscriptions/subscriptions.csv",
            "source_row": range(1, spells + 1),
            "updated_at": pd.Series([pd.NaT] * spells, dtype="datetime64[us, UTC]"),
            "typing_fault": pd.Series([None] * spells, dtype="str"),
        }
    )
    made = 300
    actions = pd.DataFrame(
        {
            "action_id": [f"A{number}" for number in range(made)],
            "started_at": start,
            "touchpoint": "Payment",
            "asked": "Paying takes too long",
            "description": "One page instead of three",
            "owner": "Billing",
            "cost": 100.0,
            "communicated_at": pd.Series([pd.NaT] * made, dtype="datetime64[us, UTC]"),
            "source": "actions/actions.csv",
            "source_row": range(1, made + 1),
            "updated_at": pd.Series([pd.NaT] * made, dtype="datetime64[us, UTC]"),
            "typing_fault": pd.Series([None] * made, dtype="str"),
        }
    )
    tables = {"responses": responses, "answers": answers, "invitations": invitations, "tickets": tickets}
    lists = {"customers": customers, "subscriptions": subscriptions, "actions": actions}
    return (
        tables
        | lists
        | {"orders": orders, "events": events, "mentions": mentions, "aggregates": aggregates, "employees": employees}
    )


@pytest.fixture(scope="session")
def _good_tables() -> dict[str, pd.DataFrame]:
    return good_tables()


def copy_definitions(root: Path, target: Path) -> Project:
    """Copy what validation reads of a project."""
    for part in ("expectations", "reports/datasets", "reports/definitions", "reports/kpis"):
        shutil.copytree(root / part, target / part, ignore=shutil.ignore_patterns("uncommitted"))
    shutil.copy2(root / "reports" / "segments.yml", target / "reports")
    return Project(target)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory, make_company: Callable[[Path], Company]) -> tuple[Company, Verdict]:
    """The good company, validated; tests only read it."""
    company = make_company(tmp_path_factory.mktemp("good"))
    return company, company.validate()


@pytest.fixture
def company(tmp_path: Path, root: Path, _good_tables: dict[str, pd.DataFrame]) -> Company:
    """A good company in a folder of its own, with the feeds that it takes to show how validation works."""
    project = copy_definitions(root, tmp_path)
    dataset = load_dataset(project, "sample")
    feeds = [feed for feed in dataset.feeds if feed.id in FEEDS]
    tables = {name: _good_tables[name].copy() for name in ("responses", "answers", *FEEDS) if name in _good_tables}
    return Company(project, dataset.model_copy(update={"feeds": feeds}), tables)


@pytest.fixture(scope="session")
def make_company(root: Path, _good_tables: dict[str, pd.DataFrame]) -> Callable[[Path], Company]:
    """Return a function that makes a good company in a folder, for tests that need several."""

    def make(folder: Path) -> Company:
        project = copy_definitions(root, folder)
        return Company(project, load_dataset(project, "sample"), {name: t.copy() for name, t in _good_tables.items()})

    return make


# --- faults ----------------------------------------------------------------------------------------


def _load_faultlib() -> ModuleType:
    """Load the package beside this file, which no test could import otherwise."""
    folder = Path(__file__).parent / "faultlib"
    spec = importlib.util.spec_from_file_location(
        "faultlib", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules["faultlib"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_FAULTLIB = _load_faultlib()


@pytest.fixture(scope="session")
def faultlib() -> ModuleType:
    """The library of faults."""
    return _FAULTLIB


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a few faults always, and all of them in the long campaigns."""
    if "seeded_fault" in metafunc.fixturenames:
        metafunc.parametrize(
            "seeded_fault",
            [
                pytest.param((name, level), id=name, marks=[] if name in _FAULTLIB.SLICE else [pytest.mark.soak])
                for name, level in _FAULTLIB.levels()
            ],
        )
    if "limit" in metafunc.fixturenames:
        metafunc.parametrize("limit", _FAULTLIB.LIMITS)
