"""The billing system: what customers pay a month, and the order list."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator

from cxreport.periods import Period
from cxreport.sample.chance import pick
from cxreport.sample.customers import active_in
from cxreport.sample.planted import FIRST, LAST, months_since_first
from cxreport.sample.writing import write_csv

ORDERS_PER_CUSTOMER = 0.045  # a month, besides a first order and upgrades
KINDS = {"repeat": 0.68, "cross_sell": 0.23, "refund": 0.09}

_TYPICAL_AMOUNT = 38  # dollars
_AMOUNT_SHAPE = 6.0  # of the gamma distribution around a customer's own mean
_CHANGES = 0.018  # of the monthly value, per customer and month
_STEPS = {8: 0.3, 12: 0.25, 20: 0.15, -6: 0.2, -12: 0.1}  # dollars a month
_LEAST_VALUE = 19.99
_CANCELLABLE_AFTER = 30  # days
_MONTH = 365.25 / 12  # days


def draw_spells(customers: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """Return one row per customer and time with one monthly value, by customer and time.

    Columns: `customer_id`, `started`, `ended` (empty while it lasts), `value` and `step`, the change at its start.
    """
    opening, closing = np.datetime64(FIRST.start), np.datetime64(LAST.end)
    begin = np.maximum(customers.started.to_numpy(), opening) + np.timedelta64(_CANCELLABLE_AFTER, "D")
    end = customers.ended.fillna(pd.Timestamp(closing)).to_numpy()
    days = np.maximum((end - begin) / np.timedelta64(1, "D"), 0)
    changing = np.repeat(np.arange(len(customers)), rng.poisson(days / _MONTH * _CHANGES))
    at = begin[changing] + (rng.random(len(changing)) * days[changing]).astype("timedelta64[D]")
    changes = pd.DataFrame({"row": changing, "started": at, "step": pick(rng, _STEPS, len(changing))})
    first = pd.DataFrame({"row": np.arange(len(customers)), "started": customers.started.to_numpy(), "step": 0})
    spells = pd.concat([first, changes.drop_duplicates(["row", "started"])]).sort_values(["row", "started"])
    owner = customers.iloc[spells.row]
    value = owner.monthly_value.to_numpy() + spells.step.astype(float).groupby(spells.row).cumsum().to_numpy()
    following = spells.groupby("row").started.shift(-1).to_numpy()
    return pd.DataFrame(
        {
            "customer_id": owner.customer_id.to_numpy(),
            "started": spells.started.to_numpy(),
            "ended": np.where(np.isnat(following), owner.ended.to_numpy(), following),
            "value": np.maximum(value, _LEAST_VALUE),
            "step": spells.step.astype(int).to_numpy(),
        }
    )


def current_values(spells: pd.DataFrame) -> pd.Series:
    """Return each customer's last monthly value, in the order of the customers."""
    return spells.groupby("customer_id", sort=False).value.last().reset_index(drop=True)


def write_subscriptions(spells: pd.DataFrame, path: Path) -> Path:
    """Write all spells as one list, as it stands on the day of the export."""
    frame = pd.DataFrame(
        {
            "subscription_id": [f"B{number:06d}" for number in range(1, len(spells) + 1)],
            "customer_id": spells.customer_id,
            "valid_from": spells.started,
            "valid_to": spells.ended,
            "monthly_value": spells.value.map("{:.2f}".format),
        }
    )
    return write_csv(frame, path, dates="%Y-%m-%d")


def draw_orders(customers: pd.DataFrame, spells: pd.DataFrame, month: Period, rng: Generator) -> pd.DataFrame:
    """Return a month's orders, one row each; amounts are positive, `kind` says which are refunds.

    New customers order what they subscribe to, an upgrade is an order of the difference, and all else comes at the
    pace of each customer: a Poisson process with the customer's own rate and mean amount.
    """
    first, after = pd.Timestamp(month.start), pd.Timestamp(month.end)
    joined = customers[customers.started.between(first, after, inclusive="left")]
    upgraded = spells[spells.started.between(first, after, inclusive="left") & (spells.step > 0)]
    active = active_in(customers, month)
    buyers = active.loc[np.repeat(active.index, rng.poisson(active.appetite * ORDERS_PER_CUSTOMER))]
    n = len(buyers)
    bought = pd.DataFrame(
        {
            "customer_id": buyers.customer_id.to_numpy(),
            "ordered_at": first + pd.to_timedelta(rng.integers((after - first).days, size=n), unit="D"),
            "amount": _TYPICAL_AMOUNT * buyers.spending.to_numpy() * rng.gamma(_AMOUNT_SHAPE, 1 / _AMOUNT_SHAPE, n),
            "kind": pick(rng, KINDS, n),
        }
    )
    orders = pd.concat(
        [
            _orders(joined, "started", "monthly_value", "new"),
            _orders(upgraded, "started", "step", "upsell"),
            bought,
        ]
    ).sort_values(["ordered_at", "customer_id", "kind"], ignore_index=True, kind="stable")
    orders["amount"] = orders.amount.map("{:.2f}".format)
    orders.insert(3, "currency", "USD")
    number = months_since_first(month) * 100_000 + np.arange(1, len(orders) + 1)
    orders.insert(0, "order_id", [f"O{value:08d}" for value in number])
    return orders


def _orders(rows: pd.DataFrame, at: str, amount: str, kind: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": rows.customer_id.to_numpy(),
            "ordered_at": rows[at].to_numpy(),
            "amount": rows[amount].to_numpy(dtype=float),
            "kind": kind,
        }
    )
