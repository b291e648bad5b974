"""The two forms of a page in an e-mail: HTML that mail programs show, and plain text."""

import html
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from html.parser import HTMLParser

from cxreport.deliver.styles import Styles
from cxreport.present.markup import one_line

_SAFE_LINK = re.compile(r"(https://|mailto:)", re.IGNORECASE)
_SIDE = re.compile(r"text-align: (left|right|center);")
# Elements that get through, under their name in an e-mail.
_SAME = (
    *("a", "blockquote", "br", "caption", "code", "div", "em", "li", "ol", "p", "span", "strong", "table", "tbody"),
    *("td", "th", "thead", "tr", "ul"),
)
_KEPT = (
    {name: name for name in _SAME}
    | dict.fromkeys(("dd", "dt", "figcaption"), "p")
    | dict.fromkeys(("h4", "h5", "h6"), "h3")
    | {"figure": "div", "h3": "h2"}
)
_VOID = {"br", "img", "hr", "wbr", "col", "input", "link", "meta"}
# Elements that go with all they hold: the chapter's name, which the e-mail's own title replaces, and the tables of
# charts, which the PDF does not show either.
_DROPPED = {"details", "h2", "math", "nav", "script", "style", "svg", "template", "title"}
_UNSAID = _DROPPED | {"figcaption"}  # in plain text, too: how to read a chart
_CARD_HEAD = {"cx-card-name", "cx-card-value", "cx-card-mark"}
_BLOCKS = {"blockquote", "div", "dd", "dt", "h3", "h4", "h5", "h6", "p", "table", "tr", "ul", "ol", "li"}
# Tables lay out, too: the only way to do so that every mail program knows.
LAYOUT = {"role": "presentation", "cellpadding": "0", "cellspacing": "0", "border": "0"}
_WIDTH = 72  # letters of a line of plain text
_CHART_WIDTH = "468"  # pixels; style sheets may say less

Attributes = list[tuple[str, str | None]]


def as_html(page: str, charts: Mapping[str, str], styles: Styles) -> str:
    """Return the content of a page with styles in its elements, cards as rows of a table, and charts as pictures.

    `charts` holds the name and the alternative text of each SVG of the page, in order; pictures refer to `cid:<name>`.
    Only known elements and attributes get through.
    """
    return _fed(_Html(styles, charts), page)


def as_text(page: str, alternatives: Sequence[str]) -> str:
    """Return the content of a page as paragraphs of plain text, charts as their alternative texts."""
    return _fed(_Text(alternatives), page)


