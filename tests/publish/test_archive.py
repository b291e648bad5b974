"""The archive lists every whole issue, finds it, says what changed, and shows what is missing, without a server."""

import json
import re
import shutil
from datetime import date, datetime
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from cxreport.config import Project, load_report
from cxreport.errors import DefinitionError, GateError, RunError, UsageError
from cxreport.periods import Period
from cxreport.publish import archive

ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">&amp;\u202e\x00 end"
HOSTILE_SHOWN = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">&amp; end"
HEADLINES = {"2026-09": "NPS fell 8 points to 19 (95% interval 16 to 23).", "2026-08": "NPS is 27, café and all."}


@pytest.fixture
def project(tmp_path):
    """A project without anything published."""
    (tmp_path / "reports" / "definitions").mkdir(parents=True)
    return Project(tmp_path)


def add(project, report, period, /, audiences=(), moves=(), **changes):
    """Write an issue as a run leaves it."""
    pack = project.output / report / period
    record = {
        "report": report,
        "period": period,
        "title": f"Title of {report}",
        "organisation": "Halden",
        "language": "en",
        "as_of": "2026-10-02",
        "decision": "publish",
        "finished": "2026-10-05T08:31:00+02:00",
        "inputs": {"feeds": {"survey/s.csv": "1"}, "definitions": {"reports/kpis/nps.yml": "1"}},
        "software": {"cxreport": "1", "renderer": {"name": "embedded"}},
    }
    for audience, title in {"all": "", **dict(audiences)}.items():
        (pack / audience).mkdir(parents=True)
        for name in ("report.html", "report.pdf", "tables.xlsx"):
            (pack / audience / name).write_text(name)
        summary = {
            "title": record["title"],
            "audience": title,
            "headline": [HEADLINES.get(period, f"Headline of {period}."), f"For {title}." if title else "For all."],
            "since": Period.parse(period).previous.id,
            "moves": [dict(zip(("look", "is_group", "text"), move, strict=True)) for move in moves],
            "unchanged": "No detectable change overall in 1 KPI: CSAT.",
            "kpis": {"nps": "Net Promoter Score", "csat": "Customer satisfaction"},
        }
        (pack / audience / "summary.json").write_text(json.dumps(summary))
        if title:
            told = {"id": audience, "title": title, "by": "region", "levels": ["x"]}
            (pack / audience / "audience.json").write_text(json.dumps(told))
    (pack / "run.json").write_text(json.dumps(record | changes))
    return pack


class Reader(HTMLParser):
    """Collects links, elements, ids and text, and checks that elements close in order."""

    def __init__(self, page):
        super().__init__()
        self.links, self.elements, self.text, self._open = [], [], "", []
        self.feed(page.read_text(encoding="utf-8"))
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.links += [value for name, value in attributes if tag == "a" and name == "href"]
        if tag not in {"meta", "link", "input", "img"}:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data if self._open and self._open[-1] not in {"script", "style"} else ""


@pytest.fixture
def read(project):
    """Return a function that writes the archive and reads one of its pages."""

    def read(page="index.html"):
        archive.write_site(project)
        return Reader(project.output / page)

    return read


@pytest.fixture
def find(project, browse):
    """Return a function that searches in a browser, by the address of the page, and returns what is shown."""

    def find(query):
        archive.write_site(project)
        shown = browse(f"{(project.output / 'index.html').as_uri()}#q={query}", "--dump-dom").stdout
        count = re.search(r'<p id="count" role="status">([^<]*)</p>', shown)[1]
        items = re.findall(r"<li>(.*?)</li>", re.search(r'<ol id="found">(.*?)</ol>', shown, re.DOTALL)[1])
        return shown, count, [(re.search(r'href="([^"]*)"', item)[1], re.sub(r"<[^>]*>", " ", item)) for item in items]

    return find


def texts(reader):
    """Return what a page says on one line."""
    return " ".join(reader.text.split())


# --- which issues there are ----------------------------------------------------------------------


