"""A pack for everybody and one for each audience: the same figures, protected together, and safe names."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cxreport.config import Analyses, Audiences, Report, load_kpis, load_report
from cxreport.engine import read_table
from cxreport.errors import DefinitionError, UsageError
from cxreport.measure import measure
from cxreport.measure.audiences import read_audience, read_audiences
from cxreport.measure.disclosure import SHOWN
from cxreport.periods import Period

AUGUST, SEPTEMBER = Period.parse("2026-08"), Period.parse("2026-09")
SERIES = ["kpi", "period"]
# What a figure says of itself, whichever pack it stands in.
OWN = ["n", "n_eff", "n_top", "n_bottom", "value", "ci_low", "ci_high", "se", "base", "df", "weight_sum", "suppressed"]
HOSTILE = ["../x", 'a "quoted" <b>level</b>', "#set page(width: 1pt)", "=1+1", "北", "a | b", "Ünï cödé/" + "x" * 300]
MANAGERS = """
anna: {title: Anna Larsen, levels: [north, east]}
ben: {title: Ben O'Hara, levels: [east, south]}
cy: {title: Cy, levels: [west]}
"""


@pytest.fixture
def report(project) -> Report:
    """Promoter score, satisfaction and a median by region, channel and language, with a pack for each region."""
    return load_report(project, "monthly").model_copy(
        update={
            "kpis": ["nps", "csat", "resolution_time"],
            "headline": ["nps", "csat"],
            "targets": {"csat": 0.8},
            "segments": ["region", "channel", "language"],
            "mix_segments": ["region", "channel"],
            "analyses": Analyses(consistency={"nps": "channel"}),
            "audiences": Audiences(by="region"),
        }
    )


@pytest.fixture
def managers(project, report) -> Report:
    """The same report with a pack for each manager of regions."""
    path = project.root / "reports" / "audiences" / "managers.yml"
    path.parent.mkdir()
    path.write_text(MANAGERS, encoding="utf-8")
    return with_audiences(report, groups=path.relative_to(project.root))


@pytest.fixture
def narrow(report) -> Report:
    """The same report with the promoter score only, by region and channel."""
    few = {"kpis": ["nps"], "headline": ["nps"], "targets": {}, "mix_segments": [], "analyses": Analyses()}
    return report.model_copy(update={**few, "segments": ["region", "channel"]})


def with_audiences(report: Report, **more: object) -> Report:
    return report.model_copy(update={"audiences": Audiences(by="region", **more)})


def estimates_of(project, report: Report, audience: str = "", period: Period = SEPTEMBER) -> pd.DataFrame:
    return read_table(project.measured(report.id, period, audience) / "estimates.parquet")


def figures(rows: pd.DataFrame, segment: str = "all", level: str = "all") -> pd.DataFrame:
    """Return what the figures of one level say of themselves, by KPI and period."""
    chosen = rows[(rows["segment"] == segment) & (rows["level"] == level)]
    return chosen.set_index(SERIES)[OWN].sort_index()


def move(project, months, regions) -> None:
    """Give the customers of some months other regions."""
    for month in months:
        path = project.accepted("sample", Period.parse(month)) / "customers.parquet"
        rows = pd.read_parquet(path)
        rows.assign(region=rows["region"].map(lambda region: regions.get(region, region))).to_parquet(path)


# --- figures -------------------------------------------------------------------------------------


def test_total_of_an_audience_is_the_level_of_the_whole_to_the_last_digit(project, report, company):
    """Every region's pack holds, for all periods, what everybody's pack says of the region, and its own breakdowns."""
    company(14, 1500)
    whole = measure(project, report, SEPTEMBER)
    audiences = read_audiences(project, report.id, SEPTEMBER)
    assert [(each.id, each.title) for each in audiences] == [
        ("east", "East"),
        ("north", "North"),
        ("south", "South"),
        ("west", "West"),
    ]
    for audience in audiences:
        own = estimates_of(project, report, audience.id)
        pd.testing.assert_frame_equal(figures(own), figures(whole, "region", audience.id), check_dtype=False)
        assert set(own["segment"]) == {"all", "channel", "language"}
        sums = own[(own["kpi"] == "nps") & (own["period"] == SEPTEMBER.id)].groupby("segment")["n"].sum()
        assert sums["channel"] == sums["all"]
    require_breakdowns_of_its_own_rows(project, report)


def require_breakdowns_of_its_own_rows(project, report) -> None:
    """A pack's figures, comparisons and tests of channels are those of a company that has this region only."""
    beside = estimates_of(project, report, "north").set_index(["kpi", "period", "segment", "level"])
    move(project, [SEPTEMBER.id], dict.fromkeys(["east", "south", "west", None]))
    for month in {path.parent.name for path in project.accepted("sample").glob("*/responses.parquet")}:
        folder = project.accepted("sample", Period.parse(month))
        people = pd.read_parquet(folder.parent / SEPTEMBER.id / "customers.parquet").dropna(subset="region")
        for table in ("responses", "tickets"):
            rows = pd.read_parquet(folder / f"{table}.parquet")
            rows[rows["customer_id"].isin(people["customer_id"])].to_parquet(folder / f"{table}.parquet")
        responses = pd.read_parquet(folder / "responses.parquet")
        answers = pd.read_parquet(folder / "answers.parquet")
        answers[answers["response_id"].isin(responses["response_id"])].to_parquet(folder / "answers.parquet")
    narrow = report.model_copy(
        update={"audiences": None, "segments": ["channel"], "mix_segments": ["channel"], "id": "alone"}
    )
    alone = measure(project, narrow, SEPTEMBER).set_index(["kpi", "period", "segment", "level"])
    channels = alone[alone.index.get_level_values("segment") == "channel"]
    same = [*OWN[:-1], "change", "change_ci_low", "p_value", "year_p_value", "apart_p_value", "usual_low"]
    shown = beside.loc[channels.index, "suppressed"] == SHOWN
    assert shown.mean() > 0.9
    pd.testing.assert_frame_equal(
        beside.loc[channels.index][shown.to_numpy()][same], channels[shown.to_numpy()][same], check_dtype=False
    )
    assert channels["apart_p_value"].notna().any()


def test_everybody_reads_the_same_beside_audiences(project, narrow, company):
    """Where no group is small, packs of their own for regions change nothing in everybody's."""
    company(3, 3000)
    alone = measure(project, narrow.model_copy(update={"audiences": None}), SEPTEMBER)
    beside = measure(project, narrow, SEPTEMBER)
    pd.testing.assert_frame_equal(alone, beside)


def test_managers_have_the_figures_of_their_levels(project, managers, company):
    """A manager's base is the sum of the regions', who see them as groups; one with a single region equals it."""
    company(3, 1500)
    whole = measure(project, managers, SEPTEMBER)
    now = whole[whole["period"] == SEPTEMBER.id].set_index(["kpi", "segment", "level"])["n"]
    for audience in ("anna", "ben"):
        levels = read_audience(project, managers.id, SEPTEMBER, audience).levels
        own = estimates_of(project, managers, audience)
        assert {"region", "channel", "language"} < set(own["segment"])
        of_kpi = own[own["period"] == SEPTEMBER.id].set_index(["kpi", "segment", "level"])["n"]
        for kpi in ("nps", "csat", "resolution_time"):
            assert of_kpi[kpi, "all", "all"] == sum(now[kpi, "region", level] for level in levels)
            assert all(of_kpi[kpi, "region", level] == now[kpi, "region", level] for level in levels)
    cy = estimates_of(project, managers, "cy")
    pd.testing.assert_frame_equal(figures(cy), figures(whole, "region", "west"), check_dtype=False)


def test_audience_is_placed_among_the_others(project, report, company):
    """Totals carry their place among five regions and their test against everybody else; others' levels none."""
    for month in company(3, 2000):
        path = project.accepted("sample", Period.parse(month)) / "customers.parquet"
        pd.read_parquet(path).fillna({"region": "central"}).to_parquet(path)
    whole = measure(project, report, SEPTEMBER)
    placed = whole[(whole["segment"] == "region") & (whole["period"] == SEPTEMBER.id)].set_index(["kpi", "level"])
    for audience in read_audiences(project, report.id, SEPTEMBER):
        own = estimates_of(project, report, audience.id)
        totals = own[(own["segment"] == "all") & (own["period"] == SEPTEMBER.id)].set_index("kpi")
        for kpi, total in totals.iterrows():
            expected = placed.loc[(kpi, audience.levels[0])]
            ranks = ["peer_percentile", "peer_low", "peer_high"]
            assert total[ranks].astype(float).tolist() == pytest.approx(
                expected[ranks].astype(float).tolist(), nan_ok=True
            )
            assert total["apart_p_value"] == pytest.approx(expected["apart_p_value"], nan_ok=True)
        assert totals.loc["csat", "target"] == 0.8
        assert totals.loc["csat", "peer_low"] <= totals.loc["csat", "peer_percentile"]


def test_audience_without_answers_in_the_period_still_has_a_pack(project, report, company):
    """A region whose customers answered before and not now has its past and no figure of the period."""
    months = company(3, 1500)
    gone = pd.read_parquet(project.accepted("sample", SEPTEMBER) / "customers.parquet")
    gone = set(gone.loc[gone["region"] == "west", "customer_id"])
    folder = project.accepted("sample", SEPTEMBER)
    for table in ("responses", "tickets"):
        rows = pd.read_parquet(folder / f"{table}.parquet")
        rows[~rows["customer_id"].isin(gone)].to_parquet(folder / f"{table}.parquet")
    kept = set(pd.read_parquet(folder / "responses.parquet")["response_id"])
    answers = pd.read_parquet(folder / "answers.parquet")
    answers[answers["response_id"].isin(kept)].to_parquet(folder / "answers.parquet")
    measure(project, report, SEPTEMBER)
    assert set(estimates_of(project, report, "west")["period"]) == set(months) - {SEPTEMBER.id}


def test_audience_that_is_new_has_no_earlier_figure(project, narrow, company):
    """A region that first occurs this month gets a pack, and earlier packs of it are not asked for."""
    company(2, 1500)
    measure(project, narrow, AUGUST)
    issue(project, narrow, AUGUST)
    names = {path.name for path in (project.output / narrow.id / AUGUST.id).iterdir()}
    assert "central" not in names
    people = pd.read_parquet(project.accepted("sample", SEPTEMBER) / "customers.parquet")
    new = [f"new{i}" for i in range(300)]
    joined = pd.DataFrame({"customer_id": new, "region": "central", "plan": "basic"}).reindex(columns=people.columns)
    folder = project.accepted("sample", SEPTEMBER)
    pd.concat([people, joined], ignore_index=True).to_parquet(folder / "customers.parquet")
    responses = pd.read_parquet(folder / "responses.parquet")
    responses.loc[responses.index[:300], "customer_id"] = new
    responses.to_parquet(folder / "responses.parquet")
    measure(project, narrow, SEPTEMBER)
    own = estimates_of(project, narrow, "central")
    assert set(own["period"]) == {SEPTEMBER.id}
    assert set(own.loc[own["suppressed"] == SHOWN, "verdict"].dropna()) == {"no earlier figure"}


# --- protection ----------------------------------------------------------------------------------


def issue(project, report: Report, period: Period) -> None:
    """Publish the estimates of all packs."""
    target = project.published(report.id, period)
    (target / "all").mkdir(parents=True)
    shutil.copyfile(project.measured(report.id, period) / "estimates.parquet", target / "all" / "estimates.parquet")
    for audience in read_audiences(project, report.id, period):
        folder = project.measured(report.id, period, audience.id)
        (target / audience.id).mkdir()
        for name in ("estimates.parquet", "audience.json"):
            shutil.copyfile(folder / name, target / audience.id / name)


def test_what_an_audience_was_told_stays_as_it_was(project, report, company):
    """Late answers change no issued figure of a region either, and what was hidden stays hidden."""
    company(2, 400)
    measure(project, report, AUGUST)
    issue(project, report, AUGUST)
    told = estimates_of(project, report, "north", AUGUST)
    folder = project.accepted("sample", AUGUST)
    answers = pd.read_parquet(folder / "answers.parquet")
    answers.iloc[5:].to_parquet(folder / "answers.parquet")
    measure(project, report, SEPTEMBER)
    later = estimates_of(project, report, "north")
    keys = ["kpi", "segment", "level"]
    past = later[later["period"] == AUGUST.id].set_index(keys)[OWN].sort_index()
    pd.testing.assert_frame_equal(past, told.set_index(keys)[OWN].sort_index(), check_dtype=False)
    assert (past["suppressed"] != SHOWN).any()


def test_measuring_an_issued_period_again_revises_nothing(project, narrow, company):
    """Figures and benchmarks are what they were, also those of one level, which stands in everybody's pack, too."""
    company(1, 400)
    measure(project, narrow, SEPTEMBER)
    issue(project, narrow, SEPTEMBER)
    measure(project, narrow, SEPTEMBER)
    assert estimates_of(project, narrow, "north")["benchmark_value"].notna().any()
    assert not list(project.measured(narrow.id, SEPTEMBER).rglob("revisions.parquet"))


def test_measuring_again_leaves_no_pack_of_who_is_no_audience(project, narrow, managers, company):
    """Folders of audiences that a definition no longer names are gone; lists and tables of everybody stay."""
    company(1, 400)
    measure(project, narrow, SEPTEMBER)
    measure(project, narrow.model_copy(update={"audiences": managers.audiences}), SEPTEMBER)
    assert [each.id for each in read_audiences(project, narrow.id, SEPTEMBER)] == ["anna", "ben", "cy"]
    measure(project, narrow.model_copy(update={"audiences": None}), SEPTEMBER)
    assert read_audiences(project, narrow.id, SEPTEMBER) == []
    assert (project.measured(narrow.id, SEPTEMBER) / "estimates.parquet").is_file()


def test_analyses_that_count_people_are_made_for_everybody_only(project, report, company):
    """An audience's pack names every analysis of the report and says why it does not hold those."""
    company(14, 400)
    asked = load_report(project, "monthly").analyses.model_copy(
        update={"drivers": None, "churn": None, "personas": None, "link": None, "subgroups": None, "actions": None}
    )
    measure(project, report.model_copy(update={"analyses": asked}), SEPTEMBER)
    said = read_table(project.measured(report.id, SEPTEMBER, "north") / "analyses.parquet").set_index("analysis")
    assert said.loc["journey", "status"] == "not possible"
    assert "small groups" in said.loc["journey", "note"]
    assert said.loc["series", "status"] != "not possible"
    assert not (project.measured(report.id, SEPTEMBER, "north") / "journey.parquet").exists()


# --- names ---------------------------------------------------------------------------------------


def test_hostile_levels_become_plain_folders(project, report, company):
    """Levels with paths, quotes and marks of HTML, Typst and spreadsheets get plain folders and keep their names."""
    months = company(2, 1500)
    random = np.random.default_rng(1)
    for month in months:
        path = project.accepted("sample", Period.parse(month)) / "customers.parquet"
        rows = pd.read_parquet(path)
        rows.assign(region=random.choice(HOSTILE, len(rows))).to_parquet(path)
    measure(project, report, SEPTEMBER)
    audiences = read_audiences(project, report.id, SEPTEMBER)
    assert {each.levels[0] for each in audiences} == {each.title for each in audiences} == set(HOSTILE)
    assert all(each.id.replace("-", "").isascii() and each.id.replace("-", "").isalnum() for each in audiences)
    assert all(len(each.id) <= 60 for each in audiences)
    measured = project.measured(report.id, SEPTEMBER)
    assert {path.parent.parent for path in measured.parent.rglob("audience.json")} == {measured}


@pytest.mark.parametrize("levels", [("North West", "north-west"), ("All", "east"), ("Lists", "east")])
def test_levels_that_would_share_a_folder_are_refused(project, report, company, levels):
    """Two levels with one name for their folders, and names of other folders, stop and say how to name them."""
    months = company(1, 200)
    move(project, months, dict(zip(["north", "east"], levels, strict=True)))
    with pytest.raises(DefinitionError, match=f"`{levels[0]}`.*\n.*\n.*`groups` under `audiences`"):
        measure(project, report, SEPTEMBER)


def test_groups_of_unknown_levels_are_refused_with_the_nearest(project, managers, company):
    """A misspelt level of a group names the file and the level that was meant."""
    company(1, 200)
    path = project.root / managers.audiences.groups
    path.write_text(MANAGERS.replace("south", "suoth"), encoding="utf-8")
    with pytest.raises(DefinitionError, match="level `suoth` of an audience, did you mean `south`"):
        measure(project, managers, SEPTEMBER)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("anna: {levels: [north]}", "`groups.anna.title` is missing"),
        ("anna: {title: A, levels: []}", "at least 1 item"),
        ("anna: {title: A, levels: [north], mail: x}", "unknown key `groups.anna.mail`"),
    ],
)
def test_wrong_files_of_groups_are_refused(project, managers, text, words):
    """Missing and unknown keys of a group name it."""
    (project.root / managers.audiences.groups).write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=words):
        measure(project, managers, SEPTEMBER)


