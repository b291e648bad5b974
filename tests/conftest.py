"""Fixtures and settings shared by all tests, among them the two published companies that many tests read."""

import fcntl
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, settings

from cxreport.config import Project
from cxreport.periods import Period
from cxreport.present.words import ENGLISH, Words
from cxreport.sample import write_sample

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

# What a clone holds.
PARTS = [
    "notebooks",
    "reports",
    "expectations",
    "data/reference",
    "data/sample",
    "requirements",
    "Makefile",
    "pyproject.toml",
]
# Where programs leave temporary files, caches, histories and settings.
PRIVATE = [
    *("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "MPLCONFIGDIR"),
    *("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"),
]
# Processes of the tests share the cores already: a run that they start works in one.
SHARED_CORES = {"CXREPORT_JOBS": "1"} if "PYTEST_XDIST_WORKER" in os.environ else {}
os.environ.update(SHARED_CORES)

SEPTEMBER = Period.parse("2026-09")
SMALL_MONTHS = 4
SMALL_REPORT = {
    "kpis": ["nps", "csat", "response_rate", "resolution_time"],
    "headline": ["nps", "csat"],
    "segments": ["region", "channel"],
    "mix_segments": ["channel"],
    "targets": {"nps": 30},
    "analyses": {},
    "present": ["30_executive", "40_kpis"],
}
GERMAN_REPORT = {
    "language": "de",
    "present": ["30_executive", "40_kpis", "90_method"],
    "audiences": {"by": "region", "groups": "reports/audiences/regions.yml"},
}
# The files that take longest, so that no process is left alone with one of them in the end.
LONGEST_FIRST = [
    "tests/pack/test_pack.py",
    "tests/pack/test_hostile.py",
    "tests/pack/test_pages.py",
    "tests/faults/test_faults.py",
    "tests/validate/test_validate.py",
    "tests/faults/test_privacy_of_runs.py",
    "tests/publish/test_run.py",
    "tests/measure/test_audiences.py",
    "tests/pack/test_other_periods.py",
    "tests/validate/test_gates.py",
    "tests/test_engine.py",
    "tests/pack/test_pack_sfo.py",
    "tests/test_sample.py",
    "tests/measure/test_planted.py",
    "tests/measure/test_issued.py",
    "tests/measure/test_measure.py",
    "tests/measure/test_reduce.py",
    "tests/soak/test_coverage_of_intervals.py",
    "tests/soak/test_disclosure_attack.py",
    "tests/pack/test_steps.py",
    "tests/present/test_present_notebooks.py",
    "tests/pack/test_pack_kpis.py",
]

# The same examples on every run: a failure must be reproducible by whoever sees it.
settings.register_profile(
    "cxreport", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("cxreport")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; within and after them the order stays random."""
    place = {ROOT / name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project under test."""
    return ROOT


@pytest.fixture(scope="session")
def english(root) -> Words:
    """The words of the language that the suite itself speaks."""
    return Words.open(Project(root), ENGLISH)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and worked examples beside the project; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the project: the real data and worked examples are not here")
    return SHARED


# --- what is made once and read by many tests --------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A finished run: its project, report, period and what the command printed."""

    project: Project
    report: str
    dataset: str
    period: Period
    stdout: str

    @property
    def folder(self) -> Path:
        return self.project.published(self.report, self.period)

    @property
    def html(self) -> Path:
        return self.folder / "all" / "report.html"

    @property
    def pdf(self) -> Path:
        return self.folder / "all" / "report.pdf"

    def estimates(self) -> pd.DataFrame:
        return pq.read_table(self.project.measured(self.report, self.period) / "estimates.parquet").to_pandas()


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], str]], tuple[Path, str]]:
    """Return a function that makes a folder in the first test process that asks for it, and waits in the others.

    It returns the folder and what its maker returned.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], str]) -> tuple[Path, str]:
        folder, said = base / name, base / f"{name}.txt"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not said.is_file():
                shutil.rmtree(folder, ignore_errors=True)
                said.write_text(make(folder), encoding="utf-8")
        return folder, said.read_text(encoding="utf-8")

    return once


def copy_project(root: Path, target: Path) -> Project:
    """Copy what a clone holds, without anything that was made."""
    made = shutil.ignore_patterns("output", "uncommitted", "__pycache__", ".ipynb_checkpoints", "*.csv")
    for part in PARTS:
        source = root / part
        if source.is_dir():
            keep_csv = part == "data/reference"
            shutil.copytree(source, target / part, ignore=None if keep_csv else made)
        else:
            shutil.copy2(source, target / part)
    return Project(target)


def run(project: Project, command: str, printed: Path | None = None, **environment: str) -> str:
    """Run a command line in a project as a user with the environment active would; demand success.

    It returns what was printed; `printed` is a file for that and for what was written to the other stream.
    """
    tools = Path(sys.executable).parent
    result = subprocess.run(
        shlex.split(command),
        cwd=project.root,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", ""), **SHARED_CORES} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    if printed:
        printed.write_text(result.stdout + result.stderr, encoding="utf-8")
    return result.stdout


def private_folders(folder: Path) -> dict[str, str]:
    """Return the variables that keep all that a run leaves outside its project, such as caches, within a folder."""
    for name in PRIVATE:
        (folder / name.lower()).mkdir(parents=True, exist_ok=True)
    return {name: str(folder / name.lower()) for name in PRIVATE}


def lend_environment(root: Path, project: Project) -> bool:
    """Give a copy the environment that make set up here, so that its targets need not; say whether there is one."""
    ready = root / ".venv" / ".ready"
    sources = [root / "requirements" / "run.lock", root / "pyproject.toml"]
    if not ready.exists() or any(source.stat().st_mtime > ready.stat().st_mtime for source in sources):
        return False
    (project.root / ".venv").symlink_to(root / ".venv")
    return True


@pytest.fixture(scope="session", name="copy_project")
def _copy_project(root) -> Callable[..., Project]:
    """Return a function that copies what a clone holds, of this project or of another, to a folder."""
    return lambda target, source=root: copy_project(source, target)


@pytest.fixture(scope="session")
def small_report() -> dict[str, object]:
    """What a definition is changed to for a report that is quickly made."""
    return dict(SMALL_REPORT)


@pytest.fixture(scope="session", name="run")
def _run() -> Callable[[Project, str], str]:
    """Return a function that runs a command line in a project, demands success, and returns what it printed."""
    return run


@pytest.fixture(scope="session")
def readme(root) -> list[str]:
    """Return the commands of all shell blocks of the README, in order, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="session")
