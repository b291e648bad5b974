"""What was measured, as Markdown, for the measuring notebook."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from cxreport.config import Kpi, Report, Unit
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL
from cxreport.measure.discover import CONFIRMED
from cxreport.periods import Period
from cxreport.schema import TOTAL
from cxreport.validate.show import table

# By what a value is multiplied, its decimals, and what follows it; the currency follows money.
_UNITS: dict[Unit, tuple[int, int, str]] = {
    "points": (1, 1, ""),
    "percent": (100, 1, "%"),
    "score": (1, 2, ""),
    "minutes": (1, 0, " min"),
    "money": (1, 2, ""),
    "times": (1, 2, ""),
    "cases": (1, 0, " cases"),
}


def headline(estimates: pd.DataFrame, report: Report, kpis: dict[str, Kpi], period: Period, currency: str = "") -> str:
    """Return the totals of the headline KPIs with interval, base and verdicts; `currency` is that of all amounts."""
    totals = estimates[(estimates["period"] == period.id) & (estimates["segment"] == TOTAL)]
    totals = totals.astype(object).where(totals.notna(), None)
    lines = [
        _line(row, kpis[kpi_id], currency)
        for kpi_id in report.headline
        for row in totals[totals["kpi"] == kpi_id].to_dict(orient="records")
    ]
    header = ["KPI", "Figure", "Interval", "Base", "Since the period before", "Since the year before"]
    return table(header, lines)


def _line(row: dict[Hashable, Any], kpi: Kpi, currency: str) -> list[str | int]:
    title = f"{kpi.title}: {row['question']}" if row["question"] else kpi.title
    if row["suppressed"] != SHOWN:
        return [title, str(row["suppressed"]), "", "", "", ""]
    interval = (
        f"{_text(row['ci_low'], kpi, currency)} to {_text(row['ci_high'], kpi, currency)}"
        if row["ci_low"] is not None
        else "none"
    )
    verdicts = row["verdict"] or "", row["year_verdict"] or ""
    value = _text(row["value"], kpi, currency) if row["value"] is not None else "no figure"
    return [title, value, interval, f"{row['n']:,.0f}", *verdicts]


def counts(estimates: pd.DataFrame, period: Period) -> str:
    """Return how many figures the reported period holds, how many are hidden, and what the tests found, by KPI."""
    rows = estimates[estimates["period"] == period.id]
    lines: list[list[str | int]] = []
    for kpi_id, figures in rows.groupby("kpi"):
        marks, words = figures["suppressed"], pd.concat([figures["verdict"], figures["year_verdict"]])
        tests = figures[["p_value", "year_p_value", "apart_p_value"]].notna().to_numpy().sum()
        counted = [len(figures), (marks == SMALL).sum(), (marks == COMPLEMENTARY).sum(), tests]
        moved = [(words == word).sum() for word in ("rose", "fell")]
        signals = figures["signal"].notna().sum()
        lines.append([str(kpi_id), *(int(count) for count in (*counted, *moved, signals))])
    header = ["KPI", "Figures", "Hidden: small base", "Hidden: complementary", "Tests", "Rose", "Fell", "Chart signals"]
    return table(header, lines)


def analyses(found: Mapping[str, pd.DataFrame]) -> str:
    """Return what came of each analysis."""
    rows = found["analyses"].fillna("").to_dict(orient="records")
    return table(["Analysis", "Outcome", "Note"], [[row["analysis"], row["status"], row["note"]] for row in rows])


def drivers(found: Mapping[str, pd.DataFrame]) -> str:
    """Return each driver's share of what the drivers explain together, and how it does."""
    lines = [
        [
            *(row["driver"], f"{row['share']:.0%}", f"{row['ci_low']:.0%} to {row['ci_high']:.0%}"),
            *(f"{row['performance']:.2f}", row["quadrant"] or ""),
        ]
        for row in _rows(found, "drivers", "share")
    ]
    return table(["Driver", "Share", "Interval", "Performance, 0 to 1", "Reading"], lines)


def pain_points(found: Mapping[str, pd.DataFrame], kpis: Mapping[str, Kpi]) -> str:
    """Return the touchpoints that fall short beyond chance, and by how much the whole would gain."""
    lines = [
        [row["stage"], row["touchpoint"], _text(row["value"], kpi, ""), _text(row["impact"], kpi, ""), int(row["n"])]
        for row in _rows(found, "pain_points", "impact")
        if row["is_pain_point"] and (kpi := kpis[row["kpi"]])
    ]
    return table(["Stage", "Touchpoint", "Figure", "Gain of the whole", "Base"], lines)


def subgroups(found: Mapping[str, pd.DataFrame], kpis: Mapping[str, Kpi]) -> str:
    """Return the groups that score differently and were confirmed on customers held back."""
    lines = [
        [row["description"], _text(row["value"], kpi, ""), _text(row["rest_value"], kpi, ""), int(row["n"])]
        for row in _rows(found, "subgroups", "value")
        if row["status"] == CONFIRMED and (kpi := kpis[row["kpi"]])
    ]
    return table(["Group", "Figure", "Everybody else", "Base"], lines)


def _rows(found: Mapping[str, pd.DataFrame], name: str, needed: str) -> list[dict[Hashable, Any]]:
    """Return the rows of a table that have a figure; none of a table that was not made."""
    return found[name].dropna(subset=needed).to_dict(orient="records") if name in found else []


def _text(value: float, kpi: Kpi, currency: str) -> str:
    factor, decimals, unit = _UNITS[kpi.unit]
    text = f"{value * factor:,.{decimals}f}{unit}"
    return f"{currency} {text}".strip() if kpi.unit == "money" else text
