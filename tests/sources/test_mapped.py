"""Any file becomes canonical tables as its mapping says."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxreport.errors import GateError

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
