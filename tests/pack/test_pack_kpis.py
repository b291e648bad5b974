"""Every KPI of the sample company, counted again in plain pandas from the rows that were accepted.

Nothing here imports what measured them: rows, classes, days and formulas are written down a second time.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

ZONE = "America/Chicago"
MARGIN = 0.6
ALL = "all"
KPIS = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "reports" / "kpis").glob("*.yml"))
ELSEWHERE = {"nps_weighted", "item_mean", "item_top_two"}  # of the real survey: test_pack_sfo.py
ASKED_UNTIL = {"ces_v1": "2025-09"}
Z = stats.norm.ppf(0.975)
UNKNOWN = float("nan")


class Figure(NamedTuple):
    """A base, a figure and the ends of its interval; NaN where no simple formula gives them."""

    n: int
    value: float
    low: float = UNKNOWN
    high: float = UNKNOWN


# --- the accepted rows ---------------------------------------------------------------------------


def local_month(instants: pd.Series) -> pd.Series:
    return instants.dt.tz_convert(ZONE).dt.strftime("%Y-%m")


def bounds(month: str, months: int = 1) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first instant of so many months that end with a month, and the first one after them."""
    first = pd.Timestamp(f"{month}-01")
    return (first - pd.DateOffset(months=months - 1)).tz_localize(ZONE), (first + pd.DateOffset(months=1)).tz_localize(
        ZONE
    )


