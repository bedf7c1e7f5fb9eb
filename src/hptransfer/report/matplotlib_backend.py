"""Draws a panel of any figure on matplotlib axes; no global state, so any number can live at once.

The panels come from `basin_chart`, `law_chart`, `metric_chart`, `phase_chart` and `dynamics_charts`.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hptransfer.report import charts, palette
from hptransfer.sweep.table import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

SMALL = 8.0  # points, for ticks and labels
_LINE_WIDTH = 0.75  # points of a line for a pixel of the screen
_DIAMETER = 0.55  # points of a marker for a pixel of the screen
_STRIP_ROW = 0.031  # of the frame's height, for a row of the strip above it
_SYMBOLS: dict[charts.Symbol, str] = {
    "circle": "o",
    "diamond": "D",
    "up": "^",
    "down": "v",
    "open_up": "^",
    "cross": "x",
}


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


def key_handle(item: charts.KeyItem) -> Line2D:
    """The line and the marker of a key's entry, for a legend."""
    from matplotlib.lines import Line2D

    handle = Line2D([], [], lw=_LINE_WIDTH * item.line_width, color=item.colour)
    if item.symbol is not None:
        hollow = item.symbol in ("open_up", "cross")
        handle.set(marker=_SYMBOLS[item.symbol], ms=_DIAMETER * 5, mew=_LINE_WIDTH if hollow else 0)
        handle.set(mfc="none" if hollow else item.colour)
    return handle


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
        lw=_LINE_WIDTH * mark.width,
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
            mew=_LINE_WIDTH * mark.edge_width,
            mec=mark.edge or mark.colour,
            mfc="none" if symbol == "open_up" else mark.fill or mark.colour,
            alpha=mark.opacity,
            zorder=3,
        )
    for i, name in enumerate(mark.names):
        at = (float(_values(mark.x[i], panel.x)), float(_values(y[i], panel.y)))
        axes.annotate(name, at, (3, 3), textcoords="offset points", size=SMALL - 1, parse_math=False)


def _draw_band(mark: charts.Band, axes: Axes, panel: charts.Panel) -> None:
    x, low, high = _values(mark.x, panel.x), _values(mark.low, panel.y), _values(mark.high, panel.y)
    axes.fill_between(x, low, high, color=mark.colour, alpha=palette.BAND_OPACITY, lw=0)


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
    look: dict[str, Any] = {"lw": _LINE_WIDTH * mark.error_width, "color": mark.colour, "zorder": 3}
    axes.plot(_values(x, panel.x), _values(y, panel.y), "-", solid_capstyle="butt", **look)


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
    side.set_label_text(axis.label, fontsize=SMALL, parse_math=False)
    if axis.ticks is not None:
        places = _values(np.array([at for at, _ in axis.ticks]), axis)
        side.set_ticks(places, [label for _, label in axis.ticks], parse_math=False)
        side.set_ticks([], minor=True)


def _annotate(axes: Axes, panel: charts.Panel, note: charts.Note) -> None:
    offset, side = ((3, 3), "bottom") if note.above else ((3, -3), "top")
    at = (float(_values(np.array(note.x), panel.x)), float(_values(np.array(note.y), panel.y)))
    place: dict[str, Any] = {"xytext": offset, "textcoords": "offset points", "ha": "right", "va": side}
    axes.annotate(note.text, at, fontsize=SMALL, color=palette.ACCENT, parse_math=False, **place)


def _write_message(axes: Axes, text: str) -> None:
    words = textwrap.fill(text, 34)
    place: dict[str, Any] = {"ha": "center", "va": "top", "transform": axes.transAxes}
    axes.text(0.5, 0.97, words, fontsize=SMALL, color=palette.GREY, parse_math=False, **place)


def _quiet(axes: Axes) -> None:
    """Two thin spines, small ticks, nothing else."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.6)
        axes.spines[side].set_color(palette.GREY)
    axes.tick_params(labelsize=SMALL, width=0.6, length=3, color=palette.GREY, labelcolor=palette.INK)
    axes.tick_params(which="minor", width=0.4, length=1.8, color=palette.GREY)
