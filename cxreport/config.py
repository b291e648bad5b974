"""Settings and definitions: where things lie, and the YAML files that analysts edit.

Every definition rejects unknown keys and names the nearest known one. Problems of a load are gathered and raised
together as one `DefinitionError`.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self, TypeVar, cast
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.periods import Period, PeriodKind

ROOT_VARIABLE = "CXREPORT_ROOT"
ESTIMATES_FILE = "estimates.parquet"
FEEDS_FILE = "feeds.json"  # beside staged tables: what was delivered
VERDICT_FILE = "verdict.json"  # beside accepted rows
RECORD_FILE = "run.json"  # of an issue: what it was made from and with
MAPPINGS = "mappings"  # the folder of mappings, beside datasets
HASH_KEY = "CXREPORT_HASH_KEY"  # environment variable with the company's secret for keyed hashes
AUDIENCE_FILE = "audience.json"
REVISIONS_FILE = "revisions.parquet"  # beside estimates: issued figures that are others today
FIRST_FILE = "first.parquet"  # of an issue that replaces another one: the estimates that were issued first
WHOLE_FILE = "whole.parquet"  # beside an audience's estimates: everybody's totals of the reported period
EVERYBODY = "all"  # the folder of the pack that is no audience's


# --- where things lie ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Project:
    """The folders of a project, all derived from its root."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Self:
        """Return the project that holds a folder: `CXREPORT_ROOT`, or the nearest parent with `reports/definitions`.

        Raises `UsageError` when there is none.
        """
        if start is None and (named := os.environ.get(ROOT_VARIABLE)):
            return cls(Path(named).resolve())
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / "reports" / "definitions").is_dir():
                return cls(folder)
        raise UsageError(
            found="no project here or in a parent folder",
            expected="a folder that holds `reports/definitions/`",
            do=f"change into the project, or set {ROOT_VARIABLE} to its folder",
        )

    @classmethod
    def at(cls, root: str) -> Self:
        """Return the project in a folder that a notebook's parameter names; `find` it where the text is empty."""
        return cls(Path(root).resolve()) if root else cls.find()

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def expectations(self) -> Path:
        return self.root / "expectations"

    @property
    def definitions(self) -> Path:
        return self.root / "reports" / "definitions"

    @property
    def datasets(self) -> Path:
        return self.root / "reports" / "datasets"

    @property
    def kpis(self) -> Path:
        return self.root / "reports" / "kpis"

    @property
    def segments(self) -> Path:
        return self.root / "reports" / "segments.yml"

    @property
    def revisions(self) -> Path:
        return self.root / "reports" / "revisions.yml"

    @property
    def engine(self) -> Path:
        return self.root / "reports" / "engine.yml"

    @property
    def theme(self) -> Path:
        return self.root / "reports" / "theme"

    @property
    def wording(self) -> Path:
        return self.root / "reports" / "wording"

    @property
    def site(self) -> Path:
        return self.root / "reports" / "site.yml"

    @property
    def delivery(self) -> Path:
        return self.root / "reports" / "delivery"

    @property
    def output(self) -> Path:
        return self.root / "reports" / "output"

    @property
    def benchmarks(self) -> Path:
        return self.root / "data" / "reference" / "benchmarks.csv"

    @property
    def sample(self) -> Path:
        return self.root / "data" / "sample"

    def staged(self, dataset: str) -> Path:
        """Folder of `<table>.parquet` and `feeds.json`."""
        return self.root / "data" / "staged" / dataset

    def accepted(self, dataset: str, period: Period | None = None) -> Path:
        """Folder of accepted rows and the verdict of a period; of all periods when none is named."""
        folder = self.root / "data" / "accepted" / dataset
        return folder / period.id if period else folder

    def rejected(self, dataset: str, period: Period | None = None) -> Path:
        """Folder of rejected row keys of a period."""
        folder = self.root / "data" / "rejected" / dataset
        return folder / period.id if period else folder

    def measured(self, report: str, period: Period, audience: str = "") -> Path:
        """Folder of `estimates.parquet` and its companions, of everybody or of an audience."""
        return self.root / "data" / "measured" / report / period.id / audience

    def published(self, report: str, period: Period) -> Path:
        """Folder of a finished pack."""
        return self.output / report / period.id

    def delivered(self, report: str, period: Period) -> Path:
        """The log of who was sent an issue."""
        return self.root / "data" / "delivered" / report / f"{period.id}.jsonl"

    @property
    def cache(self) -> Path:
        """Folder of the results of finished steps."""
        return self.root / "data" / "cache"

    @property
    def failed(self) -> Path:
        """Folder of what runs left that published nothing, as `<report>/<period>/`."""
        return self.root / "data" / "failed"

    def issued(self, report: str, before: Period) -> list[Path]:
        """Return the estimates of published issues of a report for earlier periods of its kind, oldest first."""
        return self._dated(report, before, f"{EVERYBODY}/{ESTIMATES_FILE}")

    def issued_to_audiences(self, report: str, before: Period) -> list[Path]:
        """Return the descriptions (`AUDIENCE_FILE`) of audiences of these issues; their estimates lie beside them."""
        return self._dated(report, before, f"*/{AUDIENCE_FILE}")

    def revised(self, report: str, before: Period) -> list[Path]:
        """Return the revisions that these issues told everybody, oldest first."""
        return self._dated(report, before, f"{EVERYBODY}/{REVISIONS_FILE}")

    def issued_beside(self, dataset: str, period: Period) -> list[Path]:
        """Return the estimates of published issues on a dataset by other kinds of period, by path."""
        files = sorted(self.output.glob(f"[!.]*/[!.]*/{EVERYBODY}/{ESTIMATES_FILE}"))
        return [
            file
            for file in files
            if _is_of(file.parents[1], dataset) and Period.parse(file.parents[1].name).kind != period.kind
        ]

    def _dated(self, report: str, before: Period, pattern: str) -> list[Path]:
        """Return files of earlier issues, oldest first, and those of one issue by name."""
        dated = {file: Period.parse(file.parents[1].name) for file in (self.output / report).glob(f"*/{pattern}")}
        earlier = (file for file, period in dated.items() if period.kind == before.kind and period < before)
        return sorted(earlier, key=lambda file: (dated[file], file))


