"""Mappings refuse what cannot be meant, before any file is read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cxreport.config import Project, load_yaml
from cxreport.errors import DefinitionError
from cxreport.sources.mapping import FileMapping, Origin, SurveyMapping

ORDERS: dict[str, Any] = {
    "order_id": "id",
    "ordered_at": {"column": "day", "formats": ["%d.%m.%Y"]},
}


def load(folder: Path, mapping: dict[str, Any] | str, model: type[Any] = FileMapping) -> Any:
    path = folder / "mapping.yml"
    path.write_text(mapping if isinstance(mapping, str) else yaml.safe_dump(mapping), encoding="utf-8")
    return load_yaml(path, model, Project(folder))


def orders(**changes: Any) -> dict[str, Any]:
    return {"tables": {"orders": {"columns": ORDERS | changes}}}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (orders(amout="x"), "`orders` has no column `amout`, did you mean `amount`?"),
        (orders(ordered_at="day"), "`orders.ordered_at` is a date: give `formats`"),
        (orders(ordered_at={"column": "day", "formats": ["%H:%M"]}), "does not state a year, month and day"),
        (orders(ordered_at={"column": "day", "formats": ["%d.%m.%Y"], "time_zone": "Mars/Base"}), "no IANA time zone"),
        (orders(amount={"column": "x", "formats": ["%Y-%m-%d"]}), "`orders.amount` is no date"),
        (orders(kind={"column": "k", "constant": "new"}), "exactly one of `column`, `constant` and `template`"),
        (orders(kind={"template": "new"}), "names no column in braces"),
        (orders(kind={"template": "{a:x>y}"}), "`template` pads with `x>y`"),
        (orders(source="x"), "`orders` has no column `source`"),
        (orders() | {"colour": 1}, "unknown key `colour`"),
        (orders() | {"file": {"encoding": "utf-9"}}, "`utf-9` is no encoding"),
        ({"tables": {}}, "`tables` names no canonical table"),
        ({"tables": {"orders": {"columns": {"order_id": "id"}}}}, "`orders` lacks the column `ordered_at`"),
        ({"tables": {"orders": {"columns": ORDERS, "segments": {"kind": "k"}}}}, "is a column of `orders` already"),
        (orders() | {"tables": {"answers": {"columns": {}}}}, "`answers` is made from `batteries`"),
        (orders() | {"real_answers": {"state": {"real": ["done"]}}}, "`tables` lacks `responses`"),
    ],
)
def test_wrong_mappings_are_refused(tmp_path: Path, mapping: dict[str, Any], message: str) -> None:
    """Each mistake is named with its place."""
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, mapping)
    assert message in caught.value.found


def test_words_that_yaml_turns_into_truth_values_must_be_quoted(tmp_path: Path) -> None:
    """`No` as a code or label would silently become false."""
    text = "tables: {orders: {columns: {order_id: id, kind: {column: k, labels: {1: No}}}}}"
    with pytest.raises(DefinitionError, match="put it in quotes"):
        load(tmp_path, text)


def test_numbers_as_codes_need_no_quotes(tmp_path: Path) -> None:
    """Analysts write codes as they see them."""
    mapping = load(tmp_path, orders(kind={"column": "k", "labels": {1: "new"}, "missing": [0]}))
    assert mapping.tables["orders"].columns["kind"].labels == {"1": "new"}
    assert mapping.tables["orders"].columns["kind"].missing == ["0"]


def test_question_ids_are_unique_and_surveys_need_responses(tmp_path: Path) -> None:
    """Two questions with one id would be one row twice."""
    battery = {
        "metric": "csat",
        "scale": {"low": 1, "high": 5, "good": "high"},
        "questions": {"csat": {"column": "Q", "title": "t"}},
    }
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, {"batteries": [battery, battery]}, SurveyMapping)
    assert "question `csat` stands twice" in caught.value.found
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, {"batteries": [battery]}, SurveyMapping)
    assert "`tables` lacks `responses`" in caught.value.found


def test_templates_pad_and_keep_braces_in_values() -> None:
    """Filling in is not repeated on what was filled in."""
    origin = Origin(template="2017-{Month [n]:0>2}-{Day}")
    assert origin.columns == ("Month [n]", "Day")
    assert origin.fill(("5", "{Day}")) == "2017-05-{Day}"
