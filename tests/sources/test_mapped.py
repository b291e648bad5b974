"""Any file becomes canonical tables as its mapping says."""

import csv
import json
import zipfile
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest

from cxreport.errors import GateError
from cxreport.sources.formats import delimited, queries
from cxreport.sources.formats.files import UnreadableFileError
from cxreport.sources.formats.records import Records

FEED = {"id": "poll", "adapter": "mapped", "mapping": "poll.yml", "files": "poll.*"}
MAPPING: dict[str, Any] = {
    "time_zone": "Europe/Berlin",
    "file": {"encoding": "cp1252", "delimiter": ";"},
    "missing": {99: "refused"},
    "tables": {
        "responses": {
            "columns": {
                "response_id": "Nr",
                "kind": {"constant": "relational"},
                "responded_at": {"template": "{Jahr}-{Monat:0>2}-{Tag:0>2}", "formats": ["%Y-%m-%d"]},
                "weight": {"column": "Gewicht", "decimal": ","},
                "comment": "Text",
            },
            "segments": {"age": {"column": "Alter", "labels": {1: "under 30", 2: "30 and over"}, "missing": [0]}},
        }
    },
    "batteries": [
        {
            "metric": "item",
            "scale": {"low": 1, "high": 5, "good": "high"},
            "labels": {"sehr gut": 5},
            "missing": {6: "never used", "": "skipped"},
            "questions": {
                "food": {"column": "F1", "title": "Food"},
                "shops": {"column": "F2", "title": "Shops", "missing": {6: "closed that day"}},
            },
        }
    ],
}
TEXT = (
    "Nr;Jahr;Monat;Tag;Gewicht;Alter;F1;F2;Text\n"
    "0001;2026;9;1;0,75;1;5;6;schön\n"
    "0002;2026;9;;1.5;0;6;;\n"
    "0003;2026;9;31;1;7;sehr gut;99;\n"
)


def test_every_kind_of_origin_is_read(company) -> None:
    """Columns, constants, templates, decimal commas, labels and missing codes, in the stated encoding and zone."""
    company.map("poll.yml", MAPPING)
    company.deliver("poll.csv", TEXT.encode("cp1252"))
    assert company.ingest(FEED) == {"responses": 3, "answers": 6}
    responses = company.staged("responses")
    assert responses.columns[-1] == "age"
    assert responses["response_id"].tolist() == ["0001", "0002", "0003"]
    assert responses["kind"].unique().tolist() == ["relational"]
    assert responses["responded_at"].tolist() == [pd.Timestamp("2026-08-31 22:00", tz="UTC"), None, None]
    assert responses["weight"].tolist() == [0.75, None, 1]
    assert responses["age"].tolist() == ["under 30", None, None]
    assert responses["comment"][0] == "schön"
    assert responses["typing_fault"].tolist() == [
        None,
        "weight: not a number",
        "responded_at: not a date in the form %Y-%m-%d; age: a code without a label",
    ]


def test_missing_codes_keep_their_reasons(company) -> None:
    """The question's own reason goes before the battery's, and that one before the one of all questions."""
    company.map("poll.yml", MAPPING)
    company.deliver("poll.csv", TEXT.encode("cp1252"))
    company.ingest(FEED)
    answers = company.staged("answers").pivot_table(
        index="response_id", columns="question", values=["score", "missing_reason"], aggfunc="first", dropna=False
    )
    assert answers["missing_reason", "food"].tolist() == [None, "never used", None]
    assert answers["missing_reason", "shops"].tolist() == ["closed that day", "skipped", "refused"]
    assert answers["score", "food"].tolist() == [5, None, 5]


def test_records_out_of_line_become_rejectable_rows(company) -> None:
    """A shifted record is kept, empty and with its reason, and leaves no answers."""
    company.map("poll.yml", MAPPING)
    company.deliver("poll.csv", (TEXT + "0004;2026;9;1;x@example.com;1;1;5;5;ja\n").encode("cp1252"))
    assert company.ingest(FEED) == {"responses": 4, "answers": 6}
    last = company.staged("responses").iloc[3]
    assert last["typing_fault"] == "record has 10 cells where the header has 9"
    assert (last["source_row"], last["response_id"], last["kind"]) == (5, None, None)


