"""Look for the items in files of any form, however they are encoded."""

import base64
import binascii
import gzip
import html
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq
from pypdf import PdfReader
from pypdf.generic import StreamObject

from personal_data.items import WORDS

_ELSE = bytes(sign for sign in range(256) if not chr(sign).isascii() or not chr(sign).isalnum())
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{6,}")
_FROM_URL = bytes.maketrans(b"-_", b"+/")  # the letters of its other alphabet
_HEX = re.compile(rb"[0-9A-Fa-f]{10,}")
_ESCAPED = re.compile(rb"\\(?:u00|x)([0-9A-Fa-f]{2})")
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd")
_DEPTH = 2  # a page holds pictures in base64, which hold texts in another encoding


def encodings(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield a text as files may hold it: the name of the encoding, and the bytes."""
    plain = text.encode()
    for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32"):
        yield name, text.encode(name)
    for shift in range(3):
        yield f"base64 after {shift} bytes", base64.b64encode(b"." * shift + plain)
    yield "base64 in lines", base64.encodebytes(plain)
    yield "percent", quote(text, safe="").encode()
    yield "percent, letters too", "".join(f"%{byte:02x}" for byte in plain).encode()
    yield "entities", "".join(f"&#{byte};" for byte in plain).encode()
    yield "entities in base 16", "".join(f"&#x{byte:X};" for byte in plain).encode()
    yield "JSON", "".join(f"\\u{byte:04x}" for byte in plain).encode()
    yield "hex", plain.hex().encode()
    yield "hex in capitals", plain.hex().upper().encode()
    yield "base64 of an address of a page", base64.urlsafe_b64encode(plain)
    yield "base64 of percent", base64.b64encode(quote(f" {text} ").encode())


def found_in(content: bytes) -> set[str]:
    """Return the words of the items that a content holds, in any encoding."""
    return {word for form in _forms(content, _DEPTH) for word in _words_in(form)}


def held_in(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Return the files that hold any item, with the words found: in their names, as they are, and unpacked.

    All files are looked at together, because most tables repeat the cells of others, and one by one only then.
    """
    chosen = sorted(paths)
    if not found_in(_together(chosen)):
        return {}
    found = {str(path): found_in(_together([path])) for path in chosen}
    return {path: words for path, words in found.items() if words}


def lacked_by(paths: Iterable[Path]) -> list[str]:
    """Return the words that stand plainly in none of some files."""
    return sorted(WORDS.difference(_words_in(_together(paths))))


def _words_in(form: bytes) -> Iterator[str]:
    squeezed = form.lower().translate(None, _ELSE)
    return (word for word in WORDS if word.encode() in squeezed)


def _forms(content: bytes, depth: int) -> Iterator[bytes]:
    """Yield a content and what it holds in an encoding."""
    yield content
    if b"%" in content:
        yield unquote_to_bytes(content)
    if b"&" in content:
        yield html.unescape(content.decode("latin-1")).encode("utf-8")
    if b"\\" in content:
        yield _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), content)
    if depth:
        yield from _forms(_from_base64(content), depth - 1)
        yield from _forms(_from_hex(content), depth - 1)


def _from_base64(content: bytes) -> bytes:
    """Decode what may be base64, on one line or several, from each of the places where a group of four may begin."""
    glued = content.replace(b"\\n", b"").translate(_FROM_URL, b"\r\n")
    runs = _BASE64.findall(glued)
    fill = (b"", b"AAA", b"AA", b"A")
    groups = (run[start:] + fill[(len(run) - start) % 4] for start in range(4) for run in runs)
    return binascii.a2b_base64(b"".join(groups))


def _from_hex(content: bytes) -> bytes:
    """Decode what may be hexadecimal, from both places where a pair may begin."""
    runs = _HEX.findall(content)
    pairs = (run[start : len(run) - (len(run) - start) % 2] for start in range(2) for run in runs)
    return binascii.unhexlify(b"00".join(pairs))


# --- files -----------------------------------------------------------------------------------------


def _together(paths: Iterable[Path]) -> bytes:
    """Return everything in some files, each different part of them once."""
    return b"\n".join(
        dict.fromkeys(part for path in paths for part in (path.name.encode(), *_parts(path.read_bytes())))
    )


def _parts(content: bytes) -> Iterator[bytes]:
    if content[:4] == b"PAR1":
        try:
            yield from _cells(content)
        except pa.ArrowInvalid:  # it was not written to its end
            yield from _pages(content)
        return
    if content[:2] == b"\x1f\x8b":
        yield from _parts(gzip.decompress(content))
        return
    yield content
    if content[:4] == b"%PDF":
        yield from _texts(content)
    if content[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _parts(archive.read(name))


def _cells(content: bytes) -> Iterator[bytes]:
    """Yield the values of a table's columns, but for instants, and what the file says about itself."""
    table = pq.read_table(io.BytesIO(content))
    yield str(table.schema).encode()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_timestamp(column.type):
            yield from (str(value).encode() for value in table[name].unique().to_pylist())


def _pages(content: bytes) -> Iterator[bytes]:
    """Yield what can be unpacked of a table without its end, where it is described."""
    for start in _ZSTD.finditer(content):
        packed = pa.CompressedInputStream(pa.BufferReader(content[start.start() :]), "zstd")
        page = bytearray()
        with suppress(OSError):  # where the next page begins
            while part := packed.read(64):
                page += part
        yield bytes(page)


def _texts(content: bytes) -> Iterator[bytes]:
    """Return the text of a PDF's pages, and all that is compressed in it."""
    reader = PdfReader(io.BytesIO(content))
    yield str(reader.metadata).encode()
    for page in reader.pages:
        yield page.extract_text().encode()
    for number in range(1, len(reader.xref_objStm) + sum(map(len, reader.xref.values())) + 1):
        found = reader.get_object(number)
        if isinstance(found, StreamObject):
            yield found.get_data()
