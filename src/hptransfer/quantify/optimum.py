"""One basin a scale: the optimum, the loss there and the curvature, with draws of all three."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.cells import BoolArray, Cells, IntArray
from hptransfer.quantify.joint_basin import PRIOR_MEAN, SHARED, Batch, Posterior, State, draw, fit
from hptransfer.quantify.shapes import FEATURES, excess

WINDOW = 2.5  # octaves either side of the lowest cell that a local fit looks at


@dataclass(frozen=True)
class Basins:
    """The fitted basins of one variant; K scales, B draws.

    Attributes:
        cells: what was fitted.
        fitted: True where there is an optimum inside the grid, shape [K].
        edge: -1 where the lowest cell is the leftmost, +1 where it is the rightmost, else 0, shape [K].
        low, high: range the optimum must lie in, octaves; infinite where nothing bounds it, shape [K].
        x: log2 eta*, shape [K]; NaN where there is no fit. loss, log_h: likewise.
        x_draws: shape [B, K]; and loss_draws, log_h_draws likewise.
        shape: coefficients of the shared shape, [FEATURES]. shape_draws: [B, FEATURES].
        noise: sd of one run's loss near the optimum, nats.
        misfit: sd of the shared shape's relative error at single scales.
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
    shape: FloatArray
    x_draws: FloatArray
    loss_draws: FloatArray
    log_h_draws: FloatArray
    shape_draws: FloatArray
    noise: float
    misfit: float
    flags: tuple[tuple[str, ...], ...]

    def excess_draws(self, k: int, x: FloatArray) -> FloatArray:
        """Loss above the optimum of scale k at x = log2 eta, one row a draw, nats; x is [B] or [B, P]."""
        column = (-1, *[1] * (x.ndim - 1))
        x_k, log_h = self.x_draws[:, k].reshape(column), self.log_h_draws[:, k].reshape(column)
        return excess(x - x_k, log_h, self.shape_draws.reshape(*column, FEATURES))

    def excess_at(self, k: int, x: FloatArray) -> FloatArray:
        """As `excess_draws`, for the point estimate."""
        return excess(x - self.x[k], self.log_h[k], self.shape)


# A fall back by this share of the climb, and by this much, is another minimum and not noise.
WELL_SHARE = 0.2
WELL_NATS = 0.01
THREADS = min(os.cpu_count() or 1, 4)
CHUNK = 32  # variants fitted at once: enough to amortise the calls, little enough memory


@dataclass(frozen=True)
class _Scale:
    """What one scale offers: slots of the cells to fit, the lowest of them, its edge, bounds and flags."""

    slots: IntArray
    best: int
    edge: int
    low: float
    high: float
    flags: tuple[str, ...]


def _survey(cells: Cells, k: int) -> _Scale:
    nothing = np.zeros(0, dtype=np.int64)
    if not cells.usable[k].any():
        return _Scale(nothing, 0, 0, -np.inf, np.inf, ("all_diverged",))
    x, loss = cells.x[k], cells.loss[k]
    best = int(np.nanargmin(loss))
    wall = ~np.isnan(x) & cells.censored[k]
    left, right = np.flatnonzero(wall[:best]), np.flatnonzero(wall[best:])
    first = int(left[-1]) + 1 if len(left) else 0
    last = best + int(right[0]) - 1 if len(right) else int((~np.isnan(x)).sum()) - 1
    if last - first < 2:
        return _Scale(nothing, best, 0, -np.inf, np.inf, ("thin",))
    if best == first:
        low = float(x[first - 1]) if first else -np.inf
        return _Scale(nothing, best, -1, low, float(x[best + 1]), ("at_edge",))
    if best == last:
        high = float(x[last + 1]) if len(right) else np.inf
        return _Scale(nothing, best, 1, float(x[best - 1]), high, ("at_edge",))
    first, last = _own_well(loss, first, best, last)
    slots = np.arange(first, last + 1)
    near = (np.abs(x[slots] - x[best]) <= WINDOW) | (np.abs(slots - best) <= 2)
    return _Scale(slots[near], best, 0, float(x[first]), float(x[last]), ())


def _own_well(loss: FloatArray, first: int, best: int, last: int) -> tuple[int, int]:
    """Cuts the range at the crest before another minimum: what lies beyond it is not this basin."""
    ends = []
    for side in (loss[best : last + 1], loss[first : best + 1][::-1]):
        crest = np.maximum.accumulate(side)
        rise = crest - side[0]
        fallen = np.flatnonzero(crest - side > WELL_SHARE * rise + WELL_NATS)
        ends.append(int(np.argmax(side[: fallen[0]])) if len(fallen) else len(side) - 1)
    return best - max(ends[1], 1), best + max(ends[0], 1)


