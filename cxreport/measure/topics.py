"""What customers have begun to speak of: themes, words and phrases whose share rose beyond chance."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cxreport.config import Base
from cxreport.measure.compare import benjamini_hochberg, share_change
from cxreport.measure.intervals import Array
from cxreport.measure.voice import themes, words

THEME, TERM = "theme", "term"

_LIMIT = Base().suppress
# A phrase ends where a clause does.
_CLAUSE = re.compile(r"[.,;:!?()\n\u2014\u3002\u3001]+")
_SHORTEST_WORD = 4  # letters; a phrase may hold shorter ones
# What so many speak of is no new topic but the language itself, such as its articles.
_EVERYDAY = 0.1
_COUNTS = ["n", "n_before"]
_BEFORE = ["n_before", "share_before", "difference", "ci_low", "ci_high", "p_value", "q_value"]
COLUMNS = ["kind", "topic", "n", "n_commented", "share", "n_commented_before", *_BEFORE]


def emerging_topics(
    now: pd.DataFrame, before: pd.DataFrame, dictionary: Mapping[str, Sequence[str]], confidence: float = 0.95
) -> pd.DataFrame:
    """Find the themes, words and two-word phrases that a larger share of commenters uses than before.

    Each is tested by Fisher's exact test, whose p-value (twice the smaller tail) depends on nothing but the sum of both
    counts; so what is tested is chosen by that sum alone, and choosing does not make chance look like news. The family
    of q-values (Benjamini and Hochberg) is everything tested. Customers in both windows make the test careful.

    Parameters
    ----------
    now, before
        One row per comment of the period and of the time before it: `text`, and `who` wrote it. People are counted,
        once each.
    dictionary
        Theme to its patterns, as `voice.themes` takes them; words and phrases that a pattern finds are no new terms.
    confidence
        One less the share of false discoveries, and the confidence of the intervals.

    Returns
    -------
    DataFrame
        What rose, most significant first: `kind` (theme or term), `topic`, people who used it (`n`) of those who
        commented (`n_commented`), both again for the time before, shares (0-1), `difference` with Newcombe's interval,
        `p_value`, `q_value`. Of terms that share a word the most significant one stands. Nothing stands that fewer than
        10 use, or all but fewer than 10; where 1 to 9 did before, the figures that tell how many are null.
        `attrs["n_tested"]` says how many were tested.

    Notes
    -----
    Tested are all themes, and the terms that at least 20 and at most a tenth of the people of both windows use. English
    function words are left out of terms.

    >>> old = pd.DataFrame({"text": ["all is fine"] * 300, "who": range(300)})
    >>> new = pd.DataFrame({"text": ["the firmware update broke it"] * 30 + ["all is fine"] * 270, "who": range(300)})
    >>> emerging_topics(new, old, {})["topic"].tolist()
    ['firmware update']
    """
    windows = (now, before)
    by_kind = {
        THEME: [_people_by_theme(window, dictionary) for window in windows],
        TERM: [_people_by_term(window) for window in windows],
    }
    sizes = [float(window["who"].nunique()) for window in windows]
    found = pd.concat([_counted(kind, *counts) for kind, counts in by_kind.items()], ignore_index=True)
    found = found[(found["kind"] == THEME) | _is_candidate(found, sum(sizes), dictionary)].reset_index(drop=True)
    if found.empty or min(sizes) < _LIMIT:
        empty = pd.DataFrame(columns=COLUMNS)
        empty.attrs["n_tested"] = 0
        return empty
    found = found.assign(n_commented=sizes[0], n_commented_before=sizes[1])
    found["p_value"] = _fisher(*(found[name].to_numpy() for name in (*_COUNTS, "n_commented", "n_commented_before")))
    found["q_value"] = benjamini_hochberg(found["p_value"])
    found["share"], found["share_before"] = found["n"] / sizes[0], found["n_before"] / sizes[1]
    rose = found[(found["q_value"] < 1 - confidence) & (found["share"] > found["share_before"])]
    rose = rose.assign(length=-rose["topic"].str.len()).sort_values(["q_value", "p_value", "length", "topic"])
    rose = rose[_is_large(rose["n"], sizes[0])]
    rose = _with_differences(rose[_are_first_of_their_words(rose)], confidence)
    few_before = (rose["n_before"] > 0) & ~_is_large(rose["n_before"], sizes[1])
    rose[_BEFORE] = rose[_BEFORE].mask(few_before)
    shown = rose[COLUMNS].reset_index(drop=True)
    shown.attrs["n_tested"] = len(found)
    return shown


def _is_large(n: pd.Series, total: float) -> pd.Series:
    """Say where neither those counted nor all others are a small group."""
    return (n >= _LIMIT) & ((n == total) | (total - n >= _LIMIT))


def _people_by_theme(comments: pd.DataFrame, dictionary: Mapping[str, Sequence[str]]) -> pd.Series:
    flags = themes(comments["text"], dictionary)
    return flags.groupby(comments["who"]).any().sum().astype(float)


def _people_by_term(comments: pd.DataFrame) -> pd.Series:
    terms = {text: list(dict.fromkeys(_terms(text))) for text in comments["text"].unique()}
    used = comments[["who"]].assign(term=comments["text"].map(terms)).explode("term").dropna().drop_duplicates()
    return used.groupby("term").size().astype(float)


def _terms(text: str) -> Iterator[str]:
    """Yield the words and the phrases of two words of a comment."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    for clause in _CLAUSE.split(text):
        said = words(clause)
        yield from (word for word in said if len(word) >= _SHORTEST_WORD and word not in ENGLISH_STOP_WORDS)
        yield from (f"{one} {other}" for one, other in pairwise(said) if not {one, other} & ENGLISH_STOP_WORDS)


def _counted(kind: str, now: pd.Series, before: pd.Series) -> pd.DataFrame:
    table = pd.DataFrame({"n": now, "n_before": before}).fillna(0.0).rename_axis("topic")
    return table.sort_index().reset_index().assign(kind=kind)


def _is_candidate(found: pd.DataFrame, people: float, dictionary: Mapping[str, Sequence[str]]) -> pd.Series:
    both = found[_COUNTS].sum(axis=1)
    is_used = (both >= 2 * _LIMIT) & (both <= _EVERYDAY * people)
    is_known = themes(found["topic"].where(is_used), dictionary).any(axis=1)
    return is_used & ~is_known


def _fisher(n: Array, n_before: Array, size: Array, size_before: Array) -> Array:
    both, everybody = n + n_before, size + size_before
    more = stats.hypergeom.sf(n - 1, everybody, both, size)
    fewer = stats.hypergeom.cdf(n, everybody, both, size)
    p_values: Array = np.minimum(2 * np.minimum(more, fewer), 1.0)
    return p_values


def _are_first_of_their_words(ranked: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Say which topics share no word with a term before them; themes stand for themselves."""
    taken: set[str] = set()
    is_first = []
    for kind, topic in zip(ranked["kind"], ranked["topic"], strict=True):
        own = set(topic.split()) if kind == TERM else set()
        is_first.append(not own & taken)
        taken |= own
    return np.array(is_first, dtype=bool)


def _with_differences(found: pd.DataFrame, confidence: float) -> pd.DataFrame:
    now = pd.DataFrame({"p_top": found["share"], "base": found["n_commented"]})
    before = pd.DataFrame({"p_top": found["share_before"], "base": found["n_commented_before"]})
    change = share_change(now, before, confidence)
    return found.assign(difference=found["share"] - found["share_before"], ci_low=change.low, ci_high=change.high)
