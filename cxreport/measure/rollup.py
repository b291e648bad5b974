"""Roll rows up to groups in memory: the sums that an engine would make, without a query for each segment.

An engine needs some milliseconds for every query, however few the rows; a report of forty KPIs asks for thousands of
sums. Rows that fit into memory are therefore fetched once, and their texts become numbers. Sums are exact, so that they
depend on the order of the rows as little as an engine's do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import frexp
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

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
        if self.keys:
            groups = table.groupby(self.keys, dropna=False, sort=True)
            self.group: Codes = groups.ngroup().to_numpy(dtype=np.int64)
            first = np.unique(self.group, return_index=True)[1]
            self.groups = table[self.keys].iloc[first].reset_index(drop=True)
        else:
            self.group = np.zeros(len(table), dtype=np.int64)
            self.groups = pd.DataFrame(index=range(min(len(table), 1)))
        self.clusters: Codes | None = None
        if cluster:
            self.clusters, self.n_clusters = _coded(table[cluster])

    def number(self, name: str) -> Array:
        """Return a column of numbers."""
        return self.table[name].to_numpy(dtype=np.float64)

    def divisions(self) -> Iterator[Division]:
        """Return the grouping by the keys alone, and then by each segment's levels."""
        if self.segments is None:
            yield Division(self.group, self.groups)
            return
        yield Division(self.group, self.groups.assign(segment=TOTAL, level=TOTAL))
        for segment, column in self.segments.items():
            levels = self.table[column].astype("object").fillna(NOT_STATED)
            codes, names = pd.factorize(levels, sort=True)
            size = max(len(names), 1)
            labels = self.groups.loc[self.groups.index.repeat(size)].reset_index(drop=True)
            level = list(names) * len(self.groups)
            yield Division(self.group * size + codes, labels.assign(segment=segment, level=level), size)

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

    def units(self, division: Division, chosen: npt.NDArray[np.bool_], names: Sequence[str]) -> pd.DataFrame:
        """Return the sums of each cluster in each group, in order: `group`, `cluster` and the named columns.

        Rows that are not chosen, and rows without a cluster, take no part.
        """
        assert self.clusters is not None
        chosen = chosen & (self.clusters >= 0)
        codes = division.codes[chosen] * self.n_clusters + self.clusters[chosen]
        found, place = np.unique(codes, return_inverse=True)
        sums = {name: summed(self.number(name)[chosen], place, len(found)) for name in names}
        return pd.DataFrame({"group": found // self.n_clusters, "cluster": found % self.n_clusters} | sums)


# --- sufficient statistics -----------------------------------------------------------------------


def statistics(
    rows: Rows, names: Sequence[str], vector: Sequence[str], products: Mapping[str, tuple[str, str]]
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
            name: summed(rows.number(a)[alone] * rows.number(b)[alone], codes, size)
            for name, (a, b) in products.items()
        }
        if rows.clusters is not None:
            units = rows.units(division, is_valid, list(dict.fromkeys(vector)))
            group = units["group"].to_numpy()
            sums["clusters"] = summed(np.ones(len(codes)), codes, size) + summed(np.ones(len(group)), group, size)
            for name, (a, b) in products.items():
                sums[name] = sums[name] + summed((units[a] * units[b]).to_numpy(), group, size)
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
        both = now.merge(earlier, on=["group", "cluster"], suffixes=("_now", "_earlier"))
        group = both["group"].to_numpy()
        sums = {"pairs": summed(np.ones(len(group)), group, size)}
        for name in ("xx", "xw", "wx", "ww"):
            product = both[f"{ends[name[0]]}_now"] * both[f"{ends[name[1]]}_earlier"]
            sums[name] = summed(product.to_numpy(), group, size)
        table = pd.DataFrame(sums).astype({"pairs": "int64"})
        return table[table["pairs"] > 0]

    return rows.rolled_up(roll)


def level_overlap(rows: Rows, ends: Mapping[str, str]) -> pd.DataFrame:
    """Return the cross sums of each level's clusters with the same clusters' sums over everybody."""
    is_valid, names = rows.number("n") > 0, list(dict.fromkeys(ends.values()))
    assert rows.clusters is not None
    alone = is_valid & (rows.clusters < 0)
    everybody = rows.units(Division(rows.group, rows.groups), is_valid, names).rename(columns={"group": "key"})

    def roll(division: Division) -> pd.DataFrame:
        size = len(division.labels)
        units = rows.units(division, is_valid, names)
        units = units.assign(key=units["group"] // division.levels)
        units = units.merge(everybody, on=["key", "cluster"], suffixes=("", "_in_all"))
        group, codes = units["group"].to_numpy(), division.codes[alone]
        sums = {}
        for name in ("xx", "xw", "wx", "ww"):
            a, b = ends[name[0]], ends[name[1]]
            own = summed(rows.number(a)[alone] * rows.number(b)[alone], codes, size)
            sums[name] = own + summed((units[a] * units[f"{b}_in_all"]).to_numpy(), group, size)
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


def distribution(rows: Rows) -> pd.DataFrame:
    """Count the rows of each group at each `score`, the values of the column `x`."""
    x = rows.number("x")

    def roll(division: Division) -> pd.DataFrame:
        cells = pd.DataFrame({"group": division.codes, "score": x}).value_counts(sort=False).sort_index()
        return cells.rename("count").reset_index("score")

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


def _coded(column: pd.Series) -> tuple[Codes, int]:
    """Return the number of each value, -1 for nulls, in the order of the values; and how many there are."""
    codes, names = pd.factorize(column, sort=True)
    return codes.astype(np.int64), max(len(names), 1)
