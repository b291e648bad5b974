"""First drafts of mappings and datasets, for somebody who knows the survey or tool to correct.

What a column asks is read from its question text, on which scale from the values; nothing of the values is written but
the ends of what was observed. Columns that a tool derived, or that may hold personal data, are left out.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from cxreport.schema import INSTANT, TABLES, TableName
from cxreport.sources import privacy, values
from cxreport.sources.formats.records import Records
from cxreport.sources.mapping import Mapping, Metric

_LONGEST_TITLE = 160
_FEW = 11  # distinct values of a scale: 0 to 10
_STRAY = 0.01  # of the answers; what is given less often does not make a scale
_SAMPLE = 20_000  # records that are looked at
_LONG_TEXT = 40  # characters that the longest of some answers in one's own words have at least

# The first that fits says what a question measures.
_METRICS: tuple[tuple[re.Pattern[str], Metric], ...] = (
    (re.compile(r"recommend", re.IGNORECASE), "nps"),
    (re.compile(r"(?:how much|amount of|personal) effort|effort .*(?:put|have to)", re.IGNORECASE), "ces_v1"),
    (re.compile(r"\beas(?:y|ier|e|ily)\b|effort", re.IGNORECASE), "ces_v2"),
    (re.compile(r"satisf|\bcsat\b", re.IGNORECASE), "csat"),
    (re.compile(r"accomplish|achieve|get what|got what|able to|success|resolved", re.IGNORECASE), "success"),
    (re.compile(r"\bfe(?:el|lt)\b|emotion", re.IGNORECASE), "emotion"),
)
_STATED_SCALE = re.compile(
    r"\b([01])\s*(?:(?:-|\u2013|to|bis|through)\s*|=[^=\d]{1,60})(5|7|10)\b", re.IGNORECASE
)  # "1 to 5", "1 = bad, 5 = good"
_DERIVED = re.compile(
    r"group|segment|promoter|detractor|passive|topic|sentiment|categor|score\s*band|weight", re.IGNORECASE
)
_PERSONAL = re.compile(
    r"e-?mail|phone|mobile|\btel|fax|(?:first|last|full|middle|user|display|nick|contact|agent|author)[ _-]?name|^name$"
    r"|surname|\bip\b|ip[ _-]?addr|address|street|latitude|longitude|\blat\b|\blo?ng\b|postal|postcode|\bzip|birth"
    r"|handle|profile|avatar|\burl\b|user[ _-]?agent|cookie|device|ssn|passport|iban",
    re.IGNORECASE,
)
_NO_QUESTION = re.compile(r"(?:^|[ _-])(?:id|duration|seconds?|minutes?|hours?|progress|count|page)$", re.IGNORECASE)

# Words of a header that speak for a table; the table with most of them is proposed.
_SPEAKS_FOR: dict[TableName, str] = {
    "tickets": r"ticket|case|resol|priority|assignee|requester|first repl",
    "responses": r"respon|survey|answer|submitted|respondent|score|question",
    "invitations": r"invit|sent|bounce|distribution",
    "orders": r"order|amount|currency|total|transaction|invoice",
    "subscriptions": r"subscription|mrr|renewal|plan",
    "events": r"event|session|page|visit",
    "mentions": r"mention|review|rating|network|sentiment|author|post",
    "customers": r"account|customer|contact|company|industry|region",
    "employees": r"employee|department|engagement",
}
_DATES = (
    *("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S UTC"),
    *("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"),
    *("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y"),
    *("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y"),
)


@dataclass(frozen=True)
class _Proposed:
    """A question, as a draft proposes it."""

    column: str
    title: str
    metric: Metric
    low: int
    high: int
    observed: str

    @property
    def battery(self) -> str:
        good = "low" if self.metric == "ces_v1" else "high"
        return f"metric: {self.metric}\n    scale: {{low: {self.low}, high: {self.high}, good: {good}}}"


def draft_mapping(records: Records, standard: Mapping | None, adapter: str) -> str:
    """Return the YAML of a mapping's first draft; with a standard one, only questions and comments are proposed."""
    columns = _nameable(records)
    placed = _placed(standard)
    usable = [column for column in columns if column not in placed and not _is_withheld(records, column)]
    is_survey = standard is not None and "responses" in standard.tables
    table: TableName | None = None if is_survey else _table(columns)
    questions: list[_Proposed] = []
    if is_survey or table == "responses":
        questions = [found for column in usable if (found := _question(records, column))]
    asked = {question.column for question in questions}
    left = [column for column in usable if column not in asked]
    lines = [
        f"# A first draft for the adapter `{adapter}`, made from names, question texts and the form of values.",
        "# Correct it with somebody who knows the survey or tool, then remove the next line.",
        "draft: true",
        "",
    ]
    if is_survey or table == "responses":
        lines += _responses(records, left, is_survey=is_survey)
    elif table is not None:
        lines += _table_lines(records, table, left)
    lines += _batteries(questions)
    written = "\n".join(lines)
    return written + "\n" + "".join(_rest(records, [column for column in left if _quoted(column) not in written]))


