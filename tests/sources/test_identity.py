"""One view of every customer, whichever key a tool knows; of repeated and overlapping deliveries one copy counts."""

import json
from datetime import date
from functools import partial
from typing import Any

import pandas as pd
import pytest

from cxreport.errors import DefinitionError, GateError
from cxreport.periods import Period
from cxreport.sources.identity import DELIVERED_AGAIN, SUPERSEDED
from cxreport.validate import validate

ACCOUNTS = {"id": "accounts", "adapter": "mapped", "mapping": "accounts.yml", "files": "accounts*.csv"}
DESK = {"id": "desk", "adapter": "mapped", "mapping": "desk.yml", "files": "desk*.csv"}
DATE = {"formats": ["%Y-%m-%d"]}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the company's key of hashes."""
    monkeypatch.setenv("CXREPORT_HASH_KEY", "a secret of the company")


@pytest.fixture
def accounts(company) -> dict[str, str]:
    """A feed of customers that have an id and an address."""
    fields = {
        "columns": {"customer_id": "Id", "plan": "Plan"},
        "keys": {"email": {"column": "Email", "keep": "email"}},
        "names": ["First", "Last"],
    }
    company.map("accounts.yml", {"tables": {"customers": fields}})
    rows = "C1,pro,Ann@Example.com,Ann,Miller\nC2,basic,bo@example.com,Bo,Zeller\nC3,pro,shared@example.com,Cy,Osei\n"
    company.deliver("accounts.csv", "Id,Plan,Email,First,Last\n" + rows + "C4,pro,Shared@example.com,Di,Osei\n")
    return ACCOUNTS


@pytest.fixture
def desk(company) -> dict[str, str]:
    """A feed of tickets, whose customers are known by their address."""
    columns = {
        "ticket_id": "id",
        "customer_id": {"column": "requester", "keep": "email"},
        "created_at": {"column": "created", **DATE},
    }
    company.map("desk.yml", {"tables": {"tickets": {"columns": columns}}})
    return DESK


def tickets(*requesters: str) -> str:
    rows = (f"T{number},{requester},2026-09-01\n" for number, requester in enumerate(requesters, start=1))
    return "id,requester,created\n" + "".join(rows)


