"""What stands behind the figures: definitions, what was left out, bases, benchmarks, where everything comes from."""

from collections import Counter

from cxreport.measure.benchmarks import judge_benchmarks
from cxreport.measure.control import LOCKED_AFTER, MINIMUM_BASELINE
from cxreport.present import tables
from cxreport.present.markup import Markdown, escape_markdown, pipe_table
from cxreport.present.pack import ALL, Pack, ShownKpi
from cxreport.validate.verdict import MissingCount

# The methods of `estimates` in plain words.
COMPLETE = "complete count"
_MOVED, _APART = ("rose", "fell"), ("above", "below")
_EFFECTIVE = "on the effective base, because answers are weighted or several are of one customer, with Student's t"
_METHODS = {
    "adjusted Wald": "adjusted Wald: three imagined answers steady small samples (Rocks 2016)",
    "adjusted Wald on the effective base, t": f"adjusted Wald (Rocks 2016) {_EFFECTIVE}",
    "score": "score interval, where a class of answers is empty",
    "score on the effective base, t": f"score interval, where a class of answers is empty, {_EFFECTIVE}",
    "Wilson": "Wilson score interval for a share (Wilson 1927)",
    "Wilson on the effective base, t": f"Wilson score interval for a share (Wilson 1927) {_EFFECTIVE}",
    "t": "Student's t interval for a mean",
    "Wilson for a mean, t": "Wilson score interval for a mean between two limits, with the dispersion of the answers "
    "and Student's t",
    "Wilson for a mean on the effective base, t": "Wilson score interval for a mean between two limits, with the "
    f"dispersion of the answers, {_EFFECTIVE}",
    "Hall's t": "Student's t interval for a mean, corrected for skewness (Hall 1992)",
    "Taylor linearisation, Hall's t": "Student's t interval, corrected for skewness (Hall 1992), with the standard "
    "error by Taylor linearisation, as for ratios, weights and several answers of one customer",
    "Taylor linearisation, t": "Student's t, with the standard error by Taylor linearisation, as for ratios, weights "
    "and several answers of one customer",
    "Taylor linearisation over respondents, t": "Student's t, with the standard error by Taylor linearisation over "
    "respondents, who answer several of the questions (Woodruff 1971)",
    "order statistics": "between two of the sorted values, chosen by the binomial distribution",
    "Kaplan-Meier, log-log": "Kaplan-Meier estimate with Greenwood's error on the log-log scale",
    "BG/NBD and Gamma-Gamma, jackknife": "a jackknife that leaves out a twentieth of the customers in turn; it does "
    "not cover that the models may be wrong",
    COMPLETE: "none, because a complete count has no sampling error",
    "no interval": "none where the answers are too few or all alike",
}


def definitions(pack: Pack) -> Markdown:
    """Return a section with the definition of every KPI of the report, from its file."""
    return Markdown(
        "\n\n".join(f"### {escape_markdown(kpi.title)}\n\n{_terms(_facts(kpi, pack))}" for kpi in pack.kpis.values())
    )


def overdue_reviews(pack: Pack) -> Markdown:
    """Return a warning that names the definitions whose review is overdue; a plain sentence when there is none."""
    late = [kpi for kpi in pack.kpis.values() if kpi.next_review < pack.as_of]
    if not late:
        return Markdown("Every definition has been reviewed in time.")
    lines = [
        f"- {escape_markdown(kpi.title)}: due {kpi.next_review.isoformat()}, owner {escape_markdown(kpi.owner)}"
        for kpi in late
    ]
    return Markdown(
        '::: {.callout-warning title="Reviews overdue"}\n'
        "These definitions should have been checked again before this report:\n\n" + "\n".join(lines) + "\n:::"
    )


def counts(pack: Pack) -> Markdown:
    """Return the rows delivered, accepted and left out, table by table; the first is the sum of the others."""
    rows = [
        [escape_markdown(name), *(tables.number(n) for n in (count.rows_in, count.accepted, count.rejected))]
        for name, count in pack.verdict.tables.items()
    ]
    return Markdown(pipe_table(["Table", "Delivered", "Accepted", "Left out"], rows, "lrrr"))


def rules_broken(pack: Pack) -> Markdown:
    """Return every rule that rows broke: what it asks, why, how many of how many rows, what followed."""
    rows = [
        [
            _rule(rule.rule) + tables.second(rule.severity),
            escape_markdown(rule.table),
            f"{tables.number(rule.rows)} of {tables.number(rule.checked)}",
            escape_markdown(rule.outcome),
            escape_markdown(rule.reason),
        ]
        for rule in pack.verdict.rules
        if rule.rows
    ]
    held = len(pack.verdict.rules) - len(rows)
    if not rows:
        return Markdown(f"All rules held for all rows: {held}.")
    table = pipe_table(["Rule", "Table", "Rows", "Outcome", "Why the rule"], rows, "llrll")
    return Markdown(f"{table}\n\nOther rules, which held for all rows: {held}.")


