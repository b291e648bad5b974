"""Adobe Analytics: blocks under titles, headers of several rows, totals, breakdowns, and two preferences."""

import io

import pandas as pd
import pytest

from cxreport.errors import GateError

FEED = {"id": "web", "adapter": "adobe_analytics", "files": "web*.csv"}
PREAMBLE = (
    "\ufeff#=================================================================\n"
    "# Weekly web\n# Report suite: acme.prod\n"
    '"# Date: Jul 27, 2026 - Aug 2, 2026"\n'
    "#=================================================================\n\n"
)
RULE = "##############################################\n"
BREAKDOWN = (
    f"{RULE}# Freeform table (4)\n{RULE}"
    ",,Visits,Visits,Orders\n"
    ",,Visits,Mobile Phone,Orders\n"
    "Segments,,2500,1300,19\n"
    "Search,,795,608,7\n"
    "Search,Month,795,608,7\n"
    "Search,2026-07-01,631,475,6\n"
    "Search,2026-08-01,164,133,1\n"
    "Mail,,200,100,3\n"
    "\n"
)
DOMAINS = (
    f"{RULE}# Freeform table (9)\n{RULE}"
    ",Visits,Conversion Rate,Time Spent (seconds)\n"
    ",Visits,Conversion Rate,Time Spent (seconds)\n"
    "Referring Domain,1391,0.00134022537344859,3000\n"
    "search.example,599,0.0012691731028697322,90\n"
    "#tag.example,0,0,0\n"
    "Domain,1391,0.00134022537344859,3000\n"
    "isp.example,120,0.00075,60\n"
)


def figures(company, content: str, **feed: str) -> pd.DataFrame:
    company.deliver("web.csv", content)
    company.ingest(FEED | feed)
    return company.staged("aggregates")


def read(found: pd.DataFrame, *columns: str) -> list[list[object]]:
    return found.sort_values(["source_row", "name"])[[*columns, "name", "value"]].to_numpy().tolist()


def test_breakdowns_become_figures_of_two_dimensions(company) -> None:
    """Totals name dimensions and are no rows; months are clipped to the report's days."""
    found = figures(company, PREAMBLE + BREAKDOWN)
    assert read(found, "dimension", "level") == [
        ["Segments", "Search", "Orders", 7],
        ["Segments", "Search", "Visits", 795],
        ["Segments", "Search", "Visits / Mobile Phone", 608],
        ["Segments", "Search", "Orders", 6],
        ["Segments", "Search", "Visits", 631],
        ["Segments", "Search", "Visits / Mobile Phone", 475],
        ["Segments", "Search", "Orders", 1],
        ["Segments", "Search", "Visits", 164],
        ["Segments", "Search", "Visits / Mobile Phone", 133],
        ["Segments", "Mail", "Orders", 3],
        ["Segments", "Mail", "Visits", 200],
        ["Segments", "Mail", "Visits / Mobile Phone", 100],
    ]
    visits = found[found["name"] == "Visits"].set_index("source_row")
    local = visits[["started_at", "ended_at"]].apply(lambda at: pd.to_datetime(at).dt.tz_convert("America/Chicago"))
    assert local.loc[15].dt.strftime("%m-%d").tolist() == ["07-27", "08-01"]
    assert local.loc[16].dt.strftime("%m-%d").tolist() == ["08-01", "08-03"]
    assert local.loc[13].dt.strftime("%m-%d").tolist() == ["07-27", "08-03"]
    assert set(found["report"]) == {"Freeform table (4)"}
    assert set(found["report_suite"]) == {"acme.prod"}
    assert found["aggregate_id"].is_unique


