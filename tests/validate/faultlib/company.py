"""The company to which faults are done: one clean copy, and a trial of it for every fault."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from unittest.mock import patch

import pandas as pd

from cxreport import sources
from cxreport.config import Dataset, Project, load_dataset
from cxreport.errors import GateError, UsageError
from cxreport.periods import Period
from cxreport.sample import write_sample
from cxreport.sources.adapter import Adapter, Delivery
from cxreport.validate import Verdict, validate
from cxreport.validate.suites import Suites
from faultlib.export import FILES, MONTH, Export, Raw
from faultlib.library import Level

MONTHS = 8  # of which the last one, with its planted rows, is taken away again
AS_OF = date(2026, 10, 2)
RAW = Path("data") / "sample"
_KEPT = 3  # one customer in so many
_OWNERS = {  # feed to the columns that say whose a row is, the first that is filled
    "survey": ("ExternalReference", "ResponseId"),
    "invitations": ("customer_id",),
    "tickets": ("Customer ID [txt]",),
    "customers": ("Customer_ID__c",),
    "orders": ("customer_id",),
    "subscriptions": ("customer_id",),
    "events": ("customer_id", "session_id"),
}


class Company:
    """The sample company up to the month before its last one, with a third of its customers."""

    def __init__(self, root: Path, folder: Path, seed: int = 20260901) -> None:
        self._root, self._folder = root, folder
        self._read: dict[tuple[str, ...], Delivery] = {}
        self._found: dict[tuple[object, ...], object] = {}
        write_sample(folder / "clean", seed, MONTHS)
        for path in (folder / "clean").glob("*/*_2026-09.csv"):
            path.unlink()
        for feed, columns in _OWNERS.items():
            for path in (folder / "clean").glob(FILES[feed].format("*")):
                _thin(Export.of(feed, path), columns)
        self.clean = self.trial("untouched")

    def path(self, feed: str) -> Path:
        """Return a clean file of the reported month, or of a list."""
        return self._folder / "clean" / FILES[feed].format(MONTH)

    def trial(self, name: str, level: Level | None = None) -> "Trial":
        """Ingest and validate a copy of the company in which a fault was done."""
        project = copied(self._root, self._folder / "clean", self._folder / name)
        if level:
            level.spoil(Raw(project.root / RAW, Random(name)))
        dataset = load_dataset(project, "sample")
        try:
            with self._remembering():
                sources.ingest(project, dataset)
                verdict = validate(project, dataset, Period.parse(MONTH), AS_OF)
        except (GateError, UsageError) as error:
            return Trial(project, dataset, None, str(error))
        return Trial(project, dataset, verdict)

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """Do no work twice: all files but the spoilt ones, and the tables made of them, are those of the clean company.

        A file is known by its content and mapping, a table by its rules and the columns that they judge.
        """
        read, run = Adapter.read, Suites.run

        def reading(adapter, file, mapping, context):
            key = (type(adapter).__name__, file.sha256, mapping.model_dump_json() if mapping else "")
            if key not in self._read:
                self._read[key] = read(adapter, file, mapping, context)
            return self._read[key]

        def running(suites, rules, frame, *further):
            chosen = list(rules)
            columns = dict.fromkeys(column for rule in chosen for column in rule.columns)
            cells = pd.util.hash_pandas_object(frame[list(columns)], index=False).to_numpy()
            key = (*((rule.suite, rule.id) for rule in chosen), *further, hashlib.sha256(cells.tobytes()).digest())
            if key not in self._found:
                self._found[key] = run(suites, chosen, frame, *further)
            return self._found[key]

        with patch.object(Adapter, "read", reading), patch.object(Suites, "run", running):
            yield


def _thin(export: Export, columns: tuple[str, ...]) -> None:
    """Keep the rows of every third customer, and of every third visitor who is not known."""
    owners = (next(filter(None, (record[column] for column in columns))) for record in export.records)
    export.rows = [row for row, owner in zip(export.rows, owners, strict=True) if _number(owner) % _KEPT == 0]
    export.write()


def _number(owner: str) -> int:
    return int("".join(filter(str.isdigit, owner)) or 0)


def copied(root: Path, clean: Path, folder: Path) -> Project:
    """Copy the definitions, and link the files; faults write theirs anew."""
    for part in ("expectations", "reports/datasets", "reports/definitions"):
        shutil.copytree(root / part, folder / part)
    shutil.copytree(clean, folder / RAW, copy_function=os.link)
    return Project(folder)


@dataclass(frozen=True)
class Trial:
    """What became of a delivery: a verdict, or the message with which the ingest stopped."""

    project: Project
    dataset: Dataset
    verdict: Verdict | None
    message: str = ""

    def remove(self) -> None:
        shutil.rmtree(self.project.root)

    @property
    def stopped_by(self) -> set[str]:
        """Return the rules that stopped the month."""
        return {found.rule for found in self._judged if found.outcome == "stopped"}

    @property
    def _judged(self) -> list:
        return [*self.verdict.rules, *self.verdict.gates] if self.verdict else []

    def footnoted_by(self, clean: "Trial") -> set[str]:
        """Return the rules that left a footnote which the clean company has not, or one on more rows."""
        rows = {(found.table, found.rule): found.rows for found in clean.verdict.rules}
        found = {
            rule.rule
            for rule in self.verdict.rules
            if rule.outcome == "rows rejected" and rule.severity != "info" and rule.rows > rows[rule.table, rule.rule]
        }
        noted = {gate.rule for gate in self.verdict.gates if gate.outcome == "noted" and gate.severity == "warning"}
        return found | noted

    def set_aside_by(self) -> set[str]:
        """Return the rules of mere information that were broken."""
        return {found.rule for found in self._judged if found.severity == "info" and found.outcome != "passed"}
