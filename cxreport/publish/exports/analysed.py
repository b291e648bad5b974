"""The tables of the analyses as sheets, in the words of readers."""

from collections.abc import Callable, Sequence
from typing import Any

from cxreport.present import loyalty
from cxreport.present.analyses import Rows, is_sure, label, rows, shown
from cxreport.present.pack import Pack, ShownKpi
from cxreport.publish.exports.cells import (
    PLAIN,
    PROBABILITY,
    WHOLE,
    Cell,
    Cells,
    Number,
    Sheet,
    amount,
    change,
    masked,
    money_form,
    share,
    sheet,
)

_DONE = "done"
# What a sheet shows of each table: columns, and after a colon what their numbers are. `value` stands for the unit of
# the row's KPI, `change` for a difference in it; without a colon numbers are whole.
_COLUMNS = {
    "analyses": "analysis status note",
    "drivers": "kpi driver share:share ci_low:share ci_high:share performance:share quadrant n r2_adjusted:plain "
    "p_value:p method note",
    "journey": "kpi stage touchpoint share:share n value:value ci_low:value ci_high:value method",
    "pain_points": "kpi stage touchpoint share:share n value:value shortfall:change impact:change impact_ci_low:change "
    "impact_ci_high:change top3_probability:share p_value:p q_value:p is_pain_point",
    "curve": "kpi place stage share:share n value:value ci_low:value ci_high:value overall:value relative:change "
    "relative_ci_low:change relative_ci_high:change p_value:p q_value:p",
    "funnel": "place stage n n_continued drop_off:share ci_low:share ci_high:share",
    "switching": "base n n_switched share:share ci_low:share ci_high:share",
    "consistency": "kpi question segment n_levels range:change tau:change tau_low:change tau_high:change p_value:p "
    "verdict",
    "themes": "kpi theme n share:share value_with:value value_without:value difference:change difference_ci_low:change "
    "difference_ci_high:change q_value:p impact:change impact_ci_low:change impact_ci_high:change sentiment:plain note",
    "quotes": "theme place quote language is_good",
    "topics": "kind topic n share:share share_before:share difference:share ci_low:share ci_high:share q_value:p",
    "texts": "source theme n share:share",
    "cohorts": "cohort days n at_risk survival:share ci_low:share ci_high:share note",
    "churn_judgement": "figure value:plain ci_low:plain ci_high:plain n method",
    "churn_reliability": "bin n expected:share observed:share ci_low:share ci_high:share",
    "churn_drivers": "feature mean:plain sd:plain odds_ratio:plain ci_low:plain ci_high:plain n method",
    "link": "figure score_class other_class n value:share ci_low:share ci_high:share adjusted:share "
    "adjusted_ci_low:share adjusted_ci_high:share p_value:p",
    "link_revenue": "figure score_class other_class n value:money ci_low:money ci_high:money adjusted:money "
    "adjusted_ci_low:money adjusted_ci_high:money p_value:p",
    "roi": "figure value:plain ci_low:plain ci_high:plain status",
    "subgroups": "kpi description direction n share:share value:value rest_value:value difference:change "
    "ci_low:change ci_high:change q_value:p",
    "personas": "persona name n share:share stability:plain",
    "persona_traits": "persona place feature level value:plain rest_value:plain difference_sd:plain ci_low:plain "
    "ci_high:plain words",
    "actions": "action started_on asked description owner cost:money told_on kpi column level other_column other_level "
    "before_first before_last after_first after_last n_before n_after value_before:value value_after:value "
    "rest_n_before rest_n_after rest_value_before:value rest_value_after:value effect:change ci_low:change "
    "ci_high:change q_value:p verdict note",
}


def of_analyses(pack: Pack) -> list[Sheet]:
    """Return a sheet for each table of the analyses; without rows where it was not made or found nothing."""
    return [_of_table(pack, name) for name in _COLUMNS]


def _of_table(pack: Pack, name: str) -> Sheet:
    columns = [(column, kind) for column, _, kind in (part.partition(":") for part in _COLUMNS[name].split())]
    return sheet(pack, name, (_row(pack, row, columns) for row in _rows(pack, name)))


