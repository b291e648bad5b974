"""The colours of charts, pages and PDFs, by what they are for.

One accent for what matters, greys for the rest, one warning colour; told apart in every colour vision and as greys, and
dark enough on paper to read as text. Style sheets and templates hold the same values, so that a company's own colours
(`reports/theme/brand.yml`) can stand in for them everywhere.
"""

LIGHT = {
    "ink": "#1d2730",  # text
    "muted": "#515d68",  # text that stands back
    "pale": "#b9c2cb",  # strong lines
    "line": "#d9e0e6",
    "faint": "#e9edf1",  # bands
    "paper": "#ffffff",  # ground of charts, tables and cards
    "ground": "#f4f6f8",  # around them
    "accent": "#0f4c75",
    "warning": "#a83a1a",
    "masthead": "#0a3550",  # ground of the report's title, which is white
}
DARK = {
    "ink": "#e6edf3",
    "muted": "#aab7c3",
    "pale": "#586673",
    "line": "#36424d",
    "faint": "#26313b",
    "paper": "#182028",
    "ground": "#10161c",
    "accent": "#7fc1ee",
    "warning": "#ff9c7c",
    "masthead": "#0b2b42",
}

INK, MUTED, PALE, FAINT, PAPER = (LIGHT[name] for name in ("ink", "muted", "pale", "faint", "paper"))
ACCENT, WARNING = LIGHT["accent"], LIGHT["warning"]
_LINEAR_TO = 0.04045  # of a channel in sRGB


def contrast(one: str, two: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.1, relative luminance).

    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    dark, light = sorted(map(_luminance, (one, two)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= _LINEAR_TO else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
