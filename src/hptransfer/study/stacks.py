"""Planned runs, and the stacks in which they are trained together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from hptransfer.runs.base import spec_hash
from hptransfer.runs.config import RunSpec
from hptransfer.runs.flops import run_flops
from hptransfer.study.scale import Size

T = TypeVar("T")


@dataclass(frozen=True)
class PlannedRun:
    """A run and its place in the study."""

    variant: str  # of the study
    index: int  # place on the LR grid, 0 at its low end; negative where it was extended to the left
    size: Size  # of the study
    spec: RunSpec  # what decides its numbers
    run_id: str  # hash of that


@dataclass(frozen=True)
class Stack:
    """Runs trained together, by one worker; finished and stored together."""

    size: Size  # of every run
    round: int  # 0: the grid; else the extension it belongs to
    compiled: bool  # whether the training step is compiled
    runs: tuple[PlannedRun, ...]

    @cached_property
    def stack_id(self) -> str:
        """Hash of the runs and of how they are trained."""
        return spec_hash({"runs": [run.run_id for run in self.runs], "compiled": self.compiled})

    @cached_property
    def flops(self) -> float:
        """Of all runs."""
        return run_flops(self.runs[0].spec) * len(self.runs)

    @property
    def width(self) -> int:
        """Of every run."""
        return self.size.width

    @property
    def steps(self) -> int:
        """Optimizer steps of a run."""
        return self.runs[0].spec.steps

    def without(self, finished: Mapping[str, float]) -> Stack | None:
        """The runs that are not finished; None where all are.

        Within one spec that is all or none; fewer only where an earlier spec of the study has run some.
        """
        runs = tuple(run for run in self.runs if run.run_id not in finished)
        return Stack(self.size, self.round, self.compiled, runs) if runs else None


def cut_alike(runs: Iterable[PlannedRun], most: int) -> list[tuple[PlannedRun, ...]]:
    """The same of runs that may differ in their optimizer, which a stack has one of."""
    alike: dict[str, list[PlannedRun]] = {}
    for run in runs:
        alike.setdefault(run.spec.train.optimizer, []).append(run)
    return [part for some in alike.values() for part in cut(some, most)]


def cut(items: Sequence[T], most: int) -> list[tuple[T, ...]]:
    """Into as few parts as the cap allows, as equal as can be: stacks of one size share a compiled step."""
    count = math.ceil(len(items) / most)
    ends = [len(items) * i // count for i in range(count + 1)] if count else [0]
    return [tuple(items[a:b]) for a, b in pairwise(ends)]
