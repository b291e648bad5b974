"""Where a run stands: which of its steps are done, and how long the rest will take, by what such steps took before."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxreport.config import EVERYBODY
from cxreport.publish.atomic import write_text

State = Literal["begun", "made", "kept", "failed"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a step.

    Attributes
    ----------
    step, audience
        A notebook's name, `report` or `exports`; the audience is empty for everybody.
    state
        `kept` where an earlier result was taken over.
    done, of
        How many steps are over, and how many are known of.
    seconds
        How long the work took.
    left
        Seconds that the rest will take; none where that cannot be told yet.
    """

    step: str
    audience: str
    state: State
    done: int
    of: int
    seconds: float | None = None
    left: float | None = None

    def __str__(self) -> str:
        return f"{self.step} for {self.audience}" if self.audience else self.step


Tell = Callable[[str | Event], None]


class Progress:
    """Tells what happens to the steps of a run, each by its name in the cache.

    `jobs` is how many of them are worked on side by side, where they do not wait for each other.
    """

    def __init__(self, tell: Tell, jobs: int = 1, known: dict[str, float] | None = None) -> None:
        self._tell, self._jobs = tell, jobs
        self._took = known or {}  # seconds by the last part of a step's name
        self._waiting: dict[str, bool] = {}  # whether a step may be worked on beside others
        self._over: set[str] = set()
        self._is_open = False  # whether further steps will be known of

    @classmethod
    @contextmanager
    def remembering(cls, tell: Tell, jobs: int, memory: Path) -> Iterator["Progress"]:
        """Yield one that knows how long steps took in earlier runs, from a file that it brings up to date."""
        try:
            known = {str(name): float(seconds) for name, seconds in json.loads(memory.read_text()).items()}
        except (OSError, ValueError, AttributeError, TypeError):
            known = {}
        progress = cls(tell, jobs, known)
        try:
            yield progress
        finally:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_text(memory, json.dumps(progress._took, indent=1, sort_keys=True))

    def expect(self, steps: Iterable[str], *, side_by_side: bool = False, more: bool = False) -> None:
        """Note steps to come; `more` where others will follow that are not known yet."""
        self._is_open = more
        self._waiting |= {step: side_by_side for step in steps if step not in self._over}

    def begun(self, step: str) -> None:
        self._say(step, "begun")

    def kept(self, step: str) -> None:
        self._end(step, "kept")

    def made(self, step: str, seconds: float) -> None:
        self._took[step.rpartition("/")[2]] = round(seconds, 2)
        self._end(step, "made", seconds)

    def failed(self, step: str) -> None:
        self._end(step, "failed")

    def drop(self, steps: Iterable[str]) -> None:
        """Forget steps that will never begin."""
        for step in steps:
            self._waiting.pop(step, None)

    @property
    def left(self) -> float | None:
        """Seconds until all is done; none where steps of a kind are to come that was never timed."""
        kinds = {step: step.rpartition("/")[2] for step in self._waiting}
        if self._is_open or not self._took.keys() >= {*kinds.values()}:
            return None
        alone, beside = (
            sum(self._took[kind] for step, kind in kinds.items() if self._waiting[step] is side)
            for side in (False, True)
        )
        return alone + beside / self._jobs

    def _end(self, step: str, state: State, seconds: float | None = None) -> None:
        self._waiting.pop(step, None)
        self._over.add(step)
        self._say(step, state, seconds)

    def _say(self, step: str, state: State, seconds: float | None = None) -> None:
        audience, _, name = step.rpartition("/")
        done = len(self._over)
        self._tell(
            Event(
                step=name,
                audience="" if audience == EVERYBODY else audience,
                state=state,
                done=done,
                of=done + len(self._waiting),
                seconds=seconds,
                left=self.left,
            )
        )
