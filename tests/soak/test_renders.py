"""The built-in renderer makes the same bytes in every process, whatever the surroundings."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from cxreport.publish import document

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="300pt" height="100pt" viewBox="0 0 300 100">'
    '<path d="M10 90 L150 40 L290 20" fill="none" stroke="#0b5d8a" stroke-width="3"/></svg>'
)
TABLE = (
    "| Touchpoint | Answers | CSAT |\n|:--|--:|--:|\n| Installation visit | 212 | 54% |\n| Đặt lịch hẹn | 98 | 81% |\n"
)
SURROUNDINGS = (
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1"},
)
RENDER = """
import hashlib, sys
from datetime import UTC, datetime
from pathlib import Path
from cxreport.config import Project
from cxreport.publish.embedded import Embedded

source, html, pdf = (Path(name) for name in ("report.ipynb", "report.html", "report.pdf"))
for _ in range(int(sys.argv[2])):
    Embedded().render(
        source, html=html, pdf=pdf, project=Project(Path(sys.argv[1])), timestamp=datetime(2026, 10, 2, tzinfo=UTC)
    )
    print(*(hashlib.sha256(path.read_bytes()).hexdigest() for path in (html, pdf)))
"""


@pytest.fixture(scope="session")
def small_document(tmp_path_factory, english):
    """An executed document with a callout, columns, a figure, a table and references to both."""
    folder = tmp_path_factory.mktemp("document")
    cells = [
        new_raw_cell("---\ntitle: Summary\n---"),
        new_markdown_cell("::: {.callout-important}\n## One touchpoint broke\nSee @fig-trend and @tbl-points.\n:::"),
        displayed(document.SVG, SVG, "#| label: fig-trend\n#| fig-cap: A line that rises\n#| fig-alt: A line"),
        displayed(document.MARKDOWN, TABLE, "#| label: tbl-points\n#| tbl-cap: CSAT by touchpoint"),
        new_markdown_cell("::: {.columns}\n::: {.column}\nLeft.\n:::\n\n::: {.column}\nRight, ≥ 5 → 2.\n:::\n:::"),
    ]
    executed = folder / "30_executive.ipynb"
    nbformat.write(new_notebook(cells=cells), executed)
    merged = document.merge(
        [executed], words=english, title="Customer experience", subtitle="September", provenance={"Data": "x"}
    )
    document.write(merged, folder / "report.ipynb")
    return (folder / "report.ipynb").read_bytes()


def displayed(kind, content, options):
    """Return an executed cell that displayed one object."""
    return new_code_cell(f"{options}\nshow()", outputs=[new_output("display_data", data={kind: content})])


@pytest.mark.parametrize(("processes", "renders"), [(3, 1), pytest.param(20, 10, marks=pytest.mark.soak)])
def test_rendering_again_and_again_gives_one_set_of_bytes(root, small_document, tmp_path, processes, renders):
    """Processes with other hash seeds, zones, languages, clocks and folders make the same page and the same PDF."""
    made = []
    for number in range(processes):
        folder = tmp_path / f"{'deep/' * (number % 3)}folder {number}"
        folder.mkdir(parents=True)
        (folder / "report.ipynb").write_bytes(small_document)
        rendered = subprocess.run(
            [sys.executable, "-c", RENDER, str(root), str(renders)],
            cwd=folder,
            env=os.environ | SURROUNDINGS[number % len(SURROUNDINGS)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert rendered.returncode == 0, rendered.stderr
        made += rendered.stdout.splitlines()
    assert len(made) == processes * renders
    assert len(set(made)) == 1
