"""Shares of explained variance add up, follow the published examples, and claim nothing on noise."""

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxreport.errors import UsageError
from cxreport.measure.drivers import MOST_FOR_LMG, NONE_DETECTABLE, johnson, key_drivers, lmg

DRIVERS = ["price", "speed", "tone"]


def respondents(n: int = 400, seed: int = 3, slopes: tuple[float, ...] = (0.2, 0.5, 1.0)) -> pd.DataFrame:
    """Answers to three correlated questions, and an outcome that they explain in part."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3)) + 0.7 * random.normal(size=(n, 1)) + [7.0, 8.0, 6.0]
    frame = pd.DataFrame(x, columns=DRIVERS)
    return frame.assign(nps=x @ slopes + random.normal(size=n) * 1.5)


def r2_of(x: np.ndarray, y: np.ndarray) -> float:
    """R2 by least squares."""
    model = np.column_stack([np.ones(len(y)), x])
    residuals = y - model @ np.linalg.lstsq(model, y, rcond=None)[0]
    return 1 - residuals.var() / y.var()


def lmg_by_definition(x: np.ndarray, y: np.ndarray) -> list[float]:
    """The Shapley value of R2, one regression per subset."""
    p = x.shape[1]
    parts = []
    for j in range(p):
        rest = [k for k in range(p) if k != j]
        subsets = [list(s) for size in range(p) for s in combinations(rest, size)]
        gains = [r2_of(x[:, [*s, j]], y) - r2_of(x[:, s], y) for s in subsets]
        chances = [factorial(len(s)) * factorial(p - 1 - len(s)) / factorial(p) for s in subsets]
        parts.append(float(np.dot(gains, chances)))
    return parts


def test_lmg_equals_the_published_example(shared, examples):
    """Fertility in Switzerland, as the R package relaimpo decomposes it."""
    example = examples["lmg_swiss"]
    swiss = pd.read_csv(shared / "methods" / example["inputs"]["file"], index_col=0)
    parts = lmg(swiss.drop(columns="Fertility"), swiss["Fertility"])
    assert parts.to_dict() == pytest.approx(example["expected"]["lmg"], abs=example["abs_tolerance"])
    assert parts.sum() == pytest.approx(example["expected"]["R2"], abs=example["abs_tolerance"])


def test_johnson_equals_the_published_example(shared, examples):
    """Fuel consumption of cars, as the R package rwa prints it."""
    example = examples["johnson_rw_mtcars"]
    cars = pd.read_csv(shared / "methods" / example["inputs"]["file"], index_col=0)
    weights = johnson(cars[example["inputs"]["x"]], cars["mpg"])
    assert weights.to_dict() == pytest.approx(example["expected"]["weights"], abs=example["abs_tolerance"])


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_lmg_is_the_shapley_value_of_r2(seed, p):
    """The branching over subsets gives what one regression per subset gives."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(25, p)) @ random.normal(size=(p, p))
    y = x.sum(axis=1) + 2 * random.normal(size=25)
    parts = lmg(pd.DataFrame(x), pd.Series(y))
    assert parts.tolist() == pytest.approx(lmg_by_definition(x, y), abs=1e-7)
    assert johnson(pd.DataFrame(x), pd.Series(y)).sum() == pytest.approx(r2_of(x, y), abs=1e-7)


@pytest.mark.parametrize("method", [lmg, johnson])
def test_shares_of_orthogonal_drivers_are_squared_correlations(method):
    """Without overlap there is nothing to divide."""
    random = np.random.default_rng(1)
    x = np.linalg.qr(np.column_stack([np.ones(50), random.normal(size=(50, 4))]))[0][:, 1:]
    y = x @ [1, -2, 3, 0] + random.normal(size=50) * 0.3
    squared = [np.corrcoef(column, y)[0, 1] ** 2 for column in x.T]
    assert method(pd.DataFrame(x), pd.Series(y)).tolist() == pytest.approx(squared, abs=1e-9)


