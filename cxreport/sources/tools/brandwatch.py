"""Brandwatch Consumer Research: bulk mentions (CSV, also in a ZIP, or XLSX) as `mentions`.

Rows about the query stand above the header, which is found by its names: columns vary by date of export and channel.
A mention is known by its `Resource Id`; where that is blank, by a hash of its address, which may name its author.
The text is the full one, else the snippet, else the title. Dates without an offset are taken as UTC.
Structure after several readers, which agree; no untouched file was seen.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import text_of, with_columns, with_whole_ids
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, from_rows, table_rows
from cxreport.sources.identifiers import digest
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin

_ABOVE = 40  # rows in which the header is looked for
_TITLE = "Bulk Mentions Download"
_FORMATS = ["%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"]
_TEXTS = ("Full Text", "Snippet", "Title")
_CHANNELS = ("Page Type", "Content Source Name")
_SENTIMENTS = {
    spelt: sentiment for sentiment in ("positive", "neutral", "negative") for spelt in (sentiment, sentiment.title())
}


class Brandwatch(Adapter):
    """Reads bulk mentions; a mapping may add categories and tags as segments."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the title above the header, or the header."""
        if any(_TITLE in row for row in glimpse.rows[:6]):
            return Recognised("bulk mentions", "the title above its header")
        names = next(({cell.strip() for cell in row} for row in glimpse.rows[:_ABOVE] if _is_header(row)), set())
        if {"Query Id", "Date", "Url"} <= names:
            return Recognised("bulk mentions", "`Query Id`, `Date` and `Url` in its header")
        if names >= {"Date", "Url", "Sentiment"}.union(_TEXTS[1:]):
            return Recognised("mentions", "`Date`, `Url` and `Snippet` in its header", certain=False)
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read every mention; `mention_key`, `mention_text` and `channel_name` are added."""
        rows = table_rows(file, form.encoding, form.delimiter or ",", form.sheet)
        at = next((at for at, (_, row) in enumerate(rows[:_ABOVE]) if _is_header(row)), None)
        if at is None:
            raise UnreadableFileError(f"no header with `Query Id`, or `Date` and `Url`, in the first {_ABOVE} rows")
        records = with_whole_ids(from_rows(rows[at][1], rows[at + 1 :]), ["Resource Id"])
        records.require(["Date", "Url"], ["Resource Id", *_TEXTS, *_CHANNELS])
        notes = (*records.notes, *((f"rows above the header left out: {at}",) if at else ()))
        return replace(_with_choices(records), zones={"Date": "UTC"}, notes=notes)

    def standard(self, records: Records) -> Mapping:  # noqa: ARG002 - optional columns serve every export
        """Return where mentions belong; of several deliveries of one, the last update counts."""
        columns = {
            "mention_id": Origin(column="mention_key"),
            "posted_at": Origin(column="Date", formats=_FORMATS),
            "network": Origin(column="channel_name"),
            "language": Origin(column="Language", optional=True),
            "rating": Origin(column="Rating", optional=True),
            "sentiment": Origin(column="Sentiment", labels=_SENTIMENTS, optional=True),
            "text": Origin(column="mention_text"),
        }
        updated = Origin(column="Updated", formats=_FORMATS, time_zone="UTC", optional=True)
        return Mapping(tables={"mentions": Fields(columns=columns, updated=updated)})


def _is_header(row: Sequence[str]) -> bool:
    names = {cell.strip() for cell in row}
    return "Query Id" in names or {"Date", "Url"} <= names


def _with_choices(records: Records) -> Records:
    """Add what is the first of several columns that is filled."""
    from_url = records.text("Url").map(digest, na_action="ignore").astype("str")
    return with_columns(
        records,
        {
            "mention_key": text_of(records, "Resource Id").fillna(from_url),
            "mention_text": _first(records, _TEXTS),
            "channel_name": _first(records, _CHANNELS),
        },
    )


def _first(records: Records, names: Sequence[str]) -> "pd.Series[str]":
    found = text_of(records, names[0])
    for name in names[1:]:
        found = found.fillna(text_of(records, name))
    return found


ADAPTER = Brandwatch()
