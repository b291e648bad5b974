"""What customers are worth: summaries of orders, the two models, lifetime value and its interval."""

import contextlib
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from cxreport.errors import UsageError
from cxreport.measure import value
from cxreport.measure.value import BgNbd, GammaGamma, clv, fit_interval, historic_value, rfm

AMOUNTS = GammaGamma(p=6.0, q=4.0, v=45.0)
TERMS = {"months": 12, "discount_rate_per_year": 0.1, "margin": 0.3}
# E[X(t)] of the published model, from the authors' spreadsheet.
PUBLISHED_TIMES = [0.1429, 1.0, 3.0, 31.8571, 32.0, 78.0]
PUBLISHED_PURCHASES = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576]
# Mean amounts to expect from the first ten customers of the sample, from the authors' note 025.


@pytest.fixture(scope="module")
def cdnow(shared) -> pd.DataFrame:
    return pd.read_csv(shared / "methods" / "data" / "cdnow_with_monetary.csv")


@pytest.fixture
def published(examples) -> BgNbd:
    return BgNbd(**{name: examples["bgnbd_conditional"]["inputs"][name] for name in ("r", "alpha", "a", "b")})


def simulate(n: int, seed: int, model: BgNbd, amounts: GammaGamma = AMOUNTS) -> pd.DataFrame:
    """Draw customers from both models, each observed for 10 to 52 weeks."""
    random = np.random.default_rng(seed)
    span = random.integers(70, 365, n) / 7
    rate, leaving = random.gamma(model.r, 1 / model.alpha, n), random.beta(model.a, model.b, n)
    x, t_x, now, active = np.zeros(n, dtype=int), np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    while active.any():
        now = now + random.exponential(1, n) / rate
        active &= now <= span
        x += active
        t_x = np.where(active, now, t_x)
        active &= random.random(n) > leaving
    shape = amounts.p * np.maximum(x, 1)
    spent = random.gamma(shape, 1 / random.gamma(amounts.q, 1 / amounts.v, n)) / np.maximum(x, 1)
    customers = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "frequency": x, "recency": t_x, "T": span})
    return customers.assign(monetary_value=np.where(x > 0, spent, np.nan))


def mean_clv(customers: pd.DataFrame, bgnbd: BgNbd, amounts: GammaGamma) -> float:
    return clv(customers, bgnbd, amounts, **TERMS)["clv"].mean()


# --- against published figures -----------------------------------------------------------------------


def test_bgnbd_of_cdnow_equals_the_published_one(cdnow, examples):
    """Four parameters and the log-likelihood at the optimum."""
    fitted = BgNbd.fit(cdnow)
    example = examples["bgnbd_cdnow_fit"]
    for name, expected in example["expected"].items():
        assert getattr(fitted, name) == pytest.approx(expected, abs=example["abs_tolerance"])
    likelihood = examples["bgnbd_cdnow_ll"]
    assert fitted.log_likelihood(cdnow) == pytest.approx(likelihood["expected"]["ll"], abs=likelihood["abs_tolerance"])


def test_expectations_of_the_published_model_equal_the_authors(examples, published):
    """Of one customer with a history, and of new customers over time."""
    example = examples["bgnbd_conditional"]
    x, t_x, span, ahead = (example["inputs"][name] for name in ("x", "t_x", "T", "t"))
    expected, tolerance = example["expected"], example["abs_tolerance"]
    assert published.expected_purchases(ahead, x, t_x, span) == pytest.approx(expected["expected"], abs=tolerance)
    assert published.p_alive(x, t_x, span) == pytest.approx(expected["p_alive"], abs=tolerance)
    assert published.expected_purchases(PUBLISHED_TIMES) == pytest.approx(PUBLISHED_PURCHASES, abs=3e-3)


