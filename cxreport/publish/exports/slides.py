"""The executive page as slides: text that can be edited, charts with their data, and bases and methods as notes."""

from collections.abc import Sequence
from datetime import date, datetime
from math import ceil, isnan
from typing import Any

from pptx.enum.chart import XL_CHART_TYPE, XL_TICK_LABEL_POSITION, XL_TICK_MARK
from pptx.enum.dml import MSO_LINE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Inches, Pt

from cxreport.periods import Period
from cxreport.present import actions, charts, drivers, journey, next_steps, tables, voice, wording
from cxreport.present.analyses import Rows, label, shown
from cxreport.present.cards import Card
from cxreport.present.markup import Markdown, Picture
from cxreport.present.pack import Figure, Pack, ShownKpi
from cxreport.publish import document
from cxreport.publish.exports import prose
from cxreport.publish.exports.deck import ACCENT, LINE, MUTED, PALE, WARNING, Deck, Drawn
from cxreport.publish.exports.prose import Paragraph

_CARDS_BESIDE = 3
_CARD_HEIGHT = Inches(2.5)  # at most
_WITH_CHART = (3, 2)  # parts of the width: a chart, and what is said of it
_NAMED = 4  # steps between the periods that a trend names
_LINES = (  # a KPI, and both ends of its usual range
    (ACCENT, 2.5, MSO_LINE.SOLID),
    (MUTED, 1.25, MSO_LINE.DASH),
    (MUTED, 1.25, MSO_LINE.DASH),
)
_LEAD = 60  # points that the lines above the cards may take


def as_pptx(pack: Pack, *, title: str, provenance: dict[str, str], at: datetime) -> bytes:
    """Return slides; the same pack gives the same bytes.

    Parameters
    ----------
    title
        Of the first slide and of the file.
    provenance
        What the notes of the first slide say of the report's making, term to plain text.
    at
        The date that the file states.

    Raises `DefinitionError` when the theme's `slides.pptx` is no template with the layouts that slides stand on.
    """
    words = pack.words
    deck = Deck(pack.project, words)
    below = document.subtitle(pack.words, pack.report, pack.period)
    deck.open(title, below, " ".join(f"{term}: {text}." for term, text in provenance.items()))
    asked, leading = pack.report.analyses, pack.total(pack.leading.id)
    _headline(deck, pack)
    _trend(deck, pack)
    if leading and leading.verdict in {"rose", "fell"}:
        _mix(deck, pack)
    if asked.journey:
        _stages(deck, pack)
    themes = [voice.themes_said(pack), voice.quotes_in_short(pack)] if asked.themes else []
    _tell(deck, pack, "voice", *themes, *([drivers.said(pack)] if asked.drivers else []))
    if asked.actions:
        _tell(deck, pack, "changed", actions.for_executive(pack))
    _tell(deck, pack, "look", wording.look_at(pack))
    if asked.journey:
        _tell(deck, pack, "next", next_steps.ranked(pack))
    _tell(deck, pack, "notes", wording.rests_on(pack), wording.notes(pack, "executive"))
    return deck.saved(title=title, author=pack.report.organisation, at=at)


def _tell(deck: Deck, pack: Pack, key: str, *parts: Markdown) -> None:
    """Add slides of text under a title."""
    paragraphs = prose.read("\n\n".join(part.text for part in parts))
    deck.tell(pack.words(f"exports.slides.{key}"), paragraphs, pack.words(f"exports.slides.about_{key}"))


# --- slides of their own ---------------------------------------------------------------------------


def _headline(deck: Deck, pack: Pack) -> None:
    """Add the headline as a title, what explains it, and a card for each KPI of the headline."""
    first, *more = prose.read(wording.headline(pack).text)
    kpis = [pack.kpis[name] for name in pack.report.headline]
    slide, box = deck.slide(first.text, _bases(pack, kpis))
    if more:
        lead, box = box.split(Pt(_LEAD))
        deck.write(slide, more, lead)
    beside = min(len(kpis), _CARDS_BESIDE)
    lines = ceil(len(kpis) / beside)
    cards, _ = box.split(min(box.height, lines * _CARD_HEIGHT))
    cells = [cell for row in cards.rows(lines) for cell in row.columns(*[1] * beside)]
    deck.cards(slide, [Card.of(pack, kpi) for kpi in kpis], cells)


