"""What moves a score: its drivers, and groups of customers that differ."""

from collections.abc import Sequence

import narwhals as nw
import numpy as np
import pandas as pd

from cxreport.config import (
    Drivers,
    Kpi,
    Subgroups,
)
from cxreport.measure.analyses.company import (
    DONE,
    IMPOSSIBLE,
    NOTHING,
    SCALE,
    Company,
    Found,
    classes,
    collected,
    hidden_levels,
    periods_read,
    without_hidden,
)
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN
from cxreport.measure.discover import CONFIRMED, find_subgroups, members
from cxreport.measure.drivers import NONE_DETECTABLE, key_drivers
from cxreport.measure.kpis import joined

# Fewer complete responses than these make drivers look back over three months.
_RESPONSES_FOR_DRIVERS = 300
_MONTHS_FOR_DRIVERS = 3


def make_drivers(company: Company, settings: Drivers) -> Found:
    """Put the drivers' scores of a response beside the KPI's: of the period, or of three months where it has few."""
    kpi = company.kpis[settings.kpi]
    for months in (0, _MONTHS_FOR_DRIVERS):
        responses = _side_by_side(company, kpi, settings.metrics, months)
        if len(responses.dropna(subset=["outcome", *settings.metrics])) >= _RESPONSES_FOR_DRIVERS:
            break
    is_known = responses["customer_id"].notna().any()
    table = key_drivers(
        responses,
        "outcome",
        settings.metrics,
        confidence=company.confidence,
        cluster="customer_id" if is_known else None,
        weight=kpi.weight,
    ).assign(kpi=kpi.id)
    window = periods_read(company, months)
    if table["share"].notna().any():
        return Found({"drivers": table}, DONE, joined(window, "association, not cause"))
    reason = table["note"].iloc[0]
    status = NOTHING if reason == NONE_DETECTABLE else IMPOSSIBLE
    return Found({"drivers": table}, status, joined(reason, window))


def _side_by_side(company: Company, kpi: Kpi, metrics: Sequence[str], months: int) -> pd.DataFrame:
    """Return one row per response: the KPI's score, and each driver from 0 (worst) to 1; without the unanswered."""
    about = ["response_id", "customer_id", *([kpi.weight] if kpi.weight else [])]
    outcome = company.scores(kpi, about, months)
    is_driver = nw.col("metric").is_in(list(metrics)) | nw.col("question").is_in(list(metrics))
    asked = company.answers(months).filter(is_driver, ~nw.col("score").is_null())
    answers = collected(asked.select("response_id", *SCALE))
    answers["driver"] = answers["question"].where(answers["question"].isin(metrics), answers["metric"])
    drivers = answers.assign(good=_goodness(answers)).pivot_table(index="response_id", columns="driver", values="good")
    scores = (
        outcome.assign(outcome=_upward(outcome))
        .groupby("response_id")
        .agg({"outcome": "mean", **dict.fromkeys(about[1:], "first")})
    )
    together = scores.join(drivers.reindex(columns=list(metrics)), how="left")
    together["customer_id"] = together["customer_id"].fillna(pd.Series(together.index, together.index))
    return together.reset_index()


def _upward(answers: pd.DataFrame) -> pd.Series:
    """Return scores of which the higher one is the better."""
    turned = answers["scale_low"] + answers["scale_high"] - answers["score"]
    return answers["score"].where(answers["scale_good"] != "low", turned)


def _goodness(answers: pd.DataFrame) -> pd.Series:
    """Return scores from 0 at the poor end of their scale to 1 at the good one."""
    return (_upward(answers) - answers["scale_low"]) / (answers["scale_high"] - answers["scale_low"])


def make_subgroups(company: Company, settings: Subgroups) -> Found:
    kpi = company.kpis[settings.kpi]
    columns = ["response_id", "customer_id", *settings.attributes]
    answers = company.scores(kpi, columns, settings.months)
    answers["who"] = answers["customer_id"].fillna(answers["response_id"])
    found = find_subgroups(
        answers,
        "score",
        settings.attributes,
        **classes(kpi),
        customer="who",
        confidence=company.confidence,
        depth=settings.depth,
        minimum=max(settings.minimum, kpi.minimum_base.suppress),
    )
    named = [dict(zip(_LEVELS, [*sum(levels, ()), None, None], strict=False)) for levels in found["levels"]]
    table = (
        found.drop(columns="levels").join(pd.DataFrame(named, columns=_LEVELS, index=found.index)).assign(kpi=kpi.id)
    )
    hidden = hidden_levels(company, kpi)
    crosses = [any(pair in hidden for pair in levels) for levels in found["levels"]]
    table["suppressed"] = np.where(crosses, COMPLEMENTARY, SHOWN)
    is_confirmed = (found["status"] == CONFIRMED).to_numpy(dtype=bool) & ~np.array(crosses, dtype=bool)
    customers = [
        pd.DataFrame({"description": row["description"], "customer_id": members(answers, row)})
        for _, row in found[is_confirmed].iterrows()
    ]
    tested = f"{found.attrs['n_tested']} groups tested, {is_confirmed.sum()} confirmed on customers held back"
    return Found(
        {"subgroups": without_hidden(table, _SUBGROUP_FIGURES)},
        DONE if is_confirmed.any() else NOTHING,
        joined(tested, periods_read(company, settings.months)),
        {"subgroups": pd.concat(customers)} if customers else {},
    )


_LEVELS = ["column", "level", "other_column", "other_level"]
_SUBGROUP_FIGURES = [
    *("n", "share", "n_held_back", "value", "rest_value", "difference", "ci_low", "ci_high", "p_value", "q_value"),
    *("discovery_p_value", "discovery_q_value", "direction", "status"),
]
