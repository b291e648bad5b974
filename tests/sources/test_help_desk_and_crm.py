"""Zendesk tickets and Salesforce objects, with a company's own fields."""

import pandas as pd
import pytest

from cxreport.errors import GateError

ZENDESK = {
    "Summation column": "1",
    "Id": "000123",
    "Requester": "Ann Example",
    "Requester id": "900000000001",
    "Requester external id": "",
    "Requester email": "ann@example.com",
    "Group": "Billing",
    "Subject": "My bill",
    "Status": "Solved",
    "Priority": "High",
    "Via": "Web form",
    "Created at": "2026-09-01 08:00",
    "Solved at": "2026-09-02 09:30",
    "Resolution time": "26",
    "Reopens": "1",
    "Replies": "2",
    "First reply time in minutes": "45",
    "First reply time in minutes within business hours": "30",
    "Full resolution time in minutes": "1530",
    "Full resolution time in minutes within business hours": "600",
    "Customer ID [txt]": "C1",
}
TICKETS = {"id": "tickets", "adapter": "zendesk", "mapping": "tickets.yml", "files": "tickets.csv"}
TICKETS_MAPPING = {
    "tables": {
        "tickets": {
            "columns": {"customer_id": "Customer ID [txt]", "channel": {"column": "Via", "labels": {"Web form": "web"}}}
        }
    }
}
ACCOUNTS = (
    "\ufeffId,IsDeleted,Name,CreatedDate,SystemModstamp,Customer_ID__c,Start_Date__c,Monthly_Value__c\n"
    '001A00000000001AAA,false,Ann,2024-07-11T21:22:07.000+0000,2026-09-30T00:00:00.000Z,00001046,2024-07-11,"59.90"\n'
)


def export(**changes: str) -> str:
    row = ZENDESK | changes
    return ",".join(row) + "\n" + ",".join(row.values()) + "\n"


def test_tickets_carry_minutes_and_utc(company) -> None:
    """Hours are not taken for minutes, local times are placed, the first reply is dated from its minutes."""
    company.map("tickets.yml", TICKETS_MAPPING)
    company.deliver("tickets.csv", export())
    company.ingest(TICKETS)
    ticket = company.staged("tickets").iloc[0]
    assert ticket["ticket_id"] == "000123"
    assert (ticket["customer_id"], ticket["channel"], ticket["team"]) == ("C1", "web", "Billing")
    assert ticket["created_at"] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert ticket["first_replied_at"] == pd.Timestamp("2026-09-01 13:45", tz="UTC")
    assert (ticket["resolution_minutes"], ticket["resolution_business_minutes"], ticket["reopens"]) == (1530, 600, 1)
    assert not {"Ann Example", "ann@example.com", "My bill"} & set(ticket.astype(str))


def test_open_tickets_have_no_resolution(company) -> None:
    """Blank durations are missing, not zero."""
    company.deliver("tickets.csv", export(**{"Solved at": "", "Full resolution time in minutes": ""}))
    company.ingest({key: value for key, value in TICKETS.items() if key != "mapping"})
    ticket = company.staged("tickets").iloc[0]
    assert ticket["resolved_at"] is None
    assert ticket["resolution_minutes"] is None
    assert ticket["typing_fault"] is None


def test_a_channel_without_a_label_is_a_typing_fault(company) -> None:
    """A new channel is noticed, and its name is not repeated."""
    company.map("tickets.yml", TICKETS_MAPPING)
    company.deliver("tickets.csv", export(Via="Telepathy", Reopens="few"))
    company.ingest(TICKETS)
    ticket = company.staged("tickets").iloc[0]
    assert ticket["channel"] is None
    assert ticket["typing_fault"] == "channel: a code without a label; reopens: not a whole number"


def test_standard_account_fields_need_no_mapping(company) -> None:
    """The system's own id and date serve where a company has no fields of its own."""
    company.deliver("accounts.csv", ACCOUNTS)
    company.ingest({"id": "customers", "adapter": "salesforce", "files": "accounts.csv"})
    customer = company.staged("customers").iloc[0]
    assert customer["customer_id"] == "001A00000000001AAA"
    assert customer["started_at"] == pd.Timestamp("2024-07-11 21:22:07", tz="UTC")


def test_own_account_fields_are_put_over_the_standard_ones(company) -> None:
    """Leading zeros survive, days are local midnights, segment columns follow."""
    company.map(
        "accounts.yml",
        {
            "tables": {
                "customers": {
                    "columns": {
                        "customer_id": "Customer_ID__c",
                        "started_at": {"column": "Start_Date__c", "formats": ["%Y-%m-%d"]},
                        "monthly_value": "Monthly_Value__c",
                        "persona": {"column": "Persona__c", "optional": True},
                    },
                    "segments": {"deleted": "IsDeleted"},
                }
            }
        },
    )
    company.deliver("accounts.csv", ACCOUNTS)
    company.ingest({"id": "customers", "adapter": "salesforce", "mapping": "accounts.yml", "files": "accounts.csv"})
    customer = company.staged("customers").iloc[0]
    assert (customer["customer_id"], customer["monthly_value"], customer["deleted"]) == ("00001046", 59.9, "false")
    assert customer["started_at"] == pd.Timestamp("2024-07-11 05:00", tz="UTC")
    assert customer["persona"] is None


def test_a_file_of_another_tool_is_named_as_such(company) -> None:
    """Delivering to the wrong folder is said plainly, not as twenty missing columns."""
    company.deliver("tickets.csv", ACCOUNTS)
    company.map("tickets.yml", TICKETS_MAPPING)
    with pytest.raises(GateError) as caught:
        company.ingest(TICKETS)
    assert caught.value.found == (
        "feed `tickets`, tickets.csv: the file looks like an export for the adapter `salesforce`, not `zendesk`"
    )


def test_exports_are_recognised(company) -> None:
    """Each tool's header is its own; an unknown file is nobody's."""
    assert company.recognised("a.csv", export()) == ["zendesk"]
    assert company.recognised("b.csv", ACCOUNTS) == ["salesforce"]
    assert company.recognised("c.csv", "a,b\n1,2\n") == []
