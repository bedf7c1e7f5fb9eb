"""One least-squares fit of all basins of a variant: a shape shared across scales, its errors allowed for.

Model, scale k and cell i:  L = a_k + excess(x_i - x_k; log curvature_k, shape) + shape error + noise, with
the log curvature on a line in log n plus a deviation d_k. Axes of arrays, in this order: variants V, noise
settings G, scales K, cells of a scale N, parameters P (3 of the scale, SHARED of all, then the residual).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.basin.shape import FEATURES, correction_covariance, excess, feature_slopes, features
from hptransfer.quantify.priors import SEARCH, SHAPE
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

# Shared parameters: log curvature at the mean scale, its slope per octave of n, the shape's coefficients.
SHARED = 2 + FEATURES
LOCAL = 3  # parameters of a scale: loss, log2 eta* and deviation of the log curvature
# Slope of the log curvature, bend and local corrections are centred on 0: neither sign is likelier.
PRIOR_MEAN = np.array([SHAPE.log_curvature_mean, 0.0, SHAPE.tilt_mean, 0.0] + [0.0] * (FEATURES - 2))
PRIOR_SD = np.array([SHAPE.log_curvature_sd, SHAPE.curvature_slope_sd, SHAPE.tilt_sd, SHAPE.bend_sd])

# Guards of the search; a fit that ends well does not touch them.
MAX_SHARED_STEP = np.array([0.7, 0.3, 0.3, 0.4] + [0.3] * (FEATURES - 2))
MAX_DEVIATION_STEP = 0.5  # of d_k
TILT_ENDS, BEND_ENDS = (-1.7, 1.7), (-1.5, 3.0)
FLAT_PRECISION = 1e-9  # of the loss at the optimum, of which nothing is known beforehand


def _precisions() -> FloatArray:
    out = np.zeros((len(SHAPE.local_sds), SHARED, SHARED))
    for i, (sd, length) in enumerate(zip(SHAPE.local_sds, SHAPE.local_lengths, strict=True)):
        out[i, :4, :4] = np.diag(1 / PRIOR_SD**2)
        out[i, 4:, 4:] = np.linalg.inv(correction_covariance(sd, length))
    return out


PRECISIONS = _precisions()  # of the shared parameters under each shape prior, [3, SHARED, SHARED]


@dataclass(frozen=True)
class VariantBatch:
    """Points of V variants, padded."""

    x: FloatArray  # log2 eta, [V, K, N]
    y: FloatArray  # mean loss, nats, [V, K, N]
    count: FloatArray  # runs behind each mean, 0 where padded, [V, K, N]
    spread: FloatArray  # within-cell sums of squares, [V, K, N]
    t: FloatArray  # log2 n, centred on each variant's mean, [V, K]
    real: BoolArray  # True for scales that exist, [V, K]
    x_prior_mean: FloatArray  # centre of the weak prior on each optimum, log2 eta, [V, K]
    spacing: FloatArray  # how far apart cells are at the lowest one, octaves, [V, K]

    @property
    def x_prior_sd(self) -> FloatArray:
        """Sd of the weak prior on each optimum, octaves, shape [V, K]."""
        return SEARCH.x_sd_spacings * self.spacing + SEARCH.x_sd_octaves


@dataclass(frozen=True)
class State:
    """Parameters: per scale (a, x, d) [V, G, K, 3], shared [V, G, SHARED]."""

    local: FloatArray
    shared: FloatArray

    def log_curvature(self, t: FloatArray) -> FloatArray:
        """Log curvature of each scale, [V, G, K]."""
        return self.shared[..., 0:1] + self.shared[..., 1:2] * t[:, None] + self.local[..., 2]


@dataclass(frozen=True)
class Normal:
    """Normal equations at a state: everything a step, a likelihood or a draw needs."""

    cov_given_shape: FloatArray  # inverse of each scale's block, [V, G, K, 3, 3]
    cross: FloatArray  # the same times its coupling to the shared parameters, [V, G, K, 3, SHARED]
    shared: FloatArray  # inverse of the shared parameters' Schur complement, [V, G, SHARED, SHARED]
    step: State  # State-shaped Gauss-Newton step


@dataclass(frozen=True)
class Linear:
    """The model linearised at a state, for a covariance C of the cells."""

    # J.T @ inverse(C) @ J of each scale, [V, G, K, P, P]; the columns of J are the derivatives in the 3 local
    # and SHARED shared parameters, then the residuals.
    product: FloatArray
    log_det: FloatArray  # of C, all scales together, [V, G]
    residual: FloatArray  # [V, G, K, N]
    weighted: FloatArray  # inverse(C) @ residual, [V, G, K, N]
    precision: FloatArray  # diagonal of inverse(C), [V, G, K, N]

    def select(self, setting: IntArray) -> Linear:
        """The same for some of the noise settings, by index [V, S]."""
        return Linear(*(select_settings(getattr(self, f.name), setting) for f in fields(self)))


def select_settings(array: FloatArray, setting: IntArray) -> FloatArray:
    """Entries of an array [V, G or 1, ...] at the settings [V, S]."""
    if array.shape[1] == 1:
        return array
    return np.take_along_axis(array, setting.reshape(*setting.shape, *[1] * (array.ndim - 2)), axis=1)


def linearised(batch: VariantBatch, state: State, weight: FloatArray, log_det: FloatArray) -> Linear:
    """The model linearised at a state, for an inverse covariance `weight` [V, G, K, N, N] of the cells.

    `log_det` [V, G, K] is of the covariance.
    """
    jacobian = _jacobian(batch, state)
    weighted = weight @ jacobian
    product = np.swapaxes(jacobian, -1, -2) @ weighted
    precision = np.einsum("...ii->...i", weight)
    return Linear(product, log_det.sum(axis=-1), jacobian[..., -1], weighted[..., -1], precision)


def _jacobian(batch: VariantBatch, state: State) -> FloatArray:
    """Derivatives in local and shared parameters, then residuals, [V, G, K, N, P]; 0 where padded."""
    real = (batch.count > 0)[:, None]  # [V, 1, K, N]
    u = batch.x[:, None] - state.local[..., 1:2]  # [V, G, K, N]
    shape = state.shared[..., None, None, 2:]  # [V, G, 1, 1, FEATURES]
    rise = np.where(real, excess(u, state.log_curvature(batch.t)[..., None], shape), 0.0)
    slope = rise * np.einsum("...f,...f->...", feature_slopes(u), shape)
    slope += np.where(np.abs(u) > 1e-9, 2.0 * rise / np.where(u == 0, 1.0, u), 0.0)  # of the factor u^2
    out = np.empty((*u.shape, LOCAL + SHARED + 1))
    out[..., 0], out[..., 1], out[..., 2], out[..., 3] = real, -slope, rise, rise
    out[..., 4] = rise * batch.t[:, None, :, None]
    out[..., 5:-1] = rise[..., None] * features(u)
    out[..., -1] = np.where(real, batch.y[:, None] - state.local[..., 0:1] - rise, 0.0)
    return out


def normal_equations(batch: VariantBatch, state: State, linear: Linear, prior: FloatArray) -> Normal:
    """The Gauss-Newton step from a state.

    `prior` is the precision of the shared parameters at each setting, [V or 1, G or 1, SHARED, SHARED].
    """
    system = _with_local_prior(batch, state, linear)  # [V, G, K, P, P]
    coupling = system[..., :LOCAL, LOCAL:]  # of local parameters to the shared ones and to the residuals
    own, _ = batched_linalg.inverse(system[..., :LOCAL, :LOCAL])
    cross = own @ coupling
    left = system[..., LOCAL:, LOCAL:] - np.swapaxes(coupling, -1, -2) @ cross
    left = _with_shared_prior(state, left.sum(axis=2), prior)  # [V, G, SHARED + 1, SHARED + 1]
    shared, _ = batched_linalg.inverse(left[..., :-1, :-1])
    step = (shared @ left[..., :-1, -1:])[..., 0]
    local_step = cross[..., -1] - np.einsum("...kpq,...q->...kp", cross[..., :-1], step)
    return Normal(own, cross[..., :-1], shared, State(local_step, step))


def log_evidence(batch: VariantBatch, state: State, linear: Linear, prior: FloatArray) -> FloatArray:
    """Log of the data's probability given a setting, to first order about a state, [V, G * E].

    As `normal_equations`, but `prior` may be [V or 1, G * E, SHARED, SHARED]: E priors for every noise
    setting, neighbours on the axis of settings. What priors do not change is worked out once for all of them.
    """
    system = _with_local_prior(batch, state, linear)  # [V, G, K, P, P]
    left, log_det = batched_linalg.eliminated(system, LOCAL)
    left, log_det = left.sum(axis=2), log_det.sum(axis=2) + linear.log_det
    priors = max(prior.shape[1] // left.shape[1], 1)  # E
    left, log_det = np.repeat(left, priors, axis=1), np.repeat(log_det, priors, axis=1)
    chi2, shared = batched_linalg.eliminated(_with_shared_prior(state, left, prior), SHARED)
    return np.asarray(-0.5 * (chi2[..., 0, 0] + log_det + shared - np.linalg.slogdet(prior)[1]))


def _with_local_prior(batch: VariantBatch, state: State, linear: Linear) -> FloatArray:
    """The linearised model's products with the weak prior on (a, x, d) of each scale, [V, G, K, P, P]."""
    ridge = np.empty((*batch.t.shape, LOCAL))  # [V, K, 3]
    ridge[..., 0] = np.where(batch.real, FLAT_PRECISION, 1.0)
    ridge[..., 1] = 1.0 / batch.x_prior_sd**2
    ridge[..., 2] = 1.0 / SHAPE.curvature_scatter_sd**2
    away = state.local.copy()
    away[..., 0] = 0.0
    away[..., 1] -= batch.x_prior_mean[:, None]
    return _with_prior(linear.product, ridge[:, None, ..., None] * np.eye(LOCAL), away)


