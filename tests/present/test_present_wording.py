"""Sentences say what the verdicts allow and nothing else."""

import re
from dataclasses import replace
from html import unescape

import pandas as pd
import pytest

from cxreport.present import wording

MOVED = re.compile(r"\b(rose|fell|rise|fall)\b", re.IGNORECASE)


def with_estimates(pack, chosen, **values):
    """Return the pack with some cells of the chosen rows of `estimates` replaced."""
    estimates = pack.estimates.copy()
    rows = pd.Series(True, index=estimates.index)
    for column, value in chosen.items():
        rows &= estimates[column] == value
    assert rows.any()
    for column, value in values.items():
        estimates.loc[rows, column] = value
    return replace(pack, estimates=estimates)


def calm(pack):
    """Return the pack with no verdict that anything moved, no signal and no target missed."""
    estimates = pack.estimates.copy()
    estimates[["verdict", "year_verdict"]] = "no detectable change"
    estimates[["signal", "status"]] = None
    return replace(pack, estimates=estimates)


def test_headline_names_size_value_and_interval(monthly):
    """The fall of the leading KPI is told with its size, its value, its interval and its month."""
    text = wording.headline(monthly).text
    assert "NPS fell 8 points to 24 (95% interval 20 to 27) in September 2026, more than chance usually makes." in text


def test_mix_sentence_says_what_the_split_says_and_no_cause(monthly):
    """No channel fell and the mix explains the fall: the sentence tells what the shift would do by itself."""
    sentence = wording.mix_sentence(monthly)
    assert sentence == (
        "The shift of answers towards Phone and Chat (51% of all, 30% before), where NPS is lower, would by itself "
        "lower NPS by 8 points; no channel fell detectably."
    )
    assert sentence in wording.headline(monthly).text


def test_mix_is_not_blamed_when_a_channel_fell(monthly):
    """One channel with the verdict "fell" forbids the sentence; the headline names that channel instead."""
    one = {"kpi": "nps", "segment": "channel", "level": "phone"}
    pack = with_estimates(monthly, one, verdict="fell", change=-9.0)
    assert wording.mix_sentence(pack) == ""
    assert "It fell most in Phone (9 points)" in wording.headline(pack).text


def test_mix_is_not_blamed_for_a_minor_part(monthly):
    """A mix effect below half of the change does not explain it."""
    mix = monthly.mix.copy()
    mix["mix_effect"] *= 0.4
    assert wording.mix_sentence(replace(monthly, mix=mix)) == ""


def test_partial_mix_says_how_much(monthly):
    """A mix effect between half and all of the change is told as a part of it."""
    mix = monthly.mix.copy()
    mix["mix_effect"] *= 0.8
    assert "lower NPS by 7 points, 84% of the fall; no channel fell" in wording.mix_sentence(replace(monthly, mix=mix))


def test_nothing_moves_without_a_verdict(monthly):
    """Without a verdict no sentence says that anything rose or fell, however large the change."""
    pack = calm(monthly)
    said = [wording.headline(pack), wording.look_at(pack), wording.mix_summary(pack)]
    assert not MOVED.search(" ".join(text.text for text in said))
    assert "no detectable change since August 2026" in wording.headline(pack).text


@pytest.mark.parametrize("verdict", ["rose", "fell"])
def test_headline_repeats_the_verdict(monthly, verdict):
    """The headline uses the word of the verdict and never the other one."""
    change = 8.0 if verdict == "rose" else -8.0
    pack = with_estimates(
        monthly, {"kpi": "nps", "segment": "all", "period": "2026-09"}, verdict=verdict, change=change
    )
    first = wording.headline(pack).text.split("\n\n")[0]
    assert MOVED.findall(first) == [verdict]


