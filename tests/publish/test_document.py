"""Merging executed notebooks: what stays, what goes, and what is refused."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output, new_raw_cell

from cxreport.errors import RunError
from cxreport.publish import document


@pytest.fixture
def merged(make, english):
    """Merges notebooks under a title."""

    def merge(*notebooks, **chosen):
        settings = {"title": "Report", "subtitle": "September 2026", "provenance": make.PROVENANCE} | chosen
        return document.merge(list(notebooks), words=english, **settings)

    return merge


@pytest.fixture
def refusal(make, merged, tmp_path):
    """Says what `merge` finds wrong with a notebook of these cells."""

    def refuse(*cells):
        path = make.save(tmp_path / "40_kpis.ipynb", make.front_matter("KPIs"), *cells)
        with pytest.raises(RunError) as caught:
            merged(path)
        assert caught.value.expected
        assert caught.value.do
        return caught.value.found

    return refuse


def test_first_cell_is_front_matter_with_the_reports_title(make, merged, tmp_path):
    """Title, subtitle and author of the report stand in the first cell, whatever characters they hold."""
    node = merged(*make.language_notebooks(tmp_path), title='A "quoted": *title*', author="Halden")
    assert node.cells[0].cell_type == "raw"
    matter = document.front_matter(node)
    assert matter == {
        "title": "A &#34;quoted&#34;&#58; &#42;title&#42;",
        "subtitle": "September 2026",
        "author": "Halden",
        "lang": "en",
        "toc-title": "Chapters",
    }


def test_every_notebook_becomes_a_chapter(make, merged, tmp_path):
    """Each notebook's front-matter title becomes a first-level heading, in the given order, with its subtitle below."""
    node = merged(*make.language_notebooks(tmp_path))
    headings = [cell.source.splitlines()[0] for cell in node.cells if cell.source.startswith("# ")]
    assert headings == ["# Executive summary", "# KPIs in detail"]
    assert "What moved in September 2026, and why" in node.cells[1].source


def test_headings_and_containers_without_content_are_left_out(make, merged, tmp_path):
    """A section or column goes when its cells show nothing; one with prose, a sub-section or a figure stays."""

    def shows(text):
        return new_code_cell("part", outputs=[new_output("display_data", data={"text/markdown": text})])

    path = make.save(
        tmp_path / "30_executive.ipynb",
        make.front_matter("Summary"),
        new_markdown_cell("::::: {.columns}\n:::: {.column}\n## Where it hurts"),
        shows(""),
        new_markdown_cell("::::\n:::: {.column}\n## What customers say"),
        shows("A theme."),
        new_markdown_cell("::::\n:::::"),
        new_markdown_cell("::::: {.columns}\n:::: {.column}\n## What we changed"),
        shows(""),
        new_markdown_cell("::::\n:::::"),
        new_markdown_cell("## Groups\n\n### Region"),
        shows("A table."),
        new_markdown_cell("### Plan"),
        shows(""),
        new_markdown_cell("## Questions"),
        shows(""),
        shows("## Notes\n\n- One."),
        new_markdown_cell("## In words\n\nProse."),
    )
    sources = "\n".join(cell.source for cell in merged(path).cells if cell.cell_type == "markdown")
    for gone in ("Where it hurts", "What we changed", "Plan", "Questions"):
        assert gone not in sources
    for kept in ("## Groups\n\n### Region", "## In words\n\nProse."):
        assert kept in sources
    assert sources.count("{.columns}") == sources.count("{.column}") == 1


def test_hidden_cells_are_left_out(make, merged, tmp_path):
    """Parameters, cells that are not included and cells tagged `remove-cell` do not reach the document."""
    sources = "\n".join(cell.source for cell in merged(*make.language_notebooks(tmp_path)).cells)
    assert "period = ''" not in sources
    assert "load()" not in sources
    assert "For analysts only" not in sources


def test_traces_of_the_run_are_stripped(make, merged, tmp_path):
    """No timing, tag, count, kernel name of the machine or plain-text twin remains; ids are sequential."""
    node = merged(*make.language_notebooks(tmp_path))
    text = document.write(node, tmp_path / "report.ipynb") or (tmp_path / "report.ipynb").read_text()
    for trace in ("papermill", "duration", "machine-kernel", "0x7f", '"tags"', "text/plain"):
        assert trace not in text
    assert [cell.id for cell in node.cells] == [f"cell-{number}" for number in range(len(node.cells))]
    assert all(cell.execution_count is None for cell in node.cells if cell.cell_type == "code")
    assert all(cell.metadata == {} for cell in node.cells)


def test_sources_are_written_as_lists_of_lines(make, merged, tmp_path):
    """Quarto reads front matter only from lists of lines."""
    document.write(merged(*make.language_notebooks(tmp_path)), tmp_path / "report.ipynb")
    cells = json.loads((tmp_path / "report.ipynb").read_text())["cells"]
    assert all(isinstance(cell["source"], list) for cell in cells)
    assert cells[0]["source"][0] == "---\n"


