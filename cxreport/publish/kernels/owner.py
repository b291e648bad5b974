"""The owner's side: starts warm parents, asks them for kernels, and stands for each forked process."""

import atexit
import contextlib
import importlib.machinery
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxreport.publish.kernels.child import Wish
from cxreport.publish.kernels.parent import FIT

_PARENT = "cxreport.publish.kernels.parent"
# What interpreters and libraries read once, at their start or import.
_READ_AT_START = (
    *("PYTHON", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "LC_", "LANG", "TZ", "HOME", "USER", "LOGNAME", "PATH", "XDG_"),
    *("OPENBLAS", "GOTO", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "VECLIB_", "NUMEXPR_", "MPL", "MATPLOTLIB"),
    *("ARROW_", "JE_ARROW_", "MIMALLOC_", "IPYTHON_", "DISPLAY"),
)
# pyarrow's allocator starts a thread at import unless told not to.
_WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
_LONGEST_MESSAGE = 4096
# How long imports may take, in seconds.
_PATIENCE = 300.0
# How often an end is looked for, in seconds.
TICK = 0.005


@dataclass(frozen=True)
class Setting:
    """What a warm parent and its kernels have in common; kernels of other settings need another parent.

    Attributes
    ----------
    python
        The interpreter and its options.
    imports
        Modules to import, in order.
    folder
        Where the parent runs: the kernel's folder if what lies there shapes imports, else the root.
    environment
        The variables that matter at the interpreter's start and at imports, sorted.
    """

    python: tuple[str, ...]
    imports: tuple[str, ...]
    folder: str
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        python: Sequence[str],
        imports: Sequence[str],
        folder: str,
        environment: Mapping[str, str],
        varying: Sequence[str] = (),
    ) -> "Setting":
        """Return the setting of kernels with an interpreter, imports, folder and whole environment.

        A package's own variables, which begin with its name, count as read at its import unless they are `varying`.
        """
        packages = tuple(module.split(".")[0].upper() for module in imports)
        read = {
            name: text
            for name, text in environment.items()
            if name.startswith(_READ_AT_START + packages) and name not in varying
        }
        place = Path(folder).resolve()
        shared = place if _shapes_imports(place) else Path(place.anchor)
        return cls(tuple(python), tuple(imports), str(shared), tuple(sorted(read.items())))


def _shapes_imports(folder: Path) -> bool:
    """Return whether a folder holds modules, which may stand before installed ones, or matplotlib's settings."""
    suffixes = tuple(importlib.machinery.all_suffixes())
    return any(
        entry.name == "matplotlibrc" or entry.name.endswith(suffixes) or (entry / "__init__.py").exists()
        for entry in folder.iterdir()
    )


class WarmParent:
    """A parent process that imports now and forks kernels later.

    It is started by its constructor, which does not wait for the imports.
    """

    def __init__(self, setting: Setting) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (the interpreter of the kernel's specification)
                [*setting.python, "-m", _PARENT, str(theirs.fileno()), *setting.imports],
                pass_fds=[theirs.fileno()],
                cwd=setting.folder,
                env=_WITHOUT_THREADS | dict(setting.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._end = time.monotonic() + _PATIENCE
        self._refusal: str | None = None
        self._lock = threading.Lock()

    @property
    def refusal(self) -> str | None:
        """Why it cannot be forked, nothing where it can, and `None` while it still imports."""
        with self._lock:
            if self._refusal is None:
                try:
                    told = self._control.recv(_LONGEST_MESSAGE, socket.MSG_DONTWAIT).decode(errors="replace")
                except BlockingIOError:
                    if time.monotonic() < self._end:
                        return None
                    told = f"imports took longer than {_PATIENCE:.0f} s"
                    self._process.kill()
                ended = (
                    "" if told else f"the warm parent ended with exit code {self._process.wait()} during its imports"
                )
                self._refusal = "" if told == FIT else told or ended
            return self._refusal

    @property
    def lost(self) -> bool:
        """Whether it ended although it could be forked, so that another one may be started."""
        return self.refusal == "" and self._process.poll() is not None

    def fork(self, wish: Wish, stdin: int, stdout: int, stderr: int) -> "Forked":
        """Return a new kernel process with the given standard streams, whose descriptors stay the caller's.

        Raises `OSError` when the parent has ended or has no memory or process left.
        """
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, os.fdopen(os.memfd_create("kernel"), "w+", encoding="utf-8") as file:
                json.dump(wish, file)
                file.seek(0)
                descriptors = [theirs.fileno(), file.fileno(), stdin, stdout, stderr]
                with self._lock:
                    socket.send_fds(self._control, [b"k"], descriptors)
            return Forked(line)
        except OSError:
            line.close()
            raise

    def close(self) -> None:
        """End the parent and its kernels."""
        self._control.close()
        self._process.wait()


class Forked:
    """A kernel forked by a warm parent, with the part of `subprocess.Popen` that kernel managers use.

    Signals go to the kernel's process group, and through its parent, which alone knows whether its id is still
    its own. Raises `OSError` when no process came of the line.
    """

    stdin = stdout = stderr = None

    def __init__(self, line: socket.socket) -> None:
        told = line.recv(_LONGEST_MESSAGE)
        if not told:
            raise ConnectionResetError("the warm parent could not fork")
        self.pid = int(told)
        self.returncode: int | None = None
        self._line = line
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code once the process has ended, negative for a signal's number."""
        with self._lock:
            if self.returncode is None:
                try:
                    told = self._line.recv(_LONGEST_MESSAGE, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return None
                except ConnectionResetError:
                    told = b""
                # A parent that was killed takes its kernels along.
                self.returncode = int(told) if told else -signal.SIGKILL
                self._line.close()
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when the process has ended; raises `TimeoutExpired` after so many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and timeout is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"kernel {self.pid}", timeout)
            time.sleep(TICK)
        return code

    def send_signal(self, signum: int) -> None:
        """Signal the process and those of its group; nothing happens once it has ended."""
        if self.poll() is None:
            with contextlib.suppress(OSError):  # it ended this moment
                self._line.send(str(int(signum)).encode())

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)


# --- the parents of this process -------------------------------------------------------------------

# By the process id too: a fork of the owner has the same memory but must not share its parents.
_parents: dict[tuple[int, Setting], WarmParent] = {}
_lock = threading.Lock()


def unsupported() -> str:
    """Return why kernels cannot be forked on this system, or nothing."""
    if sys.platform != "linux":
        return f"forking is not safe on {sys.platform}"
    return "" if Path("/proc/self/task").is_dir() else "there is no /proc to tell whether forking is safe"


def warm(setting: Setting) -> WarmParent:
    """Return this process's parent for a setting, and start it if there is none; does not wait for its imports."""
    key = (os.getpid(), setting)
    with _lock:
        if not _parents:
            atexit.register(close_all)
        if key in _parents and _parents[key].lost:
            _parents.pop(key).close()
        if key not in _parents:
            _parents[key] = WarmParent(setting)
        return _parents[key]


def close_all() -> None:
    """End all parents of this process, and their kernels."""
    with _lock:
        mine = [key for key in _parents if key[0] == os.getpid()]
        for key in mine:
            _parents.pop(key).close()
