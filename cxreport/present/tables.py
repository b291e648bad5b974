"""The one place where figures are rounded, masked and marked as missing, and the tables made of them.

Formats return plain text without any mark-up; whatever comes from data is escaped where it enters a table.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

from cxreport.config import Kpi
from cxreport.present.markup import Markdown, escape_markdown, pipe_table
from cxreport.present.pack import ALL, Figure, MixRow, Pack

MINUS = "\u2212"
NO_FIGURE = "no figure"
_HOUR, _DAY = 60, 24 * 60
_COUNT = re.compile(r"^\d+")  # what opens a note
_ROWS = {"answers": "answers", "invitations": "invitations", "tickets": "cases"}


# --- formats -------------------------------------------------------------------------------------


def number(value: float, digits: int = 0, *, signed: bool = False) -> str:
    """Return a number with thousands separators, halves rounded away from zero and a real minus sign.

    >>> number(1234.5), number(-0.4), number(7.6, signed=True)
    ('1,235', '0', '+8')
    """
    rounded = _rounded(Decimal(str(value)), digits)
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}{abs(rounded):,}"


def value_text(value: float | None, kpi: Kpi, digits: int | None = None) -> str:
    """Return a value in its unit: points `22`, percent `81%`, score `5.31`, minutes `1 h 52 min` or `2.3 days`."""
    if value is None:
        return NO_FIGURE
    match kpi.unit:
        case "points":
            return number(value, digits or 0)
        case "percent":
            return number(_percent(value), digits or 0) + "%"
        case "score":
            return number(value, 2 if digits is None else digits)
        case "minutes":
            return duration(value)


def duration(minutes: float, *, signed: bool = False) -> str:
    """Return minutes as a reader says them.

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
        days = number(abs(minutes) / _DAY, 1).removesuffix(".0")
        text = f"{days} day" + ("" if days == "1" else "s")
    sign = "" if whole == 0 else MINUS if minutes < 0 else "+" if signed else ""
    return sign + text


def interval_text(low: float | None, high: float | None, kpi: Kpi, digits: int | None = None) -> str:
    """Return an interval such as `19 to 25`; a single answer has none."""
    if low is None or high is None:
        return "no interval"
    ends = [value_text(bound, kpi, digits) for bound in (low, high)]
    if ends[1].endswith(" days"):
        ends[0] = ends[0].removesuffix(" days").removesuffix(" day")
    return " to ".join(ends)


def size_text(change: float, kpi: Kpi, *, long: bool = False) -> str:
    """Return how large a change is, without its direction; `long` tells points from percentage points.

    One decimal is added where a change would otherwise vanish.
    """
    if kpi.unit == "minutes":
        return duration(abs(change))
    if kpi.unit == "score":
        return number(abs(change), 2)
    points = abs(float(_percent(change)) if kpi.unit == "percent" else change)
    name = "percentage point" if long and kpi.unit == "percent" else "point"
    text = number(points, _digits_to_show(points))
    return f"{text} {name}" + ("" if text == "1" else "s")


def signed_text(change: float | None, kpi: Kpi) -> str:
    """Return a bound of a change with its sign and without its unit's name, e.g. `+12 min`."""
    if change is None:
        return NO_FIGURE
    match kpi.unit:
        case "minutes":
            return duration(change, signed=True)
        case "score":
            return number(change, 2, signed=True)
        case "percent":
            return number(_percent(change), 1, signed=True)
        case "points":
            return number(change, 1, signed=True)


def base_text(figure: Figure, kpi: Kpi) -> str:
    """Return the unweighted base with what it counts, e.g. `2,013 answers`, and a mark when it is low."""
    if figure.is_hidden or figure.n is None:
        return "not shown" if figure.is_hidden else "no base"
    rows = _ROWS[kpi.table]
    counted = f"{number(figure.n)} {rows[:-1] if figure.n == 1 else rows}"
    return f"{counted}, low base" if figure.low_base else counted


def mask(figure: Figure, kpi: Kpi) -> str | None:
    """Return the words shown instead of a hidden figure; `None` for a figure that may be shown."""
    match figure.suppressed:
        case None | "no":
            return None
        case "complementary":
            return "hidden to protect a small group"
        case _:
            return f"too few {_ROWS[kpi.table]} (under {kpi.minimum_base.suppress})"


def figure_text(figure: Figure | None, kpi: Kpi, digits: int | None = None) -> str:
    """Return a figure's value, or the mark that stands in its place."""
    if figure is None:
        return NO_FIGURE
    return mask(figure, kpi) or value_text(figure.value, kpi, digits)


def change_text(figure: Figure, kpi: Kpi, *, year: bool = False) -> str:
    """Return a change in the words its verdict allows, e.g. `fell 8 points` or `no detectable change`.

    `year` chooses the change from a year ago instead of from the period before.
    """
    verdict, change = (figure.year_verdict, figure.year_change) if year else (figure.verdict, figure.change)
    if figure.is_hidden:
        return "not shown"
    if verdict in {"rose", "fell"} and change is not None:
        return f"{verdict} {size_text(change, kpi)}"
    return verdict or "no earlier figure"


