"""A forked kernel is an ordinary one in all but its start: clean, with chance and threads of its own."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook


def test_forked_kernel_is_like_an_ordinary_one(facts):
    """Arguments, settings, locale, streams, signals, limits, drawing and names are those of an ordinary kernel."""
    ordinary, forked, _ = facts
    assert forked["same"] == ordinary["same"]


def test_nothing_more_is_open(facts):
    """A forked kernel has no file, socket or pipe open that an ordinary one has not."""
    ordinary, *forked = [Counter(told["opened"]) for told in facts]
    assert [kernel - ordinary for kernel in forked] == [Counter(), Counter()]


def test_no_state_passes_between_kernels(facts):
    """What one kernel changes in modules, settings, folder or drawing is not seen by the next."""
    _, first, second = facts
    assert second["same"] == first["same"]


def test_chance_differs_between_kernels(facts):
    """Random numbers, unique ids and temporary names are fresh in every kernel."""
    for name in facts[0]["chance"]:
        assert len({told["chance"][name] for told in facts}) == len(facts), name


def test_threads_and_processes_work(warm):
    """The parent has one thread; a kernel's BLAS, Arrow, DuckDB and joblib start theirs, and processes."""
    code = """
import os, duckdb, joblib, numpy as np, pyarrow as pa, pyarrow.compute as pc
a = np.random.default_rng(1).random((600, 600))
print(np.allclose(a @ np.linalg.inv(a), np.eye(600)))
print(pc.sum(pa.chunked_array([range(1000)] * 50)).as_py())
print(duckdb.connect().sql("SET threads = 2; SELECT sum(range) FROM range(1000000)").fetchall())
print(joblib.Parallel(2, "threading")(joblib.delayed(abs)(-i) for i in range(4)))
print(joblib.Parallel(2, "multiprocessing")(joblib.delayed(abs)(-i) for i in range(4)))
print(len(os.listdir(f"/proc/{os.getppid()}/task")))
"""
    with warm() as kernel:
        told = kernel.run(code).splitlines()
    assert told == ["True", "24975000", "[(499999500000,)]", "[0, 1, 2, 3]", "[0, 1, 2, 3]", "1"]


def test_notebook_gives_the_same_outputs(start, warm):
    """Text, tables, pictures, errors and prints of the C library come out as from an ordinary kernel."""
    cells = [
        "import ctypes, sys, time, matplotlib.pyplot as plt, pandas as pd\nprint('one'); print('two', file=sys.stderr)",
        "plt.plot([1, 3, 2])",
        "pd.DataFrame({'a': [1, 2]})",
        "libc = ctypes.CDLL(None)\n_ = libc.puts(b'three'), libc.fflush(None), time.sleep(0.5)",
        "%env MARK",
        "!echo four",
        "1 / 0",
    ]
    outputs = []
    for kind in (start, warm):
        with kind() as kernel:
            notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
            client = NotebookClient(notebook, km=kernel.manager, allow_errors=True)
            client.kc = kernel.client
            client.execute()
            text = nbformat.writes(notebook)
            # What differs from one ordinary kernel to the next: process id, addresses, ids, times.
            outputs.append(
                [cell["outputs"] for cell in json.loads(re.sub(r"ipykernel_\d+|0x[0-9a-f]+", "", text))["cells"]]
            )
    ordinary, forked = outputs
    assert forked == ordinary
    assert "image/png" in str(forked[1])
    assert "three" in str(forked[3])
    assert "of this kernel" in str(forked[4])


def test_kernel_is_reached_through_no_port(warm):
    """With sockets in files the only port is the one by which ipykernel hears its own subprocesses."""
    with warm() as kernel:
        assert len(listening(kernel.provisioner.pid)) == 1
    with warm(network=False) as kernel:
        assert kernel.provisioner.unconfined or listening(kernel.provisioner.pid) == []


def listening(pid):
    """Return the ports of this machine that a process listens on."""
    sockets = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    lines = [
        line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]
    ]
    return [line[1] for line in lines if f"socket:[{line[9]}]" in sockets]


def test_kernels_over_ports_are_forked_too(warm):
    """The default transport of notebook programs works."""
    with warm(transport="tcp") as kernel:
        assert kernel.run("print(6 * 7)") == "42\n"


def test_package_uses_nothing_else_of_the_project(root):
    """The provisioner could be released alone."""
    for path in (root / "cxreport" / "publish" / "kernels").glob("*.py"):
        used = re.findall(r"(?:from|import) (cxreport[\w.]*)", path.read_text(encoding="utf-8"))
        assert [name for name in used if not name.startswith("cxreport.publish.kernels")] == []


@pytest.fixture
def installed(tmp_path, run_module):
    """Return variables under which a warm kernel is installed for any Jupyter program."""
    shim = tmp_path / "shim" / "warm_kernels_shim-1.dist-info"
    shim.mkdir(parents=True)
    (shim / "METADATA").write_text("Metadata-Version: 2.1\nName: warm-kernels-shim\nVersion: 1\n", encoding="utf-8")
    (shim / "entry_points.txt").write_text(
        "[jupyter_client.kernel_provisioners]\ncxreport-warm = cxreport.publish.kernels.provisioner:WarmProvisioner\n",
        encoding="utf-8",
    )
    printed = run_module(
        "cxreport.publish.kernels", "install", "--import", "pandas", "--prefix", str(tmp_path / "place")
    )
    assert Path(printed.strip()).name == "warm"
    return {"PYTHONPATH": str(shim.parent), "JUPYTER_PATH": str(tmp_path / "place" / "share" / "jupyter")}


def test_bare_papermill_uses_warm_kernels(root, tmp_path, installed, run_module):
    """The example of the documentation executes notebooks by plain Papermill."""
    for name in ("a", "b"):
        cells = [new_code_cell("import os, pandas\nprint(open(f'/proc/{os.getppid()}/cmdline').read())")]
        nbformat.write(new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    (tmp_path / "out").mkdir()
    notebooks = [str(tmp_path / f"{name}.ipynb") for name in ("a", "b")]
    script = root / "docs" / "examples" / "warm_kernels.py"
    told = run_module(str(script), str(tmp_path / "out"), *notebooks, **installed)
    assert re.fullmatch(r"a: [\d.]+ s\nb: [\d.]+ s\n", told)
    for name in ("a", "b"):
        assert "cxreport.publish.kernels.parent" in (tmp_path / "out" / f"{name}.ipynb").read_text(encoding="utf-8")


def test_specification_names_this_interpreter(tmp_path, run_module):
    """The installed kernel runs the interpreter that installed it, with the modules that were named."""
    place = run_module(
        "cxreport.publish.kernels", "install", "--import", "a", "--import", "b", "--prefix", str(tmp_path)
    )
    content = json.loads((Path(place.strip()) / "kernel.json").read_text(encoding="utf-8"))
    assert content["argv"][0] == sys.executable
    assert content["metadata"]["kernel_provisioner"]["config"] == {"imports": ["a", "b"]}
