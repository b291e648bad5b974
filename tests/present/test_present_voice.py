"""The voice page quotes customers as text and nothing else, and claims only what tests found."""

import html
import re
import unicodedata
from dataclasses import replace

import pypandoc
import pytest

from cxreport.present import voice
from cxreport.present.markup import Markdown

HOSTILE = [
    "<script>alert(1)</script> the bill",
    "<img src=x onerror=alert(1)> the bill",
    "[click](javascript:alert(1)) the bill",
    "![x](javascript:alert(1)) the bill",
    "<https://evil.example> the bill",
    "``` {=html}\n<b>x</b>\n``` the bill",
    "`<b>`{=html} the bill",
    "::: {.callout-note}\nthe bill\n:::",
    "# the bill\n\n> quoted",
    '#eval("1") #import "x" the bill',
    "$x^2$ \\input{/etc/passwd} \\(x\\) the bill",
    "@fig-1 and [@cite] and the bill",
    "\u202ebill eht\u202c \u2066x\u2069",
    "| a | b |\n| - | - |\n the bill",
    "=HYPERLINK(1) the bill",
    '" onmouseover="x the bill',
    "**bold** _it_ ~~no~~ ^up^ the bill",
    "the bill]{.cx-second onclick=x}[",
    '”]{lang="en" onclick="x"} the bill',
]


def theme(name, n, difference, q_value, **more):
    """Return a row of the themes."""
    row = {"kpi": "csat", "theme": name, "n": n, "n_without": 1000 - n, "share": n / 1000, "value_with": 0.6}
    row |= {"value_without": 0.7, "difference": difference, "difference_ci_low": difference - 0.05}
    row |= {"difference_ci_high": difference + 0.05, "q_value": q_value, "impact": difference * n / 1000}
    row |= {"impact_ci_low": difference * n / 1000 - 0.004, "impact_ci_high": difference * n / 1000 + 0.004}
    return row | {"sentiment": -0.2, "n_sentiment": n, "suppressed": "no", "low_base": False} | more


def quote(name, place, text, *, is_good=False, language="en"):
    """Return a row of the quotes."""
    return {"theme": name, "place": place, "quote": text, "language": language, "is_good": is_good}


HIDDEN = {"kpi": "csat", "theme": "rare things", "suppressed": "small base"}


@pytest.fixture
def pack(analysed):
    """Three themes: one that scores below the others, one that does not differ, one that is hidden."""
    return analysed(
        themes=[theme("the bill", 100, -0.2, 0.001), theme("waiting", 80, 0.1, 0.4), HIDDEN],
        quotes=[
            quote("the bill", 1, "All is well now", is_good=True),
            quote("the bill", 2, "Too dear"),
            quote("waiting", 1, "Esperé dos horas", language="es"),
            quote("rare things", 1, "Nobody may read this"),
        ],
        topics=[
            {"kind": "term", "topic": "firmware update", "n": 40, "share": 0.04, "n_commented": 1000},
            {"kind": "theme", "topic": "the bill", "n": 100, "share": 0.1, "n_commented": 1000, "n_before": 50}
            | {"share_before": 0.05, "difference": 0.05, "ci_low": 0.02, "ci_high": 0.08},
        ],
        texts=[
            {"source": "interviews", "n": 38, "share": 1.0, "suppressed": "no"},
            {"source": "interviews", "theme": "the bill", "n": 20, "share": 0.526, "suppressed": "no"},
            {"source": "interviews", "theme": "waiting", "suppressed": "small base"},
            {"source": "calls", "suppressed": "small base"},
        ],
    )


def to_html(markdown):
    """Return what pandoc makes of Markdown with everything in it that could run switched on."""
    return pypandoc.convert_text(markdown, "html", format="markdown", extra_args=["--wrap=none"])


def test_only_themes_that_differ_are_said_to(pack):
    """The sentence names direction, both values, the interval and the base; a theme without a finding has none."""
    said = voice.themes_said(pack).text
    assert "**The bill** (100 comments, 10%): CSAT of these comments is 60%, of the others 70%" in said
    assert "2 percentage points lower" in said
    assert "aiting" not in said


def test_no_cause_is_claimed(pack):
    """Nothing on the page says that a theme causes a score."""
    page = f"{voice.themes_said(pack)} {voice.themes(pack).caption} {voice.themes_table(pack)}"
    claims = r"\b(because|causes?d?|due to|leads? to|drives?)\b"
    assert not re.search(claims, page.replace("need not be cause and effect", ""))


