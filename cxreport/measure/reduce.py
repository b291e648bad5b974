"""Group-by reductions, written once in Narwhals: rows in, small frames of sufficient statistics out.

The same expressions run on DuckDB, pandas and Spark. Nothing depends on the order of rows or on the number of threads:
whole numbers add up exactly, and other numbers are added up as two whole parts each (see `sum_exactly`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from functools import reduce as fold
from math import frexp, isfinite, prod
from operator import mul, or_

import narwhals as nw
import numpy as np
import pandas as pd

from cxreport.config import Kpi
from cxreport.engine import Frame, collect, kept, wrap
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure import rollup
from cxreport.measure.intervals import CUBES, quantile_ranks
from cxreport.measure.rollup import NOT_STATED
from cxreport.schema import TOTAL

# Additive over groups that share no cluster: totals come from summed statistics, never from averages of averages.
SUMS = ("n", "n_top", "n_bottom", "w", "w2", "wx", "wx2", "w2x", "w2x2")
# Up to so many rows are fetched and rolled up in memory; a query for each segment would take longer.
IN_MEMORY = 300_000
# Group sizes and ranks share one integer, so that one membership test picks the order statistics of all groups.
_GROUP_SIZE = 2**31
# Products of one side's scores x and weights w with those of the other side.
_CROSS = ("xx", "xw", "wx", "ww")
# Bits of a whole number that sums may fill, and the least exponent whose scale is a finite double.
_BITS, _LEAST_EXPONENT = 62, -900

# Adds the column `level` of the segment at hand to rows.
Divide = Callable[[Frame], Frame]


def reduce(
    frame: Frame, kpi: Kpi, by: Sequence[str], confidence: float, *, segments: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Reduce rows to the sufficient statistics of a KPI; of survival curves, see `survival_counts`.

    Parameters
    ----------
    frame
        Rows of the KPI's table, on any engine; the KPI's `where` is applied here.
    by
        Columns to group by; a KPI that is computed per question is grouped by `question` as well.
    confidence
        Decides which order statistics a quantile's interval needs; other KPIs do not use it.
    segments
        The column of each segment: every group is then also broken down by each segment in turn. Rows without a level
        have the level `NOT_STATED`.

    Returns
    -------
    DataFrame
        One row per group with at least one valid answer, in the order of the groups: the group columns; with
        `segments` the columns `segment` and `level`, which are `TOTAL` on the rows that count everybody; `n` (valid
        answers, and open cases that count), `n_missing` (rows without an answer or a positive weight), `clusters`
        (customers or accounts with a valid answer; `n` for a KPI without `cluster`) and

        - for nets, shares and means `n_top`, `n_bottom` and the sums `w`, `wx`, `wx2` of weights and scores; a net
          scores its answers +1, 0, -1 and a share 1, 0. A ratio has its denominator in `w`, its numerator in `wx`
        - the sums `w2`, `w2x`, `w2x2` over clusters of the squares and products of each cluster's own `w` and `wx`.
          Without clusters every answer is one; answers without a cluster always are. With the interval `hall` also
          the sums `w3`, `w3x`, `w3x2`, `w3x3` of products of three
        - for nets with `parts` `n_top`, `n_bottom`, the sums `t_0`, `t_1`, ... (score of the first part, weight of its
          answers, score of the second part, ...) and the sums `g_<i>_<j>` of their products over clusters
        - for quantiles `n_open` (open cases that count) and `x_below`, `x_above`, `x_low`, `x_high`, the order
          statistics of `quantile_ranks`; null where the rank does not exist or falls among the open cases

    Raises
    ------
    DefinitionError
        When a column that the KPI, the grouping or a segment needs is not there.
    UsageError
        When scores lie off the KPI's scale, come from another scale or one whose other end is good, a weight or the
        denominator of a ratio is negative, or a number is not finite.
    """
    assert kpi.type not in {"survival", "value"}, "such figures have no sufficient statistics"
    keys = _keys(kpi, by)
    if kpi.type == "quantile":
        assert kpi.column is not None
        assert kpi.quantile is not None
        rows = _chosen(frame, kpi, [*keys, *(segments or {}).values()])
        if row_count(rows) <= IN_MEMORY:
            held = _fetched(rows.with_columns(x=nw.col(kpi.column).cast(nw.Float64)), keys, segments, ["x"])
            return rollup.order_statistics(held, kpi.quantile, confidence, counts_open=kpi.open_cases == "longer")
        return _divided(keys, segments, lambda divide, keys: _order_statistics(divide(rows), kpi, keys, confidence))
    terms = _scored_rows(frame, kpi, keys, segments or {})
    if terms.size <= IN_MEMORY:
        held = _fetched(terms.rows, keys, segments, terms.numbers, kpi.cluster)
        table = rollup.statistics(held, terms.numbers, terms.vector, terms.products)
        table = table.astype({name: "int64" for name in ["clusters", *terms.whole] if name in table})
        table = _completed(table, kpi)
        return _ordered(table[_is_answered(table)].reset_index(drop=True))
    with _by_cluster(terms, keys) as terms:
        table = _statistics(terms, keys, segments)
        return _ordered(table[_is_answered(table)].reset_index(drop=True))


