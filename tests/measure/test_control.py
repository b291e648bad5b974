"""Chart limits are the published ones, and rules fire where they should and nowhere else."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.errors import UsageError
from cxreport.measure.control import RULES, Limits, laney_limits, p_limits, signals, xmr_limits

LIMITS = Limits(-3.0, 0.0, 3.0)


def outside(values, limits) -> list[int]:
    """Return the numbers, from 1, of the points beyond the limits."""
    return [i + 1 for i, name in enumerate(signals(values, limits)) if name and name.endswith("the usual range")]


# --- limits --------------------------------------------------------------------------------------


def test_xmr_chart_equals_montgomerys(examples):
    """Loan costs: limits from twenty weeks, signals in weeks 39 and 40."""
    example = examples["xmr_montgomery_6_5"]
    values, expected = example["inputs"]["values"], example["expected"]
    limits = xmr_limits(values[: example["inputs"]["baseline"]])
    assert list(limits) == pytest.approx([expected[name] for name in ("lcl", "mean", "ucl")], abs=1e-6)
    assert outside(values, limits) == expected["signals_1based"]


@pytest.mark.parametrize("name", ["pchart_montgomery_7_1", "pchart_montgomery_7_1_revised"])
def test_p_chart_equals_montgomerys(name, examples):
    """Orange juice cans: all samples set the limits, then all but the two that were out of control."""
    example = examples[name]
    counts, n = np.array(example["inputs"]["counts"]), example["inputs"]["n"]
    numbers = np.arange(1, len(counts) + 1)
    in_baseline = ~np.isin(numbers, example["inputs"].get("exclude_1based", []))
    limits = p_limits(counts, np.full(len(counts), n), in_baseline)
    expected = [example["expected"][end] for end in ("lcl", "centre", "ucl")]
    assert [limit[0] for limit in limits] == pytest.approx(expected, abs=example["abs_tolerance"])
    assert outside(counts / n, limits) == example["expected"]["signals_1based"]


def test_p_limits_narrow_with_the_base():
    """Twelve standard deviations of 0.05 on 100 are three on 1600; a point is judged by its own limits."""
    counts, bases = np.array([50, 60, 800, 960]), np.array([100, 100, 1600, 1600])
    limits = p_limits(counts, bases, np.array([True, False, True, False]))
    assert limits.high == pytest.approx([0.65, 0.65, 0.5375, 0.5375])
    assert outside(counts / bases, limits) == [4]


def test_limits_of_shares_stay_shares():
    """A share near an end of its range has a limit there, and the zones keep the width of the other side."""
    limits = p_limits([1, 1, 2], [20, 20, 20])
    assert limits.low.tolist() == [0, 0, 0]
    sigma = (limits.high[0] - limits.mid[0]) / 3
    assert signals([limits.mid[0] + 2.1 * sigma] * 2 + [0.07], limits)[1] is None
    assert signals([0.07] + [limits.mid[0] + 2.1 * sigma] * 2, limits)[2] == "2 of 3 near the upper limit"


def test_laney_limits_equal_the_xmr_chart_on_equal_bases():
    """Laney's p' chart without varying bases is the chart of individual shares."""
    counts = np.array([50, 61, 43, 55, 70, 38, 52, 49, 58, 47, 51, 66])
    laney, xmr = laney_limits(counts, np.full(12, 100)), xmr_limits(counts / 100, screen=False)
    assert [limit[0] for limit in laney] == pytest.approx(list(xmr))


def test_laney_limits_follow_their_definition_on_unequal_bases():
    """Recalculated step by step from the paper's formulas."""
    counts, bases = [45, 130, 40, 210, 90], [100, 250, 90, 400, 200]
    centre = sum(counts) / sum(bases)
    sigmas = [(centre * (1 - centre) / n) ** 0.5 for n in bases]
    z = [(x / n - centre) / sigma for x, n, sigma in zip(counts, bases, sigmas, strict=True)]
    sigma_z = sum(abs(after - before) for before, after in pairwise(z)) / 4 / 1.128
    limits = laney_limits(counts, bases)
    assert limits.high == pytest.approx([centre + 3 * sigma * sigma_z for sigma in sigmas])
    assert limits.low == pytest.approx([centre - 3 * sigma * sigma_z for sigma in sigmas])


