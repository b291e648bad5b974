"""A run checks everything first, publishes whole packs, and leaves the earlier issue alone when it fails."""

import errno
import json
import os
import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cxreport.config import Project, load_dataset, load_report
from cxreport.errors import DefinitionError, GateError, RunError, UsageError
from cxreport.periods import Period
from cxreport.publish import archive, document, exports, render, work
from cxreport.publish import run as publishing
from cxreport.publish.kernels import confine

AS_OF = date(2026, 10, 2)
STARTED = datetime(2026, 10, 5, 8, 30, tzinfo=UTC)
MONTHS = [Period.parse(text) for text in ("2026-07", "2026-08", "2026-09", "2026-10")]

REPORT = """
title: Customer experience
organisation: A <Company>
dataset: small
kpis: [nps]
headline: [nps]
segments: []
present: [30_page]
contact: us
"""
DATASET = """
title: Small company
population: customers
industry: none
time_zone: UTC
raw: raw
feeds: []
"""
VERDICT = """
import json
from pathlib import Path
empty = dict(tables={}, rules=[], gates=[], missing=[], footnotes=[])
verdict = dict(dataset="small", period=period, decision=decision, **empty)
folder = Path("data/accepted/small") / period
folder.mkdir(parents=True, exist_ok=True)
(folder / "verdict.json").write_text(json.dumps(verdict))
"""
STANDARD = 'report = ""\nperiod = ""\n'


class FakeRenderer:
    """Writes the document's text as page and PDF, or raises what it is told to."""

    name = "fake"
    raises: BaseException | None = None

    def versions(self):
        return {"fake": "1"}

    def render(self, source, *, html, pdf, project, timestamp):
        assert timestamp == datetime(2026, 10, 2, tzinfo=UTC)
        assert project.root.is_dir()
        html.write_text("".join(cell.source for cell in document.read(source).cells))
        if self.raises:
            raise self.raises
        if pdf:
            pdf.write_text("PDF")


