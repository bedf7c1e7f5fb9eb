"""Adaptive: the next runs of a study, chosen for what they tell about what is asked, per FLOP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hptransfer.design.bracket import Brackets, brackets, expected, lowest
from hptransfer.design.goal import Goal
from hptransfer.design.grid import Ask, Basin, Seen, Space
from hptransfer.design.information import Guess, Information
from hptransfer.sweep.table import FloatArray

if TYPE_CHECKING:
    from hptransfer.quantify.result import Estimate, Optimum, SweepFit, VariantFit

DRAWS = 1000  # posterior draws of a look; the report may take more
OVERHEAD = 0.005  # of the dearest run's FLOPs, that any run counts as beside its own: rounds cost time, too
FEWEST = 3  # scales that a law needs
REACH = 8.0  # times the largest scale: no prediction further than this, while larger scales can be run
NOISE = (0.005, 3.0)  # nats: sd expected of a run before its study tells, and how many runs that counts as
SCATTER = (0.05, 2.0)  # octaves: the same for the optima around their line
NEARBY = 0.3  # nats above the optimum within which seeds tell its noise
LOG_H_RANGE = (math.log(0.005), math.log(5.0))  # beyond it, a curvature is a slip of a thin fit
LOG_H = math.log(0.1)  # ln curvature, nats per octave squared, of a basin that nothing is known of


@dataclass(frozen=True)
class Look:
    """What is known when a round is decided.

    Attributes:
        fit: of the finished runs; None while optima are being bracketed.
        width: width of what is asked, by variant; infinite where it cannot be told yet.
    """

    fit: SweepFit | None
    width: dict[str, float]


def next_asks(space: Space, seen: Seen, goal: Goal, precision: float, batch: int) -> list[Ask]:
    """The next round: what brackets the optima, else the runs that tell most per FLOP; empty at the goal.

    Arguments:
        space: where runs may be put.
        seen: every finished run.
        goal: what is asked.
        precision: width of its 95% interval at which to stop: octaves (law: of the exponent; verdict: nats).
        batch: most runs of a round for each variant that is not known yet, beside brackets.
    """
    state = {v: brackets(space, seen, v) for v in space.variants}
    first = [ask for v in space.variants for ask in _to_bracket(state[v], goal)]
    if first:
        return first
    now = look(space, seen, goal)
    variants = [v for v in space.variants if now.width[v] > precision or _too_far(space, state[v], goal)]
    return best(space, seen, now, goal, variants, state, batch * len(variants)) if variants else []


def _to_bracket(state: Brackets, goal: Goal) -> list[Ask]:
    """What a bracket that was begun needs; and the first runs of the next, where it is certainly needed."""
    if state.open is not None:
        return [Ask(*state.open, place, 0) for place in state.needs]
    needs_all = goal in ("optimum", "verdict")
    if state.next is not None and (needs_all or len(state.done) < FEWEST):
        return [Ask(*state.next, place, 0) for place in state.first]
    return []


def _too_far(space: Space, state: Brackets, goal: Goal) -> bool:
    """Whether a prediction would reach further than laws are to be trusted, and larger scales are left."""
    largest = max((float(space.scales[k]) for k in state.done), default=0.0)
    return goal == "prediction" and state.next is not None and space.target > REACH * largest


def look(space: Space, seen: Seen, goal: Goal) -> Look:
    """Quantify what is there."""
    from hptransfer.fit import quantify

    sweep = seen.sweep_table(space)
    if sweep is None:
        return Look(None, dict.fromkeys(space.variants, math.inf))
    fit = quantify(sweep, targets=(space.target,), holdout=int(goal == "verdict"), draws=DRAWS)
    widths = {v: _width(fit.variants[v], goal) if v in fit.variants else math.inf for v in space.variants}
    if goal == "verdict":
        widths = {v: max(width, _undecided_between(fit, v)) for v, width in widths.items()}
    return Look(fit, widths)


def best(
    space: Space,
    seen: Seen,
    now: Look,
    goal: Goal,
    variants: Sequence[str],
    state: Mapping[str, Brackets],
    batch: int,
) -> list[Ask]:
    """The runs that shrink what is asked most per FLOP, one after the other, as if each had been made."""
    known = {v: Information(space, v, guess(space, seen, now, v), seen) for v in variants}
    opened: set[str] = set()
    out: list[Ask] = []
    while len(out) < batch:
        found = [pick for v in variants if (pick := best_move(space, known[v], state[v], goal, v in opened))]
        if not found:
            break
        _, variant, keys = max(found, key=lambda pick: pick[0])
        if len(keys) > 1:
            opened.add(variant)
        for key in keys:
            out.append(Ask(variant, *key, known[variant].count[key]))
            known[variant].run(key)
    return out


Move = tuple[float, str, list[tuple[int, int]]]


def best_move(space: Space, info: Information, state: Brackets, goal: Goal, opened: bool) -> Move | None:
    """Relative gain per FLOP and places of a variant's best next run, or of the next scale's first runs."""
    asked = contrasts(space, info, goal)
    covariance = np.linalg.inv(info.matrix)
    total = float(np.einsum("ci,ij,cj->", asked, covariance, asked))
    overhead = OVERHEAD * space.cost.max()
    moves: list[Move] = []
    free = [key for key, runs in info.count.items() if runs < space.seeds and key[0] in state.done]
    for key in [key for key in free if info.informative(key)] or free:
        gain = info.gains(asked, covariance, key) / total
        moves.append((gain / float(space.cost[key[0]] + overhead), info.variant, [key]))
    if state.next is not None and not opened:
        keys = [(state.next[1], place) for place in state.first]
        scales = len(state.done)
        after = info.with_runs(keys).variance(asked) * student(scales + 1) ** 2
        gain = 1.0 - after / (total * student(scales) ** 2)
        if _too_far(space, state, goal):
            gain = 1.0
        moves.append((gain / (len(keys) * float(space.cost[state.next[1]] + overhead)), info.variant, keys))
    moves = [move for move in moves if move[0] > 0]
    return max(moves, key=lambda move: move[0], default=None)


@cache
def student(scales: int) -> float:
    """How wide an interval of a line through so many optima is, in standard errors.

    The scatter's own degrees of freedom count what was expected of it, too (`SCATTER`).
    """
    from scipy.stats import t

    return float(t.ppf(0.975, max(scales - 2, 0) + SCATTER[1]))


def contrasts(space: Space, info: Information, goal: Goal) -> FloatArray:
    """What is asked of one variant, as combinations of its unknowns, shape [contrasts, unknowns]."""
    last = len(space.scales) - 1
    if goal == "optimum":
        return info.optima(list(range(last + 1)))
    if goal == "law":
        return info.slope()
    if goal == "verdict":
        return np.concatenate([info.optima([0, last]), info.loss(last)])
    return info.prediction(space.target)


def guess(space: Space, seen: Seen, now: Look, variant: str) -> Guess:
    """Estimates to linearise around: the fit's where it has them, else what a bracket tells."""
    fit = now.fit.variants.get(variant) if now.fit else None
    fitted = {float(o.scale): o for o in fit.optima} if fit else {}
    known: dict[int, float] = {}
    log_h = np.full(len(space.scales), np.nan)
    for k in range(len(space.scales)):
        basin, optimum = (variant, k), fitted.get(float(space.scales[k]))
        low = lowest(space, basin, seen.levels(basin)) if basin in space.x else None
        if optimum is not None and optimum.hp.value is not None:
            known[k] = float(np.log2(optimum.hp.value) - space.shift[k])
            if optimum.log_curvature.value and optimum.log_curvature.value > 0:
                log_h[k] = np.clip(np.log(optimum.log_curvature.value), *LOG_H_RANGE)
        elif low is not None:
            known[k] = low
    x = np.array([known[k] if k in known else expected(space, known, k) for k in range(len(space.scales))])
    return Guess(x, _filled(log_h, LOG_H), _noise(space, seen, fitted, variant), _scatter(space, known))


