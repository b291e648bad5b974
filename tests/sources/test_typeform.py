"""Typeform: a header called `#`, headers that repeat, UTC dates, unfinished responses and the API."""

import io
import json
from typing import Any

import openpyxl
import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "form", "adapter": "typeform", "mapping": "form.yml", "files": "form.*"}
OLD = (
    "#,<strong>How likely</strong> are you to recommend us?,Web,Other,Shop,Other,email,Start Date (UTC),"
    "Submit Date (UTC),Network ID\n"
    "0123456789abcdef0123456789abcdef,9,Web,,,by post,ann@example.com,2018-11-02 23:40:00,2018-11-02 23:46:10,aa11\n"
    "1123456789abcdef0123456789abcdef,0,,a friend,Shop,,,2018-11-03 00:40:00,2018-11-03 00:46:10,aa12\n"
)
CURRENT = (
    "#,How likely?,Response Type,Start Date (UTC),Stage Date (UTC),Submit Date (UTC),Network ID,Tags,Ending\n"
    "hefupfubphvacf8s0001,10,completed,2026-09-01 10:00:00,,2026-09-01 10:05:00,bb1,,Thanks\n"
    "hefupfubphvacf8s0002,3,partial,2026-09-01 11:00:00,2026-09-01 11:01:00,,bb2,,\n"
    "hefupfubphvacf8s0003,,started,2026-09-01 12:00:00,,,bb3,,\n"
)


def recommend(column: str, **tables: Any) -> dict[str, Any]:
    question = {"column": column, "title": "Recommend"}
    scale = {"low": 0, "high": 10, "good": "high"}
    return {"batteries": [{"metric": "nps", "scale": scale, "questions": {"nps": question}}], **tables}


def segments(**columns: str) -> dict[str, Any]:
    return {"tables": {"responses": {"segments": columns}}}


def test_the_table_of_2016_to_2018(company) -> None:
    """Tokens are ids, dates are UTC whatever the dataset's zone is, markup is no part of a header."""
    company.map("form.yml", recommend("How likely are you to recommend us?"))
    company.deliver("form.csv", OLD)
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["response_id"].tolist() == [f"{n}123456789abcdef0123456789abcdef" for n in "01"]
    assert responses["responded_at"][0] == pd.Timestamp("2018-11-02 23:46:10", tz="UTC")
    assert responses["source_row"].tolist() == [2, 3]
    assert company.staged("answers")["score"].tolist() == [9, 0]


def test_a_number_sign_begins_no_comment(company) -> None:
    """A reader that takes it for one drops the header and makes one of the first response."""
    assert len(pd.read_csv(io.StringIO(OLD), comment="#")) == 1
    company.map("form.yml", recommend("How likely are you to recommend us?"))
    company.deliver("form.csv", OLD)
    assert company.ingest(FEED)["responses"] == 2


def test_repeated_headers_are_told_apart_by_their_place(company) -> None:
    """`Other` stands once per question; its column's number says which one it is."""
    names = segments(first="Other [column 4]", second="Other [column 6]", shop="Shop")
    company.map("form.yml", recommend("How likely are you to recommend us?", **names))
    company.deliver("form.csv", OLD)
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["first"].tolist() == [None, "a friend"]
    assert responses["second"].tolist() == ["by post", None]
    assert responses["shop"].tolist() == [None, "Shop"]
    company.map("form.yml", recommend("How likely are you to recommend us?", **segments(first="Other")))
    with pytest.raises(GateError, match="no column `Other`"):
        company.ingest(FEED)


def test_personal_columns_are_not_stored(company) -> None:
    """Neither contact details nor hashes of networks reach the staged files."""
    company.map("form.yml", recommend("How likely are you to recommend us?"))
    company.deliver("form.csv", OLD)
    company.ingest(FEED)
    staged = b"".join(path.read_bytes() for path in company.project.staged("acme").iterdir())
    assert b"ann@" not in staged
    assert b"aa11" not in staged


def test_only_completed_responses_are_real(company) -> None:
    """The current table tells what was left unfinished, which is kept and marked."""
    company.map("form.yml", recommend("How likely?"))
    company.deliver("form.csv", CURRENT)
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["typing_fault"].tolist() == [None, *["not a real answer: unfinished"] * 2]
    assert responses["responded_at"][0] == pd.Timestamp("2026-09-01 10:05", tz="UTC")


def test_the_last_column_may_be_absent(company) -> None:
    """Some current tables have no `Ending`."""
    content = "\n".join(line.rpartition(",")[0] for line in CURRENT.splitlines())
    company.map("form.yml", recommend("How likely?"))
    company.deliver("form.csv", content)
    company.ingest(FEED)
    assert company.staged("answers")["score"].tolist() == [10, 3, None]


def test_dates_saved_again_by_a_spreadsheet_need_their_formats(company) -> None:
    """Day first is not guessed (pandas takes 2 November for 11 February); once it is stated, dates are still UTC."""
    again = OLD.replace("2018-11-02 23:46:10", "02-11-2018 23:46").replace("2018-11-03 00:46:10", "03-11-2018 00:46")
    assert pd.to_datetime("02-11-2018 23:46").month == 2
    company.map("form.yml", recommend("How likely are you to recommend us?"))
    company.deliver("form.csv", again)
    company.ingest(FEED)
    assert company.staged("responses")["typing_fault"][0] == "responded_at: not a date in the form %Y-%m-%d %H:%M:%S"
    dated = {"responses": {"columns": {"responded_at": {"column": "Submit Date (UTC)", "formats": ["%d-%m-%Y %H:%M"]}}}}
    company.map("form.yml", recommend("How likely are you to recommend us?", tables=dated))
    company.ingest(FEED)
    assert company.staged("responses")["responded_at"][0] == pd.Timestamp("2018-11-02 23:46", tz="UTC")


