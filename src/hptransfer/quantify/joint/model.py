"""One least-squares fit of the joint basins of a variant: a shape shared across scales, with freedom of each.

Model, scale k and point i:  L = a_k + excess(x_i - x_k; surface_k) + shape error + noise. The log curvatures
lie on lines in log n (over several axes of scale, on planes) plus a deviation of each scale, couplings
deviate from those of all scales, and the skews are shared. Dimensions of arrays, in this order: scales K,
points of a scale N, parameters; the scale has F axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.basin.model import FLAT_PRECISION
from hptransfer.quantify.joint.priors import JOINT
from hptransfer.quantify.joint.surface import (
    BEND_ENDS,
    MOST_EXPONENT,
    TILT_ENDS,
    Surface,
    bump_count,
    correction,
    correction_slopes,
    corrections,
    mixed,
    pairs,
    stretch_features,
    warp,
    warp_slope,
)
from hptransfer.quantify.priors import SHAPE
from hptransfer.sweep.table import BoolArray, FloatArray

SHARED_STEP, DEVIATION_STEP, X_STEP = 0.4, 0.3, 0.6  # most that one step of the search changes


@dataclass(frozen=True)
class Layout:
    """Where parameters stand: of a scale (a, x, dc, db), and shared (c, slope, b, skew, tilt, bend, bump)."""

    d: int  # hyperparameters
    axes: int = 1  # of scale

    @property
    def couplings(self) -> int:
        """Pairs of hyperparameters."""
        return self.d * (self.d - 1) // 2

    @property
    def local(self) -> int:
        """Parameters of a scale."""
        return 1 + 2 * self.d + self.couplings

    @property
    def shared(self) -> int:
        """Parameters of all scales."""
        return sum(self.shared_sizes)

    @property
    def shared_sizes(self) -> tuple[int, ...]:
        """How many there are of each kind of shared parameter, in order."""
        d = self.d
        return (d, d * self.axes, self.couplings, d, d, d, bump_count(d))

    @property
    def starts(self) -> list[int]:
        """Where each kind of shared parameter begins, and their end."""
        return list(accumulate(self.shared_sizes, initial=0))

    def split_local(self, of: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Parameters a [...], x [..., d], dc [..., d] and db [..., P] of a scale's [..., local]."""
        d = self.d
        return of[..., 0], of[..., 1 : 1 + d], of[..., 1 + d : 1 + 2 * d], of[..., 1 + 2 * d :]

    def split_shared(self, of: FloatArray) -> list[FloatArray]:
        """Parameters c [..., d], slope [..., d F], b [..., P], skew, tilt, bend [..., d], bump [..., M]."""
        return np.split(of, self.starts[1:-1], axis=-1)

    def along(self, slope: FloatArray, t: FloatArray) -> FloatArray:
        """What slopes [..., d F] add to the log curvatures at t [..., F], [..., d]."""
        each = slope.reshape(*slope.shape[:-1], self.d, self.axes) * t[..., None, :]
        return np.asarray(each.sum(axis=-1))


@dataclass(frozen=True)
class Batch:
    """The points of one variant that count, padded."""

    x: FloatArray  # [K, N, d]
    y: FloatArray  # mean loss, nats, [K, N]
    count: FloatArray  # runs behind each mean, 0 where padded, [K, N]
    spread: FloatArray  # sums of squares within points, [K, N]
    place_sd: FloatArray  # of a coordinate's place, octaves: where it is a zero, [K, N, d]
    t: FloatArray  # log2 of the scale's axes, centred, [K, F]
    x_mean: FloatArray  # centre of the weak prior on each optimum, [K, d]
    x_sd: FloatArray  # its sd, octaves, [K, d]

    @property
    def real(self) -> BoolArray:
        """False where padded, [K, N]."""
        return np.asarray(self.count > 0)

    @property
    def layout(self) -> Layout:
        """Of the parameters."""
        return Layout(self.x.shape[-1], self.t.shape[-1])


