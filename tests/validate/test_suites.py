"""The folder of rules: plain Great Expectations opens it, a run leaves it alone, mistakes in it are explained."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from cxreport.config import Project
from cxreport.errors import DefinitionError
from cxreport.validate.suites import EARLIEST, Suites


def contents(folder):
    """Return every path below a folder, files with their hash."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def edit(company):
    """Return a function that changes a suite of the company."""

    def change(name, alter):
        path = company.project.expectations / "suites" / f"{name}.json"
        suite = json.loads(path.read_text())
        alter(suite)
        path.write_text(json.dumps(suite))
        return company.project

    return change


@pytest.fixture(scope="session")
def plain(root):
    """The committed folder, opened by Great Expectations alone."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        return gx.get_context(mode="file", context_root_dir=root / "expectations")


def judged_by(plain, suite, frame, **options):
    """Validate a frame with a suite, without this package."""
    frames = plain.data_sources.get("frames").get_asset("rows").get_batch_definition("all")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return frames.get_batch({"dataframe": frame}).validate(plain.suites.get(suite), **options)


def profile(**columns):
    """Return one good month of a feed, or a worse one."""
    shares = dict.fromkeys(("share_of_usual", "days_covered_share", "accepted_share", "known_customer_share"), 1.0)
    good = {"period": "2026-09", "n_rows": 900.0, **shares}
    return pd.DataFrame([good | columns])


def test_plain_great_expectations_accepts_a_good_frame_and_refuses_a_bad_one(plain):
    """The suites mean the same without this package."""
    assert judged_by(plain, "feed_survey", profile()).success
    assert not judged_by(plain, "feed_survey", profile(share_of_usual=0.1)).success
    assert not judged_by(plain, "feed_survey", profile(n_rows=0.0)).success


@pytest.mark.parametrize("table", ["responses", "answers"])
def test_rows_that_break_a_rule_are_those_that_the_library_reports(plain, root, table):
    """What the library says of each row is what its own full report lists, for every rule of a table."""
    suites = Suites.open(Project(root), "sfo")
    rules = suites.of_table(table)
    chance = np.random.default_rng(0)
    columns = {column: odd_values(column) for rule in rules for column in rule.columns}
    frame = pd.DataFrame(
        {column: values.take(chance.integers(0, len(values), 80)) for column, values in columns.items()}
    )
    as_of_end = datetime(2026, 10, 3, tzinfo=UTC)
    report = judged_by(
        plain,
        table,
        frame,
        result_format="COMPLETE",
        expectation_parameters={"as_of_end": as_of_end, "earliest": EARLIEST},
    )
    reported = {item.expectation_config.meta["rule"]: item.result["unexpected_index_list"] for item in report.results}
    found = {rule.id: rows.tolist() for rule, rows in zip(rules, suites.run(rules, frame, as_of_end), strict=True)}
    assert found == reported
    assert sum(map(bool, found.values())) > len(rules) / 2


def odd_values(column):
    """Return what a column may hold, good and bad."""
    if column.endswith("_at"):
        return pd.to_datetime(["1970-01-01", "2026-09-01", "2031-01-01", None], utc=True).array
    if column.startswith(("check_", "scale_l", "scale_h")) or column in {"score", "weight"}:
        return pd.array([-1, 0, 0.5, 1, 5, 31, np.nan], dtype="float64")
    return pd.array(["relational", "nps", "high", "call [phone]", None], dtype="str")


def test_opening_the_folder_in_a_fresh_process_changes_nothing(company, tmp_path):
    """Great Expectations alone, started elsewhere, opens a copy without writing to it or to the home folder."""
    before = contents(company.project.expectations)
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys, great_expectations as gx; "
        "context = gx.get_context(mode='file', context_root_dir=sys.argv[1]); "
        "print(len(context.suites.all()), context.config.analytics_enabled)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(company.project.expectations)],
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
        env=os.environ | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert result.stdout.split() == [str(len(list((company.project.expectations / "suites").iterdir()))), "False"]
    assert contents(company.project.expectations) == before
    assert contents(home) == {}


def test_validating_leaves_the_rules_alone(company):
    """A run writes nothing below `expectations/`."""
    before = contents(company.project.expectations)
    company.validate()
    assert contents(company.project.expectations) == before
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_every_feed_and_table_has_rules(company):
    """Tables take their general suite and their dataset's, most severe rules first; unknown feeds take `feed`."""
    suites = Suites.open(company.project, "sample")
    rules = suites.of_table("responses")
    assert {rule.suite for rule in rules} == {"responses", "responses_sample"}
    assert [rule.severity for rule in rules] == sorted(
        (rule.severity for rule in rules), key=["critical", "warning", "info"].index
    )
    assert {rule.suite for rule in Suites.open(company.project, "sfo").of_table("responses")} == {"responses"}
    assert {rule.suite for rule in suites.of_feed("survey")} == {"feed_survey"}
    assert {rule.suite for rule in suites.of_feed("a_new_one")} == {"feed"}


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda suite: suite["expectations"][0]["meta"].pop("rule"), "`meta` needs the rule's id"),
        (lambda suite: suite["expectations"][0].update(notes=None), "`notes` needs the reason"),
        (lambda suite: suite["expectations"][0]["meta"].update(footnot="x"), "did you mean `footnote`"),
        (
            lambda suite: suite["expectations"][0].update(type="expect_column_values_to_be_nice"),
            "1 expectation.s. of unknown type",
        ),
        (lambda suite: suite["expectations"][0].update(severity="grave"), "cannot be read"),
        (lambda suite: suite["expectations"].append(suite["expectations"][0]), "stands twice"),
        (lambda suite: suite["expectations"][0].update(severity="info"), "`mostly` is the tolerance"),
        (
            lambda suite: suite["expectations"][0].update(
                type="expect_column_mean_to_be_between", kwargs={"column": "score", "min_value": 0}
            ),
            "judges neither one column",
        ),
        (
            lambda suite: suite["expectations"][0]["kwargs"].update(
                row_condition="score > 1", condition_parser="pandas"
            ),
            "`row_condition` is not supported",
        ),
    ],
)
def test_mistake_in_a_suite_is_explained(edit, alter, message):
    """A wrong rule is refused with its suite and what is wrong with it."""
    project = edit("answers", alter)
    with pytest.raises(DefinitionError, match=message) as refused:
        Suites.open(project, "sample")
    assert "`answers`" in refused.value.found


