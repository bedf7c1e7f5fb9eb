"""One basin a scale: the optimum, the loss there and the curvature, with draws of all three."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.model import PRIOR_MEAN, SHARED, Batch, State
from hptransfer.quantify.basin.posterior import Posterior, draw, fit
from hptransfer.quantify.basin.shape import FEATURES, excess
from hptransfer.quantify.basin.shared_noise import shared_noise
from hptransfer.quantify.basin.window import ScaleSurvey, survey_all
from hptransfer.quantify.intervals import limits, picked
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

THREADS = min(os.cpu_count() or 1, 4)
CHUNK = 32  # variants fitted at once: enough to amortise the calls, little enough memory
PAIRED_MOST = 128  # more variants than this are drawn chunk by chunk, without common noise
BELOW_SHARE = 0.5  # of the rise to the next cell that a minimum may lie below the lowest loss seen
CLEAR_DOUBT = 2.0  # factor on the misfit from which a scale is flagged as having a shape of its own
CLEAR_OUTLIER = 3.0  # factor on a cell's variance from which it is told: 3 sd off all others
FLAT_SHARE = 0.8  # of the grid that an optimum's draws may span before the basin is called flat


Item = TypeVar("Item")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Basins:
    """The fitted basins of one variant; K scales, B draws.

    Attributes:
        cells: what was fitted.
        fitted: True where there is an optimum inside the grid, shape [K].
        edge: -1 where the lowest cell is the leftmost, +1 where it is the rightmost, else 0, shape [K].
        low, high: range the optimum must lie in, octaves; infinite where nothing bounds it, shape [K].
        first, last: log2 eta of the outermost cells that were fitted, shape [K]; NaN where there is no fit.
        x: log2 eta*, shape [K]; NaN where there is no fit. loss, log_h: likewise.
        by_law: log2 eta* where the lowest cell is at an edge and the other scales' law says what lies within
            its bounds, shape [K]; else NaN.
        x_draws: shape [B, K]; and loss_draws, log_h_draws likewise.
        own: covariance of (loss, log2 eta*, log h) of each scale given the shape, shape [K, 3, 3]; what is
            left of the draws' covariance is error of the shared shape, which moves all scales together.
        shape: coefficients of the shared shape, [FEATURES]. shape_draws: [B, FEATURES].
        noise: sd of one run's loss near the optimum, nats.
        misfit: sd of the shared shape's relative error at single scales, rms over them.
        flags: of each scale.
    """

    cells: Cells
    fitted: BoolArray
    edge: IntArray
    low: FloatArray
    high: FloatArray
    first: FloatArray
    last: FloatArray
    x: FloatArray
    loss: FloatArray
    log_h: FloatArray
    by_law: FloatArray
    own: FloatArray
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

    def wall(self, k: int) -> float:
        """log2 of the lowest diverged hyperparameter right of the optimum of scale k; infinite if none."""
        cells = self.cells
        beyond = cells.censored[k] & (cells.x[k] > self.x[k])
        return float(cells.x[k, beyond].min()) if beyond.any() else float("inf")


@dataclass(frozen=True)
class _Part:
    """A chunk of variants with its fit; `chosen` are those with any basin, in the order of the batch."""

    cells: Sequence[Cells]
    surveys: list[list[ScaleSurvey]]
    chosen: list[int]
    batch: Batch | None
    posterior: Posterior | None


def fit_basins(
    all_cells: Sequence[Cells], draws: int, seed: int, *, first: int = 0, total: int | None = None
) -> list[Basins]:
    """Fits every scale of every variant.

    Arguments:
        all_cells: the runs, one entry a variant.
        draws: B, the number of posterior draws. Draw b of one variant belongs to draw b of every other:
            noise that variants share (the same seeds and batches) is shared by their draws too.
        seed: of the draws.
        first: place of these variants among all, which their draws depend on.
        total: of all variants; above `PAIRED_MOST` noise is not shared. None: these are all.
    """
    many = (len(all_cells) if total is None else total) > PAIRED_MOST
    size = CHUNK if many else min(max(-(-len(all_cells) // THREADS), 4), CHUNK)
    pieces = [all_cells[i : i + size] for i in range(0, len(all_cells), size)]
    starts = [first + i for i in range(0, len(all_cells), size)]
    if many:

        def whole(start: int, piece: Sequence[Cells]) -> list[Basins]:
            return [_lean(b) for b in _drawn(_fit_part(piece), draws, seed, start, 0.0)]

        return [b for part in _threaded(whole, starts, pieces) for b in part]

    def fitted(_: int, piece: Sequence[Cells]) -> _Part:
        return _fit_part(piece)

    def drawn(start: int, part: _Part) -> list[Basins]:
        return _drawn(part, draws, seed, start, common)

    parts = _threaded(fitted, starts, pieces)
    common = shared_noise([residuals for part in parts for residuals in _residuals(part)])
    return [b for part in _threaded(drawn, starts, parts) for b in part]


def _lean(basins: Basins) -> Basins:
    """The same with its draws in single precision: 10,000 variants must fit in memory."""
    names = ("x_draws", "loss_draws", "log_h_draws", "shape_draws")
    small: dict[str, Any] = {name: getattr(basins, name).astype(np.float32) for name in names}
    return replace(basins, **small)


def _threaded(task: Callable[[int, Item], Out], starts: Sequence[int], items: Sequence[Item]) -> list[Out]:
    """[task(start, item) ...], on threads: LAPACK and array loops let go of the interpreter's lock."""
    if len(items) < 2 or THREADS < 2:
        return [task(start, item) for start, item in zip(starts, items, strict=True)]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(task, starts, items))


