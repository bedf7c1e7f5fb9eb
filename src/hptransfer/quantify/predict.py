"""What the laws say of a scale nobody ran, and how wrong the same procedure was on a scale somebody did."""

from __future__ import annotations

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.joint import Laws
from hptransfer.quantify.optimum import Basins
from hptransfer.quantify.resample import estimate, limits
from hptransfer.quantify.result import Estimate, Prediction
from hptransfer.quantify.shapes import excess

LONG_EXTRAPOLATION = 8.0  # times the largest scale


def optimum_draws(laws: Laws, scale: float, rng: np.random.Generator) -> FloatArray:
    """Draws of log2 eta* at a scale: the law's own error and the scatter of single scales, shape [B]."""
    law = laws.hp
    return law.draws_at(scale) + law.scatter_draws * rng.standard_normal(len(law.draws))


def predict(basins: Basins, laws: Laws, scale: float, level: float, rng: np.random.Generator) -> Prediction:
    """Prediction at one scale."""
    x = optimum_draws(laws, scale, rng)
    centre = float(laws.hp.at(scale))
    log_h = laws.log_h.draws_at(scale)
    candidates, cost = _expected_regret(basins, laws, x, log_h, centre)
    best = int(np.argmin(cost))
    largest = float(basins.cells.scale.max())
    flags = ("long_extrapolation",) if scale > LONG_EXTRAPOLATION * largest else ()
    hp = estimate(float(np.exp2(centre)), np.exp2(x), level)
    return Prediction(
        scale=scale,
        hp=hp,
        hp_recommended=float(np.exp2(candidates[best])),
        loss=estimate(float(laws.loss.at(scale)), laws.loss.draws_at(scale), level),
        regret=float(cost[best]),
        flags=flags + laws.flags,
    )


def _expected_regret(
    basins: Basins, laws: Laws, x: FloatArray, log_h: FloatArray, centre: float
) -> tuple[FloatArray, FloatArray]:
    """Candidate values of log2 eta and the loss each is expected to give up, nats."""
    spread = min(max(float(np.std(x)), 0.02), 3.0)
    candidates = centre + spread * np.linspace(-3.0, 1.5, 91)
    shape = basins.shape_draws[laws.index][:, None]
    cost = excess(candidates - x[:, None], log_h[:, None], shape)
    # A run that is thrown off altogether costs what it costs, not the exponential of a shape's tail.
    return candidates, np.minimum(cost, 10.0).mean(axis=0)


def regret_between(basins: Basins, k: int, x: float, x_draws: FloatArray, level: float) -> Estimate:
    """Loss given up at scale k by using log2 eta = x, nats; beyond the fitted basin as the runs found it."""
    if not np.isfinite(x):
        return Estimate(flags=("no_optimum",))
    if basins.fitted[k]:
        value = float(basins.excess_at(k, np.asarray(x)))
        return estimate(value, basins.excess_draws(k, x_draws), level)
    cells = basins.cells
    usable = cells.usable[k]
    if not usable.any():
        return Estimate(flags=("all_diverged",))
    grid, loss = cells.x[k, usable], cells.loss[k, usable]
    if not grid[0] <= x <= grid[-1]:
        return Estimate(flags=("outside_grid",))
    value = float(np.interp(x, grid, loss) - loss.min())
    low, _ = limits(np.interp(x_draws, grid, loss) - loss.min(), level)
    return Estimate(value, min(max(low, 0.0), value), None, flags=("at_edge",))
