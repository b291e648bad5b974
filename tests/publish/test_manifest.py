"""The record of an issue names everything the issue was made from."""

import hashlib
import json
import subprocess

import pytest

from cxreport.config import Project, load_dataset, load_report
from cxreport.periods import Period
from cxreport.publish import manifest

SEPTEMBER = Period.parse("2026-09")


@pytest.fixture
def inputs_of(root, tmp_path):
    """Return a function that reads the inputs of the committed monthly report, with one delivered file."""
    project = Project(tmp_path)
    for part in ("reports", "notebooks", "expectations", "requirements", "data/reference"):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", root / part, tmp_path / part], check=True)
    dataset = load_dataset(project, "sample")
    staged = project.staged(dataset.id)
    staged.mkdir(parents=True)

    def inputs_of(sha256="abc"):
        files = [{"name": "survey_2026-09.csv", "sha256": sha256}]
        (staged / "feeds.json").write_text(json.dumps({"survey": {"files": files}}))
        return manifest.read_inputs(project, load_report(project, "monthly"), dataset, SEPTEMBER)

    inputs_of.project = project
    return inputs_of


def test_every_kind_of_definition_is_hashed(inputs_of):
    """Report, dataset, mappings, KPIs, segments, suites, notebooks, theme, benchmarks and lock are inputs."""
    named = set(inputs_of().definitions)
    assert {
        "reports/definitions/monthly.yml",
        "reports/datasets/sample.yml",
        "reports/datasets/mappings/sample_survey.yml",
        "reports/kpis/nps.yml",
        "reports/segments.yml",
        "notebooks/10_validate.ipynb",
        "notebooks/30_executive.ipynb",
        "data/reference/benchmarks.csv",
        "requirements/run.lock",
    } <= named
    assert any(path.startswith("expectations/suites/") for path in named)
    assert any(path.startswith("reports/theme/") for path in named)


def test_hash_is_the_one_that_other_tools_give(inputs_of):
    """A hash in the record can be checked with `sha256sum`."""
    path = inputs_of.project.kpis / "nps.yml"
    assert inputs_of().definitions["reports/kpis/nps.yml"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_fingerprint_follows_every_input(inputs_of):
    """The same inputs give the same fingerprint; another delivered file or definition gives another one."""
    first = inputs_of().fingerprint
    assert inputs_of().fingerprint == first
    assert inputs_of(sha256="def").fingerprint != first
    path = inputs_of.project.kpis / "nps.yml"
    path.write_text(path.read_text() + "# a remark\n")
    assert inputs_of().fingerprint != first


def test_commit_is_told_with_unsaved_changes(tmp_path):
    """The commit carries a mark when files differ from it; outside a repository there is none."""
    assert manifest._git_commit(tmp_path) is None
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    (tmp_path / "a").write_text("1")
    for command in (["init", "-q"], ["add", "a"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", tmp_path, *settings, *command], check=True)
    commit = manifest._git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "a").write_text("2")
    assert manifest._git_commit(tmp_path) == f"{commit}-dirty"
