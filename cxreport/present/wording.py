"""Sentences that the statistics allow: "rose" and "fell" only where a verdict says so, and no cause is invented."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxreport.config import FactName
from cxreport.present import tables
from cxreport.present.markup import Markdown, escape_markdown
from cxreport.present.pack import ALL, Figure, MixRow, Pack, ShownKpi

# A shift of the mix explains a move when at least this part of it is mix.
_MIX_EXPLAINS = 0.5
# A mix that explains less than this part of a move did not shift worth telling.
_MIX_STILL = 0.1
# The delivered tables behind facts that are derived from others.
_SOURCES: dict[FactName, tuple[str, ...]] = {
    "answers": ("responses", "answers"),
    "open_cases": ("tickets",),
    "customer_periods": ("customers", "subscriptions", "orders"),
    "tenures": ("customers",),
    "sessions": ("events",),
}
_MOST_ITEMS = 4
_MOST_NAMES = 3
# Ranks of what to look at; what moved the wrong way comes first, with rank 0.
_SIGNALS, _TARGETS = 1, 2


def headline(pack: Pack) -> Markdown:
    """Return what happened to the leading KPI and, where the split of its change shows it, why."""
    figure = pack.total(pack.leading.id)
    said = [f"**{_first_sentence(pack, figure)}**", mix_sentence(pack) or _groups_sentence(pack, figure)]
    return Markdown("::: {.cx-headline}\n" + "\n\n".join(sentence for sentence in said if sentence) + "\n:::")


def mix_sentence(pack: Pack) -> str:
    """Return what a changed mix of answers would do by itself; empty when it does not explain the change.

    It does when no level of the segment moved the same way by its verdict and the mix accounts for at least half of
    the change. Of several such segments the one with the largest effect speaks.
    """
    figure = pack.total(pack.leading.id)
    segment = _explaining(pack, figure)
    total = pack.mix_total(segment) if segment else None
    if figure is None or segment is None or total is None:
        return ""
    return _mix_words(pack, segment, figure, total)


def look_at(pack: Pack, limit: int = _MOST_ITEMS) -> Markdown:
    """Return what deserves attention first, one item a KPI: what happened, with base, and a question to ask.

    Ranked: groups that moved the wrong way, then totals outside their usual range, then targets missed; within each,
    KPIs of the headline first, then the largest, as a share of the scale. Of several KPIs on the same rows, such as a
    mean and a top box of the same answers, only the first speaks.
    """
    found = _first_of_rows(pack, [item for kpi in pack.kpis.values() if (item := _item(pack, kpi))])
    found.sort(key=lambda item: (item.rank, item.kpi not in pack.report.headline, -item.size, item.kpi))
    if not found:
        moved = pack.words("wording.look.nothing" if pack.has_past else "tables.no_earlier")
        targets = pack.words(f"wording.look.no_target_{'missed' if pack.report.targets else 'set'}")
        return Markdown(f"{moved} {targets}")
    return Markdown("\n".join(f"{place}. {item.text}" for place, item in enumerate(found[:limit], start=1)))


def moved(pack: Pack, figure: Figure, kpi: ShownKpi) -> str:
    """Return how a group or a total rose or fell, with interval and base, as its verdict says."""
    told = {
        "kpi": escape_markdown(kpi.short),
        "group": _named(pack, figure),
        "size": tables.size_text(figure.change or 0, kpi, long=True),
        "value": tables.value_text(figure.value, kpi),
        "interval": tables.precision_text(pack, figure, kpi),
        "base": tables.base_text(figure, kpi),
    }
    return pack.words(f"wording.look.{'' if figure.segment == ALL else 'group_'}{figure.verdict}", **told)


def rests_on(pack: Pack) -> Markdown:
    """Return what the figures rest on: the verdict, answers counted, what was set aside, what is hidden."""
    verdict, words = pack.verdict, pack.words
    used = {name for kpi in pack.kpis.values() for name in _SOURCES.get(kpi.table, (kpi.table,))}
    kept = "; ".join(
        words(
            "wording.rests.of",
            accepted=words.number(count.accepted),
            delivered=words.number(count.rows_in),
            table=tables.delivered(pack, name),
        )
        for name, count in verdict.tables.items()
        if name in used and count.rows_in
    )
    hidden = "; ".join(_hidden_groups(pack))
    lines = [
        words("wording.rests.verdict", decision=words(f"document.decision.{verdict.decision.replace(' ', '_')}")),
        words("wording.rests.accepted", counts=kept) if kept else "",
        _set_aside(pack),
        _without_score(pack),
        words("wording.rests.whole") if pack.audience else "",
        words("wording.rests.hidden", groups=hidden) if hidden else "",
        words("wording.rests.revised", len(pack.revisions)) if pack.revisions else "",
        words("wording.rests.measured", population=escape_markdown(words.text(pack.dataset.population))),
    ]
    return Markdown("\n".join(f"- {line}" for line in lines if line))


def notes(pack: Pack, page: str) -> Markdown:
    """Return the footnotes of a page as a section; empty when it has none."""
    lines = [f"- {escape_markdown(footnote)}" for footnote in pack.footnotes(page)]
    return Markdown("\n".join([f"## {pack.words('wording.notes')}", "", *lines]) if lines else "")


def _set_aside(pack: Pack) -> str:
    """Say how many delivered rows were rejected, and how many footnotes the first page does not show."""
    words, counts = pack.words, pack.verdict.tables.values()
    rejected, delivered = sum(count.rejected for count in counts), sum(count.rows_in for count in counts)
    elsewhere = sum(map(len, pack.verdict.pages.values())) - len(pack.footnotes("executive"))
    said = words("wording.rests.set_aside", rejected=words.number(rejected), delivered=words.number(delivered))
    return f"{said} {words('wording.rests.elsewhere', elsewhere)}" if elsewhere else said


def _without_score(pack: Pack) -> str:
    """Say how many accepted answers carry no score; they count in no KPI."""
    blank = sum(missing.n for missing in pack.verdict.missing)
    return pack.words("wording.rests.without_score", number=pack.words.number(blank)) if blank else ""


def _hidden_groups(pack: Pack) -> list[str]:
    """Return the levels hidden in any KPI, segment by segment, as Markdown."""
    found = []
    for name in pack.segments:
        figures = (figure for kpi in pack.kpis for figure in pack.figures(kpi, name))
        levels = list(dict.fromkeys(pack.level_label(name, figure.level) for figure in figures if figure.is_hidden))
        if levels:
            said = {"levels": pack.words.joined(levels), "segment": pack.segment_name(name)}
            found.append(escape_markdown(pack.words("wording.rests.hidden_of", **said)))
    return found


def mix_summary(pack: Pack) -> Markdown:
    """Return whether a changed mix of answers explains the leading KPI's change, and which divisions show no shift."""
    words = pack.words
    if not any(pack.mix_total(segment) for segment in pack.report.mix_segments):
        return Markdown(words("tables.no_earlier"))
    figure = pack.total(pack.leading.id)
    if figure is None or figure.verdict not in {"rose", "fell"}:
        said = words("wording.mix.no_change", kpi=escape_markdown(pack.leading.short))
    elif sentence := mix_sentence(pack):
        said = " ".join(part for part in (sentence, _still_sentence(pack, figure)) if part)
    else:
        said = words("wording.mix.minor")
    return Markdown(f"{words('wording.mix.split')}\n\n{said}")


