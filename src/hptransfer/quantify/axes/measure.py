"""Everything measured of one variant over several axes, put together from its basins and laws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.axes.answers import extrapolate_answer, keep_answer
from hptransfer.quantify.axes.departures import farthest
from hptransfer.quantify.axes.design import OFF_PATH, tied_sentence
from hptransfer.quantify.axes.envelope import Envelope, penalties
from hptransfer.quantify.axes.holdout import check_holdouts
from hptransfer.quantify.axes.law import further_terms
from hptransfer.quantify.axes.model import SPARE, AxesModel, AxesSettings, Basis, fit_model
from hptransfer.quantify.axes.paths import axis_laws
from hptransfer.quantify.axes.result import (
    AxesVariant,
    AxisBand,
    Place,
    PlacePrediction,
    PlaceRuns,
    PointOptimum,
    Surface,
)
from hptransfer.quantify.axes.rules import check_rules
from hptransfer.quantify.axes.suggest import suggest_runs
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.fit_error import fit_error, residuals_about
from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.predict import expected_regret
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate
from hptransfer.quantify.summarize import optimum
from hptransfer.sweep.table import FloatArray

GRID = 15  # places of a surface along each axis
LINE = 25  # places of a band
LEAST_STRAIGHT = 50  # draws without any turning, from which an interval can be taken
BEYOND = 1.0  # octaves that figures reach beyond runs and targets


@dataclass(frozen=True)
class Asked:
    """The places that the law is asked for, log2 of all axes: targets, then bands, then the surface."""

    targets: FloatArray  # [T, A]
    bands: tuple[tuple[int, FloatArray], ...]  # axis and places [P, A] of each
    surface: tuple[int, int, FloatArray, FloatArray] | None  # two axes and log2 of their values

    @property
    def surface_places(self) -> FloatArray:
        """Places of the surface, the first axis quickest, [X * Y, A]; none without."""
        if self.surface is None:
            return np.zeros((0, self.targets.shape[1]))
        i, j, x, y = self.surface
        base = self.bands[0][1][0].copy()
        out = np.tile(base, (len(x) * len(y), 1))
        out[:, i], out[:, j] = np.tile(x, len(y)), np.repeat(y, len(x))
        return out

    @property
    def every(self) -> FloatArray:
        """All places, [M, A]."""
        return np.vstack([self.targets, *(places for _, places in self.bands), self.surface_places])


def measure_axes(
    basis: Basis, cells: Cells, envelope: Envelope | None, settings: AxesSettings, place: int
) -> AxesVariant:
    """Laws, metrics, predictions, hold-outs, rules and answers of the variant at a place among all."""
    s = settings
    rng = np.random.default_rng([s.seed, 7, place])
    if not basis.enough:
        return _without_law(basis, s)
    asked = _asked(basis, s)
    model = fit_model(basis, asked.every, rng)
    q, free = model.question, basis.design.names
    tests = {
        name: estimate(value, draws, s.level)
        for name, (value, draws) in further_terms(q, _off_plane(model), free, rng).items()
    }
    bent = tuple(
        name for name, e in tests.items() if e.low is not None and e.high is not None and e.low * e.high > 0
    )
    predictions = tuple(_prediction(model, s, i, target, bent) for i, target in enumerate(s.targets))
    holdouts = check_holdouts(basis, cells, s, np.random.default_rng([s.seed, 8, place]))
    return AxesVariant(
        name=cells.variant,
        free=free,
        tied=tied_sentence(basis.design),
        points=_points(basis, s, model),
        axes=axis_laws(model, s),
        loss=_loss(model, s),
        metrics=_metrics(model, envelope, s, rng),
        tests=tests,
        interactions={f"{free[i]} x {free[j]}": float(p) for (i, j), p in model.hp.interacting.items()},
        predictions=predictions,
        holdouts=holdouts,
        rules=check_rules(model, s.targets, s.level),
        suggested=_suggested(model, s),
        keep=keep_answer(basis, s),
        extrapolate=extrapolate_answer(model, holdouts, predictions, s, bent),
        surfaces=_surfaces(model, asked, s.level),
        bands=_bands(model, asked, s.level),
        flags=(*model.flags, *(("collinear",) if basis.design.tied else ()), *_flags(cells)),
    )


def _without_law(basis: Basis, s: AxesSettings) -> AxesVariant:
    """What is left where too few points have an optimum."""
    found, needed = len(basis.inside), len(basis.design.free) + SPARE
    why = f"no_laws: optima inside the grid at {found} points, {len(basis.design.free)} axes need {needed}"
    nothing = missing("no_laws")
    cells = basis.basins.cells
    return AxesVariant(
        name=cells.variant, free=basis.design.names, tied=tied_sentence(basis.design),
        points=_points(basis, s, None), axes=(), loss={}, metrics={}, tests={}, interactions={},
        predictions=tuple(
            PlacePrediction(t, nothing, None, nothing, nothing, None, {}, ("no_laws",)) for t in s.targets
        ),
        holdouts=(), rules=(), suggested=(), keep=keep_answer(basis, s),
        extrapolate=extrapolate_answer(None, (), (), s, ()), flags=(why, *_flags(cells)),
    )  # fmt: skip


def _flags(cells: Cells) -> tuple[str, ...]:
    one = ("one_seed",) if cells.count.max(initial=0) == 1 else ()
    same = (f"duplicates: {cells.duplicates} identical rows dropped",) if cells.duplicates else ()
    return (*one, *same)


def _asked(basis: Basis, s: AxesSettings) -> Asked:
    """The targets; a line along every free axis through the first target, or the farthest point; a grid."""
    axes, z = s.axes, basis.points.z
    targets = np.log2(np.array([[t[axis] for axis in axes] for t in s.targets])).reshape(-1, len(axes))
    on_path = targets[basis.design.off_path(targets) <= OFF_PATH]
    base = on_path[0] if len(on_path) else z[np.argmax(z.sum(axis=1))]
    low = np.vstack([z, on_path]).min(axis=0) - BEYOND
    high = np.vstack([z, on_path]).max(axis=0) + BEYOND
    bands = []
    for i in basis.design.free:
        places = np.tile(base, (LINE, 1))
        places[:, i] = np.linspace(low[i], high[i], LINE)
        bands.append((i, places))
    free = basis.design.free
    if len(free) < 2:
        return Asked(targets, tuple(bands), None)
    i, j = free[:2]
    return Asked(
        targets, tuple(bands), (i, j, np.linspace(low[i], high[i], GRID), np.linspace(low[j], high[j], GRID))
    )


def _prediction(
    model: AxesModel, s: AxesSettings, i: int, target: Place, bent: tuple[str, ...]
) -> PlacePrediction:
    """What the laws say of the i-th place that was asked for."""
    basis, design = model.basis, model.basis.design
    z = np.log2(np.array([[target[axis] for axis in s.axes]]))
    off = float(design.off_path(z)[0])
    reach = farthest(basis.points.z[basis.inside], z)[0]
    beyond = dict(zip(s.axes, map(float, reach), strict=True))
    if off > OFF_PATH:
        nothing = missing("off_path")
        return PlacePrediction(target, nothing, None, nothing, nothing, None, beyond, ("off_path",))
    x, centre = model.hp.at_draws[:, i], float(model.hp.at[i])
    shape = basis.basins.shape_draws[model.index]
    values, cost = expected_regret(basis.basins, shape, x, model.log_curvature.at_draws[:, i], centre)
    best = int(np.argmin(cost))
    free = design.coordinates(z)
    loss = model.loss.draws_at(free)[:, 0]
    loss = loss + model.loss.scatter * np.random.default_rng([s.seed, 9, i]).standard_normal(len(loss))
    flags = [*model.flags]
    if reach.max() > np.log2(ADVICE.long_extrapolation):
        flags.append("long_extrapolation")
    if bent and reach.max() > 0:
        flags.append("bend")
    return PlacePrediction(
        at=target,
        hp=estimate(float(np.exp2(centre)), np.exp2(x), s.level),
        hp_recommended=float(np.exp2(values[best])),
        hp_straight=_straight(model, x, s.level),
        loss=estimate(float(model.loss.at(free)[0]), loss, s.level),
        regret=float(cost[best]),
        beyond=beyond,
        flags=tuple(flags),
    )


def _straight(model: AxesModel, x: FloatArray, level: float) -> Estimate:
    """Of the draws x [B] of log2 eta*, those under which the law turns along no axis."""
    straight = x[(model.hp.wander_draws == 0).all(axis=1)]
    if len(straight) < LEAST_STRAIGHT:
        return missing("law_turns")
    return estimate(float(np.exp2(np.median(straight))), np.exp2(straight), level)


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


def _loss(model: AxesModel, s: AxesSettings) -> dict[str, Estimate]:
    """L_inf, and A (at the smallest value of the axis) and alpha of every axis."""
    fit, free = model.loss, model.basis.design.names
    names = ["L_inf", *(f"A {axis}" for axis in free), *(f"alpha {axis}" for axis in free)]
    out = {}
    for i, name in enumerate(names):
        axis = (i - 1) % len(free)
        flags = ("no_gain",) if i and not fit.gains[axis] else ()
        out[name] = estimate(float(np.exp(fit.parameters[i])), np.exp(fit.draws[:, i]), s.level, *flags)
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


def _off_plane(model: AxesModel) -> float:
    """Sd of a point about the plane beyond the error of its optimum, whatever its reason, octaves."""
    q = model.question
    away = q.y - model.hp.plane(q.z)
    left = max(len(q.y) - q.z.shape[1] - 1, 1)
    beyond = float(away @ away) / left - float(np.mean(np.var(q.y_draws, axis=0)))
    return float(np.sqrt(max(beyond, float(np.mean(model.hp.scatter_draws**2)))))


def _suggested(model: AxesModel, s: AxesSettings) -> tuple[PlaceRuns, ...]:
    """What narrows the interval at the first target most, else at four times every axis."""
    design, z = model.basis.design, model.basis.points.z
    goal: Place = {axis: float(np.exp2(top + 2.0)) for axis, top in zip(s.axes, z.max(axis=0), strict=True)}
    for target in s.targets:
        at = np.log2(np.array([[target[axis] for axis in s.axes]]))
        if design.off_path(at)[0] <= OFF_PATH:
            goal = target
            break
    at = np.log2(np.array([goal[axis] for axis in s.axes]))
    return suggest_runs(model, goal, design.coordinates(at))


def _limits(draws: FloatArray, level: float) -> FloatArray:
    """Lower and upper limits of draws [B, P], [2, P]."""
    side = 0.5 * (1.0 - level)
    return np.asarray(np.quantile(draws, [side, 1.0 - side], axis=0))


def _bands(model: AxesModel, asked: Asked, level: float) -> tuple[AxisBand, ...]:
    out, start, axes = [], len(asked.targets), model.basis.design.axes
    for i, places in asked.bands:
        rows = slice(start, start + len(places))
        low, high = _limits(model.hp.at_draws[:, rows], level)
        rest = {axis: float(np.exp2(places[0, j])) for j, axis in enumerate(axes) if j != i}
        out.append(AxisBand(axes[i], places[:, i], model.hp.at[rows], low, high, rest))
        start += len(places)
    return tuple(out)


def _surfaces(model: AxesModel, asked: Asked, level: float) -> tuple[Surface, ...]:
    if asked.surface is None:
        return ()
    i, j, x, y = asked.surface
    count, axes = len(x) * len(y), model.basis.design.axes
    low, high = _limits(model.hp.at_draws[:, -count:], level)
    shape = (len(y), len(x))
    low, high = low.reshape(shape), high.reshape(shape)
    return (Surface((axes[i], axes[j]), x, y, model.hp.at[-count:].reshape(shape), high - low, low, high),)
