"""One run: check everything, ingest, execute the notebooks, render, and publish the pack in one step."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Self

import cxreport
from cxreport import sources
from cxreport.config import (
    AUDIENCE_FILE,
    ESTIMATES_FILE,
    EVERYBODY,
    FEEDS_FILE,
    FIRST_FILE,
    RECORD_FILE,
    REVISIONS_FILE,
    Dataset,
    Project,
    Report,
    load_dataset,
    load_kpis,
    load_segments,
    load_site,
)
from cxreport.engine import load_engine
from cxreport.errors import CxError, DefinitionError, GateError, UsageError, listed
from cxreport.measure.audiences import check_audiences, read_audiences
from cxreport.periods import Period, kept_by
from cxreport.present.identity import Mark
from cxreport.present.words import ENGLISH, Words
from cxreport.publish import archive, atomic, inputs, manifest, notebooks, render
from cxreport.publish.cache import digest, digest_of, digests
from cxreport.publish.making import Maker, Step, as_error, execution, fingerprint, make_packs, page_files, press
from cxreport.publish.notebooks import Notebook, Value
from cxreport.publish.orders import Order
from cxreport.publish.progress import Progress, Tell
from cxreport.publish.standing import Standing
from cxreport.publish.workers import Workers, workers
from cxreport.scratch import sweep
from cxreport.validate import read_verdict, require_publishable
from cxreport.validate.verdict import Verdict

# Parameters that have options of their own, or follow from them.
RESERVED = ("report", "dataset", "period", "as_of", "root", "audience")
_TIMES = "times.json"  # how long steps of a report took


@dataclass(frozen=True)
class Published:
    """The two files of an issue that readers open."""

    html: Path
    pdf: Path

    @classmethod
    def of(cls, issue: Path) -> Self:
        """Return those of the issue in a folder."""
        return cls(html=issue / archive.HTML, pdf=issue / archive.PDF)


@dataclass(frozen=True)
class _Plan:
    """What a run will do, checked before anything is written."""

    project: Project
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

    def order(self, folder: Path, renderer: str) -> Order:
        """Return what is the same in all orders of the issue that is built in a folder, as one for everybody."""
        plan = self.plan
        return Order(
            project=plan.project,
            report=plan.report,
            dataset=plan.dataset,
            period=self.period,
            as_of=self.as_of,
            language=plan.report.language,
            title="",
            audience=EVERYBODY,
            renderer=renderer,
            folder=folder / EVERYBODY,
            network=load_engine(plan.project).engine == "spark",
        )

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
    jobs: int = 1,
    cluster: str = "",
    force: bool = False,
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
        Receives what is being done, as texts and events of steps.
    parameters
        Further parameters as text, given to the present notebooks that declare them.
    jobs
        How many processes work side by side.
    cluster
        A backend of Joblib whose machines work in their place.
    force
        Whether everything is made anew, also what would come out the same.

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
    with _started(project, report, renderer, parameters or {}, tell, hands=(jobs, cluster), force=force) as press:
        with _noted(project, report, wanted, as_of):
            press.read()
            chosen = choose_period(project, report, press.plan.dataset, period, as_of)
        published = press.publish(chosen, as_of, started)
        if period is None:
            press.standing.note_newest(chosen, as_of)
        return published


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
    jobs: int = 1,
    cluster: str = "",
    force: bool = False,
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
    with _started(project, report, renderer, parameters or {}, tell, hands=(jobs, cluster), force=force) as press:
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
    project: Project,
    report: Report,
    renderer: str,
    parameters: Mapping[str, str],
    tell: Tell,
    *,
    hands: tuple[int, str],
    force: bool,
) -> Iterator["_Press"]:
    """Check everything before anything is written, and keep other runs away."""
    engine = render.choose(renderer)
    plan = _plan(project, report, parameters)
    standing = Standing(project, report, plan.dataset, renderer, parameters, force)
    with atomic.disk_errors(project.root), atomic.reserved(project.output, tell), workers(project, *hands) as pool:
        sweep()
        yield _Press(project, plan, engine, tell, pool, standing)


@dataclass(frozen=True)
class _Press:
    """What reads the files of a report and publishes its periods."""

    project: Project
    plan: _Plan
    engine: render.Renderer
    tell: Tell
    hands: Workers
    standing: Standing

    def read(self) -> None:
        """Read the delivered files, once for all periods, unless what was read of them is still there."""
        dataset = self.plan.dataset
        cache = self.standing.cache("ingest")
        provide_sample(self.project, dataset, self.tell)
        made_from = self.standing.delivered
        if cache.reasons(dataset.id, made_from):
            self.hands.start()
            cache.forget(dataset.id)
            ingest(self.project, dataset, self.tell)
            cache.keep(dataset.id, made_from, placed=inputs.staged(self.project, dataset))

    def is_published(self, period: Period) -> bool:
        return (self.project.published(self.plan.report.id, period) / RECORD_FILE).is_file()

    def _forgive(self, period: Period) -> None:
        """Drop what runs left that failed after the issue was made, with what the archive says of them."""
        if (failed := self.standing.failed(period)).is_dir():
            shutil.rmtree(failed)
            archive.write_site(self.project)

    @contextmanager
    def _maker(self, period: Period) -> Iterator[Maker]:
        """Yield what does the steps of a period, which tells how far it is, and writes down what it did and why."""
        plan, standing = self.plan, self.standing
        memory = standing.cache(plan.report.id).folder / _TIMES
        with Progress.remembering(self.tell, self.hands.number, memory) as progress:
            names = [*(notebook.name for notebook in plan.prepare), Path(archive.QUALITY).stem]
            progress.expect((f"{EVERYBODY}/{name}" for name in names), more=True)
            maker = Maker(standing.cache(plan.report.id, period.id), self.hands, standing.software, progress)
            with maker.explaining():
                yield maker

    def publish(self, period: Period, as_of: date, started: datetime) -> Published:
        """Build the issue of a period aside, and put it in its place; leave it alone where nothing has changed."""
        project, plan = self.project, self.plan
        if found := self.standing.find(period, as_of):
            self.tell(f"Nothing has changed since the issue for {period} was made")
            self._forgive(period)
            return Published.of(found)
        self.hands.start()
        issue = _Issue(plan, period, as_of)
        kept = self.standing.failed(period)
        with (
            atomic.disk_errors(project.root),
            _noted(project, plan.report, period, as_of),
            atomic.building(project.output, plan.report.id, period.id) as folder,
            _evidence(folder, kept),
            self._maker(period) as maker,
        ):
            made_from = manifest.read_inputs(project, plan.report, plan.dataset, period)
            draft = issue.order(folder, self.engine.name)
            verdict = _validate(maker, issue, draft, kept)
            _measure(maker, issue, draft)
            orders = _orders(issue, draft, verdict)
            left_out = _make(maker, issue, orders, _aside(kept))
            manifest.write(
                folder,
                project=project,
                report=plan.report,
                period=period,
                as_of=as_of,
                decision=verdict.decision,
                parameters=issue.parameters,
                made_from=made_from,
                packs={order.audience: order.fingerprint for order in orders},
                renderer=(self.engine.name, self.engine.versions()),
                started=started,
                finished=datetime.now(started.tzinfo),
            )
        # The issue is in place by now, and the message must not say otherwise.
        with atomic.disk_errors(project.root, outcome="the new issue itself is published"):
            if not left_out:  # the next run tries them again
                self.standing.note(period, as_of)
            archive.write_site(project)
        return Published.of(project.published(plan.report.id, period))


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
    if taken := [name for name in texts if name in RESERVED]:
        raise UsageError(
            found=f"the parameter {listed(taken)}",
            expected="only parameters that the run does not set itself",
            do="use --project, --report, --period or --as-of",
        )
    return _Plan(project, report, words, dataset, prepare, present, notebooks.share_out(present, texts))


def _validate(maker: Maker, issue: _Issue, draft: Order, kept: Path) -> Verdict:
    """Execute the first prepare notebook, which validates, and render its page; returns the verdict on the data.

    Raises `GateError`, naming the page, which a failing run leaves in `kept`, when the verdict is to stop.
    """
    project, dataset, first = draft.project, draft.dataset, issue.plan.prepare[0]
    files = [*inputs.dataset_files(project, dataset), *inputs.expectations(project)]
    made_from = digests(files, project.root) | {
        "staged rows": digest_of(digests(inputs.staged(project, dataset), project.root)),
        "as of": issue.as_of.isoformat(),
    }
    maker.do(
        replace(
            execution(draft, first, issue.parameters[first.name], made_from),
            placed=lambda: inputs.validated(project, dataset, issue.period),
        )
    )
    verdict = read_verdict(project, dataset.id, issue.period)
    words = Words.open(project, ENGLISH)  # the checks speak English, to those who deliver the data
    data = fingerprint(made_from)
    told = _provenance(issue, verdict, data, words)
    page = replace(draft, language=ENGLISH, title=words("document.quality"), data=data, provenance=told)
    maker.do(press(page, [first.name], Path(archive.QUALITY).name))
    try:
        return require_publishable(verdict)
    except GateError as stop:
        where = (kept / Path(archive.QUALITY).name).relative_to(project.root).as_posix()
        do = f"open {where}, which tells what arrived, what was rejected and why; {stop.do}"
        raise GateError(found=stop.found, expected=stop.expected, do=do) from None


def _measure(maker: Maker, issue: _Issue, draft: Order) -> None:
    """Execute the prepare notebooks that follow the verdict in turn; each follows from what the one before wrote."""
    project, report, dataset, period = draft.project, draft.report, draft.dataset, draft.period
    earlier = f"{draft.audience}/{issue.plan.prepare[0].name}"
    files = [
        *inputs.page_definitions(project, report, dataset),
        *inputs.all_kpis(project),
        *inputs.groups(project, report),
        *inputs.issued(project, report, dataset, period),
        project.staged(dataset.id) / FEEDS_FILE,
        project.engine,
        project.revisions,
    ]
    for notebook in issue.plan.prepare[1:]:
        step = execution(
            draft,
            notebook,
            issue.parameters[notebook.name],
            digests(files, project.root)
            | inputs.accounts(project, report, period)
            | {f"files of {earlier}": maker.cache.placed(earlier)},
        )
        maker.do(replace(step, placed=lambda: inputs.all_measured(project, report, period)))
        earlier = step.name


def _orders(issue: _Issue, draft: Order, verdict: Verdict) -> list[Order]:
    """Return the packs to make: everybody's, and that of each audience, which its title names."""
    plan, words = issue.plan, issue.plan.words
    title = words.text(plan.report.title)
    titles = {EVERYBODY: title} | {
        each.id: words("document.audience", title=title, audience=words.text(each.title))
        for each in read_audiences(draft.project, plan.report.id, issue.period)
    }
    orders = []
    for audience, named in titles.items():
        order = replace(draft, network=False, folder=draft.folder.parent / audience, audience=audience, title=named)
        data = Mark.of(order.project, plan.report.id, issue.period, order.told).data
        mark = fingerprint([step.inputs for step in _pages(issue, order)])
        orders.append(replace(order, data=data, fingerprint=mark, provenance=_provenance(issue, verdict, mark, words)))
    return orders


