"""One published pack of the sample company and one of the real survey, made as a user makes them."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cxreport.config import Project
from cxreport.periods import Period

PARTS = [
    "notebooks",
    "reports",
    "expectations",
    "data/reference",
    "data/sample",
    "requirements",
    "Makefile",
    "pyproject.toml",
]


def pytest_collection_modifyitems(items):
    """Keep the tests of a pack on one worker, so that it is made once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            group = "sfo" if "sfo" in item.path.name else "pack"
            item.add_marker(pytest.mark.xdist_group(group))


@dataclass(frozen=True)
class Made:
    """A finished run: its project, report, period and what the command printed."""

    project: Project
    report: str
    dataset: str
    period: Period
    stdout: str

    @property
    def folder(self) -> Path:
        return self.project.published(self.report, self.period)

    @property
    def html(self) -> Path:
        return self.folder / "all" / "report.html"

    @property
    def pdf(self) -> Path:
        return self.folder / "all" / "report.pdf"

    def estimates(self) -> pd.DataFrame:
        return pq.read_table(self.project.measured(self.report, self.period) / "estimates.parquet").to_pandas()


def copy_project(root: Path, target: Path) -> Project:
    """Copy what a clone holds, without anything that was made."""
    made = shutil.ignore_patterns("output", "uncommitted", "__pycache__", ".ipynb_checkpoints", "*.csv")
    for part in PARTS:
        source = root / part
        if source.is_dir():
            keep_csv = part == "data/reference"
            shutil.copytree(source, target / part, ignore=None if keep_csv else made)
        else:
            shutil.copy2(source, target / part)
    return Project(target)


def command(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `cxreport` in a project as a user would."""
    environment = {name: value for name, value in os.environ.items() if name != "CXREPORT_ROOT"}
    return subprocess.run(
        [sys.executable, "-m", "cxreport", *arguments],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def make(project: Project, report: str, dataset: str, period: str, *, named: bool) -> Made:
    """Run a report and demand success."""
    result = command(project, "run", "--report", report, *(["--period", period] if named else []))
    assert result.returncode == 0, result.stdout + result.stderr
    return Made(project, report, dataset, Period.parse(period), result.stdout)


@pytest.fixture(scope="session")
def pack(root, tmp_path_factory):
    """The sample company's default report, from nothing to published, without naming the period."""
    project = copy_project(root, tmp_path_factory.mktemp("pack") / "project")
    return make(project, "monthly", "sample", "2026-09", named=False)


@pytest.fixture(scope="session")
def second_pack(pack, root, tmp_path_factory):
    """The same command once more, in another folder with the same exports."""
    project = copy_project(root, tmp_path_factory.mktemp("again") / "elsewhere")
    shutil.copytree(pack.project.sample, project.sample, dirs_exist_ok=True)
    return make(project, "monthly", "sample", "2026-09", named=True)


@pytest.fixture(scope="session")
def sfo(root, shared, tmp_path_factory):
    """The real survey's report, with the shared folder beside the project copy."""
    base = tmp_path_factory.mktemp("sfo")
    (base / "shared").symlink_to(shared.resolve())
    project = copy_project(root, base / "project")
    return make(project, "sfo", "sfo", "2017-05", named=True)
