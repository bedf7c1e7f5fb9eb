"""Where the search starts: a quadratic surface through the lowest points of each scale."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.joint.model import Batch, Layout, State, shared_mean
from hptransfer.quantify.joint.points import Points, surface_coefficients
from hptransfer.quantify.joint.priors import JOINT
from hptransfer.quantify.joint.surface import pairs
from hptransfer.sweep.table import BoolArray, FloatArray

LEAST_CURVATURE = 3e-3  # nats per octave^2; of the surface that the search starts from


def batch_of(points: Points, kept: BoolArray) -> tuple[Batch, State]:
    """The points that count as a batch, of the scales that have any, and the state to start from."""
    scales = np.flatnonzero(kept.any(axis=1))
    size = int(kept.sum(axis=1).max())
    d = points.x.shape[-1]
    x, place_sd = np.zeros((len(scales), size, d)), np.zeros((len(scales), size, d))
    y, count, spread = (np.zeros((len(scales), size)) for _ in range(3))
    start, half = np.zeros((len(scales), d)), np.zeros((len(scales), d))
    lowest, curvatures = np.zeros(len(scales)), []
    for row, k in enumerate(scales):
        chosen = np.flatnonzero(kept[k])
        n = len(chosen)
        x[row, :n], y[row, :n] = points.x[k, chosen], points.loss[k, chosen]
        count[row, :n], spread[row, :n] = points.count[k, chosen], points.spread[k, chosen]
        place_sd[row, :n] = np.where(points.at_zero[k, chosen], JOINT.zero_sd, 0.0)
        half[row] = 0.5 * np.ptp(x[row, :n], axis=0)
        start[row], lowest[row], found = _vertex(x[row, :n], y[row, :n])
        if found is not None:
            curvatures.append(found)
    t = points.place[scales]
    batch = Batch(x, y, count, spread, place_sd, t - t.mean(axis=0), start, half + JOINT.x_sd)
    layout = batch.layout
    local = np.zeros((len(scales), layout.local))
    local[:, 0], local[:, 1 : 1 + d] = lowest, start
    return batch, State(local, _shared_start(layout, curvatures))


def _vertex(x: FloatArray, y: FloatArray) -> tuple[FloatArray, float, FloatArray | None]:
    """Optimum, its loss and curvature by a quadratic through the lowest points; else the lowest point's."""
    d = x.shape[1]
    best = int(np.argmin(y))
    needed = surface_coefficients(d)
    if len(y) < needed + 1:
        return x[best], float(y[best]), None
    near = np.argsort(y)[: min(max(3 * needed, len(y) // 3), len(y))]
    u, rise = x[near] - x[best], y[near] - y[best]
    squares = [(i, i) for i in range(d)] + pairs(d)
    basis = np.column_stack([np.ones(len(u)), u, *(u[:, i] * u[:, j] for i, j in squares)])
    found = np.linalg.lstsq(basis, rise, rcond=None)[0]
    a = np.zeros((d, d))
    for (i, j), value in zip(squares, found[1 + d :], strict=True):
        a[i, j] += value
        a[j, i] += value
    value, vector = np.linalg.eigh(a)
    a = vector @ np.diag(np.maximum(value, LEAST_CURVATURE)) @ vector.T
    at = np.clip(-np.linalg.solve(a, found[1 : 1 + d]), u.min(axis=0), u.max(axis=0))
    if value.min() < LEAST_CURVATURE:
        at = 0.5 * at
    return x[best] + at, float(y[best]), a


def _shared_start(layout: Layout, curvatures: list[FloatArray]) -> FloatArray:
    d, starts = layout.d, layout.starts
    shared = shared_mean(layout)
    if curvatures:
        lower = np.linalg.cholesky(
            np.exp(np.mean(np.log(np.abs([np.linalg.det(a) for a in curvatures])) / d)) * _unit(curvatures)
        )
        root = np.diag(lower)
        shared[:d] = 2.0 * np.log(root)
        shared[starts[2] : starts[3]] = [np.clip((lower / root)[j, i], -3.0, 3.0) for i, j in pairs(d)]
    return shared


def _unit(curvatures: list[FloatArray]) -> FloatArray:
    """Mean of the matrices, each of determinant 1, itself of determinant 1."""
    d = len(curvatures[0])
    mean = np.mean([a / np.abs(np.linalg.det(a)) ** (1 / d) for a in curvatures], axis=0)
    return np.asarray(mean / np.linalg.det(mean) ** (1 / d))
