"""Whole datasets: everything is staged, or nothing and all reasons are given."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cxreport import sources
from cxreport.config import Project, load_dataset
from cxreport.errors import DefinitionError, GateError, UsageError
from cxreport.periods import Period, PeriodKind
from cxreport.sample import write_sample
from cxreport.schema import TABLES
from cxreport.sources import registry, tables
from cxreport.sources.formats import delimited
from cxreport.sources.tools import mapped, zendesk

LOG = {"id": "log", "adapter": "mapped", "mapping": "log.yml", "files": "log/*.csv"}


@pytest.fixture
def log(company) -> dict[str, str]:
    """A feed of invitations, with its mapping but no file."""
    columns = {
        "invitation_id": "invitation_id",
        "customer_id": "customer_id",
        "sent_at": {"column": "sent_at", "formats": ["%Y-%m-%d"]},
    }
    company.map("log.yml", {"tables": {"invitations": {"columns": columns}}})
    return LOG


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    return ((path.name, path.read_bytes()) for path in sorted(folder.iterdir()))


def test_staging_twice_gives_the_same_bytes(company, survey: dict[str, str]) -> None:
    """Same files, same staged tables."""
    company.ingest(survey)
    first = dict(contents(company.project.staged("acme")))
    company.ingest(survey)
    assert dict(contents(company.project.staged("acme"))) == first


def test_how_the_work_is_divided_does_not_show(monkeypatch, company, survey: dict[str, str]) -> None:
    """Files that are read and typed in many parts, by several threads, give the same bytes as in one."""
    company.ingest(survey)
    whole = dict(contents(company.project.staged("acme")))
    monkeypatch.setattr(tables, "_ROWS_AT_ONCE", 2)
    monkeypatch.setattr(delimited, "_BLOCK", 600)
    company.ingest(survey)
    assert dict(contents(company.project.staged("acme"))) == whole


def test_staged_tables_have_the_canonical_schema(company, survey: dict[str, str]) -> None:
    """Column names, order and types are the schema's."""
    company.ingest(survey)
    for table in ("responses", "answers"):
        assert pq.read_schema(company.project.staged("acme") / f"{table}.parquet").equals(TABLES[table].schema())