def test_gamma_gamma_of_cdnow_equals_the_published_one(cdnow, examples):
    """Three parameters and the correlation that should be low."""
    example = examples["gammagamma_cdnow_fit"]
    fitted = GammaGamma.fit(cdnow)
    for name, expected in example["expected"].items():
        assert getattr(fitted, name) == pytest.approx(expected, abs=example["abs_tolerance"])
    assert fitted.correlation == pytest.approx(0.114, abs=5e-4)


def test_expected_amount_equals_its_integral(cdnow, examples):
    """The mean amount p / rate over the gamma posterior of the rate, for buyers with and without repeat purchases."""
    model = GammaGamma(**examples["gammagamma_cdnow_fit"]["expected"])
    customers = cdnow.head(10)
    amounts = model.expected_value(customers["frequency"], customers["monetary_value"])
    for x, mean, amount in zip(customers["frequency"], customers["monetary_value"], amounts, strict=True):
        posterior = stats.gamma(model.p * x + model.q, scale=1 / (model.v + (x * mean if x else 0)))
        expected, _ = integrate.quad(lambda rate, density=posterior.pdf: model.p / rate * density(rate), 1e-9, np.inf)
        assert amount == pytest.approx(expected, rel=1e-3)


# --- BG/NBD ------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.tuples(*[st.floats(0.05, 12)] * 4),
    st.sampled_from([0, 1, 3, 30, 300]),
    st.floats(0.2, 1),
    st.floats(1, 100),
    st.floats(0.1, 200),
)
def test_expectation_equals_its_integral(parameters, x, share, span, ahead):
    """The mean of (1 - exp(-rate p t)) / p over what is left of both distributions, times P(alive)."""
    model = BgNbd(*parameters)
    node, weight = special.roots_jacobi(120, model.b + x - 1, model.a - 1)
    p = np.maximum((1 + node) / 2, 1e-300)
    growth = -np.expm1(-(model.r + x) * np.log1p(p * ahead / (model.alpha + span))) / p
    t_x = span * share if x else 0.0
    # A new customer has no history to condition on; with x = 0 neither distribution has changed but for the time.
    expected = weight @ growth / weight.sum() * model.p_alive(x, t_x, span)
    assert model.expected_purchases(ahead, x, t_x, span) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("model", [BgNbd(1, 5, 1, 2), BgNbd(1, 5, 0.4, 0.6), BgNbd(2, 5, 1 + 1e-9, 1e-9)])
def test_expectation_is_smooth_where_its_formula_is_not(model):
    """At a = 1 and a + b = 1 the formula divides zero by zero; its neighbours say what it should be."""
    nearby = BgNbd(model.r, model.alpha, model.a + 1e-4, model.b)
    for x in (0, 4):
        found, beside = (each.expected_purchases(20, x, 3.0 * (x > 0), 10) for each in (model, nearby))
        assert found == pytest.approx(beside, rel=2e-3)


def test_busy_customers_do_not_overflow(published):
    """Thousands of purchases keep expectation, P(alive) and likelihood finite."""
    p = stats.beta.ppf((np.arange(20_000) + 0.5) / 20_000, published.a, published.b + 5000)
    growth = -np.expm1(-(published.r + 5000) * np.log1p(p * 52 / (published.alpha + 100))) / np.maximum(p, 1e-300)
    expected = growth[p > 0].mean() * published.p_alive(5000, 99.9, 100)
    assert published.expected_purchases(52, 5000, 99.9, 100) == pytest.approx(expected, rel=1e-3)
    assert published.p_alive(5000, 50, 100) == pytest.approx(0, abs=1e-12)
    row = pd.DataFrame({"frequency": [5000], "recency": [99.9], "T": [100.0]})
    assert np.isfinite(published.log_likelihood(row))


def test_one_time_buyers_are_alive_by_construction(published):
    """The model lets nobody leave before a repeat purchase; afterwards silence counts against them."""
    assert published.p_alive([0, 0], [0, 0], [1, 500]).tolist() == [1, 1]
    alive = published.p_alive(3, 10, np.array([10, 20, 40, 80]))
    assert (np.diff(alive) < 0).all()


