"""E-mails: what an audience gets, and the message that one recipient of it gets."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cached_property

from cxreport.deliver import page
from cxreport.deliver.addresses import normalise
from cxreport.deliver.issue import Issue
from cxreport.deliver.log import Recipient
from cxreport.deliver.settings import Delivery
from cxreport.errors import RunError
from cxreport.present.markup import one_line
from cxreport.present.words import Words

_MEGABYTE = 1_000_000
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # dates are all of one length


@dataclass(frozen=True)
class Sender:
    """Who e-mails are from: the organisation's name and an address."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True)
class Letter:
    """What every recipient of an audience gets.

    Attributes
    ----------
    list_id
        Of the audience's e-mails of every period, for filters of mail programs.
    subject, language
        Plain text; a language code.
    body
        The executive page.
    file
        Name of the attached PDF, whose content is `pdf`.
    """

    audience: str
    recipients: tuple[Recipient, ...]
    sender: Sender
    list_id: str
    subject: str
    language: str
    body: page.Page
    file: str
    pdf: bytes

    @cached_property
    def edition(self) -> str:
        """One short text that changes when anything does that a recipient sees."""
        charts = (part for chart in self.body.charts for part in (chart.name.encode(), chart.png))
        said = (self.subject, self.body.html, self.body.text, self.file)
        parts = (*(text.encode() for text in said), *charts, self.pdf)
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]

    def message(self, recipient: Recipient, at: datetime) -> EmailMessage:
        """Return the message of one recipient; the same recipient, content and instant give the same bytes."""
        message = _addressed(self.sender, recipient.address, self.subject, at)
        name = hashlib.sha256(f"{self.list_id}\n{recipient.address}\n{self.edition}".encode()).hexdigest()[:40]
        message["Message-ID"] = f"<{name}@{self.sender.domain}>"
        message["List-Id"] = f"<{self.list_id}>"
        message.set_content(self.body.text, cte="quoted-printable")
        message.add_alternative(self.body.html, subtype="html", cte="quoted-printable")
        page_part = list(message.iter_parts())[1]
        for chart in self.body.charts:
            page_part.add_related(
                chart.png, "image", "png", cid=f"<{chart.name}>", filename=f"{chart.name}.png", disposition="inline"
            )
        message.add_attachment(self.pdf, "application", "pdf", filename=self.file)
        message["Content-Language"] = self.language  # last: building the content moves such headers into its parts
        # Boundaries are drawn at random otherwise; no line of an encoded part can begin like these.
        for number, part in enumerate(part for part in message.walk() if part.is_multipart()):
            part.set_boundary(f"=_{name}_{number}")
        return message

    def size(self, recipient: Recipient) -> int:
        """Return the bytes of the message of a recipient."""
        return len(bytes(self.message(recipient, _ANY_TIME)))


def write(issue: Issue, audience: str, settings: Delivery, words: Words) -> Letter:
    """Return the letter of an audience, made from its own published files alone.

    Raises `RunError` when these files are not as they were published, or the e-mail is larger than allowed.
    """
    part = issue.part(audience, settings.attach, words)
    report, period = issue.report, words.period(issue.period)
    told = {"title": part.title, "period": period, "organisation": report.organisation}
    sender = Sender(report.organisation, settings.sent_by)
    letter = Letter(
        audience=audience,
        recipients=tuple(Recipient(audience, normalise(address)) for address in settings.recipients[audience]),
        sender=sender,
        list_id=".".join((_label(audience), _label(report.id), sender.domain)),
        subject=one_line(settings.subject.format(**told) if settings.subject else words("delivery.subject", **told)),
        language=words.language,
        body=page.make(
            part,
            issue.project,
            words,
            heading=(part.title, words("document.subtitle", organisation=report.organisation, period=period)),
            foot=[
                words(f"delivery.attached.{settings.attach}"),
                words("delivery.questions", contact=words.text(report.contact)),
                words("delivery.why"),
            ],
        ),
        file=f"{report.id}-{issue.period}-{audience}.pdf",
        pdf=part.pdf,
    )
    _require_size(letter, settings)
    return letter


def note(
    sender: Sender, owner: str, at: datetime, *, subject: str, paragraphs: list[str], language: str
) -> EmailMessage:
    """Return a message of plain text to the owner of a report."""
    message = _addressed(sender, owner, subject, at)
    name = hashlib.sha256("\n".join([subject, *paragraphs, at.isoformat()]).encode()).hexdigest()[:40]
    message["Message-ID"] = f"<{name}@{sender.domain}>"
    message.set_content("\n\n".join(paragraphs) + "\n", cte="quoted-printable")
    message["Content-Language"] = language
    return message


def _addressed(sender: Sender, recipient: str, subject: str, at: datetime) -> EmailMessage:
    """Return an empty message with the headers that every one has; nobody sees another recipient."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(one_line(sender.name), addr_spec=sender.address)
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = one_line(subject)
    message["Date"] = format_datetime(at)
    message["Auto-Submitted"] = "auto-generated"
    return message


def _require_size(letter: Letter, settings: Delivery) -> None:
    size = max(map(letter.size, letter.recipients), default=0) / _MEGABYTE
    if size > settings.largest_mb:
        raise RunError(
            found=f"an e-mail of {size:.1f} MB for `{letter.audience}`",
            expected=f"at most {settings.largest_mb:g} MB, the setting `largest_mb`",
            do="attach only the executive page (`attach: executive`), or raise `largest_mb` if mail servers allow it",
        )


def _label(text: str) -> str:
    """Return an id as a part of a list's name."""
    return "".join(mark if mark.isascii() and mark.isalnum() else "-" for mark in text)
