"""Hostile texts in comments, names, levels, files and definitions are plain text in every format of a pack."""

import csv
import html
import io
import json
import re
import unicodedata

import openpyxl
import pypandoc
import pytest
from pptx import Presentation
from pypdf import PdfReader

from cxreport.publish import archive

# What a page is made of: its elements with the names of their attributes, and its text.
DOM = """({
    text: document.documentElement.textContent,
    title: document.title,
    hit: window.__hit,
    elements: [...document.querySelectorAll("*")].map(each =>
        [each.tagName.toLowerCase(), each.getAttributeNames(), each.getAttribute("href") || ""]),
})"""
# Elements that load, run or send something, or change what others do; none is in any report.
ACTIVE = {
    *("applet", "audio", "base", "button", "dialog", "embed", "form", "frame", "iframe", "img", "image", "input"),
    *("map", "marquee", "math", "object", "picture", "script", "select", "source", "template", "textarea"),
    *("track", "video", "foreignobject", "animate", "set"),
}
DIRECTIONS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.fixture(scope="module")
def folder(attacked):
    """The folder of the published pack."""
    return attacked.folder / "all"


@pytest.fixture(scope="module")
def missing(hostile):
    """Return a function that returns the payloads, all or some, that a text does not hold letter by letter."""

    def missing(text, payloads=hostile.PAYLOADS):
        held = hostile.letters(text)
        return [payload for payload in payloads if hostile.letters(hostile.shown(payload)) not in held]

    return missing


@pytest.fixture(scope="module")
def doms(attacked, chromium):
    """The pages as Chromium builds them when nothing keeps it from running what it finds, and what they did."""
    found = {}
    # What only leads on to another page has nothing of its own to show.
    for path in sorted({*attacked.project.output.rglob("*.html")} - {*attacked.project.output.rglob("latest.html")}):
        with chromium.open(path, trusting=True) as page:
            found[path.relative_to(attacked.project.output)] = page.run(DOM) | {
                "requests": page.requests,
                "said": page.said,
            }
    return found


@pytest.fixture(scope="module")
def page(attacked, doms):
    """What Chromium makes of the report."""
    return doms[attacked.html.relative_to(attacked.project.output)]


def test_payloads_are_many_and_different(hostile):
    """There are far more than 60, no two are the same, and all but a few are such as comments can hold."""
    assert len(set(hostile.PAYLOADS)) == len(hostile.PAYLOADS) > 90
    assert len(hostile.COMMENTED) > 90


def test_nothing_runs_in_a_browser(doms):
    """With their content security policy lifted, no page runs anything, asks for anything or renames itself."""
    assert len(doms) >= 3
    for path, dom in doms.items():
        assert (dom.get("hit"), dom["requests"], dom["said"]) == (None, [], []), path
        assert not DIRECTIONS & set(dom["text"] + dom["title"]), path


def test_no_page_has_an_element_of_a_payload(doms, small, chromium):
    """Reports hold nothing that loads or runs; other pages are built of what the harmless company's are built of."""
    for path, dom in doms.items():
        for tag, attributes, link in dom["elements"]:
            assert not [attribute for attribute in attributes if attribute.startswith("on")], (path, tag, attributes)
            where = r"data:,|feed\.xml" if tag == "link" else r"[\w./-]*(#[\w-]+)?"
            assert re.fullmatch(where, link), (path, tag, link)
        built = {(tag, *attributes) for tag, attributes, _ in dom["elements"]}
        if path.name == "report.html":
            assert not {tag for tag, *_ in built} & ACTIVE
        else:
            with chromium.open(small.project.output / path) as harmless:
                assert built <= {(tag, *names) for tag, names, _ in harmless.run(DOM)["elements"]}, path


def test_every_payload_stands_on_the_page(page, missing):
    """Each payload is a level and reads letter by letter as it was delivered."""
    assert missing(page["text"]) == []


