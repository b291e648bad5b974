"""Drive one headless Chromium through its DevTools protocol, over a pair of pipes: no port, no further library."""

import fcntl
import json
import os
import select
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

_LIMIT = 60  # seconds for any answer
_READS, _WRITES = 3, 4  # the ends of the pipes in the browser


@dataclass
class Page:
    """An opened page, and all that happened while it was loading."""

    browser: "Chromium"
    session: str
    target: str
    happened: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.send("Target.closeTarget", targetId=self.target)

    @property
    def requests(self) -> list[str]:
        """The addresses asked for, without the page itself and what it holds within itself."""
        sent = [event["params"]["request"]["url"] for event in self.happened if event["method"].endswith("WillBeSent")]
        return [address for address in sent[1:] if not address.startswith("data:")]

    @property
    def said(self) -> list[str]:
        """What was written to the console, raised or asked in a dialog."""
        loud = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"}
        return [json.dumps(event["params"]) for event in self.happened if event["method"] in loud]

    def run(self, script: str) -> Any:
        """Return what a script evaluates to, awaited if it is a promise."""
        told = self.browser.send(
            "Runtime.evaluate", self.session, expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")


class Chromium:
    """A browser that runs until `close`."""

    def __init__(self, command: list[str], folder: Path) -> None:
        theirs, self._out = _pipe()
        self._in, ours = _pipe()
        quiet = os.open(os.devnull, os.O_RDWR)
        places = {0: quiet, 1: quiet, 2: quiet, _READS: theirs, _WRITES: ours}
        self._process = os.posix_spawnp(
            command[0],
            [*command, "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, end, place) for place, end in places.items()],
        )
        for end in (quiet, theirs, ours):
            os.close(end)
        self._number, self._read, self._events = 0, b"", list[dict[str, Any]]()

    def close(self) -> None:
        """End the browser."""
        self.send("Browser.close")
        deadline = time.monotonic() + _LIMIT
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self._process, signal.SIGKILL)
            time.sleep(0.05)
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._out, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, path: Path, *, width: int = 1280, scheme: str = "light", trusting: bool = False) -> Page:
        """Open a file at a width and in a colour scheme; `trusting` runs what its content security policy would not."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable", session)
        self.send("Page.setBypassCSP", session, enabled=trusting)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1}
        self.send("Emulation.setDeviceMetricsOverride", session, mobile=False, **size)
        scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", session, features=[scheme_feature])
        self._events.clear()
        self.send("Page.navigate", session, url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._next())
        page = Page(self, session, target, self._events)
        page.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
        page.happened, self._events = [event for event in self._events if event.get("sessionId") == session], []
        return page

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._in], [], [], _LIMIT)
            assert ready, "Chromium does not answer"
            self._read += os.read(self._in, 1 << 20)
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)


def _pipe() -> tuple[int, int]:
    """Return both ends of a pipe, out of the way of the numbers that they get in the browser."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
