"""Zendesk Support ticket exports (account CSV export, one header row of labels).

All durations of the export are minutes, except `Resolution time`, which is rounded hours and is not used. Dates are
local times of the account. Custom fields such as `Customer ID [txt]` are placed by the feed's mapping.
"""

import pandas as pd

from cxreport.sources.adapter import Adapter
from cxreport.sources.files import DeliveredFile
from cxreport.sources.glimpse import Glimpse, Recognised
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin
from cxreport.sources.records import Records, read_csv
from cxreport.sources.tables import Tables

_SIGNATURE = frozenset({"Id", "Requester id", "Created at", "Full resolution time in minutes"})
_FORMATS = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
_STANDARD = Mapping(
    tables={
        "tickets": Fields(
            columns={
                "ticket_id": Origin(column="Id"),
                "customer_id": Origin(column="Requester external id"),
                "created_at": Origin(column="Created at", formats=_FORMATS),
                "resolved_at": Origin(column="Solved at", formats=_FORMATS),
                "channel": Origin(column="Via"),
                "team": Origin(column="Group"),
                "priority": Origin(column="Priority"),
                "status": Origin(column="Status"),
                "reopens": Origin(column="Reopens"),
                "replies": Origin(column="Replies"),
                "reply_minutes": Origin(column="First reply time in minutes"),
                "reply_business_minutes": Origin(column="First reply time in minutes within business hours"),
                "resolution_minutes": Origin(column="Full resolution time in minutes"),
                "resolution_business_minutes": Origin(column="Full resolution time in minutes within business hours"),
            }
        )
    }
)


class Zendesk(Adapter):
    """Reads ticket exports; a mapping may place custom fields and give channels their names."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the labels of the header."""
        return Recognised("account CSV export", "the labels of its header") if glimpse.header >= _SIGNATURE else None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export."""
        return read_csv(file, form.encoding, form.delimiter or ",")

    def standard(self, records: Records) -> Mapping:  # noqa: ARG002 - the same for every export
        """Return where the export's columns belong."""
        return _STANDARD

    def refine(self, tables: Tables, records: Records) -> Tables:  # noqa: ARG002 - needs the tables only
        """Date the first reply from its minutes, because the export holds no such date."""
        tickets = tables["tickets"]
        waited = pd.to_timedelta(tickets["reply_minutes"], unit="min")
        tickets["first_replied_at"] = (tickets["created_at"] + waited).astype(tickets["created_at"].dtype)
        return tables


ADAPTER = Zendesk()