@pytest.mark.parametrize("method", [lmg, johnson])
def test_shares_do_not_depend_on_units_or_order(method):
    """Scales, directions and the order of columns change nothing."""
    frame = respondents()
    parts = method(frame[DRIVERS], frame["nps"])
    rescaled = pd.DataFrame({"tone": 1e6 * frame["tone"], "price": -frame["price"], "speed": 1e5 + frame["speed"]})
    assert method(rescaled, 100 - frame["nps"])[DRIVERS].to_dict() == pytest.approx(parts.to_dict(), abs=1e-9)


def test_two_drivers_get_the_same_from_both_methods():
    """For two drivers relative weights equal LMG (Johnson 2000)."""
    frame = respondents()
    both = [method(frame[DRIVERS[:2]], frame["nps"]).tolist() for method in (lmg, johnson)]
    assert both[0] == pytest.approx(both[1], abs=1e-9)


@pytest.mark.parametrize("method", [lmg, johnson])
def test_drivers_that_hold_the_same_divide_its_share(method):
    """A copy adds no explained variance and is treated like its original; a constant gets nothing."""
    frame = respondents()
    x = frame[DRIVERS].assign(copy=2 * frame["tone"] + 1, flat=4.1)
    parts = method(x, frame["nps"])
    assert parts["copy"] == pytest.approx(parts["tone"])
    assert parts["flat"] == 0
    assert parts.sum() == pytest.approx(method(frame[DRIVERS], frame["nps"]).sum())


def test_constant_outcome_has_no_shares():
    """Nothing can be explained where nothing varies."""
    frame = respondents(50)
    assert lmg(frame[DRIVERS], pd.Series(4.1, frame.index)).isna().all()


def test_shares_refuse_gaps_and_too_many_drivers():
    """Whoever leaves rows out must do so knowingly, and say it."""
    frame = respondents(50)
    with pytest.raises(UsageError, match="missing"):
        johnson(frame[DRIVERS], frame["nps"].where(frame.index > 3))
    with pytest.raises(UsageError, match="0 drivers"):
        lmg(frame[[]], frame["nps"])
    with pytest.raises(UsageError, match="16 drivers"):
        lmg(pd.DataFrame(np.eye(50)[:, : MOST_FOR_LMG + 1]), frame["nps"])


def test_key_drivers_state_shares_model_and_base():
    """Shares add up to 1, parts to R2, and both agree with the plain functions and with least squares."""
    frame = respondents()
    frame.loc[:9, "tone"] = np.nan
    table = key_drivers(frame, "nps", DRIVERS, draws=200)
    complete = frame.dropna()
    parts = lmg(complete[DRIVERS], complete["nps"])
    r2 = r2_of(complete[DRIVERS].to_numpy(), complete["nps"].to_numpy())
    assert table["driver"].tolist() == ["tone", "speed", "price"]
    assert dict(zip(table["driver"], table["importance"], strict=True)) == pytest.approx(parts.to_dict())
    assert table["share"].sum() == pytest.approx(1)
    assert table["r2"].tolist() == pytest.approx([r2] * 3)
    assert table["r2_adjusted"].tolist() == pytest.approx([1 - (1 - r2) * 389 / 386] * 3)
    assert (table["p_value"] < 1e-9).all()
    assert ((table["ci_low"] < table["share"]) & (table["share"] < table["ci_high"])).all()
    assert set(table["n"]) == {390}
    assert set(table["method"]) == {"LMG"}
    assert table.set_index("driver")["performance"].to_dict() == pytest.approx(complete[DRIVERS].mean().to_dict())
    assert table["correlation"].iloc[0] == pytest.approx(np.corrcoef(complete["tone"], complete["nps"])[0, 1])


