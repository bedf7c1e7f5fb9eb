"""The three metrics: E (quality of the fit), kappa (robustness to an extrapolation error), R(inf)."""

from __future__ import annotations

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.joint import Laws
from hptransfer.quantify.laws import LossFit, fit_loss
from hptransfer.quantify.optimum import Basins
from hptransfer.quantify.resample import estimate
from hptransfer.quantify.result import Estimate
from hptransfer.quantify.shapes import excess

LN2 = float(np.log(2.0))


def exponents(laws: Laws) -> dict[str, tuple[float, FloatArray]]:
    """alpha, gamma, drift and beta of each family, with draws; all d log / d log except the offset's rate."""
    slope, slopes = laws.families["power"].parameters[1], laws.families["power"].draws[:, 1]
    bend, bends = laws.log_h.parameters[1] / LN2, laws.log_h.draws[:, 1] / LN2
    out = {
        "alpha": (laws.loss.parameters[2], laws.loss.draws[:, 2]),
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
    """Residuals of the joint surface over cells whose loss is at most `threshold` x best of the scale."""
    cells = basins.cells
    out = []
    for k in np.flatnonzero(basins.fitted):
        loss = cells.loss[k]
        best = np.nanmin(loss)
        keep = cells.usable[k] & (loss <= best + (threshold - 1.0) * abs(best))
        u = cells.x[k, keep] - laws.hp.at(cells.scale[k])
        rise = excess(u, laws.log_h.at(cells.scale[k]), basins.shape)
        out.append(loss[keep] - laws.loss.at(cells.scale[k]) - rise)
    return np.concatenate(out)


def fit_error(residuals: FloatArray, draws: int, level: float, rng: np.random.Generator) -> Estimate:
    """E: mean squared residual of the joint surface, nats squared; limits by resampling cells."""
    square = residuals**2
    pick = rng.integers(0, len(square), size=(draws, len(square)))
    return estimate(float(square.mean()), square[pick].mean(axis=1), level)


def hp_error(basins: Basins, laws: Laws, level: float) -> Estimate:
    """E_hp: rms distance of the scales' optima from the optimum's law, octaves."""
    scales = np.flatnonzero(basins.fitted)
    scale = basins.cells.scale
    law = np.stack([laws.hp.draws_at(scale[k]) for k in scales], axis=1)
    value = np.sqrt(np.mean((basins.x[scales] - laws.hp.at(scale[scales])) ** 2))
    draws = np.sqrt(np.mean((basins.x_draws[laws.index][:, scales] - law) ** 2, axis=1))
    return estimate(float(value), draws, level)


def envelope(all_basins: list[Basins]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """At each scale the best loss of any variant: scale [K], loss [K], draws [B, K]."""
    scales = np.unique(np.concatenate([b.cells.scale[b.fitted] for b in all_basins]))
    best = np.full(len(scales), np.inf)
    draws = np.full((len(all_basins[0].x_draws), len(scales)), np.inf)
    for basins in all_basins:
        at = np.searchsorted(scales, basins.cells.scale[basins.fitted])
        best[at] = np.minimum(best[at], basins.loss[basins.fitted])
        draws[:, at] = np.minimum(draws[:, at], basins.loss_draws[:, basins.fitted])
    return scales, best, draws


def reference_law(scale: FloatArray, loss: FloatArray, draws: FloatArray) -> LossFit | None:
    """The loss law of the reference, or None with fewer than 3 scales."""
    return fit_loss(scale, loss, draws) if len(scale) >= 3 else None
