"""Build canonical tables from a file's records and a mapping."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd

from cxreport.schema import INSTANT, NUMBER, TABLES, TEXT, WHOLE, TableName
from cxreport.sources import privacy, values
from cxreport.sources.formats.files import UnreadableFileError
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import BLANK, UNREADABLE, Battery, Fields, Mapping, Origin, Question

Tables = dict[TableName, pd.DataFrame]

# Full types even for columns of nulls, so that the files of a feed fit together without guessing.
_DTYPES = {TEXT: "str", NUMBER: "float64", WHOLE: "Int64", INSTANT: "datetime64[us, UTC]"}

_PERSONAL = ("comment", "text")  # free text, masked before it is stored


@dataclass(frozen=True)
class Context:
    """What a dataset says to every adapter.

    Attributes
    ----------
    time_zone
        The zone of local times of which neither the file nor the mapping states one.
    secret
        The key of all keyed hashes; `None` where the company has not set one.
    """

    time_zone: str
    secret: bytes | None = None


def build_tables(records: Records, mapping: Mapping, context: Context) -> Tables:
    """Return the canonical tables of one file, without their `source`.

    Every record becomes one row of each table of the mapping, unless `only_if` says that it is none, whatever is wrong
    with it: unreadable values are null and named in `typing_fault`. `answers` has one row per question asked or
    answered. Raises `UnreadableFileError` with all columns that are missing, and with all questions that name a column
    which the tool derived.
    """
    records.require(_needed(mapping), _optional(mapping))
    _refuse_derived(records, mapping)
    whole: Tables = {name: _table(name, fields, records, mapping, context) for name, fields in mapping.tables.items()}
    chosen = {name: _chosen(records, fields) for name, fields in mapping.tables.items()}
    tables: Tables = {}
    if (responses := whole.get("responses")) is not None:
        responses["typing_fault"] = _with_unreal(responses["typing_fault"], records, mapping)
        zone = mapping.time_zone or context.time_zone
        if answers := _answers(records, mapping, responses, chosen["responses"], zone):
            tables["answers"] = pd.concat(answers, ignore_index=True)
    if (employees := whole.get("employees")) is not None:
        employees["missing_reason"] = _with_reasons(employees)
    return {name: table[chosen[name]].reset_index(drop=True) for name, table in whole.items()} | tables


def further_keys(fields: Fields, records: Records, context: Context) -> Iterable[pd.Series]:
    """Yield the further keys of customers, as keyed hashes: one column of all records for each."""
    for name, origin in fields.keys.items():
        faults = _Faults(pd.Series(None, index=range(records.rows), dtype="str"))
        yield _column(name, TEXT, origin, records, context=context, faults=faults)


def _needed(mapping: Mapping) -> Iterable[str]:
    for origin in _origins(mapping):
        if not origin.optional:
            yield from origin.columns
    yield from mapping.real_answers
    for fields in mapping.tables.values():
        yield from fields.only_if
        yield from fields.names
    for battery in mapping.batteries:
        yield from battery.asked_when
        yield from (question.column for question in battery.questions.values() if not question.is_dated)


def _optional(mapping: Mapping) -> Iterable[str]:
    for origin in _origins(mapping):
        if origin.optional:
            yield from origin.columns
    for battery in mapping.batteries:
        yield from (question.column for question in battery.questions.values() if question.is_dated)


def _refuse_derived(records: Records, mapping: Mapping) -> None:
    questions = [named for battery in mapping.batteries for named in battery.questions.items()]
    if derived := [
        f"question `{name}` reads `{question.column}`, which the tool derived from another column; name that one"
        for name, question in questions
        if question.column in records.derived
    ]:
        raise UnreadableFileError(*derived)


def _origins(mapping: Mapping) -> Iterable[Origin]:
    return (origin for fields in mapping.tables.values() for origin in fields.every_origin)


def _with_unreal(found: "pd.Series[str]", records: Records, mapping: Mapping) -> "pd.Series[str]":
    """Add to the typing faults why a response is no real answer."""
    faults = _Faults(found)
    for column, meaning in mapping.real_answers.items():
        state = records.text(column)
        reason = _looked_up(state, meaning.others).fillna(f"`{column}` is not listed as real")
        faults.add(~state.isin(meaning.real) & ~_ragged(records), "not a real answer: " + reason)
    return faults.text.astype("str")


def _with_reasons(employees: pd.DataFrame) -> "pd.Series[str]":
    """Return why there is no score, where the file does not say so itself."""
    unread = employees["typing_fault"].fillna("").str.contains("score: ")
    reason = pd.Series(BLANK, index=employees.index).mask(unread, UNREADABLE).mask(employees["score"].notna())
    return employees["missing_reason"].fillna(reason).astype("str")


# --- one row per record --------------------------------------------------------------------------


class _Faults:
    """What could not be read, per row, joined by "; " in the order in which it was found."""

    def __init__(self, found: "pd.Series[str]") -> None:
        self.text = found.astype("object")

    def add(self, rows: "pd.Series[bool]", reason: "pd.Series[str] | str") -> None:
        if not rows.any():
            return
        reasons = reason[rows] if isinstance(reason, pd.Series) else reason
        earlier = self.text[rows]
        self.text[rows] = (earlier + "; ").fillna("") + reasons


def _table(name: TableName, fields: Fields, records: Records, mapping: Mapping, context: Context) -> pd.DataFrame:
    kinds = TABLES[name].columns
    origins = fields.origins | ({"updated_at": fields.updated} if fields.updated else {})
    within = replace(context, time_zone=mapping.time_zone or context.time_zone)
    faults = _Faults(pd.Series(records.ragged, index=range(records.rows), dtype="str"))
    columns: dict[str, Any] = {}
    for column in [*kinds, *fields.segments]:
        kind, origin = kinds.get(column, TEXT), origins.get(column)
        if origin is None:
            columns[column] = pd.Series(None, index=range(records.rows), dtype=_DTYPES[kind])
        else:
            columns[column] = _column(column, kind, origin, records, context=within, faults=faults)
    table = pd.DataFrame(columns, index=range(records.rows))
    table["source_row"] = records.lines
    table["typing_fault"] = faults.text.astype("str")
    return table


def _chosen(records: Records, fields: Fields) -> "pd.Series[bool]":
    """Return which records are rows of a table; one that does not line up is always kept, to be rejected by name."""
    chosen = pd.Series(True, index=range(records.rows))
    for column, allowed in fields.only_if.items():
        text = records.text(column)
        chosen &= text.isin(allowed) if allowed else text.notna()
    return chosen | _ragged(records)


def _column(
    name: str, kind: object, origin: Origin, records: Records, *, context: Context, faults: _Faults
) -> "pd.Series[Any]":
    text = _delivered(origin, records)
    if origin.missing:
        text = text.mask(text.isin(origin.missing))
    if origin.labels:
        unlabelled = text.notna() & ~text.isin(origin.labels)
        faults.add(unlabelled, f"{name}: a code without a label")
        text = _looked_up(text, origin.labels)
    if kind == INSTANT:
        stated = records.zones.get(origin.column or "")
        instant, unread = values.instants(text, origin.formats, origin.time_zone or stated or context.time_zone)
        faults.add(unread, f"{name}: not a date in the form {' or '.join(origin.formats)}")
        return instant
    if kind in {NUMBER, WHOLE}:
        number, unread = values.wholes(text) if kind == WHOLE else _number(text, origin)
        faults.add(unread, f"{name}: not a {'whole ' if kind == WHOLE else ''}number")
        return number
    if origin.keep:
        return privacy.kept(text, origin.keep, context.secret)
    return privacy.mask_series(text) if name in _PERSONAL else text


def _number(text: "pd.Series[str]", origin: Origin) -> "tuple[pd.Series[float], pd.Series[bool]]":
    number, unread = values.numbers(text, origin.decimal, origin.grouping, percent=origin.percent)
    return values.minutes(number, origin.unit), unread


def _delivered(origin: Origin, records: Records) -> "pd.Series[str]":
    if origin.constant is not None:
        text = pd.Series(origin.constant, index=range(records.rows), dtype="str")
        return text.mask(_ragged(records))
    if any(column not in records.header for column in origin.columns):  # optional, `_required` saw to the others
        return pd.Series(None, index=range(records.rows), dtype="str")
    parts = [_values(records, column) for column in origin.columns]
    if origin.column is not None:
        return parts[0]
    complete = pd.concat(parts, axis="columns").dropna()
    filled = [origin.fill(row) for row in complete.itertuples(index=False, name=None)]
    return pd.Series(filled, index=complete.index, dtype="str").reindex(range(records.rows))


def _values(records: Records, column: str) -> "pd.Series[str]":
    """Return a column's text without the codes that the file declares to be no values."""
    text = records.text(column)
    return text.mask(text.isin(stated)) if (stated := records.missing.get(column)) else text


