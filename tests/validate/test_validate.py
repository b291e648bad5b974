"""Splitting staged rows: accounting, months, stops, duplicates, determinism, nothing personal written."""

import hashlib
import json
import time
from datetime import UTC, date, datetime

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxreport.config import load_dataset
from cxreport.errors import GateError, RunError, UsageError
from cxreport.periods import Period
from cxreport.schema import REJECTED, TABLES
from cxreport.sources import ingest
from cxreport.validate import read_verdict, require_publishable, run, validate
from cxreport.validate.rows import Calendar

PERIOD = Period.parse("2026-09")
BEFORE = PERIOD.previous
FIRST = Period.parse("2026-05")
CALENDAR = Calendar("America/Chicago", PERIOD, date(2026, 10, 2))


def contents(folder):
    """Return every file below a folder with its hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- what is written -------------------------------------------------------------------------------


def test_good_company_is_accepted_whole(good):
    """Without a broken rule every staged row of every month is accepted and nothing is noted."""
    company, verdict = good
    assert (verdict.decision, verdict.footnotes, verdict.missing) == ("publish", [], [])
    for table in TABLES:
        months = [Period.parse(f"2026-{month:02d}") for month in range(5, 10)] if TABLES[table].dated_by else [PERIOD]
        accepted = pd.concat([company.accepted(table, month) for month in months])
        assert sorted(accepted[TABLES[table].key[0]]) == sorted(company.tables[table][TABLES[table].key[0]])
        assert sum(len(company.rejected(table, month)) for month in months) == 0


def test_accepted_tables_have_the_canonical_columns_and_their_period(good):
    """An accepted file holds the table's schema, its segments and the month, and no helper column."""
    company, _ = good
    for table in TABLES:
        written = pq.read_schema(company.project.accepted("sample", PERIOD) / f"{table}.parquet")
        segments = ("region", "plan") if table in {"responses", "invitations", "tickets"} else ()
        expected = TABLES[table].schema(segments)
        assert written.names == [*expected.names, "period"]
        assert written.types[:-1] == expected.types
        assert set(company.accepted(table)["period"]) == {"2026-09"}
        assert pq.read_schema(company.project.rejected("sample", PERIOD) / f"{table}.parquet") == REJECTED


def test_customers_are_written_for_the_reported_month_only(good):
    """Months of history hold no copy of the list of customers and no count of it."""
    company, verdict = good
    assert "customers" in verdict.tables
    assert "customers" not in read_verdict(company.project, "sample", BEFORE).tables
    assert not (company.project.accepted("sample", BEFORE) / "customers.parquet").exists()


