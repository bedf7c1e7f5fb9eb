"""One basin a scale: the optimum, the loss there and the curvature, with draws of all three."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.cells import BoolArray, Cells, IntArray
from hptransfer.quantify.shapes import excess

WINDOW = 2.5  # octaves either side of the lowest cell that a local fit looks at


@dataclass(frozen=True)
class Basins:
    """The fitted basins of one variant; K scales, B draws.

    Attributes:
        cells: what was fitted.
        fitted: True where there is an optimum inside the grid, shape [K].
        edge: -1 where the lowest cell is the leftmost, +1 where it is the rightmost, else 0, shape [K].
        low, high: range the optimum must lie in, octaves; infinite where nothing bounds it, shape [K].
        x: log2 eta*, shape [K]; NaN where there is no fit. loss, log_h, skew, tail: likewise.
        x_draws: shape [B, K]; and loss_draws, log_h_draws, skew_draws, tail_draws likewise.
        noise: sd of one run's loss near the optimum, nats.
        flags: of each scale.
    """

    cells: Cells
    fitted: BoolArray
    edge: IntArray
    low: FloatArray
    high: FloatArray
    x: FloatArray
    loss: FloatArray
    log_h: FloatArray
    skew: FloatArray
    tail: FloatArray
    x_draws: FloatArray
    loss_draws: FloatArray
    log_h_draws: FloatArray
    skew_draws: FloatArray
    tail_draws: FloatArray
    noise: float
    flags: tuple[tuple[str, ...], ...]

    def excess_draws(self, k: int, x: FloatArray) -> FloatArray:
        """Loss above the optimum of scale k at x = log2 eta, one row a draw, nats; x is [B] or [B, P]."""
        parts = (self.x_draws, self.log_h_draws, self.skew_draws, self.tail_draws)
        x_k, log_h, skew, tail = (p[:, k].reshape(-1, *[1] * (x.ndim - 1)) for p in parts)
        return excess(x - x_k, log_h, skew, tail)

    def excess_at(self, k: int, x: FloatArray) -> FloatArray:
        """As `excess_draws`, for the point estimate."""
        return excess(x - self.x[k], self.log_h[k], self.skew[k], self.tail[k])


def _reach(cells: Cells, k: int) -> tuple[int, int, int]:
    """Slots of the lowest cell and of the first and last cell joined to it without a divergence."""
    best = int(np.nanargmin(cells.loss[k]))
    filled = ~np.isnan(cells.x[k])
    wall = filled & cells.censored[k]
    left, right = np.flatnonzero(wall[:best]), np.flatnonzero(wall[best:])
    first = int(left[-1]) + 1 if len(left) else 0
    last = best + int(right[0]) - 1 if len(right) else int(filled.sum()) - 1
    return best, first, last


def fit_basins(cells: Cells, draws: int, seed: int) -> Basins:
    """Fits every scale of one variant by a local cubic.

    Arguments:
        cells: the runs.
        draws: B, the number of parametric-bootstrap draws.
        seed: of the draws.
    """
    k_scales = len(cells.scale)
    rng = np.random.default_rng(seed)
    point = np.full((5, k_scales), np.nan)
    drawn = np.full((5, draws, k_scales), np.nan)
    edge, low, high = np.zeros(k_scales, int), np.full(k_scales, -np.inf), np.full(k_scales, np.inf)
    flags: list[tuple[str, ...]] = []
    noise = []
    for k in range(k_scales):
        if not cells.usable[k].any():
            flags.append(("all_diverged",))
            continue
        best, first, last = _reach(cells, k)
        x, loss = cells.x[k, first : last + 1], cells.loss[k, first : last + 1]
        edge[k] = -1 if best == first else 1 if best == last else 0
        if len(x) < 3:
            flags.append(("thin",))
            edge[k] = 0
            continue
        low[k], high[k] = x[0], x[-1]
        if edge[k] < 0:
            low[k], high[k] = -np.inf, x[1]
        elif edge[k] > 0:
            wall = last + 1 < cells.x.shape[1] and cells.censored[k, last + 1]
            low[k], high[k] = x[-2], cells.x[k, last + 1] if wall else np.inf
        if edge[k]:
            flags.append(("at_edge",))
            continue
        fit = _local_cubic(x, loss, best - first, rng, draws)
        point[:, k], drawn[:, :, k] = fit[0], fit[1]
        noise.append(fit[2])
        flags.append(())
    return Basins(
        cells=cells,
        fitted=np.isfinite(point[0]),
        edge=edge,
        low=low,
        high=high,
        x=point[0],
        loss=point[1],
        log_h=point[2],
        skew=point[3],
        tail=point[4],
        x_draws=drawn[0],
        loss_draws=drawn[1],
        log_h_draws=drawn[2],
        skew_draws=drawn[3],
        tail_draws=drawn[4],
        noise=float(np.median(noise)) if noise else np.nan,
        flags=tuple(flags),
    )


def _local_cubic(
    x: FloatArray, loss: FloatArray, best: int, rng: np.random.Generator, draws: int
) -> tuple[FloatArray, FloatArray, float]:
    near = np.abs(x - x[best]) <= WINDOW
    near[max(best - 2, 0) : best + 3] = True
    u, y = x[near] - x[best], loss[near] - loss[best]
    degree = 3 if len(u) > 4 else 2
    base = np.vander(u, degree + 1, increasing=True)
    sd = np.sqrt(0.004**2 + (0.2 * y) ** 2)
    q, r = np.linalg.qr(base / sd[:, None])
    coef = np.linalg.solve(r, q.T @ (y / sd))
    freedom = len(u) - degree - 1
    factor = (2.0 + float(np.sum(((y - base @ coef) / sd) ** 2))) / (2.0 + freedom)
    drawn = coef + np.linalg.solve(r, rng.standard_normal((degree + 1, draws))).T * np.sqrt(factor)
    both = np.vstack([coef, drawn])
    if degree == 2:
        both = np.hstack([both, np.zeros((len(both), 1))])
    lo, hi = x[best - 1] - x[best], x[best + 1] - x[best]
    c1, c2, c3 = both[:, 1], np.maximum(both[:, 2], 1e-6), both[:, 3]
    root = np.sqrt(np.maximum(c2 * c2 - 3 * c1 * c3, 0.0))
    at = np.clip(-c1 / (c2 + root), lo, hi)
    h = np.maximum(2 * c2 + 6 * c3 * at, 0.05 * c2)
    value = both[:, 0] + at * (c1 + at * (both[:, 2] + at * c3))
    skew = np.clip(2 * c3 / h, -1.5, 1.5)
    out = np.stack([at + x[best], value + loss[best], np.log(h), skew, np.zeros_like(h)])
    return out[:, 0], out[:, 1:], float(0.004 * np.sqrt(factor))
