"""An independent reader of the first page: every sentence is understood, and every claim in it stands in the tables.

The reader shares nothing with the code that writes the page: it takes the published HTML, the definitions and the
measured tables, and knows the page's sentences by patterns of its own. It reads English.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from lxml import html as markup

ERROR = 0.05  # of the tests whose words the page may say
UNSAID = ("table", "svg", "blockquote", "summary")
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October"]
MONTHS += ["November", "December"]
MINUTES = {"d": 1440, "day": 1440, "days": 1440, "h": 60, "min": 1}


class NotTrueError(Exception):
    """A sentence that was not understood, or a claim without a row that bears it out."""


def demand(holds: object, why: str) -> None:
    """Raise what a false claim raises."""
    if not holds:
        raise NotTrueError(why)


@dataclass(frozen=True)
class Number:
    """A figure as it is written: its value, and by how much rounding may have moved it."""

    value: float
    rounding: float

    @classmethod
    def of(cls, text: str) -> "Number":
        """Read points, shares, scores, durations and counts; raises `NotTrueError` for anything else."""
        plain = text.replace(",", "").replace("\N{MINUS SIGN}", "-").lstrip("+")
        if parts := re.findall(r"(\d+) (days?|d|h|min)\b", plain):
            demand(" ".join(map(" ".join, parts)) == plain, f"no duration: {text}")
            return cls(sum(int(count) * MINUTES[unit] for count, unit in parts), MINUTES[parts[-1][1]] / 2)
        found = re.fullmatch(r"(-?\d+(?:\.(\d+))?)(%| percentage points?| points?|)", plain)
        demand(found, f"no number: {text}")
        decimals, is_share = len(found[2] or ""), found[3] == "%" or "percentage" in found[3]
        scale = 100 if is_share else 1
        return cls(float(found[1]) / scale, 0.5 * 10**-decimals / scale)

    def is_of(self, value: object, *, scale: float = 1.0) -> bool:
        """Whether a value of the tables is written so."""
        return not pd.isna(value) and abs(self.value - abs(scale) * float(value)) <= self.rounding * 1.0001

    def is_size_of(self, value: object, unit: str) -> bool:
        """Whether the size of a change or a distance is written so; a share's may be in plain points."""
        in_points = unit == "percent" and self.rounding > 0.04  # tenths of a point are rounded to less
        return not pd.isna(value) and self.is_of(abs(float(value)), scale=100 if in_points else 1)


