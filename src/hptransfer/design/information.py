"""How much one more run at a scale and learning rate would tell about the goal, before it is run.

The model is linearised around the current estimates. Its unknowns are, for each variant: the line of the
optimum over log2 n, each scale's departure from it, each scale's loss at the optimum, the curvature and its
drift with each scale's departure, and one skew for all scales. A run at distance u octaves from its optimum
measures  L + f(u),  f(u) = h / s^2 (exp(s u) - s u - 1). The variance of a place's mean is
sigma^2 (p + (1 - p) / runs) + (q f(u))^2 with p = UNAVERAGED_FRACTION and q = SHAPE_MISFIT: seeds average
noise away, but not the fact that a basin is only nearly of this shape, of which another place tells more than
another seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np

from hptransfer.design.grid import CandidateGrid, Observations
from hptransfer.sweep.table import FloatArray

SHAPE_MISFIT = 0.15  # fraction of a rise above the optimum that the shape gets wrong
UNAVERAGED_FRACTION = 0.1  # fraction of a run's variance that more seeds at its place do not average away
SKEW = (0.3, 0.3)  # s: mean and sd before any run, per octave
CURVATURE_SD = 0.3  # of ln h around its law
DRIFT_SD = 0.5  # of ln h, per octave of scale
MAX_DISTANCE = 3.0  # octaves from the optimum beyond which a run says nothing of it
MAX_RISE = 0.5  # nats above the optimum beyond which it does not either


@dataclass(frozen=True)
class LinearizationPoint:
    """Current estimates of one variant."""

    x: FloatArray  # log2 eta* of each scale, shape [K]
    log_curvature: FloatArray  # ln of the curvature (nats per octave squared) of each scale, shape [K]
    noise: float  # sd of a run's loss, nats
    scatter: float  # sd of the scales' optima around their line, octaves
    width: float = (
        0.0  # of the interval that the fit gives what is asked; 0 or infinite where it is not known
    )


class Information:
    """Precision matrix of one variant's unknowns, and what runs would add to it.

    Unknowns, in order: a, b of the line x* = a + b t; K departures of x*; K losses; ln h0, its drift, K
    departures of ln h; the skew. t is log2 n from the mean of the scales.
    """

    def __init__(
        self,
        grid: CandidateGrid,
        variant: str,
        point: LinearizationPoint,
        observed: Observations,
    ) -> None:
        self.variant, self._grid, self.point = variant, grid, point
        self._t = np.log2(grid.scales) - np.log2(grid.scales).mean()
        size = len(self._t)
        self.size = 3 * size + 5
        line, curvature = [1e-4, 1e-2], [0.25, DRIFT_SD**-2.0]
        departures, losses = [point.scatter**-2.0] * size, [1e-6] * size
        curvatures, skew = [CURVATURE_SD**-2.0] * size, [SKEW[1] ** -2.0]
        self.count = {
            (k, place): observed.count((variant, k), place)
            for k in range(size)
            if (variant, k) in grid.x
            for place in range(len(grid.x[variant, k]))
            if np.isfinite(observed.mean_losses((variant, k)).get(place, 0.0))
        }
        self._rows = {key: self._row(*key) for key in self.count}
        self.matrix = np.diag([*line, *departures, *losses, *curvature, *curvatures, *skew])
        for key, runs in self.count.items():
            if runs:
                self._add(key, 0, runs)

    def gain(self, contrasts: FloatArray, covariance: FloatArray, key: tuple[int, int]) -> float:
        """By how much one more run at a place shrinks the summed variance of contrasts [C, size].

        The covariance of the unknowns has the shape [size, size]; the key is the place of the scale, and the
        place on its grid.
        """
        row, _ = self._rows[key]
        more = self._weight(key, self.count[key] + 1) - self._weight(key, self.count[key])
        if more <= 0:
            return 0.0
        reach = covariance @ row
        return float(more * ((contrasts @ reach) ** 2).sum() / (1.0 + more * (row @ reach)))

    def with_runs(self, keys: list[tuple[int, int]]) -> Information:
        """A copy that counts one more run at each of some places as made."""
        other = copy(self)
        other.matrix, other.count = self.matrix.copy(), dict(self.count)
        for key in keys:
            other.run(key)
        return other

    def variance(self, contrasts: FloatArray) -> float:
        """Summed variance of the contrasts [C, size]."""
        return float(self.variances(contrasts).sum())

    def variances(self, contrasts: FloatArray) -> FloatArray:
        """Variance of each contrast, shape [C]."""
        return np.asarray(np.einsum("ci,ij,cj->c", contrasts, np.linalg.inv(self.matrix), contrasts))

    def run(self, key: tuple[int, int]) -> None:
        """Count a run at a place as made."""
        self._add(key, self.count[key], self.count[key] + 1)
        self.count[key] += 1

    def prediction(self, target: float) -> FloatArray:
        """Contrast of the optimum at a scale on the line, shape [1, size]."""
        return self._contrast({0: 1.0, 1: float(np.log2(target) - np.log2(self._grid.scales).mean())})

    def slope(self) -> FloatArray:
        """Contrast of the line's slope, shape [1, size]."""
        return self._contrast({1: 1.0})

    def optima(self, scales: list[int]) -> FloatArray:
        """Contrasts of the optima of some scales, shape [scales, size]."""
        return np.concatenate([self._contrast({0: 1.0, 1: float(self._t[k]), 2 + k: 1.0}) for k in scales])

    def loss(self, k: int) -> FloatArray:
        """Contrast of the loss at scale k's optimum, shape [1, size]."""
        return self._contrast({2 + len(self._t) + k: 1.0})

    def _contrast(self, weights: Mapping[int, float]) -> FloatArray:
        out = np.zeros((1, self.size))
        out[0, list(weights)] = list(weights.values())
        return out

    def informative(self, key: tuple[int, int]) -> bool:
        """Whether a place is close enough to the optimum to be informative."""
        u = self._distance(*key)
        return abs(u) <= MAX_DISTANCE and self._rows[key][1] <= MAX_RISE

    def _distance(self, k: int, place: int) -> float:
        return float(self._grid.x[self.variant, k][place] - self.point.x[k])

    def _row(self, k: int, place: int) -> tuple[FloatArray, float]:
        """Derivatives of a run's loss by every unknown, and its rise above the optimum."""
        size, u, s = len(self._t), float(np.clip(self._distance(k, place), -8, 8)), SKEW[0]
        h = float(np.exp(self.point.log_curvature[k]))
        rise = h / s**2 * (np.exp(s * u) - s * u - 1.0)
        by_x = -h / s * (np.exp(s * u) - 1.0)
        by_s = h / s**2 * (u * np.exp(s * u) - u) - 2.0 * rise / s
        row = np.zeros(self.size)
        row[:2] = by_x, by_x * self._t[k]
        row[2 + k] = by_x
        row[2 + size + k] = 1.0
        row[2 + 2 * size : 4 + 2 * size] = rise, rise * self._t[k]
        row[4 + 2 * size + k] = rise
        row[-1] = by_s
        return row, float(rise)

    def _weight(self, key: tuple[int, int], runs: int) -> float:
        if not runs:
            return 0.0
        spread = self.point.noise**2 * (UNAVERAGED_FRACTION + (1.0 - UNAVERAGED_FRACTION) / runs)
        return 1.0 / (spread + (SHAPE_MISFIT * self._rows[key][1]) ** 2)

    def _add(self, key: tuple[int, int], before: int, after: int) -> None:
        row = self._rows[key][0]
        self.matrix += (self._weight(key, after) - self._weight(key, before)) * np.outer(row, row)