def test_two_runs_give_the_same_bytes(make, merged, tmp_path):
    """Timings, counts and how printed text was cut into pieces do not change the document."""
    written = []
    for run, pieces in enumerate((["one\n", "two\n"], ["one\ntwo\n"])):
        folder = tmp_path / str(run)
        folder.mkdir()
        cell = new_code_cell("#| output: asis\nshow()", execution_count=run)
        cell.outputs = [new_output("stream", name="stdout", text=piece) for piece in pieces]
        cell.metadata["papermill"] = {"duration": run}
        document.write(merged(make.save(folder / "a.ipynb", make.front_matter("A"), cell)), folder / "report.ipynb")
        written.append((folder / "report.ipynb").read_bytes())
    assert written[0] == written[1]


def test_reading_back_what_was_written_gives_the_same_document(make, merged, tmp_path):
    """Nothing is lost between `write` and `read`."""
    node = merged(*make.language_notebooks(tmp_path))
    document.write(node, tmp_path / "report.ipynb")
    assert document.read(tmp_path / "report.ipynb") == node


def test_provenance_closes_the_document_as_plain_text(make, merged, tmp_path):
    """Terms and texts of the provenance are data: none of their characters is structure."""
    node = merged(*make.language_notebooks(tmp_path), provenance={"Data": "a|b *c* <script>"})
    told = "a&#124;b &#42;c&#42; &#60;script&#62;"
    assert node.cells[-1].source == f"::: {{.provenance}}\n\nData\n:   {told}\n\n:::"


def test_stored_error_is_refused(refusal):
    """A notebook that failed is never published; the message names notebook, cell and kind of error, not the text."""
    failed = new_code_cell("1/0", outputs=[new_output("error", ename="KeyError", evalue="jane@x.com", traceback=[])])
    found = refusal(failed)
    assert found == "40_kpis.ipynb cell 2: the stored error KeyError"


def test_stored_error_in_a_hidden_cell_is_refused(refusal):
    """Hiding a cell does not hide that it failed."""
    failed = new_code_cell("#| include: false\n1/0", outputs=[new_output("error", ename="KeyError", evalue="")])
    assert "KeyError" in refusal(failed)


@pytest.mark.parametrize("kind", ["text/html", "image/png", "application/javascript"])
def test_output_that_a_page_cannot_show_is_refused(make, refusal, kind):
    """HTML of a bare DataFrame would load scripts from elsewhere; a bitmap cannot be read by everyone."""
    assert f"`{kind}`" in refusal(make.displaying(kind, "x"))


def test_printed_text_outside_asis_cells_is_refused(make, merged, refusal, tmp_path):
    """Text that one renderer would show as code and the other would drop is an error; warnings are dropped."""
    assert "printed text without" in refusal(make.printing("hello", options="#| echo: false"))
    warned = new_code_cell("load()", outputs=[new_output("stream", name="stderr", text="careful")])
    node = merged(make.save(tmp_path / "w.ipynb", make.front_matter("W"), warned))
    assert node.cells[2].outputs == []


def test_figure_without_alternative_text_is_refused(make, refusal):
    """Every figure says in words what it shows."""
    assert "a figure without `fig-alt`" in refusal(make.displaying(document.SVG, make.SVG))


def test_words_of_figures_become_options_of_a_cell_each(make, merged, tmp_path):
    """Each figure stands in a cell of its own with the words it brings, its numbers behind a line below it."""
    told = [{"alt": f'Line "{n}": # up', "caption": f"Caption *{n}*", "data": "| A |\n|---|\n| 1 |"} for n in (1, 2)]
    node = merged(make.save(tmp_path / "a.ipynb", make.front_matter("A"), make.drawing(*told)))
    opened, first, closed = node.cells[2:5]
    assert opened.source == "::: {.cx-chart}"
    assert [document.options(cell) for cell in (first, node.cells[6])] == [
        {"fig-cap": words["caption"], "fig-alt": words["alt"]} for words in told
    ]
    assert [kind for kind, _ in document.shown(first)] == [document.SVG]
    assert first.outputs[0].metadata == {}
    assert "<summary>Show the data</summary>" in closed.source
    assert "| 1 |" in closed.source
    assert closed.source.count(":::") == 3


def test_options_of_a_cell_stand_before_the_words_of_its_figure(make, merged, tmp_path):
    """An analyst who writes a caption, or a label, has it; what is left out the figure says itself."""
    cell = make.drawing({"alt": "A line", "caption": "Its own"}, options="#| label: fig-x\n#| fig-cap: Mine")
    node = merged(make.save(tmp_path / "a.ipynb", make.front_matter("A"), cell, new_markdown_cell("See @fig-x.")))
    assert document.options(node.cells[2]) == {"fig-cap": "Mine", "fig-alt": "A line", "label": "fig-x"}


