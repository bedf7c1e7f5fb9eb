"""Which runs a study wants, grouped in stacks; a pure function of the spec and finished results.

The plan of a width is a list of rounds. Round 0 is the grid. When every run of a round is finished, the
next one extends the grid of each variant whose optimum is not bracketed. A round depends on the results
of earlier rounds of its width alone, so that a study that was killed and started again plans the same
stacks, and no run's numbers depend on what else is left to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from hptransfer.runs.flops import run_flops
from hptransfer.study.rounds import rounds
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import PlannedRun, Stack, cut, cut_alike

# FLOPs of a width's grid from which compiling repays itself. Measured on two busy cores, widths 32 to 128: a
# compile costs 50 to 100 s of CPU time, most where two go on at once, and then saves 12 to 29 ms a GFLOP.
COMPILE_REPAYS = 8e12


def plan(spec: StudySpec, losses: Mapping[str, float], widths: Iterable[int] | None = None) -> list[Stack]:
    """Every stack that is determined so far, finished ones included, by width and round.

    Args:
        spec: of the study.
        losses: of the finished runs, by run id, in nats; infinite where one diverged; failed runs are absent.
        widths: that are asked for; default: all. An adaptive study has one plan for all of them.
    """
    if spec.adaptive is not None:
        return _adaptive(spec, losses)
    return [stack for width in widths or spec.widths for stack in plan_width(spec, width, losses)]


def coupled_widths(spec: StudySpec, width: int) -> tuple[int, ...]:
    """Widths to plan again once a width has new results.

    A grid study plans each width alone; an adaptive study plans all widths together.
    """
    return (width,) if spec.adaptive is None else spec.widths


def _adaptive(spec: StudySpec, losses: Mapping[str, float]) -> list[Stack]:
    """A round's runs of one width, all variants in shared stacks."""
    compiled = spec.compile == "always" and spec.trial.kind == "builtin"
    return [
        Stack(width, found.number, compiled, runs)
        for found in rounds(spec, losses)
        for width in spec.widths
        for runs in cut_alike((r for r in found.runs if r.spec.model.width == width), spec.stack_size)
    ]


def plan_width(spec: StudySpec, width: int, losses: Mapping[str, float]) -> list[Stack]:
    """The stacks of one width: the grid and, as far as results determine them, its extensions."""
    stacks = list(_grid(spec, width))
    latest: Sequence[Stack] = stacks
    for number in range(1, spec.lr.extend + 1):
        if not all(run.run_id in losses for stack in latest for run in stack.runs):
            break
        latest = _extension(spec, width, number, [r for s in stacks for r in s.runs], losses)
        if not latest:
            break
        stacks.extend(latest)
    return stacks


def unbracketed(spec: StudySpec, levels: Mapping[int, float]) -> tuple[int, ...]:
    """Places that a variant's grid still needs so that its optimum is not at an edge.

    The levels are losses by place on the grid, infinite where a run diverged.
    """
    low, high, by = min(levels), max(levels), spec.lr.extend_by
    finite = [index for index in levels if math.isfinite(levels[index])]
    if not finite:
        return tuple(range(low - by, low))
    best = min(finite, key=lambda index: (levels[index], index))
    # Further right of a diverged run there is only more divergence: it brackets as a higher loss does.
    walled = any(index > best and not math.isfinite(level) for index, level in levels.items())
    left = range(low - by, low) if best - low < spec.lr.margin else ()
    right = range(high + 1, high + 1 + by) if high - best < spec.lr.margin and not walled else ()
    return (*left, *right)


@lru_cache(maxsize=256)
def _grid(spec: StudySpec, width: int) -> tuple[Stack, ...]:
    """Round 0: a stack is one variant's grid, cut evenly where it is longer than a stack may be.

    With `mix_variants` it is as many variants' grids as it may hold.
    """
    compiled, variants = _compiles(spec, width), list(spec.variants_with_decay())
    whole = max(1, spec.stack_size // (spec.lr.count * len(spec.seeds))) if spec.mix_variants else 1
    return tuple(
        Stack(width, 0, compiled, runs)
        for some in cut(variants, whole)
        for runs in cut_alike(
            (run for variant in some for run in _runs(spec, width, variant, range(spec.lr.count))),
            spec.stack_size,
        )
    )


def _extension(
    spec: StudySpec, width: int, number: int, runs: Iterable[PlannedRun], losses: Mapping[str, float]
) -> list[Stack]:
    """The round after `runs`: what each variant still needs, all variants in shared stacks.

    Too little work to repay a compile of its own, which a stack of another size needs.
    """
    wanted: list[PlannedRun] = []
    for variant, levels in _levels(runs, losses).items():
        wanted.extend(_runs(spec, width, variant, unbracketed(spec, levels)))
    compiled = spec.compile == "always" and spec.trial.kind == "builtin"
    return [Stack(width, number, compiled, part) for part in cut_alike(wanted, spec.stack_size)]


def _levels(runs: Iterable[PlannedRun], losses: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """Mean loss over seeds by variant and place; infinite where any seed diverged."""
    cells: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        cells.setdefault(run.variant, {}).setdefault(run.index, []).append(losses[run.run_id])
    return {
        variant: {index: math.fsum(values) / len(values) for index, values in by_index.items()}
        for variant, by_index in cells.items()
    }


def _runs(spec: StudySpec, width: int, variant: str, indices: Iterable[int]) -> list[PlannedRun]:
    indices = list(indices)
    runs = ((index, spec.run(variant, width, index, seed)) for seed in spec.seeds for index in indices)
    return [PlannedRun(variant, index, run, run.run_id) for index, run in runs]


def _compiles(spec: StudySpec, width: int) -> bool:
    """A function of the grid alone, never of what is left to do, so that a restart trains the same way."""
    if spec.trial.kind != "builtin":
        return False
    if spec.compile != "auto":
        return spec.compile == "always"
    flops = run_flops(spec.example_run(width))
    return flops * len(spec.variants_with_decay()) * spec.lr.count * len(spec.seeds) >= COMPILE_REPAYS
