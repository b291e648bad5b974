"""Sufficient statistics against plain recalculation, on three engines."""

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cxreport.config import Kpi
from cxreport.engine import EngineSettings, collect, in_memory, open_engine, wrap
from cxreport.errors import DefinitionError, UsageError
from cxreport.measure.reduce import (
    NOT_STATED,
    SUMS,
    level_overlap,
    overlap,
    reduce,
    sum_exactly,
    survival_counts,
)
from cxreport.schema import TOTAL

SEGMENTS = {"where_from": "region", "plan": "plan"}
WORDS = {"title": "t", "short": "s", "answers": "a", "numerator": "n", "denominator": "d", "owner": "o", "checker": "c"}
DATES = {"reviewed": "2026-01-01", "next_review": "2027-01-01"}
NPS = {"low": 0, "high": 10, "good": "high"}
NET = {"type": "net", "scale": NPS, "top": [9, 10], "bottom": [0, 1, 2, 3, 4, 5, 6]}
NET |= {"unit": "points", "interval": "adjusted_wald"}
MEAN = {"type": "mean", "scale": NPS, "unit": "score", "interval": "t"}
AMOUNT = {"type": "mean", "column": "amount", "unit": "money", "interval": "t"}
RATIO = {"type": "ratio", "ratio": {"of": "amount", "to": "visits"}, "unit": "money", "interval": "t"}
FILLED = {"type": "share", "counts": "comment", "unit": "percent", "interval": "wilson"}
PARTS = NET | {"parts": "metric", "where": {"metric": ["success", "ease"]}, "cluster": "customer"}
TIMES = {"type": "quantile", "column": "minutes", "quantile": 0.9, "unit": "minutes", "interval": "order_statistic"}
CURVE = {"type": "survival", "column": "minutes", "age": "age", "at": 60, "shows": "over"}
CURVE |= {"unit": "percent", "interval": "greenwood"}
WEIGHTED, CLUSTERED = {"weight": "weight"}, {"cluster": "customer"}
KPIS = {
    "net": NET,
    "net, weighted": NET | WEIGHTED,
    "net, clustered": NET | CLUSTERED,
    "net, both": NET | WEIGHTED | CLUSTERED,
    "net per question": NET | CLUSTERED | {"per_question": True},
    "share": {"type": "share", "scale": NPS, "top": [7, 9], "unit": "percent", "interval": "wilson"},
    "share of filled": FILLED,
    "share of filled, both": FILLED | WEIGHTED | CLUSTERED,
    "mean": MEAN,
    "mean, both": MEAN | WEIGHTED | CLUSTERED,
    "amount": AMOUNT,
    "amount, weighted": AMOUNT | WEIGHTED,
    "amount, clustered": AMOUNT | CLUSTERED,
    "ratio": RATIO,
    "ratio, clustered": RATIO | CLUSTERED,
    "count": {"type": "count", "unit": "cases", "interval": "none"},
    "parts": PARTS,
    "parts, weighted": PARTS | WEIGHTED,
    "quantile": TIMES,
    "quantile, open cases longer": TIMES | {"open_cases": "longer"},
}


def define(definition: dict) -> Kpi:
    return Kpi.model_validate(
        {"table": "answers", "higher_is_better": True, "minimum_base": {}} | WORDS | DATES | definition
    )


