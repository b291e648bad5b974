"""What an adapter is: it recognises a tool's export, and turns one file of it into canonical tables."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records
from cxreport.sources.identity import Identities, identities
from cxreport.sources.mapping import FileForm, Mapping
from cxreport.sources.tables import Context, Tables, build_tables


@dataclass(frozen=True)
class Delivery:
    """What one file held.

    Attributes
    ----------
    tables
        Canonical tables without their `source`; `source_row` is the line, sheet row or object number where the record
        begins. Columns that the schema does not know are segment columns.
    rows
        Data records in the file.
    columns
        The file's column names in its order.
    notes
        What was left out, and why; no data.
    identities
        What it says of who customers are.
    questions
        The titles of its questions, by id.
    """

    tables: Tables
    rows: int
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    identities: Identities = field(default_factory=Identities)
    questions: dict[str, str] = field(default_factory=dict)


class Adapter(ABC):
    """Reads the exports of one tool; other packages register an instance under the entry point `cxreport.adapters`.

    A tool needs `sniff` and `records`; `standard` places what the tool always calls the same, and `refine` adds what no
    mapping can say.

    Attributes
    ----------
    mapping_model
        What the mapping file of a feed holds.
    needs_mapping
        Whether it can read nothing without one.
    """

    mapping_model: ClassVar[type[Mapping]] = Mapping
    needs_mapping: ClassVar[bool] = False

    @abstractmethod
    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Return what export of this tool the file looks like, or `None`; never raises."""

    @abstractmethod
    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one file; `form` is what the mapping says about opening it.

        Raises `UnreadableFileError` with everything that is wrong with the file.
        """

    def standard(self, records: Records) -> Mapping | None:  # noqa: ARG002 - for adapters that have one
        """Return where the tool's own columns of these records belong, or `None` where the tool has none."""
        return None

    def refine(self, tables: Tables, records: Records) -> Tables:  # noqa: ARG002 - for adapters that have more to say
        """Return the tables with what no mapping can express."""
        return tables

    def read(self, file: DeliveredFile, mapping: Mapping | None, context: Context) -> Delivery:
        """Read one file into canonical tables; `mapping` is the feed's, an instance of `mapping_model`, if it has one.

        Raises `UnreadableFileError`.
        """
        records = self.records(file, mapping.file if mapping else FileForm())
        whole = over_standard(mapping, self.standard(records))
        if records.rows and not whole.tables:
            raise UnreadableFileError("nothing says what its columns mean; place them in a mapping of the feed")
        tables = self.refine(build_tables(records, whole, context), records)
        notes = (*records.notes, *_left_out(whole, tables, records.rows))
        asked = set(tables["answers"]["question"].unique()) if "answers" in tables else set()
        questions = {name: title for name, title in whole.titles.items() if name in asked}
        found = identities(whole, records, tables, context)
        if "customers" in tables and whole.tables["customers"].only_identifies:
            # Several people of one customer are no several customers, and a list of them is no list of customers.
            said = f"{len(tables['customers']):,} records only say by which keys and names customers are known"
            tables, notes = {name: rows for name, rows in tables.items() if name != "customers"}, (*notes, said)
        return Delivery(tables, records.rows, records.header, notes, found, questions)


def _left_out(mapping: Mapping, tables: Tables, rows: int) -> Iterator[str]:
    """Count the records that `only_if` keeps out of a table."""
    for name, fields in mapping.tables.items():
        if fields.only_if and len(tables[name]) < rows:
            yield f"records that are no rows of {name}: {rows - len(tables[name]):,}"


def over_standard(mapping: Mapping | None, standard: Mapping | None) -> Mapping:
    """Return a tool's standard mapping with a feed's own over it: column by column, and question by question.

    Columns that the feed's own mapping places are the feed's alone; its batteries come before the standard ones, of
    which those whose questions it names, or whose columns it reads, are left out.
    """
    if mapping is None or standard is None:
        return mapping or standard or Mapping()
    tables = {
        name: mapping.tables[name].over(fields) if name in mapping.tables else fields
        for name, fields in standard.tables.items()
    }
    named = {key for battery in mapping.batteries for key in battery.questions}
    read = {question.column for battery in mapping.batteries for question in battery.questions.values()}
    kept = [
        battery
        for battery in standard.batteries
        if named.isdisjoint(battery.questions)
        and read.isdisjoint(question.column for question in battery.questions.values())
    ]
    return mapping.model_copy(
        update={
            "time_zone": mapping.time_zone or standard.time_zone,
            "tables": mapping.tables | tables,
            "missing": standard.missing | mapping.missing,
            "batteries": [*mapping.batteries, *kept],
            "real_answers": standard.real_answers | mapping.real_answers,
        }
    )
