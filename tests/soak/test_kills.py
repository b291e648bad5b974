"""Runs killed at random moments leave the last issue whole, or a whole new one, and the next run works."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from cxreport.publish import atomic

KILLS = 200
RESUMED = 4  # every so many kills the next run follows at once, and completes

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


def killed(company, arguments, moment, *, is_group):
    """Kill a run after some seconds, its whole group or its first process alone; says whether it still ran."""
    with company.start(*arguments) as run:
        try:
            run.wait(moment)
        except subprocess.TimeoutExpired:
            if is_group:
                os.killpg(run.pid, signal.SIGKILL)
            else:
                run.kill()
            return True
    return False


@pytest.mark.soak
def test_killed_runs_leave_a_whole_issue(company):
    """Two hundred runs killed anywhere: readers see one issue or the other, its record fits, and the next completes."""
    seeded = random.Random(20260901)
    took = {way: company.publish(*company.begin(way)) for way in company.WAYS}
    kills = 0
    while kills < KILLS:
        former, way = company.standing(), seeded.choice(company.WAYS)
        arguments = company.begin(way)
        # Every third kill aims at the end, where the issue is put in place.
        moment = seeded.uniform(0.0 if kills % 3 else 0.85, 1.0) * took[way]
        if not killed(company, arguments, moment, is_group=kills % 2 == 0):
            took[way] = moment  # the machine is faster than it was
            continue
        kills += 1
        company.require_whole(former, company.other(former))
        if kills % RESUMED == 0:
            company.publish("--as-of", company.other(former))
            company.require_undisturbed(company.other(former))
        company.require_no_process()
    company.publish(*company.begin("changed"))
    company.require_undisturbed(company.standing())


def test_run_whose_first_process_is_killed_leaves_no_process(small_company):
    """Workers, warm parents and kernels of a run end soon after it, and what was published stays as it was."""
    before = small_company.published()
    assert killed(small_company, ["--force"], 4, is_group=False)
    small_company.require_no_process()
    assert small_company.published() == before
