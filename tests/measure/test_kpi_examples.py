"""Every file in `reports/kpis/`: a hand example that a reader can follow, and identities that hold for any rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxreport.config import Contacts, Dataset, Kpi, Project, load_report
from cxreport.engine import collect, wrap
from cxreport.measure import estimate, facts
from cxreport.measure.kpis import Scope, measure_kpi
from cxreport.measure.value import BgNbd, GammaGamma, clv
from cxreport.periods import Period

REPOSITORY = Path(__file__).resolve().parents[2]
KPIS = sorted(path.stem for path in (REPOSITORY / "reports" / "kpis").glob("*.yml"))
SEPTEMBER = Period.parse("2026-09")
NONE = float("nan")
COMPANY = Dataset(
    title="A company",
    population="its customers",
    industry="any",
    time_zone="UTC",
    raw="data/raw",
    feeds=[],
    margin=0.5,
)


# --- rows to count by hand -----------------------------------------------------------------------


def answers(metric: str, *scores: float, weight: list[float] | None = None) -> pd.DataFrame:
    """Return answers to one question, each from another response, and one to another question, which does not count."""
    n = len(scores)
    rows = pd.DataFrame(
        {"metric": [metric] * n + ["other"], "score": [*scores, 1.0], "weight": [*(weight or [1.0] * n), 1.0]}
    )
    return rows.assign(question=rows["metric"], response_id=[f"r{number}" for number in range(n + 1)])


def three_questions() -> pd.DataFrame:
    """Return answers to all three questions of the experience score."""
    return pd.concat([EXAMPLES[part].rows() for part in ("success", "effort", "emotion")])


def column(name: str, *values: object, **more: list[float]) -> pd.DataFrame:
    return pd.DataFrame({name: values} | more)


def day(*texts: str) -> pd.Series:
    """Return instants of 2026 at noon UTC; an empty text is none."""
    return pd.Series(pd.to_datetime([f"2026-{text}T12:00Z" if text else None for text in texts]))


@cache
def cases() -> pd.DataFrame:
    """Return support cases: two followed by another one, one reopened, three open at the end of September."""
    rows = [
        # customer, team, created, resolved, reopens, replies
        ("a", "billing", "09-01", "09-02", 0, 1),  # quiet: first contact, one contact
        ("b", "billing", "09-01", "09-02", 0, 1),  # the same issue again: neither
        ("b", "billing", "09-05", "09-06", 0, 1),  # quiet afterwards: both
        ("c", "billing", "09-01", "09-02", 0, 1),  # another issue within the week: first contact, not one contact
        ("c", "repairs", "09-04", "09-05", 0, 1),  # both
        ("d", "billing", "09-01", "09-02", 1, 1),  # reopened: neither
        ("e", "billing", "09-01", "", 0, 1),  # open
        ("f", "billing", "09-28", "09-29", 0, 1),  # its week is not over
        ("g", "billing", "09-30", "", 0, 0),  # open
        ("h", "repairs", "09-01", "09-02", 0, 3),  # three replies: first contact, not one contact
        ("i", "repairs", "08-20", "10-02", 0, 1),  # resolved after the end of September, and its week is not over
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "team", "created", "resolved", "reopens", "replies"])
    created, resolved = day(*frame["created"]), day(*frame["resolved"])
    ids = [f"t{number}" for number in range(len(frame))]
    return frame.assign(ticket_id=ids, created_at=created, first_replied_at=created, resolved_at=resolved)


def contacts() -> pd.DataFrame:
    frame = wrap(cases())
    return collect(facts.tickets(frame, Contacts(same_issue=["team"], window_days=7), facts.seen_by(frame)))


def open_cases() -> pd.DataFrame:
    return collect(facts.open_cases(wrap(cases()), [SEPTEMBER], "UTC"))


@cache
def customer_periods() -> pd.DataFrame:
    """Return September's customers: four at its start, one of whom leaves, and one who joins.

    Their 27,000 a month grow by 8,000 and lose 5,000, as in ChurnZero's example of net revenue retention.
    """
    customers = pd.DataFrame(
        {
            "customer_id": ["grows", "leaves", "free", "silent", "joins", "gone"],
            "started_at": day("01-01", "01-01", "02-01", "03-01", "09-10", "01-01"),
            "ended_at": day("", "09-15", "", "", "", "08-15"),
        }
    )
    subscriptions = pd.DataFrame(
        {
            "customer_id": ["grows", "grows", "leaves", "joins", "gone"],
            "started_at": day("01-01", "09-10", "01-01", "09-10", "01-01"),
            "ended_at": day("09-10", "", "09-15", "", "08-15"),
            "monthly_value": [22_000.0, 30_000.0, 5_000.0, 1_000.0, 9_000.0],
        }
    )
    orders = pd.DataFrame(
        [
            ("grows", "09-02", 100.0, "upsell"),
            ("grows", "09-05", 50.0, "cross_sell"),
            ("leaves", "09-03", 40.0, "new"),
            ("leaves", "09-04", 40.0, "refund"),
            ("free", "08-01", 60.0, "new"),
            ("free", "09-20", 20.0, "cross_sell"),
            ("joins", "09-11", 30.0, "new"),
            ("gone", "08-02", 70.0, "new"),
        ],
        columns=["customer_id", "ordered", "amount", "kind"],
    )
    orders = orders.assign(ordered_at=day(*orders["ordered"]), period="2026-" + orders["ordered"].str[:2])
    rows = facts.customer_periods(*map(wrap, (customers, subscriptions, orders)), [SEPTEMBER], COMPANY)
    return collect(rows)


def sessions() -> pd.DataFrame:
    """Return four visits: three with a cart, of which one ends with an order."""
    seen = {"s1": ["visit", "cart", "order"], "s2": ["visit", "cart"], "s3": ["cart"], "s4": ["visit"]}
    rows = [(session, None, "2026-09", "web", name) for session, names in seen.items() for name in names]
    events = pd.DataFrame(rows, columns=["session_id", "customer_id", "period", "channel", "name"])
    return collect(facts.sessions(wrap(events.astype({"customer_id": "str"}))))


def mentions() -> pd.DataFrame:
    """Return two friendly mentions, an angry one, a flat one, and two that cannot be read."""
    texts = ["Great service, I love it!", "Very happy", "Awful, slow and rude.", "The office is in Elm Street.", " "]
    rows = pd.DataFrame({"text": [*texts, "Muy bien"], "language": [*["en"] * 5, "es"]})
    return facts.with_sentiment(rows)


# --- hand examples -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """Rows of a KPI's table, how many of them count, and the figure."""

    rows: Callable[[], pd.DataFrame]
    n: int
    value: float


