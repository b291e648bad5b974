"""One run: check everything, ingest, execute the notebooks, render, and publish the pack in one step."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import cxreport
from cxreport import sources
from cxreport.config import (
    AUDIENCE_FILE,
    ESTIMATES_FILE,
    EVERYBODY,
    Dataset,
    Project,
    Report,
    load_dataset,
    load_kpis,
    load_segments,
    load_site,
)
from cxreport.errors import CxError, DefinitionError, GateError, UsageError, listed
from cxreport.measure.audiences import Audience, check_audiences, read_audiences
from cxreport.periods import Period, kept_by
from cxreport.present.words import ENGLISH, Words
from cxreport.publish import archive, atomic, document, manifest, notebooks, render
from cxreport.publish.notebooks import Notebook, Value
from cxreport.validate import read_verdict, require_publishable
from cxreport.validate.verdict import Verdict

Tell = Callable[[str], None]

# Parameters that have options of their own, or follow from them.
_RESERVED = ("report", "dataset", "period", "as_of", "root", "audience")


@dataclass(frozen=True)
class Published:
    """The two files of an issue that readers open."""

    html: Path
    pdf: Path


@dataclass(frozen=True)
class _Plan:
    """What a run will do, checked before anything is written."""

    report: Report
    words: Words
    dataset: Dataset
    prepare: list[Notebook]
    present: list[Notebook]
    extra: dict[str, dict[str, Value]]  # notebook name to parameters from the command line


@dataclass(frozen=True)
class _Issue:
    """A plan for one period."""

    plan: _Plan
    period: Period
    as_of: date

    @property
    def parameters(self) -> dict[str, dict[str, Value]]:
        """Notebook name to its parameters: those of the run that it declares, and those from the command line."""
        standard = {
            "report": self.plan.report.id,
            "dataset": self.plan.dataset.id,
            "period": self.period.id,
            "as_of": self.as_of.isoformat(),
        }
        return {
            notebook.name: {name: value for name, value in standard.items() if name in notebook.defaults}
            | self.plan.extra.get(notebook.name, {})
            for notebook in self.plan.prepare + self.plan.present
        }


@dataclass(frozen=True)
class _Pack:
    """An issue that is being built in a folder."""

    project: Project
    issue: _Issue
    folder: Path
    renderer: render.Renderer
    tell: Tell

    def execute(self, chosen: Sequence[Notebook], processes: int = 1, audience: str = "") -> None:
        """Execute notebooks for everybody or an audience, up to `processes` at a time."""
        named = ", ".join(notebook.name for notebook in chosen)
        self.tell(f"Executing {named} for {audience}" if audience else f"Executing {named}")
        told = {"audience": audience} if audience else {}
        notebooks.execute(
            self.project,
            chosen,
            self.folder / (audience or EVERYBODY) / archive.NOTEBOOKS,
            {name: values | told for name, values in self.issue.parameters.items()},
            as_of=self.issue.as_of,
            processes=processes,
        )

    def render(
        self,
        chosen: Iterable[Notebook],
        words: Words,
        title: str,
        provenance: dict[str, str],
        *,
        html: str,
        pdf: str = "",
        audience: str = EVERYBODY,
    ) -> None:
        """Merge executed notebooks into one document and render it to files of the pack; no PDF if none is named."""
        report = self.issue.plan.report
        merged = document.merge(
            [self.folder / audience / archive.NOTEBOOKS / notebook.path.name for notebook in chosen],
            words=words,
            title=title,
            subtitle=document.subtitle(words, report, self.issue.period),
            author=report.organisation,
            provenance=provenance,
        )
        with tempfile.TemporaryDirectory(prefix="cx-") as scratch:
            source = Path(scratch) / "report.ipynb"
            document.write(merged, source)
            self.renderer.render(
                source,
                html=self.folder / html,
                pdf=self.folder / pdf if pdf else None,
                project=self.project,
                timestamp=notebooks.epoch(self.issue.as_of),
            )

    def export(self, chosen: Iterable[Notebook], title: str, provenance: dict[str, str], audience: str) -> None:
        """Write slides, workbook, estimates and executive page beside a report; none where nothing was measured."""
        folder = self.folder / audience
        if not (folder / ESTIMATES_FILE).is_file():
            return
        from cxreport.present.pack import open_pack  # here: other commands need neither figures nor charts
        from cxreport.publish import exports

        told = "" if audience == EVERYBODY else audience
        exports.write(
            open_pack(self.issue.plan.report.id, self.issue.period.id, str(self.project.root), told),
            folder,
            [folder / archive.NOTEBOOKS / notebook.path.name for notebook in chosen],
            title=title,
            provenance=provenance,
            at=notebooks.epoch(self.issue.as_of),
        )


def run(
    project: Project,
    report: Report,
    period: Period | None,
    *,
    as_of: date,
    renderer: str,
    started: datetime,
    tell: Tell,
    parameters: Mapping[str, str] | None = None,
) -> Published:
    """Publish one issue of a report.

    Parameters
    ----------
    period
        The reported period; `None` for the last complete one that the delivered files cover.
    as_of
        The day the exports were taken; also stands for the clock in every rendered file.
    renderer
        `auto`, `quarto` or `embedded`.
    started
        The instant the run began; only `run.json` carries it.
    tell
        Receives one line per step.
    parameters
        Further parameters as text, given to the present notebooks that declare them.

    Raises
    ------
    UsageError, DefinitionError
        Before anything is written, for whatever is wrong with the request or with any definition.
    GateError
        When the data may not be published.
    RunError
        When a notebook, the renderer or the disk fails. The earlier issue is left as it was in every case.
    """
    if period:
        _require_kind(report, period)
    wanted = period or Period.containing(as_of, report.period_kind).previous
    with _started(project, report, renderer, parameters or {}, tell) as press:
        with _noted(project, report, wanted, as_of):
            press.read()
            chosen = choose_period(project, report, press.plan.dataset, period, as_of)
        return press.publish(chosen, as_of, started)


@dataclass(frozen=True)
class Outcome:
    """What came of one period of a backfill: published now, or why not; neither where its issue was there already."""

    period: Period
    published: Published | None = None
    error: CxError | None = None


def backfill(
    project: Project,
    report: Report,
    since: Period,
    until: Period | None,
    *,
    again: bool,
    as_of: date,
    renderer: str,
    clock: Callable[[], datetime],
    tell: Tell,
    parameters: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Publish one issue for every period from one to another, oldest first, so that each sees the earlier ones.

    The delivered files are read once. A period that fails stops no other one; its evidence is kept as `run` keeps it.

    Parameters
    ----------
    since
        A period of any kind; the first one published holds its first day.
    until
        The last period; `None` for the last complete one that the delivered files cover.
    again
        Whether periods that have an issue are published again; they are left alone otherwise.
    clock
        Returns the instant at which an issue is begun.

    The other parameters, and what is raised before anything is written, are those of `run`.
    """
    if until:
        _require_kind(report, until)
    first, last = (Period.containing(day, report.period_kind) for day in (since.start, as_of))
    with _started(project, report, renderer, parameters or {}, tell) as press:
        with _noted(project, report, until or last.previous, as_of):
            press.read()
            ends = [choose_period(project, report, press.plan.dataset, period, as_of) for period in (first, until)]
        outcomes = []
        for period in _between(*ends):
            if press.is_published(period) and not again:
                outcomes.append(Outcome(period))
                continue
            tell(f"Period {period}")
            try:
                outcomes.append(Outcome(period, published=press.publish(period, as_of, clock())))
            except CxError as error:
                tell(f"Period {period} is not published: {error.found}")
                outcomes.append(Outcome(period, error=error))
        return outcomes


