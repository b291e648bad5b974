"""Damaged exports are staged with every row accounted for, or refused in three sentences that quote no data.

Below them, damaged files of every form go to their readers directly, which is fast enough for many more: a hundred
thousand of each form, or as many as the environment variable `CXREPORT_FUZZ` says.
"""

import codecs
import csv
import io
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest

from cxreport import sources
from cxreport.config import Project, load_dataset
from cxreport.errors import CxError
from cxreport.sample import write_sample
from cxreport.schema import TABLES
from cxreport.sources.formats.delimited import csv_rows, strict_rows
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, opened
from cxreport.sources.formats.json_objects import read_json
from cxreport.sources.formats.records import read_csv, read_parquet, read_workbook
from cxreport.sources.formats.spss import read_spss
from cxreport.sources.formats.spss_reader import MOST_SECONDS

RECORDS = 20
CALLS_OF_ONE_CHILD = 5_000  # whose time is limited for all of them together
LONGEST_SECONDS = 5  # for a file of a few thousand bytes
HEADER_ROWS = {"survey": 3}  # of the Qualtrics export; the others have one
CANARY = "zq7x"  # marks what a mutation wrote, wherever it ends up
HOSTILE = (
    f"{CANARY}@example.com",
    f"{CANARY}, 312-555-0147",
    f'{CANARY} "quoted"',
    f"{CANARY}\nsecond line",
    f"={CANARY}()",
    f"2026-13-45 25:61 {CANARY}",
    f"1e999{CANARY}",
    f"\N{RIGHT-TO-LEFT OVERRIDE}{CANARY}\N{ZERO WIDTH SPACE}",
    f"[{CANARY}",
    '{"ImportId": ["' + CANARY + '"]}',
    "-0.0",
    "NaN",
    "1" * 5000,
    "[" * 2000,
    "9999-12-31 23:59:59",
    "\u00a0",
)


# --- mutations of bytes --------------------------------------------------------------------------


def by_rows(change):
    """Turn a change of rows into a change of bytes; what is no table any more is left alone."""

    def mutate(content, seeded):
        text = content.decode("utf-8", errors="ignore")
        try:
            rows = list(csv.reader(io.StringIO(text, newline="")))
        except csv.Error:
            return content
        if not rows or not rows[0]:
            return content
        changed = io.StringIO(newline="")
        csv.writer(changed).writerows(change(rows, seeded))
        return changed.getvalue().encode()

    mutate.__name__ = change.__name__
    return mutate


def into_a_cell(text):
    """Return a change that puts text into a random cell of a record."""

    def mutate(rows, seeded):
        row = seeded.choice(rows[1:] or rows)
        if row:
            row[seeded.randrange(len(row))] = text(seeded)
        return rows

    return mutate


@by_rows
def drop_a_column(rows, seeded):
    at = seeded.randrange(len(rows[0]))
    return [row[:at] + row[at + 1 :] for row in rows]


@by_rows
def duplicate_a_column(rows, seeded):
    at = seeded.randrange(len(rows[0]))
    return [row[:at] + row[at : at + 1] + row[at:] for row in rows]


@by_rows
def rename_a_column(rows, seeded):
    at = seeded.randrange(len(rows[0]))
    rows[0][at] = seeded.choice(["", " ", rows[0][at].upper(), f"{rows[0][at]}_2", "x" * 300])
    return rows


@by_rows
def drop_a_row(rows, seeded):
    del rows[seeded.randrange(len(rows))]
    return rows


@by_rows
def repeat_a_row(rows, seeded):
    rows.insert(seeded.randrange(len(rows) + 1), list(seeded.choice(rows)))
    return rows


