"""Sentences and formats of a language: what the suite says comes from YAML, what Babel knows is left to it.

A sentence has a key such as `headline.rose` and stands in `cxreport/present/languages/<language>/headline.yml`. A
project changes sentences, or adds a language of its own, in `reports/wording/<language>.yml`, which also translates the
texts of its notebooks and definitions. What the checks and measures note in English is translated by `texts.yml`.
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton
from babel.lists import format_list
from babel.numbers import get_decimal_symbol, get_group_symbol

from cxreport.config import Project
from cxreport.errors import DefinitionError, listed, nearest
from cxreport.periods import Period

ENGLISH = "en"
MINUS = "\u2212"
_LANGUAGES = "languages"
_TEXTS = "texts"  # the file of a language that translates texts and holds no sentences
_FORMS = {"zero", "one", "two", "few", "many", "other"}
_KEEPS_CAPITALS = {"de", "lb"}  # languages whose nouns begin with a capital inside a sentence, too
_NAME = re.compile(r"\{([a-z]\w*)\}")
_COUNT = re.compile(r"\d{1,3}(,\d{3})*(\.\d+)?")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
# What stands between the texts of Markdown: blank lines, fences, marks of headings and of definitions.
_BETWEEN = re.compile(r"(\n\s*\n|^:{3,}.*$|^#{1,6} +|\n:   )", re.MULTILINE)

# A sentence, or its forms by plural category.
Sentence = str | dict[str, str]


@dataclass(frozen=True)
class Words:
    """The words of one language.

    Attributes
    ----------
    language
        Its code, as in `lang` of a page: `en`, `de`, `pt-BR`.
    sentences
        Key to template. Templates are Markdown with `{names}`, whose values are escaped by whoever gives them; forms
        by plural category are chosen by `count`.
    texts
        What notebooks and definitions say, in the words of the language they are written in, to its translation.
        `{names}` in both stand for what varies: numbers, months, and texts with a translation of their own.
    """

    language: str
    sentences: Mapping[str, Sentence] = field(repr=False)
    texts: Mapping[str, str] = field(repr=False, default_factory=dict)

    @classmethod
    def open(cls, project: Project, language: str) -> "Words":
        """Return the words of a language; raises `DefinitionError` for an unknown, incomplete or wrong one."""
        own = project.wording / f"{language}.yml"
        ours = shipped(language)
        if language not in languages(project):
            raise DefinitionError(
                found=f"language `{language[:40]}`{nearest(language, languages(project))}",
                expected=f"one of {listed(languages(project))}",
                do="name one of these in the report's `language`, or add its words as `reports/wording/<language>.yml`",
            )
        sentences, own_texts = _read_own(own)
        texts = _shipped_texts(language) | own_texts
        english = shipped(ENGLISH)
        problems = [f"unknown sentence `{key}`{nearest(key, english)}" for key in sentences if key not in english]
        found = {**ours, **sentences}
        problems += list(_problems(found, english))
        problems += list(_text_problems(texts))
        try:
            _locale(language)
        except (UnknownLocaleError, ValueError):
            problems.append("no language whose numbers and dates are known")
        if problems:
            raise DefinitionError(
                found=f"words of `{language}`: {'; '.join(problems)}",
                expected="a template for every English sentence, with the same names in braces",
                do=f"correct `reports/wording/{language}.yml`; the English sentences show what each is for",
            )
        return cls(language, found, texts)

    def __call__(self, key: str, count: float | None = None, digits: int = 0, /, **values: object) -> str:
        """Return a sentence with its values; `count`, with so many digits, chooses the plural and fills `{count}`.

        >>> Words("en", {"case": {"one": "{count} case", "other": "{count} cases"}})("case", 1)
        '1 case'
        """
        sentence = self.sentences[key]
        if isinstance(sentence, dict):
            assert count is not None, f"`{key}` has plural forms and needs a count after its key"
            # The category is that of the number as it is written.
            written = float(round_half_up(count, digits))
            sentence = sentence.get(self._locale.plural_form(written), sentence["other"])
        if count is not None:
            values = {"count": self.number(count, digits)} | values
        return sentence.format(**values)

    def text(self, text: str) -> str:
        """Return the translation of a notebook's, definition's or check's own text; itself where there is none.

        >>> Words("de", {}, {"{n} rows": "{n} Zeilen"}).text("1,234 rows")
        '1.234 Zeilen'
        """
        wanted = _key(text)
        return self.texts.get(wanted) or self._matched(wanted) or text

    def prose(self, markdown: str) -> str:
        """Return Markdown with each heading, paragraph, term and definition translated by `text`."""
        parts = _BETWEEN.split(markdown)
        for place, part in enumerate(parts):
            if place % 2 == 0 and (text := part.strip()):
                parts[place] = part.replace(text, self.text(text))
        return "".join(parts)

    def inside(self, title: str) -> str:
        """Return a title as it stands inside a sentence.

        >>> Words("en", {}).inside("Journey stage"), Words("de", {}).inside("Kanal")
        ('journey stage', 'Kanal')
        """
        return title if self._locale.language in _KEEPS_CAPITALS else title[:1].lower() + title[1:]

    def number(self, value: float, digits: int = 0, *, signed: bool = False) -> str:
        """Return a number with the language's separators, halves rounded away from zero and a real minus sign.

        >>> Words("en", {}).number(1234.5), Words("de", {}).number(1234.5), Words("en", {}).number(7.6, signed=True)
        ('1,235', '1.235', '+8')
        """
        rounded = round_half_up(value, digits)
        sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
        whole, _, part = f"{abs(rounded):,}".partition(".")
        return sign + whole.replace(",", self._group) + (self._decimal + part if part else "")

    def percent(self, share: float, digits: int = 0) -> str:
        """Return a share of a base as a percentage.

        >>> Words("en", {}).percent(0.285), Words("es", {}).percent(0.0521, 1).split()
        ('29%', ['5,2', '%'])
        """
        # Shifting the point in decimal keeps 0.285 from becoming 28.499999999999996.
        return self._percent.replace("#,##0", self.number(float(Decimal(str(share)).scaleb(2)), digits))

    def joined(self, items: Sequence[str]) -> str:
        """Return items as a list in words: `a, b and c`."""
        return format_list(list(items), locale=self._locale) if items else ""

    def day(self, day: date) -> str:
        """Return a day in words, e.g. `2 October 2026`."""
        return format_date(day, "long", locale=self._locale)

    def month(self, day: date) -> str:
        """Return a month in words, e.g. `September 2026`."""
        return format_skeleton("yMMMM", day, locale=self._locale)

    def period(self, period: Period) -> str:
        """Return a period as a reader says it, e.g. `September 2026`."""
        match period.kind:
            case "month":
                return self.month(period.start)
            case "year":
                return period.id
            case kind:
                return self(f"period.{kind}", number=period.number, year=period.year)

    def short_period(self, period: Period) -> str:
        """Return a period's short name without its year, e.g. `Sep` or `Q3`; a year's is the year."""
        match period.kind:
            case "month":
                return str(self._locale.months["stand-alone"]["abbreviated"][period.number]).rstrip(".")
            case "year":
                return period.id
            case kind:
                return self(f"period.short.{kind}", number=period.number)

    @cached_property
    def _locale(self) -> Locale:
        return _locale(self.language)

    @cached_property
    def _percent(self) -> str:
        return str(self._locale.percent_formats[None].pattern)

    @cached_property
    def _patterns(self) -> dict[re.Pattern[str], str]:
        """The texts with names, those that say most themselves first."""
        named = sorted(filter(_NAME.search, self.texts), key=lambda text: -len(_NAME.sub("", text)))
        return {re.compile(_NAME.sub(r"(?P<\1>.+?)", _escaped(text))): self.texts[text] for text in named}

    def _matched(self, text: str) -> str:
        """Return the translation of the first text with names that fits; empty when none does."""
        for pattern, said in self._patterns.items():
            if found := pattern.fullmatch(text):
                values = {name: self._value(value) for name, value in found.groupdict().items()}
                return _NAME.sub(lambda name: values[name[1]], said)  # noqa: B023 - called at once
        return ""

    def _value(self, text: str) -> str:
        if _MONTH.fullmatch(text):
            return self.period(Period.parse(text))
        if not _COUNT.fullmatch(text):
            return self.text(text)
        return self.number(float(text.replace(",", "")), len(text.partition(".")[2]))

    @cached_property
    def _decimal(self) -> str:
        return get_decimal_symbol(self._locale)

    @cached_property
    def _group(self) -> str:
        return get_group_symbol(self._locale)


def _locale(language: str) -> Locale:
    # The suite's own English is British: `2 October 2026`, `a, b and c`.
    return Locale.parse("en_GB" if language == ENGLISH else language, sep="_" if language == ENGLISH else "-")


def languages(project: Project) -> list[str]:
    """Return the languages that reports may be written in."""
    shipped = (entry.name for entry in (files("cxreport.present") / _LANGUAGES).iterdir() if entry.is_dir())
    return sorted({*shipped, *(path.stem for path in project.wording.glob("*.yml"))} - {"__pycache__"})


def round_half_up(value: float, digits: int = 0) -> Decimal:
    """Return a number rounded as readers round: halves away from zero, by the digits that print."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) + 0


