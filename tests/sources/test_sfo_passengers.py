"""The airport's public survey: the mapping reproduces figures that others published."""

from pathlib import Path

import pandas as pd
import pytest

from cxreport import sources
from cxreport.config import Project, load_dataset


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    """The delivered file and the published figures."""
    return shared / "data" / "sfo_2017"


@pytest.fixture(scope="module")
def staged(root: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The staged tables of the dataset `sfo`."""
    here = tmp_path_factory.mktemp("sfo")
    (here / "reports").mkdir()
    (here / "reports" / "datasets").symlink_to(root / "reports" / "datasets")
    project = Project(here)
    dataset = load_dataset(project, "sfo").model_copy(update={"raw": str(folder)})
    tables = sources.ingest(project, dataset)
    assert sources.last_complete_period(project, dataset, "month").id == "2017-05"
    return {name: pd.read_parquet(project.staged("sfo") / f"{name}.parquet") for name in tables}


def test_every_passenger_is_staged_without_a_fault(staged: dict[str, pd.DataFrame]) -> None:
    """All codes of the file have a meaning."""
    responses = staged["responses"]
    assert len(responses) == 2831
    assert responses["typing_fault"].isna().all()
    assert staged["answers"]["typing_fault"].isna().all()
    assert len(staged["answers"]) == 2831 * 22


def test_recommendation_matches_the_published_counts(staged: dict[str, pd.DataFrame]) -> None:
    """Code 11 is no promoter, and is told apart from the one empty cell."""
    answers = staged["answers"].query("question == 'nps'")
    assert answers["score"].count() == 2746
    assert (answers["score"] >= 9).sum() == 1436
    assert (answers["score"] <= 6).sum() == 342
    assert answers["missing_reason"].value_counts().to_dict() == {"blank (code 11)": 84, "blank": 1}


def test_daily_counts_match_the_published_ones(staged: dict[str, pd.DataFrame], folder: Path) -> None:
    """Days of the month become days of May 2017 in the airport's zone; the publication misdates two of them."""
    answers = staged["answers"].query("question == 'nps' and score.notna()")
    days = answers["responded_at"].dt.tz_convert("America/Los_Angeles").dt.strftime("%Y-%m-%d")
    published = pd.read_csv(folder / "published_thirdparty_agg_nps_daily.csv").set_index("date")["n_total"]
    astray = {"2017-06-05": "2017-05-05", "2017-08-15": "2017-05-15"}
    assert days.value_counts().to_dict() == published.rename(astray).groupby(level=0).sum().to_dict()


@pytest.mark.parametrize(
    ("block", "top"), [("q7", lambda score: score >= 4), ("q9", lambda score: score == 5)], ids=["rating", "clean"]
)
def test_items_match_the_published_figures(
    staged: dict[str, pd.DataFrame], folder: Path, block: str, top: "pd.Series[bool]"
) -> None:
    """Base, mean and top answers of every item, with `never used` and `blank` left out."""
    published = pd.read_csv(folder / f"published_thirdparty_agg_{block}_metrics.csv").set_index(f"{block}_item")
    scores = staged["answers"].dropna(subset="score").groupby("question")["score"]
    assert len(published) == (15 if block == "q7" else 6)
    for item, row in published.iterrows():
        found = scores.get_group(str(item).lower())
        assert len(found) == row["n"]
        assert found.mean() == pytest.approx(row["avg_score"], abs=1e-4)
        assert top(found).sum() == row["top2_n" if block == "q7" else "clean_n"]


def test_never_used_and_blank_are_different_reasons(staged: dict[str, pd.DataFrame]) -> None:
    """What a passenger did not use says something else than what was not filled in."""
    answers = staged["answers"].query("question in ['q7ltparking', 'q7all']")
    reasons = answers.groupby("question")["missing_reason"].value_counts().to_dict()
    assert reasons == {
        ("q7ltparking", "never used or visited"): 1816,
        ("q7ltparking", "blank"): 181,
        ("q7all", "blank"): 143,
    }


def test_segments_and_weights_are_staged(staged: dict[str, pd.DataFrame]) -> None:
    """Codes have become words, blanks are null, weights are numbers."""
    responses = staged["responses"]
    assert responses["first_time_flyer"].fillna("-").value_counts().to_dict() == {"No": 2208, "Yes": 599, "-": 24}
    assert responses["boarding_area"].nunique() == 7
    assert responses["age"].isna().sum() == 96
    assert responses["trip_purpose"].isna().sum() == 71
    assert responses["weight"].between(0.2, 4).all()
