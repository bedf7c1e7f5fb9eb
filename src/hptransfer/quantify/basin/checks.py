"""Warnings about fitted basins, and the rejection of minima far below anything that was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.intervals import limits
from hptransfer.quantify.priors import CHECKS
from hptransfer.sweep.table import FloatArray

# Two lowest cells that tie have the minimum midway. On an even grid a parabola's lies half of this share of
# the rise to the next cell below them.
TIE = 0.25
FLAT_LEVEL = 0.95  # of the optimum's interval that tells a flat basin


def check_basins(basins: Basins, misfit_inflation: FloatArray, variance_factor: FloatArray) -> Basins:
    """Adds each scale's warnings, and takes the fit from scales whose minimum is not credible.

    Args:
        basins: as fitted; F of its K scales have an optimum.
        misfit_inflation: factor on the shape's error of each of these F scales, shape [F or more].
        variance_factor: factor on the variance of their cells, shape [F or more, N].
    """
    flags, fitted = list(basins.flags), basins.fitted.copy()
    for j, k in enumerate(np.flatnonzero(basins.fitted)):
        found = list(flags[k])
        if _below_observed(basins, int(k)):
            found.append("below_observed")
            fitted[k] = False
        if misfit_inflation[j] > CHECKS.own_shape_inflation:
            found.append("own_shape")
        if (variance_factor[j] > CHECKS.outlier_variance).any():
            found.append("outliers")
        low, high = limits(basins.x_draws[:, k], FLAT_LEVEL)
        if high - low > CHECKS.flat_fraction * (basins.high[k] - basins.low[k]):
            found.append("flat")
        flags[k] = tuple(found)
    gone = basins.fitted & ~fitted
    x, loss, log_curvature = (
        np.where(gone, np.nan, values) for values in (basins.x, basins.loss, basins.log_curvature)
    )
    return replace(basins, fitted=fitted, flags=tuple(flags), x=x, loss=loss, log_curvature=log_curvature)


def _below_observed(basins: Basins, k: int) -> bool:
    """Whether the minimum of scale k lies further below its lowest cell than noise and spacing explain."""
    lowest, *others = np.sort(basins.cells.loss[k, basins.cells.usable[k]])[:3]
    rise = others[0] - lowest
    if len(others) > 1:  # two lowest cells that tie have the minimum midway, below both
        rise = max(rise, TIE * (others[1] - lowest))
    room = CHECKS.below_sd * basins.noise + CHECKS.below_fraction * rise + CHECKS.below_nats
    return bool(basins.loss[k] < lowest - room)
