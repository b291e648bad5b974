"""Periods are ISO, end-exclusive and in a declared time zone."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.errors import UsageError
from cxreport.periods import Period, kept_by, last_periods, months_before

DAYS = st.dates(date(1990, 1, 1), date(2089, 12, 31))
KINDS = st.sampled_from(["month", "quarter", "week", "year"])


@given(DAYS, KINDS)
def test_id_is_read_back(day, kind):
    """Any period's id parses to the same period."""
    period = Period.containing(day, kind)
    assert Period.parse(period.id) == period


@given(DAYS, KINDS)
def test_period_contains_its_day_and_neighbours_touch(day, kind):
    """A day lies in its period; the previous period ends where this one starts."""
    period = Period.containing(day, kind)
    assert period.start <= day < period.end
    assert period.previous.end == period.start


@given(DAYS, KINDS, st.integers(-30, 30))
def test_shift_is_undone_by_the_opposite_shift(day, kind, steps):
    """Going forth and back ends at the start."""
    period = Period.containing(day, kind)
    assert period.shift(steps).shift(-steps) == period


@given(DAYS, KINDS)
def test_parts_fill_a_period_without_gap(day, kind):
    """Months, or the week, by which a period is kept follow each other from its first day to its last."""
    period = Period.containing(day, kind)
    parts = period.parts
    assert (parts[0].start, parts[-1].end) == (period.start, period.end)
    assert {part.kind for part in parts} == {kept_by(kind)}
    assert all(earlier.end == later.start for earlier, later in pairwise(parts))


@given(DAYS, KINDS)
def test_number_and_year_name_a_period(day, kind):
    """No two periods of a year have one number; a week belongs to the year of its Thursday."""
    period = Period.containing(day, kind)
    assert period.year == (period.start + timedelta(days=3)).year if kind == "week" else period.start.year
    assert (period.shift(1).number == period.number + 1) or period.shift(1).number == 1


@given(DAYS, KINDS, st.integers(0, 40))
def test_last_periods_hold_the_months_and_no_period_more(day, kind, months):
    """The earliest of them begins no later than the months do, the one after it does not reach as far back."""
    period = Period.containing(day, kind)
    found, first = last_periods(period, months), months_before(period.end, months)
    assert found[0] == period
    assert all(later.previous == earlier for later, earlier in pairwise(found))
    assert found[-1].start <= first or months == 0
    assert len(found) == 1 or found[-2].start > first


@given(DAYS, st.integers(0, 40), st.integers(0, 40))
def test_months_before_add_up_on_the_first(day, one, other):
    """From the first of a month, going back twice is going back once."""
    first = day.replace(day=1)
    assert months_before(months_before(first, one), other) == months_before(first, one + other)
    assert months_before(day, 12).month == day.month


@pytest.mark.parametrize(
    ("text", "start", "end", "year_ago"),
    [
        ("2026-09", date(2026, 9, 1), date(2026, 10, 1), "2025-09"),
        ("2026-Q4", date(2026, 10, 1), date(2027, 1, 1), "2025-Q4"),
        ("2026-W01", date(2025, 12, 29), date(2026, 1, 5), "2025-W01"),
        ("2026-W53", date(2026, 12, 28), date(2027, 1, 4), "2026-W01"),
        ("2027-W52", date(2027, 12, 27), date(2028, 1, 3), "2026-W53"),
        ("2026", date(2026, 1, 1), date(2027, 1, 1), "2025"),
    ],
)
def test_bounds_by_hand(text, start, end, year_ago):
    """Each kind starts, ends and looks back as a calendar says."""
    period = Period.parse(text)
    assert (period.start, period.end, period.year_ago.id) == (start, end, year_ago)


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-Q5", "2026-W54", "09-2026", "2026-9", "", "2026-09-01", "last month"]
)
def test_other_texts_are_refused(text):
    """Whatever is no ISO period is a wrong use that shows the accepted forms."""
    with pytest.raises(UsageError, match="expected: an ISO period such as `2026-09`"):
        Period.parse(text)


def test_bounds_follow_the_time_zone_and_its_clock_changes():
    """Chicago's March starts at 06:00 UTC and ends, in summer time, at 05:00 UTC."""
    assert Period.parse("2026-03").bounds("America/Chicago") == (
        datetime(2026, 3, 1, 6, tzinfo=UTC),
        datetime(2026, 4, 1, 5, tzinfo=UTC),
    )


def test_label_is_what_a_reader_says():
    """Labels do not depend on the machine's language."""
    assert [Period.parse(text).label for text in ("2026-09", "2026-Q3", "2026-W37", "2026")] == [
        "September 2026",
        "quarter 3 of 2026",
        "week 37 of 2026",
        "2026",
    ]
