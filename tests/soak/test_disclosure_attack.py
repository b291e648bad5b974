"""Nothing that a pack hides can be worked out from all that it and the issue before it show.

The attack knows nothing of how groups are hidden. It writes down what a reader knows as linear programs: the counts of
answers by score in every hidden group are unknown, every shown figure is a sum of them, groups add up, nest and cross,
and the marks bound them.
"""

import shutil
from datetime import UTC, datetime
from itertools import combinations, product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.optimize import linprog

from cxreport.config import Analyses, Audiences, Base, Project, Segment, load_dataset, load_kpis, load_report
from cxreport.measure import measure
from cxreport.measure.disclosure import SHOWN, SMALL, apply_issued, find_margins, suppress
from cxreport.measure.published import Published, protect_tables
from cxreport.periods import Period
from cxreport.sample import write_sample
from cxreport.schema import TABLES, TEXT
from cxreport.sources import ingest
from cxreport.validate import validate

SEPTEMBER = Period.parse("2026-09")
# The random packs, of 200, that every run attacks: one of each way in which two issues are drawn.
ORDINARY = range(7, 10)
# More answers of one score than any group here has: a bound where nothing else is one.
UNKNOWN = 10_000

BLOCK = ["base", "question", "period"]
CELL = ["segment", "level"]
KEY = ["kpi", "question", "period", *CELL]
REGIONS = ["north", "east", "south", "west", "(not stated)"]
STAGES = {
    "use": ["app", "website"],
    "support": ["help desk", "visit", "chat bot"],
    "pay": ["bill"],
    "(not stated)": ["(not stated)"],
}
# The metric of each KPI.
MEASURED = {
    "nps": "nps",
    "nps_weighted": "nps",
    "csat": "csat",
    "csat_average": "csat",
    "item_mean": "item",
    "item_top_two": "item",
}


@pytest.fixture(scope="module")
def kpis(root):
    """KPIs of which three pairs stand on the same answers."""
    known = load_kpis(Project(root))
    average = known["item_mean"].model_copy(
        update={
            "id": "csat_average",
            "where": {"metric": "csat"},
            "per_question": False,
            "scale": known["csat"].scale,
            "minimum_base": Base(suppress=12, warn=30),
        }
    )
    return {kpi_id: known.get(kpi_id, average) for kpi_id in MEASURED}


# --- random packs --------------------------------------------------------------------------------


def drawn(levels, n, random):
    """Draw levels of which some are rare."""
    chances = random.dirichlet(np.full(len(levels), random.choice([0.3, 0.7, 2])))
    return np.array(levels, dtype=object)[random.choice(len(levels), n, p=chances)]


def draw_answers(n, random):
    """Draw responses of two months in nested, partly equal and crossed groups, and their answers to four questions."""
    people = pd.DataFrame({"period": random.choice(["2026-08", "2026-09"], n), "region": drawn(REGIONS, n, random)})
    people["plan"] = np.where(people["region"] == "(not stated)", "(not stated)", drawn(["basic", "plus"], n, random))
    people["touchpoint"] = drawn([one for several in STAGES.values() for one in several], n, random)
    people["stage"] = people["touchpoint"].map({one: stage for stage, several in STAGES.items() for one in several})
    people["channel"] = drawn(["web", "app", "phone", "chat"], n, random)
    asked = [("nps", "", 0, 10), ("csat", "", 1, 5), ("item", "clean", 1, 5), ("item", "quick", 1, 5)]
    mood = random.beta(*random.choice([[1.5, 1], [6, 0.3], [0.3, 4]]), n)
    return pd.concat(
        [
            people.assign(metric=metric, question=question, score=np.round(low + (high - low) * mood)).loc[
                random.random(n) < random.uniform(0.5, 1)
            ]
            for metric, question, low, high in asked
        ],
        ignore_index=True,
    )


def crossed(answers):
    """Add region by channel, as a group of its own."""
    return answers.assign(**{"region*channel": answers["region"] + " | " + answers["channel"]})


def tabulate(answers, segments, kpis):
    """Return unprotected estimates, recomputed here from the answers."""
    long = pd.concat(
        [
            answers.assign(segment=segment, level=answers[segment] if segment != "all" else "all")
            for segment in ["all", *segments]
        ]
    )
    tables = []
    for kpi_id, metric in MEASURED.items():
        kpi = kpis[kpi_id]
        rows = long[long["metric"] == metric]
        rows = rows.assign(top=rows["score"].isin(kpi.top), bottom=rows["score"].isin(kpi.bottom))
        table = (
            rows.groupby(["question", "period", *CELL])
            .agg(
                n=("score", "size"),
                n_top=("top", "sum"),
                n_bottom=("bottom", "sum"),
                value=("score", "mean"),
                se=("score", lambda scores: scores.std(ddof=0) / np.sqrt(max(len(scores) - 1, 1))),
            )
            .reset_index()
        )
        if kpi.type != "mean":
            table["value"] = (table["n_top"] - table["n_bottom"]) / table["n"] * (100 if kpi.type == "net" else 1)
        tables.append(table.assign(kpi=kpi_id, period_kind="month"))
    return pd.concat(tables, ignore_index=True)


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


def write_company(project, random, regions=REGIONS):
    """Write the answers of two months of a company of random size with random groups; return them with their groups."""
    people = int(random.integers(20, 400))
    customers = pd.DataFrame({"customer_id": [f"c{i}" for i in range(people)]})
    customers = customers.assign(region=drawn(regions, people, random), plan=drawn(["basic", "plus"], people, random))
    facts = []
    for month in ("2026-08", "2026-09"):
        n = int(random.integers(15, 400))
        responses = draw_answers(n, random).drop_duplicates(["touchpoint", "channel"], ignore_index=True)
        chosen = random.integers(0, len(responses), n)
        responses = responses.loc[chosen, ["touchpoint", "stage", "channel"]].reset_index(drop=True)
        responses["response_id"] = [f"{month}-{i}" for i in range(n)]
        responses["customer_id"] = random.choice(customers["customer_id"], n)
        responses["language"] = drawn(["en", "es", "zh", "vi"], n, random)
        responses["responded_at"] = datetime(2026, 9, 1, tzinfo=UTC)
        asked = [("nps", 0, 10), ("csat", 1, 5)]
        answers = pd.concat(
            [
                responses[["response_id", "responded_at"]]
                .assign(question=metric, metric=metric, scale_low=low, scale_high=high)
                .assign(score=random.integers(low, high + 1, n).astype(float))
                .sample(frac=random.uniform(0.3, 1), random_state=int(random.integers(2**31)))
                for metric, low, high in asked
            ],
            ignore_index=True,
        )
        stored = {"customers": customers, "responses": responses, "answers": answers}
        for table, rows in stored.items():
            write(project, month, table, rows.replace("(not stated)", None))
        wide = answers.merge(responses.drop(columns="responded_at"), on="response_id")
        facts.append(wide.merge(customers, on="customer_id").assign(period=month))
    return pd.concat(facts, ignore_index=True)


