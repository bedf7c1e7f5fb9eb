"""One least-squares fit of all basins of a variant: a shape shared across scales, its errors allowed for.

Model, scale k and cell i:  L = a_k + excess(x_i - x_k; log h_k, shape) + shape error + noise, with
log h_k on a line in log n plus a deviation d_k. All arrays carry a leading axis of variants V and one of noise
settings G; K scales, N cells a scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify import noise
from hptransfer.quantify.cells import BoolArray, IntArray
from hptransfer.quantify.noise import Hypers
from hptransfer.quantify.shapes import (
    SHAPE_PRIORS,
    FEATURES,
    correction_covariance,
    excess,
    feature_slopes,
    features,
)

CURVATURE_SD = 0.15  # of a scale's log curvature about its line
# Shared parameters: log h at the mean scale, its slope per octave of n, then the shape's coefficients.
SHARED = 2 + FEATURES
PRIOR_MEAN = np.array([-2.5, 0.0, 0.2, 0.0] + [0.0] * (FEATURES - 2))
PRIOR_SD = np.array([2.5, 0.7, 0.5, 0.7])
PILOT = 1  # the shape prior of the pilot fit
LOG_SHAPE_PRIOR = np.log([0.55, 0.3, 0.15])  # smooth shapes are likelier than ragged ones
KEEP = 20  # settings that get a fit of their own
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
        own: inverse of each scale's block, [V, G, K, 3, 3]. cross: own @ coupling to shared, [V, G, K, 3, SHARED].
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

    Arguments:
        weight: inverse covariance, [V, G, K, N, N].
        anchor, reach: centre and sd of the weak prior on each x_k, [V, K].
        prior: precision of the shared parameters at each setting, [V or 1, G * expand, SHARED, SHARED].
        expand: how many priors each noise setting is combined with, neighbours on the axis of settings.
    """
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
    own = np.linalg.inv(block)
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
    inverse = np.linalg.inv(schur)
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
    """The state after a step, held to sane sizes; `room` [V, K] is the largest move of an optimum, octaves."""
    shared = state.shared + np.clip(step.shared, -MAX_STEP, MAX_STEP)
    move = step.local.copy()
    move[..., 1] = np.clip(move[..., 1], -room[:, None], room[:, None])
    move[..., 2] = np.clip(move[..., 2], -0.5, 0.5)
    shared[..., 2] = np.clip(shared[..., 2], -1.7, 1.7)
    shared[..., 3] = np.clip(shared[..., 3], -1.5, 3.0)
    return State(state.local + move, shared)


@dataclass(frozen=True)
class Posterior:
    """The fit over the whole grid of noise settings.

    Attributes:
        state: the mode at each setting. normal: its normal equations. weight: of each setting, [V, G].
        hypers: the settings. doubt: factor on the shape's error at single scales, [V, K].
        inflate: factor on the variance of outlying cells, [V, K, N].
    """

    state: State
    normal: Normal
    weight: FloatArray
    hypers: Hypers
    doubt: FloatArray
    inflate: FloatArray


def fit(batch: Batch, start: State, room: FloatArray, iterations: int = 8) -> Posterior:
    """Fits a batch: a pilot at one noise setting, robust weights from it, then every setting of the grid.

    Arguments:
        start: initial state, G = 1.
        room: distance of neighbouring cells at the lowest one, octaves, [V, K].
    """
    real = batch.count > 0
    anchor, reach = start.local[:, 0, :, 1], 2.0 * room + 0.5
    stretch, pilot = _pilot_noise(batch)
    hypers = Hypers(pilot[:, None], np.full((len(pilot), 1), 0.12), np.zeros((len(pilot), 1)))
    inflate, doubt = np.ones(batch.x.shape), np.ones(batch.x.shape[:2])
    state = start
    for i in range(iterations):
        rise = _rise(batch, state)
        weight = np.linalg.inv(noise.covariance(batch.x, rise, batch.count, inflate, doubt, hypers))
        normal = normal_equations(batch, state, weight, anchor, reach, PRECISIONS[None, PILOT : PILOT + 1])
        if i in (1, 2, 3):
            hypers = _rescaled(hypers, normal, real)
        if i >= 4:
            inflate = _outliers(normal, inflate)
            doubt = _doubt(normal, real, doubt)
        state = stepped(state, normal.step, 0.5 * room)
    rise = _rise(batch, state)
    hypers, kept = _promising(batch, state, rise, inflate, doubt, noise.grid(stretch), anchor, reach)
    prior = PRECISIONS[kept.prior]
    state = State(np.repeat(state.local, KEEP, axis=1), np.repeat(state.shared, KEEP, axis=1))
    weight = np.linalg.inv(noise.covariance(batch.x, rise, batch.count, inflate, doubt, hypers))
    for _ in range(2):
        normal = normal_equations(batch, state, weight, anchor, reach, prior)
        state = stepped(state, normal.step, 0.3 * room)
    normal = normal_equations(batch, state, weight, anchor, reach, prior)
    log = normal.log_evidence + hypers.log_prior + _seed_evidence(batch, rise, hypers)
    log += LOG_SHAPE_PRIOR[kept.prior]
    w = np.exp(log - log.max(axis=1, keepdims=True))
    return Posterior(state, normal, w / w.sum(axis=1, keepdims=True), hypers, doubt, inflate)


@dataclass(frozen=True)
class _Kept:
    """Indices of the settings worth a fit of their own, [V, KEEP]: noise setting and shape prior."""

    setting: IntArray
    prior: IntArray


