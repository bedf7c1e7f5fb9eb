"""Everything measured of one variant's joint basins over several axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hptransfer.quantify.axes.answers import by_cost, doubted, with_cost, written
from hptransfer.quantify.axes.design import tied_sentence
from hptransfer.quantify.axes.fit import laws_times, loss_times
from hptransfer.quantify.axes.measure import goal_of, loss_parameters, no_laws
from hptransfer.quantify.axes.measured_law import bends, measured_law, unknown_places
from hptransfer.quantify.axes.result import AxesLaws, Place, PlaceAnswer, PointOptimum
from hptransfer.quantify.axes.rules import check_rules, own_cost, same_everywhere
from hptransfer.quantify.intervals import missing
from hptransfer.quantify.joint.basins import fit_joint
from hptransfer.quantify.joint.costs import paid_at
from hptransfer.quantify.joint.relations import check_relations, ridges
from hptransfer.quantify.joint.result import JointOptimum, JointRuns
from hptransfer.quantify.joint.suggest import edge_runs, narrowing_runs
from hptransfer.quantify.joint.summarize import joint_optimum
from hptransfer.quantify.joint_axes.ahead import (
    Ahead,
    aheads,
    cost_ahead,
    joint_prediction,
    with_recommended,
)
from hptransfer.quantify.joint_axes.holdout import check_joint_holdouts
from hptransfer.quantify.joint_axes.model import (
    JointAxesContext,
    JointPlanes,
    PlaneLaw,
    fit_planes,
    plane_law,
)
from hptransfer.quantify.joint_axes.points import variant_points
from hptransfer.quantify.joint_axes.result import JointAxesVariant, JointPlaceHoldOut
from hptransfer.quantify.result import Estimate


def measure_joint_axes(context: JointAxesContext, name: str, place: int) -> JointAxesVariant:
    """The joint fit of one variant, the place-th of all; losses in the unit of the table."""
    s, unit = context.settings, context.unit
    points, runs = variant_points(context.table, s.axes, name, context.values, context.hps)
    basins = fit_joint(runs, s.draws, np.random.default_rng([s.seed, 10, place]))
    rng = np.random.default_rng([s.seed, 13, place])
    planes = fit_planes(context, points, basins, rng)
    quantities = [law.quantity for law in planes.laws]
    optima = tuple(
        replace(joint_optimum(basins, k, quantities, s.tolerance, s.level, unit), at=points.at(k))
        for k in range(len(points.values))
    )
    found = aheads(context, planes, rng)
    laws = {
        law.quantity.name: laws_times(
            with_recommended(_law(context, planes, j, optima, rng), law.quantity.name, found, context),
            1.0 / unit,
        )
        for j, law in enumerate(planes.laws)
    }
    holdouts = check_joint_holdouts(context, planes, place, rng)
    first = planes.laws[0].model
    relations = check_relations(
        basins,
        context.table.sweep,
        s,
        [None if a is None else (a.z, a.x) for a in found],
        lambda q: plane_law(points, basins, q, s, rng).model,
    )
    keep, kept = _keep(context, planes, found)
    return JointAxesVariant(
        name=name,
        tied=tied_sentence(planes.laws[0].basis.design),
        optima=optima,
        laws=laws,
        loss={} if first is None else loss_times(loss_parameters(first, s.level), 1.0 / unit),
        predictions=tuple(joint_prediction(context, laws, i, a) for i, a in enumerate(found)),
        holdouts=tuple(replace(h, regret=h.regret.times(1.0 / unit)) for h in holdouts),
        ridges=ridges(basins, s.level),
        relations=tuple(
            replace(r, cost=(r.cost or 0.0) / unit, worst=(r.worst or 0.0) / unit) for r in relations
        ),
        suggested=_suggested(context, planes),
        keep=keep,
        extrapolate=_extrapolate(context, planes, laws, holdouts, found),
        kept=kept,
        noise=basins.noise / unit,
        flags=_flags(planes),
    )


def _law(
    context: JointAxesContext, planes: JointPlanes, j: int, optima: tuple[JointOptimum, ...],
    rng: np.random.Generator,
) -> AxesLaws:  # fmt: skip
    """The j-th law as plain data, losses in nats."""
    law = planes.laws[j]
    s, design = replace(context.settings, hp=law.quantity.name), law.basis.design
    points = _optima_of(context, planes, law, optima)
    if law.model is None or law.asked is None:
        return AxesLaws(
            law.quantity.name, design.names, tied_sentence(design), points,
            predictions=unknown_places(s, "no_laws"), flags=(no_laws(law.basis),),
        )  # fmt: skip
    if j < planes.d:
        rules = check_rules(law.model, s, lambda k, x: planes.basins.profile(k, j, x))
    else:
        rules = (same_everywhere(law.model, s, own_cost(law.model)),)
    return replace(measured_law(law.model, law.asked, points, rules, s, rng), name=law.quantity.name)


def _optima_of(
    context: JointAxesContext, planes: JointPlanes, law: PlaneLaw, optima: tuple[JointOptimum, ...]
) -> tuple[PointOptimum, ...]:
    """One quantity's optimum at every point; losses in nats, as all of a law's are until converted."""
    name, z = law.quantity.name, law.basis.design.coordinates(planes.points.z)
    plane = None if law.model is None else np.exp2(law.model.hp.plane(z))
    return tuple(
        PointOptimum(
            at=o.at,
            hp={**o.hp, **o.combinations}[name],
            law=None if plane is None else float(plane[k]),
            loss=o.loss.times(context.unit),
            runs=o.runs,
            diverged=o.diverged,
            lowest=(o.best_run or {}).get(name),
            flags=o.flags,
        )
        for k, o in enumerate(optima)
    )


def _keep(
    context: JointAxesContext, planes: JointPlanes, found: tuple[Ahead | None, ...]
) -> tuple[PlaceAnswer, dict[str, float]]:
    """Whether all values of the smallest point cost less than the tolerance elsewhere; and those values."""
    s, basins, inside = context.settings, planes.basins, planes.basins.inside
    if not len(inside):
        why = "no point has an optimum within what was run"
        return PlaceAnswer("not known", missing("no_optimum"), None, why), {}
    start = int(inside[np.argmin(planes.points.z[inside].sum(axis=1))])
    x = basins.x[start]
    costs: list[tuple[Estimate, Place]] = [
        (paid_at(basins, int(k), x, s.level).paid.estimate, planes.points.at(int(k)))
        for k in np.flatnonzero(basins.fitted)
        if k != start
    ]
    costs += [(cost_ahead(planes, a, x, s.level), a.at) for a in found if a is not None]
    answer = by_cost(costs, s.tolerance, f"keeping the optimum of {written(planes.points.at(start))}")
    kept = {name: float(context.hps.value(j, x[j])) for j, name in enumerate(context.hps.names)}
    return _in_unit(context, answer), kept


def _extrapolate(
    context: JointAxesContext, planes: JointPlanes, laws: dict[str, AxesLaws],
    holdouts: tuple[JointPlaceHoldOut, ...], found: tuple[Ahead | None, ...],
) -> PlaceAnswer:  # fmt: skip
    """Whether the laws' values cost less than the tolerance at the points left out, and at the targets."""
    s = context.settings
    if planes.together is None:
        why = "too few points have an optimum for a law of every hyperparameter"
        return PlaceAnswer("not known", missing("no_laws"), None, why)
    costs = [(h.regret, h.at) for h in holdouts if h.regret.value is not None]
    if not costs:
        why = "no points could be left out to check the laws"
        return PlaceAnswer("not known", missing("no_holdout"), None, why)
    costs += [(cost_ahead(planes, a, a.best, s.level), a.at) for a in found if a is not None]
    held = [value for h in holdouts for value in h.covered.values() if value is not None]
    bent = [f"{name}: {term}" for name in context.hps.names for term in bends(laws[name].tests)]
    answer = by_cost(costs, s.tolerance, "following the laws")
    return _in_unit(context, doubted(answer, bent, 2 * sum(held) < len(held)))


def _in_unit(context: JointAxesContext, answer: PlaceAnswer) -> PlaceAnswer:
    cost = answer.cost.times(1.0 / context.unit)
    return with_cost(replace(answer, cost=cost), context.table.sweep.metric.unit)


def _suggested(context: JointAxesContext, planes: JointPlanes) -> tuple[JointRuns, ...]:
    """Past edges first, then where a grid narrows the intervals of all hyperparameters most for its price."""
    edges, models = edge_runs(planes.basins, planes.points), planes.together
    if models is None:
        return edges
    goal = goal_of(models[0].basis, context.settings)
    return edges + narrowing_runs(models, context.hps.names, goal)


def _flags(planes: JointPlanes) -> tuple[str, ...]:
    flags = []
    if planes.together is None:
        bare = next(law for law in planes.laws if law.model is None)
        flags.append(no_laws(bare.basis))
    if any(law.basis.design.tied for law in planes.laws[: planes.d]):
        flags.append("collinear")
    if planes.basins.points.count.max(initial=0) == 1:
        flags.append("one_seed")
    return tuple(flags)
