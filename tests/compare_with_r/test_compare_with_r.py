"""Figures, errors, tests and weights against R's package survey, on seeded samples; skips where R is not."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxreport.measure import survey
from cxreport.measure.survey import Design
from cxreport.measure.weights import post_stratify, rake, raked_mean

NEEDED = "library(survey); library(MASS)"  # the former calls the latter to calibrate
SEEDS = (1, 2, 3)
FULL = Design(weight="weight", stratum="region", cluster="account", population="accounts")
INFINITE = Design(weight="weight", stratum="region", cluster="account")
WEIGHTED = Design(weight="weight")
MARGINS = {
    "plan": {"basic": 4000, "plus": 3500, "premium": 2500},
    "channel": {"app": 5000, "phone": 2000, "web": 3000},
}


def sampled(seed: int) -> pd.DataFrame:
    """Draw accounts of several answers each in three regions, one of which was measured completely."""
    random = np.random.default_rng(seed)
    parts = []
    for region, accounts, population in (("north", 15, 60), ("south", 10, 10), ("west", 20, 900)):
        sizes = random.integers(1, 9, accounts)
        account = np.repeat(np.arange(accounts), sizes)
        n = len(account)
        mood = random.normal(size=accounts)[account] + random.normal(size=n)
        part = pd.DataFrame({"region": region, "account": account, "accounts": population})
        part["weight"] = population / accounts * random.uniform(0.5, 2, accounts)[account]
        part["score"] = np.clip(np.round(6 + 2 * mood), 0, 10)
        part["grade"] = np.where(mood > 0.5, "high", np.where(mood < -0.5, "low", "middle"))
        part["channel"] = random.choice(["app", "web", "phone"], n)
        part["plan"] = random.choice(["basic", "plus", "premium"], n)
        part["solved"] = (mood + random.normal(size=n) > -1).astype(int)
        part["visits"] = random.poisson(4, n)
        part["spend"] = np.round(random.lognormal(3, 1, n), 2)
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    rows["signed"] = np.select([rows["score"] >= 9, rows["score"] <= 6], [100.0, -100.0], 0.0)
    rows["optional"] = rows["score"].where(random.random(len(rows)) < 0.8)
    return rows.rename_axis("id").reset_index()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> pd.Series:
    """What R finds, by seed and figure, from one start of it."""
    script = shutil.which("Rscript")
    if script is None or subprocess.run([script, "-e", NEEDED], capture_output=True, check=False).returncode:
        pytest.skip("no Rscript with the packages survey and MASS here: nothing to compare with")
    folder = tmp_path_factory.mktemp("r")
    for seed in SEEDS:
        sampled(seed).to_csv(folder / f"{seed}.csv", index=False, float_format="%.17g")
    program = Path(__file__).with_name("compare.R")
    done = subprocess.run([script, program, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(folder / "results.csv").set_index(["seed", "figure"])["value"]


@pytest.fixture(params=SEEDS)
def case(request, results):
    """A sample and what R finds in it."""
    return sampled(request.param), results[request.param]


def equals(found: dict[str, float], theirs: pd.Series, figure: str) -> None:
    """Check every named number against R's, to 1e-6 of its size."""
    for name, number in found.items():
        assert number == pytest.approx(theirs[f"{figure}.{name}"], rel=1e-6, abs=1e-9), f"{figure}.{name}"


def parts(estimate: survey.Estimate, *more: str) -> dict[str, float]:
    """Return an estimate under the names that the R program uses."""
    kept = {"value": estimate.value, "se": estimate.se, "df": estimate.df}
    return kept | {"low": estimate.ci_low, "high": estimate.ci_high} | {name: getattr(estimate, name) for name in more}


def test_means_equal_svymean(case):
    """With and without strata, clusters and finite populations, in a domain and where answers are missing."""
    rows, theirs = case
    equals(parts(survey.mean(rows, "score", FULL), "deff"), theirs, "mean.full")
    equals(parts(survey.mean(rows, "score", INFINITE), "deff"), theirs, "mean.infinite")
    equals(parts(survey.mean(rows, "score", WEIGHTED)), theirs, "mean.weighted")
    found = survey.mean(rows, "score", FULL, domain=rows["plan"] == "plus")
    equals(parts(found, "deff"), theirs, "mean.segment")
    equals(parts(survey.mean(rows, "optional", FULL)), theirs, "mean.answered")


def test_totals_and_ratios_equal_svytotal_and_svyratio(case):
    """Of all rows and of a domain."""
    rows, theirs = case
    equals(parts(survey.total(rows, "spend", FULL), "deff"), theirs, "total.full")
    equals(parts(survey.total(rows, "spend", FULL, domain=rows["plan"] == "plus")), theirs, "total.segment")
    equals(parts(survey.ratio(rows, "spend", "visits", FULL)), theirs, "ratio.full")


def test_nets_and_their_difference_equal_svymean_and_svycontrast(case):
    """A net is the mean of -100, 0 and 100; segments share accounts."""
    rows, theirs = case
    equals(parts(survey.net(rows, "score", [9, 10], range(7), FULL)), theirs, "net.full")
    found = survey.difference(rows, "signed", FULL, rows["plan"] == "plus", rows["plan"] == "basic")
    equals({"value": found.value, "se": found.se}, theirs, "difference")


@pytest.mark.parametrize("interval", ["logit", "beta"])
def test_shares_equal_svyciprop(case, interval):
    """Of all rows and of a domain."""
    rows, theirs = case
    for name, domain in (("full", None), ("segment", rows["plan"] == "plus")):
        found = survey.proportion(rows, "solved", FULL, domain=domain, interval=interval)
        numbers = {"value": found.value, "low": found.ci_low, "high": found.ci_high}
        equals(numbers, theirs, f"share.{interval}.{name}")


def test_independence_equals_svychisq(case):
    """Rao and Scott's second order, of all rows and of a domain."""
    rows, theirs = case
    for name, domain in (("full", None), ("segment", rows["plan"] == "plus")):
        found = survey.rao_scott(rows, "grade", "channel", FULL, domain=domain)
        numbers = {"f": found.f, "ndf": found.ndf, "ddf": found.ddf, "p": found.p_value}
        equals(numbers, theirs, f"independence.{name}")


def test_weights_equal_rake_and_post_stratify(case):
    """Row by row, from unequal weights."""
    rows, theirs = case
    raked = rake(rows, MARGINS, base="weight", tolerance=1e-12).weights
    equals(dict(zip(map(str, rows["id"]), raked, strict=True)), theirs, "raked")
    cells = rows.groupby(["plan", "channel"]).size() * 7 + 3
    stratified = post_stratify(rows, cells, ["plan", "channel"], base="weight").weights
    equals(dict(zip(map(str, rows["id"]), stratified, strict=True)), theirs, "post_stratified")


def test_raked_means_equal_calibrate(case):
    """The error is that of the residuals from the margins, in a domain as well."""
    rows, theirs = case
    equals(parts(raked_mean(rows, "score", INFINITE, MARGINS)), theirs, "mean.raked")
    found = raked_mean(rows, "score", INFINITE, MARGINS, domain=rows["region"] == "north")
    equals({"value": found.value, "se": found.se}, theirs, "mean.raked_segment")
