"""A verdict as Markdown, for the validation notebook."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pandas as pd

from cxreport.config import Dataset, Project
from cxreport.periods import Period
from cxreport.validate.deliveries import described
from cxreport.validate.verdict import Verdict

_DECISIONS = {
    "publish": ("tip", "Publish"),
    "publish with footnotes": ("note", "Publish with footnotes"),
    "stop": ("important", "Stop: nothing of this month is published"),
}


_TO_DO = (
    "Have the owner of the feed deliver the file again, then ingest and validate. Where somebody who knows the data "
    "holds it to be right, a waiver lets one rule pass for one month."
)
_MOST_ROWS = 50


def heading(dataset: str, verdict: Verdict) -> str:
    """Return what was judged and how it ended, in one line."""
    return f"{escape(dataset)}, {Period.parse(verdict.period).label}: **{verdict.decision}**"


def decision(verdict: Verdict) -> str:
    """Return the decision, its footnotes and what to do as a callout."""
    kind, title = _DECISIONS[verdict.decision]
    notes = [f"- {escape(note)}" for note in verdict.footnotes] or ["Every rule holds."]
    if verdict.decision == "stop":
        notes = [*_stopped(verdict), *notes, "", _TO_DO]
    return "\n".join([f"::: {{.callout-{kind}}}", f"## {title}", "", *notes, ":::"])


def _stopped(verdict: Verdict) -> Iterable[str]:
    for rule in verdict.rules:
        if rule.outcome == "stopped":
            yield f"- Rule {escape(rule.rule)} of {rule.table}: broken by {rule.rows:,} of {rule.checked:,} rows."
    for gate in verdict.gates:
        if gate.outcome == "stopped":
            where = f"{escape(gate.feed)}{f', {escape(gate.thing)}' if gate.thing else ''}"
            yield f"- Rule {escape(gate.rule)} of the feed {where}: {gate.found}, expected {gate.expected}."


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


def deliveries(project: Project, dataset: Dataset) -> str:
    """Return every feed: who delivers it, as what its files were read, and what was left out or masked."""
    about = described(project, dataset)
    return table(
        ["Feed", "Owner", "Read as", "Files", "Rows", "Left out", "Personal data masked"],
        [
            [
                feed.id,
                feed.owner,
                about[feed.id]["adapter"],
                len(about[feed.id]["files"]),
                about[feed.id]["rows"],
                _said({note for file in about[feed.id]["files"] for note in file["notes"]}),
                _said(f"{count:,} {kind}" for kind, count in sorted(about[feed.id].get("scrubbed", {}).items())),
            ]
            for feed in dataset.feeds
            if feed.id in about
        ],
    )


def files(project: Project, dataset: Dataset, verdict: Verdict) -> str:
    """Return the newest file of each feed and every file that a rule speaks of."""
    spoken = {(gate.feed, gate.thing) for gate in verdict.gates if gate.outcome != "passed"}
    lines = [
        [feed, file["name"], file["rows"], len(file["columns"]), _said(file["notes"])]
        for feed, about in described(project, dataset).items()
        for file in about["files"]
        if file["name"] == max(other["name"] for other in about["files"]) or (feed, file["name"]) in spoken
    ]
    return table(["Feed", "File", "Rows", "Columns", "Left out"], lines)


def rejected(project: Project, verdict: Verdict) -> str:
    """Return rejected rows by file and rule, with their lines, most rows first."""
    folder = project.rejected(verdict.dataset, Period.parse(verdict.period))
    parts = [pd.read_parquet(path).assign(table=path.stem) for path in sorted(folder.glob("*.parquet"))]
    rows = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=["source", "source_row", "table", "rule"])
    )
    reasons = {(rule.table, rule.rule): rule.reason for rule in verdict.rules}
    lines: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for source, name, rule, line in rows[["source", "table", "rule", "source_row"]].itertuples(index=False, name=None):
        lines[source, name, rule].append(line)
    found: list[list[str | int]] = [
        [source, name, rule, len(places), _lines(places), reasons.get((name, rule), "")]
        for (source, name, rule), places in lines.items()
    ]
    found.sort(key=lambda line: -int(line[3]))
    return table(["Feed and file", "Table", "Rule", "Rows", "Lines", "Why"], found[:_MOST_ROWS])


def _lines(places: Iterable[int]) -> str:
    """Return the first line numbers, as many as fit a cell."""
    numbers = sorted(set(places))
    return ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8:,} more" if len(numbers) > 8 else "")  # noqa: PLR2004


def _said(notes: Iterable[str]) -> str:
    return "; ".join(sorted(notes)) or "nothing"


def gates(verdict: Verdict) -> str:
    """Return the rules on whole feeds that do not hold."""
    return table(
        ["Feed", "Of it", "Rule", "Severity", "Found", "Expected", "Outcome"],
        [
            [gate.feed, gate.thing, gate.rule, gate.severity, gate.found, gate.expected, gate.outcome]
            for gate in verdict.gates
            if gate.outcome != "passed"
        ],
    )


def checked(verdict: Verdict) -> str:
    """Return how many rules were checked on each feed as a whole, and how many hold."""
    feeds = dict.fromkeys(gate.feed for gate in verdict.gates)
    outcomes = {feed: [gate.outcome for gate in verdict.gates if gate.feed == feed] for feed in feeds}
    return table(
        ["Feed", "Checks", "Passed", "Noted", "Stopped"],
        [
            [feed, len(found), *(found.count(outcome) for outcome in ("passed", "noted", "stopped"))]
            for feed, found in outcomes.items()
        ],
    )


def waivers(verdict: Verdict) -> str:
    """Return what came of the month's waivers."""
    return table(
        ["Rule", "Of", "Counts as", "Outcome", "By", "Reviewed", "Until", "Reason"],
        [
            [
                *(waiver.rule, waiver.scope, waiver.downgrade_to, waiver.outcome, waiver.by),
                *(waiver.reviewed.isoformat(), waiver.until.isoformat(), waiver.reason),
            ]
            for waiver in verdict.waivers
        ],
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
