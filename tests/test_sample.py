"""The sample company is reproducible, looks like real exports, and holds what `PLANTED` says."""

import csv
import hashlib
import json
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from cxreport.errors import UsageError
from cxreport.periods import Period
from cxreport.sample import PLANTED, write_sample

CHANNELS = ["app", "chat", "phone", "web"]
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


def all_responses(raw):
    return pd.concat([responses(raw, month).assign(month=month) for month in MONTHS])


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
    assert len(written) == 4 * 2 + 1


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


@pytest.mark.parametrize("kind", ["qualtrics/survey", "invitations/invitations", "zendesk/tickets", "orders/orders"])
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
    accounts = pd.read_csv(raw / "salesforce" / "accounts.csv", encoding="utf-8-sig")
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


def test_tickets_keep_their_own_arithmetic(raw):
    """Durations fit the times of the same row, are blank while open, and only the newest tickets are open."""
    paths = sorted((raw / "zendesk").glob("*.csv"))
    tickets = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
    zone = ZoneInfo("America/Chicago")
    created, solved = (
        pd.to_datetime(tickets[name], format="%Y-%m-%d %H:%M").dt.tz_localize(zone)
        for name in ("Created at", "Solved at")
    )
    full, business = (tickets[f"Full resolution time in minutes{suffix}"] for suffix in ("", " within business hours"))
    is_open = tickets["Solved at"].isna()
    assert len(tickets.columns) == 42
    assert tickets["Id"].is_unique
    assert ((solved - created) / timedelta(minutes=1))[~is_open].equals(full[~is_open])
    assert full[is_open].isna().all()
    assert tickets["Resolution time"][~is_open].sub(full[~is_open] / 60).abs().max() <= 0.5
    assert (tickets["First reply time in minutes"][~is_open] <= full[~is_open]).all()
    assert (business[~is_open] > 0).all()
    assert set(tickets.Status[is_open]) <= {"New", "Open", "Pending", "Hold"}
    assert set(tickets.Status[~is_open]) == {"Solved", "Closed"}
    assert 5 <= is_open.sum() <= 100
    assert (created[is_open].dt.strftime("%Y-%m") == "2026-09").all()


def test_files_hold_their_own_month(raw):
    """Responses by date of response, invitations by sending, tickets by creation, orders by date."""
    columns = {
        "qualtrics/survey": "RecordedDate",
        "invitations/invitations": "sent_at",
        "zendesk/tickets": "Created at",
        "orders/orders": "ordered_at",
    }
    for kind, column in columns.items():
        assert len(list(raw.glob(f"{kind}_*.csv"))) == 25
        for month in MONTHS:
            skip = [1, 2] if kind.startswith("qualtrics") else None
            dates = pd.read_csv(raw / f"{kind}_{month}.csv", skiprows=skip, usecols=[column])[column]
            assert (dates.str[:7] == month).all()


def test_references_between_files_resolve(raw):
    """Every response, ticket and order has its customer; responses and invitations name each other."""
    customers = set(pd.read_csv(raw / "salesforce" / "accounts.csv", encoding="utf-8-sig").Customer_ID__c)
    invitations = pd.concat([pd.read_csv(path) for path in sorted((raw / "invitations").glob("*.csv"))])
    answered = invitations.dropna(subset="response_id").set_index("response_id")
    rows = all_responses(raw).set_index("ResponseId")
    assert invitations.invitation_id.is_unique
    assert set(answered.index) == set(rows.index)
    matched = answered.loc[rows.index]
    assert (matched.invitation_id == rows.invitation_id).all()
    assert (matched.customer_id == rows.ExternalReference).all()
    assert (pd.to_datetime(matched.sent_at) == rows.invited_at).all()
    assert set(invitations.customer_id) <= customers
    for path in [*(raw / "zendesk").glob("*.csv"), *(raw / "orders").glob("*.csv")]:
        frame = pd.read_csv(path)
        assert set(frame["Customer ID [txt]"] if "Id" in frame else frame.customer_id) <= customers


# --- plausible -----------------------------------------------------------------------------------


def test_volumes_are_those_of_a_mid_sized_provider(raw):
    """About 4,000 responses a month, 45 percent of the invitations, a comment in every third, 1,500 tickets."""
    rows = all_responses(raw)
    invited = sum(len(pd.read_csv(path, usecols=[0])) for path in (raw / "invitations").glob("*.csv"))
    tickets = [len(pd.read_csv(path, usecols=[0])) for path in (raw / "zendesk").glob("*.csv")]
    assert rows.groupby("month").size().between(3_700, 4_600).all()
    assert len(rows) / invited == pytest.approx(0.45, abs=0.01)
    assert rows.QID5_TEXT.notna().mean() == pytest.approx(0.34, abs=0.02)
    assert 1_350 <= min(tickets) <= max(tickets) <= 1_650
    assert rows.groupby("month").ExternalReference.apply(lambda ids: ids.duplicated().sum()).max() == 0


def test_nobody_answers_before_being_asked(raw):
    """Apart from the late answers, every answer follows its invitation within minutes to 29 days."""
    rows = all_responses(raw)
    delay = rows.RecordedDate - rows.invited_at
    assert (rows.StartDate > rows.invited_at).all()
    assert ((rows.StartDate < rows.EndDate) & (rows.EndDate < rows.RecordedDate)).all()
    assert (delay > timedelta(days=29)).sum() == PLANTED.late_answers


def test_levels_differ_and_rise_slowly(raw):
    """West is clearly above and Central clearly below the total, and NPS is higher in the second year."""
    accounts = pd.read_csv(raw / "salesforce" / "accounts.csv", encoding="utf-8-sig", index_col="Customer_ID__c")
    rows = all_responses(raw)
    regions = rows.QID1.groupby(rows.ExternalReference.map(accounts.Region__c)).apply(lambda scores: nps(scores)[0])
    plans = rows.QID1.groupby(rows.ExternalReference.map(accounts.Plan__c)).apply(lambda scores: nps(scores)[0])
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


def test_comments_speak_the_language_of_the_survey(raw):
    """Chinese comments hold Chinese characters, and English ones none."""
    comments = all_responses(raw).dropna(subset="QID5_TEXT")
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


def test_personal_data_stands_in_exactly_two_comments(raw):
    """One comment of the last month holds the e-mail address, another the telephone number; no other holds any."""
    rows = all_responses(raw).dropna(subset="QID5_TEXT")
    suspects = rows[rows.QID5_TEXT.str.contains(r"@|\d", regex=True)]
    assert (suspects.month == PLANTED.month).all()
    assert len(suspects) == 2
    assert suspects.QID5_TEXT.str.contains(re.escape(PLANTED.email)).sum() == 1
    assert suspects.QID5_TEXT.str.contains(re.escape(PLANTED.phone)).sum() == 1