def _between(first: Period, last: Period) -> Iterator[Period]:
    period = first
    while period <= last:
        yield period
        period = period.shift(1)


@contextmanager
def _started(
    project: Project, report: Report, renderer: str, parameters: Mapping[str, str], tell: Tell
) -> Iterator["_Press"]:
    """Check everything before anything is written, and keep other runs away."""
    engine = render.choose(renderer)
    press = _Press(project, _plan(project, report, parameters), engine, tell)
    with atomic.disk_errors(project.root), atomic.reserved(project.output, tell):
        yield press


@dataclass(frozen=True)
class _Press:
    """What reads the files of a report and publishes its periods."""

    project: Project
    plan: _Plan
    engine: render.Renderer
    tell: Tell

    def read(self) -> None:
        """Read the delivered files, once for all periods."""
        ingest(self.project, self.plan.dataset, self.tell)

    def is_published(self, period: Period) -> bool:
        return (self.project.published(self.plan.report.id, period) / manifest.NAME).is_file()

    def publish(self, period: Period, as_of: date, started: datetime) -> Published:
        """Build the issue of a period aside, and put it in its place."""
        project, plan = self.project, self.plan
        issue = _Issue(plan, period, as_of)
        kept = project.failed / plan.report.id / period.id
        with (
            atomic.disk_errors(project.root),
            _noted(project, plan.report, period, as_of),
            atomic.building(project.output, plan.report.id, period.id) as folder,
            _evidence(folder, kept),
        ):
            pack = _Pack(project, issue, folder, self.engine, self.tell)
            inputs = manifest.read_inputs(project, plan.report, plan.dataset, period)
            verdict = _validate(pack, inputs, kept)
            _execute(pack)
            self.tell(f"Rendering HTML and PDF with {self.engine.name}")
            _render(pack, _provenance(issue, verdict, inputs, plan.words))
            manifest.write(
                folder,
                project=project,
                report=plan.report,
                period=period,
                as_of=as_of,
                decision=verdict.decision,
                parameters=issue.parameters,
                inputs=inputs,
                renderer=(self.engine.name, self.engine.versions()),
                started=started,
                finished=datetime.now(started.tzinfo),
            )
        # The issue is in place by now, and the message must not say otherwise.
        with atomic.disk_errors(project.root, outcome="the new issue itself is published"):
            archive.write_site(project)
        published = project.published(plan.report.id, period)
        return Published(html=published / archive.HTML, pdf=published / archive.PDF)


