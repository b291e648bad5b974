"""Definition files: unknown keys, contradictions and slips are found, all at once, with file and key."""

import shutil

import pytest
import yaml

from cxreport.config import Project, load_dataset, load_kpis, load_report, load_segments
from cxreport.errors import DefinitionError, UsageError


@pytest.fixture
def project(root, tmp_path):
    """A copy of the project's definitions that a test may break."""
    shutil.copytree(root / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("output"))
    return Project(tmp_path)


def change(path, **changes):
    """Rewrite a YAML file with keys set, or removed where the value is None."""
    content = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


def test_committed_definitions_load(project):
    """Every report, dataset, KPI and segment that is committed is sound and refers to what exists."""
    for path in project.definitions.glob("*.yml"):
        report = load_report(project, path.stem)
        load_dataset(project, report.dataset)
        assert list(load_kpis(project, report.kpis)) == report.kpis
        assert list(load_segments(project, report.segments)) == report.segments


def test_unknown_key_names_the_file_and_the_nearest_key(project):
    """A misspelt key is refused with the key that was probably meant."""
    change(project.kpis / "nps.yml", minimun_base={"warn": 30})
    with pytest.raises(
        DefinitionError, match=r"reports/kpis/nps\.yml: unknown key `minimun_base`, did you mean `minimum_base`\?"
    ):
        load_kpis(project, ["csat"])


def test_nested_unknown_key_is_found(project):
    """Unknown keys inside a part of a definition are found too."""
    change(project.kpis / "nps.yml", minimum_base={"warm": 30})
    with pytest.raises(DefinitionError, match=r"unknown key `minimum_base\.warm`, did you mean `warn`\?"):
        load_kpis(project)


def test_all_problems_are_reported_together(project):
    """Problems of several files come in one message."""
    change(project.kpis / "nps.yml", top=[9, 12], title=None)
    change(project.kpis / "csat.yml", unit="points")
    with pytest.raises(DefinitionError) as caught:
        load_kpis(project)
    assert "reports/kpis/nps.yml: key `title` is missing" in str(caught.value)
    assert "reports/kpis/csat.yml: a `share` has the unit `percent`, not `points`" in str(caught.value)


@pytest.mark.parametrize(
    ("kpi", "changes", "message"),
    [
        ("nps", {"bottom": [5, 9]}, "`top` and `bottom` overlap at [9.0]"),
        ("nps", {"top": [9, 11]}, "[11.0] lie outside the scale 0 to 10"),
        ("nps", {"scale": {"low": 10, "high": 0, "good": "high"}}, "the low end must be below the high end"),
        ("nps", {"bottom": None}, "a `net` needs `bottom`"),
        ("nps", {"interval": "wilson"}, "a `net` has the interval `adjusted_wald`, not `wilson`"),
        ("resolution_time", {"quantile": None}, "a `quantile` needs `quantile`"),
        ("nps", {"minimum_base": {"warn": 5, "suppress": 10}}, "suppress (10) must not exceed warn (5)"),
        ("resolution_time", {"open_cases": "censored"}, "`open_cases: censored` needs `age`"),
        ("resolution_time", {"interval": "greenwood"}, "a `quantile` has the interval `greenwood` with"),
        ("net_revenue_retention", {"ratio": None}, "a `ratio` needs `ratio`"),
        ("resolved_within_24_hours", {"at": None}, "a `survival` needs `at`"),
        ("backlog", {"scale": {"low": 0, "high": 9, "good": "low"}}, "a `count` does not use `scale`"),
        ("lifetime_value", {"months": None}, "a `value` needs `months`"),
        ("service_cost", {"unit": "percent"}, "a `mean` has the unit"),
        ("success_effort_emotion", {"cluster": None}, "`parts` needs `cluster`"),
        ("success_effort_emotion", {"where": {"metric": "success"}}, "`parts` needs a list of the values of `metric`"),
        ("nps", {"baseline": {"first": "2026-05", "last": "2026-01"}}, "which lies before it"),
        ("nps", {"denominator": None}, "key `denominator` is missing"),
        ("nps", {"next_review": "2000-01-01"}, "`next_review` lies before `reviewed`"),
        ("nps", {"quantile": 0.5}, "a `net` does not use `quantile`"),
        ("nps", {"counts": "response_id"}, "a `net` does not use `counts`"),
        ("csat", {"bottom": [1]}, "a `share` does not use `bottom`"),
        ("csat", {"open_cases": "longer"}, "a `share` does not use `open_cases`"),
        ("response_rate", {"top": [5]}, "a `share` with `counts` does not use `top`"),
        ("ces_v2", {"top": [6, 7]}, "a `mean` does not use `top`"),
        ("resolution_time", {"weight": "weight"}, "a `quantile` does not use `weight`"),
        ("resolution_time", {"scale": {"low": 0, "high": 9, "good": "low"}}, "a `quantile` does not use `scale`"),
        ("nps", {"zero_denominator": "no figure"}, "unknown key `zero_denominator`"),
        ("ces_v2", {"higher_is_better": False}, "the good end of `scale` is `high`, but `higher_is_better` says that"),
        ("ces_v1", {"higher_is_better": True}, "the good end of `scale` is `low`, but `higher_is_better` says that"),
    ],
)
def test_contradictions_within_a_kpi_are_refused(project, kpi, changes, message):
    """What cannot be computed as written is refused before anything is computed."""
    change(project.kpis / f"{kpi}.yml", **changes)
    with pytest.raises(DefinitionError) as caught:
        load_kpis(project)
    assert message in str(caught.value)


