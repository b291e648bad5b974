"""The renderer that needs nothing but wheels: pandoc for the page, Typst for the PDF.

The document becomes Markdown, Markdown becomes pandoc's tree, and the tree is finished once for both formats (numbers
of figures and tables, references, captions) and then for each (callouts, columns, footers).
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from itertools import count, zip_longest
from math import ceil
from pathlib import Path
from typing import Any

import nbformat

from cxreport.config import Project
from cxreport.errors import RunError
from cxreport.present.identity import ATTRIBUTE, ON_PICTURE
from cxreport.present.markup import escape_html
from cxreport.present.words import ENGLISH, Words
from cxreport.publish import document as documents
from cxreport.publish import fonts, pandoc
from cxreport.publish.brand import Brand, in_variables
from cxreport.publish.pandoc import Element, Tree
from cxreport.scratch import scratch

# Containers that stand for a cell's figure or table until the tree is finished.
_FIGURE, _TABLE = "cell-figure", "cell-table"
_FRAME = ("chapters", "made", "skip")  # words of the page itself
_NAMES = {"fig": "figure", "tbl": "table"}
_CALLOUTS = {"callout-note": "note", "callout-warning": "warning", "callout-important": "important"}
# Letters of a table column: the least for its width, the longest line that is better not broken, and the room that its
# padding takes; and of the page, which a table fills when it comes near to it.
_SHORT, _WHOLE, _PADDING = 6, 20, 3
_ROOM, _NEARLY_FULL = 100, 0.6
_SHORT_LIST = 15  # items that stand on one page
_OWN_LINE = "cx-second"
_STICKY = "block(sticky: true)"
_INTRODUCTION = 400  # letters
_INTRODUCED = {"BlockQuote", "Div", "Figure", "Table"}
_IN_TYPST = ("RawBlock", "DefinitionList", "Figure", "Span", "Div")  # what is said in Typst's own words
# Several dots, of which Typst would make one sign, and a number that it would take for that of a list.
_TYPESET = re.compile(r".*\.\.\..*|[0-9]+\.", re.DOTALL)
_SAFE_LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
_TEMPLATE_FUNCTION = re.compile(r"^#let ([a-z][\w-]*)\(body\)", re.MULTILINE)
# Root, title and content of a chart, whose ids are told from those of the page's other charts.
_SVG = re.compile(r'<svg\b([^>]*?)(?: role="img")?>(?:<title>(.*?)</title><desc>.*?</desc>)?(.*)', re.DOTALL)
_SVG_IDS = re.compile(r'(?<= id=")|(?<=href="#)|(?<=url\(#)')
_SVG_WORDS = {"title": "title", "desc": "words"}
_SVG_TEXT = re.compile(r"(?<=>)[^<>]+(?=</text>)")
_TAG = re.compile(r"<[^<>]+>")
_EMPTY_HEADER = re.compile(r"<th\b[^>]*></th>")


class Embedded:
    """Pandoc and the Typst compiler, both from wheels."""

    name = "embedded"

    def versions(self) -> dict[str, str]:
        """Return the versions of pandoc and Typst."""
        return {"pandoc": pandoc.version(), "typst": version("typst")}

    def render(self, document: Path, *, html: Path, pdf: Path | None, project: Project, timestamp: datetime) -> None:
        """Write the page and the PDF; raises `RunError` when pandoc or Typst refuses the document."""
        source = _Source.of(documents.read(document), project)
        theme = _Theme(project.theme, Brand.of(project))
        with scratch() as folder:
            metadata = folder / "metadata.json"
            metadata.write_text(json.dumps(source.metadata), encoding="utf-8")
            tree = _finish(pandoc.read_markdown(source.markdown, metadata), source)
            page = pandoc.write_html(_for_html(tree, source, theme), theme.file("report.html"))
            # A corner cell without words is no header of anything.
            html.write_text(_EMPTY_HEADER.sub("<td></td>", page), encoding="utf-8")
            if pdf is None:
                return
            for name, svg in source.figures.items():
                drawn = _SVG_TEXT.sub(lambda text: fonts.drawable(text[0]), theme.brand.coloured(svg))
                (folder / name).write_text(drawn, encoding="utf-8")
            template, main = folder / "template.typ", folder / "report.typ"
            template.write_text(theme.coloured("report.typ"), encoding="utf-8")
            main.write_text(pandoc.write_typst(_for_typst(tree, source, theme), template), encoding="utf-8")
            if theme.brand.logo:
                shutil.copyfile(theme.file(theme.brand.logo), folder / theme.brand.logo)
            pdf.write_bytes(_compile(main, timestamp))


@dataclass
class _Source:
    """A document as Markdown, with its figures by file name and their alternative texts."""

    metadata: dict[str, Any]
    words: Words
    markdown: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    alternatives: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, notebook: nbformat.NotebookNode, project: Project) -> "_Source":
        metadata = documents.front_matter(notebook)
        source = cls(metadata, Words.open(project, metadata.get("lang", ENGLISH)))
        source.markdown = "\n\n".join(part for cell in notebook.cells for part in source._parts(cell))
        return source

    def _parts(self, cell: nbformat.NotebookNode) -> Iterator[str]:
        if cell.cell_type == "markdown":
            yield cell.source
        elif cell.cell_type == "code":
            options = documents.options(cell)
            label = options.get("label", "")
            for kind, content in documents.shown(cell):
                if kind == documents.SVG:
                    name = f"figure-{len(self.figures) + 1}.svg"
                    self.figures[name] = content
                    self.alternatives[name] = " ".join(options["fig-alt"].split())
                    mark = (
                        f'#{label} .{_FIGURE} file="{name}"'
                        if label.startswith("fig-")
                        else f'.{_FIGURE} file="{name}"'
                    )
                    yield _fenced(mark, " ".join(options.get("fig-cap", "").split()))
                elif label.startswith("tbl-"):
                    yield _fenced(f"#{label} .{_TABLE}", f"{' '.join(options['tbl-cap'].split())}\n\n{content}")
                else:
                    yield content


@dataclass(frozen=True)
class _Theme:
    folder: Path
    brand: Brand

    def file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise RunError(
                found=f"no file `{name}` in the theme",
                expected="`report.html`, `report.typ`, `report.css` and `components.css` in `reports/theme/`",
                do="restore the file from version control",
            )
        return path

    def coloured(self, name: str) -> str:
        """Return a file of the theme in the company's colours."""
        return self.brand.coloured(self.file(name).read_text(encoding="utf-8"))

    @property
    def styles(self) -> str:
        return "\n".join([fonts.style_sheet(), self.coloured("report.css"), self.coloured("components.css")])

    @cached_property
    def typst_functions(self) -> frozenset[str]:
        """Names of the template's functions of one `body`; they draw the containers and spans of the same class."""
        return frozenset(_TEMPLATE_FUNCTION.findall(self.file("report.typ").read_text(encoding="utf-8")))


