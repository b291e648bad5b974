"""Any CSV, TSV, XLSX or Parquet file, read as its mapping says."""

from pathlib import Path

from cxreport.sources.adapter import Delivery, deliver
from cxreport.sources.mapping import FileForm, FileMapping, Mapping
from cxreport.sources.records import Records, read_csv, read_parquet, read_xlsx


class Mapped:
    """Reads files that no other adapter knows; it recognises none by itself."""

    mapping_model = FileMapping
    needs_mapping = True

    def sniff(self, path: Path) -> bool:  # noqa: ARG002 - the protocol's name
        """Recognise nothing: only a mapping tells what such a file is."""
        return False

    def read(self, path: Path, mapping: Mapping | None, time_zone: str) -> Delivery:
        """Read one file in the form that the mapping states."""
        assert isinstance(mapping, FileMapping)  # `mapping_model`
        return deliver(_records(path, mapping.file), mapping, time_zone)


def _records(path: Path, form: FileForm) -> Records:
    if form.format == "xlsx":
        return read_xlsx(path, form.sheet)
    if form.format == "parquet":
        return read_parquet(path)
    return read_csv(path, form.encoding, form.delimiter or {"csv": ",", "tsv": "\t"}[form.format])


ADAPTER = Mapped()
