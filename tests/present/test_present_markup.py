"""Data enter Markdown, HTML and Typst as text: a hostile label shows as itself and does nothing."""

import html
import io
import re
from dataclasses import replace

import pypandoc
import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from cxreport.present import cards, method, tables, wording
from cxreport.present.identity import Mark
from cxreport.present.markup import Markdown, escape_html, escape_markdown, escape_typst, pipe_table
from cxreport.schema import REVISIONS

MARK = Mark("monthly", "2026-09", "all", "0" * 16)
HOSTILE = "<img src=x onerror=alert(1)> | *b* [l](javascript:x) $a$ `c` @fig-x \\x ``` {=html} #s 'q' \"d\""


def to_html(markdown, dialect="markdown"):
    """Return what pandoc makes of Markdown, with everything in it that could run switched on."""
    return pypandoc.convert_text(markdown, "html", format=dialect)


def words(page):
    """Return the text of a piece of HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize(
    "dialect", ["markdown", "markdown+tex_math_single_backslash+autolink_bare_uris", "gfm", "commonmark_x"]
)
def test_escaped_markdown_reads_as_itself_in_every_dialect(dialect):
    """The hostile text comes out letter by letter, without an element beyond its paragraph."""
    page = to_html(f"x {escape_markdown(HOSTILE)} y", dialect)
    assert re.findall(r"<(\w+)", page) == ["p"]
    assert words(page) == f"x {HOSTILE} y"


@given(st.text(max_size=40))
@settings(max_examples=15)
def test_any_text_survives_a_pipe_table(text):
    """Whatever a cell holds, the table keeps its one row of two cells and the text its letters."""
    cell = escape_markdown(f"x{text}x")
    page = to_html(pipe_table(MARK, ["A", "B"], [[cell, "end"]]))
    assert page.count("<td") == 2
    found = html.unescape(re.search(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)[1])
    assert "".join(found.split()) == "".join(html.unescape(cell).split())


def hostile(pack):
    """Return the pack with the hostile text wherever data enter."""
    segments = {
        name: segment.model_copy(update={"title": HOSTILE, "labels": dict.fromkeys(segment.labels, HOSTILE)})
        for name, segment in pack.segments.items()
    }
    texts = dict.fromkeys(
        ("title", "short", "area", "owner", "checker", "numerator", "denominator", "answers"), HOSTILE
    )
    kpis = {name: kpi.model_copy(update=texts | {"exclusions": [HOSTILE]}) for name, kpi in pack.kpis.items()}
    rules = [
        rule.model_copy(update={"rule": HOSTILE, "reason": HOSTILE, "table": HOSTILE}) for rule in pack.verdict.rules
    ]
    missing = [entry.model_copy(update={"question": HOSTILE, "reason": HOSTILE}) for entry in pack.verdict.missing]
    waivers = [waiver.model_copy(update={"rule": HOSTILE, "by": HOSTILE}) for waiver in pack.verdict.waivers]
    verdict = pack.verdict.model_copy(
        update={"pages": {"kpis": [HOSTILE]}, "rules": rules, "missing": missing, "waivers": waivers}
    )
    report = pack.report.model_copy(update={"contact": HOSTILE, "title": HOSTILE})
    dataset = pack.dataset.model_copy(update={"title": HOSTILE, "population": HOSTILE})
    estimates = pack.estimates.assign(signal=pack.estimates["signal"].map(lambda signal: HOSTILE if signal else None))
    made = replace(
        pack, segments=segments, kpis=kpis, verdict=verdict, report=report, dataset=dataset, estimates=estimates
    )
    revised = dict.fromkeys(REVISIONS.names) | {"kpi": "csat", "question": HOSTILE, "period": pack.period.id}
    revised |= {"figure": "value", "direction": "rose", "n_groups": 1, "cause": "stated", "reason": HOSTILE}
    made.__dict__["revisions"] = [revised]  # what the pack would read from its folder, once
    return made


@pytest.mark.parametrize(
    "emit",
    [
        wording.headline,
        wording.look_at,
        wording.rests_on,
        lambda pack: wording.notes(pack, "kpis"),
        wording.mix_summary,
        tables.kpi_tables,
        tables.targets_table,
        tables.counts_table,
        tables.headline_tables,
        tables.notes,
        tables.changes_table,
        tables.other_mix_tables,
        lambda pack: tables.segment_tables(pack, pack.leading),
        lambda pack: tables.stand_outs(pack, pack.leading),
        lambda pack: tables.mix_table(pack, pack.mix_segment),
        method.definitions,
        method.overdue_reviews,
        method.rules_broken,
        method.feeds_noted,
        method.waivers,
        method.revisions,
        method.missing_answers,
        method.benchmarks,
        method.population,
        method.provenance,
        method.small_bases,
        method.comparisons,
    ],
)
def test_no_emitter_lets_markup_through(monthly, emit):
    """Every piece of a page made of hostile definitions and data has no active element and no link."""
    page = to_html(emit(hostile(monthly)).text)
    assert not re.search(
        r"<(img|script|a|code|em class|math)\b|onerror=[^&]*?>|class=\"math", page.replace("&lt;img", "")
    )


def test_cards_show_hostile_names_as_text(monthly):
    """Cards keep their list structure in HTML and their words in Typst, whatever the KPI is called."""
    emitted = cards.kpi_cards(hostile(monthly)).text
    page = to_html(emitted)
    assert set(re.findall(r"<(\w+)", page)) == {"ul", "li", "p"}
    assert page.count("<li") == len(monthly.report.headline)
    assert HOSTILE in words(page)
    source = re.search(r"```\{=typst\}\n(.*?)\n```", emitted, re.DOTALL)[1]
    pdf = typst.compile(source.encode())
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    assert text.count("javascript:x") == len(monthly.report.headline)


@given(st.text(max_size=60))
@settings(max_examples=50)
def test_escaped_html_holds_no_markup(text):
    """No angle bracket, quote or backtick of data survives in HTML."""
    assert not set("<>\"'`") & set(escape_html(text))


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=40))
@settings(max_examples=10)
def test_any_text_is_a_typst_string(text):
    """Whatever the data hold, Typst compiles them as a string."""
    assert typst.compile(f"#text({escape_typst(text)})".encode(), ignore_system_fonts=True).startswith(b"%PDF")


def test_markdown_shows_as_markdown_alone():
    """Shown in a notebook, Markdown has no second form that a renderer could prefer."""
    assert Markdown("x")._repr_mimebundle_() == {"text/markdown": "x"}