def _looked_up(codes: "pd.Series[str]", meanings: dict[str, str]) -> "pd.Series[str]":
    return values.looked_up(codes, meanings, "str")


def _ragged(records: Records) -> "pd.Series[bool]":
    return pd.Series(range(records.rows)).isin(records.ragged)


# --- one row per question ------------------------------------------------------------------------


def _answers(
    records: Records, mapping: Mapping, responses: pd.DataFrame, chosen: "pd.Series[bool]", zone: str
) -> list[pd.DataFrame]:
    days = responses["responded_at"].dt.tz_convert(zone).dt.date
    problems: list[str] = []
    answers: list[pd.DataFrame] = []
    for battery in mapping.batteries:
        fitting = _fitting(records, battery) & chosen
        for name, question in battery.questions.items():
            asked = fitting & _in_force(days, question)
            if question.column in records.header:
                stated = records.missing.get(question.column, {})
                codes = {**stated, **mapping.missing, **battery.missing, **question.missing}
                answers.append(
                    _answers_to(name, question, battery, records, codes=codes, asked=asked, responses=responses[chosen])
                )
            elif asked.any():
                problems += records.problems_with([question.column], [*_needed(mapping), *_optional(mapping)])
    if problems:
        raise UnreadableFileError(*problems)
    return answers


