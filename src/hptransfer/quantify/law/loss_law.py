"""The loss law: how the loss at the optimum falls with scale, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.priors import LAW
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

ALPHAS = np.exp(np.linspace(np.log(LAW.alpha_ends[0]), np.log(LAW.alpha_ends[1]), 40))
LEAST_VARIANCE = 1e-14  # nats squared; keeps covariances of draws invertible
PARAMETERS = 3  # L_inf, A, alpha
SINGLE_MOST = 1e20  # squares of losses beyond it, over such a variance, may overflow in single precision


@dataclass(frozen=True)
class LossFit:
    """L*(n) = L_inf + A (n / n0)**-alpha, n0 the smallest scale; B draws."""

    parameters: FloatArray  # (L_inf, A, alpha), [3]
    draws: FloatArray  # of them, [B, 3]
    point_at_bound: tuple[str, ...]  # bounds that the point estimate sits on
    scatter: float  # rms scatter about the law, nats
    origin: float  # n0

    @property
    def flags(self) -> tuple[str, ...]:
        """The warning that the point estimate sits on a bound."""
        return ("at_bound",) if self.point_at_bound else ()

    @property
    def alpha(self) -> float:
        """The exponent; NaN where the loss does not fall with scale, so that there is none."""
        return float(self.parameters[2]) if self.parameters[1] > 0 else float("nan")

    @property
    def alpha_draws(self) -> FloatArray:
        """Draws of the exponent, NaN likewise, shape [B]."""
        return np.where(self.draws[:, 1] > 0, self.draws[:, 2], np.nan)

    def at(self, scale: FloatArray | float) -> FloatArray:
        """The law itself, nats, shape of `scale`."""
        l_inf, gain, alpha = self.parameters
        return np.asarray(l_inf + gain * (scale / self.origin) ** -alpha)

    def draws_at(self, scale: FloatArray | float) -> FloatArray:
        """Draws of the law, nats, shape [B], or [P, B] for P scales."""
        l_inf, gain, alpha = self.draws.T
        ratio = np.asarray(scale, dtype=np.float64) / self.origin
        return np.asarray(l_inf + gain * (ratio[..., None] if ratio.ndim else ratio) ** -alpha)


def fit_loss(scale: FloatArray, y: FloatArray, y_draws: FloatArray) -> LossFit:
    """Fits the loss law to the point estimate and to every draw, by a grid over alpha.

    Args:
        scale: n, shape [K].
        y: L*, nats, shape [K].
        y_draws: shape [B, K].
    """
    covariance = np.atleast_2d(np.cov(y_draws.T))
    scatter = _loss_scatter(scale, y, covariance)
    inverse, _ = batched_linalg.inverse(covariance + (scatter**2 + LEAST_VARIANCE) * np.eye(len(y)))
    rng = np.random.default_rng(len(y))
    noisy = y_draws + scatter * rng.standard_normal(y_draws.shape)
    everything = np.vstack([y, noisy])
    parameters, bound = _loss_grid(scale / scale[0], everything, inverse)
    names = ("L_inf at 0", "A at 0", "alpha at an end")
    return LossFit(
        parameters=parameters[0],
        draws=parameters[1:],
        point_at_bound=tuple(n for n, hit in zip(names, bound[0], strict=True) if hit),
        scatter=scatter,
        origin=float(scale[0]),
    )


def _loss_scatter(scale: FloatArray, y: FloatArray, covariance: FloatArray) -> float:
    """Scatter about the best loss law that makes the residual as large as expected, shrunk to the prior.

    `covariance` [K, K] is of the errors of the losses y [K].
    """
    freedom, prior, weight = len(y) - PARAMETERS, LAW.loss_scatter, LAW.loss_scatter_weight
    if freedom < 1:
        return prior
    inverse, _ = batched_linalg.inverse(covariance + LEAST_VARIANCE * np.eye(len(y)))
    parameters, _ = _loss_grid(scale / scale[0], y[None], inverse)
    l_inf, gain, alpha = parameters[0]
    residual = y - l_inf - gain * (scale / scale[0]) ** -alpha
    beyond = float(residual @ residual) / freedom - float(np.trace(covariance)) / len(y)
    return float(np.sqrt((weight * prior**2 + freedom * max(beyond, 0.0)) / (weight + freedom)))


def _loss_grid(n: FloatArray, y: FloatArray, inverse: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Best (L_inf, A, alpha) of each row of y [R, K], and the bounds it sits on [R, 3].

    `n` is n / n0, `inverse` of the covariance of a row.
    """
    chi2 = _profile(n ** -ALPHAS[:, None], y, inverse)
    chi2 += ((np.log(ALPHAS) - np.log(LAW.alpha_median)) / LAW.alpha_log_sd) ** 2
    best = np.argmin(chi2, axis=1)
    ends = (best == 0) | (best == len(ALPHAS) - 1)
    alpha = ALPHAS[best] * np.exp(_vertex(chi2, best) * np.log(ALPHAS[1] / ALPHAS[0]))
    l_inf, gain, at_floor = _solve_rows(n ** -alpha[:, None], y, inverse)
    return np.stack([l_inf, gain, alpha], axis=1), np.stack([at_floor, gain <= 0, ends], axis=1)