def draft_dataset(raw: str, feeds: Iterable[dict[str, str]]) -> str:
    """Return the YAML of a dataset's first draft."""
    lines = [
        "# A first draft: correct it, then remove the next line.",
        "draft: true",
        'title: "Untitled"',
        'population: "customers"  # who is measured, as benchmarks name it',
        'industry: "none"',
        "time_zone: UTC  # of local times that no file and no mapping places, for example America/Chicago",
        f"raw: {_quoted(raw)}",
        "feeds:",
    ]
    for feed in feeds:
        lines += [
            f"  - id: {feed['id']}",
            f"    adapter: {feed['adapter']}",
            f"    files: {_quoted(feed['files'])}",
            *([f"    mapping: {feed['mapping']}"] if "mapping" in feed else []),
            '    owner: "nobody"  # who delivers it',
        ]
    return "\n".join(lines) + "\n"


# --- columns -------------------------------------------------------------------------------------


def _nameable(records: Records) -> list[str]:
    """Return the columns that can be named: those that stand once, and whose name is no value."""
    return [name for name in records.header if name and privacy.is_name(name) and records.header.count(name) == 1]


def _placed(standard: Mapping | None) -> set[str]:
    if standard is None:
        return set()
    origins = [origin for fields in standard.tables.values() for origin in fields.every_origin]
    filters = [column for fields in standard.tables.values() for column in fields.only_if]
    asked = [question.column for battery in standard.batteries for question in battery.questions.values()]
    conditions = [column for battery in standard.batteries for column in battery.asked_when]
    columns = [column for origin in origins for column in origin.columns]
    return {*columns, *filters, *standard.real_answers, *asked, *conditions}


def _is_withheld(records: Records, column: str) -> bool:
    """Whether a column is derived, or may hold personal data by its name or its values."""
    if column in records.derived or _DERIVED.search(column) or _PERSONAL.search(column):
        return True
    short = _values(records, column)
    short = short[short.str.len() < _LONG_TEXT]
    return bool(short.map(privacy.mask_label).ne(short).mean() > 1 / 2) if len(short) else False


def _values(records: Records, column: str) -> "pd.Series[str]":
    return records.text(column).head(_SAMPLE).dropna()


def _title(records: Records, column: str) -> str:
    title = " ".join(privacy.mask(records.titles.get(column, column)).split())
    return title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "\u2026"


# --- questions -----------------------------------------------------------------------------------


def _question(records: Records, column: str) -> _Proposed | None:
    """Propose what a column asks; `None` where its values are no few whole numbers from 0 to 10."""
    title = _title(records, column)
    scores, unread = values.wholes(_values(records, column))
    if scores.empty or unread.any() or _NO_QUESTION.search(column):
        return None
    given = scores.value_counts(normalize=True)
    usual = given.index[given >= _STRAY]
    low, high = int(usual.min()), int(usual.max())
    if low < 0 or high >= _FEW or len(usual) > _FEW:
        return None
    metric: Metric = next((metric for words, metric in _METRICS if words.search(f"{column} {title}")), "item")
    if metric == "nps":
        return _Proposed(column, title, metric, 0, 10, f"{low} to {high}")
    stated = _STATED_SCALE.search(title)
    ends = (int(stated[1]), int(stated[2])) if stated else (min(low, 1), next(end for end in (5, 7, 10) if high <= end))
    return _Proposed(column, title, metric, *ends, f"{low} to {high}")