def _pages(issue: _Issue, order: Order) -> Iterator[Step]:
    """Yield the execution of each page of a pack."""
    files = page_files(order)
    made_from = digests(files, order.project.root)
    told = {"audience": order.told} if order.told else {}
    for notebook in issue.plan.present:
        yield execution(order, notebook, issue.parameters[notebook.name] | told, made_from, files)


def _make(maker: Maker, issue: _Issue, orders: Sequence[Order], aside: Path) -> bool:
    """Make all packs, with what was measured for each; returns whether pages are left out, whose copies go aside.

    What was measured is where later issues look for what has been published, so that nothing is given away between
    issues.

    Raises what stopped a page, or `RunError` for several, where the report does not allow packs without them.
    """
    for order in orders:
        order.folder.mkdir(exist_ok=True)
        measured = order.project.measured(order.report.id, order.period, order.told)
        for name in (ESTIMATES_FILE, AUDIENCE_FILE, REVISIONS_FILE):
            if (measured / name).is_file():
                shutil.copyfile(measured / name, order.folder / name)
        _keep_first(order)
    failures = make_packs(maker, [(order, list(_pages(issue, order))) for order in orders])
    is_whole = all((order.folder / archive.PAGE).is_file() for order in orders)
    if failures and not (is_whole and all(failure.is_page for failure in failures)):
        raise as_error(failures)
    for failure in failures:
        place = aside if failure.audience == EVERYBODY else aside / failure.audience
        place.mkdir(parents=True, exist_ok=True)
        (orders[0].folder.parent / failure.notebook).replace(place / Path(failure.notebook).name)
    return bool(failures)


