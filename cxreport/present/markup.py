"""What a notebook cell shows, and the only ways that data may enter it: escaped for Markdown, HTML or Typst."""

import html
import json
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from cxreport.present.identity import Mark

# Characters that can never be structure, in any Markdown dialect a renderer may use.
_HARMLESS = ",%/"
# References survive every dialect, whereas `\(` starts a formula in some.
_REFERENCES = str.maketrans({mark: f"&#{ord(mark)};" for mark in string.punctuation if mark not in _HARMLESS})


@dataclass(frozen=True)
class Markdown:
    """Markdown that a cell shows; in an `output: asis` cell it becomes part of the document."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # Without a plain text twin: renderers would otherwise have to choose.
        return {"text/markdown": self.text}

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: "Markdown") -> "Markdown":
        return Markdown(f"{self.text.rstrip()}\n\n{other.text}")


@dataclass(frozen=True)
class Picture:
    """A chart as SVG text.

    Attributes
    ----------
    alt
        What it shows, in words made of its numbers; plain text. Without it the cell must say so in `fig-alt`.
    caption
        Markdown; without it the cell's `fig-cap` stands.
    data
        Its numbers as a Markdown table, which the page opens on demand.
    """

    svg: str
    alt: str = ""
    caption: str = ""
    data: str = ""

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        told = {"alt": self.alt, "caption": self.caption, "data": self.data}
        return {"image/svg+xml": self.svg}, {"cxreport": {name: text for name, text in told.items() if text}}


@dataclass(frozen=True)
class Pictures:
    """Charts that a cell shows one after the other, each with its own words."""

    pictures: tuple[Picture, ...]

    def _ipython_display_(self) -> None:
        from IPython.display import display  # here: only kernels have it

        for picture in self.pictures:
            display(picture)  # type: ignore[no-untyped-call]


def one_line(text: object) -> str:
    """Return text on one line, without control characters and marks that turn the direction of reading."""
    return _UNSEEN.sub("", " ".join(str(text).split()))


def escape_markdown(text: object) -> str:
    """Return data as Markdown that reads as that text and nothing else, also inside a pipe table.

    >>> escape_markdown("Pay, 2x *now* | <b>")
    'Pay, 2x &#42;now&#42; &#124; &#60;b&#62;'
    """
    return one_line(text).translate(_REFERENCES)


def escape_html(text: object) -> str:
    """Return data as HTML text, safe in attributes and in a fenced raw block too."""
    return html.escape(one_line(text)).replace("`", "&#96;")


def escape_typst(text: object) -> str:
    r"""Return data as a Typst string literal with its quotes.

    >>> escape_typst('5 "x" #y')
    '"5 \\"x\\" #y"'
    """
    return json.dumps(one_line(text), ensure_ascii=False).replace("`", "\\u{60}")


_FOLDED = """```{{=html}}
<details class="cx-fold"><summary>{summary}</summary>
```

::: {{.content-visible when-format="typst"}}
### {heading}
:::

{content}

```{{=html}}
</details>
```"""


def folded(title: str, content: object) -> str:
    """Return Markdown that a page shows when its title, plain text, is opened, and a PDF below it as a heading."""
    return _FOLDED.format(summary=escape_html(title), heading=escape_markdown(title), content=content)


def pipe_table(mark: Mark, head: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> str:
    """Return a Markdown table of cells that are Markdown already, with the mark of the pack that it belongs to.

    `align` holds one letter a column, `l` or `r`; left when empty. At most five columns, so that a phone can show it.
    """
    assert len(head) <= MOST_COLUMNS, "a table of more than five columns cannot be read on a phone"
    assert all(len(row) == len(head) for row in rows)
    rule = ["---:" if side == "r" else ":---" for side in align or "l" * len(head)]
    return mark.on_table("\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)))


MOST_COLUMNS = 5
# Control characters, marks that turn the direction of reading, and what is no character and refused by PDF/UA.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