def test_issues_stand_newest_first_with_links_that_lead_to_files(project, read):
    """Every issue has its page, report and PDF; the newest of a report stands first, and no link is dead."""
    for report, period in (("sfo", "2017-05"), ("monthly", "2026-08"), ("monthly", "2026-10"), ("monthly", "2026-09")):
        add(project, report, period)
    page = read()
    pages = [link for link in page.links if re.search(r"\d\.html$", link)]
    issues = ["monthly/2026-10", "monthly/2026-09", "monthly/2026-08", "sfo/2017-05"]
    assert list(dict.fromkeys(pages)) == [f"{issue}.html" for issue in issues]
    assert {link for link in page.links if link.endswith(".pdf")} == {f"{issue}/all/report.pdf" for issue in issues}
    for path in project.output.glob("**/*.html"):
        if path.parent.name != "all":
            own = [unquote(link.partition("#")[0]) for link in Reader(path).links]
            assert [link for link in own if link and not (path.parent / link).is_file()] == [], path


def test_foreign_and_broken_folders_are_ignored(project):
    """Folders that are no whole issue of their report and period are left out."""
    add(project, "monthly", "2026-09")
    add(project, "monthly", "2026-08", period="2026-07")
    add(project, "copied", "2026-09", report="monthly")
    shutil.copytree(project.output / "monthly" / "2026-09", project.output / "monthly" / "latest")
    shutil.copytree(project.output / "monthly" / "2026-09", project.output / "monthly" / ".replaced-2026-06")
    (add(project, "monthly", "2026-05") / "run.json").write_text("[]")
    (add(project, "monthly", "2026-04") / "all" / "report.pdf").unlink()
    (project.output / "notes").mkdir()
    (project.output / "notes" / "2026-09").write_text("a file")
    archive.write_site(project)
    assert [issue.folder for issue in archive.read_issues(project.output)] == [project.output / "monthly" / "2026-09"]


def test_issue_page_lists_what_the_pack_holds(project, read):
    """The files of everybody and of each audience are linked by what they are; those that are missing are not."""
    pack = add(project, "monthly", "2026-09", audiences={"north": "North", "east": "East"})
    (pack / "all" / "data-quality.html").write_text("page")
    page = read("monthly/2026-09.html")
    assert [link for link in page.links if link.startswith("2026-09/")] == [
        *(f"2026-09/all/{name}" for name in ("report.html", "report.pdf", "tables.xlsx", "data-quality.html")),
        *(f"2026-09/east/{name}" for name in ("report.html", "report.pdf", "tables.xlsx")),
        *(f"2026-09/north/{name}" for name in ("report.html", "report.pdf", "tables.xlsx")),
        "2026-09/run.json",
    ]
    assert "Data as of2 October 2026" in page.text
    assert {"for-north", "for-east"} <= {attributes.get("id") for _, attributes in page.elements}


def test_newest_or_named_issue_is_found(project):
    """Without a period the newest issue of the report is found; an unknown one names those there are."""
    with pytest.raises(UsageError, match="publish it with `cxreport run --report monthly`"):
        archive.find_issue(project.output, "monthly")
    for period in ("2026-08", "2026-09"):
        add(project, "monthly", period)
    assert archive.find_issue(project.output, "monthly").period.id == "2026-09"
    assert archive.find_issue(project.output, "monthly", "2026-08").period.id == "2026-08"
    with pytest.raises(UsageError, match="one of `2026-08`, `2026-09`"):
        archive.find_issue(project.output, "monthly", "2026-07")


def test_packs_of_earlier_versions_show_what_they_have(project, read):
    """Without a summary, or with a broken one, the issue is listed and its files are linked."""
    pack = add(project, "monthly", "2026-09", audiences={"north": "North"})
    (pack / "all" / "summary.json").unlink()
    (pack / "north" / "summary.json").write_text('{"headline": 3}')
    record = json.loads((pack / "run.json").read_text())
    for name in ("language", "finished", "inputs", "software"):
        del record[name]
    (pack / "run.json").write_text(json.dumps(record))
    assert "Title of monthly" in read().text
    page = texts(read("monthly/2026-09.html"))
    assert "North" in page
    assert "What changed" not in page
    assert "2026-10-01T00:00:00+00:00" in (project.output / "feed.xml").read_text()


