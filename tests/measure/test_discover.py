"""Planted subgroups are found, parents speak for their crossings, and nothing is confirmed where nothing is."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cxreport.errors import UsageError
from cxreport.measure.discover import _is_held_back, find_subgroups, members

ATTRIBUTES = ["region", "plan", "channel"]
NET = {"kind": "net", "top": [9, 10], "bottom": list(range(7))}
KINDS = [NET, {"kind": "share", "top": [9, 10]}, {"kind": "mean"}]


def survey(seed, n=2000, customers=None, poor=None, chance=0.5):
    """Answers of which those of one subgroup fall to 0-4 with some chance; two of a customer are alike."""
    random = np.random.default_rng(seed)
    who = random.integers(0, customers, n) if customers else np.arange(n)
    people = pd.DataFrame({"plan": random.choice(["basic", "plus", "gold"], who.max() + 1)})
    people["region"] = random.choice(["north", "south", "central"], len(people))
    people["mood"] = random.normal(0, 1.5, len(people))
    rows = people.iloc[who].reset_index(drop=True).assign(customer_id=[f"c{i}" for i in who])
    rows["channel"] = random.choice(["web", "app"], n)
    rows["score"] = np.clip(np.round(7.5 + rows["mood"] + random.normal(0, 1, n)), 0, 10)
    if poor:
        hit = np.logical_and.reduce([rows[name] == level for name, level in poor.items()]) & (random.random(n) < chance)
        rows.loc[hit, "score"] = random.integers(0, 5, hit.sum())
    return rows


@pytest.mark.parametrize("how", KINDS, ids=lambda how: how["kind"])
def test_a_planted_level_is_confirmed_and_its_crossings_are_not_listed(how):
    """The parent tells it: nothing that crosses the poor region with another attribute adds to it."""
    found = find_subgroups(survey(1, poor={"region": "central"}), "score", ATTRIBUTES, **how)
    confirmed = found[found["status"] == "confirmed"]
    assert confirmed["description"].iloc[0] == "region = central"
    assert confirmed["direction"].iloc[0] == "below"
    assert not confirmed["description"].str.contains(" and ").any()


@pytest.mark.parametrize("how", KINDS, ids=lambda how: how["kind"])
def test_a_planted_crossing_is_confirmed(how):
    """It differs from both levels that it crosses, and its interval lies below zero."""
    rows = survey(2, n=3000, poor={"region": "central", "plan": "basic"}, chance=0.7)
    found = find_subgroups(rows, "score", ATTRIBUTES, **how).set_index("description")
    row = found.loc["region = central and plan = basic"]
    assert row["status"] == "confirmed"
    assert row["ci_high"] < 0
    assert row["difference"] == pytest.approx(row["value"] - row["rest_value"])
    assert row["n"] == ((rows["region"] == "central") & (rows["plan"] == "basic")).sum()
    assert row["share"] == pytest.approx(row["n"] / len(rows))


def test_members_are_the_customers_of_the_subgroup():
    """Each once, in order, and of the whole frame."""
    rows = survey(2, n=3000, customers=1500, poor={"region": "central"})
    found = find_subgroups(rows, "score", ATTRIBUTES, kind="mean")
    expected = sorted(set(rows.loc[rows["region"] == "central", "customer_id"]))
    assert members(rows, found.set_index("description", drop=False).loc["region = central"]) == expected


def test_figures_come_from_the_half_held_back():
    """With one answer each they are Welch's t on the customers whom the split kept back, who are about half."""
    rows = survey(4, poor={"region": "central"})
    found = find_subgroups(rows, "score", ["region"], kind="mean", depth=1, seed=8)
    row = found.set_index("description").loc["region = central"]
    assert 0.4 < row["n_held_back"] / row["n"] < 0.6
    held = _is_held_back(rows["customer_id"], 8)
    inside, outside = (
        rows.loc[held & side, "score"] for side in (rows["region"] == "central", rows["region"] != "central")
    )
    welch = stats.ttest_ind(inside, outside, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert row["p_value"] == pytest.approx(welch.pvalue)
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_answers_of_a_customer_stay_together():
    """The split goes by customer, and another seed splits otherwise."""
    ids = pd.Series([f"c{i % 300}" for i in range(900)])
    held = pd.Series(_is_held_back(ids, 1))
    assert held.groupby(ids).mean().isin([0, 1]).all()
    assert 0.4 < held.mean() < 0.6
    assert (held.to_numpy() != _is_held_back(ids, 2)).any()


def test_repeated_answers_are_no_evidence():
    """Everybody's answer three times over: the same difference, the same interval and p-value as once."""
    once = survey(5, n=1500, poor={"region": "central"})
    thrice = pd.concat([once] * 3, ignore_index=True)
    for how in KINDS:
        a, b = (find_subgroups(rows, "score", ["region"], depth=1, **how) for rows in (once, thrice))
        assert a["description"].tolist() == b["description"].tolist()
        assert b["difference"].tolist() == pytest.approx(a["difference"].tolist())
        for name in ("ci_low", "ci_high"):
            assert b[name].tolist() == pytest.approx(a[name].tolist(), rel=0.01)


def test_row_order_and_repeats_of_attributes_do_not_matter():
    """The same table, byte for byte."""
    rows = survey(6, customers=1200, poor={"plan": "gold"})
    expected = find_subgroups(rows, "score", ATTRIBUTES, **NET)
    shuffled = find_subgroups(rows.sample(frac=1, random_state=3), "score", [*ATTRIBUTES, "plan"], **NET)
    pd.testing.assert_frame_equal(shuffled, expected, check_exact=True)
    assert shuffled.attrs == expected.attrs


def test_both_halves_of_a_division_are_one_subgroup():
    """Of two levels one is tested, and a column that says the same again adds nothing."""
    rows = survey(7).assign(again=lambda rows: rows["channel"].str.upper())
    assert find_subgroups(rows, "score", ["channel"], kind="mean", depth=1).attrs["n_tested"] == 1
    assert find_subgroups(rows, "score", ["channel", "again"], kind="mean").attrs["n_tested"] == 1


def test_what_cannot_be_tested_gives_an_empty_table():
    """No rows, one row, equal scores, missing scores, and groups that are too small."""
    rows = survey(8, n=200)
    cases = [rows.iloc[:0], rows.iloc[:1], rows.assign(score=5.0), rows.assign(score=np.nan), rows.assign(region=None)]
    for frame in cases:
        found = find_subgroups(frame, "score", ["region"], kind="mean", minimum=10)
        assert found.empty
        assert "q_value" in found
    assert find_subgroups(rows, "score", ["region"], kind="mean", minimum=150).attrs["n_tested"] == 0
    assert find_subgroups(cases[3], "score", ["region"], **NET).attrs["n_left_out"] == 200


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": ["regoin"]},
        {"kind": "median"},
        {"kind": "net"},
        {"kind": "mean", "top": [9]},
        {"kind": "net", "top": [9], "bottom": [9]},
        {"depth": 3},
        {"minimum": 1},
        {"score": "plan"},
    ],
)
def test_what_does_not_fit_is_refused(change):
    """Unknown columns and kinds, classes of another kind, depths and scores that are no numbers."""
    arguments = {"score": "score", "attributes": ["region"], "kind": "mean"} | change
    with pytest.raises(UsageError):
        find_subgroups(survey(9, n=50), **arguments)


