"""Data Docs: the library's own pages are written on request, without cells, and never by default."""

from datetime import date

from cxreport.periods import Period
from cxreport.validate import validate


def test_pages_are_written_on_request_only(company, tmp_path):
    """Every table and the gates have a page with the rules' reasons, and no bad value stands in it."""
    company.spoil("orders", "kind", "a secret kind")
    company.validate()
    assert not list(company.project.root.rglob("*.html"))
    folder = tmp_path / "docs"
    validate(company.project, company.dataset, Period.parse("2026-09"), date(2026, 10, 2), data_docs=folder)
    pages = {page.stem: page.read_text(encoding="utf-8") for page in folder.iterdir()}
    assert set(pages) == {"gates", "responses", "answers", "invitations", "tickets", "orders", "customers"}
    assert "kind" in pages["orders"]
    assert not [name for name, page in pages.items() if "a secret kind" in page]
