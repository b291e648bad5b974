"""Protect small groups: hide small bases, and whatever would let a reader work them out from all else that is shown.

A reader is taken to know every shown figure at full precision, the marks of the hidden ones, how the groups nest and
cross, that counts are whole, that the smallest groups are hidden first, and which KPIs count part of the answers of
another one. Relations between tables, between KPIs that share answers without one holding all of the other's, and
through crossings finer than the published ones are not looked at. The tables of the analyses are protected by
`published.protect_tables`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csc_array
from scipy.sparse.csgraph import connected_components

from cxreport.config import Kpi
from cxreport.schema import TOTAL

SHOWN, SMALL, COMPLEMENTARY = "no", "small base", "complementary"
_LEFT_OUT = "left out"

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Cell = tuple[str, str]

# A reader must be left with at least three possible bases of a hidden group: the ends lie this far apart.
WIDTH = 2
_DIRECTIONS = 4
_CLOSE = 1e-6  # of two numbers that are the same but for rounding
_ROUNDS = 4  # of looking for cells near to one
_MOST_NODES = 100  # of the tree of an integer program
_NOTHING = 2  # what the solver says of a program without solution
_CELL = ["segment", "level"]
_KEY = ["kpi", "question", "period", *_CELL]
# What it takes to see a KPI as a sum of scores; other types tell their bases only.
_NEEDED = {"net": ["n_top", "n_bottom"], "share": ["n_top"], "mean": ["value", "se"]}


class Margin(NamedTuple):
    """Two sets of cells, each a segment and a level, that hold the same answers and therefore add up to the same."""

    whole: tuple[Cell, ...]
    parts: tuple[Cell, ...]


Margins = Mapping[tuple[str, str], Sequence[Margin]]


def find_margins(levels: pd.DataFrame) -> list[Margin]:
    """Find what ties the levels of different segments to each other: nested, crossed and partly equal segments.

    Two sets of levels hold the same answers when no answer is in one of them only. The smallest such sets are the
    connected components of the levels of two segments that occur together: a stage and its touchpoints, a region and
    its cells in `region*channel`, or those without a region and those without a plan where both come from one record.

    Parameters
    ----------
    levels
        The combinations of levels that occur in one table and period: one column per segment, named by its id and
        holding levels as the estimates name them (nothing is null); further rows with the same levels do no harm.
        A crossing is one more column.

    >>> find_margins(pd.DataFrame({"stage": ["use", "use", "pay"], "touchpoint": ["app", "visit", "bill"]}))[1]
    Margin(whole=(('stage', 'use'),), parts=(('touchpoint', 'app'), ('touchpoint', 'visit')))
    """
    margins = []
    coded = {name: pd.factorize(levels[name], sort=True) for name in levels.columns}
    for left, right in combinations(coded, 2):
        (left_code, left_levels), (right_code, right_levels) = coded[left], coded[right]
        cells = [*((left, level) for level in left_levels), *((right, level) for level in right_levels)]
        meet = coo_array((np.ones(len(levels)), (left_code, right_code + len(left_levels))), shape=(len(cells),) * 2)
        number, component = connected_components(meet, directed=False)
        for chosen in range(number if number > 1 else 0):
            held = [cell for cell, part in zip(cells, component, strict=True) if part == chosen]
            sides = (tuple(cell for cell in held if cell[0] == side) for side in (left, right))
            margins.append(Margin(*sides))
    return margins


def apply_issued(rows: pd.DataFrame, kpis: dict[str, Kpi], earlier_issues: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Keep the figures of past periods as they were first issued.

    Answers that arrive late and customers who change groups would otherwise be worked out as the difference of two
    issues. KPIs on the same rows, or on part of them, are looked at together, by question and period:

    - None of them was issued: the rows stay.
    - The issued figures are those of today: the rows stay, groups that were hidden stay hidden, those that were
      shown are out and stay shown, and segments and KPIs that are new may join.
    - Anything differs, or is measured no more: the issued rows take the place of today's, and what is new begins with
      a later period.

    A correction that readers must see is a new KPI or report, not a silent change of the old one.

    Parameters
    ----------
    rows
        Unprotected estimates; with a column `is_seen`, rows that are not are issued to nobody.
    earlier_issues
        What `suppress` returned for earlier issues, oldest first.

    Returns
    -------
    DataFrame
        `rows` with a column `issued`, the mark under which a row was first issued, or null: for `suppress`.
    """
    if not earlier_issues:
        return rows.assign(issued=None)
    gathered = pd.concat([issue.assign(question=issue["question"].fillna("")) for issue in earlier_issues])
    issued = gathered[gathered["kpi"].isin(kpis)].drop_duplicates(_KEY).rename(columns={"suppressed": "issued"})
    past = issued.set_index(_KEY)
    joined = rows.join(past["issued"], on=_KEY)
    now, before = rows.set_index(_KEY), past[past["issued"] == SHOWN]
    compared = [name for name in ("n", "n_top", "n_bottom", "value") if name in now and name in before]
    differs = ~np.isclose(
        now[compared].reindex(before.index).astype(float), before[compared].astype(float), rtol=1e-9, equal_nan=True
    ).all(axis=1)
    families = find_families(kpis)

    def blocks(frame: pd.DataFrame) -> pd.MultiIndex:
        return pd.MultiIndex.from_arrays([frame["kpi"].map(families), frame["question"], frame["period"]])

    # A group that has appeared or vanished is a difference too.
    segments = pd.MultiIndex.from_frame(issued[_KEY[:-1]].drop_duplicates())
    appeared = joined["issued"].isna() & _is_seen(joined) & pd.MultiIndex.from_frame(rows[_KEY[:-1]]).isin(segments)
    vanished = ~past.index.isin(now.index)
    changed = blocks(joined[appeared]).append(
        [blocks(before.index[np.flatnonzero(differs)].to_frame(index=False)), blocks(issued[vanished])]
    )
    kept = joined[~blocks(joined).isin(changed)]
    frozen = issued[blocks(issued).isin(changed) & issued["period"].isin(rows["period"])]
    return pd.concat([kept, frozen.reindex(columns=joined.columns)], ignore_index=True) if len(frozen) else kept


