"""Figures that were issued and would be others today are told with their cause, and never tell of a few answers."""

import json

import numpy as np
import pandas as pd
import pytest

from cxreport.config import Project
from cxreport.errors import DefinitionError, GateError
from cxreport.measure.accounts import Account, Issued
from cxreport.measure.revisions import (
    Past,
    Statement,
    benchmark_revisions,
    find_revisions,
    read_statements,
    write_revisions,
)
from cxreport.periods import Period
from cxreport.schema import REVISIONS

AUGUST, SEPTEMBER = Period.parse("2026-08"), Period.parse("2026-09")
SAME = Account(is_known=True, kpis=frozenset(), definitions=False, files=False, software=False)
TOTAL = {"segment": "all", "level": "all"}
NONE_BESIDE = pd.DataFrame(columns=["kpi", "question", "segment", "level", "period", "n"])


def figures(*rows, kpi="nps", period="2026-08") -> pd.DataFrame:
    """Return estimates, each given by what it differs in from a total of 30 points on 400 answers."""
    usual = {"kpi": kpi, "question": "", "period": period, **TOTAL, "n": 400, "n_top": 200, "n_bottom": 80}
    usual |= {"value": 30.0, "ci_low": 25.0, "ci_high": 35.0, "suppressed": "no", "benchmark_value": np.nan}
    return pd.DataFrame([usual | row for row in rows])


@pytest.fixture
def find(kpis):
    """Return a function that finds the revisions of figures that August's issue told."""

    def find(then, today, *, account=SAME, period=SEPTEMBER, is_everybody=True, **past):
        issued = [Issued(AUGUST, account, then)]
        known = {"revised": pd.DataFrame(columns=REVISIONS.names), "beside": NONE_BESIDE, "late": {}, "statements": {}}
        chosen = {name: kpis[name] for name in ("nps", "csat", "resolution_time")}
        return find_revisions(
            today, [then], Past(issued, **known | past), chosen, period, is_everybody=is_everybody
        ).to_dict("records")

    return find


LESS_SURE = {"ci_low": 20.0}


@pytest.mark.parametrize(
    ("changes", "today", "causes"),
    [
        ({"late": {"2026-08": 3}}, {"value": 31.0}, "late_answers"),
        ({}, {"n": 450, "value": 31.0}, "late_answers"),
        ({}, {"n": 350, "value": 31.0}, "removed_rows"),
        ({"kpis": frozenset({"nps"})}, {"value": 31.0}, "definition"),
        ({"kpis": frozenset({"nps"})}, {"n": 450, "value": 31.0}, "definition; late_answers"),
        ({"definitions": True}, {"value": 31.0}, "definitions"),
        ({"files": True}, {"value": 31.0}, "delivered_files"),
        ({"software": True}, LESS_SURE, "software"),
        ({"is_known": False}, {"value": 31.0}, "no_account"),
    ],
)
def test_every_figure_that_moved_has_its_cause(find, changes, today, causes):
    """What the figures show comes before what may be behind anything; an interval that moved counts as well."""
    late = {name: changes[name] for name in ("late",) if name in changes}
    account = Account(**vars(SAME) | {name: each for name, each in changes.items() if name != "late"})
    [row] = find(figures({}), figures(today), account=account, **late)
    assert row["cause"] == causes


def test_cases_are_followed_beyond_their_month(find):
    """A case of August that was closed in September moves August's figure; August's issue itself has no such excuse."""
    then, today = (figures({"value": value}, kpi="resolution_time") for value in (100.0, 110.0))
    assert find(then, today)[0]["cause"] == "later_events"
    with pytest.raises(GateError):
        find(then, today, period=AUGUST)


def test_unchanged_hidden_and_new_figures_are_no_revisions(find):
    """Neither rounding of the last digits, nor what was hidden, nor a group or KPI that nobody was told of."""
    hidden = {"segment": "region", "level": "north", "suppressed": "small base", "value": np.nan, "n": np.nan}
    then = figures({}, hidden)
    new = {"segment": "region", "level": "south", "n": 50}
    today = figures({"value": 30.0 + 1e-12}, hidden | {"n": 90, "value": 10.0}, new)
    assert find(then, pd.concat([today, figures({"value": 9.0}, kpi="csat")])) == []


