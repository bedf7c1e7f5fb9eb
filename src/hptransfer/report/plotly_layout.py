"""The parts that every interactive panel shares: axes, labels, error bars, numbers, as plotly data."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from hptransfer.quantify.result import Estimate
from hptransfer.report import palette
from hptransfer.sweep.table import FloatArray

Panel = dict[str, Any]  # {"data": [...], "layout": {...}}, as Plotly.newPlot takes them

FONT = '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


def layout(x: tuple[float, float], y: tuple[float, float]) -> dict[str, Any]:
    """A quiet panel: two axis lines, small ticks, no grid; `x` and `y` are the ranges."""
    axis = {
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
    return {
        "xaxis": axis | {"range": list(x)},
        "yaxis": axis | {"range": list(y), "nticks": 6},
        "margin": {"l": 44, "r": 10, "t": 22, "b": 40},
        "font": {"family": FONT, "size": 12, "color": palette.INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "#fff",
            "bordercolor": palette.GREY,
            "align": "left",
            "font": {"family": FONT, "size": 12, "color": palette.INK},
        },
    }


def powers() -> dict[str, Any]:
    """Tick labels of a log2 axis as powers of two, at any zoom."""
    return {"tickprefix": "2<sup>", "ticksuffix": "</sup>", "nticks": 7}


def title(text: str) -> dict[str, Any]:
    """The horizontal axis named below it; the user's text is escaped."""
    return {
        "text": escape(text, quote=False),
        "font": {"size": 11, "color": palette.GREY},
        "standoff": 4,
    }


def y_title(text: str) -> dict[str, Any]:
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


def error(up: list[float], down: list[float], colour: str, width: float) -> dict[str, Any]:
    """Error bars without caps, `up` and `down` from each point."""
    return {
        "type": "data",
        "symmetric": False,
        "array": up,
        "arrayminus": down,
        "color": colour,
        "thickness": width,
        "width": 0,
    }


def symbol(item: Estimate, usual: str) -> str:
    """The marker of an estimate: an arrow where its interval is open on one side."""
    if item.low is not None and item.high is None:
        return "triangle-up"  # the optimum lies at or above this point
    return "triangle-down" if item.high is not None and item.low is None else usual


def power(text: str) -> str:
    """`2^-7.31 = 0.0063` with a raised exponent."""
    head, sep, tail = text.partition(" = ")
    base, caret, exponent = head.partition("^")
    raised = exponent.replace("-", "\u2212")
    return f"{base}<sup>{raised}</sup>{sep}{tail}" if caret else text


def numbers(values: FloatArray) -> list[float | None]:
    """Six significant digits are plenty for a screen; NaN becomes the gap that plotly knows as null."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]
