"""Make a folder appear whole or not at all: build aside, then one rename."""

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cxreport.errors import RunError

_BUILDING = ".building-"
_REPLACED = ".replaced-"
# From linux/fcntl.h and linux/fs.h.
_CURRENT_FOLDER = -100
_RENAME_EXCHANGE = 2


@contextmanager
def reserved(output: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the output folder for one run at a time, wait for another run, and tidy what a killed run left.

    Raises `OSError` when the folder cannot be written, before any work is done.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("Waiting for another run to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # A byte on the disk now beats a full disk found after minutes of work.
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        os.fsync(lock.fileno())
        _recover(output)
        yield


@contextmanager
def building(output: Path, report: str, period: str) -> Iterator[Path]:
    """Yield an empty hidden folder that becomes `<output>/<report>/<period>` when the block succeeds.

    When the block raises anything at all, the hidden folder goes and the earlier issue stays as it was.
    """
    folder = output / f"{_BUILDING}{report}-{period}-{os.getpid()}"
    target = output / report / period
    try:
        target.parent.mkdir(exist_ok=True)
        folder.mkdir()
        yield folder
        _flush(folder)
        _put_in_place(folder, target)
        _flush_file(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def disk_errors(root: Path, *, outcome: str = "the last issue is unchanged") -> Iterator[None]:
    """Turn the operating system's refusals (no room, no permission, a file in the way) into a `RunError`.

    `outcome` tells what is published all the same.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            found=f"{system_words(error.errno) or type(error).__name__}{_place(error, root)}",
            expected="room on the disk and folders that can be written",
            do=f"make room or correct the folder, then run again; {outcome}",
        ) from error


def system_words(number: int | None) -> str:
    """Return the operating system's own words for an error, which libraries wrap in others; none without a number."""
    return os.strerror(number) if number else ""


def write_text(path: Path, text: str) -> None:
    """Write a file in one step, so that no reader sees half of it."""
    aside = path.with_name(f".{path.name}.new")
    try:
        aside.write_text(text, encoding="utf-8")
        _flush_file(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Have a folder and all that it holds on the disk, so that a loss of power after a rename loses nothing."""
    for path in (*folder.rglob("*"), folder):
        _flush_file(path)


def _flush_file(path: Path) -> None:
    if os.name != "posix":  # elsewhere folders cannot be opened, nor files without leave to write
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(error: OSError, root: Path) -> str:
    """Return " at <path>" for a path inside the project; only a name for others."""
    if not isinstance(error.filename, str | os.PathLike):
        return ""
    path = Path(error.filename)
    return f" at `{path.relative_to(root) if path.is_relative_to(root) else path.name}`"


def _put_in_place(folder: Path, target: Path) -> None:
    """Rename a folder to its target; an earlier target ends up under the folder's name."""
    if not target.exists():
        folder.rename(target)
    elif not _exchange(folder, target):
        aside = target.with_name(f"{_REPLACED}{target.name}")
        target.rename(aside)
        try:
            folder.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        aside.rename(folder)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system or the disk's format cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if renameat2(_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _recover(output: Path) -> None:
    """Finish what a killed run began: drop half-built folders, put back an issue that had been set aside."""
    for aside in sorted(output.glob(f"*/{_REPLACED}*")):
        target = aside.with_name(aside.name.removeprefix(_REPLACED))
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(target)
    for left in sorted(output.glob(f"{_BUILDING}*")):
        shutil.rmtree(left, ignore_errors=True)
