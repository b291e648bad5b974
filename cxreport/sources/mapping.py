"""Mappings: YAML files in `reports/datasets/mappings/` that say which delivered column is which canonical one.

`Mapping` serves every adapter; `FileMapping` is for the adapter `mapped`, which knows nothing else.
"""
# ruff: noqa: RUF012 - pydantic copies a default for every instance

import codecs
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import pyarrow as pa
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from cxreport.config import Definition, Scale
from cxreport.errors import listed, nearest
from cxreport.schema import INSTANT, NUMBER, TABLES, TEXT, TableName
from cxreport.sources.formats.files import UTF_8
from cxreport.sources.values import UNIX, Unit

Metric = Literal["nps", "csat", "ces_v1", "ces_v2", "success", "effort", "emotion", "item"]

BLANK, UNREADABLE = "blank", "unreadable"  # reasons for a missing score
_TRACE = ("source", "source_row", "updated_at", "typing_fault")
_PLACEHOLDER = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")
_PADDING = re.compile(r"(?:.?[<>^])?\d*")
_A_DAY = datetime(2026, 9, 23, 14, 5, 6, tzinfo=UTC)


# --- values as YAML gives them -------------------------------------------------------------------


def _code(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("YAML reads this word as true or false; put it in quotes")  # noqa: TRY004 - pydantic's way
    return str(value) if isinstance(value, int) else value


def known_zone(name: str) -> str:
    """Return an IANA time zone's name; raises `ValueError` for an unknown one."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"`{name}` is no IANA time zone") from None
    return name


def _whole_date(form: str) -> str:
    if form in UNIX:
        return form
    try:
        survives = datetime.strptime(_A_DAY.strftime(form), form).date() == _A_DAY.date()  # noqa: DTZ007 - a date
    except ValueError:
        survives = False
    if not survives:
        raise ValueError(f"`{form}` does not state a year, month and day in `strptime` directives")
    return form


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"`{name}` is no encoding that Python knows") from None
    return name


Code = Annotated[str, BeforeValidator(_code)]
Zone = Annotated[str, AfterValidator(known_zone)]
DateFormat = Annotated[str, AfterValidator(_whole_date)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]


# --- one canonical column ------------------------------------------------------------------------


class Origin(Definition):
    """Where a canonical column comes from: a `column`, a `constant` or a `template`; a bare name means `column`.

    - `template`: text with columns in braces, padded as in `2017-05-{INTDATE:0>2}`; null when one of them is blank
    - `labels`: delivered code to stored value; a code without a label is a typing fault
    - `missing`: codes that mean that there is no value
    - `formats`: `strptime` formats of an instant, tried in turn, or `unix`, `unix_ms`, `unix_us` for seconds,
      thousandths and millionths since 1970; `time_zone` for local times of this column alone
    - `decimal`: the decimal mark of a number, `grouping` the mark between its thousands, `percent` for `6.5%` as 0.065
    - `unit`: of a duration in the file; it is stored in minutes
    - `keep`: `hash` stores a keyed hash instead of the value, `email` one of the normalised address
    - `optional`: the column may be absent from a file and is then null
    """

    column: str | None = None
    constant: Code | None = None
    template: str | None = None
    labels: dict[Code, Code] = {}
    missing: list[Code] = []
    formats: list[DateFormat] = []
    time_zone: Zone | None = None
    decimal: Literal[".", ","] = "."
    grouping: Literal[",", ".", " ", "'"] | None = None
    percent: bool = False
    unit: Unit = "minutes"
    keep: Literal["email", "hash"] | None = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _bare_name_is_a_column(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(part is not None for part in (self.column, self.constant, self.template)) != 1:
            raise ValueError("give exactly one of `column`, `constant` and `template`")
        if self.template is not None:
            if not self.placeholders:
                raise ValueError("`template` names no column in braces; use `constant` for a fixed text")
            if wrong := [padding for _, padding in self.placeholders if not _PADDING.fullmatch(padding)]:
                raise ValueError(f"`template` pads with {listed(wrong)}; write for example `0>2`")
        if self.grouping == self.decimal:
            raise ValueError("`grouping` and `decimal` are the same mark")
        return self

    @property
    def placeholders(self) -> list[tuple[str, str]]:
        """Column and padding of every pair of braces in the template."""
        return [(match[1], match[2] or "") for match in _PLACEHOLDER.finditer(self.template or "")]

    @property
    def columns(self) -> tuple[str, ...]:
        """The delivered columns it needs."""
        return (self.column,) if self.column is not None else tuple(column for column, _ in self.placeholders)

    def fill(self, values: tuple[str, ...]) -> str:
        """Return the template with the columns' values, given in the order of `placeholders`."""
        padded = iter(format(value, padding) for value, (_, padding) in zip(values, self.placeholders, strict=True))
        return _PLACEHOLDER.sub(lambda _: next(padded), self.template or "")


class Fields(Definition):
    """One canonical table: its columns, and segment columns that follow them as text.

    - `only_if`: delivered column to the values with which a record is a row of this table, any value when none is
      listed; other records are no rows of it, and are counted
    - `updated`: when the record was last changed; of several deliveries of one key the newest is the one that counts
    - `keys`: further keys of a customer, such as `email`, by which other sources' rows find it; for `customers` only.
      Records of which no more than keys and the `customer_id` are placed are no rows of `customers`
    - `names`: columns with the parts of a customer's name in their order, which are masked in comments and not stored;
      for `customers` only
    """

    columns: dict[str, Origin] = {}
    segments: dict[str, Origin] = {}
    only_if: dict[str, list[Code]] = {}
    updated: Origin | None = None
    keys: dict[str, Origin] = {}
    names: list[str] = []

    @property
    def origins(self) -> dict[str, Origin]:
        """The origins of everything that is stored."""
        return self.columns | self.segments

    @property
    def every_origin(self) -> list[Origin]:
        """All origins, those of what is used and not stored included."""
        return [*self.origins.values(), *self.keys.values(), *([self.updated] if self.updated else [])]

    @property
    def only_identifies(self) -> bool:
        """Whether a record says no more of a customer than by which keys and names it is known."""
        return self.origins.keys() == {"customer_id"} and bool(self.keys or self.names)

    def over(self, standard: Self) -> Self:
        """Return a tool's standard fields with these put over them."""
        return type(self)(
            columns=standard.columns | self.columns,
            segments=standard.segments | self.segments,
            only_if=standard.only_if | self.only_if,
            updated=self.updated or standard.updated,
            keys=standard.keys | self.keys,
            names=self.names or standard.names,
        )


# --- questions -----------------------------------------------------------------------------------


class Question(Definition):
    """One question: the column that holds its answers, and how a report calls it.

    `missing` maps a code to the reason why there is no score (the code `""` is the empty cell). `asked_from` and
    `asked_until` are the first and last day, in the feed's zone, on which answers came in while it was asked.
    """

    column: str
    title: str
    missing: dict[Code, str] = {}
    asked_from: date | None = None
    asked_until: date | None = None

    @property
    def is_dated(self) -> bool:
        return self.asked_from is not None or self.asked_until is not None


class Battery(Definition):
    """Questions with one metric and one scale.

    `labels` maps worded answers to scores. `asked_when` maps a delivered column to the values under which the
    questions were asked; a question that was not asked, and not answered all the same, leaves no row.
    """

    metric: Metric
    scale: Scale
    labels: dict[Code, float] = {}
    missing: dict[Code, str] = {}
    asked_when: dict[str, list[Code]] = {}
    questions: dict[str, Question] = Field(min_length=1)


class RealValues(Definition):
    """Which values of a column mark real answers, and what the other ones mean, for example `preview`."""

    real: list[Code] = Field(min_length=1)
    others: dict[Code, str] = {}


# --- whole mappings ------------------------------------------------------------------------------


class FileForm(Definition):
    """How to open a file: `encoding` and `delimiter` for text, `sheet` for a workbook (the first when absent).

    `format` is the adapter's to know, or told by the file's content, where it is absent. `skip` counts the lines, or
    rows of a sheet, above the header. `query` is SQL over the file, which it calls `delivered`.
    """

    format: Literal["csv", "tsv", "workbook", "parquet", "json", "spss", "sql"] | None = None
    encoding: Encoding = UTF_8
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    sheet: str | None = None
    skip: int = Field(default=0, ge=0)
    query: str | None = None


class Mapping(Definition):
    """What a feed's columns mean.

    - `draft`: written by `cxreport ingest` and not yet reviewed; a feed with such a mapping is not read
    - `file`: how to open the file, where the adapter cannot know
    - `time_zone`: zone of local times when the file states none; the dataset's zone when absent
    - `tables`: canonical table to its fields; `answers` come from `questions`
    - `missing`: codes of all questions, each with its reason; a battery's and a question's own go first
    - `real_answers`: columns that tell real answers from previews, tests and unfinished ones, which are kept but marked
    """

    draft: bool = False
    file: FileForm = FileForm()
    time_zone: Zone | None = None
    tables: dict[TableName, Fields] = {}
    missing: dict[Code, str] = {}
    batteries: list[Battery] = []
    real_answers: dict[str, RealValues] = {}

    @model_validator(mode="after")
    def _fits_the_canonical_tables(self) -> Self:
        problems = [problem for name, fields in self.tables.items() for problem in _misfits(name, fields)]
        if "answers" in self.tables:
            problems.append("`answers` is made from `batteries`, remove it from `tables`")
        ids = [question for battery in self.batteries for question in battery.questions]
        problems += [f"question `{name}` stands twice" for name in dict.fromkeys(ids) if ids.count(name) > 1]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def titles(self) -> dict[str, str]:
        """Question id to its title, in the order of the file."""
        return {name: question.title for battery in self.batteries for name, question in battery.questions.items()}


class SurveyMapping(Mapping):
    """A mapping of a survey tool: it must place `responses`."""

    @model_validator(mode="after")
    def _places_responses(self) -> Self:
        _raise_incomplete(self, ["responses"])
        return self


class FileMapping(Mapping):
    """A mapping of any file, for the adapter `mapped`."""

    @model_validator(mode="after")
    def _places_its_tables(self) -> Self:
        if not self.tables:
            raise ValueError("`tables` names no canonical table")
        _raise_incomplete(self, ["responses"] if self.batteries or self.real_answers else [])
        return self


def _raise_incomplete(mapping: Mapping, wanted: Iterable[TableName]) -> None:
    problems = [f"`tables` lacks `{name}`" for name in wanted if name not in mapping.tables]
    for name, fields in mapping.tables.items():
        table = TABLES[name]
        needed = [*table.key, *([table.dated_by] if table.dated_by else [])]
        problems += [f"`{name}` lacks the column `{column}`" for column in needed if column not in fields.columns]
    if problems:
        raise ValueError("; ".join(problems))


def _misfits(name: TableName, fields: Fields) -> Iterable[str]:
    known = {column: kind for column, kind in TABLES[name].columns.items() if column not in _TRACE}
    for column, origin in fields.columns.items():
        if column not in known:
            yield f"`{name}` has no column `{column}`{nearest(column, known)}"
        else:
            yield from _mistyped(name, column, origin, known[column])
    if (fields.keys or fields.names) and name != "customers":
        yield f"`keys` and `names` are for `customers`, not for `{name}`"
    yield from (f"`keys` of `{name}`: `{key}` needs `keep`" for key, origin in fields.keys.items() if not origin.keep)
    if fields.updated and not fields.updated.formats:
        yield f'`updated` of `{name}` is a date: give `formats`, for example ["%Y-%m-%d"]'
    if fields.segments and not TABLES[name].segmented:
        yield f"`{name}` carries no segment columns"
    for column in fields.segments:
        if column in TABLES[name].columns:
            yield f"`{column}` is a column of `{name}` already, move it from `segments` to `columns`"


def _mistyped(name: TableName, column: str, origin: Origin, kind: pa.DataType) -> Iterable[str]:
    if kind == INSTANT and not origin.formats:
        yield f'`{name}.{column}` is a date: give `formats`, for example ["%Y-%m-%d"]'
    if kind != INSTANT and (origin.formats or origin.time_zone):
        yield f"`{name}.{column}` is no date, remove `formats` and `time_zone`"
    if kind != NUMBER and (origin.grouping or origin.percent):
        yield f"`{name}.{column}` is no number with decimals, remove `grouping` and `percent`"
    if origin.unit != "minutes" and not column.endswith("_minutes"):
        yield f"`{name}.{column}` is no duration, remove `unit`"
    if origin.keep and kind != TEXT:
        yield f"`{name}.{column}` is no text, remove `keep`"
