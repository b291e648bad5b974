"""The present notebooks run alone with bare Papermill on a report without a past; the packs' tests see the others."""

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "30_executive",
    "31_short_executive",
    "40_kpis",
    "50_segments",
    "60_journey",
    "70_voice",
    "80_loyalty",
    "90_method",
]


def run(name, root, folder):
    """Execute a notebook on the airport survey with bare Papermill and return the executed notebook."""
    import papermill

    target = folder / f"{name}.ipynb"
    papermill.execute_notebook(
        ROOT / "notebooks" / f"{name}.ipynb",
        target,
        parameters={"report": "sfo", "root": str(root)},
        progress_bar=False,
        cwd=str(ROOT),
    )
    return nbformat.read(target, as_version=4)


@pytest.mark.filterwarnings("default")  # Papermill's own libraries warn of what is not ours
@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_alone(name, measured, tmp_path):
    """Every notebook executes, and shows only Markdown and figures that bring their own words and numbers."""
    notebook = run(name, measured.root, tmp_path)
    kinds = {
        kind
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        for kind in output.get("data", {"nothing"})
    }
    assert kinds <= {"text/markdown", "image/svg+xml", "text/plain"}
    assert "text/markdown" in kinds
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/svg+xml" in output.get("data", {})
    ]
    assert all(set(figure.metadata["cxreport"]) == {"alt", "caption", "data"} for figure in figures)
