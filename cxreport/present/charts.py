"""Charts of figures: each names its subject, its unit, its base and its source, and draws nothing that is hidden."""

import textwrap
from collections.abc import Sequence
from math import ceil
from typing import Any

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cxreport.config import Unit
from cxreport.periods import Period
from cxreport.present import tables
from cxreport.present.markup import Markdown, Picture, escape_markdown, one_line
from cxreport.present.pack import Figure, MixRow, Pack, ShownKpi
from cxreport.present.theme import ACCENT, FAINT, INK, MUTED, PALE, SMALL, WARNING, blank, picture, themed

# What an axis counts where the unit does not say it. Durations are drawn in hours.
_AXIS: dict[Unit, str] = {"percent": "%", "score": "mean score", "minutes": "hours", "times": "on average"}
_PER_UNIT: dict[Unit, float] = {"percent": 100.0, "minutes": 1 / 60}
_ROW, _FRAME = 0.26, 1.2  # inches: one line of a dot plot, and title, axis and caption around them
_MOST_ROWS = 18  # lines of one dot plot, so that it fits a printed page at full width
_CAPTION_LETTERS = 64
_TITLE_LETTERS = 44
_LABEL_LETTERS = 22
_MOST_PERIODS = 25
_MOST_TRENDS = 6  # of one picture, so that it fits a printed page at full width
_TICKS_APART = 6
_FROM_CORNER: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
_SMALL_TITLE: dict[str, Any] = {"color": INK, "fontsize": SMALL, "pad": 17}
_NO_TREND = "There is no earlier period, so there is no trend yet."


def trend(pack: Pack, kpi: ShownKpi) -> Picture | Markdown:
    """Return a KPI's periods with their usual range, the reported one marked with its value and interval."""
    if not _has_line(pack, kpi):
        return Markdown(_NO_TREND)
    last = pack.total(kpi.id)
    base = f" (base {tables.base_text(last, kpi)})" if last and last.is_shown else ""
    bar = "Complete counts." if kpi.type == "count" else f"Bar: {pack.confidence} interval{base}."
    caption = _lines(f"Band: usual range. {bar} {_source(pack)}")
    with themed():
        canvas = blank(2.35, title=f"{kpi.short} by {pack.report.period_kind}, {_axis(kpi)}", caption=caption)
        _draw_trend(canvas.subplots(), pack, kpi)
        return picture(canvas)


def trends(pack: Pack, page: int = 1) -> Picture | Markdown:
    """Return the periods of several KPIs of one area side by side, each on its own scale.

    What does not fit one picture continues on the next page; a page beyond the last is empty.
    """
    pages = [
        (area, shown[first : first + size])
        for area, kpis in pack.areas.items()
        if (shown := [kpi for kpi in kpis if _has_line(pack, kpi)])
        if (size := ceil(len(shown) / ceil(len(shown) / _MOST_TRENDS)))  # pages of an area are about equally full
        for first in range(0, len(shown), size)
    ]
    if page > len(pages):
        return Markdown("" if page > 1 else _NO_TREND)
    area, shown = pages[page - 1]
    lines = (len(shown) + 1) // 2
    caption = _lines(f"Band: usual range. Bar: {pack.confidence} interval. Scales differ. {_source(pack)}")
    title = f"{one_line(area)} by {pack.report.period_kind}" if area else f"By {pack.report.period_kind}"
    with themed():
        canvas = blank(1.45 * lines + 0.75, title=_wrapped(title), caption=caption)
        grid = list(canvas.subplots(lines, 2, squeeze=False).flat)
        for axes, kpi in zip(grid, shown, strict=False):
            _draw_trend(axes, pack, kpi, small=True)
            axes.set_title(textwrap.shorten(one_line(kpi.short), _LABEL_LETTERS, placeholder="…"), **_SMALL_TITLE)
            axes.set_ylabel(_axis(kpi), fontsize=SMALL - 1)
        for axes in grid[len(shown) :]:
            axes.set_axis_off()
        return picture(canvas)


def segments(pack: Pack, kpi: ShownKpi, page: int = 1) -> Picture | Markdown:
    """Return a KPI in every level of the report's segments with intervals, beside the total.

    Levels stand sorted within their segment; hidden ones say why instead of showing a dot. What does not fit one
    picture continues on the next page; a page beyond the last is empty.
    """
    total = pack.total(kpi.id)
    pages = _pages({name: figures for name in pack.segments if (figures := pack.figures(kpi.id, name))})
    if total is None or not total.is_shown or not pages:
        return Markdown(f"{escape_markdown(kpi.short)} is not measured by group." if page == 1 else "")
    if page > len(pages):
        return Markdown("")
    names = pages[page - 1]
    rows: list[tuple[str, Figure | None]] = []
    for name in names:
        rows.append((one_line(pack.segments[name].title), None))
        ranked = sorted(
            pack.figures(kpi.id, name), key=lambda level: (not level.is_shown, -(level.value or 0), level.level)
        )
        rows += [(_labelled(pack, level), level) for level in ranked[:_MOST_ROWS]]
    subject = ", ".join(pack.segment_name(name) for name in names)
    caption = _lines(f"Line: all {tables.base_text(total, kpi)}. Bars: {pack.confidence} intervals. {_source(pack)}")
    with themed():
        canvas = blank(
            _FRAME + _ROW * len(rows), title=_wrapped(f"{kpi.short} by {one_line(subject)}"), caption=caption
        )
        axes = canvas.subplots()
        _draw_total(axes, total, kpi)
        for place, (label, level) in enumerate(rows):
            if level:
                _draw_level(axes, place, level, kpi)
            else:
                _write(axes, label, place, weight="bold")
        _list_down(axes, [label if level else "" for label, level in rows], kpi)
        return picture(canvas)


