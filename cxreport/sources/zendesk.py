"""Zendesk Support ticket exports (account CSV export, one header row of labels).

All durations of the export are minutes, except `Resolution time`, which is rounded hours and is not used. Dates are
local times of the account. Custom fields such as `Customer ID [txt]` are placed by the feed's mapping.
"""

from pathlib import Path

import pandas as pd

from cxreport.sources.adapter import Delivery, deliver, over_standard
from cxreport.sources.mapping import Fields, Mapping, Origin
from cxreport.sources.records import first_rows, read_csv

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


class Zendesk:
    """Reads ticket exports; a mapping may place custom fields and give channels their names."""

    mapping_model = Mapping
    needs_mapping = False

    def sniff(self, path: Path) -> bool:
        """Recognise the labels of the header."""
        rows = first_rows(path, 1)
        return bool(rows) and {name.strip() for name in rows[0]} >= _SIGNATURE

    def read(self, path: Path, mapping: Mapping | None, time_zone: str) -> Delivery:
        """Read one export; the first reply is dated from its minutes, because the export holds no such date."""
        delivery = deliver(read_csv(path), over_standard(mapping, _STANDARD), time_zone)
        tickets = delivery.tables["tickets"]
        waited = pd.to_timedelta(tickets["reply_minutes"], unit="min")
        tickets["first_replied_at"] = (tickets["created_at"] + waited).astype(tickets["created_at"].dtype)
        return delivery


ADAPTER = Zendesk()
