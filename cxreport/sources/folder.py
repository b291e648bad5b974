"""Look at a folder of exports: what each file is taken for and why, and drafts of what is needed to read it."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cxreport.config import MAPPINGS, Project
from cxreport.errors import UsageError, listed
from cxreport.sources import privacy
from cxreport.sources.adapter import Adapter
from cxreport.sources.draft import draft_dataset, draft_mapping
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, opened
from cxreport.sources.formats.glimpse import Recognised
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import FileForm, Mapping
from cxreport.sources.registry import find_adapter, try_all

_ANY_FILE = "mapped"  # reads what no other adapter knows


@dataclass(frozen=True)
class Looked:
    """What was found in a folder.

    Attributes
    ----------
    files
        One line for each file, or member of an archive.
    failed
        One line for each adapter that could not look.
    written
        The drafts, as paths.
    kept
        Files that are there already and were left as they are.
    """

    files: tuple[str, ...]
    failed: tuple[str, ...]
    written: tuple[Path, ...]
    kept: tuple[Path, ...]


@dataclass(frozen=True)
class _Seen:
    """One delivered file, or member: how it is called, and what it is taken for.

    `records` are there where one adapter takes it, and can read it; `problem` says why they are not.
    """

    path: Path
    shown: str
    adapter: str = ""
    taken: Recognised | None = None
    records: Records | None = None
    standard: Mapping | None = None
    problem: str = ""

    @property
    def needs_mapping(self) -> bool:
        if self.taken is None or not self.taken.certain or find_adapter(self.adapter).needs_mapping:
            return True
        return self.standard is None or not self.standard.tables

    def line(self) -> str:
        """Say what it is, why, and what is missing."""
        if self.problem:
            return f"{self.shown}: {self.problem}"
        what = f"`{self.adapter}`" + (f" ({self.taken.variant}): {self.taken.why}" if self.taken else "")
        if self.taken is None:
            return f"{self.shown}: no tool recognised; {what} reads it with a mapping"
        sure = "" if self.taken.certain else "; not certain, so a feed must name the adapter"
        return f"{self.shown}: {what}{sure}" + ("; needs a mapping" if self.needs_mapping else "")


def look(project: Project, folder: Path) -> Looked:
    """Recognise all files of a folder and its subfolders, and draft mappings and a dataset where there are none.

    Nothing of the files' content is written but names of columns and texts of questions. Existing files stay.
    Raises `UsageError` for no folder, or one without files.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    if not paths:
        raise UsageError(
            found="no files in the folder" if folder.is_dir() else "no such folder",
            expected="a folder with the exports of your tools, such as `data/raw`",
            do="put them there, or name another folder",
        )
    failed: dict[str, str] = {}
    seen = [one for path in paths for one in _seen(path, folder, failed)]
    written: list[Path] = []
    kept: list[Path] = []

    def write(path: Path, text: str) -> None:
        (kept if path.exists() else written).append(path)
        if path not in kept:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    feeds: list[dict[str, str]] = []
    for group in _groups(seen, folder):
        first = group[0]
        feed = {"id": _feed_id(first, feeds), "adapter": first.adapter, "files": _pattern(group, folder)}
        if first.records is not None and first.needs_mapping:
            feed["mapping"] = f"{feed['id']}.yml"
            path = project.datasets / MAPPINGS / feed["mapping"]
            write(path, draft_mapping(first.records, first.standard, first.adapter))
        feeds.append(feed)
    if feeds:
        name = _slug(folder.resolve().name) or "dataset"
        write(project.datasets / f"{name}.yml", draft_dataset(_raw(project, folder), feeds))
    return Looked(
        files=tuple(one.line() for one in seen),
        failed=tuple(f"the adapter `{name}` failed ({kind}) and was left out" for name, kind in failed.items()),
        written=tuple(written),
        kept=tuple(kept),
    )


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _seen(path: Path, folder: Path, failed: dict[str, str]) -> Iterator[_Seen]:
    shown = privacy.mask_name(path.relative_to(folder).as_posix())
    try:
        files = opened(path)
    except UnreadableFileError as error:
        yield _Seen(path, shown, problem=str(error))
        return
    for file in files:
        member = privacy.mask_name(file.name) if file.path is None else shown
        yield _taken(path, member, file, failed)


