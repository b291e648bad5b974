"""The workbook and the estimates as text hold the pack's figures as numbers, and nothing that a program would run."""

import csv
import io
import re
import zipfile
from dataclasses import replace

import openpyxl
import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from cxreport.present.markup import one_line
from cxreport.present.words import Words
from cxreport.publish.exports.estimates import as_csv
from cxreport.publish.exports.workbook import as_xlsx
from cxreport.schema import ANALYSES, ESTIMATES


@pytest.fixture
def book_of(make):
    """Return a function that writes a pack's workbook and opens it."""

    def book_of(pack):
        content = as_xlsx(pack, title=make.TITLE, provenance=make.PROVENANCE, at=make.STAMP)
        return openpyxl.load_workbook(io.BytesIO(content))

    return book_of


@pytest.fixture(scope="session")
def book(exported):
    """The small company's workbook."""
    return openpyxl.load_workbook(exported / "tables.xlsx")


def cells_of(book):
    return [cell for page in book for row in page.iter_rows() for cell in row if cell.value is not None]


def rows_of(page):
    head, *rows = page.iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_first_sheet_tells_what_the_workbook_is_and_leads_to_every_other(book, make):
    """Report, period, verdict, footnotes and how to read come first; then a link to each sheet, in order."""
    [contents, *others] = book
    lines = list(contents.iter_rows(values_only=True))
    assert lines[0] == ("Item", "Content")
    assert ("Title", make.TITLE) in lines
    assert ("Period", "September 2026") in lines
    assert ("Verdict", "publish with footnotes") in lines
    assert any(item == "Note on the data" for item, _ in lines)
    assert any(item == "How to read" and "95% confidence" in text for item, text in lines)
    links = [(row[0].value, row[0].hyperlink.location) for row in contents.iter_rows() if row[0].hyperlink]
    assert links == [(page.title, f"'{page.title}'!A1") for page in others]
    assert {"KPIs", "Groups", "Changes", "Targets and benchmarks", "Counts", "Trend", "Mix"} <= set(book.sheetnames)


def test_every_sheet_is_one_table_with_a_header_that_stays(book):
    """A header row that is frozen, filtered and printed on every page; no merged cells and no empty title."""
    for page in book:
        assert not page.merged_cells.ranges
        assert page.freeze_panes.endswith("2")
        assert page.print_title_rows == "$1:$1"
        assert all(cell.value and cell.font.bold for cell in page[1])
        if page is not book.worksheets[0]:
            assert page.auto_filter.ref == page.dimensions


def test_figures_are_numbers_in_full_precision_and_in_their_unit(book, small_pack):
    """Value, interval and base of each KPI are the estimates to the last digit, formatted by unit, words beside."""
    page = book["KPIs"]
    found = {row["KPI"]: row for row in rows_of(page)}
    for kpi in small_pack.kpis.values():
        figure, row = small_pack.total(kpi.id), found[kpi.title]
        shown = [row[name] for name in ("Value", "Interval from", "Interval to", "Number")]
        assert shown == pytest.approx([figure.value, figure.ci_low, figure.ci_high, figure.n], rel=1e-15)
    column = [cell.value for cell in page[1]].index("Value")
    forms = {row[1].value: row[column].number_format for row in page.iter_rows(min_row=2)}
    assert forms["Customer satisfaction"] == "0.0%"
    assert forms["Net Promoter Score"] == "0.0"
    assert re.fullmatch(r"\d+ h \d+ min", found["Time to resolution, median"]["In words"])


def test_changes_have_signs_intervals_tests_and_words(book, small_pack):
    """A change is the difference that was tested, with its sign shown and the words of its verdict."""
    row = next(row for row in rows_of(book["Changes"]) if row["KPI"] == "Net Promoter Score" and row["Segment"] is None)
    figure = small_pack.total("nps")
    assert [row["Change"], row["q-value"]] == pytest.approx([figure.change, figure.q_value], rel=1e-15)
    assert row["Change in words"].startswith({"fell": "fell", "rose": "rose"}.get(figure.verdict, "no detectable"))
    form = {cell.value: cell.column for cell in book["Changes"][1]}["Change"]
    assert book["Changes"].cell(2, form).number_format == "+0.0;-0.0;0.0"


