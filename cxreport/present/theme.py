"""One look for every chart: typeface, colours, sizes, and SVG that is the same bytes for the same data."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib import font_manager
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from cxreport.present.identity import Mark
from cxreport.present.markup import Picture, escape_html, one_line
from cxreport.present.palette import ACCENT, FAINT, INK, MUTED, PALE, PAPER, WARNING

__all__ = [
    "ACCENT",
    "FAINT",
    "INK",
    "MUTED",
    "PALE",
    "PAPER",
    "SMALL",
    "WARNING",
    "WIDTH",
    "add_typeface",
    "blank",
    "picture",
    "themed",
]

# Inches. A phone of 390 px shows this width almost unscaled, so 10 pt stays readable; a desktop shows two beside
# each other.
WIDTH = 3.9
SMALL = 9.0
_POINTS = 72  # to an inch, which is the unit of the file

_FAMILY = "Lato"
_SETTINGS: dict[Any, Any] = {
    "font.family": [_FAMILY, "DejaVu Sans"],  # the second fills in letters that the first lacks
    "font.size": 10,
    "text.parse_math": False,  # a dollar in a label is a dollar
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": PALE,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.titlesize": SMALL,
    "axes.titlecolor": MUTED,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "figure.labelsize": SMALL,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",  # text stays text: small, searchable, and set in the typeface of the page and the PDF
    "svg.hashsalt": "cxreport",
}

_ROOT = re.compile(r"(<svg\b[^>]*)>")
_UNSEEN = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_SPACE = re.compile(r"\s+")
_TAG = re.compile(r"<[^<>]+>")  # what stands between tags is labels, which stay as they are
_LENGTH = re.compile(r"-?\d+\.\d{4,}")
_ID = re.compile(r' id="([^"]*)"')
_FONT = re.compile(r" ?font-family: [^;\"]*;?")
_FONTS = "Lato, DejaVu Sans, sans-serif"  # said once, with what a reader's machine has for letters of other scripts
_REFERENCE = re.compile(r'(?:href="|url\()#([^")]*)')


@contextmanager
def themed() -> Iterator[None]:
    """Apply the theme to what is drawn inside and leave the notebook's own settings alone."""
    add_typeface()
    with sns.axes_style("white"), mpl.rc_context(_SETTINGS):
        yield


def blank(height: float, *, title: str) -> Canvas:
    """Return an empty figure of the standard width with its title above; base and source stand in the caption."""
    canvas = Canvas(figsize=(WIDTH, height), dpi=_POINTS, layout="constrained")
    FigureCanvasSVG(canvas)  # so that places are those of the file
    canvas.suptitle(title, x=0.01, ha="left")
    return canvas


def picture(canvas: Canvas, mark: Mark, *, alt: str, caption: str, data: str) -> Picture:
    """Return a figure as SVG without dates, so that the same figure is the same bytes, with the mark of its pack.

    `alt` is plain text made of the numbers drawn, `caption` Markdown, and `data` a Markdown table of the numbers.
    """
    _lay_out(canvas)
    stream = io.StringIO()
    canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = _described(_shortened(stream.getvalue()), title=canvas.get_suptitle(), words=alt)
    return Picture(mark.on_picture(svg), one_line(alt), caption, data)


def _lay_out(canvas: Canvas) -> None:
    """Give everything its place once; matplotlib draws a whole picture twice as long as it has a layout engine."""
    engine = canvas.get_layout_engine()
    assert engine, "a canvas that `blank` did not make"
    engine.execute(canvas)
    canvas.set_layout_engine("none")


def _described(svg: str, *, title: str, words: str) -> str:
    """Return an SVG that says what it is to those who do not see it, wherever it is opened."""
    told = f"<title>{escape_html(title)}</title><desc>{escape_html(words)}</desc>"
    return _ROOT.sub(lambda root: f'{root[1]} font-family="{_FONTS}" role="img">{told}', svg, count=1)


def _shortened(svg: str) -> str:
    """Return an SVG in fewer bytes: without metadata, line breaks and unused ids, in hundredths of a point."""
    svg = _SPACE.sub(" ", _UNSEEN.sub("", svg)).replace("> <", "><")
    used = set(_REFERENCE.findall(svg))

    def shortened(tag: re.Match[str]) -> str:
        short = _FONT.sub("", _ID.sub(lambda name: name[0] if name[1] in used else "", tag[0]))
        return _LENGTH.sub(lambda length: f"{float(length[0]):.2f}", short)

    return _TAG.sub(shortened, svg)


def add_typeface() -> None:
    """Make the typeface known to matplotlib, once in a process."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    if _FAMILY in known:
        return
    for style in ("Regular", "Bold", "Italic"):
        with as_file(files("font_lato") / "files" / f"Lato-{style}.ttf") as path:
            font_manager.fontManager.addfont(path)
