"""Merge executed notebooks into the one document that both renderers read.

The language is a strict subset of Quarto's: what is not in it is an error here, so that neither renderer can show
something that the other one drops.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import nbformat
import yaml

from cxreport.config import Report
from cxreport.errors import RunError, listed, nearest
from cxreport.periods import Period
from cxreport.present.markup import escape_markdown
from cxreport.present.words import Words

Cell = nbformat.NotebookNode

SVG = "image/svg+xml"
MARKDOWN = "text/markdown"
OPTIONS = ("echo", "fig-alt", "fig-cap", "include", "label", "output", "tbl-cap")

_V4: Any = nbformat.v4  # its builders carry no types
# What figures say of themselves, by the option that it stands for.
_TOLD = {"fig-cap": "caption", "fig-alt": "alt"}
# Quarto's words for what only pages show; both renderers know them.
_DISCLOSED = """::: {{.content-visible when-format="html"}}
```{{=html}}
<details class="cx-data"><summary>{summary}</summary>
```

{data}

```{{=html}}
</details>
```
:::"""
_TEXTS = ("fig-alt", "fig-cap", "tbl-cap")
_DROPPED_TAGS = {"parameters", "injected-parameters", "remove-cell"}
_SHOWABLE = {SVG, MARKDOWN, "text/plain"}
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\s*\Z", re.DOTALL)
_LABEL = re.compile(r"[a-z]+(-[a-z0-9]+)*")
_LABEL_IN_PROSE = re.compile(r"\{[^{}]*#((?:fig|tbl)-[\w-]+)[^{}]*\}")
_REFERENCE = re.compile(r"(?<![\w\\@])@((?:fig|tbl|sec|eq|lst)-[\w-]*\w)")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
# Where a cell begins in the text of a chapter, and what stands there with nothing in it or below it.
_BEGIN = "\x01"
_EMPTY_CONTAINER = re.compile(rf"^(:{{3,}}) \{{.*\}}$([\s{_BEGIN}]*)^\1$", re.MULTILINE)
_EMPTY_SECTION = re.compile(rf"^(##+) .*$([\s{_BEGIN}]*)(?=^:{{3,}}$|^(?!\1#)#+ |\Z)", re.MULTILINE)


@dataclass(frozen=True)
class _Part:
    """A cell of the document with its options and where it came from."""

    place: str
    cell: Cell
    options: dict[str, Any]

    @property
    def prose(self) -> Iterator[str]:
        """The Markdown this cell contributes."""
        if self.cell.cell_type == "markdown":
            yield self.cell.source
        elif self.cell.cell_type == "code":
            yield from (str(self.options[key]) for key in ("fig-cap", "tbl-cap") if key in self.options)
            yield from (text for kind, text in shown(self.cell) if kind == MARKDOWN)


def subtitle(words: Words, report: Report, period: Period) -> str:
    """Return what stands below the title of a report: whose it is, and of which period."""
    return words("document.subtitle", organisation=report.organisation, period=words.period(period))


def merge(
    notebooks: list[Path],
    *,
    words: Words,
    title: str,
    subtitle: str,
    provenance: dict[str, str],
    author: str = "",
    one_page: bool = False,
) -> Cell:
    """Return executed notebooks as one clean document.

    The first cell is front matter. Every notebook becomes a chapter under its own front-matter title, and
    `provenance` (term to text) closes the document. Hidden cells, tags, timings, counts and everything else that
    changes between two equal runs are left out. `title`, `subtitle`, `author` and `provenance` are plain text. What the
    notebooks themselves say is translated by `words`. Headings with nothing below them and containers with nothing in
    them are left out. `one_page` asks for a PDF of one page, however small.

    Raises `RunError` with every problem of every notebook: a stored error, an output that a page cannot show, an
    unknown or wrong `#|` option, a figure without alternative text, a label given twice, a reference to no label.
    """
    problems: list[str] = []
    parts = [part for path in notebooks for part in _filled(list(_chapter(path, words, problems)))]
    problems += _label_problems(parts)
    if problems:
        raise RunError(
            found="; ".join(problems),
            expected="executed notebooks in the language that both renderers understand",
            do="correct the cells named above and run again",
        )
    cells = [
        _front_matter_cell(title, subtitle, author, words, one_page=one_page),
        *(part.cell for part in parts),
        _provenance_cell(provenance),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    merged: Cell = _V4.new_notebook(cells=cells, metadata=metadata)
    return merged


def write(node: Cell, path: Path) -> None:
    """Write a document as JSON with sorted keys and sources as lists of lines, which Quarto insists on."""
    path.write_text(_V4.writes(node) + "\n", encoding="utf-8")


def read(path: Path) -> Cell:
    """Read a document that `write` wrote."""
    node: Cell = _V4.reads(path.read_text(encoding="utf-8"))
    return node


def front_matter(document: Cell) -> dict[str, Any]:
    """Return the front matter of the first cell, empty when there is none."""
    cells = document.cells
    found = _FRONT_MATTER.match(cells[0].source.strip()) if cells and cells[0].cell_type == "raw" else None
    try:
        content = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}


def options(cell: Cell) -> dict[str, Any]:
    """Return the `#|` options that lead a code cell; raises `ValueError` when they are not YAML."""
    lines = [line[2:] for line in takewhile(lambda line: line.startswith("#|"), cell.source.splitlines())]
    try:
        content = yaml.safe_load("\n".join(line.removeprefix(" ") for line in lines))
    except yaml.YAMLError as error:
        raise ValueError("options that are not YAML (quote a text that holds a colon)") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError("options that are not `key: value` lines")  # noqa: TRY004 - the notebook's fault, not a type's
    return {str(key): value for key, value in content.items()}


def shown(cell: Cell) -> list[tuple[str, str]]:
    """Return what a code cell of a document shows: media type and text, printed text as Markdown."""
    return [
        (MARKDOWN, output.text) if output.output_type == "stream" else next(iter(output.data.items()))
        for output in cell.outputs
    ]


# --- cells ---------------------------------------------------------------------------------------


def _cell(kind: str, source: str, **parts: Any) -> Cell:
    of_code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    # Checked with the whole document only: a check takes longer than all else about a cell.
    new: Cell = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {"cell_type": kind, "metadata": {}, "source": source, **of_code, **parts}
    )
    return new


def _front_matter_cell(title: str, subtitle: str, author: str, words: Words, *, one_page: bool) -> Cell:
    told = {"title": title, "subtitle": subtitle, "author": author}
    content: dict[str, str | bool] = {name: escape_markdown(text) for name, text in told.items()}
    content |= {"lang": words.language, "toc-title": words("document.frame.chapters"), "one-page": one_page}
    given = {key: value for key, value in content.items() if value}
    text = yaml.safe_dump(given, sort_keys=False, allow_unicode=True, width=float("inf"))
    return _cell("raw", f"---\n{text}---")


def _provenance_cell(provenance: dict[str, str]) -> Cell:
    entries = (f"{escape_markdown(term)}\n:   {escape_markdown(text)}" for term, text in provenance.items())
    return _cell("markdown", "\n\n".join(["::: {.provenance}", *entries, ":::"]))


def _chapter(path: Path, words: Words, problems: list[str]) -> Iterator[_Part]:
    """Yield the heading and the visible cells of one notebook."""
    notebook = read(path)
    matter = front_matter(notebook)
    if not matter.get("title"):
        problems.append(f"{path.name}: no `title:` in a raw first cell between `---` lines")
    lead = f"\n\n::: {{.lead}}\n{words.text(matter['subtitle'])}\n:::" if matter.get("subtitle") else ""
    heading = f"# {words.text(str(matter.get('title', path.stem)))}{lead}"
    yield _Part(f"{path.name} front matter", _cell("markdown", heading), {})
    for number, cell in enumerate(notebook.cells[1:] if matter else notebook.cells, start=2 if matter else 1):
        place = f"{path.name} cell {number}"
        if cell.cell_type == "code":
            yield from _code_part(place, cell, words, problems)
        elif _DROPPED_TAGS.isdisjoint(cell.metadata.get("tags", [])):
            if cell.cell_type == "raw":
                problems.append(f"{place}: a raw cell after the first (write a raw block in a markdown cell)")
            yield _Part(place, _cell(cell.cell_type, words.prose(cell.source)), {})


def _filled(parts: list[_Part]) -> Iterator[_Part]:
    """Yield cells without the headings that have nothing below them and the containers that have nothing in them."""
    text, before = "".join(f"{_BEGIN}\n{_outline(part)}\n" for part in parts), ""
    while text != before:
        before = text
        text = _EMPTY_SECTION.sub(r"\2", _EMPTY_CONTAINER.sub(r"\2", text))
    for part, left in zip(parts, text.split(_BEGIN)[1:], strict=True):
        if left.strip() == _outline(part).strip():
            yield part
        elif left.strip():
            yield _Part(part.place, _cell("markdown", left.strip()), part.options)


def _outline(part: _Part) -> str:
    """Return prose as it is, and in place of any other cell a word if it shows something, below its first heading."""
    if part.cell.cell_type != "code" and "```" not in part.cell.source:
        return str(part.cell.source)
    contents = [text for _, text in shown(part.cell)] if part.cell.cell_type == "code" else [part.cell.source]
    text = "\n".join(contents).strip()
    return f"{text.splitlines()[0]}\nshown" if text.startswith("#") else text and "shown"


def _code_part(place: str, cell: Cell, words: Words, problems: list[str]) -> Iterator[_Part]:
    wrong = [f"the stored error {output.ename}" for output in cell.outputs if output.output_type == "error"]
    try:
        chosen = options(cell)
    except ValueError as error:
        chosen = {}
        wrong.append(str(error))
    wrong += _option_problems(chosen)
    is_dropped = chosen.get("include") is False or not _DROPPED_TAGS.isdisjoint(cell.metadata.get("tags", []))
    if not is_dropped:
        outputs = list(_outputs(cell, chosen.get("output") == "asis", wrong))
        clean = _cell("code", cell.source, outputs=outputs)
        translated = {key: words.text(str(chosen[key])) for key in _TEXTS if key in chosen}
        if translated.items() - chosen.items():
            chosen |= translated
            clean["source"] = _with_options(chosen, cell.source)
        contents = shown(clean)
        wrong += _figure_and_table_problems(chosen, outputs)
        if _is_text_figure(chosen, contents):
            yield _Part(place, _text_figure(chosen, contents[0][1]), {})
        elif any(map(_told, outputs)):
            yield from _told_parts(place, clean, chosen, words)
        else:
            yield _Part(place, clean, chosen)
    problems += [f"{place}: {problem}" for problem in wrong]


def _told(output: Cell) -> dict[str, str]:
    """Return what a figure says of itself: `alt`, `caption` and `data`, each only if it says so."""
    told: dict[str, str] = output.get("metadata", {}).get("cxreport", {})
    return told


def _told_parts(place: str, cell: Cell, chosen: dict[str, Any], words: Words) -> Iterator[_Part]:
    """Yield one cell for each output; a figure's words become its options, unless the cell itself has some."""
    for output in cell.outputs:
        told = _told(output)
        own = {key: " ".join(told[name].split()) for key, name in _TOLD.items() if name in told}
        options_ = {key: value for key, value in (own | chosen).items() if key != "output" or not told}
        clean = _V4.new_output("display_data", data=output.data) if told else output
        part = _Part(place, _cell("code", _with_options(options_, cell.source), outputs=[clean]), options_)
        yield from _with_data(part, told["data"], words) if "data" in told else [part]


