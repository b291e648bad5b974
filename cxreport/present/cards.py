"""The KPI cards of the executive page, for the web page and for the PDF, from the same words."""

from collections.abc import Iterator
from dataclasses import dataclass

from cxreport.present import tables
from cxreport.present.markup import Markdown, escape_html, escape_typst
from cxreport.present.pack import Figure, Pack, ShownKpi

# The look of a change: what went the wrong way, the right way, or neither. Words carry the meaning, colour repeats it.
_TYPST_COLOURS = {"worse": "#a83a1a", "better": "#0f4c75", "same": "#4d5b68"}

_LONG = 7  # letters that fit a card in the largest type


@dataclass(frozen=True)
class Card:
    """The words of one card; plain text, escaped by whoever emits it."""

    name: str
    value: str
    interval: str
    changes: tuple[tuple[str, str], ...]  # how it looks (worse, better, same), what it says
    goals: tuple[tuple[str, str], ...]  # likewise, for target, benchmark and all others
    base: str

    @property
    def lines(self) -> list[str]:
        """What it says below its value, one statement a line."""
        told = [self.interval, *(text for _, text in self.changes + self.goals), self.base]
        return [line for line in told if line]

    @classmethod
    def of(cls, pack: Pack, kpi: ShownKpi) -> "Card":
        """Return the card of a KPI in the reported period."""
        figure = pack.total(kpi.id)
        value = tables.figure_text(figure, kpi)
        if figure is None or not figure.is_shown:
            return cls(kpi.short, value, "", (), (), "")
        goals = (
            (_target_look(figure), tables.target_text(figure, kpi)),
            ("same", tables.benchmark_text(pack, figure, kpi)),
            ("same", tables.everybody_text(pack, figure, kpi)),
            ("same", tables.audience_place_text(pack, figure)),
        )
        return cls(
            name=kpi.short,
            value=value,
            interval="" if kpi.type == "count" else _opened(tables.precision_text(pack, figure, kpi)),
            changes=tuple(_changes(pack, figure, kpi)),
            goals=tuple((look, _opened(text)) for look, text in goals if text),
            base=_opened(tables.base_text(figure, kpi)),
        )


def kpi_cards(pack: Pack) -> Markdown:
    """Return a card for each headline KPI, as a raw HTML block and a raw Typst block; each format drops the other's."""
    cards = [Card.of(pack, pack.kpis[kpi]) for kpi in pack.report.headline]
    return Markdown(f"```{{=html}}\n{_html(cards)}\n```\n\n```{{=typst}}\n{_typst(cards)}\n```")


def _html(cards: list[Card]) -> str:
    return "\n".join(['<ul class="cx-cards">', *(_html_card(card) for card in cards), "</ul>"])


def _html_card(card: Card) -> str:
    def line(style: str, text: str) -> str:
        return f'<p class="{style}">{escape_html(text)}</p>' if text else ""

    parts = [
        line("cx-card-name", card.name),
        line(_value_style(card), card.value),
        line("cx-card-interval", card.interval),
        *(line(f"cx-card-change cx-{look}", text) for look, text in card.changes),
        *(line(f"cx-card-goal cx-{look}", text) for look, text in card.goals),
        line("cx-card-base", card.base),
    ]
    look = card.changes[0][0] if card.changes else "same"
    return f'<li class="cx-card cx-card-{look}">{"".join(parts)}</li>'


def _value_style(card: Card) -> str:
    if not card.base:
        return "cx-card-mark"
    return "cx-card-value cx-card-long" if len(card.value) > _LONG else "cx-card-value"


def _typst(cards: list[Card]) -> str:
    cells = ",\n".join(_typst_card(card) for card in cards)
    return f"#grid(columns: (1fr,) * {min(3, max(1, len(cards)))}, gutter: 8pt,\n{cells},\n)"


def _typst_card(card: Card) -> str:
    def line(text: str, style: str) -> str:
        return f"text({style}, {escape_typst(text)})"

    small, soft = "size: 8pt", f'size: 8pt, fill: rgb("{_TYPST_COLOURS["same"]}")'
    lines = [
        line(card.name, 'size: 9pt, weight: "bold"'),
        line(card.value, 'size: 18pt, weight: "bold"' if card.base else small),
        *([line(card.interval, soft)] if card.interval else []),
        *(line(text, f'{small}, fill: rgb("{_TYPST_COLOURS[look]}")') for look, text in card.changes + card.goals),
        *([line(card.base, soft)] if card.base else []),
    ]
    look = card.changes[0][0] if card.changes else "same"
    stroke = f'(left: 2.5pt + rgb("{_TYPST_COLOURS[look]}"), rest: 0.5pt + rgb("#d9e0e6"))'
    return f"grid.cell(breakable: false, inset: 8pt, stroke: {stroke}, stack(spacing: 5pt, {', '.join(lines)}))"


def _changes(pack: Pack, figure: Figure, kpi: ShownKpi) -> Iterator[tuple[str, str]]:
    """Yield the change since the period before and since a year ago, in one line where the same is said of both."""
    kind, told = pack.report.period_kind, tables.change_text(figure, kpi)
    if kind == "year" or told == tables.change_text(figure, kpi, year=True):
        yield _look(kpi, figure.verdict), _said(figure, kpi, kind if kind == "year" else f"{kind}_or_year")
        return
    yield _look(kpi, figure.verdict), _said(figure, kpi, kind)
    yield _look(kpi, figure.year_verdict), _said(figure, kpi, "year", year=True)


def _said(figure: Figure, kpi: ShownKpi, span: str, *, year: bool = False) -> str:
    """Return a change with the time that it spans."""
    change = tables.change_text(figure, kpi, year=year)
    match tables.happened(figure, year=year):
        case "no_earlier":
            return kpi.words(f"cards.no_figure.{span}")
        case "not_comparable":
            return _opened(change)
        case "too_few":
            return _opened(kpi.words("cards.too_few", change=change))
        case _:
            return _opened(kpi.words(f"cards.change.{span}", change=change))


def _opened(text: str) -> str:
    """Return a text as it stands at the beginning of a line."""
    return text[:1].upper() + text[1:]


def _look(kpi: ShownKpi, verdict: str | None) -> str:
    return "worse" if tables.is_worse(kpi, verdict) else "better" if tables.is_better(kpi, verdict) else "same"


def _target_look(figure: Figure) -> str:
    return {"target missed": "worse", "target met": "better"}.get(figure.status or "", "same")
