"""A measure as a surface over log2 eta and log2 n, and where it crosses a level. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptransfer.errors import DynamicsError

FloatArray = NDArray[np.float64]

DRAWS = 2000  # of the coefficients, for limits
SEED = 0  # of the draws
_FEWEST = 6  # points that a surface of three coefficients is fitted to


@dataclass(frozen=True)
class Crossing:
    """Where a measure is expected to cross its edge at one scale.

    Attributes:
        scale: n.
        hp: learning rate of the crossing; inf or 0 where the measure does not reach the edge.
        low, high: limits.
    """

    scale: float
    hp: float
    low: float
    high: float


@dataclass(frozen=True)
class Surface:
    """A fitted surface with draws of its coefficients; `level` is that of every interval."""

    centre: FloatArray  # means of log2 eta and log2 n
    mean: FloatArray  # coefficients
    draws: FloatArray  # [draws, coefficients]
    shared: FloatArray  # [draws], a new scale's own deviation
    noise: float  # residual standard deviation
    dof: int
    level: float
    reach: tuple[float, float]  # log2 eta between which a crossing is looked for

    @staticmethod
    def fitted(points: FloatArray, level: float, what: str) -> Surface:
        """Fitted to points [runs, 3]: log2 eta, log2 n, log2 of the measure; an error calls them `what`."""
        scales, rates = (len(set(points[:, i].tolist())) for i in (1, 0))
        if scales < 2 or rates < 2 or len(points) < _FEWEST:
            raise DynamicsError(
                f"a limit of stability needs two scales, two learning rates and {_FEWEST} probed runs, but "
                f"{what} has {scales}, {rates} and {len(points)}"
            )
        centre = points[:, :2].mean(axis=0)
        fits = [_least_squares(_design(points, centre, square), points[:, 2]) for square in (False, True)]
        mean, covariance, residual, dof = min(fits, key=lambda fit: _aicc(fit[2], len(fit[0])))
        rng = np.random.default_rng(SEED)
        stretch = np.sqrt(dof / rng.chisquare(dof, DRAWS))[:, None]
        draws = mean + stretch * rng.multivariate_normal(np.zeros(len(mean)), covariance, DRAWS)
        shared = _between(points[:, 1], residual) * stretch[:, 0] * rng.normal(size=DRAWS)
        low, high = points[:, 0].min(), points[:, 0].max()
        reach = (low - 2 * (high - low) - 10, high + 2 * (high - low) + 10)
        noise = math.sqrt(float((residual**2).sum()) / dof)
        return Surface(centre, mean, draws, shared, noise, dof, level, reach)

    def at(self, x: FloatArray, n: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Predicted log2 of the measure with limits that hold a new run's, each of x's shape."""
        design = _design(np.column_stack([x, np.full(len(x), n)]), self.centre, len(self.mean) == 4)
        noise = np.random.default_rng(len(x)).standard_t(self.dof, (len(x), DRAWS))
        sampled = design @ self.draws.T + self.shared + self.noise * noise
        low, high = np.quantile(sampled, [(1 - self.level) / 2, (1 + self.level) / 2], axis=1)
        return design @ self.mean, low, high

    def crossing(self, scale: float, limit: float) -> Crossing:
        """The smallest eta at which the surface rises through the limit, with limits."""
        n = math.log2(scale)
        middle = self._root(self.mean[None], np.zeros(1), n, limit)[0]
        roots = self._root(self.draws, self.shared, n, limit)
        low, high = np.quantile(roots, [(1 - self.level) / 2, (1 + self.level) / 2], method="nearest")
        return Crossing(scale, *(float(2.0**x) for x in (middle, low, high)))

    def _root(self, coefficients: FloatArray, shared: FloatArray, n: float, limit: float) -> FloatArray:
        """log2 eta of the rising crossing by draw; inf: none in reach, -inf: all is beyond."""
        scale = n - self.centre[1]
        a = coefficients[:, 0] + coefficients[:, 2] * scale + shared - limit
        b = coefficients[:, 1]
        d = coefficients[:, 3] if coefficients.shape[1] == 4 else np.zeros_like(b)
        inside = b**2 - 4 * d * a
        with np.errstate(divide="ignore", invalid="ignore"):
            bent = (-b + np.sqrt(inside)) / (2 * d)  # of the two roots the one where the surface rises
            root = self.centre[0] + np.where(d == 0, np.where(b > 0, -a / b, np.nan), bent)
        low, high = self.reach
        # Where it does not cross, the value in the middle says on which side it stays.
        over, under = (root > high, root < low)
        none = np.isnan(root)
        return np.select([over | (none & (a <= 0)), under | none], [np.inf, -np.inf], root)


def _design(points: FloatArray, centre: FloatArray, square: bool) -> FloatArray:
    x, n = (points[:, :2] - centre).T
    return np.column_stack([np.ones_like(x), x, n, *([x**2] if square else [])])


def _least_squares(design: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, int]:
    inverse = np.linalg.pinv(design.T @ design)
    mean = inverse @ design.T @ y
    residual = y - design @ mean
    dof = max(len(y) - design.shape[1], 1)
    return mean, inverse * float((residual**2).sum()) / dof, residual, dof


def _aicc(residual: FloatArray, coefficients: int) -> float:
    n, k = len(residual), coefficients + 1
    if n - k - 1 <= 0:
        return math.inf
    return n * math.log(float((residual**2).mean()) + 1e-12) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def _between(scales: FloatArray, residual: FloatArray) -> float:
    """Standard deviation that the residuals of one scale share, by moments."""
    groups = [residual[scales == n] for n in np.unique(scales)]
    within = float(np.mean([g.var(ddof=1) if len(g) > 1 else 0.0 for g in groups]))
    size = float(np.mean([len(g) for g in groups]))
    means = np.array([g.mean() for g in groups])
    dof = max(len(groups) - 2, 1)  # two coefficients went into the scales' means
    return math.sqrt(max(float((means**2).sum()) / dof - within / size, 0.0))
