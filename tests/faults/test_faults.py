"""Every fault a user meets ends with the right code and a message to act on, and leaves the last issue as it was."""

import csv
import json
import resource
import shutil
import signal
import subprocess

import pytest

PERIOD = "2026-09"


@pytest.fixture
def fails(company, published, personal_data):
    """Return a function that demands a failing run, which gives nobody away, and returns its message."""
    before = company.issues()
    assert f"monthly/{PERIOD}/all/report.html" in before

    def fails(code, *arguments, **settings):
        ended = company.run(*arguments, **settings)
        assert ended.code == code, ended.out + ended.err
        assert ended.out == ""
        assert list(ended.told) == ["Found", "Expected", "Do"]
        assert all(ended.told.values())
        assert "Traceback" not in ended.err
        assert company.issues() == before
        assert personal_data.found_in(ended.err.encode()) == set()
        assert personal_data.held_in(company.written(published.project.root)) == {}
        return ended.told

    return fails


def edit_csv(path, change):
    """Rewrite a delivered file row by row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(change(rows))


def edit_notebook(path, source):
    """Put a source into the last code cell of a notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    last = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    last["source"] = [source]
    path.write_text(json.dumps(notebook), encoding="utf-8")


# --- wrong use: exit code 2 ---


def test_mistyped_parameter(fails):
    """A parameter that no notebook declares is refused with the nearest that one does."""
    assert "unknown parameter `rooot`, did you mean `root`?" in fails(2, "-p", "rooot=x")["Found"]


def test_unknown_period(fails):
    """A period without data is refused with the range that has some."""
    told = fails(2, "--period", "2027-01")
    assert "period `2027-01`" in told["Found"]
    assert told["Expected"] == "a period from `2026-06` to `2026-09`"


def test_unknown_report(fails):
    """A report that does not exist is refused with the nearest that does."""
    assert "`montly`, did you mean `monthly`?" in fails(2, "--report", "montly")["Found"]


def test_kpi_file_with_an_unknown_key(company, fails):
    """A misspelt key of a KPI is refused with the file and the nearest key."""
    path = company.project.kpis / "nps.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("owner:", "ownr:"), encoding="utf-8")
    assert "reports/kpis/nps.yml: unknown key `ownr`, did you mean `owner`?" in fails(2)["Found"]


# --- stopped data: exit code 1 ---


def test_empty_feed(company, fails):
    """A feed whose files hold headings only stops the run and is named."""
    for path in company.project.sample.glob("orders/*.csv"):
        edit_csv(path, lambda rows: rows[:1])
    assert "feed `orders`" in fails(1)["Found"]


def test_feed_without_files(company, fails):
    """A feed that was not delivered stops the run and is named."""
    shutil.rmtree(company.project.sample / "zendesk")
    assert "feed `tickets`" in fails(1)["Found"]