def make_rows(n: int, seed: int) -> pd.DataFrame:
    """Answers with gaps in every column that may have them, uneven clusters and a level that nobody answers."""
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "period": random.choice(["2026-08", "2026-09"], n),
            "region": random.choice(["Süd", "東", "o'north", None], n),
            "plan": random.choice(["basic", "plus", "silent", None], n, p=[0.5, 0.3, 0.1, 0.1]),
            "question": random.choice(["q1", "q2"], n),
            "metric": random.choice(["success", "ease", "other"], n),
            "customer": random.choice([*(f"c{i}" for i in range(max(n // 5, 1))), None], n),
            "comment": random.choice(["x", None], n),
            "score": random.integers(0, 11, n).astype(float),
            "weight": random.choice([0.0, 0.1, 0.7, 1 / 3, 12.3], n),
            "amount": np.round(random.lognormal(3, 2, n), 2) - 5,
            "visits": random.integers(0, 5, n).astype(float),
            "minutes": random.choice([5.0, 10.0, 20.5, 60.0, 90.0], n),
            "age": random.choice([1.0, 10.0, 200.0], n),
        }
    )
    for name in ("score", "weight", "amount", "visits", "minutes", "age"):
        rows.loc[random.random(n) < 0.1, name] = np.nan
    rows.loc[rows["plan"] == "silent", ["score", "amount", "visits", "minutes", "age"]] = np.nan
    return rows


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return make_rows(400, 3)


@pytest.fixture(scope="module")
def duckdb_engine():
    with open_engine() as engine:
        yield engine


# --- plain recalculation -------------------------------------------------------------------------


def breakdowns(rows, kpi, by, segments):
    """Yield the keys and rows of every group, the plain way."""
    for column, allowed in kpi.where.items():
        rows = rows[rows[column].isin([allowed] if isinstance(allowed, str) else allowed)]
    keys = [*by, *(["question"] if kpi.per_question else [])]
    levels = {TOTAL: pd.Series(TOTAL, rows.index)}
    levels |= {segment: rows[column].fillna(NOT_STATED) for segment, column in segments.items()}
    for segment, level in levels.items():
        for values, chosen in rows.assign(level=level).groupby([*keys, "level"]):
            yield (*values[:-1], segment, values[-1]), chosen


def plain_quantile(rows, kpi):
    """Return the order statistics of one group."""
    closed = np.sort(rows["minutes"].dropna())
    n = len(rows) if kpi.open_cases == "longer" else len(closed)
    statistics = {"n": n, "n_missing": len(rows) - n, "clusters": n, "n_open": n - len(closed)}
    if not n:
        return statistics
    longer, position = np.r_[closed, [np.nan] * (n - len(closed))], (n - 1) * kpi.quantile
    return statistics | {"x_below": longer[int(position)], "x_above": longer[int(np.ceil(position))]}


def plain_answers(rows, kpi):
    """Return the valid answers of one group: cluster, weight w, score x and weighted score wx."""
    table = pd.DataFrame({"cluster": rows["customer"] if kpi.cluster else None, "metric": rows["metric"]}, rows.index)
    table["cluster"] = table["cluster"].astype(object).where(table["cluster"].notna(), rows.index)
    table["w"] = rows["weight"].where(rows["weight"] > 0) if kpi.weight else 1.0
    if kpi.counts:
        table["x"] = rows["comment"].notna().astype(float)
    elif kpi.type in {"net", "share"}:
        signed = rows["score"].isin(kpi.top).astype(float) - rows["score"].isin(kpi.bottom)
        table["x"] = signed.where(rows["score"].notna())
    elif kpi.type == "mean":
        table["x"] = rows[kpi.column or "score"]
    else:
        table["x"] = 0.0
    table["wx"] = table["w"] * table["x"]
    if kpi.ratio:
        table["w"], table["wx"] = rows["visits"], rows["amount"]
    return table.dropna(subset=["w", "wx"])


def plain(rows, kpi):
    """Return the statistics of one group."""
    if kpi.type == "quantile":
        return plain_quantile(rows, kpi)
    table = plain_answers(rows, kpi)
    clusters = table.groupby("cluster")
    sums = clusters[["w", "wx"]].sum()
    statistics = {"n": len(table), "n_missing": len(rows) - len(table), "clusters": len(sums)}
    if kpi.type == "count":
        return statistics
    if kpi.type in {"net", "share"}:
        statistics |= {"n_top": (table["x"] > 0).sum(), "n_bottom": (table["x"] < 0).sum()}
    if kpi.parts:
        vector = [
            (table[name] * (table["metric"] == part)).groupby(table["cluster"]).sum()
            for part in kpi.where["metric"]
            for name in ("wx", "w")
        ]
        statistics |= {f"t_{i}": one.sum() for i, one in enumerate(vector)}
        pairs = itertools.combinations_with_replacement(range(len(vector)), 2)
        return statistics | {f"g_{i}_{j}": (vector[i] * vector[j]).sum() for i, j in pairs}
    return statistics | {
        "w": table["w"].sum(),
        "wx": table["wx"].sum(),
        "wx2": np.nan if kpi.ratio else (table["w"] * table["x"] ** 2).sum(),
        "w2": (sums["w"] ** 2).sum(),
        "w2x": (sums["w"] * sums["wx"]).sum(),
        "w2x2": (sums["wx"] ** 2).sum(),
    }


@pytest.fixture(scope="module")
def expected(rows) -> Callable[[str], dict[tuple, dict]]:
    """Return a function that recalculates the statistics of all groups of a KPI with answers, once."""

    @cache
    def recalculated(name: str) -> dict[tuple, dict]:
        kpi = define(KPIS[name])
        groups = ((key, plain(group, kpi)) for key, group in breakdowns(rows, kpi, ["period"], SEGMENTS))
        return {key: statistics for key, statistics in groups if statistics["n"]}

    return recalculated


def assert_equals_plain(reduced, kpi, expected):
    keys = ["period", *(["question"] if kpi.per_question else []), "segment", "level"]
    assert [tuple(row) for row in reduced[keys].itertuples(index=False)] == sorted(expected)
    for row in reduced.to_dict("records"):
        statistics = expected[tuple(row[key] for key in keys)]
        for name, value in statistics.items():
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


# --- tests ---------------------------------------------------------------------------------------


@pytest.fixture(params=["in memory", "on the engine"])
def way(request, monkeypatch):
    """Both ways from rows to sums: fetched and rolled up, or grouped by the engine."""
    if request.param == "on the engine":
        monkeypatch.setattr("cxreport.measure.reduce.IN_MEMORY", -1)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", KPIS)
def test_statistics_equal_plain_recalculation(name, rows, expected, duckdb_engine):
    """Every kind of KPI, in total and by segment, on pandas, also with categories, and DuckDB; counts are integers.

    Where there are no rows there are the same columns and no groups.
    """
    kpi = define(KPIS[name])
    for frame in (wrap(rows), in_memory(wrap(rows)), duckdb_engine.load(rows)):
        reduced = reduce(frame, kpi, ["period"], 0.95, segments=SEGMENTS)
        assert_equals_plain(reduced, kpi, expected(name))
        counted = reduced.columns.intersection(["n", "n_missing", "clusters", "n_top", "n_bottom", "n_open"])
        assert (reduced[counted].dtypes == "int64").all()
        assert set(SUMS) <= set(reduced.columns) or kpi.type in {"quantile", "count"} or kpi.parts
    none = reduce(wrap(rows.head(0)), kpi, ["period"], 0.95, segments=SEGMENTS)
    assert none.empty
    assert list(none.columns) == list(reduced.columns)


def plain_totals(rows, kpi, keys):
    """Return A (score) and B (weight) of each cluster with a valid answer."""
    net = rows["score"].isin(kpi.top).astype(float) - rows["score"].isin(kpi.bottom)
    weight = rows["weight"].where(rows["weight"] > 0) if kpi.weight else pd.Series(1.0, rows.index)
    valid = rows.assign(w=weight, x=weight * net)[rows["score"].notna() & weight.notna()]
    return valid.groupby([*keys, "customer"])[["x", "w"]].sum()


def plain_cross(one, other):
    """Return the cross sums of the clusters on both sides."""
    both = one.add_suffix("_1").join(other.add_suffix("_2"), how="inner")
    return {a + b: (both[f"{a}_1"] * both[f"{b}_2"]).sum() for a in "xw" for b in "xw"} | {"pairs": len(both)}


def levels_of(rows, segment, level):
    return rows if segment == TOTAL else rows[rows[SEGMENTS[segment]].fillna(NOT_STATED) == level]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("more", [CLUSTERED, WEIGHTED | CLUSTERED, CLUSTERED | {"per_question": True}])
def test_overlaps_equal_plain_recalculation(more, rows, duckdb_engine):
    """Cross sums of two periods at a level, and of a level with everybody, cluster by cluster."""
    kpi = define(NET | more)
    keys = ["question"] if kpi.per_question else []
    now, earlier = (rows[rows["period"] == period] for period in ("2026-09", "2026-08"))
    for frame in (wrap(rows), in_memory(wrap(rows)), duckdb_engine.load(rows)):
        shared = overlap(frame, kpi, "2026-09", "2026-08", SEGMENTS)
        levels = level_overlap(frame, kpi, "2026-09", SEGMENTS)
        assert {TOTAL, *SEGMENTS} == set(shared["segment"]) > set(levels["segment"])
        for row in shared.to_dict("records"):
            sides = (levels_of(side, row["segment"], row["level"]) for side in (now, earlier))
            sides = [side[side["question"] == row["question"]] if keys else side for side in sides]
            found = {name: row[name] for name in ("xx", "xw", "wx", "ww", "pairs")}
            assert found == pytest.approx(plain_cross(*(plain_totals(side, kpi, []) for side in sides)), rel=1e-9)
        # Whoever has no customer is one customer each: numbered here.
        numbered = now.assign(customer=now["customer"].fillna(pd.Series(now.index.astype(str), now.index)))
        totals = plain_totals(numbered, kpi, keys)
        for row in levels.to_dict("records"):
            chosen = levels_of(numbered, row["segment"], row["level"])
            chosen = chosen[chosen["question"] == row["question"]] if keys else chosen
            expected = plain_cross(plain_totals(chosen, kpi, keys), totals)
            assert {name: row[name] for name in ("xx", "xw", "wx", "ww")} == pytest.approx(
                {name: value for name, value in expected.items() if name != "pairs"}, rel=1e-9
            )


def test_periods_without_shared_clusters_have_no_overlap(rows):
    """No customer, no row; and no error over an empty frame."""
    kpi = define(NET | CLUSTERED)
    strangers = rows.assign(customer=rows.index.astype(str))
    assert overlap(wrap(strangers), kpi, "2026-09", "2026-08", SEGMENTS).empty
    assert overlap(wrap(rows), kpi, "2026-09", "2020-01", SEGMENTS).empty
    assert level_overlap(wrap(rows), kpi, "2020-01", SEGMENTS).empty


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("by", [[], ["period"]])
def test_durations_are_counted(by, rows, duckdb_engine):
    """Every distinct duration of every group, open cases at their age; rows with neither are missing."""
    kpi = define(CURVE)
    for frame in (wrap(rows), in_memory(wrap(rows)), duckdb_engine.load(rows)):
        counts = survival_counts(frame, kpi, by, segments=SEGMENTS).set_index([*by, "segment", "level"])
        assert counts.index.is_monotonic_increasing
        seen = 0
        for key, chosen in breakdowns(rows.assign(_=""), kpi, by or ["_"], SEGMENTS):
            expected = chosen["minutes"].fillna(chosen["age"]).value_counts().sort_index()
            if expected.empty:
                continue
            seen += len(expected)
            found = counts.loc[[key if by else key[1:]]]
            assert found["duration"].tolist() == expected.index.tolist()
            assert (found["events"] + found["censored"]).tolist() == expected.tolist()
            assert found["events"].sum() == chosen["minutes"].notna().sum()
            assert set(found["n_missing"]) == {(chosen["minutes"].isna() & chosen["age"].isna()).sum()}
        assert seen == len(counts)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("by", "segments"), [(["period"], SEGMENTS), ([], None)])
def test_clusters_of_one_change_nothing(by, segments, rows):
    """When every row has a customer of its own, all statistics are those without clusters, to the last digit."""
    alone = wrap(rows.assign(customer=rows.index.astype(str)))
    for definition in (NET, NET | WEIGHTED, AMOUNT, RATIO):
        figures = (reduce(alone, define(definition | more), by, 0.95, segments=segments) for more in ({}, CLUSTERED))
        pd.testing.assert_frame_equal(*figures, check_exact=True, check_like=True)


def test_without_segments_there_are_groups_only(rows):
    """The groups by which a notebook asks, nulls among them; without any, one row."""
    kpi = define(NET)
    by_region = reduce(wrap(rows), kpi, ["region"], 0.95)
    assert "segment" not in by_region
    assert by_region["region"].isna().sum() == 1
    total = reduce(wrap(rows), kpi, [], 0.95)
    assert total[["n", "n_top"]].iloc[0].tolist() == by_region[["n", "n_top"]].sum().tolist()


@pytest.mark.usefixtures("way")
def test_groups_of_null_keep_their_clusters(rows, duckdb_engine):
    """Clusters are found within a group of nulls as within any other, on every engine."""
    kpi = define(NET | CLUSTERED)
    found = [reduce(frame, kpi, ["region"], 0.95) for frame in (wrap(rows), duckdb_engine.load(rows))]
    pd.testing.assert_frame_equal(*found, check_exact=True)
    assert (found[0]["clusters"] < found[0]["n"]).all()


@pytest.mark.parametrize("definition", [NET | WEIGHTED | CLUSTERED, AMOUNT, RATIO | CLUSTERED], ids=str)
def test_order_of_rows_and_threads_change_no_digit(definition):
    """Sums of numbers that doubles cannot hold are the same bytes for any order and any number of threads."""
    rows, kpi = make_rows(20_000, 8), define(definition)
    found = [reduce(wrap(shuffled), kpi, ["period"], 0.95) for shuffled in (rows, rows.sample(frac=1, random_state=1))]
    for threads in (1, 2, 4):
        with open_engine(EngineSettings(threads=threads)) as engine:
            found.append(reduce(engine.load(rows), kpi, ["period"], 0.95))
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other, check_exact=True)


@hypothesis_settings(max_examples=50)
@given(
    st.lists(
        st.floats(-1e12, 1e12, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=30
    )
)
def test_exact_sums_are_sums(numbers):
    """Within the last digit of the exact sum, measured on the largest number."""
    from math import fsum

    frame = wrap(pd.DataFrame({"key": "k", "x": numbers}))
    largest = max(abs(x) for x in numbers)
    found = collect(sum_exactly(frame, ["key"], [], {"x": largest}, len(numbers)))["x"].item()
    assert found == pytest.approx(fsum(numbers), rel=1e-15, abs=1e-15 * largest)


@hypothesis_settings(max_examples=4)
@given(
    st.integers(0, 10**6), st.integers(1, 60), st.sampled_from(["net, both", "mean, both", "ratio, clustered", "parts"])
)
def test_engines_agree_on_any_rows(seed, n, name):
    """pandas and DuckDB give the same integers and the same sums to 1e-9."""
    rows, kpi = make_rows(n, seed), define(KPIS[name])
    with open_engine() as engine:
        found = reduce(engine.load(rows), kpi, ["period"], 0.95, segments=SEGMENTS)
    expected = reduce(wrap(rows), kpi, ["period"], 0.95, segments=SEGMENTS)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "definition"),
    [
        ({"score": 11.0}, NET),
        ({"score": 7.5}, NET),
        ({"scale_high": 5.0}, NET),
        ({"scale_good": "low"}, NET),
        ({"weight": -1.0}, NET | WEIGHTED),
        ({"weight": np.inf}, NET | WEIGHTED),
        ({"visits": -1.0}, RATIO),
        ({"amount": np.inf}, AMOUNT),
    ],
)
def test_rows_that_do_not_fit_are_refused(changes, definition, rows):
    """One row off the scale, on another one, below zero or infinite stops the measure."""
    changed = rows.assign(scale_high=10.0, scale_good="high", score=rows["score"].fillna(1))
    for column, value in changes.items():
        changed.loc[5, column] = value
    with pytest.raises(UsageError):
        reduce(wrap(changed), define(definition), ["period"], 0.95, segments=SEGMENTS)


@pytest.mark.parametrize("column", ["score", "region", "customer", "period"])
def test_missing_columns_are_named(column, rows):
    """The nearest column is offered."""
    with pytest.raises(DefinitionError, match=f"`{column}`"):
        reduce(wrap(rows.drop(columns=column)), define(NET | CLUSTERED), ["period"], 0.95, segments=SEGMENTS)