class Company:
    """The accepted tables of all months; a table that describes a state, as the last month knew it."""

    def __init__(self, folder: Path) -> None:
        self.months = sorted(path for path in folder.iterdir() if path.is_dir())
        self.table = cache(self.table)
        self.contacts = cache(self.contacts)
        self.customer_months = cache(self.customer_months)

    def table(self, name: str, dated_by: str = "") -> pd.DataFrame:
        """Return a table; a dated one is that of all months, with the `month` of each row by its own clock."""
        files = [folder / f"{name}.parquet" for folder in self.months]
        if not dated_by:
            return pd.read_parquet(files[-1])
        rows = pd.concat([pd.read_parquet(file) for file in files if file.exists()], ignore_index=True)
        return rows.assign(month=local_month(rows[dated_by]))

    def with_customers(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Put region and plan beside rows of customers."""
        customers = self.table("customers")[["customer_id", "region", "plan"]]
        return rows.drop(columns=["region", "plan"], errors="ignore").merge(customers, how="left", on="customer_id")

    def contacts(self) -> pd.DataFrame:
        """Return all cases with what came of them, customer by customer."""
        cases = self.table("tickets", "created_at").sort_values(["created_at", "ticket_id"], ignore_index=True)
        newest, until = cases["created_at"].max(), cases[["created_at", "first_replied_at", "resolved_at"]].max().max()
        known = cases[cases["customer_id"].notna()].assign(closes=cases["resolved_at"] + pd.Timedelta(days=7))
        by_customer = defaultdict(list)
        for case in known.itertuples():
            by_customer[case.customer_id].append(case)
        first, one = {}, {}
        for own in by_customer.values():
            for place, case in enumerate(own):
                if pd.isna(case.resolved_at):
                    continue
                later = [other for other in own[place + 1 :] if other.created_at < case.closes]
                again = case.reopens > 0 or any(other.team == case.team for other in later)
                more = again or bool(later) or case.replies > 1
                is_over = case.closes <= newest
                first[case.Index] = float(not again) if is_over else np.nan
                one[case.Index] = float(not more) if is_over else np.nan
        open_for = (until - cases["created_at"]) // pd.Timedelta(minutes=1)
        return cases.assign(
            first=pd.Series(first, dtype=float).reindex(cases.index),
            one=pd.Series(one, dtype=float).reindex(cases.index),
            reopened=(cases["reopens"] > 0).astype(float).where(cases["resolved_at"].notna()),
            reply_age=open_for.where(cases["first_replied_at"].isna()),
            age=open_for.where(cases["resolved_at"].isna()),
        )

    def customer_months(self, month: str) -> pd.DataFrame:
        """Return the customers of a month by id, with what became of them and what they ordered."""
        start, end = bounds(month)
        people = self.table("customers").set_index("customer_id")
        left = people["ended_at"].fillna(pd.Timestamp.max.tz_localize("UTC").floor("us"))
        people = people[(people["started_at"] < end) & (left >= start)]
        is_gone, was_there = left[people.index] < end, people["started_at"] < start
        value = {instant: self.monthly_value(instant).reindex(people.index, fill_value=0.0) for instant in (start, end)}
        orders = self.table("orders", "ordered_at")
        so_far = orders[orders["ordered_at"] < end]
        bought = so_far[so_far["kind"] != "refund"]
        now, year = bought[bought["month"] == month], bought[bought["ordered_at"] >= bounds(month, 12)[0]]
        count, count_year = (rows["customer_id"].value_counts().reindex(people.index) for rows in (now, year))
        signed = so_far["amount"].abs() * np.where(so_far["kind"] == "refund", -1, 1)
        spent = signed.groupby(so_far["customer_id"]).sum().reindex(people.index)
        sold = {kind: set(now.loc[now["kind"] == kind, "customer_id"]) for kind in ("upsell", "cross_sell")}
        result = pd.DataFrame(
            {
                "retained": (~is_gone).where(was_there),
                "lost": is_gone.where(was_there),
                "start": value[start].where(was_there),
                "end": value[end].mask(is_gone, 0.0).where(was_there),
                "orders": count,
                "repeat": (count_year > 1).where(count.notna()),
                "margin": MARGIN * spent,
            }
            | {kind: was_there.index.isin(list(who)) for kind, who in sold.items()}
        ).astype(float)
        result[list(sold)] = result[list(sold)].where(was_there)
        return self.with_customers(result.reset_index()).assign(kept=lambda rows: rows[["start", "end"]].min(axis=1))

    def monthly_value(self, instant: pd.Timestamp) -> pd.Series:
        spells = self.table("subscriptions")
        lasts = (spells["started_at"] < instant) & ~(spells["ended_at"] < instant)
        return spells[lasts].groupby("customer_id")["monthly_value"].sum()


Rows = Callable[[Company, str], pd.DataFrame]


def answers(*metrics: str) -> Rows:
    def rows(company: Company, month: str) -> pd.DataFrame:
        asked, responses = (company.table(name, "responded_at") for name in ("answers", "responses"))
        asked = asked[asked["metric"].isin(metrics) & (asked["month"] == month)]
        about = responses[["response_id", "customer_id", "channel", "stage", "touchpoint", "language", "month"]]
        wide = company.with_customers(asked.merge(about, how="left", on=["response_id", "month"], validate="m:1"))
        return wide.assign(x=wide["score"], cluster=wide["customer_id"])

    return rows


def invitations(*states: str) -> Rows:
    def rows(company: Company, month: str) -> pd.DataFrame:
        sent = company.table("invitations", "sent_at")
        sent = sent[(sent["month"] == month) & (sent["status"].isin(states) if states else True)]
        return company.with_customers(sent.assign(x=sent["response_id"].notna() * 1.0, cluster=sent["customer_id"]))

    return rows


def cases(column: str, age: str = "") -> Rows:
    def rows(company: Company, month: str) -> pd.DataFrame:
        opened = company.contacts()
        opened = opened[opened["month"] == month].assign(x=lambda rows: rows[column])
        opened = opened.assign(cluster=opened["customer_id"], so_far=opened[age] if age else np.nan)
        return company.with_customers(opened)

    return rows


def backlog(company: Company, month: str) -> pd.DataFrame:
    _, end = bounds(month)
    known = company.contacts()
    return company.with_customers(known[(known["created_at"] < end) & ~(known["resolved_at"] < end)])


def customers(column: str) -> Rows:
    return lambda company, month: company.customer_months(month).assign(x=lambda rows: rows[column])


def tenures(company: Company, month: str) -> pd.DataFrame:
    start, end = bounds(month, 24)
    joined = company.table("customers")
    joined = joined[(joined["started_at"] >= start) & (joined["started_at"] < end)]
    has_left = joined["ended_at"] < end
    stayed, so_far = ((until - joined["started_at"]) // pd.Timedelta(days=1) for until in (joined["ended_at"], end))
    return joined.assign(x=stayed.where(has_left), so_far=so_far.mask(has_left))


def visits(company: Company, month: str) -> pd.DataFrame:
    events = company.table("events", "occurred_at").dropna(subset="session_id")
    began = events.sort_values(["occurred_at", "event_id"]).drop_duplicates("session_id")
    began = began[began["month"] == month]
    visitor = events.dropna(subset="customer_id").drop_duplicates("session_id").set_index("session_id")["customer_id"]
    seen = {name: set(events.loc[events["name"] == name, "session_id"]) for name in ("cart", "order")}
    has = {name: began["session_id"].isin(list(ids)) for name, ids in seen.items()}
    return began.assign(x=has["order"], with_cart=has["cart"], cluster=began["session_id"].map(visitor))


def carts(company: Company, month: str) -> pd.DataFrame:
    return visits(company, month).query("with_cart")


def employees(company: Company, month: str) -> pd.DataFrame:
    rows = company.table("employees", "responded_at")
    rows = rows[(rows["metric"] == "enps") & (rows["month"] == month)]
    return rows.assign(x=rows["score"])


def reviews(company: Company, month: str) -> pd.DataFrame:
    rows = company.table("mentions", "posted_at")
    rows = rows[rows["month"] == month]
    return rows.assign(x=rows["rating"])


def opinions(company: Company, month: str) -> pd.DataFrame:
    analyzer = SentimentIntensityAnalyzer()
    rows = company.table("mentions", "posted_at")
    rows = rows[rows["month"] == month]
    rows = rows[rows["text"].fillna("").str.contains(r"\w") & rows["language"].str.lower().str.match(r"en\b")]
    compound = [analyzer.polarity_scores(text)["compound"] for text in rows["text"]]
    return rows.assign(x=np.round(np.sign(compound) * (np.abs(compound) >= 0.05)))


# --- the formulas --------------------------------------------------------------------------------

Statistic = Callable[[pd.DataFrame], Figure]


def deviation(residuals: pd.Series, rows: pd.DataFrame) -> tuple[float, int]:
    """Return the root of the summed squares of customers' own sums of residuals, and the number of customers."""
    sums = residuals.groupby(cluster_of(rows)).sum()
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum())), len(sums)


