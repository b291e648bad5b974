"""Executed notebooks written by hand that use the whole notebook language, rendered once a session."""

import itertools
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from cxreport.config import Project, load_report
from cxreport.present.pack import open_pack
from cxreport.publish import document, exports
from cxreport.publish.embedded import Embedded
from cxreport.schema import ANALYSES

STAMP = datetime(2026, 10, 2, tzinfo=UTC)
TITLE, SUBTITLE = "Customer experience", "Halden Broadband, September 2026"
PROVENANCE = {
    "Data": "exports as of 2026-10-02 | 4,012 responses",
    "Verdict": "publish with footnotes",
    "Inputs": "sha256 " + "0123456789abcdef" * 4,
}
HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> a|b *not bold* $5 and $6 #5 @fig-none [x](javascript:y)"
)

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="317pt" height="200pt" viewBox="0 0 317 200">
<rect width="317" height="200" fill="#ffffff"/>
<path d="M20 160 L100 120 L180 130 L260 60" fill="none" stroke="#0b5d8a" stroke-width="3"/>
<circle cx="260" cy="60" r="5" fill="#b3471b"/>
</svg>"""

TABLE = """| Touchpoint | Answers | CSAT |
|:-----|---:|---:|
| Installation visit | 212 | 54% |
| Đặt lịch hẹn, 安装 | 98 | 81% |
"""

CARDS = """```{=html}
<p class="only-html">Only the page shows this.</p>
```

```{=typst}
#block[Only the PDF shows this.]
```"""


COLUMNS = """::: {.callout-warning}
Without a title.
:::

::: {.columns}
::: {.column}
Left text.
:::

::: {.column}
Right text.
:::
:::"""


def references(text):
    """Return text as character references, the way the package escapes data."""
    return "".join(mark if mark.isalnum() or mark == " " else f"&#{ord(mark)};" for mark in text)


def front_matter(title, subtitle=""):
    """Return a notebook's first cell."""
    return new_raw_cell(f"---\ntitle: {title}\n" + (f"subtitle: {subtitle}\n" if subtitle else "") + "---")


def printing(text, options="#| output: asis"):
    """Return an executed cell that printed text."""
    return new_code_cell(f"{options}\nshow()", outputs=[new_output("stream", name="stdout", text=text)])


def displaying(kind, content, options=""):
    """Return an executed cell that displayed one object."""
    data = {kind: content, "text/plain": "<object at 0x7f>"}
    return new_code_cell(f"{options}\nshow()", execution_count=3, outputs=[new_output("display_data", data=data)])


def figure(label, caption="A line that rises", alternative='A line chart; "NPS" rises to 62'):
    """Return an executed cell that drew a labelled figure."""
    options = f"#| label: {label}\n#| fig-cap: {caption}\n#| fig-alt: '{alternative}'"
    return displaying(document.SVG, SVG, options)


def drawing(*told, options=""):
    """Return an executed cell that drew a figure for each of these words of their own (alt, caption, data)."""
    outputs = [
        new_output("display_data", data={document.SVG: SVG}, metadata={"cxreport": words} if words else {})
        for words in told
    ]
    return new_code_cell(f"{options}\nshow()", outputs=outputs)


def table(label, content=TABLE):
    """Return an executed cell that showed a labelled table."""
    return displaying(document.MARKDOWN, content, f"#| label: {label}\n#| tbl-cap: CSAT by touchpoint")


def save(path, *cells):
    """Write an executed notebook with the traces that Papermill leaves; returns its path."""
    for number, cell in enumerate(cells):
        cell.metadata["papermill"] = {"duration": 0.123456 + number, "start_time": "2026-10-02T01:02:03"}
    metadata = {
        "papermill": {"start_time": "2026-10-02T01:02:03"},
        "kernelspec": {"name": "machine-kernel", "display_name": "M"},
    }
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def language_notebooks(folder):
    """Write two executed notebooks that use every part of the language; returns their paths."""
    parameters = new_code_cell("period = ''", metadata={"tags": ["parameters"]})
    hidden = new_code_cell("#| include: false\nload()", outputs=[new_output("stream", name="stdout", text="hidden")])
    removed = new_markdown_cell("For analysts only.", metadata={"tags": ["remove-cell"]})
    first = save(
        folder / "30_executive.ipynb",
        front_matter("Executive summary", "What moved in September 2026, and why"),
        parameters,
        hidden,
        removed,
        new_markdown_cell(
            "NPS fell. The lead is in @fig-trend and @tbl-touchpoints; see also @fig-left.\n\n- one\n- *two*"
        ),
        new_markdown_cell(
            "::: {.callout-important}\n## One touchpoint broke\nThe **installation visit** fell, see @fig-trend.\n:::"
        ),
        new_markdown_cell(CARDS),
        figure("fig-trend"),
        table("tbl-touchpoints"),
    )
    second = save(
        folder / "40_kpis.ipynb",
        front_matter("KPIs in detail"),
        new_markdown_cell("## Side by side\n\n::: {layout-ncol=2}"),
        figure("fig-left", "The left one, *with* markup"),
        figure("fig-right", "The right one & its ampersand"),
        new_markdown_cell(":::\n\n## What people said"),
        printing(f"> {references(HOSTILE)}\n\nTiếng Việt, 中文, ≥ 5 → 2"),
        table("tbl-hostile", f"| | Text |\n|:--|--:|\n| Comment | {references(HOSTILE)} |\n"),
        displaying(
            document.MARKDOWN,
            "Too few months for a trend.",
            "#| label: fig-none-yet\n#| fig-cap: A trend\n#| fig-alt: None",
        ),
        new_markdown_cell('::: {.callout-note title="How to read it"}\nSee @fig-none-yet.\n:::'),
        new_markdown_cell(COLUMNS),
    )
    return [first, second]


