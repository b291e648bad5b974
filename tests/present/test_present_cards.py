"""KPI cards: every headline KPI with value, interval, changes, goals and base, in both formats."""

import html
import re
from dataclasses import replace

from cxreport.present import cards


def html_cards(pack):
    """Return the lines of every HTML card."""
    block = re.search(r"```\{=html\}\n(.*?)\n```", cards.kpi_cards(pack).text, re.DOTALL)[1]
    found = re.findall(r"<li.*?</li>", block, re.DOTALL)
    return [[html.unescape(text) for text in re.findall(r"<p[^>]*>(.*?)</p>", card)] for card in found]


def test_every_headline_kpi_has_a_card_with_base_and_interval(monthly):
    """Cards stand in the report's order; each gives the value, the interval and the base."""
    found = html_cards(monthly)
    assert [card[0] for card in found] == [monthly.kpis[kpi].short for kpi in monthly.report.headline]
    for card in found:
        assert any(line.startswith("95% interval ") for line in card)
        assert re.search(r"\d (answers|cases|customers)", card[-1])


def test_leading_card_tells_change_target_and_benchmark(monthly):
    """The card of NPS says what changed, whether the target is met, and how far the benchmark is."""
    card = html_cards(monthly)[0]
    assert card[1] == "24"
    assert "Fell 8 points in a month" in card
    assert "Target 30 missed" in card
    assert any(line.startswith("Benchmark 9 (2023") for line in card)


def test_both_formats_say_the_same(monthly):
    """Every line of the HTML cards stands in the Typst block."""
    typst = re.search(r"```\{=typst\}\n(.*?)\n```", cards.kpi_cards(monthly).text, re.DOTALL)[1]
    for card in html_cards(monthly):
        for line in card:
            assert f'"{line}"' in typst


def test_hidden_kpi_has_a_card_without_numbers(monthly):
    """A hidden total leaves a card with the reason alone."""
    estimates = monthly.estimates.copy()
    estimates.loc[(estimates["kpi"] == "csat") & (estimates["segment"] == "all"), "suppressed"] = "small base"
    card = html_cards(replace(monthly, estimates=estimates))[1]
    assert card == ["CSAT", "too few answers (under 10)"]


def test_unmeasured_kpi_has_a_card_that_says_so(monthly):
    """A headline KPI without a row is not skipped."""
    estimates = monthly.estimates[monthly.estimates["kpi"] != "csat"]
    assert html_cards(replace(monthly, estimates=estimates))[1] == ["CSAT", "no figure"]


def test_one_period_has_cards_without_changes(passengers):
    """Without a past the cards say that there is no figure to compare with."""
    assert "No figure a month or year ago" in html_cards(passengers)[0]


def test_count_and_money_have_cards_of_their_kind(monthly):
    """A complete count says how many more there are and has no interval; money carries its currency."""
    report = monthly.report.model_copy(update={"headline": ["backlog", "service_cost"]})
    count, cost = html_cards(replace(monthly, report=report))
    assert count[:3] == ["Backlog", "1,237 cases", "3 more in a month"]
    assert re.fullmatch(r"\d+ (more|fewer) in a year", count[3])
    assert count[4:] == ["Complete count"]
    assert cost[:3] == ["Cost per contact", "USD 12.40", "95% interval USD 11.91 to 12.89"]


def test_too_few_are_named_by_what_is_counted(monthly):
    """A KPI of cases has too few cases to compare, not answers."""
    estimates = monthly.estimates.copy()
    estimates.loc[estimates["kpi"] == "resolution_time", ["verdict", "year_verdict"]] = "too few answers"
    assert "Too few cases to compare" in html_cards(replace(monthly, estimates=estimates))[4]
