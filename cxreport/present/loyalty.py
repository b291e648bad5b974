"""Who stays, who may leave, what that is worth, and which groups of customers differ."""

from types import SimpleNamespace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cxreport.periods import last_periods
from cxreport.present import tables
from cxreport.present.analyses import (
    CLEAR,
    Rows,
    is_sure,
    label,
    missing_if_asked,
    rows,
    share_range,
    shown,
    signed_range,
)
from cxreport.present.charts import closing_notes, mark_cut, scale_in_words, wrapped, write_beside
from cxreport.present.markup import Markdown, Picture, escape_markdown, one_line, pipe_table
from cxreport.present.pack import Pack, ShownKpi
from cxreport.present.theme import ACCENT, INK, MUTED, PALE, SMALL, blank, picture, themed

_COHORTS, _RELIABILITY, _LINK, _REVENUE = "cohorts", "churn_reliability", "link", "link_revenue"
_CLASS, _DIFFERENCE = "class", "difference"
_BEST, _WORST = "promoter", "detractor"
CONFIRMED = "confirmed"
_MISSING, _LAST = "_missing", "last_"
_MOST_DRIVERS, _MOST_TRAITS, _MOST_GROUPS = 8, 3, 8
_HIGHEST = 101.0  # percent: all, and room for their dots
_ROOM = 1.22  # of the width of a chart, so that labels fit behind the last point
# What draws axes needs of a KPI that is a share.
_SHARE: Any = SimpleNamespace(unit="percent", scale=None)


def retention_curves(pack: Pack) -> Picture | Markdown:
    """Return how many of each cohort were still customers after so many days; the last one followed longest speaks."""
    cohorts = _by(_followed(pack), "cohort")
    if not cohorts:
        return missing_if_asked(pack, "cohorts", "loyalty.subject.cohorts")
    words = pack.words
    longest = max(row.days for points in cohorts.values() for row in points)
    chosen = [name for name, points in cohorts.items() if points[-1].days == longest][-1]
    title = words("loyalty.curves.title")
    with themed():
        canvas = blank(2.5, title=wrapped(title))
        axes = canvas.subplots()
        for name, points in cohorts.items():
            at, share = [0, *(row.days for row in points)], [100.0, *(100 * row.survival for row in points)]
            axes.plot(at, share, color=ACCENT if name == chosen else PALE, linewidth=1.8 if name == chosen else 1)
        for row in cohorts[chosen]:
            _draw_share(axes, row.days, row, ACCENT)
            text = words.percent(row.survival)
            at_ = (row.days, 100 * (row.survival if row.ci_low is None else row.ci_low))
            write_beside(axes, text, at_, (0, -3), color=ACCENT, weight="bold", size=SMALL, ha="center", va="top")
        last = cohorts[chosen][-1]
        write_beside(
            axes, words.text(chosen), (last.days, 100 * last.survival), (6, 0), color=ACCENT, weight="bold", size=SMALL
        )
        axes.set_xlim(0, longest * _ROOM)
        axes.margins(y=0.12)
        axes.set_xticks([0, *(row.days for row in cohorts[chosen])])
        axes.set_xlabel(words("loyalty.curves.axis"), size=SMALL)
        is_cut = _finish(axes, pack)
        return picture(
            canvas,
            pack.mark,
            alt=words("loyalty.curves.alt", title=title, cohorts="; ".join(_ends(pack, cohorts))),
            caption=words(
                "loyalty.curves.caption", cohort=chosen, confidence=pack.confidence, notes=closing_notes(pack, is_cut)
            ),
            data=_cohorts_table(pack),
        )