def _trend(deck: Deck, pack: Pack) -> None:
    """Add the leading KPI's periods with their usual range."""
    kpi, words = pack.leading, pack.words
    drawn = charts.trend(pack, kpi)
    title, notes = words("exports.slides.trend", kpi=kpi.short), _about(pack, "trend", [kpi])
    if not isinstance(drawn, Picture):  # the headline says that there is nothing to compare with
        return
    slide, box = deck.slide(title, notes)
    left, right = box.columns(*_WITH_CHART)
    figures = _every_period(pack, kpi)
    by = words(f"charts.by.{pack.report.period_kind}", subject=kpi.short)
    columns = ("value", "usual_low", "usual_high")
    names = (kpi.short, words("exports.slides.band_low"), words("exports.slides.band_high"))
    told = Drawn(
        title=words("charts.of_unit", subject=by, unit=words(f"charts.unit.{kpi.unit}")),
        categories=_placed(pack, [period for period, _ in figures]),
        series={
            name: [_at(figure, column, kpi) for _, figure in figures]
            for name, column in zip(names, columns, strict=True)
        },
        form=_data_format(kpi),
        alt=drawn.alt,
    )
    chart = deck.chart(slide, XL_CHART_TYPE.LINE, told, left)
    for series, (colour, width, dash) in zip(chart.plots[0].series, _LINES, strict=True):
        series.smooth = False
        series.format.line.color.theme_color, series.format.line.width = colour, Pt(width)
        series.format.line.dash_style = dash
    last = pack.total(kpi.id)
    if last and last.is_shown:
        _label(chart.plots[0].series[0].points[len(figures) - 1], tables.value_text(last.value, kpi))
    _plain_axes(chart, kpi)
    _space_out(chart, figures[0][0], pack.period)
    deck.write(slide, _told(pack, kpi), right)


def _mix(deck: Deck, pack: Pack) -> None:
    """Add what each group did to the leading KPI's change: by its value and by its share."""
    kpi, words, segment = pack.leading, pack.words, pack.mix_segment
    drawn = charts.mix(pack)
    title, notes = words("exports.slides.mix", kpi=kpi.short), _about(pack, "mix", [kpi])
    said = prose.read(wording.mix_summary(pack).text)
    if not isinstance(drawn, Picture):
        deck.tell(title, said, notes)
        return
    slide, box = deck.slide(title, notes)
    left, right = box.columns(*_WITH_CHART)
    rows = [row for row in pack.mix_rows(segment) if not row.is_hidden]
    told = Drawn(
        title=words("charts.mix.title", kpi=kpi.short, segment=pack.segment_name(segment)),
        categories=[pack.level_label(segment, row.level) for row in rows],
        series={
            words("charts.mix.rate"): [_scaled(row.rate_effect, kpi) for row in rows],
            words("charts.mix.mix"): [_scaled(row.mix_effect, kpi) for row in rows],
        },
        form=_data_format(kpi),
        alt=drawn.alt,
    )
    chart = deck.chart(slide, XL_CHART_TYPE.BAR_CLUSTERED, told, left)
    effects = [[row.rate_effect for row in rows], [row.mix_effect for row in rows]]
    for series, colour, values in zip(chart.plots[0].series, (PALE, ACCENT), effects, strict=True):
        _colour(series, colour)
        for place, value in enumerate(values):
            _label(series.points[place], tables.signed_text(value, kpi))
    _bars(chart, kpi)
    deck.write(slide, said, right)


def _stages(deck: Deck, pack: Pack) -> None:
    """Add the score of every stage, and the touchpoints that fall short."""
    words = pack.words
    drawn = journey.strip(pack)
    said = prose.read(journey.pain_points(pack).text)
    stages = shown(pack, "curve")
    kpis = [pack.kpis[stages[0].kpi]] if stages else []
    title, notes = words("exports.slides.stages"), _about(pack, "stages", kpis)
    if not isinstance(drawn, Picture):
        deck.tell(title, prose.read(drawn.text), notes)
        return
    slide, box = deck.slide(title, notes)
    left, right = box.columns(*_WITH_CHART)
    kpi = kpis[0]
    told = Drawn(
        title=words("journey.strip.title", kpi=kpi.short),
        categories=[label(pack, "stage", stage.stage) for stage in stages],
        series={kpi.short: [_scaled(stage.value, kpi) for stage in stages]},
        form=_data_format(kpi),
        alt=drawn.alt,
    )
    _mark(deck.chart(slide, XL_CHART_TYPE.BAR_CLUSTERED, told, left), pack, stages, kpi)
    deck.write(slide, said, right)


def _mark(chart: Any, pack: Pack, stages: Rows, kpi: ShownKpi) -> None:
    """Write values on the bars of stages, and let those stand out that a test finds worse than the whole."""
    [series] = chart.plots[0].series
    _colour(series, ACCENT)
    for place, stage in enumerate(stages):
        is_worse = journey.side_of(pack, stage) == ("below" if kpi.higher_is_better else "above")
        point = series.points[place]
        if is_worse:
            _colour(point, WARNING)
        _label(point, tables.value_text(stage.value, kpi), bold=is_worse)
    _bars(chart, kpi)


