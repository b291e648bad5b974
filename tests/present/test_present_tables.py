"""Tables hold every figure with its base, fit a phone, and show nothing that is hidden."""

import re
from dataclasses import replace
from datetime import date

import pytest

from cxreport.present import method, tables


def rows_of(markdown):
    """Return the body rows of a pipe table as lists of cells."""
    lines = [line for line in markdown.text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def every_table(pack):
    """Return everything that the notebooks show as tables."""
    shown = [
        *(
            make(pack)
            for make in (tables.kpi_table, tables.targets_table, tables.answers_table, tables.questions_table)
        ),
        *(make(pack) for make in (tables.changes_table, tables.other_mix_tables, method.counts, method.rules_broken)),
        *(make(pack) for make in (method.feeds_noted, method.missing_answers, method.small_bases, method.benchmarks)),
        tables.segment_tables(pack, pack.leading),
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
    values = tables.kpi_table(passengers).text
    assert "39.84" in values
    assert "40.40" in values
    counts = [cell.split()[0] for cell in rows_of(tables.answers_table(passengers))[0][2:]]
    assert counts == ["1,436", "342", "2,746"]
    questions = {row[0]: row for row in rows_of(tables.questions_table(passengers))}
    assert "82.07%" in questions["SFO as a whole"][1]
    assert "2,206" in questions["SFO as a whole"][1]
    assert questions["SFO as a whole"][2] == "4.0644"
    assert "2,688" in questions["SFO as a whole"][3]


def test_columns_of_changes_need_a_past(monthly, passengers):
    """A report with one period has no columns of changes; one with a past names what it compares with."""
    assert "Change since August 2026" in tables.kpi_table(monthly).text
    assert "Change" not in tables.kpi_table(passengers).text


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
        [float(cell.replace(tables.MINUS, "-")) for cell in row[3:]]
        for row in rows_of(tables.mix_table(monthly, "channel"))
    ]
    for column in (0, 1):
        assert sum(row[column] for row in rows[:-1]) == pytest.approx(rows[-1][column], abs=0.25)


def test_absent_things_are_told_in_a_sentence(monthly, passengers):
    """What a report does not have is a plain sentence or nothing, never a broken table."""
    assert tables.questions_table(monthly).text == "No KPI of this report is computed per question."
    assert tables.changes_table(passengers).text == tables.NO_EARLIER
    assert tables.segment_table(passengers, passengers.leading, "touchpoint").text == ""
    assert tables.mix_table(passengers, passengers.mix_segment).text == ""


def test_overdue_reviews_are_a_warning(monthly):
    """A definition whose next review lies before the report is named in a warning."""
    late = monthly.kpis["csat"].model_copy(update={"next_review": date(2026, 7, 1)})
    text = method.overdue_reviews(replace(monthly, kpis=monthly.kpis | {"csat": late})).text
    assert "callout-warning" in text
    assert "2026-07-01" in text
    assert "callout" not in method.overdue_reviews(monthly).text


def test_method_names_every_rule_that_rejected_rows(monthly):
    """Rules with rows stand in the table with their count; those without do not."""
    text = method.rules_broken(monthly).text
    assert "41 of 4,110" in text
    assert "solved before" not in text


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
    """The interval of a definition is the one its figures had: linearised when weighted, several when several."""
    text = method.definitions(passengers).text
    assert "95%, Student&#39;s t, with the standard error of weighted answers by Taylor linearisation" in text.replace(
        "&#45;", "-"
    )
    estimates = monthly.estimates.copy()
    estimates.loc[estimates["level"] == "web", "method"] = "score"
    text = method.definitions(replace(monthly, estimates=estimates)).text
    assert re.search("adjusted Wald.*for some groups score interval", text)


def test_notes_of_totals_are_shown_without_benchmarks(monthly, passengers):
    """What measuring noted of a total stands there with its KPI; refused benchmarks are told in the method."""
    text = tables.notes(monthly).text
    assert "- NPS: 1,049 without an answer left out." in text
    assert "refused" not in text
    assert tables.notes(passengers).text == ""


def test_benchmark_is_above_or_below_only_outside_the_interval(monthly):
    """A gap has an interval; where it holds zero, the benchmark cannot be told from the figure."""
    row = next(row for row in rows_of(tables.targets_table(monthly)) if "benchmark" in row[3])
    assert re.search(r"15 points above.*\+11\.\d to \+1\d\.\d", row[3].replace("&#43;", "+").replace("&#46;", "."))
    estimates = monthly.estimates.copy()
    estimates["benchmark_value"] += 15
    estimates["gap"] -= 15
    row = next(
        row for row in rows_of(tables.targets_table(replace(monthly, estimates=estimates))) if "benchmark" in row[3]
    )
    assert "not distinguishable from the benchmark" in row[3]
    assert not re.search("above|below", row[3])


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
