"""Hootsuite: conversations whose meaning a mapping states, and figures of posts."""

import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "social", "adapter": "hootsuite", "files": "social.csv"}
CONVERSATIONS = (
    "Conversation ID,Medium,Channel,Channel Display Name,Contact Profile ID,Contact Primary Identifier,Created at\n"
    "0012,Direct message,Facebook,Acme,777,ann@example.com,2026-09-01 08:00:00\n"
)
POSTS = (
    "Post performance,,,,,,,\r\n2026-09-01 - 2026-09-30,,,,,,,\r\n"
    "Date (GMT),Post ID,Post Message,Post Permalink,Post Type,Social Network,Impressions,Engagement Rate\r\n"
    '2026-09-01 14:30,123456789012345678,"Hi, all",https://x.example/1,Photo,Instagram,"1,200",6.5%\r\n'
)


def test_conversations_are_placed_by_a_mapping(company) -> None:
    """Whether a conversation is a ticket, and in which zone it is dated, is the company's to say."""
    company.deliver("social.csv", CONVERSATIONS)
    with pytest.raises(GateError, match="mapping"):
        company.ingest(FEED)
    columns = {
        "ticket_id": "Conversation ID",
        "channel": "Channel",
        "created_at": {"column": "Created at", "formats": ["%Y-%m-%d %H:%M:%S"]},
    }
    company.map("social.yml", {"time_zone": "Europe/Berlin", "tables": {"tickets": {"columns": columns}}})
    company.ingest(FEED | {"mapping": "social.yml"})
    ticket = company.staged("tickets").iloc[0]
    assert (ticket["ticket_id"], ticket["channel"]) == ("0012", "Facebook")
    assert ticket["created_at"] == pd.Timestamp("2026-09-01 06:00", tz="UTC")


def test_posts_become_figures(company) -> None:
    """Rows above the header are left out and counted; times are GMT whatever the dataset's zone is."""
    company.deliver("social.csv", POSTS)
    company.ingest(FEED)
    found = company.staged("aggregates").sort_values("name")
    assert found[["level", "channel", "name", "value", "source_row"]].to_numpy().tolist() == [
        ["123456789012345678", "Instagram", "Engagement Rate", 0.065, 4],
        ["123456789012345678", "Instagram", "Impressions", 1200, 4],
    ]
    assert set(found["started_at"]) == {pd.Timestamp("2026-09-01 14:30", tz="UTC")}
    assert "above the header left out: 2" in (company.project.staged("acme") / "feeds.json").read_text("utf-8")


def test_ids_that_a_spreadsheet_rounded_are_refused(company) -> None:
    """Posts whose ids lost digits cannot be told apart."""
    company.deliver("social.csv", POSTS.replace("123456789012345678", "1.23457E+17"))
    with pytest.raises(GateError, match="`Post ID` were rounded"):
        company.ingest(FEED)


def test_another_table_is_refused(company) -> None:
    """Without a conversation's id there is nothing to read."""
    company.deliver("social.csv", "a,b\n1,2\n")
    with pytest.raises(GateError, match="no column `Conversation ID`"):
        company.ingest(FEED)


def test_exports_are_recognised(company) -> None:
    """Both headers are this tool's, below a title too."""
    assert company.recognised("a.csv", CONVERSATIONS) == ["hootsuite"]
    assert company.recognised("b.csv", POSTS) == ["hootsuite"]
