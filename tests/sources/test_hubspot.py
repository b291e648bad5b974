"""HubSpot: feedback of several survey types, and CRM exports in any language."""

import io
import json
from typing import Any

import pandas as pd
import pytest
from openpyxl import Workbook

from cxreport.errors import GateError

FEED = {"id": "hubspot", "adapter": "hubspot", "files": "export.*"}
MAPPED = FEED | {"mapping": "hubspot.yml"}
CONTACTS = (
    "Record ID,First Name,Email,Lifecycle Stage,Create Date,Associated Company IDs,Kundennummer\r\n"
    '90100000001,Ann,ann@example.com,Customer,2026-09-01 08:00,7001,"00001046"\r\n'
    '90100000002,Bo,bo@example.com,Lead,2026-09-02 08:00,7001;7002,"00001047"\r\n'
    '90100000003,Cy,cy@example.com,Lead,2026-09-02 09:00,,"00001048"\r\n'
)
CONTACTS_MAPPING = {
    "tables": {
        "customers": {
            "columns": {
                "customer_id": "Kundennummer",
                "started_at": {"column": "Create Date", "formats": ["%Y-%m-%d %H:%M"]},
            },
            "segments": {"company": "Associated Company IDs (one)"},
        }
    }
}


def submission(number: int, **properties: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "properties": {
            "hs_object_id": str(number),
            "hs_survey_type": "NPS",
            "hs_value": "9",
            "hs_response_group": "PROMOTER",
            "hs_content": "Call 312-555-0147",
            "hs_survey_name": "Loyalty",
            "hs_survey_channel": "EMAIL",
            "hs_submission_timestamp": "2026-09-01T13:00:00.123Z",
            "hs_contact_id": "555",
            "hs_lastmodifieddate": "2026-09-02T00:00:00Z",
            **properties,
        },
        "createdAt": "2026-09-01T13:00:01.000Z",
        "updatedAt": "2026-09-02T00:00:00.000Z",
        "archived": False,
    }


PAGE = {
    "results": [
        submission(1),
        submission(2, hs_survey_type="CSAT", hs_value="2", hs_submission_timestamp="2026-09-01T13:00:00Z"),
        submission(3, hs_value=None, hs_content=None),
    ],
    "paging": {"next": {"after": "4"}},
}