# --- the headline --------------------------------------------------------------------------------


def _first_sentence(pack: Pack, figure: Figure | None) -> str:
    kpi, words = pack.leading, pack.words
    told = {"kpi": escape_markdown(kpi.short), "period": words.period(pack.period)}
    if pack.audience and not any(pack.figures(each) for each in pack.kpis):
        told["audience"] = escape_markdown(pack.audience.title)
        return words("wording.headline.nothing", **told)
    if figure is None or not figure.is_shown:
        return words("wording.headline.not_shown", mark=tables.figure_text(figure, kpi), **told)
    told |= {
        "value": tables.value_text(figure.value, kpi),
        "interval": tables.precision_text(pack, figure, kpi),
        "previous": words.period(pack.period.previous),
        "size": tables.size_text(figure.change or 0, kpi, long=True),
        "change": tables.change_text(figure, kpi),
        "rows": tables.rows_of(kpi),
    }
    return words(f"wording.headline.{tables.happened(figure)}", **told)


def _groups_sentence(pack: Pack, figure: Figure | None) -> str:
    """Return the groups that moved as the total did; empty when the total did not move."""
    if figure is None or figure.verdict not in {"rose", "fell"}:
        return ""
    moved = [level for level in _levels(pack, pack.leading) if level.verdict == figure.verdict]
    moved.sort(key=lambda level: (-abs(level.change or 0), level.segment, level.level))
    if not moved:
        return pack.words(f"wording.none_by_itself.{figure.verdict}")
    names = [
        f"{_named(pack, level)} ({tables.size_text(level.change or 0, pack.leading)})" for level in moved[:_MOST_NAMES]
    ]
    return pack.words(f"wording.most.{figure.verdict}", groups=pack.words.joined(names))


