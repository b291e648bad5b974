"""Analyses beyond the estimates: what moves scores, where journeys hurt, who may leave, and what that is worth.

`analyse` makes those that a report names and writes a table of each. What the data do not allow is said in the table
`analyses` and stops nothing; a definition that names what is not there is an error.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy import stats

from cxreport.config import (
    Analyses,
    Base,
    Churn,
    Dataset,
    Drivers,
    Journey,
    Kpi,
    Link,
    Personas,
    Project,
    Report,
    Segment,
    Subgroups,
    Themes,
    load_dataset,
    load_kpis,
    load_segments,
)
from cxreport.engine import Engine, Frame, collect, load_engine, open_engine, read_table, write_table
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure import churn as leaving
from cxreport.measure import journey, voice
from cxreport.measure.cohorts import cohort_retention
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL, find_margins, suppress
from cxreport.measure.discover import CONFIRMED, find_subgroups, members
from cxreport.measure.drivers import NONE_DETECTABLE, key_drivers
from cxreport.measure.frames import accepted_months, asked_questions, open_facts
from cxreport.measure.kpis import estimate, joined
from cxreport.measure.personas import NO_GROUPS, find_personas
from cxreport.measure.roi import ScoreLink, Uncertain, roi, score_link
from cxreport.measure.rollup import NOT_STATED
from cxreport.measure.trend import describe_series
from cxreport.periods import Period
from cxreport.schema import ANALYSES, LISTS, TABLES, TOTAL, TableName

DONE, NOTHING, IMPOSSIBLE = "done", "nothing found", "not possible"

# What customers can be grouped by: `churn.features` at the end of the period, looking back a year.
CUSTOMER_MEASURES = (
    *("tenure_days", "monthly_value", "orders", "days_since_order", "amount_change", "surveys_answered"),
    *(f"last_{metric}" for metric in leaving.METRICS),
    *("tickets_30_days", "tickets_90_days", "open_tickets", "reopens", "slow_replies"),
)

# Fewer complete responses than these make drivers look back over three months.
_RESPONSES_FOR_DRIVERS = 300
_MONTHS_FOR_DRIVERS = 3
_MONTHS_OF_JOURNEYS = 12
_DAYS_OF_MEASURES = 365
_DAYS_OF_SCORES = 90
_DAYS_IN_MONTH = 365.25 / 12
# Personas of so many customers are as clear as those of all, and are found in seconds.
_GROUPED = 4_000
_LISTS = "lists"
_LIMIT = Base().suppress  # of figures that belong to no KPI


class Found(NamedTuple):
    """What came of an analysis: tables by name, lists of customers by name, and how it ended."""

    tables: dict[str, pd.DataFrame]
    status: str = DONE
    note: str | None = None
    lists: dict[str, pd.DataFrame] = {}  # noqa: RUF012 - never changed


@dataclass(frozen=True)
class Company:
    """What the analyses of a report read: accepted rows up to the end of its period, and what was measured of them."""

    project: Project
    report: Report
    dataset: Dataset
    kpis: dict[str, Kpi]
    segments: dict[str, Segment]
    period: Period
    estimates: pd.DataFrame
    engine: Engine

    @property
    def months(self) -> list[Period]:
        return [month for month in accepted_months(self.project, self.dataset.id) if month.end <= self.period.end]

    @property
    def end(self) -> pd.Timestamp:
        """The first instant after the period."""
        return pd.Timestamp(self.period.bounds(self.dataset.time_zone)[1])

    @property
    def confidence(self) -> float:
        return self.report.confidence

    @cached_property
    def _answers(self) -> Frame | None:
        return open_facts(self.project, self.dataset, self.period, {"answers"}, self.engine).get("answers")

    def answers(self, months: int = 1) -> Frame:
        """Return the wide answers of the last months up to the period's end, at least those of the period."""
        if self._answers is None:
            raise _lacking("answers")
        periods = [each.id for each in _last_periods(self.period, months)]
        return self._answers.filter(nw.col("period").is_in(periods))

    def scores(self, kpi: Kpi, columns: Iterable[str], months: int = 1) -> pd.DataFrame:
        """Return the scored answers of a KPI, with columns beside the score and its scale."""
        wanted = dict.fromkeys([*columns, *kpi.where, *_SCALE, *([kpi.weight] if kpi.weight else [])])
        chosen = _matching(self.answers(months), kpi).filter(~nw.col("score").is_null())
        return _collected(chosen.select(*wanted))

    def rows(self, table: TableName, columns: Sequence[str], since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Return columns of a canonical table, dated from an instant on and before the period's end.

        Raises `UsageError` where nothing of the table was accepted.
        """
        return _collected(self._scan(table, since).select(*columns))

    def rows_if_any(self, table: TableName, columns: Sequence[str], since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Return what `rows` does, or a frame without rows."""
        try:
            return self.rows(table, columns, since)
        except UsageError:
            return pd.DataFrame(columns=list(columns))

    def customers(self, columns: Sequence[str]) -> pd.DataFrame:
        """Return those who had become customers by the period's end, as its last month knows them."""
        found = self.rows("customers", columns)
        return found[found["started_at"] < self.end].reset_index(drop=True)

    def answers_of_customers(self, metrics: Iterable[str], since: pd.Timestamp) -> pd.DataFrame:
        """Return scores with their customer and instant, of known customers."""
        answers = self._scan("answers", since).filter(nw.col("metric").is_in(list(metrics)))
        asked = self._scan("responses", since).select("response_id", "period", "customer_id")
        scored = answers.select("response_id", "period", "metric", "score", "responded_at").join(
            asked, on=["response_id", "period"]
        )
        return _collected(scored.filter(~nw.col("score").is_null(), ~nw.col("customer_id").is_null()).drop("period"))

    def _scan(self, table: TableName, since: pd.Timestamp | None = None) -> Frame:
        dated_by = TABLES[table].dated_by
        months = self.months if dated_by else self.months[-1:]
        first = since.tz_convert(self.dataset.time_zone).date() if since is not None else date.min
        paths = [
            path
            for month in months
            if month.end > first
            and (path := self.project.accepted(self.dataset.id, month) / f"{table}.parquet").is_file()
        ]
        if not paths:
            raise _lacking(table)
        frame = self.engine.scan(paths)
        if dated_by and since is not None:
            return frame.filter(nw.col(dated_by) >= nw.lit(since.to_pydatetime()))
        return frame


_SCALE = ("question", "metric", "score", "scale_low", "scale_high", "scale_good")


def analyse(project: Project, report: Report, period: Period, estimates: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the analyses that a report names; write a table of each into the folder of the estimates.

    Returns the tables by name, with the columns of `schema.ANALYSES`. The table `analyses` says of each analysis what
    came of it. Lists of customers (`schema.LISTS`) are written to the folder `lists` and are not returned.

    Parameters
    ----------
    estimates
        What `measure` returned. Levels that are hidden there are hidden here, too.

    Raises
    ------
    DefinitionError
        As `check_analyses`.
    """
    check_analyses(project, report)
    kpis, dataset = load_kpis(project, report.kpis), load_dataset(project, report.dataset)
    segments = load_segments(project, report.segments)
    with open_engine(load_engine(project)) as engine:
        company = Company(project, report, dataset, kpis, segments, period, estimates, engine)
        found = {name: _made(make, company) for name, make in _named(report.analyses).items()}
    said = pd.DataFrame(
        [(name, each.status, each.note) for name, each in found.items()], columns=["analysis", "status", "note"]
    )
    tables = {"analyses": said} | {name: table for each in found.values() for name, table in each.tables.items()}
    lists = {name: table for each in found.values() for name, table in each.lists.items()}
    _write(tables, lists, project, report, period)
    return read_analyses(project, report.id, period)


def read_analyses(project: Project, report: str, period: Period) -> dict[str, pd.DataFrame]:
    """Read the tables of the analyses of a measured period; those that were not made are not there."""
    folder = project.measured(report, period)
    return {name: read_table(path) for name in ANALYSES if (path := folder / f"{name}.parquet").is_file()}


def _made(make: Callable[[Company], Found], company: Company) -> Found:
    try:
        return make(company)
    except UsageError as error:
        return Found({}, IMPOSSIBLE, f"{error.found}; needed: {error.expected}")


def _write(
    tables: dict[str, pd.DataFrame], lists: dict[str, pd.DataFrame], project: Project, report: Report, period: Period
) -> None:
    """Write tables and lists, and remove those of an earlier run."""
    folder = project.measured(report.id, period)
    for place, schemas, frames in ((folder, ANALYSES, tables), (folder / _LISTS, LISTS, lists)):
        for name, schema in schemas.items():
            path = place / f"{name}.parquet"
            path.unlink(missing_ok=True)
            if name in frames:
                write_table(frames[name].reindex(columns=schema.names), path, schema, [])


# --- definitions ---------------------------------------------------------------------------------


def check_analyses(project: Project, report: Report) -> None:
    """Check the analyses that a report names against the definitions and the accepted columns.

    Raises `DefinitionError` with everything that is not there or does not fit.
    """
    analyses, dataset = report.analyses, load_dataset(project, report.dataset)
    kpis = load_kpis(project, report.kpis)
    problems = [
        f"`analyses` names the KPI `{kpi}`, not listed under `kpis`{nearest(kpi, kpis)}"
        for kpi in _kpis_of(analyses)
        if kpi not in kpis
    ]
    problems += _unscored(analyses, kpis)
    if analyses.drivers:
        asked = asked_questions(project, dataset)
        problems += [
            f"`drivers` names `{name}`, which is never asked{nearest(name, asked)}"
            for name in analyses.drivers.metrics
            if name not in asked
        ]
    if analyses.subgroups and (columns := _accepted_columns(project, dataset)):
        problems += [
            f"`subgroups` names `{name}`, no column of answers{nearest(name, columns)}"
            for name in analyses.subgroups.attributes
            if name not in columns
        ]
    if analyses.personas:
        problems += [
            f"`personas` names `{name}`, no measure of customers{nearest(name, CUSTOMER_MEASURES)}"
            for name in analyses.personas.columns
            if name not in CUSTOMER_MEASURES
        ]
    problems += _inconsistent(project, report, kpis)
    problems += _unlinked(analyses.link, kpis) if analyses.link else []
    problems += _unmatched(analyses.themes) if analyses.themes else []
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected="analyses of KPIs, questions, columns and segments that are there",
            do=f"correct `analyses` in reports/definitions/{report.id}.yml",
        )


def _kpis_of(analyses: Analyses) -> list[str]:
    settings = (analyses.drivers, analyses.journey, analyses.subgroups, analyses.link, analyses.themes)
    return list(dict.fromkeys([*(each.kpi for each in settings if each), *analyses.consistency]))


def _unscored(analyses: Analyses, kpis: dict[str, Kpi]) -> list[str]:
    """Say which analyses name a KPI that is no net, share or mean of one score per answer."""
    asked = {
        name: settings.kpi
        for name in ("drivers", "journey", "subgroups", "link", "themes")
        if (settings := getattr(analyses, name))
    }
    return [
        f"`{name}` needs a net, share or mean of the scores of answers, not `{kpi_id}`"
        for name, kpi_id in asked.items()
        if (kpi := kpis.get(kpi_id))
        and (kpi.table != "answers" or not kpi.is_per_answer or kpi.scale is None or kpi.per_question)
    ]


def _inconsistent(project: Project, report: Report, kpis: dict[str, Kpi]) -> list[str]:
    segments = load_segments(project, report.segments)
    problems = []
    for kpi, segment in report.analyses.consistency.items():
        if segment not in segments:
            problems.append(f"`consistency` names `{segment}`, not listed under `segments`{nearest(segment, segments)}")
        elif kpi in kpis and kpis[kpi].table not in segments[segment].tables:
            problems.append(f"`consistency` names `{segment}`, no segment of `{kpis[kpi].table}`")
    return problems


def _unlinked(link: Link, kpis: dict[str, Kpi]) -> list[str]:
    problems = []
    kpi = kpis.get(link.kpi)
    if kpi and (kpi.type != "net" or kpi.scale is None or (kpi.scale.low, kpi.scale.high) != (0, 10)):
        problems.append(f"`link` needs a net of scores from 0 to 10, not `{link.kpi}`")
    if (link.customers_moved is None) != (link.cost is None):
        problems.append("`link` needs both `customers_moved` and `cost`, or neither")
    return problems


def _unmatched(themes: Themes) -> list[str]:
    try:
        voice.themes(pd.Series([], dtype=object), themes.dictionary)
    except DefinitionError as error:
        return [f"`themes`: {error.found}"]
    return []


def _collected(frame: Frame) -> pd.DataFrame:
    """Fetch rows in an order of their own: engines with several threads deliver them in any."""
    rows = collect(frame)
    return rows.sort_values(list(rows.columns), ignore_index=True)


def _accepted_columns(project: Project, dataset: Dataset) -> set[str]:
    """Return the columns of wide answers, over all accepted months; none where nothing was accepted."""
    files = [
        path
        for month in accepted_months(project, dataset.id)
        for table in ("answers", "responses")
        if (path := project.accepted(dataset.id, month) / f"{table}.parquet").is_file()
    ]
    found = {name for path in files for name in pq.read_schema(path).names}
    return found | set(dataset.segments_from_customers) if found else found


def _named(analyses: Analyses) -> dict[str, Callable[[Company], Found]]:
    """Return the analyses that are asked for, by the name under which their outcome is told."""
    made: dict[str, tuple[Callable[..., Found], object]] = {
        "series": (_series, analyses.trend or None),
        "drivers": (_drivers, analyses.drivers),
        "journey": (_journey, analyses.journey),
        "funnel": (_funnel, analyses.journey),
        "switching": (_switching, analyses.journey),
        "consistency": (_consistency, analyses.consistency or None),
        "cohorts": (_cohorts, analyses.cohorts),
        "subgroups": (_subgroups, analyses.subgroups),
        "personas": (_personas, analyses.personas),
        "churn": (_churn, analyses.churn),
        "link": (_link, analyses.link),
        "themes": (_themes, analyses.themes),
    }
    return {name: partial(make, settings=asked) for name, (make, asked) in made.items() if asked is not None}


# --- over time -----------------------------------------------------------------------------------


def _series(company: Company, settings: bool) -> Found:  # noqa: ARG001 - switched on
    table = describe_series(company.estimates, company.kpis, company.period, company.confidence)
    changes, trends = table["change_period"].notna().sum(), table["trend"].isin(["rising", "falling"]).sum()
    if not table["change_p_value"].notna().any():
        return Found({"series": table}, IMPOSSIBLE, "no series is long enough to read anything from it")
    note = f"{len(table)} series: {changes} with a new level, {trends} with a trend"
    return Found({"series": table}, DONE if changes or trends else NOTHING, note)


def _cohorts(company: Company, settings: Literal["month", "quarter", "year"]) -> Found:
    zone = company.dataset.time_zone
    people = company.customers(["customer_id", "started_at", "ended_at"])
    for name in ("started_at", "ended_at"):
        people[name] = people[name].dt.tz_convert(zone).dt.tz_localize(None)
    # Lists of customers often lack those who left long ago: only cohorts that were seen from the start.
    first = company.months[0].start
    seen = people[people["started_at"] >= pd.Timestamp(first)]
    table = cohort_retention(
        seen,
        company.period.end - timedelta(days=1),
        cohort=settings,
        confidence=company.confidence,
        minimum_base=_LIMIT,
    )
    note = f"customers who started from {first:%Y-%m} on"
    return Found({"cohorts": table}, DONE if len(table) else NOTHING, note)


# --- what moves a score --------------------------------------------------------------------------


def _drivers(company: Company, settings: Drivers) -> Found:
    """Put the drivers' scores of a response beside the KPI's; one month, or three where it has few responses."""
    kpi = company.kpis[settings.kpi]
    for months in (1, _MONTHS_FOR_DRIVERS):
        responses = _side_by_side(company, kpi, settings.metrics, months)
        if len(responses.dropna(subset=["outcome", *settings.metrics])) >= _RESPONSES_FOR_DRIVERS:
            break
    is_known = responses["customer_id"].notna().any()
    table = key_drivers(
        responses,
        "outcome",
        settings.metrics,
        confidence=company.confidence,
        cluster="customer_id" if is_known else None,
        weight=kpi.weight,
    ).assign(kpi=kpi.id)
    window = _window(company, months)
    if table["share"].notna().any():
        return Found({"drivers": table}, DONE, joined(window, "association, not cause"))
    reason = table["note"].iloc[0]
    status = NOTHING if reason == NONE_DETECTABLE else IMPOSSIBLE
    return Found({"drivers": table}, status, joined(reason, window))


def _side_by_side(company: Company, kpi: Kpi, metrics: Sequence[str], months: int) -> pd.DataFrame:
    """Return one row per response: the KPI's score, and each driver from 0 (worst) to 1; without the unanswered."""
    about = ["response_id", "customer_id", *([kpi.weight] if kpi.weight else [])]
    outcome = company.scores(kpi, about, months)
    is_driver = nw.col("metric").is_in(list(metrics)) | nw.col("question").is_in(list(metrics))
    asked = company.answers(months).filter(is_driver, ~nw.col("score").is_null())
    answers = _collected(asked.select("response_id", *_SCALE))
    answers["driver"] = answers["question"].where(answers["question"].isin(metrics), answers["metric"])
    drivers = answers.assign(good=_goodness(answers)).pivot_table(index="response_id", columns="driver", values="good")
    scores = (
        outcome.assign(outcome=_upward(outcome))
        .groupby("response_id")
        .agg({"outcome": "mean", **dict.fromkeys(about[1:], "first")})
    )
    together = scores.join(drivers.reindex(columns=list(metrics)), how="left")
    together["customer_id"] = together["customer_id"].fillna(pd.Series(together.index, together.index))
    return together.reset_index()


def _upward(answers: pd.DataFrame) -> pd.Series:
    """Return scores of which the higher one is the better."""
    turned = answers["scale_low"] + answers["scale_high"] - answers["score"]
    return answers["score"].where(answers["scale_good"] != "low", turned)


def _goodness(answers: pd.DataFrame) -> pd.Series:
    """Return scores from 0 at the poor end of their scale to 1 at the good one."""
    return (_upward(answers) - answers["scale_low"]) / (answers["scale_high"] - answers["scale_low"])


def _subgroups(company: Company, settings: Subgroups) -> Found:
    kpi = company.kpis[settings.kpi]
    columns = ["response_id", "customer_id", *settings.attributes]
    answers = company.scores(kpi, columns, settings.months)
    answers["who"] = answers["customer_id"].fillna(answers["response_id"])
    found = find_subgroups(
        answers,
        "score",
        settings.attributes,
        **_classes(kpi),
        customer="who",
        confidence=company.confidence,
        depth=settings.depth,
        minimum=max(settings.minimum, kpi.minimum_base.suppress),
    )
    named = [dict(zip(_LEVELS, [*sum(levels, ()), None, None], strict=False)) for levels in found["levels"]]
    table = (
        found.drop(columns="levels").join(pd.DataFrame(named, columns=_LEVELS, index=found.index)).assign(kpi=kpi.id)
    )
    hidden = _hidden_levels(company, kpi)
    crosses = [any(pair in hidden for pair in levels) for levels in found["levels"]]
    table["suppressed"] = np.where(crosses, COMPLEMENTARY, SHOWN)
    is_confirmed = (found["status"] == CONFIRMED).to_numpy(dtype=bool) & ~np.array(crosses, dtype=bool)
    customers = [
        pd.DataFrame({"description": row["description"], "customer_id": members(answers, row)})
        for _, row in found[is_confirmed].iterrows()
    ]
    tested = f"{found.attrs['n_tested']} groups tested, {is_confirmed.sum()} confirmed on customers held back"
    return Found(
        {"subgroups": _masked(table, _SUBGROUP_FIGURES)},
        DONE if is_confirmed.any() else NOTHING,
        joined(tested, _window(company, settings.months)),
        {"subgroups": pd.concat(customers)} if customers else {},
    )


_LEVELS = ["column", "level", "other_column", "other_level"]
_SUBGROUP_FIGURES = [
    *("n", "share", "n_held_back", "value", "rest_value", "difference", "ci_low", "ci_high", "p_value", "q_value"),
    *("discovery_p_value", "discovery_q_value", "direction", "status"),
]


def _classes(kpi: Kpi) -> dict[str, Any]:
    return {"kind": kpi.type, "top": kpi.top, "bottom": kpi.bottom}


def _themes(company: Company, settings: Themes) -> Found:
    kpi = company.kpis[settings.kpi]
    since = pd.Timestamp(company.period.bounds(company.dataset.time_zone)[0])
    written = company.rows("responses", ["response_id", "customer_id", "language", "comment"], since)
    scores = company.scores(kpi, ["response_id"])
    comments = written[written["comment"].fillna("").str.strip() != ""].merge(scores, on="response_id")
    comments = comments.sort_values(["response_id", "question"], ignore_index=True)
    comments["who"] = comments["customer_id"].fillna(comments["response_id"])
    if len(comments) < kpi.minimum_base.suppress:
        raise UsageError(
            found=f"{len(comments)} comments with a score of `{kpi.id}`",
            expected=f"at least {kpi.minimum_base.suppress}",
            do="choose a KPI that is asked beside the comment",
        )
    flags = voice.themes(comments["comment"], settings.dictionary)
    impact = voice.theme_impact(comments, "score", flags, **_classes(kpi), confidence=company.confidence, cluster="who")
    feeling = voice.sentiment(comments["comment"], language=comments["language"].fillna(""))
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
    masked = _masked(table, figures)
    some = masked["q_value"].lt(1 - company.confidence).any()
    note = f"{len(comments):,} comments with a score; association, not cause"
    return Found({"themes": masked}, DONE if some else NOTHING, note)


# --- the journey ---------------------------------------------------------------------------------


def _journey(company: Company, settings: Journey) -> Found:
    """Score stages and touchpoints; what the estimates hide, or what would give it away, is hidden."""
    kpi = company.kpis[settings.kpi]
    columns = ["response_id", "stage", "touchpoint", *([kpi.cluster] if kpi.cluster else [])]
    answers = company.scores(kpi, columns)
    staged = answers[answers["stage"].notna()].fillna({"touchpoint": NOT_STATED})
    marks = _marks(company, kpi, answers)
    whole = (_STAGED, _WITH) if len(staged) < len(answers) else (TOTAL, TOTAL)
    if marks.get(whole, SMALL) != SHOWN:
        raise UsageError(
            found=f"{len(staged)} of {len(answers)} answers with a stage: too few, or too few others to hide among",
            expected=f"at least {kpi.minimum_base.suppress} of either",
            do="deliver the stage of all answers, or choose another KPI",
        )
    scores = journey.touchpoint_scores(staged, kpi, settings.stages, confidence=company.confidence)
    target = company.report.targets.get(kpi.id)
    pains = journey.pain_points(scores, kpi, target=target, confidence=company.confidence)
    curve = journey.emotional_curve(staged, kpi, settings.stages, confidence=company.confidence)
    curve = curve.assign(place=curve["stage"].map({stage: i for i, stage in enumerate(settings.stages, start=1)}))
    tables = {
        "journey": scores.assign(suppressed=_of_cells(marks, scores)),
        "pain_points": pains.assign(
            suppressed=pains["suppressed"].where(pains["suppressed"] != SHOWN, _of_cells(marks, pains))
        ),
        "curve": curve.assign(suppressed=[marks[_STAGE, stage] for stage in curve["stage"]]),
    }
    names = {"kpi", "place", "stage", "touchpoint", "suppressed", "low_base"}
    for name, table in tables.items():
        figures = [column for column in ANALYSES[name].names if column not in names]
        masked = _masked(table.assign(kpi=kpi.id), figures)
        tables[name] = masked.assign(low_base=masked["n"] < kpi.minimum_base.warn)
    found = tables["pain_points"]["is_pain_point"].eq(True).sum()
    against = f"the target of {target:g}" if target is not None else "the score of all touchpoints"
    note = f"{len(staged):,} answers with a stage; {found} touchpoints fall short of {against}"
    return Found(tables, DONE if found else NOTHING, note)


_STAGE, _TOUCHPOINT, _CELL, _STAGED, _WITH = "stage", "touchpoint", "stage*touchpoint", "has a stage", "yes"


def _marks(company: Company, kpi: Kpi, answers: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return what must be hidden of stages, touchpoints and their cells, given what the estimates show and hide."""
    levels = answers[[_STAGE, _TOUCHPOINT]].fillna(NOT_STATED)
    if levels.drop_duplicates()[_TOUCHPOINT].duplicated().any():
        levels[_CELL] = _cell(levels)
    if answers[_STAGE].isna().any():
        levels[_STAGED] = np.where(answers[_STAGE].notna(), _WITH, NOT_STATED)
    total = estimate(answers, kpi).assign(segment=TOTAL, level=TOTAL)
    parts = [
        estimate(answers.assign(level=levels[segment]), kpi, ["level"]).assign(segment=segment)
        for segment in map(str, levels)
    ]
    rows = pd.concat([total, *parts], ignore_index=True).assign(kpi=kpi.id, question="", period=company.period.id)
    issued = _shown_or_hidden(company, kpi)
    rows["issued"] = [issued.get(cell) for cell in zip(rows["segment"], rows["level"], strict=True)]
    margins = {(str(kpi.table), company.period.id): find_margins(levels.drop_duplicates())}
    protected = suppress(rows, {kpi.id: kpi}, margins)
    # What can be neither shown beside the estimates nor hidden among others is left out, and so is hidden here.
    marks = dict.fromkeys(zip(rows["segment"], rows["level"], strict=True), COMPLEMENTARY)
    return marks | dict(
        zip(zip(protected["segment"], protected["level"], strict=True), protected["suppressed"], strict=True)
    )


def _cell(rows: pd.DataFrame) -> pd.Series:
    return rows[_STAGE] + " | " + rows[_TOUCHPOINT]


def _of_cells(marks: dict[tuple[str, str], str], rows: pd.DataFrame) -> list[str]:
    """Return the marks of touchpoints, or of their parts where they belong to several stages."""
    cells = zip(_cell(rows), rows[_TOUCHPOINT], strict=True)
    return [marks.get((_CELL, cell)) or marks[_TOUCHPOINT, touchpoint] for cell, touchpoint in cells]


def _shown_or_hidden(company: Company, kpi: Kpi) -> dict[tuple[str, str], str]:
    """Return the estimates' marks of the KPI in the period, by the column of the segment (or the total) and level."""
    estimates, columns = (
        company.estimates,
        {TOTAL: TOTAL} | {each.id: each.column for each in company.segments.values()},
    )
    rows = estimates[(estimates["kpi"] == kpi.id) & (estimates["period"] == company.period.id)]
    return {
        (columns[segment], level): mark
        for segment, level, mark in zip(rows["segment"], rows["level"], rows["suppressed"], strict=True)
        if segment in columns
    }


def _hidden_levels(company: Company, kpi: Kpi) -> set[tuple[str, str]]:
    return {cell for cell, mark in _shown_or_hidden(company, kpi).items() if mark != SHOWN}


def _funnel(company: Company, settings: Journey) -> Found:
    first = _last_periods(company.period, _MONTHS_OF_JOURNEYS)[-1]
    since = pd.Timestamp(first.bounds(company.dataset.time_zone)[0])
    events = company.rows("events", ["customer_id", "stage", "occurred_at"], since)
    reached = set(events["stage"].dropna())
    stages = [stage for stage in settings.stages if stage in reached]
    if len(stages) < 2:  # noqa: PLR2004 - nobody can go on
        raise UsageError(
            found=f"events of {len(stages)} stages", expected="events of at least two", do="deliver the stage of events"
        )
    table = journey.stage_funnel(
        events[events["stage"].isin(stages)],
        stages,
        window=pd.Timedelta(minutes=settings.minutes_to_continue),
        as_of=company.end,
        confidence=company.confidence,
    )
    base = table["n"] - table["n_open"]
    table = table.assign(place=range(1, len(table) + 1), suppressed=np.where(table["n"] < _LIMIT, SMALL, SHOWN))
    # Who is still on the way adds up with those who were followed.
    table["suppressed"] = table["suppressed"].mask((base > 0) & (base < _LIMIT) & (table["n"] >= _LIMIT), SMALL)
    figures = ["n", "n_open", "n_continued", "drop_off", "ci_low", "ci_high", "n_unidentified", "n_undated"]
    absent = [stage for stage in settings.stages if stage not in reached]
    note = joined(
        f"events from {first.start:%Y-%m} on, {_days(settings.minutes_to_continue)} days to go on",
        f"no events of {listed(absent)}" if absent else None,
    )
    return Found({"funnel": _masked(table, figures)}, DONE, note)


def _days(minutes: int) -> str:
    return f"{minutes / 1440:g}"


def _switching(company: Company, settings: Journey) -> Found:  # noqa: ARG001 - part of the journey
    """Count the channels of customers' cases and visits in the period; a visit is one contact."""
    since = pd.Timestamp(company.period.bounds(company.dataset.time_zone)[0])
    columns = ["customer_id", "channel"]
    cases = company.rows_if_any("tickets", columns, since)
    events = company.rows_if_any("events", [*columns, "session_id", "event_id"], since)
    if cases.empty and events.empty:
        raise _lacking("tickets", "events")
    visit = events["session_id"].where(events["session_id"].fillna("") != "", events["event_id"])
    visits = events.assign(visit=visit).drop_duplicates([*columns, "visit"])[columns]
    table = journey.channel_switching(
        pd.concat([part for part in (cases, visits) if len(part)]), confidence=company.confidence
    )
    table["suppressed"] = np.where(table["n"] < _LIMIT, SMALL, SHOWN)
    figures = ["n", "n_switched", "share", "ci_low", "ci_high"]
    return Found({"switching": _masked(table, figures)}, DONE, "cases and visits of known customers")


def _consistency(company: Company, settings: dict[str, str]) -> Found:
    """Judge the levels that the estimates show."""
    estimates = company.estimates
    shown = estimates[
        (estimates["period"] == company.period.id)
        & (estimates["suppressed"] == SHOWN)
        & (estimates["level"] != NOT_STATED)
    ].fillna({"question": ""})
    rows = []
    for kpi, segment in settings.items():
        levels = shown[(shown["kpi"] == kpi) & (shown["segment"] == segment)]
        for question, asked in levels.groupby("question"):
            minimum = company.kpis[kpi].minimum_base.suppress
            judged = journey.consistency(asked, confidence=company.confidence, minimum=minimum)
            rows.append({"kpi": kpi, "question": question or None, "segment": segment} | judged._asdict())
    if not rows:
        raise UsageError(found="no level that is shown", expected="at least two", do="choose another KPI or segment")
    table = pd.DataFrame(rows).rename(columns={"n_channels": "n_levels"})
    table["verdict"] = table["verdict"].str.replace("channels", "levels")
    differ = (table["verdict"] == journey.DIFFER.replace("channels", "levels")).sum()
    return Found({"consistency": table}, DONE if differ else NOTHING, f"{differ} of {len(table)} differ beyond chance")


# --- customers -----------------------------------------------------------------------------------


class _History(NamedTuple):
    """What is known of customers, as `churn.features` takes it."""

    customers: pd.DataFrame
    answers: pd.DataFrame
    tickets: pd.DataFrame
    orders: pd.DataFrame


def _history(company: Company, since: pd.Timestamp) -> _History:
    tickets = ["customer_id", "created_at", "first_replied_at", "resolved_at", "reply_minutes", "reopens"]
    try:
        answers = company.answers_of_customers(leaving.METRICS, since)
    except UsageError:
        answers = pd.DataFrame()
    return _History(
        company.customers(["customer_id", "started_at", "ended_at", "monthly_value"]),
        answers,
        company.rows_if_any("tickets", tickets, since),
        company.rows_if_any("orders", ["customer_id", "ordered_at", "amount", "currency", "kind"], since),
    )


def _personas(company: Company, settings: Personas) -> Found:
    since = company.end - pd.Timedelta(days=_DAYS_OF_MEASURES)
    measures = leaving.features(*_history(company, since), company.end, window_days=_DAYS_OF_MEASURES)
    complete = measures.dropna(subset=settings.columns)
    order = pd.util.hash_pandas_object(complete["customer_id"], index=False).argsort(kind="stable")
    chosen = complete.iloc[order[:_GROUPED]]
    found = find_personas(chosen, settings.columns)
    profiles = found.profiles.assign(suppressed=np.where(found.profiles["n"] < _LIMIT, SMALL, SHOWN))
    shown = set(profiles.loc[profiles["suppressed"] == SHOWN, "persona"])
    traits = found.traits[found.traits["persona"].isin(shown)]
    traits = traits.assign(place=traits.groupby("persona").cumcount() + 1)
    parts = [f"{found.verdict} among {len(chosen):,} customers"]
    parts += [f"a sample of {len(complete):,}"] if len(chosen) < len(complete) else []
    parts += [f"{left_out:,} lack a measure"] if (left_out := len(measures) - len(complete)) else []
    grouped = found.members.dropna(subset="persona")
    return Found(
        {"personas": _masked(profiles, ["name", "n", "share", "stability"]), "persona_traits": traits},
        NOTHING if found.verdict == NO_GROUPS else DONE,
        joined(*parts),
        {"personas": grouped} if len(grouped) else {},
    )


def _churn(company: Company, settings: Churn) -> Found:
    horizon, window = (pd.Timedelta(days=days) for days in (settings.horizon_days, settings.window_days))
    known_since = pd.Timestamp(company.months[0].bounds(company.dataset.time_zone)[0])
    history = _history(company, known_since)
    steps = range(1, int((company.end - known_since - window) / horizon) + 1)
    panel = leaving.panel(
        *history,
        snapshots=[company.end - step * horizon for step in steps],
        horizon_days=settings.horizon_days,
        known_until=company.end,
        window_days=settings.window_days,
    )
    training = leaving.train(panel, settings.horizon_days, company.confidence)
    tables = {}
    if training.judgement:
        bins = training.judgement.reliability
        bins = bins.assign(suppressed=np.where(bins["n"] < _LIMIT, SMALL, SHOWN))
        tables["churn_judgement"] = training.judgement.figures.rename_axis("figure").reset_index()
        tables["churn_reliability"] = _masked(bins, ["n", "expected", "observed", "ci_low", "ci_high"])
    if not training.is_usable or training.model is None:
        return Found(tables, NOTHING if training.judgement else IMPOSSIBLE, training.verdict)
    tables["churn_drivers"] = leaving.explain(training.model, company.confidence)
    today = leaving.features(*history, company.end, window_days=settings.window_days)
    calls = leaving.risk_list(training, today, settings.list_length, company.confidence)
    note = (
        f"trained at {len(training.trained_at)} instants, judged by who left in the last {settings.horizon_days} days"
    )
    return Found(tables, DONE, joined(note, *training.notes), {"call_list": calls})


# --- what scores are worth -----------------------------------------------------------------------


def _link(company: Company, settings: Link) -> Found:
    """Link scores of `months_ago` months ago to who stayed and what they spent since."""
    kpi, dataset = company.kpis[settings.kpi], company.dataset
    month = Period.containing(company.period.end, "month").shift(-settings.months_ago)
    at = pd.Timestamp(month.bounds(dataset.time_zone)[0])
    if company.months[0].start >= month.start:
        raise UsageError(
            found=f"no answers from before {month.id}",
            expected=f"answers given {settings.months_ago} months before the period's end",
            do="wait for more months, or lower `months_ago`",
        )
    people = company.customers(["customer_id", "started_at", "ended_at", *dataset.segments_from_customers])
    people = people[(people["started_at"] < at) & ~(people["ended_at"] < at)]
    source, revenue = _revenue(company, at)
    people = people.assign(
        score=people["customer_id"].map(_latest_scores(company, kpi, at)),
        tenure=(at - people["started_at"]).dt.total_seconds() / 86_400,
        retained=~(people["ended_at"] < company.end),
        revenue=people["customer_id"].map(revenue).fillna(0.0),
    )
    linked = score_link(people, dataset.segments_from_customers, company.confidence)
    retention = _retention(linked, kpi)
    tables = {"link": retention, "link_revenue": _revenues(linked, kpi)}
    notes = [
        f"scores of the {_DAYS_OF_SCORES} days before {month.id}, revenue from {source}; association, not cause",
        *linked.notes,
    ]
    if settings.customers_moved and settings.cost is not None:
        try:
            tables["roi"] = _return(company, settings, linked, people)
        except UsageError as error:
            notes.append(f"no return: {error.found}")
    p_values = retention.loc[retention["figure"] == _DIFFERENCE, "p_value"]
    return Found(tables, DONE if (p_values < 1 - company.confidence).any() else NOTHING, joined(*notes))


_CLASS, _DIFFERENCE, _BIAS = "class", "difference", "answered less not answered"


def _latest_scores(company: Company, kpi: Kpi, at: pd.Timestamp) -> pd.Series:
    """Return the last score that each customer gave in the days before an instant."""
    since = at - pd.Timedelta(days=_DAYS_OF_SCORES)
    metrics = kpi.where.get("metric", [])
    answers = company.answers_of_customers([metrics] if isinstance(metrics, str) else metrics, since)
    before = answers[answers["responded_at"] < at].sort_values(["responded_at", "response_id"])
    return before.groupby("customer_id")["score"].last()


def _revenue(company: Company, at: pd.Timestamp) -> tuple[str, pd.Series]:
    """Return where revenue is known from, and each customer's from an instant to the period's end.

    Recurring values where there are subscriptions, because their orders are often booked as well; else orders less
    refunds, else the customers' own monthly values.
    """
    spells = ["customer_id", "started_at", "ended_at", "monthly_value"]
    if len(subscriptions := company.rows_if_any("subscriptions", spells)):
        return "subscriptions", _recurring(subscriptions, at, company.end)
    orders = company.rows_if_any("orders", ["customer_id", "ordered_at", "amount", "kind"], at)
    if len(orders):
        amount = orders["amount"].abs().where(orders["kind"] != "refund", -orders["amount"].abs())
        return "orders", amount.groupby(orders["customer_id"]).sum()
    return "monthly values", _recurring(company.customers(spells), at, company.end)


def _recurring(spells: pd.DataFrame, at: pd.Timestamp, end: pd.Timestamp) -> pd.Series:
    """Return what the days of each customer's spells between two instants bring."""
    started, ended = spells["started_at"], spells["ended_at"].fillna(end)
    days = ended.where(ended < end, end) - started.where(started > at, at)
    months = days.dt.total_seconds().clip(lower=0) / 86_400 / _DAYS_IN_MONTH
    brought: pd.Series = (months * spells["monthly_value"]).groupby(spells["customer_id"]).sum()
    return brought


def _retention(linked: ScoreLink, kpi: Kpi) -> pd.DataFrame:
    pairs = linked.retention_differences.rename(
        columns={"raw": "value", "raw_ci_low": "ci_low", "raw_ci_high": "ci_high"}
    )
    return _linked(linked.retention, pairs, linked.response_bias, kpi)


def _revenues(linked: ScoreLink, kpi: Kpi) -> pd.DataFrame:
    return _linked(linked.revenue, linked.revenue_differences, linked.response_bias.head(0), kpi)


def _linked(classes: pd.DataFrame, pairs: pd.DataFrame, bias: pd.DataFrame, kpi: Kpi) -> pd.DataFrame:
    """Stack classes, differences and the difference to those without an answer; hide what tells of small classes."""
    marks = dict(zip(classes["score_class"], _complementary(classes["n"], kpi.minimum_base.suppress), strict=True))
    is_whole = set(marks.values()) <= {SHOWN}
    pairs = pairs.rename(columns={"higher": "score_class", "lower": "other_class"})
    parts = [
        classes.assign(figure=_CLASS, suppressed=list(marks.values())),
        pairs.assign(
            figure=_DIFFERENCE,
            suppressed=[
                SHOWN if marks.get(one, SHOWN) == marks.get(other, SHOWN) == SHOWN else COMPLEMENTARY
                for one, other in zip(pairs["score_class"], pairs["other_class"], strict=True)
            ],
        ),
        bias.assign(figure=_BIAS, suppressed=SHOWN if is_whole else COMPLEMENTARY),
    ]
    table = pd.concat([part for part in parts if len(part)], ignore_index=True).reindex(columns=ANALYSES["link"].names)
    names = {"figure", "score_class", "other_class", "suppressed"}
    return _masked(table, [str(name) for name in table if name not in names])


def _return(company: Company, settings: Link, linked: ScoreLink, people: pd.DataFrame) -> pd.DataFrame:
    """Value the move of customers from detractor to promoter by the margin of those who stayed."""
    assert settings.customers_moved is not None
    assert settings.cost is not None
    stayed = people.loc[people["retained"], "revenue"] * company.dataset.margin
    half = float(stats.t.ppf((1 + company.confidence) / 2, len(stayed) - 1) * stayed.sem())
    mean = float(stayed.mean())
    result = roi(
        settings.customers_moved,
        linked.retention_difference(),
        Uncertain(mean, max(mean - half, 0.0), mean + half),
        settings.cost,
        months=settings.months_ago,
        confidence=company.confidence,
    )
    return result.figures.rename_axis("figure").reset_index().assign(status=result.status)


# --- small parts ---------------------------------------------------------------------------------


def _last_periods(period: Period, months: int) -> list[Period]:
    """Return the periods, latest first, that hold the last so many months.

    >>> [each.id for each in _last_periods(Period.parse("2026-Q3"), 4)]
    ['2026-Q3', '2026-Q2']
    """
    first = Period.containing(period.end - timedelta(days=1), "month").shift(1 - months)
    found = [period]
    while found[-1].start > first.start:
        found.append(found[-1].previous)
    return found


def _window(company: Company, months: int) -> str | None:
    """Say which periods were looked at where they are more than the reported one."""
    known = company.months[0].start
    first = [each for each in _last_periods(company.period, months) if each.end > known][-1]
    return f"answers from {first.id} to {company.period.id}" if first < company.period else None


def _matching(frame: Frame, kpi: Kpi) -> Frame:
    for column, allowed in kpi.where.items():
        frame = frame.filter(nw.col(column).is_in([allowed] if isinstance(allowed, str) else allowed))
    return frame


def _complementary(n: pd.Series, limit: int) -> list[str]:
    """Hide small bases and, where their sum follows from others, the next smallest until it tells of nobody.

    >>> _complementary(pd.Series([40, 3, 25]), 10)
    ['no', 'small base', 'complementary']
    """
    marks = pd.Series(SHOWN, index=n.index, dtype=object).mask((n > 0) & (n < limit), SMALL)
    for row in n[n > 0].sort_values(kind="stable").index:
        hidden = n[marks != SHOWN]
        if hidden.empty or (len(hidden) > 1 and hidden.sum() >= limit):
            break
        if marks[row] == SHOWN:
            marks[row] = COMPLEMENTARY
    return marks.tolist()


def _masked(table: pd.DataFrame, figures: Iterable[str]) -> pd.DataFrame:
    """Remove the figures of rows that are marked as hidden."""
    is_hidden = table["suppressed"] != SHOWN
    return table.assign(**{name: table[name].astype(object).mask(is_hidden, None) for name in figures})


def _lacking(*tables: str) -> UsageError:
    return UsageError(
        found=f"no {' and no '.join(f'`{table}`' for table in tables)}",
        expected="accepted rows of it" if len(tables) == 1 else "accepted rows of either",
        do="deliver the feed",
    )
