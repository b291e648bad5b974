"""Which experiences go together with a score: each driver's part of the explained variance.

Importance is association: a driver that explains much need not be the cause.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy import special, stats

from cxreport.errors import UsageError, listed, nearest
from cxreport.measure.intervals import Array

# All subsets of 15 drivers are 32,768 models; beyond that the exact shares take too long.
MOST_FOR_LMG = 15
MINIMUM_ROWS, ROWS_PER_DRIVER = 30, 5
NONE_DETECTABLE = "no detectable drivers"
_ASSOCIATION = "association, not cause"
# A driver of whose variance the others leave less than this tells nothing of its own.
_TOLERANCE = 1e-8
_MINIMUM_DRAWS = 100
_FIGURES = ("importance", "share", "ci_low", "ci_high", "correlation", "performance", "r2", "r2_adjusted", "p_value")
_COLUMNS = [*_FIGURES[:6], "quadrant", "n", *_FIGURES[6:], "method", "note"]
# Subset models that are held in memory at a time.
_MODELS_AT_ONCE = 2**21


def lmg(x: pd.DataFrame, y: pd.Series) -> pd.Series:
    """Return each driver's part of R2, averaged over all orders of entering the model.

    Lindeman, Merenda and Gold (1980, Introduction to Bivariate and Multivariate Analysis), which is the Shapley value
    of R2; Groemping (2006, Journal of Statistical Software 17(1)). A driver that others determine adds nothing after
    them.

    Parameters
    ----------
    x
        One row per respondent, one column per driver, at most 15, without gaps.
    y
        The outcome of the same respondents, row by row.

    Returns
    -------
    Series
        By driver; adds up to R2 of the model of all drivers. NaN where the outcome is constant.

    Raises
    ------
    UsageError
        Where there are more than 15 drivers, no drivers, rows that do not match, or gaps.

    >>> x = pd.DataFrame({"speed": [1, 1, -1, -1], "tone": [1, -1, 1, -1]})
    >>> lmg(x, 2 * x["speed"] + x["tone"]).round(6).to_dict()
    {'speed': 0.8, 'tone': 0.2}
    """
    if x.shape[1] > MOST_FOR_LMG:
        raise UsageError(
            found=f"{x.shape[1]} drivers",
            expected=f"at most {MOST_FOR_LMG}, because every subset of them is a model",
            do="use `johnson`, or choose fewer drivers",
        )
    return pd.Series(_lmg_parts(_correlations_of(x, y))[0], index=x.columns, dtype=float)


def johnson(x: pd.DataFrame, y: pd.Series) -> pd.Series:
    """Return each driver's relative weight (Johnson 2000, Multivariate Behavioral Research 35:1-19).

    The drivers are replaced by the orthogonal variables nearest to them, and R2 is handed back along the squared
    correlations of both. Takes and returns what `lmg` does, for any number of drivers.

    >>> x = pd.DataFrame({"speed": [1, 1, -1, -1], "tone": [1, -1, 1, -1]})
    >>> johnson(x, 2 * x["speed"] + x["tone"]).round(6).to_dict()
    {'speed': 0.8, 'tone': 0.2}
    """
    return pd.Series(_johnson_parts(_correlations_of(x, y))[0], index=x.columns, dtype=float)


def key_drivers(
    frame: pd.DataFrame,
    outcome: str,
    drivers: Sequence[str],
    *,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    cluster: str | None = None,
    weight: str | None = None,
    performance: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Rank drivers by their part of the outcome's explained variance, and set it against their performance.

    Code every driver so that a higher figure is better. Rows lacking the outcome, any driver, the cluster or a positive
    weight are left out (`n` counts the others). Shares are exact (`lmg`) for up to 15 drivers and relative weights
    (`johnson`) beyond. Their intervals are percentiles of a bootstrap that draws rows, or whole clusters. A share
    cannot fall below zero, so neither does the interval of a driver that tells nothing: read it against the others.

    Whether the model explains anything is tested by F; with weights or clusters by Hotelling's test of the scores (the
    products of outcome and drivers, added up by cluster), which does not assume independent rows of equal variance. If
    it does not at `confidence`, all rows say "no detectable drivers" and have no share. Other reasons for missing
    shares stand in `note`, too: a constant outcome or driver; fewer complete rows, or clusters of them, than 30 and
    than 5 per driver.

    Parameters
    ----------
    frame
        One row per respondent, or per answer with `cluster` naming the respondent.
    outcome, drivers
        Numeric columns.
    confidence, draws, seed
        Confidence of intervals and test; number of bootstrap draws (at least 100) and their seed.
    cluster, weight
        Columns of cluster labels and of weights (none negative).
    performance
        Figure of each driver, on one scale; by default its weighted mean over the rows used.

    Returns
    -------
    DataFrame
        One row per driver, most important first: `driver`; `importance` (part of R2, 0-1); `share` (of the explained
        variance, adds up to 1) with `ci_low` and `ci_high`; `correlation` with the outcome; `performance`; `quadrant`;
        `n`; `r2`, `r2_adjusted` and `p_value` of the model; `method`; `note`.

        Quadrants compare share and performance with their means over the drivers: "fix first" is important and below
        average, "keep up" important and not below, "low priority" and "possible overkill" the same for unimportant
        ones. It is "unclear" where the interval reaches the mean share or the correlation is negative, and missing
        where nothing is compared.

    Raises
    ------
    UsageError
        For columns that are absent, named twice, not numeric or infinite, negative weights, a `confidence` outside 0
        to 1, too few `draws`, and a `performance` that lacks a driver.
    """
    _check(frame, [outcome, *drivers], cluster, weight)
    _check_numbers(drivers, confidence, draws, performance)
    sample = _complete(frame, outcome, sorted(drivers), cluster, weight)
    table = pd.DataFrame(index=pd.Index(sample.names, name="driver"), columns=_COLUMNS)
    table = table.astype(dict.fromkeys(_FIGURES, float)).assign(n=len(sample.y))
    reason = _reason_against(sample)
    if performance is not None:
        table["performance"] = pd.Series(performance, dtype=float)
    elif not reason:
        table["performance"] = np.average(sample.x, axis=0, weights=sample.weights)
    if reason:
        table["note"] = reason
    else:
        varies = np.ptp(sample.x, axis=0) > 0
        table.loc[~varies, "note"] = "constant: tells nothing about the outcome"
        if varies.any():
            table[varies] = _explain(table[varies].copy(), sample.of(varies), confidence, draws, seed)
    # Ties by name, missing last: the order never depends on that of the input.
    ordered = table.sort_index().sort_values("importance", ascending=False, kind="stable")
    return ordered.reset_index()