def suppress(rows: pd.DataFrame, kpis: dict[str, Kpi], margins: Margins | None = None) -> pd.DataFrame:
    """Mark rows that must be hidden, remove everything that was computed for them, and mark low bases.

    A row on fewer answers than `suppress` of its KPI, or of another KPI on the same rows, is hidden as "small base".
    Further rows are hidden as "complementary", smallest first, until nothing that is shown gives a hidden one away:

    - what a KPI counts beyond KPIs whose `where` is narrower than its own is nothing, or no small group,
    - at least three bases remain possible for every hidden group (fewer only where `suppress` is below 4),
    - no sum of hidden groups that can be worked out holds fewer than `suppress` answers,
    - no figure of a hidden group is certain, unless all answers of the total are the same, which the total says.

    Where that takes all levels of a segment, all are marked "complementary": then the marks tell nothing about single
    levels. Where it takes the total, everything below goes with it. `low_base` marks shown rows below `warn`.

    The search for what a reader can still think possible solves integer programs (Fischetti and Salazar 2001, JASA
    96:938-950) where hidden groups are tied in several ways, and takes a closed form where only one sum ties them. A
    group for which a program would take too long counts as given away, so that more may be hidden than must be.

    Parameters
    ----------
    rows
        One row per `kpi`, `question`, `period`, `segment`, `level`, with `n` and any figures. Levels of a segment add
        up to the total; a level without a row has no answers. With `issued` of `apply_issued`, rows issued before
        keep their marks; where those no longer allow to protect what is new beside them, that is left out. With a
        column `is_seen`, rows that are not are in no pack, but what follows from others tells of them.
    margins
        Further sums, by table and period: what `find_margins` returns for them. Sums that the counts of a KPI do not
        meet are left out for it.
    """
    limit = rows["kpi"].map({kpi_id: kpi.minimum_base.suppress for kpi_id, kpi in kpis.items()})
    warn = rows["kpi"].map({kpi_id: kpi.minimum_base.warn for kpi_id, kpi in kpis.items()})
    issued = rows["issued"] if "issued" in rows else pd.Series(None, index=rows.index, dtype=object)
    is_hidden = (rows["n"] < limit) | (issued.notna() & (issued != SHOWN))
    reason = pd.Series(SHOWN, index=rows.index, dtype=object)
    families = find_families(kpis)
    block = [rows["kpi"].map(families), rows["question"], rows["period"]]
    needs_care = (is_hidden | _leaves_few(rows, kpis)).groupby(block).transform("any")
    needs_care &= (issued.isna() & _is_seen(rows)).groupby(block).transform("any")
    for (_, _, period), group in rows.assign(issued=issued)[needs_care].groupby(block, sort=False):
        table: str = kpis[group["kpi"].iloc[0]].table
        reason[group.index] = _Block(group, kpis, (margins or {}).get((table, str(period)), ())).protect()
    reason = issued.where(issued.notna(), reason)
    stays = reason != _LEFT_OUT
    rows, warn, reason = rows[stays], warn[stays], reason[stays]
    is_hidden = reason != SHOWN
    named = ["kpi", "question", "period", "period_kind", "segment", "level"]
    protected = rows.drop(columns=["issued", "is_seen"], errors="ignore")
    protected = protected.assign(**protected.drop(columns=named, errors="ignore").mask(is_hidden))
    return protected.assign(suppressed=reason, low_base=~is_hidden & (protected["n"] < warn))