def before_after(pack: Pack, kpi: ShownKpi, segment: str) -> Picture | Markdown:
    """Return a KPI in every level of a segment in the period before and now, largest fall first."""
    if segment not in pack.segments:
        return Markdown(f"This report has no breakdown by {escape_markdown(segment)}.")
    levels = [level for level in pack.figures(kpi.id, segment) if level.is_shown and level.previous is not None]
    if not levels:
        return Markdown(tables.NO_EARLIER)
    levels = sorted(levels, key=lambda level: (level.change or 0, level.level))[:_MOST_ROWS]
    caption = _lines(
        f"Open dot: {pack.period.previous.label}. Full dot: {pack.period.label}, in colour where the change is more "
        f"than chance usually makes. {_source(pack)}"
    )
    with themed():
        title = f"{kpi.short} by {one_line(pack.segment_name(segment))}"
        canvas = blank(_FRAME + 0.15 + _ROW * len(levels), title=title, caption=caption)
        axes = canvas.subplots()
        for place, level in enumerate(levels):
            _draw_change(axes, place, level, kpi)
        _list_down(axes, [_labelled(pack, level) for level in levels], kpi)
        return picture(canvas)


def mix(pack: Pack) -> Picture | Markdown:
    """Return what each level of the segment that matters most did to the leading KPI: by its value, by its share."""
    kpi, segment = pack.leading, pack.mix_segment
    rows = [row for row in pack.mix_rows(segment) if not row.is_hidden] if segment else []
    if not rows:
        return Markdown("")
    names = [one_line(pack.level_label(segment, row.level)) for row in rows]
    if total := pack.mix_total(segment):
        rows, names = [*rows, total], [*names, "All together"]
    caption = _lines(f"Change from {pack.period.previous.label} to {pack.period.label}. {_source(pack)}")
    with themed():
        title = f"What moved {kpi.short}, by {one_line(pack.segment_name(segment))}"
        canvas = blank(_FRAME + 0.3 + 1.5 * _ROW * len(rows), title=title, caption=caption)
        axes = canvas.subplots()
        _draw_effects(axes, rows, names, kpi)
        _list_down(axes, names, kpi)
        return picture(canvas)


# --- parts of charts -----------------------------------------------------------------------------


def _draw_trend(axes: Axes, pack: Pack, kpi: ShownKpi, *, small: bool = False) -> None:
    history = {figure.period: figure for figure in pack.history(kpi.id)}
    periods = _periods(pack)
    series = [history.get(period) for period in periods]
    places = range(len(periods))
    low = [_scaled(figure.usual_low if figure else None, kpi) for figure in series]
    high = [_scaled(figure.usual_high if figure else None, kpi) for figure in series]
    axes.fill_between(places, low, high, color=FAINT, linewidth=0)
    values = [_scaled(figure.value if figure and figure.is_shown else None, kpi) for figure in series]
    sns.lineplot(x=list(places), y=values, ax=axes, color=MUTED, linewidth=1.4, errorbar=None)
    if (last := series[-1]) and last.is_shown:
        is_worse = tables.is_worse(kpi, last.verdict) or tables.is_alarming(kpi, last)
        colour = WARNING if is_worse else ACCENT
        at = (places[-1], values[-1])
        look: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 5 if small else 6, "clip_on": False}
        axes.errorbar(*at, yerr=_reach(last, kpi), **look)
        if small:
            text = tables.figure_text(last, kpi)
            axes.annotate(text, (0, 1), (0, 4), **_FROM_CORNER, color=colour, weight="bold", size=SMALL)
        else:
            _write_beside(axes, tables.figure_text(last, kpi), at, (7, 0), color=colour, weight="bold", size=13)
    axes.set_xlim(-0.5, len(periods) - 0.5)
    ticks = list(places)[::-1][:: _TICKS_APART * (2 if small else 1)]
    axes.set_xticks(ticks, [_when(periods[place]) for place in ticks], size=SMALL)
    axes.yaxis.set_major_locator(MaxNLocator(3 if small else 5))
    axes.tick_params(axis="y", labelsize=SMALL, length=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set(xlabel="", ylabel="")
    sns.despine(ax=axes, left=True)


def _draw_total(axes: Axes, total: Figure, kpi: ShownKpi) -> None:
    at = _scaled(total.value, kpi)
    axes.axvline(at, color=PALE, linewidth=1)
    text = f"all {tables.figure_text(total, kpi)}"
    _write_beside(axes, text, (at, -0.6), (0, 2), color=MUTED, size=SMALL, ha="center", va="bottom")


def _draw_level(axes: Axes, place: int, level: Figure, kpi: ShownKpi) -> None:
    if hidden := tables.mask(level, kpi):
        _write(axes, hidden, place, color=MUTED, style="italic")
        return
    side = tables.side(level)
    colour = MUTED if side is None else ACCENT if (side == "above") == kpi.higher_is_better else WARNING
    at = _scaled(level.value, kpi)
    axes.errorbar(at, place, xerr=_reach(level, kpi), color=colour, marker="o", markersize=5, linewidth=1.5)


def _draw_change(axes: Axes, place: int, level: Figure, kpi: ShownKpi) -> None:
    before, now = _scaled(level.previous, kpi), _scaled(level.value, kpi)
    moved = level.verdict in {"rose", "fell"}
    colour = (WARNING if tables.is_worse(kpi, level.verdict) else ACCENT) if moved else MUTED
    axes.plot([before, now], [place, place], color=colour if moved else PALE, linewidth=1.6, zorder=1)
    axes.plot(before, place, "o", markersize=5.5, markerfacecolor="white", markeredgecolor=colour)
    axes.plot(now, place, "o", markersize=6, color=colour)
    if moved:
        text = f"{tables.value_text(level.previous, kpi)} to {tables.value_text(level.value, kpi)}"
        middle = ((before + now) / 2, place)
        _write_beside(axes, text, middle, (0, 3), color=colour, weight="bold", size=SMALL, ha="center", va="bottom")


def _draw_effects(axes: Axes, rows: Sequence[MixRow], names: Sequence[str], kpi: ShownKpi) -> None:
    effects = [("its own change", row.rate_effect) for row in rows] + [
        ("its changed share", row.mix_effect) for row in rows
    ]
    sns.barplot(
        x=[_scaled(size, kpi) for _, size in effects],
        y=[*names, *names],
        hue=[by for by, _ in effects],
        palette=[PALE, ACCENT],
        orient="h",
        ax=axes,
        errorbar=None,
        saturation=1,
    )
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=2, frameon=False, fontsize=SMALL, handlelength=1)


