"""The order list of the billing system."""

import numpy as np
import pandas as pd
from numpy.random import Generator

from cxreport.periods import Period
from cxreport.sample.chance import pick
from cxreport.sample.customers import active_in
from cxreport.sample.planted import months_since_first

ORDERS = 900  # a month, besides those of new customers
KINDS = {"repeat": 0.5, "upsell": 0.25, "cross_sell": 0.17, "refund": 0.08}

_TYPICAL_AMOUNT = 35  # dollars


def draw_orders(customers: pd.DataFrame, month: Period, rng: Generator) -> pd.DataFrame:
    """Return a month's orders, one row each; amounts are positive, `kind` says which are refunds."""
    first, after = pd.Timestamp(month.start), pd.Timestamp(month.end)
    joined = customers[customers.started.between(first, after, inclusive="left")]
    active = active_in(customers, month)
    buyers = active.iloc[rng.integers(len(active), size=ORDERS)]
    days = first + pd.to_timedelta(rng.integers((after - first).days, size=ORDERS), unit="D")
    orders = pd.DataFrame(
        {
            "customer_id": [*joined.customer_id, *buyers.customer_id],
            "ordered_at": [*joined.started, *days],
            "amount": [*joined.monthly_value, *rng.lognormal(np.log(_TYPICAL_AMOUNT), 0.5, ORDERS)],
            "currency": "USD",
            "kind": ["new"] * len(joined) + list(pick(rng, KINDS, ORDERS)),
        }
    ).sort_values(["ordered_at", "customer_id", "kind"], ignore_index=True, kind="stable")
    orders["amount"] = orders.amount.map("{:.2f}".format)
    number = months_since_first(month) * 100_000 + np.arange(1, len(orders) + 1)
    orders.insert(0, "order_id", [f"O{value:08d}" for value in number])
    return orders
