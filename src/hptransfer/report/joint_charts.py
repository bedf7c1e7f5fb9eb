"""Figures of a joint fit: contours of the loss in two hyperparameters, laws, profiles and slices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from hptransfer.quantify.axes.answers import written
from hptransfer.quantify.joint.result import JointLaw, JointOptimum, JointSweepFit, JointVariant
from hptransfer.quantify.result import Estimate
from hptransfer.report import charts, number_format, palette
from hptransfer.report.law_chart import split_at
from hptransfer.sweep.table import FloatArray

_HEIGHTS = (1.0, 4.0, 16.0)  # of the tolerance: classes of runs, and the contours
_ELLIPSE = 5.991  # 95% of a chi-squared with two degrees of freedom
_MOST_TICKS = 6
_SHADES = ("#1c1c1c", "#66665f", "#a9a79f", "#d8d6d0")  # of runs, the lowest losses darkest


def places(fit: JointSweepFit, j: int, values: FloatArray) -> FloatArray:
    """log2 of values of hyperparameter j, zero at its place."""
    zero = fit.zero_places.get(fit.hp[j], 1.0)
    return np.asarray(np.log2(np.where(values > 0, values, zero)))


class Optima(Protocol):
    """A variant with optima, over one axis of scale or several."""

    @property
    def name(self) -> str:
        """Of the variant."""

    @property
    def optima(self) -> tuple[JointOptimum, ...]:
        """At every scale, or point of several axes."""


def place_of(fit: JointSweepFit, optimum: JointOptimum) -> str:
    """Where an optimum is, in words: `width 512`; `params 1.07B, tokens 20B`."""
    return written(optimum.at) or f"{fit.sweep.columns.scale} {number_format.scale(optimum.scale)}"


def contours(fit: JointSweepFit, variant: Optima, pair: tuple[int, int]) -> charts.Figure:
    """A panel for each scale: runs by their loss, contours of the fit, the optimum with its 95% ellipse."""
    mine = fit.sweep.variant == variant.name
    i, j = pair
    x, y = (_axis(fit, k, places(fit, k, fit.values[mine, k])) for k in pair)
    panels = []
    for optimum in variant.optima:
        title = place_of(fit, optimum)
        marks: list[charts.Mark] = [*_runs(fit, variant, optimum.scale, pair)]
        lines = [c for c in optimum.contours if c.pair == pair]
        for line, width in zip(lines, (1.6, 1.1, 0.7), strict=False):
            marks.append(charts.Line(line.x, line.y, "#2f6f97", width))
        marks += _optimum(fit, optimum, i, j)
        message = "" if lines else "no optimum: too few finished runs"
        panels.append(charts.Panel(title, x, y, tuple(marks), message=message))
    return charts.Figure(tuple(panels), _contour_key(fit))


def _contour_key(fit: JointSweepFit) -> tuple[charts.KeyItem, ...]:
    unit, tolerance = fit.sweep.metric.unit, fit.settings["tolerance"]
    items = [charts.KeyItem(f"runs above the lowest of their {fit.sweep.columns.scale} by")]
    heads = [number_format.rough(times * tolerance) for times in _HEIGHTS]
    labels = [
        f"up to {heads[0]}",
        *(f"{a} to {b}" for a, b in pairwise(heads)),
        f"more {unit}",
    ]
    items += [charts.KeyItem(label, shade, "circle") for label, shade in zip(labels, _SHADES, strict=True)]
    items.append(charts.KeyItem("diverged", palette.GREY, "cross"))
    items.append(charts.KeyItem("optimum and its 95% ellipse", palette.ACCENT, "circle", 1.6))
    return tuple(items)


def _runs(fit: JointSweepFit, variant: Optima, scale: float, pair: tuple[int, int]) -> list[charts.Points]:
    sweep = fit.sweep
    here = (sweep.variant == variant.name) & (sweep.scale == scale)
    x, y = (places(fit, k, fit.values[:, k]) for k in pair)
    loss = np.where(sweep.diverged, np.nan, sweep.loss)
    lowest = np.nanmin(loss[here]) if np.isfinite(loss[here]).any() else np.nan
    edges = np.array([0.0, *_HEIGHTS, np.inf]) * fit.settings["tolerance"]
    rise, marks = loss - lowest, []
    for k in reversed(range(len(_SHADES))):
        rows = here & (rise >= edges[k]) & (rise < edges[k + 1])
        marks.append(_dots(fit, rows, x, y, _SHADES[k], "circle"))
    marks.append(_dots(fit, here & sweep.diverged, x, y, palette.GREY, "cross"))
    return [mark for mark in marks if len(mark.x)]


def _dots(
    fit: JointSweepFit, rows: FloatArray, x: FloatArray, y: FloatArray, colour: str, symbol: charts.Symbol
) -> charts.Points:
    names, loss = fit.hp, fit.sweep.loss
    texts = tuple(
        "\n".join(
            [
                f"{fit.sweep.columns.loss} {number_format.loss_text(loss[row])}"
                if np.isfinite(loss[row])
                else "diverged",
                *(f"{name} {number_format.rough(fit.values[row, k])}" for k, name in enumerate(names)),
            ]
        )
        for row in np.flatnonzero(rows)
    )
    width = 1.3 if symbol == "cross" else 0.0
    return charts.Points(x[rows], y[rows], colour, symbol, 5, edge_width=width, texts=texts)


def _optimum(fit: JointSweepFit, optimum: JointOptimum, i: int, j: int) -> list[charts.Mark]:
    """The optimum and the ellipse of its posterior; none where it is not known."""
    items = [optimum.hp[fit.hp[k]] for k in (i, j)]
    if optimum.covariance is None or any(item.value is None for item in items):
        return []
    x, y = (float(places(fit, k, np.array(item.value))) for k, item in zip((i, j), items, strict=True))
    text = "\n".join(
        [
            f"optimum at {place_of(fit, optimum)}",
            *(
                f"{fit.hp[k]} {number_format.decimal(e)} {number_format.hp_interval(e)}"
                for k, e in zip((i, j), items, strict=True)
            ),
        ]
    )
    ring = ellipse(optimum.covariance[np.ix_((i, j), (i, j))])
    dot = charts.Points(
        np.array([x]),
        np.array([y]),
        palette.ACCENT,
        "circle",
        7,
        edge=palette.PAPER,
        edge_width=1.0,
        texts=(text,),
    )
    return [charts.Line(x + ring[0], y + ring[1], palette.ACCENT, 1.6), dot]


def ellipse(covariance: FloatArray) -> FloatArray:
    """The 95% ellipse of a covariance [2, 2] about its centre, [2, points]."""
    angle = np.linspace(0.0, 2 * np.pi, 61)
    root = np.linalg.cholesky(covariance + 1e-12 * np.eye(2))
    return np.asarray(np.sqrt(_ELLIPSE) * root @ np.stack([np.cos(angle), np.sin(angle)]))


def _axis(fit: JointSweepFit, j: int, x: FloatArray) -> charts.Axis:
    """Over the values x that were run, log2."""
    low, high = float(x.min()) - 0.5, float(x.max()) + 0.5
    zero = fit.zero_places.get(fit.hp[j])
    found = list(ticks(low if zero is None else float(np.log2(zero)) + 1.0, high))
    if zero is not None:
        found.insert(0, (float(np.log2(zero)), "0"))
    return charts.Axis(low, high, fit.hp[j], base=2, ticks=tuple(found))


def ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Powers of two, or halves of one, few enough, as plain numbers."""
    step = next(s for s in (0.25, 0.5, *range(1, 60)) if (high - low) / s <= _MOST_TICKS or s == 59)
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return tuple((step * k, _tick_label(2.0 ** (step * k))) for k in range(first, last + 1))


