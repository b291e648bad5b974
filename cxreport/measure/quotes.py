"""Which comments stand for a theme: typical ones of different customers, in which nothing had to be masked."""

import re

import numpy as np
import pandas as pd

from cxreport.config import Base
from cxreport.measure.voice import words
from cxreport.sources.privacy import MARKERS

# Shorter ones say too little, longer ones are not read, and both rarely speak of one theme.
_SHORTEST, _LONGEST = 25, 240
# Numbers of contracts, cases or houses may lead to somebody.
_LONG_NUMBER = re.compile(r"\d{4,}")
_DECIMALS = 9  # further ones of a similarity are rounding errors, which differ between machines
_ALIKE = 0.5  # share of common words from which two comments say the same
_COLUMNS = ["theme", "place", "quote", "language", "is_good"]


def choose_quotes(comments: pd.DataFrame, themes: pd.DataFrame, limit: int = 3) -> pd.DataFrame:
    """Choose the most typical comments of each theme, of satisfied and of other customers as their numbers are.

    The most typical comment has the largest cosine with the mean of all of its side, in words weighted by TF-IDF
    (Salton and Buckley 1988, Information Processing and Management 24:513-523).

    Parameters
    ----------
    comments
        One row per comment, personal data masked: `text`, `who` wrote it, its `language`, and whether its score
        `is_good`. Groups that may not be shown are left out beforehand.
    themes
        True where a comment speaks of a theme, on the index of `comments`; one column per theme, the most important
        first.
    limit
        Quotes of a theme.

    Returns
    -------
    DataFrame
        `theme`, `place` from 1, `quote` with its `language` and whether its score `is_good`. Each side of a theme has
        at most one quote for every 10 customers. No customer is quoted twice, in whatever theme, nor are comments that
        share half of their words. Comments with a mask or a long number in them are never quoted, nor are very short
        and very long ones.

    >>> said = ["The router drops the line every evening", "The router is slow and drops the line",
    ...         "A cable was missing for two weeks"] * 4
    >>> comments = pd.DataFrame({"text": said, "who": range(12), "language": "en", "is_good": False})
    >>> choose_quotes(comments, pd.DataFrame({"line": [True] * 12}))["quote"].tolist()
    ['The router drops the line every evening']
    """
    found: list[dict[str, object]] = []
    for theme in map(str, themes):
        about = comments[themes[theme].to_numpy(dtype=bool)]
        before = len(found)
        for is_good, room in _rooms(about, limit).items():
            chosen = _different(_most_typical_first(about[about["is_good"] == is_good]), found, room)
            found += [each | {"theme": theme, "is_good": is_good} for each in chosen]
        for place, row in enumerate(found[before:], start=1):
            row["place"] = place
    return pd.DataFrame(found, columns=[*_COLUMNS, "who"]).drop(columns="who")


def _rooms(comments: pd.DataFrame, limit: int) -> dict[bool, int]:
    """Return how many quotes each side has, the larger side first: shared by size, at least one where there may be."""
    people = comments.groupby("is_good")["who"].nunique().sort_values(ascending=False, kind="stable")
    most = people // Base().suppress
    shared = (limit * people / people.sum()).round().clip(lower=1).astype(int)
    rooms: dict[bool, int] = {}
    for side in people.index:
        rooms[bool(side)] = min(int(shared[side]), int(most[side]), limit - sum(rooms.values()))
    return rooms


def _different(ranked: pd.DataFrame, found: list[dict[str, object]], room: int) -> list[dict[str, object]]:
    """Return the first comments that may be quoted, of customers and in words that were not quoted yet."""
    chosen: list[dict[str, object]] = []
    for quote, who, language in zip(ranked["text"], ranked["who"], ranked["language"], strict=True):
        if len(chosen) == room:
            break
        quoted = [*found, *chosen]
        if _is_fit(quote) and not any(row["who"] == who or _are_alike(quote, str(row["quote"])) for row in quoted):
            chosen.append({"quote": quote, "who": who, "language": language})
    return chosen


def _are_alike(one: str, other: str) -> bool:
    first, second = set(words(one)), set(words(other))
    return len(first & second) >= _ALIKE * len(first | second)


def _is_fit(text: str) -> bool:
    return (
        _SHORTEST <= len(text) <= _LONGEST
        and not any(marker in text for marker in MARKERS)
        and not _LONG_NUMBER.search(text)
    )


def _most_typical_first(comments: pd.DataFrame) -> pd.DataFrame:
    """Sort comments by their cosine with the mean of all; equal ones by their words and writer."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        weights = TfidfVectorizer(analyzer=words).fit_transform(comments["text"])
    except ValueError:  # no words at all
        return comments.head(0)
    centre = np.asarray(weights.mean(axis=0)).ravel()
    nearness = np.round(weights @ centre, _DECIMALS)
    ranked = comments.assign(nearness=nearness)
    return ranked.sort_values(["nearness", "text", "who"], ascending=[False, True, True])
