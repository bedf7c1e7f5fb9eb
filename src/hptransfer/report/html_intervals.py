"""Intervals drawn in the cells of the page's tables, as small SVG images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hptransfer.quantify.result import Estimate
from hptransfer.report import number_format, palette
from hptransfer.report.html_elements import Draw

_WIDTH, _HEIGHT = 104, 9  # pixels of an interval


class _Interval(NamedTuple):
    """A value with its limits, and the colours of line and dot."""

    value: float
    limits: tuple[float, float]
    colour: str
    dot: str


def interval_strip(items: Sequence[Estimate]) -> Draw:
    """Draws intervals on one axis shared by a column, with a hairline at zero where zero is in reach.

    The axis spans the values and, as far as they stay within three times that span, the intervals.
    """
    low, high = _span(items)
    if high <= low:
        return lambda _: ""
    zero = _at(0.0, low, high) if low <= 0 <= high else None

    def draw(item: Estimate) -> str:
        if not number_format.known(item.value):
            return ""
        line = _Interval(item.value, _limits(item, item.value), palette.GREY, palette.ACCENT)
        return _svg([line], low, high, zero)

    return draw


def holdout_strip(predicted: Estimate, found: Estimate, reach: float) -> str:
    """The prediction over what was found, in octaves from the value found."""
    centre = number_format.octaves(found).value
    if centre is None or number_format.octaves(predicted).value is None or not reach > 0:
        return ""
    lines = []
    for item, colour in ((predicted, palette.ACCENT), (found, palette.INK)):
        x = number_format.octaves(item)
        assert x.value is not None
        left, right = _limits(x, x.value)
        lines.append(_Interval(x.value - centre, (left - centre, right - centre), colour, colour))
    return _svg(lines, -reach, reach, _at(0.0, -reach, reach))


def _limits(item: Estimate, value: float) -> tuple[float, float]:
    """Both limits; the value itself where one is not known."""
    low = item.low if number_format.known(item.low) else value
    return low, item.high if number_format.known(item.high) else value


def _svg(lines: Sequence[_Interval], low: float, high: float, zero: float | None) -> str:
    """Intervals one below the other."""
    height = _HEIGHT * len(lines)
    parts = []
    if zero is not None:
        parts.append(f'<path d="M{zero:.1f} 0V{height}" stroke="{palette.HAIR}"/>')
    for i, line in enumerate(lines):
        y = _HEIGHT * (i + 0.5)
        left, right = (min(max(_at(end, low, high), 0), _WIDTH) for end in line.limits)
        parts.append(f'<path d="M{left:.1f} {y}H{right:.1f}" stroke="{line.colour}" stroke-width="1.5"/>')
        parts.append(f'<circle cx="{_at(line.value, low, high):.1f}" cy="{y}" r="2.6" fill="{line.dot}"/>')
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    return f'<svg {size} aria-hidden="true">{"".join(parts)}</svg>'


def _at(value: float, low: float, high: float) -> float:
    return 4 + (_WIDTH - 8) * (value - low) / (high - low)


def _span(items: Sequence[Estimate]) -> tuple[float, float]:
    values = [i.value for i in items if number_format.known(i.value)]
    ends = [end for item in items for end in number_format.known_numbers(item)]
    if not values:
        return 0.0, 0.0
    # A wild interval must not squeeze the others to a dot: it runs off the strip instead.
    margin = 3 * max(max(values) - min(values), max(map(abs, values)) / 3)
    low, high = max(min(ends), min(values) - margin), min(max(ends), max(values) + margin)
    near = 0.5 * (high - low)
    return (min(low, 0.0) if low < near else low), (max(high, 0.0) if -high < near else high)