EXAMPLES = {
    # Rocks (2016): 70 promoters, 20 passives, 10 detractors; the classes' ends are all there.
    "nps": Example(partial(answers, "nps", *[10, 9] * 35, *[8, 7] * 10, *[6, 0] * 5, NONE), 100, 60),
    # Weights 1 + 2 promote, 2 + 1 do not care, 1 + 1 detract: (3 - 2) / 8; no weight, no vote.
    "nps_weighted": Example(partial(answers, "nps", 10, 9, 8, 7, 6, 0, 10, weight=[1, 2, 2, 1, 1, 1, NONE]), 6, 12.5),
    "enps": Example(partial(answers, "enps", 10, 9, 9, 8, 7, 7, 7, 7, 6, 0, NONE), 10, 10),
    "csat": Example(partial(answers, "csat", 5, 4, 3, 2, 1, NONE), 5, 0.4),
    "csat_top_box": Example(partial(answers, "csat", 5, 4, 3, 2, 1, NONE), 5, 0.2),
    "csat_mean": Example(partial(answers, "csat", 5, 4, 4, 1, NONE), 4, 3.5),
    "ces_v1": Example(partial(answers, "ces_v1", 1, 2, 3, 5), 4, 2.75),
    "ces_v2": Example(partial(answers, "ces_v2", 1, 7, 6, 6), 4, 5),
    "ces_v2_agree": Example(partial(answers, "ces_v2", 7, 6, 5, 4, 1), 5, 0.6),
    "success": Example(partial(answers, "success", 7, 6, 5, 4, 3), 5, 20),
    "effort": Example(partial(answers, "effort", 7, 7, 6, 6, 5, 4, 3, 1), 8, 25),
    "emotion": Example(partial(answers, "emotion", 6, 5, 4, 3, 2), 5, -20),
    "success_effort_emotion": Example(three_questions, 5 + 8 + 5, (20 + 25 - 20) / 3),
    "item_mean": Example(partial(answers, "item", 5, 4, 3, 1, NONE), 4, 3.25),
    "item_top_two": Example(partial(answers, "item", 5, 4, 3, 1, NONE), 4, 0.5),
    "response_rate": Example(partial(column, "response_id", "r1", None, "r2", None, None), 5, 0.4),
    # Three of four who started; who never opened the invitation does not count.
    "completion_rate": Example(
        partial(
            column,
            "response_id",
            *("r1", "r2", "r3", None, None, None),
            status=["finished", "finished", "finished", "started", "sent", "bounced"],
        ),
        4,
        0.75,
    ),
    # The middle one; a case without a reply waits longer than any.
    "first_response_time": Example(partial(column, "reply_minutes", 30, 10, NONE), 3, 30),
    "first_response_time_p90": Example(partial(column, "reply_minutes", *range(10, 101, 10), NONE), 11, 100),
    "first_response_business_time": Example(partial(column, "reply_business_minutes", 25, 5, 15, NONE), 4, 20),
    "resolution_time": Example(partial(column, "resolution_minutes", 400, 100, 200, 300, NONE), 5, 300),
    # Rank 1 + 0.9 * 11 = 10.9: nine tenths of the way from the tenth to the eleventh of twelve cases.
    "resolution_time_p90": Example(partial(column, "resolution_minutes", *range(10, 111, 10), NONE), 12, 109),
    "resolution_business_time": Example(partial(column, "resolution_business_minutes", 40, 20, 60, NONE), 4, 50),
    # Kaplan-Meier: 3/4 wait longer than 60 minutes, and of the two that are left after 100 a half longer than 200.
    "reply_within_4_hours": Example(
        partial(column, "reply_minutes", 60, NONE, 200, 300, reply_age_minutes=[NONE, 100, NONE, NONE]), 4, 1 - 3 / 8
    ),
    # 4/5 last longer than 600 minutes, 2/3 of the three that are left after 900 longer than 1200.
    "resolved_within_24_hours": Example(
        partial(column, "resolution_minutes", 600, NONE, 1200, 2000, 3000, age_minutes=[NONE, 900, NONE, NONE, NONE]),
        5,
        1 - 8 / 15,
    ),
    # 4/5 stay longer than 100 days, 2/3 of the three who are left after 200 longer than 300.
    "retention_12_months": Example(
        partial(column, "tenure_days", 100, NONE, 300, NONE, NONE, age_days=[NONE, 200, NONE, 400, 500]), 5, 8 / 15
    ),
    "first_contact_resolution": Example(contacts, 7, 5 / 7),
    "one_contact_resolution": Example(contacts, 7, 3 / 7),
    "reopen_rate": Example(contacts, 9, 1 / 9),
    "backlog": Example(open_cases, 3, 3),
    "service_cost": Example(partial(column, "cost", 10, 5, 3, NONE), 3, 6),
    # (E - N) / S: four at the start, four at the end, one of them new.
    "retention": Example(customer_periods, 4, (4 - 1) / 4),
    "logo_churn": Example(customer_periods, 4, 1 / 4),
    # ChurnZero: 111 %; without the growth 81.5 %.
    "net_revenue_retention": Example(customer_periods, 4, (27_000 + 8_000 - 5_000) / 27_000),
    "gross_revenue_retention": Example(customer_periods, 4, (27_000 - 5_000) / 27_000),
    "purchase_frequency": Example(customer_periods, 4, (2 + 1 + 1 + 1) / 4),
    "repeat_purchase_rate": Example(customer_periods, 4, 2 / 4),
    "upsell_rate": Example(customer_periods, 4, 1 / 4),
    "cross_sell_rate": Example(customer_periods, 4, 2 / 4),
    # Half of 150, of nothing, of 80 and of 30.
    "historic_value": Example(customer_periods, 4, (75 + 0 + 40 + 15) / 4),
    "conversion": Example(sessions, 4, 1 / 4),
    "cart_abandonment": Example(sessions, 3, 2 / 3),
    "net_sentiment": Example(mentions, 4, 100 * (2 - 1) / 4),
    "public_rating": Example(partial(column, "rating", 5, 4, 1, NONE), 3, 10 / 3),
}
# Fitted to hundreds of buyers; its example is an annuity, below.
FITTED = ["lifetime_value"]


