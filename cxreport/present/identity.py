"""Whose figures a chart or a table shows: a mark that stays with it from the notebook to the page and the PDF.

A mark reads `cx:<report>:<period>:<audience>:<data>:<own>`: the hash of the figures that it was made from, and one of
the chart or table itself.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from cxreport.config import AUDIENCE_FILE, EVERYBODY, Project
from cxreport.periods import Period

MARK = re.compile(r"cx(?::[\w.%~-]+){3}(?::[0-9a-f]{16}){2}", re.ASCII)
# What carries it: of a chart text without ink, which is all that a PDF keeps of an SVG; of a table its container.
ON_PICTURE = re.compile(rf'<text class="cx-mark"[^<>]*>({MARK.pattern})</text>', re.ASCII)
ATTRIBUTE = "data-cx"
_PICTURE = '<text class="cx-mark" font-size="1" fill="none" aria-hidden="true">{mark}</text>'
_START = re.compile(r"<svg\b[^>]*>(?:<title>.*?</title>)?(?:<desc>.*?</desc>)?", re.DOTALL)
_TABLE = '::: {{.cx-table data-cx="{mark}"}}\n{table}\n:::'
_LETTERS = 16


@dataclass(frozen=True)
class Mark:
    """Report, period and audience of a pack by their ids, and the hash of its figures."""

    report: str
    period: str
    audience: str
    data: str

    @classmethod
    def of(cls, project: Project, report: str, period: Period, audience: str = "") -> Self:
        """Return the mark of what is made from the measured figures of everybody or of an audience, as they are now."""
        files = measured_files(project, report, period, audience)
        told = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files if path.is_file()]
        return cls(report, period.id, audience or EVERYBODY, _hash("\n".join(told)))

    def __str__(self) -> str:
        """Return it without the hash of a chart or table of its own."""
        return ":".join(
            ["cx", *(quote(name, safe="") for name in (self.report, self.period, self.audience)), self.data]
        )

    def is_on(self, mark: str) -> bool:
        """Whether a chart's or table's mark is of this pack."""
        return mark.rpartition(":")[0] == str(self)

    def on_picture(self, svg: str) -> str:
        """Return an SVG that carries the mark, unseen."""
        return _START.sub(lambda start: start[0] + _PICTURE.format(mark=self._with(svg)), svg, count=1)

    def on_table(self, table: str) -> str:
        """Return Markdown whose tables carry the mark, in a container."""
        return _TABLE.format(mark=self._with(table), table=table)

    def _with(self, content: str) -> str:
        return f"{self}:{_hash(content)}"


def measured_files(project: Project, report: str, period: Period, audience: str = "") -> list[Path]:
    """Return the files of figures that one pack is written from, everybody's or an audience's, sorted."""
    folder = project.measured(report, period, audience)
    return sorted([*folder.glob("*.parquet"), folder / AUDIENCE_FILE])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LETTERS]
