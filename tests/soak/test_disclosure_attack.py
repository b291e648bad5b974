"""No group that a measured pack hides can be worked out from its total and the groups that it shows."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxreport.config import Project, load_report
from cxreport.measure import measure
from cxreport.periods import Period
from cxreport.schema import TABLES, TEXT

SEPTEMBER = Period.parse("2026-09")
LIMIT = 10
BREAKDOWN = ["kpi", "question", "period", "segment"]
FIGURES = [
    *("n", "n_eff", "n_top", "n_bottom", "value", "ci_low", "ci_high", "se", "share", "previous", "change"),
    *("change_ci_low", "change_ci_high", "p_value", "q_value", "usual_low", "usual_mid", "usual_high", "note"),
]
LEVELS = {
    "channel": ["web", "app", "phone", "chat", None],
    "language": ["en", "es", "zh", "vi"],
    "stage": ["join", "use", "support", "pay", "leave", None],
    "touchpoint": ["Bill", "Help desk", "Installation visit", None],
}
PEOPLE = {"region": ["north", "east", "south", "west", "central", None], "plan": ["basic", "plus", "premium"]}


@pytest.fixture(scope="session")
def project(root, tmp_path_factory):
    """The project's definitions and benchmarks, without rows."""
    target = tmp_path_factory.mktemp("disclosure") / "project"
    shutil.copytree(root / "reports", target / "reports", ignore=shutil.ignore_patterns("output"))
    shutil.copytree(root / "data" / "reference", target / "data" / "reference")
    return Project(target)


# --- random companies ----------------------------------------------------------------------------


def drawn(levels, n, random):
    """Draw levels of which some are rare."""
    chances = random.dirichlet(np.full(len(levels), random.choice([0.15, 0.5, 2])))
    return np.array(levels, dtype=object)[random.choice(len(levels), n, p=chances)]


def write(project, month, table, rows):
    """Write accepted rows of a month; absent columns are null."""
    schema = TABLES[table].schema().append(pa.field("period", TEXT))
    columns = [
        pa.array(rows[field.name], field.type, from_pandas=True)
        if field.name in rows
        else pa.nulls(len(rows), field.type)
        for field in schema.remove(schema.get_field_index("period"))
    ]
    path = project.accepted("sample", Period.parse(month)) / f"{table}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns.append(pa.array([month] * len(rows), TEXT))
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)


def write_company(project, random):
    """Write two months of a company of random size with random groups; return its answers beside their groups."""
    people = int(random.integers(20, 400))
    customers = pd.DataFrame({"customer_id": [f"c{i}" for i in range(people)]})
    customers = customers.assign(**{name: drawn(levels, people, random) for name, levels in PEOPLE.items()})
    facts = []
    for month in ("2026-08", "2026-09"):
        n = int(random.integers(15, 400))
        responses = pd.DataFrame({"response_id": [f"{month}-{i}" for i in range(n)]})
        responses["customer_id"] = random.choice(customers["customer_id"], n)
        responses = responses.assign(**{name: drawn(levels, n, random) for name, levels in LEVELS.items()})
        answers = pd.concat(
            [
                responses[["response_id"]]
                .assign(question=metric, metric=metric, scale_low=low, scale_high=high)
                .assign(score=random.integers(low, high + 1, n).astype(float))
                .sample(frac=random.uniform(0.3, 1), random_state=int(random.integers(2**31)))
                for metric, low, high in (("nps", 0, 10), ("csat", 1, 5), ("ces_v2", 1, 7), ("ces_v1", 1, 5))
            ],
            ignore_index=True,
        )
        answers["responded_at"] = responses["responded_at"] = datetime(2026, 9, 1, tzinfo=UTC)
        tickets = pd.DataFrame({"ticket_id": [f"{month}-{i}" for i in range(n)]})
        tickets["customer_id"] = random.choice(customers["customer_id"], n)
        tickets["channel"] = drawn(LEVELS["channel"], n, random)
        tickets["reply_minutes"], tickets["resolution_minutes"] = random.lognormal(4, 1, (2, n))
        invitations = tickets[["customer_id", "channel"]].assign(invitation_id=tickets["ticket_id"], response_id=None)
        invitations.loc[random.random(n) < 0.4, "response_id"] = "r"
        tables = {"customers": customers, "responses": responses, "answers": answers}
        for table, rows in (tables | {"tickets": tickets, "invitations": invitations}).items():
            write(project, month, table, rows)
        wide = answers.merge(responses.drop(columns="responded_at"), on="response_id")
        facts.append(wide.merge(customers, on="customer_id").assign(period=month))
    return pd.concat(facts, ignore_index=True)


