"""The one place where figures are rounded, masked and marked as missing, and the tables made of them.

Formats return plain text without any mark-up; whatever comes from data is escaped where it enters a table.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

from cxreport.config import FactName
from cxreport.present.markup import MOST_COLUMNS, Markdown, escape_markdown, pipe_table
from cxreport.present.pack import ALL, Figure, MixRow, Pack, ShownKpi

MINUS = "\u2212"
NO_FIGURE = "no figure"
# Verdicts that are told in other words.
COMPLETE, TOO_FEW, NO_EARLIER_FIGURE = "complete count: not tested", "too few answers", "no earlier figure"
NOT_COMPARABLE = "cannot be compared"  # one of both figures has no interval or is hidden
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


def number(value: float, digits: int = 0, *, signed: bool = False) -> str:
    """Return a number with thousands separators, halves rounded away from zero and a real minus sign.

    >>> number(1234.5), number(-0.4), number(7.6, signed=True)
    ('1,235', '0', '+8')
    """
    rounded = _rounded(Decimal(str(value)), digits)
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}{abs(rounded):,}"


def value_text(value: float | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return a value in its unit: `22` points, `81%`, score `5.31`, `1 h 52 min`, `USD 12.40`, `1,234 cases`.

    Unless `digits` are given, shares near none or all of a base have one decimal, and sums from 100 on have none.
    """
    if value is None:
        return NO_FIGURE
    digits = _usual_digits(value, kpi) if digits is None else digits
    match kpi.unit:
        case "points" | "score" | "times":
            return number(value, digits)
        case "percent":
            return number(_percent(value), digits) + "%"
        case "minutes":
            return duration(value, max(digits, 1))
        case "money":
            return _money(number(value, digits), kpi)
        case "cases":
            return _counted(value, "cases")


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
    return f"{kpi.currency} {amount}".strip()


def _counted(n: float, rows: str) -> str:
    """Return a number with what it counts, e.g. `1,234 cases`."""
    text = number(n)
    return f"{text} {rows[:-1] if text == '1' else rows}"


def duration(minutes: float, digits: int = 1, *, signed: bool = False) -> str:
    """Return minutes as a reader says them, days with so many decimals.

    >>> duration(112), duration(59.7), duration(3312)
    ('1 h 52 min', '1 h', '2.3 days')
    """
    whole = int(_rounded(Decimal(str(abs(minutes))), 0))
    if whole < _DAY:
        parts = [f"{whole // _HOUR} h"] * (whole >= _HOUR) + [f"{whole % _HOUR} min"] * (
            whole % _HOUR > 0 or whole == 0
        )
        text = " ".join(parts)
    else:
        days = number(abs(minutes) / _DAY, digits).removesuffix(f".{'0' * digits}")
        text = f"{days} day" + ("" if days == "1" else "s")
    sign = "" if whole == 0 else MINUS if minutes < 0 else "+" if signed else ""
    return sign + text


