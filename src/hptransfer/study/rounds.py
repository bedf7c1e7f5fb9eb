"""An adaptive study's plan, replayed from its finished runs.

A round is decided by the results of the rounds before it, all of them and no others. So a study that was
killed and started again proposes the same runs as one that was not, in any order of the results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from hptransfer.design.acquisition import propose_runs
from hptransfer.design.goal import UNITS
from hptransfer.design.grid import CandidateGrid, Observations, Proposal
from hptransfer.design.round_fit import fit_round
from hptransfer.errors import SpecError
from hptransfer.parametrization.catalogue import RULES, own_coordinates
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.runs.flops import run_flops
from hptransfer.study.scale import Size, axis_value
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import PlannedRun
from hptransfer.words import precise, rough

History = tuple[tuple[Proposal, float], ...]
MOST_ROUNDS = 1000  # beyond any study; a guard against a plan that never ends


@dataclass(frozen=True)
class Round:
    """Runs that are asked for together."""

    number: int  # 0 first
    proposals: tuple[Proposal, ...]  # where
    runs: tuple[PlannedRun, ...]  # what


def rounds(spec: StudySpec, losses: Mapping[str, float]) -> Iterator[Round]:
    """Every round that is determined so far, finished ones included."""
    history: History = ()
    for number in range(MOST_ROUNDS):
        proposals = _proposals(spec, history)
        if not proposals:
            return
        runs = tuple(_planned(spec, proposal) for proposal in proposals)
        yield Round(number, proposals, runs)
        if not all(run.run_id in losses for run in runs):
            return
        history += tuple(zip(proposals, (losses[run.run_id] for run in runs), strict=True))


def why_stopped(spec: StudySpec, losses: Mapping[str, float]) -> str | None:
    """Why an adaptive study asks for no more runs, in a sentence; None where it does, or of a grid."""
    if spec.adaptive is None:
        return None
    history: History = ()
    for found in rounds(spec, losses):
        if not all(run.run_id in losses for run in found.runs):
            return None
        history += tuple(zip(found.proposals, (losses[run.run_id] for run in found.runs), strict=True))
    adaptive, grid, observed = spec.adaptive, candidate_grid(spec), Observations()
    for proposal, loss in history:
        observed.add(proposal, loss)
    width = max(fit_round(grid, observed, adaptive.goal).width.values(), default=math.inf)
    known = "is not known yet" if math.isinf(width) else f"is {rough(width, 2)} {UNITS[adaptive.goal]} wide"
    state = f"the widest 95% interval of the {adaptive.goal} {known}, and "
    state += f"{precise(adaptive.wanted)} was asked for"
    spent = math.fsum(float(grid.cost[proposal.scale]) for proposal, _ in history)
    if width <= adaptive.wanted:
        return f"stopped at the precision that was asked for: {state}"
    if _asked(spec, observed):
        of = f"{rough(spent)} of {rough(adaptive.budget or 0)} FLOPs are spent"
        return f"stopped at the budget ({of}): {state}"
    return (
        f"stopped because no further run of the grid and its seeds would narrow the interval notably: {state}"
    )


def observations(spec: StudySpec, losses: Mapping[str, float]) -> Observations:
    """Every finished run that lies on the study's grid, whichever plan it came from; losses as in `plan`."""
    observed, grid = Observations(), candidate_grid(spec)
    if spec.adaptive is not None:
        for found in rounds(spec, losses):
            for proposal, run in zip(found.proposals, found.runs, strict=True):
                if run.run_id in losses:
                    observed.add(proposal, losses[run.run_id])
    elif losses:
        for (variant, k), x in grid.x.items():
            for place, rank in product(range(len(x)), range(len(spec.seeds))):
                proposal = Proposal(variant, k, place, rank)
                run_id = _planned(spec, proposal).run_id
                if run_id in losses:
                    observed.add(proposal, losses[run_id])
    return observed


