"""Protect the tables of the analyses, which are published beside the estimates and of the same answers and customers.

Analyses hide their own small groups. Here goes what only shows when tables are put side by side: the rest that an
analysis of some answers leaves of all of them, the last of several parts of a whole, and what follows from figures
whose ingredients are hidden. Everything is judged by what readers see, never by what they do not.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxreport.config import Base, Kpi, Report, Segment
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, WIDTH, Flags, complement
from cxreport.measure.roi import CLASSES
from cxreport.measure.topics import THEME
from cxreport.periods import Period, last_periods
from cxreport.schema import ANALYSES, TOTAL

# Of figures that belong to no KPI.
_LIMIT = Base().suppress
# What names a row, or says how it was made, and stays when its figures are hidden.
_NAMES = {
    *("kpi", "question", "segment", "period", "driver", "feature", "theme", "stage", "place", "touchpoint", "base"),
    *("cohort", "days", "description", "column", "level", "other_column", "other_level", "persona", "bin", "figure"),
    *("score_class", "other_class", "method", "note", "suppressed", "low_base", "n_unidentified", "n_undated"),
    *("n_left_out", "source", "kind", "topic"),
    *("action", "started_on", "asked", "owner", "cost", "told_on"),
    *("before_first", "before_last", "after_first", "after_last"),
}
_MONTHS_OF_DRIVERS = (0, 3)
_REST_IS_SMALL = "hidden: what is left of all answers is a small group"

Tables = Mapping[str, pd.DataFrame]
Level = tuple[str, Hashable]
Levels = frozenset[Level]


class Published(NamedTuple):
    """What stands beside the tables: the protected estimates, and the definitions that they were made by."""

    estimates: pd.DataFrame
    report: Report
    kpis: Mapping[str, Kpi]
    segments: Mapping[str, Segment]
    period: Period

    def answered(self, kpi_id: str, months: int = 0, question: str = "") -> float:
        """Return a KPI's total base over the periods that hold the last so many months; NaN where one is hidden."""
        rows = self.window(months)
        rows = rows[(rows["kpi"] == kpi_id) & (rows["segment"] == TOTAL) & (rows["question"].fillna("") == question)]
        return float(rows["n"].astype(float).sum(skipna=False)) if len(rows) else np.nan

    def window(self, months: int) -> pd.DataFrame:
        """Return the estimates of the periods that hold the last so many months."""
        wanted = [each.id for each in last_periods(self.period, months)]
        return self.estimates[self.estimates["period"].isin(wanted)]


def protect_tables(tables: Tables, published: Published) -> dict[str, pd.DataFrame]:
    """Hide in the tables of the analyses what they tell together, or beside the estimates, of a small group.

    Parameters
    ----------
    tables
        By name, with the columns of `schema.ANALYSES`; groups that are small themselves are hidden already.
    published
        Estimates as they are published, and the definitions behind them.

    Returns
    -------
    dict of DataFrame
        The same tables. A hidden row keeps its names, its mark and its note. Tables without marks lose the figures of
        rows on fewer answers than may be shown; a return that stands on a hidden difference has no rows.

    Notes
    -----
    What is hidden, beside small bases:

    - drivers: the mean of the complete responses where the estimates would tell that of a few others
    - themes: all of them, where few answers came without a comment
    - quotes: of themes that are hidden
    - topics: themes beside whose scored comments they would tell of a few without a score
    - funnel: stages whose journeys went on to hidden ones, as these hold at least so many
    - switching: journeys of several contacts where few had just one
    - subgroups: levels that the estimates hide in a period searched, and parts that leave few of a whole
    - actions: the same, in the periods before and after
    - personas, tenths of the risk of churn: the next smallest where a single one or a small sum is left
    """
    protected = {name: _without_small_bases(name, table) for name, table in tables.items()}
    ways = {
        "drivers": _drivers,
        "themes": _themes,
        "funnel": _funnel,
        "switching": _switching,
        "subgroups": _subgroups,
        "personas": _personas,
        "actions": _actions,
    }
    for name, way in ways.items():
        if name in protected and len(protected[name]):
            protected[name] = way(protected[name], published)
    if "persona_traits" in protected and "personas" in protected:
        personas, traits = protected["personas"], protected["persona_traits"]
        shown = personas.loc[personas["suppressed"] == SHOWN, "persona"]
        protected["persona_traits"] = traits[traits["persona"].isin(shown)].reset_index(drop=True)
    if "themes" in protected:
        protected |= _beside_themes(protected)
    if "churn_reliability" in protected and "churn_judgement" in protected:
        judged = protected["churn_judgement"]["n"].max()
        protected["churn_reliability"] = _parts_of(protected["churn_reliability"], judged)
    if "roi" in protected and not _shows_ends(protected.get("link", pd.DataFrame())):
        protected["roi"] = protected["roi"].head(0)
    return protected


# --- rows and their figures ----------------------------------------------------------------------


