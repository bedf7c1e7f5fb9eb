"""Laws over the scale of each hyperparameter's optimum and of combinations, with what real optima do beyond.

Each is fitted as the optimum of one hyperparameter is: generalised least squares on the posterior draws, with
the scatter and turning that real projects showed (`law.departure`), so that predictions are as wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.shape import FEATURES
from hptransfer.quantify.intervals import limits
from hptransfer.quantify.joint.basins import JointBasins
from hptransfer.quantify.joint.combination import Combination, column_offset
from hptransfer.quantify.law.laws import HpLaws, fit_hp_laws
from hptransfer.quantify.law.optimum_law import fit_bend
from hptransfer.quantify.law.siblings import MIN_SCALES
from hptransfer.quantify.predict import optimum_at, optimum_draws
from hptransfer.sweep.table import BoolArray, FloatArray, SweepTable

EDGE_OCTAVES = 1.0  # how far inside the range an optimum at an edge may yet lie


@dataclass(frozen=True)
class Quantity:
    """A hyperparameter, or a combination of several, at every scale."""

    name: str
    weight: FloatArray  # exponents of the hyperparameters, [d]
    offset: FloatArray  # log2 of all else in it, [K]
    x: FloatArray  # log2 of its optimum, [K]
    x_draws: FloatArray  # [B, K]
    inside: BoolArray  # scales where every hyperparameter of it has an optimum within its range, [K]


@dataclass(frozen=True)
class QuantityLaw:
    """The law of one quantity."""

    quantity: Quantity
    laws: HpLaws
    bends: bool  # whether it bends in log-log by more than its interval allows

    def at(self, scale: float) -> float:
        """log2 of what the law says of a scale."""
        return optimum_at(self.laws, scale)

    def draws_at(self, scale: float, rng: np.random.Generator) -> FloatArray:
        """Draws of it, scatter and turning included, [B]."""
        return optimum_draws(self.laws, scale, rng)


def quantity(basins: JointBasins, name: str, weight: FloatArray, offset: FloatArray) -> Quantity:
    """A product of powers of the hyperparameters and other columns; see `Quantity`."""
    used = weight != 0
    inside = np.asarray(basins.fitted & (basins.edge[:, used] == 0).all(axis=1))
    x, draws = basins.x @ weight + offset, basins.x_draws @ weight + offset
    return Quantity(name, weight, offset, x, draws, inside)


def quantities_of(
    basins: JointBasins, sweep: SweepTable, combinations: Sequence[Combination]
) -> list[Quantity]:
    """Every hyperparameter, then every combination; `sweep` has the other columns of those."""
    names, scales = basins.points.axes.names, basins.points.scale
    d = len(names)
    out = [quantity(basins, name, np.eye(d)[j], np.zeros(len(scales))) for j, name in enumerate(names)]
    for combined in combinations:
        weight = np.array([combined.powers.get(name, 0.0) for name in names])
        offset = column_offset(sweep, basins.points.variant, scales, combined, names)
        out.append(quantity(basins, combined.text, weight, offset))
    return out


def fit_law(
    basins: JointBasins, q: Quantity, family: str | None, level: float, rng: np.random.Generator
) -> QuantityLaw | None:
    """The law of a quantity; None with fewer than three scales where it has an optimum."""
    if q.inside.sum() < MIN_SCALES:
        return None
    laws = fit_hp_laws(as_basins(basins, q), family, rng)
    if laws is None:
        return None
    t = np.log2(basins.points.scale[q.inside])
    scatter = laws.families["power"].scatter
    bend = fit_bend(t, q.x[q.inside], q.x_draws[:, q.inside], scatter, rng)
    low, high = limits(bend[1], level) if bend else (0.0, 0.0)
    return QuantityLaw(q, laws, not low <= 0.0 <= high)


def as_basins(b: JointBasins, q: Quantity) -> Basins:
    """The quantity as if it were the one hyperparameter: its basin is the best over all else."""
    low, high = np.full(len(q.x), -np.inf), np.full(len(q.x), np.inf)
    edge = np.zeros(len(q.x), dtype=np.int64)
    used = np.flatnonzero(q.weight)
    if (
        len(used) == 1 and q.weight[used[0]] == 1.0 and not q.offset.any()
    ):  # of a combination nothing is known
        j = used[0]
        edge = np.where(b.fitted, b.edge[:, j], 0)
        low = np.where(edge > 0, b.high[:, j] - EDGE_OCTAVES, low)
        high = np.where(edge < 0, b.low[:, j] + EDGE_OCTAVES, high)
    point = _log_curvature(b.surface.curvature(), q.weight)
    draws = _log_curvature(b.surface_draws.curvature(), q.weight)
    scales, count = len(q.x), len(q.x_draws)
    return Basins(
        cells=_cells(b),
        fitted=q.inside,
        edge=edge,
        low=low,
        high=high,
        first=low,
        last=high,
        x=q.x,
        loss=b.loss,
        log_curvature=point,
        by_law=np.full(scales, np.nan),
        cov_given_shape=np.full((scales, 3, 3), np.nan),
        shape=np.zeros(FEATURES),
        x_draws=q.x_draws,
        loss_draws=b.loss_draws,
        log_curvature_draws=draws,
        shape_draws=np.zeros((count, FEATURES)),
        noise=b.noise,
        misfit=b.misfit,
        apart=np.full(scales, np.nan),
        flags=b.flags,
    )


def _log_curvature(curvature: FloatArray, weight: FloatArray) -> FloatArray:
    """Log curvature [...] in a quantity, best over all else, of curvature matrices [..., d, d]."""
    known = np.asarray(np.isfinite(curvature).all(axis=(-1, -2)))
    safe = np.where(known[..., None, None], curvature, np.eye(len(weight)))
    return np.where(known, -np.log(np.einsum("i,...ij,j->...", weight, np.linalg.inv(safe), weight)), np.nan)


def _cells(b: JointBasins) -> Cells:
    p = b.points
    loss = np.where(b.kept, p.loss, np.nan)
    return Cells(
        variant=p.variant,
        scale=p.scale,
        x=p.x[..., 0],
        loss=loss,
        count=p.count,
        spread=p.spread,
        censored=p.real & ~p.usable,
        runs=p.runs,
        diverged=p.diverged,
        tilt=np.zeros(len(p.scale)),
        tilt_freedom=np.zeros(len(p.scale), dtype=np.int64),
    )
