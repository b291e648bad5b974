"""Hootsuite: Inbox conversations, placed by a mapping, and analytics of posts as `aggregates`.

Only the first headers of conversations are documented, dates are in a zone chosen at export: whether they are
`tickets` or `mentions`, and in which form, is for the mapping to say. The analytics layout (a title, a range of dates,
then the header) was only seen in a third party's test, so that a feed must name this adapter to have it read.
"""

from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import with_whole_ids
from cxreport.sources.figures import figure_mapping, wide_figures
from cxreport.sources.formats.delimited import csv_rows
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, from_rows
from cxreport.sources.mapping import FileForm, Mapping

_CONVERSATIONS = frozenset({"Conversation ID", "Medium", "Channel", "Channel Display Name"})
_POSTS = frozenset({"Date (GMT)", "Post ID", "Post Permalink", "Social Network"})
_NO_METRICS = _POSTS | {"Post Message", "Post Type", "Profile", "Profile Name"}


class Hootsuite(Adapter):
    """Reads conversations and posts; conversations need a mapping."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise a header, the one of posts uncertainly."""
        if glimpse.header >= _CONVERSATIONS:
            return Recognised("Inbox conversations", "`Conversation ID` and `Medium` in its header")
        if any(_is_header(row) for row in glimpse.rows[:10]):
            return Recognised("analytics of posts", "`Date (GMT)` and `Post Permalink` in a header", certain=False)
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read conversations row by row, and posts figure by figure."""
        rows = csv_rows(file, form.encoding, form.delimiter or ",")
        if not rows:
            raise UnreadableFileError("the file is empty, it has not even a header")
        at = next((at for at, (_, row) in enumerate(rows[:10]) if _is_header(row)), None)
        if at is None:
            records = from_rows(rows[0][1], rows[1:])
            records.require(["Conversation ID"])
            return records
        records = with_whole_ids(from_rows(rows[at][1], rows[at + 1 :]), ["Post ID"])
        return wide_figures(
            records,
            "Post performance",
            labels=_NO_METRICS,
            started="Date (GMT)",
            channel="Social Network",
            dimension="Post ID",
            more=["Post Type"],
            notes=[*records.notes, *([f"rows above the header left out: {at}"] if at else [])],
        )

    def standard(self, records: Records) -> Mapping | None:
        """Return where figures belong, whose times are GMT; nothing for conversations."""
        if "aggregate_id" not in records.header:
            return None
        return figure_mapping(["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"], segments=["Post Type"], time_zone="UTC")


def _is_header(row: list[str]) -> bool:
    return {cell.strip() for cell in row} >= _POSTS


ADAPTER = Hootsuite()
