"""How far single scales lie off their law: what is thought of it beforehand, and every size that is tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.priors import LAW
from hptransfer.sweep.table import FloatArray, IntArray

# Scatters that are tried, in units of the typical one: none, and a geometric series that covers all of them.
UNIT_SCATTERS = np.concatenate([[0.0], np.geomspace(0.15, 30.0, 11)])
# Their log prior weights: a half-t density with 2 degrees of freedom, (1 + s^2)^-3/2, times the spacing.
UNIT_PRIOR = np.log(np.gradient(UNIT_SCATTERS)) - 1.5 * np.log1p(UNIT_SCATTERS**2)
LEAST_VARIANCE = 1e-12  # keeps covariances of draws invertible


@dataclass(frozen=True)
class ScatterPrior:
    """Weak prior on the rms scatter of single scales about a law, beyond the error of estimation.

    With 3 to 6 scales the data alone cannot tell a scatter of 0 from one of half an octave. Where basins of
    one variant differ in shape their optima scatter too, so the prior grows with the shape's misfit; where
    they share one shape they may well lie on the law exactly.
    """

    typical: float  # scale of its half-t density (2 degrees of freedom), units of the quantity
    zero_odds: float = 1.0  # factor on the weight of no scatter at all

    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Scatters, zero and a geometric series, and their log prior weights."""
        log_prior = UNIT_PRIOR.copy()
        log_prior[0] += np.log(self.zero_odds)
        return self.typical * UNIT_SCATTERS, log_prior


def hp_scatter(misfit: float) -> ScatterPrior:
    """Of log2 eta*, octaves; `misfit` is the sd of the shape's relative error at single scales."""
    return ScatterPrior(LAW.scatter_octaves + LAW.scatter_per_misfit * misfit, _zero_odds(misfit))


def curvature_scatter(misfit: float) -> ScatterPrior:
    """Of the log curvature; `misfit` as in `hp_scatter`."""
    typical = LAW.curvature_scatter + LAW.curvature_scatter_per_misfit * misfit
    return ScatterPrior(typical, _zero_odds(misfit))


def slope_change_sd(misfit: float) -> float:
    """What the slope of the optimum's law may change by beyond the largest scale (sd), octaves per octave.

    Where basins keep their shape from scale to scale the law goes on. Where they do not, measured sweeps
    leave their line by more than the scatter about it foretells.
    """
    return float(LAW.slope_change_sd * misfit**4 / (misfit**4 + LAW.slope_change_misfit**4))


def _zero_odds(misfit: float) -> float:
    return 1.0 + (LAW.zero_scatter_odds - 1.0) * float(np.exp(-misfit / LAW.zero_scatter_misfit))


@dataclass(frozen=True)
class Scatters:
    """Every size of scatter that is thought of, alone and with one scale off the law; S of them."""

    size: FloatArray  # rms scatter of one scale, [S]
    off: IntArray  # scale that lies off the law, -1 for none, [S]
    log_prior: FloatArray  # [S]
    extra: FloatArray  # variance of each scale beyond the error of estimation, [S, K]
    inverse: FloatArray  # of the covariance of estimates and scatter together, [S, K, K]
    log_det: FloatArray  # of that covariance, [S]


def scatters(y_draws: FloatArray, prior: ScatterPrior) -> Scatters:
    """Of a quantity with posterior draws [B, K]."""
    scales = y_draws.shape[1]
    errors = np.atleast_2d(np.cov(y_draws.T)) + LEAST_VARIANCE * np.eye(scales)
    grid, log_prior = prior.grid()
    each = np.arange(-1, scales)
    one = LAW.outlier_scale_probability
    chance = np.where(each < 0, 1.0 - scales * one, one)
    size, off = np.repeat(grid, len(each)), np.tile(each, len(grid))
    extra = size[:, None] ** 2 + (LAW.outlier_scale_sd * (off[:, None] == np.arange(scales))) ** 2
    inverse, log_det = batched_linalg.inverse(errors + extra[:, None, :] * np.eye(scales))
    return Scatters(size, off, (log_prior[:, None] + np.log(chance)).ravel(), extra, inverse, log_det)
