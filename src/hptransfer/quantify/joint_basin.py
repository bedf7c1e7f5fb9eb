"""One least-squares fit of all basins of a variant: a shape shared across scales, its errors allowed for.

Model, scale k and cell i:  L = a_k + excess(x_i - x_k; log h_k, shape) + shape error + noise, with
log h_k on a line in log n plus a deviation d_k. All arrays carry a leading axis of variants V and one of
noise settings G; K scales, N cells a scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify import stacks
from hptransfer.quantify.cells import BoolArray
from hptransfer.quantify.shapes import (
    FEATURES,
    SHAPE_PRIORS,
    correction_covariance,
    excess,
    feature_slopes,
    features,
)

CURVATURE_SD = 0.02  # of a scale's log curvature about its line
# Shared parameters: log h at the mean scale, its slope per octave of n, then the shape's coefficients.
SHARED = 2 + FEATURES
PRIOR_MEAN = np.array([-2.5, 0.0, 0.2, 0.0] + [0.0] * (FEATURES - 2))
PRIOR_SD = np.array([2.5, 0.2, 0.2, 0.5])
MAX_STEP = np.array([0.7, 0.3, 0.3, 0.4] + [0.3] * (FEATURES - 2))


def _precisions() -> FloatArray:
    out = np.zeros((len(SHAPE_PRIORS), SHARED, SHARED))
    for i, prior in enumerate(SHAPE_PRIORS):
        out[i, :4, :4] = np.diag(1 / PRIOR_SD**2)
        out[i, 4:, 4:] = stacks.inverse(correction_covariance(*prior))
    return out


PRECISIONS = _precisions()  # of the shared parameters under each shape prior


@dataclass(frozen=True)
class Batch:
    """Points of V variants, padded.

    Attributes:
        x, y: log2 eta and mean loss, [V, K, N]. count: runs behind each mean, 0 where padded.
        spread: within-cell sums of squares. t: log2 n, centred on each variant's mean, [V, K].
        real: True for scales that exist, [V, K].
    """

    x: FloatArray
    y: FloatArray
    count: FloatArray
    spread: FloatArray
    t: FloatArray
    real: BoolArray


@dataclass(frozen=True)
class State:
    """Parameters: per scale (a, x, d) [V, G, K, 3], shared [V, G, SHARED]."""

    local: FloatArray
    shared: FloatArray

    def log_h(self, t: FloatArray) -> FloatArray:
        """Log curvature of each scale, [V, G, K]."""
        return self.shared[..., 0:1] + self.shared[..., 1:2] * t[:, None] + self.local[..., 2]


@dataclass(frozen=True)
class Normal:
    """Normal equations at a state: everything a step, a likelihood or a draw needs.

    Attributes:
        own: inverse of each scale's block, [V, G, K, 3, 3].
        cross: own @ coupling to shared, [V, G, K, 3, SHARED].
        shared: inverse of the shared parameters' Schur complement, [V, G, SHARED, SHARED].
        step: State-shaped Gauss-Newton step. log_evidence: [V, G], at the step's end.
        residual: [V, G, K, N]. weighted: inverse covariance @ residual. precision: its diagonal.
    """

    own: FloatArray
    cross: FloatArray
    shared: FloatArray
    step: State
    log_evidence: FloatArray
    residual: FloatArray
    weighted: FloatArray
    precision: FloatArray


def _linearised(batch: Batch, state: State) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Derivatives in local [V, G, K, N, 3] and shared [..., SHARED] parameters, and residuals."""
    real = (batch.count > 0)[:, None]
    u = batch.x[:, None] - state.local[..., 1:2]
    log_h = state.log_h(batch.t)[..., None]
    shape = state.shared[..., None, None, 2:]
    rise = excess(u, log_h, shape)
    residual = np.where(real, batch.y[:, None] - state.local[..., 0:1] - rise, 0.0)
    one = np.where(real, 1.0, 0.0) + 0.0 * rise
    rise = rise * one
    slope = rise * np.einsum("...f,...f->...", feature_slopes(u), shape)
    slope += np.where(np.abs(u) > 1e-9, 2.0 * rise / np.where(u == 0, 1.0, u), 0.0)
    local = np.stack([one, -slope, rise], axis=-1)
    shared = np.concatenate(
        [rise[..., None], (rise * batch.t[:, None, :, None])[..., None], rise[..., None] * features(u)],
        axis=-1,
    )
    return local, shared, residual


