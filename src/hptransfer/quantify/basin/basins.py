"""One basin a scale: the optimum, the loss there and the curvature, with draws of all three."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.shape import FEATURES, excess
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Basins:
    """The fitted basins of one variant; K scales, B draws. A scale without a fit has NaN."""

    cells: Cells  # what was fitted
    fitted: BoolArray  # True where there is an optimum inside the grid, [K]
    edge: IntArray  # -1 where the lowest cell is the leftmost, +1 where it is the rightmost, else 0, [K]
    low: FloatArray  # lower end of the range the optimum must lie in, log2 eta; -inf where unbounded, [K]
    high: FloatArray  # upper end of that range; inf where unbounded, [K]
    first: FloatArray  # log2 eta of the leftmost cell that was fitted, [K]
    last: FloatArray  # log2 eta of the rightmost cell that was fitted, [K]
    x: FloatArray  # log2 eta*, [K]
    loss: FloatArray  # loss there, nats, [K]
    log_curvature: FloatArray  # log of d2L/dx2 there, nats per octave squared, [K]
    # log2 eta* where the lowest cell is at an edge and the other scales' law says what lies within its
    # bounds, else NaN, [K].
    by_law: FloatArray
    # Covariance of (loss, log2 eta*, log curvature) of each scale given the shape, [K, 3, 3]; what is left of
    # the draws' covariance is error of the shared shape, which moves all scales together.
    cov_given_shape: FloatArray
    shape: FloatArray  # coefficients of the shared shape, [FEATURES]
    x_draws: FloatArray  # draws of `x`, [B, K]
    loss_draws: FloatArray  # draws of `loss`, [B, K]
    log_curvature_draws: FloatArray  # draws of `log_curvature`, [B, K]
    shape_draws: FloatArray  # draws of `shape`, [B, FEATURES]
    noise: float  # sd of one run's loss near the optimum, nats
    misfit: float  # sd of the shared shape's relative error at single scales, rms over them
    apart: FloatArray  # octaves from the optimum by the shared shape to that of the scale's own runs, [K]
    flags: tuple[tuple[str, ...], ...]  # of each scale

    def excess_draws(self, k: int, x: FloatArray) -> FloatArray:
        """Loss above the optimum of scale k at x = log2 eta, one row a draw, nats; x is [B] or [B, P]."""
        column = (-1, *[1] * (x.ndim - 1))
        u = x - self.x_draws[:, k].reshape(column)
        log_curvature = self.log_curvature_draws[:, k].reshape(column)
        return excess(u, log_curvature, self.shape_draws.reshape(*column, FEATURES))

    def excess_at(self, k: int, x: FloatArray) -> FloatArray:
        """As `excess_draws`, for the point estimate."""
        return excess(x - self.x[k], self.log_curvature[k], self.shape)

    def regret_at(self, k: int, x: FloatArray) -> FloatArray:
        """Loss above the optimum of scale k at x = log2 eta, nats; outside the fit, as seen."""
        return np.asarray(np.maximum(self.excess_at(k, x), self._seen(k, x) - self.loss[k]))

    def regret_draws(self, k: int, x: FloatArray) -> FloatArray:
        """As `regret_at`, one row a draw; x is [B] or [B, P]."""
        best = self.loss_draws[:, k].reshape(-1, *[1] * (x.ndim - 1))
        return np.asarray(np.maximum(self.excess_draws(k, x), self._seen(k, x) - best))

    def _seen(self, k: int, x: FloatArray) -> FloatArray:
        """Runs' loss interpolated at x; minus infinity where the fit covers x or the grid does not."""
        usable = self.cells.usable[k]
        grid, loss = self.cells.x[k, usable], self.cells.loss[k, usable]
        outside = ((x < self.first[k]) | (x > self.last[k])) & (grid[0] <= x) & (x <= grid[-1])
        if not outside.any():
            return np.array(-np.inf)
        return np.where(outside, np.interp(x, grid, loss), -np.inf)

    def divergence_edge(self, k: int) -> float:
        """log2 of the lowest diverged hyperparameter right of the optimum of scale k; infinite if none."""
        cells = self.cells
        beyond = cells.censored[k] & (cells.x[k] > self.x[k])
        return float(cells.x[k, beyond].min()) if beyond.any() else float("inf")

    def to_float32(self) -> Basins:
        """The same with its draws in single precision: 10,000 variants must fit in memory."""
        names = ("x_draws", "loss_draws", "log_curvature_draws", "shape_draws")
        small: dict[str, Any] = {name: getattr(self, name).astype(np.float32) for name in names}
        return replace(self, **small)
