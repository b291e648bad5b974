"""Gates on whole feeds: empty feeds, collapsed volumes and missing days, against the feed's own history."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxreport.errors import DefinitionError
from cxreport.periods import Period
from cxreport.validate import read_verdict
from cxreport.validate.profiles import profile_feed
from cxreport.validate.rows import Calendar
from cxreport.validate.suites import Suites

PERIOD = Period.parse("2026-09")
AS_OF_END = pd.Timestamp("2026-10-03T05:00:00Z")
GOOD = {
    "n_rows": 900.0,
    "share_of_usual": 1.0,
    "days_covered_share": 1.0,
    "accepted_share": 1.0,
    "known_customer_share": 1.0,
}
# What breaks each rule, and the nearest value that does not.
EDGES = {
    "month_has_rows": ("n_rows", 0.0, 1.0),
    "list_not_empty": ("n_rows", 0.0, 1.0),
    "volume_not_collapsed": ("share_of_usual", 0.19, 0.2),
    "volume_not_multiplied": ("share_of_usual", 5.1, 5.0),
    "volume_usual": ("share_of_usual", 2.01, 2.0),
    "days_not_missing": ("days_covered_share", 0.19, 0.5),
    "days_covered": ("days_covered_share", 0.49, 0.9),
    "rows_not_mostly_rejected": ("accepted_share", 0.49, 0.5),
    "rows_accepted": ("accepted_share", 0.89, 0.9),
    "customers_not_missing": ("known_customer_share", 0.49, 0.5),
    "customers_known": ("known_customer_share", 0.94, 0.95),
}
# The pulse runs for less than half of each month.
PULSE_EDGES = {
    "days_not_missing": ("days_covered_share", 0.09, 0.1),
    "days_covered": ("days_covered_share", 0.24, 0.25),
}


def committed(root):
    """Return the rules of every suite of gates."""
    return {
        path.stem: [expectation["meta"]["rule"] for expectation in json.loads(path.read_text())["expectations"]]
        for path in sorted((root / "expectations" / "suites").glob("feed*.json"))
    }


@pytest.fixture(scope="session")
def suites(good):
    """The committed suites."""
    return Suites.open(good[0].project, "sample")


def test_every_gate_stops_at_its_edge(suites, root):
    """Each rule of each feed's suite fails on a worse month and holds on one just good enough."""
    for suite, names in committed(root).items():
        rules = suites.of_feed(suite.removeprefix("feed_"))
        assert {found.suite for found in rules} == {suite}
        edges = EDGES | PULSE_EDGES if suite == "feed_pulse" else EDGES
        months = [GOOD | {edges[name][0]: value} for name in names for value in edges[name][1:]]
        broken = dict(zip([rule.id for rule in rules], suites.run(rules, pd.DataFrame(months), AS_OF_END), strict=True))
        for position, name in enumerate(names):
            assert {2 * position, 2 * position + 1} & set(broken[name]) == {2 * position}, (suite, name)


def test_feed_that_never_delivered_stops_the_month(company):
    """No row at all passes every rule on rows, so the reported month counts as empty."""
    company.drop("tickets", company.tables["tickets"].index)
    verdict = company.validate()
    assert verdict.decision == "stop"
    gate = company.gate_of(verdict, "tickets", "month_has_rows")
    assert (gate.outcome, gate.found) == ("stopped", "0 rows")


def test_feed_without_rows_in_the_month_stops_it(company):
    """A feed that delivered before and holds nothing for the month is a failed delivery."""
    company.drop("orders", company.rows("orders"))
    verdict = company.validate()
    assert verdict.decision == "stop"
    gate = company.gate_of(verdict, "orders", "month_has_rows")
    assert (gate.outcome, gate.found, gate.expected) == ("stopped", "0 rows", "at least 1")
    assert read_verdict(company.project, "sample", PERIOD.previous).decision == "publish"


