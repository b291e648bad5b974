"""Great Expectations at arm's length: opens `expectations/`, reads its rules, runs a suite over a frame.

A rule is one expectation of a suite. Its `severity` says how grave a break is, its `notes` why the rule stands, and
its `meta` holds the rule's id and, for readers, the past-tense phrase of a footnote. `mostly` of a critical rule is
its tolerance. Rules judge rows (one or two columns of a row); suites of feeds may also count rows.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self, cast

import pandas as pd

from cxreport.config import Project, load_dataset
from cxreport.errors import DefinitionError, nearest
from cxreport.schema import TABLES
from cxreport.validate.verdict import Severity

_GRAVITY: dict[Severity, int] = {"critical": 0, "warning": 1, "info": 2}
_RESULT_FORMAT = {
    "result_format": "COMPLETE",  # every broken row by position, not only the first twenty
    "exclude_unexpected_values": True,  # positions without the raw bad values
    "partial_unexpected_count": 0,
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
}


@dataclass(frozen=True)
class Rule:
    """One expectation of a suite.

    Attributes
    ----------
    tolerance
        Largest share (0-1) of checked rows that may break a critical rule before the period stops.
    columns
        The one or two columns it looks at; none for a rule that counts rows.
    checks_nulls
        Whether empty cells are judged; other rules ignore a row with an empty cell.
    least, most
        Bounds of a rule on a range, as far as it has any.
    """

    suite: str
    id: str
    severity: Severity
    reason: str
    footnote: str
    tolerance: float
    columns: tuple[str, ...]
    checks_nulls: bool
    least: float | None
    most: float | None

    @property
    def rejects(self) -> bool:
        """Whether a row that breaks the rule is rejected."""
        return self.severity != "info"

    def checked(self, frame: pd.DataFrame) -> pd.Series:
        """Return which rows the rule judges, as Booleans."""
        if self.checks_nulls:
            return pd.Series(True, index=frame.index)
        return frame[list(self.columns)].notna().all(axis=1)


@dataclass(frozen=True)
class Findings:
    """What a suite found: positions of the rows that break each rule, and the failed rules that count rows."""

    rows: dict[str, list[int]]
    failed: set[str]


class Suites:
    """The suites of a project, opened for one dataset."""

    def __init__(self, context: Any, rules: dict[str, list[Rule]], dataset: str) -> None:
        self._context, self._rules, self._dataset = context, rules, dataset

    @classmethod
    def open(cls, project: Project, dataset: str) -> Self:
        """Open the folder as Great Expectations does, reading only.

        Raises `DefinitionError` with every problem of every suite.
        """
        gx = _great_expectations()
        # Great Expectations would create a new context in an empty folder.
        if not (project.expectations / "great_expectations.yml").is_file():
            _refuse(["expectations/great_expectations.yml is missing"])
        context = gx.get_context(mode="file", context_root_dir=project.expectations)
        paths = sorted((project.expectations / "suites").glob("*.json"))
        problems = [f"suite `{name}` {wrong}" for name, wrong in _misplaced(project, [path.stem for path in paths])]
        rules: dict[str, list[Rule]] = {}
        for path in paths:
            rules[path.stem], wrong_rules = _read_suite(context, path)
            problems += wrong_rules
        _refuse(problems)
        return cls(context, rules, dataset)

    def of_table(self, table: str) -> list[Rule]:
        """Return the rules on rows of a table, most severe first, then in the order of the suites."""
        names = [name for name in (table, f"{table}_{self._dataset}") if name in self._rules]
        rules = [rule for name in names for rule in self._rules[name]]
        ids = [rule.id for rule in rules]
        _refuse([f"rule `{rule}` stands twice in the suites of `{table}`" for rule in sorted(_twice(ids))])
        _refuse(
            [f"rule `{rule.id}` of `{table}` counts rows; that works for feeds" for rule in rules if not rule.columns]
        )
        return sorted(rules, key=lambda rule: _GRAVITY[rule.severity])

    def of_feed(self, feed: str) -> list[Rule]:
        """Return the rules on a feed's months: those of its own suite, else of the suite `feed`."""
        own = f"feed_{feed}"
        rules = self._rules[own if own in self._rules else "feed"]
        _refuse([f"rule `{rule.id}` of feed `{feed}` compares columns" for rule in rules if len(rule.columns) > 1])
        _refuse(
            [f"rule `{rule.id}` of feed `{feed}` has `mostly`; a month has one row" for rule in rules if rule.tolerance]
        )
        return sorted(rules, key=lambda rule: _GRAVITY[rule.severity])

    def run(self, rules: Iterable[Rule], frame: pd.DataFrame, as_of_end: datetime) -> Findings:
        """Run rules over a frame, each suite once.

        `as_of_end` is the first instant after the day of the export, in UTC, which suites call `as_of_end`.
        Raises `DefinitionError` when a rule names a column that is not there or cannot be evaluated.
        """
        chosen = list(rules)
        _refuse(
            [
                f"rule `{rule.id}` of suite `{rule.suite}` names column `{column}`{nearest(column, map(str, frame))}"
                for rule in chosen
                for column in rule.columns
                if column not in frame
            ]
        )
        findings = Findings({}, set())
        for suite in dict.fromkeys(rule.suite for rule in chosen):
            columns = dict.fromkeys(column for rule in chosen if rule.suite == suite for column in rule.columns)
            self._run_suite(suite, frame[list(columns)].reset_index(drop=True), as_of_end, findings)
        return findings

    def _run_suite(self, suite: str, frame: pd.DataFrame, as_of_end: datetime, findings: Findings) -> None:
        frames = self._context.data_sources.get("frames").get_asset("rows").get_batch_definition("all")
        with _quiet():
            result = frames.get_batch({"dataframe": frame}).validate(
                self._context.suites.get(suite),
                result_format=_RESULT_FORMAT,
                expectation_parameters={"as_of_end": as_of_end},
            )
        for item in result.results:
            rule = item.expectation_config.meta["rule"]
            if not item.success:
                findings.failed.add(rule)
            if "unexpected_index_list" in item.result:
                findings.rows[rule] = item.result["unexpected_index_list"]
            elif "observed_value" not in item.result:
                # The library's own message may quote cells.
                _refuse([f"rule `{rule}` of suite `{suite}` cannot be evaluated on its columns"])