def _explaining(pack: Pack, figure: Figure | None) -> str | None:
    """Return the segment whose changed mix explains the total's move, the strongest of several; `None` for none."""
    if figure is None or figure.verdict not in {"rose", "fell"}:
        return None
    totals = {name: total for name in pack.report.mix_segments if (total := pack.mix_total(name))}
    explaining = [name for name, total in totals.items() if _explains(pack, name, total, figure)]
    return max(explaining, key=lambda name: abs(totals[name].mix_effect or 0), default=None)


def _explains(pack: Pack, segment: str, total: MixRow, figure: Figure) -> bool:
    moved = any(
        level.verdict == figure.verdict for level in pack.figures(pack.leading.id, segment) if not level.is_hidden
    )
    return not moved and not total.is_hidden and _part_of(total, figure) >= _MIX_EXPLAINS


def _part_of(total: MixRow, figure: Figure) -> float:
    """Return the mix effect as a part of the change, negative when it worked against it."""
    return (total.mix_effect or 0) / figure.change if figure.change else 0.0


def _mix_words(pack: Pack, segment: str, figure: Figure, total: MixRow) -> str:
    """Say what the mix of one segment would do by itself, naming the levels that pull; the split proves no cause."""
    words, way = pack.words, figure.verdict
    told = {"segment": escape_markdown(pack.segment_name(segment)), "kpi": escape_markdown(pack.leading.short)}
    shift = words("wording.mix.any", segment=told["segment"])
    if pulling := _pulling(pack, segment, figure):
        levels, shares = pulling
        shift = words(f"wording.mix.pulling.{way}", levels=levels, shares=shares, kpi=told["kpi"])
    part = _part_of(total, figure)
    size = tables.size_text(total.mix_effect or 0, pack.leading, long=True)
    if part >= 1:
        return words(f"wording.mix.effect.{way}", shift=shift, size=size, **told)
    return words(f"wording.mix.part.{way}", shift=shift, size=size, part=words.percent(part), **told)


def _still_sentence(pack: Pack, figure: Figure) -> str:
    """Return the divisions whose mix did not shift, beside the one whose mix did; empty when there is none."""
    still = [
        escape_markdown(pack.segment_name(name))
        for name in pack.report.mix_segments
        if (total := pack.mix_total(name)) and not total.is_hidden and abs(_part_of(total, figure)) < _MIX_STILL
    ]
    return pack.words("wording.mix.still", segments=pack.words.joined(still)) if still else ""


def _shift(pack: Pack) -> tuple[str, str] | None:
    """Return the levels whose growth made the leading KPI move the wrong way, if a changed mix explains the move."""
    figure = pack.total(pack.leading.id)
    segment = _explaining(pack, figure)
    if figure is None or segment is None or not tables.is_worse(pack.leading, figure.verdict):
        return None
    return _pulling(pack, segment, figure)


def _pulling(pack: Pack, segment: str, figure: Figure) -> tuple[str, str] | None:
    """Return the levels whose share grew and whose value pulls as the total went: names, and their shares in words."""
    grown = [row for row in pack.mix_rows(segment) if not row.is_hidden and _pulls(row, figure)]
    if not grown:
        return None
    words = pack.words
    names = words.joined([escape_markdown(pack.level_label(segment, row.level)) for row in grown])
    now = words.percent(sum(row.share_after or 0 for row in grown))
    before = words.percent(sum(row.share_before or 0 for row in grown))
    return names, words("wording.mix.shares", now=now, before=before)


def _pulls(row: MixRow, figure: Figure) -> bool:
    if row.share_before is None or row.share_after is None or not row.mix_effect or not figure.change:
        return False
    return row.share_after > row.share_before and row.mix_effect * figure.change > 0


# --- what to look at -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Item:
    """One thing to look at; lower ranks come first, larger sizes first within a rank."""

    rank: int
    size: float
    kpi: str
    text: str


def _first_of_rows(pack: Pack, items: Sequence[_Item]) -> list[_Item]:
    """Keep the first item of those whose KPIs stand on the same values, in the report's order."""
    first: dict[str, _Item] = {}
    for item in items:
        kpi = pack.kpis[item.kpi]
        first.setdefault(repr((kpi.table, sorted(kpi.where.items()), kpi.column or kpi.counts or kpi.ratio)), item)
    return list(first.values())


