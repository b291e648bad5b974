"""The closed loop in words: what a verdict allows, nothing of what is hidden, and data only as text."""

import pytest

from cxreport.present import actions
from cxreport.present.words import Words

HOSTILE = "<script>alert(1)</script> [x](javascript:alert) #set page() \u202e*bold*"


def action(number, level, verdict, **more):
    """Return one row of the analysis; an effect of 18 points unless said otherwise."""
    row = {
        "action": f"A{number}",
        "started_on": f"2026-0{number}-14",
        "asked": "Nobody says when it works again",
        "description": f"Action {number}",
        "owner": "Network",
        "cost": 49_700.0,
        "told_on": "2026-05-17",
        "kpi": "csat",
        "column": "touchpoint",
        "level": level,
        "before_first": "2026-01",
        "before_last": "2026-03",
        "after_first": "2026-05",
        "after_last": "2026-07",
        "suppressed": "no",
        "low_base": False,
        "verdict": verdict,
    }
    if verdict in {"improved", "worsened", "no detectable change"}:
        row |= {"n_before": 501, "n_after": 473, "value_before": 0.62, "value_after": 0.80}
        row |= {"rest_n_before": 9000, "rest_n_after": 9100, "rest_value_before": 0.72, "rest_value_after": 0.72}
        row |= {"effect": 0.18, "ci_low": 0.118, "ci_high": 0.231, "p_value": 0.0001, "q_value": 0.0004}
        row |= {"moved_before": False, "was_low": True}
    return row | more


def pain(touchpoint, *, is_pain_point=True, **more):
    row = {"kpi": "csat", "touchpoint": touchpoint, "value": 0.48, "impact": 0.052, "suppressed": "no"}
    return row | {"is_pain_point": is_pain_point, "low_base": False} | more


@pytest.fixture
def pack(analysed):
    """A pack with an action of every kind, and four touchpoints that fall short or not."""
    small = {"effect": 0.01, "ci_low": -0.03, "ci_high": 0.05, "was_low": False}
    return analysed(
        actions=[
            action(1, "Outage notice", "improved"),
            action(2, "First bill", "no detectable change", **small, told_on=None),
            action(3, "Support call", "worsened", effect=-0.1, ci_low=-0.15, ci_high=-0.05, moved_before=True),
            action(4, "Cancellation", "too early", after_last="2026-11"),
            action(5, "Payment", "too few answers"),
            action(6, "vi", None, column="language", suppressed="complementary"),
            action(7, None, "not compared", column=None),
        ],
        pain_points=[
            pain("Installation visit"),
            pain("First bill"),
            pain("Help pages", is_pain_point=False),
            pain("Kiosk", suppressed="small base", is_pain_point=None),
        ],
    )


def cell(pack, name):
    """Return the last cell of the board's row that names an action."""
    [row] = [line for line in str(actions.board(pack)).splitlines() if f"| {name} " in line]
    return row.split(" | ")[-1]


def test_board_says_of_each_action_what_its_verdict_allows(pack):
    """Improved and worsened stand only with those verdicts, always with size, comparison and interval."""
    assert "**CSAT improved by 18 points** against everyone else (95% interval +11.8 to +23.1; n 501 and 473)" in cell(
        pack, "Action 1"
    )
    assert "from 62% to 80%, everyone else from 72% to 72%" in cell(pack, "Action 1")
    assert "no detectable change of CSAT" in cell(pack, "Action 2")
    assert "worsened by 10 points" in cell(pack, "Action 3")
    assert "before November 2026 is over" in cell(pack, "Action 4")
    assert "too few answers" in cell(pack, "Action 5")
    assert "to protect a small group" in cell(pack, "Action 6")
    assert "nobody to compare with" in cell(pack, "Action 7")
    for number in (2, 4, 5, 6, 7):
        assert "improved" not in cell(pack, f"Action {number}")


def test_board_tells_owner_start_cost_and_whether_customers_know(pack):
    """What an action was, for whom, why, by whom, since when and for how much stands in its row, newest first."""
    table = str(actions.board(pack))
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert [line.split("Action ")[1][0] for line in rows] == list("7654321")
    for text in ("Outage notice", "Nobody says when", "Network", "since 14 January 2026", "USD 49,700", "17 May 2026"):
        assert text in rows[-1]
    assert "not yet" in rows[-2]