def _is_seen(rows: pd.DataFrame) -> pd.Series:
    seen: pd.Series = rows["is_seen"] if "is_seen" in rows else pd.Series(True, index=rows.index)
    return seen


def complement(n: pd.Series, is_hidden: Flags, total: float, limit: int) -> Flags:
    """Return which parts of a whole must be hidden: some, then the smallest, until these are several and not few.

    Parameters
    ----------
    n
        Base of each part; those of hidden parts are not looked at.
    total
        Base of the whole, which readers are taken to know.
    limit
        The smallest base that may be shown.

    >>> complement(pd.Series([40, None, 25, 90]), np.array([False, True, False, False]), 158, 10).tolist()
    [False, True, True, False]
    """
    hidden: Flags = np.array(is_hidden, dtype=bool)
    for part in np.argsort(n.to_numpy(dtype=float), kind="stable"):
        left = total - float(n[~hidden].sum())
        if not hidden.any() or (hidden.sum() > 1 and left >= limit):
            break
        hidden[part] = True
    return hidden


# --- KPIs on the same answers, or on part of them ------------------------------------------------


class _Difference(NamedTuple):
    """A KPI, and others that count part of its rows each, and no row twice: what they leave of it can be worked out."""

    whole: str
    parts: tuple[str, ...]


def _bases(kpis: Mapping[str, Kpi]) -> dict[str, str]:
    """Return the rows that each KPI stands on: KPIs of the same rows give each other's bases away."""
    return {kpi_id: repr((kpi.table, sorted(kpi.where.items()), kpi.per_question)) for kpi_id, kpi in kpis.items()}


def find_families(kpis: Mapping[str, Kpi]) -> dict[str, str]:
    """Name the KPIs that must be protected together after the first of them."""
    families = _bases(kpis)
    for whole, parts in _differences(kpis):
        for part in parts:
            old, new = sorted([families[part], families[whole]])[::-1]
            families = {kpi_id: new if family == old else family for kpi_id, family in families.items()}
    return families


def _differences(kpis: Mapping[str, Kpi]) -> list[_Difference]:
    """Find which KPIs count part of the rows of others, as many of them together as share no row.

    Of KPIs that count the same rows alike, the first one speaks.
    """
    bases = _bases(kpis)
    counted = {
        (bases[kpi_id], kpi.column, kpi.counts, repr(kpi.ratio)): kpi_id for kpi_id, kpi in sorted(kpis.items())[::-1]
    }
    found = []
    for key, whole in sorted(counted.items(), key=repr):
        narrower = [
            part
            for other, part in sorted(counted.items(), key=repr)
            if other[1:] == key[1:] and _is_narrower(kpis[part], kpis[whole])
        ]
        several = chain.from_iterable(combinations(narrower, size) for size in range(len(narrower), 0, -1))
        kept: list[_Difference] = []
        for parts in several:
            # What fewer of them leave is the sum of what more leave and of the others.
            is_new = not any(set(parts) <= set(each.parts) for each in kept)
            if is_new and all(_are_apart(kpis[one], kpis[other]) for one, other in combinations(parts, 2)):
                kept.append(_Difference(whole, parts))
        found += kept
    return found


def _is_narrower(part: Kpi, whole: Kpi) -> bool:
    """Say whether a KPI counts some of the rows of another one and, as far as its `where` tells, not all."""
    is_within = all(
        column in part.where and _allowed(part, column) <= _allowed(whole, column) for column in whole.where
    )
    same = {column: _allowed(part, column) for column in part.where} == {
        column: _allowed(whole, column) for column in whole.where
    }
    return is_within and not same and (part.table, part.per_question) == (whole.table, whole.per_question)


def _are_apart(one: Kpi, other: Kpi) -> bool:
    return any(not _allowed(one, column) & _allowed(other, column) for column in one.where if column in other.where)


def _allowed(kpi: Kpi, column: str) -> set[str]:
    allowed = kpi.where[column]
    return {allowed} if isinstance(allowed, str) else set(allowed)


def _leaves_few(rows: pd.DataFrame, kpis: Mapping[str, Kpi]) -> pd.Series:
    """Flag the rows of which narrower KPIs leave few answers."""
    key = [name for name in _KEY if name != "kpi"]
    few = pd.Series(False, index=rows.index)
    for whole, parts in _differences(kpis):
        is_whole = rows["kpi"] == whole
        counted = rows[rows["kpi"].isin(parts)].groupby(key)["n"].sum()
        left = rows.loc[is_whole, "n"] - counted.reindex(pd.MultiIndex.from_frame(rows.loc[is_whole, key])).to_numpy()
        limit = max(kpis[kpi_id].minimum_base.suppress for kpi_id in (whole, *parts))
        few[is_whole] |= (left > 0) & (left < limit)
    return few


