"""Any CSV, TSV, workbook or Parquet file, read as its mapping says."""

from cxreport.sources.adapter import Adapter
from cxreport.sources.files import DeliveredFile, kind_of
from cxreport.sources.glimpse import Glimpse, Recognised
from cxreport.sources.mapping import FileForm, FileMapping
from cxreport.sources.records import Records, read_csv, read_parquet, read_workbook

_FORMS = {".tsv": "tsv", ".tab": "tsv"}


class Mapped(Adapter):
    """Reads files that no other adapter knows; it recognises none by itself."""

    mapping_model = FileMapping
    needs_mapping = True

    def sniff(self, glimpse: Glimpse) -> Recognised | None:  # noqa: ARG002 - the base class's name
        """Recognise nothing: only a mapping tells what such a file is."""
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one file in the form that the mapping states, else in the one that its content shows."""
        shape = form.format or _FORMS.get(file.suffix) or kind_of(file)
        if shape == "workbook":
            return read_workbook(file, form.sheet)
        if shape == "parquet":
            return read_parquet(file)
        return read_csv(file, form.encoding, form.delimiter or ("\t" if shape == "tsv" else ","))


ADAPTER = Mapped()
