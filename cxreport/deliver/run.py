"""One delivery of an issue: checked as a whole first, sent once to each recipient, and failures told to the owner."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from cxreport.config import Project, Report
from cxreport.deliver import letters
from cxreport.deliver.issue import Issue
from cxreport.deliver.letters import Letter, Sender
from cxreport.deliver.log import Log, Recipient, State
from cxreport.deliver.post import Outcome, Post
from cxreport.deliver.settings import Delivery, Server, load
from cxreport.errors import CxError, DefinitionError, RunError, UsageError, listed, nearest
from cxreport.periods import Period
from cxreport.present.words import Words
from cxreport.publish import atomic

Tell = Callable[[str], None]

_AGAIN, _UNCERTAIN = "--again", "--resend-uncertain"
_KILOBYTE = 1_000


@dataclass(frozen=True)
class Wish:
    """What is to be delivered.

    Attributes
    ----------
    audiences
        Only these; empty for all that have recipients.
    again
        Whether those who got an earlier edition of the issue get this one.
    resend_uncertain
        Whether those get it who perhaps have it already.
    at
        The date of the e-mails, with a time zone.
    """

    project: Project
    report: Report
    period: Period
    at: datetime
    audiences: tuple[str, ...] = ()
    again: bool = False
    resend_uncertain: bool = False

    @property
    def log(self) -> Log:
        return Log(self.project.delivered(self.report.id, self.period), self.report.id)

    def is_wanted(self, state: State) -> bool:
        """Whether a recipient who has this gets an e-mail; never one who certainly has this edition."""
        wanted = {"due": True, "sent": False, "sent earlier": self.again, "uncertain": self.resend_uncertain}
        return wanted[state]


@dataclass(frozen=True)
class _Failure:
    """A recipient who does not have the issue, or of whom nobody knows; `place` stands for the address on screens."""

    recipient: Recipient
    place: int
    outcome: Outcome


def preview(wish: Wish, folder: Path | None) -> Iterator[str]:
    """Yield lines that say who would get what; e-mails are written to a folder as `.eml` files, one an audience.

    Raises the errors of `send` that have nothing to do with a server.
    """
    settings = load(wish.project, wish.report)
    issue, written = _written(wish, settings)
    log = wish.log
    for letter in written:
        states = [log.state(recipient, letter.edition) for recipient in letter.recipients]
        size = max(map(letter.size, letter.recipients), default=0)
        yield f"{letter.audience}: {letter.subject}"
        yield f"  {_counted(len(states), 'recipient')}, of whom {sum(map(wish.is_wanted, states))} would get it now"
        yield from (f"  {said}" for state, said in _SAID.items() if state in states)
        yield f"  {letter.file} ({_size(len(letter.pdf))}); {_counted(len(letter.body.charts), 'chart')}; {_size(size)}"
        if folder and letter.recipients:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / Path(letter.file).with_suffix(".eml").name
            path.write_bytes(bytes(letter.message(letter.recipients[0], wish.at)))
            yield f"  written to {path.name}"
    if unnamed := [audience for audience in issue.audiences if audience not in settings.recipients]:
        yield f"No recipients are named for {listed(unnamed)}"
    yield "Nothing was sent; --send sends"


def send(wish: Wish, server: Server, *, tell: Tell, say: Tell) -> None:
    """Send an issue to everybody who is due; `tell` receives steps, `say` what was done for each audience.

    Nothing is sent unless all of it can be: every address is allowed, every file as it was published, every e-mail
    small enough. What went wrong goes to the owner by e-mail and is raised.

    Raises
    ------
    DefinitionError
        For wrong settings, of which nobody can be told, and for refused addresses.
    UsageError
        For an audience without recipients.
    RunError
        When the issue is missing or changed, the server cannot be used, or somebody did not get the e-mail.
    """
    settings = load(wish.project, wish.report)
    owner = _Owner(wish, settings, server, Words.open(wish.project, wish.report.language))
    folder = wish.project.delivered(wish.report.id, wish.period).parent
    sent = "what was sent stands in the log"
    try:
        with atomic.disk_errors(wish.project.root, outcome=sent), atomic.reserved(folder, tell):
            lines, failures = _sent(wish, settings, server, tell)
    except Exception as error:
        owner.tell_of_stop(error, tell)
        raise
    for line in lines:
        say(line)
    if failures:
        owner.tell_of_failures(failures, tell)
        told = (f"`{each.recipient.audience}`, address {each.place}: {_called(each.outcome)}" for each in failures)
        raise RunError(
            found=f"{_counted(len(failures), 'e-mail')} not delivered ({'; '.join(told)})",
            expected="every recipient to get the report once",
            do=f"correct the cause and deliver again, which leaves out whoever has it; {_UNCERTAIN} where nobody knows",
        )


def _written(wish: Wish, settings: Delivery) -> tuple[Issue, list[Letter]]:
    """Return the issue and the letters of all wanted audiences; all checks are made here, before anything is sent."""
    audiences = list(wish.audiences or settings.recipients)
    if unknown := [name for name in audiences if name not in settings.recipients]:
        raise UsageError(
            found=f"no recipients of {listed(unknown)}{nearest(unknown[0], settings.recipients)}",
            expected=f"audiences among {listed(settings.recipients)}",
            do=f"name one of these, or add it to `recipients` in `reports/delivery/{wish.report.id}.yml`",
        )
    if refused := list(settings.refusals(audiences)):
        raise DefinitionError(
            found="; ".join(refused),
            expected="bare addresses whose domains `allowed_domains` lists, each once in an audience",
            do=f"correct `reports/delivery/{wish.report.id}.yml`; nothing was sent to anybody",
        )
    issue = Issue.open(wish.project, wish.report, wish.period)
    issue.require(audiences)
    words = Words.open(wish.project, wish.report.language)
    return issue, [letters.write(issue, audience, settings, words) for audience in audiences]


def _sent(wish: Wish, settings: Delivery, server: Server, tell: Tell) -> tuple[list[str], list[_Failure]]:
    """Send what is due; returns a line for each audience, and who does not have the issue for certain."""
    _, written = _written(wish, settings)
    log, lines, failures = wish.log, [], []
    domain = settings.sent_by.rpartition("@")[2]
    with Post(server, domain, tries=settings.tries, wait=settings.wait_seconds) as post:
        for letter in written:
            tell(f"Sending to {letter.audience}")
            states = [log.state(recipient, letter.edition) for recipient in letter.recipients]
            kinds: list[str] = []
            for place, (recipient, state) in enumerate(zip(letter.recipients, states, strict=True), start=1):
                if wish.is_wanted(state):
                    outcome = _posted(post, letter, recipient, log, wish.at)
                    kinds.append(outcome.kind)
                else:
                    outcome = Outcome("uncertain" if state == "uncertain" else "accepted")
                if outcome.kind != "accepted":
                    failures.append(_Failure(recipient, place, outcome))
            lines.append(f"{letter.audience}: sent to {kinds.count('accepted')} of {len(letter.recipients)}")
            lines += [f"  {said}" for state, said in _SAID.items() if state in states and not wish.is_wanted(state)]
    return lines, failures


def _posted(post: Post, letter: Letter, recipient: Recipient, log: Log, at: datetime) -> Outcome:
    """Send one e-mail, and log each step of it before the next."""

    def note(step: Literal["sending"] | Outcome) -> None:
        if step == "sending":
            log.add(step, recipient, letter.edition)
        elif isinstance(step, Outcome):
            log.add(step.kind, recipient, letter.edition, step.code)

    content = bytes(letter.message(recipient, at))
    return post.send(letter.sender.address, recipient.address, content, note)


# --- the owner -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Owner:
    """Who is told what went wrong, without any figures of the report."""

    wish: Wish
    settings: Delivery
    server: Server
    words: Words

    def tell_of_stop(self, error: Exception, tell: Tell) -> None:
        """Tell why nothing more was sent; of a defect only its kind, because its message may quote data."""
        found, expected, do = (
            (error.found, error.expected, error.do)
            if isinstance(error, CxError)
            else (f"a defect of cxreport, {type(error).__name__}", "a delivery", "look at the output of the command")
        )
        told = {"found": found, "expected": expected, "do": do}
        lines = (self.words(f"delivery.owner.{key}", text=text) for key, text in told.items())
        self._send([self.words("delivery.owner.stopped", **self._named), *lines], tell)

    def tell_of_failures(self, failures: Sequence[_Failure], tell: Tell) -> None:
        """Tell who did not get the issue, and what to do about it."""
        said = [self._line(failure) for failure in failures]
        command = f"cxreport deliver --report {self.wish.report.id} --period {self.wish.period} --send"
        paragraphs = [
            self.words("delivery.owner.failed", len(failures), **self._named),
            *said,
            self.words("delivery.owner.resume", command=command),
        ]
        if any(failure.outcome.kind == "uncertain" for failure in failures):
            paragraphs.append(self.words("delivery.owner.settle", option=_UNCERTAIN))
        self._send(paragraphs, tell)

    @property
    def _named(self) -> dict[str, str]:
        words, wish = self.words, self.wish
        return {"title": words.text(wish.report.title), "period": words.period(wish.period)}

    def _line(self, failure: _Failure) -> str:
        kind, code = failure.outcome.kind, failure.outcome.code
        key = "unreached" if kind == "deferred" and code is None else kind
        audience, address = failure.recipient
        outcome = self.words(f"delivery.owner.{key}", code=code)
        return self.words("delivery.owner.address", audience=audience, address=address, outcome=outcome)

    def _send(self, paragraphs: list[str], tell: Tell) -> None:
        sender = Sender(self.wish.report.organisation, self.settings.sent_by)
        subject = self.words("delivery.owner.subject", **self._named)
        owner = self.settings.owner_address
        language = self.words.language
        message = letters.note(sender, owner, self.wish.at, subject=subject, paragraphs=paragraphs, language=language)
        outcome = Outcome("deferred")
        with suppress(RunError), Post(self.server, sender.domain) as post:
            outcome = post.send(sender.address, owner, bytes(message), lambda _: None)
        tell("The owner was told by e-mail" if outcome.kind == "accepted" else "The owner could not be told by e-mail")


# --- words of the command line -----------------------------------------------------------------------

_SAID: dict[State, str] = {
    "sent": "some have this edition already",
    "sent earlier": f"some have an earlier edition; {_AGAIN} sends them this one",
    "uncertain": f"some perhaps have it, because a delivery was interrupted; {_UNCERTAIN} sends it to them",
}


def _called(outcome: Outcome) -> str:
    return outcome.kind + (f", SMTP {outcome.code}" if outcome.code else "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / _KILOBYTE:,.0f} kB"
