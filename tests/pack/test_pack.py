"""The demo report: complete, repeatable, closed to the network, accessible, and true to what was planted."""

import hashlib
import json
import re
import shlex
import subprocess

import pandas as pd
import pdfua
import pyarrow.parquet as pq
import pytest
from pypdf import PdfReader

from cxreport.sample import PLANTED


def digests(folder, *patterns):
    """Return relative path to sha256 of the files that match."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in sorted(folder.rglob(pattern))
    }


def outputs(notebook):
    """Return the outputs of an executed notebook's own cells, in order, without the counts of executed cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    own = (cell for cell in cells if "injected-parameters" not in cell["metadata"].get("tags", []))
    return [
        [{name: part for name, part in output.items() if name != "execution_count"} for output in cell["outputs"]]
        for cell in own
        if cell["cell_type"] == "code"
    ]


def one(estimates, **wanted):
    """Return the one row of the reported month for the wanted columns."""
    rows = estimates[estimates.period == "2026-09"]
    for column, value in ({"segment": "all", "level": "all"} | wanted).items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1, wanted
    return rows.iloc[0]


@pytest.fixture(scope="session")
def estimates(pack):
    """The table all pages read."""
    return pack.estimates()


@pytest.fixture(scope="session")
def verdict(pack):
    """The verdict of the reported month."""
    return json.loads((pack.project.accepted("sample", pack.period) / "verdict.json").read_text())


