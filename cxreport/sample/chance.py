"""Random draws, all from streams that a seed, a purpose and a month determine."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from cxreport.periods import Period
from cxreport.sample.planted import FIRST

Array = NDArray[Any]

_LETTERS = np.array(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))


def stream(seed: int, purpose: str, month: Period = FIRST) -> Generator:
    """Return an independent stream of random numbers for one purpose and month."""
    return Generator(PCG64(SeedSequence([seed, zlib.crc32(purpose.encode()), month.start.toordinal()])))


def pick(rng: Generator, shares: Mapping[Any, float], n: int) -> Array:
    """Draw keys with the given shares."""
    edges = np.cumsum(list(shares.values()))[:-1]
    return np.array(list(shares), dtype=object)[np.searchsorted(edges, rng.random(n), side="right")]


def looked_up(names: pd.Series | Array, values: Mapping[str, float]) -> Array:
    """Return the value of each name, 0 for names without one."""
    codes, levels = pd.factorize(np.asarray(names, dtype=object))
    found: Array = np.array([values.get(level, 0.0) for level in levels], dtype=float)[codes]
    return found


def sliced_uniforms(rng: Generator, groups: Array) -> Array:
    """Draw one number of (0, 1) per row, from equal slices within each group (systematic sampling).

    It keeps luck out of a group's scores, so that what is planted in a month is there under every seed.
    """
    uniform = np.empty(len(groups))
    for group in sorted(set(groups)):
        rows = np.flatnonzero(groups == group)
        uniform[rows] = (rng.permutation(len(rows)) + rng.random(len(rows))) / len(rows)
    return uniform


def scores(shares: Sequence[float], level: Array, uniform: Array) -> Array:
    """Turn opinions into scores 0, 1, 2, ... by a proportional-odds model (McCullagh 1980).

    A score is the number of cut points below the opinion, which is a level in logits plus logistic noise; at level 0
    the scores have the given shares, lowest score first.

    >>> scores([0.5, 0.3, 0.2], np.zeros(3), np.array([0.49, 0.51, 0.81])).tolist()
    [0, 1, 2]
    """
    below = np.cumsum(shares)[:-1]
    cut_points = np.log(below / (1 - below))
    passed: Array = np.searchsorted(cut_points, level + np.log(uniform / (1 - uniform)))
    return passed


def codes(rng: Generator, prefix: str, length: int, n: int) -> list[str]:
    """Draw ids: a prefix and so many random letters and digits."""
    drawn = _LETTERS[rng.integers(len(_LETTERS), size=(n, length))]
    return [prefix + row for row in drawn.view(f"<U{length}")[:, 0]]


def moments(rng: Generator, days: Array, *, opens: float, closes: float) -> Array:
    """Draw a time of day, between two hours, on each of the days; to the second."""
    seconds = (opens + rng.random(len(days)) * (closes - opens)) * 3_600
    at: Array = days.astype("datetime64[s]") + seconds.astype("timedelta64[s]")
    return at


def season(month: Period) -> float:
    """Return a wave of one year, 1 in February and March, -1 in August and September."""
    return float(np.cos(2 * np.pi * (month.start.month - 2.5) / 12))