def _fenced(mark: str, content: str) -> str:
    return f"::: {{{mark}}}\n{content}\n:::"


# --- both formats: figures, tables, numbers, references ------------------------------------------


def _finish(tree: Tree, source: _Source) -> Tree:
    """Return the tree with figures and tables in place, numbered in reading order, and references to them."""
    placed = pandoc.change(tree, lambda element: _placed(element, source), "Div", "Table")
    numbers: dict[str, str] = {}
    counters = {kind: count(1) for kind in _NAMES}

    def numbered(element: Element) -> list[Element] | None:
        attributes, *rest = element["c"]
        kind = attributes[0].partition("-")[0]
        if kind not in _NAMES:
            return None
        name = source.words(f"document.float.{_NAMES[kind]}")
        numbers[attributes[0]] = f"{name}\N{NO-BREAK SPACE}{next(counters[kind])}"
        start = [*pandoc.text(f"{numbers[attributes[0]]}:"), {"t": "Space"}]
        if element["t"] == "Div":
            *content, caption = rest[0]
            words = pandoc.div([pandoc.plain_block([*start, *pandoc.inlines_of([caption])])], classes=["float-caption"])
            said = [words, *content] if kind == "tbl" else [*content, words]
            return [{"t": "Div", "c": [attributes, said]}]
        caption = [None, [pandoc.plain_block([*start, *pandoc.inlines_of(rest[0][1])])]]
        return [{"t": element["t"], "c": [attributes, caption, *rest[1:]]}]

    def referred(element: Element) -> list[Element] | None:
        label = element["c"][0][0]["citationId"]
        if label not in numbers:
            return list(element["c"][1])
        return [{"t": "Link", "c": [["", ["reference"], []], pandoc.text(numbers[label]), [f"#{label}", ""]]}]

    finished = pandoc.change(pandoc.change(placed, numbered, "Figure", "Table", "Div"), referred, "Cite")
    _raise_for_strangers(finished, source)
    return finished


