"""The one place where figures are rounded, masked and marked as missing, and the tables made of them.

Formats return plain text without any mark-up; whatever comes from data is escaped where it enters a table.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import ceil
from typing import Literal

from cxreport.config import FactName
from cxreport.present.identity import Mark
from cxreport.present.markup import MOST_COLUMNS, Markdown, escape_markdown, folded, pipe_table
from cxreport.present.pack import ALL, Figure, MixRow, Pack, ShownKpi
from cxreport.present.words import MINUS, Words, round_half_up

# What may be said of a change.
Happened = Literal[
    "rose",
    "fell",
    "unchanged",
    "more",
    "fewer",
    "same_number",
    "too_few",
    "not_comparable",
    "no_earlier",
    "not_shown",
]
_HOUR, _DAY = 60, 24 * 60
_COUNT = re.compile(r"^\d+")  # what opens a note
_LEFT_OUT = " without an answer left out"
# What a row of each table is to a reader; a customer's value is computed from orders, but counts buyers.
_ROWS: dict[FactName, str] = {
    "answers": "answers",
    "employees": "answers",
    "invitations": "invitations",
    "tickets": "cases",
    "open_cases": "cases",
    "orders": "orders",
    "customer_periods": "customers",
    "tenures": "customers",
    "sessions": "visits",
    "mentions": "mentions",
}
# Shares this close to none or all of a base need a decimal; growth keeps some ratios near all of it.
_NEAR_NONE, _NEAR_ALL = 0.1, (0.9, 1.1)
_LARGE_SUM, _SMALL_CHANGE = 100, 2


# --- formats -------------------------------------------------------------------------------------


def value_text(value: float | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return a value in its unit: `22` points, `81%`, score `5.31`, `1 h 52 min`, `USD 12.40`, `1,234 cases`.

    Unless `digits` are given, shares near none or all of a base have one decimal, and sums from 100 on have none.
    """
    words = kpi.words
    if value is None:
        return words("tables.no_figure")
    digits = _usual_digits(value, kpi) if digits is None else digits
    match kpi.unit:
        case "points" | "score" | "times":
            return words.number(value, digits)
        case "percent":
            return words.percent(value, digits)
        case "minutes":
            return duration(value, words, max(digits, 1))
        case "money":
            return _money(words.number(value, digits), kpi)
        case "cases":
            return words("tables.counted.cases", value)


def _usual_digits(value: float, kpi: ShownKpi) -> int:
    match kpi.unit:
        case "percent":
            share, (low, high) = abs(value), _NEAR_ALL
            is_near_end = share < _NEAR_NONE or low < share < high
            return _digits_to_show(_percent(share), least=1, most=3) if is_near_end and share not in {0, 1} else 0
        case "score" | "times":
            return 2
        case "money":
            return 0 if abs(value) >= _LARGE_SUM else 2
        case "minutes":
            return 1
        case _:
            return 0


def _money(amount: str, kpi: ShownKpi) -> str:
    return kpi.words("tables.money", currency=kpi.currency, amount=amount).strip()


