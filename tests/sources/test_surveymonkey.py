"""SurveyMonkey: two header rows, dates in three layouts, `N/A`, old encodings, summaries and the bulk API."""

import csv
import io
import json
from typing import Any

import openpyxl
import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "monkey", "adapter": "surveymonkey", "mapping": "monkey.yml", "files": "monkey.*"}
HEADER = (
    "Respondent ID,Collector ID,Start Date,End Date,IP Address,Email Address,First Name,Last Name,Custom Data 1,"
    'How likely are you<br>to\u00a0recommend us?,,"Which, if any, did you use?",,,How was the shop?,,Anything else?\r\n'
    ",,,,,,,,,Response,Why?,Web,Shop,Other (please specify),Speed,Other (please specify),Open-Ended Response\r\n"
)
ROWS = (
    "118012345678,1,11/03/2021 07:30:47 PM,11/03/2021 07:40:47 PM,192.0.2.1,ann@example.com,Ann,Example,C7,"
    '9,Fast,Web,,by post,5,,"Two\r\nlines"\r\n'
    "118012345679,1,11/04/2021 07:30:47 AM,11/04/2021 07:40:47 AM,192.0.2.2,,,,C8,N/A,,,Shop,,,queue,\r\n"
    "118012345680,1,11/05/2021 12:30:47 AM,11/05/2021 12:40:47 AM,192.0.2.3,,,,C9,,,,,,2,,\r\n"
)
ASKED = "How likely are you to recommend us?"
NPS = {"low": 0, "high": 10, "good": "high"}


def recommend(column: str = ASKED, **more: Any) -> dict[str, Any]:
    question = {"column": column, "title": "Recommend"}
    return {
        "batteries": [{"metric": "nps", "scale": NPS, "questions": {"nps": question}} | more.pop("battery", {})],
        **more,
    }


def ingested(company, name: str, content: str | bytes, mapping: dict[str, Any]) -> pd.DataFrame:
    company.map("monkey.yml", mapping)
    company.deliver(name, content)
    company.ingest(FEED)
    return company.staged("responses")


def test_all_responses(company) -> None:
    """Ids are text, dates local times of the dataset's zone, questions are known without markup and odd spaces."""
    columns = {"comment": "Anything else?", "customer_id": "Custom Data 1"}
    responses = ingested(company, "monkey.csv", HEADER + ROWS, recommend(tables={"responses": {"columns": columns}}))
    assert responses["response_id"].tolist() == ["118012345678", "118012345679", "118012345680"]
    assert responses["customer_id"].tolist() == ["C7", "C8", "C9"]
    assert responses["responded_at"].tolist() == [
        pd.Timestamp("2021-11-04 00:40:47", tz="UTC"),
        pd.Timestamp("2021-11-04 12:40:47", tz="UTC"),
        pd.Timestamp("2021-11-05 05:40:47", tz="UTC"),
    ]
    assert responses["comment"].tolist() == ["Two\r\nlines", None, None]
    assert responses["source_row"].tolist() == [3, 5, 6]
    staged = b"".join(path.read_bytes() for path in company.project.staged("acme").glob("*.parquet"))
    assert not any(personal in staged for personal in (b"ann@", b"192.0.2", b"Example"))


def test_not_applicable_is_no_blank(company) -> None:
    """Someone chose it; pandas makes both the same."""
    assert pd.read_csv(io.StringIO(HEADER + ROWS), header=[0, 1]).iloc[:, 9].isna().tolist() == [False, True, True]
    ingested(company, "monkey.csv", HEADER + ROWS, recommend())
    answers = company.staged("answers")
    assert answers["score"].tolist() == [9, None, None]
    assert answers["missing_reason"].tolist() == [None, "not applicable", "blank"]


def test_a_column_is_its_question_and_its_choice(company) -> None:
    """The same choice under two questions is two columns; a reader of the second row alone cannot tell them apart."""
    assert next(csv.reader(HEADER.splitlines()[1:])).count("Other (please specify)") == 2
    names = {
        "web": "Which, if any, did you use? > Web",
        "used": "Which, if any, did you use? > Other (please specify)",
        "shop": "How was the shop? > Other (please specify)",
        "why": f"{ASKED} > Why?",
    }
    mapping = recommend("How was the shop? > Speed", tables={"responses": {"segments": names}})
    responses = ingested(company, "monkey.csv", HEADER + ROWS, mapping)
    assert responses["web"].tolist() == ["Web", None, None]
    assert responses["used"].tolist() == ["by post", None, None]
    assert responses["shop"].tolist() == [None, "queue", None]
    assert responses["why"].tolist() == ["Fast", None, None]
    assert company.staged("answers")["score"].tolist() == [5, None, 2]


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("11/03/2021 07:40:47 PM", "2021-11-04 00:40:47"),
        ("3/24/2020 9:08:27 PM", "2020-03-25 02:08:27"),
        ("2019-03-08 20:34:44", "2019-03-09 02:34:44"),
    ],
)
def test_three_layouts_of_dates(company, written: str, utc: str) -> None:
    """With and without leading zeros, and as a workbook writes them."""
    content = f"Respondent ID,End Date,{ASKED}\r\n,,Response\r\n11801234567,{written},9\r\n"
    assert ingested(company, "monkey.csv", content, recommend())["responded_at"].tolist() == [
        pd.Timestamp(utc, tz="UTC")
    ]


