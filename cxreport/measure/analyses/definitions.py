"""Whether the analyses that a report names fit its KPIs, questions, columns and segments."""

import pandas as pd
import pyarrow.parquet as pq

from cxreport.config import (
    Analyses,
    Dataset,
    Kpi,
    Link,
    Project,
    Report,
    Themes,
    load_dataset,
    load_kpis,
    load_segments,
)
from cxreport.errors import DefinitionError, nearest
from cxreport.measure import churn as leaving
from cxreport.measure import voice
from cxreport.measure.frames import accepted_parts, asked_questions
from cxreport.periods import PeriodKind

# What customers can be grouped by: `churn.features` at the end of the period, looking back a year.
CUSTOMER_MEASURES = (
    *("tenure_days", "monthly_value", "orders", "days_since_order", "amount_change", "surveys_answered"),
    *(f"last_{metric}" for metric in leaving.METRICS),
    *("tickets_30_days", "tickets_90_days", "open_tickets", "reopens", "slow_replies"),
)


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
    if analyses.subgroups and (columns := _accepted_columns(project, dataset, report.period_kind)):
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
    settings = (
        analyses.drivers,
        analyses.journey,
        analyses.subgroups,
        analyses.link,
        analyses.themes,
        analyses.actions,
    )
    return list(dict.fromkeys([*(each.kpi for each in settings if each), *analyses.consistency]))


def _unscored(analyses: Analyses, kpis: dict[str, Kpi]) -> list[str]:
    """Say which analyses name a KPI that is no net, share or mean of one score per answer."""
    asked = {
        name: settings.kpi
        for name in ("drivers", "journey", "subgroups", "link", "themes", "actions")
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


def _accepted_columns(project: Project, dataset: Dataset, kind: PeriodKind) -> set[str]:
    """Return the columns of wide answers, over all accepted rows; none where nothing was accepted."""
    files = [
        path
        for part in accepted_parts(project, dataset.id, kind)
        for table in ("answers", "responses")
        if (path := project.accepted(dataset.id, part) / f"{table}.parquet").is_file()
    ]
    found = {name for path in files for name in pq.read_schema(path).names}
    return found | set(dataset.segments_from_customers) if found else found