def test_kpi_is_based_on_another(project):
    """A file of a few lines takes the rest from the KPI it is based on, but for what is true of that one only."""
    path = project.kpis / "csat_phone.yml"
    path.write_text(
        "based_on: csat\ntitle: CSAT on the phone\nshort: Phone\nwhere: {metric: csat, channel: phone}\n"
        "reports: [weekly, monthly]\n"
    )
    kpis = load_kpis(project)
    own, base = kpis["csat_phone"], kpis["csat"]
    same = set(type(base).model_fields) - {"id", "based_on", "title", "short", "where", "reports", "benchmarks"}
    assert {name: getattr(own, name) for name in same} == {name: getattr(base, name) for name in same}
    assert (own.title, own.benchmarks, own.reports) == ("CSAT on the phone", [], ["weekly", "monthly"])
    change(path, based_on="csatt")
    with pytest.raises(DefinitionError, match=r"csat_phone\.yml: `based_on` names `csatt`, did you mean `csat`\?"):
        load_kpis(project)
    change(path, based_on="csat", top=[9])
    with pytest.raises(DefinitionError, match=r"csat_phone\.yml: .*scale"):
        load_kpis(project)
    change(path, based_on="csat", top=None)
    change(project.kpis / "csat_mean.yml", based_on="csat_phone")
    with pytest.raises(DefinitionError, match=r"csat_mean\.yml: .*which is based on another one itself"):
        load_kpis(project)


def test_kpis_and_segments_name_the_reports_that_show_them(project):
    """What names a report stands behind what the report lists, once; a report that does not exist is refused."""
    listed = load_report(project, "regional")
    change(project.kpis / "csat_top_box.yml", reports=["regional", "sfo"])
    change(project.kpis / "csat.yml", reports=["regional"])
    content = yaml.safe_load(project.segments.read_text())
    own = {"id": "kind", "title": "Kind of survey", "column": "kind", "reports": ["regional"]}
    project.segments.write_text(yaml.safe_dump({"segments": [*content["segments"], own]}))
    report = load_report(project, "regional")
    assert report.kpis == [*listed.kpis, "csat_top_box"]
    assert report.segments == [*listed.segments, "kind"]
    change(project.kpis / "csat.yml", reports=["regionl"])
    with pytest.raises(DefinitionError, match="`csat` names the report `regionl`, did you mean `regional`"):
        load_report(project, "monthly")


def test_segment_given_twice_is_refused(project):
    """The second one would replace the first in silence."""
    content = yaml.safe_load(project.segments.read_text())
    content["segments"].append(content["segments"][0])
    project.segments.write_text(yaml.safe_dump(content))
    with pytest.raises(DefinitionError, match=r"segment `region` stands twice in reports/segments\.yml"):
        load_segments(project)


def test_key_given_twice_is_refused(project):
    """YAML would keep the second value in silence."""
    path = project.kpis / "nps.yml"
    path.write_text(path.read_text() + "\ntitle: another title\n")
    with pytest.raises(DefinitionError, match="key `title` stands twice"):
        load_kpis(project)


def test_unreadable_yaml_is_refused(project):
    """A broken file is named, with the place of the break."""
    (project.kpis / "nps.yml").write_text("title: [")
    with pytest.raises(DefinitionError, match=r"nps\.yml: cannot be read as YAML"):
        load_kpis(project)


def test_unknown_report_names_the_nearest(project):
    """Asking for a report that has no file is wrong use."""
    with pytest.raises(UsageError, match="report `montly`, did you mean `monthly`"):
        load_report(project, "montly")


def test_headline_must_be_measured(project):
    """A card cannot show a KPI that the report does not compute."""
    change(project.definitions / "monthly.yml", headline=["nps", "revenue"])
    with pytest.raises(DefinitionError, match="`headline` names `revenue`, not listed under `kpis`"):
        load_report(project, "monthly")


def test_unknown_time_zone_is_refused(project):
    """A zone outside the IANA list is refused."""
    change(project.datasets / "sample.yml", time_zone="Mars/Olympus")
    with pytest.raises(DefinitionError, match="`Mars/Olympus` is no IANA time zone"):
        load_dataset(project, "sample")


@pytest.mark.parametrize("pattern", ["", "/data/*.csv", "../*.csv", "desk/**.csv"])
def test_feed_lies_below_the_folder_of_its_dataset(project, pattern):
    """A pattern that leaves the folder, or that no folder can be searched by, is refused with its key."""
    path = project.datasets / "sample.yml"
    feeds = yaml.safe_load(path.read_text())["feeds"]
    change(path, feeds=[feeds[0] | {"files": pattern}, *feeds[1:]])
    with pytest.raises(DefinitionError, match=r"sample\.yml: `feeds\.0\.files`: no pattern below"):
        load_dataset(project, "sample")


def test_unknown_segment_and_kpi_are_named(project):
    """Segments and KPIs that a report names must exist."""
    with pytest.raises(DefinitionError, match=r"segment `regoin` is not in .*, did you mean `region`"):
        load_segments(project, ["regoin"])
    with pytest.raises(DefinitionError, match="KPI `npss` has no file, did you mean `nps`"):
        load_kpis(project, ["npss"])


def test_project_is_found_from_a_folder_inside(project, monkeypatch):
    """Any folder of the project leads to its root; outside there is none."""
    monkeypatch.delenv("CXREPORT_ROOT", raising=False)
    assert Project.find(project.kpis) == project
    with pytest.raises(UsageError, match="no project here or in a parent folder"):
        Project.find(project.root.parent.parent)
