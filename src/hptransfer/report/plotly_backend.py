"""Panels as plain plotly data, which the page's script draws."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from hptransfer.report import charts, palette
from hptransfer.sweep.table import FloatArray

Json = dict[str, Any]  # {"data": [...], "layout": {...}}, as Plotly.newPlot takes them

FONT = '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_STRIP = 0.13  # of a panel's height: runs that have no place on the y axis
_GAP = 0.03  # between the frame and the strip
_SYMBOLS: dict[charts.Symbol, str] = {
    "circle": "circle",
    "diamond": "diamond",
    "up": "triangle-up",
    "down": "triangle-down",
    "open_up": "triangle-up-open",
    "cross": "x-thin",
}


def panel(item: charts.Panel) -> Json:
    """A panel as plotly takes it."""
    layout = _layout(item)
    if any(isinstance(mark, charts.Heat) for mark in item.marks):
        _use_categories(layout)
    if item.strip_rows:
        layout["yaxis"]["domain"] = [0, 1 - _STRIP - _GAP]
        layout["yaxis2"] = {
            "domain": [1 - _STRIP, 1],
            "range": [-0.7, item.strip_rows - 0.3],
            "visible": False,
            "fixedrange": True,
            "anchor": "x",
        }
    return {"data": [_trace(mark, item.x, item.y) for mark in item.marks], "layout": layout}


def panels(figure: charts.Figure) -> list[Json]:
    """The panels of a figure, in its order."""
    return [panel(item) for item in figure.panels]


def _layout(item: charts.Panel) -> Json:
    """A quiet panel: two axis lines, small ticks, no grid; the y axis is named above it."""
    layout: Json = {
        "xaxis": _axis(item.x) | {"title": _title(item.x.label)},
        "yaxis": {"nticks": 6, "automargin": item.y.ticks is not None} | _axis(item.y),
        "margin": {"l": 44, "r": 10, "t": 22, "b": 40},
        "font": {"family": FONT, "size": 12, "color": palette.INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": palette.PAPER,
            "bordercolor": palette.GREY,
            "align": "left",
            "font": {"family": FONT, "size": 12, "color": palette.INK},
        },
        "annotations": [_y_title(item.y.label)] if item.y.label else [],
    }
    layout["annotations"] += [_note(note) for note in item.notes]
    if item.zero:
        other = "y" if item.zero == "x" else "x"
        line: Json = {f"{item.zero}0": 0, f"{item.zero}1": 0}
        line |= {f"{other}0": 0, f"{other}1": 1, f"{other}ref": "paper"}
        layout["shapes"] = [line | {"type": "line", "line": {"color": palette.HAIR, "width": 1}}]
    return layout


def _axis(axis: charts.Axis) -> Json:
    found: Json = {
        "range": [axis.low, axis.high],
        "showgrid": False,
        "zeroline": False,
        "showline": True,
        "linecolor": palette.GREY,
        "linewidth": 1,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": palette.GREY,
        "tickfont": {"size": 11, "color": palette.INK},
    }
    if axis.powers:  # at any zoom
        found |= {"tickprefix": f"{axis.base}<sup>", "ticksuffix": "</sup>", "nticks": 7}
    elif _has_log_type(axis):
        found["type"] = "log"
    if axis.ticks is not None:
        places, labels = _numbers(np.array([at for at, _ in axis.ticks])), [text for _, text in axis.ticks]
        found |= {"tickvals": places, "ticktext": [escape(label, quote=False) for label in labels]}
    return found


def _has_log_type(axis: charts.Axis) -> bool:
    """Whether plotly takes the logarithm itself: where it chooses and writes the ticks as plain numbers."""
    return axis.base is not None and not axis.powers and axis.ticks is None


def _placed(values: FloatArray, axis: charts.Axis) -> list[float | None]:
    return _numbers(float(axis.base) ** values if axis.base and _has_log_type(axis) else values)


def _numbers(values: FloatArray) -> list[float | None]:
    """Six significant digits are plenty for a screen; NaN becomes the gap that plotly knows as null."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]


def _use_categories(layout: Json) -> None:
    """A heat map's axes are its rows and columns, the first row on top."""
    for name, direction in (("xaxis", True), ("yaxis", "reversed")):
        for key in ("range", "tickvals", "ticktext", "nticks"):
            layout[name].pop(key, None)
        layout[name] |= {"type": "category", "autorange": direction}
    layout["xaxis"]["nticks"] = 12


def _title(text: str) -> Json:
    return {
        "text": escape(text, quote=False),
        "font": {"size": 11, "color": palette.GREY},
        "standoff": 4,
    }


def _y_title(text: str) -> Json:
    """The vertical axis named above it, so that nobody has to tilt their head."""
    return {
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": 1,
        "xshift": -44,
        "yshift": 20,
        "xanchor": "left",
        "yanchor": "top",
        "text": escape(text, quote=False),
        "showarrow": False,
        "font": {"size": 11, "color": palette.GREY},
    }


