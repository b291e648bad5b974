"""Personal data in free text is masked, whatever surrounds it."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.sources.privacy import (
    CARD,
    E_MAIL,
    IBAN,
    IP,
    PHONE,
    Names,
    column_names,
    kept,
    mask,
    mask_full_names,
    mask_full_names_of,
    mask_label,
    mask_name,
    mask_names,
    mask_series,
    normal_address,
)

PLAIN = st.text(st.characters(categories=["L", "Zs", "Po", "Sm"], exclude_characters="@\uff20/"))
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
    assert any(marker in masked for marker in (PHONE, CARD, IP))
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


@given(st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("@/.0123456789 -+w")), max_size=4))
def test_a_column_is_masked_like_its_texts(texts: list[str]) -> None:
    """The quick look at whole columns misses nothing that a look at each text finds."""
    column = pd.Series(texts, dtype="str")
    assert mask_series(column).tolist() == [mask(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("see https://example.com/a?user=ann_miller#x.", "see [link]."),
        ("(www.example.com/~ann)", "([link])"),
        ("HTTP://EXAMPLE.COM/Ann and example.com/ann", "[link] and [link]"),
        ("ask @ann_miller, or .@halden!", "ask [handle], or .[handle]!"),
        ("60 km/h and/or 2.5/5 @ 10:30", "60 km/h and/or 2.5/5 @ 10:30"),
        ("+44 (0)20 7946 0958 or 00 49 30 123456", "[phone]"),
        ("from 192.0.2.1, 198.51.100.17:8080 and ip:2001:db8::7334:2.", f"from {IP}, {IP}:8080 and ip:{IP}."),
        ("at 10:30:45, 1.2.3 of 12::, 256.1.1.1, 1.2.3.4.5", "at 10:30:45, 1.2.3 of 12::, 256.1.1.1, 1.2.3.4.5"),
        ("tel. \u0663\u0661\u0662\u0665\u0665\u0665\u0660\u0661", "tel. [phone]"),
    ],
)
def test_links_handles_and_foreign_numbers(text: str, masked: str) -> None:
    """Addresses of pages and profiles are personal data; slashes and at signs alone are not."""
    assert mask(text).replace("[phone] or [phone]", "[phone]") == masked


@pytest.mark.parametrize(
    "level",
    [
        *("18-24 / 25-34", "1000-5000", "10000-50000", "20260901", "2026-09-01 - 2026-09-30", "SV_1234567890"),
        *(
            "/products/1234567890/reviews",
            "google.com / referral",
            "example.com/pricing",
            "Branch 1002345",
            "1234567890123456789",
        ),
    ],
)
def test_levels_of_segments_stay(level: str) -> None:
    """Ranges, dates, codes and paths are no telephone numbers, and distinct levels stay distinct."""
    assert mask_label(level) == level


@pytest.mark.parametrize(
    "value", ["a@b.example", "+1 312 555 0147", "312-555-0147", "3125550147", "4111 1111 1111 1111", "192.0.2.1"]
)
def test_personal_data_in_a_segment_are_masked(value: str) -> None:
    """A column that was placed by mistake gives nobody away."""
    assert not any(character.isdigit() or character == "@" for character in mask_label(value))


def test_names_of_files_keep_their_times() -> None:
    """A row is traced by the name of its file, which may hold digits, but no address and no number of a person."""
    names = ["export_20260901102033.csv", "tickets-2026-09-01-0930.csv", "1693526400123.json"]
    assert [mask_name(name) for name in names] == names
    assert mask_name("from ann@example.com, 312-555-0147") == "from [e-mail], [phone]"


def test_a_name_of_a_column_is_short_printable_and_no_value() -> None:
    """What stands where a header should be is not quoted when it may be data."""
    questions, others = ["Q1", "How likely are you?", "Ann"], ["12345", "a@b", "x\x00", "n" * 81, "said_miller_ann"]
    shown = [*questions, *(f"column {number}" for number in range(4, 9))]
    assert column_names(questions + others, Names.of(["Ann Miller"])) == shown


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Ann was kind", "[name] was kind"),
        ("thanks ANN!", "thanks [name]!"),
        ("ann miller and Miller, Ann", "[name] and [name]"),
        ("May I? In May or with May Lopez. WILL it?", "May I? In [name] or with [name]. WILL it?"),
        ("I will. Will you?", "I will. Will you?"),
        ("Mr. O'Brien and Jos\u00e9 McDonald's bill", "Mr. [name] and [name]'s bill"),
        ("Anna, annual, van, Planner", "Anna, annual, van, Planner"),
        ("Piet van Dyk", "[name]"),
    ],
)
def test_names_of_customers_disappear(text: str, masked: str) -> None:
    """Whole capitalised words and full names are masked; common words only where they must be names."""
    known = Names.of(
        ["Ann Zeller", "Ann Miller", "May Lopez", "Will Osei", "Liam O'Brien", "Jos\u00e9 McDonald", "Piet van Dyk"]
    )
    found = mask_names(pd.Series([text, None], dtype="str"), known)
    assert found[0] == masked
    assert found.isna()[1]


@pytest.mark.parametrize(
    "same", [" Ann@Example.com ", "mailto:ann@example.com", "ann\uff20example.com", "ANN@EXAMPLE.COM"]
)
def test_addresses_are_compared_in_one_form(same: str) -> None:
    """Case, white space, a link's prefix and full-width forms make no other person; dots do."""
    assert normal_address(same) == "ann@example.com"
    assert normal_address("a.nn@example.com") != "ann@example.com"


def test_hashes_depend_on_the_key() -> None:
    """Whoever lacks the key cannot hash a list of addresses and compare; nulls stay null."""
    texts = pd.Series(["ann@example.com", None, "ANN@example.com"], dtype="str")
    one, other = kept(texts, "email", b"one"), kept(texts, "email", b"other")
    assert one[0] == one[2] != other[0]
    assert one.isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Ann Miller", "[name]"),
        ("miller, ann / MILLER,ANN", "[name] / [name]"),
        ("tickets_ann_miller.2026-09.csv", "tickets_[name].2026-09.csv"),
        ("Ann and Miller", "Ann and Miller"),
        ("Victoria", "Victoria"),
        ("C001_ann", "C001_ann"),
    ],
)
def test_full_names_disappear_from_levels_ids_and_names_of_files(text: str, masked: str) -> None:
    """In a column that is no free text a single word is a level, and both names of a customer are none."""
    known = Names.of(["Ann Miller", "Victoria Osei"])
    assert mask_full_names(text, known) == masked
    column = mask_full_names_of(pd.Series([text, None, "C1"], dtype="str"), known)
    assert column.fillna("").tolist() == [masked, "", "C1"]
