"""Raking and post-stratification: published tables, identities, caps and refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from cxreport.errors import UsageError
from cxreport.measure import survey
from cxreport.measure.survey import Design
from cxreport.measure.weights import post_stratify, rake, raked_mean

STYPE = {"E": 4421, "H": 755, "M": 1018}
SCHOOL_WIDE = {"No": 1072, "Yes": 5122}


def rows_of(counts: list[list[int]]) -> pd.DataFrame:
    """Return one row for each of the counted answers of a table."""
    table = np.array(counts)
    row, column = (np.repeat(index.ravel(), table.ravel()) for index in np.indices(table.shape))
    return pd.DataFrame({"row": row, "column": column})


def sampled(seed: int, n: int = 80) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Draw rows with base weights, and margins of a population of 1,000 that differs from them."""
    random = np.random.default_rng(seed)
    rows = pd.DataFrame({"plan": random.permutation(np.resize(list("xyz"), n)), "base": random.uniform(0.5, 2, n)})
    rows["region"] = random.permutation(np.resize(list("ppq"), n))
    rows["score"] = random.integers(0, 11, n).astype(float)
    totals = {"plan": random.dirichlet([9, 9, 9]), "region": random.dirichlet([9, 6])}
    margins = {
        column: dict(zip(sorted(rows[column].unique()), map(float, 1000 * shares), strict=True))
        for column, shares in totals.items()
    }
    return rows, margins


def margins_of(rows: pd.DataFrame, weights: pd.Series, column: str) -> dict[str, float]:
    return weights.groupby(rows[column]).sum().to_dict()


@pytest.mark.parametrize("name", ["raking_kalton_tableB", "raking_kalton_full"])
def test_raking_equals_the_published_table(name, examples):
    """Kalton and Flores-Cervantes' weights, to what was printed and to full precision."""
    example = examples[name]
    counts = example["inputs"]["sample_counts"]
    rows = rows_of(counts)
    margins = {
        "row": dict(enumerate(example["inputs"]["row_totals"])),
        "column": dict(enumerate(example["inputs"]["col_totals"])),
    }
    found = rake(rows, margins)
    cells = found.weights.groupby([rows["row"], rows["column"]]).agg(["min", "max"])
    assert cells["min"].to_numpy() == pytest.approx(cells["max"].to_numpy(), rel=1e-12)
    weights = cells["min"].to_numpy().reshape(np.shape(counts))
    expected = example["expected"]
    if "weights_2dp" in expected:
        assert weights.round(2) == pytest.approx(np.array(expected["weights_2dp"]), abs=example["abs_tolerance"])
    else:
        assert weights == pytest.approx(np.array(expected["weights"]), abs=example["abs_tolerance"])
        assert found.n_eff_after == pytest.approx(expected["n_eff"], abs=example["abs_tolerance"])
        assert found.n_eff_before == pytest.approx(len(rows))


def test_post_stratification_equals_the_published_table(examples):
    """Each cell's weight is its total over its count."""
    example = examples["poststratification_kalton_tableA"]
    rows = rows_of(example["inputs"]["sample_counts"])
    population = np.array(example["inputs"]["population_counts"])
    cells = {index: float(total) for index, total in np.ndenumerate(population)}
    found = post_stratify(rows, cells, ["row", "column"])
    weights = found.weights.groupby([rows["row"], rows["column"]]).first().to_numpy().reshape(population.shape)
    assert weights == pytest.approx(np.array(example["expected"]["weights_2dp"]), abs=example["abs_tolerance"])
    assert (found.rounds, found.capped) == (1, 0)


def test_raked_mean_and_total_equal_the_published_ones(shared):
    """The handbook's raked sample of school districts: 641.23 with error 23.704, and a total of 3,647,280."""
    districts = pd.read_csv(shared / "methods" / "data" / "apiclus1.csv")
    margins = {"stype": STYPE, "sch.wide": SCHOOL_WIDE}
    design = Design(weight="pw", cluster="dnum", population="fpc")
    found = raked_mean(districts, "api00", design, margins)
    assert [found.value, found.se] == pytest.approx([641.23, 23.704], abs=5e-3)
    raked = districts.assign(raked=rake(districts, margins, base="pw").weights)
    assert survey.total(raked, "enroll", Design(weight="raked")).value == pytest.approx(3_647_280, abs=1)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_raked_weights_meet_the_margins_and_keep_odds_ratios(seed):
    """Weight over base is a product of one factor for each margin."""
    rows, margins = sampled(seed)
    found = rake(rows, margins, base="base")
    for column, totals in margins.items():
        assert margins_of(rows, found.weights, column) == pytest.approx(totals)
    factors = np.log(found.weights / rows["base"])
    table = pd.crosstab(rows["plan"], rows["region"], values=factors, aggfunc="mean")
    assert (table["p"] - table["q"]).to_numpy() == pytest.approx((table["p"] - table["q"]).iloc[0])
    assert found.margin_error < 1e-8