def _tick_label(value: float) -> str:
    """Two digits of a small number, whole ones up to a million."""
    if value >= 1e4:
        return number_format.scale(value)
    return number_format.rough(value, 2) if value < 100 else number_format.count(value)


def law(fit: JointSweepFit, variant: JointVariant, name: str) -> charts.Figure:
    """One quantity's optima against scale, its law and band, the predictions at the targets."""
    found = variant.laws.get(name)
    optima = [(o.scale, {**o.hp, **o.combinations}[name]) for o in variant.optima]
    ahead = [(p.scale, {**p.hp, **p.combinations}[name]) for p in variant.predictions]
    known = [(n, item) for n, item in optima if _positive(item)]
    targets = [(n, item) for n, item in ahead if _positive(item)]
    scale, y = fit.sweep.columns.scale, _law_axis(name, found, [*known, *targets])
    ends = [n for n, _ in (*optima, *ahead)]
    low, high = float(np.log2(min(ends))) - 0.3, float(np.log2(max(ends))) + 0.3
    x = charts.Axis(low, high, scale, base=2, ticks=charts.tick_labels(ends, low, high))
    marks: list[charts.Mark] = []
    if found is not None:
        at, largest = np.log2(found.scale), max(n for n, _ in optima)
        marks.append(charts.Band(at, np.log2(found.low), np.log2(found.high), palette.ACCENT))
        for part, dashed in zip(split_at(found.scale, largest), (False, True), strict=True):
            if part.sum() > 1:
                marks.append(charts.Line(at[part], np.log2(found.value[part]), palette.ACCENT, 1.6, dashed))
    marks += [
        _estimates(known, palette.INK, "circle", scale),
        _estimates(targets, palette.ACCENT, "diamond", scale),
    ]
    message = (
        "" if found is not None else "no law: fewer than three scales with an optimum inside what was run"
    )
    return charts.Figure((charts.Panel(name, x, y, tuple(marks), message=message),))