def _list_down(axes: Axes, labels: Sequence[str], kpi: ShownKpi) -> None:
    """Write the labels of horizontal rows, the first on top, and the unit below."""
    axes.set_yticks(range(len(labels)), labels, size=SMALL + 0.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(_axis(kpi), size=SMALL)
    axes.set_ylabel("")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    sns.despine(ax=axes, left=True)


def _write(axes: Axes, text: str, place: int, **look: Any) -> None:
    """Write a text at the left end of a row."""
    axes.annotate(text, (0.01, place), xycoords=("axes fraction", "data"), va="center", size=SMALL, **look)


def _write_beside(
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


# --- from figures to places and words ------------------------------------------------------------


def _axis(kpi: ShownKpi) -> str:
    """Return what the axis of a KPI counts."""
    return kpi.currency or "amount" if kpi.unit == "money" else _AXIS.get(kpi.unit, kpi.unit)


def _scaled(value: float | None, kpi: ShownKpi) -> float:
    """Return a value in the unit of its axis; what is missing leaves a gap."""
    return float("nan") if value is None else value * _PER_UNIT.get(kpi.unit, 1.0)


def _reach(figure: Figure, kpi: ShownKpi) -> list[list[float]] | None:
    """Return how far the interval reaches below and above the value; `None` for a figure without one."""
    if figure.value is None or figure.ci_low is None or figure.ci_high is None:
        return None
    # An interval need not hold its value: adjusted Wald is centred elsewhere.
    reach = (max(0.0, figure.value - figure.ci_low), max(0.0, figure.ci_high - figure.value))
    return [[_scaled(distance, kpi)] for distance in reach]


def _has_line(pack: Pack, kpi: ShownKpi) -> bool:
    return sum(figure.is_shown for figure in pack.history(kpi.id)) > 1


def _periods(pack: Pack) -> list[str]:
    """Return the measured periods up to the reported one, without gaps, so that distances are true."""
    first = min(Period.parse(period) for period in pack.estimates["period"].unique())
    periods = [pack.period]
    while periods[0] > first and len(periods) < _MOST_PERIODS:
        periods.insert(0, periods[0].previous)
    return [period.id for period in periods]


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
    name = textwrap.shorten(one_line(pack.group_label(figure)), _LABEL_LETTERS, placeholder="…")
    return name if figure.is_hidden or figure.n is None else f"{name}, n {tables.number(figure.n)}"


def _when(period: str) -> str:
    """Return a period as a short tick label, a month on two lines."""
    parsed = Period.parse(period)
    if parsed.kind != "month":
        return parsed.id
    month, year = parsed.label.split()
    return f"{month[:3]}\n{year}"


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _CAPTION_LETTERS))


def _wrapped(title: str) -> str:
    return "\n".join(textwrap.wrap(title, _TITLE_LETTERS))


def _source(pack: Pack) -> str:
    return f"Source: {one_line(pack.dataset.title)}."
