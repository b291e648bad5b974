"""Make the packs of an issue side by side, and of each only what is not made yet: its pages, then its files."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cxreport.config import EVERYBODY
from cxreport.errors import CxError, RunError, UsageError, listed, nearest
from cxreport.present.identity import measured_files
from cxreport.present.words import Words
from cxreport.publish import archive, inputs, summary
from cxreport.publish.atomic import write_text
from cxreport.publish.cache import Cache, Digests, digest_of, digests
from cxreport.publish.notebooks import Notebook, Value
from cxreport.publish.orders import Order
from cxreport.publish.progress import Progress
from cxreport.publish.workers import Workers

Parameters = Mapping[str, Value]
_EXPORTED = (archive.EXECUTIVE, archive.SLIDES, archive.WORKBOOK, archive.ESTIMATES, summary.FILE)
_EXPORTS, _WHY = "exports", "why.json"
_WORDS = {
    "forced": "which was told to make everything",
    "new": "because there was none",
    "result": "because its files were gone or not as they had been made",
}
_MOST_TOLD = 10  # failures in one message


@dataclass(frozen=True)
class Step:
    """A piece of work whose result is kept.

    Attributes
    ----------
    name
        The step in the cache; what comes before the last slash is the audience.
    inputs
        What the result follows from.
    work
        A function of `cxreport.publish.work`, by name, and its arguments.
    folder
        Where its files are made, and its files in there; those that it does not make are left out.
    placed
        Yields files of the result that have a place in the project.
    """

    name: str
    inputs: Digests
    work: tuple[Any, ...]
    folder: Path
    files: Sequence[str]
    placed: Callable[[], Iterable[Path]] = tuple


@dataclass
class Maker:
    """Does steps, or takes over the results of those that would come out the same.

    Attributes
    ----------
    software
        What all results follow from.
    progress
        Receives what happens to each step.
    why
        Receives by step why it was done, nothing where its result was taken over.
    """

    cache: Cache
    workers: Workers
    software: Digests
    progress: Progress
    why: dict[str, list[str]] = field(default_factory=dict)

    def begin(self, step: Step) -> "Future[float] | None":
        """Begin a step, which takes some seconds; `None` where its result was taken over."""
        self.why[step.name] = self.cache.reasons(step.name, step.inputs | self.software)
        if not self.why[step.name]:
            self.cache.restore(step.name, step.folder)
            self.progress.kept(step.name)
            return None
        self.cache.forget(step.name)
        return self.workers.submit(*step.work)

    def end(self, step: Step, work: "Future[float]") -> None:
        """Keep the result of a step that is over; raises what its work raised."""
        try:
            seconds = work.result()
        except BaseException:
            self.progress.failed(step.name)
            raise
        files = [step.folder / name for name in step.files]
        made_from = step.inputs | self.software
        self.cache.keep(step.name, made_from, folder=step.folder, files=files, placed=step.placed())
        self.progress.made(step.name, seconds)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Write down, however it ends, why each step of a run was done, for `explained`."""
        try:
            yield
        finally:
            self.cache.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.cache.folder / _WHY, json.dumps(self.why, indent=1))

    def do(self, step: Step) -> None:
        """Do a step and wait for it; raises what its work raises."""
        self.progress.begun(step.name)
        if future := self.begin(step):
            self.end(step, future)


def _told(step: str) -> str:
    audience, _, name = step.rpartition("/")
    return name if audience == EVERYBODY else f"{name} for {audience}"


