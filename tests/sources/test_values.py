"""Values are read exactly or not at all."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cxreport.sources.values import instants, numbers, rows_with, stripped, wholes

FORM = "%Y-%m-%d %H:%M:%S"
FORMS = [FORM, "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"]
ZONES = st.sampled_from(
    ["America/Chicago", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca"]
)
LOCAL = st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 31)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001


def text(*values: str | None) -> "pd.Series[str]":
    return pd.Series(values, dtype="str")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e90, max_value=1e90), min_size=1))
def test_numbers_read_back_exactly(values: list[float]) -> None:
    """What a tool wrote with full precision is the same number again."""
    read, unread = numbers(text(*map(repr, values)))
    assert read.tolist() == values
    assert not unread.any()


@given(st.text(min_size=1))
def test_numbers_never_guess(value: str) -> None:
    """Every text is a number as written, or unreadable; no text raises."""
    read, unread = numbers(text(value))
    assert unread[0] == math.isnan(read[0])
    if not unread[0]:
        assert read[0] == float(value)


@pytest.mark.parametrize("value", ["1,234", "1 234", "nan", "inf", "1_000", "0x10", "٣", "5 stars", "1e999", "--5"])
def test_what_only_looks_like_a_number_is_unreadable(value: str) -> None:
    """Group separators, words and other scripts are reported, not interpreted."""
    assert numbers(text(value))[1][0]


def test_decimal_comma_is_read_only_where_it_is_stated() -> None:
    """With a decimal comma, a point is no decimal mark."""
    read, unread = numbers(text("4,5", "1.234", "7"), decimal=",")
    assert read.tolist()[::2] == [4.5, 7.0]
    assert unread.tolist() == [False, True, False]


@given(st.integers(min_value=-(10**18) + 1, max_value=10**18 - 1))
def test_wholes_keep_every_digit(value: int) -> None:
    """Whole numbers do not pass through floating point."""
    assert wholes(text(str(value)))[0][0] == value


def test_wholes_refuse_fractions_and_blanks_are_not_faults() -> None:
    """`3.0` is reported, a blank is merely missing."""
    read, unread = wholes(text("3.0", None))
    assert read.isna().all()
    assert unread.tolist() == [True, False]


@given(LOCAL, ZONES)
@example(datetime(2026, 3, 8, 2, 30), "America/Chicago")  # noqa: DTZ001 - skipped by the clocks
@example(datetime(2026, 11, 1, 1, 30), "America/Chicago")  # noqa: DTZ001 - passed twice
@example(datetime(2011, 12, 30, 12, 0), "Pacific/Apia")  # noqa: DTZ001 - a whole day that never was
def test_local_times_follow_the_stated_rule(local: datetime, zone: str) -> None:
    """Ambiguous times are the first of the two, skipped ones move forward: the standard library's fold 0."""
    read, unread = instants(text(local.strftime(FORM)), [FORM], zone)
    assert not unread[0]
    assert read[0] == local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


@given(
    st.text(st.sampled_from("0123456789-/: TZnowtdayNA"), min_size=1) | LOCAL.map(str) | LOCAL.map(datetime.isoformat),
    st.sampled_from(FORMS),
)
@example("now", FORM)
@example("today", FORM)
@example("2026-02-31 10:00:00", FORM)
@example("2026-09-01T10:00:00", FORM)
@example("2026-09-01 10:00:00", "%Y-%m-%dT%H:%M:%S")
@example("2026-09-01", FORM)
@example("2026-09-01 10+01:00", FORM)
@example("2026-09-01 24:00", "%Y-%m-%d %H:%M")
@example("2026-09-01 10Z", "%Y-%m-%d %H:%M")
def test_dates_agree_with_strptime(value: str, form: str) -> None:
    """A text is read if and only if the standard library reads it in the same form, and to the same instant."""
    read, unread = instants(text(value), [form], "UTC")
    try:
        expected = datetime.strptime(value, form).replace(tzinfo=UTC)
    except ValueError:
        expected = None
    if expected is None or not 1900 <= expected.year < 2200:
        assert unread[0]
    else:
        assert read[0] == expected


def test_one_wrong_date_leaves_the_others_alone() -> None:
    """A column is read alike, whether all of it can be read at once or not."""
    sound = ["2026-09-01 10:00:00", "2026-11-01 01:30:00"]
    read, unread = instants(text(*sound, "2026-13-01 10:00:00", None), [FORM], "America/Chicago")
    assert read[:2].tolist() == instants(text(*sound), [FORM], "America/Chicago")[0].tolist()
    assert unread.tolist() == [False, False, True, False]


def test_formats_are_tried_in_turn_and_offsets_win() -> None:
    """One column may mix forms; a stated offset overrides the zone."""
    forms = [FORM, "%Y-%m-%dT%H:%M:%S.%f%z"]
    read, unread = instants(
        text("2026-07-01 07:00:00", "2026-07-01T12:00:00.000+0000", "2026-07-01T12:00:00.000Z", "1 July"),
        forms,
        "America/Chicago",
    )
    assert len(set(read[:3])) == 1
    assert unread.tolist() == [False, False, False, True]


@pytest.mark.parametrize("value", ["0001-01-01 00:00:00", "9999-12-31 23:59:59"])
def test_placeholder_dates_are_unreadable(value: str) -> None:
    """Dates no feedback can carry do not reach the tables."""
    assert instants(text(value), [FORM], "Asia/Tokyo")[1][0]


def test_blank_cells_are_null_and_inner_space_stays() -> None:
    """White space around a value is no part of it; a cell of white space is blank."""
    assert stripped([" a  b ", "\u00a0\t", "", None]).tolist()[0] == "a  b"
    assert stripped([" a  b ", "\u00a0\t", "", None]).isna().tolist() == [False, True, True, True]


@given(st.lists(st.none() | st.text(st.sampled_from("a@\uff20\uff21[\u00e9")), max_size=6), st.sampled_from("@\uff20["))
def test_rows_with_a_sign_are_found_in_the_bytes(values: list[str | None], sign: str) -> None:
    """Neither nulls nor characters that share a byte with the sign are taken for it, in a whole column or a part."""
    expected = [value is not None and sign in value for value in values]
    whole = text(*values)
    assert [at in rows_with(whole, sign) for at in range(len(values))] == expected
    assert [at in rows_with(whole[1:], sign) for at in range(len(values[1:]))] == expected[1:]