def _is_of(issue: Path, dataset: str) -> bool:
    record = issue / RECORD_FILE
    return record.is_file() and json.loads(record.read_text(encoding="utf-8")).get("dataset") == dataset


# What KPIs read: canonical tables with derived columns, and facts derived from several (`schema.FACTS`).
FactName = Literal[
    "answers",
    "invitations",
    "tickets",
    "orders",
    "mentions",
    "employees",
    "open_cases",
    "customer_periods",
    "tenures",
    "sessions",
]


# --- definitions ---------------------------------------------------------------------------------


class Definition(BaseModel):
    """A YAML file or a part of one: immutable, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Scale(Definition):
    """The answer scale of a question: its ends and which of them is good."""

    low: float
    high: float
    good: Literal["high", "low"]

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"scale runs from {self.low:g} to {self.high:g}; the low end must be below the high end")
        return self


class Base(Definition):
    """Smallest bases: below `suppress` nothing is shown, below `warn` the figure is marked."""

    warn: int = Field(default=30, ge=1)
    suppress: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _suppress_first(self) -> Self:
        if self.suppress > self.warn:
            raise ValueError(f"suppress ({self.suppress}) must not exceed warn ({self.warn})")
        return self


class Ratio(Definition):
    """Two columns of a table: the sum of `of` is divided by the sum of `to`."""

    of: str
    to: str


class Baseline(Definition):
    """The months, first and last, whose figures fix the usual range of a KPI's chart."""

    first: str
    last: str

    @model_validator(mode="after")
    def _periods_in_order(self) -> Self:
        if Period.parse(self.first).start > Period.parse(self.last).start:
            raise ValueError(f"the baseline runs from {self.first} to {self.last}, which lies before it")
        return self


