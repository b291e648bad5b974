"""The command line: thin commands that each call one function.

Exit codes: 0 done, 1 stopped by a gate or a failure, 2 wrong use. Everything heavy is imported inside the commands,
so that help appears at once.
"""

import hashlib
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer

import cxreport
from cxreport.console import Output
from cxreport.errors import CxError, RunError, UsageError, listed
from cxreport.publish.atomic import disk_errors, reserved

if TYPE_CHECKING:
    from cxreport.config import Dataset, Project, Report
    from cxreport.periods import Period
    from cxreport.publish.run import Outcome
    from cxreport.publish.standing import Standing

app = typer.Typer(
    name="cxreport",
    help="Reproducible customer-experience reports: ingest, validate, measure, publish.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", metavar="DIR", help="Folder of the project; by default the one that holds this folder."),
]
ReportOption = Annotated[str, typer.Option("--report", metavar="ID", help="A report of reports/definitions/.")]
PeriodOption = Annotated[
    str,
    typer.Option("--period", metavar="PERIOD", help="Such as 2026-09; by default the last complete one in the data."),
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        formats=["%Y-%m-%d"],
        help="The day the exports were taken; by default the dataset's, else today in its time zone.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="NUMBER",
        envvar="CXREPORT_JOBS",
        help="Processes side by side; by default one a core.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what stops the run.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print an object a line for each step, the result or what stops the run.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cxreport {cxreport.__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; errors that a user can act on are printed without a traceback.

    Of all others, which are defects, the place is printed and not the message, which may quote data.
    """
    try:
        with disk_errors(Path.cwd()):
            app(args=arguments)
    except CxError as error:
        _refuse(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not print data
        typer.echo("".join(traceback.format_tb(error.__traceback__)), err=True, nl=False)
        _refuse(
            RunError(
                found=f"a defect of cxreport, {type(error).__name__}, at the last of the lines above",
                expected="a result, or a message that says what to correct",
                do="report the lines above; the exception's own message may quote data and is not shown",
            )
        )


def _refuse(error: CxError) -> NoReturn:
    for label, text in (("Found", error.found), ("Expected", error.expected), ("Do", error.do)):
        typer.echo(f"{label + ':':<10}{text}", err=True)
    sys.exit(error.exit_code)


@app.command()
def sample(
    project: ProjectOption = None,
    seed: Annotated[int | None, typer.Option(help="Draw another company than the one that is documented.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write the files even when they are up to date.")] = False,
) -> None:
    """Write the sample company's files to data/sample/."""
    from cxreport.config import Project

    here = Project.find(project)
    if seed is None and not force and _matches_checksums(here.sample):
        typer.echo(f"{_shown(here.sample)} is up to date")
        return
    from cxreport.sample import write_sample

    with Output().telling() as tell:
        if seed is None:
            write_sample(here.sample, tell=tell)
        else:
            write_sample(here.sample, seed, tell=tell)
    if seed is None and not _matches_checksums(here.sample):
        typer.echo("These are not the files that data/sample/checksums.txt lists", err=True)
    typer.echo(_shown(here.sample))


@app.command()
def ingest(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Only look at the exports in it, and draft what is needed to read them."),
    ] = None,
    project: ProjectOption = None,
    report: ReportOption = "monthly",
) -> None:
    """Read the delivered files into canonical tables."""
    if folder is not None:
        _look(project, folder)
        return
    here, _, dataset = _load(project, report)
    from cxreport.publish import run as publishing

    with Output().telling() as tell, reserved(here.output, tell):
        rows = publishing.ingest(here, dataset, tell)
    for table, count in sorted(rows.items()):
        typer.echo(f"{table:<12} {count:>10,} rows")