def _placed(element: Element, source: _Source) -> list[Element] | None:
    """Turn the containers of cells into figures and captioned tables."""
    match element["t"]:
        case "Table":
            return [_even(element)]
        case "Div":
            return _placed_container(element, source)
    return None


def _placed_container(element: Element, source: _Source) -> list[Element] | None:
    (label, classes, pairs), blocks = element["c"]
    if _FIGURE in classes:
        return [_figure(label, dict(pairs)["file"], blocks, source)]
    if _TABLE in classes:
        return _captioned(label, *blocks)
    if mark := dict(pairs).get(ATTRIBUTE):
        return list(pandoc.change(blocks, lambda each: _marked(each, mark), "Table"))
    if label.startswith(tuple(f"{kind}-" for kind in _NAMES)):
        return [pandoc.div(blocks, id_=label, classes=["float"])]
    return _titled(element, source.words)


def _titled(element: Element, words: Words) -> list[Element] | None:
    """Return a callout that has neither a title nor a heading with its kind as its title."""
    (label, classes, pairs), blocks = element["c"]
    kind = _callout_kind(classes)
    if kind is None or "title" in dict(pairs) or (blocks and blocks[0]["t"] == "Header"):
        return None
    title = words(f"document.callout.{_CALLOUTS[kind]}")
    return [{"t": "Div", "c": [[label, classes, [*pairs, ["title", title]]], blocks]}]


def _figure(label: str, name: str, caption: list[Element], source: _Source) -> Element:
    image = {"t": "Image", "c": [["", [], []], pandoc.text(source.alternatives[name]), [name, ""]]}
    words = [pandoc.plain_block(pandoc.inlines_of(caption))] if caption else []
    return {"t": "Figure", "c": [[label, [], []], [None, words], [pandoc.plain_block([image])]]}


def _marked(element: Element, mark: str) -> list[Element] | None:
    """Return a table that carries the mark of its container, unless it has one already."""
    (label, classes, pairs), *rest = element["c"]
    if pairs:
        return None
    return [{"t": "Table", "c": [[label, classes, [[ATTRIBUTE, mark]]], *rest]}]


def _captioned(label: str, caption: Element, *content: Element) -> list[Element]:
    """Return a cell's content with the caption on its first table, or on what it says instead of one."""
    blocks = list(content)
    place = next((place for place, block in enumerate(blocks) if block["t"] == "Table"), None)
    if place is None:
        return [pandoc.div([*blocks, caption], id_=label, classes=["float"])]
    (_, _, pairs), _, *rest = blocks[place]["c"]
    blocks[place] = {"t": "Table", "c": [[label, [], pairs], [None, [caption]], *rest]}
    return blocks


def _even(table: Element) -> Element:
    """Return a table whose columns fit their content, left unless marked; a source line's length changes no layout."""
    attributes, caption, columns, *rest = table["c"]
    left, fit = {"t": "AlignLeft"}, {"t": "ColWidthDefault"}
    fitted = [[left if side["t"] == "AlignDefault" else side, fit] for side, _ in columns]
    return {"t": "Table", "c": [attributes, caption, fitted, *rest]}


def _raise_for_strangers(tree: Tree, source: _Source) -> None:
    """Refuse pictures from elsewhere and links that are not addresses."""
    problems: list[str] = []

    def check(element: Element) -> None:
        if element["t"] == "Image" and element["c"][2][0] not in source.figures:
            problems.append("a picture that no cell drew")
        if element["t"] == "Link" and not _SAFE_LINK.match(element["c"][2][0]):
            problems.append("a link that is neither a web or mail address nor a place in the report")

    pandoc.change(tree, check, "Image", "Link")
    if problems:
        raise RunError(
            found="; ".join(sorted(set(problems))),
            expected="figures from cells, and links with `https://`, `mailto:` or `#`",
            do="show the picture as a figure of a cell, or correct the link",
        )


# --- containers that both formats draw -----------------------------------------------------------


def _callout(
    classes: list[str], pairs: dict[str, str], blocks: list[Element]
) -> tuple[str, list[Element], list[Element]] | None:
    """Return kind, title and body of a callout; its title is `title=`, else its first heading."""
    kind = _callout_kind(classes)
    if kind is None:
        return None
    if "title" in pairs:
        return kind, pandoc.text(pairs["title"]), blocks
    return kind, blocks[0]["c"][2], blocks[1:]


