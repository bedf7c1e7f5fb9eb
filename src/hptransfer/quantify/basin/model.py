"""One least-squares fit of all basins of a variant: a shape shared across scales, its errors allowed for.

Model, scale k and cell i:  L = a_k + excess(x_i - x_k; log h_k, shape) + shape error + noise, with
log h_k on a line in log n plus a deviation d_k. All arrays carry a leading axis of variants V and one of
noise settings G; K scales, N cells a scale.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.basin.shape import (
    FEATURES,
    SHAPE_PRIORS,
    correction_covariance,
    excess,
    feature_slopes,
    features,
)
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

CURVATURE_SD = 0.02  # of a scale's log curvature about its line
# Shared parameters: log h at the mean scale, its slope per octave of n, then the shape's coefficients.
SHARED = 2 + FEATURES
LOCAL = 3  # parameters of a scale: loss, log2 eta* and deviation of the log curvature
PRIOR_MEAN = np.array([-2.5, 0.0, 0.2, 0.0] + [0.0] * (FEATURES - 2))
PRIOR_SD = np.array([2.5, 0.2, 0.2, 0.5])
MAX_STEP = np.array([0.7, 0.3, 0.3, 0.4] + [0.3] * (FEATURES - 2))


def _precisions() -> FloatArray:
    out = np.zeros((len(SHAPE_PRIORS), SHARED, SHARED))
    for i, prior in enumerate(SHAPE_PRIORS):
        out[i, :4, :4] = np.diag(1 / PRIOR_SD**2)
        out[i, 4:, 4:] = np.linalg.inv(correction_covariance(*prior))
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
        step: State-shaped Gauss-Newton step.
    """

    own: FloatArray
    cross: FloatArray
    shared: FloatArray
    step: State


@dataclass(frozen=True)
class Linear:
    """The model linearised at a state, for a covariance of the cells.

    Attributes:
        product: J.T @ inverse covariance @ J of each scale, [V, G, K, P, P]; the columns of J are the
            derivatives in the 3 local and SHARED shared parameters, then the residuals.
        log_det: of the cells' covariance, all scales together, [V, G].
        residual: [V, G, K, N]. weighted: inverse covariance @ residual. precision: its diagonal.
    """

    product: FloatArray
    log_det: FloatArray
    residual: FloatArray
    weighted: FloatArray
    precision: FloatArray

    def at(self, setting: IntArray) -> Linear:
        """The same for some of the noise settings, [V, settings]."""
        return Linear(*(taken(getattr(self, f.name), setting) for f in fields(self)))


def taken(array: FloatArray, setting: IntArray) -> FloatArray:
    """Entries of an array [V, G or 1, ...] at the settings [V, S]."""
    if array.shape[1] == 1:
        return array
    return np.take_along_axis(array, setting.reshape(*setting.shape, *[1] * (array.ndim - 2)), axis=1)


def linearised(batch: Batch, state: State, weight: FloatArray, log_det: FloatArray) -> Linear:
    """Linearises the model at a state.

    `weight` is the inverse covariance of the cells [V, G, K, N, N], `log_det` of the covariance [V, G, K].
    """
    jacobian = _jacobian(batch, state)
    weighted = weight @ jacobian
    product = np.swapaxes(jacobian, -1, -2) @ weighted
    precision = np.einsum("...ii->...i", weight)
    return Linear(product, log_det.sum(axis=-1), jacobian[..., -1], weighted[..., -1], precision)


def _jacobian(batch: Batch, state: State) -> FloatArray:
    """Derivatives in local and shared parameters, then residuals, [V, G, K, N, P]; 0 where padded."""
    real = (batch.count > 0)[:, None]
    u = batch.x[:, None] - state.local[..., 1:2]
    shape = state.shared[..., None, None, 2:]
    rise = np.where(real, excess(u, state.log_h(batch.t)[..., None], shape), 0.0)
    slope = rise * np.einsum("...f,...f->...", feature_slopes(u), shape)
    slope += np.where(np.abs(u) > 1e-9, 2.0 * rise / np.where(u == 0, 1.0, u), 0.0)
    out = np.empty((*u.shape, LOCAL + SHARED + 1))
    out[..., 0], out[..., 1], out[..., 2], out[..., 3] = real, -slope, rise, rise
    out[..., 4] = rise * batch.t[:, None, :, None]
    out[..., 5:-1] = rise[..., None] * features(u)
    out[..., -1] = np.where(real, batch.y[:, None] - state.local[..., 0:1] - rise, 0.0)
    return out