@app.command()
def validate(
    project: ProjectOption = None,
    report: ReportOption = "monthly",
    period: PeriodOption = "",
    as_of: AsOfOption = None,
    data_docs: Annotated[
        Path | None,
        typer.Option(
            "--data-docs",
            metavar="DIR",
            help="Write Great Expectations' own pages there; opened, they load scripts from the network.",
        ),
    ] = None,
) -> None:
    """Split the rows into accepted and rejected ones; exit with 1 when the data may not be published."""
    here, definition, dataset = _load(project, report)
    from cxreport import validate as validation

    taken = _as_of(dataset, as_of)
    chosen = _period(here, definition, dataset, period, taken)
    with Output().telling() as tell, reserved(here.output, tell):
        tell(f"Checking the rows up to {chosen}")
        verdict = validation.validate(here, dataset, chosen, taken, data_docs=data_docs)
    for table, count in sorted(verdict.tables.items()):
        typer.echo(
            f"{table:<12} {count.rows_in:>10,} rows {count.accepted:>10,} accepted {count.rejected:>8,} rejected"
        )
    typer.echo(f"{chosen}: {verdict.decision}")
    for footnote in verdict.footnotes:
        typer.echo(f"- {footnote}")
    validation.require_publishable(verdict)


@app.command()
def measure(project: ProjectOption = None, report: ReportOption = "monthly", period: PeriodOption = "") -> None:
    """Turn accepted rows and KPI definitions into one table of estimates."""
    here, definition, dataset = _load(project, report)
    from cxreport import measure as measuring

    chosen = _period(here, definition, dataset, period, _as_of(dataset, None))
    with Output().telling() as tell, reserved(here.output, tell):
        tell(f"Measuring the periods up to {chosen}")
        estimates = measuring.measure(here, definition, chosen)
    typer.echo(f"{len(estimates):,} estimates in {_shown(here.measured(report, chosen))}")


@app.command()
def run(
    *,
    project: ProjectOption = None,
    report: ReportOption = "monthly",
    period: PeriodOption = "",
    since: Annotated[
        str,
        typer.Option(metavar="PERIOD", help="Publish every period from this one on that has no issue, oldest first."),
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="With --since: also those that have an issue.")] = False,
    as_of: AsOfOption = None,
    renderer: Annotated[str, typer.Option(metavar="NAME", help="auto, quarto or embedded.")] = "auto",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="For the notebooks that declare it; repeatable."),
    ] = None,
    jobs: JobsOption = None,
    cluster: Annotated[
        str, typer.Option(metavar="NAME", help="A backend of Joblib, such as dask, whose machines make the pages.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Make everything anew, also what has not changed.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish an issue, or with --since many: every step, then HTML and PDF in reports/output/."""
    started = datetime.now(UTC)
    output = Output(quiet, as_json)
    with output.errors():
        texts = _parameters(parameter or [])
        here, definition, dataset = _load(project, report)
        from cxreport.periods import Period
        from cxreport.publish.standing import Standing

        wanted, first = (Period.parse(text) if text else None for text in (period, since))
        taken = _as_of(dataset, as_of)
        if again and not since:
            raise UsageError(
                found="--again without --since",
                expected="--again with --since; a single period is made anew with --force",
                do="leave --again out, or name the first period with --since",
            )
        if not since and _stands(Standing(here, definition, dataset, renderer, texts, force), wanted, taken, output):
            return
        from cxreport.publish import run as publishing
        from cxreport.publish.workers import processors

        how: dict[str, Any] = {
            "renderer": renderer,
            "parameters": texts,
            "jobs": jobs or processors(),
            "cluster": cluster,
            "force": force,
        }
        try:
            with output.telling() as tell:
                if first:
                    outcomes = publishing.backfill(
                        here,
                        definition,
                        first,
                        wanted,
                        again=again,
                        as_of=taken,
                        clock=lambda: datetime.now(UTC),
                        tell=tell,
                        **how,
                    )
                else:
                    issue = publishing.run(here, definition, wanted, as_of=taken, started=started, tell=tell, **how)
        except KeyboardInterrupt:
            typer.echo("Stopped. Nothing was published; the last issue is unchanged.", err=True)
            raise
        if first:
            _sum_up(outcomes, output)
        else:
            _say_published(issue.html, issue.pdf, output)


@app.command()
def why(
    page: Annotated[str, typer.Argument(help="A notebook such as 40_kpis, `report` for the files, or `exports`.")],
    project: ProjectOption = None,
    report: ReportOption = "monthly",
    period: Annotated[str, typer.Option(metavar="PERIOD", help="By default that of the newest issue.")] = "",
    audience: Annotated[str, typer.Option(metavar="ID", help="By default everybody.")] = "",
) -> None:
    """Say why the last run made a page anew, or did not."""
    from cxreport.publish import archive, making
    from cxreport.publish.cache import Cache

    here, _, _ = _load(project, report)
    issue = archive.find_issue(here.output, report, period)
    cache = Cache(here.cache / report / issue.period.id, here.root)
    typer.echo(making.explained(cache, page, audience))


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="ISSUE", help="<report>/<period>, or the folder of an issue.")],
    now: Annotated[str, typer.Argument(metavar="ISSUE", help="The same; what differs is told as seen from the first.")],
    project: ProjectOption = None,
) -> None:
    """Say what differs between two published issues; exit with 1 when anything does."""
    from cxreport.config import Project
    from cxreport.publish import diff as comparing

    here = Project.find(project)
    found = comparing.differences(comparing.find(here, before), comparing.find(here, now))
    for line in comparing.lines(found):
        typer.echo(line)
    if found:
        raise typer.Exit(1)