def explained(cache: Cache, page: str, audience: str) -> str:
    """Return a sentence on why the last run made a page or a file of it, or did not; plain text.

    `page` is the name of a notebook, `report` for the files made of all of them, or `exports` for what stands beside.

    Raises `UsageError` where no run is known, or it had no such page.
    """
    path = cache.folder / _WHY
    why = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    step = f"{audience or EVERYBODY}/{page}"
    if step not in why:
        raise UsageError(
            found=f"page `{_told(step)[:60]}`{nearest(step, why)}" if why else "no run that made anything",
            expected=f"one of {listed(_told(known) for known in why)}" if why else "a run of this report and period",
            do="name one of these; an audience goes to --audience" if why else "run the report first",
        )
    match why[step]:
        case []:
            return f"{_told(step)}: taken over, because nothing that it is made from had changed"
        case [word] if word in _WORDS:
            return f"{_told(step)}: made by the last run, {_WORDS[word]}"
        case changed:
            return f"{_told(step)}: made by the last run, because of what had changed: {', '.join(changed)}"


# --- the steps of a pack -------------------------------------------------------------------------


def execution(
    order: Order, notebook: Notebook, values: Parameters, made_from: Digests, files: Sequence[Path] | None = None
) -> Step:
    """Return the execution of a notebook for a pack, which follows from some digests beside itself.

    `files` are the only ones that it may read beside itself; none are named where it may read all.
    """
    own = digests([notebook.path], order.project.root) | {"parameters": digest_of(values)}
    return Step(
        name=f"{order.audience}/{notebook.name}",
        inputs=made_from | own,
        work=("execute", order, notebook, dict(values), files),
        folder=order.folder,
        files=[f"{archive.NOTEBOOKS}/{notebook.path.name}"],
    )


def page_files(order: Order) -> list[Path]:
    """Return what every page of a pack follows from: definitions, the verdict, its figures and the report's `reads`.

    Nothing else of the project can be read by a page, so that a pack is provably of its own figures.
    """
    project, report, period = order.project, order.report, order.period
    files = [
        *inputs.page_definitions(project, report, order.dataset),
        *inputs.all_kpis(project),
        *inputs.verdicts(project, order.dataset, period),
        *measured_files(project, report.id, period, order.told),
        *(path for pattern in report.reads for path in project.root.glob(pattern)),
    ]
    return sorted({path for path in files if path.is_file()})


def fingerprint(made_from: object) -> str:
    """One short text that changes when anything does that something was made from, the software apart."""
    return digest_of(made_from)[:16]


def press(order: Order, names: Sequence[str], html: str, pdf: str = "") -> Step:
    """Return the rendering of executed notebooks as one document."""
    return Step(
        name=f"{order.audience}/{Path(html).stem}",
        inputs=_document_inputs(order, names) | {"renderer": order.renderer, "as of": order.as_of.isoformat()},
        work=("press", order, list(names), html, pdf),
        folder=order.folder,
        files=[html, pdf] if pdf else [html],
    )


def _export(order: Order, names: Sequence[str]) -> Step:
    return Step(
        name=f"{order.audience}/{_EXPORTS}",
        inputs=digests(page_files(order), order.project.root)
        | _document_inputs(order, names)
        | {"as of": order.as_of.isoformat()},
        work=("export", order, list(names)),
        folder=order.folder,
        files=_EXPORTED,
    )


def _document_inputs(order: Order, names: Sequence[str]) -> Digests:
    executed = [order.folder / archive.NOTEBOOKS / f"{name}.ipynb" for name in names]
    told = [order.title, order.language, order.provenance, order.report.organisation, str(order.mark)]
    project = order.project
    looks = digests([*inputs.theme(project), project.wording / f"{order.language}.yml"], project.root)
    return digests(executed, order.folder) | looks | {"title and foot": digest_of(told)}


# --- all packs -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """A page, or the files made of pages, that could not be made."""

    step: str
    error: CxError
    is_page: bool

    @property
    def audience(self) -> str:
        return self.step.rpartition("/")[0]

    @property
    def notebook(self) -> str:
        """The executed copy of a page, in the folder of all packs."""
        return f"{self.audience}/{archive.NOTEBOOKS}/{self.step.rpartition('/')[2]}.ipynb"