@pytest.mark.parametrize("kpi", KPIS)
def test_kpi_equals_its_hand_example(kpi, kpis):
    """Every KPI file has an example, and its base and figure are those counted by hand."""
    if kpis[kpi].type == "value":
        assert kpi in FITTED, "a KPI file without a hand example"
        return
    assert kpi in EXAMPLES, "a KPI file without a hand example"
    example = EXAMPLES[kpi]
    found = total(example.rows(), kpis[kpi])
    assert found["n"] == example.n
    assert found["value"] == pytest.approx(example.value, abs=1e-12)


def test_hand_examples_are_of_kpis_that_exist():
    """An example whose KPI was renamed or removed is dead."""
    assert {*EXAMPLES, *FITTED} == set(KPIS)


# --- identities of every KPI ---------------------------------------------------------------------


def drawn(kpi: Kpi, n: int = 240) -> pd.DataFrame:
    """Return random rows that fit a KPI, one in twenty without an answer, in three levels."""
    random = np.random.default_rng(7)
    rows = pd.DataFrame({"question": "q", "level": random.choice(["a", "b", "c"], n)})
    for name, allowed in kpi.where.items():
        rows[name] = random.choice([allowed] if isinstance(allowed, str) else allowed, n)
    if kpi.cluster:
        rows[kpi.cluster] = random.integers(n // 2, size=n).astype(str)
    if kpi.weight:
        rows[kpi.weight] = random.uniform(0.2, 4, n)
    if kpi.ratio:
        rows[kpi.ratio.to] = random.lognormal(3, 1, n)
        rows[kpi.ratio.of] = rows[kpi.ratio.to] * random.uniform(0, 1, n)
    elif kpi.counts:
        rows[kpi.counts] = np.where(random.random(n) < 0.4, "r", None)
    elif kpi.type != "count":
        usual = kpi.at or 100
        scores = random.integers(kpi.scale.low, kpi.scale.high + 1, n) if kpi.scale else random.exponential(usual, n)
        is_missing = random.random(n) < 1 / 20
        rows[answer_column(kpi)] = np.where(is_missing, np.nan, scores)
        if kpi.age:
            rows[kpi.age] = np.where(is_missing, random.exponential(usual, n), np.nan)
    return rows


def answer_column(kpi: Kpi) -> str:
    return kpi.column or "score"


def changed(kpi: Kpi, **keys: object) -> Kpi:
    return kpi.model_copy(update=keys)


def together(kpi: Kpi, **variants: pd.DataFrame) -> list[pd.Series]:
    """Return the estimate of each variant of the rows."""
    frame = pd.concat([rows.assign(variant=name) for name, rows in variants.items()])
    found = estimate(frame, kpi, by=["variant"]).set_index("variant")
    return [found.loc[name] for name in variants]


def total(rows: pd.DataFrame, kpi: Kpi) -> pd.Series:
    """Return the one estimate of all rows."""
    return together(kpi, all=rows)[0]


def is_mirrored(here: pd.Series, there: pd.Series, ends: float) -> bool:
    """Say whether two figures, and their intervals end for end, add up to a number."""
    ours, theirs = here[["value", "ci_low", "ci_high"]], there[["value", "ci_high", "ci_low"]]
    return np.allclose(ours.to_numpy(dtype=float) + theirs.to_numpy(dtype=float), ends, rtol=1e-9, atol=1e-9)


def net_turns_its_sign(kpi: Kpi, rows: pd.DataFrame) -> None:
    """With the classes exchanged."""
    assert is_mirrored(total(rows, kpi), total(rows, changed(kpi, top=kpi.bottom, bottom=kpi.top)), 0)


def share_and_its_complement_make_one(kpi: Kpi, rows: pd.DataFrame) -> None:
    """Of all other points of the scale, or of the rows that are not filled in."""
    if kpi.counts:
        others = rows.assign(**{kpi.counts: np.where(rows[kpi.counts].isna(), "r", None)})
        assert is_mirrored(*together(kpi, rows=rows, others=others), 1)
    else:
        scale = np.arange(kpi.scale.low, kpi.scale.high + 1)
        others = changed(kpi, top=[point for point in scale if point not in kpi.top])
        assert is_mirrored(total(rows, kpi), total(rows, others), 1)


def mean_moves_with_its_scale(kpi: Kpi, rows: pd.DataFrame) -> None:
    """A scale turned round turns the mean round; three times the money is three times the mean."""
    name = answer_column(kpi)
    if kpi.scale:
        ends = kpi.scale.low + kpi.scale.high
        here, turned = together(kpi, here=rows, turned=rows.assign(**{name: ends - rows[name]}))
        assert kpi.scale.low <= here["ci_low"] < here["ci_high"] <= kpi.scale.high
        assert is_mirrored(here, turned, ends)
    else:
        figures = ["value", "ci_low", "ci_high", "se"]
        here, dearer = together(kpi, here=rows, dearer=rows.assign(**{name: 3 * rows[name]}))
        assert np.allclose(dearer[figures].astype(float), 3 * here[figures].astype(float))


def ratio_has_no_currency(kpi: Kpi, rows: pd.DataFrame) -> None:
    """It follows its numerator alone, and is below 1 where every numerator is below its denominator."""
    of, to = kpi.ratio.of, kpi.ratio.to
    exchanged, doubled = rows.assign(**{of: 7 * rows[of], to: 7 * rows[to]}), rows.assign(**{of: 2 * rows[of]})
    here, other, twice = together(kpi, here=rows, exchanged=exchanged, doubled=doubled)
    assert here["value"] == pytest.approx(rows[of].sum() / rows[to].sum())
    assert 0 < here["ci_low"] < here["value"] < here["ci_high"] < 1
    assert other["ci_low"] == pytest.approx(here["ci_low"])
    assert twice["value"] == pytest.approx(2 * here["value"])


def quantile_is_monotone(kpi: Kpi, rows: pd.DataFrame) -> None:
    """In its level and in the number of open cases, and seconds are sixty times minutes."""
    name = answer_column(kpi)
    fewer, seconds = rows[name].mask(rows.index < 5), 60 * rows[name]
    here, slower, finer = together(
        kpi, here=rows, slower=rows.assign(**{name: fewer}), seconds=rows.assign(**{name: seconds})
    )
    assert here["value"] <= slower["value"]
    assert finer["value"] == pytest.approx(60 * here["value"])
    lower = total(rows, changed(kpi, quantile=kpi.quantile - 0.1))
    assert lower["value"] < here["value"]
    assert here["ci_low"] < here["value"] < here["ci_high"]


def open_and_over_make_one(kpi: Kpi, rows: pd.DataFrame) -> None:
    """At every time, and more are over as time passes."""
    other = {"over": "still_open", "still_open": "over"}[kpi.shows]
    here = total(rows, kpi)
    assert is_mirrored(here, total(rows, changed(kpi, shows=other)), 1)
    later = total(rows, changed(kpi, at=2 * kpi.at))
    assert (later["value"] > here["value"]) == (kpi.shows == "over")


def count_is_complete(kpi: Kpi, rows: pd.DataFrame) -> None:
    """It counts every row and claims no error."""
    here = total(rows, kpi)
    assert here["value"] == here["n"] == len(rows)
    assert here[["ci_low", "ci_high", "se"]].isna().all()


IDENTITIES = {
    "net": net_turns_its_sign,
    "share": share_and_its_complement_make_one,
    "mean": mean_moves_with_its_scale,
    "ratio": ratio_has_no_currency,
    "quantile": quantile_is_monotone,
    "survival": open_and_over_make_one,
    "count": count_is_complete,
}


@pytest.mark.parametrize("kpi", KPIS)
def test_kpi_keeps_the_identity_of_its_type(kpi, kpis):
    """Every KPI file, with its own columns, scale and classes, obeys the identity of what it is."""
    if kpi not in FITTED:  # whose identities stand below
        IDENTITIES[kpis[kpi].type](kpis[kpi], drawn(kpis[kpi]))


@pytest.mark.parametrize("kpi", [kpi for kpi in KPIS if kpi not in FITTED])
def test_rows_make_a_kpi_in_any_order_number_and_division(kpi, kpis):
    """Shuffled rows give the same digits, all rows twice the same figure, and levels make up the total.

    Of a count, twice the rows are twice the figure; a total per answer is the mean of its levels by their weights.
    """
    definition = kpis[kpi]
    rows = drawn(definition)
    shuffled = rows.sample(frac=1, random_state=1)
    parts = dict(list(rows.groupby("level")))
    once, again, twice, *levels = together(
        definition, once=rows, again=shuffled, twice=pd.concat([shuffled, rows]), **parts
    )
    pd.testing.assert_series_equal(once, again, check_names=False)
    assert twice["n"] == 2 * once["n"]
    assert sum(level["n"] for level in levels) == once["n"]
    if definition.type == "count":
        assert twice["value"] == sum(level["value"] for level in [once, *levels]) == 2 * once["value"]
        return
    # Between two cases a quantile is interpolated, and twice as many lie nearer.
    assert twice["value"] == pytest.approx(once["value"], rel=0.05 if definition.quantile else 1e-9)
    if definition.is_per_answer:
        weights = [weight_of(part, definition) for part in parts.values()]
        mean = np.average([level["value"] for level in levels], weights=weights)
        assert once["value"] == pytest.approx(mean, rel=1e-9)


def weight_of(rows: pd.DataFrame, kpi: Kpi) -> float:
    """Return what the rows with an answer weigh."""
    if kpi.counts:
        return len(rows)
    counted = rows if kpi.ratio else rows.dropna(subset=answer_column(kpi))
    weight = kpi.ratio.to if kpi.ratio else kpi.weight
    return counted[weight].sum() if weight else len(counted)


# --- identities between KPIs ---------------------------------------------------------------------


def values(rows: pd.DataFrame, kpis: dict[str, Kpi], *ids: str) -> list[float]:
    return [total(rows, kpis[kpi])["value"] for kpi in ids]


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("csat_top_box", "csat"),
        ("ces_v2_agree", None),
        ("first_response_time", "first_response_time_p90"),
        ("resolution_time", "resolution_time_p90"),
    ],
)
def test_narrower_class_or_lower_quantile_is_smaller(smaller, larger, kpis):
    """Very satisfied are satisfied; half of the cases wait no longer than nine in ten; a share is at most 1."""
    rows = drawn(kpis[smaller])
    assert total(rows, kpis[smaller])["value"] < (total(rows, kpis[larger])["value"] if larger else 1)