def feeds_noted(pack: Pack) -> Markdown:
    """Return the rules on whole deliveries that did not pass: what was found and what was expected."""
    rows = [
        [
            escape_markdown(gate.feed) + tables.second(escape_markdown(gate.thing)),
            _rule(gate.rule) + tables.second(gate.severity),
            escape_markdown(gate.found),
            escape_markdown(gate.expected),
        ]
        for gate in pack.verdict.gates
        if gate.outcome != "passed"
    ]
    passed = len(pack.verdict.gates) - len(rows)
    if not rows:
        return Markdown(f"All checks of whole deliveries passed: {passed}.")
    table = pipe_table(["Feed", "Rule", "Found", "Expected"], rows)
    return Markdown(f"{table}\n\nOther checks, which passed: {passed}.")


def waivers(pack: Pack) -> Markdown:
    """Return the waivers of the month: rule, what came of it, who reviewed it, until when and why."""
    rows = [
        [
            _rule(waiver.rule) + tables.second(escape_markdown(waiver.scope)),
            escape_markdown(waiver.outcome) + tables.second(f"counts as {waiver.downgrade_to}"),
            escape_markdown(waiver.by) + tables.second(f"on {waiver.reviewed}, until {waiver.until}"),
            escape_markdown(waiver.reason),
        ]
        for waiver in pack.verdict.waivers
    ]
    if not rows:
        return Markdown("No rule was waived for this period.")
    return Markdown(pipe_table(["Rule", "Waiver", "Reviewed by", "Reason"], rows))


def missing_answers(pack: Pack) -> Markdown:
    """Return how many accepted answers have no score, by question, and for which reasons; no KPI counts them."""
    by_question: dict[str, list[MissingCount]] = {}
    for entry in pack.verdict.missing:
        if entry.n:
            by_question.setdefault(entry.question, []).append(entry)
    rows = [
        [
            escape_markdown(pack.question_title(question)),
            tables.number(sum(entry.n for entry in entries)),
            "; ".join(f"{tables.number(entry.n)} {escape_markdown(entry.reason)}" for entry in entries),
        ]
        for question, entries in by_question.items()
    ]
    if not rows:
        return Markdown("No answer lacks a score.")
    return Markdown(pipe_table(["Question", "Without a score", "Reasons"], rows, "lrl"))


def comparisons(pack: Pack) -> Markdown:
    """Return how changes and differences are judged: which tests are one family, how error is shared, how many."""
    now = pack.estimates[pack.estimates["period"] == pack.period.id]
    made = int(now[["p_value", "year_p_value", "apart_p_value"]].notna().to_numpy().sum())
    named = sum(
        int(now[name].isin(words).sum())
        for name, words in (("verdict", _MOVED), ("year_verdict", _MOVED), ("apart", _APART))
    )
    weight = pack.report.headline_weight
    shared = (
        f"{tables.share_text(weight)} of the error that is allowed is kept for the totals of the KPIs on the cards, "
        "which the report sets out to judge; the rest is for all it searches. These parts are declared in the report's "
        "definition, before any figure is seen (Genovese, Roeder and Wasserman 2006)."
    )
    return Markdown(
        "Looking at many differences finds some by chance alone. So all comparisons of the report are judged "
        "together, as one family: every figure with the period before and with a year ago, and every group with "
        "everyone else. "
        + (f"{shared} " if weight else "")
        + f"Of the changes and differences named, {tables.share_text(1 - pack.report.confidence)} on average may be "
        f"chance (Benjamini and Hochberg 1995). This report makes {tables.number(made)} comparisons and names "
        f"{tables.number(named)}. A change whose own interval leaves out zero can therefore still be called not "
        "detectable."
    )


def usual_ranges() -> Markdown:
    """Return how the usual range of a KPI is made, and what counts as a signal."""
    return Markdown(
        f"The *usual range* comes from the KPI's own past: the mean of its first {LOCKED_AFTER} figures, plus and "
        "minus 2.66 times their mean step from one period to the next (an XmR chart). These figures fix it, so that a "
        f"later shift neither widens nor moves it. Until there are {LOCKED_AFTER} earlier figures, all of them set it; "
        f"with fewer than {MINIMUM_BASELINE} there is none. Where a process is known to have changed, the KPI's "
        "definition names the months that count instead. A signal is a figure outside the range, seven in a row on one "
        "side of its middle or in one direction, or two of three near one end. It is a reason to look, no proof of a "
        "cause: of a hundred steady KPIs, two to four show one by chance alone."
    )


