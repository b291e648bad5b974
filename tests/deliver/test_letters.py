"""What an e-mail holds: one audience's own page and PDF, nothing that mail programs drop, and honest headers."""

import re
import shutil
import subprocess
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
import yaml

from cxreport.config import load_report
from cxreport.deliver import Wish, letters, preview
from cxreport.deliver.issue import Issue
from cxreport.deliver.settings import load
from cxreport.errors import CxError, RunError
from cxreport.periods import Period
from cxreport.present.words import Words

NAMES = {"all": "", "north": "Grünes", "south": "Süd"}


@pytest.fixture(scope="session")
def written(issued):
    """Return, once, the letter of each audience as bytes of its first recipient's message."""
    settings = {
        "owner": "owner@example.com",
        "allowed_domains": ["example.com"],
        "recipients": {audience: [f"{audience}@example.com"] for audience in NAMES},
    }
    (issued.delivery / "regional.yml").write_text(yaml.safe_dump(settings))
    return write_all(issued, "en")


def write_all(project, language, audiences=tuple(NAMES)):
    """Return audience to its letter."""
    report = load_report(project, "regional")
    issue = Issue.open(project, report, Period.parse("2026-09"))
    words = Words.open(project, language)
    return {name: letters.write(issue, name, load(project, report), words) for name in audiences}


def parsed(letter, by_hand):
    """Return the message of a letter's first recipient as a mail program reads it."""
    return message_from_bytes(bytes(letter.message(letter.recipients[0], by_hand.AT)), policy=default)


def texts(message, tmp_path):
    """Return the HTML, the plain text and the text of the attached PDF."""
    [attached] = message.iter_attachments()
    (tmp_path / "attached.pdf").write_bytes(attached.get_content())
    pdf = subprocess.run(
        ["pdftotext", str(tmp_path / "attached.pdf"), "-"], capture_output=True, text=True, check=True
    ).stdout
    return [message.get_body((kind,)).get_content() for kind in ("html", "plain")] + [pdf]


@pytest.mark.parametrize("audience", NAMES)
def test_audience_gets_its_own_figures_only(written, by_hand, tmp_path, audience):
    """HTML, plain text and PDF hold the audience's name and figure, and of no other audience either."""
    message = parsed(written[audience], by_hand)
    for text in texts(message, tmp_path):
        for other, (_, figure) in by_hand.PACKS.items():
            assert (figure in text) == (other == audience)
            assert not NAMES[other] or (NAMES[other] in text) == (other == audience)


def test_page_is_static_and_asks_for_nothing(written, by_hand):
    """No script, style sheet, class, SVG or address outside the e-mail; each picture is in it and has words."""
    message = parsed(written["north"], by_hand)
    page = message.get_body(("html",)).get_content()
    assert not re.search(r"<(script|style|svg|link|iframe|form|details)|class=|javascript:|evil|url\(", page)
    pictures = re.findall(r'<img src="cid:([^"]+)" alt="([^"]+)"', page)
    assert pictures == [("chart-1", "A line to 62.3")]
    parts = {part["Content-ID"]: part for part in message.walk()}
    assert parts["<chart-1>"].get_content().startswith(b"\x89PNG")
    assert re.findall(r'href="([^"]*)"', page) == ["https://example.com/x"]
    assert "http:" not in page
    assert "&lt;i&gt;two" in page
    assert all(page.count(f"<{name}") == page.count(f"</{name}>") for name in ("table", "tr", "td", "div", "ol"))


def test_headers_survive_hostile_names(written, by_hand):
    """Line breaks, markup and marks of direction in names make no header, no markup and no turned text."""
    message = parsed(written["north"], by_hand)
    assert message["To"] == "north@example.com"
    assert "Bcc" not in message
    assert (
        message["Subject"] == "Customer experience by region: Grünes <b>Land</b> Bcc: thief@example.com, September 2026"
    )
    assert message["From"].addresses[0].display_name == "Ærø & Søn A/S"
    assert message["From"].addresses[0].addr_spec == "owner@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en"
    page = message.get_body(("html",)).get_content()
    assert "Grünes &lt;b&gt;Land&lt;/b&gt; Bcc" in page
    assert "\u202e" not in page + message.get_body(("plain",)).get_content()


def test_same_letter_is_the_same_bytes(written, by_hand):
    """Only the recipient and the instant make a message differ; its id tells recipients and editions apart."""
    letter, other = written["north"], written["south"]
    [to] = letter.recipients
    assert bytes(letter.message(to, by_hand.AT)) == bytes(letter.message(to, by_hand.AT))
    somebody = to._replace(address="else@example.com")
    ids = {each["Message-ID"] for each in (letter.message(to, by_hand.AT), letter.message(somebody, by_hand.AT))}
    assert len(ids | {other.message(other.recipients[0], by_hand.AT)["Message-ID"]}) == 3
    content = bytes(letter.message(to, by_hand.AT))
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.isascii()


def test_plain_text_reads_in_order(written, by_hand):
    """The plain text has title, card, heading, list and the chart's words, in lines that fit."""
    text = parsed(written["south"], by_hand).get_body(("plain",)).get_content().replace("\r\n", "\n")
    for part in (
        "- NPS\n  17.9\n  Fell 8 points",
        "GRÜSSE",
        "1. 17.9 points of us, open and below",
        "2. <i>two",
        "[A line to 17.9]",
    ):
        assert part in text
    assert "How to read it" not in text
    assert max(map(len, text.splitlines())) <= 72