def levels_of(answers, segments):
    """Return the combinations of levels by period: how the groups nest and cross."""
    return {period: rows[segments].drop_duplicates() for period, rows in answers.groupby("period")}


def protect(rows, kpis, structure, earlier=()):
    """Publish an issue."""
    margins = {("answers", period): find_margins(levels) for period, levels in structure.items()}
    return suppress(apply_issued(rows, kpis, earlier), kpis, margins)


# --- the attack ----------------------------------------------------------------------------------


def sums_of(cells, levels):
    """List what adds up to what: pairs of sets of cells that hold the same answers."""
    segments = sorted({segment for segment, _ in cells} - {"all"})
    found = [({("all", "all")}, {cell for cell in cells if cell[0] == segment}) for segment in segments]
    for left, right in combinations([segment for segment in segments if segment in levels], 2):
        pairs = set(zip(levels[left], levels[right], strict=True))
        while pairs:
            a, b = pairs.pop()
            lefts, rights = {a}, {b}
            while more := {(x, y) for x, y in pairs if x in lefts or y in rights}:
                pairs -= more
                lefts, rights = lefts | {x for x, _ in more}, rights | {y for _, y in more}
            found.append(({(left, x) for x in lefts} & cells, {(right, y) for y in rights} & cells))
    return found


def scores_of(kpi):
    """Return what an answer of each point of the scale adds to the figure."""
    points = np.arange(kpi.scale.low, kpi.scale.high + 1)
    return points if kpi.type == "mean" else np.isin(points, kpi.top) - np.isin(points, kpi.bottom).astype(float)


