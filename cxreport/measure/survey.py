"""Figures, errors and tests under the design that drew the answers: weights, strata, clusters, finite populations.

Errors are Taylor-linearised: the variance of a figure is that of the total of its linearised values, estimated between
primary sampling units (PSUs) within strata (Woodruff 1971, JASA 66:411-414; Lumley 2004, J. Statistical Software 9:8).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg, stats

from cxreport.errors import UsageError, listed, nearest
from cxreport.measure.intervals import Array, bounded_mean_interval, net_interval, share_interval

Mask = npt.NDArray[np.bool_]
Domain = pd.Series | Mask | None

_METHOD = "Taylor linearisation, t"
_NO_INTERVAL = "no interval"
_FLAT = "the design shows no spread: its error says nothing"
# Below this part of the figure's size, a standard error is what rounding leaves of none.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Design:
    """How the rows were drawn: the names of the columns that say so.

    Attributes
    ----------
    weight
        How many of the population a row stands for; equal weights where absent. A row of weight 0 is not in the
        sample: it counts neither as an answer nor as a PSU.
    stratum
        Groups that were sampled one by one.
    cluster
        The PSU, drawn as a whole, for example the account of several respondents. Labels count within their stratum.
        Rows are PSUs where absent.
    population
        PSUs in the population of the row's stratum (rows in it where there are no clusters), for the correction for
        finite populations; none is made where absent.
    """

    weight: str | None = None
    stratum: str | None = None
    cluster: str | None = None
    population: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure under a design.

    Attributes
    ----------
    value, se, ci_low, ci_high
        The figure, its standard error and its interval, in one unit. NaN where they cannot be had; `note` says why.
    df
        PSUs less strata, of those that hold rows of the domain.
    deff
        Variance over that of as many rows by simple random sampling: without replacement where the design names the
        population (the weights then add up to it), with replacement otherwise.
    n, n_eff
        Rows behind the figure, and how many equally weighted ones by simple random sampling would be as precise.
    method, note
        Of the interval.
    """

    value: float
    se: float
    df: int
    deff: float
    n: int
    n_eff: float
    ci_low: float
    ci_high: float
    method: str
    note: str | None = None

    @property
    def p_value(self) -> float:
        """Two-sided p of the t test that the figure is zero; NaN without a positive standard error."""
        if not (self.se > 0 and self.df >= 1):
            return np.nan
        return float(2 * stats.t.sf(abs(self.value / self.se), self.df))


class Kish(NamedTuple):
    """What unequal weights cost a mean: the base left over and the factor on the variance."""

    n_eff: float
    deff: float


class RaoScott(NamedTuple):
    """A test of independence: F on `ndf` and `ddf` degrees of freedom, and the rows behind it."""

    f: float
    ndf: float
    ddf: float
    p_value: float
    n: int


# --- figures -------------------------------------------------------------------------------------


def mean(
    frame: pd.DataFrame,
    y: str,
    design: Design,
    *,
    domain: Domain = None,
    confidence: float = 0.95,
    limits: tuple[float, float] | None = None,
) -> Estimate:
    """Return the weighted mean of a column in a domain, with its t interval; between limits, with Wilson's.

    Parameters
    ----------
    frame
        All rows of the sample, one per answer. Leave the rows of other segments in: the design is theirs as well.
    y
        A numeric column; rows where it is missing lie outside the domain.
    design
        How the rows were drawn.
    domain
        The rows to look at, by position; all where absent.
    confidence
        Of the interval, e.g. 0.95.
    limits
        The ends of the scale of `y`. They make the interval that of `intervals.bounded_mean_interval`, which holds
        lopsided scores where t falls short, and has a width where the design shows no spread.

    Raises
    ------
    UsageError
        For an absent column, missing, negative or all-zero weights, a missing stratum, cluster or population, and a
        stratum with one PSU of several.

    >>> rows = pd.DataFrame({"score": [4.0, 5.0, 3.0, 4.0], "weight": [1.0, 1.0, 2.0, 2.0]})
    >>> found = mean(rows, "score", Design(weight="weight"))
    >>> round(found.value, 4), round(found.se, 4), found.df
    (3.8333, 0.398, 3)
    """
    sample = _Sample(frame, design)
    values = sample.numbers(y)
    inside = sample.inside(domain, values)
    found = _ratio(sample, values, np.ones_like(values), inside, confidence)
    if limits is None or not (_is_flat(found) or found.se > 0):
        return found
    numbers = (found.value, np.nan_to_num(found.se), sample.base(inside), found.df)
    value, se, base, df = (np.array([number], dtype=float) for number in numbers)
    low, high = bounded_mean_interval(value, se, base, df, confidence, limits=limits)
    method = "Wilson for a mean on the effective base, t"
    return replace(found, ci_low=low.item(), ci_high=high.item(), method=method)


