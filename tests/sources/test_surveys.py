"""What survey tools share: delimiters, headers, hidden months, and files that were damaged."""

import contextlib
from datetime import date

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxreport.sources.adapter import Delivery
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse
from cxreport.sources.mapping import FileForm, Mapping
from cxreport.sources.registry import find_adapter
from cxreport.sources.surveys import DAY_FIRST, MONTH_FIRST, delimiter_of, possible_orders, readable, unique
from cxreport.sources.tables import Context

EXPORTS = {
    "qualtrics": 'ResponseId,Q1\nID,Text\n"{""ImportId"":""_recordId""}","{""ImportId"":""QID1""}"\nR_1,4\n',
    "surveymonkey": "Respondent ID,End Date,How?\n,,Response\n11801234567,11/03/2021 07:40:47 PM,4\n",
    "typeform": "#,How?,Submit Date (UTC),Network ID\nt1,4,2026-09-01 10:05:00,n\n",
    "google_forms": '"Timestamp","How?"\n"2026/02/05 10:54:08 PM GMT+5:30","4"\n',
}


@pytest.mark.parametrize(
    ("name", "text", "delimiter"),
    [
        ("a.csv", "a,b\n1;2;3;4,2\n", ","),
        ("a.csv", "a\tb\n1,2,3,4\t2\n", "\t"),
        ("a.csv", '"a;b;c,\nd",b\n', ","),
        ("a.csv", "a;b\n1,2,3;2\n", ";"),
        ("a.tsv", "a, b, c or d\tb\n", "\t"),
        ("a.csv", "", ","),
    ],
)
def test_the_first_record_shows_the_delimiter(name: str, text: str, delimiter: str) -> None:
    """What people wrote in answers does not."""
    file = DeliveredFile(name, unpacked=text.encode())
    assert delimiter_of(file, FileForm()) == delimiter
    assert delimiter_of(file, FileForm(delimiter="|")) == "|"


@pytest.mark.parametrize(
    ("delivered", "read"),
    [
        ("<p>Was it\u00a0<b>good</b>?</p>", "Was it good?"),
        ("More than &lt;5&gt; minutes &amp; less", "More than <5> minutes & less"),
        ("1 < 2 and 3 > 2 ", "1 < 2 and 3 > 2"),
        ("*Bold* {{field:0a1b}}\r\nsecond line", "*Bold* {{field:0a1b}} second line"),
    ],
)
def test_headers_become_readable(delivered: str, read: str) -> None:
    """Markup goes, signs of comparison and marks of piping stay."""
    assert readable(delivered) == read


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=8))
def test_names_become_unique(names: list[str]) -> None:
    """Those that stand once stay as they are."""
    found = unique(names)
    assert len(set(found)) == len(names)
    assert all(new == old for new, old in zip(found, names, strict=True) if old and names.count(old) == 1)


@given(st.lists(st.dates(date(2000, 1, 1), date(2030, 1, 1)), min_size=1), st.sampled_from([MONTH_FIRST, DAY_FIRST]))
def test_the_order_of_dates_is_never_excluded(days: list[date], order: str) -> None:
    """Whatever the dates are, the order in which they were written is among the possible ones."""
    assert order in possible_orders(pd.Series([day.strftime(order) for day in days], dtype="str"))


def read(name: str, content: bytes) -> Delivery:
    columns = {"responded_at": {"constant": "2026-01-01", "formats": ["%Y-%m-%d"]}}
    mapping = Mapping.model_validate({"tables": {"responses": {"columns": columns}}})
    return find_adapter(name).read(DeliveredFile("x.csv", unpacked=content), mapping, Context("UTC"))


@pytest.mark.parametrize("name", EXPORTS)
def test_a_small_export_is_read(name: str) -> None:
    """The exports below are damaged from a sound state."""
    assert read(name, EXPORTS[name].encode()).rows == 1


@pytest.mark.parametrize("name", EXPORTS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(name: str, data: st.DataObject) -> None:
    """Bytes cut out, or put in, end in rows that are accounted for or in the one error for files; sniffing survives."""
    content = EXPORTS[name].encode()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 40, len(content))))
    put = data.draw(
        st.sampled_from([b"", b'"', b"\n", b"\r", b",", b"\x00", b"\xff", b"{", b"<", b"{'ImportId': '", b"[["])
    )
    damaged = content[:start] + put + content[end:]
    find_adapter(name).sniff(Glimpse(DeliveredFile("x.csv", unpacked=damaged)))
    with contextlib.suppress(UnreadableFileError):
        delivery = read(name, damaged)
        assert len(delivery.tables["responses"]) == delivery.rows