def test_headline_of_too_few_answers_claims_no_change(monthly):
    """A verdict of too few answers is told as such, not as a missing past."""
    total = {"kpi": "nps", "segment": "all", "period": "2026-09"}
    text = wording.headline(with_estimates(monthly, total, verdict="too few answers")).text
    assert "too few answers to tell a change" in text
    assert not MOVED.search(text)
    text = wording.headline(with_estimates(monthly, total, verdict="too few answers", change=None)).text
    assert "which cannot be compared with the period before" in text


def test_broken_touchpoint_leads_what_to_look_at(monthly):
    """The planted break is the first item, with its size, base and a question to its owner."""
    items = wording.look_at(monthly).text.splitlines()
    assert items[0].startswith("1. **CSAT, Installation visit: fell 25 percentage points to 55%**")
    assert "209 answers" in items[0]
    assert "Ask Customer insight" in items[0]
    assert 3 <= len(items) <= 5


def test_shifted_mix_leads_its_item_and_groups_that_fell_stay_in_it(monthly):
    """Where the mix explains the fall, the item asks about the mix and still names a group that fell."""
    pack = with_estimates(monthly, {"kpi": "nps", "level": "basic"}, verdict="fell", change=-13.4)
    item = next(line for line in wording.look_at(pack).text.splitlines() if "NPS" in line)
    assert "more answers from Phone and Chat" in item
    assert re.search(r"Also: .*Basic fell 13 points", item)


def test_divisions_without_a_shift_are_told(monthly):
    """Beside the channels that explain the fall, the divisions whose shares stayed are named; others are not."""
    assert wording.mix_summary(monthly).text.endswith("The shares by region and plan show no such shift.")
    mix = monthly.mix.copy()
    mix.loc[mix["segment"] == "region", "mix_effect"] = -2.0
    assert "The shares by plan show no" in wording.mix_summary(replace(monthly, mix=mix)).text


def test_rising_waits_are_bad_news(monthly):
    """A time that rose is an item although nothing fell."""
    assert "Resolution: rose" in wording.look_at(monthly).text


def test_good_news_is_not_looked_at(monthly):
    """Waiting times that fell and scores that rose are no reason to look."""
    pack = calm(monthly)
    pack = with_estimates(pack, {"kpi": "first_response_time", "segment": "all"}, verdict="fell")
    pack = with_estimates(pack, {"kpi": "csat", "segment": "touchpoint"}, verdict="rose")
    assert "1." not in wording.look_at(pack).text
    assert wording.look_at(pack).text.endswith("No target is missed.")


def test_base_of_the_figures_is_told(monthly):
    """Verdict, counts, what was set aside and hidden groups stand on the first page."""
    text = wording.rests_on(monthly).text
    assert "publish with footnotes" in text
    assert "8,085 of 8,230 answers" in text
    assert "215 of 33,340 delivered rows. 3 notes on these data stand on other pages." in text
    assert "Chinese and Vietnamese" in text


def test_footnotes_stand_on_the_page_that_they_concern(monthly):
    """Each page has its own notes; those of a page that the report does not have stand under the method."""
    four = ["30_executive", "40_kpis", "50_segments", "90_method"]
    pack = replace(monthly, report=monthly.report.model_copy(update={"present": four}))
    said = {page: wording.notes(pack, page).text for page in ("executive", "kpis", "segments", "method")}
    assert "waived by Finance on 2026" in said["executive"]
    assert "41 responses" in said["kpis"]
    assert said["segments"] == ""
    assert "29 repeated" in said["method"]
    assert "12 scores" in said["method"]
    assert [text.count("\n- ") for text in said.values()] == [1, 1, 0, 2]


def test_footnotes_of_a_report_of_one_page_stand_on_it(monthly):
    """Where a report has neither the page concerned nor a method, nothing is lost and nothing stands elsewhere."""
    pack = replace(monthly, report=monthly.report.model_copy(update={"present": ["30_executive"]}))
    assert wording.notes(pack, "executive").text.count("\n- ") == 4
    assert "other pages" not in wording.rests_on(pack).text


