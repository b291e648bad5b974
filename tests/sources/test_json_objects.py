"""JSON exports: lines, arrays and pages are read whole, and anything broken is refused with its place."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.json_objects import DEEPEST, read_json, read_objects

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(), lambda inner: st.lists(inner, max_size=3)
)
OBJECTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=5)


def file(content: str | bytes) -> DeliveredFile:
    return DeliveredFile("a.json", unpacked=content if isinstance(content, bytes) else content.encode())


@settings(max_examples=25)
@given(OBJECTS, st.booleans())
def test_what_was_written_is_read(objects: list[dict[str, object]], is_ascii: bool) -> None:
    """Lines and arrays hold the same objects, whatever their texts hold, and say where each begins."""
    lines = "\n".join(json.dumps(found, ensure_ascii=is_ascii) for found in objects)
    try:
        lines.encode()
    except UnicodeEncodeError:
        return
    expected = list(enumerate(objects, start=1))
    assert read_objects(file(lines)) == expected
    assert read_objects(file(json.dumps(objects, indent=1))) == expected


def test_only_a_line_feed_ends_a_line() -> None:
    """U+2028 within a text is no end of a line; blank lines and a byte order mark count for nothing."""
    content = '\ufeff{"t": "a\u2028b\u0085c"}\r\n\r\n{"t": "d"}\r\n'
    assert read_objects(file(content)) == [(1, {"t": "a\u2028b\u0085c"}), (3, {"t": "d"})]
    assert len(content.splitlines()) == 5  # what a naive reader takes for lines


def test_members_of_pages_are_the_objects() -> None:
    """Pages of an API, also several in one file, are opened where their key is known."""
    content = '{"count": 2, "reviews": [{"id": 1}, {"id": 2}]}\n{"reviews": [{"id": 3}]}\n{"reviews": []}\n'
    assert read_objects(file(content), ["reviews"]) == [(1, {"id": 1}), (2, {"id": 2}), (3, {"id": 3})]
    assert [at for at, _ in read_objects(file(content))] == [1, 2, 3]
    assert read_objects(file('{"reviews": []}'), ["reviews"]) == []


def test_records_keep_their_lines() -> None:
    """A record is traced to the line on which its object begins."""
    records = read_json(file('\n{"a": {"b": 7}}\n{"a": {"b": null}, "c": [1]}\n'))
    assert records.header == ("a.b", "c")
    assert [list(column) for column in records.cells] == [["7", ""], ["", "[1]"]]
    assert list(records.lines) == [2, 3]


def test_half_characters_become_replacement_characters() -> None:
    """A text that was cut within an emoji can be stored; whole ones survive."""
    assert read_objects(file(r'{"a": "x\ud83d", "b": ["\ud83d\ude00", "\ude00"]}'))[0][1] == {
        "a": "x\ufffd",
        "b": ["\U0001f600", "\ufffd"],
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("  \n", "empty"),
        ('{"a": 1}\n{"a": "secret', "line 2"),
        ('{"a": 1}\nsecret\n', "line 2"),
        ('[{"a": 1}, 2]', "value 2 of the JSON array is no object"),
        ('[{"a": 1}] {"a": 2}', "something follows"),
        ('{"a": 1}\n[2]\n', "no JSON object in line 2"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": ' + "[" * DEEPEST + "]" * DEEPEST + "}", "deeper than"),
        ("[" * 100_000, "deeper than"),
        ('{"a": ' + "9" * 5_000 + "}", "too many digits"),
    ],
)
def test_broken_files_are_refused_with_their_place(content: str, said: str) -> None:
    """Nothing is half read, and no message holds data."""
    with pytest.raises(UnreadableFileError, match=said) as caught:
        read_objects(file(content))
    assert "secret" not in str(caught.value)