def test_fit_finds_what_was_simulated_in_any_unit():
    """The truth of 20,000 drawn customers is not refused; in days only the rate's scale differs."""
    truth = BgNbd(r=0.5, alpha=6.0, a=0.8, b=2.5)
    drawn = simulate(20_000, 4, truth)
    fitted = BgNbd.fit(drawn)
    ratio = 2 * (fitted.log_likelihood(drawn) - truth.log_likelihood(drawn))
    assert 0 < ratio < stats.chi2.isf(0.001, 4)
    days = BgNbd.fit(drawn.assign(recency=7 * drawn["recency"], T=7 * drawn["T"]))
    assert (days.r, days.a, days.b) == pytest.approx((fitted.r, fitted.a, fitted.b), rel=1e-4)
    assert days.alpha == pytest.approx(7 * fitted.alpha, rel=1e-4)


def test_fit_has_no_direction_upward(cdnow):
    """Nearby parameters are less likely, and row order and the start do not matter."""
    fitted = BgNbd.fit(cdnow)
    best = fitted.log_likelihood(cdnow)
    for name in ("r", "alpha", "a", "b"):
        for factor in (0.98, 1.02):
            values = {each: getattr(fitted, each) for each in ("r", "alpha", "a", "b")}
            assert BgNbd(**values | {name: values[name] * factor}).log_likelihood(cdnow) < best
    assert BgNbd.fit(cdnow.sample(frac=1, random_state=1)) == fitted
    again = BgNbd.fit(cdnow, BgNbd(1.0, 10.0, 2.0, 5.0))
    assert (again.r, again.alpha, again.a, again.b) == pytest.approx(
        (fitted.r, fitted.alpha, fitted.a, fitted.b), rel=1e-4
    )


@pytest.mark.parametrize("leaving", [0.06, 0.0])
def test_customers_who_leave_alike_are_fitted_at_the_limit(leaving):
    """Without variation of drop-out the likelihood has no maximum, but a limit: it is taken, with an interval."""
    truth = BgNbd(r=1.0, alpha=70.0, a=1e7 * leaving + 1e-9, b=1e7 * (1 - leaving))
    drawn = simulate(4000, 3, truth).assign(customer_id=lambda rows: rows.index.astype(str))
    fitted = BgNbd.fit(drawn)
    ratio = 2 * (fitted.log_likelihood(drawn) - truth.log_likelihood(drawn))
    assert 0 <= ratio < stats.chi2.isf(0.001, 4)
    found = fit_interval(drawn, mean_clv, groups=10)
    assert found.note is None
    assert found.ci_low < mean_clv(drawn, truth, AMOUNTS) < found.ci_high


@pytest.mark.parametrize(("a", "b"), [(9700.0, 162_000.0), (300.0, 20.0), (101.0, 2000.0), (1e-5, 162_000.0)])
def test_expectation_of_hardly_varied_drop_out_equals_its_mean(a, b):
    """Over the quantiles of what is left of the distribution of drop-out."""
    model = BgNbd(1.0, 70.0, a, b)
    for x in (0, 3, 20):
        p = np.maximum(stats.beta.ppf((np.arange(4000) + 0.5) / 4000, a, b + x), 1e-12)
        growth = -np.expm1(-(1 + x) * np.log1p(p * 156 / 100)) / p
        t_x = 30.0 * (x > 0)
        expected = growth.mean() * model.p_alive(x, t_x, 30.0)
        assert model.expected_purchases(156.0, x, t_x, 30.0) == pytest.approx(expected, rel=1e-4)


