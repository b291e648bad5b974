"""What adapters derive from delivered records: further columns, ids that a spreadsheet damaged, text without markup."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import unescape
from typing import Any

import pandas as pd

from cxreport.sources.formats.files import UnreadableFileError
from cxreport.sources.formats.glimpse import Glimpse
from cxreport.sources.formats.records import Records

_MEMBERS = 5
_CENTURY = 100 * 366 * 24 * 60  # minutes
_AS_FLOAT = re.compile(r"(\d{1,15})\.0+")  # up to 15 digits a float holds every whole number
_ROUNDED = re.compile(r"\d+\.0+|\d(?:[.,]\d+)?[eE]\+?\d+")
_BREAKS = frozenset({"address", "blockquote", "br", "div", "h1", "h2", "h3", "hr", "li", "ol", "p", "pre", "tr", "ul"})
_UNSEEN = frozenset({"script", "style"})
_PARTS = re.compile(r"(?P<tag><(?:(?P<name>/?[a-zA-Z][a-zA-Z0-9]*+)|[!?])[^<>]*+>)|[^<]+|<")


# --- columns and notes ---------------------------------------------------------------------------


def text_of(records: Records, column: str) -> "pd.Series[str]":
    """Return a column as `Records.text` does; all null where the file has no such column."""
    if column in records.header:
        return records.text(column)
    return pd.Series(None, index=range(records.rows), dtype="str")


def at_rows(values: "pd.Series[Any]", records: Records, rows: "pd.Series[int]") -> "pd.Series[Any]":
    """Return a value per record as one per row of a table, whose `source_row` says which record it was."""
    by_line = values.set_axis(pd.Index(records.lines))
    return by_line[~by_line.index.duplicated()].reindex(rows).set_axis(rows.index)


def later(instants: "pd.Series[Any]", minutes: "pd.Series[float]") -> "pd.Series[Any]":
    """Return instants so many minutes later; null for durations below zero or beyond a century, which are faults."""
    waited = pd.to_timedelta(minutes.where(minutes.between(0, _CENTURY)), unit="min")
    return (instants + waited).astype(instants.dtype)


def with_columns(records: Records, columns: dict[str, "pd.Series[str]"]) -> Records:
    """Return the records with columns in the place of those of the same name, or after the others."""
    derived = {name: column.fillna("").tolist() for name, column in columns.items()}
    kept = [(name, derived.pop(name, own)) for name, own in zip(records.header, records.cells, strict=True)]
    header, cells = zip(*kept, *derived.items(), strict=True)
    return replace(records, header=header, cells=cells)


def with_notes(records: Records, counts: dict[str, int]) -> Records:
    """Return the records with a note for each sentence that counts anything; `{n}` in it stands for the number."""
    said = tuple(sentence.replace("{n}", f"{count:,}") for sentence, count in counts.items() if count)
    return replace(records, notes=(*records.notes, *said))


def with_whole_ids(records: Records, columns: Iterable[str]) -> Records:
    """Recover ids that were turned into floating-point numbers on their way, such as `6139157572367.0`, and note it.

    Raises `UnreadableFileError` where digits are lost: `6.13916E+12`, or more of them than a float can hold.
    """
    mended: dict[str, pd.Series[str]] = {}
    notes: dict[str, int] = {}
    problems: list[str] = []
    for column in dict.fromkeys(name for name in columns if name in records.header):
        text = records.text(column)
        whole = text.str.fullmatch(_AS_FLOAT, na=False)
        if (text.str.fullmatch(_ROUNDED, na=False) & ~whole).any():
            problems.append(f"ids in `{column}` were rounded to floating-point numbers; export them again, as text")
        elif whole.any():
            mended[column] = text.mask(whole, text.str.replace(r"\.0+$", "", regex=True))
            notes[f"{{n}} ids in `{column}` were floating-point numbers and are whole again"] = int(whole.sum())
    if problems:
        raise UnreadableFileError(*problems)
    return with_notes(with_columns(records, mended), notes)


# --- JSON ----------------------------------------------------------------------------------------


def first_objects(glimpse: Glimpse, inside: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first objects of a JSON file, or those that its first page of an API holds under one of the keys.

    A page is looked into even where it is longer than what was glimpsed at.
    """
    if glimpse.kind != "json":
        return []
    if not glimpse.text.lstrip("\ufeff \t\r\n").startswith("{"):
        return glimpse.objects
    keys = "|".join(map(re.escape, inside))
    page = re.search(rf'"(?:{keys})"\s*:\s*\[\s*', glimpse.text) if inside else None
    pages = any(isinstance(found.get(key), list) for found in glimpse.objects for key in inside)
    if page and (pages or not glimpse.objects):
        return list(_members(glimpse.text, page.end()))
    return glimpse.objects


def _members(text: str, at: int) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    for _ in range(_MEMBERS):
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(found, dict):
            yield found
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1


# --- markup --------------------------------------------------------------------------------------


def plain(texts: "pd.Series[str]") -> "pd.Series[str]":
    """Return texts without their HTML; nulls stay null."""
    return texts.map(plain_text, na_action="ignore").astype("str")


def plain_text(markup: str) -> str:
    r"""Return what a reader sees of HTML: no tags, scripts or styles, blocks on lines of their own.

    Masking of personal data needs this first: a tag within a telephone number would hide it. Takes time in proportion
    to the text; the standard parser needs the square of it for tags that do not close, which is how a file could halt
    an ingest.

    >>> plain_text("<p>Call 312-<b>555</b>-0147 &amp; ask</p><p>Bye</p>")
    'Call 312-555-0147 & ask\nBye'
    """
    seen: list[str] = []
    unseen: str | None = None
    for part in _PARTS.finditer(markup):
        name = (part["name"] or "").lower()
        if unseen is not None:
            unseen = None if name == f"/{unseen}" else unseen
        elif name in _UNSEEN:
            unseen = name
        elif part["tag"]:
            seen.append("\n" if name.removeprefix("/") in _BREAKS else "")
        else:
            seen.append(part[0])
    lines = (" ".join(line.split()) for line in unescape("".join(seen)).splitlines())
    return "\n".join(line for line in lines if line)
