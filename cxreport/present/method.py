"""What stands behind the figures: definitions, what was left out, bases, benchmarks, where everything comes from."""

from collections import Counter
from typing import Any

from cxreport.config import Base
from cxreport.measure.benchmarks import judge_benchmarks
from cxreport.measure.control import LOCKED_AFTER, MINIMUM_BASELINE
from cxreport.periods import Period
from cxreport.present import tables
from cxreport.present.markup import Markdown, escape_markdown, folded, pipe_table
from cxreport.present.pack import ALL, Pack, ShownKpi
from cxreport.validate.verdict import MissingCount

COMPLETE = "complete count"
_MOVED, _APART = ("rose", "fell"), ("above", "below")
# The methods of `estimates` to the keys of their plain words.
_METHODS = {
    "adjusted Wald": "adjusted_wald",
    "adjusted Wald on the effective base, t": "adjusted_wald_effective",
    "score": "score",
    "score on the effective base, t": "score_effective",
    "Wilson": "wilson",
    "Wilson on the effective base, t": "wilson_effective",
    "t": "t",
    "Wilson for a mean, t": "wilson_mean",
    "Wilson for a mean on the effective base, t": "wilson_mean_effective",
    "Hall's t": "hall",
    "Taylor linearisation, Hall's t": "hall_taylor",
    "Taylor linearisation, t": "taylor",
    "Taylor linearisation over respondents, t": "taylor_respondents",
    "order statistics": "order_statistics",
    "Kaplan-Meier, log-log": "kaplan_meier",
    "BG/NBD and Gamma-Gamma, jackknife": "jackknife",
    COMPLETE: "complete",
    "no interval": "none",
}


def definitions(pack: Pack) -> Markdown:
    """Return the definition of every KPI of the report, from its file, each behind its title."""
    return Markdown("\n\n".join(folded(kpi.title, _terms(_facts(kpi, pack), pack)) for kpi in pack.kpis.values()))


def overdue_reviews(pack: Pack) -> Markdown:
    """Return a warning that names the definitions whose review is overdue; a plain sentence when there is none."""
    late = [kpi for kpi in pack.kpis.values() if kpi.next_review < pack.as_of]
    words = pack.words
    if not late:
        return Markdown(words("method.in_time"))
    lines = [
        words(
            "method.overdue.item",
            kpi=escape_markdown(kpi.title),
            day=kpi.next_review.isoformat(),
            owner=escape_markdown(kpi.owner),
        )
        for kpi in late
    ]
    items = "\n".join(f"- {line}" for line in lines)
    title, lead = words("method.overdue.title"), words("method.overdue.lead")
    return Markdown(f'::: {{.callout-warning title="{title}"}}\n{lead}\n\n{items}\n:::')


def counts(pack: Pack) -> Markdown:
    """Return the rows delivered, accepted and left out, table by table; the first is the sum of the others."""
    rows = [
        [tables.delivered(pack, name), *(pack.words.number(n) for n in (count.rows_in, count.accepted, count.rejected))]
        for name, count in pack.verdict.tables.items()
    ]
    return Markdown(pipe_table(pack.mark, _heads(pack, "table", "delivered", "accepted", "left_out"), rows, "lrrr"))


def rules_broken(pack: Pack) -> Markdown:
    """Return every rule that rows broke: what it asks, why, how many of how many rows, what followed."""
    words = pack.words
    rows = [
        [
            _rule(pack, rule.rule) + tables.second(words.text(rule.severity)),
            tables.delivered(pack, rule.table),
            words("method.of", part=words.number(rule.rows), whole=words.number(rule.checked)),
            *(escape_markdown(words.text(text)) for text in (rule.outcome, rule.reason)),
        ]
        for rule in pack.verdict.rules
        if rule.rows
    ]
    held = len(pack.verdict.rules) - len(rows)
    if not rows:
        return Markdown(words("method.rules_held", held))
    table = pipe_table(pack.mark, _heads(pack, "rule", "table", "rows", "outcome", "why"), rows, "llrll")
    return Markdown(f"{table}\n\n{words('method.other_rules', held)}")