def test_verdict_file_is_sorted_json_that_reads_back(good):
    """`verdict.json` reads back as the verdict, with sorted keys."""
    company, verdict = good
    text = (company.project.accepted("sample", PERIOD) / "verdict.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert read_verdict(company.project, "sample", PERIOD) == verdict


def test_same_rows_give_the_same_bytes_in_any_order(make_company, tmp_path, good):
    """Staged rows in another order, in another folder, give the same files byte for byte."""
    company = make_company(tmp_path)
    company.tables = {name: frame.sample(frac=1, random_state=7) for name, frame in company.tables.items()}
    company.validate()
    expected, _ = good
    for part in ("accepted", "rejected"):
        found = contents(company.project.root / "data" / part)
        assert len(found) > 20
        assert found == contents(expected.project.root / "data" / part)


def test_whole_numbers_stay_whole_where_some_are_missing(company):
    """A count that is missing in one row leaves the others as integers."""
    (row,) = company.spoil("tickets", "reopens", None)
    company.validate()
    schema = pq.read_schema(company.project.accepted("sample", PERIOD) / "tickets.parquet")
    assert schema.field("reopens").type == TABLES["tickets"].columns["reopens"]
    accepted = company.accepted("tickets")
    missing = accepted["source_row"] == company.tables["tickets"].loc[row, "source_row"]
    assert accepted.loc[missing, "reopens"].isna().all()
    assert (accepted.loc[~missing, "reopens"] == 0).all()


def test_validating_again_replaces_and_leaves_nothing_aside(company):
    """A second run replaces the months, drops months that are staged no longer, and leaves no work folder."""
    company.validate()
    company.spoil("tickets", "priority", "Immediate")
    company.drop("orders", company.rows("orders", FIRST))
    for table in ("responses", "invitations", "tickets"):
        company.drop(table, company.rows(table, FIRST))
    company.drop("answers", company.rows("answers", FIRST))
    assert company.validate().tables["tickets"].rejected == 1
    for part in ("accepted", "rejected"):
        folder = company.project.root / "data" / part
        assert [path.name for path in folder.iterdir()] == ["sample"]
        assert sorted(path.name for path in (folder / "sample").iterdir()) == [
            "2026-06",
            "2026-07",
            "2026-08",
            "2026-09",
        ]


def test_nothing_personal_or_wrong_is_written(company):
    """Raw bad values and an address planted in rejected rows, even as a key, reach no written file."""
    company.spoil("responses", "comment", "ask jane@example.com")
    company.spoil("responses", "kind", "987654321")
    company.spoil("customers", "plan", "raw-plan-value")
    company.tables["customers"].loc[0, "customer_id"] = "joe@example.com"
    company.tables["customers"].loc[0, "typing_fault"] = "monthly_value: not a number"
    company.spoil("answers", "score", 98765.0)
    company.validate()
    assert "[e-mail]" in set(company.rejected("customers")["row_key"])
    for path in (company.project.root / "data").rglob("*"):
        if path.is_file() and "staged" not in path.parts:
            text = path.read_text() if path.suffix == ".json" else pd.read_parquet(path).to_csv()
            for planted in ("jane@", "joe@", "987654321", "raw-plan-value", "98765"):
                assert planted not in text, path.name


# --- months ----------------------------------------------------------------------------------------


def test_months_follow_the_calendar_of_the_zone():
    """An evening in Chicago is the next day in UTC and still its own month."""
    instants = pd.Series(pd.to_datetime(["2026-10-01T04:59:59Z", "2026-10-01T05:00:00Z", "2026-09-01T04:59:59Z"]))
    assert [CALENDAR.month(number).id for number in CALENDAR.months(instants)] == ["2026-09", "2026-10", "2026-08"]


def test_day_of_the_export_counts_to_its_end():
    """The last second of the day in the dataset's zone is not in the future, the next one is; nothing is no date."""
    instants = pd.Series(pd.to_datetime(["2026-10-03T04:59:59Z", "2026-10-03T05:00:00Z", None], utc=True))
    assert CALENDAR.is_dated(instants).to_list() == [True, False, False]
    assert CALENDAR.as_of_end == datetime(2026, 10, 3, 5, tzinfo=UTC)


def test_rows_without_a_possible_date_are_rejected_in_the_reported_month(company):
    """A row of July's file without a date, or with one in the future, is rejected in September and nowhere else."""
    july = Period.parse("2026-07")
    rows = company.rows("tickets", july)
    company.spoil_row("tickets", rows[0], created_at=pd.NaT)
    company.spoil_row("tickets", rows[1], created_at=pd.Timestamp("2031-01-01", tz="UTC"))
    verdict = company.validate()
    assert list(company.rejected("tickets")["rule"]) == ["ticket_date_present", "ticket_date_not_in_future"]
    assert company.rejected("tickets", july).empty
    assert verdict.tables["tickets"].rows_in == 122
    assert read_verdict(company.project, "sample", july).tables["tickets"].rows_in == len(rows) - 2


def test_later_months_are_left_out_and_counted(company):
    """Reporting August leaves September's rows alone and says how many there are."""
    verdict = company.validate(period=BEFORE)
    assert verdict.period == "2026-08"
    assert verdict.left_out["responses"] == 120
    assert verdict.left_out["customers"] == 0
    assert not company.project.accepted("sample", PERIOD).exists()


@pytest.mark.parametrize("period", ["2026-04", "2026-10", "2031-01"])
def test_month_outside_the_data_is_refused(company, period):
    """A month before or after the responses is a usage error that names the covered range."""
    company.spoil("responses", "responded_at", pd.Timestamp("2031-01-15", tz="UTC"))
    with pytest.raises(UsageError, match="2026-05 to 2026-09"):
        company.validate(period=Period.parse(period))


def test_unstaged_answers_are_refused(company):
    """Without answers there is nothing to measure."""
    del company.tables["answers"]
    with pytest.raises(UsageError, match="no staged answers"):
        company.validate()


def test_month_that_was_not_validated_has_no_verdict(company):
    """Asking for a verdict that does not exist says what to run."""
    with pytest.raises(UsageError, match="cxreport validate"):
        read_verdict(company.project, "sample", PERIOD)


# --- parents and repeats ---------------------------------------------------------------------------


def test_first_delivery_of_a_repeated_response_is_kept(company):
    """Of two deliveries one counts; the second goes with all its answers, also one that only it has."""
    rows = company.rows("responses")[:2]
    company.repeat("responses", rows)
    ids = company.tables["responses"].loc[rows, "response_id"]
    answers = company.tables["answers"]
    company.repeat("answers", answers.index[answers["response_id"].isin(ids)])
    answers = company.tables["answers"]
    extra = answers.iloc[[-1]].assign(question="only here", metric="item")
    company.tables["answers"] = pd.concat([answers, extra], ignore_index=True)
    verdict = company.validate()
    assert sorted(company.accepted("responses")["response_id"]) == sorted(
        company.tables["responses"].loc[company.rows("responses"), "response_id"].unique()
    )
    assert list(company.rejected("responses")["rule"]) == ["response_id_unique"] * 2
    rejected = company.rejected("answers").set_index("row_key")["rule"]
    assert rejected[f"{ids.iloc[-1]}|only here"] == "response_accepted"
    assert (rejected == "answer_unique").sum() == 4
    assert verdict.footnotes == [
        "2 responses repeated an earlier one and are left out.",
        "4 answers repeated an earlier one and are left out.",
    ]


def test_answers_go_with_their_rejected_response(company):
    """No accepted answer belongs to a response that is not accepted, and the footnote stands once."""
    company.spoil("responses", "invited_at", pd.Timestamp("2026-01-01", tz="UTC"), n=3)
    verdict = company.validate()
    assert set(company.accepted("answers")["response_id"]) == set(company.accepted("responses")["response_id"])
    assert set(company.rejected("answers")["rule"]) == {"response_accepted"}
    assert verdict.tables["answers"].rejected == 6
    assert verdict.footnotes == ["3 responses arrived more than 30 days after the invitation and are left out."]


def test_missing_answers_are_counted_by_question_and_reason(company):
    """Accepted answers without a score are counted for the month; rejected ones are not."""
    rows = company.rows("answers")
    company.tables["answers"].loc[rows[:3], ["score", "missing_reason"]] = [None, "not answered"]
    company.tables["answers"].loc[rows[3], ["score", "missing_reason"]] = [None, "code 11"]
    company.tables["answers"].loc[rows[4], ["score", "missing_reason", "metric"]] = [None, "code 11", "unheard of"]
    found = [(count.question, count.metric, count.reason, count.n) for count in company.validate().missing]
    assert found == [("nps", "nps", "code 11", 1), ("nps", "nps", "not answered", 3)]


def test_masked_comments_are_noted_without_a_footnote(company):
    """Comments with masked personal data are counted and stay."""
    company.spoil("responses", "comment", "call [phone]", n=2)
    verdict = company.validate()
    outcome = company.rule_of(verdict, "responses", "comment_without_personal_data")
    assert (outcome.rows, outcome.checked, outcome.outcome) == (2, 2, "noted")
    assert (verdict.decision, verdict.tables["responses"].rejected) == ("publish", 0)


# --- stops -----------------------------------------------------------------------------------------


def test_critical_rule_within_its_tolerance_leaves_a_footnote(company):
    """Two of 122 rows repeated is under two percent: the month appears without them."""
    company.repeat("responses", company.rows("responses")[:2])
    verdict = company.validate()
    assert verdict.decision == "publish with footnotes"
    assert require_publishable(verdict) is verdict


def test_critical_rule_beyond_its_tolerance_stops_the_month(company):
    """Three of 123 rows repeated is over two percent: nothing of the month is written, and the error names the rule."""
    company.repeat("responses", company.rows("responses")[:3])
    verdict = company.validate()
    assert verdict.decision == "stop"
    assert company.rule_of(verdict, "responses", "response_id_unique").outcome == "stopped"
    assert [path.name for path in company.project.accepted("sample", PERIOD).iterdir()] == ["verdict.json"]
    assert len(company.rejected("responses")) == 3
    assert len(company.accepted("responses", BEFORE)) == 124
    with pytest.raises(GateError, match=r"response_id_unique.*3 of 123 rows of responses"):
        require_publishable(read_verdict(company.project, "sample", PERIOD))


def test_stopped_month_of_history_stops_only_itself(company):
    """A bad month in the past has no accepted rows; the reported month keeps its own and says what it lacks."""
    company.spoil("answers", "score", 99.0, n=30, month=BEFORE)
    verdict = company.validate()
    assert verdict.decision == "publish with footnotes"
    assert verdict.footnotes == ["August 2026 was stopped by the checks, so nothing is compared with it."]
    assert read_verdict(company.project, "sample", PERIOD) == verdict
    assert read_verdict(company.project, "sample", BEFORE).decision == "stop"
    assert not list(company.project.accepted("sample", BEFORE).glob("*.parquet"))
    assert len(company.accepted("responses", FIRST)) == 124


def test_stopped_month_a_year_ago_is_said_and_others_are_not(company):
    """Only the months that a report compares with leave a footnote when they were stopped."""
    year_ago = (
        company.tables["orders"]
        .iloc[:1]
        .assign(order_id="O-old", ordered_at=pd.Timestamp("2025-09-10T18:00Z"), source="orders/orders_2025-09.csv")
    )
    company.tables["orders"] = pd.concat([year_ago, company.tables["orders"]], ignore_index=True)
    company.spoil("answers", "score", 99.0, n=30, month=Period.parse("2026-07"))
    verdict = company.validate()
    assert read_verdict(company.project, "sample", Period.parse("2026-07")).decision == "stop"
    assert read_verdict(company.project, "sample", Period.parse("2025-09")).decision == "stop"
    assert verdict.footnotes == [
        "The feed orders holds 7 months without rows in the year before; expected: at most 0.",
        "September 2025 was stopped by the checks, so nothing is compared with it.",
    ]
    assert verdict.pages["executive"] == verdict.footnotes[1:]


def test_stop_removes_what_an_earlier_run_accepted(company):
    """Accepted rows of a month do not outlive a stop."""
    company.validate()
    company.spoil("responses", "kind", "unheard of", n=60)
    company.validate()
    assert not list(company.project.accepted("sample", PERIOD).glob("*.parquet"))


def test_warning_rule_never_stops_by_itself(company):
    """Rows that break a warning rule are rejected and noted; many of them are the concern of the feed's gates."""
    company.spoil("tickets", "priority", "Immediate", n=10)
    verdict = company.validate()
    assert verdict.decision == "publish with footnotes"
    assert verdict.footnotes == ["10 support cases carried an unknown priority and are left out."]


def test_lost_row_is_an_internal_error(company, monkeypatch):
    """A row that is neither accepted nor rejected stops the run instead of vanishing."""
    judge = run.judge

    def losing(*arguments, **named):
        judged = judge(*arguments, **named)
        object.__setattr__(judged, "left_out", judged.left_out + (judged.table == "orders"))
        return judged

    monkeypatch.setattr(run, "judge", losing)
    with pytest.raises(RunError, match="rows in = accepted"):
        company.validate()


# --- the accounting identity -----------------------------------------------------------------------

FAULTS = {
    "no id": ("responses", {"response_id": None}),
    "kind": ("responses", {"kind": "unheard of"}),
    "weight": ("responses", {"weight": -1.0}),
    "preview": ("responses", {"typing_fault": "not a real answer: preview"}),
    "unread": ("responses", {"typing_fault": "weight: not a number"}),
    "undated": ("responses", {"responded_at": pd.NaT}),
    "above": ("answers", {"score": 12.0}),
    "fraction": ("answers", {"score": 2.5}),
    "metric": ("answers", {"metric": "joy"}),
    "orphan": ("answers", {"response_id": "R-none"}),
}


def broken_rules(company):
    """Say independently, row by row in plain Python, which rules each row of the month breaks."""
    broken = {"responses": {}, "answers": {}}
    responses = company.tables["responses"].loc[company.rows("responses")].to_dict("records")
    for row in responses:
        fault = row["typing_fault"] if isinstance(row["typing_fault"], str) else ""
        broken["responses"][row["source_row"]] = {
            *(["response_id_present"] if pd.isna(row["response_id"]) else []),
            *(["kind_known"] if row["kind"] != "relational" else []),
            *(["weight_not_negative"] if row["weight"] < 0 else []),
            *(["response_real"] if fault.startswith("not a real") else []),
            *(["response_readable"] if fault.startswith("weight") else []),
            *(["response_date_present"] if pd.isna(row["responded_at"]) else []),
        }
    rejected = {row["response_id"] for row in responses if broken["responses"][row["source_row"]]}
    delivered = {row["response_id"] for row in responses}
    seen = set()
    for row in company.tables["answers"].loc[company.rows("answers")].sort_values("source_row").to_dict("records"):
        key = (row["response_id"], row["question"])
        known = row["response_id"] in delivered
        by_row = bool(broken["responses"][row["source_row"]])
        broken["answers"][row["source_row"], row["question"]] = {
            *(["score_not_above_scale"] if row["score"] > row["scale_high"] else []),
            *(["score_whole"] if row["score"] % 1 else []),
            *(["metric_known"] if row["metric"] == "joy" else []),
            *(["answer_unique"] if key in seen else []),
            *([] if known else ["response_delivered"]),
            *(["response_accepted"] if known and (row["response_id"] in rejected or by_row) else []),
        }
        seen.add(key)
    return broken


@settings(max_examples=10)
@given(
    st.dictionaries(st.integers(0, 119), st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=3), max_size=40)
)
def test_rows_in_are_rows_accepted_plus_rejected(tmp_path_factory, make_company, faults_by_row):
    """For any mixture of faults no row is lost, and a row is rejected for exactly the rules that it breaks."""
    company = make_company(tmp_path_factory.mktemp("mixture"))
    company.tables = {name: company.tables[name] for name in ("responses", "answers")}
    for position, faults in faults_by_row.items():
        for table, values in map(FAULTS.get, faults):
            company.spoil_row(table, company.rows(table)[position], **values)
    verdict = company.validate()
    for table, expected in broken_rules(company).items():
        found = {}
        for row in company.rejected(table).itertuples():
            place = (row.source_row, row.row_key.split("|")[1]) if table == "answers" else row.source_row
            found[place] = {row.rule, *filter(None, row.other_rules.split("; "))}
        assert found == {place: rules for place, rules in expected.items() if rules}
        count = verdict.tables[table]
        assert (count.rows_in, count.rejected) == (len(expected), len(found))
        assert count.accepted == count.rows_in - count.rejected
        for rule in verdict.rules:
            if rule.table == table:
                assert rule.rows == sum(rule.rule in rules for rules in expected.values())


