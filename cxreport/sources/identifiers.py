"""What several tools' records are given: ids where a tool gives none, the company's own ids, the text of a review."""

import hashlib
import json

import pandas as pd

from cxreport.sources.derive import text_of
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import Origin


def digest(*parts: str | None) -> str:
    """Return 32 hex digits that stand for the parts in their order, the same in every file and run.

    >>> digest("a", "b") == digest("a", "b"), digest("ab", "") == digest("a", "b")
    (True, False)
    """
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:32]


def company_id(records: Records, column: str) -> dict[str, Origin]:
    """Return where `customer_id` comes from when a tool carries the company's own ids in a column, else nothing.

    Columns with e-mail addresses are left to the feed's mapping, which can `keep` them as hashes.
    """
    if column not in records.header or records.text(column).str.contains("@", na=False).any():
        return {}
    return {"customer_id": Origin(column=column)}


def title_and_text(records: Records, title: str, text: str) -> "pd.Series[str]":
    """Return a review's title and text, either of which may be blank or absent, as one text."""
    return text_of(records, title).str.cat(text_of(records, text), sep="\n", na_rep="").str.strip().replace("", None)
