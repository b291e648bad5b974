"""What customers are worth: recency and frequency of orders, BG/NBD, Gamma-Gamma and customer lifetime value.

For customers without a contract, whose leaving is never seen. Money is in the dataset's currency; rates of the models
are per unit of time of the frame they were fitted to (`rfm`: weeks or days).
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import astuple, dataclass
from datetime import date
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special, stats

from cxreport.errors import UsageError
from cxreport.measure.cohorts import Flags, check_columns, is_whole, local_days, refuse
from cxreport.measure.intervals import Array

Unit = Literal["day", "week"]
Numbers = float | Sequence[float] | Array | pd.Series

_DAYS_IN: dict[Unit, int] = {"day": 1, "week": 7}
_DAYS_PER_MONTH = 365.25 / 12
MINIMUM_REPEAT_BUYERS = 30
# Logarithms of parameters, with time and money in units of their means; at the ends the likelihood has no maximum,
_REACH = 12.0
# but for those ends of the BG/NBD's `a` and `b` (parameter, side) that are a model of their own: its drop-out varies no
# more among customers. So far out, the likelihood per customer is that of the limit.
_SAME_DROP_OUT = frozenset({("a", -1), ("a", 1), ("b", 1)})
# From this `a` on, the drop-out probabilities of customers are so close to each other that two stand for all.
_NARROW = 100.0
# Where the formula divides zero by zero, it is evaluated this far beside it.
_NUDGE = 1e-6

Likelihood = Callable[[Array], tuple[float, Array]]


# --- orders --------------------------------------------------------------------------------------


def rfm(orders: pd.DataFrame, as_of: date, *, unit: Unit = "week") -> pd.DataFrame:
    """Summarise orders per customer as BG/NBD and Gamma-Gamma need them (Fader, Hardie and Lee 2005).

    Parameters
    ----------
    orders
        One row per order or order line: `customer_id`, `ordered_at` (days or local times), `amount`. Orders of one
        day are one purchase. A negative amount is a refund: no purchase of its own, it reduces the customer's latest
        purchase until then, to no less than 0; a refund without one is left out. An amount of 0 is a purchase.
    as_of
        The last day of observation; later orders are left out, and so is who first bought later.
    unit
        Unit of `recency` and `T`.

    Returns
    -------
    DataFrame
        One row per customer, sorted: `customer_id`, `frequency` (purchases after the first, on distinct days),
        `recency` (time from first to last purchase), `T` (time from first purchase to `as_of`), `monetary_value` (mean
        amount of the purchases after the first; NaN without any).

    Raises
    ------
    UsageError
        For missing columns, or orders without a customer, a date or an amount.

    >>> days = pd.to_datetime(["2026-01-01", "2026-01-08", "2026-01-15", "2026-01-15"])
    >>> orders = pd.DataFrame({"customer_id": "a", "ordered_at": days, "amount": [9.0, 20.0, 30.0, 10.0]})
    >>> rfm(orders, date(2026, 1, 29)).to_dict("records")
    [{'customer_id': 'a', 'frequency': 2, 'recency': 2.0, 'T': 4.0, 'monetary_value': 30.0}]
    """
    purchases = _purchases(_checked_orders(orders), as_of)
    by_customer = purchases.groupby("customer_id")["day"]
    first, last = by_customer.min(), by_customer.max()
    is_repeat = purchases["day"] > by_customer.transform("min")
    summary = pd.DataFrame(
        {
            "frequency": by_customer.size() - 1,
            "recency": (last - first).dt.days / _DAYS_IN[unit],
            "T": (pd.Timestamp(as_of) - first).dt.days / _DAYS_IN[unit],
            "monetary_value": purchases[is_repeat].groupby("customer_id")["amount"].mean(),
        }
    )
    return summary.rename_axis("customer_id").reset_index()


def historic_value(orders: pd.DataFrame, margin: float, *, as_of: date | None = None) -> pd.DataFrame:
    """Return what each customer has brought so far: `customer_id`, `purchases`, `revenue`, `value`.

    Takes what `rfm` takes. `revenue` is net of all refunds, `value` is revenue times `margin` (0-1), not discounted;
    `purchases` counts days with an order. Raises `UsageError` as `rfm` does, and for a margin outside 0 to 1.
    """
    _check_number("margin", margin, 0, 1)
    rows = _checked_orders(orders)
    if as_of is not None:
        rows = rows[rows["day"] <= pd.Timestamp(as_of)]
    days = rows[rows["amount"] >= 0].groupby("customer_id")["day"].nunique()
    revenue = rows.groupby("customer_id")["amount"].sum()
    value = pd.DataFrame({"purchases": days.reindex(revenue.index, fill_value=0), "revenue": revenue})
    return value.assign(value=margin * revenue).rename_axis("customer_id").reset_index()


def _checked_orders(orders: pd.DataFrame) -> pd.DataFrame:
    """Return `customer_id`, `day`, `amount`, in an order that does not depend on that of the rows."""
    check_columns(orders, ["customer_id", "ordered_at", "amount"])
    rows = pd.DataFrame(
        {
            "customer_id": orders["customer_id"],
            "day": local_days(orders["ordered_at"]),
            "amount": pd.to_numeric(orders["amount"], errors="coerce").astype(float),
        }
    )
    faults = {
        "without a customer": rows["customer_id"].isna(),
        "without a date": rows["day"].isna(),
        "without an amount": ~np.isfinite(rows["amount"]),
    }
    refuse(faults, "orders", expected="a customer, a date and an amount in every row")
    ordered: pd.DataFrame = rows.sort_values(["customer_id", "day", "amount"], ignore_index=True)
    return ordered


def _purchases(rows: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Return one row per customer and day of purchase with its amount net of refunds."""
    rows = rows[rows["day"] <= pd.Timestamp(as_of)]
    # Purchases of a day come before its refunds.
    rows = rows.assign(is_refund=rows["amount"] < 0).sort_values(["customer_id", "day", "is_refund"], kind="stable")
    rows["day"] = rows["day"].mask(rows["is_refund"]).groupby(rows["customer_id"]).ffill()
    net = rows.groupby(["customer_id", "day"])["amount"].sum().clip(lower=0)
    return net.reset_index()


