"""Rows of canonical tables: which month or week they belong to, and the helper columns that rules look at.

Some rules need what no single cell holds. These columns exist only while the suites run:

- `check_repeat`, all tables: 1 for the delivery of a key that counts, 2 for the next, and so on; empty without a key
- `check_delivered_again`, all tables: 1 for a copy of a row with the same content, else 0
- `check_superseded`, all tables: 1 for a copy of a row that a newer delivery changed, else 0
- `check_customers`, all tables with `customer_id`: 1 when `customers` accepted that customer, else 0; empty without one
- `check_cells_unread`, responses: 1 when a cell could not be read, else 0
- `check_not_real`, responses: 1 for a preview, a test or an unfinished survey, else 0
- `check_days_to_answer`, responses: days from invitation to answer
- `check_responses`, answers and invitations: 1 when the named response was delivered, else 0; empty when none is named
- `check_responses_accepted`, answers: 1 when the response was accepted, else 0; empty when none was delivered
- `check_score_fraction`, answers and employees: what the score has beyond a whole number
- `check_score_or_reason`, answers and employees: how many of score and missing reason are filled in
- `check_sale_amount`, orders: the amount of an order that is no refund
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.periods import Period
from cxreport.schema import REJECTED, TABLES, TEXT, TableName
from cxreport.sources.identity import DELIVERED_AGAIN, SUPERSEDED, is_copy
from cxreport.validate.suites import EARLIEST, Positions, Rule, Suites
from cxreport.validate.waivers import Waivers

Flags = npt.NDArray[np.bool_]
_DAY = 86_400  # seconds
_FIRST_MONDAY = pd.Timestamp("1999-12-27")  # before any possible date
# `typing_fault` joins what was found by "; ".
_NOT_REAL = r"(?:^|; )not a real answer"
_UNREAD = r"(?:^|; )(?!not a real answer)."


def number_of(period: Period) -> int:
    """Return the number of a month, `12 * year + month - 1`, or of a week, counted from year 1."""
    if period.kind == "week":
        return (period.start.toordinal() - 1) // 7
    return period.start.year * 12 + period.start.month - 1


@dataclass(frozen=True)
class Calendar:
    """Places instants in calendar months of the dataset's zone, or in weeks, seen from the reported one.

    Whatever follows says *month* and works alike on the weeks of a weekly report: rows are split by them, and each is
    compared with those before it. They are numbered, which is faster than text over many rows.
    """

    time_zone: str
    period: Period  # the reported month or week
    as_of: date

    @property
    def reported(self) -> int:
        """The number of the reported month."""
        return number_of(self.period)

    @property
    def in_a_year(self) -> int:
        """How many months there are in a year."""
        return 52 if self.period.kind == "week" else 12

    @property
    def as_of_end(self) -> datetime:
        """The first instant after the day of the export, in UTC."""
        day_after = self.as_of + timedelta(days=1)
        return datetime.combine(day_after, time(), ZoneInfo(self.time_zone)).astimezone(UTC)

    def is_dated(self, instants: pd.Series) -> pd.Series:
        """Return which instants are there and possible: not before 2000, and not after the day of the export."""
        return instants.lt(self.as_of_end) & instants.ge(EARLIEST)

    def months(self, instants: pd.Series) -> pd.Series:
        """Return month numbers; rows whose date is missing or impossible count to the reported month."""
        if self.period.kind != "week":
            numbers = self.calendar_months(instants)
        else:
            local = instants.dt.tz_convert(self.time_zone).dt.tz_localize(None)
            numbers = (local.sub(_FIRST_MONDAY).dt.days // 7).add(number_of(Period(_FIRST_MONDAY.date(), "week")))
        return numbers.where(self.is_dated(instants), self.reported).astype("int64")

    def calendar_months(self, instants: pd.Series) -> pd.Series:
        """Return the numbers of calendar months, of weekly reports too."""
        local = instants.dt.tz_convert(self.time_zone).dt
        numbers: pd.Series = local.year * 12 + local.month - 1
        return numbers

    def days(self, instants: pd.Series) -> pd.Series:
        """Return days of the month."""
        days: pd.Series = instants.dt.tz_convert(self.time_zone).dt.day
        return days

    def month(self, number: int) -> Period:
        """Return the period of a month number."""
        if self.period.kind == "week":
            return Period(date.fromordinal(7 * number + 1), "week")
        return Period(date(number // 12, number % 12 + 1, 1), "month")


@dataclass(frozen=True)
class Judged:
    """The rows of a table up to the reported month, in delivered order, and what each rule says of them.

    `broken`, `checked` and `excused` have one line per rule and one column per row; `months` holds month numbers. A row
    is excused where a waiver makes a rule one that is only listed. Of the rows `left_out` because they are of later
    months, `later` has the ids.
    """

    table: TableName
    frame: pd.DataFrame
    months: npt.NDArray[np.int64]
    rules: list[Rule]
    broken: Flags
    checked: Flags
    excused: Flags
    left_out: int
    later: pd.Series = field(default_factory=lambda: pd.Series(dtype=object))

    @property
    def rejecting(self) -> list[int]:
        """Positions of the rules that reject rows."""
        return [position for position, rule in enumerate(self.rules) if rule.rejects]

    @cached_property
    def rejected(self) -> Flags:
        """Which rows are rejected."""
        return np.asarray(self.refusing[self.rejecting].any(axis=0), dtype=np.bool_)

    @cached_property
    def refusing(self) -> Flags:
        """What `broken` says, without the excused rows."""
        return np.asarray(self.broken & ~self.excused, dtype=np.bool_)

    @cached_property
    def set_aside(self) -> Flags:
        """Which rows are copies that do not count, and are judged by no other rule."""
        return np.asarray(self.broken[[rule.sets_aside for rule in self.rules]].any(axis=0), dtype=np.bool_)

    @cached_property
    def feeds(self) -> "pd.Categorical[str]":
        """The feed that delivered each row: `source` is feed/file."""
        codes, sources = pd.factorize(self.frame["source"])
        feeds = pd.Categorical([str(source).partition("/")[0] for source in sources])
        return feeds.take(codes)

    @cached_property
    def _by_month(self) -> dict[int, Positions]:
        order = np.argsort(self.months, kind="stable")
        numbers, firsts = np.unique(self.months[order], return_index=True)
        parts = np.split(order, firsts[1:])
        return dict(zip(numbers.tolist(), parts, strict=False))  # without rows there is one part, and no month

    def of_month(self, number: int) -> Positions:
        """Return the positions of a month's rows, in delivered order."""
        return self._by_month.get(number, np.array([], dtype=np.int64))

    def accepted(self, rows: Positions) -> Positions:
        """Return those of the rows that are accepted."""
        return rows[~self.rejected[rows]]

    @cached_property
    def stored(self) -> pa.Table:
        """The rows as they are stored when they are accepted, without their period."""
        schema = TABLES[self.table].schema(tuple(self.frame.columns))
        return pa.Table.from_pandas(self.frame, schema=schema, preserve_index=False).combine_chunks()

    def rejections(self, rows: Positions) -> pa.Table:
        """Return those of the rows that are rejected, as `schema.REJECTED`: no cell but key and place is kept."""
        refused = rows[self.rejected[rows]]
        breaks = self.refusing[np.array(self.rejecting)[:, None], refused]
        # Few combinations of rules are broken by many rows.
        combinations, which = np.unique(breaks, axis=1, return_inverse=True)
        rules = [self.rules[position] for position in self.rejecting]
        named = [
            [rule for rule, is_broken in zip(rules, broken, strict=True) if is_broken] for broken in combinations.T
        ]
        said = {
            "rule": [first.id for first, *_ in named],
            "severity": [first.severity for first, *_ in named],
            "other_rules": ["; ".join(rule.id for rule in others) for _, *others in named],
        }
        stored = self.stored.select([*TABLES[self.table].key, "source", "source_row"]).take(refused)
        columns = {
            "row_key": _keys(stored.select(TABLES[self.table].key)),
            "source": stored["source"],
            "source_row": stored["source_row"],
            **{name: pa.array(texts, TEXT).take(which.ravel()) for name, texts in said.items()},
        }
        return pa.table(columns, REJECTED)


