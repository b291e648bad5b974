"""Published and recomputed examples, through the functions that reports use."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cxreport.config import Kpi
from cxreport.measure import estimate
from cxreport.measure.compare import benjamini_hochberg, mean_change, net_change, quantile_change, share_change
from cxreport.measure.intervals import net_interval, quantile_se, share_interval
from cxreport.measure.mix import kitagawa
from cxreport.measure.trend import signals, xmr_limits

_REVENUE = ("net_revenue_retention", "gross_revenue_retention")
Z95 = 1.959963984540054


def scores_of(counts: dict[str, int]) -> list[float]:
    """Return answers with so many promoters, passives and detractors."""
    passives = counts.get("passives", counts.get("pa", 0))
    return (
        [10.0] * counts.get("promoters", counts.get("p", 0))
        + [7.0] * passives
        + [3.0] * counts.get("detractors", counts.get("d", 0))
    )


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 7])
def test_nps_and_its_variance_equal_the_published_ones(number, examples, kpis):
    """The score and the variance of one answer are those of the author's package."""
    example = examples[f"nps_basic_{number}"]
    scores = example["inputs"]["scores"]
    row = estimate(pd.DataFrame({"score": scores, "metric": "nps"}), kpis["nps"]).iloc[0]
    variance = 0.0 if np.isnan(row["se"]) else row["se"] ** 2 * len(scores) / 1e4
    assert row["value"] / 100 == pytest.approx(example["expected"]["nps"], abs=example["abs_tolerance"])
    assert variance == pytest.approx(example["expected"]["variance"], abs=example["abs_tolerance"])


def test_nps_standard_error_equals_the_published_one(examples, kpis):
    """Of 1 detractor, 2 passives and 3 promoters."""
    example = examples["nps_se_123"]
    row = estimate(pd.DataFrame({"score": scores_of(example["inputs"]), "metric": "nps"}), kpis["nps"]).iloc[0]
    assert row["se"] / 100 == pytest.approx(example["expected"]["se"], abs=example["abs_tolerance"])


@pytest.mark.parametrize("name", ["10_20_70", "20_30_50", "0_0_10", "0_3_7", "250_250_500", "0_30_0"])
def test_nps_interval_is_adjusted_wald_and_score_where_a_class_is_empty(name, examples, kpis):
    """Both kinds of interval equal those of the author's code."""
    example = examples[f"nps_ci_{name}"]
    counts = example["inputs"]
    empty = 0 in (counts["detractors"], counts["passives"], counts["promoters"])
    row = estimate(pd.DataFrame({"score": scores_of(counts), "metric": "nps"}), kpis["nps"]).iloc[0]
    expected = example["expected"]["score" if empty else "adjusted_wald"]
    assert row["method"] == ("score" if empty else "adjusted Wald")
    assert [row["ci_low"] / 100, row["ci_high"] / 100] == pytest.approx(expected, abs=example["abs_tolerance"])


def test_nps_interval_keeps_the_covariance_of_the_classes(examples):
    """Treating promoters and detractors as independent gives a published, too narrow interval."""
    example = examples["nps_independence_trap"]
    low, high = net_interval(np.array([250.0]), np.array([75.0]), np.array([1000.0]), 0.95)
    wrong_low, wrong_high = example["expected"]["wrong_published"]
    assert high.item() - low.item() > 100 * (wrong_high - wrong_low)


def test_nps_difference_equals_the_published_one(examples):
    """The test of two nets by their adjusted counts, with its sign kept."""
    example = examples["nps_diff_adjwald"]
    frames = []
    for side in ("x", "y"):
        counts = example["inputs"][side]
        n = sum(counts.values())
        frames.append(pd.DataFrame({"p_top": [counts["p"] / n], "p_bottom": [counts["d"] / n], "base": [float(n)]}))
    change = net_change(*frames, 0.95)
    expected = example["expected"]
    assert change.low.item() / 100 == pytest.approx(expected["low"], abs=example["abs_tolerance"])
    assert change.high.item() / 100 == pytest.approx(expected["high"], abs=example["abs_tolerance"])
    assert change.p_value.item() == pytest.approx(expected["p"], abs=example["abs_tolerance"])


def test_unadjusted_nps_difference_equals_walds(examples):
    """Of a hundred answers on either side, where the adjustment matters little."""
    example = examples["nps_diff_wald"]
    sides = [example["inputs"][side] for side in ("x", "y")]
    frames = [pd.DataFrame({"p_top": [s["p"] / 100], "p_bottom": [s["d"] / 100], "base": [100.0]}) for s in sides]
    change, expected = net_change(*frames, 0.95, adjusted=False), example["expected"]
    found = [change.low.item() / 100, change.high.item() / 100, change.p_value.item()]
    assert found == pytest.approx([expected["low"], expected["high"], expected["p"]], abs=example["abs_tolerance"])


