"""Qualtrics exports: three header rows, ImportIds, zones, previews and questions that were not asked."""

import copy
import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyreadstat
import pytest

from cxreport.errors import GateError
from cxreport.sources.formats.files import DeliveredFile
from cxreport.sources.mapping import FileForm
from cxreport.sources.registry import find_adapter

FEED = {"id": "survey", "adapter": "qualtrics", "mapping": "own.yml", "files": "own.*"}
FIVE = {"low": 1, "high": 5, "good": "high"}
WORDS = {"Very poor": 1, "Poor": 2, "Fair": 3, "Good": 4, "Very good": 5}
MODERN = [
    [
        "EndDate",
        "Status",
        "Finished",
        "RecordedDate",
        "ResponseId",
        "UserLanguage",
        "Overall",
        "Q4_10",
        "Q4_11",
        "Q2_DO",
    ],
    ["End", "Type", "Done", "Recorded", "ID", "Language", "All in all?", "Used - Web", "Used - Shop", "Order"],
    [
        {"ImportId": "endDate", "timeZone": "America/Denver"},
        {"ImportId": "status"},
        {"ImportId": "finished"},
        {"ImportId": "recordedDate", "timeZone": "America/Denver"},
        {"ImportId": "_recordId"},
        {"ImportId": "userLanguage"},
        {"ImportId": "QID2"},
        {"ImportId": "QID4", "choiceId": "10"},
        {"ImportId": "QID4", "choiceId": "11"},
        {"ImportId": "BL_a1_DO", "choiceId": "Q2"},
    ],
]
RESPONSES = [
    ["2026-09-01 10:00:00", "IP Address", "True", "2026-09-01 10:02:00", "R_1", "EN", "Good", "Web", "", "1"],
    ["2026-09-02 10:00:00", "Survey Preview", "True", "2026-09-02 10:02:00", "R_2", "DE", "Poor", "", "Shop", "1"],
    ["2026-09-03 10:00:00", "IP Address", "False", "2026-09-03 10:02:00", "R_3", "EN", "", "", "", "1"],
]


def modern(*responses: list[str], delimiter: str = ",", header: list[list[Any]] = MODERN) -> str:
    """Build an export as it is written since 2017."""
    text = io.StringIO(newline="")
    described = [json.dumps(about, separators=(",", ":")) for about in header[2]]
    csv.writer(text, delimiter=delimiter).writerows([*header[:2], described, *responses])
    return text.getvalue()


def satisfaction(column: str, **battery: Any) -> dict[str, Any]:
    """Map one question and nothing else: the rest is standard."""
    question = {"column": column, "title": "Satisfied"}
    return {"batteries": [{"metric": "csat", "scale": FIVE, "questions": {"csat": question}, **battery}]}


def test_columns_are_known_by_import_id_and_dates_by_the_file_s_zone(company, survey: dict[str, str]) -> None:
    """Renamed tags and translated texts do not matter; 10:02 in Denver is 16:02 UTC."""
    company.ingest(survey)
    responses = company.staged("responses")
    assert responses["response_id"].tolist() == ["R_1", "R_2", "R_3", "R_4", "R_5"]
    assert responses["customer_id"][0] == "0001046"
    assert responses["responded_at"][0] == pd.Timestamp("2026-09-01 16:02", tz="UTC")
    assert responses["comment"][1] == "Two lines,\nand a comma"


def test_rows_are_traced_by_the_line_where_they_begin(company, survey: dict[str, str]) -> None:
    """The header rows span five lines, and one cell has a line break."""
    company.ingest(survey)
    responses = company.staged("responses")
    assert responses["source_row"].tolist() == [6, 7, 9, 10, 11]
    assert set(responses["source"]) == {"survey/survey.csv"}


def test_previews_and_unfinished_responses_are_kept_and_marked(company, survey: dict[str, str]) -> None:
    """Validation rejects them with this reason; staging drops nothing."""
    company.ingest(survey)
    faults = company.staged("responses").set_index("response_id")["typing_fault"]
    assert faults["R_1"] is None
    assert faults["R_4"] == "not a real answer: preview"
    assert faults["R_5"] == "not a real answer: unfinished"


