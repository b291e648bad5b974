"""Figures: numbers are told exactly or not at all, and what they are of is their id."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxreport.sources.figures import Figure, figure_records, number_form, plain
from cxreport.sources.identifiers import digest

FORMS = [(".", ","), (",", "."), (",", " ")]
NUMBERS = st.lists(st.decimals(0, 10**9, places=2), min_size=1, max_size=5)


@settings(max_examples=20)
@given(NUMBERS, st.sampled_from(FORMS))
def test_number_formats_are_told_or_left_open(values: list[object], form: tuple[str, str]) -> None:
    """Numbers as a tool groups them are read exactly, or nothing is read."""
    swap = str.maketrans({",": form[1], ".": form[0]})
    cells = [f"{value:,}".translate(swap) for value in values]
    told = number_form(cells)
    if told is not None:
        assert [float(text) for text in plain(cells, *told)] == [float(value) for value in values]


@pytest.mark.parametrize("cell", ["1.23.4", "1,2", "six", "6 %%", "--1", "1e999", "nan", "inf"])
def test_what_is_no_number_is_marked(cell: str) -> None:
    """Nothing that could be misread passes for a number."""
    assert plain([cell], grouping=",") == [f"{cell}?"]


@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
def test_digests_tell_parts_apart(first: list[str], second: list[str]) -> None:
    """Two lists of parts have one digest only if they are the same."""
    assert (digest(*first) == digest(*second)) == (first == second)


def test_addresses_in_levels_are_masked_alone() -> None:
    """The page stays, its visitor's address does not, in any spelling."""
    levels = ["/a?mail=ann@example.com&x=1234567890", "/b/ann%40example.com"]
    figures = [Figure(line=1, report="r", name="n", value="1", number="1.0", level=level) for level in levels]
    assert figure_records(figures).text("level").tolist() == ["/a?mail=[e-mail]&x=1234567890", "/b/[e-mail]"]


def test_repeated_and_contradicting_figures_are_told_apart() -> None:
    """The same figure twice is one; with two values it is none, and both rows say so."""
    figures = [
        Figure(line=line, report="r", name=name, value=value, number=value)
        for line, name, value in [(1, "a", "1.0"), (2, "a", "1.0"), (3, "b", "1.0"), (4, "b", "2.0")]
    ]
    records = figure_records(figures)
    assert list(records.lines) == [1, 3, 4]
    assert list(records.ragged) == [1, 2]
    assert records.text("number").fillna("-").tolist() == ["1.0", "-", "-"]
    assert records.notes == ("1 figures that stand twice were read once",)
