"""Open canonical tables as Narwhals frames on DuckDB (the default), pandas or Spark.

The optional file `reports/engine.yml` holds the settings; every engine gives the same figures.
"""

import importlib.util
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

import duckdb
import narwhals as nw
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from cxreport.config import Definition, Project, load_yaml
from cxreport.errors import DefinitionError, RunError, UsageError, listed, nearest
from cxreport.scratch import scratch, sweep

ENGINE_VARIABLE = "CXREPORT_ENGINE"

# A lazy frame on any engine.
Frame = nw.LazyFrame[Any]
# Names of tables that are kept for a while.
_NUMBERS = itertools.count()
EngineName = Literal["duckdb", "pandas", "spark"]


class EngineSettings(Definition):
    """Which engine computes, and with what; the settings of an engine that is not chosen rest.

    `memory_limit`, `threads` and `temporary_folder` are DuckDB's: what does not fit into memory goes to a folder below
    `temporary_folder` (relative to the project; the system's own when not given) that is removed in the end.
    `spark_remote` is `sc://host:port` of a Spark Connect server, or `local[n]` for n threads on this machine.
    """

    engine: EngineName = "duckdb"
    memory_limit: str | None = Field(default=None, pattern=r"^[1-9]\d*(\.\d+)? ?[KMGT]i?B$")
    threads: int | None = Field(default=None, ge=1)
    temporary_folder: Path | None = None
    spark_remote: str = Field(default="local[*]", pattern=r"^(sc://\S+|local\[(\*|[1-9]\d*)\])$")


def load_engine(project: Project) -> EngineSettings:
    """Read `reports/engine.yml`, or the defaults where there is none; `CXREPORT_ENGINE` overrides the engine.

    Raises `DefinitionError` for a wrong file or an unknown engine.
    """
    path = project.root / "reports" / "engine.yml"
    settings = load_yaml(path, EngineSettings, project) if path.is_file() else EngineSettings()
    chosen: dict[str, object] = {}
    if settings.temporary_folder:
        chosen["temporary_folder"] = project.root / settings.temporary_folder
    if named := os.environ.get(ENGINE_VARIABLE):
        known = get_args(EngineName)
        if named not in known:
            raise DefinitionError(
                found=f"{ENGINE_VARIABLE} names the engine `{named[:60]}`{nearest(named, known)}",
                expected=f"one of {listed(known)}",
                do=f"correct {ENGINE_VARIABLE}, or unset it",
            )
        chosen["engine"] = named
    return settings.model_copy(update=chosen)


class Engine(Protocol):
    """Opens rows as lazy frames that can be joined with each other."""

    def scan(self, paths: Iterable[Path]) -> Frame:
        """Open Parquet files of one table as one frame; columns absent from some of the files read as null there.

        Raises `UsageError` when there is no file.
        """

    def load(self, rows: pd.DataFrame) -> Frame:
        """Bring rows from pandas; missing values are null."""

    def keep(self, frame: Frame, name: str) -> Frame:
        """Compute a frame once for the many reductions that follow; names do not repeat within an engine."""


@contextmanager
def open_engine(settings: EngineSettings | None = None) -> Iterator[Engine]:
    """Open an engine, the default one without settings; its frames live as long as it is open.

    Raises
    ------
    UsageError
        When Spark is asked for and PySpark or Java is not installed.
    RunError
        When DuckDB has used up its memory limit and cannot do with less.
    """
    chosen = settings or EngineSettings()
    openers = {"duckdb": _open_duckdb, "pandas": _open_pandas, "spark": _open_spark}
    with openers[chosen.engine](chosen) as engine:
        yield engine


def wrap(frame: pd.DataFrame) -> Frame:
    """Open a DataFrame, for example in a notebook, as the same kind of frame."""
    return nw.from_native(frame).lazy()


def collect(frame: Frame, *, with_categories: bool = False) -> pd.DataFrame:
    """Bring a small result into pandas, whichever engine made it; categories come as texts unless they are wanted."""
    if frame.implementation.is_pandas():
        rows: pd.DataFrame = frame.to_native().reset_index(drop=True)
        return rows if with_categories else without_categories(rows)
    result: pd.DataFrame = frame.collect(backend="pyarrow").to_native().to_pandas()
    return result


def in_memory(frame: Frame) -> Frame:
    """Bring rows into memory for many small reductions; texts that repeat become categories, in alphabetical order."""
    rows = collect(frame)
    texts = rows.columns[[isinstance(kind, pd.StringDtype) for kind in rows.dtypes]]
    repeated = [name for name in texts if 2 * rows[name].nunique() < len(rows)]
    return wrap(rows.astype(dict.fromkeys(repeated, "category")))