def test_a_state_nobody_described_is_not_taken_for_real(company, survey: dict[str, str]) -> None:
    """Unknown codes are marked without repeating them."""
    company.deliver("survey.csv", company.header + company.rows.replace(",0,1,R_1", ",77,1,R_1"))
    company.ingest(survey)
    assert company.staged("responses")["typing_fault"][0] == "not a real answer: `status` is not listed as real"


def test_only_asked_questions_leave_rows_and_blanks_say_so(company, survey: dict[str, str]) -> None:
    """A skipped question is a row without a score, a question of another survey is none."""
    company.ingest(survey)
    answers = company.staged("answers").set_index(["response_id", "question"])
    assert answers.loc[("R_1", "nps"), "score"] == 9
    assert answers.loc[("R_2", "nps"), "missing_reason"] == "blank"
    assert ("R_3", "nps") not in answers.index
    assert answers.loc[("R_3", "csat"), ["score", "scale_low", "scale_high", "scale_good"]].tolist() == [
        3,
        1,
        5,
        "high",
    ]
    assert answers.loc[("R_1", "nps"), "responded_at"] == pd.Timestamp("2026-09-01 16:02", tz="UTC")


def test_an_answer_to_a_question_that_was_not_asked_is_kept(company, survey: dict[str, str]) -> None:
    """Data that contradict the mapping are shown, not hidden."""
    company.deliver("survey.csv", company.header + company.rows.replace("R_3,C3,,,", "R_3,C3,,8,"))
    company.ingest(survey)
    answers = company.staged("answers").set_index(["response_id", "question"])
    assert answers.loc[("R_3", "nps"), "score"] == 8


def test_scores_outside_the_scale_stay_and_unreadable_ones_do_not(company, survey: dict[str, str]) -> None:
    """Range is a rule of validation; a word where a number belongs is a typing fault without the word."""
    rows = company.rows.replace(",9,3,5,Fine", ",12,3,five,Fine")
    company.deliver("survey.csv", company.header + rows)
    company.ingest(survey)
    answers = company.staged("answers").set_index(["response_id", "question"])
    assert answers.loc[("R_1", "nps"), "score"] == 12
    unreadable = answers.loc[("R_1", "csat")]
    assert unreadable[["score", "missing_reason", "typing_fault"]].tolist() == [
        None,
        "unreadable",
        "score: not a number",
    ]


def test_unmapped_columns_never_reach_staged_files(company, survey: dict[str, str]) -> None:
    """Network addresses and derived groups stay behind."""
    company.ingest(survey)
    staged = b"".join(path.read_bytes() for path in company.project.staged("acme").glob("*.parquet"))
    assert b"192.0.2.1" not in staged
    assert not any("group" in column.lower() for column in company.staged("answers"))


def test_comments_are_masked(company, survey: dict[str, str]) -> None:
    """Personal data in free text do not get past reading."""
    company.deliver("survey.csv", company.header + company.rows.replace(",Fine,", ",write a.b@example.com,"))
    company.ingest(survey)
    assert company.staged("responses")["comment"][0] == "write [e-mail]"


def test_a_question_changes_on_a_day(company, survey: dict[str, str]) -> None:
    """Before it was asked its column may be absent; once it is asked, absence is an error."""
    mapping: dict[str, Any] = copy.deepcopy(company.mapping)
    new = {"column": "QID7", "title": "Easy", "asked_from": "2026-10-01"}
    scale = {"low": 1, "high": 7, "good": "high"}
    mapping["batteries"].append({"metric": "ces_v2", "scale": scale, "questions": {"ces_v2": new}})
    company.map("survey.yml", mapping)
    company.ingest(survey)
    assert "ces_v2" not in set(company.staged("answers")["question"])
    new["asked_from"] = "2026-09-03"
    company.map("survey.yml", mapping)
    with pytest.raises(GateError, match="no column `QID7`"):
        company.ingest(survey)