def _promising(
    batch: Batch,
    state: State,
    rise: FloatArray,
    inflate: FloatArray,
    doubt: FloatArray,
    hypers: Hypers,
    anchor: FloatArray,
    reach: FloatArray,
) -> tuple[Hypers, _Kept]:
    """The settings with most of the weight, judged by one step from the pilot fit."""
    weight = np.linalg.inv(noise.covariance(batch.x, rise, batch.count, inflate, doubt, hypers))
    priors = len(SHAPE_PRIORS)
    tiled = np.tile(PRECISIONS, (hypers.sigma.shape[1], 1, 1))[None]
    normal = normal_equations(batch, state, weight, anchor, reach, tiled, priors)
    log = normal.log_evidence + np.repeat(
        hypers.log_prior + _seed_evidence(batch, rise, hypers), priors, axis=1
    )
    log += np.tile(LOG_SHAPE_PRIOR, hypers.sigma.shape[1])
    best = np.argsort(-log, axis=1)[:, :KEEP]
    setting, prior = best // priors, best % priors
    chosen = (np.take_along_axis(a, setting, axis=1) for a in (hypers.sigma, hypers.misfit, hypers.log_prior))
    return Hypers(*chosen), _Kept(setting, prior)


def _rise(batch: Batch, state: State) -> FloatArray:
    """Loss above the optimum's at each cell: the larger of what the model says and what was seen."""
    u = batch.x - state.local[:, 0, :, 1:2]
    model = excess(u, state.log_h(batch.t)[:, 0, :, None], state.shared[:, 0, None, None, 2:])
    seen = batch.y - state.local[:, 0, :, 0:1]
    return np.where(batch.count > 0, np.minimum(np.maximum(model, seen), 50.0), 0.0)


def _pilot_noise(batch: Batch) -> tuple[FloatArray, FloatArray]:
    """Stretch of the noise grid and a first sigma for each variant, from seeds where there are any."""
    spare = np.maximum(batch.count - 1, 0).sum(axis=(1, 2))
    from_seeds = np.sqrt(batch.spread.sum(axis=(1, 2)) / np.maximum(spare, 1))
    pilot = np.where(spare > 5, np.clip(from_seeds, 5e-4, 0.03), 0.004)
    stretch = np.where(spare > 5, np.maximum(from_seeds / 0.03, 1.0), 1.0)
    return stretch, pilot * stretch


def _rescaled(hypers: Hypers, normal: Normal, real: BoolArray) -> Hypers:
    """The pilot's sigma, made to fit the typical deviation of a cell from all others."""
    z = np.abs(normal.weighted[:, 0]) / np.sqrt(normal.precision[:, 0])
    z = np.where(real, z, np.nan).reshape(len(z), -1)
    factor = np.clip(np.nanmedian(z, axis=1) / 0.6745, 0.4, 2.5)
    return Hypers(hypers.sigma * factor[:, None], hypers.misfit, hypers.log_prior)


def _outliers(normal: Normal, inflate: FloatArray) -> FloatArray:
    """Variance factors that pull cells more than 3 sd off (each seen from all others) back to 3."""
    z = np.abs(normal.weighted[:, 0]) / np.sqrt(normal.precision[:, 0])
    return np.asarray(np.where(z > 3.0, np.minimum(inflate * (z / 3.0) ** 2, 1e4), inflate))


def _doubt(normal: Normal, real: BoolArray, doubt: FloatArray) -> FloatArray:
    """Factors on the shape's error for scales that the shared shape misses by more than the others."""
    chi2 = np.einsum("vki,vki->vk", normal.residual[:, 0], normal.weighted[:, 0])
    freedom = np.maximum(real.sum(axis=-1) - 3.0, 1.0)
    return np.asarray(np.clip(doubt * np.sqrt(np.maximum(chi2 / freedom / 2.5, 1.0)), 1.0, 10.0))


def _seed_evidence(batch: Batch, rise: FloatArray, hypers: Hypers) -> FloatArray:
    """Log likelihood of the scatter of seeds within cells, [V, G]."""
    spare = np.maximum(batch.count - 1, 0)[:, None]
    variance = noise.run_variance(rise, hypers)
    each = -0.5 * (batch.spread[:, None] / variance + spare * np.log(variance))
    return np.asarray(np.where(spare > 0, each, 0.0).sum(axis=(-1, -2)))


def draw(
    posterior: Posterior, v: int, pick: IntArray, shared: FloatArray, local: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Turns standard normal draws into draws of one variant's parameters.

    Arguments:
        v: the variant's place in the batch.
        pick: index of the noise setting of each draw, [B].
        shared, local: standard normal, [B, SHARED] and [B, K, 3].

    Returns:
        Local parameters [B, K, 3] and shared ones [B, SHARED].
    """
    normal, state = posterior.normal, posterior.state
    scales = local.shape[1]
    used = np.unique(pick)
    root, own = _root(normal.shared[v, used]), _root(normal.own[v, used, :scales])
    shared_out, local_out = np.empty_like(shared), np.empty_like(local)
    for i, g in enumerate(used):
        rows = np.flatnonzero(pick == g)
        shift = shared[rows] @ root[i].T
        moved = shift @ normal.cross[v, g, :scales].reshape(scales * 3, SHARED).T
        own_part = np.einsum("kpq,bkq->bkp", own[i], local[rows])
        local_out[rows] = state.local[v, g, :scales] + own_part - moved.reshape(-1, scales, 3)
        shared_out[rows] = state.shared[v, g] + shift
    return local_out, shared_out


def _root(covariance: FloatArray) -> FloatArray:
    """A square root of each matrix of a stack; rounding may leave them barely indefinite."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        value, vector = np.linalg.eigh(covariance)
        return np.asarray(vector * np.sqrt(np.maximum(value, 0.0))[..., None, :])
