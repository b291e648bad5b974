"""The survey: who is invited, who answers what, and the exports that tell of it."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from scipy.special import ndtr, ndtri

from cxreport.periods import Period
from cxreport.sample.chance import Array, codes, looked_up, pick, scores, season, sliced_uniforms
from cxreport.sample.customers import active_in, leaves_soon
from cxreport.sample.planted import LAST, PLANTED, ZONE, months_since_first
from cxreport.sample.words import Tone, comments
from cxreport.sample.world import CHANNELS, World
from cxreport.sample.writing import write_csv

INVITATIONS = 9_300  # a month
RESPONSE_RATE = 0.45
KINDS = {"relational": 0.5, "transactional": 0.5}
TOUCHPOINTS = {
    "Website order": 0.09,
    "Shop visit": 0.05,
    "Installation visit": 0.18,
    "Self-install kit": 0.06,
    "Outage notice": 0.08,
    "Plan change": 0.07,
    "Support call": 0.16,
    "Technician visit": 0.08,
    "Help pages": 0.06,
    "First bill": 0.06,
    "Payment": 0.07,
    "Cancellation": 0.04,
}
STAGE = {
    "Website order": "join",
    "Shop visit": "join",
    "Installation visit": "install",
    "Self-install kit": "install",
    "Outage notice": "use",
    "Plan change": "use",
    "Support call": "support",
    "Technician visit": "support",
    "Help pages": "support",
    "First bill": "pay",
    "Payment": "pay",
    "Cancellation": "leave",
}

# Shares of the scores, lowest first, that a customer of level 0 gives; effects move the level, in logits.
NPS_SHARES = (0.03, 0.01, 0.02, 0.02, 0.03, 0.07, 0.07, 0.13, 0.2, 0.17, 0.25)
CSAT_SHARES = (0.05, 0.08, 0.17, 0.4, 0.3)
EASE_OF_FIVE = (0.06, 0.11, 0.2, 0.33, 0.3)  # stored as effort: 5 for the hardest, 1 for the easiest
EASE_OF_SEVEN = (0.03, 0.05, 0.08, 0.14, 0.25, 0.27, 0.18)
SEVEN_SINCE = Period.parse("2025-10")  # the effort question changed its scale

EXPERIENCE_OF_SEVEN = (0.03, 0.05, 0.09, 0.15, 0.24, 0.26, 0.18)
EXPERIENCE = ("success", "effort", "emotion")

_SKIPPED = 0.03  # of the questions asked
_COMMENTED = 0.35  # of the responses
_UNFINISHED = 0.015  # of those who would not answer
_PREVIEWS = 3  # a month
_AGREEMENT = 0.6  # how often a second score follows the same opinion as the first
_ASKED_MORE = 0.5  # of the relational surveys: about the experience, too
_LIKENESS = 0.4  # correlation of success, effort and emotion with each other
_BOUNCED = 0.012  # of the invitations that nobody opened

_COLUMNS = {  # name: ImportId and the text of the question
    "StartDate": ("startDate", "Start Date"),
    "EndDate": ("endDate", "End Date"),
    "Status": ("status", "Response Type"),
    "Progress": ("progress", "Progress"),
    "Duration (in seconds)": ("duration", "Duration (in seconds)"),
    "Finished": ("finished", "Finished"),
    "RecordedDate": ("recordedDate", "Recorded Date"),
    "ResponseId": ("_recordId", "Response ID"),
    "RecipientEmail": ("recipientEmail", "Recipient Email"),
    "ExternalReference": ("externalDataReference", "External Data Reference"),
    "DistributionChannel": ("distributionChannel", "Distribution Channel"),
    "UserLanguage": ("userLanguage", "User Language"),
    "QID1": (
        "QID1",
        "How likely are you to recommend Halden Broadband to friends, family or colleagues?\n0 = not at all, 10 = very",
    ),
    "QID1_NPS_GROUP": ("QID1_NPS_GROUP", "Recommendation - Group"),
    "QID2": ("QID2", "Overall, how satisfied are you?\n1 = very dissatisfied, 5 = very satisfied"),
    "QID3": ("QID3", "How much effort did you have to put in?\n1 = very low effort, 5 = very high effort"),
    "QID4": ("QID4", "Halden Broadband made it easy for me.\n1 = strongly disagree, 7 = strongly agree"),
    "QID5_TEXT": ("QID5_TEXT", "Is there anything you would like to tell us, good or bad?"),
    "QID6": ("QID6", "How far did you get what you wanted from us?\n1 = not at all, 7 = completely"),
    "QID7": ("QID7", "How easy was it?\n1 = very difficult, 7 = very easy"),
    "QID8": ("QID8", "How did it make you feel?\n1 = upset, 7 = delighted"),
    "survey_kind": ("survey_kind", "survey_kind"),
    "block": ("block", "block"),
    "touchpoint": ("touchpoint", "touchpoint"),
    "stage": ("stage", "stage"),
    "channel": ("channel", "channel"),
    "invited_at": ("invited_at", "invited_at"),
    "invitation_id": ("invitation_id", "invitation_id"),
}


# --- a month's wave of invitations ---------------------------------------------------------------


def draw_wave(customers: pd.DataFrame, month: Period, rng: Generator, world: World) -> pd.DataFrame:
    """Return one row per invitation of a month, with the answers of those who gave some."""
    wave = _invite(customers, month, rng, world)
    wave = wave.assign(**_times(month, len(wave), rng))
    wave = wave.assign(**_participation(wave, month, rng, world))
    wave = wave.assign(**_answers(wave, month, rng, world))
    wave = wave.assign(comment=_comments(wave, rng), repeated=False)
    if month == LAST and world.is_planted:
        wave = _plant(wave, rng)
    return wave.assign(**_experience(wave, rng, world), status=_status(wave, rng))


def _invite(customers: pd.DataFrame, month: Period, rng: Generator, world: World) -> pd.DataFrame:
    """Choose customers, each at most once a month, and what they are asked about."""
    active = active_in(customers, month)
    n = round(INVITATIONS * (1 + world.busy_season * season(month)))
    chosen = active.iloc[rng.permutation(len(active))[:n]].reset_index(drop=True)
    kind = pick(rng, KINDS, n)
    touchpoint = np.where(kind == "transactional", pick(rng, TOUCHPOINTS, n), "")
    return chosen[["customer_id", "region", "plan", "speaks"]].assign(
        leaves_soon=leaves_soon(chosen, month),
        invitation_id=[f"I{months_since_first(month) * 100_000 + row:08d}" for row in range(1, n + 1)],
        kind=kind,
        touchpoint=touchpoint,
        stage=[STAGE.get(name, "") for name in touchpoint],
        channel=pick(rng, world.channels_last_month if month == LAST else CHANNELS, n),
    )


def _times(month: Period, n: int, rng: Generator) -> dict[str, Array]:
    """Draw local times within the month, all by day: no clock skips or repeats those hours."""
    first, after = np.datetime64(month.start, "s"), np.datetime64(month.end, "s")
    day = rng.integers((month.end - month.start).days, size=n)
    invited = first + _seconds(day * 86_400 + 8 * 3_600 + rng.random(n) * 12 * 3_600)
    hours = np.clip(rng.lognormal(np.log(14), 1.2, n), 0.25, 27 * 24)
    recorded = invited + _seconds(hours * 3_600)
    at_night = recorded - recorded.astype("datetime64[D]") < np.timedelta64(6, "h")
    recorded = recorded + np.where(at_night, np.timedelta64(7, "h"), np.timedelta64(0, "h"))
    same_evening = invited + _seconds(900 + rng.random(n) * 13_000)
    return {
        "invited_at": invited,
        "recorded_at": np.where(recorded < after, recorded, same_evening),
        "seconds": np.clip(rng.lognormal(np.log(150), 0.6, n), 30, 840).astype(int),
    }


def _seconds(values: Array) -> Array:
    return values.astype("timedelta64[s]")


def _participation(wave: pd.DataFrame, month: Period, rng: Generator, world: World) -> dict[str, Any]:
    """Draw who answers, who gives up half way, and in which language.

    The Vietnamese questionnaire is new and relational: a handful of its speakers get it, the others the English one.
    """
    n = len(wave)
    finished = rng.random(n) < RESPONSE_RATE + looked_up(wave.region, world.answering)
    handful = PLANTED.rare_answers + (0 if month == LAST else int(rng.integers(-2, 3)))
    speakers = (wave.speaks == PLANTED.rare_language).to_numpy()
    served = np.flatnonzero(speakers & finished & (wave.kind == "relational").to_numpy())[:handful]
    language = np.where(speakers, "en", wave.speaks.to_numpy(dtype=object))
    language[served] = PLANTED.rare_language
    return {
        "finished": finished,
        "unfinished": ~finished & (rng.random(n) < _UNFINISHED),
        "language": language,
        "response_id": codes(rng, "R_", 15, n),
    }


def _answers(wave: pd.DataFrame, month: Period, rng: Generator, world: World) -> dict[str, Any]:
    """Draw the scores, null where a question was not asked or skipped, and the tone that goes with them.

    Relational surveys ask for NPS, then CSAT; transactional ones for CSAT, then effort. `opinion` is where customers
    stand among those of the same `level`, from 0 to 1.
    """
    n, is_last, is_new = len(wave), month == LAST, month >= SEVEN_SINCE
    relational, finished = (wave.kind == "relational").to_numpy(), wave.finished.to_numpy()
    level = _level(wave, month, world)
    channel = looked_up(wave.channel, world.channel) + world.channel_lift * is_last
    is_improved = (month.id >= PLANTED.improved_since) & (wave.touchpoint == PLANTED.improved).to_numpy()
    touchpoint = looked_up(wave.touchpoint, world.touchpoint) + world.improvement * is_improved
    broken = world.broken * (is_last & (wave.touchpoint == PLANTED.touchpoint).to_numpy())

    group = np.where(finished, np.where(relational, wave.channel, wave.touchpoint), "nobody")
    is_even = world.is_planted and month >= LAST.previous
    first = sliced_uniforms(rng, group) if is_even else rng.random(n)
    second = np.where(rng.random(n) < _AGREEMENT, first, rng.random(n))
    nps = scores(NPS_SHARES, level + channel, first)
    csat = 1 + scores(CSAT_SHARES, level + touchpoint + broken, np.where(relational, second, first))

    def given(score: Array, asked: Array) -> pd.Series:
        # Nobody skips in the rare language, so that the number of its answers is known.
        skipped = (rng.random(n) < _SKIPPED) & (wave.language != PLANTED.rare_language)
        return pd.Series(score, index=wave.index, dtype="Int64").where(asked & ~skipped)

    return {
        "nps": given(nps, relational),
        "csat": given(csat, finished | ~relational),
        "ces_v1": given(5 - scores(EASE_OF_FIVE, level + touchpoint, second), finished & ~relational & (not is_new)),
        "ces_v2": given(1 + scores(EASE_OF_SEVEN, level + touchpoint, second), finished & ~relational & is_new),
        "tone": np.where(relational, _tones(nps, 7, 9), _tones(csat, 3, 4)),
        "level": level,
        "opinion": first,
    }


def _level(wave: pd.DataFrame, month: Period, world: World) -> Array:
    """Return what the opinions of like customers have in common."""
    level = looked_up(wave.region, world.region) + looked_up(wave.plan, world.plan)
    for (region, plan), effect in world.subgroup.items():
        level = level + effect * ((wave.region == region) & (wave.plan == plan)).to_numpy()
    level = level + world.trend * months_since_first(month) + world.season * season(month)
    whole: Array = level + world.level + world.leaving * wave.leaves_soon.to_numpy()
    return whole


def _experience(wave: pd.DataFrame, rng: Generator, world: World) -> dict[str, Any]:
    """Draw success, effort and emotion so that they drive the wish to recommend, without moving it.

    The wish z is b'x + e with standard normal parts x that correlate by R. Turned round, x given z is normal with mean
    R b z and covariance R - R b b' R (Mardia, Kent and Bibby 1979, theorem 3.2.4), which is what is drawn here.
    """
    n = len(wave)
    likeness = np.full((3, 3), _LIKENESS) + (1 - _LIKENESS) * np.eye(3)
    pull = likeness @ np.array(world.drivers)
    spread = np.linalg.cholesky(likeness - np.outer(pull, pull))
    parts = np.outer(ndtri(wave.opinion), pull) + rng.standard_normal((n, 3)) @ spread.T
    asked = (wave.kind == "relational") & wave.finished & (wave.language != PLANTED.rare_language)
    asked &= rng.random(n) < _ASKED_MORE
    given = {
        name: pd.Series(
            1 + scores(EXPERIENCE_OF_SEVEN, wave.level.to_numpy(), ndtr(part)), wave.index, dtype="Int64"
        ).where(asked & (rng.random(n) >= _SKIPPED))
        for name, part in zip(EXPERIENCE, parts.T, strict=True)
    }
    return given | {"block": np.where(asked, "experience", "")}


def _status(wave: pd.DataFrame, rng: Generator) -> Array:
    """Return how far each invitation got."""
    bounced = rng.random(len(wave)) < _BOUNCED
    return np.select([wave.finished, wave.unfinished, bounced], ["finished", "started", "bounced"], "sent")


def _tones(score: Array, fair: int, good: int) -> Array:
    return np.array(["poor", "fair", "good"], dtype=object)[np.digitize(score, [fair, good])]


def _comments(wave: pd.DataFrame, rng: Generator) -> list[str]:
    pools: dict[tuple[str, str, Tone], list[str]] = {}
    writes = wave.finished & (rng.random(len(wave)) < _COMMENTED)
    keys = (wave[name].tolist() for name in ("language", "touchpoint", "tone"))
    rows = zip(writes, *keys, rng.random(len(wave)), strict=True)
    written = []
    for says_something, language, touchpoint, tone, place in rows:
        key = (language, touchpoint, tone)
        pool = pools.get(key) or pools.setdefault(key, comments(*key))
        written.append(pool[int(place * len(pool))] if says_something else "")
    return written


def _plant(wave: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """Spoil single English rows of the last month as `PLANTED` says, no row twice."""
    # Late answers fall into the second half of the month, so that their invitations fall into the month before.
    second_half = wave.recorded_at >= pd.Timestamp(LAST.start) + pd.Timedelta(days=15)
    usable = wave.finished & second_half & (wave.language == "en")
    relational, transactional = (
        iter(rng.permutation(np.flatnonzero(usable & (wave.kind == kind))).tolist()) for kind in KINDS
    )
    wave = wave.copy()
    wave.loc[_take(relational, len(PLANTED.nps_outside)), "nps"] = list(PLANTED.nps_outside)
    wave.loc[_take(transactional, len(PLANTED.csat_outside)), "csat"] = list(PLANTED.csat_outside)
    wave.loc[_take(relational, PLANTED.repeated_responses), "repeated"] = True
    wave.loc[_take(relational, 1), "comment"] = f"Please write to {PLANTED.email}, I cannot take calls at work."
    wave.loc[_take(relational, 1), "comment"] = f"Call me on {PLANTED.phone} after six, I am at work before."
    late = _take(relational, PLANTED.late_answers)
    earliest = pd.Timestamp(LAST.previous.start) + pd.Timedelta(hours=8)
    latest = wave.loc[late, "recorded_at"] - pd.Timedelta(days=PLANTED.late_after_days + 1)
    wave.loc[late, "invited_at"] = (earliest + (latest - earliest) * rng.random(len(late))).dt.floor("s")
    return wave


def _take(rows: Iterator[int], n: int) -> list[int]:
    return [next(rows) for _ in range(n)]


# --- files ---------------------------------------------------------------------------------------


def write_survey(wave: pd.DataFrame, path: Path, rng: Generator) -> Path:
    """Write a response export of Qualtrics with choices as codes.

    Three header rows (names, question texts, ImportIds), then the authors' previews, then rows by date; rows that
    were delivered twice stand again at the end.
    """
    given = wave[wave.finished | wave.unfinished].sort_values(["recorded_at", "response_id"])
    rows = pd.concat([given, given[given.repeated]])
    ended = rows.recorded_at - pd.Timedelta(seconds=1)
    frame = pd.DataFrame(
        {
            "StartDate": ended - pd.to_timedelta(rows.seconds, unit="s"),
            "EndDate": ended,
            "Status": 0,
            "Progress": np.where(rows.finished, 100, 50),
            "Duration (in seconds)": rows.seconds,
            "Finished": rows.finished.astype(int),
            "RecordedDate": rows.recorded_at,
            "ResponseId": rows.response_id,
            "RecipientEmail": "",
            "ExternalReference": rows.customer_id,
            "DistributionChannel": "email",
            "UserLanguage": rows.language.str.upper(),
            "QID1": rows.nps,
            "QID1_NPS_GROUP": _nps_group(rows.nps),
            "QID2": rows.csat,
            "QID3": rows.ces_v1,
            "QID4": rows.ces_v2,
            "QID5_TEXT": rows.comment,
            "QID6": rows.success,
            "QID7": rows.effort,
            "QID8": rows.emotion,
            "survey_kind": rows.kind,
            "block": rows.block,
            "touchpoint": rows.touchpoint,
            "stage": rows.stage,
            "channel": rows.channel,
            "invited_at": rows.invited_at.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "invitation_id": rows.invitation_id,
        }
    )
    return write_csv(pd.concat([_previews(frame, rng), frame]), path, head=_survey_head())


def _survey_head() -> list[list[str]]:
    dates = {"startDate", "endDate", "recordedDate"}
    ids = [
        json.dumps({"ImportId": key} | ({"timeZone": ZONE} if key in dates else {}), separators=(",", ":"))
        for key, _ in _COLUMNS.values()
    ]
    return [list(_COLUMNS), [text for _, text in _COLUMNS.values()], ids]


def _nps_group(nps: pd.Series) -> pd.Series:
    """Return the tool's own column: 1 detractor, 2 passive, 3 promoter."""
    return nps.map(lambda score: 1 + (score >= 7) + (score >= 9), na_action="ignore").astype("Int64")  # noqa: PLR2004


def _previews(frame: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """Return a few rows such as the authors leave when they try the survey out."""
    tried = frame[(frame.Finished == 1) & (frame.UserLanguage == "EN")].head(_PREVIEWS)
    blank = dict.fromkeys(("ExternalReference", "invited_at", "invitation_id"), "")
    ids = codes(rng, "R_", 15, len(tried))
    return tried.assign(Status=1, ResponseId=ids, DistributionChannel="preview", QID5_TEXT="test", **blank)


def write_invitations(waves: pd.DataFrame, covered: Iterable[Period], folder: Path) -> list[Path]:
    """Write each invitation into the file of the month it was sent in; `response_id` is blank without an answer."""
    frame = pd.DataFrame(
        {
            "invitation_id": waves.invitation_id,
            "customer_id": waves.customer_id,
            "sent_at": waves.invited_at,
            "channel": waves.channel,
            "status": waves.status,
            "response_id": waves.response_id.where(waves.finished, ""),
        }
    ).sort_values(["sent_at", "invitation_id"])
    written = []
    for month in covered:
        sent = frame.sent_at.between(pd.Timestamp(month.start), pd.Timestamp(month.end), inclusive="left")
        written.append(write_csv(frame[sent], folder / f"invitations_{month}.csv"))
    return written
