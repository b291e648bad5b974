"""The customers, and the account export that lists them."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator

from cxreport.periods import Period
from cxreport.sample.chance import Array, codes, looked_up, pick
from cxreport.sample.planted import FIRST, LAST, PLANTED
from cxreport.sample.words import FIRST_NAMES, LAST_NAMES
from cxreport.sample.world import World
from cxreport.sample.writing import write_csv

CUSTOMERS = 30_000
REGIONS = {"north": 0.24, "east": 0.22, "south": 0.2, "west": 0.18, "central": 0.16}
PLANS = {"basic": 0.45, "plus": 0.37, "premium": 0.18}
PERSONAS = {"family": 0.4, "single": 0.3, "retired": 0.2, "home office": 0.1}
SPOKEN = {"en": 0.8, "es": 0.14, "zh": 0.05, "vi": 0.01}

_PRICE = {"basic": 44.99, "plus": 69.99, "premium": 109.99}
_JOINED_WITHIN = 0.35  # share of the customers who joined within the two years
_OLDEST_DAYS = 2900  # before the two years
_LEAST_STAY_DAYS = 30
_EARLY_DAYS = 365
_HIGHEST_EXTRA = 20  # dollars a month
_APPETITE, _SPENDING = 0.7, 6.0  # shapes of the gamma distributions
_RECORD_ID_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def draw_customers(rng: Generator, world: World) -> pd.DataFrame:
    """Return all customers of the two years, one row each, oldest first.

    `ended` is empty while they stay; `leaves` is the day on which they will leave one day, which nobody knows yet.
    Orders come at a customer's own pace (`appetite`, mean 1, gamma) and of a customer's own size (`spending`, mean 1,
    inverse gamma), as in the models of Fader, Hardie and Lee (2005).
    """
    opening, closing = np.datetime64(FIRST.start), np.datetime64(LAST.end)
    window = (closing - opening).astype(int)
    recent, place = rng.random(CUSTOMERS) < _JOINED_WITHIN, rng.random(CUSTOMERS)
    days_ago = np.where(recent, 1 + place * window, 1 + window + place * _OLDEST_DAYS).astype(int)
    started = np.sort(closing - days_ago)
    plan = pick(rng, PLANS, CUSTOMERS)
    since = np.maximum(started, opening)
    patience = rng.exponential(size=CUSTOMERS) * looked_up(plan, world.mean_stay_days)
    stay = _stay(patience, (since - started).astype(int), world.leaving_early)
    leaves = since + np.where(started < opening, 1, _LEAST_STAY_DAYS) + stay.astype(int)
    number = np.arange(1, CUSTOMERS + 1)
    return pd.DataFrame(
        {
            "number": number,
            "customer_id": [f"C{value:06d}" for value in number],
            "name": _names(rng),
            "started": started,
            "ended": np.where(leaves < closing, leaves, np.datetime64("NaT")),
            "leaves": leaves,
            "plan": plan,
            "region": pick(rng, REGIONS, CUSTOMERS),
            "persona": pick(rng, PERSONAS, CUSTOMERS),
            "speaks": pick(rng, SPOKEN, CUSTOMERS),
            "monthly_value": looked_up(plan, _PRICE) + rng.integers(_HIGHEST_EXTRA + 1, size=CUSTOMERS),
            "appetite": rng.gamma(_APPETITE, 1 / _APPETITE, size=CUSTOMERS),
            "spending": (_SPENDING - 1) / rng.gamma(_SPENDING, size=CUSTOMERS),
        }
    )


def active_in(customers: pd.DataFrame, month: Period) -> pd.DataFrame:
    """Return those who were customers from the first to the last day of a month."""
    first, after = pd.Timestamp(month.start), pd.Timestamp(month.end)
    return customers[(customers.started < first) & ~(customers.ended < after)]


def leaves_soon(customers: pd.DataFrame, month: Period) -> Array:
    """Return, as 1 and 0, who will leave within half a year after a month."""
    soon: Array = (customers.leaves < pd.Timestamp(month.end) + pd.Timedelta(days=PLANTED.leaving_days)).to_numpy()
    return soon.astype(float)


def write_accounts(customers: pd.DataFrame, path: Path, rng: Generator) -> Path:
    """Write an object export of Salesforce: API names, UTF-8 with BOM, LF, 18-character ids.

    `customers` state the `current_value` of what they pay a month.
    """
    exported = f"{LAST.end}T06:00:00.000+0000"
    start = customers.started.dt.strftime("%Y-%m-%d")
    frame = pd.DataFrame(
        {
            "Id": _with_suffixes(codes(rng, "001", 12, len(customers))),
            "IsDeleted": "false",
            "Name": customers.name,
            "Phone": [f"(312) 555-01{line:02d}" for line in rng.integers(100, size=len(customers))],
            "CreatedDate": start + "T15:00:00.000+0000",
            "LastModifiedDate": exported,
            "SystemModstamp": exported,
            "Customer_ID__c": customers.customer_id,
            "Plan__c": customers.plan,
            "Region__c": customers.region,
            "Persona__c": customers.persona,
            "Monthly_Value__c": customers.current_value.map("{:.2f}".format),
            "Start_Date__c": start,
            "End_Date__c": customers.ended.dt.strftime("%Y-%m-%d"),
        }
    )
    return write_csv(frame, path, line_end="\n", encoding="utf-8-sig")


def _stay(patience: Array, tenure: Array, leaving_early: float) -> Array:
    """Return days to stay: patience is used up faster within the first year."""
    early = np.maximum(_EARLY_DAYS - tenure, 0)
    return np.where(
        patience < leaving_early * early, patience / leaving_early, early + patience - leaving_early * early
    )


def _names(rng: Generator) -> list[str]:
    first = rng.integers(len(FIRST_NAMES), size=CUSTOMERS)
    last = rng.integers(len(LAST_NAMES), size=CUSTOMERS)
    return [f"{FIRST_NAMES[i]} {LAST_NAMES[j]}" for i, j in zip(first, last, strict=True)]


def _with_suffixes(shorts: list[str]) -> list[str]:
    """Lengthen record ids to 18 characters: the last three say which of the first fifteen are capitals."""
    fives = np.array(shorts).view("U1").reshape(-1, 3, 5)
    masks = ((fives >= "A") & (fives <= "Z")) @ (1 << np.arange(5))
    suffixes = np.array(list(_RECORD_ID_SUFFIX))[masks].view("U3")[:, 0]
    return [short + suffix for short, suffix in zip(shorts, suffixes, strict=True)]
