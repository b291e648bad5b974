"""What comments say: their themes, quotes that stand for them, what is new in them, and where they come from."""

import narwhals as nw
import numpy as np
import pandas as pd

from cxreport.config import Themes
from cxreport.errors import UsageError
from cxreport.measure import voice
from cxreport.measure.analyses.company import (
    DONE,
    LIMIT,
    NOTHING,
    Company,
    Found,
    classes,
    collected,
    hidden_levels,
    without_hidden,
)
from cxreport.measure.disclosure import SHOWN, SMALL
from cxreport.measure.quotes import choose_quotes
from cxreport.measure.rollup import NOT_STATED
from cxreport.measure.topics import emerging_topics
from cxreport.periods import Period, last_periods
from cxreport.schema import ANALYSES, TOTAL

_MONTHS_BEFORE = 6
_COLUMNS = ["response_id", "customer_id", "survey", "language", "comment", "responded_at"]


def make_themes(company: Company, settings: Themes) -> Found:
    kpi = company.kpis[settings.kpi]
    comments = _comments(company, company.period).merge(company.scores(kpi, ["response_id"]), on="response_id")
    comments = comments.sort_values(["response_id", "question"], ignore_index=True)
    if len(comments) < kpi.minimum_base.suppress:
        raise UsageError(
            found=f"fewer than {kpi.minimum_base.suppress} comments with a score of `{kpi.id}`",
            expected=f"at least {kpi.minimum_base.suppress}",
            do="choose a KPI that is asked beside the comment",
        )
    flags = voice.themes(comments["text"], settings.dictionary)
    impact = voice.theme_impact(comments, "score", flags, **classes(kpi), confidence=company.confidence, cluster="who")
    feeling = voice.sentiment(comments["text"], language=comments["language"].fillna(""))
    felt = [feeling[flags[theme]] for theme in impact["theme"]]
    table = impact.assign(
        kpi=kpi.id, sentiment=[each.mean() for each in felt], n_sentiment=[each.count() for each in felt]
    )
    is_small = table[["n", "n_without"]].min(axis=1) < kpi.minimum_base.suppress
    table["suppressed"] = table["suppressed"].mask(is_small, SMALL)
    table["sentiment"] = table["sentiment"].mask(table["n_sentiment"] < kpi.minimum_base.suppress)
    figures = [
        name for name in ANALYSES["themes"].names if name not in {"kpi", "theme", "suppressed", "note", "method"}
    ]
    masked = without_hidden(table, figures)
    comments["is_good"] = comments["score"].isin(kpi.top) if kpi.top else comments["score"] >= comments["score"].mean()
    quotable = _of_shown_groups(company, comments, [company.period])
    shown = masked.loc[masked["suppressed"] == SHOWN, "theme"].tolist()
    quotes = choose_quotes(quotable, flags.loc[quotable.index, shown], settings.quotes)
    some = masked["q_value"].lt(1 - company.confidence).any()
    note = f"{len(comments):,} comments with a score; association, not cause"
    return Found({"themes": masked, "quotes": quotes}, DONE if some else NOTHING, note)


def make_topics(company: Company, settings: Themes) -> Found:
    """Compare what is said now with what was said in the months before, in surveys that ask in both."""
    earlier = last_periods(company.period.previous, _MONTHS_BEFORE)
    texts = _of_shown_groups(company, _comments(company, earlier[-1]), [company.period, *earlier])
    is_now = texts["responded_at"] >= _start(company, company.period)
    # A source that is new, such as a round of interviews, is news by itself.
    surveys = set(texts.loc[is_now, "survey"]) & set(texts.loc[~is_now, "survey"])
    texts = texts[texts["survey"].isin(surveys)]
    now, before = texts[is_now.loc[texts.index]], texts[~is_now.loc[texts.index]]
    if min(now["who"].nunique(), before["who"].nunique()) < LIMIT:
        raise UsageError(
            found=f"fewer than {LIMIT} customers who commented, in the period or in the {_MONTHS_BEFORE} months before",
            expected="comments of both times",
            do="wait for more months",
        )
    found = emerging_topics(now, before, settings.dictionary, company.confidence)
    note = f"{found.attrs['n_tested']:,} themes, words and phrases compared with those from {earlier[-1].id} on"
    return Found({"topics": found}, DONE if len(found) else NOTHING, f"{note}; {len(found)} rose")


def make_texts(company: Company, settings: Themes) -> Found:
    """Count the texts that come without a score, such as interviews and calls, and what they speak of, by source."""
    texts = _comments(company, company.period)
    scored = company.scores(company.kpis[settings.kpi], ["response_id"])["response_id"]
    texts = texts[~texts["survey"].isin(texts.loc[texts["response_id"].isin(scored), "survey"])]
    if texts.empty:
        raise UsageError(
            found="no texts without a score",
            expected="responses of a survey that asks for none, such as interviews, each with a comment and a date",
            do="deliver them as a feed of their own",
        )
    flags = voice.themes(texts["text"], settings.dictionary).assign(**{TOTAL: True})
    counts = flags.groupby(texts["survey"].rename("source")).sum()
    sizes = counts[TOTAL].rename("of")
    table = counts.melt(var_name="theme", value_name="n", ignore_index=False).join(sizes).reset_index()
    rest = table["of"] - table["n"]
    is_small = table["n"].between(1, LIMIT - 1) | rest.between(1, LIMIT - 1)
    table = table.assign(
        theme=table["theme"].where(table["theme"] != TOTAL, None),
        share=table["n"] / table["of"],
        suppressed=np.where(is_small, SMALL, SHOWN),
    )
    return Found({"texts": without_hidden(table, ["n", "share"])}, DONE, f"{len(sizes)} sources of texts")


def _start(company: Company, period: Period) -> pd.Timestamp:
    return pd.Timestamp(period.bounds(company.dataset.time_zone)[0])


def _comments(company: Company, first: Period) -> pd.DataFrame:
    """Return the comments from a period on, with their text and who wrote it: the customer, or else the response."""
    written = company.rows("responses", _COLUMNS, _start(company, first))
    written = written[written["comment"].fillna("").str.strip() != ""]
    who = written["customer_id"].fillna(written["response_id"])
    return written.assign(text=written["comment"], who=who, survey=written["survey"].fillna(NOT_STATED))


def _of_shown_groups(company: Company, comments: pd.DataFrame, periods: list[Period]) -> pd.DataFrame:
    """Leave out comments of levels that the estimates hide of any KPI: their words or language may tell of them."""
    hidden = {
        (column, level)
        for kpi in company.kpis.values()
        if kpi.table == "answers"
        for column, level in hidden_levels(company, kpi)
        if column != TOTAL
    }
    if not hidden:
        return comments
    columns = sorted({column for column, _ in hidden})
    answers = company.facts["answers"].filter(nw.col("period").is_in([period.id for period in periods]))
    groups = collected(answers.select("response_id", *columns).unique()).fillna(NOT_STATED)
    is_hidden = np.any([groups[column] == level for column, level in sorted(hidden)], axis=0)
    of_hidden = comments["response_id"].isin(groups.loc[is_hidden, "response_id"])
    for column, level in hidden:
        # Texts without an answer are of no group, but of a language.
        of_hidden |= comments[column] == level if column in comments else False
    return comments[~of_hidden]