def test_too_few_or_impossible_customers_are_refused():
    """29 repeat buyers, no maximum, and rows that `rfm` could not have made."""
    repeat = pd.DataFrame({"frequency": [1] * 29 + [0], "recency": [2.0] * 29 + [0.0], "T": 10.0})
    with pytest.raises(UsageError, match="29 customers with a repeat purchase"):
        BgNbd.fit(repeat)
    same = pd.DataFrame({"frequency": 2, "recency": 10.0, "T": 10.0, "monetary_value": 5.0}, index=range(50))
    for model in (BgNbd, GammaGamma):
        with pytest.raises(UsageError, match="without a maximum"):
            model.fit(same)
    for wrong in ({"frequency": -1}, {"frequency": 0.5}, {"recency": 11.0}, {"T": np.nan}, {"frequency": 0}):
        with pytest.raises(UsageError, match="50 customers"):
            BgNbd.fit(same.assign(**wrong))
    with pytest.raises(UsageError, match="`recency`"):
        BgNbd.fit(same.drop(columns="recency"))


# --- Gamma-Gamma and lifetime value ------------------------------------------------------------------


def test_amounts_shrink_towards_the_mean_of_all():
    """The less was seen of a customer, the more; with everything seen, it is their own mean."""
    everyone = AMOUNTS.p * AMOUNTS.v / (AMOUNTS.q - 1)
    found = AMOUNTS.expected_value([0, 1, 10, 1e9], [np.nan, 200, 200, 200])
    assert found[0] == pytest.approx(everyone)
    assert found[-1] == pytest.approx(200)
    assert (np.diff(found) > 0).all()


def test_gamma_gamma_finds_what_was_simulated():
    """And takes no notice of one-time buyers or of repeat purchases that brought nothing."""
    drawn = simulate(20_000, 5, BgNbd(0.5, 6.0, 0.8, 2.5))
    fitted = GammaGamma.fit(drawn)
    assert (fitted.p, fitted.q, fitted.v) == pytest.approx((AMOUNTS.p, AMOUNTS.q, AMOUNTS.v), rel=0.15)
    more = pd.DataFrame(
        {"customer_id": ["free"], "frequency": [3], "recency": [2.0], "T": [9.0], "monetary_value": 0.0}
    )
    assert GammaGamma.fit(pd.concat([drawn[drawn["frequency"] > 0], more])) == fitted


def test_amounts_without_a_bounded_mean_are_refused():
    """A few boundless orders make the mean of all customers infinite."""
    random = np.random.default_rng(6)
    wild = pd.DataFrame({"frequency": 2, "recency": 5.0, "T": 10.0, "monetary_value": random.pareto(0.6, 500) + 0.1})
    with pytest.raises(UsageError, match="no bound"):
        GammaGamma.fit(wild)


def test_lifetime_value_equals_the_hand_example(published):
    """Two months of one customer: purchases of each month, times amount, times margin, discounted from its middle."""
    one = pd.DataFrame({"customer_id": ["a"], "frequency": 2, "recency": 30.43, "T": 38.86, "monetary_value": 22.35})
    month = 365.25 / 12 / 7
    first, both = (float(published.expected_purchases(k * month, 2, 30.43, 38.86)) for k in (1, 2))
    amount = float(AMOUNTS.expected_value(2, 22.35))
    expected = 0.3 * amount * (first / 1.1 ** (0.5 / 12) + (both - first) / 1.1 ** (1.5 / 12))
    row = clv(one, published, AMOUNTS, **TERMS | {"months": 2}).iloc[0]
    assert row["clv"] == pytest.approx(expected)
    assert row["expected_purchases"] == pytest.approx(both)
    assert row["expected_value"] == pytest.approx(amount)


def test_lifetime_value_scales_with_margin_and_falls_with_the_discount(published):
    """And is the same in days as in weeks, and whoever else is a customer."""
    drawn = simulate(300, 7, published)
    base = clv(drawn, published, AMOUNTS, **TERMS)
    assert clv(drawn, published, AMOUNTS, **TERMS | {"margin": 0.6})["clv"].tolist() == pytest.approx(
        (2 * base["clv"]).tolist()
    )
    plain = clv(drawn, published, AMOUNTS, **TERMS | {"discount_rate_per_year": 0.0})
    assert plain["clv"].tolist() == pytest.approx((0.3 * base["expected_purchases"] * base["expected_value"]).tolist())
    assert (base["clv"] < plain["clv"]).all()
    in_days = BgNbd(published.r, 7 * published.alpha, published.a, published.b)
    days = clv(drawn.assign(recency=7 * drawn["recency"], T=7 * drawn["T"]), in_days, AMOUNTS, **TERMS, unit="day")
    assert days["clv"].tolist() == pytest.approx(base["clv"].tolist())
    part = clv(drawn.iloc[100:110], published, AMOUNTS, **TERMS)
    pd.testing.assert_frame_equal(part, base.iloc[100:110])


