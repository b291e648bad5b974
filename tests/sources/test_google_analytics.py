"""Google Analytics: stacked tables, totals that shift columns, offsets for dates, and BigQuery events."""

import io
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxreport.errors import GateError

FEED = {"id": "web", "adapter": "google_analytics", "files": "web*"}
RULE = "# ----------------------------------------\n"
REPORT = (
    f"{RULE}# Reports snapshot\n# Account: Acme, Inc.\n# Property: Acme shop\n{RULE}"
    "# \n# All Users\n# Start date: 20260901\n# End date: 20260903\n"
    "Nth day,Active users,Average engagement time\n0000,5,90\n0001,7,30.5\n0002,6,0\n"
    "\n"
    'City,Active users\n"Paris, TX",3\n#fragment,4\n'
    "\n"
    "# How well do you retain your users?\n# Start date: 20260801\n# End date: 20260831\n"
    "\n"
    "Page path and screen class,Device category,Views,Engagement rate\n"
    "/?mail=ann%40example.com,mobile,636,0.3600207658\n/,desktop,12,1\n"
)
EXPLORATION = (
    f"{RULE}# Acme shop\n# Free form-Free form 1\n# 20260901-20260930\n{RULE}\n"
    "Date,Page path,Views,Event count\n,,10,20,Grand total\n20260926,/,6,12\n20260925,/a,4,8\n"
)
VISITORS = (
    f"{RULE}# Acme shop\n# User explorer-Tab\n# 20260901-20260930\n{RULE}\n"
    "App-instance ID,Stream name,Event count,Sessions\n,,5,3,Grand total\n"
    "729222800.1684694001,Web,3,2\n0729222800.1684694002,Web,2,1\n"
)
UNIVERSAL = (
    f"{RULE}# All Web Site Data\n# Overview\n# 20190101-20190102\n{RULE}\n"
    'Source,Users\na,"1,200"\n\nDay Index,Users\n1/1/19,600\n'
)


def figures(company, content: str, **feed: str) -> pd.DataFrame:
    company.deliver("web.csv", content)
    company.ingest(FEED | feed)
    return company.staged("aggregates").sort_values(["source_row", "name"], ignore_index=True)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_stacked_tables_of_a_report_become_figures(company, ending: str) -> None:
    """Every block has its own dates and columns; offsets become days of the property's zone, seconds minutes."""
    found = figures(company, REPORT.replace("\n", ending))
    assert list(zip(found["source_row"], found["dimension"], found["level"], found["name"], found["value"])) == [  # noqa: B905
        (11, None, None, "Active users", 5),
        (11, None, None, "Average engagement time", 1.5),
        (12, None, None, "Active users", 7),
        (12, None, None, "Average engagement time", pytest.approx(30.5 / 60)),
        (13, None, None, "Active users", 6),
        (13, None, None, "Average engagement time", 0),
        (16, "City", "Paris, TX", "Active users", 3),
        (17, "City", "#fragment", "Active users", 4),
        (
            24,
            "Page path and screen class / Device category",
            "/?mail=[e-mail] / mobile",
            "Engagement rate",
            0.3600207658,
        ),
        (24, "Page path and screen class / Device category", "/?mail=[e-mail] / mobile", "Views", 636),
        (25, "Page path and screen class / Device category", "/ / desktop", "Engagement rate", 1),
        (25, "Page path and screen class / Device category", "/ / desktop", "Views", 12),
    ]
    assert found["started_at"][2] == pd.Timestamp("2026-09-02 05:00", tz="UTC")
    assert found["ended_at"][2] == pd.Timestamp("2026-09-03 05:00", tz="UTC")
    assert (found["started_at"][6], found["ended_at"][6]) == (found["started_at"][0], found["ended_at"][4])
    assert found["started_at"][8] == pd.Timestamp("2026-08-01 05:00", tz="UTC")
    assert found["report"].unique().tolist() == [
        "Reports snapshot / All Users",
        "Reports snapshot / How well do you retain your users?",
    ]
    assert set(found["property"]) == {"Acme shop"}
    assert found["typing_fault"].isna().all()


@pytest.mark.parametrize("options", [{}, {"comment": "#"}])
def test_a_naive_reader_fails_on_a_report(options: dict[str, str]) -> None:
    """Tables of different width cannot be one, with their comments or without."""
    with pytest.raises(pd.errors.ParserError):
        pd.read_csv(io.StringIO(REPORT), **options)


