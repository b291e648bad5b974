"""ISO periods: `2026-09`, `2026-Q3`, `2026-W37`, `2026`; end-exclusive, in a declared time zone."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Literal, Self
from zoneinfo import ZoneInfo

from cxreport.errors import UsageError

PeriodKind = Literal["month", "quarter", "week", "year"]
_MONTHS_IN = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, order=True)
class Period:
    """A calendar period.

    `start` is its first day and `end` the first day after it; periods sort by `start`.
    """

    start: date
    kind: PeriodKind

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an ISO period.

        Raises `UsageError` when the text is none or names a month, quarter or week that does not exist.

        >>> Period.parse("2026-09").end
        datetime.date(2026, 10, 1)
        >>> Period.parse("2026-Q3").start
        datetime.date(2026, 7, 1)
        """
        try:
            if match := re.fullmatch(r"(\d{4})-(\d{2})", text):
                return cls(date(int(match[1]), int(match[2]), 1), "month")
            if match := re.fullmatch(r"(\d{4})-Q([1-4])", text):
                return cls(date(int(match[1]), 3 * int(match[2]) - 2, 1), "quarter")
            if match := re.fullmatch(r"(\d{4})-W(\d{2})", text):
                return cls(date.fromisocalendar(int(match[1]), int(match[2]), 1), "week")
            if match := re.fullmatch(r"\d{4}", text):
                return cls(date(int(text), 1, 1), "year")
        except ValueError:
            pass
        raise UsageError(
            found=f"period `{text[:40]}`",
            expected="an ISO period such as `2026-09`, `2026-Q3`, `2026-W37` or `2026`",
            do="write the period in that form",
        )

    @classmethod
    def containing(cls, day: date, kind: PeriodKind) -> Self:
        """Return the period of a kind that holds a day."""
        if kind == "week":
            return cls(day - timedelta(days=day.weekday()), kind)
        months = _MONTHS_IN[kind]
        return cls(date(day.year, (day.month - 1) // months * months + 1, 1), kind)

    @cached_property  # asked for millions of times where issues of several kinds of period are held against each other
    def end(self) -> date:
        """The first day after the period."""
        return self.shift(1).start

    def shift(self, steps: int) -> Self:
        """Return the period so many steps later (earlier when negative)."""
        if self.kind == "week":
            return type(self)(self.start + timedelta(weeks=steps), self.kind)
        months = self.start.year * 12 + self.start.month - 1 + steps * _MONTHS_IN[self.kind]
        return type(self)(date(months // 12, months % 12 + 1, 1), self.kind)

    @property
    def previous(self) -> Self:
        """The period just before."""
        return self.shift(-1)

    @property
    def year_ago(self) -> Self:
        """The same period one year earlier (for weeks: 52 weeks earlier, which keeps the weekdays)."""
        return self.shift({"week": -52, "month": -12, "quarter": -4, "year": -1}[self.kind])

    @property
    def parts(self) -> "list[Period]":
        """The periods by which its rows are checked and kept, in order: a week itself, else its calendar months."""
        if kept_by(self.kind) == self.kind:
            return [self]
        first = Period(self.start, "month")
        return [first.shift(step) for step in range(_MONTHS_IN[self.kind])]

    @property
    def year(self) -> int:
        """The year that it belongs to; an ISO week may begin in the one before."""
        return self.start.isocalendar().year if self.kind == "week" else self.start.year

    @property
    def number(self) -> int:
        """Its place within the year, from 1 on."""
        if self.kind == "week":
            return self.start.isocalendar().week
        return (self.start.month - 1) // _MONTHS_IN[self.kind] + 1

    @property
    def id(self) -> str:
        """The ISO text, which `parse` reads back."""
        forms = {"month": "{:04}-{:02}", "quarter": "{:04}-Q{}", "week": "{:04}-W{:02}", "year": "{:04}"}
        return forms[self.kind].format(self.year, self.number)

    @property
    def label(self) -> str:
        """The period as a reader would say it, e.g. `September 2026`."""
        if self.kind == "month":
            return f"{_MONTH_NAMES[self.number - 1]} {self.year}"
        return self.id if self.kind == "year" else f"{self.kind} {self.number} of {self.year}"

    def bounds(self, time_zone: str) -> tuple[datetime, datetime]:
        """Return the first instant and the first instant after the period, in UTC."""
        zone = ZoneInfo(time_zone)
        first, after = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (self.start, self.end))
        return first, after

    def __str__(self) -> str:
        return self.id


# Not strftime: month names must not follow the machine's locale.
_MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def kept_by(kind: PeriodKind) -> PeriodKind:
    """Return the kind of period by which rows are checked and kept for reports of a kind."""
    return "week" if kind == "week" else "month"


def last_periods(period: Period, months: int) -> list[Period]:
    """Return the periods, latest first, that hold the last so many months; the period alone for none.

    >>> [each.id for each in last_periods(Period.parse("2026-Q3"), 4)]
    ['2026-Q3', '2026-Q2']
    """
    first = months_before(period.end, months)
    found = [period]
    while found[-1].start > first:
        found.append(found[-1].previous)
    return found


def months_before(day: date, months: int) -> date:
    """Return the same day so many months earlier, or the last day of a shorter month.

    >>> months_before(date(2026, 3, 31), 13)
    datetime.date(2025, 2, 28)
    """
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
