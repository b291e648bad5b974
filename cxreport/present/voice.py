"""What customers say: themes and what goes with them, quotes, what is new, public posts and texts without a score."""

import re
from typing import Any

from matplotlib.axes import Axes

from cxreport.present import tables
from cxreport.present.analyses import (
    CLEAR,
    Rows,
    is_sure,
    missing,
    missing_if_asked,
    rows,
    share_range,
    shown,
    signed_range,
)
from cxreport.present.charts import (
    FRAME,
    ROW,
    SHAPES,
    closing_notes,
    list_down,
    scaled,
    wrapped,
    write_at_left,
    write_beside,
)
from cxreport.present.markup import Markdown, Picture, escape_markdown, one_line, pipe_table
from cxreport.present.pack import Pack, ShownKpi
from cxreport.present.theme import ACCENT, MUTED, SMALL, WARNING, blank, picture, themed

_THEMES, _TOPICS, _TEXTS = "themes", "topics", "texts"  # tables of the analyses
_TERM = "term"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
# The thresholds of VADER's authors, of a mean of comments as of one of them.
_POSITIVE, _NEGATIVE = 0.05, -0.05
_MOST_THEMES_OF_TEXTS = 3


def themes(pack: Pack) -> Picture | Markdown:
    """Return by how much the score of those who speak of a theme goes with the score of all, with intervals."""
    found = rows(pack, _THEMES)
    if not any(not row.is_hidden for row in found):
        return missing(pack, "themes", "voice.subject.themes")
    kpi, words = pack.kpis[found[0].kpi], pack.words
    title = words("voice.themes.title", kpi=kpi.short)
    with themed():
        canvas = blank(FRAME + ROW * len(found), title=wrapped(title))
        axes = canvas.subplots()
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for place, row in enumerate(found):
            _draw_impact(axes, pack, place, row, kpi)
        list_down(axes, [_labelled(pack, row) for row in found], kpi)
        axes.set_xlabel(words("voice.themes.axis"), size=SMALL)
        told = "; ".join(
            words("voice.themes.told", theme=_theme(pack, row), impact=_impact_text(pack, row, kpi)) for row in found
        )
        return picture(
            canvas,
            pack.mark,
            alt=words("voice.themes.alt", title=title, themes=told),
            caption=words(
                "voice.themes.caption",
                confidence=pack.confidence,
                kpi=escape_markdown(kpi.short),
                notes=closing_notes(pack),
            ),
            data=themes_table(pack).text,
        )


def themes_table(pack: Pack) -> Markdown:
    """Return one row a theme: comments, score of those with it and without, what goes with it, sentiment."""
    found = rows(pack, _THEMES)
    if not found:
        return missing(pack, "themes", "voice.subject.themes")
    words, kpi = pack.words, pack.kpis[found[0].kpi]
    lines = [
        [
            escape_markdown(_theme(pack, row)) + tables.second(_volume(pack, row)),
            tables.figure_text(row, kpi)
            if row.is_hidden
            else tables.value_text(row.value_with, kpi)
            + tables.second(words("voice.others", value=tables.value_text(row.value_without, kpi))),
            _impact_text(pack, row, kpi) + tables.second(signed_range(row.impact_ci_low, row.impact_ci_high, kpi)),
            _sentiment(pack, row),
        ]
        for row in found
    ]
    head = [words("voice.head.theme"), words("voice.head.with", kpi=escape_markdown(kpi.short))]
    head += [words("voice.head.impact"), words("voice.head.sentiment")]
    return Markdown(pipe_table(pack.mark, head, lines, "lrll"))


def themes_said(pack: Pack, limit: int = 3) -> Markdown:
    """Return the themes whose comments score apart from the others by a corrected test, in sentences."""
    found = shown(pack, _THEMES)
    if not found:
        return missing_if_asked(pack, "themes", "voice.subject.themes")
    apart = _apart(pack)[:limit]
    if not apart:
        return Markdown(pack.words("voice.no_theme"))
    return Markdown("\n".join(f"- {_sentence(pack, row)}" for row in apart))


def quotes(pack: Pack) -> Markdown:
    """Return what customers wrote, under each theme; personal data are masked, and few of a theme are not quoted."""
    by_theme = _quotes_by_theme(pack)
    if not by_theme:
        return Markdown(pack.words("voice.no_quotes"))
    parts = [
        f"::: {{.cx-quotes}}\n**{escape_markdown(_theme(pack, row))}**\n\n{_block(pack, by_theme[row.theme])}\n:::"
        for row in shown(pack, _THEMES)
        if row.theme in by_theme
    ]
    return Markdown("\n\n".join(["::::: {layout-ncol=2}", *parts, ":::::"]))


