"""Posterior of the joint basins of a variant: a pilot fit, robust weights, an average over noise settings.

As for a basin of one hyperparameter: the mode at each noise setting by Gauss-Newton steps, the posterior
about it taken as normal, and settings weighed by their evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from hptransfer.quantify.basin.batched_linalg import root
from hptransfer.quantify.basin.noise_model import GROWTHS, SIGMAS
from hptransfer.quantify.basin.posterior import MEDIAN_OF_ABS_NORMAL, MOST_VARIANCE_FACTOR
from hptransfer.quantify.intervals import sample_settings
from hptransfer.quantify.joint.model import (
    Batch,
    Linear,
    Normal,
    State,
    apply_step,
    linearised,
    normal_equations,
)
from hptransfer.quantify.joint.priors import JOINT
from hptransfer.quantify.priors import NOISE, SEARCH
from hptransfer.sweep.table import FloatArray

PILOT_STEPS, RESCALED_STEPS, ROBUST_FROM, FINAL_STEPS = 14, (4, 6, 8, 10), 2, 2
LEAST_PRECISION = 1e-3  # of a point's own: what others say of it is never worse than so


@dataclass(frozen=True)
class Noise:
    """One setting of what points scatter by; see `basin.noise_model`."""

    sigma: float  # sd of one run near the optimum, nats
    misfit: float  # sd of the shape's relative error
    growth: float  # of a run's sd right of the optimum, fraction of sigma an octave

    @property
    def bump_sd(self) -> float:
        """Sd of the coefficients of the shape's corrections, which all scales share."""
        return JOINT.bump_sd + JOINT.bump_per_misfit * self.misfit

    def log_prior(self) -> float:
        """Of the setting."""
        sigma = (np.log(self.sigma) - np.log(NOISE.sigma_median)) / NOISE.sigma_log_sd
        misfit = (np.log(self.misfit) - np.log(NOISE.misfit_median)) / NOISE.misfit_log_sd
        return float(-0.5 * (sigma**2 + misfit**2))


@dataclass(frozen=True)
class Posterior:
    """Modes at the likely noise settings, with their weights; G of them."""

    state: list[State]
    normal: list[Normal]
    noise: list[Noise]
    weight: FloatArray  # [G]
    factor: FloatArray  # on the variance of outlying points, [K, N]

    def mean(self) -> State:
        """Means over the settings."""
        return State(
            np.einsum("g,gkp->kp", self.weight, np.stack([s.local for s in self.state])),
            np.einsum("g,gp->p", self.weight, np.stack([s.shared for s in self.state])),
        )

    def draws(self, count: int, rng: np.random.Generator) -> State:
        """Draws of the parameters: local [B, K, local], shared [B, shared]."""
        setting = sample_settings(self.weight, rng.random(count))
        scales, size = self.state[0].local.shape
        z_shared = rng.standard_normal((count, len(self.state[0].shared)))
        z_local = rng.standard_normal((count, scales, size))
        local, shared = np.empty_like(z_local), np.empty_like(z_shared)
        for g in np.unique(setting):
            here, normal = setting == g, self.normal[g]
            shift = z_shared[here] @ root(normal.shared).T
            own = np.einsum("kpq,bkq->bkp", root(normal.own), z_local[here])
            shared[here] = self.state[g].shared + shift
            local[here] = self.state[g].local + own - np.einsum("kpq,bq->bkp", normal.cross, shift)
        return State(local, shared)


def _whitened(lower: FloatArray, of: FloatArray) -> FloatArray:
    """Columns [K, N, P] in the units of a root of their covariance [K, N, N]."""
    solved = [solve_triangular(a, b, lower=True, check_finite=False) for a, b in zip(lower, of, strict=True)]
    return np.stack(solved)


class _Errors:
    """The errors of the points at a state: their covariance for any noise setting."""

    def __init__(self, batch: Batch, linear: Linear, factor: FloatArray, noise: Noise | None = None) -> None:
        self.batch, self.linear, self.factor = batch, linear, factor
        real, rise = batch.real, linear.rise
        seen = linear.jacobian[..., -1] + rise
        if noise is not None:  # a run up a cliff that the shape does not follow says little
            sd = np.sqrt(self._run_variance(noise, rise) / np.maximum(batch.count, 1))
            seen = np.where(seen - rise > SEARCH.cliff_min_sd * sd, seen, rise)
        self.rise = np.where(real, np.maximum(rise, seen), 0.0)
        gap = np.sum((linear.u[:, :, None] - linear.u[:, None]) ** 2, axis=-1) / JOINT.misfit_length**2
        self.smooth = self.rise[:, :, None] * self.rise[:, None] * np.exp(-0.5 * gap)
        self.place = np.sum((linear.slope * batch.place_sd) ** 2, axis=-1)

    def _run_variance(self, noise: Noise, rise: FloatArray) -> FloatArray:
        right = np.minimum(self.linear.right, NOISE.growth_octaves)
        flat = noise.sigma * (1.0 + noise.growth * right)
        return np.asarray(flat**2 + (NOISE.rise_per_misfit * noise.misfit * rise) ** 2)

    def single(self, noise: Noise) -> FloatArray:
        """Variance of each point by itself, [K, N]."""
        each = self._run_variance(noise, self.rise) + self.place
        return np.asarray(each / np.maximum(self.batch.count, 1))

    def root(self, noise: Noise) -> tuple[FloatArray, float]:
        """Cholesky root [K, N, N] of the covariance of the points, and the covariance's log determinant."""
        covariance = noise.misfit**2 * self.smooth
        n = np.arange(covariance.shape[-1])
        covariance[:, n, n] += np.where(self.batch.real, self.single(noise) * self.factor, 1.0)
        lower = np.linalg.cholesky(covariance)
        return lower, 2.0 * float(np.log(lower[:, n, n]).sum())

    def repeats(self, noise: Noise) -> float:
        """Log likelihood of the scatter of repeats."""
        spare = np.maximum(self.batch.count - 1, 0)
        variance = self._run_variance(noise, self.rise)
        each = -0.5 * (self.batch.spread / variance + spare * np.log(variance))
        return float(each[spare > 0].sum())


