"""How measured quantities lie off their law: what is thought of it beforehand, and every size that is tried.

Two departures from a straight line are thought of: every scale by itself lies off by a `scatter`, and the
law itself turns, a random walk of `wander` octaves per root of an octave. The walk is taken from the largest
scale: a prediction beyond it starts where the optimum is now.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.priors import LAW
from hptransfer.sweep.table import FloatArray, IntArray

# Sizes that are tried: sds of the log size above its median, with their probabilities.
NODES = np.linspace(-2.4, 2.4, 9)
LOG_NODE_WEIGHT = -0.5 * NODES**2 - np.log(np.exp(-0.5 * NODES**2).sum())
LEAST_VARIANCE = 1e-12  # keeps covariances of draws invertible


@dataclass(frozen=True)
class SizePrior:
    """Prior on the size of a departure: none at all, or log-normal."""

    median: float  # units of the quantity
    log_sd: float  # sd of its natural logarithm
    none: float  # probability that there is none; 1 where it is not thought of

    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Sizes, zero first, and their log prior weights, [S] each."""
        if self.none >= 1.0:
            return np.zeros(1), np.zeros(1)
        log_prior = np.concatenate([[np.log(self.none)], np.log1p(-self.none) + LOG_NODE_WEIGHT])
        return self.median * np.exp(self.log_sd * np.concatenate([[-np.inf], NODES])), log_prior


def curvature_scatter(misfit: float) -> SizePrior:
    """Of the log curvature; `misfit` is the sd of the shape's relative error at single scales."""
    typical = LAW.curvature_scatter + LAW.curvature_scatter_per_misfit * misfit
    odds = 1.0 + (LAW.zero_scatter_odds - 1.0) * float(np.exp(-misfit / LAW.zero_scatter_misfit))
    return SizePrior(typical, LAW.curvature_scatter_log_sd, odds / (odds + LAW.scatter_odds))


NO_WANDER = SizePrior(0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Departure:
    """What is thought of one series' departures from its law before they are looked at."""

    scatter: SizePrior  # of single scales, octaves
    wander: SizePrior = NO_WANDER  # of the law, octaves per root of an octave
    constant: float = 0.0  # probability of no drift
    steady: float = 0.0  # probability that all lies on a law exactly, beyond what the two say


@dataclass(frozen=True)
class Scatters:
    """Every size of departure that is thought of, alone and with one scale off the law; S of them."""

    t: FloatArray  # log2 of the scales, [K]
    size: FloatArray  # rms scatter of one scale, [S]
    wander: FloatArray  # sd of the law's turning, per root of an octave, [S]
    off: IntArray  # scale that lies off the law, -1 for none, [S]
    log_prior: FloatArray  # [S]
    inverse: FloatArray  # of the covariance of estimates and departures together, [S, K, K]
    log_det: FloatArray  # of that covariance, [S]
    regular: int  # the first so many settings have no scale off the law


def departures(
    size: FloatArray, wander: FloatArray, off: IntArray, gaps: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draws of what scales lie off the law by, [B, K], octaves.

    Args:
        size: rms scatter of a scale in each draw, shape [B].
        wander: sd of the law's turning, shape [B].
        off: scale off the law, -1 for none, shape [B].
        gaps: octaves between neighbouring scales, shape [K - 1].
        rng: source of the draws.
    """
    shape = (len(size), len(gaps) + 1)
    steps = rng.standard_normal((shape[0], shape[1] - 1)) * np.sqrt(gaps)
    walk = np.zeros(shape)
    walk[:, :-1] = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]  # from the largest scale back
    sd = np.hypot(size[:, None], off_sd(off, shape[1]))
    return np.asarray(sd * rng.standard_normal(shape) + wander[:, None] * walk)


def off_sd(off: IntArray, scales: int) -> FloatArray:
    """Sd by which each scale lies off the law where `off` [S] says that it does, else 0, [S, K]."""
    return np.asarray(LAW.outlier_scale_sd * (off[:, None] == np.arange(scales)))


def scatters(
    t: FloatArray, y_draws: FloatArray, prior: Departure, by_others: FloatArray | None = None
) -> Scatters:
    """Of a quantity with posterior draws [B, K] at log2 scales t [K].

    One scale alone off the law is thought of only where the law does not turn; where it may turn, the largest
    scale is not that one: a prediction starts from where the optimum is now.

    Args:
        t: log2 scale, shape [K].
        y_draws: posterior draws of the quantity, shape [B, K].
        prior: of the departures.
        by_others: added to the log prior of every size, for what is known of them from elsewhere, shape
            [sizes x turnings]; the whole prior probability stays what it was.
    """
    scales = len(t)
    errors = np.atleast_2d(np.cov(y_draws.T)) + LEAST_VARIANCE * np.eye(scales)
    (sizes, log_size), (wanders, log_wander) = prior.scatter.grid(), prior.wander.grid()
    one = LAW.outlier_scale_probability
    s, w = (a.ravel() for a in np.meshgrid(np.arange(len(sizes)), np.arange(len(wanders)), indexing="ij"))
    doubted = scales if len(wanders) == 1 else scales - 1
    alone = np.repeat(np.arange(len(sizes)), doubted)
    size = np.concatenate([sizes[s], sizes[alone]])
    turning = np.concatenate([wanders[w], np.zeros(len(alone))])
    off = np.concatenate([np.full(len(s), -1), np.tile(np.arange(doubted), len(sizes))])
    log_prior = np.concatenate(
        [log_size[s] + log_wander[w] + np.log1p(-doubted * one), log_size[alone] + np.log(one)]
    )
    log_prior += np.log1p(-prior.steady)
    if prior.steady > 0.0:  # no scatter, no turning, no scale off
        log_prior[0] = np.logaddexp(log_prior[0], np.log(prior.steady))
    if by_others is not None:
        raised = log_prior + np.concatenate([by_others, by_others[alone * len(wanders)]])
        log_prior = raised - np.logaddexp.reduce(raised) + np.logaddexp.reduce(log_prior)
    inverse, log_det = batched_linalg.inverse(errors + departure_covariance(t, size, turning, off))
    return Scatters(t, size, turning, off, log_prior, inverse, log_det, len(s))


def departure_covariance(t: FloatArray, size: FloatArray, wander: FloatArray, off: IntArray) -> FloatArray:
    """Covariance of what scales at log2 n = t [K] lie off the law by, of every setting, [S, K, K]."""
    back = t[-1] - t
    walk = np.minimum(back[:, None], back[None])
    single = size[:, None] ** 2 + off_sd(off, len(t)) ** 2
    return np.asarray(single[..., None] * np.eye(len(t)) + wander[:, None, None] ** 2 * walk)
