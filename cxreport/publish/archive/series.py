"""The issues of one report in order of time, with the periods that have none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from cxreport.config import Project
from cxreport.errors import DefinitionError
from cxreport.periods import Period
from cxreport.present.words import ENGLISH, Words
from cxreport.publish.archive.issues import Failure, Issue, read_failures, read_issues


@dataclass(frozen=True)
class Slot:
    """One period of a report: its issue, the run that failed last, both, or neither."""

    period: Period
    issue: Issue | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Series:
    """One report with all its periods.

    Attributes
    ----------
    words
        Of the newest issue's language, or of the failed run's where there is no issue.
    slots
        Newest first: each period between the first and the newest issue of a kind, and those whose last run failed.
    """

    report: str
    title: str
    organisation: str
    words: Words
    slots: Sequence[Slot]

    @property
    def issues(self) -> list[Issue]:
        """Its issues, newest first."""
        return [slot.issue for slot in self.slots if slot.issue]

    @cached_property
    def newest(self) -> Issue | None:
        """The issue that `latest.html` leads to."""
        return next(iter(self.issues), None)

    @property
    def is_behind(self) -> Slot | None:
        """The newest period when its last run failed; `None` when the newest issue is what was wanted."""
        first = self.slots[0]
        return first if first.failure else None

    def before(self, period: Period) -> Issue | None:
        """Return the last issue of an earlier period of that kind."""
        return next((each for each in self._like(period) if each.period < period), None)

    def after(self, period: Period) -> Issue | None:
        """Return the first issue of a later period of that kind."""
        return next((each for each in reversed(self._like(period)) if each.period > period), None)

    def _like(self, period: Period) -> list[Issue]:
        return [issue for issue in self.issues if issue.period.kind == period.kind]


def read_series(project: Project) -> list[Series]:
    """Return the reports that have an issue or a failed run, by id."""
    languages = _Languages(project)
    issues = {report: list(group) for report, group in groupby(read_issues(project.output), lambda each: each.report)}
    failures: dict[str, list[Failure]] = {}
    for failure in read_failures(project):
        failures.setdefault(failure.report, []).append(failure)
    return [
        _series(report, issues.get(report, []), failures.get(report, []), languages)
        for report in sorted(issues.keys() | failures.keys())
    ]


def _series(report: str, issues: list[Issue], failures: list[Failure], languages: "_Languages") -> Series:
    known = issues[0] if issues else max(failures, key=lambda each: each.period)
    words = languages[known.language]
    own = issues[0].everybody.summary.title if issues else ""
    return Series(report, own or words.text(known.title), known.organisation, words, list(_slots(issues, failures)))


def _slots(issues: Iterable[Issue], failures: Iterable[Failure]) -> Iterator[Slot]:
    published = {issue.period: issue for issue in issues}
    failed = {failure.period: failure for failure in failures}
    for period in sorted({*published, *failed, *_between(published)}, reverse=True):
        yield Slot(period, published.get(period), failed.get(period))


def _between(published: Mapping[Period, Issue]) -> Iterator[Period]:
    """Yield all periods from the first to the newest issue of each kind."""
    for kind in {period.kind for period in published}:
        periods = [period for period in published if period.kind == kind]
        period = min(periods)
        while period < max(periods):
            yield period
            period = period.shift(1)


class _Languages(dict[str, Words]):
    """Language to words; English for one that is not known here, or no longer."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def __missing__(self, language: str) -> Words:
        try:
            words = Words.open(self.project, language)
        except DefinitionError:
            words = Words.open(self.project, ENGLISH)
        self[language] = words
        return words
