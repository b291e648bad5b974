"""What comments say: their sentiment, their themes, and how scores with a theme differ from the others.

Themes and scores are set against each other as they stand: association, not cause.
"""

import functools
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from scipy import stats

from cxreport.config import Base
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure.compare import Change, benjamini_hochberg, mean_change, net_change, share_change
from cxreport.measure.disclosure import SHOWN, SMALL
from cxreport.measure.intervals import Array

Kind = Literal["net", "mean", "share"]

# The thresholds of VADER's authors.
POSITIVE, NEGATIVE = 0.05, -0.05
# Scripts that put no spaces between words, so that any place in them may be a word's end.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\uff07": "'"})
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_WORDS_PER_THEME = 8
_ASSOCIATION = "association, not cause"
_BASE = Base()
_TOLERANCE = 1e-9
# Two figures of the same people are never taken as one and the same.
_CLOSEST = 0.99


# --- sentiment -----------------------------------------------------------------------------------


def compound(text: str) -> float:
    """Return VADER's raw compound score of an English text, -1 to 1 (Hutto and Gilbert 2014, ICWSM-14).

    >>> compound("The book was good.")
    0.4404
    """
    return float(_analyzer().polarity_scores(text)["compound"])


def sentiment(texts: pd.Series, *, language: str | pd.Series = "en") -> pd.Series:
    """Return the compound sentiment of comments, -1 to 1, on their index.

    Parameters
    ----------
    texts
        One comment per row.
    language
        Language code of all comments, or of each on the same index, e.g. "en" or "en-GB". VADER reads English only.

    Returns
    -------
    Series
        NaN, never 0, where nothing can be read: other or unknown languages, missing and blank comments, and comments of
        punctuation alone. Nought is what VADER gives an English comment without feeling.

    Raises
    ------
    UsageError
        Where the languages are not on the index of the comments.

    >>> sentiment(pd.Series(["Great service", " ", None, "Super Service"]), language="en").round(2).tolist()
    [0.62, nan, nan, 0.6]
    """
    if isinstance(language, pd.Series):
        _check_index(texts, language, "languages")
        codes = language.to_numpy(dtype=object)
    else:
        codes = np.full(len(texts), language, dtype=object)
    is_english = [isinstance(code, str) and re.split("[-_]", code.strip().lower())[0] == "en" for code in codes]
    is_read = texts.notna().to_numpy() & np.array(is_english, dtype=bool)
    comments = texts[is_read].astype(object)
    scores = {comment: _readable_compound(str(comment)) for comment in comments.unique()}
    read = pd.Series(np.nan, index=texts.index, name="sentiment")
    read[is_read] = comments.map(scores).to_numpy(dtype=float)
    return read


def sentiment_class(scores: pd.Series) -> pd.Series:
    """Return 1 for a compound of .05 or more, -1 for -.05 or less, 0 between, and NaN for NaN.

    >>> sentiment_class(pd.Series([0.05, -0.05, 0.04, None])).tolist()
    [1.0, -1.0, 0.0, nan]
    """
    classes = np.select([scores.isna(), scores >= POSITIVE, scores <= NEGATIVE], [np.nan, 1.0, -1.0], default=0.0)
    return pd.Series(classes, index=scores.index, name="sentiment_class")


def _readable_compound(text: str) -> float:
    score = compound(text)
    return score if score != 0 or re.search(r"\w", text) else np.nan


@functools.cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it opens its lexicon with `codecs.open`
        return SentimentIntensityAnalyzer()


# --- themes --------------------------------------------------------------------------------------


