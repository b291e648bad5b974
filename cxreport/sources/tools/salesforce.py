"""Salesforce object exports (CSV with API names, as Data Loader writes them).

The standard fields describe Accounts as customers; a company's own `__c` fields are placed by the feed's mapping.
Dates carry their offset, ids and numbers keep their leading zeros.
"""

from cxreport.sources.adapter import Adapter
from cxreport.sources.files import DeliveredFile
from cxreport.sources.glimpse import Glimpse, Recognised
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin
from cxreport.sources.records import Records, read_csv

_SYSTEM_FIELDS = frozenset({"CreatedDate", "LastModifiedDate", "SystemModstamp", "IsDeleted"})
_STANDARD = Mapping(
    tables={
        "customers": Fields(
            columns={
                "customer_id": Origin(column="Id"),
                "started_at": Origin(column="CreatedDate", formats=["%Y-%m-%dT%H:%M:%S.%f%z"]),
            }
        )
    }
)


class Salesforce(Adapter):
    """Reads object exports; a mapping places custom fields."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise an `Id` beside system fields under their API names."""
        if "Id" in glimpse.header and glimpse.header & _SYSTEM_FIELDS:
            return Recognised("object export", "an `Id` beside system fields under their API names")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export."""
        return read_csv(file, form.encoding, form.delimiter or ",")

    def standard(self, records: Records) -> Mapping:  # noqa: ARG002 - the same for every export
        """Return where the fields that every Account has belong."""
        return _STANDARD


ADAPTER = Salesforce()
