"""Comments are scored only where they can be read, and themes claim no more than their bases allow."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from cxreport.errors import DefinitionError, UsageError
from cxreport.measure.compare import net_change
from cxreport.measure.voice import (
    compound,
    found_themes,
    kappa_and_f1,
    sentiment,
    sentiment_class,
    theme_impact,
    themes,
)

NET = {"kind": "net", "top": [9, 10], "bottom": list(range(7))}
TOPICS = {
    "billing": "the bill was wrong and the charge was refunded",
    "visit": "the technician was late for the installation visit",
    "app": "the app crashes when I log in with my password",
}


def test_compound_equals_the_published_scores(examples):
    """Those of the authors' readme."""
    example = examples["vader_readme"]
    scores = [compound(text) for text in example["inputs"]["texts"]]
    assert scores == pytest.approx(example["expected"]["compound"], abs=example["abs_tolerance"])


def test_what_cannot_be_read_is_missing_and_not_neutral(examples):
    """VADER itself calls a blank comment neutral; a neutral sentence stays neutral."""
    texts = examples["vader_readme"]["inputs"]["texts"]
    read = sentiment(pd.Series(texts))
    assert compound("") == 0
    assert read.isna().tolist() == [text == "" for text in texts]
    blank = pd.Series([None, np.nan, "", " \n\t", "\N{ZERO WIDTH SPACE}", "...", "-", "?!"], dtype=object)
    assert sentiment(blank).isna().all()
    assert sentiment(pd.Series(["I called on Monday.", ":)", "\N{SMILING FACE WITH SMILING EYES}"])).tolist() == [
        0,
        compound(":)"),
        compound("\N{SMILING FACE WITH SMILING EYES}"),
    ]


def test_only_english_is_scored():
    """VADER knows English words; everything else would look neutral."""
    texts = pd.Series(["Great"] * 7, index=list("gfedcba"))
    languages = pd.Series(["en", "en-GB", "EN_us", "es", "enm", None, ""], index=texts.index)
    read = sentiment(texts, language=languages)
    assert read.notna().tolist() == [True, True, True, False, False, False, False]
    assert read.index.equals(texts.index)
    assert sentiment(texts, language="vi").isna().all()
    assert sentiment(texts.iloc[:0]).empty
    with pytest.raises(UsageError, match="languages on an index"):
        sentiment(texts, language=languages.reset_index(drop=True))


def test_classes_follow_the_thresholds_of_the_authors():
    """Both ends belong to the feeling, and what is missing stays missing."""
    classes = sentiment_class(pd.Series([0.05, 0.0499, 0.0, -0.0499, -0.05, np.nan]))
    assert classes.tolist()[:5] == [1, 0, 0, 0, -1]
    assert np.isnan(classes.iloc[5])


@pytest.mark.parametrize(
    ("pattern", "text", "is_found"),
    [
        ("bill", "My BILL!", True),
        ("bill", "billing", False),
        ("bill", "x_bill", False),
        ("bills?|invoice", "Two bills", True),
        ("bill|invoice", "ability invoiced", False),  # a choice must not escape the boundaries
        ("long wait", "a long \n  wait", True),
        ("doesn't work", "It doesn\u2019t work", True),
        ("caf\u00e9", "CAFE\u0301 lent", True),
        ("stra\u00dfe", "STRASSE", True),
        ("\u00c4rger", "\u00e4rger", True),
        (r"\S+ger", "\u00c4RGER", True),
        (r"(?P<Who>agent|staff)", "The Agent", True),
        ("\u0111\u1ee3i", "Ch\u1edd \u0110\u1ee3i l\u00e2u", True),
        ("\u8d26\u5355", "\u6211\u7684\u8d26\u5355\u9519\u4e86", True),  # Chinese puts no spaces between words
        ("\u8d26\u5355", "APP\u8d26\u5355", True),
        ("app", "\u6211\u7684APP\u8d26\u5355", True),
        ("app", "\u6211\u7684APPS", False),
        (r"a\.b", "a.b", True),
    ],
)
def test_themes_match_whole_words_in_any_case_and_script(pattern, text, is_found):
    """Whatever way a word is written, and never a part of another word."""
    assert themes(pd.Series([text]), {"theme": [pattern]})["theme"].tolist() == [is_found]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["bill", "Bills", "billing", "wait", "x", "\u00e9", "-", "."]), max_size=8))
def test_theme_of_a_plain_word_is_found_exactly_where_the_word_stands(words):
    """As splitting at spaces finds it."""
    found = themes(pd.Series([" ".join(words)]), {"billing": ["bill", "bills"], "waiting": ["wait"]}).iloc[0]
    assert found["billing"] == bool({"bill", "Bills"} & set(words))
    assert found["waiting"] == ("wait" in words)


