"""Open canonical tables as Narwhals frames on DuckDB (the default) or pandas."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cxreport.errors import UsageError

# A lazy frame on any engine.
Frame = nw.LazyFrame[Any]


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB that keeps instants in UTC and never reaches for the network."""
    offline: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(config=offline) as connection:
        yield connection


def scan(paths: Iterable[Path], connection: duckdb.DuckDBPyConnection) -> Frame:
    """Open Parquet files of one table as one lazy frame; columns absent from older files read as null.

    Raises `UsageError` when there is no file.
    """
    files = [str(path) for path in sorted(paths)]
    if not files:
        raise UsageError(
            found="no Parquet file to read",
            expected="accepted rows of at least one period",
            do="run `cxreport validate` first",
        )
    return nw.from_native(connection.read_parquet(files, union_by_name=True))


def wrap(frame: pd.DataFrame) -> Frame:
    """Open a DataFrame, for example in a notebook, as the same kind of frame."""
    return nw.from_native(frame).lazy()


def collect(frame: Frame) -> pd.DataFrame:
    """Bring a small result into pandas, whichever engine made it."""
    result: pd.DataFrame = frame.collect(backend="pyarrow").to_native().to_pandas()
    return result


def read_table(path: Path) -> pd.DataFrame:
    """Read one Parquet file into pandas with Arrow-backed text."""
    table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table


def write_table(frame: pd.DataFrame, path: Path, schema: pa.Schema, sort_by: Iterable[str]) -> None:
    """Write rows to Parquet in a fixed order with a fixed schema, so that the same rows are the same bytes."""
    order = list(sort_by)
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    if order:
        table = table.sort_by([(name, "ascending") for name in order])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", version="2.6")