@pytest.fixture(scope="session")
def page(pack):
    """The words of the page, without mark-up."""
    text = re.sub(r"<style.*?</style>", " ", pack.html.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_run_ends_with_the_two_paths(pack):
    """The last two lines printed name the HTML and the PDF, which exist; the archive lists the issue."""
    html, pdf = pack.stdout.strip().splitlines()[-2:]
    assert html.endswith("reports/output/monthly/2026-09/all/report.html")
    assert pdf.endswith("reports/output/monthly/2026-09/all/report.pdf")
    assert pack.html.is_file()
    assert pack.pdf.read_bytes().startswith(b"%PDF")
    archive = (pack.project.output / "index.html").read_text(encoding="utf-8")
    assert "monthly/2026-09/all/report.html" in archive
    assert "monthly/2026-09/all/report.pdf" in archive


def test_same_inputs_give_the_same_bytes_elsewhere(at_once, by_hand):
    """HTML, PDF and every Parquet file are identical when they are made again in another folder, step by step."""
    first, second = (
        digests(project.root / "data", "*.parquet", "verdict.json") for project in (at_once.project, by_hand.project)
    )
    assert len(first) > 30
    assert first == second
    assert at_once.html.read_bytes() == by_hand.html.read_bytes()
    assert at_once.pdf.read_bytes() == by_hand.pdf.read_bytes()


def test_present_notebooks_say_the_same_with_bare_papermill(at_once, by_hand):
    """Papermill alone, with a notebook's defaults or a period, gives the outputs that the run gave."""
    assert {"30_executive", "40_kpis"} <= set(by_hand.executed)
    for name, path in by_hand.executed.items():
        alone, within = (outputs(found) for found in (path, at_once.folder / "all" / "notebooks" / f"{name}.ipynb"))
        assert alone == within, name
        assert any(alone), name


def test_present_notebooks_show_what_the_renderers_demand(pack):
    """All of them show Markdown and SVG, and nothing else that has no plain text."""
    for name in ("30_executive", "40_kpis", "50_segments", "60_journey", "70_voice", "80_loyalty", "90_method"):
        cells = outputs(pack.folder / "all" / "notebooks" / f"{name}.ipynb")
        kinds = {kind for cell in cells for output in cell for kind in output.get("data", {})}
        assert "text/markdown" in kinds, name
        assert kinds <= {"text/markdown", "image/svg+xml", "text/plain"}, name


def test_readme_sample_is_the_one_that_was_read(pack, run):
    """The README's `cxreport sample` finds nothing to write: the run wrote the documented files."""
    assert run(pack.project, "cxreport sample").strip() == "data/sample is up to date"


def test_manifest_hashes_what_was_published(pack):
    """`run.json` names renderer and inputs and holds the true hash of every page."""
    manifest = json.loads((pack.folder / "run.json").read_text())
    assert manifest["period"] == "2026-09"
    assert manifest["software"]["renderer"]["name"] in {"embedded", "quarto"}
    text = json.dumps(manifest)
    for path in (pack.html, pack.pdf):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    for definition in ("reports/kpis/nps.yml", "requirements/run.lock", "data/reference/benchmarks.csv"):
        assert hashlib.sha256((pack.project.root / definition).read_bytes()).hexdigest() in text, definition


def test_page_asks_for_nothing_outside_itself(pack, requests_of):
    """Chromium opens the page without a request and without a word on the console."""
    assert requests_of(pack.html) == (set(), [])


def test_pdf_is_tagged_for_assistive_technology(pack):
    """An independent PDF/UA checker finds no failure, and the PDF has a title and a language."""
    assert pdfua.validate(str(pack.pdf)).findings == ()
    reader = PdfReader(pack.pdf)
    assert reader.metadata.title
    assert reader.trailer["/Root"]["/Lang"]


def test_executive_page_alone_fits_one_page(pack):
    """All that the executive page of the sample company says stands on one accessible page, with the other files."""
    path = pack.folder / "all" / "executive.pdf"
    [page] = PdfReader(path).pages
    text = " ".join(page.extract_text().split())
    for heading in ("What to look at", "Where it hurts", "What we changed", "What to do next", "What the figures rest"):
        assert heading in text
    assert pdfua.validate(str(path)).findings == ()
    assert {"slides.pptx", "tables.xlsx", "estimates.csv"} <= {file.name for file in path.parent.iterdir()}


def test_every_row_is_accounted_for(pack, verdict):
    """Rows staged for the month equal rows accepted plus rows rejected, table by table, in the files themselves."""
    accepted, rejected = (f(verdict["dataset"], pack.period) for f in (pack.project.accepted, pack.project.rejected))
    assert {"responses", "answers", "invitations", "tickets", "customers", "orders"} <= set(verdict["tables"])
    for table, count in verdict["tables"].items():
        kept = pq.read_metadata(accepted / f"{table}.parquet").num_rows
        path = rejected / f"{table}.parquet"
        left = pq.read_metadata(path).num_rows if path.exists() else 0
        assert (kept, left) == (count["accepted"], count["rejected"]), table
        assert kept + left == count["rows_in"], table


def test_nps_matches_a_plain_recount_of_the_raw_files(pack, estimates):
    """Counting promoters and detractors in the delivered file, less what the gate refuses, gives the published NPS."""
    raw = pd.read_csv(
        pack.project.sample / "qualtrics" / "survey_2026-09.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig"
    )
    identifiers = [json.loads(cell)["ImportId"] for cell in raw.iloc[1]]
    raw = raw.iloc[2:].set_axis(identifiers, axis=1)
    raw = raw[(raw["status"] == "0") & (raw["finished"] == "1")].drop_duplicates("_recordId")
    waited = pd.to_datetime(raw["endDate"]) - pd.to_datetime(raw["invited_at"])
    scores = raw.loc[waited <= pd.Timedelta(days=30), "QID1"]
    scores = pd.to_numeric(scores[scores != ""])
    scores = scores[scores.between(0, 10)]
    row = one(estimates, kpi="nps")
    assert (row.n, row.n_top, row.n_bottom) == (len(scores), (scores >= 9).sum(), (scores <= 6).sum())
    assert row.value == pytest.approx(100 * ((scores >= 9).mean() - (scores <= 6).mean()), abs=1e-9)


def test_mix_shift_is_found_and_said(estimates, pack, page):
    """NPS fell, no channel fell, the mix of channels explains it, and the page says so."""
    assert one(estimates, kpi="nps").verdict == "fell"
    by_channel = estimates.query("period == '2026-09' and kpi == 'nps' and segment == 'channel' and suppressed == 'no'")
    assert len(by_channel) == 4
    assert "fell" not in set(by_channel.verdict)
    mix = pq.read_table(pack.project.measured("monthly", pack.period) / "mix.parquet").to_pandas()
    total = mix.query("segment == 'channel' and level == 'all'").iloc[0]
    assert total.mix_effect < -5
    assert total.rate_effect > -1
    assert re.search(r"NPS fell|Net Promoter Score fell", page)
    assert re.search(r"[Nn]o channel fell", page)


def test_broken_touchpoint_is_found_and_shown(estimates, page):
    """CSAT fell at the broken touchpoint and at no other, and the page names it."""
    rows = estimates.query("period == '2026-09' and kpi == 'csat' and segment == 'touchpoint'")
    assert list(rows[rows.verdict == "fell"].level) == [PLANTED.touchpoint]
    assert PLANTED.touchpoint in page


def test_small_segment_is_hidden_with_a_partner(estimates, page):
    """The small language shows no number anywhere, nor does the level from which it could be worked out."""
    rows = estimates.query("period == '2026-09' and kpi == 'nps' and segment == 'language'").set_index("level")
    hidden = rows[rows.suppressed != "no"]
    assert hidden.suppressed["vi"] == "small base"
    assert set(hidden.suppressed) == {"small base", "complementary"}
    assert hidden[["value", "ci_low", "ci_high", "n", "n_top", "n_bottom", "change", "share"]].isna().all(axis=None)
    assert "Vietnamese" in page


def test_planted_faults_are_refused_counted_and_footnoted(verdict, page):
    """Late, repeated and out-of-range answers are refused with their rule; the counts stand on the page."""
    assert verdict["decision"] == "publish with footnotes"
    rejected = {(rule["table"], rule["rule"]): rule["rows"] for rule in verdict["rules"]}
    assert rejected["responses", "answered_within_30_days"] == PLANTED.late_answers
    assert rejected["responses", "delivered_again"] == PLANTED.repeated_responses
    outside = [rejected["answers", rule] for rule in ("score_not_below_scale", "score_not_above_scale")]
    assert sum(outside) == len(PLANTED.nps_outside) + len(PLANTED.csat_outside)
    assert str(PLANTED.late_answers) in page
    assert "30 days" in page


def test_personal_data_in_comments_are_masked_and_counted(pack, verdict):
    """The planted address and number are in the export and in no comment; the verdict counts both comments.

    That no other file holds any is seen on a company with many more of them, in `tests/faults/test_privacy_of_runs.py`.
    """
    delivered = (pack.project.sample / "qualtrics" / "survey_2026-09.csv").read_text(encoding="utf-8")
    accepted = pack.project.accepted("sample", pack.period) / "responses.parquet"
    comments = " ".join(filter(None, pq.read_table(accepted, columns=["comment"])["comment"].to_pylist()))
    for secret, marker in ((PLANTED.email, "[e-mail]"), (PLANTED.phone, "[phone]")):
        assert secret in delivered
        assert secret not in comments
        assert marker in comments
    assert [rule["rows"] for rule in verdict["rules"] if rule["rule"] == "comment_without_personal_data"] == [2]


def test_trend_marks_the_month_against_its_usual_range(estimates):
    """Every month has its figure, and the limits come from the months before the reported one."""
    series = estimates.query("kpi == 'nps' and segment == 'all'").sort_values("period")
    assert len(series) == 25
    baseline = series.value[:-1]
    spread = 3 / 1.128 * baseline.diff().abs().mean()
    assert series.usual_mid.iloc[-1] == pytest.approx(baseline.mean())
    assert series.usual_low.iloc[-1] == pytest.approx(baseline.mean() - spread)


def test_ces_versions_are_never_joined(estimates):
    """Each version has its own months, and a change never spans both."""
    months = {kpi: set(estimates.query("kpi == @kpi and n > 0").period) for kpi in ("ces_v1", "ces_v2")}
    assert not months["ces_v1"] & months["ces_v2"]
    assert one(estimates, kpi="ces_v2").year_verdict == "no earlier figure"


# --- the README ---


def test_readme_make_commands_run_what_they_say(root, readme):
    """Each make command expands to the step it promises; the steps themselves are run by the fixtures."""
    promised = {
        "make report": "cxreport run --report monthly",
        "make test": "python -m pytest",
        "make report REPORT=monthly PERIOD=2026-09": "cxreport run --report monthly --renderer auto --period 2026-09",
        "make report REPORT=monthly SINCE=2026-07": "cxreport run --report monthly --renderer auto  --since 2026-07",
        "make deliver": "cxreport deliver --report monthly",
        "make lab": "jupyter lab",
        "make report REPORT=sfo PERIOD=2017-05": "cxreport run --report sfo --renderer auto --period 2017-05",
    }
    commands = [line for line in readme if line.startswith("make")]
    assert set(commands) == set(promised)
    for command in commands:
        make, *arguments = shlex.split(command)
        expanded = subprocess.run([make, "-n", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
        assert promised[command] in expanded, command