class Reader:
    """Reads the first page of a report against what was measured."""

    def __init__(self, root: Path, measured: Path, period: str) -> None:
        self._root, self._measured = root, measured
        self.period, self._estimates = period, self._table("estimates")
        self.read: list[str] = []

    def _table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self._measured / f"{name}.parquet")

    def _definition(self, path: str) -> Any:
        return yaml.safe_load((self._root / "reports" / path).read_text(encoding="utf-8"))

    @cached_property
    def kpis(self) -> dict[str, dict[str, Any]]:
        """The KPIs of the report by the name that the page gives them."""
        report = self._definition("definitions/monthly.yml")
        found = {name: self._definition(f"kpis/{name}.yml") | {"id": name} for name in report["kpis"]}
        return {kpi.get("short") or kpi["title"]: kpi for kpi in reversed(found.values())}

    @cached_property
    def segments(self) -> dict[str, dict[str, Any]]:
        return {segment["id"]: segment for segment in self._definition("segments.yml")["segments"]}

    @cached_property
    def benchmarks(self) -> pd.DataFrame:
        return pd.read_csv(self._root / "data/reference/benchmarks.csv", dtype=str, index_col=0)

    # --- where claims are looked up ---

    def kpi(self, name: str) -> dict[str, Any]:
        demand(name in self.kpis, f"no KPI is called {name}")
        return self.kpis[name]

    def rows(self, kpi: str, segment: str = "all") -> pd.DataFrame:
        table = self._estimates
        now = table[(table["period"] == self.period) & (table["kpi"] == kpi) & (table["suppressed"] == "no")]
        return now[now["segment"] == segment] if segment else now

    def total(self, kpi: str) -> pd.Series:
        rows = self.rows(kpi)
        demand(len(rows) == 1, f"no row for {kpi}")
        return rows.iloc[0]

    def group(self, kpi: str, name: str) -> pd.Series:
        """Return the row of a group that the page names by its label."""
        rows = self.rows(kpi, "")
        is_named = [
            segment != "all" and self.segments[segment].get("labels", {}).get(level, level) == name
            for segment, level in zip(rows["segment"], rows["level"], strict=True)
        ]
        found = rows[is_named]
        demand(len(found) == 1, f"no row for {name} of {kpi}")
        return found.iloc[0]

    def previous(self, months: int = 1) -> str:
        return str(pd.Period(self.period, "M") - months)

    def is_month(self, text: str, period: str) -> bool:
        year, month = period.split("-")
        return text == f"{MONTHS[int(month) - 1]} {year}"

    def named(self, table: str, column: str, name: str) -> pd.Series:
        """Return the row of an analysis that the page names, whose first letter may be a capital one there."""
        rows = self._table(table)
        found = rows[(rows[column].str.lower() == name.lower()) & (rows["suppressed"] == "no")]
        demand(len(found) == 1, f"no row of {table} for {name}")
        return found.iloc[0]

    # --- claims ---

    def moved(self, row: pd.Series, unit: str, way: str, size: str, prefix: str = "") -> None:
        """A word of change needs a verdict, both p-values below the error, and the size of the change."""
        demand(row[f"{prefix}verdict"] == way, f"verdict is {row[f'{prefix}verdict']}, said is {way}")
        for name in ("p_value", "q_value"):
            demand(row[f"{prefix}{name}"] < ERROR, f"{way} with {name} {row[f'{prefix}{name}']}")
        demand((row[f"{prefix}change"] > 0) == (way == "rose"), f"{way}, but the change is {row[f'{prefix}change']}")
        demand(Number.of(size).is_size_of(row[f"{prefix}change"], unit), f"size {size} of {row[f'{prefix}change']}")

    def valued(self, row: pd.Series, value: str, low: str = "", high: str = "", base: str = "") -> None:
        """A figure is the row's, and so are the ends of its interval and its base."""
        for text, column in ((value, "value"), (low, "ci_low"), (high, "ci_high")):
            demand(not text or Number.of(text).is_of(row[column]), f"{column} {text} of {row[column]}")
        demand(not base or float(base.replace(",", "")) == row["n"], f"base {base} of {row['n']}")

    def still(self, row: pd.Series, prefix: str = "") -> None:
        said = row[f"{prefix}verdict"]
        demand(said == "no detectable change", f"verdict is {said}, said is no detectable change")

    def missed(self, row: pd.Series, unit: str, target: str, size: str) -> None:
        demand(row["status"] == "target missed", f"status is {row['status']}")
        demand(Number.of(target).is_of(row["target"]), f"target {target} of {row['target']}")
        demand(Number.of(size).is_size_of(row["value"] - row["target"], unit), f"distance {size}")

    def shifted(self, levels: str, now: str, before: str, segment: str | None = None) -> None:
        """The named levels of a segment hold these shares of all answers, now and before."""
        mix = self._table("mix")
        names = re.split(r", | and ", levels)
        for each in [segment] if segment else mix["segment"].unique():
            labels = self.segments[each].get("labels", {})
            rows = mix[
                (mix["segment"] == each) & mix["level"].map(lambda level, own=labels: own.get(level, level)).isin(names)
            ]
            shares = rows["share_after"].sum(), rows["share_before"].sum()
            if len(rows) == len(names) and all(
                Number.of(t).is_of(s) for t, s in zip((now, before), shares, strict=True)
            ):
                demand(rows["suppressed"].eq("no").all(), f"{levels} are hidden")
                return
        raise NotTrueError(f"no segment in which {levels} have {now} of all, {before} before")