def wrapped(text: str, first: str = "", following: str = "") -> str:
    """Return a paragraph of plain text, with what stands before its first and its other lines."""
    wrapper = textwrap.TextWrapper(
        _WIDTH, initial_indent=first, subsequent_indent=following, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.fill(one_line(text))


def _fed(parser: "_Parser", page: str) -> str:
    parser.feed(page)
    parser.close()
    return parser.finish()


class _Parser(HTMLParser):
    """Reads a page, keeps away from what is dropped, and gathers what its children write."""

    def __init__(self, unwanted: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._written: list[str] = []
        self._unwanted = unwanted
        self._charts_seen = 0
        self._dropped = 0  # how deep inside what is dropped

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        if tag == "svg" and not self._dropped:
            self.chart(self._charts_seen)
            self._charts_seen += 1
        if tag in self._unwanted or (self._dropped and tag not in _VOID):
            self._dropped += 1
        elif not self._dropped:
            self.opened(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        if not self._dropped:
            self.opened(tag, dict(attrs))
            if tag not in _VOID:
                self.closed(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            self._dropped -= tag not in _VOID
        else:
            self.closed(tag)

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self.said(data)

    def chart(self, place: int) -> None:
        raise NotImplementedError

    def opened(self, tag: str, given: Mapping[str, str | None]) -> None:
        raise NotImplementedError

    def closed(self, tag: str) -> None:
        raise NotImplementedError

    def said(self, text: str) -> None:
        raise NotImplementedError

    def finish(self) -> str:
        return "".join(self._written)


class _Html(_Parser):
    """Rewrites the page with the style sheet's rules in its elements, cards as rows of a table."""

    def __init__(self, styles: Styles, charts: Mapping[str, str]) -> None:
        super().__init__(_DROPPED)
        self._styles, self._charts = styles, charts
        self._open: list[str] = []  # how each open element is closed
        self._is_in_head = False  # of a card: its name and value, beside which the rest stands

    def chart(self, place: int) -> None:
        name, alternative = list(self._charts.items())[place]
        self._written.append(self._styles.element("img", src=f"cid:{name}", alt=alternative, width=_CHART_WIDTH))

    def opened(self, tag: str, given: Mapping[str, str | None]) -> None:
        classes = given.get("class") or ""
        if tag == "ul" and "cx-cards" in classes:
            self._write(self._styles.element("table", classes, width="100%", **LAYOUT), "</table>")
        elif tag == "li" and "cx-card" in classes:
            self._is_in_head = True
            head = self._styles.element("td", f"{classes} cx-card-head", width="34%", valign="top")
            self._write(f"<tr>{head}", "</td></tr>")
        elif tag == "p" and self._is_in_head and _CARD_HEAD.isdisjoint(classes.split()):
            self._is_in_head = False
            aside = self._styles.element("td", "cx-card-lines", valign="top")
            self._write(f"</td>{aside}{self._styles.element('p', classes)}", "</p>")
        elif tag in _VOID:
            self._written.append(self._styles.element("br") if tag == "br" else "")
        elif tag in _KEPT:
            name = _KEPT[tag]
            self._write(self._styles.element(name, f"{classes} {tag}", **_attributes(tag, given)), f"</{name}>")
        else:
            self._open.append("")

    def closed(self, tag: str) -> None:
        if tag == "li":
            self._is_in_head = False
        if tag not in _VOID and self._open:
            self._written.append(self._open.pop())

    def said(self, text: str) -> None:
        self._written.append(html.escape(text))

    def _write(self, start: str, end: str) -> None:
        self._written.append(start)
        self._open.append(end)


def _attributes(tag: str, given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the attributes that get through: languages, addresses, and what cells say of themselves."""
    kept = {name: text for name in ("lang", "scope", "colspan", "rowspan", "start") if (text := given.get(name))}
    link, style = given.get("href") or "", given.get("style") or ""
    if tag == "a" and _SAFE_LINK.match(link):
        kept["href"] = link
    if tag == "table":
        kept |= LAYOUT | {"width": "100%", "role": "table"}
    return kept | ({"style": style} if _SIDE.fullmatch(style) else {})


class _Text(_Parser):
    """Writes the page as paragraphs of plain text."""

    def __init__(self, alternatives: Sequence[str]) -> None:
        super().__init__(_UNSAID)
        self._alternatives = alternatives
        self._line = ""
        self._marks: list[str] = []  # of the lists around: numbers, or empty for bullets
        self._first = self._next = ""  # what stands before a paragraph's first line, and before the others
        self._is_card = False

    def chart(self, place: int) -> None:
        self._end()
        self._line = f"[{self._alternatives[place]}]"
        self._end()

    def opened(self, tag: str, given: Mapping[str, str | None]) -> None:
        if tag == "br":
            self._end(is_tight=True)
        elif tag in {"th", "td"}:
            self._line += " | " if self._line.strip() else ""
        elif tag in _BLOCKS:
            self._end()
        if tag in {"ul", "ol"}:
            self._marks.append("1" if tag == "ol" else "")
        elif tag == "li":
            self._is_card = "cx-card" in (given.get("class") or "")
            self._first, self._next = self._mark(), "   " if self._marks and self._marks[-1] else "  "

    def closed(self, tag: str) -> None:
        if tag in {"h3", "h4"} and self._line.strip():
            self._line = self._line.strip().upper()
        if tag in _BLOCKS:
            self._end(is_tight=self._is_card and tag == "p")
        if tag in {"ul", "ol"} and self._marks:
            self._marks.pop()
        if tag == "li":
            self._first = self._next = ""
            self._is_card = False
            self._written.append("\n")

    def said(self, text: str) -> None:
        self._line += re.sub(r"\s+", " ", text)

    def finish(self) -> str:
        self._end()
        return re.sub(r"\n{3,}", "\n\n", "".join(self._written)).strip()

    def _mark(self) -> str:
        number = self._marks[-1] if self._marks else ""
        if not number:
            return "- "
        self._marks[-1] = str(int(number) + 1)
        return f"{number}. "

    def _end(self, *, is_tight: bool = False) -> None:
        """End a paragraph; a blank line follows unless it is tight."""
        if text := self._line.strip():
            self._written.append(wrapped(text, self._first, self._next) + ("\n" if is_tight else "\n\n"))
            self._first = self._next
        self._line = ""
