"""Write the pages of the archive from what was published and what failed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cxreport.config import Project, load_site
from cxreport.errors import UsageError
from cxreport.periods import Period
from cxreport.present.words import ENGLISH, Words
from cxreport.publish import atomic
from cxreport.publish.archive import feed, files, frame, index_page, issue_page
from cxreport.publish.archive.series import Series, read_series
from cxreport.publish.brand import Brand


def write_site(project: Project) -> Path:
    """Write all pages and the feed, each in one step, and return the first page; the same packs give the same bytes.

    Pages of periods that are neither published nor between two that are go. Raises `DefinitionError` for a wrong
    brand, setting or wording, and `OSError` when the disk refuses.
    """
    address = load_site(project).address
    shell = frame.Frame(project, Brand.of(project))
    reports = read_series(project)
    words = _common(project, reports)
    pages = {project.output / files.FEED: feed.write(reports, words, address)}
    for series in reports:
        pages |= _report(project.output / series.report, series, shell)
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, text)
    index = project.output / files.INDEX
    atomic.write_text(index, index_page.write(shell, reports, words))
    _remove(path for path in project.output.glob("[!.]*/[!.]*.html") if path not in pages)
    return index


def _report(folder: Path, series: Series, shell: frame.Frame) -> dict[Path, str]:
    """Return the pages of one report by path."""
    pages = {folder / f"{slot.period.id}.html": issue_page.write(shell, series, slot) for slot in series.slots}
    if series.newest:
        pages[folder / files.LATEST] = issue_page.latest(shell, series, series.newest)
    return pages


def _common(project: Project, reports: Sequence[Series]) -> Words:
    """Return the words of the language that all reports share, or else English."""
    shared = {series.words.language: series.words for series in reports}
    return next(iter(shared.values())) if len(shared) == 1 else Words.open(project, ENGLISH)


def _remove(paths: Iterable[Path]) -> None:
    """Remove pages of the archive whose issue is no longer there; whatever else lies beside them stays."""
    for path in paths:
        if _is_ours(path.name) and frame.MARK in path.read_text(encoding="utf-8", errors="replace"):
            path.unlink()


def _is_ours(name: str) -> bool:
    try:
        Period.parse(name.removesuffix(".html"))
    except UsageError:
        return name == files.LATEST
    return True