def _filled(values: FloatArray, default: float) -> FloatArray:
    """Unknown entries from their neighbours; all from the default where none is known."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.full(len(values), default)
    return np.interp(np.arange(len(values)), known, values[known])


def _scatter(space: Space, found: Mapping[int, float]) -> float:
    """Sd of the optima around their line, drawn towards what is expected."""
    sd, weight = SCATTER
    t, x = np.log2(space.scales[list(found)]), np.array(list(found.values()))
    freedom = max(len(x) - 2, 0)
    residual = x - np.polyval(np.polyfit(t, x, 1), t) if freedom else np.zeros(1)
    return float(np.sqrt((residual @ residual + weight * sd**2) / (freedom + weight)))


def _noise(space: Space, seen: Seen, fitted: Mapping[float, Optimum], variant: str) -> float:
    """Sd of a run's loss near the optimum, from seeds and fitted curves, drawn to what is expected."""
    sd, weight = NOISE
    square, freedom = weight * sd**2, weight
    for k, scale in enumerate(space.scales):
        optimum = fitted.get(float(scale))
        if optimum is None or optimum.loss.value is None:
            continue
        for cell in seen.losses.get((variant, k), {}).values():
            values = [v for v in cell.values() if math.isfinite(v)]
            if len(values) > 1 and np.mean(values) < optimum.loss.value + NEARBY:
                square += float(np.var(values) * len(values))
                freedom += len(values) - 1
        residual = _residuals(space, seen, (variant, k), optimum)
        if len(residual) > FEWEST:
            square += float(residual @ residual)
            freedom += len(residual) - FEWEST
    return math.sqrt(square / freedom)


