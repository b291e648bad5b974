"""Packs of their own for regions, products or managers: who gets one, and which figures each of them holds.

An audience is one or several levels of a segment. Its figures are those of its levels, and of their crossings with the
other segments. So that no pack gives away what another one hides, the figures of all packs are protected together, as
cells of the whole company: each is named by the levels that it is of.
"""

import hashlib
import json
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import narwhals as nw
import pandas as pd

from cxreport.config import (
    AUDIENCE_FILE,
    ESTIMATES_FILE,
    EVERYBODY,
    AudienceGroups,
    FactName,
    Kpi,
    Project,
    Report,
    Segment,
    load_yaml,
)
from cxreport.engine import Frame, read_table
from cxreport.errors import DefinitionError, UsageError, listed, nearest
from cxreport.measure.benchmarks import RANKS, add_ranks
from cxreport.measure.disclosure import Cell, Margin, find_margins
from cxreport.measure.kpis import Measured, Scope, measure_parts
from cxreport.measure.rollup import NOT_STATED
from cxreport.periods import Period
from cxreport.schema import TOTAL

# The levels of the audiences' segment that figures are of.
Levels = tuple[str, ...]

_PART = "_audience"
_LONGEST_ID = 60
# Folders beside those of audiences.
_TAKEN = (EVERYBODY, "lists")