def test_audiences_need_a_segment_of_the_report_and_a_headline_that_it_divides(project, report):
    """Another segment, and one that no headline KPI is measured by, are refused before anything is measured."""
    with pytest.raises(ValueError, match="`audiences` names `plan`, not listed under `segments`"):
        Report.model_validate(report.model_dump() | {"audiences": {"by": "plan"}})
    with pytest.raises(ValueError, match="not a file of the project"):
        Audiences.model_validate({"by": "region", "groups": "../managers.yml"})
    by_network = report.model_copy(
        update={"segments": [*report.segments, "network"], "audiences": Audiences(by="network")}
    )
    with pytest.raises(DefinitionError, match="of which no KPI of `headline` has figures"):
        measure(project, by_network, SEPTEMBER)


def test_unknown_audiences_are_refused_with_the_nearest(project, report, company):
    """A misspelt audience names the one that was meant; a report without any says so."""
    company(1, 200)
    measure(project, report, SEPTEMBER)
    with pytest.raises(UsageError, match="audience `nroth`, did you mean `north`"):
        read_audience(project, report.id, SEPTEMBER, "nroth")
    with pytest.raises(UsageError, match="was measured for everybody only"):
        read_audience(project, report.id, AUGUST, "../all")


def test_committed_definition_gives_every_region_a_pack(project):
    """The shipped report by region divides every KPI that it lists."""
    report = load_report(project, "regional")
    kpis = load_kpis(project, report.kpis)
    assert report.audiences == Audiences(by="region")
    assert {kpi.table for kpi in kpis.values()} <= {
        *("answers", "invitations", "tickets", "customer_periods"),
    }
    assert json.loads(report.model_dump_json())["audiences"]["groups"] is None
