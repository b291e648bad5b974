"""Zoho CRM: lookups that stand twice, and ids too long for a number."""

import io

import pandas as pd
import pytest

from cxreport.errors import GateError

# Two different accounts share a name, and their ids differ in the last digit only.
CASES = (
    "\ufeffRecord Id,Case Owner.id,Case Owner,Account Name.id,Account Name,Subject,Status,Created Time,Tag,Tag\r\n"
    "zcrm_4876876000000123451,4876876000000000001,Bo,4876876000000777001,Acme,One,Closed,09/01/2026 08:00:00,,\r\n"
    "zcrm_4876876000000123452,4876876000000000001,Bo,4876876000000777002,Acme,Two,New,09/02/2026 08:00:00,,\r\n"
    "zcrm_4876876000000123453,4876876000000000001,Bo,,,Three,New,09/03/2026 08:00:00,,\r\n"
)
FEED = {"id": "zoho", "adapter": "zoho_crm", "files": "export.*"}
MAPPED = FEED | {"mapping": "zoho.yml"}
MAPPING = {
    "tables": {
        "tickets": {
            "columns": {
                "ticket_id": "Record Id",
                "customer_id": "Account Name.id",
                "created_at": {"column": "Created Time", "formats": ["%m/%d/%Y %H:%M:%S"]},
                "status": "Status",
            }
        }
    }
}


def test_lookups_are_read_by_their_id(company) -> None:
    """Ids of 19 digits stay whole, and accounts of one name stay two."""
    company.map("zoho.yml", MAPPING)
    company.deliver("export.csv", CASES)
    company.ingest(MAPPED)
    tickets = company.staged("tickets")
    assert tickets["ticket_id"].iloc[0] == "zcrm_4876876000000123451"
    assert tickets["customer_id"].tolist() == ["4876876000000777001", "4876876000000777002", None]
    assert tickets["created_at"].iloc[0] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    naive = pd.read_csv(io.StringIO(CASES))
    assert naive["Account Name.id"].iloc[0] == naive["Account Name.id"].iloc[1]
    assert "Tag.1" in naive.columns


def test_rounded_ids_are_refused(company) -> None:
    """A spreadsheet's `4.87688E+18` is no id."""
    company.map("zoho.yml", MAPPING)
    company.deliver("export.csv", CASES.replace("4876876000000777001", "4.87688E+18"))
    with pytest.raises(GateError, match=r"ids in `Account Name\.id` were rounded"):
        company.ingest(MAPPED)


def test_a_column_that_stands_twice_is_not_chosen_from(company) -> None:
    """Two columns of one label are refused where the mapping needs one."""
    segments = {"tickets": MAPPING["tables"]["tickets"] | {"segments": {}}}
    segments["tickets"]["columns"] = MAPPING["tables"]["tickets"]["columns"] | {"team": "Tag"}
    company.map("zoho.yml", {"tables": segments})
    company.deliver("export.csv", CASES)
    with pytest.raises(GateError, match="column `Tag` stands twice"):
        company.ingest(MAPPED)


def test_exports_are_recognised(company) -> None:
    """The pair of columns tells, beside a record's id."""
    assert company.recognised("a.csv", CASES) == ["zoho_crm"]
    assert company.recognised("b.csv", CASES.replace("Record Id", "Contact Id")) == ["zoho_crm"]
    assert "zoho_crm" not in company.recognised("c.csv", "Record Id,Account Name\r\n1,Acme\r\n")
