"""Derive the facts that KPIs read from canonical tables: one expression for every engine.

`schema.FACTS` lists the derived columns. Nothing here is aggregated beyond the grain of a fact, and a flag is null
where its question does not arise or cannot be answered yet.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from functools import reduce as fold
from operator import and_
from typing import NamedTuple
from zoneinfo import ZoneInfo

import narwhals as nw
import pandas as pd

from cxreport.config import Contacts, Dataset
from cxreport.engine import Frame, collect
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.periods import Period, months_before

# Customers who joined within so many months make the survival curve of a period.
COHORT_MONTHS = 24
# A buyer who ordered more than once within so many months repeats.
REPEAT_MONTHS = 12
_MINUTES_A_DAY = 1440


class Seen(NamedTuple):
    """How far an export of cases tells: the newest case, and the newest thing that happened to any of them."""

    last_created: datetime
    last_instant: datetime


def tickets(frame: Frame, contacts: Contacts, seen: Seen) -> Frame:
    """Add the derived columns of support cases.

    A case is resolved at first contact when it is resolved, was not reopened, and the same customer opens no other
    case about the issue in the window after its resolution. A case whose window is not over when the newest case was
    created has no answer, even if it was already reopened or followed by another: counting the failures early and the
    successes late would make the newest figures look worse than they are. Nor has a case without a customer.
    One contact means that, besides, no other case of any kind was opened and at most one reply was sent.

    Parameters
    ----------
    frame
        Canonical `tickets`, one row per case.
    contacts
        What makes two cases one issue, and the window in days.
    seen
        How far the cases tell; the age of an open case runs up to the newest thing that happened to any case.

    Raises `DefinitionError` for `same_issue` columns that are not there.
    """
    known = frame.columns
    if missing := [name for name in contacts.same_issue if name not in known]:
        raise DefinitionError(
            found=f"`contacts.same_issue` names {listed(missing)}",
            expected=f"columns of `tickets`: {listed(known)}",
            do=f"correct the dataset definition{nearest(missing[0], known)}",
        )
    resolved, is_open = nw.col("resolved_at"), nw.col("resolved_at").is_null()
    window = f"{contacts.window_days}d"
    followed = frame.with_columns(
        _next_of_issue=_following(["customer_id", *contacts.same_issue]),
        _next_of_any=_following(["customer_id"]),
        _closes=resolved.dt.offset_by(window),
    )
    closes = nw.col("_closes")
    reopened = nw.col("reopens").fill_null(0) > 0
    # A case that is followed while it is still open was not resolved by its first contact either.
    repeated = reopened | _is_before("_next_of_issue", closes)
    contacted = repeated | _is_before("_next_of_any", closes) | (nw.col("replies").fill_null(0) > 1)
    answerable = ~nw.col("customer_id").is_null() & (closes <= nw.lit(seen.last_created))
    until = nw.lit(seen.last_instant)
    return followed.with_columns(
        first_contact_resolved=_flag(~repeated, where=answerable),
        one_contact_resolved=_flag(~contacted, where=answerable),
        reopened=_flag(reopened, where=~is_open),
        reply_age_minutes=_when(nw.col("first_replied_at").is_null(), minutes_between(frame, "created_at", until)),
        age_minutes=_when(is_open, minutes_between(frame, "created_at", until)),
    ).drop("_next_of_issue", "_next_of_any", "_closes")


def open_cases(tickets: Frame, periods: Sequence[Period], zone: str) -> Frame:
    """Return the backlog: a row for each case that is open at the end of a period."""

    def open_at_end(period: Period) -> Frame:
        _, end = period.bounds(zone)
        is_open = nw.col("resolved_at").is_null() | (nw.col("resolved_at") >= nw.lit(end))
        return tickets.filter(nw.col("created_at") < nw.lit(end), is_open).with_columns(
            nw.lit(period.id).alias("period")
        )

    return nw.concat([open_at_end(period) for period in periods], how="vertical")


def customer_periods(
    customers: Frame,
    subscriptions: Frame | None,
    orders: Frame | None,
    periods: Sequence[Period],
    dataset: Dataset,
    *,
    keep: Callable[[Frame, str], Frame] = lambda frame, _: frame,
) -> Frame:
    """Return a row for each customer in each period: who stayed, at which monthly value, and what was ordered.

    Somebody is a customer from `started_at` until `ended_at`. Without `subscriptions` the monthly value is the one
    that `customers` states, which does not change while somebody stays. Refunds are no orders and reduce the amount.
    Without `orders` the columns about them are null; buyers who are not in `customers` are not counted.

    `keep` (`Engine.keep`) computes the rows of a period under a name: a single query over all periods would hold the
    joined tables of all of them at once, which is more than a small Spark driver has room for.
    """
    parts = [_one_period(customers, subscriptions, orders, period, dataset) for period in periods]
    kept = [keep(part, f"customers_of_period_{place}") for place, part in enumerate(parts)]
    return nw.concat(kept, how="vertical")


def tenures(customers: Frame, periods: Sequence[Period], zone: str) -> Frame:
    """Return, for each period, those who became customers in the 24 months up to its end, and for how long (days).

    `tenure_days` until they left, and for those who are still customers at the period's end `age_days` so far.
    """

    def joined(period: Period) -> Frame:
        _, end = period.bounds(zone)
        start = _months_before_end(period, COHORT_MONTHS, zone)
        chosen = customers.filter(nw.col("started_at") >= nw.lit(start), nw.col("started_at") < nw.lit(end))
        has_left = (nw.col("ended_at") < nw.lit(end)).fill_null(value=False)
        stayed, so_far = (
            minutes_between(chosen, "started_at", until) // _MINUTES_A_DAY
            for until in (nw.col("ended_at"), nw.lit(end))
        )
        return chosen.with_columns(
            nw.lit(period.id).alias("period"),
            tenure_days=_when(has_left, stayed),
            age_days=_when(~has_left, so_far),
        ).drop("started_at", "ended_at")

    return nw.concat([joined(period) for period in periods], how="vertical")


def sessions(events: Frame) -> Frame:
    """Return a row for each visit: whether something was put into the cart, and whether something was ordered.

    A visit counts in the period it began in. Events without a session are left out.
    """
    happened = {name: _flag(nw.col("name") == name) for name in ("cart", "order")}
    visits = (
        events.filter(~nw.col("session_id").is_null())
        .with_columns(**happened)
        .group_by("session_id")
        .agg(
            nw.col("period").min(),
            nw.col("customer_id").max(),
            nw.col("channel").min(),
            nw.col("cart").max(),
            nw.col("order").max().alias("ordered"),
        )
    )
    return visits.with_columns(ordered_after_cart=_when(nw.col("cart") > 0, nw.col("ordered"))).drop("cart")


def with_sentiment(mentions: pd.DataFrame) -> pd.DataFrame:
    """Add `sentiment` to mentions: 1 positive, 0 neutral, -1 negative, null for blank or non-English text."""
    from cxreport.measure.voice import sentiment, sentiment_class

    return mentions.assign(sentiment=sentiment_class(sentiment(mentions["text"], language=mentions["language"])))


def seen_by(tickets: Frame) -> Seen:
    """Return how far cases tell; raises `UsageError` when there are none."""
    instants = ("created_at", "first_replied_at", "resolved_at")
    newest = collect(tickets.select(nw.col(name).max() for name in instants)).iloc[0]
    if newest.isna().all():
        raise UsageError(
            found="support cases without any date",
            expected="cases dated by `created_at`",
            do="deliver dated cases, or take the KPIs of `tickets` out of the report",
        )
    return Seen(newest["created_at"].to_pydatetime(), newest.max().to_pydatetime())


def minutes_between(frame: Frame, earlier: str, later: nw.Expr) -> nw.Expr:
    """Return whole minutes from an instant column to a later instant."""
    if frame.implementation.is_spark_like():  # has no durations; instants cast to seconds since 1970
        return (later.cast(nw.Int64) - nw.col(earlier).cast(nw.Int64)) // 60
    return (later - nw.col(earlier)).dt.total_minutes()


# --- parts ---------------------------------------------------------------------------------------


def _one_period(
    customers: Frame, subscriptions: Frame | None, orders: Frame | None, period: Period, dataset: Dataset
) -> Frame:
    start, end = period.bounds(dataset.time_zone)
    is_there = (nw.col("started_at") < nw.lit(end)) & ~_has_ended_by(start)
    people = customers.filter(is_there).with_columns(
        nw.lit(period.id).alias("period"),
        _was_there=nw.col("started_at") < nw.lit(start),
        _is_gone=_has_ended_by(end),
    )
    people = _with_values(people, subscriptions, start, end)
    was_there, is_gone = nw.col("_was_there"), nw.col("_is_gone")
    people = people.with_columns(
        retained=_flag(~is_gone, where=was_there),
        lost=_flag(is_gone, where=was_there),
        start_value=_when(was_there, nw.col("_start").fill_null(0.0)),
        end_value=_when(was_there, nw.when(is_gone).then(nw.lit(0.0)).otherwise(nw.col("_end").fill_null(0.0))),
    ).with_columns(kept_value=nw.min_horizontal("start_value", "end_value"))
    people = _with_orders(people, orders, period, dataset)
    return people.drop("_was_there", "_is_gone", "_start", "_end", "started_at", "ended_at")


def _months_before_end(period: Period, months: int, zone: str) -> datetime:
    """Return the first instant of the months that end with a period."""
    return datetime.combine(months_before(period.end, months), time(), ZoneInfo(zone)).astimezone(UTC)


def _has_ended_by(instant: datetime) -> nw.Expr:
    return (nw.col("ended_at") < nw.lit(instant)).fill_null(value=False)


def _with_values(people: Frame, subscriptions: Frame | None, start: datetime, end: datetime) -> Frame:
    if subscriptions is None:
        value = nw.col("monthly_value").cast(nw.Float64)
        return people.with_columns(_start=value, _end=value)
    for name, instant in (("_start", start), ("_end", end)):
        lasts = (nw.col("started_at") < nw.lit(instant)) & (
            nw.col("ended_at").is_null() | (nw.col("ended_at") >= nw.lit(instant))
        )
        values = subscriptions.filter(lasts).group_by("customer_id").agg(nw.col("monthly_value").sum().alias(name))
        values = values.with_columns(_money(name))
        people = people.join(values, on="customer_id", how="left")
    return people


def _with_orders(people: Frame, orders: Frame | None, period: Period, dataset: Dataset) -> Frame:
    if orders is None:
        counted = ("orders", "order_value", "repeat_buyer", "margin_to_date", "upsold", "cross_sold")
        return people.with_columns(nw.lit(None, nw.Float64).alias(name) for name in counted)
    end = period.bounds(dataset.time_zone)[1]
    year = _months_before_end(period, REPEAT_MONTHS, dataset.time_zone)
    kind, amount, ordered_at = nw.col("kind"), nw.col("amount").abs(), nw.col("ordered_at")
    is_order, is_now = kind != "refund", nw.col("period") == period.id
    is_recent = ordered_at >= nw.lit(year)
    net_amount = nw.when(is_order).then(amount).otherwise(-amount)
    # One pass over all orders so far: what was bought in the period, in the last twelve months, and ever.
    bought = (
        orders.filter(ordered_at < nw.lit(end))
        .with_columns(
            _orders=_flag(is_now & is_order),
            _amount=nw.when(is_now).then(net_amount).otherwise(0.0),
            _recent=_flag(is_recent & is_order),
            _to_date=net_amount * dataset.margin,
            _up=_flag(is_now & (kind == "upsell")),
            _cross=_flag(is_now & (kind == "cross_sell")),
        )
        .group_by("customer_id")
        .agg(
            *(nw.col(name).sum() for name in ("_orders", "_amount", "_recent", "_to_date")),
            *(nw.col(name).max() for name in ("_up", "_cross")),
        )
        .with_columns(_money("_amount"), _money("_to_date"))
    )
    is_buyer, was_there = nw.col("_orders").fill_null(0.0) > 0, nw.col("_was_there")
    return (
        people.join(bought, on="customer_id", how="left")
        .with_columns(
            orders=_when(is_buyer, nw.col("_orders")),
            order_value=_when(is_buyer, nw.col("_amount")),
            repeat_buyer=_flag(nw.col("_recent") > 1, where=is_buyer),
            margin_to_date=nw.col("_to_date"),
            upsold=_flag(nw.col("_up").fill_null(0.0) > 0, where=was_there),
            cross_sold=_flag(nw.col("_cross").fill_null(0.0) > 0, where=was_there),
        )
        .drop("_orders", "_amount", "_recent", "_to_date", "_up", "_cross")
    )


def _money(column: str) -> nw.Expr:
    """Return a sum of amounts without what the order of rows left in its last digits, far below any coin."""
    return nw.col(column).round(6)


def _following(keys: list[str]) -> nw.Expr:
    """Return when the next case with the same keys was created; null where a key is null."""
    has_keys = fold(and_, (~nw.col(key).is_null() for key in keys))
    following = nw.col("created_at").shift(-1).over(*keys, order_by=["created_at", "ticket_id"])
    return nw.when(has_keys).then(following)


def _is_before(column: str, instant: nw.Expr) -> nw.Expr:
    return (nw.col(column) < instant).fill_null(value=False)


def _when(condition: nw.Expr, value: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(value.cast(nw.Float64))


def _flag(condition: nw.Expr, where: nw.Expr | None = None) -> nw.Expr:
    """Return 1.0 where a condition holds and 0.0 where it does not; null outside `where`."""
    flag = nw.when(condition).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
    return flag if where is None else nw.when(where).then(flag)
