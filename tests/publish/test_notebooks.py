"""Notebooks declare their parameters, and what is given to them must fit."""

import json

import pytest

from cxreport.config import Project
from cxreport.errors import DefinitionError, UsageError
from cxreport.publish import notebooks


def code(source, *tags):
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source.splitlines(keepends=True)}


@pytest.fixture
def project(tmp_path):
    """Return a project in a folder whose name needs care."""
    root = tmp_path / "a {project} of ours"
    (root / "notebooks").mkdir(parents=True)
    return Project(root)


@pytest.fixture
def add(project):
    """Return a function that adds a notebook and loads it."""

    def add(name, *cells, parameters='period = ""'):
        cells = [code(parameters, "parameters"), *map(code, cells)]
        for number, cell in enumerate(cells):
            cell.update(id=f"c{number}", outputs=[], execution_count=None)
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path = project.notebooks / f"{name}.ipynb"
        path.write_text(json.dumps(content), encoding="utf-8")
        return notebooks.load(path)

    return add


# --- reading ---


def test_defaults_are_the_literals_of_the_cell(add):
    """Plain and annotated assignments of literals are read without running anything."""
    loaded = add("a", parameters='# which\nperiod: str = "2026-09"\ntop = -3\nshares = [0.5, None]\n')
    assert loaded.defaults == {"period": "2026-09", "top": -3, "shares": [0.5, None]}


@pytest.mark.parametrize(
    "source",
    ["import os", "period = str()", "period = ", "a, b = 1, 2", "period: str", "x = y = 1", "period.x = 1"],
)
def test_parameters_that_are_no_plain_literals_are_refused(add, source):
    """A parameters cell that does anything but assign literals to names is an error."""
    with pytest.raises(DefinitionError, match="notebook `a`"):
        add("a", parameters=source)


def test_every_wrong_notebook_is_named_at_once(project, add):
    """Missing files, missing tags and unreadable files of one report are told together, with the nearest name."""
    add("40_kpis")
    (project.notebooks / "untagged.ipynb").write_text('{"cells": []}')
    (project.notebooks / "broken.ipynb").write_text("no JSON")
    with pytest.raises(DefinitionError) as raised:
        notebooks.load_all(project, ["40_kpi", "untagged", "broken"])
    assert "`40_kpi` has no file, did you mean `40_kpis`?" in raised.value.found
    assert "`untagged` has 0 code cells tagged `parameters`" in raised.value.found
    assert "`broken` is no readable notebook" in raised.value.found


# --- parameters ---


def test_unknown_parameter_names_the_nearest(add):
    """A mistyped parameter name stops before a kernel starts."""
    with pytest.raises(UsageError, match="unknown parameter `peroid` of notebook `a`, did you mean `period`"):
        notebooks.check_parameters(add("a"), {"peroid": "2026-09"})


@pytest.mark.parametrize(
    ("declared", "value", "fits"),
    [
        ('""', "x", True),
        ('""', 1, False),
        ("1", 2, True),
        ("1", True, False),
        ("1", 1.5, False),
        ("1.5", 2, True),
        ("1.5", True, False),
        ("False", 0, False),
        ("[]", (1,), False),
        ("None", "anything", True),
    ],
)
def test_parameter_types_follow_the_defaults(add, declared, value, fits):
    """A value has the type of the declared default; a whole number also serves as a decimal one."""
    notebook = add("a", parameters=f"x = {declared}")
    if fits:
        notebooks.check_parameters(notebook, {"x": value})
    else:
        with pytest.raises(UsageError, match="parameter `x`"):
            notebooks.check_parameters(notebook, {"x": value})


def test_text_parameters_go_to_the_notebooks_that_declare_them(add):
    """Parameters from the command line take the declared type in each notebook."""
    chosen = [add("a", parameters='top = 3\nname = ""'), add("b", parameters="share = 0.5\nfull = False\ntop = 1.0")]
    shared = notebooks.share_out(chosen, {"top": "5", "name": "12", "share": "1", "full": "true"})
    assert shared == {"a": {"top": 5, "name": "12"}, "b": {"share": 1, "full": True, "top": 5}}
    assert shared["a"]["name"] == "12"


def test_text_parameters_that_fit_nowhere_are_told_together(add):
    """Names that no notebook declares and texts of another type are one error."""
    with pytest.raises(UsageError) as raised:
        notebooks.share_out([add("a", parameters="top = 3\nregion = ''")], {"top": "many", "regoin": "north"})
    assert "parameter `top` of notebook `a` reads as `str`, not `int`" in raised.value.found
    assert "`regoin`, did you mean `region`?" in raised.value.found
