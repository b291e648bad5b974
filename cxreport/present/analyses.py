"""The tables of the analyses as pages read them: rows, what is hidden in them, and words for what is not there."""

from types import SimpleNamespace
from typing import Any

from cxreport.present import tables
from cxreport.present.markup import Markdown, escape_markdown, one_line
from cxreport.present.pack import Pack, ShownKpi
from cxreport.present.theme import PAPER

SHOWN = "no"
_NOT_POSSIBLE = "not possible"
# Room around a label, so that no line runs through it.
CLEAR = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}


class Row(SimpleNamespace):
    """One row of a table of `schema.ANALYSES`: its columns as attributes, `None` where there is no value."""

    suppressed: str | None = None
    low_base: bool | None = None
    n: Any = None
    value: Any = None

    @property
    def is_hidden(self) -> bool:
        """Whether the row protects a small group; nothing numeric of it may be shown."""
        return self.suppressed not in {None, SHOWN}

    @property
    def is_shown(self) -> bool:
        """Whether there is a value to show."""
        return self.value is not None and not self.is_hidden


# Rows have other columns in every table, so their attributes have no types.
Rows = list[Any]


def rows(pack: Pack, name: str) -> Rows:
    """Return the rows of a table in stored order; none where it was not made."""
    return [Row(**record) for record in pack.analysed(name)]


def shown(pack: Pack, name: str) -> Rows:
    """Return the rows of a table that hide nothing."""
    return [row for row in rows(pack, name) if not row.is_hidden]


def pains(pack: Pack) -> Rows:
    """Return the touchpoints that fall short by a corrected test and hide nothing, those that cost most first."""
    return [row for row in shown(pack, "pain_points") if row.is_pain_point]


def is_sure(pack: Pack, q_value: float | None) -> bool:
    """Whether a corrected test finds a difference."""
    return q_value is not None and q_value < 1 - pack.report.confidence


def missing(pack: Pack, analysis: str, subject: str) -> Markdown:
    """Return one line on why a section is empty: not asked for, not possible, or nothing found.

    `subject` is the key of what the section would show.
    """
    told = next((row for row in rows(pack, "analyses") if row.analysis == analysis), None)
    outcome = "not_asked" if told is None else "impossible" if told.status == _NOT_POSSIBLE else "nothing"
    note = escape_markdown(pack.words.text(told.note)) if told and told.note else ""
    return Markdown(pack.words(f"analyses.{outcome}", subject=pack.words(subject), note=note))


def missing_if_asked(pack: Pack, analysis: str, subject: str) -> Markdown:
    """Return `missing`, and nothing where the report's definition leaves the analysis out, so that its section goes."""
    return missing(pack, analysis, subject) if getattr(pack.report.analyses, analysis) else Markdown("")


def label(pack: Pack, column: str, level: str) -> str:
    """Return what readers see for a value of a column, by the segment on it if there is one; plain text, one line."""
    segment = pack.columns.get(column)
    return one_line((segment.labels.get(level) if segment else None) or pack.words.text(level))


def signed_range(low: float | None, high: float | None, kpi: ShownKpi) -> str:
    """Return the interval of a difference with signs, e.g. `+5 to +11`; empty without one."""
    change: Any = Row(change_ci_low=low, change_ci_high=high)
    return tables.change_interval_text(change, kpi)


def size_range(low: float | None, high: float | None, kpi: ShownKpi) -> str:
    """Return the interval of a size that cannot be negative, e.g. `5 to 11`; empty without one."""
    return signed_range(low, high, kpi).replace("+", "")


def share_range(pack: Pack, low: float | None, high: float | None, digits: int = 0) -> str:
    """Return the interval of a share, e.g. `22% to 26%`; empty without one."""
    if low is None or high is None:
        return ""
    return pack.words("tables.range", low=pack.words.percent(low, digits), high=pack.words.percent(high, digits))
