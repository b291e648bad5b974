"""JSON exports: one object after another (JSON lines), an array of objects, or the pages of an API."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cxreport.sources.formats.files import UTF_8, DeliveredFile, UnreadableFileError
from cxreport.sources.formats.records import Records, from_objects

DEEPEST = 32  # levels of lists and objects; exports of records have a handful
_BETWEEN = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Object = tuple[int, dict[str, Any]]  # where it begins, and the object


def read_objects(file: DeliveredFile, inside: Sequence[str] = (), encoding: str = UTF_8) -> list[Object]:
    """Read the objects of a JSON file, each with the line (JSON lines) or number (array, pages) where it begins.

    Parameters
    ----------
    file
        JSON lines, of which only a line feed ends one; an array of objects; or one object.
    inside
        Keys under which a page of an API holds its list; where one does, the members are the objects.
    encoding
        Of the text, when no byte order mark states it.

    Raises `UnreadableFileError` for what is no JSON, holds anything but objects, repeats a key, or nests endlessly.
    Halves of characters, which no text can hold, become U+FFFD.
    """
    text = file.text(encoding)
    start = _past_blanks(text, 0)
    if start == len(text):
        raise UnreadableFileError("the file is empty")
    if text[start] == "[":
        return _numbered(_array(text, start))
    objects = list(_lines(text, start))
    members = [found.get(key) for _, found in objects for key in inside if isinstance(found.get(key), list)]
    return _numbered(member for page in members for member in page or []) if members else objects


def read_json(file: DeliveredFile, inside: Sequence[str] = (), encoding: str = UTF_8) -> Records:
    """Read the objects of a JSON file as records, nested keys joined by a point; raises `UnreadableFileError`."""
    objects = read_objects(file, inside, encoding)
    return replace(from_objects([found for _, found in objects]), lines=[at for at, _ in objects])


def _lines(text: str, start: int) -> Iterator[Object]:
    """Yield one value after another with its line."""
    at, line = start, 1 + text.count("\n", 0, start)
    while at < len(text):
        found, end = _decoded(text, at, f"line {line}")
        if not isinstance(found, dict):
            raise UnreadableFileError(f"no JSON object in line {line}")
        yield line, found
        following = _past_blanks(text, end)
        line += text.count("\n", at, following)
        at = following


def _array(text: str, start: int) -> list[Any]:
    found, end = _decoded(text, start, "the array")
    if _past_blanks(text, end) < len(text):
        raise UnreadableFileError("something follows the JSON array")
    return list(found)


def _numbered(values: Iterable[Any]) -> list[Object]:
    objects = list(enumerate(values, start=1))
    if other := next((number for number, value in objects if not isinstance(value, dict)), None):
        raise UnreadableFileError(f"value {other} of the JSON array is no object")
    return objects


def _decoded(text: str, at: int, where: str) -> tuple[Any, int]:
    try:
        found, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        line = 1 + text.count("\n", 0, error.pos)
        raise UnreadableFileError(f"broken JSON in line {line}, or a file that was cut off") from None
    except _RepeatedKeyError:
        raise UnreadableFileError(f"a key stands twice in one JSON object, in {where}") from None
    except ValueError:
        raise UnreadableFileError(f"a number of too many digits, in {where}") from None
    except RecursionError:
        raise UnreadableFileError(_too_deep(where)) from None
    if _depth(found) > DEEPEST:
        raise UnreadableFileError(_too_deep(where))
    return _whole(found) if _SURROGATE.search(text, at, end) else found, end


def _too_deep(where: str) -> str:
    return f"JSON is nested deeper than {DEEPEST} levels, in {where}"


def _depth(found: Any) -> int:
    """Count levels, no further than needed to refuse."""
    level, depth = [found], 0
    while level and depth <= DEEPEST:
        level = [child for parent in level if isinstance(parent, dict | list) for child in _children(parent)]
        depth += 1
    return depth


def _children(parent: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return parent.values() if isinstance(parent, dict) else parent


def _whole(found: Any) -> Any:
    """Replace lone surrogates, which come from texts that were cut within a character."""
    if isinstance(found, dict):
        return {_whole(key): _whole(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_whole(value) for value in found]
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(found, str) else found


def _past_blanks(text: str, at: int) -> int:
    blank = _BETWEEN.match(text, at)
    return blank.end() if blank else at


class _RepeatedKeyError(Exception):
    """Nobody can tell which of two values is meant."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKeyError
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
