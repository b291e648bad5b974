"""The journey of customers: how stages and touchpoints score, where it hurts, and who goes no further."""

import textwrap
from typing import Any

from matplotlib.axes import Axes

from cxreport.present import tables
from cxreport.present.analyses import (
    CLEAR,
    Rows,
    is_sure,
    label,
    missing,
    missing_if_asked,
    pains,
    rows,
    share_range,
    shown,
    signed_range,
    size_range,
)
from cxreport.present.charts import (
    FRAME,
    ROW,
    SHAPES,
    closing_notes,
    list_down,
    mark_cut,
    reach_of,
    scale_in_words,
    scaled,
    wrapped,
    write_at_left,
    write_beside,
)
from cxreport.present.markup import Markdown, Picture, escape_markdown, pipe_table
from cxreport.present.pack import Pack, ShownKpi
from cxreport.present.theme import ACCENT, MUTED, PALE, SMALL, WARNING, blank, picture, themed

_MAP, _STAGES, _POINTS = "journey", "curve", "pain_points"  # tables of the analyses
_LARGEST_DOT = 15  # points across; the areas of dots are as the numbers of answers
_STAGE_LETTERS = 11
_TOUCHPOINT_LETTERS = 24
_MOST_POINTS = 8
_ALMOST_SURE, _HARDLY = 0.99, 0.01
_MINUTES_IN_DAY = 24 * 60
_GAP = "\u2013"


def strip(pack: Pack) -> Picture | Markdown:
    """Return the stages in order: score with interval, dots by volume, and which a test tells from the whole."""
    stages = rows(pack, _STAGES)
    seen = [stage for stage in stages if not stage.is_hidden]
    if not seen:
        return missing_if_asked(pack, "journey", "journey.subject.map")
    kpi, words = pack.kpis[seen[0].kpi], pack.words
    title = words("journey.strip.title", kpi=kpi.short)
    with themed():
        canvas = blank(2.5, title=wrapped(title))
        axes = canvas.subplots()
        _draw_overall(axes, seen[0].overall, kpi)
        largest = max(stage.n for stage in seen)
        places = [(place, stage) for place, stage in enumerate(stages) if not stage.is_hidden]
        axes.plot([p for p, _ in places], [scaled(stage.value, kpi) for _, stage in places], color=PALE, zorder=1)
        for place, stage in places:
            _draw_stage(axes, place, stage, kpi, share=stage.n / largest, side=side_of(pack, stage))
        for place, stage in enumerate(stages):
            if stage.is_hidden:
                axes.annotate(_GAP, (place, 0.5), xycoords=("data", "axes fraction"), color=MUTED, ha="center")
        names = ["\n".join(textwrap.wrap(label(pack, "stage", stage.stage), _STAGE_LETTERS)[:3]) for stage in stages]
        axes.set_xticks(range(len(stages)), names, size=SMALL)
        axes.set_xlim(-0.5, len(stages) - 0.5)
        axes.margins(y=0.3)
        scale_in_words(axes.yaxis, words, 4)
        axes.tick_params(axis="y", labelsize=SMALL, length=0)
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        is_cut = mark_cut(axes, axes.yaxis, kpi)
        return picture(
            canvas,
            pack.mark,
            alt=words("journey.strip.alt", title=title, stages="; ".join(_said(pack, stage, kpi) for stage in stages)),
            caption=words("journey.strip.caption", confidence=pack.confidence, notes=closing_notes(pack, is_cut)),
            data=stages_table(pack).text,
        )


