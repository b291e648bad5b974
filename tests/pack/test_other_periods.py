"""A week, a quarter and a year of a small company, published."""

import json
import re
import sys

import pandas as pd
import pytest
import yaml

from cxreport.config import Project, load_dataset
from cxreport.periods import Period
from cxreport.sample import write_sample

SMALL = {
    "kpis": ["nps", "csat", "first_response_time", "backlog"],
    "headline": ["nps", "csat"],
    "segments": ["region"],
    "mix_segments": [],
    "targets": {"nps": 30},
    "analyses": {},
    "present": ["31_short_executive"],
}
PERIODS = {"weekly": "2026-W39", "quarterly": "2026-Q3", "yearly": "2025"}
RUN = """
from datetime import UTC, date, datetime
from cxreport.config import Project, load_report
from cxreport.publish import run as publishing, work

project = Project.find()
for report in {reports}:
    publishing.run(
        project, load_report(project, report), None,
        as_of=date(2026, 10, 2), renderer="embedded", started=datetime.now(UTC), tell=print,
    )
    work.export = lambda *_: None  # once will do
"""


def publish(project, run, months, reports):
    """Invent so many months of the company, shorten the definitions, and publish the last period of each report."""
    write_sample(project.sample, months=months)
    for report in reports:
        path = project.definitions / f"{report}.yml"
        definition = yaml.safe_load(path.read_text(encoding="utf-8")) | SMALL
        definition |= {"language": "de"} if report == "quarterly" else {}
        path.write_text(yaml.safe_dump(definition, allow_unicode=True, sort_keys=False), encoding="utf-8")
    (project.root / "publish.py").write_text(RUN.format(reports=reports), encoding="utf-8")
    return run(project, f"{sys.executable} publish.py")


@pytest.fixture(scope="module")
def published(once, copy_project, run):
    """The project in which a week and, in German, a quarter were published."""
    folder, _ = once("other_periods", lambda folder: publish(copy_project(folder), run, 4, ["weekly", "quarterly"]))
    return Project(folder)


def page_of(project, report):
    """Return the words of a report's page."""
    html = (project.published(report, Period.parse(PERIODS[report])) / "all" / "report.html").read_text(
        encoding="utf-8"
    )
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style.*?</style>", " ", html, flags=re.DOTALL)).split())


@pytest.mark.parametrize("report", ["weekly", "quarterly"])
def test_default_period_of_each_kind_is_published(published, report):
    """The last week and the last quarter that are over, each with all its files."""
    issue = published.published(report, Period.parse(PERIODS[report]))
    assert json.loads((issue / "run.json").read_text())["period"] == PERIODS[report]
    assert (issue / "all" / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (issue / "all" / "data-quality.html").is_file()


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("weekly", "in week 39 of 2026"),
        ("quarterly", "NPS, Q3 2026"),
    ],
)
def test_page_speaks_of_its_own_kind_of_period(published, report, said):
    """A page names its period and no month but those of the data."""
    page = page_of(published, report)
    assert said in page
    assert not re.search(r"\b(in a month|zum Vormonat|by month|nach Monaten)\b", page)


def test_quarter_equals_a_recount_of_its_accepted_answers(published):
    """Scores and support cases of three months, counted anew from accepted rows, give the figures of the quarter."""
    period = Period.parse("2026-Q3")
    estimates = pd.read_parquet(published.measured("quarterly", period) / "estimates.parquet")
    now = estimates[(estimates["period"] == period.id) & (estimates["segment"] == "all")].set_index("kpi")

    def accepted(table):
        folders = [published.accepted("sample", month) for month in period.parts]
        return pd.concat([pd.read_parquet(folder / f"{table}.parquet") for folder in folders])

    answers, tickets = accepted("answers"), accepted("tickets")
    nps = answers.loc[answers["metric"] == "nps", "score"].dropna()
    csat = answers.loc[answers["metric"] == "csat", "score"].dropna()
    assert now.loc["nps", "n"] == len(nps)
    assert now.loc["nps", "value"] == pytest.approx(100 * ((nps >= 9).mean() - (nps <= 6).mean()))
    assert (now.loc["csat", "n"], now.loc["csat", "value"]) == (len(csat), pytest.approx((csat >= 4).mean()))
    waits = tickets["reply_minutes"].dropna()
    assert now.loc["first_response_time", "value"] == pytest.approx(waits.median(), rel=0.01)
    zone = load_dataset(published, "sample").time_zone
    at = answers["responded_at"].dt.tz_convert(zone).dt.date
    assert (at.min(), at.max() < period.end) == (period.start, True)


def test_week_holds_the_answers_of_its_days(published):
    """The figure of the week is that of the same days of the rows that were kept by month."""
    week = Period.parse("2026-W39")
    estimates = pd.read_parquet(published.measured("weekly", week) / "estimates.parquet")
    row = estimates[(estimates["period"] == week.id) & (estimates["segment"] == "all")].set_index("kpi").loc["nps"]
    answers = pd.read_parquet(published.accepted("sample", Period.parse("2026-09")) / "answers.parquet")
    start, end = week.bounds(load_dataset(published, "sample").time_zone)
    within = answers[answers["responded_at"].between(start, end, inclusive="left") & (answers["metric"] == "nps")]
    scores = within["score"].dropna()
    assert row["n"] == len(scores)
    assert row["value"] == pytest.approx(100 * ((scores >= 9).mean() - (scores <= 6).mean()))


@pytest.mark.soak
def test_year_in_which_the_data_begin_is_published_with_a_note(copy_project, run, tmp_path):
    """Ten months up to September 2026 make a year of one month, and its first page says so."""
    project = copy_project(tmp_path / "project")
    publish(project, run, 10, ["yearly"])
    said = page_of(project, "yearly")
    assert "in 2025" in said
    assert "The data of 2025 begin with December 2025." in said
