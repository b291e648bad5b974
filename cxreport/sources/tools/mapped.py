"""Any file, read as its mapping says: delimited text, workbook, Parquet, JSON, SPSS, or a query over one of them."""

from collections.abc import Callable
from dataclasses import replace

from cxreport.sources.adapter import Adapter
from cxreport.sources.formats.files import UTF_8, DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_json
from cxreport.sources.formats.queries import is_database, query_database, query_records
from cxreport.sources.formats.records import Records, headed, read_csv, read_parquet, sheet_rows
from cxreport.sources.formats.spss import read_spss
from cxreport.sources.mapping import FileForm, FileMapping

_FORMS = {".tsv": "tsv", ".tab": "tsv"}


class Mapped(Adapter):
    """Reads files that no other adapter knows; it recognises none by itself."""

    mapping_model = FileMapping
    needs_mapping = True

    def sniff(self, glimpse: Glimpse) -> Recognised | None:  # noqa: ARG002 - the base class's name
        """Recognise nothing: only a mapping tells what such a file is."""
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one file in the form that the mapping states, else in the one that its content shows.

        The rows of a query are numbered; without `ORDER BY` their order is DuckDB's.
        """
        if form.format != "sql":
            return _read(file, form)
        if form.query is None:
            raise UnreadableFileError("`format: sql` needs a `query`")
        if is_database(file):
            return query_database(file, form.query)
        return query_records(_read(file, form.model_copy(update={"format": None})), form.query)


def _read(file: DeliveredFile, form: FileForm) -> Records:
    shown = "csv" if form.delimiter else _FORMS.get(file.suffix, kind_of(file))
    readers: dict[str, Callable[[DeliveredFile, FileForm], Records]] = {
        "workbook": _read_workbook,
        "parquet": lambda file, _: read_parquet(file),
        "json": lambda file, form: read_json(file, encoding=form.encoding),
        "spss": lambda file, form: read_spss(file, form.encoding),
        "tsv": lambda file, form: _read_delimited(file, form, "\t"),
    }
    return readers.get(form.format or shown, _read_delimited)(file, form)


def _read_workbook(file: DeliveredFile, form: FileForm) -> Records:
    return headed([row for row in sheet_rows(file, form.sheet) if row[0] > form.skip])


def _read_delimited(file: DeliveredFile, form: FileForm, usual: str = ",") -> Records:
    delimiter = form.delimiter or usual
    if not form.skip:
        return read_csv(file, form.encoding, delimiter)
    lines = file.text(form.encoding).splitlines(keepends=True)
    rest = DeliveredFile(file.name, unpacked="".join(lines[form.skip :]).encode())
    records = read_csv(rest, UTF_8, delimiter)
    return replace(records, lines=[line + form.skip for line in records.lines])


ADAPTER = Mapped()
