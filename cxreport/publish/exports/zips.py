"""Office files as bytes that depend on nothing but what they say."""

import io
import re
import zipfile
from datetime import datetime

from cxreport.present.markup import escape_html

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold
_PROPERTIES = "docProps/core.xml"
_DATES = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*")
_LANGUAGE = re.compile(rb"<dc:language>[^<]*</dc:language>")
_END = b"</cp:coreProperties>"


def settled(content: bytes, *, at: datetime, language: str) -> bytes:
    """Return an Office file with one date, one language and entries without times; so are workbooks within it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            part = source.read(name)
            if name.endswith(".xlsx"):
                part = settled(part, at=at, language=language)
            elif name == _PROPERTIES:
                part = _stated(part, at, language)
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, part)
    return packed.getvalue()


def _stated(properties: bytes, at: datetime, language: str) -> bytes:
    """Return the properties of a document with a fixed date and its language."""
    day = at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    dated = _DATES.sub(rb"\g<1>" + day, _LANGUAGE.sub(b"", properties))
    return dated.replace(_END, f"<dc:language>{escape_html(language)}</dc:language>".encode() + _END)