def normal_equations(
    batch: Batch, state: State, linear: Linear, anchor: FloatArray, reach: FloatArray, prior: FloatArray
) -> Normal:
    """The Gauss-Newton step from a state.

    `anchor` and `reach` are centre and sd of the weak prior on each x_k [V, K]; `prior` is the precision of
    the shared parameters at each setting [V or 1, G or 1, SHARED, SHARED].
    """
    system = _with_local_prior(batch, state, linear, anchor, reach)
    coupling = system[..., :LOCAL, LOCAL:]  # of local parameters to the shared ones and to the residuals
    own, _ = batched_linalg.inverse(system[..., :LOCAL, :LOCAL])
    cross = own @ coupling
    left = system[..., LOCAL:, LOCAL:] - np.swapaxes(coupling, -1, -2) @ cross
    left = _with_shared_prior(state, left.sum(axis=2), prior)
    shared, _ = batched_linalg.inverse(left[..., :-1, :-1])
    step = (shared @ left[..., :-1, -1:])[..., 0]
    local_step = cross[..., -1] - np.einsum("...kpq,...q->...kp", cross[..., :-1], step)
    return Normal(own, cross[..., :-1], shared, State(local_step, step))


def log_evidence(
    batch: Batch, state: State, linear: Linear, anchor: FloatArray, reach: FloatArray, prior: FloatArray
) -> FloatArray:
    """Log of the data's probability given a setting, to first order about a state, [V, G * E].

    As `normal_equations`, but `prior` may be [V or 1, G * E, SHARED, SHARED]: E priors for every noise
    setting, neighbours on the axis of settings. What priors do not change is worked out once for all of them.
    """
    system = _with_local_prior(batch, state, linear, anchor, reach)
    left, log_det = batched_linalg.eliminated(system, LOCAL)
    left, log_det = left.sum(axis=2), log_det.sum(axis=2) + linear.log_det
    priors = max(prior.shape[1] // left.shape[1], 1)
    left, log_det = np.repeat(left, priors, axis=1), np.repeat(log_det, priors, axis=1)
    chi2, shared = batched_linalg.eliminated(_with_shared_prior(state, left, prior), SHARED)
    return np.asarray(-0.5 * (chi2[..., 0, 0] + log_det + shared - np.linalg.slogdet(prior)[1]))


def _with_local_prior(
    batch: Batch, state: State, linear: Linear, anchor: FloatArray, reach: FloatArray
) -> FloatArray:
    """The linearised model's products with the weak prior on (a, x, d) of each scale, [V, G, K, P, P]."""
    ridge = np.empty((*batch.t.shape, LOCAL))
    ridge[..., 0] = np.where(batch.real, 1e-9, 1.0)
    ridge[..., 1] = 1.0 / reach**2
    ridge[..., 2] = 1.0 / CURVATURE_SD**2
    away = state.local.copy()
    away[..., 0] = 0.0
    away[..., 1] -= anchor[:, None]
    return _with_prior(linear.product, ridge[:, None, ..., None] * np.eye(LOCAL), away)


def _with_shared_prior(state: State, product: FloatArray, prior: FloatArray) -> FloatArray:
    return _with_prior(product, prior, state.shared - PRIOR_MEAN)


def _with_prior(product: FloatArray, precision: FloatArray, away: FloatArray) -> FloatArray:
    """Products [..., P, P] with a prior on the first parameters, from whose mean the state is `away`."""
    out, size = product.copy(), away.shape[-1]
    pull = (precision @ away[..., None])[..., 0]
    out[..., :size, :size] += precision
    out[..., :size, -1] -= pull
    out[..., -1, :size] -= pull
    out[..., -1, -1] += np.sum(away * pull, axis=-1)
    return out


def stepped(state: State, step: State, room: FloatArray) -> State:
    """The state after a step, held to sane sizes; `room` [V, K] is how far an optimum may move, octaves."""
    shared = state.shared + np.clip(step.shared, -MAX_STEP, MAX_STEP)
    move = step.local.copy()
    move[..., 1] = np.clip(move[..., 1], -room[:, None], room[:, None])
    move[..., 2] = np.clip(move[..., 2], -0.5, 0.5)
    shared[..., 2] = np.clip(shared[..., 2], -1.7, 1.7)
    shared[..., 3] = np.clip(shared[..., 3], -1.5, 3.0)
    return State(state.local + move, shared)
