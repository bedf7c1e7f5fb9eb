"""Bootstrap draws into estimates with limits."""

from __future__ import annotations

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.result import Estimate


def limits(draws: FloatArray, level: float) -> tuple[float, float]:
    """Equal-tailed limits of one quantity's draws, shape [B]; draws that are NaN are left out."""
    finite = draws[~np.isnan(draws)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    tail = 50.0 * (1.0 - level)
    ends = [tail, 100.0 - tail]
    if np.isfinite(finite).all():
        low, high = np.percentile(finite, ends)
    else:  # infinite draws cannot be interpolated between
        low, high = np.percentile(finite, ends, method="nearest")
    return float(low), float(high)


def estimate(value: float, draws: FloatArray, level: float, *flags: str) -> Estimate:
    """An estimate whose limits always hold its value; None throughout where the value is not finite."""
    if not np.isfinite(value):
        return Estimate(flags=flags)
    low, high = limits(draws, level)
    if np.isnan(low):
        return Estimate(float(value), None, None, flags)
    bounds = (min(low, value), max(high, value))
    return Estimate(float(value), _finite(bounds[0]), _finite(bounds[1]), flags)


def missing(*flags: str) -> Estimate:
    """What cannot be estimated, and why."""
    return Estimate(flags=flags)


def _finite(limit: float) -> float | None:
    return float(limit) if np.isfinite(limit) else None
