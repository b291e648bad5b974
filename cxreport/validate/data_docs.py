"""The library's own pages on what it found: Great Expectations Data Docs, for those who ask for them.

The pages load styles and scripts from the network when they are opened, so that nothing of the report links to them.
"""

from pathlib import Path
from typing import Any


def write_data_docs(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write a page per validation result into a folder and return their paths; pages of the same names are replaced.

    Parameters
    ----------
    results
        What `Suites.results` holds: `gates` and every table's name to what Great Expectations returned.
    """
    from great_expectations.render import renderer, view

    pages_of: Any = renderer.page_renderer.ValidationResultsPageRenderer()
    html_of: Any = view.view.DefaultJinjaPageView()
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for name, result in results.items():
        result.meta.setdefault("run_id", None)  # the renderer wants one; a run is no event of its own here
        page = folder / f"{name}.html"
        page.write_text(html_of.render(pages_of.render(result)), encoding="utf-8")
        pages.append(page)
    return pages
