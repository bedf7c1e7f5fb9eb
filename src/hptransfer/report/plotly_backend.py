"""Panels as plain plotly data, which the page's script draws."""

from __future__ import annotations

import math
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
_WORDS: Json = {"family": FONT, "size": 12, "color": palette.INK}
_LABEL: Json = {"size": 11, "color": palette.GREY}
_HOVER: Json = {"bgcolor": palette.PAPER, "bordercolor": palette.GREY, "align": "left", "font": _WORDS}
# A quiet panel: two axis lines, small ticks, no grid.
_LAYOUT: Json = {
    "margin": {"l": 44, "r": 10, "t": 22, "b": 40},
    "font": _WORDS,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "showlegend": False,
    "hovermode": "closest",
    "hoverlabel": _HOVER,
}
_AXIS: Json = {
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
# The vertical axis is named above it, so that nobody has to tilt their head.
_Y_TITLE: Json = {
    **{"xref": "paper", "yref": "paper", "x": 0, "y": 1, "xshift": -44, "yshift": 20},
    **{"xanchor": "left", "yanchor": "top", "showarrow": False, "font": _LABEL},
}


def panels(figure: charts.Figure) -> list[Json]:
    """The panels of a figure, in its order."""
    return [panel(item) for item in figure.panels]


def panel(item: charts.Panel) -> Json:
    """A panel as plotly takes it."""
    label = {"text": _escaped(item.x.label), "font": _LABEL, "standoff": 4}
    layout: Json = _LAYOUT | {
        "xaxis": _axis(item.x) | {"title": label},
        "yaxis": {"nticks": 6, "automargin": item.y.ticks is not None} | _axis(item.y),
        "annotations": [_Y_TITLE | {"text": _escaped(item.y.label)}] if item.y.label else [],
    }
    layout["annotations"] += [_note(note) for note in item.notes]
    if item.zero:
        ends = (
            {"x0": 0, "x1": 0, "y0": 0, "y1": 1} if item.zero == "x" else {"x0": 0, "x1": 1, "y0": 0, "y1": 0}
        )
        across = "yref" if item.zero == "x" else "xref"
        line = {"color": palette.HAIR, "width": 1}
        layout["shapes"] = [{"type": "line", **ends, across: "paper", "line": line}]
    if any(isinstance(mark, charts.Heat) for mark in item.marks):
        _use_categories(layout)
    if item.strip_rows:
        layout["yaxis"]["domain"] = [0, 1 - _STRIP - _GAP]
        strip = {"domain": [1 - _STRIP, 1], "range": [-0.7, item.strip_rows - 0.3], "anchor": "x"}
        layout["yaxis2"] = strip | {"visible": False, "fixedrange": True}
    return {"data": [_trace(mark, item.x, item.y) for mark in item.marks], "layout": layout}


def _axis(axis: charts.Axis) -> Json:
    found: Json = {"range": [axis.low, axis.high]} | _AXIS
    if axis.powers:
        found |= {"tickprefix": f"{axis.base}<sup>", "ticksuffix": "</sup>", "tick0": 0}
        found["dtick"] = _step(axis.high - axis.low)
    elif _has_log_type(axis):
        found["type"] = "log"
    if axis.ticks is not None:
        found["tickvals"] = _numbers(np.array([at for at, _ in axis.ticks]))
        found["ticktext"] = [_escaped(label) for _, label in axis.ticks]
    return found


def _step(span: float) -> float:
    """Between ticks that are powers: whole exponents as long as two of them fit. The page zooms likewise."""
    return float(math.ceil(span / 7)) if span >= 2 else 2.0 ** math.floor(math.log2(max(span, 1e-6) / 3))


def _has_log_type(axis: charts.Axis) -> bool:
    """Whether plotly takes the logarithm itself: where it chooses and writes the ticks as plain numbers."""
    return axis.base is not None and not axis.powers and axis.ticks is None


def _use_categories(layout: Json) -> None:
    """A heat map's axes are its rows and columns, the first row on top."""
    for name, direction in (("xaxis", True), ("yaxis", "reversed")):
        for key in ("range", "tickvals", "ticktext", "nticks"):
            layout[name].pop(key, None)
        layout[name] |= {"type": "category", "autorange": direction}
    layout["xaxis"]["nticks"] = 12


def _note(note: charts.Note) -> Json:
    place = {"x": note.x, "y": note.y, "xanchor": "right", "yanchor": "bottom" if note.above else "top"}
    look = {"showarrow": False, "xshift": 6, "font": {"color": palette.ACCENT, "size": 12}}
    return {"text": _escaped(note.text), **place, **look}


def _trace(mark: charts.Mark, x: charts.Axis, y: charts.Axis) -> Json:
    """One mark as a plotly trace on these axes."""
    if isinstance(mark, charts.Heat):
        return _heat(mark, x)
    if isinstance(mark, charts.Band):
        places = {
            "x": np.concatenate([mark.x, mark.x[::-1]]),
            "y": np.concatenate([mark.low, mark.high[::-1]]),
        }
        look = _band(mark)
    else:
        places = {"x": mark.x, "y": mark.y}
        look = _line(mark) if isinstance(mark, charts.Line) else _points(mark)
    return {"type": "scatter", "x": _placed(places["x"], x), "y": _placed(places["y"], y)} | look


def _placed(values: FloatArray, axis: charts.Axis) -> list[float | None]:
    return _numbers(float(axis.base) ** values if axis.base and _has_log_type(axis) else values)


def _numbers(values: FloatArray) -> list[float | None]:
    """Six significant digits are plenty for a screen; NaN becomes the gap that plotly knows as null."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]


def _line(mark: charts.Line) -> Json:
    stroke = {"color": mark.colour, "width": mark.width, "dash": "5px,4px" if mark.dashed else "solid"}
    dots: Json = (
        {"mode": "lines+markers", "marker": {"size": mark.marker}} if mark.marker else {"mode": "lines"}
    )
    return {"line": stroke} | dots | _hover(mark.texts, mark.template)


def _points(mark: charts.Points) -> Json:
    marker = {
        "color": mark.fill or mark.colour,
        "size": mark.size,
        "symbol": _symbol(mark.symbol),
        "opacity": mark.opacity,
        "line": {"color": mark.edge or mark.colour, "width": mark.edge_width},
    }
    trace: Json = {"mode": "markers+text" if mark.names else "markers", "marker": marker}
    for name, lengths in (("error_x", mark.x_error), ("error_y", mark.y_error)):
        if lengths is not None:
            trace[name] = _error(lengths, mark.colour, mark.error_width)
    if mark.in_strip:
        trace["yaxis"] = "y2"
    if mark.names:
        names = [_escaped(name) for name in mark.names]
        trace |= {"text": names, "textposition": "top right", "textfont": {"size": 10}}
    if mark.tags:
        trace["meta"] = dict(mark.tags)
    return trace | _hover(mark.texts)


def _band(mark: charts.Band) -> Json:
    shade = palette.faded(mark.colour, palette.BAND_OPACITY)
    return {"mode": "lines", "fill": "toself", "fillcolor": shade, "line": {"width": 0}, "hoverinfo": "skip"}


def _heat(mark: charts.Heat, x: charts.Axis) -> Json:
    shades = palette.HEAT
    label = _escaped(mark.label).replace("log2", "log<sub>2</sub>")
    title = {"text": label, "side": "right", "font": {"size": 11}}
    return {
        "type": "heatmap",
        "x": list(mark.columns),
        "y": [_escaped(row) for row in mark.rows],
        "z": [_numbers(row) for row in mark.shown],
        "colorscale": [[i / (len(shades) - 1), shade] for i, shade in enumerate(shades)],
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"title": title, "thickness": 10, "outlinewidth": 0, "tickfont": {"size": 10}},
        "customdata": [_numbers(row) for row in mark.values],
        "hovertemplate": f"%{{y}}<br>{escape(x.label)} %{{x}}<br>%{{customdata:.4g}}<extra></extra>",
    }


def _symbol(symbol: charts.Symbol | tuple[charts.Symbol, ...]) -> str | list[str]:
    """One name where all are the same, so that a page of thousands of points stays small."""
    names = [_SYMBOLS[symbol]] if isinstance(symbol, str) else [_SYMBOLS[each] for each in symbol]
    return names[0] if len(set(names)) == 1 else names


def _error(lengths: FloatArray, colour: str, width: float) -> Json:
    """Error bars without caps."""
    sides = {"symmetric": False, "array": _numbers(lengths[1]), "arrayminus": _numbers(lengths[0])}
    return {"type": "data", **sides, "color": colour, "thickness": width, "width": 0}


def _hover(texts: Sequence[str], template: str = "") -> Json:
    """What pointing at a mark shows: one text for each point, or one template."""
    if template:
        return {"hovertemplate": f"{_set(template)}<extra></extra>"}
    if not texts:
        return {"hoverinfo": "skip"}
    return {"hovertext": [_set(text) for text in texts], "hovertemplate": "%{hovertext}<extra></extra>"}


def _set(text: str) -> str:
    """Plain text as plotly sets it: the first line bold, exponents of two raised."""
    raised = re.sub(r"\b2\^(-?[\d.]+)", r"2<sup>\1</sup>", _escaped(text)).replace("<sup>-", "<sup>\u2212")
    first, *rest = raised.split("\n")
    return "<br>".join([f"<b>{first}</b>", *rest])


def _escaped(text: str) -> str:
    return escape(text, quote=False)
