"""Benchmarks and targets: what fits, what is refused, what is met."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from cxreport.config import load_dataset, load_report
from cxreport.errors import DefinitionError
from cxreport.measure.benchmarks import build_reference, judge_benchmarks, metric_of, read_benchmarks
from cxreport.measure.targets import check_targets, status
from cxreport.periods import Period

SEPTEMBER = Period.parse("2026-09")
TELECOMS, AIRLINES = "nps-tv-internet-service-providers-2024-06", "nps-airlines-2023-06"


def test_committed_benchmarks_are_what_the_collection_builds(shared, project, tmp_path):
    """Nobody edits the file by hand."""
    build_reference(shared / "reference" / "benchmarks.csv", tmp_path / "built.csv")
    assert (tmp_path / "built.csv").read_bytes() == project.benchmarks.read_bytes()


def test_every_benchmark_states_its_source(project):
    """Metric, value, source, address, licence and grade are there, and ids are unique."""
    benchmarks = read_benchmarks(project)
    assert benchmarks.index.is_unique
    stated = benchmarks[["metric", "industry", "period", "source", "source_address", "licence", "grade"]]
    assert (stated != "").all(axis=None)
    assert benchmarks["value"].notna().all()
    assert all(date.fromisoformat(text) for text in benchmarks["valid_until"] if text)


def test_benchmark_of_the_industry_fits_and_others_are_refused(kpis, project):
    """For the sample company one of two, for the airport none."""
    benchmarks = read_benchmarks(project)
    fits = {
        dataset: {
            one.id: one.reason
            for one in judge_benchmarks(kpis["nps"], load_dataset(project, dataset), SEPTEMBER, benchmarks)
        }
        for dataset in ("sample", "sfo")
    }
    assert fits["sample"] == {TELECOMS: "", AIRLINES: "it is of airlines, not tv/internet service providers"}
    assert fits["sfo"] == {
        TELECOMS: "it is of tv/internet service providers, not airports",
        AIRLINES: "it is of airlines, not airports",
    }


def test_benchmark_of_another_geography_is_refused(kpis, project):
    """A figure of US consumers does not stand beside one of another country, nor beside an unstated one."""
    sample, benchmarks = load_dataset(project, "sample"), read_benchmarks(project)
    for geography, reason in (("us consumers", ""), ("UK", "it covers US consumers, not UK"), ("", "not unstated")):
        judged = judge_benchmarks(
            kpis["nps"], sample.model_copy(update={"geography": geography}), SEPTEMBER, benchmarks
        )
        assert judged[0].reason.endswith(reason)
        assert judged[0].fits is (not reason)


def test_top_box_is_no_benchmark_for_top_two(kpis, project):
    """Another box, another metric, whatever the industry."""
    telecoms = load_dataset(project, "sample").model_copy(update={"industry": "telco call centres"})
    (judged,) = judge_benchmarks(kpis["csat"], telecoms, SEPTEMBER, read_benchmarks(project))
    assert judged.reason == "it measures csat_top_box, not csat_top_2_box"
    top_box = kpis["csat"].model_copy(update={"top": [5]})
    assert metric_of(top_box) == "csat_top_box"


def test_net_on_another_scale_is_refused(kpis, project):
    """A promoter score asked from 1 to 10 is none."""
    odd = kpis["nps"].model_copy(update={"scale": kpis["nps"].scale.model_copy(update={"low": 1})})
    judged = judge_benchmarks(odd, load_dataset(project, "sample"), SEPTEMBER, read_benchmarks(project))
    assert judged[0].reason == "its scale is 0-10, not 1-10"


@pytest.mark.parametrize(("period", "is_stale"), [("2026-09", False), ("2026-12", True), ("2027-01", True)])
def test_benchmark_is_stale_after_three_years(period, is_stale, kpis, project):
    """A study of 2023 holds through the months that end within 2026."""
    judged = judge_benchmarks(
        kpis["nps"], load_dataset(project, "sample"), Period.parse(period), read_benchmarks(project)
    )
    assert judged[0].is_stale is is_stale


def test_unknown_benchmark_names_the_nearest(kpis, project):
    """A typing error in a KPI file is found."""
    wrong = kpis["nps"].model_copy(update={"benchmarks": [TELECOMS.replace("tv", "tb")]})
    with pytest.raises(DefinitionError, match=f"did you mean `{TELECOMS}`"):
        judge_benchmarks(wrong, load_dataset(project, "sample"), SEPTEMBER, read_benchmarks(project))


@pytest.mark.parametrize(
    ("kpi", "interval", "expected"),
    [
        ("nps", (31, 40), "target met"),
        ("nps", (30, 40), "target met"),
        ("nps", (20, 29), "target missed"),
        ("nps", (25, 35), "not distinguishable from target"),
        ("resolution_time", (19, 29), "target met"),
        ("resolution_time", (31, 40), "target missed"),
        ("resolution_time", (25, 35), "not distinguishable from target"),
    ],
)
def test_status_follows_the_good_direction(kpi, interval, expected, kpis):
    """Against a target of 30: high is good for a score, low for a waiting time."""
    figures = pd.DataFrame({"ci_low": interval[:1], "ci_high": interval[1:]})
    assert status(figures, kpis[kpi], 30).item() == expected


def test_no_interval_has_no_status(kpis):
    """What is not known cannot be met or missed."""
    assert status(pd.DataFrame({"ci_low": [np.nan], "ci_high": [np.nan]}), kpis["nps"], 30).isna().all()


def test_target_out_of_reach_is_refused(kpis, project):
    """A share of 80 instead of 0.80, and a net of 130."""
    report = load_report(project, "monthly").model_copy(update={"targets": {"csat": 80, "nps": 130, "ces_v2": 5}})
    with pytest.raises(DefinitionError, match="target 80 of `csat` lies outside 0 to 1; target 130 of `nps`"):
        check_targets(report, kpis)
