"""Fits the basins of many variants: chunks of them together, on threads, with draws that belong together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from hptransfer.quantify.basin.assemble import DrawPlan, assembled, empty_basins
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.model import LOCAL, PRIOR_MEAN, SHARED, State, VariantBatch
from hptransfer.quantify.basin.posterior import Posterior, fit_posterior
from hptransfer.quantify.basin.shared_noise import shared_noise
from hptransfer.quantify.basin.window import BasinWindow, select_windows
from hptransfer.sweep.table import FloatArray

THREADS = min(os.cpu_count() or 1, 4)
CHUNK = 32  # variants fitted at once: enough to amortise the calls, little enough memory
PAIRED_MOST = 128  # more variants than this are drawn chunk by chunk, without common noise
LEAST_CURVATURE = 1e-3  # of the parabola that the search starts from, nats per octave squared

Item = TypeVar("Item")
Out = TypeVar("Out")


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
    """[task(start, item) ...], on threads: LAPACK and array loops let go of the interpreter's lock."""
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
    out = [empty_basins(c, w, plan.draws) for c, w in zip(chunk.cells, chunk.windows, strict=True)]
    if chunk.posterior is None or chunk.batch is None:
        return out
    for i, v in enumerate(chunk.chosen):
        t = chunk.batch.t[i]
        out[v] = assembled(out[v], chunk.posterior, i, t, replace(plan, variant=plan.variant + v))
    return out