def _batteries(questions: Iterable[_Proposed]) -> list[str]:
    batteries: dict[str, list[_Proposed]] = {}
    for question in questions:
        batteries.setdefault(question.battery, []).append(question)
    if not batteries:
        return []
    lines = ["", "batteries:"]
    taken: set[str] = set()
    for battery, asked in batteries.items():
        lines += [f"  - {battery}", "    questions:"]
        for question in asked:
            name = _question_id(question, taken)
            taken.add(name)
            asked_as = f"{{column: {_quoted(question.column)}, title: {_quoted(question.title)}}}"
            lines.append(f"      {name}: {asked_as}  # values from {question.observed}")
    return lines


def _question_id(question: _Proposed, taken: set[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", question.column.lower()).strip("_")
    wanted = question.metric if question.metric != "item" and question.metric not in taken else f"q_{slug}".rstrip("_")
    return next(name for name in (wanted, *(f"{wanted}_{n}" for n in range(2, len(taken) + 3))) if name not in taken)


# --- tables --------------------------------------------------------------------------------------


def _table(columns: Iterable[str]) -> TableName | None:
    """Return the table for which most column names speak; `None` where none does."""
    names = [column.replace("_", " ") for column in columns]
    votes = {
        table: sum(bool(re.search(words, name, re.IGNORECASE)) for name in names)
        for table, words in _SPEAKS_FOR.items()
    }
    best = max(votes, key=lambda table: votes[table])
    return best if votes[best] else None


def _responses(records: Records, columns: list[str], *, is_survey: bool) -> list[str]:
    comment = next((column for column in columns if _is_free_text(records, column)), None)
    proposed = [] if is_survey else list(_columns(records, "responses", columns))
    if comment:
        proposed.append(f"      comment: {_quoted(comment)}  # masked before it is stored")
    return ["tables:", "  responses:", "    columns:", *proposed] if proposed else []


def _table_lines(records: Records, table: TableName, columns: list[str]) -> list[str]:
    proposed = list(_columns(records, table, columns))
    return ["tables:", f"  {table}:", "    columns:", *proposed] if proposed else []


def _columns(records: Records, table: TableName, columns: list[str]) -> Iterator[str]:
    """Propose the delivered columns whose names are those of canonical ones, and the first dates for the first date."""
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in columns}
    for name, kind in TABLES[table].columns.items():
        words = {name, name.removesuffix("_at"), f"{table.removesuffix('s')}_{name}"}
        words |= {"id", "number"} if name == TABLES[table].key[0] else set()
        found = next((plain[key] for word in words if (key := word.replace("_", "")) in plain), None)
        if kind == INSTANT:
            dated = [column for column in columns if _formats(records, column)]
            found = found if found in dated else dated[0] if dated and name == TABLES[table].dated_by else None
            if found:
                yield f"      {name}: {{column: {_quoted(found)}, formats: {json.dumps(_formats(records, found))}}}"
        elif found and name not in {"comment", "text"}:
            yield f"      {name}: {_quoted(found)}"


def _formats(records: Records, column: str) -> list[str]:
    """Return the form in which all dates of a column are written, in all orders that fit."""
    text = _values(records, column).head(200)
    if text.empty:
        return []
    return [form for form in _DATES if not values.instants(text, [form], "UTC")[1].any()][:2]


def _is_free_text(records: Records, column: str) -> bool:
    text = _values(records, column)
    return len(text) > 0 and bool(text.str.len().max() >= _LONG_TEXT) and bool(text.str.contains(" ").mean() > 1 / 2)


def _rest(records: Records, columns: list[str]) -> Iterator[str]:
    """List the columns that are not placed, as comments."""
    if columns:
        yield "\n# Not placed:\n"
    for column in columns:
        title = _title(records, column)
        yield f"#   {_quoted(column)}" + (f"  {title}" if title != column else "") + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