def quotes_in_short(pack: Pack, limit: int = 3) -> Markdown:
    """Return one quote for each theme that scores apart, on the side it pulls to; empty where there is none."""
    by_theme = _quotes_by_theme(pack)
    chosen = [by_theme[row.theme][0] for row in _apart(pack) if row.theme in by_theme]
    return Markdown(_block(pack, chosen[:limit]))


def topics(pack: Pack) -> Markdown:
    """Return the themes, words and phrases that more customers use than before, by a corrected test."""
    found = rows(pack, _TOPICS)
    if not found:
        return missing(pack, "topics", "voice.subject.topics")
    words = pack.words
    lines = [
        [
            _topic(pack, row),
            words.percent(row.share, 1) + tables.second(words("tables.counted.customers", row.n)),
            words("voice.few") if row.share_before is None else words.percent(row.share_before, 1),
            "" if row.difference is None else share_range(pack, row.ci_low, row.ci_high, 1),
        ]
        for row in found
    ]
    head = [words(f"voice.head.{part}") for part in ("topic", "now", "before", "rise")]
    return Markdown(pipe_table(pack.mark, head, lines, "lrrr"))


def public(pack: Pack) -> Markdown:
    """Return how public posts rate and sound, by network."""
    kpis = [kpi for kpi in pack.kpis.values() if kpi.table == "mentions" and pack.total(kpi.id)]
    if not kpis:
        return Markdown(pack.words("voice.no_public"))
    network = next((name for name, segment in pack.segments.items() if segment.column == "network"), "")
    parts = [tables.kpi_table(pack, kpis).text]
    for kpi in kpis:
        if pack.figures(kpi.id, network):
            parts += [f"### {escape_markdown(kpi.title)}", tables.segment_table(pack, kpi, network).text]
    return Markdown("\n\n".join(parts))


def texts(pack: Pack) -> Markdown:
    """Return how many texts came without a score, such as interviews, and what they speak of, by source."""
    sources = dict.fromkeys(row.source for row in rows(pack, _TEXTS))
    if not sources:
        return Markdown(pack.words("voice.no_texts"))
    return Markdown("\n".join(f"- {_source(pack, source)}" for source in sources))


# --- drawing -------------------------------------------------------------------------------------


def _draw_impact(axes: Axes, pack: Pack, place: int, row: Any, kpi: ShownKpi) -> None:
    if mask := tables.mask(row, kpi):
        write_at_left(axes, mask, place, color=MUTED, style="italic")
        return
    side = _side(pack, row)
    colour = MUTED if side is None else ACCENT if (side == "above") == kpi.higher_is_better else WARNING
    at = scaled(row.impact, kpi)
    if row.impact_ci_low is not None:
        ends = [scaled(row.impact_ci_low, kpi), scaled(row.impact_ci_high, kpi)]
        axes.plot(ends, [place, place], color=colour, linewidth=1.5)
    axes.plot(at, place, SHAPES.get(side or "", "o"), color=colour, markersize=5.5)
    if side:
        end = scaled(row.impact if row.impact_ci_high is None else row.impact_ci_high, kpi)
        text = tables.signed_text(row.impact, kpi)
        write_beside(axes, text, (end, place), (6, 0), bbox=CLEAR, color=colour, weight="bold", size=SMALL)


def _labelled(pack: Pack, row: Any) -> str:
    name = _theme(pack, row)
    return name if row.is_hidden else pack.words("charts.segments.labelled", name=name, n=pack.words.number(row.n))


# --- in words ------------------------------------------------------------------------------------


def _theme(pack: Pack, row: Any) -> str:
    """Return a theme as it stands at the beginning of a line; plain text."""
    name = one_line(pack.words.text(row.theme))
    return name[:1].upper() + name[1:]


def _side(pack: Pack, row: Any) -> str | None:
    """Return on which side of the other comments a theme's score lies by its corrected test."""
    if row.is_hidden or row.low_base or row.difference is None or not is_sure(pack, row.q_value):
        return None
    return "above" if row.difference > 0 else "below"


