"""The tables of a pack as sheets: figures with intervals and bases, and words for what is hidden."""

from collections.abc import Callable
from typing import Any

from cxreport.measure.benchmarks import last_day_of
from cxreport.present import tables
from cxreport.present.pack import ALL, Figure, MixRow, Pack, ShownKpi
from cxreport.publish.exports.analysed import of_analyses
from cxreport.publish.exports.cells import (
    PROBABILITY,
    Cell,
    Cells,
    Sheet,
    amount,
    change,
    masked,
    number,
    share,
    sheet,
)

_Shown = tuple[ShownKpi, Figure]


def of_pack(pack: Pack) -> list[Sheet]:
    """Return a sheet for every table of a pack that has rows, in reading order."""
    kpis = list(pack.kpis.values())
    totals = [(kpi, figure) for kpi in kpis if (figure := pack.total(kpi.id))]
    groups = [(kpi, figure) for kpi in kpis for name in pack.segments for figure in pack.figures(kpi.id, name)]
    asked = [(kpi, figure) for kpi in kpis for figure in pack.figures(kpi.id) if figure.question]
    found = [
        _of_figures(pack, "kpis", _kpi, totals),
        _of_figures(pack, "groups", _level, groups),
        _of_figures(pack, "changes", _changes, totals + groups),
        _of_figures(pack, "targets", _goals, [(kpi, figure) for kpi, figure in totals if _has_goal(figure)]),
        _of_figures(pack, "questions", _question, asked),
        _of_figures(pack, "counts", _counts, [(kpi, figure) for kpi, figure in totals if figure.n_top is not None]),
        _of_figures(pack, "periods", _past, [(kpi, figure) for kpi in kpis for figure in pack.history(kpi.id)]),
        sheet(pack, "mix", (_mix(pack, row) for name in pack.report.mix_segments for row in _split(pack, name))),
        *of_analyses(pack),
        sheet(pack, "definitions", (_definition(pack, kpi) for kpi in kpis)),
    ]
    return [each for each in found if each.rows]


# --- figures ---------------------------------------------------------------------------------------


def _of_figures(pack: Pack, key: str, told: Callable[[Pack, ShownKpi, Figure], Cells], shown: list[_Shown]) -> Sheet:
    """Return a sheet of what is told of each figure; hidden ones keep their words only."""
    cells = ((figure, told(pack, kpi, figure)) for kpi, figure in shown)
    return sheet(pack, key, (masked(row) if figure.is_hidden else row for figure, row in cells))


