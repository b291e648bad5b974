"""Sheets of cells: numbers in their unit and full precision, and texts."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxreport.present.markup import one_line
from cxreport.present.pack import Pack, ShownKpi


@dataclass(frozen=True)
class Number:
    """A number and how a workbook shows it, as a number format of Office Open XML."""

    value: float
    form: str


Cell = str | Number | None
Cells = dict[str, Cell]  # the key of a column's title to what stands in it


@dataclass(frozen=True)
class Sheet:
    """A table: its key in the words of `exports.sheet`, the titles of its columns, its rows; texts are not escaped."""

    key: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


# Of XlsxWriter: nothing that is written becomes a formula or a link by itself.
AS_WRITTEN = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
WHOLE, SHARE, PLAIN, PROBABILITY, AMOUNT = "#,##0", "0.0%", "0.000", "0.0000", "#,##0.00"
_FORMS = {
    "points": "0.0",
    "percent": SHARE,
    "score": "0.00",
    "times": "0.00",
    "minutes": "#,##0.0",
    "money": AMOUNT,
    "cases": WHOLE,
}


def sheet(pack: Pack, key: str, cells: Iterable[Cells]) -> Sheet:
    """Return rows of cells, all of the same columns, as a sheet; without rows it has no columns either."""
    filled = list(cells)
    head = tuple(_title(pack, name) for name in filled[0]) if filled else ()
    return Sheet(key, head, tuple(tuple(row.values()) for row in filled))


def masked(cells: Cells) -> Cells:
    """Return cells without their numbers."""
    return {name: None if isinstance(cell, Number) else cell for name, cell in cells.items()}


def _title(pack: Pack, name: str) -> str:
    return pack.words(f"exports.column.{name}")


def amount(value: float | None, kpi: ShownKpi) -> Number | None:
    """Return a value in a KPI's unit."""
    return number(value, _form(kpi))


def change(value: float | None, kpi: ShownKpi) -> Number | None:
    """Return a difference with its sign."""
    form = _form(kpi)
    return number(value, f"+{form};-{form};{form}")


def share(value: float | None) -> Number | None:
    """Return a share, 0 to 1."""
    return number(value, SHARE)


def number(value: float | None, form: str = WHOLE) -> Number | None:
    """Return a number of some format, `None` where there is none."""
    return None if value is None else Number(value, form)


def _form(kpi: ShownKpi) -> str:
    return money_form(kpi.currency) if kpi.unit == "money" else _FORMS[kpi.unit]


def money_form(currency: str) -> str:
    """Return the number format of amounts in a currency."""
    quoted = one_line(currency).replace('"', "")
    return f'"{quoted}" {AMOUNT}' if quoted else AMOUNT