# --- the steps of key_drivers --------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """The complete rows, in an order of their own so that the bootstrap does not depend on that of the input."""

    names: list[str]
    x: Array
    y: Array
    weights: Array
    units: npt.NDArray[np.intp]  # what the bootstrap draws: the number of the row or of its cluster
    has_clusters: bool
    has_weights: bool

    @property
    def n_units(self) -> int:
        return int(self.units.max(initial=-1)) + 1

    @property
    def standardised(self) -> Array:
        """Drivers, then outcome, with mean 0 and variance 1: sums of their products keep their digits."""
        both = np.column_stack([self.x, self.y])
        centred = both - np.average(both, axis=0, weights=self.weights)
        return centred / np.sqrt(np.average(centred**2, axis=0, weights=self.weights))

    def of(self, chosen: npt.NDArray[np.bool_]) -> "_Sample":
        """Keep some of the drivers, and all rows."""
        names = [name for name, is_kept in zip(self.names, chosen, strict=True) if is_kept]
        return replace(self, names=names, x=self.x[:, chosen])


def _complete(frame: pd.DataFrame, outcome: str, names: list[str], cluster: str | None, weight: str | None) -> _Sample:
    figures = np.column_stack([_numbers(frame[name]) for name in (*names, outcome)])
    weights = _numbers(frame[weight]) if weight else np.ones(len(frame))
    is_complete = ~np.isnan(figures).any(axis=1) & (weights > 0)
    units = np.zeros(len(frame), dtype=np.intp)
    if cluster:
        is_complete &= frame[cluster].notna().to_numpy()
        units = np.unique(frame[cluster].astype(str).to_numpy(dtype=str), return_inverse=True)[1]
    figures, weights, units = figures[is_complete], weights[is_complete], units[is_complete]
    order = np.lexsort([*figures.T, weights, units])
    units = np.unique(units[order], return_inverse=True)[1] if cluster else np.arange(len(order))
    return _Sample(
        names, figures[order, :-1], figures[order, -1], weights[order], units, cluster is not None, weight is not None
    )


