"""Everything measured of one variant over several axes, put together from its basins and laws."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.axes.answers import extrapolate_answer, keep_answer
from hptransfer.quantify.axes.asked import asked_places
from hptransfer.quantify.axes.design import OFF_PATH, tied_sentence
from hptransfer.quantify.axes.envelope import Envelope, penalties
from hptransfer.quantify.axes.holdout import check_holdouts
from hptransfer.quantify.axes.measured_law import bends, measured_law, unknown_places
from hptransfer.quantify.axes.model import SPARE, AxesModel, AxesSettings, Basis, fit_model
from hptransfer.quantify.axes.result import AxesVariant, Place, PlaceRuns, PointOptimum
from hptransfer.quantify.axes.rules import check_rules
from hptransfer.quantify.axes.suggest import suggest_runs
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.fit_error import fit_error, residuals_about
from hptransfer.quantify.intervals import estimate
from hptransfer.quantify.result import Estimate
from hptransfer.quantify.summarize import optimum


def measure_axes(
    basis: Basis, cells: Cells, envelope: Envelope | None, settings: AxesSettings, place: int
) -> AxesVariant:
    """Laws, metrics, predictions, hold-outs, rules and answers of the variant at a place among all."""
    s = settings
    rng = np.random.default_rng([s.seed, 7, place])
    if not basis.enough:
        return _without_law(basis, s)
    asked = asked_places(basis, s)
    model = fit_model(basis, asked.every, rng)
    rules = check_rules(model, s)
    law = measured_law(model, asked, _points(basis, s, model), rules, s, rng)
    holdouts = check_holdouts(basis, cells, s, np.random.default_rng([s.seed, 8, place]))
    return AxesVariant(
        **{**vars(law), "flags": (*law.flags, *_flags(cells))},
        loss=loss_parameters(model, s.level),
        metrics=_metrics(model, envelope, s, rng),
        holdouts=holdouts,
        suggested=_suggested(model, s),
        keep=keep_answer(basis, s),
        extrapolate=extrapolate_answer(model, holdouts, law.predictions, s, bends(law.tests)),
    )


def _without_law(basis: Basis, s: AxesSettings) -> AxesVariant:
    """What is left where too few points have an optimum."""
    cells = basis.basins.cells
    return AxesVariant(
        name=cells.variant, free=basis.design.names, tied=tied_sentence(basis.design),
        points=_points(basis, s, None), loss={}, metrics={}, predictions=unknown_places(s, "no_laws"),
        holdouts=(), suggested=(), keep=keep_answer(basis, s),
        extrapolate=extrapolate_answer(None, (), (), s, ()), flags=(no_laws(basis), *_flags(cells)),
    )  # fmt: skip


def no_laws(basis: Basis) -> str:
    """Why there is no law, as a flag."""
    found, needed = len(basis.inside), len(basis.design.free) + SPARE
    return f"no_laws: optima inside the grid at {found} points, {len(basis.design.free)} axes need {needed}"


def _flags(cells: Cells) -> tuple[str, ...]:
    one = ("one_seed",) if cells.count.max(initial=0) == 1 else ()
    same = (f"duplicates: {cells.duplicates} identical rows dropped",) if cells.duplicates else ()
    return (*one, *same)


def _points(basis: Basis, s: AxesSettings, model: AxesModel | None) -> tuple[PointOptimum, ...]:
    out = []
    cells = basis.basins.cells
    plane = None if model is None else model.hp.plane(basis.design.coordinates(basis.points.z))
    for k in range(len(basis.points.values)):
        found = optimum(basis.basins, k, s.level)
        usable = cells.usable[k]
        lowest = (
            float(np.exp2(cells.x[k, np.nanargmin(np.where(usable, cells.loss[k], np.nan))]))
            if usable.any()
            else None
        )
        law = None if plane is None else float(np.exp2(plane[k]))
        out.append(
            PointOptimum(
                basis.points.at(k), found.hp, law, found.loss, found.runs, found.diverged, lowest, found.flags
            )
        )
    return tuple(out)


def loss_parameters(model: AxesModel, level: float) -> dict[str, Estimate]:
    """L_inf, and A (at the smallest value of the axis) and alpha of every axis."""
    fit, free = model.loss, model.basis.design.names
    names = ["L_inf", *(f"A {axis}" for axis in free), *(f"alpha {axis}" for axis in free)]
    out = {}
    for i, name in enumerate(names):
        axis = (i - 1) % len(free)
        flags = ("no_gain",) if i and not fit.gains[axis] else ()
        out[name] = estimate(float(np.exp(fit.parameters[i])), np.exp(fit.draws[:, i]), level, *flags)
    return out


def _metrics(
    model: AxesModel, envelope: Envelope | None, s: AxesSettings, rng: np.random.Generator
) -> dict[str, Estimate]:
    """E, E_hp, the scatter of points, and R where there are several variants."""
    basis, z = model.basis, model.basis.design.coordinates(model.basis.points.z)
    plane = model.hp.plane(z)
    residuals = residuals_about(basis.basins, plane, model.loss.at(z), model.log_curvature.plane(z), s.filter)
    inside = basis.inside
    away = basis.basins.x_draws[:, inside] - plane[inside]
    value = float(np.sqrt(np.mean((basis.basins.x[inside] - plane[inside]) ** 2)))
    error = fit_error(residuals, s.draws, rng)
    return {
        "E": estimate(error.value, error.draws, s.level),
        "E_hp": estimate(value, np.sqrt(np.mean(away**2, axis=1)), s.level),
        "scatter": estimate(float(np.median(model.hp.scatter_draws)), model.hp.scatter_draws, s.level),
        **penalties(model, envelope, s.level),
    }


def _suggested(model: AxesModel, s: AxesSettings) -> tuple[PlaceRuns, ...]:
    """What narrows the interval at the goal most."""
    goal = goal_of(model.basis, s)
    at = np.log2(np.array([goal[axis] for axis in s.axes]))
    return suggest_runs(model, goal, model.basis.design.coordinates(at))


def goal_of(basis: Basis, s: AxesSettings) -> Place:
    """Where an interval is to narrow: the first target on the runs' path, else four times every axis."""
    for target in s.targets:
        at = np.log2(np.array([[target[axis] for axis in s.axes]]))
        if basis.design.off_path(at)[0] <= OFF_PATH:
            return target
    top = basis.points.z.max(axis=0)
    return {axis: float(np.exp2(high + 2.0)) for axis, high in zip(s.axes, top, strict=True)}