def test_p_value_is_that_of_the_regression():
    """The overall F test of least squares."""
    from statsmodels.regression.linear_model import OLS

    frame = respondents(60, slopes=(0.0, 0.1, 0.2))
    fit = OLS(frame["nps"], np.column_stack([np.ones(60), frame[DRIVERS]])).fit()
    table = key_drivers(frame, "nps", DRIVERS, draws=100)
    assert table["p_value"].iloc[0] == pytest.approx(fit.f_pvalue, rel=1e-6)
    assert table["r2_adjusted"].iloc[0] == pytest.approx(fit.rsquared_adj)


def test_bootstrap_equals_refits_of_drawn_rows():
    """Weighted sums of products stand for the rows that a draw repeats."""
    frame = respondents(80).sort_values("nps", ignore_index=True)
    table = key_drivers(frame, "nps", DRIVERS, draws=100, seed=5).set_index("driver")
    random, shares = np.random.default_rng(5), []
    for _ in range(100):
        drawn = frame.iloc[random.integers(80, size=80)]
        parts = lmg(drawn[DRIVERS], drawn["nps"])
        shares.append(parts / parts.sum())
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    assert table.loc[DRIVERS, "ci_low"].tolist() == pytest.approx(low)
    assert table.loc[DRIVERS, "ci_high"].tolist() == pytest.approx(high)


def test_result_does_not_depend_on_the_order_of_rows_or_drivers():
    """The same answers give the same bytes."""
    frame = respondents(120).assign(who=lambda rows: [f"c{i % 50}" for i in range(len(rows))])
    shuffled = frame.sample(frac=1, random_state=1).reset_index(drop=True)
    for cluster in (None, "who"):
        one = key_drivers(frame, "nps", DRIVERS, draws=100, cluster=cluster)
        other = key_drivers(shuffled, "nps", DRIVERS[::-1], draws=100, cluster=cluster)
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_whole_weights_count_rows():
    """A row of weight 2 is two rows, a row of weight 0 none."""
    frame = respondents(200).assign(weight=lambda rows: [i % 3 for i in range(len(rows))])
    weighted = key_drivers(frame, "nps", DRIVERS, draws=100, weight="weight")
    repeated = key_drivers(frame.loc[frame.index.repeat(frame["weight"])], "nps", DRIVERS, draws=100)
    for name in ("importance", "share", "correlation", "performance"):
        assert weighted[name].tolist() == pytest.approx(repeated[name].tolist())
    assert weighted["n"].iloc[0] == (frame["weight"] > 0).sum()


def test_clusters_widen_the_intervals():
    """Copies of a respondent are no further respondents."""
    frame = respondents(200).assign(who=range(200))
    copied = pd.concat([frame] * 4, ignore_index=True)
    width = {}
    for name, rows, cluster in (("once", frame, None), ("copies", copied, None), ("clusters", copied, "who")):
        table = key_drivers(rows, "nps", DRIVERS, draws=400, cluster=cluster)
        width[name] = (table["ci_high"] - table["ci_low"]).mean()
    assert width["clusters"] == pytest.approx(width["once"], rel=0.15)
    assert width["copies"] == pytest.approx(width["once"] / 2, rel=0.15)


def test_relative_weights_take_over_beyond_15_drivers():
    """The method is named, and shares still add up to 1."""
    random = np.random.default_rng(2)
    names = [f"d{i:02}" for i in range(MOST_FOR_LMG + 1)]
    frame = pd.DataFrame(random.normal(size=(200, len(names))), columns=names)
    table = key_drivers(frame.assign(y=frame["d03"] + random.normal(size=200)), "y", names, draws=100)
    assert set(table["method"]) == {"Johnson relative weights"}
    assert table["driver"].iloc[0] == "d03"
    assert table["share"].sum() == pytest.approx(1)