def test_dates_that_begin_with_the_day_are_not_read_as_american(company) -> None:
    """One such date shows that the others were misread; the mapping must say how they are written."""
    content = HEADER + ROWS.replace("11/03/2021", "24/03/2021")
    with pytest.raises(GateError, match="whether its dates begin with the month"):
        ingested(company, "monkey.csv", content, recommend())
    dated = {"responded_at": {"column": "End Date", "formats": ["%d/%m/%Y %I:%M:%S %p"]}}
    responses = ingested(company, "monkey.csv", content, recommend(tables={"responses": {"columns": dated}}))
    assert responses["responded_at"][1] == pd.Timestamp("2021-04-11 12:40:47", tz="UTC")


def test_metadata_vary(company) -> None:
    """Anonymous exports lack columns; where dates are lacking the mapping must place one."""
    content = f"Respondent ID,Custom Data 1,{ASKED}\r\n,,Response\r\n11801234567,2021-11-03,9\r\n"
    with pytest.raises(GateError, match="does not tell when the responses were given"):
        ingested(company, "monkey.csv", content, recommend())
    dated = {"responded_at": {"column": "Custom Data 1", "formats": ["%Y-%m-%d"]}}
    ingested(company, "monkey.csv", content, recommend(tables={"responses": {"columns": dated}}))
    assert company.staged("answers")["score"].tolist() == [9]


def test_an_old_encoding_is_named(company) -> None:
    """A file that an old program saved again is refused with the likely encoding, and read once that is stated."""
    text = f"RespondentID,{ASKED},City?\r\n,Response,Response\r\n" + "".join(
        f"11801234{n:03d},9,Café Zürich naïve façade à la crème\r\n" for n in range(40)
    )
    dated = {"responded_at": {"constant": "2014-07-01", "formats": ["%Y-%m-%d"]}}
    mapping = recommend(tables={"responses": {"columns": dated, "segments": {"city": "City?"}}})
    with pytest.raises(GateError, match=r"not encoded in `utf-8`, it looks like `\w+`: state it as `file: encoding`"):
        ingested(company, "monkey.csv", text.encode("mac_roman"), mapping)
    responses = ingested(company, "monkey.csv", text.encode("mac_roman"), mapping | {"file": {"encoding": "mac_roman"}})
    assert responses["city"][0] == "Café Zürich naïve façade à la crème"


@pytest.mark.parametrize(
    "content",
    [
        f"RespondentID,{ASKED},,Gender,Region\n,Response,Why?,Response,Response\n3292879998,9,,Male,Pacific\n",
        f"RespondentID,{ASKED},{ASKED} - Why?,Gender,Region\n3292879998,9,,Male,Pacific\n",
    ],
)
def test_the_audience_variant(company, content: str) -> None:
    """Its id is one word, and its second header row may be gone already."""
    dated = {"responded_at": {"constant": "2014-07-01", "formats": ["%Y-%m-%d"]}}
    mapping = recommend(tables={"responses": {"columns": dated, "segments": {"gender": "Gender"}}})
    responses = ingested(company, "monkey.csv", content, mapping)
    assert responses.loc[0, ["response_id", "gender"]].tolist() == ["3292879998", "Male"]
    assert company.staged("answers")["score"].tolist() == [9]
    assert company.recognised("x.csv", content) == ["surveymonkey"]


def workbook(rows: list[list[Any]], *titles: str) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for number, title in enumerate(titles):
        (book.create_sheet() if number else book.active).title = title
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def test_a_workbook_with_merged_cells(company) -> None:
    """A question over several columns stands in the first; ids are whole numbers."""
    rows = [
        ["Respondent ID", "End Date", ASKED, None],
        [None, None, "Response", "Why?"],
        [118012345678, pd.Timestamp("2019-03-08 20:34:44").to_pydatetime(), 9, "Fast"],
    ]
    mapping = recommend(tables={"responses": {"segments": {"why": f"{ASKED} > Why?"}}})
    responses = ingested(company, "monkey.xlsx", workbook(rows), mapping)
    assert responses.loc[0, ["response_id", "why", "source_row"]].tolist() == ["118012345678", "Fast", 3]
    assert responses["responded_at"][0] == pd.Timestamp("2019-03-09 02:34:44", tz="UTC")


SUMMARY = (
    "\ufeffYearly survey\r\n\r\nQ1. Which?\r\nAnswer Choices,Response Percent,Responses\r\nWeb,3.09%,3\r\n"
    "Shop,96.91%,94\r\n,Answered,97\r\n,Skipped,0\r\n\r\nQ2. Why?\r\nRespondents,Response Date,Responses,Tags\r\n"
)


def test_a_summary_is_refused(company) -> None:
    """Percentages of answers cannot be measured again."""
    assert company.recognised("x.csv", SUMMARY) == ["surveymonkey"]
    with pytest.raises(GateError, match="a summary holds no single responses; export `All responses data`"):
        ingested(company, "monkey.csv", SUMMARY, recommend())


