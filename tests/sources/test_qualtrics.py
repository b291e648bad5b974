"""Qualtrics exports: three header rows, ImportIds, zones, previews and questions that were not asked."""

import copy
from typing import Any

import pandas as pd
import pytest

from cxreport.errors import GateError


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


@pytest.mark.parametrize(
    "content",
    [
        "V1,V2,\r\nResponseID,ResponseSet,\r\nR_1,Default,\r\n",
        "ResponseID,Q1\r\nID,Text\r\n{'ImportId': 'responseId'},{'ImportId': 'QID1'}\r\nR_1,5\r\n",
        "a,b\n1,2\n",
    ],
)
def test_older_generations_are_refused_by_name(company, survey: dict[str, str], content: str) -> None:
    """A file without JSON ImportIds is not read by position."""
    company.deliver("survey.csv", content)
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
