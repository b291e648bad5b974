"""What the repository holds: notebooks without outputs, no addresses, no machine paths, make targets with help."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Written in pieces, so that this file does not find itself.
HOSTS = re.compile(
    "(" + "|".join(["py" + "pi", "python" + "hosted", "npm" + "js", "ana" + "conda"]) + r")\.(org|com|net)"
)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(" + "|".join(["wo" + "rk", "fa" + "rm", "ro" + "ot"]) + ")/")


def tracked_files():
    """Return the text files under version control; skip where there is no git."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_notebooks_are_there():
    """The suite has its two prepare and nine present notebooks."""
    assert [path.stem for path in NOTEBOOKS] == [
        "10_validate",
        "20_measure",
        "30_executive",
        "31_short_executive",
        "40_kpis",
        "50_segments",
        "60_journey",
        "70_voice",
        "80_loyalty",
        "85_actions",
        "90_method",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_clean(path):
    """A committed notebook has a parameters cell, no outputs, no counts, no machine's kernel name and no functions."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert all(isinstance(cell["source"], list) for cell in notebook["cells"])
    assert not [line for cell in code for line in cell["source"] if re.match(r"\s*(def|class|async def) ", line)]


def test_no_registry_host_and_no_machine_path_is_tracked():
    """Neither a package registry's address nor a path of some machine stands in a file."""
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.name}: {match[0]}" for match in HOSTS.finditer(text)]
        found += [f"{path.name}: {match[0]}" for match in MACHINE_PATHS.finditer(text)]
    assert found == []


def test_tracked_files_are_small():
    """Nothing above one MiB is committed; large files are made, not stored."""
    assert [path.name for path in tracked_files() if path.stat().st_size > 1024 * 1024] == []


def test_make_alone_prints_every_target():
    """`make` lists each public target with one line of help."""
    printed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    text = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    for target in targets:
        assert re.search(rf"^  make {target} +\S", printed, re.MULTILINE), target
