"""Scaling laws: how a quantity measured at a few scales continues to larger ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.cells import BoolArray, IntArray

# Weak priors on the rms scatter of single scales about a law, beyond the error of estimation: with 3 to 6
# scales the data alone cannot tell a scatter of 0 from one of half an octave. Where basins of one variant
# differ in shape their optima scatter too, so the optimum's prior grows with the shape's misfit.
SCATTER_OCTAVES = 0.002
SCATTER_PER_MISFIT = 0.25  # octaves
SCATTER_LOG_CURVATURE = 0.05
SCATTER_NATS = 0.001
ALPHAS = np.exp(np.linspace(np.log(0.03), np.log(4.0), 60))
ALPHA_PRIOR = (np.log(0.5), 1.2)  # centre and sd of log alpha; weak, keeps thin data off the bounds
RATES = np.exp(np.linspace(np.log(0.15), np.log(4.0), 12))  # beta of the offset family
SHARES = np.concatenate([-np.geomspace(0.95, 0.02, 16), np.geomspace(0.02, 30.0, 24)])


@dataclass(frozen=True)
class LineFit:
    """y = coefficients @ basis(t), by generalised least squares with random scatter; B draws.

    Attributes:
        family: `const`, `power` or `offset`.
        parameters: of the family: (c,), (c, slope) or (log2 eta_inf, rate, share at the first scale).
        draws: of the parameters, shape [B, parameters].
        scatter: rms scatter of one scale about the law; scatter_draws of shape [B].
        log_likelihood: restricted, at its best scatter.
        origin: log2 of the scale at which t = 0.
        at_bound: whether the offset family's fit stopped at an end of its grid.
    """

    family: str
    parameters: FloatArray
    draws: FloatArray
    scatter: float
    scatter_draws: FloatArray
    log_likelihood: float
    origin: float
    at_bound: bool = False

    def at(self, scale: FloatArray | float) -> FloatArray:
        """The law itself, shape of `scale`."""
        return _evaluate(self.family, self.parameters, np.log2(scale) - self.origin)

    def draws_at(self, scale: float) -> FloatArray:
        """The law's draws at one scale, scatter not included, shape [B]."""
        return _evaluate(self.family, self.draws.T, np.log2(scale) - self.origin)

    def subset(self, index: IntArray) -> LineFit:
        """The same law with its draws resampled; the point estimate moves to their mean."""
        chosen = self.draws[index]
        return replace(
            self, parameters=chosen.mean(axis=0), draws=chosen, scatter_draws=self.scatter_draws[index]
        )


def _evaluate(family: str, parameters: FloatArray, t: FloatArray | float) -> FloatArray:
    if family == "const":
        return np.asarray(parameters[0] + 0.0 * t)
    if family == "power":
        return np.asarray(parameters[0] + parameters[1] * t)
    level, rate, share = parameters
    return np.asarray(level + np.log2(np.maximum(1.0 + share * np.exp2(-rate * t), 1e-6)))


def _scatter_grid(prior: float) -> tuple[FloatArray, FloatArray]:
    """Scatters and their log prior weights: half-Cauchy on a geometric grid, zero included."""
    grid = prior * np.concatenate([[0.0], np.geomspace(0.1, 30.0, 19)])
    width = np.gradient(grid)
    return grid, np.log(width) - np.log1p((grid / prior) ** 2)


def fit_line(
    t: FloatArray, y: FloatArray, y_draws: FloatArray, prior: float, family: str, rng: np.random.Generator
) -> LineFit:
    """Fits `const` or `power` with random scatter between scales.

    Arguments:
        t: log2 scale, shape [K].
        y: the quantity, in log units, shape [K].
        y_draws: its bootstrap draws, shape [B, K].
        prior: scale of the half-Cauchy prior on the scatter, units of y.
        family: `const` or `power`.
        rng: source of the scatter draws.
    """
    origin = float(t.mean())
    basis = np.ones((len(t), 1)) if family == "const" else np.stack([np.ones_like(t), t - origin], axis=1)
    covariance = np.atleast_2d(np.cov(y_draws.T)) + 1e-12 * np.eye(len(t))
    grid, log_prior = _scatter_grid(prior)
    total = covariance + grid[:, None, None] ** 2 * np.eye(len(t))
    inverse = np.linalg.inv(total)
    normal = basis.T @ inverse @ basis
    project = np.linalg.solve(normal, basis.T @ inverse)
    residual = y - (basis @ (project @ y)[..., None])[..., 0]
    chi2 = np.einsum("tk,tkl,tl->t", residual, inverse, residual)
    log_det = np.linalg.slogdet(total)[1]
    restricted = -0.5 * (chi2 + log_det + np.linalg.slogdet(normal)[1])
    weight = np.exp(restricted + log_prior - (restricted + log_prior).max())
    weight /= weight.sum()
    pick = rng.choice(len(grid), size=len(y_draws), p=weight)
    noisy = y_draws + grid[pick, None] * rng.standard_normal(y_draws.shape)
    draws = np.einsum("bpk,bk->bp", project[pick], noisy)
    return LineFit(
        family=family,
        parameters=np.asarray(weight @ (project @ y)),
        draws=draws,
        scatter=float(weight @ grid),
        scatter_draws=grid[pick],
        log_likelihood=float((-0.5 * (chi2 + log_det)).max()),
        origin=origin,
    )