def _callout_kind(classes: list[str]) -> str | None:
    return next((name for name in classes if name in _CALLOUTS), None)


def _visible(target: str, classes: list[str], pairs: dict[str, str], blocks: list[Element]) -> list[Element] | None:
    """Return the blocks of a container for one format, none of them in another; `None` for any other container."""
    if "content-visible" not in classes:
        return None
    return blocks if pairs.get("when-format") == target else []


def _columns(classes: list[str], pairs: dict[str, str], blocks: list[Element]) -> tuple[int, list[Element]] | None:
    """Return the number of columns and the blocks to lay out in them."""
    if "layout-ncol" in pairs:
        return int(pairs["layout-ncol"]), blocks
    if "columns" in classes:
        return max(1, sum(block["t"] == "Div" for block in blocks)), blocks
    return None


# --- the page ------------------------------------------------------------------------------------


def _for_html(tree: Tree, source: _Source, theme: _Theme) -> Tree:
    body, provenance = (
        pandoc.change(part, lambda element: _html(element, source), "Image", "Table", "Div") for part in _split(tree)
    )
    meta = tree["meta"]
    title = " \N{EN DASH} ".join(pandoc.text_of(meta[key]) for key in ("title", "subtitle") if key in meta)
    added = {
        "pagetitle": {"t": "MetaString", "c": title},
        "styles": {"t": "MetaInlines", "c": [pandoc.raw_inline("html", theme.styles)]},
        "provenance": {"t": "MetaBlocks", "c": provenance},
        **{name: {"t": "MetaString", "c": source.words(f"document.frame.{name}")} for name in _FRAME},
    } | _brand_of(theme, "html")
    return tree | {"blocks": body, "meta": meta | added}


def _brand_of(theme: _Theme, target: str) -> dict[str, Any]:
    """Return what a template shows of the company: its name, and its logo as it is found there."""
    brand = theme.brand
    logo = brand.logo and (brand.logo_address(theme.folder) if target == "html" else _typst_text(brand.logo))
    name = escape_html(brand.name) if target == "html" else _typst_text(brand.name)
    shown = {"brand-name": name if brand.name else "", "brand-logo": logo}
    return {key: {"t": "MetaInlines", "c": [pandoc.raw_inline(target, text)]} for key, text in shown.items() if text}


def _inline(name: str, source: _Source) -> str:
    """Return a figure as part of the page: its own ids, the page's colours, named by its alternative text."""
    stem = Path(name).stem
    found = _SVG.search(_with_attribute(source.figures[name]))
    assert found, "a figure that is no SVG"
    attributes, title, content = found.groups()
    words = {"title": title, "words": escape_html(source.alternatives[name])}
    told = [f'<{tag} id="{stem}-{part}">{words[part]}</{tag}>' for tag, part in _SVG_WORDS.items() if words[part]]
    names = " ".join(f"{stem}-{part}" for part in words if words[part])
    drawn = _TAG.sub(lambda tag: in_variables(_SVG_IDS.sub(f"{stem}-", tag[0])), content)
    return f'<svg{attributes} role="img" aria-labelledby="{names}">{"".join(told)}{drawn}'


def _with_attribute(svg: str) -> str:
    """Return an SVG with its mark as an attribute, which no search in a page finds, instead of a text without ink."""
    found = ON_PICTURE.search(svg)
    return ON_PICTURE.sub("", svg).replace("<svg", f'<svg {ATTRIBUTE}="{found[1]}"', 1) if found else svg


def _html(element: Element, source: _Source) -> list[Element] | None:
    match element["t"]:
        case "Image":
            return [pandoc.raw_inline("html", _inline(element["c"][2][0], source))]
        case "Table":
            # Where it is wider than a phone it scrolls, which keys can do only when it takes the focus.
            return [pandoc.div([_with_scopes(element)], classes=["table-frame"], tabindex="0")]
        case "Div":
            return _html_container(*element["c"])
    return None


def _html_container(attributes: list[Any], blocks: list[Element]) -> list[Element] | None:
    label, classes, pairs = attributes
    if callout := _callout(classes, dict(pairs), blocks):
        name, title, body = callout
        head = pandoc.div([{"t": "Para", "c": title}], classes=["callout-header"])
        inner = pandoc.div(body, classes=["callout-body"])
        return [pandoc.div([head, inner], id_=label, classes=["callout", name], role="note")]
    if columns := _columns(classes, dict(pairs), blocks):
        number, cells = columns
        return [pandoc.div(cells, id_=label, classes=["columns", f"columns-{number}"])]
    return _visible("html", classes, dict(pairs), blocks)


