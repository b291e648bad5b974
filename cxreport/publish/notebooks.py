"""Notebooks of a report and their parameters, which are strict: one cell of literals declares them."""

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxreport.config import Project
from cxreport.errors import DefinitionError, UsageError, listed, nearest

# A value that a parameters cell may hold: what `ast.literal_eval` reads.
Value = Any


@dataclass(frozen=True)
class Notebook:
    """A notebook and the defaults of its one `parameters` cell."""

    path: Path
    defaults: dict[str, Value]

    @property
    def name(self) -> str:
        """The file stem, which is how reports list it."""
        return self.path.stem


# --- reading ---------------------------------------------------------------------------------------


def load(path: Path) -> Notebook:
    """Read a notebook's parameters.

    Raises `DefinitionError` unless exactly one code cell is tagged `parameters` and holds nothing but
    assignments of literals.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise _unfit(path, "is no readable notebook") from None
    if len(tagged) != 1 or tagged[0].get("cell_type") != "code":
        raise _unfit(path, f"has {len(tagged)} code cells tagged `parameters`")
    source = tagged[0].get("source", "")
    return Notebook(path, _literals(path, source if isinstance(source, str) else "".join(source)))


def load_all(project: Project, names: Iterable[str]) -> list[Notebook]:
    """Read notebooks of `notebooks/` in order; raises one `DefinitionError` that holds every problem."""
    known = [path.stem for path in project.notebooks.glob("*.ipynb")]
    problems: list[str] = []
    loaded: list[Notebook] = []
    for name in names:
        if name not in known:
            problems.append(f"notebook `{name}` has no file{nearest(name, known)}")
            continue
        try:
            loaded.append(load(project.notebooks / f"{name}.ipynb"))
        except DefinitionError as error:
            problems.append(error.found)
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected='files in `notebooks/`, each with one `parameters` cell of plain literals such as `period = ""`',
            do="correct the notebooks or the report's `prepare` and `present`",
        )
    return loaded


def _literals(path: Path, source: str) -> dict[str, Value]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise _unfit(path, f"has a `parameters` cell that is no Python, line {error.lineno}") from None
    values: dict[str, Value] = {}
    for statement in statements:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    values[name] = ast.literal_eval(value)
                except ValueError:
                    raise _unfit(path, f"gives `{name}` no literal in its `parameters` cell") from None
            case _:
                raise _unfit(path, f"does more than assign in its `parameters` cell, line {statement.lineno}")
    return values


def _unfit(path: Path, what: str) -> DefinitionError:
    return DefinitionError(
        found=f"notebook `{path.stem}` {what}",
        expected="one code cell tagged `parameters` that assigns plain literals",
        do="correct the notebook",
    )


# --- parameters ------------------------------------------------------------------------------------


def check_parameters(notebook: Notebook, values: Mapping[str, Value]) -> None:
    """Raise `UsageError` with every parameter that the notebook does not declare or declares with another type."""
    problems = [
        f"unknown parameter `{name}` of notebook `{notebook.name}`{nearest(name, notebook.defaults)}"
        if name not in notebook.defaults
        else f"parameter `{name}` of notebook `{notebook.name}` as {_type(value)}, declared as "
        f"{_type(notebook.defaults[name])}"
        for name, value in values.items()
        if name not in notebook.defaults or not _fits(value, notebook.defaults[name])
    ]
    if problems:
        raise UsageError(
            found="; ".join(problems),
            expected=f"parameters of the `parameters` cell, with its types: {_declared(notebook)}",
            do="correct the name or the value",
        )


def share_out(notebooks: Sequence[Notebook], texts: Mapping[str, str]) -> dict[str, dict[str, Value]]:
    """Give command-line parameters to the notebooks that declare them, with the declared types.

    Returns notebook name to its parameters. Raises `UsageError` with every parameter that no notebook declares
    or whose text does not read as the declared type.
    """
    declared = {name for notebook in notebooks for name in notebook.defaults}
    problems = [f"unknown parameter `{name}`{nearest(name, declared)}" for name in texts if name not in declared]
    shared: dict[str, dict[str, Value]] = {notebook.name: {} for notebook in notebooks}
    for notebook in notebooks:
        for name in [name for name in texts if name in notebook.defaults]:
            value = _read(texts[name], notebook.defaults[name])
            if _fits(value, notebook.defaults[name]):
                shared[notebook.name][name] = value
            else:
                wanted = _type(notebook.defaults[name])
                problems.append(
                    f"parameter `{name}` of notebook `{notebook.name}` reads as {_type(value)}, not {wanted}"
                )
    if problems:
        raise UsageError(
            found="; ".join(problems),
            expected=f"one of {listed(declared)}, with the type that the notebook's `parameters` cell declares",
            do="correct the name or the value",
        )
    return shared


def _read(text: str, default: Value) -> Value:
    """Read a parameter from the command line; text that is no literal stays text."""
    if isinstance(default, str):
        return text
    if isinstance(default, bool) and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _fits(value: Value, default: Value) -> bool:
    if default is None:
        return True
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)


def _type(value: Value) -> str:
    return "nothing" if value is None else f"`{type(value).__name__}`"


def _declared(notebook: Notebook) -> str:
    return ", ".join(f"`{name}` ({type(default).__name__})" for name, default in notebook.defaults.items()) or "none"