def ratio(
    frame: pd.DataFrame, y: str, x: str, design: Design, *, domain: Domain = None, confidence: float = 0.95
) -> Estimate:
    """Return the ratio of the weighted totals of two columns, for example spend per visit.

    As `mean`; rows where either is missing lie outside the domain, and a total of `x` of zero leaves no ratio.

    >>> rows = pd.DataFrame({"spend": [10.0, 30.0, 20.0], "visits": [1.0, 2.0, 2.0]})
    >>> ratio(rows, "spend", "visits", Design()).value
    12.0
    """
    sample = _Sample(frame, design)
    top, bottom = sample.numbers(y), sample.numbers(x)
    return _ratio(sample, top, bottom, sample.inside(domain, top, bottom), confidence)


def total(frame: pd.DataFrame, y: str, design: Design, *, domain: Domain = None, confidence: float = 0.95) -> Estimate:
    """Return the weighted total of a column in a domain; as `mean`, a missing value adds nothing.

    >>> rows = pd.DataFrame({"calls": [1.0, 0.0, 2.0], "weight": [10.0, 10.0, 5.0]})
    >>> total(rows, "calls", Design(weight="weight")).value
    20.0
    """
    sample = _Sample(frame, design)
    values = sample.numbers(y)
    inside = sample.inside(domain, values)
    influence = np.where(inside, values, 0.0)
    value = float(sample.weight @ influence) if inside.any() else np.nan
    return sample.estimate(
        value, influence, inside, confidence, size=float(sample.weight @ np.abs(influence)), spread=influence
    )


def net(
    frame: pd.DataFrame,
    score: str,
    top: Collection[float],
    bottom: Collection[float],
    design: Design,
    *,
    domain: Domain = None,
    confidence: float = 0.95,
) -> Estimate:
    """Return the weighted share of scores in `top` less that in `bottom`, in points (-100 to 100).

    The mean of 100, 0 and -100; as `mean`. Where the design shows no spread, its error says nothing: the score
    interval on the effective base stands in, and the note says so.

    >>> rows = pd.DataFrame({"score": [10.0, 9.0, 8.0, 3.0]})
    >>> net(rows, "score", [9, 10], range(7), Design()).value
    25.0
    """
    sample = _Sample(frame, design)
    scores = sample.numbers(score)
    is_top, is_bottom = np.isin(scores, list(top)), np.isin(scores, list(bottom))
    if set(top) & set(bottom):
        raise UsageError(
            found="scores that are both in `top` and in `bottom`",
            expected="two classes that share no score",
            do="correct the classes",
        )
    inside = sample.inside(domain, scores)
    signed = np.where(np.isnan(scores), np.nan, 100.0 * is_top - 100.0 * is_bottom)
    found = _ratio(sample, signed, np.ones_like(signed), inside, confidence)
    if _is_flat(found):
        base = np.array([sample.base(inside)])
        weight = np.where(inside, sample.weight, 0)
        tops, bottoms = (weight @ flags / weight.sum() * base for flags in (is_top, is_bottom))
        low, high = (end.item() for end in net_interval(tops, bottoms, base, confidence))
        return replace(found, ci_low=low, ci_high=high, method="score on the effective base")
    return replace(found, ci_low=max(found.ci_low, -100.0), ci_high=min(found.ci_high, 100.0))


