"""What one law over several axes says: exponents, tests of its plane, predictions, named rules, figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hptransfer.quantify.axes.asked import Asked, bands_of, surfaces_of
from hptransfer.quantify.axes.departures import farthest
from hptransfer.quantify.axes.design import OFF_PATH, tied_sentence
from hptransfer.quantify.axes.law import further_terms
from hptransfer.quantify.axes.model import AxesModel, AxesSettings
from hptransfer.quantify.axes.paths import axis_laws
from hptransfer.quantify.axes.result import AxesLaws, Place, PlacePrediction, PointOptimum, RuleCheck
from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.predict import expected_regret
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate


def measured_law(
    model: AxesModel, asked: Asked, points: tuple[PointOptimum, ...], rules: tuple[RuleCheck, ...],
    s: AxesSettings, rng: np.random.Generator,
) -> AxesLaws:  # fmt: skip
    """The law of a model whose places were `asked`, beside its optima and the rules they were judged by."""
    free = model.basis.design.names
    tests = {
        name: estimate(value, draws, s.level)
        for name, (value, draws) in further_terms(model.question, _off_plane(model), free, rng).items()
    }
    return AxesLaws(
        name=model.basis.basins.cells.variant,
        free=free,
        tied=tied_sentence(model.basis.design),
        points=points,
        axes=axis_laws(model, s),
        tests=tests,
        interactions={f"{free[i]} x {free[j]}": float(p) for (i, j), p in model.hp.interacting.items()},
        predictions=tuple(_prediction(model, s, i, t, bends(tests)) for i, t in enumerate(s.targets)),
        rules=rules,
        surfaces=surfaces_of(model, asked, s.level),
        bands=bands_of(model, asked, s.level),
        flags=(*model.flags, *(("collinear",) if model.basis.design.tied else ())),
    )


def bends(tests: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Names of the bends and interactions whose intervals leave 0 out."""
    return tuple(
        name for name, e in tests.items() if e.low is not None and e.high is not None and e.low * e.high > 0
    )


def unknown_places(s: AxesSettings, why: str) -> tuple[PlacePrediction, ...]:
    """Predictions where there is no law."""
    nothing = missing(why)
    return tuple(PlacePrediction(t, nothing, None, nothing, nothing, None, {}, (why,)) for t in s.targets)


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
        hp_straight=estimate(
            float(np.exp2(model.straight.at[i])), np.exp2(model.straight.at_draws[:, i]), s.level
        ),
        loss=estimate(float(model.loss.at(free)[0]), loss, s.level),
        regret=float(cost[best]),
        beyond=beyond,
        flags=tuple(flags),
    )


def _off_plane(model: AxesModel) -> float:
    """Sd of a point about the plane beyond the error of its optimum, whatever its reason, octaves."""
    q = model.question
    away = q.y - model.hp.plane(q.z)
    left = max(len(q.y) - q.z.shape[1] - 1, 1)
    beyond = float(away @ away) / left - float(np.mean(np.var(q.y_draws, axis=0)))
    return float(np.sqrt(max(beyond, float(np.mean(model.hp.scatter_draws**2)))))
