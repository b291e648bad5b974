"""A whole report, from accepted Parquet to the table of estimates."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cxreport.config import Analyses, Report, load_kpis, load_report
from cxreport.errors import DefinitionError, UsageError
from cxreport.measure import latest_period, measure, read_estimates
from cxreport.measure.compare import net_change
from cxreport.measure.show import headline
from cxreport.periods import Period
from cxreport.schema import ESTIMATES, MIX

SEPTEMBER = Period.parse("2026-09")
LONG = ["kpi", "question", "period", "segment", "level"]


# What the company of these tests delivers.
SURVEY_AND_DESK = [
    *("nps", "csat", "ces_v2", "ces_v1", "response_rate"),
    *("first_response_time", "first_response_time_p90", "resolution_time", "resolution_time_p90"),
]


def only(report: Report, kpis: list[str], **more: object) -> Report:
    """Return a report of some of its KPIs."""
    return report.model_copy(
        update={
            "kpis": kpis,
            "headline": [kpi for kpi in report.headline if kpi in kpis],
            "targets": {kpi: target for kpi, target in report.targets.items() if kpi in kpis},
        }
        | more
    )


@pytest.fixture
def monthly(project) -> Report:
    """The monthly report on surveys and support alone; its analyses have tests of their own."""
    segments = ["region", "channel", "plan", "touchpoint", "language"]
    report = load_report(project, "monthly")
    return only(report, SURVEY_AND_DESK, segments=segments, analyses=Analyses(trend=False))


@pytest.fixture
def short(monthly) -> Report:
    """A report of the promoter score alone."""
    return only(monthly, ["nps"], segments=["channel", "language"])


def one(rows: pd.DataFrame, **where: str) -> pd.Series:
    """Return the only row with these values."""
    chosen = rows[np.logical_and.reduce([rows[name] == value for name, value in where.items()])]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_report_of_many_months_is_complete(project, monthly, company):
    """Every KPI and month, files with their schemas in a fixed order, and the same bytes again."""
    months = company(14, 400)
    estimates = measure(project, monthly, SEPTEMBER)
    folder = project.measured("monthly", SEPTEMBER)
    assert pq.read_schema(folder / "estimates.parquet").remove_metadata() == ESTIMATES
    assert pq.read_schema(folder / "mix.parquet").remove_metadata() == MIX
    totals = estimates[estimates["segment"] == "all"]
    asked = totals.groupby("kpi")["period"].apply(list).to_dict()
    assert sorted(asked) == sorted(monthly.kpis)
    assert all(periods == months for kpi, periods in asked.items() if not kpi.startswith("ces"))
    # Neither version of the effort score has a row for a month in which it was not asked.
    assert asked["ces_v1"] == [month for month in months if month < "2025-10"]
    assert asked["ces_v2"] == [month for month in months if month >= "2025-10"]
    assert not estimates.duplicated(LONG).any()
    first = (folder / "estimates.parquet").read_bytes()
    measure(project, monthly, SEPTEMBER)
    assert (folder / "estimates.parquet").read_bytes() == first
    pd.testing.assert_frame_equal(read_estimates(project, "monthly", SEPTEMBER), estimates)


def test_breakdowns_cover_what_their_tables_carry(project, monthly, company):
    """Customers' segments reach every table, the survey's only answers; a promoter score states no touchpoint."""
    company(2, 300)
    every = ["region", "channel", "plan", "touchpoint", "stage", "language"]
    report = only(monthly, ["nps", "csat", "response_rate", "resolution_time"], segments=every)
    estimates = measure(project, report, SEPTEMBER)
    segments = estimates.groupby("kpi")["segment"].agg(lambda column: sorted(set(column))).to_dict()
    assert segments["response_rate"] == segments["resolution_time"] == ["all", "channel", "plan", "region"]
    assert segments["nps"] == ["all", "channel", "language", "plan", "region"]
    assert segments["csat"] == ["all", "channel", "language", "plan", "region", "stage", "touchpoint"]
    september = estimates[(estimates["period"] == "2026-09") & (estimates["kpi"] == "csat")]
    stages = september[september["segment"] == "stage"]
    assert sorted(stages["level"]) == ["(not stated)", "pay", "support"]
    assert stages["share"].sum() == pytest.approx(1)
    assert stages["n"].sum() == one(september, segment="all")["n"]


def test_levels_pool_to_the_total(project, monthly, company):
    """Bases add up, and the mean of levels by their bases is the total: no average of averages."""
    company(2, 600)
    rows = measure(project, only(monthly, ["nps"]), SEPTEMBER).query("period == '2026-09'")
    total = one(rows, segment="all")
    for segment in ("channel", "plan", "region"):
        levels = rows[rows["segment"] == segment]
        assert levels["n"].sum() == total["n"]
        assert np.average(levels["value"], weights=levels["n"]) == pytest.approx(total["value"])


def test_figures_follow_from_the_rows(project, short, answer):
    """Base, classes, figure, change, target, benchmark and notes of one month, by hand."""
    answer("2026-08", "nps", [9] * 40 + [7] * 20 + [3] * 40, (0, 10), channel="web", language="en")
    answer("2026-09", "nps", [9] * 90 + [7] * 5 + [3] * 5 + [None] * 3, (0, 10), channel="web", language="en")
    row = one(measure(project, short, SEPTEMBER), segment="all", period="2026-09")
    assert (row["n"], row["n_top"], row["n_bottom"], row["value"], row["share"]) == (100, 90, 5, 85, 1)
    assert (row["previous"], row["change"], row["verdict"]) == (0, 85, "rose")
    assert (row["year_verdict"], row["target"], row["status"]) == ("no earlier figure", 30, "target met")
    assert (row["benchmark"], row["gap"]) == ("nps-tv-internet-service-providers-2024-06", 76)
    assert row["note"] == (
        "3 without an answer left out; "
        "benchmark nps-airlines-2023-06 refused: it is of airlines, not tv/internet service providers"
    )


def test_standards_stand_on_the_reported_totals_only(project, monthly, company):
    """A company's target is no target of a segment, nor of an earlier month."""
    company(2, 300)
    report = only(monthly, ["nps", "csat", "resolution_time"])
    estimates = measure(project, report, SEPTEMBER)
    standards = estimates[["target", "status", "benchmark", "gap"]]
    is_total = (estimates["segment"] == "all") & (estimates["period"] == "2026-09")
    assert standards[~is_total].isna().all(axis=None)
    targeted = estimates[is_total & estimates["kpi"].isin(list(report.targets))]
    assert len(targeted) == len(report.targets) == 3
    assert targeted["status"].notna().all()


