"""Every chart and table is its own pack's: another one is found before rendering, in the page and in the PDF."""

import base64
import re
import shutil
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from random import Random

import pypandoc
import pytest
import typst
from hypothesis import assume, given
from hypothesis import strategies as st
from pypdf import PdfReader

from cxreport.errors import RunError
from cxreport.present.identity import Mark
from cxreport.publish import document, identity, pdf
from cxreport.publish.embedded import Embedded
from cxreport.publish.exports import executive
from cxreport.publish.quarto import Quarto

NORTH = Mark("monthly", "2026-09", "north", "0123456789abcdef")
OTHERS = [
    replace(NORTH, report="weekly"),
    replace(NORTH, period="2026-08"),
    replace(NORTH, audience="all"),
    replace(NORTH, data="f" * 16),
]
FRAGMENT = re.compile(r"<svg\b.*?</svg>|<table\b.*?</table>", re.DOTALL)
SHOWN = re.compile(r"<svg\b.*?</svg>|::: \{\.cx-table .*?\n:::", re.DOTALL)  # in a document


@dataclass(frozen=True)
class Pack:
    """A pack of one notebook: what was executed, the document, and what was rendered."""

    notebook: Path
    document: document.Cell
    html: Path
    pdf: Path

    @property
    def page(self):
        return self.html.read_text(encoding="utf-8")

    @property
    def charts(self):
        return [output.data for cell in self.document.cells for output in cell.get("outputs", []) if is_chart(output)]


def is_chart(output):
    return document.SVG in output.get("data", {})


@pytest.fixture(scope="module")
def builder(make, project, english, tmp_path_factory):
    """Return a function that makes a pack with two charts and two tables, some of which are told below."""

    def render(node, folder):
        document.write(node, folder / "report.ipynb")
        html, print_ = folder / "report.html", folder / "report.pdf"
        Embedded().render(folder / "report.ipynb", html=html, pdf=print_, project=project, timestamp=make.STAMP)
        return html, print_

    def build(mark, own=True):
        folder = tmp_path_factory.mktemp(mark.audience)
        charts = [make.SVG.replace('r="5"', f'r="{size}"').replace("260", f"2{len(mark.audience)}0") for size in (4, 6)]
        tables = [make.TABLE.replace("212", f"{number}{len(mark.audience)}") for number in (1, 2)]
        if own:
            charts, tables = map(mark.on_picture, charts), map(mark.on_table, tables)
        first, second = charts
        third, fourth = tables
        cells = [
            make.figure("fig-first"),
            make.printing(f"Words.\n\n{third}"),
            make.table("tbl-labelled", fourth),
            make.drawing({"alt": "Rises", "caption": "Rises", "data": mark.on_table("| A |\n|---|\n| 7 |")}),
        ]
        cells[0].outputs[0].data[document.SVG] = first
        cells[3].outputs[0].data[document.SVG] = second
        notebook = make.save(folder / "40_kpis.ipynb", make.front_matter("KPIs"), *cells)
        node = document.merge([notebook], words=english, title="T", subtitle="S", provenance={"Data": "x"})
        identity.complete(node, mark)
        return Pack(notebook, node, *render(node, folder))

    build.render = render
    return build


@pytest.fixture(scope="module")
def north(builder):
    """The pack of the North."""
    return builder(NORTH)


@pytest.fixture(scope="module")
def west(builder):
    """The pack of the West, of other figures."""
    return builder(replace(NORTH, audience="west-coast", data="0" * 16))


@pytest.fixture
def check(north, tmp_path):
    """Return a function that checks a page's source, and a PDF if one is given, in the place of the North's."""

    def check(page, print_=None):
        html = tmp_path / "report.html"
        html.write_text(page, encoding="utf-8")
        identity.check(north.document, html, print_)

    return check


def test_pack_of_its_own_passes(north, check):
    """A page and a PDF as they were rendered are in order, and carry three marks more than the two charts."""
    check(north.page, north.pdf)
    assert len(re.findall(r'<(?:svg|table) [^>]*data-cx="cx:monthly:2026-09:north:0123456789abcdef:', north.page)) == 5
    identity.require_own([north.notebook], NORTH)


