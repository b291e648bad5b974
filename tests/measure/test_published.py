"""Tables of analyses tell no more of small groups than the estimates beside them."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from cxreport.config import Project, Segment, load_report
from cxreport.measure.cohorts import cohort_retention
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL
from cxreport.measure.published import Published, protect_tables
from cxreport.periods import Period


@pytest.fixture
def published(kpis, root) -> Published:
    """Estimates of two months: 200 answers to each of two KPIs, and a region that one month hides."""
    totals = [("nps", "", "2026-09", "all", "all", 200), ("csat", "", "2026-09", "all", "all", 200)]
    totals += [("nps", "", "2026-08", "all", "all", 100), ("item_mean", "clean", "2026-09", "all", "all", 200)]
    regions = [("nps", "", "2026-09", "region", "north", 120), ("nps", "", "2026-08", "region", "north", np.nan)]
    rows = pd.DataFrame(totals + regions, columns=["kpi", "question", "period", "segment", "level", "n"])
    rows["suppressed"] = np.where(rows["n"].isna(), SMALL, SHOWN)
    report = load_report(Project(root), "monthly")
    segments = {"region": Segment(id="region", title="Region", column="region")}
    return Published(rows, report, kpis, segments, Period.parse("2026-09"))


def protect(published: Published, **tables: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return protect_tables(tables, published)


def drivers(n: int, driver: str = "clean") -> pd.DataFrame:
    figures = {"n": [n], "share": [0.4], "performance": [0.7], "quadrant": ["keep up"], "note": ["association"]}
    return pd.DataFrame({"kpi": ["nps"], "driver": [driver], **figures})


@pytest.mark.parametrize(("n", "is_shown"), [(200, True), (196, False), (190, True), (150, True)])
def test_mean_of_complete_responses_does_not_tell_the_few_others(published, n, is_shown):
    """Beside the mean of all 200, that of 196 gives away four; the driver's share says nothing of them."""
    found = protect(published, drivers=drivers(n))["drivers"].iloc[0]
    assert pd.notna(found["performance"]) == is_shown
    assert pd.notna(found["quadrant"]) == is_shown
    assert found["share"] == 0.4


def test_rows_without_marks_lose_small_bases(published):
    """A driver on seven responses keeps its name."""
    found = protect(published, drivers=drivers(7))["drivers"].iloc[0]
    assert found[["n", "share", "performance"]].isna().all()
    assert found["driver"] == "clean"


def themes(n: int, n_without: int, n_sentiment: int) -> pd.DataFrame:
    figures = {"n": [n], "n_without": [n_without], "value_with": [0.5]}
    figures |= {"sentiment": [0.2], "n_sentiment": [n_sentiment]}
    return pd.DataFrame({"kpi": ["csat"], "theme": ["price"], **figures, "suppressed": [SHOWN]})


@pytest.mark.parametrize(("n_without", "mark"), [(160, SHOWN), (155, COMPLEMENTARY), (150, SHOWN), (80, SHOWN)])
def test_themes_do_not_tell_the_few_without_a_comment(published, n_without, mark):
    """Of 200 answers, 195 with a comment leave five, of which the score would follow."""
    found = protect(published, themes=themes(40, n_without, 30))["themes"].iloc[0]
    assert found["suppressed"] == mark
    assert pd.isna(found["value_with"]) == (mark != SHOWN)


def test_sentiment_needs_its_own_base(published):
    """Comments in other languages have no sentiment: four of 40 are too few."""
    found = protect(published, themes=themes(40, 160, 4))["themes"].iloc[0]
    assert found[["sentiment", "n_sentiment"]].isna().all()
    assert found["value_with"] == 0.5


def test_stage_does_not_tell_where_its_journeys_went_on(published):
    """Nine journeys went on to a hidden stage that holds at most nine."""
    funnel = pd.DataFrame({"place": [1, 2, 3], "stage": list("abc"), "n": [50.0, 30, np.nan]})
    funnel = funnel.assign(n_continued=[28, 9, np.nan], suppressed=[SHOWN, SHOWN, SMALL])
    found = protect(published, funnel=funnel)["funnel"]
    assert found["suppressed"].tolist() == [COMPLEMENTARY, COMPLEMENTARY, SMALL]
    assert found["n_continued"].isna().all()