def test_german_issue_speaks_german(project, by_hand):
    """A German issue has German words around its page and umlauts that come through."""
    by_hand.define(project, language="de", title="Kundenerlebnis, größer")
    by_hand.publish(project, language="de")
    message = parsed(write_all(project, "de", ["south"])["south"], by_hand)
    assert message["Subject"] == "Kundenerlebnis, größer: Süd, September 2026"
    assert message["Content-Language"] == "de"
    page = message.get_body(("html",)).get_content()
    assert '<html lang="de">' in page
    assert "Der ganze Bericht liegt als PDF bei" in page
    assert "Fragen: " in message.get_body(("plain",)).get_content()


@pytest.mark.parametrize("name", ["report.pdf", "report.html", "notebooks/30_executive.ipynb", "audience.json"])
@pytest.mark.usefixtures("quick")
def test_changed_file_stops_the_delivery(project, by_hand, name):
    """A file that is not the one that was published is not sent, whichever it is."""
    path = project.published("regional", by_hand.SEPTEMBER) / "south" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RunError) as stopped:
        write_all(project, "en", ["south"])
    assert f"`south/{name}`" in stopped.value.found
    assert write_all(project, "en", ["north"])


def swap_pages(folder):
    shutil.copyfile(folder / "north" / "report.html", folder / "south" / "report.html")


def swap_notebooks(folder):
    notebook = Path("notebooks") / "30_executive.ipynb"
    shutil.copyfile(folder / "north" / notebook, folder / "south" / notebook)


def drop_notebook(folder):
    (folder / "south" / "notebooks" / "30_executive.ipynb").unlink()


@pytest.mark.parametrize(
    ("mix_up", "problem"),
    [
        (swap_pages, "title does not name"),
        (swap_notebooks, "executed for another"),
        (drop_notebook, "0 executed executive pages"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_page_of_another_audience_stops_the_delivery(project, by_hand, mix_up, problem):
    """Even with hashes that fit, a page that was made for somebody else is not sent."""
    folder = project.published("regional", by_hand.SEPTEMBER)
    mix_up(folder)
    by_hand.record(folder)
    with pytest.raises(RunError, match=problem):
        write_all(project, "en", ["south"])


@pytest.mark.usefixtures("quick")
def test_other_language_than_the_definitions_stops_the_delivery(project, by_hand):
    """An issue whose definition was edited since is not sent."""
    by_hand.define(project, language="de")
    with pytest.raises(RunError, match="not in the language `de`"):
        write_all(project, "de", ["south"])


@pytest.mark.usefixtures("quick")
def test_large_emails_are_refused(project, settings):
    """An e-mail above the limit stops the delivery and says what to set."""
    settings(project, largest_mb=0.001)
    with pytest.raises(RunError, match="MB for `north`") as stopped:
        write_all(project, "en", ["north"])
    assert "attach: executive" in stopped.value.do


@pytest.mark.usefixtures("quick")
def test_executive_page_can_be_attached_instead(project, settings, by_hand):
    """The other attachment is said and sent."""
    settings(project, attach="executive", subject="{organisation}: {period}")
    [letter] = write_all(project, "en", ["north"]).values()
    assert letter.pdf == (project.published("regional", by_hand.SEPTEMBER) / "north" / "executive.pdf").read_bytes()
    assert letter.subject == "Ærø & Søn A/S: September 2026"


# --- dry run ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick", "no_smtp")
def test_dry_run_says_who_gets_what_and_sends_nothing(project, by_hand, tmp_path):
    """Without a server it names subjects, attachments, numbers of recipients and audiences without any, not people."""
    wish = Wish(project, load_report(project, "regional"), by_hand.SEPTEMBER, at=by_hand.AT, audiences=("north",))
    lines = list(preview(wish, tmp_path / "mails"))
    said = "\n".join(lines)
    assert "north: Customer experience by region: Grünes" in said
    assert "2 recipients, of whom 2 would get it now" in said
    assert re.search(r"regional-2026-09-north.pdf \(\d+ kB\); 0 charts; \d+ kB", said)
    assert "nina" not in said
    assert lines[-1] == "Nothing was sent; --send sends"
    [mail] = (tmp_path / "mails").iterdir()
    assert message_from_bytes(mail.read_bytes(), policy=default)["To"] == "nina@example.com"
    assert not (project.root / "data").exists()


@pytest.mark.usefixtures("quick")
def test_refused_addresses_are_all_named_by_place(project, settings, by_hand):
    """A dry run stops at addresses that get nothing and names each by its place and reason, not by who it is."""
    settings(project, recipients={"all": ["anna@example.org", "a@example.com"], "south": ["x", "s@example.com"] * 2})
    wish = Wish(project, load_report(project, "regional"), by_hand.SEPTEMBER, at=by_hand.AT)
    with pytest.raises(CxError) as stopped:
        list(preview(wish, None))
    found = stopped.value.found.split("; ")
    assert [part.partition(":")[0] for part in found] == [
        "`all`, address 1",
        "`south`, address 1",
        "`south`, address 3",
        "`south`, address 4",
    ]
    assert "anna" not in stopped.value.found
    assert "example.org" in stopped.value.found
