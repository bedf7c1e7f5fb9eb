"""How well all scales follow one set of laws: E, and the distance of the optima from theirs, E_hp."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.model import PRECISIONS, PRIOR_MEAN
from hptransfer.quantify.basin.shape import excess, features
from hptransfer.quantify.exponents import Quantity
from hptransfer.quantify.law.laws import Laws
from hptransfer.sweep.table import FloatArray

SHAPE_STEPS = 8  # of Gauss and Newton, at most
SHAPE_STEP = 0.5  # largest change of a coefficient in one of them
SETTLED = 1e-6  # fraction of the sum of squares that a step must still win
LEAST_NOISE = 1e-4  # nats; keeps the shape's prior from vanishing


def surface_residuals(basins: Basins, laws: Laws, threshold: float) -> FloatArray:
    """Residuals of the joint surface over cells whose loss is at most `threshold` x best of the scale.

    Optimum, loss and curvature are on their laws. The basins' shape was fitted near the optima; here it is
    refitted by plain least squares to all these cells, for E is their mean squared residual.

    Args:
        basins: of one variant, before pooling.
        laws: through them.
        threshold: a factor on the best loss of each scale, above 1.

    Returns:
        Residuals, nats, shape [cells].
    """
    scale = basins.cells.scale
    return residuals_about(
        basins, laws.hp.at(scale), laws.loss.at(scale), laws.log_curvature.at(scale), threshold
    )


def residuals_about(
    basins: Basins, hp: FloatArray, best_loss: FloatArray, log_curvatures: FloatArray, threshold: float
) -> FloatArray:
    """As `surface_residuals`, of laws that put these at the scales, [K]: log2 eta*, L*, log curvature."""
    cells = basins.cells
    u, rise, log_curvature = [], [], []  # of the cells of each scale
    for k in np.flatnonzero(basins.fitted):
        loss = cells.loss[k]
        best = np.nanmin(loss)
        keep = cells.usable[k] & (loss <= best + (threshold - 1.0) * abs(best))
        u.append(cells.x[k, keep] - hp[k])
        rise.append(loss[keep] - best_loss[k])
        log_curvature.append(np.full(int(keep.sum()), log_curvatures[k]))
    return _refitted(np.concatenate(u), np.concatenate(rise), np.concatenate(log_curvature), basins)


def _refitted(u: FloatArray, rise: FloatArray, log_curvature: FloatArray, basins: Basins) -> FloatArray:
    """Residuals of `rise`, nats, after a few damped Gauss-Newton steps on the fitted shape; all [cells].

    Cells lie `u` octaves from the law's optimum, and their log curvature is on its law.
    """
    f = features(u)
    prior = PRECISIONS[-1, 2:, 2:] * max(basins.noise, LEAST_NOISE) ** 2
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
        try:
            step = np.linalg.solve(jacobian.T @ jacobian + prior, jacobian.T @ residual - pull)
        except np.linalg.LinAlgError:
            break  # beside losses of absurd size the prior is lost to rounding, and nothing says where to go
        shape = shape + np.clip(step, -SHAPE_STEP, SHAPE_STEP)
    return best


def fit_error(residuals: FloatArray, draws: int, rng: np.random.Generator) -> Quantity:
    """E: mean squared residual of the joint surface, nats squared; its draws resample cells (a bootstrap)."""
    square = residuals**2
    pick = rng.integers(0, len(square), size=(draws, len(square)))
    return Quantity(float(square.mean()), square[pick].mean(axis=1))


def hp_error(basins: Basins, laws: Laws) -> Quantity:
    """E_hp: rms distance of the scales' optima from the optimum's law, octaves."""
    scales = np.flatnonzero(basins.fitted)
    scale = basins.cells.scale
    law = np.stack([laws.hp.draws_at(scale[k]) for k in scales], axis=1)
    value = np.sqrt(np.mean((basins.x[scales] - laws.hp.at(scale[scales])) ** 2))
    draws = np.sqrt(np.mean((basins.x_draws[laws.index][:, scales] - law) ** 2, axis=1))
    return Quantity(float(value), draws)