def test_quadrants_set_importance_against_performance():
    """Clear shares get a word by performance, and shares that reach the mean get none."""
    random = np.random.default_rng(4)
    names = ["a", "b", "c", "d", "e"]
    x = random.normal(size=(3000, 5))
    frame = pd.DataFrame(x, columns=names).assign(y=x @ [1.0, 1.0, 0.1, 0.1, 0.72] + random.normal(size=3000))
    performance = {"a": 0.4, "b": 0.8, "c": 0.4, "d": 0.8, "e": 0.4}
    table = key_drivers(frame, "y", names, draws=200, performance=performance).set_index("driver")
    expected = {"a": "fix first", "b": "keep up", "c": "low priority", "d": "possible overkill", "e": "unclear"}
    assert table["quadrant"].to_dict() == expected
    assert table["performance"].to_dict() == performance
    assert not table["note"].str.contains("check its direction").any()
    turned = key_drivers(frame.assign(a=-frame["a"]), "y", names, draws=200, performance=performance)
    turned = turned.set_index("driver")
    assert turned.loc["a", "quadrant"] == "unclear"
    assert "check its direction" in turned.loc["a", "note"]


def test_equal_performance_is_not_low():
    """Rounding of the mean must not put drivers below it."""
    frame = respondents()
    table = key_drivers(frame, "nps", DRIVERS, draws=100, performance=dict.fromkeys(DRIVERS, 4.1))
    assert set(table["quadrant"]) <= {"keep up", "possible overkill", "unclear"}