def test_a_file_of_no_generation_is_refused(company, survey: dict[str, str]) -> None:
    """A file without ImportIds, and without the legacy header, is not read by position."""
    company.deliver("survey.csv", "a,b\n1,2\n")
    with pytest.raises(GateError, match="no third header row with ImportIds"):
        company.ingest(survey)


def test_an_unknown_zone_in_the_file_is_refused(company, survey: dict[str, str]) -> None:
    """Dates of no known zone are not guessed."""
    company.deliver("survey.csv", company.header.replace("America/Denver", "Etc/Nowhere") + company.rows)
    with pytest.raises(GateError, match="time zone that is not known"):
        company.ingest(survey)


def test_the_export_is_recognised(company) -> None:
    """Three header rows are enough to tell."""
    assert company.recognised("x.csv", "\ufeff" + company.header) == ["qualtrics"]


# --- what is always the same ---------------------------------------------------------------------


def test_words_of_the_choice_text_export_are_understood(company) -> None:
    """States, dates and ids need no mapping; answers in words are scored by labels."""
    company.map("own.yml", satisfaction("QID2", labels=WORDS))
    company.deliver("own.csv", "\ufeff" + modern(*RESPONSES))
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["response_id"].tolist() == ["R_1", "R_2", "R_3"]
    assert responses["responded_at"][0] == pd.Timestamp("2026-09-01 16:02", tz="UTC")
    assert responses["language"].tolist() == ["EN", "DE", "EN"]
    assert responses["typing_fault"].tolist() == [None, "not a real answer: preview", "not a real answer: unfinished"]
    answers = company.staged("answers")
    assert answers["score"].tolist() == [4, 2, None]


def test_codes_of_the_numeric_export_are_understood(company) -> None:
    """The same states as numbers; a code that was never seen in a file is not taken for real."""
    rows = [
        ["", status, finished, "2026-09-01 10:02:00", f"R_{status}{finished}", "EN", "4", "1", "", "1"]
        for status, finished in ["01", "11", "21", "00", "81"]
    ]
    company.map("own.yml", satisfaction("QID2"))
    company.deliver("own.csv", modern(*rows))
    company.ingest(FEED)
    faults = company.staged("responses").set_index("response_id")["typing_fault"]
    assert faults["R_01"] is None
    assert faults.drop("R_01").tolist() == [
        "not a real answer: preview",
        "not a real answer: test",
        "not a real answer: unfinished",
        "not a real answer: `status` is not listed as real",
    ]


def test_choices_of_one_question_are_columns_of_their_own(company) -> None:
    """They share an ImportId; the choice's number follows it, which is no position: 10 comes first."""
    company.map(
        "own.yml",
        satisfaction("QID2", labels=WORDS)
        | {"tables": {"responses": {"segments": {"web": "QID4_10", "shop": "QID4_11"}}}},
    )
    company.deliver("own.csv", modern(*RESPONSES))
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["web"].tolist() == ["Web", None, None]
    assert responses["shop"].tolist() == [None, "Shop", None]


def test_seen_but_unanswered_has_its_reason(company) -> None:
    """The export may write -99 for it, which is no score."""
    company.map("own.yml", satisfaction("QID2") | {"missing": {-99: "seen but not answered"}})
    company.deliver("own.csv", modern([*RESPONSES[0][:6], "-99", "", "", ""]))
    company.ingest(FEED)
    answer = company.staged("answers").iloc[0]
    assert (answer["score"], answer["missing_reason"]) == (None, "seen but not answered")


@pytest.mark.parametrize(
    ("tag", "about"),
    [
        ("Q1_NPS_GROUP", {"ImportId": "QID1_NPS_GROUP"}),
        ("Renamed", {"ImportId": "QID1_NPS_GROUP"}),
        ("Q2 - Topics", {"ImportId": "QID2_TEXT_0123Topics"}),
        ("Q2 - Parent Topics", {"ImportId": "QID2_TEXT_0124"}),
        ("Block_DO_last", {"ImportId": "BL_a1_DO", "choiceId": "last"}),
        ("Q2_DO_1", {"ImportId": "QID2_DO", "choiceId": "1"}),
    ],
)
def test_what_qualtrics_derived_is_no_question(company, tag: str, about: dict[str, str]) -> None:
    """A group of 1 to 3 would pass for a bad score; a mapping that names it is refused."""
    header = [[*MODERN[0], tag], [*MODERN[1], "Derived"], [*MODERN[2], about]]
    company.map("own.yml", satisfaction("_".join(about.values())))
    company.deliver("own.csv", modern([*RESPONSES[0], "3"], header=header))
    with pytest.raises(GateError, match="which the tool derived from another column"):
        company.ingest(FEED)


