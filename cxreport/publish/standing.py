"""Whether an issue that stands in the archive is what a run would make, so that the run has nothing to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from cxreport.config import Dataset, Project, Report
from cxreport.periods import Period
from cxreport.publish import inputs
from cxreport.publish.cache import Cache, Digests, digest_of, digests

_ISSUE, _NEWEST = "issue", "newest"


@dataclass(frozen=True)
class Standing:
    """What is kept of the runs of a report with a renderer and parameters; nothing counts where a run is forced."""

    project: Project
    report: Report
    dataset: Dataset
    renderer: str
    parameters: Mapping[str, str]
    forced: bool = False

    @cached_property
    def software(self) -> Digests:
        """What stands for the code."""
        return inputs.software(self.project)

    @cached_property
    def delivered(self) -> Digests:
        """What the staged tables follow from, as it was when first asked for: all delivered files are read for it."""
        files = digests(inputs.dataset_files(self.project, self.dataset), self.project.root)
        return inputs.delivered(self.project, self.dataset) | files | self.software

    def cache(self, *parts: str) -> Cache:
        """Return the cache in a folder of the project's."""
        return Cache(self.project.cache.joinpath(*parts), self.project.root, self.forced)

    def failed(self, period: Period) -> Path:
        """Return the folder of what a run of a period left that published nothing."""
        return self.project.failed / self.report.id / period.id

    def find(self, period: Period | None, as_of: date) -> Path | None:
        """Return the folder of the issue that a run would make again as it is; none where there is no such issue.

        `period` is `None` for the newest one.
        """
        chosen = period or self._newest(as_of)
        if chosen is None or self._of(chosen).reasons(_ISSUE, self._made_from(chosen, as_of)):
            return None
        return self.project.published(self.report.id, chosen)

    def note(self, period: Period, as_of: date) -> None:
        """Remember what an issue was made from and which files it has."""
        files = self.project.published(self.report.id, period).rglob("*")
        self._of(period).keep(_ISSUE, self._made_from(period, as_of), placed=files)

    def note_newest(self, period: Period, as_of: date) -> None:
        """Remember which period was the newest one."""
        cache = self.cache(self.report.id)
        for earlier in cache.folder.glob(f"{_NEWEST}-*.json"):
            earlier.unlink()
        cache.keep(f"{_NEWEST}-{period.id}", self._asked(as_of))

    def _newest(self, as_of: date) -> Period | None:
        cache = self.cache(self.report.id)
        names = [path.stem.removeprefix(f"{_NEWEST}-") for path in cache.folder.glob(f"{_NEWEST}-*.json")]
        found = [name for name in names if not cache.reasons(f"{_NEWEST}-{name}", self._asked(as_of))]
        return Period.parse(found[0]) if found else None

    def _of(self, period: Period) -> Cache:
        return self.cache(self.report.id, period.id)

    def _asked(self, as_of: date) -> Digests:
        return self.delivered | {"as of": as_of.isoformat(), "period": self.report.period_kind}

    def _made_from(self, period: Period, as_of: date) -> Digests:
        files = [
            *inputs.definitions(self.project, self.report, self.dataset),
            *inputs.all_kpis(self.project),
            *inputs.issued(self.project, self.report, self.dataset, period),
        ]
        told = {"parameters": digest_of(dict(self.parameters)), "renderer": self.renderer}
        accounts = inputs.accounts(self.project, self.report, period)
        return digests(files, self.project.root) | accounts | self._asked(as_of) | told
