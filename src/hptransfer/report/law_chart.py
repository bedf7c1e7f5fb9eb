"""The figures of the laws: optimum, or loss at the optimum, against scale, one panel for each variant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from hptransfer.quantify.result import Estimate, Law, SweepFit, VariantFit
from hptransfer.report import charts, number_format, palette, sentences
from hptransfer.sweep.table import BoolArray, FloatArray

Quantity = Literal["hp", "loss"]
_CONTEXT_POINTS = 13  # of each grey line: laws are smooth
_DECREASING = -0.05  # exponent below which the optimum counts as decreasing with scale
_LEAST_SPAN = {"hp": 1.0, "loss": 0.02}  # of the y axis, octaves or nats


class _Place(NamedTuple):
    """An estimate at a scale."""

    scale: float
    item: Estimate


def optimum_laws(fit: SweepFit, variants: Sequence[VariantFit]) -> charts.Figure:
    """The optimum against scale with its law, the band out to the target, and the value to use there."""
    return _figure(fit, variants, "hp", f"optimal {fit.sweep.columns.hp}")


def loss_laws(fit: SweepFit, variants: Sequence[VariantFit]) -> charts.Figure:
    """The loss at the optimum against scale, with its law and band."""
    return _figure(fit, variants, "loss", f"{fit.sweep.columns.loss} at the optimum")


def law_axes(
    variants: Iterable[VariantFit], quantity: Quantity, labels: tuple[str, str]
) -> tuple[charts.Axis, charts.Axis]:
    """Axes of log2 n and of the quantity that hold points, laws and predictions of every variant, x first.

    Bands widen fast far out, so they do not set the limits: they get at most as much room again as the points
    and laws need.
    """
    chosen = list(variants)
    places = [place for v in chosen for place in (*measured(v, quantity), *predicted(v, quantity))]
    known = [(p.scale, ends) for p in places if (ends := number_format.known_numbers(p.item))]
    scales = [scale for scale, _ in known]
    middle, outer = [ends[:1] for _, ends in known], [ends for _, ends in known]
    for law in (v.laws[quantity] for v in chosen if quantity in v.laws):
        if law.value is not None and law.low is not None and law.high is not None:
            middle.append(law.value.tolist())
            outer += [law.low.tolist(), law.high.tolist()]
    centre, edges = (
        _shown(np.array([end for ends in each for end in ends]), quantity) for each in (middle, outer)
    )
    centre, edges = centre[np.isfinite(centre)], edges[np.isfinite(edges)]
    if not scales or not centre.size:
        x, y = (charts.Axis(0.0, 1.0, label, ticks=()) for label in labels)
        return x, y
    bottom, top = float(centre.min()), float(centre.max())
    room = max(top - bottom, _LEAST_SPAN[quantity], 1e-3 * max(abs(bottom), abs(top)))
    low, high = max(float(edges.min()), bottom - room), min(float(edges.max()), top + room)
    margin = 0.09 * max(high - low, room)
    base = 2 if quantity == "hp" else None
    y = charts.Axis(low - margin, high + margin, labels[1], base=base, powers=quantity == "hp")
    return _x_axis(scales, [p.scale for p in places], labels[0]), y


def _x_axis(known: Sequence[float], every: Sequence[float], label: str) -> charts.Axis:
    x = np.log2(known)
    pad = 0.06 * max(float(np.ptp(x)), 1.0)
    low, high = float(x.min()) - pad, float(x.max()) + pad
    return charts.Axis(low, high, label, base=2, ticks=charts.tick_labels(every, low, high))


def measured(variant: VariantFit, quantity: Quantity) -> list[_Place]:
    """What was measured at each scale: an optimum as it was before it was pooled with its law."""
    if quantity == "hp":
        return [_Place(o.scale, o.unpooled_hp or o.hp) for o in variant.optima]
    return [_Place(o.scale, o.loss) for o in variant.optima]


def predicted(variant: VariantFit, quantity: Quantity) -> list[_Place]:
    """What the law says of each target."""
    return [_Place(p.scale, p.hp if quantity == "hp" else p.loss) for p in variant.predictions]


def _figure(fit: SweepFit, variants: Sequence[VariantFit], quantity: Quantity, label: str) -> charts.Figure:
    scale = fit.sweep.columns.scale
    x, y = law_axes(variants, quantity, (scale, label))
    write = _hp_text if quantity == "hp" else number_format.estimate
    panels = []
    for variant in variants:
        marks: list[charts.Mark] = [_context((v for v in variants if v is not variant), quantity)]
        known = [p for p in measured(variant, quantity) if number_format.known(p.item.value)]
        law = variant.laws.get(quantity)
        if law is not None:
            marks += _law(law, quantity, max((p.scale for p in known), default=0.0), f"law at {scale}", write)
        marks.append(_points(known, quantity, f"measured at {scale}", write))
        targets = [p for p in predicted(variant, quantity) if number_format.known(p.item.value)]
        marks.append(_points(targets, quantity, f"predicted at {scale}", write, guess=True))
        notes = _values_to_use(variant) if quantity == "hp" else ()
        message = "" if law is not None else f"no law: {sentences.no_law(variant)}"
        panels.append(charts.Panel(variant.name, x, y, tuple(marks), notes, message=message))
    return charts.Figure(tuple(panels))


def _shown(values: FloatArray, quantity: Quantity) -> FloatArray:
    """Values as the axis has them: log2 of a hyperparameter (NaN where not positive), or nats."""
    if quantity == "loss":
        return values
    return np.asarray(np.log2(np.where(values > 0, values, np.nan)))


def _hp_text(item: Estimate) -> str:
    return f"{number_format.hp(item)}\n{number_format.hp_interval(item)}".rstrip()


def _context(others: Iterable[VariantFit], quantity: Quantity) -> charts.Line:
    """The laws of the other variants, in grey hairlines."""
    x, y = [np.zeros(0)], [np.zeros(0)]
    for law in (v.laws[quantity] for v in others if quantity in v.laws):
        if law.scale is not None and law.value is not None:
            some = np.unique(np.linspace(0, len(law.scale) - 1, _CONTEXT_POINTS).round().astype(int))
            x += [np.log2(law.scale[some]), np.array([np.nan])]
            y += [_shown(law.value[some], quantity), np.array([np.nan])]
    return charts.Line(np.concatenate(x), np.concatenate(y), palette.HAIR, 1.0)


def split_at(scale: FloatArray, largest: float) -> tuple[BoolArray, BoolArray]:
    """Which points of a law lie where scales were measured, and which beyond; the last measured is both."""
    inside = scale <= largest * (1 + 1e-9)
    beyond = ~inside
    beyond[max(int(inside.sum()) - 1, 0)] = True
    return inside, beyond


def _law(
    law: Law, quantity: Quantity, largest: float, head: str, write: Callable[[Estimate], str]
) -> list[charts.Mark]:
    """The prediction band, then the law: solid where scales were measured, dashed beyond."""
    if law.scale is None or law.value is None:
        return []
    x, y = np.log2(law.scale), _shown(law.value, quantity)
    marks: list[charts.Mark] = []
    if law.low is not None and law.high is not None:
        low, high = _shown(law.low, quantity), _shown(law.high, quantity)
        ok = np.isfinite(low) & np.isfinite(high)
        marks.append(charts.Band(x[ok], low[ok], high[ok], palette.ACCENT))
    scales = [number_format.scale(float(f"{n:.3g}")) for n in law.scale]
    texts = np.array([f"{head} {n}\n{write(_at(law, i))}" for i, n in enumerate(scales)])
    for part, dashed in zip(split_at(law.scale, largest), (False, True), strict=True):
        if part.sum() > 1:
            words = tuple(texts[part].tolist())
            marks.append(charts.Line(x[part], y[part], palette.ACCENT, 1.6, dashed, texts=words))
    return marks


def _at(law: Law, i: int) -> Estimate:
    assert law.value is not None
    low, high = (None if side is None else float(side[i]) for side in (law.low, law.high))
    return Estimate(float(law.value[i]), low, high)


def _points(
    places: Sequence[_Place],
    quantity: Quantity,
    head: str,
    write: Callable[[Estimate], str],
    *,
    guess: bool = False,
) -> charts.Points:
    """Estimates with their intervals: dots where they were measured, open diamonds where predicted."""
    items = [number_format.octaves(p.item) if quantity == "hp" else p.item for p in places]
    return charts.Points(
        np.log2(np.array([p.scale for p in places])),
        np.array([item.value for item in items], dtype=float),
        palette.ACCENT if guess else palette.INK,
        tuple(_symbol(p.item, "diamond" if guess else "circle") for p in places),
        7,
        fill=palette.PAPER if guess else None,
        edge_width=1.4,
        y_error=charts.error_bars(items),
        texts=tuple(f"{head} {number_format.scale(p.scale)}\n{write(p.item)}" for p in places),
    )


def _symbol(item: Estimate, usual: charts.Symbol) -> charts.Symbol:
    """The marker of an estimate: an arrow where its interval is open on one side."""
    low, high = number_format.known(item.low), number_format.known(item.high)
    if low and not high:
        return "up"  # the optimum lies at or above this point
    return "down" if high and not low else usual


def _values_to_use(variant: VariantFit) -> tuple[charts.Note, ...]:
    """The value to use at each target, on the side of the interval where the law does not run."""
    law = variant.laws.get("hp")
    slope = law.exponent.value if law is not None else None
    above = slope is None or slope >= _DECREASING
    notes = []
    for prediction in variant.predictions:
        x = number_format.octaves(prediction.hp)
        end = x.high if above else x.low
        if (y := x.value if end is None else end) is not None and number_format.known(prediction.hp.value):
            text = number_format.decimal(sentences.value_to_use(prediction))
            notes.append(charts.Note(float(np.log2(prediction.scale)), y, text, above))
    return tuple(notes)
