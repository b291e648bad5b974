"""Open what a report needs to be written: estimates, mix, verdict and definitions of one period."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Self

import pandas as pd
from pydantic import Field, InstanceOf

from cxreport.config import (
    ESTIMATES_FILE,
    REVISIONS_FILE,
    WHOLE_FILE,
    Dataset,
    Kpi,
    Project,
    Report,
    Segment,
    load_dataset,
    load_kpis,
    load_report,
    load_segments,
)
from cxreport.engine import read_table
from cxreport.errors import UsageError, nearest
from cxreport.measure import read_analyses
from cxreport.measure.audiences import Audience, read_audience
from cxreport.measure.benchmarks import last_day_of, read_benchmarks
from cxreport.periods import Period
from cxreport.present.identity import Mark
from cxreport.present.words import Words
from cxreport.sources import question_titles
from cxreport.validate import Verdict, read_verdict, require_publishable

ALL = "all"
_COUNTS = {"n", "n_top", "n_bottom", "n_was", "n_now"}
# What a KPI's definition says to readers.
_TOLD = ("title", "short", "answers", "area", "numerator", "denominator", "owner", "checker")


class ShownKpi(Kpi):
    """A KPI as a report shows it.

    Attributes
    ----------
    currency
        ISO 4217, of its dataset's amounts; empty where the dataset states none.
    words
        The words of the report's language, in which its texts stand.
    """

    currency: str
    words: InstanceOf[Words] = Field(repr=False)

    @classmethod
    def of(cls, kpi: Kpi, currency: str, words: Words) -> Self:
        """Return a KPI with its texts in the words of a language."""
        content = kpi.model_dump(exclude_unset=True)
        told = {name: words.text(text) for name in _TOLD if isinstance(text := content.get(name), str)}
        left_out = [words.text(text) for text in kpi.exclusions]
        return cls(**content | told | {"exclusions": left_out}, currency=currency, words=words)


@dataclass(frozen=True)
class Figure:
    """One row of `estimates`, with `None` where the row holds no value; full precision, units as in the schema."""

    kpi: str
    question: str | None
    period: str
    period_kind: str
    segment: str
    level: str
    n: int | None
    n_eff: float | None
    n_top: int | None
    n_bottom: int | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    se: float | None
    base: float | None
    df: float | None
    p_top: float | None
    p_bottom: float | None
    method: str | None
    previous: float | None
    change: float | None
    change_ci_low: float | None
    change_ci_high: float | None
    p_value: float | None
    q_value: float | None
    verdict: str | None
    year_ago: float | None
    year_change: float | None
    year_change_ci_low: float | None
    year_change_ci_high: float | None
    year_p_value: float | None
    year_q_value: float | None
    year_verdict: str | None
    apart_p_value: float | None
    apart_q_value: float | None
    apart: str | None
    usual_low: float | None
    usual_mid: float | None
    usual_high: float | None
    signal: str | None
    benchmark: str | None
    benchmark_value: float | None
    benchmark_low: float | None
    benchmark_high: float | None
    gap: float | None
    gap_ci_low: float | None
    gap_ci_high: float | None
    peer_percentile: float | None
    peer_low: float | None
    peer_high: float | None
    history_percentile: float | None
    target: float | None
    status: str | None
    weight_sum: float | None
    share: float | None
    suppressed: str | None
    low_base: bool | None
    note: str | None

    @property
    def is_hidden(self) -> bool:
        """Whether the figure protects a small group; nothing numeric of it may be shown."""
        return self.suppressed not in {None, "no"}

    @property
    def is_shown(self) -> bool:
        """Whether there is a value to show."""
        return self.value is not None and not self.is_hidden


@dataclass(frozen=True)
class MixRow:
    """One row of `mix`: what one level contributed to a change, by its own value (rate) and by its share (mix)."""

    kpi: str
    period: str
    segment: str
    level: str
    share_before: float | None
    share_after: float | None
    value_before: float | None
    value_after: float | None
    rate_effect: float | None
    mix_effect: float | None
    entered_left_effect: float | None
    suppressed: str | None

    @property
    def is_hidden(self) -> bool:
        """Whether the row protects a small group."""
        return self.suppressed not in {None, "no"}


@dataclass(frozen=True)
class Pack:
    """Everything a report says, opened once: definitions, figures, the split of changes, the verdict on the data."""

    project: Project
    report: Report
    dataset: Dataset
    period: Period
    words: Words
    kpis: dict[str, ShownKpi]
    segments: dict[str, Segment]
    columns: dict[str, Segment]  # every segment of the project by its column, also those that the report does not show
    estimates: pd.DataFrame = field(repr=False)
    mix: pd.DataFrame = field(repr=False)
    verdict: Verdict = field(repr=False)
    question_titles: dict[str, str] = field(repr=False)
    benchmarks: pd.DataFrame = field(repr=False)
    mark: Mark  # whose figures charts and tables show
    audience: Audience | None = None  # whose figures these are; none where they are everybody's
    whole: pd.DataFrame | None = field(default=None, repr=False)  # everybody's totals, beside an audience's figures

    @property
    def leading(self) -> ShownKpi:
        """The first KPI of the headline."""
        return self.kpis[self.report.headline[0]]

    @property
    def confidence(self) -> str:
        """The confidence of the intervals, e.g. `95%`."""
        digits = len(f"{100 * self.report.confidence:g}".partition(".")[2])
        return self.words.percent(self.report.confidence, digits)

    @property
    def as_of(self) -> date:
        """The day the report looks back from: that of the exports, or the period's last day."""
        return self.dataset.as_of or self.period.end - timedelta(days=1)

    @property
    def has_past(self) -> bool:
        """Whether an earlier period was measured."""
        return bool((self.estimates["period"] < self.period.id).any())

    def footnotes(self, page: str) -> list[str]:
        """Return what readers of a page are told of the data; plain text, not yet escaped.

        A report has the pages that the names of its notebooks end in. What concerns none of them stands under the
        method, or on the first page of a report without one.
        """
        held = [name.rpartition("_")[2] for name in self.report.present]
        home = "method" if "method" in held else held[0]
        return [
            self.words.text(footnote)
            for concerned, footnotes in self.verdict.pages.items()
            if page == (concerned if concerned in held else home)
            for footnote in footnotes
        ]

    def figures(self, kpi: str, segment: str = ALL) -> list[Figure]:
        """Return a KPI's figures of the reported period, in the segment's reading order.

        For the total of a KPI asked per question there is one figure a question, in the order of their names.
        Raises `UsageError` for a KPI that the report does not have.
        """
        if kpi not in self.kpis:
            raise UsageError(
                found=f"KPI `{kpi[:60]}`{nearest(kpi, self.kpis)}",
                expected=f"one of the report's KPIs: {', '.join(self.kpis)}",
                do="name one of these, or add it to the report's `kpis`",
            )
        return self._figures.get((kpi, segment), [])

    def total(self, kpi: str) -> Figure | None:
        """Return a KPI's figure of the reported period over all answers; `None` when it was not measured."""
        return next((figure for figure in self.figures(kpi) if figure.question is None), None)

    def everybody(self, kpi: str) -> Figure | None:
        """Return the figure of everybody beside an audience's; `None` in everybody's own pack."""
        return self._everybody.get(kpi)

    def history(self, kpi: str) -> list[Figure]:
        """Return a KPI's totals, oldest first, up to the reported period."""
        return self._totals.get(kpi, [])

    def mix_rows(self, segment: str) -> list[MixRow]:
        """Return the split of the leading KPI's last change by one segment, in reading order, without the totals."""
        return [row for row in self._mix(segment) if row.level != ALL]

    def mix_total(self, segment: str) -> MixRow | None:
        """Return the totals of `mix_rows`; `None` when there is no earlier period to compare with."""
        return next((row for row in self._mix(segment) if row.level == ALL), None)

    def level_label(self, segment: str, level: str) -> str:
        """Return what readers see for a stored level; plain text, not yet escaped."""
        if segment == ALL:
            return self.audience.title if self.audience else self.words("tables.all")
        return self.segments[segment].labels.get(level) or self.words.text(level)

    def place(self, segment: str, level: str) -> tuple[int, bool, str]:
        """Return what levels sort by: the order of the labels, then the alphabet, and last what stands in brackets."""
        order = list(self.segments[segment].labels) if segment in self.segments else []
        return (order.index(level) if level in order else len(order), level.startswith("("), level)

    def segment_name(self, segment: str) -> str:
        """Return a segment's title as it stands inside a sentence; plain text, not yet escaped."""
        return self.words.inside(self.segments[segment].title)

    def group_label(self, figure: Figure) -> str:
        """Return what readers call a figure's group, with its question if it has one; plain text, not yet escaped."""
        level = self.level_label(figure.segment, figure.level)
        return f"{self.question_title(figure.question)}, {level}" if figure.question else level

    def question_title(self, question: str) -> str:
        """Return what readers see for a question; plain text, not yet escaped."""
        return self.question_titles.get(question) or self.words.text(question)

    @property
    def areas(self) -> dict[str, list[ShownKpi]]:
        """The KPIs under their area, areas in the order of their first KPI; those without one stand last."""
        named = dict.fromkeys(sorted((kpi.area for kpi in self.kpis.values()), key=lambda area: not area))
        return {area: [kpi for kpi in self.kpis.values() if kpi.area == area] for area in named}

    def first_by(self, segment: str) -> ShownKpi:
        """Return the first KPI of the report that was measured by a segment; the leading one when none was."""
        measured = (kpi for kpi in self.kpis.values() if self.figures(kpi.id, segment))
        return next(measured, self.leading)

    @property
    def mix_segment(self) -> str:
        """The segment whose changed mix did most to the leading KPI; empty without an earlier period."""
        totals = {name: total for name in self.report.mix_segments if (total := self.mix_total(name))}
        return max(totals, key=lambda name: abs(totals[name].mix_effect or 0), default="")

    def benchmark_year(self, benchmark: str) -> str:
        """Return the year a benchmark speaks of, with a mark when it is too old to conclude from."""
        entry = self.benchmarks.loc[benchmark]
        last_day, valid_until = last_day_of(str(entry["period"])), str(entry["valid_until"])
        is_valid = valid_until != "" and date.fromisoformat(valid_until) >= self.period.end
        year = str(last_day.year) if last_day else self.words("pack.undated")
        return year if is_valid else self.words("pack.out_of_date", year=year)

    @cached_property
    def analyses(self) -> dict[str, pd.DataFrame]:
        """The tables of the analyses of the reported period, by name; those that were not made are not there."""
        return read_analyses(self.project, self.report.id, self.period, self.audience.id if self.audience else "")

    def analysed(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table of the analyses, `None` for what is missing; none where it was not made."""
        return list(_records(self.analyses[table])) if table in self.analyses else []

    @cached_property
    def revisions(self) -> list[dict[str, Any]]:
        """The rows of `schema.REVISIONS`: issued figures that are others today, `None` for what is missing."""
        folder = self.project.measured(self.report.id, self.period, self.audience.id if self.audience else "")
        file = folder / REVISIONS_FILE
        return list(_records(read_table(file))) if file.is_file() else []

    @cached_property
    def _figures(self) -> dict[tuple[str, str], list[Figure]]:
        """The figures of the reported period by KPI and segment, in reading order."""
        found: dict[tuple[str, str], list[Figure]] = {}
        for row in _records(self.estimates[self.estimates["period"] == self.period.id]):
            figure = Figure(**row)
            found.setdefault((figure.kpi, figure.segment), []).append(figure)
        for (_, segment), figures in found.items():
            figures.sort(key=lambda figure: (*self.place(segment, figure.level), figure.question or ""))
        return found

    @cached_property
    def _totals(self) -> dict[str, list[Figure]]:
        """The totals of all periods up to the reported one by KPI, oldest first, without those of single questions."""
        is_total = (self.estimates["segment"] == ALL) & self.estimates["question"].isna()
        figures = [Figure(**row) for row in _records(self.estimates[is_total])]
        past = sorted(((Period.parse(figure.period), figure) for figure in figures), key=lambda pair: pair[0])
        found: dict[str, list[Figure]] = {}
        for period, figure in past:
            if period <= self.period:
                found.setdefault(figure.kpi, []).append(figure)
        return found

    @cached_property
    def _everybody(self) -> dict[str, Figure]:
        return {} if self.whole is None else {row["kpi"]: Figure(**row) for row in _records(self.whole)}

    def _mix(self, segment: str) -> list[MixRow]:
        mix = self.mix
        chosen = (mix["kpi"] == self.leading.id) & (mix["segment"] == segment) & (mix["period"] == self.period.id)
        found = [MixRow(**row) for row in _records(mix[chosen])]
        return sorted(found, key=lambda row: self.place(segment, row.level))


def open_pack(report: str, period: str = "", root: str = "", audience: str = "") -> Pack:
    """Open the measured figures of a report for one period, and for one audience.

    Parameters
    ----------
    report
        Id of a report definition.
    period
        ISO period; empty for the newest one measured.
    root
        The project's folder; empty to look for it from here upwards.
    audience
        Id of an audience that the period was measured for; empty for everybody.

    Raises `UsageError` when nothing is measured for them, `DefinitionError` for a wrong definition, `GateError` when
    the verdict on the data is to stop.
    """
    project = Project.at(root)
    definition = load_report(project, report)
    chosen = Period.parse(period) if period else _newest(project, definition)
    folder = project.measured(report, chosen)
    missing = [name for name in ("estimates", "mix") if not (folder / f"{name}.parquet").is_file()]
    if missing:
        raise _not_measured(f"no {' and no '.join(missing)} of report `{report}` for {chosen.id}", report, chosen.id)
    dataset = load_dataset(project, definition.dataset)
    kpis = load_kpis(project, definition.kpis)
    segments = load_segments(project)
    words = Words.open(project, definition.language)
    reader = read_audience(project, report, chosen, audience) if audience else None
    own = reader.narrow(definition, kpis, segments) if reader else definition
    own_folder = folder / audience
    return Pack(
        project=project,
        report=own,
        dataset=dataset,
        period=chosen,
        words=words,
        kpis={name: ShownKpi.of(kpis[name], dataset.currency, words) for name in own.kpis},
        segments={name: _told(segments[name], words) for name in dict.fromkeys([*own.segments, *own.mix_segments])},
        columns={segment.column: _told(segment, words) for segment in segments.values()},
        estimates=read_table(own_folder / ESTIMATES_FILE),
        mix=read_table(own_folder / "mix.parquet"),
        verdict=require_publishable(read_verdict(project, dataset.id, chosen)),
        question_titles={name: words.text(title) for name, title in question_titles(project, dataset).items()},
        benchmarks=read_benchmarks(project),
        mark=Mark.of(project, report, chosen, audience),
        audience=replace(reader, title=words.text(reader.title)) if reader else None,
        whole=read_table(own_folder / WHOLE_FILE) if reader else None,
    )


def _told(segment: Segment, words: Words) -> Segment:
    """Return a segment with its texts in the words of a language."""
    labels = {level: words.text(label) for level, label in segment.labels.items()}
    return segment.model_copy(update={"title": words.text(segment.title), "labels": labels})


def _newest(project: Project, report: Report) -> Period:
    folders = project.measured(report.id, Period.parse("2000")).parent.glob("*/estimates.parquet")
    periods = sorted(Period.parse(path.parent.name) for path in folders)
    if not periods:
        raise _not_measured(f"no measured period of report `{report.id}`", report.id, "")
    return periods[-1]


def _not_measured(found: str, report: str, period: str) -> UsageError:
    command = f"cxreport run --report {report}" + (f" --period {period}" if period else "")
    return UsageError(
        found=found,
        expected=f"the files that the notebook 20_measure writes to data/measured/{report}/",
        do=f"run `{command}`, or the notebooks 10_validate and 20_measure",
    )


def _records(frame: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for row in frame.to_dict("records"):
        yield {str(name): _plain(str(name), value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    """Return `None` for every kind of missing value, and counts as whole numbers, which gaps had made fractions."""
    if value is None or value is pd.NA or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return int(value) if name in _COUNTS else value