def test_small_group_is_hidden_in_every_period(project, short, answer):
    """Six Vietnamese answers a month: hidden with the next smallest language, in figures, history and changes."""
    for month in ("2026-08", "2026-09"):
        languages = ["en"] * 80 + ["es"] * 40 + ["zh"] * 30 + ["vi"] * 6
        answer(month, "nps", [9] * 156, (0, 10), channel="web", language=languages)
    rows = measure(project, short, SEPTEMBER)
    languages = rows[rows["segment"] == "language"].set_index(["period", "level"])
    marks = languages.loc["2026-09", "suppressed"].to_dict()
    assert marks == {"en": "no", "es": "no", "vi": "small base", "zh": "complementary"}
    hidden = languages[languages["suppressed"] != "no"]
    assert len(hidden) == 4
    named = ["kpi", "period_kind", "segment", "suppressed", "low_base"]
    assert hidden.drop(columns=named).isna().all(axis=None)


def test_levels_are_tested_against_everybody_else(project, short, answer):
    """By hand for one level: its answers and those of the others as two samples; quiet levels get no word."""
    levels = {"web": (80, 20), "app": (30, 70), "phone": (55, 45), "chat": (55, 45), "fax": (15, 10), "kiosk": (3, 1)}
    scores = [score for good, poor in levels.values() for score in [9] * good + [3] * poor]
    channels = [name for name, (good, poor) in levels.items() for _ in range(good + poor)]
    for month in ("2026-08", "2026-09"):
        answer(month, "nps", scores, (0, 10), channel=channels, language="en")
    rows = measure(project, short, SEPTEMBER)
    now = rows[(rows["period"] == "2026-09") & (rows["segment"] == "channel")].set_index("level")
    assert now["apart"].dropna().to_dict() == {"web": "above", "app": "below"}
    tested = ["web", "app", "phone", "chat"]
    assert now.index[now["apart_p_value"].notna()].sort_values().tolist() == sorted(tested)

    web, others = (
        pd.DataFrame({"p_top": [g / n], "p_bottom": [1 - g / n], "base": [n]})
        for g, n in ((80, 100.0), (30 + 55 + 55 + 15 + 3, 329.0))
    )
    assert now.loc["web", "apart_p_value"] == pytest.approx(net_change(web, others, 0.95).p_value.item())
    # One family of ten tests: the headline total keeps half of the error, nine others share the rest.
    first, second = now.loc[tested, "apart_p_value"].sort_values()[:2]
    quickest = now["apart_q_value"].min()
    assert quickest == pytest.approx(min(18 * first, 9 * second))
    # Neither the history, nor the total, nor what is hidden or on a low base.
    others = rows.drop(rows.index[(rows["period"] == "2026-09") & rows["level"].isin(tested)])
    assert others[["apart_p_value", "apart_q_value", "apart"]].isna().all(axis=None)
    assert (now.loc["kiosk", "suppressed"], now.loc["fax", "suppressed"]) == ("small base", "complementary")


