"""Figures of a joint fit over several axes with matplotlib, for papers and notebooks."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from hptransfer.quantify.joint_axes.result import JointAxesFit
from hptransfer.report import axes_charts, charts, joint_axes_charts, joint_charts
from hptransfer.report.joint_axes_view import numbered_view
from hptransfer.report.joint_figures import chosen_variant, draw_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("laws", "contours", "profiles", "predictions")


def plot_joint_axes(fit: JointAxesFit, kind: str = "laws", variant: str | None = None) -> Figure:
    """One kind of figure of one variant.

    Args:
        fit: the result of `quantify_joint` over several axes.
        kind: `laws` (each quantity along each axis, and its contours over two), `contours` (a panel for each
            point and pair of hyperparameters), `profiles` (one for each hyperparameter) or `predictions` (a
            panel for each target and pair).
        variant: its name; None takes the first.

    Raises:
        QuantifyError: the kind or the variant is unknown.
    """
    name = chosen_variant(fit.variants, variant, kind, KINDS)
    found, view, d = fit.variants[name], numbered_view(fit), range(len(fit.hp))
    figures: dict[str, list[charts.Figure]] = {
        "laws": [
            draw(q, law)
            for q, law in found.laws.items()
            for draw in (axes_charts.along_axes, axes_charts.contours)
        ],
        "contours": [joint_charts.contours(view, found, pair) for pair in combinations(d, 2)],
        "profiles": [joint_charts.profiles(view, found, j) for j in d],
        "predictions": [joint_axes_charts.predicted(fit, found, pair) for pair in combinations(d, 2)],
    }
    return draw_panels(
        [panel for figure in figures[kind] for panel in figure.panels],
        labelled=kind in ("laws", "predictions"),
        key=figures[kind][0].key,
    )
