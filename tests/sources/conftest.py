"""A made-up company for every test of the sources: a dataset, mappings and delivered files."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import yaml

from cxreport import sources
from cxreport.config import Dataset, Project, load_dataset
from cxreport.sources.formats.files import DeliveredFile
from cxreport.sources.formats.glimpse import Recognised

QUALTRICS_HEADER = (
    "StartDate,RecordedDate,Status,Finished,ResponseId,ExternalReference,IPAddress,Q1,Q1 - Group,Q2,Q9,kind\r\n"
    'Start Date,Aufgezeichnetes Datum,Antworttyp,Fertig,ID,Referenz,IP-Adresse,"How likely are you to recommend us,\n'
    'on a scale of 0 to 10?",Group,"How satisfied, all in all,\nwith us?",Anything else?,kind\r\n'
    '"{""ImportId"":""startDate"",""timeZone"":""America/Denver""}",'
    '"{""ImportId"":""recordedDate"",""timeZone"":""America/Denver""}",'
    '"{""ImportId"":""status""}","{""ImportId"":""finished""}","{""ImportId"":""_recordId""}",'
    '"{""ImportId"":""externalDataReference""}","{""ImportId"":""ipAddress""}","{""ImportId"":""QID1""}",'
    '"{""ImportId"":""QID1_NPS_GROUP""}","{""ImportId"":""QID2""}","{""ImportId"":""QID9_TEXT""}",'
    '"{""ImportId"":""kind""}"\r\n'
)
QUALTRICS_ROWS = (
    "2026-09-01 10:00:00,2026-09-01 10:02:00,0,1,R_1,0001046,192.0.2.1,9,3,5,Fine,relational\r\n"
    '2026-09-02 10:00:00,2026-09-02 10:02:00,0,1,R_2,C2,,,,"4","Two lines,\nand a comma",relational\r\n'
    "2026-09-03 10:00:00,2026-09-03 10:02:00,0,1,R_3,C3,,,,3,,transactional\r\n"
    "2026-09-04 10:00:00,2026-09-04 10:02:00,1,1,R_4,C4,,10,3,5,test,relational\r\n"
    "2026-09-05 10:00:00,2026-09-05 10:02:00,0,0,R_5,C5,,2,1,,,relational\r\n"
)
QUALTRICS_MAPPING: dict[str, Any] = {
    "tables": {
        "responses": {
            "columns": {
                "response_id": "_recordId",
                "customer_id": "externalDataReference",
                "kind": "kind",
                "responded_at": {"column": "recordedDate", "formats": ["%Y-%m-%d %H:%M:%S"]},
                "comment": "QID9_TEXT",
            }
        }
    },
    "real_answers": {
        "status": {"real": [0, "IP Address"], "others": {1: "preview"}},
        "finished": {"real": [1], "others": {0: "unfinished"}},
    },
    "batteries": [
        {
            "metric": "nps",
            "scale": {"low": 0, "high": 10, "good": "high"},
            "asked_when": {"kind": ["relational"]},
            "questions": {"nps": {"column": "QID1", "title": "Recommend"}},
        },
        {
            "metric": "csat",
            "scale": {"low": 1, "high": 5, "good": "high"},
            "questions": {"csat": {"column": "QID2", "title": "Satisfied"}},
        },
    ],
}


@dataclass(frozen=True)
class Company:
    """A project folder that holds one dataset, `acme`, and the parts of a Qualtrics feed."""

    project: Project
    header: ClassVar[str] = QUALTRICS_HEADER
    rows: ClassVar[str] = QUALTRICS_ROWS
    mapping: ClassVar[dict[str, Any]] = QUALTRICS_MAPPING

    def deliver(self, name: str, content: str | bytes) -> Path:
        path = self.project.root / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def recognised(self, name: str, content: str | bytes) -> list[str]:
        """Return the adapters that take a file with this content for their tool's."""
        return list(self.taken_for(name, content))

    def taken_for(self, name: str, content: str | bytes) -> dict[str, Recognised]:
        """Return what those adapters take the file for."""
        return sources.recognise(DeliveredFile(name, self.deliver(f"recognised/{name}", content)))

    def map(self, name: str, mapping: dict[str, Any]) -> None:
        path = self.project.datasets / "mappings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(mapping, sort_keys=False), encoding="utf-8")

    def dataset(self, *feeds: dict[str, str], **settings: Any) -> Dataset:
        content = {
            "title": "Acme",
            "population": "customers",
            "industry": "none",
            "time_zone": "America/Chicago",
            "raw": "raw",
            "feeds": [{"owner": "Insight", **feed} for feed in feeds],
            **settings,
        }
        self.project.datasets.mkdir(parents=True, exist_ok=True)
        (self.project.datasets / "acme.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return load_dataset(self.project, "acme")

    def ingest(self, *feeds: dict[str, str], **settings: Any) -> dict[str, int]:
        return sources.ingest(self.project, self.dataset(*feeds, **settings))

    def staged(self, table: str) -> pd.DataFrame:
        frame = pd.read_parquet(self.project.staged("acme") / f"{table}.parquet")
        return frame.astype(object).where(frame.notna(), None)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """An empty project."""
    (tmp_path / "reports" / "definitions").mkdir(parents=True)
    return Company(Project(tmp_path))


@pytest.fixture
def rules(company: Company, root: Path) -> None:
    """The rules on rows that hold for every dataset, in the company's project."""
    shutil.copytree(root / "expectations", company.project.expectations, ignore=shutil.ignore_patterns("*_*.json"))


@pytest.fixture
def survey(company: Company) -> dict[str, str]:
    """A Qualtrics feed with one good file in place; the definition of the feed."""
    company.map("survey.yml", QUALTRICS_MAPPING)
    company.deliver("survey.csv", QUALTRICS_HEADER + QUALTRICS_ROWS)
    return {"id": "survey", "adapter": "qualtrics", "mapping": "survey.yml", "files": "survey*.csv"}