SENTENCES: list[tuple[str, Any]] = []
INTERVAL = r"95% interval (?P<low>.+?) to (?P<high>.+?)"
SHARES = r"\((?P<now>\d+%) of all, (?P<before>\d+%) before\)"
AGAINST = r"95% interval (?P<low>\S+) to (?P<high>\S+); n (?P<before>[\d,]+) and (?P<after>[\d,]+)"
BASE = r"(?P<base>[\d,]+) (?:answers|cases|customers|orders|visits|invitations|mentions|buyers)"


def sentence(pattern: str) -> Any:
    """Register what understands sentences of a form."""

    def register(check: Any) -> Any:
        SENTENCES.append((pattern, check))
        return check

    return register


@sentence(
    rf"(?P<kpi>[^,]+?) (?P<way>rose|fell) (?P<size>.+?) to (?P<value>.+?) \({INTERVAL}\) in (?P<period>\w+ \d{{4}}), "
    r"more than chance usually makes\."
)
def _(reader, *, kpi, way, size, period, **figures):
    found = reader.kpi(kpi)
    demand(reader.is_month(period, reader.period), f"period {period}")
    reader.moved(reader.total(found["id"]), found["unit"], way, size)
    reader.valued(reader.total(found["id"]), **figures)


@sentence(
    rf"(?P<kpi>.+?) is (?P<value>.+?) \({INTERVAL}\) in (?P<period>\w+ \d{{4}}): no detectable change since "
    r"(?P<since>\w+ \d{4})\."
)
def _(reader, *, kpi, period, since, **figures):
    row = reader.total(reader.kpi(kpi)["id"])
    demand(reader.is_month(period, reader.period) and reader.is_month(since, reader.previous()), f"{period}, {since}")
    reader.still(row)
    reader.valued(row, **figures)


@sentence(
    rf"The shift of answers towards (?P<levels>.+?) {SHARES}, where (?P<kpi>.+?) is (?P<side>lower|higher), would by "
    r"itself (?P<way>lower|raise) (?P=kpi) by (?P<size>.+?); "
    r"no (?P<segment>\w+) (?P<word>rose|fell) detectably\."
)
def _(reader, *, levels, now, before, kpi, side, way, size, segment, word):
    found = reader.kpi(kpi)
    reader.shifted(levels, now, before, segment)
    mix = reader._table("mix")
    effect = mix[(mix["segment"] == segment) & (mix["level"] == "all")].iloc[0]["mix_effect"]
    demand(Number.of(size).is_size_of(effect, found["unit"]), f"effect {size} of {effect}")
    demand((effect < 0) == (way == "lower") == (side == "lower") == (word == "fell"), f"{side}, {way} with {effect}")
    demand(not reader.rows(found["id"], segment)["verdict"].eq(word).any(), f"some {segment} {word}")
    for level in re.split(r", | and ", levels):
        row = reader.group(found["id"], level)
        demand((row["value"] < reader.total(found["id"])["previous"]) == (side == "lower"), f"{level} is not {side}")


@sentence(
    r"(?P<kpi>[^:]+?)(?:, (?P<group>[^:]+))?: (?P<way>rose|fell) (?P<size>.+?) to (?P<value>.+?) "
    rf"\({INTERVAL}; {BASE}\)\."
)
def _(reader, *, kpi, group, way, size, **figures):
    found = reader.kpi(kpi)
    row = reader.group(found["id"], group) if group else reader.total(found["id"])
    reader.moved(row, found["unit"], way, size)
    reader.valued(row, **figures)


@sentence(rf"(?P<kpi>[^:]+): more answers from (?P<levels>.+?) {SHARES}\.")
def _(reader, *, kpi, levels, now, before):
    demand(reader.total(reader.kpi(kpi)["id"])["verdict"] in {"rose", "fell"}, f"{kpi} did not move")
    reader.shifted(levels, now, before)