def test_quantiles_have_no_test_against_the_rest(project, monthly, company):
    """Order statistics of a level cannot be taken out of those of the total; every other type can."""
    company(1, 600)
    kpis = ["nps", "csat", "ces_v2", "response_rate", "resolution_time", "resolution_time_p90"]
    rows = measure(project, only(monthly, kpis), SEPTEMBER)
    tested = rows[rows["apart_p_value"].notna()]
    assert set(tested["kpi"]) == {"nps", "csat", "ces_v2", "response_rate"}
    assert (tested["segment"] != "all").all()
    assert ((rows["suppressed"] == "no") & ~rows["low_base"])[tested.index].all()


def test_value_that_no_row_has_is_an_error(project, short, answer):
    """A misspelt code would remove the KPI in silence; the nearest value is named."""
    answer("2026-09", "nps", [9] * 40, (0, 10), channel="web", language="en")
    path = project.kpis / "nps.yml"
    path.write_text(path.read_text().replace("metric: nps", "metric: npss"))
    with pytest.raises(
        DefinitionError, match="KPI `nps`: no row of `answers` has the metric `npss`, did you mean `nps`"
    ):
        measure(project, short, SEPTEMBER)


def test_metric_that_the_dataset_never_asks_for_is_an_error(project, short, answer):
    """The sample company's survey rates no items; what it asked in other months only is no error."""
    answer("2026-09", "nps", [9] * 40, (0, 10), channel="web", language="en")
    asked = measure(project, short.model_copy(update={"kpis": ["nps", "ces_v1", "ces_v2"]}), SEPTEMBER)
    assert set(asked["kpi"]) == {"nps"}
    with pytest.raises(DefinitionError, match=r"`item_mean`: no row .*\n.*\n.*take the KPI out of the report"):
        measure(project, short.model_copy(update={"kpis": ["nps", "item_mean"]}), SEPTEMBER)