def _noise(seed: int, n: int = 60) -> pd.DataFrame:
    """Scores, weights and people that have nothing to do with the outcome."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(n), 3)
    scores = np.clip(np.round(4 + random.normal(size=(n, 3))[person] + random.normal(size=(3 * n, 3))), 1, 5)
    frame = pd.DataFrame(scores, columns=DRIVERS)
    frame["y"] = np.clip(np.round(random.exponential(2, n)[person] + random.normal(size=3 * n)), 0, 10)
    return frame.assign(weight=random.lognormal(0, 0.5, 3 * n), person=person)


def _rates_of_claims(seeds: range) -> dict[str, float]:
    claims = dict.fromkeys(("rows", "weights", "people"), 0)
    for seed in seeds:
        frame = _noise(seed)
        one_each = frame.drop_duplicates("person")
        for name, rows, options in (
            ("rows", one_each, {}),
            ("weights", one_each, {"weight": "weight"}),
            ("people", frame, {"cluster": "person"}),
        ):
            note = key_drivers(rows, "y", DRIVERS, draws=100, **options)["note"].iloc[0]
            claims[name] += not note.startswith(NONE_DETECTABLE)
    return {name: number / len(seeds) for name, number in claims.items()}


def test_noise_has_no_detectable_drivers():
    """At 95 % confidence about one in twenty frames of noise may claim something: of 40, not more than 6."""
    assert max(_rates_of_claims(range(40)).values()) <= 6 / 40


@pytest.mark.soak
def test_noise_claims_drivers_at_the_stated_rate():
    """At 95 % confidence 5 % of frames of noise do; weighted and clustered tests may claim fewer."""
    rates = _rates_of_claims(range(2000))
    assert rates["rows"] == pytest.approx(0.05, abs=0.015)
    assert all(0.01 < rate < 0.065 for rate in rates.values())


def test_undetected_model_shows_no_shares():
    """Parts of an R2 that chance explains are not handed out."""
    frame = respondents(100, slopes=(0.0, 0.0, 0.0))
    table = key_drivers(frame, "nps", DRIVERS, draws=100)
    assert table["note"].tolist() == [NONE_DETECTABLE] * 3
    assert table[["share", "ci_low", "ci_high", "quadrant"]].isna().all(axis=None)
    assert (table["p_value"] > 0.05).all()
    assert table["importance"].sum() == pytest.approx(table["r2"].iloc[0])


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda frame: frame.iloc[:0], "too few complete rows: 0, 30 are needed"),
        (lambda frame: frame.iloc[:29], "too few complete rows: 29, 30 are needed"),
        (lambda frame: frame.assign(tone=np.nan), "too few complete rows: 0, 30 are needed"),
        (lambda frame: frame.assign(tone=None), "too few complete rows: 0, 30 are needed"),
        (lambda frame: frame.assign(nps=4.1), "constant outcome: nothing to explain"),
    ],
)
def test_data_that_cannot_answer_say_so(change, note):
    """No figure, one stated reason, one row per driver."""
    table = key_drivers(change(respondents()), "nps", DRIVERS)
    assert table["driver"].tolist() == DRIVERS
    assert table["note"].tolist() == [note] * 3
    assert table.drop(columns=["driver", "n", "note"]).isna().all(axis=None)


def test_few_clusters_are_too_few():
    """Many answers of few people are no base."""
    frame = respondents().assign(who=lambda rows: rows.index % 20)
    table = key_drivers(frame, "nps", DRIVERS, cluster="who")
    assert set(table["note"]) == {"too few clusters with complete rows: 20, 30 are needed"}


def test_constant_driver_is_named_and_the_others_are_measured():
    """It takes no share and no part in the means."""
    frame = respondents().assign(flat=4.1)
    table = key_drivers(frame, "nps", [*DRIVERS, "flat"], draws=100)
    assert table["driver"].iloc[-1] == "flat"
    assert table["note"].iloc[-1] == "constant: tells nothing about the outcome"
    assert table[["importance", "share", "ci_low"]].iloc[-1].isna().all()
    assert table["share"].sum() == pytest.approx(1)


def test_collinear_drivers_are_named():
    """A copy divides the share of its original, and both rows say so."""
    frame = respondents().assign(copy=lambda rows: 2 * rows["tone"])
    table = key_drivers(frame, "nps", [*DRIVERS, "copy"], draws=100).set_index("driver")
    assert table["note"].str.contains("collinear").to_dict() == {
        "copy": True,
        "price": False,
        "speed": False,
        "tone": True,
    }
    assert table.loc["copy", "share"] == pytest.approx(table.loc["tone", "share"])


def test_single_driver_has_no_interval():
    """Its share is 1 whatever the data, which is no finding."""
    row = key_drivers(respondents(), "nps", ["tone"]).iloc[0]
    assert row["share"] == 1
    assert np.isnan(row["ci_low"])
    assert "by construction" in row["note"]


def test_perfect_fit_and_rare_answers_give_figures():
    """An outcome that the drivers determine, and a driver that few draws contain."""
    frame = respondents(100).assign(nps=lambda rows: rows[DRIVERS].sum(axis=1), rare=lambda rows: rows.index == 0)
    frame["weight"] = 1.0
    for weight in (None, "weight"):
        table = key_drivers(frame, "nps", [*DRIVERS, "rare"], draws=100, weight=weight)
        assert table["r2"].iloc[0] == pytest.approx(1)
        assert table["p_value"].iloc[0] < 1e-6
        assert table[["share", "ci_low", "ci_high"]].notna().all(axis=None)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"drivers": ["price", "sped"]}, "did you mean `speed`"),
        ({"drivers": ["price", "price"]}, "named twice"),
        ({"drivers": ["price", "nps"]}, "named twice"),
        ({"drivers": []}, "no drivers"),
        ({"drivers": ["price", "text"]}, "`text` with text"),
        ({"drivers": ["price", "endless"]}, "`endless` with text"),
        ({"weight": "minus"}, "negative weights"),
        ({"draws": 10}, "10 draws"),
        ({"confidence": 95}, "confidence 95"),
        ({"performance": {"price": 4.0}}, "no performance of `speed`"),
    ],
)
def test_questions_that_make_no_sense_are_refused(options, found):
    """Wrong columns and settings are named."""
    frame = respondents(50).assign(text="a", endless=np.inf, minus=-1.0)
    asked = {"drivers": ["price", "speed"]} | options
    with pytest.raises(UsageError, match=found):
        key_drivers(frame, "nps", **asked)
