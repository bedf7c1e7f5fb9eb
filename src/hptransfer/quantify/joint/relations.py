"""Rules that tie hyperparameters to each other: LR as a power of batch, a constant timescale of weight decay.

How the best learning rate moves with the batch size, all else kept, is the slope of the ridge of their basin.
A constant timescale is a product of hyperparameters and other columns that is the same at every point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hptransfer.quantify.axes.model import AxesSettings
from hptransfer.quantify.axes.result import RuleCheck
from hptransfer.quantify.axes.rules import Law, Rule, check_rule, hp_kind, kind_of
from hptransfer.quantify.intervals import estimate
from hptransfer.quantify.joint.basins import JointBasins, part
from hptransfer.quantify.joint.laws import Quantity, quantity
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray, SweepTable
from hptransfer.words import rough

BATCH_POWERS = (("LR ~ batch^0.5", "arXiv:2205.10287", 0.5), ("LR ~ batch", "arXiv:1706.02677", 1.0))
TIMESCALE = {"lr": -1.0, "weight decay": -1.0, "batch": 1.0, "tokens": -1.0}
LEAST_SD = 1e-3  # of a ridge's slope
FOLLOWS = 0.01  # octaves within which a column must go with the axes for its value at a target to be known
UNKNOWN = float("nan")
Ahead = tuple[FloatArray, FloatArray] | None  # a target's axes [A] and optimum [d], log2; None without laws


def check_relations(
    basins: JointBasins,
    sweep: SweepTable,
    s: AxesSettings,
    ahead: Sequence[Ahead],
    law: Callable[[Quantity], Law | None],
) -> tuple[RuleCheck, ...]:
    """Every relation between hyperparameters that were fitted; predictions are of the learning rate.

    Args:
        basins: of one variant.
        sweep: the runs; columns with one value at each scale may be part of a timescale.
        s: names of the axes, targets and level.
        ahead: at every target.
        law: fits the law of a quantity; None where it cannot be.
    """
    kinds = [hp_kind(name) for name in basins.points.axes.names]
    out = []
    if "lr" in kinds and "batch" in kinds and len(basins.inside):
        out += _powers_of_batch(basins, s.level, ahead, (kinds.index("lr"), kinds.index("batch")))
    if "lr" in kinds and sum(kind in TIMESCALE for kind in kinds) > 1:
        out += _timescale(basins, _columns(basins, sweep), s, ahead, law)
    return tuple(out)


def ridges(basins: JointBasins, level: float) -> dict[str, Estimate]:
    """Octaves by which the best value of one hyperparameter moves per octave of another, mean over points."""
    names, known = basins.points.axes.names, len(basins.inside) > 0
    pairs = [(i, j) for i in range(len(names)) for j in range(len(names)) if i != j and known]
    return {f"{names[i]} per {names[j]}": estimate(*_ridge(basins, i, j), level) for i, j in pairs}


def _ridge(basins: JointBasins, first: int, second: int) -> tuple[float, FloatArray]:
    inside = basins.inside

    def slope(curvature: FloatArray) -> FloatArray:
        return np.asarray(-curvature[..., first, second] / curvature[..., first, first])

    here = slope(basins.surface.curvature()[inside])
    return float(here.mean()), slope(basins.surface_draws.curvature()[:, inside]).mean(axis=1)


def _powers_of_batch(
    basins: JointBasins, level: float, ahead: Sequence[Ahead], pair: tuple[int, int]
) -> list[RuleCheck]:
    from scipy.special import erfc  # here, so that importing the package stays quick

    inside, (lr, batch), names = basins.inside, pair, basins.points.axes.names
    value, draws = _ridge(basins, lr, batch)
    start = basins.x[inside[np.argmin(basins.points.place[inside].sum(axis=1))], batch]
    note = f"at target: for {names[batch]} {rough(2.0**start)}"
    out = []
    for name, source, power in BATCH_POWERS:
        costs = [_cost(basins, int(k), pair, power) for k in inside]
        z = abs(value - power) / max(float(np.std(draws)), LEAST_SD)
        chance = float(erfc(z / np.sqrt(2.0)))
        at = tuple(
            UNKNOWN if a is None else float(np.exp2(a[1][lr] + power * (start - a[1][batch]))) for a in ahead
        )
        out.append(
            RuleCheck(
                name, source, {names[batch]: power}, "fitted",
                float(np.mean(costs)), float(np.max(costs)), chance, chance < 1.0 - level, at, note,
            )
        )  # fmt: skip
    return out


def _cost(basins: JointBasins, k: int, pair: tuple[int, int], power: float) -> float:
    """Of a rule where the batch is half or twice its best: beyond what the best LR for it costs, nats."""
    lr, batch = pair
    u = np.zeros((2, basins.layout.d))
    u[:, batch] = [-1.0, 1.0]
    u[:, lr] = power * u[:, batch]
    by_rule = part(basins.surface, k).excess(u)
    best = [basins.profile(k, batch, basins.x[k, batch] + step) for step in (-1.0, 1.0)]
    return float(np.mean(np.maximum(by_rule - best, 0.0)))


def _columns(basins: JointBasins, sweep: SweepTable) -> dict[str, FloatArray]:
    """log2 of the columns that are part of a timescale and have one value at each scale, [K] each."""
    points, names = basins.points, basins.points.axes.names
    rows = sweep.variant == points.variant
    taken, out = {hp_kind(name) for name in names}, {}
    for name, values in {sweep.columns.scale: sweep.scale, **sweep.extra}.items():
        kind = None if name in names else kind_of(name) or hp_kind(name)
        found = [np.unique(values[rows & (sweep.scale == scale)]) for scale in points.scale]
        if kind in TIMESCALE and kind not in taken and all(len(v) == 1 and 0 < v[0] < np.inf for v in found):
            taken.add(kind)
            out[name] = np.log2(np.concatenate(found))
    return out


def _timescale(
    basins: JointBasins,
    columns: Mapping[str, FloatArray],
    s: AxesSettings,
    ahead: Sequence[Ahead],
    law: Callable[[Quantity], Law | None],
) -> list[RuleCheck]:
    names = basins.points.axes.names
    weight = np.array([TIMESCALE.get(hp_kind(name) or "", 0.0) for name in names])
    powers = {name: TIMESCALE[kind_of(name) or hp_kind(name) or ""] for name in columns}
    rest = sum((powers[name] * x for name, x in columns.items()), np.zeros(len(basins.fitted)))
    q = quantity(basins, "timescale", weight, rest)
    found = law(q)
    if found is None:
        return []
    lr = [hp_kind(name) for name in names].index("lr")

    def cost(k: int, x: float) -> float:
        """Of the learning rate where the rule has it, the others at the optimum, nats."""
        u = np.zeros(len(weight))
        u[lr] = (x - q.x[k]) / weight[lr]
        return float(part(basins.surface, k).excess(u))

    rule = Rule("constant decay timescale", "arXiv:2405.13698", {})
    checked = check_rule(found, rule, dict.fromkeys(s.axes, 0.0), s, cost)
    every = [*zip(names, weight, strict=True), *powers.items()]
    given = {name: float(power) for name, power in every if power}
    kinds = {hp_kind(name) or kind_of(name) for name in given}
    missing = [kind for kind in TIMESCALE if kind not in kinds]
    level = float(np.mean(q.x[found.basis.inside]))

    def of_lr(z: FloatArray, x: FloatArray) -> float:
        """The learning rate at a place by the mean of the product at the scales that have one."""
        away = level - _ahead(basins, rest, z) - weight @ x
        return float(np.exp2(x[lr] + away / weight[lr]))

    predictions = tuple(UNKNOWN if a is None else of_lr(*a) for a in ahead)
    note = f"{' and '.join(missing)} fixed" if missing else ""
    return [replace(checked, exponents=given, predictions=predictions, note=note)]


def _ahead(basins: JointBasins, rest: FloatArray, z: FloatArray) -> float:
    """What the columns come to at a place z [A], where they go with the axes as a power; else unknown."""
    basis = np.column_stack([np.ones(len(rest)), basins.points.place])
    line = np.linalg.lstsq(basis, rest, rcond=None)[0]
    follows = bool(np.abs(rest - basis @ line).max() < FOLLOWS)
    return float(line[0] + z @ line[1:]) if follows else UNKNOWN
