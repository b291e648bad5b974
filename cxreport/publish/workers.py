"""Processes that work side by side: as many as are asked for, and this one alone where that is one."""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import connection
from pathlib import Path
from typing import Any

import cxreport
from cxreport.config import Project
from cxreport.errors import RunError

_WORK = "cxreport.publish.work"
_LONGEST_FOLDER = 70  # for temporary files, in bytes: sockets lie deeper, and have 104 to 108
# Sums of several threads differ in their last digits, and a process with threads cannot be forked safely.
_SINGLE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def same_package() -> dict[str, str]:
    """Return the variables with which another Python imports this package, whatever lies in the folder it works in."""
    home = str(Path(cxreport.__file__).parent.parent)
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in {"", home}]
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([home, *others])}


class Workers:
    """Does pieces of work, functions of `cxreport.publish.work` by name, at once or in other processes."""

    def __init__(self, number: int = 1, pool: Executor | None = None) -> None:
        self.number, self._pool = number, pool

    def start(self) -> None:
        """Let the processes begin, whose imports take a while, before there is anything to do."""
        if self._pool:
            for _ in range(self.number):
                self._pool.submit(_do, "ready")

    def submit(self, name: str, *arguments: Any) -> "Future[float]":
        """Begin `work.<name>(*arguments)`; the future has the seconds that it took."""
        if self._pool:
            return self._pool.submit(_do, name, *arguments)
        done: Future[float] = Future()
        try:
            done.set_result(_do(name, *arguments))
        except Exception as error:  # noqa: BLE001 - the future's reader gets it
            done.set_exception(error)
        return done


@contextmanager
def workers(project: Project, number: int, cluster: str = "") -> Iterator[Workers]:
    """Yield workers in so many processes, which start at the first piece of work; they end with the block.

    Where the system can, they are forked from a process that has imported everything and runs no threads. With a
    `cluster`, a backend of Joblib, they are its machines instead.

    Raises `RunError` when one of them dies, and what `cluster.connected` raises.
    """
    if cluster:
        with import_module("cxreport.publish.cluster").connected(cluster) as (machines, places):
            yield Workers(places, machines)
        return
    if number == 1:
        yield Workers()
        return
    pool = ProcessPoolExecutor(number, mp_context=_context(), initializer=_begin, initargs=(project,))
    earlier = dict(os.environ)
    os.environ |= _SINGLE | same_package()
    try:
        yield Workers(number, pool)
    except BrokenProcessPool:
        raise RunError(
            found="a process that makes pages died",
            expected="enough memory for as many processes as work side by side",
            do="run again: what is finished is kept; with fewer processes (`-j 1`) less memory is needed",
        ) from None
    except BaseException:
        for process in multiprocessing.active_children():
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        os.environ.clear()
        os.environ |= earlier


def _context() -> Any:
    """Return how processes start; the server to fork from listens on a path, which the system limits."""
    has_room = len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER
    if not has_room or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_WORK])
    return context


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(project: Project) -> None:
    """Leave interrupts to the first process, end when it does, however that is, and prepare for kernels."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    import_module("cxreport.publish.execution").warm(project)


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _do(name: str, *arguments: Any) -> float:
    start = time.monotonic()
    getattr(import_module(_WORK), name)(*arguments)
    return time.monotonic() - start