def feeds_noted(pack: Pack) -> Markdown:
    """Return the rules on whole deliveries that did not pass: what was found and what was expected."""
    words = pack.words
    rows = [
        [
            escape_markdown(words.text(gate.feed)) + tables.second(escape_markdown(words.text(gate.thing))),
            _rule(pack, gate.rule) + tables.second(words.text(gate.severity)),
            *(escape_markdown(words.text(text)) for text in (gate.found, gate.expected)),
        ]
        for gate in pack.verdict.gates
        if gate.outcome != "passed"
    ]
    passed = len(pack.verdict.gates) - len(rows)
    if not rows:
        return Markdown(words("method.checks_passed", passed))
    table = pipe_table(pack.mark, _heads(pack, "feed", "rule", "found", "expected"), rows)
    return Markdown(f"{table}\n\n{words('method.other_checks', passed)}")


def waivers(pack: Pack) -> Markdown:
    """Return the waivers of the period: rule, what came of it, who reviewed it, until when and why."""
    words = pack.words
    rows = [
        [
            _rule(pack, waiver.rule) + tables.second(escape_markdown(words.text(waiver.scope))),
            escape_markdown(words.text(waiver.outcome))
            + tables.second(words("method.counts_as", severity=words.text(waiver.downgrade_to))),
            escape_markdown(waiver.by)
            + tables.second(words("method.reviewed_on", day=waiver.reviewed, until=waiver.until)),
            escape_markdown(words.text(waiver.reason)),
        ]
        for waiver in pack.verdict.waivers
    ]
    if not rows:
        return Markdown(words("method.no_waiver"))
    return Markdown(pipe_table(pack.mark, _heads(pack, "rule", "waiver", "reviewed_by", "reason"), rows))


def missing_answers(pack: Pack) -> Markdown:
    """Return how many accepted answers have no score, by question, and for which reasons; no KPI counts them."""
    words = pack.words
    by_question: dict[str, list[MissingCount]] = {}
    for entry in pack.verdict.missing:
        if entry.n:
            by_question.setdefault(entry.question, []).append(entry)
    rows = [
        [
            escape_markdown(pack.question_title(question)),
            words.number(sum(entry.n for entry in entries)),
            "; ".join(f"{words.number(entry.n)} {escape_markdown(words.text(entry.reason))}" for entry in entries),
        ]
        for question, entries in by_question.items()
    ]
    if not rows:
        return Markdown(words("method.no_missing"))
    return Markdown(pipe_table(pack.mark, _heads(pack, "question", "without_score", "reasons"), rows, "lrl"))


def comparisons(pack: Pack) -> Markdown:
    """Return how changes and differences are judged: which tests are one family, how error is shared, how many."""
    now = pack.estimates[pack.estimates["period"] == pack.period.id]
    made = int(now[["p_value", "year_p_value", "apart_p_value"]].notna().to_numpy().sum())
    named = sum(
        int(now[name].isin(words).sum())
        for name, words in (("verdict", _MOVED), ("year_verdict", _MOVED), ("apart", _APART))
    )
    words, weight = pack.words, pack.report.headline_weight
    told = {
        "share": words.percent(1 - pack.report.confidence),
        "made": words.number(made),
        "named": words.number(named),
    }
    parts = [
        words("method.comparisons.family"),
        words("method.comparisons.shared", weight=words.percent(weight)) if weight else "",
        words("method.comparisons.named", **told),
    ]
    return Markdown(" ".join(part for part in parts if part))


def usual_ranges(pack: Pack) -> Markdown:
    """Return how the usual range of a KPI is made, and what counts as a signal."""
    return Markdown(pack.words("method.usual_range", locked=LOCKED_AFTER, least=MINIMUM_BASELINE))