def test_silent_movement_is_refused_unless_a_reason_is_stated(find):
    """The message names KPI and period and no figure; a stated reason is shown with who found it."""
    with pytest.raises(GateError) as refused:
        find(figures({}), figures({"value": 31.5}))
    assert "`nps` of 2026-08" in refused.value.found
    assert "31" not in str(refused.value)
    assert "reports/revisions.yml" in refused.value.do
    stated = Statement(kpi="nps", period="2026-08", reason="Scale was read upside down", by="Ann", date="2026-10-01")
    [row] = find(figures({}), figures({"value": 31.5}), statements={("nps", "2026-08"): stated})
    assert (row["cause"], row["reason"]) == ("stated", "Scale was read upside down (Ann, 2026-10-01)")


# --- nothing tells of a few answers ---


def told(rows):
    """Return the pairs that revisions tell."""
    return [(row["was"], row["now"], row["n_was"], row["n_now"]) for row in rows]


HIDDEN = (pytest.approx(np.nan, nan_ok=True),) * 4


@pytest.mark.parametrize(("n", "is_told"), [(401, False), (409, False), (410, True), (391, False), (390, True)])
def test_pair_is_told_where_no_few_answers_came_or_went(find, n, is_told):
    """One late answer could be worked out from two bases and two values; ten are no small group."""
    [row] = find(figures({}), figures({"n": n, "value": 31.0}))
    assert told([row]) == [(30.0, 31.0, 400.0, n) if is_told else HIDDEN]
    assert row["direction"] == "rose"


def test_groups_are_counted_and_never_told(find):
    """Which groups moved would tell who answered late, also where the total alone would not."""
    north, south = ({"segment": "region", "level": level, "n": 150} for level in ("north", "south"))
    [row] = find(
        figures({}, north, south), figures({"n": 401, "value": 31.0}, north | {"n": 151, "value": 40.0}, south)
    )
    assert row["n_groups"] == 1
    assert not {"north", "south"} & set(map(str, row.values()))


def test_pairs_of_kpis_on_the_same_answers_are_told_together_or_not_at_all(kpis):
    """Of 20 and 19 late answers, one could be worked out; of 20 and 20, none."""
    same = kpis["csat"].model_copy(update={"where": kpis["nps"].where})
    kpis = {"nps": kpis["nps"], "csat": same}
    then = pd.concat([figures({}), figures({}, kpi="csat")])
    for n, expected in ((419, [HIDDEN, HIDDEN]), (420, [(30.0, 31.0, 400.0, 420.0)] * 2)):
        today = pd.concat([figures({"n": 420, "value": 31.0}), figures({"n": n, "value": 31.0}, kpi="csat")])
        past = Past([Issued(AUGUST, SAME, then)], pd.DataFrame(columns=REVISIONS.names), NONE_BESIDE, {}, {})
        found = find_revisions(today, [then], past, kpis, SEPTEMBER, is_everybody=True)
        assert told(found.to_dict("records")) == expected


def test_pairs_of_later_issues_are_held_against_those_of_earlier_ones(find):
    """October tells no base that differs by a few from the one that September told."""
    september = pd.DataFrame([{"kpi": "nps", "question": "", "period": "2026-08", "n_was": 400, "n_now": 420}])
    for n, expected in ((421, HIDDEN), (420, (30.0, 31.0, 400.0, 420.0)), (430, (30.0, 31.0, 400.0, 430.0))):
        rows = find(figures({}), figures({"n": n, "value": 31.0}), revised=september)
        assert told(rows) == [expected]


def test_pair_is_not_told_beside_reports_of_other_periods_or_to_an_audience(find):
    """A quarter that holds the month, or everybody's total, less the pair would leave others' few answers."""
    today = figures({"n": 440, "value": 31.0})
    quarter = pd.DataFrame([{"kpi": "nps", "question": "", **TOTAL, "period": "2026-Q3", "n": 1200}])
    assert told(find(figures({}), today, beside=quarter)) == [HIDDEN]
    assert told(find(figures({}), today, is_everybody=False)) == [HIDDEN]
    assert told(find(figures({}), today, beside=quarter.assign(period="2025-Q3"))) != [HIDDEN]


@pytest.mark.parametrize("changed", [{}, {"files": True}, {"definitions": True}, {"late": {"2026-08": 1}}])
def test_pair_on_the_same_rows_is_told(find, changed):
    """A definition that changed tells of no answers, unless some may have come, gone or been corrected as well."""
    account = Account(**vars(SAME) | {"kpis": frozenset({"nps"})} | {k: v for k, v in changed.items() if k != "late"})
    rows = find(figures({}), figures({"value": 31.0}), account=account, late=changed.get("late", {}))
    assert told(rows) == [HIDDEN if changed else (30.0, 31.0, 400.0, 400.0)]


