"""Sprout Social: post and profile performance as `aggregates`, Listening and Inbox messages as `mentions`.

Figures have commas between thousands, rates a percent sign, and `N/A` or nothing where a metric does not apply. Names
of profiles and senders stay out; two profiles of one network are told apart by the id. Times are local to the account.
Columns after others' readers, no file of Sprout's own was seen; the times of Listening and Inbox are an assumption.
"""

import pandas as pd

from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import with_columns, with_whole_ids
from cxreport.sources.figures import figure_mapping, wide_figures
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, read_csv
from cxreport.sources.identifiers import digest
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin

_POSTS = frozenset({"Date", "Post ID", "Network", "Post Type"})
_PROFILES = frozenset({"Network", "Profile", "Audience"})
_LISTENING = frozenset({"Date", "Network", "Message", "Message ID", "Sentiment"})
_INBOX = frozenset({"Timestamp", "Network", "Message", "Permalink"})
_NO_METRICS = frozenset(
    {
        *(
            "Date",
            "Post ID",
            "Network",
            "Post Type",
            "Content Type",
            "Profile",
            "Sent by",
            "Link",
            "Post",
            "Linked Content",
        ),
        *("Tags", "Profile ID", "Profile Type"),
    }
)
_FORMATS = ["%m/%d/%Y %I:%M %p", "%m/%d/%Y", "%Y-%m-%d %H:%M:%S"]
_SENTIMENTS = {
    spelt: sentiment
    for sentiment in ("positive", "neutral", "negative")
    for spelt in (sentiment, sentiment.title(), sentiment.upper())
}


class SproutSocial(Adapter):
    """Reads four kinds of CSV; a mapping gives networks their names."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the header of a kind."""
        names, dated = glimpse.header, any(cell.startswith("Date") for cell in glimpse.header)
        if names >= _POSTS:
            return Recognised("Post Performance", "`Post ID` and `Post Type` in its header")
        if names >= _PROFILES and dated:
            return Recognised("Profile Performance", "`Profile` and `Audience` beside a date in its header")
        if names >= _LISTENING:
            return Recognised("Listening messages", "`Message ID` and `Sentiment` in its header")
        return Recognised("Inbox", "`Timestamp` and `Permalink` in its header") if names >= _INBOX else None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read messages row by row, and performance figure by figure."""
        records = with_whole_ids(read_csv(file, form.encoding, form.delimiter or ","), ["Post ID", "Message ID"])
        names = frozenset(records.header)
        if names >= _POSTS:
            return _posts(records)
        if names >= _PROFILES:
            return _profiles(records)
        if names >= _INBOX and not names >= _LISTENING:
            return _with_key(records)
        records.require(_LISTENING)
        return records

    def standard(self, records: Records) -> Mapping:
        """Return where figures or messages belong."""
        if "aggregate_id" in records.header:
            return figure_mapping(_FORMATS, segments=["Post Type", "Content Type"])
        is_inbox = "message_key" in records.header
        columns = {
            "mention_id": Origin(column="message_key" if is_inbox else "Message ID"),
            "posted_at": Origin(column="Timestamp" if is_inbox else "Date", formats=_FORMATS),
            "network": Origin(column="Network"),
            "sentiment": Origin(column="Sentiment", labels=_SENTIMENTS, missing=["N/A"], optional=True),
            "text": Origin(column="Message"),
        }
        return Mapping(tables={"mentions": Fields(columns=columns)})


def _posts(records: Records) -> Records:
    return wide_figures(
        records,
        "Post Performance",
        labels=_NO_METRICS,
        started="Date",
        channel="Network",
        dimension="Post ID",
        more=["Post Type", "Content Type"],
        notes=records.notes,
    )


def _profiles(records: Records) -> Records:
    """Read days of profiles; only a part of the header's first cell is known."""
    date = next((name for name in records.header if name.startswith("Date")), None)
    if date is None:
        raise UnreadableFileError("no column `Date`")
    return wide_figures(
        records,
        "Profile Performance",
        labels=_NO_METRICS | {date},
        started=date,
        channel="Network",
        more=["Profile"],
        of_a_day="%m/%d/%Y",
    )


def _with_key(records: Records) -> Records:
    """Add an id: the address of a message names its author, so only what it hashes to is used."""
    names = ("Network", "Permalink", "Timestamp", "Message")
    cells = zip(*(records.text(name).fillna("") for name in names), strict=True)
    keys = [digest(network, *((link,) if link else (at, message))) for network, link, at, message in cells]
    lined_up = ~pd.Series(range(records.rows)).isin(records.ragged)
    return with_columns(records, {"message_key": pd.Series(keys, dtype="str").where(lined_up)})


ADAPTER = SproutSocial()
