"""Figures with matplotlib, for papers and notebooks; no global state, so any number can live at once.

Every `plot_*` makes a Figure of small multiples, one panel a variant on shared axes. `draw` puts one panel of
any figure (`basin_chart`, `law_chart`, `phase_chart`, `dynamics_charts` ...) on axes of the caller's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.result import SweepFit, VariantFit
from hptransfer.report import (
    basin_chart,
    charts,
    law_chart,
    metric_chart,
    number_format,
    palette,
    table_data,
)
from hptransfer.sweep.table import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (2.9, 2.5)  # inches
_SMALL = 8.0  # points, for ticks and labels
_WIDTH = 0.75  # points of a line for a pixel of the screen
_DIAMETER = 0.55  # points of a marker for a pixel of the screen
_STRIP_ROW = 0.031  # of the frame's height, for a row of the strip above it
_LETTER, _KEY_ITEM = 4.4, 24.0  # points that a letter, and the rest of an entry, take in the key
_SYMBOLS: dict[charts.Symbol, str] = {
    "circle": "o",
    "diamond": "D",
    "up": "^",
    "down": "v",
    "open_up": "^",
    "cross": "x",
}


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
    """Metrics with their intervals: one panel a metric, one row a variant.

    Args:
        fit: the result of `quantify`.
        names: metrics to show; None shows the headline metrics.
        variants: names of those to draw; None draws all.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = chosen(fit, variants)
    item = metric_chart.metrics(rows, names if names is not None else table_data.main_metrics(fit))
    columns = max(len(item.panels), 1)
    figure = Figure(figsize=(1.1 + 1.55 * columns, 0.75 + 0.22 * len(rows)), layout="constrained")
    every = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    for axes, panel in zip(every, item.panels, strict=False):
        draw(axes, panel)
        axes.set_title(panel.x.label, fontsize=_SMALL, loc="left", color=palette.INK, parse_math=False)
        axes.set_xlabel("")
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(lambda x, _: number_format.short(x))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def draw(axes: Axes, panel: charts.Panel) -> Axes:
    """One panel of a figure on axes of the caller's, which are returned."""
    top = panel.y.high
    for mark in panel.marks:
        _draw_mark(mark, axes, panel)
    _set_axis(axes, "x", panel.x)
    _set_axis(axes, "y", panel.y)
    if panel.zero is not None:
        line = axes.axvline if panel.zero == "x" else axes.axhline
        line(0, lw=0.8, color=palette.HAIR, zorder=0)
    for note in panel.notes:
        _annotate(axes, panel, note)
    if panel.message:
        _write_message(axes, panel.message)
    _quiet(axes)
    if panel.strip_rows:
        # The strip of runs without a place on the axis has no scale: no axis line and no ticks run along it.
        axes.set_ylim(panel.y.low, _strip_height(panel, panel.strip_rows + 0.5))
        axes.set_yticks([tick for tick in axes.get_yticks() if panel.y.low <= tick <= top])
        axes.spines["left"].set_bounds(panel.y.low, top)
    return axes


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
    from matplotlib.figure import Figure

    count = max(len(item.panels), 1)
    columns = min(count, 4 if count > 6 else 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows + 0.3), layout="constrained")
    every = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for axes in every[len(item.panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(every, item.panels, strict=False):
        draw(axes, panel)
        axes.set_title(panel.name, fontsize=_SMALL + 1, loc="left", color=palette.INK, parse_math=False)
        axes.set(xlabel="", ylabel="")
    for panel in item.panels[:1]:
        figure.supxlabel(panel.x.label, fontsize=_SMALL + 1, color=palette.INK, parse_math=False)
        figure.supylabel(panel.y.label, fontsize=_SMALL + 1, color=palette.INK, parse_math=False)
    for axes in every[max(len(item.panels) - columns, 0) : len(item.panels)]:  # the last of every column
        axes.tick_params(labelbottom=True)
    if item.key:
        _draw_key(figure, item.key)
    return figure


def _draw_key(figure: Figure, key: Sequence[charts.KeyItem]) -> None:
    """What colours and symbols mean, above the panels, in as many lines as it takes."""
    from matplotlib.lines import Line2D

    columns = _key_columns([len(item.label) for item in key], 72 * figure.get_figwidth())
    across = [
        item for column in range(columns) for item in key[column::columns]
    ]  # a legend fills its columns
    legend = figure.legend(
        [
            Line2D([], [], lw=_WIDTH * i.line_width, color=i.colour, **_marker(i.symbol, 5, i.colour))
            for i in across
        ],
        [item.label for item in across],
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=_SMALL,
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


def _marker(symbol: charts.Symbol | None, size: float, colour: str) -> dict[str, Any]:
    if symbol is None:
        return {}
    open_ = symbol in ("open_up", "cross")
    return {
        "marker": _SYMBOLS[symbol],
        "ms": _DIAMETER * size,
        "mfc": "none" if open_ else colour,
        "mew": _WIDTH if open_ else 0,
    }


def _draw_mark(mark: charts.Mark, axes: Axes, panel: charts.Panel) -> None:
    match mark:
        case charts.Line():
            _draw_line(mark, axes, panel)
        case charts.Points():
            _draw_points(mark, axes, panel)
        case charts.Band():
            _draw_band(mark, axes, panel)
        case charts.Heat():
            _draw_heat(mark, axes)


def _draw_line(mark: charts.Line, axes: Axes, panel: charts.Panel) -> None:
    y = np.where(mark.y <= panel.y.high, mark.y, np.nan) if panel.strip_rows else mark.y
    axes.plot(
        _values(mark.x, panel.x),
        _values(y, panel.y),
        "--" if mark.dashed else "-",
        lw=_WIDTH * mark.width,
        color=mark.colour,
        label=mark.name or None,
        marker="o" if mark.marker else None,
        ms=_DIAMETER * mark.marker,
    )


def _draw_points(mark: charts.Points, axes: Axes, panel: charts.Panel) -> None:
    y = mark.y
    if mark.in_strip:
        y = np.array([_strip_height(panel, row + 0.5) for row in mark.y])
    elif panel.strip_rows:
        y = np.where(mark.y <= panel.y.high, mark.y, np.nan)
    for lengths, along in ((mark.x_error, "x"), (mark.y_error, "y")):
        if lengths is not None:
            _draw_bars(axes, panel, mark, lengths, along)
    symbols = (mark.symbol,) * len(mark.x) if isinstance(mark.symbol, str) else mark.symbol
    for symbol in dict.fromkeys(symbols):
        here = np.array(symbols) == symbol
        axes.plot(
            _values(mark.x[here], panel.x),
            _values(y[here], panel.y),
            _SYMBOLS[symbol],
            ms=_DIAMETER * mark.size,
            mew=_WIDTH * mark.edge_width,
            mec=mark.edge or mark.colour,
            mfc="none" if symbol == "open_up" else mark.fill or mark.colour,
            alpha=mark.opacity,
            zorder=3,
        )
    for i, name in enumerate(mark.names):
        at = (float(_values(mark.x[i], panel.x)), float(_values(y[i], panel.y)))
        axes.annotate(name, at, (3, 3), textcoords="offset points", size=_SMALL - 1, parse_math=False)


def _draw_band(mark: charts.Band, axes: Axes, panel: charts.Panel) -> None:
    low, high = _values(mark.low, panel.y), _values(mark.high, panel.y)
    axes.fill_between(
        _values(mark.x, panel.x), low, high, color=mark.colour, alpha=palette.BAND_OPACITY, lw=0
    )


def _draw_heat(mark: charts.Heat, axes: Axes) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("heat", palette.HEAT)
    image = axes.imshow(mark.shown, aspect="auto", cmap=shades, interpolation="nearest")
    axes.get_figure(root=True).colorbar(image, ax=axes, label=mark.label)  # type: ignore[union-attr]


def _draw_bars(axes: Axes, panel: charts.Panel, mark: charts.Points, lengths: FloatArray, along: str) -> None:
    """Error bars without caps, drawn as one broken line."""
    centre, across = (mark.x, mark.y) if along == "x" else (mark.y, mark.x)
    gap = np.full(len(centre), np.nan)
    ends = np.stack([centre - lengths[0], centre + lengths[1], gap], axis=1).ravel()
    fixed = np.repeat(across, 3)
    x, y = (ends, fixed) if along == "x" else (fixed, ends)
    axes.plot(
        _values(x, panel.x),
        _values(y, panel.y),
        "-",
        lw=_WIDTH * mark.error_width,
        color=mark.colour,
        solid_capstyle="butt",
        zorder=3,
    )


def _values(coordinates: FloatArray, axis: charts.Axis) -> FloatArray:
    """What matplotlib draws on a logarithmic axis: the values themselves."""
    return np.asarray(float(axis.base) ** coordinates) if axis.base is not None else coordinates


def _strip_height(panel: charts.Panel, rows: float) -> float:
    """Height on the y axis that is so many rows above the frame."""
    return panel.y.high + rows * _STRIP_ROW * (panel.y.high - panel.y.low)


def _set_axis(axes: Axes, which: Literal["x", "y"], axis: charts.Axis) -> None:
    """Scale, limits, label and ticks of one axis."""
    side = axes.xaxis if which == "x" else axes.yaxis
    low, high = _values(np.array([axis.low, axis.high]), axis).tolist()
    if axis.base is not None:
        getattr(axes, f"set_{which}scale")("log", base=axis.base)
    axes.set(**{f"{which}lim": (low, high)})
    side.set_label_text(axis.label, fontsize=_SMALL, parse_math=False)
    if axis.ticks is not None:
        places = _values(np.array([at for at, _ in axis.ticks]), axis)
        side.set_ticks(places, [label for _, label in axis.ticks], parse_math=False)
        side.set_ticks([], minor=True)


def _annotate(axes: Axes, panel: charts.Panel, note: charts.Note) -> None:
    offset, side = ((3, 3), "bottom") if note.above else ((3, -3), "top")
    axes.annotate(
        note.text,
        (float(_values(np.array(note.x), panel.x)), float(_values(np.array(note.y), panel.y))),
        xytext=offset,
        textcoords="offset points",
        ha="right",
        va=side,
        fontsize=_SMALL,
        color=palette.ACCENT,
        parse_math=False,
    )


def _write_message(axes: Axes, text: str) -> None:
    axes.text(
        0.5,
        0.97,
        textwrap.fill(text, 34),
        ha="center",
        va="top",
        transform=axes.transAxes,
        fontsize=_SMALL,
        color=palette.GREY,
        parse_math=False,
    )


def _quiet(axes: Axes) -> None:
    """Two thin spines, small ticks, nothing else."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.6)
        axes.spines[side].set_color(palette.GREY)
    axes.tick_params(labelsize=_SMALL, width=0.6, length=3, color=palette.GREY, labelcolor=palette.INK)
    axes.tick_params(which="minor", width=0.4, length=1.8, color=palette.GREY)