# --- what a reader can work out ------------------------------------------------------------------


@dataclass(frozen=True)
class _Figure:
    """A KPI as a sum of scores: the `score` of each class of answers, and moments of each cell that readers know."""

    score: Array
    first: Array
    second: Array | None

    def is_uniform(self, n: Array, cells: Flags) -> bool:
        """Say whether readers can tell that all answers of some cells have the same score."""
        base, total = n[cells].sum(), self.first[cells].sum()
        if self.second is None:
            return bool(total in {base * self.score.min(), base * self.score.max()})
        return bool(base * self.second[cells].sum() == total**2)

    @property
    def has_grades(self) -> bool:
        """Whether answers score more than one for or against."""
        return bool(np.abs(self.score).max() > 1)

    @property
    def told(self) -> tuple[bytes, ...]:
        return tuple(part.tobytes() for part in (self.score, *self.moments))

    @property
    def moments(self) -> list[Array]:
        return [self.first] if self.second is None else [self.first, self.second]


@dataclass(frozen=True)
class _System:
    """The sums that tie the cells of a base, or of a KPI and narrower ones, to each other, as a reader sees them.

    `n` and the bounds have one item per cell; `sums` one row per sum, with 1 and -1 for the cells of its two sides.
    The figures `told_by_total` are no secret, but tell about others. Cells of the `rest` are what narrower KPIs leave:
    never shown, and a secret only where they are small.
    """

    n: Array
    sums: Array
    figures: tuple[_Figure, ...]
    told_by_total: tuple[_Figure, ...]
    limit: int
    rest: Flags

    @cached_property
    def possible(self) -> "_Possible":
        return _Possible(self.n.copy(), self.n.copy(), np.zeros((len(self.figures), len(self.n)), dtype=bool))

    @cached_property
    def is_secret(self) -> Flags:
        return ~self.rest | ((self.n > 0) & (self.n < self.limit))

    def exposures(self, hidden: Flags, lower: Array, upper: Array) -> Iterator[tuple[Flags, Flags]]:
        """Yield, for everything that gives a hidden cell away, the sums of which one more cell must be hidden.

        With them goes a flag for each cell: hiding it lifts the exposure, as far as can be told beforehand.
        """
        ties = self.sums * (hidden & ((self.n > 0) | self.rest))
        for number in np.flatnonzero(ties.any(axis=1)):
            if (lifts := self._lifts(ties[number], lower, upper)) is not None:
                yield np.asarray(np.arange(len(ties)) == number), lifts
        simple = np.unique(ties[ties.any(axis=1)], axis=0)
        basis = _reduced_echelon(simple) if len(simple) > 1 else simple[:0]
        anything = np.ones(len(hidden), dtype=bool)
        for row in basis:
            if (lifts := self._lifts(row, lower, upper)) is not None:
                yield np.asarray(ties[:, row != 0].any(axis=1)), lifts
                yield _reached(ties, row != 0), anything
        for rows in _linked(basis):
            cells = np.asarray(basis[rows].any(axis=0))
            for cell in self._pinned(basis[rows], cells, lower, upper):
                yield np.asarray(ties[:, cell] != 0), anything
                yield np.asarray(ties[:, cells].any(axis=1)), anything

    @property
    def width(self) -> int:
        return min(WIDTH, max(self.limit - 2, 0))

    def _lifts(self, tie: Array, lower: Array, upper: Array) -> Flags | None:
        """Return which cells would help if one sum of hidden cells, taken alone, tells too much; else `None`."""
        cells = tie != 0
        sign, known = tie[cells], float(tie @ self.n)
        ends = np.sort(np.stack([sign * lower[cells], sign * upper[cells]]), axis=0)
        least = np.maximum(ends[0], known - (ends[1].sum() - ends[1]))
        most = np.minimum(ends[1], known - (ends[0].sum() - ends[0]))
        is_narrow = (((most - least) / np.abs(sign) < self.width) & self.is_secret[cells]).any()
        is_one_sided = (sign > 0).all() or (sign < 0).all()
        is_alone = cells.sum() == 1 and self.is_secret[cells].all()
        if is_alone or is_narrow or (is_one_sided and 0 < self.n[cells].sum() < self.limit):
            return np.ones(len(cells), dtype=bool)
        for figure in self.figures if is_one_sided else ():
            if figure.is_uniform(self.n, cells):
                with_one_more = np.eye(len(cells), dtype=bool) | cells
                lifts: Flags = np.array([not figure.is_uniform(self.n, more) for more in with_one_more], dtype=bool)
                return lifts
        return None

    def _pinned(self, ties: Array, cells: Flags, lower: Array, upper: Array) -> Iterator[int]:
        """Yield the cells of which all solutions of several sums agree too much."""
        doubtful = cells & self.is_secret & ~self.possible.is_open(self.width)
        if not doubtful.any():
            return
        solutions = _Solutions(self, ties, cells, lower, upper)
        # Sums of grades are hardly ever met in whole counts by chance, but soon by a few cells among themselves.
        has_grades = any(figure.has_grades for figure in self.figures + self.told_by_total)
        if not has_grades:
            solutions.explore(doubtful[cells])
        for cell in map(int, np.flatnonzero(doubtful)):
            is_open = (has_grades and self._is_open_nearby(ties, cell, lower, upper)) or solutions.leave_open(cell)
            if is_open is None:
                is_open = solutions.leave_open(cell, whole=True)
            if not is_open:
                yield cell

    def _is_open_nearby(self, ties: Array, cell: int, lower: Array, upper: Array) -> bool:
        """Say whether a cell is open even if all but a few cells are as they are."""
        return any(
            _Solutions(self, ties, near, lower, upper).leave_open(cell, whole=True)
            for near in _nearby(ties, self.n, lower, upper, cell)
        )


