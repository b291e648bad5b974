"""Notebooks run on this interpreter, within limits, and fail in words a user can act on."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from datetime import date

import pytest

import cxreport
from cxreport.config import Limits, Project
from cxreport.errors import GateError, RunError, UsageError
from cxreport.publish import execution, notebooks
from cxreport.publish.kernels import confine, owner

AS_OF = date(2026, 10, 2)


def code(source, *tags):
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source.splitlines(keepends=True)}


@pytest.fixture
def project(tmp_path):
    """Return a project in a folder whose name needs care."""
    root = tmp_path / "a {project} of ours"
    (root / "notebooks").mkdir(parents=True)
    return Project(root)


@pytest.fixture
def add(project):
    """Return a function that adds a notebook and loads it."""

    def add(name, *cells, parameters='period = ""'):
        cells = [code(parameters, "parameters"), *map(code, cells)]
        for number, cell in enumerate(cells):
            cell.update(id=f"c{number}", outputs=[], execution_count=None)
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path = project.notebooks / f"{name}.ipynb"
        path.write_text(json.dumps(content), encoding="utf-8")
        return notebooks.load(path)

    return add


@pytest.fixture
def run(project, tmp_path):
    """Return a function that executes a notebook and returns its printed text."""

    def run(notebook, limits=None, access=None, **parameters):
        path = execution.execute(
            project, notebook, tmp_path / "out", parameters, as_of=AS_OF, limits=limits, access=access
        )
        assert path == tmp_path / "out" / notebook.path.name
        return "".join(printed(path))

    return run


def printed(path):
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            yield from output.get("text", [])


def test_kernel_is_this_interpreter_in_the_project(project, add, run, monkeypatch, tmp_path):
    """A personal kernel called python3 is passed over; the cell runs here, in the root, with the fixed settings."""
    personal = tmp_path / "jupyter" / "kernels" / "python3"
    personal.mkdir(parents=True)
    spec = {"argv": ["/bin/false"], "display_name": "Other", "language": "python"}
    (personal / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    names = ("SOURCE_DATE_EPOCH", "PYTHONHASHSEED", "MPLBACKEND", "GX_ANALYTICS_ENABLED", "CXREPORT_ROOT")
    asked = f"import os, sys\nprint(sys.executable, os.getcwd(), *map(os.environ.get, {names}), period, sep='|')"
    text = run(add("a", asked), period="2026-09")
    root = str(project.root)
    assert text.strip().split("|") == [sys.executable, root, "1790899200", "0", "Agg", "false", root, "2026-09"]


def test_kernel_runs_the_package_that_starts_it(project, add, run):
    """A package in the project's folder is not taken for the one that runs, under whose version results are kept."""
    (project.root / "cxreport").mkdir()
    (project.root / "cxreport" / "__init__.py").write_text("raise RuntimeError")
    found = run(add("a", "import cxreport, sys\nprint(cxreport.__file__, '' in sys.path)"), period="2026-09")
    assert found.split() == [cxreport.__file__, "False"]


