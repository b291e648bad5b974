"""`run.json`: everything an issue was made from and with, so that it can be made again."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cxreport
from cxreport.config import AUDIENCE_FILE, FIRST_FILE, RECORD_FILE, VERDICT_FILE, Dataset, Project, Report
from cxreport.periods import Period
from cxreport.publish import inputs
from cxreport.publish.cache import digest_of, digests
from cxreport.sources import delivered_files
from cxreport.validate import read_verdict

_PACKAGES = (
    *("babel", "duckdb", "great-expectations", "ipykernel", "matplotlib", "narwhals", "nbclient", "numpy", "pandas"),
    *("papermill", "pyarrow", "pydantic", "python-pptx", "scikit-learn", "scipy", "seaborn", "statsmodels", "typst"),
    "xlsxwriter",
)


@dataclass(frozen=True)
class Inputs:
    """SHA-256 of every input file.

    `feeds` holds the delivered files as `<feed>/<file>`; `definitions` holds, by path, the YAML files, the notebooks,
    the expectations, the theme, the benchmarks, the lock and the estimates of earlier issues. `accounts` stands for
    what these say of their own making.
    """

    feeds: dict[str, str]
    definitions: dict[str, str]
    accounts: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """One short text that changes when any input does."""
        return digest_of([self.feeds, self.definitions, self.accounts])[:16]


def read_inputs(project: Project, report: Report, dataset: Dataset, period: Period) -> Inputs:
    """Hash what an issue is made from, and take over the hashes that ingest recorded for the delivered files."""
    files = [*inputs.definitions(project, report, dataset), *inputs.issued(project, report, dataset, period)]
    return Inputs(
        feeds=delivered_files(project, dataset.id),
        definitions=digests(files, project.root),
        accounts=inputs.accounts(project, report, period),
    )


def write(
    pack: Path,
    *,
    project: Project,
    report: Report,
    period: Period,
    as_of: date,
    decision: str,
    parameters: Mapping[str, Mapping[str, Any]],
    made_from: Inputs,
    packs: Mapping[str, str],
    renderer: tuple[str, Mapping[str, str]],
    started: datetime,
    finished: datetime,
) -> None:
    """Write `run.json` into a pack, the only published file that tells when the run happened.

    `packs` holds the fingerprint of what each pack was made from, by audience.
    """
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
        "inputs": {
            "feeds": made_from.feeds,
            "definitions": made_from.definitions,
            "accounts": made_from.accounts,
            "fingerprint": made_from.fingerprint,
        },
        "packs": packs,
        "measured": digests(_measured(project, report, period), project.root),
        "outputs": digests(pack.rglob("*"), pack),
        "late": dict(_late(project, report, period)),
        "software": software(project.root)
        | {
            "git_commit": _git_commit(project.root),
            "renderer": {"name": renderer[0], "versions": dict(renderer[1])},
        },
    }
    if any(pack.glob(f"*/{FIRST_FILE}")):
        content["first"] = _first(project.published(report.id, period) / RECORD_FILE)
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (pack / RECORD_FILE).write_text(text, encoding="utf-8")


def software(root: Path) -> dict[str, Any]:
    """Return the versions that figures and pages may depend on, and digests of the code, all packages and the lock."""
    known = inputs.software(Project(root))
    return {
        "cxreport": cxreport.__version__,
        "code": known["cxreport"],
        "python": known["python"],
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "installed": known["packages"],
        "lock": known.get(inputs.LOCK.as_posix()),
    }


def _late(project: Project, report: Report, period: Period) -> Iterator[tuple[str, int]]:
    """Yield the months, or weeks, for which answers came in late, as far as the checks of this issue looked."""
    last = period.parts[-1]
    for file in sorted(project.accepted(report.dataset).glob(f"*/{VERDICT_FILE}")):
        part = Period.parse(file.parent.name)
        if part.kind == last.kind and part <= last and (late := read_verdict(project, report.dataset, part).late):
            yield part.id, late


def _first(replaced: Path) -> dict[str, Any]:
    """Return what the first issue of a period was made from and with, as the one that is replaced tells."""
    record = json.loads(replaced.read_text(encoding="utf-8")) if replaced.is_file() else {}
    told: dict[str, Any] = record.get("first") or {name: record.get(name) for name in ("inputs", "software")}
    return told


def _measured(project: Project, report: Report, period: Period) -> Iterable[Path]:
    """Yield what was measured for everybody and for audiences; lists of customers are no part of an issue."""
    folder = project.measured(report.id, period)
    for part in (folder, *(file.parent for file in folder.glob(f"*/{AUDIENCE_FILE}"))):
        yield from part.glob("*.parquet")


def _git_commit(root: Path) -> str | None:
    """Return the commit of the project, marked `-dirty` when files differ from it; None outside a repository."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    except OSError:
        return None
    return found.stdout.strip() or None
