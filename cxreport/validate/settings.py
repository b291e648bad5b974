"""From a notebook's parameters to what validation needs."""

from dataclasses import dataclass
from datetime import date

from cxreport.config import Dataset, Project, Report, load_dataset, load_report
from cxreport.errors import UsageError
from cxreport.periods import Period
from cxreport.sources import last_complete_period


@dataclass(frozen=True)
class Settings:
    """What one validation works on."""

    project: Project
    report: Report
    dataset: Dataset
    period: Period
    as_of: date


def read_settings(report: str, period: str = "", as_of: str = "", root: str = "") -> Settings:
    """Read the definitions that a notebook's parameters name.

    Parameters
    ----------
    period
        An ISO period; empty for the last complete one of the staged responses.
    as_of
        The day the exports were taken, ISO; empty for the day that the dataset's definition names.
    root
        The project's folder; empty to look for it from here upward.

    Raises `UsageError` for an unknown report, a wrong period or day, or a missing `as_of`, and `GateError` as
    `last_complete_period` does.
    """
    project = Project.at(root)
    definition = load_report(project, report)
    dataset = load_dataset(project, definition.dataset)
    day = _day(as_of, dataset)
    return Settings(
        project=project,
        report=definition,
        dataset=dataset,
        period=Period.parse(period) if period else last_complete_period(project, dataset, definition.period_kind, day),
        as_of=day,
    )


def _day(as_of: str, dataset: Dataset) -> date:
    if not as_of and dataset.as_of:
        return dataset.as_of
    try:
        return date.fromisoformat(as_of)
    except ValueError:
        raise UsageError(
            found=f"as_of `{as_of[:40]}`" if as_of else f"no day for `{dataset.id}`, whose definition names none",
            expected="the day the exports were taken, such as `2026-10-02`",
            do="pass `as_of`",
        ) from None
