"""The shell of the archive's pages: self-contained, in the company's look, with no request and one known script."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from urllib.parse import quote

from cxreport.config import Project
from cxreport.present.markup import escape_html
from cxreport.present.words import Words
from cxreport.publish import fonts
from cxreport.publish.brand import Brand

# By which pages of the archive are told from others in the same folder.
MARK = '<meta name="generator" content="cxreport archive">'
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; {script}base-uri 'none'; "
    "form-action 'none'"
)


@dataclass(frozen=True)
class Frame:
    """What all pages of an archive share."""

    project: Project
    brand: Brand

    def page(
        self, words: Words, *, title: str, masthead: str, main: str, script: str = "", top: str = "", head: str = ""
    ) -> str:
        """Return a whole page.

        Parameters
        ----------
        title
            Plain text.
        masthead, main, head
            HTML.
        script
            The only one that the page may run; `main` may hold data for it.
        top
            Address of the list of all reports; empty on that page itself.
        """
        policy = _POLICY.format(script=f"script-src {_hash(script)}; " if script else "")
        way_up = f'<p class="up"><a href="{top}">{phrase(words, "archive.all")}</a></p>' if top else ""
        return f"""<!DOCTYPE html>
<html lang="{escape_html(words.language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
{MARK}
<title>{escape_html(title)}</title>
<link rel="icon" href="data:,">
{head}<style>
{self._style}
</style>
</head>
<body>
<a class="skip" href="#content">{phrase(words, "archive.skip")}</a>
<header>
<div class="inner">
{way_up}{masthead}
{self._company}
</div>
</header>
<main id="content" tabindex="-1">
{main}
</main>
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""

    @cached_property
    def _style(self) -> str:
        return f"{fonts.style_sheet()}\n{self.brand.coloured(asset('archive.css'))}"

    @cached_property
    def _company(self) -> str:
        if self.brand.logo:
            address = self.brand.logo_address(self.project.theme)
            return f'<p class="brand"><img src="{address}" alt="{escape_html(self.brand.name)}"></p>'
        return f'<p class="brand">{escape_html(self.brand.name)}</p>' if self.brand.name else ""


@cache
def asset(name: str) -> str:
    """Return a file that stands beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def phrase(words: Words, key: str, count: float | None = None, /, **values: object) -> str:
    """Return a sentence, with its values in plain text, as HTML text."""
    return escape_html(words(key, count, 0, **values))


def link(address: str, text: str, unseen: str = "", *, is_main: bool = False) -> str:
    """Return a link of plain texts; what is unseen tells it from others for those who hear the page."""
    more = f'<span class="unseen"> {escape_html(unseen)}</span>' if unseen else ""
    style = ' class="main"' if is_main else ""
    return f'<a{style} href="{escape_html(address)}">{escape_html(text)}{more}</a>'


def path(*parts: str) -> str:
    """Return a relative address of names of folders and files."""
    return "/".join(quote(part, safe="/") for part in parts)


def language(text_language: str, words: Words) -> str:
    """Return the attribute for text in another language than its page's."""
    return "" if text_language == words.language else f' lang="{escape_html(text_language)}"'


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
