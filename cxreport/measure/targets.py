"""Whether a figure clears the organisation's target, given how precisely it is known."""

import numpy as np
import pandas as pd

from cxreport.config import Kpi, Report
from cxreport.errors import DefinitionError
from cxreport.measure.trend import value_range

MET, MISSED, OPEN = "target met", "target missed", "not distinguishable from target"


def check_targets(report: Report, kpis: dict[str, Kpi]) -> None:
    """Raise `DefinitionError` for targets that their KPIs cannot reach, for example a share of 80."""
    problems = []
    for kpi_id, target in report.targets.items():
        low, high = value_range(kpis[kpi_id])
        if not low <= target <= high:
            problems.append(f"target {target:g} of `{kpi_id}` lies outside {low:g} to {high:g}")
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected="targets in the KPI's unit; shares from 0 to 1",
            do=f"correct `targets` in reports/definitions/{report.id}.yml",
        )


def status(figures: pd.DataFrame, kpi: Kpi, target: float) -> pd.Series:
    """Say whether the target is met, from the interval (`ci_low`, `ci_high`): null where there is none.

    It is met when the interval's poor end reaches it, missed when the good end does not, and otherwise open.
    """
    sign = 1 if kpi.higher_is_better else -1
    poor, good = (figures["ci_low"], figures["ci_high"]) if sign > 0 else (figures["ci_high"], figures["ci_low"])
    words = np.select([sign * (poor - target) >= 0, sign * (good - target) < 0], [MET, MISSED], OPEN)
    return pd.Series(words, index=figures.index, dtype=object).where(poor.notna(), None)
