"""Speed and memory of making packs against the bare recipe, on the same notebooks, audiences and figures: `make bench`.

The recipe is one Papermill command for each page and audience, then nbconvert for its HTML, of which it makes no PDF;
and one render of all pages as a Quarto project, HTML and PDF, where Quarto is on the PATH. Everybody starts from
measured figures. The suite's run also makes slides, workbooks, executive pages and the archive, and finds that its
prepare steps need no second time. Peak memory is the sum of all processes' shares, looked at twice a second; CPU time
is that of the whole machine, which should have nothing else to do.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil
import yaml
from rivals import Result, judge, show

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("reports", "notebooks", "expectations", "data/reference", "requirements")
REPORT, PERIOD, CORES = "bench", "2026-09", 2
REGIONS = ("north", "east", "south", "west", "central")
NBCONVERT = ROOT / ".venv-lab" / "bin" / "jupyter-nbconvert"
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audiences", type=int, default=20)
    parser.add_argument("--many", type=int, default=100, help="audiences to grow to from a tenth of them; 0 for none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cxreport-bench-") as name:
        compare(Path(name), options.audiences, options.many)


def compare(folder: Path, audiences: int, many: int = 100) -> None:
    """Print the suite's time and memory beside the recipe's, and how the suite's follow what has changed."""
    project = write_project(folder / "some", audiences)
    pages = [(audience, page) for audience in audience_ids(project) for page in definition(project)["present"]]
    print(f"Packs of {audiences} audiences and everybody, {len(pages)} pages")
    own = f"cxreport, HTML and PDF, {CORES} processes"
    results = {
        own: timed(lambda: make_again(project, CORES)),
        "cxreport, HTML and PDF, 1 process": timed(lambda: make_again(project, 1)),
    }
    if NBCONVERT.is_file():
        results[f"Papermill and nbconvert, {CORES} at a time"] = timed(lambda: by_nbconvert(project, pages, CORES))
        results["Papermill and nbconvert, 1 at a time"] = timed(lambda: by_nbconvert(project, pages, 1))
    else:
        print("  no nbconvert in .venv-lab (`make lab` sets it up)")
    if shutil.which("quarto"):
        results[f"Papermill, {CORES} at a time, and Quarto"] = timed(lambda: by_quarto(project, pages))
    else:
        print("  no Quarto on the PATH")
    show(results)
    for name, result in results.items():
        if name.startswith("Papermill") and "1 at" not in name:
            goal = 1 / 10 if "Quarto" in name else 1 / 5
            judge(f"own time over that of {name}", results[own]["seconds"] / result["seconds"], goal)
    show_changes(folder, project)
    show_shares(project)
    if many:
        show_growth(folder, many)


# --- the project ---------------------------------------------------------------------------------


def write_project(folder: Path, audiences: int) -> Path:
    """Write a project with a small sample and a report for so many groups of regions, and publish it once."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("output", "uncommitted"))
    call(
        folder,
        "-c",
        "from cxreport.sample import write_sample; write_sample(__import__('pathlib').Path('data/sample'), months=3)",
    )
    several = (levels for size in range(1, 6) for levels in combinations(REGIONS, size))
    names = [*several] * (1 + audiences // 31)
    groups = {
        f"group_{number}": {"title": f"Group {number}", "levels": [*levels]}
        for number, levels in enumerate(names[:audiences], start=1)
    }
    (folder / "reports" / "audiences").mkdir(exist_ok=True)
    (folder / "reports" / "audiences" / "bench.yml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    regional = yaml.safe_load((folder / "reports/definitions/regional.yml").read_text(encoding="utf-8"))
    own = regional | {"audiences": {"by": "region", "groups": "reports/audiences/bench.yml"}}
    (folder / "reports" / "definitions" / f"{REPORT}.yml").write_text(yaml.safe_dump(own), encoding="utf-8")
    publish(folder, CORES)
    return folder


def definition(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "reports" / "definitions" / f"{REPORT}.yml").read_text(encoding="utf-8"))


def audience_ids(project: Path) -> list[str]:
    """Return the audiences, and an empty text for everybody."""
    return [
        "",
        *sorted(path.parent.name for path in (project / "data/measured" / REPORT / PERIOD).glob("*/audience.json")),
    ]


def call(project: Path, *arguments: str) -> None:
    """Run Python in the project."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- the suite -----------------------------------------------------------------------------------


def publish(project: Path, jobs: int) -> None:
    call(
        project,
        "-m",
        "cxreport",
        "run",
        "--report",
        REPORT,
        "--period",
        PERIOD,
        "-j",
        str(jobs),
        "--renderer",
        "embedded",
    )


def forget(project: Path, audiences: Iterable[str]) -> None:
    """Let the pages of some audiences count as changed; what was prepared for all of them still counts."""
    kept = project / "data" / "cache" / REPORT / PERIOD
    for audience in audiences:
        for record in (kept / (audience or "all")).glob("*.json"):
            if record.stem[:2] not in {"10", "20"}:
                record.unlink()


def make_again(project: Path, jobs: int) -> None:
    forget(project, audience_ids(project))
    (project / "data" / "cache" / REPORT / PERIOD / "issue.json").unlink()
    publish(project, jobs)