def test_packs_are_left_as_they_were(project):
    """Writing the archive changes no published file."""
    pack = add(project, "monthly", "2026-09", audiences={"north": "North"})
    before = {path: path.read_bytes() for path in pack.rglob("*") if path.is_file()}
    archive.write_site(project)
    assert {path: path.read_bytes() for path in pack.rglob("*") if path.is_file()} == before


# --- before, after, and nothing ------------------------------------------------------------------


def test_each_issue_leads_to_those_before_and_after(project, read):
    """Previous and next are issues; periods between them that were not published are passed over."""
    for period in ("2026-05", "2026-08", "2026-09"):
        add(project, "monthly", period)
    links = {
        period: [link for link in read(f"monthly/{period}.html").links if re.fullmatch(r"[\d-]+\.html", link)]
        for period in ("2026-05", "2026-08", "2026-09")
    }
    assert links == {
        "2026-05": ["2026-08.html"],
        "2026-08": ["2026-05.html", "2026-09.html"],
        "2026-09": ["2026-08.html"],
    }


def test_latest_leads_to_the_newest_issue(project, read):
    """The address that never changes leads on by itself, and by a link."""
    add(project, "monthly", "2026-08")
    assert read("monthly/latest.html").links[-1] == "2026-08.html"
    add(project, "monthly", "2026-09")
    page = read("monthly/latest.html")
    assert page.links[-1] == "2026-09.html"
    assert ("meta", {"http-equiv": "refresh", "content": "0; url=2026-09.html"}) in page.elements


def test_periods_that_were_not_published_are_shown(project, read):
    """Stretches without an issue are named in the list, and each of their addresses says so."""
    for period in ("2026-04", "2026-08", "2026-10"):
        add(project, "monthly", period)
    page = texts(read())
    assert "May 2026 to July 2026not published" in page
    assert "September 2026not published" in page
    missing = texts(read("monthly/2026-06.html"))
    assert "June 2026: not published." in missing
    assert "The newest issue is that of October 2026." in missing


def test_failed_periods_are_shown_until_they_are_published(project, root, read):
    """A stopped and a failed run are told with the day of the data and what stands instead, and no reason in detail."""
    add(project, "monthly", "2026-09")
    report = load_report(Project(root), "monthly")
    secret = {"found": "jane@example.com", "expected": "", "do": ""}
    for period, error in (("2026-10", GateError(**secret)), ("2026-09", RunError(**secret))):
        archive.record_failure(project.failed / "monthly" / period, report, date(2026, 11, 2), error)
    page = read()
    stopped = "October 2026 stopped, because the data as of 2 November 2026 did not pass the checks"
    assert f"The last run for {stopped}. The newest issue is that of September 2026." in texts(page)
    again = "The last run for September 2026 failed; no report could be made from the data as of 2 November 2026."
    assert f"{again} The issue with data as of 2 October 2026, published before, stands." in texts(page)
    assert "stopped, because" in read("monthly/2026-10.html").text
    assert again in texts(read("monthly/2026-09.html"))
    assert "jane@example.com" not in "".join(path.read_text() for path in project.output.glob("**/*.html"))
    shutil.rmtree(project.failed)
    assert "The last run" not in read().text
    assert not (project.output / "monthly" / "2026-10.html").exists()


def test_report_whose_first_run_failed_is_shown(project, root, read):
    """Before the first issue the archive says why there is none."""
    error = RunError(found="a", expected="b", do="c")
    report = load_report(Project(root), "monthly")
    archive.record_failure(project.failed / "monthly" / "2026-10", report, date(2026, 11, 2), error)
    assert "No issue has been published yet." in texts(read())
    (project.failed / "monthly" / "2026-10" / "failure.json").write_text("{}")
    assert "No report has been published yet." in read().text


