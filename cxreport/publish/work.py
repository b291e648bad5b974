"""The work of making an issue, piece by piece: each function runs in any process and leaves its result in files.

Whoever works in another process imports this module there, with all that it needs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cxreport.config import ESTIMATES_FILE
from cxreport.present.pack import open_pack
from cxreport.present.words import Words
from cxreport.publish import archive, document, execution, exports, identity, render
from cxreport.publish.execution import Access
from cxreport.publish.notebooks import Notebook, Value
from cxreport.publish.orders import Order
from cxreport.scratch import scratch


def ready() -> None:
    """Do nothing: a process that does it has imported this module."""


def execute(order: Order, notebook: Notebook, values: Mapping[str, Value], files: Sequence[Path] | None = None) -> None:
    """Execute a notebook into the pack's folder of notebooks; raises what `execution.execute` raises.

    `files` are the only ones of the project that it may read.
    """
    execution.execute(
        order.project,
        notebook,
        order.folder / archive.NOTEBOOKS,
        values,
        as_of=order.as_of,
        limits=order.report.limits,
        access=Access(network=order.network, files=None if files is None else tuple(files)),
    )


def press(order: Order, names: Sequence[str], html: str, pdf: str) -> None:
    """Merge executed notebooks into one document and render it to files of the pack; no PDF if none is named.

    Raises `RunError` for what the language of documents does not know, when a tool fails, and for any chart or table
    that is another pack's, in the notebooks or in what came out.
    """
    words = Words.open(order.project, order.language)
    identity.require_own(_executed(order, names), order.mark)
    merged = document.merge(
        _executed(order, names),
        words=words,
        title=order.title,
        subtitle=document.subtitle(words, order.report, order.period),
        author=order.report.organisation,
        provenance=order.provenance,
    )
    identity.complete(merged, order.mark)
    page, print_ = order.folder / html, order.folder / pdf if pdf else None
    with scratch() as place:
        source = place / "report.ipynb"
        document.write(merged, source)
        render.choose(order.renderer).render(
            source,
            html=page,
            pdf=print_,
            project=order.project,
            timestamp=execution.epoch(order.as_of),
        )
    identity.check(merged, page, print_)


def export(order: Order, names: Sequence[str]) -> None:
    """Write slides, workbook, estimates and executive page beside a report; none where nothing was measured."""
    if not (order.folder / ESTIMATES_FILE).is_file():
        return
    exports.write(
        open_pack(order.report.id, order.period.id, str(order.project.root), order.told),
        order.folder,
        _executed(order, names),
        title=order.title,
        provenance=order.provenance,
        at=execution.epoch(order.as_of),
    )


def _executed(order: Order, names: Sequence[str]) -> list[Path]:
    return [order.folder / archive.NOTEBOOKS / f"{name}.ipynb" for name in names]