def _taken(path: Path, shown: str, file: DeliveredFile, failed: dict[str, str]) -> _Seen:
    found, broken = try_all(file)
    failed |= broken
    if len(found) > 1:
        return _Seen(path, shown, problem=f"is it for {' or '.join(map('`{}`'.format, found))}? name one in a feed")
    name, taken = next(iter(found.items()), (_ANY_FILE, None))
    adapter = find_adapter(name)
    try:
        records, standard = _read(adapter, file)
    except UnreadableFileError as error:
        what = f"looks like `{name}` ({taken.variant}), but " if taken else "no tool recognised; "
        return _Seen(path, shown, problem=f"{what}{error}")
    return _Seen(path, shown, name, taken, records, standard)


def _read(adapter: Adapter, file: DeliveredFile) -> tuple[Records, Mapping | None]:
    records = adapter.records(file, FileForm())
    return records, adapter.standard(records)


# --- feeds ---------------------------------------------------------------------------------------


def _groups(seen: Iterable[_Seen], folder: Path) -> Iterator[list[_Seen]]:
    """Yield the files that one feed can read: one folder, ending, adapter, variant and columns for all of them.

    Files whose names no pattern tells from the others are feeds of their own; an archive of several kinds is none.
    """
    of_path: dict[Path, list[_Seen]] = {}
    for one in seen:
        of_path.setdefault(one.path, []).append(one)
    groups: dict[tuple[object, ...], list[_Seen]] = {}
    for path, members in of_path.items():
        kinds = {_kind(member) for member in members}
        if len(kinds) == 1 and not members[0].problem:
            groups.setdefault((path.parent, path.suffix, *kinds), []).append(members[0])
    for group in groups.values():
        found = {Path(path) for path in glob.glob(str(folder / _pattern(group, folder)))}  # noqa: PTH207 - escaped
        if found == {one.path for one in group}:
            yield group
        else:
            yield from ([one] for one in group)


def _kind(one: _Seen) -> tuple[object, ...]:
    return one.adapter, one.taken and one.taken.variant, one.records and one.records.header


def _pattern(group: list[_Seen], folder: Path) -> str:
    names = [one.path.relative_to(folder).as_posix() for one in group]
    if len(names) == 1:
        return _masked_pattern(names[0])
    prefix = os.path.commonprefix(names)  # noqa: RUF071 - characters are meant
    return f"{_masked_pattern(prefix)}*{glob.escape(group[0].path.suffix)}"


def _masked_pattern(name: str) -> str:
    """Return a pattern of a file's name, with a star for what is personal in it."""
    pattern = glob.escape(privacy.mask_name(name))
    for marker in privacy.MARKERS:
        pattern = pattern.replace(glob.escape(marker), "*")
    return pattern


def _feed_id(one: _Seen, feeds: list[dict[str, str]]) -> str:
    wanted = one.adapter if one.adapter != _ANY_FILE else _slug(privacy.mask_name(one.path.stem)) or "file"
    taken = {feed["id"] for feed in feeds}
    numbered = (f"{wanted}_{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wanted, *numbered) if name not in taken)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _raw(project: Project, folder: Path) -> str:
    whole, root = folder.resolve(), project.root.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else whole.as_posix()


def next_steps(looked: Looked) -> Iterator[str]:
    """Say what to do with what was found."""
    for path in looked.written:
        yield f"written: {path.name}, a draft"
    for path in looked.kept:
        yield f"kept: {path.name}, which is there already"
    if looked.written:
        yield (
            f"Next: review {listed(path.name for path in looked.written)}, remove the line `draft: true` of each, "
            "name the dataset in a report of reports/definitions/, then run `cxreport ingest --report ID`"
        )