def retention_by_cohort(pack: Pack) -> Picture | Markdown:
    """Return the same shares by cohort, one line for each number of days, so that one sees whether newer ones stay."""
    found = _followed(pack)
    cohorts = list(dict.fromkeys(row.cohort for row in found))
    if len(cohorts) < 2:  # noqa: PLR2004 - one cohort is no series
        return missing_if_asked(pack, "cohorts", "loyalty.subject.cohorts")
    words = pack.words
    title = words("loyalty.by_cohort.title")
    with themed():
        canvas = blank(2.5, title=wrapped(title))
        axes = canvas.subplots()
        for days, points in _by(found, "days").items():
            at = [cohorts.index(row.cohort) for row in points]
            axes.plot(at, [100 * row.survival for row in points], color=MUTED, linewidth=1.2)
            for place, row in zip(at, points, strict=True):
                _draw_share(axes, place, row, MUTED)
            text = words("loyalty.by_cohort.label", days=words.number(days))
            write_beside(axes, text, (at[-1], 100 * points[-1].survival), (7, 0), bbox=CLEAR, color=INK, size=SMALL)
        axes.set_xlim(-0.4, (len(cohorts) - 1) * (_ROOM + 0.1))
        axes.margins(y=0.1)
        ticks = range(len(cohorts))[::-1][:: max(1, len(cohorts) // 4)]
        axes.set_xticks(list(ticks), [words.text(cohorts[place]) for place in ticks])
        is_cut = _finish(axes, pack)
        return picture(
            canvas,
            pack.mark,
            alt=words("loyalty.by_cohort.alt", title=title, cohorts="; ".join(_ends(pack, _by(found, "cohort")))),
            caption=words("loyalty.by_cohort.caption", confidence=pack.confidence, notes=closing_notes(pack, is_cut)),
            data=_cohorts_table(pack),
        )


def value_table(pack: Pack) -> Markdown:
    """Return what customers are worth: the KPIs of their value to date and to come."""
    kpis = [kpi for kpi in pack.kpis.values() if _is_value(kpi) and pack.total(kpi.id)]
    if not kpis:
        return Markdown(pack.words("loyalty.no_value"))
    return tables.kpi_table(pack, kpis)


def churn(pack: Pack) -> Markdown:
    """Return how well the risk of leaving is known, as judged on customers of a later time, and where the list lies."""
    found = {row.figure: row for row in shown(pack, "churn_judgement") if row.value is not None}
    if not found:
        return missing_if_asked(pack, "churn", "loyalty.subject.churn")
    lines = [_judged(pack, found, figure) for figure in ("auc", "observed_to_expected", "capture")]
    asked = pack.report.analyses.churn
    has_list = bool(rows(pack, "churn_drivers")) and asked is not None
    lines.append(pack.words("loyalty.churn.list" if has_list else "loyalty.churn.no_list"))
    return Markdown("\n".join(f"- {line}" for line in lines if line))


def churn_by_risk(pack: Pack) -> Picture | Markdown:
    """Return how many left in each tenth of the risk beside how many the model expected."""
    tenths = [row for row in shown(pack, _RELIABILITY) if row.observed is not None]
    if not tenths:
        return missing_if_asked(pack, "churn", "loyalty.subject.churn")
    words = pack.words
    title = words("loyalty.risk.title")
    with themed():
        canvas = blank(2.4, title=wrapped(title))
        axes = canvas.subplots()
        for row in tenths:
            _draw_share(axes, row.bin, SimpleNamespace(survival=row.observed, **_limits(row)), ACCENT)
            axes.plot(row.bin, 100 * row.expected, "_", color=INK, markersize=11, markeredgewidth=1.6)
        top = tenths[-1]
        text = words.percent(top.observed, 1)
        write_beside(axes, text, (top.bin, 100 * top.observed), (7, 0), color=ACCENT, weight="bold", size=SMALL)
        axes.set_xlim(0.4, max(row.bin for row in tenths) + 1.4)
        axes.set_ylim(bottom=0)
        axes.set_xticks([row.bin for row in tenths])
        axes.set_xlabel(words("loyalty.risk.axis"), size=SMALL)
        is_cut = _finish(axes, pack)
        told = "; ".join(
            words("loyalty.risk.told", tenth=row.bin, observed=words.percent(row.observed, 1)) for row in tenths
        )
        return picture(
            canvas,
            pack.mark,
            alt=words("loyalty.risk.alt", title=title, tenths=told),
            caption=words("loyalty.risk.caption", confidence=pack.confidence, notes=closing_notes(pack, is_cut)),
            data=_tenths_table(pack, tenths),
        )


def churn_drivers(pack: Pack) -> Markdown:
    """Return what goes with a higher or lower risk of leaving: odds by standard deviation, those that are sure."""
    found = [
        row for row in rows(pack, "churn_drivers") if row.ci_low is not None and not row.ci_low <= 1 <= row.ci_high
    ]
    if not found:
        return missing_if_asked(pack, "churn", "loyalty.subject.churn")
    words = pack.words
    lines = [
        [
            escape_markdown(_capital(feature_name(pack, row.feature))),
            words("loyalty.odds.higher" if row.odds_ratio > 1 else "loyalty.odds.lower"),
            words.number(row.odds_ratio, 2)
            + tables.second(words("tables.range", low=words.number(row.ci_low, 2), high=words.number(row.ci_high, 2))),
        ]
        for row in found[:_MOST_DRIVERS]
    ]
    head = [words(f"loyalty.head.{part}") for part in ("feature", "risk", "odds")]
    return Markdown(f"{words('loyalty.about.churn_drivers')}\n\n{pipe_table(pack.mark, head, lines, 'llr')}")


def link(pack: Pack) -> Markdown:
    """Return who stayed and what they spent after an answer, by its class, and how far the best lies from the worst."""
    classes = [row for row in rows(pack, _LINK) if row.figure == _CLASS]
    asked = pack.report.analyses.link
    if not classes or asked is None:
        return missing_if_asked(pack, "link", "loyalty.subject.link")
    words, kpi = pack.words, pack.kpis[asked.kpi]
    spent = {row.score_class: row for row in rows(pack, _REVENUE) if row.figure == _CLASS}
    lines = [
        [
            _score_class(pack, row.score_class),
            tables.figure_text(row, kpi)
            if row.is_hidden
            else words.percent(row.value) + tables.second(share_range(pack, row.ci_low, row.ci_high)),
            _amount(pack, spent.get(row.score_class)),
            "" if row.is_hidden else words("tables.counted.customers", row.n),
        ]
        for row in classes
    ]
    head = [words("loyalty.head.class", kpi=escape_markdown(kpi.short)), words("loyalty.head.stayed")]
    head += [words("loyalty.head.revenue"), words("tables.head.base")]
    said = " ".join(
        part for name, key in ((_LINK, "stayed"), (_REVENUE, "spent")) if (part := _difference(pack, name, key))
    )
    when = words("loyalty.link.when", asked.months_ago)
    return Markdown(f"{when}\n\n{pipe_table(pack.mark, head, lines, 'lrrr')}\n\n{said}")


def returns(pack: Pack) -> Markdown:
    """Return what moving customers to a better class may return, with its interval, as an association."""
    found = {row.figure: row for row in rows(pack, "roi")}
    asked = pack.report.analyses.link
    if not found or asked is None or asked.customers_moved is None:
        return missing_if_asked(pack, "link", "loyalty.subject.returns")
    words, net = pack.words, found["net"]
    return Markdown(
        words(
            "loyalty.returns.sentence",
            moved=words.number(asked.customers_moved),
            worst=_score_class(pack, _WORST),
            best=_score_class(pack, _BEST),
            kept=_numbers(pack, found["customers_kept"]),
            months=words.number(asked.months_ago),
            value=_money(pack, found["value"]),
            cost=_money(pack, found["cost"]),
            net=_money(pack, net),
            judged=words(f"loyalty.returns.{_judgement(net)}"),
        )
    )


def personas(pack: Pack) -> Markdown:
    """Return the kinds of customers that were found, with what sets each apart; one line where there are none."""
    found = shown(pack, "personas")
    if not found:
        return missing_if_asked(pack, "personas", "loyalty.subject.personas")
    words = pack.words
    lines = [
        [
            escape_markdown(words.text(row.name)),
            words.percent(row.share) + tables.second(words("tables.counted.customers", row.n)),
            _traits(pack, row.persona),
            words.number(row.stability, 2),
        ]
        for row in found
    ]
    head = [words(f"loyalty.head.{part}") for part in ("persona", "share", "traits", "stability")]
    return Markdown(f"{words('loyalty.about.personas')}\n\n{pipe_table(pack.mark, head, lines, 'lrlr')}")


def subgroups(pack: Pack, limit: int = _MOST_GROUPS) -> Markdown:
    """Return the groups that score apart and were confirmed on customers held back, those furthest apart first."""
    found = [row for row in shown(pack, "subgroups") if row.status == CONFIRMED and is_sure(pack, row.q_value)]
    if not found:
        return missing_if_asked(pack, "subgroups", "loyalty.subject.subgroups")
    words, kpi = pack.words, pack.kpis[found[0].kpi]
    found.sort(key=lambda row: (-abs(row.difference), row.description))
    lines = [
        [
            escape_markdown(_capital(group_name(pack, row))),
            tables.value_text(row.value, kpi)
            + tables.second(words("voice.others", value=tables.value_text(row.rest_value, kpi))),
            words(f"tables.beside.{row.direction}", size=tables.size_text(row.difference, kpi))
            + tables.second(signed_range(row.ci_low, row.ci_high, kpi)),
            tables.base_text(row, kpi),
        ]
        for row in found[:limit]
    ]
    head = [words("tables.head.group"), escape_markdown(kpi.short), words("loyalty.head.difference")]
    table = pipe_table(pack.mark, [*head, words("tables.head.base")], lines, "lrlr")
    about = words("loyalty.about.subgroups")
    return Markdown("\n\n".join(part for part in (about, _searched(pack), table) if part))


def _searched(pack: Pack) -> str:
    """Say which periods were searched for groups where they are more than the reported one."""
    asked = pack.report.analyses.subgroups
    first = last_periods(pack.period, asked.months)[-1] if asked else pack.period
    names = {"first": pack.words.period(first), "last": pack.words.period(pack.period)}
    return pack.words("loyalty.searched", **names) if first < pack.period else ""


# --- drawing -------------------------------------------------------------------------------------


def _draw_share(axes: Axes, at: float, row: Any, colour: str) -> None:
    """Draw a share with its interval, in percent."""
    if row.ci_low is not None:
        axes.plot([at, at], [100 * row.ci_low, 100 * row.ci_high], color=colour, linewidth=1.3)
    axes.plot(at, 100 * row.survival, "o", color=colour, markersize=4.5)


def _finish(axes: Axes, pack: Pack) -> bool:
    """Dress the axes of shares; return whether their scale is cut."""
    scale_in_words(axes.yaxis, pack.words, 5)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, _HIGHEST))
    axes.tick_params(labelsize=SMALL, length=0)
    axes.set_ylabel("%", size=SMALL)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    return mark_cut(axes, axes.yaxis, _SHARE)


