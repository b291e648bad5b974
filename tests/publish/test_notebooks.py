"""Notebooks run with strict parameters, on this interpreter, and fail in words a user can act on."""

import json
import os
import sys
import threading
import time
from datetime import date

import pytest

from cxreport.config import Project
from cxreport.errors import DefinitionError, GateError, RunError, UsageError
from cxreport.publish import notebooks

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
def execute(project, tmp_path):
    """Return a function that executes notebooks and returns the printed text of each."""

    def execute(*chosen, processes=2, **parameters):
        values = {notebook.name: parameters for notebook in chosen}
        folder = tmp_path / "out"
        paths = notebooks.execute(project, chosen, folder, values, as_of=AS_OF, processes=processes)
        assert [path.parent for path in paths] == [folder] * len(chosen)
        return ["".join(printed(path)) for path in paths]

    return execute


def printed(path):
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            yield from output.get("text", [])


# --- reading ---


def test_defaults_are_the_literals_of_the_cell(add):
    """Plain and annotated assignments of literals are read without running anything."""
    loaded = add("a", parameters='# which\nperiod: str = "2026-09"\ntop = -3\nshares = [0.5, None]\n')
    assert loaded.defaults == {"period": "2026-09", "top": -3, "shares": [0.5, None]}


@pytest.mark.parametrize(
    "source",
    ["import os", "period = str()", "period = ", "a, b = 1, 2", "period: str", "x = y = 1", "period.x = 1"],
)
def test_parameters_that_are_no_plain_literals_are_refused(add, source):
    """A parameters cell that does anything but assign literals to names is an error."""
    with pytest.raises(DefinitionError, match="notebook `a`"):
        add("a", parameters=source)


def test_every_wrong_notebook_is_named_at_once(project, add):
    """Missing files, missing tags and unreadable files of one report are told together, with the nearest name."""
    add("40_kpis")
    (project.notebooks / "untagged.ipynb").write_text('{"cells": []}')
    (project.notebooks / "broken.ipynb").write_text("no JSON")
    with pytest.raises(DefinitionError) as raised:
        notebooks.load_all(project, ["40_kpi", "untagged", "broken"])
    assert "`40_kpi` has no file, did you mean `40_kpis`?" in raised.value.found
    assert "`untagged` has 0 code cells tagged `parameters`" in raised.value.found
    assert "`broken` is no readable notebook" in raised.value.found


# --- parameters ---


def test_unknown_parameter_names_the_nearest(add, execute):
    """A mistyped parameter name stops before a kernel starts."""
    with pytest.raises(UsageError, match="unknown parameter `peroid` of notebook `a`, did you mean `period`"):
        execute(add("a"), peroid="2026-09")


@pytest.mark.parametrize(
    ("declared", "value", "fits"),
    [
        ('""', "x", True),
        ('""', 1, False),
        ("1", 2, True),
        ("1", True, False),
        ("1", 1.5, False),
        ("1.5", 2, True),
        ("1.5", True, False),
        ("False", 0, False),
        ("[]", (1,), False),
        ("None", "anything", True),
    ],
)
def test_parameter_types_follow_the_defaults(add, declared, value, fits):
    """A value has the type of the declared default; a whole number also serves as a decimal one."""
    notebook = add("a", parameters=f"x = {declared}")
    if fits:
        notebooks.check_parameters(notebook, {"x": value})
    else:
        with pytest.raises(UsageError, match="parameter `x`"):
            notebooks.check_parameters(notebook, {"x": value})


def test_text_parameters_go_to_the_notebooks_that_declare_them(add):
    """Parameters from the command line take the declared type in each notebook."""
    chosen = [add("a", parameters='top = 3\nname = ""'), add("b", parameters="share = 0.5\nfull = False\ntop = 1.0")]
    shared = notebooks.share_out(chosen, {"top": "5", "name": "12", "share": "1", "full": "true"})
    assert shared == {"a": {"top": 5, "name": "12"}, "b": {"share": 1, "full": True, "top": 5}}
    assert shared["a"]["name"] == "12"


def test_text_parameters_that_fit_nowhere_are_told_together(add):
    """Names that no notebook declares and texts of another type are one error."""
    with pytest.raises(UsageError) as raised:
        notebooks.share_out([add("a", parameters="top = 3\nregion = ''")], {"top": "many", "regoin": "north"})
    assert "parameter `top` of notebook `a` reads as `str`, not `int`" in raised.value.found
    assert "`regoin`, did you mean `region`?" in raised.value.found


# --- execution ---