def test_collapsed_volume_stops_the_month(company):
    """A tenth of the usual month, spread over all days, is an incomplete export."""
    company.drop("invitations", [row for at, row in enumerate(company.rows("invitations")) if at % 10])
    verdict = company.validate()
    gate = company.gate_of(verdict, "invitations", "volume_not_collapsed")
    assert (verdict.decision, gate.outcome, gate.found) == ("stop", "stopped", "10% of the rows of a usual month")


def test_unusual_volume_is_a_footnote(company):
    """A quarter of the usual rows on every day is noted, and readers are told."""
    company.drop("orders", [row for at, row in enumerate(company.rows("orders")) if at % 4])
    verdict = company.validate()
    assert verdict.decision == "publish with footnotes"
    assert verdict.footnotes == ["The feed orders holds 24% of the rows of a usual month; expected: 50% to 200%."]


def test_missing_days_are_noted_and_many_of_them_stop(company):
    """Three weeks of four make a footnote, one week stops the month."""
    rows = company.rows("tickets")
    company.drop("tickets", rows[: 4 * 8])
    verdict = company.validate()
    assert company.gate_of(verdict, "tickets", "days_covered").outcome == "noted"
    company.drop("tickets", rows[4 * 8 : 4 * 20])
    assert company.gate_of(company.validate(), "tickets", "days_not_missing").outcome == "stopped"


def test_mostly_rejected_feed_stops_the_month(company):
    """Warning rules that reject nine rows of ten leave too little of a feed, and some of them a footnote."""
    company.spoil("tickets", "priority", "Immediate", n=108)
    verdict = company.validate()
    gate = company.gate_of(verdict, "tickets", "rows_not_mostly_rejected")
    assert (verdict.decision, gate.outcome, gate.found) == ("stop", "stopped", "10.0% accepted rows")
    assert company.gate_of(verdict, "orders", "rows_accepted").found == "100.0% accepted rows"
    assert read_verdict(company.project, "sample", PERIOD.previous).decision == "publish"


def test_repeated_delivery_does_not_fill_a_month(company):
    """Half the days, delivered twice, are half a month of rows and days."""
    rows = company.rows("tickets")
    company.drop("tickets", rows[60:])
    company.repeat("tickets", rows[:60])
    verdict = company.validate()
    assert company.gate_of(verdict, "tickets", "month_has_rows").found == "60 rows"
    assert company.gate_of(verdict, "tickets", "volume_usual").found == "48% of the rows of a usual month"
    assert company.gate_of(verdict, "tickets", "days_covered").found == "50% of the days of the month"
    assert company.gate_of(verdict, "tickets", "rows_accepted").found == "50.0% accepted rows"


def test_days_of_rejected_rows_are_not_covered(company):
    """A day counts when at least one of its rows is accepted."""
    company.spoil("tickets", "priority", "Immediate", n=4 * 6)
    gate = company.gate_of(company.validate(), "tickets", "days_covered")
    assert (gate.outcome, gate.found) == ("noted", "80% of the days of the month")


def test_mostly_rejected_list_of_customers_stops_the_month(company):
    """A table without dates is judged in the reported month."""
    company.spoil("customers", "plan", "unheard of", n=45)
    gate = company.gate_of(company.validate(), "customers", "rows_not_mostly_rejected")
    assert (gate.outcome, gate.found) == ("stopped", "10.0% accepted rows")


@pytest.mark.parametrize(("left", "decision", "stopped"), [(5, "stop", True), (46, "publish with footnotes", False)])
def test_truncated_list_of_customers_is_noticed(company, left, decision, stopped):
    """Rows whose customers are not on the list would lose their region and plan without a word."""
    company.drop("customers", company.tables["customers"].index[left:])
    verdict = company.validate()
    assert verdict.decision == decision
    for feed in ("survey", "invitations", "tickets", "orders"):
        assert (company.gate_of(verdict, feed, "customers_not_missing").outcome == "stopped") is stopped
        assert company.gate_of(verdict, feed, "customers_known").outcome == "noted"
    assert not [gate for gate in verdict.gates if (gate.feed, gate.rule) == ("customers", "customers_known")]


