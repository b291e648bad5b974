"""Weights that bring a sample to known totals of its population: raking and post-stratification.

Post-stratify where the cells' totals are known and every cell has enough answers; rake where only margins are known
(Kalton and Flores-Cervantes 2003, J. Official Statistics 19:81-97).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxreport.errors import UsageError, listed
from cxreport.measure.intervals import Array
from cxreport.measure.survey import Design, Domain, Estimate, checked_weights, kish, linearised, mask_of, required

Margins = Mapping[str, Mapping[Hashable, float]]
Cap = tuple[float, float]

# Totals that differ by more than this part were not counted on one population.
_SAME_TOTAL = 1e-6
_TOLERANCE, _MAX_ROUNDS = 1e-9, 1000
_RAKED = "raked weight"


@dataclass(frozen=True)
class Weights:
    """Weights of the rows, and what they cost.

    Attributes
    ----------
    weights
        One per row of the frame, on its index; they add up to the population where `margin_error` is none.
    n_eff_before, n_eff_after
        Kish's effective base of the base weights and of these.
    rounds
        Passes over the margins.
    capped
        Rows whose weight stands at an end of the cap.
    margin_error
        The largest gap between a weighted total and its target, as part of the target. Above the tolerance only
        where the cap leaves no weights that meet all margins.
    """

    weights: pd.Series
    n_eff_before: float
    n_eff_after: float
    rounds: int
    capped: int
    margin_error: float


def rake(
    frame: pd.DataFrame,
    margins: Margins,
    *,
    base: str | None = None,
    cap: Cap | None = None,
    tolerance: float = _TOLERANCE,
    max_rounds: int = _MAX_ROUNDS,
) -> Weights:
    """Return weights that meet the totals of several columns (Deming and Stephan 1940, Ann. Math. Stat. 11:427-444).

    Each pass scales the weights to one margin after another and then cuts them at the cap. Scaling and cutting are
    both projections in the sense of Kullback and Leibler, so the passes lead to weights that keep the cap and meet
    the margins wherever there are any; where there are none, to weights that keep the cap.

    Parameters
    ----------
    frame
        One row per answer.
    margins
        Column to level to total in the population; the totals of all columns add up to the same number.
    base
        Column of weights to start from, for example of the design; equal ones where absent. A weight of 0 stays 0.
    cap
        Lowest and highest weight, as multiples of the mean weight, e.g. (0.25, 4).
    tolerance
        Largest `margin_error` of a success; and the relative change of the weights at which a cap has settled.
    max_rounds
        Passes before giving up.

    Raises
    ------
    UsageError
        For totals that are not positive or differ between columns, a level with a total and no row of positive
        weight, rows of a level without a total, wrong base weights, a cap that does not enclose 1, and margins that no
        weights meet (without a cap).

    >>> answers = pd.DataFrame({"plan": ["basic", "basic", "basic", "plus"]})
    >>> rake(answers, {"plan": {"basic": 50, "plus": 50}}).weights.round(2).tolist()
    [16.67, 16.67, 16.67, 50.0]
    """
    start = _start(frame, base)
    return _calibrate(
        frame.index, _groups(frame, margins, start), start, cap, tolerance=tolerance, max_rounds=max_rounds
    )


def post_stratify(
    frame: pd.DataFrame,
    cells: Mapping[tuple[Hashable, ...], float] | pd.Series,
    columns: list[str],
    *,
    base: str | None = None,
    cap: Cap | None = None,
) -> Weights:
    """Return weights that meet the totals of cells, each a combination of levels of several columns.

    Parameters
    ----------
    frame, base, cap
        As `rake`, which this is with one margin.
    cells
        Levels of `columns`, in their order, to the total in the population; a mapping, or a Series with such an index.
    columns
        The columns that form the cells.

    Raises
    ------
    UsageError
        As `rake`. Merge cells, or rake, where a cell has a total and no row.

    >>> answers = pd.DataFrame({"plan": ["basic", "basic", "plus"], "region": ["north", "south", "north"]})
    >>> totals = {("basic", "north"): 10, ("basic", "south"): 20, ("plus", "north"): 30}
    >>> post_stratify(answers, totals, ["plan", "region"]).weights.tolist()
    [10.0, 20.0, 30.0]
    """
    if not len(cells) or not columns:
        raise UsageError(found="no cells", expected="totals of at least one column's levels", do="name them")
    start = _start(frame, base)
    labels = pd.MultiIndex.from_arrays([required(frame, column) for column in columns])
    totals = pd.Series(cells, dtype=float)
    named = " by ".join(f"`{column}`" for column in columns)
    levels = pd.MultiIndex.from_tuples(totals.index)
    group = _group(labels, levels, totals.tolist(), start, named)
    return _calibrate(frame.index, [group], start, cap)


def raked_mean(
    frame: pd.DataFrame,
    y: str,
    design: Design,
    margins: Margins,
    *,
    cap: Cap | None = None,
    domain: Domain = None,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean under raked weights, with the error that raking leaves.

    What the margins explain of a column no longer varies between samples, so its linearised values are replaced by
    their residuals from the margins (Deville and Sarndal 1992, JASA 87:376-382). Taking raked weights as given
    ignores that. With a `cap` that cuts weights the error is an approximation.

    Parameters
    ----------
    frame, y, design, domain, confidence
        As `cxreport.measure.survey.mean`; the weights of the design are those that raking starts from.
    margins, cap
        As `rake`.

    Raises
    ------
    UsageError
        As `rake` and `cxreport.measure.survey.mean`.

    >>> answers = pd.DataFrame({"plan": ["basic", "basic", "plus", "plus"], "score": [1.0, 2.0, 4.0, 5.0]})
    >>> found = raked_mean(answers, "score", Design(), {"plan": {"basic": 30, "plus": 10}})
    >>> found.value, round(found.se, 4)
    (2.25, 0.3227)
    """
    start = _start(frame, design.weight)
    groups = _groups(frame, margins, start)
    weights = _calibrate(frame.index, groups, start, cap).weights
    values = required(frame, y).to_numpy(dtype=float, na_value=np.nan)
    inside = mask_of(domain, frame.index) & ~np.isnan(values) & (start > 0)
    kept, filled = np.where(inside, weights, 0), np.where(inside, values, 0)
    held = float(kept.sum()) or np.nan
    value = float(kept @ filled) / held
    spread = np.where(inside, values - value, 0) / held
    return linearised(
        frame.assign(**{_RAKED: weights}),
        value,
        _residuals(spread, groups, start),
        replace(design, weight=_RAKED),
        size=float(kept @ np.abs(filled)) / held,
        spread=spread,
        domain=inside,
        confidence=confidence,
    )