def test_raking_to_the_sample_changes_nothing():
    """Margins that the base weights meet already leave them."""
    rows, _ = sampled(1)
    margins = {column: rows.groupby(column)["base"].sum().to_dict() for column in ("plan", "region")}
    found = rake(rows, margins, base="base")
    assert found.weights.to_numpy() == pytest.approx(rows["base"].to_numpy())
    assert found.rounds == 1


def test_order_of_rows_and_margins_does_not_matter():
    """Each row keeps its weight, on its index."""
    rows, margins = sampled(2)
    found = rake(rows, margins, base="base").weights
    shuffled = rake(rows.sample(frac=1, random_state=1), dict(reversed(margins.items())), base="base").weights
    assert shuffled.reindex(found.index).to_numpy() == pytest.approx(found.to_numpy(), rel=1e-7)


@given(st.integers(0, 10_000), st.floats(0.1, 0.8), st.floats(1.3, 3))
@settings(max_examples=25)
def test_cap_is_kept_and_margins_are_met_wherever_any_weights_could(seed, low, high):
    """Linear programming says whether there are weights within the cap that meet the margins."""
    rows, margins = sampled(seed)
    found = rake(rows, margins, base="base", cap=(low, high))
    ends = (low * 1000 / len(rows), high * 1000 / len(rows))
    assert found.weights.between(ends[0] - 1e-9, ends[1] + 1e-9).all()
    assert found.capped == sum(np.isclose(found.weights, end, rtol=1e-13).sum() for end in ends)
    indicators = np.array([rows[column] == level for column in margins for level in margins[column]], dtype=float)
    targets = [total for totals in margins.values() for total in totals.values()]
    can_be_met = linprog(np.zeros(len(rows)), A_eq=indicators, b_eq=targets, bounds=ends).status == 0
    assert (found.margin_error < 1e-6) == can_be_met


def test_cap_that_hinders_the_margins_is_reported():
    """Of 100 rows, one of a level that is half of the population: 4 times the mean is not enough."""
    rows = pd.DataFrame({"plan": ["rare"] + ["usual"] * 99})
    found = rake(rows, {"plan": {"rare": 50, "usual": 50}}, cap=(0.25, 4))
    assert found.weights.iloc[0] == pytest.approx(4)
    assert found.margin_error == pytest.approx(0.92)
    assert found.capped == 1
    free = rake(rows, {"plan": {"rare": 50, "usual": 50}})
    assert free.n_eff_after < found.n_eff_after < found.n_eff_before == 100


def test_raked_mean_is_more_precise_where_the_margin_explains():
    """Ignoring that the margins are known overstates the error; a column of the margin itself has none."""
    rows, margins = sampled(3)
    rows["explained"] = rows["plan"].map({"x": 0.0, "y": 5.0, "z": 10.0}) + rows["score"] / 10
    found = raked_mean(rows, "explained", Design(weight="base"), margins)
    raked = rows.assign(raked=rake(rows, margins, base="base").weights)
    fixed = survey.mean(raked, "explained", Design(weight="raked"))
    assert found.value == pytest.approx(fixed.value)
    assert found.se < fixed.se / 5
    exact = raked_mean(rows.assign(is_x=(rows["plan"] == "x").astype(float)), "is_x", Design(weight="base"), margins)
    assert exact.value == pytest.approx(margins["plan"]["x"] / 1000)
    assert np.isnan(exact.se)


def test_raked_mean_error_is_that_of_simulated_samples():
    """Over many samples of one population, the mean estimated error is the spread of the estimates."""
    random = np.random.default_rng(5)
    plan, region = random.choice(list("xyz"), 20_000, p=[0.5, 0.3, 0.2]), random.choice(list("pq"), 20_000)
    score = 3.0 * (plan == "x") + 2.0 * (region == "p") + random.normal(size=20_000)
    population = pd.DataFrame({"plan": plan, "region": region, "score": score})
    margins = {column: population[column].value_counts().to_dict() for column in ("plan", "region")}
    found = [
        raked_mean(population.iloc[random.choice(20_000, 150, replace=False)], "score", Design(), margins)
        for _ in range(200)
    ]
    spread = np.std([each.value for each in found])
    assert np.mean([each.se for each in found]) == pytest.approx(spread, rel=0.12)
    assert np.mean([each.value for each in found]) == pytest.approx(score.mean(), abs=4 * spread / np.sqrt(200))