@pytest.mark.parametrize("form", ["parquet", "tsv"])
def test_other_forms_give_the_same_rows(company, form: str) -> None:
    """The form of the file does not change what is staged."""
    mapping = MAPPING | {"file": {"format": form}}
    company.map("poll.yml", mapping)
    header, *rows = (line.split(";") for line in TEXT.splitlines())
    path = company.deliver(f"poll.{form}", TEXT.replace(";", "\t"))
    if form == "parquet":
        pq.write_table(pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=header), path)
    assert company.ingest(FEED) == {"responses": 3, "answers": 6}
    assert company.staged("answers")["missing_reason"].notna().sum() == 4


def test_a_file_without_matching_rows_for_any_question_still_stages(company) -> None:
    """One file of a feed may hold a header only, as long as another has rows."""
    company.map("poll.yml", MAPPING)
    company.deliver("poll.csv", TEXT.encode("cp1252"))
    company.deliver("poll.empty", TEXT.splitlines()[0])
    assert company.ingest(FEED) == {"responses": 3, "answers": 6}


def test_another_tool_s_export_under_a_mapping_that_fits_is_read(company) -> None:
    """A mapping overrides what a file looks like; only when it does not fit, the likeness is mentioned."""
    columns = {"customer_id": "Id", "plan": "Plan__c"}
    company.map("poll.yml", {"tables": {"customers": {"columns": columns}}})
    company.deliver("poll.csv", "Id,IsDeleted,Plan__c\nA,0,basic\n")
    assert company.ingest(FEED) == {"customers": 1}
    company.deliver("poll.csv", "Id,IsDeleted,Tariff__c\nA,0,basic\n")
    with pytest.raises(GateError, match="looks like an export for the adapter `salesforce`"):
        company.ingest(FEED)


def test_employees_and_mentions_are_read(company) -> None:
    """A score that is missing has a reason, the file's own first; what people write in public is masked, too."""
    pulse = {
        "response_id": "id",
        "responded_at": {"column": "day", "formats": ["%Y-%m-%d"]},
        "question": {"constant": "enps"},
        "score": "score",
        "missing_reason": {"column": "why", "optional": True},
        "scale_high": {"constant": 10},
    }
    wall = {"mention_id": "id", "posted_at": {"column": "day", "formats": ["%Y-%m-%d"]}, "text": "text"}
    company.map("pulse.yml", {"tables": {"employees": {"columns": pulse}}})
    company.map("wall.yml", {"tables": {"mentions": {"columns": wall}}})
    company.deliver("pulse.csv", "id,day,score,why\nA,2026-09-01,9,\nB,2026-09-01,,\nC,2026-09-01,,on leave\nD,,ten,\n")
    company.deliver("wall.csv", "id,day,text\n1,2026-09-01,Write to ann@example.com\n2,2026-09-01,\n")
    assert company.ingest(
        {"id": "pulse", "adapter": "mapped", "mapping": "pulse.yml", "files": "pulse.csv"},
        {"id": "wall", "adapter": "mapped", "mapping": "wall.yml", "files": "wall.csv"},
    ) == {"mentions": 2, "employees": 4}
    employees = company.staged("employees")
    assert employees["score"].tolist() == [9, None, None, None]
    assert employees["missing_reason"].tolist() == [None, "blank", "on leave", "unreadable"]
    assert employees["scale_high"].tolist() == [10] * 4
    assert employees["typing_fault"].tolist() == [None, None, None, "score: not a number"]
    assert company.staged("mentions")["text"].tolist() == ["Write to [e-mail]", None]


PEOPLE = {"tables": {"customers": {"columns": {"customer_id": "id", "plan": "plan"}}}}
CRM = {"id": "crm", "adapter": "mapped", "mapping": "crm.yml", "files": "crm.*"}
ROWS = [["A", "basic"], ["007", "plus"]]


