"""Funnels, scores along the journey, pain points and channels: by hand, as identities, and against simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cxreport.errors import UsageError
from cxreport.measure.journey import (
    channel_switching,
    consistency,
    emotional_curve,
    pain_points,
    stage_funnel,
    touchpoint_scores,
)

STAGES = ["discover", "buy", "use"]


def happened(*rows):
    events = pd.DataFrame(rows, columns=["customer_id", "stage", "occurred_at"])
    return events.assign(occurred_at=pd.to_datetime(events["occurred_at"]))


EVENTS = happened(
    ("a", "discover", "2026-01-01"),
    ("a", "buy", "2026-01-03"),
    ("a", "use", "2026-01-09"),
    ("b", "discover", "2026-01-02"),
    ("b", "discover", "2026-01-02"),
    ("c", "discover", "2026-01-02"),
    ("c", "use", "2026-01-02"),
    ("d", "buy", "2026-01-01"),
    ("d", "discover", "2026-01-05"),
    (None, "buy", "2026-01-04"),
    ("e", "use", None),
    ("f", None, "2026-01-04"),
)


# --- funnel --------------------------------------------------------------------------------------


def test_funnel_by_hand():
    """Repeats count once, stages may be skipped, going back is not going on, events without id or date are apart."""
    funnel = stage_funnel(EVENTS, STAGES).set_index("stage")
    assert funnel["n"].tolist() == [4, 2, 2]
    assert funnel["n_continued"].tolist() == [2, 1, 0]
    assert funnel["drop_off"].tolist()[:2] == [0.5, 0.5]
    assert funnel.loc["discover", ["ci_low", "ci_high"]].tolist() == pytest.approx(
        proportion_confint(2, 4, method="wilson")
    )
    assert funnel.loc["use", ["drop_off", "ci_low", "ci_high"]].isna().all()
    assert funnel["n_unidentified"].tolist() == [0, 1, 0]
    assert funnel["n_undated"].tolist() == [0, 0, 1]


def test_open_journeys_have_not_dropped_off():
    """With a window of three days, arrivals after the 6th are open on the 9th, and what comes later is too late."""
    funnel = stage_funnel(EVENTS, STAGES, window=pd.Timedelta(days=3)).set_index("stage")
    assert funnel["n_open"].tolist() == [0, 0, 1]
    assert funnel["n_continued"].tolist() == [2, 0, 0]
    early = stage_funnel(EVENTS, STAGES, window=pd.Timedelta(days=3), as_of=pd.Timestamp("2026-01-04")).set_index(
        "stage"
    )
    # a's window of the 1st is over on the 4th; b, c and d are still open.
    assert early.loc["discover", ["n", "n_open", "n_continued", "drop_off"]].tolist() == [4, 3, 1, 0]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(STAGES), st.integers(0, 9)), min_size=1, max_size=25)
)
@settings(max_examples=12)
def test_funnel_agrees_with_counting_journey_by_journey(rows):
    """An independent count with plain loops, whatever the order of the rows."""
    events = happened(*[(who, stage, f"2026-01-{day + 1:02d}") for who, stage, day in rows])
    funnel = stage_funnel(events.sample(frac=1, random_state=1), STAGES)
    for i, stage in enumerate(STAGES):
        first = {}
        for who, where, day in rows:
            if where == stage:
                first[who] = min(day, first.get(who, day))
        goes_on = {who for who, where, day in rows if who in first and where in STAGES[i + 1 :] and day >= first[who]}
        assert funnel.loc[i, ["n", "n_continued"]].tolist() == [len(first), len(goes_on)]


def test_an_empty_funnel_has_no_shares():
    """Without events there is nothing to divide by, and nothing warns."""
    funnel = stage_funnel(EVENTS.iloc[:0], STAGES, window=pd.Timedelta(days=1))
    assert funnel["n"].sum() == 0
    assert funnel[["drop_off", "ci_low", "ci_high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    "call",
    [
        lambda: stage_funnel(EVENTS, ["discover", "buy"]),
        lambda: stage_funnel(EVENTS, ["discover", "buy", "use", "use"]),
        lambda: stage_funnel(EVENTS.drop(columns="occurred_at"), STAGES),
        lambda: stage_funnel(EVENTS, STAGES, as_of=pd.Timestamp("2026-01-04")),
        lambda: channel_switching(EVENTS),
        lambda: consistency(pd.DataFrame({"value": [1.0]})),
    ],
)
def test_what_does_not_fit_is_refused(call):
    """Unknown and repeated stages, absent columns, and an instant without a window."""
    with pytest.raises(UsageError):
        call()


# --- scores --------------------------------------------------------------------------------------


def answered(seed=0, means=(8.5, 8.5, 6.5), n=(200, 150, 120), channels=("web",)):
    random = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "stage": stage,
                "touchpoint": [f"{stage} {i % 2}" for i in range(size)],
                "channel": random.choice(channels, size),
                "score": np.clip(np.round(random.normal(mean, 1.5, size)), 0, 10),
            }
        )
        for stage, mean, size in zip(STAGES, means, n, strict=True)
    ]
    rows = pd.concat(parts, ignore_index=True).assign(
        metric="nps", question="q", scale_low=0.0, scale_high=10.0, scale_good="high", weight=1.0
    )
    rows["customer_id"] = [f"c{i}" for i in range(len(rows))]
    return rows.assign(response_id=rows["customer_id"], period="2026-01")


@pytest.fixture
def nps(kpis):
    return kpis["nps"].model_copy(update={"where": {}, "weight": None})


def nets(rows):
    return 100 * ((rows["score"] >= 9).mean() - (rows["score"] <= 6).mean())


def test_touchpoints_are_scored_in_journey_order(nps):
    """Each score is the net of its own answers and the shares add up to one."""
    rows = answered()
    scores = touchpoint_scores(rows, nps, STAGES)
    assert scores["stage"].tolist() == [stage for stage in STAGES for _ in range(2)]
    assert scores["share"].sum() == pytest.approx(1)
    for _, row in scores.iterrows():
        assert row["value"] == pytest.approx(nets(rows[rows["touchpoint"] == row["touchpoint"]]))
    by_channel = touchpoint_scores(answered(channels=("app", "web")), nps, STAGES, by=("touchpoint", "channel"))
    assert by_channel["n"].sum() == len(rows)
    assert (by_channel["ci_low"] < by_channel["value"]).all()


def test_the_curve_swings_around_the_overall_score(nps):
    """The distances from the whole, weighted by the answers, add up to zero; the poor stage is below."""
    rows = answered()
    curve = emotional_curve(rows.sample(frac=1, random_state=2), nps, STAGES)
    assert curve["stage"].tolist() == STAGES
    assert curve["overall"].iloc[0] == pytest.approx(nets(rows))
    assert (curve["relative"] * curve["share"]).sum() == pytest.approx(0, abs=1e-9)
    assert (curve["q_value"] < 0.05).tolist() == [True, True, True]
    assert (np.sign(curve["relative_ci_low"]) == np.sign(curve["relative"])).all()
    assert (curve["relative_ci_low"] < curve["relative"]).all()
    assert (curve["relative"] < curve["relative_ci_high"]).all()


def test_a_single_stage_is_the_whole(nps):
    """It has a score, and no distance that could be tested; without answers there is no row."""
    rows = answered()
    curve = emotional_curve(rows[rows["stage"] == "buy"], nps, STAGES)
    assert curve["relative"].tolist() == pytest.approx([0])
    assert curve[["relative_ci_low", "p_value", "q_value"]].isna().all(axis=None)
    assert emotional_curve(rows.iloc[:0], nps, STAGES).empty


def test_a_quantile_has_no_curve(kpis):
    """Its parts do not add up."""
    with pytest.raises(UsageError):
        emotional_curve(answered(), kpis["resolution_time"], STAGES)


def test_the_interval_of_the_curve_agrees_with_influence_values(nps):
    """The error of a distance from the whole is the root of the summed squares of what each answer moves it by."""
    rows = answered(3)
    curve = emotional_curve(rows, nps, STAGES).set_index("stage")
    signed = 100.0 * ((rows["score"] >= 9).astype(float) - (rows["score"] <= 6))
    for stage, row in curve.iterrows():
        inside = (rows["stage"] == stage).astype(float)
        own = inside / inside.sum() * (signed - row["value"])
        rest = (1 - inside) / (1 - inside).sum() * (signed - signed[rows["stage"] != stage].mean())
        se = np.sqrt(((own - rest) ** 2).sum()) * (1 - row["share"])
        half = (row["relative_ci_high"] - row["relative_ci_low"]) / 2
        assert half == pytest.approx(1.97 * se, rel=0.02)


@pytest.mark.soak
def test_the_interval_of_the_curve_covers(nps):
    """Over 300 companies, the distance of a stage from the whole lies in its interval about 95 % of the time."""
    curves = [emotional_curve(answered(seed, n=(120, 100, 80)), nps, STAGES).set_index("stage") for seed in range(300)]
    true = np.mean([curve.loc["use", "relative"] for curve in curves])
    ends = ["relative_ci_low", "relative_ci_high"]
    covered = np.mean([low <= true <= high for low, high in (curve.loc["use", ends] for curve in curves)])
    assert 0.92 < covered < 0.99


# --- pain points ---------------------------------------------------------------------------------


def touchpoints(values, n, half, stages=None):
    n = np.asarray(n, dtype=float)
    values, half = np.asarray(values, dtype=float), np.asarray(half, dtype=float)
    return pd.DataFrame(
        {
            "stage": stages or ["use"] * len(n),
            "touchpoint": [f"t{i}" for i in range(len(n))],
            "share": n / n.sum(),
            "n": n,
        }
        | {"value": values, "ci_low": values - half, "ci_high": values + half}
    )


def test_pain_points_by_hand(nps):
    """Overall 27; t1 falls 37 short on a fifth of the answers, so reaching the mark would win 7.4 points."""
    table = pain_points(touchpoints([40, -10, 30], [500, 200, 300], [5, 8, 6]), nps)
    assert table["touchpoint"].tolist() == ["t1", "t0", "t2"]
    worst = table.iloc[0]
    assert worst["shortfall"] == pytest.approx(37)
    assert worst["impact"] == pytest.approx(7.4)
    # Standard error of 0.5 a + 0.3 c - 0.8 b.
    sd = np.array([5, 8, 6]) / stats.norm.ppf(0.975)
    se = np.sqrt(np.sum((np.array([0.5, 0.8, 0.3]) * sd) ** 2))
    assert worst["p_value"] == pytest.approx(2 * stats.norm.sf(37 / se))
    assert worst["impact_ci_low"] == pytest.approx((37 - 1.96 * se) * 0.2, abs=0.1)
    assert worst["impact_ci_high"] == pytest.approx((37 + 1.96 * se) * 0.2, abs=0.1)
    assert table["is_pain_point"].tolist() == [True, False, False]
    assert table["top3_probability"].iloc[0] == 1


def test_a_target_takes_the_place_of_the_overall_score(nps):
    """Shortfalls are then those to the target, and a lower-is-better score falls short above it."""
    table = pain_points(touchpoints([40, 10], [100, 100], [5, 5]), nps, target=30).set_index("touchpoint")
    assert table["shortfall"].to_dict() == {"t1": 20, "t0": 0}
    lower = nps.model_copy(update={"higher_is_better": False})
    table = pain_points(touchpoints([40, 10], [100, 100], [5, 5]), lower, target=30).set_index("touchpoint")
    assert table["shortfall"].to_dict() == {"t0": 10, "t1": 0}


def test_small_bases_are_hidden_or_marked(nps):
    """Below 10 nothing is shown, nor of a second touchpoint of the stage; below 30 nothing is ranked."""
    stages = ["buy", "buy", "buy", "use", "use"]
    table = pain_points(touchpoints([0, 50, 50, -50, 50], [5, 60, 80, 20, 300], [9, 9, 9, 9, 9], stages), nps)
    marked = table.set_index("touchpoint")
    assert marked["suppressed"].to_dict() == {"t0": "small base", "t1": "complementary"} | dict.fromkeys(
        ["t2", "t3", "t4"], "no"
    )
    assert (
        marked.loc[["t0", "t1"]]
        .drop(columns=["stage", "suppressed", "low_base", "is_pain_point"])
        .isna()
        .all(axis=None)
    )
    assert marked["low_base"].to_dict() == {"t0": False, "t1": False, "t2": False, "t3": True, "t4": False}
    assert marked.loc["t3", "impact"] > 0
    assert np.isnan(marked.loc["t3", "p_value"])
    assert not marked["is_pain_point"].any()


def test_pain_points_do_not_depend_on_row_order_and_need_rows(nps):
    """The same table from shuffled rows, an empty one from none, and no ranking of rows without an interval."""
    rows = touchpoints([40, -10, 30, 20], [500, 200, 300, 90], [5, 8, 6, 9])
    pd.testing.assert_frame_equal(pain_points(rows, nps, seed=3), pain_points(rows.iloc[::-1], nps, seed=3))
    assert pain_points(rows.iloc[:0], nps).empty
    flat = pain_points(rows.assign(ci_low=np.nan, ci_high=np.nan), nps)
    assert flat["p_value"].isna().all()
    assert not flat["is_pain_point"].any()


@pytest.mark.parametrize("runs", [40, pytest.param(500, marks=pytest.mark.soak)])
def test_equal_touchpoints_are_seldom_called_painful(nps, runs):
    """Without differences, at most about 5 % of the companies get a pain point."""
    random = np.random.default_rng(5)
    n = np.array([200, 300, 150, 250, 100])
    se = 80 / np.sqrt(n)
    calls = [
        pain_points(touchpoints(random.normal(30, se), n, 1.96 * se), nps, draws=50)["is_pain_point"].any()
        for _ in range(runs)
    ]
    assert np.mean(calls) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


# --- channels ------------------------------------------------------------------------------------


def channels(values, se, n=100):
    return pd.DataFrame({"value": values, "se": se, "n": n})


def test_consistency_by_hand():
    """Variance 200 less mean squared error 10 is 190; Q is 400 / 20."""
    result = consistency(channels([40.0, 20.0], [2.0, 4.0]))
    assert (result.range, result.tau2, result.q, result.df) == (20, pytest.approx(190), pytest.approx(20), 1)
    assert result.p_value == pytest.approx(stats.chi2.sf(20, 1))
    # With one degree of freedom the profile has a closed form: 400 / (20 + 2 t) = critical.
    low, high = ((400 / stats.chi2.isf(tail, 1) - 20) / 2 for tail in (0.025, 0.975))
    assert (result.tau_low, result.tau_high) == (pytest.approx(np.sqrt(low)), pytest.approx(np.sqrt(high)))


def test_channels_within_noise_are_alike():
    """Then the variance is floored at zero, and the interval begins there."""
    result = consistency(channels([31.0, 30.0, 29.5], [3.0, 3.0, 3.0]))
    assert (result.tau2, result.tau, result.tau_low) == (0, 0, 0)
    assert result.verdict == "no detectable difference"


def test_too_few_channels_have_no_verdict_on_differences():
    """Small channels and those without an error are left out."""
    result = consistency(channels([30.0, 40.0, 50.0], [3.0, 3.0, np.nan], [100, 9, 100]))
    assert (result.n_channels, result.verdict) == (1, "too few channels")
    assert np.isnan(result.tau)


@pytest.mark.parametrize("tau", [0.0, 8.0])
def test_consistency_finds_the_spread_that_is_there(tau):
    """On average tau2 before the floor is right, its interval covers, and equal channels are called alike."""
    random = np.random.default_rng(11)
    se = np.array([3.0, 4.0, 5.0, 3.5, 4.5, 6.0])
    results = [consistency(channels(30 + random.normal(0, tau, 6) + random.normal(0, se), se, 100)) for _ in range(120)]
    assert 0.9 < np.mean([each.tau_low <= tau <= each.tau_high for each in results]) <= 1
    unfloored = [each.observed_sd**2 - np.mean(se**2) for each in results]
    assert np.mean(unfloored) == pytest.approx(tau**2, abs=4 * np.std(unfloored) / np.sqrt(120))
    if tau == 0:
        assert np.mean([each.verdict.startswith("channels differ") for each in results]) < 0.1


def test_switching_by_hand():
    """a switches, b stays, c has one contact; a contact without a channel is counted apart."""
    contacts = pd.DataFrame(
        {"customer_id": [*"aabbcd", None], "channel": ["web", "phone", "app", "app", "web", None, "web"]}
    )
    table = channel_switching(contacts)
    assert table[["n", "n_switched", "n_left_out"]].to_numpy().tolist() == [[3, 1, 2], [2, 1, 2]]
    assert table["share"].tolist() == pytest.approx([1 / 3, 1 / 2])
    assert table.loc[1, ["ci_low", "ci_high"]].tolist() == pytest.approx(proportion_confint(1, 2, method="wilson"))
    assert channel_switching(contacts.iloc[:0])[["share", "ci_low", "ci_high"]].isna().all(axis=None)
