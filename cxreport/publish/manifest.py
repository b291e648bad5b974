"""`run.json`: everything an issue was made from and with, so that it can be made again."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cxreport
from cxreport.config import AUDIENCE_FILE, ESTIMATES_FILE, Dataset, Project, Report, load_kpis
from cxreport.measure.other_kinds import issued_beside
from cxreport.periods import Period
from cxreport.sources.staging import FEEDS_FILE, MAPPINGS

NAME = "run.json"

_PACKAGES = (
    *("babel", "duckdb", "great-expectations", "ipykernel", "matplotlib", "narwhals", "nbclient", "numpy", "pandas"),
    *("papermill", "pyarrow", "pydantic", "python-pptx", "scikit-learn", "scipy", "seaborn", "statsmodels", "typst"),
    "xlsxwriter",
)


@dataclass(frozen=True)
class Inputs:
    """SHA-256 of every input file.

    `feeds` holds the delivered files as `<feed>/<file>`; `definitions` holds, by path, the YAML files, the notebooks,
    the expectations, the theme, the benchmarks, the lock and the estimates of earlier issues.
    """

    feeds: dict[str, str]
    definitions: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """One short text that changes when any input does."""
        return hashlib.sha256(json.dumps([self.feeds, self.definitions], sort_keys=True).encode()).hexdigest()[:16]


def read_inputs(project: Project, report: Report, dataset: Dataset, period: Period) -> Inputs:
    """Hash what an issue is made from, and take over the hashes that ingest recorded for the delivered files."""
    told = project.issued_to_audiences(report.id, period)
    definitions = [
        *_definitions(project, report, dataset),
        *project.issued(report.id, period),
        *issued_beside(project, dataset.id, period),
        *(file for audience in told for file in (audience, audience.with_name(ESTIMATES_FILE))),
    ]
    return Inputs(
        feeds=_feeds(project.staged(dataset.id) / FEEDS_FILE),
        definitions=hashes(definitions, project.root),
    )


def hashes(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Return path (relative to the root, with slashes) to SHA-256, sorted by path."""
    return {path.relative_to(root).as_posix(): _sha256(path) for path in sorted(paths) if path.is_file()}


def write(
    pack: Path,
    *,
    project: Project,
    report: Report,
    period: Period,
    as_of: date,
    decision: str,
    parameters: Mapping[str, Mapping[str, Any]],
    inputs: Inputs,
    renderer: tuple[str, Mapping[str, str]],
    started: datetime,
    finished: datetime,
) -> None:
    """Write `run.json` into a pack, the only published file that tells when the run happened."""
    content = {
        "report": report.id,
        "title": report.title,
        "organisation": report.organisation,
        "language": report.language,
        "dataset": report.dataset,
        "period": period.id,
        "as_of": as_of.isoformat(),
        "decision": decision,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "parameters": parameters,
        "inputs": {"feeds": inputs.feeds, "definitions": inputs.definitions, "fingerprint": inputs.fingerprint},
        "measured": hashes(_measured(project, report, period), project.root),
        "outputs": hashes(pack.rglob("*"), pack),
        "software": {
            "cxreport": cxreport.__version__,
            "git_commit": _git_commit(project.root),
            "python": platform.python_version(),
            "packages": {name: metadata.version(name) for name in _PACKAGES},
            "renderer": {"name": renderer[0], "versions": dict(renderer[1])},
        },
    }
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (pack / NAME).write_text(text, encoding="utf-8")


def _measured(project: Project, report: Report, period: Period) -> Iterable[Path]:
    """Yield what was measured for everybody and for audiences; lists of customers are no part of an issue."""
    folder = project.measured(report.id, period)
    for part in (folder, *(file.parent for file in folder.glob(f"*/{AUDIENCE_FILE}"))):
        yield from part.glob("*.parquet")


def _definitions(project: Project, report: Report, dataset: Dataset) -> Iterable[Path]:
    yield project.definitions / f"{report.id}.yml"
    yield project.datasets / f"{dataset.id}.yml"
    yield from (project.datasets / MAPPINGS / feed.mapping for feed in dataset.feeds if feed.mapping)
    kpis = load_kpis(project, report.kpis).values()
    yield from (project.kpis / f"{name}.yml" for kpi in kpis for name in (kpi.id, kpi.based_on) if name)
    yield from (project.notebooks / f"{name}.ipynb" for name in report.prepare + report.present)
    if report.audiences and report.audiences.groups:
        yield project.root / report.audiences.groups
    yield from (project.segments, project.benchmarks, project.engine, project.root / "reports" / "_quarto.yml")
    yield project.wording / f"{report.language}.yml"
    yield from project.theme.rglob("*")
    yield from (path for path in project.expectations.rglob("*") if "uncommitted" not in path.parts)
    yield project.root / "requirements" / "run.lock"


def _feeds(recorded: Path) -> dict[str, str]:
    feeds = json.loads(recorded.read_text(encoding="utf-8"))
    return {f"{feed}/{file['name']}": file["sha256"] for feed, about in feeds.items() for file in about["files"]}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_commit(root: Path) -> str | None:
    """Return the commit of the project, marked `-dirty` when files differ from it; None outside a repository."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    except OSError:
        return None
    return found.stdout.strip() or None