def interval_text(low: float | None, high: float | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return an interval such as `19 to 25`; a single answer has none, and a complete count needs none."""
    if low is None or high is None:
        return "" if kpi.type == "count" else "no interval"
    digits = max(_usual_digits(bound, kpi) for bound in (low, high)) if digits is None else digits
    ends = [value_text(bound, kpi, digits) for bound in (low, high)]
    if ends[0] == ends[1] and low != high:
        ends = [value_text(bound, kpi, digits + 1) for bound in (low, high)]
    if ends[1].endswith(" days"):
        ends[0] = ends[0].removesuffix(" days").removesuffix(" day")
    if kpi.unit == "money":
        ends[1] = ends[1].removeprefix(f"{kpi.currency} ")
    return " to ".join(ends)


def precision_text(pack: Pack, figure: Figure, kpi: ShownKpi) -> str:
    """Return how precisely a figure is known, e.g. `95% interval 19 to 25`, `no interval` or `a complete count`."""
    if kpi.type == "count":
        return "a complete count"
    interval = interval_text(figure.ci_low, figure.ci_high, kpi)
    return interval if figure.ci_low is None or figure.ci_high is None else f"{pack.confidence} interval {interval}"


def size_text(change: float, kpi: ShownKpi, *, long: bool = False) -> str:
    """Return how large a change is, without its direction; `long` tells points from percentage points.

    Small changes have one decimal, and more where they would otherwise vanish.
    """
    size = abs(change)
    match kpi.unit:
        case "minutes":
            return duration(size)
        case "score" | "times":
            return number(size, _digits_to_show(size, least=2, most=4))
        case "money":
            least = _usual_digits(size, kpi)
            return _money(number(size, _digits_to_show(size, least=least, most=4)), kpi)
        case "cases":
            return _counted(size, "cases")
        case "points" | "percent":
            points = _percent(size) if kpi.unit == "percent" else size
            least = 1 if points < _SMALL_CHANGE else 0
            text = number(points, _digits_to_show(points, least=least, most=2)).removesuffix(".0")
            name = "percentage point" if long and kpi.unit == "percent" else "point"
            return f"{text} {name}" + ("" if text == "1" else "s")


def signed_text(change: float | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return a bound of a change with its sign and without its unit's name, e.g. `+12 min`."""
    if change is None:
        return NO_FIGURE
    if kpi.unit == "minutes":
        return duration(change, signed=True)
    size = _percent(change) if kpi.unit == "percent" else change
    return number(size, _change_digits(change, kpi) if digits is None else digits, signed=True)


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
    return "buyers" if kpi.type == "value" else _ROWS[kpi.table]


def base_text(figure: Figure, kpi: ShownKpi) -> str:
    """Return the unweighted base with what it counts, e.g. `2,013 answers`, and a mark when it is low.

    A count is its own base.
    """
    if figure.is_hidden or figure.n is None:
        return "not shown" if figure.is_hidden else "no base"
    if kpi.type == "count":
        return "complete count"
    counted = _counted(figure.n, rows_of(kpi))
    return f"{counted}, low base" if figure.low_base else counted


def mask(figure: Figure, kpi: ShownKpi) -> str | None:
    """Return the words shown instead of a hidden figure; `None` for a figure that may be shown."""
    match figure.suppressed:
        case None | "no":
            return None
        case "complementary":
            return "hidden to protect a small group"
        case _:
            return f"too few {rows_of(kpi)} (under {kpi.minimum_base.suppress})"


def figure_text(figure: Figure | None, kpi: ShownKpi, digits: int | None = None) -> str:
    """Return a figure's value, or the mark that stands in its place."""
    if figure is None:
        return NO_FIGURE
    return mask(figure, kpi) or value_text(figure.value, kpi, digits)


def change_text(figure: Figure, kpi: ShownKpi, *, year: bool = False) -> str:
    """Return a change in the words its verdict allows, e.g. `fell 8 points`, `no detectable change` or `3 more`.

    `year` chooses the change from a year ago instead of from the period before.
    """
    verdict, change = (figure.year_verdict, figure.year_change) if year else (figure.verdict, figure.change)
    if figure.is_hidden:
        return "not shown"
    if verdict in {"rose", "fell"} and change is not None:
        return f"{verdict} {size_text(change, kpi)}"
    if verdict == COMPLETE and change is not None:
        return f"{number(abs(change))} {'more' if change > 0 else 'fewer'}" if change else "the same number"
    if verdict == TOO_FEW:
        return NOT_COMPARABLE if change is None else f"too few {rows_of(kpi)}"
    return verdict or NO_EARLIER_FIGURE


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
    return f"{signed_text(low, kpi, digits)} to {signed_text(high, kpi, digits)}"


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
    target = f"target {value_text(figure.target, kpi).replace('.0%', '%')}"
    match figure.status:
        case "target met":
            return f"{target} met"
        case "target missed":
            return f"{target} missed"
        case None:
            return f"{target}: {_beside(figure.value, figure.target, kpi)}"
        case _:
            return f"{target}: not distinguishable from it"


def _beside(value: float | None, other: float, kpi: ShownKpi) -> str:
    """Say how a figure without an interval stands to another: only a complete count can be told from it."""
    if kpi.type != "count" or value is None:
        return "no interval to judge by"
    return f"{size_text(value - other, kpi)} {'above' if value > other else 'below'}" if value != other else "reached"


def benchmark_text(pack: Pack, figure: Figure, kpi: ShownKpi) -> str:
    """Return the benchmark with its year and the gap, e.g. `benchmark 30 (2024): 8 points below`; empty when none.

    "Above" and "below" stand only where the interval of the gap leaves out zero.
    """
    if figure.benchmark is None or figure.benchmark_value is None or figure.is_hidden:
        return ""
    said = f"benchmark {value_text(figure.benchmark_value, kpi)} ({pack.benchmark_year(figure.benchmark)})"
    low, high = figure.gap_ci_low, figure.gap_ci_high
    if figure.gap is None:
        return said
    if low is None or high is None:
        return f"{said}: {_beside(figure.value, figure.benchmark_value, kpi)}"
    if low <= 0 <= high:
        return f"{said}: not distinguishable from the benchmark"
    return f"{said}: {size_text(figure.gap, kpi)} {'above' if low > 0 else 'below'}"


def gap_interval_text(figure: Figure, kpi: ShownKpi) -> str:
    """Return the interval of the gap to the benchmark, e.g. `+7.4 to +14.5`; empty when there is none.

    It says where the benchmark's own error is not known.
    """
    low, high = figure.gap_ci_low, figure.gap_ci_high
    if figure.is_hidden or low is None or high is None:
        return ""
    exact = "; benchmark taken as exact" if figure.benchmark_low is None else ""
    return _signed_interval_text(low, high, kpi) + exact


def past_text(figure: Figure) -> str:
    """Return the signal of a figure against its own past, or that it is usual; empty without a usual range."""
    if not figure.is_shown or figure.usual_mid is None:
        return ""
    return figure.signal or "usual"


def history_text(pack: Pack, figure: Figure) -> str:
    """Return where a figure stands among its earlier ones, e.g. `better than 83% of earlier months`."""
    if not figure.is_shown or figure.history_percentile is None:
        return ""
    return f"better than {share_text(figure.history_percentile)} of earlier {pack.report.period_kind}s"


def peers_text(figure: Figure) -> str:
    """Return where a level stands among the others of its segment, e.g. `better than 75%`."""
    if not figure.is_shown or figure.peer_percentile is None:
        return ""
    return f"better than {share_text(figure.peer_percentile)}"


def _peers_interval_text(figure: Figure) -> str:
    if not figure.is_shown or figure.peer_low is None or figure.peer_high is None:
        return ""
    return f"{share_text(figure.peer_low)} to {share_text(figure.peer_high)}"


def share_text(share: float | None) -> str:
    """Return a share of a base as a percentage.

    >>> share_text(0.2849)
    '28%'
    """
    return NO_FIGURE if share is None else number(_percent(share)) + "%"


def _percent(share: float) -> float:
    # Shifting the point in decimal keeps 0.285 from becoming 28.499999999999996.
    return float(Decimal(str(share)).scaleb(2))


def _digits_to_show(size: float, *, least: int = 0, most: int = 2) -> int:
    """Return the fewest digits, within limits, with which a size does not vanish."""
    shown = (digits for digits in range(least, most) if _rounded(Decimal(str(size)), digits))
    return next(shown, most) if size else least


def _rounded(value: Decimal, digits: int) -> Decimal:
    rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return rounded or abs(rounded)  # no negative zero


# --- tables of figures ---------------------------------------------------------------------------


def kpi_tables(pack: Pack) -> Markdown:
    """Return `kpi_table` for each area under a heading; without headings where all KPIs are of one area."""
    measured = [area for area, kpis in pack.areas.items() if any(pack.total(kpi.id) for kpi in kpis)]
    if len(measured) < 2:  # noqa: PLR2004 - one table needs no heading
        return kpi_table(pack, list(pack.kpis.values()))
    parts = [
        Markdown(f"### {escape_markdown(area or 'Other')}\n\n{kpi_table(pack, pack.areas[area])}") for area in measured
    ]
    return _joined(parts, empty="")


def kpi_table(pack: Pack, kpis: Sequence[ShownKpi]) -> Markdown:
    """Return one row a KPI that is not asked per question.

    It holds the base, value and changes with their intervals, and where the value stands in the KPI's own past.
    """
    figures = [(kpi, figure) for kpi in kpis if (figure := pack.total(kpi.id))]
    head, align = ["KPI, base", "Value, interval"], "lr"
    rows = [
        [escape_markdown(kpi.title) + second(base_text(figure, kpi)), _valued(figure, kpi, detailed=True)]
        for kpi, figure in figures
    ]
    # A column that says the same nothing in every row tells nothing.
    for title, year in (
        (f"Change since {pack.period.previous.label}", False),
        (f"Since {pack.period.year_ago.label}", True),
    ):
        if any((figure.year_change if year else figure.change) is not None for _, figure in figures):
            head, align = [*head, title], align + "l"
            for row, (kpi, figure) in zip(rows, figures, strict=True):
                row.append(_changed(figure, kpi, year=year))
    if any(past_text(figure) or history_text(pack, figure) for _, figure in figures):
        head, align = [*head, "Against its past"], align + "l"
        for row, (_, figure) in zip(rows, figures, strict=True):
            row.append(_against_past(pack, figure))
    return _table(head, rows, align, empty="No KPI was measured in this period.")


def targets_table(pack: Pack) -> Markdown:
    """Return the KPIs that have a target or a benchmark: how far off each is, or why a benchmark is refused."""
    figures = [(kpi, figure) for kpi in pack.kpis.values() if (figure := pack.total(kpi.id))]
    rows = [
        [
            escape_markdown(kpi.title),
            _valued(figure, kpi),
            target_text(figure, kpi) or "none set",
            _benchmarked(pack, figure, kpi) or "none comparable",
        ]
        for kpi, figure in figures
        if target_text(figure, kpi) or benchmark_text(pack, figure, kpi)
    ]
    empty = "No KPI of this report has a target or a comparable benchmark."
    return _table(["KPI", "Value", "Target", "Benchmark"], rows, "lrll", empty=empty)


def notes(pack: Pack) -> Markdown:
    """Return what measuring noted of the totals, such as answers left out; empty when nothing was.

    Benchmarks have their own table in the method, so their notes are not repeated.
    """
    noted: dict[str, list[str]] = {}
    for kpi in pack.kpis.values():
        figure = pack.total(kpi.id)
        if figure and not figure.is_hidden and (note := _note(figure, kpi)):
            noted.setdefault(note, []).append(kpi.short)
    lines = [f"- {escape_markdown(', '.join(names))}: {escape_markdown(note)}." for note, names in noted.items()]
    return Markdown("\n".join(["Noted of these figures:", "", *lines]) if lines else "")


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
                _counted(figure.n, rows_of(kpi)),
            ]
        )
    head = ["KPI", "Value", "Counted", "Taken off", "Of all"]
    return _table(head, rows, "lrrrr", empty="No KPI of this report counts answers.")


