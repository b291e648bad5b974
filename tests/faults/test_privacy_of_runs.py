"""Nothing that a run leaves behind, whole, failed or killed, holds any of the personal data in its exports."""

import csv
import gzip
import io
import json
import pickle
import zipfile

import pandas as pd
import pytest
import typst

PERIOD = "2026-09"
# Ends a command without any word when it has written some tables.
KILLED = """
import os, signal, sys
import pyarrow.parquet as pq
from cxreport.cli import main

whole, left = pq.write_table, int(sys.argv[1])

def write_table(*arguments, **options):
    global left
    whole(*arguments, **options)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

pq.write_table = write_table
main(sys.argv[2:])
"""
# Fails in a way that nobody thought of, with all that it read in its message.
DEFECT = """
import sys
from pathlib import Path
from cxreport.cli import main
from cxreport.sources import staging

def read(project, *_):
    [path] = project.sample.glob("qualtrics/*2026-09.csv")
    raise ValueError(path.read_text())

staging._read = read
main(sys.argv[1:])
"""
INGEST, VALIDATE = ("-m", "cxreport", "ingest"), ("-m", "cxreport", "validate", "--period", PERIOD)
RUN = ("-m", "cxreport", "run", "--renderer", "embedded")


# --- the search ------------------------------------------------------------------------------------


def test_there_are_two_hundred_items_and_each_is_found_in_any_encoding(personal_data):
    """Whatever stands around an item, and however it is encoded, the search finds it."""
    assert len(set(personal_data.ITEMS)) == 200
    missed = [
        (item, name)
        for item in personal_data.ITEMS
        for name, content in personal_data.encodings(item)
        if not personal_data.found_in(b'{"so": "' + content + b'"}')
    ]
    assert missed == []
    assert personal_data.found_in(b"Anna, (312) 555-0000, ann@example.com, 198.51.101.1") == set()


def test_items_are_found_in_files_of_any_form(personal_data, tmp_path):
    """Tables, pages, archives and pickles are searched as what they hold, not only as they lie on the disk."""
    person = personal_data.people()[0]
    held = io.BytesIO()
    pd.DataFrame({"said": [person.says] * 3}).to_parquet(held, compression="zstd")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("table.parquet", held.getvalue())
    contents = {
        "table.parquet": held.getvalue(),
        "half.parquet": held.getvalue()[:-300],
        "archive.zip": archive.getvalue(),
        "page.pdf": typst.compile(f"#text[{person.name}]".encode()),
        "log.gz": gzip.compress(person.says.encode()),
        "kept.pickle": pickle.dumps({"said": person.says}),
        f"{person.address}.txt": b"nothing",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "clean.txt").write_text("nothing")
    assert {name.rsplit("/", 1)[1] for name in personal_data.held_in(tmp_path.iterdir())} == set(contents)


# --- whole runs ------------------------------------------------------------------------------------


def test_nothing_that_a_whole_run_leaves_holds_any_of_them(published, personal_data, root):
    """Tables, verdicts, notebooks, pages, caches, temporary files and what was printed are free of them."""
    exports = [path for path in published.project.sample.rglob("*") if path.is_file()]
    assert personal_data.lacked_by(exports) == []
    written = published.written(root)
    assert {".parquet", ".json", ".ipynb", ".html", ".pdf", ".txt"} <= {path.suffix for path in written}
    assert len(written) > 80
    assert personal_data.held_in(written) == {}


def test_what_was_masked_is_counted_and_stays_legible(published):
    """Each kind is counted, of comments the rest is left, and a misplaced column is a segment of markers."""
    staged = published.project.staged("sample")
    feeds = json.loads((staged / "feeds.json").read_text(encoding="utf-8"))
    kinds = {"e-mail", "phone", "card", "IBAN", "link", "handle", "name", "IP address"}
    for feed in ("survey", "posts", "calls"):
        assert set(feeds[feed]["scrubbed"]) == kinds, feed
    responses = pd.read_parquet(staged / "responses.parquet")
    [said] = responses.loc[responses["source_row"].eq(24) & responses["source"].str.contains(PERIOD), "comment"]
    assert said == (
        "I am [name] for short: [phone] or [phone], [e-mail]; see [link] or [handle]. "
        "Card [card], account [IBAN]. It failed from [IP address], says [name]"
    )
    marked = set(responses["desk"].dropna()) - {"experience", "short"}
    assert {"[name]", "[e-mail]", "[phone]", "[card]", "[IBAN]", "[IP address]"} <= marked


