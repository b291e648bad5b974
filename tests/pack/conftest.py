"""A report made a second time by hand, and the report of the real survey."""

import json
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import cxreport
from cxreport.config import Project, load_dataset, load_report
from cxreport.periods import Period
from cxreport.present.words import Words
from cxreport.publish import document, render
from cxreport.publish.execution import epoch
from cxreport.validate import read_verdict


def publish_by_hand(project: Project, notebooks: list[Path], html: Path, pdf: Path, mark: str) -> None:
    """Merge executed notebooks into a page and a PDF with the provenance that a run states, `mark` included."""
    report, period = load_report(project, "monthly"), Period.parse("2026-09")
    dataset = load_dataset(project, report.dataset)
    merged = document.merge(
        notebooks,
        words=Words.open(project, report.language),
        title=report.title,
        subtitle=f"{report.organisation}, {period.label}",
        author=report.organisation,
        provenance={
            "Report": f"{report.id}, {period}",
            "Data": f"{dataset.title}, as of {dataset.as_of}",
            "Verdict on the data": read_verdict(project, dataset.id, period).decision,
            "Inputs": mark,
            "Made with": f"cxreport {cxreport.__version__}",
            "Contact": report.contact,
        },
    )
    source = html.with_suffix(".ipynb")
    document.write(merged, source)
    render.choose("auto").render(source, html=html, pdf=pdf, project=project, timestamp=epoch(dataset.as_of))


@pytest.fixture(scope="session", params=["small", pytest.param("pack", marks=pytest.mark.soak)])
def at_once(request):
    """A report that one command made: of the small company, and in long campaigns the default one."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def by_hand(at_once, readme, run, copy_project, tmp_path_factory):
    """The same report in another folder, step by step, without `cxreport run`.

    The README's step commands bring it to the measured tables, bare Papermill executes each present notebook (the
    README's command, then the same one for the other notebooks), and what they give is rendered.
    """
    project = copy_project(tmp_path_factory.mktemp("again") / "elsewhere", at_once.project.root)
    shutil.copytree(at_once.project.sample, project.sample, dirs_exist_ok=True)
    steps = [line for line in readme if line.startswith(("cxreport ", "papermill "))]
    others = {"sample", "run", "why", "open", "deliver", "archive"}
    steps = [line for line in steps if shlex.split(line)[1] not in others]
    assert [Path(shlex.split(line)[1]).stem for line in steps] == ["ingest", "validate", "measure", "40_kpis"]
    for command in steps:
        run(project, command)
    executed = {"40_kpis": project.root / "out.ipynb"}
    present = load_report(project, "monthly").present
    for name in (name for name in present if name not in executed):
        executed[name] = project.root / f"out_{name}.ipynb"
        run(project, f"papermill notebooks/{name}.ipynb {executed[name].name}")
    html, pdf = (project.root / f"report.{kind}" for kind in ("html", "pdf"))
    record = at_once.project.published("monthly", Period.parse("2026-09")) / "run.json"
    mark = json.loads(record.read_text(encoding="utf-8"))["packs"]["all"]
    publish_by_hand(project, [executed[name] for name in present], html, pdf, mark)
    return SimpleNamespace(project=project, executed=executed, html=html, pdf=pdf)


@pytest.fixture(scope="session")
def sfo(shared, run, copy_project, tmp_path_factory):
    """The real survey's report, with the shared folder beside the project copy."""
    base = tmp_path_factory.mktemp("sfo")
    (base / "shared").symlink_to(shared.resolve())
    project, period = copy_project(base / "project"), Period.parse("2017-05")
    run(project, "cxreport run --report sfo --period 2017-05")
    published = project.published("sfo", period) / "all"
    return SimpleNamespace(
        project=project,
        period=period,
        html=published / "report.html",
        pdf=published / "report.pdf",
        estimates=pd.read_parquet(project.measured("sfo", period) / "estimates.parquet"),
    )