def test_charts_and_tables_made_by_other_means_are_marked_too(builder):
    """What an analyst draws or writes without the package gets the mark of the pack when its page is merged."""
    pack = builder(NORTH, own=False)
    identity.check(pack.document, pack.html, pack.pdf)
    assert pack.page.count(f'data-cx="{NORTH}:') == 5


def test_each_table_that_a_cell_prints_is_marked(builder, make, english, tmp_path):
    """Tables that one cell prints below each other, with words between them, carry a mark each."""
    printing = make.printing(f"{make.TABLE}\nWords: a | b.\n\n{make.TABLE.replace('212', '213')}")
    notebook = make.save(tmp_path / "40_kpis.ipynb", make.front_matter("KPIs"), printing)
    node = document.merge([notebook], words=english, title="T", subtitle="S", provenance={"Data": "x"})
    identity.complete(node, NORTH)
    html, print_ = builder.render(node, tmp_path)
    identity.check(node, html, print_)
    assert len(set(re.findall(rf'<table data-cx="({NORTH}:[0-9a-f]+)"', html.read_text(encoding="utf-8")))) == 2


# --- the page ---


def exchanged(page, place, fragment):
    """Return a page with another chart or table in a place."""
    found = list(FRAGMENT.finditer(page))[place]
    return page[: found.start()] + fragment + page[found.end() :]


@pytest.mark.parametrize("place", range(5))
def test_chart_or_table_of_another_audience_is_found_in_the_page(north, west, check, place):
    """Any one of them that is put in the place of its twin stops the pack, and the message names both."""
    page = exchanged(north.page, place, FRAGMENT.findall(west.page)[place])
    with pytest.raises(RunError) as caught:
        check(page)
    assert "report.html shows as chart or table" in caught.value.found
    assert ":west-coast:" in caught.value.found
    assert ":north:" in caught.value.expected


def test_any_exchange_in_the_page_is_found(north, west, check):
    """Wherever charts and tables of two packs are mixed, doubled or left out, the page is refused."""
    fragments = FRAGMENT.findall(north.page)
    others = [*fragments, *FRAGMENT.findall(west.page), "", fragments[0] + fragments[1]]

    @given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(others)), min_size=1, max_size=3))
    def any_exchange(changes):
        pieces = list(fragments)
        for place, other in changes:
            pieces[place] = other
        assume(pieces != fragments)
        left = iter(pieces)
        with pytest.raises(RunError):
            check(FRAGMENT.sub(lambda _: next(left), north.page))

    any_exchange()


@pytest.mark.parametrize("other", OTHERS, ids=("report", "period", "audience", "data"))
def test_mark_of_another_report_period_audience_or_data_is_found(north, check, other):
    """Each part of the mark counts, and so does the page of another pack as a whole."""
    with pytest.raises(RunError, match=re.escape(str(other))):
        check(north.page.replace(str(NORTH), str(other)))


# --- the PDF ---


@pytest.fixture
def printed(north, builder, tmp_path):
    """Return a function that renders the North's document with other outputs in it; returns the PDF."""

    def printed(change):
        node = document.read(north.html.with_name("report.ipynb"))
        change([output for cell in node.cells for output in cell.get("outputs", [])], node)
        return builder.render(node, tmp_path)[1]

    return printed


def swap(charts_of):
    def swap(outputs, _):
        next(filter(is_chart, outputs)).data[document.SVG] = charts_of[0][document.SVG]

    return swap


def test_picture_swapped_before_the_pdf_is_made_is_found(north, west, check, printed):
    """A chart of another audience that lay in the place of a figure brings its own mark into the PDF."""
    with pytest.raises(RunError, match=r"report\.pdf shows as chart 1 of 2 `cx:monthly:2026-09:west-coast:0{16}"):
        check(north.page, printed(swap(west.charts)))


def test_picture_used_twice_is_found_in_the_pdf(north, check, printed):
    """A chart in the place of another one of the same pack is found."""
    with pytest.raises(RunError, match=r"report\.pdf shows as chart 1 of 2"):
        check(north.page, printed(swap(north.charts[1:])))


def test_missing_picture_is_found_in_the_pdf(north, check, printed):
    """A chart that is not drawn is missed."""

    def remove(outputs, node):
        [cell] = [cell for cell in node.cells if cell.get("outputs") == [next(filter(is_chart, outputs))]]
        node.cells.remove(cell)

    with pytest.raises(RunError, match=r"report\.pdf shows as chart 1 of 1"):
        check(north.page, printed(remove))


