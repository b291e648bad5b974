"""A rejected row names its file and line; mended there, it comes in on the next run, and nothing else changes."""

import csv
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest

from cxreport.periods import Period
from cxreport.validate import Verdict, validate

PERIOD = Period.parse("2026-09")
ROWS, BROKEN = 60, 40  # two on each day, of which one cannot be read
BAD, GOOD = "2026-09-31 10:00:00", "2026-09-11 10:00:00"
TIMES = [BAD if at == BROKEN else f"2026-09-{at % 30 + 1:02} 10:00:00" for at in range(ROWS)]
NPS = {"metric": "nps", "scale": {"low": 0, "high": 10, "good": "high"}}
DATED = {"column": "at", "formats": ["%Y-%m-%d %H:%M:%S"]}
ORDER = {"order_id": "id", "ordered_at": DATED, "amount": "amount"}
CONSTANT = {"kind": {"constant": "repeat"}, "currency": {"constant": "USD"}}
ORDERS = {"tables": {"orders": {"columns": ORDER | CONSTANT}}}
RESPONSE = {"response_id": "id", "kind": {"constant": "relational"}, "responded_at": DATED}


def asked(column: str) -> dict[str, Any]:
    return {"batteries": [NPS | {"questions": {"nps": {"column": column, "title": "Recommend"}}}]}


ANSWERS = {"tables": {"responses": {"columns": RESPONSE}}} | asked("score")
QUALTRICS_RESPONSE = {"response_id": "_recordId", "kind": "kind", "responded_at": DATED | {"column": "recordedDate"}}
QUALTRICS = {"tables": {"responses": {"columns": QUALTRICS_RESPONSE}}} | asked("QID1")


@dataclass(frozen=True)
class Form:
    """A kind of file: how it is written with one cell that cannot be read, and how somebody mends that one cell."""

    adapter: str
    name: str
    table: str
    write: Callable[[], bytes]
    mend: Callable[[bytes, int], bytes]
    mapping: dict[str, Any] | None = None


# --- text ------------------------------------------------------------------------------------------


def qualtrics() -> bytes:
    """Three rows above the records: names, question texts, and ids; comments of two lines."""
    names = ["RecordedDate", "ResponseId", "kind", "Q1", "Comment"]
    ids = [json.dumps({"ImportId": name}) for name in ("recordedDate", "_recordId", "kind", "QID1", "QID9_TEXT")]
    rows = ([time, f"R_{at}", "relational", 9, "Two lines,\nand a comma"] for at, time in enumerate(TIMES))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([names, ["How likely,\n0 to 10?", *names[1:]], ids, *rows])
    return text.getvalue().encode()


def zendesk() -> bytes:
    """Two exports of the API in a row: objects on lines of their own."""
    tickets = [
        {
            "id": at,
            "created_at": time.replace(" ", "T") + "Z",
            "updated_at": "2026-10-01T10:00:00Z",
            "status": "open",
            "via": {"channel": "web"},
            "requester_id": 90000000000 + at,
            "subject": "Two\nlines",
            "custom_fields": [],
            "satisfaction_rating": None,
        }
        for at, time in enumerate(TIMES)
    ]
    return "\n".join(map(json.dumps, tickets)).encode()


def mixpanel() -> bytes:
    times = [int(pd.Timestamp(time).timestamp()) if time != BAD else time for time in TIMES]
    events = ({"event": "Visit", "properties": {"time": time, "$insert_id": f"i{at}"}} for at, time in enumerate(times))
    return "\n".join(map(json.dumps, events)).encode()


def in_line(good: str = GOOD, bad: str = BAD) -> Callable[[bytes, int], bytes]:
    """Return what somebody does with an editor who goes to a line."""

    def mend(content: bytes, place: int) -> bytes:
        lines = content.decode().split("\n")
        assert bad in lines[place - 1]
        lines[place - 1] = lines[place - 1].replace(bad, good)
        return "\n".join(lines).encode()

    return mend


# --- workbooks, SPSS, Parquet ----------------------------------------------------------------------


def surveymonkey() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["Respondent ID", "Collector ID", "Start Date", "End Date", "IP Address", "Likely?"])
    book.active.append([None, None, None, None, None, "Response"])
    for at, time in enumerate(TIMES):
        shown = BAD if time == BAD else pd.Timestamp(time).strftime("%m/%d/%Y %I:%M:%S %p")
        book.active.append([f"1180000{at:05}", "1", shown, shown, "192.0.2.1", "9"])
    return saved(book)


def in_sheet(content: bytes, place: int) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(content))
    broken = [cell for cell in book.active[place] if cell.value == BAD]
    assert broken
    for cell in broken:
        cell.value = pd.Timestamp(GOOD).strftime("%m/%d/%Y %I:%M:%S %p")
    return saved(book)


def saved(book: openpyxl.Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


ODS = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
    '<table:table table:name="Orders">%s</table:table></office:spreadsheet></office:body></office:document-content>'
)
ODS_ROW = re.compile(r"<table:table-row>.*?</table:table-row>")


def ods() -> bytes:
    rows = [("id", "at", "amount"), *((f"O{at}", time, "12.50") for at, time in enumerate(TIMES))]
    cell = '<table:table-cell office:value-type="string"><text:p>%s</text:p></table:table-cell>'
    written = (f"<table:table-row>{''.join(cell % text for text in row)}</table:table-row>" for row in rows)
    return packed(ODS % "".join(written))


