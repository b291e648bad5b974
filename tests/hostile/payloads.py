"""The payloads, and what readers shall see of them."""

import unicodedata
from pathlib import Path

import yaml

BY_KIND: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "payloads.yml").read_text(encoding="utf-8"))
PAYLOADS = [payload for payloads in BY_KIND.values() for payload in payloads]
# Those that comments can hold and still be quoted.
COMMENTED = [payload for kind, payloads in BY_KIND.items() if kind != "not quoted" for payload in payloads]
_DIRECTIONS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def shown(payload: str) -> str:
    """Return a payload as it shall stand on a page: on one line, turned around by nothing."""
    line = " ".join(payload.split())
    return "".join(mark for mark in line if unicodedata.category(mark) != "Cc" and mark not in _DIRECTIONS)


def letters(text: str) -> str:
    """Return a text without white space and marks that are not seen, such as programs lose or add when they set it."""
    return "".join(mark for mark in text if not mark.isspace() and unicodedata.category(mark) not in {"Cc", "Cf"})
