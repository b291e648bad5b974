"""The sample company is reproducible, looks like real exports, and holds what `PLANTED` says."""

import csv
import hashlib
import json
import re
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from cxreport.errors import UsageError
from cxreport.periods import Period
from cxreport.sample import PLANTED, write_sample

CHANNELS = ["app", "chat", "phone", "web"]
MONTHLY = {  # file, and the column with its dates
    "qualtrics/survey": "RecordedDate",
    "invitations/invitations": "sent_at",
    "zendesk/tickets": "Created at",
    "orders/orders": "ordered_at",
    "web/events": "occurred_at",
    "reviews/reviews": "posted_at",
    "people/pulse": "answered_on",
}
MONTHS = [Period.parse("2024-09").shift(step).id for step in range(25)]


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    """All files of the sample company, written once."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


def relative(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.csv"))


def digests(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in relative(folder)}


def delivered(folder, month):
    """Every row of a month's survey file, as it stands there."""
    path = folder / "qualtrics" / f"survey_{month}.csv"
    dates = ["StartDate", "EndDate", "RecordedDate", "invited_at"]
    return pd.read_csv(path, skiprows=[1, 2], parse_dates=dates)


def responses(folder, month):
    """One row per finished response of a month, scores outside the scales blanked."""
    rows = delivered(folder, month)
    rows = rows[(rows.Status == 0) & (rows.Finished == 1)].drop_duplicates("ResponseId")
    return rows.assign(QID1=rows.QID1.where(rows.QID1.between(0, 10)), QID2=rows.QID2.where(rows.QID2.between(1, 5)))


def nps(scores):
    """Net promoter score in points and its standard error."""
    scores = scores.dropna()
    points = 100 * ((scores >= 9).astype(int) - (scores <= 6).astype(int))
    return points.mean(), points.std() / np.sqrt(len(points))


def top_two(scores):
    """Share of 4 and 5 in points and its standard error."""
    share = (scores.dropna() >= 4).mean()
    return 100 * share, 100 * np.sqrt(share * (1 - share) / scores.count())


def all_responses(folder, months):
    """Finished responses with the region, the plan and the last day of those who gave them."""
    rows = pd.concat([responses(folder, month).assign(month=month) for month in months])
    accounts = accounts_of(folder).set_index("Customer_ID__c")
    columns = {"region": "Region__c", "plan": "Plan__c", "ended": "End_Date__c"}
    return rows.assign(**{name: rows.ExternalReference.map(accounts[column]) for name, column in columns.items()})


def accounts_of(folder):
    dates = ["Start_Date__c", "End_Date__c"]
    return pd.read_csv(folder / "salesforce" / "accounts.csv", encoding="utf-8-sig", parse_dates=dates)


def every(folder, pattern, **options):
    """All monthly files of a kind, one below the other."""
    paths = sorted(folder.glob(pattern))
    return pd.concat([pd.read_csv(path, **options).assign(month=path.stem[-7:]) for path in paths], ignore_index=True)


@pytest.fixture(scope="session")
def rows(raw):
    """The finished responses of all months."""
    return all_responses(raw, MONTHS)


@pytest.fixture(scope="session")
def tickets(raw):
    """All tickets, by customer and time."""
    frame = every(raw, "zendesk/*.csv", parse_dates=["Created at", "Solved at"])
    return frame.sort_values(["Customer ID [txt]", "Created at", "Id"], ignore_index=True)


# --- reproducible --------------------------------------------------------------------------------


def test_committed_checksums_hold(raw, root):
    """The default seed writes the bytes whose checksums are committed."""
    lines = (root / "data" / "sample" / "checksums.txt").read_text(encoding="utf-8").splitlines()
    assert {name: digest for digest, name in (line.split("  ") for line in lines)} == digests(raw)
    assert lines == sorted(lines, key=lambda line: line.split("  ")[1])


def test_short_sample_repeats_the_long_one(raw, tmp_path):
    """Two months alone are byte for byte the last two of all, so the same seed gives the same bytes twice."""
    written = write_sample(tmp_path, months=2)
    long = digests(raw)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == relative(tmp_path)
    assert digests(tmp_path) == {name: long[name] for name in relative(tmp_path)}
    assert len(written) == 7 * 2 + 3


def test_another_seed_gives_other_files(raw, tmp_path):
    """No file is the same under another seed."""
    write_sample(tmp_path, seed=7, months=2)
    long = digests(raw)
    assert all(digest != long[name] for name, digest in digests(tmp_path).items())