def test_huge_bases_flag_everything_on_a_p_chart_and_not_on_laneys():
    """With 20,000 answers a month, a true share that moves by two points is not binomial."""
    random = np.random.default_rng(4)
    bases = np.full(36, 20_000)
    counts = random.binomial(bases, random.normal(0.6, 0.02, 36))
    assert len(outside(counts / bases, p_limits(counts, bases))) > 18
    assert len(outside(counts / bases, laney_limits(counts, bases))) <= 1


def test_point_without_answers_has_no_limits_and_no_signal():
    """A month in which nobody answered neither counts nor breaks the chart."""
    for limits_of in (p_limits, laney_limits):
        limits = limits_of([5, 0, 6, 5], [10, 0, 10, 10])
        assert np.isnan(limits.low).tolist() == [False, True, False, False]
        assert signals([0.5, np.nan, 0.6, 0.5], limits) == [None] * 4


@pytest.mark.parametrize("count", [0, 10])
def test_shares_that_never_vary_have_limits_without_width(count):
    """All or none: the limits are the share."""
    for limits_of in (p_limits, laney_limits):
        limits = limits_of([count] * 3, [10] * 3)
        assert all(limit.tolist() == [count / 10] * 3 for limit in limits)


@pytest.mark.parametrize(
    ("limits_of", "arguments"),
    [
        (xmr_limits, ([],)),
        (xmr_limits, ([1.0],)),
        (xmr_limits, ([1.0, np.nan, 2.0],)),
        (p_limits, ([], [])),
        (p_limits, ([3], [2])),
        (p_limits, ([-1], [2])),
        (p_limits, ([1, 1], [2])),
        (p_limits, ([0], [0])),
        (p_limits, ([1], [2], [False])),
        (laney_limits, ([1], [2])),
        (laney_limits, ([1, 0], [2, 0])),
    ],
)
def test_limits_of_too_little_are_refused(limits_of, arguments):
    """Without a range of two figures, or with impossible counts, there is an error and no warning."""
    with pytest.raises(UsageError):
        limits_of(*arguments)


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "last"),
    [
        ([0, 0, 3.1], "above the usual range"),
        ([0, 0, -3.1], "below the usual range"),
        ([0, 0, 3.0], None),
        ([0, 1, 1, 1, 1, 1, 1], None),
        ([1, 0.5, 1, 0.5, 1, 0.5, 1], "7 in a row above the usual middle"),
        ([-1, -0.5, -1, -0.5, -1, -0.5, -1], "7 in a row below the usual middle"),
        ([-1.5, -1, -0.5, 0.1, 0.5, 1, 1.5], "7 in a row rising"),
        ([1.5, 1, 0.5, -0.1, -0.5, -1, -1.5], "7 in a row falling"),
        ([-1, -0.5, 0.1, 0.5, 1, 1.5], None),
        ([2.5, 1, 2.5], "2 of 3 near the upper limit"),
        ([-2.5, -1, -2.5], "2 of 3 near the lower limit"),
        ([2.5, -1, 2.5], None),
        ([2.5, 2.5, 1], None),
        ([2.0, 1, 2.0], None),
    ],
)
def test_each_nhs_rule_fires_on_the_point_that_completes_it(values, last):
    """Beyond the limits, seven on one side, seven rising or falling, two of three in the outer third."""
    assert signals(values, LIMITS)[-1] == last
    assert not any(signals(values[:-1], LIMITS))


