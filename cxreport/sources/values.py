"""Turn delivered text into typed values. Nothing is coerced: what cannot be read becomes null and is reported.

Every parser takes a column of stripped text with nulls for blanks, and returns the values and a mask of the
rows that hold text it could not read.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# Bounded, so that what matches also fits into 64 bits.
_NUMBER = r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE](?:[+]?[0-9]{1,2}|-[0-9]{1,3}))?"
_WHOLE = r"-?[0-9]{1,18}"

Unit = Literal["milliseconds", "seconds", "minutes", "hours", "days"]
UNIX = {"unix": "s", "unix_ms": "ms", "unix_us": "us"}  # format of an instant to the unit since 1970
_PER_MINUTE: dict[Unit, float] = {
    "milliseconds": 60_000,
    "seconds": 60,
    "minutes": 1,
    "hours": 1 / 60,
    "days": 1 / 1_440,
}

# Placeholders such as 0001-01-01 or 9999-12-31 are no dates of anything that happened.
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")


def stripped(cells: Sequence[str | None]) -> "pd.Series[str]":
    """Return cells as text without outer white space; blank cells become null."""
    text = pc.utf8_trim_whitespace(pa.array(cells, pa.large_string()))
    return pd.Series(pd.array(pc.if_else(pc.not_equal(text, ""), text, None), dtype="str"))


def looked_up(codes: "pd.Series[str]", meanings: Mapping[str, object], dtype: str) -> "pd.Series[Any]":
    """Return the meaning of each code; null where it has none.

    >>> looked_up(pd.Series(["1", "x"]), {"1": 5.0}, "float64").tolist()
    [5.0, nan]
    """
    found = pc.index_in(pa.array(codes), pa.array(list(meanings), pa.large_string()))
    meant = pd.Series(list(meanings.values()), dtype=dtype).array
    return pd.Series(meant.take(found.fill_null(-1).to_numpy(zero_copy_only=False), allow_fill=True), index=codes.index)


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
    found = text
    if percent:
        found = found.where(found.str.endswith("%", na=False)).str.removesuffix("%").str.rstrip()
    if grouping is not None:
        mark, point = re.escape(grouping), re.escape(decimal)
        grouped = found.str.fullmatch(rf"-?[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?:{point}[0-9]+)?", na=False)
        found = found.mask(grouped, found.str.replace(grouping, "", regex=False))
    if decimal != ".":
        # A point would otherwise survive as a decimal mark where it separates thousands.
        found = found.str.replace(".", "?", regex=False).str.replace(decimal, ".", regex=False)
    read = _cast(found, _NUMBER, pa.float64()).to_numpy(zero_copy_only=False)
    values = pd.Series(read, index=text.index, dtype="float64")
    return values / 100 if percent else values, text.notna() & values.isna()


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
    values = pd.Series(pd.array(_cast(text, _WHOLE, pa.int64()), dtype="Int64"), index=text.index)
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
    # The words `now` and `today` would be read as this machine's clock.
    pending = text.where(text.str.contains("[0-9]", na=False))
    values = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us, UTC]")
    for form in formats:
        values = values.fillna(_in_utc(pending[values.isna()], form, time_zone))
    values = values.where((values >= _EARLIEST) & (values < _LATEST))
    return values, text.notna() & values.isna()


def _cast(text: "pd.Series[str]", pattern: str, kind: pa.DataType) -> pa.Array:
    return pc.cast(pa.array(text.where(text.str.fullmatch(pattern, na=False)), pa.string()), kind)


def _in_utc(text: "pd.Series[str]", form: str, time_zone: str) -> "pd.Series[pd.Timestamp]":
    if form in UNIX:
        return _since_1970(text, UNIX[form])
    if "%z" in form:
        return pd.to_datetime(text, format=form, errors="coerce", utc=True).astype("datetime64[us, UTC]")
    local = pd.to_datetime(text, format=form, errors="coerce").astype("datetime64[us]")
    local = local.where((local >= _EARLIEST.tz_localize(None)) & (local < _LATEST.tz_localize(None)))
    first = np.ones(len(local), dtype=bool)
    zoned = local.dt.tz_localize(time_zone, ambiguous=first, nonexistent="NaT").dt.tz_convert("UTC")
    skipped = local.notna() & zoned.isna()
    if skipped.any():
        zone = ZoneInfo(time_zone)
        moved = [at.to_pydatetime().replace(tzinfo=zone).astimezone(UTC) for at in local[skipped]]
        zoned = zoned.fillna(pd.Series(moved, index=local.index[skipped], dtype=zoned.dtype))
    return zoned


def _since_1970(text: "pd.Series[str]", unit: str) -> "pd.Series[pd.Timestamp]":
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000}[unit]
    counted, _ = numbers(text)
    within = counted.where(counted.between(0, _LATEST.timestamp() * per_second))
    micros = (within * (1_000_000 / per_second)).round().to_numpy()
    known = np.isfinite(micros)
    instants = np.where(known, micros, 0).astype("int64").astype("datetime64[us]")
    return pd.Series(instants, index=text.index).where(known).dt.tz_localize("UTC")