# --- words -----------------------------------------------------------------------------------------


def _told(pack: Pack, kpi: ShownKpi) -> list[Paragraph]:
    card = Card.of(pack, kpi)
    return [prose.plain(f"{card.name}: {card.value}", bold=True), *map(prose.plain, card.lines)]


def _about(pack: Pack, key: str, kpis: Sequence[ShownKpi]) -> str:
    source = pack.words("charts.source", source=pack.words.text(pack.dataset.title))
    return " ".join(part for part in (pack.words(f"exports.slides.about_{key}"), _bases(pack, kpis), source) if part)


def _bases(pack: Pack, kpis: Sequence[ShownKpi]) -> str:
    """Return how precise KPIs are, on what base, and by what method."""
    return " ".join(
        pack.words(
            "exports.slides.rests",
            kpi=kpi.title,
            precision=tables.precision_text(pack, figure, kpi),
            base=tables.base_text(figure, kpi),
            method=pack.words.text(figure.method or ""),
        )
        for kpi in kpis
        if (figure := pack.total(kpi.id)) and figure.is_shown
    )


# --- charts ----------------------------------------------------------------------------------------


def _every_period(pack: Pack, kpi: ShownKpi) -> list[tuple[Period, Figure | None]]:
    """Return all periods from the first measured one to the reported one, so that distances are true."""
    figures = {figure.period: figure for figure in pack.history(kpi.id)}
    period, found = Period.parse(next(iter(figures))), []
    while period <= pack.period:
        found.append((period, figures.get(period.id)))
        period = period.shift(1)
    return found


def _placed(pack: Pack, periods: Sequence[Period]) -> list[str] | list[date]:
    """Return where periods stand along an axis: months and weeks on their first day, others under their names."""
    if pack.period.kind in {"month", "week"}:
        return [period.start for period in periods]
    return [pack.words.period(period) for period in periods]


def _at(figure: Figure | None, column: str, kpi: ShownKpi) -> float | None:
    return _scaled(getattr(figure, column), kpi) if figure and figure.is_shown else None


def _scaled(value: float | None, kpi: ShownKpi) -> float | None:
    found = charts.scaled(value, kpi)
    return None if isnan(found) else found


def _data_format(kpi: ShownKpi) -> str:
    return "0.00" if kpi.unit in {"score", "times"} else "#,##0.0"


def _plain_axes(chart: Any, kpi: ShownKpi) -> None:
    values, names = chart.value_axis, chart.category_axis
    values.major_gridlines.format.line.color.theme_color = LINE
    values.major_gridlines.format.line.width = Pt(0.5)
    values.format.line.fill.background()
    values.tick_labels.number_format = "0.0" if kpi.unit in {"score", "times"} else "#,##0"
    values.tick_labels.number_format_is_linked = False
    names.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    names.major_tick_mark = XL_TICK_MARK.NONE
    names.format.line.color.theme_color = MUTED


def _space_out(chart: Any, first: Period, last: Period) -> None:
    """Name only some of the months along the axis, so that their names stand upright."""
    axis = chart.element.find(f".//{qn('c:dateAx')}")
    if axis is None:  # periods of other kinds stand as they are called
        return
    chart.category_axis.tick_labels.number_format = "mmm yyyy"
    chart.category_axis.tick_labels.number_format_is_linked = False
    for old in axis.xpath("c:baseTimeUnit | c:majorUnit | c:majorTimeUnit"):
        axis.remove(old)
    months = 12 * (last.start.year - first.start.year) + last.start.month - first.start.month
    apart = max(1, ceil(months / _NAMED))
    unit = "months" if last.kind == "month" else "days"
    for name, value in (("baseTimeUnit", unit), ("majorUnit", apart), ("majorTimeUnit", "months")):
        axis.append(parse_xml(f'<c:{name} {nsdecls("c")} val="{value}"/>'))


def _bars(chart: Any, kpi: ShownKpi) -> None:
    """Let bars stand in reading order, each with its own value instead of a scale."""
    _plain_axes(chart, kpi)
    chart.plots[0].gap_width, chart.plots[0].overlap = 60, 0
    chart.category_axis.reverse_order = True
    chart.value_axis.visible = False
    chart.value_axis.has_major_gridlines = False


def _colour(part: Any, colour: Any) -> None:
    part.format.fill.solid()
    part.format.fill.fore_color.theme_color = colour


def _label(point: Any, text: str, *, bold: bool = False) -> None:
    point.data_label.has_text_frame = True
    point.data_label.text_frame.text = text
    point.data_label.text_frame.paragraphs[0].runs[0].font.bold = bold or None
    point.data_label.text_frame.paragraphs[0].runs[0].font.size = Pt(12)
