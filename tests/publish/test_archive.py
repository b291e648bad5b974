"""The archive page lists every whole issue and nothing else."""

import json
from html.parser import HTMLParser

import pytest

from cxreport.errors import UsageError
from cxreport.publish import archive


def add(output, report, period, /, **changes):
    """Write an issue as a run leaves it."""
    pack = output / report / period
    (pack / "all").mkdir(parents=True)
    record = {
        "report": report,
        "period": period,
        "title": f"Title of {report}",
        "organisation": "Halden",
        "as_of": "2026-10-02",
        "decision": "publish",
    }
    (pack / "run.json").write_text(json.dumps(record | changes))
    for name in ("report.html", "report.pdf"):
        (pack / "all" / name).write_text(name)
    return pack


class Reader(HTMLParser):
    """Collects links, elements and text, and checks that elements close in order."""

    def __init__(self):
        super().__init__()
        self.links, self.elements, self.text, self._open = [], [], "", []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.links += [value for name, value in attributes if tag == "a" and name == "href"]
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(output):
    archive.write_index(output)
    reader = Reader()
    reader.feed((output / "index.html").read_text(encoding="utf-8"))
    return reader


def test_issues_stand_newest_first_with_links_that_lead_to_files(tmp_path):
    """Every issue has its page, PDF and record; the newest of a report stands first."""
    for report, period in (("sfo", "2017-05"), ("monthly", "2026-08"), ("monthly", "2026-10"), ("monthly", "2026-09")):
        add(tmp_path, report, period)
    page = read(tmp_path)
    pages = [link for link in page.links if link.endswith("html")]
    assert pages == [
        "monthly/2026-10/all/report.html",
        "monthly/2026-09/all/report.html",
        "monthly/2026-08/all/report.html",
        "sfo/2017-05/all/report.html",
    ]
    assert len(page.links) == 12
    assert all((tmp_path / link).is_file() for link in page.links)


def test_data_quality_page_is_linked_where_an_issue_has_one(tmp_path):
    """Issues that were published with a data-quality page link to it; older ones have no dead link."""
    add(tmp_path, "monthly", "2026-08")
    page = add(tmp_path, "monthly", "2026-09") / "all" / "data-quality.html"
    page.write_text("page")
    assert [tmp_path / link for link in read(tmp_path).links if "quality" in link] == [page]


def test_foreign_and_broken_folders_are_ignored(tmp_path):
    """Folders that are no whole issue of their report and period are left out."""
    add(tmp_path, "monthly", "2026-09")
    add(tmp_path, "monthly", "2026-08", period="2026-07")
    add(tmp_path, "monthly", "latest")
    add(tmp_path, "copied", "2026-09", report="monthly")
    add(tmp_path, "monthly", ".replaced-2026-06")
    (add(tmp_path, "monthly", "2026-05") / "run.json").write_text("[]")
    (add(tmp_path, "monthly", "2026-04") / "all" / "report.pdf").unlink()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "2026-09").write_text("a file")
    assert [issue.folder for issue in archive.read_issues(tmp_path)] == [tmp_path / "monthly" / "2026-09"]


def test_text_of_definitions_is_escaped(tmp_path):
    """Titles and decisions are text, whatever they hold."""
    add(tmp_path, "monthly", "2026-09", title="<script>x</script> & more", decision="<b>stop</b>")
    page = read(tmp_path)
    assert "<script>x</script> & more" in page.text
    assert not {"script", "b"} & {tag for tag, _ in page.elements}


def test_page_is_self_contained_and_accessible(tmp_path):
    """The page has a language, one main part, scoped headers, links told apart, and fetches nothing."""
    add(tmp_path, "monthly", "2026-09")
    page = read(tmp_path)
    assert ("html", {"lang": "en"}) in page.elements
    assert sum(tag == "main" for tag, _ in page.elements) == 1
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in page.elements if tag == "th")
    assert "Report of September 2026" in page.text
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.elements}
    assert "http" not in (tmp_path / "index.html").read_text()


def test_same_issues_give_the_same_bytes(tmp_path):
    """The page depends on the issues only, not on the order in which they came."""
    for name, periods in (("one", ("2026-08", "2026-09")), ("other", ("2026-09", "2026-08"))):
        for period in periods:
            add(tmp_path / name, "monthly", period)
        archive.write_index(tmp_path / name)
    assert (tmp_path / "one" / "index.html").read_bytes() == (tmp_path / "other" / "index.html").read_bytes()


def test_empty_archive_says_so(tmp_path):
    """Before the first issue the page is still a page."""
    assert "No report has been published yet." in read(tmp_path).text


def test_newest_or_named_issue_is_found(tmp_path):
    """Without a period the newest issue of the report is found; an unknown one names those there are."""
    with pytest.raises(UsageError, match="publish it with `cxreport run --report monthly`"):
        archive.find_issue(tmp_path, "monthly")
    for period in ("2026-08", "2026-09"):
        add(tmp_path, "monthly", period)
    assert archive.find_issue(tmp_path, "monthly").period.id == "2026-09"
    assert archive.find_issue(tmp_path, "monthly", "2026-08").period.id == "2026-08"
    with pytest.raises(UsageError, match="one of `2026-08`, `2026-09`"):
        archive.find_issue(tmp_path, "monthly", "2026-07")
