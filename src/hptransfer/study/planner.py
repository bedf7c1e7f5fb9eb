"""Which runs a study wants, grouped in stacks; a pure function of the spec and finished results.

The plan of a size is a list of rounds. Round 0 is the grid. When every run of a round is finished, the
next one extends the grid of each variant whose optimum is not bracketed. A round depends on the results
of earlier rounds of its size alone, so that a study that was killed and started again plans the same
stacks, and no run's numbers depend on what else is left to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from hptransfer.runs.flops import run_flops
from hptransfer.study.rounds import rounds
from hptransfer.study.scale import Size
from hptransfer.study.spec import StudySpec
from hptransfer.study.stacks import PlannedRun, Stack, cut, cut_alike

# FLOPs of a size's grid from which compiling repays itself. Measured on two busy cores, widths 32 to 128: a
# compile costs 50 to 100 s of CPU time, most where two go on at once, and then saves 12 to 29 ms a GFLOP.
COMPILE_REPAYS = 8e12


def plan(spec: StudySpec, losses: Mapping[str, float], sizes: Iterable[Size] | None = None) -> list[Stack]:
    """Every stack that is determined so far, finished ones included, by size and round.

    Args:
        spec: of the study.
        losses: of the finished runs, by run id, in nats; infinite where one diverged; failed runs are absent.
        sizes: that are asked for; default: all. An adaptive study has one plan for all of them.
    """
    if spec.adaptive is not None:
        return _adaptive(spec, losses)
    return [stack for size in sizes or spec.sizes for stack in plan_size(spec, size, losses)]


def coupled_sizes(spec: StudySpec, size: Size) -> tuple[Size, ...]:
    """Sizes to plan again once a size has new results.

    A grid study plans each size alone; an adaptive study plans all sizes together.
    """
    return (size,) if spec.adaptive is None else spec.sizes


def _adaptive(spec: StudySpec, losses: Mapping[str, float]) -> list[Stack]:
    """A round's runs of one size, all variants in shared stacks."""
    compiled = spec.compile == "always" and spec.trial.kind == "builtin"
    return [
        Stack(size, found.number, compiled, runs)
        for found in rounds(spec, losses)
        for size in spec.sizes
        for runs in cut_alike((run for run in found.runs if run.size == size), spec.stack_size)
    ]


def plan_size(spec: StudySpec, size: Size, losses: Mapping[str, float]) -> list[Stack]:
    """The stacks of one size: the grid and, as far as results determine them, its extensions."""
    stacks = list(_grid(spec, size))
    latest: Sequence[Stack] = stacks
    for number in range(1, spec.lr.extend + 1):
        if not all(run.run_id in losses for stack in latest for run in stack.runs):
            break
        latest = _extension(spec, size, number, [r for s in stacks for r in s.runs], losses)
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
def _grid(spec: StudySpec, size: Size) -> tuple[Stack, ...]:
    """Round 0: a stack is one variant's grid, cut evenly where it is longer than a stack may be.

    With `mix_variants` it is as many variants' grids as it may hold.
    """
    compiled, variants = _compiles(spec, size), list(spec.variants_with_decay())
    whole = max(1, spec.stack_size // (spec.lr.count * len(spec.seeds))) if spec.mix_variants else 1
    return tuple(
        Stack(size, 0, compiled, runs)
        for some in cut(variants, whole)
        for runs in cut_alike(
            (run for variant in some for run in _runs(spec, size, variant, range(spec.lr.count))),
            spec.stack_size,
        )
    )


def _extension(
    spec: StudySpec, size: Size, number: int, runs: Iterable[PlannedRun], losses: Mapping[str, float]
) -> list[Stack]:
    """The round after `runs`: what each variant still needs, all variants in shared stacks.

    Too little work to repay a compile of its own, which a stack of another size needs.
    """
    wanted: list[PlannedRun] = []
    for variant, levels in _levels(runs, losses).items():
        wanted.extend(_runs(spec, size, variant, unbracketed(spec, levels)))
    compiled = spec.compile == "always" and spec.trial.kind == "builtin"
    return [Stack(size, number, compiled, part) for part in cut_alike(wanted, spec.stack_size)]


def _levels(runs: Iterable[PlannedRun], losses: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """Mean loss over seeds by variant and place; infinite where any seed diverged."""
    cells: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        cells.setdefault(run.variant, {}).setdefault(run.index, []).append(losses[run.run_id])
    return {
        variant: {index: math.fsum(values) / len(values) for index, values in by_index.items()}
        for variant, by_index in cells.items()
    }


def _runs(spec: StudySpec, size: Size, variant: str, indices: Iterable[int]) -> list[PlannedRun]:
    indices = list(indices)
    runs = ((index, spec.run(variant, size, index, seed)) for seed in spec.seeds for index in indices)
    return [PlannedRun(variant, index, size, run, run.run_id) for index, run in runs]


def _compiles(spec: StudySpec, size: Size) -> bool:
    """A function of the grid alone, never of what is left to do, so that a restart trains the same way."""
    if spec.trial.kind != "builtin":
        return False
    if spec.compile != "auto":
        return spec.compile == "always"
    flops = run_flops(spec.example_run(size))
    return flops * len(spec.variants_with_decay()) * spec.lr.count * len(spec.seeds) >= COMPILE_REPAYS
