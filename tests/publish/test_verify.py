"""An issue is made again from its account, byte for byte; what keeps it from that is named."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pypandoc
import pytest

import cxreport
from cxreport.config import Project, load_dataset
from cxreport.errors import DefinitionError
from cxreport.periods import Period
from cxreport.publish import archive, verify
from cxreport.publish.cache import digests
from cxreport.validate import read_verdict

PUBLISHED = "project/reports/output/monthly/2026-09"
OTHER_USER = 4321
# Stands in for another version of pandoc, which writes other pages.
OTHER_PANDOC = """#!/bin/sh
'{pandoc}' "$@" | sed 's/^pandoc 3/pandoc 4/; s/<main/<main class="other"/'
"""


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
    """Change a file, or put one there, for a while; bytes are added, a function changes it, `None` takes it away."""
    before = path.read_bytes() if path.is_file() else None
    if content is None:
        path.unlink()
    elif callable(content):
        path.write_bytes(content(before))
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
        ("reports/kpis/csat.yml", None, ("definition", "reports/kpis/csat.yml")),
        ("reports/definitions/monthly.yml", b"no: thing", ("definition", "reports/definitions/monthly.yml")),
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


def test_new_definition_that_cannot_be_read_is_told_as_in_a_run(project, check):
    """Where no definition of the issue explains it, the error itself does."""
    with planted(project.root / "reports/kpis/more.yml", b"no: thing"), pytest.raises(DefinitionError, match="more"):
        check()


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


# --- as an auditor does it, elsewhere ---


@pytest.fixture(scope="module")
def elsewhere(small, tmp_path_factory):
    """Return a function that verifies the issue in a second clone, with another copy of the code at another path.

    The command runs as another user, with another home, time zone, locale and order of hashing, on one core.
    """
    another = ["unshare", f"--map-user={OTHER_USER}", f"--map-group={OTHER_USER}"]
    if not shutil.which(another[0]) or subprocess.run([*another, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here: nobody else can be on this machine")
    folder = tmp_path_factory.mktemp("second clone")
    made = shutil.ignore_patterns("cache", "staged", "accepted", "rejected", "measured", "left", ".venv")
    shutil.copytree(small.project.root, folder / "project", ignore=made)
    package = Path(cxreport.__file__).parent
    shutil.copytree(package, folder / "code" / "cxreport", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "home").mkdir()
    locales = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.split()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "code"),
        "HOME": str(folder / "home"),
        "USER": "auditor",
        "LOGNAME": "auditor",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "de_DE.utf8" if "de_DE.utf8" in locales else "C",
        "PYTHONHASHSEED": "11",
    }
    core = str(min(os.sched_getaffinity(0)))
    command = ["taskset", "--cpu-list", core, "cxreport", "verify", f"{small.report}/{small.period}", "--jobs", "1"]

    def verify_there(**variables):
        done = subprocess.run(
            [*another, *command],
            cwd=folder / "project",
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout.splitlines()

    verify_there.folder = folder
    return verify_there


@pytest.mark.soak
def test_second_clone_gives_the_same_bytes(issue, elsewhere):
    """Another path, user, home, time zone, locale, order of hashing and number of cores change no byte of any file."""
    kinds = {Path(name).suffix for name in verify._compared(issue.told("outputs"))}
    assert kinds >= {".html", ".pdf", ".pptx", ".xlsx", ".parquet"}
    assert elsewhere() == ["monthly/2026-09: every byte is the same"]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (
            "project/data/sample/qualtrics/survey_2026-09.csv",
            b"\n",
            "input: survey/survey_2026-09.csv: gone or changed",
        ),
        (
            "project/data/sample/zendesk/tickets_2026-08.csv",
            None,
            "input: tickets/tickets_2026-08.csv: gone or changed",
        ),
        ("project/data/sample/qualtrics/more.csv", b"more", r"input: survey: delivered files: \d+, now \d+"),
        ("project/reports/kpis/nps.yml", b"# a remark", "definition: reports/kpis/nps.yml: changed"),
        ("project/reports/kpis/csat.yml", None, "definition: reports/kpis/csat.yml: gone"),
        ("project/notebooks/40_kpis.ipynb", b" ", "definition: notebooks/40_kpis.ipynb: changed"),
        ("project/reports/theme/more.css", b" ", "definition: reports/theme/more.css: new"),
        (f"{PUBLISHED}/all/report.pdf", b" ", "edited: all/report.pdf: changed since it was published"),
        (f"{PUBLISHED}/all/tables.xlsx", None, "edited: all/tables.xlsx: gone"),
        (
            "code/cxreport/__init__.py",
            b'__version__ = "9.9"\n',
            rf"version: all/.*: cxreport {re.escape(cxreport.__version__)}, now 9\.9",
        ),
        ("code/cxreport/publish/embedded.py", b"_SHORT = 30\n", r"version: all/\w+\.pdf: code is another"),
        (
            f"{PUBLISHED}/run.json",
            lambda record: re.sub(rb'"as_of": "[\d-]+"', b'"as_of": "2026-11-05"', record, count=1),
            r"clock: all/.*: 2026-11-05, and \S+ in the notebooks' parameters",
        ),
    ],
)
def test_planted_difference_is_named_in_a_second_clone(elsewhere, path, content, expected):
    """Whatever was changed is named as the cause, and nothing else is; what needs a replay is really made again."""
    with planted(elsewhere.folder / path, content):
        said = elsewhere()
    assert said
    assert [line for line in said if not re.fullmatch(expected, line)] == []


@pytest.mark.soak
def test_other_version_of_the_renderer_is_named_in_a_second_clone(elsewhere):
    """Pages that another pandoc writes are explained by its version."""
    other = elsewhere.folder / "pandoc"
    other.write_text(OTHER_PANDOC.format(pandoc=pypandoc.get_pandoc_path()), encoding="utf-8")
    other.chmod(0o755)
    said = elsewhere(PYPANDOC_PANDOC=str(other))
    assert any("all/report.html" in line for line in said)
    assert [line for line in said if not re.fullmatch(r"renderer: all/.*: pandoc 3\S+, now 4\S+", line)] == []