def test_contacts_are_ordered_from_strict_to_lax(kpis):
    """One contact implies first contact, and a case resolved at first contact was not reopened."""
    rows = contacts()
    strict, lax = rows["one_contact_resolved"], rows["first_contact_resolved"]
    assert (strict[lax.notna()] <= lax.dropna()).all()
    one, first, reopened = values(
        rows.dropna(subset="first_contact_resolved"),
        kpis,
        *("one_contact_resolution", "first_contact_resolution", "reopen_rate"),
    )
    assert one <= first <= 1 - reopened


def test_who_does_not_stay_has_left(kpis):
    """Retention and churn of the same customers make 1."""
    assert sum(values(customer_periods(), kpis, "retention", "logo_churn")) == 1


def test_growth_can_only_raise_revenue_retention(kpis):
    """Gross is at most net and at most 1; without growth both are the same."""
    rows = customer_periods()
    gross, net = values(rows, kpis, "gross_revenue_retention", "net_revenue_retention")
    assert gross <= min(net, 1)
    shrinking = rows.assign(end_value=rows["kept_value"])
    assert values(shrinking, kpis, "net_revenue_retention") == [gross]


def test_repeat_buyers_and_frequency_speak_of_the_same_buyers(kpis):
    """Both have the buyers of the month as their base, and nobody buys less than once."""
    rows = customer_periods()
    often, repeat = (total(rows, kpis[kpi]) for kpi in ("purchase_frequency", "repeat_purchase_rate"))
    assert often["n"] == repeat["n"] == rows["orders"].notna().sum()
    assert often["value"] >= 1