def difference(
    frame: pd.DataFrame,
    y: str,
    design: Design,
    domain_a: pd.Series | Mask,
    domain_b: pd.Series | Mask,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean of a column in one domain less that in another, with the covariance of the two.

    As `mean`; the domains may share clusters, or rows (a segment against the total). For a difference of nets, let
    `y` hold 100, 0 and -100. It has no `deff` and no `n_eff`.

    >>> rows = pd.DataFrame({"score": [4.0, 5.0, 2.0, 3.0], "plan": ["a", "a", "b", "b"]})
    >>> difference(rows, "score", Design(), rows["plan"] == "a", rows["plan"] == "b").value
    2.0
    """
    sample = _Sample(frame, design)
    values = sample.numbers(y)
    ones = np.ones_like(values)
    inside_a, inside_b = sample.inside(domain_a, values), sample.inside(domain_b, values)
    (value_a, influence_a, size_a), (value_b, influence_b, size_b) = (
        _linearise(sample, values, ones, inside) for inside in (inside_a, inside_b)
    )
    value, influence = value_a - value_b, influence_a - influence_b
    found = sample.estimate(value, influence, inside_a | inside_b, confidence, size=max(size_a, size_b))
    return found if inside_a.any() and inside_b.any() else replace(found, note="a domain without rows: no figure")


def proportion(
    frame: pd.DataFrame,
    event: str,
    design: Design,
    *,
    domain: Domain = None,
    interval: Literal["logit", "beta", "wilson"] = "logit",
    confidence: float = 0.95,
) -> Estimate:
    """Return the weighted share (0-1) of rows where an event happened.

    As `mean`, with an interval that stays between 0 and 1: `logit`, t on the logit scale; `beta`, Clopper-Pearson on
    the effective base, corrected for the design's degrees of freedom (Korn and Graubard 1998, Survey Methodology
    24:193-201); `wilson`, Wilson on the effective base with t. `n_eff` is p (1 - p) over the variance. Where the
    design shows no spread (nothing or everything happened), `logit` gives way to `wilson` on the base that the PSUs'
    weights leave, the least that the sample can be worth.

    Parameters
    ----------
    event
        A column of truth values or of 0 and 1; rows where it is missing lie outside the domain.

    >>> rows = pd.DataFrame({"solved": [1, 1, 0, 1], "account": ["a", "a", "b", "c"]})
    >>> found = proportion(rows, "solved", Design(cluster="account"))
    >>> found.value, found.df
    (0.75, 2)
    """
    sample = _Sample(frame, design)
    happened = sample.numbers(event)
    if not np.isin(happened[~np.isnan(happened)], (0, 1)).all():
        raise UsageError(
            found=f"other values than 0 and 1 in column `{event}`",
            expected="a column of truth values",
            do="compare the column with what counts as an event first",
        )
    inside = sample.inside(domain, happened)
    found = _ratio(sample, happened, np.ones_like(happened), inside, confidence)
    if _is_flat(found):
        interval = "wilson" if interval == "logit" else interval
        found = replace(found, n_eff=sample.base(inside))
    elif found.se > 0:
        found = replace(found, n_eff=found.value * (1 - found.value) / found.se**2)
    else:
        return found
    low, high = _SHARE_INTERVALS[interval](found, confidence)
    return replace(found, ci_low=low, ci_high=high, method=_SHARE_METHODS[interval])


def kish(weights: pd.Series | Array) -> Kish:
    """Return Kish's effective base and the design effect of weighting, 1 + CV^2 (Kish 1965, Survey Sampling, 11.7).

    A screen for unequal weights, not a variance: strata and clusters are not in it. Rows of weight 0 do not count.

    Raises `UsageError` for missing, negative or all-zero weights.

    >>> kish(np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0]))
    Kish(n_eff=5.818181818181818, deff=1.375)
    """
    values = checked_weights(weights)
    values = values[values > 0]
    if not values.size:
        return Kish(np.nan, np.nan)
    n_eff = float(values.sum() ** 2 / (values @ values))
    return Kish(n_eff, values.size / n_eff)


def rao_scott(frame: pd.DataFrame, rows: str, columns: str, design: Design, *, domain: Domain = None) -> RaoScott:
    """Test whether two columns of labels are independent in the population (Rao and Scott 1984, Annals 12:46-60).

    Pearson's statistic of the weighted shares, corrected to the second order by the design effects of the log-linear
    interactions, and referred to F (Thomas and Rao 1987, JASA 82:630-636). Rows where a label is missing lie outside
    the domain.

    Raises `UsageError` as `mean` does, and for a table that has less than two rows or columns, degrees of freedom
    below one, or too many empty cells or too little spread for a test.

    >>> answers = pd.DataFrame({"plan": list("aabbaabb"), "stays": list("ynynyynn")})
    >>> round(rao_scott(answers, "plan", "stays", Design()).p_value, 4)
    0.2275
    """
    sample = _Sample(frame, design)
    labels = [pd.factorize(sample.column(name), sort=True) for name in (rows, columns)]
    inside = sample.inside(domain, *(np.where(codes < 0, np.nan, 0.0) for codes, _ in labels))
    (row, row_count), (column, column_count) = (_relabelled(codes, inside) for codes, _ in labels)
    if min(row_count, column_count) < 2:  # noqa: PLR2004 - one level cannot depend on anything
        raise UsageError(
            found=f"a table of {row_count} by {column_count} levels",
            expected="at least two levels either way",
            do="choose columns that differ between the rows",
        )
    weight = np.where(inside, sample.weight, 0)
    cell = row * column_count + column
    n, df = int(inside.sum()), sample.df(inside)
    p = np.bincount(cell[inside], weight[inside], row_count * column_count) / weight.sum()
    # Orthonormal contrasts of cells that leave the margins alone.
    contrasts = np.kron(linalg.helmert(row_count), linalg.helmert(column_count)).T
    scores = np.divide(contrasts, p[:, None], out=np.zeros_like(contrasts), where=p[:, None] > 0)
    influence = np.where(inside[:, None], (scores - p @ scores)[np.where(inside, cell, 0)], 0) / weight.sum()
    variance, simple = sample.covariance(influence), contrasts.T @ scores / n
    if df < 1 or np.linalg.matrix_rank(simple) < len(simple) or not np.trace(variance) > 0:
        raise UsageError(
            found=f"a table of {row_count} by {column_count} levels on {n} rows and {df} degrees of freedom",
            expected="more primary sampling units than strata, fewer empty cells, and spread within the strata",
            do="merge levels",
        )
    effects = np.linalg.solve(simple, variance)
    table = p.reshape(row_count, column_count)
    independent = np.outer(table.sum(axis=1), table.sum(axis=0))
    f = n * ((table - independent) ** 2 / independent).sum() / np.trace(effects)
    ndf = np.trace(effects) ** 2 / np.trace(effects @ effects)
    return RaoScott(float(f), float(ndf), float(ndf * df), float(stats.f.sf(f, ndf, ndf * df)), n)


def linearised(
    frame: pd.DataFrame,
    value: float,
    influence: Array,
    design: Design,
    *,
    size: float,
    spread: Array | None = None,
    domain: Domain = None,
    confidence: float = 0.95,
) -> Estimate:
    """Return the t interval of any figure whose linearised values are known, for example one of raked weights.

    Parameters
    ----------
    frame, design, domain, confidence
        As `mean`; the domain says which rows the figure is about, and no more.
    value
        The figure.
    influence
        By row of the frame, the change of the figure when the weight of that row grows by one. Zero outside the
        domain, unless the weights were fitted.
    size
        What the figure could be at most; a standard error of 1e-12 of it is rounding, and counts as no spread.
    spread
        The linearised values of the figure under simple random sampling, for `deff` and `n_eff`; both are NaN without.
    """
    sample = _Sample(frame, design)
    return sample.estimate(
        value,
        influence[sample.is_drawn],
        sample.inside(domain),
        confidence,
        size=size,
        spread=None if spread is None else spread[sample.is_drawn],
    )


def checked_weights(weights: pd.Series | Array) -> Array:
    """Return weights as numbers; raises `UsageError` for missing, infinite, negative and all-zero ones."""
    values = np.asarray(weights, dtype=float)
    lacking, negative = int((~np.isfinite(values)).sum()), int((values < 0).sum())
    is_void = values.size > 0 and not lacking and not values.any()
    if lacking or negative or is_void:
        problems = {"without a finite weight": lacking, "with a negative weight": negative}
        counted = " and ".join(f"{count} rows {what}" for what, count in problems.items() if count)
        raise UsageError(
            found=counted or "weights that are all zero",
            expected="a weight of zero or more in every row, and one above zero",
            do="correct the weights, or leave out the rows that have none",
        )
    return values


def mask_of(domain: Domain, index: pd.Index) -> Mask:
    """Return a domain as truth values, all true for `None`; raises `UsageError` for one that does not fit the rows."""
    if domain is None:
        return np.ones(len(index), dtype=bool)
    mask = np.asarray(domain)
    is_elsewhere = isinstance(domain, pd.Series) and not domain.index.equals(index)
    if mask.dtype != bool or mask.shape != index.shape or is_elsewhere:
        raise UsageError(
            found=f"a domain of {mask.size} values of type {mask.dtype} for {len(index)} rows",
            expected="one truth value for every row of the frame, on its index and in its order",
            do="build the domain by comparing columns of the frame",
        )
    return mask


def required(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column; raises `UsageError` where the frame has none of that name."""
    if name not in frame:
        known = [str(column) for column in frame.columns]
        raise UsageError(
            found=f"no column `{name}`{nearest(name, known)}",
            expected=f"one of {listed(known)}",
            do="name one of these",
        )
    column: pd.Series = frame[name]
    return column