def ingest(project: Project, dataset: Dataset, tell: Tell) -> dict[str, int]:
    """Read the delivered files, which of the sample company are written first; returns rows by table."""
    provide_sample(project, dataset, tell)
    tell("Reading the delivered files")
    return sources.ingest(project, dataset)


def provide_sample(project: Project, dataset: Dataset, tell: Tell) -> None:
    """Write the sample company's files when a dataset reads them and none is there; changed files are left alone."""
    raw = project.root / dataset.raw
    if raw.resolve() != project.sample.resolve() or any(True for feed in dataset.feeds for _ in raw.glob(feed.files)):
        return
    from cxreport.sample import write_sample  # here: other datasets do not need it

    tell("Writing the sample company's files")
    write_sample(project.sample, tell=tell)


def choose_period(project: Project, report: Report, dataset: Dataset, period: Period | None, as_of: date) -> Period:
    """Return the period to report: the wanted one if the staged rows cover it, or the last complete one.

    `as_of` is the day the exports were taken, which tells how far the data reach. Raises `UsageError` naming the range
    that is covered, and `GateError` when no period is named and the last complete one has none at its end.
    """
    if period:
        _require_kind(report, period)
    kind = report.period_kind
    parts = sources.covered_periods(project, dataset, kept_by(kind))
    if not parts or period is None:
        return sources.last_complete_period(project, dataset, kind, as_of)
    if set(period.parts) & set(parts) and period.parts[-1] <= parts[-1]:
        return period
    first, after = (Period.containing(day, kind) for day in (parts[0].start, parts[-1].end))
    raise UsageError(
        found=f"period `{period}`, for which the dataset `{dataset.id}` holds no responses, or not up to its end",
        expected=f"a period from `{first}` to `{after.previous}`"
        if first < after
        else f"a {kind} that is over; the responses end in `{parts[-1]}`",
        do="name one of these, or deliver the files of that period",
    )


def _require_kind(report: Report, period: Period) -> None:
    if period.kind != report.period_kind:
        example = Period.containing(period.start, report.period_kind)
        raise UsageError(
            found=f"period `{period}`, a {period.kind}",
            expected=f"a {report.period_kind}, because the report `{report.id}` is published by {report.period_kind}",
            do=f"write it like `{example}`",
        )


def _plan(project: Project, report: Report, texts: Mapping[str, str]) -> _Plan:
    """Read and cross-check every definition that a report leans on, before anything is written."""
    words = Words.open(project, report.language)
    load_site(project)
    dataset = load_dataset(project, report.dataset)
    kpis, segments = load_kpis(project, report.kpis), load_segments(project, report.segments + report.mix_segments)
    check_audiences(project, report, kpis, segments)
    sources.question_titles(project, dataset)  # reads every feed's mapping
    loaded = notebooks.load_all(project, report.prepare + report.present)
    prepare, present = loaded[: len(report.prepare)], loaded[len(report.prepare) :]
    if problems := [
        f"notebook `{notebook.name}` declares no parameter `{name}`"
        for notebook in loaded
        for name in ("report", "period", *(["audience"] if report.audiences and notebook in present else []))
        if name not in notebook.defaults
    ]:
        raise DefinitionError(
            found="; ".join(problems),
            expected="every notebook of a report to take its report, period and audience from its parameters",
            do="add the parameter, with an empty text as default, to the notebook's `parameters` cell",
        )
    if taken := [name for name in texts if name in _RESERVED]:
        raise UsageError(
            found=f"the parameter {listed(taken)}",
            expected="only parameters that the run does not set itself",
            do="use --project, --report, --period or --as-of",
        )
    return _Plan(report, words, dataset, prepare, present, notebooks.share_out(present, texts))


