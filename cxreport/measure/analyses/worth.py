"""What scores are worth: who stayed and what they spent since."""

import pandas as pd
from scipy import stats

from cxreport.config import (
    Kpi,
    Link,
)
from cxreport.errors import UsageError
from cxreport.measure.analyses.company import (
    DONE,
    NOTHING,
    Company,
    Found,
    complementary,
    without_hidden,
)
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN
from cxreport.measure.kpis import joined
from cxreport.measure.roi import ScoreLink, Uncertain, roi, score_link
from cxreport.periods import months_before
from cxreport.schema import ANALYSES

_DAYS_OF_SCORES = 90
_DAYS_IN_MONTH = 365.25 / 12


def make_link(company: Company, settings: Link) -> Found:
    """Link scores of `months_ago` months ago to who stayed and what they spent since."""
    kpi, dataset = company.kpis[settings.kpi], company.dataset
    day = months_before(company.period.end, settings.months_ago)
    at = pd.Timestamp(day, tz=dataset.time_zone).tz_convert("UTC")
    when = f"{day:%Y-%m}" if day.day == 1 else day.isoformat()
    if company.parts[0].start >= day:
        raise UsageError(
            found=f"no answers from before {when}",
            expected=f"answers given {settings.months_ago} months before the period's end",
            do="wait for more months, or lower `months_ago`",
        )
    people = company.customers(["customer_id", "started_at", "ended_at", *dataset.segments_from_customers])
    people = people[(people["started_at"] < at) & ~(people["ended_at"] < at)]
    source, revenue = _revenue(company, at)
    people = people.assign(
        score=people["customer_id"].map(_latest_scores(company, kpi, at)),
        tenure=(at - people["started_at"]).dt.total_seconds() / 86_400,
        retained=~(people["ended_at"] < company.end),
        revenue=people["customer_id"].map(revenue).fillna(0.0),
    )
    linked = score_link(people, dataset.segments_from_customers, company.confidence)
    retention = _retention(linked, kpi)
    tables = {"link": retention, "link_revenue": _revenues(linked, kpi)}
    notes = [
        f"scores of the {_DAYS_OF_SCORES} days before {when}, revenue from {source}; association, not cause",
        *linked.notes,
    ]
    if settings.customers_moved and settings.cost is not None:
        try:
            tables["roi"] = _return(company, settings, linked, people)
        except UsageError as error:
            notes.append(f"no return: {error.found}")
    p_values = retention.loc[retention["figure"] == _DIFFERENCE, "p_value"]
    return Found(tables, DONE if (p_values < 1 - company.confidence).any() else NOTHING, joined(*notes))


_CLASS, _DIFFERENCE, _BIAS = "class", "difference", "answered less not answered"


def _latest_scores(company: Company, kpi: Kpi, at: pd.Timestamp) -> pd.Series:
    """Return the last score that each customer gave in the days before an instant."""
    since = at - pd.Timedelta(days=_DAYS_OF_SCORES)
    metrics = kpi.where.get("metric", [])
    answers = company.answers_of_customers([metrics] if isinstance(metrics, str) else metrics, since)
    before = answers[answers["responded_at"] < at].sort_values(["responded_at", "response_id"])
    return before.groupby("customer_id")["score"].last()


def _revenue(company: Company, at: pd.Timestamp) -> tuple[str, pd.Series]:
    """Return where revenue is known from, and each customer's from an instant to the period's end.

    Recurring values where there are subscriptions, because their orders are often booked as well; else orders less
    refunds, else the customers' own monthly values.
    """
    spells = ["customer_id", "started_at", "ended_at", "monthly_value"]
    if len(subscriptions := company.rows_if_any("subscriptions", spells)):
        return "subscriptions", _recurring(subscriptions, at, company.end)
    orders = company.rows_if_any("orders", ["customer_id", "ordered_at", "amount", "kind"], at)
    if len(orders):
        amount = orders["amount"].abs().where(orders["kind"] != "refund", -orders["amount"].abs())
        return "orders", amount.groupby(orders["customer_id"]).sum()
    return "monthly values", _recurring(company.customers(spells), at, company.end)


def _recurring(spells: pd.DataFrame, at: pd.Timestamp, end: pd.Timestamp) -> pd.Series:
    """Return what the days of each customer's spells between two instants bring."""
    started, ended = spells["started_at"], spells["ended_at"].fillna(end)
    days = ended.where(ended < end, end) - started.where(started > at, at)
    months = days.dt.total_seconds().clip(lower=0) / 86_400 / _DAYS_IN_MONTH
    brought: pd.Series = (months * spells["monthly_value"]).groupby(spells["customer_id"]).sum()
    return brought


def _retention(linked: ScoreLink, kpi: Kpi) -> pd.DataFrame:
    pairs = linked.retention_differences.rename(
        columns={"raw": "value", "raw_ci_low": "ci_low", "raw_ci_high": "ci_high"}
    )
    return _linked(linked.retention, pairs, linked.response_bias, kpi)


def _revenues(linked: ScoreLink, kpi: Kpi) -> pd.DataFrame:
    return _linked(linked.revenue, linked.revenue_differences, linked.response_bias.head(0), kpi)


def _linked(classes: pd.DataFrame, pairs: pd.DataFrame, bias: pd.DataFrame, kpi: Kpi) -> pd.DataFrame:
    """Stack classes, differences and the difference to those without an answer; hide what tells of small classes."""
    marks = dict(zip(classes["score_class"], complementary(classes["n"], kpi.minimum_base.suppress), strict=True))
    is_whole = set(marks.values()) <= {SHOWN}
    pairs = pairs.rename(columns={"higher": "score_class", "lower": "other_class"})
    parts = [
        classes.assign(figure=_CLASS, suppressed=list(marks.values())),
        pairs.assign(
            figure=_DIFFERENCE,
            suppressed=[
                SHOWN if marks.get(one, SHOWN) == marks.get(other, SHOWN) == SHOWN else COMPLEMENTARY
                for one, other in zip(pairs["score_class"], pairs["other_class"], strict=True)
            ],
        ),
        bias.assign(figure=_BIAS, suppressed=SHOWN if is_whole else COMPLEMENTARY),
    ]
    table = pd.concat([part for part in parts if len(part)], ignore_index=True).reindex(columns=ANALYSES["link"].names)
    names = {"figure", "score_class", "other_class", "suppressed"}
    return without_hidden(table, [str(name) for name in table if name not in names])


def _return(company: Company, settings: Link, linked: ScoreLink, people: pd.DataFrame) -> pd.DataFrame:
    """Value the move of customers from detractor to promoter by the margin of those who stayed."""
    assert settings.customers_moved is not None
    assert settings.cost is not None
    stayed = people.loc[people["retained"], "revenue"] * company.dataset.margin
    half = float(stats.t.ppf((1 + company.confidence) / 2, len(stayed) - 1) * stayed.sem())
    mean = float(stayed.mean())
    result = roi(
        settings.customers_moved,
        linked.retention_difference(),
        Uncertain(mean, max(mean - half, 0.0), mean + half),
        settings.cost,
        months=settings.months_ago,
        confidence=company.confidence,
    )
    return result.figures.rename_axis("figure").reset_index().assign(status=result.status)
