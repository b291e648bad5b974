"""What the analyses of a report read, what comes of them, and what several of them need."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import narwhals as nw
import pandas as pd

from cxreport.config import (
    Base,
    Dataset,
    FactName,
    Kpi,
    Project,
    Report,
    Segment,
)
from cxreport.engine import Engine, Frame, collect
from cxreport.errors import UsageError
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL, complement
from cxreport.measure.frames import accepted_parts
from cxreport.periods import Period, last_periods
from cxreport.schema import TABLES, TOTAL, TableName

DONE, NOTHING, IMPOSSIBLE = "done", "nothing found", "not possible"

LIMIT = Base().suppress  # of figures that belong to no KPI
SCALE = ("question", "metric", "score", "scale_low", "scale_high", "scale_good")


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
    facts: Mapping[FactName, Frame]
    audience: str = ""  # the id of the one whose estimates they are; empty for everybody

    @property
    def parts(self) -> list[Period]:
        """The months, for weekly reports the weeks, that have accepted rows up to the period's end."""
        known = accepted_parts(self.project, self.dataset.id, self.period.kind)
        return [part for part in known if part.end <= self.period.end]

    @property
    def end(self) -> pd.Timestamp:
        """The first instant after the period."""
        return pd.Timestamp(self.period.bounds(self.dataset.time_zone)[1])

    @property
    def confidence(self) -> float:
        return self.report.confidence

    def answers(self, months: int = 0) -> Frame:
        """Return the wide answers of the last months up to the period's end; for none, those of the period."""
        if "answers" not in self.facts:
            raise lacking("answers")
        periods = [each.id for each in last_periods(self.period, months)]
        return self.facts["answers"].filter(nw.col("period").is_in(periods))

    def scores(self, kpi: Kpi, columns: Iterable[str], months: int = 0) -> pd.DataFrame:
        """Return the scored answers of a KPI, with columns beside the score and its scale."""
        wanted = dict.fromkeys([*columns, *kpi.where, *SCALE, *([kpi.weight] if kpi.weight else [])])
        chosen = _matching(self.answers(months), kpi).filter(~nw.col("score").is_null())
        return collected(chosen.select(*wanted))

    def rows(self, table: TableName, columns: Sequence[str] = (), since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Return columns of a canonical table, all where none is named, from an instant on, up to the period's end.

        Raises `UsageError` where nothing of the table was accepted.
        """
        found = self._scan(table, since)
        return collected(found.select(*columns) if columns else found)

    def rows_if_any(self, table: TableName, columns: Sequence[str], since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Return what `rows` does, or a frame without rows."""
        try:
            return self.rows(table, columns, since)
        except UsageError:
            return pd.DataFrame(columns=list(columns))

    def customers(self, columns: Sequence[str]) -> pd.DataFrame:
        """Return those who had become customers by the period's end, as its last month (or the week) knows them."""
        found = self.rows("customers", columns)
        return found[found["started_at"] < self.end].reset_index(drop=True)

    def answers_of_customers(self, metrics: Iterable[str], since: pd.Timestamp) -> pd.DataFrame:
        """Return scores with their customer and instant, of known customers."""
        answers = self._scan("answers", since).filter(nw.col("metric").is_in(list(metrics)))
        asked = self._scan("responses", since).select("response_id", "period", "customer_id")
        scored = answers.select("response_id", "period", "metric", "score", "responded_at").join(
            asked, on=["response_id", "period"]
        )
        return collected(scored.filter(~nw.col("score").is_null(), ~nw.col("customer_id").is_null()).drop("period"))

    def _scan(self, table: TableName, since: pd.Timestamp | None = None) -> Frame:
        dated_by = TABLES[table].dated_by
        parts = self.parts if dated_by else self.parts[-1:]
        first = since.tz_convert(self.dataset.time_zone).date() if since is not None else date.min
        paths = [
            path
            for part in parts
            if part.end > first
            and (path := self.project.accepted(self.dataset.id, part) / f"{table}.parquet").is_file()
        ]
        if not paths:
            raise lacking(table)
        frame = self.engine.scan(paths)
        if dated_by and since is not None:
            return frame.filter(nw.col(dated_by) >= nw.lit(since.to_pydatetime()))
        return frame


def collected(frame: Frame) -> pd.DataFrame:
    """Fetch rows in an order of their own: engines with several threads deliver them in any."""
    rows = collect(frame)
    return rows.sort_values(list(rows.columns), ignore_index=True)


def periods_read(company: Company, months: int) -> str | None:
    """Say which periods were looked at where they are more than the reported one."""
    known = company.parts[0].start
    first = [each for each in last_periods(company.period, months) if each.end > known][-1]
    return f"answers from {first.id} to {company.period.id}" if first < company.period else None


def _matching(frame: Frame, kpi: Kpi) -> Frame:
    for column, allowed in kpi.where.items():
        frame = frame.filter(nw.col(column).is_in([allowed] if isinstance(allowed, str) else allowed))
    return frame


def complementary(n: pd.Series, limit: int) -> list[str]:
    """Hide small bases and, where their sum follows from others, the next smallest until it tells of nobody.

    >>> complementary(pd.Series([40, 3, 25]), 10)
    ['no', 'small base', 'complementary']
    """
    parts = n[n > 0]
    is_small = (parts < limit).to_numpy()
    is_hidden = complement(parts.mask(is_small), is_small, float(parts.sum()), limit)
    marks = pd.Series(SHOWN, index=n.index, dtype=object)
    marks[parts.index[is_hidden]] = COMPLEMENTARY
    marks[parts.index[is_small]] = SMALL
    return marks.tolist()


def without_hidden(table: pd.DataFrame, figures: Iterable[str]) -> pd.DataFrame:
    """Remove the figures of rows that are marked as hidden."""
    is_hidden = table["suppressed"] != SHOWN
    return table.assign(**{name: table[name].astype(object).mask(is_hidden, None) for name in figures})


def lacking(*tables: str) -> UsageError:
    return UsageError(
        found=f"no {' and no '.join(f'`{table}`' for table in tables)}",
        expected="accepted rows of it" if len(tables) == 1 else "accepted rows of either",
        do="deliver the feed",
    )


def shown_or_hidden(company: Company, kpi: Kpi) -> dict[tuple[str, str], str]:
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


def hidden_levels(company: Company, kpi: Kpi) -> set[tuple[str, str]]:
    return {cell for cell, mark in shown_or_hidden(company, kpi).items() if mark != SHOWN}


def classes(kpi: Kpi) -> dict[str, Any]:
    """Return what estimators need to know of a KPI's scores."""
    return {"kind": kpi.type, "top": kpi.top, "bottom": kpi.bottom}
