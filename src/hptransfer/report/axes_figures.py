"""One figure of a fit over several axes with matplotlib: the optimum along each axis, and its contours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hptransfer.quantify.axes.result import AxesLaws
from hptransfer.report import axes_charts, palette
from hptransfer.report.matplotlib_backend import SMALL, draw
from hptransfer.report.notebook import InlineFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL = (2.7, 2.8)  # inches
_WIDER = 1.4  # of the panel of contours, whose labels need space


def plot_axes(hp: str, law: AxesLaws) -> Figure:
    """Panels side by side: the optimum against every axis with its band, then contours over two axes."""
    panels = [*axes_charts.along_axes(hp, law).panels, *axes_charts.contours(hp, law).panels]
    count = max(len(panels), 1)
    wide = [1.0] * len(law.bands) + [_WIDER] * len(law.surfaces)
    figure = InlineFigure(figsize=(_PANEL[0] * max(sum(wide), 1.0), _PANEL[1]), layout="constrained")
    every = figure.subplots(1, count, squeeze=False, width_ratios=wide or None)[0]
    for axes, panel in zip(every, panels, strict=False):
        draw(axes, panel)
        axes.set_xlabel(panel.x.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
        axes.set_ylabel(panel.y.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
    return figure
