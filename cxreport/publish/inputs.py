"""What a report is made from, as digests by name: delivered files, definitions, notebooks, earlier issues, software.

Nothing here reads data, so that a run which has nothing to do ends at once.
"""

import hashlib
import hmac
import json
import os
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import cxreport
from cxreport.config import (
    ESTIMATES_FILE,
    FEEDS_FILE,
    HASH_KEY,
    MAPPINGS,
    RECORD_FILE,
    VERDICT_FILE,
    Dataset,
    Project,
    Report,
    load_kpis,
)
from cxreport.periods import Period
from cxreport.publish.cache import Digests, digest, digest_of, digests

LOCK = Path("requirements") / "run.lock"


def software(project: Project) -> Digests:
    """Return what stands for the code: the package, the installed packages with their versions, Python and the lock."""
    return _software() | digests([project.root / LOCK], project.root)


@cache
def package() -> str:
    """Return one digest for the files of this package."""
    home = Path(cxreport.__file__).parent
    return digest_of(digests((path for path in home.rglob("*") if "__pycache__" not in path.parts), home))


@cache
def _software() -> Digests:
    installed = sorted(f"{each.name}=={each.version}" for each in metadata.distributions())
    return {"cxreport": package(), "packages": digest_of(installed), "python": platform.python_version()}


def delivered(project: Project, dataset: Dataset) -> Digests:
    """Return one digest for all files of each feed, whose names may be personal, and one for the key of hashes."""
    raw = project.root / dataset.raw
    feeds = {
        f"feed {feed.id}": digest_of(
            [
                [path.relative_to(raw).as_posix(), digest(path)]
                for path in sorted(raw.glob(feed.files))
                if path.is_file()
            ]
        )
        for feed in dataset.feeds
    }
    key = os.environ.get(HASH_KEY, "").encode()
    return feeds | {HASH_KEY: hmac.new(key, b"cxreport inputs", hashlib.sha256).hexdigest()}


def dataset_files(project: Project, dataset: Dataset) -> Iterator[Path]:
    """Yield a dataset's definition and the mappings of its feeds."""
    yield project.datasets / f"{dataset.id}.yml"
    yield from (project.datasets / MAPPINGS / feed.mapping for feed in dataset.feeds if feed.mapping)


def expectations(project: Project) -> Iterator[Path]:
    """Yield what the rows are judged by."""
    yield from (path for path in project.expectations.rglob("*") if "uncommitted" not in path.parts)


def definitions(project: Project, report: Report, dataset: Dataset) -> Iterator[Path]:
    """Yield every definition that a report leans on, its notebooks, its theme and the lock."""
    yield from page_definitions(project, report, dataset)
    kpis = load_kpis(project, report.kpis).values()
    yield from (project.kpis / f"{name}.yml" for kpi in kpis for name in (kpi.id, kpi.based_on) if name)
    yield from (project.notebooks / f"{name}.ipynb" for name in report.prepare + report.present)
    yield from groups(project, report)
    yield project.engine
    yield project.revisions
    yield from theme(project)
    yield from expectations(project)
    yield project.root / LOCK


def groups(project: Project, report: Report) -> Iterator[Path]:
    """Yield the file that names a report's audiences, where it has one."""
    if report.audiences and report.audiences.groups:
        yield project.root / report.audiences.groups


def theme(project: Project) -> Iterator[Path]:
    """Yield what gives pages their look."""
    yield project.root / "reports" / "_quarto.yml"
    yield from project.theme.rglob("*")


def page_definitions(project: Project, report: Report, dataset: Dataset) -> Iterator[Path]:
    """Yield the definitions that the pages of a report are written from."""
    yield project.definitions / f"{report.id}.yml"
    yield from dataset_files(project, dataset)
    yield project.segments
    yield project.benchmarks
    yield project.wording / f"{report.language}.yml"


def all_kpis(project: Project) -> Iterator[Path]:
    """Yield the files of all KPIs, each of which is checked and may ask to be in a report."""
    yield from project.kpis.glob("*.yml")


def issued(project: Project, report: Report, dataset: Dataset, period: Period) -> Iterator[Path]:
    """Yield what earlier issues and issues of other kinds of period told, which a new one must not contradict."""
    yield from project.issued(report.id, period)
    yield from project.issued_beside(dataset.id, period)
    for audience in project.issued_to_audiences(report.id, period):
        yield from (audience, audience.with_name(ESTIMATES_FILE))
    yield from project.revised(report.id, period)


def accounts(project: Project, report: Report, period: Period) -> Digests:
    """Return what stands for what each earlier issue says of its making, the time of its run apart."""
    records = {file.parents[1] / RECORD_FILE for file in project.issued(report.id, period)}
    return {
        record.relative_to(project.root).as_posix(): digest_of([told.get(part) for part in ("inputs", "software")])
        for record in sorted(records)
        if record.is_file() and (told := json.loads(record.read_text(encoding="utf-8")))
    }


def verdicts(project: Project, dataset: Dataset, period: Period) -> Iterator[Path]:
    """Yield the verdicts that pages may speak of: those of the period, of the one before and of a year before."""
    parts = (part for each in (period, period.previous, period.year_ago) for part in each.parts)
    yield from (project.accepted(dataset.id, part) / VERDICT_FILE for part in parts)
    yield project.staged(dataset.id) / FEEDS_FILE


def all_measured(project: Project, report: Report, period: Period) -> Iterator[Path]:
    """Yield all that was measured for a period, with lists of customers, which are no part of an issue."""
    yield from project.measured(report.id, period).rglob("*")


def validated(project: Project, dataset: Dataset, period: Period) -> Iterator[Path]:
    """Yield accepted rows, verdicts and keys of rejected rows of all months or weeks up to the end of a period."""
    last = period.parts[-1]
    for parent in (project.accepted(dataset.id), project.rejected(dataset.id)):
        for folder in parent.iterdir() if parent.is_dir() else ():
            kept = Period.parse(folder.name)
            if kept.kind == last.kind and kept <= last:
                yield from folder.iterdir()


def staged(project: Project, dataset: Dataset) -> Iterable[Path]:
    """Return the tables that the delivered files became, and what was delivered."""
    return project.staged(dataset.id).glob("*")
