"""The embedded renderer: one document, a self-contained page and a PDF, the same bytes every time."""

import re
import shutil

import pytest
from nbformat.v4 import new_markdown_cell
from pypdf import PdfReader

from cxreport.config import Project
from cxreport.errors import RunError, UsageError
from cxreport.publish import document, render
from cxreport.publish.embedded import Embedded


@pytest.fixture
def render_cells(make, project, english, tmp_path):
    """Renders a notebook of these cells; returns the page's source and the PDF's text."""

    def render_them(*cells):
        notebook = make.save(tmp_path / "a.ipynb", make.front_matter("A"), *cells)
        node = document.merge([notebook], words=english, title="T", subtitle="S", provenance={"Data": "x"})
        document.write(node, tmp_path / "report.ipynb")
        html, pdf = tmp_path / "report.html", tmp_path / "report.pdf"
        Embedded().render(tmp_path / "report.ipynb", html=html, pdf=pdf, project=project, timestamp=make.STAMP)
        return html.read_text(encoding="utf-8"), text_of(pdf)

    return render_them


def text_of(pdf):
    """Return a PDF's text on one line, with ordinary spaces."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(pdf).pages).split())


def test_rendering_twice_gives_the_same_bytes(make, rendered, project, tmp_path):
    """Neither the page nor the PDF depends on the clock, on chance or on where it is written."""
    html, pdf = tmp_path / "again.html", tmp_path / "again.pdf"
    Embedded().render(rendered.document, html=html, pdf=pdf, project=project, timestamp=make.STAMP)
    assert html.read_bytes() == rendered.html.read_bytes()
    assert pdf.read_bytes() == rendered.pdf.read_bytes()


def test_page_needs_nothing_else(rendered):
    """No address is fetched: style, typeface and figures are in the file, and there is no script."""
    sources = re.findall(r'(?:src|srcset|poster)="([^"]*)"|url\("?([^")]*)', rendered.page)
    assert len(sources) == 3  # the typeface; figures are part of the page
    assert all(one.startswith("data:") or two.startswith("data:") for one, two in sources)
    assert "<script" not in rendered.page
    assert not re.search(r"<[^>]+\son\w+=", rendered.page)
    assert "default-src 'none'" in rendered.page


def test_figures_and_tables_are_numbered_in_reading_order(rendered):
    """Captions carry numbers, references carry the same ones and lead to the figure."""
    for label, name in {"fig-trend": "Figure\xa01", "tbl-touchpoints": "Table\xa01", "fig-left": "Figure\xa02"}.items():
        assert f'id="{label}"' in rendered.page
        assert re.search(rf'<a href="#{label}"[^>]*>{name}</a>', rendered.page)
    assert "<figcaption>Figure\xa02: The left one, <em>with</em> markup</figcaption>" in rendered.page
    assert "<caption>Table\xa01: CSAT by touchpoint</caption>" in rendered.page


def test_pdf_has_the_same_numbers(rendered):
    """Both formats number alike."""
    text = text_of(rendered.pdf)
    for caption in ("Figure 1: A line that rises", "Table 1: CSAT by touchpoint", "Figure 4: A trend"):
        assert caption in text
    assert "The lead is in Figure 1 and Table 1; see also Figure 2." in text


def test_raw_blocks_reach_only_their_format(rendered):
    """What is written for the page stays out of the PDF, and the other way round."""
    text = text_of(rendered.pdf)
    assert "Only the page shows this." in rendered.page
    assert "Only the page shows this." not in text
    assert "Only the PDF shows this." in text
    assert "Only the PDF shows this." not in rendered.page


def test_callouts_have_a_title(rendered):
    """The title is the first heading, or `title=`, or the kind of callout; it is no heading of the page."""
    titles = re.findall(
        r'<div class="callout (callout-\w+)" role="note">\s*<div class="callout-header">\s*<p>(.*?)</p>', rendered.page
    )
    assert titles == [
        ("callout-important", "One touchpoint broke"),
        ("callout-note", "How to read it"),
        ("callout-warning", "Warning"),
    ]


def test_layout_with_columns_holds_one_cell_for_each_figure(rendered):
    """A container over several cells of the notebook lays their figures side by side."""
    columns = rendered.page.split('<div class="columns columns-2">')[1].split("What people said")[0]
    assert columns.count("<figure") == 2


def test_hostile_text_is_inert(make, rendered):
    """Escaped data reads as that text in both formats and is nothing else."""
    shown = (
        "&lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(2)&gt; a|b *not bold* $5 and $6 #5 @fig-none"
    )
    assert rendered.page.count(shown) == 2
    assert "".join(make.HOSTILE.split()) in text_of(rendered.pdf).replace(" ", "")


def test_markup_in_prose_is_text(make, render_cells):
    """HTML, TeX and metadata written into prose stay text; only explicit raw blocks are markup."""
    cells = [
        new_markdown_cell("Before <b onclick=x>bold</b> \\textbf{x} $a_b$ costs $5.\n\n<script>alert(1)</script>"),
        make.printing("---\ntitle: Other\n---\n\nAfter."),
    ]
    page, _ = render_cells(*cells)
    assert "<b onclick" not in page
    assert "<script" not in page
    assert "$a_b$ costs $5." in page
    assert "<title>T \u2013 S</title>" in page


def test_letters_of_other_scripts_do_not_break_the_pdf(rendered):
    """Vietnamese is drawn; where no font has the letters, as for Chinese, the PDF says where they can be read."""
    assert "中文, ≥ 5 → 2" in rendered.page
    assert "Tiếng Việt, [characters that only the web page shows], ≥ 5 → 2" in text_of(rendered.pdf)


def test_words_of_another_script_are_told_of_once(make, render_cells):
    """A sentence whose words no font has is one note in the PDF, and marks and joiners go with their letters."""
    cell = make.printing("Wi-Fi: नमस्ते दुनिया \U0001f468\u200d\U0001f3ed\ufe0f, `中文`!")
    note = "[characters that only the web page shows]"
    page, text = render_cells(cell)
    assert "नमस्ते दुनिया" in page
    assert f"Wi-Fi: {note}, {note}!" in text


ODD = [
    "I \u2764\ufe0f it",
    "\U0001f468\u200d\U0001f469",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "i\u0307 z\u0335",
    "\u3164\u2028x",
]


@pytest.mark.parametrize("name", ODD)
def test_no_letter_of_a_chart_stops_the_pdf(make, render_cells, name):
    """Emoji, joined letters and marks, of which Typst makes no PDF/UA in a chart, are left out there, whole in HTML."""
    cell = make.figure("fig-odd")
    drawn = make.SVG.replace("</svg>", f'<text x="20" y="40">{name} 5 %</text></svg>')
    cell.outputs[0].data["image/svg+xml"] = drawn
    page, text = render_cells(cell)
    assert name in page
    assert "5 %" in text


def test_a_number_with_a_dot_begins_no_list(make, render_cells, tmp_path):
    """A cell that starts with `10. August` is a date in the PDF too, not the tenth item of a list."""
    render_cells(make.printing("| Day |\n|:---|\n| 10&#46; August 2026 |"))
    assert not {"/L", "/LI"} & tags(tmp_path / "report.pdf")


@pytest.mark.parametrize(("lines", "page"), [(3, 0), (24, 1)])
def test_a_chapter_follows_where_there_is_room(render_cells, tmp_path, lines, page):
    """A chapter starts on the page of the one before, unless little of that page is left."""
    render_cells(new_markdown_cell("\n\n".join(["A line."] * lines)), new_markdown_cell("# Next one\n\nText."))
    assert "Next one" in PdfReader(tmp_path / "report.pdf").pages[page].extract_text()


def test_words_of_a_column_fit_into_it(make, render_cells, tmp_path):
    """However much the other columns say, the next one starts right of a column's longest word."""
    cells = [f"{'ein langer Satz ' * 8}|Rückmeldungen|2 von 1458|abgelehnt|{'noch ein Satz ' * 8}" for _ in range(3)]
    render_cells(make.printing("\n".join(["a|b|c|d|e", ":--|:--|:--|:--|:--", *cells])))
    starts = {}

    def note(text, page, line, *_):
        starts.setdefault(text.strip(), page[0] * line[4] + page[4])

    PdfReader(tmp_path / "report.pdf").pages[0].extract_text(visitor_text=note)
    assert starts["2 von 1458"] - starts["Rückmeldungen"] > 60  # points


