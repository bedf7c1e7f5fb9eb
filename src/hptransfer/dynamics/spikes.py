"""Spikes of a series (training loss, gradient norm), and how ragged a loss-LR curve is.

No torch here. The rule for spikes is stated at `find_spikes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import DynamicsError
from hptransfer.words import plural, precise

FloatArray = NDArray[np.float64]

WINDOW = 20  # values that a baseline is taken from
SIGMAS = 6.0  # of the noise, that a spike's first value lies above its baseline
FLOOR = 0.1  # nats (or, in logs, e-folds) that it must lie above it at the least
_MAD = 1.4826  # standard deviation of a normal over its median absolute deviation
_LEAST = 5  # values before which no baseline is trusted


@dataclass(frozen=True)
class Spike:
    """One excursion of a series above its baseline.

    Attributes:
        start: step of the first value above the threshold.
        peak: step of the highest value.
        height: highest value minus the baseline at the start, in the series' unit; inf where not finite.
        recovery: steps from the start until the series is back at its baseline's noise; None where it never
            came back.
    """

    start: int
    peak: int
    height: float
    recovery: int | None


def find_spikes(
    values: Sequence[float] | FloatArray,
    steps: Sequence[int] | None = None,
    *,
    window: int = WINDOW,
    sigmas: float = SIGMAS,
    floor: float = FLOOR,
) -> tuple[Spike, ...]:
    """Spikes of a series by a robust rule.

    The baseline of a value is the median of the `window` values before it that are in no spike; the noise is
    1.4826 x the median absolute difference of neighbours among them / sqrt(2), which a trend hardly moves. A
    spike starts where a value exceeds the baseline by more than max(sigmas x noise, floor) or is not finite.
    It ends at the first value that exceeds the baseline at its start by no more than half that. No spike
    is found in the first five values.

    Args:
        values: in the order of the steps; training losses in nats, or logs of gradient norms.
        steps: of the values; default 0, 1, ...
        window: values that make a baseline, at least 5.
        sigmas: of the noise.
        floor: least height.

    Raises:
        DynamicsError: a setting is out of range, or the lengths differ.
    """
    series = np.asarray(values, dtype=float)
    places = list(range(len(series))) if steps is None else list(steps)
    if window < _LEAST or not sigmas > 0 or not floor >= 0 or len(places) != len(series):
        raise DynamicsError(
            f"window >= {_LEAST}, sigmas > 0, floor >= 0 and one step a value must hold, but got "
            f"window={window}, sigmas={precise(sigmas)}, floor={precise(floor)}, "
            f"{plural(len(places), 'step')} for {plural(len(series), 'value')}"
        )
    calm: list[float] = []  # values in no spike, the last `window` of them
    found: list[Spike] = []
    at = 0
    while at < len(series):
        baseline, excess = _baseline(calm, sigmas, floor)
        if not _above(series[at], baseline + excess):
            calm = [*calm, float(series[at])][-window:]
            at += 1
            continue
        end = at + 1
        while end < len(series) and _above(series[end], baseline + excess / 2):
            end += 1
        back = places[end] if end < len(series) else None
        found.append(_spike(series[at:end], places[at:end], baseline, back))
        at = end
    return tuple(found)


PlainSpike = tuple[int, int, float | None, int | None]  # start, peak, height (null: infinite), recovery


def pack_spikes(spikes: Sequence[Spike]) -> tuple[PlainSpike, ...]:
    """Spikes as plain data, for JSON."""
    return tuple((s.start, s.peak, s.height if math.isfinite(s.height) else None, s.recovery) for s in spikes)


def unpack_spikes(packed: Sequence[Sequence[Any]]) -> tuple[Spike, ...]:
    """What `pack_spikes` gave, also by way of JSON."""
    return tuple(Spike(int(a), int(b), math.inf if h is None else float(h), r) for a, b, h, r in packed)


def _baseline(calm: Sequence[float], sigmas: float, floor: float) -> tuple[float, float]:
    if len(calm) < _LEAST:
        return math.inf, math.inf
    noise = _MAD * float(np.median(np.abs(np.diff(calm)))) / math.sqrt(2)
    return float(np.median(calm)), max(sigmas * noise, floor)


def _above(value: float, limit: float) -> bool:
    return not math.isfinite(value) or value > limit


def _spike(values: FloatArray, steps: Sequence[int], baseline: float, back: int | None) -> Spike:
    finite = np.where(np.isfinite(values), values, math.inf)
    top = int(np.argmax(finite))
    recovery = None if back is None else back - steps[0]
    return Spike(steps[0], steps[top], float(finite[top]) - baseline, recovery)


def raggedness(losses: Sequence[float] | FloatArray) -> float:
    """How much a loss-LR curve goes up and down beyond one basin, in nats; 0 for any curve with one minimum.

    (total variation - what one descent to the lowest loss and one ascent from it need) / 2: the summed
    height of the bumps. Values after the first that is not finite are left out: they are divergence.

    Args:
        losses: final losses by ascending learning rate, nats per token.

    Returns:
        NaN where fewer than three values are left.
    """
    series = np.asarray(losses, dtype=float)
    bad = np.flatnonzero(~np.isfinite(series))
    series = series[: bad[0]] if bad.size else series
    if len(series) < 3:
        return math.nan
    needed = series[0] + series[-1] - 2 * series.min()
    return float(max(np.abs(np.diff(series)).sum() - needed, 0.0) / 2)
