"""Every language says the same things, and numbers, plurals and lists follow its rules."""

import ast
import re
import string
from pathlib import Path

import pytest
import yaml
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from cxreport.config import Project
from cxreport.errors import DefinitionError
from cxreport.present.words import ENGLISH, Words, languages, round_half_up
from cxreport.schema import TABLES

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Project(ROOT)
OPENED = {language: Words.open(PROJECT, language) for language in ("en", "de")}
LANGUAGES = st.sampled_from(list(OPENED.values()))
NUMBERS = st.floats(min_value=-1e7, max_value=1e7, allow_nan=False)


def forms(sentence):
    """Return the templates of a sentence."""
    return list(sentence.values()) if isinstance(sentence, dict) else [sentence]


def names(sentence):
    """Return the names in braces of all forms of a sentence."""
    return {name for form in forms(sentence) for _, name, _, _ in string.Formatter().parse(form) if name}


def read_back(text, language):
    """Return the number that a formatted number says."""
    group, decimal = {"en": ",.", "de": ".,"}[language]
    return float(text.replace(group, "").replace(decimal, ".").replace("\u2212", "-"))


def test_the_suite_knows_english_and_german():
    """Both languages are there without any file of the project."""
    assert {"en", "de"} <= set(languages(PROJECT))


def test_languages_say_the_same_sentences():
    """Both languages have the same keys, and each sentence the same names in braces."""
    english, german = (OPENED[language].sentences for language in ("en", "de"))
    assert set(english) == set(german)
    differing = {key for key in english if names(english[key]) != names(german[key])}
    assert not differing


def test_plural_forms_are_those_of_the_language():
    """A sentence with plural forms has every form that its language tells apart."""
    for language, words in OPENED.items():
        wanted = set(Locale.parse(language).plural_form.tags) | {"other"}
        for key, sentence in words.sentences.items():
            assert not isinstance(sentence, dict) or set(sentence) == wanted, key


def strings(node):
    """Return the strings of a piece of code; what an f-string chooses while it runs is a `*`."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
        if isinstance(each, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in each.values)


def test_every_sentence_is_used():
    """Each key stands in the code, whole or with parts chosen while it runs; what a module's first part may be, too."""
    sentences = OPENED["en"].sentences
    modules = tuple({key.partition(".")[0] + "." for key in sentences})
    files = sorted((ROOT / "cxreport").rglob("*.py"))
    said = {text for path in files for text in strings(ast.parse(path.read_text(encoding="utf-8")))}
    keys = {text for text in said if text.startswith(modules)}
    # Directly below a module anything could be chosen, so what is chosen must stand in the code as well.
    open_ended = {text for text in keys if re.fullmatch(r"\w+\.\*", text)}
    used = {text[:-1] + name for text in open_ended for name in said}
    patterns = [re.compile(re.escape(text).replace(r"\*", r"\w+")) for text in keys - open_ended]
    unused = [key for key in sentences if key not in used and not any(each.fullmatch(key) for each in patterns)]
    assert not unused


def test_every_delivered_table_has_a_name():
    """What a report calls the rows of a table is known for every table of the schema."""
    assert not {table for table in TABLES if f"tables.delivered.{table}" not in OPENED["en"].sentences}


@given(LANGUAGES, NUMBERS, st.integers(0, 4))
def test_numbers_read_back(words, value, digits):
    """A number reads back as itself, halves rounded away from zero, with exactly its digits and a real minus sign."""
    text = words.number(value, digits)
    assert read_back(text, words.language) == float(round_half_up(value, digits))
    assert "-" not in text
    assert len(text.partition({"en": ".", "de": ","}[words.language])[2]) == digits