def test_deliveries_are_described(company, survey: dict[str, str]) -> None:
    """Adapter, files, hashes, rows and columns are written down for comparison."""
    company.ingest(survey)
    about = json.loads((company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8"))["survey"]
    content = (company.header + company.rows).encode()
    assert (about["adapter"], about["rows"]) == ("qualtrics", 5)
    assert about["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert "QID1" in about["columns"]


def test_a_table_no_feed_fills_any_more_disappears(company, survey: dict[str, str], log: dict[str, str]) -> None:
    """Staged files belong to one run."""
    company.deliver("log/a.csv", "invitation_id,customer_id,sent_at\nI1,C1,2026-09-01\n")
    company.ingest(survey, log)
    company.ingest(log)
    assert [name for name, _ in contents(company.project.staged("acme"))] == ["feeds.json", "invitations.parquet"]


def test_all_problems_of_all_feeds_are_said_at_once(company, survey: dict[str, str], log: dict[str, str]) -> None:
    """A renamed column in many files is one sentence, with the likely new name; nothing is staged."""
    renamed = company.header.replace('""QID1""', '""QID1_1""') + company.rows
    for month in ("07", "08", "09"):
        company.deliver(f"survey_{month}.csv", renamed)
    company.deliver("log/a.csv", "invitation_id,customer\nI1,C1\n")
    with pytest.raises(GateError) as caught:
        company.ingest(survey, log)
    assert caught.value.found == (
        "feed `survey`, survey_07.csv and 2 more: no column `QID1`, did you mean `QID1_1`?; "
        "feed `log`, a.csv: no column `customer_id`, did you mean `customer`?; "
        "feed `log`, a.csv: no column `sent_at`"
    )
    assert not company.project.staged("acme").exists()


def test_feeds_without_files_or_rows_stop(company, survey: dict[str, str], log: dict[str, str]) -> None:
    """No file and no data rows are both empty feeds."""
    company.deliver("survey.csv", company.header)
    with pytest.raises(GateError) as caught:
        company.ingest(survey, log)
    assert "feed `survey`: the files hold no data rows" in caught.value.found
    assert "feed `log`: no file matches `log/*.csv` in `raw`" in caught.value.found


def test_a_failed_run_leaves_what_was_staged(company, survey: dict[str, str]) -> None:
    """Last month's tables stay until this month's are good."""
    company.ingest(survey)
    before = dict(contents(company.project.staged("acme")))
    company.deliver("survey.csv", "Ã".encode("latin-1"))
    with pytest.raises(GateError, match="not encoded in `utf-8`"):
        company.ingest(survey)
    assert dict(contents(company.project.staged("acme"))) == before


def test_files_of_one_name_cannot_be_told_apart(company, log: dict[str, str]) -> None:
    """A row is traced by feed and file name, so names must differ within a feed."""
    for folder in ("log/a", "log/b"):
        company.deliver(f"{folder}/x.csv", "invitation_id,customer_id,sent_at\nI1,C1,2026-09-01\n")
    with pytest.raises(GateError, match="same name"):
        company.ingest(log | {"files": "log/*/*.csv"})


def test_the_same_file_under_two_names_is_refused(company, log: dict[str, str]) -> None:
    """A copy of a file would count everything twice, or hide a month that is missing."""
    for name in ("08", "09"):
        company.deliver(f"log/{name}.csv", "invitation_id,customer_id,sent_at\nI1,C1,2026-09-01\n")
    with pytest.raises(GateError, match=r"08\.csv and 09\.csv are the same file twice"):
        company.ingest(log)


def test_addresses_as_ids_are_refused(company, log: dict[str, str]) -> None:
    """An id that is an address needs `keep`; the message holds no address."""
    company.deliver("log/a.csv", "invitation_id,customer_id,sent_at\nI1,ann@example.com,2026-09-01\n")
    with pytest.raises(GateError) as caught:
        company.ingest(log)
    assert caught.value.found == (
        "feed `log`, a.csv: `invitations.customer_id` holds e-mail addresses; place it with `keep: email`"
    )
    assert not company.project.staged("acme").exists()


def test_a_draft_is_not_read(company, survey: dict[str, str]) -> None:
    """Neither a dataset nor a mapping that nobody has reviewed is used."""
    with pytest.raises(DefinitionError, match="dataset `acme` is a draft"):
        company.ingest(survey, draft=True)
    company.map("survey.yml", {"draft": True})
    with pytest.raises(DefinitionError, match=r"mapping `survey\.yml` of feed `survey` is a draft"):
        company.ingest(survey)


def test_a_file_without_a_header_leaves_no_data_in_its_description(company, log: dict[str, str]) -> None:
    """Where the first record stands in place of the names, columns are numbered; so are addresses in file names."""
    company.map(
        "log.yml",
        {
            "tables": {
                "invitations": {
                    "columns": {
                        "invitation_id": "I1",
                        "customer_id": "C1",
                        "sent_at": {"column": "2026", "formats": ["%Y-%m-%d"]},
                    }
                }
            }
        },
    )
    company.deliver("log/of ann@example.com.csv", "I1,C1,2026,ann@example.com,+1 312 555 0147\nI2,C2,2026-09-01,x,y\n")
    company.ingest(log)
    about = (company.project.staged("acme") / "feeds.json").read_text(encoding="utf-8")
    assert json.loads(about)["log"]["files"][0]["columns"] == ["I1", "C1", "2026", "column 4", "column 5"]
    assert "ann@" not in about
    assert company.staged("invitations")["source"].tolist() == ["log/of [e-mail]"]


def test_rows_are_sorted_by_file_and_record(company, log: dict[str, str]) -> None:
    """The order does not depend on how files were found; records count by number, not as text."""
    for name in ("b", "a"):
        rows = "".join(f"{name}{row},C,2026-09-01\n" for row in range(1, 12))
        company.deliver(f"log/{name}.csv", "invitation_id,customer_id,sent_at\n" + rows)
    company.ingest(log)
    expected = [f"{name}{row}" for name in ("a", "b") for row in range(1, 12)]
    assert company.staged("invitations")["invitation_id"].tolist() == expected


def test_definition_problems_of_all_feeds_are_gathered(company, survey: dict[str, str]) -> None:
    """An unknown adapter and a missing mapping are reported together, before any file is read."""
    unmapped = {key: value for key, value in survey.items() if key != "mapping"}
    with pytest.raises(DefinitionError) as caught:
        company.ingest(unmapped, LOG | {"adapter": "zendesc"})
    assert "feed `survey` has no `mapping`" in caught.value.found
    assert "adapter `zendesc`, did you mean `zendesk`?" in caught.value.found


def test_other_packages_bring_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point adds an adapter; it cannot replace a built-in one."""
    brought = EntryPoints(
        EntryPoint(name, "cxreport.sources.tools.zendesk:ADAPTER", registry.ENTRY_POINTS)
        for name in ("freshdesk", "mapped")
    )
    monkeypatch.setattr(registry, "entry_points", brought.select)
    assert registry.find_adapter("freshdesk") is zendesk.ADAPTER
    assert registry.find_adapter("mapped") is mapped.ADAPTER
    assert "freshdesk" in registry.adapter_names()


def test_question_titles_come_from_the_mappings(company, survey: dict[str, str]) -> None:
    """Reports call questions as analysts wrote them, in their order."""
    titles = sources.question_titles(company.project, company.dataset(survey))
    assert list(titles.items()) == [("nps", "Recommend"), ("csat", "Satisfied")]


def test_months_follow_the_dataset_s_zone(company, survey: dict[str, str]) -> None:
    """Half past midnight in Denver on the first is the first in Chicago too, but 23:30 on the last is next month."""
    rows = company.rows.replace("2026-09-01 10:02:00", "2026-08-31 23:30:00")
    rows = rows.replace("2026-09-05 10:02:00", "2026-08-31 22:30:00")
    company.deliver("survey.csv", company.header + rows)
    company.ingest(survey)
    months = sources.covered_periods(company.project, company.dataset(survey), "month")
    assert [month.id for month in months] == ["2026-08", "2026-09"]


@pytest.mark.parametrize(
    ("last_day", "settings", "expected"),
    [
        ("2026-09-04", {}, "2026-08"),
        ("2026-09-30", {}, "2026-09"),
        ("2026-09-29", {"as_of": "2026-10-01"}, "2026-09"),
        ("2026-12-31", {"as_of": "2026-09-15"}, "2026-08"),
    ],
)
def test_the_last_complete_month(
    company, survey: dict[str, str], last_day: str, settings: dict[str, str], expected: str
) -> None:
    """A month counts when responses, or the day of the export, reach past its end; impossible dates do not count."""
    rows = company.rows.replace("2026-09-01 10:02:00", "2026-08-31 10:02:00")
    rows = rows.replace("2026-09-05 10:02:00", f"{last_day} 10:02:00")
    company.deliver("survey.csv", company.header + rows)
    company.ingest(survey, **settings)
    dataset = company.dataset(survey, **settings)
    assert sources.last_complete_period(company.project, dataset, "month") == Period.parse(expected)


@pytest.mark.parametrize(
    ("kind", "expected"), [("month", "2026-12"), ("quarter", "2026-Q4"), ("year", "2026"), ("week", "2026-W53")]
)
def test_the_last_complete_period_of_each_kind(
    company, survey: dict[str, str], kind: PeriodKind, expected: str
) -> None:
    """On Monday, 4 January 2027, the year is over, and so is its week 53, which ends on the third."""
    rows = company.rows.replace("2026-09-05 10:02:00", "2027-01-03 10:02:00")
    rows = rows.replace("2026-09-01 10:02:00", "2026-12-27 10:02:00")
    company.deliver("survey.csv", company.header + rows)
    company.ingest(survey, as_of="2027-01-04")
    dataset = company.dataset(survey, as_of="2027-01-04")
    assert sources.last_complete_period(company.project, dataset, kind).id == expected
    if kind == "week":
        assert sources.last_complete_period(company.project, dataset, kind, date(2027, 1, 1)).id == "2026-W52"


def test_week_ends_in_the_dataset_s_zone(company, survey: dict[str, str]) -> None:
    """Sunday night in Denver, 23:30, is Monday in Chicago, which begins the next week."""
    rows = company.rows.replace("2026-09-05 10:02:00", "2027-01-03 23:30:00")
    company.deliver("survey.csv", company.header + rows)
    company.ingest(survey)
    weeks = sources.covered_periods(company.project, company.dataset(survey), "week")
    assert [week.id for week in weeks] == ["2026-W36", "2027-W01"]


def test_month_that_only_other_feeds_cover_is_no_reason_to_report_an_older_one(
    company, survey: dict[str, str], log: dict[str, str]
) -> None:
    """When other feeds reach the end of a month without any response, the survey's newest file is missing."""
    company.deliver("log/a.csv", "invitation_id,customer_id,sent_at\nI1,C1,2026-09-10\nI2,C2,2026-10-31\n")
    company.ingest(survey, log)
    dataset = company.dataset(survey, log)
    with pytest.raises(GateError) as caught:
        sources.last_complete_period(company.project, dataset, "month")
    assert (
        caught.value.found == "the feed `survey` has no responses in 2026-10 while there are invitations of that month"
    )
    assert "--period" in caught.value.do
    assert sources.last_complete_period(company.project, dataset, "month", date(2026, 10, 30)).id == "2026-09"


def test_month_that_is_over_needs_responses(company, survey: dict[str, str]) -> None:
    """The day of the export alone tells that a month without responses is missing, not unfinished."""
    company.ingest(survey)
    dataset = company.dataset(survey, as_of="2026-10-02")
    assert sources.last_complete_period(company.project, dataset, "month").id == "2026-09"
    with pytest.raises(GateError, match="`survey` has no responses in 2026-10"):
        sources.last_complete_period(company.project, dataset, "month", date(2026, 11, 1))


def test_future_row_does_not_complete_a_month(company, survey: dict[str, str]) -> None:
    """A response dated after the day of the export says nothing about how far the data reach."""
    rows = company.rows.replace("2026-09-01 10:02:00", "2026-08-31 10:02:00")
    company.deliver("survey.csv", company.header + rows.replace("2026-09-05 10:02:00", "2027-03-05 10:02:00"))
    company.ingest(survey)
    assert (
        sources.last_complete_period(company.project, company.dataset(survey), "month", date(2026, 9, 15)).id
        == "2026-08"
    )


def test_no_month_is_complete_and_nothing_is_staged(company, survey: dict[str, str]) -> None:
    """Both are said in words, as errors of their own kind."""
    dataset = company.dataset(survey)
    with pytest.raises(UsageError, match="no staged responses"):
        sources.covered_periods(company.project, dataset, "month")
    company.ingest(survey)
    with pytest.raises(GateError, match="no complete month"):
        sources.last_complete_period(company.project, dataset, "month")


def test_the_sample_company_is_staged_without_faults(root: Path, tmp_path: Path) -> None:
    """All feeds of two months fit the committed mappings; only previews, unfinished ones and copies are marked."""
    write_sample(tmp_path, months=2)
    project = Project(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "datasets").symlink_to(root / "reports" / "datasets")
    dataset = load_dataset(project, "sample").model_copy(update={"raw": "."})
    rows = sources.ingest(project, dataset)
    assert set(rows) == set(TABLES) - {"aggregates"}
    for table in rows:
        staged = pq.read_table(project.staged("sample") / f"{table}.parquet")
        assert staged.num_rows == rows[table] > {"mentions": 150, "employees": 150, "actions": 5}.get(table, 1000)
        faults = set(staged["typing_fault"].to_pylist()) - {None}
        expected = {f"not a real answer: {why}" for why in ("preview", "unfinished")} if table == "responses" else set()
        assert faults - {"delivered again"} == expected
    texts = pq.read_table(project.staged("sample") / "mentions.parquet")["text"].to_pylist()
    assert sum("[e-mail]" in text for text in texts) == 1
    assert not [text for text in texts if "@" in text]
    assert sources.last_complete_period(project, dataset, "month").id == "2026-09"
