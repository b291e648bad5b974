"""Google Forms: two files of one form, offsets with their sign, dates that hide the month, quizzes."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxreport.errors import GateError
from cxreport.sources.tools.google_forms import _with_padded_offset

FEED = {"id": "form", "adapter": "google_forms", "mapping": "form.yml", "files": "form.*"}
FORMS = (
    '"Timestamp","How satisfied are you? ","Which matter?","Anything else?"\n'
    '"2026/02/05 10:54:08 PM GMT+5:30","4","Cost;Travel time","Two\nlines"\n'
    '"2026/02/06 12:04:08 AM GMT+5:30","5","Cost;Mixed (a; b)",""\n'
)
SHEET = (
    "Timestamp,How satisfied are you? ,Which matter?\n"
    '9/18/2017 18:00:16,4,"Cost, Mixed (talks, workshops, ...)"\n'
    "9/1/2017 8:05:06,,Cost\n"
)
FIRST, LAST = (pd.Timestamp(year=year, month=1, day=1).to_pydatetime() for year in (2000, 2100))
QUESTION = "How satisfied are you?"


def satisfied(column: str = QUESTION, **more: Any) -> dict[str, Any]:
    question = {"column": column, "title": "Satisfied"}
    scale = {"low": 1, "high": 5, "good": "high"}
    return {"batteries": [{"metric": "csat", "scale": scale, "questions": {"csat": question}}], **more}


def ingested(company, name: str, content: str | bytes, mapping: dict[str, Any]) -> pd.DataFrame:
    company.map("form.yml", mapping)
    company.deliver(name, content)
    company.ingest(FEED)
    return company.staged("responses")


def test_the_file_of_forms_carries_offsets(company) -> None:
    """10:54 in the evening is 17:24 in Greenwich, five and a half hours behind; pandas takes the sign for the other."""
    assert pd.to_datetime("2026/02/05 10:54:08 PM GMT+5:30").utcoffset() == -timedelta(hours=5, minutes=30)
    responses = ingested(company, "form.csv", FORMS, satisfied())
    assert responses["responded_at"].tolist() == [
        pd.Timestamp("2026-02-05 17:24:08", tz="UTC"),
        pd.Timestamp("2026-02-05 18:34:08", tz="UTC"),
    ]
    assert responses["source_row"].tolist() == [2, 4]
    assert company.staged("answers")["score"].tolist() == [4, 5]


def test_the_file_comes_in_an_archive(company) -> None:
    """Forms downloads a ZIP with one CSV."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("My form.csv", FORMS)
    responses = ingested(company, "form.csv.zip", content.getvalue(), satisfied())
    assert set(responses["source"]) == {"form/form.csv.zip/My form.csv"}


@pytest.mark.parametrize(
    ("stamp", "utc"),
    [
        ("2026/02/05 10:54:08 AM GMT-3", "2026-02-05 13:54:08"),
        ("2026/02/05 10:54:08 AM GMT\u22123:30", "2026-02-05 14:24:08"),
        ("2026/02/05 12:54:08\u202fAM GMT", "2026-02-05 00:54:08"),
        ("2026/07/05 10:54:08 AM EDT", "2026-07-05 14:54:08"),
        ("2026/02/05 10:54:08 AM PST", "2026-02-05 18:54:08"),
        ("Mon Sep 08 2025 13:58:23 GMT-0500 (Central Daylight Time)", "2025-09-08 18:58:23"),
        ("2026-02-05 10:54:08", "2026-02-05 16:54:08"),
        ("05.02.2026 10:54:08", "2026-02-05 16:54:08"),
    ],
)
def test_other_timestamps(company, stamp: str, utc: str) -> None:
    """Offsets are exact; without one the dataset's zone counts."""
    responses = ingested(company, "form.csv", f"Timestamp,{QUESTION}\n{stamp},4\n", satisfied())
    assert responses["responded_at"].tolist() == [pd.Timestamp(utc, tz="UTC")]


@settings(max_examples=50)
@given(st.datetimes(FIRST, LAST), st.integers(-48, 56))
def test_every_offset_is_read_with_its_sign(at: datetime, quarters: int) -> None:
    """Quarters of an hour from -12:00 to +14:00, written without leading zeros."""
    sign, minutes = "-" if quarters < 0 else "+", abs(quarters) * 15
    offset = f"{sign}{minutes // 60}" + (f":{minutes % 60}" if minutes % 60 else "")
    written = _with_padded_offset(at.strftime("%Y/%m/%d %I:%M:%S %p GMT") + (offset if quarters else ""))
    read = datetime.strptime(written, "%Y/%m/%d %I:%M:%S %p GMT%z")
    assert read == at.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=quarters * 15))).astimezone(UTC)


def test_a_sheet_in_american_layout(company) -> None:
    """One date that can only begin with the month settles it for all: 9/1 is 1 September."""
    responses = ingested(company, "form.csv", SHEET, satisfied())
    assert responses["responded_at"].tolist() == [
        pd.Timestamp("2017-09-18 23:00:16", tz="UTC"),
        pd.Timestamp("2017-09-01 13:05:06", tz="UTC"),
    ]
    answers = company.staged("answers")
    assert answers["score"].tolist() == [4, None]
    assert answers["missing_reason"].tolist() == [None, "blank"]


