"""Rules that tie hyperparameters to each other: LR as a power of batch, a constant timescale of weight decay.

How the best learning rate moves with the batch size, all else kept, is the slope of the ridge of their basin.
A constant timescale is a product of hyperparameters and axes that is the same at every point.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hptransfer.quantify.axes.result import RuleCheck
from hptransfer.quantify.axes.rules import Rule, check_rule, hp_kind, kind_of
from hptransfer.quantify.intervals import estimate
from hptransfer.quantify.joint.basins import part
from hptransfer.quantify.joint.laws import quantity
from hptransfer.quantify.joint_axes.ahead import Ahead
from hptransfer.quantify.joint_axes.model import JointAxesContext, JointPlanes, plane_law
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray, IntArray

BATCH_POWERS = (("LR as the square root of batch", "arXiv:2205.10287", 0.5),
                ("LR linear in batch", "arXiv:1706.02677", 1.0))  # fmt: skip
TIMESCALE = {"lr": -1.0, "weight decay": -1.0, "batch": 1.0, "tokens": -1.0}
LEAST_SD = 1e-3  # of a ridge's slope
UNKNOWN = float("nan")


def check_relations(
    context: JointAxesContext, planes: JointPlanes, found: tuple[Ahead | None, ...], rng: np.random.Generator
) -> tuple[RuleCheck, ...]:
    """Every relation between hyperparameters that were fitted; predictions are of the learning rate."""
    kinds = [hp_kind(name) for name in context.hps.names]
    out = []
    if "lr" in kinds and "batch" in kinds and len(planes.inside):
        out += _powers_of_batch(context, planes, found, (kinds.index("lr"), kinds.index("batch")))
    if "lr" in kinds and sum(kind in TIMESCALE for kind in kinds) > 1:
        out += _timescale(context, planes, found, rng)
    return tuple(out)


def ridge(planes: JointPlanes, first: int, second: int, level: float) -> Estimate:
    """Octaves by which the best value of one hyperparameter moves per octave of another, mean over points."""
    value, draws = _ridge(planes, first, second)
    return estimate(value, draws, level)


def _ridge(planes: JointPlanes, first: int, second: int) -> tuple[float, FloatArray]:
    inside, basins = planes.inside, planes.basins

    def slope(curvature: FloatArray) -> FloatArray:
        return np.asarray(-curvature[..., first, second] / curvature[..., first, first])

    here = slope(basins.surface.curvature()[inside])
    return float(here.mean()), slope(basins.surface_draws.curvature()[:, inside]).mean(axis=1)


def _powers_of_batch(
    context: JointAxesContext, planes: JointPlanes, found: tuple[Ahead | None, ...], pair: tuple[int, int]
) -> list[RuleCheck]:
    from scipy.special import erfc  # here, so that importing the package stays quick

    s, inside, (lr, batch) = context.settings, planes.inside, pair
    value, draws = _ridge(planes, lr, batch)
    names = context.hps.names
    start = planes.basins.x[inside[np.argmin(planes.points.z[inside].sum(axis=1))], batch]
    note = f"at target: for {names[batch]} {2.0**start:.3g}"
    out = []
    for name, source, power in BATCH_POWERS:
        costs = [_cost(planes, int(k), pair, power) for k in inside]
        z = abs(value - power) / max(float(np.std(draws)), LEAST_SD)
        chance = float(erfc(z / np.sqrt(2.0)))
        at = tuple(
            UNKNOWN if a is None else float(np.exp2(a.x[lr] + power * (start - a.x[batch]))) for a in found
        )
        out.append(
            RuleCheck(
                name, source, {names[batch]: power}, f"the runs have {names[batch]}^{value:.2g}",
                float(np.mean(costs)), float(np.max(costs)), chance, chance < 1.0 - s.level, at, note,
            )
        )  # fmt: skip
    return out


def _cost(planes: JointPlanes, k: int, pair: tuple[int, int], power: float) -> float:
    """Of a rule where the batch is half or twice its best: beyond what the best LR for it costs, nats."""
    lr, batch = pair
    u = np.zeros((2, planes.d))
    u[:, batch] = [-1.0, 1.0]
    u[:, lr] = power * u[:, batch]
    by_rule = part(planes.basins.surface, k).excess(u)
    best = [planes.profile(k, batch, planes.basins.x[k, batch] + step) for step in (-1.0, 1.0)]
    return float(np.mean(np.maximum(by_rule - best, 0.0)))


def _timescale(
    context: JointAxesContext, planes: JointPlanes, found: tuple[Ahead | None, ...], rng: np.random.Generator
) -> list[RuleCheck]:
    s, basins, names = context.settings, planes.basins, context.hps.names
    weight = np.array([TIMESCALE.get(hp_kind(name) or "", 0.0) for name in names])
    powers = np.array([TIMESCALE.get(kind_of(axis) or "", 0.0) for axis in s.axes])
    q = quantity(basins, "timescale", weight, planes.points.z @ powers)
    law = plane_law(planes.points, basins, q, s, rng)
    if law.model is None:
        return []
    lr = [hp_kind(name) for name in names].index("lr")

    def cost(k: int, x: float) -> float:
        """Of the learning rate where the rule has it, the others at the optimum, nats."""
        u = np.zeros(len(weight))
        u[lr] = (x - q.x[k]) / weight[lr]
        return float(part(basins.surface, k).excess(u))

    rule = Rule("constant decay timescale, batch / (LR decay tokens)", "arXiv:2405.13698", {})
    checked = check_rule(law.model, rule, dict.fromkeys(s.axes, 0.0), s, cost)
    every = [*zip(names, weight, strict=True), *zip(s.axes, powers, strict=True)]
    given = {name: float(power) for name, power in every if power}
    kinds = {hp_kind(name) or kind_of(name) for name in given}
    missing = [kind for kind in TIMESCALE if kind not in kinds]
    return [
        replace(
            checked,
            exponents=given,
            predictions=tuple(_lr_of(a, q.x, law.basis.inside, (weight, powers, lr)) for a in found),
            note=f"{' and '.join(missing)} fixed" if missing else "",
        )
    ]


def _lr_of(
    ahead: Ahead | None, x: FloatArray, inside: IntArray, rule: tuple[FloatArray, FloatArray, int]
) -> float:
    """The learning rate at a place by the mean of a product [K] at the points that have one."""
    if ahead is None:
        return UNKNOWN
    weight, powers, lr = rule
    away = float(np.mean(x[inside])) - powers @ ahead.z - weight @ ahead.x
    return float(np.exp2(ahead.x[lr] + away / weight[lr]))
