"""The three metrics' sisters: other published ways to ask whether a hyperparameter transfers."""

from __future__ import annotations

import numpy as np

from hptransfer.landscape import FloatArray
from hptransfer.quantify.cells import Cells
from hptransfer.quantify.joint import Laws
from hptransfer.quantify.optimum import Basins
from hptransfer.quantify.resample import estimate, missing
from hptransfer.quantify.result import Estimate
from hptransfer.quantify.shapes import features

DECADES = 3.0  # LR sensitivity looks at this much of the axis, centred on the optimum (arXiv:2309.14322)
BAND = 1.0025  # losses up to this factor of the optimum's are near-optimal
NOISE_SD = 2.0  # a wider model is called worse where it is so by this many standard errors
REACH = np.concatenate(
    [[0.0], np.geomspace(0.05, 6.0, 32)]
)  # octaves either side of the optimum that the band is looked for in

Part = tuple[Estimate, FloatArray | None]


def sisters(
    basins: Basins, laws: Laws | None, initial: float | None, level: float, rng: np.random.Generator
) -> dict[str, Part]:
    """Every sister by name, with its draws where it has any.

    `initial` is the loss at initialisation, nats; None where the landscape does not say.
    """
    noisy = _noisy(basins, rng)
    band, overlap = _bands(basins, level)
    return {
        "sensitivity": _sensitivity(basins, initial, level),
        "argmin_equality": _argmin_equality(basins.cells, noisy, level),
        "band": band,
        "band_overlap": overlap,
        "wider_is_worse": _wider_is_worse(basins),
        "fast_transfer": _fast_transfer(laws, level),
    }


def _noisy(basins: Basins, rng: np.random.Generator) -> FloatArray:
    """Cell means with the noise of their runs drawn again, shape [B, K, N]."""
    cells = basins.cells
    noise = basins.noise if np.isfinite(basins.noise) else 0.0
    sd = noise / np.sqrt(np.maximum(cells.count, 1))
    drawn = rng.standard_normal((len(basins.x_draws), *cells.loss.shape))
    return np.asarray(cells.loss + sd * drawn)


def _sensitivity(basins: Basins, initial: float | None, level: float) -> Part:
    """Mean of min(L, L_init) - L* over three decades at the largest scale with an optimum, nats."""
    if not basins.fitted.any():
        return missing("no_optimum"), None
    k = int(np.flatnonzero(basins.fitted)[-1])
    cells = basins.cells
    filled = ~np.isnan(cells.x[k])
    x, loss = cells.x[k, filled], cells.loss[k, filled]
    flags = []
    cap = initial
    if cap is None:
        cap = float(np.nanmax(loss))
        flags.append("initial_loss_unknown")
    loss = np.minimum(np.where(np.isnan(loss), cap, loss), cap)
    half = 0.5 * DECADES * np.log2(10.0)
    low, high = max(x[0], basins.x[k] - half), min(x[-1], basins.x[k] + half)
    if high - low < 2 * half - 1e-9:
        flags.append("narrow_grid")
    points = np.linspace(low, high, 101)
    mean = float(np.mean(np.interp(points, x, loss)))
    draws = np.maximum(mean - basins.loss_draws[:, k], 0.0)
    return estimate(max(mean - float(basins.loss[k]), 0.0), draws, level, *flags), draws


def _argmin_equality(cells: Cells, noisy: FloatArray, level: float) -> Part:
    """Share of the larger scales whose lowest cell is the smallest scale's (arXiv:2404.05728)."""
    alive = cells.usable.any(axis=1)
    if alive.sum() < 2:
        return missing("too_few_scales"), None

    def share(loss: FloatArray) -> FloatArray:
        lowest = np.argmin(np.where(np.isnan(loss), np.inf, loss), axis=-1)
        x = np.take_along_axis(np.broadcast_to(cells.x, loss.shape), lowest[..., None], axis=-1)[..., 0]
        x = x[..., alive]
        return np.asarray(np.mean(np.abs(x[..., 1:] - x[..., :1]) < 1e-6, axis=-1))

    draws = share(noisy)
    return estimate(float(share(cells.loss)), draws, level), draws


def _bands(basins: Basins, level: float) -> tuple[Part, Part]:
    """Width of {L <= 1.0025 L*} at the largest scale, octaves, and what all scales' bands share of it all."""
    scales = np.flatnonzero(basins.fitted)
    if not len(scales):
        return (missing("no_optimum"), None), (missing("no_optimum"), None)
    pieces = []
    for shape, x, loss, log_h in (
        (basins.shape[None], basins.x[None], basins.loss[None], basins.log_h[None]),
        (basins.shape_draws, basins.x_draws, basins.loss_draws, basins.log_h_draws),
    ):
        height = np.log((BAND - 1.0) * np.maximum(loss[:, scales], 1e-6)) - log_h[:, scales]
        left, right = _crossing(shape, height, -1.0), _crossing(shape, height, 1.0)
        low, high = x[:, scales] - left, x[:, scales] + right
        union = high.max(axis=1) - low.min(axis=1)
        shared = np.maximum(high.min(axis=1) - low.max(axis=1), 0.0)
        pieces.append(((high - low)[:, -1], shared / union))
    (width, overlap), (widths, overlaps) = pieces
    wide = ("wider_than_grid",) if width[0] > 1.9 * REACH[-1] else ()
    band = estimate(float(width[0]), widths, level, *wide), widths
    if len(scales) < 2:
        return band, (missing("too_few_scales"), None)
    return band, (estimate(float(overlap[0]), overlaps, level), overlaps)


def _crossing(shape: FloatArray, height: FloatArray, side: float) -> FloatArray:
    """Distance on one side at which log(excess / h) first reaches `height` [R, K], octaves."""
    reach = REACH[1:]
    log_rise = features(side * reach) @ shape.T + (2 * np.log(reach) - np.log(2.0))[:, None]
    climbed = np.maximum.accumulate(log_rise, axis=0)  # [U, R]: long rows are quicker than short ones
    out = np.empty(height.shape)
    row = np.arange(len(height))
    for k in range(height.shape[1]):
        first = np.minimum((climbed < height[:, k]).sum(axis=0), len(reach) - 1)
        before = np.maximum(first - 1, 0)
        low, top = climbed[before, row], climbed[first, row]
        gap = np.where(top > low, top - low, np.inf)
        share = np.where(top > low, (height[:, k] - low) / gap, 1.0)
        start = np.where(first == 0, 0.0, reach[before])
        out[:, k] = start + np.clip(share, 0.0, 1.0) * (reach[first] - start)
    return out


def _wider_is_worse(basins: Basins) -> Part:
    """Share of cells whose loss rises to the next scale at the same hyperparameter, noise apart."""
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
        worse += int(np.sum(rise > NOISE_SD * error))
        compared += len(same)
    if compared == 0:
        return missing("no_common_cells"), None
    return Estimate(worse / compared), None


def _fast_transfer(laws: Laws | None, level: float) -> Part:
    """Tests beta - alpha / 2 with the offset family's beta: positive is fast transfer (arXiv:2512.22768)."""
    if laws is None:
        return missing("no_laws"), None
    if "offset" not in laws.families:
        return missing("offset_needs_4_scales"), None
    offset = laws.families["offset"]
    draws = offset.draws[:, 1] - 0.5 * laws.loss.alpha_draws
    value = float(offset.parameters[1]) - 0.5 * laws.loss.alpha
    bound = ("at_bound",) if offset.at_bound or laws.loss.point_at_bound else ()
    return estimate(value, draws, level, *bound), draws
