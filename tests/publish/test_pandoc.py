"""The document tree between pandoc's reader and its writers."""

import json

from cxreport.publish import pandoc

# Every place that elements can be in.
EVERYTHING = """
# Head *one* {#a .b c="d"}

Plain, **strong**, "quoted", [span]{.x lang="de"}, `code`{.y}, [link](#a "title"), ![image](p.svg "t"), note[^1],
[see @k, p. 3].

[^1]: Note *text*.

- item

  second block
- other

1. first

> quote

| line
| block

Term
:   Definition

::: {.callout title="x"}
| A | B |
|:--|--:|
| 1 | **2** |

: Caption *words*
:::
"""


def elements(part):
    """Yield every element of a tree."""
    if isinstance(part, dict):
        if "t" in part:
            yield part
        for value in part.values():
            yield from elements(value)
    elif isinstance(part, list):
        for item in part:
            yield from elements(item)


def test_change_reaches_every_element_and_leaves_the_given_tree(tmp_path):
    """Each kind on its own: all elements of it are replaced, by none or several, and no other is."""
    (tmp_path / "metadata.json").write_text('{"title": "The *title*"}')
    tree = pandoc.read_markdown(EVERYTHING, tmp_path / "metadata.json")
    before = json.dumps(tree)
    # What stands in a place of its own, such as a column's alignment, is in no list of elements.
    own = {"Meta", "Align", "ColWidth", "DoubleQuote", "NormalCitation", "Period", "Decimal"}
    kinds = {each["t"] for each in elements(tree) if not each["t"].startswith(tuple(own))}
    assert {"Str", "Note", "Cite", "Table", "DefinitionList", "LineBlock"} <= kinds
    for kind in kinds:
        twice = pandoc.change(tree, lambda each: [{"t": "Was", "c": [each["t"]]}] * 2, kind)
        found = [each["t"] for each in elements(twice)]
        assert kind not in found, kind
        assert found.count("Was") >= 2, kind
        assert pandoc.change(tree, lambda _: None, kind) == tree
        assert json.dumps(tree) == before
    gone = pandoc.change(tree, lambda _: [], "Str")
    assert "Str" not in [each["t"] for each in elements(gone)]