def test_file_states_title_author_language_and_one_date(exported, make):
    """Properties are set, and neither they nor the entries of the file tell when it was made."""
    with zipfile.ZipFile(exported / "tables.xlsx") as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        properties = file.read("docProps/core.xml").decode()
    assert f"<dc:title>{make.TITLE}</dc:title>" in properties
    assert "<dc:creator>Halden Broadband</dc:creator>" in properties
    assert "<dc:language>en</dc:language>" in properties
    assert set(re.findall(r"\d{4}-\d\d-\d\dT[\d:]+Z", properties)) == {"2026-10-02T00:00:00Z"}


def test_same_pack_gives_the_same_bytes(exported, small_pack, make):
    """Made again, the workbook is the same file."""
    again = as_xlsx(small_pack, title=make.TITLE, provenance=make.PROVENANCE, at=make.STAMP)
    assert again == (exported / "tables.xlsx").read_bytes()


def hide(pack, segment):
    """Return a pack in which the first level of a segment is hidden but its numbers were left in the estimates."""
    level = pack.figures("nps", segment)[0].level
    estimates = pack.estimates.copy()
    estimates.loc[(estimates["segment"] == segment) & (estimates["level"] == level), "suppressed"] = "small base"
    return replace(pack, estimates=estimates), level


def test_what_is_hidden_has_words_and_no_number(small_pack, book_of):
    """Nothing numeric of a hidden group gets into any sheet, even if its numbers had been left in the estimates."""
    pack, level = hide(small_pack, "region")
    name = pack.level_label("region", level)
    book = book_of(pack)
    for title in ("Groups", "Changes"):
        rows = [row for row in rows_of(book[title]) if row["Group"] == name]
        assert len(rows) == len(
            [kpi for kpi in pack.kpis if any(f.level == level for f in pack.figures(kpi, "region"))]
        )
        for row in rows:
            assert "too few" in row["Value"] or row["Value"] == "no figure"
            assert not [value for value in row.values() if isinstance(value, int | float)]


def test_hidden_rows_of_analyses_keep_names_only(analysed, book_of):
    """A hidden row of an analysis says that it is hidden; comments of a hidden theme are left out."""
    shown = {"kpi": "csat", "n": 50, "share": 0.1, "value_with": 0.5, "suppressed": "no"}
    quote = {"place": 1, "language": "en", "is_good": True}
    pack = analysed(
        themes=[shown | {"theme": "waiting"}, shown | {"theme": "prices", "suppressed": "small base"}],
        quotes=[quote | {"theme": theme, "quote": f"About {theme}."} for theme in ("waiting", "prices")],
    )
    book = book_of(pack)
    waiting, prices = rows_of(book["Themes"])
    assert (waiting["Number"], waiting["Hidden"]) == (50, None)
    assert prices["Hidden"] == "hidden to protect a small group"
    assert not [value for value in prices.values() if isinstance(value, int | float)]
    assert [row["Quote"] for row in rows_of(book["Quotes"])] == ["About waiting."]


def test_hostile_texts_stay_text(hostile_pack, book_of, payloads):
    """Payloads in names and comments are string cells as they are; there is no formula and no way out of the file."""
    book = book_of(hostile_pack)
    cells = cells_of(book)
    assert {cell.data_type for cell in cells} == {"s", "n"}
    texts = {cell.value for cell in cells if cell.data_type == "s"}
    assert {one_line(payload) for payload in payloads} <= texts
    assert not [text for text in texts if re.search("[\u202a-\u202e\u2066-\u2069]", text)]
    links = [cell.hyperlink for cell in cells if cell.hyperlink]
    assert all(link.target is None for link in links)


