"""Churn: features know no future, the model is judged on a later period, and a weak model gives no list."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from cxreport.errors import UsageError
from cxreport.measure import churn

AT = pd.Timestamp("2026-01-01", tz="UTC")
SNAPSHOTS = [pd.Timestamp(day, tz="UTC") for day in ("2025-01-01", "2025-04-01", "2025-07-01", "2025-10-01")]
ANSWERS = ["customer_id", "metric", "score", "responded_at"]
TICKETS = ["customer_id", "created_at", "first_replied_at", "resolved_at", "reply_minutes", "reopens"]
ORDERS = ["customer_id", "ordered_at", "amount", "currency", "kind"]


def before(days):
    return AT - pd.Timedelta(days=days)


def table(rows, columns):
    frame = pd.DataFrame(rows, columns=columns)
    dates = [name for name in columns if name.endswith("_at")]
    return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in dates})


def tables():
    """A customer with a history, one without, one who left, one who comes later and one who leaves later."""
    customers = table(
        [
            ("c2", before(400), None, 20.0),
            ("c1", before(100), None, 50.0),
            ("left", before(900), before(1), 30.0),
            ("later", before(-1), None, 30.0),
            ("leaves", before(500), before(-20), None),
        ],
        ["customer_id", "started_at", "ended_at", "monthly_value"],
    )
    answers = table(
        [
            ("c1", "nps", 9.0, before(50)),
            ("c1", "nps", 3.0, before(10)),
            ("c1", "csat", 2.0, before(10)),
            ("c1", "csat", 4.0, before(10)),
            ("c1", "ces_v2", None, before(5)),
            ("c1", "csat", 1.0, before(300)),
        ],
        ANSWERS,
    )
    tickets = table(
        [
            ("c1", before(5), before(4.5), None, 720.0, 2),
            ("c1", before(40), None, before(30), 3000.0, 1),
            ("c1", before(120), before(-3), before(-4), 180_000.0, 4),
            ("c1", before(200), None, None, None, 9),
        ],
        TICKETS,
    )
    orders = table(
        [
            ("c1", before(20), 30.0, "USD", "repeat"),
            ("c1", before(25), 10.0, "USD", "refund"),
            ("c1", before(150), 45.0, "USD", "upsell"),
        ],
        ORDERS,
    )
    return customers, answers, tickets, orders


def simulated_panel(effect, rate=-2.0, size=1500, seed=1):
    """Customers at four instants whose log odds of leaving are a constant plus an effect of the score."""
    random = np.random.default_rng(seed)
    frames = []
    for at in SNAPSHOTS:
        score, value = random.normal(size=size), random.lognormal(3, 0.5, size)
        frame = pd.DataFrame({"customer_id": [f"c{i:04d}" for i in range(size)], "at": at, "last_nps": score})
        frame["tenure_days"], frame["monthly_value"] = random.uniform(0, 2000, size), value
        frame["ended"] = random.random(size) < special.expit(rate + effect * score)
        frame.loc[random.random(size) < 0.3, "last_nps"] = np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def training():
    return churn.train(simulated_panel(effect=-1.2), horizon_days=90)


# --- features ------------------------------------------------------------------------------------


def test_features_are_those_counted_by_hand():
    """Of a customer with a history, and of customers with none."""
    frame = churn.features(*tables(), AT).set_index("customer_id")
    assert list(frame.index) == ["c1", "c2", "leaves"]
    expected = {
        "tenure_days": 100,
        "monthly_value": 50,
        "last_nps": 3,
        "last_csat": 3,  # two questions at once
        "surveys_answered": 2,
        "tickets_30_days": 1,
        "tickets_90_days": 2,
        "open_tickets": 2,  # one is resolved after the instant
        "reopens": 1,  # of the one case that is closed for good
        "slow_replies": 2,  # one reply after 50 hours, one case still waiting
        "orders": 2,
        "days_since_order": 20,
        "amount_change": 30 - 10 - 45,
        "last_nps_missing": 0,
        "last_ces_v2_missing": 1,
    }
    assert frame.loc["c1", list(expected)].to_dict() == expected
    nothing = frame.loc["c2", [name for name in expected if "tickets" in name or name in {"orders", "reopens"}]]
    assert (nothing == 0).all()
    assert frame.loc["c2", ["last_nps", "days_since_order"]].isna().all()
    assert frame.loc["leaves", "monthly_value_missing"] == 1


def test_features_know_no_future():
    """Rows dated at the instant or later, and what became of earlier cases after it, change nothing."""
    customers, answers, tickets, orders = tables()
    past = churn.features(customers, answers, tickets, orders, AT)
    customers["ended_at"] = customers["ended_at"].where(customers["ended_at"] < AT)
    is_open = ~(tickets["resolved_at"] < AT)
    tickets.loc[is_open, "resolved_at"] = before(-60)
    tickets.loc[is_open, "reopens"] = 99
    future = before(0), before(-30)
    answers = pd.concat([answers, table([("c2", "nps", 0.0, day) for day in future], ANSWERS)])
    tickets = pd.concat([tickets, table([("c2", day, day, None, 9.0, 5) for day in future], TICKETS)])
    orders = pd.concat([orders, table([("c2", day, 9.0, "EUR", "new") for day in future], ORDERS)])
    pd.testing.assert_frame_equal(churn.features(customers, answers, tickets, orders, AT), past)


def test_features_do_not_depend_on_row_order():
    """Shuffled tables give the same frame."""
    shuffled = [frame.sample(frac=1, random_state=3) for frame in tables()]
    pd.testing.assert_frame_equal(churn.features(*shuffled, AT), churn.features(*tables(), AT))


def test_features_work_without_history():
    """Tables without rows or columns give counts of zero."""
    frame = churn.features(tables()[0], *[pd.DataFrame()] * 3, AT)
    assert len(frame) == 3
    assert (frame[["orders", "tickets_90_days", "surveys_answered"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda frames: frames[0].drop(columns="ended_at"), "ended_at"),
        (lambda frames: pd.concat([frames[0]] * 2), "several rows"),
    ],
)
def test_features_refuse_unfit_customers(damage, word):
    """A missing column and a repeated customer are named."""
    frames = tables()
    with pytest.raises(UsageError, match=word):
        churn.features(damage(frames), *frames[1:], AT)


def test_features_refuse_currencies_zoneless_instants_and_short_windows():
    """Each has its message."""
    customers, answers, tickets, orders = tables()
    mixed = orders.assign(currency=["USD", "EUR", "USD"])
    with pytest.raises(UsageError, match="currencies"):
        churn.features(customers, answers, tickets, mixed, AT)
    with pytest.raises(UsageError, match="time zone"):
        churn.features(*tables(), AT.tz_localize(None))
    with pytest.raises(UsageError, match="30 days"):
        churn.features(*tables(), AT, window_days=30)


def test_panel_leaves_unfinished_horizons_out():
    """A customer who left early in an unfinished horizon is not counted either."""
    stacked = churn.panel(*tables(), snapshots=[AT, before(30), before(60)], horizon_days=30, known_until=before(-25))
    assert list(stacked["at"].unique()) == [before(60), before(30)]
    left = stacked[stacked["ended"]]
    assert list(zip(left["customer_id"], left["at"], strict=True)) == [("left", before(30))]
    with pytest.raises(UsageError, match="no snapshot"):
        churn.panel(*tables(), snapshots=[AT], horizon_days=30, known_until=AT)


def test_panel_counts_a_horizon_without_its_end():
    """Who leaves at the instant itself counts, who leaves as the horizon ends does not."""
    customers, *others = tables()
    edges = customers.assign(ended_at=[before(-30), before(0), *customers["ended_at"][2:]])
    stacked = churn.panel(edges, *others, snapshots=[AT], horizon_days=30, known_until=before(-30))
    assert stacked.set_index("customer_id")["ended"].to_dict() == {"c1": True, "c2": False, "leaves": True}


# --- model ---------------------------------------------------------------------------------------


def test_fit_is_the_maximum_of_the_penalised_likelihood():
    """The gradient vanishes there, and the covariance is the inverse of the numerical Hessian."""
    rows = simulated_panel(effect=-1.0, size=400)
    model = churn.fit(rows, rows["ended"])
    x = np.column_stack([np.ones(len(rows)), model.standardised(rows)])
    y, at = rows["ended"].to_numpy(), np.r_[model.intercept, model.coefficients]

    def gradient(beta):
        return x.T @ (y - special.expit(x @ beta)) - np.r_[0, beta[1:]]

    assert gradient(at) == pytest.approx(np.zeros(len(at)), abs=1e-6)
    steps = 1e-5 * np.eye(len(at))
    hessian = np.array([(gradient(at - step) - gradient(at + step)) / 2e-5 for step in steps])
    assert np.linalg.inv(hessian) == pytest.approx(model.covariance, rel=1e-4, abs=1e-9)


def test_fit_does_not_depend_on_row_order_or_units():
    """The bits are equal for shuffled rows; another unit changes no risk."""
    rows = simulated_panel(effect=-1.0, size=300)
    model = churn.fit(rows, rows["ended"])
    shuffled = rows.sample(frac=1, random_state=5)
    again = churn.fit(shuffled, shuffled["ended"])
    assert (again.coefficients == model.coefficients).all()
    assert again.intercept == model.intercept
    in_cents = rows.assign(monthly_value=100 * rows["monthly_value"])
    assert churn.fit(in_cents, rows["ended"]).risk(in_cents) == pytest.approx(model.risk(rows), rel=1e-6)


def test_fit_keeps_what_a_missing_value_says():
    """Where only the absence of a value goes with leaving, its indicator carries the risk and the value none."""
    random = np.random.default_rng(4)
    is_missing = random.random(4000) < 0.5
    features = pd.DataFrame({"value": np.where(is_missing, np.nan, random.normal(size=4000))})
    outcome = pd.Series(random.random(4000) < np.where(is_missing, 0.5, 0.1))
    table = churn.explain(churn.fit(features, outcome)).set_index("feature")
    assert table.loc["value_missing", "ci_low"] > 1.5
    assert table.loc["value", "ci_low"] < 1 < table.loc["value", "ci_high"]


@pytest.mark.parametrize(
    ("features", "outcome", "word"),
    [
        ({"x": [1.0, 2.0]}, [True, True], "same in every row"),
        ({"x": []}, [], "no rows"),
        ({"x": [1.0, 1.0]}, [True, False], "spread"),
        ({"x": ["a", "b"]}, [True, False], "`x`"),
        ({"x": [1.0, np.inf]}, [True, False], "infinite"),
    ],
)
def test_fit_refuses_what_cannot_be_fitted(features, outcome, word):
    """One outcome, no rows, no spread, text and infinite numbers."""
    with pytest.raises(UsageError, match=word):
        churn.fit(pd.DataFrame(features), pd.Series(outcome, dtype=bool))


def test_explained_intervals_hold_the_planted_odds_ratio():
    """In 95 of 100 simulated samples, near enough."""
    random, held, draws = np.random.default_rng(11), 0, 80
    for _ in range(draws):
        x = random.normal(size=(800, 2))
        y = random.random(800) < special.expit(-1.5 + 0.6 * x[:, 0])
        table = churn.explain(churn.fit(pd.DataFrame(x, columns=["a", "b"]), pd.Series(y))).set_index("feature")
        truth = np.exp(0.6 * table.loc["a", "sd"])
        held += table.loc["a", "ci_low"] < truth < table.loc["a", "ci_high"]
    assert stats.binom.cdf(held, draws, 0.95) > 0.001


# --- judgement -----------------------------------------------------------------------------------


def test_figures_agree_with_independent_calculations():
    """AUC and Brier of scikit-learn; capture, lift and the table counted directly."""
    rows, later = simulated_panel(effect=-1.0, seed=2), simulated_panel(effect=-1.0, seed=3)
    model = churn.fit(rows, rows["ended"])
    judgement = churn.judge(model, later, later["ended"])
    value, risk, y = judgement.figures["value"], model.risk(later), later["ended"].to_numpy()
    assert value["auc"] == pytest.approx(roc_auc_score(y, risk))
    assert value["brier"] == pytest.approx(brier_score_loss(y, risk))
    top = np.argsort(-risk)[: len(risk) // 10]
    assert value["capture"] == pytest.approx(y[top].sum() / y.sum())
    assert value["lift"] == pytest.approx(y[top].mean() / y.mean())
    table = judgement.reliability
    assert len(table) == 10
    assert table["n"].sum() == len(later)
    assert (table["n"] * table["observed"]).sum() == pytest.approx(y.sum())
    assert (table["n"] * table["expected"]).sum() == pytest.approx(risk.sum())
    assert ((table["ci_low"] <= table["observed"]) & (table["observed"] <= table["ci_high"])).all()
    figures = judgement.figures
    assert ((figures["ci_low"] < figures["value"]) & (figures["value"] < figures["ci_high"])).all()


def test_calibration_finds_a_planted_distortion():
    """Log odds doubled and shifted by 1 have the slope 1/2, and the mean risk shows the shift."""
    random = np.random.default_rng(6)
    truth = random.normal(-1, 1, 20_000)
    y = random.random(20_000) < special.expit(truth)
    figures = churn._calibration(y, special.expit(2 * truth), 0.95)
    assert figures["calibration_slope"].value == pytest.approx(0.5, abs=0.03)
    shifted = churn._calibration(y, special.expit(truth + 1), 0.95)
    assert shifted["calibration_intercept"].value == pytest.approx(-1, abs=0.06)
    assert shifted["calibration_slope"].value == pytest.approx(1, abs=0.06)
    assert shifted["observed_to_expected"].ci_high < 1


def _share_held(draws):
    random = np.random.default_rng(8)
    truth = stats.norm.cdf(0.8 / np.sqrt(2))
    held = 0
    for _ in range(draws):
        y = np.arange(200) < 40
        figure = churn.auc(y, random.normal(0.8 * y), 0.95)
        held += figure.ci_low < truth < figure.ci_high
    return held


def test_auc_interval_holds_the_truth():
    """In about 95 % of samples of 40 leavers and 160 stayers."""
    assert stats.binom.cdf(_share_held(400), 400, 0.95) > 0.001


@pytest.mark.soak
def test_auc_interval_holds_the_truth_in_long_runs():
    """Between 93 and 97 %."""
    assert 0.93 < _share_held(20_000) / 20_000 < 0.97


def test_auc_gain_is_the_paired_difference():
    """A model against itself gains nothing; the paired error is that of the bootstrap."""
    random = np.random.default_rng(9)
    y = random.random(600) < 0.3
    one = random.normal(y)
    other = one + random.normal(size=600)
    assert churn._auc_gain(y, one, one, 0.95).value == 0
    gain = churn._auc_gain(y, one, other, 0.95)
    draws = [random.integers(600, size=600) for _ in range(300)]
    gains = [np.subtract(*(churn._placements(y[i], risk[i])[0].mean() for risk in (one, other))) for i in draws]
    assert (gain.ci_high - gain.ci_low) / 2 / 1.96 == pytest.approx(np.std(gains), rel=0.15)


def test_separated_outcomes_have_no_interval():
    """A perfect AUC is no certainty, and equal risks have neither a slope nor a warning."""
    y = np.array([False] * 5 + [True] * 5)
    perfect = churn.auc(y, np.arange(10.0), 0.95)
    assert perfect.value == 1
    assert np.isnan(perfect.ci_low)
    assert np.isnan(churn._calibration(y, np.linspace(0.1, 0.9, 10), 0.95)["calibration_slope"].value)
    flat = churn._calibration(y, np.full(10, 0.4), 0.95)
    assert np.isnan(flat["calibration_slope"].value)
    assert churn._top_tenth(y, np.full(10, 0.4), 0.95)["lift"].value == pytest.approx(1)


def test_telco_model_is_as_good_as_is_known(shared):
    """All fields of the public telephone data give an AUC near .84 on unseen customers, well calibrated."""
    data = pd.read_csv(shared / "data" / "telco" / "Telco-Customer-Churn.csv")
    data["TotalCharges"] = pd.to_numeric(data["TotalCharges"], errors="coerce")
    outcome = data["Churn"] == "Yes"
    fields = pd.get_dummies(data.drop(columns=["customerID", "Churn"])).astype(float)
    seen = np.random.default_rng(0).random(len(data)) < 0.7
    model, baseline = (churn.fit(part[seen], outcome[seen]) for part in (fields, fields[["tenure"]]))
    value = churn.judge(model, fields[~seen], outcome[~seen], baseline).figures
    assert 0.82 < value.loc["auc", "value"] < 0.87
    assert value.loc["auc_gain", "ci_low"] > 0.05
    assert value.loc["brier_gain", "ci_low"] > 0
    assert 0.85 < value.loc["calibration_slope", "value"] < 1.15
    assert 0.9 < value.loc["observed_to_expected", "value"] < 1.1


# --- training ------------------------------------------------------------------------------------


def test_training_is_judged_on_a_later_period(training):
    """A planted effect makes a usable model, better than tenure; the judge is the latest snapshot."""
    assert training.verdict == churn.USABLE
    assert training.judged_at == SNAPSHOTS[-1]
    assert training.trained_at == tuple(SNAPSHOTS[:-1])
    assert training.judgement.n == 1500
    assert training.judgement.figures.loc["auc_gain", "ci_low"] > 0
    assert training.notes == ()


def test_outcome_windows_do_not_overlap():
    """Snapshots closer than the horizon to the one taken before are passed over."""
    at = pd.Series(pd.date_range("2025-01-01", "2025-12-01", freq="MS", tz="UTC"))
    trained_at, judged_at = churn._split(at, horizon_days=90)
    windows = pd.Series([*trained_at, judged_at]).diff().dropna()
    assert judged_at == at.iloc[-1]
    assert len(trained_at) == 3
    assert (windows >= pd.Timedelta(days=90)).all()


def test_no_effect_gives_no_model():
    """Chance is told apart from skill: at most a few of 20 panels without any effect pass."""
    verdicts = [churn.train(simulated_panel(effect=0, size=400, seed=seed), 90).verdict for seed in range(20)]
    assert sum(verdict == churn.USABLE for verdict in verdicts) <= 3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda rows: rows.assign(ended=rows["ended"] & (rows["at"] == SNAPSHOTS[-1])), "fewer than 50"),
        (lambda rows: rows.assign(ended=rows["ended"] & (rows["at"] != SNAPSHOTS[-1])), "fewer than 20"),
        (lambda rows: rows[rows["at"] == SNAPSHOTS[-1]], "0 customers left in training"),
        (lambda rows: rows.assign(ended=True), "nobody stayed"),
        (lambda rows: rows.assign(leak=rows["ended"].astype(float)), "know the future"),
        (lambda rows: rows.assign(last_nps=rows["last_nps"] * np.where(rows["at"] == AT_LAST, -1, 1)), "chance"),
        (lambda rows: rows.assign(last_nps=rows["last_nps"] * np.where(rows["at"] == AT_LAST, 9, 1)), "slope"),
    ],
)
def test_unfit_panels_are_refused_with_the_reason(change, word):
    """Too few leavers, a leak, a relation that turned round, risks that are too extreme."""
    training = churn.train(change(simulated_panel(effect=-1.0)), 90)
    assert training.verdict.startswith("no usable model: ")
    assert word in training.verdict
    with pytest.raises(UsageError, match="no usable model"):
        churn.risk_list(training, simulated_panel(effect=0))


AT_LAST = SNAPSHOTS[-1]


def test_empty_panel_is_an_error():
    """There is nothing to split."""
    with pytest.raises(UsageError, match="without rows"):
        churn.train(simulated_panel(effect=0).head(0), 90)


# --- the list ------------------------------------------------------------------------------------


def today(size=200):
    return simulated_panel(effect=-1.2, seed=12).head(size).drop(columns=["at", "ended"])


def test_list_ranks_by_expected_loss(training):
    """Risk times monthly value times the months of the horizon, highest first."""
    listing = churn.risk_list(training, today(), top=20)
    assert list(listing["rank"]) == list(range(1, 21))
    loss = listing["risk"] * listing["monthly_value"] * 90 / (365.25 / 12)
    assert listing["expected_loss"].to_numpy() == pytest.approx(loss.to_numpy())
    assert listing["expected_loss"].is_monotonic_decreasing
    everybody = churn.risk_list(training, today(), top=1000)
    assert len(everybody) == 200
    assert everybody["expected_loss"].head(20).tolist() == listing["expected_loss"].tolist()
    assert ((listing["risk_ci_low"] < listing["risk"]) & (listing["risk"] < listing["risk_ci_high"])).all()


def test_list_does_not_depend_on_row_order(training):
    """Nor on ties, which the customer's id decides."""
    twins = pd.concat([today(30)] * 2, ignore_index=True)
    twins["customer_id"] = [f"c{i:04d}" for i in range(60)]
    listing = churn.risk_list(training, twins, top=60)
    shuffled = churn.risk_list(training, twins.sample(frac=1, random_state=1), top=60)
    pd.testing.assert_frame_equal(listing, shuffled)
    ids = listing["customer_id"].str[1:].astype(int)
    assert (ids.iloc[1::2].to_numpy() - ids.iloc[::2].to_numpy() == 30).all()


