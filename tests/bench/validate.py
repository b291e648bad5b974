"""Speed and memory of validation against the same rules in raw Great Expectations and in pointblank: `make bench`.

Everybody starts from the staged responses and answers of the Qualtrics export that `ingest.py` writes, judges every row
by the committed suites of these two tables, and says which rows are rejected. Helper columns, such as whether a key
was met before, are part of the work; the rivals' are plain pandas for this export alone. `cxreport validate` also
measures the deliveries, judges them, and writes accepted and rejected rows with a verdict for each of 15 months.
Every measurement has a process of its own; starting Python is not timed, importing is. The rejected rows must agree
before anything is printed.
"""

import argparse
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rivals import fastest, judge, run, show, timed

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
REPORTED, AS_OF = "2026-03", date(2026, 4, 30)
PARAMETERS = {"as_of_end": datetime(2026, 5, 1, 5, tzinfo=UTC), "earliest": datetime(2000, 1, 2, tzinfo=UTC)}
TABLES = ("responses", "answers")
Rules = list[dict[str, Any]]
Broken = Iterator[tuple[dict[str, Any], Any]]  # a rule and the positions or flags of the rows that break it


def main() -> None:
    """Parse the command line, then compare the rivals or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rival", choices=RIVALS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.rival:
        warnings.simplefilter("ignore")
        print(json.dumps(timed(partial(RIVALS[options.rival], options.folder))))
        return
    import ingest

    with tempfile.TemporaryDirectory(prefix="cxreport-bench-") as name:
        ingest.write_project(Path(name), options.responses)
        ingest.by_cxreport(Path(name))
        compare(Path(name), options.repeats)


def compare(folder: Path, repeats: int) -> None:
    """Print every rival beside the suite's own validation of the staged tables in a folder."""
    copy_suites(folder)
    best = fastest(RIVALS, repeats, lambda name: run(__file__, name, folder))
    found = best["cxreport, rules on rows"]["found"]
    rows = " and ".join(f"{found[name]['rejected']:,} {name}" for name in TABLES)
    print(f"validation of the same export, imports included: {rows} rejected; fastest of {repeats}")
    show(best)
    rival = min(best[name]["seconds"] for name in RIVALS if not name.startswith("cxreport"))
    for name in RIVALS:
        if name.startswith("cxreport"):
            judge(f"time of {name} over the faster rival", best[name]["seconds"] / rival, at_most=1)


def copy_suites(folder: Path) -> None:
    """Copy the rules that are not of one dataset or feed."""
    target = folder / "expectations" / "suites"
    target.mkdir(parents=True)
    shutil.copy2(ROOT / "expectations" / "great_expectations.yml", target.parent)
    for suite in (ROOT / "expectations" / "suites").glob("*.json"):
        if "_" not in suite.stem:
            shutil.copy2(suite, target)


def summary(**rejected: "pd.Series") -> dict[str, dict[str, int]]:
    """Return how many rows of each table are rejected, and a checksum of their lines in the export."""
    return {name: {"rejected": len(lines), "checksum": int(lines.sum())} for name, lines in rejected.items()}


# --- the suite itself ------------------------------------------------------------------------------


def by_cxreport(folder: Path) -> dict[str, dict[str, int]]:
    """The suite's own rules on rows, and nothing else of its validation."""
    from cxreport.config import Project, load_dataset
    from cxreport.engine import read_table
    from cxreport.periods import Period
    from cxreport.validate.rows import Calendar, judge
    from cxreport.validate.suites import Suites
    from cxreport.validate.waivers import Waivers

    project = Project(folder)
    dataset = load_dataset(project, "bench")
    calendar = Calendar(dataset.time_zone, Period.parse(REPORTED), AS_OF)
    suites, waivers = Suites.open(project, dataset.id), Waivers((), AS_OF)
    staged = {name: read_table(project.staged(dataset.id) / f"{name}.parquet") for name in TABLES}
    judged = {}
    for name in TABLES:
        judged[name] = judge(name, staged, judged, calendar, suites, waivers=waivers)
    return summary(**{name: table.frame.loc[table.rejected, "source_row"] for name, table in judged.items()})


def by_validate(folder: Path) -> dict[str, dict[str, int]]:
    """All of the suite's validation."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cxreport.config import Project, load_dataset
    from cxreport.periods import Period
    from cxreport.validate import validate

    project = Project(folder)
    validate(project, load_dataset(project, "bench"), Period.parse(REPORTED), AS_OF)
    files = {name: sorted(project.rejected("bench").rglob(f"{name}.parquet")) for name in TABLES}
    lines = {name: [pq.read_table(file, columns=["source_row"]) for file in files[name]] for name in TABLES}
    return summary(**{name: pa.concat_tables(lines[name])["source_row"].to_pandas() for name in TABLES})


# --- the rivals ------------------------------------------------------------------------------------


def staged_rows(folder: Path) -> dict[str, "pd.DataFrame"]:
    """Read the staged tables, with the helper columns that need no other rule's outcome."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    staged = folder / "data" / "staged" / "bench"
    responses, answers = (pq.read_table(staged / f"{name}.parquet").combine_chunks().to_pandas() for name in TABLES)
    for rows, key in ((responses, ["response_id"]), (answers, ["response_id", "question"])):
        rows["check_repeat"] = 1 + rows.duplicated(key)  # in this export no key is missing
        rows["check_delivered_again"] = rows["typing_fault"].eq("delivered again").astype("int64")
        rows["check_superseded"] = rows["typing_fault"].eq("superseded").astype("int64")
    said = {fault: fault.split("; ") for fault in responses["typing_fault"].dropna().unique()}
    not_real = {fault: any(part.startswith("not a real answer") for part in parts) for fault, parts in said.items()}
    unread = {fault: any(not part.startswith("not a real answer") for part in parts) for fault, parts in said.items()}
    responses["check_not_real"] = responses["typing_fault"].map(not_real).eq(True).astype("int64")
    responses["check_cells_unread"] = responses["typing_fault"].map(unread).eq(True).astype("int64")
    waited = responses["responded_at"] - responses["invited_at"]
    responses["check_days_to_answer"] = waited.dt.total_seconds() / 86_400
    responses["check_customers"] = float("nan")  # there is no list of customers
    # `isin` of pandas compares text in Python, ten times as slowly.
    delivered = pc.is_in(pa.array(answers["response_id"]), value_set=pa.array(responses["response_id"]))
    answers["check_responses"] = delivered.to_numpy(zero_copy_only=False).astype("float64")
    answers["check_score_fraction"] = answers["score"] % 1
    answers["check_score_or_reason"] = answers[["score", "missing_reason"]].notna().sum(axis=1)
    return {"responses": responses, "answers": answers}