def test_headers_in_another_language_are_read(company) -> None:
    """Days are told by their offsets, and durations that cannot be told are noted."""
    german = (
        f"{RULE}# Berichtsübersicht\n# Konto: Acme\n# Property: Acme shop\n{RULE}#\n# Alle Nutzer\n"
        "# Startdatum: 20260901\n# Enddatum: 20260902\nN-ter Tag,Aktive Nutzer\n0000,5\n0001,7\n"
    )
    found = figures(company, german)
    assert found["value"].tolist() == [5, 7]
    assert found["started_at"][1] == pd.Timestamp("2026-09-02 05:00", tz="UTC")
    about = (company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8")
    assert "in seconds as delivered" in about


def test_weeks_are_not_dated(company) -> None:
    """Nothing says where the first week begins, so its number stays a level of the whole time."""
    found = figures(company, REPORT[: REPORT.index("Nth day")] + "Nth week,New users\n0035,10\n")
    assert found[["dimension", "level", "value"]].to_numpy().tolist() == [["Nth week", "0035", 10]]
    assert found["ended_at"][0] - found["started_at"][0] == pd.Timedelta(days=3)


def test_the_same_figure_has_the_same_id_in_every_file(company) -> None:
    """Ids depend on what a figure is of: neither on its file and place, nor on its value."""
    first = figures(company, REPORT)
    later = figures(
        company, REPORT.replace("0000,5,", "0000,6,").replace("# Account: Acme, Inc.\n", "# Account: B\n\n")
    )
    assert first["aggregate_id"].tolist() == later["aggregate_id"].tolist()
    assert first["aggregate_id"].is_unique
    other = figures(company, REPORT.replace("Property: Acme shop", "Property: Acme app"))
    assert set(first["aggregate_id"]).isdisjoint(other["aggregate_id"])


def test_a_metric_that_was_edited_is_no_dimension(company) -> None:
    """A spreadsheet program's thousands are refused one by one, instead of becoming levels."""
    found = figures(company, REPORT[: REPORT.index("Nth day")] + 'City,Views,Sessions\nA,"1,200",3\nB,7,4\n')
    assert set(found["dimension"].dropna()) == {"City"}
    assert sorted(found["value"].dropna()) == [3, 4, 7]
    assert found["typing_fault"].dropna().tolist() == ["value: not a number"]


def test_figures_that_contradict_each_other_are_not_used(company) -> None:
    """A dimension that was not told from a metric, or a block that stands twice, is never half imported."""
    found = figures(company, REPORT[: REPORT.index("Nth day")] + "City,Views\nA,1\nA,2\nB,3\nB,3\n")
    assert found["value"].dropna().tolist() == [3]
    assert found["typing_fault"].notna().sum() == 2


def test_the_grand_total_is_no_row_and_shifts_nothing(company) -> None:
    """The totals have one cell more than the header, by which a naive reader shifts every column."""
    found = figures(company, EXPLORATION)
    assert found[["level", "name", "value"]].to_numpy().tolist() == [
        ["/", "Event count", 12],
        ["/", "Views", 6],
        ["/a", "Event count", 8],
        ["/a", "Views", 4],
    ]
    assert found["started_at"][0] == pd.Timestamp("2026-09-26 05:00", tz="UTC")
    assert "lines of grand totals left out: 1" in (company.project.staged("acme") / "feeds.json").read_text("utf-8")
    naive = pd.read_csv(io.StringIO(EXPLORATION), skiprows=6)
    assert naive["Views"].tolist()[0] == 20  # the total of `Event count`


def test_visitors_need_a_mapping_and_keep_their_ids_as_text(company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows per visitor are no aggregates; an id of digits and a point is no number."""
    company.deliver("web.csv", VISITORS)
    with pytest.raises(GateError, match="mapping"):
        company.ingest(FEED)
    monkeypatch.setenv("CXREPORT_HASH_KEY", "a long random text")
    columns = {"customer_id": {"column": "App-instance ID", "keep": "hash"}, "plan": "Sessions"}
    company.map("web.yml", {"tables": {"customers": {"columns": columns}}})
    company.ingest(FEED | {"mapping": "web.yml"})
    customers = company.staged("customers")
    assert customers["customer_id"].nunique() == 2
    assert customers["plan"].tolist() == ["2", "1"]
    naive = pd.read_csv(io.StringIO(VISITORS), skiprows=8, header=None)
    assert str(naive[0][0]) == "729222800.1684694"


def test_a_table_without_comments_needs_a_mapping(company) -> None:
    """Stripped files exist; what they cover is for a mapping to say, and their totals are no row either."""
    bare = "Page path,Views,Active users\n,9,5,Grand total\n/,9,5\n"
    company.deliver("web.csv", bare)
    assert company.recognised("bare.csv", bare) == ["google_analytics"]
    with pytest.raises(GateError, match="mapping"):
        company.ingest(FEED)
    columns = {
        "aggregate_id": {"template": "{Page path}/views/2026-09"},
        "started_at": {"column": "Page path", "labels": {"/": "2026-09-01"}, "formats": ["%Y-%m-%d"]},
        "value": "Views",
    }
    company.map("web.yml", {"tables": {"aggregates": {"columns": columns}}})
    company.ingest(FEED | {"mapping": "web.yml"})
    assert company.staged("aggregates")["value"].tolist() == [9]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (UNIVERSAL, "Universal Analytics"),
        (REPORT.replace("# Start date: 20260901\n# End date: 20260903\n", ""), "do not state its dates"),
        (REPORT.replace("20260901", "20260931"), "a date that is none"),
        (REPORT.replace("City,Active users\n", ""), "no header where a table begins, in line 15"),
        (REPORT + "/more,mobile\n", "1 rows do not line up with the header of their table, the first in line 26"),
    ],
)
def test_what_is_not_understood_is_refused(company, content: str, said: str) -> None:
    """An old report, and one that was edited, is not guessed at."""
    company.deliver("web.csv", content)
    with pytest.raises(GateError, match=said):
        company.ingest(FEED)


def event(number: int, **changes: object) -> dict[str, object]:
    params = [
        {"key": "ga_session_id", "value": {"string_value": None, "int_value": 1788253200, "double_value": None}},
        {"key": "page_location", "value": {"string_value": "/", "int_value": None, "double_value": None}},
    ]
    base = {
        "event_date": "20260831",
        "event_timestamp": 1788253200000000 + number,
        "event_name": "page_view",
        "event_params": params,
        "user_id": "C0001",
        "user_pseudo_id": "1234567890.1700000000",
        "geo": {"city": "Springfield"},
    }
    return base | changes


@pytest.mark.parametrize("form", ["lines", "quoted lines", "parquet"])
def test_bigquery_events_become_events(company, form: str) -> None:
    """Microseconds are UTC, not the date of the property's zone; events without an id get one that is stable."""
    events = [event(0), event(1_500_000, user_id=None), event(0)]
    if form == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(events), sink)
        company.deliver("web.parquet", sink.getvalue())
    else:
        quote = (lambda found: found | {"event_timestamp": str(found["event_timestamp"])}) if form[0] == "q" else dict
        company.deliver("web.jsonl", "".join(json.dumps(quote(found)) + "\n" for found in events))
    company.ingest(FEED)
    staged = company.staged("events")
    assert staged["occurred_at"].tolist()[:2] == [
        pd.Timestamp("2026-09-01 09:00:00", tz="UTC"),
        pd.Timestamp("2026-09-01 09:00:01.5", tz="UTC"),
    ]
    assert staged["customer_id"].tolist() == ["C0001", None, "C0001"]
    assert staged["name"].unique().tolist() == ["page_view"]
    assert staged["event_id"].nunique() == 2
    assert len(set(staged["session_id"])) == 1
    assert not staged.astype(str).isin(["1234567890.1700000000", "Springfield"]).any().any()


def test_parameters_become_columns(company) -> None:
    """A mapping can use a parameter by its key."""
    company.deliver("web.jsonl", json.dumps(event(0)) + "\n")
    segments = {"page": "event_params.page_location"}
    company.map("web.yml", {"tables": {"events": {"segments": segments}}})
    company.ingest(FEED | {"mapping": "web.yml"})
    assert company.staged("events")["page"].tolist() == ["/"]


def test_addresses_given_as_user_ids_stay_out(company) -> None:
    """A column with e-mail addresses is no id of the company's."""
    company.deliver("web.jsonl", json.dumps(event(0, user_id="ann@example.com")) + "\n")
    company.ingest(FEED)
    assert company.staged("events")["customer_id"].tolist() == [None]


def test_exports_are_recognised(company) -> None:
    """Each form is this tool's; a table that only has names like its own is not certain."""
    forms = {"a.csv": REPORT, "b.csv": EXPLORATION, "c.csv": VISITORS, "d.jsonl": json.dumps(event(0))}
    for name, content in forms.items():
        assert company.recognised(name, content) == ["google_analytics"]
    assert company.recognised("e.csv", "Views,likes\n1,2\n") == []