def tags(pdf):
    """Return the kinds of all elements of a PDF's structure."""
    found, left = set(), [PdfReader(pdf).trailer["/Root"]["/StructTreeRoot"]]
    while left:
        node = left.pop().get_object()
        if isinstance(node, dict):
            found.add(node.get("/S"))
            left += [node["/K"]] if "/K" in node else []
        elif isinstance(node, list):
            left += node
    return found


def test_dots_stay_dots(make, render_cells):
    """Three dots that somebody wrote are not made one sign."""
    page, text = render_cells(make.printing(f"{make.references('wait...what')}"))
    assert "wait...what" in page
    assert "wait...what" in text


def test_title_language_author_and_date_are_in_both_files(make, rendered):
    """Readers' tools find what the report is called, in which language it is and who made it."""
    assert '<html lang="en">' in rendered.page
    assert f"<title>{make.TITLE} \u2013 {make.SUBTITLE}</title>" in rendered.page
    assert '<meta name="author" content="Halden Broadband">' in rendered.page
    reader = PdfReader(rendered.pdf)
    assert reader.metadata.title == f"{make.TITLE} \u2013 {make.SUBTITLE}"
    assert reader.metadata.author == "Halden Broadband"
    assert reader.metadata.creation_date == make.STAMP
    assert reader.trailer["/Root"]["/Lang"] == "en"