@dataclass
class _Possible:
    """The range of each cell's base, and whether each figure of it can differ, over all solutions found.

    Hiding more takes no solution away, so that what was found once need not be looked for again.
    """

    low: Array
    high: Array
    varies: Flags

    def is_open(self, width: int) -> Flags:
        """Flag the cells whose base can differ by the width, and each figure at all."""
        return np.asarray((self.high - self.low >= width) & self.varies.all(axis=0))


class _Solutions:
    """Whole counts of answers by class in each cell that meet all the sums a reader knows.

    Every solution found, the truth among them, widens what is known to be possible, so few programs are solved.
    """

    def __init__(self, system: _System, ties: Array, cells: Flags, lower: Array, upper: Array) -> None:
        self._n, self._width = system.n[cells], system.width
        self._possible, self._cells = system.possible, np.flatnonzero(cells)
        self._secrets = len(system.figures)
        figures = system.figures + system.told_by_total
        scores = [figure.score for figure in figures]
        # Answers that count the same for every figure are one class.
        self._scores = np.unique(scores, axis=1) if scores else np.zeros((0, 1))
        self._classes = self._scores.shape[1]
        self._means = [figure.first[cells] / self._n for figure in figures]
        of_class, of_cell = [np.ones(self._classes)], [self._n]
        for score, figure in zip(self._scores, figures, strict=True):
            of_class += [score, score**2][: len(figure.moments)]
            of_cell += [moment[cells] for moment in figure.moments]
        ties = ties[:, cells]
        sums = np.array(of_cell)
        known = (ties @ sums.T).ravel()
        self._constraints = LinearConstraint(
            csc_array(
                np.vstack([np.kron(ties, np.array(of_class)), np.kron(np.eye(len(self._n)), np.ones(self._classes))])
            ),
            np.concatenate([known, lower[cells]]),
            np.concatenate([known, upper[cells]]),
        )

    def explore(self, doubtful: Flags) -> None:
        """Look in some directions at once: most doubtful cells turn out to be open."""
        directions = np.random.default_rng(0).normal(size=(_DIRECTIONS, len(self._n), self._classes))
        for objective in directions * doubtful[:, None]:
            self._look(-objective.ravel(), -np.inf)

    def leave_open(self, cell: int, *, whole: bool = False) -> bool | None:
        """Say whether a cell's base can differ by the width asked for, and each of its figures at all.

        Without `whole` a fast search answers, which comes upon whole counts by chance; `None` where it cannot tell.
        The slow one cannot tell where it would take too long.
        """
        found = [self._reach(cell, figure, whole) for figure in [None, *range(self._secrets)]]
        return False if False in found else None if None in found else True

    def _reach(self, cell: int, figure: int | None, whole: bool) -> bool | None:
        """Look for solutions until a cell's base or figure is open."""
        place = int(np.searchsorted(self._cells, cell))
        weight = np.ones(self._classes) if figure is None else self._scores[figure] - self._means[figure][place]
        form = np.zeros((len(self._n), self._classes))
        ends = set()
        for sign in (1, -1):
            form[place] = sign * weight
            further: bool | None = True
            while further and not self._is_open(cell, figure):
                base = self._possible.high[cell] if sign > 0 else -self._possible.low[cell]
                least = base + 1 if figure is None else 1 / self._n[place]  # scores are whole
                further = self._search(form.ravel(), least) if whole else self._look(form.ravel(), least)
            ends.add(further)
        return True if self._is_open(cell, figure) else None if None in ends else False

    def _look(self, form: Array, least: float) -> bool | None:
        """Look for a solution where a form of the counts is largest; returns whether it can be so much."""
        found = milp(-form, bounds=Bounds(0, np.inf), constraints=self._constraints)
        if found.x is None or -found.fun < least - _CLOSE:
            return False
        return self._learn(found.x) or None

    def _search(self, form: Array, least: float) -> bool | None:
        """Look for a solution in whole counts where a form of them is at least so much; returns whether there is."""
        beyond = LinearConstraint(form[None], least - _CLOSE, np.inf)
        found = milp(
            np.zeros(len(form)),
            integrality=1,
            bounds=Bounds(0, np.inf),
            constraints=[self._constraints, beyond],
            options={"node_limit": _MOST_NODES},
        )
        if found.x is None:
            return False if found.status == _NOTHING else None
        return self._learn(found.x) or None

    def _is_open(self, cell: int, figure: int | None) -> bool:
        if figure is None:
            return bool(self._possible.high[cell] - self._possible.low[cell] >= self._width)
        return bool(self._possible.varies[figure, cell])

    def _learn(self, found: Array) -> bool:
        """Learn from a solution if its counts are whole; returns whether they are."""
        if np.abs(found - np.round(found)).max() > _CLOSE:
            return False
        counts = np.round(found).reshape(-1, self._classes)
        n = counts.sum(axis=1)
        possible, cells = self._possible, self._cells
        possible.low[cells], possible.high[cells] = (
            np.minimum(possible.low[cells], n),
            np.maximum(possible.high[cells], n),
        )
        for number, score in enumerate(self._scores[: self._secrets]):
            possible.varies[number, cells] |= np.abs(counts @ score - self._means[number] * n) > _CLOSE
        return True