def cluster_of(rows: pd.DataFrame) -> pd.Series:
    """Return the customer of each row; rows without one stand alone."""
    own = pd.Series(np.arange(len(rows)), rows.index).astype(str).radd("row ")
    return rows["cluster"].fillna(own) if "cluster" in rows else own


def effective(x: pd.Series, rows: pd.DataFrame, variance: float) -> tuple[float, float]:
    """Return the base of independent answers that would be as precise, and the critical value."""
    root, customers = deviation(x - x.mean(), rows)
    if customers == len(x) or root == 0:
        return float(len(x)), Z
    return variance / (root / len(x)) ** 2, stats.t.ppf(0.975, customers - 1)


def share(*top: float) -> Statistic:
    def statistic(rows: pd.DataFrame) -> Figure:
        rows = rows.dropna(subset="x")
        x = rows["x"].astype(float).isin(top).astype(float)
        p = x.mean()
        if p in {0, 1}:
            return Figure(len(x), p)
        base, z = effective(x, rows, p * (1 - p))
        middle, half = p + z**2 / (2 * base), z * np.sqrt(p * (1 - p) / base + (z / (2 * base)) ** 2)
        return Figure(len(x), p, *((middle + sign * half) / (1 + z**2 / base) for sign in (-1, 1)))

    return statistic