def fit_offset(t: FloatArray, y: FloatArray, y_draws: FloatArray, line: LineFit) -> LineFit:
    """Fits eta*(n) = eta_inf + B n**-beta by a grid over beta and over B's share of eta_inf.

    The scatter is taken over from the power law's fit: with one parameter more there is less left of it.
    """
    origin = float(t[0])
    rate, share = (a.ravel() for a in np.meshgrid(RATES, SHARES, indexing="ij"))
    shape = np.log2(1.0 + share[:, None] * np.exp2(-rate[:, None] * (t - origin)))
    covariance = np.atleast_2d(np.cov(y_draws.T)) + (1e-6 + line.scatter**2) * np.eye(len(t))
    inverse = np.linalg.inv(covariance)
    total = inverse.sum()
    # The level eta_inf enters linearly: project it out once, for the point estimate and every draw alike.
    reduced = inverse - np.outer(inverse.sum(1), inverse.sum(0)) / total
    everything = np.vstack([y, y_draws])
    bent = shape @ reduced
    chi2 = (
        np.einsum("gk,gk->g", bent, shape)
        - 2 * everything @ bent.T
        + np.einsum("bk,kl,bl->b", everything, reduced, everything)[:, None]
    )
    penalty = 0.5 * np.log(rate) ** 2
    best = np.argmin(chi2 + penalty, axis=1)
    level = ((everything - shape[best]) @ inverse.sum(0)) / total
    parameters = np.stack([level, rate[best], share[best]], axis=1)
    log_det = np.linalg.slogdet(covariance)[1]
    return LineFit(
        family="offset",
        parameters=parameters[0],
        draws=parameters[1:],
        scatter=line.scatter,
        scatter_draws=line.scatter_draws,
        log_likelihood=float(-0.5 * (chi2[0, best[0]] + log_det)),
        origin=origin,
        at_bound=bool(parameters[0, 1] in RATES[[0, -1]] or parameters[0, 2] in SHARES[[0, -1]]),
    )


def fit_bend(
    t: FloatArray, y: FloatArray, y_draws: FloatArray, scatter: float, rng: np.random.Generator
) -> tuple[float, FloatArray] | None:
    """Second derivative of y in t by a quadratic through the optima, and its draws; needs 4 scales."""
    if len(t) < 4:
        return None
    basis = np.stack([np.ones_like(t), t - t.mean(), 0.5 * (t - t.mean()) ** 2], axis=1)
    inverse = np.linalg.inv(np.cov(y_draws.T) + (scatter**2 + 1e-12) * np.eye(len(t)))
    project = np.linalg.solve(basis.T @ inverse @ basis, basis.T @ inverse)[2]
    noisy = y_draws + scatter * rng.standard_normal(y_draws.shape)
    return float(project @ y), np.asarray(noisy @ project)


@dataclass(frozen=True)
class LossFit:
    """L*(n) = L_inf + A (n / n0)**-alpha, n0 the smallest scale; B draws.

    Attributes:
        parameters: (L_inf, A, alpha). draws: shape [B, 3].
        at_bound: True where a draw sits on a bound (L_inf = 0, A = 0 or alpha at an end), shape [B].
        point_at_bound: which bounds the point estimate sits on.
        scatter: rms scatter about the law, nats.
        origin: n0.
    """

    parameters: FloatArray
    draws: FloatArray
    at_bound: BoolArray
    point_at_bound: tuple[str, ...]
    scatter: float
    origin: float

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
        level, gain, alpha = self.parameters
        return np.asarray(level + gain * (scale / self.origin) ** -alpha)

    def draws_at(self, scale: float) -> FloatArray:
        """Draws of the law at one scale, nats, shape [B]."""
        level, gain, alpha = self.draws.T
        return np.asarray(level + gain * (scale / self.origin) ** -alpha)


def fit_loss(scale: FloatArray, y: FloatArray, y_draws: FloatArray, floor: bool = True) -> LossFit:
    """Fits the loss law to the point estimate and to every draw, by a grid over alpha.

    Arguments:
        scale: n, shape [K].
        y: L*, nats, shape [K].
        y_draws: shape [B, K].
        floor: hold L_inf >= 0.
    """
    covariance = np.atleast_2d(np.cov(y_draws.T))
    scatter = _loss_scatter(scale, y, covariance)
    inverse = np.linalg.inv(covariance + (scatter**2 + 1e-14) * np.eye(len(y)))
    rng = np.random.default_rng(len(y))
    noisy = y_draws + scatter * rng.standard_normal(y_draws.shape)
    everything = np.vstack([y, noisy])
    parameters, bound = _loss_grid(scale / scale[0], everything, inverse, floor)
    names = ("L_inf at 0", "A at 0", "alpha at an end")
    return LossFit(
        parameters=parameters[0],
        draws=parameters[1:],
        at_bound=bound[1:].any(axis=1),
        point_at_bound=tuple(n for n, hit in zip(names, bound[0], strict=True) if hit),
        scatter=scatter,
        origin=float(scale[0]),
    )


