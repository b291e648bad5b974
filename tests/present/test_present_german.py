"""The default report's own texts are all known in German, and what reads them says so in German."""

import json
import re
import shutil
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import pytest

from cxreport.config import Project, load_dataset, load_kpis, load_report, load_segments
from cxreport.measure.control import RULES
from cxreport.present import cards, method, tables, wording
from cxreport.present.pack import ShownKpi, open_pack
from cxreport.present.words import Words
from cxreport.publish import document

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Project(ROOT)
REPORT = load_report(PROJECT, "monthly")
SHOWN = ("fig-alt", "fig-cap", "tbl-cap")
# Words that English texts can hardly do without and German ones never hold.
ENGLISH_WORDS = re.compile(r"\b(the|and|of|is|are|with|from|than|which|each|has|have|by|to|no|not|since)\b")


@dataclass(frozen=True)
class Asked(Words):
    """Words that remember which texts have no translation."""

    unknown: set[str] = field(default_factory=set)

    def text(self, text):
        """Translate a text, or remember it."""
        said = super().text(text)
        if said == text and " ".join(text.split()) not in self.texts:
            self.unknown.add(text)
        return said


@pytest.fixture
def asked():
    """The German words of the project, with a memory."""
    words = Words.open(PROJECT, "de")
    return Asked(words.language, words.sentences, words.texts)


@pytest.fixture(scope="module")
def german(measured, tmp_path_factory):
    """The pack of the sample company's last month, in German."""
    root = tmp_path_factory.mktemp("german") / "project"
    shutil.copytree(measured.root, root)
    shutil.copytree(ROOT / "reports" / "wording", root / "reports" / "wording")
    with (root / "reports" / "definitions" / "monthly.yml").open("a", encoding="utf-8") as definition:
        definition.write("\nlanguage: de\n")
    return open_pack("monthly", "2026-09", str(root))


@pytest.mark.parametrize("name", REPORT.present)
def test_every_paragraph_of_a_notebook_has_a_translation(asked, name):
    """Titles, prose and captions of the default report's notebooks are all known in German."""
    notebook = document.read(ROOT / "notebooks" / f"{name}.ipynb")
    matter = document.front_matter(notebook)
    for key in ("title", "subtitle"):
        asked.text(matter.get(key) or matter["title"])
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            asked.prose(cell.source)
        if cell.cell_type == "code":
            options = document.options(cell)
            for key in SHOWN:
                asked.text(options.get(key, matter["title"]))
    assert not asked.unknown


def test_every_text_of_the_definitions_has_a_translation(asked):
    """What KPIs, segments, the dataset and the report say to readers is all known in German."""
    for kpi in load_kpis(PROJECT, REPORT.kpis).values():
        ShownKpi.of(kpi, "", asked)
    for segment in load_segments(PROJECT, REPORT.segments).values():
        for text in (segment.title, *segment.labels.values()):
            asked.text(text)
    dataset = load_dataset(PROJECT, REPORT.dataset)
    for text in (REPORT.title, REPORT.contact, dataset.title, dataset.population):
        asked.text(text)
    assert not asked.unknown


def test_every_signal_has_a_translation(asked):
    """What control charts call a signal is known in German."""
    for rules in RULES.values():
        for rule in rules:
            asked.text(rule.above)
            asked.text(rule.below)
    assert not asked.unknown


def test_every_rule_has_a_translation(asked):
    """Names and footnotes of all rules are known in German, and the reasons of those on rows."""
    for path in sorted((ROOT / "expectations" / "suites").glob("*.json")):
        for rule in json.loads(path.read_text(encoding="utf-8"))["expectations"]:
            asked.text(rule["meta"]["rule"].replace("_", " "))
            if footnote := rule["meta"].get("footnote"):
                asked.text(footnote)
                asked.text(rule["notes"])
    assert not asked.unknown


def test_headline_in_german(german):
    """Verdict, size, value and interval are said in German, with German numbers and months."""
    assert wording.headline(german).text.splitlines()[1] == (
        "**NPS, September 2026: gefallen um 8 Punkte auf 24 (95\N{NO-BREAK SPACE}%-Intervall 20 bis 27), mehr, als der "
        "Zufall gewöhnlich bewirkt.**"
    )


def test_figures_in_german(german):
    """Shares, durations, money and counts are written as Germans write them."""
    kpis = german.kpis
    assert tables.value_text(0.8149, kpis["csat"]) == "81\N{NO-BREAK SPACE}%"
    assert tables.value_text(3312, kpis["resolution_time"]) == "2,3 Tage"
    assert tables.interval_text(12.1, 1234.5, kpis["service_cost"]) == "12,10 bis 1.234,50 USD"
    assert tables.size_text(0.01, kpis["csat"]) == "1 Prozentpunkt"
    assert tables.base_text(german.total("nps"), kpis["nps"]) == "2.013 Antworten"
    assert tables.change_text(german.total("csat"), kpis["csat"]) == "keine nachweisbare Veränderung"


@pytest.mark.parametrize(
    "show",
    [
        *(wording.headline, wording.look_at, wording.mix_summary, wording.rests_on, cards.kpi_cards),
        *(tables.kpi_tables, tables.targets_table, tables.notes, tables.counts_table, tables.questions_table),
        *(tables.headline_tables, tables.changes_table, tables.reading_changes, tables.other_mix_tables),
        lambda pack: tables.segment_tables(pack, pack.leading),
        lambda pack: tables.stand_outs(pack, pack.leading),
        *(method.definitions, method.overdue_reviews, method.counts, method.comparisons, method.usual_ranges),
        *(method.small_bases, method.population, method.provenance, method.revisions),
    ],
)
def test_no_english_is_left(german, show):
    """Nothing that a page says of figures, definitions and methods is English."""
    text = re.sub(r'cx-[\w-]+|class="[^"]*"|#grid.*|```.*', "", unescape(show(german).text))
    assert not ENGLISH_WORDS.findall(text)
