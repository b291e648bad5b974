"""Slides are editable, described and named, hold the pack's figures, and follow the company's template."""

import io
import re
import shutil
import zipfile

import openpyxl
import pdfua
import pytest
from pptx import Presentation
from pptx.oxml.ns import qn
from pptx.util import Inches
from pypdf import PdfReader

from cxreport.errors import DefinitionError
from cxreport.present import charts, journey, wording
from cxreport.present.cards import Card
from cxreport.present.markup import one_line
from cxreport.present.words import Words
from cxreport.publish.exports import prose
from cxreport.publish.exports.deck import Deck
from cxreport.publish.exports.slides import as_pptx


@pytest.fixture
def deck_of(make):
    """Return a function that writes a pack's slides and opens them."""

    def deck_of(pack):
        content = as_pptx(pack, title=make.TITLE, provenance=make.PROVENANCE, at=make.STAMP)
        return Presentation(io.BytesIO(content))

    return deck_of


@pytest.fixture(scope="session")
def shown(exported):
    """The small company's slides."""
    return Presentation(exported / "slides.pptx")


def texts_of(slide):
    return [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]


def charts_of(deck):
    return [(shape, shape.chart) for slide in deck.slides for shape in slide.shapes if shape.has_chart]


def titles_of(deck):
    return [slide.shapes.title.text_frame.text for slide in deck.slides]


def test_slides_say_what_the_executive_page_says(shown, small_pack, make):
    """Title, headline, a card for each KPI of the headline, what to look at and what the figures rest on."""
    titles = titles_of(shown)
    [first, *_] = prose.read(wording.headline(small_pack).text)
    assert titles[:2] == [make.TITLE, first.text]
    assert {"NPS: how it went", "What to look at", "What the figures rest on"} <= set(titles)
    assert len(set(titles)) == len(titles)
    cards = texts_of(shown.slides[1])
    for name in small_pack.report.headline:
        card = Card.of(small_pack, small_pack.kpis[name])
        assert "\n".join([card.name, card.value, *card.lines]) in cards


def test_trend_is_a_chart_with_its_own_data(shown, small_pack):
    """The leading KPI's chart holds the figures of every period and the usual range, and its alternative text."""
    shape, chart = charts_of(shown)[0]
    values, low, high = (list(series.values) for series in chart.plots[0].series)
    history = small_pack.history("nps")
    assert values == [figure.value for figure in history]
    assert low == [figure.usual_low for figure in history]
    assert high == [figure.usual_high for figure in history]
    described = next(shape.element.iter(qn("p:cNvPr")))
    assert described.get("descr") == charts.trend(small_pack, small_pack.leading).alt
    page = openpyxl.load_workbook(io.BytesIO(chart.part.chart_workbook.xlsx_part.blob))["Sheet1"]
    assert [row[1] for row in page.iter_rows(min_row=2, values_only=True)] == pytest.approx(values)


def test_stages_and_mix_are_charts_beside_what_is_said_of_them(analysed, deck_of):
    """Stages become bars with their values; hidden ones are in no chart."""
    stage = {"kpi": "csat", "share": 0.3, "n": 100, "overall": 0.7, "relative": -0.2, "q_value": 0.001}
    stage |= {"suppressed": "no", "low_base": False, "method": "Wilson"}
    pack = analysed(
        curve=[
            stage | {"place": 1, "stage": "join", "value": 0.78},
            stage | {"place": 2, "stage": "install", "value": 0.5},
            {"kpi": "csat", "place": 3, "stage": "pay", "suppressed": "small base"},
        ]
    )
    deck = deck_of(pack)
    [(shape, chart)] = [pair for pair in charts_of(deck) if "journey" in pair[0].name]
    assert list(chart.plots[0].categories) == ["Join", "Install"]
    assert list(chart.plots[0].series[0].values) == [78.0, 50.0]
    assert next(shape.element.iter(qn("p:cNvPr"))).get("descr") == journey.strip(pack).alt


def test_every_slide_has_notes_a_language_and_no_picture_of_text(shown):
    """Notes say bases and methods, every run has a language, and all that is shown is text or a chart."""
    for slide in shown.slides:
        assert slide.has_notes_slide
        looks = [*slide.element.iter(qn("a:rPr")), *slide.notes_slide.element.iter(qn("a:rPr"))]
        assert {look.get("lang") for look in looks} <= {"en-GB"}
        assert all(shape.has_text_frame or shape.has_chart for shape in slide.shapes)
        assert slide.shapes[0] == slide.shapes.title  # what is read first
    notes = shown.slides[1].notes_slide.notes_text_frame.text
    assert re.search(r"Net Promoter Score: 95% interval .+; base [\d,]+ answers; method adjusted Wald\.", notes)