def test_more_products_can_be_sold_to_nobody_but_customers(kpis):
    """Both rates have the customers at the start as their base, as retention has."""
    found = [total(customer_periods(), kpis[kpi])["n"] for kpi in ("upsell_rate", "cross_sell_rate", "retention")]
    assert len(set(found)) == 1


def test_visits_with_a_cart_end_one_way_or_the_other(kpis):
    """Where only visits with a cart can order, orders are carts less those left behind."""
    ordered, left_behind = (total(sessions(), kpis[kpi]) for kpi in ("conversion", "cart_abandonment"))
    assert ordered["n_top"] == left_behind["n"] - left_behind["n_top"]


def test_scale_of_weights_does_not_matter_and_equal_weights_are_none(kpis):
    """Weights ten times as large change nothing; weights of 1 give the plain score with its standard error."""
    rows = drawn(kpis["nps_weighted"])
    here, heavier = (total(rows.assign(weight=rows["weight"] * factor), kpis["nps_weighted"]) for factor in (1, 10))
    assert np.allclose(here[["value", "se", "n_eff"]].astype(float), heavier[["value", "se", "n_eff"]].astype(float))
    equal, plain = total(rows.assign(weight=1.0), kpis["nps_weighted"]), total(rows, kpis["nps"])
    assert equal["value"] == pytest.approx(plain["value"])
    assert equal["n_eff"] == pytest.approx(plain["n"])
    assert equal["se"] == pytest.approx(plain["se"] * np.sqrt(plain["n"] / (plain["n"] - 1)))


