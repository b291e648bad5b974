"""Twenty invented people with ten pieces of personal data each, and the words by which any rest of them is found."""

import re
from dataclasses import astuple, dataclass

FIRST = ("Anouk", "Bertil", "Calanthe", "Dragan", "Eilidh")
LAST = ("Zellerbach", "Quistgaard", "Okonkwo", "Tannahill")


@dataclass(frozen=True)
class Person:
    """What is known of one customer."""

    name: str
    address: str
    phone: str
    local_phone: str
    link: str
    handle: str
    card: str
    iban: str
    ip: str
    tool_id: str

    @property
    def says(self) -> str:
        """A comment that gives everything away that people write down."""
        first = self.name.partition(" ")[0]
        return (
            f"I am {self.name}, {first} for short: {self.phone} or {self.local_phone}, {self.address}; see {self.link} "
            f"or {self.handle}. Card {self.card}, account {self.iban}. It failed from {self.ip}, says {first}"
        )


def people() -> list[Person]:
    """Return the twenty."""
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    return [_person(at, name) for at, name in enumerate(names)]


def _person(at: int, name: str) -> Person:
    user = name.lower().replace(" ", ".")
    ipv4, ipv6 = f"198.51.100.{101 + at}", f"2001:db8:51f7::7334:{at + 1:x}"
    return Person(
        name=name,
        address=f"{user}{at}@planted-mail.example",
        phone=f"+44 20 7946 {1000 + 37 * at}",
        local_phone=f"(312) 555-{1000 + 41 * at}",
        link=f"https://planted-link.example/profile/{at}?id=zq{at}x",
        handle=f"@{user.replace('.', '_')}_{at}",
        card=_card(f"5425 2334 3010 9{at:02}"),
        iban=_iban(f"NWBK601613319268{at:02}"),
        ip=ipv6 if at % 2 else ipv4,
        tool_id=f"001Zq7PlantId{at:05}" if at % 2 else f"9000007770{at:02}",
    )


def _card(start: str) -> str:
    """Add the digit that satisfies Luhn's check."""
    digits = [int(digit) * (2 - place % 2) for place, digit in enumerate(re.sub(r"\D", "", start))]
    return f"{start}{-sum(digit - 9 * (digit > 9) for digit in digits) % 10}"


def _iban(account: str) -> str:
    """Add country and check digits."""
    number = int("".join(str(int(sign, 36)) for sign in f"{account}GB00"))
    return f"GB{98 - number % 97:02}{account}"


def bare(text: str) -> str:
    """Return the letters and digits of a text, in lower case: how it is written does not matter."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


ITEMS = [item for person in people() for item in astuple(person)]
# Every item holds one of these words, and a part of an item that gives somebody away as well.
WORDS = frozenset(
    bare(word)
    for word in (
        *(*FIRST, *LAST, "planted-mail", "planted-link", "5425 2334 3010", "NWBK60161331"),
        *("44 20 7946 1", "198.51.100.1", "2001:db8:51f7", "900000777", "001Zq7PlantId"),
        *(person.local_phone for person in people()),
    )
)