def test_file_states_title_author_language_and_one_date(exported, make):
    """Properties are set, and no part of the file tells when it was made, nor do the workbooks of its charts."""
    with zipfile.ZipFile(exported / "slides.pptx") as file:
        inner = [zipfile.ZipFile(io.BytesIO(file.read(name))) for name in file.namelist() if name.endswith(".xlsx")]
        assert inner
        for each in (file, *inner):
            assert {entry.date_time for entry in each.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            properties = each.read("docProps/core.xml").decode()
            assert set(re.findall(r"\d{4}-\d\d-\d\dT[\d:]+Z", properties)) == {"2026-10-02T00:00:00Z"}
    properties = Presentation(exported / "slides.pptx").core_properties
    assert (properties.title, properties.author, properties.language) == (make.TITLE, "Halden Broadband", "en")


def test_same_pack_gives_the_same_bytes(exported, small_pack, make):
    """Made again, the slides are the same file."""
    again = as_pptx(small_pack, title=make.TITLE, provenance=make.PROVENANCE, at=make.STAMP)
    assert again == (exported / "slides.pptx").read_bytes()


def test_hostile_texts_stay_text(hostile_pack, deck_of, payloads):
    """Payloads in names and comments are runs of text as they are: no link, no formula, nothing turned around."""
    deck = deck_of(hostile_pack)
    said = [text for slide in deck.slides for text in [*texts_of(slide), slide.notes_slide.notes_text_frame.text]]
    drawn = [str(name) for _, chart in charts_of(deck) for name in chart.plots[0].categories]
    everything = "\n".join(said + drawn)
    assert {one_line(payload) for payload in payloads} <= set(drawn)
    assert sum(one_line(payload) in "\n".join(said) for payload in payloads) > len(payloads) / 2
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", everything)
    for part in deck.part.package.iter_parts():
        assert not [relation for relation in part.rels.values() if relation.is_external]
    for _, chart in charts_of(deck):
        book = openpyxl.load_workbook(io.BytesIO(chart.part.chart_workbook.xlsx_part.blob))
        assert "f" not in {cell.data_type for row in book["Sheet1"].iter_rows() for cell in row}


def test_company_template_is_followed(small_pack, make, project, monkeypatch, tmp_path):
    """Layouts by name, place and size come from `slides.pptx` of the theme; what it shows as an example is left out."""
    theme = tmp_path / "reports" / "theme"
    shutil.copytree(project.theme, theme)
    template = Presentation()
    template.slide_height = Inches(6)
    template.slides.add_slide(template.slide_layouts[0]).shapes.title.text_frame.text = "Example"
    template.save(theme / "slides.pptx")
    monkeypatch.setattr(type(project), "theme", theme)
    deck = Presentation(io.BytesIO(as_pptx(small_pack, title=make.TITLE, provenance={}, at=make.STAMP)))
    assert (deck.slide_width, deck.slide_height) == (Inches(10), Inches(6))
    assert "Example" not in titles_of(deck)
    assert {slide.slide_layout.name for slide in deck.slides} == {"Title Slide", "Title Only"}
    for slide in deck.slides:
        for shape in slide.shapes:
            if not shape.is_placeholder:
                assert shape.top + shape.height <= deck.slide_height
                assert shape.left + shape.width <= deck.slide_width


@pytest.mark.parametrize("damage", ["other layouts", "no presentation"])
def test_wrong_template_is_refused_in_words(project, english, monkeypatch, tmp_path, damage):
    """A template without the layouts, or that is none, names the file and what it needs."""
    path = tmp_path / "slides.pptx"
    template = Presentation()
    template.slide_layouts.get_by_name("Title Only").name = "Only"
    template.save(path)
    if damage == "no presentation":
        path.write_bytes(b"PK but no presentation")
    monkeypatch.setattr(type(project), "theme", tmp_path)
    with pytest.raises(
        DefinitionError, match=r"a template `reports/theme/slides.pptx` (without the layout|that is no)"
    ):
        Deck(project, english)


def test_long_text_goes_on_on_further_slides(project, english):
    """What does not fit in readable type continues, numbers and all, under a title of its own."""
    deck = Deck(project, english)
    items = "\n".join(f"{number}. {'A finding of many words. ' * 12}" for number in range(1, 31))
    deck.tell("Findings", prose.read(items), "notes")
    assert titles_of(deck.file)[:3] == ["Findings", "Findings (2)", "Findings (3)"]
    starts = [int(mark.get("startAt")) for slide in deck.file.slides for mark in slide.element.iter(qn("a:buAutoNum"))]
    assert starts == list(range(1, 31))


def test_markdown_becomes_runs():
    """Bold, italic, lists, quotes and what stands back keep their look; raw blocks of one format are left out."""
    found = prose.read('**A** *b*\n\n- c\n\n1. d\n\n> "e" [(f)]{.cx-second}\n\n```{=html}\n<b>no</b>\n```')
    assert [(each.kind, each.text) for each in found] == [
        ("", "A b"),
        ("bullet", "c"),
        ("number", "d"),
        ("quote", "\u201ce\u201d (f)"),
    ]
    assert [(run.text, run.bold, run.italic) for run in found[0].runs] == [
        ("A", True, False),
        (" ", False, False),
        ("b", False, True),
    ]
    assert found[3].runs[-1].soft


def test_slides_speak_the_language_of_the_report(small_pack, project, deck_of, make):  # noqa: ARG001
    """Proofing tools are told the language with its country."""
    deck = Deck(project, Words.open(project, "de"))
    deck.tell("Titel", prose.read("Ein Satz."), "Notiz")
    made = Presentation(io.BytesIO(deck.saved(title="T", author="A", at=make.STAMP)))
    assert {look.get("lang") for look in made.slides[0].element.iter(qn("a:rPr"))} == {"de-DE"}


def test_executive_page_is_one_accessible_page(exported, make):
    """The executive page alone is a tagged A4 page with all its sections, and an independent checker finds nothing."""
    path = exported / "executive.pdf"
    [page] = PdfReader(path).pages
    text = page.extract_text()
    assert [round(float(edge)) for edge in page.mediabox[2:]] == [595, 842]
    assert all(part in text for part in (make.TITLE, "What to look at", "What the figures rest on", "Verdict"))
    assert pdfua.validate(str(path)).findings == ()


@pytest.mark.soak
def test_another_program_shows_the_same_text(exported, converted):
    """LibreOffice opens the slides and writes the text of every slide into a file of its own."""
    before, after = (
        Presentation(path) for path in (exported / "slides.pptx", converted(exported / "slides.pptx", "pptx"))
    )
    assert [texts_of(slide) for slide in before.slides] == [texts_of(slide) for slide in after.slides]
    assert len(charts_of(before)) == len(charts_of(after))