def _loss_scatter(scale: FloatArray, y: FloatArray, covariance: FloatArray) -> float:
    """Scatter about the best loss law that makes the residual as large as expected, shrunk to the prior."""
    freedom = len(y) - 3
    if freedom < 1:
        return SCATTER_NATS
    inverse = np.linalg.inv(covariance + 1e-14 * np.eye(len(y)))
    parameters, _ = _loss_grid(scale / scale[0], y[None], inverse, floor=True)
    level, gain, alpha = parameters[0]
    residual = y - level - gain * (scale / scale[0]) ** -alpha
    beyond = float(residual @ residual) / freedom - float(np.trace(covariance)) / len(y)
    return float(np.sqrt((3 * SCATTER_NATS**2 + freedom * max(beyond, 0.0)) / (3 + freedom)))


def _loss_grid(
    n: FloatArray, y: FloatArray, inverse: FloatArray, floor: bool
) -> tuple[FloatArray, BoolArray]:
    """Best (L_inf, A, alpha) of each row of y [R, K], and the bounds it sits on [R, 3]."""
    chi2 = _profile(n ** -ALPHAS[:, None], y, inverse, floor)[3] + _alpha_penalty(ALPHAS)
    best = np.argmin(chi2, axis=1)
    ends = (best == 0) | (best == len(ALPHAS) - 1)
    alpha = ALPHAS[best] * np.exp(_vertex(chi2, best) * np.log(ALPHAS[1] / ALPHAS[0]))
    level, gain, at_floor, _ = _solve_rows(n ** -alpha[:, None], y, inverse, floor)
    return np.stack([level, gain, alpha], axis=1), np.stack([at_floor, gain <= 0, ends], axis=1)


def _alpha_penalty(alpha: FloatArray) -> FloatArray:
    return np.asarray(((np.log(alpha) - ALPHA_PRIOR[0]) / ALPHA_PRIOR[1]) ** 2)


def _vertex(chi2: FloatArray, best: IntArray) -> FloatArray:
    """Offset of the parabola's vertex from the best grid point, in grid steps, [R]."""
    row, last = np.arange(len(chi2)), chi2.shape[1] - 1
    left, right = chi2[row, np.maximum(best - 1, 0)], chi2[row, np.minimum(best + 1, last)]
    bend = left + right - 2 * chi2[row, best]
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    return np.where((best == 0) | (best == last), 0.0, np.clip(shift, -0.5, 0.5))


def _profile(
    power: FloatArray, y: FloatArray, inverse: FloatArray, floor: bool
) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
    """Best L_inf and A for every row of y [R, K] and every alpha [G, K], the bounds hit, chi2; [R, G] each."""
    w1, wp = inverse.sum(axis=0), power @ inverse
    sums = (w1.sum(), power @ w1, np.einsum("gk,gk->g", wp, power), (y @ w1)[:, None], y @ wp.T)
    return _two_parameters(*sums, np.einsum("rk,kl,rl->r", y, inverse, y)[:, None], floor)


def _solve_rows(
    power: FloatArray, y: FloatArray, inverse: FloatArray, floor: bool
) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
    """As `_profile`, each row of y with its own alpha, [R] each."""
    w1, wp = inverse.sum(axis=0), power @ inverse
    sums = (w1.sum(), power @ w1, np.einsum("rk,rk->r", wp, power), y @ w1, np.einsum("rk,rk->r", wp, y))
    return _two_parameters(*sums, np.einsum("rk,kl,rl->r", y, inverse, y), floor)


def _two_parameters(
    s11: float,
    s1p: FloatArray,
    spp: FloatArray,
    y1: FloatArray,
    yp: FloatArray,
    total: FloatArray,
    floor: bool,
) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
    """Least squares of y on (1, power) from its weighted sums, with L_inf >= 0 and A >= 0."""
    det = s11 * spp - s1p**2
    level = (y1 * spp - yp * s1p) / det
    gain = (yp * s11 - y1 * s1p) / det
    chi2 = total - level * y1 - gain * yp
    at_floor = (level < 0) & floor
    gain = np.where(at_floor, yp / spp, gain)
    level = np.where(at_floor, 0.0, level)
    chi2 = np.where(at_floor, total - yp**2 / spp, chi2)
    rising = gain <= 0
    level = np.where(rising, y1 / s11, level)
    chi2 = np.where(rising, total - y1**2 / s11, chi2)
    return level, np.where(rising, 0.0, gain), at_floor, chi2