@dataclass(frozen=True)
class Audience:
    """Who gets a pack of their own.

    Attributes
    ----------
    id
        A safe file name.
    title
        What readers see; plain text, not yet escaped.
    by
        The segment whose levels the audience is made of.
    levels
        In alphabetical order.
    """

    id: str
    title: str
    by: str
    levels: Levels

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(**told | {"levels": tuple(told["levels"])})

    def write(self, path: Path) -> None:
        """Write the audience as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def is_one_level(self) -> bool:
        return len(self.levels) == 1

    def narrow(self, report: Report, kpis: Mapping[str, Kpi], segments: Mapping[str, Segment]) -> Report:
        """Return the report of the audience: the KPIs and segments that it has figures of."""
        kept = {kpi_id for kpi_id, kpi in kpis.items() if _is_divided(kpi, segments[self.by])}
        left = [name for name in report.segments if name != self.by or not self.is_one_level]
        consistency = {kpi: name for kpi, name in report.analyses.consistency.items() if kpi in kept and name in left}
        return report.model_copy(
            update={
                "kpis": [kpi for kpi in report.kpis if kpi in kept],
                "headline": [kpi for kpi in report.headline if kpi in kept],
                "targets": {kpi: target for kpi, target in report.targets.items() if kpi in kept},
                "segments": left,
                "mix_segments": [name for name in report.mix_segments if name in left],
                "analyses": report.analyses.model_copy(update={"consistency": consistency}),
            }
        )


def _is_divided(kpi: Kpi, segment: Segment) -> bool:
    """Say whether a KPI has figures of its own for the levels of a segment; one model of value fits everybody."""
    return kpi.table in segment.tables and kpi.type != "value"


# --- who they are --------------------------------------------------------------------------------


def check_audiences(
    project: Project, report: Report, kpis: Mapping[str, Kpi], segments: Mapping[str, Segment]
) -> AudienceGroups | None:
    """Check what a report says of its audiences, as far as definitions tell; returns the groups where it names some.

    Raises `DefinitionError` for a wrong file, and where no KPI of the headline can be divided among the audiences.
    """
    if report.audiences is None:
        return None
    segment = segments[report.audiences.by]
    if not any(_is_divided(kpis[kpi], segment) for kpi in report.headline):
        raise DefinitionError(
            found=f"`audiences` by `{segment.id}`, of which no KPI of `headline` has figures",
            expected=f"a headline KPI of {listed(segment.tables)}",
            do=f"correct `audiences` or `headline` in reports/definitions/{report.id}.yml",
        )
    file = report.audiences.groups
    return load_yaml(project.root / file, AudienceGroups, project) if file else None


def find_audiences(
    report: Report,
    groups: AudienceGroups | None,
    segments: Mapping[str, Segment],
    measured: Iterable[pd.DataFrame],
) -> list[Audience]:
    """Return the audiences of a report in reading order: the groups, or every level that some period measured.

    Raises `DefinitionError` for groups of unknown levels, and where two audiences would share a folder.
    """
    if report.audiences is None:
        return []
    segment = segments[report.audiences.by]
    found = {level for figures in measured for level in figures.loc[figures["segment"] == segment.id, "level"]}
    known = [*(level for level in segment.labels if level in found), *sorted(found - {*segment.labels, NOT_STATED})]
    if groups is None:
        named = [(level, segment.labels.get(level, level), [level]) for level in known]
    else:
        named = [(name, group.title, group.levels) for name, group in groups.groups.items()]
        _require_known(report, [level for *_, levels in named for level in levels], known)
    audiences = [Audience(_slug(name), title, segment.id, tuple(sorted(set(own)))) for name, title, own in named]
    _require_folders(report, {name: audience.id for (name, *_), audience in zip(named, audiences, strict=True)})
    return audiences


def _require_known(report: Report, named: list[str], known: list[str]) -> None:
    assert report.audiences is not None
    if unknown := [level for level in dict.fromkeys(named) if level not in known]:
        raise DefinitionError(
            found="; ".join(f"level `{level[:60]}` of an audience{nearest(level, known)}" for level in unknown),
            expected=f"levels of the segment `{report.audiences.by}`: {listed(known)}",
            do=f"correct {report.audiences.groups}",
        )


def _require_folders(report: Report, ids: Mapping[str, str]) -> None:
    """Refuse ids that stand twice, also where a file system does not tell capitals, or that name other folders."""
    taken: dict[str, list[str]] = {}
    for name, audience_id in ids.items():
        taken.setdefault(audience_id, []).append(name)
    if clashes := [names for audience_id, names in taken.items() if len(names) > 1 or audience_id in _TAKEN]:
        raise DefinitionError(
            found=f"audiences whose folders would have one name, or one that is taken: "
            f"{'; '.join(listed(name[:60] for name in names) for names in clashes)}",
            expected="audiences whose names differ by letters or digits, and none called `all` or `lists`",
            do=f"name them in a file, as `groups` under `audiences` in reports/definitions/{report.id}.yml",
        )


def _slug(name: str) -> str:
    """Return a name as part of a path and an address: small letters, digits and hyphens.

    >>> _slug("Île-de-France / Ouest"), _slug("../x")
    ('ile-de-france-ouest', 'x')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_ID].strip("-")
    # Names of other scripts leave no letters to tell them by.
    return slug or f"audience-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def remove_audiences(project: Project, report: str, period: Period) -> None:
    """Remove what an earlier measurement of a period wrote for its audiences."""
    for file in project.measured(report, period).glob(f"*/{AUDIENCE_FILE}"):
        shutil.rmtree(file.parent)


def read_audiences(project: Project, report: str, period: Period) -> list[Audience]:
    """Return the audiences that a period was measured for, by id."""
    files = project.measured(report, period).glob(f"*/{AUDIENCE_FILE}")
    return sorted((Audience.read(file) for file in files), key=lambda audience: audience.id)


def read_audience(project: Project, report: str, period: Period, audience_id: str) -> Audience:
    """Return one of these audiences; raises `UsageError` that names the nearest for any other."""
    file = project.measured(report, period, audience_id) / AUDIENCE_FILE
    # Pages of an audience may not look at the others'; and an id is no path.
    if audience_id == _slug(audience_id) and file.is_file():
        return Audience.read(file)
    known = [audience.id for audience in read_audiences(project, report, period)]
    raise UsageError(
        found=f"audience `{audience_id[:60]}`{nearest(audience_id, known)}",
        expected=f"one of {listed(known)}" if known else f"none: `{report}` was measured for everybody only",
        do="name one of these, or measure the period with `audiences` in the report's definition",
    )