def judge(
    table: TableName,
    staged: Mapping[TableName, pd.DataFrame],
    earlier: Mapping[TableName, Judged],
    calendar: Calendar,
    suites: Suites,
    *,
    waivers: Waivers,
) -> Judged:
    """Run a table's suites once over its rows of all months up to the reported one.

    `earlier` holds the tables judged before: customers before all others, responses before answers.
    """
    frame, dated_by = staged[table], TABLES[table].dated_by
    frame = frame.sort_values(["source", "source_row"], kind="stable", ignore_index=True)
    months = calendar.months(frame[dated_by]) if dated_by else pd.Series(calendar.reported, index=frame.index)
    within = months <= calendar.reported
    later = frame.loc[~within, TABLES[table].key[0]]
    if not within.all():
        frame, months = frame[within].reset_index(drop=True), months[within]
    rules = suites.of_table(table)
    with_checks = frame.assign(**_checks(table, frame, staged, earlier))
    findings = suites.run(rules, with_checks, calendar.as_of_end, table)
    broken = np.zeros((len(rules), len(frame)), dtype=np.bool_)
    for position, found in enumerate(findings):
        broken[position, found] = True
    checked = np.array([rule.checked(with_checks) for rule in rules], dtype=np.bool_)
    others = [not rule.sets_aside for rule in rules]
    judged = ~broken[[rule.sets_aside for rule in rules]].any(axis=0)
    broken[others] &= judged
    checked[others] &= judged
    return Judged(
        table=table,
        frame=frame,
        months=np.asarray(months, dtype=np.int64),
        rules=rules,
        broken=broken,
        checked=checked,
        excused=_excused(table, rules, months, calendar, waivers=waivers),
        left_out=len(later),
        later=later,
    )


