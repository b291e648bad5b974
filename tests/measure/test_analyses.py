"""The analyses that a report names: made from accepted rows, written with fixed columns, and refused in words."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.config import Analyses, Project, Report, load_report
from cxreport.errors import DefinitionError
from cxreport.measure import measure
from cxreport.measure.analyses import (
    DONE,
    IMPOSSIBLE,
    NOTHING,
    analyse,
    check_analyses,
    read_analyses,
)
from cxreport.measure.analyses.company import complementary
from cxreport.measure.analyses.worth import _recurring
from cxreport.periods import Period
from cxreport.schema import ANALYSES, ESTIMATES, LISTS

SEPTEMBER = Period.parse("2026-09")
STAGES = ["join", "install", "use"]
JOURNEY = {"kpi": "csat", "stages": STAGES}
N = 600

Asked = dict[str, object]


@pytest.fixture
def report(project) -> Callable[..., Report]:
    """Return the monthly report cut down to two KPIs, two segments and the analyses asked for."""
    whole = load_report(project, "monthly")
    short = {
        "kpis": ["nps", "csat"],
        "headline": ["nps"],
        "segments": ["channel", "touchpoint"],
        "mix_segments": [],
        "targets": {},
    }

    def make(**asked: object) -> Report:
        analyses = Analyses.model_validate({"trend": False, **asked})
        return whole.model_copy(update={**short, "analyses": analyses})

    return make


@pytest.fixture
def month(write) -> Callable[..., None]:
    """Write a month in which opinion grows from one latent mood, loudest in emotion, silent in effort."""

    def write_month(name: str = "2026-09", n: int = N, seed: int = 5, order: int = 1, **columns: object) -> None:
        random = np.random.default_rng(seed)
        mood = random.normal(size=n)
        at = datetime.fromisoformat(f"{name}-10T12:00:00").replace(tzinfo=UTC)
        responses = pd.DataFrame({"response_id": [f"{name}-{i:04d}" for i in range(n)]}).assign(
            customer_id=[f"c{i:04d}" for i in range(n)],
            kind="relational",
            channel=random.choice(["web", "app", "phone"], n),
            stage=random.choice(STAGES, n),
            language="en",
            comment=np.where(mood < -1, "The bill is wrong, I am angry", "It was fine"),
            responded_at=at,
        )
        responses["touchpoint"] = responses["stage"].map({"join": "Shop", "install": "Visit", "use": "Line"})
        responses = responses.assign(**columns)
        scales = {"nps": (0, 10, 1.0), "csat": (1, 5, 0.8), "emotion": (1, 7, 2.0), "effort": (1, 7, 0.0)}
        answers = []
        for metric, (low, high, loudness) in scales.items():
            level = loudness * mood + random.normal(size=n)
            score = np.round(low + (high - low) / (1 + np.exp(-1 - level)))
            answers.append(
                responses[["response_id", "responded_at"]].assign(
                    question=metric, metric=metric, score=score, scale_low=low, scale_high=high, scale_good="high"
                )
            )
        write(name, "responses", responses[::order])
        write(name, "answers", pd.concat(answers)[::order])
        started = pd.to_datetime("2025-01-15", utc=True) + pd.to_timedelta(np.arange(n) % 400, unit="D")
        people = responses[["customer_id"]].assign(started_at=started, region="north", plan="basic", monthly_value=50.0)
        write(name, "customers", people)

    return write_month


def made(project: Project, report: Report) -> dict[str, pd.DataFrame]:
    """Make the analyses where nothing was measured, so that nothing is hidden by the estimates."""
    return analyse(project, report, SEPTEMBER, pd.DataFrame(columns=ESTIMATES.names))


def measured(project: Project, report: Report) -> dict[str, pd.DataFrame]:
    measure(project, report, SEPTEMBER)
    return read_analyses(project, report.id, SEPTEMBER)


def outcome(found: dict[str, pd.DataFrame], name: str) -> tuple[str, str]:
    row = found["analyses"].set_index("analysis").loc[name]
    return row["status"], row["note"]


# --- definitions ---------------------------------------------------------------------------------


def test_everything_wrong_is_listed_together(project, report, month):
    """KPIs, questions, columns, segments, measures and patterns that are not there stand in one error."""
    month()
    wrong = report(
        drivers={"kpi": "npss", "metrics": ["emotion", "emotoin"]},
        journey={"kpi": "backlog", "stages": STAGES},
        consistency={"csat": "chanel"},
        subgroups={"kpi": "csat", "attributes": ["regoin", "plan", "channel"]},
        personas={"columns": ["tenure", "orders"]},
        link={"kpi": "csat", "cost": 5},
        themes={"kpi": "nps", "dictionary": {"bill": ["(bill"]}},
    )
    with pytest.raises(DefinitionError) as error:
        check_analyses(project, wrong)
    found = error.value.found
    for text in ["`npss`", "`nps`?", "`backlog`", "`emotoin`", "`chanel`", "`regoin`", "`tenure`", "0 to 10", "`cost`"]:
        assert text in found, text
    assert "`themes`" in found
    assert "(bill" not in found.replace("`(bill`", "")
    for text in ["`emotion`,", "`plan`", "`orders`"]:
        assert text not in found


def test_stated_reports_name_what_is_there(project):
    """The reports that come with the project pass the check."""
    for name in ("monthly", "sfo"):
        check_analyses(project, load_report(project, name))


# --- refusals ------------------------------------------------------------------------------------


def test_company_of_answers_alone_is_told_what_it_lacks(project, report, answer):
    """Without customers, events and tickets every analysis of them is refused by name, and no table is written."""
    answer("2026-09", "nps", [9, 10, 3] * 40, (0, 10), channel="web")
    (project.accepted("sample", SEPTEMBER) / "customers.parquet").unlink()
    found = made(
        project,
        report(
            trend=True,
            drivers={"kpi": "nps", "metrics": ["success", "emotion"]},
            journey={**JOURNEY, "kpi": "nps"},
            cohorts="quarter",
            personas={"columns": ["orders", "tenure_days"]},
            churn={},
            link={"kpi": "nps"},
            themes={"kpi": "nps", "dictionary": {"bill": ["bill"]}},
        ).model_copy(update={"kpis": ["nps"]}),
    )
    statuses = found["analyses"].set_index("analysis")["status"]
    assert (statuses == IMPOSSIBLE).all()
    assert "`customers`" in outcome(found, "cohorts")[1]
    assert "`customers`" in outcome(found, "churn")[1]
    assert "`events`" in outcome(found, "funnel")[1]
    assert outcome(found, "switching")[1].startswith("no `tickets` and no `events`")
    assert set(found) == {"analyses", "series", "drivers"}
    assert found["drivers"]["share"].isna().all()


def test_what_is_not_asked_for_is_not_made(project, report, month):
    """A report without analyses has an empty table of outcomes and nothing else; earlier tables and lists go."""
    month()
    lists = project.measured("monthly", SEPTEMBER) / "lists"
    made(project, report(drivers={"kpi": "nps", "metrics": ["emotion", "effort"]}))
    lists.mkdir(exist_ok=True)
    (lists / "call_list.parquet").write_bytes(b"of an earlier run")
    found = made(project, report())
    assert set(found) == {"analyses"}
    assert found["analyses"].empty
    assert not list(lists.iterdir())


# --- tables --------------------------------------------------------------------------------------


def everything(report: Callable[..., Report]) -> Report:
    return report(
        trend=True,
        drivers={"kpi": "nps", "metrics": ["emotion", "effort"]},
        journey=JOURNEY,
        consistency={"csat": "channel"},
        cohorts="quarter",
        subgroups={"kpi": "csat", "attributes": ["channel", "stage"]},
        themes={"kpi": "csat", "dictionary": {"bill": ["bills?"], "fine": ["fine"]}},
    )


def test_same_rows_in_another_order_give_the_same_bytes(project, report, month):
    """All tables have the columns of the schema, and do not depend on the order of rows."""
    month()
    wanted = everything(report)
    estimates = measure(project, wanted, SEPTEMBER)
    folder = project.measured("monthly", SEPTEMBER)
    first = {path.name: path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}
    month(order=-1)
    analyse(project, wanted, SEPTEMBER, estimates)
    assert {path.name: path.read_bytes() for path in sorted(folder.rglob("*.parquet"))} == first
    for name, schema in ANALYSES.items():
        if (path := folder / f"{name}.parquet").is_file():
            assert pq.read_schema(path).remove_metadata() == schema, name


def test_drivers_rank_what_opinion_follows(project, report, month):
    """The question that carries the mood explains nearly all, the silent one next to nothing, both from 0 to 1."""
    month()
    found = made(project, report(drivers={"kpi": "nps", "metrics": ["effort", "emotion"]}))
    drivers = found["drivers"].set_index("driver")
    assert list(drivers.index) == ["emotion", "effort"]
    assert drivers.loc["emotion", "share"] > 0.9
    assert drivers["performance"].between(0.5, 1).all()
    assert outcome(found, "drivers") == (DONE, "association, not cause")


def test_effort_that_is_better_when_low_is_turned(project, report, month, write):
    """A driver whose low end is good has a positive correlation all the same."""
    month()
    path = project.accepted("sample", SEPTEMBER) / "answers.parquet"
    answers = pq.read_table(path).to_pandas()
    is_emotion = answers["metric"] == "emotion"
    answers.loc[is_emotion, "score"] = 8 - answers.loc[is_emotion, "score"]
    answers.loc[is_emotion, "scale_good"] = "low"
    write("2026-09", "answers", answers)
    drivers = made(project, report(drivers={"kpi": "nps", "metrics": ["effort", "emotion"]}))["drivers"]
    assert drivers.set_index("driver").loc["emotion", "correlation"] > 0.5


def test_few_responses_make_drivers_look_back(project, report, month):
    """Below 300 complete responses three months are used, and the note says so."""
    for name in ("2026-07", "2026-08", "2026-09"):
        month(name, n=120, seed=int(name[-2:]))
    found = made(project, report(drivers={"kpi": "nps", "metrics": ["effort", "emotion"]}))
    assert found["drivers"]["n"].unique().tolist() == [360]
    assert "answers from 2026-07 to 2026-09" in outcome(found, "drivers")[1]


def test_quotes_come_from_shown_themes_and_groups(project, report, month):
    """Themes are quoted in their customers' words; comments of a level that the estimates hide are not."""
    secret = "Only somebody of the smallest group could write of the blue zebra"
    usual = np.where(np.arange(N) % 2, "The bill is wrong again, and I am angry", "It was fine")
    month(comment=np.where(np.arange(N) < 5, secret, usual))
    path = project.accepted("sample", SEPTEMBER) / "responses.parquet"
    responses = pq.read_table(path).to_pandas()
    responses.loc[responses["comment"] == secret, "channel"] = "letter"
    pq.write_table(pa.Table.from_pandas(responses, pq.read_schema(path), preserve_index=False), path)
    wanted = report(themes={"kpi": "csat", "dictionary": {"bill": ["bills?"], "zebra": ["zebra", "bill"]}})
    found = measured(project, wanted)
    assert found["quotes"]["quote"].tolist() == ["The bill is wrong again, and I am angry"]
    assert secret not in found["quotes"].to_string()
    silent = report(themes={"kpi": "csat", "dictionary": {"bill": ["bills?"]}, "quotes": 0})
    assert made(project, silent)["quotes"].empty