def _with_shared_prior(state: State, product: FloatArray, prior: FloatArray) -> FloatArray:
    return _with_prior(product, prior, state.shared - PRIOR_MEAN)


def _with_prior(product: FloatArray, precision: FloatArray, away: FloatArray) -> FloatArray:
    """Products [..., P, P] with a prior of precision [..., S, S] on the first S parameters.

    The state is `away` [..., S] from the prior's mean.
    """
    out, size = product.copy(), away.shape[-1]
    pull = (precision @ away[..., None])[..., 0]
    out[..., :size, :size] += precision
    out[..., :size, -1] -= pull
    out[..., -1, :size] -= pull
    out[..., -1, -1] += np.sum(away * pull, axis=-1)
    return out


def apply_step(state: State, step: State, max_step: FloatArray) -> State:
    """The state after a step, held to sane sizes; an optimum moves by at most `max_step` [V, K] octaves."""
    shared = state.shared + np.clip(step.shared, -MAX_SHARED_STEP, MAX_SHARED_STEP)
    move = step.local.copy()
    move[..., 1] = np.clip(move[..., 1], -max_step[:, None], max_step[:, None])
    move[..., 2] = np.clip(move[..., 2], -MAX_DEVIATION_STEP, MAX_DEVIATION_STEP)
    shared[..., 2] = np.clip(shared[..., 2], *TILT_ENDS)
    shared[..., 3] = np.clip(shared[..., 3], *BEND_ENDS)
    return State(state.local + move, shared)