def write_notebook(path, parameters, *cells):
    sources = [("---\ntitle: " + path.stem + "\n---", "raw", []), (parameters, "code", ["parameters"])]
    sources += [(source, "code", []) for source in cells]
    content = []
    for number, (source, kind, tags) in enumerate(sources):
        cell = {"id": f"c{number}", "cell_type": kind, "metadata": {"tags": tags}, "source": source}
        content.append(cell | ({"outputs": [], "execution_count": None} if kind == "code" else {}))
    path.write_text(json.dumps({"cells": content, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """Return a project whose notebooks are tiny and whose data need no reading."""
    project = Project(tmp_path / "project")
    for folder in (project.definitions, project.datasets, project.kpis, project.notebooks, project.expectations):
        folder.mkdir(parents=True)
    (project.definitions / "monthly.yml").write_text(REPORT)
    (project.datasets / "small.yml").write_text(DATASET)
    project.segments.write_text("segments: []\n")
    shutil.copy2(root / "reports/kpis/nps.yml", project.kpis)
    write_notebook(project.notebooks / "10_validate.ipynb", STANDARD + 'decision = "publish"', VERDICT)
    write_notebook(project.notebooks / "20_measure.ipynb", STANDARD, "assert period")
    write_notebook(
        project.notebooks / "30_page.ipynb", STANDARD + "top = 3\nas_of = ''", "assert as_of == '2026-10-02'"
    )
    monkeypatch.setattr(publishing.sources, "ingest", ingest)
    monkeypatch.setattr(publishing.sources, "covered_periods", covered_periods)
    monkeypatch.setattr(publishing.sources, "last_complete_period", lambda *_: MONTHS[2])
    monkeypatch.setattr(work, "open_pack", lambda *_: None)  # what is measured here is no table
    monkeypatch.setattr(exports, "write", lambda _, folder, *__, **___: (folder / "tables.xlsx").write_text("tables"))
    return project


def covered_periods(_project, _dataset, kind):
    return sorted({Period.containing(month.start, kind) for month in MONTHS})


def ingest(project, dataset):
    folder = project.staged(dataset.id)
    folder.mkdir(parents=True, exist_ok=True)
    files = [{"name": "survey.csv", "sha256": "abc"}]
    (folder / "feeds.json").write_text(json.dumps({"survey": {"files": files}}))
    return {"responses": 1}


@pytest.fixture
def renderer(monkeypatch):
    fake = FakeRenderer()
    monkeypatch.setattr(render, "choose", lambda _: fake)
    return fake


@pytest.fixture
def publish(project, renderer):  # noqa: ARG001 - the renderer is put in place
    """Return a function that runs the report."""

    def publish(period="2026-09", tell=lambda _: None, parameters=None, force=False):
        return publishing.run(
            project,
            load_report(project, "monthly"),
            Period.parse(period) if period else None,
            as_of=AS_OF,
            renderer="auto",
            started=STARTED,
            tell=tell,
            parameters=parameters,
            force=force,
        )

    return publish


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pack_holds_page_pdf_notebooks_and_record(project, publish):
    """A published pack has the documented files and nothing else; the index lists it."""
    published = publish()
    pack = project.published("monthly", MONTHS[2])
    assert sorted(contents(pack)) == [
        "all/data-quality.html",
        "all/notebooks/10_validate.ipynb",
        "all/notebooks/20_measure.ipynb",
        "all/notebooks/30_page.ipynb",
        "all/report.html",
        "all/report.pdf",
        "run.json",
    ]
    assert (published.html, published.pdf) == (pack / "all/report.html", pack / "all/report.pdf")
    assert sorted(path.name for path in project.output.iterdir()) == [".lock", "feed.xml", "index.html", "monthly"]
    assert "monthly/2026-09/all/report.html" in (project.output / "index.html").read_text()
    assert "2026-09/all/data-quality.html" in (project.output / "monthly" / "2026-09.html").read_text()


def test_pack_keeps_the_estimates_for_later_issues(project, publish):
    """What was measured is published with the page, where later issues look for it; the reported one is not bound."""
    measured = project.measured("monthly", MONTHS[2]) / "estimates.parquet"
    measured.parent.mkdir(parents=True)
    measured.write_bytes(b"estimates")
    publish()
    kept = project.published("monthly", MONTHS[2]) / "all/estimates.parquet"
    assert kept.read_bytes() == b"estimates"
    assert project.issued("monthly", MONTHS[2].shift(1)) == [kept]
    assert project.issued("monthly", MONTHS[2]) == []


def test_pack_carries_what_was_first_issued_and_its_account(project, publish):
    """However often an issue is replaced; nothing is carried while its figures are those that were first issued."""
    measured = project.measured("monthly", MONTHS[2]) / "estimates.parquet"
    measured.parent.mkdir(parents=True)
    pack = project.published("monthly", MONTHS[2])
    accounts = []
    for edition in (b"first", b"first", b"second", b"third"):
        measured.write_bytes(edition)
        (project.kpis / "nps.yml").write_text((project.kpis / "nps.yml").read_text() + "# a remark\n")
        publish(force=True)
        record = json.loads((pack / "run.json").read_text())
        accounts.append(record["inputs"])
        kept = pack / "all/first.parquet"
        assert ("first" in record) == kept.is_file() == (edition != b"first")
    assert kept.read_bytes() == b"first"
    assert record["first"]["inputs"] == accounts[1]
    assert "all/first.parquet" in record["outputs"]


def test_period_defaults_to_the_last_complete_one(project, publish):
    """Without a period the last complete month is reported, not the running one."""
    publish(period=None)
    assert [path.name for path in (project.output / "monthly").iterdir() if path.is_dir()] == ["2026-09"]


FIRST = ["Reading the delivered files", "10_validate", "data-quality", "20_measure"]


def test_every_step_is_told_in_order(publish):
    """A reader of the progress sees the steps as they begin."""
    told = []
    publish(tell=told.append)
    assert done(told) == [*FIRST, "30_page", "report", "exports"]
    steps = [event for event in told if not isinstance(event, str)]
    assert (steps[-1].done, steps[-1].of, steps[-1].left) == (6, 6, 0)


def done(told):
    """Return what was told of: texts, and steps that were done, those taken over left out."""
    return [str(event) for event in told if isinstance(event, str) or event.state in {"made", "failed"}]


def test_record_tells_inputs_outputs_and_parameters(project, publish):
    """`run.json` names the delivered files, the definitions, what each notebook was given and what was made."""
    publish(parameters={"top": "5"})
    pack = project.published("monthly", MONTHS[2])
    record = json.loads((pack / "run.json").read_text())
    assert record["parameters"]["30_page"] == {
        "report": "monthly",
        "period": "2026-09",
        "as_of": "2026-10-02",
        "top": 5,
    }
    assert record["inputs"]["feeds"] == {"survey/survey.csv": "abc"}
    assert {"notebooks/30_page.ipynb", "reports/datasets/small.yml"} <= set(record["inputs"]["definitions"])
    assert set(record["outputs"]) == set(contents(pack)) - {"run.json"}
    assert (record["started"], record["decision"]) == ("2026-10-05T08:30:00+00:00", "publish")


def test_page_does_not_depend_on_the_clock(project, publish):
    """Two runs of the same inputs give the same page, with the provenance but without the time."""
    first = publish().html.read_bytes()
    assert publish(force=True).html.read_bytes() == first
    assert b"2026-10-02" in first
    assert STARTED.date().isoformat().encode() not in first
    assert str(project.root).encode() not in first


CHART = """#| fig-alt: A line
from IPython.display import display
display({"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'></svg>"}, raw=True)
"""


def test_page_that_does_not_show_the_charts_of_its_notebooks_is_not_published(project, publish):
    """What came out of the renderer is read back before a pack is published; here the page lacks a chart."""
    write_notebook(project.notebooks / "30_page.ipynb", STANDARD, CHART)
    with pytest.raises(RunError, match=r"report\.html shows as chart or table 1 of 0 none"):
        publish()
    assert not project.published("monthly", MONTHS[2]).exists()


# --- what is refused before anything is written ---


@pytest.mark.parametrize(
    ("period", "words"),
    [
        ("2026-06", "a period from `2026-07` to `2026-10`"),
        ("2026-11", "a period from `2026-07` to `2026-10`"),
        ("2026-Q3", "write it like `2026-07`"),
        ("2026", "a month, because"),
    ],
)
def test_period_outside_the_data_or_of_another_kind_is_refused(project, publish, period, words):
    """The message names the covered range or the form of the report's periods."""
    with pytest.raises(UsageError, match=words):
        publish(period=period)
    assert not list(project.output.glob("*/*"))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"tpo": "5"}, "unknown parameter `tpo`, did you mean `top`"),
        ({"top": "many"}, "reads as `str`, not `int`"),
        ({"period": "2026-08", "root": "/"}, "the parameter `period`, `root`"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(project, publish, parameters, words):
    """A mistyped name, a mistyped value and a parameter that the run sets itself stop before anything is written."""
    with pytest.raises(UsageError, match=words):
        publish(parameters=parameters)
    assert not project.output.exists()


def test_wrong_definitions_are_refused_before_anything_is_written(project, publish):
    """A report with unknown KPIs, segments or notebooks, or notebooks without its parameters, is a definition error."""
    definition = project.definitions / "monthly.yml"
    for line, words in (
        ("kpis: [nps, npx]", "KPI `npx` has no file"),
        ("segments: [regoin]", "segment `regoin`"),
        ("present: [30_pgae]", "`30_pgae` has no file, did you mean `30_page`"),
        ("dataset: smal", "dataset `smal`, did you mean `small`"),
    ):
        key = line.partition(":")[0]
        definition.write_text("\n".join(line if text.startswith(f"{key}:") else text for text in REPORT.splitlines()))
        with pytest.raises(DefinitionError, match=words):
            publish()
    definition.write_text(REPORT)
    write_notebook(project.notebooks / "30_page.ipynb", 'period = ""')
    with pytest.raises(DefinitionError, match="notebook `30_page` declares no parameter `report`"):
        publish()
    assert not project.output.exists()


# --- failures leave the earlier issue as it was ---


@pytest.fixture
def earlier(project, publish):
    """Return what a published issue looks like."""
    publish()
    return packs(project)


def packs(project):
    """Return the files of all issues, without the pages of the archive, which tell of failures."""
    return {name: content for name, content in contents(project.output).items() if name.count("/") > 1}


def test_failing_renderer_leaves_the_earlier_issue(project, publish, renderer, earlier):
    """A full disk, a failing tool or an interrupt while rendering changes no published file."""
    for failure, seen in (
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RunError),
        (RunError(found="typst", expected="PDF", do="look"), RunError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        renderer.raises = failure
        with pytest.raises(seen):
            publish(force=True)
        assert packs(project) == earlier, failure
        assert not list(project.output.glob(".building*"))


def test_failing_notebook_is_kept_as_evidence_until_a_run_succeeds(project, publish, earlier):
    """The executed notebook with its traceback lies under data/failed/, and goes when the issue is published."""
    page = project.notebooks / "30_page.ipynb"
    kept = page.read_text()
    write_notebook(page, STANDARD, "1/0")
    with pytest.raises(RunError, match=r"notebook `30_page`, cell 3 raised ZeroDivisionError"):
        publish()
    assert packs(project) == earlier
    evidence = project.root / "data/failed/monthly/2026-09"
    assert "ZeroDivisionError" in (evidence / "30_page.ipynb").read_text()
    index = project.output / "index.html"
    assert "The last run for September 2026 failed" in index.read_text()
    assert "ZeroDivisionError" not in index.read_text()
    page.write_text(kept)
    publish()
    assert not evidence.exists()
    assert "The last run" not in index.read_text()


def test_stopping_verdict_publishes_nothing(project, publish, earlier):
    """When the data may not be published nothing after validation runs, and the message names the page on why."""
    validate = project.notebooks / "10_validate.ipynb"
    allowed = validate.read_text()
    write_notebook(validate, STANDARD + 'decision = "stop"', VERDICT)
    write_notebook(project.notebooks / "20_measure.ipynb", STANDARD, "raise SystemError")
    pages = []
    for _ in range(2):
        with pytest.raises(GateError, match="small 2026-09 is stopped") as stopped:
            publish()
        [page] = re.findall(r"data/failed/\S+\.html", stopped.value.do)
        pages.append((project.root / page).read_bytes())
    assert pages[0] == pages[1]
    assert b"10_validate" in pages[0]
    assert packs(project) == earlier
    assert (project.root / "data/failed/monthly/2026-09/10_validate.ipynb").is_file()
    validate.write_text(allowed)
    write_notebook(project.notebooks / "20_measure.ipynb", STANDARD, "assert period")
    publish()
    assert not (project.root / page).exists()


def test_files_that_cannot_be_read_mark_the_period_that_was_due(project, publish, monkeypatch):
    """When reading stops, the archive says so at the last complete period by the day of the exports, with no reason."""

    def stop(*_):
        raise GateError(found="a secret", expected="files", do="deliver them")

    monkeypatch.setattr(publishing.sources, "ingest", stop)
    with pytest.raises(GateError, match="a secret"):
        publish(period=None)
    page = (project.output / "monthly" / "2026-09.html").read_text()
    assert "September 2026: stopped, because the data as of 2 October 2026 did not pass the checks." in page
    assert "secret" not in page
    assert not packs(project)


def test_file_in_the_way_of_the_output_is_found_before_the_work(project, publish):
    """An output folder that cannot be written stops the run before the delivered files are read."""
    project.output.write_text("a file")
    told = []
    with pytest.raises(RunError, match="File exists at `reports/output`"):
        publish(tell=told.append)
    assert told == []


# --- audiences ---


@pytest.fixture
def regional(project):
    """Give the report a pack for each of three regions, of which measuring leaves figures."""
    lines = REPORT.replace("segments: []", "segments: [region]").splitlines()
    (project.definitions / "monthly.yml").write_text("\n".join([*lines, "audiences: {by: region}"]))
    project.segments.write_text("segments: [{id: region, title: Region, column: region}]")
    write_notebook(project.notebooks / "20_measure.ipynb", STANDARD, MEASURE)
    return project


MEASURE = """
import json
from pathlib import Path
whole = Path("data/measured/monthly") / period
for audience in ("", "east", "north", "x"):
    folder = whole / audience
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "estimates.parquet").write_bytes(audience.encode())
    told = dict(id=audience, title=audience.upper() + " <i>", by="region", levels=[audience])
    if audience:
        (folder / "audience.json").write_text(json.dumps(told))
"""


def fail_for(project, audience):
    """Let the page of one audience raise."""
    parameters = f'{STANDARD}audience = ""\nfails = "{audience}"'
    write_notebook(project.notebooks / "30_page.ipynb", parameters, "assert audience != fails")


def test_every_audience_has_a_pack_of_its_own_or_nobody_has_one(regional, publish):
    """A page that fails for the last audience publishes nothing; then each has page, PDF, notebooks and estimates."""
    fail_for(regional, "x")
    with pytest.raises(RunError, match="raised AssertionError"):
        publish()
    assert not packs(regional)
    evidence = regional.root / "data/failed/monthly/2026-09"
    assert "AssertionError" in (evidence / "x" / "30_page.ipynb").read_text()
    assert (evidence / "10_validate.ipynb").is_file()
    fail_for(regional, "nobody")
    told = regional.published("monthly", MONTHS[1]) / "east"
    told.mkdir(parents=True)
    for name in ("audience.json", "estimates.parquet"):
        shutil.copyfile(regional.measured("monthly", MONTHS[2], "east") / name, told / name)
    publish()
    pack = regional.published("monthly", MONTHS[2])
    record = json.loads((pack / "run.json").read_text())
    assert "reports/output/monthly/2026-08/east/estimates.parquet" in record["inputs"]["definitions"]
    assert "data/measured/monthly/2026-09/east/estimates.parquet" in record["measured"]
    own = ["audience.json", "estimates.parquet", "notebooks/30_page.ipynb", "report.html", "report.pdf", "tables.xlsx"]
    for audience in ("east", "north", "x"):
        assert sorted(contents(pack / audience)) == own
        assert (pack / audience / "estimates.parquet").read_text() == audience
        page = (pack / audience / "report.html").read_text()
        assert f"Customer experience&#58; {audience.upper()} &#60;i&#62;" in page
        assert (
            f"<summary>{audience.upper()} &lt;i&gt;</summary>" in (regional.output / "monthly/2026-09.html").read_text()
        )
    assert "report.html" in contents(pack / "all")
    assert "audience.json" not in contents(pack / "all")
    assert sorted(path.name for path in pack.iterdir()) == ["all", "east", "north", "run.json", "x"]


@pytest.mark.skipif(confine.unsupported()["files"] != "", reason="no limit on files here")
def test_page_of_an_audience_cannot_read_the_figures_of_another(regional, publish):
    """Its kernel reads its own figures, not those of others or of everybody, and files that the report names."""
    parameters = f'{STANDARD}audience = ""\nother = "x"'
    source = (
        "from pathlib import Path\nwhole = Path('data/measured/monthly') / period\n"
        "own = (whole / audience / 'estimates.parquet').read_text()\n"
        "assert own == audience\nif audience: (whole / other / 'estimates.parquet').read_text()"
    )
    write_notebook(regional.notebooks / "30_page.ipynb", parameters, source)
    for other in ("x", "."):
        with pytest.raises(RunError, match=r"PermissionError.*, for `east`, `north`") as refused:
            publish(parameters={"other": other})
        assert "`reads`" in refused.value.do
    definition = regional.definitions / "monthly.yml"
    definition.write_text(
        definition.read_text()
        + "\nreads: [data/measured/monthly/*/*/estimates.parquet, data/measured/monthly/*/estimates.parquet]\n"
    )
    publish()


def test_pages_of_audiences_must_take_the_audience(regional, publish):
    """A present notebook without the parameter would show everybody's figures to an audience."""
    write_notebook(regional.notebooks / "30_page.ipynb", STANDARD)
    with pytest.raises(DefinitionError, match="notebook `30_page` declares no parameter `audience`"):
        publish()


# --- what is not made again ---


@pytest.fixture
def steps(publish):
    """Return a function that runs the report and returns the steps that were done."""

    def steps(**settings):
        told = []
        publish(tell=told.append, **settings)
        return done(told)

    return steps


def test_run_without_changes_leaves_the_issue_as_it_is(project, steps):
    """Nothing is done, and not a byte of the archive changes, not even the time of the run."""
    steps()
    earlier = contents(project.output)
    assert steps() == ["Nothing has changed since the issue for 2026-09 was made"]
    assert contents(project.output) == earlier


@pytest.mark.parametrize(
    ("path", "follows"),
    [
        ("notebooks/30_page.ipynb", ["30_page", "report", "exports"]),
        ("notebooks/20_measure.ipynb", ["20_measure", "report", "exports"]),
        ("reports/theme/report.css", ["data-quality", "report", "exports"]),
        ("reports/definitions/monthly.yml", ["20_measure", "30_page", "report", "exports"]),
        ("reports/kpis/nps.yml", ["20_measure", "30_page", "report", "exports"]),
        ("reports/datasets/small.yml", [*FIRST, "30_page", "report", "exports"]),
        ("expectations/suites/responses.json", ["10_validate", "data-quality", "20_measure", "30_page"]),
    ],
)
def test_only_what_a_change_concerns_is_made_again(project, steps, path, follows):
    """A changed page, look, definition or rule leads to the steps that follow from it, and to no others."""
    changed = project.root / path
    changed.parent.mkdir(parents=True, exist_ok=True)
    if not changed.exists():
        changed.write_text("{}")
    steps()
    changed.write_text(changed.read_text() + " \n")
    again = steps()
    assert [step for step in again if step in follows] == [step for step in follows if step in again]
    assert set(again) <= {*follows, "report", "exports"}
    assert again[0] == follows[0]


def test_changed_file_of_an_issue_is_made_again(project, publish, steps):
    """A file that somebody changed or deleted is what it was after the next run; the rest is taken over."""
    published = publish()
    before = {name: content for name, content in packs(project).items() if not name.endswith("run.json")}
    published.pdf.unlink()
    published.html.write_text("changed by hand")
    assert steps() == ["report"]
    assert {name: content for name, content in packs(project).items() if not name.endswith("run.json")} == before


def test_run_can_be_forced(steps):
    """With `force` every step is done again."""
    first = steps()
    assert steps(force=True) == first


def test_changed_figures_of_an_audience_redo_its_pack_only(regional, steps):
    """What the others show does not change, so their pages and files are taken over."""
    fail_for(regional, "nobody")
    steps()
    measure = regional.notebooks / "20_measure.ipynb"
    measure.write_text(measure.read_text().replace("audience.encode()", "(audience * 2).encode()"))
    only = measure.read_text().replace("(audience * 2)", "(audience * (1 + (audience == 'east')))")
    measure.write_text(only)
    pages = ["30_page for east", "report for east", "exports for east"]
    assert steps() == ["20_measure", *pages]


def test_what_a_failed_run_finished_is_taken_over(regional, steps):
    """After a failing page is mended only that page and what follows from it is made."""
    fail_for(regional, "x")
    with pytest.raises(RunError):
        steps()
    page = regional.notebooks / "30_page.ipynb"
    page.write_text(page.read_text().replace('fails = \\"x\\"', 'fails = \\"nobody\\"'))
    assert set(steps()) >= {"30_page for x", "report for x"}
    fail_for(regional, "")
    with pytest.raises(RunError):
        steps(parameters={"fails": "east"})
    assert set(steps(parameters={"fails": "nobody"})) >= {"30_page for east"}


def test_every_page_that_fails_is_told(regional, publish):
    """All failing pages are named with their cell and cause, and their executed notebooks are kept."""
    parameters = f'{STANDARD}audience = ""'
    write_notebook(regional.notebooks / "30_page.ipynb", parameters, "assert audience in ('', 'x')")
    with pytest.raises(RunError, match=r"cell 3 raised AssertionError, for `east`, `north`"):
        publish()
    cells = ["assert audience != 'east'", "1 / (audience != 'north')"]
    write_notebook(regional.notebooks / "30_page.ipynb", parameters, *cells)
    told = r"2 pages .*30_page for east: .*cell 3 raised Assert.*; 30_page for north: .*cell 4 raised ZeroDivision"
    with pytest.raises(RunError, match=told):
        publish()
    evidence = regional.root / "data/failed/monthly/2026-09"
    assert all((evidence / audience / "30_page.ipynb").is_file() for audience in ("east", "north"))


@pytest.mark.parametrize("failing", ["31_more", "30_page"])
def test_pack_without_a_page_is_published_where_the_report_allows_it(project, publish, failing):
    """Its title and its foot say so; nothing is published without the first page."""
    definition = project.definitions / "monthly.yml"
    definition.write_text(REPORT.replace("[30_page]", "[30_page, 31_more]") + "partial: true\n")
    for name in ("30_page", "31_more"):
        write_notebook(project.notebooks / f"{name}.ipynb", STANDARD, "1/0" if name == failing else "1")
    if failing == "30_page":
        with pytest.raises(RunError, match="ZeroDivisionError"):
            publish()
        assert not packs(project)
        return
    page = publish().html.read_text()
    assert "Customer experience &#40;incomplete&#41;" in page
    assert "Missing from this report\n:   31&#95;more" in page
    pack = project.published("monthly", MONTHS[2])
    assert set(json.loads((pack / "run.json").read_text())["outputs"]) == set(contents(pack)) - {"run.json"}
    assert "31_more" not in "".join(contents(pack))
    assert "ZeroDivisionError" in (project.root / "data/failed/monthly/2026-09/31_more.ipynb").read_text()
    write_notebook(project.notebooks / "31_more.ipynb", STANDARD, "1")
    assert "incomplete" not in publish().html.read_text()
    assert not (project.root / "data/failed/monthly/2026-09").exists()


# --- periods ---


@pytest.mark.parametrize(("kind", "wanted"), [("quarter", "2026-Q3"), ("month", "2026-08")])
def test_wanted_period_is_taken_when_responses_reach_its_last_month(project, kind, wanted):
    """A quarter may lack responses of its first months, which the checks judge."""
    (project.definitions / "monthly.yml").write_text(REPORT + f"period_kind: {kind}\n")
    report, dataset = load_report(project, "monthly"), load_dataset(project, "small")
    assert publishing.choose_period(project, report, dataset, Period.parse(wanted), AS_OF).id == wanted


@pytest.mark.parametrize(
    ("kind", "wanted", "range"),
    [
        ("quarter", "2026-Q4", "`2026-Q3` to `2026-Q3`"),
        ("year", "2026", "a year that is over"),
        ("week", "2026-W50", "W"),
    ],
)
def test_period_that_is_not_over_is_refused(project, kind, wanted, range):  # noqa: A002 - a parameter
    """Months that are still to come would make a quarter or year of less than its months."""
    (project.definitions / "monthly.yml").write_text(REPORT + f"period_kind: {kind}\n")
    report, dataset = load_report(project, "monthly"), load_dataset(project, "small")
    with pytest.raises(UsageError, match=range):
        publishing.choose_period(project, report, dataset, Period.parse(wanted), AS_OF)


@pytest.mark.parametrize("stated", ["as_of: 2026-10-31", ""])
def test_as_of_date_decides_the_default_period(project, monkeypatch, stated):
    """The run's as-of date tells how far the data reach, whether or not the dataset states another."""
    (project.datasets / "small.yml").write_text(DATASET + stated)
    seen = []

    def last_complete_period(_project, _dataset, _kind, as_of):
        seen.append(as_of)
        return MONTHS[0]

    monkeypatch.setattr(publishing.sources, "last_complete_period", last_complete_period)
    report, dataset = load_report(project, "monthly"), load_dataset(project, "small")
    publishing.choose_period(project, report, dataset, None, AS_OF)
    assert seen == [AS_OF]


# --- a backfill ---


@pytest.fixture
def backfill(project, renderer):  # noqa: ARG001 - the renderer is put in place
    """Return a function that publishes the report's periods from July 2026 on."""

    def backfill(since="2026-07", until=None, *, again=False):
        return publishing.backfill(
            project,
            load_report(project, "monthly"),
            Period.parse(since),
            Period.parse(until) if until else None,
            again=again,
            as_of=AS_OF,
            renderer="auto",
            clock=lambda: STARTED,
            tell=lambda _: None,
        )

    return backfill


def outcomes_of(outcomes):
    """Return what came of each period, in the order in which they were published."""
    return [
        (each.period.id, "failed" if each.error else "published" if each.published else "left alone")
        for each in outcomes
    ]


def test_backfill_publishes_what_it_can_and_goes_on_where_it_ended(project, backfill, monkeypatch):
    """August fails and is kept as evidence; the others appear, and a second call makes August only."""
    page = project.notebooks / "30_page.ipynb"
    write_notebook(page, STANDARD + "as_of = ''", "assert period != '2026-08'")
    read = []
    monkeypatch.setattr(publishing.sources, "ingest", lambda *of: read.append(1) or ingest(*of))
    assert outcomes_of(backfill()) == [("2026-07", "published"), ("2026-08", "failed"), ("2026-09", "published")]
    assert len(read) == 1
    assert (project.failed / "monthly" / "2026-08").is_dir()
    write_notebook(page, STANDARD + "as_of = ''", "assert period")
    assert outcomes_of(backfill()) == [("2026-07", "left alone"), ("2026-08", "published"), ("2026-09", "left alone")]
    assert outcomes_of(backfill(until="2026-07", again=True)) == [("2026-07", "published")]


def test_backfill_lets_each_issue_see_the_earlier_ones(project, backfill):
    """What July told is an input of August, and both of September."""
    for month in MONTHS[:3]:
        measured = project.measured("monthly", month) / "estimates.parquet"
        measured.parent.mkdir(parents=True)
        measured.write_bytes(b"estimates")
    backfill()
    inputs = [
        json.loads((project.published("monthly", month) / "run.json").read_text())["inputs"]["definitions"]
        for month in MONTHS[:3]
    ]
    assert [sum("estimates.parquet" in path for path in each) for each in inputs] == [0, 1, 2]


def test_backfill_from_before_the_data_is_refused(project, backfill):
    """A period that nothing was delivered for is a wrong wish, and nothing is published."""
    with pytest.raises(UsageError, match="`2026-07` to `2026-10`"):
        backfill("2025-01")
    assert not (project.output / "monthly").exists()


# --- the sample company ---


@pytest.fixture
def sample(project, monkeypatch):
    """Point the dataset at data/sample/ and count how often its files are written."""
    written = []

    def write(folder, **_):
        written.append(folder)
        (folder / "survey").mkdir(parents=True)
        (folder / "survey" / "a.csv").write_text("a")
        return [folder / "survey" / "a.csv"]

    feed = "[{id: survey, adapter: mapped, files: 'survey/*.csv', owner: us}]"
    text = DATASET.replace("raw: raw", "raw: data/sample").replace("feeds: []", f"feeds: {feed}")
    (project.datasets / "small.yml").write_text(text)
    monkeypatch.setattr("cxreport.sample.write_sample", write)
    return written


def test_sample_is_written_once_and_never_over_changed_files(project, sample):
    """Absent sample files are written; files that are there are left alone, changed or not."""
    dataset = load_dataset(project, "small")
    for content in ("a", "changed"):
        publishing.provide_sample(project, dataset, lambda _: None)
        (project.sample / "survey" / "a.csv").write_text(content)
    publishing.provide_sample(project, dataset, lambda _: None)
    assert sample == [project.sample]
    assert (project.sample / "survey" / "a.csv").read_text() == "changed"


def test_other_datasets_get_no_sample(project):
    """A dataset whose files are missing elsewhere is not helped out with invented ones."""
    publishing.provide_sample(project, load_dataset(project, "small"), lambda _: None)
    assert not project.sample.exists()


def test_index_skips_hidden_folders_of_a_run_at_work(project, publish):
    """A pack that is being built is not listed."""
    publish()
    shutil.copytree(project.output / "monthly", project.output / ".building-monthly-2026-09-1" / "monthly")
    assert len(archive.read_issues(project.output)) == 1
