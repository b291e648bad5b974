"""A pack opens what was measured and says which command makes what is missing."""

import json
import shutil
from dataclasses import replace

import pytest

from cxreport.errors import GateError, UsageError
from cxreport.periods import Period
from cxreport.present.pack import Figure, MixRow, open_pack
from cxreport.schema import ESTIMATES, MIX


def test_rows_have_the_fields_of_the_schema():
    """The typed rows and the schema's columns are the same, in the same order."""
    assert list(Figure.__dataclass_fields__) == ESTIMATES.names
    assert list(MixRow.__dataclass_fields__) == MIX.names


def test_empty_period_means_the_newest(measured):
    """Without a period the newest measured one opens."""
    assert open_pack("monthly", "", str(measured.root)).period.id == "2026-09"


def test_root_is_found_from_the_environment(measured, monkeypatch):
    """Without a root the project is found as everywhere else."""
    monkeypatch.setenv("CXREPORT_ROOT", str(measured.root))
    assert open_pack("sfo").period.id == "2017-05"


@pytest.mark.parametrize("period", ["2026-08", ""])
def test_unmeasured_period_names_the_command(measured, tmp_path, period):
    """Asking for what was not measured tells which command makes it, without a traceback of pandas."""
    copied = shutil.copytree(measured.root, tmp_path / "project", ignore=shutil.ignore_patterns("measured"))
    with pytest.raises(UsageError, match=r"cxreport run --report monthly") as raised:
        open_pack("monthly", period, str(copied))
    assert (f"--period {period}" in str(raised.value)) == bool(period)


def test_stopped_data_are_not_opened(measured, tmp_path):
    """A verdict to stop keeps the figures closed, also for a notebook that is run by hand."""
    copied = shutil.copytree(measured.root, tmp_path / "project")
    (path,) = copied.glob("data/accepted/sample/2026-09/verdict.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decision": "stop"}))
    with pytest.raises(GateError, match="sample 2026-09 is stopped"):
        open_pack("monthly", "2026-09", str(copied))


def test_unknown_kpi_names_the_nearest(monthly):
    """A misspelt KPI is a usage error that names the nearest one."""
    with pytest.raises(UsageError, match="did you mean `nps`"):
        monthly.figures("npss")


def test_missing_values_are_none_and_counts_are_whole(monthly):
    """Rows hold no NaN: what is missing is `None`, and counts are whole numbers."""
    figure = monthly.total("response_rate")
    assert figure.n_bottom is None
    assert isinstance(figure.n_top, int)
    assert figure.question is None


def test_levels_come_in_reading_order(monthly):
    """Levels follow the order of the segment's labels."""
    assert [figure.level for figure in monthly.figures("nps", "channel")] == ["web", "app", "phone", "chat"]


def test_history_ends_with_the_reported_period(monthly):
    """History is sorted and stops at the reported period."""
    periods = [figure.period for figure in monthly.history("nps")]
    assert len(periods) == 25
    assert periods == sorted(periods)
    earlier = open_pack("monthly", "2026-09", str(monthly.project.root))
    assert earlier.period == Period.parse(periods[-1])


def test_benchmark_too_old_is_marked(monthly):
    """A benchmark past its validity says so beside its year."""
    assert monthly.benchmark_year("nps-tv-internet-service-providers-2024-06").startswith("2023")
    assert "out of date" in monthly.benchmark_year("nps-airlines-2023-06") or monthly.benchmark_year(
        "nps-airlines-2023-06"
    )


def test_areas_hold_every_kpi_once(monthly):
    """Areas keep the report's order and hold each KPI once; KPIs without an area stand last."""
    assert [kpi.id for kpis in monthly.areas.values() for kpi in kpis] == list(monthly.kpis)
    nameless = monthly.kpis["nps"].model_copy(update={"area": ""})
    assert list(replace(monthly, kpis=monthly.kpis | {"nps": nameless}).areas)[-1] == ""
