"""Rows that say little or nothing: every type of KPI states what it cannot say, and never warns."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cxreport.config import Analyses, Kpi, Ratio, load_report
from cxreport.errors import UsageError
from cxreport.measure import estimate, measure
from cxreport.periods import Period
from cxreport.schema import TOTAL

FIGURES = ["value", "ci_low", "ci_high", "se"]
TYPES = (
    "net",
    "parts",
    "share",
    "counts",
    "mean",
    "bounded mean",
    "amount",
    "ratio",
    "quantile of closed cases",
    "quantile with open cases",
    "censored quantile",
    "survival",
    "count",
)
WEIGHTED = ("net", "share", "mean", "bounded mean")
CLUSTERED = (*WEIGHTED, "counts", "amount", "ratio")
# Types whose equal answers have an interval all the same: it is that of a share.
CLASSED = ("net", "share", "counts")
RANGES = {"net": (-100, 100), "parts": (-100, 100), "share": (0, 1), "counts": (0, 1), "survival": (0, 1)} | {
    "mean": (1, 5),
    "bounded mean": (1, 5),
}


@pytest.fixture(scope="module")
def types(kpis) -> dict[str, Kpi]:
    """One KPI of each type, without clusters and weights."""

    def like(kpi: str, **update: object) -> Kpi:
        return kpis[kpi].model_copy(update={"where": {}, "cluster": None, "per_question": False} | update)

    cases = {"column": "minutes", "open_cases": "left out"}
    curve = {"column": "minutes", "age": "age"}
    return {
        "net": like("nps"),
        "parts": like("success_effort_emotion", where=kpis["success_effort_emotion"].where, cluster="response_id"),
        "share": like("csat"),
        "counts": like("response_rate", counts="answered"),
        "mean": like("csat_mean", interval="t"),
        "bounded mean": like("csat_mean"),
        "amount": like("service_cost", column="minutes"),
        "ratio": like("csat_mean", type="ratio", ratio=Ratio(of="minutes", to="orders"), scale=None, interval="t"),
        "quantile of closed cases": like("resolution_time", **cases),
        "quantile with open cases": like("resolution_time", **cases | {"open_cases": "longer"}),
        "censored quantile": like("resolution_time", **curve, open_cases="censored", interval="greenwood"),
        "survival": like("resolved_within_24_hours", **curve, at=25.0),
        "count": like("backlog"),
    }


def rows(values, **columns) -> pd.DataFrame:
    """Make rows for all types from numbers between 0 and 1, of which some may be missing."""
    x = pd.Series(values, dtype=float)
    frame = pd.DataFrame({"score": 1 + (4 * x).round(), "minutes": 10 + 40 * x, "age": 30.0})
    frame["answered"] = np.where(x > 0.5, "yes", None)
    frame = frame.assign(orders=np.where(x.isna(), np.nan, 2.0), response_id=[f"r{i}" for i in range(len(x))])
    return frame.assign(**columns)


def estimates(kpi: Kpi, values, **columns) -> pd.DataFrame:
    """Estimate a KPI; the respondents of one with parts give every answer to each part."""
    frame = rows(values, **columns)
    if kpi.parts:
        frame = pd.concat([frame.assign(**{kpi.parts: part}) for part in kpi.where[kpi.parts]], ignore_index=True)
    return estimate(frame, kpi)


@pytest.mark.parametrize("kind", TYPES)
def test_no_rows_are_no_figure(types, kind):
    """Nor are rows that all lack an answer, except where a row without one counts."""
    assert estimates(types[kind], []).empty
    found = estimates(types[kind], [np.nan] * 5)
    if kind == "counts":
        assert found[["n", "value"]].iloc[0].tolist() == [5, 0.0]
        assert 0 == found["ci_low"].item() < found["ci_high"].item()
    elif kind == "survival":
        assert found[["n", "value"]].iloc[0].tolist() == [5, 0.0]
        assert found["note"].item() == "none has ended by then: no standard error"
    elif kind == "count":
        assert found["value"].item() == 5
    elif kind in {"quantile with open cases", "censored quantile"}:
        assert found[FIGURES].isna().all(axis=None)
        assert found["note"].item().startswith("no figure: too")
    else:
        assert found.empty


@pytest.mark.parametrize("kind", TYPES)
def test_one_row_has_a_figure_and_no_interval(types, kind):
    """One answer, or one respondent, says nothing about spread."""
    found = estimates(types[kind], [0.8]).iloc[0]
    assert not np.isnan(found["value"])
    assert found[["ci_low", "ci_high", "se"]].isna().all()
    said = {"count": None, "parts": "all answers are of one customer: no interval"}
    assert found["note"] == said.get(kind, "one answer: no interval")
    assert found["method"] == ("complete count" if kind == "count" else "no interval")


@pytest.mark.parametrize("n", [2, 6, 50])
@pytest.mark.parametrize("kind", TYPES)
def test_equal_rows_have_no_error_and_no_interval_without_width(types, kind, n):
    """Shares, nets and scores know what else could have come; amounts, ratios and quantiles do not, and say so."""
    found = estimates(types[kind], [0.75] * n).iloc[0]
    assert np.isnan(found["se"])
    if kind in {*CLASSED, "survival"}:
        assert found["ci_low"] < found["ci_high"]
        assert found["value"] in {found["ci_low"], found["ci_high"]}
    elif kind == "bounded mean":
        assert 1 <= found["ci_low"] < found["value"] < found["ci_high"] <= 5
    elif kind != "count":
        assert np.isnan([found["ci_low"], found["ci_high"]]).all()
        assert found["method"] == "no interval"
        assert any(said in found["note"] for said in ("no interval", "too few cases", "beyond the end of observation"))


@pytest.mark.parametrize("kind", WEIGHTED)
def test_rows_without_weight_do_not_count(types, kind):
    """Weights of zero leave nothing, one answer, or what the other answers say; below zero they are refused."""
    weighted = types[kind].model_copy(update={"weight": "weight"})
    values = [0.1, 0.3, 0.6, 0.9]
    assert estimates(weighted, values, weight=0.0).empty
    one = estimates(weighted, values, weight=[1.0, 0, 0, 0]).iloc[0]
    assert (one["n"], one["n_missing"], one["note"]) == (1, 3, "one answer: no interval")
    some = estimates(weighted, values, weight=[1.0, 2, 3, 0])
    pd.testing.assert_frame_equal(
        some.drop(columns="n_missing"), estimates(weighted, values[:3], weight=[1.0, 2, 3]).drop(columns="n_missing")
    )
    with pytest.raises(UsageError, match="weighted below zero"):
        estimates(weighted, values, weight=[1.0, 1, 1, -1])


@pytest.mark.parametrize("kind", CLUSTERED)
def test_one_customer_has_no_interval(types, kind):
    """However many the answers; of two customers who answer alike there is no standard error."""
    clustered = types[kind].model_copy(update={"cluster": "customer_id"})
    alone = estimates(clustered, [0.1, 0.3, 0.6, 0.9], customer_id="a").iloc[0]
    assert alone[["ci_low", "ci_high", "se"]].isna().all()
    assert alone["note"] == "all answers are of one customer: no interval"
    alike = estimates(clustered, [0.1, 0.9] * 2, customer_id=["a", "a", "b", "b"]).iloc[0]
    assert np.isnan(alike["se"])
    assert np.isnan(alike["ci_low"]) or alike["ci_low"] <= alike["value"] < alike["ci_high"]


@pytest.mark.parametrize("part", ["bounded mean", "mean"])
def test_interval_of_nearly_equal_answers_is_bounded(types, part):
    """One low answer of 99 does not make everything possible that the scale has: the others keep their share."""
    found = estimates(types[part], [1.0] * 98 + [0.75]).iloc[0]
    assert 4.5 < found["ci_low"] < found["value"] < found["ci_high"] <= 5


def test_first_period_has_no_earlier_figure(project, answer):
    """A single month is measured without comparisons."""
    answer("2026-09", "csat", [1.0, 2, 3, 4, 5] * 12, (1, 5), channel="web")
    report = load_report(project, "monthly").model_copy(
        update={"kpis": ["csat"], "headline": ["csat"], "targets": {}, "segments": ["channel"]}
        | {"analyses": Analyses(trend=False)}
    )
    found = measure(project, report, Period.parse("2026-09"))
    found = found[(found["kpi"] == "csat") & (found["segment"] == TOTAL)].iloc[0]
    assert found["verdict"] == "no earlier figure"
    assert found[["previous", "change", "p_value"]].isna().all()


@pytest.mark.parametrize("kind", TYPES)
def test_intervals_hold_the_figure_and_stay_in_range(types, kind):
    """Of whatever few answers, with customers and weights where the type has them."""
    numbers = st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 0.75, 0.9, 1.0, np.nan])
    row = st.tuples(numbers, st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 1.0, 3.0]))

    @hypothesis_settings(max_examples=20)
    @given(st.lists(row, max_size=25), st.booleans())
    def check(drawn, is_designed):
        update = {"weight": "weight"} if kind in WEIGHTED else {}
        update |= {"cluster": "customer_id"} if kind in CLUSTERED else {}
        values, customers, weights = zip(*drawn, strict=True) if drawn else ([], [], [])
        kpi = types[kind].model_copy(update=update if is_designed else {})
        for figure in estimates(kpi, values, customer_id=list(customers), weight=list(weights)).itertuples():
            least, most = RANGES.get(kind, (-np.inf, np.inf))
            if np.isnan(figure.ci_low):
                assert np.isnan([figure.ci_high, figure.se]).all()
                assert least <= figure.value <= most or np.isnan(figure.value)
                continue
            assert least <= figure.ci_low < figure.ci_high <= most
            assert figure.ci_low <= figure.value <= figure.ci_high
            assert not figure.se <= 0

    check()
