"""What customers begin to speak of is found by a corrected test, and tells of no small group."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cxreport.measure.topics import TERM, THEME, emerging_topics

DICTIONARY = {"billing": ["bills?"], "speed": ["slow"]}
VOCABULARY = [f"{a}{b}ta" for a in "bcdfghjklm" for b in ("ara", "ere", "iri", "oro", "uru")]


def said(random: np.random.Generator, n: int, topic: str = "", share: float = 0.0) -> pd.DataFrame:
    """Return comments of eight random words each, some of which also speak of a topic."""
    texts = [" ".join(random.choice(VOCABULARY, 8)) for _ in range(n)]
    speaks = random.random(n) < share
    return pd.DataFrame(
        {"text": [f"{text}. {topic}" if says else text for text, says in zip(texts, speaks, strict=True)]}
    ).assign(who=[f"c{i}" for i in range(n)])


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(11)


def test_new_phrase_is_found_and_named_once(random):
    """A phrase that 8 in 100 begin to use is the one finding; its words do not stand beside it."""
    found = emerging_topics(said(random, 600, "firmware update", 0.08), said(random, 2400), DICTIONARY)
    assert found[["kind", "topic"]].to_numpy().tolist() == [[TERM, "firmware update"]]
    assert found["ci_low"].iloc[0] > 0
    assert found["n_before"].iloc[0] == 0


def test_theme_that_rises_is_found(random):
    """A theme of the dictionary that grows from 5 to 15 in 100 is told with both shares and Fisher's p-value."""
    now, before = said(random, 800, "my bill", 0.15), said(random, 3000, "my bill", 0.05)
    row = emerging_topics(now, before, DICTIONARY).iloc[0]
    n, n_before = (int(window["text"].str.contains("bill").sum()) for window in (now, before))
    assert (row["kind"], row["topic"], row["n"], row["n_before"]) == (THEME, "billing", n, n_before)
    upper = stats.fisher_exact([[n, 800 - n], [n_before, 3000 - n_before]], alternative="greater").pvalue
    assert row["p_value"] == pytest.approx(2 * upper, rel=1e-6)


def test_words_of_the_dictionary_are_no_new_terms(random):
    """What a theme's pattern finds is told as the theme alone."""
    found = emerging_topics(said(random, 600, "slow", 0.2), said(random, 2400), DICTIONARY)
    assert found["topic"].tolist() == ["speed"]


def test_people_are_counted_and_not_their_comments(random):
    """One customer who writes forty times of a thing makes no topic."""
    rant = pd.DataFrame({"text": ["firmware update"] * 40, "who": "c0"})
    found = emerging_topics(pd.concat([said(random, 400), rant]), said(random, 1600), DICTIONARY)
    assert found.empty


def test_few_people_before_are_not_counted(random):
    """Where 1 to 9 used it before, no figure tells how many; what fewer than 10 use now is not named."""
    before = pd.concat([said(random, 2000), pd.DataFrame({"text": ["firmware"] * 4, "who": list("wxyz")})])
    row = emerging_topics(said(random, 500, "firmware", 0.1), before, DICTIONARY).iloc[0]
    hidden = ["n_before", "share_before", "difference", "ci_low", "ci_high", "p_value", "q_value"]
    assert row[hidden].isna().all()
    assert row["n"] >= 10
    rare = pd.concat([said(random, 60), pd.DataFrame({"text": ["firmware"] * 9, "who": list("abcdefghi")})])
    assert emerging_topics(rare, said(random, 2000), DICTIONARY).empty


def test_function_words_and_everyday_words_are_no_topics(random):
    """Neither `because` nor what more than a tenth of everybody says is new, however much it rises."""
    found = emerging_topics(said(random, 600, "because whereupon", 0.5), said(random, 600), {})
    assert found.empty
    assert emerging_topics(said(random, 600, "broadband", 0.5), said(random, 600), {}).empty


def test_what_falls_is_no_topic(random):
    """A term that customers use less is not named."""
    assert emerging_topics(said(random, 600), said(random, 2400, "firmware update", 0.08), DICTIONARY).empty


def test_too_few_commenters_give_nothing(random):
    """Fewer than ten commenters of either time are not compared."""
    found = emerging_topics(said(random, 9), said(random, 500), DICTIONARY)
    assert found.empty
    assert found.attrs["n_tested"] == 0


@pytest.mark.parametrize("companies", [15, pytest.param(1000, marks=pytest.mark.soak)])
def test_companies_without_news_have_none(companies):
    """Where nothing changed, no more companies than the stated rate, and a margin of chance, are told of a topic."""
    random = np.random.default_rng(3)
    told = sum(len(emerging_topics(said(random, 250), said(random, 900), DICTIONARY)) > 0 for _ in range(companies))
    assert told <= stats.binom.ppf(0.999, companies, 0.05)