@dataclass
class _Pack:
    """A pack on its way."""

    order: Order
    names: Sequence[str]  # of its pages
    left: set[str]  # steps that its files wait for
    failed: set[str] = field(default_factory=set)  # names of pages

    @property
    def finishing(self) -> Iterator[Step]:
        """The steps that follow its pages; none where a page is missing that the pack cannot do without."""
        if not self.failed:
            order = self.order
        elif self.order.report.partial and self.names[0] not in self.failed:
            order = _incomplete(self.order, self.failed)
        else:
            return
        names = [name for name in self.names if name not in self.failed]
        yield press(order, names, archive.PAGE, archive.PRINT)
        yield _export(order, names)


def _finishing(audience: str) -> list[str]:
    """Return the names of the steps that follow the pages of a pack."""
    return [f"{audience}/{Path(archive.PAGE).stem}", f"{audience}/{_EXPORTS}"]


def _incomplete(order: Order, failed: Iterable[str]) -> Order:
    """Return an order that says, in its title and at its foot, which pages are missing."""
    words = Words.open(order.project, order.language)
    missing = {words("document.foot.missing"): words.joined(sorted(failed))}
    return replace(order, title=words("document.incomplete", title=order.title), provenance=order.provenance | missing)


def make_packs(maker: Maker, packs: Sequence[tuple[Order, Sequence[Step]]]) -> list[Failure]:
    """Execute the pages of packs, and make the files of each as soon as its pages are there.

    Returns what could not be made; all that could be made is made. A pack without a page is made only where the
    report allows it, and says so.
    """
    line = _Line(maker)
    names = [name for order, pages in packs for name in (*(page.name for page in pages), *_finishing(order.audience))]
    maker.progress.expect(names, side_by_side=True)
    for order, pages in packs:
        pack = _Pack(order, [Path(page.name).name for page in pages], {page.name for page in pages})
        for page in pages:
            line.begin(pack, page)
    line.finish()
    return sorted(line.failures, key=lambda failure: failure.step)


class _Line:
    """Steps of packs that are being done side by side; what can follow a step follows it at once."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._running: dict[Future[float], tuple[_Pack, Step]] = {}
        self.failures: list[Failure] = []

    def begin(self, pack: _Pack, step: Step) -> None:
        if future := self._maker.begin(step):
            self._running[future] = (pack, step)
        else:
            self._go_on(pack, step)

    def finish(self) -> None:
        """Wait until nothing is left to do; raises what no reader can act on."""
        while self._running:
            done = wait(self._running, return_when=FIRST_COMPLETED).done
            for future in [each for each in self._running if each in done]:
                pack, step = self._running.pop(future)
                try:
                    self._maker.end(step, future)
                except CxError as error:
                    self.failures.append(Failure(step.name, error, is_page=step.name in pack.left))
                    pack.failed.add(Path(step.name).name)
                self._go_on(pack, step)

    def _go_on(self, pack: _Pack, step: Step) -> None:
        if step.name not in pack.left:
            return
        pack.left.remove(step.name)
        if not pack.left:
            following = list(pack.finishing)
            if not following:
                self._maker.progress.drop(_finishing(pack.order.audience))
            for each in following:
                self.begin(pack, each)


def as_error(failures: Sequence[Failure]) -> CxError:
    """Return one error for all failures: the same of several packs with their audiences, several as a list."""
    first = failures[0].error
    audiences = [audience for failure in failures if (audience := failure.audience) != EVERYBODY]
    if len({str(failure.error) for failure in failures}) == 1:
        found = f"{first.found}, for {listed(audiences)}" if audiences else first.found
        return type(first)(found=found, expected=first.expected, do=first.do)
    told = [f"{_told(failure.step)}: {failure.error.found}" for failure in failures[:_MOST_TOLD]]
    more = [f"and {len(failures) - _MOST_TOLD} more"] if len(failures) > _MOST_TOLD else []
    return RunError(
        found=f"{len(failures)} pages or files that could not be made: {'; '.join(told + more)}",
        expected="pages that can be made for every audience",
        do="; ".join(dict.fromkeys(failure.error.do for failure in failures[:_MOST_TOLD])),
    )
