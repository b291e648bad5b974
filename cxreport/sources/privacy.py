"""Mask personal data in free text, before any of it is stored.

E-mail addresses, payment card numbers (Luhn), IBANs (ISO 13616, remainder 1 of 97) and telephone numbers become
markers. Any run of seven and more digits is masked, whatever it is: hiding an order number is cheaper than publishing
a telephone number. Dates with a four-digit year stay.
"""

import hashlib
import hmac
import re
from typing import Literal

import pandas as pd

from cxreport.errors import DefinitionError

E_MAIL, PHONE, CARD, IBAN = "[e-mail]", "[phone]", "[card]", "[IBAN]"

_E_MAIL = re.compile(r"""[^\s@\uff20\[\]<>(),;:]{1,64}[@\uff20][\w-]+(?:\.[\w-]+)+""")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]){11,40}", re.IGNORECASE | re.ASCII)

# Seven digits are the shortest telephone number; no upper limit, so that two numbers in a row leave no rest behind.
_BETWEEN_DIGITS = r"(?:[^\S\r\n]|[().\-/\u2010-\u2015]){0,3}"
_DATE = (
    r"(?<!\d)(?:(?:19|20)\d\d(?P<ymd>[-/.])(?:0?[1-9]|1[0-2])(?P=ymd)(?:[12]\d|3[01]|0?[1-9])"
    r"|(?:[0-3]?\d)(?P<dmy>[-/.])(?:[0-3]?\d)(?P=dmy)(?:19|20)\d\d)(?!\d|[-/.]\d)"
)
_DATE_OR_NUMBER = re.compile(rf"{_DATE}|(?P<number>[+(]{{0,2}}\d(?:{_BETWEEN_DIGITS}\d){{6,}})")
_SUSPECT = re.compile(r"[@\uff20]|\d")


def mask(text: str) -> str:
    """Return a text with its personal data replaced by markers; masking twice changes nothing more.

    >>> mask("Call 312-555-0147 or write to ann@example.com, I moved on 2026-09-01")
    'Call [phone] or write to [e-mail], I moved on 2026-09-01'
    >>> mask("card 4111 1111 1111 1111, account GB29 NWBK 6016 1331 9268 19")
    'card [card], account [IBAN]'
    """
    if not _SUSPECT.search(text):
        return text
    text = _E_MAIL.sub(E_MAIL, text)
    text = _mask_ibans(text)
    return _DATE_OR_NUMBER.sub(_number_marker, text)


def mask_series(texts: "pd.Series[str]") -> "pd.Series[str]":
    """Mask every text of a column; nulls stay null."""
    return texts.map(mask, na_action="ignore").astype("str")


def kept(texts: "pd.Series[str]", how: Literal["email", "hash"], secret: bytes | None) -> "pd.Series[str]":
    """Return what is kept of identifiers: a keyed hash (HMAC-SHA256, 32 hex digits), of addresses after normalising.

    Addresses are compared without case and outer white space. Raises `DefinitionError` without a secret: a hash
    without a key can be undone by hashing every known address.
    """
    if secret is None:
        raise DefinitionError(
            found="a mapping keeps hashes of personal identifiers, and no key for them is set",
            expected="a secret of the company in the environment variable CXREPORT_HASH_KEY, the same in every run",
            do="set it to a long random text that is kept outside the project",
        )
    key = secret
    normal = texts.str.strip().str.casefold() if how == "email" else texts
    return normal.map(
        lambda text: hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32], na_action="ignore"
    ).astype("str")


def _number_marker(match: re.Match[str]) -> str:
    number = match["number"]
    if number is None:
        return match[0]  # a date
    return CARD if _is_card(re.sub(r"\D", "", number)) else PHONE


def _mask_ibans(text: str) -> str:
    """Mask account numbers; a match may run on into the next words, or start with a word, so its parts are tried."""
    parts: list[str] = []
    done = at = 0
    while match := _IBAN.search(text, at):
        end = _iban_end(text, match)
        if end is None:
            at = match.start() + 1
        else:
            parts += [text[done : match.start()], IBAN]
            done = at = end
    return "".join([*parts, text[done:]])


def _iban_end(text: str, match: re.Match[str]) -> int | None:
    """Return where the longest start of a match ends that is an IBAN, cut only where a word ends."""
    for end in range(match.end(), match.start(), -1):
        at_word_end = end == len(text) or not text[end].isalnum()
        if at_word_end and _is_iban(text[match.start() : end].replace(" ", "")):
            return end
    return None


def _is_card(digits: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1) on 13 to 19 digits."""
    if not 13 <= len(digits) <= 19:  # noqa: PLR2004 - lengths of card numbers
        return False
    doubled = [int(digit) * (1 + position % 2) for position, digit in enumerate(reversed(digits))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0  # noqa: PLR2004 - digit sum of two digits


def _is_iban(characters: str) -> bool:
    """ISO 13616: country and check digits moved to the end, letters as numbers, remainder 1 of 97."""
    if not 15 <= len(characters) <= 34:  # noqa: PLR2004 - lengths of IBANs
        return False
    moved = characters[4:] + characters[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1