@pytest.fixture(scope="session")
def make():
    """The builders of executed cells and notebooks above, and the texts they use."""
    return SimpleNamespace(
        **{one.__name__: one for one in (references, front_matter, printing, displaying, drawing, figure, table, save)},
        language_notebooks=language_notebooks,
        **{name: globals()[name] for name in ("STAMP", "TITLE", "SUBTITLE", "PROVENANCE", "HOSTILE", "SVG", "TABLE")},
    )


@dataclass(frozen=True)
class Rendered:
    """A document and what the embedded renderer made of it."""

    document: Path
    html: Path
    pdf: Path

    @property
    def page(self) -> str:
        """The page's source."""
        return self.html.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def project(root) -> Project:
    """The project whose theme the renderers use."""
    return Project(root)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory, project, english) -> Rendered:
    """The hand-made document as the embedded renderer publishes it."""
    folder = tmp_path_factory.mktemp("rendered")
    made = Rendered(folder / "report.ipynb", folder / "report.html", folder / "report.pdf")
    node = document.merge(
        language_notebooks(folder),
        words=english,
        title=TITLE,
        subtitle=SUBTITLE,
        provenance=PROVENANCE,
        author="Halden Broadband",
    )
    document.write(node, made.document)
    Embedded().render(made.document, html=made.html, pdf=made.pdf, project=project, timestamp=STAMP)
    return made


# --- files beside the report ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def payloads(hostile):
    """Hostile texts: all that programs which open such files might compute, and some that run or turn around."""
    others = [hostile.BY_KIND[kind][0] for kind in ("HTML elements", "Typst", "Characters")]
    return [*hostile.BY_KIND["Spreadsheets"], *others]


@pytest.fixture(scope="session")
def small_pack(small):
    """What the report of the small company says."""
    return open_pack("monthly", small.period.id, str(small.project.root))


@pytest.fixture
def analysed(small_pack, project):
    """Return the small company's pack as if its report asked for all analyses, given as lists of rows by table."""
    asked = load_report(project, "monthly").analyses

    def analysed(pack=small_pack, **tables):
        pack = replace(pack, report=pack.report.model_copy(update={"analyses": asked}))
        frames = {name: pd.DataFrame(rows, columns=ANALYSES[name].names) for name, rows in tables.items()}
        pack.__dict__["analyses"] = frames  # what the pack would read from its folder, once
        return pack

    return analysed


@pytest.fixture
def hostile_pack(small_pack, analysed, payloads):
    """The small company's pack with payloads for names of KPIs, segments, levels, stages, themes, and as comments."""
    names = itertools.cycle(payloads)
    kpis = {
        key: kpi.model_copy(update={"title": next(names), "short": next(names), "owner": next(names)})
        for key, kpi in small_pack.kpis.items()
    }
    segments = {
        key: segment.model_copy(
            update={"title": next(names), "labels": {level: next(names) for level in segment.labels}}
        )
        for key, segment in small_pack.segments.items()
    }
    shown = {"kpi": "csat", "share": 0.1, "n": 100, "value": 0.5, "suppressed": "no", "low_base": False}
    tested = {"p_value": 0.001, "q_value": 0.002}
    stage = shown | tested | {"ci_low": 0.4, "ci_high": 0.6, "overall": 0.7, "relative": -0.2, "method": "Wilson"}
    point = shown | tested | {"shortfall": 0.3, "impact": 0.03, "impact_ci_low": 0.01, "impact_ci_high": 0.05}
    theme = shown | tested | {"n_without": 900, "value_with": 0.5, "value_without": 0.8, "difference": -0.3}
    theme |= {"impact": -0.03, "impact_ci_low": -0.05, "impact_ci_high": -0.01}
    ends = {"difference_ci_low": -0.4, "difference_ci_high": -0.2}
    return analysed(
        replace(small_pack, kpis=kpis, segments=segments),
        curve=[stage | {"place": place, "stage": text} for place, text in enumerate(payloads, start=1)],
        journey=[stage | {"stage": text, "touchpoint": text} for text in payloads],
        pain_points=[
            point | {"stage": text, "touchpoint": text, "is_pain_point": True, "top3_probability": 0.5}
            for text in payloads
        ],
        themes=[theme | ends | {"theme": text} for text in payloads],
        quotes=[{"theme": text, "place": 1, "quote": text, "language": "en", "is_good": False} for text in payloads],
    )


@pytest.fixture(scope="session")
def exported(small, small_pack, tmp_path_factory) -> Path:
    """The folder of the files beside the small company's report."""
    folder = tmp_path_factory.mktemp("exported")
    exports.write(
        small_pack,
        folder,
        sorted((small.folder / "all" / "notebooks").glob("*.ipynb")),
        title=TITLE,
        provenance=PROVENANCE,
        at=STAMP,
    )
    return folder


@pytest.fixture
def converted(tmp_path) -> Callable[[Path, str], Path]:
    """Return a function that has LibreOffice open a file and write it in a format; skips where there is none."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("no LibreOffice here: nothing else opens what was made")

    def convert(path: Path, form: str) -> Path:
        profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
        command = [program, profile, "--headless", "--convert-to", form, "--outdir", tmp_path, path]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        return tmp_path / f"{path.stem}.{form}"

    return convert