# --- the sample ----------------------------------------------------------------------------------


class _Sample:
    """The drawn rows (those with a weight) and where each stands in the design.

    `psu` numbers the PSU of a row, `stratum` the stratum of a row, `stratum_of` that of a PSU.
    """

    def __init__(self, frame: pd.DataFrame, design: Design) -> None:
        weight = checked_weights(required(frame, design.weight)) if design.weight else np.ones(len(frame))
        self.is_drawn, self.index = weight > 0, frame.index
        self.frame = frame if self.is_drawn.all() else frame[self.is_drawn]
        self.weight = weight[self.is_drawn]
        n = len(self.frame)
        self.stratum = self._codes(design.stratum) if design.stratum else np.zeros(n, dtype=np.intp)
        strata = int(self.stratum.max(initial=-1)) + 1
        if design.cluster:
            labels = self._codes(design.cluster)
            pair = self.stratum * (labels.max(initial=-1) + 1) + labels
            _, first, self.psu = np.unique(pair, return_index=True, return_inverse=True)
            self.stratum_of = self.stratum[first]
        else:
            self.psu, self.stratum_of = np.arange(n), self.stratum
        self.drawn = np.bincount(self.stratum_of, minlength=strata)
        self.population = self._populations(design.population, strata)
        self._refuse_lonely(design)

    def column(self, name: str) -> pd.Series:
        return required(self.frame, name)

    def numbers(self, name: str) -> Array:
        return self.column(name).to_numpy(dtype=float, na_value=np.nan)

    def inside(self, domain: Domain, *present: Array) -> Mask:
        """Return the rows of a domain where all the given values are there."""
        inside = mask_of(domain, self.index)[self.is_drawn]
        for values in present:
            inside = inside & ~np.isnan(values)
        return inside

    def df(self, inside: Mask) -> int:
        return len(np.unique(self.psu[inside])) - len(np.unique(self.stratum[inside]))

    def base(self, inside: Mask) -> float:
        """Return Kish's base of the PSUs' weights: what is left when the rows of a PSU all say the same."""
        return kish(np.bincount(self.psu[inside], self.weight[inside]).astype(float)).n_eff

    def covariance(self, influence: Array) -> Array:
        """Return the covariance of the weighted totals of columns of linearised values, between PSUs in strata."""
        weighted = self.weight[:, None] * influence
        totals = self._summed(weighted, self.psu, len(self.stratum_of))
        centres = self._summed(totals, self.stratum_of, len(self.drawn)) / self.drawn[:, None]
        apart = totals - centres[self.stratum_of]
        variances: Array = (apart * self._factors()[self.stratum_of, None]).T @ apart
        return variances

    def estimate(
        self,
        value: float,
        influence: Array,
        inside: Mask,
        confidence: float,
        *,
        size: float,
        spread: Array | None = None,
    ) -> Estimate:
        """Return the estimate of a figure with these linearised values; `spread` are those that `deff` refers to."""
        n, df = int(inside.sum()), self.df(inside)
        se = float(np.sqrt(self.covariance(influence[:, None]).item())) if n else np.nan
        is_census = n > 0 and not self._factors().any()
        if se <= _ROUNDING * size:
            se = 0.0
        note = self._note(value, se, n, df, is_census)
        has_error = note is None
        if not (has_error or is_census):
            se = np.nan
        half = se * float(stats.t.ppf((1 + confidence) / 2, max(df, 1)))
        usual, repeated = self._simple_variances(spread, inside) if spread is not None else (np.nan, np.nan)
        return Estimate(
            value=value,
            se=se,
            df=df,
            deff=se**2 / usual if has_error and usual > 0 else np.nan,
            n=n,
            n_eff=n * repeated / se**2 if has_error else np.nan,
            ci_low=value - half,
            ci_high=value + half,
            method=_NO_INTERVAL if np.isnan(half) else _METHOD,
            note=note,
        )

    def _note(self, value: float, se: float, n: int, df: int, is_census: bool) -> str | None:
        if not n:
            return "no rows: no figure"
        if np.isnan(value):
            return "the denominators add up to zero: no figure"
        if is_census:
            return "the whole population was measured: no sampling error"
        if df < 1:
            return "no more primary sampling units than strata: no interval"
        return _FLAT if se == 0 else None

    def _simple_variances(self, spread: Array, inside: Mask) -> tuple[float, float]:
        """Return the variance under simple random sampling: as the design has it, and with replacement."""
        n = int(inside.sum())
        if n < 2:  # noqa: PLR2004 - spread needs two answers
            return np.nan, np.nan
        weight, values = self.weight[inside], spread[inside]
        size = float(weight.sum())
        repeated = size * float(weight @ (values - weight @ values / size) ** 2) / (n - 1)
        left = 1.0 if self.population is None else max(1 - n / size, 0.0)
        return left * repeated, repeated

    def _factors(self) -> Array:
        """Return (1 - f) m / (m - 1) for each stratum; NaN where a single PSU was drawn of several."""
        m = self.drawn.astype(float)
        left = np.ones_like(m) if self.population is None else 1 - m / self.population
        return np.where(m > 1, left * m / np.maximum(m - 1, 1), np.where(left == 0, 0.0, np.nan))

    @staticmethod
    def _summed(values: Array, groups: npt.NDArray[np.intp], count: int) -> Array:
        return np.column_stack([np.bincount(groups, column, count) for column in values.T])

    def _codes(self, name: str) -> npt.NDArray[np.intp]:
        codes, _ = pd.factorize(self.column(name))
        if lacking := int((codes < 0).sum()):
            raise UsageError(
                found=f"{lacking} rows without a value in design column `{name}`",
                expected="every row with a weight in a stratum and a cluster",
                do="fill in the column, or give these rows the weight 0",
            )
        return codes

    def _populations(self, name: str | None, strata: int) -> Array | None:
        if name is None:
            return None
        values = np.nan_to_num(self.numbers(name), nan=0, posinf=np.inf)  # 0 is refused below
        lowest, highest = np.full(strata, np.inf), np.full(strata, -np.inf)
        np.minimum.at(lowest, self.stratum, values)
        np.maximum.at(highest, self.stratum, values)
        wrong = int((~((lowest == highest) & (lowest >= self.drawn))).sum())
        if wrong:
            raise UsageError(
                found=f"{wrong} strata whose `{name}` is missing, differs between rows or is below what was drawn",
                expected="the number of primary sampling units in the population, the same in all rows of a stratum",
                do="correct the column, or leave `population` out of the design",
            )
        return lowest

    def _refuse_lonely(self, design: Design) -> None:
        """A sample of one PSU has no interval; a stratum with one hides that its part of the variance is unknown."""
        lonely = int(np.isnan(self._factors()).sum())
        if design.stratum and lonely and len(self.drawn) > 1:
            raise UsageError(
                found=f"{lonely} strata with a single primary sampling unit",
                expected="at least two in every stratum, or a stratum that was measured completely",
                do="merge these strata with ones like them",
            )