def _reason_against(sample: _Sample) -> str:
    """Say why there can be no figures, or nothing."""
    needed = max(MINIMUM_ROWS, ROWS_PER_DRIVER * len(sample.names))
    if sample.n_units < needed:
        units = "clusters with complete rows" if sample.has_clusters else "complete rows"
        return f"too few {units}: {sample.n_units}, {needed} are needed"
    return "" if np.ptp(sample.y) > 0 else "constant outcome: nothing to explain"


def _explain(table: pd.DataFrame, sample: _Sample, confidence: float, draws: int, seed: int) -> pd.DataFrame:
    """Fill in the rows of the drivers that vary."""
    is_exact = len(table) <= MOST_FOR_LMG
    parts_of = _lmg_parts if is_exact else _johnson_parts
    correlations = _correlations(_products(sample.standardised, sample.weights)[None])
    parts = parts_of(correlations)[0]
    table["importance"], table["correlation"] = parts, correlations[0, :-1, -1]
    table["method"] = "LMG" if is_exact else "Johnson relative weights"
    r2 = float(parts.sum())
    r2_adjusted, p_value = _test(sample, r2)
    table["r2"], table["r2_adjusted"], table["p_value"] = r2, r2_adjusted, p_value
    is_detected = p_value < 1 - confidence
    if is_detected:
        table["share"] = parts / r2
        if len(table) > 1:
            table["ci_low"], table["ci_high"] = _share_intervals(sample, parts_of, confidence, draws, seed)
            table["quadrant"] = _quadrants(table)
    remarks: list[tuple[str, bool | npt.NDArray[np.bool_]]] = [
        (NONE_DETECTABLE, not is_detected),
        ("the only driver that varies: its share is 1 by construction", is_detected and len(table) == 1),
        ("collinear: the other drivers determine it", _is_collinear(correlations[0, :-1, :-1])),
        ("falls as the outcome rises: check its direction", is_detected & (table["correlation"] < 0).to_numpy()),
        (_ASSOCIATION, is_detected),
    ]
    flags = np.column_stack([np.broadcast_to(holds, len(table)) for _, holds in remarks])
    table["note"] = ["; ".join(text for (text, _), holds in zip(remarks, row, strict=True) if holds) for row in flags]
    return table


def _test(sample: _Sample, r2: float) -> tuple[float, float]:
    """Return adjusted R2 and the p-value of the hypothesis that the drivers explain nothing."""
    z, n = sample.standardised, len(sample.y)
    # Orthogonal directions span the same model and stay of full rank where drivers are collinear.
    directions, sizes, _ = np.linalg.svd(z[:, :-1], full_matrices=False)
    directions = directions[:, sizes**2 > _TOLERANCE * n]
    rank = directions.shape[1]
    explained, total, df = r2, 1.0, n - rank - 1
    if sample.has_clusters or sample.has_weights:
        # Products with the outcome, added up by unit, have mean 0 if nothing is explained: Hotelling's test, written
        # as a regression of 1 on them.
        scores = np.zeros((sample.n_units, rank))
        np.add.at(scores, sample.units, directions * (sample.weights * z[:, -1])[:, None])
        ones = np.ones(sample.n_units)
        fitted = scores @ np.linalg.lstsq(scores, ones, rcond=None)[0]
        explained, total, df = float(fitted.sum()), float(sample.n_units), sample.n_units - rank
    left = max(total - explained, total * np.finfo(float).eps)  # an exact fit leaves nothing
    adjusted = 1 - (1 - r2) * (n - 1) / (n - rank - 1)
    return adjusted, float(stats.f.sf(explained / rank / left * df, rank, df))


