"""Work on the machines of a cluster, through one of Joblib's backends: dask, ray or another that is registered.

All machines must see the project under the same path, and have the same version of this package.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from typing import Any

from cxreport.errors import RunError, UsageError
from cxreport.publish import inputs

_ONE_AT_A_TIME = threading.Lock()  # charts and event loops belong to a process, in which a node may run threads
_Asked = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


@contextmanager
def connected(backend: str) -> Iterator[tuple[Executor, int]]:
    """Yield what runs calls on a cluster, and how many at once; the backend's own settings say where the cluster is.

    Raises `UsageError` for a backend that is not there.
    """
    from joblib import effective_n_jobs, parallel_config

    try:
        _connect(backend)
        with parallel_config(backend, n_jobs=-1):
            number = effective_n_jobs(-1)
    except (ImportError, ValueError, OSError, RuntimeError) as error:
        raise UsageError(
            found=f"the cluster backend `{backend[:60]}`, which gives {type(error).__name__}",
            expected="a backend of Joblib whose package is installed, and a cluster that answers",
            do="install the package (the extra `cluster` for dask), and see docs/runs.md for where it looks",
        ) from None
    executor = _Rounds(backend)
    try:
        yield executor, number
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _connect(backend: str) -> None:
    """Connect to the cluster that the backend's own settings name, until this process ends."""
    if backend == "dask":
        from distributed import Client

        Client(set_as_default=True)  # type: ignore[no-untyped-call,unused-ignore]
    elif backend == "ray":
        import ray
        from ray.util.joblib import register_ray

        ray.init(address="auto", ignore_reinit_error=True)
        register_ray()


class _Rounds(Executor):
    """Runs calls in rounds, because Joblib gives results when a batch is done: what comes meanwhile is the next."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **_: Any) -> "Future[Any]":
        """Return the future of a call that can be pickled, with arguments that can."""
        future: Future[Any] = Future()
        self._asked.put((future, call, arguments))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - nothing to wait for
        """End after the round that is on its way."""
        if cancel_futures:
            with suppress(queue.Empty):
                while asked := self._asked.get_nowait():
                    asked[0].cancel()
        self._asked.put(None)

    def _serve(self) -> None:
        while batch := self._next():
            try:
                self._round(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits
                for future, *_ in batch:
                    future.set_exception(
                        RunError(
                            found=f"work that the cluster could not do, {type(error).__name__}",
                            expected="machines that answer until all is done",
                            do="see the cluster's own log and run again: what is finished is kept",
                        )
                    )

    def _next(self) -> list[_Asked]:
        """Wait for calls and return all that are there; none at the end."""
        batch: list[_Asked] = []
        with suppress(queue.Empty):
            while asked := self._asked.get() if not batch else self._asked.get_nowait():
                batch.append(asked)
            self._asked.put(None)
        return batch

    def _round(self, batch: list[_Asked]) -> None:
        from joblib import Parallel, delayed, parallel_config

        own = inputs.package()
        calls = [delayed(_call)(own, call, arguments) for _, call, arguments in batch]
        with parallel_config(self._backend, n_jobs=-1):
            results = Parallel(batch_size=1)(calls)
        for (future, *_), (result, error) in zip(batch, results, strict=True):
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def _call(own: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """Do on a machine of the cluster what was asked for; returns the result, or nothing and what was raised."""
    if inputs.package() != own:
        return None, RunError(
            found="a machine of the cluster with another version of cxreport",
            expected="the same package on all machines",
            do="install the same version on each, and start its workers again",
        )
    try:
        with _ONE_AT_A_TIME:
            return call(*arguments), None
    except Exception as error:  # noqa: BLE001 - the others of its round must go on
        return None, error
