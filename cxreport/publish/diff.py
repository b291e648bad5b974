"""What differs between two published issues: figures, pages, definitions, inputs, parameters and software."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from cxreport.config import ESTIMATES_FILE, RECORD_FILE, Project
from cxreport.engine import read_table
from cxreport.errors import UsageError
from cxreport.publish.archive import Issue, find_issue
from cxreport.publish.summary import readable
from cxreport.schema import ESTIMATES_KEY, TOTAL

Part = Literal["figures", "pages", "tables", "definitions", "inputs", "parameters", "software"]
Change = Literal["changed", "added", "removed"]
_PARTS: tuple[Part, ...] = ("figures", "pages", "tables", "definitions", "inputs", "parameters", "software")
_CHANGES: tuple[Change, ...] = ("changed", "added", "removed")
# What an issue says of itself, beside the parameters of its notebooks.
_TOLD = ("report", "dataset", "period", "as_of", "language", "title", "organisation", "decision")
_KEY = list(ESTIMATES_KEY)
_COMPARED = ["value", "n", "ci_low", "ci_high", "benchmark_value", "verdict", "suppressed"]
_TEXTS = {"verdict", "suppressed"}
_ROUNDING = 1e-9  # relative; what sums in another order differ by


@dataclass(frozen=True)
class Difference:
    """One thing that two issues do not share: its name, and how it differs where that can be said; plain text."""

    part: Part
    change: Change
    name: str
    how: str = ""


def find(project: Project, text: str) -> Issue:
    """Return the issue that `<report>/<period>` names, or the one in a folder, which may lie in another project.

    Raises `UsageError` where there is none.
    """
    if not (Path(text) / RECORD_FILE).is_file():
        report, _, period = text.partition("/")
        return find_issue(project.output, report, period)
    if issue := Issue.read(Path(text).resolve()):
        return issue
    raise UsageError(
        found="a folder with a record that is no whole issue",
        expected="a folder `<report>/<period>/` as it was published, or `<report>/<period>` of this project",
        do="name the folder that holds `run.json` and `all/`, under the names that it was published with",
    )


def differences(before: Issue, now: Issue) -> list[Difference]:
    """Return all that differs, by part, change and name; nothing where only the time of the run does."""
    found = [
        *_figures(before.folder, now.folder),
        *_files("pages", before.told("outputs"), now.told("outputs")),
        *_files("tables", _tables(before), _tables(now)),
        *_files("definitions", before.told("inputs", "definitions"), now.told("inputs", "definitions")),
        *_files("inputs", before.told("inputs", "feeds"), now.told("inputs", "feeds")),
        *_values("parameters", _parameters(before), _parameters(now)),
        *_values("software", _flat(before.told("software")), _flat(now.told("software"))),
    ]
    return sorted(found, key=lambda each: (_PARTS.index(each.part), _CHANGES.index(each.change), each.name))


def lines(found: Iterable[Difference]) -> Iterator[str]:
    """Yield the differences as lines of text: how many there are in each part, then each of them."""
    by_part: dict[Part, list[Difference]] = {}
    for each in found:
        by_part.setdefault(each.part, []).append(each)
    if not by_part:
        yield "Nothing differs"
    for part, several in by_part.items():
        counts = {change: sum(each.change == change for each in several) for change in _CHANGES}
        yield f"{part + ':':<13}" + ", ".join(f"{count:,} {change}" for change, count in counts.items() if count)
    for part, several in by_part.items():
        yield f"\n{part}"
        for each in several:
            yield f"  {each.change:<8}" + readable(f"{each.name}: {each.how}" if each.how else each.name)


# --- by the records ------------------------------------------------------------------------------


def _files(part: Part, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    """Yield the files whose digests differ."""
    for name, change in _changes(old, new):
        yield Difference(part, change, name)


def _values(part: Part, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    """Yield the settings that differ, with what they were and are."""
    for name, change in _changes(old, new):
        told = [each[name] for each in (old, new) if name in each]
        yield Difference(part, change, name, ", now ".join(told))


def _changes(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[tuple[str, Change]]:
    for name in old.keys() | new.keys():
        if name not in old:
            yield name, "added"
        elif name not in new:
            yield name, "removed"
        elif old[name] != new[name]:
            yield name, "changed"


def _tables(issue: Issue) -> dict[str, str]:
    """Return the digests of what was measured, by audience and table: the folders above tell report and period."""
    start = f"data/measured/{issue.report}/{issue.period}/"
    return {name.removeprefix(start): str(digest) for name, digest in issue.told("measured").items()}


def _parameters(issue: Issue) -> dict[str, str]:
    return {name: str(issue.record.get(name)) for name in _TOLD} | _flat(issue.told("parameters"))


def _flat(told: Mapping[str, object]) -> dict[str, str]:
    """Return nested settings as one level, their keys joined by spaces."""
    found: dict[str, str] = {}
    for name, value in told.items():
        inner = {f"{name} {key}": text for key, text in _flat(value).items()} if isinstance(value, Mapping) else None
        found |= {name: str(value)} if inner is None else inner
    return found


# --- by the figures ------------------------------------------------------------------------------


def _figures(before: Path, now: Path) -> Iterator[Difference]:
    """Yield the estimates that moved, one by one, and those that only one issue has, by audience, KPI and period."""
    packs = {path.parent.name for folder in (before, now) for path in folder.glob(f"[!.]*/{ESTIMATES_FILE}")}
    for audience in sorted(packs):
        files = [folder / audience / ESTIMATES_FILE for folder in (before, now)]
        if all(file.is_file() for file in files):
            yield from _moved(audience, *(_read(file) for file in files))


def _read(file: Path) -> pd.DataFrame:
    rows = read_table(file)
    return rows.assign(question=rows["question"].fillna("")).set_index(_KEY)[_COMPARED].sort_index()


def _moved(audience: str, old: pd.DataFrame, new: pd.DataFrame) -> Iterator[Difference]:
    both = old.index.intersection(new.index)
    was, now = old.loc[both], new.loc[both]
    differs = pd.DataFrame({name: _differ(was[name], now[name]) for name in _COMPARED}, index=both)
    moved = differs.any(axis=1)
    rows = (frame[moved].to_dict("records") for frame in (was, now, differs))
    for key, then, today, is_other in zip(both[moved], *rows, strict=True):
        how = [f"{name} {_text(then[name])}, now {_text(today[name])}" for name in _COMPARED if is_other[name]]
        yield Difference("figures", "changed", f"{audience}: {_name(key)}", "; ".join(how))
    changes: tuple[tuple[Change, pd.Index], ...] = (
        ("added", new.index.difference(both)),
        ("removed", old.index.difference(both)),
    )
    for change, keys in changes:
        for (kpi, period), count in Counter((kpi, period) for kpi, _, period, *_ in keys).items():
            yield Difference("figures", change, f"{audience}: {kpi}, {period}", f"figures: {count:,}")


def _differ(old: pd.Series, new: pd.Series) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    if old.name in _TEXTS:
        return (old.fillna("") != new.fillna("")).to_numpy(dtype=bool)
    return ~np.isclose(old.astype(float), new.astype(float), rtol=_ROUNDING, atol=0, equal_nan=True)


def _name(key: tuple[str, str, str, str, str]) -> str:
    kpi, question, period, segment, level = key
    parts = [kpi, question, period, "" if segment == TOTAL else f"{segment} {level}"]
    return ", ".join(part for part in parts if part)


def _text(value: str | float | None) -> str:
    if value is None or value != value:  # noqa: PLR0124 - a missing number
        return "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