class Knowledge:
    """What a reader knows of one base, question and period from several issues, as linear constraints.

    The unknowns are the answers by point of the scale in each hidden cell of each issue.
    """

    def __init__(self, issues, levels, kpis):
        named = sorted({kpi_id for issue in issues for kpi_id in issue["kpi"]})
        self.kpis = {kpi_id: kpis[kpi_id] for kpi_id in named}
        self.scores = {kpi_id: scores_of(kpi) for kpi_id, kpi in self.kpis.items()}
        self.points = len(next(iter(self.scores.values())))
        self.limit = max(kpi.minimum_base.suppress for kpi in self.kpis.values())
        self.shown, self.hidden, self.marks = {}, [], {}
        for number, issue in enumerate(issues):
            for cell, rows in issue.groupby(CELL):
                visible = rows[rows["suppressed"] == SHOWN]
                if len(visible):
                    self.shown[number, cell] = self.read(visible)
                # A figure that one KPI hides is no secret where another one tells the base.
                if len(visible) < len(rows):
                    self.hidden.append((number, cell))
                    self.marks[number, cell] = set(rows["suppressed"])
        self.constrain(issues, levels)

    def read(self, rows):
        """Return base and sums of a shown cell: per KPI the sum of scores and of their squares."""
        sums = {}
        for row in rows.to_dict("records"):
            n = sums["n"] = row["n"]
            if self.kpis[row["kpi"]].type == "mean":
                sums[row["kpi"], 1] = n * row["value"]
                sums[row["kpi"], 2] = n * (n - 1) * row["se"] ** 2 + n * row["value"] ** 2
            else:
                bottom = row["n_bottom"] if self.kpis[row["kpi"]].bottom else 0
                sums[row["kpi"], 1], sums[row["kpi"], 2] = row["n_top"] - bottom, row["n_top"] + bottom
        return sums

    def constrain(self, issues, levels):
        """Gather equalities `a x = b` and inequalities `c x <= d`, and all sums that leave hidden cells over."""
        self.a, self.b, self.c, self.d, self.left = [], [], [], [], []
        for number, issue in enumerate(issues):
            for whole, parts in sums_of(set(issue[CELL].itertuples(index=False, name=None)), levels):
                self.add_up({(number, cell): 1 if cell in whole else -1 for cell in whole | parts})
        everyone = np.ones(self.points)
        for number, cell in self.hidden:
            count = self.row({(number, cell): everyone})
            self.bound(-count, -1)
            if SMALL in self.marks[number, cell]:
                self.bound(count, self.limit - 1)
        # Answers only arrive: no base shrinks from issue to issue.
        for cell, (earlier, later) in product(
            sorted({cell for _, cell in self.hidden}), combinations(range(len(issues)), 2)
        ):
            ends = {(earlier, cell): -1, (later, cell): 1}
            if all(end in self.hidden or end in self.shown for end in ends):
                row = self.row({end: -sign * everyone for end, sign in ends.items() if end in self.hidden})
                self.bound(row, sum(sign * self.shown[end]["n"] for end, sign in ends.items() if end in self.shown))

    def add_up(self, sign):
        """Note that some cells, counted with these signs, add up to nothing, in all that is known of them."""
        hidden = [end for end in sign if end in self.hidden]
        shown = [end for end in sign if end not in self.hidden]
        if not hidden:
            return
        adds = {"n": np.ones(self.points)} | {
            (kpi_id, power): score**power for (kpi_id, score), power in product(self.scores.items(), (1, 2))
        }
        for name, add in adds.items():
            if all(name in self.shown[end] for end in shown):
                self.a.append(self.row({end: sign[end] * add for end in hidden}))
                self.b.append(-sum(sign[end] * self.shown[end][name] for end in shown))
        if len({sign[end] for end in hidden}) == 1:
            self.left.append(
                ([cell for _, cell in hidden], abs(sum(sign[end] * self.shown[end]["n"] for end in shown)))
            )

    def row(self, parts):
        """Return a row of coefficients from those of some cells."""
        row = np.zeros((len(self.hidden), self.points))
        for place, values in parts.items():
            row[self.hidden.index(place)] += values
        return row.ravel()

    def bound(self, row, limit):
        self.c.append(row)
        self.d.append(limit)

    def linked(self, place):
        """Return the unknowns that some constraint ties to a cell, directly or through others."""
        rows = np.array([*self.a, *self.c]).reshape(-1, len(self.hidden), self.points).any(axis=2)
        found = np.zeros(len(self.hidden), dtype=bool)
        found[place] = True
        while (more := rows[(rows & found).any(axis=1)].any(axis=0) | found).sum() > found.sum():
            found = more
        return found

    def recover(self):
        """Return the hidden cells of which base or figure can be told, and the sums that are small themselves."""
        told = [("sum", tuple(sorted(hidden))) for hidden, n in self.left if n < self.limit]
        self.solutions = []
        for place, (number, cell) in enumerate(self.hidden):
            count = self.row({(number, cell): np.ones(self.points)})
            if self.unsettled(place, count, None):
                told.append(("base", cell))
            for kpi_id, score in self.scores.items():
                if not self.is_uniform(number, kpi_id) and self.unsettled(
                    place, count, self.row({(number, cell): score})
                ):
                    told.append((kpi_id, cell))
        return told

    def unsettled(self, place, count, figure):
        """Say whether fewer than three bases of a cell, or only one figure, are possible."""
        for sign in (1, -1):
            if self.settled(count, figure):
                return False
            self.solve(place, sign, count, figure)
        return not self.settled(count, figure)

    def settled(self, count, figure):
        """Say whether solutions found so far differ enough."""
        if not self.solutions:
            return False
        found = np.array(self.solutions)
        found = found[~np.isnan(found[:, count > 0]).any(axis=1)]  # a solution holds all cells that are tied to one
        if len(found) == 0:
            return False
        if figure is None:
            n = found[:, count > 0].sum(axis=1)
            return np.floor(n.max() + 1e-6) - np.ceil(n.min() - 1e-6) >= 2  # three whole numbers
        values = (found[:, count > 0] @ figure[count > 0]) / found[:, count > 0].sum(axis=1)
        return values.max() - values.min() > 1e-6

    def solve(self, place, sign, count, figure):
        """Find the solution with the least or greatest base or figure of a cell, and remember it."""
        keep = np.repeat(self.linked(place), self.points)
        a, c = (np.array(rows).reshape(-1, keep.size) for rows in (self.a, self.c))
        b, d = np.array(self.b, dtype=float), np.array(self.d, dtype=float)
        used, bounding = a[:, keep].any(axis=1), c[:, keep].any(axis=1)
        a, b, c, d = a[used][:, keep], b[used], c[bounding][:, keep], d[bounding]
        if figure is None:
            found = linprog(sign * count[keep], c, d, a, b, bounds=(0, UNKNOWN), method="highs")
            assert found.status == 0, found.message
            x = found.x
        else:
            # A ratio of two sums: all unknowns are scaled so that the base is 1 (Charnes and Cooper 1962).
            scaled = np.vstack([np.c_[a, -b], np.r_[count[keep], 0]])
            one = np.r_[np.zeros(len(b)), 1]
            found = linprog(np.r_[sign * figure[keep], 0], np.c_[c, -d], np.zeros(len(d)), scaled, one, method="highs")
            assert found.status == 0, found.message
            x = found.x[:-1] / found.x[-1]
        everything = np.full(keep.size, np.nan)
        everything[keep] = x
        self.solutions.append(everything)

    def is_uniform(self, number, kpi_id):
        """Say whether the total itself tells that all its answers are the same."""
        total = self.shown.get((number, ("all", "all")), {})
        return (kpi_id, 1) in total and np.isclose(total["n"] * total[kpi_id, 2], total[kpi_id, 1] ** 2)


def attack(issues, structure, kpis):
    """Return everything that the last issue hides and that it and earlier ones tell together."""
    bases = {kpi_id: f"{kpi.table} {kpi.where} {kpi.per_question}" for kpi_id, kpi in kpis.items()}
    issues = [issue.assign(base=issue["kpi"].map(bases), question=issue["question"].fillna("")) for issue in issues]
    told = []
    for key, last in issues[-1].groupby(BLOCK):
        same = [issue[(issue[BLOCK] == list(key)).all(axis=1)] for issue in issues[:-1]]
        known = [*(issue for issue in same if len(issue) and not is_repeated(issue, last)), last]
        told += [(*key, kind, cell) for kind, cell in Knowledge(known, structure[key[2]], kpis).recover()]
        told += [(*key, "late", cell) for cell in late_answers(known, kpis)]
    return told


def is_repeated(earlier, later):
    """Say whether an issue tells nothing that a later one does not repeat."""
    columns = [*KEY, "n", "value", "suppressed"]
    both = earlier[columns].merge(later[columns], on=KEY, suffixes=("", "_later"))
    same = np.isclose(both[["n", "value"]], both[["n_later", "value_later"]], equal_nan=True).all(axis=1)
    return len(both) == len(earlier) and (same & (both["suppressed"] == both["suppressed_later"])).all()


def late_answers(issues, kpis):
    """Return the cells of which two issues show a figure that differs by fewer answers than may be shown."""
    found = []
    for earlier, later in combinations([issue[issue["suppressed"] == SHOWN].set_index(KEY) for issue in issues], 2):
        both = earlier.join(later, how="inner", suffixes=("", "_later"))
        limit = both.index.get_level_values("kpi").map(
            {kpi_id: kpi.minimum_base.suppress for kpi_id, kpi in kpis.items()}
        )
        more = (both["n_later"] - both["n"]).abs()
        is_new = (more > 0) | ~np.isclose(both["value"].astype(float), both["value_later"].astype(float))
        found += both.index[is_new & (more < limit)].tolist()
    return found


# --- what the attack is worth --------------------------------------------------------------------


