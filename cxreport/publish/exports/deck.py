"""Slides in the company's look: its template, and text, cards and charts that stay editable."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any

import xlsxwriter
from babel.core import get_global
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_LEGEND_POSITION
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE
from pptx.exc import PackageNotFoundError
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Inches, Pt

from cxreport.config import Project
from cxreport.errors import DefinitionError, listed
from cxreport.present.cards import Card
from cxreport.present.markup import one_line
from cxreport.present.words import ENGLISH, Words
from cxreport.publish.brand import Brand, Colours
from cxreport.publish.exports import zips
from cxreport.publish.exports.cells import AS_WRITTEN
from cxreport.publish.exports.prose import BULLET, NUMBER, QUOTE, Paragraph, plain

TEMPLATE = "slides.pptx"  # in the theme; optional
_FIRST, _OTHER = "Title Slide", "Title Only"  # the layouts that slides stand on
_SHIPPED_WIDTH, _WIDTH = Inches(10), Inches(13 + 1 / 3)
_EDGE, _GAP = Inches(0.6), Inches(0.25)
_SIZES = (20, 18, 16, 14)  # points, from what is wanted to the smallest that can be read in a room
_LETTER, _LINE, _BETWEEN = 0.55, 1.22, 0.45  # of the type's size: a letter's width, a line's height, the room between
_LONG_TITLE, _TITLE_SIZE = 70, 24
_SMALL = 12
_CARD, _CARD_LINES = (14, 26), (14, 13, 12, 11, 10, 9)  # points: name and value of a card, and the lines below them
_CARD_TOP = Pt(sum(_CARD) * _LINE + 8)  # with what the frame keeps free above and below
_INDENT = {BULLET: Pt(18), NUMBER: Pt(30), QUOTE: Pt(18)}
_SCHEME = {
    "dk1": "ink",
    "lt1": "paper",
    "dk2": "masthead",
    "lt2": "ground",
    "accent1": "accent",
    "accent2": "warning",
    "accent3": "muted",
    "accent4": "pale",
    "accent5": "line",
    "accent6": "faint",
    "hlink": "accent",
    "folHlink": "muted",
}
INK = MSO_THEME_COLOR.TEXT_1
ACCENT, WARNING = MSO_THEME_COLOR.ACCENT_1, MSO_THEME_COLOR.ACCENT_2
MUTED, PALE, LINE = MSO_THEME_COLOR.ACCENT_3, MSO_THEME_COLOR.ACCENT_4, MSO_THEME_COLOR.ACCENT_5


@dataclass(frozen=True)
class Box:
    """A place on a slide, in English Metric Units."""

    left: int
    top: int
    width: int
    height: int

    def columns(self, *parts: float) -> list["Box"]:
        """Return boxes side by side whose widths are as these parts."""
        room = self.width - _GAP * (len(parts) - 1)
        widths = [int(room * part / sum(parts)) for part in parts]
        lefts = [self.left + sum(widths[:place]) + _GAP * place for place in range(len(parts))]
        return [Box(left, self.top, width, self.height) for left, width in zip(lefts, widths, strict=True)]

    def rows(self, number: int) -> list["Box"]:
        """Return boxes of one height, one below the other."""
        height = (self.height - _GAP * (number - 1)) // number
        return [Box(self.left, self.top + (height + _GAP) * row, self.width, height) for row in range(number)]

    def split(self, height: int) -> tuple["Box", "Box"]:
        """Return an upper part of some height, and the rest."""
        rest = Box(self.left, self.top + height + _GAP, self.width, self.height - height - _GAP)
        return Box(self.left, self.top, self.width, height), rest


@dataclass(frozen=True)
class Drawn:
    """What a chart shows: its title, names along its axis, values by series, their number format, and all in words."""

    title: str
    categories: Sequence[str] | Sequence[date]
    series: dict[str, Sequence[float | None]]
    form: str
    alt: str


class Deck:
    """A presentation that is being made.

    Its slides stand on the layouts `Title Slide` and `Title Only` of the theme's `slides.pptx`, or of a plain template
    in the colours of the brand. Raises `DefinitionError` for a file that is no such template.
    """

    def __init__(self, project: Project, words: Words) -> None:
        path = project.theme / TEMPLATE
        self.words = words
        self.file = _opened(path) if path.is_file() else _plain(Brand.of(project).light)
        self.layouts = {layout.name: layout for layout in self.file.slide_layouts}
        self.titles: dict[str, int] = {}
        if missing := [name for name in (_FIRST, _OTHER) if name not in self.layouts]:
            raise _wrong(f"without the layout {listed(missing)}")

    def open(self, title: str, subtitle: str, notes: str) -> None:
        """Add the first slide."""
        slide = self._slide(_FIRST, title, notes)
        rest = [each for each in slide.placeholders if each.placeholder_format.idx == 1]
        for placeholder in rest[:1]:
            placeholder.text_frame.text = one_line(subtitle)

    def slide(self, title: str, notes: str) -> tuple[Any, Box]:
        """Add a slide; return it with the room below its title. A title that was used before gets a number."""
        slide = self._slide(_OTHER, title, notes)
        head = slide.shapes.title
        top = head.top + head.height + _GAP
        return slide, Box(head.left, top, head.width, self.file.slide_height - top - _EDGE)

    def tell(self, title: str, paragraphs: Sequence[Paragraph], notes: str) -> None:
        """Add as many slides as paragraphs of text need."""
        rest = list(_numbered(paragraphs))
        while rest:
            slide, box = self.slide(title, notes)
            size = _size(rest, box)
            fitting = _fitting(rest, box, size)
            self.write(slide, rest[:fitting], box, size)
            rest = rest[fitting:]

    def write(self, slide: Any, paragraphs: Sequence["Paragraph | _Numbered"], box: Box, size: int = 0) -> None:
        """Put paragraphs into a box, in type of a size, or as large as they fit."""
        numbered = list(_numbered(paragraphs))
        shape = slide.shapes.add_textbox(box.left, box.top, box.width, box.height)
        _fill(shape, numbered, size or _size(numbered, box))

    def cards(self, slide: Any, cards: Sequence[Card], boxes: Sequence[Box]) -> None:
        """Put cards into frames, all in type of one size: name, value, and lines about it."""
        lines = [list(_numbered(map(plain, card.lines))) for card in cards]
        rooms = [Box(box.left, box.top, box.width - _GAP, box.height - _CARD_TOP) for box in boxes]
        size = min(_size(each, room, _CARD_LINES, 0) for each, room in zip(lines, rooms, strict=False))
        for card, box in zip(cards, boxes, strict=False):
            shape = slide.shapes.add_textbox(box.left, box.top, box.width, box.height)
            is_worse = bool(card.changes) and card.changes[0][0] == "worse"
            shape.line.color.theme_color = WARNING if is_worse else PALE
            shape.line.width = Pt(2 if is_worse else 1)
            head = [plain(card.name, bold=True), plain(card.value, bold=True)]
            _fill(shape, list(_numbered([*head, *map(plain, card.lines)])), size, between=0)
            for paragraph, large in zip(shape.text_frame.paragraphs, _CARD, strict=False):
                for run in paragraph.runs:
                    run.font.size = Pt(large)

    def chart(self, slide: Any, kind: Any, drawn: Drawn, box: Box) -> Any:
        """Put a chart with its data into a box."""
        data: Any = CategoryChartData(number_format=drawn.form)  # type: ignore[no-untyped-call]
        data.categories = [one_line(name) if isinstance(name, str) else name for name in drawn.categories]
        for name, values in drawn.series.items():
            data.add_series(one_line(name), values)
        frame = slide.shapes.add_chart(kind, box.left, box.top, box.width, box.height, data)
        frame.chart.part.chart_workbook.update_from_xlsx_blob(_workbook(drawn))
        described = next(frame.element.iter(qn("p:cNvPr")))
        described.set("descr", one_line(drawn.alt))
        described.set("name", one_line(drawn.title))
        chart = frame.chart
        chart.font.size = Pt(_SMALL)
        chart.font.color.theme_color = INK
        chart.has_title = True
        chart.chart_title.text_frame.text = one_line(drawn.title)
        heading = chart.chart_title.text_frame.paragraphs[0].runs[0].font
        heading.size, heading.bold = Pt(14), True
        chart.has_legend = len(drawn.series) > 1
        if chart.has_legend:
            chart.legend.position, chart.legend.include_in_layout = XL_LEGEND_POSITION.BOTTOM, False
        return chart

    def saved(self, *, title: str, author: str, at: datetime) -> bytes:
        """Return the file; the same slides give the same bytes."""
        properties = self.file.core_properties
        properties.title, properties.author, properties.last_modified_by = one_line(title), one_line(author), ""
        language = _proofing(self.words.language)
        for part in self._trees():
            for look in part.iter(qn("a:rPr"), qn("a:defRPr"), qn("a:endParaRPr")):
                if not look.get("lang"):
                    look.set("lang", language)
        stream = io.BytesIO()
        self.file.save(stream)
        return zips.settled(stream.getvalue(), at=at, language=self.words.language)

    def _trees(self) -> Iterator[Any]:
        for slide in self.file.slides:
            yield slide.element
            yield slide.notes_slide.element
            yield from (shape.chart.element for shape in slide.shapes if shape.has_chart)

    def _slide(self, layout: str, title: str, notes: str) -> Any:
        slide = self.file.slides.add_slide(self.layouts[layout])
        if slide.shapes.title is None:
            raise _wrong(f"whose layout `{layout}` has no title")
        named = self._unique(one_line(title))
        slide.shapes.title.text_frame.text = named
        if len(named) > _LONG_TITLE:
            slide.shapes.title.text_frame.paragraphs[0].runs[0].font.size = Pt(_TITLE_SIZE)
        slide.notes_slide.notes_text_frame.text = one_line(notes)
        return slide

    def _unique(self, title: str) -> str:
        self.titles[title] = self.titles.get(title, 0) + 1
        number = self.titles[title]
        return self.words("exports.slides.more", title=title, number=number) if number > 1 else title


def _workbook(drawn: Drawn) -> bytes:
    """Return the data of a chart as its workbook; the one it brings along would compute a name such as `=1+1`."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, AS_WRITTEN) as book:
        page = book.add_worksheet("Sheet1")  # as charts call it
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        for row, name in enumerate(drawn.categories, start=1):
            if isinstance(name, str):
                page.write_string(row, 0, one_line(name))
            else:
                page.write_datetime(row, 0, name, days)
        for column, (name, values) in enumerate(drawn.series.items(), start=1):
            page.write_string(0, column, one_line(name))
            page.write_column(1, column, values)
    return stream.getvalue()


