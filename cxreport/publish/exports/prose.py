"""Markdown of a report as paragraphs of styled runs, for formats with text of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cxreport.publish import pandoc
from cxreport.publish.pandoc import Element
from cxreport.scratch import scratch

BULLET, NUMBER, QUOTE = "bullet", "number", "quote"
_SOFT = {"cx-second"}  # what stands back
_QUOTES = {"SingleQuote": ("\u2018", "\u2019"), "DoubleQuote": ("\u201c", "\u201d")}


@dataclass(frozen=True)
class Run:
    """Text of one look; plain text."""

    text: str
    bold: bool = False
    italic: bool = False
    soft: bool = False
    language: str = ""  # of the text, where it is not that of the report


@dataclass(frozen=True)
class Paragraph:
    """Runs, as running text or as an item of a list."""

    runs: tuple[Run, ...]
    kind: str = ""

    @property
    def text(self) -> str:
        """What it says, without styles."""
        return "".join(run.text for run in self.runs)


def read(markdown: str) -> list[Paragraph]:
    """Return the paragraphs of Markdown that a module of `present` made; raw blocks of single formats are left out."""
    with scratch() as folder:
        nothing = folder / "metadata.json"
        nothing.write_text("{}", encoding="utf-8")
        return list(_paragraphs(pandoc.read_markdown(markdown, nothing)["blocks"]))


def plain(text: str, *, bold: bool = False, soft: bool = False) -> Paragraph:
    """Return plain text as a paragraph."""
    return Paragraph((Run(text, bold=bold, soft=soft),))


def _paragraphs(blocks: Sequence[Element], kind: str = "") -> Iterator[Paragraph]:
    for block in blocks:
        content: Any = block.get("c")
        match block["t"]:
            case "Para" | "Plain":
                yield Paragraph(tuple(_joined(_runs(content, Run("")))), kind)
            case "Header":
                yield Paragraph(tuple(_joined(_runs(content[2], Run("", bold=True)))), kind)
            case "BulletList":
                for item in content:
                    yield from _paragraphs(item, BULLET)
            case "OrderedList":
                for item in content[1]:
                    yield from _paragraphs(item, NUMBER)
            case "BlockQuote":
                yield from _paragraphs(content, QUOTE)
            case "Div":
                yield from _paragraphs(content[1], kind)


def _runs(inlines: Sequence[Element], look: Run) -> Iterator[Run]:
    for inline in inlines:
        content: Any = inline.get("c")
        match inline["t"]:
            case "Str":
                yield replace(look, text=content)
            case "Space" | "SoftBreak" | "LineBreak":
                yield replace(look, text=" ")
            case "Strong":
                yield from _runs(content, replace(look, bold=True))
            case "Emph":
                yield from _runs(content, replace(look, italic=True))
            case "Quoted":
                opened, closed = _QUOTES[content[0]["t"]]
                yield replace(look, text=opened)
                yield from _runs(content[1], look)
                yield replace(look, text=closed)
            case "Span" | "Link":
                (_, classes, pairs), inner = content[:2]
                soft = look.soft or not _SOFT.isdisjoint(classes)
                yield from _runs(inner, replace(look, soft=soft, language=dict(pairs).get("lang", look.language)))
            case "Code":
                yield replace(look, text=content[1])


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    """Yield runs of which no two neighbours look the same."""
    last: Run | None = None
    for run in runs:
        if last and replace(last, text="") == replace(run, text=""):
            last = replace(last, text=last.text + run.text)
            continue
        if last:
            yield last
        last = run
    if last:
        yield last