def staged_people(company, file: dict[str, Any]) -> list[tuple[str, str, int]]:
    company.map("crm.yml", PEOPLE | {"file": file})
    company.ingest(CRM)
    return list(company.staged("customers")[["customer_id", "plan", "source_row"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("form", ["json lines", "json array", "xlsx", "sav", "skip", "skip in a sheet", "zip"])
def test_every_form_of_file_is_read_with_its_own_line_numbers(company, form: str) -> None:
    """What a source row counts depends on the form: lines, objects, rows of a sheet, cases."""
    objects = [dict(zip(["id", "plan"], row, strict=True)) for row in ROWS]
    text = "id,plan\nA,basic\n007,plus\n"
    book = openpyxl.Workbook()
    for row in [*([["Customers"], []] if form == "skip in a sheet" else []), ["id", "plan"], *ROWS]:
        book.active.append(row)
    path = company.deliver("crm.dat", text)
    settings: dict[str, Any] = {}
    if form == "json lines":
        company.deliver("crm.dat", "\n".join(map(json.dumps, objects)))
    elif form == "json array":
        company.deliver("crm.dat", json.dumps(objects))
    elif form == "sav":
        path.unlink()
        pyreadstat.write_sav(pd.DataFrame(objects), path.with_suffix(".sav"))
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("people.csv", text)
    elif form == "skip":
        company.deliver("crm.dat", 'Customers of "Acme, Inc\n\n' + text)
        settings = {"skip": 2}
    else:
        book.save(path)
        settings = {"skip": 2} if form == "skip in a sheet" else {}
    first = {"json lines": 1, "json array": 1, "sav": 1, "skip": 4, "skip in a sheet": 4}.get(form, 2)
    assert staged_people(company, settings) == [("A", "basic", first), ("007", "plus", first + 1)]


@pytest.mark.parametrize("form", ["csv", "parquet", "json", "duckdb"])
def test_a_query_over_a_file_is_read(company, form: str) -> None:
    """Rows can be joined, filtered and named by SQL, over text as over typed tables."""
    text = "id,plan,gone\nA,1,no\nB,2,yes\n007,2,no\n"
    path = company.deliver("crm.dat", text)
    if form == "parquet":
        pq.write_table(pa.table({"id": ["A", "B", "007"], "plan": [1, 2, 2], "gone": ["no", "yes", "no"]}), path)
    elif form == "json":
        names, *rows = csv.reader(text.splitlines())
        path.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    elif form == "duckdb":
        path.unlink()
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE TABLE people AS SELECT * FROM (VALUES ('A', 1), ('007', 2)) AS t (id, plan)")
            connection.execute(
                "CREATE TABLE plans AS SELECT * FROM (VALUES (1, 'basic'), (2, 'plus')) AS t (plan, name)"
            )
    joined = "SELECT id, name AS plan FROM delivered.people JOIN delivered.plans USING (plan) ORDER BY id DESC"
    plain = (
        "SELECT id, CASE plan::INT WHEN 1 THEN 'basic' ELSE 'plus' END AS plan FROM delivered "
        "WHERE gone = 'no' ORDER BY id DESC"
    )
    query = joined if form == "duckdb" else plain
    assert staged_people(company, {"format": "sql", "query": query}) == [("A", "basic", 1), ("007", "plus", 2)]


@pytest.mark.parametrize(
    "query",
    [
        *("SELECT 1; SELECT 2", "CREATE TABLE x (a INT)", "COPY (SELECT 1) TO '{out}'", "ATTACH '{out}'", "SELEC", ""),
        *("SELECT * FROM '{other}'", "SELECT * FROM read_csv('{other}')", "SELECT * FROM glob('{other}')"),
        *("SET memory_limit = '1 TiB'", "INSTALL httpfs", "SELECT * FROM company", "SELECT plan::INT FROM delivered"),
    ],
)
def test_a_query_reaches_nothing_but_the_file(company, query: str) -> None:
    """One SELECT over what was delivered; a refusal quotes neither values nor paths."""
    other, out = company.deliver("other.csv", "a\nsecret\n"), company.project.root / "out"
    filled = query.format(other=other, out=out)
    company.map("crm.yml", PEOPLE | {"file": {"format": "sql", "query": filled}})
    company.deliver("crm.csv", "id,plan\nA,basic\n")
    with pytest.raises(GateError, match="the query") as caught:
        company.ingest(CRM)
    assert not any(quoted in str(caught.value) for quoted in ("secret", "basic", str(company.project.root)))
    assert not out.exists()


def test_an_endless_query_is_stopped(company, monkeypatch) -> None:
    """Neither time nor rows are without end."""
    monkeypatch.setattr(queries, "MOST_SECONDS", 0.2)
    company.map(
        "crm.yml", PEOPLE | {"file": {"format": "sql", "query": "SELECT sum(a.range) FROM range(9_000_000_000) a"}}
    )
    company.deliver("crm.csv", "id,plan\nA,basic\n")
    with pytest.raises(GateError, match="takes more than"):
        company.ingest(CRM)
    monkeypatch.setattr(delimited, "MOST_ROWS", 50_000)
    with pytest.raises(UnreadableFileError, match="export shorter periods"):
        queries.query_records(Records(("a",), (["1"],), [1]), "SELECT * FROM range(100_000)")
