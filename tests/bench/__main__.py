"""Speed and memory as ratios against named rivals, all measured in one run: `make bench`."""

import argparse
import tempfile
from pathlib import Path

import ingest
import measure
import pages
import validate


def main() -> None:
    """Compare ingest, the validation of what it staged, the reduction to figures, and packs, each with its rivals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=1_000_000, help="of the export that is ingested and validated")
    parser.add_argument("--audiences", type=int, default=20, help="of the packs that are made")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cxreport-bench-") as name:
        ingest.write_project(Path(name), options.responses)
        ingest.compare(Path(name), options.responses, options.repeats)
        validate.compare(Path(name), options.repeats)
    measure.bench(repeats=options.repeats)
    with tempfile.TemporaryDirectory(prefix="cxreport-bench-") as name:
        pages.compare(Path(name), options.audiences)


if __name__ == "__main__":
    main()
