"""Read back what a tagged PDF shows: its pictures and tables, in reading order, as text.

It knows of the format what Typst writes: objects of their own, listed in one table at the end, and streams that are
deflated. Another file is read as one that shows nothing.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, NamedTuple


def _in_string(depth: int) -> bytes:
    """Return a pattern of what a string holds: parentheses only in pairs, within each other so many times."""
    nested = rb"|\(%b\)" % _in_string(depth - 1) if depth else b""
    return rb"(?:[^()\\]++|\\.%b)*+" % nested


_STRING = rb"\((?P<string>%b)\)" % _in_string(8)
_ENTRY = re.compile(rb"(\d{10}) \d{5} ([nf])")
_HEAD = re.compile(rb"\s*\d+ \d+ obj\b")
_STREAM = re.compile(rb"\s*stream\r?\n")
_TOKEN = re.compile(
    rb"\s*(?:" + _STRING + rb"|<(?P<hex>[0-9A-Fa-f\s]*)>|(?P<mark><<|>>|[\[\]])"
    rb"|/(?P<name>[^\s()<>\[\]{}/%]*)|(?P<reference>\d+ \d+ R\b)|(?P<word>[^\s()<>\[\]{}/%]+))",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\([0-3]?[0-7]{1,2}|\r?\n|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_LETTERS = re.compile(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]*)>")
_CLOSING = {b">>", b"]"}
_CELLS = {"TD", "TH"}


# What text is made of in the content of a page.
_CONTENT = re.compile(
    _STRING + rb"|<(?P<hex>[0-9A-Fa-f]+)>|/(?P<font>\w+) \S+ Tf|/MCID (?P<number>\d+)|BDC|EMC|T[jJ]\b",
    re.DOTALL,
)


class Name(str):
    """A name, such as of a key."""

    __slots__ = ()


class Reference(NamedTuple):
    """A reference to an object by its number."""

    number: int


class Word(bytes):
    """A number, a constant or an operator."""


@dataclass(frozen=True)
class _End:
    """What begins or ends an array or a dictionary."""

    mark: bytes


_ENDS = {mark: _End(mark) for mark in (b"<<", b">>", b"[", b"]")}


@dataclass(frozen=True)
class Shown:
    """What a PDF shows: text of each picture, which draws its labels in turn, and of each cell of each table."""

    pictures: list[str] = field(default_factory=list)
    tables: list[list[str]] = field(default_factory=list)


def read(content: bytes) -> Shown:
    """Return the pictures and tables of a PDF in reading order; none of a file without tags."""
    shown = Shown()
    file = _File(content)
    if tree := file.resolve(file.root.get("StructTreeRoot")):
        _collect(file, tree, shown)
    return shown


def _collect(file: "_File", element: dict[str, Any], shown: Shown) -> None:
    match element.get("S"):
        case "Figure":
            shown.pictures.append(file.text(element))
        case "Table":
            shown.tables.append([file.text(cell) for cell in _cells(file, element)])
        case _:
            for kid in file.kids(element):
                if isinstance(kid, dict):
                    _collect(file, kid, shown)


def _cells(file: "_File", element: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kid in file.kids(element):
        if isinstance(kid, dict):
            if kid.get("S") in _CELLS:
                yield kid
            else:
                yield from _cells(file, kid)


class _File:
    """The objects of a file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._texts = cache(self._texts_of)
        self._fonts = cache(self._letters_of)

    @cached_property
    def root(self) -> dict[str, Any]:
        """The object that leads to all others; empty where the file has no list of them."""
        found = self._content.rpartition(b"trailer")
        if not found[0] or not found[2].lstrip().startswith(b"<<"):
            return {}
        tokens = _Tokens(found[2], 0)
        root: dict[str, Any] = self.resolve(_value(tokens, next(tokens))["Root"])
        return root

    @cached_property
    def _places(self) -> list[int]:
        start = self._content.rfind(b"xref", 0, self._content.rfind(b"startxref"))
        return [int(place) for place, _ in _ENTRY.findall(self._content, start)]

    def resolve(self, value: Any) -> Any:
        """Return a value, or what it refers to."""
        return self._object(value.number)[0] if isinstance(value, Reference) else value

    def kids(self, element: dict[str, Any]) -> Iterator[Any]:
        """Yield the parts of an element: further ones, or numbers of marked contents with their page."""
        found = self.resolve(element.get("K", []))
        for kid in found if isinstance(found, list) else [found]:
            value = self.resolve(kid)
            if isinstance(value, Word):
                yield element["Pg"].number, int(value)
            elif isinstance(value, dict) and "MCID" in value:
                yield (value if "Pg" in value else element)["Pg"].number, int(value["MCID"])
            else:
                yield value

    def text(self, element: dict[str, Any]) -> str:
        """Return the text of an element and of all within it."""
        kids = self.kids(element)
        return "".join(self.text(kid) if isinstance(kid, dict) else self._texts(kid[0]).get(kid[1], "") for kid in kids)

    def _object(self, number: int) -> tuple[Any, int]:
        """Return an object and where it ends."""
        head = _HEAD.match(self._content, self._places[number])
        assert head, "an object that is not where the file says"
        tokens = _Tokens(self._content, head.end())
        return _value(tokens, next(tokens)), tokens.place

    def _stream(self, reference: Reference) -> bytes:
        about, end = self._object(reference.number)
        begin = _STREAM.match(self._content, end)
        assert begin, "an object without a stream"
        raw = self._content[begin.end() : begin.end() + int(self.resolve(about["Length"]))]
        return zlib.decompress(raw) if about.get("Filter") == "FlateDecode" else raw

    def _texts_of(self, page: int) -> dict[int, str]:
        """Return the texts of a page's marked contents by their numbers."""
        about = self._object(page)[0]
        fonts = self.resolve(self.resolve(about["Resources"]).get("Font", {}))
        texts: dict[int, str] = defaultdict(str)
        letters: dict[bytes, str] = {}
        number = -1  # of no marked content
        strings: list[bytes] = []
        for found in _CONTENT.finditer(self._stream(about["Contents"])):
            if found["string"] is not None or found["hex"]:
                strings.append(_ESCAPE.sub(_unescaped, found["string"] or b"") or bytes.fromhex(found["hex"].decode()))
            elif found["font"]:
                letters = self._fonts(fonts[found["font"].decode()].number)
            elif found["number"]:
                number = int(found["number"])
            elif found[0] == b"BDC":
                strings = []  # those were about what begins here
            elif found[0] == b"EMC":
                number = -1
            else:
                texts[number] += "".join(_decoded(string, letters) for string in strings)
                strings = []
        return texts

    def _letters_of(self, font: int) -> dict[bytes, str]:
        """Return the text of each letter of a font."""
        table = self._stream(self._object(font)[0]["ToUnicode"])
        return {
            bytes.fromhex(code.decode()): bytes.fromhex(text.decode()).decode("utf-16-be")
            for part in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL)
            for code, text in _LETTERS.findall(part)
        }


