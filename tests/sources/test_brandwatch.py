"""Brandwatch: a header below a preamble, columns that vary, and keys that are not always there."""

import io
import zipfile

import openpyxl
import pandas as pd
import pytest

from cxreport.errors import GateError

PREAMBLE = [
    ["Report:", "Bulk Mentions Download"],
    ["Brand:", "Acme"],
    ["From:", "2026-09-01T00:00:00.000Z"],
    ["To:", "2026-09-30T00:00:00.000Z"],
    ["Label:", ""],
    [],
]
HEADER = [
    *("Query Id", "Query Name", "Date", "Title", "Snippet", "Url", "Author", "Content Source Name", "Full Text"),
    *("Language", "Latitude", "Page Type", "Rating", "Resource Id", "Sentiment", "Updated", "X Likes"),
]
LONG = "A whole article. " * 20_000
ROWS = [
    [
        *(
            "1",
            "Acme",
            "2026-09-01 10:15:22.0",
            "T",
            "Sn",
            "https://x.example/ann/1",
            "ann",
            "X",
            "Write to a@b.example",
        ),
        *("en", "41.9", "twitter", "", "R_1", "negative", "2026-09-03T00:00:00.123+0000", "3"),
    ],
    [
        *("1", "Acme", "2026-09-02 10:15:22.0", "T", "Only a snippet", "https://r.example/2", "", "Reviews", ""),
        *("de", "", "review", "4", "", "positive", "2026-09-03T00:00:00Z", ""),
    ],
    [
        *("1", "Acme", "2026-09-02 11:00:00.0", "T", "Sn", "https://n.example/3", "", "News", LONG),
        *("en", "", "news", "", "R_3", "", "", ""),
    ],
]
FEED = {"id": "buzz", "adapter": "brandwatch", "files": "buzz*"}


def quoted(rows: list[list[str]]) -> str:
    return "\ufeff" + "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows)


def packed(content: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mentions.csv", content)
    return sink.getvalue()


def workbook(rows: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Sheet0"
    for row in rows:
        book.active.append([cell[:30_000] for cell in row])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def mentions(company, name: str, content: str | bytes, **feed: str) -> pd.DataFrame:
    company.deliver(name, content)
    company.ingest(FEED | feed)
    return company.staged("mentions")


@pytest.mark.parametrize("form", ["csv", "zip", "xlsx"])
def test_mentions_are_staged_from_every_form(company, form: str) -> None:
    """The header is found below the preamble, the first text that is there counts, dates are UTC."""
    rows = [*PREAMBLE, HEADER, *ROWS]
    content = {"csv": quoted, "zip": lambda table: packed(quoted(table)), "xlsx": workbook}[form](rows)
    found = mentions(company, f"buzz.{form}", content)
    assert found["source_row"].tolist() == [8, 9, 10]
    assert found["mention_id"].tolist()[::2] == ["R_1", "R_3"]
    assert found["network"].tolist() == ["twitter", "review", "news"]
    assert found["text"].tolist()[:2] == ["Write to [e-mail]", "Only a snippet"]
    assert found["text"][2].startswith("A whole article.")
    assert found["posted_at"][0] == pd.Timestamp("2026-09-01 10:15:22", tz="UTC")
    assert found["updated_at"].tolist() == [
        pd.Timestamp("2026-09-03 00:00:00.123", tz="UTC"),
        pd.Timestamp("2026-09-03", tz="UTC"),
        None,
    ]
    assert found["sentiment"].tolist() == ["negative", "positive", None]
    assert found["rating"].tolist() == [None, 4, None]
    assert found["typing_fault"].isna().all()
    assert not found.astype(str).isin(["ann", "41.9", "https://x.example/ann/1"]).any().any()


def test_a_naive_reader_takes_the_preamble_for_the_table() -> None:
    """Two columns, then seventeen."""
    with pytest.raises(pd.errors.ParserError):
        pd.read_csv(io.StringIO(quoted([*PREAMBLE, HEADER, *ROWS])))


def test_a_file_without_a_preamble_is_read(company) -> None:
    """The header is found by its names, wherever it stands, and columns may be missing."""
    kept = [at for at, name in enumerate(HEADER) if name not in {"Page Type", "Rating", "Updated", "Resource Id"}]
    found = mentions(company, "buzz.csv", quoted([[row[at] for at in kept] for row in [HEADER, *ROWS]]))
    assert found["network"].tolist() == ["X", "Reviews", "News"]
    assert found["source_row"].tolist() == [2, 3, 4]


def test_a_mention_without_an_id_is_known_by_its_address(company) -> None:
    """Overlapping exports give the same key, and the address, which may name a person, is not stored."""
    keys = [mentions(company, "buzz.csv", quoted([HEADER, *rows]))["mention_id"] for rows in (ROWS, ROWS[1:2])]
    assert keys[0][1] == keys[1][0]
    assert len(keys[1][0]) == 32


def test_categories_are_segments_for_a_mapping(company) -> None:
    """A company's own categories add columns, which a mapping may use."""
    company.map("buzz.yml", {"tables": {"mentions": {"segments": {"brand": "Query Name"}}}})
    found = mentions(company, "buzz.csv", quoted([HEADER, *ROWS]), mapping="buzz.yml")
    assert set(found["brand"]) == {"Acme"}


def test_shifted_records_have_no_key(company) -> None:
    """A record that does not line up is kept to be rejected, without an id of nothing."""
    found = mentions(company, "buzz.csv", quoted([HEADER, ROWS[0], ROWS[1][:-1]]))
    assert found["mention_id"].tolist() == ["R_1", None]
    assert found["typing_fault"][1].startswith("record has 16 cells")


def test_a_file_without_a_header_is_refused(company) -> None:
    """A preamble alone is no export."""
    company.deliver("buzz.csv", quoted(PREAMBLE))
    with pytest.raises(GateError, match="no header with `Query Id`"):
        company.ingest(FEED)


def test_exports_are_recognised(company) -> None:
    """The title or the header tell, in a workbook too."""
    assert company.recognised("a.csv", quoted([*PREAMBLE, HEADER])) == ["brandwatch"]
    assert company.recognised("b.csv", quoted([HEADER, *ROWS])) == ["brandwatch"]
    assert company.recognised("c.xlsx", workbook([*PREAMBLE, HEADER, *ROWS])) == ["brandwatch"]
    assert company.recognised("d.csv", "Date,Url\n2026-09-01,x\n") == []
