"""What to run next: the place and the LR grid that narrow the interval at the goal most for their price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hptransfer.quantify.axes.departures import walk_covariances
from hptransfer.quantify.axes.model import AxesModel, Basis
from hptransfer.quantify.axes.result import Place, PlaceRuns
from hptransfer.quantify.axes.rules import kind_of
from hptransfer.quantify.intervals import limits
from hptransfer.sweep.table import FloatArray

NORMAL = 1.96
RUNS = 5  # of a suggested LR grid
MOST_PRICE = 3.0  # times what was spent
LEAST_GAIN = 0.05  # share of the interval's width that a suggestion must take off
MOST = 3  # suggestions
PRICES = {"width": 2.0, "params": 1.0, "depth": 1.0, "tokens": 1.0, "compute": 1.0, "batch": 0.0}


@dataclass(frozen=True)
class Suggested:
    """A place worth running."""

    place: FloatArray  # log2 of the free axes, [F]
    share: float  # price, as a share of what was spent
    now: FloatArray  # width of the interval at the goal of each law, octaves, [laws]
    after: FloatArray  # what it would be, [laws]


def suggest_runs(model: AxesModel, goal: Place, targets_at: FloatArray) -> tuple[PlaceRuns, ...]:
    """Up to three places to run, the best for its price first.

    Args:
        model: of one variant.
        goal: where the interval is to narrow.
        targets_at: log2 of the goal's free axes, [F].
    """
    return tuple(
        PlaceRuns(
            place_of(model, one.place), grid_of(model, one.place), one.share,
            (float(one.now[0]), float(one.after[0])), goal,
        )
        for one in suggest_places([model], targets_at, RUNS)
    )  # fmt: skip


def suggest_places(models: Sequence[AxesModel], goal: FloatArray, runs: int) -> list[Suggested]:
    """Places that narrow the intervals of some laws, of the same free axes, at a goal [F], best first."""
    basis, design = models[0].basis, models[0].basis.design
    now = np.array([_width(model, goal, None) for model in models])
    spent = float(np.sum(basis.basins.cells.runs * price(basis, design.coordinates(basis.points.z))))
    found = []
    for place in _candidates(basis.z, design.coordinates(basis.points.z), goal):
        after = np.array([_width(model, goal, place) for model in models])
        share = runs * float(price(basis, place[None])[0]) / spent
        if (now - after).sum() > LEAST_GAIN * now.sum() and share <= MOST_PRICE:
            found.append(Suggested(place, share, now, after))
    found.sort(key=lambda one: -float((one.now - one.after).sum()) / (one.share + 0.05))
    return found[:MOST]


def _candidates(z: FloatArray, seen: FloatArray, goal: FloatArray) -> list[FloatArray]:
    """Places without runs: corners of points with an optimum, and each axis two and four times as far."""
    low, high = z.min(axis=0), z.max(axis=0)
    steps = [
        sorted({low[i], high[i], *(high[i] + s for s in (1.0, 2.0) if goal[i] > high[i])})
        for i in range(len(low))
    ]
    places = [np.array(place) for place in product(*steps)]
    return [place for place in places if np.abs(seen - place).max(axis=1).min() > 0.3]


def _width(model: AxesModel, goal: FloatArray, new: FloatArray | None) -> float:
    """Width of the interval at a goal by typical sizes of departures, perhaps with a point more, octaves."""
    q, hp = model.question, model.hp
    errors = np.atleast_2d(np.cov(q.y_draws.T))
    z = q.z
    if new is not None:
        wider = np.zeros((len(z) + 1, len(z) + 1))
        wider[:-1, :-1] = errors
        wider[-1, -1] = float(np.median(np.diag(errors)))
        errors, z = wider, np.vstack([z, new])
    scatter, wander = float(np.mean(hp.scatter_draws**2)), np.mean(hp.wander_draws**2, axis=0)
    walks = np.einsum("f,fmk->mk", wander, walk_covariances(np.vstack([z, goal])))
    count = len(z)
    inverse = np.linalg.inv(errors + scatter * np.eye(count) + walks[:count, :count])
    basis = np.column_stack([np.ones(count), z - z.mean(axis=0)])
    ahead = np.concatenate([[1.0], goal - z.mean(axis=0)])
    across = walks[count, :count]
    left = ahead - basis.T @ inverse @ across
    variance = walks[count, count] + scatter - across @ inverse @ across
    variance += left @ np.linalg.solve(basis.T @ inverse @ basis, left)
    return float(2 * NORMAL * np.sqrt(max(variance, 0.0)))


def price(basis: Basis, z: FloatArray) -> FloatArray:
    """What a run at free coordinates z [P, F] costs, in that of the farthest corner: a product of axes."""
    design = basis.design
    powers = np.array([_power(design.axes[i]) for i in design.free])
    for j, line in design.tied.items():
        powers = powers + line[1:] * _power(design.axes[j])
    top = design.coordinates(basis.points.z).max(axis=0)
    return np.asarray(np.exp2((z - top) @ powers))


def _power(axis: str) -> float:
    kind = kind_of(axis)
    return 1.0 if kind is None else PRICES[kind]


def place_of(model: AxesModel, free: FloatArray) -> Place:
    """All axes at free coordinates [F], four digits of each."""
    design = model.basis.design
    out = dict(zip(design.names, map(float, np.exp2(free)), strict=True))
    for j, line in design.tied.items():
        out[design.axes[j]] = float(np.exp2(line[0] + free @ line[1:]))
    return {axis: float(f"{out[axis]:.4g}") for axis in design.axes}


def grid_of(model: AxesModel, place: FloatArray, runs: int = RUNS) -> tuple[float, ...]:
    """Values to run: about the plane's own, as far as its optimum may lie, half an octave apart or more."""
    draws = model.hp.plane_draws(place[None])[:, 0]
    centre, (low, high) = float(model.hp.plane(place[None])[0]), limits(draws, 0.95)
    step = min(max((high - low) / (runs - 1), 0.5), 1.0)
    return tuple(float(f"{np.exp2(centre + step * (i - (runs - 1) / 2)):.3g}") for i in range(runs))
