"""What is hidden in the sample company comes out of its report; nothing comes out of one without secrets."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from cxreport import sources, validate
from cxreport.config import Analyses, Project, load_dataset, load_report
from cxreport.measure import measure, read_analyses
from cxreport.periods import Period
from cxreport.sample import PLANTED, write_sample

SEPTEMBER = Period.parse(PLANTED.month)
MONTHS = 10  # as many as a model of churn takes that looks back 90 days
ASKED = {
    "trend": False,
    "drivers": {"kpi": "nps", "metrics": ["effort", "emotion", "success"]},
    "journey": {"kpi": "csat", "stages": ["join", "install", "use", "support", "pay", "leave"]},
    "consistency": {"nps": "channel", "csat": "plan"},
    "subgroups": {"kpi": "nps", "attributes": ["region", "plan", "channel", "language"]},
    "churn": {"horizon_days": 90, "window_days": 90},
    "link": {"kpi": "nps", "months_ago": 6},
    "actions": {},
}


class Measured:
    """The measured September of a company: its estimates, how the mix moved them, and its analyses."""

    def __init__(self, project: Project) -> None:
        folder = project.measured("monthly", SEPTEMBER)
        self.estimates, self.mix = (pd.read_parquet(folder / f"{name}.parquet") for name in ("estimates", "mix"))
        self.found = read_analyses(project, "monthly", SEPTEMBER)
        self.calls = folder / "lists" / "call_list.parquet"

    def status(self, name: str) -> str:
        return self.found["analyses"].set_index("analysis")["status"][name]

    def false_findings(self) -> dict[str, bool]:
        """Say of each family of tests at an error of 5 % whether it found anything."""
        verdicts = self.estimates[["verdict", "year_verdict"]].isin(["rose", "fell"]).any(axis=None)
        curve = self.found["curve"]["q_value"].lt(0.05).any()
        apart = self.found["consistency"].set_index("kpi")["p_value"].lt(0.05)
        link = self.found["link"]
        pair = link[(link["score_class"] == "promoter") & (link["other_class"] == "detractor")]
        return {
            "changes": bool(verdicts),
            "curve": bool(curve),
            "nps by channel": bool(apart["nps"]),
            "csat by plan": bool(apart["csat"]),
            "link": bool(pair["p_value"].lt(0.05).any()),
            **{name: self.status(name) == "done" for name in ("drivers", "subgroups", "journey", "churn", "actions")},
        }


def without_secrets(folder: Path, root: Path, seed: int = 20260901) -> Measured:
    """Measure a company in which nothing is planted."""
    shutil.copytree(root / "reports", folder / "reports", ignore=shutil.ignore_patterns("output"))
    for part in ("expectations", "data/reference"):
        shutil.copytree(root / part, folder / part)
    project = Project(folder)
    write_sample(project.sample, seed, MONTHS, planted=False)
    dataset = load_dataset(project, "sample")
    sources.ingest(project, dataset)
    assert dataset.as_of
    validate.validate(project, dataset, SEPTEMBER, dataset.as_of)
    report = load_report(project, "monthly").model_copy(
        update={
            "kpis": ["nps", "csat"],
            "headline": ["nps", "csat"],
            "segments": ["region", "plan", "channel", "stage", "touchpoint"],
            "mix_segments": ["channel"],
            "targets": {},
            "analyses": Analyses.model_validate(ASKED),
        }
    )
    measure(project, report, SEPTEMBER)
    shutil.rmtree(project.sample)
    return Measured(project)


@pytest.fixture(scope="module")
def halden(pack) -> Measured:
    """What the published report of the sample company says."""
    return Measured(pack.project)


@pytest.fixture(scope="module")
def placebo(root, tmp_path_factory) -> Measured:
    return without_secrets(tmp_path_factory.mktemp("placebo"), root)


# --- what is there is found ----------------------------------------------------------------------


def test_mix_shift_explains_the_fall(halden):
    """NPS fell although no channel did: all of the fall and more is the mix of the channels."""
    total = halden.mix[(halden.mix["segment"] == "channel") & (halden.mix["level"] == "all")].iloc[0]
    assert total["value_after"] - total["value_before"] < -PLANTED.nps_fall_points / 2
    assert total["mix_effect"] < total["value_after"] - total["value_before"]
    assert total["rate_effect"] > 0
    nps = halden.estimates[(halden.estimates["kpi"] == "nps") & (halden.estimates["period"] == SEPTEMBER.id)]
    assert nps.loc[nps["segment"] == "all", "verdict"].tolist() == ["fell"]
    assert not nps.loc[nps["segment"] == "channel", "verdict"].eq("fell").any()


def test_broken_touchpoint_is_the_worst_pain(halden):
    """The touchpoint that broke heads the list, nearly certainly among the first three, and its stage is a low."""
    worst = halden.found["pain_points"].iloc[0]
    assert worst["touchpoint"] == PLANTED.touchpoint
    assert worst["is_pain_point"]
    assert worst["top3_probability"] > 0.99
    curve = halden.found["curve"].set_index("stage")
    assert "install" in curve.index[(curve["relative"] < 0) & (curve["q_value"] < 0.05)]


def test_drivers_come_in_the_planted_order(halden):
    """Emotion explains more than success, and success more than effort."""
    assert tuple(halden.found["drivers"]["driver"]) == PLANTED.drivers
    assert halden.found["drivers"]["ci_low"].gt(0.05).all()


def test_channels_treat_customers_differently(halden):
    """The recommending of customers differs by channel beyond chance."""
    verdicts = halden.found["consistency"].set_index("kpi")["verdict"]
    assert verdicts["nps"] == "levels differ beyond chance"


def test_planted_subgroup_is_confirmed(halden):
    """The crossing of region and plan is below everybody else, beyond both of its parents."""
    found = halden.found["subgroups"]
    region, plan = PLANTED.subgroup
    crossing = found[(found["level"] == region) & (found["other_level"] == plan)].iloc[0]
    assert (crossing["status"], crossing["direction"]) == ("confirmed", "below")
    parents = found[(found["level"] == region) & found["other_level"].isna()]
    assert crossing["difference"] < parents["difference"].min() - 5


def test_leavers_are_foreseen_by_their_scores_and_tickets(halden):
    """The model is usable; low scores and tickets raise the risk, and a list of customers to call is made."""
    assert halden.status("churn") == "done"
    judged = halden.found["churn_judgement"].set_index("figure")
    assert judged.loc["auc", "ci_low"] > 0.55
    assert judged.loc["auc_gain", "ci_low"] > 0
    odds = halden.found["churn_drivers"].set_index("feature")
    assert odds.loc["last_nps", "ci_high"] < 1
    assert odds.loc["tickets_90_days", "ci_low"] > 1
    assert len(pd.read_parquet(halden.calls)) == 100


def test_detractors_leave_more_often(halden):
    """Promoters are retained better than detractors, with tenure, region and plan held fixed."""
    link = halden.found["link"]
    pair = link[(link["score_class"] == "promoter") & (link["other_class"] == "detractor")].iloc[0]
    assert pair["adjusted_ci_low"] > 0.02
    left = 1 - link[link["figure"] == "class"].set_index("score_class")["value"]
    assert left["detractor"] / left["promoter"] > 1.4


def test_only_the_action_that_works_is_said_to_work(halden):
    """One touchpoint improved by what was planted; the others did not, or cannot be judged, one as it is too new."""
    found = halden.found["actions"]
    assert found.loc[found["verdict"].isin(["improved", "worsened"]), "level"].tolist() == [PLANTED.improved]
    worked = found[found["level"] == PLANTED.improved].iloc[0]
    assert worked["ci_low"] < PLANTED.improvement_points / 100 < worked["ci_high"]
    assert worked["ci_low"] > 0.05
    assert not worked["moved_before"]
    assert found["verdict"].value_counts().to_dict() == {"improved": 1, "no detectable change": 3, "too early": 1}
    hidden = found[found["suppressed"] != "no"]
    assert hidden["level"].tolist() == [PLANTED.rare_language]
    assert hidden[["n_before", "n_after", "effect", "verdict"]].isna().all(axis=None)


# --- what is not there is not found --------------------------------------------------------------


def test_placebo_company_has_no_more_findings_than_stated(placebo):
    """Of ten families of tests at an error of 5 %, one or two may find something in a company without secrets."""
    found = [name for name, is_found in placebo.false_findings().items() if is_found]
    assert len(found) <= binom.ppf(0.99, 10, 0.05), found
    assert placebo.calls.exists() == ("churn" in found)


@pytest.mark.soak
def test_placebo_companies_have_as_many_findings_as_stated(root, tmp_path):
    """Over twelve companies without secrets, false findings are no more than 5 % of the tests explain."""
    counted = pd.DataFrame(list(_placebos(root, tmp_path, 12)))
    assert counted.to_numpy().sum() <= binom.ppf(0.999, counted.size, 0.05)
    assert np.all(counted.sum() <= binom.ppf(0.9999, len(counted), 0.05)), counted.sum().to_dict()


def _placebos(root: Path, folder: Path, number: int) -> Iterator[dict[str, bool]]:
    for seed in range(number):
        yield without_secrets(folder / str(seed), root, seed).false_findings()
        shutil.rmtree(folder / str(seed))