def test_a_second_breakdown_begins_with_its_own_totals(company) -> None:
    """Internet providers are no referring domains; a value that begins with `#` is no comment."""
    found = figures(company, PREAMBLE + BREAKDOWN + DOMAINS)
    assert read(found[found["report"] == "Freeform table (9)"], "dimension", "level") == [
        ["Referring Domain", "search.example", "Conversion Rate", 0.0012691731028697322],
        ["Referring Domain", "search.example", "Time Spent (minutes)", 1.5],
        ["Referring Domain", "search.example", "Visits", 599],
        ["Referring Domain", "#tag.example", "Conversion Rate", 0],
        ["Referring Domain", "#tag.example", "Time Spent (minutes)", 0],
        ["Referring Domain", "#tag.example", "Visits", 0],
        ["Domain", "isp.example", "Conversion Rate", 0.00075],
        ["Domain", "isp.example", "Time Spent (minutes)", 1],
        ["Domain", "isp.example", "Visits", 120],
    ]
    about = (company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8")
    assert "rows of totals left out: 4" in about


def test_a_table_of_another_report_suite_is_told_apart(company) -> None:
    """Two suites in one file give two figures, not one that stands twice."""
    other = PREAMBLE.lstrip("\ufeff").replace("acme.prod", "acme.app")
    found = figures(company, PREAMBLE + DOMAINS + other + DOMAINS)
    assert found.groupby("report_suite").size().to_dict() == {"acme.app": 9, "acme.prod": 9}
    assert found["aggregate_id"].is_unique


def test_a_naive_reader_adds_totals_and_breakdowns() -> None:
    """The block alone, read with one header row, counts every visit several times."""
    naive = pd.read_csv(io.StringIO(BREAKDOWN), skiprows=4)
    assert naive["Visits"].sum() > 2500


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ":", " ", "."])
def test_the_delimiter_is_what_the_header_begins_with(company, delimiter: str) -> None:
    """Six preferences beside the comma, without a setting; the date needs no quotes then."""
    block = f"{RULE}# Freeform table\n{RULE},Visits,Orders\n,Visits,Orders\nPage,30,3\nhome,20,2\nhelp,10,1\n"
    content = PREAMBLE.replace('"', "") + block.replace(",", delimiter)
    if delimiter == " ":
        content = content.replace("\n Visits", '\n"" Visits')
    assert read(figures(company, content), "level") == [
        ["home", "Orders", 2],
        ["home", "Visits", 20],
        ["help", "Orders", 1],
        ["help", "Visits", 10],
    ]


@pytest.mark.parametrize(
    ("thousand", "rate"), [("1,391.5", "0.25"), ("1.391,5", "0,25"), ("1\u00a0391,5", "0,25"), ("1391.5", "25%")]
)
def test_number_formats_are_told_by_all_numbers(company, thousand: str, rate: str) -> None:
    """Three preferences, and percent after a spreadsheet program, give the same figures."""
    block = f"{RULE}# Table\n{RULE};Visits;Rate\n;Visits;Rate\nPage;9;9\nhome;{thousand};{rate}\n"
    assert read(figures(company, PREAMBLE + block), "level") == [["home", "Rate", 0.25], ["home", "Visits", 1391.5]]


def test_numbers_that_can_be_read_in_two_ways_wait_for_a_mapping(company) -> None:
    """`1.391` is one or a thousand: nothing is imported until a mapping says which."""
    content = PREAMBLE + f"{RULE}# Table\n{RULE};Visits\n;Visits\nPage;2.782\nhome;1.391\n"
    found = figures(company, content)
    assert found["value"].tolist() == [None]
    assert found["typing_fault"].tolist() == ["value: not a number"]
    value = {"column": "value", "decimal": ",", "grouping": "."}
    company.map("web.yml", {"tables": {"aggregates": {"columns": {"value": value}}}})
    assert figures(company, content, mapping="web.yml")["value"].tolist() == [1391]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PREAMBLE + f"{RULE}# Table\n{RULE}Page,Visits\nhome,3\n", "delimiter is not known"),
        (PREAMBLE + BREAKDOWN + "Mail,3\n", "does not line up"),
        (PREAMBLE + BREAKDOWN + ",,3,4,5\n", "header within the figures of a block, in line 19"),
        (PREAMBLE.replace("Jul 27", "27. Juli") + BREAKDOWN, "no days such as"),
        (PREAMBLE.replace("# Date:", "# Datum:") + BREAKDOWN, "no line `# Date:`"),
    ],
)
def test_what_is_not_understood_is_refused(company, content: str, said: str) -> None:
    """A layout that was not described is not guessed at."""
    company.deliver("web.csv", content)
    with pytest.raises(GateError, match=said):
        company.ingest(FEED)


def test_exports_are_recognised(company) -> None:
    """The rules and the report suite are this tool's."""
    assert company.recognised("a.csv", PREAMBLE + BREAKDOWN) == ["adobe_analytics"]
    assert company.recognised("b.csv", BREAKDOWN) == []
