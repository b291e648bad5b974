"""Point estimates, standard errors and intervals from sufficient statistics, vectorised over rows.

Every function takes arrays of one shape and never warns: what cannot be computed is NaN.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cxreport.config import Kpi

Array = npt.NDArray[np.float64]

# Halvings of an interval of at most 40 until doubles no longer separate its ends.
_HALVINGS = 60
_OPEN_END = "no interval: its upper end lies among the cases that are still open"


def infer(reduced: pd.DataFrame, kpi: Kpi, confidence: float) -> pd.DataFrame:
    """Turn sufficient statistics into estimates, row by row.

    Parameters
    ----------
    reduced
        What `cxreport.measure.reduce.reduce` returned for the same KPI and confidence, with `n` of at least 1.
    confidence
        Confidence of the intervals, e.g. 0.95.

    Returns
    -------
    DataFrame
        On the same index: `n`, `n_eff` (Kish), `n_top`, `n_bottom`, `value`, `ci_low`, `ci_high`, `se`, `method`,
        `note`, in the KPI's unit (shares 0-1), and for comparisons `p_top`, `p_bottom` (class shares), `base` (the
        number of equally weighted answers that would be as precise) and `df`. A single answer has no interval. A
        quantile whose rank falls among the open cases has no value.
    """
    estimators = {"net": _infer_net, "share": _infer_share, "mean": _infer_mean, "quantile": _infer_quantile}
    inferred = pd.DataFrame(
        {"n": reduced["n"], "n_eff": np.nan, "n_top": np.nan, "n_bottom": np.nan, "p_top": np.nan, "p_bottom": np.nan}
        | {"base": np.nan, "df": np.nan, "method": "", "note": None},
        index=reduced.index,
    )
    estimated = pd.DataFrame(estimators[kpi.type](reduced, kpi, confidence), index=reduced.index)
    inferred[estimated.columns] = estimated
    single = inferred["n"] < 2  # noqa: PLR2004 - spread needs two answers
    inferred.loc[single, ["ci_low", "ci_high", "se"]] = np.nan
    inferred.loc[single & inferred["value"].notna(), "note"] = "one answer: no interval"
    inferred.loc[inferred["ci_low"].isna(), "method"] = "no interval"
    return inferred


# --- nets ----------------------------------------------------------------------------------------


def net_interval(top: Array, bottom: Array, n: Array, confidence: float) -> tuple[Array, Array]:
    """Return the ends of the interval of a net score, in points (-100 to 100).

    Adjusted Wald: 3/4 of an answer is added to either class and 3/2 to the middle (Rocks 2016, The American
    Statistician). Where a class is empty, the score interval takes its place, because an empty class makes the
    Wald width too small or zero.

    Parameters
    ----------
    top, bottom, n
        Answers in the good and the poor class, and all answers; they need not be whole (effective bases).

    >>> low, high = net_interval(np.array([70.0]), np.array([10.0]), np.array([100.0]), 0.95)
    >>> round(low.item(), 2), round(high.item(), 2)
    (45.27, 71.24)
    """
    z = stats.norm.ppf((1 + confidence) / 2)
    net, variance = adjusted_net(top, bottom, n)
    half = z * np.sqrt(variance)
    has_empty_class = np.minimum(np.minimum(top, bottom), n - top - bottom) <= n * 1e-12
    score_low, score_high = _net_score_limits(top, bottom, n, z)
    low = np.where(has_empty_class, score_low, net - half)
    high = np.where(has_empty_class, score_high, net + half)
    return 100 * np.clip(low, -1, 1), 100 * np.clip(high, -1, 1)


def adjusted_net(top: Array, bottom: Array, n: Array) -> tuple[Array, Array]:
    """Return the net of the adjusted counts and its variance, on the scale -1 to 1 (Rocks 2016)."""
    p, d = (top + 0.75) / (n + 3), (bottom + 0.75) / (n + 3)
    return p - d, _net_variance(p, d) / (n + 3)


def _net_variance(p: Array, d: Array) -> Array:
    """Return the variance of one answer scored +1, 0, -1."""
    return np.maximum(p + d - (p - d) ** 2, 0)


def _net_score_limits(top: Array, bottom: Array, n: Array, z: float) -> tuple[Array, Array]:
    """Invert the score test: keep every net whose variance under it makes the observed net unsurprising."""
    net = (top - bottom) / n

    def is_kept(hypothesis: Array) -> npt.NDArray[np.bool_]:
        # By symmetry a negative net is the positive net with the classes swapped.
        t = np.abs(hypothesis)
        a, b = np.where(hypothesis < 0, bottom, top), np.where(hypothesis < 0, top, bottom)
        middle = n - a - b
        # Maximum likelihood of the poor class's share when the net is t: the larger root of a quadratic.
        linear = a * (1 - t) - 2 * middle * t + b * (1 - 3 * t)
        share = (linear + np.sqrt(linear**2 + 8 * n * b * t * (1 - t))) / (4 * n)
        kept: npt.NDArray[np.bool_] = n * (net - hypothesis) ** 2 <= z**2 * (2 * share + t - t**2)
        return kept

    ends = (np.full_like(net, -1.0), np.full_like(net, 1.0))
    low, high = (halve(is_kept, inside=net, outside=end) for end in ends)
    return low, high


# --- shares --------------------------------------------------------------------------------------


def share_interval(top: Array, n: Array, z: Array | float) -> tuple[Array, Array]:
    """Return the Wilson interval of a share (0-1); `z` is the critical value and the bases need not be whole.

    >>> low, high = share_interval(np.array([81.0]), np.array([263.0]), 1.959963985)
    >>> round(low.item(), 4), round(high.item(), 4)
    (0.2553, 0.3662)
    """
    low, high = proportion_confint(top, n, alpha=2 * stats.norm.sf(z), method="wilson")
    return np.minimum(low, top / n), np.maximum(high, top / n)


# --- means ---------------------------------------------------------------------------------------


def mean_interval(mean: Array, se: Array, df: Array, confidence: float) -> tuple[Array, Array]:
    """Return the t interval of a mean; NaN where the standard error or its degrees of freedom are missing."""
    half = stats.t.ppf((1 + confidence) / 2, np.where(df >= 1, df, np.nan)) * se
    return mean - half, mean + half


# --- quantiles -----------------------------------------------------------------------------------


def quantile_ranks(n: Array, q: float, confidence: float) -> pd.DataFrame:
    """Return the ranks (from 1) of the order statistics that a quantile and its interval need.

    `below` and `above` enclose the type-7 quantile (Hyndman and Fan 1996; numpy's default). `low` and `high` end the
    distribution-free interval: each tail of the binomial distribution outside them holds at most half of the error
    (Conover, Practical Nonparametric Statistics, 3.2). They are 0 where n is too small for such ranks to exist:
    below 6 for a median and below 36 for a 90th percentile at 95 %.
    """
    position = (n - 1) * q + 1
    error = (1 - confidence) / 2
    low = stats.binom.ppf(error, n, q)
    high = stats.binom.ppf(1 - error, n, q) + 1
    exists = (low >= 1) & (high <= n)
    return pd.DataFrame(
        {
            "below": np.floor(position),
            "above": np.ceil(position),
            "low": np.where(exists, low, 0),
            "high": np.where(exists, high, 0),
        }
    ).astype("int64")


def quantile_se(x_low: Array, x_high: Array, n: Array, q: float, confidence: float) -> Array:
    """Return the standard error of a quantile from the ends of its order-statistic interval.

    The interval's width over the normal deviates of its exact binomial tails: Bonett and Price (2002, Psychological
    Methods 7:370-383) for medians, carried over to any quantile.
    """
    ranks = quantile_ranks(n, q, confidence)
    exists = ranks["low"].to_numpy() > 0
    tail_low = np.where(exists, stats.binom.cdf(ranks["low"] - 1, n, q), np.nan)
    tail_high = np.where(exists, stats.binom.sf(ranks["high"] - 1, n, q), np.nan)
    deviates: Array = stats.norm.isf(tail_low) + stats.norm.isf(tail_high)
    return (x_high - x_low) / deviates


# --- one KPI type each ---------------------------------------------------------------------------


def _infer_net(reduced: pd.DataFrame, kpi: Kpi, confidence: float) -> dict[str, object]:
    m = _Moments(reduced)
    spread, signed = m.second_moment, m.mean
    p_top, p_bottom = np.clip((spread + signed) / 2, 0, 1), np.clip((spread - signed) / 2, 0, 1)
    base, se = _base_and_se(m, kpi, _net_variance(p_top, p_bottom))
    low, high = net_interval(p_top * base, p_bottom * base, base, confidence)
    method = np.full(len(reduced), "adjusted Wald", dtype=object)
    top, bottom = reduced["n_top"].to_numpy(), reduced["n_bottom"].to_numpy()
    has_empty_class = (np.minimum(top, bottom) == 0) | (top + bottom == reduced["n"].to_numpy())
    if kpi.weight:
        linear_low, linear_high = mean_interval(100 * signed, 100 * se, m.n - 1, confidence)
        low = np.where(has_empty_class, low, np.clip(linear_low, -100, 100))
        high = np.where(has_empty_class, high, np.clip(linear_high, -100, 100))
        method[:] = "Taylor linearisation, t"
    method[has_empty_class] = "score on the effective base" if kpi.weight else "score"
    return {
        "n_eff": m.n_eff,
        "n_top": reduced["n_top"],
        "n_bottom": reduced["n_bottom"],
        "value": 100 * signed,
        "ci_low": low,
        "ci_high": high,
        "se": _positive(100 * se),
        "method": method,
        "p_top": p_top,
        "p_bottom": p_bottom,
        "base": base,
        "df": m.n - 1,
    }


def _infer_share(reduced: pd.DataFrame, kpi: Kpi, confidence: float) -> dict[str, object]:
    m = _Moments(reduced)
    p = np.clip(m.mean, 0, 1)
    base, se = _base_and_se(m, kpi, p * (1 - p))
    level = (1 + confidence) / 2
    critical = stats.t.ppf(level, np.maximum(m.n - 1, 1)) if kpi.weight else stats.norm.ppf(level)
    low, high = share_interval(p * base, base, critical)
    return {
        "n_eff": m.n_eff,
        "n_top": reduced["n_top"],
        "value": p,
        "ci_low": low,
        "ci_high": high,
        "se": _positive(se),
        "method": "Wilson on the effective base, t" if kpi.weight else "Wilson",
        "p_top": p,
        "base": base,
        "df": m.n - 1,
    }


def _infer_mean(reduced: pd.DataFrame, kpi: Kpi, confidence: float) -> dict[str, object]:
    m = _Moments(reduced)
    se = _positive(m.linearised_se)
    low, high = mean_interval(m.mean, se, m.n - 1, confidence)
    if kpi.scale:
        low, high = np.maximum(low, kpi.scale.low), np.minimum(high, kpi.scale.high)
    return {
        "n_eff": m.n_eff,
        "value": m.mean,
        "ci_low": low,
        "ci_high": high,
        "se": se,
        "method": "Taylor linearisation, t" if kpi.weight else "t",
        "note": _noted(np.isnan(se), "all answers are equal: no interval"),
        "base": m.n_eff,
        "df": m.n - 1,
    }


def _infer_quantile(reduced: pd.DataFrame, kpi: Kpi, confidence: float) -> dict[str, object]:
    assert kpi.quantile is not None
    n = reduced["n"].to_numpy(dtype=float)
    below, above, low, high = (reduced[f"x_{name}"].to_numpy() for name in ("below", "above", "low", "high"))
    fraction = (n - 1) * kpi.quantile % 1
    value = below + fraction * (above - below)
    is_too_few = quantile_ranks(n, kpi.quantile, confidence)["low"].to_numpy() == 0
    # A rank that exists and has no value lies among the open cases.
    has_interval = ~np.isnan(value) & ~np.isnan(low) & ~np.isnan(high)
    low, high = np.where(has_interval, low, np.nan), np.where(has_interval, high, np.nan)
    notes = np.select(
        [np.isnan(value), is_too_few, ~has_interval],
        ["no figure: too many cases are still open", "too few cases for an interval", _OPEN_END],
        default="",
    )
    return {
        "n_eff": n,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "se": _positive(quantile_se(low, high, n, kpi.quantile, confidence)),
        "method": "order statistics",
        "note": [note or None for note in notes.tolist()],
        "base": n,
    }


class _Moments:
    """Weighted mean, its Taylor-linearised standard error and Kish's base, from the sums.

    The error is that of a ratio mean under weights alone: n / (n - 1) * sum(w^2 (x - mean)^2) / (sum w)^2 (Lumley,
    R package survey). With equal weights it is s / sqrt(n).
    """

    def __init__(self, reduced: pd.DataFrame) -> None:
        columns = ("n", "w", "w2", "wx", "wx2", "w2x", "w2x2")
        self.n, w, w2, wx, wx2, w2x, w2x2 = (reduced[name].to_numpy(dtype=float) for name in columns)
        self.mean = wx / w
        self.second_moment = wx2 / w
        self.n_eff = w**2 / w2
        squares = w2x2 - 2 * self.mean * w2x + self.mean**2 * w2
        # What rounding leaves of equal answers must count as no spread.
        squares = np.where(squares <= 1e-12 * w2x2, 0, squares)
        self.linearised_se = np.where(self.n > 1, np.sqrt(squares * self.n / np.maximum(self.n - 1, 1)) / w, np.nan)


def _base_and_se(m: _Moments, kpi: Kpi, variance: Array) -> tuple[Array, Array]:
    """Return the base that would give the standard error under simple random sampling, and that error."""
    if not kpi.weight:
        return m.n, np.sqrt(variance / m.n)
    has_spread = m.linearised_se > 0
    squared = np.where(has_spread, m.linearised_se, 1) ** 2
    return np.where(has_spread, variance / squared, m.n_eff), m.linearised_se


def _positive(se: Array) -> Array:
    """A zero standard error says that the sample shows no spread, not that the figure is exact."""
    return np.where(se > 0, se, np.nan)


def _noted(flags: npt.NDArray[np.bool_], text: str) -> list[str | None]:
    return [text if flag else None for flag in flags]


def halve(is_kept: Callable[[Array], npt.NDArray[np.bool_]], *, inside: Array, outside: Array) -> Array:
    """Return the border, between a kept and an outer value, of what a monotone test keeps."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        kept = is_kept(middle)
        inside, outside = np.where(kept, middle, inside), np.where(kept, outside, middle)
    return (inside + outside) / 2
