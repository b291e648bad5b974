"""The KPIs as functions: an analyst's own frame gives the figure that the report gives."""

import numpy as np
import pandas as pd
import pytest

from cxreport import cx
from cxreport.config import load_kpis
from cxreport.errors import DefinitionError, UsageError

SCORES = [10, 9, 8, 3, 10, 7, None, 0]


def test_own_frame_gives_the_figure_by_hand():
    """Of seven answers three are promoters and two detractors; a blank one is left out and counted."""
    frame = pd.DataFrame({"score": SCORES * 20, "channel": ["web", "app"] * 80})
    [whole] = cx.nps(frame).to_dict("records")
    assert (whole["n"], whole["n_missing"], whole["value"]) == (140, 20, pytest.approx(100 * (3 - 2) / 7))
    assert whole["ci_low"] < whole["value"] < whole["ci_high"]
    channels = cx.nps(frame, by="channel").set_index("channel")
    assert channels["n"].to_dict() == {"app": 80, "web": 60}
    assert channels.loc["web", "value"] == pytest.approx(100 * 2 / 3)
    wider = cx.nps(frame, confidence=0.99).iloc[0]
    assert wider["ci_low"] < whole["ci_low"]


def test_every_figure_of_a_report_can_be_had_from_its_rows(small):
    """The rows of a report's tables give every total that it shows, and those of a segment, interval included."""
    root, estimates = str(small.project.root), small.estimates()
    now = estimates[(estimates["period"] == small.period.id) & (estimates["suppressed"] == "no")]
    kpis = {name: kpi for name, kpi in load_kpis(small.project, now["kpi"].unique()).items() if kpi.type != "value"}
    rows = {table: cx.rows(table, period=small.period.id, root=root) for table in {kpi.table for kpi in kpis.values()}}
    columns = ["n", "value", "ci_low", "ci_high"]
    for name, kpi in kpis.items():
        own = now[now["kpi"] == name]
        for segment, by in (("all", []), ("region", ["region"])):
            shown = own[(own["segment"] == segment) & (own["level"] != "not stated")].set_index("level")[columns]
            found = getattr(cx, name)(rows[kpi.table], by=[column for column in by if column in rows[kpi.table]])
            found = found.set_index(by)[columns] if by and len(shown) else found.set_index([["all"] * len(found)])
            for level, figure in shown.iterrows():
                np.testing.assert_allclose(
                    found.loc[level, columns].astype(float), figure.astype(float), rtol=1e-9, err_msg=name
                )
    assert len(kpis) > 3


def test_help_says_what_a_kpi_counts():
    """The help of a function holds the definition and the columns; the list of functions is the list of files."""
    text = cx.resolution_time.__doc__
    assert "Rows of `tickets`, with the columns `resolution_minutes`" in text
    assert "Numerator:" in cx.nps.__doc__
    assert {"rows", "nps", "csat", "logo_churn"} < set(dir(cx))


def test_slips_are_answered_with_what_was_meant(small):
    """Unknown KPIs, tables and columns, and a KPI that no rows give, are refused with the nearest or the reason."""
    with pytest.raises(AttributeError, match="no KPI `npss`, did you mean `nps`"):
        cx.npss  # noqa: B018 - the access is what is tested
    with pytest.raises(UsageError, match="did you mean `answers`"):
        cx.rows("answer", root=str(small.project.root))
    with pytest.raises(DefinitionError, match="`region`"):
        cx.nps(pd.DataFrame({"score": [1.0]}), by="region")
    with pytest.raises(UsageError, match="scale"):
        cx.nps(pd.DataFrame({"score": [11.0]}))
    with pytest.raises(UsageError, match="modelled"):
        cx.lifetime_value(pd.DataFrame({"amount": [1.0]}))
