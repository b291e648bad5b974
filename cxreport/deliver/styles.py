"""The style sheet of e-mails, whose rules are written into each element."""

import html
import re
from dataclasses import dataclass
from typing import Self

from cxreport.config import Project
from cxreport.errors import DefinitionError
from cxreport.present.markup import one_line
from cxreport.publish.brand import Brand

FILE = "email.css"
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Styles:
    """Declarations by element and by `.class`."""

    rules: dict[str, str]

    @classmethod
    def of(cls, project: Project, brand: Brand) -> Self:
        """Read `reports/delivery/email.css` in the company's colours; raises `DefinitionError` when it is not there."""
        path = project.delivery / FILE
        if not path.is_file():
            raise DefinitionError(
                found=f"no file `reports/delivery/{FILE}`",
                expected="the style sheet of e-mails",
                do="restore the file from version control",
            )
        found: dict[str, str] = {}
        text = brand.coloured(path.read_text(encoding="utf-8"))
        for selectors, declarations in _RULE.findall(_COMMENT.sub("", text)):
            for selector in map(str.strip, selectors.split(",")):
                found[selector] = " ".join([*found.get(selector, "").split(), *declarations.split()])
        return cls(found)

    def element(self, name: str, classes: str = "", **attributes: str) -> str:
        """Return the start of an element with the rules for it and its classes written into it, classes last."""
        keys = (name, *(f".{each}" for each in classes.split()))
        style = " ".join([attributes.pop("style", ""), *(self.rules[key] for key in keys if key in self.rules)]).strip()
        given = attributes | ({"style": style} if style else {})
        return f"<{name}{''.join(f' {key}={_quoted(text)}' for key, text in given.items())}>"

    def line(self, name: str, text: str, classes: str = "") -> str:
        """Return an element that holds plain text; nothing for no text."""
        return f"{self.element(name, classes)}{html.escape(one_line(text))}</{name}>" if text else ""


def _quoted(text: str) -> str:
    return f'"{html.escape(text)}"'
