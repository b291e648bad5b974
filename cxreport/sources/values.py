"""Turn delivered text into typed values. Nothing is coerced: what cannot be read becomes null and is reported.

Every parser takes a column of stripped text with nulls for blanks, and returns the values and a mask of the
rows that hold text it could not read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# Bounded, so that what matches also fits into 64 bits.
_NUMBER = r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE](?:[+]?[0-9]{1,2}|-[0-9]{1,3}))?"
_WHOLE = r"-?[0-9]{1,18}"

# Forms of local times that Arrow reads: their length, and the mark that it would take in the place of the stated one.
_ISO = {
    "%Y-%m-%d": (10, "T"),
    "%Y-%m-%d %H:%M": (16, "T"),
    "%Y-%m-%d %H:%M:%S": (19, "T"),
    "%Y-%m-%dT%H:%M:%S": (19, " "),
}

Unit = Literal["milliseconds", "seconds", "minutes", "hours", "days"]
Instants = npt.NDArray[np.datetime64]  # in microseconds
UNIX = {"unix": "s", "unix_ms": "ms", "unix_us": "us"}  # format of an instant to the unit since 1970
_PER_MINUTE: dict[Unit, float] = {
    "milliseconds": 60_000,
    "seconds": 60,
    "minutes": 1,
    "hours": 1 / 60,
    "days": 1 / 1_440,
}

_TEXT = pd.StringDtype(na_value=np.nan)

# Placeholders such as 0001-01-01 or 9999-12-31 are no dates of anything that happened.
_EARLIEST, _LATEST = np.datetime64("1900-01-01", "us"), np.datetime64("2200-01-01", "us")


def series(values: pa.Array | pa.ChunkedArray, index: pd.Index | None = None) -> "pd.Series[str]":
    """Return text from Arrow as pandas holds it."""
    return pd.Series(pd.array(values, dtype=_TEXT), index=index, copy=False)


def repeated(text: str | None, rows: int) -> "pd.Series[str]":
    """Return a column that says the same in every row.

    >>> repeated("a", 2).tolist()
    ['a', 'a']
    """
    return series(pa.repeat(pa.scalar(text, pa.large_string()), rows))


def contiguous(text: "pd.Series[str] | Sequence[str | None]") -> pa.LargeStringArray:
    """Return text as one piece of Arrow."""
    array = pa.array(text, pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def mapped(text: "pd.Series[str]", work: "Callable[[pd.Series[str]], pd.Series[str]]") -> "pd.Series[str]":
    """Do work on every distinct text of a column, where texts repeat a lot; nulls stay null.

    >>> mapped(pd.Series(["a", None, "a"]), lambda texts: texts.str.upper()).tolist()
    ['A', nan, 'A']
    """
    each = contiguous(text).dictionary_encode()
    distinct = series(each.dictionary)
    worked = work(distinct)
    return (
        text
        if worked is distinct or worked.equals(distinct)
        else series(contiguous(worked).take(each.indices), text.index)
    )


def rows_with(text: "pd.Series[str]", sign: str) -> npt.NDArray[np.int64]:
    """Return which rows hold a sign, found in all bytes at once.

    >>> rows_with(pd.Series(["a", "[b]", None, "c["], dtype="str"), "[").tolist()
    [1, 3]
    """
    array = contiguous(text)
    if not len(array):
        return np.array([], dtype=np.int64)
    first, *others = sign.encode()
    content = np.frombuffer(array.buffers()[2] or b"", dtype=np.uint8)
    starts = np.flatnonzero(content == first)
    for at, byte in enumerate(others, start=1):
        starts = starts[content[starts + at] == byte]
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    within = starts[(starts >= offsets[0]) & (starts < offsets[-1])]
    return np.unique(np.searchsorted(offsets, within, side="right") - 1)


def stripped(cells: Sequence[str | None]) -> "pd.Series[str]":
    """Return cells as text without outer white space; blank cells become null."""
    text = pc.utf8_trim_whitespace(contiguous(cells))
    is_blank = pc.equal(pc.binary_length(text), 0)
    return series(pc.if_else(is_blank, None, text) if pc.any(is_blank).as_py() else text)


def looked_up(
    codes: "pd.Series[str]", meanings: Mapping[str, object], dtype: Literal["str", "float64"]
) -> "pd.Series[Any]":
    """Return the meaning of each code; null where it has none.

    >>> looked_up(pd.Series(["1", "x"]), {"1": 5.0}, "float64").tolist()
    [5.0, nan]
    """
    found = pc.index_in(contiguous(codes), pa.array(list(meanings), pa.large_string()))
    kind = pa.large_string() if dtype == "str" else pa.float64()
    meant = pa.array(list(meanings.values()), kind).take(found)
    return series(meant, codes.index) if dtype == "str" else pd.Series(_plain(meant), index=codes.index, copy=False)


def _plain(numbers: pa.Array) -> npt.NDArray[np.float64]:
    """Return numbers with NaN for nulls."""
    plain: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)
    return plain


def numbers(
    text: "pd.Series[str]", decimal: str = ".", grouping: str | None = None, *, percent: bool = False
) -> "tuple[pd.Series[float], pd.Series[bool]]":
    """Read decimal numbers; `grouping` marks are accepted only when they are stated and stand between thousands.

    With `percent` a number is read with its sign, `6.5%` as 0.065; without it such a number is not read.

    >>> numbers(pd.Series(["4.5", "four"]))[0].tolist()
    [4.5, nan]
    >>> numbers(pd.Series(["1.234,5", "12.34", "1234,5"]), ",", ".")[0].tolist()
    [1234.5, nan, 1234.5]
    >>> numbers(pd.Series(["6.5%", "0.065"]), percent=True)[0].tolist()
    [0.065, nan]
    """
    each = contiguous(text).dictionary_encode()
    found = each.dictionary
    if percent:
        is_share = pc.ends_with(found, "%")
        found = pc.if_else(is_share, pc.utf8_rtrim_whitespace(pc.utf8_slice_codeunits(found, 0, -1)), None)
    if grouping is not None:
        mark, point = re.escape(grouping), re.escape(decimal)
        is_grouped = pc.match_substring_regex(found, rf"^-?[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?:{point}[0-9]+)?$")
        found = pc.if_else(is_grouped, pc.replace_substring(found, grouping, ""), found)
    if decimal != ".":
        # A point would otherwise survive as a decimal mark where it separates thousands.
        found = pc.replace_substring(pc.replace_substring(found, ".", "?"), decimal, ".")
    read = _plain(_cast(found, _NUMBER, pa.float64()).take(each.indices))
    values = pd.Series(read / 100 if percent else read, index=text.index, copy=False)
    return values, text.notna() & values.isna()


def minutes(durations: "pd.Series[float]", unit: Unit) -> "pd.Series[float]":
    """Return durations of a unit in minutes.

    >>> minutes(pd.Series([90.0]), "seconds").tolist()
    [1.5]
    """
    return durations / _PER_MINUTE[unit]


def wholes(text: "pd.Series[str]") -> "tuple[pd.Series[int], pd.Series[bool]]":
    """Read whole numbers of up to 18 digits, as nullable integers.

    >>> wholes(pd.Series(["4", "4.0"]))[0].tolist()
    [4, <NA>]
    """
    each = contiguous(text).dictionary_encode()
    read = _cast(each.dictionary, _WHOLE, pa.int64()).take(each.indices)
    values = pd.Series(pd.array(read, dtype="Int64"), index=text.index)
    return values, text.notna() & values.isna()


def instants(
    text: "pd.Series[str]", formats: Sequence[str], time_zone: str
) -> "tuple[pd.Series[pd.Timestamp], pd.Series[bool]]":
    """Read dates and times into UTC, trying each `strptime` format, or format of `UNIX`, in turn.

    A format without an offset (`%z`) gives local times of `time_zone`. Where clocks go back, the first of the two
    instants is taken; a time that clocks skip is moved forward by as much as they skip (PEP 495 with `fold=0`).

    >>> instants(pd.Series(["2026-11-01 01:30"]), ["%Y-%m-%d %H:%M"], "America/Chicago")[0][0]
    Timestamp('2026-11-01 06:30:00+0000', tz='UTC')
    """
    given = text.notna().to_numpy()
    read = np.full(len(text), np.datetime64("NaT"), dtype="datetime64[us]")
    for form in formats:
        pending = given & np.isnat(read)
        if pending.all():
            read = _in_utc(text, form, time_zone)
        elif pending.any():
            read[pending] = _in_utc(text[pending], form, time_zone)
    read = _between_limits(read)
    values = pd.Series(read, index=text.index, copy=False).dt.tz_localize("UTC")
    return values, pd.Series(given & np.isnat(read), index=text.index)


def _cast(text: pa.LargeStringArray, pattern: str, kind: pa.DataType) -> pa.Array:
    return pc.cast(pc.if_else(pc.match_substring_regex(text, f"^(?:{pattern})$"), text, None), kind)


def _in_utc(text: "pd.Series[str]", form: str, time_zone: str) -> Instants:
    if form in UNIX:
        return _since_1970(text, UNIX[form])
    if "%z" in form:
        return _micros(_parsed(text, form, utc=True).dt.tz_localize(None))
    local = _between_limits(_local(text, form))
    first = np.ones(len(local), dtype=bool)
    zoned = pd.DatetimeIndex(local).tz_localize(time_zone, ambiguous=first, nonexistent="NaT")
    instants = _micros(zoned.tz_convert("UTC").tz_localize(None)).copy()
    skipped = np.isnat(instants) & ~np.isnat(local)
    zone = ZoneInfo(time_zone)
    for at in np.flatnonzero(skipped):
        moved: datetime = local[at].item()
        instants[at] = moved.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    return instants


def _between_limits(instants: Instants) -> Instants:
    return np.where((instants >= _EARLIEST) & (instants < _LATEST), instants, np.datetime64("NaT"))


def _micros(instants: "pd.Series[pd.Timestamp] | pd.DatetimeIndex") -> Instants:
    micros: Instants = instants.to_numpy().astype("datetime64[us]")
    return micros


def _local(text: "pd.Series[str]", form: str) -> Instants:
    """Read local times; in the forms that Arrow reads as well it does so, several times faster."""
    array = contiguous(text)
    if form in _ISO and _is_iso(array, *_ISO[form]):
        with suppress(pa.ArrowInvalid):
            read: Instants = pc.cast(array, pa.timestamp("us")).to_numpy(zero_copy_only=False)
            return read
    return _micros(_parsed(text, form))


def _is_iso(text: pa.LargeStringArray, length: int, other_mark: str) -> bool:
    """Whether all texts are as long as their form says, without the mark that Arrow would take for its own."""
    return bool(
        len(text)
        and pc.all(pc.equal(pc.binary_length(text), length)).as_py()
        and (np.frombuffer(text.buffers()[2], dtype=np.uint8) != ord(other_mark)).all()
    )


def _parsed(text: "pd.Series[str]", form: str, *, utc: bool = False) -> "pd.Series[pd.Timestamp]":
    # The words `now` and `today` would be read as this machine's clock.
    has_digits = text.str.contains("[0-9]", na=False)
    return pd.to_datetime(text if has_digits.all() else text.where(has_digits), format=form, errors="coerce", utc=utc)


def _since_1970(text: "pd.Series[str]", unit: str) -> Instants:
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000}[unit]
    counted, _ = numbers(text)
    within = counted.where(counted.between(0, _LATEST.item().replace(tzinfo=UTC).timestamp() * per_second))
    micros = (within * (1_000_000 / per_second)).round().to_numpy()
    known = np.isfinite(micros)
    return np.where(known, np.where(known, micros, 0).astype("int64").astype("datetime64[us]"), np.datetime64("NaT"))
