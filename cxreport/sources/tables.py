"""Build canonical tables from a file's records and a mapping."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.schema import INSTANT, NUMBER, TABLES, TEXT, WHOLE, TableName
from cxreport.sources import privacy, values
from cxreport.sources.formats.files import UnreadableFileError
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import BLANK, UNREADABLE, Battery, Fields, Mapping, Origin, Question
from cxreport.sources.threads import in_order

Tables = dict[TableName, pd.DataFrame]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

# Full types even for columns of nulls, so that the files of a feed fit together without guessing.
_DTYPES = {TEXT: "str", NUMBER: "float64", WHOLE: "Int64", INSTANT: "datetime64[us, UTC]"}

_ROWS_AT_ONCE = 131_072  # per thread
_BETWEEN = pa.scalar("; ", pa.large_string())  # two faults of one row
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
    built = list(in_order(lambda part: _built(part, mapping, context), records.parts(_ROWS_AT_ONCE)))
    if absent := set[str]().union(*(absent for _, absent in built)):
        asked = (question.column for battery in mapping.batteries for question in battery.questions.values())
        claimed = [*_needed(mapping), *_optional(mapping)]
        raise UnreadableFileError(
            *(said for column in asked if column in absent for said in records.problems_with([column], claimed))
        )
    if len(built) == 1:
        return built[0][0]
    return {name: pd.concat([tables.pop(name) for tables, _ in built], ignore_index=True) for name in list(built[0][0])}


def _built(records: Records, mapping: Mapping, context: Context) -> tuple[Tables, set[str]]:
    """Return the tables of some records, and the columns of questions that were asked and are absent."""
    whole: Tables = {name: _table(name, fields, records, mapping, context) for name, fields in mapping.tables.items()}
    chosen = {name: _chosen(records, fields) for name, fields in mapping.tables.items()}
    tables: Tables = {}
    absent: set[str] = set()
    if (responses := whole.get("responses")) is not None:
        responses["typing_fault"] = _with_unreal(responses["typing_fault"], records, mapping)
        zone = mapping.time_zone or context.time_zone
        answered, absent = _answered(records, mapping, responses, chosen["responses"], zone)
        if answered:
            tables["answers"] = _answers(answered, responses)
    if (employees := whole.get("employees")) is not None:
        employees["missing_reason"] = _with_reasons(employees)
    return {name: _rows(table, chosen[name]) for name, table in whole.items()} | tables, absent


def _rows(table: pd.DataFrame, chosen: Flags) -> pd.DataFrame:
    return table if chosen.all() else table[chosen].reset_index(drop=True)


def further_keys(fields: Fields, records: Records, context: Context) -> Iterable[pd.Series]:
    """Yield the further keys of customers, as keyed hashes: one column of all records for each."""
    for name, origin in fields.keys.items():
        yield _column(name, TEXT, origin, records, context=context, faults=_Faults(values.repeated(None, records.rows)))


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
        said = {code: f"not a real answer: {reason}" for code, reason in meaning.others.items()}
        reason = _looked_up(state, said).fillna(f"not a real answer: `{column}` is not listed as real")
        faults.add(~state.isin(meaning.real) & ~records.is_ragged, reason)
    return faults.text


def _with_reasons(employees: pd.DataFrame) -> "pd.Series[str]":
    """Return why there is no score, where the file does not say so itself."""
    unread = employees["typing_fault"].fillna("").str.contains("score: ")
    reason = pd.Series(BLANK, index=employees.index).mask(unread, UNREADABLE).mask(employees["score"].notna())
    return employees["missing_reason"].fillna(reason).astype("str")


# --- one row per record --------------------------------------------------------------------------


class _Faults:
    """What could not be read, per row, joined by "; " in the order in which it was found."""

    def __init__(self, found: "pd.Series[str]") -> None:
        self.text = found

    def add(self, rows: "pd.Series[bool]", reason: "pd.Series[str] | str") -> None:
        if not rows.any():
            return
        given = pa.scalar(reason, pa.large_string()) if isinstance(reason, str) else values.contiguous(reason)
        earlier, later = values.contiguous(self.text), pc.if_else(pa.array(rows), given, None)
        both = pc.binary_join_element_wise(earlier, later, _BETWEEN)
        self.text = values.series(pc.coalesce(both, earlier, later))


def _table(name: TableName, fields: Fields, records: Records, mapping: Mapping, context: Context) -> pd.DataFrame:
    kinds = TABLES[name].columns
    origins = fields.origins | ({"updated_at": fields.updated} if fields.updated else {})
    within = replace(context, time_zone=mapping.time_zone or context.time_zone)
    faults = _Faults(_ragged_faults(records))
    columns: dict[str, Any] = {}
    for column in [*kinds, *fields.segments]:
        kind, origin = kinds.get(column, TEXT), origins.get(column)
        if origin is None:
            columns[column] = _nulls(kind, records.rows)
        else:
            columns[column] = _column(column, kind, origin, records, context=within, faults=faults)
    columns["source_row"] = np.asarray(records.lines, dtype="int64")
    columns["typing_fault"] = faults.text
    return pd.DataFrame(columns, index=range(records.rows))


def _nulls(kind: pa.DataType, rows: int) -> "pd.Series[Any]":
    return values.repeated(None, rows) if kind == TEXT else pd.Series(None, index=range(rows), dtype=_DTYPES[kind])


def _ragged_faults(records: Records) -> "pd.Series[str]":
    if not records.ragged:
        return values.repeated(None, records.rows)
    return pd.Series(records.ragged, index=range(records.rows), dtype="str")


def _chosen(records: Records, fields: Fields) -> Flags:
    """Return which records are rows of a table; one that does not line up is always kept, to be rejected by name."""
    chosen = np.ones(records.rows, dtype=bool)
    for column, allowed in fields.only_if.items():
        text = records.text(column)
        chosen &= (text.isin(allowed) if allowed else text.notna()).to_numpy()
    return chosen | records.is_ragged


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
        text = values.repeated(origin.constant, records.rows)
        return text.mask(records.is_ragged) if records.ragged else text
    if any(column not in records.header for column in origin.columns):  # optional, `_required` saw to the others
        return values.repeated(None, records.rows)
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


# --- one row per question ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answered:
    """The answers to one question: the numbers of their records, and what stands there."""

    name: str
    battery: Battery
    records: Numbers
    score: npt.NDArray[np.float64]
    reason: pa.LargeStringArray
    fault: pa.LargeStringArray


def _answered(
    records: Records, mapping: Mapping, responses: pd.DataFrame, chosen: Flags, zone: str
) -> tuple[list[_Answered], set[str]]:
    """Return the answers by question, and the columns of questions that were asked and are absent."""
    absent: set[str] = set()
    answered: list[_Answered] = []
    for battery in mapping.batteries:
        fitting = _fitting(records, battery) & chosen
        for name, question in battery.questions.items():
            asked = fitting & _in_force(responses["responded_at"], question, zone)
            if question.column in records.header:
                stated = records.missing.get(question.column, {})
                codes = {**stated, **mapping.missing, **battery.missing, **question.missing}
                text = values.contiguous(records.text(question.column))
                rows = np.flatnonzero((asked | _is_given(text)) & chosen)
                answered.append(_answers_to(name, battery, text, rows, codes))
            elif asked.any():
                absent.add(question.column)
    return answered, absent


def _is_given(text: pa.LargeStringArray) -> Flags:
    given: Flags = text.is_valid().to_numpy(zero_copy_only=False)
    return given


def _fitting(records: Records, battery: Battery) -> Flags:
    fitting = ~records.is_ragged
    for column, allowed in battery.asked_when.items():
        fitting &= records.text(column).isin(allowed).to_numpy()
    return fitting


def _in_force(given: "pd.Series[pd.Timestamp]", question: Question, zone: str) -> Flags:
    if not question.is_dated:
        return np.ones(len(given), dtype=bool)
    first, last = question.asked_from or date.min, question.asked_until or date.max
    days = given.dt.tz_convert(zone).dt.date
    return days.map(lambda day: first <= day <= last, na_action="ignore").eq(True).to_numpy()


def _answers_to(
    name: str, battery: Battery, text: pa.LargeStringArray, rows: Numbers, codes: dict[str, str]
) -> _Answered:
    """Read every distinct answer once."""
    each = text.dictionary_encode()
    distinct = values.series(each.dictionary)
    reason = _looked_up(distinct, codes)
    given = distinct.where(reason.isna())
    labelled = values.looked_up(given, battery.labels, "float64")
    score, unread = values.numbers(given.where(labelled.isna()))
    reason = reason.mask(unread, UNREADABLE)
    fault = values.repeated("score: not a number", len(distinct)).where(unread)
    # The blank cell comes last.
    at = each.indices.fill_null(len(distinct)).take(pa.array(rows))
    return _Answered(
        name,
        battery,
        rows,
        np.append(score.fillna(labelled), np.nan)[at],
        pa.array([*reason, codes.get("", BLANK)], pa.large_string(), from_pandas=True).take(at),
        pa.array([*fault, None], pa.large_string(), from_pandas=True).take(at),
    )


def _answers(answered: list[_Answered], responses: pd.DataFrame) -> pd.DataFrame:
    """Return the answers of all questions, response by response."""
    named = sorted(answered, key=lambda one: one.name)
    rows = np.concatenate([one.records for one in named])
    order = np.argsort(rows, kind="stable")
    question = np.repeat(np.arange(len(named)), [len(one.records) for one in named])[order]

    def said(texts: Iterable[str]) -> "pd.Series[str]":
        return values.series(pa.array(texts, pa.large_string()).take(pa.array(question)))

    def gathered(parts: list[pa.LargeStringArray]) -> "pd.Series[str]":
        return values.series(pa.concat_arrays(parts).take(pa.array(order)))

    answers = responses[["response_id", "responded_at", "source_row", "updated_at"]].take(rows[order])
    return answers.reset_index(drop=True).assign(
        question=said(one.name for one in named),
        metric=said(one.battery.metric for one in named),
        score=np.concatenate([one.score for one in named])[order],
        scale_low=np.array([one.battery.scale.low for one in named])[question],
        scale_high=np.array([one.battery.scale.high for one in named])[question],
        scale_good=said(one.battery.scale.good for one in named),
        missing_reason=gathered([one.reason for one in named]),
        typing_fault=gathered([one.fault for one in named]),
    )
