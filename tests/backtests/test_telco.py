"""A telephone company's churn, against the figures published from the same rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from cxreport.config import Kpi, Project, Scale, load_kpis
from cxreport.measure import estimate
from cxreport.measure.cohorts import log_rank, survival_at, survival_by_group, survival_curve, survival_quantile

CONTRACTS = ["Month-to-month", "One year", "Two year"]


@pytest.fixture(scope="module")
def customers(shared: Path) -> pd.DataFrame:
    rows = pd.read_csv(shared / "data" / "telco" / "Telco-Customer-Churn.csv")
    return rows.assign(has_left=rows["Churn"].eq("Yes"))


@pytest.fixture(scope="module")
def churn(root: Path) -> Kpi:
    """The share of customers that left: 1 of 0 and 1, where 0 is good."""
    share = load_kpis(Project(root))["item_top_two"]
    scale = Scale(low=0, high=1, good="low")
    return share.model_copy(update={"scale": scale, "top": [1.0], "higher_is_better": False})


def as_scores(customers: pd.DataFrame) -> pd.DataFrame:
    return customers.assign(score=customers["has_left"].astype(float), metric="item", question="churn")


def counted(customers: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    both = customers.assign(events=customers["has_left"].astype(int), censored=(~customers["has_left"]).astype(int))
    return both.groupby([*keys, "tenure"], as_index=False)[["events", "censored"]].sum()


def test_churn_equals_the_published_one(customers, churn):
    """26.54 %: 1,869 of 7,043."""
    row = estimate(as_scores(customers), churn).iloc[0]
    assert (row["n_top"], row["n"]) == (1869, 7043)
    assert 100 * row["value"] == pytest.approx(26.54, abs=0.005)
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_churn_by_contract_equals_the_published_one(customers, churn):
    """42.71, 11.27 and 2.83 %, which pool to the total by their bases and not by their mean."""
    rows = estimate(as_scores(customers), churn, by=["Contract"]).set_index("Contract").loc[CONTRACTS]
    assert (100 * rows["value"]).tolist() == pytest.approx([42.71, 11.27, 2.83], abs=0.005)
    assert rows[["n_top", "n"]].sum().tolist() == [1869, 7043]
    assert 100 * rows["value"].mean() != pytest.approx(26.54, abs=1)


def test_retention_by_contract_equals_an_independent_curve(customers):
    """Twelve months on: shares, errors and risk sets as statsmodels gives them, contract by contract."""
    rows = survival_by_group(counted(customers, ["Contract"]), ["Contract"], "tenure", at=[12, 24, 60])
    for contract, cases in customers.groupby("Contract"):
        other = SurvfuncRight(cases["tenure"], cases["has_left"].astype(int))
        for month in (12, 24, 60):
            found = rows[(rows["Contract"] == contract) & (rows["at"] == month)].iloc[0]
            assert found["at_risk"] == (cases["tenure"] >= month).sum()
            events_until = np.searchsorted(other.surv_times, month, side="right")
            if events_until:
                assert found["value"] == pytest.approx(other.surv_prob[events_until - 1])
                assert found["se"] == pytest.approx(other.surv_prob_se[events_until - 1])
            else:
                assert (found["value"], contract) == (1, "Two year")


def test_longer_contracts_keep_customers_longer(customers):
    """In order at one, two and five years, with intervals apart; only half of the monthly customers leave in time."""
    rows = survival_by_group(counted(customers, ["Contract"]), ["Contract"], "tenure", at=[12, 24, 60], quantiles=[0.5])
    for _, at_month in rows[rows["statistic"] == "survival"].groupby("at"):
        ordered = at_month.set_index("Contract").loc[CONTRACTS]
        assert ordered["value"].is_monotonic_increasing
        assert (ordered["ci_high"].iloc[:-1].to_numpy() < ordered["ci_low"].iloc[1:].to_numpy()).all()
    median = rows[rows["statistic"] == "quantile"].set_index("Contract")
    assert median.loc["Month-to-month", "value"] < 72
    assert median.loc[["One year", "Two year"], "value"].isna().all()


def test_log_rank_tells_contracts_apart_and_men_from_women_not(customers):
    """A statistic in the thousands for contracts; for gender, less than chance would often give."""
    contracts = log_rank(customers["tenure"], customers["has_left"], customers["Contract"])
    assert contracts.df == 2
    assert contracts.statistic > 1000
    gender = log_rank(customers["tenure"], customers["has_left"], customers["gender"])
    assert gender.p_value > 0.05
    assert gender.p_value == pytest.approx(stats.chi2.sf(gender.statistic, 1))


def test_share_lost_is_no_rate_of_churn(customers):
    """The published 26.54 % mixes tenures: fewer leave within a year, more within six, and never half of them."""
    curve = survival_curve(customers["tenure"], customers["has_left"])
    within_year, within_six = (1 - survival_at(curve, month).value for month in (12, 72))
    assert within_year < customers["has_left"].mean() < within_six
    assert np.isnan(survival_quantile(curve, 0.5).value)