@given(LANGUAGES, st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_the_plural_is_that_of_the_written_number(words, count):
    """Whatever is written as 1 is singular, everything else plural."""
    text = words("tables.counted.answers", count)
    number, noun = text.split(" ")
    singular, plural = {"en": ("answer", "answers"), "de": ("Antwort", "Antworten")}[words.language]
    assert noun == (singular if number == "1" else plural)


@given(LANGUAGES, st.lists(st.text("abcxyz", min_size=1), max_size=6))
def test_lists_hold_every_item_in_order(words, items):
    """A list in words holds its items in order, with the language's "and" before the last only."""
    text = words.joined(items)
    last = {"en": " and ", "de": " und "}[words.language]
    assert text.count(last) == (len(items) > 1)
    assert text.replace(last, ", ") == ", ".join(items)


@pytest.mark.parametrize(
    ("language", "share", "text"), [("en", 0.125, "13%"), ("de", 0.125, "13\N{NO-BREAK SPACE}%"), ("en", 0.285, "29%")]
)
def test_percentages_follow_the_language(language, share, text):
    """A percentage is rounded by the digits that print and written as its language writes it."""
    assert OPENED[language].percent(share) == text


def test_texts_with_names_translate_what_varies():
    """Numbers take the language's separators, parts with a translation of their own are translated, years stay."""
    words = Words("de", {}, {"{n} rows of {month}": "{n} Zeilen, {month}", "May {year}": "Mai {year}", "x": "y"})
    assert words.text("1,234.5 rows of May 2026") == "1.234,5 Zeilen, Mai 2026"
    assert words.text("3 rows of x") == "3 Zeilen, y"
    assert words.text("rows of nothing") == "rows of nothing"


def test_prose_keeps_the_structure_of_markdown():
    """Headings, paragraphs, terms and fences stay in place; only their texts change, and unknown ones stay."""
    words = Words("de", {}, {"Where": "Wo", "One two": "Eins zwei", "Base": "Basis", "The n.": "Das n."})
    text = "## Where\n\n::: {.columns}\nOne\ntwo\n:::\n\nBase\n:   The n.\n\nElse"
    assert words.prose(text) == "## Wo\n\n::: {.columns}\nEins zwei\n:::\n\nBasis\n:   Das n.\n\nElse"


@pytest.fixture
def own_words(tmp_path):
    """Writes a project's own words of a language and opens them."""

    def own_words(language, content):
        folder = tmp_path / "reports" / "wording"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{language}.yml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        return Words.open(Project(tmp_path), language)

    return own_words


def test_a_project_changes_one_sentence(own_words):
    """A sentence in the project's file replaces the shipped one; all others stay."""
    words = own_words("en", {"sentences": {"tables": {"all": "Everybody"}}})
    assert words("tables.all") == "Everybody"
    assert words("tables.no_base") == OPENED["en"]("tables.no_base")


def test_a_project_adds_a_language(own_words):
    """A file with every sentence is a language of its own, with its numbers and months."""
    words = own_words("nl", {"sentences": dict(OPENED[ENGLISH].sentences)})
    assert words.number(1234.5, 1) == "1.234,5"


@pytest.mark.parametrize(
    ("language", "content", "said"),
    [
        ("en", {"sentences": {"tables": {"al": "x"}}}, "did you mean"),
        ("en", {"sentences": {"tables": {"too_few": "too few {columns}"}}}, "names `columns`"),
        ("en", {"sentences": {"tables": {"too_few": "too few {rows[0]}"}}}, "no name"),
        ("nl", {"sentences": {"tables": {"all": "Alle"}}}, "is missing"),
        ("xx-nowhere", {"texts": {}}, "numbers and dates"),
        ("en", {"text": {}}, "`text`"),
        ("de", {"texts": {"Base": None}}, "no translation"),
        ("de", {"texts": {"{n} rows": "{m} Zeilen"}}, "`m`"),
        ("de", {"texts": {"{n} and {n}": "{n}"}}, "twice"),
        ("de", {"texts": {"{n}": "{n}"}}, "nothing but names"),
    ],
)
def test_wrong_words_are_refused(own_words, language, content, said):
    """Unknown and missing sentences, wrong names in braces and empty translations are named."""
    with pytest.raises(DefinitionError) as caught:
        own_words(language, content)
    assert said in str(caught.value)


def test_an_unknown_language_is_refused():
    """A report in a language that nobody wrote names those that there are."""
    with pytest.raises(DefinitionError, match="did you mean"):
        Words.open(PROJECT, "dee")