# --- the attack ----------------------------------------------------------------------------------


def attack(estimates):
    """Subtract from each total what is shown of a segment; returns what that leaves, and of how many levels.

    One row per breakdown that hides a level and whose total is shown: `left_n`, `left_sum` (of the figure) and
    `levels` (the hidden ones' names).
    """
    rows = estimates.assign(question=estimates["question"].fillna(""), n=estimates["n"].astype(float))
    shown = rows[rows["suppressed"] == "no"].assign(sum=lambda one: one["n"] * one["value"])
    totals = shown[shown["segment"] == "all"].set_index(["kpi", "question", "period"])[["n", "sum"]]
    found = []
    for key, levels in rows[rows["segment"] != "all"].groupby(BREAKDOWN):
        hidden = levels.loc[levels["suppressed"] != "no", "level"].tolist()
        if hidden and key[:3] in totals.index:
            visible = shown.loc[shown.index.isin(levels.index), ["n", "sum"]].sum()
            left = totals.loc[key[:3]] - visible
            found.append((*key, left["n"], left["sum"], hidden))
    return pd.DataFrame(found, columns=[*BREAKDOWN, "left_n", "left_sum", "levels"])


def true_bases(facts, kpi, segment, period):
    """Return the answers of each level as they were written, level to base."""
    chosen = facts[(facts["metric"] == kpi) & (facts["period"] == period)]
    return chosen.groupby(chosen[segment].fillna("(not stated)"))["score"].count().to_dict()


def require_protected(project, estimates, facts):
    """Demand that hidden rows hold nothing and that no subtraction isolates one."""
    hidden = estimates[estimates["suppressed"] != "no"]
    assert hidden[FIGURES].isna().all(axis=None)
    assert (estimates.loc[estimates["suppressed"] == "no", "n"] >= LIMIT).all()
    guesses = attack(estimates)
    assert (guesses["levels"].map(len) > 1).all()
    assert (guesses["left_n"] >= LIMIT).all()
    for guess in guesses[guesses["kpi"].isin(["nps", "csat", "ces_v1", "ces_v2"])].itertuples():
        truth = true_bases(facts, guess.kpi, guess.segment, guess.period)
        bases = [truth[level] for level in guess.levels]
        assert sum(bases) == guess.left_n
        assert guess.left_n not in bases
    # A hidden total hides all its levels, which would add up to it.
    is_total = estimates["segment"] == "all"
    keys = ["kpi", "period"]
    unknown = hidden[is_total.reindex(hidden.index)][keys].apply(tuple, axis="columns").tolist()
    below = estimates[~is_total & estimates[keys].apply(tuple, axis="columns").isin(unknown)]
    assert (below["suppressed"] != "no").all()
    require_protected_mix(project, estimates)
    return len(guesses)


def require_protected_mix(project, estimates):
    """Demand that the split of the change hides what either month hides, and that no share is left alone."""
    mix = pd.read_parquet(project.measured("monthly", SEPTEMBER) / "mix.parquet")
    figures = mix.columns.difference(["kpi", "period", "segment", "level", "suppressed"])
    assert mix.loc[mix["suppressed"] != "no", figures].isna().all(axis=None)
    for segment, levels in mix[mix["level"] != "all"].groupby("segment"):
        hidden = set(levels.loc[levels["suppressed"] != "no", "level"])
        assert len(hidden) != 1
        named = estimates[(estimates["kpi"] == "nps") & (estimates["segment"] == segment)]
        for side, period in (("before", "2026-08"), ("after", "2026-09")):
            month = named[named["period"] == period]
            secret = set(month.loc[month["suppressed"] != "no", "level"])
            assert secret <= hidden
            # What the shares leave belongs to several levels that are there in that month.
            left = 1 - levels[f"share_{side}"].sum()
            assert not secret or (len(hidden & set(month["level"])) > 1 and left > 0)


@pytest.mark.parametrize(
    ("packs", "kpis"),
    [(10, ["nps"]), pytest.param(200, None, marks=pytest.mark.soak)],
    ids=["one KPI", "all KPIs"],
)
def test_hidden_groups_cannot_be_worked_out(project, packs, kpis):
    """Random companies with rare groups: for every KPI, month and segment, subtraction leaves no single group."""
    report = load_report(project, "monthly")
    if kpis:
        report = report.model_copy(update={"kpis": kpis, "headline": kpis, "targets": {}})
    guesses = 0
    for pack in range(packs):
        facts = write_company(project, np.random.default_rng([packs, pack]))
        estimates = measure(project, report, SEPTEMBER)
        guesses += require_protected(project, estimates, facts)
    assert guesses > packs