def stages_table(pack: Pack) -> Markdown:
    """Return one row a stage: score, distance to the whole, answers, and who went no further."""
    words = pack.words
    scores = {row.stage: row for row in rows(pack, _STAGES)}
    funnel = {row.stage: row for row in rows(pack, "funnel")}
    asked = pack.report.analyses.journey
    order = [stage for stage in (asked.stages if asked else []) if stage in scores or stage in funnel]
    if not order:
        return missing(pack, "journey", "journey.subject.map")
    kpi = pack.kpis[asked.kpi] if asked else pack.leading
    cells = [
        [
            escape_markdown(label(pack, "stage", stage)),
            _valued(scores.get(stage), kpi),
            _against_all(pack, scores.get(stage), kpi),
            "" if stage not in scores or scores[stage].is_hidden else tables.base_text(scores[stage], kpi),
            _dropped(pack, funnel.get(stage)),
        ]
        for stage in order
    ]
    head = [words("journey.head.stage"), escape_markdown(kpi.short), words("journey.head.against")]
    head += [words("tables.head.base"), words("journey.head.drop_off")]
    return Markdown(pipe_table(pack.mark, head, cells, "lrlrr"))


def funnel_note(pack: Pack) -> Markdown:
    """Return how to read drop-off, and where it is largest."""
    stages = [row for row in shown(pack, "funnel") if row.drop_off is not None]
    asked = pack.report.analyses.journey
    if not stages or not asked:
        return missing(pack, "funnel", "journey.subject.funnel")
    most = max(stages, key=lambda row: row.drop_off)
    days = pack.words.number(asked.minutes_to_continue / _MINUTES_IN_DAY)
    return Markdown(
        pack.words(
            "journey.funnel",
            days=days,
            stage=escape_markdown(label(pack, "stage", most.stage)),
            share=pack.words.percent(most.drop_off, 1),
            interval=share_range(pack, most.ci_low, most.ci_high),
            customers=pack.words.number(most.n - most.n_open),
        )
    )


def touchpoints(pack: Pack) -> Picture | Markdown:
    """Return every touchpoint under its stage with intervals; pain points are marked and carry their value."""
    cells = rows(pack, _MAP)
    if not any(cell.is_shown for cell in cells):
        return missing(pack, "journey", "journey.subject.map")
    kpi, words = pack.kpis[cells[0].kpi], pack.words
    hurting = {(row.stage, row.touchpoint) for row in pains(pack)}
    lines: list[tuple[str, Any]] = []
    for stage in dict.fromkeys(cell.stage for cell in cells):
        lines.append((label(pack, "stage", stage), None))
        lines += [(_labelled(pack, cell), cell) for cell in cells if cell.stage == stage]
    title = words("journey.touchpoints.title", kpi=kpi.short)
    with themed():
        canvas = blank(FRAME + ROW * len(lines), title=wrapped(title))
        axes = canvas.subplots()
        for place, (name, cell) in enumerate(lines):
            if cell is None:
                write_at_left(axes, name, place, weight="bold")
            else:
                _draw_touchpoint(axes, place, cell, kpi, hurts=(cell.stage, cell.touchpoint) in hurting)
        _draw_mark(axes, pack, kpi)
        is_cut = list_down(axes, [name if cell else "" for name, cell in lines], kpi)
        told = "; ".join(
            words(
                "journey.touchpoints.told",
                touchpoint=label(pack, "touchpoint", cell.touchpoint),
                value=tables.figure_text(cell, kpi),
            )
            for cell in cells
        )
        return picture(
            canvas,
            pack.mark,
            alt=words("journey.touchpoints.alt", title=title, touchpoints=told),
            caption=words("journey.touchpoints.caption", confidence=pack.confidence, notes=closing_notes(pack, is_cut)),
            data=_touchpoints_table(pack, cells, kpi),
        )


def pain_points(pack: Pack, limit: int = 3) -> Markdown:
    """Return the touchpoints that fall short beyond chance in sentences, those that cost the whole most first."""
    found = pains(pack)
    if not found:
        return _no_pain_points(pack)
    return Markdown("\n".join(f"- {_pain_sentence(pack, row)}" for row in found[:limit]))