def test_a_cross_tabulation_is_refused(company) -> None:
    """Neither can pairs of percentages and counts, one sheet per question."""
    content = workbook([["Which?"], [None, "Total"], ["Web", 0.03, 3]], "Question 1", "Question 2")
    assert company.recognised("x.xlsx", content) == ["surveymonkey"]
    with pytest.raises(GateError, match="a cross-tabulation holds no single responses"):
        ingested(company, "monkey.xlsx", content, recommend())


def test_another_table_is_refused(company) -> None:
    """Without an id it is no export of responses."""
    with pytest.raises(GateError, match="no column `Respondent ID`"):
        ingested(company, "monkey.csv", "a,b\n1,2\n", recommend())


def test_the_two_header_rows_are_recognised(company) -> None:
    """The id above a blank cell."""
    assert company.recognised("x.csv", HEADER + ROWS) == ["surveymonkey"]


# --- the API -------------------------------------------------------------------------------------


def answered(identity: str, status: str, *answers: dict[str, Any], question: str = "71") -> dict[str, Any]:
    return {
        "id": identity,
        "recipient_id": "5",
        "collection_mode": "default",
        "response_status": status,
        "custom_variables": {"customer": "C7"},
        "ip_address": "192.0.2.1",
        "date_created": "2022-03-05T18:00:00+00:00",
        "date_modified": "2022-03-05T18:05:57+00:00",
        "total_time": 357,
        "pages": [{"id": "1", "questions": [{"id": question, "answers": list(answers)}]}, {"id": "2"}],
    }


def choice(identity: int, weight: int, row: str = "9") -> dict[str, Any]:
    return {"choice_id": str(identity), "row_id": row, "choice_metadata": {"weight": str(weight)}}


BULK = [
    answered("1", "completed", choice(4010, 100)),
    answered("2", "partial", choice(4003, -100)),
    answered("3", "completed", {"text": "Call 312-555-0147"}, question="72"),
    answered(
        "4", "completed", {"choice_id": "81"}, {"choice_id": "82"}, {"other_id": "83", "text": "by post"}, question="73"
    ),
]
LABELS = {f"choice 40{score:02d}": score for score in range(11)}


@pytest.mark.parametrize("content", [json.dumps({"data": BULK, "total": 4}), json.dumps(BULK)])
def test_the_api_gives_ids_that_labels_turn_into_scores(company, content: str) -> None:
    """Choices by id, several of them as one text, comments masked, unfinished responses marked."""
    tables = {
        "responses": {
            "columns": {"comment": "question 72", "customer_id": "custom_variables.customer"},
            "segments": {"used": "question 73", "other": "question 73 > other"},
        }
    }
    mapping = recommend("question 71 > row 9", battery={"labels": LABELS}, tables=tables)
    responses = ingested(company, "monkey.json", content, mapping)
    assert responses["responded_at"][0] == pd.Timestamp("2022-03-05 18:05:57", tz="UTC")
    assert responses["updated_at"][0] == responses["responded_at"][0]
    assert responses["typing_fault"].tolist() == [None, "not a real answer: unfinished", None, None]
    assert responses["comment"][2] == "Call [phone]"
    assert responses.loc[3, ["used", "other", "customer_id"]].tolist() == ["choice 81; choice 82", "by post", "C7"]
    assert responses["source_row"].tolist() == [1, 2, 3, 4]
    assert company.staged("answers")["score"].tolist() == [10, 3, None, None]
    assert company.recognised("x.json", content) == ["surveymonkey"]


def test_without_labels_an_id_is_no_score(company) -> None:
    """The id of a choice must never pass for a number."""
    ingested(company, "monkey.json", json.dumps(BULK), recommend("question 71 > row 9"))
    assert company.staged("answers")["missing_reason"].tolist()[:2] == ["unreadable", "unreadable"]


def test_the_weight_of_an_nps_choice_is_a_group(company) -> None:
    """100 and -100 say promoter and detractor, not how likely; the question is refused without labels."""
    with pytest.raises(GateError, match="which the tool derived"):
        ingested(company, "monkey.json", json.dumps(BULK), recommend("question 71 > row 9 > weight"))


def test_other_weights_are_scores(company) -> None:
    """A rating's weights are those of its scale."""
    bulk = [answered(str(score), "completed", choice(500 + score, score)) for score in (1, 5)]
    ingested(company, "monkey.json", json.dumps(bulk), recommend("question 71 > row 9 > weight"))
    assert company.staged("answers")["score"].tolist() == [1, 5]


@pytest.mark.parametrize("pages", [None, 7, [7], [{"questions": {}}], [{"questions": [{"answers": "x"}]}]])
def test_damaged_objects_are_survived(company, pages: Any) -> None:
    """What is not an answer is none."""
    bulk = [*BULK, BULK[0] | {"id": "5", "pages": pages}]
    responses = ingested(
        company, "monkey.json", json.dumps(bulk), recommend("question 71 > row 9", battery={"labels": LABELS})
    )
    assert responses["response_id"].tolist() == ["1", "2", "3", "4", "5"]
