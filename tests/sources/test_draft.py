"""Drafts of mappings propose what question texts and values say, and nothing personal or derived."""

import pytest
import yaml

from cxreport.sources.draft import draft_mapping
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import Mapping

STANDARD = Mapping.model_validate(
    {
        "tables": {
            "responses": {"columns": {"response_id": "id", "responded_at": {"column": "at", "formats": ["%Y-%m-%d"]}}}
        }
    }
)


def records(columns: dict[str, list[str]], titles: dict[str, str] | None = None, derived: str = "") -> Records:
    rows = len(next(iter(columns.values())))
    cells = tuple(columns.values())
    return Records(tuple(columns), cells, range(2, rows + 2), titles=titles or {}, derived=frozenset({derived}))


def drafted(columns: dict[str, list[str]], titles: dict[str, str] | None = None, derived: str = "") -> Mapping:
    found = records({"id": ["R1", "R2"], "at": ["2026", "2026"], **columns}, titles, derived)
    return Mapping.model_validate(yaml.safe_load(draft_mapping(found, STANDARD, "some_tool")))


@pytest.mark.parametrize(
    ("title", "values", "metric", "scale"),
    [
        ("How likely are you to recommend us?", ["9", "7"], "nps", (0, 10, "high")),
        ("How satisfied are you, all in all?", ["4", "5"], "csat", (1, 5, "high")),
        ("How satisfied are you, from 0 to 10?", ["4", "5"], "csat", (0, 10, "high")),
        ("How much effort did you have to put in?", ["1", "3"], "ces_v1", (1, 5, "low")),
        ("They made it easy for me (1-7)", ["5", "3"], "ces_v2", (1, 7, "high")),
        ("I could get what I wanted", ["6", "7"], "success", (1, 7, "high")),
        ("How did the visit make you feel?", ["1", "5"], "emotion", (1, 5, "high")),
        ("The rooms were clean", ["0", "9"], "item", (0, 10, "high")),
    ],
)
def test_metric_and_scale_are_proposed(title: str, values: list[str], metric: str, scale: tuple[int, int, str]) -> None:
    """Words of the question tell the metric; the text, else the values, tell the scale."""
    (battery,) = drafted({"Q1": values}, {"Q1": title}).batteries
    assert (battery.metric, (battery.scale.low, battery.scale.high, battery.scale.good)) == (metric, scale)
    assert [question.title for question in battery.questions.values()] == [title]


def test_derived_and_personal_columns_are_never_proposed() -> None:
    """Groups of scores, addresses, positions, and columns that hold addresses under another name stay out."""
    columns = {
        "Q1": ["9", "7"],
        "Q1 Group": ["3", "2"],
        "Q1_NPS": ["3", "2"],
        "Phone": ["1", "2"],
        "Latitude": ["1", "2"],
        "IP Address": ["1", "2"],
        "First Name": ["1", "2"],
        "Contact": ["ann@example.com", "bo@example.com"],
    }
    found = records({"id": ["R1", "R2"], **columns}, derived="Q1_NPS")
    text = draft_mapping(found, STANDARD, "some_tool")
    (battery,) = Mapping.model_validate(yaml.safe_load(text)).batteries
    assert [question.column for question in battery.questions.values()] == ["Q1"]
    assert not [name for name in columns if name != "Q1" and name in text]
    assert "example.com" not in text


def test_values_that_are_no_scale_are_no_questions() -> None:
    """Years, durations, words and negative numbers are left to the reader; their names are listed."""
    columns = {"year": ["2026", "2025"], "Duration": ["3", "4"], "plan": ["pro", "basic"], "balance": ["-1", "3"]}
    text = draft_mapping(records({"id": ["R1", "R2"], "at": ["", ""], **columns}), STANDARD, "some_tool")
    assert "batteries" not in text
    assert all(f'#   "{name}"' in text for name in columns)


def test_answers_in_own_words_become_the_comment() -> None:
    """The first column of longer texts is proposed, once; its values are not quoted."""
    said = "I waited for a long time and nobody called me back"
    text = draft_mapping(records({"id": ["R1"], "at": [""], "Why?": [said], "More?": [said]}), STANDARD, "some_tool")
    mapping = Mapping.model_validate(yaml.safe_load(text))
    assert mapping.tables["responses"].columns["comment"].column == "Why?"
    assert said not in text


def test_a_file_without_a_header_is_not_quoted() -> None:
    """Columns that are called like values are left out, and titles are masked."""
    found = records(
        {"312-555-0147": ["1"], "ann@example.com": ["2"], "Q": ["5"]}, {"Q": "Is 312-555-0147 your number?"}
    )
    text = draft_mapping(found, STANDARD, "some_tool")
    assert "555" not in text
    assert "ann@" not in text
    assert "Is [phone] your number?" in text


def test_a_table_of_an_unknown_tool_gets_its_likely_columns() -> None:
    """Names and the form of dates tell the table, its key and its date; both orders of a date are offered."""
    found = records(
        {
            "Ticket ID": ["1", "2"],
            "Created": ["03/04/2026", "05/04/2026"],
            "Priority": ["high", "low"],
            "Requester Email": ["a@b.example", "c@d.example"],
            "Colour": ["red", "blue"],
        }
    )
    text = draft_mapping(found, None, "mapped")
    (name, fields), *_ = Mapping.model_validate(yaml.safe_load(text)).tables.items()
    assert name == "tickets"
    assert {column: origin.column for column, origin in fields.columns.items()} == {
        "ticket_id": "Ticket ID",
        "created_at": "Created",
        "priority": "Priority",
    }
    assert fields.columns["created_at"].formats == ["%m/%d/%Y", "%d/%m/%Y"]
    assert '#   "Colour"' in text
