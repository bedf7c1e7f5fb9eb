"""The three metrics: E (quality of the fit), kappa (robustness to an extrapolation error), R(inf)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.parametrization.coordinates import COORDINATES, coordinate_exponent
from hptransfer.parametrization.optimizers import Family
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.model import PRECISIONS, PRIOR_MEAN
from hptransfer.quantify.basin.shape import excess, features
from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.law.laws import MIN_SCALES, Laws
from hptransfer.quantify.law.loss_law import LossFit, fit_loss
from hptransfer.quantify.result import Estimate
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import FloatArray

LN2 = float(np.log(2.0))
SHAPE_STEPS = 8
SETTLED = 1e-6  # share of the sum of squares that a step must still win
ROUNDING = 1e-9  # nats
Part = tuple[Estimate, FloatArray | None]


def exponents(laws: Laws) -> dict[str, tuple[float, FloatArray]]:
    """alpha, gamma, drift and beta of each family, with draws; all d log / d log except the offset's rate."""
    slope, slopes = laws.families["power"].parameters[1], laws.families["power"].draws[:, 1]
    bend, bends = laws.log_curvature.parameters[1] / LN2, laws.log_curvature.draws[:, 1] / LN2
    # A law without gain has no exponent: those draws are left out.
    out = {
        "alpha": (laws.loss.alpha, laws.loss.alpha_draws),
        "drift": (slope, slopes),
        "beta": (-slope, -slopes),
        # H = h / (eta* ln 2)**2, so its exponent is that of h less twice that of eta*.
        "gamma": (bend - 2 * slope, bends - 2 * slopes),
    }
    if "offset" in laws.families:
        offset = laws.families["offset"]
        out["beta_offset"] = (offset.parameters[1], offset.draws[:, 1])
    return {name: (float(value), draws) for name, (value, draws) in out.items()}


def kappa(parts: dict[str, tuple[float, FloatArray]], beta: str) -> tuple[float, FloatArray]:
    """Kappa = alpha - 2 beta + gamma (code, arXiv:2605.21486), with the beta of the family named."""
    alpha, gamma, b = parts["alpha"], parts["gamma"], parts[beta]
    return alpha[0] - 2 * b[0] + gamma[0], alpha[1] - 2 * b[1] + gamma[1]


def surface_residuals(basins: Basins, laws: Laws, threshold: float) -> FloatArray:
    """Residuals of the joint surface over cells whose loss is at most `threshold` x best of the scale.

    Optimum, loss and curvature are on their laws. The basins' shape was fitted near the optima; here it is
    refitted by plain least squares to all these cells, for E is their mean squared residual.
    """
    cells = basins.cells
    u, rise, log_curvature = [], [], []
    for k in np.flatnonzero(basins.fitted):
        loss = cells.loss[k]
        best = np.nanmin(loss)
        keep = cells.usable[k] & (loss <= best + (threshold - 1.0) * abs(best))
        u.append(cells.x[k, keep] - laws.hp.at(cells.scale[k]))
        rise.append(loss[keep] - laws.loss.at(cells.scale[k]))
        log_curvature.append(np.full(int(keep.sum()), laws.log_curvature.at(cells.scale[k])))
    return _refitted(np.concatenate(u), np.concatenate(rise), np.concatenate(log_curvature), basins)


def _refitted(u: FloatArray, rise: FloatArray, log_curvature: FloatArray, basins: Basins) -> FloatArray:
    """Residuals of `rise` after a few damped Gauss-Newton steps on the shape, from the fitted one."""
    f = features(u)
    prior = PRECISIONS[-1, 2:, 2:] * max(basins.noise, 1e-4) ** 2
    shape, best = basins.shape.copy(), np.full(len(u), np.inf)
    for _ in range(SHAPE_STEPS):
        model = excess(u, log_curvature, shape)
        residual = rise - model
        before, now = best @ best, residual @ residual
        if now < before:
            best = residual
        if now > (1.0 - SETTLED) * before:
            break
        jacobian = model[:, None] * f
        pull = prior @ (shape - PRIOR_MEAN[2:])
        step = np.linalg.solve(jacobian.T @ jacobian + prior, jacobian.T @ residual - pull)
        shape = shape + np.clip(step, -0.5, 0.5)
    return best


def fit_error(residuals: FloatArray, draws: int, rng: np.random.Generator) -> tuple[float, FloatArray]:
    """E: mean squared residual of the joint surface, nats squared; draws by resampling cells."""
    square = residuals**2
    pick = rng.integers(0, len(square), size=(draws, len(square)))
    return float(square.mean()), square[pick].mean(axis=1)


def hp_error(basins: Basins, laws: Laws) -> tuple[float, FloatArray]:
    """E_hp: rms distance of the scales' optima from the optimum's law, octaves."""
    scales = np.flatnonzero(basins.fitted)
    scale = basins.cells.scale
    law = np.stack([laws.hp.draws_at(scale[k]) for k in scales], axis=1)
    value = np.sqrt(np.mean((basins.x[scales] - laws.hp.at(scale[scales])) ** 2))
    draws = np.sqrt(np.mean((basins.x_draws[laws.index][:, scales] - law) ** 2, axis=1))
    return float(value), draws