def in_ods(content: bytes, place: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = archive.read("content.xml").decode()
    row = ODS_ROW.findall(text)[place - 1]
    assert BAD in row
    return packed(text.replace(row, row.replace(BAD, GOOD)))


def packed(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", text)
    return buffer.getvalue()


def parquet() -> bytes:
    buffer = io.BytesIO()
    table = {"id": [f"P{at}" for at in range(ROWS)], "at": TIMES, "amount": [12.5] * ROWS}
    pq.write_table(pa.table(table), buffer)
    return buffer.getvalue()


def in_parquet(content: bytes, place: int) -> bytes:
    rows = pq.read_table(io.BytesIO(content)).to_pandas()
    assert rows.loc[place - 1, "at"] == BAD
    rows.loc[place - 1, "at"] = GOOD
    buffer = io.BytesIO()
    rows.to_parquet(buffer)
    return buffer.getvalue()


def spss() -> bytes:
    """The score of one case is none of the scale."""
    rows = pd.DataFrame({"id": [f"R{at}" for at in range(ROWS)], "at": TIMES, "score": 9.0})
    rows.loc[BROKEN, ["at", "score"]] = [GOOD, 11.0]
    return as_spss(rows)


def in_spss(content: bytes, place: int) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".sav") as file:
        Path(file.name).write_bytes(content)
        rows, _ = pyreadstat.read_sav(file.name)
    assert rows.loc[place - 1, "score"] == 11
    rows.loc[place - 1, "score"] = 9.0
    return as_spss(rows)


def as_spss(rows: pd.DataFrame) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".sav") as file:
        pyreadstat.write_sav(rows, file.name)
        return Path(file.name).read_bytes()


# --- from rejected to accepted ---------------------------------------------------------------------

IN_MIXPANEL = in_line(str(int(pd.Timestamp(GOOD).timestamp())), f'"{BAD}"')
IN_ZENDESK = in_line(GOOD.replace(" ", "T"), BAD.replace(" ", "T"))
FORMS = {
    "survey": Form("qualtrics", "survey.csv", "responses", qualtrics, in_line(), QUALTRICS),
    "monkey": Form("surveymonkey", "monkey.xlsx", "responses", surveymonkey, in_sheet, asked("Likely?")),
    "tickets": Form("zendesk", "tickets.jsonl", "tickets", zendesk, IN_ZENDESK),
    "app": Form("mixpanel", "app.jsonl", "events", mixpanel, IN_MIXPANEL),
    "panel": Form("mapped", "panel.sav", "answers", spss, in_spss, ANSWERS),
    "shop": Form("mapped", "shop.ods", "orders", ods, in_ods, ORDERS),
    "web": Form("mapped", "web.parquet", "orders", parquet, in_parquet, ORDERS),
}


@pytest.mark.usefixtures("rules")
def test_mended_rows_come_in_and_nothing_else_changes(company) -> None:
    """What is rejected says file and place; the cells mended there, the rows are accepted and all others stay the same.

    Each kind of file has one cell that cannot be read.
    """
    feeds = []
    for feed, form in FORMS.items():
        company.deliver(form.name, form.write())
        feeds.append({"id": feed, "adapter": form.adapter, "files": form.name})
        if form.mapping:
            company.map(f"{feed}.yml", form.mapping)
            feeds[-1]["mapping"] = f"{feed}.yml"

    before, broken = judged(company, feeds)
    places = {f"{feed}/{form.name}": rejected_place(company, feed, form) for feed, form in FORMS.items()}
    for form, place in zip(FORMS.values(), places.values(), strict=True):
        path = company.project.root / "raw" / form.name
        path.write_bytes(form.mend(path.read_bytes(), place))

    after, mended = judged(company, feeds)
    delivered = {table: count.rows_in for table, count in before.tables.items()}
    assert {table: count.accepted for table, count in after.tables.items()} == delivered
    for table, rows in mended.items():
        key = ["source", "source_row", *(["question"] if table == "answers" else [])]
        is_new = ~pd.MultiIndex.from_frame(rows[key]).isin(pd.MultiIndex.from_frame(broken[table][key]))
        assert rows[~is_new].reset_index(drop=True).equals(broken[table]), table
        assert rows.loc[is_new, "source_row"].eq(rows.loc[is_new, "source"].map(places)).all(), table


def judged(company, feeds: list[dict[str, str]]) -> tuple[Verdict, dict[str, pd.DataFrame]]:
    """Ingest and validate; return the verdict, whose sums hold, and the accepted rows."""
    company.ingest(*feeds)
    verdict = validate(company.project, company.dataset(*feeds), PERIOD, date(2026, 10, 2))
    assert all(count.rows_in == count.accepted + count.rejected for count in verdict.tables.values())
    folder = company.project.accepted("acme", PERIOD)
    return verdict, {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}


def rejected_place(company, feed: str, form: Form) -> int:
    """Return where the one rejected row of a feed stands in its file."""
    rejected = pd.read_parquet(company.project.rejected("acme", PERIOD) / f"{form.table}.parquet")
    [place] = rejected.loc[rejected["source"].eq(f"{feed}/{form.name}"), "source_row"]
    return int(place)
