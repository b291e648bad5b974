"""Whatever happens to kernels, each page shows its own audience, and a chart in the wrong place is always found."""

import json
import random
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import combinations, cycle, islice
from pathlib import Path

import psutil
import pytest

from cxreport.config import EVERYBODY, Project
from cxreport.errors import RunError
from cxreport.periods import Period
from cxreport.present.identity import MARK, Mark
from cxreport.present.words import ENGLISH, Words
from cxreport.publish import document, identity, pdf
from cxreport.publish.embedded import Embedded
from cxreport.publish.execution import epoch

REGIONS = ("north", "east", "south", "west", "central")
AUDIENCES, PAGES = 49, 1000  # audiences beside everybody; pages to be made under disturbances
KILLED = 0.15  # of the kernels that are disturbed
EVERY, LONGEST = 0.4, 1.0  # seconds between disturbances on average, and that a kernel is held up
WARM = "cxreport.publish.kernels.parent"
PREPARE = ("10_validate", "20_measure", "data-quality")
FRAGMENT = re.compile(r"<svg\b.*?</svg>|<table\b.*?</table>", re.DOTALL)
SWAPS = 200  # in executed notebooks and in pages; a tenth as many in PDFs, which must be rendered


# --- disturbances --------------------------------------------------------------------------------


def kernels(run):
    """Return the processes that were forked by warm parents of a run."""
    family = psutil.Process(run.pid).children(recursive=True)
    warm = {process.pid for process in family if WARM in process.cmdline()}
    return [process for process in family if {process.pid, process.ppid()} <= warm]


@contextmanager
def disturbed(run, seeded):
    """Kill some kernels of a run and hold others up until the block ends; yields the ids of those that were killed."""
    ended, killed = threading.Event(), []

    def disturb():
        while not ended.wait(seeded.expovariate(1 / EVERY)):
            with suppress(psutil.Error, IndexError):  # it ended this moment, or there is none
                kernel = seeded.choice(kernels(run))
                if seeded.random() < KILLED:
                    kernel.kill()
                    killed.append(kernel.pid)
                else:
                    kernel.suspend()
                    time.sleep(seeded.uniform(0, LONGEST))
                    kernel.resume()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


# --- whose pages ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pack:
    """A published pack of a project, with the mark that all that it shows must carry."""

    project: Project
    folder: Path

    @property
    def mark(self):
        audience = self.folder.name if self.folder.name != EVERYBODY else ""
        report, period = self.folder.parts[-3:-1]
        return Mark.of(self.project, report, Period.parse(period), audience)

    @property
    def html(self):
        return self.folder / "report.html"

    @property
    def notebooks(self):
        return sorted((self.folder / "notebooks").glob("*.ipynb"))

    @property
    def document(self):
        """The document that its page and its PDF show."""
        words = Words.open(self.project, ENGLISH)
        pages = [path for path in self.notebooks if path.stem not in PREPARE]
        merged = document.merge(pages, words=words, title="T", subtitle="S", provenance={})
        identity.complete(merged, self.mark)
        return merged


def packs(project, issue):
    """Return the packs of an issue."""
    return [Pack(project, path.parent) for path in sorted(issue.glob("*/report.html"))]


def strangers(pack):
    """Return the marks in a pack's page and PDF that are not its own; demand that there are some of its own."""
    marks = [found[0] for found in MARK.finditer(pack.html.read_text(encoding="utf-8"))]
    marks += pdf.read((pack.folder / "report.pdf").read_bytes()).pictures
    own = pack.mark
    assert len(marks) > 10
    return [mark for mark in marks if not own.is_on(mark)]


@pytest.fixture
def many(write_project, company, tmp_path):
    """A company with packs for many groups of regions, published undisturbed."""
    several = cycle(levels for size in range(1, 6) for levels in combinations(REGIONS, size))
    groups = {
        f"group_{number}": {"title": f"Group {number}", "levels": [*levels]}
        for number, levels in enumerate(islice(several, AUDIENCES), start=1)
    }
    project = write_project(tmp_path / "many", groups)
    large = company.moved(project, project.root)
    large.publish()
    return large


