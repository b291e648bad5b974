"""The report's typeface: Lato as the wheel carries it, and as a small part of a self-contained page."""

import base64
import unicodedata
from functools import cache
from io import BytesIO
from itertools import accumulate, groupby, islice
from operator import itemgetter
from pathlib import Path

FACES = {"Lato-Regular": (400, "normal"), "Lato-Italic": (400, "italic"), "Lato-Bold": (700, "normal")}

# Latin with accents, punctuation, currency, arrows, the minus and comparison signs; the rest is the reader's own font.
_KEPT = (
    *range(0x20, 0x250),
    *range(0x2010, 0x2027),
    *range(0x2030, 0x203B),
    *range(0x20A0, 0x20C0),
    *range(0x2190, 0x2194),
    *(0x2122, 0x2212, 0x2248, 0x2260, 0x2264, 0x2265),
)
_LEFT_OUT = "[\N{HORIZONTAL ELLIPSIS}]"
_JOINED = ("Mn", "Mc", "Me", "Cf", "Zl", "Zp")  # marks, joiners, separators: Unicode categories


def lato() -> Path:
    """Return the folder of Lato's TrueType files."""
    import font_lato  # here: only rendering needs it

    return Path(font_lato.__file__).parent / "files"


def fallback() -> Path:
    """Return the folder of the fonts that Matplotlib carries: DejaVu, and marked boxes for any other script."""
    import matplotlib as mpl  # here: slow to import

    return Path(mpl.get_data_path()) / "fonts" / "ttf"


def legible(text: str, instead: str) -> str:
    """Return text with other words in place of each run of letters that no font of the PDF has.

    >>> legible("Wi-Fi 很慢, 5 → 2", "[...]")
    'Wi-Fi [...], 5 → 2'
    """
    if _letters().issuperset(map(ord, text)):
        return text
    # A mark or joiner goes with the letter before it.
    has = accumulate(text, lambda last, new: last if _joins(new) else ord(new) in _letters(), initial=True)
    runs = groupby(zip(text, islice(has, 1, None), strict=True), key=itemgetter(1))
    return "".join("".join(letter for letter, _ in run) if has_all else instead for has_all, run in runs)


def drawable(text: str) -> str:
    """Return the text of a picture as the PDF can draw it: letters that the fonts have, one by one, else `[…]`.

    Typst sets letters with marks and joined signs of a picture in a way that PDF/UA refuses, and would publish nothing;
    the alternative text of the picture says everything in full.

    >>> drawable("Cafe\u0301 \u0928\u092e\u0938\u094d\u0924\u0947 z\u0335")
    'Café […] z'
    """
    composed = unicodedata.normalize("NFC", text)
    return legible("".join(letter for letter in composed if not _joins(letter)), _LEFT_OUT)


def _joins(letter: str) -> bool:
    return unicodedata.category(letter) in _JOINED


@cache
def _letters() -> frozenset[int]:
    """Return the letters of the typeface and of the first one that stands in for it."""
    from fontTools.ttLib import TTFont  # here: slow to import

    found: set[int] = set()
    for path in (lato() / "Lato-Regular.ttf", fallback() / "DejaVuSans.ttf"):
        with TTFont(path, lazy=True) as font:
            found |= font.getBestCmap().keys()
    return frozenset(found)


@cache
def style_sheet() -> str:
    """Return CSS that embeds the Latin part of Lato; the same bytes on every call and machine."""
    return "\n".join(_face(name, weight, style) for name, (weight, style) in FACES.items())


def _face(name: str, weight: int, style: str) -> str:
    data = base64.b64encode(_subset(lato() / f"{name}.ttf")).decode()
    return (
        f'@font-face {{ font-family: "Lato"; font-weight: {weight}; font-style: {style}; '
        f'src: url("data:font/woff;base64,{data}") format("woff"); }}'
    )


def _subset(path: Path) -> bytes:
    from fontTools import subset  # here: slow to import

    chosen = subset.Options(
        flavor="woff", hinting=False, recalc_timestamp=False, layout_features=["kern", "liga", "tnum"]
    )
    written = BytesIO()
    with subset.load_font(str(path), chosen) as font:
        subsetter = subset.Subsetter(chosen)
        subsetter.populate(unicodes=_KEPT)
        subsetter.subset(font)
        subset.save_font(font, written, chosen)
    return written.getvalue()
