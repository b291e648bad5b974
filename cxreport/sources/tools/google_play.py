"""Google Play Console: monthly review files (CSV in UTF-16) as `mentions`.

A review is known by the id in its link, and stands again in a later file when it was changed: its last update counts.
Ratings without a text are reviews too; where such a row has no link, what it is of and when serves as its id.
"""

from urllib.parse import parse_qs, urlsplit

import pandas as pd

from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import text_of, with_columns
from cxreport.sources.formats.files import DeliveredFile
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, read_csv
from cxreport.sources.identifiers import digest, title_and_text
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin

_SUBMITTED, _UPDATED = "Review Submit Millis Since Epoch", "Review Last Update Millis Since Epoch"
_SIGNATURE = frozenset({"Package Name", "Star Rating", "Review Link", _SUBMITTED})
_WITHOUT_LINK = ("Package Name", "App Version Code", "Reviewer Language", _SUBMITTED)
_WORDS = ("Review Title", "Review Text")
_STANDARD = Mapping(
    tables={
        "mentions": Fields(
            columns={
                "mention_id": Origin(column="review_key"),
                "posted_at": Origin(column=_SUBMITTED, formats=["unix_ms"]),
                "network": Origin(constant="Google Play"),
                "language": Origin(column="Reviewer Language", optional=True),
                "rating": Origin(column="Star Rating"),
                "text": Origin(column="review"),
            },
            updated=Origin(column=_UPDATED, formats=["unix_ms"], optional=True),
        )
    }
)


class GooglePlay(Adapter):
    """Reads review files; a mapping may add the app's version as a segment."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the labels of the header."""
        return Recognised("monthly reviews", "the labels of its header") if glimpse.header >= _SIGNATURE else None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one month; `review_key` and `review`, title and text, are added."""
        records = read_csv(file, form.encoding, form.delimiter or ",")
        records.require(_SIGNATURE, [*_WITHOUT_LINK, *_WORDS])
        others = zip(*(text_of(records, name).fillna("") for name in _WITHOUT_LINK), strict=True)
        without_link = pd.Series([digest(*parts) for parts in others], dtype="str")
        lined_up = ~pd.Series(range(records.rows)).isin(records.ragged)
        linked = records.text("Review Link").map(_review_id, na_action="ignore").astype("str")
        keys = linked.fillna(without_link).where(lined_up)
        return with_columns(records, {"review_key": keys, "review": title_and_text(records, *_WORDS)})

    def standard(self, records: Records) -> Mapping:  # noqa: ARG002 - the same for every export
        """Return where reviews belong."""
        return _STANDARD


def _review_id(link: str) -> str | None:
    """Return the review's id from its link.

    >>> _review_id("http://play.google.com/console/developers/1/app/2/user-feedback/review-details?reviewId=ab-c&corpus=x")
    'ab-c'
    """
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return next(iter(parse_qs(parts.query).get("reviewId", parse_qs(parts.fragment).get("reviewId", []))), None)


ADAPTER = GooglePlay()
