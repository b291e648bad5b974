"""Every published page in Chromium: accessible, light, quiet, and as narrow as a phone; every PDF by its checker."""

import itertools
from importlib.metadata import PackageNotFoundError, files

import pdfua
import pytest

MOST_BYTES = 1_500_000
PHONE, DESKTOP = {"width": 390, "scheme": "dark"}, {"width": 1280, "scheme": "light"}
LEVELS = "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(each => Number(each.tagName[1]))"
WIDTHS = "[document.scrollingElement.scrollWidth, innerWidth]"
# Of each violation its rule, what to do, and the first elements that break it.
AXE = """axe.run(document, {resultTypes: ["violations"], rules: {"color-contrast": {enabled: %s}}}).then(found =>
    found.violations.map(each => [each.id, each.help, each.nodes.slice(0, 3).map(node => node.html)]))"""


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core, as a wheel carries it."""
    try:
        held = files("axe-playwright-python")
    except PackageNotFoundError:
        pytest.skip("axe-playwright-python is not installed: accessibility of pages is not checked")
    [path] = [path for path in held if path.name == "axe.min.js"]
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def opened(chromium, axe):
    """Return a function that opens a page and demands what holds of every page, among it what axe-core checks."""

    def opened(path, how, *, contrast=True):
        with chromium.open(path, trusting=True, **how) as page:
            assert (page.requests, page.said) == ([], []), path
            levels = page.run(LEVELS)
            assert levels[0] == 1, path
            assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels)), path
            assert page.run(WIDTHS) == [how["width"]] * 2, path
            page.run(f"{axe}; 0")
            assert page.run(AXE % str(contrast).lower()) == [], path
        assert path.stat().st_size < MOST_BYTES, path

    return opened


def pages(made):
    """Return the pages of an archive; what only leads on to another one is none."""
    return sorted({*made.project.output.rglob("*.html")} - {*made.project.output.rglob("latest.html")})


def test_browser_sees_what_is_wrong_with_a_page(opened, tmp_path):
    """A page that asks, writes, is too wide, skips a level of headings, or breaks a rule of axe-core fails."""
    head = "<!DOCTYPE html><html lang=en><title>x</title><main><h1>x</h1>"
    wrong = {
        "asks": "<img alt=x src=http://127.0.0.1:9/x.png>",
        "writes": "<script>console.log(1)</script>",
        "skips": "<h3>y</h3>",
        "wide": "<p style='width: 2000px'>x",
        "unnamed": "<img src=data:,x>",
        "pale": "<p style='color: #ccc; background: #fff'>pale words",
    }
    for name, body in wrong.items():
        path = tmp_path / f"{name}.html"
        path.write_text(f"{head}{body}</main></html>", encoding="utf-8")
        with pytest.raises(AssertionError):
            opened(path, DESKTOP)
    path.write_text(f"{head}</main></html>", encoding="utf-8")
    opened(path, DESKTOP)


@pytest.mark.parametrize(
    ("name", "how"),
    [("small", DESKTOP), ("small", PHONE), ("german", PHONE), pytest.param("german", DESKTOP, marks=pytest.mark.soak)],
)
def test_pages_of_an_archive_are_for_everyone(request, opened, name, how):
    """All pages of an archive, in English and in German, for everybody and for an audience, light and dark."""
    made = request.getfixturevalue(name)
    found = pages(made)
    assert len({path.name for path in found}) >= 3
    assert (len([path for path in found if path.name == "report.html"]) > 1) is (name == "german")
    for path in found:
        opened(path, how)


@pytest.mark.parametrize("how", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_whole_report_is_for_everyone(pack, opened, how):
    """The sample company's report with all chapters; its contrasts, which take long, in long campaigns."""
    opened(pack.html, how, contrast=False)


@pytest.mark.soak
@pytest.mark.parametrize("how", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["pack", "sfo"])
def test_contrasts_of_whole_reports(request, opened, name, how):
    """No text of the sample company's report and of the real survey's is too pale for its ground."""
    opened(request.getfixturevalue(name).html, how)


@pytest.mark.parametrize("name", ["small", "german", "attacked"])
def test_every_pdf_is_for_everyone(request, name):
    """Reports and their first pages alone, in English and in German, for an audience too, pass PDF/UA."""
    found = sorted(request.getfixturevalue(name).project.output.rglob("*.pdf"))
    assert {path.name for path in found} == {"report.pdf", "executive.pdf"}
    assert len(found) == (4 if name == "german" else 2)
    for path in found:
        assert pdfua.validate(str(path)).findings == (), path