def test_secrets_do_not_reach_a_notebook(add, run, monkeypatch):
    """A kernel gets the variables that programs need to run, not those that carry secrets, whatever their names."""
    secrets = ("CXREPORT_SMTP_PASSWORD", "CXREPORT_HASH_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "OTHER")
    for name in secrets:
        monkeypatch.setenv(name, "plainly secret")
    monkeypatch.setenv("LC_TIME", "C")
    told = json.loads(run(add("a", "import json, os\nprint(json.dumps(dict(os.environ)))"), period="2026-09"))
    assert "plainly secret" not in told.values()
    assert {"PATH", "LC_TIME", "CXREPORT_ROOT"} <= told.keys()


def test_kernels_have_imported_what_present_notebooks_import(root):
    """The process that kernels are forked from has imported every module of ours that a present notebook names."""
    named = set()
    for path in (root / "notebooks").glob("[3-9]*.ipynb"):
        source = "".join(part for cell in json.loads(path.read_text())["cells"] for part in [*cell["source"], "\n"])
        for package, names in re.findall(r"^from (cxreport[.\w]*) import (.+)$", source, re.MULTILINE):
            named |= {f"{package}.{name}" for name in names.split(", ")} if package == "cxreport.present" else {package}
    assert len(named) > 10
    script = f"import sys, {', '.join(execution._IMPORTS)}\nprint(*({named!r} - sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"


def test_executed_notebook_tells_no_machine_paths(project, add, run, tmp_path):
    """Papermill's record of paths is reduced to file names."""
    run(add("a", "1"), period="2026-09")
    assert str(project.root) not in (tmp_path / "out" / "a.ipynb").read_text()


@pytest.mark.parametrize(("raised", "kind", "exit_code"), [("GateError", GateError, 1), ("UsageError", UsageError, 2)])
def test_our_errors_come_through_whole(add, run, raised, kind, exit_code):
    """A known error raised in a cell keeps its class and its three sentences, and gains the place."""
    cell = f"from cxreport.errors import {raised}\nraise {raised}(found='rows\\nmissing', expected='rows', do='wait')"
    with pytest.raises(kind) as caught:
        run(add("a", "1", cell), period="2026-09")
    assert caught.value.exit_code == exit_code
    assert caught.value.found == "rows\nmissing (notebook `a`, cell 3)"
    assert (caught.value.expected, caught.value.do) == ("rows", "wait")


def test_other_errors_name_the_cell_and_keep_the_message_to_themselves(add, run, tmp_path):
    """A foreign message may quote data, so only the class is repeated; the kept notebook holds the traceback."""
    with pytest.raises(RunError) as caught:
        run(add("a", "1", "2", "raise ValueError('ann@example.com')"))
    assert caught.value.found == "notebook `a`, cell 4 raised ValueError"
    assert "ValueError" in (tmp_path / "out" / "a.ipynb").read_text()


@pytest.mark.parametrize("words", ["No space left on device", "Error writing bytes to private.parquet"])
def test_full_disk_inside_a_cell_is_said(add, run, words):
    """The operating system's own words are safe to repeat; the path behind them is not, nor are a library's words."""
    with pytest.raises(RunError, match=r"raised OSError, \[Errno 28\] No space left on device\n") as caught:
        run(add("a", f"raise OSError(28, {words!r}, '/private/place')"))
    assert "private" not in str(caught.value)


def test_notebook_that_leaves_early_is_an_error(add, run):
    """A bare exit, which Papermill takes for success, does not publish half a notebook."""
    with pytest.raises(RunError, match="ended before its last cell"):
        run(add("a", "import sys; sys.exit()", "print('never')"))


def test_kernel_that_dies_is_an_error(add, run, capfd):
    """A kernel killed by the system ends the run in words, without noise on standard error."""
    with pytest.raises(RunError, match=r"the kernel of notebook `a` stopped"):
        run(add("a", "import os; os._exit(9)"))
    assert capfd.readouterr().err == ""


def test_interrupt_ends_the_kernels(add, run, tmp_path, monkeypatch):
    """An interrupt while waiting kills the kernels instead of leaving them at work."""
    mark = tmp_path / "pid"
    sleeper = add("a", f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")

    def interrupted(*_, **__):
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(sleeper)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_long_temporary_folder_falls_back_to_ports(tmp_path):
    """Unix socket paths have a limit; beyond it the kernel uses local ports."""
    assert execution._transport(tmp_path.with_name("x" * 120)) == "tcp"


# --- limits ---

needs_network_limit = pytest.mark.skipif(confine.unsupported()["network"] != "", reason="no network limit here")
needs_file_limit = pytest.mark.skipif(confine.unsupported()["files"] != "", reason="no limit on files here")


def test_notebook_that_hangs_is_ended(add, run):
    """After the minutes that the report allows the kernel is killed and the notebook named."""
    started = time.monotonic()
    with pytest.raises(RunError, match=r"notebook `a` ran longer than 0\.03 minutes"):
        run(add("a", "import time; time.sleep(60)"), limits=Limits(minutes=0.03))
    assert time.monotonic() - started < 30


def test_notebook_that_wants_too_much_memory_ends(add, run):
    """A kernel has as much memory as the report allows, and what asks for more fails there."""
    with pytest.raises(RunError, match="MemoryError"):
        run(add("a", "block = bytearray(3 << 30)"), limits=Limits(memory_mb=1024))


def test_kernel_that_is_killed_is_named_with_the_signal(add, run):
    """As when the system runs out of memory."""
    if owner.unsupported():
        pytest.skip("kernels are not forked here")
    with pytest.raises(RunError, match=r"stopped \(signal 9\)"):
        run(add("a", f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"))


@needs_network_limit
def test_notebook_reaches_no_network_unless_it_may(add, run):
    """A listener on this machine is out of reach, as everything beyond it is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ask = add("a", f"import socket\nprint(socket.socket().connect_ex(('127.0.0.1', {port})) == 0)")
        assert run(ask) == "False\n"
        assert run(ask, access=execution.Access(network=True)) == "True\n"


@needs_file_limit
def test_page_reads_what_it_is_made_from_and_nothing_else(project, add, run):
    """Another file of the project cannot be read, nor any be written, and the message says what to do."""
    for name in ("own.txt", "other.txt"):
        (project.root / name).write_text(name)
    access = execution.Access(files=(project.root / "own.txt",))
    assert run(add("a", "print(open('own.txt').read())"), access=access) == "own.txt\n"
    for source in ("open('other.txt')", "open('new.txt', 'w')", "open('own.txt', 'a')"):
        with pytest.raises(RunError, match="raised PermissionError") as refused:
            run(add("a", source), access=access)
        assert "`reads`" in refused.value.do
    for source in ("import pandas; pandas.read_csv('other.txt')", "import duckdb; duckdb.sql(\"from 'other.txt'\")"):
        with pytest.raises(RunError):
            run(add("a", source), access=access)
    drawn = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig(__import__('io').BytesIO())\nprint('drawn')"
    assert run(add("a", drawn), access=access) == "drawn\n"
