"""What readers see of a pack before they open it: `summary.json`, made with the pack and never changed after."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from cxreport.present.markup import one_line

FILE = "summary.json"
_UNWRITABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def readable(text: str) -> str:
    r"""Return text on one line, without what no page and no feed may hold: control characters and halves of pairs.

    >>> readable("a\x00b\ud800\ufffe c")
    'ab c'
    """
    return _UNWRITABLE.sub("", one_line(text))


Told = Annotated[str, AfterValidator(readable)]


class Move(BaseModel):
    """What changed: which way it went, of a group or of all together, and a sentence of plain text."""

    look: Literal["worse", "better", "counted"]
    is_group: bool
    text: Told


class Summary(BaseModel):
    """A pack in short, in the language of its report; plain text, not yet escaped.

    Attributes
    ----------
    title
        Of the report, without the audience.
    audience
        Whose figures these are; empty for everybody.
    headline
        The sentences at the top of the executive page.
    since
        The period that changes are counted from.
    unchanged
        A sentence that names the KPIs without a detectable change; empty when there is none.
    kpis
        Id to title.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: Told = ""
    audience: Told = ""
    headline: list[Told] = []
    since: Told = ""
    moves: list[Move] = []
    unchanged: Told = ""
    kpis: dict[str, Told] = {}

    def as_json(self) -> str:
        """Return the content of the file."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Summary":
        """Read what `as_json` wrote; an empty summary for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return cls()
