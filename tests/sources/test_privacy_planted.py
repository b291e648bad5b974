"""Personal data in exports whose customers are known by their address: hashed, masked, refused, and nowhere in words.

Whole runs, and runs that fail later, are searched in `tests/faults/test_privacy_of_runs.py`.
"""

import csv
import io
from datetime import date
from pathlib import Path

import pytest

from cxreport.errors import CxError
from cxreport.periods import Period
from cxreport.sources.folder import look, next_steps
from cxreport.validate import validate

SECRET = "a secret of the company"
SURVEY = {"id": "survey", "adapter": "mapped", "mapping": "survey.yml", "files": "survey*.csv"}
ACCOUNTS = {"id": "accounts", "adapter": "mapped", "mapping": "accounts.yml", "files": "accounts*.csv"}
HEADER = ["id", "who", "at", "nps", "comment", "desk"]
RESPONSE = {
    "response_id": "id",
    "customer_id": {"column": "who", "keep": "email"},
    "kind": {"constant": "relational"},
    "responded_at": {"column": "at", "formats": ["%Y-%m-%d"]},
    "comment": "comment",
}
NPS = {
    "metric": "nps",
    "scale": {"low": 0, "high": 10, "good": "high"},
    "questions": {"nps": {"column": "nps", "title": "Recommend"}},
}
CUSTOMER = {
    "columns": {"customer_id": "Id", "plan": "Plan"},
    "keys": {"email": {"column": "Email", "keep": "email"}},
    "names": ["Name"],
}


@pytest.fixture
def planted(company, personal_data, monkeypatch: pytest.MonkeyPatch):
    """A company whose exports hold every item, and the rules that judge them."""
    monkeypatch.setenv("CXREPORT_HASH_KEY", SECRET)
    company.map(
        "survey.yml",
        {"tables": {"responses": {"columns": RESPONSE, "segments": {"desk": "desk"}}}, "batteries": [NPS]},
    )
    company.map("accounts.yml", {"tables": {"customers": CUSTOMER}})
    people = personal_data.people()
    accounts = ([f"C{at}", "pro", person.address, person.name] for at, person in enumerate(people))
    company.deliver("accounts.csv", text([["Id", "Plan", "Email", "Name"], *accounts]))
    company.deliver(f"survey {people[0].name} {people[0].phone}.csv", text([HEADER, *answers(people)]))
    return company


def answers(people) -> list[list[str]]:
    """Return a record of each person; the score of the first cannot be read."""
    return [
        [f"R{at}", person.address, f"2026-09-{at + 1:02}", "9" if at else person.address, person.says, person.name]
        for at, person in enumerate(people)
    ]


def text(rows) -> str:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue()


def written(company) -> list[Path]:
    raw = company.project.root / "raw"
    return [path for path in company.project.root.rglob("*") if path.is_file() and raw not in path.parents]


@pytest.mark.usefixtures("rules")
def test_no_written_file_holds_any_of_them(planted, personal_data) -> None:
    """Customers are found by their hashed address, and neither it, its key nor anything else is written in words."""
    planted.ingest(SURVEY, ACCOUNTS)
    docs = planted.project.root / "docs"
    dataset = planted.dataset(SURVEY, ACCOUNTS)
    validate(planted.project, dataset, Period.parse("2026-09"), date(2026, 10, 2), data_docs=docs)
    files = written(planted)
    assert any(docs in path.parents for path in files)
    assert personal_data.held_in(files) == {}
    assert not any(SECRET.encode() in path.read_bytes() for path in files)
    staged = planted.staged("responses")
    assert staged["customer_id"].tolist() == [f"C{at}" for at in range(20)]
    assert set(staged["desk"]) == {"[name]"}
    assert set(staged["source"]) == {"survey/survey [name] [phone].csv"}


@pytest.mark.parametrize("fault", ["no header", "address as a column", "open quote", "another delimiter", "two names"])
def test_no_message_of_a_failed_run_holds_any_of_them(planted, personal_data, fault: str) -> None:
    """A file that cannot be read is refused without a word of it, and nothing is written."""
    people = personal_data.people()
    rows = answers(people)
    broken = {
        "no header": text(rows),
        "address as a column": text([["id", "who", "at", "nps", people[1].address, "desk"], *rows]),
        "open quote": text([HEADER, rows[0]]) + f'R1,"{people[1].says}',
        "another delimiter": text([HEADER, *rows]).replace(",", ";"),
        "two names": text([HEADER, *rows[:9]]),  # which are one when they are masked
    }
    before = written(planted)
    planted.deliver(f"survey {people[1].name} {people[1].phone}.csv", broken[fault])
    with pytest.raises(CxError) as caught:
        planted.ingest(SURVEY, ACCOUNTS)
    assert personal_data.found_in(str(caught.value).encode()) == set()
    assert [path for path in written(planted) if path not in before and path.name != "acme.yml"] == []


def test_a_look_at_the_exports_writes_none_of_them(planted, personal_data) -> None:
    """What is said of each file, the drafts and their names are free of them; customers' names are not known yet."""
    for path in (planted.project.root / "raw").glob("survey*"):
        path.unlink()
    person = personal_data.people()[0]
    name = f"survey {person.address} {person.phone}.csv"
    header = ["id", person.address, "at", "How likely are you to recommend us?", "comment", person.local_phone]
    planted.deliver(name, text([header, *answers(personal_data.people())]))
    looked = look(planted.project, planted.project.root / "raw")
    said = "\n".join([*looked.files, *looked.failed, *next_steps(looked)])
    assert "[e-mail] [phone].csv" in said
    assert looked.written
    assert personal_data.found_in(said.encode()) == set()
    assert personal_data.held_in(looked.written) == {}
