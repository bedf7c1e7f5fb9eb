"""Budget: how narrow the interval of what is asked may be expected to get, for so many FLOPs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.design.acquisition import (
    FEWEST,
    LOG_H,
    NOISE,
    SCATTER,
    Look,
    best_move,
    contrasts,
    guess,
    look,
    student,
)
from hptransfer.design.bracket import Brackets, brackets
from hptransfer.design.goal import Goal
from hptransfer.design.grid import Ask, Basin, Seen, Space
from hptransfer.design.information import Guess, Information
from hptransfer.study.rounds import rounds, space_of
from hptransfer.study.spec import StudySpec

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # of the full grid's FLOPs, that are shown


@dataclass(frozen=True)
class Bought:
    """What a budget would buy.

    Attributes:
        flops: of all runs, finished ones included.
        runs: in number.
        width: expected width of the 95% interval, of the variant known least.
        plan: how the runs are chosen.
    """

    flops: float
    runs: int
    width: float
    plan: str


def bought(spec: StudySpec, losses: Mapping[str, float]) -> tuple[list[Bought], bool]:
    """Budgets and what they are expected to buy, chosen run by run; and the full grid, as a last line.

    The widths are those of the linearised model (`hptransfer.design.information`): from what the study's
    finished runs tell, else from what basins are usually like, which the second value says.
    """
    space, goal = space_of(spec), "prediction" if spec.adaptive is None else spec.adaptive.goal
    seen = _seen(spec, losses)
    known = any(seen.losses.values())
    alike = 1
    if not known:  # one variant stands for all: they are told apart by their runs alone
        alike = len(space.variants)
        space = _first_variant(space)
    path = [_times(step, alike) for step in _path(space, seen, goal, known)]
    grid = _times(_grid(space, seen, goal, known), alike)
    out: list[Bought] = []
    for share in SHARES:
        within = [step for step in path if step.flops <= share * grid.flops]
        if within and (not out or within[-1].flops > out[-1].flops):
            out.append(within[-1])
    return [*out, grid], known


def _first_variant(space: Space) -> Space:
    first = space.variants[0]
    x = {basin: places for basin, places in space.x.items() if basin[0] == first}
    return dataclasses.replace(space, x=x, start={basin: space.start[basin] for basin in x})


def _times(step: Bought, count: int) -> Bought:
    return Bought(step.flops * count, step.runs * count, step.width, step.plan)


def _seen(spec: StudySpec, losses: Mapping[str, float]) -> Seen:
    """Every finished run that lies on the study's grid, whoever asked for it."""
    seen, space = Seen(), space_of(spec)
    if not losses:
        return seen
    if spec.adaptive is not None:
        for done in rounds(spec, losses):
            for ask, run in zip(done.asks, done.runs, strict=True):
                if run.run_id in losses:
                    seen.add(ask, losses[run.run_id])
        return seen
    more = spec.lr.extend * spec.lr.extend_by
    for (variant, k), x in space.x.items():
        for place in range(len(x)):
            for rank, seed in enumerate(spec.seeds):
                run_id = spec.run(variant, int(space.scales[k]), place - more, seed).run_id
                if run_id in losses:
                    seen.add(Ask(variant, k, place, rank), losses[run_id])
    return seen


def _knowledge(space: Space, seen: Seen, goal: Goal, known: bool) -> dict[str, Information]:
    now = look(space, seen, goal) if known else Look(None, {})
    return {v: Information(space, v, _guess(space, seen, now, v), seen) for v in space.variants}


