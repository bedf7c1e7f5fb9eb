"""What the cells of a basin scatter by: noise of runs, more of it far up, and a shape only nearly right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.sweep.table import FloatArray, IntArray

SIGMAS = np.geomspace(4e-4, 0.05, 10)  # sd of one run near the optimum, nats
MISFITS = np.array([0.008, 0.03, 0.12, 0.45])  # sd of the shape's relative error
LOG_SIGMA_PRIOR = (np.log(0.004), 1.3)  # centre and sd of log sigma: losses in nats
LOG_MISFIT_PRIOR = (np.log(0.01), 1.8)
LENGTH = 2.1  # octaves over which the shape's relative error is correlated
NOISE_SHARE = 0.2  # noise of a run grows with its excess by this share of the misfit
GROWTHS = np.array([0.0, 0.5, 1.2])  # and right of the optimum by this share of sigma an octave
FAR_RIGHT = 4.0  # octaves from which it grows no more


@dataclass(frozen=True)
class Hypers:
    """A grid of noise settings, G of them.

    Attributes:
        sigma: sd of one run near the optimum, nats, shape [V, G].
        misfit: sd of the shape's relative error, shape [V, G].
        growth: of a run's sd right of the optimum, share of sigma an octave, shape [V, G].
        log_prior: shape [V, G].
    """

    sigma: FloatArray
    misfit: FloatArray
    growth: FloatArray
    log_prior: FloatArray

    def at(self, setting: IntArray) -> Hypers:
        """Some of them, by index [V, S]."""
        columns = (self.sigma, self.misfit, self.growth, self.log_prior)
        return Hypers(*(np.take_along_axis(column, setting, axis=1) for column in columns))


def grid(stretch: FloatArray) -> Hypers:
    """All settings, the sigmas times `stretch` [V] where runs are far noisier than nats usually are."""
    sigma, misfit, growth = (a.ravel() for a in np.meshgrid(SIGMAS, MISFITS, GROWTHS, indexing="ij"))
    prior = -0.5 * ((np.log(sigma) - LOG_SIGMA_PRIOR[0]) / LOG_SIGMA_PRIOR[1]) ** 2
    prior = prior - 0.5 * ((np.log(misfit) - LOG_MISFIT_PRIOR[0]) / LOG_MISFIT_PRIOR[1]) ** 2
    shape = (len(stretch), len(sigma))
    wide = (np.broadcast_to(a, shape) for a in (misfit, growth, prior))
    return Hypers(stretch[:, None] * sigma, *wide)


def run_variance(u: FloatArray, rise: FloatArray, hypers: Hypers) -> FloatArray:
    """Variance of a single run, shape [V, G, K, N].

    `u` is the distance from the optimum in octaves and `rise` the loss above its own, both [V, K, N].
    """
    right = np.clip(u, 0.0, FAR_RIGHT)[:, None]
    flat = hypers.sigma[..., None, None] * (1.0 + hypers.growth[..., None, None] * right)
    steep = (NOISE_SHARE * hypers.misfit)[..., None, None] * rise[:, None]
    return np.asarray(flat**2 + steep**2)


def covariance(
    u: FloatArray, rise: FloatArray, count: FloatArray, inflate: FloatArray, doubt: FloatArray, hypers: Hypers
) -> FloatArray:
    """Covariance of the cell means of each scale, shape [V, G, K, N, N]; identity where cells are padding.

    `rise` is the loss above the optimum's and `count` the runs of a cell, 0 where padded; `inflate` is a
    factor on the variance of single cells (outliers), all [V, K, N] as the distance `u` from the optimum in
    octaves; `doubt` is a factor on the misfit of single scales, [V, K].
    """
    real = count > 0
    single = run_variance(u, rise, hypers) * (inflate / np.maximum(count, 1))[:, None]
    gap = (u[..., :, None] - u[..., None, :]) / LENGTH
    rise = np.where(real, rise * doubt[..., None], 0.0)
    smooth = rise[..., :, None] * rise[..., None, :] * np.exp(-0.5 * gap * gap)
    out = hypers.misfit[..., None, None, None] ** 2 * smooth[:, None]
    n = u.shape[-1]
    out[..., np.arange(n), np.arange(n)] += np.where(real[:, None], single, 1.0)
    return np.asarray(out)
