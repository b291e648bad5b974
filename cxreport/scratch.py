"""Temporary folders, of which those that killed processes left behind can be told and swept."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "cx-"  # short, because the paths of sockets below are limited
_LOCK = ".cx"
_NEW = 60  # seconds in which a folder may not have its lock yet


@contextmanager
def scratch(inside: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder, in the system's place for such or in another one, that goes with the block."""
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=inside) as folder,
        (Path(folder) / _LOCK).open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def sweep(inside: Path | None = None) -> None:
    """Remove the folders of processes that were killed: nobody holds their locks any more."""
    for lock in Path(inside or tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock.open("r+") as held:
                if time.time() - lock.stat().st_mtime > _NEW:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:  # held, somebody else's, or gone meanwhile
            continue
