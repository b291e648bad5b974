"""Derived facts, by hand: who came back, who stayed, who bought, and what is still open."""

import narwhals as nw
import numpy as np
import pandas as pd
import pytest

from cxreport.config import Contacts, Dataset
from cxreport.engine import collect, open_engine, wrap
from cxreport.errors import DefinitionError
from cxreport.measure import facts
from cxreport.periods import Period

AUGUST, SEPTEMBER = Period.parse("2026-08"), Period.parse("2026-09")


@pytest.fixture(params=["pandas", "duckdb"])
def load(request):
    """Bring rows to either engine."""
    if request.param == "pandas":
        yield wrap
        return
    with open_engine() as engine:
        yield engine.load


@pytest.fixture
def dataset():
    return Dataset(
        title="A company",
        population="its customers",
        industry="any",
        time_zone="UTC",
        raw="data/raw",
        feeds=[],
        margin=0.5,
    )


def day(*texts):
    """Return instants at noon UTC; an empty text is none."""
    return pd.Series(pd.to_datetime([f"2026-{text}T12:00Z" if text else None for text in texts]))


def table(rows, key):
    """Return a collected frame by one of its columns."""
    return collect(rows).set_index(key)


# --- support cases -------------------------------------------------------------------------------


def cases(*rows):
    """Return cases: id, customer, team, created, resolved, reopens, replies."""
    frame = pd.DataFrame(
        rows, columns=["ticket_id", "customer_id", "team", "created", "resolved", "reopens", "replies"]
    )
    return frame.assign(
        created_at=day(*frame["created"]), resolved_at=day(*frame["resolved"]), first_replied_at=day(*frame["created"])
    ).astype({"customer_id": "str"})


def test_issue_is_resolved_at_first_contact_unless_the_customer_returns(load):
    """Another case with the same team within seven days is the same issue; with another team it is a contact."""
    rows = cases(
        ("quiet", "a", "billing", "09-01", "09-02", 0, 1),
        ("followed", "b", "billing", "09-01", "09-02", 0, 1),
        ("again", "b", "billing", "09-05", "09-06", 0, 1),
        ("elsewhere", "c", "billing", "09-01", "09-02", 0, 1),
        ("other team", "c", "repairs", "09-04", "09-05", 0, 1),
        ("much later", "a", "billing", "09-20", "09-21", 0, 2),
        ("reopened", "d", "billing", "09-01", "09-02", 1, 1),
        ("window open", "e", "billing", "09-28", "09-29", 0, 1),
        ("failed early", "h", "billing", "09-28", "09-29", 1, 1),
        ("unresolved", "f", "billing", "09-01", "", 0, 1),
        ("nobody", None, "billing", "09-01", "09-02", 0, 1),
        ("newest", "g", "billing", "09-30", "", 0, 0),
    )
    rows["customer_id"] = rows["customer_id"].where(rows["ticket_id"] != "nobody", None)
    frame = load(rows)
    found = table(facts.tickets(frame, Contacts(), facts.seen_by(frame)), "ticket_id")
    first, single = found["first_contact_resolved"], found["one_contact_resolved"]
    assert first[["quiet", "again", "elsewhere", "other team", "much later"]].tolist() == [1, 1, 1, 1, 1]
    assert first[["followed", "reopened"]].tolist() == [0, 0]
    assert first[["window open", "failed early", "unresolved", "nobody", "newest"]].isna().all()
    assert single[["quiet", "again", "other team"]].tolist() == [1, 1, 1]
    assert single[["elsewhere", "followed", "reopened", "much later"]].tolist() == [0, 0, 0, 0]
    assert found["reopened"].dropna().sum() == 2
    assert found["reopened"][["unresolved", "newest"]].isna().all()


