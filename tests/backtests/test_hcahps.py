"""Nine years of the US hospital survey (HCAHPS), as its agency published them.

Published are whole percentages after patient-mix adjustment; answers and bases are not. So the national figures can be
read, classed and compared, but neither recomputed from the states nor given an interval.
"""

import re
from pathlib import Path

import pandas as pd
import pytest

from cxreport.config import Kpi, Project, Scale, load_kpis
from cxreport.measure import estimate
from cxreport.measure.benchmarks import read_benchmarks

RATING = "H_HSP_RATING"
BOXES = ["bottom_box_percentage", "middle_box_percentage", "top_box_percentage"]
PUBLISHED = [71, 72, 73, 73, 73, 73, 73, 72, 70]


@pytest.fixture(scope="module")
def survey(shared: Path) -> Path:
    return shared / "data" / "hcahps"


@pytest.fixture(scope="module")
def national(survey: Path) -> pd.DataFrame:
    return pd.read_csv(survey / "national_results.csv")


@pytest.fixture(scope="module")
def states(survey: Path) -> pd.DataFrame:
    return pd.read_csv(survey / "state_results.csv")


@pytest.fixture(scope="module")
def top_box(root: Path, survey: Path) -> Kpi:
    """The share of top answers, with the top that the agency's own questionnaire states for the overall rating."""
    questions = pd.read_csv(survey / "questions.csv").set_index("measure_id")
    top = [float(answer) for answer in re.findall(r"\d+", questions.loc[RATING, "top_box_answer"])]
    share = load_kpis(Project(root))["item_top_two"]
    return share.model_copy(update={"scale": Scale(low=0, high=10, good="high"), "top": top})


def as_answers(figures: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return a hundred answers per row that fall into its three boxes: 0 to 6, 7 and 8, 9 and 10."""
    long = figures.melt(id_vars=keys, value_vars=BOXES, value_name="answers")
    long["score"] = long["variable"].map(dict(zip(BOXES, [6.0, 8.0, 9.0], strict=True)))
    answers = long.loc[long.index.repeat(long["answers"])]
    return answers.assign(metric="item", question=RATING)


def test_national_ratings_equal_the_published_ones(national, top_box):
    """The share of 9 and 10, by release: 71 in 2015, 73 in the middle years, 70 in 2023."""
    rating = national[national["measure_id"] == RATING]
    rows = estimate(as_answers(rating, ["release_period"]), top_box, by=["release_period"])
    found = rows.sort_values("release_period", key=lambda release: release.str[-4:])
    assert found["release_period"].str[-4:].tolist() == [str(year) for year in range(2015, 2024)]
    assert (100 * found["value"]).tolist() == pytest.approx(PUBLISHED)
    assert (found["n"] == 100).all()


def test_state_ratings_are_read_as_published(states, top_box):
    """Every state and release, through the same estimate; no state is lost."""
    rating = states[states["measure_id"] == RATING]
    keys = ["release_period", "State"]
    found = estimate(as_answers(rating, keys), top_box, by=keys).set_index(keys)["value"]
    expected = rating.set_index(keys)["top_box_percentage"]
    assert len(found) == len(expected) == 9 * 51 - 1  # one state did not report in 2016
    assert (100 * found.reindex(expected.index)).tolist() == pytest.approx(expected.tolist())


def test_boxes_of_every_figure_add_up(national, states):
    """Bottom, middle and top are all answers, so a net or a mean of boxes can be built from them."""
    for figures in (national, states):
        assert (figures[BOXES].sum(axis=1) == 100).all()
        assert not figures.duplicated([name for name in figures if name not in BOXES]).any()


def test_national_figures_lie_amid_the_states(national, states):
    """For each measure and release inside the middle 96 % of the states, and within a point of their plain mean."""
    keys = ["release_period", "measure_id"]
    by_measure = states.groupby(keys)["top_box_percentage"]
    figures = national.set_index(keys)["top_box_percentage"].sort_index()
    low, high, mean = by_measure.quantile(0.02), by_measure.quantile(0.98), by_measure.mean()
    assert figures.index.equals(mean.index)
    assert ((low <= figures) & (figures <= high)).all()
    assert (mean - figures).abs().max() < 1


def test_committed_benchmarks_equal_the_published_figures(root, survey, national):
    """Every national figure stands in the project's benchmarks, with its survey period and as a percentage."""
    benchmarks = read_benchmarks(Project(root))
    committed = benchmarks[benchmarks["metric"].str.startswith("hcahps_top_box:") & (benchmarks["n"] == "")]
    committed = committed.assign(measure_id=committed["metric"].str.removeprefix("hcahps_top_box:"))
    releases = pd.read_csv(survey / "reports.csv", index_col="release_period")
    windows = releases.apply(pd.to_datetime, format="%m/%d/%y").apply(lambda column: column.dt.strftime("%Y-%m-%d"))
    period = national["release_period"].map(windows["start_date"] + "/" + windows["end_date"])
    expected = national.assign(period=period).set_index(["measure_id", "period"])["top_box_percentage"]
    found = committed.set_index(["measure_id", "period"])["value"].reindex(expected.index)
    assert found.tolist() == expected.tolist()
    assert set(committed["unit"]) == {"percent"}
