"""The search for the joint fit of all basins: a pilot, robust weights, and an average over noise settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.basin import batched_linalg, noise_model
from hptransfer.quantify.basin.model import (
    PRECISIONS,
    SHARED,
    Batch,
    Linear,
    Normal,
    State,
    linearised,
    log_evidence,
    normal_equations,
    stepped,
    taken,
)
from hptransfer.quantify.basin.noise_model import Hypers
from hptransfer.quantify.basin.shape import SHAPE_PRIORS, excess
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

PILOT = 1  # the shape prior of the pilot fit
PILOT_MISFIT, PILOT_GROWTH = 0.12, 0.5  # and its noise
LOG_SHAPE_PRIOR = np.log([0.8, 0.15, 0.05])  # smooth shapes are likelier than ragged ones
KEEP = 12  # settings that get a fit of their own
TAIL = 3.0  # degrees of freedom of the t that weighs outlying cells down
CLEARLY_ABOVE = 3.0  # sd of noise by which a cell lies above the model when the shape misses a cliff
DOUBT_CHI2 = 2.5  # chi2 per degree of freedom from which a scale's shape is doubted


@dataclass(frozen=True)
class Posterior:
    """The fit over the whole grid of noise settings.

    Attributes:
        state: the mode at each setting. linear: the model linearised there. normal: its normal equations.
        weight: of each setting, [V, G].
        hypers: the settings. doubt: factor on the shape's error at single scales, [V, K].
        inflate: factor on the variance of outlying cells, [V, K, N].
    """

    state: State
    linear: Linear
    normal: Normal
    weight: FloatArray
    hypers: Hypers
    doubt: FloatArray
    inflate: FloatArray


def fit(batch: Batch, start: State, room: FloatArray, iterations: int = 6) -> Posterior:
    """Fits a batch: a pilot at one noise setting, robust weights from it, then the likely settings.

    `start` is the initial state, G = 1; `room` how far apart cells are at the lowest one, octaves [V, K].
    """
    real = batch.count > 0
    anchor, reach = start.local[:, 0, :, 1], 2.0 * room + 0.5
    stretch, pilot = _pilot_noise(batch)
    hypers = _one_setting(pilot)
    inflate, doubt = np.ones(batch.x.shape), np.ones(batch.x.shape[:2])
    state = start
    for i in range(iterations):
        u, rise = _place(batch, state)
        weight = batched_linalg.inverse(noise_model.covariance(u, rise, batch.count, inflate, doubt, hypers))
        linear = linearised(batch, state, *weight)
        normal = normal_equations(batch, state, linear, anchor, reach, PRECISIONS[None, PILOT : PILOT + 1])
        if i in (1, 2, 3):
            hypers = _rescaled(hypers, linear, real)
        if i >= 4:
            inflate = _outliers(linear, inflate)
            doubt = _doubt(linear, real, doubt)
        state = stepped(state, normal.step, 0.5 * room)
    u, rise = _place(batch, state, hypers)
    hypers, prior_of = _promising(
        batch, state, u, rise, inflate, doubt, noise_model.grid(stretch), anchor, reach
    )
    prior = PRECISIONS[prior_of]
    state = State(np.repeat(state.local, KEEP, axis=1), np.repeat(state.shared, KEEP, axis=1))
    weight = batched_linalg.inverse(noise_model.covariance(u, rise, batch.count, inflate, doubt, hypers))
    for _ in range(2):
        linear = linearised(batch, state, *weight)
        normal = normal_equations(batch, state, linear, anchor, reach, prior)
        state = stepped(state, normal.step, 0.3 * room)
    linear = linearised(batch, state, *weight)
    normal = normal_equations(batch, state, linear, anchor, reach, prior)
    log = log_evidence(batch, state, linear, anchor, reach, prior)
    log += hypers.log_prior + _seed_evidence(batch, u, rise, hypers)
    log += LOG_SHAPE_PRIOR[prior_of]
    w = np.exp(log - log.max(axis=1, keepdims=True))
    return Posterior(state, linear, normal, w / w.sum(axis=1, keepdims=True), hypers, doubt, inflate)


def _promising(
    batch: Batch,
    state: State,
    u: FloatArray,
    rise: FloatArray,
    inflate: FloatArray,
    doubt: FloatArray,
    grid: Hypers,
    anchor: FloatArray,
    reach: FloatArray,
) -> tuple[Hypers, IntArray]:
    """The settings with most of the weight, judged by one step from the pilot fit, and their shape priors.

    Noise settings first, under the pilot's shape prior: all with the middle growth, the best of them with
    every growth. The best of those then under every shape prior.
    """

    def judged(hypers: Hypers) -> tuple[Linear, FloatArray, IntArray]:
        weight = batched_linalg.inverse(noise_model.covariance(u, rise, batch.count, inflate, doubt, hypers))
        linear = linearised(batch, state, *weight)
        log = log_evidence(batch, state, linear, anchor, reach, PRECISIONS[None, PILOT : PILOT + 1])
        known = hypers.log_prior + _seed_evidence(batch, u, rise, hypers)
        return linear, known, np.argsort(-log - known, axis=1)[:, :KEEP]

    growths, priors = len(noise_model.GROWTHS), len(SHAPE_PRIORS)
    middle = np.arange(growths // 2, grid.sigma.shape[1], growths)
    first = middle[judged(grid.at(np.tile(middle, (len(u), 1))))[2]] - growths // 2
    hypers = grid.at((first[..., None] + np.arange(growths)).reshape(len(u), -1))
    linear, known, best = judged(hypers)
    tiled = np.tile(PRECISIONS, (KEEP, 1, 1))[None]
    log = log_evidence(batch, state, linear.at(best), anchor, reach, tiled)
    log += np.repeat(taken(known, best), priors, axis=1) + np.tile(LOG_SHAPE_PRIOR, KEEP)
    kept = np.argsort(-log, axis=1)[:, :KEEP]
    return hypers.at(np.take_along_axis(best, kept // priors, axis=1)), kept % priors


def _one_setting(sigma: FloatArray) -> Hypers:
    """The pilot's noise setting, sigma [V] apart the same for every variant."""
    column = sigma[:, None]
    return Hypers(column, np.full_like(column, PILOT_MISFIT), np.full_like(column, PILOT_GROWTH), 0 * column)


