"""A small report with packs for two groups of regions, to disturb, and what its undisturbed runs publish."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import pytest
import yaml

from cxreport.config import Project
from cxreport.publish import archive
from cxreport.sample import write_sample

REPORT, PERIOD = "monthly", "2026-09"
PAGES = ["31_short_executive", "40_kpis"]
GROUPS = {
    "north_east": {"title": "North and East", "levels": ["north", "east"]},
    "south_west": {"title": "South and West", "levels": ["south", "west"]},
}
DAYS = ("2026-10-02", "2026-10-03")  # two issues that differ, so that a mixture of both would show
COMPARED = {".html", ".pdf", ".xlsx", ".pptx", ".parquet"}
LAST_PROCESS = 10  # seconds within which all processes of a run notice that it is gone
# Found in the variables of all processes of a run: kernels get those of Python.
MARK = "PYTHONSOAK"

Files = dict[str, bytes]


@dataclass(frozen=True)
class Company:
    """A project to disturb.

    Attributes
    ----------
    project
        As it is seen from here.
    root
        The project's folder as its runs see it.
    scratch
        For the temporary files of its runs.
    undisturbed
        What is published on each day by runs that nobody disturbs.
    within
        A command to run everything under.
    """

    project: Project
    root: Path
    scratch: Path
    undisturbed: dict[str, Files]
    within: tuple[str, ...] = ()

    # What a run has to do: what follows from the day, everything, or everything without earlier results.
    WAYS: ClassVar = ("changed", "forced", "forgotten")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a run as a user does, in a process group of its own."""
        command = [sys.executable, "-m", "cxreport", "run", "--renderer", "embedded", "-j", "2", *arguments]
        places = {"CXREPORT_ROOT": str(self.root), "TMPDIR": str(self.scratch), MARK: str(self.scratch)}
        return subprocess.Popen(
            [*self.within, *command],
            env=os.environ | places,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def publish(self, *arguments: str) -> float:
        """Run to the end and demand success; returns the seconds that it took."""
        start = time.monotonic()
        with self.start(*arguments) as run:
            _, told = run.communicate()
        assert run.returncode == 0, told
        return time.monotonic() - start

    def published(self) -> Files:
        """Return every published file that readers can find."""
        return files_of(self.project.output)

    def moved(self, project: Project, root: Path, within: tuple[str, ...] = ()) -> Self:
        """Return the company in another project, where its runs get by a command."""
        return replace(self, project=project, root=root, within=within)

    def begin(self, way: str) -> list[str]:
        """Return the arguments of a run that has one of `WAYS` of work to do, for the other day than the issue's."""
        if way == "forgotten":
            shutil.rmtree(self.project.cache, ignore_errors=True)
        return ["--as-of", self.other(self.standing()), *(["--force"] if way == "forced" else [])]

    def differing(self, wanted: Files) -> list[str]:
        """Return the names of published files that are not as they should be."""
        return differing(self.published(), wanted)

    def other(self, day: str) -> str:
        """Return the other day."""
        [other] = self.undisturbed.keys() - {day}
        return other

    def standing(self) -> str:
        """Return the day of the issue in the archive; demand that there is no other one, and no file of another day."""
        [issue] = archive.read_issues(self.project.output)
        assert (issue.report, issue.period.id) == (REPORT, PERIOD)
        own = files_of(issue.folder)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in own.items() if name != "run.json"}
        assert json.loads(own["run.json"])["outputs"] == hashes
        place = f"{REPORT}/{PERIOD}/"
        undisturbed = self.undisturbed[issue.as_of].items()
        wanted = {name.removeprefix(place): content for name, content in undisturbed if name.startswith(place)}
        assert differing(own, wanted) == []
        return issue.as_of

    def require_whole(self, *days: str) -> None:
        """Demand one issue, of one of these days, and an archive page that leads to nothing that is not there."""
        assert self.standing() in days
        output = self.project.output
        page = (output / archive.INDEX).read_text(encoding="utf-8")
        links = re.findall(r'<a\b[^>]* href="([^"#:]+)"', page)
        assert links
        assert [link for link in links if not (output / link).is_file()] == []

    def require_undisturbed(self, day: str) -> None:
        """Demand that all that is published is as an undisturbed run publishes it, and that nothing half is left."""
        assert self.differing(self.undisturbed[day]) == []
        assert self.left() == []

    def left(self) -> list[str]:
        """Return what is half-built or set aside."""
        found = (path.relative_to(self.project.root).as_posix() for path in self.project.root.rglob(".*"))
        return sorted(name for name in found if not name.endswith("/.lock"))

    def processes(self) -> list[int]:
        """Return the processes of its runs."""
        mark = f"{MARK}={self.scratch}".encode()
        return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in environment(path)]

    def require_no_process(self) -> None:
        """Demand that all processes of its runs end soon."""
        end = time.monotonic() + LAST_PROCESS
        while (running := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        assert running == []


def files_of(folder: Path) -> Files:
    """Return all files of a folder by path but hidden ones."""
    paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in paths.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def differing(found: Files, wanted: Files) -> list[str]:
    """Return the names of files that only one side has, or whose bytes differ although no run's time is in them."""
    names = found.keys() | wanted.keys()
    told = {name for name in names if Path(name).suffix in COMPARED and found.get(name) != wanted.get(name)}
    return sorted(told | (found.keys() ^ wanted.keys()))


def environment(path: Path) -> list[bytes]:
    """Return a process's variables; none where it has ended or is somebody else's."""
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


def write_project(copy_project, report: dict[str, object], folder: Path, groups: dict[str, object]) -> Project:
    """Write a project with a few months of the sample company and a short report for groups of regions."""
    project = copy_project(folder)
    write_sample(project.sample, months=4)
    (project.root / "reports" / "audiences").mkdir(exist_ok=True)
    (project.root / "reports" / "audiences" / "groups.yml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    path = project.definitions / f"{REPORT}.yml"
    own = report | {"present": PAGES, "audiences": {"by": "region", "groups": "reports/audiences/groups.yml"}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8")) | own), encoding="utf-8")
    return project


@pytest.fixture(scope="session", name="write_project")
def _write_project(copy_project, small_report) -> Callable[[Path, dict[str, object]], Project]:
    """Return a function that writes the project of a short report for groups of regions to a folder."""
    return lambda folder, groups: write_project(copy_project, small_report, folder, groups)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for temporary files, with a short path, so that kernels use Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="cx-soak-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def original(once, write_project) -> Path:
    """A folder with a company's `project`, published on the second day, and what each day's runs publish, by day."""

    def make(folder: Path) -> str:
        project = write_project(folder / "project", GROUPS)
        with tempfile.TemporaryDirectory(prefix="cx-soak-") as scratch:
            company = Company(project, project.root, Path(scratch), {})
            for day in (*DAYS, *DAYS):  # an issue that replaces another one can tell of it
                company.publish("--as-of", day)
                shutil.copytree(project.output, folder / day, dirs_exist_ok=True)
        return ""

    return once("disturbed", make)[0]


@pytest.fixture
def company(original, tmp_path, scratch) -> Company:
    """A copy of the company, to disturb."""
    project = Project(shutil.copytree(original / "project", tmp_path / "project", symlinks=True))
    return Company(project, project.root, scratch, {day: files_of(original / day) for day in DAYS})


@pytest.fixture
def small_company(small, tmp_path, scratch) -> Company:
    """A copy of the small company's project with its issue."""
    project = Project(shutil.copytree(small.project.root, tmp_path / "project", symlinks=True))
    return Company(project, project.root, scratch, {})