# --- text ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Numbered:
    """A paragraph with its number in the list that it belongs to; 0 outside numbered lists."""

    paragraph: Paragraph
    number: int


def _numbered(paragraphs: Iterable[Paragraph | _Numbered]) -> Iterator[_Numbered]:
    numbers = count(1)
    for each in paragraphs:
        if isinstance(each, _Numbered):
            yield each
            continue
        if each.kind != NUMBER:
            numbers = count(1)
        yield _Numbered(each, next(numbers) if each.kind == NUMBER else 0)


def _size(paragraphs: Sequence[_Numbered], box: Box, sizes: Sequence[int] = _SIZES, between: float = _BETWEEN) -> int:
    """Return the first of some sizes in which paragraphs fit a box; the last where they fit in none."""
    fitting = (size for size in sizes if _fitting(paragraphs, box, size, between) == len(paragraphs))
    return next(fitting, sizes[-1])


def _fitting(paragraphs: Sequence[_Numbered], box: Box, size: int, between: float = _BETWEEN) -> int:
    """Return how many paragraphs fit a box in a size, at least one."""
    room = box.height / Pt(1)
    for place, each in enumerate(paragraphs):
        width = (box.width - _INDENT.get(each.paragraph.kind, 0)) / Pt(1)
        lines = ceil(len(each.paragraph.text) * _LETTER * size / width)
        room -= size * (max(lines, 1) * _LINE + between)
        if room < 0:
            return max(place, 1)
    return len(paragraphs)