def _residuals(space: Space, seen: Seen, basin: Basin, optimum: Optimum) -> FloatArray:
    """Of the cells within the fitted curve, times the root of their runs."""
    hp, loss = optimum.curve_hp, optimum.curve_loss
    if hp is None or loss is None or not len(hp):
        return np.zeros(0)
    x = np.log2(hp) - space.shift[basin[1]]
    out = []
    for place, level in seen.levels(basin).items():
        at = float(space.x[basin][place])
        if math.isfinite(level) and x[0] - 1e-6 <= at <= x[-1] + 1e-6:
            out.append((level - float(np.interp(at, x, loss))) * math.sqrt(seen.count(basin, place)))
    return np.array(out)


def _width(fit: VariantFit, goal: Goal) -> float:
    """Of the 95% interval of what is asked; infinite where it cannot be told."""
    if goal == "law":
        law = fit.laws.get("hp")
        return math.inf if law is None else span(law.exponent)
    if goal == "optimum":
        return max((octaves(optimum.hp) for optimum in fit.optima), default=math.inf)
    if goal == "prediction":
        return octaves(fit.predictions[0].hp)
    return math.inf if fit.verdict.value == "undecided" else 0.0


def _undecided_between(fit: SweepFit, variant: str) -> float:
    """Width of the difference to the lowest variant at the largest scale; 0 where its sign is known."""
    from hptransfer.quantify.compare import compare

    last = {v: f.optima[-1].loss.value for v, f in fit.variants.items()}
    known = {v: loss for v, loss in last.items() if loss is not None}
    lowest_of = min(known, key=lambda v: known[v], default=variant)
    if lowest_of == variant:
        return 0.0
    found = compare(fit, variant, lowest_of).get("R_n")
    if found is None or found.low is None or found.high is None:
        return math.inf
    return 0.0 if found.low > 0 or found.high < 0 else span(found)


def octaves(estimate: Estimate) -> float:
    """Width of an interval of the hyperparameter; infinite where a limit is missing."""
    if estimate.low is None or estimate.high is None or not estimate.low > 0:
        return math.inf
    return math.log2(estimate.high / estimate.low)


def span(estimate: Estimate) -> float:
    """Width of an interval; infinite where a limit is missing."""
    return math.inf if estimate.low is None or estimate.high is None else estimate.high - estimate.low