KpiType = Literal["net", "share", "mean", "ratio", "quantile", "survival", "count", "value"]
Unit = Literal["points", "percent", "score", "minutes", "money", "times", "cases"]
Interval = Literal["adjusted_wald", "wilson", "t", "hall", "order_statistic", "greenwood", "jackknife", "none"]

# The keys that decide how a figure is computed, and which of them each type uses.
_STATISTICAL = (
    *("scale", "top", "bottom", "counts", "column", "ratio", "quantile", "age", "at", "shows", "weight", "cluster"),
    *("parts", "per_question", "open_cases", "months", "discount_rate"),
)
_SURVEY = {"scale", "top", "column", "weight", "cluster", "per_question"}
_USED = {
    "`net`": _SURVEY | {"bottom", "parts"},
    "`share`": _SURVEY,
    "`share` with `counts`": {"counts", "weight", "cluster", "per_question"},
    "`mean`": _SURVEY - {"top"},
    "`ratio`": {"ratio", "cluster"},
    "`quantile`": {"column", "quantile", "age", "open_cases", "per_question"},
    "`survival`": {"column", "age", "at", "shows"},
    "`count`": set(),
    "`value`": {"months", "discount_rate"},
}
# The units and intervals that fit each type; the first interval is the usual one.
_FITTING: dict[str, tuple[tuple[Unit, ...], tuple[Interval, ...]]] = {
    "net": (("points",), ("adjusted_wald",)),
    "share": (("percent",), ("wilson",)),
    "mean": (("score", "money", "times", "minutes"), ("wilson", "hall", "t")),
    "ratio": (("percent", "money", "times", "minutes"), ("t", "hall", "wilson")),
    "quantile": (("minutes",), ("order_statistic", "greenwood")),
    "survival": (("percent",), ("greenwood",)),
    "count": (("cases",), ("none",)),
    "value": (("money",), ("jackknife",)),
}


# What is true of one KPI only: of a part of the answers, another figure is usual.
NOT_INHERITED = ("id", "reports", "benchmarks", "baseline")