def _vertex(chi2: FloatArray, best: IntArray) -> FloatArray:
    """Offset of the parabola's vertex from the best grid point, in grid steps, [R]."""
    row, last = np.arange(len(chi2)), chi2.shape[1] - 1
    left, right = chi2[row, np.maximum(best - 1, 0)], chi2[row, np.minimum(best + 1, last)]
    bend = left + right - 2 * chi2[row, best]
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    return np.where((best == 0) | (best == last), 0.0, np.clip(shift, -0.5, 0.5))


def _profile(power: FloatArray, y: FloatArray, inverse: FloatArray) -> FloatArray:
    """Least chi2 over L_inf and A, both at least 0, of each row of y [R, K] at every alpha; [R, G].

    At a given alpha the free optimum is linear in y and its chi2 quadratic, in the same forms for all rows:
    forms in the distance from the first row, exact enough in single precision. A bound costs the square of
    what the free optimum is beyond it, in units of its error; losses are not negative, so that it is beyond
    one bound at most. `power` is (n / n0)**-alpha, [G, K]; the rest as in `_loss_grid`.
    """
    ones, powers = inverse.sum(axis=0), power @ inverse
    s11, s1p, spp = ones.sum(), (power @ ones)[:, None], np.sum(powers * power, axis=1, keepdims=True)
    det = s11 * spp - s1p**2
    to_l_inf, to_gain = (spp * ones - s1p * powers) / det, (s11 * powers - s1p * ones) / det
    explained = ones[:, None] * to_l_inf[:, None] + powers[..., None] * to_gain[:, None]
    form = inverse - 0.5 * (explained + np.swapaxes(explained, -1, -2))
    away, (i, j) = y - y[0], np.triu_indices(y.shape[1])
    pairs = away[:, i] * away[:, j] * np.where(i == j, 1.0, 2.0)
    enough: Any = np.float32 if pairs.max(initial=0.0) < SINGLE_MOST else np.float64
    linear = np.concatenate([np.ones((len(y), 1)), away], axis=1, dtype=enough)

    def along(at_first: FloatArray, slope: FloatArray) -> FloatArray:
        return np.asarray(linear @ np.concatenate([at_first[:, None], slope], axis=1, dtype=enough).T)

    first = form @ y[0]
    out = along(first @ y[0], 2 * first)
    out += pairs.astype(enough) @ form[:, i, j].astype(enough).T
    for to, precision in ((to_gain, det / s11), (to_l_inf, det / spp)):
        root = np.sqrt(precision)  # of one over the error's variance
        out += np.square(np.minimum(along(root[:, 0] * (to @ y[0]), root * to), 0.0))
    return np.asarray(out)


def _solve_rows(
    power: FloatArray, y: FloatArray, inverse: FloatArray
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Best L_inf >= 0 and A >= 0 of each row of y [R, K] at its own alpha, and whether L_inf is 0.

    Arguments as for `_profile`, `power` [R, K].
    """
    ones, powers = inverse.sum(axis=0), power @ inverse
    s11, s1p, spp = ones.sum(), power @ ones, np.sum(powers * power, axis=1)
    y1, yp = y @ ones, np.sum(powers * y, axis=1)
    det = s11 * spp - s1p**2
    l_inf, gain = (y1 * spp - yp * s1p) / det, (yp * s11 - y1 * s1p) / det
    at_floor = l_inf < 0
    gain, l_inf = np.where(at_floor, yp / spp, gain), np.where(at_floor, 0.0, l_inf)
    return np.where(gain <= 0, y1 / s11, l_inf), np.maximum(gain, 0.0), at_floor
