"""Everything measured of one variant's joint basins: optima, laws, predictions, hold-outs, the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.intervals import MetricDraws, estimate, missing
from hptransfer.quantify.joint.basins import JointBasins, TooFewRunsError, fit_joint
from hptransfer.quantify.joint.combination import Combination
from hptransfer.quantify.joint.costs import JointCost, Judge, least_cost, paid_ahead, paid_at
from hptransfer.quantify.joint.laws import Quantity, QuantityLaw, fit_law, quantities_of
from hptransfer.quantify.joint.points import Axes, points_of
from hptransfer.quantify.joint.relations import ridges
from hptransfer.quantify.joint.result import (
    JointHoldOut,
    JointPrediction,
    JointVariant,
    JointVerdict,
)
from hptransfer.quantify.joint.rules import named_rules
from hptransfer.quantify.joint.suggest import suggested_runs
from hptransfer.quantify.joint.summarize import bounded, hp_estimate, joint_law, joint_optimum
from hptransfer.quantify.law.loss_law import LossFit, fit_loss
from hptransfer.quantify.law.siblings import MIN_SCALES
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.verdict import word
from hptransfer.sweep.table import FloatArray, SweepTable


@dataclass(frozen=True)
class JointContext:
    """What the fits of all variants have in common."""

    sweep: SweepTable  # losses in the unit of a fit
    values: FloatArray  # of the hyperparameters, [runs, d]
    axes: Axes
    combinations: tuple[Combination, ...]
    settings: Settings


@dataclass(frozen=True)
class _Laws:
    """The laws of one variant: of hyperparameters, then of combinations; None where one cannot be fitted."""

    quantities: list[Quantity]
    laws: list[QuantityLaw | None]
    loss: LossFit | None

    def hyperparameters(self, d: int) -> list[QuantityLaw] | None:
        """The laws of all hyperparameters; None where one is missing."""
        found = [law for law in self.laws[:d] if law is not None]
        return found if len(found) == d else None


def measure_joint(context: JointContext, name: str, place: int) -> JointVariant:
    """The joint fit of one variant, the place-th of all."""
    s = context.settings
    points = points_of(context.sweep, name, context.values, context.axes)
    basins = fit_joint(points, s.draws, np.random.default_rng([s.seed, 10, place]))
    rng = np.random.default_rng([s.seed, 11, place])
    laws = _laws(context, basins, rng)
    ahead = [_Ahead(basins, laws, n, s.level, rng) for n in s.targets]
    holdouts = _holdouts(context, basins, place, rng)
    scales = points.scale
    optima = tuple(
        joint_optimum(basins, k, laws.quantities, s.tolerance, s.level, s.unit) for k in range(len(scales))
    )
    found = [(np.log2([a.scale]), a.x) if a.known else None for a in ahead]
    rules = named_rules(basins, laws.laws, context.sweep, s, found)
    return JointVariant(
        name=name,
        optima=optima,
        laws={
            law.quantity.name: replace(
                joint_law(law, s.targets, scales, s.level, rng), rules=rules.by_quantity[law.quantity.name]
            )
            for law in laws.laws
            if law is not None
        },
        loss_exponent=_alpha(laws.loss, s.level),
        predictions=tuple(a.prediction(context) for a in ahead),
        holdouts=tuple(holdout for holdout, _ in holdouts),
        verdict=_verdict(context, basins, laws, ahead, holdouts),
        noise=basins.noise / s.unit,
        flags=_flags(basins, laws, context.axes),
        draws=basins.x_draws.astype(np.float32),
        suggested=suggested_runs(basins, laws.quantities, context.sweep.columns.scale, s, place),
        ridges=ridges(basins, s.level),
        relations=rules.relations,
    )


def _laws(context: JointContext, basins: JointBasins, rng: np.random.Generator) -> _Laws:
    s, scales = context.settings, basins.points.scale
    quantities = quantities_of(basins, context.sweep, context.combinations)
    laws = [fit_law(basins, q, s.family, s.level, rng) for q in quantities]
    inside = basins.fitted & (basins.edge == 0).all(axis=1)
    loss = None
    if inside.sum() >= MIN_SCALES:
        loss = fit_loss(scales[inside], basins.loss[inside], basins.loss_draws[:, inside])
    return _Laws(quantities, laws, loss)


def _alpha(loss: LossFit | None, level: float) -> Estimate:
    if loss is None:
        return missing("no_laws")
    return estimate(loss.alpha, loss.alpha_draws, level, *loss.flags)


class _Ahead:
    """What the laws say of one scale without runs."""

    def __init__(
        self, basins: JointBasins, laws: _Laws, scale: float, level: float, rng: np.random.Generator
    ) -> None:
        self.basins, self.laws, self.scale, self.level = basins, laws, scale, level
        self.draws = [law.draws_at(scale, rng) if law else None for law in laws.laws]
        d = basins.layout.d
        together = laws.hyperparameters(d)
        self.known = together is not None
        self.x = np.array([law.at(scale) for law in together or ()])
        self.x_draws = np.stack([x for x in self.draws[:d] if x is not None], axis=1) if together else None
        self.best: FloatArray = self.x
        self.regret: float | None = None
        if together:
            assert self.x_draws is not None
            self.best, self.regret = least_cost(basins, np.log2([scale]), self.x, self.x_draws, rng)

    def prediction(self, context: JointContext) -> JointPrediction:
        """As plain data."""
        names, unit = context.axes.names, context.settings.unit
        d, laws = len(names), self.laws
        found = [
            bounded(law.at(self.scale), draws, self.level, *law.laws.flags)
            if law is not None and draws is not None
            else missing("no_laws")
            for law, draws in zip(laws.laws, self.draws, strict=True)
        ]
        flags = [] if self.known else ["no_laws"]
        if self.scale > ADVICE.long_extrapolation * float(self.basins.points.scale.max()):
            flags.append("long_extrapolation")
        if any(law is not None and law.bends for law in laws.laws[:d]):
            flags.append("bend")
        loss = missing("no_laws")
        if laws.loss is not None:
            noisy = laws.loss.draws_at(self.scale)
            loss = estimate(float(laws.loss.at(self.scale)), noisy, self.level).times(1.0 / unit)
        return JointPrediction(
            scale=self.scale,
            hp=dict(zip(names, found[:d], strict=True)),
            combinations=dict(zip((q.name for q in laws.quantities[d:]), found[d:], strict=True)),
            recommended=dict(zip(names, np.exp2(self.best).tolist(), strict=True)) if self.known else None,
            loss=loss,
            regret=None if self.regret is None else self.regret / unit,
            covariance=np.cov(self.x_draws.T) if self.x_draws is not None else None,
            flags=tuple(flags),
        )

    def cost(self, x: FloatArray) -> JointCost:
        """Of the point x [d] there."""
        best = float(self.laws.loss.at(self.scale)) if self.laws.loss else None
        if self.x_draws is None:
            return JointCost(self.scale, MetricDraws(missing("no_laws")), best, seen=False)
        place = np.log2([self.scale])
        paid = paid_ahead(self.basins, place, x, self.x, self.x_draws, self.level)
        return JointCost(self.scale, paid, best, seen=False)


def _holdouts(
    context: JointContext, full: JointBasins, place: int, rng: np.random.Generator
) -> list[tuple[JointHoldOut, JointCost]]:
    """Refits without the largest scales, predicts the smallest of those left out, and compares."""
    s, out = context.settings, []
    fitted = np.flatnonzero(full.fitted)
    for k in range(min(s.holdout, len(fitted) - MIN_SCALES), 0, -1):
        held = int(fitted[-k])
        try:
            learned = fit_joint(
                full.points.take(np.arange(held)),
                s.draws,
                np.random.default_rng([s.seed, 12, place]),
            )
        except TooFewRunsError:  # what is left has too few runs
            continue
        bare = replace(context, combinations=())
        ahead = _Ahead(learned, _laws(bare, learned, rng), float(full.points.scale[held]), s.level, rng)
        out.append(_compared(bare, full, held, ahead))
    return out


def _compared(
    context: JointContext, full: JointBasins, held: int, ahead: _Ahead
) -> tuple[JointHoldOut, JointCost]:
    s, names = context.settings, context.axes.names
    predicted = ahead.prediction(context).hp
    found = {name: hp_estimate(full, held, j, s.level) for j, name in enumerate(names)}
    inside = full.fitted[held] & (full.edge[held] == 0)
    error: dict[str, float | None] = {}
    covered: dict[str, bool | None] = {}
    for j, name in enumerate(names):
        known = bool(inside[j]) and ahead.known
        error[name] = float(ahead.x[j] - full.x[held, j]) if known else None
        low, high = predicted[name].low or 0.0, predicted[name].high or np.inf
        covered[name] = bool(low <= np.exp2(full.x[held, j]) <= high) if known else None
    cost = JointCost(ahead.scale, MetricDraws(missing("no_laws")), None)
    if ahead.known:
        cost = paid_at(full, held, ahead.best, s.level)
    regret = cost.paid.estimate.times(1.0 / s.unit)
    flags = full.flags[held] if ahead.known else ("no_laws",)
    return JointHoldOut(ahead.scale, predicted, found, error, covered, regret, flags), cost


def _verdict(
    context: JointContext,
    basins: JointBasins,
    laws: _Laws,
    ahead: Sequence[_Ahead],
    holdouts: Sequence[tuple[JointHoldOut, JointCost]],
) -> JointVerdict:
    s, columns = context.settings, context.sweep.columns
    judge = Judge(s.tolerance, s.level, s.unit, context.sweep.metric.unit, columns.scale, laws.loss)
    scales, d = basins.points.scale, basins.layout.d
    x = basins.x[0]
    usable = bool(basins.fitted[0]) and not basins.edge[0].any()
    nothing = MetricDraws(missing("no_optimum_at_smallest"))
    kept = [
        paid_at(basins, k, x, s.level) if usable else JointCost(float(scales[k]), nothing, None)
        for k in range(1, len(scales))
    ]
    kept += [a.cost(x) if usable else JointCost(a.scale, nothing, None, seen=False) for a in ahead]
    vetoes = [f"one {columns.scale} only"] if len(scales) < 2 else []
    keep = judge.answer(kept, kept, vetoes)
    found = [cost for _, cost in holdouts]
    forward = [a.cost(a.best) for a in ahead]
    together = laws.hyperparameters(d)
    inside = [
        paid_at(basins, int(k), np.array([law.at(float(scales[k])) for law in together]), s.level)
        for k in np.flatnonzero(basins.fitted)
    ] if together else []  # fmt: skip
    vetoes = [] if holdouts else ["no hold-out check"]
    vetoes += [f"the law of {law.quantity.name} bends" for law in together or () if law.bends]
    extrapolate = judge.answer([*found, *forward], [*found, *forward, *inside], vetoes)
    axes = context.axes
    point = (
        {name: float(axes.value(j, x[j])) for j, name in enumerate(axes.names)} if basins.fitted[0] else {}
    )
    return JointVerdict(word(keep.value, extrapolate.value), keep, extrapolate, s.tolerance / s.unit, point)


def _flags(basins: JointBasins, laws: _Laws, axes: Axes) -> tuple[str, ...]:
    flags = []
    if laws.hyperparameters(len(axes.names)) is None:
        found = int((basins.fitted & (basins.edge == 0).all(axis=1)).sum())
        flags.append(
            f"no_laws: {found} scale{'' if found == 1 else 's'} with an optimum inside, a law needs 3"
        )
    if basins.points.count.max(initial=0) == 1:
        flags.append("one_seed")
    return tuple(flags)