def test_pages_of_issues_that_went_go_and_foreign_files_stay(project, read):
    """Deleting the newest issue removes its page; a file of somebody else in the folder is left alone."""
    for period in ("2026-08", "2026-09"):
        add(project, "monthly", period)
    read()
    foreign = project.output / "monthly" / "2026-07.html"
    foreign.write_text("mine")
    shutil.rmtree(project.output / "monthly" / "2026-09")
    read()
    assert sorted(path.name for path in (project.output / "monthly").glob("*.html")) == [
        "2026-07.html",
        "2026-08.html",
        "latest.html",
    ]
    assert foreign.read_text() == "mine"


# --- what changed --------------------------------------------------------------------------------

MOVES = [
    ("worse", False, "NPS: fell 8 points to 19 (95% interval 16 to 23; 1,890 answers)"),
    ("better", False, "CES: rose 0.3 to 5.6 (95% interval 5.5 to 5.7; 900 answers)"),
    ("counted", False, "Backlog: 2 fewer, now 61 cases"),
    *(("worse", True, f"NPS, group {number}: fell 10 points") for number in range(8)),
]


def test_changes_are_told_by_what_they_mean(project, read):
    """What moved stands under words, not colours; groups follow, the further ones on demand."""
    for period in ("2026-08", "2026-09"):
        add(project, "monthly", period, moves=MOVES)
    page = texts(read("monthly/2026-09.html"))
    order = [
        "What changed since the last issue, August 2026",
        f"For the worse {MOVES[0][2]}",
        f"For the better {MOVES[1][2]}",
        f"Counted {MOVES[2][2]}",
        "Groups that moved NPS, group 0",
        "2 more groups",
        "No detectable change overall in 1 KPI: CSAT.",
    ]
    places = [page.index(text) for text in order]
    assert places == sorted(places)


def test_changes_since_a_period_without_an_issue_say_so(project, read):
    """When the period before was not published the page tells what is compared with what."""
    for period in ("2026-06", "2026-09"):
        add(project, "monthly", period, moves=MOVES[:1])
    page = texts(read("monthly/2026-09.html"))
    assert "What changed since August 2026 The last issue is that of June 2026." in page
    assert "What changed since the last issue" not in page


def test_differences_in_the_making_are_told(project, read):
    """KPIs that came, went or changed, other definitions, software and files delivered again are named."""
    add(project, "monthly", "2026-08")
    assert "How it was made" in read("monthly/2026-08.html").text
    add(project, "monthly", "2026-09")
    assert "same definitions and with the same software as the issue of August 2026" in texts(
        read("monthly/2026-09.html")
    )
    definitions = {"reports/kpis/nps.yml": "2", "reports/kpis/csat.yml": "1", "expectations/a.yml": "1"}
    inputs = {"feeds": {"survey/s.csv": "2", "survey/t.csv": "1"}, "definitions": definitions}
    add(project, "monthly", "2026-10", inputs=inputs, software={"cxreport": "2"})
    add(project, "monthly", "2026-11", inputs={"definitions": {}})
    page = texts(read("monthly/2026-10.html"))
    for text in (
        "New KPIs: Customer satisfaction.",
        "KPIs with a changed definition: Net Promoter Score.",
        "Changed: the software and the checks of the data.",
        "1 file that was delivered before has changed.",
    ):
        assert text in page
    assert "No longer reported: Customer satisfaction and Net Promoter Score." in texts(read("monthly/2026-11.html"))


# --- search --------------------------------------------------------------------------------------


def test_search_finds_periods_kpis_audiences_and_words(project, find):
    """In a browser, from a file, without a network: every kind of word finds its pack."""
    for period in ("2026-08", "2026-09"):
        add(project, "monthly", period, audiences={"north": "North & South"})
    for query, links in {
        "september": ["monthly/2026-09.html", "monthly/2026-09.html#for-north"],
        "SOUTH%20cafe": ["monthly/2026-08.html#for-north"],
        "promoter": ["monthly/2026-09.html", "monthly/2026-08.html", "monthly/2026-09.html#for-north"],
        "nothing-like-it": [],
    }.items():
        _, count, found = find(query)
        assert [address for address, _ in found][: len(links)] == links, query
        assert count.startswith("Nothing found" if not links else "Found: "), query
        assert ("KPI: Net Promoter Score" in "".join(text for _, text in found)) == (query == "promoter")


