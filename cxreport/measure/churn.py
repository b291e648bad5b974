"""Which customers are likely to leave: features at an instant, a logistic model judged on a later period, a list.

Nothing that happened at or after the instant enters a feature. A model that a later period does not bear out gives no
list: `Training.verdict` says why.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg, special, stats

from cxreport.errors import UsageError, listed
from cxreport.measure.intervals import Array, mean_interval, share_interval

# Effort scores of both versions stay apart: their scales run in opposite directions.
METRICS = ("nps", "csat", "ces_v1", "ces_v2")
# Columns of a panel that are not features.
KEYS = ("customer_id", "at", "ended")
MISSING = "_missing"
USABLE = "usable"

MINIMUM_TRAINING_EVENTS = 50
MINIMUM_TEST_EVENTS = 20
# A slope, or a ratio of observed to expected leavers, outside these bounds means that the risks are not to be believed.
CALIBRATION_BOUNDS = (0.5, 2.0)

_DAY = pd.Timedelta(days=1)
_DAYS_IN_MONTH = 365.25 / 12
_BINS = 10
_SLOW_REPLY = pd.Timedelta(days=1)
_SHORT_DAYS, _LONG_DAYS = 30, 90
# Inverse variance of the normal prior on each log odds ratio per standard deviation.
_PENALTY = 1.0


# --- features ------------------------------------------------------------------------------------


def features(
    customers: pd.DataFrame,
    answers: pd.DataFrame,
    tickets: pd.DataFrame,
    orders: pd.DataFrame,
    at: pd.Timestamp,
    *,
    window_days: int = 180,
) -> pd.DataFrame:
    """Describe every customer who is active at an instant by what was known just before it.

    Parameters
    ----------
    customers, tickets, orders
        Canonical tables; a frame without rows is allowed for all but `customers`.
    answers
        `customer_id`, `metric`, `score` (on the metric's own scale), `responded_at`; other columns are ignored.
    at
        The instant, with a time zone. Only rows dated before it count, and of a ticket only what was known by then:
        one that is resolved later is open, one that is replied to later still waits, and reopenings count once the
        case is resolved for good, because the table holds only their final number.
    window_days
        How far back to look, at least 90; the tables should reach back that far, or customers look quieter than
        they are.

    Returns
    -------
    DataFrame
        One row per customer who started before `at` and had not ended before it, sorted by `customer_id`:
        `tenure_days`; `monthly_value` (the table's only value, thus of its export, not of `at`); `last_<metric>`, the
        mean of the latest scores in the window; `surveys_answered`; `tickets_30_days`, `tickets_90_days`,
        `open_tickets`, `reopens`, `slow_replies` (more than a day) of tickets created in the window; `orders`
        (without refunds), `days_since_order` and `amount_change` (the later half of the window less the earlier half,
        refunds deducted). `<column>_missing` is 1 where a column has no value.

    Raises `UsageError` for a missing column, an instant without a zone, repeated customers or mixed currencies.
    """
    if at.tzinfo is None or window_days < _LONG_DAYS:
        raise UsageError(
            found="an instant without a time zone" if at.tzinfo is None else f"a window of {window_days} days",
            expected=f"an instant with a time zone and a window of at least {_LONG_DAYS} days",
            do="pass `at` in UTC and a longer window",
        )
    start = at - window_days * _DAY
    people = _active(customers, at)
    columns = {
        "tenure_days": _days(at - people["started_at"]),
        "monthly_value": people["monthly_value"].astype(float),
        **_score_columns(_between(answers, "responded_at", start, at, ("metric", "score"))),
        **_ticket_columns(_between(tickets, "created_at", start, at, _TICKET_COLUMNS), at),
        **_order_columns(_between(orders, "ordered_at", start, at, ("amount", "currency", "kind")), start, at),
    }
    return pd.DataFrame(
        {"customer_id": people.index}
        | {name: _filled(column, people.index, name).to_numpy() for name, column in columns.items()}
    ).pipe(_with_indicators)


_NULLABLE = ("monthly_value", *(f"last_{metric}" for metric in METRICS), "days_since_order")
_TICKET_COLUMNS = ("first_replied_at", "resolved_at", "reply_minutes", "reopens")


def _active(customers: pd.DataFrame, at: pd.Timestamp) -> pd.DataFrame:
    _demand(customers, ("customer_id", "started_at", "ended_at", "monthly_value"), "customers")
    if customers["customer_id"].duplicated().any():
        raise UsageError(
            found="a customer who stands in several rows of `customers`",
            expected="one row per customer",
            do="keep the latest row of each customer",
        )
    is_active = (customers["started_at"] < at) & ~(customers["ended_at"] < at)
    return customers[is_active].set_index("customer_id").sort_index()


def _between(
    table: pd.DataFrame, dated_by: str, start: pd.Timestamp, at: pd.Timestamp, columns: Sequence[str]
) -> pd.DataFrame:
    needed = ["customer_id", dated_by, *columns]
    if table.empty:
        return pd.DataFrame({name: pd.Series(dtype=_EMPTY.get(name, "datetime64[us, UTC]")) for name in needed})
    _demand(table, needed, "a table")
    return table.loc[table[dated_by].between(start, at, inclusive="left"), needed]


_EMPTY = {"customer_id": "object", "metric": "object", "currency": "object", "kind": "object"} | dict.fromkeys(
    ("score", "amount", "reply_minutes", "reopens"), "float64"
)


def _demand(table: pd.DataFrame, needed: Iterable[str], name: str) -> None:
    if absent := [column for column in needed if column not in table]:
        raise UsageError(
            found=f"{name} without {listed(absent)}",
            expected=f"the columns {listed(needed)}",
            do="add the columns, empty where nothing is known",
        )


def _score_columns(answers: pd.DataFrame) -> dict[str, pd.Series]:
    scored = answers[answers["score"].notna()]
    latest = scored.groupby(["customer_id", "metric"])["responded_at"].transform("max")
    last = scored[scored["responded_at"] == latest].groupby(["metric", "customer_id"])["score"].mean()
    columns = {f"last_{metric}": last[last.index.get_level_values(0) == metric].droplevel(0) for metric in METRICS}
    return columns | {"surveys_answered": scored.groupby("customer_id")["responded_at"].nunique()}


def _ticket_columns(tickets: pd.DataFrame, at: pd.Timestamp) -> dict[str, pd.Series]:
    created, who = tickets["created_at"], tickets["customer_id"]
    is_resolved = tickets["resolved_at"] < at
    replied = tickets["first_replied_at"].fillna(created + pd.to_timedelta(tickets["reply_minutes"], unit="min"))
    waited_until = replied.fillna(tickets["resolved_at"])
    waited_until = waited_until.where(waited_until < at, at)
    return {
        "tickets_30_days": (created >= at - _SHORT_DAYS * _DAY).groupby(who).sum(),
        "tickets_90_days": (created >= at - _LONG_DAYS * _DAY).groupby(who).sum(),
        "open_tickets": (~is_resolved).groupby(who).sum(),
        "reopens": tickets["reopens"].where(is_resolved).groupby(who).sum(),
        "slow_replies": (waited_until - created > _SLOW_REPLY).groupby(who).sum(),
    }


def _order_columns(orders: pd.DataFrame, start: pd.Timestamp, at: pd.Timestamp) -> dict[str, pd.Series]:
    if orders["currency"].dropna().unique().size > 1:
        raise UsageError(
            found="orders in several currencies",
            expected="amounts that can be added",
            do="convert the amounts to one currency",
        )
    is_refund = orders["kind"] == "refund"
    is_late = orders["ordered_at"] >= start + (at - start) / 2
    amount = orders["amount"].abs() * np.where(is_refund, -1, 1) * np.where(is_late, 1, -1)
    bought = orders[~is_refund]
    return {
        "orders": bought.groupby("customer_id").size(),
        "days_since_order": _days(at - bought.groupby("customer_id")["ordered_at"].max()),
        "amount_change": amount.groupby(orders["customer_id"]).sum(),
    }


def _days(durations: pd.Series) -> pd.Series:
    days: pd.Series = durations.dt.total_seconds() / _DAY.total_seconds()
    return days


def _filled(column: pd.Series, index: pd.Index, name: str) -> pd.Series:
    """Align with the customers; who has no rows has a count of 0, but no score and no date."""
    aligned = column.reindex(index).astype(float)
    return aligned if name in _NULLABLE else aligned.fillna(0.0)


def _with_indicators(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name + MISSING: frame[name].isna().astype(float) for name in _NULLABLE})


# --- panel ---------------------------------------------------------------------------------------


def panel(
    customers: pd.DataFrame,
    answers: pd.DataFrame,
    tickets: pd.DataFrame,
    orders: pd.DataFrame,
    *,
    snapshots: Iterable[pd.Timestamp],
    horizon_days: int,
    known_until: pd.Timestamp,
    window_days: int = 180,
) -> pd.DataFrame:
    """Stack the features of several instants with what became of the customers.

    Parameters
    ----------
    horizon_days
        `ended` says whether a customer left from `at` on and before `at` plus so many days.
    known_until
        Until when departures are recorded. A snapshot whose horizon is not over by then is left out whole: to keep
        only those who left already would make everybody look like a leaver.

    Returns
    -------
    DataFrame
        One row per customer and snapshot: `at`, what `features` returns, `ended`.

    Raises `UsageError` when no snapshot has a finished horizon.
    """
    horizon = horizon_days * _DAY
    finished = sorted(at for at in set(snapshots) if at + horizon <= known_until)
    if not finished:
        raise UsageError(
            found=f"no snapshot whose {horizon_days} days are over",
            expected="snapshots that lie at least the horizon before the end of the records",
            do="choose earlier snapshots or a shorter horizon",
        )
    left = customers.set_index("customer_id")["ended_at"]
    frames = []
    for at in finished:
        frame = features(customers, answers, tickets, orders, at, window_days=window_days)
        ended_at = left.reindex(frame["customer_id"]).set_axis(frame.index)
        frame.insert(0, "at", at)
        frames.append(frame.assign(ended=ended_at.between(at, at + horizon, inclusive="left")))
    return pd.concat(frames, ignore_index=True)


# --- model ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChurnModel:
    """A logistic regression with a ridge penalty on standardised features.

    Attributes
    ----------
    columns
        The features in fixed order; those without spread in training are not among them.
    centre, spread
        Mean and standard deviation of the known values in training. A missing value counts as the mean, and
        `<column>_missing` carries what its absence says.
    intercept, coefficients
        Log odds of the mean customer, and their change per standard deviation.
    covariance
        Of the intercept and the coefficients: the inverse Hessian of the penalised likelihood.
    n, events
        Rows and leavers of the training.
    """

    columns: tuple[str, ...]
    centre: Array
    spread: Array
    intercept: float
    coefficients: Array
    covariance: Array
    n: int
    events: int

    def standardised(self, features: pd.DataFrame) -> Array:
        """Return the design matrix: rows of `features`, columns of the model; raise `UsageError` if one is absent."""
        derived = _with_missing(features, self.columns)
        _demand(derived, self.columns, "features")
        values = (derived[list(self.columns)].to_numpy(dtype=float) - self.centre) / self.spread
        return np.nan_to_num(values, nan=0.0)

    def risk(self, features: pd.DataFrame) -> Array:
        """Return the probability (0-1) that each row's customer leaves within the horizon."""
        return np.asarray(special.expit(self.intercept + self.standardised(features) @ self.coefficients))


def fit(features: pd.DataFrame, outcome: pd.Series) -> ChurnModel:
    """Fit the model to numeric features and a true-or-false outcome, row by row.

    Parameters
    ----------
    features
        Any numeric columns; `customer_id`, `at` and `ended` are passed over. A column with missing values and without
        a `<column>_missing` gets one.
    outcome
        Whether the customer left; on the same index.

    The penalty is half the sum of squared coefficients: a standard normal prior on each log odds ratio per standard
    deviation, which matters only where there is little data. No further calibration: maximum likelihood makes the
    predicted and observed number of leavers equal in training.

    Raises `UsageError` for text or infinite features and where only one outcome occurs.
    """
    from sklearn.linear_model import LogisticRegression

    y = outcome.to_numpy(dtype=bool)
    if y.all() or not y.any():
        raise UsageError(
            found="an outcome that is the same in every row" if len(y) else "no rows",
            expected="customers who left and customers who stayed",
            do="choose earlier snapshots or a longer horizon",
        )
    numbers = _numeric(features)
    # One order of the rows, whatever the order they came in: sums of doubles depend on it.
    order = np.lexsort((y, *numbers.to_numpy().T))
    numbers, y = numbers.iloc[order], y[order]
    centre, spread = numbers.mean().to_numpy(), numbers.std(ddof=0).to_numpy()
    # Equal numbers leave a rounding error for a spread.
    varies = spread > 1e-12 * np.maximum(1, np.abs(np.nan_to_num(centre)))
    columns = tuple(numbers.columns[varies])
    if not columns:
        raise UsageError(found="features without any spread", expected="features that differ", do="add features")
    design = np.nan_to_num((numbers.to_numpy()[:, varies] - centre[varies]) / spread[varies], nan=0.0)
    fitted = LogisticRegression(C=1 / _PENALTY, solver="newton-cholesky", tol=1e-10).fit(design, y)
    coefficients, intercept = fitted.coef_[0], float(fitted.intercept_[0])
    return ChurnModel(
        columns,
        centre[varies],
        spread[varies],
        intercept,
        coefficients,
        _covariance(design, special.expit(intercept + design @ coefficients)),
        len(y),
        int(y.sum()),
    )


def _numeric(features: pd.DataFrame) -> pd.DataFrame:
    chosen = features.drop(columns=[name for name in KEYS if name in features])
    texts = [str(name) for name in chosen if not pd.api.types.is_numeric_dtype(chosen[name])]
    numbers = chosen.drop(columns=texts).astype(float)
    if texts or np.isinf(numbers.to_numpy()).any():
        raise UsageError(
            found=f"features that are not numbers: {listed(texts)}" if texts else "infinite features",
            expected="finite numbers, true or false, or missing",
            do="turn categories into one column of 0 and 1 per level",
        )
    return _with_missing(numbers, [str(name) + MISSING for name in numbers if numbers[name].isna().any()])


def _with_missing(features: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Add the indicators among `columns` that are not there yet."""
    absent = [
        name
        for name in columns
        if name not in features and name.endswith(MISSING) and name.removesuffix(MISSING) in features
    ]
    return features.assign(**{name: features[name.removesuffix(MISSING)].isna().astype(float) for name in absent})


def _covariance(design: Array, risk: Array) -> Array:
    full = np.column_stack([np.ones(len(design)), design])
    penalty = np.diag(np.r_[0.0, np.full(design.shape[1], _PENALTY)])
    hessian = (full * (risk * (1 - risk))[:, None]).T @ full + penalty
    return np.asarray(linalg.cho_solve(linalg.cho_factor(hessian), np.eye(len(hessian))))


def explain(model: ChurnModel, confidence: float = 0.95) -> pd.DataFrame:
    """Return what each feature adds to the risk, strongest first.

    Returns
    -------
    DataFrame
        One row per feature: `feature`, `mean` and `sd` of the known values in training, `odds_ratio` per standard
        deviation with `ci_low` and `ci_high`, `n`, `method`. The intervals are normal on the log scale, from the
        inverse Hessian of the penalised likelihood (Laplace approximation of the posterior). Rows of one customer at
        several instants count as independent, which holds because training horizons do not overlap (Allison 1982,
        Sociological Methodology 13:61-98). Each ratio holds the other features fixed: association, not cause.
    """
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(np.diag(model.covariance)[1:])
    table = pd.DataFrame(
        {
            "feature": model.columns,
            "mean": model.centre,
            "sd": model.spread,
            "odds_ratio": np.exp(model.coefficients),
            "ci_low": np.exp(model.coefficients - half),
            "ci_high": np.exp(model.coefficients + half),
            "n": model.n,
            "method": "penalised likelihood, inverse Hessian",
        }
    )
    strength = pd.Series(-np.abs(model.coefficients).round(12))
    return (
        table.assign(strength=strength).sort_values(["strength", "feature"], ignore_index=True).drop(columns="strength")
    )


# --- judgement -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """How a model did on rows it had not seen.

    Attributes
    ----------
    figures
        Indexed by figure: `value`, `ci_low`, `ci_high`, `n`, `method`. `auc`; `brier` and `brier_gain` over giving
        everybody the training's rate; `calibration_slope` (1 is right; below 1 the risks are too extreme),
        `calibration_intercept` (0 is right; above 0 too low), `observed_to_expected` leavers; `capture`, the share of
        all leavers in the tenth with the highest risk, and `lift`, their rate there over the overall rate; with a
        baseline, `baseline_auc` and `auc_gain`.
    reliability
        One row per tenth of the risk (fewer where risks are equal): `n`, `expected` and `observed` share of leavers,
        `ci_low`, `ci_high` (Wilson).
    n, events
        Rows and leavers.
    """

    figures: pd.DataFrame
    reliability: pd.DataFrame
    n: int
    events: int


class _Figure(NamedTuple):
    value: float
    ci_low: float
    ci_high: float
    method: str


_UNKNOWN = (np.nan, np.nan, np.nan)


def judge(
    model: ChurnModel,
    features: pd.DataFrame,
    outcome: pd.Series,
    baseline: ChurnModel | None = None,
    confidence: float = 0.95,
) -> Judgement:
    """Judge a model on later rows, one per customer, with both outcomes among them.

    `baseline` is a simpler model of the same outcome. Figures that the rows cannot give are NaN.

    Raises `UsageError` where only one outcome occurs.
    """
    y = outcome.to_numpy(dtype=bool)
    if y.all() or not y.any():
        raise UsageError(
            found="no rows to judge by" if not len(y) else "later rows with one outcome only",
            expected="customers who left and customers who stayed",
            do="judge on a longer period",
        )
    risk = model.risk(features)
    simple = baseline.risk(features) if baseline else np.zeros(len(y))
    order = np.lexsort((simple, y, risk))
    y, risk, simple = y[order], risk[order], simple[order]
    figures = {"auc": auc(y, risk, confidence), **_brier(y, risk, model.events / model.n, confidence)}
    figures |= _calibration(y, risk, confidence) | _top_tenth(y, risk, confidence)
    if baseline:
        figures |= {"baseline_auc": auc(y, simple, confidence), "auc_gain": _auc_gain(y, risk, simple, confidence)}
    table = pd.DataFrame.from_dict(figures, orient="index", columns=_Figure._fields).rename_axis("figure")
    table.insert(3, "n", len(y))
    return Judgement(table, _reliability(y, risk, confidence), len(y), int(y.sum()))


def auc(outcome: npt.NDArray[np.bool_], risk: Array, confidence: float) -> _Figure:
    """Return the chance that a leaver's risk exceeds a stayer's, ties counting half, with its interval.

    Variance by DeLong, DeLong and Clarke-Pearson (1988, Biometrics 44:837-845), interval normal on the logit scale.
    There is no interval where either side has one row or where the risks separate the outcomes perfectly.

    >>> auc(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8]), 0.95).value
    0.75
    """
    cases, controls = _placements(outcome, risk)
    value, variance = float(cases.mean()), _placement_covariance((cases, controls), (cases, controls))
    method = "DeLong, logit"
    if not (0 < value < 1 and variance > 0):
        return _Figure(value, np.nan, np.nan, method)
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance) / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-half, half]))
    return _Figure(value, float(low), float(high), method)


def _auc_gain(outcome: npt.NDArray[np.bool_], risk: Array, simple: Array, confidence: float) -> _Figure:
    one, other = _placements(outcome, risk), _placements(outcome, simple)
    gain = float(one[0].mean() - other[0].mean())
    variance = (
        _placement_covariance(one, one) + _placement_covariance(other, other) - 2 * _placement_covariance(one, other)
    )
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance) if variance > 0 else np.nan
    return _Figure(gain, gain - half, gain + half, "paired DeLong")


def _placements(outcome: npt.NDArray[np.bool_], risk: Array) -> tuple[Array, Array]:
    """Return, per leaver, the share of stayers below, and, per stayer, the share of leavers above (Sun and Xu 2014)."""
    ranks = stats.rankdata(risk)
    cases = (ranks[outcome] - stats.rankdata(risk[outcome])) / (~outcome).sum()
    controls = 1 - (ranks[~outcome] - stats.rankdata(risk[~outcome])) / outcome.sum()
    return cases, controls


def _placement_covariance(one: tuple[Array, Array], other: tuple[Array, Array]) -> float:
    if min(len(side) for side in one) < 2:  # noqa: PLR2004 - spread needs two rows on either side
        return np.nan
    return sum(float(np.cov(a, b)[0, 1]) / len(a) for a, b in zip(one, other, strict=True))


def _brier(y: npt.NDArray[np.bool_], risk: Array, rate: float, confidence: float) -> dict[str, _Figure]:
    loss = (risk - y) ** 2
    return {"brier": _mean(loss, confidence), "brier_gain": _mean((rate - y) ** 2 - loss, confidence)}


def _mean(values: Array, confidence: float) -> _Figure:
    n = np.array([float(len(values))])
    se = np.array([values.std(ddof=1) / np.sqrt(len(values))])
    se[se == 0] = np.nan
    low, high = mean_interval(values.mean(), se, n - 1, confidence)
    return _Figure(float(values.mean()), low.item(), high.item(), "mean over customers, t")


def _calibration(y: npt.NDArray[np.bool_], risk: Array, confidence: float) -> dict[str, _Figure]:
    """Regress the outcome on the log odds of the risk (Cox 1958, Biometrika 45:562-565)."""
    score, ones = special.logit(np.clip(risk, 1e-12, 1 - 1e-12)), np.ones(len(y))
    share, expected = float(y.mean()), float(risk.mean())
    low, high = share_interval(y.sum(keepdims=True).astype(float), np.array([float(len(y))]), _z(confidence))
    # The slope is finite where the risks of leavers and stayers overlap (Albert and Anderson 1984, Biometrika 71:1-10).
    overlaps = risk[y].min() < risk[~y].max() and risk[~y].min() < risk[y].max()
    slope = _coefficient(y, np.column_stack([score, ones]), None, confidence) if overlaps else _UNKNOWN
    return {
        "calibration_slope": _Figure(*slope, "logistic regression"),
        "calibration_intercept": _Figure(*_coefficient(y, ones, score, confidence), "logistic regression, offset"),
        "observed_to_expected": _Figure(
            share / expected, low.item() / expected, high.item() / expected, "Wilson over the expected share"
        ),
    }


def _coefficient(
    y: npt.NDArray[np.bool_], design: Array, offset: Array | None, confidence: float
) -> tuple[float, float, float]:
    """Return the first coefficient of a logistic regression and its interval."""
    import statsmodels.api as sm

    fitted = sm.GLM(y.astype(float), design, family=sm.families.Binomial(), offset=offset).fit()
    low, high = fitted.conf_int(alpha=1 - confidence)[0]
    return float(fitted.params[0]), float(low), float(high)


def _top_tenth(y: npt.NDArray[np.bool_], risk: Array, confidence: float) -> dict[str, _Figure]:
    """Capture and lift; customers on the border with equal risks count by the part of them that is inside."""
    size = int(np.ceil(len(y) / _BINS))
    border = np.sort(risk)[-size]
    above, on = risk > border, risk == border
    captured = y[above].sum() + y[on].mean() * (size - above.sum())
    low, high = share_interval(np.array([captured]), np.array([float(y.sum())]), _z(confidence))
    capture, share = captured / y.sum(), size / len(y)
    return {
        "capture": _Figure(float(capture), low.item(), high.item(), "Wilson over the leavers"),
        "lift": _Figure(float(capture / share), low.item() / share, high.item() / share, "capture over its share"),
    }


def _reliability(y: npt.NDArray[np.bool_], risk: Array, confidence: float) -> pd.DataFrame:
    edges = np.quantile(risk, np.linspace(0, 1, _BINS + 1)[1:-1])
    bins = pd.DataFrame({"bin": np.searchsorted(np.unique(edges), risk, side="left"), "risk": risk, "y": y})
    table = bins.groupby("bin").agg(n=("y", "size"), expected=("risk", "mean"), observed=("y", "mean"))
    n = table["n"].to_numpy(dtype=float)
    low, high = share_interval(table["observed"].to_numpy() * n, n, _z(confidence))
    table = table.assign(ci_low=low, ci_high=high).reset_index(drop=True)
    return table.rename_axis("bin").rename(index=lambda number: number + 1).reset_index()


def _z(confidence: float) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2))


# --- training ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A trained model, what a later period says of it, and whether it may be used.

    Attributes
    ----------
    verdict
        "usable", or "no usable model: " and every reason.
    model, judgement
        `None` where there were too few leavers to train or to judge.
    trained_at, judged_at
        The snapshots.
    horizon_days
        Within how many days after a snapshot a customer counts as a leaver.
    notes
        What a reader should know besides.
    """

    verdict: str
    model: ChurnModel | None
    judgement: Judgement | None
    trained_at: tuple[pd.Timestamp, ...]
    judged_at: pd.Timestamp
    horizon_days: int
    notes: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether a list may be made."""
        return self.verdict == USABLE


def train(panel: pd.DataFrame, horizon_days: int, confidence: float = 0.95) -> Training:
    """Train on earlier snapshots and judge on the latest one.

    Parameters
    ----------
    panel
        What `panel` returned for the same horizon, or any frame with `customer_id`, `at`, `ended` and features.

    The latest snapshot is the judge. Going back from it, every snapshot at least a horizon before the one taken last
    is used for training, so no two outcome windows overlap and nobody's departure counts twice.

    A model is not usable when fewer than 50 leavers train it or 20 judge it, when the interval of its AUC does not lie
    above .5, when it separates the outcomes perfectly (a feature then knows the future), or when the calibration slope
    or observed over expected leavers lies outside 0.5 to 2.
    """
    _demand(panel, KEYS, "a panel")
    trained_at, judged_at = _split(panel["at"], horizon_days)
    seen, later = panel[panel["at"].isin(trained_at)], panel[panel["at"] == judged_at]
    too_few = [
        f"{events} customers left in {part}, fewer than {least}"
        for part, events, least in (
            ("training", int(seen["ended"].sum()), MINIMUM_TRAINING_EVENTS),
            ("the later period", int(later["ended"].sum()), MINIMUM_TEST_EVENTS),
        )
        if events < least
    ]
    too_few += [
        f"nobody stayed in {part}"
        for part, rows in (("training", seen), ("the later period", later))
        if len(rows) and rows["ended"].all()
    ]
    if too_few:
        return Training(_refused(too_few), None, None, trained_at, judged_at, horizon_days)
    model = fit(seen, seen["ended"])
    baseline = fit(seen[["tenure_days"]], seen["ended"]) if _varies(seen, "tenure_days") else None
    judgement = judge(model, later, later["ended"], baseline, confidence)
    faults = _faults(judgement.figures)
    notes = (
        ("no better than tenure alone, as far as the later period can tell",)
        if baseline and not judgement.figures["ci_low"]["auc_gain"] > 0
        else ()
    )
    verdict = _refused(faults) if faults else USABLE
    return Training(verdict, model, judgement, trained_at, judged_at, horizon_days, notes)


def _split(at: pd.Series, horizon_days: int) -> tuple[tuple[pd.Timestamp, ...], pd.Timestamp]:
    if at.empty:
        raise UsageError(found="a panel without rows", expected="customers at snapshots", do="choose other snapshots")
    judged_at, *earlier = sorted(at.unique(), reverse=True)
    taken = [judged_at]
    for snapshot in earlier:
        if snapshot + horizon_days * _DAY <= taken[-1]:
            taken.append(snapshot)
    return tuple(sorted(taken[1:])), judged_at


def _varies(rows: pd.DataFrame, column: str) -> bool:
    return column in rows and rows[column].dropna().unique().size > 1


def _faults(figures: pd.DataFrame) -> list[str]:
    low, high = CALIBRATION_BOUNDS
    area, slope, ratio = figures["value"].reindex(["auc", "calibration_slope", "observed_to_expected"])
    if area == 1:
        return ["it separates leavers from stayers perfectly, so a feature must know the future"]
    faults = []
    if not figures["ci_low"]["auc"] > 0.5:  # noqa: PLR2004 - chance
        faults.append("it does not tell leavers from stayers better than chance")
    if not low <= slope <= high:
        faults.append("its calibration slope is far from 1")
    if not low <= ratio <= high:
        faults.append("it expects far more or far fewer leavers than there were")
    return faults


def _refused(reasons: Sequence[str]) -> str:
    return "no usable model: " + "; ".join(reasons)


# --- the list ------------------------------------------------------------------------------------


def risk_list(training: Training, features: pd.DataFrame, top: int = 100, confidence: float = 0.95) -> pd.DataFrame:
    """Return the customers to call first.

    Parameters
    ----------
    features
        What `features` returned for today, one row per customer.
    top
        At most so many customers.

    Returns
    -------
    DataFrame
        One row per customer, the highest expected loss first, equals by `customer_id`: `rank`, `customer_id`, `risk`
        with `risk_ci_low` and `risk_ci_high` (of the model's coefficients), `monthly_value`, `expected_loss` = risk x
        monthly value x months of the horizon, and `reason_1` to `reason_3`: what raises the risk most above the mean
        customer's. A customer without a monthly value ranks as if it were the median one and shows no loss; where
        nobody has one, the risk alone ranks.

    Raises `UsageError` when the model is not usable.
    """
    model = training.model
    if model is None or not training.is_usable:
        raise UsageError(
            found=training.verdict, expected="a usable model", do="show the verdict; make no list from this model"
        )
    design = model.standardised(features)
    low, risk, high = _risk_interval(model, design, confidence)
    value = features["monthly_value"] if "monthly_value" in features else pd.Series(np.nan, features.index)
    assumed = value.fillna(value.median()).fillna(1.0) if value.notna().any() else 1.0
    loss = risk * training.horizon_days / _DAYS_IN_MONTH
    table = pd.DataFrame(
        {
            "customer_id": features["customer_id"],
            "risk": risk,
            "risk_ci_low": low,
            "risk_ci_high": high,
            "monthly_value": value.astype(float),
            "expected_loss": loss * value.astype(float),
            # Rounded, so that the last bit of a double does not rank equal customers.
            "priority": (loss * assumed).round(9),
            "place": np.arange(len(features)),
        }
    )
    first = table.sort_values(["priority", "customer_id"], ascending=[False, True], ignore_index=True).head(top)
    chosen = first["place"].to_numpy()
    reasons = _reasons(model, design[chosen], features.iloc[chosen])
    listing = first.drop(columns=["priority", "place"]).join(reasons)
    listing.insert(0, "rank", np.arange(1, len(listing) + 1))
    return listing


def _risk_interval(model: ChurnModel, design: Array, confidence: float) -> tuple[Array, Array, Array]:
    full = np.column_stack([np.ones(len(design)), design])
    half = _z(confidence) * np.sqrt(np.einsum("ij,jk,ik->i", full, model.covariance, full))
    middle = model.intercept + design @ model.coefficients
    low, risk, high = (special.expit(log_odds) for log_odds in (middle - half, middle, middle + half))
    return low, risk, high


def _reasons(model: ChurnModel, design: Array, features: pd.DataFrame, count: int = 3) -> pd.DataFrame:
    """Name the features that add most to the log odds; a value and its indicator are one feature."""
    names = [name.removesuffix(MISSING) for name in model.columns]
    parts = pd.DataFrame(design * model.coefficients, columns=names).T.groupby(level=0).sum().T
    contributions, words = parts.to_numpy(), []
    ranked = np.argsort(-contributions.round(12), axis=1, kind="stable")[:, :count]
    for row, columns in enumerate(ranked):
        said = [
            _said(name, features[name].iloc[row]) for name in parts.columns[columns[contributions[row, columns] > 0]]
        ]
        words.append([*said, *[None] * (count - len(said))])
    return pd.DataFrame(words, columns=[f"reason_{i + 1}" for i in range(count)], dtype=object)


def _counted(singular: str, plural: str) -> Callable[[float], str]:
    return lambda value: f"{value:g} {singular if value == 1 else plural}"


def _scored(name: str) -> Callable[[float], str]:
    return lambda value: f"last {name} score {value:g}"


_SCORE_NAMES = dict(zip(METRICS, ("NPS", "CSAT", "effort (v1)", "effort (v2)"), strict=True))
_WORDS: dict[str, Callable[[float], str]] = {
    "tenure_days": lambda value: f"a customer for {value:.0f} days",
    "monthly_value": lambda value: f"pays {value:,.2f} a month",
    "surveys_answered": _counted("recent survey answered", "recent surveys answered"),
    "tickets_30_days": _counted("support case in 30 days", "support cases in 30 days"),
    "tickets_90_days": _counted("support case in 90 days", "support cases in 90 days"),
    "open_tickets": _counted("open support case", "open support cases"),
    "reopens": _counted("reopening of a support case", "reopenings of support cases"),
    "slow_replies": _counted("slow reply to a support case", "slow replies to support cases"),
    "orders": _counted("recent order", "recent orders"),
    "days_since_order": lambda value: f"last order {value:.0f} days ago",
    "amount_change": lambda value: (
        f"spent {abs(value):,.2f} {'more' if value > 0 else 'less'} than in the months before"
    ),
    **{f"last_{metric}": _scored(name) for metric, name in _SCORE_NAMES.items()},
}
_WORDS_FOR_NONE = {
    "monthly_value": "no known monthly value",
    "days_since_order": "no recent order",
    **{f"last_{metric}": f"no recent {name} answer" for metric, name in _SCORE_NAMES.items()},
}


def _said(feature: str, value: float) -> str:
    plain = feature.replace("_", " ")
    if pd.isna(value):
        return _WORDS_FOR_NONE.get(feature, f"no {plain}")
    return _WORDS[feature](value) if feature in _WORDS else f"{plain} {value:g}"