# --- what is measured of them --------------------------------------------------------------------


def measure_crossings(
    facts: Mapping[FactName, Frame], kpis: Mapping[str, Kpi], scope: Scope, audiences: Sequence[Audience]
) -> dict[Levels, list[Measured]]:
    """Measure every level of the audiences' segment, and every audience of several levels, each among its own rows.

    Levels that are nobody's audience are measured as well, because what the others leave of a total is theirs. Every
    KPI is summed once for all levels. Nothing is measured without audiences.
    """
    if not audiences:
        return {}
    by = scope.segments[audiences[0].by]
    others = replace(scope, segments={name: each for name, each in scope.segments.items() if name != by.id})
    several = [audience.levels for audience in audiences if not audience.is_one_level]
    found: dict[Levels, list[Measured]] = {audience.levels: [] for audience in audiences}
    frames = {
        table: _of_levels(facts[table], by.column)
        for table in {kpi.table for kpi in kpis.values() if _is_divided(kpi, by)}
    }
    groups = {table: _of_groups(facts[table], by.column, several) for table in frames if several}
    for kpi in (kpi for kpi in kpis.values() if _is_divided(kpi, by)):
        for level, measured in measure_parts(frames[kpi.table], kpi, others, _PART).items():
            found.setdefault((level,), []).append(measured)
        for name, measured in measure_parts(groups[kpi.table], kpi, scope, _PART).items() if several else ():
            found[tuple(json.loads(name))].append(measured)
    return found


def _of_levels(rows: Frame, column: str) -> Frame:
    return _categorised(rows.with_columns(nw.col(column).cast(nw.String).fill_null(NOT_STATED).alias(_PART)))


def _of_groups(rows: Frame, column: str, groups: Sequence[Levels]) -> Frame:
    """Return the rows of each group below each other; a row may be in several."""
    return _categorised(
        nw.concat(
            [
                rows.filter(nw.col(column).is_in(list(levels))).with_columns(nw.lit(json.dumps(levels)).alias(_PART))
                for levels in groups
            ]
        )
    )


def _categorised(frame: Frame) -> Frame:
    """Make the name of the part a category where rows are held in memory: groups are numbered faster."""
    return frame.with_columns(nw.col(_PART).cast(nw.Categorical)) if frame.implementation.is_pandas() else frame


# --- packs and cells -----------------------------------------------------------------------------


def cells_of(by: str, levels: Levels, segment: str) -> str:
    """Name the cells that some levels of an audiences' segment make with another segment, or with all of it."""
    return json.dumps([by, levels, segment])


def as_cells(rows: pd.DataFrame, by: str, levels: Levels) -> pd.DataFrame:
    """Return the estimates of some levels as cells of the whole company.

    The total of a single level is left out: the company's own estimates hold it as that level.
    """
    kept = rows[rows["segment"] != TOTAL] if len(levels) == 1 else rows
    names = {segment: cells_of(by, levels, segment) for segment in kept["segment"].unique()}
    return kept.assign(segment=kept["segment"].map(names))


def of_audience(cells: pd.DataFrame, audience: Audience, segments: Iterable[str]) -> pd.DataFrame:
    """Return the cells that an audience sees as its own estimates, on the same index."""
    names = {cells_of(audience.by, audience.levels, segment): segment for segment in (TOTAL, *segments)}
    parts = cells[cells["segment"].isin(list(names))]
    parts = parts.assign(segment=parts["segment"].map(names))
    if not audience.is_one_level:
        return parts
    total = cells[(cells["segment"] == audience.by) & (cells["level"] == audience.levels[0])]
    share = total["share"].where(total["share"].isna(), 1.0)
    return pd.concat([total.assign(segment=TOTAL, level=TOTAL, share=share), parts])


