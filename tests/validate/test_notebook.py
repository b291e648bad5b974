"""The validation notebook: its parameters, its cells as a reader sees them, and what the tables look like."""

import json
import os
import re
from datetime import date

import pandas as pd
import pytest

from cxreport.config import Project, load_dataset
from cxreport.errors import UsageError
from cxreport.periods import Period
from cxreport.validate import show
from cxreport.validate.settings import read_settings
from cxreport.validate.verdict import GateOutcome, MissingCount, RuleOutcome, TableCount, Verdict, WaiverOutcome


@pytest.fixture(scope="session")
def cells(root):
    """The cells of the notebook."""
    notebook = json.loads((root / "notebooks" / "10_validate.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    return notebook["cells"]


def verdict_of(**changes):
    """Return a small verdict with hostile names."""
    parts = {
        "dataset": "sample",
        "period": "2026-09",
        "decision": "publish with footnotes",
        "tables": {"responses": TableCount(rows_in=1200, accepted=1199, rejected=1)},
        "rules": [
            RuleOutcome(
                table="responses",
                suite="responses",
                rule="kind_known",
                severity="critical",
                reason="Because <b>.",
                rows=1,
                checked=1200,
                outcome="rows rejected",
            )
        ],
        "gates": [
            GateOutcome(
                feed="a|b", rule="r", severity="warning", found="0 rows", expected="at least 1 row", outcome="noted"
            )
        ],
        "missing": [MissingCount(question="q_1", metric="nps", reason="*blank*", n=3)],
        "footnotes": ["1 response came from [nowhere](javascript:x) and is left out."],
        "pages": {"kpis": ["1 response came from [nowhere](javascript:x) and is left out."]},
        "waivers": [
            WaiverOutcome(
                rule="r_s",
                scope="the feed a",
                downgrade_to="info",
                reason="Known | agreed.",
                by="Ada",
                reviewed=date(2026, 10, 1),
                until=date(2026, 12, 31),
                outcome="applied",
            )
        ],
    }
    return Verdict(**(parts | changes))


def test_parameters_are_literals_with_a_comment_each(cells):
    """The parameters cell holds the four parameters, each explained."""
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    names = [re.fullmatch(r'(\w+) = "\w*"  # \S.*\n?', line)[1] for line in cell["source"]]
    assert names == ["report", "period", "as_of", "root"]


def test_notebook_cells_run_in_order(cells, make_company, tmp_path):
    """Run as a kernel would, the cells validate and end in Markdown only."""
    company = make_company(tmp_path)
    company.spoil("responses", "kind", "unheard of")
    company.spoil("answers", "score", 99.0)
    company.stage()
    names = {}
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", []):
            source += f"\nroot = {str(company.project.root)!r}"
        *lines, last = source.split("\n")
        if last.startswith("Markdown("):
            exec("\n".join(lines), names)
            shown = eval(last, names)
            assert shown._repr_markdown_()
        else:
            exec(source, names)
    assert names["verdict"].period == "2026-09"
    assert names["verdict"].decision == "publish with footnotes"


def test_tables_are_pipe_tables_with_escaped_text():
    """Cells are escaped, numbers are right-aligned and grouped, and nothing is HTML."""
    verdict = verdict_of()
    assert show.counts(verdict).splitlines()[1:] == [
        "| :--- | ---: | ---: | ---: | ---: |",
        "| responses | 1,200 | 1,199 | 1 | 0 |",
    ]
    assert r"Because \<b\>." in show.broken_rules(verdict)
    assert r"| a\|b |" in show.gates(verdict)
    assert show.gates(verdict_of(gates=[])) == "None."
    assert show.waivers(verdict).splitlines()[2] == (
        r"| r s [(the feed a)]{.cx-second} | applied [(counts as info)]{.cx-second} "
        r"| Ada [(on 2026-10-01, until 2026-12-31)]{.cx-second} | Known \| agreed. |"
    )
    assert show.checked(verdict).splitlines()[2] == r"| a\|b | 1 | 0 | 1 | 0 |"
    assert r"| q\_1 | nps | \*blank\* | 3 |" in show.missing_answers(verdict)
    assert show.missing_answers(verdict_of(missing=[])) == "None."
    assert show.heading("A <b>", verdict) == r"A \<b\>, September 2026: **publish with footnotes**"


@pytest.fixture(scope="session")
def dataset(root):
    """The dataset that the verdicts here are of, with a feed of a hostile name."""
    sample = load_dataset(Project(root), "sample")
    feed = sample.feeds[0].model_copy(update={"id": "a|b", "owner": "Us & *them*"})
    return sample.model_copy(update={"feeds": [*sample.feeds, feed]})


@pytest.mark.parametrize(
    ("decision", "callout"),
    [("publish", "note"), ("publish with footnotes", "warning"), ("stop", "important")],
)
def test_decision_is_a_callout(dataset, decision, callout):
    """The decision stands in a callout of its kind; a stop names what stopped, whom to ask and what to do."""
    rule = verdict_of().rules[0].model_copy(update={"outcome": "stopped"})
    gate = verdict_of().gates[0].model_copy(update={"outcome": "stopped"})
    shown = show.decision(verdict_of(decision=decision, rules=[rule], gates=[gate]), dataset)
    assert shown.startswith(f"::: {{.callout-{callout}}}\n\n## ")
    assert shown.endswith("\n\n:::")
    assert "1 of the 1,200 rows of the month are rejected." in shown
    assert r"\[nowhere\](javascript:x) and is left out. (page KPIs)" in shown
    for words in (r"kind\_known", r"Ask Us \& \*them\*.", r"expectations/waivers/sample.yml"):
        assert (words in shown) == (decision == "stop")


def test_rejected_rows_name_file_lines_reason_and_whom_to_ask(dataset, tmp_path):
    """Rows of one file and rule stand in one line of the table, most rows first, without the rows themselves."""
    project = Project(tmp_path)
    folder = project.rejected("sample", Period.parse("2026-09"))
    folder.mkdir(parents=True)
    refused = [("survey/a.csv", "kind_known", line) for line in range(2, 12)] + [("old/b.csv", "other", 7)]
    pd.DataFrame(refused, columns=["source", "rule", "source_row"]).to_parquet(folder / "responses.parquet")
    first, second = show.rejected(project, dataset, verdict_of()).splitlines()[2:]
    assert first == (
        r"| survey/a.csv [(ask Customer insight)]{.cx-second} "
        r"| responses: kind known [(Because \<b\>.)]{.cx-second} "
        r"| 10 [(lines 2, 3, 4, 5, 6, 7, 8, 9 and 2 more)]{.cx-second} |"
    )
    assert second == "| old/b.csv | responses: other | 1 [(line 7)]{.cx-second} |"


def test_notes_of_many_files_are_summed(dataset, tmp_path):
    """A note that every file of a feed has, with another count each, is said once; others stay."""
    project = Project(tmp_path)
    notes = [
        ["records that are no rows of answers: 1,200", "totals left out: 3"],
        ["records that are no rows of answers: 5"],
    ]
    files = [{"name": f"{at}.csv", "rows": 1, "columns": [], "notes": said} for at, said in enumerate(notes)]
    folder = project.staged("sample")
    folder.mkdir(parents=True)
    (folder / "feeds.json").write_text(json.dumps({"survey": {"adapter": "mapped", "rows": 2, "files": files}}))
    assert show.deliveries(project, dataset).splitlines()[2] == (
        r"| survey [(Customer insight)]{.cx-second} | 2 [(2 mapped files)]{.cx-second} "
        r"| records that are no rows of answers: 1,205; totals left out: 3 | nothing |"
    )


def test_settings_take_the_last_complete_month_and_the_day_of_the_dataset(company):
    """Empty parameters mean the last complete month and the dataset's own day."""
    company.stage()
    settings = read_settings("monthly", root=str(company.project.root))
    assert (settings.period.id, settings.as_of, settings.dataset.id) == ("2026-09", date(2026, 10, 2), "sample")
    settings = read_settings("monthly", "2026-07", "2026-08-01", str(company.project.root))
    assert (settings.period.id, settings.as_of) == ("2026-07", date(2026, 8, 1))


@pytest.mark.parametrize("as_of", ["yesterday", ""])
def test_missing_or_wrong_day_is_refused(company, as_of):
    """Without a day in the dataset one must be passed, and it must be a date."""
    company.stage()
    path = company.project.datasets / "sample.yml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("as_of")))
    with pytest.raises(UsageError, match="pass `as_of`"):
        read_settings("monthly", "2026-09", as_of, str(company.project.root))


def test_project_is_found_from_the_environment(company, monkeypatch):
    """Without `root` the project is the one the environment names."""
    company.stage()
    monkeypatch.setitem(os.environ, "CXREPORT_ROOT", str(company.project.root))
    assert read_settings("monthly").project == company.project
