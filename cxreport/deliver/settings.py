"""Who gets a report by e-mail (`reports/delivery/<report>.yml`), and through which server (the environment)."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from cxreport.config import Definition, Project, Report, load_yaml
from cxreport.deliver.addresses import normalise, normalise_domain, refusal
from cxreport.errors import DefinitionError, listed

Security = Literal["starttls", "tls", "none"]

PREFIX = "CXREPORT_SMTP_"
_PORTS: dict[str, int] = {"starttls": 587, "tls": 465, "none": 25}
_HERE = {"localhost", "127.0.0.1", "::1"}
_LAST_PORT = 65_535
SUBJECT_NAMES = ("title", "period", "organisation")


class Delivery(Definition):
    """How one report is delivered; addresses of recipients are checked by `refusals`, so that the owner can be told."""

    owner: str  # gets what went wrong, and no figures
    sender: str = ""  # by default the owner
    allowed_domains: list[str] = Field(min_length=1)
    recipients: dict[str, list[str]] = Field(min_length=1)  # audience, or `all` for the pack of everybody
    subject: str = ""  # with {title}, {period} and {organisation}; by default title and period
    attach: Literal["report", "executive"] = "report"
    largest_mb: float = Field(default=10, gt=0)  # of a whole e-mail, in megabytes
    tries: int = Field(default=3, ge=1, le=10)  # before a recipient is left to the next delivery
    wait_seconds: float = Field(default=5, ge=0, le=60)  # before the second try; doubled for each further one

    @field_validator("allowed_domains")
    @classmethod
    def _domains_are_domains(cls, domains: list[str]) -> list[str]:
        return [normalise_domain(domain) for domain in domains]

    @field_validator("subject")
    @classmethod
    def _subject_names_are_known(cls, subject: str) -> str:
        names = {name for _, name, _, _ in string.Formatter().parse(subject) if name is not None}
        if extra := names - set(SUBJECT_NAMES):
            raise ValueError(f"names {listed(extra)}, of {listed(SUBJECT_NAMES)}")
        return subject

    @model_validator(mode="after")
    def _owner_and_sender_are_allowed(self) -> Self:
        for name, address in (("owner", self.owner), ("sender", self.sender or self.owner)):
            if reason := refusal(address, self.allowed_domains):
                raise ValueError(f"`{name}`: {reason}")
        return self

    @property
    def owner_address(self) -> str:
        """The owner's address as it is sent to."""
        return normalise(self.owner)

    @property
    def sent_by(self) -> str:
        """The address that e-mails come from."""
        return normalise(self.sender or self.owner)

    def refusals(self, audiences: list[str]) -> Iterator[str]:
        """Say of every recipient of these audiences who gets nothing: where it stands and why, not who it is."""
        for audience in audiences:
            seen: set[str] = set()
            for place, address in enumerate(self.recipients[audience], start=1):
                reason = refusal(address, self.allowed_domains)
                key = "" if reason else normalise(address).lower()
                if reason or key in seen:
                    yield f"`{audience}`, address {place}: {reason or 'stands there twice'}"
                seen.add(key)


def load(project: Project, report: Report) -> Delivery:
    """Read how a report is delivered; raises `DefinitionError` with every problem."""
    return load_yaml(project.delivery / f"{report.id}.yml", Delivery, project)


@dataclass(frozen=True)
class Server:
    """The SMTP server, whose settings are no part of the project."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    security: Security
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read `CXREPORT_SMTP_*`; raises `DefinitionError` with every problem, which quotes no value."""
        given = {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)}
        host, security = given.get("HOST", ""), given.get("SECURITY", "starttls")
        port, user, password = given.get("PORT", ""), given.get("USER", ""), given.get("PASSWORD", "")
        problems = [f"no {PREFIX}HOST"] if not host else []
        if security not in _PORTS:
            problems.append(f"{PREFIX}SECURITY is none of {listed(_PORTS)}")
        elif security == "none" and host not in _HERE:
            problems.append(f"{PREFIX}SECURITY is `none` for a server on another machine")
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
            problems.append(f"{PREFIX}PORT is no port")
        if file := given.get("PASSWORD_FILE", ""):
            if password:
                problems.append(f"both {PREFIX}PASSWORD and {PREFIX}PASSWORD_FILE")
            try:
                password = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                problems.append(f"{PREFIX}PASSWORD_FILE names no file that can be read")
        if bool(user) != bool(password):
            problems.append(f"only one of {PREFIX}USER and the password")
        if problems:
            raise DefinitionError(
                found="; ".join(problems),
                expected=f"{PREFIX}HOST and, where the server asks for them, {PREFIX}USER and {PREFIX}PASSWORD_FILE",
                do="set the variables in the environment of the command; docs/delivery.md lists them",
            )
        return cls(host, int(port or _PORTS[security]), cast(Security, security), user, password)