@cache
def shipped(language: str) -> Mapping[str, Sentence]:
    """Return the sentences that the package has in a language, by their dotted keys; none in an unknown one."""
    folder = files("cxreport.present") / _LANGUAGES / language
    if not folder.is_dir():
        return {}
    found: dict[str, Sentence] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        content = yaml.load(entry.read_text(encoding="utf-8"), yaml.CSafeLoader)
        module = Path(entry.name).stem
        found |= dict(_flat(content, module)) if module != _TEXTS else {}
    return found


def _shipped_texts(language: str) -> dict[str, str]:
    path = files("cxreport.present") / _LANGUAGES / language / f"{_TEXTS}.yml"
    return _texts(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)) if path.is_file() else {}


def _texts(content: Mapping[Any, Any] | None) -> dict[str, str]:
    return {_key(str(text)): str(said or "").strip() for text, said in (content or {}).items()}


def _read_own(path: Path) -> tuple[dict[str, Sentence], dict[str, str]]:
    if not path.is_file():
        return {}, {}
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        content = {f"not YAML ({' '.join(str(error).split())})": None}
    if not isinstance(content, dict) or (set(content) - {"sentences", "texts"}):
        raise DefinitionError(
            found=f"reports/wording/{path.name} with {listed(content)}",
            expected="the keys `sentences` (key to template) and `texts` (text to its translation)",
            do="correct the file",
        )
    return dict(_flat(content.get("sentences") or {})), _texts(content.get("texts"))


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Sentence]]:
    """Yield sentences by their dotted keys."""
    for name, entry in content.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if not isinstance(entry, Mapping):
            yield key, str(entry)
        elif "other" in entry and set(entry) <= _FORMS:
            yield key, {str(form): str(text) for form, text in entry.items()}
        else:
            yield from _flat(entry, key)


