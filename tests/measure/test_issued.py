"""What was published stays as it was: measuring a month after an earlier one was issued."""

import shutil

import numpy as np
import pandas as pd
import pytest

from cxreport.config import Analyses, Report, load_report
from cxreport.measure import measure
from cxreport.periods import Period
from cxreport.schema import MIX, TABLES

AUGUST, SEPTEMBER = Period.parse("2026-08"), Period.parse("2026-09")
LONG = ["kpi", "segment", "level"]
# Figures of a period itself; comparisons stand on the rows of the reported period only.
OWN = ["n", "share", "n_top", "n_bottom", "value", "ci_low", "ci_high", "se", "suppressed", "low_base"]


@pytest.fixture
def report(project) -> Report:
    """Promoter score and satisfaction by channel, language and region, without analyses."""
    return load_report(project, "monthly").model_copy(
        update={
            "kpis": ["nps", "csat"],
            "headline": ["nps", "csat"],
            "targets": {},
            "segments": ["channel", "language", "region"],
            "mix_segments": ["channel"],
            "analyses": Analyses(trend=False),
        }
    )


@pytest.fixture
def issue(project, report):
    """Measure a month and publish its estimates."""

    def publish(period: Period) -> pd.DataFrame:
        estimates = measure(project, report, period)
        path = project.published(report.id, period) / "all" / "estimates.parquet"
        path.parent.mkdir(parents=True)
        shutil.copyfile(project.measured(report.id, period) / "estimates.parquet", path)
        return estimates

    return publish


@pytest.fixture
def arrive_late(project, write):
    """Deliver August again, with further answers of detractors in a language that was small."""

    def add(n: int) -> None:
        folder = project.accepted("sample", AUGUST)
        kept = {table: pd.read_parquet(folder / f"{table}.parquet") for table in ("responses", "answers")}
        ids = [f"late-{i}" for i in range(n)]
        late = {
            "responses": pd.DataFrame({"response_id": ids, "customer_id": [f"c{i}" for i in range(n)]}).assign(
                kind="relational", channel="web", language="zh", weight=1.0
            ),
            "answers": pd.DataFrame({"response_id": ids}).assign(
                question="nps", metric="nps", score=0.0, scale_low=0, scale_high=10, scale_good="high"
            ),
        }
        for table, rows in late.items():
            assert set(rows) <= set(TABLES[table].schema().names)
            rows["responded_at"] = kept[table]["responded_at"].iloc[0]
            write(AUGUST.id, table, pd.concat([kept[table].drop(columns="period"), rows], ignore_index=True))

    return add


def month(estimates: pd.DataFrame, period: Period) -> pd.DataFrame:
    """Return the rows of a month by KPI and level."""
    return estimates[estimates["period"] == period.id].set_index(LONG).sort_index()


def test_late_answers_change_no_issued_figure(project, report, issue, arrive_late, company):
    """August stays as published though it would be another today, and September is compared with what was published."""
    company(3, 400)
    issued = month(issue(AUGUST), AUGUST)
    arrive_late(60)
    today = month(measure(project, report, AUGUST), AUGUST)
    total = ("nps", "all", "all")
    assert today.loc[total, "n"] == issued.loc[total, "n"] + 60
    assert today.loc[total, "value"] < issued.loc[total, "value"] - 5

    estimates = measure(project, report, SEPTEMBER)
    kept, now = month(estimates, AUGUST), month(estimates, SEPTEMBER)
    assert kept.index.tolist() == issued.index.tolist()
    pd.testing.assert_frame_equal(kept[OWN], issued[OWN])
    change = now.loc[total, "value"] - issued.loc[total, "value"]
    assert now.loc[total, "previous"] == pytest.approx(issued.loc[total, "value"])
    assert now.loc[total, "change"] == pytest.approx(change)
    assert now.loc[total, "verdict"] in {"rose", "fell", "no detectable change"}
    assert now.loc[total, "change_ci_low"] < change < now.loc[total, "change_ci_high"]
    # Satisfaction stands on other answers, none of which was late.
    pd.testing.assert_frame_equal(kept.loc["csat", OWN], today.loc["csat", OWN])


def test_group_that_was_hidden_stays_hidden(project, report, issue, arrive_late, company):
    """Sixty late answers would lift a language above the limit; its issued mark holds, and its change goes."""
    company(2, 300)
    issued = month(issue(AUGUST), AUGUST)
    assert issued.loc[("nps", "language", "zh"), "suppressed"] == "small base"
    arrive_late(60)
    assert month(measure(project, report, AUGUST), AUGUST).loc[("nps", "language", "zh"), "suppressed"] == "no"
    estimates = measure(project, report, SEPTEMBER)
    hidden = issued.index[issued["suppressed"] != "no"]
    kept, now = month(estimates, AUGUST), month(estimates, SEPTEMBER)
    assert kept.loc[hidden, "suppressed"].tolist() == issued.loc[hidden, "suppressed"].tolist()
    assert kept.loc[hidden, ["n", "value", "n_top", "se"]].isna().all(axis=None)
    assert now.loc[now.index.intersection(hidden), ["previous", "change"]].isna().all(axis=None)


def test_frozen_month_is_split_into_mix_and_rate(project, report, issue, arrive_late, company):
    """The parts add up to the change from the published figure."""
    company(2, 400)
    issue(AUGUST)
    arrive_late(60)
    change = month(measure(project, report, SEPTEMBER), SEPTEMBER).loc[("nps", "all", "all"), "change"]
    mix = pd.read_parquet(project.measured(report.id, SEPTEMBER) / "mix.parquet")
    assert mix.columns.tolist() == MIX.names
    effects = mix.loc[mix["level"] == "all", ["mix_effect", "rate_effect", "entered_left_effect"]]
    assert len(effects) == 1
    assert effects.to_numpy().sum() == pytest.approx(change)


@pytest.mark.parametrize("late", [0, 60])
def test_second_run_gives_the_same_bytes(project, report, issue, arrive_late, company, late):  # noqa: PLR0917
    """With and without a frozen month; unchanged history is what it is without any issue."""
    company(2, 300)
    without_issue = measure(project, report, SEPTEMBER)
    issue(AUGUST)
    if late:
        arrive_late(late)
    folder = project.measured(report.id, SEPTEMBER)
    runs = []
    for _ in range(2):
        estimates = measure(project, report, SEPTEMBER)
        runs.append([(folder / name).read_bytes() for name in ("estimates.parquet", "mix.parquet")])
    assert runs[0] == runs[1]
    own = [month(rows, AUGUST)[["n", "value"]] for rows in (estimates, without_issue)]
    assert own[0].index.tolist() == own[1].index.tolist()
    assert np.allclose(own[0], own[1], equal_nan=True)


def test_own_issue_and_later_ones_are_not_looked_at(project, report, issue, arrive_late, company):
    """Publishing August again corrects it: an issue is bound by earlier ones, not by itself."""
    company(2, 300)
    before = month(issue(AUGUST), AUGUST).loc[("nps", "all", "all"), "n"]
    issue(SEPTEMBER)
    arrive_late(60)
    assert month(measure(project, report, AUGUST), AUGUST).loc[("nps", "all", "all"), "n"] == before + 60
