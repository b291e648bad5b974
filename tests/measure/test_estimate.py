"""One KPI from rows: hand examples, identities, two engines, and what is refused."""

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pytest

from cxreport.errors import DefinitionError, UsageError
from cxreport.measure import estimate


@pytest.fixture
def rows() -> pd.DataFrame:
    """Answers and cases of four groups, with gaps everywhere."""
    random = np.random.default_rng(11)
    n = 4000
    frame = pd.DataFrame({"group": random.choice(["a", "b", "c", None], n), "metric": "nps", "question": "q"})
    frame["score"] = random.integers(0, 11, n).astype(float)
    frame["weight"] = random.uniform(0.2, 4, n)
    frame["resolution_minutes"] = random.lognormal(6, 1, n)
    frame["response_id"] = np.where(random.random(n) < 0.4, "r", None)
    for column in ("score", "weight", "resolution_minutes"):
        frame.loc[random.random(n) < 0.05, column] = np.nan
    return frame


def estimate_csat(scores, kpis, **columns):
    return estimate(pd.DataFrame({"score": scores, "metric": "csat", **columns}), kpis["csat"]).iloc[0]


def test_net_counts_classes_by_hand(kpis):
    """Three promoters, one passive, one detractor of five answers, one blank."""
    row = estimate(pd.DataFrame({"score": [10, 9, 9, 7, 6, None], "metric": "nps"}), kpis["nps"]).iloc[0]
    assert (row["n"], row["n_missing"], row["n_top"], row["n_bottom"]) == (5, 1, 3, 1)
    assert row["value"] == pytest.approx(40)
    assert row["se"] == pytest.approx(100 * np.sqrt((0.8 - 0.16) / 5))


def test_share_keeps_the_neutral_in_the_denominator(kpis):
    """Two of four answers are 4 or 5."""
    row = estimate_csat([5, 4, 3, 1], kpis)
    assert (row["n_top"], row["value"]) == (2, 0.5)
    assert np.isnan(row["n_bottom"])


def test_mean_and_its_t_interval_by_hand(kpis):
    """1, 3, 5: mean 3, s 2, t 4.3027 on two degrees of freedom, cut at the ends of the scale."""
    frame = pd.DataFrame({"score": [1.0, 3.0, 5.0], "metric": "ces_v2"})
    row = estimate(frame, kpis["ces_v2"].model_copy(update={"interval": "t"})).iloc[0]
    assert (row["value"], row["se"]) == (3, pytest.approx(2 / np.sqrt(3)))
    assert (row["ci_low"], row["ci_high"]) == (1, 7)
    wide = estimate(frame.assign(metric="ces_v1"), kpis["ces_v1"].model_copy(update={"scale": None}), confidence=0.5)
    assert wide["ci_high"].item() == pytest.approx(3 + 0.81650 * 2 / np.sqrt(3), abs=1e-4)


def test_response_rate_counts_filled_rows(kpis):
    """Two of five invitations were answered."""
    frame = pd.DataFrame({"response_id": ["r1", None, "r2", None, None]})
    row = estimate(frame, kpis["response_rate"]).iloc[0]
    assert (row["n"], row["n_top"], row["value"]) == (5, 2, 0.4)


def test_quantile_interval_ends_at_order_statistics(kpis):
    """The median of 1 to 10 lies between the 2nd and the 9th value with 97.9 % confidence."""
    frame = pd.DataFrame({"resolution_minutes": np.random.default_rng(0).permutation(np.arange(1.0, 11))})
    row = estimate(frame, kpis["resolution_time"]).iloc[0]
    assert (row["value"], row["ci_low"], row["ci_high"]) == (5.5, 2, 9)


@pytest.mark.parametrize(("kpi", "enough"), [("resolution_time", 6), ("resolution_time_p90", 36)])
def test_quantile_has_no_interval_below_its_minimum(kpi, enough, kpis):
    """Six cases for a median and 36 for a 90th percentile."""
    small, large = (
        estimate(pd.DataFrame({"resolution_minutes": np.arange(1.0, n + 1)}), kpis[kpi]).iloc[0]
        for n in (enough - 1, enough)
    )
    assert np.isnan(small["ci_low"])
    assert small["note"] == "too few cases for an interval"
    assert large["ci_low"] < large["value"] < large["ci_high"] == enough


def longer(values: np.ndarray) -> np.ndarray:
    """Put open cases after every closed one."""
    return np.where(np.isnan(values), np.inf, values)