def questions_table(pack: Pack) -> Markdown:
    """Return one row a question for the KPIs computed per question: mean to four decimals, share with count, base."""
    kpis = [kpi for kpi in pack.kpis.values() if kpi.per_question][:MOST_KPIS_BESIDE]
    by_kpi = {kpi.id: {figure.question: figure for figure in pack.figures(kpi.id)} for kpi in kpis}
    order = list(pack.question_titles)
    questions = sorted(
        {question for figures in by_kpi.values() for question in figures if question},
        key=lambda question: (order.index(question) if question in order else len(order), question),
    )
    rows = []
    for question in questions:
        figures = [(kpi, by_kpi[kpi.id].get(question)) for kpi in kpis]
        base = next((base_text(figure, kpi) for kpi, figure in figures if figure), "no base")
        rows.append([escape_markdown(pack.question_title(question)), *(_asked(f, kpi) for kpi, f in figures), base])
    head = ["Question", *(escape_markdown(kpi.short) for kpi in kpis), "Base"]
    return _table(head, rows, "l" + "r" * (len(head) - 1), empty="No KPI of this report is computed per question.")


def segment_table(pack: Pack, kpi: ShownKpi, segment: str) -> Markdown:
    """Return one row a level of a segment: value, base with its share of all, change, place among the other levels.

    Hidden levels say why.
    """
    if segment not in pack.segments:
        return Markdown("")
    figures = pack.figures(kpi.id, segment)
    head, align = [escape_markdown(pack.segments[segment].title), escape_markdown(kpi.short), "Base"], "lrr"
    rows = [
        [escape_markdown(pack.group_label(figure)), _valued(figure, kpi), _base_and_share(figure, kpi)]
        for figure in figures
    ]
    if any(figure.change is not None for figure in figures):
        head, align = [*head, "Change"], align + "l"
        for row, figure in zip(rows, figures, strict=True):
            row.append(_changed(figure, kpi))
    if any(peers_text(figure) for figure in figures):
        head, align = [*head, "Of the others"], align + "l"
        for row, figure in zip(rows, figures, strict=True):
            row.append(peers_text(figure) + second(_peers_interval_text(figure)))
    return _table(head, rows, align, empty=f"{escape_markdown(kpi.short)} is not measured by this segment.")