def without_categories(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn categories back into the texts they stand for."""
    return rows.astype({name: kind.categories.dtype for name, kind in rows.dtypes.items() if kind == "category"})


@contextmanager
def kept(frame: Frame) -> Iterator[Frame]:
    """Compute a frame once, for several reductions, and give its room back afterwards."""
    native = frame.to_native()
    if frame.implementation.is_spark_like():
        held = native.persist()
        try:
            yield cast(Frame, nw.from_native(held))
        finally:
            held.unpersist()
    elif frame.implementation.is_duckdb():
        name = f"_kept_{next(_NUMBERS)}"
        native.query("_rows", f"CREATE TEMP TABLE {name} AS FROM _rows")
        try:
            yield nw.from_native(native.query("_rows", f"FROM {name}"))
        finally:
            native.query("_rows", f"DROP TABLE {name}")
    else:
        yield frame


def read_table(path: Path) -> pd.DataFrame:
    """Read one Parquet file into pandas with Arrow-backed text, in one piece, of which rows are taken faster."""
    table: pd.DataFrame = pq.read_table(path).combine_chunks().to_pandas()
    return table


def write_table(frame: pd.DataFrame, path: Path, schema: pa.Schema, sort_by: Iterable[str]) -> None:
    """Write rows to Parquet in a fixed order with a fixed schema, so that the same rows are the same bytes."""
    write_arrow(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), path, sort_by)


def write_arrow(table: pa.Table, path: Path, sort_by: Iterable[str]) -> None:
    """Write rows that Arrow holds, as `write_table` does."""
    order = list(sort_by)
    if not _is_sorted(table, order):
        table = table.take(pc.sort_indices(table, [(name, "ascending") for name in order]))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd", version="2.6")


def _is_sorted(table: pa.Table, order: list[str]) -> bool:
    """Whether rows without nulls are in order, which is seen much faster than they are sorted."""
    if not order or len(table) < 2:  # noqa: PLR2004 - one row is in order
        return True
    in_order = pa.scalar(True)
    for name in reversed(order):
        upper, lower = table[name][:-1], table[name][1:]
        in_order = pc.or_(pc.less(upper, lower), pc.and_(pc.equal(upper, lower), in_order))
    return bool(pc.all(in_order.fill_null(False)).as_py())


# --- DuckDB --------------------------------------------------------------------------------------


class _DuckDB:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def scan(self, paths: Iterable[Path]) -> Frame:
        return nw.from_native(self.connection.read_parquet(_files(paths), union_by_name=True))

    def load(self, rows: pd.DataFrame) -> Frame:
        return nw.from_native(self.connection.from_arrow(pa.Table.from_pandas(rows, preserve_index=False)))

    def keep(self, frame: Frame, name: str) -> Frame:
        frame.to_native().create(name)
        return nw.from_native(self.connection.table(name))


@contextmanager
def _open_duckdb(settings: EngineSettings) -> Iterator[Engine]:
    """Open an in-memory DuckDB that keeps instants in UTC and never reaches for the network."""
    if settings.temporary_folder:
        settings.temporary_folder.mkdir(parents=True, exist_ok=True)
        sweep(settings.temporary_folder)
    with scratch(settings.temporary_folder) as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": str(folder),
        }
        if settings.memory_limit:
            config["memory_limit"] = settings.memory_limit
        if settings.threads:
            config["threads"] = settings.threads
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            # In notebooks there may be no bar that could be switched off.
            with suppress(duckdb.InvalidInputException):
                connection.execute("SET enable_progress_bar = false")
            try:
                yield _DuckDB(connection)
            except duckdb.OutOfMemoryException as error:
                raise RunError(
                    found=f"DuckDB used up its memory limit of {settings.memory_limit or '80 % of the memory'}",
                    expected="room for one group of rows per thread; the rest goes to the disk",
                    do="raise `memory_limit` or lower `threads` in reports/engine.yml",
                ) from error


# --- pandas --------------------------------------------------------------------------------------


class _Pandas:
    def scan(self, paths: Iterable[Path]) -> Frame:
        tables = [pq.read_table(path) for path in _files(paths)]
        return wrap(pa.concat_tables(tables, promote_options="default").to_pandas())

    def load(self, rows: pd.DataFrame) -> Frame:
        return wrap(rows)

    def keep(self, frame: Frame, name: str) -> Frame:  # noqa: ARG002 - every frame is computed at once
        return frame


@contextmanager
def _open_pandas(settings: EngineSettings) -> Iterator[Engine]:  # noqa: ARG001 - nothing to set
    yield _Pandas()


# --- Spark ---------------------------------------------------------------------------------------

_SPARK_OPTIONS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # overflows are errors, not wrong numbers
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
# For a Spark of this process; a server has its own.
_LOCAL_SPARK_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
}


class _Spark:
    def __init__(self, session: Any) -> None:
        self.session = session
        self.kept: list[Any] = []

    def scan(self, paths: Iterable[Path]) -> Frame:
        return cast(Frame, nw.from_native(self.session.read.option("mergeSchema", "true").parquet(*_files(paths))))

    def load(self, rows: pd.DataFrame) -> Frame:
        return cast(
            Frame, nw.from_native(self.session.createDataFrame(pa.Table.from_pandas(rows, preserve_index=False)))
        )

    def keep(self, frame: Frame, name: str) -> Frame:  # noqa: ARG002 - caches have no names
        self.kept.append(frame.to_native().persist())
        self.kept[-1].count()  # at once, or everything would wait for one plan that holds all the others
        return cast(Frame, nw.from_native(self.kept[-1]))


@contextmanager
def _open_spark(settings: EngineSettings) -> Iterator[Engine]:
    is_local = not settings.spark_remote.startswith("sc://")
    _check_spark(is_local)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("cxreport")
    builder = builder.master(settings.spark_remote) if is_local else builder.remote(settings.spark_remote)
    for key, value in (_SPARK_OPTIONS | (_LOCAL_SPARK_OPTIONS if is_local else {})).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    engine = _Spark(session)
    try:
        yield engine
    finally:
        for kept in engine.kept:
            kept.unpersist()
        session.stop()


def _check_spark(is_local: bool) -> None:
    missing = [] if importlib.util.find_spec("pyspark") else ["PySpark"]
    if is_local and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        missing.append("Java")
    if missing:
        raise UsageError(
            found=f"the engine `spark` without {' and '.join(missing)}",
            expected="PySpark from the extra `spark` of this package, and Java 17 or later for a local Spark",
            do="install them, or choose the engine `duckdb` in reports/engine.yml",
        )


def _files(paths: Iterable[Path]) -> list[str]:
    files = [str(path) for path in sorted(paths)]
    if not files:
        raise UsageError(
            found="no Parquet file to read",
            expected="accepted rows of at least one period",
            do="run `cxreport validate` first",
        )
    return files