def hide_small_only(rows, kpis):
    """Hide small bases and nothing else."""
    limits = rows["kpi"].map({kpi_id: kpi.minimum_base.suppress for kpi_id, kpi in kpis.items()})
    is_small = rows["n"] < limits
    figures = rows.columns.difference([*KEY, "period_kind"])
    return rows.assign(**rows[figures].mask(is_small), suppressed=np.where(is_small, SMALL, SHOWN))


def recovered(told, kind):
    """Return what an attack recovered in one way."""
    return [one for one in told if one[3] == kind]


def test_attack_recovers_what_only_small_bases_hide(kpis):
    """Without complements, bases, figures and small sums fall."""
    random = np.random.default_rng(1)
    answers = draw_answers(300, random)
    segments = ["region", "plan", "channel", "stage", "touchpoint"]
    naive = hide_small_only(tabulate(answers, segments, kpis), kpis)
    told = attack([naive], levels_of(answers, segments), kpis)
    assert all(recovered(told, kind) for kind in ("base", "sum", "nps", "csat", "csat_average"))


def test_attack_uses_how_groups_nest(kpis):
    """Protecting each segment for itself is not enough where stages and touchpoints are both shown."""
    told = []
    for seed in range(2):
        answers = draw_answers(400, np.random.default_rng([2, seed]))
        segments = ["region", "plan", "stage", "touchpoint"]
        told += attack([suppress(tabulate(answers, segments, kpis), kpis)], levels_of(answers, segments), kpis)
    assert recovered(told, "base")


def test_attack_reads_late_answers_from_two_issues(kpis):
    """A figure measured again after one more answer gives that answer away."""
    answers = draw_answers(300, np.random.default_rng(3))
    structure = levels_of(answers, ["region"])
    issues = [protect(tabulate(rows, ["region"], kpis), kpis, structure) for rows in (answers.iloc[1:], answers)]
    late = answers.iloc[0]
    told = recovered(attack(issues, structure, kpis), "late")
    assert {(late["period"], "all")} <= {(cell[2], cell[3]) for *_, cell in told}


# --- what is protected ---------------------------------------------------------------------------


def publish_two_issues(pack, kpis):
    """Publish August, then September with a new crossing, late answers and customers who have moved."""
    random = np.random.default_rng([200, pack])
    answers = draw_answers(int(random.integers(40, 400)), random)
    before = answers[(answers["period"] == "2026-08") & (random.random(len(answers)) < random.choice([1, 0.97]))]
    segments = ["region", "plan", "channel", "stage", "touchpoint"]
    structure = levels_of(before, segments)
    first = protect(tabulate(before, segments, kpis), kpis, structure)
    now = answers if pack % 2 else pd.concat([before, answers[answers["period"] == "2026-09"]])
    if pack % 4 == 1:
        moved = now.index[random.random(len(now)) < 0.02]
        now = now.assign(region=now["region"].where(~now.index.isin(moved) | (now["plan"] == "(not stated)"), "north"))
    now, segments = crossed(now), [*segments, "region*channel"]
    structure = levels_of(now, segments)
    raw = tabulate(now, segments, kpis)
    return raw, [first, protect(raw, kpis, structure, [first])], structure


@pytest.mark.parametrize(
    "pack", [pack if pack in ORDINARY else pytest.param(pack, marks=pytest.mark.soak) for pack in range(200)]
)
def test_no_hidden_group_is_recovered(pack, kpis):
    """Linear programs over all cells of two issues recover nothing from random packs."""
    _, issues, structure = publish_two_issues(pack, kpis)
    assert attack(issues, structure, kpis) == []


# --- KPIs on part of the answers of others -------------------------------------------------------


class Reader:
    """What a reader knows of the sizes of groups, hidden or unpublished, as linear constraints on named unknowns."""

    def __init__(self):
        self.bounds, self.sums, self.hidden = {}, [], set()

    def hides(self, name, low=1, high=UNKNOWN):
        """Note a group whose row is published without figures, or of which `low` to `high` is known."""
        self.hidden.add(name)
        self.bounds[name] = (low, high)

    def adds_up(self, signs, known):
        """Note that unknowns, counted with signs, add up to what is known."""
        self.sums.append((signs, known))
        for name in signs:
            self.bounds.setdefault(name, (0, UNKNOWN))

    def whole(self, name, parts, total):
        """Note parts of a whole: `parts` gives their sizes, NaN where they are hidden."""
        unknown = {(name, part): 1 for part, n in parts.items() if np.isnan(n)}
        if unknown and not np.isnan(total):
            self.adds_up(unknown, total - np.nansum(list(parts.values())))
        for part in unknown:
            self.hides(part, *self.bounds.get(part, (1, UNKNOWN)))

    def told(self, limit):
        """Return the hidden groups with fewer than three possible sizes, the unpublished ones that are told small, and
        the sums of hidden ones that are small themselves.
        """
        found = [
            ("sum", tuple(sorted(signs, key=repr)))
            for signs, known in self.sums
            if set(signs) <= self.hidden and set(signs.values()) == {1} and 0 < known < limit
        ]
        for name in sorted(self.bounds, key=repr):
            low, high = self.reach(name)
            is_small = low > 0 and high < limit
            if high - low < 2 and (is_small or name in self.hidden):
                found.append(("base", name))
        return found

    def reach(self, name):
        """Return the least and greatest whole size of a group."""
        linked, sums = {name}, []
        while more := [each for each in self.sums if each not in sums and linked & set(each[0])]:
            sums += more
            linked |= {each for signs, _ in more for each in signs}
        names = sorted(linked, key=repr)
        a = [[signs.get(each, 0) for each in names] for signs, _ in sums] or None
        b = [known for _, known in sums] or None
        bounds, objective = (
            [self.bounds[each] for each in names],
            np.array([each == name for each in names], dtype=float),
        )
        ends = []
        for sign in (1, -1):
            found = linprog(sign * objective, A_eq=a, b_eq=b, bounds=bounds, method="highs")
            assert found.status == 0, found.message
            ends.append(found.x @ objective)
        return np.ceil(ends[0] - 1e-6), np.floor(ends[1] + 1e-6)


WITHIN = {"all three": ["a", "b", "c"], "a": ["a"], "b": ["b"], "c": ["c"], "a and b": ["a", "b"]}