def _fitting(records: Records, battery: Battery) -> "pd.Series[bool]":
    fitting = ~_ragged(records)
    for column, allowed in battery.asked_when.items():
        fitting &= records.text(column).isin(allowed)
    return fitting


def _in_force(days: "pd.Series[Any]", question: Question) -> "pd.Series[bool]":
    if not question.is_dated:
        return pd.Series(True, index=days.index)
    first, last = question.asked_from or date.min, question.asked_until or date.max
    return days.map(lambda day: first <= day <= last, na_action="ignore").eq(True)


def _answers_to(
    name: str,
    question: Question,
    battery: Battery,
    records: Records,
    *,
    codes: dict[str, str],
    asked: "pd.Series[bool]",
    responses: pd.DataFrame,
) -> pd.DataFrame:
    text = records.text(question.column)[responses.index]
    present = asked[responses.index] | text.notna()
    text = text[present]
    reason = _looked_up(text, codes).where(text.notna(), codes.get("", BLANK))
    given = text.where(reason.isna())
    labelled = values.looked_up(given, battery.labels, "float64") if battery.labels else None
    score, unread = values.numbers(given if labelled is None else given.where(labelled.isna()))
    score = score if labelled is None else score.fillna(labelled)
    answers = responses.loc[present, ["response_id", "responded_at", "source_row", "updated_at"]].copy()
    answers["question"] = name
    answers["metric"] = battery.metric
    answers["score"] = score
    answers["scale_low"], answers["scale_high"] = battery.scale.low, battery.scale.high
    answers["scale_good"] = battery.scale.good
    answers["missing_reason"] = reason.mask(unread, UNREADABLE)
    answers["typing_fault"] = pd.Series(None, index=text.index, dtype="str").mask(unread, "score: not a number")
    return answers
