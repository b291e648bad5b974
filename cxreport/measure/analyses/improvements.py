"""What was improved, and whether it worked: every action of the company's log against everybody whom it leaves out."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxreport.config import Actions, Kpi
from cxreport.errors import UsageError, listed
from cxreport.measure import actions
from cxreport.measure.analyses.company import DONE, NOTHING, Company, Found, lacking, without_hidden
from cxreport.measure.disclosure import SHOWN, SMALL
from cxreport.periods import Period, last_periods
from cxreport.schema import TABLES

_MOST_LEVELS = 2
_WINDOWS = ["before_first", "before_last", "after_first", "after_last"]
_FIGURES = [
    *("n_before", "n_after", "value_before", "value_after"),
    *("rest_n_before", "rest_n_after", "rest_value_before", "rest_value_after"),
    *("effect", "ci_low", "ci_high", "p_value", "q_value", "verdict", "moved_before", "was_low"),
]


@dataclass(frozen=True)
class _Case:
    """An action: what is told of it, column and level of those whom it concerns, and the periods that are compared.

    `before` and `after` lie on either side of its `start`, and `earlier` before those; each oldest first.
    """

    described: dict[str, object]
    levels: dict[str, str]
    start: Period
    earlier: list[Period]
    before: list[Period]
    after: list[Period]

    @classmethod
    def of(cls, action: Mapping[Hashable, Any], columns: Sequence[str], reported: Period, length: int) -> "_Case":
        day, told = action["started_at"].date(), action["communicated_at"]
        start = Period.containing(day, reported.kind)
        return cls(
            described={"action": action["action_id"], "started_on": day.isoformat()}
            | {name: action[name] for name in ("asked", "description", "owner", "cost")}
            | {"told_on": None if pd.isna(told) else told.date().isoformat()},
            levels={name: action[name] for name in columns if isinstance(action[name], str)},
            start=start,
            earlier=[start.shift(step - 2 * length) for step in range(length)],
            before=[start.shift(step - length) for step in range(length)],
            after=[start.shift(step + 1) for step in range(length)],
        )

    @property
    def is_comparable(self) -> bool:
        return 0 < len(self.levels) <= _MOST_LEVELS

    @property
    def column(self) -> str:
        """The column, the first of several, by which it chooses whom it concerns."""
        return next(iter(self.levels))


def make_actions(company: Company, settings: Actions) -> Found:
    """Judge every action that began before the period's end, oldest first.

    The periods before the one in which it began are compared with as many after it; that one is left out. An action
    whose windows are not over is too early to judge; answers that do not reach back so far, or are fewer than the KPI's
    `minimum_base.warn` in any of the four cells, are too few.

    Whoever had an action of their own in that time is no measure of what happens without one (Goodman-Bacon 2021,
    Journal of Econometrics 225:254-277): other levels of the same column at which one began are left out of everybody
    else. Levels that are hidden stay in, as their base would follow.
    """
    kpi, log = company.kpis[settings.kpi], _log(company)
    columns = _columns(company, log)
    length = len(last_periods(company.period, settings.months))
    cases = [_Case.of(action, columns, company.period, length) for action in log.to_dict("records")]
    answers = _answers(company, kpi, columns, min(case.earlier[0] for case in cases))
    rows = [
        case.described | _judged(case, _left_out(case, cases, company, kpi), answers, kpi, company) for case in cases
    ]
    table = pd.DataFrame(rows).assign(kpi=kpi.id)
    table = table.reindex(columns=list(dict.fromkeys([*table, *_WINDOWS, *_FIGURES])))
    table = actions.judge(table, kpi, confidence=company.confidence)
    worked = table["verdict"].isin([actions.IMPROVED, actions.WORSENED]).any()
    note = f"{len(table)} actions, {table['p_value'].notna().sum()} judged"
    return Found({"actions": without_hidden(table, _FIGURES)}, DONE if worked else NOTHING, note)


def _log(company: Company) -> pd.DataFrame:
    log = company.rows("actions")
    log = log[log["started_at"] < company.end].sort_values(["started_at", "action_id"], ignore_index=True)
    if log.empty:
        raise lacking("actions")
    for name in ("started_at", "communicated_at"):
        log[name] = log[name].dt.tz_convert(company.dataset.time_zone)
    return log


def _columns(company: Company, log: pd.DataFrame) -> list[str]:
    """Return the columns that say whom actions concern."""
    own = {*TABLES["actions"].columns, "period"} - {"touchpoint"}
    columns = [str(name) for name in log if name not in own and log[name].notna().any()]
    if unknown := [name for name in columns if name not in company.answers().columns]:
        raise UsageError(
            found=f"actions by {listed(unknown)}",
            expected="actions by columns that answers have",
            do="correct the mapping of the actions, or deliver the column with the answers",
        )
    return columns


def _answers(company: Company, kpi: Kpi, columns: list[str], first: Period) -> pd.DataFrame:
    last = company.period
    months = (last.end.year - first.start.year) * 12 + last.end.month - first.start.month
    months += last.end.day > first.start.day  # weeks begin within months
    clusters = [kpi.cluster] if kpi.cluster else []
    return company.scores(kpi, ["period", *columns, *clusters], months)


def _left_out(case: _Case, cases: Sequence[_Case], company: Company, kpi: Kpi) -> list[str]:
    """Return the other levels of an action's column at which one began in the time compared."""
    if not case.is_comparable:
        return []
    busy = {other.levels.get(case.column) for other in cases if case.before[0] <= other.start <= case.after[-1]}
    segments = [segment.id for segment in company.segments.values() if segment.column == case.column]
    compared = [period.id for period in (*case.before, *case.after)]
    of_kpi, estimates = company.estimates["kpi"] == kpi.id, company.estimates
    rows = estimates[of_kpi & estimates["segment"].isin(segments) & estimates["period"].isin(compared)]
    shown = rows["suppressed"].eq(SHOWN).groupby(rows["level"]).all()
    return sorted(level for level in busy if level and level != case.levels[case.column] and shown.get(level, False))