# --- the real survey -------------------------------------------------------------------------------


def test_real_survey_passes_its_gates(shared, tmp_path, make_company):
    """The airport's survey of May 2017 is validated with the same suites: 2,831 responses in, nearly all accepted."""
    project = make_company(tmp_path).project
    dataset = load_dataset(project, "sfo").model_copy(update={"raw": str(shared / "data" / "sfo_2017")})
    ingest(project, dataset)
    verdict = validate(project, dataset, Period.parse("2017-05"), date(2017, 7, 1))
    assert verdict.decision != "stop", (verdict.footnotes, verdict.gates)
    assert verdict.tables["responses"].rows_in == 2831
    assert verdict.tables["responses"].accepted > 2700
    answered = pd.read_parquet(project.accepted("sfo", Period.parse("2017-05")) / "answers.parquet")
    scores = answered.loc[answered["metric"] == "nps", "score"].dropna()
    assert scores.between(0, 10).all()
    assert {count.reason for count in verdict.missing if count.question == "nps"}


@pytest.mark.soak
def test_two_years_are_validated_in_seconds(company):
    """Several hundred thousand rows take less than 20 seconds once the library is imported."""
    company.validate()
    months = range(20)
    for name, frame in company.tables.items():
        copies = [
            frame.assign(
                **{key: frame[key] + f"-{copy}" for key in (TABLES[name].key[0],)},
                source_row=frame["source_row"] + 1000 * copy,
            )
            for copy in months
        ]
        company.tables[name] = pd.concat(copies, ignore_index=True)
    begun = time.monotonic()
    company.validate()
    assert time.monotonic() - begun < 20