class Kpi(Definition):
    """One KPI, in one file of `reports/kpis/`; the file stem is its id.

    `type` names the estimator:

    - `net`: share of answers in `top` minus share in `bottom`, in points; with `parts`, the mean of the nets of each
      value that `where` lists for that column
    - `share`: share of answers in `top`, or, with `counts`, share of rows whose column `counts` is filled in
    - `mean`: mean score, or mean of `column`
    - `ratio`: sum of one column over the sum of another
    - `quantile`: the `quantile` of `column`. A row without a value is a case that is still open: `left out`, `longer`
      than any closed one, or `censored` at the time it has been open, its column `age` (Kaplan-Meier)
    - `survival`: share of cases that are `still_open` or `over` when `at` (in the unit of `column`) has passed; open
      cases are censored at their `age` (Kaplan-Meier)
    - `count`: number of rows, which is complete and has no sampling error
    - `value`: expected margin of a customer over the next `months` by BG/NBD and Gamma-Gamma, at a yearly
      `discount_rate`

    Each type uses the keys that `_USED` lists; any other of them is refused. `scale.good` and `higher_is_better` agree.
    `table` and `where` choose the rows (`where` maps a column to one allowed value or a list of them). Rows with the
    same value of `cluster` belong to one customer or account and are not independent; rows without one stand alone.

    `based_on` names a KPI whose keys hold wherever the file says nothing else, but for `NOT_INHERITED`. `reports` names
    reports that show the KPI after those they list.
    """

    id: str = ""
    based_on: str | None = None
    reports: list[str] = []
    title: str
    short: str
    area: str = ""  # the heading under which it stands among all KPIs
    answers: str  # the question it answers for a reader
    type: KpiType
    table: FactName
    where: dict[str, str | list[str]] = {}
    per_question: bool = False
    scale: Scale | None = None
    top: list[float] = []
    bottom: list[float] = []
    parts: str | None = None
    counts: str | None = None
    column: str | None = None
    ratio: Ratio | None = None
    quantile: float | None = Field(default=None, gt=0, lt=1)
    open_cases: Literal["longer", "left out", "censored"] = "left out"
    age: str | None = None
    at: float | None = Field(default=None, gt=0)
    shows: Literal["still_open", "over"] | None = None
    months: int | None = Field(default=None, ge=1)
    discount_rate: float | None = Field(default=None, ge=0, lt=1)
    weight: str | None = None
    cluster: str | None = None
    numerator: str  # in words, for the method page
    denominator: str
    exclusions: list[str] = []
    unit: Unit
    higher_is_better: bool
    minimum_base: Base = Base()
    interval: Interval
    baseline: Baseline | None = None
    benchmarks: list[str] = []
    owner: str
    checker: str
    reviewed: date
    next_review: date
    version: str = "1"

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        problems = [*self._problems(), *self._lacks(), *self._contradictions()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def is_per_answer(self) -> bool:
        """Whether the figure is a (weighted) mean over rows, whose sums add up from levels to totals."""
        return self.type in {"net", "share", "mean", "ratio"} and not self.parts

    def _problems(self) -> Iterable[str]:
        if both := set(self.top) & set(self.bottom):
            yield f"`top` and `bottom` overlap at {sorted(both)}"
        if (scale := self.scale) and (
            outside := [x for x in self.top + self.bottom if not scale.low <= x <= scale.high]
        ):
            yield f"{sorted(outside)} lie outside the scale {scale.low:g} to {scale.high:g}"
        units, intervals = _FITTING[self.type]
        if self.unit not in units:
            yield f"a `{self.type}` has the unit {listed(units)}, not `{self.unit}`"
        if self.interval not in intervals:
            yield f"a `{self.type}` has the interval {listed(intervals)}, not `{self.interval}`"
        if self.parts and not isinstance(self.where.get(self.parts), list):
            yield f"`parts` needs a list of the values of `{self.parts}` under `where`"
        if self.parts and not self.cluster:
            yield "`parts` needs `cluster`, because one response answers several of them"
        if self.next_review < self.reviewed:
            yield "`next_review` lies before `reviewed`"

    def _lacks(self) -> Iterable[str]:
        if self.type in {"net", "share"} and not self.counts:
            if self.scale is None:
                yield f"a `{self.type}` of scores needs `scale`"
            if not self.top:
                yield f"a `{self.type}` of scores needs `top`"
        if self.type == "mean" and not (self.scale or self.column):
            yield "a `mean` needs `scale` (of scores) or `column`"
        if self.type == "mean" and self.interval == "wilson" and not self.scale:
            yield "a `mean` has the interval `wilson` with `scale`, whose ends it needs"
        if self.type == "ratio" and self.interval == "wilson" and self.unit != "percent":
            yield "a `ratio` has the interval `wilson` in `percent`, of a part of a whole"
        if self.interval == "hall" and self.scale:
            yield "a `mean` has the interval `hall` without `scale`; with it, `wilson`"
        needed = {
            "net": ("bottom",),
            "ratio": ("ratio",),
            "quantile": ("column", "quantile"),
            "survival": ("column", "age", "at", "shows"),
            "value": ("months", "discount_rate"),
        }
        yield from (f"a `{self.type}` needs `{key}`" for key in needed.get(self.type, ()) if not self._is_given(key))
        is_censored, needs_greenwood = self.open_cases == "censored", self.interval == "greenwood"
        if is_censored and not self.age:
            yield "`open_cases: censored` needs `age`, the column with the time that open cases have been open"
        if self.type == "quantile" and is_censored != needs_greenwood:
            yield "a `quantile` has the interval `greenwood` with `open_cases: censored`, and only then"

    def _is_given(self, key: str) -> bool:
        return getattr(self, key) not in (None, [])

    def _contradictions(self) -> Iterable[str]:
        kind = "`share` with `counts`" if self.type == "share" and self.counts else f"`{self.type}`"
        unused = [key for key in _STATISTICAL if key in self.model_fields_set and key not in _USED[kind]]
        yield from (f"a {kind} does not use `{key}`" for key in unused)
        if (scale := self.scale) and (scale.good == "high") != self.higher_is_better and not self._counts_the_bad_end:
            better = "higher" if self.higher_is_better else "lower"
            yield f"the good end of `scale` is `{scale.good}`, but `higher_is_better` says that {better} is better"

    @property
    def _counts_the_bad_end(self) -> bool:
        """A share of poor answers (a churn or abandonment rate) is better when lower, whatever its scale."""
        if not self.scale or self.type != "share" or not self.top:
            return False
        poor = self.scale.low if self.scale.good == "high" else self.scale.high
        return poor in self.top


class Segment(Definition):
    """One way of dividing customers or answers: a column and the order and names of its levels."""

    id: str
    title: str
    column: str
    labels: dict[str, str] = {}  # stored value to what readers see, in reading order
    tables: list[FactName] = ["answers"]
    reports: list[str] = []  # that break figures down by it, after the segments they list


class Feed(Definition):
    """A delivered file (or several that match a pattern) and the adapter that reads it."""

    id: str
    adapter: str
    files: str  # glob under the dataset's raw folder
    mapping: str | None = None  # a file in `reports/datasets/mappings/`; needed by the adapter `mapped`
    arrives: Literal["daily", "monthly"] = "daily"  # when its rows are dated: weeks of a monthly feed are not compared
    owner: str

    @field_validator("files")
    @classmethod
    def _is_a_pattern_below_a_folder(cls, pattern: str) -> str:
        path = PurePosixPath(pattern)
        has_odd_part = any(part == ".." or ("**" in part and part != "**") for part in path.parts)
        if not path.parts or path.is_absolute() or has_odd_part:
            raise ValueError("no pattern below the dataset's folder, such as `desk/*.csv` or `**/*.csv`")
        return pattern


class Contacts(Definition):
    """When two support cases of a customer are about one issue: the same `same_issue` columns within `window_days`."""

    same_issue: list[str] = ["team"]
    window_days: int = Field(default=7, ge=1)


class Dataset(Definition):
    """One company's feeds, in one file of `reports/datasets/`; the file stem is its id."""

    id: str = ""
    draft: bool = False  # written by `cxreport ingest FOLDER` and not yet reviewed; nothing is read
    title: str
    population: str  # who is measured, as benchmarks name it
    industry: str
    geography: str = ""  # where they are measured, as benchmarks name it; without it no benchmark that names one fits
    time_zone: str
    raw: str  # folder of the delivered files, relative to the project or absolute
    as_of: date | None = None  # the day the exports were taken; rows dated later are refused
    feeds: list[Feed]
    segments_from_customers: list[str] = []  # columns of `customers` that every fact of a customer is broken down by
    contacts: Contacts = Contacts()
    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")  # ISO 4217, of all amounts; needed by KPIs in money
    margin: float = Field(default=1.0, gt=0, le=1)  # the share of an order's amount that is earned

    @model_validator(mode="after")
    def _zone_is_known(self) -> Self:
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError):
            raise ValueError(f"`{self.time_zone}` is no IANA time zone") from None
        return self


