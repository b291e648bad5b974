"""Mask personal data before any of it is stored, and keep keyed hashes where an identifier is needed.

In free text become markers: e-mail addresses, links, handles, payment card numbers (Luhn), IBANs (ISO 13616, remainder
1 of 97), IP addresses, telephone numbers, and the names of known customers. Any run of seven and more digits is masked,
whatever it is: hiding an order number is cheaper than publishing a telephone number. Dates with a four-digit year stay.

Other text columns hold codes and levels, and names of files hold times: there a number must look like a telephone
number, a name must be a full one, and links and handles stay.
"""

import hashlib
import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.errors import DefinitionError
from cxreport.sources.values import contiguous, rows_with

E_MAIL, PHONE, CARD, IBAN = "[e-mail]", "[phone]", "[card]", "[IBAN]"
LINK, HANDLE, NAME, IP = "[link]", "[handle]", "[name]", "[IP address]"
MARKERS = (E_MAIL, PHONE, CARD, IBAN, LINK, HANDLE, NAME, IP)

_E_MAIL = re.compile(r"""[^\s@\uff20\[\]<>(),;:]{1,64}[@\uff20][\w-]+(?:\.[\w-]+)+""")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]){11,40}", re.IGNORECASE | re.ASCII)
_LINK = re.compile(
    r"(?:https?://|www\.|(?<![\w.@\uff20-])(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}/)[^\s<>]*[^\s<>.,;:!?)\]'\"]",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"(?<!\w)[@\uff20][^\W\d]\w*")
# What may be one of version 4, or of version 6, of which the `ipaddress` module knows whether it is one.
_IP = re.compile(
    r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.\d)"
    r"|(?<!\w)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){1,6}:[0-9a-f]{1,4}(?!\w)",
    re.IGNORECASE,
)

# Seven digits are the shortest telephone number; no upper limit, so that two numbers in a row leave no rest behind.
_BETWEEN_DIGITS = r"(?:[^\S\r\n]|[().\-/\u2010-\u2015]){0,3}"
_DATE = (
    r"(?<!\d)(?:(?:19|20)\d\d(?P<ymd>[-/.])(?:0?[1-9]|1[0-2])(?P=ymd)(?:[12]\d|3[01]|0?[1-9])"
    r"|(?:[0-3]?\d)(?P<dmy>[-/.])(?:[0-3]?\d)(?P=dmy)(?:19|20)\d\d)(?!\d|[-/.]\d)"
)
_DATE_OR_NUMBER = re.compile(rf"{_DATE}|(?P<number>[+(]{{0,2}}\d(?:{_BETWEEN_DIGITS}\d){{6,}})")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d")
_COMPACT_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d")
_GROUPED_DIGITS, _GROUPS = 9, 3  # what a level that is a telephone number has at least
_BARE_DIGITS = frozenset({10, 11, 12})  # of one without groups; longer ones are ids of posts, or times
_CARD_DIGITS = 16

_LONGEST_NAME = 80
_DIGITS_OF_DATA = 5  # a name with so many is a value

# Quick looks that spare most texts the slow ones; the last two are for Arrow, whose own \d are only 0 to 9, and the
# first of them leaves few texts to the second.
_HAS_LINK = re.compile(r"/|www\.", re.IGNORECASE)
_HAS_AT = re.compile(r"[@\uff20]")
_HAS_DIGITS = re.compile(r"(?:\d\D*){7}|[A-Z]{2}\d{2}", re.IGNORECASE)
_HAS_IP = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|:[0-9a-f]{0,4}:", re.IGNORECASE)
_HAS_A_SIGN = r"[@\x{ff20}/\p{Nd}]|(?i:www\.)"
_SUSPECT_COLUMN = (
    r"(?is)[@\x{ff20}]|(?:\p{Nd}\P{Nd}*){7}|/|www\.|[a-z]{2}[0-9]{2}|[0-9](?:\.[0-9]{1,3}){2}\.[0-9]|:[0-9a-f]{0,4}:"
)
_HAS_TWO_WORDS = r"\p{L}[^\p{L}\p{Nd}]{1,2}\p{L}"


