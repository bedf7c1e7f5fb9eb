"""Posterior of all basins of a variant: a pilot fit, robust weights, then an average over noise settings.

The mode at each noise setting is found by Gauss-Newton steps, the posterior about it is taken as normal (the
Laplace approximation), and settings are weighed by their evidence, as in integrated nested Laplace
approximations (Rue, Martino and Chopin 2009). Axes of arrays as in `model`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.basin import batched_linalg, noise_model
from hptransfer.quantify.basin.model import (
    LOCAL,
    PRECISIONS,
    SHARED,
    Linear,
    Normal,
    State,
    VariantBatch,
    apply_step,
    linearised,
    log_evidence,
    normal_equations,
    select_settings,
)
from hptransfer.quantify.basin.noise_model import CellErrors, NoiseParameters
from hptransfer.quantify.basin.shape import excess
from hptransfer.quantify.priors import SEARCH, SHAPE
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

PILOT = 1  # the shape prior of the pilot fit
PILOT_STEPS = 6
RESCALED_STEPS = (1, 2, 3)  # after which the pilot's noise is made to fit
ROBUST_FROM = 4  # step from which outlying cells and scales are weighed down
FINAL_STEPS = 2
LOG_SHAPE_PRIOR = np.log(SHAPE.local_weights)  # of each shape prior, [3]
MEDIAN_OF_ABS_NORMAL = 0.6745  # of |z|, z standard normal: the normal's quantile at 3/4
# Guards against overflow and division by what vanishes.
MOST_RISE = 50.0  # nats
MOST_VARIANCE_FACTOR = 1e4


@dataclass(frozen=True)
class Posterior:
    """The fit over the grid of noise settings."""

    state: State  # the mode at each setting
    linear: Linear  # the model linearised there
    normal: Normal  # its normal equations
    weight: FloatArray  # of each setting, they sum to 1, [V, G]
    noise: NoiseParameters  # the settings
    misfit_inflation: FloatArray  # factor on the shape's error at single scales, [V, K]
    variance_factor: FloatArray  # factor on the variance of outlying cells, [V, K, N]


def fit_posterior(batch: VariantBatch, start: State) -> Posterior:
    """Fits a batch from a state (G = 1): a pilot, robust weights from it, then the likely settings."""
    stretch, pilot_sigma = _pilot_noise(batch)
    state, noise, cells = _pilot(batch, start, pilot_sigma)
    u, rise = _cell_positions(batch, state, noise)
    cells = replace(cells, u=u, rise=rise)
    noise, prior_of = _top_settings(batch, state, cells, noise_model.grid(stretch))
    prior = PRECISIONS[prior_of]  # [V, G, SHARED, SHARED]
    kept = noise.sigma.shape[1]
    state = State(np.repeat(state.local, kept, axis=1), np.repeat(state.shared, kept, axis=1))
    weight = batched_linalg.inverse(noise_model.covariance(cells, noise))
    for _ in range(FINAL_STEPS):
        normal = normal_equations(batch, state, linearised(batch, state, *weight), prior)
        state = apply_step(state, normal.step, SEARCH.final_step * batch.spacing)
    linear = linearised(batch, state, *weight)
    normal = normal_equations(batch, state, linear, prior)
    log = log_evidence(batch, state, linear, prior)
    log += noise.log_prior + _seed_evidence(batch, cells, noise)
    log += LOG_SHAPE_PRIOR[prior_of]
    w = np.exp(log - log.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    return Posterior(state, linear, normal, w, noise, cells.misfit_inflation, cells.variance_factor)


def _pilot(batch: VariantBatch, state: State, sigma: FloatArray) -> tuple[State, NoiseParameters, CellErrors]:
    """State, noise setting (G = 1) and robust weights of the pilot fit, from first sigmas [V], nats."""
    column = sigma[:, None]
    misfit, growth = np.full_like(column, SEARCH.pilot_misfit), np.full_like(column, SEARCH.pilot_growth)
    noise = NoiseParameters(column, misfit, growth, 0 * column)
    real = batch.count > 0
    ones = np.ones(batch.x.shape)
    cells = CellErrors(ones, ones, batch.count, ones, np.ones(batch.x.shape[:2]))
    for step in range(PILOT_STEPS):
        u, rise = _cell_positions(batch, state)
        cells = replace(cells, u=u, rise=rise)
        weight = batched_linalg.inverse(noise_model.covariance(cells, noise))
        linear = linearised(batch, state, *weight)
        normal = normal_equations(batch, state, linear, PRECISIONS[None, PILOT : PILOT + 1])
        if step in RESCALED_STEPS:
            noise = _rescaled(noise, linear, real)
        if step >= ROBUST_FROM:
            factor = _variance_factor(linear, cells.variance_factor)
            inflation = _misfit_inflation(linear, real, cells.misfit_inflation)
            cells = replace(cells, variance_factor=factor, misfit_inflation=inflation)
        state = apply_step(state, normal.step, SEARCH.pilot_step * batch.spacing)
    return state, noise, cells


def _top_settings(
    batch: VariantBatch, state: State, cells: CellErrors, grid: NoiseParameters
) -> tuple[NoiseParameters, IntArray]:
    """The settings with most of the weight by approximate evidence, and their shape priors [V, G].

    The evidence is that of one step from the pilot fit, at `state`. Noise settings first, under the pilot's
    shape prior: all of the grid with the middle growth, the best of them with every growth. The best of those
    then under every shape prior.
    """
    kept = SEARCH.settings_kept

    def judged(noise: NoiseParameters) -> tuple[Linear, FloatArray, IntArray]:
        weight = batched_linalg.inverse(noise_model.covariance(cells, noise))
        linear = linearised(batch, state, *weight)
        log = log_evidence(batch, state, linear, PRECISIONS[None, PILOT : PILOT + 1])
        known = noise.log_prior + _seed_evidence(batch, cells, noise)
        return linear, known, np.argsort(-log - known, axis=1)[:, :kept]

    variants, growths, priors = len(batch.x), len(noise_model.GROWTHS), len(PRECISIONS)
    middle = np.arange(growths // 2, grid.sigma.shape[1], growths)
    first = middle[judged(grid.select(np.tile(middle, (variants, 1))))[2]] - growths // 2
    noise = grid.select((first[..., None] + np.arange(growths)).reshape(variants, -1))
    linear, known, best = judged(noise)
    tiled = np.tile(PRECISIONS, (kept, 1, 1))[None]
    log = log_evidence(batch, state, linear.select(best), tiled)  # [V, kept * priors]
    log += np.repeat(select_settings(known, best), priors, axis=1) + np.tile(LOG_SHAPE_PRIOR, kept)
    top = np.argsort(-log, axis=1)[:, :kept]
    return noise.select(np.take_along_axis(best, top // priors, axis=1)), top % priors


def _cell_positions(
    batch: VariantBatch, state: State, noise: NoiseParameters | None = None
) -> tuple[FloatArray, FloatArray]:
    """Distance of each cell from the optimum, octaves, and its loss above the optimum's, nats, [V, K, N].

    The loss is the model's, or what was seen where that is more: a cell up a cliff that the shape does not
    follow says little. With a noise setting (G = 1) a cell must lie `cliff_min_sd` above the model to count
    as seen: a variance that follows the cell's own noise is no likelihood, and favours small noise with a
    shape that errs by much.
    """
    u = batch.x - state.local[:, 0, :, 1:2]
    log_curvature = state.log_curvature(batch.t)[:, 0, :, None]
    model = excess(u, log_curvature, state.shared[:, 0, None, None, 2:])
    seen = batch.y - state.local[:, 0, :, 0:1]
    if noise is not None:
        variance = noise_model.run_variance(u, model, noise)[:, 0] / np.maximum(batch.count, 1)
        seen = np.where(seen - model > SEARCH.cliff_min_sd * np.sqrt(variance), seen, model)
    return u, np.where(batch.count > 0, np.minimum(np.maximum(model, seen), MOST_RISE), 0.0)


def _pilot_noise(batch: VariantBatch) -> tuple[FloatArray, FloatArray]:
    """Stretch of the noise grid and a first sigma for each variant, [V], from seeds where there are any."""
    spare = np.maximum(batch.count - 1, 0).sum(axis=(1, 2))
    from_seeds = np.sqrt(batch.spread.sum(axis=(1, 2)) / np.maximum(spare, 1))
    known, most = spare >= SEARCH.pilot_spare_runs, SEARCH.pilot_sigma_ends[1]
    pilot = np.where(known, np.clip(from_seeds, *SEARCH.pilot_sigma_ends), SEARCH.pilot_sigma)
    stretch = np.where(known, np.maximum(from_seeds / most, 1.0), 1.0)
    return stretch, pilot * stretch


def _rescaled(noise: NoiseParameters, linear: Linear, real: BoolArray) -> NoiseParameters:
    """The pilot's sigma, made to fit the typical deviation of a cell from all others."""
    z = np.abs(linear.weighted[:, 0]) / np.sqrt(linear.precision[:, 0])  # leave-one-out residual, in its sd
    z = np.where(real, z, np.nan).reshape(len(z), -1)
    factor = np.nanmedian(z, axis=1) / MEDIAN_OF_ABS_NORMAL
    return replace(noise, sigma=noise.sigma * np.clip(factor, *SEARCH.pilot_rescale_ends)[:, None])


