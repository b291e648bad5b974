"""From a notebook's parameters to what measuring needs."""

from dataclasses import dataclass

from cxreport.config import Dataset, Kpi, Project, Report, load_dataset, load_kpis, load_report
from cxreport.measure.frames import latest_period
from cxreport.periods import Period


@dataclass(frozen=True)
class Settings:
    """What one measurement works on."""

    project: Project
    report: Report
    dataset: Dataset
    kpis: dict[str, Kpi]
    period: Period


def read_settings(report: str, period: str = "", root: str = "") -> Settings:
    """Read the definitions that a notebook's parameters name.

    Parameters
    ----------
    period
        An ISO period; empty for the newest one with accepted rows.
    root
        The project's folder; empty to look for it from here upward.

    Raises `UsageError` for an unknown report, a wrong period, or when there are no accepted rows.
    """
    project = Project.at(root)
    definition = load_report(project, report)
    return Settings(
        project=project,
        report=definition,
        dataset=load_dataset(project, definition.dataset),
        kpis=load_kpis(project, definition.kpis),
        period=Period.parse(period) if period else latest_period(project, definition),
    )