def test_net_revenue_retention_equals_the_published_one(examples, kpis):
    """Growth of those who stay counts, the loss of those who leave too; gross retention knows the loss alone."""
    example = examples["nrr_churnzero"]
    start, more, lost = (float(example["inputs"][name]) for name in ("start_mrr", "expansion", "churned"))
    people = pd.DataFrame({"start_value": [start - lost, lost], "end_value": [start - lost + more, 0.0]})
    people["kept_value"] = people.min(axis="columns")
    net, gross = (estimate(people, kpis[name])["value"].item() for name in _REVENUE)
    assert net == pytest.approx(example["expected"]["nrr"], abs=example["abs_tolerance"])
    assert gross == pytest.approx(0.815, abs=5e-4)


def test_every_example_is_tried(examples, root):
    """No example of the handbook is left aside: each stands in a test by its name, or by the stem of a series."""
    text = "".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("test_*.py"))
    stems = tuple(re.findall(r'examples\[f"([a-z_]+)\{', text))
    assert [name for name in examples if name not in text and not name.startswith(stems)] == []


@pytest.mark.parametrize("name", ["81_263", "15_148", "0_20", "9_10", "29_29"])
def test_share_interval_is_wilson(name, examples, kpis):
    """The interval of a share equals R's prop.test without continuity correction."""
    example = examples[f"wilson_{name}"]
    x, n = example["inputs"]["x"], example["inputs"]["n"]
    row = estimate(pd.DataFrame({"score": [5.0] * x + [1.0] * (n - x), "metric": "csat"}), kpis["csat"]).iloc[0]
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(example["expected"]["wilson"], abs=example["abs_tolerance"])


def test_share_difference_is_newcombes(examples):
    """Newcombe's example of 56 of 70 against 48 of 80."""
    example = examples["diff_prop_newcombe_56_70_48_80"]
    given = example["inputs"]
    now, before = (
        pd.DataFrame({"p_top": [given[f"x{i}"] / given[f"n{i}"]], "base": [float(given[f"n{i}"])]}) for i in (1, 2)
    )
    change = share_change(now, before, 0.95)
    ends = [change.low.item(), change.high.item()]
    assert ends == pytest.approx(example["expected"]["newcombe"], abs=example["abs_tolerance"])


@pytest.fixture
def schools(shared) -> pd.DataFrame:
    return pd.read_csv(shared / "methods" / "data" / "apistrat.csv")


@pytest.fixture
def weighted_mean(kpis) -> Kpi:
    return kpis["item_mean"].model_copy(
        update={"where": {}, "per_question": False, "scale": None, "column": "api00", "weight": "pw"}
    )


def test_weighted_mean_and_error_equal_survey_package(examples, schools, weighted_mean):
    """Weights only, as R's svymean gives them."""
    example = examples["svymean_weights_only"]
    row = estimate(schools, weighted_mean).iloc[0]
    assert row["value"] == pytest.approx(example["expected"]["mean"], abs=example["abs_tolerance"])
    assert row["se"] == pytest.approx(example["expected"]["se"], abs=example["abs_tolerance"])


def test_effective_base_is_kishs(examples, schools, weighted_mean):
    """Of the school sample and of a hand example."""
    example = examples["kish_apistrat"]
    assert estimate(schools, weighted_mean)["n_eff"].item() == pytest.approx(
        example["expected"]["n_eff"], abs=example["abs_tolerance"]
    )
    toy = examples["kish_toy"]
    frame = pd.DataFrame({"pw": toy["inputs"]["weights"]}).assign(api00=range(8))
    assert estimate(frame, weighted_mean)["n_eff"].item() == pytest.approx(
        toy["expected"]["n_eff"], abs=toy["abs_tolerance"]
    )


def test_weighted_net_equals_survey_package(examples, schools, kpis):
    """The weighted mean of -100, 0 and 100."""
    example = examples["weighted_nps_design"]
    scores = np.select([schools["api00"] >= 720, schools["api00"] < 620], [10.0, 0.0], 7.0)
    frame = pd.DataFrame({"score": scores, "metric": "nps", "weight": schools["pw"]})
    row = estimate(frame, kpis["nps_weighted"]).iloc[0]
    assert row["value"] == pytest.approx(example["expected"]["nps"], abs=example["abs_tolerance"])
    assert estimate(frame, kpis["nps"])["value"].item() == pytest.approx(example["expected"]["unweighted"])


def test_weighted_share_interval_is_wilson_on_the_effective_base(examples):
    """With the critical value of t, as R's survey 4.5 does."""
    example = examples["weighted_proportion_ci"]["expected"]
    t = 1.972079
    base = np.array([example["n_eff"]])
    ends = share_interval(example["p"] * base, base, t)
    assert [end.item() for end in ends] == pytest.approx(example["wilson_neff_t"], abs=1e-5)


