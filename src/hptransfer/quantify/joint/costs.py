"""What it costs to carry a point up, and the two answers that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.batched_linalg import root
from hptransfer.quantify.intervals import MetricDraws, measured, missing
from hptransfer.quantify.joint.basins import JointBasins, part
from hptransfer.quantify.law.loss_law import LossFit
from hptransfer.quantify.predict import scale_factor
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Answer, AnswerValue, Estimate, finite
from hptransfer.sweep.table import FloatArray
from hptransfer.words import rough, scale_text

CANDIDATES, ENOUGH_DRAWS = 80, 200  # points that a recommendation is chosen from, and draws it is judged by
NEAR = 0.75  # octaves; a diverged run this near a point says that it diverges


@dataclass(frozen=True)
class JointCost:
    """Loss given up at one scale."""

    scale: float
    paid: MetricDraws  # nats
    best: float | None  # loss at the optimum there
    seen: bool = True  # whether runs were made there


def paid_at(basins: JointBasins, k: int, x: FloatArray, level: float) -> JointCost:
    """Of the point x [d] at scale k. Outside the values that were run there is no upper limit."""
    scale = float(basins.points.scale[k])
    if not basins.fitted[k]:
        return JointCost(scale, MetricDraws(missing(*basins.flags[k])), None)
    value, draws = basins.regret(k, x)
    draws = np.minimum(draws, ADVICE.most_cost)
    flags: tuple[str, ...] = ()
    if _diverges(basins, k, x):
        value, draws = max(value, ADVICE.diverged_cost), np.maximum(draws, ADVICE.diverged_cost)
        flags = ("diverged",)
    paid = measured(min(value, ADVICE.most_cost), draws, level, *flags)
    if basins.edge[k].any():
        # The optimum lies beyond what was run, so the loss there is a guess.
        e = paid.estimate
        paid = MetricDraws(Estimate(e.value, e.low, None, (*e.flags, "at_edge")), draws)
    return JointCost(scale, paid, float(basins.loss[k]))


def _diverges(basins: JointBasins, k: int, x: FloatArray) -> bool:
    points = basins.points
    real = points.real[k]
    away = np.linalg.norm(points.x[k, real] - x, axis=1)
    nearest = int(np.argmin(away))
    return bool(away[nearest] < NEAR and not points.usable[k, real][nearest])


def paid_ahead(
    basins: JointBasins,
    place: FloatArray,
    x: FloatArray,
    target: FloatArray,
    target_draws: FloatArray,
    level: float,
) -> MetricDraws:
    """Of the point x [d] at a place [F] without runs, whose optimum is `target` [d] by draws [B, d]."""
    point, drawn = basins.surface_at(place)
    draws = np.minimum(drawn.excess(x - target_draws), ADVICE.most_cost)
    return measured(min(float(point.excess(x - target)), ADVICE.most_cost), draws, level)


def least_cost(
    basins: JointBasins, place: FloatArray, x: FloatArray, x_draws: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """The point with the least expected loss at a place [F], and that loss, nats.

    It is chosen among the predicted optimum x [d], of draws [B, d], and points about it.
    """
    spread = rng.standard_normal((CANDIDATES, len(x))) @ root(np.cov(x_draws.T)[None])[0].T
    candidates = np.concatenate([x[None], x + 0.5 * spread])
    some = slice(0, None, max(len(x_draws) // ENOUGH_DRAWS, 1))
    _, drawn = basins.surface_at(place)
    thin, centre = part(drawn, (some, None)), x_draws[some, None]

    def expected(tried: FloatArray) -> FloatArray:
        return np.asarray(np.minimum(thin.excess(tried - centre), ADVICE.most_cost).mean(axis=0))

    cost = expected(candidates)
    # The middle of the cheapest is steadier than the cheapest of points drawn at random.
    middle = candidates[np.argsort(cost)[: max(CANDIDATES // 20, 1)]].mean(axis=0)
    at = float(expected(middle[None])[0])
    return (middle, at) if at < cost[0] else (x, float(cost[0]))


@dataclass(frozen=True)
class Judge:
    """What answers are given by."""

    tolerance: float  # nats
    level: float
    unit: float  # what one unit of the table's losses is in nats
    unit_name: str
    scale_name: str
    loss: LossFit | None

    def answer(
        self, judged: Sequence[JointCost], small: Sequence[JointCost], vetoes: Sequence[str]
    ) -> Answer:
        """`no` by any cost in `judged`, `yes` only by all in `small` and where nothing speaks against it."""
        known = [c for c in judged if c.paid.estimate.value is not None]
        too_much = [c for c in known if (c.paid.estimate.low or 0.0) > self.tolerance]
        unbounded = [c for c in small if not self._below(c)]
        value: AnswerValue = "no" if too_much else "not known"
        if not too_much and judged and not unbounded and not vetoes:
            value = "yes"
        seen = [c for c in too_much if c.seen]
        worst = max(seen or too_much or known, key=_weight, default=None)
        why = list(vetoes) if value == "not known" else []
        if value == "not known":
            why += [
                f"no cost at {scale_text(c.scale)}: {', '.join(c.paid.estimate.flags) or 'unknown'}"
                for c in judged
                if c.paid.estimate.value is None
            ]
            why += [] if judged else ["nothing to judge it by"]
        return self._answered(value, worst, why)

    def _below(self, cost: JointCost) -> bool:
        high = cost.paid.estimate.high
        return high is not None and high < self.tolerance

    def _answered(self, value: AnswerValue, worst: JointCost | None, why: Sequence[str]) -> Answer:
        if worst is None:
            nothing = missing("no_cost")
            return Answer(
                value,
                nothing,
                nothing,
                nothing,
                None,
                "; ".join([f"{value}, its cost is not known", *why]),
                tuple(why),
            )
        e = worst.paid.estimate
        cost = Estimate(e.value, finite(max(e.low or 0.0, 0.0)), e.high, e.flags).times(1.0 / self.unit)
        share = cost.times(self.unit / worst.best) if worst.best and worst.best > 0 else missing("no_optimum")
        factor = scale_factor(self.loss, worst.scale, worst.paid, self.level)
        high = "no upper limit" if cost.high is None else rough(cost.high, 4)
        paid = f"{rough(cost.value or 0.0, 4)} {self.unit_name} ({rough(cost.low or 0.0, 4)} to {high})"
        said = f"{value}, costs {paid} at {self.scale_name} {scale_text(worst.scale)}"
        return Answer(value, cost, share, factor, worst.scale, "; ".join([said, *why]), tuple(why))


def _weight(cost: JointCost) -> float:
    e = cost.paid.estimate
    return np.inf if e.high is None else max(e.high, e.value or 0.0)