def rejected_by(library: Callable[["pd.DataFrame", Rules], Broken], folder: Path) -> dict[str, dict[str, int]]:
    """Judge responses, then answers, whose responses must be accepted; `library` says which rows break which rule."""
    rows, lines = staged_rows(folder), {}
    for name in TABLES:
        if name == "answers":  # which lie in the same line of the export as their response
            refused = rows["answers"]["source_row"].isin(lines["responses"])
            rows["answers"]["check_responses_accepted"] = (~refused).astype("float64")
        suite = json.loads((folder / "expectations" / "suites" / f"{name}.json").read_text(encoding="utf-8"))
        rejected = rows[name]["source_row"].eq(-1)
        for rule, broken in library(rows[name][columns_of(suite["expectations"])], suite["expectations"]):
            if rule["severity"] != "info" or rule["meta"].get("sets_aside"):
                rejected.iloc[broken] = True
        lines[name] = rows[name].loc[rejected, "source_row"]
    return summary(**lines)


def columns_of(rules: Rules) -> list[str]:
    """Return the columns that rules look at; both libraries copy what they are given for every rule."""
    return sorted({rule["kwargs"][name] for rule in rules for name in rule["kwargs"] if name.startswith("column")})


def by_great_expectations(rows: "pd.DataFrame", rules: Rules) -> Broken:
    """The library's own way, with the least that it must return to say which rows break a rule."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    frames = gx.get_context(mode="ephemeral").data_sources.add_pandas("frames").add_dataframe_asset("rows")
    result = (
        frames.add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": rows})
        .validate(
            gx.ExpectationSuite(name="rules", expectations=rules),
            result_format={
                "result_format": "COMPLETE",
                "exclude_unexpected_values": True,
                "partial_unexpected_count": 0,
                "return_unexpected_index_query": False,
            },
            expectation_parameters=PARAMETERS,
        )
    )
    by_id = {rule["meta"]["rule"]: rule for rule in rules}
    for item in result.results:
        yield by_id[item.expectation_config.meta["rule"]], item.result["unexpected_index_list"]


def by_pointblank(rows: "pd.DataFrame", rules: Rules) -> Broken:
    """One step for each rule, without extracts of the rows that break it: they are read off the step's own flags."""
    import pointblank as pb

    plan = pb.Validate(rows)
    for rule in rules:
        plan = planned(plan, rule)
    for rule, step in zip(rules, plan.interrogate(collect_extracts=False).validation_info, strict=True):
        yield rule, ~step.tbl_checked["pb_is_good_"].to_numpy(dtype=bool)


def planned(plan: Any, rule: dict[str, Any]) -> Any:
    """Add the step that says the same as a rule."""
    import pointblank as pb

    said = {
        name: PARAMETERS[value["$PARAMETER"]] if isinstance(value, dict) else value
        for name, value in rule["kwargs"].items()
    }
    column, least, most = (said.get(name) for name in ("column", "min_value", "max_value"))
    steps = {
        "values_to_not_be_null": lambda: plan.col_vals_not_null(column),
        "values_to_be_null": lambda: plan.col_vals_null(column),
        "values_to_be_in_set": lambda: plan.col_vals_in_set(column, [*said["value_set"], None]),
        "values_to_not_match_regex": lambda: plan.col_vals_regex(column, said["regex"], na_pass=True, inverse=True),
        "pair_values_a_to_be_greater_than_b": lambda: plan.col_vals_ge(
            said["column_A"], pb.col(said["column_B"]), na_pass=True
        ),
    }
    if (name := rule["type"].removeprefix("expect_column_")) != "values_to_be_between":
        return steps[name]()
    if most is None:
        return plan.col_vals_ge(column, least, na_pass=True)
    if least is None:
        below = plan.col_vals_lt if said.get("strict_max") else plan.col_vals_le
        return below(column, most, na_pass=True)
    return plan.col_vals_between(column, least, most, na_pass=True)


RIVALS: dict[str, Callable[[Path], dict[str, dict[str, int]]]] = {
    "cxreport, rules on rows": by_cxreport,
    "cxreport validate": by_validate,
    "raw Great Expectations": partial(rejected_by, by_great_expectations),
    "pointblank": partial(rejected_by, by_pointblank),
}

if __name__ == "__main__":
    main()
