"""The log of improvements, one list of all of them; at one touchpoint the improvement truly works."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator

from cxreport.periods import Period
from cxreport.sample.planted import PLANTED
from cxreport.sample.writing import write_csv

_LAST_DAY = 26  # of the month on which an action starts
_SPREAD = 0.15  # of the cost around the typical one


@dataclass(frozen=True, kw_only=True)
class Action:
    """One improvement; costs are in dollars, days from its start until customers are told."""

    month: str
    touchpoint: str = ""
    region: str = ""
    language: str = ""
    asked: str
    done: str
    owner: str
    cost: int
    told_after: int | None = None


ACTIONS = (
    Action(
        month="2025-04",
        touchpoint="First bill",
        asked="New customers do not understand one-off charges on their first bill",
        done="A second page explains every one-off charge",
        owner="Billing",
        cost=18_000,
        told_after=7,
    ),
    Action(
        month=PLANTED.improved_since,
        touchpoint=PLANTED.improved,
        asked="Outage notices do not say when the connection will be back",
        done="A text message says when the fault will be mended, and again when it is",
        owner="Network",
        cost=42_000,
        told_after=3,
    ),
    Action(
        month="2026-01",
        touchpoint="Support call",
        asked="Callers wait too long in the evening",
        done="Callers choose a time to be called back",
        owner="Support operations",
        cost=60_000,
    ),
    Action(
        month="2026-03",
        language=PLANTED.rare_language,
        asked="Vietnamese-speaking customers find no help in their language",
        done="The twenty most read help pages in Vietnamese",
        owner="Digital sales",
        cost=9_000,
        told_after=10,
    ),
    Action(
        month="2026-05",
        touchpoint="Technician visit",
        region="south",
        asked="Customers in the South wait at home without knowing when the technician comes",
        done="A map shows where the technician is (trial in the South)",
        owner="Installations",
        cost=25_000,
        told_after=1,
    ),
    Action(
        month="2026-08",
        touchpoint="Cancellation",
        asked="Leaving takes three calls",
        done="Customers cancel on one page",
        owner="Customer service",
        cost=30_000,
        told_after=5,
    ),
)


def write_actions(path: Path, rng: Generator) -> Path:
    """Write all actions as one list, as it stands on the day of the export."""
    n = len(ACTIONS)
    first = np.array([Period.parse(action.month).start for action in ACTIONS], dtype="datetime64[D]")
    started = pd.Series(first + rng.integers(_LAST_DAY, size=n))
    wait = np.array([action.told_after or 0 for action in ACTIONS], dtype="timedelta64[D]")
    is_told = np.array([action.told_after is not None for action in ACTIONS])
    cost = np.array([action.cost for action in ACTIONS]) * rng.lognormal(0, _SPREAD, n)
    frame = pd.DataFrame(
        {
            "action_id": [f"A{number:03d}" for number in range(1, n + 1)],
            "started_on": started,
            "touchpoint": [action.touchpoint for action in ACTIONS],
            "region": [action.region for action in ACTIONS],
            "language": [action.language for action in ACTIONS],
            "asked": [action.asked for action in ACTIONS],
            "done": [action.done for action in ACTIONS],
            "owner": [action.owner for action in ACTIONS],
            "cost_usd": cost.round(-2).astype(int),
            "told_on": pd.Series(started.to_numpy() + wait).where(is_told),
        }
    )
    return write_csv(frame, path, dates="%Y-%m-%d")
