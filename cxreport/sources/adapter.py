"""What an adapter is: it recognises a tool's export, and turns one file of it into canonical tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cxreport.sources.mapping import Mapping
from cxreport.sources.records import Records
from cxreport.sources.tables import Tables, build_tables


@dataclass(frozen=True)
class Delivery:
    """What one file held.

    Attributes
    ----------
    tables
        Canonical tables without their `source`; `source_row` counts the file's data records from 1. Columns that the
        schema does not know are segment columns.
    rows
        Data records in the file.
    columns
        The file's column names in its order.
    """

    tables: Tables
    rows: int
    columns: tuple[str, ...]


class Adapter(Protocol):
    """Reads the exports of one tool; other packages register an instance under the entry point `cxreport.adapters`.

    Attributes
    ----------
    mapping_model
        What the mapping file of a feed holds.
    needs_mapping
        Whether it can read nothing without one.
    """

    @property
    def mapping_model(self) -> type[Mapping]: ...

    @property
    def needs_mapping(self) -> bool: ...

    def sniff(self, path: Path) -> bool:
        """Whether the file looks like this tool's export; never raises."""
        ...

    def read(self, path: Path, mapping: Mapping | None, time_zone: str) -> Delivery:
        """Read one file; raises `UnreadableFileError` with everything that is wrong with it.

        `mapping` is the feed's, an instance of `mapping_model`, or `None` where it has none. `time_zone` is the
        dataset's, for local times.
        """
        ...


def deliver(records: Records, mapping: Mapping, time_zone: str) -> Delivery:
    """Build what a mapping makes of a file's records; raises `UnreadableFileError` for missing columns."""
    return Delivery(build_tables(records, mapping, time_zone), records.rows, records.header)


def over_standard(mapping: Mapping | None, standard: Mapping) -> Mapping:
    """Return a tool's standard mapping with a feed's own fields and time zone put over it."""
    if mapping is None:
        return standard
    tables = {
        name: mapping.tables[name].over(fields) if name in mapping.tables else fields
        for name, fields in standard.tables.items()
    }
    return mapping.model_copy(update={"tables": mapping.tables | tables})
