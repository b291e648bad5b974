"""One published pack of the sample company and one of the real survey, made as a user makes them."""

import fcntl
import os
import re
import shlex
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


def readme_commands(root: Path) -> list[str]:
    """Return the commands of all shell blocks of the README, in order, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def run(project: Project, command: str) -> str:
    """Run a command line in a project as a user with the environment active would; demand success."""
    tools = Path(sys.executable).parent
    result = subprocess.run(
        shlex.split(command),
        cwd=project.root,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def lend_environment(root: Path, project: Project) -> bool:
    """Give a copy the environment that make set up here, so that its targets need not; say whether there is one."""
    ready = root / ".venv" / ".ready"
    sources = [root / "requirements" / "run.lock", root / "pyproject.toml"]
    if not ready.exists() or any(source.stat().st_mtime > ready.stat().st_mtime for source in sources):
        return False
    (project.root / ".venv").symlink_to(root / ".venv")
    return True


@pytest.fixture(scope="session")
def pack(root, tmp_path_factory):
    """The sample company's default report, from a bare clone to published, by the README's first command.

    Test processes share it: the first one that needs it makes it.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    printed = base / "pack" / "stdout"
    with (base / "pack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.is_file():
            project = copy_project(root, base / "pack" / "project")
            by_make = lend_environment(root, project)
            printed.write_text(run(project, "make report" if by_make else "cxreport run"))
    project = Project(base / "pack" / "project")
    return Made(project, "monthly", "sample", Period.parse("2026-09"), printed.read_text())


@pytest.fixture(scope="session")
def second_pack(pack, root, tmp_path_factory):
    """The same report in another folder, step by step: the README's `cxreport` and `papermill` commands in order."""
    project = copy_project(root, tmp_path_factory.mktemp("again") / "elsewhere")
    shutil.copytree(pack.project.sample, project.sample, dirs_exist_ok=True)
    commands = [line for line in readme_commands(root) if line.startswith(("cxreport ", "papermill "))]
    assert {shlex.split(line)[1] for line in commands} >= {"sample", "ingest", "validate", "measure", "run", "open"}
    stdout = "".join(run(project, line) for line in commands)
    return Made(project, "monthly", "sample", Period.parse("2026-09"), stdout)


@pytest.fixture(scope="session")
def sfo(root, shared, tmp_path_factory):
    """The real survey's report, with the shared folder beside the project copy."""
    base = tmp_path_factory.mktemp("sfo")
    (base / "shared").symlink_to(shared.resolve())
    project = copy_project(root, base / "project")
    stdout = run(project, "cxreport run --report sfo --period 2017-05")
    return Made(project, "sfo", "sfo", Period.parse("2017-05"), stdout)


@pytest.fixture(scope="session")
def readme(root):
    """The README's commands."""
    return readme_commands(root)
