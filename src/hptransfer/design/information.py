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
from hptransfer.quantify.axes.departures import walk_covariances
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
    # Over several axes: sd of the law's turning along each, octaves per root of an octave.
    wander: float = 0.0


class Information:
    """Precision matrix of one variant's unknowns, and what runs would add to it.

    Unknowns, in order: a, b of the line x* = a + b t; K departures of x*; K losses; ln h0, its drift, K
    departures of ln h; the skew. t is log2 n from the mean of the scales. Over A axes b and the drift are A
    numbers, and a departure more is that of the target, since departures of near places are then alike: the
    law turns along each axis.
    """

    def __init__(
        self,
        grid: CandidateGrid,
        variant: str,
        point: LinearizationPoint,
        observed: Observations,
    ) -> None:
        self.variant, self._grid, self.point = variant, grid, point
        self._t = grid.z - grid.z.mean(axis=0)
        self._ahead = grid.z_target - grid.z.mean(axis=0)
        size, axes = self._t.shape
        line, curvature = [1e-4, *[1e-2] * axes], [0.25, *[DRIFT_SD**-2.0] * axes]
        departures, losses = [point.scatter**-2.0] * (size + (axes > 1)), [1e-6] * size
        curvatures, skew = [CURVATURE_SD**-2.0] * size, [SKEW[1] ** -2.0]
        self._departure = len(line)  # where the departures, the losses and the curvatures begin
        self._loss = self._departure + len(departures)
        self._curvature = self._loss + size
        self.count = {
            (k, place): observed.count((variant, k), place)
            for k in range(size)
            if (variant, k) in grid.x
            for place in range(len(grid.x[variant, k]))
            if np.isfinite(observed.mean_losses((variant, k)).get(place, 0.0))
        }
        self.matrix = np.diag([*line, *departures, *losses, *curvature, *curvatures, *skew])
        self.size = len(self.matrix)
        if axes > 1:
            walks = walk_covariances(np.vstack([self._t, self._ahead])).sum(axis=0)
            alike = point.scatter**2 * np.eye(len(departures)) + point.wander**2 * walks
            self.matrix[self._departure : self._loss, self._departure : self._loss] = np.linalg.inv(alike)
        self._rows = {key: self._row(*key) for key in self.count}
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

    def prediction(self) -> FloatArray:
        """Contrast of the optimum at the target, [1, size]; over several axes with its departure."""
        own = {self._loss - 1: 1.0} if len(self._ahead) > 1 else {}
        return self._contrast({**self._on_law(self._ahead), **own})

    def slope(self) -> FloatArray:
        """Contrasts of the law's slopes, shape [axes, size]."""
        return np.concatenate([self._contrast({1 + i: 1.0}) for i in range(len(self._ahead))])

    def optima(self, scales: list[int]) -> FloatArray:
        """Contrasts of the optima of some scales, shape [scales, size]."""
        at = [{**self._on_law(self._t[k]), self._departure + k: 1.0} for k in scales]
        return np.concatenate([self._contrast(each) for each in at])

    def loss(self, k: int) -> FloatArray:
        """Contrast of the loss at scale k's optimum, shape [1, size]."""
        return self._contrast({self._loss + k: 1.0})

    @staticmethod
    def _on_law(t: FloatArray) -> dict[int, float]:
        return {0: 1.0, **{1 + i: float(value) for i, value in enumerate(t)}}

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
        u, s, axes = float(np.clip(self._distance(k, place), -8, 8)), SKEW[0], len(self._ahead)
        h = float(np.exp(self.point.log_curvature[k]))
        rise = h / s**2 * (np.exp(s * u) - s * u - 1.0)
        by_x = -h / s * (np.exp(s * u) - 1.0)
        by_s = h / s**2 * (u * np.exp(s * u) - u) - 2.0 * rise / s
        row = np.zeros(self.size)
        row[0], row[1 : 1 + axes] = by_x, by_x * self._t[k]
        row[self._departure + k] = by_x
        row[self._loss + k] = 1.0
        c = self._curvature
        row[c], row[c + 1 : c + 1 + axes] = rise, rise * self._t[k]
        row[c + 1 + axes + k] = rise
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
