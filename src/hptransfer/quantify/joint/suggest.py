"""What to run next of several hyperparameters: past an edge, or where the intervals at a goal narrow most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hptransfer.quantify.axes.answers import written
from hptransfer.quantify.axes.design import Points, find_design
from hptransfer.quantify.axes.model import AxesModel, Basis, fit_model
from hptransfer.quantify.axes.suggest import grid_of, place_of, price, suggest_places
from hptransfer.quantify.joint.basins import JointBasins
from hptransfer.quantify.joint.laws import Quantity, as_basins
from hptransfer.quantify.joint.result import JointRuns
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import FloatArray

VALUES = {2: 4, 3: 3}  # of each hyperparameter in a suggested grid, by how many there are
BEYOND = np.array([1.0, 2.0])  # octaves past an edge
BESIDE = np.array([-1.0, 0.0, 1.0])  # octaves from the best value of the others there
MOST = 3  # suggestions of a kind


def basis_of(points: Points, basins: JointBasins, q: Quantity) -> Basis:
    """A quantity's optima at the points of the scale's axes, as the basins of one hyperparameter."""
    inside = np.flatnonzero(q.inside)
    design = find_design(points.take(inside) if len(inside) > 1 else points)
    return Basis(points, design, as_basins(basins, q), np.zeros(len(points.axes)))


def edge_runs(basins: JointBasins, points: Points) -> tuple[JointRuns, ...]:
    """Runs past what was run where an optimum lies beyond it, the largest scales first."""
    whole = Basis(points, find_design(points), as_basins(basins, _any(basins)), np.zeros(len(points.axes)))
    each = price(whole, whole.design.coordinates(points.z))
    spent = float(np.sum(basins.points.runs * each))
    out = []
    for k in np.argsort(-points.z.sum(axis=1), kind="stable"):
        for j in np.flatnonzero(basins.edge[k]) if basins.fitted[k] else ():
            hps = _past(basins, int(k), int(j))
            if hps is not None:
                side = "above" if basins.edge[k, j] > 0 else "below"
                why = f"the optimum lies {side} every {basins.points.axes.names[j]} that was run there"
                count = float(np.prod([len(values) for values in hps.values()]))
                out.append(JointRuns(points.at(int(k)), hps, count * float(each[k]) / spent, {}, {}, why))
    return tuple(out[:MOST])


def _any(basins: JointBasins) -> Quantity:
    """The first hyperparameter, for what does not depend on which it is."""
    d, scales = basins.layout.d, len(basins.fitted)
    return Quantity("", np.eye(d)[0], np.zeros(scales), basins.x[:, 0], basins.x_draws[..., 0], basins.fitted)


def _past(basins: JointBasins, k: int, j: int) -> dict[str, tuple[float, ...]] | None:
    """Values past the edge of hyperparameter j at scale k, and about the best of the others; None below 0."""
    axes, side = basins.points.axes, int(basins.edge[k, j])
    if side < 0 and axes.zero[j]:
        return None
    out = {}
    for i, name in enumerate(axes.names):
        low, high = basins.low[k, i], basins.high[k, i]
        if i == j:
            x = high + BEYOND if side > 0 else low - BEYOND[::-1]
        else:
            x = float(np.clip(basins.x[k, i], low, high)) + BESIDE
        out[name] = tuple(float(f"{v:.3g}") for v in np.exp2(x))
    return out


def narrowing_runs(
    models: Sequence[AxesModel], names: Sequence[str], goal: Mapping[str, float]
) -> tuple[JointRuns, ...]:
    """Grids at places where they narrow the intervals of all hyperparameters at a goal most for their price.

    Args:
        models: the law of every hyperparameter.
        names: of the hyperparameters.
        goal: values of the scale's axes.
    """
    design = models[0].basis.design
    if len({m.basis.design.free for m in models}) > 1:
        return ()
    at = np.log2(np.array([goal[axis] for axis in design.axes]))
    each = VALUES[len(names)]
    return tuple(
        JointRuns(
            at=place_of(models[0], one.place),
            hps={n: grid_of(m, one.place, each) for n, m in zip(names, models, strict=True)},
            cost_share=one.share,
            width={n: (float(a), float(b)) for n, a, b in zip(names, one.now, one.after, strict=True)},
            goal=goal,
            why=f"it narrows the intervals at {written(goal)}",
        )
        for one in suggest_places(models, design.coordinates(at), each ** len(names))
    )


def suggested_runs(
    basins: JointBasins, quantities: Sequence[Quantity], scale_name: str, s: Settings, place: int
) -> tuple[JointRuns, ...]:
    """Of one variant along one axis of scale: past edges first, then at other scales."""
    scale: FloatArray = basins.points.scale
    points = Points((scale_name,), scale[:, None])
    edges = edge_runs(basins, points)
    bases = [basis_of(points, basins, q) for q in quantities[: basins.layout.d]]
    if not all(basis.enough for basis in bases):
        return edges
    goal = {scale_name: float(s.targets[0] if s.targets else 4.0 * scale.max())}
    at, rng = np.log2([[goal[scale_name]]]), np.random.default_rng([s.seed, 15, place])
    models = [fit_model(basis, at, rng) for basis in bases]
    return edges + narrowing_runs(models, basins.points.axes.names, goal)