def test_experience_is_the_mean_of_its_three_parts(kpis):
    """However many answered each of them."""
    rows = drawn(kpis["success_effort_emotion"])
    parts = values(rows, kpis, "success", "effort", "emotion")
    assert values(rows, kpis, "success_effort_emotion") == [pytest.approx(np.mean(parts))]


def test_same_scores_give_the_same_figure_under_every_name(kpis):
    """Employees' score is the customers' one; an item is rated as satisfaction is; a mean is the sum of its boxes."""
    rows = drawn(kpis["nps"])
    assert values(rows.assign(metric="enps"), kpis, "enps") == values(rows, kpis, "nps")
    rows = drawn(kpis["csat"])
    items = rows.assign(metric="item")
    assert values(items, kpis, "item_top_two") == values(rows, kpis, "csat")
    assert values(items, kpis, "item_mean") == values(rows, kpis, "csat_mean")
    at_least = [total(rows, changed(kpis["csat"], top=list(range(low, 6))))["value"] for low in (2, 3, 4, 5)]
    assert 1 + sum(at_least) == pytest.approx(values(rows, kpis, "csat_mean")[0])


def test_items_are_rated_one_by_one(kpis):
    """Each item has the figure that it has alone."""
    rows = drawn(kpis["item_mean"]).assign(question=lambda frame: frame["level"])
    for kpi in ("item_mean", "item_top_two"):
        found = estimate(rows, kpis[kpi]).set_index("question")["value"]
        alone = together(kpis[kpi], **{str(item): own.assign(question="q") for item, own in rows.groupby("question")})
        assert found.tolist() == [one["value"] for one in alone]


