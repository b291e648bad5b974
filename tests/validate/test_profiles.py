"""Profiles: what is measured of files, feeds, questions, numbers and codes; clean months are quiet, faults are not."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxreport.periods import Period
from cxreport.validate import profiles
from cxreport.validate.deliveries import profile_files
from cxreport.validate.history import Usual, shares_beyond
from cxreport.validate.rows import Calendar

MONTH = Period.parse("2026-09")
MONTHS = [MONTH.shift(step) for step in range(-7, 1)]
ZONE = "America/Chicago"
NPS = [0.03, 0.01, 0.01, 0.02, 0.02, 0.05, 0.06, 0.1, 0.2, 0.2, 0.3]


@pytest.fixture
def calendar():
    """September, seen from the day after it."""
    return Calendar(ZONE, MONTH, MONTH.end)


def instants(month, hours, days=28):
    """Return an instant for each hour of the day, spread over the days of a month."""
    local = pd.Series(
        [pd.Timestamp(month.start) + pd.Timedelta(days=at % days, hours=int(h)) for at, h in enumerate(hours)]
    )
    return (
        local.dt.tz_localize(ZONE, ambiguous=True, nonexistent="shift_forward")
        .dt.tz_convert("UTC")
        .astype("datetime64[us, UTC]")
    )


def judged(calendar, by, parts):
    """Return rows of a feed, all accepted, as profiles see them."""
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(updated_at=pd.NaT, typing_fault=pd.Series([None] * len(frame), dtype="str"))
    none = np.zeros(len(frame), dtype=bool)
    return SimpleNamespace(
        frame=frame,
        feeds=pd.Categorical([source.partition("/")[0] for source in frame["source"]]),
        months=calendar.months(frame[by]).to_numpy(),
        rejected=none,
        set_aside=none,
    )


def answers(calendar, spoil=lambda scores: scores, n=800, seed=0):
    """Return the answers to a 0-10 question; the reported month's scores are spoilt."""
    chance = np.random.default_rng(seed)
    parts = []
    for month in MONTHS:
        scores = pd.Series(chance.choice(11, n, p=NPS), dtype="float64")
        parts.append(
            pd.DataFrame(
                {
                    "response_id": [f"{month}-{at}" for at in range(n)],
                    "question": "nps",
                    "score": spoil(scores) if month == MONTH else scores,
                    "scale_low": 0.0,
                    "scale_high": 10.0,
                    "responded_at": instants(month, [12] * n),
                    "source": f"survey/{month}.csv",
                    "source_row": range(n),
                }
            )
        )
    return {"answers": judged(calendar, "responded_at", parts)}


def last(profile, measure):
    """Return a measure of the reported month."""
    return profile.query("month == month.max()")[measure].dropna().item()


QUIET = {
    "option_jump": 0.0,
    "absent_share": 0.0,
    "mean_moved": 0.0,
    "missing_jump": 0.0,
}


@pytest.mark.parametrize("seed", range(5))
def test_clean_question_is_quiet(calendar, seed):
    """Drawn from one distribution, no month is beyond chance, and turning or moving the scale helps nothing."""
    profile = profiles.profile_questions(answers(calendar, seed=seed), calendar)
    assert {name: profile[name].abs().max() for name in QUIET} == QUIET
    assert profile[["flipped_gain", "shifted_gain"]].max().max() < 0
    assert profile["n_options"].min() > 5


def some(share):
    """Return which of a month's answers are spoilt."""
    return lambda scores: pd.Series(np.arange(len(scores)) % 100 < share * 100)


