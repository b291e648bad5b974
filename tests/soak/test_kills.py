"""Runs killed at random moments leave the last issue whole, or a whole new one, and the next run works."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxreport.config import Project
from cxreport.publish import archive, atomic
from cxreport.sample import write_sample

PARTS = ("notebooks", "reports", "expectations", "data/reference", "requirements")
DAYS = ("2026-10-02", "2026-10-03")  # two issues that differ, so that a mixture of both would show
PACK = "monthly/2026-09"
KILLS = 20
LATEST_KERNEL = 10  # seconds within which a kernel notices that its run is gone

PUBLISHER = """
import sys
from pathlib import Path
from cxreport.publish import atomic

output, number = Path(sys.argv[1]), int(sys.argv[2])
if sys.argv[3] == "renames":
    atomic._exchange = lambda *_: False
print("ready", flush=True)
while True:
    number += 1
    with atomic.reserved(output, print), atomic.building(output, "monthly", "2026-09") as folder:
        for name in ("report.html", "report.pdf", "run.json"):
            (folder / name).write_text(f"{number}\\n" * 5000)
    atomic.write_text(output / "index.html", f"{number}\\n" * 5000)
"""


# --- the exchange alone --------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["exchange", "renames"])
@pytest.mark.parametrize("kills", [6, pytest.param(300, marks=pytest.mark.soak)])
def test_killed_exchange_leaves_one_whole_issue(tmp_path, kills, way):
    """A publisher killed while it replaces issues over and over leaves one whole issue, with either kind of rename."""
    seeded = random.Random(f"{way} {kills}")
    output = tmp_path / "output"
    last = 0
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(output), str(last), way],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        ) as publisher:
            assert publisher.stdout.readline() == b"ready\n"
            time.sleep(seeded.uniform(0.005, 0.06))
            publisher.kill()
        if way == "exchange" and last:
            assert issue_number(output) >= last
        with atomic.reserved(output, print):
            pass
        # What may remain is a page beside the archive page, which the next publication overwrites.
        assert set(hidden(output)) <= {".index.html.new"}
        before, last = last, issue_number(output)
        assert last >= before
        # The archive page follows the issue, so it is whole and may lag behind, but never runs ahead.
        assert number_in(output / "index.html") <= last
    assert last > kills


def issue_number(output):
    """Return the number that all parts of the one issue carry; 0 before the first."""
    pack = output / "monthly" / "2026-09"
    if not pack.is_dir():
        return 0
    assert sorted(path.name for path in pack.iterdir()) == ["report.html", "report.pdf", "run.json"]
    [number] = {number_in(path) for path in pack.iterdir()}
    return number


def number_in(path):
    """Return the number that a whole file repeats; 0 where there is none yet."""
    if not path.exists():
        return 0
    lines = path.read_text().splitlines()
    assert len(lines) == 5000
    [number] = set(lines)
    return int(number)


def hidden(folder):
    """Return the names of half-built or set-aside leftovers."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(".*") if path.name != ".lock")


# --- whole runs ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Company:
    """A project of its own, with a folder for the temporary files of its runs."""

    project: Project
    scratch: Path

    def start(self, day):
        """Start a run as a user does, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "cxreport", "run", "--as-of", day, "--renderer", "embedded"],
            cwd=self.project.root,
            env={**os.environ, "CXREPORT_ROOT": str(self.project.root), "TMPDIR": str(self.scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def publish(self, day):
        """Run to the end; return what it said and the published files by path."""
        with self.start(day) as run:
            _, err = run.communicate()
        assert run.returncode == 0, err
        return err, self.published()

    def published(self):
        """Return every published file that readers can find, with its bytes."""
        output = self.project.output
        paths = [output / "index.html", *(path for path in output.glob("[!.]*/[!.]*/**/*") if path.is_file())]
        return {path.relative_to(output).as_posix(): path.read_bytes() for path in paths}

    def kernels(self):
        """Return the ids of the processes that still work on the project."""
        mark = f"CXREPORT_ROOT={self.project.root}".encode()
        return [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if mark in environment(path)]


def environment(path):
    """Return a process's variables; none where it has ended or is somebody else's."""
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


def is_whole(files, day, readable):
    """Say whether the files are the issue of a day: its page and PDF, and a record that fits every file."""
    record = json.loads(files[f"{PACK}/run.json"])
    pack = {name.removeprefix(f"{PACK}/"): content for name, content in files.items() if name.startswith(f"{PACK}/")}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in pack.items() if name != "run.json"}
    same = all(files[name] == content for name, content in readable.items())
    return same and record["as_of"] == day and record["outputs"] == hashes


@pytest.fixture
def company(root, tmp_path):
    """A project with a few months of the sample company, nothing published."""
    target = tmp_path / "project"
    for part in PARTS:
        ignored = shutil.ignore_patterns("output", "uncommitted", ".ipynb_checkpoints")
        shutil.copytree(root / part, target / part, ignore=ignored)
    write_sample(Project(target).sample, months=4)
    with tempfile.TemporaryDirectory(prefix="cx-soak-") as scratch:  # short, so that kernels use Unix sockets
        yield Company(Project(target), Path(scratch))


@pytest.mark.soak
def test_killed_runs_leave_a_whole_issue(company):
    """Twenty runs killed anywhere: readers see one issue or the other, its record fits, and the next run succeeds."""
    seeded = random.Random(20260901)
    issues, pages, took = {}, set(), 0.0
    for day in DAYS:
        start = time.monotonic()
        _, files = company.publish(day)
        took = time.monotonic() - start
        issues[day] = {name: files[name] for name in (f"{PACK}/{archive.HTML}", f"{PACK}/{archive.PDF}")}
        assert is_whole(files, day, issues[day])
        pages.add(files["index.html"])
    assert issues[DAYS[0]] != issues[DAYS[1]]

    kills = 0
    for attempt in range(2 * KILLS):
        before, day = company.published(), DAYS[attempt % 2]
        # Every third kill aims at the end, where the issue is put in place.
        moment = seeded.uniform(0.85 if attempt % 3 == 0 else 0.0, 1.0) * took
        start = time.monotonic()
        with company.start(day) as run:
            try:
                run.communicate(timeout=moment)
                took = time.monotonic() - start  # the machine is faster than it was
            except subprocess.TimeoutExpired:
                kills += 1
                os.killpg(run.pid, signal.SIGKILL)
                run.communicate()
        after = company.published()
        is_former = {**after, "index.html": b""} == {**before, "index.html": b""}
        assert is_former or is_whole(after, day, issues[day]), (
            f"attempt {attempt} after {moment:.1f} of {took:.1f} seconds"
        )
        assert after["index.html"] in pages
        assert dead_links(company.project.output, after["index.html"]) == []
        assert [issue.period.id for issue in archive.read_issues(company.project.output)] == ["2026-09"]
        deadline = time.monotonic() + LATEST_KERNEL
        while company.kernels() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert company.kernels() == []
        if kills == KILLS:
            break
    assert kills == KILLS

    said, files = company.publish(DAYS[1])
    assert "Waiting" not in said
    assert is_whole(files, DAYS[1], issues[DAYS[1]])
    assert [name for name in hidden(company.project.root) if "/." in name] == []


def dead_links(output, page):
    """Return the files that the archive page names and that are not there."""
    return [link for link in re.findall(r'<a\b[^>]* href="([^"#]+)"', page.decode()) if not (output / link).is_file()]