def make_one_again(project: Path) -> None:
    forget(project, ["group-1"])
    (project / "data" / "cache" / REPORT / PERIOD / "issue.json").unlink()
    publish(project, CORES)


def show_changes(folder: Path, project: Path) -> None:
    """Print what a run costs that has nothing to do, and one that has to make one pack of many."""
    nothing = timed(lambda: publish(project, CORES))
    print(f"  unchanged: {nothing['seconds']:.2f} s, {nothing['cpu']:.2f} s of CPU (goal under 2)")
    alone = write_project(folder / "alone", 1)
    forget(alone, [""])
    publish(alone, CORES)
    one, only = (timed(lambda place=place: make_one_again(place)) for place in (project, alone))
    judge("one changed pack of many over the same pack in a report of its own", one["seconds"] / only["seconds"], 1.2)


def show_growth(folder: Path, many: int) -> None:
    times = []
    for audiences in (many // 10, many):
        project = write_project(folder / f"growth{audiences}", audiences)
        times.append(timed(lambda project=project: make_again(project, CORES))["seconds"])
    judge(f"time of {many} audiences over ten times that of {many // 10}", times[1] / times[0] / 10, 1)


def show_shares(project: Path) -> None:
    """Print how the time of one process is divided, by a stop-watch around the pieces of work."""
    script = """
import json, time
start = time.perf_counter()
from cxreport.publish import execution, work
from cxreport.publish.kernels import owner
from cxreport import cli
spent = {"import": time.perf_counter() - start}
def watched(name, work_):
    def timed(*arguments, **settings):
        begin = time.perf_counter()
        try: return work_(*arguments, **settings)
        finally: spent[name] = spent.get(name, 0) + time.perf_counter() - begin
    return timed
for name, what in (("execute", "execution"), ("press", "rendering"), ("export", "slides and tables")):
    setattr(work, name, watched(what, getattr(work, name)))
owner.WarmParent.__init__ = watched("kernels' imports", owner.WarmParent.__init__)
try: cli.main(["run", "--report", "REPORT", "--period", "PERIOD", "-j", "1", "--renderer", "embedded"])
except SystemExit: pass
spent["all"] = time.perf_counter() - start
open("shares.json", "w").write(json.dumps(spent))
""".replace("REPORT", REPORT).replace("PERIOD", PERIOD)
    forget(project, audience_ids(project))
    (project / "data" / "cache" / REPORT / PERIOD / "issue.json").unlink()
    call(project, "-c", script)
    spent = json.loads((project / "shares.json").read_text(encoding="utf-8"))
    whole = spent.pop("all")
    shares = ", ".join(f"{name} {share / whole:.0%}" for name, share in spent.items())
    print(f"  shares of the time of one process: {shares}, the rest {1 - sum(spent.values()) / whole:.0%}")


# --- the recipe ----------------------------------------------------------------------------------


def by_nbconvert(project: Path, pages: list[tuple[str, str]], at_once: int) -> None:
    out = project / "recipe"
    out.mkdir(exist_ok=True)

    def make(page: tuple[str, str]) -> None:
        executed = execute(project, *page, out)
        told = subprocess.run(
            [NBCONVERT, "--to", "html", "--no-input", executed.name],
            cwd=out,
            env=os.environ,
            capture_output=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(make, pages))


def by_quarto(project: Path, pages: list[tuple[str, str]]) -> None:
    out = project / "quarto"
    out.mkdir(exist_ok=True)
    settings = {"project": {"type": "default"}, "format": {"html": {"embed-resources": True}, "typst": {}}}
    (out / "_quarto.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda page: execute(project, *page, out), pages))
    subprocess.run(["quarto", "render", str(out)], env=os.environ, capture_output=True, check=True)


def execute(project: Path, audience: str, page: str, out: Path) -> Path:
    """Execute a page by Papermill's command line."""
    executed = out / f"{audience or 'all'}-{page}.ipynb"
    told = {"report": REPORT, "period": PERIOD, "audience": audience, "root": str(project)}
    wanted = [word for name, value in told.items() for word in ("-r", name, value)]
    call(project, "-m", "papermill", f"notebooks/{page}.ipynb", str(executed), *wanted, "--no-progress-bar")
    return executed


# --- measuring -----------------------------------------------------------------------------------


def timed(work: Callable[[], None]) -> Result:
    """Return the time of some work that is done in other processes, the CPU time and their peak memory together."""
    watch, before, start = Watch(), busy(), time.perf_counter()
    work()
    seconds, cpu = time.perf_counter() - start, busy() - before
    return {"found": None, "seconds": seconds, "cpu": cpu, "peak_mib": watch.end()}


def busy() -> float:
    """Return the seconds of CPU that the machine has spent; not all processes of a run are waited for by others."""
    times = psutil.cpu_times()
    return float(times.user + times.system)


class Watch:
    """Looks twice a second at the memory of this process's descendants, pages that several share counted once."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Return the peak in MiB."""
        self._ended.set()
        self._thread.join()
        return self._peak / 2**20

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            self._peak = max(self._peak, sum(map(own_share, psutil.Process().children(recursive=True))))


def own_share(process: psutil.Process) -> int:
    """Return a process's proportional share of memory in bytes; none when it is gone."""
    try:
        told = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process.pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(told[1]) * 1024 if told else 0


if __name__ == "__main__":
    main()
