"""Trustpilot: reviews as its API gives them (JSON) as `mentions`; names, addresses and order numbers stay out.

Read are an array of reviews, one per line, and pages that hold them under `reviews`. The columns of the CSV export of
business accounts were not seen in a file: the adapter `mapped` reads it.
"""

from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import first_objects, with_columns
from cxreport.sources.formats.files import DeliveredFile
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import read_json
from cxreport.sources.formats.records import Records
from cxreport.sources.identifiers import title_and_text
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin

_PAGE = "reviews"
_KEYS = frozenset({"id", "stars", "createdAt", "consumer"})
_FORMATS = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]
_STANDARD = Mapping(
    tables={
        "mentions": Fields(
            columns={
                "mention_id": Origin(column="id"),
                "posted_at": Origin(column="createdAt", formats=_FORMATS),
                "network": Origin(constant="Trustpilot"),
                "language": Origin(column="language", optional=True),
                "rating": Origin(column="stars"),
                "text": Origin(column="review"),
            },
            updated=Origin(column="updatedAt", formats=_FORMATS, optional=True),
        )
    }
)


class Trustpilot(Adapter):
    """Reads reviews; a mapping may add, for example, the state of verification as a segment."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the keys of a review, also of one on a page that is longer than a glimpse."""
        if any(review.keys() >= _KEYS for review in first_objects(glimpse, [_PAGE])):
            return Recognised("API reviews, JSON", "`stars` beside `consumer` and `createdAt`")
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read every review; `review`, title and text, is added."""
        records = read_json(file, (_PAGE,), form.encoding)
        records.require(["id", "stars", "createdAt"], ["title", "text"])
        return with_columns(records, {"review": title_and_text(records, "title", "text")})

    def standard(self, records: Records) -> Mapping:  # noqa: ARG002 - the same for every export
        """Return where reviews belong."""
        return _STANDARD


ADAPTER = Trustpilot()