def mask(text: str) -> str:
    """Return a free text with its personal data replaced by markers; masking twice changes nothing more.

    >>> mask("Call 312-555-0147 or write to ann@example.com, I moved on 2026-09-01")
    'Call [phone] or write to [e-mail], I moved on 2026-09-01'
    >>> mask("card 4111 1111 1111 1111, account GB29 NWBK 6016 1331 9268 19")
    'card [card], account [IBAN]'
    >>> mask("see https://example.com/orders?mail=ann@example.com, thanks @halden")
    'see [link], thanks [handle]'
    """
    if _HAS_LINK.search(text):
        text = _LINK.sub(LINK, text)
    if _HAS_AT.search(text):
        text = _E_MAIL.sub(E_MAIL, text)
    text = _mask_ips(text)
    if _HAS_DIGITS.search(text):
        text = _DATE_OR_NUMBER.sub(_number_marker, _mask_ibans(text))
    return _HANDLE.sub(HANDLE, text) if _HAS_AT.search(text) else text


def mask_label(text: str) -> str:
    """Mask a level of a segment, or another short text of a tool: its codes, dates, ranges and paths stay.

    >>> mask_label("ann@example.com"), mask_label("+1 312 555 0147"), mask_label("18-24 / 1000-5000 / 2026-09-01")
    ('[e-mail]', '[phone]', '18-24 / 1000-5000 / 2026-09-01')
    """
    return " / ".join(_mask_parts(_mask_ips(part), _is_phone) for part in text.split(" / "))


def mask_name(text: str) -> str:
    """Mask the name of a file or column: the times and numbers in it stay.

    >>> mask_name("tickets ann@example.com 2026-09-01-103000.csv")
    'tickets [e-mail] 2026-09-01-103000.csv'
    """
    return _mask_parts(text, _is_phone_in_name)


def mask_series(texts: "pd.Series[str]", masked: Callable[[str], str] = mask) -> "pd.Series[str]":
    """Mask every text of a column, each distinct one once; nulls stay null."""
    array = pa.array(texts, pa.large_string())
    signed = pc.indices_nonzero(pc.match_substring_regex(array, _HAS_A_SIGN).fill_null(False))
    suspect = signed.filter(pc.match_substring_regex(array.take(signed), _SUSPECT_COLUMN)).to_numpy()
    if not len(suspect):
        return texts
    codes, distinct = pd.factorize(texts.iloc[suspect])
    found = pd.Series([masked(text) for text in distinct], dtype="str").take(codes)
    is_suspect = np.zeros(len(texts), dtype=bool)
    is_suspect[suspect] = True
    return texts.mask(is_suspect, found.set_axis(texts.index[suspect]))


def markers(texts: "pd.Series[str]") -> dict[str, int]:
    """Count the markers in a column by kind, without their brackets.

    >>> markers(pd.Series(["[e-mail] or [phone], [phone]", None]))
    {'e-mail': 1, 'phone': 2}
    """
    array = contiguous(texts).take(pa.array(rows_with(texts, "[")))
    counts = {marker.strip("[]"): pc.sum(pc.count_substring(array, marker)).as_py() or 0 for marker in MARKERS}
    return {kind: count for kind, count in counts.items() if count}


def column_names(columns: Iterable[str], customers: "Names") -> list[str]:
    """Return column names without what is no name: a file without a header has its first record there.

    >>> column_names(["Rating", "ann@example.com", "312-555-0147", "Ann Miller"], Names.of(["Ann Miller"]))
    ['Rating', 'column 2', 'column 3', 'column 4']
    """
    return [
        name if is_name(name) and mask_full_names(name, customers) == name else f"column {number}"
        for number, name in enumerate(columns, start=1)
    ]


def is_name(text: str) -> bool:
    """Whether a text can be the name of a column, and not a value."""
    fits = text.isprintable() and len(text) <= _LONGEST_NAME and "@" not in text
    return fits and sum(map(str.isdigit, text)) < _DIGITS_OF_DATA and mask(text) == text


def kept(texts: "pd.Series[str]", how: Literal["email", "hash"], secret: bytes | None) -> "pd.Series[str]":
    """Return what is kept of identifiers: a keyed hash (HMAC-SHA256, 32 hex digits), of addresses after normalising.

    Addresses are compared without case, white space, `mailto:` and differences of Unicode forms (NFKC); nothing is
    known of what a provider ignores. Raises `DefinitionError` without a secret: a hash without a key can be undone by
    hashing every known address.
    """
    if secret is None:
        raise DefinitionError(
            found="a mapping keeps hashes of personal identifiers, and no key for them is set",
            expected="a secret of the company in the environment variable CXREPORT_HASH_KEY, the same in every run",
            do="set it to a long random text that is kept outside the project",
        )
    codes, distinct = pd.factorize(texts)
    hashes = [keyed(normal_address(text) if how == "email" else text, secret) for text in distinct]
    return pd.Series([hashes[code] if code >= 0 else None for code in codes], index=texts.index, dtype="str")


