"""The measuring notebook says what it did."""

import json
from pathlib import Path

import pytest

from cxreport.errors import UsageError
from cxreport.measure.settings import read_settings


@pytest.fixture
def run(project, root: Path):
    """Run the notebook's code cells on the project; returns the Markdown that they show, by cell id."""
    cells = json.loads((root / "notebooks" / "20_measure.ipynb").read_text(encoding="utf-8"))["cells"]

    def run_cells(**parameters: str) -> dict[str, str]:
        names: dict[str, object] = {}
        shown = {}
        for cell in cells:
            if cell["cell_type"] != "code":
                continue
            *body, last = [line for line in "".join(cell["source"]).splitlines() if not line.startswith("#|")]
            exec("\n".join(body), names)
            if last.startswith("Markdown("):
                shown[cell["id"]] = eval(last, names).text
            else:
                exec(last, names)
            if cell["id"] == "parameters":
                names.update(root=str(project.root), **parameters)
        return shown

    return run_cells


@pytest.fixture
def define(project):
    """Write the definition of the monthly report anew: what follows its head."""

    def define_report(text: str) -> None:
        path = project.definitions / "monthly.yml"
        head = path.read_text().split("kpis:")[0]
        path.write_text(
            f"{head}{text}\nsegments: [channel]\npresent: []\ncontact: nobody\nanalyses: {{trend: false}}\n"
        )

    return define_report


def test_notebook_shows_headline_figures_and_counts(run, company, define):
    """By default it measures the newest month and shows its totals and what is hidden."""
    headline = "nps, csat, ces_v2, response_rate, first_response_time, resolution_time"
    define(f"kpis: [{headline}, ces_v1, first_response_time_p90, resolution_time_p90]\nheadline: [{headline}]")
    company(3, 300)
    shown = run()
    assert shown["measure"].startswith("Customer experience, September 2026: ")
    lines = shown["headline"].splitlines()
    assert len(lines) == 2 + 6
    assert lines[2].startswith("| Net Promoter Score | ")
    assert " min | " in lines[-1]
    assert "no earlier figure" in lines[2]
    counted = dict(line.strip("| ").split(" | ", 1) for line in shown["counts"].splitlines()[2:])
    assert len(counted) == 8
    assert " | " in counted["csat"]
    assert "ces\\_v1" not in counted


def test_notebook_hides_small_totals(run, answer, define):
    """A total on eight answers is named and not shown."""
    define("kpis: [nps]\nheadline: [nps]")
    answer("2026-09", "nps", [9] * 8, (0, 10), channel="web")
    assert "| Net Promoter Score | small base |" in run()["headline"]


def test_settings_refuse_unknown_reports_and_periods(project):
    """Before anything is measured."""
    with pytest.raises(UsageError, match="did you mean `monthly`"):
        read_settings("montly", "", str(project.root))
    with pytest.raises(UsageError, match="period `2026-13`"):
        read_settings("monthly", "2026-13", str(project.root))