def draw_counts(random, named):
    """Draw rows of KPIs of which some hold the answers of others, by region and plan."""
    n = int(random.integers(60, 900))
    answers = pd.DataFrame({"metric": drawn(["a", "b", "c"], n, random), "region": drawn(REGIONS, n, random)})
    answers["plan"] = drawn(["basic", "plus"], n, random)
    rows = []
    for kpi in named:
        counted = answers[answers["metric"].isin(WITHIN[kpi])]
        rows.append((kpi, "all", "all", len(counted)))
        rows += [
            (kpi, segment, *item) for segment in ("region", "plan") for item in counted[segment].value_counts().items()
        ]
    table = pd.DataFrame(rows, columns=["kpi", *CELL, "n"])
    return table[table["n"] > 0].assign(question="", period="2026-09", period_kind="month", value=1.0)


def ties_of(n):
    """Yield what adds up to nothing, with signs: levels to totals, and KPIs with what they leave to wider ones."""
    for kpi, segment in sorted({(kpi, segment) for kpi, segment, _ in n if segment != "all"}):
        yield {(kpi, "all", "all"): -1} | {name: 1 for name in n if name[:2] == (kpi, segment)}
    names = sorted({kpi for kpi, *_ in n})
    for whole, size in product(names, (1, 2, 3)):
        for parts in combinations([name for name in names if name != whole], size):
            held = [one for part in parts for one in WITHIN[part]]
            if len(set(held)) < len(held) or not set(held) <= set(WITHIN[whole]):
                continue
            for cell in sorted({name[1:] for name in n if name[0] == whole}):
                rest = {(("rest of", whole, parts), cell): 1} if set(held) < set(WITHIN[whole]) else {}
                yield {(whole, *cell): -1} | {(part, *cell): 1 for part in parts if (part, *cell) in n} | rest


def attack_counts(issue, limit):
    """Return what the bases of KPIs tell of each other's hidden ones and of the answers that they do not share."""
    reader = Reader()
    n = {tuple(row[:3]): row[3] for row in issue[["kpi", *CELL, "n"]].itertuples(index=False)}
    small = {tuple(row) for row in issue.loc[issue["suppressed"] == SMALL, ["kpi", *CELL]].itertuples(index=False)}
    for name in [name for name, size in n.items() if np.isnan(size)]:
        reader.hides(name, 1, limit - 1 if name in small else UNKNOWN)
    for signs in ties_of(n):
        known = sum(sign * n[name] for name, sign in signs.items() if not np.isnan(n.get(name, np.nan)))
        unknown = {name: sign for name, sign in signs.items() if np.isnan(n.get(name, np.nan))}
        if unknown:
            flip = -1 if max(unknown.values()) < 0 else 1
            reader.adds_up({name: flip * sign for name, sign in unknown.items()}, -flip * known)
    return reader.told(limit)


@pytest.mark.parametrize(
    "pack", [pack if pack < 4 else pytest.param(pack, marks=pytest.mark.soak) for pack in range(100)]
)
def test_kpis_on_part_of_the_answers_of_others_give_nothing_away(pack, kpis):
    """Linear programs over the bases of nested KPIs recover nothing; hiding small bases alone does not do."""
    named = [["all three", "a"], ["all three", "a", "b", "c"], list(WITHIN), ["all three", "a and b"]][pack % 4]
    nested = {name: kpis["nps"].model_copy(update={"id": name, "where": {"metric": WITHIN[name]}}) for name in named}
    rows = draw_counts(np.random.default_rng([201, pack]), named)
    assert attack_counts(suppress(rows, nested), 10) == []


def test_attack_reads_what_nested_kpis_tell(kpis):
    """KPIs that are protected one by one give each other away."""
    told = []
    for pack in range(6):
        rows = draw_counts(np.random.default_rng([202, pack]), list(WITHIN))
        alone = [
            suppress(part, {name: kpis["nps"].model_copy(update={"id": name})}) for name, part in rows.groupby("kpi")
        ]
        told += attack_counts(pd.concat(alone), 10)
    assert {kind for kind, _ in told} == {"sum", "base"}


# --- tables of the analyses ----------------------------------------------------------------------


def hide(table, is_small):
    """Hide rows that are small themselves and nothing else, as each analysis does."""
    names = {"kpi", "theme", "driver", "place", "stage", "base", "persona", "bin", "column", "level", "other_column"}
    figures = table.columns.difference([*names, "other_level"])
    return table.assign(**table[figures].astype(float).mask(is_small), suppressed=np.where(is_small, SMALL, SHOWN))


def parts_of(random, total):
    """Draw sizes of two to six parts, of which some are small."""
    chances = random.dirichlet(np.full(int(random.integers(2, 7)), 0.7))
    n = pd.Series(random.multinomial(total, chances)).astype(float)
    return n[n > 0].reset_index(drop=True)