def test_missing_column(company, fails):
    """A file without an expected column stops the run; feed, file and column are named."""
    path = company.raw(f"orders/*{PERIOD}.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        gone = next(csv.reader(file))[0]
    edit_csv(path, lambda rows: [row[1:] for row in rows])
    found = fails(1)["Found"]
    assert all(name in found for name in ("feed `orders`", path.name, gone))


def test_renamed_column(company, fails):
    """A column under another name is a missing column, not a silent gap."""
    path = company.raw(f"invitations/*{PERIOD}.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        name = next(csv.reader(file))[0]
    edit_csv(path, lambda rows: [[f"{name}_new", *rows[0][1:]], *rows[1:]])
    found = fails(1)["Found"]
    assert all(part in found for part in ("feed `invitations`", path.name, name))


def test_month_that_loses_most_of_its_rows(company, fails):
    """A survey file that shrinks to a few rows is stopped by a gate on the feed, which is named."""
    edit_csv(company.raw(f"qualtrics/*{PERIOD}.csv"), lambda rows: rows[:40])
    assert "of feed survey" in fails(1, "--period", PERIOD)["Found"]
    assert (company.project.root / "data" / "failed" / "monthly" / PERIOD / "10_validate.ipynb").is_file()


def test_newest_survey_file_is_missing(company, fails):
    """Without the newest responses the month before does not take their place."""
    company.raw(f"qualtrics/*{PERIOD}.csv").unlink()
    told = fails(1)
    assert f"feed `survey` has no responses in {PERIOD}" in told["Found"]
    assert "--period" in told["Do"]


# --- failing machinery: exit code 1 ---


def test_notebook_that_raises(company, fails):
    """The notebook, cell and class are named, not the message, which may quote data."""
    edit_notebook(company.project.notebooks / "10_validate.ipynb", "raise ValueError('ann@example.com')")
    found = fails(1)["Found"]
    assert "notebook `10_validate`, cell" in found
    assert "ValueError" in found
    assert "example.com" not in found
    kept = company.project.root / "data" / "failed" / "monthly" / PERIOD / "10_validate.ipynb"
    assert "ValueError" in kept.read_text(encoding="utf-8")


@pytest.mark.soak
def test_notebook_that_raised_and_was_mended(company, fails):
    """Once mended, it publishes the same as before, and what the failed run left is gone."""
    notebook = company.project.notebooks / "10_validate.ipynb"
    whole = notebook.read_text(encoding="utf-8")
    index = company.project.output / "index.html"
    before, listed = company.issues(), index.read_bytes()
    edit_notebook(notebook, "raise ValueError")
    fails(1)
    notebook.write_text(whole, encoding="utf-8")
    ended = company.run()
    assert ended.code == 0, ended.err
    after = company.issues()
    assert set(after) == set(before)
    assert index.read_bytes() == listed
    same = (f"monthly/{PERIOD}/all/report.html", f"monthly/{PERIOD}/all/report.pdf")
    assert [path for path in same if after[path] != before[path]] == []
    assert not (company.project.root / "data" / "failed" / "monthly" / PERIOD / "10_validate.ipynb").exists()


def test_output_on_a_read_only_disk(company, fails):
    """An output folder that cannot be written is found before the work begins, for the superuser as well."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    found = fails(1, "--force", within=private_mount(script, company.project.output))["Found"]
    assert found == "Read-only file system at `reports/output/.lock`"


def test_output_on_a_full_disk(company, fails, tmp_path):
    """A disk that fills up while the pack is made ends the run in words; the last issue on that disk stays."""
    before = shutil.copytree(company.project.output, tmp_path / "before")
    script = (
        'before="$1"; shift; size=$(du -sk "$before" | cut -f1); '
        'mount -t tmpfs -o size=$((size + 16))k none "$0" && cp -a "$before"/. "$0" || exit 8; '
        '"$@"; code=$?; pack=monthly/2026-09; diff -r "$before/$pack" "$0/$pack" && '
        '[ "$(ls -A "$before")" = "$(ls -A "$0")" ] && exit $code'
    )
    assert (
        "No space left on device"
        in fails(1, "--force", within=private_mount(script, company.project.output, before))["Found"]
    )


def private_mount(script, *arguments):
    """Return the command that runs a script, and the command after it, with mounts nobody else sees."""
    within = ("unshare", "--mount", "sh", "-c", script, *map(str, arguments))
    has_tool = shutil.which("unshare") is not None
    if not has_tool or subprocess.run([*within, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine permits no private mounts")
    return within


@pytest.mark.usefixtures("company")
def test_files_that_may_not_grow(fails):
    """A limit on the size of files, met while the tables are written, ends the run in words."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    assert "File too large" in fails(1, "--force", limit=limit)["Found"]


def test_file_in_the_place_of_a_folder(company):
    """A file where the output folder should be is named before the work begins."""
    shutil.rmtree(company.project.output)
    company.project.output.write_text("a file")
    ended = company.run()
    assert (ended.code, ended.told["Found"]) == (1, "File exists at `reports/output`")
    assert company.project.output.read_text() == "a file"