def _keep_first(order: Order) -> None:
    """Carry the estimates that were first issued from the pack that is replaced, where the new ones are others."""
    replaced = order.project.published(order.report.id, order.period) / order.audience
    first = next((file for name in (FIRST_FILE, ESTIMATES_FILE) if (file := replaced / name).is_file()), None)
    own = order.folder / ESTIMATES_FILE
    if first and own.is_file() and digest(first) != digest(own):
        shutil.copyfile(first, order.folder / FIRST_FILE)


def _provenance(issue: _Issue, verdict: Verdict, mark: str, words: Words) -> dict[str, str]:
    """Return what the foot of the document says of its making; nothing in it depends on the clock."""
    report, dataset = issue.plan.report, issue.plan.dataset
    facts = {
        "report": words("document.report", id=report.id, period=issue.period),
        "data": words("document.data", data=words.text(dataset.title), day=issue.as_of.isoformat()),
        "verdict": words(f"document.decision.{verdict.decision.replace(' ', '_')}"),
        "inputs": mark,
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
    """Keep what a failed run executed, with the traceback, and its data-quality page, until a run succeeds.

    Of a run that succeeds without some pages their notebooks are kept, which lie aside.
    """
    shutil.rmtree(_aside(kept), ignore_errors=True)
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
    if _aside(kept).is_dir():
        _aside(kept).rename(kept)


def _aside(kept: Path) -> Path:
    return kept.with_name(f".{kept.name}")