def test_cautions_stand_where_an_effect_is_claimed(pack):
    """Low scores partly recover by themselves; groups that moved apart before are no fair comparison."""
    assert "partly recover by themselves" in cell(pack, "Action 1")
    assert "Caution" not in cell(pack, "Action 2")
    assert "moving apart before it began" in cell(pack, "Action 3")


def test_timeline_marks_where_each_action_began(pack, analysed):
    """The score's chart names the group of each action and when it began; without actions there is none."""
    chart = actions.timeline(pack)
    for group in ("Outage notice", "Support call", "Cancellation"):
        assert group in chart.svg
        assert f"{group} &#40;" in chart.caption
    assert str(actions.timeline(analysed(actions=[]))) == ""


def test_executive_page_hears_of_what_worked_first(pack):
    """Three lines, the effects found first, and a count of the others."""
    lines = str(actions.for_executive(pack)).splitlines()
    assert [line[4:12] for line in lines[:3]] == ["Action 3", "Action 1", "Action 2"]
    assert "(Outage notice, January 2026)" in lines[1]
    assert lines[1].endswith("Customers were told.")
    assert lines[2].endswith("Customers have not been told.")
    assert lines[3:] == ["- 4 further actions stand in the table of actions."]


def test_findings_without_an_action_are_named(pack):
    """Of the touchpoints that fall short one has no action; hidden ones are not named."""
    assert "no action concerns" in str(actions.still_open(pack))
    assert "Installation visit | 48% | 5 points" in str(actions.open_table(pack))
    assert "Kiosk" not in str(actions.open_table(pack))


def test_chart_draws_what_was_judged_and_tells_its_numbers(pack):
    """Three panels, each with its values in alternative text and table; nothing of hidden or untested actions."""
    [picture] = actions.effects(pack).pictures
    assert "Outage notice: from 62% to 80%, everyone else from 72% to 72%, +18.0 against others." in picture.alt
    assert "First bill: from 62% to 80%, everyone else from 72% to 72%, no detectable change." in picture.alt
    assert "| 501 and 473 |" in picture.data
    for hidden in ("Cancellation", "Payment", "Vietnamese", "vi "):
        assert hidden not in picture.alt + picture.data


def test_many_actions_take_several_pictures(analysed):
    """Seven judged actions stand in two pictures of four and three panels."""
    pack = analysed(actions=[action(number, "Payment", "improved") for number in range(1, 8)])
    assert [picture.alt.count("Payment") for picture in actions.effects(pack).pictures] == [4, 3]


def test_absent_analyses_are_said_in_a_line(analysed):
    """Without a log of actions or a journey each part says so or stays away."""
    pack = analysed()
    assert str(actions.board(pack)) == str(actions.for_executive(pack))
    assert str(actions.board(pack)).startswith("No improvements are on record")
    assert str(actions.reading(pack)) == str(actions.open_table(pack)) == ""
    assert str(actions.still_open(pack)).startswith("The journey was not measured")
    assert str(actions.effects(pack)) == "No action can be judged yet."


def test_texts_of_the_log_stay_texts(analysed):
    """What people write into the log is never markup."""
    names = dict.fromkeys(("asked", "description", "owner", "level"), HOSTILE)
    pack = analysed(actions=[action(1, HOSTILE, "improved") | names], pain_points=[pain(HOSTILE + "2")])
    [picture] = actions.effects(pack).pictures
    written = [actions.board(pack), actions.for_executive(pack), actions.still_open(pack), actions.open_table(pack)]
    for text in [*map(str, written), picture.data]:
        assert "<script" not in text
        assert "](" not in text
        assert "#set" not in text
        assert "\u202e" not in text
    assert "<script" not in picture.svg


def test_german_speaks_german(pack):
    """No English sentence is left where the report is German."""
    words = Words.open(pack.project, "de")
    pack.__dict__["words"] = words
    for kpi in pack.kpis.values():
        assert kpi.words
    said = " ".join(
        str(part(pack)) for part in (actions.board, actions.reading, actions.for_executive, actions.still_open)
    )
    assert "CSAT: um " in said
    assert "gegenüber allen anderen" in said
    for english in ("everyone", "Customers", "since", "improved", "Nothing"):
        assert english not in said
