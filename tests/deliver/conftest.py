"""An SMTP server on this machine, and a small published issue with packs for two audiences."""

import hashlib
import json
import shutil
import smtplib
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output, new_raw_cell, writes

from cxreport.config import Project, load_report
from cxreport.deliver import Server, Wish, page, send
from cxreport.periods import Period
from cxreport.present.words import Words
from cxreport.publish import document
from cxreport.publish.embedded import Embedded

AT = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)
SEPTEMBER = Period.parse("2026-09")
REPORT = {
    "title": "Customer experience by region",
    "organisation": "Ærø & Søn \u202eA/S",
    "dataset": "sample",
    "kpis": ["nps"],
    "headline": ["nps"],
    "segments": ["region"],
    "audiences": {"by": "region"},
    "present": ["30_executive"],
    "contact": "Customer insight, insight@example.com",
}
# Audience to its title and a figure that stands in no other pack.
PACKS = {
    "all": ("", "41.7"),
    "north": ("Grünes \u202e<b>Land</b>\r\nBcc: thief@example.com", "62.3"),
    "south": ("Süd", "17.9"),
}
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="120pt" height="60pt" viewBox="0 0 120 60">
<rect width="120" height="60" fill="#ffffff"/><path d="M10 50 L110 10" stroke="#0f4c75" stroke-width="3"/></svg>"""
SETTINGS = {
    "owner": "owner@example.com",
    "allowed_domains": ["example.com", "bücher.example"],
    "recipients": {
        "all": ["board@example.com"],
        "north": ["nina@example.com", "noah@bücher.example"],
        "south": ["sara@example.com"],
    },
    "wait_seconds": 0,
}


# --- the server ------------------------------------------------------------------------------------


@dataclass
class Mailbox:
    """What a server took, and how it behaves.

    `answers` maps a recipient to what becomes of its next tries: a code instead of a yes, `data` and a code after the
    content, `drop` for a connection that breaks, `lose reply` for one that breaks after the content was taken.
    """

    port: int = 0
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    offers: tuple[str, ...] = ("AUTH PLAIN LOGIN",)
    logins: list[str] = field(default_factory=list)
    refuses_login: bool = False
    encryption: ssl.SSLContext | None = None
    before_reply: Callable[[str], None] = lambda _: None

    @property
    def recipients(self) -> list[str]:
        """Who was sent something, in order."""
        return [recipient for recipient, _ in self.taken]

    def messages(self, recipient):
        """What a recipient was sent, parsed."""
        return [message_from_bytes(content, policy=default) for to, content in self.taken if to == recipient]

    def answer(self, recipient):
        """The reply to the next try for a recipient."""
        left = self.answers.get(recipient, [])
        return left.pop(0) if left else ""


class _Session(socketserver.StreamRequestHandler):
    """One connection; a command's method returns whether to go on."""

    recipient = after = ""

    def handle(self):
        self.reply("220 ready")
        while line := self.rfile.readline():
            command, _, rest = line.decode("ascii").strip().partition(" ")
            if not getattr(self, f"on_{command.lower()}", self.on_others)(rest):
                return

    def on_others(self, _):
        return self.reply("250 ok")

    def on_ehlo(self, _):
        *first, last = ["here", *self.server.mailbox.offers]
        return self.reply("\r\n".join([*(f"250-{each}" for each in first), f"250 {last}"]))

    def on_starttls(self, _):
        self.reply("220 go on")
        self.request = self.server.mailbox.encryption.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        return True

    def finish(self):
        super().finish()
        self.request.close()

    def on_auth(self, rest):
        self.server.mailbox.logins.append(rest)
        return self.reply(f"535 no {rest}" if self.server.mailbox.refuses_login else "235 welcome")

    def on_rcpt(self, rest):
        self.recipient = rest.partition("<")[2].partition(">")[0]
        answer = self.server.mailbox.answer(self.recipient)
        self.after = "" if answer.isdigit() else answer
        return answer != "drop" and self.reply(f"{answer} no {rest}" if answer.isdigit() else "250 ok")

    def on_data(self, _):
        mailbox = self.server.mailbox
        self.reply("354 go on")
        content = self.content()
        if self.after in {"", "lose reply"}:
            mailbox.taken.append((self.recipient, content))
        mailbox.before_reply(self.recipient)
        if self.after == "lose reply":
            return False
        return self.reply(f"{self.after.removeprefix('data ')} no" if self.after else "250 taken")

    def on_quit(self, _):
        self.reply("221 bye")
        return False

    def content(self):
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def reply(self, text):
        self.wfile.write(f"{text}\r\n".encode())
        return True


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing when a client was killed."""


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A server that takes everything, unless told otherwise."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.mailbox = Mailbox(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.mailbox
        server.shutdown()
        thread.join()


@pytest.fixture
def certificate(mailbox, tmp_path):
    """Let the server offer encryption, with a certificate of its own making; returns the certificate's file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here: encrypted connections are not tested")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    told = ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", str(key), "-out", str(certificate), *told]
    subprocess.run(command, capture_output=True, check=True)
    mailbox.encryption = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mailbox.encryption.load_cert_chain(certificate, key)
    mailbox.offers = ("STARTTLS", *mailbox.offers)
    return certificate


# --- the issue -------------------------------------------------------------------------------------


