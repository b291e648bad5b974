"""What was measured, as Markdown, for the measuring notebook."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from cxreport.config import Kpi, Report
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL
from cxreport.periods import Period
from cxreport.schema import TOTAL
from cxreport.validate.show import table

_UNITS = {"points": (1, 1, ""), "percent": (100, 1, " %"), "score": (1, 2, ""), "minutes": (1, 0, " min")}


def headline(estimates: pd.DataFrame, report: Report, kpis: dict[str, Kpi], period: Period) -> str:
    """Return the totals of the headline KPIs with interval, base and verdicts."""
    totals = estimates[(estimates["period"] == period.id) & (estimates["segment"] == TOTAL)]
    totals = totals.astype(object).where(totals.notna(), None)
    lines = [
        _line(row, kpis[kpi_id])
        for kpi_id in report.headline
        for row in totals[totals["kpi"] == kpi_id].to_dict(orient="records")
    ]
    header = ["KPI", "Figure", "Interval", "Base", "Since the period before", "Since the year before"]
    return table(header, lines)


def _line(row: dict[Hashable, Any], kpi: Kpi) -> list[str | int]:
    title = f"{kpi.title}: {row['question']}" if row["question"] else kpi.title
    if row["suppressed"] != SHOWN:
        return [title, str(row["suppressed"]), "", "", "", ""]
    interval = f"{_text(row['ci_low'], kpi)} to {_text(row['ci_high'], kpi)}" if row["ci_low"] is not None else "none"
    verdicts = row["verdict"] or "", row["year_verdict"] or ""
    value = _text(row["value"], kpi) if row["value"] is not None else "no figure"
    return [title, value, interval, f"{row['n']:,.0f}", *verdicts]


def counts(estimates: pd.DataFrame, period: Period) -> str:
    """Return how many figures the reported period holds, how many are hidden, and what the tests found, by KPI."""
    rows = estimates[estimates["period"] == period.id]
    lines: list[list[str | int]] = []
    for kpi_id, figures in rows.groupby("kpi"):
        marks, words = figures["suppressed"], pd.concat([figures["verdict"], figures["year_verdict"]])
        tests = figures[["p_value", "year_p_value"]].notna().to_numpy().sum()
        counted = [len(figures), (marks == SMALL).sum(), (marks == COMPLEMENTARY).sum(), tests]
        moved = [(words == word).sum() for word in ("rose", "fell")]
        signals = figures["signal"].notna().sum()
        lines.append([str(kpi_id), *(int(count) for count in (*counted, *moved, signals))])
    header = ["KPI", "Figures", "Hidden: small base", "Hidden: complementary", "Tests", "Rose", "Fell", "Chart signals"]
    return table(header, lines)


def _text(value: float, kpi: Kpi) -> str:
    factor, decimals, unit = _UNITS[kpi.unit]
    return f"{value * factor:,.{decimals}f}{unit}"