def test_raked_mean_of_a_domain_and_of_nothing():
    """Missing answers lie outside; a domain without rows has no figure."""
    rows, margins = sampled(4)
    is_low = rows["score"] < 5
    found = raked_mean(rows, "score", Design(), margins, domain=is_low)
    missing = raked_mean(rows.assign(score=rows["score"].where(is_low)), "score", Design(), margins)
    assert found == missing
    assert found.n == is_low.sum()
    nothing = raked_mean(rows, "score", Design(), margins, domain=rows["score"] > 99)
    assert np.isnan([nothing.value, nothing.se]).all()
    assert "no rows" in nothing.note


def test_base_weight_of_zero_stays_zero():
    """And its row is not counted."""
    rows, margins = sampled(6)
    extra = rows.iloc[:7].assign(base=0.0)
    found = rake(pd.concat([rows, extra], ignore_index=True), margins, base="base", cap=(0.2, 5))
    alone = rake(rows, margins, base="base", cap=(0.2, 5))
    assert (found.weights.iloc[len(rows) :] == 0).all()
    assert found.weights.iloc[: len(rows)].to_numpy() == pytest.approx(alone.weights.to_numpy())
    assert found.n_eff_after == pytest.approx(alone.n_eff_after)


@pytest.mark.parametrize(
    ("margins", "message"),
    [
        ({}, "no margins"),
        ({"plan": {"x": 1, "y": 1}}, "27 rows without a level that has a total"),
        ({"plan": {"x": 1, "y": 1, "z": 1, "w": 1}}, "no row of positive weight for `w`"),
        ({"plan": {"x": 1, "y": 0, "z": 1}}, "not positive for `y`"),
        ({"plan": {"x": 1, "y": float("nan"), "z": 1}}, "not positive for `y`"),
        ({"plan": {"x": 1, "y": 1, "z": 1}, "region": {"p": 1, "q": 1}}, "3 for `plan`, 2 for `region`"),
        ({"plna": {"x": 1}}, "did you mean `plan`"),
    ],
)
def test_wrong_margins_are_refused(margins, message):
    """The message names the levels of the definition and counts rows."""
    rows = pd.DataFrame({"plan": np.resize(list("xyz"), 81), "region": np.resize(list("pq"), 81)})
    with pytest.raises(UsageError) as caught:
        rake(rows, margins)
    assert message in caught.value.found


def test_margins_that_no_weights_meet_are_refused():
    """All of plan x is in region p, but the totals want more x than p."""
    rows = pd.DataFrame({"plan": list("xxyy"), "region": list("ppqq")})
    with pytest.raises(UsageError, match="after 50 rounds"):
        rake(rows, {"plan": {"x": 3, "y": 1}, "region": {"p": 1, "q": 3}}, max_rounds=50)


def test_missing_labels_empty_cells_wrong_caps_and_no_rows_are_refused():
    """Each with what to do."""
    rows, margins = sampled(7)
    with pytest.raises(UsageError, match="1 rows without a level"):
        rake(rows.assign(plan=rows["plan"].where(rows.index > 0)), margins)
    for cap in ((1.5, 2), (0.5, 0.9), (-1, 2)):
        with pytest.raises(UsageError, match="times the mean weight"):
            rake(rows, margins, cap=cap)
    with pytest.raises(UsageError, match="no row of positive weight"):
        rake(rows.iloc[:0], margins)
    cells = pd.Series({("x", "p"): 1.0, ("x", "r"): 1.0})
    with pytest.raises(UsageError, match="in `plan` by `region`"):
        post_stratify(rows, cells, ["plan", "region"])
    with pytest.raises(UsageError, match="no cells"):
        post_stratify(rows, {}, ["plan"])
    with pytest.raises(UsageError, match="stand twice"):
        post_stratify(rows, pd.concat([cells, cells]), ["plan", "region"])


def test_post_stratification_by_one_column_is_raking_to_it():
    """From the same base weights, as one margin."""
    rows, margins = sampled(8)
    cells = {(level,): total for level, total in margins["plan"].items()}
    found = post_stratify(rows, cells, ["plan"], base="base")
    raked = rake(rows, {"plan": margins["plan"]}, base="base")
    assert found.weights.to_numpy() == pytest.approx(raked.weights.to_numpy())