@pytest.mark.parametrize(("several", "is_shown"), [(60, True), (55, False), (40, True)])
def test_journeys_of_one_contact_are_not_few(published, several, is_shown):
    """All journeys less those of several contacts are those of one."""
    switching = pd.DataFrame({"base": ["all", "several"], "n": [60.0, several], "n_switched": 20, "suppressed": SHOWN})
    found = protect(published, switching=switching)["switching"]
    assert (found["suppressed"] == SHOWN).all() == is_shown


def test_single_hidden_persona_takes_another_one(published):
    """Shares tell how many customers there are; traits go with their persona."""
    personas = pd.DataFrame({"persona": [1, 2, 3], "n": [50.0, 40, np.nan], "share": [0.5, 0.4, np.nan]})
    personas["suppressed"] = [SHOWN, SHOWN, SMALL]
    traits = pd.DataFrame({"persona": [1, 2], "feature": "orders", "value": 1.0})
    found = protect(published, personas=personas, persona_traits=traits)
    assert found["personas"]["suppressed"].tolist() == [SHOWN, COMPLEMENTARY, SMALL]
    assert found["persona_traits"]["persona"].tolist() == [1]


def test_tenths_of_the_risk_add_up_to_all_judged(published):
    """One hidden tenth would be the rest of those judged."""
    tenths = pd.DataFrame({"bin": [1, 2, 3], "n": [12.0, 12, np.nan], "observed": 0.1})
    tenths["suppressed"] = [SHOWN, SHOWN, SMALL]
    judgement = pd.DataFrame({"figure": ["auc"], "n": [33.0], "value": [0.7]})
    found = protect(published, churn_reliability=tenths, churn_judgement=judgement)["churn_reliability"]
    assert found["suppressed"].tolist() == [COMPLEMENTARY, SHOWN, SMALL]


@pytest.mark.parametrize(("mark", "rows"), [(SHOWN, 1), (COMPLEMENTARY, 0)])
def test_return_stands_on_a_shown_difference(published, mark, rows):
    """Customers kept, divided by customers moved, are the difference."""
    link = pd.DataFrame({"figure": ["difference"], "score_class": ["promoter"], "other_class": ["detractor"]})
    link = link.assign(n=90.0, value=0.1, suppressed=mark)
    roi = pd.DataFrame({"figure": ["customers_kept"], "value": [3.0]})
    assert len(protect(published, link=link, roi=roi)["roi"]) == rows


def subgroups(*groups: tuple[str, str | None, int]) -> pd.DataFrame:
    """Return groups of 300 answers: a region, a channel or none, and a base."""
    rows = [("nps", "region", a, "channel" if b else None, b, n, n / 300) for a, b, n in groups]
    named = ["kpi", "column", "level", "other_column", "other_level", "n", "share"]
    return pd.DataFrame(rows, columns=named).assign(suppressed=SHOWN)


def test_level_hidden_in_any_month_searched_is_hidden(published):
    """The north of three months less its shown ones is the hidden one."""
    found = protect(published, subgroups=subgroups(("north", None, 129), ("north", "web", 60), ("south", None, 90)))
    assert found["subgroups"]["suppressed"].tolist() == [COMPLEMENTARY, COMPLEMENTARY, SHOWN]


def test_crossing_leaves_no_few_of_its_level(published):
    """Two channels of the south leave four of it."""
    groups = subgroups(("south", None, 90), ("south", "web", 50), ("south", "app", 36))
    found = protect(published, subgroups=groups)["subgroups"]
    assert found["suppressed"].tolist() == [SHOWN, SHOWN, COMPLEMENTARY]
    assert found.loc[2, "share"] is None


def actions(*groups: tuple[str, str | None, int, int]) -> pd.DataFrame:
    """Return judged actions by touchpoint and region, each on so many of 300 answers before and 300 after."""
    names = ["level", "other_level", "n_before", "n_after"]
    table = pd.DataFrame(groups, columns=names).assign(kpi="csat", column="touchpoint", effect=0.1, verdict="improved")
    table["other_column"] = np.where(table["other_level"].isna(), None, "region")
    for when, period in (("before", "2026-05"), ("after", "2026-07")):
        table = table.assign(
            **{f"rest_n_{when}": 300 - table[f"n_{when}"], f"{when}_first": period, f"{when}_last": period}
        )
    return table.assign(suppressed=SHOWN, low_base=False)