def test_list_ranks_by_risk_where_values_are_unknown(training):
    """No loss is shown then; a single unknown value ranks as the median."""
    unknown = churn.risk_list(training, today().assign(monthly_value=np.nan), top=200)
    assert unknown["risk"].round(9).is_monotonic_decreasing
    assert unknown["expected_loss"].isna().all()
    frame = today()
    frame.loc[0, "monthly_value"] = np.nan
    some = churn.risk_list(training, frame, top=200).set_index("customer_id")
    assert np.isnan(some.loc[frame.loc[0, "customer_id"], "expected_loss"])
    assert some["expected_loss"].notna().sum() == 199


def test_reasons_are_the_largest_contributions():
    """In words, largest first, only those that raise the risk, and a missing value as its absence."""
    columns = ("last_nps", "last_nps_missing", "open_tickets", "tickets_90_days", "orders")
    beta = np.array([-1.0, 0.5, 0.3, 0.4, -0.2])
    model = churn.ChurnModel(columns, np.zeros(5), np.ones(5), -1.0, beta, np.eye(6), 100, 50)
    features = pd.DataFrame(
        {"last_nps": [-2.0, np.nan], "open_tickets": [1.0, 2.0], "tickets_90_days": [3.0, 0.0], "orders": [4.0, 0.0]}
    )
    reasons = churn._reasons(model, model.standardised(features), features)
    assert reasons.iloc[0].tolist() == ["last NPS score -2", "3 support cases in 90 days", "1 open support case"]
    assert reasons.iloc[1].tolist() == ["2 open support cases", "no recent NPS answer", None]


