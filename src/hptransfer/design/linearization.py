"""Estimates that the design is linearised around, from a fit, from brackets, or from typical values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hptransfer.design.bracket import bracketed_optimum, expected_optimum
from hptransfer.design.grid import CandidateGrid, GridKey, Observations
from hptransfer.design.information import LinearizationPoint
from hptransfer.design.round_fit import RoundFit, SurfaceFit
from hptransfer.sweep.table import FloatArray

if TYPE_CHECKING:
    from hptransfer.quantify.result import Optimum

NOISE = (0.005, 3.0)  # nats: prior sd of a run's loss, and the number of runs that it counts as
SCATTER = (0.05, 2.0)  # octaves: the same for the optima around their line
NOISE_WINDOW = 0.3  # nats above the optimum within which seeds measure the noise
LOG_CURVATURE_RANGE = (math.log(0.005), math.log(5.0))  # beyond it, a thin fit has gone wrong
LOG_CURVATURE = math.log(0.1)  # ln curvature, nats per octave squared, of a basin that nothing is known of
WANDER = (
    0.08  # octaves per root of an octave: turning of the law along each of several axes, if nothing is known
)
CURVE_PARAMETERS = 3  # cells of a fitted curve that its own parameters take up


def linearization_point(
    grid: CandidateGrid, observed: Observations, round_fit: RoundFit, variant: str
) -> LinearizationPoint:
    """Estimates of one variant: the fit's where it has them, else those of a bracket."""
    if (surface := round_fit.surfaces.get(variant)) is not None:
        return _over_axes(grid, observed, surface, variant)
    fit = round_fit.fit.variants.get(variant) if round_fit.fit else None
    fitted = {float(o.scale): o for o in fit.optima} if fit else {}
    known: dict[int, float] = {}
    log_curvature = np.full(len(grid.scales), np.nan)
    for k in range(len(grid.scales)):
        basin, optimum = (variant, k), fitted.get(float(grid.scales[k])) if fitted else None
        low = bracketed_optimum(grid, basin, observed.mean_losses(basin)) if basin in grid.x else None
        if optimum is not None and optimum.hp.value is not None:
            known[k] = float(np.log2(optimum.hp.value) - grid.shift[k])
            if optimum.log_curvature.value and optimum.log_curvature.value > 0:
                log_curvature[k] = np.clip(np.log(optimum.log_curvature.value), *LOG_CURVATURE_RANGE)
        elif low is not None:
            known[k] = low
    places = range(len(grid.scales))
    x = np.array([known[k] if k in known else expected_optimum(grid, known, k) for k in places])
    there = np.flatnonzero(np.isfinite(log_curvature))  # the others are between their neighbours
    filled = np.interp(places, there, log_curvature[there]) if len(there) else np.full(len(x), LOG_CURVATURE)
    width = round_fit.width.get(variant, math.inf)
    noise = _noise(grid, observed, fitted, variant)
    return LinearizationPoint(x, filled, noise, _scatter(grid, known), width, WANDER)


def _over_axes(
    grid: CandidateGrid, observed: Observations, surface: SurfaceFit, variant: str
) -> LinearizationPoint:
    """Estimates over several axes: the fit's; where it has none, a bracket's or the plane's."""
    known = dict(surface.x)
    for k in range(len(grid.scales)):
        low = bracketed_optimum(grid, (variant, k), observed.mean_losses((variant, k)))
        if k not in known and low is not None:
            known[k] = low
    places = range(len(grid.scales))
    x = np.array([known[k] if k in known else expected_optimum(grid, known, k) for k in places])
    usual = float(np.mean(list(surface.log_curvature.values()))) if surface.log_curvature else LOG_CURVATURE
    h = np.clip([surface.log_curvature.get(k, usual) for k in places], *LOG_CURVATURE_RANGE)
    sd, weight = NOISE
    cells = surface.cells
    noise = math.sqrt((weight * sd**2 + cells * surface.noise**2) / (weight + cells))
    return LinearizationPoint(x, h, noise, surface.scatter, surface.width, surface.wander)


def _scatter(grid: CandidateGrid, found: Mapping[int, float]) -> float:
    """Sd of the optima around their line, drawn towards what is expected."""
    sd, weight = SCATTER
    z, x = grid.z[list(found)], np.array(list(found.values()))
    freedom = max(len(x) - 1 - z.shape[1], 0)
    basis = np.column_stack([z, np.ones(len(z))])
    residual = x - basis @ np.linalg.lstsq(basis, x, rcond=None)[0] if freedom else np.zeros(1)
    return float(np.sqrt((residual @ residual + weight * sd**2) / (freedom + weight)))


def _noise(
    grid: CandidateGrid, observed: Observations, fitted: Mapping[float, Optimum], variant: str
) -> float:
    """Sd of a run's loss near the optimum, from seeds and fitted curves, drawn to what is expected."""
    sd, weight = NOISE
    square, freedom = weight * sd**2, weight
    for k, scale in enumerate(grid.scales) if fitted else ():
        optimum = fitted.get(float(scale))
        if optimum is None or optimum.loss.value is None:
            continue
        for cell in observed.losses.get((variant, k), {}).values():
            values = [v for v in cell.values() if math.isfinite(v)]
            if len(values) > 1 and np.mean(values) < optimum.loss.value + NOISE_WINDOW:
                square += float(np.var(values) * len(values))
                freedom += len(values) - 1
        residual = _residuals(grid, observed, (variant, k), optimum)
        if len(residual) > CURVE_PARAMETERS:
            square += float(residual @ residual)
            freedom += len(residual) - CURVE_PARAMETERS
    return math.sqrt(square / freedom)


def _residuals(grid: CandidateGrid, observed: Observations, basin: GridKey, optimum: Optimum) -> FloatArray:
    """Of the cells within the fitted curve, times the root of their runs."""
    curve_hp, curve_loss = optimum.curve_hp, optimum.curve_loss
    if curve_hp is None or curve_loss is None or not len(curve_hp):
        return np.zeros(0)
    x = np.log2(curve_hp) - grid.shift[basin[1]]
    out = []
    for place, loss in observed.mean_losses(basin).items():
        at = float(grid.x[basin][place])
        if math.isfinite(loss) and x[0] - 1e-6 <= at <= x[-1] + 1e-6:
            out.append((loss - float(np.interp(at, x, curve_loss))) * math.sqrt(observed.count(basin, place)))
    return np.array(out)
