"""Fits the basins of many variants: chunks of them together, on threads, with draws that belong together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.checks import check_basins
from hptransfer.quantify.basin.model import LOCAL, PRIOR_MEAN, SHARED, State, VariantBatch
from hptransfer.quantify.basin.posterior import Posterior, draw_parameters, fit_posterior
from hptransfer.quantify.basin.shape import FEATURES
from hptransfer.quantify.basin.shared_noise import shared_noise
from hptransfer.quantify.basin.window import BasinWindow, select_windows
from hptransfer.quantify.intervals import sample_settings
from hptransfer.sweep.table import BoolArray, FloatArray

THREADS = min(os.cpu_count() or 1, 4)
CHUNK = 32  # variants fitted at once: enough to amortise the calls, little enough memory
PAIRED_MOST = 128  # more variants than this are drawn chunk by chunk, without common noise
LEAST_CURVATURE = 1e-3  # of the parabola that the search starts from, nats per octave squared

Item = TypeVar("Item")
Out = TypeVar("Out")


@dataclass(frozen=True)
class DrawPlan:
    """How the draws of one variant are made.

    Attributes:
        draws: B.
        seed: of the whole fit.
        variant: the variant's place among all.
        common: fraction of the draws' variance that is the same for every variant.
    """

    draws: int
    seed: int
    variant: int
    common: float


@dataclass(frozen=True)
class _ChunkFit:
    """Some variants with their fit; `chosen` are those with any basin, in the order of the batch."""

    cells: Sequence[Cells]
    windows: list[list[BasinWindow]]
    chosen: list[int]
    batch: VariantBatch | None
    posterior: Posterior | None


def fit_basins(
    all_cells: Sequence[Cells], draws: int, seed: int, *, first: int = 0, total: int | None = None
) -> list[Basins]:
    """Fits every scale of every variant.

    Args:
        all_cells: the runs, one entry a variant.
        draws: B, the number of posterior draws. Draw b of one variant belongs to draw b of every other:
            noise that variants share (the same seeds and batches) is shared by their draws too.
        seed: of the draws.
        first: place of these variants among all, which their draws depend on.
        total: of all variants; above `PAIRED_MOST` noise is not shared. None: these are all.
    """
    many = (len(all_cells) if total is None else total) > PAIRED_MOST
    size = CHUNK if many else min(max(-(-len(all_cells) // THREADS), 4), CHUNK)
    chunks = [all_cells[i : i + size] for i in range(0, len(all_cells), size)]
    starts = [first + i for i in range(0, len(all_cells), size)]
    if many:

        def whole(start: int, chunk: Sequence[Cells]) -> list[Basins]:
            return [b.to_float32() for b in _drawn(_fit_chunk(chunk), DrawPlan(draws, seed, start, 0.0))]

        return [b for part in _threaded(whole, starts, chunks) for b in part]

    def fitted(_: int, chunk: Sequence[Cells]) -> _ChunkFit:
        return _fit_chunk(chunk)

    def drawn(start: int, chunk: _ChunkFit) -> list[Basins]:
        return _drawn(chunk, DrawPlan(draws, seed, start, common))

    fits = _threaded(fitted, starts, chunks)
    common = shared_noise([residuals for chunk in fits for residuals in _residuals(chunk)])
    return [b for part in _threaded(drawn, starts, fits) for b in part]


def _threaded(task: Callable[[int, Item], Out], starts: Sequence[int], items: Sequence[Item]) -> list[Out]:
    """[task(start, item) ...], on threads: LAPACK and array loops let go of the interpreter's lock.

    Args:
        task: called with a start and an item.
        starts: one an item.
        items: what is worked on.
    """
    if len(items) < 2 or THREADS < 2:
        return [task(start, item) for start, item in zip(starts, items, strict=True)]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(task, starts, items))


def _fit_chunk(cells: Sequence[Cells]) -> _ChunkFit:
    windows = [select_windows(c) for c in cells]
    chosen = [v for v, found in enumerate(windows) if any(len(w.slots) for w in found)]
    if not chosen:
        return _ChunkFit(cells, windows, chosen, None, None)
    batch, start = _batch([cells[v] for v in chosen], [windows[v] for v in chosen])
    return _ChunkFit(cells, windows, chosen, batch, fit_posterior(batch, start))


def _with_slots(windows: Sequence[BasinWindow]) -> list[int]:
    """Scales that have cells to fit."""
    return [k for k, window in enumerate(windows) if len(window.slots)]


def _residuals(chunk: _ChunkFit) -> list[dict[tuple[float, float], float]]:
    """Standardised residual of every cell at the best noise setting, by (scale, log2 eta), per variant."""
    if chunk.batch is None or chunk.posterior is None:
        return []
    out = []
    for i, v in enumerate(chunk.chosen):
        g = int(np.argmax(chunk.posterior.weight[i]))
        linear = chunk.posterior.linear
        z = linear.weighted[i, g] / np.sqrt(linear.precision[i, g])  # [K, N]
        table = {}
        for j, k in enumerate(_with_slots(chunk.windows[v])):
            scale = float(chunk.cells[v].scale[k])
            for n in np.flatnonzero(chunk.batch.count[i, j]):
                table[scale, round(float(chunk.batch.x[i, j, n]), 6)] = float(z[j, n])
        out.append(table)
    return out


def _batch(chunk: Sequence[Cells], windows: Sequence[list[BasinWindow]]) -> tuple[VariantBatch, State]:
    """Pads the chosen cells, and starts the search at the parabola through the lowest three."""
    kept = [_with_slots(found) for found in windows]
    shape = (len(chunk), max(map(len, kept)), max(len(w.slots) for found in windows for w in found))
    x, y, count, spread = (np.zeros(shape) for _ in range(4))  # [V, K, N]
    t, real = np.zeros(shape[:2]), np.zeros(shape[:2], dtype=bool)  # [V, K]
    local, spacing, log_curvature = np.zeros((*shape[:2], LOCAL)), np.ones(shape[:2]), np.zeros(shape[:2])
    for v, cells in enumerate(chunk):
        logs = np.log2(cells.scale[kept[v]])
        t[v, : len(logs)] = logs - logs.mean()
        real[v, : len(logs)] = True
        for j, k in enumerate(kept[v]):
            window = windows[v][k]
            n, slots = len(window.slots), window.slots
            x[v, j, :n], y[v, j, :n] = cells.x[k, slots], cells.loss[k, slots]
            count[v, j, :n], spread[v, j, :n] = cells.count[k, slots], cells.spread[k, slots]
            around = slice(window.best - 1, window.best + 2)
            local[v, j, :2], log_curvature[v, j] = _parabola(cells.x[k, around], cells.loss[k, around])
            spacing[v, j] = float(np.diff(cells.x[k, around]).max())
    shared = np.broadcast_to(PRIOR_MEAN, (len(chunk), SHARED)).copy()
    for v in range(len(chunk)):
        shared[v, 0] = np.median(log_curvature[v, real[v]])
    batch = VariantBatch(x, y, count, spread, t, real, local[..., 1], spacing)
    return batch, State(local[:, None], shared[:, None])


def _parabola(x: FloatArray, y: FloatArray) -> tuple[tuple[float, float], float]:
    """(loss, position) and log curvature of the parabola through three cells, the vertex held close."""
    left, right = x[1] - x[0], x[2] - x[1]
    down, up = (y[0] - y[1]) / left, (y[2] - y[1]) / right
    curvature = max(2 * (down + up) / (left + right), LEAST_CURVATURE)
    vertex = (down * right - up * left) / (curvature * (left + right))
    shift = float(np.clip(vertex, -0.5 * left, 0.5 * right))
    return (float(y[1]), float(x[1]) + shift), float(np.log(curvature))


def _drawn(chunk: _ChunkFit, plan: DrawPlan) -> list[Basins]:
    """The basins of every variant of a chunk; `plan` is that of its first."""
    out = [_empty(c, w, plan.draws) for c, w in zip(chunk.cells, chunk.windows, strict=True)]
    if chunk.posterior is None or chunk.batch is None:
        return out
    for i, v in enumerate(chunk.chosen):
        t = chunk.batch.t[i]
        out[v] = _assembled(out[v], chunk.posterior, i, t, replace(plan, variant=plan.variant + v))
    return out


def _empty(cells: Cells, windows: list[BasinWindow], draws: int) -> Basins:
    """Basins of which only the windows are known; `fitted` says where a fit belongs.

    Args:
        cells: the runs of one variant.
        windows: one a scale.
        draws: B.
    """
    scales = len(cells.scale)
    point, drawn = np.full(scales, np.nan), np.full((draws, scales), np.nan)
    return Basins(
        cells=cells,
        fitted=np.array([len(w.slots) > 0 for w in windows]),
        edge=np.array([w.edge for w in windows]),
        low=np.array([w.low for w in windows]),
        high=np.array([w.high for w in windows]),
        first=np.array([_outermost(cells, k, w, 0) for k, w in enumerate(windows)]),
        last=np.array([_outermost(cells, k, w, -1) for k, w in enumerate(windows)]),
        x=point,
        loss=point,
        log_curvature=point,
        by_law=point,
        cov_given_shape=np.full((scales, LOCAL, LOCAL), np.nan),
        shape=np.zeros(FEATURES),
        x_draws=drawn,
        loss_draws=drawn,
        log_curvature_draws=drawn,
        shape_draws=np.zeros((draws, FEATURES)),
        noise=float("nan"),
        misfit=float("nan"),
        flags=tuple(w.flags for w in windows),
    )


def _outermost(cells: Cells, k: int, window: BasinWindow, end: int) -> float:
    return float(cells.x[k, window.slots[end]]) if len(window.slots) else float("nan")


def _assembled(empty: Basins, posterior: Posterior, i: int, t: FloatArray, plan: DrawPlan) -> Basins:
    """The basins of the i-th variant of a batch.

    Args:
        empty: the variant's windows, and which of its scales are in the batch.
        posterior: of the batch.
        i: the variant's place in the batch.
        t: log2 n of its scales, centred, padded, shape [K of the batch].
        plan: of its draws.
    """
    fitted = empty.fitted
    scales, weight = int(fitted.sum()), posterior.weight[i]
    t, low, high = t[:scales], empty.low[fitted], empty.high[fitted]
    mean_local, mean_shared = _posterior_mean(posterior, i, scales)
    local, shared = _posterior_draws(posterior, i, scales, plan)  # [B, scales, 3], [B, SHARED]
    x, x_draws = _widened(fitted, np.clip(mean_local[:, 1], low, high), np.clip(local[..., 1], low, high))
    loss, loss_draws = _widened(fitted, mean_local[:, 0], local[..., 0])
    log_curvature, log_curvature_draws = _widened(
        fitted,
        mean_shared[0] + mean_shared[1] * t + mean_local[:, 2],
        shared[:, :1] + shared[:, 1:2] * t + local[..., 2],
    )
    cov_given_shape = empty.cov_given_shape.copy()
    cov_given_shape[fitted] = np.einsum("g,gkpq->kpq", weight, posterior.normal.cov_given_shape[i])[:scales]
    inflation = posterior.misfit_inflation[i]
    misfit = np.exp(weight @ np.log(posterior.noise.misfit[i]))
    basins = replace(
        empty,
        cov_given_shape=cov_given_shape,
        x=x,
        loss=loss,
        log_curvature=log_curvature,
        shape=mean_shared[2:],
        x_draws=x_draws,
        loss_draws=loss_draws,
        log_curvature_draws=log_curvature_draws,
        shape_draws=shared[:, 2:],
        noise=float(np.exp(weight @ np.log(posterior.noise.sigma[i]))),
        misfit=float(misfit * np.sqrt(np.mean(inflation[:scales] ** 2))),
    )
    return check_basins(basins, inflation, posterior.variance_factor[i])


def _posterior_mean(posterior: Posterior, i: int, scales: int) -> tuple[FloatArray, FloatArray]:
    """Means over the noise settings of the i-th variant's parameters: local [scales, 3], shared [SHARED].

    Args:
        posterior: of the batch.
        i: the variant's place in the batch.
        scales: number of its scales.
    """
    weight, state = posterior.weight[i], posterior.state
    return np.einsum("g,gkp->kp", weight, state.local[i])[:scales], weight @ state.shared[i]


def _posterior_draws(
    posterior: Posterior, i: int, scales: int, plan: DrawPlan
) -> tuple[FloatArray, FloatArray]:
    """Draws of the i-th variant's parameters: local [B, scales, 3], shared [B, SHARED].

    Where variants share noise they share the uncertainty about its size, too: the same noise settings.

    Args:
        posterior: of the batch.
        i: the variant's place in the batch.
        scales: number of its scales.
        plan: of its draws.
    """
    rng = np.random.default_rng([plan.seed, 0, 0 if plan.common > 0 else plan.variant])
    setting = sample_settings(posterior.weight[i], rng.random(plan.draws))
    return draw_parameters(posterior, i, setting, *_normals(scales, plan))


def _normals(scales: int, plan: DrawPlan) -> tuple[FloatArray, FloatArray]:
    """Standard normal draws [B, SHARED] and [B, scales, 3], in part the same for every variant."""
    rng = np.random.default_rng([plan.seed, 1, plan.variant])
    shape, local_shape = (plan.draws, SHARED), (plan.draws, scales, LOCAL)
    shared, local = rng.standard_normal(shape), rng.standard_normal(local_shape)
    if plan.common > 0:
        rng = np.random.default_rng([plan.seed, 2])
        common = rng.standard_normal(shape), rng.standard_normal(local_shape)
        own_part, common_part = np.sqrt(1 - plan.common), np.sqrt(plan.common)
        shared = own_part * shared + common_part * common[0]
        local = own_part * local + common_part * common[1]
    return shared, local


def _widened(fitted: BoolArray, point: FloatArray, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values [scales] and draws [B, scales] of the fitted scales, at their place among all; else NaN.

    Args:
        fitted: True for scales with a fit, shape [K].
        point: shape [scales].
        drawn: shape [B, scales].
    """
    full, every = np.full(len(fitted), np.nan), np.full((len(drawn), len(fitted)), np.nan)
    full[fitted], every[:, fitted] = point, drawn
    return full, every