def _judged(case: _Case, left_out: list[str], answers: pd.DataFrame, kpi: Kpi, company: Company) -> dict[str, object]:
    """Return whom an action concerns, the periods compared, and what came of it, not yet tested beside others."""
    pairs = [*case.levels.items(), (None, None), (None, None)]
    (column, level), (other_column, other_level) = pairs[:_MOST_LEVELS]
    said: dict[str, object] = {"column": column, "level": level}
    said |= {"other_column": other_column, "other_level": other_level}
    said |= {"suppressed": SHOWN, "low_base": False, "p_value": np.nan, "note": None}
    if not case.is_comparable:
        several = f"it concerns one group by {len(case.levels)} columns, of at most {_MOST_LEVELS}"
        return said | {"verdict": actions.NOT_COMPARED, "note": several if case.levels else "it concerns everybody"}
    for when, window in (("before", case.before), ("after", case.after)):
        said |= {f"{when}_first": window[0].id, f"{when}_last": window[-1].id}
    if case.after[-1] > company.period:
        return said | {"verdict": actions.TOO_EARLY}
    answers = answers[~answers[case.column].isin(left_out)]
    compared = _compared(answers, kpi, case.levels, (case.before, case.after), company.confidence)
    if compared is None:
        return said | {"verdict": actions.TOO_FEW}
    said |= _figures(compared, kpi) | {"note": f"everybody else without {listed(left_out)}" if left_out else None}
    n = compared.cells["n"].min()
    if n < kpi.minimum_base.suppress:
        return said | {"verdict": actions.TOO_FEW, "suppressed": SMALL}
    if n < kpi.minimum_base.warn or np.isnan(compared.p_value):
        return said | {"verdict": actions.TOO_FEW, "low_base": True}
    earlier = _compared(answers, kpi, case.levels, (case.earlier, case.before), company.confidence)
    is_known = earlier is not None and earlier.cells["n"].min() >= kpi.minimum_base.warn
    moved = bool(earlier.p_value < 1 - company.confidence) if earlier is not None and is_known else None
    return said | {"verdict": None, "p_value": compared.p_value, "moved_before": moved}


def _compared(
    answers: pd.DataFrame,
    kpi: Kpi,
    levels: Mapping[str, str],
    windows: tuple[list[Period], list[Period]],
    confidence: float,
) -> actions.Effect | None:
    """Compare two windows; `None` where answers do not cover all of them."""
    is_after = {period.id: bool(number) for number, window in enumerate(windows) for period in window}
    rows = answers[answers["period"].isin(list(is_after))]
    if rows["period"].nunique() < len(is_after):
        return None
    in_group = np.logical_and.reduce([(rows[column] == level).to_numpy(dtype=bool) for column, level in levels.items()])
    flagged = rows.assign(in_group=in_group, is_after=rows["period"].map(is_after).astype(bool))
    return actions.effect(flagged, kpi, confidence=confidence)


def _figures(compared: actions.Effect, kpi: Kpi) -> dict[str, object]:
    figures: dict[str, object] = {"effect": compared.value, "ci_low": compared.ci_low, "ci_high": compared.ci_high}
    for cell, (n, value) in compared.cells[["n", "value"]].iterrows():
        prefix, _, when = str(cell).rpartition("_")
        side = f"{prefix}_" if prefix else ""
        figures |= {f"{side}n_{when}": int(n), f"{side}value_{when}": value}
    own, rest = compared.cells.loc["before"], compared.cells.loc["rest_before", "value"]
    was_low = own["ci_high"] < rest if kpi.higher_is_better else own["ci_low"] > rest
    return figures | {"was_low": bool(was_low)}