def test_open_cases_are_as_old_as_the_export_tells(load):
    """Their age runs from their creation to the newest thing that happened to any case."""
    frame = load(cases(("open", "a", "x", "09-01", "", 0, 0), ("done", "b", "x", "09-02", "09-03", 0, 0)))
    found = table(facts.tickets(frame, Contacts(), facts.seen_by(frame)), "ticket_id")
    assert found.loc["open", "age_minutes"] == 2 * 1440
    assert np.isnan(found.loc["done", "age_minutes"])
    assert found["reply_age_minutes"].isna().all()


def test_unknown_issue_columns_are_refused(load):
    """A misspelt column would make every case an issue of its own."""
    frame = load(cases(("one", "a", "x", "09-01", "", 0, 0)))
    with pytest.raises(DefinitionError, match=r"`contacts.same_issue` names `tema`.*\n.*\n.*did you mean `team`"):
        facts.tickets(frame, Contacts(same_issue=["tema"]), facts.seen_by(frame))


def test_backlog_is_what_is_open_at_the_end_of_each_period(load):
    """A case counts at every month's end that it is open at."""
    rows = cases(
        ("long", "a", "x", "08-05", "", 0, 0),
        ("over the end", "b", "x", "08-30", "09-02", 0, 0),
        ("within", "c", "x", "09-05", "09-06", 0, 0),
    )
    found = collect(facts.open_cases(load(rows), [AUGUST, SEPTEMBER], "UTC"))
    assert found.groupby("period")["ticket_id"].apply(sorted).to_dict() == {
        "2026-08": ["long", "over the end"],
        "2026-09": ["long"],
    }


# --- customers -----------------------------------------------------------------------------------

CUSTOMERS = pd.DataFrame(
    {
        "customer_id": ["stays", "leaves", "new", "gone"],
        "started_at": day("01-01", "01-01", "09-10", "01-01"),
        "ended_at": day("", "09-15", "", "08-15"),
        "region": ["north", "south", "north", "south"],
        "monthly_value": [10.0, 20.0, 30.0, 40.0],
    }
)
SPELLS = pd.DataFrame(
    {
        "subscription_id": list("pqrst"),
        "customer_id": ["stays", "stays", "leaves", "new", "gone"],
        "started_at": day("01-01", "09-05", "01-01", "09-10", "01-01"),
        "ended_at": day("09-05", "", "09-15", "", "08-15"),
        "monthly_value": [10.0, 15.0, 20.0, 30.0, 40.0],
    }
)
ORDERS = pd.DataFrame(
    {
        "order_id": list("abcdef"),
        "customer_id": ["stays", "stays", "stays", "leaves", "leaves", "new"],
        "ordered_at": day("08-01", "09-02", "09-08", "09-03", "09-04", "09-10"),
        "period": ["2026-08", *["2026-09"] * 5],
        "amount": [5.0, 10.0, 20.0, 8.0, 8.0, 30.0],
        "kind": ["repeat", "upsell", "cross_sell", "new", "refund", "new"],
    }
)


def test_customers_are_followed_from_the_start_to_the_end_of_a_period(load, dataset):
    """Who was there at the start stays or leaves, at a value that subscriptions tell; newcomers are no part of it."""
    rows = facts.customer_periods(load(CUSTOMERS), load(SPELLS), load(ORDERS), [SEPTEMBER], dataset)
    found = table(rows, "customer_id")
    assert sorted(found.index) == ["leaves", "new", "stays"]
    assert found["retained"].dropna().to_dict() == {"stays": 1, "leaves": 0}
    assert found["lost"].dropna().to_dict() == {"stays": 0, "leaves": 1}
    values = found.loc[["stays", "leaves"], ["start_value", "end_value", "kept_value"]].to_numpy().tolist()
    assert values == [[10, 15, 10], [20, 0, 0]]
    assert found.loc["new", ["start_value", "end_value", "kept_value"]].isna().all()