@pytest.mark.parametrize(
    "wrong", [{"months": 0}, {"margin": 1.2}, {"discount_rate_per_year": -0.1}, {"margin": np.nan}]
)
def test_terms_out_of_range_are_refused(wrong, published):
    """Months, margin and rate."""
    with pytest.raises(UsageError):
        clv(simulate(5, 1, published), published, AMOUNTS, **TERMS | wrong)


# --- orders ------------------------------------------------------------------------------------------


def orders(*rows: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount"])
    return frame.assign(ordered_at=pd.to_datetime(frame["ordered_at"]))


ORDERS = orders(
    ("a", "2026-01-01 09:00", 50.0),
    ("a", "2026-01-15 10:00", 30.0),
    ("a", "2026-01-15 18:00", 10.0),
    ("a", "2026-01-20 12:00", -15.0),  # takes back part of 15 January
    ("a", "2026-01-29 12:00", 0.0),  # a free order
    ("b", "2026-01-22 12:00", 20.0),
    ("b", "2026-01-22 11:00", -20.0),  # the same day, whatever the clock says
    ("c", "2026-01-03 12:00", -5.0),  # of a purchase that nobody saw
    ("d", "2026-02-10 12:00", 99.0),  # after the end of observation
)


def test_orders_become_repeat_purchases_on_distinct_days():
    """First purchase excluded from the mean, refunds set against the purchase before, later orders left out."""
    rows = rfm(ORDERS, date(2026, 2, 5)).set_index("customer_id")
    assert rows.index.tolist() == ["a", "b"]
    assert rows.loc["a"].tolist() == [2, 4.0, 5.0, pytest.approx((25 + 0) / 2)]
    assert rows.loc["b", ["frequency", "recency", "T"]].tolist() == [0, 0, 2]
    assert np.isnan(rows.loc["b", "monetary_value"])
    days = rfm(ORDERS, date(2026, 2, 5), unit="day").set_index("customer_id")
    assert days.loc["a", ["recency", "T"]].tolist() == [28, 35]


def test_summary_does_not_depend_on_row_order():
    """The same bytes from shuffled orders."""
    shuffled = ORDERS.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(rfm(ORDERS, date(2026, 2, 5)), rfm(shuffled, date(2026, 2, 5)))
    pd.testing.assert_frame_equal(historic_value(ORDERS, 0.4), historic_value(shuffled, 0.4))


def test_historic_value_nets_all_refunds():
    """Revenue is what stayed in the till; value is its margin."""
    rows = historic_value(ORDERS, 0.4, as_of=date(2026, 2, 5)).set_index("customer_id")
    assert rows["revenue"].to_dict() == {"a": 75, "b": 0, "c": -5}
    assert rows["purchases"].to_dict() == {"a": 3, "b": 1, "c": 0}
    assert rows["value"].tolist() == pytest.approx([30, 0, -2])
    assert "d" in historic_value(ORDERS, 0.4)["customer_id"].tolist()


def test_no_orders_give_no_customers():
    """Empty orders have no rows and the usual columns."""
    assert rfm(ORDERS.iloc[:0], date(2026, 2, 5)).columns.tolist() == rfm(ORDERS, date(2026, 2, 5)).columns.tolist()
    assert rfm(ORDERS.iloc[:0], date(2026, 2, 5)).empty
    assert historic_value(ORDERS.iloc[:0], 0.4).empty


def test_incomplete_orders_are_refused():
    """No customer, no date, no amount, or no such column; nothing is dropped in silence."""
    for column, fault in (("customer_id", "without a customer"), ("ordered_at", "a date"), ("amount", "an amount")):
        broken = ORDERS.assign(**{column: ORDERS[column].mask(ORDERS.index == 2)})
        with pytest.raises(UsageError, match=f"1 orders .*{fault.split()[-1]}"):
            rfm(broken, date(2026, 2, 5))
        with pytest.raises(UsageError, match=column):
            historic_value(ORDERS.drop(columns=column), 0.4)


# --- the interval of what was fitted -----------------------------------------------------------------


def test_interval_depends_on_ids_and_seed_and_not_on_row_order():
    """The same customers in another order give the same interval, another seed another one nearby."""
    drawn = simulate(1500, 8, BgNbd(0.5, 6.0, 0.8, 2.5))
    found = fit_interval(drawn, mean_clv, groups=5)
    assert found.ci_low < found.value < found.ci_high
    shuffled = fit_interval(drawn.sample(frac=1, random_state=4), mean_clv, groups=5)
    assert shuffled[:4] == pytest.approx(found[:4], rel=1e-5)
    other = fit_interval(drawn, mean_clv, groups=5, seed=1)
    assert other.value == found.value
    assert other.se != found.se


def test_jackknife_of_a_mean_is_the_error_of_a_mean():
    """Where the statistic needs no model, its error is the textbook one."""
    drawn = simulate(4000, 9, BgNbd(0.5, 6.0, 0.8, 2.5))
    found = fit_interval(drawn, lambda rows, *_: rows["T"].mean(), groups=40)
    assert found.value == pytest.approx(drawn["T"].mean())
    assert found.se == pytest.approx(drawn["T"].std() / np.sqrt(4000), rel=0.3)
    assert found.ci_low * found.ci_high == pytest.approx(found.value**2)
    centred = fit_interval(drawn, lambda rows, *_: rows["T"].mean() - drawn["T"].mean(), groups=40)
    assert centred.se == pytest.approx(found.se)
    assert centred.ci_low == pytest.approx(-centred.ci_high)


def test_too_few_customers_to_refit_have_no_interval(monkeypatch):
    """As many repeat buyers as a fit needs carry one, a group fewer do not."""
    drawn = simulate(1500, 8, BgNbd(0.5, 6.0, 0.8, 2.5))
    monkeypatch.setattr(value, "MINIMUM_REPEAT_BUYERS", int((drawn["frequency"] > 0).sum()))
    found = fit_interval(drawn, mean_clv)
    assert np.isfinite(found.value)
    assert np.isnan([found.se, found.ci_low, found.ci_high]).all()
    assert found.note.startswith("no interval")


def coverage(draws: int, n: int) -> float:
    """Return how often the interval of the mean lifetime value holds that of a very large customer base.

    Draws whose likelihood has no maximum are refused or have no interval; they must be rare.
    """
    model = BgNbd(0.5, 6.0, 0.8, 2.5)
    truth = mean_clv(simulate(100_000, 99, model), model, AMOUNTS)
    held = []
    for seed in range(draws):
        with contextlib.suppress(UsageError):
            found = fit_interval(simulate(n, 1000 + seed, model), mean_clv)
            if found.note is None:
                held.append(found.ci_low <= truth <= found.ci_high)
    assert len(held) >= 0.95 * draws
    return float(np.mean(held))


def test_interval_holds_the_true_lifetime_value():
    """In a seeded slice of eight companies of 1,000 customers, at least six."""
    assert coverage(8, 1000) >= 0.75


@pytest.mark.soak
@pytest.mark.parametrize("n", [500, 1500])
def test_interval_holds_the_true_lifetime_value_as_often_as_it_says(n):
    """In 300 companies, about 95 %."""
    assert 0.915 <= coverage(300, n) <= 0.985
