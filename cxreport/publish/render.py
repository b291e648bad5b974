"""The two renderers behind one interface, and the choice between them."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cxreport.config import Project
from cxreport.errors import UsageError, listed, nearest
from cxreport.publish.embedded import Embedded
from cxreport.publish.quarto import Quarto

NAMES = ("auto", "embedded", "quarto")


class Renderer(Protocol):
    """Something that turns a document of `document.merge` into a page and a PDF."""

    name: str

    def versions(self) -> dict[str, str]:
        """Return the versions of the tools that draw the report, by name."""
        ...

    def render(self, document: Path, *, html: Path, pdf: Path | None, project: Project, timestamp: datetime) -> None:
        """Write a self-contained page and, if wanted, a tagged PDF; the same inputs give the same bytes.

        `timestamp` (with a time zone) is the date that the files carry. Raises `RunError` when a tool fails.
        """
        ...


def choose(name: str) -> Renderer:
    """Return the renderer of a name; `auto` is Quarto where it is installed, else the embedded one.

    Raises `UsageError` for an unknown name, and for `quarto` where it is not installed.
    """
    if name not in NAMES:
        raise UsageError(
            found=f"renderer `{name[:60]}`{nearest(name, NAMES)}",
            expected=f"one of {listed(NAMES)}",
            do="name one of these",
        )
    has_quarto = shutil.which("quarto") is not None
    if name == "quarto" and not has_quarto:
        raise UsageError(
            found="no `quarto` on the PATH",
            expected="Quarto 1.9 or later, installed",
            do="install Quarto, or choose the renderer `embedded`, which needs nothing else",
        )
    return Quarto() if has_quarto and name != "embedded" else Embedded()
