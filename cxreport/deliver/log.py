"""The delivery log: who was sent which edition of an issue, so that nobody gets it twice.

One JSON object a line, appended and forced to the disk before and after an e-mail leaves. Recipients stand in it as
hashes only.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from cxreport.errors import RunError

# `sending` stands before the text of an e-mail leaves; the others say what became of it.
Event = Literal["sending", "accepted", "refused", "deferred", "uncertain"]
# What a recipient has: nothing, this edition, an earlier one, or perhaps one of them.
State = Literal["due", "sent", "sent earlier", "uncertain"]

_STATES: dict[str, State] = {"sending": "uncertain", "uncertain": "uncertain", "accepted": "sent"}


class Recipient(NamedTuple):
    """A recipient of an audience's e-mail by a normalised address, which stays out of the log."""

    audience: str
    address: str

    def hash(self, report: str) -> str:
        """Return a name for the recipient that tells nobody else who it is and differs between reports."""
        told = f"{report}\n{self.audience}\n{self.address.lower()}"
        return hashlib.sha256(told.encode()).hexdigest()[:32]


class Log:
    """The log of one period of a report: `data/delivered/<report>/<period>.jsonl`.

    Raises `RunError` when the file holds anything but a log. A last line that was cut short, as a killed process leaves
    it, says nothing and is left out.
    """

    def __init__(self, path: Path, report: str) -> None:
        self._path, self._report = path, report
        # Recipient's hash to edition to its last event.
        self._events: dict[str, dict[str, str]] = {}
        text = path.read_bytes().decode("ascii", errors="replace") if path.is_file() else ""
        whole, newline, _ = text.rpartition("\n")
        for number, line in enumerate(whole.splitlines(), start=1):
            self._read(line, number)
        self._length = len(whole) + len(newline)  # a character is a byte

    def state(self, recipient: Recipient, edition: str) -> State:
        """Return what a recipient has of an issue."""
        events = self._events.get(recipient.hash(self._report), {})
        if own := _STATES.get(events.get(edition, "")):
            return own
        return "sent earlier" if any(event in _STATES for event in events.values()) else "due"

    def add(self, event: Event, recipient: Recipient, edition: str, code: int | None = None) -> None:
        """Append an event and force it to the disk; `code` is the server's."""
        hashed = recipient.hash(self._report)
        line: dict[str, str | int] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "event": event,
            "audience": recipient.audience,
            "recipient": hashed,
            "edition": edition,
        } | ({"code": code} if code else {})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.truncate(self._length)  # away with a line that was cut short
            self._length += file.write(f"{json.dumps(line)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self._events.setdefault(hashed, {})[edition] = event

    def _read(self, line: str, number: int) -> None:
        try:
            told = json.loads(line)
            self._events.setdefault(str(told["recipient"]), {})[str(told["edition"])] = str(told["event"])
        except (ValueError, KeyError, TypeError):
            raise RunError(
                found=f"line {number} of the delivery log `{self._path.name}`, which cannot be read",
                expected="one JSON object a line, as deliveries write it",
                do="restore the file from a copy; without it nobody knows who has the report",
            ) from None