def net(top: float, bottom: float) -> Statistic:
    def statistic(rows: pd.DataFrame) -> Figure:
        rows = rows.dropna(subset="x")
        x = (rows["x"] >= top) * 1.0 - (rows["x"] <= bottom) * 1.0
        if x.nunique() < 3:
            return Figure(len(x), 100 * x.mean())
        base, z = effective(x, rows, (x**2).mean() - x.mean() ** 2)
        # Three pseudo-answers: three quarters of one in either class.
        promoters, detractors = (((x == sign).mean() * base + 0.75) / (base + 3) for sign in (1, -1))
        middle = promoters - detractors
        half = z * np.sqrt((promoters + detractors - middle**2) / (base + 3))
        return Figure(len(x), 100 * x.mean(), 100 * (middle - half), 100 * (middle + half))

    return statistic


def bounded(value: float, root: float, own: pd.Series, low: float, high: float) -> tuple[float, float]:
    """Return Wilson's ends of a mean between two limits, from the weights of customers and their summed residuals.

    The answers' part of the greatest variance counts a tenth of an answer at either limit.
    """
    m, n = len(own), own.sum() ** 2 / (own**2).sum()
    p, t = (value - low) / (high - low), stats.t.ppf(0.975, m - 1)
    variance = (root / own.sum() / (high - low)) ** 2 * n * (m - 1) / m
    middle = (n * p + 0.1) / (n + 0.2)
    part = ((n * (variance + p**2) + 0.1) / (n + 0.2) - middle**2) / middle / (1 - middle)
    base = n * (m - 1) / m / part
    half = t * np.sqrt(p * (1 - p) / base + (t / (2 * base)) ** 2)
    ends = ((p + t**2 / (2 * base) + sign * half) / (1 + t**2 / base) for sign in (-1, 1))
    first, last = (low + (high - low) * end for end in ends)
    return first, last


def mean_score(low: float, high: float) -> Statistic:
    def statistic(rows: pd.DataFrame) -> Figure:
        rows = rows.dropna(subset="x")
        x = rows["x"].astype(float)
        root, _ = deviation(x - x.mean(), rows)
        return Figure(len(x), x.mean(), *bounded(x.mean(), root, x.groupby(cluster_of(rows)).size(), low, high))

    return statistic


def mean_amount(rows: pd.DataFrame) -> Figure:
    """Return the mean with Hall's t: the skewness of what customers pull on it bends the critical values."""
    rows = rows.dropna(subset="x")
    x = rows["x"].astype(float)
    pulls = (x - x.mean()).groupby(cluster_of(rows)).sum()
    root, m = deviation(x - x.mean(), rows)
    g = stats.skew(pulls, bias=False) / np.sqrt(m)
    t = stats.t.ppf(0.975, m - 1)
    deviates = (3 / g * (np.cbrt(1 + g * (sign * t - g / 6)) - 1) for sign in (1, -1))
    return Figure(len(x), x.mean(), *(x.mean() - deviate * root / len(x) for deviate in deviates))


def mean_of_nets(rows: pd.DataFrame) -> Figure:
    """Return the mean of three nets; every respondent pulls on each of them."""
    rows = rows.dropna(subset="x").assign(cluster=lambda frame: frame["response_id"])
    x = (rows["x"] >= 6) * 1.0 - (rows["x"] <= 3) * 1.0
    by_question = x.groupby(rows["metric"])
    value = by_question.mean().mean()
    pull = (x - by_question.transform("mean")) / by_question.transform("size") / 3
    root, respondents = deviation(pull, rows)
    half = stats.t.ppf(0.975, respondents - 1) * root
    return Figure(len(x), 100 * value, 100 * (value - half), 100 * (value + half))


def revenue(of: str) -> Statistic:
    def statistic(rows: pd.DataFrame) -> Figure:
        rows = rows.dropna(subset="start")
        kept, base = rows[of], rows["start"].sum()
        value = kept.sum() / base
        root, n = deviation(kept - value * rows["start"], rows)
        if of == "kept":
            return Figure(n, value, *bounded(value, root, rows["start"], 0, 1))
        half = stats.t.ppf(0.975, n - 1) * root / base
        return Figure(n, value, value - half, value + half)

    return statistic


