"""Quotes are typical of their theme, of different customers, and free of what was or should have been masked."""

import pandas as pd
import pytest

from cxreport.measure.quotes import choose_quotes

TYPICAL = "The router drops the line every evening at eight"


def comments(texts: list[str], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"text": texts, "who": [f"c{i}" for i in range(len(texts))]})
    return frame.assign(**{"language": "en", "is_good": False} | columns)


def chosen(frame: pd.DataFrame, limit: int = 3) -> pd.DataFrame:
    return choose_quotes(frame, pd.DataFrame({"line": True}, index=frame.index), limit)


FILLERS = [
    "A cable was missing in the parcel from your shop",
    "Nobody could say when the engineer would arrive",
    "My neighbour recommended this provider to us all",
]


def test_most_typical_comment_comes_first():
    """What most customers say in similar words is quoted before what one of them says."""
    frame = comments([*[TYPICAL] * 20, *FILLERS * 3])
    assert chosen(frame)["quote"].iloc[0] == TYPICAL
    assert chosen(frame)["place"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "unfit",
    [
        "Write to me at [e-mail], the router drops the line",
        "[name] from your shop said the router drops the line",
        "Contract 48151623: the router drops the line every evening",
        "Too short",
        "The router drops the line. " * 12,
    ],
)
def test_what_may_lead_to_somebody_or_is_not_read_is_no_quote(unfit):
    """Masks, long numbers, scraps and essays are never quoted, however typical they are."""
    assert chosen(comments([unfit] * 30)).empty


@pytest.mark.parametrize(("n", "quoted"), [(9, 0), (10, 1), (29, 2), (30, 3), (300, 3)])
def test_each_ten_customers_allow_one_quote(n, quoted):
    """A base that may not be shown is not quoted either, and three quotes need thirty customers."""
    texts = [f"{word} {word}s {word}ed {word}ing the {word}er" for word in map("abcdefghij".__getitem__, range(10))]
    assert len(chosen(comments([texts[i % 10] * 1 + " every day" for i in range(n)]))) == quoted


def test_no_customer_is_quoted_twice():
    """Thirty comments of one customer are one person's: nothing is quoted; nor is a customer quoted in two themes."""
    assert chosen(comments([TYPICAL, *FILLERS] * 8, who="c0")).empty
    frame = comments([TYPICAL] * 10 + FILLERS * 7, who=["c0"] * 10 + [f"c{i}" for i in range(1, 22)])
    themes = pd.DataFrame({"line": True, "again": True}, index=frame.index)
    quotes = choose_quotes(frame, themes)
    assert len(quotes) == len(set(quotes["quote"]))


def test_comments_that_say_the_same_are_quoted_once():
    """Of comments that share half of their words only one stands, in whatever theme."""
    frame = comments([TYPICAL] * 15 + [TYPICAL + " again"] * 15)
    assert len(chosen(frame)) == 1


def test_both_sides_are_quoted_as_their_numbers_are():
    """Of three quotes two are of the larger side, which comes first; a side of fewer than ten has none."""
    good = ["The visit was on time and the man was friendly", "Everything works since the first day, thank you"]
    frame = comments([*good * 20, *[TYPICAL] * 20], is_good=[True] * 40 + [False] * 20)
    assert chosen(frame)["is_good"].tolist() == [True, True, False]
    assert chosen(frame.drop(index=range(45, 60)))["is_good"].tolist() == [True, True]


def test_order_of_rows_does_not_matter():
    """The same comments in another order give the same quotes."""
    frame = comments([TYPICAL, *FILLERS] * 12)
    pd.testing.assert_frame_equal(chosen(frame), chosen(frame.iloc[::-1]))


def test_texts_without_words_are_no_quotes():
    """Punctuation alone is nothing to quote."""
    assert chosen(comments(["!!! ??? ... !!! ??? ... !!! ???"] * 30)).empty
