"""One look for every chart: typeface, colours, sizes, and SVG that is the same bytes for the same data."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib import font_manager
from matplotlib.figure import Figure as Canvas

from cxreport.present.markup import Picture

# One accent for what matters, greys for the rest, one warning colour; told apart in every colour vision
# and as greys, and dark enough on white to read as text. The same values stand in reports/theme/components.css.
ACCENT, WARNING = "#0f4c75", "#a83a1a"
INK, MUTED, PALE, FAINT = "#1d2730", "#5a6570", "#b9c2cb", "#e9edf1"

# Inches. A phone of 390 px shows this width almost unscaled, so 10 pt stays readable; a desktop shows two beside
# each other.
WIDTH = 3.9
SMALL = 9.0

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
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "cxreport",
}


@contextmanager
def themed() -> Iterator[None]:
    """Apply the theme to what is drawn inside and leave the notebook's own settings alone."""
    _add_typeface()
    with sns.axes_style("white"), mpl.rc_context(_SETTINGS):
        yield


def blank(height: float, *, title: str, caption: str) -> Canvas:
    """Return an empty figure of the standard width with its title above and a small line on base and source below."""
    canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
    canvas.suptitle(title, x=0.01, ha="left")
    canvas.supxlabel(caption, x=0.01, ha="left", color=MUTED)
    return canvas


def picture(canvas: Canvas) -> Picture:
    """Return a figure as SVG without dates, so that the same figure is the same bytes."""
    stream = io.StringIO()
    canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(stream.getvalue())


def _add_typeface() -> None:
    known = {font.name for font in font_manager.fontManager.ttflist}
    if _FAMILY in known:
        return
    for style in ("Regular", "Bold", "Italic"):
        with as_file(files("font_lato") / "files" / f"Lato-{style}.ttf") as path:
            font_manager.fontManager.addfont(path)