def small_bases(pack: Pack) -> Markdown:
    """Return from which base on KPIs are shown, and from which they are shown without a mark."""
    by_limits: dict[tuple[int, int], list[str]] = {}
    for kpi in pack.kpis.values():
        by_limits.setdefault((kpi.minimum_base.suppress, kpi.minimum_base.warn), []).append(kpi.short)
    rows = [
        [
            "All KPIs" if len(by_limits) == 1 else escape_markdown(", ".join(names)),
            tables.number(suppress),
            tables.number(warn),
        ]
        for (suppress, warn), names in by_limits.items()
    ]
    return Markdown(pipe_table(["KPI", "Shown from", "Without mark from"], rows, "lrr"))


def benchmarks(pack: Pack) -> Markdown:
    """Return every benchmark that a KPI names: shown or refused and why, with year, population, source and licence."""
    rows = []
    for kpi in pack.kpis.values():
        for judged in judge_benchmarks(kpi, pack.dataset, pack.period, pack.benchmarks):
            entry = pack.benchmarks.loc[judged.id]
            refused = f"refused: {judged.reason.replace('_', ' ')}"
            own = judged.value - judged.half_width, judged.value + judged.half_width
            interval = tables.interval_text(*own, kpi) if judged.fits and judged.half_width > 0 else ""
            rows.append(
                [
                    escape_markdown(kpi.short),
                    escape_markdown(tables.value_text(judged.value, kpi) if judged.fits else refused)
                    + tables.second(interval),
                    escape_markdown(pack.benchmark_year(judged.id)),
                    escape_markdown(f"{entry['industry']}; {entry['population']}"),
                    escape_markdown(entry["source"]) + tables.second(escape_markdown(entry["licence"])),
                ]
            )
    if not rows:
        return Markdown("No KPI of this report names a benchmark.")
    return Markdown(pipe_table(["KPI", "Benchmark", "Year", "Population", "Source and licence"], rows))


def population(pack: Pack) -> Markdown:
    """Return who is measured and who is not."""
    return Markdown(
        f"Measured: {escape_markdown(pack.dataset.population)}. The figures describe those who answered. They chose to "
        "answer, so they may be more pleased or more annoyed than the others; intervals cover chance, not this."
    )


def provenance(pack: Pack) -> Markdown:
    """Return what this report was made from; the same for every run on the same inputs."""
    facts = {
        "Report": f"{pack.report.id}, {pack.report.title}",
        "Period": f"{pack.period.label} ({pack.period.id}), {pack.dataset.time_zone} time",
        "Data": f"{pack.dataset.id}, {pack.dataset.title}",
        "Feeds": ", ".join(f"{feed.id} ({feed.owner})" for feed in pack.dataset.feeds),
        "As of": pack.as_of.isoformat(),
        "Contact": pack.report.contact,
    }
    return Markdown(_terms({name: escape_markdown(text) for name, text in facts.items()}))


def _rule(name: str) -> str:
    return escape_markdown(name.replace("_", " "))


def _facts(kpi: ShownKpi, pack: Pack) -> dict[str, str]:
    """Return the definition of a KPI as terms and Markdown."""
    target = pack.report.targets.get(kpi.id)
    good = "higher is better" if kpi.higher_is_better else "lower is better"
    scale = f"{kpi.scale.low:g} to {kpi.scale.high:g}; {good}" if kpi.scale else good
    texts = {
        "Question": kpi.answers,
        "Numerator": kpi.numerator,
        "Denominator": kpi.denominator,
        "Left out": "; ".join(kpi.exclusions),
        "Weight": f"each row counts by its {kpi.weight}" if kpi.weight else "",
        "Not independent": _clusters(kpi),
        "Scale": scale,
        "Interval": _intervals(kpi, pack),
        "Usual range": f"from {kpi.baseline.first} to {kpi.baseline.last}" if kpi.baseline else "",
        "Target": "" if target is None else tables.value_text(target, kpi),
        "Owner": f"{kpi.owner}; checked by {kpi.checker}",
        "Reviewed": f"{kpi.reviewed.isoformat()}, next {kpi.next_review.isoformat()}; version {kpi.version}",
    }
    return {term: escape_markdown(text) for term, text in texts.items() if text}


def _clusters(kpi: ShownKpi) -> str:
    if not kpi.cluster:
        return ""
    return f"{tables.rows_of(kpi)} with the same {kpi.cluster.removesuffix('_id')}, which count as one group"


def _intervals(kpi: ShownKpi, pack: Pack) -> str:
    """Return how the intervals of a KPI in the reported period were made, the way of most figures first."""
    figures = (figure for segment in (ALL, *pack.segments) for figure in pack.figures(kpi.id, segment))
    used = Counter(figure.method for figure in figures if figure.is_shown and figure.method)
    ways = sorted(used, key=lambda method: (-used[method], method))
    if not ways:
        return "not measured in this period"
    confidence = "" if ways[0] == COMPLETE else f"{pack.confidence}, "
    return confidence + "; for some groups ".join(_METHODS.get(method, method) for method in ways)


def _terms(facts: dict[str, str]) -> str:
    """Return a definition list of terms and Markdown."""
    return "\n\n".join(f"{term}\n:   {text}" for term, text in facts.items())