def segment_tables(pack: Pack, kpi: ShownKpi) -> Markdown:
    """Return a section with a table for every segment of the report in which a KPI was measured."""
    parts = [
        Markdown(f"### {escape_markdown(pack.segments[segment].title)}\n\n{segment_table(pack, kpi, segment)}")
        for segment in pack.segments
        if pack.figures(kpi.id, segment)
    ]
    return _joined(parts, empty=f"{escape_markdown(kpi.short)} is not measured by segment.")


def headline_tables(pack: Pack) -> Markdown:
    """Return a section for every segment with the headline KPIs beside the leading one: values, intervals, bases.

    A value that differs from everyone else by its corrected test says so.
    """
    beside = [pack.kpis[name] for name in pack.report.headline if name != pack.leading.id]
    parts = []
    for segment in pack.segments:
        kpis = [kpi for kpi in beside if not kpi.per_question and pack.figures(kpi.id, segment)]
        tables = [
            _beside_table(pack, kpis[first : first + MOST_COLUMNS - 1], segment)
            for first in range(0, len(kpis), MOST_COLUMNS - 1)
        ]
        if tables:
            title = escape_markdown(pack.segments[segment].title)
            parts.append(Markdown("\n\n".join([f"### {title}", *tables])))
    return _joined(parts, empty="No other KPI of the headline is measured by segment.")


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
    return pipe_table(head, rows, "l" + "r" * len(kpis))


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
            f"{size_text(distance, kpi)} {place}",
            base_text(figure, kpi),
        ]
        for distance, figure, place in found[:limit]
    ]
    whole = value_text(total.value, kpi) if total else NO_FIGURE
    head = ["Group", escape_markdown(kpi.short), f"Against all ({whole})", "Base"]
    compared = any(f.apart_p_value is not None for segment in pack.segments for f in pack.figures(kpi.id, segment))
    none = "No group differs from everyone else by more than chance usually makes."
    return _table(head, rows, "lrlr", empty=none if compared else "Groups were not compared with everyone else.")


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
    empty = "No group shows a detectable change." if pack.has_past else NO_EARLIER
    return _table(["KPI", "Group", "Value", "Change", "Base"], rows, "llrlr", empty=empty)


