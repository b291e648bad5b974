"""Analyses beyond the estimates: what moves scores, where journeys hurt, who may leave, and what that is worth.

`analyse` makes those that a report names and writes a table of each. What the data do not allow is said in the table
`analyses` and stops nothing; a definition that names what is not there is an error.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from cxreport.config import Analyses, Project, Report, load_dataset, load_kpis, load_segments
from cxreport.engine import load_engine, open_engine, read_table, write_table
from cxreport.errors import UsageError
from cxreport.measure.analyses import comments, customers, improvements, journeys, over_time, scores, worth
from cxreport.measure.analyses.company import DONE, IMPOSSIBLE, NOTHING, Company, Found
from cxreport.measure.analyses.definitions import check_analyses
from cxreport.measure.frames import open_facts
from cxreport.measure.published import Published, protect_tables
from cxreport.periods import Period
from cxreport.schema import ANALYSES, LISTS

__all__ = ["DONE", "IMPOSSIBLE", "NOTHING", "Company", "analyse", "check_analyses", "make_analyses", "read_analyses"]

_LISTS = "lists"
# What follows from the estimates, which are protected for all audiences together. Other analyses count answers and
# customers: those of one audience could be worked out as what the others leave of all.
_OF_ESTIMATES = {"series", "consistency"}
_ONLY_OF_ALL = "made for all groups together, because parts of it would tell on small groups"


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
        facts = open_facts(project, dataset, period, {"answers"}, engine)
        make_analyses(Company(project, report, dataset, kpis, segments, period, estimates, engine, facts))
    return read_analyses(project, report.id, period)


def make_analyses(company: Company) -> None:
    """Make the analyses of a report whose definitions are checked, and write their tables and lists."""
    found = {name: _made(name, make, company) for name, make in _named(company.report.analyses).items()}
    said = pd.DataFrame(
        [(name, each.status, each.note) for name, each in found.items()], columns=["analysis", "status", "note"]
    )
    tables = {"analyses": said} | {name: table for each in found.values() for name, table in each.tables.items()}
    lists = {name: table for each in found.values() for name, table in each.lists.items()}
    published = Published(company.estimates, company.report, company.kpis, company.segments, company.period)
    _write(protect_tables(tables, published), lists, _folder(company))


def read_analyses(project: Project, report: str, period: Period, audience: str = "") -> dict[str, pd.DataFrame]:
    """Read the tables of the analyses of a measured period; those that were not made are not there."""
    folder = project.measured(report, period, audience)
    return {name: read_table(path) for name in ANALYSES if (path := folder / f"{name}.parquet").is_file()}


def _folder(company: Company) -> Path:
    return company.project.measured(company.report.id, company.period, company.audience)


def _made(name: str, make: Callable[[Company], Found], company: Company) -> Found:
    if company.audience and name not in _OF_ESTIMATES:
        return Found({}, IMPOSSIBLE, _ONLY_OF_ALL)
    try:
        return make(company)
    except UsageError as error:
        return Found({}, IMPOSSIBLE, f"{error.found}; needed: {error.expected}")


def _write(tables: dict[str, pd.DataFrame], lists: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write tables and lists, and remove those of an earlier run."""
    for place, schemas, frames in ((folder, ANALYSES, tables), (folder / _LISTS, LISTS, lists)):
        for name, schema in schemas.items():
            path = place / f"{name}.parquet"
            path.unlink(missing_ok=True)
            if name in frames:
                write_table(frames[name].reindex(columns=schema.names), path, schema, [])


def _named(analyses: Analyses) -> dict[str, Callable[[Company], Found]]:
    """Return the analyses that are asked for, by the name under which their outcome is told."""
    made: dict[str, tuple[Callable[..., Found], object]] = {
        "series": (over_time.make_series, analyses.trend or None),
        "drivers": (scores.make_drivers, analyses.drivers),
        "journey": (journeys.make_journey, analyses.journey),
        "funnel": (journeys.make_funnel, analyses.journey),
        "switching": (journeys.make_switching, analyses.journey),
        "consistency": (journeys.make_consistency, analyses.consistency or None),
        "cohorts": (over_time.make_cohorts, analyses.cohorts),
        "subgroups": (scores.make_subgroups, analyses.subgroups),
        "personas": (customers.make_personas, analyses.personas),
        "churn": (customers.make_churn, analyses.churn),
        "link": (worth.make_link, analyses.link),
        "themes": (comments.make_themes, analyses.themes),
        "actions": (improvements.make_actions, analyses.actions),
        "topics": (comments.make_topics, analyses.themes),
        "texts": (comments.make_texts, analyses.themes),
    }
    return {name: partial(make, settings=asked) for name, (make, asked) in made.items() if asked is not None}