def test_page_runs_one_script_and_asks_for_nothing(project, requests_of):
    """The policy of the page allows the script that it holds; the browser neither complains nor asks."""
    add(project, "monthly", "2026-09", audiences={"north": HOSTILE}, title=HOSTILE, organisation=HOSTILE)
    archive.write_site(project)
    for page in ("index.html", "monthly/2026-09.html"):
        assert requests_of(project.output / page) == (set(), []), page


def test_hostile_texts_are_shown_as_texts(project, find, browse):
    """Names that look like mark-up run nowhere: not in the list, the results, the pages, or the feed."""
    pack = add(project, "monthly", "2026-09", title=HOSTILE, organisation=HOSTILE, audiences={"north": HOSTILE})
    summary = json.loads((pack / "all" / "summary.json").read_text())
    moves = [{"look": "worse", "is_group": False, "text": HOSTILE}]
    summary |= {"title": HOSTILE, "headline": [HOSTILE], "moves": moves, "kpis": {"x": HOSTILE}}
    (pack / "all" / "summary.json").write_text(json.dumps(summary))
    shown, _, found = find("onerror")
    assert len(found) == 2
    assert "<title>Reports</title>" in shown
    issue = browse((project.output / "monthly/2026-09.html").as_uri(), "--dump-dom").stdout
    assert "<title>ran</title>" not in issue
    for page in ("index.html", "monthly/2026-09.html", "monthly/latest.html"):
        reader = Reader(project.output / page)
        assert HOSTILE_SHOWN in reader.text
        assert sum(tag == "script" for tag, _ in reader.elements) == (2 if page == "index.html" else 0)
        assert not [tag for tag, _ in reader.elements if tag == "img"]
    feed = ET.fromstring((project.output / "feed.xml").read_text(encoding="utf-8"))
    assert feed.find(f"{ATOM}entry/{ATOM}summary").text == HOSTILE_SHOWN


def test_hostile_report_names_stay_inside_their_addresses(project, find, read):
    """A folder whose name holds marks of addresses and of mark-up is linked, listed and found as that folder."""
    name = "a'b\"c<i>#?&%20 d"
    add(project, name, "2026-09")
    assert all((project.output / unquote(link.partition("#")[0])).is_file() for link in read().links if "#" not in link)
    _, _, found = find("september")
    assert [unquote(address.replace("&amp;", "&")) for address, _ in found] == [f"{name}/2026-09.html"]


# --- the feed ------------------------------------------------------------------------------------


def test_feed_holds_what_atom_demands(project, root):
    """Feed and entries have id, title, updated, author and links; ids are absolute, unique, and stay after a move."""
    shutil.copytree(root / "reports" / "wording", project.wording)
    add(project, "monthly", "2026-08")
    add(project, "monthly", "2026-09", finished="2026-11-05T08:31:00+02:00")
    add(project, "german", "2026-09", language="de")
    archive.write_site(project)
    text = (project.output / "feed.xml").read_text(encoding="utf-8")
    feed = ET.fromstring(text)
    entries = feed.findall(f"{ATOM}entry")
    assert feed.tag == f"{ATOM}feed"
    assert feed.find(f"{ATOM}author/{ATOM}name").text == "Halden"
    assert len(entries) == 3
    for element in (feed, *entries):
        assert all(len(element.findall(ATOM + name)) == 1 for name in ("id", "title", "updated"))
        assert element.find(f"{ATOM}id").text.startswith("urn:uuid:")
        assert datetime.fromisoformat(element.find(f"{ATOM}updated").text).tzinfo
    assert len({element.find(f"{ATOM}id").text for element in (feed, *entries)}) == 4
    assert feed.find(f"{ATOM}updated").text == entries[0].find(f"{ATOM}updated").text == "2026-11-05T06:31:00+00:00"
    assert entries[0].find(f"{ATOM}summary").text == f"{HEADLINES['2026-09']} For all."
    assert [entry.find(f"{ATOM}link").get("href") for entry in entries] == [
        "monthly/2026-09.html",
        "german/2026-09.html",
        "monthly/2026-08.html",
    ]
    assert "September 2026" in entries[0].find(f"{ATOM}title").text
    project.site.write_text("address: https://reports.example.com/cx/\n")
    archive.write_site(project)
    moved = (project.output / "feed.xml").read_text(encoding="utf-8")
    assert re.findall("urn:uuid:[0-9a-f-]+", moved) == re.findall("urn:uuid:[0-9a-f-]+", text)
    assert 'href="https://reports.example.com/cx/monthly/2026-09.html"' in moved


