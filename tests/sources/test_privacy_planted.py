"""Two hundred pieces of personal data, planted in a small company: no file that is written holds any of them."""

import base64
from collections.abc import Iterator
from datetime import date
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from cxreport.errors import CxError
from cxreport.periods import Period
from cxreport.validate import validate

ROWS = 25
FIRST = ("Anouk", "Bertil", "Calanthe", "Dragan", "Eilidh")
LAST = ("Zeller", "Quist", "Okonkwo", "Tannahill", "Vrabel")
NAMES = [f"{first} {last}" for first in FIRST for last in LAST]
ADDRESSES = [name.lower().replace(" ", ".") + f"{at}@mail{at}.example.com" for at, name in enumerate(NAMES)]
PHONES = [f"+44 20 7946 {1000 + 37 * at}" for at in range(ROWS)]
LOCAL_PHONES = [f"(312) 555-{1000 + 41 * at}" for at in range(ROWS)]
LINKS = [f"https://example.org/profile/{at}?id=zq{at}x" for at in range(ROWS)]
HANDLES = [f"@{name.replace(' ', '_').lower()}_{at}" for at, name in enumerate(NAMES)]
CARDS = [f"4111 1111 1111 {1000 + at}" for at in range(ROWS)]
SEGMENTS = [f"desk{at}.{name.split()[1].lower()}@corp.example" for at, name in enumerate(NAMES)]
ITEMS = [*NAMES, *ADDRESSES, *PHONES, *LOCAL_PHONES, *LINKS, *HANDLES, *CARDS, *SEGMENTS]
# Of names also their parts, and of numbers their digits alone, give somebody away.
SECRETS = [*ITEMS, *FIRST, *LAST, *(number.replace(" ", "") for number in (*PHONES, *CARDS))]

SURVEY = {"id": "survey", "adapter": "mapped", "mapping": "survey.yml", "files": "survey*.csv"}
ACCOUNTS = {"id": "accounts", "adapter": "mapped", "mapping": "accounts.yml", "files": "accounts*.csv"}
HEADER = "id,who,at,nps,comment,desk\n"


@pytest.fixture
def planted(company, monkeypatch: pytest.MonkeyPatch):
    """A company whose exports hold every item, and the rules that judge them."""
    monkeypatch.setenv("CXREPORT_HASH_KEY", "a secret of the company")
    columns = {
        "response_id": "id",
        "customer_id": {"column": "who", "keep": "email"},
        "kind": {"constant": "relational"},
        "responded_at": {"column": "at", "formats": ["%Y-%m-%d"]},
        "comment": "comment",
    }
    question = {"metric": "nps", "scale": {"low": 0, "high": 10, "good": "high"}}
    company.map(
        "survey.yml",
        {
            "tables": {"responses": {"columns": columns, "segments": {"desk": "desk"}}},
            "batteries": [question | {"questions": {"nps": {"column": "nps", "title": "Recommend"}}}],
        },
    )
    fields = {
        "columns": {"customer_id": "Id", "plan": "Plan"},
        "keys": {"email": {"column": "Email", "keep": "email"}},
        "names": ["Name"],
    }
    company.map("accounts.yml", {"tables": {"customers": fields}})
    lines = (f"C{at},pro,{ADDRESSES[at]},{NAMES[at]}\n" for at in range(ROWS))
    company.deliver("accounts.csv", "Id,Plan,Email,Name\n" + "".join(lines))
    company.deliver(f"survey {ADDRESSES[0]}.csv", HEADER + "".join(rows()))
    return company


def rows() -> Iterator[str]:
    for at in range(ROWS):
        said = f"I am {NAMES[at]}, {FIRST[at // 5]} for short: {PHONES[at]} or {LOCAL_PHONES[at]}; see {LINKS[at]} or "
        said += f"{HANDLES[at]}. My card {CARDS[at]}, mail {ADDRESSES[at]}"
        score = 9 if at else ADDRESSES[at]  # a cell that cannot be read
        yield f'R{at},{ADDRESSES[at]},2026-09-{at + 1:02},{score},"{said}",{SEGMENTS[at]}\n'


def written(company) -> bytes:
    """Return everything in the data folders, Parquet files as their text as well, and the files' names."""
    paths = [path for path in sorted((company.project.root / "data").rglob("*")) if path.is_file()]
    tables = [pq.read_table(path).to_pandas().to_csv() for path in paths if path.suffix == ".parquet"]
    return b"".join([*(path.read_bytes() + path.name.encode() for path in paths), *map(str.encode, tables)])


def found_in(content: bytes) -> list[str]:
    """Return the secrets that the content holds, in any of the usual encodings."""
    return [secret for secret in SECRETS if any(form in content for form in forms(secret))]


def forms(secret: str) -> set[bytes]:
    text = secret.encode()
    # Base64 depends on what stands around: only the characters that belong to the text alone are looked for.
    shifted = {
        base64.b64encode(b"." * shift + text)[(0, 2, 3)[shift] : (shift + len(text)) * 8 // 6] for shift in range(3)
    }
    return {text, secret.encode("utf-16-le"), secret.encode("utf-16-be"), quote(secret).encode(), *shifted}


def test_there_are_two_hundred_items() -> None:
    """Eight kinds of personal data, all different, and the search finds each of them in any encoding."""
    assert len(set(ITEMS)) == 200
    for item in ITEMS[::7]:
        for content in (item.encode(), item.encode("utf-16"), base64.b64encode(b"so " + item.encode() + b"!")):
            assert item in found_in(b"before " + content + b" after")


@pytest.mark.usefixtures("rules")
def test_no_written_file_holds_any_of_them(planted) -> None:
    """Staged, accepted and rejected files, and what describes them, are free of them; counts say what was masked."""
    planted.ingest(SURVEY, ACCOUNTS)
    validate(planted.project, planted.dataset(SURVEY, ACCOUNTS), Period.parse("2026-09"), date(2026, 10, 2))
    content = written(planted)
    assert found_in(content) == []
    staged = planted.staged("responses")
    assert staged["customer_id"].tolist() == [f"C{at}" for at in range(ROWS)]
    assert set(staged["desk"]) == {"[e-mail]"}
    assert all(marker in content for marker in (b"[name]", b"[phone]", b"[link]", b"[handle]", b"[e-mail]"))


@pytest.mark.parametrize(
    "broken",
    [
        "".join(rows()),
        HEADER.replace("comment", ADDRESSES[1]) + "".join(rows()),
        HEADER + next(rows()) + '"' + NAMES[1],
        "\ufeff" + HEADER.replace(",", ";") + "".join(rows()),
    ],
    ids=["no header", "address as a column", "open quote", "another delimiter"],
)
def test_no_message_of_a_failed_run_holds_any_of_them(planted, broken: str) -> None:
    """A file that cannot be read is refused without a word of it, and nothing is written."""
    planted.deliver(f"survey {ADDRESSES[2]}.csv", broken)
    with pytest.raises(CxError) as caught:
        planted.ingest(SURVEY, ACCOUNTS)
    assert found_in(str(caught.value).encode()) == []
    assert found_in(written(planted)) == []