def test_names_of_sheets_are_legal_and_unique(small_pack, book_of):
    """A language may name sheets as it likes: what spreadsheets refuse is replaced, cut or numbered."""
    own = {"kpis": "Base: n/N " * 5, "groups": "base? n*N " * 5, "counts": "History", "mix": "'[]'"}
    names = {f"exports.sheet.{key}.name": name for key, name in own.items()}
    words = Words("en", {**small_pack.words.sentences, **names}, small_pack.words.texts)
    found = book_of(replace(small_pack, words=words)).sheetnames
    assert len({name.casefold() for name in found}) == len(found)
    assert not [name for name in found if len(name) > 31 or re.search(r"[\[\]:*?/\\]|^'|'$|^[Hh]istory$", name)]


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_analysis_has_a_sheet_in_the_words_of_the_language(analysed, small_pack, book_of, language):
    """Each table of the analyses but the series can be shown, with a title for each of its columns."""
    kinds = {"string": "text", "double": 0.5, "int64": 3, "bool": True}
    rows = {
        name: {field.name: kinds[str(field.type)] for field in schema} | {"kpi": "nps", "suppressed": "no"}
        for name, schema in ANALYSES.items()
    }
    rows["subgroups"] |= {"status": "confirmed", "q_value": 0.001}
    tables = {name: [{key: row[key] for key in ANALYSES[name].names}] for name, row in rows.items()}
    pack = analysed(replace(small_pack, words=Words.open(small_pack.project, language)), **tables)
    without = len(book_of(analysed()).sheetnames)
    assert len(book_of(pack).sheetnames) == without + len(ANALYSES) - 1


def test_estimates_as_text_are_the_estimates(exported, small_pack):
    """Every column in order, every number to the last digit, and nothing for what is missing."""
    text = (exported / "estimates.csv").read_text(encoding="utf-8")
    found = pd.read_csv(io.StringIO(text), dtype={"low_base": "boolean"})
    assert list(found) == ESTIMATES.names
    assert len(found) == len(small_pack.estimates)
    for name in ("value", "ci_low", "change", "q_value", "n"):
        pd.testing.assert_series_equal(found[name].astype(float), small_pack.estimates[name].astype(float))


def test_estimates_as_text_hide_and_compute_nothing(small_pack, payloads):
    """Hidden rows keep names and the mark, and a text that a spreadsheet would compute has an apostrophe before it."""
    pack, level = hide(small_pack, "region")
    estimates = pack.estimates.assign(note=[payloads[row % len(payloads)] for row in range(len(pack.estimates))])
    rows = list(csv.DictReader(io.StringIO(as_csv(estimates).decode(), newline="")))
    hidden = [row for row in rows if row["suppressed"] == "small base"]
    assert {row["level"] for row in hidden} >= {level}
    numbers = [name for name in ESTIMATES.names if str(ESTIMATES.field(name).type) in {"double", "int64", "bool"}]
    assert {row[name] for row in hidden for name in numbers} == {""}
    notes = {row["note"] for row in rows}
    lines = [one_line(text) for text in payloads]
    assert notes == {f"'{text}" if text[0] in "=+-@" else text for text in lines}


@pytest.mark.soak
def test_another_program_reads_the_same_cells(exported, converted):
    """LibreOffice opens the workbook and writes every sheet, text and number into a format of its own."""
    before, after = (
        CalamineWorkbook.from_path(str(path))
        for path in (exported / "tables.xlsx", converted(exported / "tables.xlsx", "ods"))
    )
    assert before.sheet_names == after.sheet_names
    for name in before.sheet_names:
        left, right = (book.get_sheet_by_name(name).to_python() for book in (before, after))
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert one == [pytest.approx(cell, rel=1e-13) if isinstance(cell, float) else cell for cell in other]