def _fit_part(cells: Sequence[Cells]) -> _Part:
    surveys = [survey_all(c) for c in cells]
    chosen = [v for v, survey_v in enumerate(surveys) if any(len(s.slots) for s in survey_v)]
    if not chosen:
        return _Part(cells, surveys, chosen, None, None)
    batch, state, room = _batch([cells[v] for v in chosen], [surveys[v] for v in chosen])
    return _Part(cells, surveys, chosen, batch, fit(batch, state, room))


def _residuals(part: _Part) -> list[dict[tuple[float, float], float]]:
    """Standardised residual of every cell at the best noise setting, by (scale, log2 eta), per variant."""
    if part.batch is None or part.posterior is None:
        return []
    out = []
    for i, v in enumerate(part.chosen):
        g = int(np.argmax(part.posterior.weight[i]))
        linear = part.posterior.linear
        z = linear.weighted[i, g] / np.sqrt(linear.precision[i, g])
        kept = [k for k, s in enumerate(part.surveys[v]) if len(s.slots)]
        table = {}
        for j, k in enumerate(kept):
            scale = float(part.cells[v].scale[k])
            for n in np.flatnonzero(part.batch.count[i, j]):
                table[scale, round(float(part.batch.x[i, j, n]), 6)] = float(z[j, n])
        out.append(table)
    return out


def _batch(chunk: Sequence[Cells], surveys: Sequence[list[ScaleSurvey]]) -> tuple[Batch, State, FloatArray]:
    """Pads the chosen cells, and starts the search at the parabola through the lowest three."""
    kept = [[k for k, s in enumerate(found) if len(s.slots)] for found in surveys]
    shape = (len(chunk), max(map(len, kept)), max(len(s.slots) for found in surveys for s in found))
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
    """(loss, position) and log curvature of the parabola through three cells, the vertex held close."""
    left, right = x[1] - x[0], x[2] - x[1]
    down, up = (y[0] - y[1]) / left, (y[2] - y[1]) / right
    h = max(2 * (down + up) / (left + right), 1e-3)
    vertex = (down * right - up * left) / (h * (left + right))
    shift = float(np.clip(vertex, -0.5 * left, 0.5 * right))
    return (float(y[1]), float(x[1]) + shift), float(np.log(h))


def _drawn(part: _Part, draws: int, seed: int, start: int, common: float) -> list[Basins]:
    out = [_empty(c, s, draws) for c, s in zip(part.cells, part.surveys, strict=True)]
    if part.posterior is None or part.batch is None:
        return out
    for i, v in enumerate(part.chosen):
        out[v] = _basins(out[v], part.surveys[v], part.posterior, i, part.batch, seed, start + v, common)
    return out


def _empty(cells: Cells, found: list[ScaleSurvey], draws: int) -> Basins:
    scales = len(cells.scale)
    point, drawn = np.full(scales, np.nan), np.full((draws, scales), np.nan)
    return Basins(
        cells=cells,
        fitted=np.zeros(scales, dtype=bool),
        edge=np.array([s.edge for s in found]),
        low=np.array([s.low for s in found]),
        high=np.array([s.high for s in found]),
        first=np.array([_outermost(cells, k, s, 0) for k, s in enumerate(found)]),
        last=np.array([_outermost(cells, k, s, -1) for k, s in enumerate(found)]),
        x=point,
        loss=point,
        log_h=point,
        by_law=point,
        own=np.full((scales, 3, 3), np.nan),
        shape=np.zeros(FEATURES),
        x_draws=drawn,
        loss_draws=drawn,
        log_h_draws=drawn,
        shape_draws=np.zeros((draws, FEATURES)),
        noise=float("nan"),
        misfit=float("nan"),
        flags=tuple(s.flags for s in found),
    )


