"""The warm parent: a process that has imported what kernels need and forks one whenever its owner asks.

It runs as `python -m cxreport.publish.kernels.parent <descriptor> <module>...` and is reached through one inherited
socket only. On it the parent says once whether it is fit to be forked, then takes a byte and five descriptors for
each kernel: the kernel's line, its request, and its standard input, output and error. On a kernel's line the parent
tells the process id and at last the exit status, and takes the numbers of signals. It ends, and its kernels with it,
when its owner does.
"""

import contextlib
import gc
import importlib
import importlib.util
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cxreport.publish.kernels import child

# Modules that a kernel imports only once it runs.
_OF_EVERY_KERNEL = (
    *("ipykernel.kernelapp", "ipykernel.zmqshell", "ipykernel.debugger", "IPython.core.debugger"),
    *("IPython.core.oinspect", "IPython.extensions.storemagic", "IPython.utils.wildcard"),
    *("sqlite3", "tornado.platform.asyncio"),
)
# What a parent says that can be forked; others say why not.
FIT = "fit"
_INLINE = "module://matplotlib_inline.backend_inline"
_DESCRIPTORS_OF_A_REQUEST = 5
_LONGEST_MESSAGE = 64
# How long threads that were told to end may still be listed, in seconds.
_GRACE = 1.0


def main(descriptor: int, modules: Iterable[str]) -> None:
    """Import modules, say whether this process can be forked, and fork until the owner ends."""
    # ipykernel reads at import whose end it shall share; of a forked kernel that is this process.
    os.environ["JPY_PARENT_PID"] = str(os.getpid())
    # ipykernel sets it before a cell can import matplotlib.
    os.environ.setdefault("MPLBACKEND", _INLINE)
    given = dict(os.environ)
    owner = os.pidfd_open(os.getppid())
    with socket.socket(fileno=descriptor) as control:
        reason = _import(modules) or unfitness({descriptor, owner})
        control.send((reason or FIT).encode())
        request = None if reason else _Nursery(control, owner).serve()
    if request:
        child.become_kernel(request, given)
    else:  # at once, since exit handlers of imports are the kernels' own; and with what imports have started
        os.killpg(0, signal.SIGKILL)


# --- becoming warm ---------------------------------------------------------------------------------


def _import(modules: Iterable[str]) -> str:
    """Import modules as a cell would; returns why that failed, or nothing."""
    gc.disable()  # nothing of an import is garbage for long
    here = sys.path.pop(0) if sys.path[0] == str(Path.cwd()) else None
    try:
        for module in _OF_EVERY_KERNEL:
            importlib.import_module(module)
        if here:
            sys.path.insert(_before_installed_packages(), "")
        for module in modules:
            importlib.import_module(module)
    except BaseException as error:  # noqa: BLE001 (whatever a module raises, an ordinary kernel shall show it)
        return f"an import raised {type(error).__name__}: {error}"
    if here:
        sys.path.remove("")
        sys.path.insert(0, here)
    gc.collect()
    gc.freeze()
    gc.enable()
    return ""


def _before_installed_packages() -> int:
    """Return the place that IPython gives to the current folder in the search path."""
    names = [Path(place).name for place in sys.path]
    return next((index for index, name in enumerate(names) if name in {"site-packages", "dist-packages"}), 0)


def unfitness(own: set[int]) -> str:
    """Return why this process must not be forked, or nothing.

    Threads would vanish in a kernel with their locks held; open files and sockets would be shared by all kernels.

    Parameters
    ----------
    own
        Descriptors beyond the standard three that kernels close.
    """
    _rehearse()
    if len(threads := _threads()) > 1:
        return f"imports have started threads: {', '.join(threads[1:])}"
    if opened := _opened(own):
        return f"imports have opened {', '.join(opened)}"
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return "imports have started a process"
    if (pyplot := sys.modules.get("matplotlib.pyplot")) and pyplot.get_fignums():
        return "imports have drawn figures"
    return ""


def _rehearse() -> None:
    """Fork once for nothing: libraries that know of forks, such as OpenBLAS, end their threads before it."""
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    end = time.monotonic() + _GRACE
    while len(_threads()) > 1 and time.monotonic() < end:
        time.sleep(0.01)


