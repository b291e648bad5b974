"""Speed and memory as ratios against named rivals, all measured in one run: `make bench`."""

import argparse
import tempfile
from pathlib import Path

import ingest
import measure
import validate


def main() -> None:
    """Compare ingest, the validation of what it staged, and the reduction to figures, each with its rivals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=1_000_000, help="of the export that is ingested and validated")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cxreport-bench-") as name:
        ingest.write_project(Path(name), options.responses)
        ingest.compare(Path(name), options.responses, options.repeats)
        validate.compare(Path(name), options.repeats)
    measure.bench(repeats=options.repeats)


if __name__ == "__main__":
    main()