def test_every_comment_is_quoted(folder, hostile, missing):
    """Each payload that a comment can hold stands between the quotation marks of some comment."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    quoted = "\n".join(html.unescape(re.sub(r"<[^>]+>", "", quote)) for quote in re.findall("“.*?”", page, re.DOTALL))
    assert missing(quoted, hostile.COMMENTED) == []


def test_files_and_owners_are_named_as_they_are(attacked, doms, hostile):
    """The page for those who deliver the data names the newest file of every feed."""
    quality = (attacked.folder / archive.QUALITY).relative_to(attacked.project.output)
    text = hostile.letters(doms[quality]["text"])
    folders = [path for path in attacked.project.sample.iterdir() if path.is_dir()]
    assert len(folders) == 10
    for each in folders:
        assert hostile.letters(max(path.name for path in each.iterdir())) in text


def test_every_payload_stands_in_the_pdf(folder, missing):
    """The PDF holds each payload as text, and no link but to its own places, no script, form or file."""
    text = "".join(page.extract_text() for page in PdfReader(folder / "report.pdf").pages)
    # Piled up marks are drawn one by one, which readers of PDFs put together as they like.
    assert not [payload for payload in missing(text) if not any(map(unicodedata.combining, payload))]
    for path in (folder / "report.pdf", folder / "executive.pdf"):
        reader = PdfReader(path)
        notes = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
        assert all(note["/Subtype"] == "/Link" and "/URI" not in note.get("/A", {}) for note in notes)
        root = reader.trailer["/Root"]
        assert not {"/AcroForm", "/OpenAction", "/AA"} & set(root)
        assert not reader.attachments
        assert b"/JavaScript" not in path.read_bytes()


def test_workbook_holds_texts_only(folder, missing):
    """Every payload is a cell of text; there is no formula, no link and no address outside the file."""
    book = openpyxl.load_workbook(folder / "tables.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} <= {"s", "n", "b"}
    assert not any(cell.hyperlink.target for cell in cells if cell.hyperlink)
    assert missing("\n".join(cell.value for cell in cells if cell.data_type == "s")) == []


def test_slides_hold_texts_only(folder, missing, hostile):
    """Slides show payloads as runs of text, without a link or an address outside the file."""
    deck = Presentation(folder / "slides.pptx")
    shapes = [shape for slide in deck.slides for shape in slide.shapes]
    frames = [shape.text_frame for shape in shapes if shape.has_text_frame]
    frames += [cell.text_frame for shape in shapes if shape.has_table for cell in shape.table.iter_cells()]
    runs = [run for frame in frames for paragraph in frame.paragraphs for run in paragraph.runs]
    text = "\n".join(frame.text for frame in frames)
    assert len(missing(text)) < len(hostile.PAYLOADS) - 10
    assert not any(run.hyperlink.address for run in runs)
    assert not DIRECTIONS & set(text)
    related = [part for slide in deck.slides for part in slide.part.rels.values()]
    assert not [part.target_ref for part in related if part.is_external]


def test_estimates_as_text_compute_nothing(folder, missing):
    """Every payload is a level in the file, and no cell begins as a formula does."""
    rows = list(csv.reader(io.StringIO((folder / "estimates.csv").read_text(encoding="utf-8"))))
    assert {len(row) for row in rows} == {len(rows[0])}
    texts = [cell for row in rows for cell in row if not re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)]
    assert not [text for text in texts if text[:1] in set("=+-@\t\r")]
    assert missing("\n".join(texts)) == []


def test_executed_notebooks_show_text(folder):
    """Opened in a notebook, which knows neither pandoc's nor Quarto's language, nothing is an element or a link."""
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                shown = "".join(output.get("data", {}).get("text/markdown", ""))
                # Cards are a block of HTML for the page, fenced as code for everything else.
                page = pypandoc.convert_text(shown, "html", format="gfm-autolink_bare_uris") if shown else ""
                tags = set(re.findall(r"<(\w+)", page))
                assert not tags & (ACTIVE | {"a", "style", "svg", "meta", "h1"}), (path.name, tags)
                drawn = "".join(output.get("data", {}).get("image/svg+xml", ""))
                assert not {tag.lower() for tag in re.findall(r"<(\w+)", drawn)} & (ACTIVE - {"image"}), path.name
                assert not re.search(r"<[^>]*\son\w+=", drawn), path.name