def test_kernel_is_this_interpreter_in_the_project(project, add, execute, monkeypatch, tmp_path):
    """A personal kernel called python3 is passed over; the cell runs here, in the root, with the fixed settings."""
    personal = tmp_path / "jupyter" / "kernels" / "python3"
    personal.mkdir(parents=True)
    spec = {"argv": ["/bin/false"], "display_name": "Other", "language": "python"}
    (personal / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    names = ("SOURCE_DATE_EPOCH", "PYTHONHASHSEED", "MPLBACKEND", "GX_ANALYTICS_ENABLED", "CXREPORT_ROOT")
    asked = f"import os, sys\nprint(sys.executable, os.getcwd(), *map(os.environ.get, {names}), period, sep='|')"
    [text] = execute(add("a", asked), period="2026-09")
    root = str(project.root)
    assert text.strip().split("|") == [sys.executable, root, "1790899200", "0", "Agg", "false", root, "2026-09"]


def test_executed_notebook_tells_no_machine_paths(project, add, execute, tmp_path):
    """Papermill's record of paths is reduced to file names."""
    execute(add("a", "1"), period="2026-09")
    assert str(project.root) not in (tmp_path / "out" / "a.ipynb").read_text()


def test_order_of_results_is_that_of_the_request(add, execute):
    """A slow first notebook still comes first."""
    slow = add("slow", "import time; time.sleep(1); print('slow')")
    assert execute(slow, add("quick", "print('quick')"), period="x") == ["slow\n", "quick\n"]


@pytest.mark.parametrize(("raised", "kind", "exit_code"), [("GateError", GateError, 1), ("UsageError", UsageError, 2)])
def test_our_errors_come_through_whole(add, execute, raised, kind, exit_code):
    """A known error raised in a cell keeps its class and its three sentences, and gains the place."""
    cell = f"from cxreport.errors import {raised}\nraise {raised}(found='rows\\nmissing', expected='rows', do='wait')"
    with pytest.raises(kind) as caught:
        execute(add("a", "1", cell), period="2026-09")
    assert caught.value.exit_code == exit_code
    assert caught.value.found == "rows\nmissing (notebook `a`, cell 3)"
    assert (caught.value.expected, caught.value.do) == ("rows", "wait")


def test_other_errors_name_the_cell_and_keep_the_message_to_themselves(add, execute, tmp_path):
    """A foreign message may quote data, so only the class is repeated; the kept notebook holds the traceback."""
    with pytest.raises(RunError) as caught:
        execute(add("a", "1", "2", "raise ValueError('ann@example.com')"))
    assert caught.value.found == "notebook `a`, cell 4 raised ValueError"
    assert "ValueError" in (tmp_path / "out" / "a.ipynb").read_text()


def test_full_disk_inside_a_cell_is_said(add, execute):
    """The operating system's own words are safe to repeat; the path behind them is not."""
    with pytest.raises(RunError, match=r"raised OSError, \[Errno 28\] No space left on device\n") as caught:
        execute(add("a", "raise OSError(28, 'No space left on device', '/private/place')"))
    assert "private" not in str(caught.value)


def test_notebook_that_leaves_early_is_an_error(add, execute):
    """A bare exit, which Papermill takes for success, does not publish half a notebook."""
    with pytest.raises(RunError, match="ended before its last cell"):
        execute(add("a", "import sys; sys.exit()", "print('never')"))


def test_kernel_that_dies_is_an_error(add, execute, capfd):
    """A kernel killed by the system ends the run in words, without noise on standard error."""
    with pytest.raises(RunError, match=r"the kernel of notebook `a` stopped"):
        execute(add("a", "import os; os._exit(9)"))
    assert capfd.readouterr().err == ""


def test_failure_stops_the_other_notebooks(add, execute):
    """When one notebook fails, a long one beside it is not waited for."""
    started = time.monotonic()
    with pytest.raises(RunError, match=r"notebook `b`"):
        execute(add("a", "import time; time.sleep(60)"), add("b", "1/0"))
    assert time.monotonic() - started < 30


def test_interrupt_ends_the_kernels(add, execute, tmp_path, monkeypatch):
    """An interrupt while waiting kills the kernels instead of leaving them at work."""
    mark = tmp_path / "pid"
    sleeper = add("a", f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")

    def interrupted(*_, **__):
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(notebooks, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute(sleeper)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_long_temporary_folder_falls_back_to_ports(tmp_path):
    """Unix socket paths have a limit; beyond it the kernel uses local ports."""
    assert notebooks._transport(tmp_path.with_name("x" * 120)) == "tcp"
