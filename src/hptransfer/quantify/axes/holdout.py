"""Hold-outs over several axes: the largest of each axis, and a corner, left out and predicted."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.axes.design import OFF_PATH
from hptransfer.quantify.axes.model import AxesSettings, Basis, fit_optimum, without
from hptransfer.quantify.axes.result import PlaceHoldOut
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.predict import regret_between
from hptransfer.quantify.summarize import optimal_hp
from hptransfer.sweep.table import IntArray


def check_holdouts(
    basis: Basis, cells: Cells, s: AxesSettings, rng: np.random.Generator
) -> tuple[PlaceHoldOut, ...]:
    """Every set of points left out in turn, each of its points predicted by the rest."""
    return tuple(
        check for label, rows in left_out(basis) for check in hold_out(basis, cells, rows, label, s, rng)
    )


def left_out(basis: Basis) -> list[tuple[str, IntArray]]:
    """The sets: points at the largest value of each free axis; those above the middle in every axis."""
    z, design = basis.points.z, basis.design
    sets = [
        (f"largest {design.axes[i]}", np.flatnonzero(z[:, i] >= z[:, i].max() - 1e-9)) for i in design.free
    ]
    if len(design.free) > 1:
        free = design.coordinates(z)
        upper = (free > np.median(free, axis=0)).all(axis=1)
        sets.append(("corner", np.flatnonzero(upper)))
    seen: set[tuple[int, ...]] = set()
    return [
        (label, rows) for label, rows in sets
        if len(rows) and tuple(rows) not in seen and not seen.add(tuple(rows))  # type: ignore[func-returns-value]
    ]  # fmt: skip


def hold_out(
    basis: Basis, cells: Cells, rows: IntArray, label: str, s: AxesSettings, rng: np.random.Generator
) -> list[PlaceHoldOut]:
    """Predictions of some points by all others."""

    def failed(why: str) -> list[PlaceHoldOut]:
        nothing = missing(why)
        return [
            PlaceHoldOut(
                label, basis.points.at(int(k)), nothing, optimal_hp(basis.basins, int(k), s.level), None,
                nothing,
                None, (why,),
            )
            for k in rows
        ]  # fmt: skip

    if len(basis.points.values) - len(rows) < len(basis.design.free) + 2:
        return failed("too_few_points")
    learned = without(basis, cells, list(rows), s)
    if not learned.enough:
        return failed("too_few_points")
    model = fit_optimum(learned, basis.points.z[rows], rng)
    away = learned.design.off_path(basis.points.z[rows])
    if len(learned.design.free) < len(basis.design.free) and (away > OFF_PATH).any():
        return failed("collinear_without_them")
    out = []
    for j, k in enumerate(map(int, rows)):
        x, draws = float(model.hp.at[j]), model.hp.at_draws[:, j]
        predicted = estimate(float(np.exp2(x)), np.exp2(draws), s.level)
        found = optimal_hp(basis.basins, k, s.level)
        regret = regret_between(basis.basins, k, x, draws, s.level)
        error, covered = None, None
        if basis.basins.fitted[k]:
            error = x - float(basis.basins.x[k])
            covered = bool((predicted.low or 0.0) <= np.exp2(basis.basins.x[k]) <= (predicted.high or np.inf))
        flags = model.flags if basis.basins.fitted[k] else (*model.flags, *basis.basins.flags[k])
        out.append(PlaceHoldOut(label, basis.points.at(k), predicted, found, error, regret, covered, flags))
    return out