# --- runs that fail --------------------------------------------------------------------------------


def header_gone(company, _):
    """The first person stands where the header should."""
    lines = survey(company).read_text(encoding="utf-8").splitlines(keepends=True)
    comment = next(at for at, line in enumerate(lines) if line.startswith(f"{PERIOD}-"))
    survey(company).write_text("".join(lines[comment:]), encoding="utf-8")


def quote_open(company, person):
    """A quote is never closed."""
    with survey(company).open("a", encoding="utf-8") as file:
        file.write(f'{PERIOD}-30 10:00:00,"{person.says}')


def survey_without_scores(company, person):
    """Addresses stand where the scores should, in all rows."""
    path = survey(company)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for row in rows[3:]:
        row[rows[0].index("QID1")] = person.address
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def notebook_raises(company, _):
    """A notebook ends with all comments in its hands and in its message."""
    path = company.project.notebooks / "10_validate.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    last = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    staged = "data/staged/sample/responses.parquet"
    last["source"] = [f"import pandas\nraise ValueError(pandas.read_parquet('{staged}')['comment'].to_list())"]
    path.write_text(json.dumps(notebook), encoding="utf-8")


def renderer_fails(company, _):
    """The theme stops the compiler of the PDF."""
    with (company.project.theme / "report.typ").open("a", encoding="utf-8") as file:
        file.write('\n#panic("stopped")\n')


def nothing_is_wrong(*_):
    """The command is killed from outside."""


def survey(company):
    return company.raw(f"qualtrics/*{PERIOD}.csv")


# What is done to the exports or the project, the commands of which the last fails, its exit code, and where it then has
# left something new.
FAILURES = {
    "header gone": (header_gone, [INGEST], 1, "reports/output/.lock"),
    "quote open": (quote_open, [INGEST], 1, "reports/output/.lock"),
    "defect": (nothing_is_wrong, [("-c", DEFECT, "ingest")], 1, "reports/output/.lock"),
    "gate stops": (survey_without_scores, [INGEST, VALIDATE], 1, "data/rejected/sample"),
    "killed while staging": (nothing_is_wrong, [("-c", KILLED, "4", "ingest")], -9, "data/staged/.sample.new"),
    "killed while validating": (nothing_is_wrong, [("-c", KILLED, "9", *VALIDATE[2:])], -9, "data/rejected/.sample-"),
}
LONG_FAILURES = {
    "notebook raises": (notebook_raises, [RUN], 1, "data/failed/monthly"),
    "renderer fails": (renderer_fails, [RUN], 1, "data/failed/monthly"),
    "killed at the first table": (
        nothing_is_wrong,
        [("-c", KILLED, "1", "run", "--force")],
        -9,
        "data/staged/.sample.new",
    ),
    "killed at the last table": (
        nothing_is_wrong,
        [("-c", KILLED, "10", "run", "--force")],
        -9,
        "data/staged/.sample.new",
    ),
}


@pytest.mark.parametrize(
    "failure", [*FAILURES, *(pytest.param(name, marks=pytest.mark.soak) for name in LONG_FAILURES)]
)
def test_nothing_that_a_failed_run_leaves_holds_any_of_them(company, published, personal_data, failure):
    """What it printed, what it had written so far, and its temporary files are free of them."""
    spoil, commands, code, place = (FAILURES | LONG_FAILURES)[failure]
    spoil(company, personal_data.people()[0])
    ended = [company.command(*command) for command in commands]
    assert [one.code for one in ended] == [0] * (len(ended) - 1) + [code], ended[-1].err
    printed = "".join(one.out + one.err for one in ended)
    assert personal_data.found_in(printed.encode()) == set()
    written = company.written(published.project.root)
    assert any(place in path.as_posix() for path in written)
    assert personal_data.held_in(written) == {}