def _nearby(ties: Array, n: Array, lower: Array, upper: Array, cell: int) -> Iterator[Flags]:
    """Yield sets of a few cells, each larger than the one before, among which a cell can exchange answers.

    Large cells come first, since their answers can be divided in many ways.
    """
    tied = np.flatnonzero(ties.any(axis=0))
    room = np.concatenate([upper[tied] - n[tied], n[tied] - lower[tied]]).clip(0)
    balanced = LinearConstraint(csc_array(np.hstack([ties[:, tied], -ties[:, tied]])), 0, 0)
    cost = 1 / np.tile(n[tied].clip(1), 2)
    near = np.zeros(len(n), dtype=bool)
    near[cell] = True
    for _ in range(_ROUNDS):
        for place in int(np.searchsorted(tied, cell)) + np.array([0, len(tied)]):
            least = np.zeros(len(room))
            least[place] = np.minimum(1, room[place])
            found = milp(cost, bounds=Bounds(least, room), constraints=balanced)
            if found.x is not None:
                near[tied] |= (found.x > _CLOSE).reshape(2, -1).any(axis=0)
        cost[np.tile(near[tied], 2)] *= len(cost)
        yield near


def _reduced_echelon(matrix: Array) -> Array:
    """Return the reduced row echelon form without its empty rows: the simplest sums that follow from others."""
    reduced, row = matrix.astype(float), 0
    for column in np.flatnonzero(matrix.any(axis=0)):
        pivot = row + int(np.argmax(np.abs(reduced[row:, column])))
        if abs(reduced[pivot, column]) < 1e-9:  # noqa: PLR2004
            continue
        reduced[[row, pivot]] = reduced[[pivot, row]]
        reduced[row] /= reduced[row, column]
        factors = reduced[:, column].copy()
        factors[row] = 0
        reduced = (reduced - np.outer(factors, reduced[row])).round(9)
        row += 1
        if row == len(reduced):
            break
    return reduced[:row]


def _reached(ties: Array, cells: Flags) -> Flags:
    """Return the sums that are tied to some cells directly or through others."""
    rows = np.zeros(len(ties), dtype=bool)
    while (more := (ties[:, cells] != 0).any(axis=1)).sum() > rows.sum():
        rows, cells = more, cells | (ties[more] != 0).any(axis=0)
    return rows


def _linked(ties: Array) -> list[Flags]:
    """Return the sets of at least two rows that are tied by common cells."""
    uses = (ties != 0).astype(int)
    number, component = connected_components(uses @ uses.T, directed=False)
    return [rows for part in range(number) if (rows := component == part).sum() > 1]


# --- what is hidden ------------------------------------------------------------------------------


