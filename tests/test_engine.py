"""Engines: the same rows and the same statistics on DuckDB, pandas and Spark, settings, and limits."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxreport.config import Kpi, Project
from cxreport.engine import (
    ENGINE_VARIABLE,
    EngineSettings,
    collect,
    kept,
    load_engine,
    open_engine,
    read_table,
    write_table,
)
from cxreport.errors import DefinitionError, RunError, UsageError
from cxreport.measure.reduce import level_overlap, overlap, reduce, survival_counts
from cxreport.periods import Period

NO_SPARK = next(
    (
        f"no {name} here: Spark is not tested"
        for name, is_here in (
            ("PySpark", importlib.util.find_spec("pyspark")),
            ("Java", os.environ.get("JAVA_HOME") or shutil.which("java")),
        )
        if not is_here
    ),
    None,
)
SEPTEMBER = Period.parse("2026-09")
SEGMENTS = {"where_from": "region"}
COMMON = {"title": "t", "short": "s", "answers": "a", "numerator": "n", "denominator": "d", "owner": "o"}
COMMON |= {"checker": "c", "reviewed": "2026-01-01", "next_review": "2027-01-01", "table": "answers"}
COMMON |= {"higher_is_better": True}
SCALE = {"low": 0, "high": 10, "good": "high"}
NET = {"type": "net", "scale": SCALE, "top": [9, 10], "bottom": [0, 1, 2, 3, 4, 5, 6]}
NET |= {"unit": "points", "interval": "adjusted_wald", "cluster": "customer"}
KPIS = {
    "net": NET | {"weight": "weight"},
    "parts": NET | {"parts": "metric", "where": {"metric": ["success", "ease"]}},
    "mean": {"type": "mean", "scale": SCALE, "unit": "score", "interval": "t"},
    "ratio": {"type": "ratio", "ratio": {"of": "amount", "to": "weight"}, "unit": "money", "interval": "t"},
    "quantile": {"type": "quantile", "column": "minutes", "quantile": 0.5, "open_cases": "longer", "unit": "minutes"}
    | {"interval": "order_statistic"},
    "curve": {"type": "survival", "column": "minutes", "age": "age", "at": 60, "shows": "over", "unit": "percent"}
    | {"interval": "greenwood"},
}


@pytest.fixture(scope="module")
def kpis() -> dict[str, Kpi]:
    return {name: Kpi.model_validate(COMMON | definition) for name, definition in KPIS.items()}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Answers with gaps in every column, levels in several scripts and a level that nobody answers."""
    random = np.random.default_rng(5)
    n = 3000
    frame = pd.DataFrame(
        {
            "period": random.choice(["2026-08", "2026-09"], n),
            "region": random.choice(["Süd", "東", "o'north", "silent", None], n),
            "plan": random.choice(["basic", "plus"], n),
            "metric": random.choice(["success", "ease", "other"], n),
            "customer": random.choice([*(f"c{i}" for i in range(n // 4)), None], n),
            "score": random.integers(0, 11, n).astype(float),
            "weight": random.uniform(0, 3, n),
            "amount": np.round(random.lognormal(3, 2, n), 2),
            "minutes": np.round(random.lognormal(3, 1, n)),
            "age": np.round(random.lognormal(3, 1, n)),
            "at": pd.Timestamp("2026-09-01T23:30:00Z") + pd.to_timedelta(random.integers(0, 86400, n), unit="s"),
        }
    )
    for name in ("score", "weight", "amount", "minutes", "age"):
        frame.loc[random.random(n) < 0.1, name] = np.nan
    frame.loc[frame["region"] == "silent", ["score", "amount", "minutes"]] = np.nan
    return frame


@pytest.fixture(scope="module")
def files(rows, tmp_path_factory) -> list[Path]:
    """One file per month, the older one without the column `age`."""
    folder = tmp_path_factory.mktemp("months")
    for period, month in rows.groupby("period"):
        columns = rows.columns if period == "2026-09" else rows.columns.drop("age")
        pq.write_table(pa.Table.from_pandas(month[columns], preserve_index=False), folder / f"{period}.parquet")
    return sorted(folder.glob("*.parquet"))


@pytest.fixture(scope="module")
def spark():
    """One local Spark for all tests."""
    if NO_SPARK:
        pytest.skip(NO_SPARK)
    with open_engine(EngineSettings(engine="spark", spark_remote="local[2]")) as engine:
        yield engine


def everything(frame, kpis) -> dict[str, pd.DataFrame]:
    """Reduce every kind of KPI."""
    additive = {name: kpi for name, kpi in kpis.items() if kpi.type != "survival"}
    reduced = {name: reduce(frame, kpi, ["period"], 0.95, segments=SEGMENTS) for name, kpi in additive.items()}
    return reduced | {
        "curve": survival_counts(frame, kpis["curve"], ["period"], segments=SEGMENTS),
        "overlap": overlap(frame, kpis["net"], "2026-09", "2026-08", SEGMENTS),
        "level overlap": level_overlap(frame, kpis["net"], "2026-09", SEGMENTS),
    }


def assert_same(found, expected):
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_dtype=False, rtol=1e-9, atol=1e-9, obj=name)
        counts = table.select_dtypes("int64").columns
        assert (found[name][counts].dtypes == "int64").all()
        pd.testing.assert_frame_equal(found[name][counts], table[counts], check_exact=True, obj=name)


@pytest.fixture(scope="module")
def by_pandas(files, kpis):
    with open_engine(EngineSettings(engine="pandas")) as engine:
        return everything(engine.keep(engine.scan(files), "rows"), kpis)


def test_duckdb_equals_pandas(files, kpis, by_pandas):
    """Every kind of reduction, integers exactly and sums to 1e-9."""
    with open_engine() as engine:
        assert_same(everything(engine.keep(engine.scan(files), "rows"), kpis), by_pandas)


def test_spark_equals_pandas(files, kpis, by_pandas, spark):
    """Counts, exact sums, clusters, ranks, durations and overlaps: integers exactly and sums to 1e-9."""
    found = everything(
        spark.keep(spark.scan(files), "rows"), {name: kpis[name] for name in ("net", "quantile", "curve")}
    )
    assert_same(found, {name: by_pandas[name] for name in found})


def test_columns_that_older_files_lack_are_null(files, rows):
    """On every engine that reads files by itself; instants stay in UTC."""
    for name in ("duckdb", "pandas"):
        with open_engine(EngineSettings(engine=name)) as engine:
            read = collect(engine.scan(files))
        assert read.loc[read["period"] == "2026-08", "age"].isna().all()
        assert read["age"].count() == rows.loc[rows["period"] == "2026-09", "age"].count()
        assert str(read["at"].dt.tz) == "UTC"
        assert read["at"].min() == rows["at"].min()


@pytest.mark.parametrize("name", ["duckdb", "pandas"])
def test_loaded_rows_can_be_joined_and_kept(name, rows):
    """What pandas calls missing is null; a kept frame gives the same rows again."""
    with open_engine(EngineSettings(engine=name)) as engine:
        loaded = engine.load(rows)
        regions = engine.load(pd.DataFrame({"region": ["Süd"], "country": ["DE"]}))
        held = engine.keep(loaded.join(regions, on="region", how="left"), "joined")
        counted = collect(held.select(nw.col("score", "country").count()))
        with kept(held.filter(nw.col("score") > 8)) as few:
            assert len(collect(few)) == (rows["score"] > 8).sum()
            assert collect(few.select(nw.col("score").min())).iloc[0, 0] == 9
    assert counted["score"].item() == rows["score"].count()
    assert counted["country"].item() == (rows["region"] == "Süd").sum()


def test_settings_have_defaults_and_a_file(tmp_path, monkeypatch):
    """DuckDB without a file; the file's folder is relative to the project; the environment overrides the engine."""
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    project = Project(tmp_path)
    assert load_engine(project) == EngineSettings(engine="duckdb")
    (tmp_path / "reports").mkdir()
    text = "engine: duckdb\nmemory_limit: 64 MiB\nthreads: 2\ntemporary_folder: data/spill\n"
    (tmp_path / "reports" / "engine.yml").write_text(text, encoding="utf-8")
    settings = load_engine(project)
    assert (settings.memory_limit, settings.threads) == ("64 MiB", 2)
    with open_engine(settings):
        assert len(list((tmp_path / "data" / "spill").iterdir())) == 1
    assert not list((tmp_path / "data" / "spill").iterdir())
    monkeypatch.setenv(ENGINE_VARIABLE, "pandas")
    assert load_engine(project).engine == "pandas"
    monkeypatch.setenv(ENGINE_VARIABLE, "panda")
    with pytest.raises(DefinitionError, match="did you mean `pandas`"):
        load_engine(project)


@pytest.mark.parametrize(
    "text", ["engine: polars", "memory_limit: lots", "threads: 0", "spark_remote: spark://host", "memory: 1 GiB"]
)
def test_wrong_settings_are_refused(text, tmp_path):
    """An engine that does not exist, a limit without a unit, no thread, an address of another kind, an unknown key."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "engine.yml").write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"engine\.yml"):
        load_engine(Project(tmp_path))


def test_engine_needs_files_and_spark_needs_pyspark(monkeypatch):
    """Both are said in words."""
    for name in ("duckdb", "pandas"):
        with open_engine(EngineSettings(engine=name)) as engine, pytest.raises(UsageError, match="no Parquet file"):
            engine.scan([])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="without PySpark"), open_engine(EngineSettings(engine="spark")):
        pass


def test_duckdb_never_loads_extensions():
    """An extension that is not built in is an error, not a download."""
    with open_engine() as engine, pytest.raises(duckdb.Error):
        engine.connection.execute("SELECT ST_Point(1, 2)")


# --- a whole report ------------------------------------------------------------------------------


@contextmanager
def connect_server(folder):
    """Start a Spark Connect server on this machine, and yield its address."""
    import pyspark

    home = Path(pyspark.__file__).parent
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    options = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": 2,
    }
    command = [home / "bin" / "spark-submit", "--master", "local[2]"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += [part for name, value in options.items() for part in ("--conf", f"{name}={value}")]
    log = folder / "server.log"
    environment = os.environ | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    with log.open("w") as file:
        server = subprocess.Popen([*command, "spark-internal"], cwd=folder, env=environment, stdout=file, stderr=file)
    try:
        until = time.monotonic() + 120
        while "Spark Connect server started" not in log.read_text(encoding="utf-8"):
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < until, "no Spark Connect server within two minutes"
            time.sleep(0.5)
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def tables_of(project):
    folder = project.measured("monthly", SEPTEMBER)
    return {path.relative_to(folder).as_posix(): pd.read_parquet(path) for path in sorted(folder.rglob("*.parquet"))}


@pytest.mark.soak
@pytest.mark.parametrize("how", ["local", "connect"])
def test_whole_report_on_spark_equals_duckdb(how, pack, tmp_path):
    """Every table that the sample company's report reads is the same to 1e-9, on a local Spark and on a server."""
    if NO_SPARK:
        pytest.skip(NO_SPARK)
    project = Project(tmp_path / "project")
    made = shutil.ignore_patterns("output", "measured", ".venv")
    shutil.copytree(pack.project.root, project.root, ignore=made)
    with connect_server(tmp_path) if how == "connect" else nullcontext("local[2]") as remote:
        text = f"engine: spark\nspark_remote: {remote}\n"
        (project.root / "reports" / "engine.yml").write_text(text, encoding="utf-8")
        # In a process of its own, because a process holds either a session of its own or one of a server.
        command = [sys.executable, "-m", "cxreport", "measure", "--period", SEPTEMBER.id]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CXREPORT_")}
        done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected, found = tables_of(pack.project), tables_of(project)
    assert "estimates.parquet" in expected
    assert list(found) == list(expected)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, rtol=1e-9, atol=1e-9, obj=name)


def write_clustered(folder, n):
    """Write rows whose clusters are too many for a small memory."""
    random = np.random.default_rng(2)
    rows = pd.DataFrame({"period": random.choice(["2026-08", "2026-09"], n), "metric": "success", "region": "north"})
    rows["customer"] = random.integers(0, n // 3, n).astype(str)
    rows["score"] = random.integers(0, 11, n).astype(float)
    rows["weight"] = random.uniform(0, 3, n)
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / "rows.parquet")
    return [folder / "rows.parquet"]


def reduce_within(limit, files, kpi, folder):
    settings = EngineSettings(memory_limit=limit, threads=2, temporary_folder=folder / "spill")
    with open_engine(settings) as engine:
        return reduce(engine.scan(files), kpi, ["period"], 0.95, segments=SEGMENTS)


@pytest.mark.parametrize(("millions", "limit"), [(0.2, "40 MiB"), pytest.param(5, "256 MiB", marks=pytest.mark.soak)])
def test_what_does_not_fit_into_memory_goes_to_the_disk(millions, limit, kpis, tmp_path):
    """Far more clusters than memory give the same statistics, to the last digit."""
    files = write_clustered(tmp_path, int(millions * 1e6))
    found = reduce_within(limit, files, kpis["net"], tmp_path)
    pd.testing.assert_frame_equal(found, reduce_within(None, files, kpis["net"], tmp_path), check_exact=True)
    assert not list((tmp_path / "spill").iterdir())


def test_memory_that_cannot_do_is_said(kpis, tmp_path):
    """A limit below what one group-by needs stops the run and names the setting."""
    files = write_clustered(tmp_path, 100_000)
    with pytest.raises(RunError, match="memory_limit"):
        reduce_within("1 MiB", files, kpis["net"], tmp_path)


def test_written_tables_do_not_depend_on_the_order_of_rows(rows, tmp_path):
    """The same rows are the same bytes, and are read as they were."""
    schema = pa.schema([("customer", pa.string()), ("score", pa.float64())])
    few = rows[["customer", "score"]].dropna().drop_duplicates()
    for name, written in (("a", few), ("b", few.sample(frac=1, random_state=1))):
        write_table(written, tmp_path / name / "t.parquet", schema, ("customer", "score"))
    assert (tmp_path / "a" / "t.parquet").read_bytes() == (tmp_path / "b" / "t.parquet").read_bytes()
    expected = few.sort_values(["customer", "score"], ignore_index=True)
    pd.testing.assert_frame_equal(read_table(tmp_path / "a" / "t.parquet"), expected, check_dtype=False)