def _outermost(cells: Cells, k: int, found: ScaleSurvey, end: int) -> float:
    return float(cells.x[k, found.slots[end]]) if len(found.slots) else float("nan")


def _picks(weight: FloatArray, draws: int, seed: int, v: int, common: float) -> IntArray:
    """The noise setting of each draw; where variants share noise they share the uncertainty about it."""
    uniform = np.random.default_rng([seed, 0, 0 if common > 0 else v]).random(draws)
    return picked(weight, uniform)


def _normals(draws: int, scales: int, seed: int, v: int, common: float) -> tuple[FloatArray, FloatArray]:
    """Standard normal draws of variant v, a share `common` of their variance the same for every variant."""
    rng = np.random.default_rng([seed, 1, v])
    shared, local = rng.standard_normal((draws, SHARED)), rng.standard_normal((draws, scales, 3))
    if common > 0:
        rng = np.random.default_rng([seed, 2])
        both = rng.standard_normal((draws, SHARED)), rng.standard_normal((draws, scales, 3))
        own, lent = np.sqrt(1 - common), np.sqrt(common)
        shared, local = own * shared + lent * both[0], own * local + lent * both[1]
    return shared, local


def _basins(
    empty: Basins,
    found: list[ScaleSurvey],
    posterior: Posterior,
    i: int,
    batch: Batch,
    seed: int,
    v: int,
    common: float,
) -> Basins:
    """The i-th variant of a batch: posterior means over the noise settings, and draws."""
    draws, weight = len(empty.x_draws), posterior.weight[i]
    fitted = np.array([len(s.slots) > 0 for s in found])
    k = int(fitted.sum())
    pick = _picks(weight, draws, seed, v, common)
    local, shared = draw(posterior, i, pick, *_normals(draws, k, seed, v, common))
    mean_local = np.einsum("g,gkp->kp", weight, posterior.state.local[i])[:k]
    mean_shared = weight @ posterior.state.shared[i]
    t = batch.t[i, :k]
    low, high = empty.low[fitted], empty.high[fitted]

    def widen(point: FloatArray, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
        full, every = np.full(len(fitted), np.nan), np.full((draws, len(fitted)), np.nan)
        full[fitted], every[:, fitted] = point, drawn
        return full, every

    x, x_draws = widen(np.clip(mean_local[:, 1], low, high), np.clip(local[..., 1], low, high))
    loss, loss_draws = widen(mean_local[:, 0], local[..., 0])
    log_h, log_h_draws = widen(
        mean_shared[0] + mean_shared[1] * t + mean_local[:, 2],
        shared[:, :1] + shared[:, 1:2] * t + local[..., 2],
    )
    own = np.full_like(empty.own, np.nan)
    own[fitted] = np.einsum("g,gkpq->kpq", weight, posterior.normal.own[i])[:k]
    basins = replace(
        empty,
        fitted=fitted,
        own=own,
        x=x,
        loss=loss,
        log_h=log_h,
        shape=mean_shared[2:],
        x_draws=x_draws,
        loss_draws=loss_draws,
        log_h_draws=log_h_draws,
        shape_draws=shared[:, 2:],
        noise=float(np.exp(weight @ np.log(posterior.hypers.sigma[i]))),
        misfit=float(np.exp(weight @ np.log(posterior.hypers.misfit[i])) * _rms(posterior.doubt[i, :k])),
    )
    return _checked(basins, posterior.doubt[i], posterior.inflate[i])


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _checked(basins: Basins, doubt: FloatArray, inflate: FloatArray) -> Basins:
    """Adds each scale's warnings, and rejects minima far below anything that was seen."""
    flags, fitted = list(basins.flags), basins.fitted.copy()
    for j, k in enumerate(np.flatnonzero(basins.fitted)):
        found = list(flags[k])
        seen = np.sort(basins.cells.loss[k, basins.cells.usable[k]])
        if basins.loss[k] < seen[0] - 4 * basins.noise - BELOW_SHARE * (seen[1] - seen[0]) - 0.01:
            found.append("below_observed")
            fitted[k] = False
        if doubt[j] > CLEAR_DOUBT:
            found.append("own_shape")
        if (inflate[j] > CLEAR_OUTLIER).any():
            found.append("outliers")
        low, high = limits(basins.x_draws[:, k], 0.95)
        if high - low > FLAT_SHARE * (basins.high[k] - basins.low[k]):
            found.append("flat")
        flags[k] = tuple(found)
    gone = basins.fitted & ~fitted
    x, loss, log_h = (np.where(gone, np.nan, a) for a in (basins.x, basins.loss, basins.log_h))
    return replace(basins, fitted=fitted, flags=tuple(flags), x=x, loss=loss, log_h=log_h)
