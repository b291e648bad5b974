"""Tables hold every figure with its base, fit a phone, and show nothing that is hidden."""

import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest

from cxreport.config import Base
from cxreport.present import method, tables, wording
from cxreport.present.markup import escape_markdown
from cxreport.present.words import MINUS


def rows_of(markdown):
    """Return the body rows of a pipe table as lists of cells."""
    lines = [line for line in markdown.text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def every_table(pack):
    """Return everything that the notebooks show as tables."""
    shown = [
        *(
            make(pack)
            for make in (tables.kpi_tables, tables.targets_table, tables.counts_table, tables.questions_table)
        ),
        *(make(pack) for make in (tables.changes_table, tables.other_mix_tables, method.counts, method.rules_broken)),
        *(make(pack) for make in (method.feeds_noted, method.waivers)),
        *(make(pack) for make in (method.missing_answers, method.small_bases, method.benchmarks)),
        tables.segment_tables(pack, pack.leading),
        tables.headline_tables(pack),
        tables.stand_outs(pack, pack.leading),
        tables.mix_table(pack, pack.mix_segment),
    ]
    return shown + [tables.segment_table(pack, pack.first_by(segment), segment) for segment in pack.segments]


@pytest.mark.parametrize("name", ["monthly", "passengers"])
def test_tables_fit_a_phone(name, request):
    """No table has more than five columns, and all rows of a table have the same number."""
    seen = 0
    for shown in every_table(request.getfixturevalue(name)):
        for block in re.findall(r"(?:^\|.*\n?)+", shown.text, re.MULTILINE):
            widths = {line.count("|") - 1 for line in block.strip().splitlines()}
            assert len(widths) == 1
            assert widths.pop() <= 5
            seen += 1
    assert seen > 4


def test_published_precision_is_kept(passengers):
    """NPS to two decimals with its counts, item means to four, shares with their counts."""
    values = tables.kpi_tables(passengers).text
    assert "39.84" in values
    assert "40.40" in values
    counts = [cell.split()[0] for cell in rows_of(tables.counts_table(passengers))[0][2:]]
    assert counts == ["1,436", "342", "2,746"]
    questions = {row[0]: row for row in rows_of(tables.questions_table(passengers))}
    assert "82.07%" in questions["SFO as a whole"][1]
    assert "2,206" in questions["SFO as a whole"][1]
    assert questions["SFO as a whole"][2] == "4.0644"
    assert "2,688" in questions["SFO as a whole"][3]


def test_columns_of_changes_need_a_past(monthly, passengers):
    """A report with one period has no columns of changes; one with a past names what it compares with."""
    assert "Change since August 2026" in tables.kpi_tables(monthly).text
    assert "Change" not in tables.kpi_tables(passengers).text


def test_hidden_levels_say_why(monthly):
    """The suppressed language and its partner stand in the table with their reason and without a digit of theirs."""
    rows = {row[0]: row for row in rows_of(tables.segment_table(monthly, monthly.leading, "language"))}
    assert rows["Vietnamese"][1] == "too few answers (under 10)"
    assert rows["Chinese"][1] == "hidden to protect a small group"
    assert rows["Chinese"][2:] == ["not shown", "not shown"]


def test_every_change_in_a_group_is_listed(monthly):
    """The table of changes holds exactly the groups with a verdict that they moved."""
    moved = {(row[0], row[1].split(" [")[0]) for row in rows_of(tables.changes_table(monthly))}
    assert ("CSAT", "Installation visit") in moved
    assert ("CSAT", "Order") not in moved


def test_mix_table_adds_up(monthly):
    """The parts of all levels add up to the totals in the last row."""
    rows = [
        [float(cell.replace(MINUS, "-")) for cell in row[3:]] for row in rows_of(tables.mix_table(monthly, "channel"))
    ]
    for column in (0, 1):
        assert sum(row[column] for row in rows[:-1]) == pytest.approx(rows[-1][column], abs=0.25)


def test_absent_things_are_told_in_a_sentence(monthly, passengers):
    """What a report does not have is a plain sentence or nothing, never a broken table."""
    assert tables.questions_table(monthly).text == ""
    assert tables.changes_table(passengers).text == passengers.words("tables.no_earlier")
    assert tables.segment_table(passengers, passengers.leading, "touchpoint").text == ""
    assert tables.mix_table(passengers, passengers.mix_segment).text == ""


def test_overdue_reviews_are_a_warning(monthly):
    """A definition whose next review lies before the report is named in a warning."""
    late = monthly.kpis["csat"].model_copy(update={"next_review": date(2026, 7, 1)})
    text = method.overdue_reviews(replace(monthly, kpis=monthly.kpis | {"csat": late})).text
    assert "callout-warning" in text
    assert "2026-07-01" in text
    assert "callout" not in method.overdue_reviews(monthly).text


@pytest.fixture
def revised(monthly):
    """Return the pack as if it told revisions, given by what they differ in from a promoter score that is told."""
    usual = {"kpi": "nps", "question": None, "period": "2026-08", "figure": "value", "was": 30.0, "now": 33.5}
    usual |= {"n_was": 400, "n_now": 1420, "direction": "rose", "n_groups": 0, "cause": "late_answers", "reason": None}

    def revised(*rows):
        pack = replace(monthly)
        pack.__dict__["revisions"] = [usual | row for row in rows]  # what the pack would read from its folder, once
        return pack

    return revised


def test_revisions_are_told_with_bases_and_causes(monthly, revised):
    """What was, what is, and why; counted on the first page; a plain sentence where nothing moved."""
    assert "would be the same today" in method.revisions(monthly).text
    stated = {"cause": "definition; late_answers", "reason": "Scale turned (Ann, 2026-10-01)", "n_groups": 3}
    pack = revised({}, stated)
    first, second = [line for line in method.revisions(pack).text.splitlines() if line.startswith("|")][-2:]
    for part in ("August 2026", "30", "base 400", "34", "base 1,420", "higher", "answers came in late"):
        assert escape_markdown(part) in first or part in first
    for part in ("definition changed and answers came in late", "Scale turned", "3 figures of groups moved"):
        assert escape_markdown(part) in second or part in second
    assert "2 figures issued earlier would be others today" in wording.rests_on(pack).text
    assert "issued earlier" not in wording.rests_on(monthly).text


def test_revision_without_figures_tells_the_direction_only(revised):
    """Where a pair would tell of a few answers no digit of it is shown."""
    hidden = {"was": None, "now": None, "n_was": None, "n_now": None, "direction": "fell"}
    *_, line = [line for line in method.revisions(revised(hidden)).text.splitlines() if line.startswith("|")]
    assert "not told" in line
    assert "lower" in line
    assert not re.search(r"\d", line.replace("2026", "").replace("&#", "&"))
    benchmark = {"figure": "benchmark", "n_was": None, "n_now": None, "cause": "benchmark"}
    assert "Benchmark of NPS" in method.revisions(revised(benchmark)).text


def test_method_names_every_rule_that_rejected_rows(monthly):
    """Rules with rows stand in the table with their count; those without do not."""
    text = method.rules_broken(monthly).text
    assert "41 of 4,110" in text
    assert "solved before" not in text
    assert text.endswith("which held for all rows: 1.")


def test_method_names_broken_checks_of_deliveries_with_their_place(monthly):
    """A check that did not pass stands with feed, place, severity, what was found and what was expected."""
    broken = {"outcome": "noted", "thing": "orders.csv"}
    gates = [gate.model_copy(update=broken) for gate in monthly.verdict.gates] + monthly.verdict.gates
    pack = replace(monthly, verdict=monthly.verdict.model_copy(update={"gates": gates}))
    ((feed, rule, found, expected),) = [map(unescape, row) for row in rows_of(method.feeds_noted(pack))]
    assert ("orders.csv" in feed, "warning" in rule, found, expected) == (True, True, "4110 rows", "3000 to 5000 rows")
    assert method.feeds_noted(monthly).text == "All checks of whole deliveries passed: 1."


def test_method_names_waivers_with_who_when_until_and_why(monthly, passengers):
    """A waiver stands with its rule, what came of it, by whom and when it was reviewed, its last day and its reason."""
    ((rule, waiver, reviewed, reason),) = [map(unescape, row) for row in rows_of(method.waivers(monthly))]
    assert ("volume usual" in rule, "applied" in waiver, reason) == (True, True, "The shop was closed.")
    assert reviewed.startswith("Finance [(on 2026-10-01, until 2026-12-31)]")
    assert method.waivers(passengers).text == "No rule was waived for this period."


def test_method_counts_missing_answers(passengers):
    """The 84 answers without a score stand there with their reason."""
    assert ["Likelihood to recommend SFO", "84", "84 blank or several answers"] in rows_of(
        method.missing_answers(passengers)
    )


def test_refused_benchmarks_say_why(monthly):
    """Benchmarks of another industry or metric are listed as refused with the reason; a fitting one with its value."""
    rows = rows_of(method.benchmarks(monthly))
    assert any(row[1] == "9" for row in rows)
    assert any(row[1].startswith("refused") and "airlines" in row[1] for row in rows)
    assert all(row[2] and row[3] and row[4] for row in rows)
    assert not any("_" in row[1] or "&#95;" in row[1] for row in rows)


def test_definitions_tell_who_answers_for_them(monthly):
    """Every KPI's definition gives numerator, denominator, owner and review dates."""
    text = method.definitions(monthly).text
    for term in ("Numerator", "Denominator", "Interval", "Owner", "Reviewed"):
        assert text.count(f"\n{term}\n") == len(monthly.kpis)


def test_definitions_name_the_methods_that_were_used(monthly, passengers):
    """The interval of a definition is the one its figures had: on the effective base when weighted, several if so."""
    text = method.definitions(passengers).text
    assert "95%, adjusted Wald &#40;Rocks 2016&#41; on the effective base, because answers are weighted" in text
    estimates = monthly.estimates.copy()
    estimates.loc[estimates["level"] == "web", "method"] = "score"
    text = method.definitions(replace(monthly, estimates=estimates)).text
    assert re.search("adjusted Wald.*for some groups score interval", text)


def test_every_method_is_told_in_words(monthly):
    """No method of a figure reaches the page under its short name."""
    told = method.definitions(monthly).text
    used = set(monthly.estimates["method"].dropna()) - {"complete count"}
    assert len(used) >= 6
    for name in used:
        assert f"95%, {name}\n" not in told
    assert "Interval\n:   none, because a complete count has no sampling error" in told


def test_one_family_and_its_weights_are_declared(monthly, passengers):
    """The method says that all tests are one family, which part is kept for the headline, and how many there are."""
    text = method.comparisons(monthly).text
    now = monthly.estimates[monthly.estimates["period"] == "2026-09"]
    tests = now[["p_value", "year_p_value", "apart_p_value"]].notna().sum().sum()
    assert "as one family" in text
    assert "50% of the error" in text
    assert f"This report makes {tests} comparisons" in text
    weightless = passengers.report.model_copy(update={"headline_weight": 0})
    assert "is kept for" not in method.comparisons(replace(passengers, report=weightless)).text


def test_usual_ranges_tell_how_they_are_fixed(monthly):
    """The numbers of the page are those of the rule: 24 figures fix a range, 12 are the fewest."""
    text = method.usual_ranges(monthly).text
    assert "first 24 figures" in text
    assert "fewer than 12 there is none" in text


def test_equal_limits_are_told_once(monthly):
    """KPIs with the usual limits share a row; those with limits of their own are named."""
    assert rows_of(method.small_bases(monthly)) == [["NRR", "10", "300"], ["All other KPIs", "10", "30"]]
    alike = {name: kpi.model_copy(update={"minimum_base": Base()}) for name, kpi in monthly.kpis.items()}
    assert rows_of(method.small_bases(replace(monthly, kpis=alike))) == [["All KPIs", "10", "30"]]
    strict = alike["enps"].model_copy(update={"minimum_base": Base(warn=50, suppress=20)})
    rows = rows_of(method.small_bases(replace(monthly, kpis=alike | {"enps": strict})))
    assert rows == [["eNPS", "20", "50"], ["All other KPIs", "10", "30"]]


def test_kpis_stand_under_their_area(monthly, passengers):
    """Every KPI stands once, under the heading of its area, in the report's order; one area needs no heading."""
    text = tables.kpi_tables(monthly).text
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert headings == ["Experience", "Taking part", "Service", "Loyalty and value", "Digital", "People and public"]
    titles = [row[0].split(" [")[0] for row in rows_of(tables.kpi_tables(monthly)) if not row[0].startswith(":")]
    shown = [kpi.title for kpi in monthly.kpis.values() if monthly.total(kpi.id)]
    assert [title for title in titles if title != "KPI, base"] == [escape_markdown(title) for title in shown]
    assert "###" not in tables.kpi_tables(passengers).text


def test_figures_are_placed_in_their_own_past(monthly, passengers):
    """A figure's signal, or that it is usual, stands with its place among earlier ones; without a past neither does."""
    rows = {row[0].split(" [")[0]: row for row in rows_of(tables.kpi_tables(monthly))}
    assert rows["Net Promoter Score"][4] == "below the usual range [(better than 75% of earlier months)]{.cx-second}"
    assert rows["Backlog"][4].startswith("usual")
    assert "past" not in tables.kpi_tables(passengers).text


def test_complete_count_reads_well_everywhere(monthly):
    """A count has neither interval nor verdict in words: value, how many more, and that it is complete."""
    rows = {row[0].split(" [")[0]: row for row in rows_of(tables.kpi_tables(monthly))}
    assert rows["Backlog"][:3] == ["Backlog [(complete count)]{.cx-second}", "1,237 cases", "3 more"]
    text = tables.kpi_tables(monthly).text
    assert "not tested" not in text
    assert "no interval" not in text


def test_groups_have_a_place_among_their_peers(monthly):
    """Of five or more groups each has the share of the others that do worse, with its interval; of fewer none has."""
    by_touchpoint = rows_of(tables.segment_table(monthly, monthly.kpis["csat"], "touchpoint"))
    assert [row[4] for row in by_touchpoint if row[0] == "Installation visit"] == [
        "better than 0% [(0% to 30%)]{.cx-second}"
    ]
    assert "better than" not in tables.segment_table(monthly, monthly.leading, "channel").text


def test_headline_kpis_stand_beside_each_other_by_group(monthly):
    """Every other headline KPI stands by every segment it has, with base, and with its side where a test says so."""
    text = tables.headline_tables(monthly).text
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == ["Journey stage", "Touchpoint"]
    row = next(row for row in rows_of(tables.headline_tables(monthly)) if row[0] == "Installation visit")
    assert re.fullmatch(r"55% \[\(50% to 60%; n\N{NO-BREAK SPACE}209; below the rest\)\]\{\.cx-second\}", row[1])
    estimates = monthly.estimates.copy()
    estimates.loc[estimates["level"] == "Installation visit", "suppressed"] = "complementary"
    text = tables.headline_tables(replace(monthly, estimates=estimates)).text
    assert "| Installation visit | hidden to protect a small group |" in text


def test_notes_of_totals_are_shown_without_benchmarks(monthly, passengers):
    """What measuring noted of a total stands there with its KPI; refused benchmarks are told in the method."""
    text = tables.notes(monthly).text
    assert "- NPS: 1,049 left out for want of an answer." in text
    noted = monthly.estimates.assign(note="2 without an answer left out; 7 still open, taken as longest")
    text = tables.notes(replace(monthly, estimates=noted)).text
    assert re.search(r"Retention.*: 2 customers left out, because the question does not arise", text)
    assert "NPS, CSAT" in text
    assert "7 still open, taken as the longest" in text
    assert "refused" not in text
    assert tables.notes(passengers).text == ""


def test_benchmark_is_above_or_below_only_outside_the_interval(monthly):
    """A gap has an interval; where it holds zero, the benchmark cannot be told from the figure."""
    row = next(row for row in rows_of(tables.targets_table(monthly)) if "benchmark" in row[3])
    assert re.search(r"15 points above.*\+11\.\d to \+1\d\.\d; benchmark taken as exact", unescape(row[3]))
    estimates = monthly.estimates.copy()
    estimates["benchmark_value"] += 15
    estimates[["gap", "gap_ci_low", "gap_ci_high"]] -= 15
    row = next(
        row for row in rows_of(tables.targets_table(replace(monthly, estimates=estimates))) if "benchmark" in row[3]
    )
    assert "not distinguishable from the benchmark" in row[3]
    assert not re.search("above|below", row[3])


def test_gap_takes_its_interval_from_the_estimates(monthly):
    """The interval of a gap is the measured one; where it holds the benchmark's own error, none is called exact."""
    estimates = monthly.estimates.copy()
    estimates[["gap_ci_low", "gap_ci_high", "benchmark_low"]] = [-2.0, 31.0, 5.0]
    row = next(
        row for row in rows_of(tables.targets_table(replace(monthly, estimates=estimates))) if "benchmark" in row[3]
    )
    assert "not distinguishable" in row[3]
    assert f"({MINUS}2.0 to +31.0)" in unescape(row[3])


def test_groups_stand_out_by_their_test_alone(monthly):
    """Without a corrected test no group stands out, however far its interval lies from the total."""
    assert {row[0].split(" [")[0] for row in rows_of(tables.stand_outs(monthly, monthly.leading))} >= {"Website"}
    pack = replace(monthly, estimates=monthly.estimates.assign(apart=None))
    assert tables.stand_outs(pack, pack.leading).text.startswith("No group differs from everyone else")
    pack = replace(monthly, estimates=monthly.estimates.assign(apart=None, apart_p_value=None))
    assert "not compared" in tables.stand_outs(pack, pack.leading).text


def test_words_for_changes_are_explained_where_there_are_changes(monthly, passengers):
    """Below tables of changes stands how words and intervals go together; without a past there is nothing to say."""
    assert "allow for all comparisons" in tables.reading_changes(monthly).text
    assert tables.reading_changes(passengers).text == ""


def test_low_base_does_not_stand_out(monthly):
    """A group on few answers is not ranked among those that stand apart, however far it lies."""
    estimates = monthly.estimates.copy()
    estimates.loc[estimates["level"] == "web", "low_base"] = True
    pack = replace(monthly, estimates=estimates)
    assert "Website" in tables.stand_outs(monthly, monthly.leading).text
    assert "Website" not in tables.stand_outs(pack, pack.leading).text
