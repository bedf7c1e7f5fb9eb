"""Hold-outs of a joint fit over several axes: the largest of each axis, and a corner, left out."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.axes.design import OFF_PATH
from hptransfer.quantify.axes.holdout import left_out
from hptransfer.quantify.axes.model import OptimumLaw, fit_optimum
from hptransfer.quantify.intervals import missing
from hptransfer.quantify.joint.basins import JointBasins, TooFewRunsError, fit_joint
from hptransfer.quantify.joint.costs import least_cost, paid_at
from hptransfer.quantify.joint.laws import quantities_of
from hptransfer.quantify.joint.suggest import basis_of
from hptransfer.quantify.joint.summarize import bounded, hp_estimate
from hptransfer.quantify.joint_axes.model import JointAxesContext, JointPlanes
from hptransfer.quantify.joint_axes.result import JointPlaceHoldOut
from hptransfer.sweep.table import IntArray


def check_joint_holdouts(
    context: JointAxesContext, planes: JointPlanes, place: int, rng: np.random.Generator
) -> tuple[JointPlaceHoldOut, ...]:
    """Every set of points left out in turn, each of its points predicted by the rest; losses in nats."""
    out = []
    for label, rows in left_out(planes.laws[0].basis):
        learned = _learned(context, planes, rows, place, rng)
        out += [
            _failed(context, planes, label, int(k), learned)
            if isinstance(learned, str)
            else _compared(context, planes, (label, int(k), i), learned, rng)
            for i, k in enumerate(rows)
        ]
    return tuple(out)


def _learned(
    context: JointAxesContext, planes: JointPlanes, rows: IntArray, place: int, rng: np.random.Generator
) -> tuple[JointBasins, list[OptimumLaw]] | str:
    """Basins and laws of the points that are left, asked for the others; why not, where there are none."""
    s = context.settings
    left = np.setdiff1d(np.arange(len(planes.points.values)), rows)
    draws = np.random.default_rng([s.seed, 12, place])
    try:
        basins = fit_joint(planes.basins.points.take(left), s.draws, draws)
    except TooFewRunsError:
        return "too_few_points"
    places, laws = planes.points.z[rows], []
    for q in quantities_of(basins, context.table.sweep, ()):
        basis = basis_of(planes.points.take(left), basins, q)
        if not basis.enough:
            return "too_few_points"
        if (basis.design.off_path(places) > OFF_PATH).any():
            return "collinear_without_them"
        laws.append(fit_optimum(basis, places, rng))
    return basins, laws


def _failed(
    context: JointAxesContext, planes: JointPlanes, label: str, k: int, why: str
) -> JointPlaceHoldOut:
    names, nothing = context.hps.names, missing(why)
    found = {name: hp_estimate(planes.basins, k, j, context.settings.level) for j, name in enumerate(names)}
    none = dict.fromkeys(names)
    at = planes.points.at(k)
    return JointPlaceHoldOut(
        label, at, dict.fromkeys(names, nothing), found, none, dict(none), nothing, (why,)
    )


def _compared(
    context: JointAxesContext, planes: JointPlanes, which: tuple[str, int, int],
    learned: tuple[JointBasins, list[OptimumLaw]], rng: np.random.Generator,
) -> JointPlaceHoldOut:  # fmt: skip
    """The point `which` is of: the label of its set, its number among all, its number in the set."""
    (label, k, i), (basins, laws), full = which, learned, planes.basins
    level, names = context.settings.level, context.hps.names
    x = np.array([law.hp.at[i] for law in laws])
    draws = np.stack([law.hp.at_draws[:, i] for law in laws], axis=1)
    predicted = {name: bounded(float(x[j]), draws[:, j], level) for j, name in enumerate(names)}
    inside = full.fitted[k] & (full.edge[k] == 0)
    covered: dict[str, bool | None] = {}
    for j, name in enumerate(names):
        low, high = predicted[name].low or 0.0, predicted[name].high or np.inf
        covered[name] = bool(low <= np.exp2(full.x[k, j]) <= high) if inside[j] else None
    best, _ = least_cost(basins, planes.points.z[k], x, draws, rng)
    return JointPlaceHoldOut(
        left_out=label,
        at=planes.points.at(k),
        predicted=predicted,
        found={name: hp_estimate(full, k, j, level) for j, name in enumerate(names)},
        error_octaves={
            name: float(x[j] - full.x[k, j]) if inside[j] else None for j, name in enumerate(names)
        },
        covered=covered,
        regret=paid_at(full, k, best, level).paid.estimate,
        flags=tuple(dict.fromkeys((*(flag for law in laws for flag in law.flags), *full.flags[k]))),
    )
