"""Qualtrics response exports (CSV, three header rows: names, question texts, JSON with the ImportId).

Columns are known by their ImportId: the second row is translated, and survey authors rename what stands in the first.
"""

import json
from dataclasses import replace
from typing import Any

from cxreport.sources.adapter import Adapter
from cxreport.sources.files import DeliveredFile, UnreadableFileError
from cxreport.sources.glimpse import Glimpse, Recognised
from cxreport.sources.mapping import FileForm, SurveyMapping, known_zone
from cxreport.sources.records import Records, csv_rows, from_rows

_HEADER_ROWS = 3


class Qualtrics(Adapter):
    """Reads response exports; the feed's mapping says which ImportId is which question."""

    mapping_model = SurveyMapping
    needs_mapping = True

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the third header row."""
        third = glimpse.rows[_HEADER_ROWS - 1] if len(glimpse.rows) >= _HEADER_ROWS else [""]
        return Recognised("responses, CSV since 2017", "ImportIds in the third row") if "ImportId" in third[0] else None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export; dates are in the zone that the third header row states."""
        return _records(file, form)


def _records(file: DeliveredFile, form: FileForm) -> Records:
    rows = csv_rows(file, form.encoding, form.delimiter or ",")
    described = [_description(cell) for cell in rows[2][1]] if len(rows) >= _HEADER_ROWS else []
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
    titles = dict(zip(names, rows[1][1], strict=False))
    return replace(from_rows(names, rows[_HEADER_ROWS:]), zones=zones, titles=titles)


def _description(cell: str) -> dict[str, Any]:
    try:
        content = json.loads(cell)
    except (ValueError, RecursionError):  # not JSON, a number of thousands of digits, endless nesting
        return {}
    return content if isinstance(content, dict) else {}


ADAPTER = Qualtrics()