@dataclass(frozen=True)
class State:
    """Parameters."""

    local: FloatArray  # [K, local]
    shared: FloatArray  # [shared]


@dataclass(frozen=True)
class Linear:
    """The model at a state."""

    jacobian: (
        FloatArray  # in the local and the shared parameters, then the residual, [K, N, local + shared + 1]
    )
    u: FloatArray  # octaves from the optimum, [K, N, d]
    rise: FloatArray  # loss above the optimum's, nats, [K, N]
    slope: FloatArray  # of the loss in the coordinates, nats per octave, [K, N, d]
    right: FloatArray  # octaves right of the best value of each given the others, together, [K, N]


def surface_of(layout: Layout, local: FloatArray, shared: FloatArray, t: FloatArray) -> Surface:
    """Surfaces of scales at t [K, F], or at one t [F], of parameters [..., K, local], [..., 1, shared]."""
    c, slope, b, *rest = layout.split_shared(shared)
    _, _, dc, db = layout.split_local(local)
    return Surface(c + layout.along(slope, t) + dc, b + db, *rest)


def linearised(batch: Batch, state: State) -> Linear:
    """Residuals and derivatives at a state."""
    layout, d = batch.layout, batch.layout.d
    a, x, _, _ = layout.split_local(state.local)
    shape = surface_of(layout, state.local, state.shared, batch.t)
    real = batch.real
    u = np.where(real[..., None], batch.x - x[:, None], 0.0)  # [K, N, d]
    w = warp(u, shape.skew)
    b = shape.b[:, None]
    v = mixed(b, w)
    z = warp(v, shape.tilt, shape.bend)
    features = corrections(u)
    factor = np.exp(correction(u, shape.bump))[..., None]
    by_z = factor * np.exp(np.minimum(shape.c, MOST_EXPONENT))[:, None] * z  # [K, N, d]
    by_v = by_z * warp_slope(v, shape.tilt, shape.bend)
    by_w = by_v.copy()
    for p, (i, j) in enumerate(pairs(d)):
        by_w[..., j] += b[..., p] * by_v[..., i]
    by_c = 0.5 * by_z * z
    by_b = np.stack([by_v[..., i] * w[..., j] for i, j in pairs(d)], axis=-1)
    rise = by_c.sum(axis=-1)
    slope = by_w * warp_slope(u, shape.skew) + rise[..., None] * correction_slopes(u, shape.bump)
    by_bump = rise[..., None] * features
    by_skew = 0.5 * by_w * w * stretch_features(u)[0]
    odd, even = stretch_features(v)
    one = real[..., None].astype(np.float64)
    by_slope = (by_c[..., None] * batch.t[:, None, None]).reshape(*real.shape, -1)
    residual = np.where(real, batch.y - a[:, None] - rise, 0.0)[..., None]
    parts = [one, -slope, by_c, by_b, by_c, by_slope, by_b]
    jacobian = np.concatenate([*parts, by_skew, by_c * odd, by_c * even, by_bump, residual], axis=-1)
    given = by_w / np.einsum("kii->ki", shape.curvature())[:, None]
    right = np.sqrt(np.sum(np.maximum(given, 0.0) ** 2, axis=-1))
    return Linear(jacobian, u, rise, slope, right)