def _limits(row: Any) -> dict[str, float | None]:
    return {"ci_low": row.ci_low, "ci_high": row.ci_high}


# --- cohorts -------------------------------------------------------------------------------------


def _followed(pack: Pack) -> Rows:
    return [row for row in shown(pack, _COHORTS) if row.survival is not None]


def _by(found: Rows, column: str) -> dict[Any, Rows]:
    groups: dict[Any, Rows] = {}
    for row in found:
        groups.setdefault(getattr(row, column), []).append(row)
    return groups


def _ends(pack: Pack, cohorts: dict[Any, Rows]) -> list[str]:
    """Return the last point of the first and of the last cohorts in words."""
    words = pack.words
    return [
        words(
            "loyalty.curves.told",
            cohort=words.text(points[-1].cohort),
            share=words.percent(points[-1].survival),
            days=words.number(points[-1].days),
        )
        for points in cohorts.values()
    ]


def _cohorts_table(pack: Pack) -> str:
    """Return one row a cohort with the share still there after each number of days, at most four of these."""
    words, found = pack.words, _followed(pack)
    horizons = sorted({row.days for row in found})[-4:]
    lines = []
    for cohort, points in _by(found, "cohort").items():
        at = {row.days: row for row in points}
        base = tables.second(words("tables.counted.customers", points[0].n))
        cells = [
            words.percent(at[days].survival, 1) + tables.second(share_range(pack, at[days].ci_low, at[days].ci_high, 1))
            if days in at
            else ""
            for days in horizons
        ]
        lines.append([escape_markdown(words.text(cohort)) + base, *cells])
    head = [words("loyalty.head.cohort"), *(words("loyalty.head.after", days=words.number(days)) for days in horizons)]
    return pipe_table(pack.mark, head, lines, "l" + "r" * len(horizons))


