"""Charts of figures: each names its subject, its unit, its base and its source, and draws nothing that is hidden.

Beside its picture, a chart says in words what it shows and hands over the numbers drawn.
"""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from math import ceil, isnan
from typing import Any, NamedTuple

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.path import Path
from matplotlib.ticker import Formatter, MaxNLocator

from cxreport.config import Unit
from cxreport.periods import Period, PeriodKind
from cxreport.present import tables
from cxreport.present.markup import Markdown, Picture, Pictures, escape_markdown, one_line, pipe_table
from cxreport.present.pack import Figure, MixRow, Pack, ShownKpi
from cxreport.present.theme import ACCENT, FAINT, INK, MUTED, PALE, PAPER, SMALL, WARNING, blank, picture, themed
from cxreport.present.words import Words

# Durations are drawn in hours, shares in percent.
_PER_UNIT: dict[Unit, float] = {"percent": 100.0, "minutes": 1 / 60}
ROW, FRAME = 0.26, 0.95  # inches: one line of a dot plot, and title and axis around them
_MOST_ROWS = 18  # lines of one dot plot, so that it fits a printed page at full width
_TITLE_LETTERS = 44
_LABEL_LETTERS = 22
_EVENT_LETTERS = 26
# Two years and one period, so that a period stands beside those a year ago; of weeks one year.
_MOST_PERIODS: dict[PeriodKind, int] = {"week": 53, "month": 25, "quarter": 25, "year": 25}
_MOST_TRENDS = 6  # of one picture, so that it fits a printed page at full width
_TRENDS_BESIDE = 3  # KPIs in one table of numbers
_MOST_STRETCH = 4.0  # times that a panel's own range fits into the common one before its line lies flat
_TICKS_APART: dict[PeriodKind, int] = {"week": 13, "month": 6, "quarter": 2, "year": 1}
_FROM_CORNER: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
_OVER_LINES: dict[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
_SMALL_TITLE: dict[str, Any] = {"color": INK, "fontsize": SMALL, "pad": 17}
SHAPES = {"rose": "^", "above": "^", "fell": "v", "below": "v"}  # so that no verdict is told by colour alone
Said = dict[str, Any]  # values of a sentence, by the names it has for them

# By whether the axis lies; in tenths of a point, from the axis' end onwards.
_ALONG, _ACROSS = (0, 1, 2, 3, 4, 5), (0, 1, -1, 1, -1, 0)
_ZIGZAG = {True: Path(list(zip(_ALONG, _ACROSS, strict=True))), False: Path(list(zip(_ACROSS, _ALONG, strict=True)))}


class Event(NamedTuple):
    """Something that happened on a day, as a chart names it; plain text."""

    day: date
    label: str


def trend(pack: Pack, kpi: ShownKpi, events: Sequence[Event] = ()) -> Picture | Markdown:
    """Return a KPI's periods with their usual range, the reported one marked with its value and interval.

    Events within the periods drawn stand as dashed lines with their labels.
    """
    if not _has_line(pack, kpi):
        return Markdown(pack.words("charts.no_trend"))
    words, last = pack.words, pack.total(kpi.id)
    title = words("charts.of_unit", subject=_by_period(pack, kpi.short), unit=_axis(kpi))
    known = [event for event in events if _period_of(pack, event) in _periods(pack)]
    with themed():
        canvas = blank(2.05 + 0.17 * len(known), title=wrapped(title))
        axes = canvas.subplots()
        is_cut = _draw_trend(axes, pack, kpi)
        _name_band(axes, pack, kpi)
        _draw_events(axes, pack, known)
        bar = words("charts.trend.complete") if kpi.type == "count" else ""
        if not bar and last and last.is_shown:
            base = escape_markdown(tables.base_text(last, kpi))
            bar = words("charts.trend.interval", confidence=pack.confidence, base=base)
        told = [words("charts.trend.event", label=event.label, period=_said(pack, event)) for event in known]
        listed = words("charts.trend.events", events=escape_markdown(words.joined(told))) if told else ""
        notes = closing_notes(pack, is_cut, _gap(pack, [kpi]), listed)
        return picture(
            canvas,
            pack.mark,
            alt=_in_words(pack, kpi, title),
            caption=words("charts.trend.caption", shaded=_shaded(pack, "trend", [kpi]), bar=bar, notes=notes).strip(),
            data=_trend_table(pack, kpi),
        )


def trends(pack: Pack) -> Pictures | Markdown:
    """Return the periods of all KPIs, each area in as many pictures as it needs."""
    pages = []
    for area, kpis in pack.areas.items():
        shown = [kpi for kpi in kpis if _has_line(pack, kpi)]
        parts = ceil(len(shown) / _MOST_TRENDS)
        size = ceil(len(shown) / parts) if parts else 0  # the pictures of an area are about equally full
        title = _by_period(pack, one_line(area) or pack.words("charts.trends.all"))
        for part in range(parts):
            numbered = pack.words("charts.trends.part", title=title, part=part + 1, parts=parts)
            pages.append((numbered if parts > 1 else title, shown[part * size : (part + 1) * size]))
    if not pages:
        return Markdown(pack.words("charts.no_trend"))
    return Pictures(tuple(_trends_of(pack, title, kpis) for title, kpis in pages))


def segments(pack: Pack, kpi: ShownKpi) -> Pictures | Markdown:
    """Return a KPI in every level of the report's segments with intervals, beside the total.

    Levels stand sorted within their segment; hidden ones say why instead of showing a dot. Segments share a picture
    as long as their lines fit a printed page.
    """
    total = pack.total(kpi.id)
    pages = _pages({name: figures for name in pack.segments if (figures := pack.figures(kpi.id, name))})
    if total is None or not total.is_shown or not pages:
        return Markdown(pack.words("charts.not_by_group", kpi=escape_markdown(kpi.short)))
    return Pictures(tuple(_segments_of(pack, kpi, total, names) for names in pages))


def before_after(pack: Pack, kpi: ShownKpi, segment: str) -> Picture | Markdown:
    """Return a KPI in every level of a segment in the period before and now, largest fall first."""
    words = pack.words
    if segment not in pack.segments:
        return Markdown(words("charts.no_segment", segment=escape_markdown(segment)))
    levels = [level for level in pack.figures(kpi.id, segment) if level.is_shown and level.previous is not None]
    if not levels:
        return Markdown(words("charts.no_earlier"))
    levels = sorted(levels, key=lambda level: (level.change or 0, level.level))[:_MOST_ROWS]
    title = words("charts.by.group", subject=kpi.short, segment=pack.segment_name(segment))
    months: Said = {"before": words.period(pack.period.previous), "now": words.period(pack.period)}
    with themed():
        canvas = blank(FRAME + 0.15 + ROW * len(levels), title=wrapped(title))
        axes = canvas.subplots()
        for place, level in enumerate(levels):
            _draw_change(axes, place, level, kpi)
        is_cut = list_down(axes, [_labelled(pack, level) for level in levels], kpi)
        moved = [
            words(
                "charts.before_after.level",
                name=one_line(pack.group_label(level)),
                change=tables.change_text(level, kpi),
                first=tables.value_text(level.previous, kpi),
                last=tables.value_text(level.value, kpi),
            )
            for level in levels
            if level.verdict in SHAPES
        ]
        told = " ".join(moved) or words("charts.before_after.none")
        return picture(
            canvas,
            pack.mark,
            alt=words("charts.before_after.alt", title=title, moved=told, **months),
            caption=words("charts.before_after.caption", notes=closing_notes(pack, is_cut), **months),
            data=_change_table(pack, kpi, levels, months),
        )


def mix(pack: Pack) -> Picture | Markdown:
    """Return what each level of the segment that matters most did to the leading KPI: by its value, by its share."""
    kpi, segment, words = pack.leading, pack.mix_segment, pack.words
    rows = [row for row in pack.mix_rows(segment) if not row.is_hidden] if segment else []
    total = pack.mix_total(segment) if segment else None
    if not rows or not total:
        return Markdown("")
    names = [one_line(pack.level_label(segment, row.level)) for row in rows] + [words("charts.mix.total")]
    title = words("charts.mix.title", kpi=kpi.short, segment=pack.segment_name(segment))
    months: Said = {"before": words.period(pack.period.previous), "now": words.period(pack.period)}
    parts: dict[str, Said] = {
        name: {"rate": tables.signed_text(row.rate_effect, kpi), "mix": tables.signed_text(row.mix_effect, kpi)}
        for name, row in zip(names, [*rows, total], strict=True)
    }
    with themed():
        canvas = blank(FRAME + 0.2 + ROW * len(names), title=wrapped(title))
        _draw_effects(canvas.subplots(1, 2, sharex=True, sharey=True), [*rows, total], names, kpi)
        levels = "; ".join(words("charts.mix.level", name=name, **parts[name]) for name in names[:-1])
        head = [words(f"charts.head.{part}") for part in ("group", "rate", "mix")]
        shown = [[escape_markdown(name), part["rate"], part["mix"]] for name, part in parts.items()]
        subject = escape_markdown(kpi.short)
        return picture(
            canvas,
            pack.mark,
            alt=words("charts.mix.alt", title=title, levels=levels, **parts[names[-1]], **months),
            caption=words("charts.mix.caption", kpi=subject, notes=closing_notes(pack), **months),
            data=pipe_table(pack.mark, head, shown, "lrr"),
        )


# --- one picture of several ------------------------------------------------------------------------


def _trends_of(pack: Pack, title: str, kpis: Sequence[ShownKpi]) -> Picture:
    words = pack.words
    lines = (len(kpis) + 1) // 2
    with themed():
        canvas = blank(1.45 * lines + 0.45, title=wrapped(title))
        grid = list(canvas.subplots(lines, 2, squeeze=False).flat)
        panels = list(zip(grid, kpis, strict=False))
        for axes, kpi in panels:
            _draw_trend(axes, pack, kpi, small=True)
            axes.set_title(_short(kpi.short, _LABEL_LETTERS), **_SMALL_TITLE)
            axes.set_ylabel(_axis(kpi), fontsize=SMALL - 1)
        for axes in grid[len(kpis) :]:
            axes.set_axis_off()
        scales = words("charts.trends.same_scale" if _share_steps(panels) else "charts.trends.own_scale")
        are_cut = [mark_cut(axes, axes.yaxis, kpi) for axes, kpi in panels]
        parts: Said = {
            "shaded": _shaded(pack, "trends", kpis),
            "notes": closing_notes(pack, any(are_cut), _gap(pack, kpis)),
        }
        return picture(
            canvas,
            pack.mark,
            alt=_all_in_words(pack, kpis, title),
            caption=words("charts.trends.caption", confidence=pack.confidence, scales=scales, **parts).strip(),
            data=_trends_table(pack, kpis),
        )


def _segments_of(pack: Pack, kpi: ShownKpi, total: Figure, names: Sequence[str]) -> Picture:
    words = pack.words
    rows: list[tuple[str, Figure | None]] = []
    for name in names:
        if len(names) > 1:  # the title names a single one
            rows.append((one_line(pack.segments[name].title), None))
        rows += [(_labelled(pack, level), level) for level in _ranked(pack, kpi, name)]
    subject = one_line(words.joined([pack.segment_name(name) for name in names]))
    title = words("charts.by.group", subject=kpi.short, segment=subject)
    with themed():
        canvas = blank(FRAME + ROW * len(rows), title=wrapped(title))
        axes = canvas.subplots()
        _draw_total(axes, total, kpi)
        for place, (label, level) in enumerate(rows):
            if level:
                _draw_level(axes, place, level, kpi)
            else:
                write_at_left(axes, label, place, weight="bold")
        is_cut = list_down(axes, [label if level else "" for label, level in rows], kpi)
        levels = [level for _, level in rows if level]
        caption = words(
            "charts.segments.caption",
            base=escape_markdown(tables.base_text(total, kpi)),
            confidence=pack.confidence,
            notes=closing_notes(pack, is_cut),
        )
        return picture(
            canvas,
            pack.mark,
            alt=_levels_in_words(pack, kpi, total, levels, title),
            caption=caption,
            data=_level_table(pack, kpi, [total, *levels]),
        )


# --- parts of charts -----------------------------------------------------------------------------


def _draw_trend(axes: Axes, pack: Pack, kpi: ShownKpi, *, small: bool = False) -> bool:
    """Draw the line of a KPI; return whether its axis leaves out where it starts (a small one is marked later)."""
    periods, series = _series(pack, kpi)
    places = range(len(periods))
    low = [scaled(figure.usual_low if figure else None, kpi) for figure in series]
    high = [scaled(figure.usual_high if figure else None, kpi) for figure in series]
    axes.fill_between(places, low, high, color=FAINT, linewidth=0)
    values = [scaled(figure.value if figure and figure.is_shown else None, kpi) for figure in series]
    axes.plot(places, values, color=MUTED, linewidth=1.4)
    if lone := _between_gaps(values):
        axes.plot(lone, [values[place] for place in lone], ".", color=MUTED, markersize=3)
    if (last := series[-1]) and last.is_shown:
        _draw_last(axes, (places[-1], values[-1]), last, kpi, small=small)
    axes.set_xlim(-0.5, len(periods) - 0.5)
    ticks = list(places)[::-1][:: _TICKS_APART[pack.period.kind] * (2 if small else 1)]
    axes.set_xticks(ticks, [_when(pack, periods[place]) for place in ticks], size=SMALL)
    scale_in_words(axes.yaxis, kpi.words, 3 if small else 5)
    axes.tick_params(axis="y", labelsize=SMALL, length=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set(xlabel="", ylabel="")
    sns.despine(ax=axes, left=True)
    return not small and mark_cut(axes, axes.yaxis, kpi)


def _between_gaps(values: Sequence[float]) -> list[int]:
    """Return the places of values beside which there is none, which no line reaches.

    >>> _between_gaps([1.0, float("nan"), 2.0, float("nan"), 3.0, 4.0])
    [0, 2]
    """
    is_gap = [True, *map(isnan, values), True]
    return [place for place in range(len(values)) if is_gap[place] and not is_gap[place + 1] and is_gap[place + 2]]


def _draw_last(axes: Axes, at: tuple[float, float], last: Figure, kpi: ShownKpi, *, small: bool) -> None:
    is_worse = tables.is_worse(kpi, last.verdict) or tables.is_alarming(kpi, last)
    colour = WARNING if is_worse else ACCENT
    marker, size = SHAPES.get(last.verdict or "", "o"), 5 if small else 6
    axes.errorbar(*at, yerr=reach_of(last, kpi), color=colour, marker=marker, markersize=size, clip_on=False)
    text = tables.figure_text(last, kpi)
    if small:
        axes.annotate(text, (0, 1), (0, 4), **_FROM_CORNER, color=colour, weight="bold", size=SMALL)
    else:
        write_beside(axes, text, at, (7, 0), color=colour, weight="bold", size=13)


def _name_band(axes: Axes, pack: Pack, kpi: ShownKpi) -> None:
    """Write what the band is right above it, at its first period."""
    _, series = _series(pack, kpi)
    tops = [
        (place, figure.usual_high) for place, figure in enumerate(series) if figure and figure.usual_high is not None
    ]
    if tops:
        place, top = tops[0]
        at = (place, scaled(top, kpi))
        write_beside(axes, pack.words("charts.trend.usual"), at, (1, 2), color=MUTED, size=SMALL - 0.5, va="bottom")


def _draw_events(axes: Axes, pack: Pack, events: Sequence[Event]) -> None:
    """Draw events as dashed lines, their labels above the axes, one line each, so that none covers another."""
    periods = _periods(pack)
    for row, event in enumerate(sorted(events)):
        place = periods.index(_period_of(pack, event))
        axes.axvline(place, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        label = _short(event.label, _EVENT_LETTERS)
        side = "right" if place > len(periods) / 2 else "left"
        at: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(label, (place, 1), (0, 2 + 11 * row), **at, color=INK, size=SMALL - 0.5, ha=side)


def _draw_total(axes: Axes, total: Figure, kpi: ShownKpi) -> None:
    at = scaled(total.value, kpi)
    axes.axvline(at, color=PALE, linewidth=1)
    text = kpi.words("charts.segments.total", value=tables.figure_text(total, kpi))
    write_beside(axes, text, (at, -0.6), (0, 2), color=MUTED, size=SMALL, ha="center", va="bottom")


def _draw_level(axes: Axes, place: int, level: Figure, kpi: ShownKpi) -> None:
    if hidden := tables.mask(level, kpi):
        write_at_left(axes, hidden, place, color=MUTED, style="italic")
        return
    side = tables.side(level)
    colour = MUTED if side is None else ACCENT if (side == "above") == kpi.higher_is_better else WARNING
    at, reach = scaled(level.value, kpi), reach_of(level, kpi)
    shape = SHAPES.get(side or "", "o")
    axes.errorbar(at, place, xerr=reach, color=colour, marker=shape, markersize=5, linewidth=1.5)
    if side:
        end = (at + (reach[1][0] if reach else 0), place)
        text = tables.value_text(level.value, kpi)
        write_beside(axes, text, end, (5, 0), color=colour, weight="bold", size=SMALL)


def _draw_change(axes: Axes, place: int, level: Figure, kpi: ShownKpi) -> None:
    before, now = scaled(level.previous, kpi), scaled(level.value, kpi)
    moved = level.verdict in SHAPES
    colour = (WARNING if tables.is_worse(kpi, level.verdict) else ACCENT) if moved else MUTED
    axes.plot([before, now], [place, place], color=colour if moved else PALE, linewidth=1.6, zorder=1)
    axes.plot(before, place, "o", markersize=5.5, markerfacecolor=PAPER, markeredgecolor=colour)
    axes.plot(now, place, SHAPES.get(level.verdict or "", "o"), markersize=6, color=colour)
    if moved:
        ends: Said = {"before": tables.value_text(level.previous, kpi), "now": tables.value_text(level.value, kpi)}
        text = kpi.words("charts.before_after.moved", **ends)
        middle = ((before + now) / 2, place)
        write_beside(axes, text, middle, (0, 3), color=colour, weight="bold", size=SMALL, ha="center", va="bottom")


def _draw_effects(panels: Sequence[Axes], rows: Sequence[MixRow], names: Sequence[str], kpi: ShownKpi) -> None:
    """Draw both parts of a change beside each other on one scale, every bar with its value."""
    for axes, part in zip(panels, ("rate", "mix"), strict=True):
        sizes = [getattr(row, f"{part}_effect") for row in rows]
        bars = [scaled(size, kpi) for size in sizes]
        axes.barh(range(len(rows)), [0 if isnan(bar) else bar for bar in bars], color=ACCENT, height=0.6)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for place, (size, bar) in enumerate(zip(sizes, bars, strict=True)):
            text = tables.signed_text(size, kpi)
            is_left = bar < 0
            at = (0 if isnan(bar) else bar, place)
            side = "right" if is_left else "left"
            write_beside(axes, text, at, (-3 if is_left else 3, 0), color=INK, size=SMALL, ha=side)
        axes.margins(x=0.45)
        list_down(axes, names, kpi)
        axes.set_title(kpi.words(f"charts.mix.{part}"), color=INK, fontsize=SMALL)


def list_down(axes: Axes, labels: Sequence[str], kpi: ShownKpi) -> bool:
    """Write the labels of horizontal rows, the first on top, and the unit below; return whether the axis is cut."""
    axes.set_yticks(range(len(labels)), labels, size=SMALL + 0.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=SMALL)
    scale_in_words(axes.xaxis, kpi.words, 5)
    axes.set_xlabel(_axis(kpi), size=SMALL)
    axes.set_ylabel("")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    sns.despine(ax=axes, left=True)
    return mark_cut(axes, axes.xaxis, kpi)


def write_at_left(axes: Axes, text: str, place: int, **look: Any) -> None:
    """Write a text at the left end of a row."""
    axes.annotate(
        text, (0.01, place), xycoords=("axes fraction", "data"), va="center", size=SMALL, bbox=_OVER_LINES, **look
    )


def write_beside(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    away: tuple[float, float],
    *,
    va: str = "center",
    **look: Any,
) -> None:
    """Write a text some points away from a place in the data, also beyond the axes."""
    axes.annotate(text, at, away, textcoords="offset points", va=va, annotation_clip=False, **look)


# --- scales --------------------------------------------------------------------------------------


class _Spoken(Formatter):
    """Tick labels in the number format of a language, with as many digits as the ticks need."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def format_ticks(self, values: Iterable[float]) -> list[str]:
        ticks = [float(value) for value in values]
        digits = max(len(f"{tick:g}".partition(".")[2]) for tick in ticks) if ticks else 0
        return [self.words.number(tick, digits) for tick in ticks]


def scale_in_words(axis: Axis, words: Words, ticks: int) -> None:
    axis.set_major_locator(MaxNLocator(ticks))
    axis.set_major_formatter(_Spoken(words))


def mark_cut(axes: Axes, axis: Axis, kpi: ShownKpi) -> bool:
    """Put a zigzag at the low end of an axis that leaves out where its scale starts; return whether it does."""
    low, high = sorted(axis.get_view_interval())
    if low <= _start(kpi) <= high:
        return False
    look: dict[str, Any] = {"marker": _ZIGZAG[axis is axes.xaxis], "markerfacecolor": "none", "clip_on": False}
    for colour, width in ((PAPER, 3.5), (MUTED, 1.0)):  # a gap in the axis, and the zigzag in it
        stroke: dict[str, Any] = {"markeredgecolor": colour, "markeredgewidth": width, "markersize": 13}
        axes.plot(0, 0, transform=axes.transAxes, zorder=5, **look, **stroke)
    return True


def _start(kpi: ShownKpi) -> float:
    """Return where the scale of a KPI starts."""
    return kpi.scale.low if kpi.unit == "score" and kpi.scale else 0.0


def _share_steps(panels: Sequence[tuple[Axes, ShownKpi]]) -> bool:
    """Give panels of one unit the same range, unless that would flatten one; return whether all of them have it."""
    is_shared = True
    for _, group in groupby(sorted(panels, key=lambda panel: _axis(panel[1])), key=lambda panel: _axis(panel[1])):
        same = [axes for axes, _ in group]
        ranges = [high - low for low, high in (axes.get_ylim() for axes in same)]
        if max(ranges) > _MOST_STRETCH * min(ranges):
            is_shared = False
            continue
        for axes in same:
            low, high = axes.get_ylim()
            bottom = (low + high - max(ranges)) / 2
            bottom = max(bottom, 0.0) if low >= 0 else bottom
            axes.set_ylim(bottom, bottom + max(ranges))
    return is_shared


# --- in words and numbers ----------------------------------------------------------------------------


def _in_words(pack: Pack, kpi: ShownKpi, title: str) -> str:
    """Return what a trend shows: its ends, its extremes, and what tests found."""
    words = pack.words
    periods, series = _series(pack, kpi)
    shown = [figure for figure in series if figure and figure.is_shown]
    lowest, highest = (choose(shown, key=lambda figure: figure.value or 0) for choose in (min, max))
    last = shown[-1]
    ends = {"first_period": periods[0], "last_period": periods[-1]}
    when: Said = {name: words.period(Period.parse(period)) for name, period in ends.items()}
    told = [
        words(
            "charts.trend.alt",
            title=title,
            first=tables.value_text(shown[0].value, kpi),
            last=tables.value_text(last.value, kpi),
            low=tables.value_text(lowest.value, kpi),
            low_period=words.period(Period.parse(lowest.period)),
            high=tables.value_text(highest.value, kpi),
            high_period=words.period(Period.parse(highest.period)),
            **when,
        )
    ]
    if last.period == periods[-1] and last.previous is not None:
        told.append(
            words("charts.trend.against", change=tables.change_text(last, kpi), last_period=when["last_period"])
        )
    if last.period == periods[-1] and last.signal:
        told.append(words("charts.trend.signal", signal=words.text(last.signal), last_period=when["last_period"]))
    return " ".join(told)


def _all_in_words(pack: Pack, kpis: Sequence[ShownKpi], title: str) -> str:
    words = pack.words
    periods = _periods(pack)
    panels = []
    for kpi in kpis:
        _, series = _series(pack, kpi)
        shown = [figure for figure in series if figure and figure.is_shown]
        ends: Said = {
            "first": tables.value_text(shown[0].value, kpi),
            "last": tables.value_text(shown[-1].value, kpi),
        }
        signal = shown[-1].signal if shown[-1].period == periods[-1] else None
        if signal:
            panels.append(words("charts.trends.panel_signal", kpi=kpi.short, signal=words.text(signal), **ends))
        else:
            panels.append(words("charts.trends.panel", kpi=kpi.short, **ends))
    return words(
        "charts.trends.alt",
        title=title,
        first_period=words.period(Period.parse(periods[0])),
        last_period=words.period(Period.parse(periods[-1])),
        panels="; ".join(panels),
    )


def _levels_in_words(pack: Pack, kpi: ShownKpi, total: Figure, levels: Sequence[Figure], title: str) -> str:
    """Return the ends of every segment, and which levels a test tells from all others."""
    words = pack.words
    told = []
    for name, group in groupby((level for level in levels if level.is_shown), key=lambda level: level.segment):
        ranked = sorted(group, key=lambda level: level.value or 0)
        ends = {"low": ranked[0], "high": ranked[-1]}
        values: Said = {end: tables.value_text(level.value, kpi) for end, level in ends.items()}
        named: Said = {f"{end}_name": one_line(pack.group_label(level)) for end, level in ends.items()}
        told.append(words("charts.segments.level", segment=pack.segments[name].title, **values, **named))
    apart = {
        side: [one_line(pack.group_label(level)) for level in levels if tables.side(level) == side]
        for side in ("above", "below")
    }
    told += [words(f"charts.segments.{side}", names=words.joined(names)) for side, names in apart.items() if names]
    everyone = tables.figure_text(total, kpi)
    return words("charts.segments.alt", title=title, total=everyone, levels=" ".join(told))


def _trend_table(pack: Pack, kpi: ShownKpi) -> str:
    words = pack.words
    head = [_head(pack, part) for part in ("period", "value", "interval", "usual", "base")]
    periods, series = _series(pack, kpi)
    rows = [
        [
            words.period(Period.parse(period)),
            escape_markdown(tables.figure_text(figure, kpi)),
            escape_markdown(_interval(figure, kpi)),
            escape_markdown(_usual(pack, figure, kpi)),
            escape_markdown(tables.base_text(figure, kpi)) if figure else "",
        ]
        for period, figure in zip(periods, series, strict=True)
    ]
    return pipe_table(pack.mark, head, rows, "lrrrr")


def _trends_table(pack: Pack, kpis: Sequence[ShownKpi]) -> str:
    """Return tables of a few KPIs each, newest period last, every value with its usual range."""
    words, periods = pack.words, _periods(pack)
    found = []
    for first in range(0, len(kpis), _TRENDS_BESIDE):
        beside = kpis[first : first + _TRENDS_BESIDE]
        columns = [[_with_usual(pack, figure, kpi) for figure in _series(pack, kpi)[1]] for kpi in beside]
        months = [words.period(Period.parse(period)) for period in periods]
        head = [_head(pack, "period"), *(words("charts.trends.head", kpi=escape_markdown(kpi.short)) for kpi in beside)]
        found.append(pipe_table(pack.mark, head, list(zip(months, *columns, strict=True)), "l" + "r" * len(beside)))
    return "\n\n".join(found)


def _level_table(pack: Pack, kpi: ShownKpi, figures: Sequence[Figure]) -> str:
    words = pack.words
    head = [_head(pack, part) for part in ("group", "value", "interval", "base", "against_all")]
    rows = [
        [
            escape_markdown(pack.group_label(figure)),
            escape_markdown(tables.figure_text(figure, kpi)),
            escape_markdown(_interval(figure, kpi)),
            "" if figure.is_hidden else escape_markdown(tables.base_text(figure, kpi)),
            words(f"charts.segments.side.{tables.side(figure) or 'same'}") if place and figure.is_shown else "",
        ]
        for place, figure in enumerate(figures)
    ]
    return pipe_table(pack.mark, head, rows, "lrrrl")


def _change_table(pack: Pack, kpi: ShownKpi, levels: Sequence[Figure], months: dict[str, str]) -> str:
    head = [_head(pack, "group"), *months.values(), _head(pack, "change"), _head(pack, "base")]
    rows = [
        [
            escape_markdown(pack.group_label(level)),
            escape_markdown(tables.value_text(level.previous, kpi)),
            escape_markdown(tables.value_text(level.value, kpi)),
            escape_markdown(tables.change_text(level, kpi)),
            escape_markdown(tables.base_text(level, kpi)),
        ]
        for level in levels
    ]
    return pipe_table(pack.mark, head, rows, "lrrlr")


def _head(pack: Pack, part: str) -> str:
    return pack.words(f"charts.head.{part}", confidence=pack.confidence)


def _interval(figure: Figure | None, kpi: ShownKpi) -> str:
    return tables.interval_text(figure.ci_low, figure.ci_high, kpi) if figure and figure.is_shown else ""


def _usual(pack: Pack, figure: Figure | None, kpi: ShownKpi) -> str:
    if figure is None or figure.usual_low is None or figure.usual_high is None:
        return ""
    ends: Said = {"low": tables.value_text(figure.usual_low, kpi), "high": tables.value_text(figure.usual_high, kpi)}
    return pack.words("charts.between", **ends)


def _with_usual(pack: Pack, figure: Figure | None, kpi: ShownKpi) -> str:
    """Return a table's cell of a value and, where it has one, its usual range."""
    value = tables.figure_text(figure, kpi)
    if figure is None or not figure.is_shown or figure.usual_low is None or figure.usual_high is None:
        return escape_markdown(value)
    ends: Said = {"low": tables.value_text(figure.usual_low, kpi), "high": tables.value_text(figure.usual_high, kpi)}
    return escape_markdown(pack.words("charts.trends.cell", value=value, **ends))


def closing_notes(pack: Pack, is_cut: bool = False, *more: str) -> str:
    """Return what closes a caption: how to read a cut axis, more notes, and the source."""
    words = pack.words
    cut = words("charts.cut") if is_cut else ""
    source = words("charts.source", source=escape_markdown(words.text(pack.dataset.title)))
    return " ".join(filter(None, [cut, *more, source]))


# --- from figures to places and words ------------------------------------------------------------


def _axis(kpi: ShownKpi) -> str:
    """Return what the axis of a KPI counts."""
    return kpi.currency if kpi.unit == "money" and kpi.currency else kpi.words(f"charts.unit.{kpi.unit}")


def _by_period(pack: Pack, subject: str) -> str:
    return pack.words(f"charts.by.{pack.report.period_kind}", subject=subject)


def scaled(value: float | None, kpi: ShownKpi) -> float:
    """Return a value in the unit of its axis; what is missing leaves a gap."""
    return float("nan") if value is None else value * _PER_UNIT.get(kpi.unit, 1.0)


def reach_of(figure: Figure, kpi: ShownKpi) -> list[list[float]] | None:
    """Return how far the interval reaches below and above the value; `None` for a figure without one."""
    if figure.value is None or figure.ci_low is None or figure.ci_high is None:
        return None
    # An interval need not hold its value: adjusted Wald is centred elsewhere.
    reach = (max(0.0, figure.value - figure.ci_low), max(0.0, figure.ci_high - figure.value))
    return [[scaled(distance, kpi)] for distance in reach]


def _shaded(pack: Pack, chart: str, kpis: Sequence[ShownKpi]) -> str:
    """Return what the shaded area is; nothing where no KPI has the periods that a usual range takes."""
    figures = (figure for kpi in kpis for figure in _series(pack, kpi)[1] if figure)
    is_drawn = any(figure.usual_low is not None for figure in figures)
    return pack.words(f"charts.{chart}.shaded") if is_drawn else ""


def _gap(pack: Pack, kpis: Sequence[ShownKpi]) -> str:
    """Return what a gap between two parts of a line is; nothing where no line has one."""
    lines = ("".join("x" if is_shown else " " for is_shown in _are_shown(pack, kpi)).strip() for kpi in kpis)
    return pack.words("charts.gap") if any(" " in line for line in lines) else ""


def _has_line(pack: Pack, kpi: ShownKpi) -> bool:
    return sum(_are_shown(pack, kpi)) > 1


def _are_shown(pack: Pack, kpi: ShownKpi) -> list[bool]:
    """Return for each period of a chart whether it has a figure that is shown."""
    return [figure is not None and figure.is_shown for figure in _series(pack, kpi)[1]]


def _series(pack: Pack, kpi: ShownKpi) -> tuple[list[str], list[Figure | None]]:
    """Return the periods of a chart and a KPI's figure in each; `None` where it was not measured."""
    history = {figure.period: figure for figure in pack.history(kpi.id)}
    periods = _periods(pack)
    return periods, [history.get(period) for period in periods]


def _periods(pack: Pack) -> list[str]:
    """Return the measured periods up to the reported one, without gaps, so that distances are true."""
    first = min(Period.parse(period) for period in pack.estimates["period"].unique())
    periods = [pack.period]
    while periods[0] > first and len(periods) < _MOST_PERIODS[pack.period.kind]:
        periods.insert(0, periods[0].previous)
    return [period.id for period in periods]


def _period_of(pack: Pack, event: Event) -> str:
    return Period.containing(event.day, pack.period.kind).id


def _said(pack: Pack, event: Event) -> str:
    return pack.words.period(Period.parse(_period_of(pack, event)))


def _ranked(pack: Pack, kpi: ShownKpi, segment: str) -> list[Figure]:
    """Return the levels of a segment, highest first and hidden ones last, as many as fit a picture."""
    levels = pack.figures(kpi.id, segment)
    return sorted(levels, key=lambda level: (not level.is_shown, -(level.value or 0), level.level))[:_MOST_ROWS]


def _pages(groups: dict[str, list[Figure]]) -> list[list[str]]:
    """Put each segment into the first picture with room for its rows; a long segment has a picture of its own."""
    pages: list[list[str]] = []
    room: list[int] = []
    for name, levels in groups.items():
        rows = 1 + min(len(levels), _MOST_ROWS)
        page = next((page for page, free in enumerate(room) if free >= rows), len(pages))
        if page == len(pages):
            pages.append([])
            room.append(_MOST_ROWS)
        pages[page].append(name)
        room[page] -= rows
    return pages


def _labelled(pack: Pack, figure: Figure) -> str:
    name = _short(pack.group_label(figure), _LABEL_LETTERS)
    if figure.is_hidden or figure.n is None:
        return name
    return pack.words("charts.segments.labelled", name=name, n=pack.words.number(figure.n))


def _when(pack: Pack, period: str) -> str:
    """Return a period as a short tick label, its year on a second line."""
    parsed = Period.parse(period)
    short = pack.words.short_period(parsed)
    return short if parsed.kind == "year" else f"{short}\n{parsed.year}"


def _short(text: str, letters: int) -> str:
    """Return a label on one line, cut to so many letters."""
    line = one_line(text)
    return line if len(line) <= letters else f"{line[: letters - 1].rstrip()}…"


def wrapped(title: str) -> str:
    return "\n".join(textwrap.wrap(one_line(title), _TITLE_LETTERS))