def test_a_sheet_in_european_layout(company) -> None:
    """The same rule finds the day first; pandas would take 1/9 for 9 January."""
    content = SHEET.replace("9/18/2017", "18/09/2017").replace("9/1/2017 8:", "01/09/2017 08:")
    assert pd.to_datetime("01/09/2017 08:05:06").month == 1
    responses = ingested(company, "form.csv", content, satisfied())
    assert responses["responded_at"][1] == pd.Timestamp("2017-09-01 13:05:06", tz="UTC")


@pytest.mark.parametrize("first", ["9/8/2017", "18/9/2017,4,\n9/19/2017"])
def test_dates_that_hide_the_month_are_refused(company, first: str) -> None:
    """Neither a guess nor a mixture is read; the mapping can say which it is."""
    content = SHEET.replace("9/18/2017", first).replace(",4,\n", " 10:00:00,4,\n")
    with pytest.raises(GateError, match="whether its dates begin with the month"):
        ingested(company, "form.csv", content, satisfied())
    dated = {"column": "Timestamp", "formats": ["%d/%m/%Y %H:%M:%S"]}
    responses = ingested(
        company, "form.csv", content, satisfied(tables={"responses": {"columns": {"responded_at": dated}}})
    )
    assert responses["responded_at"].tolist()[-1] == pd.Timestamp("2017-01-09 14:05:06", tz="UTC")


def test_responses_are_known_by_their_timestamp(company) -> None:
    """Two within one second are counted, so that a later, longer download gives the same keys."""
    content = SHEET + "9/18/2017 18:00:16,1,\n"
    responses = ingested(company, "form.csv", content, satisfied())
    assert responses["response_id"].tolist() == ["9/18/2017 18:00:16", "9/1/2017 8:05:06", "9/18/2017 18:00:16 #2"]
    about = json.loads((company.project.staged("acme") / "feeds.json").read_text())
    assert "no ids" in about["form"]["files"][0]["notes"][0]


def test_several_choices_stay_one_text(company) -> None:
    """Options hold commas and semicolons themselves: a split would count choices that nobody offered."""
    mapping = satisfied(tables={"responses": {"segments": {"matter": "Which matter?"}}})
    responses = ingested(company, "form.csv", SHEET, mapping)
    assert responses["matter"][0] == "Cost, Mixed (talks, workshops, ...)"
    assert len(responses["matter"][0].split(", ")) == 4
    assert ingested(company, "form.csv", FORMS, mapping)["matter"][1] == "Cost;Mixed (a; b)"


@pytest.mark.parametrize("first", ["타임스탬프", "Zaman damgas\u0131", "Zeitstempel"])
def test_the_first_column_has_a_name_in_any_language(company, first: str) -> None:
    """It is known by its place."""
    responses = ingested(company, "form.csv", FORMS.replace("Timestamp", first), satisfied())
    assert responses["responded_at"].notna().all()


def test_a_sheet_as_tabs_and_as_a_workbook(company) -> None:
    """A TSV holds commas unquoted; a workbook holds dates."""
    tabbed = f"Timestamp\tFast, cheap, good, or all?\t{QUESTION}\n9/18/2017 18:00:16\ta, b, c, d\t4\n"
    assert ingested(company, "form.tsv", tabbed, satisfied())["responded_at"].notna().all()
    (company.project.root / "raw" / "form.tsv").unlink()
    book = openpyxl.Workbook()
    book.active.append(["Timestamp", QUESTION])
    book.active.append([pd.Timestamp("2017-09-18 18:00:16").to_pydatetime(), 4])
    content = io.BytesIO()
    book.save(content)
    responses = ingested(company, "form.xlsx", content.getvalue(), satisfied())
    assert responses["responded_at"].tolist() == [pd.Timestamp("2017-09-18 23:00:16", tz="UTC")]


def test_blank_and_repeated_headers_are_told_apart(company) -> None:
    """Deleted questions leave columns, and a question may stand twice."""
    content = f"Timestamp,,{QUESTION},{QUESTION}\n9/18/2017 18:00:16,x,4,2\n"
    ingested(company, "form.csv", content, satisfied(f"{QUESTION} [column 4]"))
    assert company.staged("answers")["score"].tolist() == [2]
    with pytest.raises(GateError, match="no column"):
        ingested(company, "form.csv", content, satisfied())


@pytest.mark.parametrize("derived", [f"{QUESTION} [Score]", f"{QUESTION} [Feedback]", "Score"])
def test_what_a_quiz_adds_is_no_question(company, derived: str) -> None:
    """Points are made from the answers."""
    content = (
        f'"Timestamp","Score","{QUESTION}","{QUESTION} [Score]","{QUESTION} [Feedback]"\n'
        '"2026/02/05 10:54:08 PM GMT+5:30","0.00 / 0","4","-- / 0",""\n'
    )
    with pytest.raises(GateError, match="which the tool derived"):
        ingested(company, "form.csv", content, satisfied(derived))


def test_a_question_may_be_called_score(company) -> None:
    """Only points of points are a quiz's."""
    ingested(company, "form.csv", "Timestamp,Score\n9/18/2017 18:00:16,4\n", satisfied("Score"))
    assert company.staged("answers")["score"].tolist() == [4]


def test_an_empty_file_is_refused(company) -> None:
    """Not even a header is no form."""
    with pytest.raises(GateError, match="not even a header"):
        ingested(company, "form.csv", "", satisfied())


def test_the_exports_are_recognised(company) -> None:
    """The file of Forms for certain, a sheet only where nothing else fits."""
    assert company.recognised("x.csv", FORMS) == ["google_forms"]
    assert company.recognised("y.csv", SHEET) == ["google_forms"]
    assert company.recognised("z.csv", "Timestamp,value\n1694972416,4\n") == []
