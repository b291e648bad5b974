"""Zoho CRM module exports (CSV, one header row of labels; also the files of a data backup).

Every lookup stands twice, as `Account Name.id` and as `Account Name`: relations are read from the first, names are not
unique. Ids have 18 and 19 digits, some after `zcrm_`, and stay text. Labels and the form of dates are the account's
own, so the feed's mapping places all columns and states the formats. No untouched export was seen; the columns are
those that several importers expect.
"""

from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import with_whole_ids
from cxreport.sources.formats.files import DeliveredFile
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, read_csv
from cxreport.sources.mapping import FileForm, FileMapping

_ID = ".id"
_KEYS = ("Record Id", "Contact Id")  # the second in older files


class ZohoCrm(Adapter):
    """Reads module exports as the feed's mapping says."""

    mapping_model = FileMapping
    needs_mapping = True

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise lookups that stand twice beside a record's id."""
        twins = [name for name in glimpse.header if name.endswith(_ID) and name.removesuffix(_ID) in glimpse.header]
        if twins and not glimpse.header.isdisjoint(_KEYS):
            return Recognised("module export", "lookups that stand twice, as `X.id` and `X`")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export; ids that a spreadsheet rounded are refused."""
        records = read_csv(file, form.encoding, form.delimiter or ",")
        return with_whole_ids(records, [name for name in records.header if name in _KEYS or name.endswith(_ID)])


ADAPTER = ZohoCrm()