# --- helpers -------------------------------------------------------------------------------------


class _Group(NamedTuple):
    """A margin: the number of each row's level, and the total of each level."""

    codes: npt.NDArray[np.intp]
    totals: Array


def _start(frame: pd.DataFrame, base: str | None) -> Array:
    return checked_weights(required(frame, base)) if base else np.ones(len(frame))


def _groups(frame: pd.DataFrame, margins: Margins, start: Array) -> list[_Group]:
    groups = [
        _group(pd.Index(required(frame, column)), pd.Index(list(totals)), list(totals.values()), start, f"`{column}`")
        for column, totals in margins.items()
    ]
    sums = [group.totals.sum() for group in groups]
    if not sums or max(sums) - min(sums) > _SAME_TOTAL * max(sums):
        added = {f"`{column}`": total for column, total in zip(margins, sums, strict=True)}
        raise UsageError(
            found="totals that add up to " + ", ".join(f"{total:,.6g} for {name}" for name, total in added.items())
            if sums
            else "no margins",
            expected="at least one margin, and all of them counted on one population",
            do="correct the totals, for example scale each margin to the population",
        )
    return groups


def _group(labels: pd.Index, levels: pd.Index, totals: list[float], start: Array, named: str) -> _Group:
    """Number the rows' levels and check that totals and rows cover each other."""
    targets = np.asarray(totals, dtype=float)
    if not levels.is_unique:
        raise UsageError(found=f"levels of {named} that stand twice", expected="one total for each", do="remove one")
    codes = levels.get_indexer(labels)
    without = int((codes < 0).sum())
    found = np.bincount(codes[codes >= 0], start[codes >= 0], len(levels))
    problems = {
        "totals that are not positive for": ~((targets > 0) & np.isfinite(targets)),
        "no row of positive weight for": found == 0,
    }
    texts = [f"{what} {listed(map(str, levels[is_bad]))}" for what, is_bad in problems.items() if is_bad.any()]
    if without:
        texts.append(f"{without} rows without a level that has a total")
    if texts:
        raise UsageError(
            found=f"in {named}, " + "; ".join(texts),
            expected="a positive total for every level, and rows in each of them",
            do="merge levels, both in the rows and in the totals, or leave out rows outside the population",
        )
    return _Group(codes, targets)


