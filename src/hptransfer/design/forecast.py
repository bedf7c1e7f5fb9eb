"""The expected width of the goal's interval, for a given number of FLOPs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.design.acquisition import best_move, certainly_next, contrasts, quantile
from hptransfer.design.bracket import Brackets, brackets, first_places
from hptransfer.design.goal import Goal
from hptransfer.design.grid import CandidateGrid, Observations
from hptransfer.design.information import Information, LinearizationPoint
from hptransfer.design.linearization import LOG_CURVATURE, NOISE, SCATTER, WANDER, linearization_point
from hptransfer.design.round_fit import RoundFit, fit_round

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # of the full grid's FLOPs, that are shown


Run = tuple[str, int, int]  # variant, place of its scale in the grid, place of its learning rate


@dataclass(frozen=True)
class BudgetForecast:
    """What a budget is expected to buy."""

    flops: float  # of all runs, finished ones included
    runs: int  # in number
    width: float  # expected width of the 95% interval, of the variant known least
    plan: str  # how the runs are chosen
    made: tuple[Run, ...] = ()  # those that an adaptive plan would add to what is finished


def forecast(grid: CandidateGrid, observed: Observations, goal: Goal) -> tuple[list[BudgetForecast], bool]:
    """Budgets and what they are expected to buy, chosen run by run; and the full grid, as a last line.

    The widths are those of the linearised model (`hptransfer.design.information`): from what the finished
    runs tell, else from what basins are usually like.

    Returns:
        The budgets, and whether they are based on finished runs.
    """
    known = any(observed.losses.values())
    alike = 1
    if not known:  # one variant stands for all: only their runs distinguish them
        alike = len(grid.variants)
        x = {basin: places for basin, places in grid.x.items() if basin[0] == grid.variants[0]}
        grid = replace(grid, x=x, start={basin: grid.start[basin] for basin in x})
    *path, full = (
        replace(step, flops=alike * step.flops, runs=alike * step.runs)
        for step in (*_path(grid, observed, goal), _full_grid(grid, observed, goal))
    )
    within = ([step for step in path if step.flops <= fraction * full.flops] for fraction in FRACTIONS)
    largest = dict.fromkeys(steps[-1] for steps in within if steps)
    return [*largest, full], known


def _informations(grid: CandidateGrid, observed: Observations, goal: Goal) -> dict[str, Information]:
    """What is known of each variant."""
    round_fit = fit_round(grid, observed, goal)
    points = {v: _point(grid, observed, round_fit, v) for v in grid.variants}
    return {v: Information(grid, v, point, observed) for v, point in points.items()}


def _point(
    grid: CandidateGrid, observed: Observations, round_fit: RoundFit, variant: str
) -> LinearizationPoint:
    """From the finished runs; where there are none, the middle of the grid and the usual basin."""
    if any(basin[0] == variant for basin, cells in observed.losses.items() if cells):
        return linearization_point(grid, observed, round_fit, variant)
    size = len(grid.scales)
    middle = [sum(grid.start[variant, k]) // 2 for k in range(size)]
    x = np.array([grid.x[variant, k][place] for k, place in enumerate(middle)])
    return LinearizationPoint(x, np.full(size, LOG_CURVATURE), NOISE[0], SCATTER[0], wander=WANDER)


def _path(grid: CandidateGrid, observed: Observations, goal: Goal) -> list[BudgetForecast]:
    """One move after the other, each for the variant known least, as the planner would make them."""
    infos = _informations(grid, observed, goal)
    states = {v: brackets(grid, observed, v) for v in grid.variants}
    spent, made = _spent(grid, observed), tuple[Run, ...]()
    out: list[BudgetForecast] = []

    def width(variant: str) -> float:
        return _width(grid, infos[variant], len(states[variant].optima), goal)

    while True:
        order = sorted(grid.variants, key=lambda v: -width(v))
        move = next((m for v in order if (m := _move(grid, infos[v], states[v], goal))), None)
        if move is None:
            return out
        variant, keys, states[move[0]] = move
        for key in keys:
            infos[variant].run(key)
            spent += float(grid.cost[key[0]])
        made = (*made, *((variant, *key) for key in keys))
        widest = max(map(width, grid.variants))
        out.append(BudgetForecast(spent, observed.runs + len(made), widest, "adaptive", made))


def _move(
    grid: CandidateGrid, info: Information, state: Brackets, goal: Goal
) -> tuple[str, list[tuple[int, int]], Brackets] | None:
    """A variant's next runs and its brackets after them; a scale counts as bracketed once it is begun."""
    if begun := certainly_next(grid, state, goal)[:1]:
        keys = [(begun[0][1], place) for place in state.openings[begun[0]]]
        return info.variant, keys, _begun(grid, info, state, keys[0][0])
    if (found := best_move(grid, info, state, goal, opened=False)) is None:
        return None
    *_, keys = found
    return info.variant, keys, _begun(grid, info, state, keys[0][0]) if len(keys) > 1 else state


def _begun(grid: CandidateGrid, info: Information, state: Brackets, k: int) -> Brackets:
    """The brackets once a scale is begun: its optimum counts as found where it is expected."""
    optima = {**state.optima, k: float(info.point.x[k])}
    later = [i for i in range(len(grid.scales)) if (info.variant, i) in grid.x and i not in optima]
    if not grid.axes:
        later = [i for i in later if i > k][:1]
    openings = {
        (info.variant, i): first_places(grid, (info.variant, i), float(info.point.x[i])) for i in later
    }
    return Brackets({}, optima, {basin: tuple(places) for basin, places in openings.items()})


def _full_grid(grid: CandidateGrid, observed: Observations, goal: Goal) -> BudgetForecast:
    """The whole grid, every seed."""
    infos = _informations(grid, observed, goal)
    flops, runs = 0.0, 0
    for (variant, k), (first, last) in grid.start.items():
        for place in range(first, last + 1):
            while infos[variant].count.get((k, place), grid.seeds) < grid.seeds:
                infos[variant].run((k, place))
            flops += grid.seeds * float(grid.cost[k])
            runs += grid.seeds
    width = max(_width(grid, info, len(grid.scales), goal) for info in infos.values())
    return BudgetForecast(flops, runs, width, "full grid")


def _spent(grid: CandidateGrid, observed: Observations) -> float:
    """FLOPs of the finished runs."""
    cells = ((k, cell) for (_, k), places in observed.losses.items() for cell in places.values())
    return math.fsum(float(grid.cost[k]) * len(cell) for k, cell in cells)


def _width(grid: CandidateGrid, info: Information, scales: int, goal: Goal) -> float:
    """Of the 95% interval; infinite where there are too few scales for a law."""
    if not any(info.count.values()) or (goal in ("law", "prediction") and scales < grid.least_scales):
        return math.inf
    variance = info.variances(contrasts(grid, info, goal)).max()
    if goal == "prediction" and not grid.axes:  # over several axes the target has a departure of its own
        variance += info.point.scatter**2
    errors = quantile(grid, scales) if goal in ("law", "prediction") else 1.96
    return float(2.0 * errors * math.sqrt(variance))