def test_total_that_is_hidden_or_gone_today_is_not_told(find):
    """Too few answers are left, or none."""
    assert told(find(figures({}), figures({"n": 9, "value": 31.0}))) == [HIDDEN]
    [row] = find(figures({}, {"segment": "region", "level": "north"}), figures({"segment": "region", "level": "north"}))
    assert (row["direction"], row["cause"]) == ("gone", "removed_rows")


def test_benchmark_that_was_replaced_is_told():
    """A published benchmark protects nobody: what it was and is."""
    then = figures({"benchmark_value": 20.0}, {"segment": "region", "level": "north"}, period="2026-09")
    now = figures({"benchmark_value": 24.0}, period="2026-09")
    [row] = benchmark_revisions(now, [then], SEPTEMBER).to_dict("records")
    assert (row["was"], row["now"], row["direction"], row["cause"]) == (20.0, 24.0, "rose", "benchmark")
    assert benchmark_revisions(now, [now], SEPTEMBER).empty


def test_benchmark_of_an_audience_of_one_level_is_the_one_that_everybody_was_told():
    """What is told of one level stands in everybody's pack as a group, without a benchmark."""
    own = figures({"benchmark_value": 9.0}, period="2026-09")
    told = figures({"benchmark_value": 9.0}, {"segment": "region", "level": "north"}, period="2026-09")
    assert benchmark_revisions(own, [told], SEPTEMBER).empty
    [row] = benchmark_revisions(own.assign(benchmark_value=10.0), [told], SEPTEMBER).to_dict("records")
    assert (row["was"], row["now"]) == (9.0, 10.0)
    [row] = benchmark_revisions(own, [told.assign(benchmark_value=np.nan)], SEPTEMBER).to_dict("records")
    assert (row["direction"], row["now"]) == ("replaced", 9.0)


# --- files ---


def test_stated_reasons_are_read_and_checked(project):
    """By KPI and period; an unknown KPI is an error that names the nearest."""
    assert read_statements(project) == {}
    lines = "revisions:\n- {kpi: nps, period: 2026-08, reason: A, by: B, date: 2026-10-01}\n"
    project.revisions.write_text(lines)
    assert read_statements(project)["nps", "2026-08"].reason == "A"
    project.revisions.write_text(lines.replace("nps", "npx"))
    with pytest.raises(DefinitionError, match="did you mean `nps`"):
        read_statements(project)


def test_table_is_there_only_where_something_moved(project, find):
    """A later measurement without a revision removes it."""
    path = project.measured("monthly", SEPTEMBER) / "revisions.parquet"
    rows = pd.DataFrame(find(figures({}), figures({"n": 401, "value": 31.0})))
    write_revisions(project, "monthly", SEPTEMBER, "", [rows])
    assert pd.read_parquet(path).columns.tolist() == REVISIONS.names
    write_revisions(project, "monthly", SEPTEMBER, "", [rows.head(0)])
    assert not path.exists()


@pytest.mark.parametrize(
    ("part", "name", "told"),
    [
        ("definitions", "reports/kpis/nps.yml", {"kpis": frozenset({"nps"})}),
        ("definitions", "reports/segments.yml", {"definitions": True}),
        ("definitions", "reports/definitions/monthly.yml", {"definitions": True}),
        ("definitions", "notebooks/30_page.ipynb", {}),
        ("feeds", "survey/august.csv", {"files": True}),
    ],
)
def test_account_is_compared_with_what_is_there(root, project, part, name, told):
    """A KPI, another definition, or a delivered file that has changed or gone; pages change no figure."""
    feeds = {"survey": {"files": [{"name": "september.csv", "sha256": "b"}]}}
    project.staged("sample").mkdir(parents=True)
    (project.staged("sample") / "feeds.json").write_text(json.dumps(feeds))
    record = {"inputs": {"definitions": {}, "feeds": {}}, "software": {"python": "2.7"}}
    record["inputs"][part] = {name: "a"}
    found = Account.of(record, project, "sample")
    assert vars(found) == vars(SAME) | told | {"software": True}
    assert not Account.of({}, Project(root), "sample").is_known


def test_kpi_changes_with_the_one_that_it_is_based_on(kpis):
    """It inherits what that one's file says."""
    based = kpis["nps"].model_copy(update={"based_on": "csat"})
    account = Account(**vars(SAME) | {"kpis": frozenset({"csat"})})
    assert account.changed(based)
    assert not account.changed(kpis["nps"])