def _with_scopes(table: Element) -> Element:
    """Return a table whose header cells say what they head: the first column names its rows."""
    attributes, caption, columns, (head_attributes, head_rows), bodies, foot = table["c"]
    heads = [[row_attributes, [_scoped(cell, "col") for cell in cells]] for row_attributes, cells in head_rows]
    rows_named = int(len(columns) > 1)
    named = [
        [
            body_attributes,
            rows_named,
            inner_heads,
            [
                [row, [*[_scoped(cell, "row") for cell in cells[:rows_named]], *cells[rows_named:]]]
                for row, cells in rows
            ],
        ]
        for body_attributes, _, inner_heads, rows in bodies
    ]
    return {"t": "Table", "c": [attributes, caption, columns, [head_attributes, heads], named, foot]}


def _scoped(cell: list[Any], scope: str) -> list[Any]:
    (label, classes, pairs), *rest = cell
    return [[label, classes, [*pairs, ["scope", scope]]], *rest]


def _split(tree: Tree) -> tuple[list[Element], list[Element]]:
    """Split the blocks into the report and its footer."""
    body: list[Element] = []
    provenance: list[Element] = []
    for block in tree["blocks"]:
        if block["t"] == "Div" and "provenance" in block["c"][0][1]:
            provenance += block["c"][1]
        else:
            body.append(block)
    return body, provenance


# --- the PDF -------------------------------------------------------------------------------------


def _for_typst(tree: Tree, source: _Source, theme: _Theme) -> Tree:
    tree = _legible(tree, source.words("document.undrawn"))
    body, provenance = _split(tree)
    body[-1:] = _call(_STICKY, body[-1:])  # so that the foot never stands on a page of its own
    body, provenance = (
        pandoc.change(_spelled(_laid_out(part)), lambda element: _typst(element, source, theme), *_IN_TYPST)
        for part in (body, provenance)
    )
    blocks: list[Element] = []
    for block in body:
        is_chapter = block["t"] == "Header" and block["c"][0] == 1
        blocks += _call("chapter", [block]) if is_chapter and blocks else [block]
    author = pandoc.raw_inline("typst", _typst_text(pandoc.text_of(tree["meta"].get("author", []))))
    page = source.words("document.page", page="#counter(page).display()", pages="#counter(page).final().first()")
    added = {
        "author-literal": {"t": "MetaInlines", "c": [author]},
        "made": {"t": "MetaString", "c": source.words("document.frame.made")},
        "page": {"t": "MetaInlines", "c": [pandoc.raw_inline("typst", page)]},
    }
    meta = tree["meta"] | added | _brand_of(theme, "typst")
    return tree | {"blocks": [*blocks, *_call("provenance", provenance)], "meta": meta}


def _legible(tree: Tree, instead: str) -> Tree:
    """Return the tree with other words, once, where only letters stand that no font of the PDF has."""
    if isinstance(tree, dict):
        if tree.get("t") == "Str":
            return tree | {"c": fonts.legible(tree["c"], instead)}
        if tree.get("t") == "Code":
            return tree | {"c": [tree["c"][0], fonts.legible(tree["c"][1], instead)]}
        return {
            key: _legible(value, instead) if isinstance(value, list | dict) else value for key, value in tree.items()
        }
    kept: list[Any] = []
    for item in tree:
        new = _legible(item, instead) if isinstance(item, list | dict) else item
        is_again = isinstance(new, dict) and new.get("t") == "Str" and new["c"].startswith(instead)
        if is_again and kept[-2:] == [{"t": "Str", "c": instead}, {"t": "Space"}]:
            del kept[-2:]
        kept.append(new)
    return kept


def _laid_out(blocks: list[Element]) -> list[Element]:
    """Return what a PDF shows with what pages need: widths of columns, and what belongs to the block that follows."""

    def shown(element: Element) -> list[Element] | None:
        return _visible("typst", element["c"][0][1], dict(element["c"][0][2]), element["c"][1])

    def together(element: Element) -> list[Element] | None:
        if _columns(element["c"][0][1], dict(element["c"][0][2]), element["c"][1]):
            return None
        return [{"t": "Div", "c": [element["c"][0], list(_kept_together(element["c"][1]))]}]

    blocks = pandoc.change(pandoc.change(blocks, shown, "Div"), _sized, "Table", "Div")
    return list(_kept_together(pandoc.change(blocks, together, "Div")))


