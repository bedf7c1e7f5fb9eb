"""One figure of a fit over several axes with matplotlib: the optimum along each axis, and its contours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hptransfer.quantify.axes.result import AxesFit, AxesVariant
from hptransfer.report import axes_charts, palette
from hptransfer.report.matplotlib_backend import SMALL, draw
from hptransfer.report.notebook import InlineFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL = (3.4, 2.9)  # inches


def plot_axes(fit: AxesFit, variant: AxesVariant) -> Figure:
    """Panels side by side: the optimum against every axis with its band, then contours over two axes."""
    panels = [*axes_charts.along_axes(fit, variant).panels, *axes_charts.contours(fit, variant).panels]
    count = max(len(panels), 1)
    figure = InlineFigure(figsize=(_PANEL[0] * count, _PANEL[1]), layout="constrained")
    for axes, panel in zip(figure.subplots(1, count, squeeze=False)[0], panels, strict=False):
        draw(axes, panel)
        axes.set_xlabel(panel.x.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
        axes.set_ylabel(panel.y.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
    return figure