def notes(company) -> list[str]:
    feeds = json.loads((company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8"))
    return feeds["hubspot"]["files"][0]["notes"]


def test_values_are_scored_by_their_survey_type(company) -> None:
    """A satisfaction of 2 is no NPS of 2, and no promoter either, whatever its group says."""
    company.deliver("export.json", json.dumps(PAGE))
    company.ingest(FEED)
    answers, responses = company.staged("answers"), company.staged("responses")
    assert answers[["response_id", "question", "score", "missing_reason"]].to_numpy().tolist() == [
        ["hubspot-1", "nps", 9, None],
        ["hubspot-3", "nps", None, "blank"],
    ]
    assert (answers["scale_low"].iloc[0], answers["scale_high"].iloc[0]) == (0, 10)
    assert len(responses) == 3
    response = responses.iloc[0]
    assert response["responded_at"] == pd.Timestamp("2026-09-01 13:00:00.123", tz="UTC")
    assert (response["survey"], response["channel"], response["customer_id"]) == ("Loyalty", "EMAIL", None)
    assert response["comment"] == "Call [phone]"
    assert notes(company) == ["1 values of type CSAT are scores only where the mapping states their scale"]
    naive = pd.json_normalize(PAGE["results"])
    assert pd.to_numeric(naive["properties.hs_value"]).mean() == 5.5


def test_the_mapping_states_the_scale_of_a_satisfaction_survey(company) -> None:
    """Scales are set per survey, so a battery of the feed's own reads that type's column."""
    battery = {
        "metric": "csat",
        "scale": {"low": 1, "high": 7, "good": "high"},
        "asked_when": {"hs_survey_type": ["CSAT"]},
        "questions": {"csat": {"column": "hs_value CSAT", "title": "Satisfied"}},
    }
    company.map("hubspot.yml", {"batteries": [battery]})
    company.deliver("export.json", json.dumps(PAGE))
    company.ingest(MAPPED)
    answers = company.staged("answers").set_index(["response_id", "question"])
    assert answers.loc[("hubspot-2", "csat"), "score"] == 2
    assert answers.loc[("hubspot-2", "csat"), "scale_high"] == 7
    assert len(answers) == 3


def test_an_unknown_survey_type_is_counted_and_not_named(company) -> None:
    """What is no survey type has no score, and is not repeated in a note."""
    company.deliver("export.json", json.dumps([submission(1, hs_survey_type="{ann@example.com}")]))
    company.ingest(FEED)
    assert len(company.staged("answers")) == 0
    assert notes(company) == ["1 values are of a survey type that is not known"]


def test_the_response_group_is_no_question(company) -> None:
    """The group is derived by the tool, wrongly at times, and refused as an answer."""
    battery = {
        "metric": "item",
        "scale": {"low": 0, "high": 1, "good": "high"},
        "labels": {"PROMOTER": 1},
        "questions": {"group": {"column": "hs_response_group", "title": "Group"}},
    }
    company.map("hubspot.yml", {"batteries": [battery]})
    company.deliver("export.json", json.dumps(PAGE))
    with pytest.raises(GateError, match="`hs_response_group`, which the tool derived"):
        company.ingest(MAPPED)


def test_feedback_with_internal_names_is_read_alike(company) -> None:
    """A CSV with internal names is the same feedback as the API's objects."""
    rows = [found["properties"] for found in PAGE["results"]]
    company.deliver("export.csv", pd.DataFrame(rows).to_csv(index=False))
    company.ingest(FEED)
    assert company.staged("answers")["score"].tolist() == [9, None]


def test_crm_exports_are_placed_by_their_mapping(company) -> None:
    """Local times are placed, numbers keep their zeros, ids that are joined are taken for none of them."""
    company.map("hubspot.yml", CONTACTS_MAPPING)
    company.deliver("export.csv", CONTACTS)
    company.ingest(MAPPED)
    customers = company.staged("customers")
    assert customers["customer_id"].tolist() == ["00001046", "00001047", "00001048"]
    assert customers["started_at"].iloc[0] == pd.Timestamp("2026-09-01 13:00", tz="UTC")
    assert customers["company"].tolist() == ["7001", None, None]
    assert notes(company) == ["1 records have several ids in `Associated Company IDs`"]
    assert pd.read_csv(io.StringIO(CONTACTS))["Kundennummer"].iloc[0] == 1046


def test_utf_16_with_tabs_is_read(company) -> None:
    """The delimiter shows in the file, the encoding in its mark."""
    company.map("hubspot.yml", CONTACTS_MAPPING)
    company.deliver("export.csv", CONTACTS.replace(",", "\t").encode("utf-16"))
    company.ingest(MAPPED)
    assert company.staged("customers")["customer_id"].tolist() == ["00001046", "00001047", "00001048"]


def test_workbooks_are_read(company) -> None:
    """The same export as a workbook has rows of its sheet."""
    book = Workbook()
    for line in CONTACTS.splitlines():
        book.active.append([cell.strip('"') for cell in line.split(",")])
    book.save(held := io.BytesIO())
    company.map("hubspot.yml", CONTACTS_MAPPING)
    company.deliver("export.xlsx", held.getvalue())
    company.ingest(MAPPED)
    assert company.staged("customers")["source_row"].tolist() == [2, 3, 4]


def test_crm_exports_need_a_mapping(company) -> None:
    """Columns are those of a view, under labels in any language: none is guessed."""
    company.deliver("export.csv", CONTACTS)
    with pytest.raises(GateError, match="nothing says what its columns mean"):
        company.ingest(FEED)


def test_rounded_record_ids_are_refused(company) -> None:
    """A spreadsheet's `9.01E+10` is no id."""
    company.map("hubspot.yml", CONTACTS_MAPPING)
    company.deliver("export.csv", CONTACTS.replace("90100000001", "9.01E+10"))
    with pytest.raises(GateError, match="ids in `Record ID` were rounded"):
        company.ingest(MAPPED)


@pytest.mark.parametrize("content", ['{"results": [{"id": "1"}]}', '{"results": [{"properties": 7}]}'])
def test_objects_without_properties_are_refused(company, content: str) -> None:
    """What the API never sends is said plainly."""
    company.deliver("export.json", content)
    with pytest.raises(GateError, match="an object has no `properties`"):
        company.ingest(FEED)


@pytest.mark.parametrize(
    ("content", "certain"),
    [
        (json.dumps(PAGE), True),
        ("hs_object_id,dealname,dealstage\r\n1,Big,qualifiedtobuy\r\n", True),
        (CONTACTS, False),
        ("Record ID,Deal Name,Deal Stage,Close Date,Amount\r\n1,Big,Proposal,2026-09-01 08:00,5\r\n", False),
        ("Survey Name,Survey Type,Sentiment,Submission Timestamp\r\nA,NPS,Positive,2026-09-01 08:00\r\n", False),
    ],
)
def test_exports_are_recognised(company, content: str, certain: bool) -> None:
    """Internal names are HubSpot's alone, labels are only a hint."""
    assert company.taken_for("export", content)["hubspot"].certain == certain