def _great_expectations() -> Any:
    """Import the library, which costs seconds, hence here; it reads the variable while it is imported."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with _quiet():
        import great_expectations as gx
    return gx


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings, mostly of calls that pandas is about to drop: they concern the library, not its users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _misplaced(project: Project, names: list[str]) -> Iterable[tuple[str, str]]:
    """Yield suites that no table and no feed would ever use, and tables without a suite."""
    datasets = [path.stem for path in sorted(project.datasets.glob("*.yml"))]
    feeds = [feed.id for dataset in datasets for feed in load_dataset(project, dataset).feeds]
    known = {"feed", *(f"feed_{feed}" for feed in feeds), *TABLES}
    known |= {f"{table}_{dataset}" for table in TABLES for dataset in datasets}
    for name in names:
        if name not in known:
            yield name, f"belongs to no table and no feed{nearest(name, known)}"
    for name in ("feed", *TABLES):
        if name not in names:
            yield name, "is missing"


def _read_suite(context: Any, path: Path) -> tuple[list[Rule], list[str]]:
    """Return a suite's rules and what is wrong with it."""
    name = path.stem
    try:
        stored = len(json.loads(path.read_text(encoding="utf-8"))["expectations"])
        with _quiet():
            expectations = context.suites.get(name).expectations
    except Exception as error:  # noqa: BLE001 - the library and its parts raise errors of many families
        return [], [f"suite `{name}` cannot be read ({' '.join(str(error).split())[:200]})"]
    rules, problems = [], []
    if len(expectations) < stored:
        # The library skips what it does not understand and only logs it, which would switch a rule off.
        problems.append(
            f"suite `{name}` holds {stored - len(expectations)} expectation(s) of unknown type or arguments"
        )
    for number, expectation in enumerate(expectations, 1):
        wrong = list(_problems(expectation))
        problems += [f"suite `{name}`, rule {number}: {problem}" for problem in wrong]
        if not wrong:
            rules.append(_read_rule(name, expectation))
    problems += [f"suite `{name}`: rule `{rule}` stands twice" for rule in sorted(_twice(rule.id for rule in rules))]
    return rules, problems


def _problems(expectation: Any) -> Iterable[str]:
    meta = expectation.meta or {}
    if not isinstance(meta.get("rule"), str):
        yield "`meta` needs the rule's id under `rule`"
    if extra := sorted(set(meta) - {"rule", "footnote"}):
        yield f"`meta` holds `{extra[0]}`{nearest(extra[0], ['rule', 'footnote'])}"
    if not isinstance(expectation.notes, str):
        yield "`notes` needs the reason, one sentence"
    if _kind(expectation) is None:
        yield f"`{expectation.expectation_type}` judges neither one column, nor two, nor the number of rows"
    if getattr(expectation, "row_condition", None) is not None:
        yield "`row_condition` is not supported; rows with empty cells are left out already"
    if getattr(expectation, "mostly", 1) != 1 and expectation.severity.value != "critical":
        yield "`mostly` is the tolerance of a critical rule; other rules have none"


def _kind(expectation: Any) -> tuple[str, ...] | None:
    """Return the fields that name an expectation's columns; `None` when it judges anything but rows."""
    from great_expectations.expectations.core.expect_table_row_count_to_be_between import (
        ExpectTableRowCountToBeBetween,
    )
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
    )

    if isinstance(expectation, ColumnMapExpectation):
        return ("column",)
    if isinstance(expectation, ColumnPairMapExpectation):
        return ("column_A", "column_B")
    return () if isinstance(expectation, ExpectTableRowCountToBeBetween) else None


def _read_rule(suite: str, expectation: Any) -> Rule:
    return Rule(
        suite=suite,
        id=expectation.meta["rule"],
        severity=cast(Severity, expectation.severity.value),
        reason=expectation.notes,
        footnote=expectation.meta.get("footnote", ""),
        tolerance=1 - float(getattr(expectation, "mostly", 1)),
        columns=tuple(getattr(expectation, field) for field in _kind(expectation) or ()),
        checks_nulls=expectation.expectation_type
        in {"expect_column_values_to_not_be_null", "expect_column_values_to_be_null"},
        least=_number(getattr(expectation, "min_value", None)),
        most=_number(getattr(expectation, "max_value", None)),
    )


def _number(bound: object) -> float | None:
    return float(bound) if isinstance(bound, int | float) else None


def _twice(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def _refuse(problems: list[str]) -> None:
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected="suites as described in expectations/README.md",
            do="correct the suite in expectations/suites/",
        )
