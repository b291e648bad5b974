"""The verdict on a period: what was accepted, which rules rejected rows, whether a report may appear."""

import json
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from cxreport.errors import GateError
from cxreport.periods import Period
from cxreport.schema import TableName

Severity = Literal["critical", "warning", "info"]
Decision = Literal["publish", "publish with footnotes", "stop"]
Page = Literal["executive", "kpis", "segments", "journey", "voice", "loyalty", "actions", "method"]
NOUNS: dict[TableName, tuple[str, str]] = {
    "customers": ("customer record", "customer records"),
    "subscriptions": ("subscription record", "subscription records"),
    "responses": ("response", "responses"),
    "answers": ("answer", "answers"),
    "invitations": ("invitation", "invitations"),
    "tickets": ("support case", "support cases"),
    "orders": ("order", "orders"),
    "events": ("journey event", "journey events"),
    "mentions": ("public mention", "public mentions"),
    "aggregates": ("aggregated figure", "aggregated figures"),
    "employees": ("employee answer", "employee answers"),
    "actions": ("action", "actions"),
}


class Part(BaseModel):
    """A piece of a verdict: immutable, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TableCount(Part):
    """Rows of one table in the month; `rows_in` = `accepted` + `rejected`."""

    rows_in: int
    accepted: int
    rejected: int


class RuleOutcome(Part):
    """What one rule on rows found in the month: `rows` of the `checked` rows break it."""

    table: str
    suite: str
    rule: str
    severity: Severity
    reason: str
    rows: int
    checked: int
    outcome: Literal["passed", "rows rejected", "noted", "stopped"]
    page: Page = "method"


class GateOutcome(Part):
    """What one rule found in the month of a feed, or of one `thing` of it: a file, question, column or level."""

    feed: str
    rule: str
    severity: Severity
    found: str
    expected: str
    outcome: Literal["passed", "noted", "stopped"]
    thing: str = ""
    page: Page = "method"


class WaiverOutcome(Part):
    """What came of a waiver for the month: the rule counted for less, the waiver had expired, or the rule held."""

    rule: str
    scope: str
    downgrade_to: Severity
    reason: str
    by: str
    reviewed: date
    until: date
    outcome: Literal["applied", "expired", "not needed"]


class MissingCount(Part):
    """Accepted answers without a score, by question and reason."""

    question: str
    metric: str
    reason: str
    n: int


class Verdict(Part):
    """The verdict on a period of a dataset: a month, a week, or the months of a quarter or year together.

    `left_out` counts rows of later months, which the validation of this month did not judge; `late` the accepted
    responses that came in after the month was first validated. `pages` holds the footnotes by the page of the report
    that they concern, `uncompared` the feeds that come once a month, whose weeks are not compared.
    """

    dataset: str
    period: str
    decision: Decision
    tables: dict[str, TableCount]
    rules: list[RuleOutcome]
    gates: list[GateOutcome]
    missing: list[MissingCount]
    footnotes: list[str]
    left_out: dict[str, int] = {}
    late: int = 0
    waivers: list[WaiverOutcome] = []
    pages: dict[Page, list[str]] = {}
    uncompared: list[str] = []

    def to_json(self) -> str:
        """Return the content of `verdict.json`."""
        in_order = json.loads(
            json.dumps(
                self.model_dump(mode="json", exclude=None if self.uncompared else {"uncompared"}), sort_keys=True
            )
        )
        return to_json(in_order, indent=2).decode() + "\n"


def left_out(rows: int, table: TableName, phrase: str) -> str:
    """Return what readers are told of rejected rows: `phrase` says what happened to them, in the past tense.

    >>> left_out(1, "responses", "arrived twice")
    '1 response arrived twice and is left out.'
    """
    one, many = NOUNS[table]
    noun, verb = (one, "is") if rows == 1 else (many, "are")
    return f"{rows:,} {noun} {phrase} and {verb} left out."


def stopped_note(period: Period) -> str:
    """Return what readers are told where a period was stopped that theirs would be compared with."""
    return f"{period.label} was stopped by the checks, so nothing is compared with it."


def require_publishable(verdict: Verdict) -> Verdict:
    """Return the verdict; raises `GateError`, naming every stopped rule, when its decision is to stop."""
    if verdict.decision != "stop":
        return verdict
    stopped = [
        f"`{rule.rule}` broken by {rule.rows:,} of {rule.checked:,} rows of {rule.table}"
        for rule in verdict.rules
        if rule.outcome == "stopped"
    ]
    stopped += [
        f"`{gate.rule}` of feed {gate.feed}{f', {gate.thing}' if gate.thing else ''}: {gate.found}, "
        f"expected {gate.expected}"
        for gate in verdict.gates
        if gate.outcome == "stopped"
    ]
    raise GateError(
        found=f"{verdict.dataset} {verdict.period} is stopped by " + "; ".join(stopped),
        expected="critical rules broken by no more rows than their tolerance in `expectations/suites/`"
        + "".join(
            f"; the waiver of `{waiver.rule}` of {waiver.scope} ended on {waiver.until}"
            for waiver in verdict.waivers
            if waiver.outcome == "expired"
        ),
        do=f"look up the rows in {_rejected(verdict)}, "
        "have the feed's owner deliver it again, then ingest and validate",
    )


def _rejected(verdict: Verdict) -> str:
    """Name the folders of the rejected rows of a verdict."""
    parts = Period.parse(verdict.period).parts
    return " to ".join(dict.fromkeys(f"data/rejected/{verdict.dataset}/{part}/" for part in (parts[0], parts[-1])))