def reading_changes(pack: Pack) -> Markdown:
    """Return how the words for changes and their intervals go together; empty without an earlier period."""
    if not pack.has_past:
        return Markdown("")
    return Markdown(
        "Words such as *rose* and *fell* allow for all comparisons of the report, so a change whose own interval "
        "leaves out zero can still read *no detectable change*."
    )


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
        rows.append(_mix_cells(total, "All", kpi))
    head = [
        escape_markdown(pack.segments[segment].title),
        "Share of answers",
        escape_markdown(kpi.short),
        "By own change",
        "By changed share",
    ]
    return _table(head, rows, "lrrrr", empty="")


def other_mix_tables(pack: Pack) -> Markdown:
    """Return a section with the split of the leading KPI's change for the segments that matter less for it."""
    parts = [
        Markdown(f"### By {escape_markdown(pack.segment_name(segment))}\n\n{mix_table(pack, segment)}")
        for segment in pack.report.mix_segments
        if segment != pack.mix_segment and pack.mix_total(segment)
    ]
    return _joined(parts, empty="")


def _in_short(figure: Figure | None, kpi: ShownKpi) -> str:
    """Return a cell with value, interval, base and, where a test says so, on which side of everyone else it lies."""
    if figure is None or not figure.is_shown:
        return figure_text(figure, kpi)
    base = "" if figure.n is None or kpi.type == "count" else f"n {number(figure.n)}"
    apart = f"{side(figure)} all others" if side(figure) else ""
    parts = (interval_text(figure.ci_low, figure.ci_high, kpi), base, apart)
    return value_text(figure.value, kpi) + second("; ".join(part for part in parts if part))


