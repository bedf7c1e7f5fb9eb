"""What the cells of a basin scatter by: noise of runs, more of it far up, and a shape only nearly right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.priors import NOISE
from hptransfer.sweep.table import FloatArray, IntArray

SIGMAS = np.geomspace(*NOISE.sigma_ends, 10)  # sd of one run near the optimum, nats
MISFITS = np.array(NOISE.misfits)
GROWTHS = np.array(NOISE.growths)


@dataclass(frozen=True)
class NoiseParameters:
    """A grid of noise settings, G of them."""

    sigma: FloatArray  # sd of one run near the optimum, nats, [V, G]
    misfit: FloatArray  # sd of the shape's relative error, [V, G]
    growth: FloatArray  # of a run's sd right of the optimum, fraction of sigma an octave, [V, G]
    log_prior: FloatArray  # [V, G]

    def select(self, setting: IntArray) -> NoiseParameters:
        """Some of them, by index [V, S]."""
        columns = (self.sigma, self.misfit, self.growth, self.log_prior)
        return NoiseParameters(*(np.take_along_axis(column, setting, axis=1) for column in columns))


@dataclass(frozen=True)
class CellErrors:
    """What the error of each cell depends on; V variants, K scales, N cells a scale."""

    u: FloatArray  # distance from the optimum, octaves, [V, K, N]
    rise: FloatArray  # loss above the optimum's, nats, [V, K, N]
    count: FloatArray  # runs of each cell, 0 where padded, [V, K, N]
    variance_factor: FloatArray  # on the variance of outlying cells, [V, K, N]
    misfit_inflation: FloatArray  # factor on the misfit of single scales, [V, K]


def grid(stretch: FloatArray) -> NoiseParameters:
    """All settings, the sigmas times `stretch` [V] where runs are far noisier than nats usually are."""
    sigma, misfit, growth = (a.ravel() for a in np.meshgrid(SIGMAS, MISFITS, GROWTHS, indexing="ij"))
    prior = -0.5 * ((np.log(sigma) - np.log(NOISE.sigma_median)) / NOISE.sigma_log_sd) ** 2
    prior = prior - 0.5 * ((np.log(misfit) - np.log(NOISE.misfit_median)) / NOISE.misfit_log_sd) ** 2
    shape = (len(stretch), len(sigma))
    wide = (np.broadcast_to(a, shape) for a in (misfit, growth, prior))
    return NoiseParameters(stretch[:, None] * sigma, *wide)


def run_variance(u: FloatArray, rise: FloatArray, noise: NoiseParameters) -> FloatArray:
    """Variance of a single run, nats squared, [V, G, K, N]; `u` and `rise` as in `CellErrors`."""
    right = np.clip(u, 0.0, NOISE.growth_octaves)[:, None]  # [V, 1, K, N]
    flat = noise.sigma[..., None, None] * (1.0 + noise.growth[..., None, None] * right)
    steep = (NOISE.rise_per_misfit * noise.misfit)[..., None, None] * rise[:, None]
    return np.asarray(flat**2 + steep**2)


def covariance(cells: CellErrors, noise: NoiseParameters) -> FloatArray:
    """Covariance of the cell means of each scale, [V, G, K, N, N]; identity where cells are padding."""
    real = cells.count > 0
    factor = cells.variance_factor / np.maximum(cells.count, 1)  # [V, K, N]
    single = run_variance(cells.u, cells.rise, noise) * factor[:, None]  # [V, G, K, N]
    gap = (cells.u[..., :, None] - cells.u[..., None, :]) / NOISE.misfit_length  # [V, K, N, N]
    rise = np.where(real, cells.rise * cells.misfit_inflation[..., None], 0.0)
    smooth = rise[..., :, None] * rise[..., None, :] * np.exp(-0.5 * gap * gap)
    out = noise.misfit[..., None, None, None] ** 2 * smooth[:, None]
    n = np.arange(cells.u.shape[-1])
    out[..., n, n] += np.where(real[:, None], single, 1.0)
    return np.asarray(out)
