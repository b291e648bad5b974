"""Speed and memory as ratios against named rivals, measured in the same run: `make bench`.

Each rival answers the same question in a process of its own: NPS counts for every month and every level of six
segments, from one Parquet file. Their counts must agree before any time is printed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

MONTHS = 24
LEVELS = {"region": 5, "channel": 4, "plan": 3, "stage": 6, "touchpoint": 12, "language": 4}


def main() -> None:
    """Parse the command line, then compare the rivals or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rival", choices=RIVALS)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.rival:
        print(json.dumps(time_one(RIVALS[options.rival], options.file, options.repeats)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.parquet"
        write_answers(file, options.answers)
        results = {name: run(name, file, options.repeats) for name in RIVALS}
    assert len({result["checksum"] for result in results.values()}) == 1, "the rivals disagree on the counts"
    own = results["cxreport (Narwhals on DuckDB)"]
    print(f"{options.answers:,} answers, {MONTHS} months, {len(LEVELS)} segments; fastest of {options.repeats}")
    for name, result in results.items():
        ratio = result["seconds"] / own["seconds"]
        memory = result["peak_mib"] / own["peak_mib"]
        print(
            f"  {name:32} {result['seconds']:6.2f} s ({ratio:5.2f} x)  {result['peak_mib']:7.0f} MiB ({memory:4.2f} x)"
        )


def write_answers(file: Path, answers: int) -> None:
    """Write seeded answers: months, six text segments and scores 0 to 10."""
    random = np.random.default_rng(1)
    months = [f"{2024 + number // 12}-{number % 12 + 1:02d}" for number in range(MONTHS)]
    columns = {"period": pd.Categorical.from_codes(random.integers(0, MONTHS, answers), months)}
    for name, count in LEVELS.items():
        levels = [f"{name} {number}" for number in range(count)]
        columns[name] = pd.Categorical.from_codes(random.integers(0, count, answers), levels)
    columns |= {"score": random.integers(0, 11, answers).astype("float64"), "metric": pd.Categorical(["nps"] * answers)}
    frame = pd.DataFrame(columns).assign(scale_low=0.0, scale_high=10.0)
    frame.astype(dict.fromkeys(["period", "metric", *LEVELS], "str")).to_parquet(file, index=False)


def run(name: str, file: Path, repeats: int) -> dict[str, float]:
    """Run one rival in its own process, so that its peak memory is its own."""
    arguments = [sys.executable, __file__, "--rival", name, "--file", str(file), "--repeats", str(repeats)]
    return json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def time_one(rival, file: Path, repeats: int) -> dict[str, float]:
    """Return the fastest time, the peak memory of the process and a checksum of all counts."""
    seconds, counts = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        counts = rival(file)
        seconds.append(time.perf_counter() - start)
    flat = np.concatenate(
        [frame.sort_values(list(frame.columns[:2])).iloc[:, 2:].to_numpy().ravel() for frame in counts]
    )
    checksum = float((flat.astype(float) * np.arange(1, len(flat) + 1)).sum())
    return {"seconds": min(seconds), "peak_mib": peak_mib(), "checksum": checksum}


def peak_mib() -> float:
    """Return this process's own peak memory; `ru_maxrss` would carry over what the parent used before the fork."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def by_cxreport(file: Path) -> list[pd.DataFrame]:
    """The suite's own estimate, intervals included."""
    from cxreport.config import Project, load_kpis
    from cxreport.engine import connect, scan
    from cxreport.measure import estimate

    nps = load_kpis(Project.find(Path(__file__)), ["nps"])["nps"]
    with connect() as connection:
        frame = scan([file], connection)
        return [
            estimate(frame, nps, by=["period", name])[["period", name, "n", "n_top", "n_bottom"]] for name in LEVELS
        ]


def by_duckdb(file: Path) -> list[pd.DataFrame]:
    """SQL written by hand for these counts alone."""
    import duckdb

    return [
        duckdb.sql(
            f"SELECT period, {name}, count(score) n, count(*) FILTER (score >= 9) n_top, "
            f"count(*) FILTER (score <= 6) n_bottom FROM '{file}' GROUP BY period, {name}"
        ).df()
        for name in LEVELS
    ]


def by_pandas(file: Path) -> list[pd.DataFrame]:
    """Plain pandas, reading the file once."""
    frame = pd.read_parquet(file, columns=["period", "score", *LEVELS])
    frame = frame.assign(n_top=frame["score"] >= 9, n_bottom=frame["score"] <= 6)
    return [
        frame.groupby(["period", name])
        .agg(n=("score", "count"), n_top=("n_top", "sum"), n_bottom=("n_bottom", "sum"))
        .reset_index()
        for name in LEVELS
    ]


RIVALS = {
    "cxreport (Narwhals on DuckDB)": by_cxreport,
    "DuckDB SQL by hand": by_duckdb,
    "plain pandas": by_pandas,
}

if __name__ == "__main__":
    main()
