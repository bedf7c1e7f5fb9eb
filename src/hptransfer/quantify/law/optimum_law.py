"""Scaling laws: how a quantity measured at a few scales continues to larger ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.intervals import sample_settings
from hptransfer.quantify.law.least_squares import solve
from hptransfer.quantify.law.scatter import LEAST_VARIANCE, Scatters, SizePrior, departures
from hptransfer.quantify.law.siblings import TablePrior
from hptransfer.sweep.table import FloatArray, IntArray

# The offset family's grid: beta, and B / eta_inf at the first scale (above -1: eta stays positive).
RATES = np.exp(np.linspace(np.log(0.15), np.log(4.0), 17))
FRACTIONS = np.concatenate([-np.geomspace(0.95, 0.03, 10), np.geomspace(0.03, 30.0, 15)])
LEAST_ETA = 1e-6  # of eta_inf; keeps the logarithm of the offset family finite
LEAST_OFFSET_VARIANCE = 1e-6  # likewise for the offset family, whose grid is coarse


@dataclass(frozen=True)
class LineFit:
    """y = coefficients @ basis(t), by generalised least squares with random scatter; B draws."""

    family: str  # `const`, `power` or `offset`
    # Of the family: (c,), (c, slope) or (log2 eta_inf, rate, B / eta_inf at the first scale).
    parameters: FloatArray
    draws: FloatArray  # of the parameters, [B, parameters]
    scatter: float  # rms scatter of one scale about the law
    scatter_draws: FloatArray  # of it, [B]
    wander_draws: FloatArray  # sd of the law's turning, per root of an octave, [B]
    off: IntArray  # which scale each draw takes to lie off the law altogether, -1 for none, [B]
    log_likelihood: float  # restricted, at its best scatter, of a law that does not turn
    evidence: float  # log probability of the optima given the family
    origin: float  # log2 of the scale at which t = 0
    at_bound: bool = False  # whether the offset family's fit stopped at an end of its grid

    @property
    def flags(self) -> tuple[str, ...]:
        """The warning that the fit sits on a bound."""
        return ("at_bound",) if self.at_bound else ()

    def at(self, scale: FloatArray | float) -> FloatArray:
        """The law itself, shape of `scale`."""
        return _evaluate(self.family, self.parameters, np.log2(scale) - self.origin)

    def draws_at(self, scale: FloatArray | float) -> FloatArray:
        """The law's draws, scatter not included, shape [B], or [P, B] for P scales."""
        t = np.log2(np.asarray(scale, dtype=np.float64)) - self.origin
        return _evaluate(self.family, self.draws.T, t[..., None] if t.ndim else t)

    def subset(self, index: IntArray) -> LineFit:
        """The same law with its draws resampled; the point estimate moves to their mean."""
        chosen = self.draws[index]
        return replace(
            self,
            parameters=chosen.mean(axis=0),
            draws=chosen,
            scatter_draws=self.scatter_draws[index],
            wander_draws=self.wander_draws[index],
            off=self.off[index],
        )


def _evaluate(family: str, parameters: FloatArray, t: FloatArray | float) -> FloatArray:
    """The law of a family at `t`, log2 scale less the law's origin; parameters [P] or [P, B]."""
    if family == "const":
        return np.asarray(parameters[0] + 0.0 * t)
    if family == "power":
        return np.asarray(parameters[0] + parameters[1] * t)
    log_eta_inf, rate, fraction = parameters
    factor = np.maximum(1.0 + fraction * np.exp2(-rate * t), LEAST_ETA)
    return np.asarray(log_eta_inf + np.log2(factor))


def fit_line(
    y: FloatArray,
    y_draws: FloatArray,
    every: Scatters,
    family: str,
    rng: np.random.Generator,
    others: TablePrior | None = None,
) -> LineFit:
    """Fits `const` or `power` to a quantity y [K], in log units, at the scales of its departures.

    Generalised least squares under every departure thought of for the quantity's draws [B, K], averaged by
    their evidence. Nothing is known of the level beforehand, and of the slope what `others` say; without it
    nothing, so that another choice of coordinates changes the slope by what it must. For the evidence an
    unknown slope counts as one of `LAW.slope_sd`.
    """
    t = every.t
    origin = float(t.mean())
    basis = np.ones((len(t), 1)) if family == "const" else np.stack([np.ones_like(t), t - origin], axis=1)
    parts, shares = [solve(basis, y, every)], [1.0]
    if family == "power" and others is not None:
        parts.append(solve(basis, y, every, (others.slope, others.sd)))
        shares = [1.0 - others.share, others.share]
    log = np.concatenate(
        [np.log(share) + every.log_prior + part.likelihood for share, part in zip(shares, parts, strict=True)]
    )
    weight = np.exp(log - log.max())
    evidence = float(np.log(weight.sum()) + log.max())
    weight /= weight.sum()
    chosen = sample_settings(weight, rng.random(len(y_draws)))
    part, setting = np.divmod(chosen, len(every.size))
    sizes = (every.size[setting], every.wander[setting], every.off[setting])
    noisy = y_draws + departures(*sizes, np.diff(t), rng)
    project = np.concatenate([part.project for part in parts])
    draws = np.einsum("bpk,bk->bp", project[chosen], noisy)
    points = np.concatenate([part.points for part in parts])
    if len(parts) > 1 and others is not None:
        by_prior = others.slope + others.sd * rng.standard_normal(len(draws))
        draws = draws + np.where(part == 1, by_prior, 0.0)[:, None] * parts[1].pull[setting]
    law = (every.off < 0) & (every.wander == 0)
    return LineFit(
        family=family,
        parameters=np.asarray(weight @ points),
        draws=draws,
        scatter=float(weight @ np.tile(every.size, len(parts))),
        scatter_draws=sizes[0],
        wander_draws=sizes[1],
        off=sizes[2],
        log_likelihood=float((-0.5 * (parts[0].chi2 + every.log_det))[law].max()),
        evidence=evidence,
        origin=origin,
    )


