"""Fixtures and settings shared by all tests."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-logging=stderr",
]

# The same examples on every run: a failure must be reproducible by whoever sees it.
settings.register_profile(
    "cxreport", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("cxreport")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project under test."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and worked examples beside the project; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the project: the real data and worked examples are not here")
    return SHARED


@pytest.fixture
def browse(tmp_path):
    """Open an address in Chromium and return what it wrote to both streams; skips where there is no Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium here: requests, errors and widths of the page are not measured")

    def browse(address, *more):
        command = [browser, *CHROMIUM_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *more, address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return browse


@pytest.fixture
def requests_of(browse, tmp_path):
    """Return the addresses that a page asked for, and what it wrote to the console."""

    def requests_of(page):
        log = tmp_path / f"{page.stem}.json"
        shown = browse(page.as_uri(), f"--log-net-log={log}", "--dump-dom")
        text = log.read_text(encoding="utf-8")
        try:
            events = json.loads(text)["events"]
        except json.JSONDecodeError:  # the end is missing when the browser closes quickly
            events = json.loads(text.rstrip().rstrip(",") + "]}")["events"]
        # What the browser asks for on its own behalf has no origin; what a page asks for has the page's.
        asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
        console = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
        return {each["url"] for each in asked if each["initiator"] != "not an origin"}, console

    return requests_of
