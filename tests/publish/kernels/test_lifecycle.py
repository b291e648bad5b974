"""Kernels start, stop and die with what started them; nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxreport.publish.kernels import owner

OWNER = """
import json, os, sys, time
from cxreport.publish.kernels import owner
setting = owner.Setting.of([sys.executable], ["json"], ".", os.environ)
parent = owner.warm(setting)
while parent.refusal is None:
    time.sleep(0.01)
assert parent.refusal == "", parent.refusal
wish = dict(command=[sys.executable, "-m", "ipykernel_launcher", "-f", sys.argv[1]], options=1, folder=".",
    environment=dict(os.environ), umask=0o22, limits={})
kernels = [parent.fork(wish, 0, 1, 2) for _ in range(2)]
print(json.dumps([parent.pid, *(kernel.pid for kernel in kernels)]), flush=True)
sys.stdin.read()
print([kernel.poll() for kernel in kernels], flush=True)
"""


def is_alive(pid):
    """Return whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def own(tmp_path):
    """Return a function that starts an owner of a parent and two kernels and returns it with their process ids."""
    started = []

    def own():
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", OWNER, str(tmp_path / f"{len(started)}.json")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"IPYTHONDIR": str(tmp_path)},
            )
        )
        return started[-1], [int(word) for word in started[-1].stdout.readline().strip("[]\n").split(",")]

    yield own
    for process in started:
        process.kill()
        process.communicate()


def test_interrupt_reaches_the_cell(warm):
    """An interrupt ends the cell, and the kernel goes on."""
    with warm() as kernel:
        kernel.client.execute("import time; time.sleep(60)", stop_on_error=False)
        time.sleep(0.3)
        kernel.manager.interrupt_kernel()
        assert kernel.client.get_shell_msg(timeout=10)["content"]["ename"] == "KeyboardInterrupt"
        assert kernel.run("print('on')") == "on\n"


@pytest.mark.parametrize(("way", "code"), [("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("os.abort()", -6)])
def test_death_is_seen_at_once_with_its_cause(warm, way, code):
    """An exit code or a signal of the kernel is known within a moment of its end."""
    with warm() as kernel:
        kernel.client.execute(f"import os; {way}")
        assert until(lambda: not kernel.manager.is_alive(), 5)
        assert kernel.provisioner.exit_code == code


def test_orderly_shutdown_ends_with_zero(warm):
    """A kernel that is asked to shut down runs its exit handlers, and they may write."""
    with warm() as kernel:
        kernel.run("import atexit; atexit.register(lambda: open('bye', 'w').close())")
        folder = Path(kernel.run("import os; print(os.getcwd())").strip())
        kernel.manager.shutdown_kernel()
        assert (folder / "bye").exists()
        (folder / "bye").unlink()
        assert kernel.provisioner.exit_code == 0


def test_kernel_can_be_restarted(warm):
    """A restart gives a fresh process under the same connection."""
    with warm() as kernel:
        first = kernel.run("import os; print(os.getpid())")
        kernel.manager.restart_kernel(now=True)
        kernel.client.wait_for_ready(timeout=30)
        assert kernel.run("import os; print(os.getpid())") != first


def test_what_a_kernel_started_ends_with_it(warm):
    """A process that a cell left in the background does not outlive the kernel."""
    with warm() as kernel:
        pid = int(kernel.run("import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"))
        assert is_alive(pid)
    assert until(lambda: not is_alive(pid))


def test_fifty_kernels_leave_nothing(warm):
    """Descriptors and processes are as many after fifty kernels as before."""

    def counted():
        parent = next(parent.pid for (_, setting), parent in owner._parents.items() if "duckdb" in setting.imports)
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split()
        return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in ("self", parent)], children

    with warm(client=False):
        pass
    before = counted()
    for _ in range(50):
        with warm(client=False):
            pass
    assert until(lambda: counted() == before, 2)


def test_killed_owner_leaves_no_process(own):
    """When an owner is killed its parent and kernels end; another owner's go on."""
    first, pids = own()
    second, others = own()
    assert len({*pids, *others}) == 6
    first.kill()
    assert until(lambda: not any(map(is_alive, pids)))
    assert all(map(is_alive, others))
    said, _ = second.communicate("")
    assert said == "[None, None]\n"
    assert until(lambda: not any(map(is_alive, others)))


def test_killed_parent_takes_its_kernels_along(own):
    """Kernels do not outlive the process that could signal them, and their owner sees them dead."""
    process, (parent, *kernels) = own()
    os.kill(parent, signal.SIGKILL)
    assert until(lambda: not any(map(is_alive, kernels)))
    said, _ = process.communicate("")
    assert said == "[-9, -9]\n"


def test_lost_parent_is_replaced(start, tmp_path):
    """After its parent was killed, the next kernel comes from a new one."""
    (tmp_path / "local.py").touch()
    with start({"imports": []}, cwd=tmp_path):
        [parent] = [parent for (_, setting), parent in owner._parents.items() if setting.folder == str(tmp_path)]
        os.kill(parent.pid, signal.SIGKILL)
    with start({"imports": []}, cwd=tmp_path) as kernel:
        assert kernel.provisioner.fallback == ""
        assert kernel.run("import os; print(os.getppid())") != f"{parent.pid}\n"