# --- how often they buy, and whether they still do -----------------------------------------------


@dataclass(frozen=True)
class BgNbd:
    """Beta-geometric/NBD model of repeat purchases (Fader, Hardie and Lee 2005, Marketing Science 24:275-284).

    While active, a customer buys at a rate that varies as Gamma(`r`, `alpha`); after each purchase they leave with a
    probability that varies as Beta(`a`, `b`). In all methods `x` is the number of repeat purchases, `t_x` the recency,
    `T` the time under observation, as `rfm` returns them.

    >>> model = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> round(float(model.expected_purchases(39, x=2, t_x=30.43, T=38.86)), 3)
    1.226
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, rfm: pd.DataFrame, start: Self | None = None) -> Self:
        """Fit by maximum likelihood.

        Where customers do not differ in how likely they leave after a purchase, or nobody leaves, the likelihood rises
        without end with `b`, or as `a` shrinks. It then has a limit, one drop-out probability of `a / (a + b)` for all,
        and the model is taken there: its `a` and `b` say no more than their ratio.

        Parameters
        ----------
        rfm
            One row per customer with `frequency`, `recency`, `T`.
        start
            A model to start from, for refits of similar data.

        Raises
        ------
        UsageError
            For impossible rows, fewer than 30 customers with a repeat purchase, or data whose likelihood has neither
            a maximum nor that limit.
        """
        rows = _checked_rfm(rfm)
        _check_repeat_buyers(int((rows["frequency"] > 0).sum()))
        counted = rows.groupby(["frequency", "recency", "T"], as_index=False).size()
        x, t_x, t, size = (counted[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T", "size"))
        scale = float(np.average(t, weights=size))
        history = _Repeated(x), _Repeated(t_x / scale), _Repeated(t / scale)

        def likelihood(parameters: Array) -> tuple[float, Array]:
            values, gradient = _bgnbd_log_likelihood(parameters, *history)
            return float(size @ values) / size.sum(), gradient @ size / size.sum()

        first = np.array([start.r, start.alpha / scale, start.a, start.b] if start else [0.5, 0.5, 1.0, 2.0])
        r, alpha, a, b = _maximise(likelihood, first, "BG/NBD", ("r", "alpha", "a", "b"), _SAME_DROP_OUT)
        return cls(r, alpha * scale, a, b)

    def log_likelihood(self, rfm: pd.DataFrame) -> float:
        """Return the log-likelihood of customers with `frequency`, `recency`, `T`."""
        rows = _checked_rfm(rfm)
        history = (_Repeated(rows[name].to_numpy(dtype=float)) for name in ("frequency", "recency", "T"))
        return float(_bgnbd_log_likelihood(np.array(astuple(self)), *history)[0].sum())

    def p_alive(self, x: Numbers, t_x: Numbers, T: Numbers) -> Array:  # noqa: N803 - the literature's symbol
        """Return the probability (0-1) that a customer is still active at `T`.

        It is 1 for every customer without a repeat purchase, because the model lets nobody leave before one.
        """
        x, t_x, t = (np.asarray(values, dtype=float) for values in (x, t_x, T))
        odds = np.log(self.a / (self.b + np.maximum(x, 1) - 1))
        odds = odds + (self.r + x) * (np.log(self.alpha + t) - np.log(self.alpha + t_x))
        alive: Array = np.where(x > 0, special.expit(-odds), 1.0)
        return alive

    def expected_purchases(self, t: Numbers, x: Numbers = 0.0, t_x: Numbers = 0.0, T: Numbers = 0.0) -> Array:  # noqa: N803
        """Return how many purchases to expect in the time `t` after `T`; without a history, from a new customer.

        Equation 10 of Fader, Hardie and Lee (2005), with Euler's transformation of the hypergeometric function, which
        keeps it finite for customers with many purchases.
        """
        x, t_x, T, t = (np.asarray(values, dtype=float) for values in (x, t_x, T, t))  # noqa: N806
        purchases = self._narrow_purchases if self.a > _NARROW else self._active_purchases
        expected: Array = purchases(t, x, T) * self.p_alive(x, t_x, T)
        return expected

    def _active_purchases(self, t: Array, x: Array, T: Array) -> Array:  # noqa: N803
        """Return what to expect from a customer who is active at `T`."""
        a = self.a if abs(self.a - 1) > _NUDGE else 1 + _NUDGE
        c = a + self.b + x - 1
        c = np.where(np.abs(c) > _NUDGE, c, _NUDGE)
        z = t / (self.alpha + T + t)
        left = (1 - z) ** (a - 1) * special.hyp2f1(a + self.b - 1 - self.r, a - 1, c, z)
        purchases: Array = c / (a - 1) * (1 - left)
        return purchases

    def _narrow_purchases(self, t: Array, x: Array, T: Array) -> Array:  # noqa: N803
        """Return the same for a large `a`, whose powers no float holds: a mean over probabilities of leaving.

        The two probabilities, and their weights, are those of the Gauss quadrature: they have the mean, variance and
        skewness of Beta(`a`, `b + x`), what is known of an active customer's. The error falls as 1 / `a` squared.
        """
        leaving = stats.beta(self.a, self.b + x)
        mean, variance, skewness, _ = (np.asarray(moment) for moment in leaving.stats("mvsk"))
        half = np.sqrt(1 + (skewness / 2) ** 2)
        total = np.zeros(np.broadcast(t, x, T).shape)
        for side in (-1, 1):
            p = mean + np.sqrt(variance) * (skewness / 2 + side * half)
            weight = (1 - side * skewness / 2 / half) / 2
            total += weight * -np.expm1(-(self.r + x) * np.log1p(p * t / (self.alpha + T))) / p
        return total


class _Repeated:
    """Values that customers share: functions that take long are computed once for each different value."""

    def __init__(self, values: Array) -> None:
        self.each = values
        self.different, self.place = np.unique(values, return_inverse=True)

    def map(self, function: Callable[[Array], Array]) -> Array:
        """Return a function of each customer's value."""
        found: Array = function(self.different)[self.place]
        return found


