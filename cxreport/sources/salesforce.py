"""Salesforce object exports (CSV with API names, as Data Loader writes them).

The standard fields describe Accounts as customers; a company's own `__c` fields are placed by the feed's mapping.
Dates carry their offset, ids and numbers keep their leading zeros.
"""

from pathlib import Path

from cxreport.sources.adapter import Delivery, deliver, over_standard
from cxreport.sources.mapping import Fields, Mapping, Origin
from cxreport.sources.records import first_rows, read_csv

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


class Salesforce:
    """Reads object exports; a mapping places custom fields."""

    mapping_model = Mapping
    needs_mapping = False

    def sniff(self, path: Path) -> bool:
        """Recognise an `Id` beside system fields under their API names."""
        rows = first_rows(path, 1)
        names = {name.strip() for name in rows[0]} if rows else set()
        return "Id" in names and bool(names & _SYSTEM_FIELDS)

    def read(self, path: Path, mapping: Mapping | None, time_zone: str) -> Delivery:
        """Read one export."""
        return deliver(read_csv(path), over_standard(mapping, _STANDARD), time_zone)


ADAPTER = Salesforce()
