"""Replay an issue from its account in a folder of its own, and say whether the same bytes come out, or why not."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from cxreport.config import (
    AUDIENCE_FILE,
    ESTIMATES_FILE,
    FIRST_FILE,
    RECORD_FILE,
    VERDICT_FILE,
    Dataset,
    Project,
    Report,
    load_dataset,
    load_report,
)
from cxreport.errors import CxError, UsageError
from cxreport.publish import inputs, manifest, render
from cxreport.publish.archive import Issue
from cxreport.publish.cache import digest, digests, link
from cxreport.publish.progress import Tell
from cxreport.publish.run import RESERVED, run
from cxreport.scratch import scratch
from cxreport.validate.verdict import Verdict

# In this order: what comes first explains what comes later.
Cause = Literal["input", "definition", "version", "clock", "renderer", "edited", "unexplained"]
_COMPARED = {".html", ".pdf", ".pptx", ".xlsx", ".parquet", ".csv"}
_ISSUES = "reports/output/"
_LOCK = "requirements/"
_MADE = ("data/staged", "data/accepted", "data/rejected", "data/measured", "data/cache")
_COPIED = ("reports", "notebooks", "expectations", "requirements", "data/reference")


@dataclass(frozen=True)
class Finding:
    """Something that differs: a file of the issue, or what it was made from; with the cause and what it is seen by."""

    name: str
    cause: Cause
    detail: str = ""


def verify(project: Project, issue: Issue, tell: Tell, *, jobs: int = 1) -> list[Finding]:
    """Compare an issue with what its account makes; nothing is found where every byte is the same.

    Where delivered files, earlier issues or definitions are no longer as they were, these are named and nothing is
    replayed. The issue itself is never touched. Pages, print, slides, workbooks and tables are compared.

    Raises whatever a run raises.
    """
    found = [*_edited(issue), *_gone(project, issue)]
    causes = list(_others(project, issue))
    if any(each.cause != "edited" for each in found) or any(not _can_render(each) for each in causes):
        return found + causes
    first = next(iter(causes), Finding("", "unexplained", "nothing that the account tells is another today"))
    tell(f"Replaying {issue.report}/{issue.period}")
    with scratch() as place:
        made = _replay(project, issue, place, tell, jobs)
    recorded = _compared(issue.told("outputs"))
    differing = sorted(name for name in recorded.keys() | made.keys() if recorded.get(name) != made.get(name))
    return found + [Finding(name, first.cause, first.detail or first.name) for name in differing]


# --- what is no longer as it was -------------------------------------------------------------------


def _edited(issue: Issue) -> Iterator[Finding]:
    """Yield the published files that are not what the run made."""
    there = digests(issue.folder.rglob("*"), issue.folder)
    for name, known in sorted(issue.told("outputs").items()):
        if there.get(name) != known:
            yield Finding(name, "edited", "changed since it was published" if name in there else "gone")


def _gone(project: Project, issue: Issue) -> Iterator[Finding]:
    """Yield the inputs, then the definitions, that are gone, new or have changed.

    Raises what loading definitions raises, unless those that are gone or have changed tell why.
    """
    recorded: dict[str, str] = issue.told("inputs", "definitions")
    told = {name: known for name, known in recorded.items() if name.startswith(_ISSUES)}
    own = {name: known for name, known in recorded.items() if name not in told and not name.startswith(_LOCK)}
    there = digests([project.root / name for name in recorded], project.root)
    try:
        report = load_report(project, issue.report)
        dataset = load_dataset(project, str(issue.record["dataset"]))
        there |= digests(inputs.definitions(project, report, dataset), project.root)
    except CxError:
        changed = list(_changed("definition", own, there, news=False))
        if not changed:
            raise
        yield from changed
        return
    yield from _feeds(project, dataset, issue.told("inputs", "feeds"))
    accounts = inputs.accounts(project, report, issue.period)
    yield from _changed("input", told | issue.told("inputs", "accounts"), there | accounts, news=False)
    now = {name: known for name, known in there.items() if name not in told and not name.startswith(_LOCK)}
    yield from _changed("definition", own, now, news=True)


def _feeds(project: Project, dataset: Dataset, recorded: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the delivered files that are gone or others, and the feeds that have further ones; by what is in them."""
    raw = project.root / dataset.raw
    for feed in dataset.feeds:
        known = {name: told for name, told in recorded.items() if name.partition("/")[0] == feed.id}
        there = [digest(path) for path in raw.glob(feed.files) if path.is_file()]
        for name, told in sorted(known.items()):
            if told not in there:
                yield Finding(name, "input", "gone or changed")
        if len(there) > len(known):
            yield Finding(feed.id, "input", f"delivered files: {len(known)}, now {len(there)}")


def _changed(cause: Cause, known: Mapping[str, str], now: Mapping[str, str], *, news: bool) -> Iterator[Finding]:
    for name in sorted(known.keys() | now.keys() if news else known):
        if name not in now:
            yield Finding(name, cause, "gone")
        elif known.get(name) != now[name]:
            yield Finding(name, cause, "changed" if name in known else "new")


def _others(project: Project, issue: Issue) -> Iterator[Finding]:
    """Yield what may explain other bytes, in order: versions, the lock, the clock, the renderer."""
    recorded = issue.told("software")
    now = manifest.software(project.root)
    for name in ("cxreport", "code", "python", "packages", "installed", "lock"):
        if recorded.get(name) != now[name]:
            yield Finding(name, "version", _told_apart(name, recorded.get(name), now[name]))
    days = {values["as_of"] for values in issue.told("parameters").values() if "as_of" in values}
    if days - {issue.as_of}:
        yield Finding("as_of", "clock", f"{issue.as_of}, and {', '.join(sorted(days))} in the notebooks' parameters")
    yield from _renderer(issue.told("software", "renderer"))


