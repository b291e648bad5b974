"""Waivers: one rule counts for less in one month, readers are told, and nothing else changes."""

from datetime import date

import pytest

from cxreport.errors import DefinitionError
from cxreport.periods import Period
from cxreport.validate import read_verdict

PERIOD = Period.parse("2026-09")
RULE = """
waivers:
  - rule: {rule}
    {kind}: {scope}
    period: 2026-09
    downgrade_to: {to}
    reason: {reason}
    by: Ada Example
    reviewed: 2026-10-01
    until: {until}
"""


@pytest.fixture
def waive(company):
    """Return a function that writes the company's waivers."""

    def write(rule, *, to="warning", until="2026-12-31", reason="The pilot ended.", **scope):
        ((kind, name),) = scope.items()
        path = company.project.expectations / "waivers" / "sample.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(RULE.format(rule=rule, kind=kind, scope=name, to=to, until=until, reason=reason))

    return write


def test_waived_gate_is_published_with_who_when_and_why(company, waive):
    """A critical gate that was waived stops nothing, and stands among the footnotes with its waiver."""
    company.drop("orders", [row for at, row in enumerate(company.rows("orders")) if at % 6])
    waive("volume_not_collapsed", feed="orders")
    verdict = company.validate()
    assert verdict.decision == "publish with footnotes"
    assert company.gate_of(verdict, "orders", "volume_not_collapsed").severity == "warning"
    assert (
        "The rule “volume not collapsed” of the feed orders was waived by Ada Example on 2026-10-01: The pilot ended."
        in verdict.pages["executive"]
    )
    assert [(waiver.rule, waiver.outcome, waiver.until) for waiver in verdict.waivers] == [
        ("volume_not_collapsed", "applied", date(2026, 12, 31))
    ]


def test_expired_waiver_stops_and_is_said(company, waive):
    """After its last day a waiver changes nothing, and whoever reads the verdict learns why."""
    company.drop("orders", [row for at, row in enumerate(company.rows("orders")) if at % 6])
    waive("volume_not_collapsed", feed="orders", until="2026-10-01")
    verdict = company.validate()
    assert verdict.decision == "stop"
    assert [waiver.outcome for waiver in verdict.waivers] == ["expired"]
    assert any("ended on 2026-10-01 and no longer applies" in note for note in verdict.footnotes)


@pytest.mark.parametrize(("to", "accepted"), [("warning", 60), ("info", 120)])
def test_waived_rule_on_rows_rejects_them_or_lets_them_in(company, waive, to, accepted):
    """As a warning the rule still rejects its rows without stopping the month; as an information they stay."""
    company.spoil("orders", "kind", "gift", n=60)
    waive("kind_known", table="orders", to=to)
    verdict = company.validate()
    assert verdict.decision == "publish with footnotes"
    assert len(company.accepted("orders")) == accepted
    assert verdict.tables["orders"].rows_in == 120
    outcome = company.rule_of(verdict, "orders", "kind_known")
    assert (outcome.severity, outcome.rows) == (to, 60)


def test_waiver_of_another_month_and_one_that_is_not_needed_change_nothing(company, waive):
    """A waiver whose rule holds leaves no footnote; other months never see it."""
    waive("volume_not_collapsed", feed="orders")
    verdict = company.validate()
    assert (verdict.decision, verdict.footnotes) == ("publish", [])
    assert [waiver.outcome for waiver in verdict.waivers] == ["not needed"]
    assert read_verdict(company.project, "sample", PERIOD.previous).waivers == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "volume_not_colapsed", "feed": "orders"}, "did you mean `volume_not_collapsed`"),
        ({"rule": "volume_not_collapsed", "feed": "order"}, "did you mean `orders`"),
        ({"rule": "kind_known", "table": "orderz"}, "table"),
        ({"rule": "kind_known", "table": "orders", "to": "nothing"}, "downgrade_to"),
        ({"rule": "kind_known", "table": "orders", "until": "2026-09-30"}, "`until` lies before `reviewed`"),
        ({"rule": "kind_known", "tables": "orders"}, "did you mean `table`"),
    ],
)
def test_mistake_in_a_waiver_is_refused(company, waive, changes, message):
    """Unknown rules, feeds, tables and keys are refused, naming the nearest known one."""
    waive(changes.pop("rule"), **changes)
    with pytest.raises(DefinitionError, match=message):
        company.validate()
