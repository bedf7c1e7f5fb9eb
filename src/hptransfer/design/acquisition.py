"""Which runs of an adaptive study come next: those that are most informative about the goal, per FLOP."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from hptransfer.design.bracket import Brackets, brackets, needed_first
from hptransfer.design.goal import Goal
from hptransfer.design.grid import CandidateGrid, GridKey, Observations, Proposal
from hptransfer.design.information import Information
from hptransfer.design.linearization import SCATTER, linearization_point
from hptransfer.design.round_fit import fit_round
from hptransfer.sweep.table import FloatArray

WIDTH_PER_SD = 2 * 1.96  # of a 95% interval
OVERHEAD = 0.005  # of the dearest run's FLOPs, that any run counts as beside its own: rounds cost time, too
LEAST_GAIN = 0.003  # of the variance of what is asked; a run at a known scale that gains less is not made
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
    first = [proposal for v in grid.variants for proposal in _to_bracket(grid, state[v], goal)]
    if first:
        return first
    round_fit = fit_round(grid, observed, goal)
    known = {
        v: Information(grid, v, linearization_point(grid, observed, round_fit, v), observed)
        for v in grid.variants
        if round_fit.width[v] > precision or _reaching(grid, state[v], goal)
    }
    return _most_informative(grid, known, state, goal, batch * len(known))


def _to_bracket(grid: CandidateGrid, state: Brackets, goal: Goal) -> list[Proposal]:
    """What brackets that were begun need; and the first runs of those that are certainly needed next."""
    if state.active:
        return [Proposal(*basin, place, 0) for basin, places in state.active.items() for place in places]
    begun = certainly_next(grid, state, goal)
    return [Proposal(*basin, place, 0) for basin in begun for place in state.openings[basin]]


def certainly_next(grid: CandidateGrid, state: Brackets, goal: Goal) -> list[GridKey]:
    """Scales to begin whatever is known: before there can be a law, or since the goal needs every scale."""
    if goal in ("optimum", "verdict") and state.optima and not state.active:
        return list(state.openings)
    return needed_first(grid, state)


def _reaching(grid: CandidateGrid, state: Brackets, goal: Goal) -> list[GridKey]:
    """Scales to begin that reach further along an axis on which the target is too far for a law."""
    if goal != "prediction" or not state.openings:
        return []
    largest = grid.z[list(state.optima)].max(axis=0) if state.optima else np.full(len(grid.z_target), -np.inf)
    far = grid.z_target > np.log2(MAX_EXTRAPOLATION) + largest + 1e-9
    return [basin for basin in state.openings if (far & (grid.z[basin[1]] > largest)).any()]


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
    least = LEAST_GAIN
    while len(out) < batch:
        moves = [
            best_move(grid, info, state[v], goal, opened=v in opened, least=least)
            for v, info in known.items()
        ]
        if grid.axes and least and not out and not any(moves):
            least = 0.0  # sizes of departures are told by more runs than the linear model thinks
            continue
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
    grid: CandidateGrid,
    info: Information,
    state: Brackets,
    goal: Goal,
    *,
    opened: bool,
    least: float = LEAST_GAIN,
) -> Move | None:
    """A variant's best next run, or the first runs of its next scale; None where nothing is left to learn.

    `opened` says whether its next scale is begun already in this round; a run that gains less than `least` of
    the variance is not made.
    """
    asked = contrasts(grid, info, goal)
    covariance = np.linalg.inv(info.matrix)
    total = float(np.einsum("ci,ij,cj->", asked, covariance, asked))
    overhead = OVERHEAD * grid.cost.max()
    moves: list[Move] = []
    free = [key for key, runs in info.count.items() if runs < grid.seeds and key[0] in state.optima]
    for key in [key for key in free if info.informative(key)] or free:
        gain = info.gain(asked, covariance, key) / _variance_left(info, total, goal)
        if gain < least:
            continue
        moves.append((gain / float(grid.cost[key[0]] + overhead), info.variant, [key]))
    now, then = (quantile(grid, len(state.optima) + more) for more in (0, 1))
    further = _reaching(grid, state, goal)
    for basin, places in () if opened else state.openings.items():
        keys = [(basin[1], place) for place in places]
        after = info.with_runs(keys).variance(asked) * then**2
        gain = 1.0 if basin in further else 1.0 - after / (total * now**2)
        cost = len(keys) * float(grid.cost[basin[1]] + overhead)
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


def quantile(grid: CandidateGrid, scales: int) -> float:
    """How wide an interval of a law through so many optima is, to either side, in standard errors.

    Over several axes the sizes of departures are means over what they may be, so that their error is in them.
    """
    return WIDTH_PER_SD / 2 if grid.axes else _student(scales)


@cache
def _student(scales: int) -> float:
    """Of a line; the scatter's own degrees of freedom count what was expected of it, too (`SCATTER`)."""
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
    return info.prediction()