@app.command()
def verify(
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="<report>/<period>.")],
    project: ProjectOption = None,
    jobs: JobsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a published issue again aside, as its run.json tells; exit with 1 when a byte differs, and say why."""
    from cxreport.config import Project
    from cxreport.publish import archive
    from cxreport.publish import verify as verifying
    from cxreport.publish.workers import processors

    output = Output(quiet, as_json)
    with output.errors():
        here = Project.find(project)
        report, _, period = issue.partition("/")
        published = archive.find_issue(here.output, report, period)
        with output.telling() as tell:
            found = verifying.verify(here, published, tell, jobs=jobs or processors())
        for each in found:
            line = f"{each.cause}: {each.name}" + (f": {each.detail}" if each.detail else "")
            output.result(line, state="differs", name=each.name, cause=each.cause, detail=each.detail)
        if found:
            raise typer.Exit(1)
        name = f"{published.report}/{published.period}"
        output.result(f"{name}: every byte is the same", state="same", issue=name)


@app.command()
def deliver(
    *,
    project: ProjectOption = None,
    report: ReportOption = "monthly",
    period: Annotated[
        str, typer.Option("--period", metavar="PERIOD", help="Such as 2026-09; by default the one that ended last.")
    ] = "",
    audience: Annotated[
        list[str] | None,
        typer.Option("--audience", metavar="ID", help="Only its recipients; repeatable. `all` is everybody's pack."),
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Send; without it, only say who would get what.")] = False,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="DIR", help="Write an e-mail of each audience there, to look at."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also to those who got an earlier edition of it.")] = False,
    resend_uncertain: Annotated[
        bool, typer.Option("--resend-uncertain", help="Also to those who perhaps have it already.")
    ] = False,
) -> None:
    """Send a published issue by e-mail, as reports/delivery/ says; without --send, only say who would get what."""
    here, definition, dataset = _load(project, report)
    from cxreport import deliver as delivering
    from cxreport.periods import Period

    ended = Period.containing(_as_of(dataset, None), definition.period_kind).previous
    wish = delivering.Wish(
        here,
        definition,
        Period.parse(period) if period else ended,
        at=datetime.now(UTC),
        audiences=tuple(audience or ()),
        again=again,
        resend_uncertain=resend_uncertain,
    )
    if not send:
        for line in delivering.preview(wish, write):
            typer.echo(line)
        return
    server = delivering.Server.of(os.environ)
    with Output().telling() as tell:
        delivering.send(wish, server, tell=tell, say=typer.echo)


@app.command(name="open")
def open_issue(
    project: ProjectOption = None,
    report: ReportOption = "monthly",
    period: Annotated[str, typer.Option(metavar="PERIOD", help="By default the newest issue.")] = "",
    only_print: Annotated[bool, typer.Option("--print", help="Print the path and open nothing.")] = False,
) -> None:
    """Open a published issue in the browser."""
    from cxreport.publish import archive

    here, _, _ = _load(project, report)
    page = archive.find_issue(here.output, report, period).folder / archive.HTML
    typer.echo(_shown(page))
    if not only_print:
        import webbrowser

        webbrowser.open(page.as_uri())


@app.command(name="archive")
def write_archive(project: ProjectOption = None) -> None:
    """Write the archive's pages anew, for example after packs were copied in or deleted."""
    from cxreport.config import Project
    from cxreport.publish import archive

    here = Project.find(project)
    with Output().telling() as tell, reserved(here.output, tell):
        tell("Writing the archive")
        page = archive.write_site(here)
    typer.echo(_shown(page))


