"""Which runs of an adaptive study come next: those that are most informative about the goal, per FLOP."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from hptransfer.design.bracket import Brackets, brackets
from hptransfer.design.goal import Goal
from hptransfer.design.grid import CandidateGrid, Observations, Proposal
from hptransfer.design.information import Information
from hptransfer.design.linearization import SCATTER, linearization_point
from hptransfer.design.round_fit import fit_round
from hptransfer.sweep.table import FloatArray

WIDTH_PER_SD = 2 * 1.96  # of a 95% interval
OVERHEAD = 0.005  # of the dearest run's FLOPs, that any run counts as beside its own: rounds cost time, too
LEAST_GAIN = 0.003  # of the variance of what is asked; a run at a known scale that gains less is not made
MIN_LAW_SCALES = 3  # scales that a law needs
MAX_EXTRAPOLATION = 8.0  # times the largest scale: no further while larger scales can be run

Move = tuple[float, str, list[tuple[int, int]]]  # relative gain per FLOP, variant, (scale, place) of its runs


def propose_runs(
    grid: CandidateGrid, observed: Observations, goal: Goal, precision: float, batch: int
) -> list[Proposal]:
    """The next round: what brackets the optima, else the most informative runs per FLOP; empty at the goal.

    Args:
        grid: where runs may be put.
        observed: every finished run.
        goal: what is asked.
        precision: width of its 95% interval at which to stop: octaves (law: of the exponent; verdict: nats).
        batch: most runs of a round for each variant that is not known yet, beside brackets.
    """
    state = {v: brackets(grid, observed, v) for v in grid.variants}
    first = [proposal for v in grid.variants for proposal in _to_bracket(state[v], goal)]
    if first:
        return first
    round_fit = fit_round(grid, observed, goal)
    known = {
        v: Information(grid, v, linearization_point(grid, observed, round_fit, v), observed)
        for v in grid.variants
        if round_fit.width[v] > precision or _too_far(grid, state[v], goal)
    }
    return _most_informative(grid, known, state, goal, batch * len(known))


def _to_bracket(state: Brackets, goal: Goal) -> list[Proposal]:
    """What a bracket that was begun needs; and the first runs of the next, where it is certainly needed."""
    if state.active is not None:
        return [Proposal(*state.active, place, 0) for place in state.missing]
    needs_all = goal in ("optimum", "verdict")
    if state.next_scale is not None and (needs_all or len(state.optima) < MIN_LAW_SCALES):
        return [Proposal(*state.next_scale, place, 0) for place in state.first_runs]
    return []


def _too_far(grid: CandidateGrid, state: Brackets, goal: Goal) -> bool:
    """Whether a prediction would reach further than laws are to be trusted, and larger scales are left."""
    largest = max((float(grid.scales[k]) for k in state.optima), default=0.0)
    return goal == "prediction" and state.next_scale is not None and grid.target > MAX_EXTRAPOLATION * largest


def _most_informative(
    grid: CandidateGrid,
    known: Mapping[str, Information],
    state: Mapping[str, Brackets],
    goal: Goal,
    batch: int,
) -> list[Proposal]:
    """The runs that shrink what is asked most per FLOP, one after the other, as if each had been made."""
    opened: set[str] = set()
    out: list[Proposal] = []
    while len(out) < batch:
        moves = (best_move(grid, info, state[v], goal, opened=v in opened) for v, info in known.items())
        found = [move for move in moves if move is not None]
        if not found:
            break
        _, variant, keys = max(found, key=lambda move: move[0])
        if len(keys) > 1:
            opened.add(variant)
        for key in keys:
            out.append(Proposal(variant, *key, known[variant].count[key]))
            known[variant].run(key)
    return out


def best_move(
    grid: CandidateGrid, info: Information, state: Brackets, goal: Goal, *, opened: bool
) -> Move | None:
    """A variant's best next run, or the first runs of its next scale; None where nothing is left to learn.

    `opened` says whether its next scale is begun already in this round.
    """
    asked = contrasts(grid, info, goal)
    covariance = np.linalg.inv(info.matrix)
    total = float(np.einsum("ci,ij,cj->", asked, covariance, asked))
    overhead = OVERHEAD * grid.cost.max()
    moves: list[Move] = []
    free = [key for key, runs in info.count.items() if runs < grid.seeds and key[0] in state.optima]
    for key in [key for key in free if info.informative(key)] or free:
        gain = info.gain(asked, covariance, key) / _variance_left(info, total, goal)
        if gain < LEAST_GAIN:
            continue
        moves.append((gain / float(grid.cost[key[0]] + overhead), info.variant, [key]))
    if state.next_scale is not None and not opened:
        keys = [(state.next_scale[1], place) for place in state.first_runs]
        scales = len(state.optima)
        after = info.with_runs(keys).variance(asked) * student(scales + 1) ** 2
        gain = 1.0 - after / (total * student(scales) ** 2)
        if _too_far(grid, state, goal):
            gain = 1.0
        cost = len(keys) * float(grid.cost[state.next_scale[1]] + overhead)
        moves.append((gain / cost, info.variant, keys))
    moves = [move for move in moves if move[0] > 0]
    return max(moves, key=lambda move: move[0], default=None)


def _variance_left(info: Information, total: float, goal: Goal) -> float:
    """Variance of what is asked: by the linear model, or by the fit, which also knows how real laws turn.

    What the fit's interval holds beyond the model's, more runs at the scales that there are do not narrow.
    """
    width = info.point.width
    if goal == "verdict" or not np.isfinite(width):
        return total
    return max(total, (width / WIDTH_PER_SD) ** 2)


@cache
def student(scales: int) -> float:
    """How wide an interval of a line through so many optima is, in standard errors.

    The scatter's own degrees of freedom count what was expected of it, too (`SCATTER`).
    """
    from scipy.stats import t

    return float(t.ppf(0.975, max(scales - 2, 0) + SCATTER[1]))


def contrasts(grid: CandidateGrid, info: Information, goal: Goal) -> FloatArray:
    """What is asked of one variant, as combinations of its unknowns, shape [contrasts, unknowns]."""
    last = len(grid.scales) - 1
    if goal == "optimum":
        return info.optima(list(range(last + 1)))
    if goal == "law":
        return info.slope()
    if goal == "verdict":
        return np.concatenate([info.optima([0, last]), info.loss(last)])
    return info.prediction(grid.target)
