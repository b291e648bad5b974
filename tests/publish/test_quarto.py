"""The Quarto renderer: how it calls Quarto, what it hands over, and what it does when Quarto fails."""

import json
import shutil
import stat
import sys
from textwrap import dedent

import pytest
import yaml
from pypdf import PdfReader

from cxreport.errors import RunError
from cxreport.publish import render
from cxreport.publish.quarto import Quarto

# Stands in for Quarto: writes down how it was called and what lay around it, then writes a file.
STAND_IN = """
    #!{python}
    import json, os, pathlib, sys

    if sys.argv[1:] == ["--version"]:
        print("1.9.36")
        raise SystemExit
    here = pathlib.Path.cwd()
    call = {{
        "arguments": sys.argv[1:],
        "clock": os.environ.get("SOURCE_DATE_EPOCH"),
        "files": sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()),
        "document": json.loads((here / "report.ipynb").read_text()),
        "style": (here / "theme" / "report.css").read_text()[:200],
    }}
    with open({log!r}, "a") as log:
        log.write(json.dumps(call) + "\\n")
    {ending}
"""
WRITES = '(here / ("report.html" if sys.argv[-1] == "html" else "report.pdf")).write_text(sys.argv[-1])'
FAILS = r'print("\n".join(f"\x1b[31mline {number}\x1b[0m" for number in range(40))); raise SystemExit(3)'


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a stand-in for Quarto on the PATH; returns a function that reads its calls."""

    def install(ending=WRITES):
        log = tmp_path / "calls.jsonl"
        script = tmp_path / "bin" / "quarto"
        script.parent.mkdir()
        source = dedent(STAND_IN).format(python=sys.executable, log=str(log), ending=ending)
        script.write_text(source.lstrip(), encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(script.parent))
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return install


@pytest.fixture
def draw(make, rendered, project, tmp_path):
    """Renders the hand-made document with Quarto; returns the two files."""

    def render_it():
        html, pdf = tmp_path / "page.html", tmp_path / "page.pdf"
        Quarto().render(rendered.document, html=html, pdf=pdf, project=project, timestamp=make.STAMP)
        return html, pdf

    return render_it


def test_both_formats_are_rendered_and_moved_into_place(stand_in, draw):
    """Quarto is called once per format, and its files end up where they were asked for."""
    calls = stand_in()
    html, pdf = draw()
    assert (html.read_text(), pdf.read_text()) == ("html", "typst")
    assert [call["arguments"] for call in calls()] == [
        ["render", "report.ipynb", "--to", "html"],
        ["render", "report.ipynb", "--to", "typst"],
    ]


def test_page_alone_is_rendered_without_a_pdf(stand_in, make, rendered, project, tmp_path):
    """Where no PDF is wanted, Quarto is called for the page only."""
    calls = stand_in()
    page = tmp_path / "page.html"
    Quarto().render(rendered.document, html=page, pdf=None, project=project, timestamp=make.STAMP)
    assert page.read_text() == "html"
    assert [call["arguments"][-1] for call in calls()] == ["html"]


def test_clock_is_an_input(stand_in, draw, make):
    """Quarto takes its date from the run, not from the machine."""
    calls = stand_in()
    draw()
    assert {call["clock"] for call in calls()} == {str(int(make.STAMP.timestamp()))}


def test_document_and_theme_are_handed_over(stand_in, draw):
    """Settings, style sheets and typeface lie beside a document whose sources are lists of lines."""
    calls = stand_in()
    draw()
    call = calls()[0]
    assert {"_quarto.yml", "report.ipynb", "theme/report.css", "theme/components.css"} <= set(call["files"])
    assert "theme/fonts/Lato-Regular.ttf" in call["files"]
    assert call["style"].startswith('@font-face { font-family: "Lato"')
    assert all(isinstance(cell["source"], list) for cell in call["document"]["cells"])
    assert call["document"]["cells"][0]["cell_type"] == "raw"


def test_failure_shows_the_last_lines(stand_in, draw):
    """A failure of Quarto is a run error with the end of what it said, without colour codes."""
    stand_in(FAILS)
    with pytest.raises(RunError) as caught:
        draw()
    lines = caught.value.found.splitlines()
    assert lines[0] == "Quarto ended with exit code 3"
    assert (lines[1], lines[-1], len(lines)) == ("line 25", "line 39", 16)


def test_missing_output_is_a_failure(stand_in, draw):
    """Exit code 0 without a file is a failure too."""
    stand_in("pass")
    with pytest.raises(RunError, match="Quarto wrote no HTML file"):
        draw()


def test_quarto_is_preferred_where_it_is_installed(stand_in):
    """`auto` takes Quarto from the PATH; `embedded` stays available."""
    stand_in()
    assert [render.choose(name).name for name in ("auto", "quarto", "embedded")] == ["quarto", "quarto", "embedded"]
    assert Quarto().versions() == {"quarto": "1.9.36"}


def test_settings_keep_pages_offline_accessible_and_repeatable(project):
    """Quarto executes nothing, shows no code, embeds everything, fixes the date format and writes PDF/UA-1."""
    settings = yaml.safe_load((project.theme.parent / "_quarto.yml").read_text(encoding="utf-8"))
    assert settings["execute"] == {"enabled": False, "echo": False, "warning": False}
    assert settings["format-links"] is False
    assert settings["date-format"] == "YYYY-MM-DD"
    assert settings["format"]["html"]["embed-resources"] is True
    assert settings["format"]["html"]["theme"] == "default"
    assert settings["format"]["html"]["css"] == ["theme/report.css", "theme/components.css"]
    assert settings["format"]["typst"]["pdf-standard"] == "ua-1"


@pytest.mark.skipif(shutil.which("quarto") is None, reason="no Quarto here: its own output is not checked")
def test_real_quarto_gives_the_same_bytes_twice(draw):
    """The real Quarto renders the document, numbers it like the embedded renderer, and repeats itself exactly."""
    first = [path.read_bytes() for path in draw()]
    html, pdf = draw()
    assert [html.read_bytes(), pdf.read_bytes()] == first
    assert "Figure\u00a01: A line that rises" in html.read_text(encoding="utf-8")
    assert "Executive summary" in " ".join(page.extract_text() for page in PdfReader(pdf).pages)