def _fill(shape: Any, paragraphs: Sequence[_Numbered], size: int, between: float = _BETWEEN) -> None:
    frame = shape.text_frame
    frame.word_wrap, frame.auto_size, frame.vertical_anchor = True, MSO_AUTO_SIZE.NONE, MSO_ANCHOR.TOP
    for place, each in enumerate(paragraphs):
        target = frame.paragraphs[0] if place == 0 else frame.add_paragraph()
        target.space_after = Pt(size * between)
        for part in each.paragraph.runs:
            run = target.add_run()
            run.text = _typed(part.text)
            run.font.size, run.font.bold, run.font.italic = Pt(size), part.bold or None, part.italic or None
            run.font.color.theme_color = MUTED if part.soft else INK
    for tree, each in zip(shape.element.iter(qn("a:p")), paragraphs, strict=True):
        _itemise(tree.get_or_add_pPr(), each)
        for look, part in zip(tree.iter(qn("a:rPr")), each.paragraph.runs, strict=True):
            if part.language:
                look.set("lang", _proofing(part.language))


def _typed(text: str) -> str:
    """Return text without control characters, its spaces kept."""
    core = one_line(text)
    before = " " if text[:1].isspace() else ""
    after = " " if core and text[-1:].isspace() else ""
    return before + core + after