def _kpi(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    everybody = pack.everybody(kpi.id)
    beside: Cells = (
        {
            "everybody": amount(everybody.value, kpi) if everybody and everybody.is_shown else None,
            "apart": _apart(pack, figure),
            "rank": tables.audience_place_text(pack, figure),
        }
        if pack.audience
        else {}
    )
    return {
        "area": kpi.area,
        **_figure(kpi, figure),
        **beside,
        "usual_low": amount(figure.usual_low, kpi),
        "usual_high": amount(figure.usual_high, kpi),
        "past": tables.past_text(pack, figure),
        **_notes(pack, kpi, figure),
    }


def _level(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    return {
        **_group(pack, figure),
        **_figure(kpi, figure),
        "share": share(figure.share),
        "apart": _apart(pack, figure),
        "apart_q_value": number(figure.apart_q_value, PROBABILITY),
        **_notes(pack, kpi, figure),
    }


def _changes(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    return {
        **_group(pack, figure),
        "kpi": kpi.title,
        "value": _value(kpi, figure),
        "previous": amount(figure.previous, kpi),
        "change": change(figure.change, kpi),
        "change_low": change(figure.change_ci_low, kpi),
        "change_high": change(figure.change_ci_high, kpi),
        "p_value": number(figure.p_value, PROBABILITY),
        "q_value": number(figure.q_value, PROBABILITY),
        "change_in_words": tables.change_text(figure, kpi),
        "year_ago": amount(figure.year_ago, kpi),
        "year_change": change(figure.year_change, kpi),
        "year_change_low": change(figure.year_change_ci_low, kpi),
        "year_change_high": change(figure.year_change_ci_high, kpi),
        "year_p_value": number(figure.year_p_value, PROBABILITY),
        "year_q_value": number(figure.year_q_value, PROBABILITY),
        "year_change_in_words": tables.change_text(figure, kpi, year=True),
    }


def _has_goal(figure: Figure) -> bool:
    return figure.is_shown and (figure.target is not None or figure.benchmark is not None)


def _goals(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    entry: Any = pack.benchmarks.loc[figure.benchmark] if figure.benchmark else {}
    return {
        "kpi": kpi.title,
        "value": _value(kpi, figure),
        "ci_low": amount(figure.ci_low, kpi),
        "ci_high": amount(figure.ci_high, kpi),
        "target": amount(figure.target, kpi),
        "target_in_words": tables.target_text(figure, kpi),
        "benchmark": amount(figure.benchmark_value, kpi),
        "benchmark_low": amount(figure.benchmark_low, kpi),
        "benchmark_high": amount(figure.benchmark_high, kpi),
        "gap": change(figure.gap, kpi),
        "gap_low": change(figure.gap_ci_low, kpi),
        "gap_high": change(figure.gap_ci_high, kpi),
        "benchmark_in_words": tables.benchmark_text(pack, figure, kpi),
        "benchmark_population": entry.get("population", ""),
        "benchmark_year": str(day.year) if (day := last_day_of(str(entry.get("period", "")))) else "",
        "benchmark_source": entry.get("source", ""),
    }


def _question(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    return {"question": pack.question_title(figure.question or ""), **_figure(kpi, figure), **_notes(pack, kpi, figure)}


def _counts(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    return {
        "kpi": kpi.title,
        "value": _value(kpi, figure),
        "n_top": number(figure.n_top),
        "n_bottom": number(figure.n_bottom),
        "n": number(figure.n),
        "n_eff": number(figure.n_eff, "#,##0.0"),
        **_notes(pack, kpi, figure),
    }


def _past(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    return {
        "period": figure.period,
        **_figure(kpi, figure),
        "usual_low": amount(figure.usual_low, kpi),
        "usual_mid": amount(figure.usual_mid, kpi),
        "usual_high": amount(figure.usual_high, kpi),
        "past": tables.past_text(pack, figure),
    }


def _definition(pack: Pack, kpi: ShownKpi) -> Cells:
    return {
        "kpi": kpi.title,
        "unit": pack.words(f"exports.unit.{kpi.unit}", currency=kpi.currency),
        "numerator": kpi.numerator,
        "denominator": kpi.denominator,
        "exclusions": "; ".join(kpi.exclusions),
        "better": pack.words(f"exports.better.{'higher' if kpi.higher_is_better else 'lower'}"),
        "owner": kpi.owner,
        "checker": kpi.checker,
    }


def _figure(kpi: ShownKpi, figure: Figure) -> Cells:
    """Return a figure with its interval and base; words instead of all numbers where it is hidden."""
    return {
        "kpi": kpi.title,
        "value": _value(kpi, figure),
        "in_words": tables.figure_text(figure, kpi),
        "ci_low": amount(figure.ci_low, kpi),
        "ci_high": amount(figure.ci_high, kpi),
        "n": number(figure.n),
        "base": tables.base_text(figure, kpi),
    }


def _notes(pack: Pack, kpi: ShownKpi, figure: Figure) -> Cells:
    return {"method": pack.words.text(figure.method or ""), "note": tables.note_text(figure, kpi)}


def _group(pack: Pack, figure: Figure) -> Cells:
    segment = "" if figure.segment == ALL else pack.segments[figure.segment].title
    return {"segment": segment, "level": pack.group_label(figure)}


def _apart(pack: Pack, figure: Figure) -> str:
    side = tables.side(figure)
    return pack.words(f"tables.apart.{side}") if side else ""


def _value(kpi: ShownKpi, figure: Figure) -> Cell:
    return amount(figure.value, kpi) if figure.is_shown else tables.figure_text(figure, kpi)


# --- the split of the leading KPI's change ---------------------------------------------------------


def _split(pack: Pack, segment: str) -> list[MixRow]:
    total = pack.mix_total(segment)
    return [*pack.mix_rows(segment), total] if total else []


def _mix(pack: Pack, row: MixRow) -> Cells:
    kpi = pack.leading
    hidden = pack.words("tables.hidden") if row.is_hidden else None
    numbers: Cells = {
        "share_before": share(row.share_before),
        "share_after": share(row.share_after),
        "value_before": amount(row.value_before, kpi),
        "value_after": hidden or amount(row.value_after, kpi),
        "rate_effect": change(row.rate_effect, kpi),
        "mix_effect": change(row.mix_effect, kpi),
        "entered_left_effect": change(row.entered_left_effect, kpi),
    }
    return {
        "kpi": kpi.title,
        "segment": pack.segments[row.segment].title,
        "level": pack.words("tables.all") if row.level == ALL else pack.level_label(row.segment, row.level),
        **(masked(numbers) if row.is_hidden else numbers),
    }