def _note(note: charts.Note) -> Json:
    return {
        "x": note.x,
        "y": note.y,
        "text": escape(note.text, quote=False),
        "showarrow": False,
        "xanchor": "right",
        "xshift": 6,
        "yanchor": "bottom" if note.above else "top",
        "font": {"color": palette.ACCENT, "size": 12},
    }


def _trace(mark: charts.Mark, x: charts.Axis, y: charts.Axis) -> Json:
    """One mark as a plotly trace on these axes."""
    match mark:
        case charts.Line():
            return _line(mark, x, y)
        case charts.Points():
            return _points(mark, x, y)
        case charts.Band():
            return _band(mark, x, y)
        case charts.Heat():
            return _heat(mark, x)


def _line(mark: charts.Line, x: charts.Axis, y: charts.Axis) -> Json:
    trace: Json = {
        "type": "scatter",
        "mode": "lines+markers" if mark.marker else "lines",
        "x": _placed(mark.x, x),
        "y": _placed(mark.y, y),
        "line": {"color": mark.colour, "width": mark.width, "dash": "5px,4px" if mark.dashed else "solid"},
    }
    if mark.marker:
        trace["marker"] = {"size": mark.marker}
    return trace | _hover(mark.texts, mark.template)


def _points(mark: charts.Points, x: charts.Axis, y: charts.Axis) -> Json:
    trace: Json = {
        "type": "scatter",
        "mode": "markers+text" if mark.names else "markers",
        "x": _placed(mark.x, x),
        "y": _placed(mark.y, y),
        "marker": {
            "color": mark.fill or mark.colour,
            "size": mark.size,
            "symbol": _symbol(mark.symbol),
            "opacity": mark.opacity,
            "line": {"color": mark.edge or mark.colour, "width": mark.edge_width},
        },
    }
    for name, lengths in (("error_x", mark.x_error), ("error_y", mark.y_error)):
        if lengths is not None:
            trace[name] = _error(lengths, mark.colour, mark.error_width)
    if mark.in_strip:
        trace["yaxis"] = "y2"
    if mark.names:
        names = [escape(name, quote=False) for name in mark.names]
        trace |= {"text": names, "textposition": "top right", "textfont": {"size": 10}}
    if mark.tags:
        trace["meta"] = dict(mark.tags)
    return trace | _hover(mark.texts)


def _band(mark: charts.Band, x: charts.Axis, y: charts.Axis) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _placed(np.concatenate([mark.x, mark.x[::-1]]), x),
        "y": _placed(np.concatenate([mark.low, mark.high[::-1]]), y),
        "fill": "toself",
        "fillcolor": palette.faded(mark.colour, palette.BAND_OPACITY),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _heat(mark: charts.Heat, x: charts.Axis) -> Json:
    shades = palette.HEAT
    label = escape(mark.label, quote=False).replace("log2", "log<sub>2</sub>")
    return {
        "type": "heatmap",
        "x": list(mark.columns),
        "y": [escape(row, quote=False) for row in mark.rows],
        "z": [_numbers(row) for row in mark.shown],
        "colorscale": [[i / (len(shades) - 1), shade] for i, shade in enumerate(shades)],
        "xgap": 1,
        "ygap": 1,
        "colorbar": {
            "title": {"text": label, "side": "right", "font": {"size": 11}},
            "thickness": 10,
            "outlinewidth": 0,
            "tickfont": {"size": 10},
        },
        "customdata": [_numbers(row) for row in mark.values],
        "hovertemplate": f"%{{y}}<br>{escape(x.label)} %{{x}}<br>%{{customdata:.4g}}<extra></extra>",
    }


def _symbol(symbol: charts.Symbol | tuple[charts.Symbol, ...]) -> str | list[str]:
    """One name where all are the same, so that a page of thousands of points stays small."""
    names = [_SYMBOLS[symbol]] if isinstance(symbol, str) else [_SYMBOLS[each] for each in symbol]
    return names[0] if len(set(names)) == 1 else names


def _error(lengths: FloatArray, colour: str, width: float) -> Json:
    """Error bars without caps."""
    return {
        "type": "data",
        "symmetric": False,
        "array": _numbers(lengths[1]),
        "arrayminus": _numbers(lengths[0]),
        "color": colour,
        "thickness": width,
        "width": 0,
    }


def _hover(texts: Sequence[str], template: str = "") -> Json:
    """What pointing at a mark shows: one text for each point, or one template."""
    if template:
        return {"hovertemplate": f"{_set(template)}<extra></extra>"}
    if not texts:
        return {"hoverinfo": "skip"}
    return {"hovertext": [_set(text) for text in texts], "hovertemplate": "%{hovertext}<extra></extra>"}


def _set(text: str) -> str:
    """Plain text as plotly sets it: the first line bold, exponents of two raised."""
    raised = re.sub(r"\b2\^(-?[\d.]+)", _raise, escape(text, quote=False))
    first, *rest = raised.split("\n")
    return "<br>".join([f"<b>{first}</b>", *rest])


def _raise(power: re.Match[str]) -> str:
    exponent = power[1].replace("-", "\u2212")
    return f"2<sup>{exponent}</sup>"
