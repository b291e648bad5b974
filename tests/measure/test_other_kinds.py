"""What reports of several kinds of period tell together: a quarter less two of its months is the third."""

import json
import shutil

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.config import Analyses, Project, load_kpis, load_report
from cxreport.measure import measure
from cxreport.measure.other_kinds import hide_beside
from cxreport.periods import Period

QUARTER = Period.parse("2026-Q3")
JULY, AUGUST, SEPTEMBER = QUARTER.parts
LIMIT = 10


@pytest.fixture
def reports(project):
    """The same figures by month and by quarter."""
    monthly = load_report(project, "monthly").model_copy(
        update={
            "kpis": ["nps"],
            "headline": ["nps"],
            "targets": {},
            "segments": ["channel"],
            "mix_segments": [],
            "analyses": Analyses(trend=False),
        }
    )
    return monthly, monthly.model_copy(update={"id": "quarterly", "period_kind": "quarter"})


@pytest.fixture
def issue(project):
    """Return a function that measures a period of a report and puts it where issues lie."""

    def issue(report, period):
        estimates = measure(project, report, period)
        folder = project.published(report.id, period)
        (folder / "all").mkdir(parents=True)
        shutil.copyfile(project.measured(report.id, period) / "estimates.parquet", folder / "all" / "estimates.parquet")
        (folder / "run.json").write_text(json.dumps({"dataset": report.dataset}))
        now = estimates[(estimates["period"] == period.id) & (estimates["segment"] == "channel")]
        return now.set_index("level")["suppressed"].to_dict()

    return issue


@pytest.fixture
def small_september(answer):
    """Four channels; in September six answers came by chat."""

    def write_months():
        for month, chats in ((JULY, 20), (AUGUST, 20), (SEPTEMBER, 6)):
            channels = ["web"] * 60 + ["app"] * 50 + ["phone"] * 40 + ["chat"] * chats
            answer(month.id, "nps", [9.0, 3.0] * (len(channels) // 2), (0, 10), channel=channels, language="en")

    return write_months


def test_quarter_does_not_tell_of_the_month_that_was_hidden(small_september, reports, issue):
    """46 less 20 less 20 would be the six of September: the quarter's figure is hidden, and another with it."""
    monthly, quarterly = reports
    small_september()
    for month in QUARTER.parts:
        issue(monthly, month)
    marks = issue(quarterly, QUARTER)
    assert marks["chat"] == "complementary"
    assert sorted(marks.values()) == ["complementary", "complementary", "no", "no"]


def test_month_does_not_tell_what_the_quarter_left(small_september, reports, issue):
    """The other way round, the first month that would leave a small rest of the published quarter is hidden."""
    monthly, quarterly = reports
    small_september()
    assert issue(quarterly, QUARTER)["chat"] == "no"
    marks = [issue(monthly, month)["chat"] for month in QUARTER.parts]
    assert marks == ["no", "complementary", "small base"]


def test_reports_on_other_data_and_of_the_same_kind_are_not_looked_at(project, small_september, reports, issue):
    """What binds an issue are issues on its dataset by another kind of period."""
    monthly, _ = reports
    small_september()
    issue(monthly, JULY)
    [found] = project.issued_beside("sample", QUARTER)
    assert found.parents[1].name == "2026-07"
    assert project.issued_beside("sample", JULY) == []
    assert project.issued_beside("sfo", QUARTER) == []
    (project.published("monthly", JULY) / "run.json").unlink()
    assert project.issued_beside("sample", QUARTER) == []


def rows_of(counts):
    """Return estimates of one group by period."""
    periods = list(counts)
    return pd.DataFrame(
        {
            "kpi": "nps",
            "question": "",
            "segment": "channel",
            "level": "chat",
            "issued": None,
            "period": [period.id for period in periods],
            "n": [float(counts[period]) for period in periods],
        }
    )


@given(st.lists(st.integers(0, 40), min_size=12, max_size=12), st.sets(st.integers(0, 11)))
def test_no_difference_of_what_is_shown_is_a_small_group(root, counts, published):
    """Whatever months were published, no shown quarter less its shown months leaves one to nine."""
    months = dict(zip(Period.parse("2025").parts, counts, strict=True))
    beside = {month: n for number, (month, n) in enumerate(months.items()) if number in published and n >= LIMIT}
    sums = {Period.parse(f"2025-Q{number + 1}"): sum(counts[3 * number : 3 * number + 3]) for number in range(4)}
    rows = hide_beside(rows_of(sums), load_kpis(Project(root), ["nps"]), rows_of(beside)) if beside else rows_of(sums)
    shown = {
        Period.parse(period): n
        for period, n, issued in rows[["period", "n", "issued"]].itertuples(index=False)
        if n >= LIMIT and issued is None
    }
    for quarter, n in shown.items():
        own = [beside[month] for month in quarter.parts if month in beside]
        assert not 0 < n - sum(own) < LIMIT


def test_figures_that_do_not_add_up_over_time_are_left_alone(root):
    """Customers who stay through three months are no sum of three bases."""
    kpis = load_kpis(Project(root), ["retention"])
    rows = rows_of({QUARTER: 45}).assign(kpi="retention")
    beside = rows_of({JULY: 20, AUGUST: 20}).assign(kpi="retention")
    assert hide_beside(rows, kpis, beside)["issued"].isna().all()