def pack(root, once) -> Made:
    """The sample company's default report, from a bare clone to published, by the README's first command."""

    def make(folder: Path) -> str:
        project = copy_project(root, folder)
        return run(project, "make report" if lend_environment(root, project) else "cxreport run")

    folder, printed = once("pack", make)
    return Made(Project(folder), "monthly", "sample", SEPTEMBER, printed)


@pytest.fixture(scope="session")
def small(root, readme, once) -> Made:
    """A few months of the sample company and a few KPIs, published by the README's `cxreport run`.

    Personal data are planted in its exports; what the run left outside the project and printed is in `left/`.
    """
    [command] = [line for line in readme if line.startswith("cxreport run ")]

    def make(folder: Path) -> str:
        project = copy_project(root, folder)
        write_sample(project.sample, months=SMALL_MONTHS)
        _change(project.definitions / "monthly.yml", SMALL_REPORT)
        _PERSONAL_DATA.plant(project)
        left = folder / "left"
        return run(project, command, printed=left / "printed.txt", **private_folders(left))

    folder, printed = once("small", make)
    return Made(Project(folder), "monthly", "sample", SEPTEMBER, printed)


@pytest.fixture(scope="session")
def german(small, once) -> Made:
    """The small company's report once more, in German, with a pack for the managers of two regions."""

    def make(folder: Path) -> str:
        project = Project(shutil.copytree(small.project.root, folder, symlinks=True))
        groups = project.root / GERMAN_REPORT["audiences"]["groups"]
        groups.parent.mkdir()
        groups.write_text("nord_ost: {title: Nord und Ost, levels: [north, east]}\n", encoding="utf-8")
        _change(project.definitions / "monthly.yml", GERMAN_REPORT)
        return run(project, f"cxreport run --period {small.period}")

    folder, printed = once("german", make)
    return Made(Project(folder), small.report, small.dataset, small.period, printed)


def _change(path: Path, changes: dict[str, object]) -> None:
    """Change some keys of a definition."""
    definition = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    path.write_text(yaml.safe_dump(definition, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _load(name: str) -> ModuleType:
    """Load a module or package beside this file, which no test could import otherwise."""
    path = Path(__file__).parent / name
    places = [str(path)] if path.is_dir() else None
    file = path / "__init__.py" if places else path.with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=places)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_PERSONAL_DATA, _HOSTILE, _DEVTOOLS = map(_load, ("personal_data", "hostile", "devtools"))


@pytest.fixture(scope="session")
def personal_data() -> ModuleType:
    """The items of personal data, and the search for them."""
    return _PERSONAL_DATA


@pytest.fixture(scope="session")
def hostile() -> ModuleType:
    """The texts that try to be more than text, and what readers shall see of them."""
    return _HOSTILE


@pytest.fixture(scope="session")
def attacked(root, once) -> Made:
    """A small company whose deliveries and definitions are full of hostile texts, published."""

    def make(folder: Path) -> str:
        project = copy_project(root, folder)
        write_sample(project.sample, months=2)
        _HOSTILE.plant(project)
        return run(project, f"cxreport run --period {SEPTEMBER} --renderer embedded")

    folder, printed = once("attacked", make)
    return Made(Project(folder), "monthly", "sample", SEPTEMBER, printed)


# --- the browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> str:
    """The path of Chromium; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((found for name in names if (found := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: what pages do in a browser is not measured")
    return found


@pytest.fixture(scope="session")
def chromium(browser, tmp_path_factory):
    """One Chromium for all pages that a process of the tests opens."""
    running = _DEVTOOLS.Chromium([browser, *CHROMIUM_FLAGS], tmp_path_factory.mktemp("chromium"))
    yield running
    running.close()


@pytest.fixture
def browse(browser, tmp_path):
    """Open an address in a Chromium of its own and return what it wrote to both streams."""

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