def _bgnbd_log_likelihood(
    parameters: Array, frequency: _Repeated, recency: _Repeated, observed: _Repeated
) -> tuple[Array, Array]:
    """Return the log-likelihood per customer and its gradient (4 by customers), in logarithms throughout."""
    r, alpha, a, b = parameters
    x, t_x, t = frequency.each, recency.each, observed.each
    log_observed = observed.map(lambda t: np.log(alpha + t))
    log_recency = recency.map(lambda t_x: np.log(alpha + t_x))
    buying = frequency.map(lambda x: special.gammaln(r + x)) - special.gammaln(r) + r * np.log(alpha)
    staying = frequency.map(lambda x: special.betaln(a, b + x)) - special.betaln(a, b)
    active = -(r + x) * log_observed
    chances = b + np.maximum(x, 1) - 1
    gone = frequency.map(lambda x: np.log(a) - np.log(b + np.maximum(x, 1) - 1)) - (r + x) * log_recency
    gone = np.where(x > 0, gone, -np.inf)
    values = buying + staying + np.logaddexp(active, gone)
    is_gone = special.expit(gone - active)
    is_active = 1 - is_gone
    all_left = frequency.map(lambda x: special.psi(a + b) - special.psi(a + b + x))
    gradient = np.array(
        [
            frequency.map(lambda x: special.psi(r + x) - special.psi(r) + np.log(alpha))
            - is_active * log_observed
            - is_gone * log_recency,
            r / alpha - (r + x) * (is_active / (alpha + t) + is_gone / (alpha + t_x)),
            all_left + is_gone / a,
            all_left + frequency.map(lambda x: special.psi(b + x)) - special.psi(b) - is_gone / chances,
        ]
    )
    return values, gradient