def _item(pack: Pack, kpi: ShownKpi) -> _Item | None:
    """Return the strongest fact about a KPI that went wrong, with the others in short."""
    total, words, short = pack.total(kpi.id), pack.words, escape_markdown(kpi.short)
    since = words.period(pack.period.previous)
    asked = words("wording.ask.total", previous=since)
    facts: list[tuple[int, float, str]] = []
    worse = _worse(pack, kpi)
    if kpi == pack.leading and (shift := _shift(pack)):
        levels, shares = shift
        facts.append((0, _severity(total, kpi), words("wording.look.shift", kpi=short, levels=levels, shares=shares)))
        facts += _moved_too(pack, worse[: _MOST_NAMES - 1], kpi)
        asked = words("wording.ask.shift", levels=levels)
    elif worse:
        facts.append((0, _severity(worse[0], kpi), moved(pack, worse[0], kpi)))
        facts += _moved_too(pack, worse[1:_MOST_NAMES], kpi)
        asked = words("wording.ask.group", group=_named(pack, worse[0]), previous=since)
    elif total and total.is_shown and tables.is_worse(kpi, total.verdict):
        facts.append((0, _severity(total, kpi), moved(pack, total, kpi)))
    if total and total.is_shown:
        facts += _facts_of_total(total, kpi)
    if not facts or total is None:
        return None
    rank, size, lead = facts[0]
    if rank:
        told = {"value": tables.figure_text(total, kpi), "base": tables.base_text(total, kpi)}
        lead = words("wording.look.fact", kpi=short, fact=lead, **told)
    asked = words("wording.ask.gap") if rank == _TARGETS else asked
    question = words("wording.look.question", owner=escape_markdown(kpi.owner), question=asked)
    also = words("wording.look.also", facts="; ".join(fact for _, _, fact in facts[1:])) if facts[1:] else ""
    said = [f"{lead}.", also, f"[*{question}*]{{.cx-question}}"]
    return _Item(rank, size, kpi.id, " ".join(part for part in said if part))


def _worse(pack: Pack, kpi: ShownKpi) -> list[Figure]:
    """Return the groups in which a KPI moved the wrong way, largest first."""
    worse = [level for level in _levels(pack, kpi) if tables.is_worse(kpi, level.verdict)]
    return sorted(worse, key=lambda level: (-_severity(level, kpi), level.segment, level.level))


def _moved_too(pack: Pack, levels: Sequence[Figure], kpi: ShownKpi) -> list[tuple[int, float, str]]:
    """Return further groups that moved the wrong way, in short."""
    return [
        (0, 0.0, pack.words("wording.look.moved", group=_named(pack, level), change=tables.change_text(level, kpi)))
        for level in levels
    ]


def _facts_of_total(total: Figure, kpi: ShownKpi) -> list[tuple[int, float, str]]:
    """Return what is wrong with a total: its rank, its size, and the words."""
    facts, words = [], kpi.words
    if tables.is_alarming(kpi, total):
        usual = tables.interval_text(total.usual_low, total.usual_high, kpi)
        signal = escape_markdown(words.text(total.signal or ""))
        facts.append((_SIGNALS, _severity(total, kpi), words("wording.look.signal", signal=signal, usual=usual)))
    if total.status == "target missed" and total.target is not None and total.value is not None:
        far = abs(total.value - total.target)
        told = {"target": tables.target_value_text(total.target, kpi), "size": tables.size_text(far, kpi)}
        facts.append((_TARGETS, far, words("wording.look.missed", **told)))
    return facts


def _severity(figure: Figure | None, kpi: ShownKpi) -> float:
    """Return a change as a share of what the unit can span, or of the earlier figure, to rank KPIs of all units."""
    if figure is None:
        return 0.0
    change = abs(figure.change or 0)
    match kpi.unit:
        case "points":
            return change / 200
        case "percent":
            return change
        case "score" if kpi.scale:
            return change / (kpi.scale.high - kpi.scale.low)
        case _:
            return change / abs(figure.previous) if figure.previous else 0.0


def _levels(pack: Pack, kpi: ShownKpi) -> list[Figure]:
    every = (figure for segment in pack.segments for figure in pack.figures(kpi.id, segment))
    return [figure for figure in every if figure.is_shown]


def _named(pack: Pack, figure: Figure) -> str:
    return escape_markdown(pack.group_label(figure))