def _kept_together(blocks: list[Element]) -> Iterator[Element]:
    """Yield blocks, a chapter's lead and a short paragraph before a table or so such that they move on with that."""
    for block, following in zip_longest(blocks, blocks[1:]):
        is_lead = block["t"] == "Div" and "lead" in block["c"][0][1]
        is_short = block["t"] == "Para" and len(pandoc.text_of(block)) <= _INTRODUCTION
        if is_lead or (is_short and following and following["t"] in _INTRODUCED):
            yield from _call(_STICKY, [block])
        else:
            yield block


def _spelled(blocks: list[Element]) -> list[Element]:
    """Return blocks with words that Typst would set in a way of its own as strings, which it leaves alone."""

    def spelled(element: Element) -> list[Element] | None:
        if not _TYPESET.fullmatch(element["c"]):
            return None
        return [pandoc.raw_inline("typst", f"#{_typst_text(element['c'])};")]

    return list(pandoc.change(blocks, spelled, "Str"))


def _typst(element: Element, source: _Source, theme: _Theme) -> list[Element] | None:
    styled = theme.typst_functions
    match element["t"]:
        case "RawBlock":
            kind, text = element["c"]
            return [pandoc.raw_block(kind, theme.brand.coloured(text))] if kind == "typst" else []
        case "DefinitionList" if len(element["c"]) <= _SHORT_LIST:
            return _call("block(breakable: false)", [element])
        case "Figure":
            return [_typst_figure(source, *element["c"])]
        case "Span":
            return _typst_span(styled, *element["c"])
        case "Div":
            return _typst_container(styled, *element["c"])
    return None


def _typst_figure(source: _Source, attributes: list[Any], caption: list[Any], blocks: list[Element]) -> Element:
    """Return a figure in Typst's words: pandoc's own would lose the alternative text, which PDF/UA insists on."""
    label = attributes[0]
    name = blocks[0]["c"][0]["c"][2][0]
    words = pandoc.inlines_of(caption[1])
    picture = f"picture({_typst_text(name)}, {_typst_text(source.alternatives[name])})"
    start = f"#figure({picture}, caption: {'[' if words else 'none'}"
    end = f"{']' if words else ''}){f' <{label}>' if label else ''}"
    return pandoc.plain_block([pandoc.raw_inline("typst", start), *words, pandoc.raw_inline("typst", end)])


def _typst_span(styled: frozenset[str], attributes: list[Any], words: list[Element]) -> list[Element] | None:
    function = next((name for name in attributes[1] if name in styled), None)
    if function is None:
        return None
    return [pandoc.raw_inline("typst", f"#{function}["), *words, pandoc.raw_inline("typst", "]")]


def _typst_container(styled: frozenset[str], attributes: list[Any], blocks: list[Element]) -> list[Element] | None:
    """Return a container as a call, itself in one container, because it may be one cell of a grid."""
    label, classes, pairs = attributes
    if function := next((name for name in classes if name in styled), None):
        return [pandoc.div(_call(function, blocks), id_=label)]
    if callout := _callout(classes, dict(pairs), blocks):
        name, title, body = callout
        head = [pandoc.raw_inline("typst", f"#callout({_typst_text(name)}, ["), *title]
        open_ = pandoc.plain_block([*head, pandoc.raw_inline("typst", "])[")])
        return [pandoc.div([open_, *body, pandoc.raw_block("typst", "]")], id_=label)]
    if columns := _columns(classes, dict(pairs), blocks):
        number, cells = columns
        return [pandoc.div(_call(f"side-by-side({number})", cells, each=True), id_=label)]
    return None


def _sized(element: Element) -> list[Element] | None:
    """Give tables the widths of their columns, which Typst does not find itself.

    Blocks stand beside each other only where the longest words of their tables fit.
    """
    if element["t"] == "Table":
        return [_weighted(element, _ROOM)]
    (label, classes, pairs), blocks = element["c"]
    columns = _columns(classes, dict(pairs), blocks)
    if columns is None:
        return None
    room = _ROOM / columns[0]
    narrow: list[Element] = []

    def weighted(each: Element) -> list[Element]:
        narrow.append(each)
        return [_weighted(each, room)]

    beside = pandoc.change(blocks, weighted, "Table")
    if any(sum(_widths(_cells(table), room)) > room for table in narrow):
        return [pandoc.div(blocks, id_=label)]
    return [{"t": "Div", "c": [element["c"][0], beside]}]


