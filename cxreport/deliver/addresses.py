"""E-mail addresses in the one form in which they are compared, sent to and hashed."""

import re
from collections.abc import Collection

_LONGEST, _LONGEST_LOCAL = 254, 64  # RFC 5321
_LOCAL = re.compile(r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Letters that one standard of international domains keeps and the other one drops or replaces by others.
_AMBIGUOUS = re.compile("[\u00df\u03c2\u200c\u200d]|\u1e9e")


def normalise(address: str) -> str:
    """Return a bare address with its domain in lower-case ASCII; no display name, comment, quotes or literals.

    Raises `ValueError`, whose message does not repeat the address.

    >>> normalise("Anna.Larsen@Example.COM"), normalise("anna@bücher.example")
    ('Anna.Larsen@example.com', 'anna@xn--bcher-kva.example')
    """
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local) > _LONGEST_LOCAL:
        raise ValueError("no bare address such as `name@example.com` in ASCII before the `@`")
    found = f"{local}@{normalise_domain(domain)}"
    if len(found) > _LONGEST:
        raise ValueError(f"an address of more than {_LONGEST} characters")
    return found


def normalise_domain(domain: str) -> str:
    """Return a domain in lower-case ASCII (`xn--` where it has other letters); raises `ValueError`.

    >>> normalise_domain("Bücher.example")
    'xn--bcher-kva.example'
    """
    if _AMBIGUOUS.search(domain):
        raise ValueError("a domain with a letter that standards read in two ways; write the domain with `xn--`")
    try:
        found = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError("a domain that does not exist in this form") from None
    labels = found.split(".")
    if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():  # noqa: PLR2004 - name and top
        raise ValueError("no domain such as `example.com` after the `@`")
    return found


def refusal(address: str, allowed: Collection[str]) -> str:
    """Say why an address gets nothing, without repeating it; empty when nothing speaks against it.

    `allowed` holds normalised domains. A sub-domain is another domain.
    """
    try:
        domain = normalise(address).rpartition("@")[2]
    except ValueError as error:
        return str(error)
    return "" if domain in allowed else f"the domain `{domain}` is not among `allowed_domains`"