# --- how much they spend -------------------------------------------------------------------------


@dataclass(frozen=True)
class GammaGamma:
    """Gamma-Gamma model of the amount per purchase (Fader and Hardie 2013, brucehardie.com note 025).

    Amounts vary around a customer's mean as a Gamma with shape `p`, whose rate varies as Gamma(`q`, `v`). The model
    supposes that how much and how often are unrelated: `correlation` is that of frequency and mean amount in the data.

    >>> model = GammaGamma(p=6.25, q=3.74, v=15.44)
    >>> model.expected_value([0, 2], [0, 22.35]).round(2).tolist()
    [35.22, 24.66]
    """

    p: float
    q: float
    v: float
    correlation: float = float("nan")

    @classmethod
    def fit(cls, rfm: pd.DataFrame, start: Self | None = None) -> Self:
        """Fit by maximum likelihood to customers with a repeat purchase and a positive `monetary_value`.

        Raises `UsageError` for impossible rows, fewer than 30 such customers, data whose likelihood has no maximum,
        and where the mean amount of a new customer would be infinite (`q` of at most 1).
        """
        rows = _checked_rfm(rfm)
        check_columns(rows, ["monetary_value"])
        rows = rows[(rows["frequency"] > 0) & (rows["monetary_value"] > 0)]
        _check_repeat_buyers(len(rows))
        x, amount = rows["frequency"].to_numpy(dtype=float), rows["monetary_value"].to_numpy(dtype=float)
        scale = float(amount.mean())
        frequency = _Repeated(x)

        def likelihood(parameters: Array) -> tuple[float, Array]:
            values, gradient = _gamma_gamma_log_likelihood(parameters, frequency, amount / scale)
            return float(values.mean()), gradient.mean(axis=1)

        first = np.array([start.p, start.q, start.v / scale] if start else [2.0, 3.0, 1.0])
        p, q, v = _maximise(likelihood, first, "Gamma-Gamma", ("p", "q", "v"))
        if q <= 1:
            raise UsageError(
                found="amounts so unequal that their mean among all customers has no bound",
                expected="a Gamma-Gamma model with `q` above 1",
                do="check the largest amounts, or leave bulk orders out",
            )
        has_spread = np.ptp(x) > 0 and np.ptp(amount) > 0
        return cls(p, q, v * scale, float(np.corrcoef(x, amount)[0, 1]) if has_spread else float("nan"))

    def expected_value(self, x: Numbers, monetary_value: Numbers) -> Array:
        """Return the mean amount per purchase to expect; without a repeat purchase, that of all customers."""
        x = np.asarray(x, dtype=float)
        spent = x * np.where(x > 0, np.asarray(monetary_value, dtype=float), 0.0)
        return (self.v + spent) * self.p / (self.p * x + self.q - 1)