def fit_offset(t: FloatArray, y: FloatArray, y_draws: FloatArray, line: LineFit, prior: SizePrior) -> LineFit:
    """Fits eta*(n) = eta_inf + B n**-beta by a grid over beta and over B / eta_inf.

    The scatter is the likeliest about a first fit, and never more than about the line: with one parameter
    more there is less left of it. Of log2 eta* y [K] at log2 scales t [K]; `line` is the power law's fit.
    """
    origin = float(t[0])
    rate, fraction = (a.ravel() for a in np.meshgrid(RATES, FRACTIONS, indexing="ij"))
    shape = np.log2(1.0 + fraction[:, None] * np.exp2(-rate[:, None] * (t - origin)))  # [settings, K]
    errors = np.atleast_2d(np.cov(y_draws.T)) + LEAST_OFFSET_VARIANCE * np.eye(len(t))
    first, *_ = _nearest(errors + prior.median**2 * np.eye(len(t)), y[None], shape, rate)
    residual = y - shape[first[0]]
    scatter = min(_likeliest(residual - residual.mean(), errors, prior), line.scatter)
    covariance = errors + scatter**2 * np.eye(len(t))
    best, level, chi2 = _nearest(covariance, np.vstack([y, y_draws]), shape, rate)
    parameters = np.stack([level, rate[best], fraction[best]], axis=1)
    log_det = np.linalg.slogdet(covariance)[1]
    return LineFit(
        family="offset",
        parameters=parameters[0],
        draws=parameters[1:],
        scatter=scatter,
        scatter_draws=np.minimum(line.scatter_draws, scatter),
        wander_draws=line.wander_draws,
        off=line.off,
        log_likelihood=float(-0.5 * (chi2 + log_det)),
        evidence=line.evidence,
        origin=origin,
        at_bound=bool(parameters[0, 1] in RATES[[0, -1]] or parameters[0, 2] in FRACTIONS[[0, -1]]),
    )


def _nearest(
    covariance: FloatArray, y: FloatArray, shape: FloatArray, rate: FloatArray
) -> tuple[IntArray, FloatArray, float]:
    """Best setting of the offset's grid for each row of y [R, K], its log2 eta_inf, and the first row's chi2.

    `shape` [settings, K] is the law less log2 eta_inf, `covariance` that of the optima about their law.
    """
    inverse = np.linalg.inv(covariance)
    total = inverse.sum()
    # The level eta_inf enters linearly: project it out once, for the point estimate and every draw alike.
    reduced = inverse - np.outer(inverse.sum(1), inverse.sum(0)) / total
    bent = shape @ reduced
    fixed = np.einsum("gk,gk->g", bent, shape)
    # chi2 less its part that is the same for every setting; single precision is enough to rank them.
    rows = np.concatenate([y - y[0].mean(), np.ones((len(y), 1))], axis=1, dtype=np.float32)
    own = (fixed + 0.5 * np.log(rate) ** 2)[:, None]
    best = np.argmin(rows @ np.concatenate([-2 * bent, own], axis=1, dtype=np.float32).T, axis=1)
    chi2 = float(fixed[best[0]] - 2 * y[0] @ bent[best[0]] + y[0] @ reduced @ y[0])
    return best, ((y - shape[best]) @ inverse.sum(0)) / total, chi2


def _likeliest(residual: FloatArray, errors: FloatArray, prior: SizePrior) -> float:
    """The scatter of highest posterior density given residuals [K], octaves, and the optima's covariance."""
    grid, log_prior = prior.grid()
    total = errors + grid[:, None, None] ** 2 * np.eye(len(residual))
    chi2 = np.einsum("k,tkl,l->t", residual, np.linalg.inv(total), residual)
    return float(grid[np.argmax(log_prior - 0.5 * (chi2 + np.linalg.slogdet(total)[1]))])


def fit_bend(
    t: FloatArray, y: FloatArray, y_draws: FloatArray, scatter: float, rng: np.random.Generator
) -> tuple[float, FloatArray] | None:
    """Second derivative of log2 eta* in t = log2 n by a quadratic through the optima, and its draws [B].

    None with fewer than 4 scales; `scatter` is of one scale about the law, octaves.
    """
    if len(t) < 4:
        return None
    basis = np.stack([np.ones_like(t), t - t.mean(), 0.5 * (t - t.mean()) ** 2], axis=1)
    inverse = np.linalg.inv(np.cov(y_draws.T) + (scatter**2 + LEAST_VARIANCE) * np.eye(len(t)))
    project = np.linalg.solve(basis.T @ inverse @ basis, basis.T @ inverse)[2]
    noisy = y_draws + scatter * rng.standard_normal(y_draws.shape)
    return float(project @ y), np.asarray(noisy @ project)