@pytest.mark.parametrize(
    ("values", "last"),
    [
        ([0, 0, 3.1], "above the usual range"),
        ([2.5, -1, 2.5], "2 of 3 near or above the upper limit"),
        ([-2.5, -1, -2.5], "2 of 3 near or below the lower limit"),
        ([1.5, 1.5, -1, 1.5, 1.5], "4 of 5 well above the usual middle"),
        ([-1.5, -1.5, 1, -1.5, -1.5], "4 of 5 well below the usual middle"),
        ([1.5, 1.5, 1.5, 1.5, -1], None),
        ([0.5] * 8, "8 in a row above the usual middle"),
        ([-0.5] * 8, "8 in a row below the usual middle"),
        ([-1.5, -1, -0.5, 0.1, 0.5, 0.6, 0.7], None),
    ],
)
def test_each_western_electric_rule_fires_on_the_point_that_completes_it(values, last):
    """Beyond three, two of three beyond two, four of five beyond one, eight on one side."""
    assert signals(values, LIMITS, "western electric")[-1] == last
    assert not any(signals(values[:-1], LIMITS, "western electric"))


def test_first_rule_of_the_set_names_the_point():
    """A point beyond the limits that also ends a run is beyond the limits."""
    assert signals([1, 1, 1, 1, 1, 1, 3.5], LIMITS)[-1] == "above the usual range"


def test_unknown_rules_name_the_nearest():
    """A misspelt set is refused."""
    with pytest.raises(UsageError, match="did you mean `nhs`"):
        signals([1.0], LIMITS, "nsh")


@pytest.mark.parametrize("value", [0.1, 0.7, 0.8, 0.81, 4.3, 33.3])
@pytest.mark.parametrize("months", [12, 13, 24, 30])
def test_rounding_is_no_signal(value, months):
    """The mean of equal figures differs from them in the last digit; that is not above or below."""
    limits = xmr_limits([value] * months)
    assert signals([value] * 8, limits) == [None] * 8
    assert signals([value, 1.1 * value], limits) == [None, "above the usual range"]


@pytest.mark.parametrize("rules", RULES)
@given(values=st.lists(st.floats(-5, 5), max_size=20))
def test_rules_do_not_depend_on_unit_or_direction(rules, values):
    """Mirrored figures have mirrored signals, another unit changes none, and per-point limits equal one triple."""
    values = np.round(values, 3)
    found = signals(values, LIMITS, rules)
    mirror = {rule.above: rule.below for rule in RULES[rules]} | {rule.below: rule.above for rule in RULES[rules]}
    assert signals(-values, LIMITS, rules) == [mirror.get(name) for name in found]
    assert signals(4 * values, Limits(*(4 * limit for limit in LIMITS)), rules) == found
    assert signals(values, Limits(*(np.full(len(values), limit) for limit in LIMITS)), rules) == found


# --- how often chance looks like a signal --------------------------------------------------------


@pytest.mark.parametrize(("rules", "low", "high"), [("nhs", 0.016, 0.022), ("western electric", 0.013, 0.019)])
def test_rate_of_false_alarms_per_point_is_the_stated_one(rules, low, high):
    """With known limits: one point in 50 for the NHS rules, one in 60 for Western Electric's."""
    noise = np.random.default_rng(11).normal(size=60_000)
    fired = np.array([name is not None for name in signals(noise, LIMITS, rules)])
    assert low < fired.mean() < high


def false_alarms(baseline: int, later: int, draws: int) -> float:
    """Return how often the last point of pure noise has a signal, by limits from its first points."""
    random = np.random.default_rng(baseline + later)
    noise = random.normal(size=(draws, baseline + later))
    return np.mean([signals(row, xmr_limits(row[:baseline]))[-1] is not None for row in noise])


def test_estimated_limits_raise_few_false_alarms_at_the_reported_point():
    """At most one reported figure in twenty of pure noise has a signal."""
    assert false_alarms(12, 1, 400) < 0.06
    assert false_alarms(24, 1, 400) < 0.05


@pytest.mark.soak
@pytest.mark.parametrize(
    ("baseline", "later", "low", "high"), [(12, 1, 0.025, 0.04), (24, 1, 0.017, 0.028), (24, 18, 0.03, 0.05)]
)
def test_rates_of_false_alarms_with_estimated_limits_are_the_stated_ones(baseline, later, low, high):
    """3 % of series of 13 figures, 2 % of 25, and 4 % once the limits are locked."""
    assert low < false_alarms(baseline, later, 6000) < high
