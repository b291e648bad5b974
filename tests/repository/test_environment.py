"""The locks, environment.yml and pyproject.toml say the same."""

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "requirements"))
from write_environment import environment  # noqa: E402 - a script outside the package

LOCKS = ["run.lock", "lab.lock"]


def locked(name):
    """Return name to version of a lock file."""
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", text, re.MULTILINE))


def test_environment_file_is_in_step_with_the_locks():
    """`make lock` would write the very environment.yml that is committed."""
    assert (ROOT / "environment.yml").read_text() == environment()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_carries_versions_and_hashes_and_no_addresses(name):
    """Every pinned package has a hash, and no line names a place on the network."""
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+", entry), entry[:60]
        assert "--hash=sha256:" in entry, entry[:60]
    assert "://" not in text
    assert "--index" not in text


def test_every_direct_dependency_is_locked():
    """The run lock pins the core and the development tools, the lab lock JupyterLab."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = lambda lines: {re.match(r"[A-Za-z0-9-]+", line)[0].lower() for line in lines}  # noqa: E731
    extras = project["optional-dependencies"]
    assert names([*project["dependencies"], *extras["dev"]]) <= set(locked("run.lock"))
    assert names(extras["lab"]) <= set(locked("lab.lock"))


def test_both_locks_agree():
    """A kernel and the JupyterLab that talks to it run the same versions of what they share."""
    run, lab = locked("run.lock"), locked("lab.lock")
    differing = {name: (run[name], lab[name]) for name in run.keys() & lab.keys() if run[name] != lab[name]}
    assert differing == {}


def test_jupyterlab_stays_out_of_the_run_environment():
    """JupyterLab's stack slows every import of jsonschema by seconds, so it must not creep in."""
    assert not {"jupyterlab", "jupyter-events", "rfc3987-syntax"} & set(locked("run.lock"))


def test_running_environment_is_the_locked_one():
    """What the tests run on is what the lock pins."""
    pinned = locked("run.lock")
    for name in ("pandas", "duckdb", "great-expectations", "papermill", "typst", "narwhals", "matplotlib"):
        assert version(name) == pinned[name]
