"""The loss at the optimum over several axes: L_inf plus a power law of every axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.priors import LAW
from hptransfer.sweep.table import BoolArray, FloatArray

STEPS = 40  # of Gauss and Newton, damped
LEAST_VARIANCE = 1e-14  # nats squared; keeps covariances of draws invertible
SIZE_SD = 3.0  # sd of the log of L_inf and of every gain about the losses' range: wide
NO_GAIN = 0.02  # share of the losses' range below which an axis is taken to gain nothing
ENDS = (float(np.log(LAW.alpha_ends[0])), float(np.log(LAW.alpha_ends[1])))


@dataclass(frozen=True)
class LossSurface:
    """L* = L_inf + sum_i A_i (n_i / n0_i)**-alpha_i, n0 the smallest value of each axis; F axes, B draws."""

    parameters: FloatArray  # logs of L_inf, of A_i and of alpha_i, [1 + 2 F]
    draws: FloatArray  # of them, [B, 1 + 2 F]
    scatter: float  # rms scatter of a point about the law, nats
    start: FloatArray  # log2 n0, [F]
    gains: BoolArray  # whether the loss falls with each axis, [F]

    def at(self, z: FloatArray) -> FloatArray:
        """The law at places z [P, F] of log2 n, [P]."""
        return np.asarray(_surface(self.parameters[None], z - self.start)[0])

    def draws_at(self, z: FloatArray) -> FloatArray:
        """Draws of the law there, [B, P]."""
        return _surface(self.draws, z - self.start)

    def alpha(self, i: int) -> tuple[float, FloatArray]:
        """Exponent along an axis and its draws; NaN where the loss does not fall with it."""
        at = 1 + len(self.start) + i
        if not self.gains[i]:
            return float("nan"), np.full(len(self.draws), np.nan)
        return float(np.exp(self.parameters[at])), np.exp(self.draws[:, at])

    def along(self, direction: FloatArray, z: FloatArray) -> tuple[float, FloatArray]:
        """Exponent by which the gap to L_inf falls along a direction [F], at a place z [F]; and its draws."""

        def exponent(parameters: FloatArray) -> FloatArray:
            _, gain, alpha = _parts(parameters)
            gap = np.where(self.gains, gain * np.exp2(-alpha * (z - self.start)), 0.0)
            with np.errstate(invalid="ignore"):
                return np.asarray((gap * alpha * direction).sum(axis=1) / gap.sum(axis=1))

        return float(exponent(self.parameters[None])[0]), exponent(self.draws)


def fit_loss_surface(z: FloatArray, y: FloatArray, y_draws: FloatArray) -> LossSurface:
    """Fits the loss law to the estimates y [K] at z [K, F] and to every draw [B, K]."""
    start = z.min(axis=0)
    errors = np.atleast_2d(np.cov(y_draws.T))
    scatter = 0.0
    for _ in range(2):  # the scatter about a first fit weighs the second
        single = max(scatter, LAW.loss_scatter) ** 2 + LEAST_VARIANCE
        inverse = np.asarray(np.linalg.inv(errors + single * np.eye(len(y))), dtype=np.float64)
        parameters = _solved(z - start, y[None], inverse, _first(z - start, y))
        residual = y - _surface(parameters, z - start)[0]
        scatter = _scatter(residual, errors, 1 + 2 * z.shape[1])
    rng = np.random.default_rng(len(y))
    noisy = y_draws + scatter * rng.standard_normal(y_draws.shape)
    draws = _solved(z - start, noisy, inverse, np.repeat(parameters, len(noisy), axis=0))
    _, gain, alpha = _parts(parameters)
    won = gain[0] * (1.0 - np.exp2(-alpha[0] * np.ptp(z, axis=0)))
    return LossSurface(parameters[0], draws, scatter, start, won > NO_GAIN * max(float(np.ptp(y)), 1e-12))


def _scatter(residual: FloatArray, errors: FloatArray, parameters: int) -> float:
    """Scatter about the law, nats, shrunk to the prior."""
    freedom = len(residual) - parameters
    prior, weight = LAW.loss_scatter, LAW.loss_scatter_weight
    if freedom < 1:
        return prior
    beyond = float(residual @ residual) / freedom - float(np.trace(errors)) / len(residual)
    return float(np.sqrt((weight * prior**2 + freedom * max(beyond, 0.0)) / (weight + freedom)))


def _parts(parameters: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """L_inf [R], gains [R, F] and exponents [R, F] from their logs [R, 1 + 2 F]."""
    axes = parameters.shape[1] // 2
    whole = np.exp(parameters)
    return whole[:, 0], whole[:, 1 : 1 + axes], whole[:, 1 + axes :]


def _surface(parameters: FloatArray, away: FloatArray) -> FloatArray:
    """The law of each row of parameters [R, 1 + 2 F] at places [P, F], log2 from the smallest, [R, P]."""
    floor, gain, alpha = _parts(parameters)
    falls = gain[:, None] * np.exp2(-alpha[:, None] * away)
    return np.asarray(floor[:, None] + falls.sum(axis=2))


def _first(away: FloatArray, y: FloatArray) -> FloatArray:
    """A place to start from, and the middle of the weak prior, [1, 1 + 2 F]."""
    axes, spread = away.shape[1], max(float(np.ptp(y)), 1e-6)
    floor = max(float(y.min()) - spread, 0.1 * abs(float(y.min())), 1e-6)
    middle = np.concatenate([[floor], np.full(axes, spread), np.full(axes, LAW.alpha_median)])
    return np.asarray(np.log(middle)[None])


def _solved(away: FloatArray, y: FloatArray, inverse: FloatArray, start: FloatArray) -> FloatArray:
    """Parameters of each row of y [R, K] by damped Gauss-Newton (Levenberg-Marquardt) with a weak prior."""
    axes = away.shape[1]
    middle = _first(away, y.mean(axis=0))[0]
    precision = np.diag(np.concatenate([np.full(1 + axes, SIZE_SD**-2), np.full(axes, LAW.alpha_log_sd**-2)]))
    at, damping = start.copy(), np.full(len(y), 1e-3)
    chi2 = _chi2(at, away, y, inverse, middle, precision)
    for _ in range(STEPS):
        jacobian = _jacobian(at, away)  # [R, K, P]
        weighted = inverse @ jacobian
        turned = np.swapaxes(weighted, 1, 2)  # [R, P, K]
        gram = turned @ jacobian + precision
        pull = (turned @ (y - _surface(at, away))[..., None])[..., 0] - (at - middle) @ precision
        scale = damping[:, None, None] * np.einsum("rpp->rp", gram)[:, :, None] * np.eye(gram.shape[1])
        step = np.linalg.solve(gram + scale, pull[..., None])[..., 0]
        tried = at + np.clip(step, -1.0, 1.0)
        tried[:, 1 + axes :] = np.clip(tried[:, 1 + axes :], *ENDS)
        now = _chi2(tried, away, y, inverse, middle, precision)
        better = now <= chi2
        at = np.where(better[:, None], tried, at)
        settled = (chi2 - now < 1e-6) & better
        chi2, damping = np.where(better, now, chi2), np.where(better, damping / 4, damping * 4)
        if settled.all():
            break
    return at


def _chi2(
    at: FloatArray,
    away: FloatArray,
    y: FloatArray,
    inverse: FloatArray,
    middle: FloatArray,
    precision: FloatArray,
) -> FloatArray:
    residual, off = y - _surface(at, away), at - middle
    return np.asarray(((residual @ inverse) * residual).sum(axis=1) + ((off @ precision) * off).sum(axis=1))


def _jacobian(at: FloatArray, away: FloatArray) -> FloatArray:
    """Derivatives of the law in the logs of its parameters, [R, K, 1 + 2 F]."""
    floor, gain, alpha = _parts(at)
    falls = gain[:, None] * np.exp2(-alpha[:, None] * away)  # [R, K, F]
    slopes = -falls * alpha[:, None] * away * np.log(2.0)
    level = np.broadcast_to(floor[:, None, None], (*falls.shape[:2], 1))
    return np.concatenate([level, falls, slopes], axis=2)
