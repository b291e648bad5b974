"""The page of all faults, for `docs/faults.md`."""

from collections import Counter

from faultlib.library import FAULTS, FOOTNOTE, INGEST, LIMITS, Fault, Level

_KINDS = {"feed": "Files and feeds", "meaning": "What values mean", "rows": "Rows"}
_OUTCOMES = {
    "stopped": "stopped",
    "rejected": "rows rejected, with a footnote",
    "footnoted": "published with a footnote",
    "accepted": "no figure changes, accepted",
}
_HEAD = """# Faults: what is wrong with a delivery, and what comes of it

Written by the tests from their library of faults (`tests/validate/faultlib/`); each line is a test. A fault is done to
the files of the sample company, with a third of its customers, in the last of seven months; then they are ingested and
validated, and the verdict must be the one below, by the rule named. Rows in are rows accepted and rejected each time,
and each rejected row is found again in its line.

"""
_LIMITS = """## What no rule finds

Some faults leave figures that could as well be true, and a rule that noted them would note good months too. These are
published without a footnote, each tested. The report shows them as what they look like: a movement, with its interval.
Only the delivery itself can tell them apart, by the review of a mapping or by the totals of the tool that exported. How
small a fault is found depends on the rows: here there are some 600 answers and 550 orders a month."""


def page() -> str:
    """Return the page: one table per kind of fault, one line per level, and what no rule finds."""
    levels = [level for fault in FAULTS for level in (fault.subtle, fault.gross)]
    counts = Counter(level.outcome for level in levels)
    said = "; ".join(f"{counts[outcome]} {_OUTCOMES[outcome]}" for outcome in _OUTCOMES)
    parts = [_HEAD + f"{len(FAULTS)} faults, each at a subtle and a gross level, with these verdicts:\n{said}."]
    for kind, title in _KINDS.items():
        lines = [line for fault in FAULTS if fault.kind == kind for line in _lines(fault)]
        head = f"## {title}\n\n| Fault | Level | Verdict | Found by |\n|---|---|---|---|"
        parts.append("\n".join([head, *lines]))
    limits = [f"- `{limit}`: {what}." for limit, (what, _) in LIMITS.items()]
    return "\n\n".join([*parts, _LIMITS, "\n".join(limits)]) + "\n"


def _lines(fault: Fault) -> list[str]:
    """Return the lines of both levels; the first says what happened."""
    return [
        f"| {f'`{fault.id}`: {fault.what}' if name == 'subtle' else ''} | {name}: {level.size}"
        f" | {_OUTCOMES[level.outcome]} | {_finder(level)} |"
        for name, level in (("subtle", fault.subtle), ("gross", fault.gross))
    ]


def _finder(level: Level) -> str:
    if level.rule.startswith(INGEST):
        words = level.rule.removeprefix(INGEST).replace("`", "")
        return f"ingest: {words} …" if words else "ingest"
    if level.rule.startswith(FOOTNOTE):
        return "the verdict of the month before"
    return f"`{level.rule}`" if level.rule else ""
