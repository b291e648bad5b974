"""Personas: groups of customers that come back in half of the data and that a homogeneous company would not show."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cxreport.errors import UsageError, listed, nearest
from cxreport.measure.compare import Change, mean_change, share_change
from cxreport.measure.intervals import Array

NO_GROUPS = "no stable groups"
# Hennig (2007): a cluster whose mean Jaccard similarity over samples is below .6 should not be trusted.
STABLE = 0.6

# Reference companies: 39 of them and the real one make 40, so that a p-value of .05 can be reached exactly.
_REFERENCES = 39
_SIGNIFICANT = 0.05
_HALVES = 20
_AGREES = 0.75
_COMMONEST = 0.99
_CUSTOMERS_PER_GROUP = 20
# Silhouettes compare all pairs, so that whether there are groups is judged on a sample of this size.
_JUDGED = 1000
_SKEWED = 1.0
_CALIBRATIONS = 3

Labels = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Personas:
    """Groups of customers, or the statement that there are none.

    Attributes
    ----------
    verdict
        "no stable groups", or how many there are.
    profiles
        One row per reported persona, largest first: `persona` (1, 2, ...), `name` (its two strongest traits),
        `n`, `share` (0-1) of the customers that were grouped, and `stability` (mean Jaccard similarity, 0-1).
    traits
        One row per persona and trait, the most telling first: `persona`, `feature`, `level` (null for numbers),
        `value` and `rest_value` (mean, or share of the level), `difference_sd` with `ci_low` and `ci_high` (in standard
        deviations of all customers), and `words`. Groups were formed by these very columns: the intervals say how
        precisely a trait is known, and are no test that the groups exist.
    members
        `customer_id` and `persona` (null where the customer's group is not stable enough to be reported).
    selection
        One row per number of groups tried: `k`, `silhouette`, `reference_silhouette` (mean of the references),
        `p_value` (over all numbers tried), `stability` (mean adjusted Rand index over half samples; null where
        the p-value already decides), `smallest_share`.
    n_left_out
        Customers with a missing value, who are not grouped.
    """

    verdict: str
    profiles: pd.DataFrame
    traits: pd.DataFrame
    members: pd.DataFrame
    selection: pd.DataFrame
    n_left_out: int


def find_personas(
    customers: pd.DataFrame,
    columns: Sequence[str],
    *,
    k_range: tuple[int, int] = (2, 8),
    seed: int = 0,
    minimum_share: float = 0.05,
) -> Personas:
    """Group customers by k-means on standardised columns, and report only groups that are there and that come back.

    Numbers are standardised, after log(1 + x) where they are skewed and not negative; a categorical column becomes one
    indicator per level, and weighs as much as a number. A number of groups qualifies when

    - its mean silhouette (Rousseeuw 1987) exceeds that of homogeneous references at an error of 5 % over all numbers
      tried. A reference has the same values in each column and the same rank correlations between columns, but no
      groups (a Gaussian copula; Iman and Conover 1982, Communications in Statistics B 11:311-334);
    - clusterings of 20 half samples agree with it: adjusted Rand index (Hubert and Arabie 1985) of at least .75 on
      average (our choice);
    - no group is smaller than `minimum_share`.

    The fewest groups are taken whose silhouette is within two standard deviations (of the references') of the largest.
    Of these groups, those with a mean Jaccard similarity over the
    half samples of at least .6 are reported (Hennig 2007, Computational Statistics & Data Analysis 52:258-271).

    Parameters
    ----------
    customers
        One row per customer with `customer_id`. Rows with a missing value in `columns` are left out.
    columns
        At least two columns of behaviour and answers: numbers, or text and booleans as categories. A split that shows
        in a single column only is no persona.
    k_range
        Fewest and most groups to try.
    seed
        Of the starts, samples and references.
    minimum_share
        Smallest part of the customers that counts as a group (0-1).

    Raises
    ------
    UsageError
        For columns or a range that do not exist, and for customers on more than one row.
    """
    import sklearn.cluster  # noqa: F401 - only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    _check(customers, columns, k_range)
    complete = customers.dropna(subset=["customer_id", *columns]).sort_values("customer_id", ignore_index=True)
    n_left_out = len(customers) - len(complete)
    varied = [name for name in dict.fromkeys(columns) if _varies(complete[name])]
    ks = [k for k in range(k_range[0], k_range[1] + 1) if k * _CUSTOMERS_PER_GROUP <= len(complete)]
    if len(varied) < 2 or not ks:  # noqa: PLR2004 - one column is a segment
        return _none(complete, pd.DataFrame(columns=_SELECTION), n_left_out)
    # One thread: several would add up in changing order.
    with threadpool_limits(limits=1):
        selection = _against_references(complete[varied], ks, seed)
        matrix = _encode(complete[varied])
        passing = selection.index[selection["p_value"] <= _SIGNIFICANT]
        groupings = {k: _group(matrix, k, seed) for k in passing.tolist()}
    for k, grouping in groupings.items():
        selection.loc[k, ["stability", "smallest_share"]] = [
            grouping.agreement,
            np.bincount(grouping.labels, minlength=k).min() / len(matrix),
        ]
    qualifies = (selection["stability"] >= _AGREES) & (selection["smallest_share"] >= minimum_share)
    table = selection.rename_axis("k").reset_index()[_SELECTION]
    if not qualifies.any():
        return _none(complete, table, n_left_out)
    best = groupings[_fewest(selection[qualifies])]
    return _reported(complete, varied, best, table, n_left_out)


def _fewest(qualified: pd.DataFrame) -> int:
    """Return the smallest number of groups that is not clearly worse than the one with the largest silhouette."""
    silhouettes = qualified["silhouette"].to_numpy(dtype=float)
    best = silhouettes.argmax()
    is_close = silhouettes >= silhouettes[best] - 2 * qualified["reference_sd"].to_numpy(dtype=float)[best]
    return int(qualified.index[is_close].min())


_SELECTION = ["k", "silhouette", "reference_silhouette", "p_value", "stability", "smallest_share"]
_PROFILES = ["persona", "name", "n", "share", "stability"]
_TRAITS = ["persona", "feature", "level", "value", "rest_value", "difference_sd", "ci_low", "ci_high", "words"]


# --- are there groups? ---------------------------------------------------------------------------


def _against_references(columns: pd.DataFrame, ks: list[int], seed: int) -> pd.DataFrame:
    """Compare the silhouette of each number of groups with those of companies without groups.

    Silhouettes are standardised per number of groups over the company and its references together, and the largest
    of each of them is compared: an exact test over all numbers at once (Westfall and Young 1993).
    """
    random = np.random.default_rng(seed)
    sample = columns
    if len(columns) > _JUDGED:
        sample = columns.iloc[np.sort(random.choice(len(columns), _JUDGED, replace=False))]
    reference = _Reference(sample, random)
    companies = [sample, *(reference.draw(random) for _ in range(_REFERENCES))]
    silhouettes = np.array([_silhouettes(_encode(company), ks, seed) for company in companies])
    spread = silhouettes.std(axis=0)
    standardised = (silhouettes - silhouettes.mean(axis=0)) / np.where(spread > 0, spread, 1)
    largest = standardised.max(axis=1)
    return pd.DataFrame(
        {
            "silhouette": silhouettes[0],
            "reference_silhouette": silhouettes[1:].mean(axis=0),
            "reference_sd": silhouettes[1:].std(axis=0, ddof=1),
            "p_value": [float(np.mean(np.r_[True, largest[1:] >= own])) for own in standardised[0]],
            "stability": np.nan,
            "smallest_share": np.nan,
        },
        index=ks,
    )


class _Reference:
    """A company with the same columns one by one and the same rank correlations, but without groups."""

    def __init__(self, columns: pd.DataFrame, random: np.random.Generator) -> None:
        self.names = columns.columns
        self.n = len(columns)
        positions = _ordered(columns)
        # Sorted rows of each column: the position in them is the rank.
        self.order = np.argsort(positions, axis=0, kind="stable")
        self.sorted = {name: columns[name].iloc[self.order[:, i]].array for i, name in enumerate(self.names)}
        self.ranked = np.take_along_axis(positions, self.order, axis=0)
        target = _score_correlations(positions)
        # Ties weaken correlations: raise those of the normal deviates until what they produce fits.
        deviates = random.standard_normal((20 * _JUDGED, len(self.names)))
        correlations = target
        for _ in range(_CALIBRATIONS):
            self.root = _square_root(correlations)
            places = self._places(deviates)
            reached = _score_correlations(np.take_along_axis(self.ranked, places, axis=0))
            correlations = np.clip(correlations + target - reached, -0.999, 0.999)
            np.fill_diagonal(correlations, 1.0)
        self.root = _square_root(correlations)

    def draw(self, random: np.random.Generator) -> pd.DataFrame:
        # Ranks, not probabilities: every value is used exactly once.
        places = np.argsort(np.argsort(random.standard_normal((self.n, len(self.names))) @ self.root, axis=0), axis=0)
        return pd.DataFrame({name: self.sorted[name].take(places[:, i]) for i, name in enumerate(self.names)})

    def _places(self, deviates: Array) -> Labels:
        probabilities = stats.norm.cdf(deviates @ self.root)
        places: Labels = np.minimum((probabilities * self.n).astype(np.intp), self.n - 1)
        return places


def _ordered(columns: pd.DataFrame) -> Array:
    """Return numbers as they are, and levels in the order in which they lie along the first principal component."""
    matrix = _encode(columns)
    component = matrix @ np.linalg.svd(matrix, full_matrices=False)[2][0]
    return np.column_stack(
        [
            columns[name].to_numpy(dtype=float)
            if _is_number(columns[name])
            else pd.Series(component).groupby(columns[name].astype(str).to_numpy()).transform("mean").to_numpy()
            for name in columns
        ]
    )


def _score_correlations(positions: Array) -> Array:
    """Return correlations of normal scores (van der Waerden)."""
    scores = stats.norm.ppf((stats.rankdata(positions, axis=0) - 0.5) / len(positions))
    correlations: Array = np.corrcoef(scores, rowvar=False)
    return correlations


def _square_root(correlations: Array) -> Array:
    """Return a root of the nearest correlation matrix that is one."""
    roots, vectors = np.linalg.eigh(correlations)
    root = vectors * np.sqrt(np.maximum(roots, 0))
    unit: Array = (root / np.linalg.norm(root, axis=1, keepdims=True)).T
    return unit


# --- grouping ------------------------------------------------------------------------------------


class _Grouping(NamedTuple):
    """Groups of all customers, their agreement with half samples, and each group's Jaccard similarity."""

    labels: Labels
    agreement: float
    jaccard: Array


def _group(matrix: Array, k: int, seed: int) -> _Grouping:
    from sklearn.metrics import adjusted_rand_score

    labels = _cluster(matrix, k, seed)
    random = np.random.default_rng([seed, k])
    agreements, similarities = [], []
    for _ in range(_HALVES):
        half = random.choice(len(matrix), min(len(matrix) // 2, 2 * _JUDGED), replace=False)
        again = _cluster(matrix[half], k, seed)
        agreements.append(adjusted_rand_score(labels[half], again))
        similarities.append(_jaccard(labels[half], again, k))
    return _Grouping(labels, float(np.mean(agreements)), np.mean(similarities, axis=0))


def _jaccard(labels: Labels, again: Labels, k: int) -> Array:
    """Return the similarity of each group to the group of another clustering that it shares most with.

    >>> _jaccard(np.array([0, 0, 0, 1, 1]), np.array([1, 1, 0, 0, 0]), 2).round(3).tolist()
    [0.667, 0.667]
    """
    shared = np.zeros((k, k))
    np.add.at(shared, (labels, again), 1)
    either = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    similarities: Array = (shared / np.maximum(either, 1)).max(axis=1)
    return similarities


def _cluster(matrix: Array, k: int, seed: int) -> Labels:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer different customers than groups: some groups stay empty, and are too small to qualify.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels: Labels = KMeans(k, n_init=3, random_state=seed).fit_predict(matrix).astype(np.intp)
    return labels


def _silhouettes(matrix: Array, ks: list[int], seed: int) -> list[float]:
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(matrix)
    np.fill_diagonal(distances, 0)
    return [_silhouette(distances, _cluster(matrix, k, seed)) for k in ks]


def _silhouette(distances: Array, labels: Labels) -> float:
    """Return the mean silhouette (Rousseeuw 1987) by one product of matrices; scikit-learn goes row by row.

    >>> _silhouette(np.array([[0.0, 1, 4], [1, 0, 5], [4, 5, 0]]), np.array([0, 0, 1])).__round__(4)
    0.5167
    """
    belongs = (labels[:, None] == np.unique(labels)).astype(float)
    sizes, totals = belongs.sum(axis=0), distances @ belongs
    own_size = belongs @ sizes
    within = (totals * belongs).sum(axis=1) / np.maximum(own_size - 1, 1)
    nearest = np.where(belongs > 0, np.inf, totals / sizes).min(axis=1)
    larger = np.maximum(within, nearest)
    silhouettes = np.where((own_size > 1) & (larger > 0), (nearest - within) / np.where(larger > 0, larger, 1), 0.0)
    return float(silhouettes.mean())


def _encode(columns: pd.DataFrame) -> Array:
    """Return standardised numbers and indicators; each column has a total variance of one."""
    blocks = []
    for name in columns:
        if _is_number(columns[name]):
            block = columns[name].to_numpy(dtype=float)[:, None]
            if block.min() >= 0 and stats.skew(block, axis=None) > _SKEWED:
                block = np.log1p(block)
        else:
            block = pd.get_dummies(columns[name].astype(str), dtype=float).to_numpy()
        blocks.append((block - block.mean(axis=0)) / np.sqrt(block.var(axis=0).sum()))
    return np.hstack(blocks)


# --- what is reported ----------------------------------------------------------------------------


def _reported(
    customers: pd.DataFrame, columns: list[str], grouping: _Grouping, selection: pd.DataFrame, n_left_out: int
) -> Personas:
    stable = np.flatnonzero(grouping.jaccard >= STABLE)
    found = []
    for label in stable.tolist():
        belongs = grouping.labels == label
        traits = _traits(customers[columns], belongs)
        found.append((belongs, ", ".join(traits["short"].head(2)), traits, float(grouping.jaccard[label])))
    if not found:
        return _none(customers, selection, n_left_out)
    found.sort(key=lambda each: (-int(each[0].sum()), each[1]))
    profiles = pd.DataFrame(
        [
            (number, name, int(belongs.sum()), float(belongs.mean()), stability)
            for number, (belongs, name, _, stability) in enumerate(found, start=1)
        ],
        columns=_PROFILES,
    )
    traits = pd.concat([each[2].assign(persona=number) for number, each in enumerate(found, start=1)])
    persona = pd.Series(pd.NA, index=customers.index, dtype="Int64")
    for number, each in enumerate(found, start=1):
        persona[each[0]] = number
    return Personas(
        verdict=f"{len(found)} stable group{'s' if len(found) > 1 else ''}",
        profiles=profiles,
        traits=traits[_TRAITS].reset_index(drop=True),
        members=customers[["customer_id"]].assign(persona=persona),
        selection=selection,
        n_left_out=n_left_out,
    )


def _none(customers: pd.DataFrame, selection: pd.DataFrame, n_left_out: int) -> Personas:
    return Personas(
        verdict=NO_GROUPS,
        profiles=pd.DataFrame(columns=_PROFILES),
        traits=pd.DataFrame(columns=_TRAITS),
        members=customers[["customer_id"]].assign(persona=pd.Series(pd.NA, index=customers.index, dtype="Int64")),
        selection=selection,
        n_left_out=n_left_out,
    )


def _traits(columns: pd.DataFrame, belongs: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Return what sets a group apart from the others, largest standardised difference first."""
    rows: list[dict[str, Any]] = []
    for name in map(str, columns):
        column = columns[name]
        if _is_number(column):
            rows.append(_number_trait(name, column.astype(float), belongs))
            continue
        levels = [_level_trait(name, level, column == level, belongs) for level in sorted(column.unique(), key=str)]
        # Of two levels, the one more common in the group says it all.
        rows += levels if len(levels) > 2 else [max(levels, key=_difference)]  # noqa: PLR2004
    table = pd.DataFrame(rows)
    return table.assign(size=table["difference_sd"].abs()).sort_values(
        ["size", "feature", "short"], ascending=[False, True, True], ignore_index=True
    )


def _difference(trait: dict[str, Any]) -> float:
    return float(trait["difference_sd"])


def _number_trait(name: str, column: pd.Series, belongs: npt.NDArray[np.bool_]) -> dict[str, Any]:
    sides = [column[belongs], column[~belongs]]
    frames = [
        pd.DataFrame({"value": [side.mean()], "se": [side.sem()], "df": [len(side) - 1]}).replace({"se": {0: np.nan}})
        for side in sides
    ]
    change = mean_change(frames[0], frames[1], 0.95)
    value, rest = (float(side.mean()) for side in sides)
    words = f"{_spoken(name)}: {value:.3g} against {rest:.3g}"
    if column.min() >= 0 and rest > 0:
        words = f"{_spoken(name)} {value / rest:.1f}x as high ({value:.3g} against {rest:.3g})"
    short = f"{'high' if value > rest else 'low'} {_spoken(name)}"
    trait = _trait(name, value, rest, spread=float(column.std()), change=change)
    return trait | {"words": words, "short": short}


def _level_trait(name: str, level: object, has_level: pd.Series, belongs: npt.NDArray[np.bool_]) -> dict[str, Any]:
    sides = [has_level[belongs], has_level[~belongs]]
    frames = [pd.DataFrame({"p_top": [side.mean()], "base": [float(len(side))]}) for side in sides]
    change = share_change(frames[0], frames[1], 0.95)
    value, rest = (float(side.mean()) for side in sides)
    words = f"{_spoken(name)} {level}: {value:.0%} against {rest:.0%}"
    short = f"{'' if value > rest else 'not '}{_spoken(name)} {level}"
    trait = _trait(name, value, rest, spread=float(has_level.astype(float).std()), change=change, level=str(level))
    return trait | {"words": words, "short": short}


def _trait(
    name: str, value: float, rest: float, *, spread: float, change: Change, level: str | None = None
) -> dict[str, Any]:
    return {
        "feature": name,
        "level": level,
        "value": value,
        "rest_value": rest,
        "difference_sd": (value - rest) / spread,
        "ci_low": float(change.low[0]) / spread,
        "ci_high": float(change.high[0]) / spread,
    }


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _varies(column: pd.Series) -> bool:
    """Say whether at least one customer in a hundred differs from the commonest value: else samples may not."""
    shares = column.value_counts(normalize=True)
    return len(shares) > 1 and bool(shares.iloc[0] <= _COMMONEST)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _check(customers: pd.DataFrame, columns: Sequence[str], k_range: tuple[int, int]) -> None:
    known = list(map(str, customers.columns))
    if missing := [name for name in ("customer_id", *columns) if name not in known]:
        raise UsageError(
            found=f"no columns {listed(missing)}{nearest(missing[0], known)}",
            expected=f"columns of the frame: {listed(known)}",
            do="name the columns as the frame does",
        )
    if not 2 <= k_range[0] <= k_range[1]:  # noqa: PLR2004 - one group is everybody
        raise UsageError(
            found=f"a range from {k_range[0]} to {k_range[1]} groups",
            expected="at least 2 groups, and the fewest first",
            do="correct `k_range`",
        )
    if customers["customer_id"].dropna().duplicated().any():
        raise UsageError(
            found="customers on more than one row",
            expected="one row per customer",
            do="aggregate the rows by `customer_id` first",
        )
