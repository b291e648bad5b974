"""Planted groups come back; a homogeneous company, however correlated or skewed, has none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from cxreport.errors import UsageError
from cxreport.measure.personas import NO_GROUPS, find_personas

COLUMNS = ["orders", "tickets", "nps", "plan"]


@pytest.fixture(scope="module")
def grouped():
    """Customers of three kinds (half, 30 %, 20 %), with the kind that they are."""
    random = np.random.default_rng(4)
    n = 300
    kind = random.choice(3, n, p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:03d}" for i in range(n)],
            "orders": random.poisson(np.array([3, 14, 3])[kind]),
            "tickets": random.poisson(np.array([1, 1, 8])[kind]),
            "nps": np.clip(np.round(random.normal(np.array([8, 9, 2])[kind], 1)), 0, 10),
            "plan": np.where(random.random(n) < np.array([0.9, 0.1, 0.9])[kind], "basic", "plus"),
            "kind": kind,
        }
    )


@pytest.fixture(scope="module")
def personas(grouped):
    return find_personas(grouped, COLUMNS, k_range=(2, 4), seed=1)


def test_planted_groups_are_found(grouped, personas):
    """Three personas that nearly agree with the kinds, largest first, each of them stable."""
    assert personas.verdict == "3 stable groups"
    assert adjusted_rand_score(grouped["kind"], personas.members["persona"]) > 0.8
    assert personas.profiles["n"].is_monotonic_decreasing
    assert personas.profiles["share"].sum() == pytest.approx(1)
    assert (personas.profiles["stability"] > 0.8).all()
    counts = personas.members["persona"].value_counts()
    assert counts.sort_index().tolist() == personas.profiles["n"].tolist()
    best = personas.selection.set_index("k").loc[3]
    assert best["silhouette"] > best["reference_silhouette"]
    assert best["p_value"] <= 0.05


def test_traits_say_what_sets_a_persona_apart(grouped, personas):
    """The smallest group is known by its tickets and scores; values and words are those of its members."""
    traits = personas.traits[personas.traits["persona"] == 3].set_index("feature")
    assert set(traits.index[:2]) == {"tickets", "nps"}
    belongs = (personas.members["persona"] == 3).to_numpy()
    value, rest = grouped.loc[belongs, "tickets"].mean(), grouped.loc[~belongs, "tickets"].mean()
    row = traits.loc["tickets"]
    assert (row["value"], row["rest_value"]) == (pytest.approx(value), pytest.approx(rest))
    assert row["difference_sd"] == pytest.approx((value - rest) / grouped["tickets"].std())
    assert row["ci_low"] < row["difference_sd"] < row["ci_high"]
    assert row["words"] == f"tickets {value / rest:.1f}x as high ({value:.3g} against {rest:.3g})"
    assert "tickets" in personas.profiles["name"].iloc[2]
    sizes = traits["difference_sd"].abs()
    assert sizes.is_monotonic_decreasing
    assert traits.index.is_unique  # of two levels one is told


def test_the_result_does_not_depend_on_row_order(grouped):
    """Shuffled rows give the same personas, byte for byte."""
    once, again = (
        find_personas(rows, COLUMNS, k_range=(3, 3), seed=1)
        for rows in (grouped, grouped.sample(frac=1, random_state=5))
    )
    assert once.verdict == "3 stable groups"
    for name in ("profiles", "traits", "members", "selection"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(once, name), check_exact=True)


def homogeneous(shape, seed, n=300):
    """Four columns with correlations of .5 and no groups."""
    random = np.random.default_rng(seed)
    z = random.multivariate_normal(np.zeros(4), 0.5 + 0.5 * np.eye(4), n)
    values = {
        "independent": random.standard_normal((n, 4)),
        "correlated": z,
        "skewed": np.exp(z),
        "scale": np.clip(np.round(3.8 + z), 1, 5),
        "counts": random.poisson(np.exp(0.5 + 0.5 * z)),
    }[shape]
    frame = pd.DataFrame(values, columns=list("abcd")).assign(customer_id=range(n))
    return frame.assign(a=frame["a"] > frame["a"].median()) if shape == "correlated" and seed % 2 else frame


SHAPES = ["independent", "correlated", "skewed", "scale", "counts"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_homogeneous_company_has_no_groups(shape):
    """Neither correlation, nor skew, nor whole numbers make a group."""
    found = find_personas(homogeneous(shape, 2), list("abcd"), k_range=(2, 3), seed=2)
    assert found.verdict == NO_GROUPS
    assert found.profiles.empty
    assert found.members["persona"].isna().all()


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES)
def test_groups_are_seldom_seen_where_there_are_none(shape):
    """At most about 5 % of 60 companies without groups are given some."""
    found = [
        find_personas(homogeneous(shape, seed), list("abcd"), k_range=(2, 4), seed=seed).verdict != NO_GROUPS
        for seed in range(60)
    ]
    assert np.mean(found) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)


def test_degenerate_customers_have_no_groups(grouped):
    """Too few, all alike, one column that varies, and missing values, which are counted."""
    missing = grouped.assign(nps=np.nan)
    cases = [grouped.iloc[:0], grouped.iloc[:30], grouped.assign(orders=1, tickets=0, nps=5), missing]
    for customers in cases:
        found = find_personas(customers, COLUMNS)
        assert found.verdict == NO_GROUPS
        assert found.traits.empty
    assert found.n_left_out == len(missing)
    twins = pd.concat([grouped[COLUMNS].iloc[[0, 200]]] * 40, ignore_index=True).assign(customer_id=range(80))
    assert find_personas(twins, ["orders", "nps"], k_range=(2, 3)).verdict in {NO_GROUPS, "2 stable groups"}


def test_a_group_below_the_smallest_share_is_none(grouped):
    """When every group must hold two fifths of the customers, three kinds are no groups."""
    found = find_personas(grouped, COLUMNS, k_range=(3, 3), minimum_share=0.4)
    assert found.verdict == NO_GROUPS
    assert found.selection["smallest_share"].iloc[0] < 0.4


@pytest.mark.parametrize(
    ("columns", "k_range", "repeat"), [(["ordres"], (2, 8), 1), (COLUMNS, (1, 3), 1), (COLUMNS, (2, 8), 2)]
)
def test_what_does_not_fit_is_refused(grouped, columns, k_range, repeat):
    """Unknown columns, a single group, and customers on several rows."""
    with pytest.raises(UsageError):
        find_personas(pd.concat([grouped] * repeat), columns, k_range=k_range)