class Drivers(Definition):
    """What moves a score: the questions of one response that are put beside the KPI's own."""

    kpi: str
    metrics: list[str] = Field(min_length=2)  # `metric` of the answers, or `question` for items


class Journey(Definition):
    """The customer journey: its stages in order, and the KPI that scores stages and touchpoints."""

    kpi: str
    stages: list[str] = Field(min_length=2)
    minutes_to_continue: int = Field(default=43_200, ge=1)  # without a further event in this time a journey dropped off


class Subgroups(Definition):
    """Where to search for groups whose score truly differs."""

    kpi: str
    attributes: list[str] = Field(min_length=1)  # columns of answers, responses, or `segments_from_customers`
    depth: int = Field(default=2, ge=1, le=2)
    minimum: int = Field(default=50, ge=10)
    months: int = Field(default=3, ge=1)  # of answers, up to the end of the reported period


class Personas(Definition):
    """Which measures of behaviour and opinion customers are grouped by; names of `analyses.CUSTOMER_MEASURES`."""

    columns: list[str] = Field(min_length=2)


class Churn(Definition):
    """Who may leave: how many days ahead, and how many days back a customer's history is read."""

    horizon_days: int = Field(default=90, ge=7)
    window_days: int = Field(default=180, ge=7)
    list_length: int = Field(default=100, ge=1)


