"""What differs between two issues is told by part, and nothing where they are the same."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxreport import cli
from cxreport.config import Project
from cxreport.errors import UsageError
from cxreport.publish import diff
from cxreport.schema import ESTIMATES

RECORD = {
    "report": "monthly",
    "dataset": "sample",
    "period": "2026-09",
    "as_of": "2026-10-02",
    "language": "en",
    "title": "Customer experience",
    "organisation": "Halden",
    "decision": "publish",
    "parameters": {"30_page": {"period": "2026-09"}},
    "inputs": {
        "definitions": {"reports/kpis/nps.yml": "a", "notebooks/30_page.ipynb": "b"},
        "feeds": {"survey/s.csv": "c"},
    },
    "measured": {"data/measured/monthly/2026-09/mix.parquet": "d"},
    "outputs": {"all/report.html": "e", "all/report.pdf": "f"},
    "software": {"python": "3.11.7", "packages": {"numpy": "2.0"}, "renderer": {"name": "embedded"}},
}
ROWS = [
    {"segment": "all", "level": "all", "n": 120, "value": 30.0, "suppressed": "no"},
    {"segment": "region", "level": "north", "n": 40, "value": 12.5, "suppressed": "no"},
    {"segment": "region", "level": "east", "n": None, "value": None, "suppressed": "small base"},
]


def issue(folder: Path, rows=ROWS, **changes) -> Path:
    """Write an issue as it is published; returns its folder."""
    pack = folder / "all"
    pack.mkdir(parents=True)
    for name in ("report.html", "report.pdf"):
        (pack / name).touch()
    (folder / "run.json").write_text(json.dumps(RECORD | changes))
    frame = pd.DataFrame(rows).assign(kpi="nps", period="2026-09").reindex(columns=ESTIMATES.names)
    pq.write_table(pa.Table.from_pandas(frame, schema=ESTIMATES, preserve_index=False), pack / "estimates.parquet")
    return folder


@pytest.fixture
def project(tmp_path) -> Project:
    """A project with one issue."""
    project = Project(tmp_path / "project")
    project.definitions.mkdir(parents=True)
    issue(project.output / "monthly" / "2026-09")
    return project


@pytest.fixture
def compared(project, tmp_path):
    """Return a function that compares the project's issue with one of a clone, as (part, change, name, how)."""

    def compared(rows=ROWS, **changes):
        clone = issue(tmp_path / "clone" / "monthly" / "2026-09", rows, **changes)
        before, now = diff.find(project, "monthly/2026-09"), diff.find(project, str(clone))
        return [(each.part, each.change, each.name, each.how) for each in diff.differences(before, now)]

    return compared


def test_same_issue_at_another_path_and_time_does_not_differ(compared):
    """Neither the folder nor the time of the run is a difference."""
    assert compared(started="2026-10-03T01:02:03+00:00", finished="2026-10-03T01:03:03+00:00") == []


def test_figures_that_moved_are_told_one_by_one(compared):
    """KPI, period and group with what was and is; a hidden group that appears; those of one issue are counted."""
    moved = [
        ROWS[0] | {"n": 121, "value": 31.25},
        ROWS[2] | {"n": 11, "value": 5.0, "suppressed": "no"},
        {"segment": "region", "level": "west", "n": 50, "value": 1.0, "suppressed": "no"},
    ]
    assert compared(moved) == [
        ("figures", "changed", "all: nps, 2026-09", "value 30, now 31.25; n 120, now 121"),
        (
            "figures",
            "changed",
            "all: nps, 2026-09, region east",
            "value none, now 5; n none, now 11; suppressed small base, now no",
        ),
        ("figures", "added", "all: nps, 2026-09", "figures: 1"),
        ("figures", "removed", "all: nps, 2026-09", "figures: 1"),
    ]


FILES = {"all/report.html": "x", "all/slides.pptx": "y"}
OTHER = {"definitions": {"reports/kpis/nps.yml": "a"}, "feeds": {"survey/s.csv": "x"}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"outputs": FILES},
            {
                ("pages", "changed", "all/report.html"),
                ("pages", "removed", "all/report.pdf"),
                ("pages", "added", "all/slides.pptx"),
            },
        ),
        ({"measured": {"data/measured/monthly/2026-09/mix.parquet": "x"}}, {("tables", "changed", "mix.parquet")}),
        (
            {"inputs": OTHER},
            {("definitions", "removed", "notebooks/30_page.ipynb"), ("inputs", "changed", "survey/s.csv")},
        ),
        ({"parameters": {"30_page": {"period": "2026-09", "n": 2}}}, {("parameters", "added", "30_page n")}),
        ({"as_of": "2026-10-03"}, {("parameters", "changed", "as_of")}),
        ({"software": RECORD["software"] | {"packages": {"numpy": "3"}}}, {("software", "changed", "packages numpy")}),
    ],
)
def test_what_the_records_tell_apart_is_named(compared, change, expected):
    """Files whose hashes differ, delivered files, definitions, parameters and versions."""
    assert {found[:3] for found in compared(**change)} == expected


def test_command_tells_counts_then_details_and_exits_with_1(project, tmp_path, capsys):
    """First how many, then which; 0 where nothing differs."""
    clone = issue(tmp_path / "clone" / "monthly" / "2026-09", as_of="2026-10-03", dataset="other")
    arguments = ["diff", "--project", str(project.root), "monthly/2026-09"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, str(clone)])
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        "parameters:  2 changed",
        "",
        "parameters",
        "  changed as_of: 2026-10-02, now 2026-10-03",
        "  changed dataset: sample, now other",
    ]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "monthly/2026-09"])
    assert not ended.value.code
    assert capsys.readouterr().out == "Nothing differs\n"


def test_issues_that_are_none_are_wrong_use(project, tmp_path):
    """An unknown period, and a folder with a record under a name of its own."""
    with pytest.raises(UsageError, match="no published issue of `monthly` for `2026-08`"):
        diff.find(project, "monthly/2026-08")
    renamed = shutil.move(issue(tmp_path / "clone" / "monthly" / "2026-09"), tmp_path / "saved")
    with pytest.raises(UsageError, match="no whole issue"):
        diff.find(project, str(renamed))