@lru_cache(maxsize=64)
def candidate_grid(spec: StudySpec) -> CandidateGrid:
    """Where the runs of an adaptive study may lie: its grid and the extensions it allows.

    Over several axes the fit is in the coordinates that the first variant's user sets, as the report's.
    """
    widths = [size.width for size in by_price(spec)]
    more = spec.lr.extend * spec.lr.extend_by
    places = range(-more, spec.lr.count + more)
    variants = list(spec.variants_with_decay())
    lrs = [[spec.lr_at(i, w, spec.lr.coordinates) for i in places] for w in widths]
    runs = [spec.example_run(size) for size in by_price(spec)]
    fitted: Coordinates = "sp"
    if spec.axes and (rule := spec.variants[0]) in RULES:
        fitted = own_coordinates(rule)
    shift = [spec.lr_at(0, w, fitted) / spec.lr_at(0, w, spec.lr.coordinates) for w in widths]
    scales = np.array([[axis_value(run, axis) for axis in spec.axes or ("width",)] for run in runs])
    goal = spec.places[0] if spec.places else dict(zip(spec.axes, 4 * scales.max(axis=0), strict=False))
    basins = [(variant, k) for variant in variants for k in range(len(widths))]
    return CandidateGrid(
        scales=scales if spec.axes else scales[:, 0],
        cost=np.array([run_flops(run) for run in runs]),
        x={basin: np.log2(lrs[basin[1]]) for basin in basins},
        start=dict.fromkeys(basins, (more, more + spec.lr.count - 1)),
        seeds=len(spec.seeds),
        shift=np.log2(shift),
        target=tuple(goal[axis] for axis in spec.axes) or float(spec.largest_target or max(widths)),
        axes=spec.axes,
    )


@lru_cache(maxsize=2048)
def _proposals(spec: StudySpec, history: History) -> tuple[Proposal, ...]:
    assert spec.adaptive is not None
    grid, observed = candidate_grid(spec), Observations()
    for proposal, loss in history:
        observed.add(proposal, loss)
    proposals = _asked(spec, observed)
    spent = math.fsum(float(grid.cost[proposal.scale]) for proposal, _ in history)
    found = tuple(_affordable(grid, proposals, (spec.adaptive.budget or math.inf) - spent))
    if proposals and not (history or found):
        price, budget = rough(grid.cost[proposals[0].scale]), precise(spec.adaptive.budget or 0)
        says = f"must pay for the first run, which takes {price} FLOPs, but it is {budget}"
        raise SpecError(f"`adaptive.budget` {says}")
    return found


def _asked(spec: StudySpec, observed: Observations) -> list[Proposal]:
    """The next round, whatever it costs."""
    assert spec.adaptive is not None
    wanted = spec.adaptive.goal, spec.adaptive.wanted, spec.adaptive.batch
    return propose_runs(candidate_grid(spec), observed, *wanted)


def _affordable(grid: CandidateGrid, proposals: list[Proposal], left: float) -> Iterator[Proposal]:
    """The first proposals, as far as the budget goes."""
    for proposal in proposals:
        left -= float(grid.cost[proposal.scale])
        if left < 0:
            return
        yield proposal


@lru_cache(maxsize=4096)
def _planned(spec: StudySpec, proposal: Proposal) -> PlannedRun:
    size = by_price(spec)[proposal.scale]
    index = proposal.place - spec.lr.extend * spec.lr.extend_by
    run = spec.run(proposal.variant, size, index, spec.seeds[proposal.seed])
    return PlannedRun(proposal.variant, index, size, run, run.run_id)


@lru_cache(maxsize=64)
def by_price(spec: StudySpec) -> tuple[Size, ...]:
    """The sizes by width, or, over several axes, by the FLOPs of a run."""
    if not spec.axes:
        return tuple(sorted(spec.sizes, key=lambda size: size.width))
    return tuple(sorted(spec.sizes, key=lambda size: run_flops(spec.example_run(size))))
