"""Roll rows up to groups in memory: the sums that an engine would make, without a query for each segment.

An engine needs some milliseconds for every query, however few the rows; a report of forty KPIs asks for thousands of
sums. Rows that fit into memory are therefore fetched once, and their texts become numbers. Sums are exact, so that they
depend on the order of the rows as little as an engine's do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce as fold
from math import frexp
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxreport.engine import without_categories
from cxreport.measure.intervals import quantile_ranks
from cxreport.schema import TOTAL

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]

# The level of rows that have none.
NOT_STATED = "(not stated)"
# Bits of a double that hold whole numbers exactly.
_BITS = 52


class Division(NamedTuple):
    """One way of grouping rows: the number of each row's group, and what the groups are called.

    `labels` has a row per possible group; groups that no row is in do not occur.
    """

    codes: Codes
    labels: pd.DataFrame
    levels: int = 1  # how many levels each group of the keys is divided into


class Rows:
    """Rows of one KPI in memory.

    Parameters
    ----------
    table
        One row per row of the KPI: the keys, the segment columns, and columns of numbers without nulls.
    keys
        Columns to group by; nulls are a group.
    segments
        The column of each segment; `None` where rows are not divided at all.
    cluster
        The column whose values tell which rows belong together; rows without one stand alone.
    """

    def __init__(
        self, table: pd.DataFrame, keys: Sequence[str], segments: Mapping[str, str] | None, cluster: str | None = None
    ) -> None:
        self.table = table
        self.keys = list(keys)
        self.segments = segments
        self._numbers: dict[str, Array] = {}
        self.group: Codes = np.zeros(len(table), dtype=np.int64)
        for key in self.keys:
            codes, names = _numbered(table[key])
            self.group = self.group * (len(names) + 1) + np.where(codes < 0, len(names), codes)
        found, self.group = _distinct(self.group)
        first = np.zeros(len(found), dtype=np.int64)
        first[self.group[::-1]] = np.arange(len(table))[::-1]
        self.groups = without_categories(table[self.keys].iloc[first].reset_index(drop=True))
        self.clusters: Codes | None = None
        if cluster:
            self.clusters, names = _numbered(table[cluster])
            self.n_clusters = max(len(names), 1)

    def number(self, name: str) -> Array:
        """Return a column of numbers."""
        if name not in self._numbers:
            self._numbers[name] = self.table[name].to_numpy(dtype=np.float64)
        return self._numbers[name]

    def divisions(self) -> Iterator[Division]:
        """Return the grouping by the keys alone, and then by each segment's levels."""
        if self.segments is None:
            yield Division(self.group, self.groups)
            return
        yield Division(self.group, self.groups.assign(segment=TOTAL, level=TOTAL))
        for segment, column in self.segments.items():
            codes, names = _numbered(self.table[column])
            # The last place is that of rows without a level, which have the number -1.
            places, levels = pd.factorize(np.array([*names, NOT_STATED], dtype=object), sort=True)
            size = len(levels)
            labels = self.groups.loc[self.groups.index.repeat(size)].reset_index(drop=True)
            level = list(levels) * len(self.groups)
            yield Division(self.group * size + places[codes], labels.assign(segment=segment, level=level), size)

    def rolled_up(self, roll: Callable[[Division], pd.DataFrame]) -> pd.DataFrame:
        """Return what a function makes of each division, beside the labels, in the order of the groups.

        `roll` returns a frame whose index numbers the groups.
        """
        parts = []
        for division in self.divisions():
            figures = roll(division)
            labels = division.labels.loc[figures.index].reset_index(drop=True)
            parts.append(pd.concat([labels, figures.reset_index(drop=True)], axis="columns"))
        table = pd.concat(parts, ignore_index=True)
        by = [*self.keys, *(["segment", "level"] if self.segments is not None else [])]
        return table.sort_values(by, kind="stable", ignore_index=True) if by else table

    def units(self, division: Division, chosen: npt.NDArray[np.bool_], names: Sequence[str]) -> "Units":
        """Return the sums of each cluster in each group; rows not chosen, or without a cluster, take no part."""
        assert self.clusters is not None
        chosen = chosen & (self.clusters >= 0)
        codes = division.codes[chosen] * self.n_clusters + self.clusters[chosen]
        found, place = _distinct(codes)
        sums = {name: summed(self.number(name)[chosen], place, len(found)) for name in names}
        return Units(found, found // self.n_clusters, sums)


class Units(NamedTuple):
    """The sums of each cluster in each group, in the order of groups and clusters.

    `codes` number the pairs of group and cluster, `group` says which group each belongs to.
    """

    codes: Codes
    group: Codes
    sums: dict[str, Array]


# --- sufficient statistics -----------------------------------------------------------------------


def statistics(
    rows: Rows, names: Sequence[str], vector: Sequence[str], products: Mapping[str, tuple[str, ...]]
) -> pd.DataFrame:
    """Sum columns by group, and the products of the vector's elements over clusters, rows being their own without any.

    Returns the labels of the groups, the named sums, the `products` by name, and with clusters `clusters`.
    """
    is_valid = rows.number("n") > 0
    alone = is_valid if rows.clusters is None else is_valid & (rows.clusters < 0)

    def roll(division: Division) -> pd.DataFrame:
        size = len(division.labels)
        sums = {name: summed(rows.number(name), division.codes, size) for name in names}
        codes = division.codes[alone]
        sums |= {
            name: summed(fold(np.multiply, (rows.number(factor)[alone] for factor in factors)), codes, size)
            for name, factors in products.items()
        }
        if rows.clusters is not None:
            units = rows.units(division, is_valid, list(dict.fromkeys(vector)))
            group = units.group
            sums["clusters"] = summed(np.ones(len(codes)), codes, size) + summed(np.ones(len(group)), group, size)
            for name, factors in products.items():
                product = fold(np.multiply, (units.sums[factor] for factor in factors))
                sums[name] = sums[name] + summed(product, group, size)
        return pd.DataFrame(sums)[np.bincount(division.codes, minlength=size) > 0]

    return rows.rolled_up(roll)


def overlap(rows: Rows, ends: Mapping[str, str], is_now: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Return `pairs` and the cross sums of two periods over the clusters that have valid rows in both.

    `ends` names the columns of scores x and weights w; the cross sums are those of `reduce.overlap`.
    """
    is_valid, names = rows.number("n") > 0, list(dict.fromkeys(ends.values()))

    def roll(division: Division) -> pd.DataFrame:
        size = len(division.labels)
        now, earlier = (rows.units(division, is_valid & side, names) for side in (is_now, ~is_now))
        _, first, second = np.intersect1d(now.codes, earlier.codes, assume_unique=True, return_indices=True)
        group = now.group[first]
        sums = {"pairs": summed(np.ones(len(group)), group, size)}
        for name in ("xx", "xw", "wx", "ww"):
            product = now.sums[ends[name[0]]][first] * earlier.sums[ends[name[1]]][second]
            sums[name] = summed(product, group, size)
        table = pd.DataFrame(sums).astype({"pairs": "int64"})
        return table[table["pairs"] > 0]

    return rows.rolled_up(roll)


def level_overlap(rows: Rows, ends: Mapping[str, str]) -> pd.DataFrame:
    """Return the cross sums of each level's clusters with the same clusters' sums over everybody."""
    is_valid, names = rows.number("n") > 0, list(dict.fromkeys(ends.values()))
    assert rows.clusters is not None
    alone = is_valid & (rows.clusters < 0)
    everybody = rows.units(Division(rows.group, rows.groups), is_valid, names)

    def roll(division: Division) -> pd.DataFrame:
        size = len(division.labels)
        units = rows.units(division, is_valid, names)
        key, cluster = units.group // division.levels, units.codes % rows.n_clusters
        place = np.searchsorted(everybody.codes, key * rows.n_clusters + cluster)
        codes = division.codes[alone]
        sums = {}
        for name in ("xx", "xw", "wx", "ww"):
            a, b = ends[name[0]], ends[name[1]]
            own = summed(rows.number(a)[alone] * rows.number(b)[alone], codes, size)
            sums[name] = own + summed(units.sums[a] * everybody.sums[b][place], units.group, size)
        return pd.DataFrame(sums)[np.bincount(division.codes[is_valid], minlength=size) > 0]

    return rows.rolled_up(roll)


def order_statistics(rows: Rows, q: float, confidence: float, *, counts_open: bool) -> pd.DataFrame:
    """Return the counts and order statistics of the column `x`, in which open cases are missing."""
    x = rows.number("x")
    closed = ~np.isnan(x)

    def roll(division: Division) -> pd.DataFrame:
        size, codes = len(division.labels), division.codes
        total, ended = (np.bincount(chosen, minlength=size) for chosen in (codes, codes[closed]))
        n = total if counts_open else ended
        group = np.flatnonzero(n)
        # Open cases take longer than any closed one, so they hold the last ranks and the closed ones keep theirs.
        ordered = x[closed][np.lexsort((x[closed], codes[closed]))]
        before = (np.cumsum(ended) - ended)[group]
        table = pd.DataFrame({"n": n, "n_missing": total - n, "n_open": n - ended, "clusters": n}).iloc[group]
        for name, ranks in quantile_ranks(n[group].astype(float), q, confidence).items():
            rank = ranks.to_numpy()
            exists = (rank > 0) & (rank <= ended[group])
            found = np.full(len(group), np.nan)
            found[exists] = ordered[before[exists] + rank[exists] - 1]
            table[f"x_{name}"] = found
        return table

    return rows.rolled_up(roll)


def survival_counts(rows: Rows) -> pd.DataFrame:
    """Count events and censorings by `duration`, and the rows of each group that have none."""
    duration, events = rows.number("duration"), rows.number("events")
    is_known = ~np.isnan(duration)

    def roll(division: Division) -> pd.DataFrame:
        missing = np.bincount(division.codes[~is_known], minlength=len(division.labels))
        known = pd.DataFrame(
            {"group": division.codes[is_known], "duration": duration[is_known], "events": events[is_known]}
        )
        cells = known.groupby(["group", "duration"])["events"].agg(["sum", "size"]).reset_index()
        counts = {"events": cells["sum"].astype("int64"), "censored": (cells["size"] - cells["sum"]).astype("int64")}
        table = pd.DataFrame({"duration": cells["duration"]} | counts)
        return table.assign(n_missing=missing[cells["group"]]).set_index(cells["group"])

    return rows.rolled_up(roll)


def summed(numbers: Array, codes: Codes, size: int) -> Array:
    """Sum numbers by group, exactly up to the rounding of the result (see `reduce.sum_exactly`)."""
    whole = np.floor(numbers)
    if np.array_equal(whole, numbers):
        return np.bincount(codes, weights=numbers, minlength=size).astype(np.float64)
    bits = _BITS - len(numbers).bit_length()
    scale = 2.0 ** (bits - frexp(float(np.abs(numbers).max()))[1])
    high = np.floor(numbers * scale)
    low = np.floor((numbers * scale - high) * 2.0**bits)
    highs, lows = (np.bincount(codes, weights=part, minlength=size) for part in (high, low))
    result: Array = (highs + lows * 2.0**-bits) / scale
    return result


def _numbered(column: pd.Series) -> tuple[Codes, pd.Index]:
    """Return the number of each value, -1 for nulls, and the values in order, with perhaps some that do not occur."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.is_monotonic_increasing:
        return column.cat.codes.to_numpy(dtype=np.int64), column.cat.categories
    codes, values = pd.factorize(column, sort=True)
    return codes.astype(np.int64), pd.Index(values)


def _distinct(codes: Codes) -> tuple[Codes, Codes]:
    """Return the numbers that occur, in order, and the place of each row's number among them."""
    place, found = pd.factorize(codes, sort=True)
    return found, place