def forget_pages(company):
    """Let all pages and files of packs count as not made; returns how many pages that are."""
    issue = company.project.cache / "monthly" / "2026-09"
    records = [path for path in issue.rglob("*.json") if path.stem not in {*PREPARE, "why"}]
    for record in records:
        record.unlink()
    return sum(record.stem[:2].isdigit() for record in records)


@pytest.mark.soak
def test_pages_are_their_own_audience_s_whatever_happens_to_kernels(many):
    """A thousand pages made while kernels die and stand still: the same pages as undisturbed, and no chart astray."""
    seeded = random.Random(20260904)
    undisturbed = many.published()
    made = killings = 0
    while made < PAGES:
        made += forget_pages(many)
        code = None
        while code != 0:
            with many.start() as run, disturbed(run, seeded) as killed:
                _, told = run.communicate()
            code = run.returncode
            killings += len(killed)
            assert code in {0, 1}
            if code:
                assert killed
                assert "Found:" in told
                assert "the kernel of notebook" in told
        assert many.differing(undisturbed) == []
        for pack in packs(many.project, many.project.output / "monthly" / "2026-09"):
            assert strangers(pack) == []
    assert killings > made / 100
    many.require_no_process()


# --- swapped charts ------------------------------------------------------------------------------


def charts(notebook):
    """Return the outputs of a notebook or document that are charts."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return [output["data"] for output in outputs if document.SVG in output.get("data", {})]


def swap_in_notebook(seeded, own, other, folder):
    """Put a chart of another pack into an executed notebook, and check it before it is rendered."""
    pages = [path for path in own.notebooks if charts(json.loads(path.read_bytes()))]
    page = seeded.choice([path for path in pages if path.stem not in PREPARE])
    notebook, theirs = (json.loads((pack.folder / "notebooks" / page.name).read_bytes()) for pack in (own, other))
    seeded.choice(charts(notebook))[document.SVG] = seeded.choice(charts(theirs))[document.SVG]
    swapped = folder / page.name
    swapped.write_text(json.dumps(notebook), encoding="utf-8")
    identity.require_own([swapped], own.mark)


def swap_in_page(seeded, own, other, folder):
    """Put a chart or table of another pack into a rendered page, and check it."""
    page, theirs = (pack.html.read_text(encoding="utf-8") for pack in (own, other))
    place = seeded.choice(list(FRAGMENT.finditer(page)))
    swapped = folder / "report.html"
    fragment = seeded.choice(FRAGMENT.findall(theirs))
    swapped.write_text(page[: place.start()] + fragment + page[place.end() :], encoding="utf-8")
    identity.check(own.document, swapped, None)


def swap_in_pdf(seeded, own, other, folder):
    """Render a PDF with a chart of another pack, and check it against the page."""
    swapped = own.document
    seeded.choice(charts(swapped))[document.SVG] = seeded.choice(charts(other.document))[document.SVG]
    document.write(swapped, folder / "report.ipynb")
    html, print_ = folder / "report.html", folder / "report.pdf"
    stamp = epoch(Period.parse("2026-09").end)
    Embedded().render(folder / "report.ipynb", html=html, pdf=print_, project=own.project, timestamp=stamp)
    identity.check(own.document, own.html, print_)


@pytest.mark.parametrize("swaps", [20, pytest.param(SWAPS, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("swap", "share"), [(swap_in_notebook, 1), (swap_in_page, 1), (swap_in_pdf, 0.1)])
def test_swapped_chart_is_found_every_time(german, tmp_path, swaps, swap, share):
    """A chart that is put from one audience's pack into another's is found in notebooks, pages and PDFs."""
    seeded = random.Random(swaps)
    published = packs(german.project, german.folder)
    for _ in range(round(swaps * share)):
        own, other = seeded.sample(published, 2)
        with pytest.raises(RunError, match="cx:monthly:2026-09:"):
            swap(seeded, own, other, tmp_path)
