"""A verdict as Markdown, for the validation notebook."""

import re
from collections.abc import Iterable, Sequence

from cxreport.periods import Period
from cxreport.validate.verdict import Verdict

_DECISIONS = {
    "publish": ("tip", "Publish"),
    "publish with footnotes": ("note", "Publish with footnotes"),
    "stop": ("important", "Stop: nothing of this month is published"),
}


def heading(dataset: str, verdict: Verdict) -> str:
    """Return what was judged and how it ended, in one line."""
    return f"{escape(dataset)}, {Period.parse(verdict.period).label}: **{verdict.decision}**"


def decision(verdict: Verdict) -> str:
    """Return the decision and its footnotes as a callout."""
    kind, title = _DECISIONS[verdict.decision]
    notes = [f"- {escape(note)}" for note in verdict.footnotes] or ["Every rule holds."]
    if verdict.decision == "stop":
        notes = [*_stopped(verdict), *notes]
    return "\n".join([f"::: {{.callout-{kind}}}", f"## {title}", "", *notes, ":::"])


def _stopped(verdict: Verdict) -> Iterable[str]:
    for rule in verdict.rules:
        if rule.outcome == "stopped":
            yield f"- Rule {escape(rule.rule)} of {rule.table}: broken by {rule.rows:,} of {rule.checked:,} rows."
    for gate in verdict.gates:
        if gate.outcome == "stopped":
            yield f"- Rule {escape(gate.rule)} of the feed {escape(gate.feed)}: {gate.found}, expected {gate.expected}."


def counts(verdict: Verdict) -> str:
    """Return rows in, accepted and rejected by table."""
    return table(
        ["Table", "Rows in", "Accepted", "Rejected", "Of later months, left out"],
        [
            [name, count.rows_in, count.accepted, count.rejected, verdict.left_out.get(name, 0)]
            for name, count in verdict.tables.items()
        ],
    )


def broken_rules(verdict: Verdict) -> str:
    """Return the rules on rows that some row breaks."""
    return table(
        ["Table", "Rule", "Severity", "Rows", "Of", "Outcome", "Why the rule stands"],
        [
            [rule.table, rule.rule, rule.severity, rule.rows, rule.checked, rule.outcome, rule.reason]
            for rule in verdict.rules
            if rule.rows
        ],
    )


def gates(verdict: Verdict) -> str:
    """Return the rules on whole feeds."""
    return table(
        ["Feed", "Rule", "Severity", "Found", "Expected", "Outcome"],
        [[gate.feed, gate.rule, gate.severity, gate.found, gate.expected, gate.outcome] for gate in verdict.gates],
    )


def missing_answers(verdict: Verdict) -> str:
    """Return missing answers by question and reason."""
    return table(
        ["Question", "Metric", "Reason", "Missing answers"],
        [[count.question, count.metric, count.reason, count.n] for count in verdict.missing],
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """Return a pipe table; whole-number columns are right-aligned; a table without rows says so."""
    lines = list(rows)
    if not lines:
        return "None."
    right = [isinstance(cell, int) for cell in lines[0]]
    rule = ["---:" if aligned else ":---" for aligned in right]
    shown = [[f"{cell:,}" if isinstance(cell, int) else escape(cell) for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [list(header), rule, *shown])


def escape(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> escape("a|b <b> *c*")
    'a\\|b \\<b\\> \\*c\\*'
    """
    return re.sub(r"([^\w\s,.;:%()/-]|_)", r"\\\1", " ".join(text.split()))