def _stands(standing: "Standing", period: "Period | None", as_of: date, output: Output) -> bool:
    """Say so where the issue that would be made is there already."""
    from cxreport.periods import Period
    from cxreport.publish import archive

    issue = standing.find(period, as_of)
    if issue is None or standing.failed(Period.parse(issue.name)).exists():
        return False
    with output.telling() as tell:
        tell(f"Nothing has changed since the issue for {issue.name} was made; --force makes it anew")
    _say_published(issue / archive.HTML, issue / archive.PDF, output)
    return True


def _say_published(html: Path, pdf: Path, output: Output) -> None:
    output.result(_shown(html), _shown(pdf), state="published", html=_shown(html), pdf=_shown(pdf))


def _sum_up(outcomes: "list[Outcome]", output: Output) -> None:
    """Print a line for each period of a backfill; exit with 1 when one of them failed."""
    for each in outcomes:
        if each.error:
            state, told = "not published", f"not published: {each.error.found}"
        elif each.published:
            state, told = "published", _shown(each.published.html)
        else:
            state, told = "left alone", "has an issue, left alone"
        output.result(f"{each.period}  {told}", state=state, period=each.period.id)
    failed = [each.period.id for each in outcomes if each.error]
    if failed:
        raise RunError(
            found=f"{len(failed)} of {len(outcomes)} periods not published",
            expected="an issue of every period",
            do=f"see data/failed/ for {listed(failed)}, then run the same command again: it skips what is published",
        )


def _look(project: Path | None, folder: Path) -> None:
    from cxreport.config import Project
    from cxreport.sources.folder import look, next_steps

    looked = look(Project.find(project), folder)
    for line in (*looked.files, *looked.failed, *next_steps(looked)):
        typer.echo(line)


def _load(project: Path | None, report: str) -> "tuple[Project, Report, Dataset]":
    from cxreport.config import Project, load_dataset, load_report

    here = Project.find(project)
    definition = load_report(here, report)
    return here, definition, load_dataset(here, definition.dataset)


def _period(project: "Project", report: "Report", dataset: "Dataset", text: str, as_of: date) -> "Period":
    from cxreport.periods import Period
    from cxreport.publish.run import choose_period

    return choose_period(project, report, dataset, Period.parse(text) if text else None, as_of)


def _as_of(dataset: "Dataset", given: datetime | None) -> date:
    """Return the as-of date; the only place that reads today's date, which is that of the dataset's time zone."""
    return given.date() if given else dataset.as_of or datetime.now(ZoneInfo(dataset.time_zone)).date()


def _parameters(texts: list[str]) -> Mapping[str, str]:
    if wrong := [text for text in texts if not text.partition("=")[0].isidentifier() or "=" not in text]:
        raise UsageError(
            found=f"{len(wrong)} of {len(texts)} parameters without the form NAME=VALUE",
            expected="for example `-p name=value`",
            do="write the parameter in that form",
        )
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _matches_checksums(folder: Path) -> bool:
    """Whether a folder holds the files that its `checksums.txt` lists, as `sha256sum` writes it."""
    try:
        lines = (folder / "checksums.txt").read_text(encoding="utf-8").splitlines()
        listed = [line.split("  ", 1) for line in lines]
        return bool(listed) and all(
            hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest for digest, path in listed
        )
    except FileNotFoundError:
        return False


def _shown(path: Path) -> str:
    """Return a path relative to the current folder where it lies inside."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
