"""The verdict on one month: what was accepted, which rules rejected rows, whether a report may appear."""

import json
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from cxreport.config import Project
from cxreport.errors import GateError, UsageError
from cxreport.periods import Period

Severity = Literal["critical", "warning", "info"]
Decision = Literal["publish", "publish with footnotes", "stop"]
Page = Literal["executive", "kpis", "segments", "journey", "voice", "loyalty", "actions", "method"]
VERDICT_FILE = "verdict.json"


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
    """The verdict on one month of a dataset.

    `left_out` counts rows of later months, which the validation of this month did not judge; `late` the accepted
    responses that came in after the month was first validated. `pages` holds the footnotes by the page of the report
    that they concern.
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

    def to_json(self) -> str:
        """Return the content of `verdict.json`."""
        in_order = json.loads(json.dumps(self.model_dump(mode="json"), sort_keys=True))
        return to_json(in_order, indent=2).decode() + "\n"


def read_verdict(project: Project, dataset_id: str, period: Period) -> Verdict:
    """Read the verdict of a month; raises `UsageError` when the month was not validated."""
    path = project.accepted(dataset_id, period) / VERDICT_FILE
    if not path.is_file():
        raise UsageError(
            found=f"no verdict for `{dataset_id}` {period}",
            expected="a month that was validated",
            do="run `cxreport validate` for this month or a later one",
        )
    return Verdict.model_validate_json(path.read_text(encoding="utf-8"))


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
        do=f"look up the rows in data/rejected/{verdict.dataset}/{verdict.period}/, "
        "have the feed's owner deliver it again, then ingest and validate",
    )
