"""Temporary folders, and those that killed processes leave."""

import os
import signal
import subprocess
import sys

import pytest

from cxreport import scratch

LEAVE = """
import os, signal
from pathlib import Path
from cxreport.scratch import scratch
with scratch(Path()) as folder:
    (folder / "rows").write_text("personal")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_folder_is_empty_but_for_its_lock_and_goes(tmp_path):
    """Also when the work in it fails."""
    with scratch.scratch(tmp_path) as folder:
        assert [path.name for path in folder.iterdir()] == [".cx"]
    with pytest.raises(KeyError), scratch.scratch(tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_only_what_killed_processes_left_is_swept(tmp_path, monkeypatch):
    """What another process works in stays, and what has no lock or a new one, which may be about to be taken."""
    ended = subprocess.run([sys.executable, "-c", LEAVE], cwd=tmp_path, check=False)
    assert ended.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    (tmp_path / "cx-other").mkdir()
    with scratch.scratch(tmp_path) as used:
        scratch.sweep(tmp_path)
        assert left.exists()
        monkeypatch.setattr(scratch, "_NEW", -1)
        scratch.sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["cx-other", used.name])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may open everything")
def test_folder_of_another_user_is_left_alone(tmp_path, monkeypatch):
    """A lock that cannot be opened is not ours."""
    (tmp_path / "cx-a").mkdir()
    (tmp_path / "cx-a" / ".cx").touch(mode=0o000)
    monkeypatch.setattr(scratch, "_NEW", -1)
    scratch.sweep(tmp_path)
    assert (tmp_path / "cx-a").exists()