def test_orders_of_a_period_belong_to_its_customers(load, dataset):
    """Refunds are no orders and reduce the amount; a second order within the year makes a repeat buyer."""
    rows = facts.customer_periods(load(CUSTOMERS), load(SPELLS), load(ORDERS), [SEPTEMBER], dataset)
    found = table(rows, "customer_id")
    assert found["orders"].to_dict() == {"stays": 2, "leaves": 1, "new": 1}
    assert found["order_value"].to_dict() == {"stays": 30, "leaves": 0, "new": 30}
    assert found["repeat_buyer"].to_dict() == {"stays": 1, "leaves": 0, "new": 0}
    assert found["margin_to_date"].to_dict() == {"stays": 17.5, "leaves": 0, "new": 15}
    assert found["upsold"].dropna().to_dict() == {"stays": 1, "leaves": 0}
    assert found["cross_sold"].dropna().to_dict() == {"stays": 1, "leaves": 0}


def test_without_subscriptions_the_customers_own_value_holds(load, dataset):
    """It cannot grow, so what is lost is the value of those who left."""
    found = table(facts.customer_periods(load(CUSTOMERS), None, None, [SEPTEMBER], dataset), "customer_id")
    assert found.loc["stays", ["start_value", "end_value"]].tolist() == [10, 10]
    assert found.loc["leaves", ["start_value", "end_value"]].tolist() == [20, 0]
    assert found[["orders", "upsold", "margin_to_date"]].isna().all(axis=None)


def test_tenures_hold_who_joined_in_two_years(load):
    """Those who left tell for how long they stayed, the others how long they have been there by the period's end."""
    people = CUSTOMERS.assign(started_at=day("01-01", "01-01", "09-10", "01-01") - pd.Timedelta(days=400))
    people.loc[3, "started_at"] -= pd.Timedelta(days=400)
    found = collect(facts.tenures(load(people), [AUGUST, SEPTEMBER], "UTC")).set_index(["period", "customer_id"])
    assert ("2026-09", "gone") not in found.index
    assert found.loc[("2026-09", "leaves"), "tenure_days"] == 400 + 257
    assert np.isnan(found.loc[("2026-08", "leaves"), "tenure_days"])
    assert found.loc[("2026-08", "leaves"), "age_days"] == 400 + 242
    assert (found["tenure_days"].isna() == found["age_days"].notna()).all()


# --- visits and mentions -------------------------------------------------------------------------


def test_visits_convert_or_leave_their_cart(load):
    """One row a visit, in the month it began in; abandonment speaks of visits with a cart only."""
    events = pd.DataFrame(
        [
            ("s1", "c1", "2026-09", "web", "visit"),
            ("s1", "c1", "2026-09", "web", "cart"),
            ("s1", "c1", "2026-09", "web", "order"),
            ("s2", None, "2026-09", "app", "visit"),
            ("s2", None, "2026-10", "app", "cart"),
            ("s3", None, "2026-09", "app", "visit"),
            (None, "c2", "2026-09", "app", "order"),
        ],
        columns=["session_id", "customer_id", "period", "channel", "name"],
    )
    found = table(facts.sessions(load(events)), "session_id")
    assert found["ordered"].to_dict() == {"s1": 1, "s2": 0, "s3": 0}
    assert found["ordered_after_cart"].dropna().to_dict() == {"s1": 1, "s2": 0}
    assert set(found["period"]) == {"2026-09"}


def test_mentions_without_readable_text_have_no_sentiment():
    """A blank is not neutral, and the dictionary knows English only."""
    rows = pd.DataFrame(
        {
            "text": ["Great service, I love it!", "Awful, slow and rude.", "", "Muy bien"],
            "language": ["en", "en", "en", "es"],
        }
    )
    found = facts.with_sentiment(rows)["sentiment"]
    assert found[:2].tolist() == [1, -1]
    assert found[2:].isna().all()


def test_engines_agree_on_minutes(load):
    """Whole minutes, also over the change of a day."""
    frame = load(pd.DataFrame({"start": day("09-01", "09-02"), "end": day("09-02", "09-02")}))
    minutes = collect(frame.select(m=facts.minutes_between(frame, "start", nw.col("end"))))["m"]
    assert minutes.tolist() == [1440, 0]