@sentence(rf"(?P<kpi>[^:]+): target (?P<target>.+?) missed by (?P<size>.+?) \((?P<value>.+?), {BASE}\)\.")
def _(reader, *, kpi, target, size, **figures):
    found = reader.kpi(kpi)
    row = reader.total(found["id"])
    reader.missed(row, found["unit"], target, size)
    reader.valued(row, **figures)


@sentence(
    r"(?P<kpi>[^:]+): (?P<signal>.+?), overall \(usual range (?P<usual_low>.+?) to (?P<usual_high>.+?)\) "
    rf"\((?P<value>.+?), {BASE}\)\."
)
def _(reader, *, kpi, signal, usual_low, usual_high, **figures):
    row = reader.total(reader.kpi(kpi)["id"])
    demand(row["signal"] == signal.replace(" times", ""), f"signal is {row['signal']}")
    for text, column in ((usual_low, "usual_low"), (usual_high, "usual_high")):
        demand(Number.of(text).is_of(row[column]), f"{column} {text} of {row[column]}")
    reader.valued(row, **figures)


@sentence(r"Also: (?P<facts>.+)\.")
def _(reader, *, facts):
    kpi = reader.kpi(re.split(r"[,:]", reader.read[-2])[0])  # which the sentence before spoke of
    for fact in facts.split("; "):
        if found := re.fullmatch(r"target (?P<target>.+?) missed by (?P<size>.+)", fact):
            reader.missed(reader.total(kpi["id"]), kpi["unit"], **found.groupdict())
        elif found := re.fullmatch(r"(?P<group>.+) (?P<way>rose|fell) (?P<size>.+?)", fact):
            reader.moved(reader.group(kpi["id"], found["group"]), kpi["unit"], found["way"], found["size"])
        elif found := re.fullmatch(r"(?P<signal>.+?), overall \(.+\)", fact):
            demand(reader.total(kpi["id"])["signal"] == found["signal"].replace(" times", ""), fact)
        else:
            raise NotTrueError(f"not understood: {fact}")


@sentence(
    r"(?P<theme>.+?) \((?P<n>[\d,]+) comments?, (?P<share>\d+%)\): (?P<kpi>.+?) of these comments is (?P<value>.+?), "
    r"of the others (?P<others>.+?) \(difference (?P<low>\S+) to (?P<high>\S+)\)\."
)
def _(reader, *, theme, n, share, kpi, value, others, low, high):
    row = reader.named("themes", "theme", theme)
    demand(row["kpi"] == reader.kpi(kpi)["id"] and row["q_value"] < ERROR, f"q-value {row['q_value']} of {theme}")
    demand(float(n.replace(",", "")) == row["n"] and Number.of(share).is_of(row["share"]), f"{n}, {share}")
    demand(Number.of(value).is_of(row["value_with"]) and Number.of(others).is_of(row["value_without"]), f"{value}")
    for text, column in ((low, "difference_ci_low"), (high, "difference_ci_high")):
        demand(Number.of(text).is_of(row[column], scale=100), f"{column} {text} of {row[column]}")
    demand(row["difference_ci_low"] * row["difference_ci_high"] > 0, f"the interval of {theme} holds zero")


@sentence(
    r"Over all comments, that goes with a (?P<kpi>.+?) (?P<size>[\d.]+ percentage points?) (?P<side>higher|lower)\."
)
def _(reader, *, kpi, size, side):
    row = reader.named("themes", "theme", reader.read[-2].partition(" (")[0])
    demand(Number.of(size).is_size_of(row["impact"], reader.kpi(kpi)["unit"]), f"impact {size} of {row['impact']}")
    demand((row["impact"] > 0) == (side == "higher"), f"{side} with {row['impact']}")