class Link(Definition):
    """Score and revenue: customers' scores of `months_ago` months ago against who is still a customer now."""

    kpi: str
    months_ago: int = Field(default=12, ge=1)
    customers_moved: int | None = Field(default=None, ge=1)  # with `cost`: what moving so many customers may return
    cost: float | None = Field(default=None, ge=0)


class Actions(Definition):
    """Whether improvements worked: the KPI that judges them, and how long before and after is compared."""

    kpi: str = "csat"
    months: int = Field(default=3, ge=1)


class Themes(Definition):
    """What comments speak of, and which KPI they are held against."""

    kpi: str
    dictionary: dict[str, list[str]] = Field(min_length=1)  # theme to patterns of whole words
    quotes: int = Field(default=3, ge=0, le=3)  # of a theme; none where comments may not be published


class Analyses(Definition):
    """Analyses beyond the estimates; each that is named is made, and written beside them."""

    trend: bool = True
    drivers: Drivers | None = None
    journey: Journey | None = None
    consistency: dict[str, str] = {}  # KPI to the segment whose levels should serve customers alike
    cohorts: Literal["month", "quarter", "year"] | None = None
    subgroups: Subgroups | None = None
    personas: Personas | None = None
    churn: Churn | None = None
    link: Link | None = None
    themes: Themes | None = None
    actions: Actions | None = None


class AudienceGroup(Definition):
    """Levels of a segment that one reader answers for, for example a manager's regions."""

    title: str
    levels: list[str] = Field(min_length=1)


class AudienceGroups(Definition):
    """A file of `reports/audiences/`: groups of levels by name; a level may stand in several."""

    groups: dict[str, AudienceGroup]

    @model_validator(mode="before")
    @classmethod
    def _are_the_file(cls, content: object) -> object:
        return {"groups": content}


class Audiences(Definition):
    """Who gets a pack of their own: every level of a segment, or the groups of levels that a file names."""

    by: str
    groups: Path | None = None  # relative to the project

    @model_validator(mode="after")
    def _groups_are_in_the_project(self) -> Self:
        if self.groups and (self.groups.is_absolute() or ".." in self.groups.parts):
            raise ValueError(f"`groups` names {self.groups.as_posix()}, which is not a file of the project")
        return self


class Limits(Definition):
    """What each notebook of a report may take: minutes, and MiB of memory of its own; none is set for memory."""

    minutes: float = Field(default=30, gt=0)
    memory_mb: int | None = Field(default=None, ge=256)


class Report(Definition):
    """One periodic report, in one file of `reports/definitions/`; the file stem is its id."""

    id: str = ""
    title: str
    organisation: str
    language: str = "en"  # of every page: one that the suite knows, or a file of `reports/wording/`
    dataset: str
    period_kind: PeriodKind = "month"
    kpis: list[str]
    headline: list[str] = Field(min_length=1)  # the KPIs on the cards of the executive page; the first one leads
    segments: list[str]
    mix_segments: list[str] = []  # segments whose changing mix may explain a move of the leading KPI
    analyses: Analyses = Analyses()
    targets: dict[str, float] = {}  # what the organisation aims for, in the KPI's unit (shares 0-1)
    prepare: list[str] = Field(default=["10_validate", "20_measure"], min_length=1)  # the first one validates
    present: list[str]
    audiences: Audiences | None = None  # beside the pack for everybody
    reads: list[str] = []  # further files that its pages read, as patterns from the project's root
    limits: Limits = Limits()
    partial: bool = False  # whether a pack is published without the pages that failed, which its title then says
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    headline_weight: float = Field(default=0.5, ge=0, lt=1)  # part of the report's error kept for the headline totals
    contact: str

    @model_validator(mode="after")
    def _named_kpis_are_measured(self) -> Self:
        for key, named in (("headline", self.headline), ("targets", self.targets)):
            if extra := [kpi for kpi in named if kpi not in self.kpis]:
                raise ValueError(f"`{key}` names {listed(extra)}, not listed under `kpis`")
        if extra := [segment for segment in self.mix_segments if segment not in self.segments]:
            # What is not published has no marks that later issues could keep.
            raise ValueError(f"`mix_segments` names {listed(extra)}, not listed under `segments`")
        if self.audiences and self.audiences.by not in self.segments:
            raise ValueError(f"`audiences` names `{self.audiences.by}`, not listed under `segments`")
        return self