def _variance_factor(linear: Linear, factor: FloatArray) -> FloatArray:
    """Variance factors of a t with `t_freedom` degrees of freedom, each cell seen from all others."""
    square = linear.weighted[:, 0] ** 2 / linear.precision[:, 0] * factor
    weight = (SEARCH.t_freedom + square) / (SEARCH.t_freedom + 1.0)
    return np.asarray(np.minimum(weight, MOST_VARIANCE_FACTOR))


def _misfit_inflation(linear: Linear, real: BoolArray, inflation: FloatArray) -> FloatArray:
    """Factors on the shape's error for scales that the shared shape misses by more than the others."""
    chi2 = np.einsum("vki,vki->vk", linear.residual[:, 0], linear.weighted[:, 0])
    freedom = np.maximum(real.sum(axis=-1) - float(LOCAL), 1.0)
    more = np.sqrt(np.maximum(chi2 / freedom / SEARCH.misfit_chi2, 1.0))
    return np.asarray(np.clip(inflation * more, 1.0, SEARCH.misfit_inflation_most))


def _seed_evidence(batch: VariantBatch, cells: CellErrors, noise: NoiseParameters) -> FloatArray:
    """Log likelihood of the scatter of seeds within cells, [V, G]."""
    spare = np.maximum(batch.count - 1, 0)[:, None]
    variance = noise_model.run_variance(cells.u, cells.rise, noise)
    each = -0.5 * (batch.spread[:, None] / variance + spare * np.log(variance))
    return np.asarray(np.where(spare > 0, each, 0.0).sum(axis=(-1, -2)))


