"""The KPIs as functions, for notebooks: `from cxreport import cx`, then `cx.nps(frame, by="channel")`.

Each file of `reports/kpis/` of the project that holds the current folder is a function here; `cx.nps?` says what it
counts and which columns it reads, and `dir(cx)` lists them all. `cx.rows("answers")` gives the rows that a report's own
figures are made from.
"""

from collections.abc import Callable, Sequence
from typing import get_args

import pandas as pd

from cxreport.config import FactName, Kpi, Project, load_kpis
from cxreport.engine import collect, load_engine, open_engine
from cxreport.errors import UsageError, listed, nearest
from cxreport.measure import estimate
from cxreport.measure.frames import open_facts
from cxreport.measure.settings import read_settings

_FIGURES = ("n", "value", "ci_low", "ci_high", "n_missing", "method", "note")


def rows(table: FactName, report: str = "monthly", period: str = "", root: str = "") -> pd.DataFrame:
    """Return the accepted rows of a table in a period, as a report reads them.

    Parameters
    ----------
    table
        What KPIs are made from: `answers`, `tickets`, `orders` and so on, as `table:` of a KPI file names it.
    period
        An ISO period; empty for the newest one with accepted rows.
    root
        The project's folder; empty to look for it from here upward.

    Returns
    -------
    DataFrame
        One row per answer, ticket and so on, with the columns that segments are made of.

    Raises `UsageError` for an unknown table or report, or a period or table without rows.
    """
    if table not in (known := get_args(FactName)):
        raise UsageError(
            found=f"table `{table[:60]}`{nearest(table, known)}",
            expected=f"one of {listed(known)}",
            do="name one of these",
        )
    settings = read_settings(report, period, root)
    with open_engine(load_engine(settings.project)) as engine:
        facts = open_facts(settings.project, settings.dataset, settings.period, [table], engine)
        if table not in facts:
            raise UsageError(
                found=f"no rows of `{table}` up to {settings.period}",
                expected="a table that the dataset delivers",
                do="name another table, or add a feed that delivers this one",
            )
        found = collect(facts[table])
    return found[found["period"] == settings.period.id].reset_index(drop=True)


def __getattr__(name: str) -> Callable[..., pd.DataFrame]:
    if name.startswith("_"):
        raise AttributeError(name)
    known = __dir__()
    if name not in known:
        raise AttributeError(f"no KPI `{name}`{nearest(name, known)}: reports/kpis/ has no file {name}.yml")
    return _function(load_kpis(Project.find(None), [name])[name])


def __dir__() -> list[str]:
    return ["rows", *sorted(path.stem for path in Project.find(None).kpis.glob("*.yml"))]


def _function(kpi: Kpi) -> Callable[..., pd.DataFrame]:
    def compute(frame: pd.DataFrame, by: str | Sequence[str] = (), confidence: float = 0.95) -> pd.DataFrame:
        if kpi.type == "value":
            raise UsageError(
                found=f"`{kpi.id}`, which is modelled from all orders of all customers",
                expected="a KPI that is counted from rows",
                do="read it from the estimates of a report",
            )
        groups = [by] if isinstance(by, str) else list(by)
        # An analyst's own frame often holds the answers to one question and nothing that tells them from others.
        met = {column for column in kpi.where if column not in frame and column != kpi.parts}
        narrowed = kpi.model_copy(update={"where": {k: v for k, v in kpi.where.items() if k not in met}})
        found = estimate(frame, narrowed, groups, confidence)
        return found[[name for name in found if name in {*groups, "question"}] + list(_FIGURES)]

    compute.__name__ = compute.__qualname__ = kpi.id
    compute.__doc__ = _help(kpi)
    return compute


def _help(kpi: Kpi) -> str:
    """Say what a KPI counts, from its file."""
    unit = {"percent": "shares from 0 to 1"}.get(kpi.unit, kpi.unit)
    columns = [kpi.column or "score", *kpi.where, *filter(None, [kpi.cluster, kpi.weight])]
    if kpi.ratio:
        columns[0:1] = [kpi.ratio.of, kpi.ratio.to]
    lacking = f" Where {listed(kpi.where)} is missing, all rows are taken to be meant." if kpi.where else ""
    if kpi.cluster:
        lacking += f"\n        Without `{kpi.cluster}` every row counts as a customer of its own."
    return f"""{kpi.title}: {kpi.answers}

    Numerator: {kpi.numerator}.
    Denominator: {kpi.denominator}.
    Left out: {"; ".join(kpi.exclusions)}.

    Parameters
    ----------
    frame
        Rows of `{kpi.table}`, with the columns {listed(dict.fromkeys(columns))}.{lacking}
    by
        A column, or several, to break it down by.
    confidence
        Confidence of the intervals (0-1).

    Returns
    -------
    DataFrame
        One row per group: its columns, `n`, `value` ({unit}), `ci_low`, `ci_high`, `n_missing` (rows left out),
        `method` of the interval, `note`. Small groups are not hidden.

    Raises `DefinitionError` when a needed column is missing, `UsageError` for scores off the scale.
    """
