"""Companies in which nothing changes and no group differs: how often a pack claims that something did.

All tests of a report are one family whose false discovery rate is 5 %. Where nothing is true, every discovery is false,
so at most 5 % of such companies may have a pack with any word of change or difference in it.
"""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cxreport.engine import wrap
from cxreport.measure import compare
from cxreport.measure.compare import add_changes, judge_changes
from cxreport.measure.disclosure import suppress
from cxreport.measure.kpis import Scope, measure_parts
from cxreport.present import cards, tables, wording
from cxreport.schema import ESTIMATES, MIX

RATE = 0.05  # of companies with any false claim
AT_ONCE = 50  # companies that are measured together, which is quicker
UNLIKELY = 1e-4  # that a test fails though the rate holds
KPIS = {"nps": 11, "csat": 5, "csat_mean": 5, "ces_v2": 7}  # number of answers to choose from; csat counts twice
LEVELS = {"region": 5, "channel": 4, "plan": 3, "language": 2}
# Words of change or difference, and where they deny one.
CLAIM = re.compile(r"\b(rose|fell|above|below)\b", re.IGNORECASE)
DENIED = re.compile(
    r"No single group (rose|fell) by itself|no \w+ (rose|fell) detectably|such as \*rose\* and \*fell\*"
)


@pytest.fixture(scope="module")
def template(monthly):
    """The pack in which the companies' figures stand, without targets, benchmarks and analyses."""
    kpis = {name: monthly.kpis[name].model_copy(update={"benchmarks": []}) for name in KPIS}
    changed = {"kpis": list(kpis), "headline": ["nps", "csat"], "segments": list(LEVELS), "mix_segments": []}
    report = monthly.report.model_copy(update=changed | {"targets": {}})
    segments = {name: monthly.segments[name] for name in LEVELS}
    pack = replace(monthly, kpis=kpis, report=report, segments=segments, mix=pd.DataFrame(columns=MIX.names))
    pack.__dict__["analyses"] = {}
    return pack


def answers_of(random, months):
    """Draw a company's answers: customers who answer in one month or several, all alike in all months and groups."""
    size = int(random.integers(60, 700))
    customers = np.arange(int(size * random.uniform(0.8, 3)))
    leaning = random.normal(0, random.uniform(0, 1), len(customers))
    levels = {
        name: random.choice(number, len(customers), p=random.dirichlet([4] * number)) for name, number in LEVELS.items()
    }
    shapes = {metric: random.dirichlet(np.full(number, 0.8)) for metric, number in KPIS.items()}
    parts = []
    for month in months:
        who = random.choice(customers, int(size * random.uniform(0.8, 1.25)), replace=True)
        for metric, shape in shapes.items():
            asked = who[random.random(len(who)) < 0.9]
            latent = stats.norm.cdf((leaning[asked] + random.normal(size=len(asked))) / np.hypot(1, leaning.std()))
            scores = np.minimum(np.searchsorted(np.cumsum(shape), latent), len(shape) - 1)
            named = {name: np.char.add(f"{name} ", (level[asked] + 1).astype(str)) for name, level in levels.items()}
            parts.append(
                pd.DataFrame(
                    {"customer_id": asked.astype(str), "metric": metric, "period": month, "score": scores} | named
                )
            )
    return pd.concat(parts, ignore_index=True)


def packs_of(answers, template):
    """Measure companies' answers, protect, compare and judge them as a run does, and yield a pack for each."""
    report, kpis, period = template.report, template.kpis, template.period
    scope = Scope(report, template.dataset, template.segments, period)
    parts = {}
    for name, kpi in kpis.items():
        scale = {"scale_low": kpi.scale.low, "scale_high": kpi.scale.high, "scale_good": kpi.scale.good}
        rows = answers[answers["metric"] == name].assign(question="", missing_reason=None, **scale)
        rows = rows.assign(metric=kpi.where["metric"], score=rows["score"] + kpi.scale.low)
        parts[name] = measure_parts(wrap(rows), kpi, scope, "company")
    for company in answers["company"].unique():
        measured = [part[company] for part in parts.values()]
        rows = suppress(pd.concat([each.figures for each in measured], ignore_index=True), kpis, {})
        correlations = pd.concat([each.correlations for each in measured], ignore_index=True)
        rows = add_changes(rows, kpis, period, report.confidence, correlations)
        rows = judge_changes(rows, report.confidence, report.headline, report.headline_weight)
        yield replace(template, estimates=rows.assign(question=None).reindex(columns=ESTIMATES.names))


def claims_of(pack):
    """Return the words of change and difference on the pages of a pack."""
    said = [wording.headline, wording.look_at, wording.mix_summary, cards.kpi_cards, tables.changes_table]
    texts = [emit(pack).text for emit in said]
    texts += [tables.stand_outs(pack, kpi).text for kpi in pack.kpis.values()]
    texts += [tables.segment_tables(pack, kpi).text for kpi in pack.kpis.values()]
    return CLAIM.findall(DENIED.sub("", "\n".join(texts)))


def months_of(template):
    return [period.id for period in (template.period.year_ago, template.period.previous, template.period)]


def false_packs(template, companies):
    """Return how many of some companies have a pack with any claim."""
    found = 0
    for first in range(0, companies, AT_ONCE):
        drawn = [
            answers_of(np.random.default_rng([20260901, number]), months_of(template)).assign(company=str(number))
            for number in range(first, min(first + AT_ONCE, companies))
        ]
        found += sum(bool(claims_of(pack)) for pack in packs_of(pd.concat(drawn, ignore_index=True), template))
    return found


@pytest.mark.parametrize("companies", [12, pytest.param(1000, marks=pytest.mark.soak)])
def test_no_more_packs_claim_a_change_than_the_stated_rate(template, companies):
    """Of companies without any change or difference, no more have a claim in their pack than 5 % and chance allow."""
    assert false_packs(template, companies) <= stats.binom.ppf(1 - UNLIKELY, companies, RATE)


def test_without_correction_most_packs_would_claim_a_change(template, monkeypatch):
    """The same companies break the bound when each test stands for itself, so that the test above can fail."""
    monkeypatch.setattr(compare, "benjamini_hochberg", lambda p_values, _=None: p_values)
    assert false_packs(template, 6) > stats.binom.ppf(1 - UNLIKELY, 6, RATE)


def test_a_true_change_is_claimed(template):
    """A company whose scores sink says so: the pages are not silent for other reasons."""
    answers = answers_of(np.random.default_rng(7), months_of(template)).assign(company="one")
    answers.loc[answers["period"] == template.period.id, "score"] = 0
    [pack] = packs_of(answers, template)
    assert "fell" in claims_of(pack)