@sentence(
    r"(?P<driver>.+?) goes with (?P<kpi>.+?) most: (?P<share>\d+%) \((?P<low>\d+%) to (?P<high>\d+%)\) of what the "
    r"questions of the same survey explain \((?P<n>[\d,]+) answers\)\."
)
def _(reader, *, driver, kpi, share, low, high, n):
    row = reader._table("drivers").sort_values("share").iloc[-1]
    demand(row["driver"] == driver.lower() and row["kpi"] == reader.kpi(kpi)["id"], f"{row['driver']}, not {driver}")
    for text, column in ((share, "share"), (low, "ci_low"), (high, "ci_high")):
        demand(Number.of(text).is_of(row[column]), f"{column} {text} of {row[column]}")
    demand(float(n.replace(",", "")) == row["n"], f"base {n}")


@sentence(
    r"(?P<done>.+) \((?P<where>.+), (?P<month>\w+ \d{4})\): (?P<kpi>\w+) (?P<way>improved|worsened) by (?P<size>.+?) "
    rf"against everyone else \({AGAINST}\)\."
)
@sentence(
    r"(?P<done>.+) \((?P<where>.+), (?P<month>\w+ \d{4})\): (?P<way>no detectable change) of (?P<kpi>\w+) "
    rf"against everyone else \({AGAINST}\)\."
)
def _(reader, *, done, where, month, kpi, way, low, high, before, after, size=""):
    row = reader.named("actions", "description", done)
    demand(row["kpi"] == reader.kpi(kpi)["id"] and reader.is_month(month, row["started_on"][:7]), f"{kpi}, {month}")
    demand(str(row["level"]).lower() in where.lower(), f"{where} is not {row['level']}")
    demand(row["verdict"] == way, f"verdict is {row['verdict']}, said is {way}")
    demand((row["q_value"] < ERROR) == (way != "no detectable change"), f"{way} with q-value {row['q_value']}")
    demand(not size or Number.of(size).is_size_of(row["effect"], reader.kpi(kpi)["unit"]), f"size {size}")
    for text, column in ((low, "ci_low"), (high, "ci_high")):
        demand(Number.of(text).is_of(row[column], scale=100), f"{column} {text} of {row[column]}")
    for text, column in ((before, "n_before"), (after, "n_after")):
        demand(float(text.replace(",", "")) == row[column], f"{column} {text} of {row[column]}")


@sentence(
    r"(?P<touchpoint>.+?) from (?P<value>\S+) to the target of (?P<target>\S+): (?P<kpi>\w+) of the whole may gain "
    r"(?P<size>.+? percentage points?) \((?P<low>[\d.]+) to (?P<high>[\d.]+)\)\."
)
def _(reader, *, touchpoint, value, target, kpi, size, low, high):
    row, found = reader.named("pain_points", "touchpoint", touchpoint), reader.kpi(kpi)
    demand(row["is_pain_point"] and row["q_value"] < ERROR, f"{touchpoint} has q-value {row['q_value']}")
    demand(Number.of(target).is_of(reader.total(found["id"])["target"]), f"target {target}")
    demand(Number.of(value).is_of(row["value"]) and Number.of(size).is_size_of(row["impact"], found["unit"]), f"{size}")
    for text, column in ((low, "impact_ci_low"), (high, "impact_ci_high")):
        demand(Number.of(text).is_of(row[column], scale=100), f"{column} {text} of {row[column]}")


@sentence(
    r"Done since (?P<month>\w+ \d{4}): (?P<done>.+); no detectable change of (?P<kpi>\w+) against everyone else "
    rf"\({AGAINST}\)\."
)
def _(reader, **told):
    [check] = [check for pattern, check in SENTENCES if "(?P<way>no detectable change)" in pattern]
    check(reader, **told, way="no detectable change", where=reader.read[-2])


@sentence(r"Done since (?P<month>\w+ \d{4}): (?P<done>.+); too early to judge, before (?P<end>\w+ \d{4}) is over\.")
def _(reader, *, month, done, end):
    row = reader.named("actions", "description", done)
    demand(reader.is_month(month, row["started_on"][:7]) and pd.isna(row["effect"]), f"{done} was judged")
    demand(reader.is_month(end, reader.previous(-2)) or pd.Timestamp(end) > pd.Timestamp(reader.period), end)


