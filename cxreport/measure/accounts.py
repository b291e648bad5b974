"""Published issues as their folders tell: the figures that they told, and what has changed of what they were made from.

Later issues hold themselves to them: a figure that would be another today must have a cause that these records give.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

import cxreport
from cxreport.config import (
    AUDIENCE_FILE,
    ESTIMATES_FILE,
    FIRST_FILE,
    RECORD_FILE,
    Kpi,
    Project,
)
from cxreport.engine import read_table
from cxreport.measure.audiences import Audience, as_cells
from cxreport.periods import Period
from cxreport.sources import delivered_files

# Definitions that decide which rows there are, how they are divided and how sure a figure is; not those of KPIs.
_GENERAL = ("reports/definitions", "reports/datasets", "reports/segments.yml", "reports/audiences", "expectations")
_KPIS = "reports/kpis"


@dataclass(frozen=True)
class Account:
    """What an issue was made from and is not the same today.

    Attributes
    ----------
    is_known
        Whether the issue says what it was made from.
    kpis
        Those whose files changed.
    definitions
        Whether others changed: which rows there are, how they are divided, or the report itself.
    files
        Whether a delivered file is gone or has changed; further ones do not count.
    software
        Whether versions changed.
    """

    is_known: bool
    kpis: frozenset[str]
    definitions: bool
    files: bool
    software: bool

    @classmethod
    def of(cls, record: Mapping[str, Any], project: Project, dataset: str) -> "Account":
        """Compare the part of a record that tells inputs and software with what is there now."""
        made_from, software = record.get("inputs"), record.get("software")
        if not made_from or not software:
            return cls(is_known=False, kpis=frozenset(), definitions=False, files=False, software=False)
        changed = [
            PurePosixPath(name)
            for name, digest in made_from["definitions"].items()
            if _digest(project.root / name) != digest
        ]
        delivered = delivered_files(project, dataset)
        return cls(
            is_known=True,
            kpis=frozenset(path.stem for path in changed if path.is_relative_to(_KPIS)),
            definitions=any(path.is_relative_to(place) for path in changed for place in _GENERAL),
            files=any(delivered.get(name) != digest for name, digest in made_from["feeds"].items()),
            software=_is_other(software),
        )

    def changed(self, kpi: Kpi) -> bool:
        """Say whether the definition of a KPI changed, or of the one that it is based on."""
        return bool({kpi.id, kpi.based_on} & self.kpis)


@dataclass(frozen=True)
class Issued:
    """What an issue told of the company and its audiences, as cells of the company, and its account."""

    period: Period
    account: Account
    figures: pd.DataFrame = field(repr=False)


def read_accounts(project: Project, report: str, dataset: str, period: Period) -> list[Issued]:
    """Read the issues of earlier periods, oldest first, and what was first issued for the period itself, if anything.

    An issue that replaces another one carries what the first one told, so that all of them are held to the same.
    """
    earlier = {file.parents[1]: [ESTIMATES_FILE] for file in project.issued(report, period)}
    own = {project.published(report, period): [FIRST_FILE, ESTIMATES_FILE]}
    found = []
    for folder, names in (earlier | own).items():
        record = _record(folder / RECORD_FILE)
        figures = list(_figures(folder, names))
        if figures:
            told = pd.concat(figures, ignore_index=True)
            is_own = folder in own
            account = Account.of(record.get("first", record) if is_own else record, project, dataset)
            issue = Period.parse(folder.name)
            found.append(Issued(issue, account, told[told["period"] == issue.id] if is_own else told))
    return found


def _figures(folder: Path, names: list[str]) -> Iterator[pd.DataFrame]:
    """Yield the figures of each pack of an issue, from the first of some files that is there."""
    for pack in sorted(folder.glob("[!.]*/")):
        file = next((pack / name for name in names if (pack / name).is_file()), None)
        if file is not None:
            rows = read_table(file)
            rows = rows.assign(question=rows["question"].fillna(""))
            described = pack / AUDIENCE_FILE
            audience = Audience.read(described) if described.is_file() else None
            yield as_cells(rows, audience.by, audience.levels) if audience else rows


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return record


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _is_other(software: Mapping[str, Any]) -> bool:
    packages = software.get("packages", {})
    then = (software.get("cxreport"), software.get("python"), packages)
    return then != (cxreport.__version__, platform.python_version(), {name: _version(name) for name in packages})


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