def test_unmarked_picture_is_found_in_the_pdf(north, make, check, printed):
    """A picture from nowhere has no mark."""
    with pytest.raises(RunError, match=r"report\.pdf shows as chart 1 of 2 `one without a mark`"):
        check(north.page, printed(swap([{document.SVG: make.SVG}])))


def test_table_of_another_audience_is_found_in_the_pdf(north, west, check, printed):
    """A table with other figures than the page's is found by its cells."""

    def change(outputs, _):
        [ours, theirs] = [
            next(output for output in each if output.output_type == "stream")
            for each in (outputs, [output for cell in west.document.cells for output in cell.get("outputs", [])])
        ]
        ours["text"] = theirs.text

    with pytest.raises(RunError, match=r"report\.pdf shows as table 1 of 2 `.*\| 110 \| 54"):
        check(north.page, printed(change))


def test_pdf_of_another_audience_is_found(north, west, check):
    """A whole PDF in the place of another one is refused, and so is a file that is no PDF."""
    with pytest.raises(RunError, match="chart 1 of 2 `cx:monthly:2026-09:west-coast"):
        check(north.page, west.pdf)
    with pytest.raises(RunError, match="chart 1 of 0 none"):
        check(north.page, north.html)


def test_mark_is_not_seen(north, rendered):
    """Marks neither stand in the text of the page nor are they drawn in the PDF."""
    assert "cx:" not in re.sub(r"<[^>]*>", "", north.page.partition("<main")[2])
    drawn = PdfReader(north.pdf).pages[0].get_contents().get_data()
    assert b" gs" in drawn  # what draws without ink
    assert b" gs" not in PdfReader(rendered.pdf).pages[0].get_contents().get_data()


@pytest.fixture
def exchange_in(builder, english, tmp_path):
    """Return a function that exchanges two charts or tables of a report, again and again, and demands refusals."""

    def exchange_in(made, times):
        notebooks = sorted((made.folder / "all" / "notebooks").glob("[3-9]*.ipynb"))
        node = document.merge(notebooks, words=english, title="T", subtitle="S", provenance={"Data": "x"})
        html, print_ = builder.render(node, tmp_path)
        identity.check(node, html, print_)
        found = sorted({text for cell in node.cells for output in texts(cell) for text in SHOWN.findall(output)})
        pairs = [pair for pair in combinations(found, 2) if pair[0][:3] == pair[1][:3]]
        for one, other in Random(1).sample(pairs, times):
            aside = tmp_path / "aside"
            aside.mkdir(exist_ok=True)
            page, swapped = builder.render(exchanged_in_document(node, {one: other, other: one}), aside)
            with pytest.raises(RunError, match=r"report\.html shows as chart or table"):
                identity.check(node, page, None)
            with pytest.raises(RunError, match=rf"report\.pdf shows as {'chart' if one[0] == '<' else 'table'}"):
                identity.check(node, html, swapped)

    return exchange_in


def texts(cell):
    return [text for _, text in document.shown(cell)] if cell.cell_type == "code" else []


def exchanged_in_document(node, others):
    """Return a document with other texts in the place of some."""
    node, either = deepcopy(node), re.compile("|".join(map(re.escape, others)))
    for output in (output for cell in node.cells for output in cell.get("outputs", [])):
        place = output if output.output_type == "stream" else output.data
        for key, text in place.items():
            place[key] = either.sub(lambda found: others[found[0]], text)
    return node


def test_charts_and_tables_of_a_report_cannot_be_exchanged(small, exchange_in):
    """Of a published report no two charts, and no two tables, can change places in the page or in the PDF."""
    exchange_in(small, 5)


@pytest.mark.soak
def test_200_exchanges_in_a_whole_report_are_found(pack, exchange_in):
    """Two hundred times another two charts or tables of the default report change places."""
    exchange_in(pack, 200)