@pytest.mark.parametrize("runs", [20, pytest.param(500, marks=pytest.mark.soak)])
def test_nothing_is_confirmed_where_nothing_is(runs):
    """Customers with moods and repeated answers, but no subgroups: at most 5 % of the runs confirm anything."""
    confirmed = [
        (
            find_subgroups(survey(seed, n=1200, customers=600), "score", ATTRIBUTES, seed=seed, minimum=30, **NET)[
                "status"
            ]
            == "confirmed"
        ).any()
        for seed in range(runs)
    ]
    assert np.mean(confirmed) <= 0.05


@pytest.mark.soak
def test_discovery_keeps_its_error_among_repeated_answers():
    """Before anything is held back, at most about 5 % of the null runs choose a subgroup."""
    chosen = [
        find_subgroups(
            survey(seed, n=1200, customers=400), "score", ATTRIBUTES, seed=seed, minimum=30, kind="mean"
        ).attrs["n_chosen"]
        > 0
        for seed in range(500)
    ]
    assert np.mean(chosen) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


@pytest.mark.soak
def test_intervals_of_chosen_subgroups_cover():
    """Whatever was chosen, the held-back interval covers the true difference about 95 % of the time."""
    true = find_subgroups(
        survey(10**6, n=400_000, poor={"region": "central"}, chance=0.15), "score", ["region"], kind="mean", depth=1
    )
    truth = true.set_index("description")["difference"]
    hits = []
    for seed in range(500):
        found = find_subgroups(
            survey(seed, n=1500, poor={"region": "central"}, chance=0.15),
            "score",
            ["region"],
            kind="mean",
            depth=1,
            seed=seed,
        )
        hits += [row["ci_low"] <= truth[row["description"]] <= row["ci_high"] for _, row in found.iterrows()]
    assert len(hits) > 200
    assert 0.92 < np.mean(hits) < 0.98
