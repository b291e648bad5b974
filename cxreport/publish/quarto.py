"""The renderer for sites that have Quarto: the same document, in Quarto's own look."""

import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

from cxreport.config import Project
from cxreport.errors import RunError
from cxreport.publish import document as documents
from cxreport.publish import fonts
from cxreport.publish.brand import Brand
from cxreport.scratch import scratch

_STEM = "report"
_SHEETS = ("report.css", "components.css")
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")
_LAST_LINES = 15


class Quarto:
    """Quarto's command line."""

    name = "quarto"

    def versions(self) -> dict[str, str]:
        """Return Quarto's version."""
        return {"quarto": _run(["--version"], Path.cwd(), {}).strip()}

    def render(self, document: Path, *, html: Path, pdf: Path | None, project: Project, timestamp: datetime) -> None:
        """Render aside and move the files into place; raises `RunError` with Quarto's last lines when it fails."""
        clock = {"SOURCE_DATE_EPOCH": str(int(timestamp.timestamp()))}
        with scratch() as folder:
            _set_up(folder, document, project)
            for target, suffix, wanted in (("html", "html", html), ("typst", "pdf", pdf)):
                if wanted is None:
                    continue
                said = _run(["render", f"{_STEM}.ipynb", "--to", target], folder, clock)
                made = folder / f"{_STEM}.{suffix}"
                if not made.is_file():
                    raise _failure(f"Quarto wrote no {suffix.upper()} file", said)
                shutil.move(made, wanted)


def _set_up(folder: Path, document: Path, project: Project) -> None:
    """Lay out a Quarto project with the document, its settings, its style sheets and its typeface."""
    theme = folder / "theme"
    (theme / "fonts").mkdir(parents=True)
    brand = Brand.of(project)
    documents.write(_coloured(documents.read(document), brand), folder / f"{_STEM}.ipynb")
    shutil.copyfile(project.theme.parent / "_quarto.yml", folder / "_quarto.yml")
    for name in _SHEETS:
        sheet = (project.theme / name).read_text(encoding="utf-8")
        (theme / name).write_text(brand.coloured(sheet), encoding="utf-8")
    # Quarto reads style sheets from files only: the typeface goes in front of the first one.
    first = theme / _SHEETS[0]
    first.write_text(f"{fonts.style_sheet()}\n{first.read_text(encoding='utf-8')}", encoding="utf-8")
    for path in sorted(fonts.lato().glob("Lato-*.ttf")):
        shutil.copyfile(path, theme / "fonts" / path.name)


def _coloured(document: documents.Cell, brand: Brand) -> documents.Cell:
    """Return a document whose charts are drawn in the company's colours."""
    for output in (output for cell in document.cells for output in cell.get("outputs", [])):
        if documents.SVG in output.get("data", {}):
            output.data[documents.SVG] = brand.coloured(output.data[documents.SVG])
    return document


def _run(arguments: list[str], folder: Path, variables: dict[str, str]) -> str:
    command = shutil.which("quarto")
    if command is None:
        raise _failure("no `quarto` on the PATH", "")
    done = subprocess.run(  # noqa: S603 - the command is Quarto, the arguments are fixed
        [command, *arguments],
        cwd=folder,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise _failure(f"Quarto ended with exit code {done.returncode}", done.stdout)
    return done.stdout


def _failure(what: str, said: str) -> RunError:
    lines = _COLOUR_CODES.sub("", said).strip().splitlines()[-_LAST_LINES:]
    return RunError(
        found="\n".join([what, *lines]),
        expected="a page and a PDF from Quarto 1.9 or later",
        do="correct what its last lines name, or use the renderer `embedded`",
    )
