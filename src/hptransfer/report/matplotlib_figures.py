"""Whole figures with matplotlib, for papers and notebooks: small multiples, one panel for each variant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hptransfer.errors import QuantifyError
from hptransfer.quantify.result import SweepFit, VariantFit
from hptransfer.report import basin_chart, charts, law_chart, metric_chart, palette, table_data
from hptransfer.report.matplotlib_backend import SMALL, draw, key_handle
from hptransfer.report.notebook import InlineFigure
from hptransfer.words import rough

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL = (2.9, 2.5)  # inches
_LETTER, _KEY_ITEM = 4.4, 24.0  # points that a letter, and the rest of an entry, take in the key


def plot_basins(fit: SweepFit, variants: Sequence[str] | None = None) -> Figure:
    """Loss against the hyperparameter at every scale: runs, fitted basins, optima with their intervals.

    Args:
        fit: the result of `quantify`.
        variants: names of those to draw, in this order; None draws all.

    Raises:
        QuantifyError: a name is not in the fit.
    """
    return _multiples(basin_chart.basins(fit, chosen(fit, variants)))


def plot_optimum(fit: SweepFit, variants: Sequence[str] | None = None) -> Figure:
    """The optimum against scale, its law, and the prediction band out to the targets; arguments as above."""
    return _multiples(law_chart.optimum_laws(fit, chosen(fit, variants)))


def plot_loss(fit: SweepFit, variants: Sequence[str] | None = None) -> Figure:
    """The loss at the optimum against scale, its law and band; arguments as above."""
    return _multiples(law_chart.loss_laws(fit, chosen(fit, variants)))


def plot_metrics(
    fit: SweepFit, names: Sequence[str] | None = None, variants: Sequence[str] | None = None
) -> Figure:
    """Metrics with their intervals: one panel for each metric, one row for each variant.

    Args:
        fit: the result of `quantify`.
        names: metrics to show; None shows the headline metrics.
        variants: names of those to draw; None draws all.
    """
    from matplotlib.ticker import MaxNLocator

    rows = chosen(fit, variants)
    item = metric_chart.metrics(rows, names if names is not None else table_data.main_metrics(fit))
    columns = min(max(len(item.panels), 1), 4)
    lines = max(-(-len(item.panels) // columns), 1)
    size = (1.1 + 1.55 * columns, lines * (0.75 + 0.22 * len(rows)))
    figure = InlineFigure(figsize=size, layout="constrained")
    every = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel().tolist()
    for axes in every[len(item.panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(every, item.panels, strict=False):
        draw(axes, panel)
        axes.set_title(panel.x.label, fontsize=SMALL, loc="left", color=palette.INK, parse_math=False)
        axes.set_xlabel("")
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(lambda x, _: rough(x))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def chosen(fit: SweepFit, names: Sequence[str] | None) -> list[VariantFit]:
    """The variants of these names, in this order; None takes all.

    Raises:
        QuantifyError: a name is not in the fit.
    """
    if names is None:
        return list(fit.variants.values())
    unknown = [name for name in names if name not in fit.variants]
    if unknown:
        valid = ", ".join(list(fit.variants)[:8])
        raise QuantifyError(f"variants to draw must be in the fit, but got {unknown[0]!r}; valid: {valid}")
    return [fit.variants[name] for name in names]


def _multiples(item: charts.Figure) -> Figure:
    """Small multiples on shared axes, which are named once for the whole figure."""
    count = max(len(item.panels), 1)
    columns = min(count, 4 if count > 6 else 3)
    rows = -(-count // columns)
    figure = InlineFigure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows + 0.3), layout="constrained")
    every = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for axes in every[len(item.panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(every, item.panels, strict=False):
        draw(axes, panel)
        axes.set_title(panel.name, fontsize=SMALL + 1, loc="left", color=palette.INK, parse_math=False)
        axes.set(xlabel="", ylabel="")
    for panel in item.panels[:1]:
        figure.supxlabel(panel.x.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
        figure.supylabel(panel.y.label, fontsize=SMALL + 1, color=palette.INK, parse_math=False)
    for axes in every[max(len(item.panels) - columns, 0) : len(item.panels)]:  # the last of every column
        axes.tick_params(labelbottom=True)
    if item.key:
        draw_key(figure, item.key)
    return figure


def draw_key(figure: Figure, key: Sequence[charts.KeyItem]) -> None:
    """What colours and symbols mean, above the panels, in as many lines as it takes."""
    columns = _key_columns([len(item.label) for item in key], 72 * figure.get_figwidth())
    # A legend fills its columns one after the other.
    across = [item for column in range(columns) for item in key[column::columns]]
    legend = figure.legend(
        [key_handle(item) for item in across],
        [item.label for item in across],
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        handlelength=1.0,
        columnspacing=1.1,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _key_columns(letters: Sequence[int], width: float) -> int:
    """Columns of a key whose entries have so many letters, so that it is at most `width` points wide."""
    for columns in range(len(letters), 1, -1):
        longest = [max(letters[column::columns]) for column in range(columns)]
        if sum(_KEY_ITEM + _LETTER * n for n in longest) <= width:
            return columns
    return 1
