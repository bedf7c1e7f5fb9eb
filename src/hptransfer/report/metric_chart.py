"""Metrics with their intervals: one panel for each metric, one row for each variant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hptransfer.quantify.metrics import METRICS
from hptransfer.quantify.result import Estimate, VariantFit
from hptransfer.report import charts, number_format, palette

_MARGIN = 0.05  # of the span, on either side


def metrics(variants: Sequence[VariantFit], names: Sequence[str]) -> charts.Figure:
    """A panel for each of the metrics named, the first variant on top; a hairline marks zero."""
    return charts.Figure(tuple(_panel(variants, name) for name in names))


def _panel(variants: Sequence[VariantFit], name: str) -> charts.Panel:
    top = len(variants) - 1
    items = {top - row: variant.metrics.get(name, Estimate()) for row, variant in enumerate(variants)}
    known = {row: item for row, item in items.items() if number_format.known(item.value)}
    points = charts.Points(
        np.array([item.value for item in known.values()], dtype=float),
        np.array(list(known), dtype=float),
        palette.GREY,
        "circle",
        7,
        fill=palette.ACCENT,
        edge=palette.ACCENT,
        x_error=charts.error_bars(list(known.values())),
        error_width=1.9,
    )
    ends = [0.0, *(end for item in known.values() for end in number_format.known_numbers(item))]
    margin = _MARGIN * ((max(ends) - min(ends)) or 1.0)
    words = METRICS[name]
    x = charts.Axis(min(ends) - margin, max(ends) + margin, f"{words.label}\n{words.unit or ' '}")
    rows = tuple((float(top - row), variant.name) for row, variant in enumerate(variants))
    return charts.Panel("", x, charts.Axis(-0.5, top + 0.5, "", ticks=rows), (points,), zero="x")