def _with_options(chosen: dict[str, Any], source: str) -> str:
    """Return the source of a cell with these options instead of its own."""
    code = "\n".join(line for line in source.splitlines() if not line.startswith("#|"))
    text = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=float("inf"))
    return "".join(f"#| {line}\n" for line in text.splitlines()) + code


def _with_data(figure: _Part, data: str, words: Words) -> Iterator[_Part]:
    """Yield a figure and below it, on pages only, its numbers behind a line that opens them."""
    yield _Part(figure.place, _cell("markdown", "::: {.cx-chart}"), {})
    yield figure
    shown_data = _DISCLOSED.format(summary=words("charts.show_data"), data=data.strip())
    yield _Part(figure.place, _cell("markdown", f"{shown_data}\n:::"), {})


def _is_text_figure(chosen: dict[str, Any], contents: list[tuple[str, str]]) -> bool:
    """Whether a cell that usually draws a figure says in words why there is none, such as too few periods."""
    label = str(chosen.get("label", ""))
    return label.startswith("fig-") and "fig-cap" in chosen and [kind for kind, _ in contents] == [MARKDOWN]


def _text_figure(chosen: dict[str, Any], words: str) -> Cell:
    # A fenced figure, because Quarto numbers a cell's figure only when there is a picture.
    return _cell("markdown", f"::: {{#{chosen['label']}}}\n{words.strip()}\n\n{chosen['fig-cap']}\n:::")


