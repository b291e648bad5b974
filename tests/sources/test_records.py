"""Files are read as text, record by record, and broken ones are refused."""

import csv
import io
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cxreport.sources.formats import delimited
from cxreport.sources.formats.delimited import ArrowRows, csv_rows, strict_rows
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse
from cxreport.sources.formats.records import Records, read_csv, read_parquet, read_workbook
from cxreport.sources.formats.workbooks import as_text

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8)


def write(folder: Path, content: str | bytes) -> DeliveredFile:
    path = folder / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return DeliveredFile(path.name, path)


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(any), max_size=5))
def test_any_cell_survives_a_csv_file(tmp_path: Path, rows: list[list[str]]) -> None:
    """Quotes, commas, newlines and leading zeros inside cells come back as they were."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["a", "b", "c"], *rows])
    records = read_csv(write(tmp_path, buffer.getvalue()))
    assert [list(row) for row in zip(*records.cells, strict=True)] == rows


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    """Exports with and without the mark have the same columns."""
    assert read_csv(write(tmp_path, "\ufeffId,Name\n007,x\n")).header == ("Id", "Name")


def test_leading_zeros_and_words_for_nothing_survive(tmp_path: Path) -> None:
    """Ids stay text, and `NA` is a value until a mapping says otherwise."""
    records = read_csv(write(tmp_path, "id,state\n00001046,NA\n"))
    assert records.text("id")[0] == "00001046"
    assert records.text("state")[0] == "NA"


def test_records_that_do_not_line_up_are_blanked_and_named(tmp_path: Path) -> None:
    """Shifted cells never land in a wrong column."""
    records = read_csv(write(tmp_path, "a,b\n1,2\nx@example.com,3,4\n5\n6,7\n"))
    assert records.text("a").fillna("-").tolist() == ["1", "-", "-", "6"]
    assert records.ragged == {
        1: "record has 3 cells where the header has 2",
        2: "record has 1 cells where the header has 2",
    }


@pytest.mark.parametrize("content", ['a,b\n1,"open', 'a,b\n1,"x"y\n'])
def test_broken_quotes_are_refused(tmp_path: Path, content: str) -> None:
    """A file that was cut off is not half read."""
    with pytest.raises(UnreadableFileError, match="quotes do not close"):
        read_csv(write(tmp_path, content))


def test_a_wrong_encoding_is_refused_and_a_stated_one_is_used(tmp_path: Path) -> None:
    """Latin-1 bytes are no UTF-8, and the message shows none of the text."""
    file = write(tmp_path, "name\nJosé\n".encode("latin-1"))
    with pytest.raises(UnreadableFileError, match="not encoded in `utf-8`") as caught:
        read_csv(file)
    assert "Jos" not in str(caught.value)
    assert read_csv(file, "latin-1").text("name")[0] == "José"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """No header is worse than no rows."""
    with pytest.raises(UnreadableFileError, match="empty"):
        read_csv(write(tmp_path, ""))


def test_missing_columns_come_with_the_nearest_unclaimed_one() -> None:
    """A renamed column is suggested, one that is used already is not."""
    records = Records(("QID1", "Customer_ID", "sent"), ((), (), ()), [])
    problems = records.problems_with(["QID1", "QID2", "customer id", "sent"])
    assert problems == ["no column `QID2`", "no column `customer id`, did you mean `Customer_ID`?"]


@pytest.mark.parametrize("value", ["customer@a.de", "customer\n", "customer 4711"])
def test_a_value_in_the_header_is_not_suggested(value: str) -> None:
    """A damaged header may hold the first record, which no message may quote."""
    assert Records((value, "plan"), ((), ()), []).problems_with(["customer"]) == ["no column `customer`"]


def test_columns_that_stand_twice_are_refused_only_when_wanted() -> None:
    """Nobody can tell which of two is meant."""
    records = Records(("a", "b", "b"), ((), (), ()), [])
    assert records.problems_with(["a"]) == []
    assert records.problems_with(["a"], ["b"]) == ["column `b` stands twice"]


def test_a_wrong_delimiter_is_guessed_at(tmp_path: Path) -> None:
    """One header cell instead of many has one likely cause."""
    assert "delimiter" in read_csv(write(tmp_path, "a;b\n1;2\n")).problems_with(["a", "b"])[0]


def test_workbook_cells_become_exact_text(tmp_path: Path) -> None:
    """Whole numbers have no `.0`, dates are ISO, short rows are padded and empty rows are no records."""
    book = openpyxl.Workbook()
    book.active.title = "first"
    sheet = book.create_sheet("data")
    for row in (["id", "score", "at", "ok"], ["007", 9, datetime(2026, 9, 1, 8, 30), True], [], ["x", 4.5]):  # noqa: DTZ001
        sheet.append(row)
    book.save(tmp_path / "book.xlsx")
    delivered = DeliveredFile("book.xlsx", tmp_path / "book.xlsx")
    records = read_workbook(delivered, "data")
    assert list(zip(*records.cells, strict=True)) == [
        ("007", "9", "2026-09-01 08:30:00", "true"),
        ("x", "4.5", "", ""),
    ]
    with pytest.raises(UnreadableFileError, match="did you mean `data`"):
        read_workbook(delivered, "date")


def test_parquet_values_become_exact_text(tmp_path: Path) -> None:
    """Types of a Parquet file do not leak: 64-bit ids keep every digit."""
    table = pa.table({"id": [2**62 + 1, None], "share": [0.1, float("nan")], "day": [date(2026, 9, 1), None]})
    pq.write_table(table, tmp_path / "file.parquet")
    records = read_parquet(DeliveredFile("file.parquet", tmp_path / "file.parquet"))
    assert list(zip(*records.cells, strict=True)) == [(str(2**62 + 1), "0.1", "2026-09-01"), ("", "", "")]


@pytest.mark.parametrize("read", [read_workbook, read_parquet])
def test_files_of_another_form_are_refused(tmp_path: Path, read: object) -> None:
    """Text under a workbook's name is an error of its own kind."""
    with pytest.raises(UnreadableFileError, match="the file is no"):
        read(write(tmp_path, "a,b\n1,2\n"))  # type: ignore[operator]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_from_their_text(value: float) -> None:
    """Rendering loses nothing."""
    assert float(as_text(value)) == value


