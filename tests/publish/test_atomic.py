"""A pack appears whole or not at all, whatever interrupts its making."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cxreport.errors import RunError
from cxreport.publish import atomic


def publish(output, text, period="2026-09"):
    with atomic.building(output, "monthly", period) as folder:
        (folder / "report.html").write_text(text)
    return output / "monthly" / period


@pytest.fixture
def output(tmp_path):
    with atomic.reserved(tmp_path / "output", lambda _: None):
        yield tmp_path / "output"


def hidden(output):
    return sorted(path.name for path in output.rglob(".*") if path.name != ".lock")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_new_issue_replaces_the_earlier_one(output, monkeypatch, can_exchange):
    """The new issue stands alone at the place of the earlier one, with or without an exchanging rename."""
    if not can_exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    pack = publish(output, "first")
    (pack / "old.txt").write_text("only in the first issue")
    publish(output, "second")
    assert [path.name for path in pack.iterdir()] == ["report.html"]
    assert (pack / "report.html").read_text() == "second"
    assert hidden(output) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_interrupted_building_leaves_the_earlier_issue(output, error):
    """Whatever is raised while building, the earlier issue stays and nothing half-built remains."""
    pack = publish(output, "first")

    def interrupted():
        with atomic.building(output, "monthly", "2026-09") as folder:
            (folder / "report.html").write_text("second")
            raise error

    with pytest.raises(error):
        interrupted()
    assert (pack / "report.html").read_text() == "first"
    assert hidden(output) == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc to tell files by")
def test_pack_is_on_the_disk_before_it_is_put_in_place(output, monkeypatch):
    """Every file and folder of a pack is flushed before the rename, and the folder that holds it afterwards."""
    steps = []
    flush, put = os.fsync, atomic._put_in_place

    def flushed(file):
        steps.append(Path(f"/proc/self/fd/{file}").readlink().name)
        flush(file)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(atomic, "_put_in_place", lambda *places: (steps.append("rename"), put(*places)))
    with atomic.building(output, "monthly", "2026-09") as folder:
        (folder / "all").mkdir()
        (folder / "all" / "report.html").write_text("page")
    assert sorted(steps[:3]) == sorted([folder.name, "all", "report.html"])
    assert steps[3:] == ["rename", "monthly"]


def test_issue_set_aside_by_a_killed_run_comes_back(tmp_path):
    """A run killed between its two renames is undone by the next run."""
    output = tmp_path / "output"
    aside = output / "monthly" / ".replaced-2026-09"
    aside.mkdir(parents=True)
    (aside / "report.html").write_text("first")
    (output / ".building-monthly-2026-09-1").mkdir()
    with atomic.reserved(output, lambda _: None):
        assert (output / "monthly" / "2026-09" / "report.html").read_text() == "first"
        assert hidden(output) == []


def test_second_run_waits_for_the_first(output):
    """Two runs never work in one output folder at the same time; the second one says that it waits."""
    script = textwrap.dedent(f"""
        from pathlib import Path
        from cxreport.publish import atomic
        with atomic.reserved(Path({str(output)!r}), lambda line: print(line, flush=True)):
            print("working", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout.readline() == "Waiting for another run to finish\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=0.3)
        second.kill()


def test_system_errors_name_the_place_inside_the_project_only(tmp_path):
    """A full disk becomes a run error; folders outside the project are not spelled out."""
    with pytest.raises(RunError, match=r"No space left on device at `reports/output`"), atomic.disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "reports" / "output"))
    with pytest.raises(RunError, match=r"^found: No space left on device\n"), atomic.disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "Error writing bytes to file")  # as libraries say it
    with pytest.raises(RunError, match=r"at `somewhere`"), atomic.disk_errors(tmp_path):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), "/private/somewhere")


def test_refused_exchange_is_an_error(tmp_path):
    """An exchange that fails for another reason than missing support is not taken for missing support."""
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError):
        atomic._exchange(tmp_path / "one", tmp_path / "none")


def test_text_is_written_in_one_step(tmp_path):
    """A file that cannot be written whole keeps its earlier content and leaves no companion."""
    page = tmp_path / "index.html"
    atomic.write_text(page, "first")
    with pytest.raises(UnicodeEncodeError):
        atomic.write_text(page, "\ud800")
    assert page.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