def _validate(pack: _Pack, inputs: manifest.Inputs, kept: Path) -> Verdict:
    """Execute the first prepare notebook, which validates, and render its page; returns the verdict on the data.

    Raises `GateError`, naming the page, which a failing run leaves in `kept`, when the verdict is to stop.
    """
    first = pack.issue.plan.prepare[:1]
    pack.execute(first)
    verdict = read_verdict(pack.project, pack.issue.plan.dataset.id, pack.issue.period)
    words = Words.open(pack.project, ENGLISH)  # the checks speak English, to those who deliver the data
    pack.render(
        first,
        words,
        words("document.quality"),
        _provenance(pack.issue, verdict, inputs, words),
        html=archive.QUALITY,
    )
    try:
        return require_publishable(verdict)
    except GateError as stop:
        page = (kept / Path(archive.QUALITY).name).relative_to(pack.project.root).as_posix()
        do = f"open {page}, which tells what arrived, what was rejected and why; {stop.do}"
        raise GateError(found=stop.found, expected=stop.expected, do=do) from None


def _execute(pack: _Pack) -> None:
    """Execute the notebooks that follow the verdict: those that prepare in turn, those that present side by side.

    What was measured goes beside them: later issues look there for what has been published, so that nothing is given
    away between issues.
    """
    for notebook in pack.issue.plan.prepare[1:]:
        pack.execute([notebook])
    for audience in ("", *(each.id for each in _audiences(pack))):
        pack.execute(pack.issue.plan.present, processes=_processors(), audience=audience)
        measured = pack.project.measured(pack.issue.plan.report.id, pack.issue.period, audience)
        for name in (ESTIMATES_FILE, AUDIENCE_FILE):
            if (measured / name).is_file():
                shutil.copyfile(measured / name, pack.folder / (audience or EVERYBODY) / name)


def _audiences(pack: _Pack) -> list[Audience]:
    return read_audiences(pack.project, pack.issue.plan.report.id, pack.issue.period)


def _render(pack: _Pack, provenance: dict[str, str]) -> None:
    """Render the pack for everybody and that of each audience, which its title names, and write what stands beside."""
    plan = pack.issue.plan
    title = plan.words.text(plan.report.title)
    titles = {EVERYBODY: title} | {
        each.id: plan.words("document.audience", title=title, audience=plan.words.text(each.title))
        for each in _audiences(pack)
    }
    for audience, named in titles.items():
        html, pdf = f"{audience}/{archive.PAGE}", f"{audience}/{archive.PRINT}"
        pack.render(plan.present, plan.words, named, provenance, html=html, pdf=pdf, audience=audience)
        pack.export(plan.present, named, provenance, audience)


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _provenance(issue: _Issue, verdict: Verdict, inputs: manifest.Inputs, words: Words) -> dict[str, str]:
    """Return what the foot of the document says of its making; nothing in it depends on the clock."""
    report, dataset = issue.plan.report, issue.plan.dataset
    facts = {
        "report": words("document.report", id=report.id, period=issue.period),
        "data": words("document.data", data=words.text(dataset.title), day=issue.as_of.isoformat()),
        "verdict": words(f"document.decision.{verdict.decision.replace(' ', '_')}"),
        "inputs": inputs.fingerprint,
        "made_with": f"cxreport {cxreport.__version__}",
        "contact": words.text(report.contact),
    }
    return {words(f"document.foot.{name}"): text for name, text in facts.items()}


@contextmanager
def _noted(project: Project, report: Report, period: Period, as_of: date) -> Iterator[None]:
    """Show in the archive that a period's run published nothing; not what is wrong with a request or a definition."""
    try:
        yield
    except (UsageError, DefinitionError):
        raise
    except Exception as error:
        with suppress(Exception):  # it is the run's own error that must be told
            archive.record_failure(project.failed / report.id / period.id, report, as_of, error)
            archive.write_site(project)
        raise


@contextmanager
def _evidence(folder: Path, kept: Path) -> Iterator[None]:
    """Keep what a failed run executed, with the traceback, and its data-quality page, until a run succeeds."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(kept, ignore_errors=True)
            for executed in sorted(folder.glob(f"*/{archive.NOTEBOOKS}")):
                audience = executed.parent.name
                shutil.copytree(executed, kept if audience == EVERYBODY else kept / audience)
            if (folder / archive.QUALITY).is_file():
                shutil.copy(folder / archive.QUALITY, kept)
        raise
    shutil.rmtree(kept, ignore_errors=True)