def _positive(item: Estimate) -> bool:
    return item.value is not None and item.value > 0


def _law_axis(name: str, found: JointLaw | None, items: Sequence[tuple[float, Estimate]]) -> charts.Axis:
    middle = [np.log2(v) for _, e in items for v in (e.value, e.low, e.high) if v is not None and v > 0]
    if found is not None:
        middle += np.log2(found.value).tolist()
    low, high = (min(middle), max(middle)) if middle else (0.0, 1.0)
    margin = 0.1 * max(high - low, 1.0)
    low, high = float(low - margin), float(high + margin)
    return charts.Axis(low, high, name, base=2, ticks=ticks(low, high))


def _estimates(
    items: Sequence[tuple[float, Estimate]], colour: str, symbol: charts.Symbol, scale: str
) -> charts.Points:
    octaves = [number_format.octaves(e) for _, e in items]
    texts = tuple(
        f"{scale} {number_format.scale(n)}\n{number_format.decimal(e)} {number_format.hp_interval(e)}"
        for n, e in items
    )
    return charts.Points(
        np.log2(np.array([n for n, _ in items])),
        np.array([e.value for e in octaves], dtype=float),
        colour,
        symbol,
        7,
        edge=palette.PAPER,
        edge_width=1.0,
        y_error=charts.error_bars(octaves),
        texts=texts,
    )


def profiles(fit: JointSweepFit, variant: Optima, j: int) -> charts.Figure:
    """Loss above the optimum along one hyperparameter: others at their best (solid), or fixed (dashed)."""
    name, unit = fit.hp[j], fit.sweep.metric.unit
    fitted = [o for o in variant.optima if name in o.curves and o.loss.value is not None]
    colours = palette.sequence(max(len(fitted), 1))
    top = _HEIGHTS[-1] * fit.settings["tolerance"]
    marks: list[charts.Mark] = []
    for o, colour in zip(fitted, colours, strict=False):
        curve, base = o.curves[name], float(o.loss.value or 0.0)
        head = place_of(fit, o)
        if o is fitted[-1]:
            shown = curve.low - base <= 1.2 * top
            marks.append(
                charts.Band(curve.x[shown], (curve.low - base)[shown], (curve.high - base)[shown], colour)
            )
        for values, dashed, words in (
            (curve.profile, False, "best over the others"),
            (curve.slice, True, "others fixed"),
        ):
            rise = np.where(values - base <= 1.3 * top, values - base, np.nan)
            label = f"{head}, {words}\n{name} 2^%{{x:.2f}}\n+%{{y:.4f}}"
            marks.append(charts.Line(curve.x, rise, colour, 0.9 if dashed else 1.6, dashed, template=label))
    mine = fit.sweep.variant == variant.name
    x = _axis(fit, j, places(fit, j, fit.values[mine, j]))
    y = charts.Axis(-0.03 * top, top, f"{fit.sweep.columns.loss} above the optimum, {unit}")
    key = [] if any(o.at for o in fitted) else [charts.KeyItem(fit.sweep.columns.scale)]
    key += [
        charts.KeyItem(written(o.at) or number_format.scale(o.scale), colour, "circle", 1.6)
        for o, colour in zip(fitted, colours, strict=False)
    ]
    message = "" if fitted else "no optimum: too few finished runs"
    return charts.Figure((charts.Panel(name, x, y, tuple(marks), message=message),), tuple(key))
