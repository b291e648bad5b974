"""What a kernel may do: no network, so much memory, listed files; where the system allows it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cxreport.publish.kernels import confine
from cxreport.publish.kernels.confine import Limits

KINDS = ["forked", "ordinary"]


@pytest.fixture
def confined(start, imports, monkeypatch):
    """Return a context manager for a confined kernel of a kind."""

    def confined(kind, **limits):
        if kind == "ordinary":
            monkeypatch.setattr("cxreport.publish.kernels.owner.unsupported", lambda: "of this test")
        return start({"imports": imports} | limits)

    return confined


@pytest.fixture
def needs():
    """Return a function that skips where the system cannot limit something."""

    def needs(name):
        if reason := confine.unsupported()[name]:
            pytest.skip(f"{name} cannot be limited here: {reason}")

    return needs


@pytest.mark.parametrize("kind", KINDS)
def test_network_is_out_of_reach(confined, needs, kind):
    """A port of this machine is refused; a port of the kernel's own, and Unix sockets, work."""
    needs("network")
    code = """
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=5)
except OSError as error:
    print(type(error).__name__)
with socket.create_server(("127.0.0.1", 0)) as server:
    print(bool(socket.create_connection(server.getsockname(), timeout=5).close() is None))
print(bool(socket.socketpair()))
"""
    with socket.create_server(("127.0.0.1", 0)) as listener, confined(kind, network=False) as kernel:
        assert kernel.provisioner.unconfined == {}
        told = kernel.run(code.format(port=listener.getsockname()[1]))
    assert told == "ConnectionRefusedError\nTrue\nTrue\n"


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_out_of_reach(confined, needs, tmp_path, kind):
    """Outside files are refused, listed ones are read only, the writable folder is written; programs obey too."""
    needs("files")
    for name in ("outside", "listed", "scratch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name, encoding="utf-8")
    code = f"""
import os, subprocess, tempfile
import matplotlib.pyplot as plt, pandas as pd
os.chdir({str(tmp_path)!r})
def attempt(act):
    try:
        print(act())
    except OSError as error:
        print(type(error).__name__)
attempt(lambda: open("outside/file").read())
attempt(lambda: os.listdir("outside"))
attempt(lambda: open("outside/new", "w").write("x"))
attempt(lambda: os.unlink("outside/file"))
attempt(lambda: open("listed/file").read())
attempt(lambda: open("listed/file", "a").write("x"))
attempt(lambda: open("scratch/new", "w").write("x"))
attempt(lambda: os.rename("scratch/new", "scratch/renamed"))
attempt(lambda: subprocess.run(["cat", "outside/file"], capture_output=True).returncode)
attempt(lambda: tempfile.TemporaryFile().write(b"xx"))
attempt(lambda: plt.plot([1, 2])[0].figure.savefig("scratch/plot.svg"))
attempt(lambda: pd.DataFrame({{"a": [1]}}).to_parquet("scratch/a.parquet"))
"""
    listed, scratch = str(tmp_path / "listed"), str(tmp_path / "scratch")
    with confined(kind, readable=[listed], writable=[scratch]) as kernel:
        assert kernel.provisioner.unconfined == {}
        told = kernel.run(code).replace("<Figure size 640x480 with 1 Axes>", "").split()
    denied = "PermissionError"
    assert told == [denied, denied, denied, denied, "listed", denied, "1", "None", "1", "2", "None", "None"]


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_limited(confined, needs, kind):
    """Too large an array is a MemoryError, and the kernel goes on; ordinary work fits."""
    needs("memory")
    with confined(kind, memory_mb=1500) as kernel:
        assert kernel.run("import numpy as np; a = np.ones(2 * 10**8)").endswith("MemoryError")
        work = "import pandas as pd, pyarrow as pa; print(len(pa.Table.from_pandas(pd.DataFrame({'a': range(10**6)}))))"
        assert kernel.run(work) == "1000000\n"


def test_all_limits_hold_together(confined, needs):
    """A kernel without network, with little memory and few files runs a notebook's libraries."""
    for name in ("network", "memory", "files"):
        needs(name)
    limits = {"network": False, "memory_mb": 1500, "readable": [], "writable": []}
    with confined("forked", **limits) as kernel:
        assert kernel.run("import os, scipy.stats, pandas; print(open('/etc/hostname').readable())") == "True\n"
        assert kernel.run(f"open({__file__!r})").endswith("PermissionError")


def test_what_is_not_limited_is_said(start, monkeypatch, caplog):
    """Where the system has no such limit the kernel runs without, the log tells, and so does the provisioner."""
    monkeypatch.setattr(
        confine, "unsupported", lambda: {"network": "no namespaces", "memory": "", "files": "no Landlock"}
    )
    with start({"imports": [], "network": False, "readable": []}) as kernel:
        assert kernel.provisioner.unconfined == {"network": "no namespaces", "files": "no Landlock"}
        assert kernel.run("print('runs')") == "runs\n"
    assert "No limit of files: no Landlock" in caplog.text


def test_ports_and_no_network_exclude_each_other(start, needs):
    """A kernel that is reached through ports keeps its network, which is said."""
    needs("network")
    with start({"imports": [], "network": False}, transport="tcp") as kernel:
        assert "use `ipc`" in kernel.provisioner.unconfined["network"]
        assert kernel.run("print('runs')") == "runs\n"


def test_limits_of_missing_files_are_refused(start, tmp_path):
    """A listed folder that does not exist is an error before any kernel starts."""
    with (
        pytest.raises(FileNotFoundError, match="nowhere"),
        start({"imports": [], "readable": [str(tmp_path / "nowhere")]}, client=False),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_limits_hold_without_privileges(needs):
    """Somebody who is not root leaves the network through a user namespace, and keeps no privileges in it."""
    needs("network")
    program = """
import encodings.ascii, os, socket
names = {"__name__": "__main__", "__file__": "confine.py"}
source = SOURCE.replace('if __name__ == "__main__":', "if False:")
exec(compile(source, "confine.py", "exec"), names)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
names["_call"]("prctl", 4, 1, 0, 0, 0)  # changing the user had closed its /proc to itself
names["apply"](names["Limits"](network=False))
print(os.geteuid(), [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")])
socket.socket().connect(("127.0.0.1", PORT))
"""
    source = Path(confine.__file__).read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = program.replace("SOURCE", repr(source)).replace("PORT", str(listener.getsockname()[1]))
        result = subprocess.run(
            [sys.executable, "-IS", "-"], input=program, capture_output=True, text=True, check=False
        )
    if "'unshare'" in result.stderr.splitlines()[-1]:
        pytest.skip("this system gives no user namespace to somebody else")
    assert result.stdout == "65534 ['0000000000000000']\n", result.stderr
    assert "ConnectionRefusedError" in result.stderr


def test_no_limits_change_nothing():
    """Without limits the command of a kernel stays as it was."""
    assert confine.command(Limits(), ["python"]) == ["python"]
    assert confine.possible(Limits()) == (Limits(), {})