def _place(batch: Batch, state: State, hypers: Hypers | None = None) -> tuple[FloatArray, FloatArray]:
    """Distance of each cell from the optimum, octaves, and its loss above the optimum's, [V, K, N].

    The loss is the model's, or what was seen where that is more: a cell up a cliff that the shape does not
    follow says little. With the noise `hypers` (one setting) a cell must lie `CLEARLY_ABOVE` sd above the
    model to count as seen: a variance that follows the cell's own noise is no likelihood, and favours small
    noise with a shape that errs by much.
    """
    u = batch.x - state.local[:, 0, :, 1:2]
    model = excess(u, state.log_h(batch.t)[:, 0, :, None], state.shared[:, 0, None, None, 2:])
    seen = batch.y - state.local[:, 0, :, 0:1]
    if hypers is not None:
        variance = noise_model.run_variance(u, model, hypers)[:, 0] / np.maximum(batch.count, 1)
        seen = np.where(seen - model > CLEARLY_ABOVE * np.sqrt(variance), seen, model)
    return u, np.where(batch.count > 0, np.minimum(np.maximum(model, seen), 50.0), 0.0)


def _pilot_noise(batch: Batch) -> tuple[FloatArray, FloatArray]:
    """Stretch of the noise grid and a first sigma for each variant, from seeds where there are any."""
    spare = np.maximum(batch.count - 1, 0).sum(axis=(1, 2))
    from_seeds = np.sqrt(batch.spread.sum(axis=(1, 2)) / np.maximum(spare, 1))
    pilot = np.where(spare > 5, np.clip(from_seeds, 5e-4, 0.03), 0.004)
    stretch = np.where(spare > 5, np.maximum(from_seeds / 0.03, 1.0), 1.0)
    return stretch, pilot * stretch


def _rescaled(hypers: Hypers, linear: Linear, real: BoolArray) -> Hypers:
    """The pilot's sigma, made to fit the typical deviation of a cell from all others."""
    z = np.abs(linear.weighted[:, 0]) / np.sqrt(linear.precision[:, 0])
    z = np.where(real, z, np.nan).reshape(len(z), -1)
    factor = np.clip(np.nanmedian(z, axis=1) / 0.6745, 0.4, 2.5)
    return replace(hypers, sigma=hypers.sigma * factor[:, None])


def _outliers(linear: Linear, inflate: FloatArray) -> FloatArray:
    """Variance factors of a t with `TAIL` degrees of freedom, each cell seen from all others."""
    square = linear.weighted[:, 0] ** 2 / linear.precision[:, 0] * inflate
    return np.asarray(np.minimum((TAIL + square) / (TAIL + 1.0), 1e4))


def _doubt(linear: Linear, real: BoolArray, doubt: FloatArray) -> FloatArray:
    """Factors on the shape's error for scales that the shared shape misses by more than the others."""
    chi2 = np.einsum("vki,vki->vk", linear.residual[:, 0], linear.weighted[:, 0])
    freedom = np.maximum(real.sum(axis=-1) - 3.0, 1.0)
    return np.asarray(np.clip(doubt * np.sqrt(np.maximum(chi2 / freedom / DOUBT_CHI2, 1.0)), 1.0, 10.0))


def _seed_evidence(batch: Batch, u: FloatArray, rise: FloatArray, hypers: Hypers) -> FloatArray:
    """Log likelihood of the scatter of seeds within cells, [V, G]."""
    spare = np.maximum(batch.count - 1, 0)[:, None]
    variance = noise_model.run_variance(u, rise, hypers)
    each = -0.5 * (batch.spread[:, None] / variance + spare * np.log(variance))
    return np.asarray(np.where(spare > 0, each, 0.0).sum(axis=(-1, -2)))


def draw(
    posterior: Posterior, v: int, pick: IntArray, shared: FloatArray, local: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Turns standard normal draws into draws of one variant's parameters.

    `v` is the variant's place in the batch, `pick` [B] the noise setting of each draw; `shared` [B, SHARED]
    and `local` [B, K, 3] are standard normal. Returns local parameters [B, K, 3] and shared ones [B, SHARED].
    """
    normal, state = posterior.normal, posterior.state
    scales = local.shape[1]
    used, count = np.unique(pick, return_counts=True)
    root, own = batched_linalg.root(normal.shared[v, used]), batched_linalg.root(normal.own[v, used, :scales])
    order = np.argsort(pick, kind="stable")  # draws of one setting next to each other
    shared, local = shared[order], local[order]
    shared_out, local_out = np.empty_like(shared), np.empty_like(local)
    for i, (g, end) in enumerate(zip(used, np.cumsum(count), strict=True)):
        here = slice(end - count[i], end)
        shift = shared[here] @ root[i].T
        moved = shift @ normal.cross[v, g, :scales].reshape(scales * 3, SHARED).T
        own_part = np.einsum("kpq,bkq->bkp", own[i], local[here])
        local_out[here] = state.local[v, g, :scales] + own_part - moved.reshape(-1, scales, 3)
        shared_out[here] = state.shared[v, g] + shift
    back = np.argsort(order)
    return local_out[back], shared_out[back]
