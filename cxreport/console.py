"""What a command shows while it works: live on a terminal, else a structured line per step; quiet, or as JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from cxreport.errors import CxError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from cxreport.publish.progress import Event, Tell


@dataclass(frozen=True)
class Output:
    """How a command speaks: of errors alone with `quiet`; an object a line with `as_json`, then quietly no steps."""

    quiet: bool = False
    as_json: bool = False

    @contextmanager
    def telling(self) -> "Iterator[Tell]":
        """Yield a function that receives what is being done, a text or a step's event.

        Objects go to the standard output; else the standard error shows it live on a terminal, and everywhere else as a
        line of `key=value` with the instant.
        """
        if self.quiet:
            yield lambda _: None
        elif self.as_json:
            yield lambda told: _print_json(_fields(told)) if _is_worth_a_line(told) else None
        elif sys.stderr.isatty():
            with _live() as tell:
                yield tell
        else:
            yield lambda told: typer.echo(_line(_fields(told)), err=True) if _is_worth_a_line(told) else None

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Print errors that a user can act on as an object where that is asked for, and exit as they say."""
        try:
            yield
        except CxError as error:
            if not self.as_json:
                raise
            _print_json({"state": "error", "found": error.found, "expected": error.expected, "do": error.do})
            sys.exit(error.exit_code)

    def result(self, *lines: str, **fields: Any) -> None:
        """Print what came out: lines, or an object with the fields."""
        if self.as_json:
            _print_json(fields)
        elif not self.quiet:
            for line in lines:
                typer.echo(line)


def _is_worth_a_line(told: "str | Event") -> bool:
    return isinstance(told, str) or told.state != "begun"


def _fields(told: "str | Event") -> dict[str, Any]:
    if isinstance(told, str):
        return {"message": told}
    fields: dict[str, Any] = {"state": told.state, "step": told.step, "audience": told.audience or "all"}
    if told.seconds is not None:
        fields["seconds"] = round(told.seconds, 2)
    fields |= {"done": told.done, "of": told.of}
    if told.left is not None:
        fields["left"] = round(told.left)
    return fields


def _print_json(fields: dict[str, Any]) -> None:
    typer.echo(json.dumps({"at": _now()} | fields, ensure_ascii=False))


def _line(fields: dict[str, Any]) -> str:
    texts = {name: str(text) for name, text in ({"at": _now()} | fields).items()}
    return " ".join(f"{name}={json.dumps(text) if ' ' in text else text}" for name, text in texts.items())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _amount(seconds: float) -> str:
    """Say roughly how long something takes, in minutes."""
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes else "less than a minute"


@contextmanager
def _live() -> "Iterator[Callable[[str | Event], None]]":
    """Draw texts with a spinner and their time, and all steps of a run as one bar with what is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        texts: list[TaskID] = []
        bars: list[TaskID] = []

        def finish() -> None:
            for task in texts:
                progress.update(task, completed=1)
            texts.clear()

        def tell(told: "str | Event") -> None:
            finish()
            if isinstance(told, str):
                texts.append(progress.add_task(told, total=1, note=""))
                return
            if not bars or progress.tasks[bars[-1]].finished:
                bars.append(progress.add_task("", total=told.of, note=""))
            left = "" if told.left is None or told.done == told.of else f", {_amount(told.left)} left"
            mark = {"failed": ": failed", "kept": ": unchanged"}.get(told.state, "")
            progress.update(
                bars[-1],
                description=f"{told}{mark}",
                total=told.of,
                completed=told.done,
                note=f"{told.done} of {told.of}{left}",
            )

        yield tell
        finish()