def _gamma_gamma_log_likelihood(parameters: Array, frequency: _Repeated, amount: Array) -> tuple[Array, Array]:
    """Return the log-likelihood per customer and its gradient (3 by customers)."""
    p, q, v = parameters
    x = frequency.each
    shape, total = p * x, x * amount + v
    log_amount, log_x, log_total = np.log(amount), frequency.map(np.log), np.log(total)
    values = frequency.map(lambda x: special.gammaln(p * x + q) - special.gammaln(p * x) - special.gammaln(q))
    values = values + q * np.log(v) + (shape - 1) * log_amount + shape * log_x - (shape + q) * log_total
    together = frequency.map(lambda x: special.psi(p * x + q))
    gradient = np.array(
        [
            x * (together - frequency.map(lambda x: special.psi(p * x)) + log_amount + log_x - log_total),
            together - special.psi(q) + np.log(v) - log_total,
            q / v - (shape + q) / total,
        ]
    )
    return values, gradient


# --- what that is worth --------------------------------------------------------------------------


def clv(
    rfm: pd.DataFrame,
    bgnbd: BgNbd,
    gamma_gamma: GammaGamma,
    *,
    months: int,
    discount_rate_per_year: float,
    margin: float,
    unit: Unit = "week",
) -> pd.DataFrame:
    """Return the customer lifetime value of the coming months: expected purchases times amount times margin.

    Parameters
    ----------
    rfm
        One row per customer, as `rfm` returns it in the given `unit`; the models are fitted to that unit too.
    months
        How many months ahead; a month is a twelfth of 365.25 days.
    discount_rate_per_year
        Yearly rate, e.g. 0.1; what a month brings is discounted from its middle.
    margin
        Share of revenue that is margin (0-1).

    Returns
    -------
    DataFrame
        `customer_id`, `p_alive`, `expected_purchases`, `expected_value` (amount per purchase), `clv`, on the rows of
        `rfm`. What customers have brought already is no part of it.

    Raises
    ------
    UsageError
        For impossible rows, or months, a rate or a margin out of range.
    """
    _check_number("months", months, 1, np.inf)
    _check_number("discount_rate_per_year", discount_rate_per_year, 0, np.inf)
    _check_number("margin", margin, 0, 1)
    rows = _checked_rfm(rfm)
    x, t_x, t = (rows[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    # Customers with the same history expect the same.
    groups = rows.groupby(["frequency", "recency", "T"])
    place = groups.ngroup().to_numpy()
    first = np.unique(place, return_index=True)[1]
    history = np.column_stack([x, t_x, t])[first]
    ends = np.arange(1, months + 1)
    until = bgnbd.expected_purchases(ends[:, None] * _DAYS_PER_MONTH / _DAYS_IN[unit], *history.T)
    discount = (1 + discount_rate_per_year) ** -((ends - 0.5) / 12)
    discounted = discount @ np.diff(until, axis=0, prepend=0.0)
    value = gamma_gamma.expected_value(x, rows["monetary_value"])
    return pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "p_alive": bgnbd.p_alive(x, t_x, t),
            "expected_purchases": until[-1][place],
            "expected_value": value,
            "clv": margin * value * discounted[place],
        }
    )


class FittedInterval(NamedTuple):
    """A statistic of fitted models with its jackknife error and interval; NaN where they cannot be told."""

    value: float
    se: float
    ci_low: float
    ci_high: float
    note: str | None