class Site(Definition):
    """Where readers find the archive, in `reports/site.yml`: for its feed, whose links are relative without it."""

    address: str = Field(default="", pattern=r"^(https?://[^\s<>\"]+/)?$")


T = TypeVar("T", bound=Definition)


# --- loading -------------------------------------------------------------------------------------


def load_report(project: Project, report: str) -> Report:
    """Read a report definition; raises `UsageError` for an unknown id, `DefinitionError` for a wrong file."""
    known = sorted(path.stem for path in project.definitions.glob("*.yml"))
    if report not in known:
        raise UsageError(
            found=f"report `{report[:60]}`{nearest(report, known)}",
            expected=f"one of {listed(known)}",
            do="name one of these, or add a file to `reports/definitions/`",
        )
    definition = _load_one(project.definitions / f"{report}.yml", Report, project)
    kpis, segments = load_kpis(project), load_segments(project)
    _raise_if(
        [
            f"`{named.id}` names the report `{name}`{nearest(name, known)}, which has no file"
            for named in cast(list[Kpi | Segment], [*kpis.values(), *segments.values()])
            for name in named.reports
            if name not in known
        ]
    )
    return definition.model_copy(
        update={
            "kpis": _with_those_that_ask(definition.kpis, kpis, report),
            "segments": _with_those_that_ask(definition.segments, segments, report),
        }
    )


def _with_those_that_ask(listed_there: Sequence[str], known: Mapping[str, Kpi | Segment], report: str) -> list[str]:
    return list(dict.fromkeys([*listed_there, *(each.id for each in known.values() if report in each.reports)]))


def load_dataset(project: Project, dataset: str) -> Dataset:
    """Read a dataset definition; raises `DefinitionError` for an unknown id or a wrong file."""
    path = project.datasets / f"{dataset}.yml"
    if not path.is_file():
        known = sorted(path.stem for path in project.datasets.glob("*.yml"))
        raise DefinitionError(
            found=f"dataset `{dataset}`{nearest(dataset, known)}",
            expected=f"one of {listed(known)}",
            do="name one of these in the report's `dataset`, or add a file to `reports/datasets/`",
        )
    return _load_one(path, Dataset, project)


def load_kpis(project: Project, wanted: Iterable[str] | None = None) -> dict[str, Kpi]:
    """Read KPI files, all of them or the wanted ones, in the wanted order.

    Every file of the folder is checked, so that one bad file cannot hide behind a report that skips it.
    Raises `DefinitionError` with all problems of all files.
    """
    problems: list[str] = []
    kpis: dict[str, Kpi] = {}
    for path in sorted(project.kpis.glob("*.yml")):
        kpi, wrong = _parse(path, Kpi, project)
        problems += wrong
        if kpi:
            kpis[path.stem] = kpi
    known = {path.stem for path in project.kpis.glob("*.yml")}
    chosen = list(kpis) if wanted is None else list(wanted)
    problems += [f"KPI `{kpi}` has no file{nearest(kpi, known)}" for kpi in chosen if kpi not in known]
    _raise_if(problems)
    return {kpi: kpis[kpi] for kpi in chosen}


