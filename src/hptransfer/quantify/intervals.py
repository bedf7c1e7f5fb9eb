"""Equal-tailed credible intervals from posterior draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.result import Estimate, finite
from hptransfer.sweep.table import FloatArray, IntArray


def limits(draws: FloatArray, level: float) -> tuple[float, float]:
    """Equal-tailed limits of one quantity's draws, shape [B]; draws that are NaN are left out."""
    order = np.sort(draws)  # NaN last; vectorised: far quicker than np.percentile
    if len(order) and np.isnan(order[-1]):
        order = order[~np.isnan(order)]
    if len(order) == 0:
        return float("nan"), float("nan")
    last = len(order) - 1
    at = last * 0.5 * (1.0 - level)
    low, fraction = int(at), at - int(at)
    bottom = _between(order[low], order[min(low + 1, last)], fraction)
    return bottom, _between(order[last - low], order[max(last - low - 1, 0)], fraction)


def _between(a: float, b: float, fraction: float) -> float:
    """Linear interpolation from the outer draw a to the inner b; an infinite draw is not interpolated."""
    return float(a) if a == b or fraction == 0.0 or not np.isfinite(a) else float(a + (b - a) * fraction)


def bands(draws: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Equal-tailed limits of each row of draws [P, B], without NaN: low [P], high [P]."""
    last = draws.shape[1] - 1
    at = round(last * 0.5 * (1.0 - level))
    order = np.sort(draws, axis=1)
    return order[:, at], order[:, last - at]


def sample_settings(weight: FloatArray, uniform: FloatArray) -> IntArray:
    """The setting of each draw, [B]: by weights [S] that sum to 1 and uniform numbers [B]."""
    return np.minimum(np.searchsorted(np.cumsum(weight), uniform), len(weight) - 1)


def estimate(value: float, draws: FloatArray, level: float, *flags: str) -> Estimate:
    """An estimate from its posterior draws [B], of which those that are NaN are left out.

    Its limits always hold its value; all are None where the value is not finite.
    """
    if not np.isfinite(value):
        return Estimate(flags=flags)
    low, high = limits(draws, level)
    if np.isnan(low):
        return Estimate(float(value), None, None, flags)
    bounds = (min(low, value), max(high, value))
    return Estimate(float(value), finite(bounds[0]), finite(bounds[1]), flags)


@dataclass(frozen=True)
class MetricDraws:
    """A metric with the posterior draws behind it, shape [B]; None where it has none."""

    estimate: Estimate
    draws: FloatArray | None = None


def measured(value: float, draws: FloatArray, level: float, *flags: str) -> MetricDraws:
    """A metric from its point estimate and draws; arguments as for `estimate`."""
    return MetricDraws(estimate(value, draws, level, *flags), draws)


def unknown(*flags: str) -> MetricDraws:
    """A metric that cannot be estimated, and why."""
    return MetricDraws(missing(*flags))


def missing(*flags: str) -> Estimate:
    """What cannot be estimated, and why."""
    return Estimate(flags=flags)