def _excused(table: TableName, rules: list[Rule], months: pd.Series, calendar: Calendar, *, waivers: Waivers) -> Flags:
    excused = np.zeros((len(rules), len(months)), dtype=np.bool_)
    for position, rule in enumerate(rules):
        for waiver in waivers.every:
            period = Period.parse(waiver.period)
            applies = period.kind == calendar.period.kind and waivers.waiver(rule.id, period, table=table) is waiver
            if applies and waiver.applied_to(rule).severity == "info":
                excused[position] |= months.eq(number_of(period)).to_numpy()
    return excused


def _checks(
    table: TableName,
    frame: pd.DataFrame,
    staged: Mapping[TableName, pd.DataFrame],
    earlier: Mapping[TableName, Judged],
) -> dict[str, pd.Series]:
    """Return the helper columns of a table; the module's docstring says what each holds."""
    checks = {
        "check_repeat": _repeats(frame, list(TABLES[table].key)),
        "check_delivered_again": frame["typing_fault"].eq(DELIVERED_AGAIN).astype("int64"),
        "check_superseded": frame["typing_fault"].eq(SUPERSEDED).astype("int64"),
    }
    if "customer_id" in frame and table != "customers":
        checks["check_customers"] = known_customers(frame["customer_id"], earlier.get("customers"))
    if table == "responses":
        checks["check_cells_unread"] = _saying(frame["typing_fault"], _UNREAD)
        checks["check_not_real"] = _saying(frame["typing_fault"], _NOT_REAL)
        checks["check_days_to_answer"] = (frame["responded_at"] - frame["invited_at"]).dt.total_seconds() / _DAY
    if table in {"answers", "invitations"}:
        checks["check_responses"] = _counted_in(frame["response_id"], staged["responses"]["response_id"])
    if table == "answers":
        checks["check_responses_accepted"] = _responses_accepted(frame, earlier["responses"]).where(
            checks["check_responses"] > 0
        )
    if table in {"answers", "employees"}:
        checks["check_score_fraction"] = frame["score"] % 1
        checks["check_score_or_reason"] = frame[["score", "missing_reason"]].notna().sum(axis=1)
    if table == "orders":
        checks["check_sale_amount"] = frame["amount"].mask(frame["kind"] == "refund")
    return checks