def test_earlier_sample_is_replaced_and_the_rest_left_alone(tmp_path):
    """Months of a longer sample do not linger among those of a shorter one; foreign files stay."""
    (tmp_path / "qualtrics").mkdir()
    (tmp_path / "qualtrics" / "survey_2020-01.csv").write_text("old", encoding="utf-8")
    (tmp_path / "qualtrics" / "mine.csv").write_text("keep", encoding="utf-8")
    told = []
    write_sample(tmp_path, months=2, tell=told.append)
    assert not (tmp_path / "qualtrics" / "survey_2020-01.csv").exists()
    assert (tmp_path / "qualtrics" / "mine.csv").read_text(encoding="utf-8") == "keep"
    assert told[0] == "customers: 30,000"


@pytest.mark.parametrize("months", [-1, 0, 1, 26])
def test_other_numbers_of_months_are_refused(tmp_path, months):
    """Fewer than two or more than 25 months are a wrong use, and nothing is written."""
    with pytest.raises(UsageError, match="expected: 2 to 25 months"):
        write_sample(tmp_path, months=months)
    assert not list(tmp_path.iterdir())


# --- layouts -------------------------------------------------------------------------------------


def test_survey_has_the_three_header_rows(raw):
    """Names, question texts with commas and line feeds, then ImportIds as JSON with the zone of the dates."""
    content = (raw / "qualtrics" / "survey_2026-09.csv").read_bytes()
    assert content.startswith(b"StartDate,EndDate,Status,")
    with (raw / "qualtrics" / "survey_2026-09.csv").open(encoding="utf-8", newline="") as file:
        names, texts, ids = (next(reader) for reader in [csv.reader(file)] for _ in range(3))
    parsed = [json.loads(cell) for cell in ids]
    assert len(names) == len(texts) == len(ids) == len(set(names))
    assert {cell["ImportId"] for cell in parsed if cell.get("timeZone") == "America/Chicago"} == {
        "startDate",
        "endDate",
        "recordedDate",
    }
    assert dict(zip(names, parsed, strict=True))["ResponseId"] == {"ImportId": "_recordId"}
    assert any("\n" in text and "," in text for text in texts)


@pytest.mark.parametrize("kind", MONTHLY)
def test_rows_end_with_crlf_in_utf8_without_mark(raw, kind):
    """Every record of these exports ends with CRLF; there is no byte order mark."""
    content = (raw / f"{kind}_2026-09.csv").read_bytes()
    with (raw / f"{kind}_2026-09.csv").open(encoding="utf-8", newline="") as file:
        records = sum(1 for _ in csv.reader(file))
    assert content.count(b"\r\n") == records
    assert not content.startswith(b"\xef\xbb\xbf")


def test_accounts_look_like_an_object_export(raw):
    """API names after a byte order mark, LF, unique 18-character ids whose suffix tells the capitals."""
    content = (raw / "salesforce" / "accounts.csv").read_bytes()
    accounts = accounts_of(raw)
    assert content.startswith(b"\xef\xbb\xbfId,IsDeleted,Name,Phone,")
    assert b"\r" not in content
    assert accounts.Id.is_unique
    assert accounts.Id.str.fullmatch(r"001[0-9A-Za-z]{12}[A-Z0-5]{3}").all()
    assert accounts.Id.str[:15].str.lower().add(accounts.Id.str[15:].str.lower()).is_unique
    assert accounts.CreatedDate.str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000").all()
    assert accounts.Customer_ID__c.is_unique
    assert (pd.to_datetime(accounts.End_Date__c) > pd.to_datetime(accounts.Start_Date__c))[
        accounts.End_Date__c.notna()
    ].all()