@pytest.mark.parametrize(
    ("spoil", "measure", "least"),
    [
        (lambda scores: 10 - scores, "flipped_gain", 0.3),
        (lambda scores: (scores + 1).clip(upper=10), "shifted_gain", 0.05),
        (lambda scores: 1 + scores * 4 // 10, "absent_share", 0.5),
        (lambda scores: scores.mask(some(0.1)(scores), 0), "option_jump", 0.03),
        (lambda scores: scores.mask(some(0.7)(scores), 5), "option_jump", 0.5),
        (lambda scores: scores.mask(some(0.2)(scores)), "missing_jump", 0.1),
        (lambda scores: scores.mask(some(0.2)(scores), 99), "outside_share", 0.19),
        (lambda scores: scores.mask(scores >= 0), "missing_jump", 0.9),
    ],
)
def test_spoilt_question_is_measured(calendar, spoil, measure, least):
    """Each fault moves the measure that is made for it, by about its size."""
    assert last(profiles.profile_questions(answers(calendar, spoil), calendar), measure) > least


def test_one_answer_by_everybody_is_counted(calendar):
    """A question whose answers usually vary has one option left."""
    profile = profiles.profile_questions(answers(calendar, lambda scores: scores * 0 + 9), calendar)
    assert last(profile, "n_options") == 1


def test_few_answers_or_months_say_nothing(calendar):
    """Nineteen answers, and the first three months, are not judged."""
    assert profiles.profile_questions(answers(calendar, n=19), calendar).empty
    profile = profiles.profile_questions(answers(calendar), calendar)
    first = calendar.reported - len(MONTHS) + 1
    assert profile.dropna(subset=["option_jump"])["month"].min() == first + 3


def orders(calendar, spoil=lambda _, frame: frame, n=300):
    """Return orders by day; the reported month's rows are spoilt."""
    chance = np.random.default_rng(1)
    parts = []
    for month in MONTHS:
        frame = pd.DataFrame(
            {
                "order_id": [f"{month}-{at}" for at in range(n)],
                "customer_id": "C1",
                "ordered_at": instants(month, chance.normal(14, 3, n).clip(0, 23)),
                "amount": np.exp(chance.normal(4, 0.7, n)).round(2),
                "currency": "USD",
                "channel": chance.choice(["web", "phone"], n, p=[0.7, 0.3]),
                "source": f"orders/{month}.csv",
                "source_row": range(n),
            }
        )
        parts.append(spoil(month, frame) if month == MONTH else frame)
    return {"orders": judged(calendar, "ordered_at", parts)}


@pytest.mark.parametrize(
    ("spoil", "measure", "low", "high"),
    [
        (lambda amounts: amounts, "times_usual", 1, 1),
        (lambda amounts: amounts * 100, "times_usual", 50, 100),
        (lambda amounts: amounts / 60, "times_usual", 0.01, 0.03),
        (lambda amounts: (amounts * 100).round(), "whole_jump", 0.8, 1),
        (lambda amounts: amounts.mask(amounts.index % 10 == 0, amounts * 1000), "beyond_usual_share", 0.02, 0.1),
        (lambda amounts: amounts * 1.25, "mean_times_usual", 1.02, 1.25),
        (lambda amounts: amounts, "mean_times_usual", 1, 1),
        (lambda amounts: amounts.mask(amounts.index % 20 == 0, amounts * 1000), "never_met_share", 0.05, 0.05),
        (lambda amounts: amounts.mask(amounts.index < 4, amounts * 1000), "never_met_share", 0, 0),
    ],
)
def test_amounts_of_another_size_are_measured(calendar, spoil, measure, low, high):
    """Another unit moves the size, lost decimals make whole numbers; some such rows lie outside of all ever met."""
    rows = orders(calendar, lambda _, frame: frame.assign(amount=spoil(frame["amount"])))
    assert low <= last(profiles.profile_numbers(rows, calendar), measure) <= high


@pytest.mark.parametrize("moved", [0, 2, 5, -6])
def test_moved_hours_are_found_to_the_hour(calendar, moved):
    """Times written in another zone are found with their distance; clean ones are not."""

    def spoil(_, frame):
        return frame.assign(ordered_at=frame["ordered_at"] + pd.Timedelta(hours=moved))

    assert (
        last(
            profiles.profile_months(
                {"answers": empty(calendar), "responses": empty(calendar)} | orders(calendar, spoil), calendar
            ),
            "hours_moved",
        )
        == moved
    )


def empty(calendar):
    """Return a table of answers or responses without rows."""
    columns = ["response_id", "score", "scale_low", "scale_high", "source", "source_row"]
    frame = pd.DataFrame({name: pd.Series(dtype="str") for name in columns})
    frame["responded_at"] = pd.Series(dtype="datetime64[us, UTC]")
    return judged(calendar, "responded_at", [frame])


def test_missing_channel_is_told_from_customers_who_changed_it(calendar):
    """A channel without rows lost them all; one whose customers went over to another lost nothing."""

    def gone(_, frame):
        return frame[frame["channel"] == "web"]

    def changed(_, frame):
        return frame.assign(channel="web")

    def times(spoil):
        profile = profiles.profile_levels(orders(calendar, spoil), calendar).query("thing == 'channel phone'")
        return last(profile, "times_usual")

    assert times(gone) < 0.2
    assert times(changed) > 0.85


def test_new_codes_and_emptied_columns_are_measured(calendar):
    """A translated column has new codes only; a blank one lost all its cells."""
    profile = profiles.profile_levels(orders(calendar, lambda _, frame: frame.assign(currency="EUR")), calendar)
    assert last(profile.query("thing == 'currency'"), "new_share") == 1
    profile = profiles.profile_levels(orders(calendar, lambda _, frame: frame.assign(customer_id=None)), calendar)
    assert last(profile.query("thing == 'customer_id'"), "ids_filled_moved") < -0.9


@pytest.mark.parametrize(
    ("ids", "share"),
    [
        (["1.78E+17", "A1", "A2", "A3"], 0.25),
        (["4711.0", "4712", "4713", "4714"], 0.25),
        (["178000000000000000", "178000000000001000", "178000000000002000", "178000000000003000"], 1.0),
        (["178000000000000123", *(f"17800000000000{at}" for at in range(1000, 1030))], 0.0),
        (["1E5", "a.0", "12.5", "12"], 0.0),
    ],
)
def test_ids_that_a_spreadsheet_damaged_are_counted(calendar, ids, share):
    """Exponents, decimals and fifteen digits with zeros behind are no ids; what only looks alike is one."""

    def spoil(_, frame):
        return frame.iloc[: len(ids)].assign(customer_id=ids)

    tables = {"answers": empty(calendar), "responses": empty(calendar)} | orders(calendar, spoil)
    assert last(profiles.profile_months(tables, calendar), "damaged_ids_share") == share


# --- files -----------------------------------------------------------------------------------------


def files(calendar, spoil=None, **about):
    """Profile the files of orders, the reported month's described and spoilt in another way."""
    columns = ["order_id", "customer_id", "ordered_at", "amount"]
    described = [{"name": f"{month}.csv", "rows": 300, "columns": columns} for month in MONTHS]
    described[-1] |= about
    rows = orders(calendar, spoil) if spoil else orders(calendar)
    profile = profile_files({"orders": {"files": described}}, rows, calendar)
    assert profile["thing"].to_list() == [file["name"] for file in described]
    return profile.iloc[-1]


def test_clean_file_is_quiet(calendar):
    """A file like those before it differs in nothing."""
    measured = files(calendar).drop(["feed", "thing", "month"]).dropna()
    assert set(measured) == {0.0}


@pytest.mark.parametrize(
    ("columns", "measures"),
    [
        (["customer_id", "order_id", "ordered_at", "amount"], {"columns_moved": 1}),
        (["order_id", "customer_id", "ordered_at", "Betrag"], {"columns_renamed": 1}),
        (["order_id", "customer_id", "ordered_at", "amount", "more"], {"columns_added": 1}),
        (["order_id", "customer_id", "amount"], {"columns_gone": 1}),
    ],
)
def test_other_columns_are_told_apart(calendar, columns, measures):
    """Moved, renamed, added and gone are four things."""
    measured = files(calendar, columns=columns)[["columns_moved", "columns_renamed", "columns_added", "columns_gone"]]
    assert measured[measured > 0].to_dict() == measures


@pytest.mark.parametrize(
    ("spoil", "measure", "value"),
    [
        (
            lambda _, frame: frame.assign(order_id=frame["order_id"].mask(frame.index == 9, "order_id")),
            "header_rows",
            1,
        ),
        (
            lambda _, frame: frame.assign(order_id=frame["order_id"].str.replace("2026-09", "2026-08")),
            "known_keys_share",
            1,
        ),
        (lambda _, frame: frame.assign(channel="tel\u00c3\u00a9fono"), "mojibake_share", 1),
        (lambda _, frame: frame.assign(channel="tel\u00e9fono"), "mojibake_share", 0),
        (
            lambda _, frame: frame.assign(
                ordered_at=frame["ordered_at"].mask(frame.index < 30, pd.Timestamp("2026-06-05", tz="UTC"))
            ),
            "more_months",
            3,
        ),
        (
            lambda _, frame: frame.assign(
                ordered_at=[pd.Timestamp(2026, 1 + at % 9, 1 + at % 12, 12, tz="UTC") for at in frame.index]
            ),
            "early_days_share",
            1,
        ),
    ],
)
def test_spoilt_file_is_measured(calendar, spoil, measure, value):
    """Headers among the records, old records, wrong encodings, more months than usual and swapped dates are found."""
    assert files(calendar, spoil)[measure] == value


def test_record_that_breaks_off_is_found_at_the_end_only(calendar):
    """A short last record is a file that was cut off; short ones elsewhere are not."""
    rows = orders(calendar)
    frame = rows["orders"].frame
    described = {"orders": {"files": [{"name": f"{MONTH}.csv", "rows": 300, "columns": []}]}}
    for at, found in ((len(frame) - 1, 1), (len(frame) - 2, 0)):
        frame["typing_fault"] = pd.Series([None] * len(frame), dtype="str")
        frame.loc[at, "typing_fault"] = "record has 2 cells where the header has 4"
        assert profile_files(described, rows, calendar)["last_record_short"].item() == found


# --- chance ----------------------------------------------------------------------------------------


def test_usual_is_the_median_of_three_to_six_months_before():
    """Two months are no history, and the seventh back is forgotten."""
    measured = pd.DataFrame({"x": [100.0, 1, 2, 3, 4, 5, 6, 7]})
    assert Usual.of(measured).middle["x"].isna().tolist() == [True] * 3 + [False] * 5
    assert Usual.of(measured).middle["x"].iloc[-1] == 3.5


def test_false_alarms_are_rare():
    """Of clean months, with and without ups and downs of their own, fewer than one of a thousand is beyond chance."""
    chance = np.random.default_rng(7)
    for spread in (0.0, 0.02):
        likely = np.clip(0.3 + spread * chance.standard_normal((10, 2000)), 0, 1)
        shares = pd.DataFrame(chance.binomial(400, likely) / 400)
        beyond = shares_beyond(shares, pd.Series(400.0, index=shares.index)).iloc[3:]
        assert (beyond != 0).to_numpy().mean() < 0.001