def pain_points_table(pack: Pack, limit: int = _MOST_POINTS) -> Markdown:
    """Return the touchpoints that fall short beyond chance: score, what that costs the whole, chance to be worst."""
    found = pains(pack)[:limit]
    if not found:
        return _no_pain_points(pack)
    words, kpi = pack.words, pack.kpis[found[0].kpi]
    cells = [
        [
            escape_markdown(label(pack, "touchpoint", row.touchpoint))
            + tables.second(escape_markdown(label(pack, "stage", row.stage))),
            _valued(_cell(pack, row), kpi),
            tables.size_text(row.impact, kpi) + tables.second(size_range(row.impact_ci_low, row.impact_ci_high, kpi)),
            _chance(pack, row.top3_probability),
            tables.base_text(row, kpi),
        ]
        for row in found
    ]
    head = [words("journey.head.touchpoint"), escape_markdown(kpi.short), words("journey.head.impact")]
    head += [words("journey.head.worst"), words("tables.head.base")]
    return Markdown(pipe_table(pack.mark, head, cells, "lrrrr"))


def consistency(pack: Pack) -> Markdown:
    """Return how far the levels of a segment, such as channels, lie apart beyond chance, in sentences."""
    judged = rows(pack, "consistency")
    if not judged:
        return missing(pack, "consistency", "journey.subject.consistency")
    return Markdown("\n".join(f"- {_consistency_sentence(pack, row)}" for row in judged))


def switching(pack: Pack) -> Markdown:
    """Return how many customers used more than one channel in the period."""
    found = {row.base: row for row in shown(pack, "switching")}
    every = found.get(_ALL_JOURNEYS)
    if every is None:
        return missing(pack, "switching", "journey.subject.switching")
    parts = [_switched(pack, "journey.switching.all", every)]
    if several := found.get(_SEVERAL_CONTACTS):
        parts.append(_switched(pack, "journey.switching.several", several))
    return Markdown(" ".join(parts))


def visits(pack: Pack) -> Markdown:
    """Return what visits came to, conversion and abandonment, as a table of totals."""
    kpis = [kpi for kpi in pack.kpis.values() if kpi.table == "sessions" and pack.total(kpi.id)]
    if not kpis:
        return Markdown(pack.words("journey.no_visits"))
    return tables.kpi_table(pack, kpis)


# What `measure.journey.channel_switching` calls its bases.
_ALL_JOURNEYS, _SEVERAL_CONTACTS = "all journeys", "journeys of two or more contacts"


# --- drawing -------------------------------------------------------------------------------------