def test_executive_page_with_other_figures_in_a_table_is_refused(small_pack, make, monkeypatch, tmp_path):
    """The page that stands alone is held to its notebook like the report."""
    render = Embedded.render

    def altered(self, source, *, html, pdf, **settings):
        render(self, source, html=html, pdf=pdf, **settings)
        source.write_text(source.read_text(encoding="utf-8").replace("212", "213"), encoding="utf-8")
        render(self, source, html=tmp_path / "other.html", pdf=pdf, **settings)

    monkeypatch.setattr(Embedded, "render", altered)
    notebook = make.save(tmp_path / "30_executive.ipynb", make.front_matter("Summary"), make.table("tbl-points"))
    with pytest.raises(RunError, match=r"executive\.pdf shows as table 1 of 1 `.*\| 213 \|"):
        executive.as_pdf(small_pack, notebook, title="T", provenance={"Data": "x"}, at=make.STAMP)


# --- executed notebooks ---


@pytest.mark.parametrize("mark", OTHERS, ids=("report", "period", "audience", "data"))
def test_notebook_of_another_pack_is_refused_before_rendering(north, mark):
    """Each part of the mark counts in each cell."""
    with pytest.raises(RunError) as caught:
        identity.require_own([north.notebook], mark)
    assert caught.value.found.count(f"shows what is marked `{NORTH}:") == 5
    assert str(mark) in caught.value.expected


@pytest.mark.parametrize(
    ("parameters", "mark", "told"),
    [
        ({"period": "2026-08"}, NORTH, "the period `2026-08`"),
        ({"audience": "east"}, NORTH, "the audience `east`"),
        ({"audience": ""}, NORTH, "the audience `all`"),
        ({"audience": "north"}, replace(NORTH, audience="all"), "the audience `north`"),
        ({"period": "2026-09", "audience": "north"}, NORTH, None),
        ({"audience": ""}, replace(NORTH, audience="all"), None),
    ],
)
def test_notebook_without_charts_is_known_by_its_parameters(make, tmp_path, parameters, mark, told):
    """What a notebook was executed with must be the pack's too; an empty audience stands for everybody."""
    notebook = make.save(tmp_path / "a.ipynb", make.front_matter("A"))
    node = document.read(notebook)
    node.metadata.papermill.parameters = parameters
    document.write(node, notebook)
    if told is None:
        identity.require_own([notebook], mark)
        return
    with pytest.raises(RunError, match=rf"a\.ipynb was executed with {told}"):
        identity.require_own([notebook], mark)


def test_chart_that_a_notebook_shows_twice_is_refused(make, tmp_path):
    """The same picture in two cells of a page is a mistake of the page."""
    cells = [make.figure("fig-one"), make.figure("fig-two")]
    for cell in cells:
        cell.outputs[0].data[document.SVG] = NORTH.on_picture(make.SVG)
    notebook = make.save(tmp_path / "a.ipynb", make.front_matter("A"), *cells)
    with pytest.raises(RunError, match=r"a.ipynb shows the chart `cx:[^`]*` 2 times"):
        identity.require_own([notebook], NORTH)


# --- what Quarto writes ---


def shown_by(pack):
    """Return kinds and texts of all that a pack's document shows."""
    return [
        part
        for cell in pack.document.cells
        for part in (document.shown(cell) if cell.cell_type == "code" else [(document.MARKDOWN, cell.source)])
    ]


def as_quarto_writes(pack):
    """Return a page in Quarto's ways: charts as images, tables in the containers that the document names."""
    shown = []
    for kind, text in shown_by(pack):
        if kind == document.SVG:
            data = base64.b64encode(text.encode()).decode()
            shown.append(f'<img src="data:image/svg+xml;base64,{data}" class="img-fluid figure-img" alt="Rises">')
        marks = re.findall(r'\{\.cx-table (data-cx="[^"]*")\}', text)
        shown += [f'<div class="cx-table" {mark}><table class="table"></table></div>' for mark in marks]
    return shown


def as_quarto_sets(pack, folder):
    """Return Typst in Quarto's ways: charts in boxes and tables, both as figures of kinds of its own."""
    figure = (
        '#figure([{}], caption: figure.caption(position: top, [Words 7]), kind: "quarto-float-{}", supplement: "F")'
    )
    shown = []
    for kind, text in shown_by(pack):
        if kind == document.SVG:
            name = f"{folder.name}-{len(shown)}.svg"
            (folder / name).write_text(text, encoding="utf-8")
            shown.append(figure.format(f'#box(image("/{folder.name}/{name}", alt: "Rises"))', "fig"))
        elif ".cx-table" in text and "when-format" not in text:
            shown.append(figure.format(pypandoc.convert_text(text, "typst", format="markdown"), "tbl"))
    return shown


