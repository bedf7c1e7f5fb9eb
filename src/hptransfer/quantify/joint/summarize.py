"""Joint basins and laws as plain data, in the unit of the table's losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hptransfer.quantify.intervals import bands, estimate, limits, missing
from hptransfer.quantify.joint.basins import JointBasins, part
from hptransfer.quantify.joint.laws import Quantity, QuantityLaw
from hptransfer.quantify.joint.profile import contour, profiled, sliced
from hptransfer.quantify.joint.result import Contour, Curve, JointLaw, JointOptimum
from hptransfer.quantify.joint.surface import Surface, pairs
from hptransfer.quantify.result import Estimate, finite
from hptransfer.sweep.table import FloatArray

CURVE_POINTS, BAND_POINTS, BAND_DRAWS = 49, 9, 40  # of a profile, and of those behind its band
CONTOUR_RISES = (1.0, 4.0, 16.0)  # heights of contours, in the tolerance
HALF_STEPS = (0.0, 0.5, 1.0)  # exponents that theories give: arXiv:2506.15025
LAW_POINTS = 41
UNBOUNDED = 1e12  # a value beyond is as good as infinite


def joint_optimum(
    basins: JointBasins, k: int, quantities: list[Quantity], tolerance: float, level: float, unit: float
) -> JointOptimum:
    """The optimum of scale k; `quantities` are hyperparameters first, then combinations."""
    p, names = basins.points, basins.points.axes.names
    d, fitted = len(names), bool(basins.fitted[k])
    hp = {name: hp_estimate(basins, k, j, level) for j, name in enumerate(names)}
    combined = {
        q.name: estimate(float(np.exp2(q.x[k])), np.exp2(q.x_draws[:, k]), level)
        if q.inside[k]
        else missing(*(basins.flags[k] or ("no_optimum",)))
        for q in quantities[d:]
    }
    bare = JointOptimum(
        scale=float(p.scale[k]),
        hp=hp,
        combinations=combined,
        loss=missing(*basins.flags[k]),
        covariance=None,
        curvature=None,
        correlation=None,
        octave={},
        runs=int(p.runs[k]),
        diverged=int(p.diverged[k]),
        counted=int(basins.kept[k].sum()),
        flags=basins.flags[k],
        best_run=_best_run(basins, k),
    )
    if not fitted:
        return bare
    surface = part(basins.surface, k)
    curvature = surface.curvature()
    loss = estimate(float(basins.loss[k]), basins.loss_draws[:, k], level).times(1.0 / unit)
    inverse = np.linalg.inv(curvature)
    root = np.sqrt(np.diag(inverse))
    sides = np.array([[-1.0], [1.0]])
    octave = {name: profiled(surface, (j,), sides) / unit for j, name in enumerate(names)}
    return replace(
        bare,
        loss=loss,
        covariance=np.cov(basins.x_draws[:, k].T),
        curvature=curvature / unit,
        correlation=inverse / np.outer(root, root),
        octave={name: (float(low), float(high)) for name, (low, high) in octave.items()},
        curves={name: _curve(basins, k, j, level, unit) for j, name in enumerate(names)},
        contours=_contours(basins, k, surface, tolerance, unit),
    )


def _best_run(basins: JointBasins, k: int) -> dict[str, float] | None:
    p = basins.points
    if not p.usable[k].any():
        return None
    x = p.x[k, int(np.nanargmin(p.loss[k]))]
    return {name: float(f"{p.axes.value(j, x[j]):.12g}") for j, name in enumerate(p.axes.names)}


def hp_estimate(basins: JointBasins, k: int, j: int, level: float) -> Estimate:
    """The optimum of hyperparameter j at scale k; one limit only where it lies beyond what was run."""
    axes = basins.points.axes
    if not basins.fitted[k]:
        return missing(*basins.flags[k])
    x, draws = basins.x[k, j], basins.x_draws[:, k, j]
    found = estimate(float(axes.value(j, np.array(x))), axes.value(j, draws), level)
    side, name = int(basins.edge[k, j]), axes.names[j]
    flags = tuple(f.partition(":")[0] for f in basins.flags[k] if f.endswith(f": {name}"))
    if side < 0 and axes.zero[j]:  # the lowest that was run is zero: there is nothing beyond
        return Estimate(found.value, 0.0, found.high, flags)
    if side < 0:
        at = float(np.exp2(min(x, basins.low[k, j])))
        high = float(np.exp2(max(np.log2(found.high or at), basins.low[k, j])))
        return Estimate(at, None, high, flags)
    if side > 0:
        at = float(np.exp2(max(x, basins.high[k, j])))
        low = float(np.exp2(min(np.log2(found.low or at), basins.high[k, j])))
        return Estimate(at, low, None, flags)
    return found


def _curve(basins: JointBasins, k: int, j: int, level: float, unit: float) -> Curve:
    """Profile and slice along hyperparameter j at scale k, over the values that were run."""
    low, high = basins.low[k, j], basins.high[k, j]
    x = np.linspace(low - 0.25, high + 0.25, CURVE_POINTS)
    surface, base = part(basins.surface, k), float(basins.loss[k])
    profile = base + profiled(surface, (j,), (x - basins.x[k, j])[:, None])
    some = np.linspace(0, len(basins.x_draws) - 1, BAND_DRAWS).astype(int)
    few = np.linspace(x[0], x[-1], BAND_POINTS)
    at_few = base + profiled(surface, (j,), (few - basins.x[k, j])[:, None])
    drawn = [
        basins.loss_draws[b, k]
        + profiled(part(basins.surface_draws, (b, k)), (j,), (few - basins.x_draws[b, k, j])[:, None])
        for b in some
    ]
    sides = (np.interp(x, few, end - at_few) for end in bands(np.stack(drawn, axis=1), level))
    bottom, top = (profile + side for side in sides)
    along = base + sliced(surface, j, x - basins.x[k, j])
    return Curve(
        x, profile / unit, along / unit, np.minimum(bottom, profile) / unit, np.maximum(top, profile) / unit
    )


def _contours(
    basins: JointBasins, k: int, surface: Surface, tolerance: float, unit: float
) -> tuple[Contour, ...]:
    out = []
    for pair in pairs(len(basins.points.axes.names)):
        for times in CONTOUR_RISES:
            at = contour(surface, pair, times * tolerance) + basins.x[k, list(pair)]
            out.append(Contour(pair, times * tolerance / unit, at[:, 0], at[:, 1]))
    return tuple(out)


def joint_law(
    law: QuantityLaw, targets: tuple[float, ...], scales: FloatArray, level: float, rng: np.random.Generator
) -> JointLaw:
    """A law on a grid from the smallest scale to the largest target, with its exponent."""
    laws = law.laws
    power = laws.families["power"]
    slope = estimate(float(power.parameters[1]), power.draws[:, 1], level)
    ends = np.log2([*scales, *targets])
    grid = np.exp2(np.linspace(ends.min(), ends.max(), LAW_POINTS))
    value = np.array([law.at(float(n)) for n in grid])
    draws = np.stack([law.draws_at(float(n), rng) for n in grid])
    low, high = bands(draws, level)
    flags = (*laws.flags, *laws.hp.flags, *(("bend",) if law.bends else ()))
    return JointLaw(
        family=laws.family,
        exponent=slope,
        half_steps=half_steps(slope),
        at_one=float(np.exp2(np.clip(power.parameters[0] - power.parameters[1] * power.origin, -1000, 1000))),
        scatter=float(power.scatter),
        flags=flags,
        scale=grid,
        value=np.exp2(value),
        low=np.exp2(low),
        high=np.exp2(high),
    )


def half_steps(slope: Estimate) -> tuple[float, ...]:
    """Which of the exponents that theories give, or their negatives, the limits of an exponent hold."""
    low, high = slope.low, slope.high
    if low is None or high is None:
        return ()
    return tuple(step for step in HALF_STEPS if any(low <= sign * step <= high for sign in (1.0, -1.0)))


def bounded(x: float, draws: FloatArray, level: float, *flags: str) -> Estimate:
    """An estimate of 2^x from draws of x, limits that overflow left out."""
    low, high = limits(draws, level)
    with np.errstate(over="ignore"):
        value, bottom, top = (float(np.exp2(v)) for v in (x, min(low, x), max(high, x)))
    return Estimate(finite(value), finite(bottom), finite(top), flags)
