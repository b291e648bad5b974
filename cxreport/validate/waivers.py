"""Waivers: reviewed, dated decisions to take one rule less seriously in one month, or in one week."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, Self

from pydantic import model_validator

from cxreport.config import Dataset, Definition, Project, load_yaml
from cxreport.errors import DefinitionError, nearest
from cxreport.periods import Period
from cxreport.schema import TABLES, TableName
from cxreport.validate.suites import GRAVITY, PROFILES, Rule, Suites

FOLDER = "waivers"


class Waiver(Definition):
    """One rule, of one feed or table, that counts for less in one month; weekly reports need one for their week."""

    rule: str
    feed: str | None = None
    table: TableName | None = None
    period: str
    downgrade_to: Literal["warning", "info"]
    reason: str
    by: str
    reviewed: date
    until: date  # the last day of an export that it applies to

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if (self.feed is None) == (self.table is None):
            raise ValueError("a waiver names either a `feed` or a `table`")
        if Period.parse(self.period).kind not in {"month", "week"}:
            raise ValueError(f"`period` is `{self.period}`, not a month such as `2026-09`, or a week")
        if self.until < self.reviewed:
            raise ValueError("`until` lies before `reviewed`")
        return self

    @property
    def scope(self) -> str:
        """What it is about, in words."""
        return f"the feed {self.feed}" if self.feed else str(self.table)

    def applied_to(self, rule: Rule) -> Rule:
        """Return the rule as it counts with the waiver; never graver than it is."""
        return replace(rule, severity=max(rule.severity, self.downgrade_to, key=GRAVITY.__getitem__))


class _WaiverFile(Definition):
    waivers: list[Waiver]


@dataclass(frozen=True)
class Waivers:
    """The waivers of a dataset, seen from the day of the export."""

    every: tuple[Waiver, ...]
    as_of: date

    @classmethod
    def open(cls, project: Project, dataset: Dataset, suites: Suites, as_of: date) -> Self:
        """Read `expectations/waivers/<dataset>.yml`, which need not exist.

        Raises `DefinitionError` with every unknown feed and rule, and for two waivers of one rule.
        """
        path = project.expectations / FOLDER / f"{dataset.id}.yml"
        every = load_yaml(path, _WaiverFile, project).waivers if path.is_file() else []
        problems = [problem for waiver in every if (problem := _problem(waiver, dataset, suites))]
        places = [(waiver.rule, waiver.feed, waiver.table, waiver.period) for waiver in every]
        problems += [
            f"rule `{place[0]}` is waived twice in {place[3]}"
            for place in dict.fromkeys(places)
            if places.count(place) > 1
        ]
        if problems:
            raise DefinitionError(
                found="; ".join(problems),
                expected="waivers as described in expectations/README.md",
                do=f"correct expectations/{FOLDER}/{dataset.id}.yml",
            )
        return cls(tuple(every), as_of)

    def has_expired(self, waiver: Waiver) -> bool:
        """Whether a waiver no longer applies."""
        return waiver.until < self.as_of

    def waiver(self, rule: str, period: Period, *, feed: str | None = None, table: str | None = None) -> Waiver | None:
        """Return the waiver that applies to a rule of a feed or table in a month."""
        for waiver in self.every:
            same = (waiver.rule, waiver.feed, waiver.table) == (rule, feed, table) and waiver.period == period.id
            if same and not self.has_expired(waiver):
                return waiver
        return None


def _problem(waiver: Waiver, dataset: Dataset, suites: Suites) -> str | None:
    feeds = [feed.id for feed in dataset.feeds]
    if waiver.feed is not None and waiver.feed not in feeds:
        return f"a waiver names the feed `{waiver.feed}`{nearest(waiver.feed, feeds)}"
    rules = (
        [rule.id for rule in suites.of_table(waiver.table)]
        if waiver.table in TABLES
        else [rule.id for profile in PROFILES for rule in suites.of_feed(str(waiver.feed), profile)]
    )
    return (
        None
        if waiver.rule in rules
        else f"a waiver names the rule `{waiver.rule}` of {waiver.scope}{nearest(waiver.rule, rules)}"
    )
