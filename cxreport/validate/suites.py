"""Great Expectations at arm's length: opens `expectations/`, reads its rules, runs a suite over a frame.

A rule is one expectation of a suite. Its `severity` says how grave a break is, its `notes` why the rule stands, and
its `meta` holds the rule's id and, for readers, the past-tense phrase of a footnote. `mostly` of a critical rule is
its tolerance. Rules judge one or two columns of a row. The rows of a profile (`PROFILES`) are what was delivered:
a file, a month of a feed, a month of a question and so on.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxreport.config import Project, load_dataset
from cxreport.errors import DefinitionError, nearest
from cxreport.schema import TABLES
from cxreport.validate.verdict import Page, Severity

GRAVITY: dict[Severity, int] = {"critical": 0, "warning": 1, "info": 2}
# What profiles measure, one suite each; `feed` is the first, and every project has them all.
PROFILES = ("feed", "files", "months", "questions", "numbers", "levels")
_META = frozenset({"rule", "footnote", "page", "sets_aside"})
_COUNTED = {
    "result_format": "BASIC",
    "exclude_unexpected_values": True,  # without the raw bad values
    "partial_unexpected_count": 0,
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
}
EARLIEST = datetime(2000, 1, 2, tzinfo=UTC)  # what is dated before is the day zero of some program


@dataclass(frozen=True)
class Rule:
    """One expectation of a suite.

    Attributes
    ----------
    tolerance
        Largest share (0-1) of checked rows that may break a critical rule before the period stops.
    columns
        The one or two columns it looks at.
    checks_nulls
        Whether empty cells are judged; other rules ignore a row with an empty cell.
    least, most
        Bounds of a rule on a range, as far as it has any.
    sets_aside
        Whether a row that breaks it is rejected without a footnote, and judged by no other rule.
    page
        The page of the report that it concerns.
    expectation
        What Great Expectations evaluates.
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
    sets_aside: bool = False
    page: Page = "method"
    expectation: Any = field(default=None, repr=False, compare=False)

    @cached_property
    def meaning(self) -> str:
        """What it evaluates, the same for rules that differ in severity or words only."""
        configuration = self.expectation.configuration
        return json.dumps([configuration.type, configuration.kwargs], sort_keys=True, default=str)

    @property
    def rejects(self) -> bool:
        """Whether a row that breaks the rule is rejected."""
        return self.severity != "info" or self.sets_aside

    def checked(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which rows the rule judges."""
        filled = [] if self.checks_nulls else [frame[column].notna().to_numpy() for column in self.columns]
        return np.asarray(np.logical_and.reduce([np.ones(len(frame), dtype=np.bool_), *filled]))


Positions = npt.NDArray[np.int64]


class Suites:
    """The suites of a project, opened for one dataset."""

    def __init__(self, context: Any, rules: dict[str, list[Rule]], dataset: str, *, documented: bool) -> None:
        self._context, self._rules, self._dataset, self._documented = context, rules, dataset, documented
        self.results: dict[str, Any] = {}  # of Great Expectations, by what was judged; only where documented

    @classmethod
    def open(cls, project: Project, dataset: str, *, documented: bool = False) -> Self:
        """Open the folder as Great Expectations does, reading only; where documented, `results` are kept.

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
        return cls(context, rules, dataset, documented=documented)

    def of_table(self, table: str) -> list[Rule]:
        """Return the rules on rows of a table, most severe first, then in the order of the suites."""
        names = [name for name in (table, f"{table}_{self._dataset}") if name in self._rules]
        rules = [rule for name in names for rule in self._rules[name]]
        ids = [rule.id for rule in rules]
        _refuse([f"rule `{rule}` stands twice in the suites of `{table}`" for rule in sorted(_twice(ids))])
        return sorted(rules, key=lambda rule: GRAVITY[rule.severity])

    def of_feed(self, feed: str, profile: str = "feed") -> list[Rule]:
        """Return the rules on what a profile measures of a feed: those of the feed's own suite, else of everybody's."""
        own = f"{profile}_{feed}"
        rules = self._rules[own if own in self._rules else profile]
        _refuse([f"rule `{rule.id}` of feed `{feed}` compares columns" for rule in rules if len(rule.columns) > 1])
        _refuse(
            [
                f"rule `{rule.id}` of feed `{feed}` has `mostly`; a profile has single rows"
                for rule in rules
                if rule.tolerance
            ]
        )
        return sorted(rules, key=lambda rule: GRAVITY[rule.severity])

    def run(self, rules: Iterable[Rule], frame: pd.DataFrame, as_of_end: datetime, judged: str = "") -> list[Positions]:
        """Return the positions of the rows that break each rule, in the order of the rules.

        `as_of_end` is the first instant after the day of the export, in UTC, which suites call `as_of_end`; the first
        possible one they call `earliest`. Rules that say the same are evaluated once. Where Data Docs are wanted,
        `results` keeps what Great Expectations says of what is `judged`.
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
        parameters = {"as_of_end": as_of_end, "earliest": EARLIEST}
        alike = {rule.meaning: rule for rule in reversed(chosen)}
        with _quiet():
            broken = _broken(alike, frame, parameters)
            if self._documented:
                self.results[judged] = self._validate(alike.values(), frame, parameters)
        return [broken[rule.meaning] for rule in chosen]

    def _validate(self, rules: Iterable[Rule], frame: pd.DataFrame, parameters: dict[str, datetime]) -> Any:
        """Return the library's own result: its counts and pages, which cost many times what the rules do."""
        gx = _great_expectations()
        frames = self._context.data_sources.get("frames").get_asset("rows").get_batch_definition("all")
        suite = gx.ExpectationSuite(name="rules", expectations=[_unsaved(rule.expectation) for rule in rules])
        columns = list(dict.fromkeys(column for rule in rules for column in rule.columns))
        return frames.get_batch({"dataframe": frame[columns]}).validate(
            suite, result_format=_COUNTED, expectation_parameters=parameters
        )


def _broken(rules: Mapping[str, Rule], frame: pd.DataFrame, parameters: dict[str, datetime]) -> dict[str, Positions]:
    """Return the positions of the rows that break each rule.

    Great Expectations is asked for its condition of each rule, row by row, and not for its report on it: that takes a
    tenth of the time. It copies the rows of a frame that a rule looks at, so each rule gets a frame of its columns.
    """
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
    from great_expectations.validator.metrics_calculator import MetricsCalculator

    chosen = {_batch(rule): list(rule.columns) for rule in rules.values()}
    rows = frame.reset_index(drop=True)
    engine = PandasExecutionEngine(batch_data_dict={batch: rows[columns] for batch, columns in chosen.items()})
    conditions = {meaning: _condition(rule, parameters) for meaning, rule in rules.items()}
    calculator = MetricsCalculator(engine, show_progress_bars=False)
    found, _ = calculator.resolve_validation_graph(calculator.build_metric_dependency_graph(list(conditions.values())))
    # The library's own message may quote cells.
    _refuse(
        [
            f"rule `{rules[meaning].id}` of suite `{rules[meaning].suite}` cannot be evaluated on its columns"
            for meaning, condition in conditions.items()
            if condition.id not in found
        ]
    )
    return {meaning: _positions(found[condition.id][0]) for meaning, condition in conditions.items()}


def _condition(rule: Rule, parameters: dict[str, datetime]) -> Any:
    """Return the metric that says of each row whether it breaks a rule."""
    from great_expectations.expectations.registry import get_metric_kwargs
    from great_expectations.validator.metric_configuration import MetricConfiguration

    configuration = rule.expectation.configuration
    configuration.process_suite_parameters(parameters)
    name = f"{rule.expectation.map_metric}.condition"
    arguments = get_metric_kwargs(name, configuration)
    domain = arguments["metric_domain_kwargs"] | {"batch_id": _batch(rule)}
    return MetricConfiguration(name, domain, arguments["metric_value_kwargs"])


def _batch(rule: Rule) -> str:
    return json.dumps(rule.columns)


def _positions(breaks: pd.Series) -> Positions:
    """Return where a condition holds; rows that a rule ignores are not among its rows."""
    return np.asarray(breaks.index[breaks.to_numpy(dtype="bool")], dtype=np.int64)


def _unsaved(expectation: Any) -> Any:
    """Return a copy without the id of its suite, which the library does not let into another one."""
    return type(expectation)(**expectation.dict(exclude={"id", "rendered_content"}))


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
    known = {*PROFILES, *(f"{profile}_{feed}" for profile in PROFILES for feed in feeds), *TABLES}
    known |= {f"{table}_{dataset}" for table in TABLES for dataset in datasets}
    for name in names:
        if name not in known:
            yield name, f"belongs to no table and no feed{nearest(name, known)}"
    for name in (*PROFILES, *TABLES):
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
    if extra := sorted(set(meta) - _META):
        yield f"`meta` holds `{extra[0]}`{nearest(extra[0], _META)}"
    if meta.get("sets_aside") and expectation.severity.value != "info":
        yield "`sets_aside` is for rules of severity `info`; others reject rows anyway"
    if (page := meta.get("page", "method")) not in get_args(Page):
        yield f"`page` is `{page}`{nearest(str(page), get_args(Page))}"
    if not isinstance(expectation.notes, str):
        yield "`notes` needs the reason, one sentence"
    if _kind(expectation) is None:
        yield f"`{expectation.expectation_type}` judges neither one column nor two, row by row"
    if getattr(expectation, "row_condition", None) is not None:
        yield "`row_condition` is not supported; rows with empty cells are left out already"
    if getattr(expectation, "mostly", 1) != 1 and expectation.severity.value != "critical":
        yield "`mostly` is the tolerance of a critical rule; other rules have none"


def _kind(expectation: Any) -> tuple[str, ...] | None:
    """Return the fields that name an expectation's columns; `None` when it judges anything but rows."""
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
    )

    if isinstance(expectation, ColumnMapExpectation):
        return ("column",)
    if isinstance(expectation, ColumnPairMapExpectation):
        return ("column_A", "column_B")
    return None


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
        sets_aside=expectation.meta.get("sets_aside", False) is True,
        page=expectation.meta.get("page", "method"),
        expectation=expectation,
    )


def _number(bound: object) -> float | None:
    return float(bound) if isinstance(bound, int | float) else None


def _twice(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def _refuse(problems: list[str]) -> None:
    if problems:
        raise DefinitionError(
            found="; ".join(dict.fromkeys(problems)),
            expected="suites as described in expectations/README.md",
            do="correct the suite in expectations/suites/",
        )