def quantile(q: float) -> Statistic:
    def statistic(rows: pd.DataFrame) -> Figure:
        x = np.sort(rows["x"].fillna(np.inf).to_numpy(dtype=float))
        n = len(x)
        below, above = x[int(np.floor((n - 1) * q))], x[int(np.ceil((n - 1) * q))]
        value = below if below == above else below + (n - 1) * q % 1 * (above - below)
        first, last = int(stats.binom.ppf(0.025, n, q)), int(stats.binom.ppf(0.975, n, q)) + 1
        has_interval = first >= 1 and last <= n and np.isfinite(x[last - 1])
        return Figure(n, value, *((x[first - 1], x[last - 1]) if has_interval else ()))

    return statistic


def kaplan_meier(at: float, *, over: bool) -> Statistic:
    """Return the share that is over, or still there, at a time, with Greenwood's error on the log-log scale."""

    def statistic(rows: pd.DataFrame) -> Figure:
        lasted, has_ended = rows["x"].fillna(rows["so_far"]).to_numpy(dtype=float), rows["x"].notna().to_numpy()
        survival, greenwood = 1.0, 0.0
        for time in np.unique(lasted[has_ended & (lasted <= at)]):
            at_risk, ended = (lasted >= time).sum(), (has_ended & (lasted == time)).sum()
            survival *= 1 - ended / at_risk
            greenwood += ended / (at_risk * (at_risk - ended)) if at_risk > ended else np.inf
        figure = [survival]
        if 0 < survival < 1:
            power = Z * np.sqrt(greenwood) / np.log(survival)
            figure += [survival ** np.exp(-power), survival ** np.exp(power)]
        return Figure(len(rows), *((1 - figure[0], *(1 - end for end in figure[:0:-1])) if over else figure))

    return statistic


def count(rows: pd.DataFrame) -> Figure:
    return Figure(len(rows), len(rows))


# --- lifetime value ------------------------------------------------------------------------------


def purchase_days(company: Company, month: str) -> pd.DataFrame:
    """Return each buyer's days of purchase up to the end of a month, and what was left of them after refunds."""
    orders = company.table("orders", "ordered_at")
    orders = orders[orders["ordered_at"] < bounds(month)[1]]
    orders = orders.assign(day=orders["ordered_at"].dt.tz_convert(ZONE).dt.strftime("%Y-%m-%d"))
    orders = orders.assign(is_refund=orders["kind"] == "refund").sort_values(["customer_id", "day", "is_refund"])
    bought: dict[str, dict[str, float]] = {}
    for row in orders.itertuples():
        days = bought.setdefault(row.customer_id, {})
        if not row.is_refund:
            days[row.day] = days.get(row.day, 0.0) + abs(row.amount)
        elif days:
            days[max(days)] -= abs(row.amount)
    last_day = bounds(month)[1].tz_localize(None) - pd.Timedelta(days=1)
    rows = []
    for days in filter(None, bought.values()):
        first, *again = sorted(days)
        weeks = [(pd.Timestamp(day) - pd.Timestamp(first)).days / 7 for day in (max(days), last_day)]
        rows.append((len(again), *weeks, np.mean([max(days[day], 0) for day in again]) if again else 0.0))
    return pd.DataFrame(rows, columns=["x", "t_x", "t", "amount"])


def fitted(log_likelihood: Callable[[np.ndarray], float], first: list[float]) -> np.ndarray:
    """Return the positive parameters of greatest likelihood, searched for without its derivatives."""
    found = np.log(first)
    with np.errstate(over="ignore", invalid="ignore"):  # far steps of the search
        # On a flat ridge the first search stops early, and the second one is slow alone.
        for method, precision in (("BFGS", {}), ("Nelder-Mead", {"xatol": 1e-4, "fatol": 1e-6, "maxiter": 5000})):
            found = optimize.minimize(
                lambda logs: -log_likelihood(np.exp(logs)), found, method=method, options=precision
            ).x
    return np.exp(found)


