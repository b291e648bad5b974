"""Charts are SVG alone, the same bytes for the same figures, and draw nothing hidden."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import pytest

from cxreport.present import charts
from cxreport.present.markup import Markdown, Picture


def every_chart(pack):
    """Return all charts of the notebooks."""
    return [
        charts.trend(pack, pack.leading),
        charts.trends(pack, pack.kpis_of("answers")),
        charts.trends(pack, pack.kpis_of("invitations", "tickets")),
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
