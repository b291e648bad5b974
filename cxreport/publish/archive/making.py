"""What differs between two issues in what they were made from and with, by their records."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from cxreport.present.words import Words
from cxreport.publish.archive.issues import Issue

_KPIS = PurePosixPath("reports/kpis")
# Where definitions lie, and what readers call them; the first that fits counts. Earlier issues are not among them.
_PARTS = {
    "reports/definitions": "report",
    "reports/audiences": "report",
    "reports/datasets/mappings": "mappings",
    "reports/datasets": "dataset",
    "reports/segments.yml": "segments",
    "reports/theme": "theme",
    "reports/_quarto.yml": "theme",
    "reports/engine.yml": "software",
    "reports/wording": "wording",
    "data/reference": "benchmarks",
    "expectations": "checks",
    "notebooks": "notebooks",
    "requirements": "software",
}


def differences(before: Issue, now: Issue, words: Words) -> list[str]:
    """Return what a reader who compares two issues should know of their making, a sentence each; plain text."""
    return [*_kpis(before, now, words), *_definitions(before, now, words), *_feeds(before, now, words)]


def _kpis(before: Issue, now: Issue, words: Words) -> Iterator[str]:
    old, new = (_hashes(issue, kpis=True) for issue in (before, now))
    titles = before.everybody.summary.kpis | now.everybody.summary.kpis
    for key, ids in (
        ("added", new.keys() - old.keys()),
        ("removed", old.keys() - new.keys()),
        ("changed", _changed(old, new)),
    ):
        if ids:
            names = words.joined([titles.get(each, each) for each in sorted(ids)])
            yield words(f"archive.made.kpis_{key}", kpis=names)


def _definitions(before: Issue, now: Issue, words: Words) -> Iterator[str]:
    """Name the kinds of other definitions of which one was added, removed or changed."""
    old, new = (_hashes(issue, kpis=False) for issue in (before, now))
    paths = {*(old.keys() ^ new.keys()), *_changed(old, new)}
    parts = {part for path in paths if (part := _part(path))}
    if _software(before) != _software(now):
        parts.add("software")
    if parts:
        named = [words(f"archive.made.part.{part}") for part in dict.fromkeys(_PARTS.values()) if part in parts]
        yield words("archive.made.definitions", parts=words.joined(named))


def _feeds(before: Issue, now: Issue, words: Words) -> Iterator[str]:
    """Say how many files that both issues read are no longer the same."""
    if count := len(_changed(before.told("inputs", "feeds"), now.told("inputs", "feeds"))):
        yield words("archive.made.feeds", count)


def _hashes(issue: Issue, *, kpis: bool) -> dict[str, str]:
    """Return the definitions of an issue: those of its KPIs by id, or all others by path."""
    found = {PurePosixPath(path): str(digest) for path, digest in issue.told("inputs", "definitions").items()}
    if kpis:
        return {path.stem: digest for path, digest in found.items() if path.parent == _KPIS}
    return {str(path): digest for path, digest in found.items() if path.parent != _KPIS}


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [name for name in old if name in new and old[name] != new[name]]


def _part(path: str) -> str:
    return next((part for place, part in _PARTS.items() if PurePosixPath(path).is_relative_to(place)), "")


def _software(issue: Issue) -> tuple[object, object]:
    return issue.told("software").get("cxreport"), issue.told("software", "renderer").get("name")
