"""Put the items into the sample company's exports, wherever tools and people put such data."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openpyxl
import yaml

from cxreport.config import Project
from personal_data.items import Person, people

Cells = dict[str, str]  # of a record, by column

_MONTH = "2026-09"
_POSTS = ("post", "at", "network", "words", "by")
_MENTIONS = {
    "mention_id": "post",
    "posted_at": {"column": "at", "formats": ["%Y-%m-%d %H:%M:%S"]},
    "network": "network",
    "text": "words",
}
_FEEDS = {"posts": "posts/*.jsonl", "calls": "posts/*.xlsx"}
# Personal data in columns that are made for something else, as wrong mappings and careless users put them there.
_MISPLACED = ("name", "address", "phone", "local_phone", "card", "iban", "ip")


def plant(project: Project) -> None:
    """Change the files of the reported month, add feeds of other forms, and map a column of personal data as a segment.

    Some of the rows stay good, with comments and columns that nobody asked for; others cannot be read, or are refused.
    """
    raw = project.sample
    _edit(raw / f"qualtrics/survey_{_MONTH}.csv", _survey, headers=3)
    _edit(raw / f"zendesk/tickets_{_MONTH}.csv", _tickets)
    _edit(raw / "salesforce/accounts.csv", _accounts)
    _edit(raw / f"reviews/reviews_{_MONTH}.csv", _reviews)
    _edit(raw / f"web/events_{_MONTH}.csv", _events)
    _edit(raw / f"people/pulse_{_MONTH}.csv", _pulse)
    _add_posts(raw / "posts")
    _rename(raw, people()[0])
    _map(project)


def misplaced(person: Person, at: int) -> str:
    """Return one of the items that are found in any column."""
    return str(getattr(person, _MISPLACED[at % len(_MISPLACED)]))


# --- files -----------------------------------------------------------------------------------------


def _edit(path: Path, change: Callable[[Cells, Person, int], None], headers: int = 1) -> None:
    """Change the first records of a file, one for each person, and add columns that are called by personal data."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    added = [people()[0].address, people()[1].name, people()[2].phone, "IPAddress"]
    third = [json.dumps({"ImportId": name}) for name in added]  # by which Qualtrics names its columns
    changed = [row + names for row, names in zip(rows[:headers], [added, added, third], strict=False)]
    for at, (row, person) in enumerate(zip(rows[headers:], people(), strict=False)):
        cells = dict(zip(changed[0], [*row, person.name, person.link, person.handle, person.ip], strict=True))
        change(cells, person, at)
        changed.append(list(cells.values()))
    changed += [[*row, "", "", "", ""] for row in rows[len(changed) :]]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows(changed)


def _survey(cells: Cells, person: Person, at: int) -> None:
    cells |= {"RecipientEmail": person.address, "QID5_TEXT": person.says, "block": misplaced(person, at)}
    unreadable = {0: "QID2", 1: "RecordedDate", 2: "UserLanguage", 3: "Finished", 4: "touchpoint", 5: "survey_kind"}
    if at in unreadable:
        cells[unreadable[at]] = person.address
    if at == 6:
        cells["too many"] = person.says
    if at == 7:
        cells |= {"ResponseId": person.name, "QID5_TEXT": ""}


def _tickets(cells: Cells, person: Person, at: int) -> None:
    cells |= {
        "Requester": person.name,
        "Requester email": person.address,
        "Requester id": person.tool_id,
        "Assignee": person.name,
        "Subject": person.says,
        "Tags": f"{person.handle} {person.phone}",
        "Organization": f"{person.name} Ltd",
    }
    if at < len(_MISPLACED):
        cells["Group"] = misplaced(person, at)
    if at == 8:
        cells["Created at"] = person.phone


def _accounts(cells: Cells, person: Person, at: int) -> None:
    cells |= {"Name": person.name, "Phone": person.phone, "Persona__c": misplaced(person, at)}
    cells["Id"] = f"001{person.tool_id[3:]}"
    if at == 9:
        cells["Region__c"] = person.name


def _reviews(cells: Cells, person: Person, at: int) -> None:
    cells["text"] = person.says
    if at == 1:
        cells["stars"] = person.card


def _events(cells: Cells, person: Person, at: int) -> None:
    cells |= {"name": misplaced(person, at), "touchpoint": person.address}


def _pulse(cells: Cells, person: Person, at: int) -> None:
    if at < 2:
        cells["team"] = misplaced(person, at)


def _add_posts(folder: Path) -> None:
    """Write posts as JSON objects, and as a workbook."""
    folder.mkdir()
    rows = [
        dict(zip(_POSTS, (f"X{at}", f"{_MONTH}-{at + 1:02} 10:00:00", "forum", one.says, one.name), strict=True))
        for at, one in enumerate(people())
    ]
    lines = (json.dumps(row | {one.address: {"ip": one.ip}}) for row, one in zip(rows, people(), strict=True))
    (folder / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    book = openpyxl.Workbook()
    book.properties.creator = book.active.title = people()[0].name
    for cells in [_POSTS, *(row.values() for row in rows)]:
        book.active.append([f"Y{cell[1:]}" if cell[0] == "X" else cell for cell in cells])
    book.save(folder / "calls.xlsx")


def _rename(raw: Path, person: Person) -> None:
    """Put personal data into names of files."""
    for name in (f"zendesk/tickets_{_MONTH}", f"reviews/reviews_{_MONTH}"):
        path = raw / f"{name}.csv"
        path.rename(path.with_stem(f"{path.stem} from {person.name}, {person.address} {person.phone}"))


# --- definitions -----------------------------------------------------------------------------------


def _map(project: Project) -> None:
    """Add the feeds of posts, declare where customers' names stand, and break answers down by a misplaced column."""
    new = [
        {"id": feed, "adapter": "mapped", "mapping": "posts.yml", "files": files, "owner": "Press"}
        for feed, files in _FEEDS.items()
    ]
    with _changed(project.datasets / "sample.yml") as dataset:
        dataset["feeds"] += new
    mappings = project.datasets / "mappings"
    (mappings / "posts.yml").write_text(yaml.safe_dump({"tables": {"mentions": {"columns": _MENTIONS}}}))
    with _changed(mappings / "sample_accounts.yml") as accounts:
        accounts["tables"]["customers"]["names"] = ["Name"]
    with _changed(mappings / "sample_survey.yml") as survey:
        survey["tables"]["responses"]["segments"] = {"desk": "block"}
    with _changed(project.definitions.parent / "segments.yml") as segments:
        segments["segments"].append({"id": "desk", "title": "Desk", "column": "desk"})
    with _changed(project.definitions / "monthly.yml") as report:
        report["segments"].append("desk")


@contextmanager
def _changed(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a definition to change."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    yield content
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
