"""Which kinds of customers there are, and who may leave."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from cxreport.config import (
    Churn,
    Personas,
)
from cxreport.errors import UsageError
from cxreport.measure import churn as leaving
from cxreport.measure.analyses.company import (
    DONE,
    IMPOSSIBLE,
    LIMIT,
    NOTHING,
    Company,
    Found,
    without_hidden,
)
from cxreport.measure.disclosure import SHOWN, SMALL
from cxreport.measure.kpis import joined
from cxreport.measure.personas import NO_GROUPS, find_personas

_DAYS_OF_MEASURES = 365
# Personas of so many customers are as clear as those of all, and are found in seconds.
_GROUPED = 4_000


class _History(NamedTuple):
    """What is known of customers, as `churn.features` takes it."""

    customers: pd.DataFrame
    answers: pd.DataFrame
    tickets: pd.DataFrame
    orders: pd.DataFrame


def _history(company: Company, since: pd.Timestamp) -> _History:
    tickets = ["customer_id", "created_at", "first_replied_at", "resolved_at", "reply_minutes", "reopens"]
    try:
        answers = company.answers_of_customers(leaving.METRICS, since)
    except UsageError:
        answers = pd.DataFrame()
    return _History(
        company.customers(["customer_id", "started_at", "ended_at", "monthly_value"]),
        answers,
        company.rows_if_any("tickets", tickets, since),
        company.rows_if_any("orders", ["customer_id", "ordered_at", "amount", "currency", "kind"], since),
    )


def make_personas(company: Company, settings: Personas) -> Found:
    since = company.end - pd.Timedelta(days=_DAYS_OF_MEASURES)
    measures = leaving.features(*_history(company, since), company.end, window_days=_DAYS_OF_MEASURES)
    complete = measures.dropna(subset=settings.columns)
    order = pd.util.hash_pandas_object(complete["customer_id"], index=False).argsort(kind="stable")
    chosen = complete.iloc[order[:_GROUPED]]
    found = find_personas(chosen, settings.columns)
    profiles = found.profiles.assign(suppressed=np.where(found.profiles["n"] < LIMIT, SMALL, SHOWN))
    shown = set(profiles.loc[profiles["suppressed"] == SHOWN, "persona"])
    traits = found.traits[found.traits["persona"].isin(shown)]
    traits = traits.assign(place=traits.groupby("persona").cumcount() + 1)
    parts = [f"{found.verdict} among {len(chosen):,} customers"]
    parts += [f"a sample of {len(complete):,}"] if len(chosen) < len(complete) else []
    parts += [f"{left_out:,} lack a measure"] if (left_out := len(measures) - len(complete)) else []
    grouped = found.members.dropna(subset="persona")
    return Found(
        {"personas": without_hidden(profiles, ["name", "n", "share", "stability"]), "persona_traits": traits},
        NOTHING if found.verdict == NO_GROUPS else DONE,
        joined(*parts),
        {"personas": grouped} if len(grouped) else {},
    )


def make_churn(company: Company, settings: Churn) -> Found:
    horizon, window = (pd.Timedelta(days=days) for days in (settings.horizon_days, settings.window_days))
    known_since = pd.Timestamp(company.parts[0].bounds(company.dataset.time_zone)[0])
    history = _history(company, known_since)
    steps = range(1, int((company.end - known_since - window) / horizon) + 1)
    panel = leaving.panel(
        *history,
        snapshots=[company.end - step * horizon for step in steps],
        horizon_days=settings.horizon_days,
        known_until=company.end,
        window_days=settings.window_days,
    )
    training = leaving.train(panel, settings.horizon_days, company.confidence)
    tables = {}
    if training.judgement:
        bins = training.judgement.reliability
        bins = bins.assign(suppressed=np.where(bins["n"] < LIMIT, SMALL, SHOWN))
        tables["churn_judgement"] = training.judgement.figures.rename_axis("figure").reset_index()
        tables["churn_reliability"] = without_hidden(bins, ["n", "expected", "observed", "ci_low", "ci_high"])
    if not training.is_usable or training.model is None:
        return Found(tables, NOTHING if training.judgement else IMPOSSIBLE, training.verdict)
    tables["churn_drivers"] = leaving.explain(training.model, company.confidence)
    today = leaving.features(*history, company.end, window_days=settings.window_days)
    calls = leaving.risk_list(training, today, settings.list_length, company.confidence)
    note = (
        f"trained at {len(training.trained_at)} instants, judged by who left in the last {settings.horizon_days} days"
    )
    return Found(tables, DONE, joined(note, *training.notes), {"call_list": calls})
