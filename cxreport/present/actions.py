"""The closed loop: what was done about what customers said, what came of it, and where nothing has been done yet."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Any

from matplotlib.axes import Axes

from cxreport.periods import Period, last_periods
from cxreport.present import charts, tables
from cxreport.present.analyses import Rows, label, pains
from cxreport.present.markup import Markdown, Picture, Pictures, escape_markdown, one_line, pipe_table
from cxreport.present.pack import Pack, ShownKpi
from cxreport.present.theme import ACCENT, INK, MUTED, SMALL, WARNING, blank, picture, themed

_WORKED = ("improved", "worsened")
_MOST_PANELS, _BESIDE = 6, 2
_PANEL, _FRAME = 1.45, 0.5  # inches
_PANEL_LETTERS = 24


@dataclass(frozen=True)
class Action:
    """One row of the analysis `actions`, with `None` where it holds no value; texts are not yet escaped."""

    action: str
    started_on: str
    asked: str | None
    description: str | None
    owner: str | None
    cost: float | None
    told_on: str | None
    kpi: str
    column: str | None
    level: str | None
    other_column: str | None
    other_level: str | None
    before_first: str | None
    before_last: str | None
    after_first: str | None
    after_last: str | None
    n_before: int | None
    n_after: int | None
    value_before: float | None
    value_after: float | None
    rest_n_before: int | None
    rest_n_after: int | None
    rest_value_before: float | None
    rest_value_after: float | None
    effect: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    q_value: float | None
    verdict: str | None
    moved_before: bool | None
    was_low: bool | None
    suppressed: str
    low_base: bool
    note: str | None

    @property
    def is_judged(self) -> bool:
        """Whether its effect was tested and may be shown."""
        return self.p_value is not None and self.suppressed == "no"

    @property
    def levels(self) -> list[tuple[str, str]]:
        """Column and level of those whom it concerns."""
        pairs = ((self.column, self.level), (self.other_column, self.other_level))
        return [(column, level) for column, level in pairs if column is not None and level is not None]


# --- what a report shows -------------------------------------------------------------------------


def board(pack: Pack) -> Markdown:
    """Return a table of all actions, newest first: why, what, who, since when, for how much, told, and what came of it.

    Without actions one line says so.
    """
    found = _actions(pack)
    if not found:
        return Markdown(pack.words("actions.none"))
    head = [pack.words(f"actions.head.{name}") for name in ("done", "who", "told", "effect")]
    return Markdown(pipe_table(pack.mark, head, [_row(pack, action) for action in found]))


def reading(pack: Pack) -> Markdown:
    """Say how actions are judged; nothing where there are none."""
    settings = pack.report.analyses.actions
    if settings is None or not _actions(pack):
        return Markdown("")
    words, kind = pack.words, pack.period.kind
    span = words(f"actions.span.{kind}", len(last_periods(pack.period, settings.months)))
    return Markdown(words("actions.reading", span=span, start=words(f"actions.start.{kind}")))


def effects(pack: Pack) -> Pictures | Markdown:
    """Return a panel for each action that was judged: its group and everyone else, before and after, on one scale."""
    judged = [action for action in _telling(pack) if action.is_judged]
    if not judged:
        return Markdown(pack.words("actions.chart.none"))
    size = ceil(len(judged) / ceil(len(judged) / _MOST_PANELS))
    return Pictures(tuple(_picture(pack, judged[at : at + size]) for at in range(0, len(judged), size)))


def timeline(pack: Pack) -> Picture | Markdown:
    """Return the score by which actions are judged over time, and where each of them began; nothing without any."""
    found = _actions(pack)
    if not found:
        return Markdown("")
    starts = ((date.fromisoformat(action.started_on), _group_name(pack, action)) for action in found)
    began = [charts.Event(day, one_line(group)) for day, group in starts]
    return charts.trend(pack, pack.kpis[found[0].kpi], began)


def for_executive(pack: Pack, limit: int = 3) -> Markdown:
    """Return a line for each of the actions that say most: what worked or did harm, what was judged, what is new.

    Nothing where the report's definition leaves actions out.
    """
    if pack.report.analyses.actions is None:
        return Markdown("")
    found = _telling(pack)
    if not found:
        return Markdown(pack.words("actions.none"))
    lines = [f"- {_line(pack, action)}" for action in found[:limit]]
    if left := len(found) - limit if len(found) > limit else 0:
        lines.append(f"- {pack.words('actions.more', left)}")
    return Markdown("\n".join(lines))


def still_open(pack: Pack) -> Markdown:
    """Say what `open_table` lists, or why there is nothing to list."""
    if "pain_points" not in pack.analyses:
        return Markdown(pack.words("actions.open.unknown"))
    return Markdown(pack.words(f"actions.open.{'nothing' if _open(pack) else 'none'}"))


def under_way(pack: Pack, touchpoint: str) -> str:
    """Return what the newest action at a touchpoint is and what came of it, or that there is none; Markdown."""
    found = [action for action in _actions(pack) if ("touchpoint", touchpoint) in action.levels]
    if not found:
        return pack.words("actions.open.nothing_here")
    newest = found[0]
    day = pack.words.month(date.fromisoformat(newest.started_on))
    return pack.words("actions.under_way", done=_done(newest), day=day, effect=_effect(pack, newest))


def open_table(pack: Pack) -> Markdown:
    """Return the touchpoints that fall short and that no action concerns: score, and gain of the whole.

    Worst first; empty without any.
    """
    found = _open(pack)
    if not found:
        return Markdown("")
    score = escape_markdown(pack.kpis[found[0].kpi].short)
    head = [pack.words("actions.open.head"), score, pack.words("actions.open.gain")]
    return Markdown(pipe_table(pack.mark, head, [_finding(pack, finding) for finding in found], "lrr"))


# --- rows and sentences --------------------------------------------------------------------------


def _actions(pack: Pack) -> list[Action]:
    """Return all actions, newest first."""
    found = [Action(**row) for row in pack.analysed("actions")]
    return sorted(found, key=lambda action: (action.started_on, action.action), reverse=True)


def _telling(pack: Pack) -> list[Action]:
    """Return all actions: what worked or did harm, what else was judged, then the others; each newest first."""
    return sorted(_actions(pack), key=lambda action: (action.verdict not in _WORKED, not action.is_judged))


def _row(pack: Pack, action: Action) -> list[str]:
    words = pack.words
    cost = "" if action.cost is None else _money(pack, action.cost)
    asked = words("actions.asked", asked=escape_markdown(action.asked)) if action.asked else ""
    return [
        _done(action) + tables.second(words("actions.at", group=_group(pack, action))) + tables.second(asked),
        escape_markdown(action.owner or "") + tables.second(_since(pack, action)) + tables.second(cost),
        _day(pack, action.told_on) if action.told_on else words("actions.not_told"),
        _effect(pack, action)
        + tables.second(_from_to(pack, action))
        + "".join(map(tables.second, _cautions(pack, action))),
    ]


def _line(pack: Pack, action: Action) -> str:
    told = pack.words("actions.told_on" if action.told_on else "actions.told_nobody")
    return pack.words(
        "actions.line",
        done=_done(action),
        group=_group(pack, action),
        day=pack.words.month(date.fromisoformat(action.started_on)),
        effect=_effect(pack, action),
        more=" ".join([*_cautions(pack, action), told]),
    )


def _effect(pack: Pack, action: Action) -> str:
    """Return what came of an action, in the words its verdict allows."""
    words, kpi = pack.words, pack.kpis[action.kpi]
    if action.suppressed != "no":
        return words("actions.effect.hidden")
    if action.effect is not None and action.is_judged:
        key = action.verdict if action.verdict in _WORKED else "none"
        values: dict[str, Any] = {"kpi": escape_markdown(kpi.short), "interval": _interval(pack, action)}
        values["base"] = _bases(pack, action)
        if action.verdict in _WORKED:
            values["size"] = tables.size_text(action.effect, kpi)
        return words(f"actions.effect.{key}", **values)
    match action.verdict:
        case "too early":
            period = words.period(Period.parse(str(action.after_last)))
            return words("actions.effect.too_early", period=period)
        case "not compared":
            return words("actions.effect.not_compared")
        case _:
            return words("actions.effect.too_few")


def _interval(pack: Pack, action: Action) -> str:
    kpi = pack.kpis[action.kpi]
    low, high = (tables.signed_text(bound, kpi) for bound in (action.ci_low, action.ci_high))
    interval = pack.words("tables.range", low=low, high=high)
    return pack.words("tables.interval", confidence=pack.confidence, interval=interval)


def _bases(pack: Pack, action: Action) -> str:
    before, after = (pack.words.number(n or 0) for n in (action.n_before, action.n_after))
    return pack.words("actions.bases", before=before, after=after)


def _from_to(pack: Pack, action: Action) -> str:
    return pack.words("actions.from_to", **_values(pack, action)) if action.is_judged else ""


def _values(pack: Pack, action: Action) -> dict[str, Any]:
    names = {"before": "value_before", "after": "value_after"}
    names |= {f"rest_{when}": f"rest_value_{when}" for when in ("before", "after")}
    kpi = pack.kpis[action.kpi]
    return {name: tables.value_text(getattr(action, column), kpi) for name, column in names.items()}


def _cautions(pack: Pack, action: Action) -> list[str]:
    """Return what speaks against taking an effect at its word."""
    if not action.is_judged or action.verdict not in _WORKED:
        return []
    flags = {"moved_before": action.moved_before, "was_low": action.was_low and action.verdict == "improved"}
    return [pack.words(f"actions.{name}") for name, is_so in flags.items() if is_so]


def _done(action: Action) -> str:
    return escape_markdown(action.description or action.action)


def _group(pack: Pack, action: Action) -> str:
    return escape_markdown(_group_name(pack, action))


def _group_name(pack: Pack, action: Action) -> str:
    """Return whom an action concerns; plain text."""
    names = [_level(pack, column, level) for column, level in action.levels]
    if not names:
        return pack.words("actions.everybody")
    return names[0] if len(names) == 1 else pack.words("actions.crossing", one=names[0], other=names[1])


def _level(pack: Pack, column: str, level: str) -> str:
    segment = next((segment.id for segment in pack.segments.values() if segment.column == column), None)
    return pack.level_label(segment, level) if segment else level


def _since(pack: Pack, action: Action) -> str:
    return pack.words("actions.since", day=_day(pack, action.started_on))


def _day(pack: Pack, day: str) -> str:
    return pack.words.day(date.fromisoformat(day))


def _money(pack: Pack, amount: float) -> str:
    currency = escape_markdown(pack.dataset.currency)
    return pack.words("tables.money", currency=currency, amount=pack.words.number(amount)).strip()


# --- what nobody has acted on --------------------------------------------------------------------


def _open(pack: Pack) -> Rows:
    """Return the pain points that no action concerns, worst first."""
    concerned = {level for action in _actions(pack) for column, level in action.levels if column == "touchpoint"}
    return [pain for pain in pains(pack) if pain.touchpoint not in concerned]


def _finding(pack: Pack, finding: Any) -> list[str]:
    kpi = pack.kpis[finding.kpi]
    gain = tables.size_text(finding.impact, kpi)
    return [escape_markdown(label(pack, "touchpoint", finding.touchpoint)), tables.value_text(finding.value, kpi), gain]


# --- the chart -----------------------------------------------------------------------------------


def _picture(pack: Pack, judged: Sequence[Action]) -> Picture:
    words, kpi = pack.words, pack.kpis[judged[0].kpi]
    title = words("actions.chart.title", kpi=one_line(kpi.short))
    lines = ceil(len(judged) / _BESIDE)
    values = [value for action in judged for value in _drawn(action)]
    room = 0.25 * ((max(values) - min(values)) or 1.0)
    with themed():
        canvas = blank(_FRAME + _PANEL * lines, title="\n".join(textwrap.wrap(title, 44)))
        grid = list(canvas.subplots(lines, _BESIDE, squeeze=False, sharey=True).flat)
        for axes, action in zip(grid, judged, strict=False):
            _draw(axes, pack, action, kpi)
            axes.set_ylim(min(values) - room, max(values) + room)
        for axes in grid[len(judged) :]:
            axes.set_axis_off()
        return picture(
            canvas,
            pack.mark,
            alt=words("actions.chart.alt", title=title, panels=" ".join(_told(pack, action) for action in judged)),
            caption=words("actions.chart.caption", source=escape_markdown(pack.words.text(pack.dataset.title))),
            data=_data(pack, judged),
        )


def _draw(axes: Axes, pack: Pack, action: Action, kpi: ShownKpi) -> None:
    """Draw two lines from before to after, with their values at either end."""
    has_worked = action.verdict in _WORKED
    colour = INK if not has_worked else ACCENT if action.verdict == "improved" else WARNING
    rest, own = _drawn(action)[2:], _drawn(action)[:2]
    shape = "o" if not has_worked else "^" if own[1] > own[0] else "v"
    axes.plot([0, 1], rest, color=MUTED, linewidth=1, marker="o", markersize=3)
    axes.plot([0, 1], own, color=colour, linewidth=2.2, marker=shape, markersize=6)
    for place in (0, 1):
        _label(axes, place, own, rest, kpi, color=colour, weight="bold")
        others = pack.words("actions.chart.rest") if place else ""
        _label(axes, place, rest, own, kpi, name=others, color=MUTED)
    axes.set_xlim(-0.6, 2.1)
    axes.set_xticks([0, 1], [pack.words("actions.chart.before"), pack.words("actions.chart.after")], size=SMALL)
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    name = textwrap.shorten(one_line(_group_name(pack, action)), _PANEL_LETTERS, placeholder="…")
    axes.set_title(f"{name}\n{_verdict(pack, action)}", color=INK, fontsize=SMALL, loc="left")


def _label(
    axes: Axes,
    place: int,
    line: Sequence[float],
    other: Sequence[float],
    kpi: ShownKpi,
    *,
    name: str = "",
    **look: Any,
) -> None:
    """Write the value at an end of a line, away from the other line."""
    outward, upward = (5 if place else -5), (4 if line[place] >= other[place] else -4)
    text, side = f"{tables.value_text(line[place], kpi)} {name}".strip(), "left" if place else "right"
    at = (place, line[place])
    axes.annotate(text, at, (outward, upward), textcoords="offset points", ha=side, va="center", size=SMALL, **look)


def _drawn(action: Action) -> list[float]:
    values = (action.value_before, action.value_after, action.rest_value_before, action.rest_value_after)
    return [float(value) for value in values if value is not None]


def _verdict(pack: Pack, action: Action) -> str:
    """Return the difference where the verdict allows one, in few words; plain text."""
    if action.verdict not in _WORKED:
        return pack.words("actions.chart.unclear")
    return pack.words("actions.chart.effect", difference=tables.signed_text(action.effect, pack.kpis[action.kpi]))


def _told(pack: Pack, action: Action) -> str:
    values, name = _values(pack, action), _group_name(pack, action)
    return pack.words("actions.chart.panel", name=one_line(name), effect=_verdict(pack, action), **values)


def _data(pack: Pack, judged: Sequence[Action]) -> str:
    words = pack.words
    head = [words(f"actions.head.{name}") for name in ("action", "group", "rest", "difference", "base")]
    rows = []
    for action in judged:
        values, kpi = _values(pack, action), pack.kpis[action.kpi]
        difference = tables.signed_text(action.effect, kpi) + tables.second(_interval(pack, action))
        own, rest = (
            words("tables.range", low=values[f"{side}before"], high=values[f"{side}after"]) for side in ("", "rest_")
        )
        rows.append([_done(action) + tables.second(_group(pack, action)), own, rest, difference, _bases(pack, action)])
    return pipe_table(pack.mark, head, rows, "lrrrr")
