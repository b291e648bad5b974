"""What adapters derive: ids that were floats, further columns, text without markup, the first objects of a page."""

import json
import time

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxreport.sources import derive
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse
from cxreport.sources.formats.records import from_rows
from cxreport.sources.privacy import mask

quick = settings(max_examples=40, deadline=None)


def table(header: list[str], *rows: list[str]):
    return from_rows(header, list(enumerate(rows, start=2)))


@given(st.lists(st.integers(0, 10**15 - 1), min_size=1, max_size=5))
@quick
def test_whole_floats_are_recovered_exactly(ids: list[int]) -> None:
    """Up to 15 digits, an id comes back from a float as it was."""
    records = derive.with_whole_ids(table(["id"], *([f"{float(own):.1f}"] for own in ids)), ["id"])
    assert records.text("id").tolist() == [str(own) for own in ids]
    assert records.notes == (f"{len(ids)} ids in `id` were floating-point numbers and are whole again",)


@given(st.integers(10**16, 10**19))
@quick
def test_rounded_ids_are_never_used(own: int) -> None:
    """What a float cannot hold is refused in every way of writing it, and not quoted."""
    for written in (repr(float(own)), f"{float(own):.1f}", f"{float(own):.5E}"):
        with pytest.raises(UnreadableFileError, match="ids in `id` were rounded") as caught:
            derive.with_whole_ids(table(["id"], [written]), ["id"])
        assert written not in str(caught.value)


@pytest.mark.parametrize("own", ["0012", "12E", "zcrm_12", "1.5", "", "E12"])
def test_other_ids_are_left_alone(own: str) -> None:
    """Only floating-point numbers that were whole are touched."""
    records = derive.with_whole_ids(table(["id", "other"], [own, "1.0"]), ["id", "absent"])
    assert records.text("id").fillna("").tolist() == [own]
    assert records.text("other").tolist() == ["1.0"]
    assert records.notes == ()


def test_columns_take_their_place() -> None:
    """A column of a known name is replaced where it stands, a new one comes last; blanks stay blank."""
    records = table(["a", "b", "b"], ["1", "2", "3"], ["4", "5", "6"])
    derived = derive.with_columns(records, {"c": pd.Series([None, "x"], dtype="str"), "a": pd.Series(["7", "8"])})
    assert derived.header == ("a", "b", "b", "c")
    assert [list(cells) for cells in derived.cells] == [["7", "8"], ["2", "5"], ["3", "6"], ["", "x"]]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("no markup", "no markup"),
        ("a < b and c > d", "a < b and c > d"),
        ("<p>One</p><p>Two<br/>Three</p>", "One\nTwo\nThree"),
        ("312-<b>555</b>-0147", "312-555-0147"),
        ("<style>p{}</style><script>x()</script>Fine &lt;3&nbsp;!", "Fine <3 !"),
        ("</script></style>seen", "seen"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
    ],
)
def test_markup_is_removed(html: str, text: str) -> None:
    """What is left is what a reader sees."""
    assert derive.plain_text(html) == text


@given(st.text(alphabet="<>/pb &;#x=\"'!-[]?ascript\n", max_size=60))
@quick
def test_no_markup_breaks_the_reader(html: str) -> None:
    """Broken, nested and endless markup gives some text and no error."""
    assert isinstance(derive.plain_text(html), str)


@pytest.mark.parametrize("hostile", ["<a b='", "<a ", "<!--x>", "<a b='c'd='>", "<", "&#"])
def test_hostile_markup_takes_no_longer(hostile: str) -> None:
    """Tags that never close cost no more than others: a tenfold text does not take a hundredfold time."""
    began = time.process_time()
    derive.plain_text(hostile * 100_000)
    derive.plain_text("<" + "a" * 300_000)
    assert time.process_time() - began < 5


def test_markup_would_hide_a_number() -> None:
    """Masking before the tags are gone misses what masking after it finds."""
    html = "Call 312-<b>555</b>-0147"
    assert mask(html) == html
    assert mask(derive.plain_text(html)) == "Call [phone]"


@pytest.mark.parametrize("count", [1, 20_000])
def test_the_first_objects_of_a_page_are_seen(count: int) -> None:
    """A page longer than the first look shows its first members all the same; other JSON shows its objects."""
    page = json.dumps({"count": count, "items": [{"id": number, "text": "x" * 20} for number in range(count)]})
    glimpse = Glimpse(DeliveredFile("a.json", unpacked=page.encode()))
    assert derive.first_objects(glimpse, ["items"])[0]["id"] == 0
    assert len(derive.first_objects(glimpse, ["items"])) == min(count, 5)
    for content in (b'[{"id": 0}]', b'{"id": 0}\n{"id": 1}', b'{"id": 0, "items": {"items": [1]}}'):
        assert derive.first_objects(Glimpse(DeliveredFile("a", unpacked=content)), ["items"])[0]["id"] == 0
    assert derive.first_objects(Glimpse(DeliveredFile("a.csv", unpacked=b"a,b")), ["items"]) == []