def fit_basins(all_cells: Sequence[Cells], draws: int, seed: int) -> list[Basins]:
    """Fits every scale of every variant.

    Arguments:
        all_cells: the runs, one entry a variant.
        draws: B, the number of bootstrap draws.
        seed: of the draws; each variant has its own stream.
    """
    size = min(max(-(-len(all_cells) // THREADS), 4), CHUNK)
    starts = range(0, len(all_cells), size)

    def part(start: int) -> list[Basins]:
        return _fit_chunk(all_cells[start : start + size], draws, seed, start)

    if len(starts) < 2:
        return [basins for start in starts for basins in part(start)]
    # Most of the time is spent in LAPACK and array loops, which let go of the interpreter's lock.
    with ThreadPoolExecutor(THREADS) as pool:
        return [basins for chunk in pool.map(part, starts) for basins in chunk]


def _fit_chunk(chunk: Sequence[Cells], draws: int, seed: int, start: int) -> list[Basins]:
    surveys = [[_survey(cells, k) for k in range(len(cells.scale))] for cells in chunk]
    fitted = [np.array([len(s.slots) > 0 for s in survey]) for survey in surveys]
    chosen = [v for v, f in enumerate(fitted) if f.any()]
    out = [_empty(cells, survey, draws) for cells, survey in zip(chunk, surveys, strict=True)]
    if not chosen:
        return out
    batch, state, room = _batch([chunk[v] for v in chosen], [surveys[v] for v in chosen])
    posterior = fit(batch, state, room)
    for i, v in enumerate(chosen):
        rng = np.random.default_rng([seed, start + v])
        out[v] = _basins(out[v], posterior, i, batch, fitted[v], draws, rng)
    return out


def _batch(chunk: Sequence[Cells], surveys: Sequence[list[_Scale]]) -> tuple[Batch, State, FloatArray]:
    kept = [[k for k, s in enumerate(survey) if len(s.slots)] for survey in surveys]
    shape = (len(chunk), max(map(len, kept)), max(len(s.slots) for survey in surveys for s in survey))
    x, y, count, spread = (np.zeros(shape) for _ in range(4))
    t, real = np.zeros(shape[:2]), np.zeros(shape[:2], dtype=bool)
    local, room = np.zeros((*shape[:2], 3)), np.ones(shape[:2])
    log_h = np.zeros(shape[:2])
    for v, cells in enumerate(chunk):
        logs = np.log2(cells.scale[kept[v]])
        t[v, : len(logs)] = logs - logs.mean()
        real[v, : len(logs)] = True
        for j, k in enumerate(kept[v]):
            s = surveys[v][k]
            n = len(s.slots)
            x[v, j, :n], y[v, j, :n] = cells.x[k, s.slots], cells.loss[k, s.slots]
            count[v, j, :n], spread[v, j, :n] = cells.count[k, s.slots], cells.spread[k, s.slots]
            around = slice(s.best - 1, s.best + 2)
            local[v, j, :2], log_h[v, j] = _parabola(cells.x[k, around], cells.loss[k, around])
            room[v, j] = float(np.diff(cells.x[k, around]).max())
    shared = np.broadcast_to(PRIOR_MEAN, (len(chunk), SHARED)).copy()
    for v in range(len(chunk)):
        shared[v, 0] = np.median(log_h[v, real[v]])
    return Batch(x, y, count, spread, t, real), State(local[:, None], shared[:, None]), room


def _parabola(x: FloatArray, y: FloatArray) -> tuple[tuple[float, float], float]:
    """Start of the search: (loss, position) and log curvature of the parabola through three cells."""
    left, right = x[1] - x[0], x[2] - x[1]
    down, up = (y[0] - y[1]) / left, (y[2] - y[1]) / right
    h = max(2 * (down + up) / (left + right), 1e-3)
    shift = float(np.clip(0.5 * (right * down - left * up) / (0.5 * h * (left + right)) / 1.0, -1, 1))
    shift = float(np.clip(shift * 0.5, -0.5 * left, 0.5 * right))
    return (float(y[1]), float(x[1]) + shift), float(np.log(h))


def _empty(cells: Cells, survey: list[_Scale], draws: int) -> Basins:
    scales = len(cells.scale)
    point, drawn = np.full(scales, np.nan), np.full((draws, scales), np.nan)
    return Basins(
        cells=cells,
        fitted=np.zeros(scales, dtype=bool),
        edge=np.array([s.edge for s in survey]),
        low=np.array([s.low for s in survey]),
        high=np.array([s.high for s in survey]),
        x=point,
        loss=point,
        log_h=point,
        shape=np.zeros(FEATURES),
        x_draws=drawn,
        loss_draws=drawn,
        log_h_draws=drawn,
        shape_draws=np.zeros((draws, FEATURES)),
        noise=float("nan"),
        misfit=float("nan"),
        flags=tuple(s.flags for s in survey),
    )


def _basins(
    empty: Basins,
    posterior: Posterior,
    v: int,
    batch: Batch,
    fitted: BoolArray,
    draws: int,
    rng: np.random.Generator,
) -> Basins:
    local, shared = draw(posterior, v, draws, rng)
    weight, state = posterior.weight[v], posterior.state
    k = int(fitted.sum())
    mean_local = np.einsum("g,gkp->kp", weight, state.local[v])[:k]
    mean_shared = weight @ state.shared[v]
    t = batch.t[v, :k]

    def spread(point: FloatArray, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
        full, every = np.full(len(fitted), np.nan), np.full((draws, len(fitted)), np.nan)
        full[fitted], every[:, fitted] = point, drawn
        return full, every

    low, high = empty.low[fitted], empty.high[fitted]
    x, x_draws = spread(np.clip(mean_local[:, 1], low, high), np.clip(local[:, :k, 1], low, high))
    loss, loss_draws = spread(mean_local[:, 0], local[:, :k, 0])
    log_h, log_h_draws = spread(
        mean_shared[0] + mean_shared[1] * t + mean_local[:, 2],
        shared[:, :1] + shared[:, 1:2] * t + local[:, :k, 2],
    )
    return replace(
        empty,
        fitted=fitted,
        x=x,
        loss=loss,
        log_h=log_h,
        shape=mean_shared[2:],
        x_draws=x_draws,
        loss_draws=loss_draws,
        log_h_draws=log_h_draws,
        shape_draws=shared[:, 2:],
        noise=float(np.exp(weight @ np.log(posterior.hypers.sigma[v]))),
        misfit=float(np.exp(weight @ np.log(posterior.hypers.misfit[v]))),
    )
