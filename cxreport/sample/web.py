"""Events: visits to the shop on the web and in the app, and how far new customers have come on their journey."""

import numpy as np
import pandas as pd
from numpy.random import Generator

from cxreport.periods import Period
from cxreport.sample.chance import Array, moments, pick
from cxreport.sample.customers import active_in
from cxreport.sample.planted import FIRST, LAST, months_since_first
from cxreport.sample.world import CHANNELS

SESSIONS = 3_000  # a month, on average
FUNNEL = {"visit": 1.0, "cart": 0.2, "checkout": 0.57, "order": 0.55}  # share of the step before
VISITED = {"web": 0.62, "app": 0.38}

_KNOWN = 0.12  # of the visitors
_STEP_SECONDS = 90.0
# Stage of the journey: its event, touchpoints, share of new customers who get there, days after joining (at least,
# and how many more on average).
_JOURNEY: dict[str, tuple[str, dict[str, float], float, int, float]] = {
    "join": ("signed", {"Website order": 0.64, "Shop visit": 0.36}, 1.0, 0, 0.0),
    "install": ("installed", {"Installation visit": 0.75, "Self-install kit": 0.25}, 0.95, 2, 5.0),
    "use": ("went_online", {"Wi-Fi at home": 1.0}, 0.97, 0, 1.0),
    "support": ("asked", {"Support call": 0.6, "Help pages": 0.4}, 0.38, 1, 8.0),
    "pay": ("paid", {"First bill": 1.0}, 0.93, 30, 4.0),
}
_PASSED_BY = frozenset({"support"})  # not everybody needs it on the way to the next stage
_COLUMNS = ["session_id", "customer_id", "occurred_at", "name", "stage", "touchpoint", "channel"]


def draw_visits(customers: pd.DataFrame, month: Period, rng: Generator) -> pd.DataFrame:
    """Return the events of a month's visits, one row each; few visitors are signed in."""
    n = int(rng.poisson(SESSIONS))
    active = active_in(customers, month)
    days = np.datetime64(month.start) + rng.integers((month.end - month.start).days, size=n)
    visits = pd.DataFrame(
        {
            "session_id": [f"S{months_since_first(month) * 10_000 + row:07d}" for row in range(1, n + 1)],
            "customer_id": np.where(
                rng.random(n) < _KNOWN, active.customer_id.to_numpy()[rng.integers(len(active), size=n)], ""
            ),
            "occurred_at": moments(rng, days, opens=7, closes=22.5),
            "stage": "",
            "touchpoint": "",
            "channel": pick(rng, VISITED, n),
        }
    )
    steps: list[pd.DataFrame] = []
    for name, share in FUNNEL.items():
        visits = visits[rng.random(len(visits)) < share]
        steps.append(visits.assign(name=name))
        waited = (1 + rng.exponential(_STEP_SECONDS, len(visits))).astype("timedelta64[s]")
        visits = visits.assign(occurred_at=visits.occurred_at + waited)
    return pd.concat(steps)[_COLUMNS]


def draw_journeys(customers: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """Return the steps of everybody who joined in the two years, one row per stage reached."""
    opening, closing = np.datetime64(FIRST.start), np.datetime64(LAST.end)
    joined = customers[customers.started >= opening]
    going, day = np.ones(len(joined), dtype=bool), joined.started.to_numpy().astype("datetime64[D]")
    end = joined.ended.fillna(pd.Timestamp(closing)).to_numpy()
    steps: list[pd.DataFrame] = []
    for stage, (name, touchpoints, share, least, more) in _JOURNEY.items():
        n = len(joined)
        waited = least + np.floor(rng.exponential(size=n) * more).astype(int)
        reached_on: Array = day + waited
        reached = going & (rng.random(n) < share) & (reached_on < end)
        step = pd.DataFrame(
            {
                "session_id": "",
                "customer_id": joined.customer_id.to_numpy(),
                # Later stages lie later on the same day.
                "occurred_at": moments(rng, reached_on, opens=8 + 2 * len(steps), closes=10 + 2 * len(steps)),
                "name": name,
                "stage": stage,
                "touchpoint": pick(rng, touchpoints, n),
                "channel": pick(rng, CHANNELS, n),
            }
        )
        steps.append(step[reached])
        if stage not in _PASSED_BY:
            going, day = reached, reached_on
    return pd.concat(steps)[_COLUMNS]


def events_of(month: Period, visits: pd.DataFrame, journeys: pd.DataFrame) -> pd.DataFrame:
    """Return a month's events by time, numbered."""
    first, after = pd.Timestamp(month.start), pd.Timestamp(month.end)
    steps = journeys[journeys.occurred_at.between(first, after, inclusive="left")]
    events = pd.concat([visits, steps]).sort_values(
        ["occurred_at", "session_id", "customer_id", "name"], ignore_index=True
    )
    number = months_since_first(month) * 100_000 + np.arange(1, len(events) + 1)
    events.insert(0, "event_id", [f"E{value:07d}" for value in number])
    return events