@pytest.mark.parametrize("address", ["reports.example.com", "https://reports.example.com", "javascript:alert(1)/"])
def test_address_must_be_one(project, address):
    """Something else than the address of a folder on the web is refused, with its key."""
    project.site.write_text(f"address: {address}\n")
    with pytest.raises(DefinitionError, match=r"reports/site.yml: `address`"):
        archive.write_site(project)


# --- all pages -----------------------------------------------------------------------------------


def test_pages_are_accessible(project, read):
    """Each page has a language, one main part and heading, scoped headers, unique ids, and links told apart."""
    for period in ("2026-06", "2026-09"):
        add(project, "monthly", period, audiences={"north": "North"}, moves=MOVES)
    for name in ("index.html", "monthly/2026-09.html", "monthly/2026-07.html", "monthly/latest.html"):
        page = read(name)
        tags = [tag for tag, _ in page.elements]
        ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
        assert ("html", {"lang": "en"}) in page.elements
        assert (tags.count("main"), tags.count("h1"), tags.count("title")) == (1, 1, 1)
        assert len(ids) == len(set(ids))
        assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in page.elements if tag == "th")
        assert not {"iframe", "form", "object"} & set(tags)
        assert "http://" not in (project.output / name).read_text(encoding="utf-8")
    assert "Report of" not in read().text
    assert "PDF September 2026" in read().text


def test_pages_speak_the_language_of_their_report(project, root, read):
    """Pages of a German report are German; the list is, too, when no report has another language."""
    shutil.copytree(root / "reports" / "wording", project.wording)
    add(project, "monthly", "2026-08", language="de", moves=MOVES)
    add(project, "monthly", "2026-09", language="de", moves=MOVES)
    page = read("monthly/2026-09.html")
    assert ("html", {"lang": "de"}) in page.elements
    assert "Veränderungen seit der letzten Ausgabe, August 2026" in texts(page)
    assert "Zum Schlechteren" in texts(page)
    assert "Alle Ausgaben durchsuchen" in read().text
    add(project, "sfo", "2026-09")
    assert "Search all issues" in read().text
    assert ("html", {"lang": "de"}) in read("monthly/2026-09.html").elements
    add(project, "klingon", "2026-09", language="tlh")
    assert ("html", {"lang": "en"}) in read("klingon/2026-09.html").elements


def test_pages_have_the_look_of_the_company(project, read):
    """Name and colours of the brand stand on every page."""
    project.theme.mkdir()
    (project.theme / "brand.yml").write_text('name: Acme & Co\nlight: {accent: "#123456"}\n')
    add(project, "monthly", "2026-09")
    for name in ("index.html", "monthly/2026-09.html"):
        assert "Acme & Co" in read(name).text
        assert "--accent: #123456" in (project.output / name).read_text(encoding="utf-8")


def test_same_issues_give_the_same_bytes(tmp_path):
    """The pages depend on the issues only, not on the order in which they came, or on what was written before."""
    made = []
    for name, periods in (("one", ("2026-08", "2026-09")), ("other", ("2026-09", "2026-08"))):
        project = Project(tmp_path / name)
        for period in periods:
            add(project, "monthly", period)
            archive.write_site(project)
        made.append({path.relative_to(tmp_path / name): path.read_bytes() for path in project.output.glob("**/*.*")})
    assert made[0] == made[1]
    assert not [path for path in made[0] if path.name.startswith(".")]


def test_empty_archive_says_so(read):
    """Before the first issue the page is still a page."""
    page = read()
    assert "No report has been published yet." in page.text
    assert not [tag for tag, _ in page.elements if tag in {"script", "search"}]
