"""Runs on a disk that fills up end in words and leave the last issue whole, and the next run completes."""

import os
import random
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxreport.config import Project

FULL = 20
PLENTY = 2**30  # bytes


@dataclass(frozen=True)
class Disk:
    """A disk in memory that is mounted at a folder, for a process and those that run within its view alone."""

    holder: int
    folder: Path

    @property
    def seen(self):
        """The folder as it is seen from everywhere."""
        return Path(f"/proc/{self.holder}/root{self.folder}")

    @property
    def within(self):
        """The command that runs another one where the disk is mounted."""
        return ("nsenter", "--mount", f"--target={self.holder}")

    @property
    def used(self):
        told = os.statvfs(self.seen)
        return (told.f_blocks - told.f_bfree) * told.f_frsize

    def leave(self, room):
        """Leave so many bytes of room."""
        size = f"remount,size={self.used + room}"
        subprocess.run([*self.within, "mount", "-o", size, self.folder], check=True)


@pytest.fixture
def disk(tmp_path):
    """An empty disk; skips where nothing can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    script = 'mount -t tmpfs none "$0" && echo ready && exec sleep infinity'
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("no unshare and nsenter here: no disk can be mounted for a test alone")
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, folder], stdout=subprocess.PIPE, text=True
    ) as holder:
        if holder.stdout.readline() != "ready\n":
            pytest.skip("this machine permits no private mounts")
        yield Disk(holder.pid, folder)
        holder.kill()


@pytest.fixture
def company_on_disk(company, disk):
    """The company on a disk of its own."""
    project = Project(shutil.copytree(company.project.root, disk.seen / "project", symlinks=True))
    return company.moved(project, disk.folder / "project", disk.within)


def most_used(company, disk, arguments):
    """Run to the end; return how many bytes more than before were used meanwhile."""
    before = most = disk.used
    with company.start(*arguments) as run:
        while run.poll() is None:
            most = max(most, disk.used)
            time.sleep(0.02)
    assert run.returncode == 0
    return most - before


@pytest.mark.soak
def test_full_disks_leave_a_whole_issue(company_on_disk, disk):
    """Twenty runs without enough room: each says so, the last issue stays whole, and with room the next completes."""
    seeded, company = random.Random(20260902), company_on_disk
    disk.leave(PLENTY)
    need = most_used(company, disk, company.begin("forgotten"))
    full = 0
    while full < FULL:
        former, arguments = company.standing(), company.begin(seeded.choice(company.WAYS))
        disk.leave(int(seeded.uniform(0, need)))
        with company.start(*arguments) as run:
            _, told = run.communicate()
        company.require_whole(former, company.other(former))
        if run.returncode:
            full += 1
            assert run.returncode == 1, told
            assert "No space left on device" in told
        disk.leave(PLENTY)
        company.publish("--as-of", company.other(former))
        company.require_undisturbed(company.other(former))
    company.require_no_process()
