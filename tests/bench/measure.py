"""Speed and memory of reducing answers to figures against named rivals: `make bench`.

Everybody answers the same question: NPS counts for every month, in total and for every level of six segments, from
Parquet files. cxreport adds the checks of all rows, the sums for weights and clusters, and the intervals. Every
measurement has a process of its own; repeats take turns, so that what else the machine does hits all rivals alike.
Starting Python and importing are not timed. The counts must agree before anything is printed.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rivals import Result, fastest, judge, run, show, timed

MILLION = 1_000_000
MONTHS = [f"{2024 + number // 12}-{number % 12 + 1:02d}" for number in range(24)]
SEGMENTS = {"region": 5, "channel": 4, "plan": 3, "stage": 6, "touchpoint": 12, "language": 4}
COUNTS = ["n", "n_top", "n_bottom"]
LIMIT = "1 GiB"
Rival = Callable[[list[Path]], pd.DataFrame]


def main() -> None:
    """Parse the command line, then compare the rivals or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=10, help="answers of the comparison, in millions")
    parser.add_argument("--growth", type=int, nargs="*", default=[1, 10, 50], help="answers of the growth, in millions")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rival", choices=RIVALS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.rival:
        print(json.dumps(measure_one(RIVALS[options.rival], options.folder, options.millions)))
        return
    bench(options.millions, options.growth, options.repeats)