def _draw_overall(axes: Axes, overall: float, kpi: ShownKpi) -> None:
    at = scaled(overall, kpi)
    axes.axhline(at, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    text = kpi.words("journey.strip.total", value=tables.value_text(overall, kpi))
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(text.replace(" ", "\n"), (1, at), (4, 0), **place, color=MUTED, size=SMALL - 0.5, va="center")


def _draw_mark(axes: Axes, pack: Pack, kpi: ShownKpi) -> None:
    """Draw what touchpoints fall short of: the target or, without one, the score of all of them."""
    target = pack.report.targets.get(kpi.id)
    mark = next((row.overall for row in shown(pack, _STAGES)), None) if target is None else target
    if mark is None:
        return
    key = "charts.segments.total" if target is None else "journey.touchpoints.mark"
    at = scaled(mark, kpi)
    axes.axvline(at, color=PALE, linewidth=1)
    text = kpi.words(key, value=tables.value_text(mark, kpi, 0))
    write_beside(axes, text, (at, -0.6), (0, 2), color=MUTED, size=SMALL, ha="center", va="bottom")


def _draw_stage(axes: Axes, place: int, stage: Any, kpi: ShownKpi, *, share: float, side: str | None) -> None:
    colour, shape = _look(side, kpi)
    at = (place, scaled(stage.value, kpi))
    reach = reach_of(stage, kpi)
    axes.errorbar(*at, yerr=reach, color=colour, linewidth=1.3, zorder=2)
    axes.plot(*at, shape, color=colour, markersize=max(_LARGEST_DOT * share**0.5, 4.0), clip_on=False, zorder=3)
    below, above = (reach[0][0], reach[1][0]) if reach else (0, 0)
    # On the side away from the line of all stages, which would run through it.
    end, away, va = (-below, -4, "top") if stage.value < stage.overall else (above, 4, "bottom")
    text, look = tables.value_text(stage.value, kpi), {"color": colour, "weight": "bold", "size": SMALL + 0.5}
    write_beside(axes, text, (place, at[1] + end), (0, away), bbox=CLEAR, ha="center", va=va, **look)


def _draw_touchpoint(axes: Axes, place: int, cell: Any, kpi: ShownKpi, *, hurts: bool) -> None:
    if mask := tables.mask(cell, kpi):
        write_at_left(axes, mask, place, color=MUTED, style="italic")
        return
    colour, shape = _look(_WORSE[kpi.higher_is_better] if hurts else None, kpi)
    at, reach = scaled(cell.value, kpi), reach_of(cell, kpi)
    axes.errorbar(at, place, xerr=reach, color=colour, marker=shape, markersize=5, linewidth=1.5)
    if hurts:
        end = (at + (reach[1][0] if reach else 0), place)
        text = tables.value_text(cell.value, kpi)
        write_beside(axes, text, end, (6, 0), bbox=CLEAR, color=colour, weight="bold", size=SMALL)


_WORSE = {True: "below", False: "above"}


def _look(side: str | None, kpi: ShownKpi) -> tuple[str, str]:
    """Return the colour and the shape of what lies on a side of the whole."""
    colour = MUTED if side is None else WARNING if side == _WORSE[kpi.higher_is_better] else ACCENT
    return colour, SHAPES.get(side or "", "o")


# --- in words ------------------------------------------------------------------------------------


def side_of(pack: Pack, stage: Any) -> str | None:
    """Return `above` or `below` where a corrected test tells a stage from the whole; nothing on a low base."""
    if stage.low_base or stage.relative is None or not is_sure(pack, stage.q_value):
        return None
    return "above" if stage.relative > 0 else "below"


def _said(pack: Pack, stage: Any, kpi: ShownKpi) -> str:
    name = label(pack, "stage", stage.stage)
    if stage.is_hidden:
        return pack.words("journey.strip.hidden", stage=name, mask=tables.figure_text(stage, kpi))
    return pack.words(
        "journey.strip.stage",
        stage=name,
        value=tables.value_text(stage.value, kpi),
        base=tables.base_text(stage, kpi),
        side=pack.words(f"journey.side.{side_of(pack, stage) or 'same'}"),
    )


def _valued(row: Any, kpi: ShownKpi) -> str:
    if row is None or not row.is_shown:
        return tables.figure_text(row, kpi)
    return tables.value_text(row.value, kpi) + tables.second(tables.interval_text(row.ci_low, row.ci_high, kpi))


def _against_all(pack: Pack, stage: Any, kpi: ShownKpi) -> str:
    if stage is None or stage.is_hidden or stage.relative is None:
        return ""
    side = side_of(pack, stage)
    said = pack.words(f"journey.side.{side or 'same'}")
    size = pack.words(f"tables.beside.{side}", size=tables.size_text(stage.relative, kpi)) if side else said
    return size + tables.second(signed_range(stage.relative_ci_low, stage.relative_ci_high, kpi))


def _dropped(pack: Pack, stage: Any) -> str:
    """Return the share of customers who went no further, and of how many, or why there is none."""
    if stage is None:
        return pack.words("journey.no_events")
    if stage.is_hidden:
        return pack.words("tables.not_shown")
    if stage.drop_off is None:
        return pack.words("journey.last")
    followed = pack.words("tables.counted.customers", stage.n - stage.n_open)
    return pack.words.percent(stage.drop_off, 1) + tables.second(
        f"{share_range(pack, stage.ci_low, stage.ci_high)}; {followed}"
    )


def _labelled(pack: Pack, cell: Any) -> str:
    name = textwrap.shorten(label(pack, "touchpoint", cell.touchpoint), _TOUCHPOINT_LETTERS, placeholder="…")
    if cell.is_hidden:
        return name
    return pack.words("charts.segments.labelled", name=name, n=pack.words.number(cell.n))


def _touchpoints_table(pack: Pack, cells: Rows, kpi: ShownKpi) -> str:
    words = pack.words
    head = [words("journey.head.stage"), words("journey.head.touchpoint"), escape_markdown(kpi.short)]
    lines = [
        [
            escape_markdown(label(pack, "stage", cell.stage)),
            escape_markdown(label(pack, "touchpoint", cell.touchpoint)),
            _valued(cell, kpi),
            "" if cell.is_hidden else tables.base_text(cell, kpi),
        ]
        for cell in cells
    ]
    return pipe_table(pack.mark, [*head, words("tables.head.base")], lines, "llrr")


def _no_pain_points(pack: Pack) -> Markdown:
    if not rows(pack, _POINTS):
        return missing(pack, "journey", "journey.subject.map")
    return Markdown(pack.words("journey.pain_point.none"))


def _pain_sentence(pack: Pack, row: Any) -> str:
    kpi, words = pack.kpis[row.kpi], pack.words
    target = pack.report.targets.get(kpi.id)
    aim = words("journey.pain_point.whole")
    if target is not None:
        aim = words("journey.pain_point.target", target=tables.value_text(target, kpi, 0))
    cell = _cell(pack, row)
    return words(
        "journey.pain_point.sentence",
        touchpoint=escape_markdown(label(pack, "touchpoint", row.touchpoint)),
        stage=escape_markdown(label(pack, "stage", row.stage)),
        kpi=escape_markdown(kpi.short),
        value=tables.value_text(row.value, kpi),
        interval=tables.interval_text(cell.ci_low, cell.ci_high, kpi),
        base=tables.base_text(row, kpi),
        impact=tables.size_text(row.impact, kpi, long=True),
        impact_interval=size_range(row.impact_ci_low, row.impact_ci_high, kpi),
        aim=aim,
    )


def _cell(pack: Pack, row: Any) -> Any:
    """Return the touchpoint's row of the map, which has the interval of its score."""
    return next(cell for cell in rows(pack, _MAP) if (cell.stage, cell.touchpoint) == (row.stage, row.touchpoint))


def _chance(pack: Pack, probability: float | None) -> str:
    """Return a probability that never claims to be certain."""
    if probability is None:
        return ""
    if probability > _ALMOST_SURE:
        return pack.words("journey.over", share=pack.words.percent(_ALMOST_SURE))
    if probability < _HARDLY:
        return pack.words("journey.under", share=pack.words.percent(_HARDLY))
    return pack.words.percent(probability)


def _consistency_sentence(pack: Pack, row: Any) -> str:
    kpi, words = pack.kpis[row.kpi], pack.words
    names = {
        "kpi": escape_markdown(f"{kpi.short}: {pack.question_title(row.question)}" if row.question else kpi.short),
        "segment": escape_markdown(pack.segment_name(row.segment)),
        "count": row.n_levels,
    }
    if row.tau is None or row.p_value is None:
        return words("journey.consistency.too_few", **names)
    if row.p_value >= 1 - pack.report.confidence:
        return words("journey.consistency.same", most=tables.size_text(row.tau_high, kpi), **names)
    return words(
        "journey.consistency.differ",
        tau=tables.size_text(row.tau, kpi),
        interval=size_range(row.tau_low, row.tau_high, kpi),
        apart=tables.size_text(row.range, kpi),
        **names,
    )


def _switched(pack: Pack, key: str, row: Any) -> str:
    return pack.words(
        key,
        share=pack.words.percent(row.share),
        interval=share_range(pack, row.ci_low, row.ci_high),
        customers=pack.words.number(row.n),
        left_out=pack.words.number(row.n_left_out or 0),
    )
