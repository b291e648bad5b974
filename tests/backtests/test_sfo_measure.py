"""The 2017 passenger survey of San Francisco's airport, against figures published from the same rows."""

from pathlib import Path

import pandas as pd
import pytest

from cxreport.config import Kpi, Project, load_kpis
from cxreport.measure import estimate


@pytest.fixture(scope="module")
def kpis(root: Path) -> dict[str, Kpi]:
    return load_kpis(Project(root))


@pytest.fixture(scope="module")
def survey(shared: Path) -> Path:
    return shared / "data" / "sfo_2017"


@pytest.fixture(scope="module")
def answers(survey: Path) -> pd.DataFrame:
    """One row per passenger and question; the survey's codes for blank and never used are missing answers."""
    wide = pd.read_csv(survey / "2017_SFO_Customer_Survey.csv", dtype=str)
    items = [name for name in wide if name.startswith(("Q7", "Q9")) and "COM" not in name]
    long = wide.melt(id_vars=["RESPNUM", "WEIGHT", "BAREA"], value_vars=["NETPRO", *items], var_name="question")
    long["score"] = pd.to_numeric(long["value"], errors="coerce")
    long["metric"] = long["question"].eq("NETPRO").map({True: "nps", False: "item"})
    low, high = long["metric"].map({"nps": 0, "item": 1}), long["metric"].map({"nps": 10, "item": 5})
    long["score"] = long["score"].where(long["score"].between(low, high))
    long["weight"] = long["WEIGHT"].astype(float)
    return long.rename(columns={"BAREA": "boarding_area"})


def published(survey: Path, name: str, key: str) -> pd.DataFrame:
    return pd.read_csv(survey / f"published_thirdparty_agg_{name}_metrics.csv", index_col=key)


def test_nps_equals_the_published_one(answers, kpis):
    """39.84 from 1,436 promoters and 342 detractors among 2,746 passengers."""
    row = estimate(answers, kpis["nps"]).iloc[0]
    assert (row["n"], row["n_top"], row["n_bottom"]) == (2746, 1436, 342)
    assert row["value"] == pytest.approx(39.8398, abs=1e-4)
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_weighted_nps_equals_the_one_computed_by_hand(answers, kpis):
    """40.40, with an effective base below the number of passengers."""
    row = estimate(answers, kpis["nps_weighted"]).iloc[0]
    assert row["value"] == pytest.approx(40.40, abs=0.005)
    assert row["n_eff"] < row["n"] == 2746


def test_items_equal_the_published_ones(answers, survey, kpis):
    """Base, mean and share of 4 and 5 of the fifteen ratings; base and mean of the six cleanliness ratings."""
    means = estimate(answers, kpis["item_mean"]).set_index("question")
    top_two = estimate(answers, kpis["item_top_two"]).set_index("question")
    ratings, cleanliness = published(survey, "q7", "q7_item"), published(survey, "q9", "q9_item")
    for expected in (ratings, cleanliness):
        found = means.loc[expected.index]
        assert found["n"].tolist() == expected["n"].tolist()
        assert found["value"].tolist() == pytest.approx(expected["avg_score"].tolist(), abs=1e-4)
    found = top_two.loc[ratings.index]
    assert found["n_top"].tolist() == ratings["top2_n"].tolist()
    assert (100 * found["value"]).tolist() == pytest.approx(ratings["top2_per100"].tolist(), abs=1e-4)
    assert len(means) == len(ratings) + len(cleanliness)


def test_boarding_areas_pool_to_the_published_nps(answers, kpis):
    """Their bases and counts add up to the airport's, although the mean of their scores does not."""
    areas = estimate(answers, kpis["nps"], by=["boarding_area"])
    assert areas[["n", "n_top", "n_bottom"]].sum().tolist() == [2746, 1436, 342]
    assert (areas["n"] * areas["value"]).sum() / areas["n"].sum() == pytest.approx(39.8398, abs=1e-4)
    assert areas["value"].mean() != pytest.approx(39.8398, abs=0.1)
