"""What is to be made, as it travels to the process that makes it."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from cxreport.config import EVERYBODY, Dataset, Project, Report
from cxreport.periods import Period
from cxreport.present.identity import Mark


@dataclass(frozen=True)
class Order:
    """A document of an issue that is to be made: a pack, or the page on the quality of the data.

    Attributes
    ----------
    language
        Of its words.
    title
        In that language.
    audience
        The id of whose figures it shows; `EVERYBODY` for the pack that is no audience's.
    renderer
        As `render.choose` knows it.
    folder
        Where it is built.
    network
        Whether its notebooks may reach one.
    data
        The hash of what its charts and tables show.
    fingerprint
        Of what it is made from.
    provenance
        What its foot says of its making, term to text.
    """

    project: Project
    report: Report
    dataset: Dataset
    period: Period
    as_of: date
    language: str
    title: str
    audience: str
    renderer: str
    folder: Path
    network: bool = False
    data: str = ""
    fingerprint: str = ""
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The audience as notebooks are told it."""
        return "" if self.audience == EVERYBODY else self.audience

    @property
    def mark(self) -> Mark:
        """Whose charts and tables its documents show."""
        return Mark(self.report.id, self.period.id, self.audience, self.data)