def draw_tables(random, answers, months):
    """Draw tables of analyses: some of a survey's answers, some of random size; small rows are hidden."""
    last = answers[answers["period"] == "2026-09"]
    csat = int((last["metric"] == "csat").sum())
    comments = csat - int(random.choice([0, 3, 8, min(40, csat - 1)]))
    themes = pd.DataFrame({"theme": list("abcd"), "n": random.integers(1, max(comments, 2), 4)})
    themes = themes.assign(kpi="csat", n_without=comments - themes["n"], value_with=0.5, n_sentiment=themes["n"] // 2)
    themes = themes.assign(sentiment=0.1)
    asked = last[last["metric"] == "item"].groupby("question").size()
    complete = max(int(asked.min()) - int(random.choice([0, 4, 30])), 1)
    drivers = pd.DataFrame(
        {"kpi": "nps", "driver": asked.index, "n": complete, "performance": 0.5, "quadrant": "x", "note": ""}
    )
    reached = np.sort(random.integers(1, random.choice([30, 400]), 4))[::-1]
    went_on = [int(min(reached[i], random.integers(0, reached[i + 1] + 1))) for i in range(3)] + [0]
    funnel = pd.DataFrame({"place": range(1, 5), "stage": list("abcd"), "n": reached, "n_continued": went_on})
    everyone = int(random.integers(12, 60))
    several = int(random.integers(1, everyone + 1))
    switching = pd.DataFrame({"base": ["all", "several"], "n": [everyone, several]})
    switching = switching.assign(n_switched=int(random.integers(0, several + 1)))
    n = parts_of(random, int(random.integers(40, 400)))
    personas = pd.DataFrame({"persona": n.index, "n": n, "share": n / n.sum()})
    traits = pd.DataFrame({"persona": n.index, "feature": "orders", "value": 1.0})
    judged = parts_of(random, int(random.integers(40, 400)))
    reliability = pd.DataFrame({"bin": judged.index, "n": judged, "observed": 0.1})
    searched = answers[(answers["metric"] == "nps") & answers["period"].isin(months)]
    groups = [(("region", x),) for x in searched["region"].unique()] + [
        (("region", x), ("channel", y)) for x in searched["region"].unique() for y in searched["channel"].unique()
    ]
    rows = []
    for levels in groups:
        own = [(searched[column] == level) for column, level in levels]
        size = int(np.logical_and.reduce(own).sum())
        others = [len(searched) - size, *((int(one.sum()) - size) for one in own if len(own) > 1)]
        if size >= 10 and min(others) >= 10 and random.random() < 0.8:
            pairs = [part for pair in levels for part in pair] + [None, None]
            rows.append((*pairs[:4], size, size / len(searched)))
    named = ["column", "level", "other_column", "other_level", "n", "share"]
    subgroups = pd.DataFrame(rows, columns=named).assign(kpi="nps", suppressed=SHOWN)
    return {
        "themes": hide(themes, themes[["n", "n_without"]].min(axis=1) < 10),
        "drivers": drivers,
        "funnel": hide(funnel, funnel["n"] < 10),
        "switching": hide(switching, switching["n"] < 10),
        "personas": hide(personas, personas["n"] < 10),
        "persona_traits": traits[(n >= 10).to_numpy()],
        "churn_reliability": hide(reliability, reliability["n"] < 10),
        "churn_judgement": pd.DataFrame({"figure": ["auc"], "n": [float(judged.sum())], "value": [0.7]}),
        "subgroups": subgroups,
    }


def attack_tables(tables, estimates, months, limit=10):
    """Return what the tables tell together, and beside all estimates, of small groups."""
    reader = Reader()
    totals = estimates[(estimates["segment"] == "all") & (estimates["period"] == "2026-09")].set_index(
        ["kpi", "question"]
    )
    themes, drivers = tables["themes"], tables["drivers"]
    shown = themes[themes["suppressed"] == SHOWN]
    if len(shown):
        reader.whole(
            "comments",
            {"with": shown["n"].iloc[0] + shown["n_without"].iloc[0], "no comment": np.nan},
            totals.loc[("csat", ""), "n"],
        )
        # Who wrote nothing is no hidden group, but one that may turn out to be small.
        reader.hidden.discard(("comments", "no comment"))
        reader.bounds["comments", "no comment"] = (0, UNKNOWN)
    told = [("sentiment", "themes")] if (themes["n_sentiment"].astype(float) < limit).any() else []
    for row in drivers[drivers["performance"].notna()].itertuples():
        left = totals.loc[("item_mean", row.driver), "n"] - row.n
        told += [("rest", row.driver)] if 0 < left < limit else []
    for name, key, total in (
        ("personas", "persona", None),
        ("churn_reliability", "bin", tables["churn_judgement"]["n"].iloc[0]),
    ):
        table = tables[name].assign(n=tables[name]["n"].astype(float))
        shares = (table["n"] / table["share"].astype(float)).max() if total is None else total
        reader.whole(name, {(name, part): n for part, n in zip(table[key], table["n"], strict=True)}, shares)
    seen = set(tables["personas"].query("suppressed == 'no'")["persona"])
    told += [("traits", persona) for persona in sorted(set(tables["persona_traits"]["persona"]) - seen)]
    funnel = tables["funnel"].sort_values("place")
    for place, row in enumerate(funnel.itertuples()):
        later = funnel.iloc[place + 1 :]
        hidden = later[later["suppressed"] != SHOWN]
        if row.suppressed == SHOWN and len(hidden):
            # Journeys that went on are at a later stage: what the shown ones cannot hold, the hidden ones must.
            least = row.n_continued - later.loc[later["suppressed"] == SHOWN, "n"].astype(float).sum()
            told += [("funnel", row.stage)] if least > 0 and limit - 1 - least < 2 else []
    everyone, several = tables["switching"].to_dict("records")
    if everyone["suppressed"] == several["suppressed"] == SHOWN:
        told += [("switching", "one")] if 0 < everyone["n"] - several["n"] < limit else []
    elif everyone["suppressed"] == SHOWN:
        told += [("switching", "several")] if limit - 1 - everyone["n_switched"] < 2 else []
    attack_subgroups(reader, tables["subgroups"], estimates, months)
    return told + reader.told(limit)


def attack_subgroups(reader, table, estimates, months):
    """Note what the search for groups says of regions and their crossings in all its months."""
    rows = estimates[(estimates["kpi"] == "nps") & estimates["period"].isin(months)]
    n = {(row.period, row.segment, row.level): row.n for row in rows.itertuples()}
    for period in months:
        parts = {name: size for name, size in n.items() if name[:2] == (period, "region")}
        unknown = {name: 1 for name, size in parts.items() if np.isnan(size)}
        reader.hidden |= set(unknown)
        if unknown and not np.isnan(total := n[period, "all", "all"]):
            reader.adds_up(unknown, total - np.nansum(list(parts.values())))
    shown = table[table["suppressed"] == SHOWN]
    for region in sorted({level for _, segment, level in n if segment == "region"}):
        own = shown[shown["level"] == region]
        alone, crossed_n = own.loc[own["other_level"].isna(), "n"], own.loc[own["other_level"].notna(), "n"]
        by_month = {name: size for name, size in n.items() if name[1:] == ("region", region)}
        unknown = {name: 1 for name, size in by_month.items() if np.isnan(size)}
        whole = float(alone.iloc[0]) if len(alone) else np.sum(list(by_month.values()))
        if unknown and len(alone):
            reader.adds_up(unknown, whole - np.nansum(list(by_month.values())))
        if len(crossed_n) and not np.isnan(whole):
            reader.adds_up({("rest of", region): 1}, whole - crossed_n.astype(float).sum())


def publish_tables(pack, kpis, root):
    """Draw a pack with its estimates and its tables, unprotected and protected."""
    random = np.random.default_rng([203, pack])
    answers = draw_answers(int(random.integers(150, 900)), random)
    segments = ["region", "plan", "channel", "stage", "touchpoint"]
    estimates = protect(tabulate(answers, segments, kpis), kpis, levels_of(answers, segments))
    months = ["2026-09"] if pack % 2 else ["2026-08", "2026-09"]
    tables = draw_tables(random, answers, months)
    report = load_report(Project(root), "monthly")
    asked = report.analyses.subgroups.model_copy(update={"months": len(months)})
    report = report.model_copy(update={"analyses": report.analyses.model_copy(update={"subgroups": asked})})
    named = {name: Segment(id=name, title=name, column=name) for name in segments}
    published = Published(estimates, report, kpis, named, SEPTEMBER)
    return tables, protect_tables(tables, published), estimates, months


@pytest.mark.parametrize(
    "pack", [pack if pack < 6 else pytest.param(pack, marks=pytest.mark.soak) for pack in range(200)]
)
def test_tables_of_analyses_give_nothing_away(pack, kpis, root):
    """What a reader puts together from all tables and all estimates tells of no small group."""
    _, tables, estimates, months = publish_tables(pack, kpis, root)
    assert attack_tables(tables, estimates, months) == []


def test_attack_reads_tables_together(kpis, root):
    """Tables of which only the small rows are hidden give away groups in every way that the attack knows."""
    told = []
    for pack in range(4):
        tables, _, estimates, months = publish_tables(pack, kpis, root)
        told += attack_tables(tables, estimates, months)
    assert {kind for kind, _ in told} == {"sentiment", "rest", "switching", "base", "sum"}


# --- measured packs ------------------------------------------------------------------------------


@pytest.fixture
def project(root, tmp_path):
    """The project's definitions and benchmarks, without rows or issues."""
    target = tmp_path / "project"
    shutil.copytree(root / "reports", target / "reports", ignore=shutil.ignore_patterns("output"))
    shutil.copytree(root / "data" / "reference", target / "data" / "reference")
    shutil.copytree(root / "expectations", target / "expectations", ignore=shutil.ignore_patterns("uncommitted"))
    return Project(target)


def narrowed(report, kpis, segments):
    """Return the report with some KPIs and segments only."""
    narrow = {"kpis": kpis, "headline": kpis[:1], "targets": {}, "segments": segments, "mix_segments": ["channel"]}
    return report.model_copy(update=narrow)


def require_protected(project, estimates, structure, kpis):
    """Demand that hidden rows hold nothing, that the attack fails, and that the split of the change says no more."""
    hidden = estimates[estimates["suppressed"] != SHOWN]
    named = {*KEY, "period_kind", "suppressed", "low_base"}
    assert hidden[[name for name in hidden if name not in named]].isna().all(axis=None)
    assert attack([estimates.assign(question=estimates["question"].fillna(""))], structure, kpis) == []
    mix = pd.read_parquet(project.measured("monthly", SEPTEMBER) / "mix.parquet")
    figures = mix.columns.difference(["kpi", "period", "segment", "level", "suppressed"])
    assert mix.loc[mix["suppressed"] != SHOWN, figures].isna().all(axis=None)
    for segment, levels in mix[mix["level"] != "all"].groupby("segment"):
        secret = hidden[(hidden["kpi"] == mix["kpi"].iloc[0]) & (hidden["segment"] == segment)]
        secret = secret[secret["period"].isin([SEPTEMBER.previous.id, SEPTEMBER.id])]
        masked = set(levels.loc[levels["suppressed"] != SHOWN, "level"])
        assert set(secret["level"]) == masked
        # Effects that are shown in all must follow from what the shown levels leave.
        assert len(masked) != 1
    return len(hidden)


@pytest.mark.parametrize("packs", [1, pytest.param(30, marks=pytest.mark.soak)])
def test_measured_companies_give_nothing_away(project, packs):
    """The whole way from accepted rows to the tables of a pack, for random companies with nested groups."""
    report = narrowed(load_report(project, "monthly"), ["nps", "csat"], ["region", "channel", "stage", "touchpoint"])
    kpis, hidden = load_kpis(project, report.kpis), 0
    for pack in range(packs):
        facts = write_company(project, np.random.default_rng([packs, pack]))
        estimates = measure(project, report, SEPTEMBER)
        hidden += require_protected(project, estimates, levels_of(facts, report.segments), kpis)
    assert hidden > packs


# --- packs of audiences --------------------------------------------------------------------------

MANAGERS = {"one": ["north", "east"], "two": ["east", "south"], "three": ["north", "south"]}


def read_packs(project, period):
    """Return what everybody's pack and those of all regions tell, the latter as crossings with their region."""
    folder = project.measured("monthly", period)
    tables = [pd.read_parquet(folder / "estimates.parquet")]
    for path in sorted(folder.glob("*/estimates.parquet")):
        own = pd.read_parquet(path).query("segment != 'all'")
        crossing = {"segment": "region*" + own["segment"], "level": path.parent.name + " | " + own["level"]}
        tables.append(own.assign(**crossing))
    return pd.concat(tables, ignore_index=True)


def publish_packs(project, period):
    """Put the estimates of all packs where later issues look for them."""
    folder, target = project.measured("monthly", period), project.published("monthly", period)
    for path in folder.rglob("*"):
        if path.name in {"estimates.parquet", "audience.json"}:
            place = target / ("all" if path.parent == folder else path.parent.name)
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / path.name)