def _hide(table: pd.DataFrame, rows: Flags, mark: str = COMPLEMENTARY) -> pd.DataFrame:
    """Remove the figures of some rows and mark those that were shown."""
    hidden = table.assign(suppressed=table["suppressed"].mask(rows & (table["suppressed"] == SHOWN), mark))
    return _blank(hidden, rows, _figures(table))


def _blank(table: pd.DataFrame, rows: Flags, figures: list[str]) -> pd.DataFrame:
    return (
        table.assign(**{name: table[name].astype(object).mask(rows, None) for name in figures}) if any(rows) else table
    )


def _without_small_bases(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Remove the figures of rows without a mark that stand on fewer answers than may be shown."""
    if "n" not in table or "suppressed" in ANALYSES[name].names:
        return table
    return _blank(table, (_n(table) < _LIMIT).to_numpy(), _figures(table))


def _figures(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if name not in _NAMES]


def _n(table: pd.DataFrame, column: str = "n") -> pd.Series:
    return table[column].astype(float)


def _shown(table: pd.DataFrame) -> pd.Series:
    return table["suppressed"] == SHOWN


def _is_small(rest: float, limit: int = _LIMIT) -> bool:
    return bool(0 < rest < limit)


# --- analysis by analysis ------------------------------------------------------------------------


def _drivers(table: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Hide the mean of complete responses where the mean of all would tell that of a few incomplete ones."""
    limit = published.kpis[table["kpi"].iloc[0]].minimum_base.suppress
    tells = np.array(
        [
            any(_is_small(answered - n, limit) for answered in _answered(published, driver))
            for driver, n in zip(table["driver"], _n(table), strict=True)
        ],
        dtype=bool,
    )
    hidden = _blank(table, tells, ["performance", "quadrant"])
    return hidden.assign(note=hidden["note"].mask(tells, _REST_IS_SMALL))


def _answered(published: Published, driver: str) -> Iterator[float]:
    """Yield how many answers to a driver's question are published, over every time that drivers look back."""
    for kpi_id, kpi in published.kpis.items():
        is_metric = kpi.table == "answers" and kpi.where == {"metric": driver} and not kpi.per_question
        for months in _MONTHS_OF_DRIVERS if is_metric or kpi.per_question else ():
            yield published.answered(kpi_id, months, "" if is_metric else driver)


def _themes(table: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Hide all themes where the score of all answers would tell that of a few without a comment."""
    kpi = published.kpis[table["kpi"].iloc[0]]
    limit = kpi.minimum_base.suppress
    hidden = _blank(table, (_n(table, "n_sentiment") < limit).to_numpy(), ["sentiment", "n_sentiment"])
    comments = (_n(table) + _n(table, "n_without")).max()
    tells = _is_small(published.answered(kpi.id) - comments, limit)
    return _hide(hidden, np.full(len(table), tells))


def _beside_themes(tables: Tables) -> dict[str, pd.DataFrame]:
    """Return the other tables of comments without what the protected themes hide, or would tell beside them."""
    themes = tables["themes"][_shown(tables["themes"])]
    scored = dict(zip(themes["theme"], _n(themes), strict=True))
    found = {}
    if "quotes" in tables:
        quotes = tables["quotes"]
        found["quotes"] = quotes[quotes["theme"].isin(scored)].reset_index(drop=True)
    if "topics" in tables:
        topics = tables["topics"]
        found["topics"] = topics[~_leaves_few(topics["topic"].where(topics["kind"] == THEME), topics, scored)]
    return {name: table.reset_index(drop=True) for name, table in found.items()}


def _leaves_few(names: pd.Series, table: pd.DataFrame, scored: Mapping[str, float]) -> npt.NDArray[np.bool_]:
    """Say which counts of a theme differ from its scored comments by a small group."""
    rest = (_n(table) - names.map(scored).astype(float)).abs()
    return (rest.gt(0) & rest.lt(_LIMIT)).to_numpy(dtype=bool)


def _funnel(table: pd.DataFrame, _: Published) -> pd.DataFrame:
    """Hide stages of which more journeys went on than later stages show: the rest of them is at a hidden one."""
    ordered = table.sort_values("place")
    hides, later, tells = False, 0.0, []
    stages = zip(ordered.index, _n(ordered), _n(ordered, "n_continued"), _shown(ordered), strict=True)
    for row, n, n_continued, is_shown in reversed(list(stages)):
        if is_shown and hides and n_continued > later:
            tells.append(row)
        elif is_shown:
            later += n
        else:
            hides = True
    return _hide(table, table.index.isin(tells))


def _switching(table: pd.DataFrame, _: Published) -> pd.DataFrame:
    """Hide both rows where few journeys had one contact, or those that switched tell how few had several."""
    shown = table[_shown(table)]
    ends = _n(shown)
    left = ends.max() - ends.min()
    told = len(shown) == 1 and _n(shown, "n_switched").iloc[0] > _LIMIT - 1 - WIDTH - 1
    return _hide(table, np.full(len(table), _is_small(left) or (told and len(table) > 1)))


def _personas(table: pd.DataFrame, _: Published) -> pd.DataFrame:
    shown = table[_shown(table)]
    return _parts_of(table, round(float((_n(shown) / _n(shown, "share")).max()))) if len(shown) else table


def _parts_of(table: pd.DataFrame, total: float) -> pd.DataFrame:
    """Hide further parts of a whole, smallest first, until the hidden ones are several and no small group."""
    if _shown(table).all():
        return table
    marks = complement(_n(table), (~_shown(table)).to_numpy(), total, _LIMIT)
    return _hide(table, marks)


def _shows_ends(link: pd.DataFrame) -> bool:
    """Say whether the difference that a return is worked out from is shown."""
    if link.empty:
        return False
    is_it = (
        (link["figure"] == "difference") & (link["score_class"] == CLASSES[0]) & (link["other_class"] == CLASSES[-1])
    )
    return bool((is_it & _shown(link)).any())


# --- subgroups -----------------------------------------------------------------------------------


def _subgroups(table: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Hide what the estimates hide in any period searched, and parts that leave few of a level or of all."""
    asked = published.report.analyses.subgroups
    assert asked is not None
    kpi = published.kpis[table["kpi"].iloc[0]]
    total = float((_n(table) / _n(table, "share")).max())
    told = _told(table, _n(table), total, _searched(published, published.window(asked.months), kpi.id), kpi)
    return _hide(table, told)


def _told(
    table: pd.DataFrame, n: pd.Series, total: float, searched: tuple[dict[Level, float], set[Level]], kpi: Kpi
) -> npt.NDArray[np.bool_]:
    """Say which groups are hidden: by their mark, by a level that is, or as they would tell what is left of a whole."""
    shown, hidden = searched
    groups = [_levels(row) for row in table.to_dict("records")]
    is_hidden = (~_shown(table)).to_numpy() | [any(level in hidden for level in levels) for levels in groups]
    sizes = dict(zip(groups, n, strict=True))
    while True:
        known: dict[Levels, float] = {frozenset(): total} | {frozenset([level]): n for level, n in shown.items()}
        known |= {levels: sizes[levels] for levels, out in zip(groups, is_hidden, strict=True) if not out}
        told = _tells_rest(known, [levels for levels, out in zip(groups, is_hidden, strict=True) if not out], kpi)
        if told is None:
            return is_hidden
        is_hidden |= np.array([levels == told for levels in groups])


def _searched(published: Published, rows: pd.DataFrame, kpi_id: str) -> tuple[dict[Level, float], set[Level]]:
    """Return what the estimates of the periods searched tell of levels: the bases of some, and the hidden ones."""
    rows = rows[(rows["kpi"] == kpi_id) & rows["segment"].isin(list(published.segments))]
    rows = rows.assign(column=rows["segment"].map({name: each.column for name, each in published.segments.items()}))
    is_hidden = rows["suppressed"] != SHOWN
    hidden = set(zip(rows.loc[is_hidden, "column"], rows.loc[is_hidden, "level"], strict=True))
    bases = rows[~is_hidden].groupby(["column", "level"])["n"].sum()
    shown = {(str(column), level): float(n) for (column, level), n in zip(bases.index, bases, strict=True)}
    return {level: n for level, n in shown.items() if level not in hidden}, hidden


def _levels(row: Mapping[Hashable, object]) -> Levels:
    pairs = ((row["column"], row["level"]), (row["other_column"], row["other_level"]))
    return frozenset((str(column), level) for column, level in pairs if isinstance(column, str))


def _tells_rest(known: Mapping[Levels, float], shown: list[Levels], kpi: Kpi) -> Levels | None:
    """Return the smallest shown part of a whole of which all known parts leave fewer answers than may be shown."""
    parts: dict[tuple[Levels, str], list[Levels]] = {}
    for levels in known:
        for level in levels:
            parts.setdefault((levels - {level}, level[0]), []).append(levels)
    for (whole, _), divided in sorted(parts.items(), key=repr):
        left = known.get(whole, np.nan) - sum(known[each] for each in divided)
        out = [each for each in divided if each in shown]
        if out and _is_small(left, kpi.minimum_base.suppress):
            return min(out, key=lambda each: (known[each], sorted(map(repr, each))))
    return None


# --- actions -------------------------------------------------------------------------------------


def _actions(table: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Hide what the estimates hide in any period compared, and groups that leave few of a level or of all."""
    kpi = published.kpis[table["kpi"].iloc[0]]
    tells = np.zeros(len(table), dtype=bool)
    for when in ("before", "after"):
        judged = table[table[f"rest_n_{when}"].notna()]
        for (first, last), rows in judged.groupby([f"{when}_first", f"{when}_last"]):
            estimates = published.estimates[published.estimates["period"].between(str(first), str(last))]
            totals = estimates[(estimates["kpi"] == kpi.id) & (estimates["segment"] == TOTAL)]
            total = float(totals["n"].astype(float).sum(skipna=False))
            told = _told(rows, _n(rows, f"n_{when}"), total, _searched(published, estimates, kpi.id), kpi)
            tells[table.index.get_indexer(rows.index[told])] = True
    hidden = _hide(table, tells)
    return hidden.assign(low_base=hidden["low_base"] & _shown(hidden))