def _told_apart(name: str, then: object, now: object) -> str:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        apart = sorted(each for each in then.keys() | now.keys() if then.get(each) != now.get(each))
        return ", ".join(f"{each} {then.get(each)}, now {now.get(each)}" for each in apart)
    return f"{name} is another" if name in {"code", "installed", "lock"} else f"{name} {then}, now {now}"


def _renderer(recorded: Mapping[str, object]) -> Iterator[Finding]:
    name = str(recorded.get("name"))
    try:
        versions = render.choose(name).versions()
    except UsageError as missing:
        yield Finding(name, "renderer", f"not there: {missing.found}")
        return
    if versions != recorded.get("versions"):
        yield Finding(name, "renderer", f"{_told_apart(name, recorded.get('versions'), versions)}")


def _can_render(cause: Finding) -> bool:
    return not (cause.cause == "renderer" and cause.detail.startswith("not there"))


# --- the replay ------------------------------------------------------------------------------------


def _replay(project: Project, issue: Issue, scratch: Path, tell: Tell, jobs: int) -> dict[str, str]:
    """Run the report in a copy of what it was made from; returns the digests of what comes out."""
    report = load_report(project, issue.report)
    dataset = load_dataset(project, report.dataset)
    # A folder of exports that lies above the project needs as many folders above the copy.
    depth = Path(dataset.raw).parts.count("..")
    copy = Project(scratch.joinpath(*["above"] * depth, "project"))
    _copy_project(project, copy, report, dataset)
    _copy_issues(project, copy, issue)
    _copy_first(copy, issue)
    _note_late(copy, dataset, issue.told("late"))
    run(
        copy,
        load_report(copy, report.id),
        issue.period,
        as_of=date.fromisoformat(issue.as_of),
        renderer=str(issue.told("software", "renderer")["name"]),
        started=datetime.now(UTC),
        tell=tell,
        parameters=_parameters(issue),
        jobs=jobs,
    )
    folder = copy.published(issue.report, issue.period)
    return _compared(digests(folder.rglob("*"), folder))


def _copy_project(project: Project, copy: Project, report: Report, dataset: Dataset) -> None:
    """Copy what a run reads, but for what runs have made."""
    for part in _COPIED:
        if (project.root / part).is_dir():
            ignored = shutil.ignore_patterns("output" if part == "reports" else "uncommitted")
            shutil.copytree(project.root / part, copy.root / part, ignore=ignored)
    if not Path(dataset.raw).is_absolute():
        for feed in dataset.feeds:
            _link_delivered(project, copy, (project.root / dataset.raw).glob(feed.files))
    _link_delivered(project, copy, (path for pattern in report.reads for path in project.root.glob(pattern)))


def _link_delivered(project: Project, copy: Project, files: Iterator[Path]) -> None:
    """Give files their place in the copy, but those that its own run makes."""
    for file in files:
        name = file.relative_to(project.root)
        is_made = any(name.is_relative_to(place) for place in _MADE)
        if file.is_file() and not is_made and not (copy.root / name).exists():
            link(file, copy.root / name)


def _copy_issues(project: Project, copy: Project, issue: Issue) -> None:
    """Copy what earlier issues told, each with its account, as far as this one was held to it."""
    for name in (name for name in issue.told("inputs", "definitions") if name.startswith(_ISSUES)):
        file = project.root / name
        for each in (file, file.parents[1] / RECORD_FILE):
            target = copy.root / each.relative_to(project.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each, target)


def _copy_first(copy: Project, issue: Issue) -> None:
    """Put what was first issued for the period where the issue that this one replaced had it."""
    replaced = copy.published(issue.report, issue.period)
    for file in issue.folder.glob(f"[!.]*/{FIRST_FILE}"):
        pack = replaced / file.parent.name
        pack.mkdir(parents=True)
        shutil.copyfile(file, pack / ESTIMATES_FILE)
        if (described := file.with_name(AUDIENCE_FILE)).is_file():
            shutil.copyfile(described, pack / AUDIENCE_FILE)
    if replaced.is_dir():
        (replaced / RECORD_FILE).write_text(json.dumps({"first": issue.told("first")}), encoding="utf-8")


def _note_late(copy: Project, dataset: Dataset, late: Mapping[str, int]) -> None:
    """Let the checks find, as they did then, how many answers had come in late: it depends on what was there before."""
    for month, count in late.items():
        folder = copy.accepted(dataset.id) / month
        folder.mkdir(parents=True)
        told = Verdict(
            dataset=dataset.id,
            period=month,
            decision="publish",
            tables={},
            rules=[],
            gates=[],
            missing=[],
            footnotes=[],
            late=count,
        )
        (folder / VERDICT_FILE).write_text(told.to_json(), encoding="utf-8")


def _parameters(issue: Issue) -> dict[str, str]:
    """Return the parameters that the run was given, as they are typed."""
    given = issue.told("parameters").values()
    return {name: str(value) for values in given for name, value in values.items() if name not in RESERVED}


def _compared(outputs: Mapping[str, str]) -> dict[str, str]:
    return {name: known for name, known in outputs.items() if Path(name).suffix in _COMPARED}