def executive(audience: str, figure: str) -> bytes:
    """Return an executed executive page of one figure and one chart, with all that a page must not carry into mails."""
    card = (
        '```{=html}\n<ul class="cx-cards">\n<li class="cx-card cx-card-worse"><p class="cx-card-name">NPS</p>'
        f'<p class="cx-card-value">{figure}</p><p class="cx-card-change cx-worse">Fell 8 points</p></li>\n'
        '<li class="cx-card"><p class="cx-card-name">CSAT</p><p class="cx-card-mark">too few answers</p></li>'
        "\n</ul>\n```"
    )
    alien = '```{=html}\n<img src="https://evil.invalid/x.png"><script>alert(1)</script><style>p{}</style>\n```'
    told = {"alt": f"A line to {figure}", "caption": "How to read it", "data": f"| Value |\n|---:|\n| {figure} |"}
    drawn = new_output("display_data", data={document.SVG: SVG}, metadata={"cxreport": told})
    links = "[us](https://example.com/x), [open](http://evil.example/) and [below](#words)"
    shown = [card, f"## Grüße {{#words}}\n\n1. **{figure} points** of {links}\n2. &#60;i&#62;two\n", alien]
    cells = [
        new_raw_cell("---\ntitle: Summary\n---"),
        *(new_code_cell("#| output: asis", outputs=[new_output("stream", name="stdout", text=text)]) for text in shown),
        new_code_cell("", outputs=[drawn]),
    ]
    given = {"report": "regional", "period": SEPTEMBER.id} | ({"audience": audience} if audience != "all" else {})
    return writes(new_notebook(cells=cells, metadata={"papermill": {"parameters": given}})).encode()


def publish(project: Project, *, language: str = "en", figures: dict[str, str] | None = None) -> Path:
    """Publish an issue by hand: executed pages, rendered ones, descriptions of audiences, and the record."""
    folder = project.published("regional", SEPTEMBER)
    shutil.rmtree(folder, ignore_errors=True)
    report, words = load_report(project, "regional"), Words.open(project, language)
    for audience, (name, figure) in PACKS.items():
        pack = folder / audience
        (pack / "notebooks").mkdir(parents=True)
        notebook = pack / "notebooks" / "30_executive.ipynb"
        notebook.write_bytes(executive(audience, (figures or {}).get(audience, figure)))
        title = words("document.audience", title=report.title, audience=name) if name else report.title
        if name:
            told = {"id": audience, "title": name, "by": "region", "levels": [audience]}
            (pack / "audience.json").write_text(json.dumps(told), encoding="utf-8")
        merged = document.merge([notebook], words=words, title=title, subtitle="September 2026", provenance={})
        document.write(merged, folder / "merged.ipynb")
        html, pdf = pack / "report.html", pack / "report.pdf"
        Embedded().render(folder / "merged.ipynb", html=html, pdf=pdf, project=project, timestamp=AT)
        shutil.copyfile(pdf, pack / "executive.pdf")
    (folder / "merged.ipynb").unlink()
    record(folder)
    return folder


def record(folder: Path) -> None:
    """Write the record of an issue as its files are now."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    outputs = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    told = {name: REPORT[name] for name in ("title", "organisation")}
    told |= {"report": "regional", "period": SEPTEMBER.id, "as_of": "2026-10-02", "decision": "publish"}
    (folder / "run.json").write_text(json.dumps(told | {"outputs": outputs}), encoding="utf-8")


def define(project: Project, **changes) -> None:
    """Write the report's definition."""
    text = yaml.safe_dump(REPORT | changes, allow_unicode=True)
    (project.definitions / "regional.yml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def issued(root, tmp_path_factory) -> Project:
    """A project with the issue of one month."""
    project = Project(tmp_path_factory.mktemp("issued"))
    shutil.copytree(root / "reports", project.root / "reports", ignore=shutil.ignore_patterns("output"))
    define(project)
    publish(project)
    return project


@pytest.fixture
def project(issued, tmp_path, settings) -> Project:
    """A copy of that project with settings of its own."""
    shutil.copytree(issued.root, tmp_path / "project")
    copy = Project(tmp_path / "project")
    settings(copy)
    return copy


@pytest.fixture
def settings():
    """Return a function that writes the delivery settings, with changes."""

    def settings(project, **changes):
        text = yaml.safe_dump(SETTINGS | changes, allow_unicode=True)
        (project.delivery / "regional.yml").write_text(text, encoding="utf-8")

    return settings


@pytest.fixture
def quick(monkeypatch):
    """Replace the drawing of pages by something quick, for tests of the way to the recipients."""

    def make(part, *_, heading, **__):
        figure = f"{heading[0]} {hashlib.sha256(part.notebook).hexdigest()}"
        return page.Page(html=f"<p>{figure}</p>", text=f"{figure}\n.\n..dots\n", charts=())

    monkeypatch.setattr(page, "make", make)


@pytest.fixture
def deliver(project, mailbox):
    """Return a function that delivers to the server and returns what was said and told."""

    def deliver(server=None, **wishes):
        said: list[str] = []
        wish = Wish(project, load_report(project, "regional"), SEPTEMBER, at=AT, **wishes)
        reached = server or Server("127.0.0.1", mailbox.port, "none")
        try:
            send(wish, reached, tell=said.append, say=said.append)
        finally:
            deliver.said = said
        return said

    return deliver


@pytest.fixture
def by_hand():
    """What publishes and defines by hand, and the constants above."""
    return SimpleNamespace(publish=publish, record=record, define=define, PACKS=PACKS, AT=AT, SEPTEMBER=SEPTEMBER)


@pytest.fixture
def no_smtp(monkeypatch):
    """Let any attempt to reach a server fail the test."""

    def refuse(*_):
        raise AssertionError("a dry run reached for a server")

    monkeypatch.setattr(smtplib.SMTP, "__init__", refuse)