@pytest.mark.parametrize("engine", ["pandas", "DuckDB"])
@pytest.mark.parametrize("kpi", ["resolution_time", "resolution_time_p90"])
def test_open_cases_take_longer_than_any_closed_one(kpi, engine, kpis):
    """The same as numpy's quantile with infinity in their place; no figure where that is not finite.

    Where one case is the quantile, numpy must not be asked to interpolate towards an infinite neighbour.
    """
    random = np.random.default_rng(4)
    sizes = {
        f"{n} cases, {n_open} open": (n, n_open) for n in (2, 7, 60, 101) for n_open in range(0, n + 1, max(n // 20, 1))
    }
    cases = {
        name: random.permutation(np.r_[random.lognormal(6, 1, n - k), [np.nan] * k]) for name, (n, k) in sizes.items()
    }
    frame = pd.concat([pd.DataFrame({"group": name, "resolution_minutes": x}) for name, x in cases.items()])
    with duckdb.connect() as connection:
        rows = nw.from_native(connection.from_df(frame)) if engine == "DuckDB" else frame
        found = estimate(rows, kpis[kpi], by=["group"]).set_index("group")
    assert sorted(found.index) == sorted(cases)
    for name, values in cases.items():
        with np.errstate(invalid="ignore"):
            linear, lower, higher = (
                np.quantile(longer(values), kpis[kpi].quantile, method=way) for way in ("linear", "lower", "higher")
            )
        expected = lower if lower == higher else linear
        row = found.loc[name]
        assert (row["n"], row["n_missing"]) == (len(values), 0)
        if np.isfinite(expected):
            assert row["value"] == pytest.approx(expected)
        else:
            assert row[["value", "ci_low", "ci_high", "se"]].isna().all()
            assert row["note"] == "no figure: too many cases are still open"


def test_interval_that_ends_among_open_cases_is_not_given(kpis):
    """Of 100 cases the median's upper end is the 61st: with 40 open it is not known, with 39 it is the longest."""
    closed = np.arange(1.0, 62)
    for n_open, end in ((39, 61.0), (40, np.nan)):
        minutes = np.r_[closed[: 100 - n_open], [np.nan] * n_open]
        row = estimate(pd.DataFrame({"resolution_minutes": minutes}), kpis["resolution_time"]).iloc[0]
        assert (row["n"], row["value"]) == (100, 50.5)
        assert row["ci_high"] == pytest.approx(end, nan_ok=True)
    assert np.isnan(row["ci_low"])
    assert row["note"] == "no interval: its upper end lies among the cases that are still open"


def test_open_cases_can_be_left_out(kpis):
    """Then they are counted as missing, and the figure is that of the closed ones."""
    kpi = kpis["resolution_time"].model_copy(update={"open_cases": "left out"})
    row = estimate(pd.DataFrame({"resolution_minutes": [1.0, 2.0, 3.0, None]}), kpi).iloc[0]
    assert (row["n"], row["n_missing"], row["value"]) == (3, 1, 2)


@pytest.mark.parametrize("kpi", ["nps", "nps_weighted", "item", "response_rate", "resolution_time_p90"])
def test_engines_agree(kpi, rows, kpis):
    """pandas and DuckDB give the same figures, nulls as a group included."""
    chosen = kpis["item_mean"].model_copy(update={"where": {}, "scale": None}) if kpi == "item" else kpis[kpi]
    with duckdb.connect() as connection:
        lazily = estimate(nw.from_native(connection.from_df(rows)), chosen, by=["group"])
    directly = estimate(rows, chosen, by=["group"])
    assert len(directly) == 4
    assert directly["group"].isna().sum() == 1
    numbers = directly.select_dtypes("number").columns
    pd.testing.assert_frame_equal(directly[numbers], lazily[numbers], check_dtype=False, rtol=1e-9, atol=1e-9)


def test_figures_equal_plain_pandas(rows, kpis):
    """An independent recalculation of a net, a weighted net, a share, a mean and a quantile."""
    for group, part in rows.dropna(subset="group").groupby("group"):

        def of(kpi, frame=rows, group=group):
            found = estimate(frame, kpis[kpi], by=["group"]).set_index("group")
            return found.loc[group, "value"]

        scored = part.dropna(subset="score")
        signed = (scored["score"] >= 9).astype(int) - (scored["score"] <= 6).astype(int)
        assert of("nps") == pytest.approx(100 * signed.mean())
        weight = scored["weight"].fillna(0)
        assert of("nps_weighted") == pytest.approx(100 * np.average(signed, weights=weight))
        assert of("response_rate") == pytest.approx(part["response_id"].notna().mean())
        assert of("resolution_time_p90") == pytest.approx(np.quantile(longer(part["resolution_minutes"]), 0.9))
        items = rows.assign(score=rows["score"].clip(1, 5), metric="item")
        clipped = scored["score"].clip(1, 5)
        assert of("item_mean", items) == pytest.approx(clipped.mean())
        assert of("item_top_two", items) == pytest.approx((clipped >= 4).mean())


def test_reversing_the_scale_reverses_the_net(rows, kpis):
    """Swapping promoters and detractors changes the sign of the figure and of its interval."""
    swapped = kpis["nps"].model_copy(update={"top": kpis["nps"].bottom, "bottom": kpis["nps"].top})
    row, mirrored = (estimate(rows, kpi).iloc[0] for kpi in (kpis["nps"], swapped))
    assert [mirrored["value"], mirrored["ci_low"], mirrored["ci_high"]] == pytest.approx(
        [-row["value"], -row["ci_high"], -row["ci_low"]]
    )


def test_complement_of_a_share_is_one_minus_it(rows, kpis):
    """Satisfied and not satisfied add up to one, and so do their intervals."""
    frame = rows.assign(score=rows["score"].clip(1, 5), metric="csat")
    complement = kpis["csat"].model_copy(update={"top": [1, 2, 3]})
    row, rest = (estimate(frame, kpi).iloc[0] for kpi in (kpis["csat"], complement))
    assert row["value"] + rest["value"] == pytest.approx(1)
    assert row["ci_low"] + rest["ci_high"] == pytest.approx(1)


@pytest.mark.parametrize("kpi", ["nps", "nps_weighted", "resolution_time", "response_rate"])
def test_order_of_rows_does_not_matter(kpi, rows, kpis):
    """A permutation gives the same figures."""
    shuffled = rows.sample(frac=1, random_state=5)
    pd.testing.assert_frame_equal(estimate(rows, kpis[kpi]), estimate(shuffled, kpis[kpi]), rtol=1e-9)


def test_scale_of_weights_does_not_matter(rows, kpis):
    """Weights times ten give the same figure, error and effective base."""
    kpi = kpis["nps_weighted"]
    pd.testing.assert_frame_equal(
        estimate(rows, kpi), estimate(rows.assign(weight=rows["weight"] * 10), kpi), rtol=1e-9
    )


def test_equal_weights_give_the_unweighted_figure(rows, kpis):
    """The figure and the bases agree; the intervals nearly."""
    weighted = estimate(rows.assign(weight=2.0), kpis["nps_weighted"]).iloc[0]
    plain = estimate(rows, kpis["nps"]).iloc[0]
    assert (weighted["value"], weighted["n_eff"]) == (pytest.approx(plain["value"]), pytest.approx(plain["n"]))
    assert weighted["ci_low"] == pytest.approx(plain["ci_low"], abs=0.1)


def test_groups_add_up_to_the_total(rows, kpis):
    """Bases and class counts of the groups sum to those of all rows."""
    counts = ["n", "n_missing", "n_top", "n_bottom"]
    groups, total = estimate(rows, kpis["nps"], by=["group"]), estimate(rows, kpis["nps"])
    assert groups[counts].sum().tolist() == total[counts].iloc[0].tolist()


def test_one_answer_has_no_interval(kpis):
    """Of any kind."""
    for kpi, frame in (
        ("nps", {"score": [9.0], "metric": "nps"}),
        ("nps_weighted", {"score": [9.0], "metric": "nps", "weight": [2.0]}),
        ("csat", {"score": [5.0], "metric": "csat"}),
        ("ces_v2", {"score": [5.0], "metric": "ces_v2"}),
        ("response_rate", {"response_id": ["r"]}),
        ("resolution_time", {"resolution_minutes": [5.0]}),
    ):
        row = estimate(pd.DataFrame(frame), kpis[kpi]).iloc[0]
        assert row["n"] == 1
        assert row[["ci_low", "ci_high", "se"]].isna().all()
        assert (row["method"], row["note"]) == ("no interval", "one answer: no interval")


@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("score", [0.0, 7.0, 10.0])
def test_equal_answers_do_not_look_certain_in_a_net(score, weight, kpis):
    """Twenty answers in one class get a score interval of some width and no standard error."""
    frame = pd.DataFrame({"score": [score] * 20, "metric": "nps", "weight": np.linspace(0.3, 3.1, 20)})
    row = estimate(frame, kpis["nps"].model_copy(update={"weight": weight})).iloc[0]
    assert row["ci_high"] - row["ci_low"] > 10
    assert row["method"].startswith("score")
    assert np.isnan(row["se"])


def test_equal_answers_do_not_look_certain_in_a_share(kpis):
    """Neither all satisfied nor none, weighted or not."""
    weighted = kpis["csat"].model_copy(update={"weight": "weight"})
    weight = np.linspace(0.3, 3.1, 20)
    for score, edge in ((5.0, 1), (1.0, 0)):
        frame = pd.DataFrame({"score": [score] * 20, "metric": "csat", "weight": weight})
        for kpi in (kpis["csat"], weighted):
            row = estimate(frame, kpi).iloc[0]
            assert row["value"] == edge
            assert row["ci_high"] - row["ci_low"] > 0.1
        assert row["ci_high"] - row["ci_low"] > 0.15


def test_equal_answers_do_not_look_certain_in_a_mean(kpis):
    """A t interval of zero width would claim so; Wilson's has a width. Weights that round badly change nothing."""
    for weight in (None, "weight"):
        frame = pd.DataFrame({"score": [6.0] * 30, "metric": "ces_v2", "weight": np.linspace(0.1, 0.7, 30) / 3})
        by_t = kpis["ces_v2"].model_copy(update={"weight": weight, "interval": "t"})
        row = estimate(frame, by_t).iloc[0]
        assert row["value"] == pytest.approx(6)
        assert np.isnan(row["ci_low"])
        assert row["note"] == "all answers are equal: no interval"
        row = estimate(frame, by_t.model_copy(update={"interval": "wilson"})).iloc[0]
        assert 1 < row["ci_low"] < 6 < row["ci_high"] < 7
        assert row["note"] is None


def test_nothing_asked_gives_no_row(kpis):
    """Neither an empty frame nor one of blanks makes a figure."""
    assert estimate(pd.DataFrame({"score": [None, None], "metric": "nps"}, dtype=object), kpis["nps"]).empty
    assert estimate(pd.DataFrame({"score": [9.0], "metric": "csat"}), kpis["nps"]).empty


@pytest.mark.parametrize("score", [11.0, -1.0, 7.5])
def test_scores_off_the_scale_are_refused(score, kpis):
    """An 11 is no promoter and 7.5 is no passive."""
    with pytest.raises(UsageError, match="answers of `nps` off its scale"):
        estimate(pd.DataFrame({"score": [9.0, score], "metric": "nps"}), kpis["nps"])


def test_answers_on_another_scale_are_refused(kpis):
    """A satisfaction question from 1 to 7 is not pooled with one from 1 to 5."""
    frame = pd.DataFrame({"score": [4.0, 4.0], "metric": "csat", "scale_low": 1.0, "scale_high": [5.0, 7.0]})
    with pytest.raises(UsageError, match="answers of `csat` off its scale"):
        estimate(frame, kpis["csat"])


def test_answers_on_a_reversed_scale_are_refused(kpis):
    """The same numbers with the other end good would turn the satisfied into the dissatisfied."""
    frame = pd.DataFrame({"score": [4.0, 4.0], "metric": "csat", "scale_low": 1.0, "scale_high": 5.0})
    assert estimate(frame.assign(scale_good=["high", None]), kpis["csat"])["n"].item() == 2
    with pytest.raises(UsageError, match=r"answers of `csat` off its scale[^$]*1 to 5 whose high end is good"):
        estimate(frame.assign(scale_good=["high", "low"]), kpis["csat"])


def test_negative_weights_are_refused(kpis):
    """They would turn promoters into detractors."""
    with pytest.raises(UsageError, match="weighted below zero"):
        estimate(pd.DataFrame({"score": [9.0, 9.0], "metric": "nps", "weight": [1.0, -1.0]}), kpis["nps_weighted"])


def test_missing_column_names_the_nearest(kpis):
    """A misspelt breakdown names what is there."""
    with pytest.raises(DefinitionError, match="did you mean `region`"):
        estimate(pd.DataFrame({"score": [9.0], "metric": "nps", "region": "north"}), kpis["nps"], by=["regoin"])
