"""What is known of a variant's drift before its own optima are looked at: the other variants of its table.

Variants of one sweep table share a model, data and a budget, and their optima drift alike: seen from the
rest, a variant's slope is normal about the table's, mu, with a sd tau that the rest shows (a hierarchy of
table, variant and scale). Slopes are compared in muP coordinates where the coordinates are known; there mu
itself is near 0, which is what muP promises. Only predictions use this. What is measured of a variant
(drift, E, kappa, R) does not depend on what it was compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.law.departure import departure
from hptransfer.quantify.law.scatter import Scatters, scatters
from hptransfer.quantify.priors import DEPARTURE
from hptransfer.sweep.table import FloatArray

NODES = np.linspace(-2.0, 2.0, 7)  # sds of log tau from its median at which it is tried
LOG_NODE_WEIGHT = -0.5 * NODES**2
LEAST_SCALES = 3  # a slope from fewer has no error of its own


@dataclass(frozen=True)
class SlopePrior:
    """A normal prior on the slope of log2 eta* in log2 n, octaves per octave, that may not hold."""

    mean: float
    sd: float
    share: float  # prior probability that it holds; else nothing is known of the slope


def departures_of(basins: Basins) -> Scatters:
    """Every size of departure that is thought of for one variant's optima inside the grid."""
    inside = basins.fitted
    prior = departure(basins)
    t, x_draws = np.log2(basins.cells.scale[inside]), basins.x_draws[:, inside]
    return scatters(t, x_draws, prior.scatter, prior.wander, prior.steady)


def own_slope(basins: Basins | None) -> tuple[float, float]:
    """Mean and variance of a variant's slope by its own optima; NaN where fewer than three are inside."""
    if basins is None or basins.fitted.sum() < LEAST_SCALES:
        return float("nan"), float("nan")
    t = np.log2(basins.cells.scale[basins.fitted])
    every, basis = departures_of(basins), np.stack([np.ones_like(t), t - t.mean()], axis=1)
    weighted = basis.T @ every.inverse
    errors = np.linalg.inv(weighted @ basis)  # [S, 2, 2]
    found = np.einsum("spk,k->sp", errors @ weighted, basins.x[basins.fitted])
    residual = basins.x[basins.fitted] - found @ basis.T
    chi2 = np.einsum("sk,skl,sl->s", residual, every.inverse, residual)
    log = every.log_prior - 0.5 * (chi2 + every.log_det) + 0.5 * np.linalg.slogdet(errors)[1]
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    mean = float(weight @ found[:, 1])
    return mean, float(weight @ (errors[:, 1, 1] + (found[:, 1] - mean) ** 2))


def slope_priors(own: Sequence[tuple[float, float]], to_mup: FloatArray | None) -> list[SlopePrior | None]:
    """The prior of every variant's slope by the others'; None where nothing is known.

    Args:
        own: mean and variance of each variant's own slope, NaN where it has none (`own_slope`); V of them.
        to_mup: what is added to each slope in muP coordinates, shape [V]; None where they are not known.
    """
    mean, variance = np.array(own, dtype=np.float64).reshape(-1, 2).T
    shift = np.zeros(len(mean)) if to_mup is None else to_mup
    known = np.isfinite(mean)
    others = known.sum() - known
    mean = np.where(known, mean + shift, 0.0)
    tau = DEPARTURE.slope_tau * np.exp(DEPARTURE.slope_tau_log_sd * NODES)[:, None]
    weight = np.where(known, 1.0 / (np.where(known, variance, 1.0) + tau**2), 0.0)  # [T, V]
    zero = 0.0 if to_mup is None else DEPARTURE.slope_mup_sd**-2  # weight of mu = 0

    def rest(terms: FloatArray) -> FloatArray:
        return np.asarray(terms.sum(axis=1, keepdims=True) - terms)

    total = rest(weight) + zero
    with np.errstate(divide="ignore", invalid="ignore"):  # of those about whom nothing is known
        mu = rest(weight * mean) / total
        chi2 = rest(weight * mean**2) - mu**2 * total
        log_weight = np.where(known, np.log(np.where(known, weight, 1.0)), 0.0)
        log = LOG_NODE_WEIGHT[:, None] - 0.5 * (chi2 - rest(log_weight) + np.log(total))
        share = np.exp(log - log.max(axis=0))
        share /= share.sum(axis=0)
        centre = (share * mu).sum(axis=0)
        sd = np.sqrt((share * (1.0 / total + tau**2 + (mu - centre) ** 2)).sum(axis=0))
    return [
        SlopePrior(float(c - s), float(d), DEPARTURE.slope_shared) if zero or n else None
        for c, s, d, n in zip(centre, shift, sd, others, strict=True)
    ]
