"""Slopes of activation sizes against width, with intervals, and the verdict on a layer. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hptransfer.words import fixed, precise, signed

FloatArray = NDArray[np.float64]
LayerVerdict = Literal["stable", "grows", "shrinks", "undecided"]

# What a random sum over width, as readout and attention logits start under muP, falls by.
_RANDOM_SUM = -0.5


@dataclass(frozen=True)
class Slope:
    """d log2(size) / d log2(width) at one step.

    Attributes:
        step: optimizer steps taken.
        value: least squares over widths and seeds; NaN where a size is zero or not finite.
        low, high: limits, from the residuals and Student's t with widths x seeds - 2 degrees of freedom.
    """

    step: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            "-" if math.isnan(self.value) else f"{signed(self.value)} ± {fixed((self.high - self.low) / 2)}"
        )


@dataclass(frozen=True)
class LayerCheck:
    """What became of one layer as width grows.

    Attributes:
        name: of the module; with `attention logits` or `softmax input` where those are meant; or of a tensor.
        verdict: `grows`, `shrinks`, `stable` or `undecided`.
        reason: what decided it, in one phrase.
        change: slopes of the RMS change since initialisation, from step 1.
        activation: slopes of the RMS output itself, from step 0.
    """

    name: str
    verdict: LayerVerdict
    reason: str
    change: tuple[Slope, ...]
    activation: tuple[Slope, ...]

    @property
    def failed(self) -> bool:
        """Whether it grows or shrinks."""
        return self.verdict in ("grows", "shrinks")


def lines(x: FloatArray, y: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Slopes of least-squares lines, and the half-widths of their intervals by Student's t.

    Args:
        x: shape [points].
        y: shape [points, lines]; NaN makes a line's slope NaN.
        level: of the intervals, which are NaN where two points leave nothing to judge by.
    """
    from scipy.special import stdtrit  # slow to import, and a report without probes has no use for it

    x = (x - x.mean())[:, None]
    slope = (x * y).sum(axis=0) / (x**2).sum()
    residual = y - y.mean(axis=0) - slope * x
    dof = len(x) - 2
    if dof < 1:
        return slope, np.full_like(slope, np.nan)
    error = np.sqrt((residual**2).sum(axis=0) / dof / (x**2).sum())
    return slope, float(stdtrit(dof, 0.5 + level / 2)) * error


def width_slopes(sizes: FloatArray, widths: Sequence[int], level: float, first: int) -> tuple[Slope, ...]:
    """Slopes of one quantity, whose sizes have the shape [widths, seeds, steps], from the first step on."""
    count, seeds, steps = sizes.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log2(sizes).reshape(count * seeds, steps)
    y[~np.isfinite(y)] = np.nan
    x = np.repeat(np.log2(np.asarray(widths, dtype=float)), seeds)
    found = zip(*(part.tolist() for part in lines(x, y, level)), strict=True)
    return tuple(Slope(step, s, s - half, s + half) for step, (s, half) in enumerate(found, start=first))


@dataclass(frozen=True)
class LayerKind:
    """What is known of a layer before it is checked."""

    initial: float | None = None  # slope of the output at initialisation by the rule, where it says one
    # Whether it is the output of a matrix. Another one may grow by what the architecture holds, such as
    # ALiBi's slopes or Mamba-2's A_log: then its change alone is judged.
    has_matrix: bool = True


def check_layer(
    name: str,
    sizes: FloatArray,
    widths: Sequence[int],
    level: float,
    threshold: tuple[float, float],
    kind: LayerKind | None = None,
) -> LayerCheck | None:
    """The verdict on one layer; None for one that never changes.

    Args:
        name: of the layer.
        sizes: RMS of the activation and of its change, shape [widths, seeds, steps + 1, 2].
        widths: ascending.
        level: of the intervals.
        threshold: the lowest and highest slope that counts as flat.
        kind: what is known of the layer; None for the output of a matrix of which nothing else is known.
    """
    kind = kind or LayerKind()
    if not sizes[:, :, 1:, 1].any():
        return None
    activation = width_slopes(sizes[..., 0], widths, level, 0)
    change = width_slopes(sizes[:, :, 1:, 1], widths, level, 1)
    bad = np.argwhere(~np.isfinite(sizes[:, :, 1:]).all(axis=(1, 3)))  # [widths, steps]
    if len(bad):
        reason = f"not finite at width {widths[bad[0, 0]]} from step {bad[0, 1] + 1}"
        return LayerCheck(name, "grows", reason, change, activation)
    return LayerCheck(name, *_verdict(change, activation, threshold, kind), change, activation)


def _verdict(
    change: Sequence[Slope],
    activation: Sequence[Slope],
    threshold: tuple[float, float],
    kind: LayerKind,
) -> tuple[LayerVerdict, str]:
    """Fails where an interval lies wholly beyond the threshold at any step; see `lowest_slope`."""
    low, high = lowest_slope(activation[0], threshold), threshold[1]
    groups = [(change, "change"), *([(activation, "output")] if kind.has_matrix else [])]
    growing = [(s, what) for group, what in groups for s in group]
    worst, what = max(growing, key=lambda pair: _or(pair[0].low, -math.inf))
    if worst.low > high:
        return "grows", f"{what} {worst} at step {worst.step}, above {precise(high)}"
    least = min(change, key=lambda s: _or(s.high, math.inf))
    if least.high < low:
        return "shrinks", f"change {least} at step {least.step}, below {precise(low)}"
    start = activation[0]
    if kind.initial is not None and start.high < kind.initial + threshold[0]:
        return "shrinks", f"output {start} at initialisation, where the rule has {signed(kind.initial)}"
    if all(low <= s.low and s.high <= high for s in change):
        return "stable", ""
    open_at = min(change, key=lambda s: _or(min(s.low - low, high - s.high), -math.inf))
    return "undecided", f"change {open_at} at step {open_at.step}"


def lowest_slope(initial: Slope, threshold: tuple[float, float]) -> float:
    """The lowest slope of a change that counts as flat.

    Where a layer's output at initialisation falls with width by itself (under muP readout and attention
    logits start as random sums, that fall like 1/sqrt(width)), its first changes are such sums in part, and
    may fall as fast until the aligned part outgrows them.
    """
    return threshold[0] + max(_RANDOM_SUM, min(0.0, _or(initial.value, 0.0)))


def _or(value: float, other: float) -> float:
    return other if math.isnan(value) else value
