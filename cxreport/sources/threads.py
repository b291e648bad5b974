"""Work on several pieces at once: Arrow leaves Python's lock alone, so that threads are enough."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")


def in_order(work: Callable[[_Piece], _Result], pieces: Iterable[_Piece]) -> Iterator[_Result]:
    """Yield the result of each piece, in their order; few pieces are taken ahead, so that they may be large."""
    coming = iter(pieces)
    first = list(islice(coming, 2))
    if len(first) < 2:  # noqa: PLR2004 - one piece needs no second thread
        yield from map(work, first)
        return
    threads = os.cpu_count() or 1
    pending: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for piece in chain(first, coming):
            pending.append(pool.submit(work, piece))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