def draw_parameters(
    posterior: Posterior, v: int, setting: IntArray, shared: FloatArray, local: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Turns standard normal draws into draws of one variant's parameters.

    Args:
        posterior: of a batch.
        v: the variant's place in the batch.
        setting: the noise setting of each draw, shape [B].
        shared: standard normal, shape [B, SHARED].
        local: standard normal, shape [B, K, 3].

    Returns:
        Local parameters [B, K, 3] and shared ones [B, SHARED].
    """
    normal, state = posterior.normal, posterior.state
    scales = local.shape[1]
    used, count = np.unique(setting, return_counts=True)
    root = batched_linalg.root(normal.shared[v, used])  # [used, SHARED, SHARED]
    local_root = batched_linalg.root(normal.cov_given_shape[v, used, :scales])  # [used, K, 3, 3]
    order = np.argsort(setting, kind="stable")  # draws of one setting next to each other
    shared, local = shared[order], local[order]
    shared_out, local_out = np.empty_like(shared), np.empty_like(local)
    for i, (g, end) in enumerate(zip(used, np.cumsum(count), strict=True)):
        here = slice(end - count[i], end)
        shift = shared[here] @ root[i].T
        moved = shift @ normal.cross[v, g, :scales].reshape(scales * LOCAL, SHARED).T
        own_part = np.einsum("kpq,bkq->bkp", local_root[i], local[here])
        local_out[here] = state.local[v, g, :scales] + own_part - moved.reshape(-1, scales, LOCAL)
        shared_out[here] = state.shared[v, g] + shift
    back = np.argsort(order)
    return local_out[back], shared_out[back]
