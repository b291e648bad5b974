"""Read an SPSS file in a process of its own: one damaged byte can crash the library ReadStat; no module to import.

The arguments are the file's path, its encoding (empty for the one it states), and `names` for the variables alone.
Standard output is JSON: the variables with their labels, and the values of each.
"""

import json
import sys
from datetime import date, datetime, time

MOST_MEMORY = 4 << 30  # bytes
MOST_SECONDS = 300  # of CPU time


def main(path: str, encoding: str, part: str) -> None:
    """Write what is asked for to standard output; every failure is an exit code."""
    import pyreadstat

    _limit()
    data, about = pyreadstat.read_sav(
        path, encoding=encoding or None, user_missing=True, output_format="dict", metadataonly=part == "names"
    )
    found = {
        "names": about.column_names,
        "titles": about.column_labels,
        "labels": {name: list(labels.items()) for name, labels in about.variable_value_labels.items()},
        "missing": about.missing_ranges,
        "values": data,
    }
    json.dump(found, sys.stdout, default=_as_text)


def _as_text(value: date | time) -> str:
    return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where only the size of the file is bounded
        return
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
