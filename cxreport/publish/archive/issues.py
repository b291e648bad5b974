"""Published packs, and runs that published none, as their folders tell."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from cxreport.config import AUDIENCE_FILE, EVERYBODY, RECORD_FILE, Project, Report
from cxreport.errors import GateError, UsageError, listed
from cxreport.periods import Period
from cxreport.present.words import ENGLISH
from cxreport.publish import summary
from cxreport.publish.archive.files import HTML, PDF
from cxreport.publish.summary import Summary, readable

_FAILURE = "failure.json"
Outcome = Literal["stopped", "failed"]


@dataclass(frozen=True)
class Edition:
    """The pack of everybody or of one audience within an issue.

    Attributes
    ----------
    id
        Its folder's name.
    title
        Of the audience; empty for everybody. Plain text, not yet escaped.
    """

    folder: Path
    id: str
    title: str
    summary: Summary = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder of an issue; packs of earlier versions have no summary."""
        path = folder / summary.FILE
        told = Summary.from_json(path.read_bytes()) if path.is_file() else Summary()
        return cls(folder, folder.name, told.audience or _title(folder / AUDIENCE_FILE), told)


@dataclass(frozen=True)
class Issue:
    """A published pack: its folder and what its `run.json` says of it."""

    folder: Path
    report: str
    title: str
    organisation: str
    period: Period
    as_of: str
    decision: str
    record: dict[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read `<report>/<period>/`; None when the folder is no complete issue of that report and period."""
        try:
            record: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
            period = Period.parse(folder.name)
            told = {name: readable(record[name]) for name in ("title", "organisation", "as_of", "decision")}
            is_whole = record["period"] == folder.name and record["report"] == folder.parent.name
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            return None
        is_whole = is_whole and (folder / HTML).is_file() and (folder / PDF).is_file()
        return cls(folder, folder.parent.name, period=period, record=record, **told) if is_whole else None

    @property
    def language(self) -> str:
        """The code of its language."""
        return str(self.record.get("language", ENGLISH))

    @cached_property
    def everybody(self) -> Edition:
        """The pack that is no audience's."""
        return Edition.read(self.folder / EVERYBODY)

    @cached_property
    def audiences(self) -> list[Edition]:
        """The packs of audiences, by title."""
        folders = (path.parent for path in self.folder.glob(f"[!.]*/{AUDIENCE_FILE}"))
        return sorted(map(Edition.read, folders), key=lambda each: (each.title, each.id))

    def told(self, *keys: str) -> dict[str, Any]:
        """Return a part of the record; an empty one where the record of an earlier version has none."""
        part: Any = self.record
        for key in keys:
            part = part.get(key) if isinstance(part, dict) else None
        return part if isinstance(part, dict) else {}


@dataclass(frozen=True)
class Failure:
    """A period whose last run published nothing: `stopped` by the checks of the data, or `failed`."""

    report: str
    title: str
    organisation: str
    language: str
    period: Period
    as_of: str
    outcome: Outcome

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read what `record_failure` wrote into `<report>/<period>/`; None for anything else."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            period = Period.parse(path.parent.name)
            texts = {name: readable(told[name]) for name in ("title", "organisation", "language", "as_of")}
            outcome: Outcome = "stopped" if told["outcome"] == "stopped" else "failed"
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            return None
        return cls(path.parent.parent.name, period=period, outcome=outcome, **texts)


def record_failure(folder: Path, report: Report, as_of: date, error: Exception) -> None:
    """Note beside the evidence of a run that it published nothing; not why, which may quote data."""
    told = {
        "title": report.title,
        "organisation": report.organisation,
        "language": report.language,
        "as_of": as_of.isoformat(),
        "outcome": "stopped" if isinstance(error, GateError) else "failed",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FAILURE).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_issues(output: Path) -> list[Issue]:
    """Return every issue, by report and newest first; hidden and foreign folders are ignored."""
    found = (Issue.read(folder) for folder in output.glob("[!.]*/[!.]*") if folder.is_dir())
    issues = sorted((issue for issue in found if issue), key=lambda issue: issue.period, reverse=True)
    return sorted(issues, key=lambda issue: issue.report)


def read_failures(project: Project) -> Iterator[Failure]:
    """Yield the periods whose last run published nothing."""
    for path in sorted(project.failed.glob(f"[!.]*/[!.]*/{_FAILURE}")):
        if failure := Failure.read(path):
            yield failure


def find_issue(output: Path, report: str, period: str = "") -> Issue:
    """Return the newest issue of a report, or that of a period; raises `UsageError` when there is none."""
    issues = {issue.period.id: issue for issue in read_issues(output) if issue.report == report}
    wanted = period or next(iter(issues), "")
    if wanted not in issues:
        raise UsageError(
            found=f"no published issue of `{report}`" + (f" for `{period[:20]}`" if period else ""),
            expected=f"one of {listed(issues)}" if issues else "at least one published issue",
            do="name one of these" if issues else f"publish it with `cxreport run --report {report}`",
        )
    return issues[wanted]


def _title(path: Path) -> str:
    """Return the title of an audience as its pack states it; empty for everybody."""
    try:
        return readable(json.loads(path.read_text(encoding="utf-8"))["title"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