def test_all_mistakes_are_told_at_once(edit, company):
    """Problems of several suites arrive in one message."""
    edit("answers", lambda suite: suite["expectations"][0].update(notes=None))
    edit("orders", lambda suite: suite["expectations"][0].update(notes=None))
    with pytest.raises(DefinitionError, match=r"`answers`.*`orders`"):
        Suites.open(company.project, "sample")


def test_misnamed_suite_is_refused(company):
    """A suite that no table and no feed would use is a typing error."""
    folder = company.project.expectations / "suites"
    shutil.move(folder / "tickets_sample.json", folder / "ticket_sample.json")
    with pytest.raises(DefinitionError, match="did you mean `tickets_sample`"):
        Suites.open(company.project, "sample")


def test_table_without_a_suite_is_refused(company):
    """Deleting a suite does not silently accept every row."""
    (company.project.expectations / "suites" / "answers.json").unlink()
    with pytest.raises(DefinitionError, match="suite `answers` is missing"):
        Suites.open(company.project, "sample")


def test_missing_context_is_refused_and_not_created(company):
    """Without its configuration the folder is not filled with a new one."""
    (company.project.expectations / "great_expectations.yml").unlink()
    before = contents(company.project.expectations)
    with pytest.raises(DefinitionError, match=r"great_expectations\.yml is missing"):
        Suites.open(company.project, "sample")
    assert contents(company.project.expectations) == before


def test_rule_in_two_suites_of_a_table_is_refused(edit):
    """Rejected rows name rules, so a name means one rule of a table."""
    project = edit("answers", dict)
    shutil.copy(
        project.expectations / "suites" / "answers.json", project.expectations / "suites" / "answers_sample.json"
    )
    edit("answers_sample", lambda suite: suite.update(name="answers_sample"))
    with pytest.raises(DefinitionError, match="stands twice in the suites of `answers`"):
        Suites.open(project, "sample").of_table("answers")


def test_unknown_column_is_refused_with_the_nearest(edit):
    """A rule on a column that is not there names the one that may be meant."""
    project = edit("orders", lambda suite: suite["expectations"][0]["kwargs"].update(column="order_idd"))
    suites = Suites.open(project, "sample")
    with pytest.raises(DefinitionError, match="did you mean `order_id`"):
        suites.run(suites.of_table("orders"), pd.DataFrame({"order_id": ["a"]}), pd.Timestamp("2026-10-03", tz="UTC"))


def test_rule_that_cannot_be_evaluated_is_refused_without_cells(edit):
    """A rule that fails on its column's type is a mistake of the suite; the message quotes no cell."""
    project = edit(
        "customers",
        lambda suite: suite.update(
            expectations=[
                {
                    "type": "expect_column_values_to_be_between",
                    "kwargs": {"column": "plan", "min_value": 1},
                    "severity": "warning",
                    "notes": "A mistake.",
                    "meta": {"rule": "plan_above_one"},
                }
            ]
        ),
    )
    suites = Suites.open(project, "atlantis")
    with pytest.raises(DefinitionError, match=r"plan_above_one.*cannot be evaluated") as refused:
        suites.run(
            suites.of_table("customers"), pd.DataFrame({"plan": ["secret cell"]}), pd.Timestamp("2026-10-03", tz="UTC")
        )
    assert "secret" not in str(refused.value)
