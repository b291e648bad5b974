"""A company's name, logo and colours: `reports/theme/brand.yml`, for charts, pages and PDFs alike."""

import base64
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from cxreport.config import Definition, Project, load_yaml
from cxreport.errors import DefinitionError
from cxreport.present.palette import DARK, LIGHT, contrast

_ENOUGH = 4.5  # WCAG 2.1 AA, for text
_WHITE = "#ffffff"
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class Colours(Definition):
    """The colours of one scheme, by what they are for; see `cxreport/present/palette.py`."""

    ink: Colour
    muted: Colour
    pale: Colour
    line: Colour
    faint: Colour
    paper: Colour
    ground: Colour
    accent: Colour
    warning: Colour
    masthead: Colour

    @model_validator(mode="after")
    def _text_can_be_read(self) -> Self:
        if weak := list(self._weak_pairs()):
            raise ValueError(f"{'; '.join(weak)}; text needs at least {_ENOUGH:g} to 1, choose darker or lighter ones")
        return self

    def _weak_pairs(self) -> Iterator[str]:
        pairs = [(text, ground) for text in ("ink", "muted", "accent", "warning") for ground in ("paper", "ground")]
        values = self.model_dump() | {"white": _WHITE}
        for text, ground in [*pairs, ("white", "masthead")]:
            ratio = contrast(values[text], values[ground])
            if ratio < _ENOUGH:
                yield f"`{text}` on `{ground}` has a contrast of {ratio:.1f} to 1"


class Brand(Definition):
    """What makes a report look like its company's; what is left out stays as the suite has it."""

    name: str = ""  # beside the title, and instead of the logo where that is not seen
    logo: str = ""  # an SVG or PNG file beside `brand.yml`, readable on the colour `masthead` and on white
    light: Colours
    dark: Colours

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, content: dict[str, Any]) -> dict[str, Any]:
        given = {"light": content.get("light") or {}, "dark": content.get("dark") or {}}
        return content | {"light": LIGHT | given["light"], "dark": DARK | given["dark"]}

    @model_validator(mode="after")
    def _logo_has_words(self) -> Self:
        if self.logo and not self.name:
            raise ValueError("`logo` needs `name`, for those who do not see it")
        if self.logo and Path(self.logo).suffix not in _TYPES:
            raise ValueError(f"`logo` is `{self.logo[:60]}`; give an `.svg` or `.png` file")
        return self

    @classmethod
    def of(cls, project: Project) -> Self:
        """Read a project's brand; raises `DefinitionError` for unknown keys, weak contrasts and a missing logo."""
        path = project.theme / "brand.yml"
        brand = load_yaml(path, cls, project) if path.is_file() else cls.model_validate({})
        if brand.logo and not (project.theme / brand.logo).is_file():
            raise DefinitionError(
                found=f"no file `{brand.logo[:60]}` in `reports/theme/`",
                expected="the logo that `reports/theme/brand.yml` names",
                do="add the file, or remove `logo`",
            )
        return brand

    def coloured(self, text: str) -> str:
        """Return a style sheet, template or chart with the suite's own colours replaced by the company's."""
        return self._known.sub(lambda found: self._own[found[0]], text)

    def logo_address(self, folder: Path) -> str:
        """Return the logo of a theme's folder as an address that holds it all."""
        data = base64.b64encode((folder / self.logo).read_bytes()).decode()
        return f"data:{_TYPES[Path(self.logo).suffix]};base64,{data}"

    @cached_property
    def _own(self) -> dict[str, str]:
        pairs = ((LIGHT, self.light), (DARK, self.dark))
        return {usual[role]: getattr(own, role) for usual, own in pairs for role in usual}

    @cached_property
    def _known(self) -> re.Pattern[str]:
        return re.compile(rf"(?:{'|'.join(self._own)})(?![0-9a-f])")


def in_variables(svg: str) -> str:
    """Return a chart whose colours are the variables of the page's style sheet, so that it follows light and dark."""
    return _LIGHT.sub(lambda found: f"var(--{_ROLES[found[0]]})", svg)


_ROLES = {colour: role for role, colour in LIGHT.items()}
_LIGHT = re.compile(rf"(?<=: )(?:{'|'.join(_ROLES)})(?![0-9a-f])")  # in a style, not in a label