@pytest.mark.parametrize("without", ["list", "segments"])
def test_unknown_customers_matter_only_where_segments_come_from_them(company, without):
    """Without a list of customers, or without segments from it, no share of known customers is judged."""
    if without == "list":
        del company.tables["customers"]
    else:
        company.drop("customers", company.tables["customers"].index[5:])
        company.dataset = company.dataset.model_copy(update={"segments_from_customers": []})
    assert not [gate for gate in company.validate().gates if gate.rule in {"customers_not_missing", "customers_known"}]


def test_usual_month_is_the_median_of_up_to_six_before():
    """The share divides by the median of six earlier months, is empty before three, and gaps count as empty months."""
    sizes = {"2026-01": 10, "2026-02": 20, "2026-03": 30, "2026-05": 40, "2026-06": 50, "2026-07": 60, "2026-08": 70}
    instants = [pd.Timestamp(f"{month}-{1 + at % 28:02d}T18:00Z") for month, n in sizes.items() for at in range(n)]
    profile = profile_feed("orders", judged_orders(instants), calendar_of("2026-09"))
    profile["period"] = [calendar_of("2026-09").month(month).id for month in profile["month"]]
    assert profile["period"].to_list() == [f"2026-{month:02d}" for month in range(1, 10)]
    assert profile["n_rows"].to_list() == [10, 20, 30, 0, 40, 50, 60, 70, 0]
    share = profile.set_index("period")["share_of_usual"]
    assert share["2026-01":"2026-03"].isna().all()
    assert share["2026-05"] == 40 / 15  # median of 10, 20, 30, 0
    assert share["2026-08"] == 70 / 35  # median of 20, 30, 0, 40, 50, 60
    assert profile.set_index("period").loc["2026-02", "days_covered_share"] == 20 / 28


def test_rows_without_a_possible_date_are_no_volume():
    """Rows dated after the export, or not at all, fill no month of a feed."""
    instants = [pd.Timestamp("2026-09-05T18:00Z"), pd.NaT, pd.Timestamp("2031-01-01T18:00Z")]
    judged = judged_orders(instants)
    judged["orders"].rejected[1:] = True  # as the rules on dates do
    profile = profile_feed("orders", judged, calendar_of("2026-09"))
    assert profile["n_rows"].to_list() == [1]
    assert profile["accepted_share"].to_list() == [1 / 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rule: rule["kwargs"].update(mostly=0.9), "has `mostly`"),
        (
            lambda rule: rule.update(
                type="expect_column_pair_values_a_to_be_greater_than_b",
                kwargs={"column_A": "n_rows", "column_B": "share_of_usual"},
            ),
            "compares columns",
        ),
    ],
)
def test_rule_that_fits_no_feed_is_refused(company, change, message):
    """A month of a feed is one row with single measures: tolerances and comparisons would be ignored."""
    path = company.project.expectations / "suites" / "feed_survey.json"
    suite = json.loads(path.read_text())
    change(suite["expectations"][1])
    path.write_text(json.dumps(suite))
    with pytest.raises(DefinitionError, match=message):
        Suites.open(company.project, "sample").of_feed("survey")


def calendar_of(period):
    """Return a calendar that reports a month from two days after its end."""
    month = Period.parse(period)
    return Calendar("America/Chicago", month, month.end)


def judged_orders(instants):
    """Return orders, all accepted, as far as a profile looks at them."""
    frame = pd.DataFrame({"ordered_at": pd.Series(instants, dtype="datetime64[us, UTC]")})
    orders = SimpleNamespace(
        frame=frame,
        feeds=pd.Categorical(["orders"] * len(frame)),
        months=calendar_of("2026-09").months(frame["ordered_at"]).to_numpy(),
        rejected=np.zeros(len(frame), dtype=bool),
        set_aside=np.zeros(len(frame), dtype=bool),
    )
    return {"orders": orders}