def test_new_topic_is_found_in_surveys_that_ask_in_both_times(project, report, month):
    """A word that spreads is news; a survey that is new is not."""
    month("2026-08", comment="It was fine")
    spoken = np.where(np.arange(N) % 10 == 0, "Since the firmware it was fine", "It was fine")
    month(comment=spoken, survey=np.where(np.arange(N) < 300, "customer survey", "interviews"))
    wanted = report(themes={"kpi": "csat", "dictionary": {"bill": ["bills?"]}})
    assert outcome(made(project, wanted), "topics")[0] == IMPOSSIBLE
    month("2026-08", comment="It was fine", survey="customer survey")
    found = made(project, wanted)
    assert found["topics"]["topic"].tolist() == ["firmware"]
    assert found["topics"]["n"].tolist() == [30]
    assert outcome(found, "topics")[0] == DONE


def test_texts_without_a_score_are_counted_by_source(project, report, month):
    """Interviews come as responses without answers: they are counted with what they speak of, unless few do."""
    month(survey="customer survey")
    path = project.accepted("sample", SEPTEMBER) / "responses.parquet"
    responses = pq.read_table(path).to_pandas()
    texts = ["The bill is hard to read"] * 20 + ["All is well"] * 15 + ["I waited long"] * 3
    interviews = responses.head(38).assign(
        response_id=[f"i{i}" for i in range(38)], survey="interviews", comment=texts, customer_id=None
    )
    whole = pd.concat([responses, interviews])
    pq.write_table(pa.Table.from_pandas(whole, pq.read_schema(path), preserve_index=False), path)
    dictionary = {"bill": ["bills?"], "waiting": ["waited"], "zebra": ["zebra"]}
    found = made(project, report(themes={"kpi": "csat", "dictionary": dictionary}))
    rows = found["texts"].fillna({"theme": "all"}).set_index("theme")
    assert set(rows["source"]) == {"interviews"}
    assert rows.loc[["all", "bill", "zebra"], "n"].tolist() == [38, 20, 0]
    assert rows.loc["waiting", "suppressed"] == "small base"
    assert pd.isna(rows.loc["waiting", "n"])
    # The comments with a score are no fewer and no more for it.
    assert found["themes"].set_index("theme").loc["bill", ["n", "n_without"]].sum() == N