def test_a_workbook(company) -> None:
    """The same table with typed cells."""
    book = openpyxl.Workbook()
    book.active.append(["#", "How likely?", "Submit Date (UTC)", "Network ID"])
    book.active.append(["hefupfubphvacf8s0001", 10, pd.Timestamp("2026-09-01 10:05").to_pydatetime(), "bb1"])
    content = io.BytesIO()
    book.save(content)
    company.map("form.yml", recommend("How likely?"))
    company.deliver("form.xlsx", content.getvalue())
    company.ingest(FEED)
    assert company.staged("responses")["responded_at"][0] == pd.Timestamp("2026-09-01 10:05", tz="UTC")
    assert company.staged("answers")["score"].tolist() == [10]


def test_a_question_with_many_commas_is_one_column(company) -> None:
    """Answers full of semicolons do not change the delimiter either."""
    content = '#,"Fast, cheap, or good?",Submit Date (UTC),Network ID\nt1,a;b;c;d;e;f;g,2026-09-01 10:05:00,n\n'
    company.map("form.yml", segments(wish="Fast, cheap, or good?"))
    company.deliver("form.csv", content)
    company.ingest(FEED)
    assert company.staged("responses")["wish"].tolist() == ["a;b;c;d;e;f;g"]


def test_another_table_is_refused(company) -> None:
    """Without its token a response has no id."""
    company.map("form.yml", recommend("How likely?"))
    company.deliver("form.csv", "How likely?,Submit Date (UTC)\n9,2026-09-01 10:05:00\n")
    with pytest.raises(GateError, match="the first column is not `#`"):
        company.ingest(FEED)


# --- the API -------------------------------------------------------------------------------------


def response(token: str, **changes: Any) -> dict[str, Any]:
    return {
        "response_id": token,
        "landed_at": "2026-09-01T10:00:00Z",
        "submitted_at": "2026-09-01T10:05:00Z",
        "metadata": {"network_id": "cc11", "user_agent": "Browser"},
        "hidden": {"customer": "0007"},
        "calculated": {"score": 3},
        "answers": [
            {"field": {"id": "F1", "type": "nps", "ref": "nps"}, "type": "number", "number": 9},
            {"field": {"id": "F2", "type": "yes_no"}, "type": "boolean", "boolean": True},
            {"field": {"id": "F3", "ref": "why"}, "type": "text", "text": "Call 312-555-0147"},
            {
                "field": {"id": "F4", "ref": "used"},
                "type": "choices",
                "choices": {"labels": ["Web", "Shop"], "other": "x"},
            },
            {"field": {"id": "F5", "ref": "plan"}, "type": "choice", "choice": {"label": "Basic"}},
        ],
        **changes,
    }


RESPONSES = [response("t1"), response("t2", submitted_at="0001-01-01T00:00:00Z", answers=None)]
API_MAPPING = recommend(
    "nps",
    tables={
        "responses": {
            "columns": {"customer_id": "hidden.customer", "comment": "why"},
            "segments": {"yes": "F2", "used": "used", "plan": "plan"},
        }
    },
)


@pytest.mark.parametrize(
    ("name", "content", "row"),
    [
        ("form.json", json.dumps({"total_items": 2, "page_count": 1, "items": RESPONSES}), 1),
        ("form.json", json.dumps(RESPONSES, indent=1), 1),
        ("form.jsonl", "\n" + "\n".join(map(json.dumps, RESPONSES)), 2),
    ],
)
def test_responses_of_the_api(company, name: str, content: str, row: int) -> None:
    """A page, an array and lines give the same: answers by field, choices by label, yes and no as in the table."""
    company.map("form.yml", API_MAPPING)
    company.deliver(name, content)
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["responded_at"].tolist() == [pd.Timestamp("2026-09-01 10:05", tz="UTC"), None]
    assert responses["typing_fault"].tolist() == [None, "not a real answer: unfinished"]
    assert responses.loc[
        0, ["response_id", "customer_id", "comment", "yes", "used", "plan", "source_row"]
    ].tolist() == [
        "t1",
        "0007",
        "Call [phone]",
        "1",
        "Web; Shop; x",
        "Basic",
        row,
    ]
    assert company.staged("answers")["score"].tolist() == [9, None]
    assert b"cc11" not in b"".join(path.read_bytes() for path in company.project.staged("acme").iterdir())


def test_the_calculated_score_is_no_question(company) -> None:
    """It is made from other answers."""
    company.map("form.yml", recommend("calculated.score"))
    company.deliver("form.json", json.dumps(RESPONSES))
    with pytest.raises(GateError, match="which the tool derived"):
        company.ingest(FEED)


@pytest.mark.parametrize(
    "damage",
    [{"answers": "none"}, {"answers": [1, {"field": 2}]}, {"hidden": [1]}, {"calculated": 7}, {"answers": [{}]}],
)
def test_damaged_objects_are_survived(company, damage: dict[str, Any]) -> None:
    """What is not an answer is none."""
    company.map("form.yml", recommend("nps"))
    company.deliver("form.json", json.dumps([response("t1"), response("t2", **damage)]))
    company.ingest(FEED)
    assert company.staged("responses")["response_id"].tolist() == ["t1", "t2"]


@pytest.mark.parametrize("content", [OLD, CURRENT, "\ufeff" + CURRENT, json.dumps(RESPONSES)])
def test_the_exports_are_recognised(company, content: str) -> None:
    """By the header, and by the keys of the API."""
    assert company.recognised("x.csv", content) == ["typeform"]