def about(company, feed: str) -> dict[str, Any]:
    described = json.loads((company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8"))
    return described[feed]


# --- who a customer is -----------------------------------------------------------------------------


def test_an_address_leads_to_the_customer(company, accounts, desk) -> None:
    """Tickets of one address, however it is written, belong to the customer who has it; others keep a hash."""
    company.deliver("desk.csv", tickets("ann@example.com", "mailto:ANN@example.com", "nobody@example.com", ""))
    company.ingest(accounts, desk)
    ids = company.staged("tickets")["customer_id"].tolist()
    assert ids[:2] == ["C1", "C1"]
    assert len(ids[2]) == 32
    assert ids[3] is None
    assert about(company, "desk")["customers"] == {"matched": 2, "in_conflict": 0, "unmatched": 1}


def test_an_address_of_two_customers_is_a_conflict(company, accounts, desk) -> None:
    """Nobody is guessed: the ticket keeps the hash, and both customers are listed with their places."""
    company.deliver("desk.csv", tickets("shared@example.com"))
    company.ingest(accounts, desk)
    (hashed,) = company.staged("tickets")["customer_id"]
    listed = pd.read_parquet(company.project.staged("acme") / "conflicts.parquet")
    assert listed.to_numpy().tolist() == [
        [hashed, "C3", "accounts/accounts.csv", 4],
        [hashed, "C4", "accounts/accounts.csv", 5],
    ]
    assert about(company, "desk")["customers"] == {"matched": 0, "in_conflict": 1, "unmatched": 0}


def test_a_customer_delivered_twice_is_no_conflict(company, accounts, desk) -> None:
    """Overlapping exports give one customer the same address again."""
    again = "Id,Plan,Email,First,Last\nC1,pro,ann@example.com,Ann,Miller\n"
    company.deliver("accounts_2.csv", again)
    company.deliver("desk.csv", tickets("ann@example.com"))
    company.ingest(accounts, desk)
    assert company.staged("tickets")["customer_id"].tolist() == ["C1"]


def test_names_of_customers_are_masked_and_not_stored(company, accounts, survey) -> None:
    """A customer list gives the names; comments lose them, and no staged file holds any."""
    company.deliver("survey.csv", company.header + company.rows.replace("Fine", "Ann Miller of Boise was kind"))
    company.ingest(accounts, survey)
    assert company.staged("responses")["comment"][0] == "[name] of Boise was kind"
    assert about(company, "survey")["scrubbed"] == {"name": 1}
    staged = b"".join(path.read_bytes() for path in company.project.staged("acme").iterdir())
    assert b"Miller" not in staged


def test_another_key_of_hashes_is_refused(company, desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another key every customer would be somebody else; without one nothing can be kept."""
    company.deliver("desk.csv", tickets("ann@example.com"))
    company.ingest(desk)
    company.ingest(desk)
    monkeypatch.setenv("CXREPORT_HASH_KEY", "another secret")
    with pytest.raises(DefinitionError, match="not the key with which the staged data were hashed"):
        company.ingest(desk)
    monkeypatch.delenv("CXREPORT_HASH_KEY")
    with pytest.raises(DefinitionError, match="CXREPORT_HASH_KEY"):
        company.ingest(desk)


def test_keys_and_names_are_for_customers(company, desk) -> None:
    """Other tables have neither, and a missing column of names is said."""
    company.map("desk.yml", {"tables": {"tickets": {"names": ["First"]}}})
    with pytest.raises(DefinitionError, match="`keys` and `names` are for `customers`"):
        company.ingest(desk)
    company.map("accounts.yml", {"tables": {"customers": {"columns": {"customer_id": "Id"}, "names": ["First name"]}}})
    company.deliver("accounts.csv", "Id,Plan\nC1,pro\n")
    with pytest.raises(GateError, match="no column `First name`"):
        company.ingest(ACCOUNTS)


# --- which copy counts -----------------------------------------------------------------------------

LOG = {"id": "log", "adapter": "mapped", "mapping": "log.yml", "files": "log*.csv"}


@pytest.fixture
def log(company) -> dict[str, str]:
    """A feed of orders that says when each was changed, where it knows."""
    columns = {"order_id": "id", "customer_id": "who", "ordered_at": {"column": "at", **DATE}, "amount": "amount"}
    fields = {"columns": columns, "updated": {"column": "updated", **DATE}}
    company.map("log.yml", {"tables": {"orders": fields}})
    return LOG


def marks(company, files: dict[str, list[tuple[str, int, str]]]) -> list[tuple[str, int, str | None]]:
    """Return file, line and mark of every order; a row states id, amount and day of the change."""
    for name, rows in files.items():
        lines = (f"{order},C,2026-09-01,{amount},{updated}\n" for order, amount, updated in rows)
        company.deliver(f"log_{name}.csv", "id,who,at,amount,updated\n" + "".join(lines))
    company.ingest(LOG)
    staged = company.staged("orders")
    names = staged["source"].str.removeprefix("log/log_").str.removesuffix(".csv")
    return list(zip(names, staged["source_row"], staged["typing_fault"], strict=True))


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"08": [("O1", 5, "")], "09": [("O1", 5, ""), ("O2", 7, "")]},
            [("08", 2, None), ("09", 2, DELIVERED_AGAIN), ("09", 3, None)],
        ),
        (
            {"08": [("O1", 5, "2026-09-09")], "09": [("O1", 6, "2026-09-02")]},
            [("08", 2, None), ("09", 2, SUPERSEDED)],
        ),
        ({"08": [("O1", 5, "")], "09": [("O1", 6, "")]}, [("08", 2, SUPERSEDED), ("09", 2, None)]),
        (
            {"07": [("O1", 5, "")], "08": [("O1", 6, "")], "09": [("O1", 5, ""), ("O2", 5, "")]},
            [("07", 2, None), ("08", 2, SUPERSEDED), ("09", 2, DELIVERED_AGAIN), ("09", 3, None)],
        ),
        ({"08": [("O1", 5, ""), ("O1", 6, "")]}, [("08", 2, None), ("08", 3, None)]),
        ({"08": [("O1", 5, ""), ("O1", 5, "")]}, [("08", 2, None), ("08", 3, DELIVERED_AGAIN)]),
        (
            {"08": [("O1", 4, "")], "09": [("O1", 5, ""), ("O1", 6, "")]},
            [("08", 2, SUPERSEDED), ("09", 2, None), ("09", 3, None)],
        ),
        ({"08": [("", 5, ""), ("", 5, "")]}, [("08", 2, None), ("08", 3, None)]),
    ],
    ids=["overlap", "newest", "last file", "back again", "conflict", "same twice", "conflict in the last", "no key"],
)
def test_one_copy_counts(company, files, expected) -> None:
    """Same content counts once; of different ones the newest, else the last file's; what is left is not decided."""
    assert marks(company, files) == expected


def test_a_changed_answer_takes_its_response_along(company, survey) -> None:
    """A response whose answer changed in a later export counts as a whole in that version."""
    company.deliver("survey_2.csv", company.header + company.rows.replace("192.0.2.1,9,3,5", "192.0.2.1,9,3,4"))
    company.ingest(survey)
    for table in ("responses", "answers"):
        staged = company.staged(table)
        first = staged[staged["response_id"] == "R_1"].groupby("source")["typing_fault"].unique().map(list).to_dict()
        assert first == {"survey/survey.csv": [SUPERSEDED], "survey/survey_2.csv": [None]}
        others = staged[(staged["response_id"] == "R_2") & (staged["source"] == "survey/survey_2.csv")]
        assert set(others["typing_fault"]) == {DELIVERED_AGAIN}


def test_feeds_do_not_replace_each_other(company, log) -> None:
    """The same key in two feeds is nobody's newer version; validation refuses it."""
    company.deliver("log_1.csv", "id,who,at,amount,updated\nO1,C,2026-09-01,5,\n")
    company.deliver("other.csv", "id,who,at,amount,updated\nO1,C,2026-09-01,6,\n")
    company.ingest(log, LOG | {"id": "other", "files": "other.csv"})
    assert company.staged("orders")["typing_fault"].tolist() == [None, None]


@pytest.mark.usefixtures("rules")
def test_overlapping_deliveries_count_once_without_a_footnote(company, survey) -> None:
    """Half of a file delivered again stops nothing; the newest version counts, and what is new to the month is late."""
    lines = [
        f"2026-09-{day:02} 10:00:00,2026-09-{day:02} 10:02:00,0,1,R_{day},C{day},,9,3,5,,relational\r\n"
        for day in range(1, 31)
    ]
    company.deliver("survey.csv", company.header + "".join(lines))
    company.ingest(survey)
    judge = partial(validate, company.project, company.dataset(survey), Period.parse("2026-09"), date(2026, 10, 2))
    assert judge().late == 0
    changed = lines[-1].replace(",9,3,5,", ",8,2,5,")
    new = lines[-1].replace("R_30", "R_31")
    company.deliver("survey_2.csv", company.header + "".join([*lines[15:-1], changed, new]))
    company.ingest(survey)
    verdict = judge()
    assert (verdict.decision, verdict.footnotes, verdict.late) == ("publish", [], 1)
    assert verdict.tables["responses"].model_dump() == {"rows_in": 46, "accepted": 31, "rejected": 15}
    broken = {(rule.table, rule.rule): rule.rows for rule in verdict.rules if rule.rows}
    assert broken == {
        ("responses", "delivered_again"): 14,
        ("responses", "superseded"): 1,
        ("answers", "delivered_again"): 28,
        ("answers", "superseded"): 2,
    }
    answers = pd.read_parquet(company.project.accepted("acme", Period.parse("2026-09")) / "answers.parquet")
    assert answers[answers["response_id"] == "R_30"]["score"].tolist() == [5, 8]
    assert judge() == verdict