def fit_posterior(batch: Batch, start: State) -> Posterior:
    """Fits a batch from a state."""
    state, noise, factor = _pilot(batch, start)
    linear = linearised(batch, state)
    errors = _Errors(batch, linear, factor, noise)
    settings = _likely(batch, state, linear, errors)
    states, normals, logs = [], [], []
    for setting in settings:
        lower, log_det = errors.root(setting)

        def normal_at(state: State, lower: FloatArray = lower, bump_sd: float = setting.bump_sd) -> Normal:
            return normal_equations(
                batch, state, _whitened(lower, linearised(batch, state).jacobian), bump_sd
            )

        here = state
        for _ in range(FINAL_STEPS):
            here = apply_step(batch.layout, here, normal_at(here).step)
        normal = normal_at(here)
        states.append(here)
        normals.append(normal)
        logs.append(normal.log_evidence - 0.5 * log_det + setting.log_prior() + errors.repeats(setting))
    log = np.array(logs)
    w = np.exp(log - log.max())
    return Posterior(states, normals, settings, w / w.sum(), factor)


def _pilot(batch: Batch, state: State) -> tuple[State, Noise, FloatArray]:
    """State, noise and robust weights of the pilot fit."""
    noise = Noise(SEARCH.pilot_sigma, SEARCH.pilot_misfit, SEARCH.pilot_growth)
    factor = np.ones(batch.y.shape)
    for step in range(PILOT_STEPS):
        linear = linearised(batch, state)
        errors = _Errors(batch, linear, factor, None if step < ROBUST_FROM else noise)
        lower, _ = errors.root(noise)
        one = np.broadcast_to(np.eye(lower.shape[-1]), lower.shape)
        both = _whitened(lower, np.concatenate([linear.jacobian, one], axis=-1))
        whitened, half = both[..., : linear.jacobian.shape[-1]], both[..., linear.jacobian.shape[-1] :]
        normal = normal_equations(batch, state, whitened, noise.bump_sd)
        z = _from_others(whitened, half, normal, (factor - 1.0) * errors.single(noise))
        if step in RESCALED_STEPS:
            typical = float(np.median(z[batch.real])) / MEDIAN_OF_ABS_NORMAL
            sigma = noise.sigma * float(np.clip(typical, *SEARCH.pilot_rescale_ends))
            noise = Noise(float(np.clip(sigma, SIGMAS[0], SIGMAS[-1])), noise.misfit, noise.growth)
        if step >= ROBUST_FROM:
            heavy = (SEARCH.t_freedom + z**2) / (SEARCH.t_freedom + JOINT.outlier_sd**2)
            factor = np.clip(heavy, 1.0, MOST_VARIANCE_FACTOR)
        state = apply_step(batch.layout, state, normal.step)
    return state, noise, factor


def _from_others(whitened: FloatArray, half: FloatArray, normal: Normal, extra: FloatArray) -> FloatArray:
    """Distance of each point from what all others say of it, in the sd of both, [K, N].

    A scale's parameters are refitted without the point: else a wild run at the bottom would fit itself.

    Args:
        whitened: jacobian and residual in independent units, shape [K, N, P].
        half: inverse root of the points' covariance, shape [K, N, N].
        normal: the fit at this state.
        extra: variance that points were given since they stood out, which does not count here, shape [K, N].
    """
    size = normal.own.shape[-1]
    step = np.concatenate([normal.step.local, np.tile(normal.step.shared, (len(half), 1))], axis=1)
    left = whitened[..., -1] - np.einsum("knp,kp->kn", whitened[..., :-1], step)
    back = np.swapaxes(half, -1, -2)
    leverage = back @ whitened[..., :size]
    precision = np.sum(half**2, axis=-2) - np.einsum("knp,kpq,knq->kn", leverage, normal.own, leverage)
    precision = np.maximum(precision, LEAST_PRECISION * np.sum(half**2, axis=-2))
    away = (back @ left[..., None])[..., 0] / precision
    # Without what it was given, a point's variance is at least a tenth of that by which it is told.
    variance = np.maximum(1.0 / precision - extra, 0.1 / (precision * (1.0 + extra * precision)))
    return np.asarray(np.abs(away) / np.sqrt(variance))


def _likely(batch: Batch, state: State, linear: Linear, errors: _Errors) -> list[Noise]:
    """The settings with most of the weight, by the evidence of one step from the pilot fit."""

    def log(noise: Noise) -> float:
        lower, log_det = errors.root(noise)
        whitened = _whitened(lower, linear.jacobian)
        found = normal_equations(batch, state, whitened, noise.bump_sd).log_evidence
        return found - 0.5 * log_det + noise.log_prior() + errors.repeats(noise)

    middle = float(GROWTHS[len(GROWTHS) // 2])
    grid = [Noise(float(s), m, middle) for s in SIGMAS for m in JOINT.misfits]
    first = sorted(grid, key=log, reverse=True)[: JOINT.settings_kept // 2]
    every = [Noise(n.sigma, n.misfit, float(g)) for n in first for g in GROWTHS]
    return sorted(every, key=log, reverse=True)[: JOINT.settings_kept]
