"""What is usual, and what lies beyond chance: months against the months before them.

Frames here have one row per month, without gaps, and one column per thing that is measured. A month is compared with
the median of up to six months before it; with fewer than three of them there is nothing to compare with, and the result
is empty. A difference counts only as far as it exceeds four standard errors: of sampling, given the rows of the month,
and of the months' own ups and downs. So a clean month is 0, and a threshold is the size of effect that matters.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.float64]
MONTHS = 6  # long enough for a stable median, short enough to follow growth
LEAST = 3
ERRORS = 4  # standard errors that chance may take; about one false alarm in 16,000 comparisons
_MAD_TO_SD = 1.4826
_DRIFT = 0.005  # what the sharpest estimate may still move from month to month, in the measure's unit


@dataclass(frozen=True)
class Usual:
    """The usual value of each month, `middle`, and how far the months before lay from it, `spread`."""

    middle: pd.DataFrame
    spread: pd.DataFrame

    @classmethod
    def of(cls, measured: pd.DataFrame) -> Self:
        """Look back from each month; empty cells are no history."""
        months = np.stack([measured.shift(back).to_numpy(dtype="float64") for back in range(1, MONTHS + 1)])
        known = (~np.isnan(months)).sum(axis=0)
        middle = _median(months, known)
        spread = _median(np.abs(months - middle), known) * _MAD_TO_SD
        # The median of few months understates their spread, and is itself uncertain.
        spread *= np.sqrt(1 + 2 / np.maximum(known, 1))
        frames = (pd.DataFrame(found, measured.index, measured.columns) for found in (middle, spread))
        return cls(*frames)

    def beyond(self, measured: pd.DataFrame, error: pd.DataFrame) -> pd.DataFrame:
        """Return how far each month lies beyond chance, signed; `error` is its standard error of sampling."""
        difference = measured - self.middle
        allowed = ERRORS * (error**2 + self.spread**2 + _DRIFT**2) ** 0.5
        excess = (difference.abs() - allowed).clip(lower=0)
        return excess.where(difference > 0, -excess)


def shares_beyond(shares: pd.DataFrame, n: pd.Series) -> pd.DataFrame:
    """Return how far shares (0-1) of `n` rows a month lie beyond chance, signed."""
    usual = Usual.of(shares)
    # As in the test of two shares, both tell of the one that they would have in common. Half a row more keeps the error
    # of what is never chosen above zero. A median is as precise as the mean of two thirds of the rows.
    pool = n.rolling(MONTHS, min_periods=1).sum().shift(1).fillna(0)
    rows = usual.middle.mul(pool, axis=0) + shares.mul(n, axis=0) + 0.5
    likely = rows.div(pool + n + 1, axis=0)
    variance = (likely * (1 - likely)).mul(1 / n + 1.57 / pool.clip(lower=1), axis=0)
    return usual.beyond(shares, variance**0.5)


def _median(months: Numbers, known: npt.NDArray[np.int64]) -> Numbers:
    enough = known >= LEAST
    found = np.full(known.shape, np.nan)
    found[enough] = np.nanmedian(months[:, enough], axis=0)
    return found