def _outputs(cell: Cell, is_asis: bool, wrong: list[str]) -> Iterator[Cell]:
    """Yield the outputs a page can show; how printed text was cut into pieces is chance, so pieces are joined."""
    printed = ""
    for output in cell.outputs:
        if output.output_type == "stream":
            printed += output.text if output.name == "stdout" else ""
            continue
        data = output.get("data", {})
        if extra := set(data) - _SHOWABLE:
            wrong.append(f"an output of the type {listed(extra)} (show `{MARKDOWN}` tables and `{SVG}` figures)")
        kind = next((kind for kind in (SVG, MARKDOWN) if kind in data), None)
        if kind:
            yield from _printed(printed)
            printed = ""
            told = {name: output.metadata[name] for name in ("cxreport",) if kind == SVG and name in output.metadata}
            yield _V4.new_output("display_data", data={kind: data[kind]}, metadata=told)
    if printed and not is_asis:
        wrong.append("printed text without `#| output: asis`")
    yield from _printed(printed)


def _printed(text: str) -> Iterator[Cell]:
    if text.strip():
        yield _V4.new_output("stream", name="stdout", text=text)


# --- checks --------------------------------------------------------------------------------------


def _option_problems(chosen: dict[str, Any]) -> Iterator[str]:
    for key, value in chosen.items():
        if key not in OPTIONS:
            yield f"unknown option `{key}`{nearest(key, OPTIONS)}"
        elif key == "output" and value != "asis":
            yield "`output` can only be `asis`"
        elif key == "echo" and value is not False:
            yield "`echo` can only be `false`, because reports show no code"
        elif key == "include" and not isinstance(value, bool):
            yield "`include` must be `true` or `false`"
        elif key in {"fig-alt", "fig-cap", "tbl-cap"} and not (isinstance(value, str) and value.strip()):
            yield f"`{key}` must be a text"
        elif key == "label" and not _LABEL.fullmatch(str(value)):
            yield "`label` must be lower-case words joined by hyphens, such as `fig-trend`"


