"""Personal data in free text is masked, whatever surrounds it."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.sources.privacy import CARD, E_MAIL, IBAN, PHONE, mask, mask_series

PLAIN = st.text(st.characters(categories=["L", "Zs", "Po", "Sm"], exclude_characters="@\uff20"))
YEAR = re.compile(r"(19|20)\d\d")  # with one, a number may be a date
SEPARATORS = st.sampled_from(["", " ", "-", ".", "/", "\u00a0", ") ", " - "])


@st.composite
def phones(draw: st.DrawFn) -> str:
    groups = draw(st.lists(st.from_regex(r"[0-9]{2,4}", fullmatch=True), min_size=4, max_size=6))
    start = draw(st.sampled_from(["", "+", "("]))
    return start + groups[0] + "".join(draw(SEPARATORS) + group for group in groups[1:])


@st.composite
def cards(draw: st.DrawFn) -> str:
    digits = draw(st.from_regex(r"[3-6][0-9]{14}", fullmatch=True))
    doubled = [int(digit) * (2 - position % 2) for position, digit in enumerate(digits)]
    check = -sum(number - 9 * (number > 9) for number in doubled) % 10
    whole = f"{digits}{check}"
    return draw(st.sampled_from([" ", "-", ""])).join(whole[at : at + 4] for at in range(0, 16, 4))


@st.composite
def ibans(draw: st.DrawFn) -> str:
    country = draw(st.sampled_from(["DE", "GB", "NO", "MT"]))
    account = draw(st.from_regex(r"[0-9A-Z]{4}[0-9]{11,20}", fullmatch=True))
    number = int("".join(str(int(character, 36)) for character in f"{account}{country}00"))
    whole = f"{country}{98 - number % 97:02d}{account}"
    return draw(st.sampled_from([whole, " ".join(re.findall(".{1,4}", whole)), whole.lower()]))


@given(PLAIN)
def test_text_without_digits_and_at_signs_is_untouched(text: str) -> None:
    """Only what may be personal data is replaced."""
    assert mask(text) == text


@given(st.text())
def test_masking_is_idempotent(text: str) -> None:
    """A masked text holds nothing more to mask."""
    assert mask(mask(text)) == mask(text)


@given(PLAIN, st.emails(), PLAIN)
def test_e_mail_addresses_disappear(before: str, address: str, after: str) -> None:
    """No address survives, whatever its form."""
    masked = mask(f"{before} {address} {after}")
    assert address not in masked
    assert E_MAIL in masked


@given(PLAIN, phones().filter(lambda number: not YEAR.search(number)), PLAIN)
def test_telephone_numbers_disappear(before: str, number: str, after: str) -> None:
    """No digit of a number of eight and more digits survives, however it is grouped."""
    masked = mask(f"{before} {number} {after}")
    assert PHONE in masked or CARD in masked
    assert not any(character.isdigit() for character in masked)


@given(st.lists(phones().filter(lambda number: not YEAR.search(number)), min_size=2, max_size=3))
def test_neighbouring_numbers_leave_no_rest(numbers: list[str]) -> None:
    """Numbers in a row are all masked, without a tail of the last one."""
    assert not any(character.isdigit() for character in mask("call " + " ".join(numbers)))


@given(cards())
def test_payment_cards_are_named_as_such(card: str) -> None:
    """A number that passes Luhn's check is a card."""
    assert mask(f"my card {card}, declined") == f"my card {CARD}, declined"


@given(ibans())
def test_ibans_are_named_as_such(iban: str) -> None:
    """An account number with good check digits is found with and without groups, and what follows stays."""
    assert mask(f"pay to {iban}. Thanks") == f"pay to {IBAN}. Thanks"


@pytest.mark.parametrize(
    "text",
    [
        "moved on 2026-09-01, waited since 1/8/2026 and until 12.10.2026.",
        "2026-09-01 10:30 and 2026-09-02 11:30",
        "rated 10 of 10 after 45 minutes, paid 59.99",
        "ticket 400123 was closed",
    ],
)
def test_dates_and_short_numbers_stay(text: str) -> None:
    """Masking does not eat what readers need."""
    assert mask(text) == text


def test_a_second_account_right_after_a_first_one_is_masked_too() -> None:
    """A candidate that runs too far does not hide the next one."""
    assert mask("AB12 GB29NWBK60161331926819 DE89370400440532013000") == f"AB12 {IBAN} {IBAN}"


def test_a_date_does_not_shield_the_number_behind_it() -> None:
    """Date and telephone number side by side are told apart."""
    assert mask("2026-09-01 312-555-0147") == f"2026-09-01 {PHONE}"


def test_a_number_in_dotted_pairs_is_no_date() -> None:
    """French telephone numbers look like short dates and are masked."""
    assert mask("01.02.03.04.05") == PHONE


def test_columns_keep_their_nulls() -> None:
    """A missing comment stays missing."""
    masked = mask_series(pd.Series(["a@b.example", None], dtype="str"))
    assert masked[0] == E_MAIL
    assert masked.isna().tolist() == [False, True]
