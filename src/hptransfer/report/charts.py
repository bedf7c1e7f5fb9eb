"""Figures as plain data: what is drawn where, in which colour, with which text. Two back ends draw them.

Coordinates are those of the axis: on a logarithmic axis, logarithms to its base. Every text is plain: a line
break is a newline, a power of two is written `2^-7.31`, and nothing is escaped. A back end sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hptransfer.quantify.result import Estimate
from hptransfer.report import number_format, palette
from hptransfer.sweep.table import FloatArray

Symbol = Literal["circle", "diamond", "up", "down", "open_up", "cross"]
_CHARACTERS = 38.0  # of a tick label's size that fit along a panel


@dataclass(frozen=True)
class Axis:
    """One axis of a panel."""

    low: float  # its ends
    high: float  # its ends
    label: str  # what it shows, with the unit
    # of the logarithms that its coordinates are; None where they are the values themselves
    base: int | None = None
    powers: bool = False  # whether its ticks are labelled as powers of the base
    # places and their labels; None lets the back end choose, and an empty tuple draws none
    ticks: tuple[tuple[float, str], ...] | None = None


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points; NaN breaks it."""

    x: FloatArray  # shape [points]
    y: FloatArray  # shape [points]
    colour: str  # as #rrggbb
    width: float  # pixels of a screen
    dashed: bool = False  # whether it is
    marker: float = 0.0  # diameter of a dot at every point, pixels; 0 draws none
    texts: tuple[str, ...] = ()  # what a reader who points at a point is told, shape [points]; or
    # one text for all points, in which `%{x}` and `%{y:.3f}` stand for the point's own numbers
    template: str = ""
    name: str = ""  # for a legend of the caller's


@dataclass(frozen=True, eq=False)
class Points:
    """Markers with error bars."""

    x: FloatArray  # shape [points]; in the strip above the frame, y is the row, from 0 at the bottom
    y: FloatArray  # shape [points]; in the strip above the frame, y is the row, from 0 at the bottom
    colour: str  # of the error bars, and of the markers where `fill` or `edge` do not say otherwise
    symbol: Symbol | tuple[Symbol, ...]  # of all points, or one for each
    size: float  # diameter, pixels
    fill: str | None = None  # colours of the markers; None takes `colour`
    edge: str | None = None  # colours of the markers; None takes `colour`
    edge_width: float = 0.0  # pixels
    opacity: float = 1.0  # of the markers
    # lengths of the error bars to the lower and the upper side, shape [2, points]
    x_error: FloatArray | None = None
    # lengths of the error bars to the lower and the upper side, shape [2, points]
    y_error: FloatArray | None = None
    error_width: float = 1.3  # pixels
    names: tuple[str, ...] = ()  # written beside the points
    texts: tuple[str, ...] = ()  # what a reader who points at a point is told, shape [points]
    tags: Mapping[str, str] = field(default_factory=dict)  # what the page's filters choose by
    in_strip: bool = False  # whether they stand in the strip above the frame


@dataclass(frozen=True, eq=False)
class Band:
    """The area between two curves, such as a prediction band; x, low, high of shape [points]."""

    x: FloatArray
    low: FloatArray
    high: FloatArray
    colour: str


@dataclass(frozen=True, eq=False)
class Heat:
    """A heat map, the first row on top."""

    columns: tuple[str, ...]  # their labels
    rows: tuple[str, ...]  # their labels
    values: FloatArray  # what a reader who points at a cell is told, shape [rows, columns]
    shown: FloatArray  # what the colour stands for, of the same shape
    label: str  # of the colour bar


@dataclass(frozen=True)
class Note:
    """A text whose right end stands above (or below) a point."""

    x: float
    y: float
    text: str
    above: bool


Mark = Line | Points | Band | Heat


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes with what is drawn on them."""

    name: str  # of the variant, where the panel shows one
    x: Axis  # the axes
    y: Axis  # the axes
    marks: tuple[Mark, ...]  # from back to front
    notes: tuple[Note, ...] = ()  # texts beside points
    zero: Literal["x", "y"] | None = None  # axis on which a hairline marks 0
    strip_rows: int = 0  # rows of a strip above the frame, for runs that have no place on the y axis
    message: str = ""  # what is missing, in a sentence without its full stop


@dataclass(frozen=True)
class KeyItem:
    """An entry of a figure's key; without a symbol, it heads those that follow."""

    label: str
    colour: str = palette.INK
    symbol: Symbol | None = None
    line_width: float = 0.0


@dataclass(frozen=True, eq=False)
class Figure:
    """Panels on the same axes, one for each variant, and what their colours and symbols mean."""

    panels: tuple[Panel, ...]
    key: tuple[KeyItem, ...] = ()


def tick_labels(scales: Iterable[float], low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Ticks at those scales whose labels do not touch, ends first.

    Returns:
        log2 of each scale that is kept, with its label, ascending.
    """
    each = sorted(set(scales))
    kept: list[float] = []
    for value in dict.fromkeys([*each[:1], *each[-1:], *each[-2:0:-1]]):
        if all(_apart(value, other, (high - low) / _CHARACTERS) for other in kept):
            kept.append(value)
    return tuple((float(np.log2(n)), number_format.scale(n)) for n in sorted(kept))


def _apart(a: float, b: float, character: float) -> bool:
    """Whether the labels of two scales leave a space between them; `character` is a letter's width."""
    letters = (len(number_format.scale(a)) + len(number_format.scale(b))) / 2 + 1
    return bool(abs(np.log2(a) - np.log2(b)) >= letters * character)


def error_bars(items: Sequence[Estimate]) -> FloatArray:
    """Distances from each value down to its lower and up to its upper limit, 0 where unknown, [2, items]."""
    down = [_distance(item.low, item.value) for item in items]
    return np.array([down, [_distance(item.value, item.high) for item in items]])


def _distance(lower: float | None, upper: float | None) -> float:
    if number_format.known(lower) and number_format.known(upper):
        return max(upper - lower, 0.0)
    return 0.0