# --- leaving -------------------------------------------------------------------------------------


def _judged(pack: Pack, found: dict[str, Any], figure: str) -> str:
    row, words = found.get(figure), pack.words
    if row is None or row.ci_low is None:
        return ""
    if figure == "observed_to_expected":
        key = "fits" if row.ci_low <= 1 <= row.ci_high else "too_low" if row.value > 1 else "too_high"
        interval = words("tables.range", low=words.number(row.ci_low, 2), high=words.number(row.ci_high, 2))
        return words(f"loyalty.churn.{key}", ratio=words.number(row.value, 2), interval=interval)
    said = {"share": words.percent(row.value), "interval": share_range(pack, row.ci_low, row.ci_high)}
    if figure == "auc":
        return words("loyalty.churn.auc", customers=words.number(row.n), **said)
    return words("loyalty.churn.capture", **said)


def _tenths_table(pack: Pack, tenths: Rows) -> str:
    words = pack.words
    lines = [
        [
            words.number(row.bin),
            words.percent(row.expected, 1),
            words.percent(row.observed, 1) + tables.second(share_range(pack, row.ci_low, row.ci_high, 1)),
            words("tables.counted.customers", row.n),
        ]
        for row in tenths
    ]
    head = [words(f"loyalty.head.{part}") for part in ("tenth", "expected", "observed")]
    return pipe_table(pack.mark, [*head, words("tables.head.base")], lines, "rrrr")


def _capital(text: str) -> str:
    """Return a text as it stands at the start of a table's row."""
    return text[:1].upper() + text[1:]


