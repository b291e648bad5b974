"""Run pandoc, and change the document tree between its reader and its writers.

The tree is pandoc's JSON: an element is `{"t": kind, "c": content}`; attributes are `[id, classes, pairs]`.
"""

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cxreport.errors import RunError

Tree = Any
Element = dict[str, Any]

# Pandoc's Markdown without what could smuggle in markup (only explicit raw blocks are raw), without formulas (a price
# is a price), and without metadata inside the text.
_WITHOUT = (
    *("latex_macros", "native_divs", "native_spans", "pandoc_title_block", "raw_html", "raw_tex"),
    *("tex_math_dollars", "yaml_metadata_block"),
)
DIALECT = "-".join(["markdown", *_WITHOUT])


def version() -> str:
    """Return pandoc's version."""
    return _run(["--version"], "").split()[1]


def read_markdown(text: str, metadata: Path) -> Tree:
    """Return the tree of a Markdown text with the metadata of a JSON file (its strings are Markdown as well).

    A warning of the reader, such as a fenced part that is never closed, is a `RunError`.
    """
    return json.loads(_run(["-f", DIALECT, "-t", "json", "--fail-if-warnings", f"--metadata-file={metadata}"], text))


def write_html(tree: Tree, template: Path) -> str:
    """Return a page: chapters become `section` elements, one heading level below the title."""
    wanted = ["-t", "html5", "--section-divs", "--shift-heading-level-by=1", "--toc", "--toc-depth=2", "--wrap=none"]
    return _run(["-f", "json", *wanted, f"--template={template}"], json.dumps(tree))


def write_typst(tree: Tree, template: Path) -> str:
    """Return Typst source."""
    return _run(["-f", "json", "-t", "typst", "--wrap=none", f"--template={template}"], json.dumps(tree))


def change(tree: Tree, replace: Callable[[Element], list[Element] | None], *kinds: str) -> Tree:
    """Return the tree rebuilt from the leaves up; what no element can be in is shared with the given one.

    `replace` returns what an element of one of the kinds becomes, `None` to keep it.
    """
    # Reports have tens of thousands of elements, most of them words, and are gone through a dozen times.

    def changed(part: Tree) -> Tree:
        if isinstance(part, dict):
            return {key: changed(value) if isinstance(value, list | dict) else value for key, value in part.items()}
        if not part or isinstance(part[0], str):  # attributes
            return part
        rebuilt: list[Any] = []
        for item in part:
            if isinstance(item, dict):
                is_word = "t" in item and not isinstance(item.get("c"), list | dict)
                new = item if is_word else changed(item)
                replaced = replace(new) if new.get("t") in kinds else None
                rebuilt += [new] if replaced is None else replaced
            else:
                rebuilt.append(changed(item) if isinstance(item, list) else item)
        return rebuilt

    return changed(tree)


def text_of(tree: Tree) -> str:
    """Return the text of a part of the tree, without markup."""
    if isinstance(tree, list):
        return "".join(map(text_of, tree))
    if not isinstance(tree, dict):
        return ""
    kind = tree.get("t")
    if kind in {"Space", "SoftBreak", "LineBreak"}:
        return " "
    if kind == "Str":
        return str(tree["c"])
    if kind in {"Code", "Link", "Quoted", "Span"}:
        return str(tree["c"][1]) if kind == "Code" else text_of(tree["c"][1])
    return text_of(tree.get("c"))


def text(words: str) -> list[Element]:
    """Return words as inline elements."""
    return [{"t": "Str", "c": words}]


def plain_block(inlines: Iterable[Element]) -> Element:
    """Return inline elements as a block without paragraph spacing."""
    return {"t": "Plain", "c": list(inlines)}


def div(blocks: list[Element], *, id_: str = "", classes: Iterable[str] = (), **pairs: str) -> Element:
    """Return blocks in a container."""
    return {"t": "Div", "c": [[id_, list(classes), [[key, value] for key, value in pairs.items()]], blocks]}


def raw_inline(kind: str, source: str) -> Element:
    """Return source text of one output format, within a line."""
    return {"t": "RawInline", "c": [kind, source]}


def raw_block(kind: str, source: str) -> Element:
    """Return source text of one output format, as a block."""
    return {"t": "RawBlock", "c": [kind, source]}


def inlines_of(blocks: list[Element]) -> list[Element]:
    """Return the inline elements of paragraphs, joined by spaces."""
    joined: list[Element] = []
    for block in blocks:
        joined += [{"t": "Space"}] if joined else []
        joined += block["c"] if block["t"] in {"Para", "Plain"} else text(text_of(block))
    return joined


def _run(arguments: list[str], given: str) -> str:
    import pypandoc  # here: only rendering needs it

    # Sandboxed: readers and writers reach no file and no address beyond those named here.
    command = [pypandoc.get_pandoc_path(), "--sandbox", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode:
        raise RunError(
            found=f"pandoc failed: {' '.join(done.stderr.split())[-600:]}",
            expected="Markdown whose parts are closed, such as `:::` for every opened `:::`",
            do="correct the cell or the template that the message names",
        )
    return done.stdout