class _Block:
    """All rows of the KPIs on the same answers, or on part of them, of a question in a period.

    A cell is a level of a segment in one base; behind them stand the cells of what narrower KPIs leave of wider ones.
    """

    def __init__(self, rows: pd.DataFrame, kpis: dict[str, Kpi], margins: Sequence[Margin]) -> None:
        self._rows = rows
        self._kpis = sorted(rows["kpi"].unique())
        self._base_of = _bases({kpi_id: kpis[kpi_id] for kpi_id in self._kpis})
        named = list(zip(rows["kpi"].map(self._base_of), rows["segment"], rows["level"], strict=True))
        shown = sorted(set(named))
        differences = _differences({kpi_id: kpis[kpi_id] for kpi_id in self._kpis})
        rests = [
            (f"rest {number}", *cell[1:])
            for number, each in enumerate(differences)
            for cell in shown
            if cell[0] == self._base_of[each.whole]
        ]
        self._cells = [*shown, *rests]
        self._place = {cell: i for i, cell in enumerate(self._cells)}
        self._places = np.array([self._place[cell] for cell in named])
        self._base = np.array([base for base, *_ in self._cells], dtype=object)
        self._segment = pd.factorize(pd.Series([(base, segment) for base, segment, _ in self._cells]))[0]
        self._is_total = np.array([segment == TOTAL for _, segment, _ in self._cells])
        self._is_rest = np.arange(len(self._cells)) >= len(shown)
        limits = {
            base: max(kpis[kpi_id].minimum_base.suppress for kpi_id in self._kpis if self._base_of[kpi_id] == base)
            for base in self._base_of.values()
        }
        self._limit = np.array([limits.get(base, 0) for base in self._base])
        self._n = self._table("n")
        was_shown, self._was_named_small, was_complementary = (
            np.isin(np.arange(len(self._cells)), self._places[rows["issued"] == mark])
            for mark in (SHOWN, SMALL, COMPLEMENTARY)
        )
        was_hidden = self._was_named_small | was_complementary
        self._was_shown = was_shown & ~was_hidden
        self._is_issued = was_hidden | self._was_shown
        self._is_small = ((self._n > 0) & (self._n < self._limit[:, None])).any(axis=1)
        self._hidden = was_hidden | self._is_small | self._is_rest
        self._is_exposed = False
        sums = self._sums(margins)
        self._systems = [self._system([kpis[kpi_id] for kpi_id in same], sums) for same in self._alike(kpis)]
        for number, each in enumerate(differences):
            system = self._difference(each, f"rest {number}", sums)
            self._systems += [system] if system is not None else []

    def protect(self) -> pd.Series:
        """Hide until nothing is exposed; returns the mark of each row."""
        self._hide_without_total()
        while (further := self._next()) is not None:
            self._hidden[further] = True
            self._hide_without_total()
        if self._is_exposed and self._is_issued.any():
            # Rows that were issued keep their marks all the same.
            return pd.Series(_LEFT_OUT, index=self._rows.index, dtype=object)
        is_named_small = self._is_small & ~self._tells_nothing()
        marks = np.select([~self._hidden, is_named_small], [SHOWN, SMALL], COMPLEMENTARY)
        return pd.Series(marks[self._places], index=self._rows.index, dtype=object)

    def _table(self, name: str) -> Array:
        """Return a column as a table of cells by KPIs; 0 where a cell has no row or a row no value."""
        table = np.zeros((len(self._cells), len(self._kpis)))
        table[self._places, np.searchsorted(self._kpis, self._rows["kpi"])] = self._rows[name].fillna(0)
        return table

    def _lacks_total(self) -> Flags:
        """Flag the cells of the bases whose total is hidden."""
        return np.isin(self._base, self._base[self._hidden & self._is_total & ~self._is_rest])

    def _hide_without_total(self) -> None:
        self._hidden |= self._lacks_total()

    def _next(self) -> int | None:
        """Return the cell to hide next: the smallest one that helps; the total only where nothing else is left."""
        self._is_exposed = False
        hides_all = self._lacks_total() | self._is_rest
        for system in self._systems:
            if hides_all[system.n > 0].all():
                continue
            for sums, lifts in system.exposures(self._hidden, *self._bounds(system)):
                helps = system.sums[sums].any(axis=0) & ~self._hidden & ~self._was_shown & (system.n > 0)
                self._is_exposed = True
                if helps.any():
                    order = np.lexsort((system.n, ~lifts, self._is_total))
                    return int(order[helps[order]][0])
        return None

    def _tells_nothing(self) -> Flags:
        """Flag the levels of segments that are hidden altogether below a shown total."""
        is_told = ~self._hidden | self._was_named_small
        alone = ~np.isin(self._segment, self._segment[is_told])
        return np.asarray(alone & ~self._lacks_total() & ~self._is_rest)

    def _bounds(self, system: _System) -> tuple[Array, Array]:
        """Return what the marks, and the rule to hide the smallest first, tell about each base."""
        n, most = system.n, system.n.max()
        is_small, tells_nothing = n < self._limit, self._tells_nothing()
        lower = np.where(is_small | tells_nothing, 1.0, self._limit)
        # The smallest shown level of the segment that is no smaller.
        is_other = (self._segment[:, None] == self._segment) & ~self._hidden & (n > 0) & (n >= n[:, None])
        upper = np.where(is_other, n, most).min(axis=1)
        upper = np.where(tells_nothing, most, np.where(is_small, self._limit - 1.0, upper))
        return np.where(self._is_rest, 0.0, lower), np.where(self._is_rest, most, upper)

    def _sums(self, margins: Sequence[Margin]) -> Array:
        """Return a row per sum: the total and each segment's levels, and the margins, in each base."""
        parts = []
        for base in dict.fromkeys(self._base):
            inside = self._base == base
            total = (inside & self._is_total).astype(float)
            segments = dict.fromkeys(self._segment[inside & ~self._is_total])
            parts += [total - (self._segment == segment) for segment in segments]
            for margin in margins:
                row = np.zeros(len(self._cells))
                for sign, side in ((1, margin.whole), (-1, margin.parts)):
                    row[[self._place[base, *cell] for cell in side if (base, *cell) in self._place]] = sign
                parts.append(row)
        return np.unique(parts, axis=0) if parts else np.zeros((0, len(self._cells)))

    def _difference(self, difference: _Difference, rest: str, sums: Array) -> _System | None:
        """Return what ties a KPI to narrower ones; `None` where their rows do not add up to it."""
        n = np.zeros(len(self._cells))
        for kpi_id in (difference.whole, *difference.parts):
            inside = self._base == self._base_of[kpi_id]
            n[inside] = self._n[inside, self._kpis.index(kpi_id)]
        ties = []
        for cell, place in self._place.items():
            if cell[0] == rest:
                tie = np.zeros(len(self._cells))
                tie[self._place[self._base_of[difference.whole], *cell[1:]]] = 1
                parts = [(self._base_of[part], *cell[1:]) for part in difference.parts]
                tie[[self._place[part] for part in parts if part in self._place]] = -1
                n[place] = tie @ n
                tie[place] = -1
                ties.append(tie)
        is_rest = self._base == rest
        if (n < 0).any():
            return None
        if not n[is_rest].any():
            is_rest[:] = False
        limit = int(self._limit[n > 0].max(initial=0))
        known = (n > 0) | is_rest
        tied = np.array([*ties, *sums[(sums * known).any(axis=1)]]) * known
        return _System(n, np.unique(tied[tied @ n == 0], axis=0), (), (), limit, is_rest)

    def _alike(self, kpis: dict[str, Kpi]) -> list[list[str]]:
        """Group KPIs that score the same answers, of which a reader may put all figures together."""
        groups: dict[object, list[str]] = {}
        for kpi_id, n in zip(self._kpis, self._n.T, strict=True):
            kpi = kpis[kpi_id]
            same = (self._base_of[kpi_id], kpi.column, kpi.counts, repr(kpi.scale), n.tobytes())
            groups.setdefault(same, []).append(kpi_id)
        return list(groups.values())

    def _system(self, kpis: list[Kpi], sums: Array) -> _System:
        n = self._n[:, self._kpis.index(kpis[0].id)]
        # KPIs that differ in nothing but weights tell the same twice.
        figures = {figure.told: figure for kpi in kpis if (figure := self._figure(kpi, n)) is not None}.values()
        is_told = [figure.is_uniform(n, self._is_total) for figure in figures]
        secret, told = (
            tuple(figure for figure, one in zip(figures, is_told, strict=True) if one == chosen)
            for chosen in (False, True)
        )
        base = self._base == self._base_of[kpis[0].id]
        sums = sums[(sums != 0)[:, base].any(axis=1)]
        limit = int(self._limit[base].max())
        return _System(n, sums[sums @ n == 0], secret, told, limit, np.zeros(len(n), dtype=bool))

    def _figure(self, kpi: Kpi, n: Array) -> _Figure | None:
        """Return a KPI's scores and moments; `None` where it is no sum or its rows lack what it takes."""
        needed = _NEEDED.get(kpi.type, [])
        if not needed or not set(needed) <= set(self._rows) or (kpi.type == "mean" and (kpi.weight or not kpi.scale)):
            return None
        number = self._kpis.index(kpi.id)
        found = {name: self._table(name)[:, number] for name in needed}
        points = np.arange(kpi.scale.low, kpi.scale.high + 1) if kpi.scale else np.array([0.0, 1.0])
        if kpi.type == "mean":
            total = n * found["value"]
            if not np.allclose(total, np.round(total), rtol=0, atol=1e-6):
                return None  # no whole scores
            squares = found["se"] ** 2 * n * (n - 1) + n * found["value"] ** 2
            # The error of clustered answers does not tell their spread.
            return _Figure(points, np.round(total), None if kpi.cluster else np.round(squares))
        top, bottom = found["n_top"], found.get("n_bottom", np.zeros(len(n)))
        score = np.isin(points, kpi.top or [1.0]) - np.isin(points, kpi.bottom).astype(float)
        return _Figure(score, top - bottom, top + bottom)