def test_a_question_may_be_called_what_do_you_like(company) -> None:
    """Only the marks that Qualtrics sets itself tell derived columns."""
    header = [[*MODERN[0], "WHAT_DO_YOU_LIKE_1"], [*MODERN[1], "Text"], [*MODERN[2], {"ImportId": "QID9_1"}]]
    company.map("own.yml", satisfaction("QID9_1"))
    company.deliver("own.csv", modern([*RESPONSES[0], "3"], header=header))
    company.ingest(FEED)
    assert company.staged("answers")["score"].tolist() == [3]


def test_header_cells_hold_line_breaks(company) -> None:
    """Whoever skips three physical lines takes the rest of the header for responses."""
    header = [MODERN[0], [*MODERN[1][:6], "All in all,\nhow\nwas it?", *MODERN[1][7:]], MODERN[2]]
    content = modern(*RESPONSES, header=header)
    naive = pd.read_csv(
        io.StringIO("".join(content.splitlines(keepends=True)[3:])), header=None, on_bad_lines="skip", engine="python"
    )
    assert len(naive) != len(RESPONSES)
    company.map("own.yml", satisfaction("QID2", labels=WORDS))
    company.deliver("own.csv", content)
    assert company.ingest(FEED)["responses"] == len(RESPONSES)


# --- other forms of the same export --------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tabs_are_seen(company, encoding: str) -> None:
    """A TSV export is read without being told, in either encoding."""
    company.map("own.yml", satisfaction("QID2", labels=WORDS))
    company.deliver("own.tsv", modern(*RESPONSES, delimiter="\t").encode(encoding))
    company.ingest(FEED)
    assert company.staged("answers")["score"].tolist() == [4, 2, None]


def test_a_workbook_with_typed_cells(company) -> None:
    """Dates, numbers and truth values of an XLSX export are the same as text."""
    book = openpyxl.Workbook()
    for row in [*MODERN[:2], [json.dumps(about) for about in MODERN[2]]]:
        book.active.append(row)
    book.active.append([None, 0, True, pd.Timestamp("2026-09-01 10:02").to_pydatetime(), "R_1", "EN", 4, 1, None, 1])
    content = io.BytesIO()
    book.save(content)
    company.map("own.yml", satisfaction("QID2"))
    company.deliver("own.xlsx", content.getvalue())
    company.ingest(FEED)
    response = company.staged("responses").iloc[0]
    assert (response["typing_fault"], response["source_row"]) == (None, 4)
    assert response["responded_at"] == pd.Timestamp("2026-09-01 16:02", tz="UTC")
    assert company.staged("answers")["score"].tolist() == [4]
    assert company.recognised("x.xlsx", content.getvalue()) == ["qualtrics"]


INSIGHTS = (
    "ResponseID,ResponseSet,IPAddress,StartDate,EndDate,ExternalDataReference,Finished,Status,Q1,Q2_1,Q2_2,DO-Q-Q2\r\n"
    "ResponseID,ResponseSet,IPAddress,StartDate,EndDate,ExternalDataReference,Finished,Status,All in all?,"
    "How was-the shop,How was-the site,Display Order\r\n"
    "{'ImportId': 'responseId'},{'ImportId': 'responseSetId'},{'ImportId': 'ipAddress'},{'ImportId': 'startDate'},"
    "{'ImportId': 'endDate'},{'ImportId': 'panel-ExternalDataReference'},{'ImportId': 'finished'},"
    "{'ImportId': 'status'},{'ImportId': 'QID1'},{'ImportId': 'QID2-1'},{'ImportId': 'QID2-2'},"
    "{'ImportId': 'DO-Q-Q2'}\r\n"
    "R_1,Default Response Set,192.0.2.1,2016-04-04 10:20:41,2016-04-04 10:22:13,0007,1,0,5,4,2,1|2\r\n"
    "R_2,Default Response Set,192.0.2.1,2016-04-05 10:20:41,2016-04-05 10:22:13,0008,1,2,5,1,1,2|1\r\n"
)