def duration(minutes: float, words: Words, digits: int = 1, *, signed: bool = False) -> str:
    """Return minutes as a reader says them, e.g. `1 h 52 min` or `2.3 days`, days with so many decimals."""
    whole = int(round_half_up(abs(minutes)))
    if _is_days(minutes):
        text = words("tables.days", abs(minutes) / _DAY, _digits_needed(abs(minutes) / _DAY, digits))
    else:
        hours = [words("tables.hours", whole // _HOUR)] if whole >= _HOUR else []
        rest = [words("tables.minutes", whole % _HOUR)] if whole % _HOUR or not hours else []
        text = " ".join(hours + rest)
    sign = "" if whole == 0 else MINUS if minutes < 0 else "+" if signed else ""
    return sign + text


def _is_days(minutes: float) -> bool:
    return round_half_up(abs(minutes)) >= _DAY


def interval_text(low: float | None, high: float | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return an interval such as `19 to 25`; a single answer has none, and a complete count needs none."""
    words = kpi.words
    if low is None or high is None:
        return "" if kpi.type == "count" else words("tables.no_interval")
    digits = max(_usual_digits(bound, kpi) for bound in (low, high)) if digits is None else digits
    if value_text(low, kpi, digits) == value_text(high, kpi, digits) and low != high:
        digits += 1
    if kpi.unit == "money":
        amounts = _range(words.number(low, digits), words.number(high, digits), words)
        return _money(amounts, kpi)
    first = value_text(low, kpi, digits)
    if kpi.unit == "minutes" and _is_days(low) and _is_days(high):
        days = max(digits, 1)
        first = words.number(low / _DAY, _digits_needed(low / _DAY, days))
    return _range(first, value_text(high, kpi, digits), words)


def _range(low: str, high: str, words: Words) -> str:
    return words("tables.range", low=low, high=high)


def precision_text(pack: Pack, figure: Figure, kpi: ShownKpi) -> str:
    """Return how precisely a figure is known, e.g. `95% interval 19 to 25`, `no interval` or `a complete count`."""
    if kpi.type == "count":
        return pack.words("tables.a_complete_count")
    interval = interval_text(figure.ci_low, figure.ci_high, kpi)
    if figure.ci_low is None or figure.ci_high is None:
        return interval
    return pack.words("tables.interval", confidence=pack.confidence, interval=interval)


def size_text(change: float, kpi: ShownKpi, *, long: bool = False) -> str:
    """Return how large a change is, without its direction; `long` tells points from percentage points.

    Small changes have one decimal, and more where they would otherwise vanish.
    """
    size, words = abs(change), kpi.words
    match kpi.unit:
        case "minutes":
            return duration(size, words)
        case "score" | "times":
            return words.number(size, _digits_to_show(size, least=2, most=4))
        case "money":
            least = _usual_digits(size, kpi)
            return _money(words.number(size, _digits_to_show(size, least=least, most=4)), kpi)
        case "cases":
            return words("tables.counted.cases", size)
        case "points" | "percent":
            points = _percent(size) if kpi.unit == "percent" else size
            digits = _digits_to_show(points, least=1 if points < _SMALL_CHANGE else 0, most=2)
            unit = "percent_long" if long and kpi.unit == "percent" else kpi.unit
            return words(f"tables.size.{unit}", points, _digits_needed(points, digits))


def signed_text(change: float | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return a bound of a change with its sign and without its unit's name, e.g. `+12 min`."""
    if change is None:
        return kpi.words("tables.no_figure")
    if kpi.unit == "minutes":
        return duration(change, kpi.words, signed=True)
    size = _percent(change) if kpi.unit == "percent" else change
    return kpi.words.number(size, _change_digits(change, kpi) if digits is None else digits, signed=True)


def _change_digits(change: float, kpi: ShownKpi) -> int:
    match kpi.unit:
        case "points":
            return 1
        case "percent":
            return 1 if abs(_percent(change)) >= 1 else 2
        case _:
            return _usual_digits(change, kpi)


def rows_of(kpi: ShownKpi) -> str:
    """Return what the base of a KPI counts, e.g. `answers` or `cases`."""
    return kpi.words(f"tables.rows.{_counts(kpi)}")


def _counts(kpi: ShownKpi) -> str:
    return "buyers" if kpi.type == "value" else _ROWS[kpi.table]


def _counted(n: float, kpi: ShownKpi) -> str:
    """Return a number with what the base of a KPI counts, e.g. `1,234 cases`."""
    return kpi.words(f"tables.counted.{_counts(kpi)}", n)


def base_text(figure: Figure, kpi: ShownKpi) -> str:
    """Return the unweighted base with what it counts, e.g. `2,013 answers`, and a mark when it is low.

    A count is its own base.
    """
    words = kpi.words
    if figure.is_hidden or figure.n is None:
        return words("tables.not_shown") if figure.is_hidden else words("tables.no_base")
    if kpi.type == "count":
        return words("tables.complete_count")
    base = _counted(figure.n, kpi)
    return words("tables.low_base", base=base) if figure.low_base else base


def delivered(pack: Pack, table: str) -> str:
    """Return what readers call the rows of a delivered table, as Markdown."""
    key = f"tables.delivered.{table}"
    return pack.words(key) if key in pack.words.sentences else escape_markdown(table)


def mask(figure: Figure, kpi: ShownKpi) -> str | None:
    """Return the words shown instead of a hidden figure; `None` for a figure that may be shown."""
    match figure.suppressed:
        case None | "no":
            return None
        case "complementary":
            return kpi.words("tables.hidden")
        case _:
            least = kpi.words.number(kpi.minimum_base.suppress)
            return kpi.words("tables.too_few", rows=rows_of(kpi), least=least)


def figure_text(figure: Figure | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return a figure's value, or the mark that stands in its place."""
    if figure is None:
        return kpi.words("tables.no_figure")
    return mask(figure, kpi) or value_text(figure.value, kpi, digits)


def change_text(figure: Figure, kpi: ShownKpi, *, year: bool = False) -> str:
    """Return a change in the words its verdict allows, e.g. `fell 8 points`, `no detectable change` or `3 more`.

    `year` chooses the change from a year ago instead of from the period before.
    """
    change = (figure.year_change if year else figure.change) or 0
    said = {"size": size_text(change, kpi), "rows": rows_of(kpi)}
    return kpi.words(f"tables.change.{happened(figure, year=year)}", abs(change), **said)


def happened(figure: Figure, *, year: bool = False) -> Happened:
    """Return what a verdict says of a change."""
    verdict, change = (figure.year_verdict, figure.year_change) if year else (figure.verdict, figure.change)
    match verdict:
        case _ if figure.is_hidden:
            return "not_shown"
        case "rose" | "fell" if change is not None:
            return verdict
        case "complete count: not tested" if change is not None:
            return "more" if change > 0 else "fewer" if change else "same_number"
        case "too few answers":
            return "not_comparable" if change is None else "too_few"
        case "no detectable change":
            return "unchanged"
        case _:
            return "no_earlier"


def change_interval_text(figure: Figure, kpi: ShownKpi, *, year: bool = False) -> str:
    """Return the interval of a change, e.g. `+5 to +11`; empty where there is no change to show."""
    low, high = (
        (figure.year_change_ci_low, figure.year_change_ci_high)
        if year
        else (figure.change_ci_low, figure.change_ci_high)
    )
    if figure.is_hidden or low is None or high is None:
        return ""
    return _signed_interval_text(low, high, kpi)


def _signed_interval_text(low: float, high: float, kpi: ShownKpi) -> str:
    digits = min(_change_digits(bound, kpi) for bound in (low, high))
    return _range(signed_text(low, kpi, digits), signed_text(high, kpi, digits), kpi.words)


def is_worse(kpi: ShownKpi, verdict: str | None) -> bool:
    """Whether a verdict says that a KPI moved the wrong way."""
    return verdict == ("fell" if kpi.higher_is_better else "rose")


def is_better(kpi: ShownKpi, verdict: str | None) -> bool:
    """Whether a verdict says that a KPI moved the right way."""
    return verdict == ("rose" if kpi.higher_is_better else "fell")


def side(figure: Figure) -> str | None:
    """Return `above` or `below` when a level differs from everyone else by its corrected test, else `None`.

    Nothing is said of a figure on a low base.
    """
    return figure.apart if figure.is_shown and not figure.low_base else None


def is_alarming(kpi: ShownKpi, figure: Figure) -> bool:
    """Whether a total is a signal against its own past, on the wrong side of its usual middle."""
    if figure.signal is None or figure.value is None or figure.usual_mid is None:
        return False
    return (figure.value < figure.usual_mid) == kpi.higher_is_better


def target_text(figure: Figure, kpi: ShownKpi) -> str:
    """Return the target with its status, e.g. `target 35 missed`; empty when there is none."""
    if figure.target is None or figure.is_hidden:
        return ""
    target = target_value_text(figure.target, kpi)
    match figure.status:
        case "target met":
            return kpi.words("tables.target.met", target=target)
        case "target missed":
            return kpi.words("tables.target.missed", target=target)
        case None:
            beside = _beside(figure.value, figure.target, kpi)
            return kpi.words("tables.target.beside", target=target, beside=beside)
        case _:
            return kpi.words("tables.target.same", target=target)


def target_value_text(target: float, kpi: ShownKpi) -> str:
    """Return a target in its unit, a whole percentage without decimals."""
    digits = _usual_digits(target, kpi)
    return value_text(target, kpi, _digits_needed(_percent(target), digits) if kpi.unit == "percent" else digits)


def _beside(value: float | None, other: float, kpi: ShownKpi) -> str:
    """Say how a figure without an interval stands to another: only a complete count can be told from it."""
    if kpi.type != "count" or value is None:
        return kpi.words("tables.beside.no_interval")
    return _distance(value - other, kpi) if value != other else kpi.words("tables.beside.reached")


def _distance(gap: float, kpi: ShownKpi) -> str:
    return kpi.words(f"tables.beside.{'above' if gap > 0 else 'below'}", size=size_text(gap, kpi))


def benchmark_text(pack: Pack, figure: Figure, kpi: ShownKpi) -> str:
    """Return the benchmark with its year and the gap, e.g. `benchmark 30 (2024): 8 points below`; empty when none.

    "Above" and "below" stand only where the interval of the gap leaves out zero.
    """
    if figure.benchmark is None or figure.benchmark_value is None or figure.is_hidden:
        return ""
    words = pack.words
    said = {"value": value_text(figure.benchmark_value, kpi), "year": pack.benchmark_year(figure.benchmark)}
    low, high = figure.gap_ci_low, figure.gap_ci_high
    if figure.gap is None:
        return words("tables.benchmark.alone", **said)
    if low is None or high is None:
        beside = _beside(figure.value, figure.benchmark_value, kpi)
    elif low <= 0 <= high:
        beside = words("tables.benchmark.same")
    else:
        beside = kpi.words(f"tables.beside.{'above' if low > 0 else 'below'}", size=size_text(figure.gap, kpi))
    return words("tables.benchmark.beside", beside=beside, **said)


def gap_interval_text(figure: Figure, kpi: ShownKpi) -> str:
    """Return the interval of the gap to the benchmark, e.g. `+7.4 to +14.5`; empty when there is none.

    It says where the benchmark's own error is not known.
    """
    low, high = figure.gap_ci_low, figure.gap_ci_high
    if figure.is_hidden or low is None or high is None:
        return ""
    interval = _signed_interval_text(low, high, kpi)
    return kpi.words("tables.benchmark.exact", interval=interval) if figure.benchmark_low is None else interval


def past_text(pack: Pack, figure: Figure) -> str:
    """Return the signal of a figure against its own past, or that it is usual; empty without a usual range."""
    if not figure.is_shown or figure.usual_mid is None:
        return ""
    return pack.words.text(figure.signal) if figure.signal else pack.words("tables.usual")


def history_text(pack: Pack, figure: Figure) -> str:
    """Return where a figure stands among its earlier ones, e.g. `better than 83% of earlier months`."""
    if not figure.is_shown or figure.history_percentile is None:
        return ""
    share = pack.words.percent(figure.history_percentile)
    return pack.words(f"tables.better_than_earlier.{pack.report.period_kind}", share=share)


def everybody_text(pack: Pack, figure: Figure, kpi: ShownKpi) -> str:
    """Return everybody's figure beside an audience's, and whether the audience differs from all others by its test.

    For example `all together 22; North is above everyone else`; empty in everybody's own pack.
    """
    everybody = pack.everybody(kpi.id)
    if everybody is None or pack.audience is None:
        return ""
    value = figure_text(everybody, kpi)
    return pack.words(f"tables.everybody.{side(figure) or 'alone'}", value=value, audience=pack.audience.title)


def audience_place_text(pack: Pack, figure: Figure) -> str:
    """Return where an audience stands among the others, e.g. `better than 75% of the others (50% to 100%)`."""
    if not peers_text(pack, figure):
        return ""
    share, interval = share_text(figure.peer_percentile, pack.words), _peers_interval_text(pack, figure)
    return pack.words("tables.everybody.place", share=share, interval=interval)


def peers_text(pack: Pack, figure: Figure) -> str:
    """Return where a level stands among the others of its segment, e.g. `better than 75%`."""
    if not figure.is_shown or figure.peer_percentile is None:
        return ""
    return pack.words("tables.better_than", share=pack.words.percent(figure.peer_percentile))


def _peers_interval_text(pack: Pack, figure: Figure) -> str:
    if not figure.is_shown or figure.peer_low is None or figure.peer_high is None:
        return ""
    return _range(pack.words.percent(figure.peer_low), pack.words.percent(figure.peer_high), pack.words)


def share_text(share: float | None, words: Words) -> str:
    """Return a share of a base as a percentage, or that there is none."""
    return words("tables.no_figure") if share is None else words.percent(share)


def _percent(share: float) -> float:
    # Shifting the point in decimal keeps 0.285 from becoming 28.499999999999996.
    return float(Decimal(str(share)).scaleb(2))


def _digits_to_show(size: float, *, least: int = 0, most: int = 2) -> int:
    """Return the fewest digits, within limits, with which a size does not vanish."""
    shown = (digits for digits in range(least, most) if round_half_up(size, digits))
    return next(shown, most) if size else least


def _digits_needed(size: float, digits: int) -> int:
    """Return no digits where all that would be written are zeros."""
    return 0 if round_half_up(size, digits) == round_half_up(size) else digits


# --- tables of figures ---------------------------------------------------------------------------


def kpi_tables(pack: Pack) -> Markdown:
    """Return `kpi_table` for each area under a heading; without headings where all KPIs are of one area.

    A sentence before explains the place in the past where a table has it.
    """
    measured = [area for area, kpis in pack.areas.items() if any(pack.total(kpi.id) for kpi in kpis)]
    totals = [figure for kpi in pack.kpis.values() if (figure := pack.total(kpi.id))]
    about = [Markdown(pack.words("tables.about_past"))] if any(_has_past(pack, each) for each in totals) else []
    if len(measured) < 2:  # noqa: PLR2004 - one table needs no heading
        return _joined([*about, kpi_table(pack, list(pack.kpis.values()))], empty="")
    parts = [_section(area or pack.words("tables.other_area"), kpi_table(pack, pack.areas[area])) for area in measured]
    return _joined([*about, *parts], empty="")


def _has_past(pack: Pack, figure: Figure) -> bool:
    return bool(past_text(pack, figure) or history_text(pack, figure))


def kpi_table(pack: Pack, kpis: Sequence[ShownKpi]) -> Markdown:
    """Return one row a KPI that is not asked per question.

    It holds the base, value and changes with their intervals, and where the value stands in the KPI's own past.
    """
    words = pack.words
    figures = [(kpi, figure) for kpi in kpis if (figure := pack.total(kpi.id))]
    head, align = _heads(pack, "kpi_base", "value_interval"), "lr"
    rows = [
        [escape_markdown(kpi.title) + second(base_text(figure, kpi)), _valued(figure, kpi, detailed=True)]
        for kpi, figure in figures
    ]
    # A column that says the same nothing in every row tells nothing.
    for title, year in (
        (words("tables.head.change_since", period=words.period(pack.period.previous)), False),
        (words("tables.head.since", period=words.period(pack.period.year_ago)), True),
    ):
        if any((figure.year_change if year else figure.change) is not None for _, figure in figures):
            head, align = [*head, title], align + "l"
            for row, (kpi, figure) in zip(rows, figures, strict=True):
                row.append(_changed(figure, kpi, year=year))
    if any(_has_past(pack, figure) for _, figure in figures):
        head, align = [*head, words("tables.head.past")], align + "l"
        for row, (_, figure) in zip(rows, figures, strict=True):
            row.append(_against_past(pack, figure))
    return _table(pack.mark, head, rows, align, empty=words("tables.no_kpi"))


def targets_table(pack: Pack) -> Markdown:
    """Return the KPIs that have a target or a benchmark: how far off each is, or why a benchmark is refused."""
    figures = [(kpi, figure) for kpi in pack.kpis.values() if (figure := pack.total(kpi.id))]
    rows = [
        [
            escape_markdown(kpi.title),
            _valued(figure, kpi),
            target_text(figure, kpi) or pack.words("tables.none_set"),
            _benchmarked(pack, figure, kpi) or pack.words("tables.none_comparable"),
        ]
        for kpi, figure in figures
        if target_text(figure, kpi) or benchmark_text(pack, figure, kpi)
    ]
    head = _heads(pack, "kpi", "value", "target", "benchmark")
    return _table(pack.mark, head, rows, "lrll", empty=pack.words("tables.no_targets"))


def notes(pack: Pack) -> Markdown:
    """Return what measuring noted of the totals, such as answers left out; empty when nothing was.

    Benchmarks have their own table in the method, so their notes are not repeated.
    """
    noted: dict[str, list[str]] = {}
    for kpi in pack.kpis.values():
        figure = pack.total(kpi.id)
        if figure and not figure.is_hidden and (note := note_text(figure, kpi)):
            noted.setdefault(note, []).append(kpi.short)
    lines = [f"- {escape_markdown(', '.join(names))}: {escape_markdown(note)}." for note, names in noted.items()]
    return Markdown(folded(pack.words("tables.note.heading"), "\n".join(lines)) if lines else "")


def counts_table(pack: Pack) -> Markdown:
    """Return the counts behind each share and net: what is counted, what a net takes off, and all."""
    rows = []
    for kpi in pack.kpis.values():
        figure = pack.total(kpi.id)
        if figure is None or not figure.is_shown or figure.n is None or figure.n_top is None:
            continue
        rows.append(
            [
                escape_markdown(kpi.title),
                value_text(figure.value, kpi, 2),
                _part(figure.n_top, figure.n, kpi),
                "" if figure.n_bottom is None else _part(figure.n_bottom, figure.n, kpi),
                _counted(figure.n, kpi),
            ]
        )
    if not rows:
        return Markdown(pack.words("tables.no_counts"))
    head = _heads(pack, "kpi", "value", "counted", "taken_off", "of_all")
    return Markdown(folded(pack.words("tables.every_count"), pipe_table(pack.mark, head, rows, "lrrrr")))


def questions_table(pack: Pack) -> Markdown:
    """Return one row a question for the KPIs computed per question: mean to four decimals, share with count, base.

    Nothing where the report has no such KPI, so that its section goes.
    """
    kpis = [kpi for kpi in pack.kpis.values() if kpi.per_question][:MOST_KPIS_BESIDE]
    if not kpis:
        return Markdown("")
    by_kpi = {kpi.id: {figure.question: figure for figure in pack.figures(kpi.id)} for kpi in kpis}
    order = list(pack.question_titles)
    questions = sorted(
        {question for figures in by_kpi.values() for question in figures if question},
        key=lambda question: (order.index(question) if question in order else len(order), question),
    )
    rows = []
    for question in questions:
        figures = [(kpi, by_kpi[kpi.id].get(question)) for kpi in kpis]
        base = next((base_text(figure, kpi) for kpi, figure in figures if figure), pack.words("tables.no_base"))
        rows.append([escape_markdown(pack.question_title(question)), *(_asked(f, kpi) for kpi, f in figures), base])
    question, base = _heads(pack, "question", "base")
    head = [question, *(escape_markdown(kpi.short) for kpi in kpis), base]
    return _table(pack.mark, head, rows, "l" + "r" * (len(head) - 1), empty=pack.words("tables.no_kpi"))


def segment_table(pack: Pack, kpi: ShownKpi, segment: str) -> Markdown:
    """Return one row a level of a segment: value, base with its share of all, change, place among the other levels.

    Hidden levels say why.
    """
    if segment not in pack.segments:
        return Markdown("")
    figures = pack.figures(kpi.id, segment)
    title, (base, change, others) = pack.segments[segment].title, _heads(pack, "base", "change", "others")
    head, align = [escape_markdown(title), escape_markdown(kpi.short), base], "lrr"
    rows = [
        [escape_markdown(pack.group_label(figure)), _valued(figure, kpi), _base_and_share(figure, kpi)]
        for figure in figures
    ]
    if any(figure.change is not None for figure in figures):
        head, align = [*head, change], align + "l"
        for row, figure in zip(rows, figures, strict=True):
            row.append(_changed(figure, kpi))
    if any(peers_text(pack, figure) for figure in figures):
        head, align = [*head, others], align + "l"
        for row, figure in zip(rows, figures, strict=True):
            row.append(peers_text(pack, figure) + second(_peers_interval_text(pack, figure)))
    return _table(pack.mark, head, rows, align, empty=pack.words("tables.not_by_this", kpi=escape_markdown(kpi.short)))


def segment_tables(pack: Pack, kpi: ShownKpi) -> Markdown:
    """Return a table for every segment of the report in which a KPI was measured, each behind the segment's title."""
    parts = [
        Markdown(folded(pack.segments[segment].title, segment_table(pack, kpi, segment)))
        for segment in pack.segments
        if pack.figures(kpi.id, segment)
    ]
    return _joined(parts, empty=pack.words("tables.not_by_segment", kpi=escape_markdown(kpi.short)))


def headline_tables(pack: Pack) -> Markdown:
    """Return the headline KPIs beside the leading one by every segment: values, intervals, bases.

    Each segment stands behind its title. A value that differs from everyone else by its corrected test says so.
    """
    beside = [pack.kpis[name] for name in pack.report.headline if name != pack.leading.id]
    parts = []
    for segment in pack.segments:
        kpis = [kpi for kpi in beside if not kpi.per_question and pack.figures(kpi.id, segment)]
        if kpis:
            size = ceil(len(kpis) / ceil(len(kpis) / (MOST_COLUMNS - 1)))  # tables are about equally wide
            beside_each = [_beside_table(pack, kpis[at : at + size], segment) for at in range(0, len(kpis), size)]
            parts.append(Markdown(folded(pack.segments[segment].title, "\n\n".join(beside_each))))
    return _joined(parts, empty=pack.words("tables.no_other_headline"))


def _beside_table(pack: Pack, kpis: Sequence[ShownKpi], segment: str) -> str:
    by_kpi = [{figure.level: figure for figure in pack.figures(kpi.id, segment)} for kpi in kpis]
    levels = dict.fromkeys(figure.level for kpi in kpis for figure in pack.figures(kpi.id, segment))
    rows = [
        [
            escape_markdown(pack.level_label(segment, level)),
            *(_in_short(figures.get(level), kpi) for kpi, figures in zip(kpis, by_kpi, strict=True)),
        ]
        for level in sorted(levels, key=lambda level: pack.place(segment, level))
    ]
    head = [escape_markdown(pack.segments[segment].title), *(escape_markdown(kpi.short) for kpi in kpis)]
    return pipe_table(pack.mark, head, rows, "l" + "r" * len(kpis))


def stand_outs(pack: Pack, kpi: ShownKpi, limit: int = 6) -> Markdown:
    """Return the levels furthest from the total among those that differ from everyone else by their corrected test."""
    total = pack.total(kpi.id)
    found = []
    for segment in pack.segments:
        for figure in pack.figures(kpi.id, segment):
            place = side(figure)
            if place and total and total.value is not None and figure.value is not None:
                found.append((figure.value - total.value, figure, place))
    found.sort(key=lambda item: (-abs(item[0]), item[1].segment, item[1].level))
    rows = [
        [
            _group(pack, figure),
            _valued(figure, kpi),
            pack.words(f"tables.beside.{place}", size=size_text(distance, kpi)),
            base_text(figure, kpi),
        ]
        for distance, figure, place in found[:limit]
    ]
    group, base = _heads(pack, "group", "base")
    against = pack.words("tables.head.against_all", value=value_text(total.value if total else None, kpi))
    head = [group, escape_markdown(kpi.short), against, base]
    compared = any(f.apart_p_value is not None for segment in pack.segments for f in pack.figures(kpi.id, segment))
    empty = pack.words(f"tables.apart.{'none' if compared else 'not_compared'}")
    return _table(pack.mark, head, rows, "lrlr", empty=empty)


def changes_table(pack: Pack) -> Markdown:
    """Return every detectable change of every KPI in every level of every segment, largest first within a KPI."""
    rows = []
    for kpi in pack.kpis.values():
        moved = [
            figure
            for segment in pack.segments
            for figure in pack.figures(kpi.id, segment)
            if not figure.is_hidden and figure.verdict in {"rose", "fell"} and figure.change is not None
        ]
        moved.sort(key=lambda figure: (-abs(figure.change or 0), figure.segment, figure.level))
        rows += [
            [
                escape_markdown(kpi.short),
                _group(pack, figure),
                _valued(figure, kpi),
                _changed(figure, kpi),
                base_text(figure, kpi),
            ]
            for figure in moved
        ]
    head = _heads(pack, "kpi", "group", "value", "change", "base")
    empty = pack.words("tables.no_changes" if pack.has_past else "tables.no_earlier")
    return _table(pack.mark, head, rows, "llrlr", empty=empty)


def reading_changes(pack: Pack) -> Markdown:
    """Return how the words for changes and their intervals go together; empty without an earlier period."""
    return Markdown(pack.words("tables.reading_changes") if pack.has_past else "")


def mix_table(pack: Pack, segment: str) -> Markdown:
    """Return how one segment explains the leading KPI's change: share and value before and after, both effects.

    Empty without an earlier period.
    """
    if not segment:
        return Markdown("")
    kpi, total = pack.leading, pack.mix_total(segment)
    rows = [
        _mix_cells(row, escape_markdown(pack.level_label(segment, row.level)), kpi) for row in pack.mix_rows(segment)
    ]
    if total:
        rows.append(_mix_cells(total, pack.words("tables.all"), kpi))
    share, *effects = _heads(pack, "share", "own_change", "changed_share")
    head = [escape_markdown(pack.segments[segment].title), share, escape_markdown(kpi.short), *effects]
    return _table(pack.mark, head, rows, "lrrrr", empty="")


def other_mix_tables(pack: Pack) -> Markdown:
    """Return a section with the split of the leading KPI's change for the segments that matter less for it."""
    parts = [
        _section(pack.words("tables.by", segment=pack.segment_name(segment)), mix_table(pack, segment))
        for segment in pack.report.mix_segments
        if segment != pack.mix_segment and pack.mix_total(segment)
    ]
    return _joined(parts, empty="")


def _in_short(figure: Figure | None, kpi: ShownKpi) -> str:
    """Return a cell with value, interval, base and, where a test says so, on which side of everyone else it lies."""
    if figure is None or not figure.is_shown:
        return figure_text(figure, kpi)
    base = "" if figure.n is None or kpi.type == "count" else kpi.words("tables.n", figure.n)
    apart = kpi.words(f"tables.apart.{side(figure)}") if side(figure) else ""
    parts = (interval_text(figure.ci_low, figure.ci_high, kpi), base, apart)
    return value_text(figure.value, kpi) + second("; ".join(part for part in parts if part))


def _against_past(pack: Pack, figure: Figure) -> str:
    told, history = escape_markdown(past_text(pack, figure)), history_text(pack, figure)
    return told + second(history) if told else history


def second(text: str) -> str:
    """Return Markdown for a further line of a table cell; where there are no styles it reads on in brackets."""
    return f" [({text})]{{.cx-second}}" if text else ""


MOST_KPIS_BESIDE = 3


def _heads(pack: Pack, *names: str) -> list[str]:
    """Return the titles of columns."""
    return [pack.words(f"tables.head.{name}") for name in names]


def _section(title: str, part: Markdown) -> Markdown:
    """Return a part under a heading of plain text."""
    return Markdown(f"### {escape_markdown(title)}\n\n{part}")


def _table(mark: Mark, head: Sequence[str], rows: Iterable[Sequence[str]], align: str, *, empty: str) -> Markdown:
    filled = list(rows)
    return Markdown(pipe_table(mark, head, filled, align) if filled else empty)


def _joined(parts: Sequence[Markdown], *, empty: str) -> Markdown:
    return Markdown("\n\n".join(part.text for part in parts) or empty)


def _valued(figure: Figure, kpi: ShownKpi, *, detailed: bool = False) -> str:
    """Return a cell with a value and its interval; detailed ones keep the decimals that others publish."""
    value_digits = {"points": 2, "percent": 1}.get(kpi.unit) if detailed else None
    interval_digits = {"points": 1, "percent": 1}.get(kpi.unit) if detailed else None
    shown = figure_text(figure, kpi, value_digits)
    if not figure.is_shown:
        return shown
    return shown + second(interval_text(figure.ci_low, figure.ci_high, kpi, interval_digits))


def _changed(figure: Figure, kpi: ShownKpi, *, year: bool = False) -> str:
    return change_text(figure, kpi, year=year) + second(change_interval_text(figure, kpi, year=year))


def _benchmarked(pack: Pack, figure: Figure, kpi: ShownKpi) -> str:
    return escape_markdown(benchmark_text(pack, figure, kpi)) + second(gap_interval_text(figure, kpi))


def note_text(figure: Figure, kpi: ShownKpi) -> str:
    """Return a figure's note without what it says of benchmarks, in the words of what the KPI counts."""
    parts = [part for part in (figure.note or "").split("; ") if part and not part.startswith("benchmark ")]
    return "; ".join(_said_of(part, kpi) for part in parts)


def _said_of(note: str, kpi: ShownKpi) -> str:
    """Return a part of a note with separators in thousands; what was not asked has no answer."""
    found = _COUNT.match(note)
    if not found:
        return kpi.words.text(note)
    n = int(found[0])
    if note.endswith(_LEFT_OUT) and _counts(kpi) != "answers":
        return kpi.words("tables.note.not_arisen", counted=_counted(n, kpi))
    return kpi.words.text(f"{n:,}{note[found.end() :]}")


def _group(pack: Pack, figure: Figure) -> str:
    """Return a cell that names a level and, below it, its segment."""
    return escape_markdown(pack.group_label(figure)) + second(escape_markdown(pack.segments[figure.segment].title))


def _base_and_share(figure: Figure, kpi: ShownKpi) -> str:
    if figure.is_hidden or figure.share is None:
        return base_text(figure, kpi)
    return base_text(figure, kpi) + second(kpi.words("tables.of_all", share=kpi.words.percent(figure.share)))


def _asked(figure: Figure | None, kpi: ShownKpi) -> str:
    if figure is None or not figure.is_shown:
        return figure_text(figure, kpi)
    if kpi.unit == "score":
        return value_text(figure.value, kpi, 4)
    count = "" if figure.n_top is None else kpi.words.number(figure.n_top)
    return value_text(figure.value, kpi, 2) + second(count)


def _part(count: int, base: int, kpi: ShownKpi) -> str:
    number = kpi.words.number(count)
    # Unweighted counts do not divide into a weighted share, nor those of several questions into their mean.
    return number if kpi.weight or kpi.parts or not base else number + second(kpi.words.percent(count / base))


def _mix_cells(row: MixRow, name: str, kpi: ShownKpi) -> list[str]:
    words = kpi.words
    if row.is_hidden:
        return [name, words("tables.not_shown"), words("tables.hidden"), "", ""]
    before = "" if row.level == ALL else words("tables.was", value=share_text(row.share_before, words))
    return [
        name,
        share_text(1 if row.level == ALL else row.share_after, words) + second(before),
        value_text(row.value_after, kpi) + second(words("tables.was", value=value_text(row.value_before, kpi))),
        signed_text(row.rate_effect, kpi),
        signed_text(row.mix_effect, kpi),
    ]
