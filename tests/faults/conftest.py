"""Copies of the small company's project, to break."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxreport.config import Project


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, str]:
        """Return the three sentences of the message."""
        lines = self.err.strip().splitlines()
        first = next(number for number, line in enumerate(lines) if line.startswith("Found:"))
        return {label: text.strip() for label, _, text in (line.partition(":") for line in lines[first:])}


@dataclass(frozen=True)
class Company:
    """A project with a published issue."""

    project: Project

    @property
    def left(self) -> Path:
        """Where everything lies that runs leave outside the project, such as temporary files and caches."""
        return self.project.root / "left"

    def run(self, *arguments: str, within: tuple[str, ...] = (), limit: Callable[[], None] | None = None) -> Ended:
        """Run the report as a user does; `within` is a command to run it under, `limit` is set in its process."""
        return self.command("-m", "cxreport", "run", *arguments, within=within, limit=limit)

    def command(self, *arguments: str, within: tuple[str, ...] = (), limit: Callable[[], None] | None = None) -> Ended:
        """Run Python with some arguments in the project."""
        inherited = {name: value for name, value in os.environ.items() if name != "CXREPORT_ROOT"}
        done = subprocess.run(
            [*within, sys.executable, *arguments],
            cwd=self.project.root,
            env=inherited | {path.name.upper(): str(path) for path in self.left.iterdir() if path.is_dir()},
            preexec_fn=limit,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def issues(self) -> dict[str, bytes]:
        """Return every file of an issue with its bytes, and the names of half-built leftovers.

        The archive's own pages, which tell of failures, stand beside the issues.
        """
        output = self.project.output
        files = (path for path in output.glob("*/*/**/*") if path.is_file())
        return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}

    def written(self, before: Path) -> list[Path]:
        """Return all files but the exports that are not the same in another folder."""
        root = self.project.root
        files = (path for path in root.rglob("*") if path.is_file() and self.project.sample not in path.parents)
        return [path for path in files if not _is_same(path, before / path.relative_to(root))]

    def raw(self, pattern: str) -> Path:
        """Return the one delivered file that matches a pattern."""
        [path] = self.project.sample.glob(pattern)
        return path


def _is_same(path: Path, other: Path) -> bool:
    return other.is_file() and path.stat().st_size == other.stat().st_size and path.read_bytes() == other.read_bytes()


@pytest.fixture
def published(small):
    """The small company with its issue, to look at."""
    return Company(small.project)


@pytest.fixture
def company(small, tmp_path):
    """Return a copy of the small company's project with its issue, to break."""
    return Company(Project(shutil.copytree(small.project.root, tmp_path / "project", symlinks=True)))
