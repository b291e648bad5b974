"""SPSS files (.sav, .zsav): codes as they are stored, with what the file says about its variables.

A damaged file can end the process that reads it, so that one is started for each.
"""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxreport.sources.formats import spss_reader
from cxreport.sources.formats.files import UTF_8, DeliveredFile, UnreadableFileError
from cxreport.sources.formats.records import Records
from cxreport.sources.formats.spss_reader import MOST_SECONDS
from cxreport.sources.formats.workbooks import as_text

STATED_MISSING = "declared missing in the file"
_LONGEST_REASON = 80
# Of the file's header, in bytes: where the layout code stands, whose first byte is 0
# where numbers start with their large end, and where the number of cases does.
_LAYOUT, _CASES = 64, 80
_UNCOUNTED = -1  # as files say whose program did not know the number


def read_spss(file: DeliveredFile, encoding: str = UTF_8) -> Records:
    """Read an SPSS file: one record per case, codes without their labels, dates and times as ISO text.

    A title is the variable's label, with the first and last of its value labels. Codes that the file declares
    user-missing are kept as they are and named in `missing`, each with its label as the reason; system-missing values
    are blank.

    Parameters
    ----------
    file
        The file; a member of an archive is read from memory, on systems that have memory files.
    encoding
        Of the texts, when it is not the one that the file itself states.

    Raises `UnreadableFileError`.
    """
    found = _read(file, encoding)
    names: list[str] = found["names"]
    labels = {name: dict(map(tuple, pairs)) for name, pairs in found["labels"].items()}
    cells = {name: [as_text(value) for value in found["values"][name]] for name in names}
    codes = {name: _missing_codes(cells[name], found["missing"].get(name, [])) for name in names}
    reasons = {name: {as_text(code): _reason(label) for code, label in labels.get(name, {}).items()} for name in names}
    missing = {
        name: {code: reasons[name].get(code, STATED_MISSING) for code in declared}
        for name, declared in codes.items()
        if declared
    }
    titles = {
        name: (title or name) + _ends(labels.get(name, {}), codes[name])
        for name, title in zip(names, found["titles"], strict=True)
    }
    cases = max(map(len, cells.values()), default=0)
    if found["stated"] not in {cases, _UNCOUNTED}:
        raise UnreadableFileError(f"the SPSS file is broken: it states {found['stated']} cases and holds {cases}")
    return Records(tuple(names), tuple(cells.values()), range(1, cases + 1), titles=titles, missing=missing)


def spss_names(file: DeliveredFile) -> frozenset[str]:
    """Return the names of the variables; empty where they cannot be read."""
    try:
        return frozenset(_read(file, UTF_8, "names")["names"])
    except UnreadableFileError:
        return frozenset()


def _read(file: DeliveredFile, encoding: str, part: str = "all") -> dict[str, Any]:
    """Return what `spss_reader` writes."""
    stated = "" if encoding == UTF_8 else encoding
    with _path(file) as (path, handles, cases):
        command = [sys.executable, "-I", str(Path(spss_reader.__file__)), path, stated, part]
        try:
            done = subprocess.run(  # noqa: S603 - this interpreter, a file of this package, no shell
                command, capture_output=True, pass_fds=handles, timeout=2 * MOST_SECONDS, check=True
            )
            found: dict[str, Any] = json.loads(done.stdout)
        except (subprocess.SubprocessError, OSError, ValueError):
            raise UnreadableFileError(
                "the SPSS file is broken, or its text is in another encoding: state it as `file: encoding`"
            ) from None
    found["stated"] = cases
    names = found["names"]
    if None in names or len(set(names)) < len(names):
        raise UnreadableFileError("the SPSS file is broken: it has variables without a name of their own")
    return found


@contextmanager
def _path(file: DeliveredFile) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Give a path to the library, which opens no streams, the handles that the process needs for it, and the cases.

    The library believes the number of cases that a file states, and leaves out the others without a word. So it is
    given a copy that states none, in memory. Systems without memory files read the file itself, unchecked.
    """
    if hasattr(os, "memfd_create"):
        content, cases = _uncounted(file.content())
        number = os.memfd_create("delivered")
        with os.fdopen(number, "wb") as memory:
            memory.write(content)
            memory.flush()
            yield f"/proc/self/fd/{number}", (number,), cases
    elif file.path is not None:
        yield str(file.path.absolute()), (), _UNCOUNTED
    else:
        raise UnreadableFileError("an SPSS file in an archive cannot be read on this system; unpack it first")


def _uncounted(content: bytes) -> tuple[bytearray, int]:
    """Return an SPSS file that leaves its number of cases open, and the number that it stated."""
    changed = bytearray(content)
    if len(changed) < _CASES + 4:
        return changed, _UNCOUNTED
    order = "<" if changed[_LAYOUT] else ">"
    (cases,) = struct.unpack_from(f"{order}i", changed, _CASES)
    struct.pack_into("<i", changed, _CASES, _UNCOUNTED)
    return changed, cases


def _missing_codes(cells: Iterable[str], ranges: Iterable[dict[str, Any]]) -> list[str]:
    """Return the codes among the cells that the file declares missing, as single ones or as ranges."""
    spans = [(span["lo"], span["hi"]) for span in ranges]
    return [code for code in dict.fromkeys(cells) if code and any(_within(code, *span) for span in spans)]


def _within(code: str, low: float | str, high: float | str) -> bool:
    if isinstance(low, str) or isinstance(high, str):
        return code == str(low).rstrip()
    try:
        return low <= float(code) <= high
    except ValueError:
        return False


def _reason(label: str) -> str:
    short = label.strip()
    return short if short.isprintable() and 0 < len(short) <= _LONGEST_REASON else STATED_MISSING


def _ends(labels: dict[Any, str], missing: Iterable[str]) -> str:
    """Name a scale's ends, as in ` (1 = Not at all, 5 = Very)`, so that a reader sees which one is good."""
    valid = {code: label for code, label in labels.items() if as_text(code) not in missing}
    if len(valid) < 2:  # noqa: PLR2004 - a scale has two ends
        return ""
    low, high = min(valid), max(valid)
    return f" ({as_text(low)} = {valid[low]}, {as_text(high)} = {valid[high]})"