def _share_intervals(
    sample: _Sample, parts_of: Callable[[Array], Array], confidence: float, draws: int, seed: int
) -> tuple[Array, Array]:
    """Return the percentiles of the drawn shares; draws in which the outcome never varies are left out."""
    random, z = np.random.default_rng(seed), sample.standardised
    products = np.empty((draws, z.shape[1] + 1, z.shape[1] + 1))
    for draw in products:
        times = np.bincount(random.integers(sample.n_units, size=sample.n_units), minlength=sample.n_units)
        draw[:] = _products(z, sample.weights * times[sample.units])
    parts = parts_of(_correlations(products))
    totals = parts.sum(axis=1)
    is_usable = totals > 0
    shares = parts[is_usable] / totals[is_usable, None]
    low, high = np.quantile(shares, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def _quadrants(table: pd.DataFrame) -> npt.NDArray[np.object_]:
    mean_share, mean_performance = 1 / len(table), table["performance"].mean()
    is_important = table["share"] > mean_share
    # Equal figures must not differ from their mean by rounding.
    is_low = table["performance"] < mean_performance - 1e-9 * abs(mean_performance)
    reaches = (table["ci_low"] <= mean_share) & (table["ci_high"] >= mean_share)
    is_unclear = reaches | (table["correlation"] < 0) | table["performance"].isna()
    words = ["unclear", "fix first", "keep up", "low priority"]
    chosen = np.select([is_unclear, is_important & is_low, is_important, is_low], words, default="possible overkill")
    return chosen.astype(object)


def _is_collinear(correlations: Array) -> npt.NDArray[np.bool_]:
    """Say which drivers take part in a linear dependence."""
    sizes, directions = np.linalg.eigh(correlations)
    flags: npt.NDArray[np.bool_] = (np.abs(directions[:, sizes <= _TOLERANCE]) > np.sqrt(_TOLERANCE)).any(axis=1)
    return flags


# --- shares of R2, for many correlation matrices at a time ---------------------------------------


def _products(z: Array, weights: Array) -> Array:
    """Return weighted sums of products of the columns and of a leading column of ones."""
    ones_and_z = np.column_stack([np.ones(len(z)), z])
    products: Array = (ones_and_z * weights[:, None]).T @ ones_and_z
    return products


def _correlations(products: Array) -> Array:
    """Turn sums of products into correlations; a column that does not vary has 0 with all, itself included."""
    moments = products[:, 1:, 1:] / products[:, :1, :1]
    means = products[:, 0, 1:] / products[:, 0, :1]
    covariances = moments - means[:, :, None] * means[:, None, :]
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    varies = variances > _TOLERANCE
    scale = np.where(varies, 1 / np.sqrt(np.where(varies, variances, 1)), 0)
    correlations: Array = covariances * scale[:, :, None] * scale[:, None, :]
    return correlations


def _lmg_parts(correlations: Array) -> Array:
    """Return [matrix, driver] parts of R2; the outcome is the last column of each matrix."""
    p = correlations.shape[-1] - 1
    is_member = np.arange(2**p)[:, None] >> np.arange(p)[::-1] & 1
    others = is_member.sum(axis=1, keepdims=True) - is_member
    # Unexplained variance counts in favour of a driver where it is absent and against it where it is present.
    weights = (1 - 2 * is_member) / (p * special.binom(p - 1, others))
    at_once = max(_MODELS_AT_ONCE >> p, 1)
    batches = [correlations[start : start + at_once] for start in range(0, len(correlations), at_once)]
    # No gain is negative but by rounding.
    parts: Array = np.maximum(np.concatenate([_unexplained(batch) @ weights for batch in batches]), 0)
    return parts


def _unexplained(correlations: Array) -> Array:
    """Return the outcome's residual variance under every subset of drivers; the first driver is the leading bit.

    Driver by driver, each matrix branches into itself without the driver and itself given the driver (its Schur
    complement), which costs about twelve operations per subset instead of a regression.
    """
    branches = correlations[:, None]
    while (size := branches.shape[-1]) > 1:
        without, column, pivot = branches[..., 1:, 1:], branches[..., 1:, 0], branches[..., 0, 0]
        tells = pivot > _TOLERANCE
        inverse = np.where(tells, 1 / np.where(tells, pivot, 1), 0)
        given = without - column[..., :, None] * (column * inverse[..., None])[..., None, :]
        branches = np.stack([without, given], axis=2).reshape(len(correlations), -1, size - 1, size - 1)
    return branches[..., 0, 0]


def _johnson_parts(correlations: Array) -> Array:
    """Return [matrix, driver] relative weights; the outcome is the last column of each matrix."""
    sizes, directions = np.linalg.eigh(correlations[:, :-1, :-1])
    tells = sizes > _TOLERANCE
    roots = np.sqrt(np.where(tells, sizes, 0))
    inverse = np.where(tells, 1 / np.where(tells, roots, 1), 0)
    transposed = directions.transpose(0, 2, 1)
    loadings = (directions * roots[:, None]) @ transposed
    slopes = (directions * inverse[:, None]) @ transposed @ correlations[:, :-1, -1:]
    weights: Array = (loadings**2 @ slopes**2)[..., 0]
    return weights


# --- checks --------------------------------------------------------------------------------------


def _correlations_of(x: pd.DataFrame, y: pd.Series) -> Array:
    """Return the [1, p + 1, p + 1] correlations of gapless drivers and outcome."""
    figures = (
        np.column_stack([x.to_numpy(dtype=float), y.to_numpy(dtype=float)]) if len(x) == len(y) else np.empty((0, 0))
    )
    if figures.size == 0 or figures.shape[1] == 1 or not np.isfinite(figures).all():
        raise UsageError(
            found=f"{x.shape[1]} drivers in {len(x)} rows, {len(y)} outcomes, or figures that are missing or infinite",
            expected="at least one driver, and one finite outcome for each row of finite drivers",
            do="drop incomplete rows from both first",
        )
    centred = figures - figures.mean(axis=0)
    spread = centred.std(axis=0)
    z = centred / np.where(spread > 0, spread, 1)
    correlations = _correlations(_products(z, np.ones(len(z)))[None])
    return correlations if spread[-1] > 0 else np.full_like(correlations, np.nan)


def _check(frame: pd.DataFrame, columns: Sequence[str], cluster: str | None, weight: str | None) -> None:
    named = [*columns, *(name for name in (cluster, weight) if name)]
    if absent := sorted(set(named) - set(frame.columns)):
        hints = "".join(nearest(name, map(str, frame.columns)) for name in absent)
        raise UsageError(
            found=f"no column {listed(absent)}{hints}",
            expected="outcome, drivers, cluster and weight to be columns of the frame",
            do="name columns that exist",
        )
    if len(columns) < 2 or len(set(columns)) < len(columns):  # noqa: PLR2004 - outcome and a driver
        raise UsageError(
            found="no drivers, or a column named twice",
            expected="an outcome and at least one driver, all different",
            do="list each driver once and leave the outcome out",
        )
    figures = [*columns, *([weight] if weight else [])]
    wrong = [name for name in figures if not (is_numeric_dtype(frame[name]) or frame[name].isna().all())]
    wrong = wrong or [name for name in figures if np.isinf(_numbers(frame[name])).any()]
    if wrong:
        raise UsageError(
            found=f"{listed(wrong)} with text, dates or infinite figures",
            expected="finite numbers, or missing",
            do="convert the column first",
        )
    if weight and (_numbers(frame[weight]) < 0).any():
        raise UsageError(
            found=f"negative weights in `{weight}`", expected="weights of 0 or more", do="correct the weighting"
        )


def _check_numbers(
    drivers: Sequence[str], confidence: float, draws: int, performance: Mapping[str, float] | None
) -> None:
    if not 0 < confidence < 1 or draws < _MINIMUM_DRAWS:
        raise UsageError(
            found=f"confidence {confidence:g} and {draws} draws",
            expected=f"a confidence between 0 and 1 and at least {_MINIMUM_DRAWS} draws",
            do="pass e.g. 0.95 and 1000",
        )
    if performance is not None and (absent := sorted(set(drivers) - set(performance))):
        raise UsageError(
            found=f"no performance of {listed(absent)}",
            expected="one figure for each driver",
            do="add it, or leave `performance` out to get the means",
        )


def _numbers(column: pd.Series) -> Array:
    return np.asarray(column.astype("Float64").to_numpy(dtype=float, na_value=np.nan), dtype=np.float64)
