"""Figures of a joint fit with matplotlib, for papers and notebooks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from hptransfer.errors import QuantifyError
from hptransfer.quantify.joint.result import JointSweepFit
from hptransfer.report import charts, joint_charts, palette
from hptransfer.report.matplotlib_backend import SMALL, draw
from hptransfer.report.matplotlib_figures import draw_key
from hptransfer.report.notebook import InlineFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("contours", "laws", "profiles")
_PANEL = (3.1, 2.7)  # inches


def plot_joint(fit: JointSweepFit, kind: str = "contours", variant: str | None = None) -> Figure:
    """One kind of figure of one variant.

    Args:
        fit: the result of `quantify_joint`.
        kind: `contours` (a panel for each scale and pair of hyperparameters), `laws` (one for each
            hyperparameter and combination) or `profiles` (one for each hyperparameter).
        variant: its name; None takes the first.

    Raises:
        QuantifyError: the kind or the variant is unknown.
    """
    figures = _figures(fit, kind, chosen_variant(fit.variants, variant, kind, KINDS))
    return draw_panels([panel for figure in figures for panel in figure.panels], key=figures[0].key)


def chosen_variant(variants: Collection[str], variant: str | None, kind: str, kinds: Sequence[str]) -> str:
    """The name of the variant to draw, the first where None is asked for.

    Raises:
        QuantifyError: the kind or the variant is unknown.
    """
    if kind not in kinds:
        raise QuantifyError(f"the kind must be one of {', '.join(kinds)}, but got {kind!r}")
    name = next(iter(variants)) if variant is None else variant
    if name not in variants:
        raise QuantifyError(f"the variant must be one of {', '.join(variants)}, but got {name!r}")
    return name


def draw_panels(
    panels: Sequence[charts.Panel], *, labelled: bool = False, key: Sequence[charts.KeyItem] = ()
) -> Figure:
    """Panels in rows of three (four: of two), each under its name or, `labelled`, with its axes' titles."""
    columns = 2 if len(panels) == 4 else max(min(len(panels), 3), 1)
    rows = max(-(-len(panels) // columns), 1)
    figure = InlineFigure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    if key:
        draw_key(figure, key)
    every = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(every, panels, strict=False):
        draw(axes, panel)
        if labelled:
            axes.set_xlabel(panel.x.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
            axes.set_ylabel(panel.y.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
        if not labelled or panel.name != panel.x.label:
            axes.set_title(panel.name, fontsize=SMALL + 1, loc="left", color=palette.INK, parse_math=False)
    return figure


def _figures(fit: JointSweepFit, kind: str, name: str) -> list[charts.Figure]:
    variant = fit.variants[name]
    if kind == "contours":
        return [joint_charts.contours(fit, variant, pair) for pair in combinations(range(len(fit.hp)), 2)]
    if kind == "laws":
        return [joint_charts.law(fit, variant, q) for q in (*fit.hp, *fit.combinations)]
    return [joint_charts.profiles(fit, variant, j) for j in range(len(fit.hp))]
