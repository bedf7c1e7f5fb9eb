"""Rounds: an adaptive study's plan, replayed from its finished runs.

A round is decided by the results of the rounds before it, all of them and no others. So a study that was
killed and started again asks for the same runs as one that was not, in whatever order results arrive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hptransfer.design.acquisition import Look, look, next_asks
from hptransfer.design.grid import Ask, Seen, Space
from hptransfer.runs.flops import run_flops
from hptransfer.study.planner import PlannedRun
from hptransfer.study.spec import StudySpec

History = tuple[tuple[Ask, float], ...]
MOST_ROUNDS = 1000  # beyond any study; a guard against a plan that never ends


@dataclass(frozen=True)
class Round:
    """Runs that are asked for together."""

    number: int  # 0 first
    asks: tuple[Ask, ...]  # where
    runs: tuple[PlannedRun, ...]  # what


def rounds(spec: StudySpec, losses: Mapping[str, float]) -> Iterator[Round]:
    """Every round that is determined so far, finished ones included."""
    history: History = ()
    for number in range(MOST_ROUNDS):
        asks = _asks(spec, history)
        if not asks:
            return
        runs = tuple(_planned(spec, ask) for ask in asks)
        yield Round(number, asks, runs)
        if not all(run.run_id in losses for run in runs):
            return
        history += tuple((ask, losses[run.run_id]) for ask, run in zip(asks, runs, strict=True))


def state(spec: StudySpec, losses: Mapping[str, float]) -> Look:
    """How well what is asked is known from the finished rounds and what is finished of the latest."""
    seen = Seen()
    for done in rounds(spec, losses):
        for ask, run in zip(done.asks, done.runs, strict=True):
            if run.run_id in losses:
                seen.add(ask, losses[run.run_id])
    assert spec.adaptive is not None
    return look(space_of(spec), seen, spec.adaptive.goal)


@lru_cache(maxsize=64)
def space_of(spec: StudySpec) -> Space:
    """Where the runs of an adaptive study may lie: its grid and the extensions it allows."""
    widths = sorted(spec.widths)
    more = spec.lr.extend * spec.lr.extend_by
    places = range(-more, spec.lr.count + more)
    variants = list(spec.families())
    grid = [[spec.lr_at(i, w, spec.lr.coordinates) for i in places] for w in widths]
    sp = [spec.lr_at(0, w, "sp") / spec.lr_at(0, w, spec.lr.coordinates) for w in widths]
    basins = [(variant, k) for variant in variants for k in range(len(widths))]
    return Space(
        scales=np.array(widths, dtype=float),
        cost=np.array([run_flops(spec.run(variants[0], w, 0, spec.seeds[0])) for w in widths]),
        x={basin: np.log2(grid[basin[1]]) for basin in basins},
        start=dict.fromkeys(basins, (more, more + spec.lr.count - 1)),
        seeds=len(spec.seeds),
        shift=np.log2(sp),
        target=float(max(spec.targets, default=max(widths))),
    )


@lru_cache(maxsize=2048)
def _asks(spec: StudySpec, history: History) -> tuple[Ask, ...]:
    assert spec.adaptive is not None
    space, seen = space_of(spec), Seen()
    for ask, loss in history:
        seen.add(ask, loss)
    asks = next_asks(space, seen, spec.adaptive.goal, spec.adaptive.wanted, spec.adaptive.batch)
    spent = math.fsum(float(space.cost[ask.scale]) for ask, _ in history)
    return tuple(_affordable(space, asks, (spec.adaptive.budget or math.inf) - spent))


def _affordable(space: Space, asks: list[Ask], left: float) -> Iterator[Ask]:
    """The first asks, as far as the budget goes."""
    for ask in asks:
        left -= float(space.cost[ask.scale])
        if left < 0:
            return
        yield ask


@lru_cache(maxsize=4096)
def _planned(spec: StudySpec, ask: Ask) -> PlannedRun:
    width = sorted(spec.widths)[ask.scale]
    index = ask.place - spec.lr.extend * spec.lr.extend_by
    run = spec.run(ask.variant, width, index, spec.seeds[ask.seed])
    return PlannedRun(ask.variant, index, run, run.run_id)