def test_q_values_are_benjamini_hochbergs(examples):
    """The 1995 example: four rejections of fifteen."""
    example = examples["benjamini_hochberg_1995"]
    q = benjamini_hochberg(pd.Series([*example["inputs"]["p"], None]))
    assert q[:-1].tolist() == pytest.approx(example["expected"]["bh_adjusted"], abs=1e-8)
    assert (q < example["inputs"]["q"]).sum() == example["expected"]["bh"]
    assert np.isnan(q.iloc[-1])


def test_decomposition_equals_the_published_one(examples):
    """A renewal rate that falls by mix alone."""
    example = examples["kitagawa_renewal"]
    given = example["inputs"]
    levels = pd.DataFrame(
        {"share_before": given["share1"], "value_before": given["rate1"]}
        | {"share_after": given["share2"], "value_after": given["rate2"]}
    )
    effects = kitagawa(levels).sum()
    assert effects["mix_effect"] == pytest.approx(example["expected"]["composition"], abs=example["abs_tolerance"])
    assert effects["rate_effect"] == pytest.approx(example["expected"]["rate"], abs=example["abs_tolerance"])


def test_chart_limits_and_signals_equal_montgomerys(examples):
    """Loan costs: limits from twenty weeks, signals in weeks 39 and 40."""
    example = examples["xmr_montgomery_6_5"]
    values = example["inputs"]["values"]
    limits = xmr_limits(values[: example["inputs"]["baseline"]])
    expected = example["expected"]
    assert [limits.low, limits.mid, limits.high] == pytest.approx(
        [expected["lcl"], expected["mean"], expected["ucl"]], abs=example["abs_tolerance"]
    )
    fired = signals(values, limits)
    assert [i + 1 for i, signal in enumerate(fired) if signal and "usual range" in signal] == expected["signals_1based"]


def test_outlier_screening_changes_limits_as_the_nhs_tool_does(examples):
    """With and without the jump."""
    example = examples["xmr_nhs_outlier_screen"]
    for screen, name in ((True, "screened"), (False, "unscreened")):
        limits = xmr_limits(example["inputs"]["values"], screen=screen)
        expected = [example["expected"][name][0], example["expected"]["mean"], example["expected"][name][1]]
        # The tool writes 2.66 for 3 / 1.128.
        assert list(limits) == pytest.approx(expected, abs=example["abs_tolerance"] + 0.002)


@pytest.mark.parametrize("number", range(4))
def test_quantiles_are_of_type_7(number, examples, kpis):
    """Hyndman and Fan's type 7 of 1 to 10."""
    example = examples["quantile_types"]
    kpi = kpis["resolution_time"].model_copy(update={"quantile": example["inputs"]["probs"][number]})
    value = estimate(pd.DataFrame({"resolution_minutes": example["inputs"]["x"]}), kpi)["value"].item()
    assert value == pytest.approx(example["expected"]["type7"][number], abs=example["abs_tolerance"])


@pytest.mark.parametrize(
    ("first", "second", "se"),
    [
        (
            [32.1, 39.8, 26.3, 35.0, 43.1, 27.0, 40.9, 37.4, 34.0, 29.2],
            [36.8, 44.0, 47.1, 42.7, 49.0, 39.6, 46.2, 31.6, 33.1, 48.4],
            4.494993,
        ),
        ([32, 39, 26, 35, 43, 27, 40, 37, 34, 29], [36, 44, 47, 42, 49, 39, 46, 31, 33, 48], 4.316291),
    ],
)
def test_difference_of_medians_equals_bonett_and_price(first, second, se):
    """Two examples from the documentation of Bonett's R package statpsych (ci.median2)."""
    frames = []
    for values in (first, second):
        x = np.sort(np.asarray(values, dtype=float))
        error = quantile_se(x[[1]], x[[8]], np.array([10.0]), 0.5, 0.95)
        frames.append(pd.DataFrame({"value": [np.median(x)], "se": error}))
    change = quantile_change(*frames, 0.95)
    difference = np.median(first) - np.median(second)
    assert np.hypot(frames[0]["se"], frames[1]["se"]).item() == pytest.approx(se, abs=1e-6)
    assert change.low.item() == pytest.approx(difference - Z95 * se, abs=1e-5)


def test_difference_of_means_is_welchs():
    """As scipy computes it from the raw scores."""
    random = np.random.default_rng(3)
    now, before = random.integers(1, 8, 40), random.integers(2, 8, 25)
    frames = [
        pd.DataFrame({"value": [x.mean()], "se": [x.std(ddof=1) / len(x) ** 0.5], "df": [len(x) - 1]})
        for x in (now, before)
    ]
    change = mean_change(*frames, 0.95)
    test = stats.ttest_ind(now, before, equal_var=False)
    assert change.p_value.item() == pytest.approx(test.pvalue)
    assert [change.low.item(), change.high.item()] == pytest.approx(list(test.confidence_interval(0.95)))
