"""Processes that work side by side."""

from cxreport.config import Project
from cxreport.publish.workers import workers


def test_processes_run_the_package_that_starts_them(tmp_path, monkeypatch):
    """A package in the folder that a run works in is not taken for the one that runs."""
    (tmp_path / "cxreport").mkdir()
    (tmp_path / "cxreport" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    with workers(Project(tmp_path), 2) as hands:
        assert hands.submit("ready").result() >= 0