@pytest.mark.parametrize("options", ["#| fig-alt: Both", "#| fig-cap: Both"])
def test_several_figures_with_the_words_of_one_are_refused(make, refusal, options):
    """Words of a cell cannot stand for two figures, and a figure without any is refused."""
    assert "more than one figure" in refusal(make.drawing({"alt": "1"}, {"alt": "2"}, options=options))
    assert "a figure without `fig-alt`" in refusal(make.drawing({"alt": "1"}, {}))


def test_duplicate_label_is_refused_with_both_places(make, merged, tmp_path):
    """A label names one thing in the whole report, also across notebooks."""
    one = make.save(tmp_path / "a.ipynb", make.front_matter("A"), make.figure("fig-x"))
    two = make.save(tmp_path / "b.ipynb", make.front_matter("B"), new_markdown_cell("Text."), make.figure("fig-x"))
    with pytest.raises(RunError, match=r"b\.ipynb cell 3: label `fig-x` is already used in a\.ipynb cell 2"):
        merged(one, two)


def test_reference_to_unknown_label_is_refused_with_the_nearest(make, refusal):
    """A reference that would lead nowhere is an error that names the nearest label."""
    found = refusal(make.figure("fig-trend"), new_markdown_cell("See @fig-trnd, in code `@fig-no`, me@fig-x.com."))
    assert found == "40_kpis.ipynb cell 3: reference to unknown label `fig-trnd`, did you mean `fig-trend`?"


def test_reference_across_notebooks_is_found(make, merged, tmp_path):
    """A label of one notebook may be referred to from another one."""
    one = make.save(tmp_path / "a.ipynb", make.front_matter("A"), new_markdown_cell("See @fig-x and @tbl-y."))
    two = make.save(
        tmp_path / "b.ipynb",
        make.front_matter("B"),
        make.figure("fig-x"),
        make.printing(f"{make.TABLE}\n: Caption {{#tbl-y}}"),
    )
    assert merged(one, two)


def test_unknown_option_is_refused_with_the_nearest(refusal):
    """A misspelt option would silently do nothing in Quarto."""
    cell = new_code_cell("#| fig-atl: text\nx")
    assert "unknown option `fig-atl`, did you mean `fig-alt`?" in refusal(cell)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("output: true", "`output` can only be `asis`"),
        ("echo: true", "`echo` can only be `false`"),
        ("include: maybe", "`include` must be"),
        ("fig-cap: 3", "`fig-cap` must be a text"),
        ("label: Fig_X", "`label` must be"),
        ("fig-cap: NPS: by month", "quote a text that holds a colon"),
        ("just words", "`key: value`"),
        ("label: fig-x", "`fig-x` needs one figure and `fig-cap`"),
        ("label: tbl-x", "`tbl-x` needs one table and `tbl-cap`"),
    ],
)
def test_wrong_option_is_refused(refusal, option, problem):
    """An option whose value cannot mean anything is an error."""
    assert problem in refusal(new_code_cell(f"#| {option}\nx"))


def test_all_problems_of_all_notebooks_are_gathered(make, merged, tmp_path):
    """One run shows everything that is to be corrected."""
    one = make.save(
        tmp_path / "a.ipynb",
        make.front_matter("A"),
        make.displaying("text/html", "x"),
        new_code_cell("#| colour: red\nx"),
    )
    two = make.save(tmp_path / "b.ipynb", new_markdown_cell("No title."), new_raw_cell("stray"))
    with pytest.raises(RunError) as caught:
        merged(one, two)
    problems = caught.value.found.split("; ")
    assert [problem.split(":")[0] for problem in problems] == [
        "a.ipynb cell 2",
        "a.ipynb cell 3",
        "b.ipynb",
        "b.ipynb cell 2",
    ]


def test_words_in_place_of_a_figure_keep_its_label(make, merged, tmp_path):
    """A cell that says why there is no chart is still what its label refers to."""
    cell = make.displaying(
        document.MARKDOWN, "Too few months.", "#| label: fig-x\n#| fig-cap: A trend\n#| fig-alt: A line"
    )
    node = merged(make.save(tmp_path / "a.ipynb", make.front_matter("A"), cell, new_markdown_cell("See @fig-x.")))
    assert node.cells[2].source == "::: {#fig-x}\nToo few months.\n\nA trend\n:::"


def test_hostile_text_of_a_table_is_kept_as_it_is(make, merged, tmp_path):
    """Merging neither loses nor rewrites what cells show."""
    node = merged(
        make.save(
            tmp_path / "a.ipynb", make.front_matter("A"), make.table("tbl-x", f"| A |\n|--|\n| `{make.HOSTILE}` |\n")
        )
    )
    assert document.shown(node.cells[2]) == [(document.MARKDOWN, f"| A |\n|--|\n| `{make.HOSTILE}` |\n")]