def test_tickets_keep_their_own_arithmetic(tickets):
    """Durations fit the times of the same row, are blank while open, and only the newest tickets are open."""
    zone = ZoneInfo("America/Chicago")
    created, solved = (tickets[name].dt.tz_localize(zone) for name in ("Created at", "Solved at"))
    full, business = (tickets[f"Full resolution time in minutes{suffix}"] for suffix in ("", " within business hours"))
    is_open = tickets["Solved at"].isna()
    assert len(tickets.columns.drop("month")) == 43
    assert tickets["Id"].is_unique
    assert ((solved - created) / timedelta(minutes=1))[~is_open].equals(full[~is_open])
    assert full[is_open].isna().all()
    assert (tickets["Handling cost [num]"].isna() == is_open).all()
    assert tickets["Handling cost [num]"].mean() == pytest.approx(8.3, abs=0.3)
    assert tickets["Resolution time"][~is_open].sub(full[~is_open] / 60).abs().max() <= 0.5
    assert (tickets["First reply time in minutes"][~is_open] <= full[~is_open]).all()
    assert (business[~is_open] > 0).all()
    assert set(tickets.Status[is_open]) <= {"New", "Open", "Pending", "Hold"}
    assert set(tickets.Status[~is_open]) == {"Solved", "Closed"}
    assert 5 <= is_open.sum() <= 100
    assert (created[is_open].dt.strftime("%Y-%m") == "2026-09").all()


def test_files_hold_their_own_month(raw):
    """Responses by date of response, invitations by sending, tickets by creation, all else by its only date."""
    for kind, column in MONTHLY.items():
        assert len(list(raw.glob(f"{kind}_*.csv"))) == 25
        for month in MONTHS:
            skip = [1, 2] if kind.startswith("qualtrics") else None
            dates = pd.read_csv(raw / f"{kind}_{month}.csv", skiprows=skip, usecols=[column])[column]
            assert (dates.str[:7] == month).all()


def test_references_between_files_resolve(raw, rows, tickets):
    """Every response, ticket, order, event and spell has its customer; responses and invitations name each other."""
    customers = set(accounts_of(raw).Customer_ID__c)
    invitations = every(raw, "invitations/*.csv")
    answered = invitations.dropna(subset="response_id").set_index("response_id")
    rows = rows.set_index("ResponseId")
    assert invitations.invitation_id.is_unique
    assert set(answered.index) == set(rows.index)
    matched = answered.loc[rows.index]
    assert (matched.invitation_id == rows.invitation_id).all()
    assert (matched.customer_id == rows.ExternalReference).all()
    assert (pd.to_datetime(matched.sent_at) == rows.invited_at).all()
    assert set(invitations.customer_id) <= customers
    assert set(tickets["Customer ID [txt]"]) <= customers
    for pattern in ("orders/*.csv", "web/*.csv", "billing/*.csv"):
        assert set(every(raw, pattern).customer_id.dropna()) <= customers


# --- plausible -----------------------------------------------------------------------------------


def test_volumes_are_those_of_a_mid_sized_provider(raw, rows):
    """About 4,000 responses a month, 45 percent of the invitations, a comment in every third, 1,500 tickets."""
    invited = sum(len(pd.read_csv(path, usecols=[0])) for path in (raw / "invitations").glob("*.csv"))
    tickets = [len(pd.read_csv(path, usecols=[0])) for path in (raw / "zendesk").glob("*.csv")]
    assert rows.groupby("month").size().between(3_700, 4_600).all()
    assert len(rows) / invited == pytest.approx(0.45, abs=0.01)
    assert rows.QID5_TEXT.notna().mean() == pytest.approx(0.34, abs=0.02)
    assert 1_350 <= min(tickets) <= max(tickets) <= 1_650
    assert rows.groupby("month").ExternalReference.apply(lambda ids: ids.duplicated().sum()).max() == 0


def test_nobody_answers_before_being_asked(rows):
    """Apart from the late answers, every answer follows its invitation within minutes to 29 days."""
    delay = rows.RecordedDate - rows.invited_at
    assert (rows.StartDate > rows.invited_at).all()
    assert ((rows.StartDate < rows.EndDate) & (rows.EndDate < rows.RecordedDate)).all()
    assert (delay > timedelta(days=29)).sum() == PLANTED.late_answers


def test_levels_differ_and_rise_slowly(rows):
    """West is clearly above and Central clearly below the total, and NPS is higher in the second year."""
    regions = rows.groupby("region").QID1.apply(lambda scores: nps(scores)[0])
    plans = rows.groupby("plan").QID1.apply(lambda scores: nps(scores)[0])
    total = nps(rows.QID1)[0]
    assert regions.idxmax() == "west"
    assert regions.idxmin() == "central"
    assert regions["west"] - total > 8
    assert total - regions["central"] > 12
    assert plans["basic"] < plans["plus"] < plans["premium"]
    first, second = (rows[rows.month.isin(months)].QID1 for months in (MONTHS[:12], MONTHS[12:24]))
    assert 2 < nps(second)[0] - nps(first)[0] < 10