def _threads() -> list[str]:
    """Return the names of this process's threads, the main one first."""
    names = []
    for thread in sorted(Path("/proc/self/task").iterdir(), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):  # ended meanwhile
            names.append((thread / "comm").read_text().strip())
    return names


def _opened(own: set[int]) -> list[str]:
    """Return what this process has open apart from standard streams and its own descriptors."""
    standard = {0, 1, 2}
    found = []
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 (no generator, which would hold the folder open)
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            found += [] if int(entry) in own | standard else [str(Path(f"/proc/self/fd/{entry}").readlink())]
    return found


# --- forking ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kernel:
    """A running kernel: its process, a descriptor of it that tells its end, and the line to its owner."""

    pid: int
    ended: int
    line: socket.socket

    def signal(self, number: int) -> None:
        """Signal the kernel and what it started; its id is its own, since only this process can reap it."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # not yet the leader of its group
            os.kill(self.pid, number)

    def close(self) -> None:
        os.close(self.ended)
        self.line.close()


class _Nursery:
    """Forks kernels, passes signals on, and reaps."""

    def __init__(self, control: socket.socket, owner: int) -> None:
        self._control = control
        self._owner = owner
        self._kernels: list[_Kernel] = []
        self._poll = select.poll()  # unlike epoll, no descriptor to share with kernels
        self._poll.register(control, select.POLLIN)
        self._poll.register(owner, select.POLLIN)

    def serve(self) -> child.Request | None:
        """Serve until the owner ends; returns a request in a forked kernel only, and nothing in the parent."""
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            for kernel in list(self._kernels):
                if kernel.line.fileno() in ready:
                    self._pass_on(kernel)
                if kernel.ended in ready:
                    self._reap(kernel)
            if self._owner in ready:
                break
            if self._control.fileno() in ready:
                _, descriptors, _, _ = socket.recv_fds(self._control, 1, _DESCRIPTORS_OF_A_REQUEST)
                if not descriptors:
                    break
                if request := self._fork(*descriptors):
                    return request
        for kernel in self._kernels:
            kernel.signal(signal.SIGKILL)
        return None

    def _fork(self, line: int, *of_kernel: int) -> child.Request | None:
        try:
            pid = os.fork()
        except OSError:  # no memory or no process left; the owner sees the line end
            pid = None
        if pid == 0:
            os.close(line)
            self._close()
            return child.Request(*of_kernel)
        for descriptor in of_kernel:
            os.close(descriptor)
        if pid is None:
            os.close(line)
        else:
            self._watch(_Kernel(pid, os.pidfd_open(pid), socket.socket(fileno=line)))
        return None

    def _watch(self, kernel: _Kernel) -> None:
        self._kernels.append(kernel)
        self._poll.register(kernel.ended, select.POLLIN)
        self._poll.register(kernel.line, select.POLLIN)
        _tell(kernel.line, kernel.pid)

    def _pass_on(self, kernel: _Kernel) -> None:
        with contextlib.suppress(ConnectionResetError):
            if message := kernel.line.recv(_LONGEST_MESSAGE):
                kernel.signal(int(message))
                return
        # The manager is gone. Like an ordinary kernel this one runs on until its owner ends.
        self._poll.unregister(kernel.line)

    def _reap(self, kernel: _Kernel) -> None:
        os.waitid(os.P_PIDFD, kernel.ended, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):  # before reaping, while the group's id is surely its own
            os.killpg(kernel.pid, signal.SIGKILL)
        _, status = os.waitpid(kernel.pid, 0)
        _tell(kernel.line, os.waitstatus_to_exitcode(status))
        self._poll.unregister(kernel.ended)
        with contextlib.suppress(KeyError):  # its manager had gone before
            self._poll.unregister(kernel.line)
        kernel.close()
        self._kernels.remove(kernel)

    def _close(self) -> None:
        """Close in a kernel what belongs to the parent."""
        self._control.close()
        os.close(self._owner)
        for kernel in self._kernels:
            kernel.close()


def _tell(line: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody listens any more
        line.send(str(number).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
