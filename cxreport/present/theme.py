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

_UNSEEN = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_SPACE = re.compile(r"\s+")
_LENGTH = re.compile(r"(?<!scale\()-?\d+\.\d{4,}")  # scales are small and need all their decimals
# Outlines of letters stand in a 64th of a pixel of a typeface of 64 pixels; an eighth is fine enough.
_LETTER = re.compile(r' d="([MLQz\d\s-]+)" transform="scale\(0\.015625\)"')
_COARSER, _SCALE = 8, "scale(0.125)"
_STEP = re.compile(r"([MLQz])([^MLQz]*)")


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
    return Picture(_shortened(stream.getvalue()))


def _shortened(svg: str) -> str:
    """Return an SVG in fewer bytes: without metadata and line breaks, in hundredths of a point, letters by steps.

    Letters are drawn as outlines, which are most of a chart and hardly compress inside a page.
    """
    svg = _SPACE.sub(" ", _UNSEEN.sub("", svg)).replace("> <", "><")
    svg = _LENGTH.sub(lambda length: f"{float(length[0]):.2f}", svg)
    return _LETTER.sub(lambda letter: f' d="{_by_steps(letter[1])}" transform="{_SCALE}"', svg)


def _by_steps(outline: str) -> str:
    """Return an outline in coarser units, whose lines and curves go on from the point before: fewer digits.

    >>> _by_steps("M 800 1600 L 880 1520 Q 960 1440 1040 1520 z")
    'M100 200l10 -10q10 -10 20 0z'
    """
    steps, x, y = [], 0, 0
    for command, text in _STEP.findall(outline):
        ends = [round(int(end) / _COARSER) for end in text.split()]
        onward = [end - (y if place % 2 else x) for place, end in enumerate(ends)]
        steps.append(command + _joined(ends) if command in "Mz" else command.lower() + _joined(onward))
        if ends:
            x, y = ends[-2:]
    return "".join(steps)


def _joined(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))


def _add_typeface() -> None:
    known = {font.name for font in font_manager.fontManager.ttflist}
    if _FAMILY in known:
        return
    for style in ("Regular", "Bold", "Italic"):
        with as_file(files("font_lato") / "files" / f"Lato-{style}.ttf") as path:
            font_manager.fontManager.addfont(path)