@sentence(r"Nothing has been done about it yet\.")
def _(reader):
    touchpoint = reader.read[-2].partition(" from ")[0]
    demand(touchpoint not in set(reader._table("actions")["level"]), f"something was done about {touchpoint}")


# What claims nothing of a figure: questions to ask, how to read, what was told, and the state of the data.
@sentence(r"Ask .+: .+\?")
@sentence(r"What moves together need not be cause and effect\.")
@sentence(r"Caution: .+\.")
@sentence(r"Customers (?:were told|have not been told)\.")
@sentence(r"\d+ further actions? stands? in the table of actions\.")
@sentence(
    r"(?:Verdict on the data|Accepted|Set aside|Hidden, at least in parts, to protect small groups|Measured): .+\."
)
@sentence(r"\d+ notes? on these data stands? on other pages\.")
@sentence(r"[\d,]+ of the accepted answers carry no score and count in no KPI\.")
def _(reader, **_told):
    pass


CARD_LINES = [
    (r"(?P<way>Rose|Fell) (?P<size>.+) in a (?P<span>month|year|month or a year)", "moved"),
    (r"No detectable change in a (?P<span>month|year|month or a year)", "still"),
    (r"No figure a (?P<span>month|year|month or year) ago", "no_figure"),
    (r"Target (?P<target>.+?)(?P<status> met| missed|: not distinguishable from it)", "target"),
    (r"Benchmark (?P<value>.+?) \((?P<year>\d{4})\): (?P<gap>.+)", "benchmark"),
    (rf"{BASE}", "base"),
    (rf"{INTERVAL}", "interval"),
]


class CardReader:
    """Reads the lines of one card."""

    def __init__(self, reader: Reader, name: str, value: str) -> None:
        self._reader, self._kpi = reader, reader.kpi(name)
        self._row = reader.total(self._kpi["id"])
        reader.valued(self._row, value)

    def line(self, text: str) -> None:
        """Read one line."""
        for pattern, check in CARD_LINES:
            if found := re.fullmatch(pattern, text):
                getattr(self, f"_{check}")(**found.groupdict())
                return
        raise NotTrueError(f"not understood: {text}")

    def _prefixes(self, span: str) -> list[str]:
        return [prefix for word, prefix in (("month", ""), ("year", "year_")) if word in span]

    def _moved(self, way: str, size: str, span: str) -> None:
        for prefix in self._prefixes(span):
            self._reader.moved(self._row, self._kpi["unit"], way.lower(), size, prefix)

    def _still(self, span: str) -> None:
        for prefix in self._prefixes(span):
            self._reader.still(self._row, prefix)

    def _no_figure(self, span: str) -> None:
        for prefix in self._prefixes(span):
            demand(self._row[f"{prefix}verdict"] == "no earlier figure", f"verdict is {self._row[f'{prefix}verdict']}")

    def _target(self, target: str, status: str) -> None:
        said = f"target{status}" if status.startswith(" ") else "not distinguishable from target"
        demand(self._row["status"] == said, f"status is {self._row['status']}, said is {said}")
        demand(Number.of(target).is_of(self._row["target"]), f"target {target} of {self._row['target']}")
        inside = self._row["ci_low"] <= self._row["target"] <= self._row["ci_high"]
        demand(inside == said.startswith("not"), f"{said}, and the interval {'holds' if inside else 'leaves out'} it")

    def _benchmark(self, value: str, year: str, gap: str) -> None:
        row, entry = self._row, self._reader.benchmarks.loc[self._row["benchmark"]]
        demand(Number.of(value).is_of(row["benchmark_value"]), f"benchmark {value} of {row['benchmark_value']}")
        demand(year in entry["period"], f"{year}, but {entry['period']}")
        if found := re.fullmatch(r"(?P<size>.+) (?P<side>above|below)", gap):
            demand(Number.of(found["size"]).is_size_of(row["gap"], self._kpi["unit"]), f"gap {gap} of {row['gap']}")
            demand((row["gap"] > 0) == (found["side"] == "above"), f"{gap} with {row['gap']}")
            demand(row["gap_ci_low"] * row["gap_ci_high"] > 0, "the interval of the gap holds zero")
        else:
            demand(gap == "not distinguishable from the benchmark", f"not understood: {gap}")
            demand(row["gap_ci_low"] <= 0 <= row["gap_ci_high"], "the interval of the gap leaves out zero")

    def _base(self, base: str) -> None:
        demand(float(base.replace(",", "")) == self._row["n"], f"base {base} of {self._row['n']}")

    def _interval(self, low: str, high: str) -> None:
        for text, column in ((low, "ci_low"), (high, "ci_high")):
            demand(Number.of(text).is_of(self._row[column]), f"{column} {text} of {self._row[column]}")