def themes(texts: pd.Series, dictionary: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    r"""Say which themes each comment speaks of, by a dictionary of patterns.

    A pattern is a regular expression that must match whole words: `bills?` finds "my bill!" and not "possibility".
    Case, accents written in two characters, curly apostrophes and runs of spaces make no difference. In scripts
    without spaces, such as Chinese, Japanese or Thai, it may match anywhere.

    Parameters
    ----------
    texts
        One comment per row, in any language; a missing one speaks of nothing.
    dictionary
        Theme to its patterns, any of which is enough.

    Returns
    -------
    DataFrame
        One row per comment, on the index of `texts`; one boolean column per theme, in the dictionary's order. A
        comment may have several themes or none.

    Raises
    ------
    DefinitionError
        For themes without patterns, and for patterns that are no regular expression or match nothing at all.

    >>> comments = pd.Series(["My BILL was wrong", "Impossibility", "Two bills, long wait"])
    >>> themes(comments, {"billing": ["bills?"], "waiting": [r"wait(ing|ed)?"]}).sum().to_dict()
    {'billing': 2, 'waiting': 1}
    """
    compiled = _compile(dictionary)
    folded = [_fold(str(text)).casefold() for text in texts.astype(object).where(texts.notna(), "")]
    found = {
        # Most comments fail the plain pattern, which is ten times as fast.
        name: [any(plain.search(text) and whole.search(text) for plain, whole in patterns) for text in folded]
        for name, patterns in compiled.items()
    }
    return pd.DataFrame(found, index=texts.index, columns=list(compiled), dtype=bool)


def found_themes(texts: pd.Series, n: int, seed: int = 0) -> pd.DataFrame:
    """Suggest themes for a dictionary from English comments: words that occur together, by TF-IDF and NMF.

    Lee and Seung (1999, Nature 401:788-791). A suggestion for an analyst to name, not a measurement.

    Parameters
    ----------
    texts
        One comment per row.
    n
        Number of themes to look for.
    seed
        Of the factorisation; the order of the comments does not matter.

    Returns
    -------
    DataFrame
        One row per theme, the most frequent first: `theme` (number from 1), `words` (up to 8, strongest first), `n`
        (comments of which it is the strongest theme) and `share` of the comments that are not blank. Words in fewer
        than 10 comments are not used, so that none points to a person; fewer themes than asked for, or none, where few
        words are left.

    Raises
    ------
    UsageError
        Where `n` is below 1.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer

    if n < 1:
        raise UsageError(found=f"{n} themes to look for", expected="at least 1", do="pass e.g. 10")
    folded = sorted(_fold(str(text)).casefold() for text in texts.dropna() if str(text).strip())
    vectorizer = TfidfVectorizer(
        min_df=_BASE.suppress,
        max_df=0.5,
        stop_words="english",
        tokenizer=_LETTERS.findall,
        token_pattern=None,
        lowercase=False,
    )
    try:
        weights = vectorizer.fit_transform(folded) if len(folded) >= 2 * _BASE.suppress else None
    except ValueError:  # no word is left
        weights = None
    columns = ["theme", "words", "n", "share"]
    if weights is None:
        return pd.DataFrame(columns=columns)
    # An error of nought may be rounded below it; and the top words settle long before the last digits.
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = NMF(n_components=min(n, *weights.shape), init="nndsvda", random_state=seed, max_iter=500)
        strength = model.fit_transform(weights)
    vocabulary = vectorizer.get_feature_names_out()
    strongest = np.where(strength.max(axis=1) > 0, strength.argmax(axis=1), -1)
    found = [
        {"words": ", ".join(vocabulary[_strongest(loadings)]), "n": int((strongest == number).sum())}
        for number, loadings in enumerate(model.components_)
    ]
    rows = pd.DataFrame(found).query("n > 0").sort_values(["n", "words"], ascending=[False, True], ignore_index=True)
    return rows.assign(theme=rows.index + 1, share=rows["n"] / len(folded))[columns]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without digits and single letters.

    >>> words("My BILL was wrong: 2x!")
    ['my', 'bill', 'was', 'wrong']
    """
    return _LETTERS.findall(_fold(text).casefold())


def _strongest(loadings: Array) -> npt.NDArray[np.intp]:
    """Return the places of the heaviest words; ties in the order of the alphabet."""
    order = np.argsort(-loadings, kind="stable")[:_WORDS_PER_THEME]
    kept: npt.NDArray[np.intp] = order[loadings[order] > 0]
    return kept


def _fold(text: str) -> str:
    """Write the same words in the same characters, apart from case."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_APOSTROPHES).split())


def _compile(dictionary: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[re.Pattern[str], re.Pattern[str]]]]:
    compiled: dict[str, list[tuple[re.Pattern[str], re.Pattern[str]]]] = {theme: [] for theme in dictionary}
    problems = []
    for theme, patterns in dictionary.items():
        if isinstance(patterns, str) or not patterns:
            problems.append(f"theme `{theme}` has no list of patterns")
            continue
        for number, pattern in enumerate(patterns, start=1):
            try:
                compiled[theme].append(_whole_words(pattern))
            except re.error as error:
                problems.append(f"pattern {number} of theme `{theme}` is no regular expression ({error})")
                continue
            if compiled[theme][-1][0].search(""):
                problems.append(f"pattern {number} of theme `{theme}` matches a blank text")
    if problems:
        raise DefinitionError(
            found="; ".join(problems), expected="a list of regular expressions per theme", do="correct the dictionary"
        )
    return compiled


def _whole_words(pattern: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the pattern for case-folded text, as it is and as whole words."""
    # Folding an escape such as `\S`, or the P of a named group, would change its meaning.
    folded = re.sub(r"(\\.|\(\?P)|(.)", lambda part: part[1] or part[2].casefold(), _fold(pattern))
    # A word may not begin or end between two characters of one spaced word.
    spaced, unspaced = rf"[^\W{_UNSPACED}]", f"[{_UNSPACED}]"
    begins, ends = rf"(?:(?<!{spaced})|(?={unspaced}))", rf"(?:(?!{spaced})|(?<={unspaced}))"
    return re.compile(folded), re.compile(f"{begins}(?:{folded}){ends}")


# --- impact of themes ----------------------------------------------------------------------------

_FIGURES = [
    *(
        "n",
        "n_without",
        "share",
        "value_with",
        "value_without",
        "difference",
        "difference_ci_low",
        "difference_ci_high",
    ),
    *("p_value", "q_value", "impact", "impact_ci_low", "impact_ci_high"),
]
_METHODS = {"net": "adjusted Wald", "share": "Newcombe", "mean": "Welch"}


def theme_impact(
    frame: pd.DataFrame,
    score: str,
    themes: pd.DataFrame,
    *,
    kind: Kind,
    top: Sequence[float] = (),
    bottom: Sequence[float] = (),
    confidence: float = 0.95,
    cluster: str | None = None,
) -> pd.DataFrame:
    """Set the score of comments with a theme against that of the others, theme by theme.

    The impact is the theme's share of comments times the difference: the figure of all comments less what it would be
    if those with the theme had scored like the others. Negative impacts pull the figure down. Association, not cause;
    and impacts of themes that occur together overlap, so they do not add up.

    Parameters
    ----------
    frame
        One row per comment; rows without a score (or cluster) are left out.
    score
        Column of scores.
    themes
        What `themes` returned, on the index of `frame`.
    kind, top, bottom
        "net" (share in `top` less share in `bottom`, in points), "share" (in `top`, 0-1) or "mean".
    confidence
        Confidence of the intervals.
    cluster
        Column that names who wrote each comment. Smallest bases then count people, and errors are those of totals by
        person (Taylor linearisation), never smaller than under independence; people with comments on both sides
        correlate the two.

    Returns
    -------
    DataFrame
        One row per theme, in ascending order of impact, hidden themes last: `theme`; `n` and `n_without` comments;
        `share` of comments; `value_with`, `value_without`; `difference` (with less without) with its interval and
        `p_value`, by Welch, Newcombe or adjusted Wald as in `cxreport.measure.compare`; `q_value`
        (Benjamini-Hochberg over the themes tested); `impact` with its interval, which adds the sampling error of the
        share; `suppressed`, `low_base`, `method`, `note`. With fewer than 10 on either side a theme is hidden; with
        fewer than 30 it is marked `low_base` and not tested. Where the scores on one side are all equal, a mean has no
        interval.

    Raises
    ------
    UsageError
        For unknown columns or kinds, missing or overlapping classes, themes that are not boolean or not on the index
        of `frame`, and a `confidence` outside 0 to 1.
    """
    _check_impact(frame, score, themes, kind, top, bottom, confidence, cluster)
    values = np.asarray(frame[score].astype("Float64").to_numpy(dtype=float, na_value=np.nan), dtype=np.float64)
    is_used = ~np.isnan(values) & (frame[cluster].notna().to_numpy() if cluster else True)
    values, flags = _coded(values[is_used], kind, top, bottom), themes.to_numpy(dtype=bool)[is_used]
    people = frame.loc[is_used, cluster].astype(str).to_numpy(dtype=str) if cluster else np.arange(len(values))
    people = np.unique(people, return_inverse=True)[1]
    table = pd.DataFrame(np.nan, index=pd.Index(themes.columns, name="theme"), columns=_FIGURES)
    smallest = pd.Series([min(_count(people[has]), _count(people[~has])) for has in flags.T], table.index, dtype=float)
    is_shown = smallest >= _BASE.suppress
    table = table.assign(
        suppressed=np.where(is_shown, SHOWN, SMALL),
        low_base=is_shown & (smallest < _BASE.warn),
        method=_METHODS[kind] + (" on the effective base" if cluster else ""),
        note=None,
    )
    if is_shown.any():
        shown = _impacts(values, flags[:, is_shown], people, kind, confidence).set_index(table.index[is_shown])
        table.loc[is_shown, shown.columns] = shown
        table["p_value"] = table["p_value"].mask(table["low_base"])
        table["q_value"] = benjamini_hochberg(table["p_value"])
        has_interval = table["impact_ci_low"].notna()
        table["note"] = np.where(has_interval, _ASSOCIATION, "all scores of one side are equal: no interval")
        table["note"] = table["note"].where(is_shown, None)
    ordered = table.sort_index().sort_values("impact", kind="stable")
    return ordered.reset_index()


def _impacts(
    values: Array, flags: npt.NDArray[np.bool_], people: npt.NDArray[np.intp], kind: Kind, confidence: float
) -> pd.DataFrame:
    """Compare both sides of every theme; the columns are part of `_FIGURES`."""
    sides = [pd.DataFrame([_side(values[has], people[has]) for has in each.T]) for each in (flags, ~flags)]
    with_it, without = sides
    compare = {"net": net_change, "share": share_change, "mean": mean_change}[kind]
    covariances = np.array([_covariance(values, has, people) for has in flags.T])
    squares = (with_it["variance"] / with_it["base"] * without["variance"] / without["base"]).to_numpy()
    rho = np.clip(covariances / np.sqrt(np.where(squares > 0, squares, np.inf)), -_CLOSEST, _CLOSEST)
    change: Change = compare(with_it, without, confidence, rho)
    scale = 100 if kind == "net" else 1
    share = pd.DataFrame([_side(has.astype(float), people) for has in flags.T])
    difference = scale * (with_it["value"] - without["value"])
    impact = share["value"] * difference
    # Each limit lies as far away as the errors of difference and share take it together (square and add).
    by_share = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(share["variance"] / share["base"]) * difference
    low = impact - np.hypot(share["value"] * np.maximum(difference - change.low, 0), by_share)
    high = impact + np.hypot(share["value"] * np.maximum(change.high - difference, 0), by_share)
    return pd.DataFrame(
        {
            "n": with_it["n"],
            "n_without": without["n"],
            "share": share["value"],
            "value_with": scale * with_it["value"],
            "value_without": scale * without["value"],
            "difference": difference,
            "difference_ci_low": change.low,
            "difference_ci_high": change.high,
            "p_value": change.p_value,
            "impact": impact,
            "impact_ci_low": low,
            "impact_ci_high": high,
        }
    )


def _coded(values: Array, kind: Kind, top: Sequence[float], bottom: Sequence[float]) -> Array:
    """Return figures whose mean is the share or the net (-1 to 1)."""
    if kind == "mean":
        return values
    return np.isin(values, top).astype(float) - (np.isin(values, bottom) if kind == "net" else 0)


def _side(values: Array, people: npt.NDArray[np.intp]) -> dict[str, float]:
    """Return what the comparisons need of one side: classes, mean, its error, and the effective base."""
    n, n_people, mean = len(values), _count(people), values.mean()
    variance = values.var() if np.ptp(values) > 0 else 0.0
    squared = variance / max(n - 1, 1)
    base = float(n)
    if n_people < n:
        totals = np.bincount(people, weights=values - mean)
        squared = max(squared, n_people / max(n_people - 1, 1) * float(totals @ totals) / n**2)
        # Equal answers of one person may be no more than one answer.
        base = min(base, variance / squared) if variance else float(n_people)
    return {
        "n": float(n),
        "value": float(mean),
        "variance": variance,
        "se": np.sqrt(squared) if variance else np.nan,
        "df": n_people - 1.0,
        "base": base,
        "p_top": float((values > 0).mean()),
        "p_bottom": float((values < 0).mean()),
    }


def _covariance(values: Array, has: npt.NDArray[np.bool_], people: npt.NDArray[np.intp]) -> float:
    """Return the covariance of both sides' means: 0 where nobody has comments on both."""
    one, other = (
        np.bincount(people, np.where(side, values - values[side].mean(), 0)) / side.sum() for side in (has, ~has)
    )
    return float(one @ other)


def _count(people: npt.NDArray[np.intp]) -> int:
    return len(np.unique(people))


def _check_impact(  # noqa: PLR0917 - everything that `theme_impact` was given
    frame: pd.DataFrame,
    score: str,
    themes: pd.DataFrame,
    kind: Kind,
    top: Sequence[float],
    bottom: Sequence[float],
    confidence: float,
    cluster: str | None,
) -> None:
    for name in (score, *([cluster] if cluster else [])):
        if name not in frame.columns:
            raise UsageError(
                found=f"no column `{name}`{nearest(name, map(str, frame.columns))}",
                expected="score and cluster to be columns of the frame",
                do="name columns that exist",
            )
    if not (is_numeric_dtype(frame[score]) or frame[score].isna().all()):
        raise UsageError(found=f"`{score}` holds no numbers", expected="scores", do="convert the column first")
    if kind not in _METHODS:
        raise UsageError(
            found=f"the kind `{kind}`{nearest(kind, _METHODS)}", expected=f"one of {listed(_METHODS)}", do="choose one"
        )
    needs_top, needs_bottom = kind != "mean", kind == "net"
    if (needs_top and not len(top)) or (needs_bottom and not len(bottom)) or set(top) & set(bottom):
        raise UsageError(
            found="no scores in a class, or one score in both",
            expected="`top` for a share, and `top` and `bottom` without overlap for a net",
            do="list the scores of each class",
        )
    if not 0 < confidence < 1:
        raise UsageError(found=f"confidence {confidence:g}", expected="between 0 and 1", do="pass e.g. 0.95")
    _check_index(frame, themes, "themes")
    if not all(is_bool_dtype(dtype) for dtype in themes.dtypes) or themes.isna().any(axis=None):
        raise UsageError(
            found="themes that are missing or not boolean", expected="true or false", do="pass what `themes` returns"
        )


def _check_index(rows: pd.DataFrame | pd.Series, others: pd.DataFrame | pd.Series, what: str) -> None:
    if not rows.index.equals(others.index):
        raise UsageError(
            found=f"{what} on an index of their own",
            expected="the index of the rows that they describe",
            do="take both from the same frame",
        )


# --- validation against hand coding --------------------------------------------------------------


class Agreement(NamedTuple):
    """How well predicted classes agree with those coded by hand: number of pairs, Cohen's kappa, macro-averaged F1."""

    n: int
    kappa: float
    ci_low: float
    ci_high: float
    macro_f1: float
    note: str | None


def kappa_and_f1(predicted: pd.Series, coded: pd.Series, *, confidence: float = 0.95) -> Agreement:
    """Compare predicted classes with a hand-coded sample.

    Cohen's kappa (1960, Educational and Psychological Measurement 20:37-46) with the large-sample interval of Fleiss,
    Cohen and Everitt (1969, Psychological Bulletin 72:323-327), and F1 averaged over the classes that occur in either,
    each counted alike.

    Parameters
    ----------
    predicted, coded
        Classes of the same comments on one index; pairs with a gap on either side are left out.

    Raises
    ------
    UsageError
        Where the two are not on one index.

    >>> agreement = kappa_and_f1(pd.Series([1, 1, -1, -1]), pd.Series([1, 1, -1, 1]))
    >>> agreement.kappa, round(agreement.macro_f1, 3)
    (0.5, 0.733)
    """
    from sklearn.metrics import confusion_matrix, f1_score
    from statsmodels.stats.inter_rater import cohens_kappa

    _check_index(predicted, coded, "hand codes")
    is_pair = (predicted.notna() & coded.notna()).to_numpy()
    n = int(is_pair.sum())
    if n == 0:
        return Agreement(0, np.nan, np.nan, np.nan, np.nan, "no comment has both classes")
    both = pd.concat([predicted[is_pair], coded[is_pair]], ignore_index=True)
    classes = pd.factorize(both)[0]
    first, second = classes[:n], classes[n:]
    macro_f1 = float(f1_score(second, first, average="macro", zero_division=0.0))
    if classes.max() == 0:
        return Agreement(n, np.nan, np.nan, np.nan, macro_f1, "one class only: agreement beyond chance is not defined")
    if (first == second).all():
        return Agreement(n, 1.0, np.nan, np.nan, macro_f1, "all agree: no interval")
    with np.errstate(invalid="ignore"):  # rounding may take a variance of nought below it
        result = cohens_kappa(confusion_matrix(second, first))
    if not result.std_kappa > _TOLERANCE:
        return Agreement(n, float(result.kappa), np.nan, np.nan, macro_f1, "no spread: no interval")
    half = stats.norm.ppf((1 + confidence) / 2) * result.std_kappa
    low, high = max(result.kappa - half, -1.0), min(result.kappa + half, 1.0)
    return Agreement(n, float(result.kappa), float(low), float(high), macro_f1, None)