# --- helpers -------------------------------------------------------------------------------------


def _linearise(sample: _Sample, y: Array, x: Array, inside: Mask) -> tuple[float, Array, float]:
    """Return the ratio of weighted totals in a domain, its linearised values and its size for rounding."""
    y, x = np.where(inside, y, 0.0), np.where(inside, x, 0.0)
    below = float(sample.weight @ x)
    if below == 0:
        return np.nan, np.full_like(y, np.nan), np.nan
    value = float(sample.weight @ y) / below
    return value, (y - value * x) / below, float(sample.weight @ np.abs(y)) / abs(below)


def _ratio(sample: _Sample, y: Array, x: Array, inside: Mask, confidence: float) -> Estimate:
    value, influence, size = _linearise(sample, y, x, inside)
    return sample.estimate(value, influence, inside, confidence, size=size, spread=influence)


def _is_flat(found: Estimate) -> bool:
    return found.note == _FLAT


def _relabelled(codes: npt.NDArray[np.intp], inside: Mask) -> tuple[npt.NDArray[np.intp], int]:
    """Number the levels that occur inside from 0 on; return the numbers and how many there are."""
    levels = np.unique(codes[inside])
    return np.searchsorted(levels, codes), len(levels)


def _logit_interval(found: Estimate, confidence: float) -> tuple[float, float]:
    p = found.value
    half = stats.t.ppf((1 + confidence) / 2, found.df) * found.se / (p * (1 - p))
    middle = np.log(p / (1 - p))
    low, high = 1 / (1 + np.exp(-(middle + np.array([-half, half]))))
    return float(low), float(high)


def _beta_interval(found: Estimate, confidence: float) -> tuple[float, float]:
    p, error = found.value, (1 - confidence) / 2
    n = found.n_eff * (stats.t.ppf(error, found.n - 1) / stats.t.ppf(error, found.df)) ** 2
    low = float(stats.beta.ppf(error, n * p, n * (1 - p) + 1)) if p > 0 else 0.0
    high = float(stats.beta.isf(error, n * p + 1, n * (1 - p))) if p < 1 else 1.0
    return low, high


def _wilson_interval(found: Estimate, confidence: float) -> tuple[float, float]:
    base = np.array([found.n_eff])
    low, high = share_interval(found.value * base, base, stats.t.ppf((1 + confidence) / 2, found.df))
    return low.item(), high.item()


_SHARE_INTERVALS = {"logit": _logit_interval, "beta": _beta_interval, "wilson": _wilson_interval}
_SHARE_METHODS = {
    "logit": "Taylor linearisation, t on the logit",
    "beta": "Korn-Graubard",
    "wilson": "Wilson on the effective base, t",
}