def test_effort_is_asked_on_one_scale_at_a_time(raw):
    """Effort runs from 1 to 5 until September 2025 and from 1 to 7 after; only transactional surveys ask."""
    for month in MONTHS:
        rows = responses(raw, month)
        old, new = rows.QID3.dropna(), rows.QID4.dropna()
        assert old.empty == (month >= "2025-10")
        assert new.empty == (month < "2025-10")
        assert set(old) <= {1, 2, 3, 4, 5}
        assert set(new) <= {1, 2, 3, 4, 5, 6, 7}
        asked = rows.survey_kind == "transactional"
        assert rows[~asked][["QID3", "QID4"]].isna().all(axis=None)
        assert (rows.touchpoint.notna() == asked).all()
        assert rows[asked].QID1.isna().all()
        skipped = rows.QID2.isna().mean()
        assert 0.01 < skipped < 0.05


def test_comments_speak_the_language_of_the_survey(rows):
    """Chinese comments hold Chinese characters, and English ones none."""
    comments = rows.dropna(subset="QID5_TEXT")
    chinese = comments.QID5_TEXT.str.contains(r"[\u4e00-\u9fff]")
    assert (chinese == (comments.UserLanguage == "ZH")).all()
    assert comments[comments.UserLanguage == "VI"].QID5_TEXT.str.contains("(?i)tôi|về").all()


def test_previews_and_unfinished_rows_are_marked(raw):
    """A few rows of each month are no responses, and say so in Status or Finished."""
    for month in MONTHS:
        rows = delivered(raw, month)
        previews, unfinished = rows[rows.Status == 1], rows[rows.Finished == 0]
        assert len(previews) == 3
        assert previews.ExternalReference.isna().all()
        assert 30 < len(unfinished) < 140
        assert (unfinished.Progress < 100).all()
        assert (rows[rows.Finished == 1].Progress == 100).all()


def test_experience_is_asked_of_half_of_the_relational_surveys(rows):
    """Three questions on one scale go together, and not to speakers of the rare language."""
    asked = rows.block == "experience"
    answers = rows[["QID6", "QID7", "QID8"]]
    assert answers[~asked].isna().all(axis=None)
    assert all(set(answers[name].dropna()) == {1, 2, 3, 4, 5, 6, 7} for name in answers)
    assert 0.01 < answers[asked].isna().mean().max() < 0.05
    assert asked[rows.survey_kind == "relational"].mean() == pytest.approx(0.5, abs=0.02)
    assert not asked[(rows.survey_kind == "transactional") | (rows.UserLanguage == "VI")].any()


def test_invitations_tell_how_far_people_got(raw):
    """Finished means answered, started means an unfinished survey, and a few addresses are wrong."""
    invitations = every(raw, "invitations/*.csv")
    shares = invitations.status.value_counts(normalize=True)
    assert set(shares.index) == {"sent", "started", "finished", "bounced"}
    assert ((invitations.status == "finished") == invitations.response_id.notna()).all()
    started = sum((delivered(raw, month).Finished == 0).sum() for month in MONTHS)
    assert (invitations.status == "started").sum() == started
    assert 0.003 < shares["bounced"] < 0.02


def test_spells_cover_each_customer_s_time_without_a_gap(raw):
    """What customers pay follows on from their first day to their last; the last value is the one of the account."""
    spells = pd.read_csv(raw / "billing" / "subscriptions.csv", parse_dates=["valid_from", "valid_to"])
    accounts = accounts_of(raw).set_index("Customer_ID__c")
    by_customer = spells.groupby("customer_id")
    following = by_customer.valid_from.shift(-1)
    is_last = following.isna()
    assert spells.subscription_id.is_unique
    assert (spells.valid_to == following)[~is_last].all()
    last = spells[is_last].set_index("customer_id").loc[accounts.index]
    assert last.valid_to.equals(accounts.End_Date__c.rename("valid_to"))
    assert (last.monthly_value == accounts.Monthly_Value__c).all()
    assert (by_customer.valid_from.first().loc[accounts.index] == accounts.Start_Date__c).all()
    assert (spells.valid_to > spells.valid_from)[spells.valid_to.notna()].all()
    assert spells.monthly_value.min() > 0


