"""Hostile and odd files end in one refusal, in bounded time and memory, and nothing is written anywhere."""

import gzip
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest

from cxreport.errors import GateError
from cxreport.sources.formats import delimited, files
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, opened
from cxreport.sources.formats.glimpse import Glimpse
from cxreport.sources.formats.records import from_objects, read_csv, read_parquet
from cxreport.sources.formats.spss import read_spss
from cxreport.sources.formats.workbooks import read_sheet

MAPPING = {"tables": {"customers": {"columns": {"customer_id": "id", "plan": "plan"}}}}
FEED = {"id": "crm", "adapter": "mapped", "mapping": "crm.yml", "files": "crm.*"}
GOOD = "id,plan\nA,basic\n"
MEASURED = """
import re, sys
from pathlib import Path
from cxreport.sources.formats.files import UnreadableFileError, opened
from cxreport.sources.formats.records import read_table
for name in sys.argv[1:]:
    try:
        [read_table(file) for file in opened(Path(name))]
    except UnreadableFileError as error:
        print(error)
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def zipped(members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def workbook(*changes: tuple[bytes, bytes]) -> DeliveredFile:
    """Return a workbook with numbers in B2 and B3 and a formula in B4, and with pieces of its sheet's XML replaced."""
    book = openpyxl.Workbook()
    book.active["B2"], book.active["B3"], book.active["B4"] = 7, 8, "=1+1"
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for old, new in changes:
        assert old in parts["xl/worksheets/sheet1.xml"]
        parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(old, new)
    return DeliveredFile("book.xlsx", unpacked=zipped(parts))


def measured(*paths: Path) -> tuple[list[str], int]:
    """Read files in a process of its own; return what it said about each and its peak memory in MiB."""
    command = [sys.executable, "-c", MEASURED, *map(str, paths)]
    *said, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return said, int(peak)


ODD = {
    "empty": b"",
    "only a byte order mark": b"\xef\xbb\xbf",
    "only blanks": b" \r\n\t\n",
    "binary": bytes(range(256)) * 40,
    "zero bytes": b"id,plan\nA,ba\0sic\n",
    "UTF-16 cut in a character": "id,plan\nA,b".encode("utf-16")[:-1],
    "cut archive": zipped({"a.csv": GOOD})[:-30],
    "empty archive": zipped({}),
    "archive of nothing delivered": zipped({"__MACOSX/a.csv": GOOD, ".hidden": GOOD}),
    "archive in an archive": zipped({"inner.zip": zipped({"a.csv": GOOD})}),
    "gzip in a gzip": gzip.compress(gzip.compress(GOOD.encode(), mtime=0), mtime=0),
    "archive with paths": zipped({"../../outside.csv": GOOD}),
    "archive of a file without name": zipped({"abc": GOOD}).replace(b"abc", b"\0bc"),
    "cut gzip": gzip.compress(GOOD.encode(), mtime=0)[:-9],
    "too many members": zipped({f"{number}.csv": "a" for number in range(files.MOST_MEMBERS + 1)}),
    "nested JSON": b"[" * 100_000,
    "nested object": b'{"a":' * 100_000,
    "only a magic number": b"PAR1",
    "XLS that is none": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3_000),
    "SPSS that is none": b"$FL2" + bytes(3_000),
    "workbook without parts": zipped({"[Content_Types].xml": "<a/>"}),
    "LZMA that is none": zipped({"a.csv": GOOD * 9}, zipfile.ZIP_LZMA).replace(b"\x05\x00\x5d", b"\x05\x00\xff", 1),
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_odd_file_is_refused_and_nothing_is_written(company, content: bytes) -> None:
    """One sentence that can be printed, no trace beside what was delivered."""
    company.map("crm.yml", MAPPING)
    company.deliver("crm.dat", content)
    before = sorted(company.project.root.parent.rglob("*"))
    with pytest.raises(GateError) as caught:
        company.ingest(FEED)
    assert caught.value.found.isprintable()
    assert sorted(set(company.project.root.parent.rglob("*")) - set(before)) == [company.project.datasets / "acme.yml"]
    assert isinstance(Glimpse(DeliveredFile("crm.dat", unpacked=content)).rows, list)