def test_finished_surveys_are_fewer_than_started_ones(kpis):
    """The answered of all invitations are the finished share of those who started."""
    rows = EXAMPLES["completion_rate"].rows()
    answered, finished = (total(rows, kpis[kpi]) for kpi in ("response_rate", "completion_rate"))
    assert answered["n_top"] == finished["n_top"]
    assert answered["value"] * answered["n"] == pytest.approx(finished["value"] * finished["n"])
    assert answered["value"] < finished["value"]


# --- lifetime value ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """Eighteen months of orders of buyers who differ in how often they buy, how much, and when they stop."""
    random = np.random.default_rng(3)
    start, end, rows = pd.Timestamp("2025-04-01T12:00Z"), 540, []
    for number in range(400):
        rate, stops, amount = random.gamma(1.2, 1 / 40), random.beta(1.5, 4), random.gamma(6, 8)
        at = random.uniform(0, end - 30)
        while at < end:
            rows.append((f"c{number}", start + pd.Timedelta(days=int(at)), amount * random.uniform(0.6, 1.4), "repeat"))
            if random.random() < stops:
                break
            at += 1 + random.exponential(1 / rate)
    return pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount", "kind"])


@pytest.fixture(scope="module")
def lifetime(kpis):
    """Return the lifetime value of September, as the report computes it."""
    report = load_report(Project(REPOSITORY), "monthly")

    def lifetime(orders: pd.DataFrame, margin: float = 0.5, **keys: object) -> pd.Series:
        dataset = COMPANY.model_copy(update={"margin": margin})
        scope = Scope(report, dataset, {}, SEPTEMBER)
        figures, _ = measure_kpi(wrap(orders), changed(kpis["lifetime_value"], **keys), scope)
        return figures.set_index("period").loc["2026-09"]

    return lifetime