def lifetime(buyers: pd.DataFrame) -> Figure:
    """Return the mean lifetime value by Fader, Hardie and Lee (2005) and Fader and Hardie (2013), as printed there."""
    alike = buyers.value_counts(["x", "t_x", "t"]).reset_index()
    x, t_x, t, size = (alike[name].to_numpy(dtype=float) for name in ("x", "t_x", "t", "count"))

    def buying(parameters: np.ndarray) -> float:
        r, alpha, a, b = parameters
        rest = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha)
        stays = special.betaln(a, b + x) - special.betaln(a, b) - (r + x) * np.log(alpha + t)
        leaves = special.betaln(a + 1, b + np.maximum(x, 1) - 1) - special.betaln(a, b) - (r + x) * np.log(alpha + t_x)
        return size @ (rest + np.logaddexp(stays, np.where(x > 0, leaves, -np.inf)))

    again = buyers[(buyers["x"] > 0) & (buyers["amount"] > 0)]
    k, m = again["x"].to_numpy(dtype=float), again["amount"].to_numpy()

    def spending(parameters: np.ndarray) -> float:
        p, q, v = parameters
        return np.sum(
            q * np.log(v)
            + (p * k - 1) * np.log(m)
            + p * k * np.log(k)
            - (p * k + q) * np.log(k * m + v)
            - special.betaln(p * k, q)
        )

    r, alpha, a, b = fitted(buying, [1.0, t.mean(), 1.0, 5.0])
    p, q, v = fitted(spending, [3.0, 3.0, m.mean()])
    x, t_x, t = (buyers[name].to_numpy(dtype=float) for name in ("x", "t_x", "t"))
    alive = 1 / (1 + np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + t) / (alpha + t_x)) ** (r + x), 0))
    value, before = np.zeros(len(x)), 0.0
    for month in range(1, 37):
        ahead = month * 365.25 / 12 / 7
        tail = special.hyp2f1(r + x, b + x, a + b + x - 1, ahead / (alpha + t + ahead))
        expected = (a + b + x - 1) / (a - 1) * (1 - ((alpha + t) / (alpha + t + ahead)) ** (r + x) * tail) * alive
        value += (expected - before) / 1.1 ** ((month - 0.5) / 12)
        before = expected
    amount = p * (v + x * buyers["amount"].to_numpy()) / (p * x + q - 1)
    return Figure(len(buyers), float(np.mean(MARGIN * amount * value)))


# --- each KPI ------------------------------------------------------------------------------------