def small_bases(pack: Pack) -> Markdown:
    """Return from which base on KPIs are shown, and from which they are shown without a mark."""
    limits = Counter((kpi.minimum_base.suppress, kpi.minimum_base.warn) for kpi in pack.kpis.values())
    usual = limits.most_common(1)[0][0]
    rows = []
    for suppress, warn in sorted(limits, key=lambda limit: limit == usual):
        names = [kpi.short for kpi in pack.kpis.values() if kpi.minimum_base == Base(suppress=suppress, warn=warn)]
        told = pack.words("method.other_kpis" if len(limits) > 1 else "method.all_kpis")
        named = told if (suppress, warn) == usual else escape_markdown(", ".join(names))
        rows.append([named, pack.words.number(suppress), pack.words.number(warn)])
    return Markdown(pipe_table(pack.mark, _heads(pack, "kpi", "shown_from", "unmarked_from"), rows, "lrr"))


def benchmarks(pack: Pack) -> Markdown:
    """Return every benchmark that a KPI names: shown or refused and why, with year, population, source and licence."""
    rows, words = [], pack.words
    for kpi in pack.kpis.values():
        for judged in judge_benchmarks(kpi, pack.dataset, pack.period, pack.benchmarks):
            entry = pack.benchmarks.loc[judged.id]
            refused = words("method.refused", reason=words.text(judged.reason.replace("_", " ")))
            own = judged.value - judged.half_width, judged.value + judged.half_width
            interval = tables.interval_text(*own, kpi) if judged.fits and judged.half_width > 0 else ""
            rows.append(
                [
                    escape_markdown(kpi.short),
                    escape_markdown(tables.value_text(judged.value, kpi) if judged.fits else refused)
                    + tables.second(interval),
                    escape_markdown(pack.benchmark_year(judged.id)),
                    escape_markdown("; ".join(words.text(str(entry[name])) for name in ("industry", "population"))),
                    escape_markdown(entry["source"])
                    + tables.second(escape_markdown(_licence(words.text(str(entry["licence"]))))),
                ]
            )
    if not rows:
        return Markdown(words("method.no_benchmark"))
    return Markdown(pipe_table(pack.mark, _heads(pack, "kpi", "benchmark", "year", "population", "source"), rows))


def revisions(pack: Pack) -> Markdown:
    """Return the issued figures that are others today: what they were and are, or which way they went, and why."""
    words = pack.words
    rows = [_revision(row, pack) for row in pack.revisions]
    if not rows:
        return Markdown(words("method.no_revision"))
    table = pipe_table(pack.mark, _heads(pack, "kpi", "as_issued", "as_of_now", "why_moved"), rows, "lrll")
    return Markdown(f"{words('method.revisions')}\n\n{table}")


def _revision(row: dict[str, Any], pack: Pack) -> list[str]:
    kpi, words = pack.kpis[row["kpi"]], pack.words
    named = words("method.revised.benchmark", kpi=kpi.short) if row["figure"] == "benchmark" else kpi.short
    asked = pack.question_title(row["question"]) if row["question"] else ""
    when = ", ".join(part for part in (asked, words.period(Period.parse(row["period"]))) if part)
    direction = words(f"method.revised.{row['direction']}")
    was, now = (_pair(row, name, kpi) for name in ("was", "now"))
    groups = words("method.revised.groups", row["n_groups"]) if row["n_groups"] else ""
    causes = [words(f"method.cause.{cause}") for cause in row["cause"].split("; ")]
    return [
        escape_markdown(named) + tables.second(escape_markdown(when)),
        was or words("method.revised.not_told"),
        (now + tables.second(direction) if now else direction) + tables.second(groups),
        words.joined(causes) + tables.second(escape_markdown(words.text(row["reason"] or ""))),
    ]


def _pair(row: dict[str, Any], name: str, kpi: ShownKpi) -> str:
    """Return one figure of a pair with its base; empty where it is not told."""
    if row[name] is None:
        return ""
    base = row.get(f"n_{name}")
    counted = kpi.words("method.revised.base", number=kpi.words.number(base)) if base is not None else ""
    return escape_markdown(tables.value_text(row[name], kpi)) + tables.second(counted)


def population(pack: Pack) -> Markdown:
    """Return who is measured and who is not."""
    population = escape_markdown(pack.words.text(pack.dataset.population))
    return Markdown(pack.words("method.population", population=population))