def test_themes_keep_index_order_and_missing_comments():
    """One row per comment whatever it holds, one column per theme in the order of the dictionary."""
    texts = pd.Series(["wait", None, "bill wait", np.nan, ""], index=[5, 4, 3, 2, 1], dtype=object)
    found = themes(texts, {"waiting": ["wait"], "billing": ["bill"]})
    assert found.index.equals(texts.index)
    assert list(found.columns) == ["waiting", "billing"]
    assert set(found.dtypes) == {np.dtype(bool)}
    assert found.to_numpy().tolist() == [[True, False], [False, False], [True, True], [False, False], [False, False]]
    assert themes(texts.iloc[:0], {"waiting": ["wait"]}).shape == (0, 1)
    assert themes(texts, {}).shape == (5, 0)


def test_wrong_dictionaries_are_refused_with_all_problems():
    """A theme that finds nothing, everything, or is a slip of the pen."""
    wrong = {"a": "bill", "b": [], "c": ["fine", "(bill"], "d": ["x*"], "e": ["bill)|(x"]}
    with pytest.raises(DefinitionError) as raised:
        themes(pd.Series(["bill"]), wrong)
    for found in (
        "theme `a` has no list",
        "theme `b` has no list",
        "pattern 2 of theme `c` is no regular",
        "pattern 1 of theme `d` matches a blank",
        "pattern 1 of theme `e` is no regular",
    ):
        assert found in raised.value.found


@pytest.fixture(scope="module")
def comments() -> pd.Series:
    """Comments on three topics, 30, 25 and 20 of them."""
    texts = [text for text, times in zip(TOPICS.values(), (30, 25, 20), strict=True) for _ in range(times)]
    return pd.Series(texts).sample(frac=1, random_state=1)


def test_found_themes_are_those_that_are_there(comments):
    """Three topics, three themes, with their counts and words."""
    found = found_themes(comments, 3, seed=1)
    assert found["theme"].tolist() == [1, 2, 3]
    assert found["n"].tolist() == [30, 25, 20]
    assert found["share"].tolist() == pytest.approx([0.4, 1 / 3, 20 / 75])
    assert ["refunded" in found["words"][0], "technician" in found["words"][1], "crashes" in found["words"][2]] == [
        True,
        True,
        True,
    ]


def test_found_themes_do_not_depend_on_the_order_of_comments(comments):
    """The same comments and seed give the same themes."""
    pd.testing.assert_frame_equal(found_themes(comments, 3, seed=1), found_themes(comments.sort_values(), 3, seed=1))


def test_found_themes_never_print_rare_words(comments):
    """A name that few comments hold may point to a person."""
    named = pd.concat([comments, pd.Series(["the bill of Ermintrude was wrong"] * 9)], ignore_index=True)
    assert "ermintrude" not in " ".join(found_themes(named, 5)["words"])


def test_found_themes_of_too_little_are_none(comments):
    """Few comments, blank ones, and fewer words than themes."""
    for texts in (comments.iloc[:0], comments.iloc[:15], pd.Series([None, " "] * 30), pd.Series(["the"] * 50)):
        found = found_themes(texts, 3)
        assert found.empty
        assert list(found.columns) == ["theme", "words", "n", "share"]
    assert 0 < len(found_themes(comments, 500)) <= 75
    with pytest.raises(UsageError, match="0 themes"):
        found_themes(comments, 0)