def test_open_cases_are_counted_beside_the_figure(project, short, answer, write):
    """Bases hold them and the total's note says how many; with too many of them there is no figure."""
    report = short.model_copy(
        update={"kpis": ["resolution_time", "resolution_time_p90"], "headline": ["resolution_time"], "targets": {}}
        | {"segments": ["channel"]}
    )
    answer("2026-09", "nps", [9] * 40, (0, 10), channel="web", language="en")
    minutes = [float(i) for i in range(1, 81)] + [None] * 20
    tickets = pd.DataFrame({"ticket_id": [f"t{i}" for i in range(100)], "resolution_minutes": minutes})
    created = datetime(2026, 9, 3, tzinfo=UTC)
    write("2026-09", "tickets", tickets.assign(customer_id="c1", channel="phone", created_at=created))
    rows = measure(project, report, SEPTEMBER)
    median = one(rows, kpi="resolution_time", segment="all")
    assert (median["n"], median["value"], median["note"]) == (100, 50.5, "20 still open, taken as longest")
    ninetieth = one(rows, kpi="resolution_time_p90", segment="all")
    assert ninetieth[["value", "ci_low", "ci_high", "se"]].isna().all()
    assert ninetieth["note"] == "no figure: too many cases are still open; 20 still open, taken as longest"
    named = report.model_copy(update={"headline": ["resolution_time_p90"]})
    line = headline(rows, named, load_kpis(project), SEPTEMBER).splitlines()[-1]
    assert line.startswith("| Time to resolution, 90th percentile | no figure | none | 100 |")


def test_level_that_was_small_before_has_no_change(project, short, answer):
    """Its earlier figure is not given away by a difference."""
    answer("2026-08", "nps", [9] * 100, (0, 10), channel=["web"] * 80 + ["app"] * 15 + ["fax"] * 5, language="en")
    answer("2026-09", "nps", [9] * 100, (0, 10), channel=["web"] * 30 + ["app"] * 30 + ["fax"] * 40, language="en")
    rows = measure(project, short, SEPTEMBER)
    for channel in ("app", "fax"):
        row = one(rows, level=channel, period="2026-09")
        assert row["verdict"] == "too few answers"
        assert row[["previous", "change", "p_value"]].isna().all()


def test_mix_explains_a_fall_that_no_group_shows(project, short, answer):
    """More answers by phone, every channel steady: the fall is mix, and the parts add up to the change."""
    scores = {"web": [9] * 6 + [3] * 4, "phone": [9] * 3 + [3] * 7}

    def month(name: str, web: int, phone: int) -> None:
        channels = ["web"] * 10 * web + ["phone"] * 10 * phone
        answer(name, "nps", scores["web"] * web + scores["phone"] * phone, (0, 10), channel=channels, language="en")

    month("2026-08", 16, 4)
    month("2026-09", 8, 12)
    estimates = measure(project, short, SEPTEMBER)
    mix = pd.read_parquet(project.measured("monthly", SEPTEMBER) / "mix.parquet")
    total = one(mix, segment="channel", level="all")
    change = one(estimates, segment="all", period="2026-09")["change"]
    assert change == pytest.approx(-24)
    assert (total["mix_effect"], total["rate_effect"]) == (pytest.approx(change), pytest.approx(0))
    levels = mix[(mix["segment"] == "channel") & (mix["level"] != "all")]
    assert levels["mix_effect"].sum() == pytest.approx(change)
    # Every segment of the report splits the same change.
    assert set(mix["segment"]) == set(short.mix_segments)
    totals = mix[mix["level"] == "all"]
    split = totals["mix_effect"] + totals["rate_effect"] + totals["entered_left_effect"]
    assert split.tolist() == pytest.approx([change] * len(totals))


def test_customers_count_as_the_reported_month_knows_them(project, short, answer, write):
    """A customer who moved is counted in the new region, in the history as well."""
    report = short.model_copy(update={"segments": ["region"]})
    for month, region in (("2026-08", "north"), ("2026-09", "south")):
        answer(month, "nps", [9] * 40, (0, 10), channel="web", language="en")
        moved = pd.DataFrame({"customer_id": [f"c{i}" for i in range(40)], "region": region, "plan": "basic"})
        write(month, "customers", moved)
    rows = measure(project, report, SEPTEMBER)
    assert set(rows.loc[rows["segment"] == "region", "level"]) == {"south"}


