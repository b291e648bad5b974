"""The command line is thin, quick, and says what was found, what was expected and what to do."""

import hashlib
import resource
import shutil
import subprocess
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cxreport import __version__, cli
from cxreport.errors import GateError
from cxreport.publish import archive
from cxreport.publish import run as publishing
from cxreport.publish.workers import processors

COMMANDS = ("sample", "ingest", "validate", "measure", "run", "deliver", "open", "archive")


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """Return a folder with the committed definitions, as the current one."""
    shutil.copytree(root / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("output"))
    monkeypatch.delenv("CXREPORT_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cxreport(capsys):
    """Return a function that runs a command line and returns exit code, output and messages."""

    def cxreport(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return cxreport


@pytest.fixture
def asked(monkeypatch):
    """Replace the run by one that notes what it was asked for."""
    asked = {}

    def run(project, report, period, *, tell, **settings):
        asked.update(settings, report=report.id, period=period, root=project.root)
        tell("[bold]A step[/bold]")
        pack = project.root / "reports" / "output"
        return publishing.Published(html=pack / "report.html", pdf=pack / "report.pdf")

    monkeypatch.setattr(publishing, "run", run)
    return asked


def test_help_names_every_command(cxreport):
    """The help lists every command, and each has help of its own."""
    code, out, _ = cxreport("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    assert all(cxreport(command, "--help")[0] == 0 for command in COMMANDS)


def test_version_is_printed(cxreport):
    """The version is that of the package."""
    assert cxreport("--version") == (0, f"cxreport {__version__}\n", "")


def test_help_appears_at_once():
    """Help imports nothing heavy."""
    heavy = ("pandas", "pydantic", "duckdb", "papermill", "great_expectations", "matplotlib", "nbformat")
    script = (
        "import sys\nfrom cxreport.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print(*set(sys.modules) & set({heavy}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_module_runs_like_the_command():
    """`python -m cxreport` is the command line."""
    done = subprocess.run([sys.executable, "-m", "cxreport", "--help"], capture_output=True, text=True, check=True)
    assert "validate" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rn"], "Did you mean 'run'"),
        (["run", "--reprot", "x"], "--report"),
        (["run", "--as-of", "yesterday"], "--as-of"),
        (["run", "--as-of", "2026-02-30"], "--as-of"),
        (["run", "--report", "montly"], "`montly`, did you mean `monthly`?"),
        (["run", "--period", "2026-13"], "period `2026-13`"),
        (["run", "--period", "2026-Q3"], "write it like `2026-07`"),
        (["run", "--again"], "--again without --since"),
        (["run", "--since", "lately"], "period `lately`"),
        (["run", "--renderer", "quatro"], "renderer `quatro`, did you mean `quarto`?"),
        (["run", "-p", "region"], "-p name=value"),
        (["run", "-p", "=north"], "-p name=value"),
        (["open", "--period", "2026-09"], "no published issue"),
        (["measure"], "run `cxreport ingest` first"),
    ],
)
def test_wrong_use_exits_with_two_and_names_the_way_out(project, cxreport, arguments, words):
    """Unknown commands, options, reports, periods, renderers and parameters are wrong use, without a traceback."""
    code, out, err = cxreport(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert not (project / "reports" / "output").exists()


def test_outside_a_project_the_way_in_is_named(tmp_path, monkeypatch, cxreport):
    """Without a project around the message says how to name one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXREPORT_ROOT", raising=False)
    code, _, err = cxreport("run")
    assert code == 2
    assert err.splitlines() == [
        "Found:    no project here or in a parent folder",
        "Expected: a folder that holds `reports/definitions/`",
        "Do:       change into the project, or set CXREPORT_ROOT to its folder",
    ]


def test_stopped_run_exits_with_one_and_takes_text_as_text(project, cxreport, monkeypatch):
    """A gate's message is printed as it is, square brackets included."""

    def stopped(*_, **__):
        raise GateError(found="[red]rows[/red]", expected="none", do="wait")

    monkeypatch.setattr(publishing, "run", stopped)
    code, _, err = cxreport("run", "--project", str(project))
    assert (code, err.splitlines()[0]) == (1, "Found:    [red]rows[/red]")


def test_disk_errors_are_told_without_a_traceback(project, cxreport):
    """A file in the way of a command's folder is a failure in three sentences."""
    (project / "data").write_text("a file")
    code, _, err = cxreport("ingest")
    assert code == 1
    assert err.splitlines()[-3].startswith("Found:    ")
    assert "Traceback" not in err


def test_run_passes_on_what_was_asked(project, cxreport, asked):
    """Report, period, as-of date, renderer and parameters reach the run; two lines name the files."""
    code, out, err = cxreport(
        *("run", "--report", "monthly", "--period", "2026-08", "--as-of", "2026-09-03", "--renderer", "embedded"),
        *("-p", "top=5", "--parameter", "note=a=b"),
    )
    assert code == 0
    assert out.splitlines() == ["reports/output/report.html", "reports/output/report.pdf"]
    assert 'message="[bold]A step[/bold]"\n' in err
    assert (asked["report"], asked["period"].id, asked["renderer"]) == ("monthly", "2026-08", "embedded")
    assert asked["as_of"].isoformat() == "2026-09-03"
    assert asked["parameters"] == {"top": "5", "note": "a=b"}
    assert asked["root"] == project


@pytest.mark.usefixtures("project")
def test_processes_are_those_asked_for_or_one_a_core(cxreport, asked, monkeypatch):
    """The option goes before the environment, and the environment before the cores."""
    monkeypatch.delenv("CXREPORT_JOBS", raising=False)
    assert (cxreport("run")[0], asked["jobs"]) == (0, processors())
    monkeypatch.setenv("CXREPORT_JOBS", "3")
    assert (cxreport("run")[0], asked["jobs"]) == (0, 3)
    assert (cxreport("run", "-j", "5")[0], asked["jobs"]) == (0, 5)
    monkeypatch.setenv("CXREPORT_JOBS", "all")
    code, _, err = cxreport("run")
    assert code == 2
    assert "CXREPORT_JOBS" in err


def test_as_of_is_the_datasets_and_else_today(project, cxreport, asked):
    """Without the option the dataset says when its exports were taken; else it is today where the dataset is."""
    cxreport("run")
    assert asked["as_of"].isoformat() == "2026-10-02"
    definition = project / "reports" / "datasets" / "sample.yml"
    lines = definition.read_text().splitlines()
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):  # 26 hours apart: never the same day
        text = "\n".join(line for line in lines if not line.startswith(("as_of:", "time_zone:")))
        definition.write_text(f"{text}\ntime_zone: {zone}\n")
        before = datetime.now(ZoneInfo(zone)).date()
        cxreport("run")
        assert before <= asked["as_of"] <= datetime.now(ZoneInfo(zone)).date()


def test_paths_are_relative_only_inside_the_current_folder(project, cxreport, asked, monkeypatch, tmp_path_factory):
    """From elsewhere the whole path is printed."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    _, out, _ = cxreport("run", "--project", str(project))
    assert asked["root"] == project
    assert out.splitlines()[0] == str(project / "reports/output/report.html")


def test_open_prints_the_newest_issue_and_opens_it_once(project, cxreport, monkeypatch):
    """`open` leads to the newest issue; with --print nothing is opened."""
    for period in ("2026-08", "2026-09"):
        pack = project / "reports" / "output" / "monthly" / period
        (pack / "all").mkdir(parents=True)
        record = f'{{"report": "monthly", "period": "{period}", "title": "", "organisation": "", "as_of": "", '
        (pack / "run.json").write_text(record + '"decision": "publish"}')
        for name in (archive.HTML, archive.PDF):
            (pack / name).write_text("")
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert cxreport("open", "--print") == (0, "reports/output/monthly/2026-09/all/report.html\n", "")
    assert opened == []
    cxreport("open", "--period", "2026-08")
    assert opened == [(project / "reports/output/monthly/2026-08/all/report.html").as_uri()]


def test_archive_writes_the_pages_and_prints_the_first(project, cxreport):
    """`archive` writes the list and the feed, also before anything is published."""
    code, out, _ = cxreport("archive")
    assert (code, out) == (0, "reports/output/index.html\n")
    assert sorted(path.name for path in (project / "reports/output").glob("[!.]*")) == ["feed.xml", "index.html"]


def test_sample_is_written_when_it_differs_from_its_checksums(project, cxreport, monkeypatch):
    """The sample is left alone while it matches, and written on demand or after a change; other seeds are asked for."""
    written = []
    path = project / "data" / "sample" / "a.csv"
    path.parent.mkdir(parents=True)
    (path.parent / "checksums.txt").write_text(f"{hashlib.sha256(b'').hexdigest()}  a.csv\n")

    def write(folder, seed=None, tell=None):
        assert folder == path.parent
        tell("a.csv")
        written.append(seed)
        path.write_text("" if seed is None else "other")

    monkeypatch.setattr("cxreport.sample.write_sample", write)
    assert cxreport("sample")[:2] == (0, "data/sample\n")
    assert cxreport("sample") == (0, "data/sample is up to date\n", "")
    assert cxreport("sample", "--force")[0] == 0
    assert cxreport("sample", "--seed", "7")[0] == 0
    assert cxreport("sample")[:2] == (0, "data/sample\n")
    assert written == [None, None, 7, None]


@pytest.mark.parametrize(("listed", "matches"), [("a", True), ("b", False), (None, False), ("", False)])
def test_sample_matches_only_its_own_list(tmp_path, listed, matches):
    """Files are compared with the list byte for byte; without a list, or with an empty one, nothing matches."""
    (tmp_path / "x.csv").write_text("a")
    if listed is not None:
        line = f"{hashlib.sha256(listed.encode()).hexdigest()}  x.csv\n" if listed else ""
        (tmp_path / "checksums.txt").write_text(line)
    assert cli._matches_checksums(tmp_path) is matches


def test_sample_that_differs_from_its_checksums_is_said(project, cxreport, monkeypatch):
    """When the written files are not the documented ones, the command says so."""
    monkeypatch.setattr("cxreport.sample.write_sample", lambda *_, **__: [])
    code, _, err = cxreport("sample")
    assert (code, err) == (0, "These are not the files that data/sample/checksums.txt lists\n")
    assert not (project / "data").exists()


def test_interrupt_is_not_a_traceback(project):
    """Ctrl-C while a command waits ends it quietly with a failure code."""
    script = (
        "from cxreport import __version__, cli\nfrom cxreport.publish import run\nimport os, signal\n"
        "run.run = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)\ncli.main(['run'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=project, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_help_stays_under_its_time_budget():
    """Help takes well under a second of processor time, which other work on the machine does not stretch."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "cxreport", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.7