def test_provenance_is_the_footer(make, rendered):
    """Both formats end with how the report was made."""
    footer = rendered.page.split('<footer class="colophon">')[1]
    text = text_of(rendered.pdf)
    for words in make.PROVENANCE.values():
        assert words in footer
        assert words in text


def test_table_without_rows_in_markdown_keeps_its_words(make, render_cells):
    """A table cell that says why there is no table shows these words below the caption."""
    cell = make.displaying(document.MARKDOWN, "No earlier month.", "#| label: tbl-x\n#| tbl-cap: Changes")
    page, text = render_cells(cell, new_markdown_cell("See @tbl-x."))
    assert re.search(r'<div id="tbl-x" class="float">\s*<div class="float-caption">[^<]*</div>\s*<p>No earlier', page)
    assert "Table 1: Changes" in text


def test_notes_around_a_table_are_kept(make, render_cells):
    """Words before and after the table of a labelled cell are shown."""
    content = "Before.\n\n| A | B |\n|---|--:|\n| x | 1 |\n\nAfter."
    cell = make.displaying(document.MARKDOWN, content, "#| label: tbl-x\n#| tbl-cap: Changes")
    page, text = render_cells(cell)
    assert page.index("Before.") < page.index('<table id="tbl-x">') < page.index("After.")
    assert "Before. Table 1: Changes" in text


def test_caption_and_alternative_text_may_hold_any_character(make, render_cells):
    """Quotes, backslashes and markup in a figure's words break neither format."""
    page, text = render_cells(make.figure("fig-x", "'50% \\# of [x] & \"y\"'", 'a "b" \\ #c [d] <e>'))
    assert '<desc id="figure-1-words">a &quot;b&quot; \\ #c [d] &lt;e&gt;</desc>' in page
    assert "Figure 1: 50% # of [x] & “y”" in text


CHART = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" height="9pt" role="img">
<defs><path id="m" d="M0 0h9"/><clipPath id="c"><path d="M0 0h9v9z"/></clipPath></defs>
<use xlink:href="#m" style="fill: #0f4c75; stroke: #a83a1a"/><g clip-path="url(#c)"/>
<text>fill: #0f4c75 id="m"</text></svg>"""
TITLED = CHART.replace(' role="img">\n', ' role="img"><title>T</title><desc>short</desc>')


def test_figures_are_part_of_the_page_and_follow_its_colours(make, render_cells):
    """Ids of two figures differ, colours are the page's own, labels stay, and the alternative text names the figure."""
    cell = make.drawing({"alt": "Up <1>"}, {"alt": "Down"})
    for output, svg in zip(cell.outputs, (TITLED, CHART), strict=True):
        output.data[document.SVG] = svg
    page, _ = render_cells(cell)
    assert page.count('role="img" aria-labelledby="figure-1-title figure-1-words"') == 1
    assert page.count('role="img" aria-labelledby="figure-2-words"') == 1
    assert '<title id="figure-1-title">T</title><desc id="figure-1-words">Up &lt;1&gt;</desc>' in page
    for name in ("figure-1", "figure-2"):
        assert page.count(f'id="{name}-m"') == page.count(f'href="#{name}-m"') == page.count(f"url(#{name}-c)") == 1
    assert page.count("fill: var(--accent); stroke: var(--warning)") == 2
    assert page.count('<text>fill: #0f4c75 id="m"</text>') == 2


