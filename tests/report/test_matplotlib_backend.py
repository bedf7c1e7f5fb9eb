"""Panels on matplotlib axes: every mark at its coordinates."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tests.report.studies import spiky

from hptransfer.dynamics.trends import trends
from hptransfer.fit import TransferFit
from hptransfer.report import (
    basin_chart,
    charts,
    dynamics_charts,
    law_chart,
    matplotlib_backend,
    metric_chart,
    phase_chart,
)

LINEAR = charts.Axis(0.0, 4.0, "x")
OCTAVES = charts.Axis(-8.0, -2.0, "lr", base=2, powers=True)


def _drawn(*marks: charts.Mark, x: charts.Axis = LINEAR, **panel: object) -> Axes:
    axes = Figure().subplots()
    return matplotlib_backend.draw(axes, charts.Panel("", x, LINEAR, marks, **panel))  # type: ignore[arg-type]


def test_drawing_on_axes_of_the_caller(fit: TransferFit) -> None:
    variants = [fit.variants["mup"]]
    for figure in (
        basin_chart.basins(fit, variants),
        law_chart.optimum_laws(fit, variants),
        law_chart.loss_laws(fit, variants),
        metric_chart.metrics(variants, ["kappa"]),
    ):
        axes, (panel,) = Figure().subplots(), figure.panels
        assert matplotlib_backend.draw(axes, panel) is axes
        assert axes.get_xlabel() == panel.x.label


def test_the_dynamics_figures_on_axes_of_the_caller(fit: TransferFit) -> None:
    study = spiky()
    for panel in (
        phase_chart.phase(list(fit.variants.values())),
        dynamics_charts.curves(study, "sp", 128.0),
        dynamics_charts.heat(study, "sp", 128.0, "relative_update"),
        dynamics_charts.forest(trends(study), "relative_update"),
        dynamics_charts.critical(study, "sp"),
    ):
        axes = matplotlib_backend.draw(Figure().subplots(), panel)
        assert axes.get_xlabel() == panel.x.label
        assert len(axes.lines) + len(axes.images) >= len(panel.marks)


def test_a_logarithmic_axis_gets_the_values_themselves() -> None:
    axes = _drawn(charts.Line(np.array([-7.0, -3.0]), np.array([1.0, 2.0]), "#000000", 2.0), x=OCTAVES)
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == (2.0**-8, 2.0**-2)
    assert axes.lines[0].get_xdata().tolist() == [2.0**-7, 2.0**-3]
    assert axes.lines[0].get_linewidth() == 1.5  # three quarters of a pixel are a point


def test_error_bars_reach_from_limit_to_limit() -> None:
    lengths = np.array([[1.0], [2.0]])
    points = charts.Points(np.array([-5.0]), np.array([1.0]), "#000000", "circle", 7, x_error=lengths)
    bars, marker = _drawn(points, x=OCTAVES).lines
    assert bars.get_xdata()[:2].tolist() == [2.0**-6, 2.0**-3]
    assert marker.get_marker() == "o"


def test_each_point_has_its_symbol() -> None:
    points = charts.Points(np.arange(3.0), np.ones(3), "#000000", ("up", "down", "up"), 7)
    up, down = _drawn(points).lines
    assert (up.get_marker(), down.get_marker()) == ("^", "v")
    assert up.get_xdata().tolist() == [0.0, 2.0]


def test_the_strip_stands_above_the_frame_and_what_left_the_frame_is_not_drawn() -> None:
    line = charts.Line(np.arange(3.0), np.array([1.0, 3.0, 9.0]), "#000000", 1.0)
    crosses = charts.Points(
        np.arange(2.0), np.array([0.0, 1.0]), "#000000", "cross", 5, edge_width=1.0, in_strip=True
    )
    axes = _drawn(line, crosses, strip_rows=2)
    curve, marks = axes.lines
    assert np.isnan(curve.get_ydata()).tolist() == [False, False, True]
    low, high = marks.get_ydata()
    assert LINEAR.high < low < high < axes.get_ylim()[1]
    assert max(axes.get_yticks()) <= LINEAR.high


def test_ticks_notes_names_and_messages_are_written_as_they_are() -> None:
    x = charts.Axis(0.0, 4.0, "$x", ticks=((1.0, "$one"), (3.0, "three")))
    points = charts.Points(np.ones(1), np.ones(1), "#000000", "circle", 7, names=("a$b$",))
    note = charts.Note(1.0, 1.0, "0.01", above=True)
    axes = _drawn(points, x=x, notes=(note,), message="no law")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["$one", "three"]
    assert [text.get_text() for text in axes.texts] == ["a$b$", "0.01", "no law"]
    assert not any(text.get_parse_math() for text in axes.texts)


def test_zero_and_bands_lie_behind(fit: TransferFit) -> None:
    axes = _drawn(charts.Band(np.arange(2.0), np.zeros(2), np.ones(2), "#000000"), zero="y")
    assert axes.lines[0].get_zorder() == 0
    assert axes.lines[0].get_ydata() == [0, 0]
    (band,) = axes.collections
    assert band.get_paths()[0].vertices[:, 1].max() == 1.0


@pytest.mark.parametrize(("symbol", "hollow"), [("circle", False), ("cross", True), ("open_up", True)])
def test_the_key_draws_the_symbol(symbol: charts.Symbol, hollow: bool) -> None:
    handle = matplotlib_backend.key_handle(charts.KeyItem("x", "#ff0000", symbol, 2.0))
    assert handle.get_linewidth() == 1.5
    assert (handle.get_markerfacecolor() == "none") == hollow
    head = matplotlib_backend.key_handle(charts.KeyItem("width"))
    assert head.get_marker() in ("None", None, "")


def test_no_pyplot(fit: TransferFit) -> None:
    code = "import sys, hptransfer.report.matplotlib_backend\n"
    code += "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    source = Path(matplotlib_backend.__file__).read_text()
    assert "pyplot" not in source