@pytest.fixture
def spoken() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of 400 comments by 400 people, with themes: a painful one, a loved one, a small and a tiny one."""
    random = np.random.default_rng(8)
    flags = random.random((400, 2)) < [0.25, 0.4]
    score = np.clip(np.round(8 + flags @ [-3.0, 1.0] + 1.5 * random.normal(size=400)), 0, 10)
    found = pd.DataFrame(flags, columns=["waiting", "staff"]).assign(
        parking=np.arange(400) < 12, lift=np.arange(400) < 9
    )
    return pd.DataFrame({"score": score, "who": np.arange(400)}), found


def test_impact_is_the_total_less_what_it_would_be_without_the_difference(spoken):
    """For each kind: share times difference, which is the total less the value of the others."""
    frame, found = spoken
    totals = {
        "net": 100 * ((frame["score"] > 8).mean() - (frame["score"] < 7).mean()),
        "share": (frame["score"] > 8).mean(),
        "mean": frame["score"].mean(),
    }
    for kind, total in totals.items():
        table = (
            theme_impact(frame, "score", found, **(NET | {"kind": kind})).set_index("theme").loc[["waiting", "staff"]]
        )
        assert (table["difference"] - (table["value_with"] - table["value_without"])).abs().max() < 1e-9
        assert (table["impact"] - table["share"] * table["difference"]).abs().max() < 1e-9
        assert (table["impact"] - (total - table["value_without"])).abs().max() < 1e-9
        assert (table["impact_ci_low"] < table["impact"]).all()
        assert (table["impact"] < table["impact_ci_high"]).all()
        assert table["share"].tolist() == pytest.approx(found[["waiting", "staff"]].mean().tolist())


def test_differences_equal_independent_calculations(spoken):
    """Welch by scipy, Newcombe by statsmodels, nets by the adjusted counts."""
    frame, found = spoken
    has = found["waiting"].to_numpy()
    inside, outside = frame["score"][has], frame["score"][~has]
    row = {
        kind: theme_impact(frame, "score", found, **(NET | {"kind": kind})).set_index("theme").loc["waiting"]
        for kind in ("mean", "share", "net")
    }
    ends = ["difference_ci_low", "difference_ci_high"]
    welch = stats.ttest_ind(inside, outside, equal_var=False)
    assert row["mean"][ends].tolist() == pytest.approx(list(welch.confidence_interval(0.95)))
    assert row["mean"]["p_value"] == pytest.approx(welch.pvalue)
    newcombe = confint_proportions_2indep(
        (inside > 8).sum(), len(inside), (outside > 8).sum(), len(outside), method="newcomb"
    )
    assert row["share"][ends].tolist() == pytest.approx(list(newcombe))
    sides = [
        pd.DataFrame({"p_top": [(side > 8).mean()], "p_bottom": [(side < 7).mean()], "base": [float(len(side))]})
        for side in (inside, outside)
    ]
    change = net_change(*sides, 0.95)
    assert row["net"][[*ends, "p_value"]].tolist() == pytest.approx([part.item() for part in change])


def test_small_themes_are_hidden_or_marked(spoken):
    """Below 10 nothing is shown, below 30 nothing is tested; the rest is one family of tests."""
    frame, found = spoken
    table = theme_impact(frame, "score", found.assign(everyone=True), **NET).set_index("theme")
    assert table["suppressed"].to_dict() == {
        "waiting": "no",
        "staff": "no",
        "parking": "no",
        "lift": "small base",
        "everyone": "small base",
    }
    figures = table.drop(columns=["suppressed", "low_base", "method"])
    assert figures.loc[["lift", "everyone"]].isna().all(axis=None)
    assert table["low_base"].tolist() == [theme == "parking" for theme in table.index]
    assert np.isnan(table.loc["parking", "p_value"])
    assert table.loc["parking", "n"] == 12
    assert table.loc["parking", "impact_ci_low"] < table.loc["parking", "impact_ci_high"]
    tested = table["p_value"].dropna()
    assert table.loc[tested.index, "q_value"].tolist() == pytest.approx(stats.false_discovery_control(tested))
    assert set(table["note"].dropna()) == {"association, not cause"}


def test_impacts_are_ordered_from_the_most_harmful_up(spoken):
    """Hidden themes last, whatever the order of themes and rows."""
    frame, found = spoken
    table = theme_impact(frame, "score", found, **NET)
    assert table["theme"].iloc[0] == "waiting"
    assert table["impact"].dropna().is_monotonic_increasing
    assert table["theme"].iloc[-1] == "lift"
    turned = theme_impact(frame[::-1], "score", found[found.columns[::-1]][::-1], **NET)
    pd.testing.assert_frame_equal(table, turned)


def test_rows_without_a_score_are_no_base(spoken):
    """They count on neither side and not in the share."""
    frame, found = spoken
    gaps = frame["score"].where(frame.index % 2 == 0)
    kept = frame.index % 2 == 0
    one = theme_impact(frame.assign(score=gaps.astype("Float64")), "score", found[["waiting"]], **NET)
    pd.testing.assert_frame_equal(one, theme_impact(frame[kept], "score", found.loc[kept, ["waiting"]], **NET))


def test_repeated_comments_of_a_person_add_no_precision(spoken):
    """Copies leave the interval of the mean where it was, and make bases of people."""
    frame, found = spoken
    copies, copied_themes = (pd.concat([part] * 3, ignore_index=True) for part in (frame, found))
    once = theme_impact(frame, "score", found, kind="mean").set_index("theme")
    thrice = theme_impact(copies, "score", copied_themes, kind="mean", cluster="who").set_index("theme")
    for name in ("difference", "difference_ci_low", "difference_ci_high", "p_value", "impact"):
        assert thrice.loc["waiting", name] == pytest.approx(once.loc["waiting", name])
    assert thrice.loc["lift", "suppressed"] == "small base"
    assert thrice.loc["parking", "low_base"]
    assert thrice.loc["waiting", "n"] == 3 * once.loc["waiting", "n"]
    assert thrice["method"].iloc[0] == "Welch on the effective base"
    for kind in ("net", "share"):
        few = theme_impact(frame, "score", found, **(NET | {"kind": kind})).set_index("theme")
        many = theme_impact(copies, "score", copied_themes, cluster="who", **(NET | {"kind": kind})).set_index("theme")
        for name in ("difference_ci_low", "difference_ci_high", "impact_ci_low", "impact_ci_high"):
            assert many.loc["waiting", name] == pytest.approx(few.loc["waiting", name], rel=0.02)


def test_equal_scores_have_no_false_interval():
    """A mean without spread has no interval; classes that are empty have one of the adjusted counts."""
    frame = pd.DataFrame({"score": [2.0] * 40 + [10.0] * 40, "who": np.arange(80) // 2})
    found = pd.DataFrame({"waiting": [True] * 40 + [False] * 40})
    mean = theme_impact(frame, "score", found, kind="mean").iloc[0]
    assert mean["difference"] == -8
    assert mean[["difference_ci_low", "p_value", "q_value", "impact_ci_low"]].isna().all()
    assert "no interval" in mean["note"]
    for cluster in (None, "who"):
        net = theme_impact(frame, "score", found, cluster=cluster, **NET).iloc[0]
        assert net["difference"] == -200
        assert net["difference_ci_low"] < -195
        assert -200 < net["difference_ci_high"] < -140


def test_nothing_to_compare_gives_rows_without_figures(spoken):
    """No rows, no scores, no themes."""
    frame, found = spoken
    for rows, flags in (
        (frame.iloc[:0], found.iloc[:0]),
        (frame.assign(score=np.nan), found),
        (frame.assign(score=None), found),
    ):
        table = theme_impact(rows, "score", flags, **NET)
        assert table["theme"].tolist() == ["lift", "parking", "staff", "waiting"]
        assert table["impact"].isna().all()
        assert set(table["suppressed"]) == {"small base"}
    assert theme_impact(frame, "score", found[[]], **NET).empty


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"score": "scor"}, "did you mean `score`"),
        ({"cluster": "whom"}, "no column `whom`"),
        ({"score": "text"}, "`text` holds no numbers"),
        ({"kind": "nett"}, "did you mean `net`"),
        ({"top": []}, "no scores in a class"),
        ({"bottom": []}, "no scores in a class"),
        ({"bottom": [9]}, "one score in both"),
        ({"confidence": 1.0}, "confidence 1"),
    ],
)
def test_impacts_that_make_no_sense_are_refused(spoken, options, found):
    """Wrong columns, kinds and classes are named."""
    frame, flags = spoken
    with pytest.raises(UsageError, match=found):
        theme_impact(frame.assign(text="a"), **({"score": "score", "themes": flags} | NET | options))


def test_themes_of_other_rows_are_refused(spoken):
    """Rows are matched by their index, never by chance."""
    frame, found = spoken
    with pytest.raises(UsageError, match="index of their own"):
        theme_impact(frame, "score", found[::-1], **NET)
    with pytest.raises(UsageError, match="not boolean"):
        theme_impact(frame, "score", found.astype(int), **NET)
    with pytest.raises(UsageError, match="not boolean"):
        theme_impact(frame, "score", found.astype("boolean").where(found), **NET)


def _coverage(runs: int, kind: str, *, has_people: bool) -> tuple[float, float]:
    """How often the intervals of difference and impact hold the truth, on 300 comments of 120 or 300 people."""
    hits = []
    for seed in range(runs):
        random = np.random.default_rng(seed)
        if has_people:  # moods and habits of people, but no difference
            who = random.integers(0, 120, 300)
            has = random.random(300) < 1 / (1 + np.exp(2 - random.normal(size=120)[who]))
            score = np.clip(np.round(7 + 2 * (random.normal(size=120)[who] + random.normal(size=300))), 0, 10)
            difference = 0.0
        else:
            who, has = np.arange(300), random.random(300) < 0.15
            score = np.where(random.random(300) < np.where(has, 0.3, 0.6), 10, random.choice([3, 7], 300))
            difference = {"net": -45.0, "share": -0.3, "mean": -1.5}[kind]
        frame, found = pd.DataFrame({"score": score, "who": who}), pd.DataFrame({"theme": has})
        row = theme_impact(frame, "score", found, cluster="who" if has_people else None, **(NET | {"kind": kind})).iloc[
            0
        ]
        hits.append(
            (
                row["difference_ci_low"] <= difference <= row["difference_ci_high"],
                row["impact_ci_low"] <= 0.15 * difference <= row["impact_ci_high"],
            )
        )
    return tuple(np.mean(hits, axis=0))


@pytest.mark.parametrize("has_people", [False, True])
def test_intervals_hold_the_truth(has_people):
    """Of 40 intervals of each, at least 34."""
    assert min(_coverage(40, "net", has_people=has_people)) >= 34 / 40


@pytest.mark.soak
@pytest.mark.parametrize("has_people", [False, True])
@pytest.mark.parametrize("kind", ["net", "share", "mean"])
def test_intervals_hold_the_truth_as_often_as_stated(kind, has_people):
    """95 % intervals of difference and impact hold it in 93 to 97 % of samples."""
    assert _coverage(1500, kind, has_people=has_people) == pytest.approx((0.95, 0.95), abs=0.02)


def test_kappa_and_f1_equal_a_hand_calculation():
    """20 of 50 yes by both, 15 no by both: kappa 0.4, as in Cohen's table."""
    predicted = pd.Series([1] * 25 + [0] * 25 + [1, None])
    coded = pd.Series([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15 + [None, 0])
    agreement = kappa_and_f1(predicted, coded)
    assert agreement.n == 50
    assert agreement.kappa == pytest.approx(0.4)
    assert agreement.macro_f1 == pytest.approx((40 / 55 + 30 / 45) / 2)
    assert agreement.ci_low < 0.4 < agreement.ci_high
    # Fleiss, Cohen and Everitt's variance, written out.
    cells, pe, po = np.array([[0.4, 0.1], [0.2, 0.3]]), 0.5, 0.7
    rows, columns = cells.sum(axis=1), cells.sum(axis=0)
    inner = sum(cells[i, i] * (1 - (rows[i] + columns[i]) * (1 - agreement.kappa)) ** 2 for i in range(2))
    outer = sum(cells[i, j] * (columns[i] + rows[j]) ** 2 for i in range(2) for j in range(2) if i != j)
    rest = agreement.kappa - pe * (1 - agreement.kappa)
    variance = (inner + (1 - agreement.kappa) ** 2 * outer - rest**2) / ((1 - pe) ** 2 * 50)
    assert agreement.ci_high - agreement.kappa == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(variance))
    assert po - pe == pytest.approx(agreement.kappa * (1 - pe))