def _weighted(table: Element, room: float) -> Element:
    """Return a table with the width of each column as its share of the room."""
    attributes, caption, columns, (head_attributes, head_rows), bodies, foot = table["c"]
    widths = _widths(_cells(table), room)
    whole = max(sum(widths), room * _NEARLY_FULL)
    shares = [{"t": "ColWidth", "c": round(width / whole, 4)} for width in widths]
    weighted = [[alignment, share] for (alignment, _), share in zip(columns, shares, strict=True)]
    return {"t": "Table", "c": [attributes, caption, weighted, [head_attributes, head_rows], bodies, foot]}


def _cells(table: Element) -> list[list[list[str]]]:
    """Return the lines of every cell, column by column."""
    _, _, columns, (_, head_rows), bodies, _ = table["c"]
    rows = [cells for _, cells in head_rows] + [cells for body in bodies for _, cells in body[3]]
    return [[_lines(cells[place][4]) for cells in rows] for place in range(len(columns))]


def _widths(columns: list[list[list[str]]], room: float) -> list[int]:
    """Return letters for each column: its longest word and short lines, such as intervals, as far as there is room.

    The rest of the room goes letter by letter to where most lines are broken; those that make a row higher than its
    other cells do count twice.
    """
    room -= _PADDING * len(columns)
    widths = [0]
    for whole in range(_WHOLE, -1, -1):
        widths = [max(_SHORT, *_unbroken(cells, whole)) for cells in columns]
        if sum(widths) <= room:
            break
    while sum(widths) < room:
        heights = [[_height(cell, width) for cell in cells] for cells, width in zip(columns, widths, strict=True)]
        highest = [max(row) for row in zip(*heights, strict=True)]
        guilt = [
            sum((own - len(cell)) * (1 + (own == most)) for cell, own, most in zip(cells, column, highest, strict=True))
            for cells, column in zip(columns, heights, strict=True)
        ]
        if not any(guilt):
            break
        widths[guilt.index(max(guilt))] += 1
    return [width + _PADDING for width in widths]


def _unbroken(cells: list[list[str]], whole: int) -> Iterator[int]:
    """Yield the lengths of a column's words, and of its lines of up to `whole` letters."""
    for line in (line for cell in cells for line in cell):
        yield from [len(line)] if len(line) <= whole else map(len, line.split(" "))


def _height(cell: list[str], width: int) -> int:
    """Return on how many lines a cell stands in a column of so many letters."""
    return sum(max(1, ceil(len(line) / width)) for line in cell)


def _lines(cell: list[Element]) -> list[str]:
    """Return the texts of a cell that stand below each other."""
    lines = [""]
    for inline in pandoc.inlines_of(cell):
        if inline["t"] == "Span" and _OWN_LINE in inline["c"][0][1]:
            lines.append("")
        lines[-1] += pandoc.text_of(inline)
    return lines


def _call(function: str, blocks: list[Element], *, each: bool = False) -> list[Element]:
    """Return a call of a template function with the blocks as one content argument, or with one argument each."""
    if not blocks:
        return []
    between = pandoc.raw_block("typst", "][")
    inner = [part for block in blocks for part in (block, between)][:-1] if each else blocks
    return [pandoc.raw_block("typst", f"#{function}["), *inner, pandoc.raw_block("typst", "]")]


def _typst_text(words: str) -> str:
    """Return a Typst string literal."""
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _compile(main: Path, timestamp: datetime) -> bytes:
    import typst  # here: only rendering needs it

    compile_: Callable[..., bytes] = typst.compile
    try:
        return compile_(
            main,
            root=main.parent,
            font_paths=[fonts.lato(), fonts.fallback()],
            ignore_system_fonts=True,
            pdf_standards=["ua-1"],
            timestamp=timestamp,
        )
    except typst.TypstError as error:
        raise RunError(
            found=f"Typst refused the PDF: {' '.join([error.message, *error.hints])[-600:]}",
            expected="Typst source that compiles to an accessible PDF (PDF/UA-1)",
            do="correct the raw `{=typst}` block or the template that the message speaks of",
        ) from error
