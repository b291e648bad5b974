"""Sprout Social: figures with commas and percent signs, ids of many digits, and messages."""

import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "social", "adapter": "sprout_social", "files": "social.csv"}
POSTS = (
    "\ufeffDate,Post ID,Network,Post Type,Content Type,Profile,Sent by,Link,Post,Impressions,"
    "Engagement Rate (per Impression),Video Views,Average Video Time Watched (Seconds)\r\n"
    '09/01/2026 02:07 pm,1234567890123456789,X,Post,Text,@acme,Ann Example,https://x.example/1,"Hello, all","1,234",'
    "6.5%,N/A,\r\n"
    '09/02/2026 12:07 am,1234567890123456790,X,\'@Reply,Video,@acme,Ann Example,,Hi,20,0%,"2,000",90\r\n'
)
PROFILES = (
    "Date (MM/DD/YYYY),Network,Profile,Audience,Net Audience Growth,Engagement Rate (per Impression)\r\n"
    '09/01/2026,Instagram,acme.shop,"12,345",-3,4.2%\r\n09/01/2026,Instagram,acme.jobs,10,0,\r\n'
)
LISTENING = (
    "Date,Network,Message,Message URL,Message ID,Profile Name,Followers,Sentiment,Hashtags\r\n"
    '09/01/2026 02:07 pm,X,"Call 312-555-0147, please",https://x.example/ann/1,987654321098765432,Ann,7,Negative,'
    '"a, b"\r\n'
)
INBOX = (
    "Timestamp,Network,Message,Sentiment,Permalink\r\n"
    "09/01/2026 02:07 pm,Facebook,Thanks,positive,https://f.example/ann/1\r\n"
    "09/01/2026 02:08 pm,Facebook,Thanks,N/A,\r\n"
)


def staged(company, content: str, table: str) -> pd.DataFrame:
    company.deliver("social.csv", content)
    company.ingest(FEED)
    return company.staged(table)


def test_posts_become_figures(company) -> None:
    """Commas group, percent is a share, seconds become minutes, and what does not apply is no figure."""
    found = staged(company, POSTS, "aggregates").sort_values(["source_row", "name"])
    assert found[["level", "name", "value", "post_type"]].to_numpy().tolist() == [
        ["1234567890123456789", "Engagement Rate (per Impression)", 0.065, "Post"],
        ["1234567890123456789", "Impressions", 1234, "Post"],
        ["1234567890123456790", "Average Video Time Watched (minutes)", 1.5, "@Reply"],
        ["1234567890123456790", "Engagement Rate (per Impression)", 0, "@Reply"],
        ["1234567890123456790", "Impressions", 20, "@Reply"],
        ["1234567890123456790", "Video Views", 2000, "@Reply"],
    ]
    assert set(found["channel"]) == {"X"}
    assert found["started_at"].unique().tolist() == [
        pd.Timestamp("2026-09-01 19:07", tz="UTC"),
        pd.Timestamp("2026-09-02 05:07", tz="UTC"),
    ]
    assert not found.astype(str).isin(["@acme", "Ann Example", "Hello, all"]).any().any()
    assert "do not apply: 2" in (company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8")


def test_days_of_profiles_become_figures(company) -> None:
    """Two profiles of one network stay two figures, although neither is named."""
    found = staged(company, PROFILES, "aggregates")
    growth = found[found["name"] == "Net Audience Growth"]
    assert sorted(growth["value"]) == [-3, 0]
    assert growth["aggregate_id"].is_unique
    assert set(found["started_at"]) == {pd.Timestamp("2026-09-01 05:00", tz="UTC")}
    assert set(found["ended_at"]) == {pd.Timestamp("2026-09-02 05:00", tz="UTC")}
    assert sorted(found.loc[found["name"].str.startswith(("Audience", "Engagement")), "value"]) == [0.042, 10, 12345]
    assert not found.astype(str).isin(["acme.shop", "acme.jobs"]).any().any()


def test_listening_messages_become_mentions(company) -> None:
    """Ids keep every digit, texts are masked, and the tool's judgement is kept."""
    found = staged(company, LISTENING, "mentions").iloc[0]
    assert (found["mention_id"], found["network"], found["sentiment"]) == ("987654321098765432", "X", "negative")
    assert found["text"] == "Call [phone], please"
    assert found["posted_at"] == pd.Timestamp("2026-09-01 19:07", tz="UTC")
    assert not {"Ann", "https://x.example/ann/1"} & set(found.astype(str))


def test_inbox_messages_become_mentions(company) -> None:
    """A message is known by its address, of which only a hash is stored, or by its time and text."""
    found = staged(company, INBOX, "mentions")
    assert found["mention_id"].is_unique
    assert found["mention_id"].str.len().tolist() == [32, 32]
    assert found["sentiment"].tolist() == ["positive", None]
    assert found["typing_fault"].tolist() == [None, None]


def test_ids_that_a_spreadsheet_rounded_are_refused(company) -> None:
    """Seventeen digits do not survive a spreadsheet program, and two posts would become one."""
    company.deliver("social.csv", POSTS.replace("1234567890123456789", "1.23457E+18"))
    with pytest.raises(GateError, match="`Post ID` were rounded"):
        company.ingest(FEED)


def test_a_figure_that_cannot_be_read_is_a_fault(company) -> None:
    """A decimal comma is not taken for a thousand."""
    found = staged(company, PROFILES.replace("4.2%", '"4,2%"').replace(",0,\r\n", ",0,1%\r\n"), "aggregates")
    assert found["typing_fault"].dropna().tolist() == ["value: not a number"]


def test_shifted_records_are_refused(company) -> None:
    """A cell too many would put every figure under another name."""
    company.deliver("social.csv", PROFILES.replace('"12,345"', "12,345"))
    with pytest.raises(GateError, match="1 records do not line up with the header, see line 2"):
        company.ingest(FEED)


def test_exports_are_recognised(company) -> None:
    """Four kinds of header are this tool's."""
    for number, content in enumerate([POSTS, PROFILES, LISTENING, INBOX]):
        assert company.recognised(f"{number}.csv", content) == ["sprout_social"]