def test_the_generation_of_2015_to_2017(company) -> None:
    """Its ImportIds are no JSON and join parts by a hyphen; dates are those of the dataset's zone."""
    with pytest.raises(json.JSONDecodeError):
        json.loads("{'ImportId': 'QID2-1'}")
    company.map(
        "own.yml",
        satisfaction("QID2-1") | {"tables": {"responses": {"columns": {"customer_id": "panel-ExternalDataReference"}}}},
    )
    company.deliver("own.csv", INSIGHTS)
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["response_id"].tolist() == ["R_1", "R_2"]
    assert responses["customer_id"].tolist() == ["0007", "0008"]
    assert responses["responded_at"][0] == pd.Timestamp("2016-04-04 15:22:13", tz="UTC")
    assert responses["typing_fault"].tolist() == [None, "not a real answer: test"]
    assert responses["source_row"].tolist() == [4, 5]
    about = json.loads((company.project.staged("acme") / "feeds.json").read_text())
    assert about["survey"]["files"][0]["notes"] == ["the file does not state the time zone of its dates"]
    assert company.staged("answers")["score"].tolist() == [4, 1]
    assert company.recognised("x.csv", INSIGHTS) == ["qualtrics"]


LEGACY = (
    "\ufeffV1,V2,V3,V4,V5,V6,V7,V8,V9,V10,Q1,Q2_1,\r\n"
    "ResponseID,ResponseSet,Name,ExternalDataReference,EmailAddress,IPAddress,Status,StartDate,EndDate,Finished,"
    "All in all?,How was-the shop,\r\n"
    "R_1,Default Response Set,Ann Example,0007,ann@example.com,192.0.2.1,0,"
    "2014-04-04 10:20:41,2014-04-04 10:22:13,1,5,4,\r\n"
    "R_2,Default Response Set,Bo Example,0008,bo@example.com,192.0.2.2,2,"
    "2014-04-05 10:20:41,2014-04-05 10:22:13,1,3,1,\r\n"
)


def test_the_legacy_generation(company) -> None:
    """Metadata have their names in the second row, and the last column is empty in every row."""
    naive = pd.read_csv(io.BytesIO(LEGACY.encode()), skiprows=[1, 2], encoding="utf-8")
    assert len(naive) == 1  # readers of three header rows lose the first response
    company.map("own.yml", satisfaction("Q2_1"))
    company.deliver("own.csv", LEGACY)
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["response_id"].tolist() == ["R_1", "R_2"]
    assert responses["responded_at"][1] == pd.Timestamp("2014-04-05 15:22:13", tz="UTC")
    assert responses["typing_fault"].tolist() == [None, "not a real answer: test"]
    assert responses["source_row"].tolist() == [3, 4]
    assert company.staged("answers")["score"].tolist() == [4, 1]
    assert company.recognised("x.csv", LEGACY) == ["qualtrics"]
    staged = b"".join(path.read_bytes() for path in company.project.staged("acme").iterdir())
    assert b"Example" not in staged
    assert b"ann@" not in staged


def test_a_legacy_row_that_is_too_long_is_kept_and_named(company) -> None:
    """Only empty cells beyond the header are cut."""
    company.map("own.yml", satisfaction("Q2_1"))
    company.deliver("own.csv", LEGACY.replace(",5,4,\r\n", ",5,4,7,\r\n"))
    company.ingest(FEED)
    assert company.staged("responses")["typing_fault"][0] == "record has 14 cells where the header has 12"


@pytest.mark.parametrize("content", ['[{"responseId": "R_1"}]', "\ufeff<?xml version='1.0'?><Responses/>"])
def test_exports_of_unknown_shape_are_refused(company, content: str) -> None:
    """JSON and XML exports are not guessed at."""
    company.map("own.yml", satisfaction("QID1"))
    company.deliver("own.txt", content)
    with pytest.raises(GateError, match="export as CSV, TSV, XLSX or SPSS"):
        company.ingest(FEED)