@pytest.fixture
def at_touchpoints(published) -> Published:
    """Estimates of the periods that actions compare: three touchpoints, of which one is hidden in one of them."""
    rows = [
        ("csat", period, segment, level, n, SHOWN if n else SMALL)
        for period, bill in (("2026-05", 40), ("2026-07", None))
        for segment, level, n in [("all", "all", 300), ("touchpoint", "Visit", 100), ("touchpoint", "Bill", bill)]
    ]
    names = ["kpi", "period", "segment", "level", "n", "suppressed"]
    segments = {"touchpoint": Segment(id="touchpoint", title="Touchpoint", column="touchpoint")}
    return published._replace(estimates=pd.DataFrame(rows, columns=names).assign(question=""), segments=segments)


def test_action_at_a_level_that_is_hidden_before_or_after_is_hidden(at_touchpoints):
    """Bills are hidden after the action, so that even the months before it are not told."""
    found = protect(at_touchpoints, actions=actions(("Bill", None, 40, 40), ("Visit", None, 100, 100)))["actions"]
    assert found["suppressed"].tolist() == [COMPLEMENTARY, SHOWN]
    assert found.loc[0, ["n_before", "n_after", "effect", "verdict"]].isna().all()
    assert found.loc[1, "effect"] == 0.1


@pytest.mark.parametrize(("n_after", "mark"), [(95, COMPLEMENTARY), (90, SHOWN), (100, SHOWN)])
def test_action_for_a_part_of_a_touchpoint_leaves_no_few_of_it(at_touchpoints, n_after, mark):
    """Beside 100 visits, 95 of the north tell of five of other regions."""
    found = protect(at_touchpoints, actions=actions(("Visit", "north", 60, n_after)))["actions"]
    assert found["suppressed"].tolist() == [mark]


def test_actions_for_parts_leave_no_few_together(at_touchpoints):
    """Sixty and thirty-five of 100 visits leave five: the smaller part is hidden."""
    parts = actions(("Visit", "north", 60, 60), ("Visit", "south", 20, 35))
    assert protect(at_touchpoints, actions=parts)["actions"]["suppressed"].tolist() == [SHOWN, COMPLEMENTARY]


def test_tables_without_rows_stay(published):
    """Nothing to hide is no error."""
    empty = {"personas": pd.DataFrame(columns=["persona", "n", "share", "suppressed"]), "subgroups": subgroups()}
    assert all(table.empty for table in protect_tables(empty, published).values())


def test_small_cohort_takes_the_next_smallest():
    """All customers who started less those of the other quarters would be the four of one."""
    started = ["2025-02-01"] * 40 + ["2025-05-01"] * 4 + ["2025-08-01"] * 20
    customers = pd.DataFrame({"customer_id": range(64), "started_at": pd.to_datetime(started), "ended_at": pd.NaT})
    table = cohort_retention(customers, date(2025, 12, 31), horizons=[30]).set_index("cohort")
    assert table["suppressed"].tolist() == [SHOWN, SMALL, COMPLEMENTARY]
    assert table[["n", "at_risk", "survival"]].iloc[1:].isna().all(axis=None)
    assert table["n"].iloc[0] == 40


def comments_tables(n_topic: int, mark: str = SHOWN) -> dict[str, pd.DataFrame]:
    topics = {"kind": ["theme", "term"], "topic": ["price", "firmware"], "n": [n_topic, n_topic]}
    quotes = {"theme": ["price", "price"], "place": [1, 2], "quote": ["Too dear", "Cheap"], "is_good": [False, True]}
    return {
        "themes": themes(40, 160, 40).assign(suppressed=mark),
        "quotes": pd.DataFrame(quotes).assign(language="en"),
        "topics": pd.DataFrame(topics).assign(share=0.2),
    }


@pytest.mark.parametrize(("mark", "quotes"), [(SHOWN, 2), (COMPLEMENTARY, 0), (SMALL, 0)])
def test_hidden_themes_are_not_quoted(published, mark, quotes):
    """Quotes go with their theme."""
    assert len(protect(published, **comments_tables(60, mark))["quotes"]) == quotes


def test_themes_hidden_side_by_side_are_not_quoted(published):
    """Where all themes are hidden because few answers lack a comment, no quote is left."""
    tables = comments_tables(60) | {"themes": themes(40, 155, 40)}
    assert protect(published, **tables)["quotes"].empty


@pytest.mark.parametrize(("n", "topics"), [(40, 2), (43, 1), (49, 1), (31, 1), (50, 2), (30, 2)])
def test_topic_does_not_tell_of_few_comments_without_a_score(published, n, topics):
    """A theme among the topics goes where it counts a few more or fewer than its scored comments; a word stays."""
    found = protect(published, **comments_tables(n))["topics"]
    assert len(found) == topics
    assert "firmware" in set(found["topic"])
