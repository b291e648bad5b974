"""Results of finished steps, kept under what they were made from, so that only what changed is made again.

A step is a name and the digests of all that its result follows from. Of each step the newest result is kept: a record
`<step>.json` and, where they are not kept elsewhere in the project, its files in `<step>/`. A result counts only while
its files are what the record says.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from cxreport.publish.atomic import write_text

Digests = dict[str, str]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(paths: Iterable[Path], root: Path) -> Digests:
    """Return path (relative to the root, with slashes) to SHA-256, sorted by path; what is no file is left out."""
    return {path.relative_to(root).as_posix(): digest(path) for path in sorted(paths) if path.is_file()}


def digest_of(content: object) -> str:
    """Return the SHA-256 of something that JSON can say."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """What a result was made from, the files of it that the cache keeps, and those that have a place in the project."""

    inputs: Digests
    files: Digests
    placed: Digests

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """Return a record; none where there is no whole one."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return cls(told["inputs"], told["files"], told["placed"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Cache:
    """The results of steps in a folder, of a project whose root is `root`; with `forced` none of them counts."""

    folder: Path
    root: Path
    forced: bool = False

    def reasons(self, step: str, inputs: Mapping[str, str]) -> list[str]:
        """Return why a step must be done: the names of changed inputs, or a word; nothing when its result counts."""
        record = Record.read(self._record(step))
        if self.forced:
            return ["forced"]
        if record is None:
            return ["new"]
        names = record.inputs.keys() | inputs.keys()
        if changed := sorted(name for name in names if record.inputs.get(name) != inputs.get(name)):
            return changed
        is_whole = _are(record.files, self._files(step)) and _are(record.placed, self.root)
        return [] if is_whole else ["result"]

    def restore(self, step: str, folder: Path) -> None:
        """Put the files of a result that counts into a folder."""
        record = Record.read(self._record(step))
        for name in record.files if record else ():
            link(self._files(step) / name, folder / name)

    def placed(self, step: str) -> str:
        """Return one digest for the files of a result that have a place in the project."""
        record = Record.read(self._record(step))
        return digest_of(record.placed if record else {})

    def keep(
        self,
        step: str,
        inputs: Mapping[str, str],
        *,
        folder: Path | None = None,
        files: Iterable[Path] = (),
        placed: Iterable[Path] = (),
    ) -> None:
        """Keep the result of a step: files of a folder, and files that have a place in the project."""
        self.forget(step)
        kept = {} if folder is None else digests(files, folder)
        for name in kept:
            link(cast(Path, folder) / name, self._files(step) / name)
        record = Record(dict(inputs), kept, digests(placed, self.root))
        path = self._record(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(asdict(record), indent=1, sort_keys=True))

    def forget(self, step: str) -> None:
        """Drop the result of a step, which is about to be made anew."""
        self._record(step).unlink(missing_ok=True)
        shutil.rmtree(self._files(step), ignore_errors=True)

    def _record(self, step: str) -> Path:
        return self.folder / f"{step}.json"

    def _files(self, step: str) -> Path:
        return self.folder / step


def _are(expected: Digests, root: Path) -> bool:
    """Whether every file is there and unchanged."""
    try:
        return all(digest(root / name) == known for name, known in expected.items())
    except OSError:
        return False


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