def normal_equations(
    batch: Batch,
    state: State,
    weight: FloatArray,
    anchor: FloatArray,
    reach: FloatArray,
    prior: FloatArray,
    expand: int = 1,
) -> Normal:
    """Linearises the model at a state.

    `weight` is the inverse covariance of the cells [V, G, K, N, N]; `anchor` and `reach` are centre and sd of
    the weak prior on each x_k [V, K]; `prior` is the precision of the shared parameters at each setting
    [V or 1, G * expand, SHARED, SHARED]; `expand` is how many priors each noise setting is combined with,
    neighbours on the axis of settings. What priors do not change is worked out once for all of them.
    """
    local, shared, residual = _linearised(batch, state)
    w_local, w_shared = weight @ local, weight @ shared
    weighted = (weight @ residual[..., None])[..., 0]
    ridge = np.zeros((*batch.x.shape[:2], 3))
    ridge[..., 0] = np.where(batch.real, 1e-9, 1.0)
    ridge[..., 1] = 1.0 / reach**2
    ridge[..., 2] = 1.0 / CURVATURE_SD**2
    away = state.local.copy()
    away[..., 0] = 0.0
    away[..., 1] -= anchor[:, None]
    block = np.swapaxes(local, -1, -2) @ w_local
    block[..., np.arange(3), np.arange(3)] += ridge[:, None]
    coupling = np.swapaxes(local, -1, -2) @ w_shared
    g_local = np.einsum("...ip,...i->...p", local, weighted) - ridge[:, None] * away
    own = stacks.inverse(block)
    cross = own @ coupling
    own_step = np.einsum("...pq,...q->...p", own, g_local)
    schur = (np.swapaxes(shared, -1, -2) @ w_shared - np.swapaxes(coupling, -1, -2) @ cross).sum(axis=2)
    rhs = np.einsum("...kip,...ki->...p", shared, weighted) - np.einsum(
        "...kpq,...kp->...q", coupling, own_step
    )
    chi2 = np.einsum("...ki,...ki->...", residual, weighted) + np.sum(ridge[:, None] * away**2, axis=(-1, -2))
    log_det = np.linalg.slogdet(block)[1].sum(axis=-1) - np.linalg.slogdet(weight)[1].sum(axis=-1)
    won = np.einsum("...kp,...kp->...", own_step, g_local)

    def wide(array: FloatArray) -> FloatArray:
        return np.repeat(array, expand, axis=1) if expand > 1 else array

    off = state.shared - PRIOR_MEAN
    pull = (prior @ off[..., None])[..., 0]
    schur = wide(schur) + prior
    rhs = wide(rhs) - pull
    inverse = stacks.inverse(schur)
    shared_step = np.einsum("...pq,...q->...p", inverse, rhs)
    own_step, cross = wide(own_step), wide(cross)
    local_step = own_step - np.einsum("...kpq,...q->...kp", cross, shared_step)
    won = wide(won) + np.einsum("...p,...p->...", shared_step, rhs)
    chi2 = wide(chi2) + np.einsum("...p,...p->...", off, pull)
    log_det = wide(log_det) + np.linalg.slogdet(schur)[1] - np.linalg.slogdet(prior)[1]
    own = wide(own)
    return Normal(
        own,
        cross,
        inverse,
        State(local_step, shared_step),
        -0.5 * (chi2 - won + log_det),
        residual,
        weighted,
        np.einsum("...ii->...i", weight),
    )


def stepped(state: State, step: State, room: FloatArray) -> State:
    """The state after a step, held to sane sizes; `room` [V, K] is how far an optimum may move, octaves."""
    shared = state.shared + np.clip(step.shared, -MAX_STEP, MAX_STEP)
    move = step.local.copy()
    move[..., 1] = np.clip(move[..., 1], -room[:, None], room[:, None])
    move[..., 2] = np.clip(move[..., 2], -0.5, 0.5)
    shared[..., 2] = np.clip(shared[..., 2], -1.7, 1.7)
    shared[..., 3] = np.clip(shared[..., 3], -1.5, 3.0)
    return State(state.local + move, shared)