def _decoded(text: bytes, letters: dict[bytes, str]) -> str:
    return "".join(letters.get(text[at : at + 2], "") for at in range(0, len(text), 2))


# --- syntax --------------------------------------------------------------------------------------


class _Tokens:
    """The tokens of a part of a file, with the place of the next one."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self.place = content, place

    def __iter__(self) -> "_Tokens":
        return self

    def __next__(self) -> Any:
        found = _TOKEN.match(self._content, self.place)
        if not found:
            raise StopIteration
        self.place = found.end()
        text = found[found.lastgroup or 0]
        match found.lastgroup:
            case "string":
                return _ESCAPE.sub(_unescaped, text)
            case "hex":
                return bytes.fromhex(text.decode())
            case "mark":
                return _ENDS[text]
            case "name":
                return Name(text.decode("latin-1"))
            case "reference":
                return Reference(int(text.split()[0]))
        return Word(text)


def _unescaped(found: re.Match[bytes]) -> bytes:
    mark = found[1]
    return int(mark, 8).to_bytes() if mark.isdigit() else _ESCAPED.get(mark, mark.strip(b"\r\n"))


def _value(tokens: _Tokens, token: Any) -> Any:
    if not isinstance(token, _End):
        return token
    items = []
    for inner in tokens:
        if isinstance(inner, _End) and inner.mark in _CLOSING:
            break
        items.append(_value(tokens, inner))
    return items if token.mark == b"[" else dict(zip(items[::2], items[1::2], strict=False))