def fit_interval(
    rfm: pd.DataFrame,
    statistic: Callable[[pd.DataFrame, BgNbd, GammaGamma], float],
    *,
    groups: int = 20,
    seed: int = 0,
    confidence: float = 0.95,
) -> FittedInterval:
    """Return a statistic of both models, e.g. the mean `clv`, with the interval of a delete-a-group jackknife.

    Customers are dealt into groups by a hash of their id and the `seed`, whatever the order of rows; the models are
    refitted without each group in turn, and the spread of the results gives the error, with Student's t on
    `groups - 1` degrees of freedom (Kott 2001, Journal of Official Statistics 17:521-526). Where all results are
    positive it works on their logarithms, because values are skewed. It covers the uncertainty of the parameters and
    of who happens to be a customer; not that the models may be wrong.

    Parameters
    ----------
    statistic
        Computes the figure from customers and the models fitted to them.

    Raises
    ------
    UsageError
        Where the models cannot be fitted to all customers. Where they cannot without one of the groups, the figure has
        no interval, and `note` says so.
    """
    bgnbd, gamma_gamma = BgNbd.fit(rfm), GammaGamma.fit(rfm)
    value = float(statistic(rfm, bgnbd, gamma_gamma))
    group = _dealt(rfm["customer_id"], groups, seed)
    try:
        refits = [
            statistic(rest, BgNbd.fit(rest, bgnbd), GammaGamma.fit(rest, gamma_gamma))
            for rest in (rfm[group != number] for number in range(groups))
        ]
    except UsageError:
        return FittedInterval(value, np.nan, np.nan, np.nan, "no interval: too few customers to fit parts of them")
    t = float(stats.t.isf((1 - confidence) / 2, groups - 1))
    se = _jackknife_se(refits)
    if min(value, *refits) > 0:
        factor = float(np.exp(t * _jackknife_se(np.log(refits))))
        return FittedInterval(value, se, value / factor, value * factor, None)
    return FittedInterval(value, se, value - t * se, value + t * se, None)


def _jackknife_se(refits: Sequence[float] | Array) -> float:
    return float(np.sqrt((len(refits) - 1) * np.var(refits)))


def _dealt(ids: pd.Series, groups: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal customers into groups of equal size, in the order of a stable hash of their ids."""
    keys = pd.util.hash_pandas_object(ids.astype(str) + f"|{seed}", index=False)
    return keys.rank(method="first").to_numpy().astype(np.int64) % groups


# --- shared by the models ------------------------------------------------------------------------


def _maximise(
    likelihood: Likelihood,
    first: Array,
    model: str,
    names: Sequence[str],
    limits: AbstractSet[tuple[str, int]] = frozenset(),
) -> list[float]:
    """Return the positive parameters that maximise a mean log-likelihood, given with its gradient.

    `limits` are the ends, each the name of a parameter and a sign, at which it has a limit that may be the maximum.
    """

    def objective(logarithms: Array) -> tuple[float, Array]:
        parameters = np.exp(logarithms)
        value, gradient = likelihood(parameters)
        return -value, -gradient * parameters

    found: Any = optimize.minimize(
        objective,
        np.log(first),
        jac=True,
        method="SLSQP",
        bounds=[(-_REACH, _REACH)] * len(first),
        options={"maxiter": 1000, "ftol": 1e-15},
    )
    is_flat = np.abs(found.jac).max() < 1e-5  # noqa: PLR2004 - log-likelihood per customer and unit of the logarithm
    ends = {(name, np.sign(x)) for name, x in zip(names, found.x, strict=True) if abs(x) > _REACH - 1e-3}
    if not is_flat or not ends <= limits:
        raise UsageError(
            found=f"a likelihood of the {model} model without a maximum for these customers",
            expected="customers that differ in how often, how long and how much they buy",
            do="use more customers or a longer time, or `historic_value`",
        )
    return [float(parameter) for parameter in np.exp(found.x)]


def _checked_rfm(rows: pd.DataFrame) -> pd.DataFrame:
    check_columns(rows, ["frequency", "recency", "T"])
    x, t_x, t = (rows[name].astype(float) for name in ("frequency", "recency", "T"))
    faults: dict[str, Flags] = {
        "whose `frequency` is no whole number of 0 or more": ~is_whole(x),
        "whose `recency` is not between 0 and `T`": ~((t_x >= 0) & (t_x <= t) & np.isfinite(t)),
        "with a `recency` but no repeat purchase, or the reverse": (x > 0).ne(t_x > 0),
    }
    refuse(faults, "customers", expected="rows as `rfm` returns them")
    return rows


def _check_repeat_buyers(n: int) -> None:
    if n < MINIMUM_REPEAT_BUYERS:
        raise UsageError(
            found=f"{n} customers with a repeat purchase",
            expected=f"at least {MINIMUM_REPEAT_BUYERS} to fit a model to",
            do="use more customers or a longer time, or `historic_value`",
        )


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(
            found=f"`{name}` {value:g}",
            expected=f"a number from {low:g}" + (f" to {high:g}" if np.isfinite(high) else ""),
            do="correct it in the call",
        )