def _against_past(pack: Pack, figure: Figure) -> str:
    told, history = escape_markdown(past_text(figure)), history_text(pack, figure)
    return told + second(history) if told else history


def second(text: str) -> str:
    """Return Markdown for a further line of a table cell; where there are no styles it reads on in brackets."""
    return f" [({text})]{{.cx-second}}" if text else ""


NO_EARLIER = "There is no earlier period to compare with."
MOST_KPIS_BESIDE = 3


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str, *, empty: str) -> Markdown:
    filled = list(rows)
    return Markdown(pipe_table(head, filled, align) if filled else empty)


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


def _note(figure: Figure, kpi: ShownKpi) -> str:
    """Return a figure's note without what it says of benchmarks, in the words of what the KPI counts."""
    parts = [part for part in (figure.note or "").split("; ") if part and not part.startswith("benchmark ")]
    return "; ".join(_said_of(part, kpi) for part in parts)


def _said_of(note: str, kpi: ShownKpi) -> str:
    """Return a part of a note with a comma in thousands; what was not asked has no answer."""
    found = _COUNT.match(note)
    if not found:
        return note
    if note.endswith(_LEFT_OUT) and rows_of(kpi) != "answers":
        return f"{_counted(int(found[0]), rows_of(kpi))} left out, for which it does not arise or cannot be told yet"
    return number(int(found[0])) + note[found.end() :]


def _group(pack: Pack, figure: Figure) -> str:
    """Return a cell that names a level and, below it, its segment."""
    return escape_markdown(pack.group_label(figure)) + second(escape_markdown(pack.segments[figure.segment].title))


def _base_and_share(figure: Figure, kpi: ShownKpi) -> str:
    share = "" if figure.is_hidden or figure.share is None else f"{share_text(figure.share)} of all"
    return base_text(figure, kpi) + second(share)


def _asked(figure: Figure | None, kpi: ShownKpi) -> str:
    if figure is None or not figure.is_shown:
        return figure_text(figure, kpi)
    if kpi.unit == "score":
        return value_text(figure.value, kpi, 4)
    count = "" if figure.n_top is None else number(figure.n_top)
    return value_text(figure.value, kpi, 2) + second(count)


def _part(count: int, base: int, kpi: ShownKpi) -> str:
    # Unweighted counts do not divide into a weighted share, nor those of several questions into their mean.
    return number(count) if kpi.weight or kpi.parts or not base else number(count) + second(share_text(count / base))


def _mix_cells(row: MixRow, name: str, kpi: ShownKpi) -> list[str]:
    if row.is_hidden:
        return [name, "not shown", "hidden to protect a small group", "", ""]
    share = "100%" if row.level == ALL else share_text(row.share_after) + second(f"was {share_text(row.share_before)}")
    return [
        name,
        share,
        f"{value_text(row.value_after, kpi)}{second('was ' + value_text(row.value_before, kpi))}",
        signed_text(row.rate_effect, kpi),
        signed_text(row.mix_effect, kpi),
    ]