def test_lifetime_value_of_a_steady_buyer_is_an_annuity(kpis):
    """One order of 50 a month at a margin of 0.6: 30 at the middle of each of 36 months, at 10 % a year.

    Where nobody ever stops, a buyer who orders as often and for as much as all do on average goes on like that.
    """
    kpi = kpis["lifetime_value"]
    weeks = 365.25 / 12 / 7
    buyer = pd.DataFrame({"customer_id": ["c"], "frequency": 24, "recency": 23 * weeks, "T": 24 * weeks})
    purchases = BgNbd(r=2.0, alpha=2 * weeks, a=1e-9, b=1.0)
    amounts = GammaGamma(p=4.0, q=3.0, v=50 * (3 - 1) / 4)
    found = clv(
        buyer.assign(monetary_value=50.0),
        purchases,
        amounts,
        months=kpi.months,
        discount_rate_per_year=kpi.discount_rate,
        margin=0.6,
    )
    assert (kpi.months, kpi.discount_rate) == (36, 0.1)
    monthly = 1.1 ** (-1 / 12)
    annuity = 30 * monthly**0.5 * (1 - monthly**36) / (1 - monthly)
    assert annuity == pytest.approx(939.32, abs=0.01)
    assert found["clv"].item() == pytest.approx(annuity, rel=1e-6)


def test_lifetime_value_follows_margin_time_and_rate(orders, lifetime):
    """Twice the margin is twice the value; more months are worth more and their discount less; order does not matter.

    A refund is no purchase, whatever its sign in the export.
    """
    refunds = orders.iloc[[0, 5, 9]].assign(kind="refund")
    here = lifetime(pd.concat([orders, refunds]))
    assert here["n"] == orders["customer_id"].nunique()
    assert 0 < here["ci_low"] < here["value"] < here["ci_high"]
    negative = pd.concat([refunds.assign(amount=-refunds["amount"]), orders.sample(frac=1, random_state=1)])
    double = lifetime(negative, margin=1.0)
    figures = ["value", "ci_low", "ci_high", "se"]
    assert np.allclose(double[figures].astype(float), 2 * here[figures].astype(float), rtol=1e-9)
    undiscounted = lifetime(negative, discount_rate=0.0)
    assert here["value"] < undiscounted["value"] < here["value"] * 1.1**3


def test_no_lifetime_value_without_buyers_who_return(orders, lifetime):
    """First orders alone tell nothing about the next one: a base, a note and no figure."""
    found = lifetime(orders.drop_duplicates("customer_id"))
    assert np.isnan(found["value"])
    assert found["note"].startswith("no figure: 0 customers with a repeat purchase")
