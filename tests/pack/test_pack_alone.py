"""Each step and each notebook runs alone, as the README says."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
PRESENT = ["30_executive", "40_kpis", "50_segments", "90_method"]


def readme_commands(root):
    """Return the commands of all shell blocks of the README, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def run(pack, *arguments):
    """Run a program of the environment in the pack's project."""
    return subprocess.run(
        [str(BIN / arguments[0]), *arguments[1:]],
        cwd=pack.project.root,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(pack.project.root)},
    )


@pytest.mark.parametrize("name", PRESENT)
def test_present_notebook_runs_with_bare_papermill(pack, tmp_path, name):
    """Papermill alone executes the notebook on what was measured, without the suite's command."""
    target = tmp_path / "out.ipynb"
    result = run(pack, "papermill", f"notebooks/{name}.ipynb", str(target), "-p", "period", "2026-09")
    assert result.returncode == 0, result.stderr[-2000:]
    cells = json.loads(target.read_text())["cells"]
    assert any(cell.get("outputs") for cell in cells)


@pytest.mark.parametrize("name", ["10_validate", "20_measure"])
def test_prepare_notebook_runs_with_its_defaults_and_changes_nothing(pack, tmp_path, name):
    """A prepare notebook run alone, without parameters, writes the same tables again."""
    before = {path: path.read_bytes() for path in (pack.project.root / "data").rglob("*.parquet")}
    result = run(pack, "papermill", f"notebooks/{name}.ipynb", str(tmp_path / "out.ipynb"))
    assert result.returncode == 0, result.stderr[-2000:]
    assert {path: path.read_bytes() for path in (pack.project.root / "data").rglob("*.parquet")} == before


def test_readme_commands_work(pack, root):
    """Every `cxreport`, `papermill` and `make report` command of the README ends well, word for word."""
    if not (root / ".venv" / ".ready").exists():
        pytest.skip("the environment was not made by make, so make targets would set up another one")
    if not (pack.project.root / ".venv").exists():
        (pack.project.root / ".venv").symlink_to(root / ".venv")
        (root / ".venv" / ".ready").touch()
    commands = readme_commands(root)
    assert len(commands) >= 10
    for command in commands:
        program, *rest = shlex.split(command)
        if command in {"make test", "make lab"}:
            # The first is this very run, the second starts a server: their recipes must at least be sound.
            result = subprocess.run(
                ["make", "-n", *rest], cwd=pack.project.root, capture_output=True, text=True, check=False
            )
        elif "REPORT=sfo" in command:
            continue  # has its own tests, with the real data beside the project
        elif program == "make":
            result = subprocess.run(["make", *rest], cwd=pack.project.root, capture_output=True, text=True, check=False)
        else:
            result = run(pack, program, *rest)
        assert result.returncode == 0, f"{command}\n{result.stdout[-1000:]}\n{result.stderr[-2000:]}"
