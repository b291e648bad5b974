"""The steps behind a small issue: each leaves what the run left, alone, again or as a bare notebook."""

import hashlib
import shlex
import shutil

import pytest

from cxreport.config import Project


def tables(project):
    """Return the hash of every table and verdict below `data/`."""
    files = [path for kind in ("*.parquet", "verdict.json") for path in (project.root / "data").rglob(kind)]
    assert len(files) > 30
    return {path.relative_to(project.root): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


@pytest.fixture(scope="module")
def project(small, tmp_path_factory):
    """A copy of the small company in which steps may write."""
    return Project(shutil.copytree(small.project.root, tmp_path_factory.mktemp("steps") / "project", symlinks=True))


def test_readme_run_ends_with_the_two_paths(small):
    """The run that the README names, with a period and a renderer, publishes an issue."""
    assert [line.rsplit("/", 1)[1] for line in small.stdout.splitlines()] == ["report.html", "report.pdf"]
    assert small.html.is_file()
    assert small.pdf.read_bytes().startswith(b"%PDF")


def test_readme_opens_the_issue(small, readme, run):
    """The README's `cxreport open` prints the page."""
    [command] = [line for line in readme if line.startswith("cxreport open ")]
    assert small.project.root / run(small.project, command).strip() == small.html


def test_readme_says_why_a_page_was_made(small, readme, run):
    """The README's `cxreport why` tells of the first run; a page that the report does not have is refused."""
    [command] = [line for line in readme if line.startswith("cxreport why ")]
    assert run(small.project, command) == "40_kpis: made by the last run, because there was none\n"


def test_readme_says_who_would_get_the_issue(small, readme, run):
    """The README's `cxreport deliver` names the recipients of the sample company's report and sends nothing."""
    [command] = [line for line in readme if line.startswith("cxreport deliver ")]
    assert run(small.project, command).endswith("Nothing was sent; --send sends\n")


def test_readme_writes_the_archive_anew(small, project, readme, run):
    """The README's `cxreport archive` gives the pages that the run gave."""
    [command] = [line for line in readme if line.startswith("cxreport archive")]
    (project.output / "index.html").unlink()
    run(project, command)
    for page in ("index.html", "feed.xml", f"monthly/{small.period}.html"):
        assert (project.output / page).read_bytes() == (small.project.output / page).read_bytes()


def test_every_readme_command_is_run_somewhere(readme):
    """Steps and Papermill in the second pack, sample in the first, the others here: no other command is promised."""
    known = ("make", "cxreport", "papermill")
    assert {shlex.split(line)[0] for line in readme} == set(known)
    steps = [shlex.split(line)[1] for line in readme if line.startswith("cxreport ")]
    assert steps == ["sample", "ingest", "validate", "measure", "run", "why", "open", "deliver", "archive"]


@pytest.mark.parametrize("name", ["10_validate", "20_measure"])
def test_prepare_notebook_runs_with_its_defaults_and_changes_nothing(small, project, run, name):
    """A prepare notebook run by Papermill alone, without parameters, writes the same tables again."""
    written = project.accepted("sample") if name == "10_validate" else project.measured("monthly", small.period)
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*.parquet")}
    run(project, f"papermill notebooks/{name}.ipynb out.ipynb")
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())
    assert tables(project) == tables(small.project)
