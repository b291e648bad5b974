"""Charts are SVG alone, the same bytes for the same figures, and draw nothing hidden."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import pytest

from cxreport.present import charts, theme
from cxreport.present.markup import Markdown, Picture


def every_chart(pack):
    """Return all charts of the notebooks."""
    return [
        charts.trend(pack, pack.leading),
        charts.trends(pack, page=1),
        charts.trends(pack, page=2),
        charts.segments(pack, pack.leading),
        charts.before_after(pack, pack.first_by("touchpoint"), "touchpoint"),
        charts.mix(pack),
    ]


def test_same_figures_give_the_same_bytes(monthly):
    """Drawn twice, every chart is identical, with no date in it."""
    first, second = every_chart(monthly), every_chart(monthly)
    assert first == second
    assert all("<dc:date>" not in chart.svg for chart in first)


def test_charts_are_svg_alone(monthly):
    """A chart's bundle holds one type, is well-formed, brings its own letters and loads nothing."""
    for chart in every_chart(monthly):
        assert set(chart._repr_mimebundle_()) == {"image/svg+xml"}
        ET.fromstring(chart.svg)
        assert "<text" not in chart.svg
        assert not re.search(r'(href|src)="(?!#)', chart.svg)


def test_typeface_is_lato(monthly):
    """Letters are drawn from the bundled typeface."""
    assert 'id="Lato-Bold' in charts.trend(monthly, monthly.leading).svg


def test_settings_do_not_leak(monthly):
    """Drawing leaves the notebook's own matplotlib settings alone."""
    before = dict(mpl.rcParams)
    charts.trend(monthly, monthly.leading)
    assert dict(mpl.rcParams) == before


def test_width_fits_a_phone(monthly):
    """Every chart is narrow enough that a phone shows its letters almost unscaled, and no taller than a page."""
    for chart in every_chart(monthly):
        width, height = (
            float(size) for size in re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"|$', chart.svg).groups()
        )
        assert width <= 300
        assert height <= 1.6 * width


def test_reports_without_a_past_say_so(passengers):
    """A report with one period shows sentences where charts of changes would be, and still its groups."""
    shown = every_chart(passengers)
    assert isinstance(shown[0], Markdown)
    assert isinstance(shown[3], Picture)
    assert [type(chart) for chart in shown[4:]] == [Markdown, Markdown]


def test_hidden_value_does_not_reach_a_chart(monthly):
    """A hidden level draws the same picture whatever value its row still holds."""
    estimates = monthly.estimates.copy()
    hidden = estimates["level"] == "vi"
    estimates.loc[hidden, ["value", "ci_low", "ci_high"]] = [12.0, 2.0, 22.0]
    leaking = replace(monthly, estimates=estimates)
    pages = [[charts.segments(pack, pack.leading, page) for page in (1, 2)] for pack in (monthly, leaking)]
    assert pages[0] == pages[1]


def test_segments_continue_on_further_pages(monthly):
    """All segments of the leading KPI are drawn, and the page after the last is empty."""
    pages = [charts.segments(monthly, monthly.leading, page) for page in (1, 2, 3)]
    assert [type(page) for page in pages] == [Picture, Picture, Markdown]
    assert pages[2].text == ""


@pytest.mark.parametrize("label", ["$x^2$", "a & <b>", "\u202eevil", "Line\nbreak"])
def test_hostile_labels_are_drawn_as_they_are(monthly, label):
    """Labels that look like formulas or markup neither fail nor change the document's structure."""
    channel = monthly.segments["channel"].model_copy(update={"labels": {"web": label}})
    chart = charts.segments(replace(monthly, segments=monthly.segments | {"channel": channel}), monthly.leading)
    ET.fromstring(chart.svg)


def test_trends_show_every_kpi_of_every_area_once(monthly, monkeypatch):
    """Pages hold at most six KPIs of one area, all KPIs with a past are drawn, and the page after the last is empty."""
    drawn = []
    monkeypatch.setattr(charts, "_draw_trend", lambda *drawing, **_: drawn.append(drawing[-1].id))
    monkeypatch.setattr(charts, "picture", lambda canvas: Picture(str(canvas)))
    pages, counts = [], []
    while isinstance(page := charts.trends(monthly, page=len(pages) + 1), Picture):
        pages.append(page)
        counts.append(len(drawn) - sum(counts))
    assert page.text == ""
    assert drawn == [kpi.id for kpis in monthly.areas.values() for kpi in kpis]
    assert max(counts) <= 6
    assert len(pages) == sum(-(-len(kpis) // 6) for kpis in monthly.areas.values())


def test_chart_of_a_count_claims_no_interval(monthly, monkeypatch):
    """The caption of a complete count names it so instead of explaining an interval."""
    captions = []
    monkeypatch.setattr(charts, "_lines", lambda text: captions.append(text) or text)
    charts.trend(monthly, monthly.kpis["backlog"])
    charts.trend(monthly, monthly.kpis["service_cost"])
    assert "Complete counts." in captions[0]
    assert "interval" not in captions[0]
    assert "95% interval (base 2,100 cases)" in captions[1]


def test_shortened_charts_draw_the_same(monthly, monkeypatch):
    """Leaving out what nobody sees saves a quarter and keeps every element, letter, and place to a hundredth."""
    monkeypatch.setattr(theme, "_shortened", lambda svg: svg)
    long = charts.trend(monthly, monthly.leading).svg
    monkeypatch.undo()
    short = charts.trend(monthly, monthly.leading).svg
    assert len(short) < 0.75 * len(long)
    places = [
        [float(number) for place in re.findall(r"translate\(([^)]*)\)", svg) for number in place.split()]
        for svg in (long, short)
    ]
    assert places[1] == pytest.approx(places[0], abs=0.0051)
    tags = [[node.tag for node in ET.fromstring(svg).iter() if "svg}" in node.tag] for svg in (long, short)]
    assert [tag for tag in tags[0] if not tag.endswith("metadata")] == tags[1]
    letters = [re.findall(r'<path id="(?:Lato|DejaVu)[^"]*"\s+d="([^"]*)"', svg) for svg in (long, short)]
    assert len(letters[0]) > 20
    assert [len(re.findall(r"[MLQz]", letter)) for letter in letters[0]] == [
        len(re.findall(r"[Mlqz]", letter)) for letter in letters[1]
    ]
