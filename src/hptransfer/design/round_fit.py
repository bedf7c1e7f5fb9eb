"""The fit by which a round of an adaptive study is planned, and the width of its intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hptransfer.design.goal import Goal
from hptransfer.design.grid import CandidateGrid, Observations

if TYPE_CHECKING:
    from hptransfer.quantify.axes.model import Basis
    from hptransfer.quantify.result import Estimate, SweepFit, VariantFit
    from hptransfer.sweep.table import SweepTable

LEAST_SCATTER = 0.02  # octaves, of single optima over several axes: none are exactly on a plane
DRAWS = 1000  # posterior draws of a round's fit; the report may take more


@dataclass(frozen=True)
class RoundFit:
    """What is known when a round is decided."""

    fit: SweepFit | None  # of the finished runs; None while optima are being bracketed
    width: dict[str, float]  # width of what is asked, by variant; infinite where it cannot be told yet
    surfaces: Mapping[str, SurfaceFit] = field(default_factory=dict)  # over several axes, by variant


@dataclass(frozen=True)
class SurfaceFit:
    """What the estimator over several axes says of one variant, by place of the scale in the grid."""

    x: Mapping[int, float]  # log2 eta of the optimum, in the grid's coordinates
    log_curvature: Mapping[int, float]  # ln of the curvature there
    noise: float  # sd of a run's loss, nats
    cells: int  # that it is from, beyond the parameters of their curves
    scatter: float  # sd of single optima off the law, octaves
    wander: float  # rms turning of the law along an axis, octaves per root of an octave
    width: float  # of what is asked


def fit_round(grid: CandidateGrid, observed: Observations, goal: Goal) -> RoundFit:
    """Fits the finished runs."""
    from hptransfer.fit import quantify

    sweep = observed.sweep_table(grid)
    if sweep is None:
        return RoundFit(None, dict.fromkeys(grid.variants, math.inf))
    if grid.axes:
        surfaces = _surfaces(grid, sweep, goal)
        unknown = dict.fromkeys(grid.variants, math.inf)
        return RoundFit(None, unknown | {name: s.width for name, s in surfaces.items()}, surfaces)
    fit = quantify(sweep, targets=grid.target, holdout=int(goal == "verdict"), draws=DRAWS)
    widths = {v: _width(fit.variants[v], goal) if v in fit.variants else math.inf for v in grid.variants}
    if goal == "verdict":
        widths = {v: max(width, _undecided_between(fit, v)) for v, width in widths.items()}
    return RoundFit(fit, widths)


def _surfaces(grid: CandidateGrid, sweep: SweepTable, goal: Goal) -> dict[str, SurfaceFit]:
    """Of every variant whose points are enough for a law: basins, departures, and the interval asked for."""
    from hptransfer.quantify.axes.basins import points_of
    from hptransfer.quantify.axes.model import AxesSettings, find_basis

    settings = AxesSettings(grid.axes, (), None, 0.95, 0.01, DRAWS, 0, None, 1.35)
    values = np.column_stack([sweep.scale, *(sweep.extra[axis] for axis in grid.axes[1:])])
    out = {}
    for points, cells in points_of(sweep, values, grid.axes):
        if len(points.values) < grid.least_scales:
            continue
        basis = find_basis(points, cells, settings)
        if basis.enough and not basis.design.tied:
            out[cells.variant] = _surface(grid, basis, goal)
    return out


def _surface(grid: CandidateGrid, basis: Basis, goal: Goal) -> SurfaceFit:
    from hptransfer.quantify.axes.model import fit_optimum

    law = fit_optimum(basis, grid.z_target[None], np.random.default_rng([0, 7, 0]))
    basins, inside = basis.basins, [int(k) for k in basis.inside]
    places = {k: int(np.abs(grid.scales - basis.points.values[k]).sum(axis=1).argmin()) for k in inside}
    asked = {
        "prediction": law.hp.at_draws[:, :1],
        "law": law.hp.draws[:, 1:],
        "optimum": basins.x_draws[:, inside],
    }[goal]
    low, high = np.quantile(asked, [0.025, 0.975], axis=0)
    missed = goal == "optimum" and len(inside) < len(basis.points.values)
    cells = basins.cells.usable[inside].sum() - 3 * len(inside)
    return SurfaceFit(
        {place: float(basins.x[k] - grid.shift[place]) for k, place in places.items()},
        {place: float(basins.log_curvature[k]) for k, place in places.items()},
        basins.noise,
        max(int(cells), 0),
        max(float(np.sqrt(np.mean(law.hp.scatter_draws**2))), LEAST_SCATTER),
        float(np.sqrt(np.mean(law.hp.wander_draws**2))),
        math.inf if missed else float((high - low).max()),
    )


def _width(fit: VariantFit, goal: Goal) -> float:
    """Of the 95% interval of what is asked; infinite where it is unknown."""
    if goal == "law":
        law = fit.laws.get("hp")
        return math.inf if law is None else span(law.exponent)
    if goal == "optimum":
        return max((octaves(optimum.hp) for optimum in fit.optima), default=math.inf)
    if goal == "prediction":
        return octaves(fit.predictions[0].hp)
    return math.inf if fit.verdict.value == "undecided" else 0.0


def _undecided_between(fit: SweepFit, variant: str) -> float:
    """Width of the difference to the lowest variant at the largest scale; 0 where its sign is known."""
    from hptransfer.quantify.compare import compare

    last = {v: f.optima[-1].loss.value for v, f in fit.variants.items()}
    known = {v: loss for v, loss in last.items() if loss is not None}
    lowest_of = min(known, key=lambda v: known[v], default=variant)
    if lowest_of == variant:
        return 0.0
    found = compare(fit, variant, lowest_of).get("R_n")
    if found is None or found.low is None or found.high is None:
        return math.inf
    return 0.0 if found.low > 0 or found.high < 0 else span(found)


def octaves(estimate: Estimate) -> float:
    """Width of an interval of the hyperparameter; infinite where a limit is missing."""
    if estimate.low is None or estimate.high is None or not estimate.low > 0:
        return math.inf
    return math.log2(estimate.high / estimate.low)


def span(estimate: Estimate) -> float:
    """Width of an interval; infinite where a limit is missing."""
    return math.inf if estimate.low is None or estimate.high is None else estimate.high - estimate.low