def test_kappa_is_symmetric_and_blind_to_names():
    """Swapping the coders or renaming the classes changes nothing."""
    random = np.random.default_rng(1)
    one = pd.Series(random.integers(-1, 2, 200).astype(float))
    other = one.where(random.random(200) < 0.7, 0.0)
    agreement = kappa_and_f1(one, other)
    assert kappa_and_f1(other, one)[:4] == pytest.approx(agreement[:4])
    words = {-1.0: "poor", 0.0: "so-so", 1.0: "good"}
    assert kappa_and_f1(one.map(words), other.map(words))[:5] == pytest.approx(agreement[:5])


@pytest.mark.parametrize(
    ("predicted", "coded", "kappa", "note"),
    [
        ([], [], np.nan, "no comment has both classes"),
        ([1, None], [None, 0], np.nan, "no comment has both classes"),
        ([1, 1, 1], [1, 1, 1], np.nan, "one class only: agreement beyond chance is not defined"),
        ([1, 0, 1], [1, 0, 1], 1.0, "all agree: no interval"),
        ([1, 1, 1, 1], [1, 0, 1, 0], 0.0, "no spread: no interval"),
    ],
)
def test_agreement_without_spread_has_no_false_interval(predicted, coded, kappa, note):
    """What cannot be computed is missing, with the reason."""
    agreement = kappa_and_f1(pd.Series(predicted, dtype=object), pd.Series(coded, dtype=object))
    assert agreement.kappa == pytest.approx(kappa, nan_ok=True)
    assert np.isnan(agreement.ci_low)
    assert agreement.note == note


def test_agreement_needs_the_same_comments():
    """Classes of different comments are not compared."""
    with pytest.raises(UsageError, match="hand codes on an index"):
        kappa_and_f1(pd.Series([1, 0]), pd.Series([1, 0], index=[1, 2]))