def test_clean_data_have_no_notes(passengers):
    """Without footnotes there is no section of notes."""
    assert wording.notes(passengers, "executive").text == ""
    assert "other pages" not in wording.rests_on(passengers).text


def test_one_period_alone_is_told_plainly(passengers):
    """A report with one period compares nothing and says so."""
    assert "NPS is 40 (95% interval 37 to 42) in May 2017" in wording.headline(passengers).text
    assert wording.mix_sentence(passengers) == ""
    assert wording.mix_summary(passengers).text == "There is no earlier period to compare with."
    assert wording.look_at(passengers).text.endswith("No target is set.")
    assert not MOVED.search(wording.look_at(passengers).text)


def test_words_of_statistics_stay_away(monthly):
    """No sentence speaks of significance, p-values or hypotheses."""
    said = [
        wording.headline(monthly),
        wording.look_at(monthly),
        wording.rests_on(monthly),
        wording.mix_summary(monthly),
    ]
    assert not re.search(
        r"significan|p-value|hypothes|confidence level", " ".join(text.text for text in said), re.IGNORECASE
    )


def test_each_set_of_answers_speaks_once(monthly):
    """Of KPIs on the same answers, such as a share and a mean, the report's first one that moved has the only item."""
    pack = calm(monthly)
    for name in ("csat", "csat_top_box", "csat_mean"):
        pack = with_estimates(pack, {"kpi": name, "segment": "all", "period": "2026-09"}, verdict="fell")
    items = wording.look_at(pack, limit=9).text.splitlines()
    assert [item.split(":")[0] for item in items] == ["1. **CSAT"]


def test_headline_kpis_are_looked_at_first(monthly):
    """A larger move of a KPI that has no card stands after a smaller one of a KPI that has."""
    pack = with_estimates(calm(monthly), {"kpi": "enps", "segment": "all", "period": "2026-09"}, verdict="fell")
    pack = with_estimates(pack, {"kpi": "enps", "segment": "all", "period": "2026-09"}, change=-60.0)
    pack = with_estimates(
        pack, {"kpi": "retention", "segment": "all", "period": "2026-09"}, verdict="fell", change=-0.01
    )
    items = wording.look_at(pack).text.splitlines()
    assert items[0].startswith("1. **Retention: fell 1 percentage point to 60%**")
    assert items[1].startswith("2. **eNPS: fell 60 points to 20**")


def test_rising_costs_are_bad_news_in_money(monthly):
    """A cost that rose is told in the currency."""
    total = {"kpi": "service_cost", "segment": "all", "period": "2026-09"}
    pack = with_estimates(calm(monthly), total, verdict="rose", change=1.5)
    assert "**Cost per contact: rose USD 1.50 to USD 12.40** (95% interval USD 11.91 to 12.89" in unescape(
        wording.look_at(pack).text
    )


@pytest.mark.parametrize(("change", "said"), [(3.0, "3 more than in August"), (0.0, "the same number as in August")])
def test_headline_of_a_count_is_a_plain_comparison(monthly, change, said):
    """A leading KPI that is a complete count is compared by number, without an interval or a test."""
    report = monthly.report.model_copy(update={"headline": ["backlog"]})
    pack = with_estimates(replace(monthly, report=report), {"kpi": "backlog", "period": "2026-09"}, change=change)
    text = wording.headline(pack).text
    assert f"Backlog is 1,237 cases in September 2026, {said} 2026; a complete count." in text
    assert not MOVED.search(text)


def test_delivered_tables_behind_derived_facts_are_told(monthly):
    """Customers counted by period rest on the delivered customers, which are told when they were delivered."""
    tables = monthly.verdict.tables | {"customers": monthly.verdict.tables["tickets"]}
    pack = replace(monthly, verdict=monthly.verdict.model_copy(update={"tables": tables}))
    assert "2,210 of 2,210 customers" in wording.rests_on(pack).text