def issue_twice(project, report, pack):
    """Issue August and then September, with packs of regions from the start or later, and late answers or none."""
    random = np.random.default_rng([204, pack])
    facts = write_company(project, random, REGIONS[:4])
    august = project.accepted("sample", SEPTEMBER.previous) / "answers.parquet"
    answers = pq.read_table(august)
    is_late = random.random(len(answers)) < random.choice([0, 0.03])
    pq.write_table(answers.filter(~is_late), august)
    alone = report.model_copy(update={"audiences": None})
    measure(project, report if pack % 2 else alone, SEPTEMBER.previous)
    first = read_packs(project, SEPTEMBER.previous)
    publish_packs(project, SEPTEMBER.previous)
    pq.write_table(answers, august)
    measure(project, report, SEPTEMBER)
    return facts, [first, read_packs(project, SEPTEMBER)]


@pytest.fixture
def regional(project):
    """A report with a pack for each region."""
    narrow = narrowed(load_report(project, "monthly"), ["nps", "csat"], ["region", "channel", "stage"])
    return narrow.model_copy(update={"audiences": Audiences(by="region"), "analyses": Analyses(trend=False)})


@pytest.mark.parametrize(
    "pack", [pack if pack < 2 else pytest.param(pack, marks=pytest.mark.soak) for pack in range(30)]
)
def test_packs_of_all_audiences_give_nothing_away(pack, project, regional):
    """Linear programs over everybody's pack and all regions' packs, of two issues, recover no hidden group."""
    facts, issues = issue_twice(project, regional, pack)
    for segment in ("channel", "stage"):
        facts[f"region*{segment}"] = facts["region"] + " | " + facts[segment]
    segments = [*regional.segments, "region*channel", "region*stage"]
    hidden = issues[-1]["suppressed"] != SHOWN
    assert (hidden & issues[-1]["segment"].isin(segments[3:])).any()
    assert attack(issues, levels_of(facts, segments), load_kpis(project, regional.kpis)) == []