def test_page_of_quarto_is_read_too(north, west, check):
    """Its images and containers carry the same marks; a swapped one is found."""
    ours, theirs = as_quarto_writes(north), as_quarto_writes(west)
    check("\n".join(ours))
    for place, other in enumerate(theirs):
        with pytest.raises(RunError, match="west-coast"):
            check("\n".join([*ours[:place], other, *ours[place + 1 :]]))


def test_pdf_of_quarto_is_read_too(north, west, check, tmp_path):
    """Its figures, whose captions hold numbers too, give the same charts and tables; a swapped one is found."""

    def compiled(parts):
        source = "\n\n".join(['#set document(title: "T")', *parts])
        (tmp_path / "report.typ").write_text(source, encoding="utf-8")
        (tmp_path / "report.pdf").write_bytes(typst.compile(tmp_path / "report.typ"))
        return tmp_path / "report.pdf"

    folders = [tmp_path / "ours", tmp_path / "theirs"]
    for folder in folders:
        folder.mkdir()
    ours, theirs = map(as_quarto_sets, (north, west), folders)
    assert len(ours) == 4
    check(north.page, compiled(ours))
    for place, other in enumerate(theirs):
        with pytest.raises(RunError, match=r"report\.pdf shows as (chart|table) [12] of 2"):
            check(north.page, compiled([*ours[:place], other, *ours[place + 1 :]]))


@pytest.mark.skipif(shutil.which("quarto") is None, reason="no Quarto here: its own output is not checked")
def test_what_the_real_quarto_writes_passes_the_same_check(north, make, project, tmp_path):
    """Charts and tables are read back from Quarto's page and PDF."""
    html, print_ = tmp_path / "report.html", tmp_path / "report.pdf"
    source = north.html.with_name("report.ipynb")
    Quarto().render(source, html=html, pdf=print_, project=project, timestamp=make.STAMP)
    identity.check(north.document, html, print_)


# --- reading PDFs ---


def test_pdf_is_read_in_reading_order(rendered):
    """Pictures and tables come in the order of the document, with the text of each cell."""
    shown = pdf.read(rendered.pdf.read_bytes())
    assert shown.pictures == ["", "", ""]
    assert shown.tables[0][:6] == ["Touchpoint", "Answers", "CSAT", "Installation visit", "212", "54%"]
    assert len(shown.tables) == 2


def test_file_without_tags_shows_nothing():
    """A file that is no tagged PDF has neither pictures nor tables."""
    assert pdf.read(b"") == pdf.read(b"<p>trailers</p>") == pdf.Shown()


# --- published packs ---


def test_all_that_a_published_page_shows_is_marked(small):
    """Each chart and each table of a real page carries the mark of its figures."""
    mark = Mark.of(small.project, "monthly", small.period)
    elements = re.findall(r"<svg [^>]*>|<table\b[^>]*>", small.html.read_text(encoding="utf-8"))
    assert len(elements) > 10
    assert all(f'data-cx="{mark}:' in element for element in elements)


def test_mark_follows_from_the_figures_alone(small, tmp_path):
    """The same files give the same mark anywhere, and any change of a figure gives another one."""
    project = replace(small.project, root=tmp_path)
    folder = project.measured("monthly", small.period)
    folder.mkdir(parents=True)
    for path in small.project.measured("monthly", small.period).glob("*.parquet"):
        (folder / path.name).write_bytes(path.read_bytes())
    mark = Mark.of(project, "monthly", small.period)
    assert mark == Mark.of(small.project, "monthly", small.period)
    (folder / "estimates.parquet").write_bytes(b"changed")
    assert Mark.of(project, "monthly", small.period) != mark


@pytest.mark.parametrize("name", ["Nord Ost", "näher", "a:b", 'x"><y'])
def test_any_name_can_be_marked(make, name):
    """Names with spaces, letters beyond ASCII and marks of a markup are read back from charts and tables."""
    mark = replace(NORTH, audience=name)
    [found] = identity.ON_PICTURE.findall(mark.on_picture(make.SVG))
    assert mark.is_on(found)
    assert not NORTH.is_on(found)