def keyed(text: str, secret: bytes) -> str:
    """Return 32 hex digits of a text's HMAC-SHA256."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:32]


def normal_address(text: str) -> str:
    """Return an e-mail address as it is compared.

    >>> normal_address(" mailto:Ann@Example.com")
    'ann@example.com'
    """
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).removeprefix("mailto:")


# --- names ---------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_]+")
_JOINTS = frozenset({" ", ", ", ". ", "-", "'", "\u2019", "\u00a0"})
_JOINTS_OF_CODES = _JOINTS | {"_", ".", ",", "__"}
_STARTS_SENTENCE = re.compile(r"(?:^|[.!?:;\n\r\u2026(\"\u201c-])\s*$")
# Names that are words, too: alone they are taken for one only inside a sentence.
_WORDS_TOO = frozenset(
    re.findall(
        r"\w+",
        "amber angel april art august autumn bell bill black bliss brook brown carol chance chase christian clay cook "
        "crystal daisy dawn dean destiny drew earl eve fair faith ford forest frank gene glen good grace grant gray "
        "green guy hall hand harmony heath holly hope iris ivy jade joy june king lake lane lily long love major mark "
        "may melody mercy miles misty norm olive page pat patience pearl penny piper poppy price prudence ray red rich "
        "river rob rock rose rusty sage sandy serenity short sky smart stone storm sue summer sunny violet ward wells "
        "west white will willow winter wood young",
    )
)


@dataclass(frozen=True)
class Names:
    """The names of known customers, for `mask_names`: words as they are written, and pairs without case."""

    spelled: frozenset[str]
    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, full: Iterable[str]) -> Self:
        """Gather full names; initials and particles such as `van` are masked beside another part only."""
        split = [_WORD.findall(name) for name in full]
        words = {word for name in split for word in name if len(word) > 1 and not _is_particle(word, name)}
        return cls(frozenset(words), frozenset(pair for name in split for pair in pairwise(map(str.casefold, name))))

    def may_be_in(self, text: str) -> bool:
        """Whether a second look is worth its time."""
        found = set(_WORD.findall(text))
        first, second = self._in_lower_case
        return not self._capitalised.isdisjoint(found) or not (first.isdisjoint(found) or second.isdisjoint(found))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words without case."""
        return frozenset(map(str.casefold, self.spelled))

    @cached_property
    def _capitalised(self) -> frozenset[str]:
        return frozenset(form for word in self.spelled for form in (word, word.title(), word.upper()))

    @cached_property
    def _in_lower_case(self) -> tuple[frozenset[str], frozenset[str]]:
        return frozenset(first for first, _ in self.pairs), frozenset(second for _, second in self.pairs)


def mask_names(texts: "pd.Series[str]", names: Names) -> "pd.Series[str]":
    """Mask names in a column of free text; nulls stay null.

    A name is a capitalised word of one, or two words of one after each other in any case. Words that are names and
    common words as well, such as May, are taken for a name only where nothing else explains the capital letter.

    >>> known = Names.of(["Ann Miller", "Will Osei"])
    >>> mask_names(pd.Series(["Will this last? Ann said so, as did Will and will osei."]), known)[0]
    'Will this last? [name] said so, as did [name] and [name].'
    """
    if not names.spelled:
        return texts
    suspect = texts.map(names.may_be_in, na_action="ignore").eq(True)
    return texts.mask(suspect, texts[suspect].map(lambda text: _without_names(text, names)).astype("str"))


def mask_full_names(text: str, names: Names) -> str:
    """Mask the full names in a short text such as a level, the name of a file or a message, in either order.

    Single words stay: a customer called Victoria does not hide a region.

    >>> known = Names.of(["Ann Miller"])
    >>> mask_full_names("tickets_ann_miller.csv", known), mask_full_names("Miller, Ann / Ann", known)
    ('tickets_[name].csv', '[name] / Ann')
    """
    words = list(_WORD.finditer(text))
    return _without(text, words, _in_pairs(text, words, names, _JOINTS_OF_CODES), _JOINTS_OF_CODES)


