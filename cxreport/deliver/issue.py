"""What a published issue holds for one audience, taken only from files that are as they were published."""

import hashlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from cxreport.config import AUDIENCE_FILE, EVERYBODY, RECORD_FILE, Project, Report
from cxreport.errors import RunError, listed
from cxreport.measure.audiences import Audience
from cxreport.periods import Period
from cxreport.present.words import Words
from cxreport.publish import archive
from cxreport.publish.exports.executive import PAGE, is_page

ATTACHMENTS = {"report": archive.PRINT, "executive": archive.EXECUTIVE}
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_LANGUAGE = re.compile(r"<html\b[^>]*?\blang=\"([^\"]*)\"")


@dataclass(frozen=True)
class Part:
    """What an audience gets of an issue.

    Attributes
    ----------
    audience
        Its id, `all` for everybody.
    title
        Of its report, as on its page; plain text.
    notebook
        The executed executive page.
    pdf
        The file to attach.
    """

    audience: str
    title: str
    notebook: bytes
    pdf: bytes


@dataclass(frozen=True)
class Issue:
    """A published issue and what its record says of its files."""

    project: Project
    report: Report
    period: Period
    folder: Path
    outputs: dict[str, str]

    @classmethod
    def open(cls, project: Project, report: Report, period: Period) -> "Issue":
        """Open the issue of a period; raises `RunError` when there is none."""
        folder = project.published(report.id, period)
        published = archive.Issue.read(folder)
        if published is None:
            failed = project.failed / report.id / period.id
            shown = failed.relative_to(project.root).as_posix()
            raise RunError(
                found=f"no published issue of `{report.id}` for `{period}`",
                expected="the issue, with its page, its PDF and its record",
                do=f"open {shown}/, which holds what the failed run made, and publish the issue"
                if failed.is_dir()
                else f"publish it with `cxreport run --report {report.id} --period {period}`",
            )
        return cls(project, report, period, folder, published.told("outputs"))

    @property
    def audiences(self) -> list[str]:
        """Everybody, and the audiences that have a pack."""
        return [EVERYBODY, *sorted(path.parent.name for path in self.folder.glob(f"*/{AUDIENCE_FILE}"))]

    def require(self, audiences: list[str]) -> None:
        """Raise `RunError` when somebody is to get the pack of an audience that the issue does not have."""
        if missing := [audience for audience in audiences if audience not in self.audiences]:
            raise RunError(
                found=f"no pack of {listed(missing)} in the issue of {self.period}",
                expected=f"audiences among {listed(self.audiences)}",
                do=f"correct `recipients` in `reports/delivery/{self.report.id}.yml`, or name others with --audience",
            )

    def part(self, audience: str, attach: str, words: Words) -> Part:
        """Return what an audience gets.

        Raises `RunError` unless every file is as it was published, and the executed page and the report both are those
        of this report, period and audience.
        """
        notebook = self._notebook(audience)
        page = self._read(f"{audience}/{archive.PAGE}").decode("utf-8")
        title = self._title(audience, words)
        found, language = _TITLE.search(page), _LANGUAGE.search(page)
        problems = []
        if found is None or _letters(title) not in _letters(html.unescape(found[1])):
            problems.append("a page whose title does not name the report and the audience")
        if language is None or language[1] != words.language:
            problems.append(f"a page that is not in the language `{words.language}`")
        if _parameters(notebook) != (self.report.id, self.period.id, "" if audience == EVERYBODY else audience):
            problems.append("an executive page that was executed for another report, period or audience")
        if problems:
            raise RunError(
                found=f"in the pack `{audience}` of {self.period}: {'; '.join(problems)}",
                expected="a pack that was published for this audience with the definition as it is now",
                do="publish the issue again",
            )
        return Part(audience, title, notebook, self._read(f"{audience}/{ATTACHMENTS[attach]}"))

    def _title(self, audience: str, words: Words) -> str:
        """Return the title of an audience's report, as `publish` sets it."""
        title = words.text(self.report.title)
        if audience == EVERYBODY:
            return title
        name = f"{audience}/{AUDIENCE_FILE}"
        self._read(name)
        named = words.text(Audience.read(self.folder / name).title)
        return words("document.audience", title=title, audience=named)

    def _notebook(self, audience: str) -> bytes:
        names = [name for name in self.outputs if _is_executive(name, audience)]
        if len(names) != 1:
            raise RunError(
                found=f"{len(names)} executed executive pages in the pack `{audience}`",
                expected=f"one notebook whose name ends in `_{PAGE}` among those that the report presents",
                do=f"list it under `present` in `reports/definitions/{self.report.id}.yml` and publish the issue again",
            )
        return self._read(names[0])

    def _read(self, name: str) -> bytes:
        """Return a file of the issue; raises `RunError` when it is not the one that the record lists."""
        path = self.folder / name
        content = path.read_bytes() if path.is_file() else b""
        if self.outputs.get(name) != hashlib.sha256(content).hexdigest():
            raise RunError(
                found=f"the file `{name}` of {self.period}, which is not the one that was published",
                expected=f"the file whose hash stands in `{RECORD_FILE}`",
                do="find out who changed it, and publish the issue again",
            )
        return content


def _is_executive(name: str, audience: str) -> bool:
    path = Path(name)
    return path.parent.as_posix() == f"{audience}/{archive.NOTEBOOKS}" and is_page(path)


def _parameters(notebook: bytes) -> tuple[str, str, str]:
    """Return the report, period and audience that Papermill executed a notebook with."""
    given = json.loads(notebook)["metadata"].get("papermill", {}).get("parameters", {})
    return given.get("report", ""), given.get("period", ""), given.get("audience", "")


def _letters(text: str) -> str:
    """Return letters and digits alone: renderers set quotes and dashes as they see fit."""
    return "".join(filter(str.isalnum, text))