def test_attack_reads_packs_that_were_protected_one_by_one(kpis):
    """Packs of regions that are each protected by themselves are recovered from all of them together."""
    answers = draw_answers(400, np.random.default_rng(5)).query("region != '(not stated)'")
    packs = [suppress(tabulate(answers, ["region", "channel"], kpis), kpis)]
    for region, own in answers.groupby("region"):
        pack = suppress(tabulate(own, ["channel"], kpis), kpis).query("segment != 'all'")
        packs.append(pack.assign(segment="region*channel", level=region + " | " + pack["level"]))
    together = crossed(answers)
    structure = levels_of(together, ["region", "channel", "region*channel"])
    assert attack([pd.concat(packs, ignore_index=True)], structure, kpis)


def read_bases(reader, project, period):
    """Note the bases of everybody's pack and those of overlapping groups of regions, by channel."""
    folder = project.measured("monthly", period)
    whole = pd.read_parquet(folder / "estimates.parquet").query("kpi == 'nps' and period == @period.id")
    regions, channels = (
        whole[whole["segment"] == name].set_index("level")["n"].astype(float) for name in ("region", "channel")
    )
    for side, totals in enumerate((regions, channels)):
        for level, n in totals.items():
            cells = {
                (region, channel): 1
                for region, channel in product(regions.index, channels.index)
                if (region, channel)[side] == level
            }
            note_sum(reader, cells, (side, level), n)
    total = float(whole.loc[whole["segment"] == "all", "n"].iloc[0])
    note_sum(reader, dict.fromkeys(product(regions.index, channels.index), 1), "all", total)
    hidden = 0
    for name, levels in MANAGERS.items():
        own = pd.read_parquet(folder / name / "estimates.parquet").query("kpi == 'nps' and period == @period.id")
        own = own[own["segment"] == "channel"].set_index("level")["n"].astype(float)
        for channel in channels.index:
            cells = {(region, channel): 1 for region in levels if region in regions}
            note_sum(reader, cells, (name, channel), own.get(channel, 0.0))
        hidden += own.isna().sum()
    return hidden


def note_sum(reader, cells, name, n):
    """Note that cells add up to a base, or to one that is hidden."""
    if np.isnan(n):
        reader.hides(name)
        reader.adds_up(cells | {name: -1}, 0)
    else:
        reader.adds_up(cells, n)


@pytest.mark.parametrize("packs", [1, pytest.param(30, marks=pytest.mark.soak)])
def test_overlapping_audiences_give_nothing_away(packs, project, regional):
    """What three managers of two regions each are told, who share one with each other, tells on no small group.

    Nobody is told of a region by channel, but half of the sum of two managers less the third is one, and what all
    regions leave of a channel are customers without a region.
    """
    path = project.root / "reports" / "audiences.yml"
    path.write_text("".join(f"{name}: {{title: {name}, levels: {levels}}}\n" for name, levels in MANAGERS.items()))
    audiences = Audiences(by="region", groups=path.relative_to(project.root))
    report = regional.model_copy(update={"audiences": audiences, "segments": ["region", "channel"]})
    hidden = 0
    for pack in range(packs):
        facts = write_company(project, np.random.default_rng([205, pack]), [*REGIONS[:3], REGIONS[-1]])
        if not set(REGIONS[:3]) <= set(facts["region"]):
            continue
        measure(project, report, SEPTEMBER)
        reader = Reader()
        hidden += read_bases(reader, project, SEPTEMBER)
        assert reader.told(10) == []
    assert hidden


@pytest.mark.soak
def test_sample_company_gives_nothing_away(project):
    """All months of the sample company, with stages beside the touchpoints that they are made of."""
    write_sample(project.sample)
    report = load_report(project, "monthly")
    dataset = load_dataset(project, report.dataset)
    ingest(project, dataset)
    validate(project, dataset, SEPTEMBER, dataset.as_of or SEPTEMBER.end)
    report = narrowed(
        report, ["nps", "csat", "csat_mean"], ["region", "channel", "plan", "stage", "touchpoint", "language"]
    )
    estimates = measure(project, report, SEPTEMBER)
    stored = {
        table: pd.concat(
            pd.read_parquet(file) for file in sorted(project.accepted("sample").glob(f"*/{table}.parquet"))
        )
        for table in ("answers", "responses")
    }
    customers = pd.read_parquet(project.accepted("sample", SEPTEMBER) / "customers.parquet")
    own = ["response_id", "period", "customer_id", "channel", "stage", "touchpoint", "language"]
    wide = stored["answers"][["response_id", "period"]].merge(stored["responses"][own], on=["response_id", "period"])
    wide = wide.merge(customers[["customer_id", "region", "plan"]], on="customer_id", how="left")
    structure = levels_of(wide.fillna("(not stated)"), report.segments)
    assert require_protected(project, estimates, structure, load_kpis(project, report.kpis)) > len(structure)