def mask_full_names_of(texts: "pd.Series[str]", names: Names) -> "pd.Series[str]":
    """Mask full names in a column, in each distinct text once; nulls stay null."""
    if not names.pairs:
        return texts
    may_hold = pc.match_substring_regex(pa.array(texts, pa.large_string()), _HAS_TWO_WORDS).fill_null(False)
    suspect = may_hold.to_numpy(zero_copy_only=False)
    masked = {text: mask_full_names(text, names) for text in texts[suspect].unique()}
    return texts.mask(suspect, texts[suspect].map(masked).astype("str")) if masked else texts


def _without_names(text: str, names: Names) -> str:
    words = list(_WORD.finditer(text))
    alone = {at for at, word in enumerate(words) if _is_named(text, word, names)}
    return _without(text, words, alone | _in_pairs(text, words, names, _JOINTS), _JOINTS)


def _in_pairs(text: str, words: list[re.Match[str]], names: Names, joints: frozenset[str]) -> set[int]:
    """Return which words are parts of a full name."""
    found: set[int] = set()
    for at, (first, second) in enumerate(pairwise(words)):
        pair = first[0].casefold(), second[0].casefold()
        is_name = pair in names.pairs or (joints is _JOINTS_OF_CODES and pair[::-1] in names.pairs)
        if is_name and text[first.end() : second.start()] in joints:
            found |= {at, at + 1}
    return found


def _without(text: str, words: list[re.Match[str]], named: set[int], joints: frozenset[str]) -> str:
    parts, done = [], 0
    for start, end in _runs(text, [words[at].span() for at in sorted(named)], joints):
        parts += [text[done:start], NAME]
        done = end
    return "".join([*parts, text[done:]])


def _runs(text: str, spans: list[tuple[int, int]], joints: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Join the spans that only a joint separates."""
    at: tuple[int, int] | None = None
    for start, end in spans:
        if at and text[at[1] : start] in joints:
            at = at[0], end
        else:
            if at:
                yield at
            at = start, end
    if at:
        yield at


def _is_named(text: str, word: re.Match[str], names: Names) -> bool:
    folded = word[0].casefold()
    if not word[0][0].isupper() or folded not in names.words or text[word.start() - 1 : word.start()] == "[":
        return False
    if folded not in _WORDS_TOO:
        return True
    return not word[0].isupper() and not _STARTS_SENTENCE.search(text, 0, word.start())


def _is_particle(word: str, name: list[str]) -> bool:
    return word[0].islower() and any(part[0].isupper() for part in name)


# --- numbers -------------------------------------------------------------------------------------


def _mask_parts(text: str, is_phone: Callable[[re.Match[str]], bool]) -> str:
    text = _E_MAIL.sub(E_MAIL, text)
    if not _HAS_DIGITS.search(text):
        return text
    text = _mask_ibans(text)
    return _DATE_OR_NUMBER.sub(lambda match: _number_marker(match) if is_phone(match) else match[0], text)


def _is_phone(match: re.Match[str]) -> bool:
    number = match["number"]
    if number is None:
        return False
    groups = re.findall(r"\d+", number)
    digits = sum(map(len, groups))
    if number[0] in "+(":
        return True
    if len(groups) > 1:
        return (digits >= _GROUPED_DIGITS and len(groups) >= _GROUPS) or _is_card("".join(groups))
    alone = not re.search(r"[\w/.-]$", match.string[: match.start()]) and not re.match(
        r"\w", match.string[match.end() :]
    )
    fits = digits in _BARE_DIGITS or (digits == _CARD_DIGITS and _is_card(number))
    return alone and fits and not _COMPACT_DATE.match(number)


def _is_phone_in_name(match: re.Match[str]) -> bool:
    number = match["number"]
    return number is not None and not number.isdigit() and not _YEAR.search(number) and _is_phone(match)


def _number_marker(match: re.Match[str]) -> str:
    number = match["number"]
    if number is None:
        return match[0]  # a date
    return CARD if _is_card(re.sub(r"\D", "", number)) else PHONE


def _mask_ips(text: str) -> str:
    return _IP.sub(_ip_marker, text) if _HAS_IP.search(text) else text


def _ip_marker(match: re.Match[str]) -> str:
    try:
        ipaddress.ip_address(match[0])
    except ValueError:  # a time, or a number with points
        return match[0]
    return IP if any(map(str.isdigit, match[0])) else match[0]


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
