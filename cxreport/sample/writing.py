"""CSV files with fixed line ends, so that the same rows are the same bytes on every machine."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd


def write_csv(
    frame: pd.DataFrame,
    path: Path,
    *,
    dates: str = "%Y-%m-%d %H:%M:%S",
    line_end: str = "\r\n",
    encoding: str = "utf-8",
    head: Iterable[Sequence[str]] = (),
) -> Path:
    """Write rows under their column names, or under `head` where a tool has its own header rows; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Text is written several times faster as objects.
    frame = frame.astype(dict.fromkeys(frame.select_dtypes("str").columns, "object"))
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator=line_end).writerows(head or [list(frame.columns)])
        frame.to_csv(file, header=False, index=False, date_format=dates, lineterminator=line_end)
    return path
