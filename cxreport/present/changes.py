"""What changed since the period before: the moves that the corrected tests of the report allow to be told."""

from dataclasses import dataclass
from typing import Literal

from cxreport.present import tables, wording
from cxreport.present.markup import Markdown, escape_markdown
from cxreport.present.pack import ALL, Figure, Pack, ShownKpi

Look = Literal["worse", "better", "counted"]


@dataclass(frozen=True)
class Change:
    """One move: which way it went, of a group or of all together, and its sentence as Markdown."""

    look: Look
    is_group: bool
    text: str


def moves(pack: Pack) -> list[Change]:
    """Return every KPI whose total moved, and every group that did, in the order of the report.

    Complete counts, which are not tested, are told where they differ. What is hidden is left out.
    """
    told = [(figure, kpi) for kpi in pack.kpis.values() for figure in _figures(pack, kpi)]
    return [change for figure, kpi in told if (change := _change(pack, figure, kpi))]


def unchanged(pack: Pack) -> Markdown:
    """Return the KPIs whose totals were tested and show no detectable change; empty when there is none."""
    totals = ((pack.total(kpi.id), kpi) for kpi in pack.kpis.values())
    still = [kpi.short for total, kpi in totals if total and tables.happened(total) == "unchanged"]
    if not still:
        return Markdown("")
    return Markdown(pack.words("changes.unchanged", len(still), kpis=escape_markdown(pack.words.joined(still))))


def _figures(pack: Pack, kpi: ShownKpi) -> list[Figure]:
    total = pack.total(kpi.id)
    groups = [figure for name in pack.segments for figure in pack.figures(kpi.id, name)]
    return [*([total] if total else []), *groups]


def _change(pack: Pack, figure: Figure, kpi: ShownKpi) -> Change | None:
    is_group = figure.segment != ALL
    match tables.happened(figure):
        case "rose" | "fell":
            look: Look = "worse" if tables.is_worse(kpi, figure.verdict) else "better"
            return Change(look, is_group, wording.moved(pack, figure, kpi))
        case "more" | "fewer" if not is_group:
            told = {"value": tables.value_text(figure.value, kpi), "change": tables.change_text(figure, kpi)}
            return Change("counted", is_group, pack.words("changes.counted", kpi=escape_markdown(kpi.short), **told))
        case _:
            return None
