"""Qualtrics response exports (CSV, three header rows: names, question texts, JSON with the ImportId).

Columns are known by their ImportId: the second row is translated, and survey authors rename what stands in the first.
"""

import json
from pathlib import Path
from typing import Any

from cxreport.sources.adapter import Delivery, deliver
from cxreport.sources.mapping import Mapping, SurveyMapping, known_zone
from cxreport.sources.records import Records, UnreadableFileError, csv_rows, first_rows, from_rows

_HEADER_ROWS = 3


class Qualtrics:
    """Reads response exports; the feed's mapping says which ImportId is which question."""

    mapping_model = SurveyMapping
    needs_mapping = True

    def sniff(self, path: Path) -> bool:
        """Recognise the third header row."""
        rows = first_rows(path, _HEADER_ROWS)
        return len(rows) == _HEADER_ROWS and bool(rows[2]) and "ImportId" in rows[2][0]

    def read(self, path: Path, mapping: Mapping | None, time_zone: str) -> Delivery:
        """Read one export; dates are in the zone that the third header row states."""
        assert mapping is not None  # `needs_mapping`
        return deliver(_records(path), mapping, time_zone)


def _records(path: Path) -> Records:
    rows = csv_rows(path)
    described = [_description(cell) for cell in rows[2]] if len(rows) >= _HEADER_ROWS else []
    if not described or not any(described):
        raise UnreadableFileError(
            "no third header row with ImportIds (exports from before 2017, and `legacy` ones, lack it)"
        )
    names = [str(about.get("ImportId", "")) for about in described]
    try:
        zones = {
            name: known_zone(str(about["timeZone"]))
            for name, about in zip(names, described, strict=True)
            if "timeZone" in about
        }
    except ValueError:
        raise UnreadableFileError("the third header row states a time zone that is not known") from None
    data = from_rows(names, rows[_HEADER_ROWS:])
    return Records(data.header, data.cells, data.rows, data.ragged, zones)


def _description(cell: str) -> dict[str, Any]:
    try:
        content = json.loads(cell)
    except (ValueError, RecursionError):  # not JSON, a number of thousands of digits, endless nesting
        return {}
    return content if isinstance(content, dict) else {}


ADAPTER = Qualtrics()