RECOUNTS: dict[str, tuple[Rows, Statistic]] = {
    "nps": (answers("nps"), net(9, 6)),
    "csat": (answers("csat"), share(4, 5)),
    "csat_top_box": (answers("csat"), share(5)),
    "csat_mean": (answers("csat"), mean_score(1, 5)),
    "ces_v1": (answers("ces_v1"), mean_score(1, 5)),
    "ces_v2": (answers("ces_v2"), mean_score(1, 7)),
    "ces_v2_agree": (answers("ces_v2"), share(5, 6, 7)),
    "success": (answers("success"), net(6, 3)),
    "effort": (answers("effort"), net(6, 3)),
    "emotion": (answers("emotion"), net(6, 3)),
    "success_effort_emotion": (answers("success", "effort", "emotion"), mean_of_nets),
    "response_rate": (invitations(), share(1)),
    "completion_rate": (invitations("started", "finished"), share(1)),
    "first_response_time": (cases("reply_minutes"), quantile(0.5)),
    "first_response_time_p90": (cases("reply_minutes"), quantile(0.9)),
    "first_response_business_time": (cases("reply_business_minutes"), quantile(0.5)),
    "reply_within_4_hours": (cases("reply_minutes", "reply_age"), kaplan_meier(240, over=True)),
    "resolution_time": (cases("resolution_minutes"), quantile(0.5)),
    "resolution_time_p90": (cases("resolution_minutes"), quantile(0.9)),
    "resolution_business_time": (cases("resolution_business_minutes"), quantile(0.5)),
    "resolved_within_24_hours": (cases("resolution_minutes", "age"), kaplan_meier(1440, over=True)),
    "first_contact_resolution": (cases("first"), share(1)),
    "one_contact_resolution": (cases("one"), share(1)),
    "reopen_rate": (cases("reopened"), share(1)),
    "backlog": (backlog, count),
    "service_cost": (cases("cost"), mean_amount),
    "retention": (customers("retained"), share(1)),
    "logo_churn": (customers("lost"), share(1)),
    "retention_12_months": (tenures, kaplan_meier(365, over=False)),
    "gross_revenue_retention": (customers("kept"), revenue("kept")),
    "net_revenue_retention": (customers("end"), revenue("end")),
    "repeat_purchase_rate": (customers("repeat"), share(1)),
    "purchase_frequency": (customers("orders"), mean_amount),
    "upsell_rate": (customers("upsell"), share(1)),
    "cross_sell_rate": (customers("cross_sell"), share(1)),
    "historic_value": (customers("margin"), mean_amount),
    "lifetime_value": (purchase_days, lifetime),
    "conversion": (visits, share(1)),
    "cart_abandonment": (carts, share(0)),
    "enps": (employees, net(9, 6)),
    "public_rating": (reviews, mean_score(1, 5)),
    "net_sentiment": (opinions, net(1, -1)),
}
PRECISION = {"lifetime_value": 1e-4}  # of another optimiser on a flat likelihood


@pytest.fixture(scope="module")
def company(pack):
    """The accepted tables of the published month."""
    return Company(pack.project.accepted("sample"))


@pytest.fixture(scope="module")
def estimates(pack):
    """The published figures that are shown, by KPI."""
    table = pack.estimates()
    return dict(list(table[table["suppressed"] == "no"].groupby("kpi")))


def assert_same(row: pd.Series, figure: Figure, kpi: str) -> None:
    where = f"{kpi} {row.period} {row.segment} {row.level}"
    precision = PRECISION.get(kpi, 1e-9)
    assert row.n == figure.n, where
    assert row.value == pytest.approx(figure.value, rel=precision, abs=1e-9, nan_ok=False), where
    if np.isfinite(figure.low):
        assert (row.ci_low, row.ci_high) == pytest.approx((figure.low, figure.high), rel=1e-7, abs=1e-9), where


@pytest.mark.parametrize("kpi", [kpi for kpi in KPIS if kpi not in ELSEWHERE])
def test_published_kpi_equals_its_recount(kpi, estimates, company):
    """Base, figure and interval: of two months in total, and of the largest level of every segment."""
    assert kpi in RECOUNTS, "a KPI file without a recount"
    published = estimates[kpi]
    rows_of, statistic = RECOUNTS[kpi]
    before, latest = sorted(published["period"].unique())[-2:]
    assert latest == ASKED_UNTIL.get(kpi, "2026-09")
    for month in (before, latest):
        total = published[(published["period"] == month) & (published["segment"] == ALL)]
        assert_same(total.squeeze(), statistic(rows_of(company, month)), kpi)
    rows = rows_of(company, latest)
    levels = published[(published["period"] == latest) & (published["segment"] != ALL) & published["value"].notna()]
    levels = levels[levels["level"] != "(not stated)"].sort_values("n").drop_duplicates("segment", keep="last")
    assert len(levels) > 0 or kpi == "lifetime_value"
    for _, level in levels.iterrows():
        assert_same(level, statistic(rows[rows[level.segment] == level.level]), kpi)


def test_recounts_are_of_kpis_that_exist():
    """A recount whose KPI was renamed or removed is dead, and what is left out here is recounted elsewhere."""
    assert set(RECOUNTS) == set(KPIS) - ELSEWHERE
    elsewhere = Path(__file__).with_name("test_pack_sfo.py").read_text(encoding="utf-8")
    assert [kpi for kpi in sorted(ELSEWHERE) if f'"{kpi}"' not in elsewhere] == []