def test_spss_file_with_a_variable_without_a_name_is_refused(tmp_path: Path) -> None:
    """One damaged byte, which is no letter in any encoding, takes a name away."""
    path = tmp_path / "a.sav"
    pyreadstat.write_sav(pd.DataFrame({"id": ["a"], "score": [1.0]}), path)
    whole = path.read_bytes()
    assert read_spss(DeliveredFile(path.name, path)).header == ("id", "score")
    path.write_bytes(whole.replace(b"=score", b"=\xeccore"))
    with pytest.raises(UnreadableFileError, match="without a name"):
        read_spss(DeliveredFile(path.name, path))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("stated", "is_read"), [(3, True), (-1, True), (0, False), (2, False), (4, False)])
def test_spss_file_holds_as_many_cases_as_it_states(tmp_path: Path, compress: bool, stated: int, is_read: bool) -> None:
    """The library would leave out what goes beyond the number in the header; -1 leaves it open."""
    path = tmp_path / "a.sav"
    pyreadstat.write_sav(pd.DataFrame({"id": ["a", "b", "c"], "score": [1.0, 2.0, 3.0]}), path, row_compress=compress)
    content = bytearray(path.read_bytes())
    content[80:84] = stated.to_bytes(4, "little", signed=True)
    file = DeliveredFile("a.sav", unpacked=bytes(content))
    if is_read:
        assert read_spss(file).rows == 3
    else:
        with pytest.raises(UnreadableFileError, match=f"states {stated} cases and holds 3"):
            read_spss(file)


def test_encrypted_archive_is_refused(tmp_path: Path) -> None:
    """Nobody guesses passwords."""
    content = bytearray(zipped({"a.csv": GOOD}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UnreadableFileError, match="encrypted"):
        opened(tmp_path / "a.zip")


@pytest.mark.parametrize("lie", [False, True])
def test_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch, lie: bool) -> None:
    """What an archive states is believed where it is much, and is the limit where it is little."""
    monkeypatch.setattr(files, "LARGEST_UNPACKED", 1 << 20)
    content = zipped({"a.csv": b"id\n" + b"1" * (4 << 20)})
    if lie:
        content = content.replace((3 + (4 << 20)).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UnreadableFileError, match="broken" if lie else "unpacks to more"):
        opened(tmp_path / "a.zip")
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(4 << 20), mtime=0))
    with pytest.raises(UnreadableFileError, match="unpacks to more"):
        opened(tmp_path / "a.gz")


def test_member_names_cannot_forge_messages(tmp_path: Path) -> None:
    """Control characters in a name are not printed."""
    (tmp_path / "a.zip").write_bytes(zipped({"x/b\x1b[31m\n.csv": GOOD}))
    assert [file.name for file in opened(tmp_path / "a.zip")] == ["a.zip/b?[31m?.csv"]


@pytest.mark.parametrize("mebibytes", [100, pytest.param(2_000, marks=pytest.mark.soak)])
def test_endless_lines_and_columns_are_refused_in_little_memory(tmp_path: Path, mebibytes: int) -> None:
    """A sparse file of one line is given up block by block; columns are counted before anything is built of them."""
    line, header, record = tmp_path / "line.csv", tmp_path / "header.csv", tmp_path / "record.csv"
    with line.open("wb") as file:
        file.write(b"id,plan\nA,")
        file.truncate(mebibytes << 20)
    header.write_bytes(b"," * 2_000_000)
    record.write_bytes(b"id,plan\n" + b"," * 2_000_000)
    said, peak = measured(line, header, record)
    assert "longer than 64 MiB" in said[0]
    assert "more than 16,384 cells" in said[1]
    assert "more than 16,384 cells" in said[2]
    assert peak < 500


