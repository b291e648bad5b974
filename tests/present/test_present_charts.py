"""Charts are SVG alone, say in words and numbers what they draw, and draw nothing hidden."""

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import date

import matplotlib as mpl
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from cxreport.present import charts, palette, tables, theme
from cxreport.present.markup import Markdown, Pictures
from cxreport.present.words import Words

SVG = "{http://www.w3.org/2000/svg}"


def every_shown(pack):
    """Return what the calls of the notebooks show."""
    return [
        charts.trend(pack, pack.leading),
        charts.trends(pack),
        charts.segments(pack, pack.leading),
        charts.before_after(pack, pack.first_by("touchpoint"), "touchpoint"),
        charts.mix(pack),
    ]


def every_chart(pack):
    """Return all charts of the notebooks, one by one."""
    return [chart for shown in every_shown(pack) for chart in getattr(shown, "pictures", [shown])]


@pytest.fixture(scope="module")
def drawn(monthly):
    """All charts of the notebooks of the sample company's last month."""
    return every_chart(monthly)


def texts(svg):
    """Return the labels of a chart."""
    return [" ".join("".join(node.itertext()).split()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def rows(table):
    """Return the cells of a Markdown table, without its head and rule."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_same_figures_give_the_same_bytes(monthly, drawn):
    """Drawn twice, a chart and all its words are identical, with no date in it."""
    again = [charts.trend(monthly, monthly.leading), *charts.segments(monthly, monthly.leading).pictures]
    assert all(chart in drawn for chart in again)
    assert all("<dc:date>" not in chart.svg for chart in drawn)


def test_charts_are_svg_with_words(drawn):
    """A chart's bundle holds one type, loads nothing, and brings its alternative text, caption and numbers."""
    for chart in drawn:
        data, metadata = chart._repr_mimebundle_()
        assert set(data) == {"image/svg+xml"}
        assert set(metadata["cxreport"]) == {"alt", "caption", "data"}
        assert not re.search(r'(href|src)="(?!#)', chart.svg)
        root = ET.fromstring(chart.svg)
        assert root.get("role") == "img"
        assert [node.tag for node in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
        assert root[1].text == chart.alt


def test_labels_are_text_in_lato(monthly):
    """Labels stay text, so that pages set them in their own typeface and can be searched, and charts stay small."""
    svg = charts.trend(monthly, monthly.leading).svg
    assert "NPS by month, points" in texts(svg)
    assert re.findall(r"font-family[^>]{12}", svg) == ['font-family="Lato, Deja']
    assert len(svg) < 10_000


def test_settings_do_not_leak(monthly):
    """Drawing leaves the notebook's own matplotlib settings alone."""
    before = dict(mpl.rcParams)
    charts.trend(monthly, monthly.leading)
    assert dict(mpl.rcParams) == before


def test_width_fits_a_phone(drawn):
    """Every chart is narrow enough that a phone shows its letters almost unscaled, and no taller than a page."""
    for chart in drawn:
        width, height = (
            float(size) for size in re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"|$', chart.svg).groups()
        )
        assert width <= 300
        assert height <= 1.6 * width


def test_pictures_are_shown_one_by_one(monthly):
    """A cell that ends in several charts displays each with its own words, and nothing else."""
    InteractiveShell.instance()
    pictures = charts.segments(monthly, monthly.leading)
    with capture_output() as shown:
        pictures._ipython_display_()
    InteractiveShell.clear_instance()
    assert [output.metadata["cxreport"]["alt"] for output in shown.outputs] == [one.alt for one in pictures.pictures]


def test_reports_without_a_past_say_so(passengers):
    """A report with one period shows sentences where charts of changes would be, and still its groups."""
    shown = every_shown(passengers)
    assert [type(one) for one in shown] == [Markdown, Markdown, Pictures, Markdown, Markdown]


def test_alternative_text_of_a_trend_is_made_of_its_numbers(monthly):
    """It names the ends, the extremes with their periods, and what the tests found, as the figures have them."""
    figures = {figure.period: figure for figure in monthly.history("nps")}
    low, high = (choose(figures, key=lambda period: figures[period].value) for choose in (min, max))
    alt = charts.trend(monthly, monthly.kpis["nps"]).alt

    def text(period):
        return tables.value_text(figures[period].value, monthly.kpis["nps"])

    assert f"From {text('2024-09')} to {text('2026-09')};" in alt
    assert f"lowest {text(low)} in September 2026" in alt
    assert low == "2026-09"
    assert f"highest {text(high)} in " in alt
    assert alt.endswith("September 2026: fell 8 points from the period before. September 2026: below the usual range.")


def test_alternative_texts_claim_no_more_than_the_verdicts(monthly, drawn):
    """Without verdicts no text says that anything rose, fell, or lies above or below all others."""
    estimates = monthly.estimates.assign(verdict="no detectable change", apart=None, signal=None)
    quiet = replace(monthly, estimates=estimates)
    shown = [charts.trend(quiet, quiet.leading), *charts.segments(quiet, quiet.leading).pictures]
    shown += [charts.before_after(quiet, quiet.first_by("touchpoint"), "touchpoint")]
    said = " ".join(chart.alt for chart in shown)
    assert not re.search(r"\b(rose|fell|above|below)\b", said, re.IGNORECASE)
    assert re.search(r"\b(rose|fell|above|below)\b", " ".join(chart.alt for chart in drawn))


def test_data_of_a_trend_are_the_figures_drawn(monthly):
    """The table beside a trend has a row for every period, with value, interval, usual range and base."""
    kpi = monthly.kpis["csat"]
    found = rows(charts.trend(monthly, kpi).data)
    history = monthly.history("csat")
    assert [row[1] for row in found] == [tables.value_text(figure.value, kpi) for figure in history]
    last = history[-1]
    assert found[-1][0] == "September 2026"
    assert found[-1][2] == tables.interval_text(last.ci_low, last.ci_high, kpi)
    assert found[-1][4] == "3,911 answers"


def test_data_of_small_multiples_hold_every_kpi_once(monthly, drawn):
    """Pictures hold at most six KPIs of one area, and every KPI with a past stands in one table of numbers."""
    pictures = [chart for chart in drawn if "(usual range)" in chart.data]
    heads = [re.findall(r"([^|]+) \(usual range\)", picture.data) for picture in pictures]
    names = [name.strip() for name in itertools.chain(*heads)]
    assert names == [charts.escape_markdown(kpi.short) for kpis in monthly.areas.values() for kpi in kpis]
    assert max(map(len, heads)) <= 6
    assert len(pictures) == sum(-(-len(kpis) // 6) for kpis in monthly.areas.values())


def test_hidden_value_does_not_reach_a_chart(monthly):
    """A hidden level gives the same picture, words and numbers whatever value its row still holds."""
    estimates = monthly.estimates.copy()
    hidden = estimates["level"] == "vi"
    estimates.loc[hidden, ["value", "ci_low", "ci_high", "previous", "change"]] = [12.0, 2.0, 22.0, 8.0, 4.0]
    estimates.loc[hidden, "n"] = 7
    leaking = replace(monthly, estimates=estimates)
    assert charts.segments(monthly, monthly.leading) == charts.segments(leaking, leaking.leading)
    shown = charts.segments(monthly, monthly.leading).pictures
    assert any("hidden to protect a small group" in picture.data for picture in shown)
    assert not any("Vietnamese" in picture.alt for picture in shown)


def test_all_segments_are_drawn(monthly):
    """Every segment of the leading KPI has its levels in one of the pictures."""
    data = "".join(picture.data for picture in charts.segments(monthly, monthly.leading).pictures)
    for segment in monthly.segments:
        for figure in monthly.figures("nps", segment):
            assert charts.escape_markdown(monthly.group_label(figure)) in data


@pytest.mark.parametrize(
    "label", ["$x^2$", "a & <b>", "\u202eevil", "Line\nbreak", "<script>alert(1)</script>", 'x id="y" 1.23456', "--> |"]
)
def test_hostile_labels_are_drawn_as_they_are(monthly, label):
    """Labels that look like formulas, markup or numbers to be shortened stay what they are, and only text."""
    channel = monthly.segments["channel"].model_copy(update={"labels": {"web": label}})
    shown = charts.segments(replace(monthly, segments=monthly.segments | {"channel": channel}), monthly.leading)
    first = shown.pictures[0]
    plain = charts.one_line(label)
    drawn = [text for text in texts(first.svg) if text.startswith(plain[:8])]
    assert drawn
    assert plain.startswith(drawn[0].split(", n")[0].rstrip("…"))
    assert {node.tag for node in ET.fromstring(first.svg).iter()}.isdisjoint({f"{SVG}script", f"{SVG}b"})
    assert f"| {charts.escape_markdown(label)} |" in first.data
    assert "<script" not in first.data + first.caption


def test_chart_of_a_count_claims_no_interval(monthly):
    """The caption of a complete count names it so instead of explaining an interval."""
    count, cost = (charts.trend(monthly, monthly.kpis[kpi]).caption for kpi in ("backlog", "service_cost"))
    assert "Complete counts." in count
    assert "interval" not in count
    assert "95% interval, base 2,100 cases" in cost


def test_events_are_drawn_where_they_happened(monthly):
    """Events within the periods drawn have a line, a label and a place in the caption; others have none."""
    events = [charts.Event(date(2026, 3, 9), "New | app"), charts.Event(date(2020, 1, 1), "Long ago")]
    chart = charts.trend(monthly, monthly.leading, events)
    assert "New | app" in texts(chart.svg)
    assert "New &#124; app &#40;March 2026&#41;" in chart.caption
    assert "Long ago" not in chart.svg + chart.caption
    assert (
        chart.svg.count("stroke-dasharray") == charts.trend(monthly, monthly.leading).svg.count("stroke-dasharray") + 1
    )


@pytest.mark.parametrize(("limits", "is_cut"), [((-5, 5), False), ((0, 5), False), ((3, 5), True), ((-9, -1), True)])
def test_axis_that_leaves_out_its_start_is_marked(monthly, limits, is_cut):
    """A zigzag, explained in the caption, stands where a scale does not reach down to its start."""
    with theme.themed():
        axes = theme.blank(2, title="").subplots()
        axes.set_ylim(limits)
        assert charts.mark_cut(axes, axes.yaxis, monthly.kpis["nps"]) is is_cut
        assert bool(axes.lines) is is_cut
    assert "Zigzag" in charts.trend(monthly, monthly.kpis["csat"]).caption


def test_line_of_a_trend_leaves_a_gap_where_no_figure_is_shown(monthly):
    """No line leads across a period without a shown figure; one between two of them is a dot; the caption says so."""

    def drawn(*hidden):
        rows = monthly.estimates
        is_hidden = (rows["kpi"] == "nps") & (rows["segment"] == "all") & rows["period"].isin(hidden)
        rows = rows.assign(suppressed=rows["suppressed"].mask(is_hidden, "base"))
        pack = replace(monthly, estimates=rows.assign(value=rows["value"].mask(is_hidden)))
        with theme.themed():
            axes = theme.blank(2, title="").subplots()
            charts._draw_trend(axes, pack, pack.leading)
        line, *dots = [line.get_ydata() for line in axes.lines if line.get_color() == theme.MUTED]
        alone = replace(pack, kpis={"nps": pack.leading})
        captions = [charts.trend(alone, pack.leading).caption, charts.trends(alone).pictures[0].caption]
        return np.isnan(line).sum(), len(dots), {"Gap:" in caption for caption in captions}

    assert drawn() == (0, 0, {False})
    assert drawn("2026-03") == (1, 0, {True})
    assert drawn("2026-03", "2026-05") == (2, 1, {True})
    assert drawn("2024-09", "2024-10") == (2, 0, {False})


def test_panels_of_one_unit_share_their_steps_unless_one_would_lie_flat(monthly):
    """Ranges become equal within a unit, never below zero for what cannot be negative; too unequal ones stay."""
    nps, csat = monthly.kpis["nps"], monthly.kpis["csat"]

    def ranges(*limits):
        canvas = theme.blank(2, title="")
        panels = [(axes, kpi) for axes, (kpi, _) in zip(canvas.subplots(1, len(limits)), limits, strict=True)]
        for (axes, _), (_, ends) in zip(panels, limits, strict=True):
            axes.set_ylim(ends)
        return charts._share_steps(panels), [axes.get_ylim() for axes, _ in panels]

    assert ranges((csat, (1, 3)), (csat, (50, 56)), (nps, (-4, 4))) == (True, [(0, 6), (50, 56), (-4, 4)])
    assert ranges((csat, (1, 2)), (csat, (10, 60))) == (False, [(1, 2), (10, 60)])


def test_charts_speak_the_language_of_the_report(monthly):
    """Titles, captions, alternative texts, numbers and months follow the language."""
    german = Words.open(monthly.project, "de")
    kpis = {name: kpi.model_copy(update={"words": german}) for name, kpi in monthly.kpis.items()}
    chart = charts.trend(replace(monthly, words=german, kpis=kpis), kpis["csat_mean"])
    assert "üblicher Bereich" in texts(chart.svg)
    assert "September 2024 bis September 2026" in chart.alt
    assert re.search(r"\d,\d", chart.alt)
    assert "Quelle:" in chart.caption
    assert not re.search(r"\b(the|of|Source|Value)\b", chart.alt + chart.caption + chart.data)


def test_shortened_charts_draw_the_same(monthly, monkeypatch):
    """Leaving out what nobody sees keeps every element, label, and place to a hundredth."""
    monkeypatch.setattr(theme, "_shortened", lambda svg: svg)
    long = charts.trend(monthly, monthly.leading).svg
    monkeypatch.undo()
    short = charts.trend(monthly, monthly.leading).svg
    assert len(short) < 0.8 * len(long)
    places = [
        [float(number) for place in re.findall(r"translate\(([^)]*)\)", svg) for number in re.split(r"[\s,]+", place)]
        for svg in (long, short)
    ]
    assert places[1] == pytest.approx(places[0], abs=0.0051)
    tags = [[node.tag for node in ET.fromstring(svg).iter() if "svg}" in node.tag] for svg in (long, short)]
    assert [tag for tag in tags[0] if not tag.endswith("metadata")] == tags[1]
    # The first one is the mark, which holds a hash of the drawing.
    assert texts(short)[1:] == texts(long)[1:]


# What people without one kind of cone see (Machado, Oliveira and Fernandes 2009, severity 1), of linear red-green-blue.
SEEN = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "everyone": np.eye(3).tolist(),
}


def lab(colour, seen):
    """Return a colour as it is seen, in CIELAB."""
    channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        np.array(seen) @ linear, 0, 1
    )
    x, y, z = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SEEN)
@pytest.mark.parametrize("scheme", [palette.LIGHT, palette.DARK])
def test_colours_are_told_apart_in_every_colour_vision(scheme, sight):
    """What is better, worse and neither differ in CIELAB for everyone, in light and dark; shapes tell them too."""
    better, worse, neither = (lab(scheme[name], SEEN[sight]) for name in ("accent", "warning", "muted"))
    assert np.linalg.norm(better - worse) >= 50
    assert min(np.linalg.norm(better - neither), np.linalg.norm(worse - neither)) >= 15
