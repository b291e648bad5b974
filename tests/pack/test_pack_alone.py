"""Each notebook runs alone, and the README's make commands do what it says."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


def papermill(pack, *arguments):
    """Run Papermill itself in the pack's project."""
    tool = Path(sys.executable).parent / "papermill"
    return subprocess.run([tool, *arguments], cwd=pack.project.root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["30_executive", "50_segments", "90_method"])
def test_present_notebook_runs_with_bare_papermill(pack, tmp_path, name):
    """Papermill alone executes the notebook, with its defaults, on what was measured (`40_kpis`: see the README)."""
    target = tmp_path / "out.ipynb"
    result = papermill(pack, f"notebooks/{name}.ipynb", target)
    assert result.returncode == 0, result.stderr[-2000:]
    assert any(cell.get("outputs") for cell in json.loads(target.read_text())["cells"])


@pytest.mark.parametrize("name", ["10_validate", "20_measure"])
def test_prepare_notebook_runs_with_its_defaults_and_changes_nothing(pack, tmp_path, name):
    """A prepare notebook run alone, without parameters, writes the same tables again."""
    before = {path: path.read_bytes() for path in (pack.project.root / "data").rglob("*.parquet")}
    result = papermill(pack, f"notebooks/{name}.ipynb", tmp_path / "out.ipynb")
    assert result.returncode == 0, result.stderr[-2000:]
    assert {path: path.read_bytes() for path in (pack.project.root / "data").rglob("*.parquet")} == before


def test_readme_make_commands_run_what_they_say(root, readme):
    """Each make command expands to the step it promises; the steps themselves are run by the fixtures."""
    promised = {
        "make report": "cxreport run --report monthly",
        "make test": "python -m pytest",
        "make report REPORT=monthly PERIOD=2026-09": "cxreport run --report monthly --renderer auto --period 2026-09",
        "make lab": "jupyter lab",
        "make report REPORT=sfo PERIOD=2017-05": "cxreport run --report sfo --renderer auto --period 2017-05",
    }
    commands = [line for line in readme if line.startswith("make")]
    assert set(commands) == set(promised)
    for command in commands:
        make, *arguments = shlex.split(command)
        expanded = subprocess.run([make, "-n", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
        assert promised[command] in expanded, command
