"""Imports run downward only, and nothing heavy or unruly happens at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cxreport"
# From the top down; a module may import from its own line's left-hand neighbours' layers below it only.
LAYERS = [
    "cli",
    "console",
    "deliver",
    "publish",
    "cx",
    "present",
    "measure",
    "validate",
    "sample",
    "sources",
    "engine",
    "schema",
    "config",
    "periods",
    "scratch",
    "errors",
]


def layer_of(module: str) -> str | None:
    """Return the layer of a dotted module name inside the package, e.g. `measure` for `cxreport.measure.trend`."""
    parts = module.split(".")
    if parts[0] != "cxreport" or len(parts) == 1:
        return None
    return "sample" if parts[1].startswith("sample") else "cli" if parts[1] == "__main__" else parts[1]


def imports_of(path: Path) -> list[str]:
    """Return the absolute names of all modules a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} uses a relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_downward_only(path):
    """A module imports only from its own layer or a lower one."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own = layer_of(module)
    if own in {None, "__init__"}:
        return
    assert own in LAYERS, f"{module} lies in no known layer"
    for name in imports_of(path):
        used = layer_of(name)
        if used in LAYERS:
            assert LAYERS.index(used) >= LAYERS.index(own), f"{module} imports {name} from a higher layer"


def test_only_validate_imports_great_expectations():
    """Great Expectations costs seconds at import, so one layer alone may use it."""
    users = {
        layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "great_expectations" for name in imports_of(path))
    }
    assert users == {"validate"}


@pytest.mark.parametrize("package", ["matplotlib", "seaborn", "papermill"])
def test_measuring_does_not_import_drawing_or_running(package):
    """Figures are computed without any knowledge of how they are shown."""
    for layer in ("measure", "validate", "sources"):
        for path in (PACKAGE / layer).rglob("*.py"):
            assert package not in {name.split(".")[0] for name in imports_of(path)}, path.name


def test_command_line_starts_light():
    """`cxreport --help` imports neither pandas nor Great Expectations nor matplotlib."""
    code = "import sys, cxreport.cli; print(sorted({'pandas', 'great_expectations', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
