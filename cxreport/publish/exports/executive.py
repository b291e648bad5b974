"""The executive page alone, as a PDF of one page."""

from datetime import datetime
from pathlib import Path

from cxreport.present.pack import Pack
from cxreport.publish import document, identity
from cxreport.publish.embedded import Embedded
from cxreport.scratch import scratch

PAGE = "executive"  # how the names of its notebooks end


def as_pdf(pack: Pack, notebook: Path, *, title: str, provenance: dict[str, str], at: datetime) -> bytes:
    """Return the executed notebook as a tagged PDF of one page, with the date `at`; see `document.merge` for the rest.

    The embedded renderer makes it wherever Quarto makes the report: it alone can fit a text to a page.

    Raises `RunError` where it does not show the charts and tables of the notebook.
    """
    merged = document.merge(
        [notebook],
        words=pack.words,
        title=title,
        subtitle=document.subtitle(pack.words, pack.report, pack.period),
        author=pack.report.organisation,
        provenance=provenance,
        one_page=True,
    )
    identity.complete(merged, pack.mark)
    with scratch() as place:
        source, page, pdf = (place / f"executive.{suffix}" for suffix in ("ipynb", "html", "pdf"))
        document.write(merged, source)
        # The page is there for the check alone, which compares tables with it.
        Embedded().render(source, html=page, pdf=pdf, project=pack.project, timestamp=at)
        identity.check(merged, page, pdf)
        return pdf.read_bytes()


def is_page(notebook: Path) -> bool:
    """Whether a notebook makes the executive page: `30_executive`, or another one whose name ends like that."""
    return notebook.stem.endswith(f"_{PAGE}")
