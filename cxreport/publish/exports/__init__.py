"""Files beside a report: the executive page, slides, a workbook of all tables, the estimates, and a summary."""

from datetime import datetime
from pathlib import Path

from cxreport.present.pack import Pack
from cxreport.publish.archive.files import ESTIMATES, EXECUTIVE, SLIDES, WORKBOOK
from cxreport.publish.exports.estimates import as_csv
from cxreport.publish.exports.executive import as_pdf, is_page
from cxreport.publish.exports.slides import as_pptx
from cxreport.publish.exports.summary import summarise
from cxreport.publish.exports.workbook import as_xlsx
from cxreport.publish.summary import FILE as SUMMARY


def write(
    pack: Pack, folder: Path, notebooks: list[Path], *, title: str, provenance: dict[str, str], at: datetime
) -> None:
    """Write all of them into a folder; the same pack gives the same bytes.

    Parameters
    ----------
    notebooks
        The executed notebooks of the report; without one named after the executive page there is no PDF of it.
    title
        Of the report, which names its audience.
    provenance
        What the report says of its making, term to plain text.
    at
        The date that the files state, with a time zone.
    """
    for notebook in notebooks:
        if is_page(notebook):
            (folder / EXECUTIVE).write_bytes(as_pdf(pack, notebook, title=title, provenance=provenance, at=at))
    (folder / SLIDES).write_bytes(as_pptx(pack, title=title, provenance=provenance, at=at))
    (folder / WORKBOOK).write_bytes(as_xlsx(pack, title=title, provenance=provenance, at=at))
    (folder / ESTIMATES).write_bytes(as_csv(pack.estimates))
    (folder / SUMMARY).write_text(summarise(pack).as_json(), encoding="utf-8")