def change_interval_text(figure: Figure, kpi: Kpi, *, year: bool = False) -> str:
    """Return the interval of a change, e.g. `+5 to +11`; empty where there is no change to show."""
    low, high = (
        (figure.year_change_ci_low, figure.year_change_ci_high)
        if year
        else (figure.change_ci_low, figure.change_ci_high)
    )
    if figure.is_hidden or low is None or high is None:
        return ""
    return _signed_interval_text(low, high, kpi)


def _signed_interval_text(low: float, high: float, kpi: Kpi) -> str:
    return f"{signed_text(low, kpi)} to {signed_text(high, kpi)}"


def is_worse(kpi: Kpi, verdict: str | None) -> bool:
    """Whether a verdict says that a KPI moved the wrong way."""
    return verdict == ("fell" if kpi.higher_is_better else "rose")


def is_better(kpi: Kpi, verdict: str | None) -> bool:
    """Whether a verdict says that a KPI moved the right way."""
    return verdict == ("rose" if kpi.higher_is_better else "fell")


def side(figure: Figure) -> str | None:
    """Return `above` or `below` when a level differs from everyone else by its corrected test, else `None`.

    Nothing is said of a figure on a low base.
    """
    return figure.apart if figure.is_shown and not figure.low_base else None


def is_alarming(kpi: Kpi, figure: Figure) -> bool:
    """Whether a total is a signal against its own past, on the wrong side of its usual middle."""
    if figure.signal is None or figure.value is None or figure.usual_mid is None:
        return False
    return (figure.value < figure.usual_mid) == kpi.higher_is_better


def target_text(figure: Figure, kpi: Kpi) -> str:
    """Return the target with its status, e.g. `target 35 missed`; empty when there is none."""
    if figure.target is None or figure.is_hidden:
        return ""
    target = f"target {value_text(figure.target, kpi)}"
    match figure.status:
        case "target met":
            return f"{target} met"
        case "target missed":
            return f"{target} missed"
        case _:
            return f"{target}: not distinguishable from it"


def benchmark_text(pack: Pack, figure: Figure, kpi: Kpi) -> str:
    """Return the benchmark with its year and the gap, e.g. `benchmark 30 (2024): 8 points below`; empty when none.

    "Above" and "below" stand only where the interval of the gap leaves out zero.
    """
    if figure.benchmark is None or figure.benchmark_value is None or figure.is_hidden:
        return ""
    said = f"benchmark {value_text(figure.benchmark_value, kpi)} ({pack.benchmark_year(figure.benchmark)})"
    low, high = _gap_interval(figure)
    if figure.gap is None:
        return said
    if low is None or high is None or low <= 0 <= high:
        return f"{said}: not distinguishable from the benchmark"
    return f"{said}: {size_text(figure.gap, kpi)} {'above' if low > 0 else 'below'}"


def gap_interval_text(figure: Figure, kpi: Kpi) -> str:
    """Return the interval of the gap to the benchmark, taken as exact, e.g. `+7.4 to +14.5`; empty when none."""
    low, high = _gap_interval(figure)
    return "" if figure.is_hidden or low is None or high is None else _signed_interval_text(low, high, kpi)


def _gap_interval(figure: Figure) -> tuple[float | None, float | None]:
    """Return the KPI's interval minus the benchmark, which is taken as exact."""
    if figure.benchmark_value is None or figure.ci_low is None or figure.ci_high is None:
        return None, None
    return figure.ci_low - figure.benchmark_value, figure.ci_high - figure.benchmark_value


def share_text(share: float | None) -> str:
    """Return a share of a base as a percentage.

    >>> share_text(0.2849)
    '28%'
    """
    return NO_FIGURE if share is None else number(_percent(share)) + "%"


def _percent(share: float) -> float:
    # Shifting the point in decimal keeps 0.285 from becoming 28.499999999999996.
    return float(Decimal(str(share)).scaleb(2))


def _digits_to_show(size: float) -> int:
    return next((digits for digits in (0, 1) if _rounded(Decimal(str(size)), digits)), 2) if size else 0


def _rounded(value: Decimal, digits: int) -> Decimal:
    rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return rounded or abs(rounded)  # no negative zero


# --- tables of figures ---------------------------------------------------------------------------


def kpi_table(pack: Pack) -> Markdown:
    """Return one row a KPI that is not asked per question: base, and value and changes with their intervals."""
    figures = [(kpi, figure) for kpi in pack.kpis.values() if (figure := pack.total(kpi.id))]
    head, align = ["KPI, base", "Value, interval"], "lr"
    rows = [
        [escape_markdown(kpi.title) + second(base_text(figure, kpi)), _valued(figure, kpi, detailed=True)]
        for kpi, figure in figures
    ]
    # A column that says "no earlier figure" in every row tells nothing.
    for title, year in (
        (f"Change since {pack.period.previous.label}", False),
        (f"Since {pack.period.year_ago.label}", True),
    ):
        if any((figure.year_change if year else figure.change) is not None for _, figure in figures):
            head, align = [*head, title], align + "l"
            for row, (kpi, figure) in zip(rows, figures, strict=True):
                row.append(_changed(figure, kpi, year=year))
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
    return _table(["KPI", "Value", "Target", "Benchmark, taken as exact"], rows, "lrll", empty=empty)