def feature_name(pack: Pack, name: str) -> str:
    """Return what readers call a measure of customers; plain text."""
    words = pack.words
    if name.endswith(_MISSING):
        return words("loyalty.no_feature", feature=feature_name(pack, name.removesuffix(_MISSING)))
    if name.startswith(_LAST):
        return words("loyalty.last_score", metric=_metric(pack, name.removeprefix(_LAST)))
    key = f"loyalty.feature.{name}"
    return words(key) if key in words.sentences else one_line(words.text(name.replace("_", " ")))


def _metric(pack: Pack, metric: str) -> str:
    kpi = pack.kpis.get(metric)
    return one_line(kpi.short) if kpi else metric.upper()


# --- worth ---------------------------------------------------------------------------------------


def _is_value(kpi: ShownKpi) -> bool:
    return kpi.unit == "money" and kpi.table in {"customer_periods", "orders"}


def _score_class(pack: Pack, name: str) -> str:
    return pack.words(f"loyalty.class.{name.replace(' ', '_')}")


def _amount(pack: Pack, row: Any) -> str:
    if row is None or row.is_hidden or row.value is None:
        return ""
    return _sum(pack, row.value) + tables.second(_range(pack, row))


def _money(pack: Pack, row: Any) -> str:
    """Return an amount with its interval in brackets, unless it is exact."""
    amount = _sum(pack, row.value)
    return amount if row.ci_low == row.ci_high else f"{amount} ({_range(pack, row)})"


def _sum(pack: Pack, value: float) -> str:
    return pack.words("tables.money", currency=pack.dataset.currency, amount=pack.words.number(value)).strip()


def _range(pack: Pack, row: Any) -> str:
    words = pack.words
    if row.ci_low is None or row.ci_high is None:
        return words("tables.no_interval")
    return words("tables.range", low=words.number(row.ci_low), high=words.number(row.ci_high))


def _numbers(pack: Pack, row: Any) -> str:
    return f"{pack.words.number(row.value)} ({_range(pack, row)})"


def _difference(pack: Pack, table: str, key: str) -> str:
    """Return how far the best class lies from the worst, where a test corrected for all pairs finds a difference."""
    pairs = [row for row in rows(pack, table) if row.figure == _DIFFERENCE]
    row = next((row for row in pairs if (row.score_class, row.other_class) == (_BEST, _WORST)), None)
    if row is None or row.is_hidden or row.p_value is None:
        return ""
    words = pack.words
    names = {"best": _score_class(pack, _BEST), "worst": _score_class(pack, _WORST)}
    if row.p_value * len(pairs) >= 1 - pack.report.confidence:
        return words(f"loyalty.link.{key}.same", **names)
    side = "more" if row.value > 0 else "less"
    if key == "spent":
        size, interval = _sum(pack, abs(row.value)), _range(pack, row)
    else:
        size = words("tables.size.percent_long", 100 * abs(row.value), 1)
        low, high = (words.number(100 * bound, 1) for bound in (row.ci_low, row.ci_high))
        interval = words("tables.range", low=low, high=high)
    return words(f"loyalty.link.{key}.{side}", size=size, interval=interval, **names)


def _judgement(net: Any) -> str:
    """Return how the worth compares with the cost, by the interval of what is left."""
    if net.ci_low is None or net.ci_high is None:
        return "unknown"
    return "above" if net.ci_low > 0 else "below" if net.ci_high < 0 else "unknown"


# --- groups --------------------------------------------------------------------------------------


def _traits(pack: Pack, persona: float) -> str:
    words = pack.words
    own = [row for row in rows(pack, "persona_traits") if row.persona == persona]
    said = [
        words(
            "loyalty.trait",
            trait=feature_name(pack, row.feature) if row.level is None else label(pack, row.feature, row.level),
            value=words.number(row.value, 1) if row.level is None else words.percent(row.value),
            rest=words.number(row.rest_value, 1) if row.level is None else words.percent(row.rest_value),
        )
        for row in sorted(own, key=lambda row: row.place)[:_MOST_TRAITS]
    ]
    return escape_markdown("; ".join(said))


def group_name(pack: Pack, row: Any) -> str:
    pairs = [(row.column, row.level), (row.other_column, row.other_level)]
    return pack.words.joined(
        [f"{column_title(pack, column)} {label(pack, column, level)}" for column, level in pairs if column]
    )


def column_title(pack: Pack, column: str) -> str:
    segment = next((name for name, each in pack.segments.items() if each.column == column), None)
    return pack.segment_name(segment) if segment else pack.words.text(column)