def bench(millions: int = 10, growth: Sequence[int] = (1, 10, 50), repeats: int = 3) -> None:
    """Compare the rivals over so many million answers, and the suite with itself as they grow."""
    with tempfile.TemporaryDirectory(prefix="cxreport-bench-") as name:
        folder = Path(name)
        most = max([millions, *growth])
        for number in range(most):
            write_million(folder / f"{number:03d}.parquet", number, customers=most * MILLION // 5)
        compare(folder, millions, repeats)
        grow(folder, growth, repeats)


def compare(folder: Path, millions: int, repeats: int) -> None:
    """Print every rival beside the suite's own measure."""
    best = fastest(RIVALS, repeats, lambda name: run(__file__, name, folder, "--millions", str(millions)))
    own = best["cxreport"]
    by_hand = min(best[name]["seconds"] for name in RIVALS if name.startswith("DuckDB"))
    print(f"{millions} million answers, {len(MONTHS)} months, {len(SEGMENTS)} segments; fastest of {repeats}")
    show(best)
    judge("own time over the faster SQL by hand", own["seconds"] / by_hand, at_most=1.5)
    judge("own time over plain pandas", own["seconds"] / best["plain pandas"]["seconds"], at_most=1 / 5)


def grow(folder: Path, sizes: Sequence[int], repeats: int) -> None:
    """Print how time and memory grow with the number of answers."""
    print(f"growth of cxreport; fastest of {repeats}")
    results = []
    for millions in sizes:
        more = ("--millions", str(millions))
        results += fastest(["cxreport"], repeats, lambda name, more=more: run(__file__, name, folder, *more)).values()
    for millions, result in zip(sizes, results, strict=True):
        each = result["seconds"] / millions
        print(
            f"  {millions:4} million {result['seconds']:8.2f} s {each:8.3f} s a million {result['peak_mib']:8.0f} MiB"
        )
    for (size, result), (larger, more) in zip(
        list(zip(sizes, results, strict=True))[:-1], list(zip(sizes, results, strict=True))[1:], strict=True
    ):
        factor = more["seconds"] / result["seconds"]
        judge(f"growth of time from {size} to {larger} million", factor, at_most=larger / size)


def write_million(file: Path, seed: int, customers: int) -> None:
    """Write a million seeded answers: months, six text segments, customers and scores 0 to 10."""
    random = np.random.default_rng(seed)

    def chosen(values: list[str]) -> pa.Array:
        codes = random.integers(0, len(values), MILLION, dtype="int32")
        return pa.DictionaryArray.from_arrays(codes, values).cast(pa.string())

    columns = {"period": chosen(MONTHS)}
    columns |= {name: chosen([f"{name} {level}" for level in range(count)]) for name, count in SEGMENTS.items()}
    columns["customer_id"] = pa.array(random.integers(0, customers, MILLION)).cast(pa.string())
    columns["score"] = pa.array(random.integers(0, 11, MILLION).astype(float))
    columns |= {"metric": chosen(["nps"]), "scale_good": chosen(["high"])}
    columns |= {"scale_low": pa.array(np.zeros(MILLION)), "scale_high": pa.array(np.full(MILLION, 10.0))}
    pq.write_table(pa.table(columns), file, compression="zstd")


def measure_one(rival: Rival, folder: Path, millions: int) -> Result:
    """Return what it took a rival to count, and a checksum of its counts."""
    files = sorted(folder.glob("*.parquet"))[:millions]
    rival(files[:1])  # imports and first calls are not timed
    result = timed(lambda: rival(files))
    counts = result["found"].sort_values(["segment", "level", "period"])[COUNTS]
    flat = counts.to_numpy(dtype=float).ravel()
    return result | {"found": float((flat * np.arange(1, len(flat) + 1)).sum())}


def by_cxreport(files: list[Path], cluster: str | None = None, memory_limit: str | None = None) -> pd.DataFrame:
    """The suite's own reduction and inference."""
    from cxreport.config import Project, load_kpis
    from cxreport.engine import EngineSettings, open_engine
    from cxreport.measure.intervals import infer
    from cxreport.measure.reduce import reduce

    nps = load_kpis(Project.find(Path(__file__)), ["nps"])["nps"].model_copy(update={"cluster": cluster})
    with open_engine(EngineSettings(memory_limit=memory_limit, temporary_folder=files[0].parent)) as engine:
        reduced = reduce(engine.scan(files), nps, ["period"], 0.95, segments={name: name for name in SEGMENTS})
    return reduced[["segment", "level", "period"]].join(infer(reduced, nps, 0.95)[COUNTS])


def by_group_bys(files: list[Path]) -> pd.DataFrame:
    """SQL written by hand for these counts alone: one GROUP BY for each segment."""
    import duckdb

    names = [str(file) for file in files]
    tables = [
        duckdb.sql(
            f"SELECT '{name}' segment, {column} AS level, period, count(score) n, count(*) FILTER (score >= 9) n_top, "
            f"count(*) FILTER (score <= 6) n_bottom FROM read_parquet({names}) WHERE metric = 'nps' GROUP BY ALL"
        ).df()
        for name, column in {"all": "'all'", **{name: name for name in SEGMENTS}}.items()
    ]
    return pd.concat(tables, ignore_index=True)


def by_grouping_sets(files: list[Path]) -> pd.DataFrame:
    """SQL written by hand for these counts alone: all segments in one pass."""
    import duckdb

    names = [str(file) for file in files]
    sets = ", ".join(["(period)", *(f"(period, {name})" for name in SEGMENTS)])
    cases = " ".join(f"WHEN grouping({name}) = 0 THEN '{name}'" for name in SEGMENTS)
    return duckdb.sql(
        f"SELECT CASE {cases} ELSE 'all' END segment, coalesce({', '.join(SEGMENTS)}, 'all') AS level, period, "
        f"count(score) n, count(*) FILTER (score >= 9) n_top, count(*) FILTER (score <= 6) n_bottom "
        f"FROM read_parquet({names}) WHERE metric = 'nps' GROUP BY GROUPING SETS ({sets})"
    ).df()


def by_pandas(files: list[Path]) -> pd.DataFrame:
    """Plain pandas, reading the files once."""
    frame = pd.concat([pd.read_parquet(file, columns=["period", "score", *SEGMENTS]) for file in files])
    frame = frame.assign(n_top=frame["score"] >= 9, n_bottom=frame["score"] <= 6, all="all")

    def tables() -> Iterator[pd.DataFrame]:
        for name in ["all", *SEGMENTS]:
            groups = frame.groupby(["period", name])
            counted = groups.agg(n=("score", "count"), n_top=("n_top", "sum"), n_bottom=("n_bottom", "sum"))
            yield counted.reset_index(names=["period", "level"]).assign(segment=name)

    return pd.concat(tables(), ignore_index=True)


RIVALS: dict[str, Rival] = {
    "cxreport": by_cxreport,
    f"cxreport, {LIMIT} of memory": lambda files: by_cxreport(files, memory_limit=LIMIT),
    "cxreport, answers clustered by customer": lambda files: by_cxreport(files, "customer_id"),
    f"cxreport, clustered, {LIMIT} of memory": lambda files: by_cxreport(files, "customer_id", LIMIT),
    "DuckDB SQL by hand, GROUP BY": by_group_bys,
    "DuckDB SQL by hand, GROUPING SETS": by_grouping_sets,
    "plain pandas": by_pandas,
}

if __name__ == "__main__":
    main()
