"""Reviews: Google Play's monthly files and Trustpilot's API."""

import json

import pandas as pd
import pytest

from cxreport.errors import GateError

HEADER = (
    "Package Name,App Version Code,App Version Name,Reviewer Language,Device,Review Submit Date and Time,"
    "Review Submit Millis Since Epoch,Review Last Update Date and Time,Review Last Update Millis Since Epoch,"
    "Star Rating,Review Title,Review Text,Developer Reply Date and Time,Developer Reply Millis Since Epoch,"
    "Developer Reply Text,Review Link"
)
LINK = (
    "http://play.google.com/console/developers/1/app/2/user-feedback/review-details?reviewId={}&corpus=PUBLIC_REVIEWS"
)
PLAY = {"id": "play", "adapter": "google_play", "files": "reviews_*.csv"}
TRUST = {"id": "trust", "adapter": "trustpilot", "files": "trust*.json"}


def review(
    stars: int = 5, *, text: str = '"Fast, and ""nice"""', link: str = "ab-1", updated: int = 1788253200123
) -> str:
    address = LINK.format(link) if link else ""
    return (
        f"com.acme.shop,12,1.2,de,pixel,2026-09-01T09:00:00Z,1788253200123,2026-09-01T09:00:00Z,{updated},{stars},,{text}"
        f",,,,{address}"
    )


def play(*rows: str, header: str = HEADER) -> bytes:
    return "\ufeff".encode("utf-16-le") + "\n".join([header, *rows, ""]).encode("utf-16-le")


def trust(**changes: object) -> dict[str, object]:
    base = {
        "id": "507f191e810c19729de860ea",
        "stars": 4,
        "title": "Good",
        "text": "Write to ann@example.com",
        "language": "en",
        "createdAt": "2026-09-01T13:37:00Z",
        "updatedAt": None,
        "consumer": {"displayName": "Ann Example", "id": "9"},
        "referenceId": "order-17",
        "isVerified": True,
    }
    return base | changes


def test_play_reviews_are_staged(company) -> None:
    """UTF-16 is read, thousandths of seconds are kept, and the id in the link is the key."""
    company.deliver("reviews_com.acme.shop_202609.csv", play(review()))
    company.ingest(PLAY)
    found = company.staged("mentions").iloc[0]
    assert (found["mention_id"], found["network"], found["language"]) == ("ab-1", "Google Play", "de")
    assert (found["rating"], found["text"]) == (5, 'Fast, and "nice"')
    assert found["posted_at"] == pd.Timestamp("2026-09-01 09:00:00.123", tz="UTC")
    assert found["typing_fault"] is None


def test_a_naive_reader_fails_on_utf_16(company) -> None:
    """The bytes are no UTF-8."""
    path = company.deliver("reviews_a.csv", play(review()))
    with pytest.raises(UnicodeDecodeError):
        pd.read_csv(path)


def test_ratings_without_text_are_reviews(company) -> None:
    """Stars alone count; without a link each is known by what it is of and when, in every file."""
    rows = [
        review(1, text="", link=""),
        review(2, text="", link="").replace("1788253200123,2026", "1788253200124,2026"),
    ]
    company.deliver("reviews_08.csv", play(*rows))
    company.deliver("reviews_09.csv", play(*rows[::-1]))
    company.ingest(PLAY)
    found = company.staged("mentions")
    assert found["rating"].tolist() == [1, 2, 2, 1]
    assert found["text"].tolist() == [None] * 4
    assert found["mention_id"].nunique() == 2


def test_the_newest_update_of_a_review_is_known(company) -> None:
    """A changed review keeps its key, and says which delivery is the newest."""
    company.deliver("reviews_08.csv", play(review(1)))
    company.deliver("reviews_09.csv", play(review(5, updated=1790000000000)))
    company.ingest(PLAY)
    found = company.staged("mentions").sort_values("updated_at")
    assert found["mention_id"].tolist() == ["ab-1", "ab-1"]
    assert found["rating"].tolist() == [1, 5]
    assert found["updated_at"].tolist()[1] == pd.Timestamp("2026-09-21 14:13:20", tz="UTC")


def test_a_file_without_devices_is_read(company) -> None:
    """A column that some files lack changes no key."""
    company.deliver("reviews_a.csv", play(review(link="")))
    company.deliver("reviews_b.csv", play(review(link="").replace(",pixel", ""), header=HEADER.replace(",Device", "")))
    company.ingest(PLAY)
    assert len(set(company.staged("mentions")["mention_id"])) == 1


def test_shifted_reviews_have_no_key(company) -> None:
    """A record that does not line up is kept to be rejected."""
    company.deliver("reviews_a.csv", play(review(), review() + ",more"))
    company.ingest(PLAY)
    assert company.staged("mentions")["mention_id"].tolist() == ["ab-1", None]


@pytest.mark.parametrize("form", ["page", "array", "lines"])
def test_trustpilot_reviews_are_staged(company, form: str) -> None:
    """Pages, arrays and lines hold the same reviews; names and orders stay out, texts are masked."""
    reviews = [trust(), trust(id="2", stars=1, title=None, updatedAt="2026-09-02T10:00:00.500Z")]
    content = {
        "page": json.dumps({"links": [], "reviews": reviews}, indent=2),
        "array": json.dumps(reviews),
        "lines": "\n".join(map(json.dumps, reviews)),
    }[form]
    company.deliver("trust.json", content)
    company.ingest(TRUST)
    found = company.staged("mentions")
    assert found["mention_id"].tolist() == ["507f191e810c19729de860ea", "2"]
    assert found["text"].tolist() == ["Good\nWrite to [e-mail]", "Write to [e-mail]"]
    assert found["rating"].tolist() == [4, 1]
    assert set(found["posted_at"]) == {pd.Timestamp("2026-09-01 13:37", tz="UTC")}
    assert found["updated_at"].tolist() == [None, pd.Timestamp("2026-09-02 10:00:00.5", tz="UTC")]
    assert found["source_row"].tolist() == [1, 2]
    assert not found.astype(str).isin(["Ann Example", "order-17"]).any().any()
    assert company.recognised("a.json", content) == ["trustpilot"]


def test_a_page_of_other_reviews_is_refused(company) -> None:
    """Keys that are missing are named."""
    company.deliver("trust.json", '{"reviews": [{"id": 1, "rating": 3}]}')
    with pytest.raises(GateError, match="no column `stars`"):
        company.ingest(TRUST)


def test_a_long_page_is_recognised(company) -> None:
    """A page that is longer than what is looked at first is known by its first review."""
    content = json.dumps({"reviews": [trust(text="x" * 1_000)] * 300})
    assert company.recognised("a.json", content) == ["trustpilot"]
    assert company.recognised("b.csv", play(review())) == ["google_play"]
