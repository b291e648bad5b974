"""An issue is made again from its account, byte for byte; what keeps it from that is named."""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest

from cxreport.config import Project, load_dataset
from cxreport.periods import Period
from cxreport.publish import archive, verify
from cxreport.publish.cache import digests
from cxreport.validate import read_verdict


@pytest.fixture(scope="module")
def project(small, tmp_path_factory) -> Project:
    """A copy of the small company's project as it was published, whose files tests may change for a while."""
    made = ("cache", "accepted", "rejected", "measured", "left")
    ignored = shutil.ignore_patterns(*made, ".venv")
    return Project(shutil.copytree(small.project.root, tmp_path_factory.mktemp("copy") / "small", ignore=ignored))


@pytest.fixture
def issue(project, small):
    """The published issue."""
    return archive.find_issue(project.output, small.report, small.period.id)


@contextmanager
def planted(path, content=b"\n"):
    """Change a file, or put one there, for a while; `None` takes it away."""
    before = path.read_bytes() if path.is_file() else None
    if content is None:
        path.unlink()
    else:
        path.write_bytes((before or b"") + content)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


@pytest.fixture
def check(project, issue, monkeypatch):
    """Return a function that verifies the issue, or one of another account; replays, which it counts, differ in a PDF.

    It returns causes and names; `check.found` holds all that was found, `check.replays` the number of replays.
    """

    def replay(*_):
        check.replays += 1
        return verify._compared(issue.told("outputs")) | {"all/report.pdf": "others"}

    def check(**changes):
        record = {name: changes.pop(name) for name in ("software",) if name in changes}
        other = replace(issue, record=issue.record | record, **changes)
        check.found = verify.verify(project, other, lambda _: None)
        return [(each.cause, each.name) for each in check.found]

    monkeypatch.setattr(verify, "_replay", replay)
    check.replays = 0
    return check


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("data/sample/qualtrics/survey_2026-09.csv", b"\n", ("input", "survey/survey_2026-09.csv")),
        ("data/sample/zendesk/tickets_2026-08.csv", None, ("input", "tickets/tickets_2026-08.csv")),
        ("data/sample/qualtrics/more.csv", b"more", ("input", "survey")),
        ("reports/kpis/nps.yml", b"# a remark", ("definition", "reports/kpis/nps.yml")),
        ("reports/segments.yml", b"# a remark", ("definition", "reports/segments.yml")),
        ("notebooks/40_kpis.ipynb", b" ", ("definition", "notebooks/40_kpis.ipynb")),
        ("reports/theme/report.css", b" ", ("definition", "reports/theme/report.css")),
        ("expectations/suites/more.json", b"{}", ("definition", "expectations/suites/more.json")),
        ("data/reference/benchmarks.csv", b"\n", ("definition", "data/reference/benchmarks.csv")),
    ],
)
def test_what_an_issue_was_made_from_must_be_as_it_was(project, check, path, content, expected):
    """A delivered file or definition that changed, went or came is named, and nothing is replayed."""
    with planted(project.root / path, content):
        assert expected in check()
    assert not check.replays


@pytest.mark.parametrize(
    ("other", "cause", "detail"),
    [
        ({"python": "3.9.1"}, "version", "python 3.9.1, now"),
        ({"code": "other"}, "version", "code is another"),
        ({"lock": "other"}, "version", "lock is another"),
        ({"packages": {"numpy": "1.0"}}, "version", "numpy 1.0, now"),
        ({"renderer": {"name": "embedded", "versions": {"typst": "0.1"}}}, "renderer", "typst 0.1, now"),
    ],
)
def test_differing_file_is_named_with_its_first_cause(issue, check, other, cause, detail):
    """Other bytes are explained by what the account tells of the software."""
    assert check(software=issue.told("software") | other) == [(cause, "all/report.pdf")]
    assert detail in check.found[0].detail
    assert check.replays == 1


def test_another_day_than_the_notebooks_were_given_is_the_clock(check):
    """The day that stands for the clock; and where nothing explains the bytes, that is said."""
    assert check(as_of="2026-10-03") == [("clock", "all/report.pdf")]
    assert check() == [("unexplained", "all/report.pdf")]


def test_renderer_that_is_not_there_is_named(issue, check, monkeypatch):
    """Nothing can be replayed without it."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    quarto = {"renderer": {"name": "quarto", "versions": {"quarto": "1.9"}}}
    assert check(software=issue.told("software") | quarto) == [("renderer", "quarto")]
    assert not check.replays


def test_published_file_that_was_edited_is_named_beside_the_replay(issue, check):
    """An edited page is told apart from one that cannot be made again."""
    with planted(issue.folder / archive.HTML):
        assert check() == [("edited", archive.HTML), ("unexplained", "all/report.pdf")]


def test_late_answers_and_first_figures_are_there_in_the_copy(project, issue, tmp_path):
    """The replay counts as many late answers, and compares with what was first issued."""
    copy = Project(tmp_path)
    verify._note_late(copy, load_dataset(project, "sample"), {"2026-08": 3})
    assert read_verdict(copy, "sample", Period.parse("2026-08")).late == 3
    first = issue.folder / "all" / "first.parquet"
    with planted(first, b"first"):
        verify._copy_first(copy, replace(issue, record=issue.record | {"first": {"inputs": {"a": 1}}}))
    replaced = copy.published(issue.report, issue.period)
    assert (replaced / "all" / "estimates.parquet").read_bytes() == b"first"
    assert (replaced / "run.json").read_text() == '{"first": {"inputs": {"a": 1}}}'


def test_replay_elsewhere_gives_the_same_bytes(small, run, tmp_path):
    """In another time zone, language and order of hashing, beside secrets, and without touching the issue."""
    output = small.project.output
    before = digests(output.rglob("*"), output)
    command = f"cxreport verify {small.report}/{small.period}"
    elsewhere = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "CXREPORT_SMTP_PASSWORD": "plainly-secret"}
    said = run(small.project, command, tmp_path / "printed.txt", **elsewhere)
    assert said.strip() == f"{small.report}/{small.period}: every byte is the same"
    assert "plainly-secret" not in (tmp_path / "printed.txt").read_text()
    assert digests(output.rglob("*"), output) == before


@pytest.mark.soak
def test_replay_of_a_corrected_issue_gives_the_same_bytes(small, run, tmp_path):
    """With answers that came late, a replaced issue and its revisions, which depend on what was there before."""
    project = Project(shutil.copytree(small.project.root, tmp_path / "small", symlinks=True))
    delivered = project.sample / "qualtrics" / "survey_2026-09.csv"
    whole = delivered.read_bytes()
    lines = whole.splitlines(keepends=True)
    # Rows of one line each.
    late = [place for place in range(100, 140) if all(line.startswith(b"2026-09") for line in lines[place : place + 2])]
    shorter = b"".join(line for place, line in enumerate(lines) if place not in late)
    command = f"cxreport run --period {small.period}"
    shutil.rmtree(project.published(small.report, small.period))
    delivered.write_bytes(shorter)
    run(project, command)
    delivered.write_bytes(whole)
    run(project, command)
    issue = archive.find_issue(project.output, small.report, small.period.id)
    assert issue.told("late")
    assert issue.told("first")
    assert (issue.folder / "all" / "revisions.parquet").is_file()
    assert "every byte is the same" in run(project, f"cxreport verify {small.report}/{small.period}")