def test_pipeline_from_tables_finds_the_planted_cause():
    """Customers who scored low leave more often: the list says so in plain terms."""
    random, size = np.random.default_rng(21), 1200
    names = [f"c{i:04d}" for i in range(size)]
    score = random.integers(0, 11, size).astype(float)
    leaves_after = random.exponential(2000 * np.exp(0.3 * (score - 5)))
    first = SNAPSHOTS[0]
    ended = pd.Series(first + pd.to_timedelta(leaves_after, unit="D")).where(leaves_after < 700)
    customers = pd.DataFrame({"customer_id": names, "started_at": first - pd.Timedelta(days=500), "ended_at": ended})
    asked = [at - pd.Timedelta(days=20) for at in [*SNAPSHOTS, AT]]
    answers = pd.concat(
        [pd.DataFrame({"customer_id": names, "metric": "nps", "score": score, "responded_at": at}) for at in asked]
    )
    sources = customers.assign(monthly_value=40.0), answers, pd.DataFrame(), pd.DataFrame()
    stacked = churn.panel(*sources, snapshots=SNAPSHOTS, horizon_days=90, known_until=AT)
    training = churn.train(stacked, 90)
    assert training.is_usable
    listing = churn.risk_list(training, churn.features(*sources, AT), top=30)
    assert listing["reason_1"].isin([f"last NPS score {low}" for low in range(3)]).all()
