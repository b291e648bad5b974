"""What others say: public reviews, and the monthly pulse survey among employees."""

import numpy as np
import pandas as pd
from numpy.random import Generator

from cxreport.periods import Period
from cxreport.sample.chance import looked_up, moments, pick, scores
from cxreport.sample.planted import LAST, PLANTED, months_since_first
from cxreport.sample.words import reviews
from cxreport.sample.world import World

REVIEWS, PULSES = 120, 90  # a month, on average
STARS = (0.2, 0.1, 0.12, 0.22, 0.36)  # shares of 1 to 5
NETWORKS = {"map service": 0.5, "app store": 0.3, "forum": 0.2}
LANGUAGES = {"en": 0.86, "es": 0.14}
TEAMS = {
    "Technical support": 0.28,
    "Installations": 0.2,
    "Sales": 0.15,
    "Billing": 0.13,
    "Network": 0.12,
    "Retention": 0.08,
    "People": 0.04,
}
RECOMMEND = (0.02, 0.01, 0.02, 0.03, 0.04, 0.09, 0.09, 0.19, 0.22, 0.16, 0.13)  # shares of 0 to 10

_SKIPPED = 0.03
_PULSE_DAYS = 12  # from the first day of the month


def draw_reviews(month: Period, rng: Generator, world: World) -> pd.DataFrame:
    """Return a month's reviews, one row each; posts on the forum carry no stars, and the text fits the stars."""
    n = int(rng.poisson(REVIEWS))
    days = np.sort(np.datetime64(month.start) + rng.integers((month.end - month.start).days, size=n))
    stars = 1 + scores(STARS, np.zeros(n), rng.random(n))
    tones = np.array(["poor", "fair", "good"], dtype=object)[np.digitize(stars, [3, 4])]
    network, language, place = pick(rng, NETWORKS, n), pick(rng, LANGUAGES, n), rng.random(n)
    pools = [reviews(code, tone) for code, tone in zip(language, tones, strict=True)]
    text = [pool[int(at * len(pool))] for pool, at in zip(pools, place, strict=True)]
    if month == LAST and world.is_planted:
        text[0] = f"Nobody answers. If anyone from the company reads this: {PLANTED.review_email}"
        stars[0], language[0] = 1, "en"
    return pd.DataFrame(
        {
            "review_id": [f"V{months_since_first(month) * 1_000 + row:06d}" for row in range(1, n + 1)],
            "posted_at": moments(rng, days, opens=7, closes=23),
            "network": network,
            "language": language,
            "stars": pd.Series(stars, dtype="Int64").where(network != "forum"),
            "text": text,
        }
    )


def draw_pulse(month: Period, rng: Generator, world: World) -> pd.DataFrame:
    """Return what employees answered in a month, one row each, without saying who they are."""
    n = int(rng.poisson(PULSES))
    team = pick(rng, TEAMS, n)
    days = np.sort(np.datetime64(month.start) + rng.integers(_PULSE_DAYS, size=n))
    score = scores(RECOMMEND, looked_up(team, world.team), rng.random(n))
    return pd.DataFrame(
        {
            "answer_id": [f"P{months_since_first(month) * 1_000 + row:06d}" for row in range(1, n + 1)],
            "answered_on": days,
            "team": team,
            "recommend_as_employer": pd.Series(score, dtype="Int64").where(rng.random(n) >= _SKIPPED),
        }
    )
