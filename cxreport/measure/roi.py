"""What a better score is worth: scores linked to retention and revenue of the same customers, and the sum from it.

Everything here is association: customers who score higher may stay for other reasons. Tenure and segments are held
fixed, what nobody recorded is not.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats
from scipy.stats import qmc

from cxreport.errors import UsageError, listed
from cxreport.measure.compare import share_change
from cxreport.measure.intervals import Array, mean_interval, share_interval

ASSOCIATION = "association"
NO_EFFECT = "not distinguishable from no effect"
NO_ANSWER = "no answer"
CLASSES = ("promoter", "passive", "detractor")
_PAIRS = list(combinations(CLASSES, 2))

# A level or class needs so many who left and so many who stayed before a model may estimate it.
MINIMUM_OUTCOMES = 5
_FIRST_PROMOTER, _FIRST_PASSIVE, _TOP_SCORE = 9, 7, 10
_KNOTS = (0.25, 0.5, 0.75)
_UNKNOWN = "unknown"


# --- the link ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreLink:
    """How retention and revenue went with the score.

    Attributes
    ----------
    retention
        One row per class, those without an answer last: `score_class`, `n`, `n_retained`, `value` (0-1), `ci_low`,
        `ci_high` (Wilson).
    retention_differences
        One row per pair of classes: `higher`, `lower`, `n`, `raw` with `raw_ci_low`, `raw_ci_high` (Newcombe) and
        `adjusted` with `adjusted_ci_low`, `adjusted_ci_high`, `p_value`: the average marginal difference with tenure
        and segments held fixed. Shares, 0.1 is ten percentage points.
    revenue
        One row per class: `score_class`, `n`, `value` (mean per customer), `ci_low`, `ci_high` (t).
    revenue_differences
        One row per pair: `higher`, `lower`, `n`, `value`, `ci_low`, `ci_high`, `p_value` (Welch), not adjusted.
    response_bias
        One row: retention of those who answered less that of those who did not, `n`, `value`, `ci_low`, `ci_high`
        (Newcombe), `p_value`; no rows where everybody or nobody answered.
    wording
        What the figures show: "association", to be worded "is associated with", never "causes".
    notes
        Who was left out and what could not be computed.
    """

    retention: pd.DataFrame
    retention_differences: pd.DataFrame
    revenue: pd.DataFrame
    revenue_differences: pd.DataFrame
    response_bias: pd.DataFrame
    notes: tuple[str, ...]
    wording: str = ASSOCIATION

    def retention_difference(self, higher: str = "promoter", lower: str = "detractor") -> "Uncertain":
        """Return the adjusted difference of a pair as an input of `roi`; raise `UsageError` where there is none."""
        pairs = self.retention_differences
        row = pairs[(pairs["higher"] == higher) & (pairs["lower"] == lower) & pairs["adjusted"].notna()]
        if row.empty:
            raise UsageError(
                found=f"no adjusted difference between `{higher}` and `{lower}`",
                expected="a pair with enough customers who left and who stayed",
                do="see the notes of the link",
            )
        return Uncertain(*(float(row[f"adjusted{end}"].iloc[0]) for end in ("", "_ci_low", "_ci_high")))


def score_link(people: pd.DataFrame, segments: Sequence[str] = (), confidence: float = 0.95) -> ScoreLink:
    """Link the score at an instant to retention and revenue over the time after it.

    Parameters
    ----------
    people
        One row per customer: `customer_id`; `score` (0 to 10, missing without an answer) or `score_class` (promoter,
        passive, detractor, missing without an answer); `retained` (whether still a customer at the end of the time,
        missing where it is not over); `revenue` of that time in one currency; `tenure` at the instant, in any unit.
    segments
        Columns to hold fixed besides tenure; missing values are a level of their own.

    The adjusted difference comes from a logistic regression of `retained` on class, tenure (linear spline of its
    logarithm with knots at the quartiles) and segments among those who answered: the mean over them of the predicted
    retention in one class less that in the other, with the delta method on a robust covariance (HC1) plus the sampling
    variance of that mean (Graubard and Korn 1999, Biometrics 55:652-659). Levels with fewer than 5 who left or stayed
    join the largest level, and classes as small have no adjusted difference.

    Raises `UsageError` for missing columns, repeated customers and unknown classes.
    """
    known, notes = _known(people, segments)
    answered = known[known["score_class"] != NO_ANSWER]
    retention, revenue = _retention(known, confidence), _revenue(known, confidence)
    adjusted, model_notes = _adjusted(answered, segments, confidence)
    raw = _newcombe(retention, _PAIRS, confidence).drop(columns="p_value")
    return ScoreLink(
        retention,
        raw.rename(columns={"value": "raw", "ci_low": "raw_ci_low", "ci_high": "raw_ci_high"}).merge(
            adjusted, how="left", on=["higher", "lower"]
        ),
        revenue,
        pd.DataFrame([_welch(known, higher, lower, confidence) for higher, lower in _PAIRS]),
        _response_bias(known, confidence),
        (*notes, *model_notes),
    )


def classes_of(scores: pd.Series) -> pd.Series:
    """Return promoter, passive, detractor, or "no answer" for missing scores; raise `UsageError` outside 0 to 10.

    >>> classes_of(pd.Series([10, 7, 6, None])).tolist()
    ['promoter', 'passive', 'detractor', 'no answer']
    """
    if (~scores.dropna().isin(range(_TOP_SCORE + 1))).any():
        raise UsageError(
            found="scores other than the whole numbers 0 to 10",
            expected="answers to the likelihood to recommend",
            do="leave other scores out, or pass `score_class`",
        )
    labels = np.select(
        [scores.isna(), scores >= _FIRST_PROMOTER, scores >= _FIRST_PASSIVE], [NO_ANSWER, *CLASSES[:2]], CLASSES[2]
    )
    return pd.Series(labels, scores.index, dtype=object)


def _known(people: pd.DataFrame, segments: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the customers whose time is over, in order of their ids, with their class."""
    score = "score_class" if "score_class" in people else "score"
    needed = ["customer_id", score, "retained", "revenue", "tenure", *segments]
    if absent := [name for name in needed if name not in people]:
        raise UsageError(
            found=f"customers without {listed(absent)}", expected=f"the columns {listed(needed)}", do="add the columns"
        )
    if people["customer_id"].duplicated().any():
        raise UsageError(
            found="a customer in several rows",
            expected="one row per customer",
            do="keep one answer of each customer by a stated rule",
        )
    is_over = people["retained"].notna()
    known = people[is_over].sort_values("customer_id", ignore_index=True)
    classes = classes_of(known["score"]) if score == "score" else _named(known["score_class"], NO_ANSWER)
    if unknown := (~classes.isin([*CLASSES, NO_ANSWER])).sum():
        raise UsageError(
            found=f"{unknown} customers of an unknown class",
            expected=f"one of {listed(CLASSES)}, or missing",
            do="name the classes so",
        )
    left_out = int((~is_over).sum())
    notes = [f"{left_out} customers left out: whether they stay is not known yet"] if left_out else []
    return known.assign(score_class=classes, retained=known["retained"].astype(bool)), notes