def test_looking_at_a_file_never_raises(tmp_path: Path) -> None:
    """Recognising must work on anything, also on what is no text and on what is not there."""
    for content in (b"", bytes(range(256)) * 4, b"PK\x03\x04rest", b'[{"a": 1}, {"b', b"\xff\xfea\x00", b'"open'):
        glimpse = Glimpse(write(tmp_path, content))
        assert glimpse.kind
        assert isinstance(glimpse.rows, list)
        assert isinstance(glimpse.objects, list)


def test_damaged_header_is_not_quoted(tmp_path):
    """Data glued to a header cell is never offered as the name that was meant."""
    path = tmp_path / "a.csv"
    for header in ('a,"customer_id\nC02403861",b', "a,customer_idC02403861,b"):
        path.write_text(f"{header}\n1,2,3\n")
        with pytest.raises(UnreadableFileError) as caught:
            read_csv(DeliveredFile("a.csv", path)).require(["a", "customer_id"])
        assert "C02403861" not in str(caught.value.problems)


PIECES = [
    "a",
    "é",
    " ",
    ",",
    ",",
    '"',
    '"a,b"',
    '"x\ny"',
    '"x\r\ny"',
    '""',
    '"a""b"',
    "\n",
    "\r\n",
    "\r",
    "\x00",
    "\ufeff",
]
TIDY = st.lists(
    st.sampled_from(["a", "", '"a,b"', '"x\ny"', '"x\r\ny"', '""', '"a""b"', " é "]), min_size=2, max_size=2
)


def tidy(rows: list[list[str]], line_end: str) -> str:
    return line_end.join(",".join(row) for row in rows) + line_end


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from(PIECES), max_size=15).map("".join)
    | st.builds(tidy, st.lists(TIDY, max_size=6), st.sampled_from(["\n", "\r\n"])),
    block=st.sampled_from([5, 7, 64, 1 << 20]),
)
@example('a,"x\r\ny"\r\n', 5)
@example("a,b\n\n,\n1,2\n", 64)
def test_fast_and_strict_reader_agree(monkeypatch, text: str, block: int) -> None:
    """Cells, lines and refusals are the same, wherever a block ends; the fast reader takes only what it can read so."""
    monkeypatch.setattr(delimited, "_BLOCK", block)
    file = DeliveredFile("a.csv", unpacked=text.encode())
    try:
        expected = strict_rows(file)
    except UnreadableFileError:
        with pytest.raises(UnreadableFileError):
            csv_rows(file)
        return
    rows = csv_rows(file)
    assert list(rows) == expected
    assert [rows[at] for at in range(len(rows))] == expected
    assert list(rows[1:]) == expected[1:]
    assert list(rows[::-1]) == expected[::-1]


def test_fast_reader_takes_ordinary_files_and_no_others() -> None:
    """Quotes, blank lines and line breaks in cells are ordinary; a shorter record is not."""
    ordinary = 'id,text\r\n1,"two\r\nlines, ""quoted"""\r\n\r\n2,\r\n'
    rows = csv_rows(DeliveredFile("a.csv", unpacked=ordinary.encode()))
    assert isinstance(rows, ArrowRows)
    assert list(rows) == [(1, ["id", "text"]), (2, ["1", 'two\r\nlines, "quoted"']), (5, ["2", ""])]
    for odd in ('a,b\n1,5" pipe\n', "a,b\n1\n", "a,b\r1,2\r", 'a,b\n1,"open'):
        assert delimited._fast_rows(DeliveredFile("a.csv", unpacked=odd.encode()), "utf-8", ",") is None


def test_a_naive_reader_would_take_broken_quotes() -> None:
    """Why the quotes are looked at first: Arrow and pandas read a file that was cut off inside a comment."""
    cut = b'id,text\n1,fine\n2,"and then'
    assert len(arrow_csv.read_csv(io.BytesIO(cut))) == 2
    with pytest.raises(UnreadableFileError, match="see line 3"):
        read_csv(DeliveredFile("a.csv", unpacked=cut))


def test_lines_point_into_the_file() -> None:
    """A record is found again in an editor, whatever line breaks stand in the cells above it."""
    records = read_csv(DeliveredFile("a.csv", unpacked=b'a,b\n"1\n\n",x\n\n2,y\n'))
    assert list(records.lines) == [2, 6]
    assert records.text("b").tolist() == ["x", "y"]
