"""Speed and memory of `ingest` against `pandas.read_csv` of the same export: `make bench`.

The file is a Qualtrics export with 25 columns, among them comments with commas, quotes and line breaks. pandas only
parses it, once with the types it guesses and once as text; `ingest` also types every value, looks for personal data in
the comments, builds two canonical tables and writes them. Every measurement has a process of its own; starting Python
and importing are not timed. CPU time counts all threads, so that other work on the machine does not.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import yaml
from rivals import Result, fastest, judge, run, show, timed

PART = 100_000  # responses written at a time
COLUMNS = [
    *("startDate", "endDate", "status", "ipAddress", "progress", "duration", "finished", "recordedDate", "_recordId"),
    *("recipientLastName", "recipientEmail", "externalDataReference", "locationLatitude", "distributionChannel"),
    *("userLanguage", "QID1", "QID1_NPS_GROUP", "QID2", "QID3", "QID4", "QID5_TEXT", "QID6_TEXT"),
    *("kind", "region", "plan"),
]
TEXT = (
    "the delivery came late and nobody told us why, but the driver was friendly; we would order again if the shop "
    'answered its mail within a day\nas it says it does. They call that "service" and I call it luck, all in all'
)
FORM = {"formats": ["%Y-%m-%d %H:%M:%S"]}
MAPPING = {
    "tables": {
        "responses": {
            "columns": {
                "response_id": "_recordId",
                "customer_id": "externalDataReference",
                "kind": "kind",
                "channel": "distributionChannel",
                "language": "userLanguage",
                "invited_at": {"column": "startDate", **FORM},
                "responded_at": {"column": "recordedDate", **FORM},
                "comment": "QID5_TEXT",
            },
            "segments": {"region": "region", "plan": "plan"},
        }
    },
    "real_answers": {
        "status": {"real": [0], "others": {1: "preview"}},
        "finished": {"real": [1], "others": {0: "unfinished"}},
    },
    "batteries": [
        {
            "metric": "nps",
            "scale": {"low": 0, "high": 10, "good": "high"},
            "asked_when": {"kind": ["relational"]},
            "questions": {"nps": {"column": "QID1", "title": "Recommend"}},
        },
        {
            "metric": "csat",
            "scale": {"low": 1, "high": 5, "good": "high"},
            "questions": {"csat": {"column": "QID2", "title": "Satisfied"}},
        },
    ],
}
DATASET = {
    "title": "Bench",
    "population": "customers",
    "industry": "none",
    "time_zone": "America/Chicago",
    "raw": "raw",
    "feeds": [
        {"id": "survey", "owner": "Insight", "adapter": "qualtrics", "mapping": "survey.yml", "files": "survey.csv"}
    ],
}


def main() -> None:
    """Parse the command line, then compare the rivals or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rival", choices=RIVALS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.rival:
        print(json.dumps(measure_one(RIVALS[options.rival], options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="cxreport-bench-") as name:
        write_project(Path(name), options.responses)
        compare(Path(name), options.responses, options.repeats)


def compare(folder: Path, responses: int, repeats: int) -> None:
    """Print every rival beside the suite's own ingest."""
    best = fastest(RIVALS, repeats, lambda name: run(__file__, name, folder))
    assert {result["found"] for result in best.values()} == {responses}, "rows were lost"
    size = (folder / "raw" / "survey.csv").stat().st_size / (1 << 20)
    print(f"{responses:,} responses in {len(COLUMNS)} columns, {size:.0f} MiB; fastest of {repeats}")
    show(best)
    for name in list(RIVALS)[1:]:
        judge(f"own time over {name}", best["cxreport"]["seconds"] / best[name]["seconds"], at_most=1)


def measure_one(rival: Callable[[Path], int], folder: Path) -> Result:
    """Return the rows that a rival read, and what it took."""
    import cxreport.sources

    assert cxreport.sources
    return timed(lambda: rival(folder))


def write_project(folder: Path, responses: int) -> None:
    """Write a project with one dataset and its export."""
    datasets = folder / "reports" / "datasets"
    for path in (datasets / "mappings", folder / "reports" / "definitions", folder / "raw"):
        path.mkdir(parents=True)
    (datasets / "bench.yml").write_text(yaml.safe_dump(DATASET))
    (datasets / "mappings" / "survey.yml").write_text(yaml.safe_dump(MAPPING))
    with (folder / "raw" / "survey.csv").open("wb") as file:
        options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
        pacsv.write_csv(header(), file, options)
        for first in range(0, responses, PART):
            pacsv.write_csv(part(first, min(PART, responses - first)), file, options)


def header() -> pa.Table:
    """Return the three header rows of a Qualtrics export."""
    zone = {"timeZone": "America/Denver"}
    described = [json.dumps({"ImportId": name} | (zone if "Date" in name else {})) for name in COLUMNS]
    return pa.table([[name, f"Text of {name}", about] for name, about in zip(COLUMNS, described, strict=True)], COLUMNS)


def part(first: int, rows: int) -> pa.Table:
    """Return some responses as text, seeded by the first one's number."""
    random = np.random.default_rng(first)

    def chosen(*values: str) -> pa.Array:
        return pa.array(values).take(pa.array(random.integers(0, len(values), rows)))

    def written(low: int, high: int) -> pa.Array:
        return pa.array(random.integers(low, high, rows)).cast(pa.string())

    began = pd.Timestamp("2025-01-01").value // 10**9 + random.integers(0, 400 * 86_400, rows)
    # One in a hundred ends before it began, as many weeks later, the others within five days.
    took = random.choice([-1, 9, *[1] * 98], rows) * random.integers(60, 5 * 86_400, rows)

    def at(seconds: np.ndarray) -> pa.Array:
        return pa.array(pd.Series(seconds.astype("datetime64[s]")).dt.strftime("%Y-%m-%d %H:%M:%S"), pa.string())

    def mostly(usual: str, other: str) -> pa.Array:
        return chosen(*[usual] * 49, other)

    def comments() -> pa.Array:
        """Half of them say nothing, the others each something else; one in fifty holds a telephone number."""
        words = TEXT.split(" ")
        halves = [" ".join(random.choice(words, random.integers(4, 25))) for _ in range(2_000)]
        ends = [f"{half} call 312-555-01{at}" if at < 40 else half for at, half in enumerate(halves)]
        text = pc.binary_join_element_wise(chosen(*halves), chosen(*ends), " ")
        return pc.if_else(pa.array(random.random(rows) < 0.5), text, "")

    # One in a thousand ids stands twice.
    ids = [f"R_{number - (number % 1_000 == 999):015d}" for number in range(first, first + rows)]
    columns = [
        *(at(began), at(began + took), mostly("0", "1"), chosen("192.0.2.7", "198.51.100.9"), chosen("100", "40")),
        *(
            written(10, 2_000),
            mostly("1", "0"),
            at(began + took),
            pa.array(ids),
            chosen("", "Doe"),
            chosen("", "d@example.com"),
        ),
        *(
            written(10**6, 10**7),
            chosen("41.8", "52.5"),
            chosen("email", "anonymous"),
            chosen("EN", "DE"),
            chosen(*[str(score) for score in range(11)] * 9, "11"),
        ),
        *(
            chosen("1", "2", "3"),
            written(1, 6),
            written(1, 6),
            chosen("1", "2", ""),
            comments(),
            comments(),
        ),
        *(chosen("relational", "transactional"), chosen("north", "south", "east"), chosen("basic", "pro")),
    ]
    return pa.table(columns, COLUMNS)


def by_cxreport(folder: Path) -> int:
    """The suite's own ingest, from the file to staged tables."""
    from cxreport import sources
    from cxreport.config import Project, load_dataset

    project = Project(folder)
    return sources.ingest(project, load_dataset(project, "bench"))["responses"]


def by_pandas(folder: Path, **options: object) -> int:
    """Only the parsing."""
    return len(pd.read_csv(folder / "raw" / "survey.csv", skiprows=[1, 2], **options))


RIVALS: dict[str, Callable[[Path], int]] = {
    "cxreport": by_cxreport,
    "pandas.read_csv": by_pandas,
    "pandas.read_csv, dtype=str": lambda folder: by_pandas(folder, dtype=str),
}

if __name__ == "__main__":
    main()