def cross_margins(levels: pd.DataFrame, audiences: Sequence[Audience]) -> Iterator[Margin]:
    """Yield what ties the audiences' cells to each other and to the levels of segments.

    Parameters
    ----------
    levels
        As for `find_margins`.
    """
    by = audiences[0].by if audiences else ""
    if by not in levels:
        return
    parts = {str(level): inside.drop(columns=by) for level, inside in levels.groupby(by)}
    held = {level: {str(name): set(inside[name]) for name in inside} for level, inside in parts.items()}

    def cells(segment: str, level: str, among: Iterable[str]) -> tuple[Cell, ...]:
        return tuple((cells_of(by, (one,), segment), level) for one in among if level in held[one][segment])

    for one, inside in parts.items():
        for segment, several in held[one].items():
            name = cells_of(by, (one,), segment)
            yield Margin(((by, one),), tuple((name, level) for level in sorted(several)))
        for whole, others in find_margins(inside):
            sides = (
                tuple((cells_of(by, (one,), segment), level) for segment, level in side) for side in (whole, others)
            )
            yield Margin(*sides)
    crossed = [(str(name), str(level)) for name in levels if name != by for level in sorted(set(levels[name]))]
    yield from (Margin((cell,), cells(*cell, parts)) for cell in crossed)
    for group in {audience.levels for audience in audiences if not audience.is_one_level}:
        own = [level for level in group if level in parts]
        yield Margin(((cells_of(by, group, TOTAL), TOTAL),), tuple((by, level) for level in own))
        yield from (Margin(((cells_of(by, group, by), level),), ((by, level),)) for level in own)
        yield from (Margin(((cells_of(by, group, name), level),), cells(name, level, own)) for name, level in crossed)


def read_issued(project: Project, report: str, period: Period) -> list[pd.DataFrame]:
    """Read what earlier issues told everybody and each audience, as cells of the whole company, oldest first."""
    dated = [(file.parents[1].name, read_table(file)) for file in project.issued(report, period)]
    dated += [(file.parents[1].name, _issued_cells(file)) for file in project.issued_to_audiences(report, period)]
    return [rows for _, rows in sorted(dated, key=lambda issue: Period.parse(issue[0]))]


def _issued_cells(file: Path) -> pd.DataFrame:
    audience = Audience.read(file)
    return as_cells(read_table(file.with_name(ESTIMATES_FILE)), audience.by, audience.levels)


# --- places among the others ---------------------------------------------------------------------


def rank_audiences(
    cells: pd.DataFrame, audiences: Sequence[Audience], kpis: dict[str, Kpi], scope: Scope
) -> pd.DataFrame:
    """Return where the totals of each audience stand among those of the others in the reported period.

    Returns
    -------
    DataFrame
        `RANKS` by audience (its id), KPI and question; see `benchmarks.add_ranks`.
    """
    now = cells[cells["period"] == scope.period.id]
    totals = [of_audience(now, audience, ()).assign(segment=audience.by, level=audience.id) for audience in audiences]
    rows = pd.concat(totals, ignore_index=True) if totals else now.head(0)
    ranked = add_ranks(rows, kpis, scope.period, scope.report.confidence)
    return ranked.set_index(["level", "kpi", "question"])[RANKS]


def add_places(rows: pd.DataFrame, audience: Audience, ranks: pd.DataFrame, period: Period) -> pd.DataFrame:
    """Add to an audience's totals of the reported period where they stand among those of the others."""
    totals = rows[(rows["segment"] == TOTAL) & (rows["period"] == period.id)]
    keys = pd.MultiIndex.from_frame(totals.assign(level=audience.id)[["level", "kpi", "question"]])
    placed = rows.copy()
    placed.loc[totals.index, RANKS] = ranks.reindex(keys).to_numpy()
    return placed