def _figure_and_table_problems(chosen: dict[str, Any], outputs: list[Cell]) -> Iterator[str]:
    label = str(chosen.get("label", ""))
    kinds = [MARKDOWN if output.output_type == "stream" else next(iter(output.data)) for output in outputs]
    figures = [output for output, kind in zip(outputs, kinds, strict=True) if kind == SVG]
    if figures and "fig-alt" not in chosen and not all(_told(figure).get("alt") for figure in figures):
        yield "a figure without `fig-alt`"
    if len(figures) > 1 and not ({"fig-alt", "fig-cap"}.isdisjoint(chosen) and all(map(_told, figures))):
        yield "more than one figure in a cell that speaks for one (leave `fig-alt` and `fig-cap` to the figures)"
    if label.startswith("fig-") and not (kinds in ([SVG], [MARKDOWN]) and "fig-cap" in chosen):
        yield f"`{label}` needs one figure and `fig-cap`"
    if label.startswith("tbl-") and not (kinds == [MARKDOWN] and "tbl-cap" in chosen):
        yield f"`{label}` needs one table and `tbl-cap`"
    if label.startswith(("fig-", "tbl-")) and "output" in chosen:
        yield f"`{label}` cannot be used with `output: asis`"


def _label_problems(parts: Iterable[_Part]) -> Iterator[str]:
    """Yield labels given twice and references to labels that nothing carries."""
    first_place: dict[str, str] = {}
    wanted: list[tuple[str, str]] = []
    for part in parts:
        texts = [_CODE.sub("", text) for text in part.prose]
        labels = [str(part.options["label"])] if "label" in part.options else []
        for label in labels + [found for text in texts for found in _LABEL_IN_PROSE.findall(text)]:
            if label in first_place:
                yield f"{part.place}: label `{label}` is already used in {first_place[label]}"
            first_place.setdefault(label, part.place)
        wanted += [(part.place, found) for text in texts for found in _REFERENCE.findall(text)]
    for place, label in wanted:
        if label not in first_place:
            yield f"{place}: reference to unknown label `{label}`{nearest(label, first_place)}"