def test_upgrades_are_upsell_orders(raw):
    """Every rise of what a customer pays within the two years is an order of the difference on the same day."""
    spells = pd.read_csv(raw / "billing" / "subscriptions.csv", parse_dates=["valid_from"])
    spells["amount"] = spells.groupby("customer_id").monthly_value.diff().round(2)
    upgrades = spells[(spells.amount > 0)].rename(columns={"valid_from": "ordered_at"})
    orders = every(raw, "orders/*.csv", parse_dates=["ordered_at"])
    upsold, key = orders[orders.kind == "upsell"], ["customer_id", "ordered_at", "amount"]
    assert len(upsold) == len(upgrades) > 3_000
    assert len(upsold.merge(upgrades[key], on=key)) == len(upsold)


def test_customers_buy_at_their_own_pace_and_size(raw):
    """Counts of orders vary more than a common Poisson rate allows, and amounts more between customers than within."""
    accounts = accounts_of(raw)
    stayed = accounts[(accounts.Start_Date__c < "2024-09-01") & accounts.End_Date__c.isna()].Customer_ID__c
    orders = every(raw, "orders/*.csv").query("kind in ['repeat', 'cross_sell']")
    counts = orders.customer_id.value_counts().reindex(stayed, fill_value=0)
    assert counts.var() / counts.mean() > 2
    logs = np.log(orders.amount)
    within = logs.groupby(orders.customer_id).var().mean()
    assert logs.var() - within > 0.15 * logs.var()