def test_themes_tell_which_comments_score_low(project, report, month):
    """The theme of the unhappy pulls the score down and sounds worse."""
    month()
    found = made(
        project, report(themes={"kpi": "csat", "dictionary": {"bill": ["bills?"], "fine": ["fine"], "rare": ["zebra"]}})
    )
    themes = found["themes"].set_index("theme")
    assert themes.loc["bill", "difference"] < -0.2
    assert themes.loc["bill", "sentiment"] < 0 < themes.loc["fine", "sentiment"]
    assert themes.loc["rare", "suppressed"] == "small base"
    hidden = themes.loc["rare"].drop(["kpi", "suppressed", "method"])
    assert hidden.isna().all()


# --- small groups --------------------------------------------------------------------------------


def test_small_touchpoint_hides_another_of_the_journey(project, report, month):
    """Seven answers at a touchpoint are hidden, and so is one more, so that nobody subtracts."""
    touchpoints = np.array(["Visit"] * 300 + ["Kit"] * 7 + ["Line"] * 200 + ["Box"] * 93)
    stages = np.array(["install"] * 307 + ["use"] * 293)
    month(touchpoint=touchpoints, stage=stages)
    found = measured(project, report(journey=JOURNEY))
    assert outcome(found, "journey")[0] != IMPOSSIBLE
    for name in ("journey", "pain_points"):
        table = found[name].set_index("touchpoint")
        assert table.loc["Kit", "suppressed"] == "small base"
        assert table.loc[["Visit", "Line", "Box"], "suppressed"].eq("complementary").any()
        hidden = table[table["suppressed"] != "no"].drop(columns=["kpi", "stage", "suppressed", "low_base"])
        assert hidden.isna().all(axis=None)
        assert table.loc[table["suppressed"] == "no", "n"].notna().all()
    estimates = pd.read_parquet(project.measured("monthly", SEPTEMBER) / "estimates.parquet")
    marks = estimates[(estimates["kpi"] == "csat") & (estimates["segment"] == "touchpoint")].set_index("level")
    shown_there = set(marks.index[marks["suppressed"] == "no"])
    shown_here = set(found["journey"].loc[found["journey"]["suppressed"] == "no", "touchpoint"])
    assert shown_here <= shown_there


