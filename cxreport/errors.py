"""One family of errors; every message says what was found, what was expected and what to do.

Raise the subclass whose exit code fits; the command line prints the message and nothing else.
"""

import difflib
from collections.abc import Iterable


class CxError(Exception):
    """Base of every error that a user can act on.

    Parameters
    ----------
    found, expected, do
        One sentence each, without a full stop. Never put raw bad values or personal data in them.
    """

    exit_code = 1

    def __init__(self, *, found: str, expected: str, do: str) -> None:
        self.found, self.expected, self.do = found, expected, do
        super().__init__(f"found: {found}\nexpected: {expected}\ndo: {do}")

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments need help to cross a process boundary.
        return (_rebuild, (type(self), self.found, self.expected, self.do))


class UsageError(CxError):
    """The caller asked for something that does not exist (exit code 2)."""

    exit_code = 2


class DefinitionError(CxError):
    """A definition file or setting is wrong (exit code 2); all problems of a load are gathered."""

    exit_code = 2


class GateError(CxError):
    """A feed or a verdict stopped the run (exit code 1)."""


class RunError(CxError):
    """A notebook, a renderer or the disk failed (exit code 1); the last issue is untouched."""


def nearest(word: str, options: Iterable[str]) -> str:
    """Return ", did you mean `x`?" for the closest option, or an empty string.

    >>> nearest("regoin", ["region", "plan"])
    ', did you mean `region`?'
    >>> nearest("zzz", ["region"])
    ''
    """
    close = difflib.get_close_matches(word.lower(), sorted(options), n=1, cutoff=0.6)
    return f", did you mean `{close[0]}`?" if close else ""


def listed(options: Iterable[str]) -> str:
    """Return the options in backticks, sorted and comma-separated.

    >>> listed(["b", "a"])
    '`a`, `b`'
    """
    return ", ".join(f"`{option}`" for option in sorted(options)) or "nothing"


def _rebuild(kind: type[CxError], found: str, expected: str, do: str) -> CxError:
    return kind(found=found, expected=expected, do=do)
