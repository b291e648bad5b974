"""The way to the SMTP server: one connection, retries of what may be retried, and no guess about what was taken."""

import re
import smtplib
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from cxreport.deliver.settings import PREFIX, Server
from cxreport.errors import RunError

_TIMEOUT = 60  # seconds without an answer
# Replies: go on, good-bye, and the first of each kind of no.
_ASKED, _CLOSING, _REFUSED, _PERMANENT = 354, 421, 400, 500
_LEADING_DOT = re.compile(rb"(?m)^\.")
# What waiting does not change.
_HOPELESS = {
    ssl.SSLCertVerificationError: "a certificate that is not valid for the SMTP server",
    smtplib.SMTPNotSupportedError: "an SMTP server without encryption or without a way to log in",
    smtplib.SMTPAuthenticationError: "an SMTP server that does not accept the user and the password",
}
_BROKEN = (OSError, smtplib.SMTPException)


@dataclass(frozen=True)
class Outcome:
    """What became of a try: taken, refused for good, not taken this time, or nobody knows; with the server's code."""

    kind: Literal["accepted", "refused", "deferred", "uncertain"]
    code: int | None = None


# Is told just before the content of an e-mail leaves, and what became of every try.
Tell = Callable[[Literal["sending"] | Outcome], None]


class Post:
    """Sends e-mails over one connection, opened when it is needed and again after it broke.

    Parameters
    ----------
    server
        Where to.
    greeting
        The domain by which the server is greeted.
    tries, wait
        How often to try in all, and the seconds before the second try, doubled for each further one.
    """

    def __init__(self, server: Server, greeting: str, *, tries: int = 1, wait: float = 0) -> None:
        self._server, self._greeting = server, greeting
        self._waits = [0.0, *(wait * 2**number for number in range(tries - 1))]
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._smtp and kind is None:
            with suppress(*_BROKEN):
                self._smtp.quit()
        self._drop()

    def send(self, sender: str, recipient: str, content: bytes, tell: Tell) -> Outcome:
        """Send one e-mail; only what was certainly not taken is tried again.

        Raises `RunError` when the server cannot be reached or does not let the sender in.
        """
        outcome = Outcome("deferred")
        for wait in self._waits:
            time.sleep(wait)
            outcome = self._try(sender, recipient, content, tell)
            tell(outcome)
            if outcome.kind != "deferred":
                break
        return outcome

    def _try(self, sender: str, recipient: str, content: bytes, tell: Tell) -> Outcome:
        smtp = self._connected()
        try:
            code = _offered(smtp, sender, recipient)
        except _BROKEN:
            self._drop()
            return Outcome("deferred")
        if code != _ASKED:
            return self._refused(code)
        tell("sending")
        try:
            smtp.send(_LEADING_DOT.sub(b"..", content) + b".\r\n")
            code = smtp.getreply()[0]
        except _BROKEN:
            code = -1
        if code < 0:
            self._drop()
            return Outcome("uncertain")
        return self._refused(code) if code >= _REFUSED else Outcome("accepted", code)

    def _refused(self, code: int) -> Outcome:
        """Return what a server's no means, and make the connection ready for the next e-mail."""
        if code in {_CLOSING, -1}:
            self._drop()
        elif self._smtp:
            with suppress(*_BROKEN):
                self._smtp.rset()
        return Outcome("refused" if code >= _PERMANENT else "deferred", code if code > 0 else None)

    def _connected(self) -> smtplib.SMTP:
        if self._smtp:
            return self._smtp
        for wait in self._waits:
            time.sleep(wait)
            try:
                self._smtp = _opened(self._server, self._greeting)
            except _BROKEN as error:
                _require_hope(error)
                continue
            return self._smtp
        raise RunError(
            found="no connection to the SMTP server",
            expected=f"a server that answers at {PREFIX}HOST and {PREFIX}PORT",
            do="check the settings, the network and the server, and deliver again; whoever has the report is left out",
        )

    def _drop(self) -> None:
        if self._smtp:
            self._smtp.close()
        self._smtp = None


def _offered(smtp: smtplib.SMTP, sender: str, recipient: str) -> int:
    """Name sender and recipient and ask to send; returns the code of the first no, else the last reply's."""
    for ask, named in ((smtp.mail, sender), (smtp.rcpt, recipient)):
        code = ask(named)[0]
        if code < 0 or code >= _REFUSED:
            return code
    return smtp.docmd("DATA")[0]


def _require_hope(error: Exception) -> None:
    """Raise `RunError` for what no further try can change."""
    for kind, found in _HOPELESS.items():
        if isinstance(error, kind):
            raise RunError(
                found=found,
                expected=f"a server that takes e-mails with the settings {PREFIX}*",
                do="correct the settings in the environment of the command, and deliver again",
            ) from None


def _opened(server: Server, greeting: str) -> smtplib.SMTP:
    """Return a connection that is encrypted and logged in as the settings say."""
    context = ssl.create_default_context()
    place = (server.host, server.port, greeting)
    smtp = (
        smtplib.SMTP_SSL(*place, timeout=_TIMEOUT, context=context)
        if server.security == "tls"
        else smtplib.SMTP(*place, timeout=_TIMEOUT)
    )
    try:
        smtp.ehlo_or_helo_if_needed()
        if server.security == "starttls":
            smtp.starttls(context=context)
            smtp.ehlo()
        if server.user:
            smtp.login(server.user, server.password)
    except BaseException:
        smtp.close()
        raise
    return smtp