def _rows(pack: Pack, name: str) -> Rows:
    """Return the rows that the report itself may show."""
    match name:
        case "analyses":  # what is noted of an analysis that was made counts what its tables may hide
            found = rows(pack, name)
            for row in found:
                row.note = None if row.status == _DONE else row.note
            return found
        case "quotes":  # what customers said of a theme, only where the theme is shown
            themes = {row.theme for row in shown(pack, "themes")}
            return [row for row in rows(pack, name) if row.theme in themes]
        case "subgroups":  # those that held on customers left out of the search
            found = shown(pack, name)
            return [row for row in found if row.status == loyalty.CONFIRMED and is_sure(pack, row.q_value)]
        case _:
            return rows(pack, name)


def _row(pack: Pack, row: Any, columns: Sequence[tuple[str, str]]) -> Cells:
    kpi = pack.kpis.get(getattr(row, "kpi", None) or "")
    cells = {name: _cell(pack, row, name, kind, kpi) for name, kind in columns}
    if row.suppressed is None:  # nothing in this table is ever hidden
        return cells
    hidden = pack.words("tables.hidden") if row.is_hidden else ""
    return (masked(cells) if row.is_hidden else cells) | {"suppressed": hidden}


def _cell(pack: Pack, row: Any, name: str, kind: str, kpi: ShownKpi | None) -> Cell:
    match getattr(row, name):
        case None:
            return None
        case bool(truth):
            return pack.words(f"exports.{'yes' if truth else 'no'}")
        case str(text):
            return _SAID.get(name, _translated)(pack, row, text)
        case number:
            return _number(pack, number, kind, kpi)


def _number(pack: Pack, value: float, kind: str, kpi: ShownKpi | None) -> Number | None:
    if kpi and kind in {"value", "change"}:
        return amount(value, kpi) if kind == "value" else change(value, kpi)
    forms = {"p": PROBABILITY, "money": money_form(pack.dataset.currency), "": WHOLE}
    return share(value) if kind == "share" else Number(value, forms.get(kind, PLAIN))


# --- texts -----------------------------------------------------------------------------------------

_Say = Callable[[Pack, Any, str], str]


def _translated(pack: Pack, _: Any, text: str) -> str:
    return pack.words.text(text)


def _as_written(_: Pack, __: Any, text: str) -> str:
    return text


def _called(pack: Pack, key: str, text: str) -> str:
    """Return what readers call something that the suite names, where there are words for it."""
    key = key.replace(" ", "_")
    return pack.words(key) if key in pack.words.sentences else pack.words.text(text)


def _class(pack: Pack, _: Any, text: str) -> str:
    return _called(pack, f"loyalty.class.{text}", text)


def _driver(pack: Pack, _: Any, text: str) -> str:
    return next((kpi.title for kpi in pack.kpis.values() if kpi.where.get("metric") == text), text)


def _placed(column: str) -> _Say:
    """Return what says the values of a column that segments may stand on."""
    return lambda pack, _, text: label(pack, column, text)


def _level(column: str) -> _Say:
    """Return what says the level of the column that a row names; traits name it as their feature."""

    def say(pack: Pack, row: Any, text: str) -> str:
        return label(pack, str(getattr(row, column, None) or getattr(row, "feature", "")), text)

    return say


def _column(pack: Pack, _: Any, text: str) -> str:
    return loyalty.column_title(pack, text)


_SAID: dict[str, _Say] = {
    "kpi": lambda pack, _, text: pack.kpis[text].title,
    "analysis": lambda pack, _, text: _called(pack, f"exports.analysis.{text}", text),
    "column": _column,
    "other_column": _column,
    "description": lambda pack, row, text: loyalty.group_name(pack, row) if hasattr(row, "direction") else text,
    "direction": lambda pack, _, text: _called(pack, f"tables.apart.{text}", text),
    "driver": _driver,
    "feature": lambda pack, _, text: loyalty.feature_name(pack, text),
    "figure": lambda pack, _, text: _called(pack, f"exports.figure.{text}", text),
    "level": _level("column"),
    "other_level": _level("other_column"),
    "other_class": _class,
    "quadrant": lambda pack, _, text: _called(pack, f"drivers.quadrant.{text}", text),
    "question": lambda pack, _, text: pack.question_title(text),
    "quote": _as_written,
    "asked": _as_written,
    "score_class": _class,
    "segment": lambda pack, _, text: pack.segments[text].title if text in pack.segments else text,
    "stage": _placed("stage"),
    "touchpoint": _placed("touchpoint"),
}