# --- SPSS ----------------------------------------------------------------------------------------


@pytest.fixture
def spss(tmp_path: Path) -> bytes:
    """Build an SPSS export of three responses with value labels and codes that are declared missing."""
    cases = pd.DataFrame(
        {
            "ResponseId": ["R_1", "R_2", "R_3"],
            "RecordedDate": pd.to_datetime(["2026-09-01 10:02", "2026-09-02 10:02", "2026-09-03 10:02"]),
            "Status": [0.0, 0.0, 1.0],
            "Finished": [1.0, 1.0, 1.0],
            "Q2": [4.0, -99.0, None],
            "Region": ["North", "n/a", "South"],
            "Q1_NPS_GROUP": [3.0, 1.0, 2.0],
        }
    )
    path = tmp_path / "written.sav"
    pyreadstat.write_sav(
        cases,
        str(path),
        column_labels={"Q2": "All in all?"},
        variable_value_labels={"Q2": {1.0: "Very poor", 5.0: "Very good", -99.0: "Seen but not answered"}},
        missing_ranges={"Q2": [{"lo": -99.0, "hi": -90.0}], "Region": ["n/a"]},
    )
    return path.read_bytes()


@pytest.mark.parametrize("archived", [False, True])
def test_spss_keeps_codes_and_names_what_it_declares_missing(company, spss: bytes, archived: bool) -> None:
    """A declared code is no score, and its label says why; a file in an archive is read from memory."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("own.sav", spss)
    company.map("own.yml", satisfaction("Q2") | {"tables": {"responses": {"segments": {"region": "Region"}}}})
    company.deliver("own.zip" if archived else "own.sav", content.getvalue() if archived else spss)
    company.ingest(FEED)
    responses = company.staged("responses")
    assert responses["responded_at"][0] == pd.Timestamp("2026-09-01 15:02", tz="UTC")
    assert responses["typing_fault"].tolist() == [None, None, "not a real answer: preview"]
    assert responses["region"].tolist() == ["North", None, "South"]
    answers = company.staged("answers")
    assert answers["score"].tolist() == [4, None, None]
    assert answers["missing_reason"].tolist() == [None, "Seen but not answered", "blank"]


def test_spss_titles_name_the_ends_of_a_scale(company, spss: bytes) -> None:
    """A draft shows which end is the good one; codes that are missing are no end."""
    records = find_adapter("qualtrics").records(DeliveredFile("x.sav", company.deliver("x.sav", spss)), FileForm())
    assert records.titles["Q2"] == "All in all? (1 = Very poor, 5 = Very good)"
    assert records.derived == {"Q1_NPS_GROUP"}
    assert list(records.lines) == [1, 2, 3]


def test_spss_is_recognised_by_its_variables(company, spss: bytes, tmp_path: Path) -> None:
    """Other tools write SPSS files too."""
    assert company.recognised("x.sav", spss) == ["qualtrics"]
    other = tmp_path / "other.sav"
    pyreadstat.write_sav(pd.DataFrame({"id": [1.0]}), str(other))
    assert company.recognised("y.sav", other.read_bytes()) == []


WIDTH_OF_FIRST_VARIABLE = 180  # position in the file


@pytest.mark.parametrize("damage", ["start alone", "end cut off", "width"])
def test_a_broken_spss_file_is_refused(company, spss: bytes, damage: str) -> None:
    """A file that was cut off is not read halfway; one wrong byte, which crashes the library, ends nothing else."""
    wrong = bytearray(spss)
    wrong[WIDTH_OF_FIRST_VARIABLE] = 127
    content = {"start alone": spss[:300], "end cut off": spss[:-20], "width": bytes(wrong)}[damage]
    company.map("own.yml", satisfaction("Q2"))
    company.deliver("own.sav", content)
    with pytest.raises(GateError, match="the SPSS file is broken"):
        company.ingest(FEED)