def _problems(sentences: Mapping[str, Sentence], english: Mapping[str, Sentence]) -> Iterator[str]:
    for key, model in english.items():
        if key not in sentences:
            yield f"`{key}` is missing"
            continue
        wanted = set().union(*map(_names, _forms(model)))
        for text in _forms(sentences[key]):
            try:
                if extra := _names(text) - wanted:
                    yield f"`{key}` names {listed(sorted(extra))}, of {listed(sorted(wanted)) if wanted else 'nothing'}"
            except ValueError as error:
                yield f"`{key}`: {error}"


def _text_problems(texts: Mapping[str, str]) -> Iterator[str]:
    for text, said in texts.items():
        if not said:
            yield f"the text `{text}` has no translation"
        names = _NAME.findall(text)
        if extra := set(_NAME.findall(said)) - set(names):
            yield f"the translation of `{text}` names {listed(sorted(extra))}"
        if len(names) > len(set(names)) or not _NAME.sub("", text).strip():
            yield f"the text `{text}` names something twice, or nothing but names"


def _forms(sentence: Sentence) -> Iterable[str]:
    return sentence.values() if isinstance(sentence, dict) else [sentence]


def _names(template: str) -> set[str]:
    """Return the names in braces; raises `ValueError` for anything else in braces."""
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    if wrong := [name for name in names if not name.isidentifier()]:
        raise ValueError(f"`{{{wrong[0]}}}` is no name")
    return names


def _escaped(text: str) -> str:
    """Return a text as a regular expression for itself, but for its names in braces."""
    return re.sub(r"\\\{([a-z]\w*)\\\}", r"{\1}", re.escape(text))


def _key(text: str) -> str:
    """Return a text as it is looked up: line breaks and indentation do not matter."""
    return " ".join(text.split())