@dataclass(frozen=True)
class Reference:
    """What R(n) and R(inf) are measured from.

    Attributes:
        scale: n, shape [K]. loss: best loss there, shape [K]. draws: shape [B, K].
        law: the loss law through them; None with fewer than 3 scales, or before references are merged.
    """

    scale: FloatArray
    loss: FloatArray
    draws: FloatArray
    law: LossFit | None = None


def reference(all_basins: list[Basins]) -> Reference | None:
    """At each scale the best loss of any of these variants, no law yet; None where none has any."""
    known = [b for b in all_basins if b.fitted.any()]
    if not known:
        return None
    scales = np.unique(np.concatenate([b.cells.scale[b.fitted] for b in known]))
    best = np.full(len(scales), np.inf)
    draws = np.full((len(known[0].x_draws), len(scales)), np.inf)
    for basins in known:
        at = np.searchsorted(scales, basins.cells.scale[basins.fitted])
        best[at] = np.minimum(best[at], basins.loss[basins.fitted])
        draws[:, at] = np.minimum(draws[:, at], basins.loss_draws[:, basins.fitted])
    return Reference(scales, best, draws)


def merged(parts: Sequence[Reference | None]) -> Reference | None:
    """The best of several references, with the law through it."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    scales = np.unique(np.concatenate([part.scale for part in known]))
    best = np.full(len(scales), np.inf)
    draws = np.full((len(known[0].draws), len(scales)), np.inf)
    for part in known:
        at = np.searchsorted(scales, part.scale)
        best[at] = np.minimum(best[at], part.loss)
        draws[:, at] = np.minimum(draws[:, at], part.draws)
    return Reference(
        scales, best, draws, fit_loss(scales, best, draws) if len(scales) >= MIN_SCALES else None
    )


def penalties(basins: Basins, laws: Laws | None, against: Reference | None, level: float) -> dict[str, Part]:
    """R_n at the largest scale both have, which needs no law, and R_inf, which needs both laws."""
    out: dict[str, Part] = {"R_n": (missing("no_optimum"), None), "R_inf": (missing("no_laws"), None)}
    if against is None:
        return out
    both = np.flatnonzero(basins.fitted & np.isin(basins.cells.scale, against.scale))
    if len(both):
        k = int(both[-1])
        at = int(np.searchsorted(against.scale, basins.cells.scale[k]))
        draws = basins.loss_draws[:, k] - against.draws[:, at]
        flags = () if k == len(basins.fitted) - 1 else ("not_at_largest_scale",)
        out["R_n"] = (estimate(float(basins.loss[k] - against.loss[at]), draws, level, *flags), draws)
    if laws is not None and against.law is not None:
        bound = ("at_bound",) if laws.loss.point_at_bound or against.law.point_at_bound else ()
        draws = laws.loss.draws[:, 0] - against.law.draws[laws.index, 0]
        value = float(laws.loss.parameters[0] - against.law.parameters[0])
        if abs(value) < ROUNDING and np.abs(draws).max() < ROUNDING:  # the reference against itself
            value, draws = 0.0, np.zeros_like(draws)
        out["R_inf"] = (estimate(value, draws, level, *bound), draws)
    return out


def law_metrics(
    basins: Basins, laws: Laws, s: Settings, optimizer: Family, rng: np.random.Generator
) -> dict[str, Part]:
    """Everything that the laws alone give: exponents, kappa in both readings of beta, drifts, E, E_hp.

    Args:
        basins: of all scales of one variant.
        laws: through them.
        s: the settings.
        optimizer: family of the variant's optimizer, which decides how its coordinates differ.
        rng: of the draws of E.
    """
    parts = exponents(laws)
    bound = ("at_bound",) if laws.loss.point_at_bound else ()
    offset_bound = ("at_bound",) if "offset" in laws.families and laws.families["offset"].at_bound else ()
    flags = {"alpha": bound, "beta_offset": offset_bound}
    out: dict[str, Part] = {}

    def add(name: str, part: tuple[float, FloatArray], *why: str) -> None:
        out[name] = (estimate(*part, s.level, *why), part[1])

    for name, part in parts.items():
        add(name, part, *flags.get(name, ()))
    add("kappa", kappa(parts, "beta"), "beta of the power family", *bound)
    if "beta_offset" in parts:
        why = dict.fromkeys(("beta of the offset family", *bound, *offset_bound))
        add("kappa_offset", kappa(parts, "beta_offset"), *why)
    else:
        out["kappa_offset"] = (missing("offset_needs_4_scales"), None)
    if s.coordinates:
        for target in COORDINATES:
            by = coordinate_exponent(s.coordinates, target, optimizer)
            add(f"drift_{target}", (parts["drift"][0] + by, parts["drift"][1] + by))
    if laws.bend is not None:
        add("bend", laws.bend)
    add("E", fit_error(surface_residuals(basins, laws, s.filter), s.draws, rng))
    add("E_hp", hp_error(basins, laws))
    return out


def no_law_metrics() -> dict[str, Part]:
    """The same names, each without a value."""
    names = ("alpha", "beta", "gamma", "drift", "kappa", "kappa_offset", "E", "E_hp")
    return {name: (missing("no_laws"), None) for name in names}
