"""Group-by reductions, written once in Narwhals: rows in, small frames of sufficient statistics out.

The same expressions run on DuckDB over Parquet and on a pandas DataFrame in a notebook.
"""

from collections.abc import Iterable, Sequence
from functools import reduce as fold
from operator import or_

import narwhals as nw
import numpy as np
import pandas as pd

from cxreport.config import Kpi
from cxreport.engine import Frame, collect
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure.intervals import quantile_ranks

# Additive over groups: totals come from summed statistics, never from averages of averages.
SUMS = ("n", "n_top", "n_bottom", "w", "w2", "wx", "wx2", "w2x", "w2x2")
_COUNTS = ("n", "n_missing", "n_misfit", "n_top", "n_bottom")
# Group sizes and ranks share one integer, so that one membership test picks the order statistics of all groups.
_GROUP_SIZE = 2**31


def reduce(frame: Frame, kpi: Kpi, by: Sequence[str], confidence: float) -> pd.DataFrame:
    """Reduce rows to the sufficient statistics of a KPI.

    Parameters
    ----------
    frame
        Rows of the KPI's table, on any engine; the KPI's `where` is applied here.
    by
        Columns to group by; a KPI that is computed per question is grouped by `question` as well.
    confidence
        Decides which order statistics a quantile's interval needs; other KPIs do not use it.

    Returns
    -------
    DataFrame
        One row per group with at least one valid answer, in the order of the groups: the group columns, `n` (valid
        answers, and open cases that count), `n_missing` (rows without an answer or a positive weight) and

        - for nets, shares and means `n_top`, `n_bottom` and the sums `w`, `w2`, `wx`, `wx2`, `w2x`, `w2x2` of weights,
          squared weights and scores; a net scores its answers +1, 0, -1 and a share 1, 0
        - for quantiles `n_open` (open cases that count) and `x_below`, `x_above`, `x_low`, `x_high`, the order
          statistics of `quantile_ranks`; null where the rank does not exist or falls among the open cases

    Raises
    ------
    DefinitionError
        When a column that the KPI or the grouping needs is not there.
    UsageError
        When scores lie off the KPI's scale, come from another scale or one whose other end is good, or a weight is
        negative.
    """
    keys = [*by, *(["question"] if kpi.per_question and "question" not in by else [])]
    _check_columns(frame, kpi, keys)
    for column, allowed in kpi.where.items():
        frame = frame.filter(nw.col(column).is_in([allowed] if isinstance(allowed, str) else allowed))
    if not keys:
        return reduce(frame.with_columns(nw.lit("all").alias("group")), kpi, ["group"], confidence).drop(
            columns="group"
        )
    reduced = _order_statistics(frame, kpi, keys, confidence) if kpi.type == "quantile" else _sums(frame, kpi, keys)
    return reduced[reduced["n"] > 0].sort_values(keys, ignore_index=True)


def _sums(frame: Frame, kpi: Kpi, keys: list[str]) -> pd.DataFrame:
    if kpi.counts:
        is_valid = nw.lit(True)
    else:
        frame = frame.with_columns(score=nw.col(kpi.column or "score").cast(nw.Float64))
        is_valid = ~nw.col("score").is_null()
    weight = nw.col(kpi.weight) if kpi.weight else nw.lit(1.0)
    if kpi.weight:
        is_valid = is_valid & (weight > 0)
    scored = frame.with_columns(
        n=_flag(is_valid),
        n_misfit=_flag(_is_misfit(frame, kpi)),
        n_top=_flag(is_valid & _is_top(kpi)),
        n_bottom=_flag(is_valid & nw.col("score").is_in(kpi.bottom)) if kpi.bottom else nw.lit(0),
        w=nw.when(is_valid).then(weight).otherwise(0.0),
    )
    signed = (nw.col("n_top") - nw.col("n_bottom")).cast(nw.Float64)
    score = nw.col("score").fill_null(0.0) if kpi.type == "mean" else signed
    w, x = nw.col("w"), nw.col("x")
    scored = scored.with_columns(x=score).with_columns(
        w2=w * w, wx=w * x, wx2=w * x * x, w2x=w * w * x, w2x2=w * w * x * x
    )
    summed = [nw.col(name).sum() for name in (*SUMS, "n_misfit")]
    sums = collect(scored.group_by(*keys).agg(nw.len().alias("rows"), *summed))
    sums["n_missing"] = sums["rows"] - sums["n"]
    sums = sums.drop(columns="rows").astype(dict.fromkeys(_COUNTS, "int64"))
    if sums["n_misfit"].any():
        scale = f"{kpi.scale.low:g} to {kpi.scale.high:g}" if kpi.scale else "any"
        good = f" whose {kpi.scale.good} end is good" if kpi.scale else ""
        raise UsageError(
            found=f"answers of `{kpi.id or kpi.short}` off its scale, on another one or weighted below zero",
            expected=f"whole scores on the scale {scale}{good} and weights of at least zero",
            do="validate the rows first, or narrow the KPI's `where` to questions on its scale",
        )
    return sums.drop(columns="n_misfit")


def _order_statistics(frame: Frame, kpi: Kpi, keys: list[str], confidence: float) -> pd.DataFrame:
    assert kpi.column is not None
    assert kpi.quantile is not None
    values = frame.select(*keys, x=nw.col(kpi.column).cast(nw.Float64))
    counts_open = kpi.open_cases == "longer"
    groups = collect(values.group_by(*keys).agg(closed=nw.col("x").count(), rows=nw.len()))
    groups = groups.astype({"closed": "int64", "rows": "int64"})
    groups["n"] = groups["rows"] if counts_open else groups["closed"]
    groups["n_missing"] = groups["rows"] - groups["n"]
    groups["n_open"] = groups["n"] - groups["closed"]
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


def _is_top(kpi: Kpi) -> nw.Expr:
    if kpi.counts:
        return ~nw.col(kpi.counts).is_null()
    return nw.col("score").is_in(kpi.top) if kpi.top else nw.lit(False)


def _is_misfit(frame: Frame, kpi: Kpi) -> nw.Expr:
    """Say which rows must not be classed: off the scale, between its points, of another scale, weighted below zero."""
    nothing = nw.lit(False)
    is_off = nothing
    if scale := kpi.scale:
        score = nw.col("score")
        signs = [score < scale.low, score > scale.high]
        if kpi.top:
            signs.append(score != score.round(0))
        stored = {"scale_low": scale.low, "scale_high": scale.high, "scale_good": scale.good}
        known = set(frame.collect_schema().names())
        signs += [(nw.col(name) != end) & ~nw.col(name).is_null() for name, end in stored.items() if name in known]
        is_off = fold(or_, signs) & ~score.is_null()
    return is_off | (nw.col(kpi.weight) < 0 if kpi.weight else nothing)


def _flag(condition: nw.Expr) -> nw.Expr:
    """Return 1 where a condition holds and 0 where it does not or is unknown."""
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0))


def _check_columns(frame: Frame, kpi: Kpi, keys: Iterable[str]) -> None:
    known = frame.collect_schema().names()
    source = kpi.counts or kpi.column or "score"
    needed = [*keys, *kpi.where, source, *([kpi.weight] if kpi.weight else [])]
    if missing := [name for name in dict.fromkeys(needed) if name not in known]:
        raise DefinitionError(
            found=f"KPI `{kpi.id or kpi.short}` or its breakdown needs the columns {listed(missing)}",
            expected=f"columns of `{kpi.table}`: {listed(known)}",
            do=f"correct the definition{nearest(missing[0], known)}, or deliver the column",
        )
