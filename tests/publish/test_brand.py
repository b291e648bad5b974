"""A company's name, logo and colours reach charts, pages and PDFs, and unreadable colours are refused."""

import re
import shutil

import pytest
from nbformat.v4 import new_markdown_cell
from pypdf import PdfReader

from cxreport.config import Project
from cxreport.errors import DefinitionError
from cxreport.present.palette import DARK, LIGHT
from cxreport.publish import document
from cxreport.publish.brand import Brand
from cxreport.publish.embedded import Embedded

LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><rect width="40" height="20" fill="#d00"/></svg>'


@pytest.fixture
def branded(project, tmp_path):
    """Returns a project with this `brand.yml`."""

    def write(text):
        theme = tmp_path / "reports" / "theme"
        shutil.copytree(project.theme, theme)
        (theme / "brand.yml").write_text(text, encoding="utf-8")
        return Project(tmp_path)

    return write


def test_shipped_brand_changes_nothing(project):
    """Without settings of its own a company has the suite's colours."""
    brand = Brand.of(project)
    assert (brand.light.model_dump(), brand.dark.model_dump()) == (LIGHT, DARK)
    text = " ".join([*LIGHT.values(), *DARK.values()])
    assert brand.coloured(text) == text


def test_brand_reaches_page_charts_and_pdf(make, english, branded, tmp_path):
    """Accent, name and logo stand in the style sheet, in the light and in the dark, and in the PDF with its charts."""
    own = branded(
        'name: Acme & Co\nlogo: logo.svg\nlight: {accent: "#006600"}\ndark: {accent: "#88ee88", warning: "#ffaa00"}'
    )
    (own.theme / "logo.svg").write_text(LOGO, encoding="utf-8")
    cell = make.drawing({"alt": "Up"})
    cell.outputs[0].data[document.SVG] = make.SVG.replace("#0b5d8a", LIGHT["accent"])
    raw = new_markdown_cell(f'```{{=typst}}\n#text(fill: rgb("{LIGHT["accent"]}"))[Told.]\n```')
    notebook = make.save(tmp_path / "a.ipynb", make.front_matter("A"), cell, raw)
    node = document.merge([notebook], words=english, title="T", subtitle="S", provenance={})
    document.write(node, tmp_path / "r.ipynb")
    html, pdf = tmp_path / "r.html", tmp_path / "r.pdf"
    Embedded().render(tmp_path / "r.ipynb", html=html, pdf=pdf, project=own, timestamp=make.STAMP)
    page = html.read_text(encoding="utf-8")
    assert re.findall(r"--accent: (#\w+);", page) == ["#006600", "#88ee88"]
    assert re.findall(r"--warning: (#\w+);", page) == [LIGHT["warning"], "#ffaa00"]
    assert 'alt="Acme &amp; Co"' in page
    drawn = PdfReader(pdf).pages[0].get_contents().get_data().decode("latin-1")
    assert re.search(r"\b0 0\.4 0 (rg|scn|RG|SCN)", drawn)
    assert not re.search(r"0\.0588\d* 0\.298", drawn)


def test_name_without_logo_stands_in_the_masthead(make, branded, rendered, tmp_path):
    """A company without a logo file is named in words."""
    own = branded("name: Acme <b>")
    html = tmp_path / "r.html"
    Embedded().render(rendered.document, html=html, pdf=None, project=own, timestamp=make.STAMP)
    assert '<p class="brand">Acme &lt;b&gt;</p>' in html.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('light: {accent: "#88bbee"}', "`light`: `accent` on `paper` has a contrast of 2.0 to 1"),
        ('dark: {paper: "#777777"}', "`dark`: `ink` on `paper` has a contrast of"),
        ('light: {masthead: "#eeeeee"}', "`white` on `masthead` has a contrast of 1.2 to 1"),
        ("light: {acent: blue}", "unknown key `light.acent`, did you mean `accent`?"),
        ("light: {accent: blue}", "`light.accent`"),
        ("logos: x", "unknown key `logos`, did you mean `logo`?"),
        ("logo: logo.svg", "`logo` needs `name`"),
        ("{name: A, logo: logo.gif}", "give an `.svg` or `.png` file"),
        ("{name: A, logo: logo.svg}", "no file `logo.svg` in `reports/theme/`"),
    ],
)
def test_wrong_brand_is_refused(branded, text, found):
    """Colours that cannot be read, unknown keys and a missing logo are errors that name them."""
    with pytest.raises(DefinitionError) as caught:
        Brand.of(branded(text))
    assert found in caught.value.found
    assert caught.value.expected
    assert caught.value.do
