"""Put the payloads into a small sample company: its deliveries, the names of its files, and its definitions."""

import csv
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cxreport.config import Project
from hostile.payloads import COMMENTED, PAYLOADS

LEVELS = "block"  # the column of the survey that holds every payload as a level

_MONTH = "2026-09"
_RENAMED = {  # columns of the deliveries whose levels are renamed
    "qualtrics/*.csv": ["channel", "touchpoint"],
    "salesforce/*.csv": ["Region__c"],
    "zendesk/*.csv": ["Group"],
    "reviews/*.csv": ["network"],
    "people/*.csv": ["team"],
}
_QUOTED = 3  # comments of a theme that are quoted at most
# Syllables of words that no payload holds, so that comments differ in their words.
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu")
_KPIS = ["nps", "csat", "response_rate", "resolution_time", "enps", "public_rating"]
_REPORT = {
    "kpis": _KPIS,
    "headline": ["nps", "csat"],
    "segments": ["region", "channel", "stage", "touchpoint", "team", "network", LEVELS],
    "mix_segments": ["channel"],
    "targets": {"nps": 30},
    "present": ["30_executive", "40_kpis", "50_segments", "60_journey", "70_voice", "85_actions", "90_method"],
}
_TOLD = ("title", "short", "owner", "checker", "numerator", "denominator", "answers", "area")


def plant(project: Project) -> None:
    """Change the deliveries, the names of their files, and the definitions of `monthly`."""
    raw, names = project.sample, _Names(itertools.cycle(PAYLOADS))
    for pattern, columns in _RENAMED.items():
        for path in sorted(raw.glob(pattern)):
            _edit(path, lambda rows, columns=columns: rows.assign(**{name: rows[name].map(names) for name in columns}))
    _edit(raw / f"qualtrics/survey_{_MONTH}.csv", _survey)
    _edit(raw / "actions/actions.csv", lambda _: _actions())
    for path, payload in zip(sorted(raw.rglob("*.csv")), PAYLOADS, strict=False):
        path.rename(path.with_stem(f"{path.stem} {payload.translate(_NO_NAME)}"))
    _define(project, itertools.cycle(PAYLOADS[::-1]))


# --- deliveries ------------------------------------------------------------------------------------

_NO_NAME = dict.fromkeys(map(ord, "/\0"), "\N{DIVISION SLASH}")  # what no name of a file can hold


class _Names(dict[str, str]):
    """A payload for each level, the same wherever it occurs; blank ones stay."""

    def __init__(self, payloads: Iterator[str]) -> None:
        super().__init__({"": ""})
        self._payloads = payloads

    def __missing__(self, level: str) -> str:
        self[level] = next(self._payloads)
        return self[level]


def _edit(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the records of a delivered file; those of the survey stand below three rows of headers."""
    headers = 3 if path.parent.name == "qualtrics" else 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    below, records = rows[: headers - 1], pd.DataFrame(rows[headers - 1 :], columns=head)
    changed = change(records)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows([list(changed), *below, *changed.to_numpy().tolist()])


def _survey(rows: pd.DataFrame) -> pd.DataFrame:
    """Give every answer a payload as its level, and another one in its comment."""
    said = [_comment(place) for place in range(len(COMMENTED))]
    given = {"QID5_TEXT": said, LEVELS: PAYLOADS}
    return rows.assign(
        **{name: list(itertools.islice(itertools.cycle(texts), len(rows))) for name, texts in given.items()}
    )


def _word(number: int) -> str:
    return "".join(_SYLLABLES[int(digit)] for digit in f"{number:03}")


def _theme(place: int) -> int:
    return place // _QUOTED


def _comment(place: int) -> str:
    """Return a comment that holds a payload, and the word of its theme besides words of its own."""
    own = " ".join(_word(300 + 7 * place + at) for at in range(7))
    return f"{_word(_theme(place))} {own} {COMMENTED[place]}"


def _actions() -> pd.DataFrame:
    """Return an improvement for each payload."""
    names = pd.Series(PAYLOADS)
    return pd.DataFrame(
        {
            "action_id": [f"A{place}" for place in range(len(names))],
            "started_on": "2026-08-03",
            "touchpoint": "",
            "region": "",
            "language": "",
            "asked": names,
            "done": names.shift(1, fill_value=PAYLOADS[-1]),
            "owner": names.shift(2, fill_value=PAYLOADS[-1]),
            "cost_usd": 1000,
            "told_on": "",
        }
    )


# --- definitions -----------------------------------------------------------------------------------


def _define(project: Project, payloads: Iterator[str]) -> None:
    """Give payloads for names in every definition, and leave out what only the sample company's own values pass."""
    for suite in (project.expectations / "suites").glob("*_sample.json"):
        suite.unlink()
    with _changed(project.definitions / "monthly.yml") as report:
        report.update(_REPORT | {name: next(payloads) for name in ("title", "organisation", "contact")})
        analyses = report["analyses"]
        themes = {PAYLOADS[-1 - _theme(place)]: [_word(_theme(place))] for place in range(len(COMMENTED))}
        report["analyses"] = {
            "journey": analyses["journey"],
            "consistency": {"csat": LEVELS},
            "themes": {"kpi": "csat", "quotes": _QUOTED, "dictionary": themes},
            "actions": analyses["actions"],
        }
    with _changed(project.segments) as segments:
        for segment in segments["segments"]:
            segment["title"] = next(payloads)
            segment["labels"] = {level: next(payloads) for level in segment.get("labels", {})}
        segments["segments"].append({"id": LEVELS, "title": next(payloads), "column": LEVELS})
    for kpi in _KPIS:
        with _changed(project.kpis / f"{kpi}.yml") as definition:
            definition.update({name: next(payloads) for name in _TOLD if name in definition})
    with _changed(project.datasets / "sample.yml") as dataset:
        # Notebooks show it first in a cell, where some classes take what begins so for something to be fetched.
        dataset["title"] = next(payload for payload in PAYLOADS if payload.startswith("https:"))
        dataset["population"] = next(payloads)
        for feed in dataset["feeds"]:
            feed["files"] = feed["files"].replace("subscriptions.csv", "*.csv")
            feed["owner"] = next(payloads)
    with _changed(project.datasets / "mappings" / "sample_survey.yml") as survey:
        survey["tables"]["responses"]["segments"] = {LEVELS: LEVELS}
    path = project.root / "data" / "reference" / "benchmarks.csv"
    benchmarks = pd.read_csv(path, dtype=str, keep_default_na=False)
    benchmarks["source"] = [next(payloads) for _ in benchmarks.index]
    benchmarks.to_csv(path, index=False)


@contextmanager
def _changed(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a definition to change."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    yield content
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
