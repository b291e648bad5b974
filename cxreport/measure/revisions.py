"""Figures that were issued and would be others today: what they were, what they are, and why.

What readers of all issues could work out is looked at as for the figures themselves: two bases of one total tell of the
answers that came or went between them. So a pair of figures is told only where these are no small group, beside all
bases that were ever told for KPIs on the same answers; of all others, only which way they went. Groups are counted,
never told one by one: which of them moved would tell who answered late.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from cxreport.config import REVISIONS_FILE, Definition, Kpi, Project, load_yaml
from cxreport.engine import read_table, write_table
from cxreport.errors import DefinitionError, GateError, nearest
from cxreport.measure.accounts import Account, Issued
from cxreport.measure.disclosure import SHOWN, find_families
from cxreport.periods import Period
from cxreport.schema import REVISIONS, REVISIONS_KEY, TOTAL

Cause = Literal[
    "definition",  # of the KPI, or of the one it is based on
    "weights",
    "late_answers",
    "removed_rows",
    "later_events",
    "definitions",  # others
    "delivered_files",
    "software",
    "benchmark",
    "stated",
    "no_account",  # of the issue that told the figure
]
_FIGURE = ["kpi", "question", "period"]
_KEY = [*_FIGURE, "segment", "level"]
_COMPARED = ["n", "n_top", "n_bottom", "value", "ci_low", "ci_high"]
# Facts that are followed beyond the period they belong to: cases are closed, invitations answered, customers leave.
_FOLLOWED = {"invitations", "tickets", "open_cases", "customer_periods", "tenures", "sessions"}
_MOST_NAMED = 10  # figures in one message


class Statement(Definition):
    """Why a KPI's figures of a period are others, where no record tells: the reason, who found it, and when."""

    kpi: str
    period: str
    reason: str
    by: str
    date: date


class Statements(Definition):
    """The file `reports/revisions.yml`."""

    revisions: list[Statement]


@dataclass(frozen=True)
class Past:
    """What was issued before, and what bears on what may be told of it.

    Attributes
    ----------
    issued
        What `read_accounts` returns.
    revised
        `schema.REVISIONS` of earlier issues, everybody's.
    beside
        What `read_beside` returns: what issues by other kinds of period tell.
    late
        How many answers came in late, by period.
    statements
        By KPI and period.
    """

    issued: Sequence[Issued]
    revised: pd.DataFrame
    beside: pd.DataFrame
    late: Mapping[str, int]
    statements: Mapping[tuple[str, str], Statement]


def read_statements(project: Project) -> dict[tuple[str, str], Statement]:
    """Return the reasons that `reports/revisions.yml` states, by KPI and period; raises `DefinitionError`."""
    if not project.revisions.is_file():
        return {}
    stated = load_yaml(project.revisions, Statements, project).revisions
    known = sorted(path.stem for path in project.kpis.glob("*.yml"))
    if unknown := [f"KPI `{each.kpi}`{nearest(each.kpi, known)}" for each in stated if each.kpi not in known]:
        raise DefinitionError(
            found="; ".join(unknown),
            expected="KPIs with a file in reports/kpis/",
            do="correct `kpi` in reports/revisions.yml",
        )
    return {(each.kpi, Period.parse(each.period).id): each for each in stated}


def read_revised(project: Project, report: str, period: Period) -> pd.DataFrame:
    """Read the revisions that earlier issues told everybody."""
    tables = [read_table(file) for file in project.revised(report, period)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=REVISIONS.names)


def find_revisions(
    today: pd.DataFrame,
    told: Sequence[pd.DataFrame],
    past: Past,
    kpis: Mapping[str, Kpi],
    period: Period,
    *,
    is_everybody: bool,
) -> pd.DataFrame:
    """Return the figures of a pack that were issued and are others today, by KPI, question and period.

    Parameters
    ----------
    today
        The pack's figures as they are measured now, unprotected and not held to what was issued.
    told
        The pack's part of the figures of each of `past.issued`.
    is_everybody
        Whether the pack is no audience's, of which only the direction is told where answers came or went.

    Returns
    -------
    DataFrame
        `schema.REVISIONS`. No figure that was hidden, or is on too few answers today, is among them.

    Raises
    ------
    GateError
        For figures that moved without a cause that the records give or a statement names.
    """
    blocks = _moved(today, told, kpis).groupby(_FIGURE)
    rows = [_row(block, past, kpis, period) for _, block in blocks]
    found = pd.DataFrame(rows, columns=[*REVISIONS.names, "rows_are_same"])
    _refuse_silent(found)
    return _protected(found, past, kpis, is_everybody=is_everybody).reindex(columns=REVISIONS.names)