def load_segments(project: Project, wanted: Iterable[str] | None = None) -> dict[str, Segment]:
    """Read `reports/segments.yml`, all segments or the wanted ones in the wanted order."""

    class Segments(Definition):
        segments: list[Segment]

    loaded = _load_one(project.segments, Segments, project)
    ids = [segment.id for segment in loaded.segments]
    twice = [name for name in dict.fromkeys(ids) if ids.count(name) > 1]
    _raise_if([f"segment `{name}` stands twice in reports/segments.yml" for name in twice])
    segments = {segment.id: segment for segment in loaded.segments}
    chosen = list(segments) if wanted is None else list(wanted)
    unknown = [name for name in chosen if name not in segments]
    _raise_if([f"segment `{name}` is not in reports/segments.yml{nearest(name, segments)}" for name in unknown])
    return {name: segments[name] for name in chosen}


def load_site(project: Project) -> Site:
    """Read where the archive stands, where a file says so; raises `DefinitionError` for a wrong one."""
    return _load_one(project.site, Site, project) if project.site.is_file() else Site()


def load_yaml(path: Path, model: type[T], project: Project) -> T:
    """Read any definition file, for example an adapter's mapping; raises `DefinitionError`."""
    if not path.is_file():
        raise DefinitionError(
            found=f"no file {_shown(path, project)}",
            expected="a YAML definition there",
            do="correct the path where it is named, or add the file",
        )
    return _load_one(path, model, project)


def _load_one(path: Path, model: type[T], project: Project) -> T:
    loaded, problems = _parse(path, model, project)
    _raise_if(problems)
    assert loaded is not None
    return loaded


def _parse(path: Path, model: type[T], project: Project) -> tuple[T | None, list[str]]:
    shown = _shown(path, project)
    content, wrong = _mapping(path)
    if wrong:
        return None, [f"{shown}: {wrong}"]
    if "id" in content and "id" in model.model_fields:
        return None, [f"{shown}: `id` is the file name, remove it"]
    if "id" in model.model_fields:
        content["id"] = path.stem
    if "based_on" in content and "based_on" in model.model_fields:
        base = path.with_name(f"{content['based_on']}.yml")
        inherited, wrong = _based_on(base, shown)
        if wrong:
            return None, [wrong]
        content = inherited | content
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        return None, [f"{shown}: {_problem(cast(dict[str, Any], item), model)}" for item in error.errors()]


def _mapping(path: Path) -> tuple[dict[str, Any], str]:
    """Return the keys of a file, or what is wrong with it."""
    try:
        content: Any = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        return {}, f"cannot be read as YAML ({' '.join(str(error).split())})"
    return (content, "") if isinstance(content, dict) else ({}, "holds no keys")


def _based_on(base: Path, shown: str) -> tuple[dict[str, Any], str]:
    """Return the keys that a definition takes over from another one of its folder, or what is wrong with it."""
    known = {path.stem for path in base.parent.glob("*.yml")}
    if base.stem not in known:
        return {}, f"{shown}: `based_on` names `{base.stem[:60]}`{nearest(base.stem, known)}, which has no file"
    content, _ = _mapping(base)
    if "based_on" in content:
        return {}, f"{shown}: `based_on` names `{base.stem}`, which is based on another one itself"
    return {key: value for key, value in content.items() if key not in NOT_INHERITED}, ""


def _problem(item: dict[str, Any], model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key `{where}`{nearest(str(item['loc'][-1]), _keys_at(model, item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"key `{where}` is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"`{where}`: {message}" if where else message


def _keys_at(model: type[BaseModel], path: tuple[object, ...]) -> list[str]:
    """Return the keys allowed where an unknown one was found, following nested definitions."""
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(str(part))
        inner = next(iter(_models_in(field.annotation)), None) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _shown(path: Path, project: Project) -> str:
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.name


def _raise_if(problems: list[str]) -> None:
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected="definitions with known keys and values that fit together",
            do="correct the file named above",
        )


class _UniqueKeys(yaml.CSafeLoader):
    """A safe loader that refuses a key given twice, which YAML would silently overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.YAMLError(f"key `{key}` stands twice, line {key_node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep)
