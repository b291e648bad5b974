"""SQL over one delivered file, which the query calls `delivered`, by DuckDB: it can read that file and nothing else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from cxreport.sources.formats.delimited import refuse_endless
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.records import Records
from cxreport.sources.formats.workbooks import as_text

MOST_MEMORY = "4 GiB"  # as for a workbook; nothing goes to the disk
MOST_SECONDS = 60
_MAGIC_AT, _MAGIC = 8, b"DUCK"
_UNFIT = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)


def is_database(file: DeliveredFile) -> bool:
    """Whether a file is a DuckDB database."""
    return file.start[_MAGIC_AT:].startswith(_MAGIC)


def query_database(file: DeliveredFile, query: str) -> Records:
    """Query a DuckDB database file, whose tables are `delivered.<table>`; raises `UnreadableFileError`."""
    if file.path is None:
        raise UnreadableFileError("a database in an archive cannot be read; unpack it first")
    with _connection() as connection:
        quoted = str(file.path).replace("'", "''")
        try:
            connection.execute(f"ATTACH '{quoted}' AS delivered (READ_ONLY)")
        except duckdb.Error:
            raise UnreadableFileError("the file is no DuckDB database, or one of a newer version") from None
        return _queried(connection, query)


def query_records(records: Records, query: str) -> Records:
    """Query records as the table `delivered`, all its columns text; raises `UnreadableFileError`."""
    records.require(records.header)
    if records.ragged:
        raise UnreadableFileError(f"{len(records.ragged)} records do not line up with the header, so no query can run")
    columns = [pa.array(cells, pa.large_string()) for cells in records.cells]
    with _connection() as connection:
        connection.register("delivered", pa.table(columns, names=list(records.header)))
        return _queried(connection, query)


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory; one thread, so that rows come in the same order again."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MOST_MEMORY,
        "threads": 1,
        "temp_directory": "",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    with duckdb.connect(config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _queried(connection: duckdb.DuckDBPyConnection, query: str) -> Records:
    """Run one SELECT, after which nothing outside can be reached and no setting changed."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    stop = threading.Timer(MOST_SECONDS, connection.interrupt)
    stop.start()
    try:
        statements = connection.extract_statements(query)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise UnreadableFileError("the query is not one SELECT statement")
        return _read(connection.sql(query).to_arrow_reader(10_000))
    except _UNFIT:
        raise UnreadableFileError("the query does not fit: no SQL, or a table or column that is not there") from None
    except duckdb.InterruptException:
        raise UnreadableFileError(f"the query takes more than {MOST_SECONDS} seconds") from None
    except (duckdb.Error, pa.ArrowException, OSError, ValueError, OverflowError):  # their messages quote values
        raise UnreadableFileError("the query failed on these data, or reaches for more than it may") from None
    finally:
        stop.cancel()


def _read(reader: pa.RecordBatchReader) -> Records:
    names = [name.strip() for name in reader.schema.names]
    cells: list[list[str]] = [[] for _ in names]
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        refuse_endless(rows, len(names))
        for column, found in zip(cells, batch.columns, strict=True):
            column.extend(map(as_text, found.to_pylist()))
    return Records(tuple(names), tuple(cells), range(1, rows + 1))
