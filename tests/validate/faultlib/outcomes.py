"""Whether a fault came to what it must."""

from collections.abc import Iterator

from faultlib.company import Trial
from faultlib.library import FOOTNOTE, INGEST, Level


def wrong(trial: Trial, clean: Trial, level: Level) -> Iterator[str]:
    """Say in what a trial's outcome is not the one that a fault must have."""
    if trial.verdict is None:
        if level.outcome != "stopped" or not level.rule.startswith(INGEST):
            yield f"the ingest stopped: {trial.message}"
        elif level.rule.removeprefix(INGEST) not in trial.message:
            yield f"the ingest stopped for another reason: {trial.message}"
    elif level.outcome == "stopped":
        if level.rule not in trial.stopped_by:
            yield f"`{level.rule}` did not stop it; what did: {sorted(trial.stopped_by)}"
    elif trial.stopped_by:
        yield f"it was stopped by {sorted(trial.stopped_by)}"
    else:
        yield from _wrong_footnotes(trial, clean, level)


def _wrong_footnotes(trial: Trial, clean: Trial, level: Level) -> Iterator[str]:
    new = set(trial.verdict.footnotes) - set(clean.verdict.footnotes)
    noted = trial.footnoted_by(clean)
    if level.outcome == "accepted":
        if new:
            yield f"it left footnotes: {sorted(new)}"
        if level.rule and level.rule not in trial.set_aside_by():
            yield f"`{level.rule}` did not set its rows aside"
    elif level.rule.startswith(FOOTNOTE):
        if not any(level.rule.removeprefix(FOOTNOTE) in text for text in new):
            yield f"no such footnote among {sorted(new)}"
    elif level.rule not in noted or not new:
        yield f"`{level.rule}` left no footnote; what did: {sorted(noted)}"