def benchmark_revisions(estimates: pd.DataFrame, told: Sequence[pd.DataFrame], period: Period) -> pd.DataFrame:
    """Return the benchmarks beside the totals of a pack that are others than when the period was first issued.

    `told` are the figures of all packs of each issue, everybody's and audiences': a figure has one benchmark in all.
    """
    if not told:
        return pd.DataFrame(columns=REVISIONS.names)

    def shown(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[(rows["period"] == period.id) & (rows["suppressed"] == SHOWN)]

    # Of each issue first: together they hold every pack's figures of all periods.
    first, today = pd.concat(map(shown, told)), shown(estimates.assign(question=estimates["question"].fillna("")))
    then = first.astype({"benchmark_value": float}).groupby(_FIGURE, as_index=False)["benchmark_value"].first()
    both: pd.DataFrame = then.merge(today[today["segment"] == TOTAL], on=_FIGURE, suffixes=("_was", "_now"))
    was, now = (both[f"benchmark_value_{when}"].astype(float) for when in ("was", "now"))
    differs = ~np.isclose(was, now, rtol=1e-9, equal_nan=True)
    rows = both[_FIGURE].assign(figure="benchmark", was=was, now=now, n_groups=0, cause="benchmark")
    rows["direction"] = np.select([now > was, now < was], ["rose", "fell"], "replaced")
    return rows[differs].reindex(columns=REVISIONS.names)


def write_revisions(
    project: Project, report: str, period: Period, audience: str, found: Sequence[pd.DataFrame]
) -> None:
    """Write `revisions.parquet` beside the estimates; none where nothing moved."""
    path = project.measured(report, period, audience) / REVISIONS_FILE
    path.unlink(missing_ok=True)
    if several := [rows for rows in found if len(rows)]:
        write_table(pd.concat(several), path, REVISIONS, REVISIONS_KEY)


# --- what moved ----------------------------------------------------------------------------------


def _moved(today: pd.DataFrame, told: Sequence[pd.DataFrame], kpis: Mapping[str, Kpi]) -> pd.DataFrame:
    """Return issued figures that were shown, beside today's, of every block of which one differs.

    `issue` is the place of the issue that told them first, `is_moved` whether the row itself differs.
    """
    then = pd.concat([rows.assign(issue=place) for place, rows in enumerate(told)]) if told else today.head(0)
    if then.empty:
        return pd.DataFrame(columns=[*_FIGURE, "issue"])
    first = then.drop_duplicates(_KEY)
    first = first[(first["suppressed"] == SHOWN) & first["period"].isin(today["period"]) & first["kpi"].isin(kpis)]
    both = first[[*_KEY, "issue", *_COMPARED]].merge(
        today[[*_KEY, *_COMPARED]], on=_KEY, how="left", suffixes=("_was", "_now")
    )
    was, now = (both[[f"{name}_{when}" for name in _COMPARED]].astype(float) for when in ("was", "now"))
    differs = pd.DataFrame(~np.isclose(was, now, rtol=1e-9, equal_nan=True), index=both.index)
    both = both.assign(is_moved=differs.any(axis=1))
    return both[both.groupby(_FIGURE)["is_moved"].transform("any")] if len(both) else both


def _row(block: pd.DataFrame, past: Past, kpis: Mapping[str, Kpi], period: Period) -> dict[str, object]:
    """Return the revision of a KPI's figures of a period with its causes, before it is protected."""
    key = {name: str(block[name].iloc[0]) for name in _FIGURE}
    kpi, late, issue = kpis[key["kpi"]], past.late.get(key["period"], 0), past.issued[int(block["issue"].iloc[0])]
    is_total = block["segment"] == TOTAL
    total = block[is_total].iloc[0] if is_total.any() else pd.Series(dtype=float)
    was, now, n_was, n_now = (float(total.get(name, np.nan)) for name in ("value_was", "value_now", "n_was", "n_now"))
    n_groups = int((block["is_moved"] & ~is_total).sum())
    came = n_now - n_was if n_now >= 0 else -n_was
    causes = list(_causes(kpi, issue, period, late=late, came=came, is_reweighted=n_was == n_now and was != now))
    stated = past.statements.get((kpi.id, key["period"]))
    account = issue.account
    return key | {
        "figure": "value",
        "was": was,
        "now": now,
        "n_was": n_was,
        "n_now": n_now,
        "direction": _direction(was, now),
        "n_groups": n_groups,
        "cause": "; ".join(causes or (["stated"] if stated else [])),
        "reason": f"{stated.reason} ({stated.by}, {stated.date})" if stated else None,
        "rows_are_same": account.is_known and not (account.definitions or account.files or late),
    }


def _direction(was: float, now: float) -> str:
    if np.isnan(now):
        return "gone"
    return "rose" if now > was else "fell" if now < was else "same"


def _causes(kpi: Kpi, issue: Issued, period: Period, *, late: int, came: float, is_reweighted: bool) -> Iterator[Cause]:
    """Yield every cause that the records give; those that explain anything only where nothing else does."""
    account, found = issue.account, list[Cause]()
    if account.changed(kpi):
        found.append("definition")
    if kpi.weight and is_reweighted and (account.definitions or account.files):
        found.append("weights")
    if late or came > 0:
        found.append("late_answers")
    if came < 0:
        found.append("removed_rows")
    if kpi.table in _FOLLOWED and issue.period < period:
        found.append("later_events")
    yield from found or _general(account)


def _general(account: Account) -> Iterator[Cause]:
    if not account.is_known:
        yield "no_account"
    if account.definitions:
        yield "definitions"
    if account.files:
        yield "delivered_files"
    if account.software:
        yield "software"


def _refuse_silent(rows: pd.DataFrame) -> None:
    silent = [f"`{row.kpi}` of {row.period}" for row in rows[rows["cause"] == ""].itertuples()]
    if not silent:
        return
    more = f" and {len(silent) - _MOST_NAMED} more" if len(silent) > _MOST_NAMED else ""
    raise GateError(
        found=f"issued figures that would be others today, for no cause that the records give: "
        f"{', '.join(dict.fromkeys(silent[:_MOST_NAMED]))}{more}",
        expected="figures that stay as they were issued, unless answers came late, rows were removed, or a definition, "
        "a delivered file or the software changed",
        do="find out what changed them and put it right; or state the reason in reports/revisions.yml, with "
        "`kpi`, `period`, `reason`, `by` and `date`, which the issue then shows",
    )


# --- what may be told ----------------------------------------------------------------------------


def _protected(rows: pd.DataFrame, past: Past, kpis: Mapping[str, Kpi], *, is_everybody: bool) -> pd.DataFrame:
    """Remove the figures, never the direction, of totals whose pair would tell of a small group."""
    if rows.empty:
        return rows
    limit = rows["kpi"].map({name: kpi.minimum_base.suppress for name, kpi in kpis.items()})
    change = rows["n_now"].astype(float) - rows["n_was"].astype(float)
    is_safe = (change == 0) & rows["rows_are_same"].astype(bool)
    if is_everybody:
        is_safe |= _are_no_few(rows.assign(change=change), past, kpis)
    is_told = is_safe & (rows["n_now"].astype(float) >= limit)
    return rows.assign(**{name: rows[name].where(is_told) for name in ("was", "now", "n_was", "n_now")})


def _are_no_few(rows: pd.DataFrame, past: Past, kpis: Mapping[str, Kpi]) -> pd.Series:
    """Say for which totals no two bases ever told, of KPIs on the same answers, leave a few answers between them."""
    family = find_families(kpis)
    limits = dict.fromkeys(family.values(), 0)
    for name, kpi in kpis.items():
        limits[family[name]] = max(limits[family[name]], kpi.minimum_base.suppress)

    def blocks(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
        return list(zip(frame["kpi"].map(family), frame["question"].fillna(""), frame["period"], strict=True))

    earlier = past.revised[past.revised["n_now"].notna() & past.revised["kpi"].isin(kpis)]
    earlier = earlier.assign(change=earlier["n_now"].astype(float) - earlier["n_was"].astype(float))
    changes: dict[tuple[str, str, str], set[float]] = {}
    for frame in (rows, earlier):
        for block, change in zip(blocks(frame), frame["change"], strict=True):
            changes.setdefault(block, {0.0}).add(change)
    is_safe = [
        change != 0 and _lie_apart(changes[block], limits[block[0]]) and not _is_beside(kpi, block[-1], past.beside)
        for block, change, kpi in zip(blocks(rows), rows["change"], rows["kpi"], strict=True)
    ]
    return pd.Series(is_safe, index=rows.index)


def _lie_apart(numbers: Iterable[float], limit: int) -> bool:
    """Say whether any two different numbers lie that far apart; not where one is unknown.

    >>> _lie_apart({0.0, 12.0, 25.0}, 10), _lie_apart({0.0, 12.0, 13.0}, 10)
    (True, False)
    """
    return all(abs(one - other) >= limit for one, other in combinations(sorted(set(numbers)), 2))


def _is_beside(kpi: str, period: str, beside: pd.DataFrame) -> bool:
    """Say whether issues by other kinds of period tell a base of the same answers."""
    own = Period.parse(period)
    others = (Period.parse(each) for each in beside.loc[beside["kpi"] == kpi, "period"].unique())
    return any(other.start < own.end and own.start < other.end for other in others)