def read_page(reader: Reader, page: str) -> int:
    """Read the first chapter of a page; returns how many sentences and lines of cards were read."""
    chapter = markup.document_fromstring(page).xpath("//main//section")[0]
    for unsaid in chapter.xpath("|".join(f".//{tag}" for tag in UNSAID)):
        unsaid.drop_tree()
    cards = chapter.xpath(".//*[contains(@class, 'cx-card') and self::li]")
    lines = 0
    for card in cards:
        name, value, *told = (text(line) for line in card.iter("p"))
        told_of = CardReader(reader, name, value)
        for line in told:
            told_of.line(line)
        lines += len(told)
        card.drop_tree()
    for block in chapter.iter("p", "li"):
        if block.tag == "p" and "figcaption" in {each.tag for each in block.iterancestors()}:
            continue
        for said in re.split(r"(?<=[.?])\s+(?=[A-Z\d])", text(block)):
            read_sentence(reader, said)
    return lines + len(reader.read)


def text(element: Any) -> str:
    """Return the text of an element on one line."""
    return " ".join(element.text_content().split())


def read_sentence(reader: Reader, said: str) -> None:
    """Check what a sentence claims."""
    reader.read.append(said)
    for pattern, check in SENTENCES:
        if found := re.fullmatch(pattern, said):
            try:
                check(reader, **found.groupdict())
            except NotTrueError as error:
                raise NotTrueError(f"{said!r}: {error}") from None
            return
    raise NotTrueError(f"not understood: {said!r}")


@pytest.fixture(scope="module")
def reader(pack):
    """Return a function that returns a reader of the sample company's page."""
    return lambda: Reader(pack.project.root, pack.project.measured(pack.report, pack.period), pack.period.id)


@pytest.fixture(scope="module")
def page(pack):
    """The published page."""
    return pack.html.read_text(encoding="utf-8")


def test_every_claim_of_the_first_page_is_borne_out(reader, page):
    """All sentences and cards are understood, and what they claim stands in a row of the tables."""
    assert read_page(reader(), page) > 50


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("NPS fell 8 points", "NPS rose 8 points"),
        ("NPS fell 8 points", "NPS fell 9 points"),
        ("interval 16 to 23", "interval 17 to 23"),
        (") in September 2026, more", ") in August 2026, more"),
        ("No detectable change in a month or a year", "Fell 2 points in a month or a year"),
        ("Target 80% missed", "Target 80% met"),
        ("10 points above", "10 points below"),
        ("1,890 answers", "1,891 answers"),
        ("Installation visit: fell 27", "Self-install kit: fell 27"),
        ("no channel fell detectably", "no region fell detectably"),
        ("improved by 18 points", "improved by 28 points"),
        ("more than chance usually makes.", "more than chance usually makes. Prices are the cause."),
    ],
)
def test_reader_finds_what_is_not_true(reader, page, true, false):
    """A word, a figure, a base, a month, a group or a sentence that the tables do not bear out is found."""
    assert true in page
    with pytest.raises(NotTrueError):
        read_page(reader(), page.replace(true, false))