def _guess(space: Space, seen: Seen, now: Look, variant: str) -> Guess:
    """From the finished runs; where there are none, the middle of the grid and the usual basin."""
    if any(basin[0] == variant for basin, cells in seen.losses.items() if cells):
        return guess(space, seen, now, variant)
    size = len(space.scales)
    middle = [sum(space.start[variant, k]) // 2 for k in range(size)]
    x = np.array([space.x[variant, k][place] for k, place in enumerate(middle)])
    return Guess(x, np.full(size, LOG_H), NOISE[0], SCATTER[0])


def _path(space: Space, seen: Seen, goal: Goal, known: bool) -> list[Bought]:
    """One move after the other, each for the variant known least, as the planner would make them."""
    infos = _knowledge(space, seen, goal, known)
    states = {v: brackets(space, seen, v) for v in space.variants}
    spent, runs = _spent(space, seen), seen.runs
    out: list[Bought] = []
    done = {v: len(states[v].done) for v in space.variants}
    while True:
        order = sorted(space.variants, key=lambda v: -_width(space, infos[v], done[v], goal))
        move = next((m for v in order if (m := _move(space, infos[v], states[v], goal))), None)
        if move is None:
            return out
        variant, keys, states[move[0]] = move
        done[variant] = len(states[variant].done)
        for key in keys:
            infos[variant].run(key)
            spent += float(space.cost[key[0]])
        runs += len(keys)
        widest = max(_width(space, infos[v], done[v], goal) for v in space.variants)
        out.append(Bought(spent, runs, widest, "adaptive"))


def _move(
    space: Space, info: Information, state: Brackets, goal: Goal
) -> tuple[str, list[tuple[int, int]], Brackets] | None:
    """A variant's next runs and its brackets after them; a scale counts as bracketed once it is begun."""
    variant = info.variant
    if state.next is not None and (len(state.done) < FEWEST or goal in ("optimum", "verdict")):
        keys = [(state.next[1], place) for place in state.first]
        return variant, keys, _opened(space, info, state)
    found = best_move(space, info, state, goal, opened=False)
    if found is None:
        return None
    keys = found[2]
    return variant, keys, _opened(space, info, state) if len(keys) > 1 else state


def _opened(space: Space, info: Information, state: Brackets) -> Brackets:
    assert state.next is not None
    k = state.next[1]
    done = {**state.done, k: float(info.guess.x[k])}
    later = [i for i in range(k + 1, len(space.scales)) if (info.variant, i) in space.x]
    if not later:
        return Brackets(None, (), done)
    basin: Basin = (info.variant, later[0])
    middle = space.nearest(basin, float(info.guess.x[later[0]]))
    stride = max(round(1.0 / space.step(basin)), 1)
    end = len(space.x[basin]) - 1
    first = sorted({min(max(p, 0), end) for p in (middle - stride, middle, middle + stride)})
    return Brackets(None, (), done, basin, tuple(first))


def _grid(space: Space, seen: Seen, goal: Goal, known: bool) -> Bought:
    """The whole grid, every seed."""
    infos = _knowledge(space, seen, goal, known)
    flops, runs = 0.0, 0
    for (variant, k), (first, last) in space.start.items():
        for place in range(first, last + 1):
            while infos[variant].count.get((k, place), space.seeds) < space.seeds:
                infos[variant].run((k, place))
            flops += space.seeds * float(space.cost[k])
            runs += space.seeds
    width = max(_width(space, info, len(space.scales), goal) for info in infos.values())
    return Bought(flops, runs, width, "full grid")


def _spent(space: Space, seen: Seen) -> float:
    cells: Sequence[tuple[int, int]] = [
        (basin[1], len(cell)) for basin, places in seen.losses.items() for cell in places.values()
    ]
    return math.fsum(float(space.cost[k]) * count for k, count in cells)


def _width(space: Space, info: Information, scales: int, goal: Goal) -> float:
    """Of the 95% interval; infinite below three scales, where there is no law."""
    if goal in ("law", "prediction") and scales < FEWEST:
        return math.inf
    if not any(info.count.values()):
        return math.inf
    matrix = contrasts(space, info, goal)
    variance = info.variances(matrix).max()
    if goal == "prediction":
        variance += info.guess.scatter**2
    quantile = student(scales) if goal in ("law", "prediction") else 1.96
    return float(2.0 * quantile * math.sqrt(variance))
