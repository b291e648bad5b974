"""Faults that are done to the sample company's files are stopped or footnoted, and nothing good is.

With `CXREPORT_WRITE_FAULTS=1` in the environment, `python -m pytest tests/validate -k page_of_faults` writes the page
`docs/faults.md` anew.
"""

import os
from collections import Counter

import pytest

from cxreport.config import load_dataset
from cxreport.periods import Period
from cxreport.sample import write_sample
from cxreport.sources import ingest
from cxreport.validate import read_verdict, validate

WRITE = "CXREPORT_WRITE_FAULTS"
LAST = Period.parse("2026-09")
# What every clean month has: previews, people who gave up half way, and the answers of both.
USUAL = {"response_real", "response_accepted"}


@pytest.fixture(scope="module")
def spoilt_company(faultlib, root, tmp_path_factory):
    """The company to which faults are done, and its clean verdict."""
    return faultlib.Company(root, tmp_path_factory.mktemp("faults"))


def test_fault_comes_to_what_it_must(faultlib, spoilt_company, seeded_fault):
    """A fault has the outcome that a CX team needs, by the rule that is to find it; no row is lost or untraceable."""
    name, level = seeded_fault
    trial = spoilt_company.trial(name, level)
    assert list(faultlib.wrong(trial, spoilt_company.clean, level)) == []
    if trial.verdict:
        assert list(faultlib.unaccounted(trial)) == []
        assert list(faultlib.untraced(trial)) == []
    trial.remove()


@pytest.mark.soak
def test_what_could_be_true_is_published(faultlib, spoilt_company, limit):
    """What the page says that no rule finds leaves no footnote; as soon as one does, it is a fault of the library."""
    harmless = faultlib.Level("", faultlib.LIMITS[limit][1], "accepted")
    trial = spoilt_company.trial(limit, harmless)
    assert list(faultlib.wrong(trial, spoilt_company.clean, harmless)) == []
    trial.remove()


def test_clean_company_has_only_the_usual_footnote(faultlib, spoilt_company):
    """The company without a fault is published, and only what every survey has is left out."""
    clean = spoilt_company.clean
    assert clean.verdict.decision == "publish with footnotes"
    assert alarms(clean.verdict) == []
    assert list(faultlib.unaccounted(clean)) == []


def test_library_is_large_and_even(faultlib):
    """There are at least sixty faults with ids of their own, and each names a rule or is harmless."""
    levels = [level for fault in faultlib.FAULTS for level in (fault.subtle, fault.gross)]
    assert len({fault.id for fault in faultlib.FAULTS}) == len(faultlib.FAULTS) >= 60
    assert all(level.rule for level in levels if level.outcome != "accepted")
    assert set(Counter(fault.kind for fault in faultlib.FAULTS)) == {"feed", "meaning", "rows"}


@pytest.mark.parametrize("feed", ["survey", "invitations", "tickets", "customers", "orders", "subscriptions", "events"])
def test_export_written_unchanged_is_the_same_bytes(faultlib, spoilt_company, feed, tmp_path):
    """A fault changes nothing but what it says: reading and writing a file leave it as it is."""
    path = spoilt_company.path(feed)
    export = faultlib.Export.of(feed, path)
    export.path = tmp_path / path.name
    export.write()
    assert export.path.read_bytes() == path.read_bytes()


def test_page_of_faults_is_up_to_date(faultlib, root):
    """The page in the docs says what the library says."""
    path, page = root / "docs" / "faults.md", faultlib.page()
    if os.environ.get(WRITE):
        path.write_text(page, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == page


@pytest.mark.soak
def test_no_false_alarm_in_two_years(make_project):
    """None of the documented company's 24 clean months has a footnote beside the usual one."""
    project, dataset = make_project(months=25)
    ingest(project, dataset)
    validate(project, dataset, LAST.previous, dataset.as_of)
    months = [LAST.shift(-step) for step in range(1, 25)]
    assert {month.id: alarms(read_verdict(project, "sample", month)) for month in months} == {
        month.id: [] for month in months
    }


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 21))
def test_no_false_alarm_on_another_company(make_project, seed):
    """A company drawn anew has only the usual footnote, and what is planted in its last month stops nothing."""
    project, dataset = make_project(months=10, seed=seed)
    ingest(project, dataset)
    assert validate(project, dataset, LAST, dataset.as_of).decision != "stop"
    months = [LAST.shift(-step) for step in range(1, 10)]
    assert {month.id: alarms(read_verdict(project, "sample", month)) for month in months} == {
        month.id: [] for month in months
    }


@pytest.fixture
def make_project(faultlib, root, tmp_path):
    """Return a function that makes a project with a whole sample company."""

    def make(months, **of_sample):
        write_sample(tmp_path / "clean", months=months, **of_sample)
        project = faultlib.copied(root, tmp_path / "clean", tmp_path / "project")
        return project, load_dataset(project, "sample")

    return make


def alarms(verdict):
    """Return the rules that stop a month or leave a footnote, but for the usual ones."""
    judged = [*verdict.rules, *verdict.gates]
    return [
        found.rule
        for found in judged
        if found.severity != "info" and found.outcome != "passed" and found.rule not in USUAL
    ]