def provenance(pack: Pack) -> Markdown:
    """Return what this report was made from; the same for every run on the same inputs."""
    words, report, dataset = pack.words, pack.report, pack.dataset
    period = {"period": words.period(pack.period), "id": pack.period.id, "zone": dataset.time_zone}
    facts = {
        "report": f"{report.id}, {words.text(report.title)}",
        "period": words("method.period", **period),
        "data": f"{dataset.id}, {words.text(dataset.title)}",
        "feeds": ", ".join(f"{words.text(feed.id)} ({words.text(feed.owner)})" for feed in dataset.feeds),
    }
    return Markdown(_terms(facts, pack))


def _heads(pack: Pack, *names: str) -> list[str]:
    """Return the titles of columns."""
    return [pack.words(f"method.head.{name}") for name in names]


def _licence(text: str) -> str:
    return text.replace("(c)", "\N{COPYRIGHT SIGN}")


def _rule(pack: Pack, name: str) -> str:
    return escape_markdown(pack.words.text(name.replace("_", " ")))


def _facts(kpi: ShownKpi, pack: Pack) -> dict[str, str]:
    """Return the definition of a KPI as terms and their texts."""
    words, target = pack.words, pack.report.targets.get(kpi.id)
    good = words("method.higher_is_better" if kpi.higher_is_better else "method.lower_is_better")
    baseline = kpi.baseline and {"first": kpi.baseline.first, "last": kpi.baseline.last}
    reviewed = {"day": kpi.reviewed.isoformat(), "next": kpi.next_review.isoformat(), "version": kpi.version}
    return {
        "question": kpi.answers,
        "numerator": kpi.numerator,
        "denominator": kpi.denominator,
        "left_out": "; ".join(kpi.exclusions),
        "weight": words("method.weight", weight=words.text(kpi.weight)) if kpi.weight else "",
        "not_independent": _clusters(kpi),
        "scale": _scale(kpi, good) if kpi.scale else good,
        "interval": _intervals(kpi, pack),
        "usual_range": words("method.baseline", **baseline) if baseline else "",
        "target": "" if target is None else tables.target_value_text(target, kpi),
        "owner": words("method.owner", owner=kpi.owner, checker=kpi.checker),
        "reviewed": words("method.reviewed", **reviewed),
    }


def _scale(kpi: ShownKpi, good: str) -> str:
    assert kpi.scale
    return kpi.words("method.scale", low=f"{kpi.scale.low:g}", high=f"{kpi.scale.high:g}", good=good)


def _clusters(kpi: ShownKpi) -> str:
    if not kpi.cluster:
        return ""
    cluster = kpi.words.text(kpi.cluster.removesuffix("_id"))
    return kpi.words("method.cluster", rows=tables.rows_of(kpi), cluster=cluster)


def _intervals(kpi: ShownKpi, pack: Pack) -> str:
    """Return how the intervals of a KPI in the reported period were made, the way of most figures first."""
    words = pack.words
    figures = (figure for segment in (ALL, *pack.segments) for figure in pack.figures(kpi.id, segment))
    used = Counter(figure.method for figure in figures if figure.is_shown and figure.method)
    methods = sorted(used, key=lambda method: (-used[method], method))
    if not methods:
        return words("method.interval.not_measured")
    said, *others = [_method(method, pack) for method in methods]
    for other in others:
        said = words("method.interval.for_some", first=said, next=other)
    if methods[0] == COMPLETE:
        return said
    return words("method.interval.with_confidence", confidence=pack.confidence, ways=said)


def _method(method: str, pack: Pack) -> str:
    key = _METHODS.get(method)
    effective = pack.words("method.interval.effective")
    return pack.words(f"method.interval.{key}", effective=effective) if key else pack.words.text(method)


def _terms(facts: dict[str, str], pack: Pack) -> str:
    """Return a definition list of terms, by their keys, and plain texts; those without a text are left out."""
    told = {pack.words(f"method.term.{term}"): escape_markdown(text) for term, text in facts.items() if text}
    return "\n\n".join(f"{term}\n:   {text}" for term, text in told.items())