def test_numbers_of_a_figure_are_opened_on_the_page_and_left_out_of_the_pdf(make, render_cells):
    """Below a figure stands a closed line with its table, on pages only; side by side each figure keeps its own."""
    told = [
        {"alt": "Up", "caption": f"Line {n}", "data": f"| Month | N{n} |\n|:--|--:|\n| May | 7{n} |"} for n in (1, 2)
    ]
    open_, close = new_markdown_cell("::: {layout-ncol=2}"), new_markdown_cell(":::")
    page, text = render_cells(open_, make.drawing(*told), close)
    columns = page.split('<div class="columns columns-2">')[1].split("</main>")[0]
    found = re.findall(
        r'<div class="cx-chart">\s*<figure>.*?<figcaption>(.*?)</figcaption>\s*</figure>\s*'
        r'<details class="cx-data"><summary>Show the data</summary>.*?<td[^>]*>(\d+)</td>.*?</details>',
        columns,
        re.DOTALL,
    )
    assert found == [("Line 1", "71"), ("Line 2", "72")]
    assert "Line 1" in text
    assert "Show the data" not in text
    assert "71" not in text


def test_classes_are_drawn_by_functions_of_the_pdfs_template(project, english, tmp_path, make):
    """A container or span whose class is a function of one `body` in `report.typ` is drawn by it."""
    theme = tmp_path / "reports" / "theme"
    shutil.copytree(project.theme, theme)
    template = (theme / "report.typ").read_text(encoding="utf-8")
    function = "#let badge(body) = [Badge of #body]\n#set document("
    (theme / "report.typ").write_text(template.replace("#set document(", function, 1), encoding="utf-8")
    cell = new_markdown_cell("::: {.badge}\nthe box\n:::\n\nand [the span]{.badge}, [plain]{.other}.")
    node = document.merge(
        [make.save(tmp_path / "a.ipynb", make.front_matter("A"), cell)],
        words=english,
        title="T",
        subtitle="",
        provenance={},
    )
    document.write(node, tmp_path / "report.ipynb")
    pdf = tmp_path / "x.pdf"
    Embedded().render(
        tmp_path / "report.ipynb", html=tmp_path / "x.html", pdf=pdf, project=Project(tmp_path), timestamp=make.STAMP
    )
    assert "Badge of the box and Badge of the span, plain." in text_of(pdf)


def test_picture_from_elsewhere_and_unsafe_link_are_refused(render_cells):
    """A page that is meant to be self-contained shows only what its cells drew."""
    cells = [new_markdown_cell("![x](https://example.com/x.png) [y](javascript:alert) [ok](https://example.com)")]
    with pytest.raises(RunError, match=r"a link that is neither .*; a picture that no cell drew"):
        render_cells(*cells)


def test_container_that_is_never_closed_is_refused(render_cells):
    """A forgotten `:::` would swallow the rest of the report."""
    with pytest.raises(RunError, match=r"Div .*unclosed"):
        render_cells(new_markdown_cell("::: {.callout-note}\nText."))


def test_wrong_typst_block_is_refused(render_cells):
    """Source that Typst cannot compile fails the run with Typst's own words."""
    with pytest.raises(RunError, match="unknown variable: nonsense"):
        render_cells(new_markdown_cell("```{=typst}\n#nonsense()\n```"))


def test_missing_theme_file_is_named(make, rendered, project, tmp_path):
    """A theme without one of its files is an error, not a bare page."""
    shutil.copytree(project.theme, tmp_path / "reports" / "theme")
    (tmp_path / "reports" / "theme" / "report.css").unlink()
    with pytest.raises(RunError, match=r"no file `report\.css`"):
        Embedded().render(
            rendered.document, html=tmp_path / "x", pdf=tmp_path / "y", project=Project(tmp_path), timestamp=make.STAMP
        )


def test_versions_name_both_tools():
    """The manifest can say what drew the report."""
    versions = Embedded().versions()
    assert sorted(versions) == ["pandoc", "typst"]
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values())


def test_auto_is_embedded_without_quarto(monkeypatch):
    """Without Quarto on the PATH the embedded renderer is chosen, and asking for Quarto is a usage error."""
    monkeypatch.setenv("PATH", "")
    assert render.choose("auto").name == "embedded"
    assert render.choose("embedded").name == "embedded"
    with pytest.raises(UsageError, match="install Quarto"):
        render.choose("quarto")


def test_unknown_renderer_names_the_nearest():
    """A misspelt renderer is an error that names the nearest one."""
    with pytest.raises(UsageError, match="did you mean `embedded`"):
        render.choose("embeded")