def test_few_answers_without_a_stage_stop_the_journey(project, report, month):
    """Where the whole less the stages would tell of four people, no stage is scored."""
    stages = np.array(["use"] * (N - 4) + [None] * 4, dtype=object)
    month(stage=stages, touchpoint=np.where(pd.isna(stages), None, "Line"))
    found = made(project, report(journey=JOURNEY))
    assert outcome(found, "journey")[0] == IMPOSSIBLE
    assert "journey" not in found


def test_subgroups_of_hidden_levels_stay_hidden(project, report, month):
    """A level that the estimates hide is not told by a subgroup, nor are its customers listed."""
    month()
    wanted = report(subgroups={"kpi": "csat", "attributes": ["channel", "mood"], "depth": 1})
    path = project.accepted("sample", SEPTEMBER) / "responses.parquet"
    responses = pq.read_table(path).to_pandas()
    scores = pq.read_table(project.accepted("sample", SEPTEMBER) / "answers.parquet").to_pandas()
    low = scores[(scores["metric"] == "csat") & (scores["score"] <= 3)]["response_id"]
    responses["channel"] = np.where(responses["response_id"].isin(low), "phone", "web")
    responses.drop(columns="mood", errors="ignore").assign(mood="all alike").to_parquet(path, index=False)
    estimates = measure(project, wanted, SEPTEMBER)
    found = read_analyses(project, "monthly", SEPTEMBER)["subgroups"]
    assert found["status"].tolist() == ["confirmed"]
    lists = project.measured("monthly", SEPTEMBER) / "lists" / "subgroups.parquet"
    assert pq.read_schema(lists).remove_metadata() == LISTS["subgroups"]
    assert sorted(pd.read_parquet(lists)["customer_id"].unique()) == pd.read_parquet(lists)["customer_id"].tolist()
    level = found["level"].iloc[0]
    hidden = estimates.assign(
        suppressed=estimates["suppressed"].mask(estimates["level"] == level, "complementary").to_numpy()
    )
    again = analyse(project, wanted, SEPTEMBER, hidden)["subgroups"]
    assert again["suppressed"].tolist() == ["complementary"]
    assert again[["n", "value", "difference", "p_value", "status"]].isna().all(axis=None)
    assert not lists.exists()