def prior_of(batch: Batch, bump_sd: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean [K, local] and precision [K, local] of a scale's parameters, and of the shared ones [shared]."""
    layout, d, p = batch.layout, batch.layout.d, batch.layout.couplings
    scales = len(batch.t)
    mean = np.zeros((scales, layout.local))
    mean[:, 1 : 1 + d] = batch.x_mean
    sd = np.concatenate([np.full(d, JOINT.curvature_scatter), np.full(p, JOINT.coupling_scatter)])
    precision = np.concatenate(
        [np.full((scales, 1), FLAT_PRECISION), batch.x_sd**-2.0, np.tile(sd**-2.0, (scales, 1))], axis=1
    )
    sizes = [
        SHAPE.log_curvature_sd,
        SHAPE.curvature_slope_sd,
        JOINT.coupling_sd,
        JOINT.skew_sd,
        JOINT.tilt_sd,
    ]
    shared_precision = np.repeat(np.array([*sizes, JOINT.bend_sd, bump_sd]) ** -2.0, layout.shared_sizes)
    return mean, precision, shared_mean(layout), shared_precision


def shared_mean(layout: Layout) -> FloatArray:
    """Prior mean of the shared parameters."""
    return np.repeat(
        [SHAPE.log_curvature_mean, 0.0, 0.0, 0.0, JOINT.tilt_mean, 0.0, 0.0], layout.shared_sizes
    )


@dataclass(frozen=True)
class Normal:
    """The posterior about a state, taken as normal."""

    own: FloatArray  # covariance of each scale's parameters given the shared ones, [K, local, local]
    cross: FloatArray  # the same times its coupling to the shared ones, [K, local, shared]
    shared: FloatArray  # covariance of the shared parameters, [shared, shared]
    step: State  # to the mode
    log_evidence: float  # of the data, but for what the covariance of the points adds


def normal_equations(batch: Batch, state: State, whitened: FloatArray, bump_sd: float) -> Normal:
    """The Gauss-Newton step from a state.

    `whitened` [K, N, P] is the jacobian in units in which errors are independent and of variance 1, `bump_sd`
    the prior sd of the corrections' coefficients.
    """
    size = batch.layout.local
    mean, precision, centre, shared_precision = prior_of(batch, bump_sd)
    product = np.swapaxes(whitened, -1, -2) @ whitened  # [K, P, P]
    away = state.local - mean
    away[:, 0] = 0.0
    product = _with_prior(product, precision, away)
    own, log_det = batched_linalg.inverse(product[:, :size, :size])
    coupling = product[:, :size, size:]
    cross = own @ coupling
    left = (product[:, size:, size:] - np.swapaxes(coupling, -1, -2) @ cross).sum(axis=0)
    left = _with_prior(left[None], shared_precision[None], (state.shared - centre)[None])[0]
    shared = np.linalg.inv(left[:-1, :-1])
    step = shared @ left[:-1, -1]
    chi2 = float(left[-1, -1] - left[-1, :-1] @ step)
    local_step = cross[..., -1] - cross[..., :-1] @ step
    log = 0.5 * float(np.log(shared_precision).sum()) - 0.5 * (
        chi2 + float(log_det.sum()) + float(np.linalg.slogdet(left[:-1, :-1])[1])
    )
    return Normal(own, cross[..., :-1], shared, State(local_step, step), log)


def _with_prior(product: FloatArray, precision: FloatArray, away: FloatArray) -> FloatArray:
    """Products [K, P, P] with priors on the first S parameters, from which the state is `away` [K, S]."""
    out, size = product.copy(), away.shape[-1]
    n = np.arange(size)
    pull = precision * away
    out[:, n, n] += precision
    out[:, :size, -1] -= pull
    out[:, -1, :size] -= pull
    out[:, -1, -1] += np.sum(away * pull, axis=-1)
    return out


def apply_step(layout: Layout, state: State, step: State) -> State:
    """The state after a step, held to sane sizes."""
    d, starts = layout.d, layout.starts
    move = step.local.copy()
    move[:, 1 : 1 + d] = np.clip(move[:, 1 : 1 + d], -X_STEP, X_STEP)
    move[:, 1 + d :] = np.clip(move[:, 1 + d :], -DEVIATION_STEP, DEVIATION_STEP)
    shared = state.shared + np.clip(step.shared, -SHARED_STEP, SHARED_STEP)
    skews, bends = slice(starts[3], starts[5]), slice(starts[5], starts[6])
    shared[skews] = np.clip(shared[skews], *TILT_ENDS)
    shared[bends] = np.clip(shared[bends], *BEND_ENDS)
    return State(state.local + move, shared)
