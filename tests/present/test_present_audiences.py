"""The pack of an audience: its figures beside everybody's, its place among the others, and nothing else of them."""

import html
import json
import re
import shutil

import pytest

from cxreport.config import Project
from cxreport.engine import read_table, write_table
from cxreport.errors import UsageError
from cxreport.present import cards, charts, method, tables, wording
from cxreport.present.pack import open_pack
from cxreport.schema import ESTIMATES, ESTIMATES_KEY

HOSTILE = 'North <script>alert(1)</script> #set "x"'


@pytest.fixture(scope="module")
def project(measured, tmp_path_factory):
    """The measured project with a pack for the North, as good as everybody's, and one for a region that is gone."""
    project = Project(tmp_path_factory.mktemp("audiences") / "project")
    shutil.copytree(measured.root, project.root)
    whole = project.root / "data" / "measured" / "monthly" / "2026-09"
    estimates = read_table(whole / "estimates.parquet")
    rows = estimates[estimates["segment"] != "region"].reset_index(drop=True)
    is_now = (rows["segment"] == "all") & (rows["period"] == "2026-09")
    rows.loc[is_now & (rows["kpi"] == "nps"), ["apart", "value"]] = ["above", 30.0]
    rows.loc[is_now, ["peer_percentile", "peer_low", "peer_high"]] = [0.75, 0.5, 1.0]
    is_total = (estimates["segment"] == "all") & (estimates["period"] == "2026-09") & estimates["question"].isna()
    parts = {"north": (HOSTILE, rows), "gone": ("Gone", rows[rows["period"] < "2026-09"])}
    for audience, (title, own) in parts.items():
        write_table(own, whole / audience / "estimates.parquet", ESTIMATES, ESTIMATES_KEY)
        write_table(estimates[is_total], whole / audience / "whole.parquet", ESTIMATES, ESTIMATES_KEY)
        shutil.copyfile(whole / "mix.parquet", whole / audience / "mix.parquet")
        told = {"id": audience, "title": title, "by": "region", "levels": [audience]}
        (whole / audience / "audience.json").write_text(json.dumps(told))
    return project


def opened(project, audience):
    return open_pack("monthly", "2026-09", str(project.root), audience)


def html_lines(pack):
    """Return the lines of the first HTML card."""
    block = re.search(r"```\{=html\}\n(.*?)\n```", cards.kpi_cards(pack).text, re.DOTALL)[1]
    return [html.unescape(text) for text in re.findall(r"<p[^>]*>(.*?)</p>", block.partition("</li>")[0])]


def test_cards_show_everybody_and_the_place_among_the_others(project):
    """The leading card has the audience's value, everybody's, what the test of both says, and the audience's place."""
    lines = html_lines(opened(project, "north"))
    assert lines[1] == "30"
    assert f"All together 24; {HOSTILE} is above everyone else" in lines
    assert "Better than 75% of the others (50% to 100%)" in lines


def test_audience_names_come_out_as_text(project):
    """A level's name with marks of HTML and Typst is escaped in the cards of both formats."""
    text = cards.kpi_cards(opened(project, "north")).text
    assert "<script>" not in text.partition("{=typst}")[0]
    assert r"#set \"x\"" in text.partition("{=typst}")[2]


def test_everybodys_pack_says_nothing_of_audiences(project):
    """Without an audience the cards have no line on anybody else."""
    assert not any("ll together" in line or "others" in line for line in html_lines(opened(project, "")))


def test_own_segment_of_an_audience_is_no_division_of_its_pack(project):
    """A region's pack has no regions, nor KPIs that are not measured by region, in all that its pages show."""
    pack = opened(project, "north")
    assert "region" not in pack.segments
    assert "region" in opened(project, "").segments
    assert not {"enps", "public_rating", "lifetime_value"} & set(pack.kpis)
    shown = [tables.segment_tables(pack, pack.leading), tables.stand_outs(pack, pack.leading), wording.look_at(pack)]
    assert not re.search("South|West|Central", " ".join(part.text for part in shown))


def test_audience_without_answers_says_so(project):
    """All parts of the pages of an audience without rows in the period speak of no figure and show no NaN."""
    pack = opened(project, "gone")
    assert "There are no answers, cases or customers of Gone in September 2026." in wording.headline(pack).text
    parts = [
        *(wording.headline(pack), cards.kpi_cards(pack), wording.look_at(pack), wording.rests_on(pack)),
        *(tables.kpi_tables(pack), tables.targets_table(pack), tables.counts_table(pack), tables.changes_table(pack)),
        *(tables.segment_tables(pack, pack.leading), tables.headline_tables(pack), tables.questions_table(pack)),
        *(method.definitions(pack), method.comparisons(pack), wording.mix_summary(pack)),
    ]
    assert not re.search(r"\b(nan|NaN|None)\b", " ".join(part.text for part in parts))
    charts.trend(pack, pack.leading)


@pytest.mark.parametrize("audience", ["nroth", "../monthly", "all"])
def test_unknown_audiences_are_refused(project, audience):
    """Whatever is no audience of the period is an error, not a path."""
    with pytest.raises(UsageError, match="one of `gone`, `north`"):
        opened(project, audience)