def _named(labels: pd.Series, missing: str) -> pd.Series:
    return labels.astype(object).where(labels.notna(), missing)


def _retention(known: pd.DataFrame, confidence: float) -> pd.DataFrame:
    grouped = known.groupby("score_class")["retained"].agg(["size", "sum"])
    table = grouped.reindex([*CLASSES, NO_ANSWER], fill_value=0).astype("int64").set_axis(["n", "n_retained"], axis=1)
    return _with_wilson(table, confidence).reset_index()


def _with_wilson(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    n = table["n"].where(table["n"] > 0).to_numpy(dtype=float)
    retained = table["n_retained"].to_numpy(dtype=float)
    low, high = share_interval(retained, n, stats.norm.ppf((1 + confidence) / 2))
    return table.assign(value=retained / n, ci_low=low, ci_high=high)


def _newcombe(retention: pd.DataFrame, pairs: Sequence[tuple[str, str]], confidence: float) -> pd.DataFrame:
    """Compare the retention of pairs of classes; NaN where a class has nobody."""
    by_class = retention.set_index("score_class")
    one, other = (by_class.loc[[pair[side] for pair in pairs]].reset_index() for side in (0, 1))
    table = pd.DataFrame(pairs, columns=["higher", "lower"]).assign(n=one["n"] + other["n"])
    table["value"] = one["value"] - other["value"]
    table[["ci_low", "ci_high", "p_value"]] = np.nan
    both = table["value"].notna()
    if both.any():
        sides = [
            pd.DataFrame({"p_top": side["value"], "base": side["n"].astype(float)})[both].reset_index(drop=True)
            for side in (one, other)
        ]
        table.loc[table.index[both], ["ci_low", "ci_high", "p_value"]] = np.column_stack(
            share_change(sides[0], sides[1], confidence)
        )
    return table


def _response_bias(known: pd.DataFrame, confidence: float) -> pd.DataFrame:
    sides = known.assign(score_class=np.where(known["score_class"] == NO_ANSWER, NO_ANSWER, "answered"))
    grouped = sides.groupby("score_class")["retained"].agg(["size", "sum"]).set_axis(["n", "n_retained"], axis=1)
    table = _with_wilson(grouped, confidence).reset_index()
    return _newcombe(table, [("answered", NO_ANSWER)] if len(table) > 1 else [], confidence)


# --- revenue -------------------------------------------------------------------------------------


def _revenue(known: pd.DataFrame, confidence: float) -> pd.DataFrame:
    grouped = known.groupby("score_class")["revenue"].agg(["count", "mean", "std"]).reindex([*CLASSES, NO_ANSWER])
    n = grouped["count"].fillna(0).to_numpy()
    se = (grouped["std"] / np.sqrt(grouped["count"])).to_numpy(dtype=float)
    mean = grouped["mean"].to_numpy(dtype=float)
    low, high = mean_interval(mean, np.where(se > 0, se, np.nan), n - 1, confidence)
    table = {"score_class": grouped.index, "n": n.astype("int64"), "value": mean, "ci_low": low, "ci_high": high}
    return pd.DataFrame(table)


def _welch(known: pd.DataFrame, higher: str, lower: str, confidence: float) -> dict[str, object]:
    one, other = (known.loc[known["score_class"] == name, "revenue"].dropna().to_numpy() for name in (higher, lower))
    pair: dict[str, object] = {"higher": higher, "lower": lower, "n": len(one) + len(other)}
    unknown = dict.fromkeys(("ci_low", "ci_high", "p_value"), np.nan)
    if not (len(one) and len(other)):
        return pair | {"value": np.nan} | unknown
    difference = float(one.mean() - other.mean())
    if min(len(one), len(other)) < 2 or 0 in (np.ptp(one), np.ptp(other)):  # noqa: PLR2004 - spread needs two
        return pair | {"value": difference} | unknown
    test = stats.ttest_ind(one, other, equal_var=False)
    low, high = test.confidence_interval(confidence)
    return pair | {"value": difference, "ci_low": float(low), "ci_high": float(high), "p_value": float(test.pvalue)}


# --- adjustment ----------------------------------------------------------------------------------


def _adjusted(answered: pd.DataFrame, segments: Sequence[str], confidence: float) -> tuple[pd.DataFrame, list[str]]:
    """Return the average marginal difference of every pair of classes that are large enough."""
    columns = ["higher", "lower", "adjusted", "adjusted_ci_low", "adjusted_ci_high", "p_value"]
    counts = answered.groupby("score_class")["retained"].agg(["size", "sum"]).astype("int64")
    classes = [name for name in CLASSES if name in counts.index[_is_large(counts)]]
    notes = [
        f"{name}s: too few left or stayed for an adjusted difference"
        for name in CLASSES
        if name in counts.index and name not in classes
    ]
    rows = answered[answered["score_class"].isin(classes) & answered["tenure"].notna()]
    if unknown := int(answered["tenure"].isna().sum()):
        notes.append(f"{unknown} customers of unknown tenure are not in the adjusted differences")
    if len(classes) < 2:  # noqa: PLR2004 - a comparison has two sides
        return pd.DataFrame(columns=columns), notes
    controls, pooled = _controls(rows, segments)
    if pooled:
        notes.append(f"small levels joined the largest one of {listed(pooled)}")
    differences = _marginal_differences(rows, classes, controls, confidence)
    if not differences:
        notes.append("tenure or segments tell perfectly who stays: no adjusted difference")
    return pd.DataFrame(differences, columns=columns), notes


def _controls(rows: pd.DataFrame, segments: Sequence[str]) -> tuple[Array, list[str]]:
    """Return the control columns, without redundant ones, and the segments of which levels were pooled."""
    tenure = np.log1p(np.maximum(rows["tenure"].to_numpy(dtype=float), 0))
    knots = [knot for knot in np.unique(np.quantile(tenure, _KNOTS)) if tenure.min() < knot < tenure.max()]
    columns = [tenure, *(np.maximum(tenure - knot, 0) for knot in knots)]
    pooled = []
    for segment in segments:
        levels = _named(rows[segment], _UNKNOWN).astype(str)
        largest, kept = _levels(levels, rows["retained"])
        if len(kept) + 1 < levels.nunique():
            pooled.append(segment)
        columns += [(levels == level).to_numpy(dtype=float) for level in kept if level != largest]
    return np.column_stack(columns), pooled


def _levels(levels: pd.Series, retained: pd.Series) -> tuple[str, list[str]]:
    """Return the largest level, and those of the others that are large enough to be estimated."""
    counts = retained.groupby(levels).agg(["size", "sum"]).astype("int64").sort_index()
    largest = str(counts["size"].idxmax())
    return largest, [str(level) for level in counts.index[_is_large(counts)] if level != largest]


def _is_large(counts: pd.DataFrame) -> pd.Series:
    return (counts["sum"] >= MINIMUM_OUTCOMES) & (counts["size"] - counts["sum"] >= MINIMUM_OUTCOMES)


def _independent(columns: Array, first: int) -> Array:
    """Drop the columns that earlier ones already determine; the first so many stay."""
    from scipy import linalg

    _, r, _ = linalg.qr(columns, mode="economic", pivoting=True)
    if np.abs(np.diag(r)).min() > 1e-8 * np.abs(r[0, 0]):
        return columns
    kept = columns[:, :first]
    for column in columns[:, first:].T:
        wider = np.column_stack([kept, column])
        kept = wider if np.linalg.matrix_rank(wider) == wider.shape[1] else kept
    return kept


def _marginal_differences(
    rows: pd.DataFrame, classes: list[str], controls: Array, confidence: float
) -> list[dict[str, object]]:
    # The usual marginal effect of one dummy would leave the others as they are: a promoter who is a passive as well.
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import ModelWarning

    dummies = np.column_stack([(rows["score_class"] == name).to_numpy(dtype=float) for name in classes])
    design = _independent(np.column_stack([dummies, controls]), len(classes))
    outcome = rows["retained"].to_numpy(dtype=float)
    with warnings.catch_warnings():
        # Both come of outcomes that the controls separate: the likelihood has no maximum.
        warnings.simplefilter("error", ModelWarning)
        warnings.simplefilter("error", RuntimeWarning)
        try:
            fitted = sm.GLM(outcome, design, family=sm.families.Binomial()).fit(cov_type="HC1")
        except (ModelWarning, RuntimeWarning):
            return []
    z = stats.norm.ppf((1 + confidence) / 2)
    standardised = {name: _standardised(design, fitted.params, i, len(classes)) for i, name in enumerate(classes)}
    differences: list[dict[str, object]] = []
    for higher, lower in combinations(classes, 2):
        (p, slope), (q, other_slope) = standardised[higher], standardised[lower]
        gradient = slope - other_slope
        variance = gradient @ fitted.cov_params() @ gradient + (p - q).var(ddof=1) / len(rows)
        value, se = float((p - q).mean()), float(np.sqrt(variance))
        differences.append(
            {
                "higher": higher,
                "lower": lower,
                "adjusted": value,
                "adjusted_ci_low": value - z * se,
                "adjusted_ci_high": value + z * se,
                "p_value": float(2 * stats.norm.sf(abs(value) / se)),
            }
        )
    return differences


def _standardised(design: Array, coefficients: Array, which: int, classes: int) -> tuple[Array, Array]:
    """Return everybody's predicted retention, were they all in one class, and the gradient of its mean."""
    moved = design.copy()
    moved[:, :classes] = 0
    moved[:, which] = 1
    predicted = special.expit(moved @ coefficients)
    return predicted, (predicted * (1 - predicted)) @ moved / len(moved)


# --- the sum -------------------------------------------------------------------------------------


class Uncertain(NamedTuple):
    """A figure with the ends of its interval; all three are equal where it is exact."""

    value: float
    ci_low: float
    ci_high: float

    @classmethod
    def exact(cls, value: float) -> "Uncertain":
        """Return a figure without uncertainty."""
        return cls(value, value, value)


@dataclass(frozen=True)
class Roi:
    """What moving customers to a better class is associated with.

    Attributes
    ----------
    figures
        Indexed by figure: `value`, `ci_low`, `ci_high`. `customers_kept`; `value` (money), `cost`, `net` (value less
        cost), `ratio` (net over cost), `payback_months` (infinite where nothing comes back).
    status
        "not distinguishable from no effect" where the interval of the difference or of the value holds zero, else how
        the value compares with the cost.
    wording
        "association": the sum is what the difference is worth if the customers moved behave like those who are there.
    """

    figures: pd.DataFrame
    status: str
    wording: str = ASSOCIATION


def roi(
    customers_moved: Uncertain | float,
    retention_difference: Uncertain,
    margin_clv: Uncertain | float,
    cost: Uncertain | float,
    *,
    months: float = 12.0,
    draws: int = 10_000,
    seed: int = 20_260_901,
    confidence: float = 0.95,
) -> Roi:
    """Value a move of customers: customers moved x difference in retention x margin lifetime value, less cost.

    Parameters
    ----------
    customers_moved
        Customers who move from the lower to the higher class of the difference.
    retention_difference
        Share (-1 to 1) that stays in the higher class less that in the lower, with the interval of its estimate.
    margin_clv
        Discounted margin of a customer who stays, over `months`; not revenue.
    cost
        Of the whole effort, in the same currency.
    months
        Over how many months the value comes in, evenly, for the payback.

    The intervals are quantiles of `draws` seeded Latin hypercube draws. Each input is drawn on its own from a normal
    distribution whose halves are scaled so that its median and its interval are those given.

    Raises `UsageError` for intervals that do not hold their value or are not finite, and for negative customers,
    margin or cost.

    >>> float(roi(1000, Uncertain(0.1, 0.06, 0.14), 200.0, 8000.0).figures.loc["net", "value"])
    12000.0
    """
    inputs = [
        given if isinstance(given, Uncertain) else Uncertain.exact(given)
        for given in (customers_moved, retention_difference, margin_clv, cost)
    ]
    _demand_sound(inputs, months)
    uniform = qmc.LatinHypercube(d=len(inputs), rng=np.random.default_rng(seed)).random(draws)
    drawn = [_draw(given, column, confidence) for given, column in zip(inputs, uniform.T, strict=True)]
    point = _sums(*(np.array([given.value]) for given in inputs), months=months)
    spread = _sums(*drawn, months=months)
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    rows = {
        name: (point[name].item(), *np.quantile(column, ends, method="inverted_cdf")) for name, column in spread.items()
    }
    figures = pd.DataFrame.from_dict(rows, orient="index", columns=Uncertain._fields).rename_axis("figure")
    return Roi(figures, _status(inputs[1], figures))


def _demand_sound(inputs: list[Uncertain], months: float) -> None:
    is_ordered = all(np.isfinite(given).all() and given.ci_low <= given.value <= given.ci_high for given in inputs)
    moved, difference, margin, cost = inputs
    is_possible = min(moved.value, margin.value, cost.ci_low) >= 0 and abs(difference.value) <= 1 and months > 0
    if not (is_ordered and is_possible):
        raise UsageError(
            found="an impossible input" if is_ordered else "an interval that is not finite or does not hold its value",
            expected="customers, margin and cost of at least 0, a difference between -1 and 1, intervals around them",
            do="check the inputs; a figure without uncertainty is a plain number",
        )


def _draw(given: Uncertain, uniform: Array, confidence: float) -> Array:
    deviate = stats.norm.ppf(uniform) / stats.norm.ppf((1 + confidence) / 2)
    drawn: Array = given.value + deviate * np.where(
        deviate < 0, given.value - given.ci_low, given.ci_high - given.value
    )
    return drawn


def _sums(moved: Array, difference: Array, margin: Array, cost: Array, *, months: float) -> dict[str, Array]:
    kept = moved * difference
    value, cost = kept * margin, np.maximum(cost, 0)
    has_cost, pays = cost > 0, value > 0
    ratio = np.where(has_cost, (value - cost) / np.where(has_cost, cost, 1), np.nan)
    payback = np.where(pays, months * cost / np.where(pays, value, 1), np.inf)
    sums = {"customers_kept": kept, "value": value, "cost": cost, "net": value - cost}
    return sums | {"ratio": ratio, "payback_months": payback}


def _status(difference: Uncertain, figures: pd.DataFrame) -> str:
    low, high = figures["ci_low"], figures["ci_high"]
    if difference.ci_low <= 0 <= difference.ci_high or low["value"] <= 0 <= high["value"]:
        return NO_EFFECT
    if low["net"] > 0:
        return "associated value above the cost"
    if high["net"] < 0:
        return "associated value below the cost"
    return "associated value not distinguishable from the cost"