def test_more_cells_than_there_is_room_for_are_refused(tmp_path: Path, monkeypatch) -> None:
    """Few bytes can stand for many cells: columns that few objects have, runs in Parquet."""
    monkeypatch.setattr(delimited, "MOST_CELLS", 1_000)
    for content in ("a,b\n" + "1,2\n" * 600, "a,b\n" + "1,2\n" * 600 + "3\n"):
        with pytest.raises(UnreadableFileError, match="export shorter periods"):
            read_csv(DeliveredFile("a.csv", unpacked=content.encode()))
    with pytest.raises(UnreadableFileError, match="export shorter periods"):
        from_objects([{f"key {number}": 1} for number in range(50)])
    pq.write_table(pa.table({"a": ["x"] * 2_000}), tmp_path / "a.parquet")
    with pytest.raises(UnreadableFileError, match="export shorter periods"):
        read_parquet(DeliveredFile("a.parquet", tmp_path / "a.parquet"))


def test_workbook_that_states_a_huge_size_is_read_as_it_is() -> None:
    """The dimension is only a remark."""
    assert read_sheet(workbook((b'ref="B2:B4"', b'ref="A1:XFD1048576"'))) == read_sheet(workbook())


def test_workbook_that_is_huge_is_refused() -> None:
    """A cell in the very last place, beside one in the first, makes a rectangle of 17 billion."""
    with pytest.raises(UnreadableFileError, match="too large"):
        read_sheet(workbook((b'r="B3"', b'r="XFD1048576"')))


def test_workbook_with_a_cell_in_another_row_is_refused() -> None:
    """Where a piece was cut out, the end of one row stands in the start of another: rows between are gone."""
    with pytest.raises(UnreadableFileError, match="broken"):
        read_sheet(workbook((b'r="B3"', b'r="B4"')))


@pytest.mark.parametrize("entity", [b'"aaaa"', b'SYSTEM "file:///etc/passwd"', b'"&a;&a;&a;&a;&a;"'])
def test_workbook_with_entities_is_refused(entity: bytes) -> None:
    """Neither laughs nor files of this machine come in through a workbook."""
    declared = b"<!DOCTYPE x [<!ENTITY a " + entity + b">]><worksheet"
    with pytest.raises(UnreadableFileError, match="declares entities"):
        read_sheet(workbook((b"<worksheet", declared), (b"<v>7</v>", b"<v>&a;</v>")))


def test_crash_of_the_workbook_reader_is_a_refusal(monkeypatch) -> None:
    """A panic, which is no ordinary exception, ends its own process and no other."""
    from cxreport.sources.formats import workbooks

    broken = "import sys; sys.stdout.write('[]\\n'); sys.stdout.flush(); import os; os.abort()"
    monkeypatch.setattr(workbooks, "_command", lambda arguments: [sys.executable, "-c", broken, *arguments])
    with pytest.raises(UnreadableFileError, match="broken or too large"):
        read_sheet(workbook())


def test_formulas_stay_what_they_are(company) -> None:
    """A cell of a text file is text, whatever a spreadsheet makes of it; a workbook's formula is its last value."""
    company.map("crm.yml", MAPPING)
    company.deliver("crm.csv", "id,plan\n=1+1,\"=cmd|' /C calc'!A0\"\n../../x,@SUM(A1)\n")
    company.ingest(FEED)
    assert company.staged("customers")["plan"][0] == "=cmd|' /C calc'!A0"
    assert company.staged("customers")["customer_id"].tolist() == ["=1+1", "../../x"]
    assert read_sheet(workbook((b"</f><v></v>", b"</f><v>2</v>")))[3] == ["", "2"]


def test_gate_message_about_hostile_cells_quotes_none(company) -> None:
    """What is in a file that does not fit stays in it."""
    company.map("crm.yml", MAPPING)
    company.deliver("crm.csv", "Email: ann@example.com 312-555-0147,plan\n1,2\n")
    with pytest.raises(GateError) as caught:
        company.ingest(FEED)
    assert not re.search(r"ann|0147", str(caught.value))