def _calibrate(
    index: pd.Index,
    groups: list[_Group],
    start: Array,
    cap: Cap | None,
    *,
    tolerance: float = _TOLERANCE,
    max_rounds: int = _MAX_ROUNDS,
) -> Weights:
    population = groups[0].totals.sum()
    average = population / np.count_nonzero(start)
    low, high = _bounds(cap, average)
    weights = start * (population / start.sum())
    is_drawn = start > 0
    for rounds in range(1, max_rounds + 1):
        previous = weights
        for codes, totals in groups:
            weights = weights * (totals / np.bincount(codes, weights, len(totals)))[codes]
        weights = np.where(is_drawn, np.clip(weights, low, high), 0)
        error = max(np.abs(np.bincount(codes, weights, len(totals)) / totals - 1).max() for codes, totals in groups)
        has_settled = cap is not None and np.abs(weights - previous).max() <= tolerance * average
        if error <= tolerance or has_settled:
            return Weights(
                weights=pd.Series(weights, index, name="weight"),
                n_eff_before=kish(start).n_eff,
                n_eff_after=kish(weights).n_eff,
                rounds=rounds,
                capped=int((is_drawn & ((weights <= low) | (weights >= high))).sum()),
                margin_error=float(error),
            )
    raise UsageError(
        found=f"margins that differ from their totals by up to {error:.2%} after {max_rounds} rounds",
        expected=f"weights that meet all margins within {tolerance:g}",
        do="merge small levels, so that their combinations hold rows, or drop a margin",
    )


def _bounds(cap: Cap | None, average: float) -> tuple[float, float]:
    if cap is None:
        return 0.0, np.inf
    low, high = cap
    if not 0 <= low < 1 < high:
        raise UsageError(
            found=f"a cap from {low:g} to {high:g} times the mean weight",
            expected="a low end from 0 to below 1, and a high end above 1",
            do="choose such a cap, for example (0.25, 4)",
        )
    return low * average, high * average


def _residuals(values: Array, groups: list[_Group], weight: Array) -> Array:
    """Return what a weighted regression on the levels of all groups leaves, by its normal equations."""
    sizes = [len(group.totals) for group in groups]
    products = [
        [
            np.bincount(
                one.codes * len(other.totals) + other.codes, weight, len(one.totals) * len(other.totals)
            ).reshape(len(one.totals), len(other.totals))
            for other in groups
        ]
        for one in groups
    ]
    moments = np.concatenate([np.bincount(group.codes, weight * values, len(group.totals)) for group in groups])
    # The levels of every group add up to one, so the equations are singular; their fit is unique all the same.
    slopes = np.linalg.lstsq(np.block(products), moments, rcond=None)[0]
    for group, part in zip(groups, np.split(slopes, np.cumsum(sizes)[:-1]), strict=True):
        values = values - part[group.codes]
    return values
