"""What the benchmarks share: each rival runs in a process of its own, and its figures are printed as ratios.

Only the standard library is imported here, so that a rival whose imports are timed starts with none.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def run(script: str, name: str, folder: Path, *more: str) -> Result:
    """Let a script run one of its rivals in its own process, so that its peak memory is its own."""
    arguments = [sys.executable, script, "--rival", name, "--folder", str(folder), *more]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def timed(work: Callable[[], Any]) -> Result:
    """Return what the work found, its time, its CPU time and this process's peak memory.

    CPU time counts all threads. `ru_maxrss` would carry over what the parent used before the fork.
    """
    start, start_cpu = time.perf_counter(), time.process_time()
    found = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
    return {"found": found, "seconds": seconds, "cpu": cpu, "peak_mib": peak}


def fastest(names: Iterable[str], repeats: int, runner: Callable[[str], Result]) -> dict[str, Result]:
    """Let rivals take turns, so that what else the machine does hits all alike; return the fastest turn of each.

    All must have found the same.
    """
    chosen = list(names)
    rounds = [{name: runner(name) for name in chosen} for _ in range(repeats)]
    assert len({json.dumps(result["found"]) for turn in rounds for result in turn.values()}) == 1, "rivals disagree"
    return {name: min((turn[name] for turn in rounds), key=lambda result: result["seconds"]) for name in chosen}


def show(results: Mapping[str, Result]) -> None:
    """Print time and memory of every rival, also as multiples of the first one's."""
    own = next(iter(results.values()))
    print(f"  {'':42}{'seconds':>9}{'own = 1':>9}{'CPU s':>8}{'peak MiB':>10}{'own = 1':>9}")
    for name, result in results.items():
        ratios = result["seconds"] / own["seconds"], result["peak_mib"] / own["peak_mib"]
        print(
            f"  {name:42}{result['seconds']:9.2f}{ratios[0]:9.2f}{result['cpu']:8.2f}"
            f"{result['peak_mib']:10.0f}{ratios[1]:9.2f}"
        )


def judge(what: str, ratio: float, at_most: float) -> None:
    """Print a ratio beside its goal."""
    print(f"  {what}: {ratio:.2f}, goal at most {at_most:.2f}: {'met' if ratio <= at_most else 'MISSED'}")
