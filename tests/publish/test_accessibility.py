"""Everyone can read the page and the PDF: structure, names, contrast, no requests, no page-wide scrolling."""

import itertools
import re
from html.parser import HTMLParser

import pytest
from pdfua import validate
from pypdf import PdfReader

from cxreport.present.palette import DARK, LIGHT, contrast
from cxreport.publish import archive


class Outline(HTMLParser):
    """Collects what a test asks of a page: tags with attributes in order, and ids."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def named(self, *names):
        """Return the attributes of the elements with these names."""
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="session")
def outline(rendered):
    """The elements of the rendered page."""
    return Outline(rendered.page)


def test_page_has_landmarks_and_a_way_past_them(outline):
    """Header, navigation, main part and footer exist once, and the first link skips to the main part."""
    for name in ("header", "nav", "main", "footer", "h1", "title"):
        assert len(outline.named(name)) == 1, name
    assert outline.named("nav")[0]["aria-label"]
    assert outline.named("a")[0]["href"] == "#" + outline.named("main")[0]["id"]


def test_headings_skip_no_level(outline):
    """Every heading is at most one level below the one before it."""
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_navigation_lists_the_chapters(outline):
    """Each chapter is linked from the navigation, and every link inside the page leads somewhere."""
    ids = {attributes["id"] for _, attributes in outline.tags if attributes.get("id")}
    inner = [attributes["href"][1:] for attributes in outline.named("a") if attributes["href"].startswith("#")]
    assert {"executive-summary", "kpis-in-detail"} <= set(inner)
    assert set(inner) <= ids


def test_ids_are_unique(outline):
    """No two elements share an id."""
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_every_picture_has_words(rendered, outline):
    """Every figure is an image named by its alternative text."""
    figures = outline.named("svg")
    assert [figure["role"] for figure in figures] == ["img"] * 3
    for figure in figures:
        names = [re.search(rf'id="{name}">([^<]*)<', rendered.page)[1] for name in figure["aria-labelledby"].split()]
        assert names == ["A line chart; &quot;NPS&quot; rises to 62"]


def test_table_headers_say_what_they_head(rendered, outline):
    """Every header cell has a scope, and none is empty."""
    heads = outline.named("th")
    assert heads
    assert {attributes["scope"] for attributes in heads} == {"col", "row"}
    assert not re.search(r"<th\b[^>]*>\s*</th>", rendered.page)


def schemes(sheet):
    """Return the colours of a style sheet, in the light and in the dark."""
    light, dark = sheet.split("@media screen and (prefers-color-scheme: dark)")
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in (light, dark.split("\nhtml {")[0])]


def test_text_stands_out_from_its_ground(project):
    """Every pair of text and ground colour of the theme reaches 4.5 to 1, in the light and in the dark."""
    for colours in schemes((project.theme / "report.css").read_text(encoding="utf-8")):
        pairs = [
            (text, ground)
            for text in ("ink", "muted", "accent", "warning")
            for ground in ("paper", "ground", "faint", "tint")
        ]
        pairs += [
            (text, f"{kind}-tint") for kind in ("note", "caution", "important") for text in (kind, "ink", "accent")
        ]
        pairs += [("paper", "accent")]
        assert {pair for pair in pairs if contrast(colours[pair[0]], colours[pair[1]]) < 4.5} == set()
        assert contrast("#ffffff", colours["masthead"]) >= 4.5
        assert min(contrast(colours["focus"], colours[ground]) for ground in ("paper", "ground")) >= 3


def test_style_sheet_has_the_colours_of_charts(project):
    """Charts drawn in the palette and the page around them use the same values, so that a brand replaces both."""
    for colours, wanted in zip(
        schemes((project.theme / "report.css").read_text(encoding="utf-8")), (LIGHT, DARK), strict=True
    ):
        assert {name: colours[name] for name in wanted} == wanted


def test_browser_requests_nothing_and_reports_no_error(rendered, requests_of, tmp_path):
    """Opened in a browser, the page asks for no address and writes nothing to the console; another one is caught."""
    noisy = tmp_path / "noisy.html"
    noisy.write_text("<img src=http://pixel.invalid/x.png><script>console.log(1)</script>", encoding="utf-8")
    asked, console = requests_of(noisy)
    assert "http://pixel.invalid/x.png" in asked
    assert console
    assert requests_of(rendered.html) == (set(), [])


@pytest.fixture
def widths(browse, tmp_path):
    """Return a function that opens a page in a frame of some width and returns that width and the one it needs."""

    # Measured inside a frame: headless windows cannot be narrower than about 500 px. The page itself runs no script.
    def widths(page, width):
        frame = tmp_path / "frame.html"
        (tmp_path / "copy.html").write_text(re.sub(r"<meta http-equiv=[^>]*>", "", page), encoding="utf-8")
        frame.write_text(
            f"<iframe id=f src=copy.html style='width:{width}px;height:900px;border:0' onload='"
            'const d = document.getElementById("f").contentDocument.documentElement;'
            "document.title = `${d.clientWidth} ${d.scrollWidth}`'></iframe>",
            encoding="utf-8",
        )
        shown = browse(frame.as_uri(), "--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=3000")
        return tuple(map(int, re.search(r"<title>(\d+) (\d+)</title>", shown.stdout).groups()))

    return widths


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_page_does_not_scroll_sideways(rendered, widths, width):
    """At the width of a phone, a tablet and a desktop no part is wider than the window."""
    assert widths(rendered.page, width) == (width, width)


def test_data_quality_page_is_offline_fits_a_phone_and_names_rows(small, requests_of, widths):
    """The page beside a report asks for nothing, fits a phone, and says which lines of which file were rejected."""
    path = small.folder / archive.QUALITY
    page = path.read_text(encoding="utf-8")
    assert requests_of(path) == (set(), [])
    assert widths(page, 390) == (390, 390)
    chapters = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert chapters[:3] == ["Verdict", "What arrived", "Rejected rows"]
    assert re.search(r"survey/survey_2026-09\.csv.*?ask Customer insight.*?lines \d+, \d+", page, re.DOTALL)
    assert str(small.project.root) not in page


def test_pdf_passes_the_independent_check(rendered):
    """Besides Typst, which refuses to write anything else, `pdfua` finds no fault with the PDF."""
    report = validate(str(rendered.pdf))
    assert list(report.findings) == []
    # The checker stumbles over its own rule on heading order; headings are read by another test.
    assert {outcome.rule_id for outcome in report.outcomes if outcome.skipped_reason} <= {"UA-14-001"}


def tags(node, found):
    """Collect tag names and alternative texts of a PDF's structure tree."""
    node = node.get_object()
    if isinstance(node, list):
        for item in node:
            tags(item, found)
    elif isinstance(node, dict):
        if "/S" in node:
            found.append((node["/S"], node.get("/Alt")))
        if "/K" in node:
            tags(node["/K"], found)
    return found


def test_pdf_is_tagged_with_headings_tables_and_alternative_texts(rendered):
    """A screen reader finds headings by level, table headers, and words for every figure."""
    found = tags(PdfReader(rendered.pdf).trailer["/Root"]["/StructTreeRoot"], [])
    names = [name for name, _ in found]
    assert names.count("/H1") == 2
    assert names.count("/H2") == 2
    assert names.count("/TH") == 5
    words = [alternative for name, alternative in found if name == "/Figure"]
    assert words == ['A line chart; "NPS" rises to 62'] * 3


def test_chapters_are_bookmarks_of_the_pdf(rendered):
    """A reader can jump to each chapter."""
    outlines = [item.title for item in PdfReader(rendered.pdf).outline if not isinstance(item, list)]
    assert outlines == ["Executive summary", "KPIs in detail"]