@by_rows
def shift_a_row(rows, seeded):
    row = seeded.choice(rows)
    row[:] = seeded.choice([row[1:], ["", *row], row + [CANARY] * 50, row[: len(row) // 2]])
    return rows


def cut_the_end(content, seeded):
    return content[: seeded.randrange(len(content) + 1)]


def cut_the_start(content, seeded):
    return content[seeded.randrange(len(content) + 1) :]


def cut_out(content, seeded):
    first, last = sorted(seeded.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[last:]


def insert(*pieces):
    """Return a mutation that inserts one of some pieces of bytes anywhere, one to five times."""

    def mutate(content, seeded):
        for _ in range(seeded.randint(1, 5)):
            at = seeded.randrange(len(content) + 1)
            content = content[:at] + seeded.choice(pieces) + content[at:]
        return content

    return mutate


def swap_quotes(content, seeded):
    mark, other = seeded.choice([(b'"', b"'"), (b'"', b""), (b'""', b'"'), (b",", b'","'), (b"\r\n", b'"\r\n')])
    return content.replace(mark, other, seeded.choice([1, 3, -1]))


def encode_anew(content, seeded):
    text = content.decode("utf-8", errors="ignore")
    return text.encode(seeded.choice(["utf-16", "utf-16-le", "utf-32", "cp1252", "utf-8-sig"]), errors="replace")


def change_the_delimiter(content, seeded):
    return content.replace(b",", seeded.choice([b";", b"\t", b"|"]))


def change_the_line_ends(content, seeded):
    return content.replace(b"\r\n", b"\n").replace(b"\n", seeded.choice([b"\n", b"\r", b"\r\n", b"\n\n", b"\n\r\n"]))


MUTATIONS = (
    *(drop_a_column, duplicate_a_column, rename_a_column, drop_a_row, repeat_a_row, shift_a_row),
    *(cut_the_end, cut_the_start, cut_out, swap_quotes, encode_anew, change_the_delimiter, change_the_line_ends),
    insert(b"\xff", b"\x80\xfe", b"\xc3", b"\xed\xa0\x80"),
    insert(b"\0", b"\0" * 100),
    insert(b"\xef\xbb\xbf"),
    insert(b"\r\n\r\n", b"\n,,,\n", b"\n \n", b'\n""\n'),
    insert(b'"', b"'", b'""', b'",'),
    by_rows(into_a_cell(lambda seeded: seeded.choice(HOSTILE))),
    by_rows(into_a_cell(lambda seeded: CANARY * seeded.choice([100, 20_000, 40_000]))),
)


# --- what a feed made of it ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def delivered(root, tmp_path_factory):
    """The sample company's project with one short export for each feed; returns it and the exports by feed."""
    project = Project(tmp_path_factory.mktemp("fuzz") / "project")
    shutil.copytree(root / "reports", project.root / "reports", ignore=shutil.ignore_patterns("output"))
    whole = project.root / "whole"
    write_sample(whole, months=2)
    contents = {}
    for feed in load_dataset(project, "sample").feeds:
        newest = max(whole.glob(feed.files))
        rows = list(csv.reader(io.StringIO(newest.read_text(encoding="utf-8-sig"), newline="")))
        kept = io.StringIO(newline="")
        csv.writer(kept).writerows(rows[: HEADER_ROWS.get(feed.id, 1) + RECORDS])
        contents[feed.id] = (feed.files.replace("*", newest.stem), kept.getvalue().encode())
    shutil.rmtree(whole)
    return project, contents


def check(project, feed, name, content, personal):
    """Ingest one export as the only feed; return whether it was staged."""
    path = project.sample / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    dataset = load_dataset(project, "sample").model_copy(update={"feeds": [feed]})
    try:
        counts = sources.ingest(project, dataset)
    except CxError as error:
        refused = error
    else:
        require_every_row(project, feed.id, content, counts)
        return True
    assert all(part.strip() for part in (refused.found, refused.expected, refused.do))
    message = str(refused).lower()
    assert CANARY not in message
    assert [text for text in personal if text.lower() in message] == []
    return False


def numbered(text):
    """Yield every record that holds anything with the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    for row in reader:
        if any(row):
            yield line, row
        line = reader.line_num + 1


def decoded(content):
    """Decode what no reader refuses: UTF-8, or UTF-16 with its mark."""
    return content.decode("utf-16" if content[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig")


def require_every_row(project, feed, content, counts):
    """Demand that each record of a file is one row of each table, that what does not line up says so."""
    text = decoded(content)
    rows = list(numbered(text))
    first = HEADER_ROWS.get(feed, 1)
    width, rows = len(rows[first - 1][1]), rows[first:]
    lines, records = [line for line, _ in rows], [row for _, row in rows]
    folder = project.staged("sample")
    about = json.loads((folder / "feeds.json").read_text())[feed]
    assert about["rows"] == len(records)
    for table, rows in counts.items():
        staged = pd.read_parquet(folder / f"{table}.parquet")
        assert len(staged) == rows
        if table == "answers":
            assert set(staged["source_row"]) <= set(lines)
            assert not staged.duplicated(["source_row", "question"]).any()
            # An answer is read, or it says why not.
            assert (staged["score"].notna() | staged["missing_reason"].notna()).all()
            continue
        if (feed, table) == ("tickets", "responses"):  # only rated tickets are answers to a survey
            assert set(staged["source_row"]) <= set(lines)
            continue
        assert staged["source_row"].tolist() == lines
        ragged = [len(record) != width for record in records]
        assert staged["typing_fault"].str.contains("record has").eq(True).tolist() == ragged
        # A key is what was delivered, or it is null.
        keys = staged[list(TABLES[table].key)].dropna()
        unquoted = text.replace('"', "")
        assert all(key.replace('"', "") in unquoted for key in keys.to_numpy().ravel())


def personal_texts(content, header_rows):
    """Return the addresses, names, comments and ids of an export's records; none is a word of a definition."""
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))[header_rows:]
    return {cell for row in rows for cell in row if len(cell) > 4 and re.search(r"[@\d ]", cell)}


@pytest.mark.parametrize("feed", ["survey", "tickets", "customers", "invitations", "orders"])
@pytest.mark.parametrize("cases", [12, pytest.param(600, marks=pytest.mark.soak)])
def test_damaged_export_is_staged_or_refused(delivered, feed, cases):
    """Whatever happens to the bytes of an export: no other exception, no lost row, no data in a message."""
    project, contents = delivered
    [definition] = [one for one in load_dataset(project, "sample").feeds if one.id == feed]
    name, whole = contents[feed]
    personal = personal_texts(whole, HEADER_ROWS.get(feed, 1))
    assert check(project, definition, name, whole, personal)
    failures, staged = [], 0
    for case in range(cases):
        seeded = random.Random(f"{feed} {case} of {cases}")
        content, chosen = whole, seeded.choices(MUTATIONS, k=seeded.randint(1, 3))
        for mutate in chosen:
            content = mutate(content, seeded)
        try:
            staged += check(project, definition, name, content, personal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            failures.append(f"case {case}: {type(error).__name__} {str(error)[:300]}")
    assert failures == []
    assert 0 < staged < cases


# --- readers of every form -----------------------------------------------------------------------

NUMBERS = [*range(1, RECORDS + 1)]
TABLE = {
    "id": [f"R{number:04d}" for number in NUMBERS],
    "score": NUMBERS,
    "text": [f"{CANARY}, é {n}" for n in NUMBERS],
}
CELL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}c"
BITES = (cut_the_end, cut_the_start, cut_out, insert(b"\0", b"\xff", b"\x7f" * 9, b"\xff\xff\xff\x7f"))


def flip(content, seeded):
    """Change some bytes in place, which leaves the lengths and places that a file states right."""
    changed = bytearray(content)
    for _ in range(seeded.randint(1, 6)):
        if changed:
            changed[seeded.randrange(len(changed))] = seeded.choice([0, 1, 0x7F, 0xFF, seeded.randrange(256)])
    return bytes(changed)


def written_csv():
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([TABLE, *zip(*TABLE.values(), strict=True)])
    return buffer.getvalue().replace(", é 3", "\r\né").encode()


def written_json():
    rows = zip(*TABLE.values(), strict=True)
    return "\n".join(json.dumps(dict(zip(TABLE, row, strict=True)) | {"a": {"b": [1]}}) for row in rows).encode()


def written_workbook():
    book = openpyxl.Workbook()
    for row in [list(TABLE), *zip(*TABLE.values(), strict=True)]:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def written_parquet():
    buffer = io.BytesIO()
    pq.write_table(pa.table(TABLE), buffer)
    return buffer.getvalue()


def written_spss():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.sav"
        pyreadstat.write_sav(pd.DataFrame(TABLE), path)
        return path.read_bytes()


def written_archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.csv", "folder/b.csv"):
            archive.writestr(name, written_csv())
    return buffer.getvalue()


def change_a_value(content, seeded):
    """Change what stands between two quotes or two tags, which leaves XML well formed."""
    place = seeded.choice(list(re.finditer(rb'(?<=")[^"<>]*(?=")|(?<=>)[^<>]+(?=<)', content)))
    value = seeded.choice(
        [b"", b"0", b"-1", b"7", b"1e999", b"9" * 30, b"s", b"e", b"d", b"A1", b"XFD1048576", b"\xc3"]
    )
    return content[: place.start()] + value + content[place.end() :]


def in_a_sheet(content, seeded):
    """Damage the parts of a workbook that hold cells, and pack it again."""
    damage = seeded.choice(
        [flip, change_a_value, change_a_value, cut_the_end, cut_out, insert(b"<c/>", b"</row>", b"&x;")]
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, damage(part, seeded) if "sheet1" in name or "Strings" in name else part)
    return buffer.getvalue()


def read_delimited(file, _):
    """Read as text; the fast reader, where it takes a file, and the strict one agree, and no row is lost."""
    try:
        strict = strict_rows(file)
    except UnreadableFileError:
        with pytest.raises(UnreadableFileError):
            csv_rows(file)
        raise
    assert list(csv_rows(file)) == strict == list(numbered(file.text()))
    return read_csv(file)


def read_lines_of_json(file, content):
    """Read objects; each line that holds one is one."""
    records = read_json(file)
    if not content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        assert records.rows >= sum(line.strip().startswith(b'{"id"') for line in content.split(b"\n"))
    return records


def read_rows_of_workbook(file, content):
    """Read a sheet; each row in which a cell with a value or a text has its address is one."""
    records = read_workbook(file)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    held = [
        cell for cell in sheet.iter(CELL) if any(part.text for part in cell.iter() if part.tag[-2:] in {"}v", "}t"})
    ]
    stated = {place[1] for cell in held if (place := re.fullmatch(r"[A-Z]+(\d+)", cell.get("r", "")))}
    assert records.rows >= len(stated) - 1
    return records


def whole_by(read):
    """Return a reader of a form that says how many records it has: none is lost, or the file is refused."""

    def read_all(file, _):
        records = read(file)
        assert records.rows == RECORDS
        return records

    return read_all


def read_archive(file, content):
    """Open an archive; what comes out of it is what went in."""
    for member in opened(file.path):
        assert member.content() in {written_csv(), content}


FAMILIES = {
    "delimited": (written_csv, read_delimited, [*BITES, flip, *MUTATIONS]),
    "JSON": (written_json, read_lines_of_json, [*BITES, flip, insert(b"[", b"{", b"}", b'"', b"\\ud800", b"\n")]),
    "workbook": (written_workbook, read_rows_of_workbook, [*BITES, flip, *[in_a_sheet] * 10]),
    "Parquet": (written_parquet, whole_by(read_parquet), [*BITES, flip, flip]),
    "SPSS": (written_spss, whole_by(read_spss), [*BITES, flip, flip]),
    "archives": (written_archive, read_archive, [*BITES, flip, flip]),
}
MANY = int(os.environ.get("CXREPORT_FUZZ", "100000"))


class ReaderChild:
    """Stands in for `subprocess.run`, whose scripts it has carried out by one process, as long as that lives."""

    def __init__(self):
        self.seconds = 0.0  # of CPU time, of the calls since this was set
        self._calls, self._process = 0, self._started()

    def run(self, command, *, input=b"", check, **_):  # noqa: A002 - as it is called there
        _, _, script, *arguments = (part.replace("/proc/self/", f"/proc/{os.getpid()}/") for part in command)
        self._calls += 1
        if self._calls % CALLS_OF_ONE_CHILD == 0:
            self._restart()
        pickle.dump((script, arguments, input), self._process.stdin)
        self._process.stdin.flush()
        try:
            code, output, seconds = pickle.load(self._process.stdout)
        except EOFError:  # it crashed, which is what it is for, or took all time that the reader allows
            code, output = self._restart(), b""
            seconds = MOST_SECONDS if code == -signal.SIGXCPU else 0
        self.seconds += seconds
        done = subprocess.CompletedProcess(command, code, output)
        if check:
            done.check_returncode()
        return done

    def end(self):
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait()

    def _restart(self):
        code = self.end()
        self._process = self._started()
        return code

    @staticmethod
    def _started():
        command = [sys.executable, "-I", str(Path(__file__).with_name("reader_child.py"))]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def reader_child():
    """One process for all files that would have one each, which takes a hundred times as long as the reading."""
    child = ReaderChild()
    yield child
    child.end()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cases", [20, pytest.param(MANY, marks=pytest.mark.soak, id="many")])
def test_damaged_file_is_read_or_refused(tmp_path, monkeypatch, reader_child, family, cases):
    """Whatever happens to the bytes of a file: no other exception, no lost row, no data in a message, no long wait."""
    monkeypatch.setattr(subprocess, "run", reader_child.run)
    write, read, mutations = FAMILIES[family]
    whole = write()
    path = tmp_path / "file.csv"
    path.write_bytes(whole)
    read(DeliveredFile(path.name, path), whole)
    failures, refusals = [], set()
    for case in range(cases):
        seeded = random.Random(f"{family} {case}")
        content = seeded.choice(mutations)(whole, seeded)
        path.write_bytes(content)
        reader_child.seconds = 0
        began = time.process_time()
        try:
            records = read(DeliveredFile(path.name, path), content)
            assert records is None or {len(cells) for cells in records.cells} <= {records.rows}
        except UnreadableFileError as refused:
            refusals.add(str(refused))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            failures.append(f"case {case}: {type(error).__name__} {str(error)[:300]}")
        if time.process_time() - began + reader_child.seconds > LONGEST_SECONDS:
            failures.append(f"case {case}: too long")
    assert failures == []
    assert refusals
    assert not any(CANARY in refusal for refusal in refusals)
