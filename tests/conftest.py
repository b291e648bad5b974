"""Fixtures and settings shared by all tests."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

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