def survival_counts(
    frame: Frame, kpi: Kpi, by: Sequence[str], *, segments: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Count what ended and what was still going on at each duration, for Kaplan-Meier estimates.

    Parameters as for `reduce`; errors likewise.

    Returns
    -------
    DataFrame
        One row per group and distinct duration, in order: the group columns, with `segments` also `segment` and
        `level`; `duration` (the KPI's `column`, or its `age` where that is null), `events`, `censored`, and
        `n_missing`, the rows of the whole group that have neither. As long as the durations are many.
    """
    assert kpi.column is not None
    assert kpi.age is not None
    keys = _keys(kpi, by)
    rows = _chosen(frame, kpi, [*keys, *(segments or {}).values()])
    ended = ~nw.col(kpi.column).is_null()
    lasted, so_far = nw.col(kpi.column).cast(nw.Float64), nw.col(kpi.age).cast(nw.Float64)
    rows = rows.with_columns(
        cases=nw.lit(1), events=_flag(ended), duration=nw.when(ended).then(lasted).otherwise(so_far)
    )
    if row_count(rows) <= IN_MEMORY:
        return rollup.survival_counts(_fetched(rows, keys, segments, ["duration", "events"]))

    def counted(divide: Divide, keys: list[str]) -> pd.DataFrame:
        cells = collect(sum_exactly(divide(rows), [*keys, "duration"], ["cases", "events"]))
        cells = cells.sort_values([*keys, "duration"], ignore_index=True)
        missing = cells["cases"].where(cells["duration"].isna(), 0)
        cells["n_missing"] = missing.groupby([cells[key] for key in keys], dropna=False).transform("sum")
        cells["censored"] = cells["cases"] - cells["events"]
        return cells.loc[cells["duration"].notna(), [*keys, "duration", "events", "censored", "n_missing"]]

    return _divided(keys, segments, counted)


def overlap(
    frame: Frame, kpi: Kpi, now: str, earlier: str, segments: Mapping[str, str], *, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the cross sums of two periods over the clusters that have valid answers in both, at the same level.

    Parameters
    ----------
    frame, kpi
        As for `reduce`; the KPI has `cluster` and is computed per answer.
    now, earlier
        Values of the column `period`.
    by
        Columns to group by, without nulls; each group has its own total and levels.

    Returns
    -------
    DataFrame
        One row per (group, question,) `segment` and `level` with such clusters: `pairs`, their number, and with a
        cluster's sums A of scores and B of weights: `xx` (sum of A now x A earlier), `xw` (A now x B earlier), `wx` (B
        now x A earlier), `ww` (B now x B earlier).
    """
    keys = _keys(kpi, by)
    frame = frame.filter((nw.col("period") == now) | (nw.col("period") == earlier))
    terms = _scored_rows(frame, kpi, keys, segments, also=["period"])
    if terms.size <= IN_MEMORY:
        held = _fetched(terms.rows, keys, segments, [*terms.numbers, "period"], kpi.cluster)
        return rollup.overlap(held, terms.ends, (held.table["period"] == now).to_numpy(dtype=bool))
    with _by_cluster(terms, keys) as terms:
        # A cluster has one row of sums, in which the two periods stand side by side.
        is_now, zero = nw.col("period") == now, nw.lit(0)
        sides: dict[str, nw.Expr] = {}
        for name in dict.fromkeys(["n", *terms.vector]):
            sides[f"{name}_now"] = nw.when(is_now).then(nw.col(name)).otherwise(zero)
            sides[f"{name}_earlier"] = nw.when(is_now).then(zero).otherwise(nw.col(name))
        rows = terms.together.with_columns(**sides)
        real = {name: terms.peaks[origin] for name in sides if (origin := name.rsplit("_", 1)[0]) in terms.peaks}
        sided = replace(terms, whole=[name for name in sides if name not in real], peaks=real)

        def crossed(divide: Divide, keys: list[str]) -> pd.DataFrame:
            units = sided.units(divide(rows), keys).filter(nw.col("n_now") > 0, nw.col("n_earlier") > 0)
            units = units.with_columns(pairs=nw.lit(1), **_cross_products(terms.vector, "_now", "_earlier"))
            return collect(terms.summed(units, keys, ["pairs"], _crossed(terms.vector)))

        return _divided(keys, segments, crossed)


def level_overlap(
    frame: Frame, kpi: Kpi, period: str, segments: Mapping[str, str], *, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the cross sums of each level's clusters with the same clusters' sums over all of its group in a period.

    Parameters as for `overlap`.

    Returns
    -------
    DataFrame
        One row per (group, question,) `segment` and `level`, without the total: with a cluster's sums A of scores and B
        of weights, the sums over the clusters of the level `xx` (A in the level x A in all), `xw` (A in the level x B
        in all), `wx` (B in the level x A in all), `ww` (B in the level x B in all).
    """
    keys = _keys(kpi, by)
    terms = _scored_rows(frame.filter(nw.col("period") == period), kpi, keys, segments)
    if terms.size <= IN_MEMORY:
        table = rollup.level_overlap(_fetched(terms.rows, keys, segments, terms.numbers, kpi.cluster), terms.ends)
        return table[table["segment"] != TOTAL].reset_index(drop=True)
    with _by_cluster(terms, keys) as terms:
        totals = terms.units(terms.together, keys)
        totals = totals.select(*keys, "cluster", *(nw.col(name).alias(f"{name}_in_all") for name in terms.vector))

        def crossed(divide: Divide, keys_and_level: list[str]) -> pd.DataFrame:
            units = terms.units(divide(terms.together), keys_and_level).join(totals, on=[*keys, "cluster"], how="inner")
            cross = _cross_products(terms.vector, "", "_in_all")
            units = units.with_columns((cross[name] - nw.col(own)).alias(name) for name, own in less.items())
            return collect(terms.summed(units, keys_and_level, [], _crossed(terms.vector)))

        less = {"xx": "w2x2", "xw": "w2x", "wx": "w2x", "ww": "w2"}
        alone = _sums(terms, keys, segments)
        alone = alone[_is_answered(alone)].reset_index(drop=True)
        alone = alone.assign(**{name: alone[own] for name, own in less.items()})
        table = _added(alone, _divided(keys, segments, crossed), _by(keys, segments))
    return table.loc[table["segment"] != TOTAL, [*keys, "segment", "level", *_CROSS]].reset_index(drop=True)


def sum_exactly(
    frame: Frame, keys: Sequence[str], whole: Sequence[str], real: Mapping[str, float] | None = None, rows: int = 1
) -> Frame:
    """Sum columns by group so that neither the order of rows nor the number of threads can change a digit.

    Sums of doubles depend on their order; sums of whole numbers do not. So each double is cut into two whole parts,
    in fixed steps below the largest one; the parts are added up and put together again (pre-rounding, as in Demmel and
    Nguyen 2013, Fast reproducible floating-point summation). What lies beyond both parts, less than 2**-70 of the
    largest number for a million rows, is left out.

    Parameters
    ----------
    whole
        Columns of whole numbers.
    real
        Columns of other numbers, without nulls, and the largest size of each.
    rows
        How many rows there are at most.
    """
    bits = _BITS - rows.bit_length()
    scales = {name: 2.0 ** (bits - max(frexp(peak)[1], _LEAST_EXPONENT)) for name, peak in (real or {}).items()}
    highs = {f"{name}_high": (nw.col(name) * scale).floor() for name, scale in scales.items()}
    parts = {}
    for name, scale in scales.items():
        parts[f"{name}_low"] = ((nw.col(name) * scale - nw.col(f"{name}_high")) * 2.0**bits).floor().cast(nw.Int64)
        parts[f"{name}_high"] = nw.col(f"{name}_high").cast(nw.Int64)
    split = _with(_with(frame, highs), parts)
    sums = split.group_by(*keys).agg(nw.col(name).sum() for name in [*whole, *parts])
    return sums.select(
        *keys,
        *(nw.col(name).cast(nw.Int64) for name in whole),
        *(
            (
                (nw.col(f"{name}_high").cast(nw.Float64) + nw.col(f"{name}_low").cast(nw.Float64) * 2.0**-bits) / scale
            ).alias(name)
            for name, scale in scales.items()
        ),
    )


# --- what a row adds to the sums -----------------------------------------------------------------


@dataclass(frozen=True)
class _Terms:
    """Rows with what each of them adds to the sums of a KPI.

    Attributes
    ----------
    columns
        The group and segment columns.
    rows
        These, and the columns to sum.
    together
        Of a clustered KPI the rows that share their cluster (the column `cluster`) with others of their group.
    whole, peaks
        Columns of whole numbers, and of other numbers with their largest size.
    vector
        The columns whose products are summed: weight and score, or those of each part in turn.
    products
        The columns of these products within a row, and the columns that are multiplied.
    size
        How many rows there are.
    largest_cluster
        How many rows a cluster has at most.
    """

    kpi: Kpi
    columns: list[str]
    rows: Frame
    together: Frame
    whole: list[str]
    peaks: dict[str, float]
    vector: list[str]
    products: dict[str, tuple[str, ...]]
    size: int
    largest_cluster: int = 1

    @property
    def numbers(self) -> list[str]:
        """The columns to sum."""
        return [*self.whole, *self.peaks]

    @property
    def ends(self) -> dict[str, str]:
        """The columns of weights w and scores x."""
        return dict(zip("wx", self.vector, strict=True))

    def units(self, rows: Frame, keys: list[str]) -> Frame:
        """Return the sums of each cluster."""
        return sum_exactly(rows, [*keys, "cluster"], self.whole, self.peaks, self.size)

    def summed(self, units: Frame, keys: list[str], whole: list[str], products: Mapping[str, tuple[str, ...]]) -> Frame:
        """Sum by group what was made of products of clusters' sums; `products` names the multiplied columns."""
        if not self.peaks:
            return sum_exactly(units, keys, [*whole, *products], {}, self.size)
        peaks = {name: self.peaks.get(name, 1.0) * self.largest_cluster for name in self.vector}
        # Less the products within rows, which are no larger.
        largest = {name: 2 * prod(peaks[factor] for factor in factors) for name, factors in products.items()}
        return sum_exactly(units, keys, whole, largest, self.size)


def _scored_rows(
    frame: Frame, kpi: Kpi, keys: list[str], segments: Mapping[str, str], also: Sequence[str] = ()
) -> _Terms:
    """Check a KPI's rows and add what each of them adds to its sums."""
    columns = list(dict.fromkeys([*keys, *also, *segments.values()]))
    rows, whole, real, vector = _scored(_chosen(frame, kpi, columns), kpi)
    size, peaks = _survey(rows, kpi, real)
    with_cubes = kpi.interval == "hall"
    # Of equal weights without clusters, the squares say nothing that the sums do not.
    has_products = bool(kpi.weight or kpi.ratio or kpi.cluster) or with_cubes
    products = _products(vector, with_cubes=with_cubes) if has_products else {}
    return _Terms(kpi, columns, rows, rows, whole, peaks, vector, products, size)


@contextmanager
def _by_cluster(terms: _Terms, keys: list[str]) -> Iterator[_Terms]:
    """Add the products to rows, and find the rows that share their cluster with others of their group."""
    kpi, products = terms.kpi, terms.products
    rows = _with(terms.rows, {name: _product(factors) for name, factors in products.items()})
    whole, peaks = [*terms.whole], dict(terms.peaks)
    if peaks:
        peaks |= {name: prod(terms.peaks.get(factor, 1.0) for factor in factors) for name, factors in products.items()}
    else:
        whole += products
    terms = replace(terms, rows=rows, together=rows, whole=whole, peaks=peaks)
    if not kpi.cluster:
        yield terms
        return
    rows = rows.with_columns(cluster=nw.col(kpi.cluster)).select(*terms.columns, "cluster", *whole, *peaks)
    in_cluster = rows.filter(~nw.col("cluster").is_null(), nw.col("n") > 0)
    sized = in_cluster.with_columns(_rows=nw.len().over(*keys, "cluster")).filter(nw.col("_rows") > 1)
    with kept(sized) as together:
        largest = collect(together.select(nw.col("_rows").max()))["_rows"].iloc[0]
        yield replace(terms, together=together, largest_cluster=1 if pd.isna(largest) else int(largest))


def row_count(rows: Frame) -> int:
    """Return how many rows there are."""
    return int(collect(rows.select(nw.len().alias("rows")))["rows"].iloc[0])


def _fetched(
    rows: Frame, keys: list[str], segments: Mapping[str, str] | None, numbers: Sequence[str], cluster: str | None = None
) -> rollup.Rows:
    """Bring what sums need of rows into memory."""
    columns = [*keys, *(segments or {}).values(), *numbers, *([cluster] if cluster else [])]
    table = collect(rows.select(list(dict.fromkeys(columns))), with_categories=True)
    return rollup.Rows(table, keys, segments, cluster)


def _scored(rows: Frame, kpi: Kpi) -> tuple[Frame, list[str], list[str], list[str]]:
    """Add the columns to sum; return the names of the whole ones, of the other ones and of the vector."""
    rows = rows.with_columns(n=_flag(_is_valid(kpi))).with_columns(n_missing=1 - nw.col("n"))
    whole = ["n", "n_missing"]
    is_valid = nw.col("n") == 1

    def known(column: str) -> nw.Expr:
        return nw.when(is_valid).then(nw.col(column).cast(nw.Float64)).otherwise(nw.lit(0.0))

    if kpi.type == "count":
        return rows, whole, [], []
    if kpi.ratio:
        return rows.with_columns(w=known(kpi.ratio.to), wx=known(kpi.ratio.of)), whole, ["w", "wx"], ["w", "wx"]
    real, vector = (["w"], ["w", "wx"]) if kpi.weight else ([], ["n", "wx"])
    if kpi.weight:
        rows = rows.with_columns(w=known(kpi.weight))
    if kpi.type == "mean":
        x = known(kpi.column or "score")
        rows = rows.with_columns(wx=nw.col("w") * x if kpi.weight else x)
        return rows.with_columns(wx2=nw.col("wx") * x), whole, [*real, "wx", "wx2"], vector
    rows = rows.with_columns(n_top=_flag(is_valid & _is_top(kpi)), n_bottom=_flag(is_valid & _is_bottom(kpi)))
    whole = [*whole, "n_top", "n_bottom"]
    signed, classed = nw.col("n_top") - nw.col("n_bottom"), nw.col("n_top") + nw.col("n_bottom")
    if kpi.weight:
        rows, real = rows.with_columns(wx=nw.col("w") * signed, wx2=nw.col("w") * classed), ["w", "wx", "wx2"]
    else:
        rows, whole = rows.with_columns(wx=signed), [*whole, "wx"]
    if kpi.parts:
        rows, vector = _with_parts(rows, kpi, vector)
        whole, real = (whole, [*real, *vector]) if real else ([*whole, *vector], [])
    return rows, whole, real, vector


def _with_parts(rows: Frame, kpi: Kpi, vector: list[str]) -> tuple[Frame, list[str]]:
    """Add score and weight of each part's answers, in the order of `where`."""
    assert kpi.parts is not None
    weight, score = vector
    columns = {}
    for number, part in enumerate(kpi.where[kpi.parts]):
        for offset, name in enumerate((score, weight)):
            of_part = nw.when(nw.col(kpi.parts) == part).then(nw.col(name)).otherwise(nw.lit(0))
            columns[f"t_{2 * number + offset}"] = of_part
    return rows.with_columns(**columns), list(columns)


def _products(vector: list[str], *, with_cubes: bool) -> dict[str, tuple[str, ...]]:
    """Name the products of a vector's elements, each with the columns that are multiplied."""
    if not vector:
        return {}
    if vector[0] == "t_0":
        return {f"g_{i}_{j}": (vector[i], vector[j]) for i in range(len(vector)) for j in range(i, len(vector))}
    weight, score = vector
    squares = {"w2": (weight, weight), "w2x": (weight, score), "w2x2": (score, score)}
    cubes = {name: (weight,) * (3 - power) + (score,) * power for power, name in enumerate(CUBES)}
    return {**squares, **cubes} if with_cubes else {**squares}


def _product(factors: Iterable[str]) -> nw.Expr:
    return fold(mul, (nw.col(name) for name in factors))


def _crossed(vector: list[str]) -> dict[str, tuple[str, str]]:
    """Name the products of score x and weight w of one side with those of the other."""
    ends = dict(zip("wx", vector, strict=True))
    return {name: (ends[name[0]], ends[name[1]]) for name in _CROSS}


def _cross_products(vector: list[str], one: str, other: str) -> dict[str, nw.Expr]:
    return {name: nw.col(a + one) * nw.col(b + other) for name, (a, b) in _crossed(vector).items()}


def _survey(rows: Frame, kpi: Kpi, real: list[str]) -> tuple[int, dict[str, float]]:
    """Check all rows in one pass; return their number and the largest size of columns."""
    flagged = rows.with_columns(_misfits=_flag(_is_misfit(rows, kpi)))
    peaks = (nw.col(name).abs().max() for name in real)
    found = collect(flagged.select(nw.len().alias("_rows"), nw.col("_misfits").sum(), *peaks)).iloc[0]
    if found["_rows"] == 0:
        return 0, dict.fromkeys(real, 0.0)
    _refuse(kpi, is_misfit=found["_misfits"] > 0, is_infinite=not all(isfinite(found[name]) for name in real))
    return int(found["_rows"]), {name: float(found[name]) for name in real}


def _refuse(kpi: Kpi, *, is_misfit: bool, is_infinite: bool) -> None:
    name = kpi.id or kpi.short
    if is_misfit and kpi.ratio:
        raise UsageError(
            found=f"`{name}` has negative numbers in its denominator `{kpi.ratio.to}`",
            expected="numbers of at least zero",
            do="validate the rows first, or narrow the KPI's `where`",
        )
    if is_misfit:
        scale = f"{kpi.scale.low:g} to {kpi.scale.high:g}" if kpi.scale else "any"
        good = f" whose {kpi.scale.good} end is good" if kpi.scale else ""
        raise UsageError(
            found=f"answers of `{name}` off its scale, on another one or weighted below zero",
            expected=f"whole scores on the scale {scale}{good} and weights of at least zero",
            do="validate the rows first, or narrow the KPI's `where` to questions on its scale",
        )
    if is_infinite:
        raise UsageError(
            found=f"numbers of `{name}` that are not finite",
            expected="finite numbers; what is missing is null",
            do="validate the rows first",
        )


# --- sums by group -------------------------------------------------------------------------------


def _statistics(terms: _Terms, keys: list[str], segments: Mapping[str, str] | None) -> pd.DataFrame:
    """Return the sums by group, products over clusters among them.

    Rows that stand alone in their cluster make their own products, so only the others need sums by cluster.
    """
    sums = _sums(terms, keys, segments)
    if not terms.kpi.cluster:
        return sums
    more = {name: _product(factors) - nw.col(name) for name, factors in terms.products.items()}

    def over_clusters(divide: Divide, keys: list[str]) -> pd.DataFrame:
        units = terms.units(divide(terms.together), keys).with_columns(clusters=1 - nw.col("n"), **more)
        return collect(terms.summed(units, keys, ["clusters"], terms.products))

    return _added(sums, _divided(keys, segments, over_clusters), _by(keys, segments))


def _sums(terms: _Terms, keys: list[str], segments: Mapping[str, str] | None) -> pd.DataFrame:
    """Sum what every row adds on its own, by group."""
    kpi = terms.kpi
    if not kpi.scale or kpi.weight or kpi.parts:

        def summed(divide: Divide, keys: list[str]) -> pd.DataFrame:
            return collect(sum_exactly(divide(terms.rows), keys, terms.whole, terms.peaks, terms.size))

        return _completed(_divided(keys, segments, summed), kpi)

    # Scores are few: equal ones are counted, and the counts make the sums.
    def counted(divide: Divide, keys: list[str]) -> pd.DataFrame:
        return collect(divide(terms.rows).group_by(*keys, kpi.column or "score").agg(nw.len().alias("cases")))

    scored, whole, real, _ = _scored(wrap(_divided(keys, segments, counted, count="cases")), kpi)
    cells, names = collect(scored), [*whole, *real]
    cells[names] = cells[names].mul(cells["cases"], axis="index")
    sums = rollup.statistics(rollup.Rows(cells, _by(keys, segments), None), names, (), {})
    return _completed(sums.astype(dict.fromkeys(whole, "int64")), kpi)


def _by(keys: list[str], segments: Mapping[str, str] | None) -> list[str]:
    return keys if segments is None else [*keys, "segment", "level"]


def _added(sums: pd.DataFrame, more: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Add sums of some of the groups."""
    names = [name for name in more if name not in by]
    aligned = (sums[by].merge(more, how="left", on=by) if by else more.reindex(sums.index))[names].fillna(0)
    return sums.assign(**{str(name): (sums[name] + aligned[name]).astype(sums[name].dtype) for name in names})


def _completed(sums: pd.DataFrame, kpi: Kpi) -> pd.DataFrame:
    """Add the sums that follow from others."""
    if "clusters" not in sums:
        sums["clusters"] = sums["n"]
    if kpi.type == "count" or kpi.parts:
        return sums
    if "n_top" not in sums:
        sums = sums.assign(n_top=0, n_bottom=0)
    if "w" not in sums:
        sums["w"] = sums["n"]
    if "wx2" not in sums:
        sums["wx2"] = np.nan if kpi.ratio else sums["n_top"] + sums["n_bottom"]
    if "w2" not in sums:
        sums = sums.assign(w2=sums["w"], w2x=sums["wx"], w2x2=sums["wx2"])
    return sums.astype({name: "float64" for name in SUMS if name.startswith("w")})


def _divided(
    keys: list[str],
    segments: Mapping[str, str] | None,
    reduced: Callable[[Divide, list[str]], pd.DataFrame],
    count: str = "",
) -> pd.DataFrame:
    """Reduce all rows, and with segments those of each level: one pass for the total and one for each segment.

    With `count`, the one column of whole numbers that add up, the total is that of the levels of a segment.
    """
    everybody = {} if keys else {"_all": nw.lit(TOTAL)}
    inner = [*keys, *everybody]
    tables = []
    for segment, column in (segments or {}).items():
        # A category of rows in memory takes no further level.
        level = {"level": nw.col(column).cast(nw.String).fill_null(NOT_STATED)}
        by_level = reduced(partial(_with, columns=everybody | level), [*inner, "level"])
        tables.append(by_level.assign(segment=segment))
    if count and tables:
        levels = tables[0].drop(columns=["segment", "level"])
        whole = levels.groupby([name for name in levels if name != count], dropna=False, as_index=False)[[count]].sum()
    else:
        whole = reduced(partial(_with, columns=everybody), inner)
    tables.insert(0, whole if segments is None else whole.assign(segment=TOTAL, level=TOTAL))
    table, by = pd.concat(tables, ignore_index=True).drop(columns=list(everybody)), _by(keys, segments)
    table = table.sort_values(by, kind="stable", ignore_index=True) if by else table
    return table[[*by, *(name for name in table.columns if name not in by)]]


def _with(rows: Frame, columns: Mapping[str, nw.Expr]) -> Frame:
    return rows.with_columns(**columns) if columns else rows


def _order_statistics(rows: Frame, kpi: Kpi, keys: list[str], confidence: float) -> pd.DataFrame:
    assert kpi.column is not None
    assert kpi.quantile is not None
    values = rows.select(*keys, x=nw.col(kpi.column).cast(nw.Float64))
    counts_open = kpi.open_cases == "longer"
    groups = collect(values.group_by(*keys).agg(closed=nw.col("x").count(), rows=nw.len()))
    groups = groups.astype({"closed": "int64", "rows": "int64"})
    groups["n"] = groups["rows"] if counts_open else groups["closed"]
    groups["n_missing"] = groups["rows"] - groups["n"]
    groups["n_open"] = groups["n"] - groups["closed"]
    groups["clusters"] = groups["n"]
    groups = groups.drop(columns=["closed", "rows"])
    groups = groups[groups["n"] > 0].reset_index(drop=True)
    ranks = quantile_ranks(groups["n"].to_numpy(dtype=float), kpi.quantile, confidence)
    codes = ranks.add(groups["n"] * _GROUP_SIZE, axis="index").to_numpy().ravel()
    # Open cases take longer than any closed one, so they hold the last ranks and the closed ones keep theirs.
    closed = ~nw.col("x").is_null()
    size = nw.len() if counts_open else nw.col("x").count()
    sized = values.with_columns(size=size.over(*keys).cast(nw.Int64)).filter(closed)
    ranked = sized.with_columns(rank=nw.col("x").rank("ordinal").over(*keys).cast(nw.Int64))
    chosen = collect(
        ranked.filter((nw.col("size") * _GROUP_SIZE + nw.col("rank")).is_in(np.unique(codes).tolist())).select(
            *keys, "rank", "x"
        )
    )
    for name in ranks:
        wanted = groups[keys].assign(rank=ranks[name])
        groups[f"x_{name}"] = wanted.merge(chosen, how="left", on=[*keys, "rank"])["x"].astype("float64")
    return groups


# --- which rows, and what they count as ----------------------------------------------------------


def _keys(kpi: Kpi, by: Sequence[str]) -> list[str]:
    return [*by, *(["question"] if kpi.per_question and "question" not in by else [])]


def _chosen(frame: Frame, kpi: Kpi, columns: Iterable[str]) -> Frame:
    """Return the KPI's rows with the columns that its reduction needs; the engine reads no others."""
    known = frame.columns
    source = [kpi.ratio.of, kpi.ratio.to] if kpi.ratio else [kpi.counts or kpi.column or "score"]
    optional = [kpi.weight, kpi.cluster, kpi.parts, kpi.age]
    needed = [*columns, *kpi.where, *(source if kpi.type != "count" else []), *(name for name in optional if name)]
    if missing := [name for name in dict.fromkeys(needed) if name not in known]:
        raise DefinitionError(
            found=f"KPI `{kpi.id or kpi.short}` or its breakdown needs the columns {listed(missing)}",
            expected=f"columns of `{kpi.table}`: {listed(known)}",
            do=f"correct the definition{nearest(missing[0], known)}, or deliver the column",
        )
    stored = [name for name in _stored_scale(kpi) if name in known]
    # A count needs no column, but without any there would be no rows.
    rows = frame.select(dict.fromkeys([*needed, *stored]) or known[:1])
    for column, allowed in kpi.where.items():
        # Engines skip what the file's own statistics rule out, of comparisons but not of lists.
        values = [allowed] if isinstance(allowed, str) else allowed
        rows = rows.filter(fold(or_, (nw.col(column) == value for value in values)))
    return rows


def _stored_scale(kpi: Kpi) -> dict[str, float | str]:
    """Return what rows say about their scale, where they say it."""
    scale = kpi.scale
    return {"scale_low": scale.low, "scale_high": scale.high, "scale_good": scale.good} if scale else {}


def _is_valid(kpi: Kpi) -> nw.Expr:
    if kpi.type == "count" or kpi.counts:
        is_valid = nw.lit(True)
    elif kpi.ratio:
        is_valid = ~nw.col(kpi.ratio.of).is_null() & ~nw.col(kpi.ratio.to).is_null()
    else:
        is_valid = ~nw.col(kpi.column or "score").is_null()
    return is_valid & (nw.col(kpi.weight) > 0) if kpi.weight else is_valid


def _is_top(kpi: Kpi) -> nw.Expr:
    return ~nw.col(kpi.counts).is_null() if kpi.counts else _is_among(kpi, kpi.top)


def _is_bottom(kpi: Kpi) -> nw.Expr:
    return _is_among(kpi, kpi.bottom)


def _is_among(kpi: Kpi, scores: list[float]) -> nw.Expr:
    """Ask for each run of whole scores by its ends, which is several times faster than asking for every score."""
    score = nw.col(kpi.column or "score")
    first = sorted(x for x in scores if x - 1 not in scores)
    last = sorted(x for x in scores if x + 1 not in scores)
    runs = [(score >= low) & (score <= high) for low, high in zip(first, last, strict=True)]
    return fold(or_, runs) if runs else nw.lit(False)


def _is_misfit(rows: Frame, kpi: Kpi) -> nw.Expr:
    """Say which rows must not be classed: off the scale, between its points, of another scale, weighted below zero."""
    signs = [nw.col(name) < 0 for name in (kpi.weight, kpi.ratio.to if kpi.ratio else None) if name]
    if scale := kpi.scale:
        score = nw.col(kpi.column or "score")
        off = [score < scale.low, score > scale.high]
        if kpi.top:
            off.append(score.cast(nw.Float64) != score.cast(nw.Float64).round(0))
        known = set(rows.columns)
        off += [
            (nw.col(name) != end) & ~nw.col(name).is_null() for name, end in _stored_scale(kpi).items() if name in known
        ]
        signs.append(fold(or_, off) & ~score.is_null())
    return fold(or_, signs) if signs else nw.lit(False)


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Put the number of clusters beside the number of answers."""
    names = [name for name in table if name != "clusters"]
    at = names.index("n_missing") + 1
    return table[[*names[:at], "clusters", *names[at:]]]


def _is_answered(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["n"] > 0


def _flag(condition: nw.Expr) -> nw.Expr:
    """Return 1 where a condition holds and 0 where it does not or is unknown."""
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0))
