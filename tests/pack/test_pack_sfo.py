"""The real survey: the published figures of two independent analyses come out of the whole chain."""

import json
import re

import pandas as pd
import pdfua
import pytest


@pytest.fixture(scope="session")
def total(sfo):
    """The total rows of the period, by KPI and question."""
    estimates = sfo.estimates
    rows = estimates[(estimates.period == "2017-05") & (estimates.segment == "all")]
    return rows.set_index([rows.kpi, rows.question.fillna("")])


@pytest.fixture(scope="session")
def words(sfo):
    """The words of the page."""
    return " ".join(re.sub(r"<[^>]+>", " ", sfo.html.read_text(encoding="utf-8")).split())


def test_nps_is_the_published_one(total, words):
    """NPS 39.84 from 1,436 promoters and 342 detractors among 2,746; weighted 40.40; both on the page."""
    row = total.loc[("nps", "")]
    assert (row.n, row.n_top, row.n_bottom) == (2746, 1436, 342)
    assert row.value == pytest.approx(39.8398, abs=1e-4)
    assert total.loc[("nps_weighted", "")].value == pytest.approx(40.40, abs=0.005)
    for figure in ("39.84", "40.40", "1,436", "342", "2,746"):
        assert figure in words, figure


def test_weighted_nps_matches_a_plain_recount(total, shared):
    """The weighted score equals the weighted shares computed from the file in three lines."""
    raw = pd.read_csv(shared / "data/sfo_2017/2017_SFO_Customer_Survey.csv", dtype=str)
    raw = raw[raw.NETPRO.notna() & (raw.NETPRO != "11")]
    score, weight = raw.NETPRO.astype(float), raw.WEIGHT.astype(float)
    expected = 100 * (weight[score >= 9].sum() - weight[score <= 6].sum()) / weight.sum()
    assert total.loc[("nps_weighted", "")].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("items", "count"), [("q7", 15), ("q9", 6)])
def test_every_item_is_the_published_one(total, shared, words, items, count):
    """Base, mean and, for question 7, top-two share of every item match to 1e-4; the means stand on the page."""
    path = shared / f"data/sfo_2017/published_thirdparty_agg_{items}_metrics.csv"
    published = pd.read_csv(path).set_index(f"{items}_item")
    assert len(published) == count
    for item, figures in published.iterrows():
        mean, share = (total.loc[(kpi, item.lower())] for kpi in ("item_mean", "item_top_two"))
        assert (mean.n, share.n) == (figures.n, figures.n)
        assert mean.value == pytest.approx(figures.avg_score, abs=1e-4)
        assert f"{figures.avg_score:.4f}" in words, item
        if items == "q7":
            assert 100 * share.value == pytest.approx(figures.top2_per100, abs=1e-4)
            assert share.n_top == figures.top2_n


def test_missing_answers_are_counted_with_their_reason(sfo, words):
    """The 84 code-11 answers are told apart from the one empty field; nothing missing goes uncounted."""
    verdict = json.loads((sfo.project.accepted("sfo", sfo.period) / "verdict.json").read_text())
    nps = {entry["reason"]: entry["n"] for entry in verdict["missing"] if entry["question"] == "nps"}
    assert sorted(nps.values()) == [1, 84]
    assert sum(nps.values()) + 2746 == 2831
    by_question = pd.DataFrame(verdict["missing"]).groupby("question").n.sum()
    answered = sfo.estimates.query("period == '2017-05' and segment == 'all' and kpi == 'item_mean'")
    for row in answered.itertuples():
        assert row.n + by_question.get(row.question, 0) == 2831, row.question
    assert "84" in words


def test_segments_add_up(sfo):
    """Levels of a segment, with those not stated, hold all answers of the total unless a group is hidden."""
    rows = sfo.estimates.query("period == '2017-05' and kpi == 'nps'")
    for segment in ("boarding_area", "trip_purpose", "first_time_flyer", "age"):
        levels = rows[rows.segment == segment]
        assert len(levels) >= 3
        if (levels.suppressed == "no").all():
            assert levels.n.sum() == 2746


def test_pdf_passes_the_independent_check(sfo):
    """The real survey's PDF is accessible too."""
    assert pdfua.validate(str(sfo.pdf)).findings == ()


def test_benchmark_of_another_industry_is_refused(total):
    """No published NPS of airports exists in the reference, so none is shown."""
    assert pd.isna(total.loc[("nps", "")].benchmark_value)
