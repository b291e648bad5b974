"""How series and cohorts of customers develop."""

from datetime import timedelta
from typing import Literal

import pandas as pd

from cxreport.measure.analyses.company import (
    DONE,
    IMPOSSIBLE,
    LIMIT,
    NOTHING,
    Company,
    Found,
)
from cxreport.measure.cohorts import cohort_retention
from cxreport.measure.trend import describe_series


def make_series(company: Company, settings: bool) -> Found:  # noqa: ARG001 - switched on
    table = describe_series(company.estimates, company.kpis, company.period, company.confidence)
    changes, trends = table["change_period"].notna().sum(), table["trend"].isin(["rising", "falling"]).sum()
    if not table["change_p_value"].notna().any():
        return Found({"series": table}, IMPOSSIBLE, "no series is long enough to read anything from it")
    note = f"{len(table)} series: {changes} with a new level, {trends} with a trend"
    return Found({"series": table}, DONE if changes or trends else NOTHING, note)


def make_cohorts(company: Company, settings: Literal["month", "quarter", "year"]) -> Found:
    zone = company.dataset.time_zone
    people = company.customers(["customer_id", "started_at", "ended_at"])
    for name in ("started_at", "ended_at"):
        people[name] = people[name].dt.tz_convert(zone).dt.tz_localize(None)
    # Lists of customers often lack those who left long ago: only cohorts that were seen from the start.
    first = company.parts[0].start
    seen = people[people["started_at"] >= pd.Timestamp(first)]
    table = cohort_retention(
        seen,
        company.period.end - timedelta(days=1),
        cohort=settings,
        confidence=company.confidence,
        minimum_base=LIMIT,
    )
    note = f"customers who started from {first:%Y-%m} on"
    return Found({"cohorts": table}, DONE if len(table) else NOTHING, note)