def test_visits_go_step_by_step(raw):
    """Each visit has each step once, in order, after the step before; about six of a hundred order."""
    events = every(raw, "web/*.csv", parse_dates=["occurred_at"])
    assert events.event_id.is_unique
    visits = events.dropna(subset="session_id")
    assert not visits.duplicated(["session_id", "name"]).any()
    times = visits.pivot_table(index="session_id", columns="name", values="occurred_at", aggfunc="min")
    times = times[["visit", "cart", "checkout", "order"]]
    assert (times.notna().astype(int).diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    for before, after in pairwise(times.columns):
        assert (times[after] > times[before])[times[after].notna()].all()
    assert times.order.notna().mean() == pytest.approx(0.062, abs=0.005)
    assert (times.order.isna() & times.cart.notna()).sum() / times.cart.count() == pytest.approx(0.69, abs=0.02)
    assert visits[visits.name == "visit"].customer_id.notna().mean() == pytest.approx(0.12, abs=0.01)
    assert visits.stage.isna().all()


def test_new_customers_go_from_stage_to_stage(raw):
    """Journeys begin on the day of joining, keep their order, and lose some customers at each stage."""
    events = every(raw, "web/*.csv", parse_dates=["occurred_at"])
    stages = ["join", "install", "use", "support", "pay"]
    times = events.pivot_table(index="customer_id", columns="stage", values="occurred_at", aggfunc="min")[stages]
    accounts = accounts_of(raw).set_index("Customer_ID__c")
    joined = accounts[accounts.Start_Date__c >= "2024-09-01"]
    assert set(times.index) == set(joined.index)
    assert (times["join"].dt.normalize() == joined.Start_Date__c.loc[times.index]).all()
    for before, after in pairwise(["join", "install", "use", "pay"]):
        reached = times[after].notna()
        assert (times[after] > times[before])[reached].all()
        assert 0.75 < reached.sum() / times[before].count() < 1
    assert 0.3 < times.support.count() / times.use.count() < 0.45


def test_reviews_sound_like_their_stars(raw):
    """Word by word sentiment goes with the stars; posts on the forum have none."""
    analyzer = pytest.importorskip("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()
    reviews = every(raw, "reviews/*.csv")
    english = reviews[(reviews.language == "en") & reviews.stars.notna()].tail(500)
    sentiment = english.text.map(lambda text: analyzer.polarity_scores(text)["compound"])
    assert np.corrcoef(sentiment, english.stars)[0, 1] > 0.7
    assert (reviews.stars.isna() == (reviews.network == "forum")).all()
    assert reviews.groupby("month").size().between(75, 165).all()
    assert set(reviews.language) == {"en", "es"}


def test_employees_answer_in_small_teams(raw):
    """About ninety employees answer a month, some leave the question out, and the smallest team is small."""
    pulse = every(raw, "people/*.csv")
    assert pulse.answer_id.is_unique
    assert pulse.groupby("month").size().between(55, 130).all()
    assert set(pulse.recommend_as_employer.dropna()) == set(range(11))
    assert 0.01 < pulse.recommend_as_employer.isna().mean() < 0.05
    assert pulse.groupby(["month", "team"]).size().groupby("team").mean().min() < 5


# --- planted -------------------------------------------------------------------------------------


@pytest.fixture(scope="session", params=["the committed seed", 1, 2])
def months(request, raw, tmp_path_factory):
    """The responses of the planted month and of the one before, under several seeds."""
    folder = raw
    if request.param != "the committed seed":
        folder = tmp_path_factory.mktemp("seed")
        write_sample(folder, seed=request.param, months=2)
    return responses(folder, PLANTED.previous), responses(folder, PLANTED.month)


def test_one_touchpoint_breaks_and_no_other(months):
    """CSAT falls by about 25 points after installation visits; elsewhere no fall is detectable."""
    before, after = (rows.groupby("touchpoint").QID2 for rows in months)
    for touchpoint in sorted(before.groups):
        (old, old_error), (new, new_error) = top_two(before.get_group(touchpoint)), top_two(after.get_group(touchpoint))
        if touchpoint == PLANTED.touchpoint:
            assert after.get_group(touchpoint).count() > 250
            assert old - new == pytest.approx(PLANTED.csat_fall_points, abs=4)
        else:
            assert abs(new - old) < 2 * np.hypot(old_error, new_error)


def test_mix_lowers_nps_while_every_channel_rises(months):
    """NPS falls by about eight points, statistically clear, because phone and chat grow; no channel's NPS falls."""
    before, after = months
    (old, old_error), (new, new_error) = nps(before.QID1), nps(after.QID1)
    assert old - new == pytest.approx(PLANTED.nps_fall_points, abs=2.5)
    assert (old - new) / np.hypot(old_error, new_error) > 2
    shares = [rows.channel.value_counts(normalize=True) for rows in (before, after)]
    for channel in CHANNELS:
        rise = nps(after.QID1[after.channel == channel])[0] - nps(before.QID1[before.channel == channel])[0]
        assert rise >= PLANTED.nps_rise_points
        assert (shares[1][channel] > shares[0][channel]) == (channel in PLANTED.channels_up)


def test_one_language_is_too_small_to_show(months):
    """Vietnamese has fewer than ten answers to each question, the next smallest language well over thirty."""
    counts = months[1].groupby("UserLanguage")[["QID1", "QID2", "QID4"]].count()
    rare = counts.loc[PLANTED.rare_language.upper()]
    assert rare.tolist() == [PLANTED.rare_answers, PLANTED.rare_answers, 0]
    assert PLANTED.rare_answers < 10
    assert counts.drop(index=PLANTED.rare_language.upper()).min(axis=None) > 50


def test_late_repeated_and_impossible_rows_are_counted(raw):
    """The last month holds exactly the planted number of each, on different rows; the months before hold none."""
    for month in MONTHS:
        rows = delivered(raw, month)
        planted = month == PLANTED.month
        late = rows.RecordedDate - rows.invited_at > timedelta(days=PLANTED.late_after_days)
        again = rows.duplicated("ResponseId")
        nps_outside, csat_outside = (
            rows.QID1.notna() & ~rows.QID1.between(0, 10),
            rows.QID2.notna() & ~rows.QID2.between(1, 5),
        )
        assert late.sum() == planted * PLANTED.late_answers
        assert again.sum() == planted * PLANTED.repeated_responses
        assert rows.duplicated().equals(again)
        assert sorted(rows.QID1[nps_outside]) == sorted(PLANTED.nps_outside * planted)
        assert sorted(rows.QID2[csat_outside]) == sorted(PLANTED.csat_outside * planted)
        assert (late.astype(int) + again + nps_outside + csat_outside).max() == int(planted)


def test_personal_data_stands_in_exactly_two_comments_and_one_review(raw, rows):
    """Of the last month, one comment holds an e-mail address, another a telephone number, and a review an address."""
    rows = rows.dropna(subset="QID5_TEXT")
    suspects = rows[rows.QID5_TEXT.str.contains(r"@|\d", regex=True)]
    assert (suspects.month == PLANTED.month).all()
    assert len(suspects) == 2
    assert suspects.QID5_TEXT.str.contains(re.escape(PLANTED.email)).sum() == 1
    assert suspects.QID5_TEXT.str.contains(re.escape(PLANTED.phone)).sum() == 1
    reviews = every(raw, "reviews/*.csv")
    named = reviews[reviews.text.str.contains(r"@|\d", regex=True)]
    assert (named.month.tolist(), named.text.str.contains(re.escape(PLANTED.review_email)).tolist()) == (
        [PLANTED.month],
        [True],
    )


# --- planted in all months -----------------------------------------------------------------------


def driver_weights(rows):
    """Standardised regression weights of success, effort and emotion on the recommendation score."""
    names = {"QID6": "success", "QID7": "effort", "QID8": "emotion"}
    scores = rows[["QID1", *names]].dropna()
    standard = (scores - scores.mean()) / scores.std()
    weights, *_ = np.linalg.lstsq(standard[list(names)].to_numpy(), standard.QID1.to_numpy(), rcond=None)
    return pd.Series(weights, index=list(names.values()))


def subgroup_gap(rows):
    """Points of NPS by which basic customers of Central lie below what both parents tell, and the standard error."""
    region, plan = PLANTED.subgroup
    cells = [
        nps(rows.QID1[((rows.region == region) == of_region) & ((rows.plan == plan) == of_plan)])
        for of_region in (True, False)
        for of_plan in (True, False)
    ]
    (both, _), (only_region, _), (only_plan, _), (neither, _) = cells
    return only_region + only_plan - neither - both, np.sqrt(sum(error**2 for _, error in cells))


def leaving_ratio(rows):
    """How many times as many detractors as others leave within the days after their answer, with its log's error."""
    days = timedelta(days=PLANTED.leaving_days)
    followed = rows.dropna(subset="QID1")
    followed = followed[followed.RecordedDate < pd.Timestamp("2026-10-01") - days]
    left = followed.ended - followed.RecordedDate <= days
    (others, detractors), counts = left.groupby(followed.QID1 <= 6).agg("mean"), left.groupby(followed.QID1 <= 6).sum()
    return detractors / others, np.sqrt((1 / counts).sum())


def ticket_ratio(tickets, accounts, month="2026-02"):
    """How many times as many tickets a month come from those who leave within half a year as from the others."""
    period = Period.parse(month)
    first, after = pd.Timestamp(period.start), pd.Timestamp(period.end)
    active = accounts[(accounts.Start_Date__c < first) & ~(accounts.End_Date__c < after)]
    soon = active.End_Date__c < after + timedelta(days=PLANTED.leaving_days)
    written = tickets[tickets["Created at"].between(first, after)]["Customer ID [txt]"].value_counts()
    counts = written.reindex(active.Customer_ID__c, fill_value=0).groupby(soon.to_numpy()).mean()
    return counts[True] / counts[False]


def followed_within(tickets, keys, days=7):
    """Whether the next ticket with the same keys was created before so many days after the solution."""
    following = tickets.groupby(keys)["Created at"].shift(-1)
    return following < tickets["Solved at"] + timedelta(days=days)


def test_experience_drives_recommendation_in_the_planted_order(rows):
    """Emotion weighs most, then success, then effort, each clearly apart from the next; effort weighs something."""
    weights = driver_weights(rows)[list(PLANTED.drivers)]
    assert (-weights.diff().iloc[1:] > 0.05).all()
    assert weights.min() > 0.1


def test_one_subgroup_lies_below_both_its_parents(rows):
    """Basic customers of Central score far lower than Central and Basic explain, and it is so in the last quarter."""
    gap, _ = subgroup_gap(rows)
    assert gap == pytest.approx(PLANTED.subgroup_gap_points, abs=5)
    now, error = subgroup_gap(rows[rows.month.isin(MONTHS[-3:])])
    assert now > 2 * error


def test_detractors_leave_more_often(rows):
    """More than twice as many detractors as others leave within half a year after their answer."""
    ratio, error = leaving_ratio(rows)
    assert ratio == pytest.approx(PLANTED.leaving_ratio, abs=0.3)
    assert np.log(ratio) > 5 * error


def test_those_who_leave_soon_write_more_tickets(raw, tickets):
    """About twice as many tickets come from customers who leave within half a year."""
    assert ticket_ratio(tickets, accounts_of(raw)) == pytest.approx(PLANTED.tickets_ratio, abs=0.4)


def test_new_customers_leave_sooner(raw):
    """Within a year, more of the customers in their first year leave than of the others."""
    accounts = accounts_of(raw)
    first, after = pd.Timestamp("2025-09-01"), pd.Timestamp("2026-09-01")
    active = accounts[(accounts.Start_Date__c < first) & ~(accounts.End_Date__c < first)]
    is_new = first - active.Start_Date__c < timedelta(days=365)
    left = (active.End_Date__c < after).groupby(is_new).mean()
    assert left[True] > 1.2 * left[False]


def test_most_cases_are_resolved_at_the_first_contact(tickets):
    """Among solved cases whose week is over, 72 percent were neither reopened nor followed by one of the same team."""
    over = tickets[tickets["Solved at"] < "2026-09-23"].index
    again = followed_within(tickets, ["Customer ID [txt]", "Group"])[over]
    resolved = ~again & (tickets.Reopens[over] == 0)
    assert resolved.mean() == pytest.approx(PLANTED.resolved_at_first_contact, abs=0.02)
    assert resolved.groupby(tickets.month[over]).mean().between(0.67, 0.78).all()
    once = resolved & (tickets.Replies[over] <= 1) & ~followed_within(tickets, ["Customer ID [txt]"])[over]
    assert 0.4 < once.mean() < resolved.mean()


# --- the placebo ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def placebo(tmp_path_factory):
    """Eight months of the company without any planted truth: its folder and its responses."""
    folder = tmp_path_factory.mktemp("placebo")
    write_sample(folder, months=8, planted=False)
    return folder, all_responses(folder, MONTHS[-8:])


def test_placebo_has_the_same_files_and_layouts(raw, placebo):
    """Only the content differs: names of files and columns are those of the company."""
    folder, _ = placebo
    assert set(relative(folder)) <= set(relative(raw))
    assert delivered(folder, PLANTED.month).columns.equals(delivered(raw, PLANTED.month).columns)


def test_placebo_does_not_move(placebo):
    """Neither NPS, nor any channel's or touchpoint's score, nor the mix changes by more than chance allows."""
    _, rows = placebo
    before, after = (rows[rows.month == month] for month in (PLANTED.previous, PLANTED.month))
    pairs = [(nps(before.QID1), nps(after.QID1))]
    pairs += [tuple(nps(part.QID1[part.channel == channel]) for part in (before, after)) for channel in CHANNELS]
    pairs += [
        tuple(top_two(part.QID2[part.touchpoint == touchpoint]) for part in (before, after))
        for touchpoint in sorted(rows.touchpoint.dropna().unique())
    ]
    for (old, old_error), (new, new_error) in pairs:
        assert abs(new - old) < 3 * np.hypot(old_error, new_error)
    shares = [part.channel.value_counts(normalize=True)[CHANNELS] for part in (before, after)]
    assert (shares[1] - shares[0]).abs().max() < 0.03
    early, late = (nps(rows.QID1[rows.month.isin(months)]) for months in (MONTHS[-8:-4], MONTHS[-4:]))
    assert abs(late[0] - early[0]) < 3 * np.hypot(late[1], early[1])


def test_placebo_has_no_drivers_subgroups_or_leavers(placebo):
    """Experience tells nothing about recommending, no crossing stands out, nobody leaves because of a score."""
    folder, rows = placebo
    assert driver_weights(rows).abs().max() < 0.05
    gap, error = subgroup_gap(rows)
    assert abs(gap) < 3 * error
    for by in ("region", "plan", "channel"):
        figures = [nps(part.QID1) for _, part in rows.groupby(by)]
        assert max(value for value, _ in figures) - min(value for value, _ in figures) < 8
    ratio, error = leaving_ratio(rows)
    assert abs(np.log(ratio)) < 3 * error
    tickets = every(folder, "zendesk/*.csv", parse_dates=["Created at"])
    assert ticket_ratio(tickets, accounts_of(folder)) == pytest.approx(1, abs=0.35)


def test_placebo_has_no_spoilt_rows(placebo):
    """No row is late, repeated, impossible or personal."""
    folder, _ = placebo
    rows = delivered(folder, PLANTED.month)
    assert not (rows.RecordedDate - rows.invited_at > timedelta(days=PLANTED.late_after_days)).any()
    assert not rows.duplicated("ResponseId").any()
    assert rows.QID1.dropna().between(0, 10).all()
    assert rows.QID2.dropna().between(1, 5).all()
    assert not rows.QID5_TEXT.dropna().str.contains("@|[0-9]", regex=True).any()
    assert not every(folder, "reviews/*.csv").text.str.contains("@").any()