def test_hidden_theme_shows_a_mark_alone(pack):
    """A small theme has words instead of figures, in the table, the chart's words, and no quote."""
    line = next(line for line in voice.themes_table(pack).text.splitlines() if "Rare things" in line)
    assert "too few answers" in line
    assert not re.search(r"\d", re.sub(r"under 10", "", line))
    assert "Rare things: too few answers" in voice.themes(pack).alt
    assert "Nobody may read this" not in voice.quotes(pack).text


def test_quotes_start_with_the_side_that_the_theme_pulls_to(pack):
    """Of a theme that scores low the unhappy speak first, and alone in short."""
    said = voice.quotes(pack).text
    assert said.index("Too dear") < said.index("All is well now")
    assert "scored poorly" in said
    short = voice.quotes_in_short(pack).text
    assert "Too dear" in short
    assert "All is well" not in short
    assert "horas" not in short


def test_foreign_quotes_carry_their_language(pack):
    """A screen reader is told to change its voice; wrong codes are dropped."""
    assert '<span lang="es">' in to_html(voice.quotes(pack).text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_quote_reads_as_itself(analysed, text):
    """Whatever a customer writes comes out letter by letter, in one block, without an element of its own."""
    odd = 'es" onclick="x'
    rows = [quote("the bill", 1, text), quote("the bill", 2, text, language=odd)]
    pack = analysed(themes=[theme("the bill", 100, -0.2, 0.001)], quotes=rows)
    page = to_html(voice.quotes(pack).text)
    assert set(re.findall(r"<(\w+)", page)) <= {"div", "p", "strong", "blockquote", "span"}
    assert page.count("<blockquote") == 1
    assert not re.search(r"<[^>]*(onclick|onerror|javascript|onmouseover)", page)
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())
    plain = " ".join("".join(mark for mark in text if unicodedata.category(mark) != "Cf").split())
    assert words.count(f"“{plain}”") == 2
    typst = pypandoc.convert_text(voice.quotes(pack).text, "typst", format="markdown")
    assert not re.search(r"(?<!\\)#(eval|import)", typst)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text(analysed, text):
    """Themes, terms and sources are written as text, too."""
    pack = analysed(
        themes=[theme(text, 100, -0.2, 0.001)],
        topics=[{"kind": "term", "topic": text, "n": 40, "share": 0.04, "n_commented": 1000}],
        texts=[{"source": text, "n": 38, "share": 1.0, "suppressed": "no"}],
    )
    emitted = (emit(pack).text for emit in (voice.themes_said, voice.themes_table, voice.topics, voice.texts))
    page = to_html("\n\n".join(emitted))
    assert not re.search(r"<(script|img|a|b|em|code|h1|iframe)\b", page)
    assert "<script" not in voice.themes(pack).svg


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_kpi_is_text_below_the_chart(analysed, text):
    """The caption names the KPI as text."""
    pack = analysed(themes=[theme("the bill", 100, -0.2, 0.001)])
    named = replace(pack, kpis=pack.kpis | {"csat": pack.kpis["csat"].model_copy(update={"short": text})})
    named.__dict__["analyses"] = pack.analyses
    assert set(re.findall(r"<(\w+)", to_html(voice.themes(named).caption))) == {"p"}


def test_topics_hide_small_counts(pack):
    """Where few used it before, words stand instead of a share, and no rise is told that would give it away."""
    rows = [line for line in voice.topics(pack).text.splitlines() if line.startswith("|")][2:]
    assert "fewer than 10 customers" in rows[0]
    assert re.findall(r"[\d.]+%", rows[0]) == ["4.0%"]
    assert "2.0% to 8.0%" in rows[1]


def test_texts_without_a_score_are_summed_up(pack):
    """A source says how many texts it has and what they speak of; a small one says no number."""
    interviews, calls = voice.texts(pack).text.splitlines()
    assert "38 texts" in interviews
    assert "the bill (53%)" in interviews
    assert "waiting" not in interviews
    assert not re.search(r"\d", calls)


def test_public_posts_are_shown_where_measured(monthly, passengers):
    """The totals of posts stand in a table; a report without them says so."""
    assert "Public rating" in voice.public(monthly).text
    assert "measures no public posts" in voice.public(passengers).text


@pytest.mark.parametrize("emit", [voice.themes, voice.themes_table, voice.quotes, voice.topics, voice.texts])
def test_absent_data_are_said_in_a_line(passengers, emit):
    """A report without comments says so in one line, and fails nowhere."""
    found = emit(passengers)
    assert isinstance(found, Markdown)
    assert found.text
    assert "\n" not in found.text
