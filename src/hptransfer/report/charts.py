"""What the figures show, before anything draws it: runs by scale, shared limits, ticks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.result import Estimate, Optimum, SweepFit, VariantFit
from hptransfer.report import number_format as fmt
from hptransfer.sweep.table import FloatArray, StrArray

_REACH = 2.5  # octaves about an optimum that a panel must show
_MOST_POINTS = 400  # runs of one curve drawn one by one; beyond, the mean of each cell


@dataclass(frozen=True)
class Runs:
    """The runs of one variant at one scale.

    Attributes:
        scale: n.
        x: log2 of the hyperparameter of each finished run, shape [finished].
        loss: its loss, nats, shape [finished].
        seed: its seed, or how many runs a mean stands for, shape [finished].
        diverged: log2 of the hyperparameter of each diverged run, shape [diverged].
    """

    scale: float
    x: FloatArray
    loss: FloatArray
    seed: StrArray
    diverged: FloatArray


@dataclass(frozen=True)
class Limits:
    """Axis limits shared by the panels of a figure.

    Attributes:
        x_low, x_high: of the horizontal axis, in log2 units.
        y_low, y_high: of the vertical axis.
        strip: where the strip for diverged runs begins, y_high where there is none.
    """

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    strip: float

    def row(self, i: int, rows: int) -> float:
        """Height of the diverged runs of the i-th scale: the smallest on top, as its basin is."""
        return self.y_high - (i + 0.5) / rows * (self.y_high - self.strip)


def runs_of(fit: SweepFit, variant: str) -> list[Runs]:
    """The runs of a variant by scale, ascending."""
    sweep = fit.sweep
    mine = sweep.variant == variant
    lost = sweep.diverged
    out = []
    for n in np.unique(sweep.scale[mine]):
        here, gone = mine & (sweep.scale == n) & ~lost, mine & (sweep.scale == n) & lost
        x, loss, seed = np.log2(sweep.hp[here]), sweep.loss[here], sweep.seed[here]
        if len(x) > _MOST_POINTS:
            x, loss, seed = _means(x, loss)
        out.append(Runs(float(n), x, loss, seed, np.unique(np.log2(sweep.hp[gone]))))
    return out


def scales_of(fit: SweepFit, variants: Iterable[VariantFit]) -> list[float]:
    """Every scale with a run or an optimum of any of the variants, ascending."""
    chosen = list(variants)
    mine = np.isin(fit.sweep.variant, [v.name for v in chosen])
    fitted = {o.scale for v in chosen for o in v.optima}
    return sorted(fitted.union(fit.sweep.scale[mine].tolist()))


def basin_limits(runs: Sequence[Sequence[Runs]], variants: Sequence[VariantFit], rows: int) -> Limits:
    """Limits that show every basin out to 2.5 octaves of its optimum, and not the height of the cliffs.

    Arguments:
        runs: of each variant, by scale.
        variants: in the same order.
        rows: number of scales; each gets a row in the strip for diverged runs.
    """
    finished = [r for group in runs for r in group]
    x = np.concatenate([np.concatenate([r.x, r.diverged]) for r in finished] or [np.zeros(0)])
    loss = np.concatenate([r.loss for r in finished] or [np.zeros(0)])
    rims = [rim for v in variants for o in v.optima if (rim := _rim(o)) is not None]
    low = float(loss.min()) if loss.size else 0.0
    high = max(rims) if rims else (float(np.quantile(loss, 0.75)) if loss.size else 1.0)
    room = max(high - low, 1e-3 * max(abs(low), 1e-3))
    x_low, x_high = (float(x.min()), float(x.max())) if x.size else (-1.0, 1.0)
    strip = low + 1.08 * room
    lost = any(r.diverged.size for r in finished)
    top = strip + (0.035 * room * (rows + 1) if lost else 0.0)
    return Limits(x_low - 0.4, x_high + 0.4, low - 0.06 * room, top, strip)


def law_limits(variants: Iterable[VariantFit], quantity: str) -> Limits | None:
    """Limits of log2 n and of the quantity (log2 eta, or nats) over points, laws and predictions.

    Bands widen fast far out, so they do not set the limits: at most they get as much room again as the
    points and laws need.
    """
    scales: list[float] = []
    centre: list[float] = []
    edges: list[float] = []
    for v in variants:
        items = [(o.scale, o.hp if quantity == "hp" else o.loss) for o in v.optima]
        items += [(p.scale, p.hp if quantity == "hp" else p.loss) for p in v.predictions]
        law = v.laws.get(quantity)
        if law is not None and law.value is not None and law.low is not None and law.high is not None:
            centre += [y for y in axis(law.value, quantity) if np.isfinite(y)]
            edges += [y for y in axis(np.concatenate([law.low, law.high]), quantity) if np.isfinite(y)]
        for scale, item in items:
            known = [end for end in (item.value, item.low, item.high) if fmt.known(end)]
            scales += [scale] if known else []
            centre += [y for y in axis(np.array(known[:1], dtype=float), quantity) if np.isfinite(y)]
            edges += [y for y in axis(np.array(known, dtype=float), quantity) if np.isfinite(y)]
    if not scales or not centre:
        return None
    low, high = min(centre), max(centre)
    least = 1.0 if quantity == "hp" else 0.02
    room = max(high - low, least, 1e-3 * max(abs(low), abs(high)))
    bottom, top = max(min(edges), low - room), min(max(edges), high + room)
    x = np.log2(scales)
    pad = 0.06 * max(float(np.ptp(x)), 1.0)
    margin = 0.09 * max(top - bottom, room)
    return Limits(float(x.min()) - pad, float(x.max()) + pad, bottom - margin, top + margin, top + margin)


def law_lines(variants: Iterable[VariantFit], quantity: str) -> tuple[FloatArray, FloatArray]:
    """Scale and value of the laws of several variants as one broken line, NaN between them."""
    scale, value = [np.array([np.nan])], [np.array([np.nan])]
    for v in variants:
        law = v.laws.get(quantity)
        if law is not None and law.scale is not None and law.value is not None:
            some = np.unique(np.linspace(0, len(law.scale) - 1, 13).round().astype(int))
            scale += [law.scale[some], np.array([np.nan])]
            value += [law.value[some], np.array([np.nan])]
    return np.concatenate(scale), np.concatenate(value)


def ticks(values: Iterable[float], low: float, high: float, room: float) -> list[float]:
    """Those of `values` whose labels fit on a log2 axis, ends first.

    Arguments:
        values: scales that deserve a label.
        low: log2 of the left end of the axis.
        high: log2 of its right end.
        room: characters that fit along the axis.
    """
    each = sorted(set(values))
    order = [*each[:1], *each[-1:], *each[-2:0:-1]]
    kept: list[float] = []
    for value in dict.fromkeys(order):
        clear = all(
            abs(np.log2(value) - np.log2(other)) / (high - low) * room
            >= (len(fmt.scale(value)) + len(fmt.scale(other))) / 2 + 1
            for other in kept
        )
        if clear:
            kept.append(value)
    return sorted(kept)


def bars(item: Estimate) -> tuple[float, float]:
    """Distances from the value down to `low` and up to `high` in octaves; 0 for a missing limit."""
    x = fmt.octaves(item)
    if x.value is None:
        return 0.0, 0.0
    return (x.value - x.low if x.low is not None else 0.0, x.high - x.value if x.high is not None else 0.0)


def axis(values: FloatArray, quantity: str) -> FloatArray:
    """A law's values as the figures show them: log2 of a hyperparameter (NaN where not positive), or nats."""
    if quantity != "hp":
        return values
    return np.log2(np.where(values > 0, values, np.nan))


def falls(variant: VariantFit) -> bool:
    """Whether the optimum falls with scale, so that the space below left of a prediction is free."""
    law = variant.laws.get("hp")
    return law is not None and law.exponent.value is not None and law.exponent.value < -0.05


def _rim(optimum: Optimum) -> float | None:
    """The loss a panel must reach to show this basin: its gentle side, and a cliff at most twice as high."""
    if optimum.curve_hp is None or optimum.curve_loss is None or not fmt.known(optimum.hp.value):
        return optimum.loss.value if fmt.known(optimum.loss.value) else None
    assert optimum.hp.value is not None
    d = np.log2(optimum.curve_hp) - np.log2(optimum.hp.value)
    best = float(np.min(optimum.curve_loss))
    left, right = (optimum.curve_loss[(side * d >= 0) & (side * d <= _REACH)] - best for side in (-1, 1))
    sides = [float(rise.max()) for rise in (left, right) if rise.size > 1]
    if not sides:
        return best
    return best + min(max(sides), 2 * min(sides) if len(sides) > 1 else max(sides))


def _means(x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray, StrArray]:
    cells, index, counts = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(index, weights=loss) / counts
    return cells, mean, np.array([f"mean of {c} runs" for c in counts], dtype=np.str_)