@given(st.lists(st.integers(0, 60), min_size=2, max_size=8), st.integers(2, 12))
def test_hidden_bases_are_never_alone_and_never_few(sizes, limit):
    """All bases below the limit are hidden, and what is hidden is at least two bases that reach it, or all."""
    n = pd.Series(sizes)
    hidden = np.array(complementary(n, limit)) != "no"
    assert hidden[(n > 0) & (n < limit)].all()
    assert not hidden[n == 0].any()
    assert not hidden.any() or hidden[n > 0].all() or (hidden.sum() > 1 and n[hidden].sum() >= limit)


# --- money ---------------------------------------------------------------------------------------


def test_recurring_value_counts_the_days_between():
    """A spell brings its monthly value for its days inside the window, two spells add up, one outside brings none."""
    at, end = pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2027-01-01", tz="UTC")
    spells = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c"],
            "started_at": pd.to_datetime(["2025-06-01", "2026-07-01", "2024-01-01", "2026-12-22"], utc=True),
            "ended_at": pd.to_datetime(["2026-07-01", None, "2025-12-31", None], utc=True),
            "monthly_value": [10.0, 20.0, 99.0, 30.0],
        }
    )
    months = 365.25 / 12
    expected = {"a": (181 * 10 + 184 * 20) / months, "b": 0.0, "c": 10 * 30 / months}
    assert _recurring(spells, at, end).to_dict() == pytest.approx(expected)


def test_link_needs_answers_from_before(project, report, month):
    """A report whose first answers are too young has no link, and says which month it needs."""
    month()
    found = made(project, report(link={"kpi": "nps", "months_ago": 6}))
    assert outcome(found, "link")[0] == IMPOSSIBLE
    assert "2026-04" in outcome(found, "link")[1]


def test_link_counts_who_stayed(project, report, month, write):
    """Detractors who left and promoters who stayed are shares of their classes; the first month's scores count."""
    month("2026-03")
    month("2026-09", seed=6)
    answers = pq.read_table(project.accepted("sample", Period.parse("2026-03")) / "answers.parquet").to_pandas()
    scores = answers[answers["metric"] == "nps"].merge(
        pq.read_table(project.accepted("sample", Period.parse("2026-03")) / "responses.parquet").to_pandas()[
            ["response_id", "customer_id"]
        ]
    )
    score = scores.set_index("customer_id")["score"]
    leaves = (score <= 6) & (np.arange(len(score)) % 2 == 0)
    people = pd.DataFrame({"customer_id": score.index, "region": "north", "plan": "basic", "monthly_value": 50.0})
    people["started_at"] = pd.to_datetime("2025-01-15", utc=True) + pd.to_timedelta(np.arange(N) % 300, unit="D")
    people["monthly_value"] += np.arange(N) % 7
    people["ended_at"] = pd.Series(leaves.to_numpy()).map({True: datetime(2026, 6, 15, tzinfo=UTC), False: None})
    write("2026-09", "customers", people)
    found = made(project, report(link={"kpi": "nps", "months_ago": 6}))
    classes = found["link"][found["link"]["figure"] == "class"].set_index("score_class")
    assert classes.loc["detractor", "n"] == (score <= 6).sum()
    assert classes.loc["detractor", "value"] == pytest.approx(1 - leaves.sum() / (score <= 6).sum())
    assert classes.loc["promoter", "value"] == 1
    assert "revenue from monthly values" in outcome(found, "link")[1]


# --- customers -----------------------------------------------------------------------------------


def test_personas_of_alike_customers_are_not_found(project, report, month):
    """Customers who differ in one measure only are no groups; their list is not written."""
    month(n=200)
    found = made(project, report(personas={"columns": ["tenure_days", "surveys_answered"]}))
    assert outcome(found, "personas")[0] == NOTHING
    assert found["personas"].empty
    assert not (project.measured("monthly", SEPTEMBER) / "lists" / "personas.parquet").exists()