def _itemise(properties: Any, each: _Numbered) -> None:
    indent = _INDENT.get(each.paragraph.kind)
    properties.set("algn", "l")
    if indent is None:
        return
    properties.set("marL", str(int(indent)))
    marks = {BULLET: '<a:buChar {} char="&#8226;"/>', NUMBER: '<a:buAutoNum {} type="arabicPeriod" startAt="NUMBER"/>'}
    if mark := marks.get(each.paragraph.kind):
        properties.set("indent", str(-int(indent)))
        properties.append(parse_xml(mark.format(nsdecls("a")).replace("NUMBER", str(each.number))))


def _proofing(language: str) -> str:
    """Return a language with its country, which proofing tools ask for.

    >>> _proofing("en"), _proofing("de"), _proofing("pt-BR")
    ('en-GB', 'de-DE', 'pt-BR')
    """
    if language == ENGLISH:  # the suite's own is British
        return "en-GB"
    likely = get_global("likely_subtags").get(language, language)
    parts = likely.split("_")
    return f"{parts[0]}-{parts[-1]}" if len(parts) > 1 else language


# --- templates -------------------------------------------------------------------------------------


def _opened(path: Path) -> Any:
    """Return the company's template without the slides it may show as examples."""
    try:
        file = Presentation(str(path))
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError):
        raise _wrong("that is no presentation") from None
    listed_slides = file.slides.element
    for entry in list(listed_slides):
        file.part.drop_rel(entry.rId)
        listed_slides.remove(entry)
    return file


def _wrong(found: str) -> DefinitionError:
    return DefinitionError(
        found=f"a template `reports/theme/{TEMPLATE}` {found}",
        expected=f"a presentation with the layouts `{_FIRST}` and `{_OTHER}`, each with a title",
        do="correct its layouts in the slide master, or remove the file",
    )


def _plain(colours: Colours) -> Any:
    """Return an empty wide presentation in the brand's colours."""
    file = Presentation()
    file.slide_width = _WIDTH
    master = file.slide_master
    for page in (master, *file.slide_layouts):
        for shape in page.shapes:
            if shape.element.xpath(".//a:xfrm"):  # others stand where the master's do
                shape.left, shape.width = (int(edge * _WIDTH / _SHIPPED_WIDTH) for edge in (shape.left, shape.width))
    theme = master.part.part_related_by(RELATIONSHIP_TYPE.THEME)
    theme.blob = _coloured(theme.blob.decode(), colours).encode()
    style = master.element.xpath(".//p:titleStyle/a:lvl1pPr")[0]
    style.set("algn", "l")
    style.find(qn("a:defRPr")).attrib.update({"sz": "2800", "b": "1"})
    title = master.placeholders[0]
    title.left, title.top, title.width, title.height = _EDGE, Inches(0.35), _WIDTH - 2 * _EDGE, Inches(1.05)
    first = next(layout for layout in file.slide_layouts if layout.name == _FIRST)
    first.background.fill.solid()
    first.background.fill.fore_color.theme_color = MSO_THEME_COLOR.TEXT_2
    for placeholder, top, size in zip(list(first.placeholders)[:2], (2.3, 4.0), (40, 22), strict=True):
        placeholder.left, placeholder.top = _EDGE, Inches(top)
        placeholder.width, placeholder.height = _WIDTH - 2 * _EDGE, Inches(1.5)
        _restyle(placeholder, size)
    return file


def _coloured(theme: str, colours: Colours) -> str:
    for name, role in _SCHEME.items():
        own = f'<a:{name}><a:srgbClr val="{getattr(colours, role)[1:].upper()}"/></a:{name}>'
        theme = re.sub(rf"<a:{name}>.*?</a:{name}>", own, theme, count=1)
    return theme


def _restyle(placeholder: Any, size: int) -> None:
    """Let the text of a layout's placeholder stand at the left, light on dark."""
    body = placeholder.element.find(qn("p:txBody"))
    body.replace(
        body.find(qn("a:lstStyle")),
        parse_xml(
            f'<a:lstStyle {nsdecls("a")}><a:lvl1pPr marL="0" indent="0" algn="l"><a:buNone/><a:defRPr sz="{size}00">'
            '<a:solidFill><a:schemeClr val="bg1"/></a:solidFill></a:defRPr></a:lvl1pPr></a:lstStyle>'
        ),
    )
