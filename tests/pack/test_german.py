"""A report whose definition says `language: de` is published in German, page and PDF."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from pypdf import PdfReader

# Words that English texts can hardly do without and German ones never hold.
ENGLISH = re.compile(r"\b(the|and|of|is|are|with|from|than|which|each|has|have|by|to|no|not|since|on|for)\b")
BLOCKS = {"p", "td", "th", "li", "h1", "h2", "h3", "dt", "dd", "summary", "figcaption", "title", "desc", "text", "a"}


class Texts(HTMLParser):
    """Collects what a page says, block by block, alternative texts included."""

    def __init__(self, page):
        """Read a page."""
        super().__init__()
        self.said, self._open, self._unseen = [], [], 0
        self.feed(page)
        self._end()

    def handle_starttag(self, tag, attrs):
        """Begin a block."""
        self._unseen += tag == "style"
        self.said += [value for name, value in attrs if name in {"alt", "aria-label", "title"} and value]
        if tag in BLOCKS:
            self._end()

    def handle_endtag(self, tag):
        """End a block."""
        self._unseen -= tag == "style"
        if tag in BLOCKS:
            self._end()

    def handle_data(self, data):
        """Collect text."""
        if not self._unseen:
            self._open.append(data)

    def _end(self):
        text = " ".join("".join(self._open).split())
        self.said += [text] if text else []
        self._open = []


@pytest.fixture(scope="module")
def page(german):
    """The published page."""
    return german.html.read_text(encoding="utf-8")


def test_page_and_pdf_state_their_language(german, page):
    """Screen readers are told that both are German; the data-quality page stays English."""
    assert '<html lang="de">' in page
    assert PdfReader(german.html.parent / "report.pdf").trailer["/Root"]["/Lang"] == "de"
    assert '<html lang="en">' in (german.html.parent / "data-quality.html").read_text(encoding="utf-8")


def test_nothing_on_the_page_is_english(page, root):
    """Whatever the page says is German, but for the sources of benchmarks and for files, which keep their names."""
    benchmarks = pd.read_csv(root / "data" / "reference" / "benchmarks.csv", dtype=str, keep_default_na=False)
    named = [".csv", *filter(None, [*benchmarks["source"], *benchmarks["licence"]])]
    said = [text for text in Texts(page).said if not any(name in text for name in named)]
    assert len(said) > 100
    assert not [text for text in said if ENGLISH.search(text)]


def test_renderer_speaks_german(german, page):
    """What the renderer adds is German, too: numbers of pages, the way round the page, its making."""
    pdf = "\n".join(each.extract_text() for each in PdfReader(german.html.parent / "report.pdf").pages)
    assert "Zum Bericht springen" in page
    assert "So ist dieser Bericht entstanden" in page
    assert "Seite 1 von" in pdf
