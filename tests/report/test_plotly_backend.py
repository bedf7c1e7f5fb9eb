"""Panels as plotly data: what plotly understands, escaped, finite, and equal to their description."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.studies import simulated
from tests.report.studies import spiky

from hptransfer.dynamics.trends import trends
from hptransfer.fit import TransferFit
from hptransfer.report import basin_chart, charts, dynamics_charts, law_chart, phase_chart, plotly_backend
from hptransfer.sweep.table import Columns

EVIL = ("<script>alert(1)</script>", "a\" onload='x", "</script><img src=x>", "&amp;<b>")


def _panels(fit: TransferFit) -> list[charts.Panel]:
    variants = list(fit.variants.values())
    figures = (
        basin_chart.basins(fit, variants),
        law_chart.optimum_laws(fit, variants),
        law_chart.loss_laws(fit, variants),
    )
    return [panel for figure in figures for panel in figure.panels] + [phase_chart.phase(variants)]


def _dynamics() -> list[charts.Panel]:
    study = spiky()
    return [
        dynamics_charts.curves(study, "sp", 128.0),
        dynamics_charts.heat(study, "sp", 128.0, "relative_update"),
        dynamics_charts.forest(trends(study), "relative_update"),
        dynamics_charts.critical(study, "sp"),
    ]


@pytest.mark.parametrize("name", ["fit", "thin_fit", "lost_scale_fit"])
def test_panels_are_what_plotly_understands(name: str, request: pytest.FixtureRequest) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    for panel in (*_panels(request.getfixturevalue(name)), *_dynamics()):
        graph_objects.Figure(plotly_backend.panel(panel))  # raises where a property is unknown


def test_names_are_escaped_and_values_finite(make_fit: Callable[..., TransferFit]) -> None:
    fit = make_fit(EVIL)
    fit = replace(fit, sweep=replace(fit.sweep, columns=Columns(scale="<i>w", hp="a&b", loss="<u>")))
    for panel in _panels(fit):
        item = plotly_backend.panel(panel)
        for trace in item["data"]:
            trace.pop("meta", None)  # chosen by, never shown
        text = json.dumps(item, allow_nan=False)
        assert set(re.findall(r"</?(\w+)", text)) <= {"sup", "br", "b", "extra"}
        assert "<script" not in text


def test_every_mark_is_drawn_at_its_coordinates(fit: TransferFit) -> None:
    for panel in _panels(fit):
        drawn = plotly_backend.panel(panel)
        assert drawn["layout"]["xaxis"]["range"] == [panel.x.low, panel.x.high]
        assert len(drawn["data"]) == len(panel.marks)
        for mark, trace in zip(panel.marks, drawn["data"], strict=True):
            if isinstance(mark, charts.Line | charts.Points):
                assert np.array(trace["x"], dtype=float) == pytest.approx(mark.x, rel=1e-5, nan_ok=True)
                assert trace.get("yaxis") == ("y2" if getattr(mark, "in_strip", False) else None)


def test_the_strip_takes_its_share_of_the_height(fit: TransferFit) -> None:
    panel = basin_chart.basins(fit, [fit.variants["sp"]]).panels[0]
    layout = plotly_backend.panel(panel)["layout"]
    assert layout["yaxis"]["domain"][1] < layout["yaxis2"]["domain"][0]
    assert layout["yaxis2"]["range"] == [-0.7, 4.7]
    assert "yaxis2" not in plotly_backend.panel(replace(panel, strip_rows=0))["layout"]


def test_a_missing_value_is_a_gap_and_a_screen_needs_six_digits() -> None:
    line = charts.Line(np.array([0.123456789, np.nan]), np.array([1.0, np.inf]), "#000000", 1.0)
    panel = charts.Panel("", charts.Axis(0, 1, "x"), charts.Axis(0, 1, "y"), (line,))
    (trace,) = plotly_backend.panel(panel)["data"]
    assert trace["x"] == [0.123457, None]
    assert trace["y"] == [1.0, None]
    assert trace["hoverinfo"] == "skip"


def test_plotly_takes_the_logarithm_itself_where_it_chooses_plain_ticks() -> None:
    drawn = plotly_backend.panel(dynamics_charts.critical(simulated(), "sp"))
    assert drawn["layout"]["yaxis"]["type"] == "log"
    assert drawn["data"][0]["y"] == [0.1] * 4
    low, high = drawn["layout"]["yaxis"]["range"]
    assert low < -1 < high  # a range is in logarithms all the same


@pytest.mark.parametrize(("span", "step"), [(14.1, 3.0), (6.8, 1.0), (2.0, 1.0), (1.9, 0.5), (0.9, 0.25)])
def test_ticks_are_whole_powers_where_two_of_them_fit(span: float, step: float) -> None:
    axis = charts.Axis(-8.3, -8.3 + span, "lr", base=2, powers=True)
    drawn = plotly_backend.panel(charts.Panel("", axis, charts.Axis(0.0, 1.0, "loss"), ()))
    assert drawn["layout"]["xaxis"]["dtick"] == step
    assert drawn["layout"]["xaxis"]["tick0"] == 0


def test_texts_are_set() -> None:
    assert plotly_backend._set("at a<b\n2^-7.31 = 0.0063") == (
        "<b>at a&lt;b</b><br>2<sup>\u22127.31</sup> = 0.0063"
    )