def _apart(pack: Pack) -> Rows:
    """Return the themes that score apart, the largest impact first."""
    return sorted((row for row in shown(pack, _THEMES) if _side(pack, row)), key=lambda row: -abs(row.impact))


def _volume(pack: Pack, row: Any) -> str:
    if row.is_hidden:
        return ""
    counted = pack.words("voice.comments", row.n)
    return f"{counted}, {pack.words.percent(row.share)}"


def _impact_text(pack: Pack, row: Any, kpi: ShownKpi) -> str:
    if row.is_hidden or row.impact is None:
        return tables.figure_text(row, kpi) if row.is_hidden else ""
    side = _side(pack, row)
    if side is None:
        return pack.words("journey.side.same")
    return pack.words(f"voice.impact.{side}", size=tables.size_text(row.impact, kpi))


def _sentiment(pack: Pack, row: Any) -> str:
    if row.sentiment is None:
        return "" if row.is_hidden else pack.words("voice.sentiment.unread")
    tone = "positive" if row.sentiment >= _POSITIVE else "negative" if row.sentiment <= _NEGATIVE else "neutral"
    return pack.words(f"voice.sentiment.{tone}") + tables.second(
        f"{pack.words.number(row.sentiment, 2, signed=True)}; {pack.words('voice.comments', row.n_sentiment)}"
    )


def _sentence(pack: Pack, row: Any) -> str:
    kpi = pack.kpis[row.kpi]
    side = _side(pack, row)
    return pack.words(
        f"voice.sentence.{side}",
        theme=escape_markdown(_theme(pack, row)),
        volume=_volume(pack, row),
        kpi=escape_markdown(kpi.short),
        value=tables.value_text(row.value_with, kpi),
        others=tables.value_text(row.value_without, kpi),
        interval=signed_range(row.difference_ci_low, row.difference_ci_high, kpi),
        impact=tables.size_text(row.impact, kpi, long=True),
    )


def _quotes_by_theme(pack: Pack) -> dict[str, Rows]:
    """Return the quotes of themes that hide nothing, first those on the side that the theme pulls to."""
    by_theme: dict[str, Rows] = {}
    for row in shown(pack, _THEMES):
        own = [quote for quote in rows(pack, "quotes") if quote.theme == row.theme]
        pulls_up = _side(pack, row) == "above"
        if own:
            by_theme[row.theme] = sorted(own, key=lambda quote: (quote.is_good != pulls_up, quote.place))
    return by_theme


def _block(pack: Pack, quotes: Rows) -> str:
    """Return comments as one block quotation."""
    return "\n>\n".join(f"> {_quoted(pack, quote)}" for quote in quotes)


def _quoted(pack: Pack, quote: Any) -> str:
    """Return a comment in quotation marks, in its own language, with the side of its score."""
    language = str(quote.language or "")
    text = pack.words("voice.quoted", quote=escape_markdown(quote.quote))
    if language != pack.words.language and _LANGUAGE.fullmatch(language):
        text = f'[{text}]{{lang="{language}"}}'
    return f"{text}{tables.second(pack.words('voice.scored.well' if quote.is_good else 'voice.scored.poorly'))}"


def _topic(pack: Pack, row: Any) -> str:
    if row.kind == _TERM:
        return pack.words("voice.quoted", quote=escape_markdown(row.topic))
    return escape_markdown(pack.words.text(row.topic)) + tables.second(pack.words("voice.is_theme"))


def _source(pack: Pack, source: str) -> str:
    """Return one line on the texts of a source, and the themes that most of them speak of."""
    own = [row for row in rows(pack, _TEXTS) if row.source == source]
    total = next((row for row in own if row.theme is None), None)
    name = escape_markdown(pack.words.text(source))
    if total is None or total.is_hidden:
        return pack.words("voice.texts.few", source=name)
    counted = pack.words("voice.texts.counted", total.n)
    spoken = sorted((row for row in own if row.theme and row.n and not row.is_hidden), key=lambda row: -row.n)
    if not spoken:
        return pack.words("voice.texts.alone", source=name, texts=counted)
    said = [
        pack.words(
            "voice.texts.theme", theme=escape_markdown(pack.words.text(row.theme)), share=pack.words.percent(row.share)
        )
        for row in spoken[:_MOST_THEMES_OF_TEXTS]
    ]
    return pack.words("voice.texts.spoken", source=name, texts=counted, themes=pack.words.joined(said))
