"""Other published ways to ask whether a hyperparameter transfers, for comparison with the three metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.shape import features
from hptransfer.quantify.intervals import MetricDraws, measured, unknown
from hptransfer.quantify.law.laws import Laws
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray

DECADES = 3.0  # LR sensitivity looks at this much of the axis, centred on the optimum (arXiv:2309.14322)
BAND = 1.0025  # losses up to this factor of the optimum's are near-optimal
OUT_OF_REACH = 6.0  # standard errors of a difference: no noise makes a cell this far up the lowest
AVERAGED_POINTS = 101  # that the sensitivity averages over
# Octaves either side of the optimum that the band is looked for in.
REACH = np.concatenate([[0.0], np.geomspace(0.05, 6.0, 32)])
WIDEST = 1.9 * REACH[-1]  # octaves; a band wider than this is taken to go on
SAME_HP = 1e-6  # octaves within which two cells have the same hyperparameter
LEAST_LOSS = 1e-6  # nats; keeps the band's height positive


def sensitivity(basins: Basins, initial_loss: float | None, level: float) -> MetricDraws:
    """Mean of min(L, L_init) - L* over three decades at the largest scale with an optimum, nats.

    L_init is the loss at initialisation, the highest loss seen where the sweep table does not say.
    """
    if not basins.fitted.any():
        return unknown("no_optimum")
    k = int(np.flatnonzero(basins.fitted)[-1])
    cells = basins.cells
    filled = ~np.isnan(cells.x[k])
    x, loss = cells.x[k, filled], cells.loss[k, filled]
    flags = []
    cap = initial_loss
    if cap is None:
        cap = float(np.nanmax(loss))
        flags.append("initial_loss_unknown")
    loss = np.minimum(np.where(np.isnan(loss), cap, loss), cap)
    half = 0.5 * DECADES * np.log2(10.0)
    low, high = max(x[0], basins.x[k] - half), min(x[-1], basins.x[k] + half)
    if high - low < 2 * half - 1e-9:
        flags.append("narrow_grid")
    points = np.linspace(low, high, AVERAGED_POINTS)
    mean = float(np.mean(np.interp(points, x, loss)))
    draws = np.maximum(mean - basins.loss_draws[:, k], 0.0)
    return measured(max(mean - float(basins.loss[k]), 0.0), draws, level, *flags)


def argmin_equality(basins: Basins, level: float, rng: np.random.Generator) -> MetricDraws:
    """Fraction of the larger scales whose lowest cell is the smallest scale's (arXiv:2404.05728).

    Draws repeat the noise of all cells that it could make the lowest.
    """
    cells, draws = basins.cells, len(basins.x_draws)
    noise = basins.noise if np.isfinite(basins.noise) else 0.0
    seen, drawn = [], []
    for k in np.flatnonzero(cells.usable.any(axis=1)):
        x, loss = cells.x[k, cells.usable[k]], cells.loss[k, cells.usable[k]]
        sd = noise / np.sqrt(cells.count[k, cells.usable[k]])
        lowest = int(np.argmin(loss))
        near = np.flatnonzero(loss - loss[lowest] <= OUT_OF_REACH * np.hypot(sd, sd[lowest]))
        noisy = loss[near] + sd[near] * rng.standard_normal((draws, len(near)))
        seen.append(x[lowest])
        drawn.append(x[near[np.argmin(noisy, axis=1)]])
    if len(seen) < 2:
        return unknown("too_few_scales")

    def equal(x: FloatArray) -> FloatArray:
        return np.asarray(np.mean(np.abs(x[1:] - x[:1]) < SAME_HP, axis=0))

    return measured(float(equal(np.array(seen))), equal(np.array(drawn)), level)


@dataclass(frozen=True)
class Bands:
    """The near-optimal bands {L <= 1.0025 L*} of the scales with an optimum."""

    width: MetricDraws  # of that at the largest scale, octaves
    overlap: MetricDraws  # what all bands have in common, as a fraction of what they cover together


def near_optimal_bands(basins: Basins, level: float) -> Bands:
    """The near-optimal bands of one variant."""
    scales = np.flatnonzero(basins.fitted)
    if not len(scales):
        return Bands(unknown("no_optimum"), unknown("no_optimum"))
    # The point estimate is the first row, the draws are the others.
    shape = np.vstack([basins.shape, basins.shape_draws])
    x, loss, log_curvature = (
        np.vstack([point[scales], draws[:, scales]])
        for point, draws in (
            (basins.x, basins.x_draws),
            (basins.loss, basins.loss_draws),
            (basins.log_curvature, basins.log_curvature_draws),
        )
    )
    height = np.log((BAND - 1.0) * np.maximum(loss, LEAST_LOSS)) - log_curvature
    low, high = x - _crossing(shape, height, -1.0), x + _crossing(shape, height, 1.0)
    union = high.max(axis=1) - low.min(axis=1)
    overlaps = np.maximum(high.min(axis=1) - low.max(axis=1), 0.0) / union
    widths = (high - low)[:, -1]
    wide = ("wider_than_grid",) if widths[0] > WIDEST else ()
    width = measured(float(widths[0]), widths[1:], level, *wide)
    if len(scales) < 2:
        return Bands(width, unknown("too_few_scales"))
    return Bands(width, measured(float(overlaps[0]), overlaps[1:], level))


def _crossing(shape: FloatArray, height: FloatArray, side: float) -> FloatArray:
    """Distance at which log(excess / curvature) first reaches a height [R, K], octaves, [R, K].

    Of shapes [R, FEATURES], a row a draw; on one side of the optimum: -1 is left, 1 right.
    """
    reach = REACH[1:]
    log_rise = shape @ features(side * reach).T + (2 * np.log(reach) - np.log(2.0))  # [R, points]
    reached = log_rise[:, None] >= height[..., None]
    reached[..., -1] = True
    first = reached.argmax(axis=2)
    before = np.maximum(first - 1, 0)
    low, top = np.take_along_axis(log_rise, before, axis=1), np.take_along_axis(log_rise, first, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = np.where(top > low, (height - low) / (top - low), 1.0)
    start = np.where(first == 0, 0.0, reach[before])
    return np.asarray(start + np.clip(fraction, 0.0, 1.0) * (reach[first] - start))


def wider_is_worse(basins: Basins) -> MetricDraws:
    """Fraction of cells whose loss rises to the next scale at the same hyperparameter, noise apart."""
    cells = basins.cells
    noise = basins.noise if np.isfinite(basins.noise) else 0.0
    worse = compared = 0
    for k in range(len(cells.scale) - 1):
        small, large = cells.usable[k], cells.usable[k + 1]
        same, i, j = np.intersect1d(
            np.round(cells.x[k, small], 6), np.round(cells.x[k + 1, large], 6), return_indices=True
        )
        rise = cells.loss[k + 1, large][j] - cells.loss[k, small][i]
        error = noise * np.sqrt(1 / cells.count[k, small][i] + 1 / cells.count[k + 1, large][j])
        worse += int(np.sum(rise > ADVICE.worse_sd * error))
        compared += len(same)
    if compared == 0:
        return unknown("no_common_cells")
    return MetricDraws(Estimate(worse / compared))


def fast_transfer(laws: Laws | None, level: float) -> MetricDraws:
    """Tests beta - alpha / 2 with the offset family's beta: positive is fast transfer (arXiv:2512.22768)."""
    if laws is None:
        return unknown("no_laws")
    if "offset" not in laws.families:
        return unknown("offset_needs_4_scales")
    offset = laws.families["offset"]
    draws = offset.draws[:, 1] - 0.5 * laws.loss.alpha_draws
    value = float(offset.parameters[1]) - 0.5 * laws.loss.alpha
    return measured(value, draws, level, *(offset.flags or laws.loss.flags))