def test_quarters_pool_their_months(project, short, answer):
    """A quarter's figure comes from the answers of its months, and its neighbour is the quarter before."""
    report = short.model_copy(update={"period_kind": "quarter"})
    spring = (("2026-04", 3), ("2026-05", 3), ("2026-06", 3))
    for month, score in (("2026-03", 9), *spring, ("2026-07", 9), ("2026-08", 3), ("2026-09", 9)):
        answer(month, "nps", [score] * 40, (0, 10), channel="web", language="en")
    third = Period.parse("2026-Q3")
    assert latest_period(project, report) == third
    row = one(measure(project, report, third), segment="all", period="2026-Q3")
    assert (row["n"], row["value"], row["previous"]) == (120, pytest.approx(100 / 3), -100)


def test_later_months_take_no_part(project, short, answer):
    """Measuring an earlier month again does not read what came after."""
    for month in ("2026-08", "2026-09"):
        answer(month, "nps", [9] * 40, (0, 10), channel="web", language="en")
    rows = measure(project, short, Period.parse("2026-08"))
    assert set(rows["period"]) == {"2026-08"}


def test_period_without_rows_is_refused(project, short, answer):
    """It says what to run; so does reading what was never measured."""
    with pytest.raises(UsageError, match="no accepted rows of 2026-09"):
        measure(project, short, SEPTEMBER)
    with pytest.raises(UsageError, match="no accepted rows"):
        latest_period(project, short)
    answer("2026-08", "nps", [9] * 40, (0, 10), channel="web", language="en")
    with pytest.raises(UsageError, match="no accepted rows of 2026-09"):
        measure(project, short, SEPTEMBER)
    with pytest.raises(UsageError, match="no estimates of `monthly` for 2026-09"):
        read_estimates(project, "monthly", SEPTEMBER)


def test_missing_tables_and_columns_are_gathered(project, short, answer):
    """A KPI without its feed and a segment without its column come in one message."""
    answer("2026-09", "nps", [9] * 40, (0, 10), channel="web", language="en")
    report = short.model_copy(update={"kpis": ["nps", "response_rate"], "segments": ["channel", "boarding_area"]})
    with pytest.raises(DefinitionError) as caught:
        measure(project, report, SEPTEMBER)
    assert "KPI `response_rate` reads `invitations`" in str(caught.value)
    assert "segment `boarding_area` needs column `boarding_area`" in str(caught.value)


def test_quarter_without_one_of_its_months_is_nothing_to_compare_with(project, short, answer):
    """June was stopped, so the second quarter has no figure; the reported quarter says what it lacks itself."""
    report = short.model_copy(update={"period_kind": "quarter"})
    for month in ("2026-04", "2026-05", "2026-08", "2026-09"):
        answer(month, "nps", [9] * 40, (0, 10), channel="web", language="en")
    rows = measure(project, report, Period.parse("2026-Q3"))
    assert set(rows["period"]) == {"2026-Q3"}
    assert one(rows, segment="all", period="2026-Q3")["n"] == 80


def test_weeks_are_measured_beside_months(project, short, answer):
    """A weekly report reads the rows that were kept by week and no others, a monthly one those kept by month."""
    for part, score in (("2026-W38", 3), ("2026-W39", 9), ("2026-09", 7)):
        answer(part, "nps", [score] * 40, (0, 10), channel="web", language="en")
    report, week = short.model_copy(update={"period_kind": "week"}), Period.parse("2026-W39")
    assert latest_period(project, report) == week
    row = one(measure(project, report, week), segment="all", period="2026-W39")
    assert (row["n"], row["value"], row["previous"]) == (40, 100, -100)
    assert one(measure(project, short, SEPTEMBER), segment="all", period="2026-09")["value"] == 0