def notes(pack: Pack) -> Markdown:
    """Return what measuring noted of the totals, such as answers left out; empty when nothing was.

    Benchmarks have their own table in the method, so their notes are not repeated.
    """
    noted: dict[str, list[str]] = {}
    for kpi in pack.kpis.values():
        figure = pack.total(kpi.id)
        if figure and not figure.is_hidden and (note := _note(figure)):
            noted.setdefault(note, []).append(kpi.short)
    lines = [f"- {escape_markdown(', '.join(names))}: {escape_markdown(note)}." for note, names in noted.items()]
    return Markdown("\n".join(["Noted of these figures:", "", *lines]) if lines else "")


def answers_table(pack: Pack) -> Markdown:
    """Return the counts behind each score: answers in the good class, in the poor class and in all."""
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
                number(figure.n),
            ]
        )
    head = ["KPI", "Value", "Good answers", "Poor answers", "All"]
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


def segment_table(pack: Pack, kpi: Kpi, segment: str) -> Markdown:
    """Return one row a level of a segment: value, base with its share of all, change; hidden levels say why."""
    if segment not in pack.segments:
        return Markdown("")
    figures = pack.figures(kpi.id, segment)
    has_changes = any(figure.change is not None for figure in figures)
    rows = [
        [
            escape_markdown(pack.group_label(figure)),
            _valued(figure, kpi),
            _base_and_share(figure, kpi),
            *([_changed(figure, kpi)] if has_changes else []),
        ]
        for figure in figures
    ]
    head = [escape_markdown(pack.segments[segment].title), escape_markdown(kpi.short), "Base"]
    head += ["Change"] if has_changes else []
    empty = f"{escape_markdown(kpi.short)} is not measured by this segment."
    return _table(head, rows, "lrrl"[: len(head)], empty=empty)


def segment_tables(pack: Pack, kpi: Kpi) -> Markdown:
    """Return a section with a table for every segment of the report in which a KPI was measured."""
    parts = [
        Markdown(f"### {escape_markdown(pack.segments[segment].title)}\n\n{segment_table(pack, kpi, segment)}")
        for segment in pack.segments
        if pack.figures(kpi.id, segment)
    ]
    return _joined(parts, empty=f"{escape_markdown(kpi.short)} is not measured by segment.")


def stand_outs(pack: Pack, kpi: Kpi, limit: int = 6) -> Markdown:
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


def _valued(figure: Figure, kpi: Kpi, *, detailed: bool = False) -> str:
    """Return a cell with a value and its interval; detailed ones keep the decimals that others publish."""
    value_digits, interval_digits = (
        {"points": 2, "percent": 1}.get(kpi.unit),
        {"points": 1, "percent": 1}.get(kpi.unit),
    )
    if not detailed:
        value_digits = interval_digits = None
    shown = figure_text(figure, kpi, value_digits)
    if not figure.is_shown:
        return shown
    return shown + second(interval_text(figure.ci_low, figure.ci_high, kpi, interval_digits))


def _changed(figure: Figure, kpi: Kpi, *, year: bool = False) -> str:
    return change_text(figure, kpi, year=year) + second(change_interval_text(figure, kpi, year=year))


def _benchmarked(pack: Pack, figure: Figure, kpi: Kpi) -> str:
    return escape_markdown(benchmark_text(pack, figure, kpi)) + second(gap_interval_text(figure, kpi))


def _note(figure: Figure) -> str:
    """Return a figure's note without what it says of benchmarks, with a comma in thousands."""
    parts = [part for part in (figure.note or "").split("; ") if part and not part.startswith("benchmark ")]
    return "; ".join(_COUNT.sub(lambda count: number(int(count[0])), part) for part in parts)


def _group(pack: Pack, figure: Figure) -> str:
    """Return a cell that names a level and, below it, its segment."""
    return escape_markdown(pack.group_label(figure)) + second(escape_markdown(pack.segments[figure.segment].title))


def _base_and_share(figure: Figure, kpi: Kpi) -> str:
    share = "" if figure.is_hidden or figure.share is None else f"{share_text(figure.share)} of all"
    return base_text(figure, kpi) + second(share)


def _asked(figure: Figure | None, kpi: Kpi) -> str:
    if figure is None or not figure.is_shown:
        return figure_text(figure, kpi)
    if kpi.unit == "score":
        return value_text(figure.value, kpi, 4)
    count = "" if figure.n_top is None else number(figure.n_top)
    return value_text(figure.value, kpi, 2) + second(count)


def _part(count: int, base: int, kpi: Kpi) -> str:
    # Unweighted counts do not divide into a weighted share.
    return number(count) if kpi.weight or not base else number(count) + second(share_text(count / base))


def _mix_cells(row: MixRow, name: str, kpi: Kpi) -> list[str]:
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
