"""Small companies as accepted Parquet, and the worked examples of the methods handbook."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxreport.config import Kpi, Project, load_kpis
from cxreport.periods import Period
from cxreport.schema import TABLES, TEXT

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kpis() -> dict[str, Kpi]:
    return load_kpis(Project(REPOSITORY))


@pytest.fixture(scope="session")
def examples(shared: Path) -> dict[str, dict]:
    path = shared / "methods" / "worked_examples.json"
    if not path.is_file():
        pytest.skip("the worked examples are not beside the project")
    return {example["id"]: example for example in json.loads(path.read_text(encoding="utf-8"))["examples"]}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the real definitions and benchmarks and no rows."""
    shutil.copytree(REPOSITORY / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("output"))
    shutil.copytree(REPOSITORY / "data" / "reference", tmp_path / "data" / "reference")
    return Project(tmp_path)


Write = Callable[[str, str, pd.DataFrame], None]


@pytest.fixture
def write(project: Project) -> Write:
    """Write accepted rows of the sample dataset: month, table, rows (absent columns are null)."""

    def write_rows(month: str, table: str, rows: pd.DataFrame) -> None:
        segments = tuple(map(str, rows)) if table == "actions" else ()
        schema = TABLES[table].schema(segments).append(pa.field("period", TEXT))
        path = project.accepted("sample", Period.parse(month)) / f"{table}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        filled = rows.assign(period=month)
        columns = [
            pa.array(filled[field.name], field.type, from_pandas=True)
            if field.name in filled
            else pa.nulls(len(filled), field.type)
            for field in schema
        ]
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)

    return write_rows


@pytest.fixture
def answer(write: Write) -> Callable[..., None]:
    """Write a month of answers to one metric, each from a customer and a response of its own."""

    def write_answers(month: str, metric: str, scores: list[float], scale: tuple[int, int], **columns: object) -> None:
        n = len(scores)
        ids = pd.DataFrame(
            {"response_id": [f"{month}-{i}" for i in range(n)], "customer_id": [f"c{i}" for i in range(n)]}
        )
        ids["responded_at"] = datetime(2026, 1, 1, tzinfo=UTC)
        write(month, "responses", ids.assign(kind="relational", **columns))
        asked = ids.assign(question=f"q_{metric}", metric=metric, score=scores, scale_low=scale[0], scale_high=scale[1])
        asked["missing_reason"] = asked["score"].isna().map({True: "blank", False: None})
        write(month, "answers", asked)
        write(month, "customers", pd.DataFrame({"customer_id": ids["customer_id"], "region": "north", "plan": "basic"}))

    return write_answers


@pytest.fixture
def company(write: Write) -> Callable[..., list[str]]:
    """Write a company that answers everything for many months; returns the months."""

    def write_company(months: int, per_month: int, last: str = "2026-09", seed: int = 7) -> list[str]:
        random = np.random.default_rng(seed)
        periods = [Period.parse(last).shift(step).id for step in range(1 - months, 1)]
        n = per_month
        customers = pd.DataFrame({"customer_id": [f"c{i}" for i in range(5 * n)]})
        customers["region"] = random.choice(["north", "east", "south", "west", None], 5 * n)
        customers["plan"] = random.choice(["basic", "plus", "premium"], 5 * n)
        for month in periods:
            write(month, "customers", customers)
            people = random.choice(customers["customer_id"], n)
            channels = random.choice(["web", "app", "phone", "chat"], n)
            responses = pd.DataFrame({"response_id": [f"{month}-r{i}" for i in range(n)], "customer_id": people})
            responses["kind"] = random.choice(["relational", "transactional"], n)
            is_transactional = responses["kind"] == "transactional"
            responses["touchpoint"] = np.where(is_transactional, random.choice(["Help desk", "Bill"], n), None)
            responses["stage"] = np.where(is_transactional, random.choice(["support", "pay"], n), None)
            responses["channel"] = channels
            responses["language"] = random.choice(["en", "es", "zh", "vi"], n, p=[0.85, 0.1, 0.048, 0.002])
            responses["weight"] = random.uniform(0.3, 3, n)
            responses["responded_at"] = datetime(2026, 1, 1, tzinfo=UTC)
            write(month, "responses", responses)
            asked = [
                (responses[~is_transactional], "nps", 0, 10),
                (responses, "csat", 1, 5),
                (responses[is_transactional], *(("ces_v2", 1, 7) if month >= "2025-10" else ("ces_v1", 1, 5))),
            ]
            answers = pd.concat(
                [
                    pd.DataFrame({"response_id": rows["response_id"], "question": metric, "metric": metric})
                    .assign(score=np.round(high - (high - low) * random.beta(1.2, 3, len(rows))), scale_low=low)
                    .assign(scale_high=high, scale_good="low" if metric == "ces_v1" else "high")
                    .assign(responded_at=datetime(2026, 1, 1, tzinfo=UTC))
                    for rows, metric, low, high in asked
                ],
                ignore_index=True,
            )
            answers.loc[answers.index % 50 == 0, "score"] = np.nan
            write(month, "answers", answers)
            invitations = pd.DataFrame({"invitation_id": [f"{month}-i{i}" for i in range(2 * n)]})
            invitations["customer_id"] = random.choice(customers["customer_id"], 2 * n)
            invitations["channel"] = random.choice(["web", "app", "phone", "chat"], 2 * n)
            invitations["response_id"] = np.where(random.random(2 * n) < 0.4, "r", None)
            write(month, "invitations", invitations)
            tickets = pd.DataFrame({"ticket_id": [f"{month}-t{i}" for i in range(n)]})
            tickets["customer_id"] = random.choice(customers["customer_id"], n)
            tickets["channel"] = random.choice(["phone", "chat"], n)
            tickets["created_at"] = pd.Timestamp(f"{month}-03T12:00Z") + pd.to_timedelta(np.arange(n), unit="min")
            tickets["reply_minutes"] = np.round(random.lognormal(4.5, 1, n))
            tickets["resolution_minutes"] = np.where(random.random(n) < 0.95, random.lognormal(7, 1, n), np.nan)
            write(month, "tickets", tickets)
        return periods

    return write_company
