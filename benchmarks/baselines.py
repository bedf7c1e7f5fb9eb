"""Common methods for comparison: the grid's argmin, a parabola through 3 points or a window, and a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from hptransfer.quantify.basin.cells import Cells

Array = NDArray[np.float64]
METHODS = ("grid argmin", "3-point parabola", "parabola +-2 oct")


@dataclass(frozen=True)
class BaselineFit:
    """Optima [K] in octaves with 95% limits (NaN where there is none), the line's slope and a prediction.

    Attributes:
        x, low, high: shape [K].
        slope: (value, low, high).
        prediction: (value, low, high) at the target.
    """

    x: Array
    low: Array
    high: Array
    slope: tuple[float, float, float]
    prediction: tuple[float, float, float]


def baseline(method: str, cells: Cells, target: float, use: NDArray[np.bool_] | None = None) -> BaselineFit:
    optima = np.array([_optimum(method, cells, k) for k in range(len(cells.scale))])
    inside = np.isfinite(optima[:, 0]) & (use if use is not None else True)
    slope, prediction = _line(np.log2(cells.scale[inside]), optima[inside, 0], np.log2(target))
    return BaselineFit(optima[:, 0], optima[:, 1], optima[:, 2], slope, prediction)


def _optimum(method: str, cells: Cells, k: int) -> tuple[float, float, float]:
    usable = cells.usable[k]
    x, y = cells.x[k, usable], cells.loss[k, usable]
    nothing = (float("nan"),) * 3
    if len(x) < 3:
        return nothing
    best = int(np.argmin(y))
    if best in (0, len(x) - 1):
        return nothing
    if method == "grid argmin":
        return float(x[best]), (x[best - 1] + x[best]) / 2, (x[best] + x[best + 1]) / 2
    near = np.zeros(len(x), dtype=bool)
    near[best - 1 : best + 2] = True
    if method != "3-point parabola":
        near |= np.abs(x - x[best]) <= 2.0
    u = x - x[best]
    base = np.stack([np.ones(near.sum()), u[near], u[near] ** 2], axis=1)
    coef, *_ = np.linalg.lstsq(base, y[near], rcond=None)
    if not coef[2] > 0:
        return nothing
    freedom = int(near.sum()) - 3
    if freedom > 0:
        variance, quantile = (
            float(np.sum((y[near] - base @ coef) ** 2)) / freedom,
            float(stdtrit(freedom, 0.975)),
        )
    else:
        runs = cells.count[k, usable]
        spare = int((runs - 1).sum())
        # One seed leaves a 3-point parabola without any measure of noise; 0.004 nats is a typical guess.
        variance = float(cells.spread[k, usable].sum()) / spare / runs[best] if spare else 0.004**2
        quantile = 1.96
    slope = np.array([0.0, -0.5 / coef[2], 0.5 * coef[1] / coef[2] ** 2])
    sd = float(np.sqrt(variance * slope @ np.linalg.inv(base.T @ base) @ slope))
    at = float(x[best] - 0.5 * coef[1] / coef[2])
    return at, at - quantile * sd, at + quantile * sd


def _line(t: Array, x: Array, target: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Ordinary least squares: slope and prediction with t intervals."""
    nothing = (float("nan"),) * 3
    if len(t) < 3:
        return nothing, nothing
    centre = t.mean()
    sxx = float(np.sum((t - centre) ** 2))
    slope = float(np.sum((t - centre) * x)) / sxx
    residual = x - x.mean() - slope * (t - centre)
    s = float(np.sqrt(np.sum(residual**2) / (len(t) - 2)))
    quantile = float(stdtrit(len(t) - 2, 0.975))
    at = float(x.mean() + slope * (target - centre))
    reach = quantile * s * float(np.sqrt(1 + 1 / len(t) + (target - centre) ** 2 / sxx))
    wide = quantile * s / np.sqrt(sxx)
    return (slope, slope - wide, slope + wide), (at, at - reach, at + reach)