def _saying(faults: pd.Series, pattern: str) -> pd.Series:
    """Return 1 where a fault says so, else 0. Few faults are told of many rows."""
    codes, texts = pd.factorize(faults)
    matches = np.array([re.search(pattern, text) is not None for text in texts], dtype=np.int64)
    return pd.Series(np.append(matches, 0)[codes], index=faults.index)  # an empty one, coded -1, says nothing


def _repeats(frame: pd.DataFrame, key: list[str]) -> pd.Series:
    complete, again = frame[key].notna().all(axis=1), frame.duplicated(key, keep=False)
    deliveries = pd.Series(1.0, index=frame.index)
    several = frame.loc[again, [*key, "typing_fault"]]
    counting_first = several.loc[is_copy(several["typing_fault"]).sort_values(kind="stable").index]
    deliveries.update(counting_first.groupby(key, sort=False, dropna=False).cumcount() + 1.0)
    return deliveries.where(complete)


def known_customers(ids: pd.Series, customers: Judged | None) -> pd.Series:
    """Return 1 where a customer's id is in the accepted `customers`, else 0; empty without an id or a list."""
    if customers is None:  # the dataset has no list of customers
        return pd.Series(np.nan, index=ids.index)
    return _counted_in(ids, customers.frame.loc[~customers.rejected, "customer_id"])


def _counted_in(ids: pd.Series, known: pd.Series) -> pd.Series:
    return is_in(ids, known).astype("float64").where(ids.notna())


def is_in(ids: pd.Series, known: pd.Series) -> pd.Series:
    """Return which ids are known; nothing is known of an empty one."""
    # pandas would compare Arrow-backed text value by value in Python.
    found = pc.is_in(pa.array(ids, TEXT), value_set=pa.array(known.dropna(), TEXT))
    return pd.Series(np.asarray(found), index=ids.index)


def _responses_accepted(answers: pd.DataFrame, responses: Judged) -> pd.Series:
    """Return 1 where the answer's response is accepted.

    A response delivered twice has one id and two rows: answers of the rejected second row, known by their place in the
    delivered file, go with it.
    """
    accepted = is_in(answers["response_id"], responses.frame.loc[~responses.rejected, "response_id"])
    sources = pa.array(responses.frame["source"].unique(), TEXT)
    rejected = _lines(responses.frame[["source", "source_row"]][responses.rejected], sources)
    with_rejected = pc.is_in(_lines(answers, sources), value_set=rejected)
    return (accepted & ~np.asarray(with_rejected)).astype("float64")


def _lines(rows: pd.DataFrame, sources: pa.Array) -> pa.Array:
    """Return a number for each line of the sources, and null in other files."""
    source = pc.index_in(pa.array(rows["source"], TEXT), value_set=sources)
    return pc.add(pc.multiply(pa.array(rows["source_row"]), len(sources)), source)


def _keys(keys: pa.Table) -> pa.ChunkedArray:
    parts = [keys[name].fill_null("") for name in keys.column_names]
    # Some tools use the e-mail address as the customer's key.
    shown = [pc.if_else(pc.match_substring(part, "@"), "[e-mail]", part) for part in parts]
    return pc.binary_join_element_wise(*shown, "|")
