"""The executive page as the body of an e-mail: HTML that mail programs show, its charts as pictures, and plain text.

Mail programs drop scripts, style sheets, SVG and layout by other means than tables. So the page is made anew from the
executed notebook: only elements and attributes listed here get through, and the rules of `reports/delivery/email.css`
are written into each element.
"""

import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cxreport.config import Project
from cxreport.deliver.forms import LAYOUT, as_html, as_text, wrapped
from cxreport.deliver.issue import Part
from cxreport.deliver.styles import Styles
from cxreport.errors import RunError
from cxreport.present.markup import Picture, one_line
from cxreport.present.words import Words
from cxreport.publish import document, fonts
from cxreport.publish.brand import Brand
from cxreport.publish.embedded import Embedded
from cxreport.publish.exports.executive import PAGE
from cxreport.scratch import scratch

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # pages carry no date of their own
_PIXELS_PER_INCH = 192  # charts are drawn in points and shown half as large, so that they are sharp
_MAIN = re.compile(r"<main\b[^>]*>(.*)</main>", re.DOTALL)
_WIDTH = "600"  # pixels, for programs that do not know `max-width`


@dataclass(frozen=True)
class Chart:
    """A chart as a picture, under a name that the page refers to."""

    name: str
    png: bytes


@dataclass(frozen=True)
class Page:
    """A body in both forms, and the charts of its HTML."""

    html: str
    text: str
    charts: tuple[Chart, ...]


def make(part: Part, project: Project, words: Words, *, heading: tuple[str, str], foot: list[str]) -> Page:
    """Return the executive page of an audience.

    Parameters
    ----------
    heading
        Title and what stands below it; plain text.
    foot
        Paragraphs below the page; plain text.

    Raises `RunError` when the page or a chart cannot be drawn, `DefinitionError` for a wrong brand.
    """
    brand = Brand.of(project)
    styles = Styles.of(project, brand)
    body, figures = _rendered(part, project, words, heading)
    charts = {f"chart-{number}": figure for number, figure in enumerate(figures, start=1)}
    title, subtitle = heading
    head = (("p", brand.name, "brand"), ("h1", title, ""), ("p", subtitle, "subtitle"))
    rows = {
        "head": "".join(styles.line(name, text, classes) for name, text, classes in head),
        "content": as_html(body, {name: figure.alt for name, figure in charts.items()}, styles),
        "foot": "".join(styles.line("p", text, "foot-line") for text in foot),
    }
    told = [*map(wrapped, heading), as_text(body, [figure.alt for figure in figures]), *map(wrapped, foot)]
    return Page(
        html=_frame(styles, title, words.language, rows),
        text="\n\n".join(filter(None, told)) + "\n",
        charts=tuple(Chart(name, _png(brand.coloured(figure.svg))) for name, figure in charts.items()),
    )


def _rendered(part: Part, project: Project, words: Words, heading: tuple[str, str]) -> tuple[str, list[Picture]]:
    """Return the content of the page as HTML, and its charts in order."""
    with scratch() as folder:
        notebook, source, page = (folder / name for name in (f"30_{PAGE}.ipynb", "merged.ipynb", "page.html"))
        notebook.write_bytes(part.notebook)
        merged = document.merge([notebook], words=words, title=heading[0], subtitle=heading[1], provenance={})
        document.write(merged, source)
        Embedded().render(source, html=page, pdf=None, project=project, timestamp=_EPOCH)
        found = _MAIN.search(page.read_text(encoding="utf-8"))
    assert found, "a page without its main part"
    figures = [
        Picture(content, alt=" ".join(str(document.options(cell)["fig-alt"]).split()))
        for cell in merged.cells
        if cell.cell_type == "code"
        for kind, content in document.shown(cell)
        if kind == document.SVG
    ]
    return found[1], figures


def _png(svg: str) -> bytes:
    """Return a chart as a picture."""
    import typst  # here: only drawing needs it

    with scratch() as folder:
        main = folder / "chart.typ"
        main.with_suffix(".svg").write_text(svg, encoding="utf-8")
        main.write_text('#set page(width: auto, height: auto, margin: 0pt)\n#image("chart.svg")', encoding="utf-8")
        try:
            drawn = typst.compile(
                main,
                root=main.parent,
                format="png",
                ppi=_PIXELS_PER_INCH,
                font_paths=[fonts.lato(), fonts.fallback()],
                ignore_system_fonts=True,
            )
        except typst.TypstError as error:
            raise RunError(
                found="a chart of the executive page that Typst cannot draw",
                expected="the SVG that the chart functions make",
                do="publish the issue again; if that does not help, leave the chart out of the executive page",
            ) from error
    assert isinstance(drawn, bytes), "a chart on several pages"
    return drawn


def _frame(styles: Styles, title: str, language: str, rows: dict[str, str]) -> str:
    """Return the whole e-mail: rows of HTML by class, in one column that Outlook keeps narrow, too."""
    cells = "\n".join(f"<tr>{styles.element('td', name)}{content}</td></tr>" for name, content in rows.items())
    return f"""<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>{html.escape(one_line(title))}</title>
</head>
{styles.element("body")}
{styles.element("table", "page", align="center", width=_WIDTH, **LAYOUT)}
{cells}
</table>
</body>
</html>
"""
