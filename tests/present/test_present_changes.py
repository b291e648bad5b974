"""What changed is what the verdicts say, of totals and groups, and nothing that is hidden."""

from dataclasses import replace
from html import unescape

from cxreport.present import changes, tables
from cxreport.publish.exports.summary import summarise
from cxreport.publish.summary import Summary


def with_cells(pack, kpi, segment, level, **values):
    """Return the pack with some cells of one figure of the reported period replaced."""
    estimates = pack.estimates.copy()
    rows = (estimates["kpi"] == kpi) & (estimates["segment"] == segment) & (estimates["level"] == level)
    rows &= estimates["period"] == pack.period.id
    assert rows.sum() == 1
    for column, value in values.items():
        estimates.loc[rows, column] = value
    return replace(pack, estimates=estimates)


def said(pack):
    """Return the sentences as a reader sees them."""
    return [unescape(change.text) for change in changes.moves(pack)]


def test_every_verdict_of_a_change_is_told_once_and_no_other(monthly):
    """The figures that are told are those whose corrected test says that they rose or fell, and complete counts."""
    figures = [
        (figure, kpi)
        for kpi in monthly.kpis.values()
        for name in ("all", *monthly.segments)
        for figure in monthly.figures(kpi.id, name)
        if figure.question is None
    ]
    moved = [figure for figure, _ in figures if tables.happened(figure) in {"rose", "fell"}]
    counted = [
        figure for figure, _ in figures if tables.happened(figure) in {"more", "fewer"} and figure.level == "all"
    ]
    told = changes.moves(monthly)
    assert len(moved) > 1
    assert len(told) == len(moved) + len(counted)
    assert sum(change.is_group for change in told) == sum(figure.segment != "all" for figure in moved)
    assert "**NPS: fell 8 points to 24** (95% interval 20 to 27; 2,013 answers)" in said(monthly)


def test_way_is_judged_by_what_is_better(monthly):
    """A longer time is worse, a higher score is better; a complete count is neither."""
    longer = with_cells(monthly, "resolution_time", "all", "all", verdict="rose", change=300.0)
    higher = with_cells(monthly, "nps", "all", "all", verdict="rose", change=9.0)
    assert {change.look for change in changes.moves(longer) if "Resolution" in change.text} == {"worse"}
    assert {change.look for change in changes.moves(higher) if change.text.startswith("**NPS:")} == {"better"}
    counted = with_cells(
        monthly, "backlog", "all", "all", verdict="complete count: not tested", change=14.0, suppressed="no"
    )
    [backlog] = [change for change in changes.moves(counted) if change.look == "counted"]
    assert "14 more" in backlog.text


def test_hidden_figures_are_not_told(monthly):
    """A figure that protects a small group is named neither among the moves nor among what stayed."""
    hidden = with_cells(monthly, "nps", "all", "all", suppressed="complementary", verdict="fell")
    assert not [text for text in said(hidden) if text.startswith("**NPS:")]
    calm = with_cells(monthly, "nps", "all", "all", suppressed="complementary", verdict="no detectable change")
    assert "NPS" not in unescape(changes.unchanged(calm).text).partition(": ")[2].split(", ")


def test_summary_says_what_the_pack_says_in_plain_text(monthly):
    """Headline and moves are the pack's sentences without mark-up; the file gives back what was written."""
    made = summarise(monthly)
    assert Summary.from_json(made.as_json()) == made
    assert made.headline[0].startswith("NPS fell 8 points to 24 (95% interval 20 to 27) in September 2026")
    assert [move.text for move in made.moves] == [text.replace("**", "") for text in said(monthly)]
    assert made.unchanged.startswith("No detectable change overall in ")
    assert (made.since, made.audience) == ("2026-08", "")
    assert made.kpis["nps"] == "Net Promoter Score"


def test_summary_shows_hostile_names_as_they_are(monthly):
    """Marks of Markdown and HTML in names reach the summary as text."""
    hostile = "*x* <b>y</b> [z](javascript:1) $q$ `c` | # 1."
    kpis = monthly.kpis | {"nps": monthly.kpis["nps"].model_copy(update={"short": hostile})}
    made = summarise(replace(monthly, kpis=kpis))
    assert any(move.text.startswith(f"{hostile}: fell 8 points") for move in made.moves)
    assert made.headline[0].startswith(f"{hostile} fell 8 points")


def test_anything_else_is_an_empty_summary():
    """A file of another version or of another hand is no summary."""
    for text in ("", "[]", '{"headline": 1}', '{"moves": [{"look": "odd"}]}'):
        assert Summary.from_json(text) == Summary()
